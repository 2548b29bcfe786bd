/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Explicit congestion notification across a tunnel: RFC 6040, normal mode. */
#ifndef TALON_ECN_H
#define TALON_ECN_H

#include "talon/types.h"

#define ECN_MASK	3
#define ECN_NOT_ECT	0
#define ECN_ECT_1	1
#define ECN_ECT_0	2
#define ECN_CE		3

/*
 * Traffic class of the outer header for an inner one (RFC 6040 section 4.1): ECN copied, DSCP not, as it
 * could leak what is inside.
 */
static inline __u8 ecn_encapsulate(__u8 inner_tos)
{
	return inner_tos & ECN_MASK;
}

/* ECN field to leave with, or -1 where the packet must be dropped (RFC 6040 section 4.2, figure 4). */
static inline int ecn_decapsulate(__u8 outer_tos, __u8 inner_tos)
{
	__u8 outer = outer_tos & ECN_MASK, inner = inner_tos & ECN_MASK;

	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	if (outer == ECN_ECT_1 && inner == ECN_ECT_0)
		return ECN_ECT_1;
	return inner;
}

#endif
