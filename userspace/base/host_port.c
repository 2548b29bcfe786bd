// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// HOST:PORT.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/host_port.h"

/* Decimal digits only, 1 to 65535. */
static int parse_port(struct slice text, uint16_t *ret_port)
{
	unsigned int port = 0;

	if (!text.len || text.len > 5)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return -EINVAL;
		port = port * 10 + text.at[i] - '0';
	}
	if (!port || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = port;
	return 0;
}

static bool is_host_name(struct slice host)
{
	for (size_t i = 0; i < host.len; i++) {
		if (!isalnum((unsigned char)host.at[i]) && !strchr(".-_", host.at[i]))
			return false;
		if (!host.at[i])
			return false;
	}
	return host.len && host.len < HOST_LEN;
}

static bool is_zone(struct slice zone)
{
	for (size_t i = 0; i < zone.len; i++) {
		if (zone.at[i] <= ' ' || zone.at[i] > '~' || strchr("[]/:%", zone.at[i]))
			return false;
	}
	return zone.len;
}

static bool is_literal6(struct slice host, unsigned int flags)
{
	size_t i = 0;

	while (i < host.len && (isxdigit((unsigned char)host.at[i]) || strchr(":.", host.at[i])) &&
		host.at[i])
		i++;
	if (!memchr(host.at, ':', i) || host.len >= HOST_LEN)
		return false;
	if (i == host.len)
		return true;
	return flags & HOST_PORT_ZONE && host.at[i] == '%' &&
		is_zone((struct slice){ host.at + i + 1, host.len - i - 1 });
}

/* Splits @text at the colon of its port; @ret_port is empty if there is no colon. */
static int split(struct slice text, unsigned int flags, struct host_port *ret, struct slice *ret_port)
{
	bool has_bracket = text.len && text.at[0] == '[';
	const char *end = text.at + text.len, *colon;

	if (has_bracket) {
		const char *bracket = memchr(text.at, ']', text.len);

		if (!bracket || (bracket + 1 < end && bracket[1] != ':'))
			return -EINVAL;
		ret->host = (struct slice){ text.at + 1, bracket - text.at - 1 };
		colon = bracket + 1 < end ? bracket + 1 : NULL;
	} else {
		colon = flags & HOST_PORT_BARE6 ? memrchr(text.at, ':', text.len) : memchr(text.at, ':',
			text.len);
		ret->host = (struct slice){ text.at, (colon ? colon : end) - text.at };
	}
	ret->is_literal6 = has_bracket || memchr(ret->host.at, ':', ret->host.len);
	*ret_port = colon ? (struct slice){ colon + 1, end - colon - 1 } : (struct slice){};
	return colon ? 1 : 0;
}

int host_port_parse(struct slice text, unsigned int flags, uint16_t default_port, struct host_port *ret)
{
	struct host_port parsed = { .port = default_port };
	struct slice port;
	int has_port;

	has_port = split(text, flags, &parsed, &port);
	if (has_port < 0 || (!has_port && !default_port))
		return -EINVAL;
	if (has_port && parse_port(port, &parsed.port))
		return -EINVAL;
	if (parsed.is_literal6 ? !is_literal6(parsed.host, flags) : !is_host_name(parsed.host))
		return -EINVAL;
	*ret = parsed;
	return 0;
}

void host_port_format(const char *host, uint16_t port, char ret_text[static HOST_PORT_LEN])
{
	const char *form = strchr(host, ':') ? "[%.*s]:%u" : "%.*s:%u";

	snprintf(ret_text, HOST_PORT_LEN, form, HOST_LEN - 1, host, port);
}
