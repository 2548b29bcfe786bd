// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map "facts": what of it counts goes on over restarts, what does not is as the present process sees it.
#include <bpf/bpf.h>

#include "facts/facts.h"

static const enum talon_fact_kind kinds[] = {
#define KIND(id, group, label, kind, help) TALON_FACT_##kind,
	TALON_FACTS(KIND)
#undef KIND
};

void facts_start(struct facts *facts, int map_fd)
{
	for (uint32_t i = 0; i < TALON_FACTS_ENTRIES; i++) {
		if (bpf_map_lookup_elem(map_fd, &i, &facts->told[i]))
			facts->told[i] = 0;
		if (kinds[i] == TALON_FACT_COUNTER)
			facts->base[i] = facts->told[i];
	}
}

void facts_set(struct facts *facts, enum talon_fact fact, uint64_t value)
{
	facts->now[fact] = value;
}

void facts_add(struct facts *facts, enum talon_fact fact, uint64_t n)
{
	facts->now[fact] += n;
}

void facts_write(struct facts *facts, int map_fd)
{
	for (uint32_t i = 0; i < TALON_FACTS_ENTRIES; i++) {
		uint64_t value = facts->base[i] + facts->now[i];

		if (value != facts->told[i] && !bpf_map_update_elem(map_fd, &i, &value, BPF_ANY))
			facts->told[i] = value;
	}
}
