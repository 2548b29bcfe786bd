// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Opens and sizes the objects, and loads them against new or adopted maps.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/memory.h"
#include "config/config.h"
#include "datapath/internal.h"
#include "datapath/seat.h"
#include "log/log.h"
#include "talon/keystream_types.h"
#include "talon/nat_types.h"

#include "natgc.skel.h"
#include "onward.skel.h"
#include "tunnel.skel.h"
#include "uplink_tc.skel.h"
#include "uplink_xdp.skel.h"

#define LOAD_ERR_LEN 256

static const struct {
	const char *name;
	const void *(*elf_bytes)(size_t *size);
} carried[OBJECT_COUNT] = {
	[OBJECT_UPLINK_XDP]	= { "uplink_xdp", uplink_xdp__elf_bytes },
	[OBJECT_UPLINK_TC]	= { "uplink_tc", uplink_tc__elf_bytes },
	[OBJECT_TUNNEL]		= { "tunnel", tunnel__elf_bytes },
	[OBJECT_ONWARD]		= { "onward", onward__elf_bytes },
	[OBJECT_NATGC]		= { "natgc", natgc__elf_bytes },
};

#define MAP_NAME(id, name) [DATAPATH_MAP_##id] = #name,
static const char *const map_names[DATAPATH_MAP_COUNT] = { DATAPATH_MAPS(MAP_NAME) };

const char *datapath_map_name(enum datapath_map map)
{
	return map_names[map];
}

const char *object_name(enum object_id id)
{
	return carried[id].name;
}

struct bpf_program *object_program(const struct datapath *dp, enum object_id id)
{
	return dp->objects[id] ? bpf_object__next_program(dp->objects[id], NULL) : NULL;
}

int object_prog_fd(const struct datapath *dp, enum object_id id)
{
	struct bpf_program *prog = object_program(dp, id);

	return prog ? bpf_program__fd(prog) : -ENOENT;
}

uint32_t prog_id_of(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &len) ? 0 : info.id;
}

static uint32_t round_up_pow2(uint32_t value)
{
	uint32_t pow2 = 1;

	while (pow2 < value && pow2 < 1U << 31)
		pow2 <<= 1;
	return pow2;
}

static int choose_sizes(const struct datapath_options *options, struct datapath_sizes *ret_sizes, char *err,
			size_t errlen)
{
	struct datapath_sizes sizes = {
		.peers = options->peers ? options->peers : CONFIG_MAX_PEERS,
		.sessions = options->sessions,
		.flows = options->flows ? options->flows : CONFIG_MAX_FLOWS,
	};

	if (sizes.peers > 1U << 20) {
		snprintf(err, errlen, "peers: %u is more than %u", sizes.peers, 1U << 20);
		return -EINVAL;
	}
	if (!sizes.sessions)
		sizes.sessions = round_up_pow2(4 * sizes.peers);
	if (sizes.sessions != round_up_pow2(sizes.sessions) || sizes.sessions < 2) {
		snprintf(err, errlen, "sessions: %u is not a power of two", sizes.sessions);
		return -EINVAL;
	}
	if (sizes.flows < 1024 || sizes.flows > TALON_FLOWS_MAX) {
		snprintf(err, errlen, "flows: %u is not within 1024..%u", sizes.flows, TALON_FLOWS_MAX);
		return -EINVAL;
	}
	sizes.buckets = round_up_pow2((sizes.flows + 7) / 8);
	sizes.connections = 2 * sizes.buckets;
	/* one is none */
	sizes.keystream = options->keystream >> TALON_KEYSTREAM_SEGMENT_BITS;
	if (sizes.keystream < 2)
		sizes.keystream = options->keystream ? 2 : 1;
	sizes.rings = options->keystream ? TALON_KEYSTREAM_DIRS * sizes.sessions : 1;
	*ret_sizes = sizes;
	return 0;
}

