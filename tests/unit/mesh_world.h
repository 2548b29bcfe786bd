/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mesh of vectors/netbird/cli as snapshots: what `lap` and `node` knew when their command line was asked.
 */
#ifndef TALON_TEST_MESH_WORLD_H
#define TALON_TEST_MESH_WORLD_H

#include "snapshot/snapshot.h"

#define SECOND		1000000000ULL
#define HALF_PAST	1795393800ULL			/* 2026-11-23T00:30:00Z */
#define AT(s, ns)	((HALF_PAST + (s)) * SECOND + (ns))
#define WORLD_NOW	AT(60, 100000000)

static char *world_upstream[] = { "upstreams", "192.168.1.53:53" };
static char *world_domains[] = { "app.example.test" };
static char *world_networks[] = { "app.example.test", "192.168.1.0/24", "192.168.1.220/32", "10.50.0.0/16" };

static struct snapshot_relay world_relays[] = {
	{ "stun:10.99.0.1:3478", true, "", "" },
	{ "rel://10.99.0.1:8080", true, "", "ws" },
};

static char *world_dns[] = { "192.168.1.53:53" }, *world_zone[] = { "cluster.example" };
static struct snapshot_nameserver world_lap_dns = {
	world_dns, 1, world_zone, 1, false,
	"1 error occurred:\n\t* with udp: read udp 100.119.120.223:49883->192.168.1.53:53: i/o timeout\n\n",
};
static struct snapshot_nameserver world_node_dns = {
	world_dns, 1, world_zone, 1, false,
	"1 error occurred:\n\t* with udp: read udp 192.168.1.221:60649->192.168.1.53:53: i/o timeout\n\n",
};

#define UPDATED(id, s, ns) { id, "INFO", "SYSTEM", "Network map updated", "", AT(s, ns), NULL, 0 }
#define UNREACHED(id, s, ns) { id, "WARNING", "DNS", "All upstream servers failed (probe failed)", \
	"Unable to reach one or more DNS servers. " \
	"This might affect your ability to connect to some services.", AT(s, ns), world_upstream, 2 }

static struct snapshot_event world_lap_events[] = {
	UPDATED("73f93c03-c0b9-4fc2-a335-c572299b4009", 41, 26007366),
	UPDATED("c1e04fc9-53fa-4c38-992f-d2874524fc9c", 42, 395324415),
	UPDATED("fa67cdb3-44a7-442d-a6be-a594a529251a", 44, 548572233),
	UPDATED("f4356364-1630-4d13-8d48-6706cc89a588", 47, 726627540),
	UPDATED("4e52b182-41fc-4925-b29b-753b53141014", 48, 726889638),
	UPDATED("72a13c7f-0edc-4521-9b96-b3a1d9c60b71", 50, 864682276),
	UNREACHED("c533400d-cff4-48cf-be5a-7093b7dd34bc", 54, 512363905),
	UPDATED("480174a9-5da9-48ec-836e-c8293e85e36b", 54, 512367690),
	UNREACHED("20cb7d19-369b-44a7-bdaf-22438d11c528", 57, 646113035),
	UPDATED("bedb690e-a387-459d-a399-2c2b45af4a42", 57, 646120356),
};

static struct snapshot_event world_node_events[] = {
	UPDATED("bfd43d2d-35c9-4c39-b1a4-2dcb7c7a8f23", 41, 0),
	UPDATED("e3713948-fc8b-4916-93df-36b89b9d3e36", 42, 400000000),
	UPDATED("bcf949fb-d9a0-4fb2-8ea5-82e6736bb610", 44, 500000000),
	UPDATED("b5297ac0-e952-427f-9c0b-d56fb555f9e2", 47, 700000000),
	UPDATED("183d996d-72b0-4aca-b4fb-ad06fb4f9ee1", 48, 700000000),
	UPDATED("ee7f2ed5-bfa2-4600-b90d-617e8fa82389", 50, 900000000),
	UNREACHED("9e32a4d1-0c88-4690-8234-f3cdf381e8e8", 54, 500000000),
	UPDATED("706c840c-d8d1-4669-a7e7-a30920867819", 54, 500000000),
	UNREACHED("7e9c18eb-cceb-4894-b2bd-6f6af4e8e541", 57, 600000000),
	UPDATED("a838a036-0dfa-4c14-acc4-44d9dd648547", 57, 600000000),
};

