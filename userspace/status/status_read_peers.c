// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The peers of a struct status: names, counters, endpoints, sessions and allowed networks from the pinned
// maps.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sodium.h>

#include "status/read_internal.h"
#include "talon/session_types.h"

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
	fd = read_open(r, "peer_info", sizeof(*infos), &entries);
	if (fd < 0) {
		free(infos);
		return fd;
	}
	do {
		count = read_batch(fd, &cursor, is_first, ids, infos);
		ret = count < 0 ? read_fail(r, "peer_info", count) : add_peers(r->status, ids, infos, count);
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
	fd = read_open(r, "peer_stats", sizeof(*values), &entries);
	if (fd < 0)
		return fd;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		ret = -ENOMEM;
	for (size_t i = 0; i < r->status->peer_count && !ret; i++) {
		struct status_peer *peer = &r->status->peers[i];

		if (bpf_map_lookup_elem(fd, &peer->id, values))
			ret = read_fail(r, "peer_stats", -errno);
		for (int cpu = 0; cpu < cpus && !ret; cpu++)
			sum_stats(&peer->stats, &values[cpu]);
	}
	free(values);
	close(fd);
	return ret;
}

/* Both the peers and the entries of the map are in the order of their slots. */
static int read_shares(const struct reading *r)
{
	struct status *status = r->status;
	struct talon_nat_peer shares[BATCH];
	__u32 ids[BATCH], cursor = 0, entries;
	bool is_first = true;
	int fd, count = 0;
	size_t at = 0;

	fd = read_open(r, "nat_peers", sizeof(shares[0]), &entries);
	if (fd < 0)
		return fd;
	do {
		count = read_batch(fd, &cursor, is_first, ids, shares);
		for (int i = 0; i < count && at < status->peer_count; i++) {
			if (status->peers[at].id == ids[i])
				status->peers[at++].flows = shares[i];
		}
		is_first = false;
	} while (count == BATCH);
	close(fd);
	return count < 0 ? read_fail(r, "nat_peers", count) : 0;
}

static int read_endpoints(const struct reading *r)
{
	struct talon_endpoint endpoint;
	__u32 entries;
	int fd, ret = 0;

	fd = read_open(r, "endpoints", sizeof(endpoint), &entries);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < r->status->peer_count && !ret; i++) {
		struct status_peer *peer = &r->status->peers[i];

		if (bpf_map_lookup_elem_flags(fd, &peer->id, &endpoint, BPF_F_LOCK)) {
			ret = read_fail(r, "endpoints", -errno);
			break;
		}
		peer->endpoint_family = endpoint.family;
		peer->endpoint_flags = endpoint.flags;
		peer->endpoint_port = endpoint.remote_port;
		peer->endpoint = endpoint.remote;
	}
	close(fd);
	return ret;
}

/* Whether the peer has this session, and how old it is. The keys that are read with it are wiped at once. */
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

	tx_fd = read_open(r, "peer_tx", sizeof(tx), &entries);
	if (tx_fd < 0)
		return tx_fd;
	fd = read_open(r, "sessions", sizeof(struct talon_session), &slots);
	if (fd < 0) {
		close(tx_fd);
		return fd;
	}
	for (size_t i = 0; i < r->status->peer_count && !ret; i++) {
		struct status_peer *peer = &r->status->peers[i];

		if (bpf_map_lookup_elem(tx_fd, &peer->id, &tx))
			ret = read_fail(r, "peer_tx", -errno);
		else if (tx.index && read_session(fd, tx.index & r->status->config.session_mask,
			tx.index, peer))
			ret = read_fail(r, "sessions", -errno);
	}
	close(fd);
	close(tx_fd);
	return ret;
}

int read_peers(struct reading *r)
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

static int add_allowed(struct reading *r, const struct cidr *key, const void *value)
{
	struct allowed *larger;
	__u32 entry;

	if (r->allowed_count % BATCH == 0) {
		larger = reallocarray(r->allowed, r->allowed_count + BATCH, sizeof(*larger));
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

	return a->peer != b->peer ? (a->peer > b->peer) - (a->peer < b->peer) : read_compare_nets(&a->net,
		&b->net);
}

/* Peers are in the order of their ids, and the entries are sorted that way here. */
int read_allowed(struct reading *r)
{
	struct status *status = r->status;
	size_t at = 0;
	int ret = read_trie(r, "allowed4", AF_INET, sizeof(__u32), add_allowed);

	if (!ret)
		ret = read_trie(r, "allowed6", AF_INET6, sizeof(__u32), add_allowed);
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
