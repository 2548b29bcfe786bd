/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of DNS that a forwarder needs (RFC 1035, EDNS by RFC 6891, extended errors by RFC 8914): one
 * question in, one answer out.
 */
#ifndef TALON_DNS_WIRE_H
#define TALON_DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

#define DNS_NAME_LEN	254	/* of the text form: without the final dot, with the final NUL */
#define DNS_UDP_DEFAULT	512
#define DNS_UDP_MAX	1232	/* what fits through the tunnel unfragmented */
#define DNS_MESSAGE_MAX	65535
#define DNS_TYPE_A	1
#define DNS_TYPE_NS	2
#define DNS_TYPE_CNAME	5
#define DNS_TYPE_PTR	12
#define DNS_TYPE_MX	15
#define DNS_TYPE_TXT	16
#define DNS_TYPE_AAAA	28
#define DNS_TYPE_SRV	33
#define DNS_TYPE_HTTPS	65
#define DNS_CLASS_IN	1

enum dns_rcode { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4,
	DNS_REFUSED = 5 };

/* Extended errors; NetBird's routers use those of the private range (RFC 8914 section 5.2). */
enum dns_ede {
	DNS_EDE_NONE = 0,
	DNS_EDE_NOT_SUPPORTED = 21,
	DNS_EDE_UPSTREAM_TIMEOUT = 49152,
	DNS_EDE_UPSTREAM_FAILURE = 49153,
};

struct dns_query {
	uint16_t id;
	uint16_t flags;			/* as received */
	uint16_t type;
	uint16_t qclass;
	char name[DNS_NAME_LEN];	/* lower case, labels joined by dots */
	size_t question_len;		/* bytes of the question as received, after the header */
	uint16_t udp_size;		/* largest answer that the asker takes over UDP */
	bool has_edns;
	/* enum dns_ede to put into the answer, if the query has EDNS; parsing leaves it 0 */
	uint16_t ede;
};

/*
 * Parses a query with exactly one question. Returns 0; -EBADMSG: malformed, not to be answered; or -EPROTO:
 * answer FORMERR (id and flags are valid, question_len is 0).
 */
int dns_parse_query(const uint8_t *bytes, size_t len, struct dns_query *ret_query);

struct dns_record {
	uint16_t family;		/* AF_INET, AF_INET6: only those of the question's type are written */
	struct talon_addr addr;
	uint32_t ttl_s;
};

/*
 * Writes the answer to @query (whose bytes are @bytes) with the question repeated. What does not fit into
 * @size is left out and the TC flag set. Returns the length.
 */
size_t dns_build_answer(const struct dns_query *query, const uint8_t *bytes, enum dns_rcode rcode,
	const struct dns_record *records, size_t count, uint8_t *buf, size_t size);

/*
 * Writes the answer to @query from a name server's message @from: its records of the query's type and the
 * CNAMEs that lead to them, each with @ttl_s. Names are written out uncompressed, so that nothing points into
 * the old message. What does not fit into @size is left out and the TC flag set. Returns the length, or 0 if
 * @from is malformed.
 */
size_t dns_build_copy(const struct dns_query *query, const uint8_t *bytes, const uint8_t *from,
	size_t from_len, uint32_t ttl_s, uint8_t *buf, size_t size);

/*
 * Whether @name matches @pattern: equals it, or, for "*.DOMAIN", equals DOMAIN or ends in it. Both lower
 * case.
 */
bool dns_matches(const char *pattern, const char *name);

#endif
