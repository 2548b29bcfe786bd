// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// DNS messages: hostile bytes in, small answers out.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "dns/dns_wire.h"

#define HEADER_LEN	12
#define FLAG_QR		0x8000
#define FLAG_OPCODE	0x7800
#define FLAG_AA		0x0400
#define FLAG_TC		0x0200
#define FLAG_RD		0x0100
#define FLAG_RA		0x0080
#define TYPE_OPT	41
#define LABEL_MAX	63
#define NAME_WIRE_MAX	255	/* RFC 1035 section 2.3.4 */
#define OPT_LEN		11
#define OPTION_EDE	15	/* RFC 8914 section 2 */

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

/* Only the characters of host names: the name goes to a resolver and into our tables. */
static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		c == '_';
}

/*
 * A question's name is never compressed: nothing precedes it to point to. Returns the bytes it takes, or -1.
 */
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

/* The OPT record, if the only additional record is one and directly follows the question. */
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
	if ((query.flags & FLAG_OPCODE) || get16(bytes + 4) != 1 || get16(bytes + 6) || get16(bytes + 8) ||
		name < 0 || len - HEADER_LEN - name < 4) {
		query.name[0] = 0;
		*ret_query = query;
		return -EPROTO;
	}
	query.type = get16(bytes + HEADER_LEN + name);
	query.qclass = get16(bytes + HEADER_LEN + name + 2);
	query.question_len = name + 4;
	if (get16(bytes + 10))
		parse_edns(bytes + HEADER_LEN + query.question_len, len - HEADER_LEN - query.question_len,
			&query);
	*ret_query = query;
	return 0;
}

static const char *ede_text(uint16_t ede)
{
	switch (ede) {
	case DNS_EDE_NOT_SUPPORTED:
		return "unsupported query type";
	case DNS_EDE_UPSTREAM_TIMEOUT:
		return "upstream timeout";
	default:
		return "upstream failure";
	}
}

/* An answer being written. */
struct writer {
	const struct dns_query *query;
	uint8_t *buf, *at, *end;	/* @end: what records may fill, without the OPT record */
	uint16_t flags, answers;
};

static size_t opt_len(const struct dns_query *query)
{
	if (!query->has_edns)
		return 0;
	return OPT_LEN + (query->ede ? 6 + strlen(ede_text(query->ede)) : 0);
}

static bool begin(struct writer *w, const struct dns_query *query, const uint8_t *bytes, enum dns_rcode rcode,
	uint8_t *buf, size_t size)
{
	const size_t head = HEADER_LEN + query->question_len;

	if (size < head + opt_len(query))
		return false;
	memcpy(buf + HEADER_LEN, bytes + HEADER_LEN, query->question_len);
	*w = (struct writer){
		.query = query, .buf = buf, .at = buf + head, .end = buf + size - opt_len(query),
		.flags = FLAG_QR | FLAG_RA | (query->flags & (FLAG_RD | FLAG_OPCODE)) | rcode,
	};
	return true;
}

static uint8_t *put_opt(uint8_t *p, const struct dns_query *query)
{
	const char *text = query->ede ? ede_text(query->ede) : "";
	const size_t len = strlen(text);

	*p++ = 0;
	p = put16(p, TYPE_OPT);
	p = put16(p, DNS_UDP_MAX);
	p = put32(p, 0);
	if (!query->ede)
		return put16(p, 0);
	p = put16(p, 6 + len);
	p = put16(p, OPTION_EDE);
	p = put16(p, 2 + len);
	p = put16(p, query->ede);
	memcpy(p, text, len);
	return p + len;
}

static size_t finish(struct writer *w)
{
	const struct dns_query *query = w->query;

	if (query->has_edns)
		w->at = put_opt(w->at, query);
	put16(w->buf, query->id);
	put16(w->buf + 2, w->flags);
	put16(w->buf + 4, query->question_len ? 1 : 0);
	put16(w->buf + 6, w->answers);
	put16(w->buf + 8, 0);
	put16(w->buf + 10, query->has_edns ? 1 : 0);
	return w->at - w->buf;
}

/* @owner of length 0: the question's name. Returns false, and sets the TC flag, if it does not fit. */
static bool put_record(struct writer *w, const uint8_t *owner, size_t owner_len, uint16_t type,
	uint32_t ttl_s, const uint8_t *data, size_t len)
{
	if ((size_t)(w->end - w->at) < (owner_len ? owner_len : 2) + 10 + len) {
		w->flags |= FLAG_TC;
		return false;
	}
	if (owner_len) {
		memcpy(w->at, owner, owner_len);
		w->at += owner_len;
	} else {
		w->at = put16(w->at, 0xc000 | HEADER_LEN);
	}
	w->at = put16(w->at, type);
	w->at = put16(w->at, DNS_CLASS_IN);
	w->at = put32(w->at, ttl_s);
	w->at = put16(w->at, len);
	memcpy(w->at, data, len);
	w->at += len;
	w->answers++;
	return true;
}

static bool is_wanted(const struct dns_query *query, const struct dns_record *record)
{
	return (query->type == DNS_TYPE_A && record->family == AF_INET) ||
		(query->type == DNS_TYPE_AAAA && record->family == AF_INET6);
}

