// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The private copy of programs and maps, and one packet at a time through it.
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <sodium.h>

#include "talon/session_types.h"
#include "trace/internal.h"

#define SESSION_SLOTS	64		/* as the object has them */
#define BUCKETS		256
#define SPARE_FLOWS	8		/* records that a new flow may try */

static const char *const object_names[COPY_PROGRAMS] = {
	[COPY_XDP] = "uplink_xdp", [COPY_TC] = "uplink_tc", [COPY_TUNNEL] = "tunnel",
};

static int explain(char *why, size_t size, const char *what, int ret)
{
	snprintf(why, size, "cannot %s: %s%s", what, strerror(-ret),
		ret == -EPERM ? "; needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON" : "");
	return ret;
}

/* Entries of the copy's own map @name; 0: as the object has them. */
static uint32_t entries_of(const struct copy *copy, const char *name)
{
	static const char *const by_peer[] = { "peer_info", "peer_tx", "endpoints", "peer_stats",
		"nat_peers" };
	uint32_t peers = 1;

	for (unsigned i = 0; i < copy->party_count; i++)
		peers = copy->parties[i].id >= peers ? copy->parties[i].id + 1 : peers;
	for (size_t i = 0; i < sizeof(by_peer) / sizeof(by_peer[0]); i++)
		if (!strcmp(by_peer[i], name))
			return peers;
	if (!strcmp(name, "flows") || !strcmp(name, "flows6") || !strcmp(name, "flow_free"))
		return copy->flows.count + SPARE_FLOWS + 1;
	return !strcmp(name, "flow_over") ? 2 * copy->flows.count + SPARE_FLOWS : 0;
}

static struct bpf_object *loaded(const struct copy *copy)
{
	for (unsigned i = 0; i < COPY_PROGRAMS; i++)
		if (copy->objects[i])
			return copy->objects[i];
	return NULL;
}

/* Of the maps that one program writes, the next one reads the same; each has its own packet state. */
static int choose_map(const struct copy *copy, struct bpf_map *map, struct bpf_object *first)
{
	const char *name = bpf_map__name(map);
	uint32_t entries;
	int fd;

	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++)
		if (live_is_shared(name) && !strcmp(datapath_map_name(i), name))
			return bpf_map__reuse_fd(map, copy->live->fds[i]);
	if (!strcmp(name, "scratch") || bpf_map__is_internal(map))
		return 0;
	fd = first ? bpf_object__find_map_fd_by_name(first, name) : -1;
	if (fd >= 0)
		return bpf_map__reuse_fd(map, fd);
	entries = entries_of(copy, name);
	return entries ? bpf_map__set_max_entries(map, entries) : 0;
}

static int load(struct copy *copy, enum copy_program program, char *why, size_t size)
{
	struct bpf_object *first = loaded(copy), *obj = datapath_object_open(object_names[program]);
	struct bpf_map *map;
	int ret = obj ? 0 : -errno;

	if (ret)
		return explain(why, size, "open the programs", ret);
	bpf_object__for_each_map(map, obj) {
		ret = choose_map(copy, map, first);
		if (ret)
			break;
	}
	if (!ret)
		ret = bpf_object__load(obj);
	if (ret) {
		bpf_object__close(obj);
		return explain(why, size, "load a copy of the programs", ret);
	}
	copy->objects[program] = obj;
	return 0;
}

void copy_close(struct copy *copy)
{
	for (unsigned i = 0; i < COPY_PROGRAMS; i++)
		bpf_object__close(copy->objects[i]);
	free(copy->flows.list);
}

static int put(const struct copy *copy, const char *map, const void *key, const void *value)
{
	int fd = bpf_object__find_map_fd_by_name(loaded(copy), map);

	return fd < 0 ? fd : bpf_map_update_elem(fd, key, value, BPF_ANY) ? -errno : 0;
}

bool copy_get(const struct copy *copy, const char *map, const void *key, void *ret_value)
{
	int fd = bpf_object__find_map_fd_by_name(loaded(copy), map);

	return fd >= 0 && !bpf_map_lookup_elem(fd, key, ret_value);
}

/*
 * A generation of its own, so that nothing that the running datapath decided earlier is taken over:
 * every decision is made, and can be told. An index that stays empty but for new flows; copied ones
 * are in flow_over.
 */
static int fill_config(struct copy *copy)
{
	const uint32_t zero = 0;

	copy->config = copy->live->config;
	copy->config.session_mask = SESSION_SLOTS - 1;
	copy->config.bucket_mask = BUCKETS - 1;
	copy->config.generation = copy->config.generation == ~0U ? 1 : copy->config.generation + 1;
	return put(copy, "config", &zero, &copy->config);
}

