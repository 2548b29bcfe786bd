// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The environment's proxy, chosen as curl does: https_proxy and its family, no_proxy; and an HTTP CONNECT
// with Basic authentication (RFC 9110 9.3.6).
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/host_port.h"
#include "stream/internal.h"

#define CREDENTIALS_MAX	512
#define PROXY_PORT	80
#define SOCKS_PORT	1080
#define SOCKS_TEXT_MAX	255
#define FORM		"http://[user:password@]host[:port], or the same with socks5h:// or socks5://"

static const char *first_of(const char *const names[], const char **ret_name)
{
	for (; *names; names++) {
		const char *value = getenv(*names);

		if (value && *value) {
			*ret_name = *names;
			return value;
		}
	}
	return NULL;
}

/* An address as 16 bytes, IPv4 mapped. */
static bool parse_address(const char *text, uint8_t bytes[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (inet_pton(AF_INET6, text, bytes) == 1)
		return true;
	memcpy(bytes, mapped, sizeof(mapped));
	return inet_pton(AF_INET, text, bytes + 12) == 1;
}

static bool parse_number(const char *text, unsigned int max, unsigned int *ret_value)
{
	unsigned int value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		value = value * 10 + (*text - '0');
		if (value > max)
			return false;
	}
	*ret_value = value;
	return true;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	if (memcmp(a, b, bits / 8))
		return false;
	return !(bits % 8) || !((a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8));
}

/* @rule is an address, or a prefix with its length behind a slash. */
static bool address_matches(char *rule, const uint8_t host[static 16])
{
	char *slash = strchr(rule, '/');
	unsigned int bits = 128, most;
	uint8_t bytes[16];

	if (slash)
		*slash = 0;
	if (!parse_address(rule, bytes))
		return false;
	if (slash) {
		most = strchr(rule, ':') ? 128 : 32;
		if (!parse_number(slash + 1, most, &bits))
			return false;
		bits += 128 - most;
	}
	return same_prefix(bytes, host, bits);
}

/* "example.org" and ".example.org" are the name and all below it, "*.example.org" only what is below. */
static bool name_matches(const char *rule, const char *host)
{
	size_t rule_len, host_len = strlen(host);
	bool is_below_only;

	is_below_only = *rule == '*' && rule[1] == '.';
	rule += is_below_only ? 2 : *rule == '.';
	rule_len = strlen(rule);
	if (!rule_len || rule_len > host_len || strcasecmp(host + host_len - rule_len, rule))
		return false;
	return rule_len == host_len ? !is_below_only : host[host_len - rule_len - 1] == '.';
}

/*
 * Cuts ":port" off @rule (one colon only, or behind brackets) and the brackets. False: it is
 * for another port.
 */
static bool port_matches(char **rule, uint16_t port)
{
	char *end = strrchr(*rule, ']'), *colon = strrchr(*rule, ':');
	unsigned int want;

	if (end ? colon && colon < end : colon && strchr(*rule, ':') != colon)
		colon = NULL;
	if (colon) {
		*colon = 0;
		if (!parse_number(colon + 1, 65535, &want) || want != port)
			return false;
	}
	if (end && **rule == '[') {
		*end = 0;
		++*rule;
	}
	return true;
}

static bool rule_matches(char *rule, const char *host, const uint8_t *address, uint16_t port)
{
	if (!strcmp(rule, "*"))
		return true;
	if (!*rule || !port_matches(&rule, port))
		return false;
	return address ? address_matches(rule, address) : name_matches(rule, host);
}

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	for (end = text + strlen(text); end > text && isspace((unsigned char)end[-1]); end--)
		end[-1] = 0;
	return text;
}

bool proxy_is_excluded(const char *rules, const char *host, uint16_t port)
{
	uint8_t bytes[16], *address = parse_address(host, bytes) ? bytes : NULL;
	char *copy = strdup(rules), *rule, *save = NULL;
	bool ret = false;

	for (rule = copy ? strtok_r(copy, ", \t", &save) : NULL; rule && !ret;
		rule = strtok_r(NULL, ", \t", &save))
		ret = rule_matches(trim(rule), host, address, port);
	free(copy);
	return ret;
}

/* This host itself is never reached through a proxy, whatever the rules say. */
static bool is_this_host(const char *host)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	uint8_t bytes[16];

	if (!strcasecmp(host, "localhost"))
		return true;
	if (!parse_address(host, bytes))
		return false;
	return !memcmp(bytes, loopback6, sizeof(bytes)) || address_matches((char[]){ "127.0.0.0/8" }, bytes);
}

static int hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

static size_t percent_decode(char *text, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 &&
			hex_value(text[i + 2]) >= 0) {
			text[out++] = hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]);
			i += 2;
		} else {
			text[out++] = text[i];
		}
	}
	return out;
}

/* For SOCKS. */
static int set_user(struct proxy *proxy, const char *user, size_t len)
{
	const char *colon = memchr(user, ':', len);
	size_t user_len = colon ? (size_t)(colon - user) : len;

	proxy->user = strndup(user, user_len);
	proxy->password = strndup(colon ? colon + 1 : "", colon ? len - user_len - 1 : 0);
	if (!proxy->user || !proxy->password)
		return -ENOMEM;
	user_len = percent_decode(proxy->user, user_len);
	proxy->user[user_len] = 0;
	len = percent_decode(proxy->password, strlen(proxy->password));
	proxy->password[len] = 0;
	return user_len && user_len <= SOCKS_TEXT_MAX && len <= SOCKS_TEXT_MAX ? 0 : -EINVAL;
}

