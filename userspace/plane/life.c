// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From nothing to packets: sockets, the datapath, maps, programs; and back, in reverse.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "log/log.h"
#include "plane/internal.h"
#include "talon/keystream_types.h"

#define MIB			(1U << 20)

static const enum datapath_mode datapath_modes[] = {
	[CONFIG_DATAPATH_AUTO] = DATAPATH_AUTO,
	[CONFIG_DATAPATH_XDP] = DATAPATH_XDP,
	[CONFIG_DATAPATH_XDP_GENERIC] = DATAPATH_XDP_GENERIC,
	[CONFIG_DATAPATH_TCX] = DATAPATH_TCX,
	[CONFIG_DATAPATH_CLSACT] = DATAPATH_CLSACT,
};

static const enum datapath_dispatcher datapath_dispatchers[] = {
	[CONFIG_DISPATCHER_AUTO] = DATAPATH_DISPATCHER_AUTO,
	[CONFIG_DISPATCHER_ALWAYS] = DATAPATH_DISPATCHER_ALWAYS,
	[CONFIG_DISPATCHER_NEVER] = DATAPATH_DISPATCHER_NEVER,
};

static void fill_options(const struct config *config, struct datapath_options *o)
{
	*o = (struct datapath_options){
		.base = config->pin_dir,
		.mode = datapath_modes[config->datapath],
		.dispatcher = datapath_dispatchers[config->dispatcher],
		.dispatcher_priority = config->xdp_priority,
		.tunnel = config->tunnel,
		.tunnel_mtu = config->mtu,
		.peers = config->max_peers,
		.flows = config->max_flows,
		.keystream = config->keystream_memory * (MIB / sizeof(struct talon_keystream_slot)),
	};
}

int plane_need(const struct config *config, struct datapath_need *ret_need)
{
	struct datapath_options options;

	fill_options(config, &options);
	return datapath_need(&options, ret_need);
}

int plane_choose(struct plane *p, char *err, size_t errlen)
{
	fill_options(p->config, &p->options);
	return uplinks_choose(p, err, errlen);
}

void plane_use_seat(struct plane *p, int seat)
{
	p->seat = seat;
}

int plane_load(struct plane *p, char *err, size_t errlen)
{
	p->options.seat = p->seat;
	return datapath_load(&p->options, &p->loaded, err, errlen);
}

/* No flow may be made before the ports of the host's own sockets are known. */
static void start_nat(struct plane *p)
{
	const struct talon_config *mc = &p->map_config;

	nat_gc_init(&p->gc, datapath_prog_fd(p->dp, "natgc"), datapath_map_fd(p->dp, DATAPATH_MAP_NAT_STATS));
	nat_ports_init(&p->ports, datapath_map_fd(p->dp, DATAPATH_MAP_PORT_BLOCK), mc->port_first,
		mc->port_last);
	second_refresh_ports(p, clock_boot_ns());
}

static int open_ring(struct plane *p)
{
	static const enum datapath_map more[] = { DATAPATH_MAP_EVENT_PACKETS, DATAPATH_MAP_EVENT_STRAYS };
	int ret;

	/* Read in this order: promotions first, what strangers sent last. */
	p->ring = ring_buffer__new(datapath_map_fd(p->dp, DATAPATH_MAP_EVENTS), event_handle, p, NULL);
	if (!p->ring)
		return -errno;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		ret = ring_buffer__add(p->ring, datapath_map_fd(p->dp, more[i]), event_handle, p);
		if (ret)
			return ret;
	}
	return loop_fd_add(p->loop, &p->ring_watch, ring_buffer__epoll_fd(p->ring), EPOLLIN,
		second_read_ring, p);
}

