// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Outer addresses and inner headers: where an endpoint may be, which packet size its path takes, what is
// refused.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_ether.h>
#include <sodium.h>

#include "bpf/rig.h"
#include "talon/next_hop_types.h"

#define OTHER_NODE	"192.168.1.223"		/* an address that the host gets later */

static const uint8_t six_client[16] = { 0xfd, 0x10, [15] = 2 }, six_server[16] = { 0x20, 1, 0x0d, 0xb8, 0xaa,
	[15] = 0x50 };

static struct talon_endpoint read_endpoint(struct rig *rig, uint32_t peer)
{
	struct talon_endpoint e;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "endpoints"), &peer, &e), 0);
	return e;
}

static struct packet to_client(uint32_t payload, uint16_t frag)
{
	return PKT(.src = ip4(MESH), .dst = ip4(CLIENT), .proto = 17, .sport = 1, .dport = 2,
		.payload = payload, .frag = frag);
}

/* ---- our own side of the endpoint ---- */

static void an_address_that_is_no_longer_ours_is_replaced_when_the_way_is_looked_at(void **state)
{
	struct packet packet = to_client(100, 0), got;
	struct rig *rig = *state;
	struct rig_result r = rig_from_host(rig, &packet);

	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	rig_opened(rig, &r, 0);				/* from the first address */
	rig->config.node_addr = ip4(OTHER_NODE);	/* and now it has another one */
	rig_bump(rig);
	for (int i = 0; i < 2; i++) {			/* by the new way, and by the one that is kept */
		r = rig_from_host(rig, &packet);
		rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
		got = rig_opened(rig, &r, 0);		/* which compares the source with node_addr */
		pkt_equal(&got, &packet);
		assert_int_equal(read_endpoint(rig, 0).local.word[0], ip4(OTHER_NODE));
	}
}

static void another_address_of_the_host_stays_the_source(void **state)
{
	struct packet packet = to_client(100, 0);
	uint32_t zero = 0, vip = ip4("192.168.1.230");
	struct talon_addr addr = { .word = { vip } };
	struct rig *rig = *state;
	struct talon_endpoint e = read_endpoint(rig, 0);
	struct rig_result r;
	uint8_t one = 1;

	e.local = addr;
	rig_put(rig, "local_addrs", &addr, &one);
	rig_put(rig, "endpoints", &zero, &e);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	assert_memory_equal(r.frame.bytes + 26, &vip, 4);
	assert_int_equal(bpf_map_delete_elem(rig_fd(rig, "local_addrs"), &addr), 0);
	rig_bump(rig);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
}

/*
 * The program cannot choose a source address; the controller does. Until then nothing leaves with a foreign
 * address.
 */
static void without_an_ipv6_address_of_ours_nothing_is_sent(void **state)
{
	struct packet packet = PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 17, .payload = 9);
	struct talon_addr addr;
	struct rig *rig = *state;
	struct rig_result r = rig_from_host(rig, &packet);

	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	memcpy(&addr, rig_node6, 16);
	assert_int_equal(bpf_map_delete_elem(rig_fd(rig, "local_addrs"), &addr), 0);
	rig_bump(rig);
	r = rig_from_host(rig, &packet);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_ENDPOINT);
}

/* ---- the way to it ---- */

static void a_way_that_leads_into_the_tunnel_is_refused(void **state)
{
	struct packet packet = to_client(100, 0);
	struct rig *rig = *state;
	struct rig_result r;

	rig_ip("route add 203.0.113.5/32 dev wt0");
	rig_bump(rig);
	for (int known = 0; known < 2; known++) {	/* whether the kernel has a neighbour there or not */
		if (known)
			rig_ip("neigh add 203.0.113.5 lladdr 02:00:00:00:77:02 dev wt0 nud permanent");
		r = rig_from_host(rig, &packet);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ENDPOINT_LOOP);
		assert_int_equal(r.event_count, 0);
	}
	rig_ip("route del 203.0.113.5/32 dev wt0");
	rig_ip("neigh del 203.0.113.5 dev wt0");
	rig_bump(rig);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
}

