// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Writes this process's counters to map handshake_stats, continuing from where the previous process
// stopped.
#include "plane/internal.h"
#include "log/log.h"

void counts_start(struct plane *p)
{
	for (uint32_t i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		map_read(p, DATAPATH_MAP_HANDSHAKE_STATS, i, &p->counts_base[i]);
		p->counts[i] = p->counts_base[i];
	}
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
