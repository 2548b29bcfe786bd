// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Gathers a struct status from the pinned maps. Reads only, waits for nobody.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sodium.h>

#include "status/status.h"
#include "talon/session_types.h"

#define BATCH 256	/* entries for one system call */

/* An entry of "allowed4". */
struct allowed {
	__u32 peer;
	struct talon_lpm4 net;
};

struct reading {
	struct status *status;
	struct allowed *allowed;
	size_t allowed_count;
	char root[PATH_MAX];		/* <pin-dir>/v<N> */
	char *why;
	size_t size;
};

static int fail(const struct reading *r, const char *map, int ret)
{
	if (ret == -ENOENT)
		snprintf(r->why, r->size, "map %s is missing below %s", map, r->root);
	else if (ret == -EPERM || ret == -EACCES)
		snprintf(r->why, r->size, "cannot read map %s: %s; run as root", map, strerror(-ret));
	else
		snprintf(r->why, r->size, "cannot read map %s: %s", map, strerror(-ret));
	return ret;
}

/* An fd for reading, if the map's values have @value_size bytes; or a negative errno. */
static int open_map(const struct reading *r, const char *name, size_t value_size, __u32 *ret_entries)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	char path[PATH_MAX + 64];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/maps/%s", r->root, name);
	fd = bpf_obj_get_opts(path, &opts);
	if (fd < 0)
		return fail(r, name, -errno);
	ret = bpf_obj_get_info_by_fd(fd, &info, &len) ? -errno : 0;
	if (!ret && info.value_size != value_size)
		ret = -EPROTO;
	if (ret) {
		close(fd);
		return fail(r, name, ret);
	}
	*ret_entries = info.max_entries;
	return fd;
}

/* Element 0 of a map that has one. */
static int read_one(const struct reading *r, const char *name, void *value, size_t size)
{
	__u32 entries, zero = 0;
	int fd, ret;

	fd = open_map(r, name, size, &entries);
	if (fd < 0)
		return fd;
	ret = bpf_map_lookup_elem(fd, &zero, value) ? fail(r, name, -errno) : 0;
	close(fd);
	return ret;
}

static int read_counters(struct reading *r)
{
	int cpus = libbpf_num_possible_cpus(), fd, ret = 0;
	__u32 entries;
	__u64 *values;

	if (cpus < 0)
		return cpus;
	fd = open_map(r, "stats", sizeof(__u64), &entries);
	if (fd < 0)
		return fd;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		ret = -ENOMEM;
	for (__u32 i = 0; i < TALON_STATS_ENTRIES && i < entries && !ret; i++) {
		if (bpf_map_lookup_elem(fd, &i, values))
			ret = fail(r, "stats", -errno);
		for (int cpu = 0; cpu < cpus && !ret; cpu++)
			r->status->stats[i] += values[cpu];
	}
	free(values);
	close(fd);
	return ret;
}

/* One that an earlier version made may be shorter. */
static int read_keystream_stats(struct reading *r)
{
	int cpus = libbpf_num_possible_cpus(), fd, ret = 0;
	struct talon_keystream_stats *values, *sum;
	__u32 entries;

	if (cpus < 0)
		return cpus;
	fd = open_map(r, "keystream_stats", sizeof(*values), &entries);
	if (fd < 0)
		return fd;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		ret = -ENOMEM;
	for (__u32 dir = 0; dir < TALON_KEYSTREAM_DIRS && !ret; dir++) {
		if (bpf_map_lookup_elem(fd, &dir, values))
			ret = fail(r, "keystream_stats", -errno);
		sum = &r->status->keystream_stats[dir];
		for (int cpu = 0; cpu < cpus && !ret; cpu++) {
			sum->ahead += values[cpu].ahead;
			sum->inline_ += values[cpu].inline_;
		}
	}
	free(values);
	close(fd);
	return ret;
}

/* Of the keystream itself only the size. */
static int read_keystream(struct reading *r)
{
	struct status *status = r->status;
	int ret, fd;

	fd = open_map(r, "keystream", sizeof(struct talon_keystream_slot), &status->keystream_room);
	if (fd < 0)
		return fd;
	close(fd);
	ret = read_one(r, "keystream_state", &status->keystream, sizeof(status->keystream));
	status->keystream_pid_is_alive = status->keystream.pid &&
		(!kill(status->keystream.pid, 0) || errno == EPERM);
	return ret ? ret : read_keystream_stats(r);
}