/* Entries of map @name, or 0: as the object has it. */
static uint32_t entries_of(const struct datapath_sizes *sizes, const char *name)
{
	static const struct { const char *name; size_t offset; } sized[] = {
		{ "sessions", offsetof(struct datapath_sizes, sessions) },
		{ "replay", offsetof(struct datapath_sizes, sessions) },
		{ "send_counters", offsetof(struct datapath_sizes, sessions) },
		{ "keystream", offsetof(struct datapath_sizes, keystream) },
		{ "keystream_rings", offsetof(struct datapath_sizes, rings) },
		{ "peer_info", offsetof(struct datapath_sizes, peers) },
		{ "peer_tx", offsetof(struct datapath_sizes, peers) },
		{ "endpoints", offsetof(struct datapath_sizes, peers) },
		{ "peer_stats", offsetof(struct datapath_sizes, peers) },
		{ "nat_peers", offsetof(struct datapath_sizes, peers) },
		{ "flows", offsetof(struct datapath_sizes, flows) },
		{ "flows6", offsetof(struct datapath_sizes, flows) },
		{ "flow_free", offsetof(struct datapath_sizes, flows) },
		{ "flow_fwd", offsetof(struct datapath_sizes, buckets) },
		{ "flow_rev", offsetof(struct datapath_sizes, buckets) },
		{ "acl_ct", offsetof(struct datapath_sizes, connections) },
	};

	for (unsigned i = 0; i < sizeof(sized) / sizeof(sized[0]); i++)
		if (!strcmp(sized[i].name, name))
			return *(const uint32_t *)((const char *)sizes + sized[i].offset);
	return 0;
}

static int open_pinned(const char *root, const char *name, struct bpf_map_info *info)
{
	uint32_t len = sizeof(*info);
	char path[PATH_MAX];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/maps/%s", root, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	memset(info, 0, sizeof(*info));
	ret = bpf_obj_get_info_by_fd(fd, info, &len);
	if (ret) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static uint32_t pinned_entries(const char *root, enum datapath_map map, uint32_t fallback)
{
	struct bpf_map_info info;
	int fd = open_pinned(root, map_names[map], &info);

	if (fd < 0)
		return fallback;
	close(fd);
	return info.max_entries;
}

static struct datapath_sizes running_sizes(const struct datapath *dp)
{
	return (struct datapath_sizes){
		.peers = pinned_entries(dp->root, DATAPATH_MAP_PEER_TX, dp->sizes.peers),
		.sessions = pinned_entries(dp->root, DATAPATH_MAP_SESSIONS, dp->sizes.sessions),
		.flows = pinned_entries(dp->root, DATAPATH_MAP_FLOWS, dp->sizes.flows),
		.buckets = pinned_entries(dp->root, DATAPATH_MAP_FLOW_FWD, dp->sizes.buckets),
		.connections = pinned_entries(dp->root, DATAPATH_MAP_ACL_CT, dp->sizes.connections),
		.keystream = pinned_entries(dp->root, DATAPATH_MAP_KEYSTREAM, dp->sizes.keystream),
		.rings = pinned_entries(dp->root, DATAPATH_MAP_KEYSTREAM_RINGS, dp->sizes.rings),
	};
}

/* Running maps keep their sizes: a resize would lose every session and flow. */
static void adopt_sizes(struct datapath *dp)
{
	struct datapath_sizes old = running_sizes(dp);

	if (memcmp(&old, &dp->sizes, sizeof(old)))
		log_warn("the running datapath keeps its sizes (%u peers, %u sessions, %u flows); "
			"\"talon down\" lets them change", old.peers, old.sessions, old.flows);
	dp->sizes = old;
}

static bool is_adoptable(const struct bpf_map_info *info, const struct bpf_map *map)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) && info->map_flags == bpf_map__map_flags(map);
}

/* A pinned map keeps its number of entries, whatever the object or the options say. */
static int size_map(const struct datapath *dp, struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	struct bpf_map_info info;
	uint32_t entries;
	int fd;

	if (!bpf_map__pin_path(map))
		return 0;
	entries = entries_of(&dp->sizes, name);
	fd = open_pinned(dp->root, name, &info);
	if (fd >= 0) {
		close(fd);
		if (!is_adoptable(&info, map))
			return -EPROTOTYPE;
		entries = info.max_entries;
	} else if (fd != -ENOENT) {
		return fd;
	}
	return entries ? bpf_map__set_max_entries(map, entries) : 0;
}

int object_open(const struct datapath *dp, enum object_id id, struct bpf_object **ret_obj)
{
	char maps[PATH_MAX];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = carried[id].name, .pin_root_path = maps);
	struct bpf_object *obj;
	struct bpf_map *map;
	const void *elf;
	size_t size;
	int ret;

	snprintf(maps, sizeof(maps), "%s/maps", dp->root);
	elf = carried[id].elf_bytes(&size);
	obj = bpf_object__open_mem(elf, size, &opts);
	if (!obj)
		return -errno;
	bpf_object__for_each_map(map, obj) {
		ret = size_map(dp, map);
		if (ret) {
			bpf_object__close(obj);
			return ret;
		}
	}
	*ret_obj = obj;
	return 0;
}

