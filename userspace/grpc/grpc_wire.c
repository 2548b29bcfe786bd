// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// gRPC's wire forms: message prefix, status, timeout, percent-encoded text, and what HTTP says instead.
// Pure functions.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/server_url.h"
#include "grpc/grpc_internal.h"

#define ROOM_FIRST	16384U
#define ROOM_KEPT	65536U	/* a larger buffer is not kept for the next message */

static const char *const status_names[] = {
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
	"PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal",
	"Unavailable", "DataLoss", "Unauthenticated",
};

const char *grpc_status_name(int status)
{
	static char other[24];

	if (status >= 0 && (size_t)status < sizeof(status_names) / sizeof(*status_names))
		return status_names[status];
	snprintf(other, sizeof(other), "Code(%d)", status);
	return other;
}

int grpc_status_of_http(int http_status)
{
	switch (http_status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

int grpc_status_of_reset(uint32_t error_code)
{
	switch (error_code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}

int grpc_parse_status(const char *text, size_t len)
{
	int status = 0;

	if (!len || len > 4)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		status = status * 10 + text[i] - '0';
	}
	return status;
}

bool grpc_is_content_type(const char *text, size_t len)
{
	static const char type[] = "application/grpc";
	const size_t type_len = sizeof(type) - 1;

	if (len < type_len || strncasecmp(text, type, type_len))
		return false;
	return len == type_len || text[type_len] == '+' || text[type_len] == ';';
}

void grpc_put_prefix(uint8_t prefix[static GRPC_PREFIX_LEN], size_t len)
{
	prefix[0] = 0;
	prefix[1] = len >> 24;
	prefix[2] = len >> 16;
	prefix[3] = len >> 8;
	prefix[4] = len;
}

void grpc_put_timeout(char text[static GRPC_TIMEOUT_LEN], uint64_t left_ns)
{
	static const struct { char unit; uint64_t ns; } units[] = { { 'u', 1000 }, { 'm', LOOP_MS },
		{ 'S', LOOP_SECOND } };
	size_t i = 0;

	while (i < 2 && left_ns / units[i].ns > 99999999)
		i++;
	left_ns /= units[i].ns;
	snprintf(text, GRPC_TIMEOUT_LEN, "%u%c", left_ns > 99999999 ? 99999999 : (unsigned int)left_ns,
		units[i].unit);
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* Not half of a character at the end, where the text was cut. */
static void trim_utf8(char *text, size_t len)
{
	size_t at = len;

	while (at && ((uint8_t)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at && (uint8_t)text[at - 1] >= 0xc0) {
		uint8_t lead = text[at - 1];
		size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

		if (len - at + 1 < want)
			text[at - 1] = 0;
	}
}

void grpc_decode_text(char *text, size_t size, const char *encoded, size_t len)
{
	size_t out = 0, i = 0;

	while (i < len && out + 1 < size) {
		uint8_t c = encoded[i];

		if (c == '%' && i + 2 < len && hex_digit(encoded[i + 1]) >= 0 &&
			hex_digit(encoded[i + 2]) >= 0) {
			c = hex_digit(encoded[i + 1]) << 4 | hex_digit(encoded[i + 2]);
			i += 2;
		}
		i++;
		text[out++] = c < ' ' || c == 0x7f ? ' ' : c;
	}
	text[out] = 0;
	if (i < len)
		trim_utf8(text, out);
}

void grpc_encode_text(char *encoded, size_t size, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t out = 0;

	for (; *text; text++) {
		uint8_t c = *text;
		bool is_plain = c >= ' ' && c < 0x7f && c != '%';

		if (out + (is_plain ? 1 : 3) >= size)
			break;
		if (!is_plain) {
			encoded[out++] = '%';
			encoded[out++] = digits[c >> 4];
			c = digits[c & 15];
		}
		encoded[out++] = c;
	}
	encoded[out] = 0;
}

/* ---- messages out of bytes ---- */

static int start_message(struct grpc_assembler *a)
{
	a->want = (size_t)a->prefix[1] << 24 | a->prefix[2] << 16 | a->prefix[3] << 8 | a->prefix[4];
	a->len = 0;
	if (a->prefix[0] > 1)
		return -EPROTO;
	if (a->prefix[0])
		return -ENOTSUP;
	return a->want > (a->most ? a->most : GRPC_MESSAGE_MAX) ? -EMSGSIZE : 0;
}

/* Room grows with what came, not with what was announced. */
static int make_room(struct grpc_assembler *a, size_t need)
{
	size_t room = a->room ? a->room : ROOM_FIRST;
	uint8_t *larger;

	if (need <= a->room)
		return 0;
	while (room < need)
		room *= 2;
	larger = realloc(a->bytes, room);
	if (!larger)
		return -ENOMEM;
	a->bytes = larger;
	a->room = room;
	return 0;
}

int grpc_assembler_feed(struct grpc_assembler *a, const uint8_t *bytes, size_t len, size_t *ret_used)
{
	size_t used = 0, part;
	int ret;

	*ret_used = 0;
	while (a->prefix_len < GRPC_PREFIX_LEN) {
		if (used == len) {
			*ret_used = used;
			return 0;
		}
		a->prefix[a->prefix_len++] = bytes[used++];
		ret = a->prefix_len == GRPC_PREFIX_LEN ? start_message(a) : 0;
		if (ret)
			return ret;
	}
	part = a->want - a->len < len - used ? a->want - a->len : len - used;
	ret = make_room(a, a->len + part);
	if (ret)
		return ret;
	if (part)
		memcpy(a->bytes + a->len, bytes + used, part);
	a->len += part;
	*ret_used = used + part;
	return a->len == a->want;
}

void grpc_assembler_next(struct grpc_assembler *a)
{
	a->prefix_len = 0;
	a->len = 0;
	a->want = 0;
	if (a->room > ROOM_KEPT)
		grpc_assembler_done(a);
}

void grpc_assembler_done(struct grpc_assembler *a)
{
	free(a->bytes);
	*a = (struct grpc_assembler){ .most = a->most };
}
