// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One process, one loop: start in order, run, stop in reverse.
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <sodium.h>

#include "controller/controller.h"
#include "controller/internal.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "net/threads.h"
#include "talon/keystream_types.h"

#define ERR_LEN			512
#define REFRESH_NS		(60 * TALON_NSEC_PER_SEC)
#define DOWN_WAIT_MS		5000
#define END_NS			(50 * LOOP_MS)	/* for what the mesh says last to leave */
#define MIB			(1U << 20)
#define EVENTS_PER_TURN		256	/* of the datapath; then the other descriptors get their turn */

static void fill_options(const struct config *config, struct datapath_options *o)
{
	*o = (struct datapath_options){
		.base = config->pin_dir,
		.mode = (enum datapath_mode)config->datapath,
		.dispatcher = (enum datapath_dispatcher)config->dispatcher,
		.dispatcher_priority = config->xdp_priority,
		.tunnel = config->tunnel,
		.tunnel_mtu = config->mtu,
		.peers = config->max_peers,
		.flows = config->max_flows,
		.keystream = config->keystream_memory * (MIB / sizeof(struct talon_keystream_slot)),
		.relay = true,
	};
}

static void refresh_ports(struct controller *c, uint64_t now)
{
	int ret;

	c->ports_ns = now + NAT_PORTS_REFRESH_S * TALON_NSEC_PER_SEC;
	if (c->map_config.flags & TALON_F_SNAT_OWN)
		return;		/* no socket has that address */
	ret = nat_ports_refresh(&c->ports);
	c->ports_unknown = ret == -ENOENT;	/* a kernel without inet_diag stays one: a hazard, not news */
	if (ret < 0 && !c->ports_unknown)
		log_warn("cannot list this host's sockets, so SNAT may use their ports: %s", strerror(-ret));
}

/* No flow may be made before the ports of the host's own sockets are known. */
static void start_nat(struct controller *c)
{
	const struct talon_config *mc = &c->map_config;

	nat_gc_init(&c->gc, datapath_prog_fd(c->dp, "natgc"), datapath_map_fd(c->dp, DATAPATH_MAP_NAT_STATS));
	nat_ports_init(&c->ports, datapath_map_fd(c->dp, DATAPATH_MAP_PORT_BLOCK), mc->port_first, mc->port_last);
	refresh_ports(c, clock_boot_ns());
}

static void describe_mode(struct controller *c)
{
	snprintf(c->info.mode, sizeof(c->info.mode), "%s", datapath_mode_name(datapath_get_mode(c->dp)));
	snprintf(c->info.why, sizeof(c->info.why), "%s", datapath_get_why(c->dp));
}

static int open_monitor(struct controller *c)
{
	c->monitor = net_monitor_open();
	if (c->monitor < 0)
		return c->monitor;
	return loop_fd_add(c->loop, &c->monitor_watch, c->monitor, EPOLLIN, event_network, c);
}

static int open_ring(struct controller *c)
{
	static const enum datapath_map more[] = { DATAPATH_MAP_EVENT_PACKETS, DATAPATH_MAP_EVENT_STRAYS };
	int ret;

	/* Read in this order: promotions first, what strangers sent last. */
	c->ring = ring_buffer__new(datapath_map_fd(c->dp, DATAPATH_MAP_EVENTS), event_handle, c, NULL);
	if (!c->ring)
		return -errno;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		ret = ring_buffer__add(c->ring, datapath_map_fd(c->dp, more[i]), event_handle, c);
		if (ret)
			return ret;
	}
	return loop_fd_add(c->loop, &c->ring_watch, ring_buffer__epoll_fd(c->ring), EPOLLIN, event_read_ring, c);
}

void event_read_ring(void *ctx, uint32_t events)
{
	struct controller *c = ctx;

	c->events_left = EVENTS_PER_TURN;
	ring_buffer__consume(c->ring);
	controller_wake(c);
}

