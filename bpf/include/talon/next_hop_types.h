/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Next hops in use, so that somebody has the kernel probe them; and addresses that no packet can come from.
 */
#ifndef TALON_NEXT_HOP_TYPES_H
#define TALON_NEXT_HOP_TYPES_H

#include "talon/types.h"

/*
 * Map "next_hops": LRU_HASH struct talon_next_hop -> __u64 CLOCK_BOOTTIME ns of the last decision for it.
 * Written by the datapath whenever it asks the FIB, which under an unchanged generation it does at most once
 * for each flow and endpoint: what is used is at most one generation old (60 s).
 */
struct talon_next_hop {
	__u32	ifindex;
	/* AF_INET, AF_INET6: of addr, also where the route is of the other family */
	__u32	family;
	struct talon_addr addr;
};
TALON_ASSERT_SIZE(struct talon_next_hop, 24);

#endif