int plane_open(struct plane *p, char *err, size_t errlen)
{
	int ret = socket_open(p, err, errlen);

	if (ret)
		return ret;
	ret = loop_fd_add(p->loop, &p->udp4_watch, p->udp4, EPOLLIN, socket_read4, p);
	if (!ret && p->udp6 >= 0)
		ret = loop_fd_add(p->loop, &p->udp6_watch, p->udp6, EPOLLIN, socket_read6, p);
	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

/* Whoever loaded it may have been another thread: nobody else has looked at it before. */
static void take_datapath(struct plane *p)
{
	p->dp = p->loaded;
	p->loaded = NULL;
	p->inject.dp = p->dp;
	p->endpoints = (struct endpoints){ .dp = p->dp, .config = &p->map_config };
	p->local_addrs.dp = p->dp;
	p->next_hops.dp = p->dp;
	p->tunnel_routes.dp = p->dp;
	p->ways.dp = p->dp;
	p->helper.dp = p->dp;
}

int plane_start(struct plane *p, char *err, size_t errlen)
{
	int ret;

	take_datapath(p);
	p->was_adopted = datapath_is_adopted(p->dp);
	ret = datapath_tunnel(p->dp, err, errlen);
	if (!ret) {
		pair_take(&p->pair, p->dp);
		ret = start_fill(p, err, errlen);
	}
	if (ret)
		return ret;
	ret = inject_open(&p->inject, p->dp);
	if (ret) {
		snprintf(err, errlen, "packet socket: %s", strerror(-ret));
		return ret;
	}
	ret = open_ring(p);
	if (!ret)
		ret = event_open_monitor(p);
	if (ret) {
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
		return ret;
	}
	p->pair.port = p->map_config.listen_port;
	p->pair.peers_max = p->peers_max;
	start_nat(p);
	counts_start(p);
	return 0;
}

int plane_attach(struct plane *p, char *err, size_t errlen)
{
	/* Which devices carry a program depends on the networks, which are known by now. */
	int ret = map_config_sync_ways(p, err, errlen);

	if (!ret)
		ret = datapath_attach(p->dp, err, errlen);
	if (ret)
		return ret;
	p->has_attached = true;
	/* The way in is known only now; what XDP_TX and hand-up need with it. */
	ret = map_config_set_modes(p, err, errlen);
	if (ret)
		return ret;
	uplinks_describe_mode(p);
	uplinks_start_threads(p);
	uplinks_check_forwarding(p);
	hazards_update(p);
	p->is_ready = true;
	/* packets of a mesh flow when its first map is in force */
	p->info.ready = !p->config->mesh.enabled;
	map_write_info(p);
	loop_timer_after(p->loop, &p->second, 0);
	socket_replay(p);
	plane_wake(p);
	log_info("ready: %s on %s, %s", p->info.mode, p->info.uplinks, p->info.why);
	if (p->plane_events.ready)
		p->plane_events.ready(p->plane_ctx);
	return 0;
}

void plane_free(struct plane *p)
{
	if (!p)
		return;
	keystream_process_stop(&p->helper);
	pair_close(&p->pair);
	inject_close(&p->inject);
	ring_buffer__free(p->ring);
	device_free(p->device);
	hold_done(&p->hold);
	tunnel_routes_done(&p->tunnel_routes);
	ways_done(&p->ways);
	datapath_close(p->dp);
	datapath_close(p->loaded);
	for (size_t i = 0; i < sizeof(p->fds) / sizeof(p->fds[0]); i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	}
	loop_free(p->loop);
	prefixes_done(&p->allowed);
	prefixes_done(&p->allowed6);
	prefixes_done(&p->routes);
	prefixes_done(&p->routes6);
	prefixes_done(&p->locals);
	prefixes_done(&p->locals6);
	found_done(&p->found);
	free(p->notices.peers);
	free(p->notices.out);
	free(p->early);
	free(p->slots_of);
	free(p->infos);
	free(p->percpu);
	free(p->neighs);
	free(p->polled);
	free(p);
}

static void close_all(struct plane *p)
{
	for (size_t i = 0; i < sizeof(p->fds) / sizeof(p->fds[0]); i++)
		p->fds[i] = -1;
	p->helper.fd = -1;
	p->inject.fd = -1;
}

struct plane *plane_new(const struct config *config)
{
	struct plane *p = calloc(1, sizeof(*p));
	int cpus = libbpf_num_possible_cpus();

	if (!p || loop_new(&p->loop)) {
		free(p);
		return NULL;
	}
	close_all(p);
	p->config = config;
	p->cpus = cpus > 0 ? cpus : 1;
	hold_init(&p->hold);
	p->hold.expired = event_hold_expired;
	p->hold.ctx = p;
	loop_timer_init(&p->due, second_due, p);
	loop_timer_init(&p->second, second_tick, p);
	loop_timer_init(&p->follow, follow_tick, p);
	loop_timer_init(&p->pmtu_timer, pmtu_tick, p);
	loop_timer_init(&p->notices.timer, plane_tell, p);
	loop_timer_init(&p->host_timer, map_config_tick, p);
	p->helper.loop = p->loop;
	p->helper.pin_dir = config->pin_dir;
	p->helper.memory = config->keystream_memory;
	pair_init(&p->pair, p->loop);
	tunnel_routes_init(&p->tunnel_routes, p->loop);
	p->ways.routes = &p->routes;
	p->ways.routes6 = &p->routes6;
	p->ways.locals = &p->locals;
	p->ways.locals6 = &p->locals6;
	net_ipv6_is_off("", config->tunnel, config->mtu, p->no_ipv6, sizeof(p->no_ipv6));
	return p;
}

bool plane_is_ready(const struct plane *p)
{
	return p->is_ready;
}

bool plane_is_serving(const struct plane *p)
{
	return p->info.ready;
}

bool plane_was_adopted(const struct plane *p)
{
	return p->was_adopted;
}

bool plane_has_attached(const struct plane *p)
{
	return p->has_attached;
}

void plane_look_again(struct plane *p)
{
	p->links_changed = true;
}

void plane_freeze(struct plane *p)
{
	p->is_ending = true;
}

void plane_end_helper(struct plane *p)
{
	keystream_process_stop(&p->helper);
}

void plane_let_go(struct plane *p)
{
	struct loop_timer *const timers[] = { &p->due, &p->second, &p->follow, &p->pmtu_timer,
		&p->notices.timer, &p->host_timer };
	struct loop_fd *const watches[] = { &p->udp4_watch, &p->udp6_watch, &p->monitor_watch,
		&p->ring_watch };

	p->is_ready = false;
	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		loop_timer_cancel(p->loop, timers[i]);
	for (size_t i = 0; i < sizeof(watches) / sizeof(watches[0]); i++)
		loop_fd_remove(p->loop, watches[i]);
	if (p->udp4 >= 0)
		close(p->udp4);
	if (p->udp6 >= 0)
		close(p->udp6);
	p->udp4 = p->udp6 = -1;
	datapath_let_go(p->dp);
}

void plane_mark_stopped(struct plane *p)
{
	p->info.blocks |= TALON_BLOCK_STOPPED;
	map_write_info(p);
}