static int read_handshakes(struct reading *r)
{
	__u32 entries;
	int fd, ret = 0;

	fd = open_map(r, "handshake_stats", sizeof(__u64), &entries);
	if (fd < 0)
		return fd;
	for (__u32 i = 0; i < HANDSHAKE_STATS_ENTRIES && i < entries && !ret; i++) {
		if (bpf_map_lookup_elem(fd, &i, &r->status->handshakes[i]))
			ret = fail(r, "handshake_stats", -errno);
	}
	close(fd);
	return ret;
}

/*
 * Up to BATCH entries behind @cursor, or from the start if @is_first. Returns their number or a
 * negative errno.
 */
static int next_batch(int fd, void *cursor, bool is_first, void *keys, void *values)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 count = BATCH;

	if (bpf_map_lookup_batch(fd, is_first ? NULL : cursor, cursor, keys, values, &count, &opts) &&
		errno != ENOENT)
		return -errno;
	return count;
}

static int add_peers(struct status *status, const __u32 *ids, const struct talon_peer_info *infos, int count)
{
	struct status_peer *larger;
	size_t present = 0;

	for (int i = 0; i < count; i++)
		present += !!infos[i].present;
	if (!present)
		return 0;
	larger = reallocarray(status->peers, status->peer_count + present, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	status->peers = larger;
	for (int i = 0; i < count; i++) {
		if (infos[i].present)
			status->peers[status->peer_count++] = (struct status_peer){ .id = ids[i],
				.info = infos[i] };
	}
	return 0;
}

static int read_peer_infos(const struct reading *r)
{
	struct talon_peer_info *infos = calloc(BATCH, sizeof(*infos));
	__u32 ids[BATCH], cursor = 0, entries;
	int fd, count, ret = 0;
	bool is_first = true;

	if (!infos)
		return -ENOMEM;
	fd = open_map(r, "peer_info", sizeof(*infos), &entries);
	if (fd < 0) {
		free(infos);
		return fd;
	}
	do {
		count = next_batch(fd, &cursor, is_first, ids, infos);
		ret = count < 0 ? fail(r, "peer_info", count) : add_peers(r->status, ids, infos, count);
		is_first = false;
	} while (!ret && count == BATCH);
	close(fd);
	free(infos);
	return ret;
}

static void sum_stats(struct talon_peer_stats *sum, const struct talon_peer_stats *cpu)
{
	sum->rx_bytes += cpu->rx_bytes;
	sum->tx_bytes += cpu->tx_bytes;
	sum->rx_packets += cpu->rx_packets;
	sum->tx_packets += cpu->tx_packets;
	if (cpu->rx_ns > sum->rx_ns)
		sum->rx_ns = cpu->rx_ns;
	if (cpu->tx_ns > sum->tx_ns)
		sum->tx_ns = cpu->tx_ns;
	if (cpu->rx_data_ns > sum->rx_data_ns)
		sum->rx_data_ns = cpu->rx_data_ns;
	if (cpu->tx_data_ns > sum->tx_data_ns)
		sum->tx_data_ns = cpu->tx_data_ns;
}

static int read_peer_stats(const struct reading *r)
{
	int cpus = libbpf_num_possible_cpus(), fd, ret = 0;
	struct talon_peer_stats *values;
	__u32 entries;

	if (cpus < 0)
		return cpus;
	fd = open_map(r, "peer_stats", sizeof(*values), &entries);
	if (fd < 0)
		return fd;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		ret = -ENOMEM;
	for (size_t i = 0; i < r->status->peer_count && !ret; i++) {
		struct status_peer *peer = &r->status->peers[i];

		if (bpf_map_lookup_elem(fd, &peer->id, values))
			ret = fail(r, "peer_stats", -errno);
		for (int cpu = 0; cpu < cpus && !ret; cpu++)
			sum_stats(&peer->stats, &values[cpu]);
	}
	free(values);
	close(fd);
	return ret;
}

/* Peers are in order of their slots, as what is read. */
static int read_shares(const struct reading *r)
{
	struct status *status = r->status;
	struct talon_nat_peer shares[BATCH];
	__u32 ids[BATCH], cursor = 0, entries;
	bool is_first = true;
	int fd, count = 0;
	size_t at = 0;

	fd = open_map(r, "nat_peers", sizeof(shares[0]), &entries);
	if (fd < 0)
		return fd;
	do {
		count = next_batch(fd, &cursor, is_first, ids, shares);
		for (int i = 0; i < count && at < status->peer_count; i++) {
			if (status->peers[at].id == ids[i])
				status->peers[at++].flows = shares[i];
		}
		is_first = false;
	} while (count == BATCH);
	close(fd);
	return count < 0 ? fail(r, "nat_peers", count) : 0;
}

static int read_endpoints(const struct reading *r)
{
	struct talon_endpoint endpoint;
	__u32 entries;
	int fd, ret = 0;

	fd = open_map(r, "endpoints", sizeof(endpoint), &entries);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < r->status->peer_count && !ret; i++) {
		struct status_peer *peer = &r->status->peers[i];

		if (bpf_map_lookup_elem_flags(fd, &peer->id, &endpoint, BPF_F_LOCK)) {
			ret = fail(r, "endpoints", -errno);
			break;
		}
		peer->endpoint_family = endpoint.family;
		peer->endpoint_port = endpoint.remote_port;
		peer->endpoint = endpoint.remote;
	}
	close(fd);
	return ret;
}

