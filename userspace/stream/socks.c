// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A SOCKS5 proxy's side of the talk (RFC 1928), with user and password (RFC 1929). The proxy looks names up.
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "stream/internal.h"

#define VERSION		5
#define AUTH_VERSION	1
#define CONNECT		1
#define NO_AUTH		0
#define BY_PASSWORD	2
#define ADDR_V4		1
#define ADDR_NAME	3
#define ADDR_V6		4

static size_t put_text(uint8_t *at, const char *text)
{
	size_t len = strlen(text);

	at[0] = len;
	memcpy(at + 1, text, len);
	return len + 1;
}

static size_t put_hello(const struct proxy *proxy, uint8_t *out)
{
	out[0] = VERSION;
	out[1] = proxy->user ? 2 : 1;
	out[2] = NO_AUTH;
	out[3] = BY_PASSWORD;
	return proxy->user ? 4 : 3;
}

static size_t put_password(const struct proxy *proxy, uint8_t *out)
{
	size_t len = 1;

	out[0] = AUTH_VERSION;
	len += put_text(out + len, proxy->user);
	return len + put_text(out + len, proxy->password);
}

static size_t put_address(uint8_t *out, const char *host)
{
	if (inet_pton(AF_INET, host, out + 1) == 1) {
		out[0] = ADDR_V4;
		return 5;
	}
	if (inet_pton(AF_INET6, host, out + 1) == 1) {
		out[0] = ADDR_V6;
		return 17;
	}
	out[0] = ADDR_NAME;
	return 1 + put_text(out + 1, host);
}

static size_t put_request(uint8_t *out, const char *host, uint16_t port)
{
	size_t len = 3;

	out[0] = VERSION;
	out[1] = CONNECT;
	out[2] = 0;
	len += put_address(out + len, host);
	out[len++] = port >> 8;
	out[len++] = port;
	return len;
}

size_t socks_begin(struct socks *socks, const struct proxy *proxy, uint8_t out[static SOCKS_OUT_MAX])
{
	*socks = (struct socks){ .step = SOCKS_METHOD, .want = 2 };
	return put_hello(proxy, out);
}

static int ask(struct socks *socks, const char *host, uint16_t port, uint8_t *out, size_t *ret_len)
{
	socks->step = SOCKS_REPLY;
	socks->want = 5;		/* to where the length of the address is known */
	*ret_len = put_request(out, host, port);
	return -EAGAIN;
}

static int refuse(struct socks *socks, int ret, const char *why)
{
	socks->why = why;
	return ret;
}

static int take_method(struct socks *socks, const struct proxy *proxy, const char *host, uint16_t port,
	uint8_t *out, size_t *ret_len)
{
	if (socks->in[0] != VERSION)
		return refuse(socks, -EPROTO, "its answer is not SOCKS5");
	if (socks->in[1] == NO_AUTH)
		return ask(socks, host, port, out, ret_len);
	if (socks->in[1] != BY_PASSWORD || !proxy->user)
		return refuse(socks, -EACCES, proxy->user ? "takes neither the password nor none" :
			"wants a password (its URL may be socks5h://user:password@host:port)");
	socks->step = SOCKS_PASSWORD;
	socks->want = 2;
	*ret_len = put_password(proxy, out);
	return -EAGAIN;
}

/* RFC 1928 section 6 */
static const char *reason_of(uint8_t code)
{
	static const char *const reasons[] = {
		"", "general failure", "not allowed by its rules", "network unreachable", "host unreachable",
		"connection refused",
		"time to live expired", "command not supported", "address type not supported",
	};

	return code < sizeof(reasons) / sizeof(reasons[0]) ? reasons[code] : "an error without a name";
}

static int take_reply(struct socks *socks)
{
	static const uint8_t rest[] = { [ADDR_V4] = 4, [ADDR_V6] = 16 };
	uint8_t type = socks->in[3];

	if (socks->in[0] != VERSION || (type != ADDR_V4 && type != ADDR_V6 && type != ADDR_NAME))
		return refuse(socks, -EPROTO, "its answer is not SOCKS5");
	if (socks->in[1])
		return refuse(socks, -ECONNREFUSED, reason_of(socks->in[1]));
	if (socks->want > 5)
		return 0;
	/* The bound address and its port; nobody needs them, but they are not the server's bytes. */
	socks->want = (type == ADDR_NAME ? 5 + socks->in[4] : 4 + rest[type]) + 2;
	return -EAGAIN;
}

int socks_take(struct socks *socks, const struct proxy *proxy, const char *host, uint16_t port,
	const uint8_t *bytes, size_t len, uint8_t out[static SOCKS_OUT_MAX], size_t *ret_len)
{
	int ret = -EAGAIN;

	*ret_len = 0;
	memcpy(socks->in + socks->have, bytes, len);
	socks->have += len;
	if (socks->have < socks->want)
		return -EAGAIN;
	switch (socks->step) {
	case SOCKS_METHOD:
		ret = take_method(socks, proxy, host, port, out, ret_len);
		break;
	case SOCKS_PASSWORD:
		ret = socks->in[1] ? refuse(socks, -EACCES, "does not take the user and the password")
			: ask(socks, host, port, out, ret_len);
		break;
	case SOCKS_REPLY:
		return take_reply(socks);	/* grows */
	}
	socks->have = 0;
	return ret;
}
