// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The static file, flags and environment: what is accepted, what wins, and every refusal word by word.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "config/config.h"
#include "preflight/preflight.h"
#include "config/value.h"

/* Keys with a pattern, so that lines stay readable; SELF_PUBLIC belongs to SECRET. */
#define SECRET		"mBIYSvPR81C9qvSG5mjOl6KZM/lSAKNNkvLHLsvZL3c="
#define SELF_PUBLIC	"Ad/gMAfjFIFrSty5QoIikg8sb/v7FgdUpS3pYOeO8ys="
#define KEY_A		"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY_B		"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define KEY_C		"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="
#define ZERO		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

#define HEAD		"[Interface]\nPrivateKey = " SECRET "\n"
#define PEER_A		"[Peer]\nPublicKey = " KEY_A "\n"
#define PEER_B		"[Peer]\nPublicKey = " KEY_B "\n"

static struct config config;
static char why[CONFIG_WHY_LEN];

static int parse(const char *text)
{
	int ret;

	config_init(&config);
	why[0] = '\0';
	ret = config_read_text(&config, "f", text, strlen(text), why, sizeof(why));
	return ret ? ret : config_finish(&config, "f", why, sizeof(why));
}

static void take(const char *text)
{
	if (parse(text))
		fail_msg("refused: %s\n%s", why, text);
}

static int forget(void **state)
{
	config_free(&config);
	return 0;
}

static void assert_addr4(__be32 addr, const char *text)
{
	char buf[INET_ADDRSTRLEN];

	assert_string_equal(inet_ntop(AF_INET, &addr, buf, sizeof(buf)), text);
}

static void assert_cidr(const struct cidr *cidr, const char *text)
{
	char buf[CIDR_TEXT_LEN];

	cidr_format(cidr, buf, sizeof(buf));
	assert_string_equal(buf, text);
}

