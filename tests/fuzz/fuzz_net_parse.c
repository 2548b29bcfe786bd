// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// rtnetlink datagrams, error messages and messages of nfnetlink with any content.
#include "net/parse.c"

#include <assert.h>
#include <stdlib.h>

static void check(const struct net_event *event, void *user)
{
	switch (event->type) {
	case NET_EVENT_LINK:
		assert(strlen(event->link.name) < sizeof(event->link.name));
		assert(strlen(event->link.kind) < sizeof(event->link.kind));
		assert(strlen(event->link.alias) < sizeof(event->link.alias));
		break;
	case NET_EVENT_ADDR:
		assert(nl_addr_len(event->addr.family));
		break;
	case NET_EVENT_ROUTE:
		assert(nl_addr_len(event->route.family));
		break;
	case NET_EVENT_NEIGH:
		assert(nl_addr_len(event->neigh.family));
		break;
	case NET_EVENT_RULE:
		break;
	case NET_EVENT_RESYNC:
		abort();	/* the socket says that, not a message */
	}
}

static void check_service(const struct net_service *service, void *user)
{
	assert(nl_addr_len(service->family));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of the exact size, so that the sanitizer sees any access beyond */
	struct nlmsghdr *nlh = malloc(size ? size : 1);
	struct net_filter filter;
	struct net_rule rule;
	struct net_service service;
	uint32_t generation;
	struct net_nf nf;
	char text[64];

	if (!nlh)
		return 0;
	memcpy(nlh, data, size);
	nl_parse_events(nlh, size, check, NULL);
	if (is_whole(nlh, size) && nl_parse_ack_text(nlh, text, sizeof(text)))
		assert(strlen(text) < sizeof(text));
	if (is_whole(nlh, size) && !nl_parse_rule(nlh, &rule))
		assert(rule.prefixlen <= 32);
	if (is_whole(nlh, size) && !nl_parse_filter(nlh, &filter))
		assert(filter.prog_id && strlen(filter.name) < sizeof(filter.name));
	if (is_whole(nlh, size) && !nl_parse_nf(nlh, &nf))
		assert(nf.name[0] && strlen(nf.name) < sizeof(nf.name) &&
			strlen(nf.table) < sizeof(nf.table));
	if (is_whole(nlh, size)) {
		if (!nl_parse_service_rule(nlh, &service))
			check_service(&service, NULL);
		(void)nl_parse_service_elements(nlh, check_service, NULL);
		(void)nl_parse_generation(nlh, &generation);
	}
	free(nlh);
	return 0;
}
