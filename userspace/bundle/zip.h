/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes a zip archive (APPNOTE 6.3, without its 64-bit extensions), deflated by zlib. */
#ifndef TALON_BUNDLE_ZIP_H
#define TALON_BUNDLE_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ZIP_FILES_MAX	128
#define ZIP_BYTES_MAX	(1U << 30)	/* of the archive, and of one file */

struct zip_file {
	char name[64];
	uint32_t crc, packed, size, at;
};

/* Set up as { .fd = DESCRIPTOR, .now = TIME }; the descriptor is the caller's. */
struct zip {
	int fd;
	time_t now;
	uint32_t at;			/* bytes written */
	size_t count;
	struct zip_file files[ZIP_FILES_MAX];
};

/* Adds a file of @len bytes called @name. Returns 0 or a negative errno; the archive is of no use then. */
int zip_add(struct zip *zip, const char *name, const void *bytes, size_t len);
/* Writes the directory. Returns 0 or a negative errno. */
int zip_finish(struct zip *zip);

#endif
