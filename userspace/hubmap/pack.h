/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Protobuf's wire format, written straight into one growing buffer: a map may list thousands of peers,
 * most of whose bytes were made once and are only copied. A zeroed pack is empty; after it has failed,
 * nothing more is added.
 */
#ifndef TALON_HUBMAP_PACK_H
#define TALON_HUBMAP_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack {
	uint8_t *bytes;
	size_t len, room;
	bool is_failed;			/* no memory */
};

void pack_done(struct pack *pack);
/* Empty again, and no longer failed; keeps its memory. */
void pack_restart(struct pack *pack);
/* A number or a switch; zero is left out, as proto3 does. */
void pack_number(struct pack *pack, uint32_t field, uint64_t value);
/* Also when it is empty: for repeated fields and messages. */
void pack_bytes(struct pack *pack, uint32_t field, const void *bytes, size_t len);
/* NULL and "" are left out. */
void pack_text(struct pack *pack, uint32_t field, const char *text);
/* What is packed already: fields with their tags. */
void pack_raw(struct pack *pack, const void *bytes, size_t len);
/*
 * A message inside: what is added between the two is its content. pack_close() takes what pack_open()
 * returned.
 */
size_t pack_open(struct pack *pack, uint32_t field);
void pack_close(struct pack *pack, size_t start);

#endif
