// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Protobuf's wire format, read in place.
#include <errno.h>

#include "netbird/wire.h"

#define FIELD_NUMBER_MAX ((1U << 29) - 1)

static int varint(struct wire *wire, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 70 && wire->at < wire->end; shift += 7) {
		uint8_t byte = *wire->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return 0;
		}
	}
	return -EBADMSG;
}

static int fixed(struct wire *wire, size_t len, uint64_t *ret_value)
{
	uint64_t value = 0;

	if ((size_t)(wire->end - wire->at) < len)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++)
		value |= (uint64_t)wire->at[i] << 8 * i;
	wire->at += len;
	*ret_value = value;
	return 0;
}

static int bytes(struct wire *wire, struct wire_field *field)
{
	uint64_t len;

	if (varint(wire, &len) || len > (uint64_t)(wire->end - wire->at))
		return -EBADMSG;
	field->bytes = wire->at;
	field->len = len;
	wire->at += len;
	return 0;
}

static int content(struct wire *wire, struct wire_field *field)
{
	switch (field->type) {
	case WIRE_VARINT:
		return varint(wire, &field->value);
	case WIRE_FIXED64:
		return fixed(wire, 8, &field->value);
	case WIRE_FIXED32:
		return fixed(wire, 4, &field->value);
	case WIRE_BYTES:
		return bytes(wire, field);
	}
	return -EBADMSG;
}

int wire_next(struct wire *wire, struct wire_field *ret_field)
{
	struct wire_field field = {};
	uint64_t tag;

	if (wire->at == wire->end)
		return 0;
	if (varint(wire, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
		return -EBADMSG;
	field.number = tag >> 3;
	field.type = tag & 7;
	if (content(wire, &field) < 0)
		return -EBADMSG;
	*ret_field = field;
	return 1;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	while (value > 0x7f) {
		*at++ = value | 0x80;
		value >>= 7;
	}
	*at++ = value;
	return at;
}

uint8_t *wire_put_bytes(uint8_t *at, uint32_t number, const void *data, size_t len)
{
	at = put_varint(at, (uint64_t)number << 3 | WIRE_BYTES);
	at = put_varint(at, len);
	if (len)
		memcpy(at, data, len);
	return at + len;
}
