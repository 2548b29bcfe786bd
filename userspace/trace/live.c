// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads the running datapath's maps. Every descriptor is opened for reading only.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <sodium.h>

#include "base/cidr.h"
#include "base/clock.h"
#include "trace/internal.h"
#include "talon/session_types.h"

#define BATCH 4096

/*
 * The maps that programs only read, and those that are read here. What is in neither list, also what is yet
 * to come, is the copy's own and starts empty.
 */
static const enum datapath_map shared[] = {
	DATAPATH_MAP_LOCAL_ADDRS, DATAPATH_MAP_LINKS, DATAPATH_MAP_HOST4, DATAPATH_MAP_LOCAL4,
	DATAPATH_MAP_ALLOWED4, DATAPATH_MAP_ROUTES4, DATAPATH_MAP_PORT_BLOCK, DATAPATH_MAP_ACL_SRC4,
	DATAPATH_MAP_ACL_DST4, DATAPATH_MAP_ACL_PORTS, DATAPATH_MAP_ACL_BITS, DATAPATH_MAP_HOST6,
	DATAPATH_MAP_LOCAL6, DATAPATH_MAP_ALLOWED6, DATAPATH_MAP_ROUTES6, DATAPATH_MAP_ACL_SRC6,
	DATAPATH_MAP_ACL_DST6, DATAPATH_MAP_VIPS,
};
static const enum datapath_map read_here[] = {
	DATAPATH_MAP_CONFIG, DATAPATH_MAP_INFO, DATAPATH_MAP_SESSIONS, DATAPATH_MAP_PEER_INFO,
	DATAPATH_MAP_PEER_TX, DATAPATH_MAP_ENDPOINTS, DATAPATH_MAP_FLOWS, DATAPATH_MAP_FLOWS6,
	DATAPATH_MAP_NAT_PORTS, DATAPATH_MAP_NAT_STATS, DATAPATH_MAP_NAT_PEERS, DATAPATH_MAP_ACL_RULES,
	DATAPATH_MAP_ACL_CT, DATAPATH_MAP_ACL_CT6,
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

bool live_is_shared(const char *map)
{
	for (size_t i = 0; i < LENGTH(shared); i++)
		if (!strcmp(datapath_map_name(shared[i]), map))
			return true;
	return false;
}

static int open_map(struct live *live, const char *base, enum datapath_map map, char *why, size_t size)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/" TALON_LAYOUT_NAME "/maps/%s", base, datapath_map_name(map));
	live->fds[map] = bpf_obj_get_opts(path, &opts);
	if (live->fds[map] >= 0)
		return 0;
	ret = -errno;
	if (ret == -ENOENT)
		snprintf(why, size, "not running: there is no datapath of this version below %s", base);
	else
		snprintf(why, size, "cannot read %s: %s%s", path, strerror(-ret),
			ret == -EPERM || ret == -EACCES ? "; run as root" : "");
	return ret;
}

/* The programs ask the kernel about devices and routes, by numbers that mean something only there. */
static int check_namespace(const struct live *live, char *why, size_t size)
{
	char name[IFNAMSIZ];

	if (!live->config.generation) {
		snprintf(why, size, "the datapath is still being set up; try again when talon status "
			"shows it");
		return -EAGAIN;
	}
	if (if_indextoname(live->config.tunnel_ifindex, name) &&
		!strncmp(name, live->info.tunnel, sizeof(live->info.tunnel)))
		return 0;
	snprintf(why, size, "the datapath's device %.15s is not in this network namespace; run talon trace "
		"where the datapath runs", live->info.tunnel);
	return -ENODEV;
}

int live_open(struct live *live, const char *base, char *why, size_t size)
{
	const uint32_t zero = 0;
	int ret = 0;

	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++)
		live->fds[i] = -1;
	for (size_t i = 0; i < LENGTH(read_here) && !ret; i++)
		ret = open_map(live, base, read_here[i], why, size);
	for (size_t i = 0; i < LENGTH(shared) && !ret; i++)
		ret = open_map(live, base, shared[i], why, size);
	if (ret)
		return ret;
	if (!live_get(live, DATAPATH_MAP_CONFIG, &zero, &live->config) ||
		!live_get(live, DATAPATH_MAP_INFO, &zero, &live->info)) {
		snprintf(why, size, "cannot read the datapath's configuration: %s", strerror(errno));
		return -EIO;
	}
	return check_namespace(live, why, size);
}

void live_close(struct live *live)
{
	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++)
		if (live->fds[i] >= 0)
			close(live->fds[i]);
}

bool live_get(const struct live *live, enum datapath_map map, const void *key, void *ret_value)
{
	return !bpf_map_lookup_elem(live->fds[map], key, ret_value);
}

