// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Parsers of values: numbers, words, devices, addresses, endpoints.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/host_port.h"
#include "config/value.h"
#include "crypto/key.h"

int value_key(struct slice text, __u8 ret_key[static WG_KEY_LEN])
{
	char buf[KEY_BASE64_LEN + 1];
	int ret = -EINVAL;

	if (slice_copy(text, buf, sizeof(buf)))
		ret = key_from_base64(buf, ret_key);
	sodium_memzero(buf, sizeof(buf));
	return ret;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int value_number(struct slice text, __u32 min, __u32 max, __u32 *ret_number)
{
	__u64 number = 0;

	if (!text.len)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.at[i]))
			return -EINVAL;
		number = number * 10 + (text.at[i] - '0');
		if (number > max)
			return -EINVAL;
	}
	if (number < min)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int value_u16(struct slice text, __u16 min, __u16 max, __u16 *ret_number)
{
	__u32 number;
	int ret = value_number(text, min, max, &number);

	if (!ret)
		*ret_number = number;
	return ret;
}

int value_port_range(struct slice text, __u16 *ret_first, __u16 *ret_last)
{
	const char *dash = memchr(text.at, '-', text.len);
	struct slice head, tail;
	__u32 first, last;

	if (!dash)
		return -EINVAL;
	head = (struct slice){ text.at, dash - text.at };
	tail = (struct slice){ dash + 1, text.len - head.len - 1 };
	if (value_number(slice_trim(head), CONFIG_OWN_PORT_FIRST, CONFIG_OWN_PORT_LAST, &first) ||
	    value_number(slice_trim(tail), CONFIG_OWN_PORT_FIRST, CONFIG_OWN_PORT_LAST, &last))
		return -EINVAL;
	if (first > last)
		return -ERANGE;
	*ret_first = first;
	*ret_last = last;
	return 0;
}

int value_word(struct slice text, const char *const *words, unsigned int *ret_index)
{
	for (unsigned int i = 0; words[i]; i++) {
		if (slice_is(text, words[i])) {
			*ret_index = i;
			return 0;
		}
	}
	return -EINVAL;
}

int value_bool(struct slice text, bool *ret_value)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1", NULL };
	unsigned int index;

	if (value_word(text, words, &index))
		return -EINVAL;
	*ret_value = index & 1;
	return 0;
}

int value_device(struct slice text, char ret_name[static IF_NAMESIZE])
{
	if (!text.len || text.len >= IF_NAMESIZE || slice_is(text, ".") || slice_is(text, ".."))
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] <= ' ' || text.at[i] > '~' || strchr("/:%", text.at[i]))
			return -EINVAL;
	}
	return slice_copy(text, ret_name, IF_NAMESIZE) ? 0 : -EINVAL;
}

int value_host4(struct slice text, __be32 *ret_addr)
{
	char buf[INET_ADDRSTRLEN];
	__be32 addr;

	if (!slice_copy(text, buf, sizeof(buf)) || inet_pton(AF_INET, buf, &addr) != 1 ||
		!addr4_is_host(addr))
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

/*
 * A host name (RFC 1123 section 2.1); underscores are accepted because they occur. A name whose last label is
 * numeric is refused: it is a mistyped address.
 */
static bool is_name(struct slice text)
{
	size_t label = 0;
	bool has_letter = false;

	if (!text.len || text.len > 253)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
			has_letter = has_letter && i + 1 == text.len;
			continue;
		}
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == '-' && label))
			has_letter = true;
		else if (!is_digit(c))
			return false;
		if (++label > 63)
			return false;
	}
	return has_letter;
}

static bool is_host6(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	if (*(const __u8 *)addr == 0xff)
		return false;
	return memcmp(addr, &zero, sizeof(zero)) && !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)addr);
}

static bool is_host4_or_loopback(__be32 addr)
{
	return addr4_is_host(addr) || ntohl(addr) >> 24 == 127;
}

unsigned int value_zone_index(const char *zone)
{
	unsigned int index = if_nametoindex(zone);
	char name[IF_NAMESIZE];
	__u32 number;

	if (!index && !value_number(slice_from(zone), 1, INT32_MAX, &number) && if_indextoname(number, name))
		index = number;
	return index;
}

/*
 * ADDRESS%ZONE (RFC 4007 section 11). A link-local address needs its zone; other addresses must not have one.
 */
static int endpoint_host6(char *text, struct config_endpoint *endpoint)
{
	char *zone = strchr(text, '%');

	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, text, &endpoint->addr) != 1 || !is_host6(&endpoint->addr))
		return -EINVAL;
	if (IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)&endpoint->addr) != (zone != NULL))
		return -EINVAL;
	if (zone && value_device(slice_from(zone), endpoint->zone))
		return -EINVAL;
	endpoint->family = AF_INET6;
	return 0;
}