static const struct {
	const char *text;
	const char *why;
} refusals[] = {
	/* the form of the file */
	{ "", "f: Interface.PrivateKey: missing; expected 44 characters of base64, as `talon genkey` "
		"prints them" },
	{ "PrivateKey = x\n", "f:1: a key precedes the first section; write [Interface] above it" },
	{ "\n# x\n[Interface\n", "f:3: a section has no ']'; expected [Interface] or [Peer]" },
	{ "[Network]\n", "f:1: 'Network' is not a section; expected [Interface] or [Peer]" },
	{ "[" KEY_A "]\n", "f:1: this name is not a section; expected [Interface] or [Peer]" },
	{ HEAD "ListenPort 51820\n", "f:3: a line has no '='; expected KEY = VALUE" },
	{ HEAD "; comment\n", "f:3: a line has no '='; expected KEY = VALUE" },
	/* keys */
	{ HEAD "ListenPrt = 1\n", "f:3: Interface: 'ListenPrt' is not a key; write ListenPort, or see "
		"talon.conf(5)" },
	{ HEAD "Colour = red\n", "f:3: Interface: 'Colour' is not a key; see talon.conf(5)" },
	{ HEAD "PublicKey = " KEY_A "\n",
		"f:3: Interface: 'PublicKey' does not belong here; write it in [Peer]" },
	{ HEAD PEER_A "ListenPort = 1\n",
		"f:5: Peer: 'ListenPort' does not belong here; write it in [Interface]" },
	{ HEAD PEER_A "PostUp = x\n", "f:5: Peer: 'PostUp' does not belong here; write it in [Interface]" },
	{ HEAD PEER_A "AllowedIP = 10.0.0.0/8\n",
	  "f:5: Peer: 'AllowedIP' is not a key; write AllowedIPs, or see talon.conf(5)" },
	{ HEAD "= 1\n", "f:3: Interface: this name is not a key; see talon.conf(5)" },
	{ HEAD SECRET "\n", "f:3: Interface: this name is not a key; see talon.conf(5)" },
	/* secrets are not quoted */
	{ "[Interface]\nPrivateKey = secret\n",
	  "f:2: Interface.PrivateKey: the value is not a key; expected 44 characters of base64, as `talon "
	  "genkey` prints them" },
	{ "[Interface]\nPrivateKey = " ZERO "\n",
	  "f:2: Interface.PrivateKey: the value is all zeros; expected 44 characters of base64, as `talon "
	  "genkey` prints them" },
	{ HEAD PEER_A "PresharedKey = secret\n",
	  "f:5: Peer.PresharedKey: the value is not a key; expected 44 characters of base64, as `talon "
	  "genkey` prints them" },
	/* [Interface] */
	{ HEAD "ListenPort = 0\n", "f:3: Interface.ListenPort: '0' is not a port; expected 1-65535" },
	{ HEAD "ListenPort = 65536\n", "f:3: Interface.ListenPort: '65536' is not a port; expected 1-65535" },
	{ HEAD "ListenPort = -1\n", "f:3: Interface.ListenPort: '-1' is not a port; expected 1-65535" },
	{ HEAD "ListenPort = 18446744073709551617\n",
	  "f:3: Interface.ListenPort: '18446744073709551617' is not a port; expected 1-65535" },
	{ HEAD "ListenPort =\n", "f:3: Interface.ListenPort: '' is not a port; expected 1-65535" },
	{ HEAD "Address = 10.0.0.256\n", "f:3: Interface.Address: '10.0.0.256' is not an address; expected "
					 "ADDRESS/0-32 (IPv4) or ADDRESS/0-128 (IPv6)" },
	{ HEAD "Address = 10.0.0.1/24, fd00::1/129\n",
	"f:3: Interface.Address: 'fd00::1/129' is not an address; expected ADDRESS/0-32 (IPv4) or "
	"ADDRESS/0-128 (IPv6)" },
	{ HEAD "Address = 224.0.0.1/4\n",
	"f:3: Interface.Address: the first IPv4 address cannot be a host's; expected ADDRESS/0-32 (IPv4) or "
	"ADDRESS/0-128 (IPv6)" },
	{ HEAD "MTU = 575\n", "f:3: Interface.MTU: '575' is not an MTU; expected 576-1600" },
	{ HEAD "MTU = 1601\n", "f:3: Interface.MTU: '1601' is not an MTU; expected 576-1600" },
	{ HEAD "MTU = 9000\n", "f:3: Interface.MTU: '9000' is not an MTU; expected 576-1600" },
	{ HEAD "Uplink = a-name-too-long-for-linux\n",
	  "f:3: Interface.Uplink: 'a-name-too-long-for-linux' is not a device name; expected up to four "
	  "device names, such as eth0" },
	{ HEAD "Uplink = eth0, eth0\n",
	  "f:3: Interface.Uplink: 'eth0' is given twice; expected up to four device names, such as eth0" },
	{ HEAD "Uplink = a, b, c, d, e\n",
	  "f:3: Interface.Uplink: 'e' is one uplink too many; expected up to four device names, such as "
	  "eth0" },
	{ HEAD "Route = 10.0.0.0/33\n",
	"f:3: Interface.Route: '10.0.0.0/33' is not a route; expected ADDRESS/0-32 (IPv4) or ADDRESS/0-128 "
	"(IPv6), then masquerade or nomasquerade" },
	{ HEAD "Route = 10.0.0.0/8 sometimes\n",
	"f:3: Interface.Route: '10.0.0.0/8 sometimes' is not a route; expected ADDRESS/0-32 (IPv4) or "
	"ADDRESS/0-128 (IPv6), then masquerade or nomasquerade" },
	{ HEAD "Route = 10.0.0.0/8 masquerade now\n",
	  "f:3: Interface.Route: '10.0.0.0/8 masquerade now' is not a route; expected ADDRESS/0-32 (IPv4) "
	  "or ADDRESS/0-128 (IPv6), then masquerade or nomasquerade" },
	{ HEAD "Route = fd00::/129\n",
	"f:3: Interface.Route: 'fd00::/129' is not a route; expected ADDRESS/0-32 (IPv4) or ADDRESS/0-128 "
	"(IPv6), then masquerade or nomasquerade" },
	{ HEAD "Address = 10.0.0.1/8, fe80::1/64\n",
	"f:3: Interface.Address: the first IPv6 address cannot be a host's; expected ADDRESS/0-32 (IPv4) or "
	"ADDRESS/0-128 (IPv6)" },
	{ HEAD "Address = ::/0\n", "f:3: Interface.Address: the first IPv6 address cannot be a host's; "
	"expected ADDRESS/0-32 (IPv4) or ADDRESS/0-128 (IPv6)" },
	{ HEAD "Route = fd00::/64, 10.0.0.0/8, fd00::/64 nomasquerade\n",
	"f:3: Interface.Route: fd00::/64 is given with and without masquerade; write it once" },
	{ HEAD "Route = 10.0.0.0/8\nRoute = 10.1.0.0/8 nomasquerade\n",
	  "f:4: Interface.Route: 10.0.0.0/8 is given with and without masquerade; write it once" },
	{ HEAD "SNAT = lan\n",
	  "f:3: Interface.SNAT: 'lan' is not an address for SNAT; expected node or one spare IPv4 address of "
	  "the LAN" },
	{ HEAD "SNAT = 127.0.0.1\n",
	  "f:3: Interface.SNAT: '127.0.0.1' is not an address for SNAT; expected node or one spare IPv4 "
	  "address of the LAN" },
	{ HEAD "Route = 192.168.1.0/24\nSNAT = 192.168.1.0\n",
	  "f:4: Interface.SNAT: this is the network or broadcast address of Route 192.168.1.0/24; expected "
	  "node or one spare IPv4 address of the LAN" },
	{ HEAD "SNAT = 192.168.1.255\nRoute = 192.168.1.0/24\n",
	  "f:3: Interface.SNAT: this is the network or broadcast address of Route 192.168.1.0/24; expected "
	  "node or one spare IPv4 address of the LAN" },
	{ HEAD "Route = 192.168.1.220\nSNAT = 192.168.1.220\n",
	  "f:4: Interface.SNAT: this is the destination of Route 192.168.1.220/32; expected node or one "
	  "spare IPv4 address of the LAN" },
	{ HEAD "Address = 100.64.0.1/10\nSNAT = 100.64.0.1\n",
	  "f:4: Interface.SNAT: this is the node's mesh address; expected node or one spare IPv4 address of "
	  "the LAN" },
	{ HEAD "SNATPorts = 3000-2000\n",
	  "f:3: Interface.SNATPorts: '3000-2000' has its larger port first; expected FIRST-LAST within "
	  "1024-65535" },
	{ HEAD "SNATPorts = 80-90\n",
	  "f:3: Interface.SNATPorts: '80-90' is not a port range; expected FIRST-LAST within 1024-65535" },
	{ HEAD "SNATPorts = 5000\n",
	  "f:3: Interface.SNATPorts: '5000' is not a port range; expected FIRST-LAST within 1024-65535" },
	{ HEAD "Datapath = ebpf\n",
	  "f:3: Interface.Datapath: 'ebpf' is not a datapath; expected auto, xdp, xdp-generic, tcx or "
	  "clsact" },
	{ HEAD "XDPDispatcher = maybe\n",
		"f:3: Interface.XDPDispatcher: 'maybe' is not a choice; expected auto, always or never" },
	{ HEAD "XDPDispatcher = always\nDatapath = tcx\n",
	  "f:3: Interface.XDPDispatcher: always needs XDP; write Datapath = auto, xdp or xdp-generic" },
	{ HEAD "XDPPriority = 0\n", "f:3: Interface.XDPPriority: '0' is not a priority; expected 1-65535" },
	{ HEAD "HostAddress = perhaps\n", "f:3: Interface.HostAddress: 'perhaps' is not a choice; expected "
		"yes or no" },
	{ HEAD "HostAddress = yes\n",
	  "f:3: Interface.HostAddress: yes needs an address; write Address = ADDRESS/0-32 (IPv4) or "
	  "ADDRESS/0-128 (IPv6)" },
	{ HEAD "Local = 10.0.0.0/8 x\n",
		"f:3: Interface.Local: 'x' is not a CIDR; expected ADDRESS/0-32 (IPv4) or ADDRESS/0-128 "
		"(IPv6)" },
	{ HEAD "Local = fd00::1/200\n",
	"f:3: Interface.Local: 'fd00::1/200' is not a CIDR; expected ADDRESS/0-32 (IPv4) or ADDRESS/0-128 "
	"(IPv6)" },
	{ HEAD "UplinkThreads = 2\n", "f:3: Interface.UplinkThreads: '2' is not a choice; expected auto, on "
		"or off" },
	{ HEAD "HandUp = up\n", "f:3: Interface.HandUp: 'up' is not a choice; expected auto, pass or "
		"tunnel" },
	{ HEAD "Tunnel = a/b\n", "f:3: Interface.Tunnel: 'a/b' is not a device name; expected a device name "
	"of 1-15 characters, such as wt0" },
	{ HEAD "Tunnel = lo\n", "f:3: Interface.Tunnel: lo is the loopback device; write another name, such "
		"as wt0" },
	{ HEAD "Uplink = wt0\n", "f: Interface.Tunnel: wt0 is an uplink too; write another name, such "
		"as wt0" },
	{ HEAD "MaxPeers = 65537\n", "f:3: Interface.MaxPeers: '65537' is not a number of peers; expected "
		"1-65536" },
	{ HEAD "MaxPeers = 1\n" PEER_A PEER_B,
	  "f:3: Interface.MaxPeers: 1 is less than the 2 peers of the file; expected 2-65536" },
	{ HEAD "MaxFlows = 1048577\n", "f:3: Interface.MaxFlows: '1048577' is not a number of flows; "
		"expected 1024-1048576" },
	{ HEAD "KeystreamMemory = 1025\n",
		"f:3: Interface.KeystreamMemory: '1025' is not a number of MiB; expected 0-1024" },
	{ HEAD "Metrics = localhost:9567\n", "f:3: Interface.Metrics: 'localhost:9567' is not an address to "
		"listen on; expected ADDRESS:PORT, unix:/PATH or off" },
	{ HEAD "MetricsPeers = 1001\n",
		"f:3: Interface.MetricsPeers: '1001' is not a number of peers; expected 0-1000" },
	{ HEAD "MetricsAliases = some\n",
		"f:3: Interface.MetricsAliases: 'some' is not a choice; expected on or off" },
	/* [Peer] */
	{ HEAD "[Peer]\nAllowedIPs = 10.0.0.0/8\n",
	  "f:3: Peer.PublicKey: missing; expected 44 characters of base64, as `talon pubkey` prints "
	  "them" },
	{ HEAD "[Peer]\nPublicKey = abc\n",
	  "f:4: Peer.PublicKey: 'abc' is not a key; expected 44 characters of base64, as `talon pubkey` "
	  "prints them" },
	{ HEAD "[Peer]\nPublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQF=\n",
	  "f:4: Peer.PublicKey: the value is not a key; expected 44 characters of base64, as `talon pubkey` "
	  "prints them" },
	/* it may be the private one, or a setup key, that stands in the wrong place */
	{ HEAD "ListenPort = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
	  "f:3: Interface.ListenPort: the value is not a port; expected 1-65535" },
	{ HEAD "MTU = 5f1c2b7a-0000-4000-8000-1234567890ab\n",
	  "f:3: Interface.MTU: the value is not an MTU; expected 576-1600" },
	{ HEAD "[Peer]\nPublicKey = " ZERO "\n",
	  "f:4: Peer.PublicKey: the value is all zeros; expected 44 characters of base64, as `talon pubkey` "
	  "prints them" },
	{ HEAD PEER_A PEER_B PEER_A, "f:7: Peer.PublicKey: the peer at line 3 has the same; write one [Peer] "
		"for each key" },
	{ HEAD PEER_A "AllowedIPs = 10.0.0.0/33\n",
	"f:5: Peer.AllowedIPs: '10.0.0.0/33' is not a CIDR; expected ADDRESS/0-32 (IPv4) or ADDRESS/0-128 "
	"(IPv6)" },
	{ HEAD PEER_A "AllowedIPs = 10.0.0.0/255.0.0.0\n",
	"f:5: Peer.AllowedIPs: '10.0.0.0/255.0.0.0' is not a CIDR; expected ADDRESS/0-32 (IPv4) or "
	"ADDRESS/0-128 (IPv6)" },
	{ HEAD PEER_A "AllowedIPs = 10.0.0.0/\n", "f:5: Peer.AllowedIPs: '10.0.0.0/' is not a CIDR; expected "
						  "ADDRESS/0-32 (IPv4) or ADDRESS/0-128 (IPv6)" },
	{ HEAD PEER_A "AllowedIPs = host\n", "f:5: Peer.AllowedIPs: 'host' is not a CIDR; expected "
					     "ADDRESS/0-32 (IPv4) or ADDRESS/0-128 (IPv6)" },
	{ HEAD PEER_A "AllowedIPs = \x1b[31m\x07\n", "f:5: Peer.AllowedIPs: '?[31m?' is not a CIDR; expected "
						     "ADDRESS/0-32 (IPv4) or ADDRESS/0-128 (IPv6)" },
	{ HEAD PEER_A "Endpoint = 10.0.0.1\n",
	"f:5: Peer.Endpoint: '10.0.0.1' is not an endpoint; expected ADDRESS:PORT, [IPV6-ADDRESS]:PORT or "
	"NAME:PORT" },
	{ HEAD PEER_A "Endpoint = 10.0.0:51820\n",
	"f:5: Peer.Endpoint: '10.0.0:51820' is not an endpoint; expected ADDRESS:PORT, [IPV6-ADDRESS]:PORT "
	"or NAME:PORT" },
	{ HEAD PEER_A "Endpoint = fd00::g:51820\n",
	"f:5: Peer.Endpoint: 'fd00::g:51820' is not an endpoint; expected ADDRESS:PORT, [IPV6-ADDRESS]:PORT "
	"or NAME:PORT" },
	{ HEAD PEER_A "Endpoint = [fe80::1]:51820\n",
	"f:5: Peer.Endpoint: '[fe80::1]:51820' is not an endpoint; expected ADDRESS:PORT, "
	"[IPV6-ADDRESS]:PORT or NAME:PORT" },
	{ HEAD PEER_A "Endpoint = [fe80::1%]:51820\n",
	"f:5: Peer.Endpoint: '[fe80::1%]:51820' is not an endpoint; expected ADDRESS:PORT, "
	"[IPV6-ADDRESS]:PORT or NAME:PORT" },
	{ HEAD PEER_A "Endpoint = [fd00::1%eth0]:51820\n",
	"f:5: Peer.Endpoint: '[fd00::1%eth0]:51820' is not an endpoint; expected ADDRESS:PORT, "
	"[IPV6-ADDRESS]:PORT or NAME:PORT" },
	{ HEAD PEER_A "Endpoint = vps.example:0\n",
	"f:5: Peer.Endpoint: 'vps.example:0' is not an endpoint; expected ADDRESS:PORT, [IPV6-ADDRESS]:PORT "
	"or NAME:PORT" },
	{ HEAD PEER_A "Endpoint = -x.example:1\n",
	"f:5: Peer.Endpoint: '-x.example:1' is not an endpoint; expected ADDRESS:PORT, [IPV6-ADDRESS]:PORT "
	"or NAME:PORT" },
	{ HEAD PEER_A "PersistentKeepalive = 65536\n",
	  "f:5: Peer.PersistentKeepalive: '65536' is not an interval; expected 1-65535 (seconds) or off" },
	{ HEAD PEER_A "PersistentKeepalive = 25s\n",
	  "f:5: Peer.PersistentKeepalive: '25s' is not an interval; expected 1-65535 (seconds) or off" },
	{ HEAD PEER_A "Name = 0123456789012345678901234567890123456789\n",
	  "f:5: Peer.Name: '0123456789012345678901234567890123456789' is not a name; expected 1-39 "
	  "characters" },
};

