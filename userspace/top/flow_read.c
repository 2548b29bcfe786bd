// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads flow records while packets change them. It changes nothing itself.
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "top/flows.h"

#define TRIES 8		/* for a record that changes, and for a batch whose copies took too long */

/* A record was another flow at least this long ago: whole seconds are counted, by the collector's clock. */
_Static_assert(FLOWS_TWICE_NS <= (TALON_FLOW_GRACE_S - 3) * TALON_NSEC_PER_SEC,
	"both copies are made long before a record can become another flow");

struct walk {
	const struct flows_source *source;
	flows_fn fn;
	void *arg;
	__u64 unsettled;
	__u32 generation;		/* of config, after both copies */
	__u64 now_ns;			/* the same */
	struct talon_flow first[FLOWS_BATCH], second[FLOWS_BATCH];
};

static bool has_live(const struct talon_flow *records, __u32 count)
{
	for (__u32 i = 0; i < count; i++) {
		if (records[i].phase == TALON_FLOW_LIVE)
			return true;
	}
	return false;
}

/*
 * Copies records twice. Returns 1; 0 if none was live in the first copy; -ETIME if it took too long, as when
 * this process was stopped meanwhile; or another negative errno.
 */
static int copy_twice(struct walk *w, __u32 id, __u32 count)
{
	const struct flows_source *s = w->source;
	__u64 start_ns = s->now_ns(s->arg);
	int ret = s->copy(s->arg, id, count, w->first);

	if (ret || !has_live(w->first, count))
		return ret;
	atomic_thread_fence(memory_order_seq_cst);
	ret = s->copy(s->arg, id, count, w->second);
	atomic_thread_fence(memory_order_seq_cst);
	if (!ret)
		ret = s->generation(s->arg, &w->generation);
	w->now_ns = s->now_ns(s->arg);
	if (ret)
		return ret;
	return w->now_ns - start_ns < FLOWS_TWICE_NS ? 1 : -ETIME;
}

static int copy_in_time(struct walk *w, __u32 id, __u32 count)
{
	int ret = -ETIME;

	for (int i = 0; i < TRIES && ret == -ETIME; i++)
		ret = copy_twice(w, id, count);
	return ret;
}

static bool is_same(const struct walk *w, __u32 i)
{
	return !memcmp(&w->first[i], &w->second[i], sizeof(w->first[i]));
}

/* Returns 1; 0 if the record was given up meanwhile, or it took too long to be sure. */
static int add_addresses(struct walk *w, __u32 id, struct flows_seen *seen)
{
	const struct flows_source *s = w->source;
	int ret = s->six ? s->six(s->arg, id, &seen->six) : -ENOENT;

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (s->now_ns(s->arg) - w->now_ns >= FLOWS_TWICE_NS) {
		w->unsettled++;
		return 0;
	}
	seen->is_six = true;
	seen->flow.proto = TALON_PROTO(seen->flow.proto);
	return 1;
}

static int hand_over(struct walk *w, __u32 id, __u32 i)
{
	struct flows_seen seen = { .flow = w->second[i], .now_s = w->now_ns / TALON_NSEC_PER_SEC };
	int ret = seen.flow.proto & TALON_PROTO_SIX ? add_addresses(w, id, &seen) : 1;

	if (ret <= 0)
		return ret;
	seen.has_way = seen.flow.ifindex && seen.flow.generation == w->generation;
	return w->fn(w->arg, &seen);
}

/* A record that changed between its copies, once more by itself. */
static int settle(struct walk *w, __u32 id)
{
	for (int i = 0; i < TRIES; i++) {
		int ret = copy_in_time(w, id, 1);

		if (ret <= 0 && ret != -ETIME)
			return ret;
		if (ret == 1 && is_same(w, 0))
			return hand_over(w, id, 0);
	}
	w->unsettled++;
	return 0;
}

/* The ids of those to be settled are kept aside, as that uses the same memory. */
static int walk_batch(struct walk *w, __u32 id, __u32 count)
{
	__u16 changed[FLOWS_BATCH];
	__u32 changed_count = 0;
	int ret = copy_in_time(w, id, count);

	if (ret == -ETIME) {
		for (__u32 i = 0; i < count; i++)
			w->unsettled += w->first[i].phase == TALON_FLOW_LIVE;
		return 0;
	}
	if (ret <= 0)
		return ret;
	ret = 0;
	for (__u32 i = 0; i < count && !ret; i++) {
		if (w->first[i].phase != TALON_FLOW_LIVE)
			continue;
		if (is_same(w, i))
			ret = hand_over(w, id + i, i);
		else
			changed[changed_count++] = i;
	}
	for (__u32 i = 0; i < changed_count && !ret; i++)
		ret = settle(w, id + changed[i]);
	return ret;
}

