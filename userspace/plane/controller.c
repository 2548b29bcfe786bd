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

#include "plane/controller.h"
#include "plane/internal.h"
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

static void refresh_ports(struct plane *p, uint64_t now)
{
	int ret;

	p->ports_ns = now + NAT_PORTS_REFRESH_S * TALON_NSEC_PER_SEC;
	if (p->map_config.flags & TALON_F_SNAT_OWN)
		return;		/* no socket has that address */
	ret = nat_ports_refresh(&p->ports);
	p->ports_unknown = ret == -ENOENT;	/* a kernel without inet_diag stays one: a hazard, not news */
	if (ret < 0 && !p->ports_unknown)
		log_warn("cannot list this host's sockets, so SNAT may use their ports: %s", strerror(-ret));
}

/* No flow may be made before the ports of the host's own sockets are known. */
static void start_nat(struct plane *p)
{
	const struct talon_config *mc = &p->map_config;

	nat_gc_init(&p->gc, datapath_prog_fd(p->dp, "natgc"), datapath_map_fd(p->dp, DATAPATH_MAP_NAT_STATS));
	nat_ports_init(&p->ports, datapath_map_fd(p->dp, DATAPATH_MAP_PORT_BLOCK), mc->port_first,
		mc->port_last);
	refresh_ports(p, clock_boot_ns());
}

static void describe_mode(struct plane *p)
{
	snprintf(p->info.mode, sizeof(p->info.mode), "%s", datapath_mode_name(datapath_get_mode(p->dp)));
	snprintf(p->info.why, sizeof(p->info.why), "%s", datapath_get_why(p->dp));
}

static int open_monitor(struct plane *p)
{
	p->monitor = net_monitor_open();
	if (p->monitor < 0)
		return p->monitor;
	return loop_fd_add(p->loop, &p->monitor_watch, p->monitor, EPOLLIN, event_network, p);
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
		event_read_ring, p);
}

void event_read_ring(void *ctx, uint32_t events)
{
	struct plane *p = ctx;

	p->events_left = EVENTS_PER_TURN;
	ring_buffer__consume(p->ring);
	plane_wake(p);
}

/* Maps, device, desired state of a file; then the programs are let at the packets. */
int plane_start(struct plane *p, char *err, size_t errlen)
{
	int ret;

	p->was_adopted = datapath_is_adopted(p->dp);
	ret = datapath_tunnel(p->dp, err, errlen);
	if (!ret)
		ret = start_fill(p, err, errlen);
	if (ret)
		return ret;
	ret = inject_open(p);
	if (ret) {
		snprintf(err, errlen, "packet socket: %s", strerror(-ret));
		return ret;
	}
	ret = open_ring(p);
	if (!ret)
		ret = open_monitor(p);
	if (ret) {
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
		return ret;
	}
	start_nat(p);
	counts_start(p);
	/*
	 * What can be refused goes before the programs, which a failed start could not take
	 * off without a gap.
	 */
	ret = p->config->mesh.enabled ? 0 : static_apply(p, err, errlen);
	/* Which devices carry a program depends on the networks, which are known by now. */
	if (!ret)
		ret = ways_sync(p, err, errlen);
	if (!ret)
		ret = datapath_attach(p->dp, err, errlen);
	if (ret)
		return ret;
	p->has_attached = true;
	/* The way in is known only now; what XDP_TX and hand-up need with it. */
	ret = start_modes(p, err, errlen);
	if (ret)
		return ret;
	describe_mode(p);
	uplinks_start_threads(p);
	uplinks_check_forwarding(p);
	start_hazards(p);
	p->is_ready = true;
	/* packets of a mesh flow when its first map is in force */
	p->info.ready = !p->config->mesh.enabled;
	map_write_info(p);
	loop_timer_after(p->loop, &p->second, 0);
	socket_replay(p);
	plane_wake(p);
	return 0;
}

