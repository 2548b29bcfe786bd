// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ICMP errors about sealed packets that are too large: the datapath looks the path MTU up again.
#include <string.h>

#include "plane/internal.h"

#define PAUSE_NS	(200 * LOOP_MS)	/* between two passes: anybody can send such errors */

void pmtu_read(struct plane *p, int fd)
{
	pmtu_news_read(&p->pmtu, fd);
	if ((p->pmtu.count || p->pmtu.is_full) && !loop_timer_is_set(&p->pmtu_timer))
		loop_timer_set(p->loop, &p->pmtu_timer, p->pmtu_due_ns);
}

static bool is_news(const struct pmtu_news *news, const struct talon_endpoint *e)
{
	for (unsigned i = 0; i < news->count; i++) {
		if (!memcmp(&news->remotes[i], &e->remote, sizeof(e->remote)))
			return true;
	}
	return false;
}

static void tell_peer(struct plane *p, uint32_t peer)
{
	struct talon_endpoint e;

	if (!endpoints_read(&p->endpoints, peer, &e) && !(e.flags & TALON_ENDPOINT_RELAY) &&
		is_news(&p->pmtu, &e))
		endpoints_look_again(&p->endpoints, peer, &e);
}

void pmtu_refresh(struct plane *p)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		struct talon_endpoint e;

		if (p->infos[i].present && !endpoints_read(&p->endpoints, i, &e) && e.mtu &&
			e.mtu < p->map_config.tunnel_mtu &&
			!(e.flags & (TALON_ENDPOINT_L2 | TALON_ENDPOINT_RELAY)))
			endpoints_look_again(&p->endpoints, i, &e);
	}
}

void pmtu_tick(void *ctx)
{
	struct plane *p = ctx;

	p->pmtu_due_ns = loop_now(p->loop) + PAUSE_NS;
	if (p->pmtu.is_full)
		p->sees_change = true;	/* all of them */
	for (uint32_t i = 0; p->is_ready && !p->pmtu.is_full && i < p->peers_max; i++) {
		if (p->infos[i].present)
			tell_peer(p, i);
	}
	p->pmtu.count = 0;
	p->pmtu.is_full = false;
	plane_wake(p);
}