static int fill_session(struct copy *copy, struct party *party)
{
	struct talon_session session = {
		.index = party->index, .peer = party->id, .remote_index = party->remote_index,
		.birth_ns = party->session_ns,
	};
	const struct talon_replay window = { .state = TALON_SESSION_CURRENT };
	const struct talon_peer_tx tx = { .index = party->index };
	int ret;

	memcpy(session.recv_key, party->recv.bytes, sizeof(session.recv_key));
	memcpy(session.send_key, party->send.bytes, sizeof(session.send_key));
	ret = put(copy, "sessions", &party->slot, &session);
	sodium_memzero(&session, sizeof(session));
	if (!ret)
		ret = put(copy, "replay", &party->slot, &window);
	return ret ? ret : put(copy, "peer_tx", &party->id, &tx);
}

/* A peer that has no session now gets none: what the programs do then is what is asked. */
static int fill_party(struct copy *copy, struct party *party)
{
	struct talon_nat_peer share;
	int ret;

	ret = put(copy, "endpoints", &party->id, &party->endpoint);
	if (!ret && live_get(copy->live, DATAPATH_MAP_NAT_PEERS, &party->id, &share))
		ret = put(copy, "nat_peers", &party->id, &share);
	party->index = randombytes_random() / SESSION_SLOTS * SESSION_SLOTS;
	party->index = (party->index ? party->index : SESSION_SLOTS) + party->slot;
	return !ret && party->has_session ? fill_session(copy, party) : ret;
}

/* The ports that are in use. An array: its batch is one copy. */
static int fill_ports(const struct copy *copy)
{
	const uint32_t entries = 3 * 65536;
	uint32_t *keys = calloc(entries, sizeof(*keys)), next, count = entries;
	struct talon_nat_port *ports = calloc(entries, sizeof(*ports));
	int fd = bpf_object__find_map_fd_by_name(loaded(copy), "nat_ports"), ret = -ENOMEM;

	if (!keys || !ports)
		goto out;
	ret = bpf_map_lookup_batch(copy->live->fds[DATAPATH_MAP_NAT_PORTS], NULL, &next, keys, ports, &count,
		NULL) ? -errno : 0;
	if (ret == -ENOENT)		/* that was the last of them */
		ret = 0;
	if (!ret)
		ret = bpf_map_update_batch(fd, keys, ports, &count, NULL) ? -errno : 0;
out:
	free(keys);
	free(ports);
	return ret;
}

/* The record's key in "flow_over", as flow_over_key() makes it. */
static struct talon_flow_key over_key(const struct talon_flow *f, bool is_back)
{
	bool has_ports = !proto_is_icmp(TALON_PROTO(f->proto));
	__be16 remote_port = has_ports ? f->remote_port : 0;

	if (is_back)
		return (struct talon_flow_key){ .src = f->remote, .dst = f->snat, .sport = remote_port,
			.dport = f->snat_port, .proto = f->proto, .pad = { 1 } };
	return (struct talon_flow_key){ .src = f->client, .dst = f->remote, .sport = f->client_port,
		.dport = remote_port, .proto = f->proto };
}

static int fill_flows(const struct copy *copy)
{
	const struct talon_flow_head head = { .used = copy->flows.count };
	int fd = bpf_object__find_map_fd_by_name(loaded(copy), "flow_free"), ret;
	uint32_t id = 0;

	ret = put(copy, "flows", &id, &head);
	for (id = 1; id <= copy->flows.count && !ret; id++) {
		const struct copied_flow *copied = &copy->flows.list[id - 1];
		struct talon_flow_key there = over_key(&copied->flow, false),
			back = over_key(&copied->flow, true);

		ret = put(copy, "flows", &id, &copied->flow);
		if (!ret && (copied->flow.proto & TALON_PROTO_SIX))
			ret = put(copy, "flows6", &id, &copied->six);
		if (!ret)
			ret = put(copy, "flow_over", &there, &id);
		if (!ret)
			ret = put(copy, "flow_over", &back, &id);
	}
	for (; id <= copy->flows.count + SPARE_FLOWS && !ret; id++)
		ret = bpf_map_update_elem(fd, NULL, &id, BPF_ANY) ? -errno : 0;
	return ret;
}

