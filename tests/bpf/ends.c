// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which program has a case for each end: see ends.h.
#include <errno.h>
#include <string.h>

#include "bpf/ends.h"
#include "bpf/rig.h"

const struct ends_row ends_rows[TALON_END_COUNT] = {
	[TALON_FORWARDED] = { "test_forward" },
	[TALON_LOCAL] = { "test_forward" },
	[TALON_ONWARD] = { "test_whose", .not_in_tc = true },
	[TALON_KEEPALIVE] = { "test_session" },
	[TALON_TO_CONTROLLER] = { "test_uplink" },
	[TALON_HELD] = { "test_forward" },
	[TALON_ARP_ANSWERED] = { "test_arp" },
	[TALON_ICMP_SENT] = { "test_icmp" },
	[TALON_SEGMENTED] = { "test_frame", .not_in_xdp = true },
	[TALON_RESEALED] = { "test_forward" },
	[TALON_TOO_SHORT] = { "test_uplink" },
	[TALON_UNKNOWN_TYPE] = { "test_uplink" },
	[TALON_NO_SESSION] = { "test_session" },
	[TALON_KEY_EXPIRED] = { "test_session" },
	[TALON_REPLAYED] = { "test_session" },
	[TALON_BAD_TAG] = { "test_session" },
	[TALON_CONGESTED] = { "test_rewrite" },
	[TALON_BAD_INNER] = { "test_forward" },
	[TALON_INNER_CHECKSUM] = { "test_forward" },
	[TALON_SOURCE_ROUTED] = { "test_endpoint" },
	[TALON_INNER_IPV6] = { "test_forward" },
	[TALON_MARTIAN] = { "test_endpoint" },
	[TALON_NOT_ALLOWED] = { "test_forward" },
	[TALON_ACL_DENIED] = { "test_acl" },
	[TALON_NO_ROUTE] = { "test_forward" },
	[TALON_BAD_DESTINATION] = { "test_whose" },
	[TALON_NAT_PORTS] = { "test_nat_port" },
	[TALON_NAT_TABLE] = { "test_flow_life" },
	[TALON_NAT_SHARED_OUT] = { "test_flow_life" },
	[TALON_NAT_RACE] = { "test_flow_life" },
	[TALON_NAT_PROTO] = { "test_forward" },
	[TALON_NAT_NO_FLOW] = { "test_forward" },
	[TALON_TTL_EXPIRED] = { "test_icmp" },
	[TALON_TOO_BIG] = { "test_forward" },
	[TALON_NO_FIB] = { "test_seal" },
	[TALON_BLACKHOLE] = { "test_whose" },
	[TALON_UNREACHABLE] = { "test_whose" },
	[TALON_FWD_DISABLED] = { "test_whose" },
	[TALON_NO_WAY_BACK] = { "test_whose" },
	[TALON_NO_NEIGH] = { "test_forward" },
	[TALON_NO_PEER] = { "test_forward" },
	[TALON_NO_ENDPOINT] = { "test_seal" },
	[TALON_ENDPOINT_LOOP] = { "test_endpoint" },
	[TALON_NO_KEY] = { "test_seal" },
	[TALON_NO_ROOM] = { "test_frame", .not_in_tc = true },
	[TALON_LOCAL_SOURCE] = { "test_forward" },
	[TALON_RATE_LIMITED] = { "test_icmp" },
	[TALON_QUIET] = { "test_uplink" },
	[TALON_PREEMPTED] = { "test_preempted" },
	[TALON_INTERNAL] = { "test_session" },
};

void ends_were_reached(void **state)
{
	for (int end = 0; end < TALON_END_COUNT; end++) {
		const struct ends_row *row = &ends_rows[end];

		if (!row->program || strcmp(row->program, program_invocation_short_name) ||
		    (rig_hook == RIG_XDP ? row->not_in_xdp : row->not_in_tc))
			continue;
		if (!rig_was_reached(end))
			fail_msg("no case ended with %s", rig_end_name(end));
	}
}
