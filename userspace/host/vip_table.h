/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Map "vips": the cluster's virtual addresses. */
#ifndef TALON_HOST_VIP_TABLE_H
#define TALON_HOST_VIP_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "talon/types.h"
#include "talon/vip_types.h"

/* A virtual address. IPv4 is in the first word. */
struct vip {
	struct talon_addr addr;
	bool is_here;			/* this node holds it: handed up; else forwarded to its holder */
	const char *holder;		/* name of the node, for status; a long one is cut */
	const char *service;		/* NAMESPACE/NAME, the same */
};

struct vip_wish {
	const struct vip *list;		/* replaces what is known; NULL: that stays */
	size_t count;
	const struct talon_vip_source *source;	/* where it is known from; NULL: as before */
};

/*
 * Brings the maps up to @wish. What lies outside of served networks has no effect on packets. An address that
 * was here and is not any more is remembered as such (TALON_VIP_LEFT). *@sees_change becomes true if packets
 * go another way now. Returns 0, or a negative errno where some could not be written.
 */
int vip_table_set(const struct datapath *dp, const struct vip_wish *wish, bool *sees_change);

#endif
