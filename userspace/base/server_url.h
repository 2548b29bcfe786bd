/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a server is: SCHEME://HOST[:PORT], and stun:HOST[:PORT] (RFC 7064). Parsed once,
 * compared as a struct.
 */
#ifndef TALON_BASE_SERVER_URL_H
#define TALON_BASE_SERVER_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/host_port.h"

#define SERVER_URL_LEN (HOST_PORT_LEN + 8)	/* the longest text and its terminator */

enum server_scheme {
	SERVER_NONE,		/* no server; zeroed memory is that */
	SERVER_HTTP,
	SERVER_HTTPS,
	SERVER_REL,		/* a NetBird relay, WebSocket over HTTP/1.1 */
	SERVER_RELS,		/* the same over TLS */
	SERVER_STUN,
};

struct server_url {
	enum server_scheme scheme;
	uint16_t port;			/* host byte order; the scheme's default if none was written */
	bool has_port;			/* it was written */
	char host[HOST_LEN];		/* without brackets */
};

#define SERVER_SCHEME(scheme) (1U << (scheme))
#define SERVER_SCHEMES_WEB	(SERVER_SCHEME(SERVER_HTTP) | SERVER_SCHEME(SERVER_HTTPS))
#define SERVER_SCHEMES_RELAY	(SERVER_SCHEME(SERVER_REL) | SERVER_SCHEME(SERVER_RELS))

/*
 * Parses @text, whose scheme must be one of @schemes (a mask of SERVER_SCHEME()); case does not matter.
 * What follows the authority from '/', '?' or '#' on is ignored. Returns 0; -EPROTONOSUPPORT: another
 * scheme, or none; -EINVAL.
 */
int server_url_parse(const char *text, unsigned int schemes, struct server_url *ret_url);
/*
 * Parses a URL of the web that strangers name: visible ASCII, and neither a backslash nor a user nor a
 * fragment, which different libraries read differently. Returns 0; -EPROTONOSUPPORT; -EINVAL.
 */
int server_url_parse_web(const char *text, struct server_url *ret_url);
/* Parses HOST[:PORT] of a server whose scheme is known. Returns 0 or -EINVAL. */
int server_url_parse_authority(struct slice text, enum server_scheme scheme, struct server_url *ret_url);

static inline bool server_url_is_tls(const struct server_url *url)
{
	return url->scheme == SERVER_HTTPS || url->scheme == SERVER_RELS;
}

/* True if the host is localhost or a loopback address: this very host, without a network between. */
bool server_url_is_loopback(const struct server_url *url);

/* True if both are the same server: scheme, host (in any case) and port, written or not. */
bool server_url_is_equal(const struct server_url *a, const struct server_url *b);
/* Writes the URL with its port, "https://host:443", "stun:host:3478"; "" for SERVER_NONE. */
void server_url_format(const struct server_url *url, char ret_text[static SERVER_URL_LEN]);
/* Writes HOST or HOST:PORT as the URL had it, for a Host field (RFC 9110 section 7.2). */
void server_url_format_authority(const struct server_url *url, char ret_text[static HOST_PORT_LEN]);

#endif
