// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tables of iptables-legacy with any content.
#include "net/iptables.c"

#include <assert.h>

static void check(const char *table, const char *chain, void *user)
{
	assert(strlen(chain) < XT_FUNCTION_MAXNAMELEN);
}

static void check_service(const struct net_service *service, void *user)
{
	assert(service->family == AF_INET || service->family == AF_INET6);
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
	(void)net_iptables_parse_services(AF_INET, blob, size, check_service, NULL);
	(void)net_iptables_parse_services(AF_INET6, blob, size, check_service, NULL);
	free(blob);
	return 0;
}
