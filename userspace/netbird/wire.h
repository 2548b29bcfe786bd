/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Protobuf's wire format, read in place: a network map may have 16 MiB, half of it in fields that we skip,
 * and a bad entry must not invalidate the others. Small messages and those we send use the generated code.
 */
#ifndef TALON_WIRE_H
#define TALON_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire {
	const uint8_t *at;
	const uint8_t *end;
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;			/* unless WIRE_BYTES */
	const uint8_t *bytes;		/* WIRE_BYTES; points into the message */
	size_t len;
};

static inline struct wire wire_start(const void *bytes, size_t len)
{
	return (struct wire){ .at = bytes, .end = len ? (const uint8_t *)bytes + len : bytes };
}

static inline struct wire wire_inside(const struct wire_field *field)
{
	return wire_start(field->bytes, field->len);
}

/* Returns 1 and the next field, 0 at the end, or -EBADMSG, also for the obsolete groups. */
int wire_next(struct wire *wire, struct wire_field *ret_field);

static inline bool wire_is_bytes(const struct wire_field *field, uint32_t number)
{
	return field->number == number && field->type == WIRE_BYTES;
}

static inline bool wire_is_varint(const struct wire_field *field, uint32_t number)
{
	return field->number == number && field->type == WIRE_VARINT;
}

/* The most that wire_put_bytes() adds to the bytes themselves. */
#define WIRE_BYTES_HEAD 12

/* Appends a length-delimited field at @at and returns its end. */
uint8_t *wire_put_bytes(uint8_t *at, uint32_t number, const void *bytes, size_t len);

#endif
