/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of RFC 6455, section 5. libwslay was considered and is not used: it reads through a buffer of its
 * own of 4 KiB, copies every payload out of it in pieces, and masks byte by byte; a relayed packet would be
 * copied twice more and never seen whole.
 */
#ifndef TALON_WEBSOCKET_FRAME_H
#define TALON_WEBSOCKET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_MASK_LEN	4
#define WEBSOCKET_HEADER_MAX	14	/* two bytes, eight of length, four of mask */
#define WEBSOCKET_CONTROL_MAX	125

enum websocket_opcode {
	WEBSOCKET_CONTINUATION	= 0,
	WEBSOCKET_TEXT		= 1,
	WEBSOCKET_BINARY	= 2,
	WEBSOCKET_CLOSE		= 8,
	WEBSOCKET_PING		= 9,
	WEBSOCKET_PONG		= 10,
};

struct websocket_frame {
	enum websocket_opcode opcode;
	bool is_final;
	bool is_masked;
	uint8_t mask[WEBSOCKET_MASK_LEN];
	uint64_t len;			/* of the payload */
};

/*
 * Returns the header's length, 0 when more bytes are needed to tell, or -EPROTO for what section 5 forbids.
 */
int websocket_frame_parse(const uint8_t *bytes, size_t len, struct websocket_frame *ret_frame);

/* Header of a final frame; @mask NULL: a server's, without one. Returns its length. */
size_t websocket_frame_write(enum websocket_opcode opcode, size_t len, const uint8_t *mask,
	uint8_t ret_header[static WEBSOCKET_HEADER_MAX]);

/*
 * Masks @src (or takes the mask off) on its way to @dst, which may be @src; @offset is where in the payload
 * it begins.
 */
void websocket_mask_copy(uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t mask[static WEBSOCKET_MASK_LEN], size_t offset);

#endif