static void every_refusal_names_place_field_and_accepted_form(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		assert_int_equal(parse(refusals[i].text), -EINVAL);
		assert_string_equal(why, refusals[i].why);
		config_free(&config);
	}
}

static void a_nul_byte_is_refused(void **state)
{
	static const char text[] = HEAD "ListenPort = 1\0002\n";

	config_init(&config);
	assert_int_equal(config_read_text(&config, "f", text, sizeof(text) - 1, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "f:3: a line holds a NUL byte; expected plain text");
}

static void defaults_stand_where_nothing_is_written(void **state)
{
	take(HEAD);
	assert_int_equal(config.listen_port, 51820);
	assert_int_equal(config.mtu, 1280);
	assert_string_equal(config.tunnel, "wt0");
	assert_int_equal(config.uplink_count, 0);
	assert_int_equal(config.route_count, 0);
	assert_int_equal(config.snat_addr, 0);
	assert_int_equal(config.port_first, 12288);
	assert_int_equal(config.port_last, 19999);
	assert_int_equal(config.datapath, CONFIG_DATAPATH_AUTO);
	assert_int_equal(config.dispatcher, CONFIG_DISPATCHER_AUTO);
	assert_int_equal(config.xdp_priority, 50);
	assert_int_equal(config.hand_up, CONFIG_HAND_UP_AUTO);
	assert_int_equal(config.max_peers, 1024);
	assert_int_equal(config.max_flows, 262144);
	assert_int_equal(config.keystream_memory, 32);
	assert_true(config.capture);
	assert_int_equal(config.metrics.family, AF_INET);
	assert_addr4(config.metrics.addr.word[0], "127.0.0.1");
	assert_int_equal(ntohs(config.metrics.port), 9567);
	assert_false(config.metrics.is_given);
	assert_int_equal(config.metrics.peers, 0);
	assert_false(config.metrics.aliases);
	assert_false(config.host_address);	/* there is none */
	assert_int_equal(config.mesh_addr, 0);
	assert_string_equal(config.pin_dir, "/sys/fs/bpf/talon");
	assert_int_equal(config.log_level, LOG_LEVEL_INFO);
	assert_int_equal(config.peer_count, 0);
	assert_int_equal(config.note_count, 0);
}

static void the_public_key_follows_from_the_private_one(void **state)
{
	__u8 expected[WG_KEY_LEN];

	take(HEAD);
	assert_int_equal(value_key(slice_from(SELF_PUBLIC), expected), 0);
	assert_memory_equal(config.public_key, expected, sizeof(expected));
}

static void every_key_of_talon_is_understood(void **state)
{
	take(HEAD "ListenPort = 51821\nAddress = 100.64.0.1/10\nMTU = 1420\nUplink = eth0, eth1\n"
		    "Route = 192.168.1.0/24, 10.0.0.0/8 nomasquerade\nRoute = 172.16.0.0/12 masquerade\n"
		    "SNAT = 192.168.1.250\nDatapath = XDP-Generic\nXDPDispatcher = never\nXDPPriority = 20\n"
		    "HostAddress = no\nLocal = 192.168.1.220, 10.96.0.0/12\nHandUp = tunnel\nUplinkThreads = "
		    "off\nTunnel = mesh0\nMaxPeers = 16\nMaxFlows = 1048576\nKeystreamMemory = 0\n"
		    "Capture = off\n"
		    "MetricsPeers = 1000\nMetricsAliases = on\nMetrics = 192.168.1.220:80\n");
	assert_int_equal(config.listen_port, 51821);
	assert_int_equal(config.mtu, 1420);
	assert_int_equal(config.uplink_count, 2);
	assert_string_equal(config.uplinks[0], "eth0");
	assert_string_equal(config.uplinks[1], "eth1");
	assert_int_equal(config.route_count, 3);
	assert_cidr(&config.routes[0].dst, "192.168.1.0/24");
	assert_true(config.routes[0].masquerade);
	assert_cidr(&config.routes[1].dst, "10.0.0.0/8");
	assert_false(config.routes[1].masquerade);
	assert_cidr(&config.routes[2].dst, "172.16.0.0/12");
	assert_true(config.routes[2].masquerade);
	assert_addr4(config.snat_addr, "192.168.1.250");
	assert_int_equal(config.port_first, 1024);
	assert_int_equal(config.port_last, 65535);
	assert_int_equal(config.datapath, CONFIG_DATAPATH_XDP_GENERIC);
	assert_int_equal(config.dispatcher, CONFIG_DISPATCHER_NEVER);
	assert_int_equal(config.xdp_priority, 20);
	assert_false(config.host_address);
	assert_int_equal(config.local_count, 2);
	assert_cidr(&config.local[0], "192.168.1.220/32");
	assert_cidr(&config.local[1], "10.96.0.0/12");
	assert_int_equal(config.hand_up, CONFIG_HAND_UP_TUNNEL);
	assert_int_equal(config.uplink_threads, CONFIG_UPLINK_THREADS_OFF);
	assert_string_equal(config.tunnel, "mesh0");
	assert_int_equal(config.max_peers, 16);
	assert_int_equal(config.max_flows, 1048576);
	assert_int_equal(config.keystream_memory, 0);
	assert_false(config.capture);
	assert_int_equal(config.metrics.family, AF_INET);
	assert_addr4(config.metrics.addr.word[0], "192.168.1.220");
	assert_int_equal(ntohs(config.metrics.port), 80);
	assert_true(config.metrics.is_given);
	assert_int_equal(config.metrics.peers, 1000);
	assert_true(config.metrics.aliases);
	assert_addr4(config.mesh_addr, "100.64.0.1");
	assert_addr4(config.mesh_mask, "255.192.0.0");
	assert_int_equal(config.note_count, 0);
}

static void metrics_are_served_on_addresses_and_sockets_only(void **state)
{
	char longest[5 + sizeof(((struct config_metrics *)NULL)->path) + 1] = "unix:/";
	static const char *const refused[] = {
		"", "9567", ":9567", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:9567 ", "127.0.0.1:9567:1", "256.0.0.1:1", "node:9567", "::1:9567", "[::1]",
		"[::1:9567", "[fe80::1]:9567", "[fe80::1%eth0]:9567", "[ff02::1]:9567", "224.0.0.1:9567",
		"255.255.255.255:1", "unix:", "unix:/", "unix:socket", "unix:/run/", "unix:/run/a\tb",
		"unix:@socket", "tcp:1.2.3.4:5",
	};
	struct config_metrics place = {};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (!value_listen(slice_from(refused[i]), &place) || place.family)
			fail_msg("taken: '%s'", refused[i]);
	}
	assert_int_equal(value_listen(slice_from("0.0.0.0:1"), &place), 0);
	assert_int_equal(place.addr.word[0], 0);
	assert_int_equal(value_listen(slice_from("[::]:65535"), &place), 0);
	assert_int_equal(place.family, AF_INET6);
	assert_int_equal(ntohs(place.port), 65535);
	assert_int_equal(value_listen(slice_from("[2001:db8::1]:9567"), &place), 0);
	assert_int_equal(value_listen(slice_from("unix:/run/talon-metrics.sock"), &place), 0);
	assert_int_equal(place.family, AF_UNIX);
	assert_string_equal(place.path, "/run/talon-metrics.sock");
	/* the kernel's room for a path, with its terminator */
	memset(longest + 6, 'a', sizeof(longest) - 7);
	assert_int_equal(value_listen(slice_from(longest), &place), -EINVAL);
	longest[sizeof(longest) - 2] = '\0';
	assert_int_equal(value_listen(slice_from(longest), &place), 0);
	take(HEAD "Metrics = OFF\n");
	assert_int_equal(config.metrics.family, 0);
}

static void words_of_choices_are_understood_in_any_case(void **state)
{
	static const struct {
		const char *text;
		enum config_datapath datapath;
		enum config_dispatcher dispatcher;
		enum config_hand_up hand_up;
	} cases[] = {
		{ "Datapath=auto\nXDPDispatcher=Auto\nHandUp=AUTO\n", CONFIG_DATAPATH_AUTO,
			CONFIG_DISPATCHER_AUTO,
		  CONFIG_HAND_UP_AUTO },
		{ "Datapath=xdp\nXDPDispatcher=ALWAYS\nHandUp=Pass\n", CONFIG_DATAPATH_XDP,
			CONFIG_DISPATCHER_ALWAYS,
		  CONFIG_HAND_UP_PASS },
		{ "Datapath=TCX\nXDPDispatcher=never\nHandUp=tunnel\n", CONFIG_DATAPATH_TCX,
			CONFIG_DISPATCHER_NEVER,
		  CONFIG_HAND_UP_TUNNEL },
		{ "Datapath=clsact\n", CONFIG_DATAPATH_CLSACT, CONFIG_DISPATCHER_AUTO, CONFIG_HAND_UP_AUTO },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), HEAD "%s", cases[i].text);
		take(text);
		assert_int_equal(config.datapath, cases[i].datapath);
		assert_int_equal(config.dispatcher, cases[i].dispatcher);
		assert_int_equal(config.hand_up, cases[i].hand_up);
		config_free(&config);
	}
}

