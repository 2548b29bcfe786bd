// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where a server is.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/server_url.h"

static const struct {
	const char *prefix;
	uint16_t port;
} schemes_known[] = {
	[SERVER_NONE]	= { "", 0 },
	[SERVER_HTTP]	= { "http://", 80 },
	[SERVER_HTTPS]	= { "https://", 443 },
	[SERVER_REL]	= { "rel://", 80 },
	[SERVER_RELS]	= { "rels://", 443 },
	[SERVER_STUN]	= { "stun:", 3478 },
};

#define SCHEME_COUNT (sizeof(schemes_known) / sizeof(schemes_known[0]))

int server_url_parse_authority(struct slice text, enum server_scheme scheme, struct server_url *ret_url)
{
	struct server_url url = { .scheme = scheme };
	struct host_port parsed;

	if (host_port_parse(text, 0, schemes_known[scheme].port, &parsed) ||
		!slice_copy(parsed.host, url.host, sizeof(url.host)))
		return -EINVAL;
	url.port = parsed.port;
	url.has_port = !host_port_parse(text, 0, 0, &parsed);
	*ret_url = url;
	return 0;
}

int server_url_parse(const char *text, unsigned int schemes, struct server_url *ret_url)
{
	for (unsigned int i = SERVER_HTTP; i < SCHEME_COUNT; i++) {
		const char *prefix = schemes_known[i].prefix, *rest = text + strlen(prefix);

		if (!(schemes & SERVER_SCHEME(i)) || strncasecmp(text, prefix, strlen(prefix)))
			continue;
		return server_url_parse_authority((struct slice){ rest, strcspn(rest, "/?#") }, i, ret_url);
	}
	return -EPROTONOSUPPORT;
}

int server_url_parse_web(const char *text, struct server_url *ret_url)
{
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || strchr("\\@#", *at))
			return -EINVAL;
	return server_url_parse(text, SERVER_SCHEMES_WEB, ret_url);
}

bool server_url_is_loopback(const struct server_url *url)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, url->host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, url->host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return !strcasecmp(url->host, "localhost");
}

bool server_url_is_equal(const struct server_url *a, const struct server_url *b)
{
	return a->scheme == b->scheme && a->port == b->port && !strcasecmp(a->host, b->host);
}

void server_url_format(const struct server_url *url, char ret_text[static SERVER_URL_LEN])
{
	char name[HOST_PORT_LEN] = "";

	if (url->scheme != SERVER_NONE)
		host_port_format(url->host, url->port, name);
	snprintf(ret_text, SERVER_URL_LEN, "%s%s", schemes_known[url->scheme].prefix, name);
}

void server_url_format_authority(const struct server_url *url, char ret_text[static HOST_PORT_LEN])
{
	const bool is_literal6 = strchr(url->host, ':');

	if (url->has_port)
		host_port_format(url->host, url->port, ret_text);
	else
		snprintf(ret_text, HOST_PORT_LEN, is_literal6 ? "[%s]" : "%s", url->host);
}
