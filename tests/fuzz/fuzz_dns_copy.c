// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes as a name server's message: refused, or an answer that stays within its size and reads back to
// the same records.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../userspace/dns/dns_wire.c"

static const uint8_t question[] =
	"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
	"\x03www\x04test\x00\x00\x00\x00\x01"
	"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
#define QUESTION_LEN	(sizeof(question) - 1)
#define TYPE_AT		22

static void check_records(const struct dns_query *query, const uint8_t *bytes, size_t len)
{
	size_t at = skip_questions(bytes, len);
	struct foreign record;

	assert(at);
	for (unsigned i = get16(bytes + 6); i; i--) {
		at = read_foreign(bytes, len, at, &record);
		assert(at && record.class == DNS_CLASS_IN);
		assert(record.type == query->type || record.type == DNS_TYPE_CNAME);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t asked[QUESTION_LEN], first[4096], second[4096];
	struct dns_query query;
	size_t len, again;

	if (!size)
		return 0;
	memcpy(asked, question, sizeof(asked));
	asked[TYPE_AT + 1] = data[0];	/* the type */
	assert(!dns_parse_query(asked, sizeof(asked), &query));
	query.ede = data[0] & 1 ? DNS_EDE_UPSTREAM_FAILURE : 0;
	len = dns_build_copy(&query, asked, data + 1, size - 1, 60, first, 200 + size % 3000);
	assert(len <= 200 + size % 3000);
	if (!len)
		return 0;
	check_records(&query, first, len);
	again = dns_build_copy(&query, asked, first, len, 60, second, sizeof(second));
	assert(again == len);
	assert(!memcmp(first + 4, second + 4, len - 4));	/* but for the TC flag */
	return 0;
}