static void a_wg_quick_file_is_accepted_unmodified(void **state)
{
	take("# laptop of Ann\n"
	       "\t[interface]   # any case\r\n"
	       "privatekey=" SECRET "\r\n"
	       "  ADDRESS = 10.200.0.1/24 fd00::1/64,10.200.1.1/24\n"
	       "ListenPort\t=\t51999 # the port\n"
	       "DNS = 1.1.1.1, corp.example\n"
	       "MTU = 1380\nTable = off\nFwMark = 0xca6c\nSaveConfig = true\n"
	       "PreUp = true\nPostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING "
	       "-j MASQUERADE\nPostUp = echo second\nPreDown = true\nPostDown = true\n\n[Peer]\nPublicKey = "
	       KEY_A "\nPresharedKey = "
	       KEY_C "\nAllowedIPs = 10.200.0.2/32,fd00::2/128 , 192.168.7.9/24\nAllowedIPs = "
	       "172.16.0.0/12\nEndpoint = vps.example.com:51820\nPersistentKeepalive = 25\n[PEER]\npublickey "
	       "= " KEY_B "\nEndpoint=[2001:db8::1]:51821\nAllowedIPs =\nPersistentKeepalive = off");
	assert_int_equal(config.listen_port, 51999);
	assert_int_equal(config.mtu, 1380);
	assert_int_equal(config.address_count, 3);
	assert_addr4(config.mesh_addr, "10.200.0.1");
	assert_addr4(config.mesh_mask, "255.255.255.0");
	assert_true(config.host_address);
	assert_int_equal(config.peer_count, 2);
	assert_true(config.peers[0].has_preshared_key);
	assert_int_equal(config.peers[0].preshared_key[0], 3);
	assert_int_equal(config.peers[0].keepalive_s, 25);
	assert_int_equal(config.peers[0].allowed_count, 4);
	assert_cidr(&config.peers[0].allowed[0], "10.200.0.2/32");
	assert_cidr(&config.peers[0].allowed[1], "fd00::2/128");
	assert_cidr(&config.peers[0].allowed[2], "192.168.7.0/24");
	assert_cidr(&config.peers[0].allowed[3], "172.16.0.0/12");
	assert_string_equal(config.peers[0].endpoint.host, "vps.example.com");
	assert_int_equal(config.peers[0].endpoint.family, 0);
	assert_int_equal(ntohs(config.peers[0].endpoint.port), 51820);
	assert_false(config.peers[1].has_preshared_key);
	assert_int_equal(config.peers[1].endpoint.family, AF_INET6);
	assert_int_equal(ntohs(config.peers[1].endpoint.port), 51821);
	assert_null(config.peers[1].endpoint.host);
	assert_int_equal(config.peers[1].allowed_count, 0);
	assert_int_equal(config.peers[1].keepalive_s, 0);
}

static void what_has_no_effect_is_said_in_one_line(void **state)
{
	take(HEAD "DNS = 1.1.1.1\nPostUp = a\nPostUp = b\nTable = off\n");
	assert_int_equal(config.note_count, 1);
	assert_int_equal(config.notes[0].level, LOG_LEVEL_INFO);
	assert_string_equal(config.notes[0].text,
		"f: no effect: DNS, Table, PostUp (Talon runs no commands and touches no resolver, rule or "
		"routing table)");
}

static void ipv6_without_an_own_address_is_said_to_have_no_effect(void **state)
{
	static const char *const lines[] = { "Route = fd01::/64\n", "Local = fd01::1\n",
		PEER_A "AllowedIPs = fd00::/64\n" };
	char text[1000];

	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), HEAD "Address = 10.0.0.1/8\n%s", lines[i]);
		take(text);
		assert_int_equal(config.note_count, 1);
		assert_string_equal(config.notes[0].text,
			"f: no effect: IPv6 in AllowedIPs, Route and Local (there is no IPv6 address in "
			"Address)");
		config_free(&config);
	}
	take(HEAD "Address = fd00::1/64\n" PEER_A "AllowedIPs = fd00::/64\n");
	assert_int_equal(config.note_count, 0);
}

static void both_families_are_taken(void **state)
{
	/* fd00::1, little-endian */
	static const struct talon_addr own = { { 0x000000fd, 0, 0, 0x01000000 } };

	take(HEAD "Address = 100.64.0.1/24, fd00::1/64\nRoute = 2001:db8:7::9/48 nomasquerade, ::/0, "
		"10.0.0.0/8\nLocal = fd05::/16, 10.1.0.0/16\nSNAT = 10.0.0.7\n"
		PEER_A "AllowedIPs = 100.64.0.2, fd00::2\n");
	assert_memory_equal(&config.mesh_addr6, &own, sizeof(own));
	assert_int_equal(config.mesh_len6, 64);
	assert_addr4(config.mesh_addr, "100.64.0.1");
	assert_true(config.host_address);
	assert_int_equal(config.route_count, 3);
	assert_int_equal(config.routes[0].dst.family, AF_INET6);
	assert_int_equal(config.routes[0].dst.prefixlen, 48);
	assert_int_equal(config.routes[0].dst.addr.word[2], 0);	/* host bits are cleared */
	assert_false(config.routes[0].masquerade);
	assert_int_equal(config.routes[1].dst.prefixlen, 0);
	assert_true(config.routes[1].masquerade);
	assert_int_equal(config.local_count, 2);
	assert_int_equal(config.peers[0].allowed[1].prefixlen, 128);
	assert_int_equal(config.note_count, 0);
	config_free(&config);
	take(HEAD "Address = fd00::1/64, fd00::2/64\nMTU = 1279\n");
	assert_true(config.host_address);	/* IPv6 alone will do */
	assert_int_equal(config.mesh_addr, 0);
	assert_int_equal(config.note_count, 2);
	assert_string_equal(config.notes[0].text,
		"f:3: Interface.Address: only the first IPv6 address is used");
	assert_string_equal(config.notes[1].text,
		"f:3: Interface.Address: IPv6 needs MTU = 1280 or more; the tunnel carries IPv4 only");
}

static void a_byte_order_mark_and_a_missing_last_newline_do_not_matter(void **state)
{
	take("\xef\xbb\xbf[Interface]\nPrivateKey = " SECRET "\nListenPort = 7");
	assert_int_equal(config.listen_port, 7);
}

static void the_last_of_two_equal_keys_wins(void **state)
{
	take(HEAD "ListenPort = 1\nListenPort = 2\n"
		PEER_A "Endpoint = a.example:1\nEndpoint = b.example:2\n");
	assert_int_equal(config.listen_port, 2);
	assert_string_equal(config.peers[0].endpoint.host, "b.example");
}

static void a_second_interface_section_goes_on_with_the_first(void **state)
{
	take("[Interface]\nPrivateKey = " SECRET "\n" PEER_A "[Interface]\nListenPort = 9\n");
	assert_int_equal(config.listen_port, 9);
	assert_int_equal(config.peer_count, 1);
}

static void the_same_network_in_two_peers_goes_to_the_last_with_a_warning(void **state)
{
	take(HEAD PEER_A "AllowedIPs = 10.0.0.0/8, 10.1.0.0/16, 10.0.0.1/8\n"
		PEER_B "AllowedIPs = 10.9.9.9/8\n");
	assert_int_equal(config.peers[0].allowed_count, 1);
	assert_cidr(&config.peers[0].allowed[0], "10.1.0.0/16");
	assert_int_equal(config.peers[1].allowed_count, 1);
	assert_cidr(&config.peers[1].allowed[0], "10.0.0.0/8");
	assert_int_equal(config.note_count, 1);
	assert_int_equal(config.notes[0].level, LOG_LEVEL_WARN);
	assert_string_equal(config.notes[0].text,
		"f:6: Peer.AllowedIPs: 10.0.0.0/8 moves here from the peer at line 3; the last one has it");
}

static void the_node_itself_is_left_out_of_a_shared_list_of_peers(void **state)
{
	take(HEAD PEER_A "[Peer]\nPublicKey = " SELF_PUBLIC "\nAllowedIPs = 10.0.0.0/8\n" PEER_B);
	assert_int_equal(config.peer_count, 2);
	assert_int_equal(config.peers[0].public_key[0], 1);
	assert_int_equal(config.peers[1].public_key[0], 2);
	assert_int_equal(config.note_count, 1);
	assert_string_equal(config.notes[0].text,
		"f:5: Peer.PublicKey: this is the node's own key; the peer is ignored");
}

static void an_all_zero_preshared_key_means_none(void **state)
{
	take(HEAD PEER_A "PresharedKey = " ZERO "\n");
	assert_false(config.peers[0].has_preshared_key);
}

static void a_peer_may_have_a_name(void **state)
{
	take(HEAD PEER_A "Name = Ann's laptop\n");
	assert_string_equal(config.peers[0].name, "Ann's laptop");
}

static void the_same_route_twice_is_one_route(void **state)
{
	take(HEAD "Route = 10.0.0.0/8, 10.0.0.1/8 masquerade, 11.0.0.0/8\n");
	assert_int_equal(config.route_count, 2);
	assert_cidr(&config.routes[1].dst, "11.0.0.0/8");
}