/* Maps, device, desired state of a file; then the programs are let at the packets. */
int controller_start(struct controller *c, char *err, size_t errlen)
{
	int ret;

	c->was_adopted = datapath_is_adopted(c->dp);
	ret = datapath_tunnel(c->dp, err, errlen);
	if (!ret)
		ret = start_fill(c, err, errlen);
	if (ret)
		return ret;
	ret = inject_open(c);
	if (ret) {
		snprintf(err, errlen, "packet socket: %s", strerror(-ret));
		return ret;
	}
	ret = open_ring(c);
	if (!ret)
		ret = open_monitor(c);
	if (ret) {
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
		return ret;
	}
	start_nat(c);
	counts_start(c);
	/* What can be refused goes before the programs, which a failed start could not take off without a gap. */
	ret = c->config->mesh.enabled ? 0 : static_apply(c, err, errlen);
	/* Which devices carry a program depends on the networks, which are known by now. */
	if (!ret)
		ret = ways_sync(c, err, errlen);
	if (!ret)
		ret = datapath_attach(c->dp, err, errlen);
	if (ret)
		return ret;
	c->has_attached = true;
	/* The way in is known only now; what XDP_TX and hand-up need with it. */
	ret = start_modes(c, err, errlen);
	if (ret)
		return ret;
	describe_mode(c);
	uplinks_start_threads(c);
	uplinks_check_forwarding(c);
	start_hazards(c);
	c->is_ready = true;
	c->info.ready = !c->config->mesh.enabled;	/* packets of a mesh flow when its first map is in force */
	map_write_info(c);
	loop_timer_after(c->loop, &c->second, 0);
	socket_replay(c);
	controller_wake(c);
	return 0;
}

