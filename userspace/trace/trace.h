/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What would become of a packet? A synthetic one is driven through the datapath's own programs by
 * BPF_PROG_TEST_RUN, and their decisions are put into words.
 *
 * The programs are a second copy, which shares with the running one only the pinned maps that programs read:
 * routes, allowed IPs, access rules, addresses, devices. Everything that programs write (flows, ports,
 * sessions, windows, counters, rings) is a private map, with what matters for this packet copied from the
 * running one. So a trace changes nothing, sends nothing, and needs no controller.
 */
#ifndef TALON_TRACE_H
#define TALON_TRACE_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "talon/acl_types.h"
#include "talon/drop.h"
#include "talon/types.h"

#define TRACE_SIZE_MAX	1600		/* bytes of the IP packet */

/* An IPv4 address is in word[0]. */
struct trace_addr {
	uint16_t family;		/* AF_INET, AF_INET6 */
	struct talon_addr addr;
};

struct trace_request {
	const char *base;		/* where the datapath is pinned */
	struct trace_addr from, to;	/* both of the same family */
	uint16_t from_port, to_port;	/* host order; 0: not given. ICMP: from_port is the id */
	uint8_t proto;			/* IPPROTO_TCP, IPPROTO_UDP; IPPROTO_ICMP or in IPv6 IPPROTO_ICMPV6 */
	uint32_t size;			/* bytes of the IP packet; 0: the least that there can be */
	const char *peer;		/* who sends it: key, name or mesh address; NULL: by @from */
};

/* X(id, what people read, key in JSON) */
#define TRACE_STEPS(X) \
	X(SESSION,	"session",	"session") \
	X(ALLOWED,	"allowed IPs",	"allowedIPs") \
	X(FLOW,		"flow",		"flow") \
	X(ROUTE,	"route",	"route") \
	X(RULE,		"access rule",	"accessRule") \
	X(WHOSE,	"whose",	"whose") \
	X(NAT,		"NAT",		"nat") \
	X(MTU,		"MTU",		"mtu") \
	X(KEY,		"key",		"key") \
	X(ENDPOINT,	"endpoint",	"endpoint") \
	X(DEVICE,	"device",	"device") \
	X(NEXT_HOP,	"next hop",	"nextHop") \
	X(SEALED,	"sealed",	"sealed") \
	X(DELIVERY,	"delivery",	"delivery") \
	X(OTHER,	"packet",	"packet")

#define TRACE_STEP_ID(id, text, key) TRACE_##id,
enum trace_step_id { TRACE_STEPS(TRACE_STEP_ID) TRACE_STEP_COUNT };

#define TRACE_TEXT_LEN	320
#define TRACE_WHO_LEN	72

struct trace_step {
	enum trace_step_id id;
	bool decides;			/* it ended the packet's way */
	char text[TRACE_TEXT_LEN];
};

enum trace_origin { TRACE_FROM_PEER, TRACE_FROM_NETWORK, TRACE_FROM_HOST };

/* One packet's way through the programs. Text may hold what other hosts said of themselves. */
struct trace_way {
	enum trace_origin origin;
	uint16_t family;		/* of the packet: AF_INET, AF_INET6 */
	char packet[128];		/* "tcp 100.64.0.2:40000 -> 192.168.1.220:80, 40 bytes" */
	char entry[TRACE_TEXT_LEN];	/* how it came in */
	struct trace_step steps[TRACE_STEP_COUNT];
	unsigned step_count;
	/* TALON_END_COUNT: counted nowhere, it is the host's */
	enum talon_end end;
	/* what is behind icmp_sent and held; else as end */
	enum talon_end reason;
	enum trace_step_id decider;	/* that ended it; TRACE_STEP_COUNT: none did */
	bool passes;
	/* facts; empty or zero: not reached */
	char peer[48];			/* key of who sent it, or gets it sealed */
	char peer_name[TRACE_WHO_LEN];
	bool has_rule;
	uint32_t rule;			/* number of its bit */
	struct talon_acl_rule rule_named;
	bool has_nat, nat_existed;	/* of a flow that was there before */
	struct trace_addr nat_addr;
	uint16_t nat_port;
	uint32_t mtu;
	char device[IFNAMSIZ];
	char next_hop[INET6_ADDRSTRLEN];	/* address; empty: none */
	char next_mac[18];
	bool has_icmp;
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_mtu;
};

struct trace {
	char mode[16];			/* of the running datapath */
	bool controller_runs;
	struct trace_way there, back;
	bool has_back;
	char note[160];			/* what was chosen in place of what was not given; or empty */
};

/*
 * Returns 0; or a negative errno with one line in @why: -EINVAL for a request that cannot be traced, -ENOENT
 * where no datapath of this layout runs, or what the kernel said.
 */
int trace_run(const struct trace_request *request, struct trace *ret_trace, char *why, size_t size);

/* True if the packet arrives, and its answer too. */
bool trace_passes(const struct trace *trace);
void trace_print_text(FILE *out, const struct trace *trace);
/* One JSON object and a newline. */
void trace_print_json(FILE *out, const struct trace *trace);

/* What to do about it, in a sentence; NULL: nothing. */
const char *trace_hint(enum talon_end reason);

#endif