int object_open_alone(enum object_id id, struct bpf_object **ret_obj)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = carried[id].name);
	struct bpf_object *obj;
	struct bpf_map *map;
	const void *elf;
	size_t size;
	int ret;

	elf = carried[id].elf_bytes(&size);
	obj = bpf_object__open_mem(elf, size, &opts);
	if (!obj)
		return -errno;
	bpf_object__for_each_map(map, obj) {
		ret = bpf_map__set_pin_path(map, NULL);
		if (ret) {
			bpf_object__close(obj);
			return ret;
		}
	}
	*ret_obj = obj;
	return 0;
}

void object_explain(enum object_id id, int error, char *text, size_t len)
{
	snprintf(text, len, "cannot load %s: %s", carried[id].name,
		 error == -EPERM ? "not permitted; needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
		 : error == -EACCES ? "this kernel's verifier rejects it (log level debug shows why)"
		 : strerror(-error));
}

static int load_object(struct datapath *dp, enum object_id id, char *err, size_t errlen)
{
	int ret;

	ret = object_open(dp, id, &dp->objects[id]);
	if (ret == -EPROTOTYPE) {
		snprintf(err, errlen,
			 "%s/maps: a pinned map has another shape than %s expects; \"talon down\" clears it",
			 dp->root, carried[id].name);
		return ret;
	}
	if (!ret)
		ret = bpf_object__load(dp->objects[id]);
	if (ret)
		object_explain(id, ret, err, errlen);
	return ret;
}

/* One object that is being loaded. */
struct load_job {
	struct datapath *dp;
	enum object_id id;
	pthread_t thread;
	bool has_thread;
	int ret;
	char err[LOAD_ERR_LEN];
};

static void *run_job(void *arg)
{
	struct load_job *job = arg;

	job->ret = load_object(job->dp, job->id, job->err, sizeof(job->err));
	return NULL;
}

/* What the verifier takes for all objects at once, and to spare. */
#define VERIFIER_MEMORY	(20U << 20)

/*
 * Since Linux 6.17 the control group pays for the verifier's memory: where it has little, one object after
 * the other is loaded.
 */
static bool is_memory_short(void)
{
	struct cgroup_memory memory;

	cgroup_memory_read("", &memory);
	return cgroup_memory_free(&memory) < VERIFIER_MEMORY;
}

/*
 * The verifier takes 290 ms for all objects, so they are loaded in parallel: a mesh wants the programs while
 * the first offers are under way. The smallest object is loaded first and alone, as it creates and pins the
 * maps that all share.
 */
static int load_objects(struct datapath *dp, char *err, size_t errlen)
{
	struct load_job jobs[OBJECT_COUNT] = {};
	int ret = load_object(dp, OBJECT_NATGC, err, errlen);
	bool is_short;

	if (ret)
		return ret;
	is_short = is_memory_short();
	for (unsigned id = 0; id < OBJECT_COUNT; id++) {
		if (id == OBJECT_NATGC)
			continue;
		jobs[id] = (struct load_job){ .dp = dp, .id = id };
		jobs[id].has_thread = !is_short && !pthread_create(&jobs[id].thread, NULL, run_job,
			&jobs[id]);
		if (!jobs[id].has_thread)
			run_job(&jobs[id]);
	}
	for (unsigned id = 0; id < OBJECT_COUNT; id++) {
		if (jobs[id].has_thread)
			pthread_join(jobs[id].thread, NULL);
		if (jobs[id].ret && !ret) {
			ret = jobs[id].ret;
			snprintf(err, errlen, "%s", jobs[id].err);
		}
	}
	return ret;
}

static int find_map_fds(struct datapath *dp, char *err, size_t errlen)
{
	struct bpf_map *map;

	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++) {
		map = NULL;
		for (unsigned id = 0; id < OBJECT_COUNT && !map; id++)
			if (dp->objects[id])
				map = bpf_object__find_map_by_name(dp->objects[id], map_names[i]);
		if (!map) {
			snprintf(err, errlen, "map %s: not found in any object", map_names[i]);
			return -ENOENT;
		}
		dp->map_fds[i] = bpf_map__fd(map);
	}
	return 0;
}

static void note_new_maps(struct datapath *dp)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++) {
		snprintf(path, sizeof(path), "%s/maps/%s", dp->root, map_names[i]);
		dp->map_is_new[i] = access(path, F_OK) != 0;
	}
}

