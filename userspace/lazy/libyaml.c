// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Loading libyaml.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

#include "lazy/libyaml.h"

#define LIBRARY "libyaml-0.so.2"

static bool find_yaml(void *handle, struct libyaml *lib)
{
	const struct { const char *name; void **to; } calls[] = {
#define LIBYAML_CALL(member, name) { #name, (void **)&lib->member },
		LIBYAML_CALLS(LIBYAML_CALL)
	};

	for (size_t i = 0; handle && i < sizeof(calls) / sizeof(calls[0]); i++) {
		*calls[i].to = dlsym(handle, calls[i].name);
		if (!*calls[i].to)
			return false;
	}
	return handle;
}

const struct libyaml *libyaml_load(char *why, size_t size)
{
	static struct libyaml lib;
	static bool is_loaded;

	if (!is_loaded)
		is_loaded = find_yaml(dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), &lib);
	if (is_loaded)
		return &lib;
	snprintf(why, size, "this needs " LIBRARY ", which cannot be loaded: install libyaml-0-2");
	return NULL;
}