static int fill_nat(struct copy *copy)
{
	const uint32_t zero = 0;
	int ret;

	if (!live_get(copy->live, DATAPATH_MAP_NAT_STATS, &zero, &copy->nat))
		return -errno;
	copy->nat.overflow = 2 * copy->flows.count;
	ret = put(copy, "nat_stats", &zero, &copy->nat);
	if (!ret)
		ret = fill_ports(copy);
	return ret ? ret : fill_flows(copy);
}

static int fill(struct copy *copy, char *why, size_t size)
{
	int ret = fill_config(copy);

	for (unsigned i = 0; i < copy->party_count && !ret; i++)
		ret = fill_party(copy, &copy->parties[i]);
	if (!ret)
		ret = fill_nat(copy);
	if (ret)
		return explain(why, size, "fill the copy's maps", ret);
	copy->is_filled = true;
	return 0;
}

/* The flight as key of "acl_ct" or "acl_ct6". */
union answer_key {
	struct talon_flow_key four;
	struct talon_acl_ct6_key six;
};

static union answer_key answer_key(const struct flight *f)
{
	if (addr_is_six(f->src))
		return (union answer_key){ .six = { .src = f->src.addr, .dst = f->dst.addr,
			.sport = htons(f->sport), .dport = htons(f->dport), .proto = f->proto } };
	return (union answer_key){ .four = { .src = f->src.addr.word[0], .dst = f->dst.addr.word[0],
		.sport = htons(f->sport), .dport = htons(f->dport), .proto = f->proto } };
}

/* What went into the mesh, whose answer the packet may be. */
static int fill_answer(struct copy *copy, const struct flight *flight)
{
	bool is_six = addr_is_six(flight->src);
	union answer_key key = answer_key(flight);
	struct talon_acl_ct ct;

	if (!live_get(copy->live, is_six ? DATAPATH_MAP_ACL_CT6 : DATAPATH_MAP_ACL_CT, &key, &ct))
		return 0;
	return put(copy, is_six ? "acl_ct6" : "acl_ct", &key, &ct);
}

bool copy_is_answer(const struct copy *copy, const struct flight *flight)
{
	union answer_key key = answer_key(flight);
	struct talon_acl_ct ct;

	return copy_get(copy, addr_is_six(flight->src) ? "acl_ct6" : "acl_ct", &key, &ct);
}

bool copy_get_flow(const struct copy *copy, uint32_t id, struct talon_flow *ret_flow,
	struct flow_ends *ret_ends)
{
	struct talon_flow6 six = {};

	if (!copy_get(copy, "flows", &id, ret_flow) ||
		((ret_flow->proto & TALON_PROTO_SIX) && !copy_get(copy, "flows6", &id, &six)))
		return false;
	*ret_ends = flow_ends(ret_flow, &six);
	return true;
}

int copy_prepare(struct copy *copy, enum copy_program program, const struct flight *flight, char *why,
	size_t size)
{
	int ret = copy->objects[program] ? 0 : load(copy, program, why, size);

	if (!ret && !copy->is_filled) {
		ret = fill(copy, why, size);
		if (!ret && fill_answer(copy, flight))
			ret = explain(why, size, "fill the copy's maps", -EIO);
	}
	return ret;
}

/* The members of struct talon_pkt that are read, by their place in it: the object's own types say where. */
#define MEMBERS(X) \
	X("end", end) X("dir", dir) X("peer", peer) X("flow", flow) X("ifindex", ifindex) X("mtu", mtu) \
	X("flags", flags) X("resealed", resealed) X("way.peer", way_peer) X("way.end", way_end) \
	X("way.what", way_what) X("way.source", way_source) X("way.in_local", in_local) \
	X("source", source) X("fib", fib) \
	X("endpoint.family", endpoint_family) X("endpoint.flags", endpoint_flags) \
	X("endpoint.mtu", endpoint_mtu) X("endpoint.ifindex", endpoint_ifindex) \
	X("endpoint.remote_port", endpoint_port) X("endpoint.remote", endpoint) \
	X("endpoint.local", endpoint_local) X("endpoint.dmac", endpoint_mac)

#define MEMBER(member_path, field) { member_path, offsetof(struct decision, field), \
	sizeof(((struct decision *)0)->field) },
static const struct { const char *path; size_t at, size; } members[] = { MEMBERS(MEMBER) };

/* Finds the member @path ("way.peer") of structure @type. Returns its offset in bytes, or -ENOENT. */
static int member_at(const struct btf *btf, int type, const char *path, size_t size)
{
	size_t len = strcspn(path, ".");
	const struct btf_type *t = btf__type_by_id(btf, type);

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(btf, btf_members(t)[i].name_off);
		int at = btf_member_bit_offset(t, i) / 8,
			inner = btf__resolve_type(btf, btf_members(t)[i].type);

		if (strlen(name) != len || strncmp(name, path, len) || inner < 0)
			continue;
		if (!path[len])
			return btf__resolve_size(btf, inner) == (int64_t)size ? at : -ENOENT;
		inner = member_at(btf, inner, path + len + 1, size);
		return inner < 0 ? inner : at + inner;
	}
	return -ENOENT;
}