void controller_free(struct controller *c)
{
	if (!c)
		return;
	mesh_free(c->mesh);
	keystream_stop(c);
	relay_close(c);
	ring_buffer__free(c->ring);
	device_free(c->device);
	hold_done(&c->hold);
	hosts_done(c);
	ways_done(c);
	datapath_close(c->dp);
	for (size_t i = 0; i < sizeof(c->fds) / sizeof(c->fds[0]); i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
	loop_free(c->loop);
	prefixes_done(&c->allowed);
	prefixes_done(&c->routes);
	prefixes_done(&c->locals);
	free(c->notices.peers);
	free(c->notices.out);
	free(c->early);
	free(c->slots_of);
	free(c->infos);
	free(c->percpu);
	free(c->neighs);
	free(c->polled);
	free(c);
}

/* The map says that a session was confirmed, but the event got lost: without it we would not rekey, or would send by a session that is gone. */
static void reconcile_promotion(struct controller *c, uint64_t now, const struct device_peer_sessions *s)
{
	struct talon_replay window;

	if (s->next && !map_read(c, DATAPATH_MAP_REPLAY, s->next & (c->slots - 1), &window) && window.state == TALON_SESSION_CURRENT)
		device_session_promoted(c->device, now, s->next);
}

/* Peers with a session. One that neither got nor sent anything since the last time costs one lookup: there is nothing new to tell. */
static void poll_facts(struct controller *c, uint64_t now)
{
	for (uint32_t i = 0; i < c->peers_max; i++) {
		struct device_peer_sessions s;
		struct talon_peer_stats stats;
		struct device_facts facts;

		if (!c->infos[i].present || device_get_peer_sessions(c->device, i, &s) || (!s.current && !s.previous && !s.next))
			continue;
		reconcile_promotion(c, now, &s);
		if (map_read_peer_stats(c, i, &stats) || (stats.rx_ns == c->polled[i].rx_ns && stats.tx_ns == c->polled[i].tx_ns))
			continue;
		if (controller_ops.read_facts(c, i, &facts))
			continue;
		/* Later than our clock: the device takes it for now, and hears it right the next time. */
		if (facts.rx_ns <= now && facts.tx_ns <= now)
			c->polled[i] = (struct polled){ .rx_ns = facts.rx_ns, .tx_ns = facts.tx_ns };
		device_peer_facts(c->device, now, i, &facts);
		event_reconcile_endpoint(c, i);
	}
}

static void stop_threads(const struct talon_info *info)
{
	char names[sizeof(info->uplinks)], *at = names, *name;

	memcpy(names, info->uplinks, sizeof(names));
	names[sizeof(names) - 1] = 0;
	for (unsigned int i = 0; (name = strsep(&at, ", ")); ) {
		if (!*name)
			continue;
		if (i < 32 && info->threaded & 1U << i)
			net_threads_set(name, if_nametoindex(name), false);
		i++;
	}
}

static void attach_again(struct controller *c, char *text, size_t size)
{
	bool is_new = strcmp(text, c->uplinks.attaching) != 0;	/* not the same every second, while it fails */
	int ret;

	snprintf(c->uplinks.attaching, sizeof(c->uplinks.attaching), "%s", text);
	if (is_new)
		log_warn("%s; attaching again", text);
	ret = datapath_tunnel(c->dp, text, size);
	if (!ret)
		ret = datapath_attach(c->dp, text, size);
	if (!ret)
		ret = start_modes(c, text, size);
	if (ret) {
		if (is_new)
			log_err("%s", text);
		return;
	}
	c->uplinks.attaching[0] = '\0';
	describe_mode(c);
	uplinks_start_threads(c);
	c->tunnel_changed = true;	/* its routes went with the old one */
	relay_close(c);
	start_repair_endpoints(c);
	plane_repair_ways(c);
}

static void check_links(struct controller *c)
{
	char text[ERR_LEN];

	c->links_changed = false;
	start_local_addrs(c);
	uplinks_raise_tunnel(c);
	if (uplinks_follow(c)) {	/* else there is nothing to attach to until one comes */
		if (datapath_verify(c->dp, text, sizeof(text)) == -ENOLINK)
			attach_again(c, text, sizeof(text));
		start_links(c);
	}
	/* The kernel forgets the routes of a device that goes down. */
	if (c->tunnel_changed && hosts_sync(c, false, text, sizeof(text)))
		log_warn("%s", text);
	c->tunnel_changed = false;
}

static void open_monitor_again(struct controller *c)
{
	c->monitor_failed = false;
	loop_fd_remove(c->loop, &c->monitor_watch);
	close(c->monitor);
	if (open_monitor(c)) {
		c->monitor_failed = true;
		return;
	}
	event_resync(c);
}

static void each_second(void *ctx)
{
	struct controller *c = ctx;
	uint64_t now = clock_boot_ns();

	loop_timer_set(c->loop, &c->second, now + TALON_NSEC_PER_SEC);
	poll_facts(c, now);
	nat_gc_tick(&c->gc, now / TALON_NSEC_PER_SEC);
	keystream_check(c, now);
	next_hops_keep(c, now);
	if (now >= c->ports_ns)
		refresh_ports(c, now);
	if (c->monitor_failed)
		open_monitor_again(c);
	if (c->links_changed)
		check_links(c);
	else
		ways_poll(c);
	uplinks_check_forwarding(c);
	if (now >= c->refresh_ns) {
		/* Next hops may have moved without a word. */
		c->refresh_ns = now + REFRESH_NS;
		c->sees_change = true;
		pmtu_refresh(c);
		c->links_changed = true;	/* nobody tells when another tc program gets in front */
		start_hazards(c);
	}
	if (!c->config->mesh.enabled)
		names_tick(c, now);
	counts_write(c);
	c->info.heartbeat_ns = now;
	map_write_info(c);
	controller_wake(c);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is due, and when to be woken for the next. */
static void do_due(void *ctx)
{
	struct controller *c = ctx;
	uint64_t now = clock_boot_ns();

	if (!c->is_ready)
		return;
	if (c->sees_change)
		map_bump_generation(c);
	loop_timer_set(c->loop, &c->due, earlier(device_tick(c->device, now), hold_expire(&c->hold, now)));
}

void controller_wake(struct controller *c)
{
	loop_timer_after(c->loop, &c->due, 0);
}

static void end_run(void *ctx)
{
	struct controller *c = ctx;

	loop_stop(c->loop);
}

void plane_stop(struct controller *c)
{
	if (c->is_ending) {	/* asked twice: at once */
		loop_stop(c->loop);
		return;
	}
	c->is_ending = true;
	if (c->mesh)
		mesh_stop(c->mesh);
	loop_timer_after(c->loop, &c->end, c->mesh ? END_NS : 0);
}

/* Before the datapath is there, the start will see to it. */
static void reload(struct controller *c)
{
	char err[ERR_LEN] = "";

	if (c->is_ending || !c->is_ready) {
		log_info("SIGHUP: not now: %s", c->is_ending ? "it ends" : "it is just starting");
	} else if (!c->reload) {
		log_info("SIGHUP: in a mesh settings come from management; this host's addresses are looked at again");
		c->links_changed = true;
		mesh_look_again(c->mesh);
	} else if (!c->reload->read(c->reload->ctx)) {
		names_restart();
		if (static_apply(c, err, sizeof(err)))
			log_err("SIGHUP: %s", err);
		else
			log_info("SIGHUP: %zu peers and %zu routes are in force", c->config->peer_count, c->config->route_count);
		controller_wake(c);
	}
}

static void on_signal(void *ctx, uint32_t events)
{
	struct signalfd_siginfo info;
	struct controller *c = ctx;

	while (read(c->signals, &info, sizeof(info)) > 0) {
		if (info.ssi_signo == SIGHUP)
			reload(c);
		else
			plane_stop(c);
	}
}

static int open_signals(struct controller *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signals < 0 ? -errno : loop_fd_add(c->loop, &c->signals_watch, c->signals, EPOLLIN, on_signal, c);
}

int controller_open(struct controller *c, char *err, size_t errlen)
{
	int ret = socket_open(c, err, errlen);

	if (ret)
		return ret;
	ret = open_signals(c);
	if (!ret)
		ret = loop_fd_add(c->loop, &c->udp4_watch, c->udp4, EPOLLIN, socket_read4, c);
	if (!ret && c->udp6 >= 0)
		ret = loop_fd_add(c->loop, &c->udp6_watch, c->udp6, EPOLLIN, socket_read6, c);
	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

static int choose_uplinks(struct controller *c, char *err, size_t errlen)
{
	fill_options(c->config, &c->loading.options);
	return uplinks_choose(c, err, errlen);
}

int controller_load(struct controller *c, char *err, size_t errlen)
{
	int ret = choose_uplinks(c, err, errlen);

	return ret ? ret : datapath_load(&c->loading.options, &c->dp, err, errlen);
}

static void *load(void *arg)
{
	const uint64_t one = 1;
	struct loading *l = arg;

	l->ret = datapath_load(&l->options, &l->dp, l->err, sizeof(l->err));
	if (write(l->fd, &one, sizeof(one)) < 0)
		abort();	/* nobody would ever hear of it */
	return NULL;
}

static void finish_loading(struct controller *c)
{
	struct loading *l = &c->loading;

	if (!l->is_running)
		return;
	loop_fd_remove(c->loop, &l->watch);
	pthread_join(l->thread, NULL);
	close(l->fd);
	l->fd = -1;
	l->is_running = false;
	c->dp = l->dp;
}

static void fail_run(struct controller *c, int ret, const char *err)
{
	log_err("%s", err);
	c->result = ret;
	loop_stop(c->loop);
}

static void on_loaded(void *ctx, uint32_t events)
{
	struct controller *c = ctx;
	char err[ERR_LEN] = "";
	int ret;

	finish_loading(c);
	ret = c->loading.ret;
	if (ret)
		snprintf(err, sizeof(err), "%s", c->loading.err);
	else
		ret = controller_start(c, err, sizeof(err));
	if (ret) {
		fail_run(c, ret, err);
		return;
	}
	log_info("ready: %s on %s, %s", c->info.mode, c->info.uplinks, c->info.why);
	if (c->plane_events.ready)
		c->plane_events.ready(c->plane_ctx);
}

/* Begins to load the datapath beside the loop. */
static int start_loading(struct controller *c, char *err, size_t errlen)
{
	struct loading *l = &c->loading;
	int ret = choose_uplinks(c, err, errlen);

	if (ret)
		return ret;
	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = l->fd < 0 ? -errno : loop_fd_add(c->loop, &l->watch, l->fd, EPOLLIN, on_loaded, c);
	if (!ret)
		ret = -pthread_create(&l->thread, NULL, load, l);
	l->is_running = !ret;
	if (ret)
		snprintf(err, errlen, "cannot begin to load the programs: %s", strerror(-ret));
	return ret;
}

/* A file has all there is to know: one thing after the other, and what goes wrong ends the start. */
static int run_static(struct controller *c, char *err, size_t errlen)
{
	int ret = controller_load(c, err, errlen);

	if (!ret)
		ret = controller_open(c, err, errlen);
	if (!ret)
		ret = controller_start(c, err, errlen);
	if (ret)
		return ret;
	log_info("ready: %s on %s, %s", c->info.mode, c->info.uplinks, c->info.why);
	ret = loop_run(c->loop);
	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

/* The mesh's connections are under way while the verifier works. */
static int run_mesh(struct controller *c, char *err, size_t errlen)
{
	int ret = start_loading(c, err, errlen);

	if (!ret)
		ret = controller_open(c, err, errlen);
	if (!ret)
		ret = mesh_start(c, c->config, &c->mesh, err, errlen);
	if (!ret) {
		ret = loop_run(c->loop);
		if (ret)
			snprintf(err, errlen, "event loop: %s", strerror(-ret));
	}
	finish_loading(c);
	if (ret && c->loading.ret == -EBUSY)	/* another one runs: that says more than its port being taken */
		snprintf(err, errlen, "%s", c->loading.err);
	if (ret)
		return ret;
	ret = c->mesh ? mesh_result(c->mesh) : 0;
	return c->result ? c->result : ret;	/* both were logged */
}

static int read_info(const char *pin_dir, struct talon_info *ret_info)
{
	int map = datapath_map_open(pin_dir, DATAPATH_MAP_INFO), ret;
	const uint32_t key = 0;

	if (map < 0)
		return map;
	ret = bpf_map_lookup_elem(map, &key, ret_info);
	close(map);
	return ret;
}

/*
 * A fresh start that failed. Before anything was attached, closing the datapath has removed all there was; what is attached only the
 * way down can take off. A datapath that ran before us is left running.
 */
static void undo(const struct config *config, bool is_fresh, bool has_attached)
{
	struct talon_info info = {};
	char err[ERR_LEN] = "";

	if (!is_fresh || !has_attached)
		return;
	(void)read_info(config->pin_dir, &info);
	if (datapath_down(config->pin_dir, err, sizeof(err)))
		log_err("%s", err);
	stop_threads(&info);
}

static void close_all(struct controller *c)
{
	for (size_t i = 0; i < sizeof(c->fds) / sizeof(c->fds[0]); i++)
		c->fds[i] = -1;
	c->helper.fd = -1;
	c->loading.fd = -1;
	c->relay.rx = -1;
	c->relay.tx = -1;
}

struct controller *controller_new(const struct config *config)
{
	struct controller *c = calloc(1, sizeof(*c));
	int cpus = libbpf_num_possible_cpus();

	if (!c || loop_new(&c->loop)) {
		free(c);
		return NULL;
	}
	close_all(c);
	c->config = config;
	c->cpus = cpus > 0 ? cpus : 1;
	hold_init(&c->hold);
	c->hold.expired = unreachable_expired;
	c->hold.ctx = c;
	loop_timer_init(&c->due, do_due, c);
	loop_timer_init(&c->second, each_second, c);
	loop_timer_init(&c->end, end_run, c);
	loop_timer_init(&c->follow, follow_tick, c);
	loop_timer_init(&c->pmtu.timer, pmtu_tick, c);
	loop_timer_init(&c->notices.timer, plane_tell, c);
	loop_timer_init(&c->hosts.timer, hosts_tick, c);
	loop_timer_init(&c->ways.timer, ways_tick, c);
	return c;
}

int controller_run(const struct config *config, const struct controller_reload *reload)
{
	struct controller *c = controller_new(config);
	const struct rlimit none = {};
	bool is_fresh, has_attached, was_ready;
	char err[ERR_LEN] = "";
	int ret;

	if (!c)
		return -ENOMEM;
	c->reload = reload;
	/* Keys are in this memory: no core dumps, no tracing by others of the same user. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	ret = config->mesh.enabled ? run_mesh(c, err, sizeof(err)) : run_static(c, err, sizeof(err));
	if (ret && *err)
		log_err("%s", err);
	is_fresh = !c->was_adopted;
	has_attached = c->has_attached;
	was_ready = c->info.ready;	/* in a mesh: a map was applied. One that was refused before leaves nothing */
	if (was_ready) {
		c->info.blocks |= TALON_BLOCK_STOPPED;
		map_write_info(c);
		log_info("stopped; the datapath goes on until keys expire. talon down removes it");
	}
	controller_free(c);
	if (ret && !was_ready)
		undo(config, is_fresh, has_attached);
	return ret;
}

/* Asks process @pid (0: none) to end, if it is one of ours. */
static bool ask_to_end(uint32_t pid)
{
	char path[64], name[32] = "";
	bool asked = false;
	FILE *f;

	if (!pid)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	asked = fgets(name, sizeof(name), f) && !strncmp(name, "talon", 5) && !kill(pid, SIGTERM);
	fclose(f);
	return asked;
}

int controller_down(const char *pin_dir, bool is_ending, char *err, size_t errlen)
{
	struct talon_info info = {};
	bool asked = is_ending;
	uint32_t pid;
	int ret;

	(void)read_info(pin_dir, &info);
	/* One that is only starting has the lock and has said nothing yet. */
	pid = datapath_holder(pin_dir);
	asked |= ask_to_end(pid ? pid : info.pid);
	ret = datapath_down(pin_dir, err, errlen);

	for (int waited = 0; ret == -EBUSY && asked && waited < DOWN_WAIT_MS; waited += 50) {
		usleep(50000);
		ret = datapath_down(pin_dir, err, errlen);
	}
	if (!ret)
		stop_threads(&info);
	return ret;
}
