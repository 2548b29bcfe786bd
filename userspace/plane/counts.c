// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What this process counted and found, in the maps; counters go on from where the previous one stopped.
#include <stdio.h>

#include "plane/internal.h"
#include "log/log.h"

void counts_start(struct plane *p)
{
	facts_start(&p->facts, datapath_map_fd(p->dp, DATAPATH_MAP_FACTS));
	for (uint32_t i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		map_read(p, DATAPATH_MAP_HANDSHAKE_STATS, i, &p->counts_base[i]);
		p->counts[i] = p->counts_base[i];
	}
}

void plane_set_served(struct plane *p, const char *where)
{
	snprintf(p->info.metrics, sizeof(p->info.metrics), "%s", where);
}

void plane_set_fact(struct plane *p, enum talon_fact fact, uint64_t value)
{
	facts_set(&p->facts, fact, value);
}

static uint32_t count_peers(const struct plane *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->peers_max; i++)
		n += p->infos[i].present;
	return n;
}

static void gather_facts(struct plane *p)
{
	struct device_stats s;

	device_get_stats(p->device, &s);
	plane_set_fact(p, TALON_FACT_IS_MESH, plane_is_pinned(p));
	plane_set_fact(p, TALON_FACT_LOG_DROPPED, log_get_dropped());
	plane_set_fact(p, TALON_FACT_HELD_PACKETS, p->hold.count);
	plane_set_fact(p, TALON_FACT_PORTS_HOST_TCP, nat_ports_count(&p->ports, 0));
	plane_set_fact(p, TALON_FACT_PORTS_HOST_UDP, nat_ports_count(&p->ports, 1));
	plane_set_fact(p, TALON_FACT_USED_PEERS, count_peers(p));
	plane_set_fact(p, TALON_FACT_USED_SESSIONS, s.slots_reserved + s.slots_live + s.slots_retired);
	plane_set_fact(p, TALON_FACT_USED_ALLOWED4, p->allowed.count);
	plane_set_fact(p, TALON_FACT_USED_ROUTES4, p->routes.count);
	plane_set_fact(p, TALON_FACT_USED_LOCAL4, p->locals.count);
	plane_set_fact(p, TALON_FACT_USED_HOST4, p->ways.hosts.table.count);
	plane_set_fact(p, TALON_FACT_USED_ALLOWED6, p->allowed6.count);
	plane_set_fact(p, TALON_FACT_USED_ROUTES6, p->routes6.count);
	plane_set_fact(p, TALON_FACT_USED_LOCAL6, p->locals6.count);
	plane_set_fact(p, TALON_FACT_USED_HOST6, p->ways.hosts6.table.count);
	plane_set_fact(p, TALON_FACT_USED_LINKS, p->ways.links.count);
}

void counts_write_facts(struct plane *p)
{
	gather_facts(p);
	if (p->plane_events.count)
		p->plane_events.count(p->plane_ctx);
	facts_write(&p->facts, datapath_map_fd(p->dp, DATAPATH_MAP_FACTS));
}

static void gather(const struct plane *p, uint64_t values[static HANDSHAKE_STATS_ENTRIES])
{
	uint64_t *counts = values + HANDSHAKE_END_COUNT;
	struct device_stats s;

	device_get_stats(p->device, &s);
	for (unsigned i = 0; i < HANDSHAKE_END_COUNT; i++)
		values[i] = s.ends[i];
	counts[HANDSHAKE_COUNT_INITIATIONS_SENT] = s.initiations_sent;
	counts[HANDSHAKE_COUNT_RESPONSES_SENT] = s.responses_sent;
	counts[HANDSHAKE_COUNT_COOKIES_SENT] = s.cookies_sent;
	counts[HANDSHAKE_COUNT_GAVE_UP] = s.gave_up;
	counts[HANDSHAKE_COUNT_SEND_ERRORS] = s.send_errors;
	counts[HANDSHAKE_COUNT_MAP_ERRORS] = s.map_errors;
	counts[HANDSHAKE_COUNT_FUTURE_TIMESTAMPS] = s.future_timestamps;
	counts[HANDSHAKE_COUNT_CLOCK_JUMPS] = s.clock_jumps;
	counts[HANDSHAKE_COUNT_SLOW_DATA] = p->slow_data;
	counts[HANDSHAKE_COUNT_SLOW_DROPPED] = p->slow_dropped + p->pair.lost;
	counts[HANDSHAKE_COUNT_JUNK] = p->junk;
	counts[HANDSHAKE_COUNT_HELD_DROPPED] = p->hold.dropped;
}

static void warn_once(bool *warned, uint64_t count, const char *text)
{
	if (!count || *warned)
		return;
	*warned = true;
	log_warn("%s", text);
}

void counts_write(struct plane *p)
{
	uint64_t values[HANDSHAKE_STATS_ENTRIES];

	gather(p, values);
	warn_once(&p->future_warned, values[HANDSHAKE_END_COUNT + HANDSHAKE_COUNT_FUTURE_TIMESTAMPS],
		  "a peer's clock is far ahead of ours: should it be set back, its handshakes are refused "
		  "until it has caught up");
	warn_once(&p->jump_warned, values[HANDSHAKE_END_COUNT + HANDSHAKE_COUNT_CLOCK_JUMPS],
		  "this host's clock leapt forward: peers refuse our handshakes if it is set back");
	for (uint32_t i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		values[i] += p->counts_base[i];
		if (values[i] == p->counts[i])
			continue;
		if (!map_write(p, DATAPATH_MAP_HANDSHAKE_STATS, i, &values[i], BPF_ANY))
			p->counts[i] = values[i];
	}
}
