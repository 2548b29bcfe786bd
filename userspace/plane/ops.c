// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The WireGuard device's operations: writes sessions and endpoints, sends messages, releases held packets.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "plane/internal.h"
#include "log/log.h"

static uint64_t unix_ns(void *ctx)
{
	return clock_unix_ns();
}

static int send_message(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len)
{
	if (pair_is_endpoint(to))
		return plane_queue_relay(ctx, TALON_RELAY_PEER_ID(ntohl(to->remote.word[0])), bytes, len);
	return socket_send(ctx, to, bytes, len);
}

/* Counters and window first, the index last: packets never find a half-made session. */
static int publish_session(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	const struct talon_send_counter counter = {};
	struct talon_session copy = *session;
	struct talon_replay window;
	int ret;

	memset(&window, 0, sizeof(window));
	window.state = state;
	copy.index = 0;
	ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, &copy, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_REPLAY, slot, &window, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_SEND_COUNTERS, slot, &counter, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, session, BPF_ANY);
	sodium_memzero(&copy, sizeof(copy));
	return ret;
}

static int clear_session(void *ctx, uint32_t slot)
{
	struct talon_session session;
	int ret = map_read(ctx, DATAPATH_MAP_SESSIONS, slot, &session);

	if (!ret) {
		session.index = 0;
		ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, &session, BPF_ANY);
	}
	sodium_memzero(&session, sizeof(session));
	return ret;
}

static int wipe_session(void *ctx, uint32_t slot)
{
	static const struct talon_session session;
	static const struct talon_send_counter counter;
	static const struct talon_replay window;
	int ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, &session, BPF_ANY);

	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_REPLAY, slot, &window, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_SEND_COUNTERS, slot, &counter, BPF_ANY);
	return ret;
}

static int set_tx(void *ctx, uint32_t peer, uint32_t index)
{
	const struct talon_peer_tx tx = { .index = index };

	return map_write(ctx, DATAPATH_MAP_PEER_TX, peer, &tx, BPF_ANY);
}

static int set_endpoint(void *ctx, uint32_t peer, const struct endpoint *endpoint)
{
	const struct plane *p = ctx;

	if (pair_is_endpoint(endpoint))		/* peers do not roam to the relay */
		return 0;
	if (p->slots_of[peer].roams)
		return endpoints_follow_any(&p->endpoints, peer, endpoint);
	return endpoints_follow(&p->endpoints, peer, endpoint);
}

static int send_keepalive(void *ctx, uint32_t peer)
{
	struct plane *p = ctx;

	return inject_keepalive(&p->inject, peer);
}

static void established(void *ctx, uint32_t peer, bool must_send)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = peer };
	struct plane *p = ctx;
	struct held *held;

	while ((held = hold_take(&p->hold, &key))) {
		if (!inject_packet(&p->inject, held->bytes, held->len))
			must_send = false;
		hold_release(held);
	}
	if (must_send)
		inject_keepalive(&p->inject, peer);
}

static void gave_up(void *ctx, uint32_t peer)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = peer };
	struct plane *p = ctx;

	hold_drop(&p->hold, &key);
}

static void handshake_done(void *ctx, uint32_t peer, const struct device_peer_stats *stats)
{
	struct plane *p = ctx;
	struct talon_peer_info *info = &p->infos[peer];

	info->handshakes = stats->handshakes;
	info->handshake_ns = stats->handshake_ns;
	info->handshake_unix_s = stats->handshake_unix_s;
	info->handshake_rx_bytes = stats->rx_bytes;
	info->handshake_tx_bytes = stats->tx_bytes;
	map_write(p, DATAPATH_MAP_PEER_INFO, peer, info, BPF_ANY);
	log_debug("peer %u: handshake complete", peer);
	plane_note(p, peer, NOTICE_HANDSHAKE);
}

static void save_timestamp(void *ctx, uint32_t peer, const uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
	struct plane *p = ctx;

	memcpy(p->infos[peer].timestamp, timestamp, WG_TIMESTAMP_LEN);
	map_write(p, DATAPATH_MAP_PEER_INFO, peer, &p->infos[peer], BPF_ANY);
}

static int read_facts(void *ctx, uint32_t peer, struct device_facts *ret_facts)
{
	struct plane *p = ctx;
	struct talon_send_counter counter = {};
	struct talon_peer_stats stats;
	struct talon_peer_tx tx;
	int ret = map_read_peer_stats(p, peer, &stats);

	if (!ret)
		ret = map_read(p, DATAPATH_MAP_PEER_TX, peer, &tx);
	if (!ret && tx.index)
		ret = map_read(p, DATAPATH_MAP_SEND_COUNTERS, tx.index & (p->slots - 1), &counter);
	if (ret)
		return ret;
	*ret_facts = (struct device_facts){
		.rx_ns = stats.rx_ns,
		.tx_ns = stats.tx_ns,
		.rx_data_ns = stats.rx_data_ns,
		.tx_data_ns = stats.tx_data_ns,
		.send_counter = counter.next,
	};
	return 0;
}

const struct device_ops plane_device_ops = {
	.unix_ns = unix_ns,
	.send = send_message,
	.publish_session = publish_session,
	.clear_session = clear_session,
	.wipe_session = wipe_session,
	.set_tx = set_tx,
	.set_endpoint = set_endpoint,
	.send_keepalive = send_keepalive,
	.established = established,
	.gave_up = gave_up,
	.handshake_done = handshake_done,
	.save_timestamp = save_timestamp,
	.read_facts = read_facts,
};