/* By the longest prefix, in the map of the address's family. */
static bool get_by_prefix(const struct live *live, enum datapath_map map4, enum datapath_map map6,
	struct trace_addr addr, void *ret_value)
{
	const struct talon_lpm4 key4 = { .prefixlen = 32, .addr = addr.addr.word[0] };
	const struct talon_lpm6 key6 = { .prefixlen = 128, .addr = addr.addr };

	return addr_is_six(addr) ? live_get(live, map6, &key6, ret_value) : live_get(live, map4, &key4,
		ret_value);
}

uint32_t live_peer_of(const struct live *live, struct trace_addr addr, unsigned *ret_len)
{
	uint32_t value;

	if (!get_by_prefix(live, DATAPATH_MAP_ALLOWED4, DATAPATH_MAP_ALLOWED6, addr, &value))
		return TALON_PEER_NONE;
	if (ret_len)
		*ret_len = TALON_ALLOWED_LEN(value);
	return TALON_ALLOWED_PEER(value);
}

bool live_host_route(const struct live *live, struct trace_addr addr, struct talon_host_route *ret_route)
{
	union {
		struct talon_host_route four;
		struct talon_host_route6 six;
	} route;

	if (!get_by_prefix(live, DATAPATH_MAP_HOST4, DATAPATH_MAP_HOST6, addr, &route))
		return false;
	if (!addr_is_six(addr))
		*ret_route = route.four;
	else
		*ret_route = (struct talon_host_route){ .mtu = route.six.mtu, .kind = route.six.kind,
			.prefixlen = route.six.prefixlen, .flags = route.six.flags };
	return true;
}

bool live_route(const struct live *live, struct trace_addr addr, struct talon_route *ret_route)
{
	return get_by_prefix(live, DATAPATH_MAP_ROUTES4, DATAPATH_MAP_ROUTES6, addr, ret_route);
}

uint32_t live_local(const struct live *live, struct trace_addr addr)
{
	uint32_t flags;

	return get_by_prefix(live, DATAPATH_MAP_LOCAL4, DATAPATH_MAP_LOCAL6, addr, &flags) ? flags : 0;
}

/* Is it one of this host's devices'? */
static bool has_address(const struct live *live, struct trace_addr addr)
{
	uint8_t mark;

	return live_get(live, DATAPATH_MAP_LOCAL_ADDRS, &addr.addr, &mark);
}

static bool is_node_address(const struct talon_config *config, struct trace_addr addr)
{
	if (addr_is_six(addr))
		return talon_addr_equal(&addr.addr, &config->node_addr6);
	return addr.addr.word[0] == config->node_addr || addr.addr.word[0] == config->snat_addr;
}

bool live_is_own(const struct live *live, struct trace_addr addr)
{
	struct talon_host_route route;

	return is_node_address(&live->config, addr) || has_address(live, addr) ||
		(live_host_route(live, addr, &route) && route.kind == TALON_HOST_LOCAL);
}

bool live_is_source(const struct live *live, struct trace_addr addr)
{
	if (addr_is_six(addr))
		return is_node_address(&live->config, addr) || has_address(live, addr);
	if (addr.addr.word[0] == live->config.snat_addr)
		return true;
	return (live->config.flags & TALON_F_MANY_SOURCES) && has_address(live, addr);
}

bool live_carries(const struct live *live, struct trace_addr addr)
{
	return !addr_is_six(addr) || (live->config.flags & TALON_F_INNER6);
}

struct trace_addr live_mesh_addr(const struct live *live, struct trace_addr like)
{
	return addr_is_six(like) ? addr_of6(live->config.mesh_addr6) : addr_of4(live->config.mesh_addr);
}

bool live_is_mesh(const struct live *live, struct trace_addr addr)
{
	const struct talon_config *config = &live->config;
	const struct cidr mesh = { .family = AF_INET6, .prefixlen = config->mesh_len6,
		.addr = config->mesh_addr6 };

	if (addr_is_six(addr))
		return mesh.prefixlen && cidr_holds(&mesh, &addr.addr);
	return config->mesh_mask && !((addr.addr.word[0] ^ config->mesh_addr) & config->mesh_mask);
}

/* "lap" is "lap.example.net", too. */
static bool is_called(const struct talon_peer_info *info, const char *text)
{
	size_t len = strlen(text), full = strnlen(info->name, sizeof(info->name));

	return len && len <= full && !strncasecmp(info->name, text, len) &&
		(len == full || info->name[len] == '.');
}

