// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/uplink.h: which frames are ours, which are left to the host, and messages to our port.
#include <arpa/inet.h>
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"
#include "talon/relayed_types.h"

static void what_is_not_ours_passes_untouched_and_uncounted(void **state)
{
	struct rig *rig = *state;
	struct packet payload = pkt_wg(rig->peers[0].recv_key, rig->peers[0].index, 0, NULL);
	struct packet whole = PKT(.src = ip4("203.0.113.5"), .dst = ip4(NODE), .proto = 17, .sport = 1,
		.dport = RIG_PORT, .payload = 64);
	uint8_t other6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 0x99 };
	struct packet inside[] = {
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 53, .dport = 53,
			.payload = 40),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 80, .dport = 22,
			.tcp_flags = TCP_ACK, .payload = 40),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 80, .dport = 15000,
			.tcp_flags = TCP_SYN),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 80, .dport = 15000,
			.payload = 4),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 1, .icmp_type = 8, .icmp_id = 15000,
			.payload = 56),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 1, .icmp_type = 0, .icmp_id = 15000,
			.payload = 56),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 47, .payload = 64),		/* GRE */
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 50, .payload = 64),		/* ESP */
		PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 1, .dport = 2,
			.payload = 64),
		PKT(.src = ip4(GATEWAY), .dst = ip4("224.0.0.251"), .proto = 17, .sport = 5353, .dport = 5353,
			.payload = 64),
		pkt_udp4(ip4("203.0.113.5"), ip4(NODE), 40000, RIG_PORT + 1, 0, &payload),
		pkt_udp4(ip4("203.0.113.5"), ip4("192.168.1.222"), 40000, RIG_PORT, 0, &payload),
		pkt_fragment(&whole, 0, 32),		/* outer fragments go through the host's stack */
		pkt_icmp_error(ip4("192.168.1.1"), ip4(NODE), 3, 1, 0, &whole, 28),
	};
	struct packet six[] = {
		pkt_udp6(other6, rig_node6, 40000, 53, 0, &payload),
		pkt_udp6(other6, other6, 40000, RIG_PORT, 0, &payload),
	};
	struct packet frame;

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &inside[i]);
		passes_untouched(rig, &frame);
	}
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &six[i]);
		passes_untouched(rig, &frame);
	}
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_ARP, &inside[0]);
	passes_untouched(rig, &frame);
	frame = pkt_ether(rig_mac, rig_gateway_mac, 0x88cc, &inside[0]);	/* LLDP */
	passes_untouched(rig, &frame);
	if (rig->hook != RIG_XDP)
		return;		/* BPF_PROG_TEST_RUN wants more of a packet for tc */
	frame = (struct packet){ .len = 14 };
	passes_untouched(rig, &frame);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP,
		&(struct packet){ .len = 19, .bytes = { 0x45 } });
	passes_untouched(rig, &frame);
}

/* Even where the VLAN's inside would be ours on the untagged port. */
static void vlan_tagged_frames_pass_untouched(void **state)
{
	struct rig *rig = *state;
	struct packet sealed = rig_sealed(rig, 0, NULL), frame = sealed;

	memcpy(frame.bytes + 12, "\x81\x00\x00\x05", 4);
	memcpy(frame.bytes + 16, sealed.bytes + 12, sealed.len - 12);
	frame.len = sealed.len + 4;
	passes_untouched(rig, &frame);
}

static void without_a_configuration_everything_passes_untouched(void **state)
{
	struct rig *rig = *state;
	struct packet frame = rig_sealed(rig, 0, NULL);

	rig->config.generation = 0;
	rig_config(rig);
	passes_untouched(rig, &frame);
}

static void outer_packets_with_options_go_the_slow_way(void **state)
{
	struct rig *rig = *state;
	struct packet inside = PKT(.src = ip4("203.0.113.5"), .dst = ip4(NODE), .proto = 17, .sport = 40000,
		.dport = RIG_PORT, .ip_options = 8, .payload = 32);
	struct packet frame = pkt_ether(rig_mac, rig_router_mac, ETH_P_IP, &inside);

	passes_untouched(rig, &frame);
}

static struct packet stun_of(uint16_t type, uint32_t len, uint32_t cookie)
{
	struct packet p = { .len = len };

	p.bytes[0] = type >> 8;
	p.bytes[1] = type;
	p.bytes[2] = (len - 20) >> 8;
	p.bytes[3] = len - 20;
	cookie = htonl(cookie);
	memcpy(p.bytes + 4, &cookie, 4);
	return p;
}

static void handshakes_and_stun_are_left_to_the_controllers_socket(void **state)
{
	struct packet messages[] = {
		message_of(1, 148), message_of(2, 92), message_of(3, 64),
		stun_of(0x0001, 20, 0x2112A442), stun_of(0x0101, 32, 0x2112A442),
		stun_of(0x0111, 100, 0x2112A442),
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {	/* over IPv4 and over IPv6 */
			struct packet frame = rig_outer(rig, peer, 0, &messages[i]);
			struct rig_result r = rig_run(rig, &frame);

			assert_int_equal(r.verdict, RIG_PASS);
			pkt_equal(&r.frame, &frame);
			rig_ends(rig, &r, TALON_DIR_IN, TALON_TO_CONTROLLER);
		}
	}
}

