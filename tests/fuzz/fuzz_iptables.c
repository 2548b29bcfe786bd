// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tables of iptables-legacy with any content.
#include "net/iptables.c"

#include <assert.h>

static void check(const char *table, const char *chain, void *user)
{
	assert(strlen(chain) < XT_FUNCTION_MAXNAMELEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of the exact size, so that the sanitizer sees any access beyond */
	uint8_t *blob = malloc(size ? size : 1);

	if (!blob)
		return 0;
	memcpy(blob, data, size);
	(void)net_iptables_parse(blob, size, check, "nat", NULL);
	free(blob);
	return 0;
}
