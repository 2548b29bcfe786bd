// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the mesh's parts count and see, for map "facts" and for the snapshot.
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "mesh/internal.h"

#define SERVERS_MAX 64
#define LATENCY_NS 100000	/* the unit in map peer_info */

static void tell(struct mesh *mesh, enum talon_fact fact, uint64_t value)
{
	mesh->facts[fact] = value;
	plane_set_fact(mesh->plane, fact, value);
}

static void tell_dns(struct mesh *mesh)
{
	struct forwarder_stats s = {};

	forwarder_get_stats(mesh->forwarder, &s);
	tell(mesh, TALON_FACT_DNS_QUERIES, s.queries);
	tell(mesh, TALON_FACT_DNS_REFUSED, s.refused);
	tell(mesh, TALON_FACT_DNS_OTHER_TYPES, s.other_types);
	tell(mesh, TALON_FACT_DNS_MALFORMED, s.malformed);
	tell(mesh, TALON_FACT_DNS_FAILED, s.failed);
	tell(mesh, TALON_FACT_DNS_FROM_CACHE, s.from_cache);
	tell(mesh, TALON_FACT_DNS_DROPPED, s.dropped);
	tell(mesh, TALON_FACT_DNS_LIMITED, s.limited);
	tell(mesh, TALON_FACT_DNS_BATCHES, s.batches);
	tell(mesh, TALON_FACT_DNS_LEARNED, s.learned);
	tell(mesh, TALON_FACT_DNS_NOT_LEARNED, s.not_learned);
	tell(mesh, TALON_FACT_DNS_EVICTED, s.evicted);
	tell(mesh, TALON_FACT_DNS_AGED_OUT, s.aged_out);
}

static void tell_signal(struct mesh *mesh)
{
	struct signal_stats s = {};

	if (!mesh->signal)	/* moving to another server: its counters start anew, ours go on */
		return;
	signal_get_stats(mesh->signal, &s);
	tell(mesh, TALON_FACT_SIGNAL_RECEIVED, mesh->signal_before.received + s.received);
	tell(mesh, TALON_FACT_SIGNAL_SENT, mesh->signal_before.sent + s.sent);
	tell(mesh, TALON_FACT_SIGNAL_SEND_FAILED, mesh->signal_before.send_failed + s.send_failed);
	tell(mesh, TALON_FACT_SIGNAL_UNOPENED, mesh->signal_before.unopened + s.unopened);
	tell(mesh, TALON_FACT_SIGNAL_MALFORMED, mesh->signal_before.malformed + s.malformed);
	tell(mesh, TALON_FACT_SIGNAL_IGNORED, mesh->signal_before.ignored + s.ignored);
	tell(mesh, TALON_FACT_SIGNAL_REGISTRATIONS, mesh->signal_before.registrations + s.registrations);
	tell(mesh, TALON_FACT_SIGNAL_EVICTIONS, mesh->signal_before.evictions + s.evictions);
}

void mesh_keep_signal_counts(struct mesh *mesh)
{
	struct signal_stats *sum = &mesh->signal_before, s;

	signal_get_stats(mesh->signal, &s);
	sum->received += s.received;
	sum->sent += s.sent;
	sum->send_failed += s.send_failed;
	sum->unopened += s.unopened;
	sum->malformed += s.malformed;
	sum->ignored += s.ignored;
	sum->registrations += s.registrations;
	sum->evictions += s.evictions;
}

static void tell_relay(struct mesh *mesh)
{
	struct relay_status *list = calloc(SERVERS_MAX, sizeof(*list));
	struct relay_stats s;
	size_t count = list ? relay_manager_list(mesh->relay, list, SERVERS_MAX) : 0, up = 0;

	for (size_t i = 0; i < count; i++)
		up += list[i].is_available;
	free(list);
	tell(mesh, TALON_FACT_RELAYS_KNOWN, count);
	tell(mesh, TALON_FACT_RELAYS_UP, up);
	relay_manager_get_stats(mesh->relay, &s);
	tell(mesh, TALON_FACT_RELAY_CONNECTS, s.connects);
	tell(mesh, TALON_FACT_RELAY_RX_PACKETS, s.rx_packets);
	tell(mesh, TALON_FACT_RELAY_RX_BYTES, s.rx_bytes);
	tell(mesh, TALON_FACT_RELAY_TX_PACKETS, s.tx_packets);
	tell(mesh, TALON_FACT_RELAY_TX_BYTES, s.tx_bytes);
	tell(mesh, TALON_FACT_RELAY_TX_DROPPED, s.tx_dropped);
	tell(mesh, TALON_FACT_RELAY_RX_UNKNOWN, s.rx_unknown);
	tell(mesh, TALON_FACT_RELAY_MALFORMED, s.malformed);
}

