/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A node in a test process: the datapath loaded (not attached), its maps filled, real routes and neighbours
 * in a private network namespace, and one frame at a time through BPF_PROG_TEST_RUN.
 *
 *  peer 0  100.64.0.2  203.0.113.5:40000 -----.
 *  peer 1  100.64.0.3  198.51.100.7:51820 ----+-- 192.168.1.1 --.
 *  peer 2  100.64.0.4  [2001:db8:9::5]:40001 -'   2001:db8::1   |
 *                      gateway 192.168.1.220 -------------------+-- eth0  192.168.1.221, 2001:db8::221
 *                      narrow 10.9.0.2 ---------------------------- eth1  10.9.0.1, MTU 1000
 *                      wt0p --------------------------------------- wt0   100.64.0.1
 *                      wt0rp, of the relay ------------------------ wt0r
 *
 * In IPv6 (rig_six()) the mesh is fd00:64::/64, with the same last numbers.
 */
#ifndef TALON_TESTS_RIG_H
#define TALON_TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/pkt.h"
#include "talon/config_types.h"
#include "talon/drop.h"
#include "talon/event_types.h"
#include "talon/nat_gc.h"
#include "talon/nat_types.h"
#include "talon/peer_types.h"
#include "talon/session_types.h"
#include "talon/traffic_types.h"

#define RIG_PEERS	3
#define RIG_PORT	51820
#define RIG_MTU		1280
#define RIG_SLOTS	64
#define RIG_EVENTS	16
#define RIG_PORT_FIRST	12288
#define RIG_PORT_LAST	19999

#define NODE		"192.168.1.221"
#define GATEWAY		"192.168.1.220"
#define NOBODY		"192.168.1.77"		/* on the LAN, with no neighbour entry */
#define NARROW		"10.9.0.2"		/* reached by the device with MTU 1000 */
#define PLAIN		"10.8.0.5"		/* behind the gateway, in a route without masquerade */
#define VIP		"10.7.0.7"		/* in a route served by this host */
#define UNREACHABLE	"10.66.0.1"		/* in a route that the host cannot reach */
#define SPARE		"192.168.1.250"		/* the spare SNAT address, where it is used */
#define MESH		"100.64.0.1"
#define CLIENT		"100.64.0.2"		/* of peer 0 */
#define CLIENT1		"100.64.0.3"
#define CLIENT2		"100.64.0.4"

#define NODE6		"2001:db8::221"
#define GATEWAY6	"2001:db8::220"
#define NOBODY6		"2001:db8::77"
#define NARROW6		"2001:db8:19::2"		/* behind the gateway, by a route with MTU 1400 */
#define PLAIN6		"2001:db8:8::5"
#define VIP6		"2001:db8:7::7"
#define UNREACHABLE6	"2001:db8:66::1"
#define SECOND6		"2001:db8:a::1"		/* another address of this host's, on eth2 */
#define MESH6		"fd00:64::1"
#define CLIENT6		"fd00:64::2"
#define CLIENT6_1	"fd00:64::3"
#define CLIENT6_2	"fd00:64::4"

enum rig_hook { RIG_XDP, RIG_TC, RIG_TUNNEL };

enum rig_verdict { RIG_PASS, RIG_DROP, RIG_SEND };

struct rig_event {
	struct talon_event head;
	uint8_t data[TALON_EVENT_DATA_MAX];
};

struct rig_result {
	enum rig_verdict verdict;
	uint32_t retval;		/* as the program returned it */
	uint32_t ifindex;		/* where it is sent */
	struct packet frame;
	uint32_t meta;			/* XDP: bytes of metadata left */
	uint32_t counts[TALON_STATS_ENTRIES];
	/* tc: it went through the tunnel's program, too; counts are of both */
	bool through_tunnel;
	uint32_t flow;			/* record that was used, 0: none */
	uint32_t event_count;
	struct rig_event events[RIG_EVENTS];
};

struct rig_peer {
	uint32_t mesh;
	bool six;
	uint32_t addr;
	uint8_t addr6[16];
	uint16_t port;
	uint32_t slot;
	uint32_t index;			/* our receiver index */
	uint32_t remote_index;
	uint8_t recv_key[32];
	uint8_t send_key[32];
	uint64_t counter;		/* next that the peer sends with */
};

struct rig {
	enum rig_hook hook;
	struct bpf_object *obj;
	struct bpf_object *tunnel;	/* tc: the second half */
	struct bpf_object *natgc;
	struct ring_buffer *ring;
	struct bpf_link *link;
	struct talon_config config;
	struct rig_peer peers[RIG_PEERS];
	uint32_t eth0, eth1, wt0, wt0p, wt0r;
	uint32_t in;			/* ingress device, except for the tunnel's program; 0: eth0 */
	bool is_out_of_tunnel;		/* do not run the tunnel's program */
	bool is_deaf;			/* events stay in the rings */
	uint32_t gso_segs, gso_size;	/* tc */
	uint8_t outer_tos;		/* of what rig_sealed() makes */
	uint32_t meta;			/* XDP: bytes of metadata in front of the frame */
	struct rig_result *now;
};

extern const uint8_t rig_mac[6];		/* of eth0 */
extern const uint8_t rig_gateway_mac[6];
extern const uint8_t rig_router_mac[6];
extern const uint8_t rig_mac1[6];		/* of eth1 */
extern const uint8_t rig_narrow_mac[6];
extern const uint8_t rig_node6[16];
extern const uint8_t rig_wt0_mac[6], rig_wt0p_mac[6];
extern const uint8_t rig_wt0r_mac[6], rig_wt0rp_mac[6];