static void junk_on_our_port_ends_here(void **state)
{
	struct packet messages[] = {
		message_of(0, 148), message_of(1, 147), message_of(1, 149), message_of(2, 91),
		message_of(3, 65),
		message_of(4, 31), message_of(5, 64), message_of(0x01000001, 148), message_of(0x00000104, 64),
		stun_of(0x0001, 20, 0x2112A443), stun_of(0x4001, 20, 0x2112A442),
		stun_of(0x0001, 22, 0x2112A442),
	};
	struct packet longer = stun_of(0x0001, 24, 0x2112A442);
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		frame = rig_outer(rig, 0, 0, &messages[i]);
		r = rig_run(rig, &frame);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
	}
	longer.bytes[3] = 8;	/* its length field says more than there is */
	frame = rig_outer(rig, 0, 0, &longer);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
}

static void what_is_cut_short_on_our_port_is_dropped(void **state)
{
	struct packet message = message_of(4, 64), tiny = message_of(4, 3), none = { .len = 0 };
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	frame = rig_outer(rig, 0, 0, &tiny);
	r = rig_run(rig, &frame);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 2, 0, &none);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 0, 0, &message);
	frame.len -= 1;		/* the IPv4 header claims one byte more */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 2, 0, &message);
	frame.len -= 1;		/* so does the IPv6 header */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 0, 0, &message);
	frame.bytes[14 + 20 + 5] += 1;	/* so does the UDP header */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
}

/* A minimal frame is padded to 60 bytes: the IPv4 header says where it ends. */
static void ethernet_padding_is_no_part_of_the_message(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 253, .payload = 0);
	struct rig *rig = *state;
	struct packet frame = rig_sealed(rig, 0, &inner), out;
	struct rig_result r;

	frame.len += 9;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 253, .payload = 0, .ttl = 63);
	pkt_equal(&out, &inner);
}

static void keep_quiet(struct rig *rig, const struct talon_quiet *connection, uint64_t until_ns)
{
	const __u64 until = until_ns;

	rig_put(rig, "quiet", connection, &until);
	rig->config.quiet_until_ns = until_ns;
	rig_config(rig);
}

static void ends_quietly(struct rig *rig, const struct packet *frame)
{
	struct rig_result r = rig_run(rig, frame);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_QUIET);
}

/* Without that the kernel, where no socket has it any more, would reset it. */
static void segments_of_a_connection_between_two_controllers_are_dropped(void **state)
{
	struct talon_quiet four = { .remote_port = htons(443), .local_port = htons(40000) };
	struct talon_quiet six = { .remote_port = htons(443), .local_port = htons(40001) };
	struct addr6 relay = ip6("2001:db8:99::1"), node = ip6(NODE6);
	struct packet ip = PKT(.src = ip4("203.0.113.9"), .dst = ip4(NODE), .proto = 6, .sport = 443,
		.dport = 40000, .tcp_flags = TCP_ACK, .payload = 40);
	struct packet other = PKT(.src = ip4("203.0.113.9"), .dst = ip4(NODE), .proto = 6, .sport = 443,
		.dport = 40002, .tcp_flags = TCP_ACK, .payload = 40);
	struct packet udp = PKT(.src = ip4("203.0.113.9"), .dst = ip4(NODE), .proto = 17, .sport = 443,
		.dport = 40000, .payload = 40);
	struct packet ipv6 = PKT6(.src = relay, .dst = node, .proto = 6, .sport = 443, .dport = 40001,
		.tcp_flags = TCP_ACK, .payload = 40);
	struct packet frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &ip);
	struct packet frame6 = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &ipv6);
	struct rig *rig = *state;

	four.remote.word[0] = ip4("203.0.113.9");
	four.local.word[0] = ip4(NODE);
	memcpy(&six.remote, relay.byte, sizeof(six.remote));
	memcpy(&six.local, node.byte, sizeof(six.local));
	passes_untouched(rig, &frame);
	keep_quiet(rig, &four, ~0ULL);
	keep_quiet(rig, &six, ~0ULL);
	ends_quietly(rig, &frame);
	ends_quietly(rig, &frame6);
	frame6 = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &other);
	passes_untouched(rig, &frame6);
	frame6 = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &udp);
	passes_untouched(rig, &frame6);
	keep_quiet(rig, &four, 1);	/* its time is over */
	passes_untouched(rig, &frame);
	keep_quiet(rig, &four, ~0ULL);
	rig->config.quiet_until_ns = 0;	/* nobody looks */
	rig_config(rig);
	passes_untouched(rig, &frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(what_is_not_ours_passes_untouched_and_uncounted),
		RIG_CASE(vlan_tagged_frames_pass_untouched),
		RIG_CASE(without_a_configuration_everything_passes_untouched),
		RIG_CASE(outer_packets_with_options_go_the_slow_way),
		RIG_CASE(handshakes_and_stun_are_left_to_the_controllers_socket),
		RIG_CASE(junk_on_our_port_ends_here),
		RIG_CASE(what_is_cut_short_on_our_port_is_dropped),
		RIG_CASE(ethernet_padding_is_no_part_of_the_message),
		RIG_CASE(segments_of_a_connection_between_two_controllers_are_dropped),
	};

	return rig_main("uplink", tests);
}