/* Sets the address or the name of @endpoint from the host part. */
static int endpoint_host(const struct host_port *parsed, struct config_endpoint *endpoint)
{
	char buf[HOST_LEN];

	if (!slice_copy(parsed->host, buf, sizeof(buf)))
		return -EINVAL;
	if (parsed->is_literal6)
		return endpoint_host6(buf, endpoint);
	if (inet_pton(AF_INET, buf, &endpoint->addr) == 1) {
		endpoint->family = AF_INET;
		return is_host4_or_loopback(endpoint->addr.word[0]) ? 0 : -EINVAL;
	}
	if (!is_name(parsed->host))
		return -EINVAL;
	endpoint->host = strdup(buf);
	return endpoint->host ? 0 : -ENOMEM;
}

int value_endpoint(struct slice text, struct config_endpoint *ret_endpoint)
{
	struct config_endpoint endpoint = {};
	struct host_port parsed;
	int ret;

	if (host_port_parse(text, HOST_PORT_BARE6 | HOST_PORT_ZONE, 0, &parsed))
		return -EINVAL;
	ret = endpoint_host(&parsed, &endpoint);
	if (ret)
		return ret;
	endpoint.port = htons(parsed.port);
	*ret_endpoint = endpoint;
	return 0;
}

/* Cuts a number with an optional fraction off @text. */
static bool cut_number(struct slice *text)
{
	size_t len = 0, digits = 0;
	bool has_point = false;

	for (; len < text->len; len++) {
		if (is_digit(text->at[len]))
			digits++;
		else if (text->at[len] != '.' || has_point)
			break;
		else
			has_point = true;
	}
	*text = (struct slice){ text->at + len, text->len - len };
	return digits && len <= 18;
}

int value_duration(struct slice text)
{
	static const char *const units[] = { "ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h" };
	const struct slice whole = text;
	size_t unit;

	if (!cut_number(&text))
		return -EINVAL;
	if (!text.len)
		return memchr(whole.at, '.', whole.len) ? -EINVAL : 0;
	for (;;) {
		/* the longest one that fits: "ms" before "m" */
		for (unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
			if (text.len >= strlen(units[unit]) &&
				!memcmp(text.at, units[unit], strlen(units[unit])))
				break;
		}
		if (unit == sizeof(units) / sizeof(units[0]))
			return -EINVAL;
		text = (struct slice){ text.at + strlen(units[unit]), text.len - strlen(units[unit]) };
		if (!text.len)
			return 0;
		if (!cut_number(&text) || !text.len)
			return -EINVAL;
	}
}

/* The path of a Unix socket: absolute, printable, and short enough for its address. */
static int listen_path(struct slice path, struct config_metrics *place)
{
	if (path.len < 2 || path.at[0] != '/' || path.at[path.len - 1] == '/')
		return -EINVAL;
	for (size_t i = 0; i < path.len; i++) {
		if (path.at[i] < ' ' || path.at[i] > '~')
			return -EINVAL;
	}
	if (!slice_copy(path, place->path, sizeof(place->path)))
		return -EINVAL;
	place->family = AF_UNIX;
	return 0;
}

static int listen_address(const struct host_port *parsed, struct config_metrics *place)
{
	char buf[HOST_LEN];

	if (!slice_copy(parsed->host, buf, sizeof(buf)))
		return -EINVAL;
	place->family = parsed->is_literal6 ? AF_INET6 : AF_INET;
	place->port = htons(parsed->port);
	if (inet_pton(place->family, buf, &place->addr) != 1)
		return -EINVAL;
	if (place->family == AF_INET6)
		return IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)&place->addr) ||
			IN6_IS_ADDR_MULTICAST((const struct in6_addr *)&place->addr) ? -EINVAL : 0;
	return !place->addr.word[0] || is_host4_or_loopback(place->addr.word[0]) ? 0 : -EINVAL;
}

int value_listen(struct slice text, struct config_metrics *ret_place)
{
	static const char unix_[] = "unix:";
	const size_t len = sizeof(unix_) - 1;
	struct config_metrics place = *ret_place;
	struct host_port parsed;
	int ret;

	if (text.len > len && slice_is((struct slice){ text.at, len }, unix_))
		ret = listen_path((struct slice){ text.at + len, text.len - len }, &place);
	else if (host_port_parse(text, 0, 0, &parsed))
		ret = -EINVAL;
	else
		ret = listen_address(&parsed, &place);
	if (!ret)
		*ret_place = place;
	return ret;
}
