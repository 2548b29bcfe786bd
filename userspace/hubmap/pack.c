// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Protobuf's wire format, written straight into one growing buffer.
#include <stdlib.h>
#include <string.h>

#include "hubmap/pack.h"

enum { TYPE_VARINT = 0, TYPE_BYTES = 2 };
#define VARINT_MAX 10

void pack_done(struct pack *pack)
{
	free(pack->bytes);
	*pack = (struct pack){};
}

void pack_restart(struct pack *pack)
{
	pack->len = 0;
	pack->is_failed = false;
}

static bool make_room(struct pack *pack, size_t more)
{
	size_t room = pack->room ? pack->room : 1024;
	uint8_t *bytes;

	if (pack->is_failed)
		return false;
	if (pack->room - pack->len >= more)
		return true;
	while (room - pack->len < more)
		room *= 2;
	bytes = realloc(pack->bytes, room);
	if (!bytes) {
		pack->is_failed = true;
		return false;
	}
	pack->bytes = bytes;
	pack->room = room;
	return true;
}

static size_t put_varint(uint8_t *at, uint64_t value)
{
	size_t len = 0;

	for (; value > 0x7f; value >>= 7)
		at[len++] = value | 0x80;
	at[len++] = value;
	return len;
}

static void put(struct pack *pack, uint64_t value)
{
	if (make_room(pack, VARINT_MAX))
		pack->len += put_varint(pack->bytes + pack->len, value);
}

void pack_number(struct pack *pack, uint32_t field, uint64_t value)
{
	if (!value)
		return;
	put(pack, (uint64_t)field << 3 | TYPE_VARINT);
	put(pack, value);
}

void pack_raw(struct pack *pack, const void *bytes, size_t len)
{
	if (!len || !make_room(pack, len))
		return;
	memcpy(pack->bytes + pack->len, bytes, len);
	pack->len += len;
}

void pack_bytes(struct pack *pack, uint32_t field, const void *bytes, size_t len)
{
	put(pack, (uint64_t)field << 3 | TYPE_BYTES);
	put(pack, len);
	pack_raw(pack, bytes, len);
}

void pack_text(struct pack *pack, uint32_t field, const char *text)
{
	if (text && *text)
		pack_bytes(pack, field, text, strlen(text));
}

/*
 * Most messages are shorter than 128 bytes: one byte is kept for the length, and the content moves if that
 * is too few.
 */
size_t pack_open(struct pack *pack, uint32_t field)
{
	put(pack, (uint64_t)field << 3 | TYPE_BYTES);
	put(pack, 0);
	return pack->len;
}

void pack_close(struct pack *pack, size_t start)
{
	size_t len = pack->len - start, head;
	uint8_t length[VARINT_MAX];

	if (pack->is_failed)
		return;
	head = put_varint(length, len);
	if (!make_room(pack, head))
		return;
	memmove(pack->bytes + start + head - 1, pack->bytes + start, len);
	memcpy(pack->bytes + start - 1, length, head);
	pack->len += head - 1;
}
