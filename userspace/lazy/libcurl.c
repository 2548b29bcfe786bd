// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Loading libcurl.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

#include "lazy/libcurl.h"

#define LIBRARY "libcurl.so.4"

static bool find_all(void *handle, struct libcurl *lib)
{
	const struct { const char *name; void **to; } calls[] = {
#define LIBCURL_CALL(member, name) { #name, (void **)&lib->member },
		LIBCURL_CALLS(LIBCURL_CALL)
	};

	for (size_t i = 0; handle && i < sizeof(calls) / sizeof(calls[0]); i++) {
		*calls[i].to = dlsym(handle, calls[i].name);
		if (!*calls[i].to)
			return false;
	}
	return handle;
}

const struct libcurl *libcurl_load(char *why, size_t size)
{
	static struct libcurl lib;
	static bool is_loaded;

	if (!is_loaded)
		is_loaded = find_all(dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), &lib) &&
			!lib.global_init(CURL_GLOBAL_DEFAULT);
	if (is_loaded)
		return &lib;
	snprintf(why, size, "this needs " LIBRARY ", which cannot be loaded: install libcurl4");
	return NULL;
}
