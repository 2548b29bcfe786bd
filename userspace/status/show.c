// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pieces of text that people and programs both get.
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "status/show.h"

#define SHOW_END(id, label, drop, help) { label, help, drop },
const struct show_end show_ends[TALON_END_COUNT] = { TALON_ENDS(SHOW_END) };
const struct show_end show_handshakes[HANDSHAKE_STATS_ENTRIES] =
	{ HANDSHAKE_ENDS(SHOW_END) HANDSHAKE_COUNTS(SHOW_END) };
const char *const show_dirs[TALON_DIR_COUNT] = { "in", "out", "tunnel" };

/*
 * One character of UTF-8 (RFC 3629 section 3: shortest form, no surrogates, nothing over U+10FFFF).
 * Returns its bytes and the code point, or 0 if @text starts with something else.
 */
static size_t decode(const char *text, size_t len, __u32 *ret_code)
{
	static const __u32 smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = text[0];
	size_t bytes = first < 0x80 ? 1 : first >> 5 == 0x6 ? 2 : first >> 4 == 0xe ? 3 : first >> 3 == 0x1e
		? 4 : 0;
	__u32 code = bytes == 1 ? first : first & (0x7f >> bytes);

	if (!bytes || bytes > len)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if ((bytes > 1 && code < smallest[bytes]) || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
		return 0;
	*ret_code = code;
	return bytes;
}

/* C0 and C1 controls, line and paragraph separators, and the marks that turn the direction of text. */
static bool is_steering(__u32 code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
		code == 0x061c || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void show_text(FILE *out, const char *text, size_t size)
{
	size_t len = strnlen(text, size), bytes;
	__u32 code;

	for (size_t i = 0; i < len; i += bytes ? bytes : 1) {
		bytes = decode(text + i, len - i, &code);
		if (!bytes || is_steering(code))
			fputc('?', out);
		else
			fwrite(text + i, 1, bytes, out);
	}
}

/*
 * With the escapes that Go's encoder uses, '<', '>' and '&' included: NetBird's words are
 * compared byte by byte.
 */
void show_json_string(FILE *out, const char *text, size_t size)
{
	static const char short_names[] = "\n\r\t\b\f", short_letters[] = "nrtbf";
	size_t len = strnlen(text, size), bytes;
	__u32 code;

	fputc('"', out);
	for (size_t i = 0; i < len; i += bytes ? bytes : 1) {
		bytes = decode(text + i, len - i, &code);
		if (!bytes)
			fputs("\\ufffd", out);
		else if (code && code < 0x80 && strchr("\"\\", code))
			fprintf(out, "\\%c", (char)code);
		else if (code && code < 0x20 && strchr(short_names, code))
			fprintf(out, "\\%c", short_letters[strchr(short_names, code) - short_names]);
		else if (is_steering(code) || code == '<' || code == '>' || code == '&')
			fprintf(out, "\\u%04x", code);
		else
			fwrite(text + i, 1, bytes, out);
	}
	fputc('"', out);
}

void show_lpm4(const struct talon_lpm4 *net, char *text, size_t size)
{
	char addr[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &net->addr, addr, sizeof(addr));
	snprintf(text, size, "%s/%u", addr, net->prefixlen);
}

void show_endpoint(const struct status_peer *peer, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN];

	if (peer->endpoint_family != AF_INET && peer->endpoint_family != AF_INET6) {
		snprintf(text, size, "-");
		return;
	}
	inet_ntop(peer->endpoint_family, &peer->endpoint, addr, sizeof(addr));
	snprintf(text, size, peer->endpoint_family == AF_INET ? "%s:%u" : "[%s]:%u", addr,
		ntohs(peer->endpoint_port));
}

void show_duration(__u64 seconds, char *text, size_t size)
{
	static const struct {
		__u64 seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	size_t len = 0, shown = 0;

	text[0] = '\0';
	for (size_t i = 0; i < 4 && shown < 2; i++) {
		__u64 count = seconds / units[i].seconds;

		seconds %= units[i].seconds;
		if (count || (i == 3 && !shown))
			len += snprintf(text + len, size - len, "%s%llu %s%s", shown ? ", " : "", count,
				units[i].name, count == 1 ? "" : "s");
		shown += shown || count;
	}
}

__u64 show_seconds_since(const struct status *status, __u64 then_ns)
{
	return status->now_ns > then_ns ? (status->now_ns - then_ns) / TALON_NSEC_PER_SEC : 0;
}

void show_bytes(__u64 bytes, char *text, size_t size)
{
	static const char prefixes[] = "KMGTPE";
	double value = bytes;
	int i = -1;

	if (bytes < 1024) {
		snprintf(text, size, "%llu B", bytes);
		return;
	}
	while (value >= 1024 && i < 5) {
		value /= 1024;
		i++;
	}
	snprintf(text, size, "%.1f %ciB", value, prefixes[i]);
}

void show_time(__u64 unix_s, char *text, size_t size)
{
	time_t when = unix_s;
	struct tm tm;

	text[0] = '\0';
	if (gmtime_r(&when, &tm))
		strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
