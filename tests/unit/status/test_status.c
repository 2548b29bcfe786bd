// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon status: exact output for made-up facts, and what the checks conclude from them.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "status/show.h"
#include "status/status.h"

#define NOW_S	100000ULL
#define AT(s)	((s) * TALON_NSEC_PER_SEC)

static struct cidr net(const char *addr, __u8 prefixlen)
{
	struct cidr cidr = { .family = strchr(addr, ':') ? AF_INET6 : AF_INET, .prefixlen = prefixlen };

	assert_int_equal(inet_pton(cidr.family, addr, &cidr.addr), 1);
	return cidr;
}

static __be32 addr(const char *text)
{
	return net(text, 32).addr.word[0];
}

static struct cidr allowed[2];
static struct status_device devices[5];
static struct status_route routes[3];
static struct status_peer peers[3];

static void fill_peers(void)
{
	allowed[0] = net("100.64.0.2", 32);
	allowed[1] = net("10.20.0.0", 16);
	memset(peers, 0, sizeof(peers));
	memset(peers[0].info.public_key, 1, WG_KEY_LEN);
	strcpy(peers[0].info.name, "laptop");
	peers[0].info.handshake_ns = AT(NOW_S - 32);
	peers[0].info.handshake_unix_s = 1795393828;
	peers[0].info.handshakes = 7;
	peers[0].info.handshake_rx_bytes = 148;
	peers[0].info.handshake_tx_bytes = 92;
	peers[0].info.keepalive_s = 25;
	peers[0].stats = (struct talon_peer_stats){ .rx_bytes = 488, .tx_bytes = 2000000, .rx_packets = 5,
		.tx_packets = 1500 };
	peers[0].endpoint_family = AF_INET;
	peers[0].endpoint.word[0] = addr("10.99.0.2");
	peers[0].endpoint_port = htons(51820);
	peers[0].has_session = true;
	peers[0].session_ns = AT(NOW_S - 31);
	peers[0].allowed = allowed;
	peers[0].allowed_count = 2;
	memset(peers[1].info.public_key, 2, WG_KEY_LEN);
	peers[1].info.handshake_ns = AT(NOW_S - 3725);
	peers[1].info.handshake_unix_s = 1795390135;
	peers[1].endpoint_family = AF_INET6;
	inet_pton(AF_INET6, "2001:db8::7", &peers[1].endpoint);
	peers[1].endpoint_port = htons(7);
	memset(peers[2].info.public_key, 3, WG_KEY_LEN);
}

static struct status make_status(void)
{
	struct status s = { .now_ns = AT(NOW_S), .now_unix_s = 1795393860, .is_held = true,
		.pid = 4711 };

	fill_peers();
	routes[0] = (struct status_route){ net("10.0.0.0", 8), 0, false };
	routes[1] = (struct status_route){ net("192.168.1.0", 24), TALON_ROUTE_MASQUERADE, false };
	routes[2] = (struct status_route){ net("192.168.1.220", 32), TALON_ROUTE_MASQUERADE, true };
	s.info = (struct talon_info){ .layout = 1, .pid = 4711, .ready = 1, .adoptions = 1 };
	s.info.started_ns = AT(NOW_S - 7265);
	s.info.heartbeat_ns = AT(NOW_S - 1);
	s.info.datapath_since_ns = AT(NOW_S - 90061);
	strcpy(s.info.version, "0.1.0");
	strcpy(s.info.mode, "xdp");
	strcpy(s.info.why, "eth0: native XDP of virtio_net");
	strcpy(s.info.uplinks, "eth0, eth1");
	strcpy(s.info.tunnel, "wt0");
	strcpy(s.info.address, "100.64.0.1/10");
	strcpy(s.info.metrics, "127.0.0.1:9567");
	strcpy(s.info.hazards, "eth0: rp_filter is strict\nsrc_valid_mark is 1\n");
	memset(s.info.public_key, 9, sizeof(s.info.public_key));
	s.config.listen_port = htons(51820);
	s.config.tunnel_mtu = 1280;
	s.config.snat_addr = addr("192.168.1.221");
	s.config.port_first = 12288;
	s.config.port_last = 19999;
	s.config.flow_count = 262144;
	s.hooks[0] = (struct status_hook){ "xdp", "eth0", 2, true };
	s.hooks[1] = (struct status_hook){ "tcx", "wt0p", 9, true };
	s.hook_count = 2;
	s.config.tunnel_ifindex = 8;
	devices[0] = (struct status_device){ "eth0", 2,
		TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT, addr("192.168.1.221") };
	devices[1] = (struct status_device){ "", 3, TALON_LINK_PROGRAM, addr("10.9.9.1") };	/* gone */
	devices[2] = (struct status_device){ "flannel.1", 5, TALON_LINK_PROGRAM, addr("10.42.0.0") };
	devices[3] = (struct status_device){ "eth1", 6, TALON_LINK_UPLINK, 0 };
	devices[4] = (struct status_device){ "docker0", 7, TALON_LINK_REDIRECT, addr("172.17.0.1") };
	s.devices = devices;
	s.device_count = 5;
	s.routes = routes;
	s.route_count = 3;
	s.peers = peers;
	s.peer_count = 3;
	s.nat = (struct talon_nat_stats){ 12, 100, 88, 3, 1, 2, 4, 5, 14, 6, 7, { 3, 4, 5 }, {} };
	peers[0].flows = (struct talon_nat_peer){ .held = 13, .refused = 6 };
	s.stats[TALON_DIR_IN * TALON_END_COUNT + TALON_FORWARDED] = 12345;
	s.keystream_room = 21824;
	s.keystream = (struct talon_keystream_state){
		.pid = 4712, .windows = 2, .slots = 640, .room = 21824, .heartbeat_ns = AT(NOW_S) - 1,
			.generated = 3100, .wasted = 60,
		.gap_ns = 1875999, .engine = "openssl",
	};
	s.keystream_counts[TALON_KEYSTREAM_RECV] = (struct status_keystream_counts){ 1000, 7 };
	s.keystream_counts[TALON_KEYSTREAM_SEND] = (struct status_keystream_counts){ 2000, 8 };
	s.stats[TALON_DIR_IN * TALON_END_COUNT + TALON_BAD_TAG] = 6;
	s.stats[TALON_DIR_TUNNEL * TALON_END_COUNT + TALON_NO_KEY] = 1;
	s.handshakes[HANDSHAKE_INITIATION] = 9;
	s.handshakes[HANDSHAKE_BAD_MAC1] = 2;
	s.handshakes[HANDSHAKE_END_COUNT + HANDSHAKE_COUNT_CLOCK_JUMPS] = 1;
	return s;
}