static int read_decision(const struct bpf_object *obj, const uint8_t *state, struct decision *ret_decision)
{
	const struct btf *btf = bpf_object__btf(obj);
	int type = btf__find_by_name_kind(btf, "talon_pkt", BTF_KIND_STRUCT), at;

	if (type < 0)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		at = member_at(btf, type, members[i].path, members[i].size);
		if (at < 0)
			return at;
		memcpy((char *)ret_decision + members[i].at, state + at, members[i].size);
	}
	return 0;
}

/* The programs' per-CPU state is this CPU's only as long as we stay on it. */
struct stay {
	cpu_set_t before;
	int cpu;
};

static int stay_here(struct stay *stay)
{
	cpu_set_t one;

	if (sched_getaffinity(0, sizeof(stay->before), &stay->before))
		return -errno;
	stay->cpu = sched_getcpu();
	if (stay->cpu < 0)
		return -errno;
	CPU_ZERO(&one);
	CPU_SET(stay->cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
}

static void stay_done(const struct stay *stay)
{
	sched_setaffinity(0, sizeof(stay->before), &stay->before);
}

static int run_xdp(int fd, uint32_t ifindex, const struct frame *frame, struct ran *ran)
{
	struct xdp_md ctx = { .ingress_ifindex = ifindex, .data_end = frame->len };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes, .data_size_in = frame->len,
		.data_out = ran->frame.bytes, .data_size_out = sizeof(ran->frame.bytes), .ctx_in = &ctx,
		.ctx_size_in = sizeof(ctx));

	if (bpf_prog_test_run_opts(fd, &opts))
		return -errno;
	ran->retval = opts.retval;
	ran->frame.len = opts.data_size_out;
	return 0;
}

static int run_tc(int fd, uint32_t ifindex, const struct frame *frame, struct ran *ran)
{
	struct __sk_buff ctx = { .ifindex = ifindex, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes, .data_size_in = frame->len,
		.data_out = ran->frame.bytes, .data_size_out = sizeof(ran->frame.bytes), .ctx_in = &ctx,
		.ctx_size_in = sizeof(ctx));

	if (bpf_prog_test_run_opts(fd, &opts))
		return -errno;
	ran->retval = opts.retval;
	ran->frame.len = opts.data_size_out;
	return 0;
}

/* With the state zeroed before, so that what is in it afterwards is of this run. */
static int run_once(struct bpf_object *obj, enum copy_program program, uint32_t ifindex,
	const struct frame *frame, struct ran *ran)
{
	struct bpf_map *scratch = bpf_object__find_map_by_name(obj, "scratch");
	size_t each = (bpf_map__value_size(scratch) + 7) / 8 * 8, cpus = libbpf_num_possible_cpus();
	int fd = bpf_program__fd(bpf_object__next_program(obj, NULL)), ret;
	uint8_t *states = calloc(cpus, each);
	const uint32_t zero = 0;
	struct stay stay;

	if (!states)
		return -ENOMEM;
	ret = stay_here(&stay);
	if (ret) {
		free(states);
		return ret;
	}
	if (bpf_map_update_elem(bpf_map__fd(scratch), &zero, states, BPF_ANY))
		ret = -errno;
	if (!ret)
		ret = program == COPY_XDP ? run_xdp(fd, ifindex, frame, ran) : run_tc(fd, ifindex,
			frame, ran);
	if (!ret && bpf_map_lookup_elem(bpf_map__fd(scratch), &zero, states))
		ret = -errno;
	if (!ret)
		ret = read_decision(obj, states + stay.cpu * each, &ran->decision);
	stay_done(&stay);
	sodium_memzero(states, cpus * each);
	free(states);
	return ret;
}

int copy_run(struct copy *copy, enum copy_program program, uint32_t ifindex, const struct frame *frame,
	struct ran *ret_ran, char *why, size_t size)
{
	const uint32_t zero = 0;
	int ret;

	copy_get(copy, "nat_stats", &zero, &copy->nat);
	memset(ret_ran, 0, sizeof(*ret_ran));
	ret = run_once(copy->objects[program], program, ifindex, frame, ret_ran);
	return ret ? explain(why, size, "run a copy of the programs", ret) : 0;
}