static void tell_stun(struct mesh *mesh)
{
	struct ice_stun_status list[SERVERS_MAX];
	size_t count = ice_mux_list_stuns(mesh->ice, list, SERVERS_MAX), up = 0;
	struct ice_stats s;

	for (size_t i = 0; i < count && i < SERVERS_MAX; i++)
		up += list[i].is_available;
	tell(mesh, TALON_FACT_STUNS_KNOWN, count);
	tell(mesh, TALON_FACT_STUNS_UP, up);
	ice_mux_get_stats(mesh->ice, &s);
	tell(mesh, TALON_FACT_STUN_RECEIVED, s.received);
	tell(mesh, TALON_FACT_STUN_SENT, s.sent);
	tell(mesh, TALON_FACT_STUN_MALFORMED, s.malformed);
	tell(mesh, TALON_FACT_STUN_UNKNOWN_USER, s.unknown_user);
	tell(mesh, TALON_FACT_STUN_BAD_INTEGRITY, s.bad_integrity);
	tell(mesh, TALON_FACT_STUN_UNMATCHED, s.unmatched);
	tell(mesh, TALON_FACT_STUN_INSIDE, s.inside);
}

static void tell_latency(void *ctx, uint32_t id, uint64_t latency_ns)
{
	struct mesh *mesh = ctx;
	uint64_t units = latency_ns / LATENCY_NS;

	if (latency_ns && !units)
		units = 1;	/* known, and short */
	plane_set_latency(mesh->plane, id, units < UINT16_MAX ? units : UINT16_MAX);
}

static void tell_peers(struct mesh *mesh)
{
	struct peers_tally tally;

	peers_tally(mesh->peers, &tally);
	tell(mesh, TALON_FACT_PEERS_DIRECT, tally.direct);
	tell(mesh, TALON_FACT_PEERS_RELAYED, tally.relayed);
	tell(mesh, TALON_FACT_PEERS_CONNECTING, tally.connecting);
	tell(mesh, TALON_FACT_PEERS_IDLE, tally.idle);
	peers_each_latency(mesh->peers, tell_latency, mesh);
}

void mesh_tell_facts(struct mesh *mesh)
{
	tell_dns(mesh);
	tell_signal(mesh);
	tell_relay(mesh);
	tell_stun(mesh);
	tell_peers(mesh);
	tell(mesh, TALON_FACT_LOG_DROPPED, log_get_dropped());
	tell(mesh, TALON_FACT_MANAGEMENT_UP, mesh->management_link.is_connected);
	tell(mesh, TALON_FACT_MANAGEMENT_CONNECTS, mesh->management_link.connects);
	tell(mesh, TALON_FACT_SIGNAL_UP, mesh->signal_link.is_connected);
	tell(mesh, TALON_FACT_SIGNAL_CONNECTS, mesh->signal_link.connects);
	tell(mesh, TALON_FACT_NEEDS_LOGIN, management_needs_login(mesh->state));
	tell(mesh, TALON_FACT_LOGIN_EXPIRES_S, mesh->expiry.at_ns / LOOP_SECOND);
	tell(mesh, TALON_FACT_MAPS_RECEIVED, mesh->maps_received);
	tell(mesh, TALON_FACT_MAP_SERIAL, mesh->now.update.map.serial);
	tell(mesh, TALON_FACT_MAP_HELD_BACK, mesh->guard.is_holding);
}

/* Of this process, as NetBird's client counts them. */
void mesh_fill_counters(struct mesh *mesh, struct snapshot *s)
{
	static const struct { const char *group, *label; enum talon_fact fact; } list[] = {
#define ROW(id, group, label, kind, help) { #group, #label, TALON_FACT_##id },
		TALON_FACTS_SHOWN(ROW)
#undef ROW
	};
	const size_t count = sizeof(list) / sizeof(list[0]);

	mesh_tell_facts(mesh);
	s->counters = calloc(count, sizeof(*s->counters));
	for (size_t i = 0; s->counters && i < count; i++) {
		s->counters[i] = (struct snapshot_counter){
			strdup(list[i].group), strdup(list[i].label), mesh->facts[list[i].fact],
		};
		s->counter_count++;
	}
}