static char *text_of(const struct status *status, bool detail)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	status_print_text(out, status, detail);
	fclose(out);
	return text;
}

static char *json_of(const struct status *status)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	status_print_json(out, status);
	fclose(out);
	return text;
}

static const char summary[] =
	"Daemon version: 0.1.0\n"
	"CLI version: " TALON_VERSION "\n"
	"Controller: Running (pid 4711, for 2 hours, 1 minute)\n"
	"Datapath: xdp for 1 day, 1 hour, adopted 1 time\n"
	"Reason: eth0: native XDP of virtio_net\n"
	"Uplinks: eth0, eth1\n"
	"Interface: wt0\n"
	"Hand-up: pass\n"
	"Address: 100.64.0.1/10\n"
	"Public key: CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n"
	"Listen port: 51820\n"
	"SNAT: 192.168.1.221 (node address), ports 12288-19999\n"
	"Networks: 10.0.0.0/8 (no masquerade), 192.168.1.0/24, 192.168.1.220/32 (local)\n"
	"Metrics: 127.0.0.1:9567\n"
	"Hazards:\n"
	"  eth0: rp_filter is strict\n"
	"  src_valid_mark is 1\n"
	"Flows: 12/262143\n"
	"Peers count: 1/3 Connected\n";

static const char detail[] =
	"Peers detail:\n"
	" laptop:\n"
	"  Public key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
	"  Status: Connected\n"
	"  -- detail --\n"
	"  Endpoint: 10.99.0.2:51820\n"
	"  Allowed IPs: 100.64.0.2/32, 10.20.0.0/16\n"
	"  Last WireGuard handshake: 32 seconds ago\n"
	"  Transfer status (received/sent) 636 B/1.9 MiB\n"
	"  Packets (received/sent): 5/1500\n"
	"  Flows (held/refused): 13/6\n"
	"  Persistent keepalive: 25 seconds\n"
	"  Session age: 31 seconds\n"
	" AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=:\n"
	"  Public key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
	"  Status: Idle\n"
	"  -- detail --\n"
	"  Endpoint: [2001:db8::7]:7\n"
	"  Allowed IPs: -\n"
	"  Last WireGuard handshake: 1 hour, 2 minutes ago\n"
	"  Transfer status (received/sent) 0 B/0 B\n"
	"  Packets (received/sent): 0/0\n"
	"  Flows (held/refused): 0/0\n"
	"  Persistent keepalive: off\n"
	"  Session age: -\n"
	" AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=:\n"
	"  Public key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
	"  Status: Never\n"
	"  -- detail --\n"
	"  Endpoint: -\n"
	"  Allowed IPs: -\n"
	"  Last WireGuard handshake: -\n"
	"  Transfer status (received/sent) 0 B/0 B\n"
	"  Packets (received/sent): 0/0\n"
	"  Flows (held/refused): 0/0\n"
	"  Persistent keepalive: off\n"
	"  Session age: -\n"
	"\n"
	"Packets in, from peers:\n"
	"       forwarded             12345  decrypted or sealed, translated and sent on\n"
	"  drop bad_tag                   6  authentication tag is wrong\n"
	"\n"
	"Packets tunnel, from this host to peers:\n"
	"  drop no_key                    1  no session to send with; a handshake was asked for\n"
	"\n"
	"Handshakes:\n"
	"       initiation                     9  initiation accepted and answered\n"
	"  drop bad_mac1                       2  mac1 is wrong: the sender does not know our public key\n"
	"       clock_jumps                    1  our own clock leapt forward\n"
	"\n"
	"Flows:\n"
	"  Live: 12\n"
	"  Room: 262143\n"
	"  Records taken: 14\n"
	"  Created: 100\n"
	"  Expired: 88\n"
	"  Ended early, for room: 7\n"
	"  On a shared port: 3\n"
	"  In overflow: 4\n"
	"  Refused, no port: 1\n"
	"  Refused, no record: 2\n"
	"  Refused, share used up: 6\n"
	"  Given up to another CPU: 5\n"
	"\n"
	"Keystream:\n"
	"  Helper: Running (pid 4712, openssl)\n"
	"  Received (ahead/inline): 1000/7\n"
	"  Sent (ahead/inline): 2000/8\n"
	"  Slots made: 3100\n"
	"  Slots wasted: 60\n"
	"  Windows: 2, with 640 of 21824 slots\n"
	"  Gaps: up to 1875 us\n"
	"\n"
	"Programs:\n"
	"  xdp on eth0: attached\n"
	"  tcx on wt0p: attached\n"
	"\n"
	"Devices:\n"
	"  eth0: uplink, frames leave by redirect, source 192.168.1.221\n"
	"  flannel.1: side device, frames leave through wt0r, source 10.42.0.0\n"
	"  eth1: uplink, frames leave through wt0r, source -\n"
	"  docker0: no program, frames leave by redirect, source 172.17.0.1\n"
	"\n";