size_t dns_build_answer(const struct dns_query *query, const uint8_t *bytes, enum dns_rcode rcode,
	const struct dns_record *records, size_t count, uint8_t *buf, size_t size)
{
	struct writer w;

	if (!begin(&w, query, bytes, rcode, buf, size))
		return 0;
	for (size_t i = 0; i < count; i++) {
		const size_t len = records[i].family == AF_INET ? 4 : 16;

		const uint8_t *data = (const uint8_t *)&records[i].addr;

		if (is_wanted(query, &records[i]) && !put_record(&w, NULL, 0, query->type, records[i].ttl_s,
			data, len))
			break;
	}
	return finish(&w);
}

/*
 * Writes out the name at @at, which may be compressed (RFC 1035 section 4.1.4). Each pointer must point
 * further towards the beginning, which rules out loops. Returns the bytes that the name takes at @at, or -1.
 */
static int copy_name(const uint8_t *bytes, size_t len, size_t at, uint8_t *to, size_t *ret_len)
{
	const size_t begin = at;
	size_t out = 0, least = at;
	int took = -1;

	for (;;) {
		uint8_t label;

		if (at >= len)
			return -1;
		label = bytes[at];
		if (label >= 0xc0) {
			if (at + 2 > len)
				return -1;
			if (took < 0)
				took = at + 2 - begin;
			at = get16(bytes + at) & 0x3fff;
			if (at >= least)
				return -1;
			least = at;
			continue;
		}
		if (label > LABEL_MAX || at + 1 + label > len || out + 1 + label > NAME_WIRE_MAX)
			return -1;
		memcpy(to + out, bytes + at, 1 + label);
		out += 1 + label;
		at += 1 + label;
		if (!label)
			break;
	}
	*ret_len = out;
	return took < 0 ? (int)(at - begin) : took;
}

/* Bytes before the name in the data of a record of @type; -1: the data has no name. */
static int name_offset(uint16_t type)
{
	switch (type) {
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_PTR:
		return 0;
	case DNS_TYPE_MX:
		return 2;
	case DNS_TYPE_SRV:
		return 6;
	default:
		return -1;
	}
}

static bool is_same_name(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	if (a_len != b_len)
		return false;
	for (size_t i = 0; i < a_len; i++) {	/* also over label lengths, which are below 'A' */
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return true;
}

/* One record of a name server's answer. */
struct foreign {
	uint8_t owner[NAME_WIRE_MAX];
	size_t owner_len;
	uint16_t type, class;
	size_t data, len;		/* where, and how long */
};

/* Returns the offset of the next record, or 0. */
static size_t read_foreign(const uint8_t *bytes, size_t len, size_t at, struct foreign *ret)
{
	int took = copy_name(bytes, len, at, ret->owner, &ret->owner_len);

	if (took < 0 || len - at - took < 10)
		return 0;
	at += took;
	ret->type = get16(bytes + at);
	ret->class = get16(bytes + at + 2);
	ret->len = get16(bytes + at + 8);
	ret->data = at + 10;
	return len - ret->data < ret->len ? 0 : ret->data + ret->len;
}

/* Returns -1 if the data does not have the format of the record's type, 0 if there is no room. */
static int put_foreign(struct writer *w, const uint8_t *bytes, const struct foreign *r,
	const uint8_t *question, uint32_t ttl_s)
{
	uint8_t data[6 + NAME_WIRE_MAX];
	const int before = name_offset(r->type);
	const bool is_own = is_same_name(r->owner, r->owner_len, question, w->query->question_len - 4);
	size_t name_len;
	int took;

	if (before < 0)
		return put_record(w, r->owner, is_own ? 0 : r->owner_len, r->type, ttl_s, bytes + r->data,
			r->len);
	if (r->len < (size_t)before)
		return -1;
	memcpy(data, bytes + r->data, before);
	took = copy_name(bytes, r->data + r->len, r->data + before, data + before, &name_len);
	if (took < 0 || before + (size_t)took != r->len)
		return -1;
	return put_record(w, r->owner, is_own ? 0 : r->owner_len, r->type, ttl_s, data, before + name_len);
}

/* Returns the offset of the first answer, or 0. */
static size_t skip_questions(const uint8_t *bytes, size_t len)
{
	uint8_t name[NAME_WIRE_MAX];
	size_t at = HEADER_LEN, name_len;

	if (len < HEADER_LEN || !(get16(bytes + 2) & FLAG_QR))
		return 0;
	for (unsigned i = get16(bytes + 4); i; i--) {
		int took = copy_name(bytes, len, at, name, &name_len);

		if (took < 0 || len - at - took < 4)
			return 0;
		at += took + 4;
	}
	return at;
}

size_t dns_build_copy(const struct dns_query *query, const uint8_t *bytes, const uint8_t *from,
	size_t from_len, uint32_t ttl_s, uint8_t *buf, size_t size)
{
	size_t at = skip_questions(from, from_len);
	struct foreign record;
	struct writer w;

	if (!at || !begin(&w, query, bytes, DNS_NOERROR, buf, size))
		return 0;
	for (unsigned i = get16(from + 6); i; i--) {
		int ret;

		at = read_foreign(from, from_len, at, &record);
		if (!at)
			return 0;
		if (record.class != DNS_CLASS_IN)
			continue;
		if (record.type != query->type && record.type != DNS_TYPE_CNAME)
			continue;
		ret = put_foreign(&w, from, &record, bytes + HEADER_LEN, ttl_s);
		if (ret < 0)
			return 0;
		if (!ret)
			break;
	}
	return finish(&w);
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