/*
 * Whose session is there, and how old it is. The keys that come along are wiped before anything else happens.
 */
static int read_session(int fd, __u32 slot, __u32 index, struct status_peer *peer)
{
	struct talon_session session;
	bool is_live;

	if (bpf_map_lookup_elem(fd, &slot, &session))
		return -errno;
	is_live = session.index == index && session.peer == peer->id;
	peer->has_session = is_live;
	peer->session_ns = is_live ? session.birth_ns : 0;
	sodium_memzero(&session, sizeof(session));
	return 0;
}

static int read_sessions(const struct reading *r)
{
	int tx_fd, fd, ret = 0;
	struct talon_peer_tx tx;
	__u32 entries, slots;

	tx_fd = open_map(r, "peer_tx", sizeof(tx), &entries);
	if (tx_fd < 0)
		return tx_fd;
	fd = open_map(r, "sessions", sizeof(struct talon_session), &slots);
	if (fd < 0) {
		close(tx_fd);
		return fd;
	}
	for (size_t i = 0; i < r->status->peer_count && !ret; i++) {
		struct status_peer *peer = &r->status->peers[i];

		if (bpf_map_lookup_elem(tx_fd, &peer->id, &tx))
			ret = fail(r, "peer_tx", -errno);
		else if (tx.index && read_session(fd, tx.index & r->status->config.session_mask,
			tx.index, peer))
			ret = fail(r, "sessions", -errno);
	}
	close(fd);
	close(tx_fd);
	return ret;
}

/* What a walk over a trie calls for each entry. */
typedef int (*lpm_cb)(struct reading *r, const struct talon_lpm4 *key, const void *value, size_t index);

/*
 * Every entry of a trie. One that changes meanwhile may make the kernel start over: its own size ends that.
 */
static int walk_trie(struct reading *r, const char *name, size_t value_size, lpm_cb cb)
{
	struct talon_lpm4 keys[BATCH], cursor;
	char values[BATCH * sizeof(struct talon_route)];
	bool is_first = true;
	size_t seen = 0;
	__u32 limit;
	int fd, count, ret = 0;

	fd = open_map(r, name, value_size, &limit);
	if (fd < 0)
		return fd;
	do {
		count = next_batch(fd, &cursor, is_first, keys, values);
		is_first = false;
		for (int i = 0; i < count && !ret; i++)
			ret = cb(r, &keys[i], values + i * value_size, seen++);
	} while (!ret && count == BATCH && seen < limit);
	if (count < 0)
		ret = fail(r, name, count);
	close(fd);
	return ret;
}

