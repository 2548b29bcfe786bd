// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Peers: how many are in which state, and those with the most traffic. Maps are read in slices, so that
// memory does not grow with peers.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sodium.h>

#include "metrics/internal.h"
#include "talon/session_types.h"

#define SLICE 128

enum { MAP_INFO, MAP_STATS, MAP_TX, MAP_ENDPOINTS, MAP_SHARES, MAPS };

static const char *const names[MAPS] = { "peer_info", "peer_stats", "peer_tx", "endpoints", "nat_peers" };
static const size_t sizes[MAPS] = {
	sizeof(struct talon_peer_info), sizeof(struct talon_peer_stats), sizeof(struct talon_peer_tx),
	sizeof(struct talon_endpoint), sizeof(struct talon_nat_peer),
};

/* The same slots of all the maps. */
struct slices {
	int fds[MAPS], sessions;
	__u32 cursors[MAPS];
	void *values[MAPS];
	bool has_begun;
	unsigned cpus;
	__u32 session_mask;
};

static void slices_done(struct slices *s)
{
	for (int i = 0; i < MAPS; i++) {
		if (s->fds[i] >= 0)
			close(s->fds[i]);
		free(s->values[i]);
	}
	if (s->sessions >= 0)
		close(s->sessions);
}

static int open_map(const char *root, const char *name)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", root, name);
	fd = bpf_obj_get_opts(path, &opts);
	return fd < 0 ? -errno : fd;
}

static int slices_open(struct slices *s, const char *root)
{
	int ret = 0;

	s->sessions = open_map(root, "sessions");
	for (int i = 0; i < MAPS; i++) {
		s->fds[i] = open_map(root, names[i]);
		s->values[i] = calloc(SLICE, sizes[i] * (i == MAP_STATS ? s->cpus : 1));
		if (s->fds[i] < 0)
			ret = s->fds[i];
		else if (!s->values[i])
			ret = -ENOMEM;
	}
	return s->sessions < 0 ? s->sessions : ret;
}

/* Reads the next slots. Returns how many, or a negative errno. */
static int slices_next(struct slices *s)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 keys[SLICE], count = 0;

	for (int i = 0; i < MAPS; i++) {
		count = SLICE;
		if (bpf_map_lookup_batch(s->fds[i], s->has_begun ? &s->cursors[i] : NULL, &s->cursors[i],
			keys, s->values[i], &count, &opts) && errno != ENOENT)
			return -errno;
	}
	s->has_begun = true;
	return count;
}

static struct metrics_peer sum(const struct slices *s, int at)
{
	const struct talon_peer_stats *stats = (const struct talon_peer_stats *)s->values[MAP_STATS] +
		at * s->cpus;
	const struct talon_endpoint *endpoint = (const struct talon_endpoint *)s->values[MAP_ENDPOINTS] + at;
	struct metrics_peer peer = {
		.info = ((const struct talon_peer_info *)s->values[MAP_INFO])[at],
		.family = endpoint->family,
		.flags = endpoint->flags,
		.held = ((const struct talon_nat_peer *)s->values[MAP_SHARES])[at].held,
	};

	for (unsigned cpu = 0; cpu < s->cpus; cpu++) {
		peer.rx_bytes += stats[cpu].rx_bytes;
		peer.tx_bytes += stats[cpu].tx_bytes;
		peer.rx_packets += stats[cpu].rx_packets;
		peer.tx_packets += stats[cpu].tx_packets;
	}
	return peer;
}

static uint64_t heard_ns(const struct slices *s, int at)
{
	const struct talon_peer_stats *stats = (const struct talon_peer_stats *)s->values[MAP_STATS] +
		at * s->cpus;
	uint64_t latest = 0;

	for (unsigned cpu = 0; cpu < s->cpus; cpu++)
		latest = stats[cpu].rx_ns > latest ? stats[cpu].rx_ns : latest;
	return latest;
}

