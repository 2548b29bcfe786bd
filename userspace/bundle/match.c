// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Recognizes addresses, domains, keys and tokens in text.
#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bundle/match_internal.h"

#define LABEL_MAX	63
#define DOMAIN_MAX	253
#define TOKEN_MIN	40

static bool is_alnum(char c)
{
	return isalnum((unsigned char)c);
}

static bool is_hex(char c)
{
	return isxdigit((unsigned char)c);
}

static bool is_base64(char c)
{
	return is_alnum(c) || c == '+' || c == '/';
}

/* The character @i, or a line feed behind the end. */
static char peek(const struct match_at *at, size_t i)
{
	return i < at->len ? at->text[i] : '\n';
}

static bool begins_word(const struct match_at *at)
{
	return !is_alnum(at->before) && at->before != '_';
}

size_t match_uuid(const struct match_at *at)
{
	static const char form[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
	size_t len = sizeof(form) - 1;

	if (at->len < len || is_hex(at->before))
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (form[i] == 'h' ? !is_hex(at->text[i]) : at->text[i] != '-')
			return 0;
	}
	return is_hex(peek(at, len)) ? 0 : len;
}

size_t match_token(const struct match_at *at)
{
	size_t len = 0, dots = 0;
	char c;

	if (at->len < TOKEN_MIN || is_alnum(at->before) || memcmp(at->text, "eyJ", 3))
		return 0;
	for (; is_alnum(c = peek(at, len)) || c == '-' || c == '_' || c == '.'; len++)
		dots += c == '.';
	return dots >= 2 && len >= TOKEN_MIN ? len : 0;
}

size_t match_user_of_url(const struct match_at *at)
{
	size_t len = 3;
	char c;

	if (at->len < 5 || memcmp(at->text, "://", 3))
		return 0;
	for (; isgraph((unsigned char)(c = peek(at, len))) && !strchr("/?#\"'<>", c); len++) {
		if (c == '@')
			return len + 1;
	}
	return 0;
}

size_t match_key(const struct match_at *at)
{
	if (at->len < MATCH_KEY_LEN || is_alnum(at->before) || at->before == '+')
		return 0;
	for (size_t i = 0; i < MATCH_KEY_LEN - 1; i++) {
		if (!is_base64(at->text[i]))
			return 0;
	}
	return at->text[MATCH_KEY_LEN - 1] == '=' && !is_base64(peek(at, MATCH_KEY_LEN)) &&
		peek(at, MATCH_KEY_LEN) != '=' ? MATCH_KEY_LEN : 0;
}

size_t match_mac(const struct match_at *at, uint8_t ret_mac[6])
{
	char separator = peek(at, 2);
	unsigned int byte;

	if (at->len < MATCH_MAC_LEN || !begins_word(at) || (separator != ':' && separator != '-') ||
		at->before == separator)
		return 0;
	for (size_t i = 0; i < 6; i++) {
		const char *pair = at->text + 3 * i;

		if (!is_hex(pair[0]) || !is_hex(pair[1]) || (i < 5 && pair[2] != separator))
			return 0;
		if (sscanf((const char[]){ pair[0], pair[1], 0 }, "%x", &byte) != 1)
			return 0;
		ret_mac[i] = byte;
	}
	separator = peek(at, MATCH_MAC_LEN) == separator ? separator : 0;
	return separator || is_alnum(peek(at, MATCH_MAC_LEN)) ? 0 : MATCH_MAC_LEN;
}

size_t match_ip6(const struct match_at *at, struct in6_addr *ret_addr)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = 0, colons = 0;

	if (!begins_word(at))
		return 0;
	for (char c; is_hex(c = peek(at, len)) || c == ':' || c == '.'; len++)
		colons += c == ':';
	if (colons < 2 || is_alnum(peek(at, len)))
		return 0;
	for (; len > 1; len--) {	/* what ends a sentence is not part of it */
		if (len < sizeof(text)) {
			memcpy(text, at->text, len);
			text[len] = '\0';
			if (inet_pton(AF_INET6, text, ret_addr) == 1)
				return len;
		}
		if (at->text[len - 1] != '.' && at->text[len - 1] != ':')
			break;
	}
	return 0;
}

size_t match_ip4(const struct match_at *at, uint32_t *ret_addr)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr addr;
	size_t len = 0;

	if (!begins_word(at) || at->before == '.')
		return 0;
	while (isdigit((unsigned char)peek(at, len)) || peek(at, len) == '.')
		len++;
	while (len && at->text[len - 1] == '.')
		len--;
	if (len < 7 || len >= sizeof(text) || is_alnum(peek(at, len)))
		return 0;
	memcpy(text, at->text, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, &addr) != 1)
		return 0;
	*ret_addr = ntohl(addr.s_addr);
	return len;
}

static bool is_one_of(const char *text, size_t len, const char *const *words)
{
	for (; *words; words++) {
		if (strlen(*words) == len && !strncasecmp(*words, text, len))
			return true;
	}
	return false;
}

/*
 * Whether the last label can be a top-level domain: letters, or punycode; and not the end of a file's name.
 */
static bool is_top(const char *text, size_t len)
{
	static const char *const endings[] = { "log", "json", "txt", "conf", "sock", "prom", "service",
		"socket", "target", "timer", "slice", "scope", "mount", "zip", "gz", "pcap", "pcapng", "yaml",
		"yml", "pid", "so", "bpf", "new", "tmp", "lock", "md", "sh", "py", "html", NULL };
	size_t letters = 0;

	if (is_one_of(text, len, endings))
		return false;
	if (len > 4 && !strncasecmp(text, "xn--", 4))
		return true;
	while (letters < len && isalpha((unsigned char)text[letters]))
		letters++;
	return letters == len && len >= 2;
}

/* net.ipv4.ip_forward and the like. */
static bool is_sysctl(const char *text, size_t len)
{
	static const char *const roots[] = { "net", "kernel", "vm", "fs", NULL };

	return is_one_of(text, strcspn(text, "."), roots) && len > 4;
}

size_t match_domain(const struct match_at *at)
{
	size_t len = 0, label = 0, labels = 1, last = 0;
	bool is_wild = at->text[0] == '*' && peek(at, 1) == '.';

	if (!begins_word(at) || at->before == '.' || (!is_alnum(at->text[0]) && at->text[0] != '_' &&
		!is_wild))
		return 0;
	for (char c; len < at->len && len < DOMAIN_MAX; len++) {
		c = at->text[len];
		if (c == '.' && label && (is_alnum(peek(at, len + 1)) || peek(at, len + 1) == '_')) {
			labels++;
			label = 0;
			last = len + 1;
		} else if (is_alnum(c) || c == '-' || c == '_' || (is_wild && !len)) {
			if (++label > LABEL_MAX)
				return 0;
		} else {
			break;
		}
	}
	while (len && at->text[len - 1] == '-')
		len--;
	if (labels < 2 || last >= len || !is_top(at->text + last, len - last) || is_sysctl(at->text, len))
		return 0;
	return len;
}

size_t match_word(const struct match_at *at)
{
	size_t len = 0;

	if (!begins_word(at))
		return 0;
	while (is_alnum(peek(at, len)) || peek(at, len) == '_' || (len && peek(at, len) == '-'))
		len++;
	while (len && at->text[len - 1] == '-')
		len--;
	return len;
}