static int put_route(struct status *status, const struct status_route *route)
{
	struct status_route *larger;

	if (status->route_count % 64 == 0) {
		larger = reallocarray(status->routes, status->route_count + 64, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		status->routes = larger;
	}
	status->routes[status->route_count++] = *route;
	return 0;
}

static int add_route(struct reading *r, const struct talon_lpm4 *key, const void *value, size_t index)
{
	struct talon_route route;

	memcpy(&route, value, sizeof(route));
	return put_route(r->status, &(struct status_route){ .dst = *key, .flags = route.flags });
}

static int add_local(struct reading *r, const struct talon_lpm4 *key, const void *value, size_t index)
{
	return put_route(r->status, &(struct status_route){ .dst = *key, .is_local = true });
}

static int compare_nets(const struct talon_lpm4 *a, const struct talon_lpm4 *b)
{
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	return order ? order : (a->prefixlen > b->prefixlen) - (a->prefixlen < b->prefixlen);
}

static int by_network(const void *left, const void *right)
{
	const struct status_route *a = left, *b = right;

	int order = compare_nets(&a->dst, &b->dst);

	return order ? order : a->is_local - b->is_local;
}

/* The mesh address is served where the host has it. */
static int add_mesh_address(struct reading *r)
{
	const struct talon_addr addr = { .word = { r->status->config.mesh_addr } };
	const struct status_route route = { .dst = { .prefixlen = 32, .addr = addr.word[0] },
		.is_local = true };
	__u32 entries;
	bool is_own;
	__u8 mark;
	int fd;

	fd = open_map(r, "local_addrs", sizeof(mark), &entries);
	if (fd < 0)
		return fd;
	is_own = addr.word[0] && !bpf_map_lookup_elem(fd, &addr, &mark);
	close(fd);
	return is_own ? put_route(r->status, &route) : 0;
}

static int read_routes(struct reading *r)
{
	int ret = walk_trie(r, "routes4", sizeof(struct talon_route), add_route);

	if (!ret)
		ret = walk_trie(r, "local4", sizeof(__u32), add_local);
	if (!ret)
		ret = add_mesh_address(r);
	if (r->status->route_count)
		qsort(r->status->routes, r->status->route_count, sizeof(*r->status->routes), by_network);
	return ret;
}

static int add_allowed(struct reading *r, const struct talon_lpm4 *key, const void *value, size_t index)
{
	struct allowed *larger;
	__u32 entry;

	if (index % BATCH == 0) {
		larger = reallocarray(r->allowed, index + BATCH, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		r->allowed = larger;
	}
	memcpy(&entry, value, sizeof(entry));
	r->allowed[r->allowed_count++] = (struct allowed){ TALON_ALLOWED_PEER(entry), *key };
	return 0;
}

static int by_peer(const void *left, const void *right)
{
	const struct allowed *a = left, *b = right;

	return a->peer != b->peer ? (a->peer > b->peer) - (a->peer < b->peer) : compare_nets(&a->net,
		&b->net);
}

/* Peers are in the order of their ids, and so are the entries once they are sorted. */
static int read_allowed(struct reading *r)
{
	struct status *status = r->status;
	size_t at = 0;
	int ret = walk_trie(r, "allowed4", sizeof(__u32), add_allowed);

	if (ret || !r->allowed_count)
		return ret;
	qsort(r->allowed, r->allowed_count, sizeof(*r->allowed), by_peer);
	status->allowed = calloc(r->allowed_count, sizeof(*status->allowed));
	if (!status->allowed)
		return -ENOMEM;
	for (size_t i = 0; i < r->allowed_count; i++)
		status->allowed[i] = r->allowed[i].net;
	for (size_t i = 0; i < status->peer_count; i++) {
		struct status_peer *peer = &status->peers[i];

		while (at < r->allowed_count && r->allowed[at].peer < peer->id)
			at++;
		peer->allowed = &status->allowed[at];
		for (; at < r->allowed_count && r->allowed[at].peer == peer->id; at++)
			peer->allowed_count++;
	}
	return 0;
}

static int by_ifindex(const void *left, const void *right)
{
	const struct status_device *a = left, *b = right;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static bool is_ours(const struct talon_config *config, __u32 ifindex)
{
	return ifindex == config->tunnel_ifindex || ifindex == config->tunnel_peer_ifindex ||
		ifindex == config->relay_ifindex;
}

static void add_device(struct status *status, __u32 ifindex, const struct talon_link *link)
{
	struct status_device *device = &status->devices[status->device_count];

	if (is_ours(&status->config, ifindex) ||
		(!link->source && !(link->flags & (TALON_LINK_UPLINK | TALON_LINK_PROGRAM))))
		return;
	*device = (struct status_device){ .ifindex = ifindex, .flags = link->flags, .source = link->source };
	if (!if_indextoname(ifindex, device->name))
		device->name[0] = '\0';
	status->device_count++;
}

/*
 * Those that a program sits on or a route leads to. A walk may start over when an entry goes: the
 * map's size ends it.
 */
static int read_devices(struct reading *r)
{
	struct status *status = r->status;
	__u32 key, next, *last = NULL, entries, seen = 0;
	struct talon_link link;
	int fd;

	fd = open_map(r, "links", sizeof(link), &entries);
	if (fd < 0)
		return fd;
	status->devices = calloc(entries, sizeof(*status->devices));
	while (status->devices && seen++ < entries && !bpf_map_get_next_key(fd, last, &next)) {
		key = next;
		last = &key;
		if (!bpf_map_lookup_elem(fd, &key, &link))
			add_device(status, key, &link);
	}
	close(fd);
	if (!status->devices)
		return -ENOMEM;
	qsort(status->devices, status->device_count, sizeof(*status->devices), by_ifindex);
	return 0;
}

static int read_info(struct reading *r)
{
	return read_one(r, "info", &r->status->info, sizeof(r->status->info));
}

static int read_config(struct reading *r)
{
	return read_one(r, "config", &r->status->config, sizeof(r->status->config));
}

static int read_nat(struct reading *r)
{
	return read_one(r, "nat_stats", &r->status->nat, sizeof(r->status->nat));
}

static int read_peers(struct reading *r)
{
	int ret = read_peer_infos(r);

	if (!ret)
		ret = read_peer_stats(r);
	if (!ret)
		ret = read_shares(r);
	if (!ret)
		ret = read_endpoints(r);
	return ret ? ret : read_sessions(r);
}

/* Whether there is anything below @pin_dir, and of which layout. */
static int find_root(struct reading *r, const char *pin_dir)
{
	struct dirent *entry;
	bool has_other = false;
	DIR *dir;

	snprintf(r->root, sizeof(r->root), "%s/v%u", pin_dir, TALON_LAYOUT_VERSION);
	if (!access(r->root, F_OK))
		return 0;
	if (errno != ENOENT) {
		int ret = -errno;

		snprintf(r->why, r->size, "cannot read %s: %s; run as root", r->root, strerror(-ret));
		return ret;
	}
	dir = opendir(pin_dir);
	while (dir && (entry = readdir(dir)))
		has_other |= entry->d_name[0] == 'v';
	if (dir)
		closedir(dir);
	if (has_other)
		snprintf(r->why, r->size,
			"not running: below %s is another version's datapath; use that talon", pin_dir);
	else
		snprintf(r->why, r->size, "not running: there is no datapath below %s", pin_dir);
	return -ENOENT;
}

static __u64 read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * TALON_NSEC_PER_SEC + now.tv_nsec;
}

int status_read(struct status *ret_status, const char *pin_dir, char *why, size_t size)
{
	static int (*const steps[])(struct reading *) = {
		read_config, read_info, read_nat, read_counters, read_handshakes, read_keystream,
		read_devices, read_routes, read_peers,
		read_allowed,
	};
	struct status status = {};
	struct reading r = { .status = &status, .why = why, .size = size };
	int ret;

	ret = find_root(&r, pin_dir);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !ret; i++) {
		snprintf(why, size, "out of memory");	/* the one error that the steps do not explain */
		ret = steps[i](&r);
	}
	free(r.allowed);
	if (ret) {
		status_free(&status);
		return ret;
	}
	status_read_hooks(&status, r.root);
	status.pid_is_alive = status.info.pid && (!kill(status.info.pid, 0) || errno == EPERM);
	status.now_ns = read_clock(CLOCK_BOOTTIME);
	status.now_unix_s = read_clock(CLOCK_REALTIME) / TALON_NSEC_PER_SEC;
	*ret_status = status;
	return 0;
}

void status_free(struct status *status)
{
	free(status->devices);
	free(status->routes);
	free(status->peers);
	free(status->allowed);
	*status = (struct status){};
}
