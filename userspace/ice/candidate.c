// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Candidates as one line of text, in the form that NetBird's peers signal (RFC 8839 section 5.1 without
// its prefix).
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "ice/candidate.h"

#define FIELDS_MAX 64

static const struct {
	const char *name;
	uint8_t preference;		/* RFC 8445 section 5.1.2.2 */
} types[] = {
	[ICE_HOST] = { "host", 126 },
	[ICE_SRFLX] = { "srflx", 100 },
	[ICE_PRFLX] = { "prflx", 110 },
	[ICE_RELAY] = { "relay", 0 },
};

const char *ice_candidate_type_name(enum ice_candidate_type type)
{
	return types[type].name;
}

uint32_t ice_candidate_priority(enum ice_candidate_type type)
{
	return (uint32_t)types[type].preference << 24 | 65535 << 8 | 255;
}

/* As NetBird computes it: equal for candidates of one type and address (RFC 8445 section 5.1.1.3). */
static uint32_t foundation(const struct ice_candidate *candidate, const char *addr)
{
	char text[INET6_ADDRSTRLEN + 16];
	int len = snprintf(text, sizeof(text), "%s%s%s", types[candidate->type].name, addr,
		candidate->family == AF_INET ? "udp4" : "udp6");

	return crc32(0, (const uint8_t *)text, len);
}

static int append(char *buf, size_t size, int len, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

static int append(char *buf, size_t size, int len, const char *fmt, ...)
{
	va_list args;
	int more;

	if (len < 0)
		return len;
	va_start(args, fmt);
	more = vsnprintf(buf + len, size - len, fmt, args);
	va_end(args);
	return more < 0 || (size_t)more >= size - len ? -ENOSPC : len + more;
}

int ice_candidate_format(const struct ice_candidate *candidate, const char *ufrag, char *buf, size_t size)
{
	char addr[INET6_ADDRSTRLEN], related[INET6_ADDRSTRLEN];
	int len = 0;

	inet_ntop(candidate->family, &candidate->addr, addr, sizeof(addr));
	inet_ntop(candidate->family, &candidate->related, related, sizeof(related));
	len = append(buf, size, len, "%u 1 udp %u %s %u typ %s", foundation(candidate, addr),
		candidate->priority, addr, ntohs(candidate->port), types[candidate->type].name);
	if (candidate->has_related)
		len = append(buf, size, len, " raddr %s rport %u", related, ntohs(candidate->related_port));
	len = append(buf, size, len, " ufrag %s", ufrag);
	if (candidate->cid[0])
		len = append(buf, size, len, " cid %s", candidate->cid);
	return len;
}

static int read_number(const char *text, uint32_t max, uint32_t *ret_value)
{
	unsigned long long value;
	char *end;

	if (text[0] < '0' || text[0] > '9' || strlen(text) > 10)
		return -EBADMSG;
	value = strtoull(text, &end, 10);
	if (*end || value > max)
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

static int read_port(const char *text, __be16 *ret_port)
{
	uint32_t value;

	if (read_number(text, 65535, &value))
		return -EBADMSG;
	*ret_port = htons(value);
	return 0;
}

static int read_addr(char *text, uint16_t *ret_family, struct talon_addr *ret_addr)
{
	struct talon_addr addr = { 0 };
	char *zone = strchr(text, '%');

	if (inet_pton(AF_INET, text, &addr) == 1) {
		*ret_family = AF_INET;
	} else {
		if (zone)
			*zone = 0;
		if (inet_pton(AF_INET6, text, &addr) != 1)
			return -EBADMSG;
		*ret_family = AF_INET6;
	}
	*ret_addr = addr;
	return 0;
}

static bool is_mdns_name(const char *text)
{
	size_t len = strlen(text);

	return len > 6 && !strcasecmp(text + len - 6, ".local");
}

/* A check to such an address reaches no peer, or ourselves. */
static bool is_useless(uint16_t family, const struct talon_addr *addr)
{
	const struct in6_addr *in6 = (const struct in6_addr *)addr;
	uint32_t v4 = ntohl(addr->word[0]);

	if (family == AF_INET)
		return v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >= 0xe0000000;
	return IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_LOOPBACK(in6) || IN6_IS_ADDR_MULTICAST(in6) ||
		IN6_IS_ADDR_V4MAPPED(in6) || IN6_IS_ADDR_LINKLOCAL(in6);
}

static int read_type(const char *text, enum ice_candidate_type *ret_type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!strcmp(text, types[i].name)) {
			*ret_type = i;
			return 0;
		}
	}
	return -EBADMSG;
}

static bool is_ice_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
		c == '/';
}

static bool is_cid(const char *text)
{
	return strspn(text,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == ICE_CID_LEN &&
		!text[ICE_CID_LEN];
}

/*
 * Pairs of name and value after the type. Unknown ones are skipped; a related address counts with both
 * halves.
 */
static int read_extensions(char **fields, size_t count, struct ice_candidate *c)
{
	bool has_addr = false, has_port = false;
	uint16_t family;

	for (size_t i = 0; i + 1 < count; i += 2) {
		if (!strcmp(fields[i], "raddr")) {
			if (read_addr(fields[i + 1], &family, &c->related))
				return -EBADMSG;
			has_addr = family == c->family;
		} else if (!strcmp(fields[i], "rport")) {
			if (read_port(fields[i + 1], &c->related_port))
				return -EBADMSG;
			has_port = true;
		} else if (!strcmp(fields[i], "tcptype")) {
			return -EPROTONOSUPPORT;
		} else if (!strcmp(fields[i], "cid") && is_cid(fields[i + 1])) {
			memcpy(c->cid, fields[i + 1], sizeof(c->cid));
		}
	}
	c->has_related = has_addr && has_port;
	if (!c->has_related) {
		c->related_port = 0;
		memset(&c->related, 0, sizeof(c->related));
	}
	return 0;
}

/* FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT "typ" TYPE */
static int read_fields(char **fields, size_t count, struct ice_candidate *c)
{
	uint32_t component;

	if (count < 8 || strlen(fields[0]) > 32 || strcmp(fields[6], "typ") != 0)
		return -EBADMSG;
	for (const char *p = fields[0]; *p; p++) {
		if (!is_ice_char(*p))
			return -EBADMSG;
	}
	if (read_number(fields[1], 256, &component) || read_number(fields[3], UINT32_MAX, &c->priority) ||
	    read_port(fields[5], &c->port) || read_type(fields[7], &c->type))
		return -EBADMSG;
	if (strcasecmp(fields[2], "udp") != 0 || component != 1 || is_mdns_name(fields[4]))
		return -EPROTONOSUPPORT;
	if (read_addr(fields[4], &c->family, &c->addr) || !c->port)
		return -EBADMSG;
	if (is_useless(c->family, &c->addr))
		return -EPROTONOSUPPORT;
	return read_extensions(fields + 8, count - 8, c);
}

int ice_candidate_parse(const char *line, struct ice_candidate *ret_candidate)
{
	struct ice_candidate candidate = { 0 };
	char text[ICE_CANDIDATE_LEN], *fields[FIELDS_MAX], *rest;
	size_t count = 0;
	int ret;

	if (strlen(line) >= sizeof(text))
		return -EBADMSG;
	if (!strncmp(line, "candidate:", 10))
		line += 10;
	memcpy(text, line, strlen(line) + 1);
	for (char *field = strtok_r(text, " ", &rest); field && count < FIELDS_MAX;
		field = strtok_r(NULL, " ", &rest))
		fields[count++] = field;
	ret = read_fields(fields, count, &candidate);
	if (!ret)
		*ret_candidate = candidate;
	return ret;
}