static void endpoints_are_read_in_every_form(void **state)
{
	static const struct {
		const char *text;
		int family;
		const char *host;
	} cases[] = {
		{ "192.0.2.1:51820", AF_INET, NULL },	{ "[2001:db8::1]:1", AF_INET6, NULL },
		{ "127.0.0.1:65535", AF_INET, NULL },	{ "[::1]:9", AF_INET6, NULL },
		{ "vps:51820", 0, "vps" },		{ "a_b.example.:51820", 0, "a_b.example." },
		{ "3com.example:51820", 0, "3com.example" },
		{ "2001:db8::1:51820", AF_INET6, NULL }, { "[fe80::1%eth0]:51820", AF_INET6, NULL },
		{ "fe80::1%eth0:51820", AF_INET6, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config_endpoint endpoint;

		assert_int_equal(value_endpoint(slice_from(cases[i].text), &endpoint), 0);
		assert_int_equal(endpoint.family, cases[i].family);
		assert_int_equal(!endpoint.host, !cases[i].host);
		if (endpoint.host)
			assert_string_equal(endpoint.host, cases[i].host);
		assert_string_equal(endpoint.zone, strchr(cases[i].text, '%') ? "eth0" : "");
		free(endpoint.host);
	}
}

static void ports_of_others_are_warned_about_on_the_node_address_only(void **state)
{
	take(HEAD "SNATPorts = 19000-31000\n");
	assert_int_equal(config.note_count, 2);
	assert_string_equal(config.notes[0].text,
		"f:3: Interface.SNATPorts: these ports overlap those of Calico's eBPF NAT (20000-29999)");
	assert_string_equal(config.notes[1].text,
		"f:3: Interface.SNATPorts: these ports overlap the usual NodePorts of Kubernetes "
		"(30000-32767)");
	config_free(&config);
	take(HEAD "SNATPorts = 19000-31000\nSNAT = 192.168.1.250\n");
	assert_int_equal(config.note_count, 0);
	assert_int_equal(config.port_first, 19000);
}

/* Starts with flags and environment as `talon up` does. */
static int read_sources(const char *flag, const char *value, char *const *env, const char *text)
{
	int ret = 0;

	config_init(&config);
	if (flag)
		ret = config_set_flag(&config, flag, value, why, sizeof(why));
	if (!ret)
		ret = config_read_env(&config, env, why, sizeof(why));
	if (!ret)
		ret = config_read_text(&config, "f", text, strlen(text), why, sizeof(why));
	return ret ? ret : config_finish(&config, "f", why, sizeof(why));
}

/* The value of a secret often ends in a line feed. */
static void a_line_feed_at_the_end_of_a_value_is_none_of_it(void **state)
{
	char *env[] = { "TALON_MTU=1300\n", "TALON_TUNNEL=wg5\r\n", "TALON_UPLINK=eth0\n",
		"TALON_DATAPATH=tcx\n", NULL };

	assert_int_equal(read_sources(NULL, NULL, env, HEAD), 0);
	assert_int_equal(config.mtu, 1300);
	assert_string_equal(config.tunnel, "wg5");
	assert_string_equal(config.uplinks[0], "eth0");
	assert_int_equal(config.datapath, CONFIG_DATAPATH_TCX);
}

static void a_flag_beats_the_environment_which_beats_the_file(void **state)
{
	char *env[] = { "TALON_MTU=1300", "NB_WIREGUARD_PORT=3", NULL };

	assert_int_equal(read_sources("mtu", "1400", env,
		HEAD "MTU = 1200\nListenPort = 5\nMaxPeers = 7\n"), 0);
	assert_int_equal(config.mtu, 1400);
	assert_int_equal(config.listen_port, 3);
	assert_int_equal(config.max_peers, 7);
}

static void talons_own_variable_beats_netbirds(void **state)
{
	char *env[] = { "NB_INTERFACE_NAME=wt7", "TALON_TUNNEL=mine", "NB_LOG_LEVEL=trace",
		"TALON_MTU=", NULL };

	assert_int_equal(read_sources(NULL, NULL, env, HEAD), 0);
	assert_string_equal(config.tunnel, "mine");
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config.mtu, 1280);
}

static void a_stronger_source_replaces_a_list_and_equals_add_to_it(void **state)
{
	char *env[] = { "TALON_ROUTE=10.0.0.0/8, 11.0.0.0/8", NULL };

	assert_int_equal(read_sources(NULL, NULL, env, HEAD "Route = 12.0.0.0/8\n"), 0);
	assert_int_equal(config.route_count, 2);
	assert_cidr(&config.routes[0].dst, "10.0.0.0/8");
	config_free(&config);
	config_init(&config);
	assert_int_equal(config_set_flag(&config, "route", "10.0.0.0/8", why, sizeof(why)), 0);
	assert_int_equal(config_set_flag(&config, "route", "11.0.0.0/8", why, sizeof(why)), 0);
	assert_int_equal(config.route_count, 2);
}

static void nonsense_is_refused_also_where_something_stronger_was_said(void **state)
{
	char *env[] = { NULL };

	assert_int_equal(read_sources("mtu", "1400", env, HEAD "MTU = x\n"), -EINVAL);
	assert_string_equal(why, "f:3: Interface.MTU: 'x' is not an MTU; expected 576-1600");
	config_free(&config);
	assert_int_equal(read_sources("route", "10.0.0.0/8", env, HEAD "Route = x\n"), -EINVAL);
}

static void errors_of_flags_and_variables_name_them(void **state)
{
	char *talon[] = { "TALON_DATAPATH=fast", NULL }, *netbird[] = { "NB_WIREGUARD_PORT=no", NULL },
		*none[] = { NULL };

	assert_int_equal(read_sources(NULL, NULL, talon, HEAD), -EINVAL);
	assert_string_equal(why, "TALON_DATAPATH: 'fast' is not a datapath; expected auto, xdp, xdp-generic, "
		"tcx or clsact");
	config_free(&config);
	assert_int_equal(read_sources(NULL, NULL, netbird, HEAD), -EINVAL);
	assert_string_equal(why, "NB_WIREGUARD_PORT: 'no' is not a port; expected 1-65535");
	config_free(&config);
	assert_int_equal(read_sources("pin-dir", "here", none, HEAD), -EINVAL);
	assert_string_equal(why,
		"--pin-dir: 'here' is not a directory for pins; expected an absolute path on a bpf file "
		"system");
	config_free(&config);
	assert_int_equal(read_sources("snat", "10.0.0.0", none, HEAD "Route = 10.0.0.0/8\n"), -EINVAL);
	assert_string_equal(why, "--snat: this is the network or broadcast address of Route 10.0.0.0/8; "
		"expected node or one spare IPv4 address of the LAN");
}

static void an_unknown_flag_is_told_from_a_bad_value(void **state)
{
	config_init(&config);
	assert_int_equal(config_set_flag(&config, "colour", "red", why, sizeof(why)), -ENOENT);
	assert_false(config_has_flag("colour"));
	assert_true(config_has_flag("snat-ports"));
}

static void free_wipes_every_key(void **state)
{
	static const struct config zero;
	struct config_peer *peers;

	take(HEAD PEER_A "PresharedKey = " KEY_C "\n");
	peers = config.peers;
	assert_non_null(peers);
	config_free(&config);
	assert_memory_equal(&config, &zero, sizeof(zero));
}

static void a_thousand_peers_are_read(void **state)
{
	size_t room = 1024 * 160 + 256, len = 0;
	char *text = malloc(room), key[64];
	__u8 raw[WG_KEY_LEN] = { 1 };

	assert_non_null(text);
	len += snprintf(text, room, HEAD);
	for (unsigned int i = 0; i < 1024; i++) {
		raw[1] = i;
		raw[2] = i >> 8;
		sodium_bin2base64(key, sizeof(key), raw, sizeof(raw), sodium_base64_VARIANT_ORIGINAL);
		len += snprintf(text + len, room - len, "[Peer]\nPublicKey = %s\nAllowedIPs = 100.64.%u.%u\n",
			key, i >> 8, i & 255);
	}
	take(text);
	free(text);
	assert_int_equal(config.peer_count, 1024);
	assert_int_equal(config.peers[1023].public_key[2], 3);
	assert_cidr(&config.peers[1023].allowed[0], "100.64.3.255/32");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void a_private_key_that_everybody_can_read_is_a_warning(void **state)
{
	char path[] = "/tmp/talon-test-XXXXXX", expected[200];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	write_file(path, HEAD, 0644);
	config_init(&config);
	assert_int_equal(config_read_file(&config, path, why, sizeof(why)), 0);
	assert_int_equal(config.note_count, 1);
	assert_int_equal(config.notes[0].level, LOG_LEVEL_WARN);
	snprintf(expected, sizeof(expected),
		"%s: Interface.PrivateKey: the file is world-accessible (mode 0644); run chmod 600", path);
	assert_string_equal(config.notes[0].text, expected);
	config_free(&config);

	write_file(path, HEAD, 0600);
	config_init(&config);
	assert_int_equal(config_read_file(&config, path, why, sizeof(why)), 0);
	assert_int_equal(config.note_count, 0);
	unlink(path);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	config_init(&config);
	assert_int_equal(config_read_file(&config, "/nonexistent/talon.conf", why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "/nonexistent/talon.conf: cannot open the static file: No such file or "
		"directory");
	assert_int_equal(config_read_file(&config, "/", why, sizeof(why)), -EISDIR);
	assert_string_equal(why, "/: cannot read the static file: Is a directory");
}

static void an_endless_file_is_refused(void **state)
{
	config_init(&config);
	assert_int_equal(config_read_file(&config, "/dev/zero", why, sizeof(why)), -EFBIG);
	assert_string_equal(why, "/dev/zero: cannot read the static file: File too large");
}

static void a_name_that_cannot_be_resolved_leaves_a_peer_that_calls(void **state)
{
	/* RFC 6761 section 6.4: names below "invalid" do not exist, and resolvers know it without asking. */
	take(HEAD PEER_A "Endpoint = nobody.invalid:51820\n" PEER_B "Endpoint = localhost:7\n");
	assert_int_equal(config_resolve(&config), 1);
	assert_int_equal(config.peers[0].endpoint.family, 0);
	assert_true(config.peers[1].endpoint.family == AF_INET ||
		config.peers[1].endpoint.family == AF_INET6);
	assert_int_equal(ntohs(config.peers[1].endpoint.port), 7);
	assert_int_equal(config.note_count, 1);
	assert_non_null(strstr(config.notes[0].text, "Peer.Endpoint: nobody.invalid: "));
}

#define BIT(n) (1ULL << (n))

static void missing_capabilities_are_named(void **state)
{
	static const struct {
		__u64 effective;
		int ret;
		const char *names;
	} cases[] = {
		{ BIT(12) | BIT(13) | BIT(38) | BIT(39), 0, NULL },
		{ BIT(12) | BIT(13) | BIT(21), 0, NULL },
		{ BIT(13) | BIT(38) | BIT(39), -EPERM,
			"CAP_NET_ADMIN (devices, routes, programs on devices)" },
		{ BIT(12) | BIT(13) | BIT(39), -EPERM, "CAP_PERFMON (programs that change packets)" },
		{ BIT(12) | BIT(38) | BIT(39), -EPERM, "CAP_NET_RAW (relays, held packets, fragments)" },
		{ BIT(21), -EPERM, "CAP_NET_ADMIN (devices, routes, programs on devices), CAP_NET_RAW "
			"(relays, held packets, fragments)" },
		{ 0, -EPERM, "CAP_NET_ADMIN (devices, routes, programs on devices), CAP_BPF (programs, "
			"maps), CAP_PERFMON (programs that change packets), CAP_NET_RAW (relays, held "
			"packets, fragments)" },
	};
	char expected[320];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(preflight_check_capabilities(cases[i].effective, why, sizeof(why)),
			cases[i].ret);
		if (!cases[i].ret)
			continue;
		snprintf(expected, sizeof(expected),
			"missing capability: %s; run as root or add it to the container's securityContext",
			cases[i].names);
		assert_string_equal(why, expected);
	}
}

static void a_busy_port_is_named_and_a_free_one_is_let_go(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sin);
	char expected[200];
	__u16 port;

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	port = ntohs(sin.sin_port);
	assert_int_equal(preflight_check_port(port, why, sizeof(why)), -EADDRINUSE);
	snprintf(expected, sizeof(expected),
		"Interface.ListenPort: UDP port %u is in use; write a free port, 1-65535", port);
	assert_string_equal(why, expected);
	close(fd);
	assert_int_equal(preflight_check_port(port, why, sizeof(why)), 0);
	assert_int_equal(preflight_check_port(port, why, sizeof(why)), 0);
}

