// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes as a DNS question: refused, or a name that is plain, and an answer that stays within its size and
// parses back.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../userspace/dns/dns_wire.c"

static void check_name(const char *name)
{
	size_t len = strlen(name);

	assert(len < DNS_NAME_LEN);
	for (size_t i = 0; i < len; i++)
		assert(name[i] == '.' || is_plain(name[i]));
	assert(!strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
	assert(dns_matches(name, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dns_record records[40] = { { .family = 2, .ttl_s = 60 },
		{ .family = 10, .ttl_s = 60 }, { .family = 2 } };
	struct dns_query query, again;
	uint8_t out[4096];
	size_t room, len;
	int ret = dns_parse_query(data, size, &query);

	if (ret == -EBADMSG)
		return 0;
	check_name(query.name);
	assert(query.question_len + HEADER_LEN <= size);
	assert(query.udp_size >= DNS_UDP_DEFAULT && query.udp_size <= DNS_UDP_MAX);
	room = size % sizeof(out);
	len = dns_build_answer(&query, data, ret ? DNS_FORMERR : DNS_NOERROR, records, 3, out, room);
	assert(len <= room);
	len = dns_build_answer(&query, data, ret ? DNS_FORMERR : DNS_NOERROR, records, 3, out,
		query.udp_size);
	assert(len && len <= query.udp_size);
	/* an answer is not taken for a question: two forwarders cannot form a loop */
	assert(dns_parse_query(out, len, &again) == -EBADMSG);
	return 0;
}