static void what_our_own_port_sends_is_not_carried_through_the_tunnel(void **state)
{
	struct packet handshake = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 17, .sport = RIG_PORT,
		.dport = 40000, .payload = 148);
	struct packet pods = PKT(.src = ip4("10.42.0.5"), .dst = ip4(CLIENT), .proto = 17, .sport = RIG_PORT,
		.dport = 40000, .payload = 148);
	struct rig *rig = *state;
	struct rig_result r = rig_from_host(rig, &handshake);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ENDPOINT_LOOP);
	r = rig_from_host(rig, &pods);		/* the port of another machine */
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
}

static void next_hops_that_are_used_are_known(void **state)
{
	struct talon_next_hop router = { .ifindex = 0, .family = AF_INET,
		.addr = { .word = { ip4("192.168.1.1") } } };
	struct talon_next_hop six = { .family = AF_INET6 };
	struct packet packet = to_client(9, 0);
	struct rig *rig = *state;
	uint64_t used;

	router.ifindex = six.ifindex = rig->eth0;
	memcpy(&six.addr, (uint8_t[16]){ 0x20, 1, 0x0d, 0xb8, [15] = 1 }, 16);
	assert_int_not_equal(bpf_map_lookup_elem(rig_fd(rig, "next_hops"), &router, &used), 0);
	rig_from_host(rig, &packet);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "next_hops"), &router, &used), 0);
	assert_in_range(used, rig_now_ns() - 1000000000, rig_now_ns());
	used = 5;
	rig_put(rig, "next_hops", &router, &used);
	rig_bump(rig);
	rig_from_host(rig, &packet);		/* decided anew */
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "next_hops"), &router, &used), 0);
	assert_in_range(used, rig_now_ns() - 1000000000, rig_now_ns());
	packet = PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 17);
	rig_from_host(rig, &packet);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "next_hops"), &six, &used), 0);
}

/* ---- how much fits through it ---- */

static void narrow(struct rig *rig, uint32_t mtu)
{
	char command[100];

	snprintf(command, sizeof(command), "route replace 203.0.113.5/32 via 192.168.1.1 mtu lock %u", mtu);
	rig_ip(command);
	rig_bump(rig);
}

static void widen(struct rig *rig)
{
	rig_ip("route del 203.0.113.5/32");
	rig_bump(rig);
}

/* ICMP "fragmentation needed" about @about, as the stack on wt0 or a host on the wire gets it. */
static void judge_error(const struct rig_result *r, uint32_t off, const struct packet *about, uint32_t src,
	uint32_t mtu)
{
	const uint8_t *ip = r->frame.bytes + off;

	assert_null(pkt_check(ip, r->frame.len - off));
	assert_memory_equal(ip + 12, &src, 4);
	assert_memory_equal(ip + 16, about->bytes + 12, 4);
	assert_memory_equal(ip + 20, "\x03\x04", 2);
	assert_int_equal(ip[26] << 8 | ip[27], mtu);
	assert_memory_equal(ip + 28, about->bytes, 28);
}

static void what_is_too_large_for_the_path_is_answered_to_the_host(void **state)
{
	struct packet small = to_client(9, 0), fits = to_client(1100 - 28, PKT_DF),
		large = to_client(1101 - 28, PKT_DF), got;
	struct rig *rig = *state;
	struct rig_result r;

	narrow(rig, 1160);
	rig_from_host(rig, &small);		/* the way is looked at */
	assert_int_equal(read_endpoint(rig, 0).mtu, 1100);
	r = rig_from_host(rig, &fits);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	/* padding does not push the message over the path MTU */
	assert_int_equal(r.frame.len, 14 + 1160);
	r = rig_from_host(rig, &large);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	assert_int_equal(r.verdict, RIG_SEND);
	/* back out of the pair's far end: the host hears it on wt0 */
	assert_int_equal(r.ifindex, rig->wt0p);
	assert_memory_equal(r.frame.bytes, rig_wt0_mac, 6);
	judge_error(&r, 14, &large, ip4(CLIENT), 1100);
	widen(rig);
	rig_from_host(rig, &small);
	assert_int_equal(read_endpoint(rig, 0).mtu, 1440);
	r = rig_from_host(rig, &large);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	pkt_equal(&got, &large);
}

