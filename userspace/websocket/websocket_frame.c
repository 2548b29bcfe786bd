// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// WebSocket frames: headers in and out, and the mask.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "websocket/websocket_frame.h"

#define FINAL		0x80
#define RESERVED	0x70
#define OPCODE		0x0f
#define MASKED		0x80
#define LEN_SMALL	125
#define LEN_16		126
#define LEN_64		127

typedef uint64_t wide __attribute__((vector_size(32)));	/* as many registers of the machine as that takes */

static bool is_control(enum websocket_opcode opcode)
{
	return opcode & 8;
}

static bool is_known(enum websocket_opcode opcode)
{
	return opcode <= WEBSOCKET_BINARY || (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);
}

/*
 * "the minimal number of bytes MUST be used to encode the length" and "the most significant bit MUST be
 * 0" (section 5.2)
 */
static int read_len(const uint8_t *bytes, uint8_t code, uint64_t *ret_len)
{
	uint16_t len16;
	uint64_t len64;

	if (code <= LEN_SMALL) {
		*ret_len = code;
		return 0;
	}
	if (code == LEN_16) {
		memcpy(&len16, bytes, sizeof(len16));
		*ret_len = be16toh(len16);
		return *ret_len > LEN_SMALL ? 0 : -EPROTO;
	}
	memcpy(&len64, bytes, sizeof(len64));
	*ret_len = be64toh(len64);
	return *ret_len > UINT16_MAX && *ret_len <= INT64_MAX ? 0 : -EPROTO;
}

int websocket_frame_parse(const uint8_t *bytes, size_t len, struct websocket_frame *ret_frame)
{
	struct websocket_frame frame = {};
	size_t header;
	uint8_t code;

	if (len < 2)
		return 0;
	frame.opcode = bytes[0] & OPCODE;
	frame.is_final = bytes[0] & FINAL;
	frame.is_masked = bytes[1] & MASKED;
	code = bytes[1] & ~MASKED;
	if (bytes[0] & RESERVED || !is_known(frame.opcode))
		return -EPROTO;
	if (is_control(frame.opcode) && (!frame.is_final || code > WEBSOCKET_CONTROL_MAX))
		return -EPROTO;
	header = 2 + (code == LEN_16 ? 2 : code == LEN_64 ? 8 : 0);
	if (len < header + (frame.is_masked ? WEBSOCKET_MASK_LEN : 0))
		return 0;
	if (read_len(bytes + 2, code, &frame.len))
		return -EPROTO;
	if (frame.is_masked) {
		memcpy(frame.mask, bytes + header, WEBSOCKET_MASK_LEN);
		header += WEBSOCKET_MASK_LEN;
	}
	*ret_frame = frame;
	return header;
}

size_t websocket_frame_write(enum websocket_opcode opcode, size_t len, const uint8_t *mask,
	uint8_t ret_header[static WEBSOCKET_HEADER_MAX])
{
	const uint8_t masked = mask ? MASKED : 0;
	uint16_t len16 = htobe16(len);
	uint64_t len64 = htobe64(len);
	uint8_t *at = ret_header;

	*at++ = FINAL | opcode;
	if (len <= LEN_SMALL) {
		*at++ = masked | len;
	} else if (len <= UINT16_MAX) {
		*at++ = masked | LEN_16;
		at = mempcpy(at, &len16, sizeof(len16));
	} else {
		*at++ = masked | LEN_64;
		at = mempcpy(at, &len64, sizeof(len64));
	}
	if (mask)
		at = mempcpy(at, mask, WEBSOCKET_MASK_LEN);
	return at - ret_header;
}

static inline __attribute__((always_inline)) void mask_copy(uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t *mask, size_t offset)
{
	unsigned turn = 8 * (offset % WEBSOCKET_MASK_LEN);
	uint32_t one;
	uint64_t word, few;
	wide all, some;

	memcpy(&one, mask, sizeof(one));
	one = le32toh(one);
	one = htole32(one >> turn | (uint64_t)one << (32 - turn));
	word = (uint64_t)one << 32 | one;
	all = (wide){ word, word, word, word };
	for (; len >= sizeof(wide); len -= sizeof(wide), src += sizeof(wide), dst += sizeof(wide)) {
		memcpy(&some, src, sizeof(some));
		some ^= all;
		memcpy(dst, &some, sizeof(some));
	}
	for (; len >= sizeof(few); len -= sizeof(few), src += sizeof(few), dst += sizeof(few)) {
		memcpy(&few, src, sizeof(few));
		few ^= word;
		memcpy(dst, &few, sizeof(few));
	}
	for (size_t i = 0; i < len; i++)
		dst[i] = src[i] ^ ((const uint8_t *)&word)[i];
}

#ifdef __x86_64__
/* Compiled for every x86-64, a vector would take two registers, and the copy twice the time. */
__attribute__((target("avx2")))
static void mask_copy_avx2(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *mask, size_t offset)
{
	mask_copy(dst, src, len, mask, offset);
}
#endif

void websocket_mask_copy(uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t mask[static WEBSOCKET_MASK_LEN], size_t offset)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2")) {
		mask_copy_avx2(dst, src, len, mask, offset);
		return;
	}
#endif
	mask_copy(dst, src, len, mask, offset);
}