static void the_summary_reads_as_documented(void **state)
{
	struct status s = make_status();
	char *text = text_of(&s, false);

	assert_string_equal(text, summary);
	free(text);
}

static void ipv6_is_shown_where_there_is_some(void **state)
{
	struct status s = make_status();
	char *text;

	inet_pton(AF_INET6, "fd00::1", &s.config.mesh_addr6);
	inet_pton(AF_INET6, "2001:db8::5", &s.config.node_addr6);
	s.config.mesh_len6 = 64;
	s.config.flags |= TALON_F_INNER6;
	routes[2] = (struct status_route){ net("2001:db8:77::", 48), TALON_ROUTE_MASQUERADE, false };
	allowed[1] = net("fd00::2", 128);
	text = text_of(&s, true);
	assert_non_null(strstr(text, "Address: 100.64.0.1/10\nIPv6 address: fd00::1/64\n"));
	assert_non_null(strstr(text, "SNAT of IPv6: 2001:db8::5 (node address), the same ports\n"));
	assert_non_null(strstr(text, "192.168.1.0/24, 2001:db8:77::/48\n"));
	assert_non_null(strstr(text, "Allowed IPs: 100.64.0.2/32, fd00::2/128\n"));
	free(text);
	text = json_of(&s);
	assert_non_null(strstr(text,
		"\"address\":\"100.64.0.1/10\",\"ipv6Address\":\"fd00::1/64\",\"carriesIpv6\":true,"));
	assert_non_null(strstr(text, "\"ipv6Address\":\"2001:db8::5\",\"spareAddress\":false"));
	assert_non_null(strstr(text, "\"allowedIps\":[\"100.64.0.2/32\",\"fd00::2/128\"]"));
	free(text);
	s.config.flags &= ~TALON_F_INNER6;
	text = text_of(&s, false);
	assert_non_null(strstr(text, "IPv6 address: fd00::1/64 (not carried: see Hazards)\n"));
	free(text);
}

static void the_detail_stands_before_the_summary(void **state)
{
	struct status s = make_status();
	char *text = text_of(&s, true), *expected;

	assert_true(asprintf(&expected, "%s%s", detail, summary) > 0);
	assert_string_equal(text, expected);
	free(expected);
	free(text);
}

static void assert_has(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text ? text : "");
}

static void an_empty_datapath_reads_well(void **state)
{
	struct status s = { .now_ns = AT(NOW_S) };
	char *text = text_of(&s, true);

	assert_has(text, "Peers detail:\n\nFlows:\n  Live: 0\n  Room: 0\n");
	assert_has(text, "Programs:\n  none\n\nDevices:\n  none\n\n");
	assert_has(text, "Controller: Starting\n");
	assert_has(text, "Networks: -\nMetrics: \nHazards: none\nFlows: 0/0\nPeers count: 0/0 Connected\n");
	free(text);
}