/* The FIB helper does not report it, the host's routes do. */
static void a_routes_mtu_that_is_not_locked_counts_for_the_endpoint_too(void **state)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = ip4("203.0.113.5") };
	struct talon_host_route route = { .source = ip4(NODE), .kind = TALON_HOST_UNICAST, .prefixlen = 32,
		.mtu = 1160 };
	struct packet small = to_client(9, 0), large = to_client(1101 - 28, PKT_DF);
	struct rig *rig = *state;
	struct rig_result r;

	rig_put(rig, "host4", &key, &route);
	rig_from_host(rig, &small);
	assert_int_equal(read_endpoint(rig, 0).mtu, 1100);
	r = rig_from_host(rig, &large);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	judge_error(&r, 14, &large, ip4(CLIENT), 1100);
}

static void what_may_be_cut_is_cut_for_the_path(void **state)
{
	struct packet small = to_client(9, 0), large = to_client(1101 - 28, 0);
	const struct rig_event *event;
	struct rig *rig = *state;
	struct rig_result r;

	narrow(rig, 1160);
	rig_from_host(rig, &small);
	r = rig_from_host(rig, &large);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_TOO_BIG);
	assert_int_equal(event->head.id, 1100);
	assert_int_equal(event->head.peer, 0);
	assert_memory_equal(event->data, large.bytes, large.len);
	widen(rig);
}

/* The packet that discovers the path MTU is itself compared with it. */
static void the_first_packet_by_a_narrower_way_does_not_leave_too_large(void **state)
{
	struct packet first = to_client(9, 0), df = to_client(1101 - 28, PKT_DF),
		cut = to_client(1101 - 28, 0);
	struct rig *rig = *state;
	struct rig_result r;

	rig_from_host(rig, &first);
	narrow(rig, 1160);
	r = rig_from_host(rig, &df);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_TOO_BIG);
	r = rig_from_host(rig, &df);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	widen(rig);
	rig_from_host(rig, &first);
	narrow(rig, 1160);
	r = rig_from_host(rig, &cut);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_HELD);
	rig_event(&r, TALON_EVENT_TOO_BIG);
	widen(rig);
}

static void replies_from_the_wire_are_compared_with_the_path_to_their_peer(void **state)
{
	struct packet open = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.payload = 4), reply, out;
	struct packet small = to_client(9, 0);
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t port;

	narrow(rig, 1160);
	rig_from_host(rig, &small);
	r = rig_from_peer(rig, 0, &open);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	port = out.bytes[20] << 8 | out.bytes[21];
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
		.payload = 1101 - 28, .frag = PKT_DF);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	judge_error(&r, 14, &reply, ip4(NODE), 1100);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
		.payload = 1101 - 28);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	assert_int_equal(rig_event(&r, TALON_EVENT_TOO_BIG)->head.id, 1100);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
		.payload = 1100 - 28, .frag = PKT_DF);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	assert_int_equal(r.frame.len, 14 + 1160);
	widen(rig);
}

static uint32_t mss_of(const struct packet *p)
{
	return p->bytes[42] << 8 | p->bytes[43];
}

static void connections_are_opened_with_what_the_path_takes(void **state)
{
	static const uint8_t mss[4] = { 2, 4, 0x05, 0xb4 };
	struct packet small = to_client(9, 0), syn, out, got, answer;
	struct rig *rig = *state;
	struct rig_result r;

	narrow(rig, 1160);
	rig_from_host(rig, &small);
	syn = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.tcp_flags = TCP_SYN, .tcp_options = mss, .tcp_options_len = 4);
	r = rig_from_peer(rig, 0, &syn);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	assert_int_equal(mss_of(&out), 1060);		/* the server may not send the peer more than that */
	answer = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 6,
		.dport = out.bytes[20] << 8 | out.bytes[21], .tcp_flags = TCP_SYN | TCP_ACK,
		.tcp_options = mss, .tcp_options_len = 4);
	r = rig_from_wire(rig, &answer);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(mss_of(&got), 1060);
	syn = PKT(.src = ip4(MESH), .dst = ip4(CLIENT), .proto = 6, .sport = 5, .dport = 6,
		.tcp_flags = TCP_SYN, .tcp_options = mss, .tcp_options_len = 4);
	r = rig_from_host(rig, &syn);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(mss_of(&got), 1060);
	widen(rig);
}

