// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Loading SQLite.
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

#include "lazy/libsqlite.h"

#define LIBRARY "libsqlite3.so.0"
#define OLDEST	3037000	/* STRICT tables */

static bool find_all(void *handle, struct libsqlite *lib)
{
	const struct { const char *name; void **to; } calls[] = {
#define LIBSQLITE_CALL(member, name) { #name, (void **)&lib->member },
		LIBSQLITE_CALLS(LIBSQLITE_CALL)
	};

	for (size_t i = 0; handle && i < sizeof(calls) / sizeof(calls[0]); i++) {
		*calls[i].to = dlsym(handle, calls[i].name);
		if (!*calls[i].to)
			return false;
	}
	return handle;
}

const struct libsqlite *libsqlite_load(char *why, size_t size)
{
	static struct libsqlite lib;
	static bool is_loaded;

	if (!is_loaded)
		is_loaded = find_all(dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), &lib);
	if (is_loaded && lib.version_number() >= OLDEST)
		return &lib;
	if (is_loaded)
		snprintf(why, size, LIBRARY " is too old (%d): expected 3.37 or newer", lib.version_number());
	else
		snprintf(why, size, "this needs " LIBRARY ", which cannot be loaded: install libsqlite3-0");
	return NULL;
}
