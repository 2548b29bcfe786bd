// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes as management's answer to CreateExpose: what is taken can be shown on a terminal and renewed.
#include <assert.h>
#include <ctype.h>

#include "../../userspace/expose/message.c"
#include "management.pb-c.c"

static void check(const char *text, size_t size)
{
	assert(memchr(text, '\0', size));
	for (; *text; text++)
		assert(isgraph((unsigned char)*text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_exposed exposed;
	uint8_t *bytes;
	size_t len;

	if (expose_parse_created(data, size, &exposed))
		return 0;
	check(exposed.name, sizeof(exposed.name));
	check(exposed.url, sizeof(exposed.url));
	check(exposed.domain, sizeof(exposed.domain));
	assert(exposed.domain[0]);
	if (!expose_pack_domain(exposed.domain, &bytes, &len)) {
		assert(len == strlen(exposed.domain) + 2 + (strlen(exposed.domain) > 127));
		free(bytes);
	}
	return 0;
}