static void a_pin_directory_must_be_on_a_bpf_file_system(void **state)
{
	assert_int_equal(preflight_check_pin_dir("/tmp/nothing/here", why, sizeof(why)), -EMEDIUMTYPE);
	assert_string_equal(why, "--pin-dir: /tmp/nothing/here is not on a bpf file system; run mount -t bpf "
		"bpf /sys/fs/bpf, or choose a path below /sys/fs/bpf");
}

static void every_option_has_form_and_help(void **state)
{
	size_t count = 0;

	for (const struct config_option *o = config_options(); o->key || o->flag; o++, count++) {
		assert_non_null(o->form);
		assert_non_null(o->help);
		assert_int_equal(!o->flag, !o->env);
	}
	assert_in_range(count, 20, SIZE_MAX);	/* the list did not end early */
}

static void assert_mentions(const char *path, const char *text, const char *format, const char *word)
{
	char part[64];

	if (!word)
		return;
	snprintf(part, sizeof(part), format, word);
	if (!strstr(text, part))
		fail_msg("%s does not mention \"%s\"", path, part);
}

static char *read_document(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!f)
		skip();		/* not run from the top of the tree */
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	return text;
}

static void every_option_is_in_the_manuals_and_in_the_completion(void **state)
{
	char *file = read_document("docs/static-file.md"), *conf = read_document("docs/man/talon.conf.5");
	char *page = read_document("docs/man/talon.8"),
		*completion = read_document("docs/completion/talon.bash");

	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		assert_mentions("static-file.md", file, "| `%s` |", o->key);
		assert_mentions("static-file.md", file, "`--%s`", o->flag);
		assert_mentions("static-file.md", file, "`%s`", o->env);
		assert_mentions("static-file.md", file, "`%s`", o->netbird_env);
		assert_mentions("talon.conf.5", conf, ".It Cm %s\n", o->key);
		assert_mentions("talon.8", page, ".It Fl -%s ", o->flag);
		assert_mentions("talon.8", page, "%s", o->env);
		assert_mentions("talon.8", page, "%s", o->netbird_env);
		assert_mentions("talon.bash", completion, "--%s", o->flag);
	}
	free(file);
	free(conf);
	free(page);
	free(completion);
}

static void mesh_options_are_in_the_manuals_and_in_the_completion(void **state)
{
	char *mesh = read_document("docs/mesh.md"), *page = read_document("docs/man/talon.8");
	char *completion = read_document("docs/completion/talon.bash");

	for (const struct config_mesh_option *o = config_mesh_options(); o->flag; o++) {
		assert_non_null(o->form);
		assert_mentions("mesh.md", mesh, "`--%s`", o->flag);
		assert_mentions("mesh.md", mesh, "`%s`", o->env);
		if (!o->help)
			continue;
		assert_mentions("talon.8", page, ".It Fl -%s", o->flag);
		assert_mentions("talon.bash", completion, "--%s", o->flag);
	}
	free(mesh);
	free(page);
	free(completion);
}

#define UUID "5f1c2b7a-0000-4000-8000-1234567890ab"

/* A mesh's configuration of flags ("name=value") and variables. */
static int read_mesh(const char *const *flags, char *const *env)
{
	int ret = 0;

	config_init(&config);
	config_use_mesh(&config);
	for (; !ret && flags && *flags; flags++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "%.*s", (int)strcspn(*flags, "="), *flags);
		ret = config_set_flag(&config, flag, strchr(*flags, '=') + 1, why, sizeof(why));
	}
	if (!ret && env)
		ret = config_read_env(&config, env, why, sizeof(why));
	return ret ? ret : config_finish(&config, NULL, why, sizeof(why));
}

static void take_mesh(const char *const *flags, char *const *env)
{
	if (read_mesh(flags, env))
		fail_msg("refused: %s", why);
}

static void a_mesh_needs_nothing_to_be_said(void **state)
{
	take_mesh(NULL, NULL);
	assert_true(config.mesh.enabled);
	assert_null(config.mesh.management_url);
	assert_null(config.mesh.setup_key);
	assert_string_equal(config.mesh.state_dir, "/var/lib/netbird");
	assert_string_equal(config.mesh.identity_path, "/var/lib/netbird/default.json");
	assert_string_equal(config.mesh.control_socket, "/var/run/talon.sock");
	assert_int_equal(config.max_peers, 2048);
	assert_int_equal(config.mesh.given, 0);
	assert_true(config.host_address);
	assert_int_equal(config.port_first, CONFIG_NODE_PORT_FIRST);
	assert_int_equal(config.note_count, 0);
}

static void a_mesh_is_configured_by_netbirds_variables(void **state)
{
	char *env[] = {
		"NB_MANAGEMENT_URL=https://netbird.example", "NB_SETUP_KEY=" UUID, "NB_HOSTNAME=box",
		"NB_STATE_DIR=/data/", "NB_INTERFACE_NAME=wt9",
		"NB_WIREGUARD_PORT=51999", "NB_MTU=1300", "NB_PRESHARED_KEY=" KEY_A, "NB_LOG_LEVEL=trace",
		"NB_LOG_FORMAT=json",
		"NB_LOG_FILE=console", "NB_DAEMON_ADDR=unix:///run/x.sock", "NB_DISABLE_CLIENT_ROUTES=1",
		"NB_DISABLE_SERVER_ROUTES=T", "NB_DISABLE_FIREWALL=true", "NB_BLOCK_LAN_ACCESS=True",
		"NB_BLOCK_INBOUND=TRUE", "NB_FORCE_RELAY=true", "NB_DISABLE_IPV6=true",
		"NB_DISABLE_NETWORKS=1", "NB_ENABLE_CAPTURE=false", "NB_LAZY_CONN=off",
		"NB_EXTRA_DNS_LABELS=one, Two.x,*.three", "NB_DNS_FORWARDER_PORT=5353",
		"NB_FOREGROUND_MODE=t", "NB_DISABLE_DNS=true", "NB_PROFILE=default",
		"NB_ENTRYPOINT_LOGIN_TIMEOUT=5", "TALON_AGENT=yes", "NB_RELAY_TRANSPORT=prefer-WS",
		"NB_HOME_RELAY_SERVERS=rels://relay.example, rel://10.0.0.1:8082,", NULL,
	};

	take_mesh(NULL, env);
	assert_string_equal(config.mesh.management_url, "https://netbird.example:443");
	assert_string_equal(config.mesh.setup_key, UUID);
	assert_string_equal(config.mesh.hostname, "box");
	assert_string_equal(config.mesh.state_dir, "/data");
	assert_string_equal(config.mesh.identity_path, "/data/default.json");
	assert_string_equal(config.tunnel, "wt9");
	assert_int_equal(config.listen_port, 51999);
	assert_int_equal(config.mtu, 1300);
	assert_string_equal(config.mesh.preshared_key, KEY_A);
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	assert_true(config.log_json);
	assert_string_equal(config.mesh.control_socket, "/run/x.sock");
	assert_true(config.mesh.disable_client_routes && config.mesh.disable_server_routes &&
		config.mesh.disable_firewall);
	assert_true(config.mesh.block_lan_access && config.mesh.block_inbound && config.mesh.force_relay &&
		config.mesh.disable_ipv6 && config.mesh.disable_networks && !config.capture);
	assert_true(config.mesh.given & CONFIG_GIVEN_LAZY_CONN && !config.mesh.lazy_conn);
	assert_int_equal(config.mesh.dns_label_count, 3);
	assert_string_equal(config.mesh.dns_labels[1], "two.x");
	assert_int_equal(config.mesh.dns_forwarder_port, 5353);
	assert_true(config.mesh.foreground && config.mesh.agent);
	assert_int_equal(config.mesh.home_relay_count, 2);
	assert_string_equal(config.mesh.home_relays[0].host, "relay.example");
	assert_int_equal(config.mesh.home_relays[0].port, 443);
	assert_true(server_url_is_tls(&config.mesh.home_relays[0]));
	assert_int_equal(config.mesh.home_relays[1].port, 8082);
	assert_int_equal(config.mesh.given, 0x7ff);
	assert_int_equal(config.note_count, 0);
}

