// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Answers the mesh's questions about our domains: the object, its domains and its figures.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/internal.h"

int forwarder_new(struct loop *loop, const struct forwarder_events *events, void *ctx,
	struct forwarder **ret_forwarder)
{
	struct forwarder *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->events = *events;
	f->ctx = ctx;
	loop_timer_init(&f->tend, learned_tend, f);
	loop_timer_init(&f->batch, learned_tell, f);
	*ret_forwarder = f;
	return 0;
}

static void domains_free(struct domain *domains, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(domains[i].pattern);
	free(domains);
}

void forwarder_free(struct forwarder *f)
{
	if (!f)
		return;
	listen_close(f);
	while (f->learned_count)
		learned_remove(f, 0);
	loop_timer_cancel(f->loop, &f->tend);
	loop_timer_cancel(f->loop, &f->batch);
	domains_free(f->domains, f->domain_count);
	free(f->learned);
	free(f->lives);
	free(f->cache);
	free(f);
}

static int copy_domains(const struct forwarder_domain *from, size_t count, struct domain **ret_domains)
{
	struct domain *domains = calloc(count + 1, sizeof(*domains));

	if (!domains)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		domains[i] = (struct domain){ strdup(from[i].pattern), from[i].masquerade, from[i].keep };
		if (!domains[i].pattern) {
			domains_free(domains, i);
			return -ENOMEM;
		}
	}
	*ret_domains = domains;
	return 0;
}

int forwarder_set(struct forwarder *f, __be32 addr, uint16_t port, const struct forwarder_domain *list,
	size_t count, char *err, size_t errlen)
{
	bool was_open = f->listeners[0].udp.is_watched;
	struct domain *domains;

	if (!addr)
		count = 0;
	if (copy_domains(list, count, &domains)) {
		snprintf(err, errlen, "DNS forwarder: out of memory");
		return -ENOMEM;
	}
	learned_keep(f, domains, count);
	domains_free(f->domains, f->domain_count);
	f->domains = domains;
	f->domain_count = count;
	learned_set_timer(f);
	if (!count) {
		listen_close(f);
		return 0;
	}
	if (was_open && f->addr == addr && f->port == port)
		return 0;
	listen_close(f);
	f->addr = addr;
	f->port = port;
	return listen_open(f, err, errlen);
}

size_t forwarder_sockets(const struct forwarder *f, struct netmap_port list[static FORWARDER_SOCKETS])
{
	const uint16_t ports[FORWARDER_PORTS] = { f->port, FORWARDER_PORT_OLD };
	size_t count = 0;

	for (int i = 0; i < FORWARDER_PORTS; i++) {
		if (f->listeners[i].udp.is_watched)
			list[count++] = (struct netmap_port){ ports[i], NETMAP_UDP };
		if (f->listeners[i].tcp.is_watched)
			list[count++] = (struct netmap_port){ ports[i], NETMAP_TCP };
	}
	return count;
}

const struct forwarder_learned *forwarder_list(const struct forwarder *f, size_t *ret_count)
{
	*ret_count = f->learned_count;
	return f->learned;
}

void forwarder_get_stats(const struct forwarder *f, struct forwarder_stats *ret_stats)
{
	*ret_stats = f->stats;
	ret_stats->learned = f->learned_count;
}