static void a_peer_with_a_narrow_path_is_told_from_the_other_peer(void **state)
{
	struct packet small = to_client(9, 0), got;
	struct packet large = PKT(.src = ip4(CLIENT1), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2, .payload = 1101 - 28, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r;

	narrow(rig, 1160);
	rig_from_host(rig, &small);
	r = rig_from_peer(rig, 1, &large);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 1);
	assert_null(pkt_check(got.bytes, got.len));
	assert_memory_equal(got.bytes + 20, "\x03\x04", 2);
	assert_int_equal(got.bytes[26] << 8 | got.bytes[27], 1100);
	widen(rig);
}

/* IPv6 routers do not fragment: what does not fit is lost on the way, even at MTU 1280. */
static void over_ipv6_a_path_of_1280_takes_1200(void **state)
{
	struct packet small = PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 17, .payload = 9);
	struct packet fits = PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 17, .payload = 1200 - 28,
		.frag = PKT_DF);
	struct packet large = PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 17, .payload = 1201 - 28,
		.frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r;

	rig_ip("-6 route replace 2001:db8:9::5/128 via 2001:db8::1 dev eth0 mtu lock 1280");
	rig_bump(rig);
	rig_from_host(rig, &small);
	assert_int_equal(read_endpoint(rig, 2).mtu, 1200);
	r = rig_from_host(rig, &fits);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	assert_int_equal(r.frame.len, 14 + 1280);
	r = rig_from_host(rig, &large);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	judge_error(&r, 14, &large, ip4(CLIENT2), 1200);
	rig_ip("-6 route del 2001:db8:9::5/128 via 2001:db8::1 dev eth0");
}

static void a_peer_that_moves_leaves_its_narrow_path_behind(void **state)
{
	struct packet small = to_client(9, 0), inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY),
		.proto = 17, .payload = 4), message, frame;
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];

	narrow(rig, 1160);
	rig_from_host(rig, &small);
	assert_int_equal(read_endpoint(rig, 0).mtu, 1100);
	message = pkt_wg(p->recv_key, p->index, p->counter++, &inner);
	frame = pkt_udp4(ip4("203.0.113.99"), ip4(NODE), p->port, RIG_PORT, 0, &message);
	frame = pkt_ether(rig_mac, rig_router_mac, ETH_P_IP, &frame);
	rig_run(rig, &frame);
	assert_int_equal(read_endpoint(rig, 0).mtu, 0);
	rig_from_host(rig, &small);
	assert_int_equal(read_endpoint(rig, 0).mtu, 1440);
	widen(rig);
}

/* ---- where no packet can come from ---- */

static struct packet from_address(struct rig *rig, const char *source, uint16_t port)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 4), message;
	struct rig_peer *p = &rig->peers[0];
	uint8_t addr[16];

	message = pkt_wg(p->recv_key, p->index, p->counter, &inner);
	if (inet_pton(AF_INET6, source, addr) == 1) {
		struct packet outer = pkt_udp6(addr, rig_node6, port, RIG_PORT, 0, &message);

		return pkt_ether(rig_mac, rig_router_mac, ETH_P_IPV6, &outer);
	}
	message = pkt_udp4(ip4(source), ip4(NODE), port, RIG_PORT, 0, &message);
	return pkt_ether(rig_mac, rig_router_mac, ETH_P_IP, &message);
}

