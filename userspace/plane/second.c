// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Periodic work: what is polled each second, the device's timers, and packets whose wait is over.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log/log.h"
#include "plane/internal.h"

#define ERR_LEN			512
#define REFRESH_NS		(60 * TALON_NSEC_PER_SEC)
#define EVENTS_PER_TURN		256	/* of the datapath, before other descriptors get their turn */

void second_read_ring(void *ctx, uint32_t events)
{
	struct plane *p = ctx;

	p->events_left = EVENTS_PER_TURN;
	ring_buffer__consume(p->ring);
	plane_wake(p);
}

void second_refresh_ports(struct plane *p, uint64_t now)
{
	int ret;

	p->ports_ns = now + NAT_PORTS_REFRESH_S * TALON_NSEC_PER_SEC;
	if (p->map_config.flags & TALON_F_SNAT_OWN)
		return;		/* no socket has that address */
	ret = nat_ports_refresh(&p->ports);
	/* a kernel without inet_diag stays that way: a hazard, not an event */
	p->ports_unknown = ret == -ENOENT;
	if (ret < 0 && !p->ports_unknown)
		log_warn("cannot list this host's sockets, so SNAT may use their ports: %s", strerror(-ret));
}

/*
 * The map says that a session was confirmed, but the event was lost. Without it we would not rekey, or
 * would send with a session that is gone.
 */
static void reconcile_promotion(struct plane *p, uint64_t now, const struct device_peer_sessions *s)
{
	struct talon_replay window;

	if (s->next && !map_read(p, DATAPATH_MAP_REPLAY, s->next & (p->slots - 1), &window) &&
		window.state == TALON_SESSION_CURRENT)
		device_session_promoted(p->device, now, s->next);
}

/* Polls peers that have a session. A peer without traffic since the last poll costs one lookup. */
static void poll_facts(struct plane *p, uint64_t now)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		struct device_peer_sessions s;
		struct talon_peer_stats stats;
		struct device_facts facts;

		if (!p->infos[i].present || device_get_peer_sessions(p->device, i, &s) ||
			(!s.current && !s.previous && !s.next))
			continue;
		reconcile_promotion(p, now, &s);
		if (map_read_peer_stats(p, i, &stats) ||
			(stats.rx_ns == p->polled[i].rx_ns && stats.tx_ns == p->polled[i].tx_ns))
			continue;
		if (plane_device_ops.read_facts(p, i, &facts))
			continue;
		/*
		 * Later than our clock: the device takes it as now, and gets the exact time in the next
		 * poll.
		 */
		if (facts.rx_ns <= now && facts.tx_ns <= now)
			p->polled[i] = (struct polled){ .rx_ns = facts.rx_ns, .tx_ns = facts.tx_ns };
		device_peer_facts(p->device, now, i, &facts);
		event_reconcile_endpoint(p, i);
	}
}

static void attach_again(struct plane *p, char *text, size_t size)
{
	/* do not repeat the same line every second while it fails */
	bool is_new = strcmp(text, p->uplinks.attaching) != 0;
	int ret;

	snprintf(p->uplinks.attaching, sizeof(p->uplinks.attaching), "%s", text);
	if (is_new)
		log_warn("%s; attaching again", text);
	ret = datapath_tunnel(p->dp, text, size);
	if (!ret)
		ret = datapath_attach(p->dp, text, size);
	if (!ret)
		ret = map_config_set_modes(p, text, size);
	if (ret) {
		if (is_new)
			log_err("%s", text);
		return;
	}
	p->uplinks.attaching[0] = '\0';
	facts_add(&p->facts, TALON_FACT_REATTACHED, 1);
	uplinks_describe_mode(p);
	uplinks_start_threads(p);
	p->tunnel_changed = true;	/* its routes were removed with the old device */
	pair_close(&p->pair);
	uplinks_repair_endpoints(p);
	plane_repair_ways(p);
}

static void check_links(struct plane *p)
{
	char text[ERR_LEN];

	p->links_changed = false;
	p->sees_change |= local_addrs_read(&p->local_addrs);
	uplinks_raise_tunnel(p);
	if (uplinks_follow(p)) {	/* otherwise there is nothing to attach to yet */
		if (datapath_verify(p->dp, text, sizeof(text)) == -ENOLINK)
			attach_again(p, text, sizeof(text));
		map_config_update(p);
	}
	/* The kernel forgets the routes of a device that goes down. */
	if (p->tunnel_changed && tunnel_routes_sync(&p->tunnel_routes, false, text, sizeof(text)))
		log_warn("%s", text);
	p->tunnel_changed = false;
}

static void open_monitor_again(struct plane *p)
{
	p->monitor_failed = false;
	loop_fd_remove(p->loop, &p->monitor_watch);
	close(p->monitor);
	if (event_open_monitor(p)) {
		p->monitor_failed = true;
		return;
	}
	event_resync(p);
}

void second_tick(void *ctx)
{
	struct plane *p = ctx;
	uint64_t now = clock_boot_ns();

	loop_timer_set(p->loop, &p->second, now + TALON_NSEC_PER_SEC);
	poll_facts(p, now);
	if (p->map_config.quiet_until_ns && p->map_config.quiet_until_ns <= now)
		plane_keep_quiet(p, 0);
	nat_gc_tick(&p->gc, now / TALON_NSEC_PER_SEC);
	keystream_process_check(&p->helper, now);
	next_hops_keep(&p->next_hops, now);
	if (now >= p->ports_ns)
		second_refresh_ports(p, now);
	if (p->monitor_failed)
		open_monitor_again(p);
	if (p->links_changed)
		check_links(p);
	else
		map_config_poll(p);
	if (p->has_applied)
		inner6_follow(p);
	locals_poll(p, now);
	uplinks_check_forwarding(p);
	if (watch_permit(&p->permit, p->dp, p->config->capture, &p->map_config.flags))
		map_write_config(p);
	if (now >= p->refresh_ns) {
		/* Next hops may have moved without notification. */
		p->refresh_ns = now + REFRESH_NS;
		p->sees_change = true;
		pmtu_refresh(p);
		/* there is no notification when another tc program attaches in front */
		p->links_changed = true;
		hazards_update(p);
	}
	counts_write(p);
	counts_write_facts(p);
	p->info.heartbeat_ns = now;
	map_write_info(p);
	plane_wake(p);
}

/* Runs what is due, and sets the timer for the next. */
void second_due(void *ctx)
{
	struct plane *p = ctx;
	uint64_t now = clock_boot_ns(), next, held;

	if (!p->is_ready)
		return;
	if (p->sees_change)
		map_bump_generation(p);
	next = device_tick(p->device, now);
	held = hold_expire(&p->hold, now);
	loop_timer_set(p->loop, &p->due, held < next ? held : next);
}

void plane_wake(struct plane *p)
{
	loop_timer_after(p->loop, &p->due, 0);
}
