// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One process, one epoll loop: start in order, run, stop in reverse.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sodium.h>

#include "controller/controller.h"
#include "controller/internal.h"
#include "log/log.h"
#include "talon/keystream_types.h"

#define ERR_LEN			512
#define REFRESH_NS		(60 * TALON_NSEC_PER_SEC)
#define DOWN_WAIT_MS		5000
#define MIB			(1U << 20)
#define EVENTS_PER_TURN		256	/* of the datapath; then the other descriptors get their turn */

static int watch(struct controller *c, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_monitor(struct controller *c)
{
	c->monitor = net_monitor_open();
	return c->monitor < 0 ? c->monitor : watch(c, c->monitor);
}

static int open_loop(struct controller *c)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->epoll < 0 || c->timer < 0 || c->signals < 0)
		return -errno;
	ret = open_monitor(c);
	if (!ret)
		ret = watch(c, c->timer);
	if (!ret)
		ret = watch(c, c->signals);
	if (!ret)
		ret = watch(c, c->udp4);
	if (!ret && c->udp6 >= 0)
		ret = watch(c, c->udp6);
	return ret ? ret : watch(c, ring_buffer__epoll_fd(c->ring));
}

static void fill_options(const struct config *config, const char *uplink, struct datapath_options *o)
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
	};
	if (!config->uplink_count) {
		o->uplinks[o->uplink_count++] = uplink;
		return;
	}
	for (size_t i = 0; i < config->uplink_count; i++)
		o->uplinks[o->uplink_count++] = config->uplinks[i];
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

/* Everything, in order: maps, sockets, device, desired state; then the programs are let at the packets. */
static int start(struct controller *c, char *err, size_t errlen)
{
	struct datapath_options options;
	char uplink[IFNAMSIZ] = "";
	int ret;

	if (!c->config->uplink_count && net_default_uplink(uplink)) {
		snprintf(err, errlen, "Uplink: there is no default route to take the device from; write Uplink = DEVICE");
		return -ENOENT;
	}
	fill_options(c->config, uplink, &options);
	ret = datapath_load(&options, &c->dp, err, errlen);
	if (ret)
		return ret;
	c->was_adopted = datapath_is_adopted(c->dp);
	ret = socket_open(c, err, errlen);
	if (!ret)
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
	c->ring = ring_buffer__new(datapath_map_fd(c->dp, DATAPATH_MAP_EVENTS), event_handle, c, NULL);
	ret = c->ring ? open_loop(c) : -errno;
	if (ret) {
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
		return ret;
	}
	start_nat(c);
	counts_start(c);
	/* What can be refused goes before the programs, which a failed start could not take off without a gap. */
	ret = start_network(c, err, errlen);
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
	start_hazards(c);
	c->info.ready = 1;
	map_write_info(c);
	return 0;
}

static void stop(struct controller *c)
{
	keystream_stop(c);
	ring_buffer__free(c->ring);
	device_free(c->device);
	hold_done(&c->hold);
	datapath_close(c->dp);
	for (size_t i = 0; i < sizeof(c->fds) / sizeof(c->fds[0]); i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
	free(c->infos);
	free(c->percpu);
	free(c->neighs);
	free(c->polled);
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
		if (map_read_peer_stats(c, i, &stats) || (stats.rx_ns == c->polled[i].rx_ns && stats.tx_ns == c->polled[i].tx_ns))
			continue;
		if (controller_ops.read_facts(c, i, &facts))
			continue;
		/* Later than our clock: the device takes it for now, and hears it right the next time. */
		if (facts.rx_ns <= now && facts.tx_ns <= now)
			c->polled[i] = (struct polled){ .rx_ns = facts.rx_ns, .tx_ns = facts.tx_ns };
		device_peer_facts(c->device, now, i, &facts);
	}
}

static void attach_again(struct controller *c, char *text, size_t size)
{
	int ret;

	log_warn("%s; attaching again", text);
	ret = datapath_tunnel(c->dp, text, size);
	if (!ret)
		ret = datapath_attach(c->dp, text, size);
	if (!ret)
		ret = start_modes(c, text, size);
	if (ret) {
		log_err("%s", text);
		return;
	}
	describe_mode(c);
	c->tunnel_changed = true;	/* its routes went with the old one */
	start_repair_endpoints(c);
}

static void check_links(struct controller *c)
{
	char text[ERR_LEN];

	c->links_changed = false;
	start_local_addrs(c);
	if (datapath_verify(c->dp, text, sizeof(text)) == -ENOLINK)
		attach_again(c, text, sizeof(text));
	start_links(c);
	/* The kernel forgets the routes of a device that goes down. */
	if (c->tunnel_changed && start_network(c, text, sizeof(text)))
		log_warn("%s", text);
	c->tunnel_changed = false;
}

static void open_monitor_again(struct controller *c)
{
	c->monitor_failed = false;
	close(c->monitor);
	if (open_monitor(c)) {
		c->monitor_failed = true;
		return;
	}
	event_resync(c);
}