static void no_endpoint_is_where_no_packet_can_come_from(void **state)
{
	static const char *const martians[] = {
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "224.0.0.5", "239.255.255.250",
		"240.0.0.1", "254.1.2.3",
		"255.255.255.255", NODE, "10.9.0.1", "192.168.1.255", "::", "::1", "::ffff:192.0.2.1",
		"ff02::1", "ff0e::5", "2001:db8::221",
	};
	struct talon_lpm4 address = { .prefixlen = 32, .addr = ip4("192.168.1.255") };
	struct talon_host_route broadcast = { .prefixlen = 32, .kind = TALON_HOST_BROADCAST };
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	rig_put(rig, "host4", &address, &broadcast);
	for (size_t i = 0; i < sizeof(martians) / sizeof(martians[0]); i++) {
		struct talon_endpoint before = read_endpoint(rig, 0), after;

		frame = from_address(rig, martians[i], 40000);
		r = rig_run(rig, &frame);
		if (r.counts[TALON_DIR_IN * TALON_END_COUNT + TALON_MARTIAN] != 1)
			print_error("from %s\n", martians[i]);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_MARTIAN);
		assert_int_equal(r.event_count, 0);
		after = read_endpoint(rig, 0);
		assert_memory_equal(&before, &after, sizeof(before));
	}
	frame = from_address(rig, "203.0.113.6", 0);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_MARTIAN);
	/* the very message, where it really came from */
	frame = from_address(rig, "203.0.113.6", 40000);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(read_endpoint(rig, 0).remote.word[0], ip4("203.0.113.6"));
}

/* ---- the inner header ---- */

static struct packet with_options(const uint8_t *options, uint32_t len)
{
	struct packet p = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.payload = 4, .ip_options = len);
	uint32_t sum;

	memcpy(p.bytes + 20, options, len);
	pkt_put16(p.bytes + 10, 0);
	sum = pkt_sum(0, p.bytes, 20 + len);
	pkt_put16(p.bytes + 10, ~sum & 0xffff);
	return p;
}

static void source_routed_packets_are_dropped(void **state)
{
	static const struct { uint8_t bytes[40]; uint32_t len; enum talon_end end; } cases[] = {
		{ { 131, 7, 4, 10, 0, 0, 1, 0 }, 8, TALON_SOURCE_ROUTED },
		{ { 137, 7, 4, 10, 0, 0, 1, 0 }, 8, TALON_SOURCE_ROUTED },
		{ { 1, 1, 1, 131, 3, 4, 0, 0 }, 8, TALON_SOURCE_ROUTED },
		{ { 7, 7, 4, 0, 0, 0, 0, 137, 3, 4, 0, 0 }, 12, TALON_SOURCE_ROUTED },
		{ { 148, 4, 0, 0, 1, 68, 28, 5, 0, [33] = 131, 7, 4, 1, 2, 3, 4 }, 40, TALON_SOURCE_ROUTED },
		{ { 148, 4, 131, 137 }, 4, TALON_FORWARDED },		/* inside another's data */
		{ { 0, 131, 3, 4 }, 4, TALON_FORWARDED },		/* after the end of the option list */
		{ { 1, 1, 1, 1, 1, 1, 1, 1 }, 8, TALON_FORWARDED },
		{ { 7, 39, 4, [39] = 0 }, 40, TALON_FORWARDED },
		/* length below that of its own header */
		{ { 7, 1, 0, 0 }, 4, TALON_BAD_INNER },
		{ { 7, 0, 0, 0 }, 4, TALON_BAD_INNER },
		{ { 7, 5, 0, 0 }, 4, TALON_BAD_INNER },			/* beyond the header */
		{ { 1, 1, 1, 7 }, 4, TALON_BAD_INNER },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet inner = with_options(cases[i].bytes, cases[i].len);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		if (r.counts[TALON_DIR_IN * TALON_END_COUNT + cases[i].end] != 1)
			print_error("case %zu\n", i);
		rig_ends(rig, &r, TALON_DIR_IN, cases[i].end);
		assert_int_equal(r.verdict, cases[i].end == TALON_FORWARDED ? RIG_SEND : RIG_DROP);
	}
}

static void a_wrong_header_checksum_ends_here(void **state)
{
	static const uint8_t nops[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct packet good = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.payload = 40);
	struct packet optioned = with_options(nops, 8);
	struct rig *rig = *state;
	struct rig_result r;

	for (uint32_t at = 0; at < 20; at++) {
		struct packet inner = good;

		if (at <= 3)	/* version, header length, TOS, total length */
			continue;
		inner.bytes[at] ^= 0x10;
		r = rig_from_peer(rig, 0, &inner);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_INNER_CHECKSUM);
	}
	optioned.bytes[24] = 0;
	r = rig_from_peer(rig, 0, &optioned);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_INNER_CHECKSUM);
	r = rig_from_peer(rig, 0, &good);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
}