static void netbirds_flags_and_letters_mean_the_same(void **state)
{
	static const char *const flags[] = {
		"m=http://10.0.0.1", "k=DEADBEEF000040008000 1234567890AB", NULL,
	};
	static const char *const more[] = {
		"m=http://10.0.0.1/path?x", "k=5F1C2B7A0000400080001234567890AB", "n=h",
		"c=/etc/netbird/config.json", "l=warn", "F=true",
		"interface-name=wt3", "wireguard-port=7", "disable-firewall=false", NULL,
	};

	assert_int_equal(read_mesh(flags, NULL), -EINVAL);
	assert_null(strstr(why, "DEADBEEF"));
	config_free(&config);
	take_mesh(more, NULL);
	assert_string_equal(config.mesh.management_url, "http://10.0.0.1:80");
	assert_string_equal(config.mesh.setup_key, UUID);
	assert_string_equal(config.mesh.hostname, "h");
	assert_string_equal(config.mesh.identity_path, "/etc/netbird/config.json");
	assert_int_equal(config.log_level, LOG_LEVEL_WARN);
	assert_true(config.mesh.foreground);
	assert_string_equal(config.tunnel, "wt3");
	assert_int_equal(config.listen_port, 7);
	assert_int_equal(config.mesh.given, CONFIG_GIVEN_TUNNEL | CONFIG_GIVEN_PORT | CONFIG_GIVEN_FIREWALL);
	assert_true(config_flag_is_switch("F") && config_flag_is_switch("block-inbound") &&
		!config_flag_is_switch("m"));
	assert_false(config_flag_is_switch("mtu"));
	assert_string_equal(config_mesh_flag_given(&config), "management-url");
}

static void in_a_mesh_netbirds_variables_win_over_flags_and_talons_lose(void **state)
{
	static const char *const flags[] = { "hostname=flag", "mtu=1400", "listen-port=5", "tunnel=flag0",
		"agent=false", "extra-dns-labels=flag", NULL };
	char *env[] = { "NB_HOSTNAME=env", "NB_MTU=1300", "TALON_LISTEN_PORT=6", "NB_WIREGUARD_PORT=8",
		"TALON_TUNNEL=env0", "TALON_AGENT=true", "NB_EXTRA_DNS_LABELS=env", "WT_HOSTNAME=old", NULL };

	take_mesh(flags, env);
	assert_string_equal(config.mesh.hostname, "env");
	assert_int_equal(config.mtu, 1300);
	assert_int_equal(config.listen_port, 5);
	assert_string_equal(config.tunnel, "flag0");
	assert_false(config.mesh.agent);
	assert_int_equal(config.mesh.dns_label_count, 1);
	assert_string_equal(config.mesh.dns_labels[0], "env");
}

static void the_older_names_of_variables_are_read_too(void **state)
{
	char *env[] = { "WT_MANAGEMENT_URL=https://old.example:8443", NULL };

	take_mesh(NULL, env);
	assert_string_equal(config.mesh.management_url, "https://old.example:8443");
}

static const struct {
	const char *flag;
	const char *why;
} mesh_refusals[] = {
	{ "management-url=netbird.example",
	  "--management-url: 'netbird.example' is not a management server; expected https://HOST or "
	  "https://HOST:PORT (http:// too)" },
	{ "m=ftp://x", "--management-url: 'ftp://x' is not a management server; expected https://HOST or "
		"https://HOST:PORT (http:// too)" },
	{ "m=https://", "--management-url: 'https://' is not a management server; expected https://HOST or "
		"https://HOST:PORT (http:// too)" },
	{ "m=https://:443", "--management-url: 'https://:443' is not a management server; expected "
		"https://HOST or https://HOST:PORT (http:// too)" },
	{ "m=https://a:0", "--management-url: 'https://a:0' is not a management server; expected "
		"https://HOST or https://HOST:PORT (http:// too)" },
	{ "m=https://u@a", "--management-url: 'https://u@a' is not a management server; expected "
		"https://HOST or https://HOST:PORT (http:// too)" },
	{ "m=https://[::1", "--management-url: 'https://[::1' is not a management server; expected "
		"https://HOST or https://HOST:PORT (http:// too)" },
	{ "setup-key=secret", "--setup-key: the value is not a setup key; expected the UUID that the "
	"dashboard shows once, such as 5F1C2B7A-0000-4000-8000-1234567890AB" },
	{ "preshared-key=secret",
	  "--preshared-key: the value is not a key; expected 44 characters of base64, as `talon genkey` "
	  "prints them" },
	{ "hostname=", "--hostname: '' is not a host name; expected a name of 1-253 characters without "
		"spaces" },
	{ "hostname=a b", "--hostname: 'a b' is not a host name; expected a name of 1-253 characters without "
		"spaces" },
	{ "state-dir=data", "--state-dir: 'data' is not a directory for state; expected an absolute path" },
	{ "daemon-addr=tcp://127.0.0.1:41731",
	"--daemon-addr: 'tcp://127.0.0.1:41731' is not a local socket; expected unix:///PATH, the path of at "
	"most 107 characters" },
	{ "extra-dns-labels=a,-!", "--extra-dns-labels: '-!' is not a DNS label; expected up to 32 DNS "
		"labels with commas between them" },
	{ "dns-forwarder-port=0", "--dns-forwarder-port: '0' is not a port; expected 1-65535" },
	{ "block-inbound=maybe", "--block-inbound: 'maybe' is not a choice; expected true or false" },
	{ "relay-transport=quic", "--relay-transport: 'quic' is not supported: Talon reaches relays by "
	"WebSocket; expected auto, ws, prefer-ws or prefer-quic" },
	{ "relay-transport=tcp", "--relay-transport: 'tcp' is not a choice; expected auto, ws, prefer-ws or "
		"prefer-quic" },
	{ "home-relay-servers=rel://a,https://b",
	"--home-relay-servers: 'https://b' is not a relay; expected up to "
		"16 of rel://HOST:PORT or rels://HOST:PORT with commas between them" },
	{ "home-relay-servers=rel://a,rel://b,rel://c,rel://d,rel://e,rel://f,rel://g,rel://h,rel://i,"
		"rel://j,rel://k,rel://l,rel://m,rel://n,rel://o,rel://p,rel://q",
		"--home-relay-servers: 'rel://q' is one "
		"relay too many; expected up to 16 of rel://HOST:PORT or rels://HOST:PORT with commas "
		"between them" },
	{ "enable-rosenpass=true", "--enable-rosenpass: 'true' is not supported: Talon does not speak "
		"Rosenpass; expected false" },
	{ "profile=work", "--profile: 'work' is not a profile that Talon has; expected default" },
	{ "mtu=1", "--mtu: '1' is not an MTU; expected 576-1600" },
	{ "anonymize-level=some", "--anonymize-level: 'some' is not a level; expected default or strict" },
	{ "disable-ipv6=6", "--disable-ipv6: '6' is not a choice; expected true or false" },
	{ "allow-server-ssh=perhaps", "--allow-server-ssh: 'perhaps' is not a choice; expected true or "
		"false" },
	{ "address=100.64.0.1/10", "--address: management gives the mesh address in a mesh; leave it out, or "
		"use --static FILE" },
	{ "route=10.0.0.0/8", "--route: management gives the routes in a mesh; leave it out, or use --static "
		"FILE" },
	{ "datapath=fast", "--datapath: 'fast' is not a datapath; expected auto, xdp, xdp-generic, tcx or "
		"clsact" },
	{ "setup-key-file=/nonexistent/key",
	"--setup-key-file: cannot read /nonexistent/key: No such file or directory; expected the path of a "
	"file with a setup key" },
	{ "setup-key-file=/dev/null",
	"--setup-key-file: /dev/null is empty; expected the UUID that the dashboard shows once, such as "
	"5F1C2B7A-0000-4000-8000-1234567890AB in it" },
	{ "setup-key-file=/dev/zero", "--setup-key-file: cannot read /dev/zero: File too large; expected the "
		"path of a file with a setup key" },
};

static void every_refusal_of_a_mesh_names_flag_and_accepted_form(void **state)
{
	for (size_t i = 0; i < sizeof(mesh_refusals) / sizeof(mesh_refusals[0]); i++) {
		const char *flags[] = { mesh_refusals[i].flag, NULL };

		assert_int_equal(read_mesh(flags, NULL), -EINVAL);
		assert_string_equal(why, mesh_refusals[i].why);
		config_free(&config);
	}
}

static void a_wrong_variable_of_a_mesh_is_named(void **state)
{
	char *env[] = { "NB_SETUP_KEY=secret", NULL },
		*lazy[] = { "NB_LAZY_CONN=x", NULL },
		*threshold[] = { "NB_LAZY_CONN_INACTIVITY_THRESHOLD=soon", NULL };

	assert_int_equal(read_mesh(NULL, env), -EINVAL);
	assert_int_equal(strncmp(why, "NB_SETUP_KEY: the value is not a setup key; ", 44), 0);
	config_free(&config);
	assert_int_equal(read_mesh(NULL, lazy), -EINVAL);
	assert_string_equal(why, "NB_LAZY_CONN: 'x' is not a choice; expected on or off");
	config_free(&config);
	assert_int_equal(read_mesh(NULL, threshold), -EINVAL);
	assert_string_equal(why, "NB_LAZY_CONN_INACTIVITY_THRESHOLD: 'soon' is not a duration; expected a "
		"duration such as 90s, 15m or 1h30m; a bare number is minutes");
}