/* cmocka fixtures; *state is a struct rig. The hook is chosen by rig_hook before. */
extern enum rig_hook rig_hook;
extern bool rig_with_tunnel;		/* load the tunnel's program in XDP, too: rig_from_host() */
int rig_setup(void **state);
int rig_teardown(void **state);
int rig_group_setup(void **state);	/* a namespace; once for each group */

#define RIG_CASE(name)	cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
/*
 * Runs the array @tests in XDP and again in tc, as the groups "@name in XDP" and "@name in tc". After each
 * group, a case checks that every packet end that ends.h lists for this program was reached. Returns main()'s
 * exit status.
 */
#define rig_main(name, tests) rig_main_of(name, tests, sizeof(tests) / sizeof((tests)[0]))
int rig_main_of(const char *name, const struct CMUnitTest *tests, size_t count);

int rig_fd(struct rig *rig, const char *map);
void rig_put(struct rig *rig, const char *map, const void *key, const void *value);
void rig_config(struct rig *rig);		/* writes rig->config */
void rig_bump(struct rig *rig);			/* next generation */
void rig_route(struct rig *rig, const char *prefix, uint32_t len, uint32_t flags);
void rig_allow(struct rig *rig, const char *prefix, uint32_t len, uint32_t peer);
void rig_found(struct rig *rig, const char *addr);	/* a service's, served here */
void rig_local(struct rig *rig, const char *prefix, uint32_t len);			/* into Local */
/* Into the host's routes; @source may be NULL. */
void rig_host_route(struct rig *rig, const char *prefix, uint32_t len, enum talon_host_kind kind,
	const char *source);
void rig_link(struct rig *rig, uint32_t ifindex, const uint8_t mac[6], uint16_t mtu, uint32_t flags);
/* writes its session anew: current, age 0, counters 0 */
void rig_session(struct rig *rig, uint32_t peer);
void rig_session_age(struct rig *rig, uint32_t peer, uint64_t age_ns);
/* The tunnel carries IPv6; whatever the tests do not say otherwise is there, as for IPv4. */
void rig_six(struct rig *rig);
void rig_route6(struct rig *rig, const char *prefix, uint32_t len, uint32_t flags);
void rig_allow6(struct rig *rig, const char *prefix, uint32_t len, uint32_t peer);
void rig_local6(struct rig *rig, const char *prefix, uint32_t len);
void rig_host_route6(struct rig *rig, const char *prefix, uint32_t len, enum talon_host_kind kind,
	const char *source, uint16_t mtu);
struct talon_flow6 rig_flow6(struct rig *rig, uint32_t id);
bool rig_has_flow6(struct rig *rig, uint32_t id);
void rig_spare(struct rig *rig);			/* SNAT to the spare address */
/* "icmp", "event": no token left for the next packet */
void rig_drain(struct rig *rig, const char *bucket);
void rig_refill(struct rig *rig);			/* all of them */
void rig_ip(const char *command);			/* as for ip(8), in our namespace */

struct rig_result rig_run(struct rig *rig, const struct packet *frame);
/* Ethernet and outer headers around a data message of the peer, to the node's port. */
struct packet rig_outer(struct rig *rig, uint32_t peer, uint8_t tos, const struct packet *message);
/* takes the peer's next counter */
struct packet rig_sealed(struct rig *rig, uint32_t peer, const struct packet *inner);
struct rig_result rig_from_peer(struct rig *rig, uint32_t peer, const struct packet *inner);
/* sent by the gateway's MAC */
struct rig_result rig_from_wire(struct rig *rig, const struct packet *packet);
/* by the tunnel's program */
struct rig_result rig_from_host(struct rig *rig, const struct packet *packet);

uint64_t rig_digest(struct rig *rig);		/* of all maps but stats and nat_stats */
struct talon_flow rig_flow(struct rig *rig, uint32_t id);
/* Garbage collection of all records, as at CLOCK_BOOTTIME second @now_s. */
struct talon_nat_gc rig_collect(struct rig *rig, uint32_t now_s);
void rig_flow_write(struct rig *rig, uint32_t id, const struct talon_flow *flow);
uint64_t rig_now_ns(void);			/* CLOCK_BOOTTIME */

/*
 * Assertions. rig_ends: the packet had this end and was counted exactly once. In tc, packets to seal go
 * through the tunnel's program, which counts as well: the uplink counts where it sent them, the tunnel how
 * they ended.
 */
#define rig_ends(rig, r, dir, end)	rig_ends_at(rig, r, dir, end, __FILE__, __LINE__)
#define rig_uncounted(r)		rig_uncounted_at(r, __FILE__, __LINE__)
void rig_ends_at(struct rig *rig, const struct rig_result *r, enum talon_dir dir, enum talon_end end,
	const char *file, int line);
void rig_uncounted_at(const struct rig_result *r, const char *file, int line);
const char *rig_end_name(enum talon_end end);
bool rig_was_reached(enum talon_end end);	/* by any case of this process in the present rig_hook */

/*
 * The packet as it left towards the cluster, without Ethernet header. MACs and ifindex must be those of the
 * next hop, all checksums right.
 */
struct packet rig_plain(struct rig *rig, const struct rig_result *r);
/*
 * The inner packet without padding of what left towards @peer, opened with the session's sending key. Outer
 * headers must be right.
 */
struct packet rig_opened(struct rig *rig, const struct rig_result *r, uint32_t peer);
/* Fails with a readable difference unless both have the same bytes. */
#define pkt_equal(a, b)	pkt_equal_at(a, b, __FILE__, __LINE__)
void pkt_equal_at(const struct packet *got, const struct packet *want, const char *file, int line);
/* must be the only one */
const struct rig_event *rig_event(const struct rig_result *r, enum talon_event_type type);

#endif