/* ---- IPv6 inside ---- */

static struct packet six(const uint8_t src[16], const uint8_t dst[16], uint8_t next, uint32_t payload)
{
	struct packet p = { .len = 40 + payload, .bytes = { 0x60 } };

	pkt_put16(p.bytes + 4, payload);
	p.bytes[6] = next;
	p.bytes[7] = 64;
	memcpy(p.bytes + 8, src, 16);
	memcpy(p.bytes + 24, dst, 16);
	for (uint32_t i = 40; i < p.len; i++)
		p.bytes[i] = i * 7 + 128;
	return p;
}

/* RFC 4443 section 3.1, code 0, of as much of @about as fits into @most bytes. */
static void judge_no_route(const struct packet *got, const struct packet *about, uint32_t most)
{
	uint32_t embed = about->len < most - 48 ? about->len : most - 48, sum;

	assert_int_equal(got->len, 48 + embed);
	assert_memory_equal(got->bytes, "\x60\0\0\0", 4);
	assert_int_equal(got->bytes[4] << 8 | got->bytes[5], 8 + embed);
	assert_memory_equal(got->bytes + 6, "\x3a\x40", 2);
	/* from its destination: the sender accepts errors from us with that source */
	assert_memory_equal(got->bytes + 8, about->bytes + 24, 16);
	assert_memory_equal(got->bytes + 24, about->bytes + 8, 16);
	assert_memory_equal(got->bytes + 40, "\x01\x00", 2);
	assert_memory_equal(got->bytes + 44, "\0\0\0\0", 4);
	assert_memory_equal(got->bytes + 48, about->bytes, embed);
	sum = pkt_sum(8 + embed + 58, got->bytes + 8, 32);
	assert_int_equal(pkt_sum(sum, got->bytes + 40, 8 + embed), 0xffff);
}

/* What rig_opened() does, for a packet whose length is in an IPv6 header. */
static struct packet opened_six(struct rig *rig, const struct rig_result *r, uint32_t peer)
{
	struct rig_peer *p = &rig->peers[peer];
	uint32_t off = p->six ? 62 : 42, index, len;
	struct packet plain = {};
	uint64_t counter;

	assert_int_equal(r->verdict, RIG_SEND);
	assert_int_equal(r->ifindex, rig->eth0);
	assert_null(p->six ? pkt_check6(r->frame.bytes + 14, r->frame.len - 14)
		: pkt_check(r->frame.bytes + 14, r->frame.len - 14));
	assert_true(pkt_wg_open(p->send_key, r->frame.bytes + off, r->frame.len - off, &plain, &index,
		&counter));
	assert_int_equal(index, p->remote_index);
	len = 40 + (plain.bytes[4] << 8 | plain.bytes[5]);
	assert_in_range(plain.len, len, len + 15);
	assert_true(sodium_is_zero(plain.bytes + len, plain.len - len));
	plain.len = len;
	return plain;
}

static void ipv6_from_a_peer_is_answered_that_there_is_no_route(void **state)
{
	static const uint32_t lens[] = { 1, 7, 8, 20, 33, 100, 555, 1000, 1191, 1192, 1193, 1240, 1400 };
	static const uint8_t nexts[] = { 6, 17, 58, 59, 50 };
	struct rig *rig = *state;

	for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {		/* over IPv4 and over IPv6 */
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			struct packet inner = six(six_client, six_server, nexts[i % 5], lens[i]), got;
			struct rig_result r;

			if (inner.bytes[6] == 58)
				inner.bytes[40] = 128;		/* echo request */
			r = rig_from_peer(rig, peer, &inner);
			assert_int_equal(r.counts[TALON_DIR_IN * TALON_END_COUNT + TALON_ICMP_SENT], 1);
			got = opened_six(rig, &r, peer);
			judge_no_route(&got, &inner, RIG_MTU);
		}
	}
}

