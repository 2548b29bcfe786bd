// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a flow record means: the state of the connection, and how long it still lives.
#include <netinet/in.h>

#include "top/flows.h"

const char *const flows_states[] = { "new", "established", "closing", "reset", NULL };

enum flows_state flows_state_of(const struct talon_flow *flow)
{
	if (flow->proto != IPPROTO_TCP)
		return FLOWS_NO_STATE;
	if (flow->tcp & TALON_TCP_RST)
		return FLOWS_RESET;
	if (flow->tcp & (TALON_TCP_FIN_OUT | TALON_TCP_FIN_IN))
		return FLOWS_CLOSING;
	return flow->tcp & TALON_TCP_ESTABLISHED ? FLOWS_ESTABLISHED : FLOWS_NEW;
}

/* As the collector decides (bpf/lib/flow.h); a test compares the two. */
static __u32 timeout_s(const struct talon_flow *flow)
{
	const __u8 fins = TALON_TCP_FIN_OUT | TALON_TCP_FIN_IN;

	if (flows_is_icmp(flow))
		return TALON_NAT_ICMP_S;
	if (flow->proto == IPPROTO_UDP)
		return TALON_NAT_UDP_S;
	if (!(flow->tcp & TALON_TCP_ESTABLISHED) || (flow->tcp & TALON_TCP_RST) ||
		(flow->tcp & fins) == fins)
		return TALON_NAT_TCP_TRANSITORY_S;
	return TALON_NAT_TCP_ESTABLISHED_S;
}

static bool gives_way(const struct talon_flow *flow)
{
	if (!(flow->flags & TALON_FLOW_ANSWERED))
		return true;
	return flow->proto == IPPROTO_TCP && timeout_s(flow) == TALON_NAT_TCP_TRANSITORY_S;
}

/* Does its peer hold more records than are free? */
static bool is_in_the_way(const struct talon_flow *flow, const struct flows_room *room)
{
	__u64 unfree = room->held + 1, free_now = unfree < room->flow_count ? room->flow_count - unfree : 0;

	return flow->payer < room->peer_slots && room->peer_held[flow->payer] > free_now;
}

struct flows_facts flows_describe(const struct flows_seen *seen, const struct flows_room *room)
{
	const struct talon_flow *flow = &seen->flow;
	struct flows_facts facts = { .state = flows_state_of(flow) };
	__s32 idle_s = seen->now_s - flow->seen_s;
	__u32 limit_s = timeout_s(flow);

	/* a packet may have passed a second after the clock was read */
	facts.idle_s = idle_s > 0 ? idle_s : 0;
	facts.is_hasty = gives_way(flow) && is_in_the_way(flow, room);
	if (facts.is_hasty)
		limit_s = TALON_NAT_HASTY_S;
	facts.left_s = limit_s > facts.idle_s ? limit_s - facts.idle_s : 0;
	return facts;
}