static struct snapshot_peer world_node = {
	.fqdn = "node.netbird.selfhosted", .ip = "100.119.2.172",
	.address6 = "fd5c:8e21:7a3b::2ac",
	.public_key = "t2jdbmCTRoKPfSWT60kMw6cb489FDlef+jvoS1qvAz8=",
	.status = "Connected", .status_ns = AT(29, 338534587), .ice_local_type = "srflx",
	.ice_remote_type = "prflx",
	.ice_local_endpoint = "10.99.0.2:51820", .ice_remote_endpoint = "10.99.0.254:16813",
	.relay = "rel://10.99.0.1:8080", .handshake_ns = AT(28, 0), .rx_bytes = 772, .tx_bytes = 636,
	.latency_ns = 382186, .networks = world_networks, .network_count = 4,
};

static struct snapshot_peer world_lap = {
	.fqdn = "lap.netbird.selfhosted", .ip = "100.119.120.223",
	.public_key = "6lEjxx/OmY3Plm6G09SS0Max6H4VbVtSsHstyK7Wmjc=",
	.status = "Connected", .status_ns = AT(28, 700000000), .ice_local_type = "host",
	.ice_remote_type = "srflx",
	.ice_local_endpoint = "192.168.1.221:51820", .ice_remote_endpoint = "10.99.0.2:51820",
	.relay = "rel://10.99.0.1:8080", .handshake_ns = AT(28, 0), .rx_bytes = 636, .tx_bytes = 772,
	.latency_ns = 482365,
};

static struct snapshot_network world_routes[] = {
	{ .id = "lan", .prefix = "192.168.1.0/24", .selected = true },
	{ .id = "gw", .prefix = "192.168.1.220/32", .selected = true },
	{ .id = "pods", .prefix = "10.50.0.0/16", .selected = true },
	{ .id = "dom", .prefix = "", .domains = world_domains, .domain_count = 1, .selected = true },
};

/* Not to be freed. */
static inline struct snapshot world_of_lap(void)
{
	return (struct snapshot){
		.version = "development", .daemon_status = "Connected", .management_connected = true,
			.signal_connected = true,
		.management_url = "http://10.99.0.1:8080", .signal_url = "http://10.99.0.1:8080",
		.management_error = "", .signal_error = "", .management_since_ns = AT(20, 0),
		.signal_since_ns = AT(21, 0), .ip = "100.119.120.223/16",
		.address6 = "fd5c:8e21:7a3b::77df/64", .listen_port = 51820,
		.public_key = "6lEjxx/OmY3Plm6G09SS0Max6H4VbVtSsHstyK7Wmjc=",
		.fqdn = "lap.netbird.selfhosted", .userspace = true, .peers = &world_node, .peer_count = 1,
		.relays = world_relays, .relay_count = 2, .nameservers = &world_lap_dns,
		.nameserver_count = 1, .events = world_lap_events, .event_count = 10, .routes = world_routes,
		.route_count = 4, .serial = 12, .map_note = "", .datapath_ready = true, .datapath_why = "",
	};
}

static inline struct snapshot world_of_node(void)
{
	struct snapshot snapshot = world_of_lap();

	snapshot.ip = "100.119.2.172/16";
	snapshot.address6 = "";
	snapshot.public_key = world_node.public_key;
	snapshot.fqdn = world_node.fqdn;
	snapshot.peers = &world_lap;
	snapshot.nameservers = &world_node_dns;
	snapshot.events = world_node_events;
	snapshot.networks = world_networks;
	snapshot.network_count = 4;
	snapshot.route_count = 0;
	return snapshot;
}

#endif
