// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads a struct status from the pinned maps. It changes nothing and never waits for another process.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "status/read_internal.h"
#include "status/vips.h"

int read_fail(const struct reading *r, const char *map, int ret)
{
	if (ret == -ENOENT)
		snprintf(r->why, r->size, "map %s is missing below %s", map, r->root);
	else if (ret == -EPERM || ret == -EACCES)
		snprintf(r->why, r->size, "cannot read map %s: %s; run as root", map, strerror(-ret));
	else
		snprintf(r->why, r->size, "cannot read map %s: %s", map, strerror(-ret));
	return ret;
}

int read_open(const struct reading *r, const char *name, size_t value_size, __u32 *ret_entries)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	char path[PATH_MAX + 64];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/maps/%s", r->root, name);
	fd = bpf_obj_get_opts(path, &opts);
	if (fd < 0)
		return read_fail(r, name, -errno);
	ret = bpf_obj_get_info_by_fd(fd, &info, &len) ? -errno : 0;
	if (!ret && info.value_size != value_size)
		ret = -EPROTO;
	if (ret) {
		close(fd);
		return read_fail(r, name, ret);
	}
	*ret_entries = info.max_entries;
	return fd;
}

int read_batch(int fd, void *cursor, bool is_first, void *keys, void *values)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 count = BATCH;

	if (bpf_map_lookup_batch(fd, is_first ? NULL : cursor, cursor, keys, values, &count, &opts) &&
		errno != ENOENT)
		return -errno;
	return count;
}

int read_compare_nets(const struct cidr *a, const struct cidr *b)
{
	int order = (int)a->family - (int)b->family;

	if (!order)
		order = memcmp(&a->addr, &b->addr, sizeof(a->addr));
	return order ? order : (a->prefixlen > b->prefixlen) - (a->prefixlen < b->prefixlen);
}

/* Element 0 of a map that has one. */
int read_one(struct reading *r, const char *name, void *value, size_t size)
{
	__u32 entries, zero = 0;
	int fd, ret;

	fd = read_open(r, name, size, &entries);
	if (fd < 0)
		return fd;
	ret = bpf_map_lookup_elem(fd, &zero, value) ? read_fail(r, name, -errno) : 0;
	close(fd);
	return ret;
}

/* Sums @entries values of @words words each over the CPUs. */
static int read_sums(struct reading *r, const char *name, __u32 entries, size_t words, __u64 *sums)
{
	int cpus = libbpf_num_possible_cpus(), fd, ret = 0;
	__u64 *values;
	__u32 room;

	if (cpus < 0)
		return cpus;
	fd = read_open(r, name, words * sizeof(*values), &room);
	if (fd < 0)
		return fd;
	values = calloc(cpus * words, sizeof(*values));
	if (!values)
		ret = -ENOMEM;
	for (__u32 i = 0; i < entries && i < room && !ret; i++) {
		if (bpf_map_lookup_elem(fd, &i, values))
			ret = read_fail(r, name, -errno);
		for (size_t at = 0; at < cpus * words && !ret; at++)
			sums[i * words + at % words] += values[at];
	}
	free(values);
	close(fd);
	return ret;
}

static int read_counters(struct reading *r)
{
	return read_sums(r, "stats", TALON_STATS_ENTRIES, 1, r->status->stats);
}

static int read_traffic(struct reading *r)
{
	struct status *status = r->status;
	int ret = read_sums(r, "seen", TALON_PROGRAM_COUNT, 2, (__u64 *)status->seen);

	if (!ret)
		ret = read_sums(r, "traffic", TALON_TRAFFIC_ENTRIES, 2, (__u64 *)status->traffic);
	for (__u32 i = 0; i < TALON_TRAFFIC_ENTRIES; i++) {
		struct status_keystream_counts *counts = &status->keystream_counts[i & TALON_TRAFFIC_SENT
			? TALON_KEYSTREAM_SEND : TALON_KEYSTREAM_RECV];

		if (i & TALON_TRAFFIC_AHEAD)
			counts->ahead += status->traffic[i].packets;
		else
			counts->inline_ += status->traffic[i].packets;
	}
	return ret;
}

/* Of the map "keystream" only the size is read: in segments. */
static int read_keystream(struct reading *r)
{
	struct status *status = r->status;
	int fd;

	fd = read_open(r, "keystream", sizeof(__u32), &status->keystream_room);
	if (fd < 0)
		return fd;
	close(fd);
	if (status->keystream_room > 1)
		status->keystream_room <<= TALON_KEYSTREAM_SEGMENT_BITS;
	return read_one(r, "keystream_state", &status->keystream, sizeof(status->keystream));
}

static int read_handshakes(struct reading *r)
{
	__u32 entries;
	int fd, ret = 0;

	fd = read_open(r, "handshake_stats", sizeof(__u64), &entries);
	if (fd < 0)
		return fd;
	for (__u32 i = 0; i < HANDSHAKE_STATS_ENTRIES && i < entries && !ret; i++) {
		if (bpf_map_lookup_elem(fd, &i, &r->status->handshakes[i]))
			ret = read_fail(r, "handshake_stats", -errno);
	}
	close(fd);
	return ret;
}

/* Key number @i: those of IPv4 are the same, but shorter. */
static struct cidr net_of(const char *keys, __u8 family, int i)
{
	const size_t size = family == AF_INET6 ? sizeof(struct talon_lpm6) : sizeof(struct talon_lpm4);
	struct talon_lpm6 key = {};

	memcpy(&key, keys + i * size, size);
	return (struct cidr){ .family = family, .prefixlen = key.prefixlen, .addr = key.addr };
}