static const char json_head[] =
	"{\"peers\":{\"total\":3,\"connected\":1,\"details\":["
	"{\"name\":\"laptop\",\"publicKey\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\","
	"\"status\":\"Connected\",\"endpoint\":\"10.99.0.2:51820\",\"allowedIps\":[\"100.64.0.2/32\","
	"\"10.20.0.0/16\"],\"lastWireguardHandshake\":\"2026-11-23T00:30:28Z\",\"handshakeAgeSeconds\":32,"
	"\"sessionAgeSeconds\":31,\"handshakes\":7,\"transferReceived\":636,\"transferSent\":2000092,"
	"\"packetsReceived\":5,\"packetsSent\":1500,\"flowsHeld\":13,\"flowsRefused\":6,"
	"\"persistentKeepalive\":25},{\"name\":\"\","
	"\"publicKey\":\"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\",\"status\":\"Idle\","
	"\"endpoint\":\"[2001:db8::7]:7\",\"allowedIps\":[],"
	"\"lastWireguardHandshake\":\"2026-11-22T23:28:55Z\",\"handshakeAgeSeconds\":3725,"
	"\"sessionAgeSeconds\":null,\"handshakes\":0,\"transferReceived\":0,\"transferSent\":0,"
	"\"packetsReceived\":0,\"packetsSent\":0,\"flowsHeld\":0,\"flowsRefused\":0,"
	"\"persistentKeepalive\":0},{\"name\":\"\","
	"\"publicKey\":\"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\",\"status\":\"Never\","
	"\"endpoint\":null,\"allowedIps\":[],\"lastWireguardHandshake\":null,\"handshakeAgeSeconds\":null,"
	"\"sessionAgeSeconds\":null,\"handshakes\":0,\"transferReceived\":0,\"transferSent\":0,"
	"\"packetsReceived\":0,\"packetsSent\":0,\"flowsHeld\":0,\"flowsRefused\":0,"
	"\"persistentKeepalive\":0}]},\"cliVersion\":\"" TALON_VERSION "\",\"daemonVersion\":\"0.1.0\","
	"\"controller\":{\"state\":\"running\",\"pid\":4711,\"ready\":true,\"uptimeSeconds\":7265,"
	"\"heartbeatAgeSeconds\":1},\"datapath\":{\"mode\":\"xdp\","
	"\"reason\":\"eth0: native XDP of virtio_net\",\"attached\":true,\"ageSeconds\":90061,"
	"\"adoptions\":1,\"layout\":1,\"handUp\":\"pass\",\"mapBytes\":0,"
	"\"programs\":[{\"kind\":\"xdp\",\"device\":\"eth0\",\"ifindex\":2,"
	"\"attached\":true},{\"kind\":\"tcx\",\"device\":\"wt0p\",\"ifindex\":9,\"attached\":true}],"
	"\"devices\":[{\"device\":\"eth0\",\"ifindex\":2,\"role\":\"uplink\",\"program\":true,"
	"\"frames\":\"redirect\",\"source\":\"192.168.1.221\"},{\"device\":\"flannel.1\",\"ifindex\":5,"
	"\"role\":\"side\",\"program\":true,\"frames\":\"relay\",\"source\":\"10.42.0.0\"},"
	"{\"device\":\"eth1\",\"ifindex\":6,\"role\":\"uplink\",\"program\":false,\"frames\":\"relay\","
	"\"source\":null},{\"device\":\"docker0\",\"ifindex\":7,\"role\":\"none\",\"program\":false,"
	"\"frames\":\"redirect\",\"source\":\"172.17.0.1\"}]},\"uplinks\":[\"eth0\",\"eth1\"],"
	"\"interface\":\"wt0\",\"mtu\":1280,\"address\":\"100.64.0.1/10\","
	"\"ipv6Address\":\"\",\"carriesIpv6\":false,"
	"\"publicKey\":\"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\",\"listenPort\":51820,"
	"\"snat\":{\"address\":\"192.168.1.221\",\"ipv6Address\":null,"
	"\"spareAddress\":false,\"firstPort\":12288,"
	"\"lastPort\":19999},\"networks\":[{\"network\":\"10.0.0.0/8\",\"masquerade\":false,"
	"\"local\":false},{\"network\":\"192.168.1.0/24\",\"masquerade\":true,\"local\":false},"
	"{\"network\":\"192.168.1.220/32\",\"masquerade\":true,\"local\":true}],"
	"\"virtualAddresses\":{\"source\":\"off\",\"synced\":false,\"sinceUnixSeconds\":0,\"error\":\"\","
	"\"addresses\":[]},"
	"\"metrics\":\"127.0.0.1:9567\","
	"\"hazards\":[\"eth0: rp_filter is strict\",\"src_valid_mark is 1\"],\"flows\":{\"live\":12,"
	"\"room\":262143,\"created\":100,\"expired\":88,\"endedEarly\":7,\"taken\":14,\"sharedPort\":3,"
	"\"overflow\":4,\"refusedNoPort\":1,\"refusedNoRecord\":2,\"refusedShare\":6,\"races\":5},"
	"\"packets\":{\"in\":{\"forwarded\":12345,\"local\":0,";

static void the_json_has_every_field_in_its_place(void **state)
{
	struct status s = make_status();
	char *text = json_of(&s);

	text[sizeof(json_head) - 1] = '\0';
	assert_string_equal(text, json_head);
	free(text);
	text = json_of(&s);
	assert_has(text, "\"bad_tag\":6,");
	assert_has(text, "\"internal\":0},\"out\":{\"forwarded\":0,");
	assert_has(text, "\"internal\":0},\"tunnel\":{\"forwarded\":0,");
	assert_has(text, "\"no_key\":1,");
	assert_has(text, "\"internal\":0}},\"handshakes\":{\"initiation\":9,\"response\":0,");
	assert_has(text, "\"internal\":0},\"counts\":{\"initiations_sent\":0,");
	assert_string_equal(strstr(text, "\"clock_jumps\""),
		"\"clock_jumps\":1,\"slow_data\":0,\"slow_dropped\":0,\"junk\":0,\"held_dropped\":0},"
		"\"keystream\":{\"helper\":\"running\",\"pid\":4712,\"engine\":\"openssl\","
		"\"receivedAhead\":1000,\"receivedInline\":7,\"sentAhead\":2000,\"sentInline\":8,"
		"\"slotsMade\":3100,\"slotsWasted\":60,\"windows\":2,\"slots\":640,\"room\":21824,"
		"\"gapMicroseconds\":1875},"
	"\"watching\":{\"capture\":null,\"drops\":null,\"drops_sent\":0,\"drops_limited\":0,\"drops_lost\":0,"
	"\"packets_sent\":0,\"packets_lost\":0}}\n");
	free(text);
}

