/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* HOST:PORT: parsing and formatting. */
#ifndef TALON_BASE_HOST_PORT_H
#define TALON_BASE_HOST_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define HOST_LEN	256			/* a host's text, with its terminator */
#define HOST_PORT_LEN	(HOST_LEN + 8)		/* "[HOST]:65535", with its terminator */

enum host_port_flags {
	/* The last colon is the port's even if an IPv6 address has no brackets, as wg(8) has it. */
	HOST_PORT_BARE6 = 1,
	/* An IPv6 address may have a zone: [fe80::1%eth0] (RFC 4007 section 11). */
	HOST_PORT_ZONE = 2,
};

/* Points into the text it was parsed from. */
struct host_port {
	struct slice host;	/* without brackets */
	bool is_literal6;	/* it is an IPv6 address, by its brackets or its colons */
	uint16_t port;		/* host byte order */
};

/*
 * Parses HOST:PORT, or HOST alone unless @default_port is 0. The host is a name, an IPv4 address or an
 * IPv6 address in brackets (RFC 3986 section 3.2.2); its characters are checked, its meaning is not.
 * Port 0 is no port.
 * @flags: of enum host_port_flags. Returns 0 or -EINVAL.
 */
int host_port_parse(struct slice text, unsigned int flags, uint16_t default_port, struct host_port *ret);

/* Writes "HOST:PORT", with brackets around a host that holds colons. A name that does not fit is cut. */
void host_port_format(const char *host, uint16_t port, char ret_text[static HOST_PORT_LEN]);

#endif
