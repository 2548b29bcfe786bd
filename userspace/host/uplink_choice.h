/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which devices an automatic uplink stands for. Only decides. */
#ifndef TALON_HOST_UPLINK_CHOICE_H
#define TALON_HOST_UPLINK_CHOICE_H

#include "net/net.h"
#include "talon/config_types.h"

struct uplink_choice {
	struct net_link links[TALON_UPLINKS_MAX];
	unsigned count;			/* 0: there is none to use */
	char why[120];			/* what is wrong with them, one line; empty: nothing */
};

/*
 * @route: devices of the default route. @now: those of the present uplinks that are still there. The route's
 * devices with an Ethernet header are chosen; where it has none, the present ones stay. A choice that differs
 * in order only is no other one.
 */
void uplink_choose(const struct net_link *route, unsigned route_count, const struct net_link *now,
	unsigned now_count, struct uplink_choice *ret_choice);

/*
 * Do sealed packets with @mtu bytes of L3 packet fit through @link? Returns 0, or -EMSGSIZE with one line in
 * @why.
 */
int uplink_check_mtu(const struct net_link *link, unsigned mtu, char *why, size_t size);

#endif
