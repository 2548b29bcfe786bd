/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * gRPC's wire forms, for both sides: message prefix, status, timeout, percent-encoded text
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 */
#ifndef TALON_GRPC_WIRE_H
#define TALON_GRPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_PREFIX_LEN		5	/* compressed flag, length */
#define GRPC_TIMEOUT_LEN	16

/* Zero is ready for the first message. */
struct grpc_assembler {
	uint8_t prefix[GRPC_PREFIX_LEN];
	size_t prefix_len;
	uint8_t *bytes;
	size_t len, room;
	size_t want;
	size_t most;		/* bytes of one message; 0: GRPC_MESSAGE_MAX */
};

/*
 * Takes bytes up to the end of the message. Returns 1: it is complete (bytes, want; then call
 * grpc_assembler_next()), 0: more is needed, -EMSGSIZE: longer than @a may be, -ENOTSUP: compressed,
 * -EPROTO: not a message prefix of gRPC, -ENOMEM.
 */
int grpc_assembler_feed(struct grpc_assembler *a, const uint8_t *bytes, size_t len, size_t *ret_used);
void grpc_assembler_next(struct grpc_assembler *a);
void grpc_assembler_done(struct grpc_assembler *a);
static inline bool grpc_assembler_is_between(const struct grpc_assembler *a)
{
	return !a->prefix_len;
}

void grpc_put_prefix(uint8_t prefix[static GRPC_PREFIX_LEN], size_t len);
/* "4999987u": at most eight digits and a unit. */
void grpc_put_timeout(char text[static GRPC_TIMEOUT_LEN], uint64_t left_ns);
/* grpc-message: percent-encoded UTF-8. What would break a line becomes a space, what does not fit is cut. */
void grpc_decode_text(char *text, size_t size, const char *encoded, size_t len);
/*
 * The other way round: what is not printable ASCII, and '%', becomes %XX (PROTOCOL-HTTP2.md, Status-Message).
 * Cut before what does not fit.
 */
void grpc_encode_text(char *encoded, size_t size, const char *text);
/* -1: not a number. */
int grpc_parse_status(const char *text, size_t len);
bool grpc_is_content_type(const char *text, size_t len);
/* The status that stands for an answer which is HTTP only. */
int grpc_status_of_http(int http_status);
int grpc_status_of_reset(uint32_t error_code);

#endif