static void virtual_addresses_are_shown_with_their_holder(void **state)
{
	struct status s = make_status();
	struct status_vip vips[] = {
		{ { .word[0] = inet_addr("192.168.1.220") }, { .where = TALON_VIP_HERE, .holder = "w1",
			.service = "web/shop", .since_unix_s = 5 } },
		{ { .word[0] = inet_addr("192.168.1.221") }, { .where = TALON_VIP_LEFT, .holder = "w2",
			.service = "web/till" } },
	};
	char *text;

	s.vips = vips;
	s.vip_count = 2;
	s.vip_source = (struct talon_vip_source){ .name = "cilium", .synced = 1,
		.since_unix_s = s.now_unix_s - 5 };
	text = text_of(&s, false);
	assert_has(text, "Virtual addresses: by cilium, known since 5 seconds\n"
		"  192.168.1.220: held here (web/shop)\n  192.168.1.221: held by w2 (web/till)\n");
	free(text);
	s.vip_source.synced = 0;
	strcpy(s.vip_source.error, "leases: no\nanswer");
	text = text_of(&s, false);
	assert_has(text, "NOT KNOWN, the last answer holds since 5 seconds (leases: no?answer)\n");
	free(text);
	text = json_of(&s);
	assert_has(text, "\"addresses\":[{\"address\":\"192.168.1.220\",\"here\":true,\"holder\":\"w1\","
		"\"service\":\"web/shop\",\"sinceUnixSeconds\":5},"
		"{\"address\":\"192.168.1.221\",\"here\":false,");
	free(text);
}

static void fill(char *text, size_t size, const char *pattern)
{
	for (size_t i = 0; i < size; i++)
		text[i] = pattern[i % strlen(pattern)];
}

/* Every text field full to the last byte, without an end, with what terminals and parsers obey. */
static struct status make_hostile(void)
{
	static const char pattern[] = "a\x1b[2J\r\n\"\\\x9b\xc2\x9b\xe2\x80\xae\xff,";
	struct status s = make_status();

	fill(s.info.version, sizeof(s.info.version), pattern);
	fill(s.info.mode, sizeof(s.info.mode), pattern);
	fill(s.info.why, sizeof(s.info.why), pattern);
	fill(s.info.uplinks, sizeof(s.info.uplinks), pattern);
	fill(s.info.tunnel, sizeof(s.info.tunnel), pattern);
	fill(s.info.address, sizeof(s.info.address), pattern);
	fill(s.info.hazards, sizeof(s.info.hazards), pattern);
	fill(s.keystream.engine, sizeof(s.keystream.engine), pattern);
	fill(peers[0].info.name, sizeof(peers[0].info.name), pattern);
	fill(s.hooks[0].kind, sizeof(s.hooks[0].kind), pattern);
	fill(s.hooks[0].device, sizeof(s.hooks[0].device), pattern);
	s.hooks[0].attached = false;
	fill(devices[0].name, sizeof(devices[0].name), pattern);
	return s;
}

static void hostile_text_in_maps_cannot_steer_a_terminal_or_forge_a_line(void **state)
{
	struct status s = make_hostile(), good = make_status();
	char *text = text_of(&s, true), *honest = text_of(&good, true);
	size_t lines = 0, expected = 0;

	for (const char *c = text; *c; c++) {
		lines += *c == '\n';
		assert_true(*c == '\n' || ((unsigned char)*c >= ' ' && (unsigned char)*c <= '~'));
	}
	for (const char *c = honest; *c; c++)
		expected += *c == '\n';
	/*
	 * Only hazards, one on a line: as many newlines, and what follows the last, in place of
	 * the honest two.
	 */
	expected += 1 - 2;
	for (size_t i = 0; i < sizeof(s.info.hazards); i++)
		expected += s.info.hazards[i] == '\n';
	assert_int_equal(lines, expected);
	free(text);
	free(honest);
}

static void hostile_text_in_maps_stays_inside_its_json_string(void **state)
{
	struct status s;
	char *text;

	s = make_hostile();
	text = json_of(&s);
	for (const char *c = text; *c; c++)
		assert_true((*c >= ' ' && *c <= '~') || (*c == '\n' && !c[1]));
	assert_has(text, "\"name\":\"a\\u001b[2J\\r\\n\\\"\\\\\\ufffd\\u009b\\u202e\\ufffd,a");
	free(text);
}