static void unpin_new_maps(struct datapath *dp)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++) {
		if (!dp->map_is_new[i])
			continue;
		snprintf(path, sizeof(path), "%s/maps/%s", dp->root, map_names[i]);
		unlink(path);
	}
}

/* What sealing adds at most: over IPv6. */
#define OUTER_MAX 80
/* "rp" is appended for the far end of the relay pair. */
#define TUNNEL_NAME_MAX (IFNAMSIZ - 3)

static int check_options(const struct datapath_options *options, const char *tunnel, char *err, size_t errlen)
{
	if (!options->uplink_count || options->uplink_count > TALON_UPLINKS_MAX) {
		snprintf(err, errlen, "uplinks: %u given, 1 to %u are possible", options->uplink_count,
			 TALON_UPLINKS_MAX);
		return -EINVAL;
	}
	if (!tunnel[0] || strlen(tunnel) > TUNNEL_NAME_MAX) {
		snprintf(err, errlen, "tunnel device \"%s\": 1 to %d characters are possible", tunnel,
			TUNNEL_NAME_MAX);
		return -EINVAL;
	}
	return 0;
}

static void name_relay(struct datapath_tunnel_info *relay, const char *tunnel)
{
	snprintf(relay->name, sizeof(relay->name), "%.13sr", tunnel);
	snprintf(relay->far_name, sizeof(relay->far_name), "%.13srp", tunnel);
}

/* Where it is pinned, and how large. */
static int copy_sizes(struct datapath *dp, const struct datapath_options *options, char *err, size_t errlen)
{
	const char *base = options->base ? options->base : DATAPATH_BASE_DEFAULT;

	if (snprintf(dp->base, sizeof(dp->base), "%s", base) >= (int)sizeof(dp->base)) {
		snprintf(err, errlen, "pin directory: longer than %zu bytes", sizeof(dp->base) - 1);
		return -EINVAL;
	}
	snprintf(dp->root, sizeof(dp->root), "%s/v%u", base, TALON_LAYOUT_VERSION);
	return choose_sizes(options, &dp->sizes, err, errlen);
}

static int copy_options(struct datapath *dp, const struct datapath_options *options, char *err, size_t errlen)
{
	const char *tunnel = options->tunnel ? options->tunnel : DATAPATH_TUNNEL_DEFAULT;
	int ret = copy_sizes(dp, options, err, errlen);

	if (!ret)
		ret = check_options(options, tunnel, err, errlen);
	if (ret)
		return ret;
	snprintf(dp->tunnel.name, sizeof(dp->tunnel.name), "%s", tunnel);
	snprintf(dp->tunnel.far_name, sizeof(dp->tunnel.far_name), "%.14sp", tunnel);
	dp->tunnel.mtu = options->tunnel_mtu ? options->tunnel_mtu : CONFIG_MTU;
	name_relay(&dp->relay, tunnel);
	dp->relay.mtu = dp->tunnel.mtu + OUTER_MAX > 1500 ? dp->tunnel.mtu + OUTER_MAX : 1500;
	dp->mode = options->mode;
	dp->dispatcher = options->dispatcher;
	dp->priority = options->dispatcher_priority ? options->dispatcher_priority
		: CONFIG_XDP_PRIORITY;
	dp->uplink_count = options->uplink_count;
	for (unsigned i = 0; i < options->uplink_count; i++)
		snprintf(dp->uplinks[i].name, IFNAMSIZ, "%s", options->uplinks[i]);
	return 0;
}

/* Whether something is attached: the pins below links/ are the only record of that. */
static bool is_running(const struct datapath *dp)
{
	char links[PATH_MAX];

	snprintf(links, sizeof(links), "%s/links", dp->root);
	return !pin_dir_is_empty(links);
}

int datapath_need(const struct datapath_options *options, struct datapath_need *ret_need)
{
	struct bpf_object *objects[OBJECT_COUNT] = {};
	struct datapath *dp = calloc(1, sizeof(*dp));
	char err[LOAD_ERR_LEN];
	int ret = dp ? 0 : -ENOMEM;

	if (!ret)
		ret = copy_sizes(dp, options, err, sizeof(err));
	if (!ret && is_running(dp))
		dp->sizes = running_sizes(dp);
	for (unsigned id = 0; id < OBJECT_COUNT && !ret; id++)
		ret = object_open(dp, id, &objects[id]);
	if (!ret) {
		need_of_objects(objects, is_running(dp) ? dp->root : NULL, ret_need);
		ret_need->max_flows = dp->sizes.flows;
		ret_need->max_peers = dp->sizes.peers;
	}
	for (unsigned id = 0; id < OBJECT_COUNT; id++)
		bpf_object__close(objects[id]);
	free(dp);
	return ret;
}