void plane_free(struct plane *p)
{
	if (!p)
		return;
	mesh_free(p->mesh);
	keystream_stop(p);
	relay_close(p);
	ring_buffer__free(p->ring);
	device_free(p->device);
	hold_done(&p->hold);
	hosts_done(p);
	ways_done(p);
	datapath_close(p->dp);
	for (size_t i = 0; i < sizeof(p->fds) / sizeof(p->fds[0]); i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	}
	loop_free(p->loop);
	prefixes_done(&p->allowed);
	prefixes_done(&p->routes);
	prefixes_done(&p->locals);
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

/*
 * The map says that a session was confirmed, but the event got lost: without it we would not rekey, or would
 * send by a session that is gone.
 */
static void reconcile_promotion(struct plane *p, uint64_t now, const struct device_peer_sessions *s)
{
	struct talon_replay window;

	if (s->next && !map_read(p, DATAPATH_MAP_REPLAY, s->next & (p->slots - 1), &window) &&
		window.state == TALON_SESSION_CURRENT)
		device_session_promoted(p->device, now, s->next);
}

/*
 * Peers with a session. One that neither got nor sent anything since the last time costs one lookup: there is
 * nothing new to tell.
 */
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
		/* Later than our clock: the device takes it for now, and hears it right the next time. */
		if (facts.rx_ns <= now && facts.tx_ns <= now)
			p->polled[i] = (struct polled){ .rx_ns = facts.rx_ns, .tx_ns = facts.tx_ns };
		device_peer_facts(p->device, now, i, &facts);
		event_reconcile_endpoint(p, i);
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

static void attach_again(struct plane *p, char *text, size_t size)
{
	/* not the same every second, while it fails */
	bool is_new = strcmp(text, p->uplinks.attaching) != 0;
	int ret;

	snprintf(p->uplinks.attaching, sizeof(p->uplinks.attaching), "%s", text);
	if (is_new)
		log_warn("%s; attaching again", text);
	ret = datapath_tunnel(p->dp, text, size);
	if (!ret)
		ret = datapath_attach(p->dp, text, size);
	if (!ret)
		ret = start_modes(p, text, size);
	if (ret) {
		if (is_new)
			log_err("%s", text);
		return;
	}
	p->uplinks.attaching[0] = '\0';
	describe_mode(p);
	uplinks_start_threads(p);
	p->tunnel_changed = true;	/* its routes went with the old one */
	relay_close(p);
	start_repair_endpoints(p);
	plane_repair_ways(p);
}

static void check_links(struct plane *p)
{
	char text[ERR_LEN];

	p->links_changed = false;
	start_local_addrs(p);
	uplinks_raise_tunnel(p);
	if (uplinks_follow(p)) {	/* else there is nothing to attach to until one comes */
		if (datapath_verify(p->dp, text, sizeof(text)) == -ENOLINK)
			attach_again(p, text, sizeof(text));
		start_links(p);
	}
	/* The kernel forgets the routes of a device that goes down. */
	if (p->tunnel_changed && hosts_sync(p, false, text, sizeof(text)))
		log_warn("%s", text);
	p->tunnel_changed = false;
}

static void open_monitor_again(struct plane *p)
{
	p->monitor_failed = false;
	loop_fd_remove(p->loop, &p->monitor_watch);
	close(p->monitor);
	if (open_monitor(p)) {
		p->monitor_failed = true;
		return;
	}
	event_resync(p);
}

static void each_second(void *ctx)
{
	struct plane *p = ctx;
	uint64_t now = clock_boot_ns();

	loop_timer_set(p->loop, &p->second, now + TALON_NSEC_PER_SEC);
	poll_facts(p, now);
	nat_gc_tick(&p->gc, now / TALON_NSEC_PER_SEC);
	keystream_check(p, now);
	next_hops_keep(p, now);
	if (now >= p->ports_ns)
		refresh_ports(p, now);
	if (p->monitor_failed)
		open_monitor_again(p);
	if (p->links_changed)
		check_links(p);
	else
		ways_poll(p);
	uplinks_check_forwarding(p);
	if (now >= p->refresh_ns) {
		/* Next hops may have moved without a word. */
		p->refresh_ns = now + REFRESH_NS;
		p->sees_change = true;
		pmtu_refresh(p);
		p->links_changed = true;	/* nobody tells when another tc program gets in front */
		start_hazards(p);
	}
	if (!p->config->mesh.enabled)
		names_tick(p, now);
	counts_write(p);
	p->info.heartbeat_ns = now;
	map_write_info(p);
	plane_wake(p);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is due, and when to be woken for the next. */
static void do_due(void *ctx)
{
	struct plane *p = ctx;
	uint64_t now = clock_boot_ns();

	if (!p->is_ready)
		return;
	if (p->sees_change)
		map_bump_generation(p);
	loop_timer_set(p->loop, &p->due, earlier(device_tick(p->device, now), hold_expire(&p->hold, now)));
}

void plane_wake(struct plane *p)
{
	loop_timer_after(p->loop, &p->due, 0);
}

static void end_run(void *ctx)
{
	struct plane *p = ctx;

	loop_stop(p->loop);
}

void plane_stop(struct plane *p)
{
	if (p->is_ending) {	/* asked twice: at once */
		loop_stop(p->loop);
		return;
	}
	p->is_ending = true;
	if (p->mesh)
		mesh_stop(p->mesh);
	loop_timer_after(p->loop, &p->end, p->mesh ? END_NS : 0);
}

/* Before the datapath is there, the start will see to it. */
static void reload(struct plane *p)
{
	char err[ERR_LEN] = "";

	if (p->is_ending || !p->is_ready) {
		log_info("SIGHUP: not now: %s", p->is_ending ? "it ends" : "it is just starting");
	} else if (!p->reload) {
		log_info("SIGHUP: in a mesh settings come from management; this host's addresses are looked "
			"at again");
		p->links_changed = true;
		mesh_look_again(p->mesh);
	} else if (!p->reload->read(p->reload->ctx)) {
		names_restart();
		if (static_apply(p, err, sizeof(err)))
			log_err("SIGHUP: %s", err);
		else
			log_info("SIGHUP: %zu peers and %zu routes are in force", p->config->peer_count,
				p->config->route_count);
		plane_wake(p);
	}
}

static void on_signal(void *ctx, uint32_t events)
{
	struct signalfd_siginfo info;
	struct plane *p = ctx;

	while (read(p->signals, &info, sizeof(info)) > 0) {
		if (info.ssi_signo == SIGHUP)
			reload(p);
		else
			plane_stop(p);
	}
}

static int open_signals(struct plane *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->signals < 0 ? -errno : loop_fd_add(p->loop, &p->signals_watch, p->signals, EPOLLIN,
		on_signal, p);
}

int plane_open(struct plane *p, char *err, size_t errlen)
{
	int ret = socket_open(p, err, errlen);

	if (ret)
		return ret;
	ret = open_signals(p);
	if (!ret)
		ret = loop_fd_add(p->loop, &p->udp4_watch, p->udp4, EPOLLIN, socket_read4, p);
	if (!ret && p->udp6 >= 0)
		ret = loop_fd_add(p->loop, &p->udp6_watch, p->udp6, EPOLLIN, socket_read6, p);
	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

static int choose_uplinks(struct plane *p, char *err, size_t errlen)
{
	fill_options(p->config, &p->loading.options);
	return uplinks_choose(p, err, errlen);
}

int plane_load(struct plane *p, char *err, size_t errlen)
{
	int ret = choose_uplinks(p, err, errlen);

	return ret ? ret : datapath_load(&p->loading.options, &p->dp, err, errlen);
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

static void finish_loading(struct plane *p)
{
	struct loading *l = &p->loading;

	if (!l->is_running)
		return;
	loop_fd_remove(p->loop, &l->watch);
	pthread_join(l->thread, NULL);
	close(l->fd);
	l->fd = -1;
	l->is_running = false;
	p->dp = l->dp;
}

static void fail_run(struct plane *p, int ret, const char *err)
{
	log_err("%s", err);
	p->result = ret;
	loop_stop(p->loop);
}

static void on_loaded(void *ctx, uint32_t events)
{
	struct plane *p = ctx;
	char err[ERR_LEN] = "";
	int ret;

	finish_loading(p);
	ret = p->loading.ret;
	if (ret)
		snprintf(err, sizeof(err), "%s", p->loading.err);
	else
		ret = plane_start(p, err, sizeof(err));
	if (ret) {
		fail_run(p, ret, err);
		return;
	}
	log_info("ready: %s on %s, %s", p->info.mode, p->info.uplinks, p->info.why);
	if (p->plane_events.ready)
		p->plane_events.ready(p->plane_ctx);
}

/* Begins to load the datapath beside the loop. */
static int start_loading(struct plane *p, char *err, size_t errlen)
{
	struct loading *l = &p->loading;
	int ret = choose_uplinks(p, err, errlen);

	if (ret)
		return ret;
	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = l->fd < 0 ? -errno : loop_fd_add(p->loop, &l->watch, l->fd, EPOLLIN, on_loaded, p);
	if (!ret)
		ret = -pthread_create(&l->thread, NULL, load, l);
	l->is_running = !ret;
	if (ret)
		snprintf(err, errlen, "cannot begin to load the programs: %s", strerror(-ret));
	return ret;
}

/* A file has all there is to know: one thing after the other, and what goes wrong ends the start. */
static int run_static(struct plane *p, char *err, size_t errlen)
{
	int ret = plane_load(p, err, errlen);

	if (!ret)
		ret = plane_open(p, err, errlen);
	if (!ret)
		ret = plane_start(p, err, errlen);
	if (ret)
		return ret;
	log_info("ready: %s on %s, %s", p->info.mode, p->info.uplinks, p->info.why);
	ret = loop_run(p->loop);
	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

/* The mesh's connections are under way while the verifier works. */
static int run_mesh(struct plane *p, char *err, size_t errlen)
{
	int ret = start_loading(p, err, errlen);

	if (!ret)
		ret = plane_open(p, err, errlen);
	if (!ret)
		ret = mesh_start(p, p->config, &p->mesh, err, errlen);
	if (!ret) {
		ret = loop_run(p->loop);
		if (ret)
			snprintf(err, errlen, "event loop: %s", strerror(-ret));
	}
	finish_loading(p);
	/* another one runs: that says more than its port being taken */
	if (ret && p->loading.ret == -EBUSY)
		snprintf(err, errlen, "%s", p->loading.err);
	if (ret)
		return ret;
	ret = p->mesh ? mesh_result(p->mesh) : 0;
	return p->result ? p->result : ret;	/* both were logged */
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
 * A fresh start that failed. Before anything was attached, closing the datapath has removed all there was;
 * what is attached only the way down can take off. A datapath that ran before us is left running.
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

static void close_all(struct plane *p)
{
	for (size_t i = 0; i < sizeof(p->fds) / sizeof(p->fds[0]); i++)
		p->fds[i] = -1;
	p->helper.fd = -1;
	p->loading.fd = -1;
	p->relay.rx = -1;
	p->relay.tx = -1;
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
	p->hold.expired = unreachable_expired;
	p->hold.ctx = p;
	loop_timer_init(&p->due, do_due, p);
	loop_timer_init(&p->second, each_second, p);
	loop_timer_init(&p->end, end_run, p);
	loop_timer_init(&p->follow, follow_tick, p);
	loop_timer_init(&p->pmtu.timer, pmtu_tick, p);
	loop_timer_init(&p->notices.timer, plane_tell, p);
	loop_timer_init(&p->hosts.timer, hosts_tick, p);
	loop_timer_init(&p->ways.timer, ways_tick, p);
	return p;
}

int daemon_run(const struct config *config, const struct daemon_reload *reload)
{
	struct plane *p = plane_new(config);
	const struct rlimit none = {};
	bool is_fresh, has_attached, was_ready;
	char err[ERR_LEN] = "";
	int ret;

	if (!p)
		return -ENOMEM;
	p->reload = reload;
	/* Keys are in this memory: no core dumps, no tracing by others of the same user. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	ret = config->mesh.enabled ? run_mesh(p, err, sizeof(err)) : run_static(p, err, sizeof(err));
	if (ret && *err)
		log_err("%s", err);
	is_fresh = !p->was_adopted;
	has_attached = p->has_attached;
	/* in a mesh: a map was applied. One that was refused before leaves nothing */
	was_ready = p->info.ready;
	if (was_ready) {
		p->info.blocks |= TALON_BLOCK_STOPPED;
		map_write_info(p);
		log_info("stopped; the datapath goes on until keys expire. talon down removes it");
	}
	plane_free(p);
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

int daemon_down(const char *pin_dir, bool is_ending, char *err, size_t errlen)
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
