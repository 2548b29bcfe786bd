// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// DNS messages: hostile bytes in, small answers out.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "apply/dns_wire.h"

#define HEADER_LEN	12
#define FLAG_QR		0x8000
#define FLAG_OPCODE	0x7800
#define FLAG_AA		0x0400
#define FLAG_TC		0x0200
#define FLAG_RD		0x0100
#define FLAG_RA		0x0080
#define TYPE_OPT	41
#define LABEL_MAX	63

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	return put16(put16(p, v >> 16), v);
}

static char lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Nothing but what host names have: the name goes to a resolver and into tables of ours. */
static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A question's name is never compressed: there is nothing before it to point to. Returns the bytes it took, or -1. */
static int parse_name(const uint8_t *bytes, size_t len, char ret_name[static DNS_NAME_LEN])
{
	size_t at = 0, out = 0;

	for (;;) {
		uint8_t label;

		if (at >= len)
			return -1;
		label = bytes[at++];
		if (!label)
			break;
		if (label > LABEL_MAX || at + label > len || out + label + 1 >= DNS_NAME_LEN)
			return -1;
		if (out)
			ret_name[out++] = '.';
		for (uint8_t i = 0; i < label; i++) {
			if (!is_plain(bytes[at + i]))
				return -1;
			ret_name[out++] = lower(bytes[at + i]);
		}
		at += label;
	}
	ret_name[out] = 0;
	return at;
}

/* The OPT record, if the one additional record is one right behind the question. */
static void parse_edns(const uint8_t *bytes, size_t len, struct dns_query *query)
{
	if (len < 11 || bytes[0] || get16(bytes + 1) != TYPE_OPT)
		return;
	query->has_edns = true;
	query->udp_size = get16(bytes + 3);
	if (query->udp_size < DNS_UDP_DEFAULT)
		query->udp_size = DNS_UDP_DEFAULT;
	if (query->udp_size > DNS_UDP_MAX)
		query->udp_size = DNS_UDP_MAX;
}

int dns_parse_query(const uint8_t *bytes, size_t len, struct dns_query *ret_query)
{
	struct dns_query query = { .udp_size = DNS_UDP_DEFAULT };
	int name;

	if (len < HEADER_LEN || (get16(bytes + 2) & FLAG_QR))
		return -EBADMSG;
	query.id = get16(bytes);
	query.flags = get16(bytes + 2);
	name = parse_name(bytes + HEADER_LEN, len - HEADER_LEN, query.name);
	if ((query.flags & FLAG_OPCODE) || get16(bytes + 4) != 1 || get16(bytes + 6) || get16(bytes + 8) || name < 0 ||
	    len - HEADER_LEN - name < 4) {
		query.name[0] = 0;
		*ret_query = query;
		return -EPROTO;
	}
	query.type = get16(bytes + HEADER_LEN + name);
	query.qclass = get16(bytes + HEADER_LEN + name + 2);
	query.question_len = name + 4;
	if (get16(bytes + 10))
		parse_edns(bytes + HEADER_LEN + query.question_len, len - HEADER_LEN - query.question_len, &query);
	*ret_query = query;
	return 0;
}

static uint8_t *put_record(uint8_t *p, const struct dns_query *query, const struct dns_record *record)
{
	size_t len = record->family == AF_INET ? 4 : 16;

	p = put16(p, 0xc000 | HEADER_LEN);	/* the question's name */
	p = put16(p, query->type);
	p = put16(p, DNS_CLASS_IN);
	p = put32(p, record->ttl_s);
	p = put16(p, len);
	memcpy(p, &record->addr, len);
	return p + len;
}

static bool is_wanted(const struct dns_query *query, const struct dns_record *record)
{
	return (query->type == DNS_TYPE_A && record->family == AF_INET) || (query->type == DNS_TYPE_AAAA && record->family == AF_INET6);
}

size_t dns_build_answer(const struct dns_query *query, const uint8_t *bytes, enum dns_rcode rcode, const struct dns_record *records, size_t count,
	uint8_t *buf, size_t size)
{
	uint16_t flags = FLAG_QR | FLAG_RA | (query->flags & (FLAG_RD | FLAG_OPCODE)) | rcode, answers = 0;
	size_t opt = query->has_edns ? 11 : 0;
	uint8_t *p = buf + HEADER_LEN;

	if (size < HEADER_LEN + query->question_len + opt)
		return 0;
	memcpy(p, bytes + HEADER_LEN, query->question_len);
	p += query->question_len;
	for (size_t i = 0; i < count; i++) {
		size_t need = 12 + (records[i].family == AF_INET ? 4 : 16);

		if (!is_wanted(query, &records[i]))
			continue;
		if ((size_t)(p - buf) + need + opt > size) {
			flags |= FLAG_TC;
			break;
		}
		p = put_record(p, query, &records[i]);
		answers++;
	}
	if (opt) {
		*p++ = 0;
		p = put16(p, TYPE_OPT);
		p = put16(p, DNS_UDP_MAX);
		p = put32(p, 0);
		p = put16(p, 0);
	}
	put16(buf, query->id);
	put16(buf + 2, flags);
	put16(buf + 4, query->question_len ? 1 : 0);
	put16(buf + 6, answers);
	put16(buf + 8, 0);
	put16(buf + 10, opt ? 1 : 0);
	return p - buf;
}

bool dns_matches(const char *pattern, const char *name)
{
	size_t base, len;

	if (strncmp(pattern, "*.", 2) != 0)
		return !strcmp(pattern, name);
	pattern += 2;
	base = strlen(pattern);
	len = strlen(name);
	if (len < base || strcmp(name + len - base, pattern) != 0)
		return false;
	return len == base || name[len - base - 1] == '.';
}