static int prepare_tree(struct datapath *dp, char *err, size_t errlen)
{
	int ret;

	dp->adopted = is_running(dp);
	if (!dp->adopted)
		pin_tree_remove(dp->root);	/* a start that died before it attached anything */
	ret = pin_tree_create(dp->root);
	if (ret)
		snprintf(err, errlen, "cannot make %s: %s", dp->root, strerror(-ret));
	return ret;
}

void datapath_announce(const char *base, bool is_starting)
{
	const uint32_t key = 0;
	struct bpf_map_info map;
	struct talon_info info;
	char root[PATH_MAX];
	int fd;

	snprintf(root, sizeof(root), "%s/v%u", base ? base : DATAPATH_BASE_DEFAULT, TALON_LAYOUT_VERSION);
	fd = open_pinned(root, map_names[DATAPATH_MAP_INFO], &map);
	if (fd < 0)
		return;
	if (map.value_size == sizeof(info) && !bpf_map_lookup_elem(fd, &key, &info)) {
		info.blocks &= ~TALON_BLOCK_STARTING;
		info.blocks |= is_starting ? TALON_BLOCK_STARTING : 0;
		bpf_map_update_elem(fd, &key, &info, BPF_ANY);
	}
	close(fd);
}

/* @held: the caller's, whose lock a copy of the descriptor shares; 0: none. */
static int take_seat(struct datapath *dp, int held, char *err, size_t errlen)
{
	int ret = 0;

	dp->seat = held ? fcntl(held, F_DUPFD_CLOEXEC, 0) : seat_open(dp->base, true, err, errlen);
	if (held && dp->seat < 0)
		ret = -errno;
	else if (dp->seat < 0)
		return dp->seat;
	else if (!held)
		ret = seat_take(dp->seat);
	if (!ret)
		return 0;
	seat_explain(dp->seat, dp->base, ret, err, errlen);
	close(dp->seat);
	dp->seat = -1;
	return ret;
}

int datapath_load(const struct datapath_options *options, struct datapath **ret_dp, char *err, size_t errlen)
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int ret;

	if (!dp) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	dp->seat = -1;
	ret = copy_options(dp, options, err, errlen);
	if (ret)
		goto fail;
	ret = take_seat(dp, options->seat, err, errlen);
	if (ret)
		goto fail;
	ret = prepare_tree(dp, err, errlen);
	if (ret)
		goto fail;
	if (dp->adopted) {
		adopt_sizes(dp);
		datapath_announce(dp->base, true);
	}
	note_new_maps(dp);
	ret = load_objects(dp, err, errlen);
	if (!ret)
		ret = find_map_fds(dp, err, errlen);
	if (ret) {
		unpin_new_maps(dp);
		datapath_announce(dp->base, false);
		goto fail;
	}
	*ret_dp = dp;
	return 0;
fail:
	datapath_close(dp);
	return ret;
}

void datapath_close(struct datapath *dp)
{
	if (!dp)
		return;
	if (dp->seat >= 0 && !is_running(dp)) {
		if (dp->made_tunnel)
			net_tunnel_delete(dp->tunnel.name, dp->base);
		if (dp->made_relay)
			net_tunnel_delete(dp->relay.name, dp->base);
		pin_tree_remove(dp->root);
		rmdir(dp->base);	/* stays if another layout version is in it */
	}
	for (unsigned id = 0; id < OBJECT_COUNT; id++)
		bpf_object__close(dp->objects[id]);
	if (dp->seat >= 0)
		close(dp->seat);
	free(dp);
}

void datapath_let_go(struct datapath *dp)
{
	if (dp->seat >= 0)
		close(dp->seat);
	dp->seat = -1;
}

static void count_running(const char *root, unsigned version, void *user)
{
	char links[PATH_MAX];

	snprintf(links, sizeof(links), "%s/links", root);
	*(unsigned *)user += !pin_dir_is_empty(links);
}

/* Whether a datapath of any layout version runs: the tunnel may be in use by it. */
static bool is_in_use(const struct datapath *dp)
{
	unsigned running = 0;

	pin_roots(dp->base, count_running, &running);
	return running;
}