static void each_second(struct controller *c, uint64_t now)
{
	c->second_ns = now + TALON_NSEC_PER_SEC;
	poll_facts(c, now);
	nat_gc_tick(&c->gc, now / TALON_NSEC_PER_SEC);
	keystream_check(c, now);
	if (now >= c->ports_ns)
		refresh_ports(c, now);
	if (c->monitor_failed)
		open_monitor_again(c);
	if (c->links_changed)
		check_links(c);
	if (now >= c->refresh_ns) {
		/* Next hops may have moved without a word, and neighbours want to be asked about to stay warm. */
		c->refresh_ns = now + REFRESH_NS;
		c->sees_change = true;
		c->links_changed = true;	/* nobody tells when another tc program gets in front */
		start_hazards(c);
	}
	names_tick(c, now);
	counts_write(c);
	c->info.heartbeat_ns = now;
	map_write_info(c);
}

static void arm(struct controller *c, uint64_t at)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = at / TALON_NSEC_PER_SEC, .tv_nsec = at % TALON_NSEC_PER_SEC },
	};

	timerfd_settime(c->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What is due, and when to be woken for the next. */
static void turn(struct controller *c)
{
	uint64_t now = clock_boot_ns(), next;

	if (now >= c->second_ns)
		each_second(c, now);
	if (c->sees_change)
		map_bump_generation(c);
	next = earlier(device_tick(c->device, now), hold_expire(&c->hold, now));
	arm(c, earlier(next, c->second_ns));
}

static void dispatch(struct controller *c, int fd)
{
	struct signalfd_siginfo info;
	uint64_t expirations;

	if (fd == c->udp4 || fd == c->udp6) {
		socket_read(c, fd);
	} else if (fd == c->monitor) {
		event_network(c);
	} else if (fd == c->timer) {
		if (read(fd, &expirations, sizeof(expirations)) < 0)
			return;
	} else if (fd == c->signals) {
		while (read(fd, &info, sizeof(info)) > 0)
			c->stopping = true;
	} else if (fd == c->helper.fd) {
		keystream_check(c, clock_boot_ns());
	} else {
		c->events_left = EVENTS_PER_TURN;
		ring_buffer__consume(c->ring);
	}
}

static void run(struct controller *c)
{
	struct epoll_event events[16];

	while (!c->stopping) {
		int n;

		turn(c);
		n = epoll_wait(c->epoll, events, sizeof(events) / sizeof(events[0]), -1);
		for (int i = 0; i < n; i++)
			dispatch(c, events[i].data.fd);
	}
}

/*
 * A fresh start that failed. Before anything was attached, closing the datapath has removed all there was; what is attached only the
 * way down can take off. A datapath that ran before us is left running.
 */
static void undo(const struct config *config, bool is_fresh, bool has_attached)
{
	char err[ERR_LEN] = "";

	if (is_fresh && has_attached && datapath_down(config->pin_dir, err, sizeof(err)))
		log_err("%s", err);
}

int controller_run(const struct config *config)
{
	struct controller *c = calloc(1, sizeof(*c));
	const struct rlimit none = {};
	int cpus = libbpf_num_possible_cpus();
	char err[ERR_LEN] = "";
	int ret;

	if (!c)
		return -ENOMEM;
	/* Keys are in this memory: no core dumps, no tracing by others of the same user. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	for (size_t i = 0; i < sizeof(c->fds) / sizeof(c->fds[0]); i++)
		c->fds[i] = -1;
	c->helper.fd = -1;
	c->config = config;
	c->cpus = cpus > 0 ? cpus : 1;
	hold_init(&c->hold);
	ret = start(c, err, sizeof(err));
	if (ret) {
		log_err("%s", err);
	} else {
		log_info("ready: %s on %s, %s", c->info.mode, c->info.uplinks, c->info.why);
		run(c);
		log_info("stopped; the datapath goes on until keys expire. talon down removes it");
	}
	stop(c);
	if (ret)
		undo(config, !c->was_adopted, c->has_attached);
	free(c);
	return ret;
}

/* Asks the controller that wrote @info last to end, if that process is one of ours. */
static bool ask_to_end(const char *pin_dir)
{
	int map = datapath_map_open(pin_dir, DATAPATH_MAP_INFO);
	struct talon_info info;
	char path[64], name[32] = "";
	const uint32_t key = 0;
	bool asked = false;
	FILE *f;

	if (map < 0)
		return false;
	if (!bpf_map_lookup_elem(map, &key, &info) && info.pid) {
		snprintf(path, sizeof(path), "/proc/%u/comm", info.pid);
		f = fopen(path, "re");
		if (f) {
			asked = fgets(name, sizeof(name), f) && !strncmp(name, "talon", 5) && !kill(info.pid, SIGTERM);
			fclose(f);
		}
	}
	close(map);
	return asked;
}

int controller_down(const char *pin_dir, char *err, size_t errlen)
{
	bool asked = ask_to_end(pin_dir);
	int ret = datapath_down(pin_dir, err, errlen);

	for (int waited = 0; ret == -EBUSY && asked && waited < DOWN_WAIT_MS; waited += 50) {
		usleep(50000);
		ret = datapath_down(pin_dir, err, errlen);
	}
	return ret;
}