/* When the session that seals for the slot was made; 0: there is none. */
static uint64_t session_birth(const struct slices *s, int at)
{
	__u32 index = ((const struct talon_peer_tx *)s->values[MAP_TX])[at].index;
	__u32 slot = index & s->session_mask;
	struct talon_session session;
	uint64_t birth;

	if (!index || bpf_map_lookup_elem(s->sessions, &slot, &session))
		return 0;
	birth = session.index == index ? session.birth_ns : 0;
	sodium_memzero(&session, sizeof(session));
	return birth;
}

static void note_session(struct metrics_peers *peers, uint64_t birth, uint64_t heard, uint64_t now)
{
	const uint64_t life = WG_REJECT_AFTER_TIME_S * TALON_NSEC_PER_SEC;
	uint64_t left;

	if (!birth || birth + life <= now)
		return;
	peers->sessions++;
	left = birth + life - now;
	if (heard + life <= now || (peers->has_expiry && peers->expiry_ns <= left))
		return;
	peers->has_expiry = true;
	peers->expiry_ns = left;
}

static uint64_t bytes_of(const struct metrics_peer *peer)
{
	return peer->rx_bytes + peer->tx_bytes;
}

static int by_traffic(const void *left, const void *right)
{
	uint64_t a = bytes_of(left), b = bytes_of(right);

	return (a < b) - (a > b);
}

static void leave_out(struct metrics_peers *peers, const struct metrics_peer *peer)
{
	peers->others++;
	peers->others_rx += peer->rx_bytes;
	peers->others_tx += peer->tx_bytes;
}

/* Keeps the @room peers with the most traffic; the least of them is looked for only when it has to go. */
static void keep(struct metrics_peers *peers, uint32_t room, const struct metrics_peer *peer)
{
	size_t least = 0;

	if (peers->top_count < room) {
		peers->top[peers->top_count++] = *peer;
		return;
	}
	for (size_t i = 1; i < peers->top_count; i++)
		least = bytes_of(&peers->top[i]) < bytes_of(&peers->top[least]) ? i : least;
	if (!room || bytes_of(peer) <= bytes_of(&peers->top[least])) {
		leave_out(peers, peer);
		return;
	}
	leave_out(peers, &peers->top[least]);
	peers->top[least] = *peer;
}

static void take(struct metrics_data *data, const struct slices *s, int at, uint32_t id, uint32_t top)
{
	struct metrics_peers *peers = &data->peers;
	struct metrics_peer peer = sum(s, at);
	const uint64_t now = data->status.now_ns, handshake = peer.info.handshake_ns;
	uint64_t birth = session_birth(s, at);

	peer.id = id;
	note_session(peers, birth, heard_ns(s, at), now);
	if (handshake > peers->handshake_ns)
		peers->handshake_ns = handshake;
	peers->has_handshake |= !!handshake;
	peer.is_connected = birth && handshake &&
		now < handshake + WG_REJECT_AFTER_TIME_S * TALON_NSEC_PER_SEC;
	peers->connected += peer.is_connected;
	peers->never += !handshake;
	peers->idle += handshake && !peer.is_connected;
	keep(peers, top, &peer);
}

int metrics_read_peers(struct metrics_data *data, const char *root, uint32_t top)
{
	struct slices s = { .session_mask = data->status.config.session_mask };
	int cpus = libbpf_num_possible_cpus(), ret, count = 0;
	uint32_t id = 0;

	if (cpus < 0)
		return cpus;
	s.cpus = cpus;
	top = top < METRICS_PEERS_MOST ? top : METRICS_PEERS_MOST;
	data->peers.top = top ? calloc(top, sizeof(*data->peers.top)) : NULL;
	ret = slices_open(&s, root);
	if (top && !data->peers.top)
		ret = -ENOMEM;
	while (!ret && (count = slices_next(&s)) > 0) {
		for (int i = 0; i < count; i++, id++) {
			if (((const struct talon_peer_info *)s.values[MAP_INFO])[i].present)
				take(data, &s, i, id, top);
		}
	}
	if (!ret && count < 0)
		ret = count;
	slices_done(&s);
	if (data->peers.top_count)
		qsort(data->peers.top, data->peers.top_count, sizeof(*data->peers.top), by_traffic);
	return ret;
}