int64_t live_find_peer(const struct live *live, const char *text)
{
	struct bpf_map_info map = {};
	uint32_t len = sizeof(map);
	struct talon_peer_info info;
	int64_t found = -ENOENT;
	uint8_t key[KEY_LEN];
	struct trace_addr addr = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	bool is_key;

	if (inet_pton(addr.family, text, &addr.addr) == 1) {
		found = live_peer_of(live, addr, NULL);
		return found == TALON_PEER_NONE ? -ENOENT : found;
	}
	is_key = !key_from_base64(text, key);
	if (bpf_obj_get_info_by_fd(live->fds[DATAPATH_MAP_PEER_INFO], &map, &len))
		return -errno;
	for (uint32_t id = 0; id < map.max_entries; id++) {
		if (!live_get(live, DATAPATH_MAP_PEER_INFO, &id, &info) || !info.present)
			continue;
		if (is_key ? memcmp(info.public_key, key, KEY_LEN) != 0 : !is_called(&info, text))
			continue;
		if (found >= 0)
			return -ENOTUNIQ;
		found = id;
	}
	return found;
}

__be32 live_fold(const struct live *live, struct trace_addr addr)
{
	return addr_is_six(addr) ? talon_fold6(live->config.keys.fold, &addr.addr) : addr.addr.word[0];
}

struct flow_ends flow_ends(const struct talon_flow *flow, const struct talon_flow6 *six)
{
	if (flow->proto & TALON_PROTO_SIX)
		return (struct flow_ends){ .client = addr_of6(six->client), .remote = addr_of6(six->remote),
			.snat = addr_of6(six->snat) };
	return (struct flow_ends){ .client = addr_of4(flow->client), .remote = addr_of4(flow->remote),
		.snat = addr_of4(flow->snat) };
}

int live_flows(const struct live *live, live_flow_cb cb, void *user)
{
	struct talon_flow_head head;
	uint32_t keys[BATCH], at = 0, next, count;
	struct talon_flow *flows;
	bool is_first = true;
	int fd = live->fds[DATAPATH_MAP_FLOWS], ret = 0;

	if (!live_get(live, DATAPATH_MAP_FLOWS, &at, &head))
		return -errno;
	flows = calloc(BATCH, sizeof(*flows));
	if (!flows)
		return -ENOMEM;
	for (uint32_t seen = 0; seen <= head.used && !ret; seen += count) {
		count = BATCH;
		if (bpf_map_lookup_batch(fd, is_first ? NULL : &at, &next, keys, flows, &count, NULL))
			ret = errno == ENOENT ? 1 : -errno;
		is_first = false;
		at = next;
		for (uint32_t i = 0; i < count && ret >= 0; i++)
			if (keys[i] && flows[i].phase == TALON_FLOW_LIVE)
				cb(keys[i], &flows[i], user);
	}
	free(flows);
	return ret < 0 ? ret : 0;
}

/* The session that packets to the peer are sealed with now. Its keys are wiped at once. */
static void read_session(const struct live *live, struct party *party)
{
	struct talon_session session;
	struct talon_peer_tx tx;
	uint32_t slot;

	if (!live_get(live, DATAPATH_MAP_PEER_TX, &party->id, &tx) || !tx.index)
		return;
	slot = tx.index & live->config.session_mask;
	if (live_get(live, DATAPATH_MAP_SESSIONS, &slot, &session) && session.index == tx.index &&
		session.peer == party->id &&
		clock_boot_ns() - session.birth_ns <= WG_REJECT_AFTER_TIME_S * TALON_NSEC_PER_SEC) {
		party->has_session = true;
		party->session_ns = session.birth_ns;
	}
	sodium_memzero(&session, sizeof(session));
}

int party_read(const struct live *live, uint32_t id, unsigned slot, struct party *ret_party)
{
	struct party party = { .id = id, .slot = slot };
	struct talon_peer_info info;

	if (!live_get(live, DATAPATH_MAP_PEER_INFO, &id, &info) || !info.present ||
		bpf_map_lookup_elem_flags(live->fds[DATAPATH_MAP_ENDPOINTS], &id, &party.endpoint,
		BPF_F_LOCK))
		return -ENOENT;
	key_to_base64(info.public_key, party.key);
	if (info.name[0])
		snprintf(party.name, sizeof(party.name), "%.*s", (int)sizeof(info.name), info.name);
	else
		snprintf(party.name, sizeof(party.name), "%.8s...", party.key);
	read_session(live, &party);
	randombytes_buf(&party.recv, sizeof(party.recv));
	randombytes_buf(&party.send, sizeof(party.send));
	party.remote_index = randombytes_random();
	*ret_party = party;
	party_wipe(&party);
	return 0;
}

void party_wipe(struct party *party)
{
	secret_key_wipe(&party->recv);
	secret_key_wipe(&party->send);
}