static void durations_are_go_s_or_minutes(void **state)
{
	static const char *const good[] = { "15", "0", "30m", "1h30m", "1.5h", "90s", "500ms", "1us",
		"1\xc2\xb5s", "2h45m30.5s", "0s", ".5m" }, *const bad[] = { "", "m", "1.5", "1h30", "-5m",
		"5 m", "5d", "1..5h", "h1", "5M", ".", "1h.", "9999999999999999999h" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(value_duration(slice_from(good[i])), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(value_duration(slice_from(bad[i])), -EINVAL);
}

/* Both ways, and in every form that NetBird's client takes; what it no longer has changes nothing. */
static void nb_lazy_conn_alone_overrides_the_account(void **state)
{
	static const struct { char *value; bool on; } cases[] = {
		{ "NB_LAZY_CONN=on", true }, { "NB_LAZY_CONN=OFF", false }, { "NB_LAZY_CONN=true", true },
		{ "NB_LAZY_CONN=F", false }, { "NB_LAZY_CONN=1", true }, { "NB_LAZY_CONN=0", false },
	};
	static const char *const old[] = { "enable-lazy-connection=true", NULL };
	char *env[] = { NULL, NULL }, *removed[] = { "NB_ENABLE_EXPERIMENTAL_LAZY_CONN=true",
		"NB_SKIP_DNS_PROBE=true", NULL };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env[0] = cases[i].value;
		take_mesh(NULL, env);
		assert_true(config.mesh.given & CONFIG_GIVEN_LAZY_CONN);
		assert_int_equal(config.mesh.lazy_conn, cases[i].on);
		config_free(&config);
	}
	take_mesh(old, removed);
	assert_false(config.mesh.given & CONFIG_GIVEN_LAZY_CONN);
	assert_int_equal(config.note_count, 2);
	assert_string_equal(config.notes[0].text,
		"no effect: NB_ENABLE_EXPERIMENTAL_LAZY_CONN, NB_SKIP_DNS_PROBE (NetBird's client no longer "
		"has them; NB_LAZY_CONN is there for lazy connections)");
	assert_string_equal(config.notes[1].text,
		"--enable-lazy-connection: no effect: the account decides, and NB_LAZY_CONN over it");
}

static void a_setup_key_may_come_from_a_file_but_not_from_two_places(void **state)
{
	const char *flags[] = { NULL, NULL }, *path = "/tmp/talon-test-setup-key";
	char variable[64], flag[64], *env[] = { variable, "NB_SETUP_KEY=" UUID, NULL };

	write_file(path, " \t5F1C2B7A-0000-4000-8000-1234567890AB\r\n\n", 0600);
	snprintf(flag, sizeof(flag), "setup-key-file=%s", path);
	flags[0] = flag;
	take_mesh(flags, NULL);
	assert_string_equal(config.mesh.setup_key, UUID);
	config_free(&config);
	snprintf(variable, sizeof(variable), "NB_SETUP_KEY_FILE=%s", path);
	assert_int_equal(read_mesh(NULL, env), -EINVAL);
	assert_string_equal(why, "NB_SETUP_KEY_FILE: NB_SETUP_KEY is given too; give only one of them");
	config_free(&config);
	write_file(path, "not-a-key-but-secret\n", 0600);
	assert_int_equal(read_mesh(flags, NULL), -EINVAL);
	assert_non_null(strstr(why, "what /tmp/talon-test-setup-key holds is not a setup key; expected "));
	assert_null(strstr(why, "secret"));
	unlink(path);
}

static void what_does_nothing_in_a_mesh_is_said(void **state)
{
	static const char *const flags[] = { "allow-server-ssh=true", "disable-dns=true",
		"dns-router-interval=1m", NULL };
	char *env[] = { "NB_WG_KERNEL_DISABLED=true", "NB_USE_NETSTACK_MODE=true", "NB_SETUP_KEYS=x",
		"NB_PPROF_ADDR=", NULL };

	take_mesh(flags, env);
	assert_int_equal(config.note_count, 4);
	assert_string_equal(config.notes[0].text,
		"no effect: NB_WG_KERNEL_DISABLED, NB_USE_NETSTACK_MODE (of parts of NetBird's client that "
		"Talon does not have)");
	assert_string_equal(config.notes[1].text,
		"no effect: NB_SETUP_KEYS (not known; see talon up --help)");
	assert_int_equal(config.notes[1].level, LOG_LEVEL_WARN);
	assert_string_equal(config.notes[2].text,
		"--dns-router-interval: no effect: Talon follows the time to live of the answers");
	assert_string_equal(config.notes[3].text, "--allow-server-ssh: no effect: Talon runs no SSH server");
}

static void logs_are_a_list_that_a_stronger_source_replaces(void **state)
{
	static const char *const twice[] = { "log-file=console",
		"log-file=/var/log/a.log, /var/log/b.log,console", NULL };
	static const char *const wrong[] = { "client.log", "/", "Console", "console,syslogs", "/a\001b" };
	char *env[] = { "NB_LOG_FILE=syslog,/var/log/c.log", NULL };

	take_mesh(twice, NULL);
	assert_string_equal(config.log_file, "console,/var/log/a.log,/var/log/b.log");
	config_free(&config);
	take_mesh(twice, env);
	assert_string_equal(config.log_file, "syslog,/var/log/c.log");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(config_set_flag(&config, "log-file", wrong[i], why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "--log-file: '"));
		assert_non_null(strstr(why, "is not a log; expected console, syslog and absolute paths"));
	}
}

static void a_file_knows_nothing_of_a_mesh(void **state)
{
	char *env[] = { "NB_SETUP_KEY=nonsense", "NB_MANAGEMENT_URL=nonsense", "NB_UNKNOWN=x", NULL };

	config_init(&config);
	assert_int_equal(config_read_env(&config, env, why, sizeof(why)), 0);
	assert_null(config.mesh.setup_key);
	assert_int_equal(config.note_count, 0);
}

static void free_wipes_a_setup_key(void **state)
{
	static const char *const flags[] = { "setup-key=" UUID, NULL };

	take_mesh(flags, NULL);
	config_free(&config);
	assert_null(config.mesh.setup_key);
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_refusal_names_place_field_and_accepted_form),
		TEST(a_nul_byte_is_refused),
		TEST(defaults_stand_where_nothing_is_written),
		TEST(the_public_key_follows_from_the_private_one),
		TEST(every_key_of_talon_is_understood),
		TEST(metrics_are_served_on_addresses_and_sockets_only),
		TEST(words_of_choices_are_understood_in_any_case),
		TEST(a_wg_quick_file_is_accepted_unmodified),
		TEST(what_has_no_effect_is_said_in_one_line),
		TEST(ipv6_without_an_own_address_is_said_to_have_no_effect),
		TEST(both_families_are_taken),
		TEST(a_byte_order_mark_and_a_missing_last_newline_do_not_matter),
		TEST(the_last_of_two_equal_keys_wins),
		TEST(a_second_interface_section_goes_on_with_the_first),
		TEST(the_same_network_in_two_peers_goes_to_the_last_with_a_warning),
		TEST(the_node_itself_is_left_out_of_a_shared_list_of_peers),
		TEST(an_all_zero_preshared_key_means_none),
		TEST(a_peer_may_have_a_name),
		TEST(the_same_route_twice_is_one_route),
		TEST(endpoints_are_read_in_every_form),
		TEST(a_line_feed_at_the_end_of_a_value_is_none_of_it),
		TEST(ports_of_others_are_warned_about_on_the_node_address_only),
		TEST(a_flag_beats_the_environment_which_beats_the_file),
		TEST(talons_own_variable_beats_netbirds),
		TEST(a_stronger_source_replaces_a_list_and_equals_add_to_it),
		TEST(nonsense_is_refused_also_where_something_stronger_was_said),
		TEST(errors_of_flags_and_variables_name_them),
		TEST(an_unknown_flag_is_told_from_a_bad_value),
		TEST(free_wipes_every_key),
		TEST(a_thousand_peers_are_read),
		TEST(a_private_key_that_everybody_can_read_is_a_warning),
		TEST(a_file_that_cannot_be_read_is_named),
		TEST(an_endless_file_is_refused),
		TEST(a_name_that_cannot_be_resolved_leaves_a_peer_that_calls),
		TEST(missing_capabilities_are_named),
		TEST(a_busy_port_is_named_and_a_free_one_is_let_go),
		TEST(a_pin_directory_must_be_on_a_bpf_file_system),
		TEST(every_option_has_form_and_help),
		TEST(every_option_is_in_the_manuals_and_in_the_completion),
		TEST(mesh_options_are_in_the_manuals_and_in_the_completion),
		TEST(a_mesh_needs_nothing_to_be_said),
		TEST(a_mesh_is_configured_by_netbirds_variables),
		TEST(netbirds_flags_and_letters_mean_the_same),
		TEST(in_a_mesh_netbirds_variables_win_over_flags_and_talons_lose),
		TEST(the_older_names_of_variables_are_read_too),
		TEST(every_refusal_of_a_mesh_names_flag_and_accepted_form),
		TEST(a_wrong_variable_of_a_mesh_is_named),
		TEST(durations_are_go_s_or_minutes),
		TEST(nb_lazy_conn_alone_overrides_the_account),
		TEST(a_setup_key_may_come_from_a_file_but_not_from_two_places),
		TEST(what_does_nothing_in_a_mesh_is_said),
		TEST(logs_are_a_list_that_a_stronger_source_replaces),
		TEST(a_file_knows_nothing_of_a_mesh),
		TEST(free_wipes_a_setup_key),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