/* If an entry changes meanwhile, the kernel may start over: so the walk ends after as many entries as fit. */
int read_trie(struct reading *r, const char *name, __u8 family, size_t value_size, read_trie_fn fn)
{
	char keys[BATCH * sizeof(struct talon_lpm6)];
	struct talon_lpm6 cursor;
	char values[BATCH * sizeof(struct talon_route)];
	bool is_first = true;
	size_t seen = 0;
	__u32 limit;
	int fd, count, ret = 0;

	fd = read_open(r, name, value_size, &limit);
	if (fd < 0)
		return fd;
	do {
		count = read_batch(fd, &cursor, is_first, keys, values);
		is_first = false;
		for (int i = 0; i < count && !ret; i++, seen++) {
			const struct cidr net = net_of(keys, family, i);

			ret = fn(r, &net, values + i * value_size);
		}
	} while (!ret && count == BATCH && seen < limit);
	if (count < 0)
		ret = read_fail(r, name, count);
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

static int add_route(struct reading *r, const struct cidr *key, const void *value)
{
	struct talon_route route;

	memcpy(&route, value, sizeof(route));
	return put_route(r->status, &(struct status_route){ .dst = *key, .flags = route.flags });
}

static int add_local(struct reading *r, const struct cidr *key, const void *value)
{
	return put_route(r->status, &(struct status_route){ .dst = *key, .is_local = true });
}

static int by_network(const void *left, const void *right)
{
	const struct status_route *a = left, *b = right;

	int order = read_compare_nets(&a->dst, &b->dst);

	return order ? order : a->is_local - b->is_local;
}

static bool is_own(int fd, const struct talon_addr *addr)
{
	__u8 mark;

	return !addr6_is_zero(addr) && !bpf_map_lookup_elem(fd, addr, &mark);
}

/* A mesh address counts as local if the host has it. */
static int add_mesh_addresses(struct reading *r)
{
	const struct talon_config *config = &r->status->config;
	const struct status_route four = { .dst = { .family = AF_INET, .prefixlen = 32,
		.addr.word[0] = config->mesh_addr }, .is_local = true },
		six = { .dst = { .family = AF_INET6, .prefixlen = 128, .addr = config->mesh_addr6 },
		.is_local = true };
	__u32 entries;
	int fd, ret = 0;

	fd = read_open(r, "local_addrs", sizeof(__u8), &entries);
	if (fd < 0)
		return fd;
	if (is_own(fd, &four.dst.addr))
		ret = put_route(r->status, &four);
	if (!ret && is_own(fd, &six.dst.addr))
		ret = put_route(r->status, &six);
	close(fd);
	return ret;
}

static int read_routes(struct reading *r)
{
	int ret = read_trie(r, "routes4", AF_INET, sizeof(struct talon_route), add_route);

	if (!ret)
		ret = read_trie(r, "routes6", AF_INET6, sizeof(struct talon_route), add_route);
	if (!ret)
		ret = read_trie(r, "local4", AF_INET, sizeof(__u32), add_local);
	if (!ret)
		ret = read_trie(r, "local6", AF_INET6, sizeof(__u32), add_local);
	if (!ret)
		ret = add_mesh_addresses(r);
	if (r->status->route_count)
		qsort(r->status->routes, r->status->route_count, sizeof(*r->status->routes), by_network);
	return ret;
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
 * Devices with a program of ours or a route. If an entry is removed meanwhile, the walk starts over: so it
 * ends after as many entries as fit.
 */
static int read_devices(struct reading *r)
{
	struct status *status = r->status;
	__u32 key, next, *last = NULL, entries, seen = 0;
	struct talon_link link;
	int fd;

	fd = read_open(r, "links", sizeof(link), &entries);
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

/* Finds the datapath of our layout version below @pin_dir. Returns 0, or a negative errno with r->why. */
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

/* @few: without the last steps, whose cost grows with routes and peers. */
static int read_status(struct status *ret_status, const char *pin_dir, bool few, char *why, size_t size)
{
	static int (*const steps[])(struct reading *) = {
		read_config, read_info, read_nat, read_counters, read_traffic, read_handshakes,
		read_keystream, read_watches, read_devices, vips_read, read_routes, read_peers, read_allowed,
	};
	const size_t count = sizeof(steps) / sizeof(steps[0]) - (few ? 3 : 0);
	struct status status = {};
	struct reading r = { .status = &status, .why = why, .size = size };
	int ret;

	ret = find_root(&r, pin_dir);
	for (size_t i = 0; i < count && !ret; i++) {
		snprintf(why, size, "out of memory");	/* the only error that the steps do not explain */
		ret = steps[i](&r);
	}
	free(r.allowed);
	if (ret) {
		status_free(&status);
		return ret;
	}
	status_read_hooks(&status, r.root);
	status.map_bytes = few ? 0 : datapath_pinned_memory(pin_dir);
	status.is_held = datapath_is_held(pin_dir, &status.pid);
	status.now_ns = clock_boot_ns();
	status.now_unix_s = clock_unix_ns() / TALON_NSEC_PER_SEC;
	*ret_status = status;
	return 0;
}

int status_read(struct status *ret_status, const char *pin_dir, char *why, size_t size)
{
	return read_status(ret_status, pin_dir, false, why, size);
}

int status_read_node(struct status *ret_status, const char *pin_dir, char *why, size_t size)
{
	return read_status(ret_status, pin_dir, true, why, size);
}

void status_free(struct status *status)
{
	free(status->devices);
	free(status->routes);
	free(status->vips);
	free(status->peers);
	free(status->allowed);
	*status = (struct status){};
}
