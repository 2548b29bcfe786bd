/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small files that must be there whole or not at all. Contents are taken for secret. */
#ifndef TALON_STORE_H
#define TALON_STORE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads all of @path, with a terminator behind it that @ret_len does not count. Free with store_free(). 0,
 * -EFBIG beyond @max, or another errno.
 */
int store_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_len);
/*
 * Writes a temporary file beside @path (0600), flushes and renames it, and flushes the directory, which is
 * made if need be. A file that holds the same already is left alone: a flush can take a tenth of a second, in
 * which nothing else happens. 0 or a negative errno.
 */
int store_write(const char *path, const void *bytes, size_t len);
/* For what all may read (0644) and can be made again: the directory must exist and is not flushed. */
int store_publish(const char *path, const void *bytes, size_t len);
/*
 * Removes what a write of @path that was interrupted (by a crash or a power cut) left beside it. Nobody else
 * may be writing @path.
 */
void store_sweep(const char *path);
/* Makes the directory in which @path is, with its parents. 0 or a negative errno. */
int store_make_directory(const char *path);
/* Wipes and frees. NULL is allowed. */
void store_free(uint8_t *bytes, size_t len);

#endif
