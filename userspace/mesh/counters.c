// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Collects what the mesh's parts count for the snapshot.
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "mesh/counters.h"
#include "mesh/internal.h"

struct mesh_counts {
	struct forwarder_stats dns;
	struct signal_stats signal;
	struct relay_stats relay;
	struct ice_stats stun;
	uint64_t log_dropped;
};

static void gather(const struct mesh *mesh, struct mesh_counts *counts)
{
	*counts = (struct mesh_counts){ .log_dropped = log_get_dropped() };
	forwarder_get_stats(mesh->forwarder, &counts->dns);
	if (mesh->signal)
		signal_get_stats(mesh->signal, &counts->signal);
	relay_manager_get_stats(mesh->relay, &counts->relay);
	ice_mux_get_stats(mesh->ice, &counts->stun);
}

void mesh_fill_counters(const struct mesh *mesh, struct snapshot *s)
{
	static const struct { const char *group, *label; size_t at; } list[] = {
#define ROW(group, label, member, help) { #group, #label, offsetof(struct mesh_counts, member) },
		MESH_COUNTERS(ROW)
#undef ROW
	};
	const size_t count = sizeof(list) / sizeof(list[0]);
	struct mesh_counts counts;

	_Static_assert(sizeof(list) / sizeof(list[0]) == sizeof(counts) / sizeof(uint64_t),
		"what is counted is shown");
	gather(mesh, &counts);
	s->counters = calloc(count, sizeof(*s->counters));
	for (size_t i = 0; s->counters && i < count; i++) {
		s->counters[i] = (struct snapshot_counter){
			strdup(list[i].group), strdup(list[i].label),
			*(const uint64_t *)((const char *)&counts + list[i].at),
		};
		s->counter_count++;
	}
}