/* "user:password", each percent-encoded. */
static int set_authorization(struct proxy *proxy, const char *user, size_t len)
{
	static const char scheme[] = "Basic ";
	char plain[CREDENTIALS_MAX];
	size_t room;

	if (len >= sizeof(plain))
		return -EINVAL;
	memcpy(plain, user, len);
	len = percent_decode(plain, len);
	if (!memchr(plain, ':', len))
		plain[len++] = ':';
	room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
	proxy->authorization = malloc(sizeof(scheme) + room);
	if (proxy->authorization) {
		memcpy(proxy->authorization, scheme, sizeof(scheme));
		sodium_bin2base64(proxy->authorization + sizeof(scheme) - 1, room, (uint8_t *)plain, len,
			sodium_base64_VARIANT_ORIGINAL);
	}
	sodium_memzero(plain, sizeof(plain));
	return proxy->authorization ? 0 : -ENOMEM;
}

/* HOST, HOST:PORT, [IPv6], [IPv6]:PORT */
static int parse_host_port(struct proxy *proxy, const char *text, size_t len)
{
	struct host_port parsed;

	if (host_port_parse((struct slice){ text, len }, HOST_PORT_BARE6, proxy->is_socks ? SOCKS_PORT
		: PROXY_PORT, &parsed))
		return -EINVAL;
	slice_copy(parsed.host, proxy->host, sizeof(proxy->host));
	proxy->port = parsed.port;
	return 0;
}

/*
 * A SOCKS proxy looks the name up in both of its forms, as with Go's programs: nothing is asked here that it
 * may know better.
 */
static bool is_kind(struct proxy *proxy, const char *scheme, size_t len)
{
	proxy->is_socks = (len == 6 && !strncasecmp(scheme, "socks5", 6)) ||
		(len == 7 && !strncasecmp(scheme, "socks5h", 7));
	return proxy->is_socks || (len == 4 && !strncasecmp(scheme, "http", 4));
}

static int parse_proxy(struct proxy *proxy, const char *url)
{
	const char *scheme = strstr(url, "://"), *rest = scheme ? scheme + 3 : url, *at;
	size_t len;
	int ret;

	if (scheme && !is_kind(proxy, url, scheme - url))
		return -EPROTONOSUPPORT;
	len = strcspn(rest, "/?#");
	at = memrchr(rest, '@', len);
	if (at) {
		ret = proxy->is_socks ? set_user(proxy, rest, at - rest) : set_authorization(proxy, rest,
			at - rest);
		if (ret)
			return ret;
		len -= at + 1 - rest;
		rest = at + 1;
	}
	return parse_host_port(proxy, rest, len);
}

int proxy_choose(const char *host, uint16_t port, bool tls, struct proxy *ret_proxy, char *why, size_t size)
{
	/*
	 * In curl's order. It leaves out HTTP_PROXY, which a web server may have made of a request's header.
	 */
	static const char *const for_tls[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL };
	static const char *const for_clear[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
	static const char *const for_none[] = { "no_proxy", "NO_PROXY", NULL };
	const char *name = "", *url = first_of(tls ? for_tls : for_clear, &name), *unused = NULL;
	const char *rules = first_of(for_none, &unused);
	struct proxy proxy = {};
	int ret;

	if (!url || is_this_host(host) || (rules && proxy_is_excluded(rules, host, port)))
		return 0;
	ret = parse_proxy(&proxy, url);
	if (!ret) {
		proxy.variable = name;
		*ret_proxy = proxy;
		return 1;
	}
	proxy_done(&proxy);
	/* The value may hold a password: it is not repeated. */
	snprintf(why, size, ret == -EPROTONOSUPPORT ? "%s names a proxy of another kind than " FORM :
		"%s is not of the form " FORM, name);
	return ret == -ENOMEM ? ret : -EINVAL;
}

void proxy_done(struct proxy *proxy)
{
	char *const texts[] = { proxy->authorization, proxy->user, proxy->password };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i])
			sodium_memzero(texts[i], strlen(texts[i]));
		free(texts[i]);
	}
	*proxy = (struct proxy){};
}

int proxy_write_request(const struct proxy *proxy, const char *host, uint16_t port, char *buf, size_t size)
{
	char name[STREAM_NAME_LEN];
	int len;

	host_port_format(host, port, name);
	len = snprintf(buf, size, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: talon/"
		TALON_VERSION "\r\n%s%s%s\r\n", name, name, proxy->authorization ? "Proxy-Authorization: "
		: "", proxy->authorization ? proxy->authorization : "", proxy->authorization ? "\r\n" : "");
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : len;
}

int proxy_answer_feed(struct proxy_answer *answer, const char *bytes, size_t len, size_t *ret_used)
{
	struct http_scanner *head = &answer->head;
	struct http_status status;
	size_t used = 0, part = 0;
	int ret;

	for (;;) {
		bool had_line = head->has_line;

		ret = http_scan(head, PROXY_ANSWER_MAX, bytes + used, len - used, &part);
		used += part;
		*ret_used = used;
		/* A first line that is not HTTP's says so at once, however long the rest takes. */
		if (head->has_line && !had_line &&
			http_status_parse((struct slice){ head->line, head->line_len }, &status))
			return -EPROTO;
		if (ret)
			return ret == -EAGAIN ? ret : -EPROTO;
		http_status_parse((struct slice){ head->line, head->line_len }, &status);
		answer->status = status.code;
		if (status.code >= 200)
			return 0;
		/* The end of an interim answer (RFC 9110 section 15.2): the real one follows. */
		*head = (struct http_scanner){ .seen = head->seen };
	}
}