static void the_helper_runs_stalls_or_is_not_there(void **state)
{
	static const struct {
		__u32 room, pid;
		__u64 age_s;
		bool is_held;
		enum status_keystream expected;
		const char *text;
	} cases[] = {
		{ 1, 0, 0, false, STATUS_KEYSTREAM_OFF, "  Helper: Off\n" },
		{ 1024, 0, 1, false, STATUS_KEYSTREAM_STOPPED, "  Helper: Not running\n" },
		{ 1024, 5, 3, true, STATUS_KEYSTREAM_RUNNING, "  Helper: Running (pid 5, openssl)\n" },
		/* it dies with its controller */
		{ 1024, 5, 3, false, STATUS_KEYSTREAM_STOPPED, "  Helper: Not running\n" },
		{ 1024, 5, 70, true, STATUS_KEYSTREAM_STALLED,
			"  Helper: Stalled (pid 5, last heartbeat 1 minute, 10 seconds ago)\n" },
		{ 1024, 5, 70, false, STATUS_KEYSTREAM_STOPPED, "  Helper: Not running\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct status s = make_status();
		char *text;

		s.keystream_room = cases[i].room;
		s.keystream.pid = cases[i].pid;
		s.keystream.heartbeat_ns = AT(NOW_S - cases[i].age_s);
		s.is_held = cases[i].is_held;
		assert_int_equal(status_keystream(&s), cases[i].expected);
		text = text_of(&s, true);
		assert_has(text, cases[i].text);
		free(text);
	}
}

static void json_strings_pass_utf8_and_replace_the_rest(void **state)
{
	static const struct {
		const char *text, *json, *shown;
	} cases[] = {
		{ "plain", "\"plain\"", "plain" },
		{ "\"\\", "\"\\\"\\\\\"", "\"\\" },
		{ "Zo\xc3\xab", "\"Zo\xc3\xab\"", "Zo\xc3\xab" },
		{ "\xe6\x9d\xb1\xf0\x9f\x90\xa6", "\"\xe6\x9d\xb1\xf0\x9f\x90\xa6\"",
			"\xe6\x9d\xb1\xf0\x9f\x90\xa6" },
		{ "\xc0\xaf", "\"\\ufffd\\ufffd\"", "??" },			/* not the shortest form */
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"", "???" },		/* a surrogate */
		{ "\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", "????" },	/* beyond the last */
		{ "\xe6\x9d", "\"\\ufffd\\ufffd\"", "??" },			/* cut off */
		{ "a\tb\x7f", "\"a\\tb\\u007f\"", "a?b?" },
		{ "\xe2\x80\xa8", "\"\\u2028\"", "?" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		text_print_json(out, cases[i].text, strlen(cases[i].text));
		fputc('|', out);
		text_print(out, cases[i].text, strlen(cases[i].text));
		fclose(out);
		assert_memory_equal(text, cases[i].json, strlen(cases[i].json));
		assert_string_equal(text + strlen(cases[i].json) + 1, cases[i].shown);
		free(text);
	}
}

static void durations_show_their_two_largest_units(void **state)
{
	static const struct {
		__u64 seconds;
		const char *text;
	} cases[] = {
		{ 0, "0 seconds" },		{ 1, "1 second" },
		{ 59, "59 seconds" },		{ 60, "1 minute" },
		{ 61, "1 minute, 1 second" },	{ 3600, "1 hour" },
		{ 3661, "1 hour, 1 minute" },	{ 3601, "1 hour" },
		{ 86399, "23 hours, 59 minutes" }, { 90061, "1 day, 1 hour" },
		{ ~0ULL / TALON_NSEC_PER_SEC, "213503 days, 23 hours" },
	};
	char text[SHOW_AGE_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		show_duration(cases[i].seconds, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void sizes_are_in_powers_of_1024(void **state)
{
	static const struct {
		__u64 bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },			{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },		{ 1536, "1.5 KiB" },
		{ 1048576, "1.0 MiB" },		{ ~0ULL, "16.0 EiB" },
	};
	char text[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		show_bytes(cases[i].bytes, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void the_controller_is_judged_by_its_lock_then_by_its_heartbeat(void **state)
{
	static const struct {
		__u32 in_map, seen;	/* pids: as the controller wrote it, and as it is seen from here */
		__s64 age_s;
		bool is_held;
		enum status_controller controller;
		const char *line;
	} cases[] = {
		{ 0, 0, 0, false, STATUS_STOPPED,
			"Controller: Not running (last heartbeat 0 seconds ago)\n" },
		{ 7, 7, 1, true, STATUS_RUNNING, "Controller: Running (pid 7, for 2 hours, 1 minute)\n" },
		/* a process of that number may well be there */
		{ 7, 0, 1, false, STATUS_STOPPED, "Controller: Not running (last heartbeat 1 second ago)\n" },
		{ 1, 7, 3, true, STATUS_RUNNING, "Controller: Running (pid 7, for 2 hours, 1 minute)\n" },
		{ 1, 0, 3, true, STATUS_RUNNING,
			"Controller: Running (in another pid namespace, for 2 hours, 1 minute)\n" },
		{ 7, 7, 10, true, STATUS_RUNNING, "Controller: Running (pid 7, for 2 hours, 1 minute)\n" },
		{ 7, 7, 11, true, STATUS_HUNG, "Controller: Hung (pid 7, last heartbeat 11 seconds ago)\n" },
		{ 1, 0, 11, true, STATUS_HUNG,
			"Controller: Hung (in another pid namespace, last heartbeat 11 seconds ago)\n" },
		{ 7, 7, -1, true, STATUS_RUNNING, "Controller: Running (pid 7, for 2 hours, 1 minute)\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct status s = make_status();
		char *text;

		s.info.pid = cases[i].in_map;
		s.pid = cases[i].seen;
		s.info.heartbeat_ns = AT(NOW_S - cases[i].age_s);
		s.is_held = cases[i].is_held;
		assert_int_equal(status_controller(&s), cases[i].controller);
		text = text_of(&s, false);
		assert_has(text, cases[i].line);
		free(text);
	}
}

static void a_controller_that_has_not_finished_is_starting(void **state)
{
	struct status s = make_status();
	char *text;

	s.info.ready = 0;
	text = text_of(&s, false);
	assert_has(text, "Controller: Starting (pid 4711, for 2 hours, 1 minute)\n");
	free(text);
}

static void a_peer_is_connected_with_a_young_handshake_and_a_session(void **state)
{
	static const struct {
		__u64 age_s;	/* 0: never */
		bool has_session;
		enum status_peer_state expected;
	} cases[] = {
		{ 0, false, STATUS_PEER_NEVER },	{ 0, true, STATUS_PEER_NEVER },
		{ 1, true, STATUS_PEER_CONNECTED },	{ 179, true, STATUS_PEER_CONNECTED },
		{ 180, true, STATUS_PEER_IDLE },	{ 1, false, STATUS_PEER_IDLE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct status s = make_status();

		peers[0].info.handshake_ns = cases[i].age_s ? AT(NOW_S - cases[i].age_s) : 0;
		peers[0].has_session = cases[i].has_session;
		assert_int_equal(status_peer_state(&s, &peers[0]), cases[i].expected);
	}
}

static void assert_check(const struct status *s, enum status_check check, bool holds, const char *line)
{
	char why[256];

	assert_int_equal(status_check(s, check, why, sizeof(why)), holds);
	assert_string_equal(why, line);
}

static void a_healthy_node_passes_every_check(void **state)
{
	struct status s = make_status();

	assert_check(&s, STATUS_CHECK_LIVE, true,
		"live: yes: the controller's last heartbeat was 1 second ago");
	assert_check(&s, STATUS_CHECK_STARTUP, true, "startup: yes: the controller has finished starting");
	assert_check(&s, STATUS_CHECK_READY, true,
		"ready: yes: the datapath is attached and the controller runs");
	assert_check(&s, STATUS_CHECK_DATAPATH, true, "datapath: yes: all 2 programs are attached");
}

static void without_a_controller_a_node_is_neither_live_nor_ready_nor_started(void **state)
{
	struct status s = make_status();

	s.is_held = false;
	assert_check(&s, STATUS_CHECK_LIVE, false, "live: no: the controller is not running");
	assert_check(&s, STATUS_CHECK_STARTUP, false, "startup: no: the controller is not running");
	assert_check(&s, STATUS_CHECK_READY, false,
		"ready: no: without controller for 1 second; sessions last until 180 seconds");
	assert_check(&s, STATUS_CHECK_DATAPATH, true, "datapath: yes: all 2 programs are attached");
}

static void a_controller_that_hangs_is_neither_live_nor_ready(void **state)
{
	struct status s = make_status();

	s.info.heartbeat_ns = AT(NOW_S - 60);
	assert_check(&s, STATUS_CHECK_LIVE, false,
		"live: no: the controller's last heartbeat was 1 minute ago");
	assert_check(&s, STATUS_CHECK_STARTUP, true, "startup: yes: the controller has finished starting");
	assert_check(&s, STATUS_CHECK_READY, false,
		"ready: no: the controller hangs, its last heartbeat was 1 minute ago");
}

static void a_controller_that_was_stopped_is_neither_live_nor_ready(void **state)
{
	struct status s = make_status();

	s.info.blocks = TALON_BLOCK_STOPPED;
	assert_int_equal(status_controller(&s), STATUS_STOPPED);
	assert_check(&s, STATUS_CHECK_LIVE, false, "live: no: the controller is not running");
	assert_check(&s, STATUS_CHECK_READY, false, "ready: no: the controller was stopped");
}

/* The rest of the map is what an earlier one wrote last. */
static void a_controller_that_takes_over_is_starting_whatever_the_earlier_one_left(void **state)
{
	struct status s = make_status();

	s.info.blocks = TALON_BLOCK_STOPPED | TALON_BLOCK_STARTING;
	s.info.heartbeat_ns = AT(NOW_S - 60);
	assert_int_equal(status_controller(&s), STATUS_RUNNING);
	assert_check(&s, STATUS_CHECK_STARTUP, false,
		"startup: no: the controller has not finished starting");
	assert_check(&s, STATUS_CHECK_READY, false, "ready: no: a controller is starting");
}

static void what_keeps_packets_from_flowing_is_why_a_node_is_not_ready(void **state)
{
	struct status s = make_status();

	s.info.blocks = TALON_BLOCK_FORWARDING;
	assert_check(&s, STATUS_CHECK_READY, false,
		"ready: no: the kernel does not forward; run sysctl -w net.ipv4.ip_forward=1");
	strcpy(s.info.hazards, "uplinks: device eth1 is gone\nnet.ipv4.ip_forward=0: no\n");
	assert_check(&s, STATUS_CHECK_READY, false, "ready: no: net.ipv4.ip_forward=0: no");
	s.info.blocks |= TALON_BLOCK_UPLINK;
	assert_check(&s, STATUS_CHECK_READY, false, "ready: no: uplinks: device eth1 is gone");
	assert_check(&s, STATUS_CHECK_LIVE, true,
		"live: yes: the controller's last heartbeat was 1 second ago");
	memset(s.info.hazards, 'x', sizeof(s.info.hazards));	/* not even terminated */
	assert_check(&s, STATUS_CHECK_READY, false, "ready: no: an uplink is missing");
}

static void a_hung_controller_is_not_live(void **state)
{
	struct status s = make_status();

	s.info.heartbeat_ns = AT(NOW_S - 20);
	assert_check(&s, STATUS_CHECK_LIVE, false,
		"live: no: the controller's last heartbeat was 20 seconds ago");
}

static void a_process_alone_is_not_ready(void **state)
{
	struct status s = make_status();

	s.info.ready = 0;
	assert_check(&s, STATUS_CHECK_LIVE, true,
		"live: yes: the controller's last heartbeat was 1 second ago");
	assert_check(&s, STATUS_CHECK_STARTUP, false,
		"startup: no: the controller has not finished starting");
	assert_check(&s, STATUS_CHECK_READY, false, "ready: no: the controller has not finished starting");
}

static void a_program_that_was_taken_off_is_named(void **state)
{
	struct status s = make_status();
	char *text;

	s.hooks[0].attached = false;
	s.hooks[1] = (struct status_hook){ "tcx", "", 9, false };
	assert_check(&s, STATUS_CHECK_DATAPATH, false,
		"datapath: no: not attached: xdp on eth0, tcx on device 9, which is gone");
	assert_check(&s, STATUS_CHECK_READY, false,
		"ready: no: not attached: xdp on eth0, tcx on device 9, which is gone");
	text = text_of(&s, true);
	assert_has(text, "  xdp on eth0: NOT ATTACHED\n  tcx on device 9: DEVICE IS GONE\n");
	assert_has(text, "Datapath: xdp, NOT ATTACHED for ");
	free(text);
	s.hook_count = 0;
	assert_check(&s, STATUS_CHECK_DATAPATH, false, "datapath: no: nothing is attached");
}

static void checks_have_four_names(void **state)
{
	enum status_check check;

	assert_int_equal(status_check_parse("live", &check), 0);
	assert_int_equal(check, STATUS_CHECK_LIVE);
	assert_int_equal(status_check_parse("ready", &check), 0);
	assert_int_equal(check, STATUS_CHECK_READY);
	assert_int_equal(status_check_parse("startup", &check), 0);
	assert_int_equal(check, STATUS_CHECK_STARTUP);
	assert_int_equal(status_check_parse("datapath", &check), 0);
	assert_int_equal(check, STATUS_CHECK_DATAPATH);
	assert_int_equal(status_check_parse("alive", &check), -EINVAL);
}

static void nothing_there_is_one_clear_line(void **state)
{
	struct status s;
	char why[256];

	assert_int_equal(status_read(&s, "/tmp/talon-no-such-directory", why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "not running: there is no datapath below /tmp/talon-no-such-directory");
}

static void every_counter_is_documented(void **state)
{
	char *text = NULL, label[64];
	size_t size = 0;
	FILE *f = fopen("docs/status.md", "re");

	if (!f)
		skip();		/* not run from the top of the tree */
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	for (unsigned int i = 0; i < TALON_END_COUNT; i++) {
		snprintf(label, sizeof(label), "| `%s` |", show_ends[i].label);
		assert_has(text, label);
		assert_has(text, show_ends[i].help);
	}
	free(text);
}

static void who_watches_is_shown_while_it_does(void **state)
{
	struct status s = make_status();
	char *text;

	s.watches[TALON_WATCH_PACKETS] = (struct talon_watch){ .until_ns = AT(NOW_S) + 1,
		.since_ns = AT(NOW_S - 70), .peer = 0, .pid = 99 };
	s.watches[TALON_WATCH_DROPS] = (struct talon_watch){ .until_ns = AT(NOW_S) + 1,
		.since_ns = AT(NOW_S - 5), .peer = TALON_PEER_NONE, .pid = 100 };
	s.watch_counts[TALON_WATCH_PACKETS_LOST] = 17;
	text = text_of(&s, false);
	assert_has(text, "src_valid_mark is 1\nCapture: peer laptop by pid 99, for 1 minute, 10 seconds\n"
		"Drops followed: by pid 100, for 5 seconds\nFlows:");
	free(text);
	text = json_of(&s);
	assert_has(text, "\"watching\":{\"capture\":{\"pid\":99,\"ageSeconds\":70,\"peer\":"
		"\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"},"
		"\"drops\":{\"pid\":100,\"ageSeconds\":5,\"peer\":null},"
		"\"drops_sent\":0,\"drops_limited\":0,\"drops_lost\":0,\"packets_sent\":0,"
		"\"packets_lost\":17}");
	free(text);
	s.watches[TALON_WATCH_PACKETS].until_ns = s.watches[TALON_WATCH_DROPS].until_ns = AT(NOW_S);
	text = json_of(&s);
	assert_has(text, "\"watching\":{\"capture\":null,\"drops\":null,");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_summary_reads_as_documented),
		cmocka_unit_test(ipv6_is_shown_where_there_is_some),
		cmocka_unit_test(who_watches_is_shown_while_it_does),
		cmocka_unit_test(the_detail_stands_before_the_summary),
		cmocka_unit_test(an_empty_datapath_reads_well),
		cmocka_unit_test(the_json_has_every_field_in_its_place),
		cmocka_unit_test(virtual_addresses_are_shown_with_their_holder),
		cmocka_unit_test(hostile_text_in_maps_cannot_steer_a_terminal_or_forge_a_line),
		cmocka_unit_test(hostile_text_in_maps_stays_inside_its_json_string),
		cmocka_unit_test(the_helper_runs_stalls_or_is_not_there),
		cmocka_unit_test(json_strings_pass_utf8_and_replace_the_rest),
		cmocka_unit_test(durations_show_their_two_largest_units),
		cmocka_unit_test(sizes_are_in_powers_of_1024),
		cmocka_unit_test(the_controller_is_judged_by_its_lock_then_by_its_heartbeat),
		cmocka_unit_test(a_controller_that_has_not_finished_is_starting),
		cmocka_unit_test(a_peer_is_connected_with_a_young_handshake_and_a_session),
		cmocka_unit_test(a_healthy_node_passes_every_check),
		cmocka_unit_test(without_a_controller_a_node_is_neither_live_nor_ready_nor_started),
		cmocka_unit_test(a_controller_that_hangs_is_neither_live_nor_ready),
		cmocka_unit_test(a_controller_that_takes_over_is_starting_whatever_the_earlier_one_left),
		cmocka_unit_test(a_controller_that_was_stopped_is_neither_live_nor_ready),
		cmocka_unit_test(what_keeps_packets_from_flowing_is_why_a_node_is_not_ready),
		cmocka_unit_test(a_hung_controller_is_not_live),
		cmocka_unit_test(a_process_alone_is_not_ready),
		cmocka_unit_test(a_program_that_was_taken_off_is_named),
		cmocka_unit_test(checks_have_four_names),
		cmocka_unit_test(nothing_there_is_one_clear_line),
		cmocka_unit_test(every_counter_is_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