static int read_pair(struct datapath_tunnel_info *info)
{
	struct net_link near, far;
	int ret = net_link_get(info->name, &near);

	if (!ret)
		ret = net_link_get(info->far_name, &far);
	if (ret)
		return ret;
	info->ifindex = near.ifindex;
	info->far_ifindex = far.ifindex;
	info->mtu = near.mtu;
	memcpy(info->mac, near.mac, 6);
	memcpy(info->far_mac, far.mac, 6);
	return 0;
}

/* Not the far device's own address: see datapath_get_relay(). */
static void hide_far(struct datapath_tunnel_info *relay)
{
	relay->far_mac[5] ^= 1;
}

int datapath_find_relay(const char *tunnel, struct datapath_tunnel_info *ret_info)
{
	struct datapath_tunnel_info info = {};
	int ret;

	name_relay(&info, tunnel);
	ret = read_pair(&info);
	if (ret)
		return ret;
	hide_far(&info);
	*ret_info = info;
	return 0;
}

/* @read: the end whose packets the stack or a socket reads; @carries: the end that carries our program. */
static int make_pair(struct datapath *dp, struct datapath_tunnel_info *info, const char *read,
	const char *carries, bool *made, char *err, size_t errlen)
{
	struct net_link near;
	bool was_there = !net_link_get(read, &near) && is_in_use(dp);
	const uint32_t mtu = info->mtu;
	int ret;

	ret = net_tunnel_create(read, carries, info->mtu, dp->base, err, errlen);
	if (ret)
		return ret;
	*made |= !was_there;
	ret = read_pair(info);
	info->mtu = mtu;
	if (ret)
		snprintf(err, errlen, "%s: %s", info->name, strerror(-ret));
	return ret;
}

int datapath_tunnel(struct datapath *dp, char *err, size_t errlen)
{
	int ret = make_pair(dp, &dp->tunnel, dp->tunnel.name, dp->tunnel.far_name, &dp->made_tunnel, err,
		errlen);

	if (ret)
		return ret;
	/* The far end is the one that is read, and needs GRO to accept redirected frames. */
	ret = make_pair(dp, &dp->relay, dp->relay.far_name, dp->relay.name, &dp->made_relay, err, errlen);
	if (!ret)
		hide_far(&dp->relay);
	return ret;
}

int datapath_map_open(const char *base, enum datapath_map map)
{
	char root[PATH_MAX];
	struct bpf_map_info info;

	snprintf(root, sizeof(root), "%s/v%u", base ? base : DATAPATH_BASE_DEFAULT, TALON_LAYOUT_VERSION);
	return open_pinned(root, map_names[map], &info);
}

struct bpf_object *datapath_object_open(const char *name)
{
	struct bpf_object *obj;
	struct bpf_map *map;
	const void *elf;
	unsigned id = 0;
	size_t size;

	while (id < OBJECT_COUNT && strcmp(carried[id].name, name))
		id++;
	if (id == OBJECT_COUNT) {
		errno = ENOENT;
		return NULL;
	}
	elf = carried[id].elf_bytes(&size);
	obj = bpf_object__open_mem(elf, size, NULL);
	if (!obj)
		return NULL;
	bpf_object__for_each_map(map, obj)
		bpf_map__set_pin_path(map, NULL);
	return obj;
}

int datapath_map_fd(const struct datapath *dp, enum datapath_map map)
{
	return dp->map_fds[map];
}

int datapath_prog_fd(const struct datapath *dp, const char *name)
{
	for (unsigned id = 0; id < OBJECT_COUNT; id++)
		if (!strcmp(carried[id].name, name))
			return object_prog_fd(dp, id);
	return -ENOENT;
}

const struct datapath_sizes *datapath_get_sizes(const struct datapath *dp)
{
	return &dp->sizes;
}

unsigned datapath_uplink_count(const struct datapath *dp)
{
	return dp->uplink_count;
}

const struct datapath_uplink *datapath_get_uplink(const struct datapath *dp, unsigned i)
{
	return &dp->uplinks[i];
}

bool datapath_is_adopted(const struct datapath *dp)
{
	return dp->adopted;
}

const struct datapath_tunnel_info *datapath_get_tunnel(const struct datapath *dp)
{
	return &dp->tunnel;
}

const struct datapath_tunnel_info *datapath_get_relay(const struct datapath *dp)
{
	return &dp->relay;
}

bool datapath_owns_device(const struct datapath *dp, int ifindex)
{
	const struct datapath_tunnel_info *const pairs[] = { &dp->tunnel, &dp->relay };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		if (ifindex == pairs[i]->ifindex || ifindex == pairs[i]->far_ifindex)
			return true;
	return false;
}
