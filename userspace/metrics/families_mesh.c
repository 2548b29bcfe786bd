// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The families about peers, handshakes and the mesh.
#include <string.h>

#include "base/clock.h"
#include "crypto/key.h"
#include "metrics/internal.h"
#include "status/show.h"

static void single(struct metrics_text *text, enum metric id, uint64_t value)
{
	metrics_family(text, id);
	metrics_sample(text, NO_LABELS, value);
}

/* One family whose samples differ in one label, each with its fact. */
struct row { const char *value; enum talon_fact fact; };

static void rows(struct metrics_text *text, const struct metrics_data *data, enum metric id,
	const char *label, const struct row *list, size_t count)
{
	metrics_family(text, id);
	for (size_t i = 0; i < count; i++)
		metrics_sample(text, LABELS({ label, list[i].value }), data->facts[list[i].fact]);
}

#define ROWS(id, label, ...)								\
	do {										\
		static const struct row list_[] = { __VA_ARGS__ };			\
		rows(text, data, METRIC_##id, label, list_, sizeof(list_) / sizeof(list_[0]));	\
	} while (0)

/* --- handshakes --- */

static uint64_t count_of(const struct metrics_data *data, enum handshake_count count)
{
	return data->status.handshakes[HANDSHAKE_END_COUNT + count];
}

static void write_handshakes(struct metrics_text *text, const struct metrics_data *data)
{
	metrics_family(text, METRIC_HANDSHAKES);
	for (unsigned i = 0; i < HANDSHAKE_END_COUNT; i++)
		metrics_sample(text, LABELS({ "result", show_handshakes[i].label }),
			data->status.handshakes[i]);
	metrics_family(text, METRIC_HANDSHAKES_SENT);
	metrics_sample(text, LABELS({ "type", "initiation" }),
		count_of(data, HANDSHAKE_COUNT_INITIATIONS_SENT));
	metrics_sample(text, LABELS({ "type", "response" }), count_of(data, HANDSHAKE_COUNT_RESPONSES_SENT));
	metrics_sample(text, LABELS({ "type", "cookie" }), count_of(data, HANDSHAKE_COUNT_COOKIES_SENT));
	single(text, METRIC_HANDSHAKES_GAVE_UP, count_of(data, HANDSHAKE_COUNT_GAVE_UP));
	metrics_family(text, METRIC_HANDSHAKE_ERRORS);
	metrics_sample(text, LABELS({ "kind", "send" }), count_of(data, HANDSHAKE_COUNT_SEND_ERRORS));
	metrics_sample(text, LABELS({ "kind", "map" }), count_of(data, HANDSHAKE_COUNT_MAP_ERRORS));
	metrics_family(text, METRIC_CLOCK_TROUBLE);
	metrics_sample(text, LABELS({ "kind", "peer_ahead" }),
		count_of(data, HANDSHAKE_COUNT_FUTURE_TIMESTAMPS));
	metrics_sample(text, LABELS({ "kind", "own_leap" }), count_of(data, HANDSHAKE_COUNT_CLOCK_JUMPS));
}

/* --- peers --- */

static void write_tally(struct metrics_text *text, const struct metrics_data *data)
{
	const struct metrics_peers *peers = &data->peers;
	const uint64_t now = data->status.now_ns;

	single(text, METRIC_SESSIONS, peers->sessions);
	if (peers->has_expiry) {
		metrics_family(text, METRIC_SESSION_EXPIRY);
		metrics_sample_ns(text, NO_LABELS, peers->expiry_ns);
	}
	metrics_family(text, METRIC_PEERS);
	metrics_sample(text, LABELS({ "state", "connected" }), peers->connected);
	metrics_sample(text, LABELS({ "state", "idle" }), peers->idle);
	metrics_sample(text, LABELS({ "state", "never" }), peers->never);
	if (!peers->has_handshake)
		return;
	metrics_family(text, METRIC_PEER_NEWEST);
	metrics_sample_ns(text, NO_LABELS, now > peers->handshake_ns ? now - peers->handshake_ns : 0);
}

static const char *path_of(const struct metrics_peer *peer)
{
	return peer->flags & TALON_ENDPOINT_RELAY ? "relay" : peer->family ? "direct" : "none";
}

struct peer_labels { char key[KEY_BASE64_LEN + 1], name[sizeof(((struct talon_peer_info *)0)->name) + 1]; };

static struct peer_labels labels_of(const struct metrics_peer *peer)
{
	struct peer_labels labels = {};

	key_to_base64(peer->info.public_key, labels.key);
	memcpy(labels.name, peer->info.name, sizeof(peer->info.name));
	return labels;
}

static void both_ways(struct metrics_text *text, const struct metrics_data *data, enum metric id, bool bytes)
{
	metrics_family(text, id);
	for (size_t i = 0; i < data->peers.top_count; i++) {
		const struct metrics_peer *peer = &data->peers.top[i];
		struct peer_labels labels = labels_of(peer);

		metrics_sample(text, LABELS({ "direction", "receive" }, { "peer", labels.key },
			{ "name", labels.name }), bytes ? peer->rx_bytes : peer->rx_packets);
		metrics_sample(text, LABELS({ "direction", "transmit" }, { "peer", labels.key },
			{ "name", labels.name }), bytes ? peer->tx_bytes : peer->tx_packets);
	}
}

static void each_peer(struct metrics_text *text, const struct metrics_data *data, enum metric id)
{
	metrics_family(text, id);
	for (size_t i = 0; i < data->peers.top_count; i++) {
		const struct metrics_peer *peer = &data->peers.top[i];
		struct peer_labels labels = labels_of(peer);
		const struct metrics_label *who = LABELS({ "peer", labels.key }, { "name", labels.name });

		if (id == METRIC_PEER_HANDSHAKE && peer->info.handshake_unix_s)
			metrics_sample(text, who, peer->info.handshake_unix_s);
		else if (id == METRIC_PEER_PATH)
			metrics_sample(text, LABELS({ "peer", labels.key }, { "name", labels.name },
				{ "path", path_of(peer) }), 1);
		else if (id == METRIC_PEER_LATENCY && peer->info.latency_100us && data->is_fresh)
			metrics_sample_ns(text, who, peer->info.latency_100us * 100000ULL);
		else if (id == METRIC_PEER_FLOWS)
			metrics_sample(text, who, peer->held);
	}
}

void metrics_write_peers(struct metrics_text *text, const struct metrics_data *data, bool has_top)
{
	if (!data->has_datapath)
		return;
	write_handshakes(text, data);
	write_tally(text, data);
	if (!has_top)
		return;
	both_ways(text, data, METRIC_PEER_BYTES, true);
	both_ways(text, data, METRIC_PEER_PACKETS, false);
	each_peer(text, data, METRIC_PEER_HANDSHAKE);
	each_peer(text, data, METRIC_PEER_PATH);
	each_peer(text, data, METRIC_PEER_LATENCY);
	each_peer(text, data, METRIC_PEER_FLOWS);
	single(text, METRIC_OTHER_PEERS, data->peers.others);
	metrics_family(text, METRIC_OTHER_BYTES);
	metrics_sample(text, LABELS({ "direction", "receive" }), data->peers.others_rx);
	metrics_sample(text, LABELS({ "direction", "transmit" }), data->peers.others_tx);
}

/* --- the mesh --- */

static void fact(struct metrics_text *text, const struct metrics_data *data, enum metric id,
	enum talon_fact which)
{
	single(text, id, data->facts[which]);
}

static void fact_ns(struct metrics_text *text, const struct metrics_data *data, enum metric id,
	enum talon_fact which)
{
	metrics_family(text, id);
	metrics_sample_ns(text, NO_LABELS, data->facts[which]);
}

static void write_applies(struct metrics_text *text, const struct metrics_data *data)
{
	metrics_family(text, METRIC_APPLIES);
	metrics_sample(text, LABELS({ "result", "ok" }), data->facts[TALON_FACT_APPLIES] -
		data->facts[TALON_FACT_APPLIES_FAILED]);
	metrics_sample(text, LABELS({ "result", "failed" }), data->facts[TALON_FACT_APPLIES_FAILED]);
	fact_ns(text, data, METRIC_APPLY_SECONDS, TALON_FACT_APPLY_NS);
	if (!data->is_fresh)
		return;
	fact_ns(text, data, METRIC_APPLY_LAST, TALON_FACT_APPLY_LAST_NS);
	fact(text, data, METRIC_APPLIED, TALON_FACT_APPLIED_UNIX_S);
	fact(text, data, METRIC_ACL_RULES, TALON_FACT_ACL_RULES);
}

static void write_vips(struct metrics_text *text, const struct metrics_data *data)
{
	metrics_family(text, METRIC_VIPS_TROUBLE);
	metrics_sample(text, LABELS({ "kind", "error" }), data->facts[TALON_FACT_VIP_ERRORS]);
	metrics_sample(text, LABELS({ "kind", "restart" }), data->facts[TALON_FACT_VIP_RESTARTS]);
	if (!data->is_fresh)
		return;
	metrics_family(text, METRIC_VIPS);
	metrics_sample(text, LABELS({ "state", "here" }), data->facts[TALON_FACT_VIPS_HERE]);
	metrics_sample(text, LABELS({ "state", "elsewhere" }), data->facts[TALON_FACT_VIPS_ELSEWHERE]);
	fact(text, data, METRIC_VIPS_SYNCED, TALON_FACT_VIP_SYNCED);
}

static void write_signal(struct metrics_text *text, const struct metrics_data *data)
{
	static const struct { const char *direction, *result; enum talon_fact fact; } list[] = {
		{ "receive", "ok", TALON_FACT_SIGNAL_RECEIVED }, { "transmit", "ok", TALON_FACT_SIGNAL_SENT },
		{ "transmit", "refused", TALON_FACT_SIGNAL_SEND_FAILED },
		{ "receive", "unopened", TALON_FACT_SIGNAL_UNOPENED },
		{ "receive", "malformed", TALON_FACT_SIGNAL_MALFORMED },
		{ "receive", "ignored", TALON_FACT_SIGNAL_IGNORED },
	};

	fact(text, data, METRIC_SIGNAL_CONNECTS, TALON_FACT_SIGNAL_CONNECTS);
	metrics_family(text, METRIC_SIGNAL_MESSAGES);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		metrics_sample(text, LABELS({ "direction", list[i].direction }, { "result", list[i].result }),
			data->facts[list[i].fact]);
	fact(text, data, METRIC_SIGNAL_REGISTRATIONS, TALON_FACT_SIGNAL_REGISTRATIONS);
	fact(text, data, METRIC_SIGNAL_EVICTIONS, TALON_FACT_SIGNAL_EVICTIONS);
}

static void write_relay(struct metrics_text *text, const struct metrics_data *data)
{
	fact(text, data, METRIC_RELAY_CONNECTS, TALON_FACT_RELAY_CONNECTS);
	ROWS(RELAY_PACKETS, "direction", { "receive", TALON_FACT_RELAY_RX_PACKETS },
		{ "transmit", TALON_FACT_RELAY_TX_PACKETS });
	ROWS(RELAY_BYTES, "direction", { "receive", TALON_FACT_RELAY_RX_BYTES },
		{ "transmit", TALON_FACT_RELAY_TX_BYTES });
	ROWS(RELAY_DROPS, "reason", { "no_room", TALON_FACT_RELAY_TX_DROPPED },
		{ "unknown_peer", TALON_FACT_RELAY_RX_UNKNOWN }, { "malformed", TALON_FACT_RELAY_MALFORMED });
}

static void write_stun(struct metrics_text *text, const struct metrics_data *data)
{
	ROWS(STUN_MESSAGES, "direction", { "receive", TALON_FACT_STUN_RECEIVED },
		{ "transmit", TALON_FACT_STUN_SENT });
	ROWS(STUN_DROPS, "reason", { "malformed", TALON_FACT_STUN_MALFORMED },
		{ "unknown_user", TALON_FACT_STUN_UNKNOWN_USER },
		{ "bad_integrity", TALON_FACT_STUN_BAD_INTEGRITY },
		{ "unmatched", TALON_FACT_STUN_UNMATCHED }, { "inside", TALON_FACT_STUN_INSIDE });
}

static void write_dns(struct metrics_text *text, const struct metrics_data *data)
{
	fact(text, data, METRIC_DNS_QUESTIONS, TALON_FACT_DNS_QUERIES);
	ROWS(DNS_RESULTS, "result", { "refused", TALON_FACT_DNS_REFUSED },
		{ "other_type", TALON_FACT_DNS_OTHER_TYPES }, { "malformed", TALON_FACT_DNS_MALFORMED },
		{ "failed", TALON_FACT_DNS_FAILED }, { "from_cache", TALON_FACT_DNS_FROM_CACHE },
		{ "dropped", TALON_FACT_DNS_DROPPED }, { "limited", TALON_FACT_DNS_LIMITED });
	ROWS(DNS_LEARNING, "event", { "batch", TALON_FACT_DNS_BATCHES },
		{ "left_out", TALON_FACT_DNS_NOT_LEARNED }, { "evicted", TALON_FACT_DNS_EVICTED },
		{ "aged_out", TALON_FACT_DNS_AGED_OUT });
}

/* What the last controller saw, while it runs. */
static void write_gauges(struct metrics_text *text, const struct metrics_data *data)
{
	ROWS(PEERS_PATH, "path", { "direct", TALON_FACT_PEERS_DIRECT }, { "relay", TALON_FACT_PEERS_RELAYED },
		{ "connecting", TALON_FACT_PEERS_CONNECTING }, { "idle", TALON_FACT_PEERS_IDLE });
	fact(text, data, METRIC_MANAGEMENT_UP, TALON_FACT_MANAGEMENT_UP);
	fact(text, data, METRIC_SIGNAL_UP, TALON_FACT_SIGNAL_UP);
	ROWS(RELAYS, "state", { "known", TALON_FACT_RELAYS_KNOWN }, { "connected", TALON_FACT_RELAYS_UP });
	ROWS(STUNS, "state", { "known", TALON_FACT_STUNS_KNOWN }, { "answering", TALON_FACT_STUNS_UP });
	fact(text, data, METRIC_NEEDS_LOGIN, TALON_FACT_NEEDS_LOGIN);
	fact(text, data, METRIC_LOGIN_EXPIRES, TALON_FACT_LOGIN_EXPIRES_S);
	fact(text, data, METRIC_MAP_SERIAL, TALON_FACT_MAP_SERIAL);
	fact(text, data, METRIC_MAP_HELD_BACK, TALON_FACT_MAP_HELD_BACK);
	fact(text, data, METRIC_DNS_LEARNED, TALON_FACT_DNS_LEARNED);
}

void metrics_write_mesh(struct metrics_text *text, const struct metrics_data *data)
{
	if (!data->has_datapath)
		return;
	write_applies(text, data);
	write_vips(text, data);
	if (!data->facts[TALON_FACT_IS_MESH])
		return;
	ROWS(PATH_CHANGES, "to", { "direct", TALON_FACT_PATH_TO_DIRECT },
		{ "relay", TALON_FACT_PATH_TO_RELAY },
		{ "none", TALON_FACT_PATH_LOST });
	fact(text, data, METRIC_MANAGEMENT_CONNECTS, TALON_FACT_MANAGEMENT_CONNECTS);
	write_signal(text, data);
	write_relay(text, data);
	write_stun(text, data);
	fact(text, data, METRIC_MAPS_RECEIVED, TALON_FACT_MAPS_RECEIVED);
	write_dns(text, data);
	if (data->is_fresh)
		write_gauges(text, data);
}
