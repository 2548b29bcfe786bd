/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Map "traffic" as the tests read it. */
#ifndef TESTS_TRAFFIC_H
#define TESTS_TRAFFIC_H

#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "talon/traffic_types.h"

/* Sums all CPUs, and all kinds that have the bits @kind of the bits @mask. */
static inline struct talon_traffic traffic_sum(int map_fd, uint32_t kind, uint32_t mask)
{
	struct talon_traffic values[64], sum = {};
	const int cpus = libbpf_num_possible_cpus();

	for (uint32_t i = 0; i < TALON_TRAFFIC_ENTRIES && cpus <= 64; i++) {
		if ((i & mask) != kind || bpf_map_lookup_elem(map_fd, &i, values))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++) {
			sum.packets += values[cpu].packets;
			sum.bytes += values[cpu].bytes;
		}
	}
	return sum;
}

#endif