static void no_error_is_sent_about_errors_groups_and_nobody(void **state)
{
	static const uint8_t group[16] = { 0xff, 2, [15] = 0x16 }, nobody[16];
	struct packet cases[] = {
		six(six_client, group, 17, 40), six(group, six_server, 17, 40),
		six(nobody, six_server, 17, 40),
		six(six_client, six_server, 58, 48), six(six_client, six_server, 58, 48),
		six(six_client, six_server, 58, 48),
		six(six_client, six_server, 44, 48), six(six_client, six_server, 0, 48),
		six(six_client, six_server, 17, 0),
		six(six_client, six_server, 17, 40),
	};
	struct rig *rig = *state;

	cases[3].bytes[40] = 1;
	cases[4].bytes[40] = 127;
	cases[5].bytes[40] = 137;	/* redirect */
	pkt_put16(cases[9].bytes + 4, 200);	/* more than is there */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig_result r = rig_from_peer(rig, 0, &cases[i]);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_INNER_IPV6);
	}
}

static void ipv6_errors_have_a_rate(void **state)
{
	struct packet inner = six(six_client, six_server, 17, 40);
	struct rig *rig = *state;
	struct rig_result r;

	rig_drain(rig, "icmp");
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RATE_LIMITED);
}

static void ipv6_of_the_host_itself_is_answered_on_its_device(void **state)
{
	struct packet packet = six(six_client, six_server, 6, 40), frame, got = {};
	struct bpf_object *obj;
	struct rig *rig = *state;
	struct rig_result r;

	frame = pkt_ether(rig_wt0p_mac, rig_wt0_mac, ETH_P_IPV6, &packet);
	obj = rig->obj;
	rig->obj = rig->tunnel;
	rig->hook = RIG_TUNNEL;
	r = rig_run(rig, &frame);
	rig->obj = obj;
	rig->hook = rig_hook;
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	assert_int_equal(r.ifindex, rig->wt0p);
	assert_memory_equal(r.frame.bytes, rig_wt0_mac, 6);
	assert_memory_equal(r.frame.bytes + 12, "\x86\xdd", 2);
	got.len = r.frame.len - 14;
	memcpy(got.bytes, r.frame.bytes + 14, got.len);
	judge_no_route(&got, &packet, RIG_MTU);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(an_address_that_is_no_longer_ours_is_replaced_when_the_way_is_looked_at),
		RIG_CASE(another_address_of_the_host_stays_the_source),
		RIG_CASE(without_an_ipv6_address_of_ours_nothing_is_sent),
		RIG_CASE(a_way_that_leads_into_the_tunnel_is_refused),
		RIG_CASE(what_our_own_port_sends_is_not_carried_through_the_tunnel),
		RIG_CASE(next_hops_that_are_used_are_known),
		RIG_CASE(what_is_too_large_for_the_path_is_answered_to_the_host),
		RIG_CASE(a_routes_mtu_that_is_not_locked_counts_for_the_endpoint_too),
		RIG_CASE(what_may_be_cut_is_cut_for_the_path),
		RIG_CASE(the_first_packet_by_a_narrower_way_does_not_leave_too_large),
		RIG_CASE(replies_from_the_wire_are_compared_with_the_path_to_their_peer),
		RIG_CASE(connections_are_opened_with_what_the_path_takes),
		RIG_CASE(a_peer_with_a_narrow_path_is_told_from_the_other_peer),
		RIG_CASE(over_ipv6_a_path_of_1280_takes_1200),
		RIG_CASE(a_peer_that_moves_leaves_its_narrow_path_behind),
		RIG_CASE(no_endpoint_is_where_no_packet_can_come_from),
		RIG_CASE(source_routed_packets_are_dropped),
		RIG_CASE(a_wrong_header_checksum_ends_here),
		RIG_CASE(ipv6_from_a_peer_is_answered_that_there_is_no_route),
		RIG_CASE(no_error_is_sent_about_errors_groups_and_nobody),
		RIG_CASE(ipv6_errors_have_a_rate),
		RIG_CASE(ipv6_of_the_host_itself_is_answered_on_its_device),
	};

	rig_with_tunnel = true;
	return rig_main("endpoint", tests);
}