int flows_walk(const struct flows_source *source, __u32 used, flows_fn fn, void *arg, __u64 *ret_unsettled)
{
	struct walk *w = malloc(sizeof(*w));
	int ret = 0;

	if (!w)
		return -ENOMEM;
	w->source = source;
	w->fn = fn;
	w->arg = arg;
	w->unsettled = 0;
	for (__u32 id = 1; id <= used && !ret;) {
		__u32 count = used - id + 1 < FLOWS_BATCH ? used - id + 1 : FLOWS_BATCH;

		ret = walk_batch(w, id, count);
		id += count;
	}
	*ret_unsettled = w->unsettled;
	free(w);
	return ret;
}

/* Of an ARRAY, a batch begins after the key that is given. */
static int copy_map(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records)
{
	const struct flows_maps *maps = arg;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 keys[FLOWS_BATCH], before = first - 1, next, done = count;

	if (bpf_map_lookup_batch(maps->flows_fd, &before, &next, keys, ret_records, &done, &opts) &&
		errno != ENOENT)
		return -errno;
	return done == count && keys[0] == first ? 0 : -EIO;
}

static int copy_six(void *arg, __u32 id, struct talon_flow6 *ret_six)
{
	const struct flows_maps *maps = arg;

	return bpf_map_lookup_elem(maps->flows6_fd, &id, ret_six) ? -errno : 0;
}

static int read_generation(void *arg, __u32 *ret_generation)
{
	const struct flows_maps *maps = arg;
	struct talon_config config;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(maps->config_fd, &zero, &config))
		return -errno;
	*ret_generation = config.generation;
	return 0;
}

static __u64 boot_ns(void *arg)
{
	return clock_boot_ns();
}

static int cannot_read(const char *map, int ret, char *why, size_t size)
{
	snprintf(why, size, "cannot read map %s: %s%s", map, strerror(-ret),
		ret == -EPERM || ret == -EACCES ? "; run as root" : "");
	return ret;
}

/* Returns a descriptor, or a negative errno with one line in @why. */
static int open_map(const char *pin_dir, enum datapath_map map, size_t value_size, __u32 *ret_entries,
	char *why, size_t size)
{
	int fd = datapath_map_open(pin_dir, map), ret = 0;
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	if (fd < 0)
		return cannot_read(datapath_map_name(map), fd, why, size);
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		ret = -errno;
	else if (info.value_size != value_size)
		ret = -EPROTO;
	if (ret) {
		close(fd);
		return cannot_read(datapath_map_name(map), ret, why, size);
	}
	*ret_entries = info.max_entries;
	return fd;
}

int flows_maps_open(struct flows_maps *maps, const char *pin_dir, char *why, size_t size)
{
	__u32 entries;

	maps->flows_fd = open_map(pin_dir, DATAPATH_MAP_FLOWS, sizeof(struct talon_flow), &maps->records, why,
		size);
	if (maps->flows_fd < 0)
		return maps->flows_fd;
	maps->flows6_fd = open_map(pin_dir, DATAPATH_MAP_FLOWS6, sizeof(struct talon_flow6), &entries, why,
		size);
	if (maps->flows6_fd < 0) {
		close(maps->flows_fd);
		return maps->flows6_fd;
	}
	maps->config_fd = open_map(pin_dir, DATAPATH_MAP_CONFIG, sizeof(struct talon_config), &entries, why,
		size);
	if (maps->config_fd < 0) {
		close(maps->flows_fd);
		close(maps->flows6_fd);
		return maps->config_fd;
	}
	return 0;
}

void flows_maps_close(struct flows_maps *maps)
{
	close(maps->flows_fd);
	close(maps->flows6_fd);
	close(maps->config_fd);
}

struct flows_source flows_maps_source(struct flows_maps *maps)
{
	return (struct flows_source){ copy_map, read_generation, boot_ns, maps, copy_six };
}

int flows_maps_used(const struct flows_maps *maps, __u32 *ret_used)
{
	struct talon_flow_head head;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(maps->flows_fd, &zero, &head))
		return -errno;
	/* several CPUs may have counted beyond the last one */
	*ret_used = head.used < maps->records ? head.used : maps->records - 1;
	return 0;
}

int flows_read_held(const char *pin_dir, __u32 **ret_held, char *why, size_t size)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	struct talon_nat_peer shares[256];
	__u32 keys[256], cursor = 0, entries, count = 256, *held;
	bool is_first = true;
	int fd, ret = 0;

	fd = open_map(pin_dir, DATAPATH_MAP_NAT_PEERS, sizeof(shares[0]), &entries, why, size);
	if (fd < 0)
		return fd;
	held = calloc(entries, sizeof(*held));
	if (!held)
		ret = cannot_read("nat_peers", -ENOMEM, why, size);
	while (!ret && count == 256) {
		if (bpf_map_lookup_batch(fd, is_first ? NULL : &cursor, &cursor, keys, shares, &count,
			&opts) && errno != ENOENT)
			ret = cannot_read("nat_peers", -errno, why, size);
		for (__u32 i = 0; i < count && !ret; i++)
			held[keys[i]] = shares[i].held;
		is_first = false;
	}
	close(fd);
	if (ret) {
		free(held);
		return ret;
	}
	*ret_held = held;
	return entries;
}
