// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A zip archive: for each file a head and its bytes, at the end a directory. Numbers are little endian.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "bundle/zip.h"

#define SIGN_FILE	0x04034b50U
#define SIGN_ENTRY	0x02014b50U
#define SIGN_END	0x06054b50U
#define NEEDS		20		/* version 2.0: deflate */
#define MADE_BY_UNIX	(3 << 8 | NEEDS)
#define DEFLATED	8
/* 1980, where these times begin; a clock that was never set is before */
#define FIRST_TIME	315532800
#define MODE		(0100600U << 16)	/* a regular file of its owner's */

/* A head under construction. */
struct head {
	uint8_t bytes[46];
	size_t len;
};

static void put16(struct head *head, uint16_t value)
{
	value = htole16(value);
	memcpy(head->bytes + head->len, &value, 2);
	head->len += 2;
}

static void put32(struct head *head, uint32_t value)
{
	value = htole32(value);
	memcpy(head->bytes + head->len, &value, 4);
	head->len += 4;
}

static int write_all(struct zip *zip, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	if (len > ZIP_BYTES_MAX - zip->at)
		return -EFBIG;
	zip->at += len;
	while (len) {
		ssize_t n = write(zip->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= n;
	}
	return 0;
}

/*
 * What head and directory entry have in common, but for the length of the name. UTC, in steps of two seconds.
 */
static void put_file(struct head *head, const struct zip *zip, const struct zip_file *file)
{
	time_t now = zip->now < FIRST_TIME ? FIRST_TIME : zip->now;
	struct tm tm;

	gmtime_r(&now, &tm);
	put16(head, NEEDS);
	put16(head, 0);
	put16(head, DEFLATED);
	put16(head, tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
	put16(head, (tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
	put32(head, file->crc);
	put32(head, file->packed);
	put32(head, file->size);
	put16(head, strlen(file->name));
	put16(head, 0);
}

/* Raw deflate. The caller frees @ret_packed. */
static int pack(const void *bytes, size_t len, uint8_t **ret_packed, uint32_t *ret_len)
{
	z_stream stream = { .next_in = (uint8_t *)bytes, .avail_in = len };
	uint8_t *packed;
	size_t room;
	int ret;

	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
		Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&stream, len);
	packed = malloc(room ? room : 1);
	if (!packed) {
		deflateEnd(&stream);
		return -ENOMEM;
	}
	stream.next_out = packed;
	stream.avail_out = room;
	ret = deflate(&stream, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
	*ret_len = stream.total_out;
	deflateEnd(&stream);
	if (ret)
		free(packed);
	else
		*ret_packed = packed;
	return ret;
}

int zip_add(struct zip *zip, const char *name, const void *bytes, size_t len)
{
	struct zip_file *file = &zip->files[zip->count];
	struct head head = {};
	uint8_t *packed;
	int ret;

	if (zip->count == ZIP_FILES_MAX || len > ZIP_BYTES_MAX || strlen(name) >= sizeof(file->name))
		return -EFBIG;
	strcpy(file->name, name);
	file->size = len;
	file->crc = crc32(0, bytes, len);
	file->at = zip->at;
	ret = pack(bytes, len, &packed, &file->packed);
	if (ret)
		return ret;
	put32(&head, SIGN_FILE);
	put_file(&head, zip, file);
	ret = write_all(zip, head.bytes, head.len);
	if (!ret)
		ret = write_all(zip, name, strlen(name));
	if (!ret)
		ret = write_all(zip, packed, file->packed);
	free(packed);
	if (!ret)
		zip->count++;
	return ret;
}

static int write_entry(struct zip *zip, const struct zip_file *file)
{
	struct head head = {};
	int ret;

	put32(&head, SIGN_ENTRY);
	put16(&head, MADE_BY_UNIX);
	put_file(&head, zip, file);
	put16(&head, 0);		/* no comment */
	put16(&head, 0);		/* the first disk */
	put16(&head, 0);
	put32(&head, MODE);
	put32(&head, file->at);
	ret = write_all(zip, head.bytes, head.len);
	return ret ? ret : write_all(zip, file->name, strlen(file->name));
}

int zip_finish(struct zip *zip)
{
	uint32_t start = zip->at, size;
	struct head head = {};
	int ret = 0;

	for (size_t i = 0; i < zip->count && !ret; i++)
		ret = write_entry(zip, &zip->files[i]);
	if (ret)
		return ret;
	size = zip->at - start;
	put32(&head, SIGN_END);
	put16(&head, 0);
	put16(&head, 0);
	put16(&head, zip->count);
	put16(&head, zip->count);
	put32(&head, size);
	put32(&head, start);
	put16(&head, 0);
	return write_all(zip, head.bytes, head.len);
}
