// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Network maps: the recorded ones, every trap, damaged ones, large ones, and the one on disk.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "netmap/netmap.h"
#include "netbird/wire.h"
#include "management.pb-c.h"
#include "unit/netbird.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static __be32 ip(const char *text)
{
	__be32 addr;

	assert_int_equal(inet_pton(AF_INET, text, &addr), 1);
	return addr;
}

static void assert_cidr(const struct cidr *cidr, const char *net, int prefixlen)
{
	assert_int_equal(cidr->family, AF_INET);
	assert_int_equal(cidr->addr.word[0], ip(net));
	assert_int_equal(cidr->prefixlen, prefixlen);
}

static void assert_net(const struct cidr *cidr, const char *want)
{
	char text[CIDR_TEXT_LEN];

	cidr_format(cidr, text, sizeof(text));
	assert_string_equal(text, want);
}

static void assert_url(const struct server_url *url, const char *want)
{
	char text[SERVER_URL_LEN];

	server_url_format(url, text);
	assert_string_equal(text, want);
}

static struct netmap_update parse_recorded(const char *name, const char *own_text)
{
	struct netmap_update update;
	uint8_t own[KEY_LEN], *bytes;
	char path[300];
	size_t len;

	snprintf(path, sizeof(path), "management/%s.bin", name);
	netbird_key(own_text, own);
	bytes = netbird_read(path, &len);
	assert_int_equal(netmap_update_parse(bytes, len, own, &update), 0);
	free(bytes);
	assert_int_equal(update.map.skipped, 0);
	assert_true(update.map.present);
	return update;
}

/* What each of the node's recorded maps holds. */
static const struct {
	const char *name;
	unsigned int serial, peers, routes, rules, route_rules;
	bool has_servers;
} recorded[] = {
	{ "node-009-received-SyncResponse", 1, 0, 0, 0, 0, true },
	{ "node-010-received-SyncResponse-joined", 2, 1, 0, 1, 0, false },
	{ "node-018-received-SyncResponse-route", 3, 1, 1, 1, 1, false },
	{ "node-020-received-SyncResponse-policies", 10, 1, 1, 6, 1, false },
	{ "node-021-received-SyncResponse-default-policy-deleted", 11, 1, 1, 5, 1, false },
	{ "node-023-received-SyncResponse-network-resource-with-policy", 14, 1, 2, 5, 2, false },
	{ "node-024-received-SyncResponse-route-with-access-groups", 15, 1, 3, 5, 3, false },
	{ "node-025-received-SyncResponse-nameserver", 16, 1, 3, 5, 3, false },
	/* with the IPv6 twin */
	{ "node-026-received-SyncResponse-domain-route", 17, 1, 4, 5, 5, false },
	{ "node-again-005-received-SyncResponse", 17, 1, 4, 5, 5, true },
	{ "node-again-012-received-SyncResponse", 18, 0, 4, 0, 3, false },
};

static void recorded_maps_have_what_was_set_up(void **state)
{
	for (size_t i = 0; i < COUNT(recorded); i++) {
		struct netmap_update update = parse_recorded(recorded[i].name, NODE_PUBLIC);

		print_message("%s\n", recorded[i].name);
		assert_int_equal(update.map.serial, recorded[i].serial);
		assert_int_equal(update.map.peer_count, recorded[i].peers);
		assert_int_equal(update.map.route_count, recorded[i].routes);
		assert_int_equal(update.map.rule_count, recorded[i].rules);
		assert_int_equal(update.map.route_rule_count, recorded[i].route_rules);
		assert_int_equal(update.servers.present, recorded[i].has_servers);
		assert_int_equal(update.map.dns_forwarder_port, 22054);
		assert_true(update.map.self.present);
		assert_int_equal(update.map.self.addr, ip("100.119.2.172"));
		assert_int_equal(update.map.self.prefixlen, 16);
		assert_string_equal(update.map.self.fqdn, "node.netbird.selfhosted");
		assert_true(update.map.self.dns_resolution);
		assert_false(update.map.self.lazy);
		assert_int_equal(update.map.self.mtu, 0);
		assert_int_equal(update.map.offline_count, 0);
		assert_false(netmap_is_farewell(&update.map));
		netmap_update_done(&update);
	}
}

static const struct netmap_route *route_called(const struct netmap *map, const char *net_id)
{
	for (size_t i = 0; i < map->route_count; i++)
		if (strcmp(map->routes[i].net_id, net_id) == 0)
			return &map->routes[i];
	fail_msg("no route %s", net_id);
	return NULL;
}

static const struct netmap_route_rule *rule_of(const struct netmap *map, const char *route_id)
{
	for (size_t i = 0; i < map->route_rule_count; i++)
		if (strcmp(map->route_rules[i].route_id, route_id) == 0)
			return &map->route_rules[i];
	fail_msg("no rule of route %s", route_id);
	return NULL;
}

static void the_routing_peers_map_is_read_field_by_field(void **state)
{
	struct netmap_update update = parse_recorded("node-again-005-received-SyncResponse", NODE_PUBLIC);
	const struct netmap *map = &update.map;
	const struct netmap_route_rule *access;
	const struct netmap_route *route;
	uint8_t key[KEY_LEN];

	assert_int_equal(update.servers.stun_count, 1);
	assert_url(&update.servers.stuns[0], "stun:10.99.0.1:3478");
	assert_url(&update.servers.signal, "http://10.99.0.1:8080");
	assert_true(update.servers.relay.present);
	assert_int_equal(update.servers.relay.url_count, 1);
	assert_url(&update.servers.relay.urls[0], "rel://10.99.0.1:8080");
	assert_string_equal(update.servers.relay.token_payload, "1795437063");
	assert_int_equal(update.servers.relay.token_signature[0], 0xe3);
	assert_int_equal(update.servers.relay.token_signature[31], 0xb3);

	netbird_key(LAP_PUBLIC, key);
	assert_memory_equal(map->peers[0].key, key, KEY_LEN);
	assert_int_equal(map->peers[0].addr, ip("100.119.120.223"));
	assert_int_equal(map->peers[0].allowed_count, 1);
	assert_cidr(&map->peers[0].allowed[0], "100.119.120.223", 32);
	assert_string_equal(map->peers[0].fqdn, "lap.netbird.selfhosted");
	assert_string_equal(map->peers[0].agent_version, "development");

	netbird_key(NODE_PUBLIC, key);
	route = route_called(map, "lan");
	assert_string_equal(route->id, "dc1oibdqmd2vv0vud4ug");
	assert_cidr(&route->net, "192.168.1.0", 24);
	assert_memory_equal(route->router, key, KEY_LEN);
	assert_int_equal(route->metric, 9999);
	assert_true(route->masquerade);
	assert_false(route->keep_route);
	assert_int_equal(route->domain_count, 0);
	route = route_called(map, "pods");
	assert_cidr(&route->net, "10.50.0.0", 16);
	assert_false(route->masquerade);
	assert_true(route->keep_route);
	route = route_called(map, "dom");
	assert_int_equal(route->net.family, 0);
	assert_int_equal(route->domain_count, 1);
	assert_string_equal(route->domains[0], "app.example.test");

	access = rule_of(map, "dc1oibdqmd2vv0vud4ug");
	assert_int_equal(access->source_count, 1);
	assert_cidr(&access->sources[0], "0.0.0.0", 0);
	assert_cidr(&access->dst, "192.168.1.0", 24);
	assert_int_equal(access->proto, NETMAP_ANY);
	assert_int_equal(access->port_first, 0);
	access = rule_of(map, "dc1oidtqmd2vv0vud5cg:dc1oi85qmd2vv0vud4e0");
	assert_cidr(&access->sources[0], "100.119.120.223", 32);
	assert_cidr(&access->dst, "192.168.1.220", 32);
	assert_int_equal(access->proto, NETMAP_TCP);
	assert_int_equal(access->port_first, 80);
	assert_int_equal(access->port_last, 80);
	access = rule_of(map, "dc1oigdqmd2vv0vud5gg");
	assert_int_equal(access->dst.family, 0);
	assert_false(access->any_dst);
	assert_int_equal(access->domain_count, 1);
	assert_string_equal(access->domains[0], "app.example.test");
	netmap_update_done(&update);
}

/* What a server of 0.77 tells a routing peer that reads source prefixes and carries IPv6. */
static void a_map_of_0_77_has_everything_in_both_families(void **state)
{
	struct netmap_update update = parse_recorded("v077-node-received-SyncResponse-both-families",
		"x99hxCGhguoxOKaFceT6+Nb6o5e2jaUNz4VrXyOczi8=");
	const struct netmap *map = &update.map;
	char text[INET6_ADDRSTRLEN];

	assert_string_equal(inet_ntop(AF_INET6, &map->self.addr6, text, sizeof(text)),
		"fde1:db8e:825:aa58:49bb:53e7:5e47:18b1");
	assert_int_equal(map->self.prefixlen6, 64);
	assert_int_equal(map->peer_count, 2);
	for (size_t i = 0; i < map->peer_count; i++) {
		assert_int_equal(map->peers[i].allowed_count, 2);
		assert_false(addr6_is_zero(&map->peers[i].addr6));
	}
	assert_net(&route_called(map, "exit")->net, "0.0.0.0/0");
	assert_net(&route_called(map, "exit-v6")->net, "::/0");
	assert_string_equal(route_called(map, "exit-v6")->id, "dc5vm5tqmd2tidefi3lg-v6-default");
	assert_net(&route_called(map, "lan6")->net, "fd01:1::/64");
	assert_true(route_called(map, "lan6")->masquerade);
	assert_int_equal(map->rule_count, 4);		/* two peers in two families; four more are OUT */
	for (size_t i = 0; i < map->rule_count; i++) {
		const struct cidr *source = &map->rules[i].sources[0];

		assert_int_equal(map->rules[i].source_count, 1);
		assert_int_equal(source->prefixlen, source->family == AF_INET ? 32 : 128);
		assert_string_equal(map->rules[i].policy, "dc5vlqtqmd2tidefi2m0");
	}
	assert_int_equal(map->route_rule_count, 4);
	assert_net(&rule_of(map, "dc5vm5tqmd2tidefi3lg-v6-default")->sources[0], "::/0");
	assert_net(&rule_of(map, "dc5vm5tqmd2tidefi3n0")->dst, "fd01:1::/64");
	netmap_update_done(&update);
}

static const struct netmap_rule policies[] = {
	{ .proto = NETMAP_TCP, .port_first = 80, .port_last = 80 },
	{ .proto = NETMAP_TCP, .port_first = 443, .port_last = 443 },
	{ .proto = NETMAP_UDP, .port_first = 8000, .port_last = 8100 },
	{ .proto = NETMAP_ICMP },
	{ .proto = NETMAP_TCP, .port_first = 22, .port_last = 22, .drop = true },
};

static bool has_rule(const struct netmap *map, const struct netmap_rule *want, __be32 peer)
{
	for (size_t i = 0; i < map->rule_count; i++) {
		const struct netmap_rule *rule = &map->rules[i];

		if (rule->source_count == 1 && rule->sources[0].prefixlen == 32 &&
			rule->sources[0].addr.word[0] == peer && rule->drop == want->drop &&
			rule->proto == want->proto &&
			rule->port_first == want->port_first && rule->port_last == want->port_last)
			return true;
	}
	return false;
}

static void the_policies_are_all_there_and_only_inbound(void **state)
{
	struct netmap_update update = parse_recorded("node-again-005-received-SyncResponse", NODE_PUBLIC);

	assert_int_equal(update.map.rule_count, COUNT(policies));
	for (size_t i = 0; i < COUNT(policies); i++)
		assert_true(has_rule(&update.map, &policies[i], ip("100.119.120.223")));
	netmap_update_done(&update);
}

static void a_client_sees_the_same_routes_by_their_router(void **state)
{
	struct netmap_update update = parse_recorded("lap-024-received-SyncResponse-domain-route",
		LAP_PUBLIC);
	uint8_t router[KEY_LEN];

	netbird_key(NODE_PUBLIC, router);
	assert_int_equal(update.map.route_count, 4);
	for (size_t i = 0; i < update.map.route_count; i++)
		assert_memory_equal(update.map.routes[i].router, router, KEY_LEN);
	assert_int_equal(update.map.rule_count, 1);	/* the other five are OUT */
	assert_int_equal(update.map.rules[0].proto, NETMAP_ICMP);
	assert_int_equal(update.map.route_rule_count, 0);
	netmap_update_done(&update);
}

static void an_access_group_without_members_lets_nobody_in(void **state)
{
	struct netmap_update update = parse_recorded("node-again-012-received-SyncResponse", NODE_PUBLIC);

	for (size_t i = 0; i < update.map.route_rule_count; i++)
		assert_string_not_equal(update.map.route_rules[i].route_id, "dc1oielqmd2vv0vud5eg");
	netmap_update_done(&update);
}

static void the_farewell_is_known_for_one_and_opens_nothing(void **state)
{
	struct netmap_update update = parse_recorded("lap-033-received-SyncResponse-laptop-deleted",
		LAP_PUBLIC);

	assert_true(netmap_is_farewell(&update.map));
	assert_int_equal(update.map.serial, 18);
	assert_int_equal(update.map.rule_count + update.map.route_rule_count + update.map.route_count +
		update.map.peer_count, 0);
	assert_false(update.servers.present);
	assert_false(update.servers.relay.present);
	netmap_update_done(&update);
}

static void the_login_names_the_servers_and_ourselves(void **state)
{
	struct netmap_update update;
	uint8_t *bytes;
	size_t len;

	bytes = netbird_read("management/node-004-received-LoginResponse.bin", &len);
	assert_int_equal(netmap_login_parse(bytes, len, &update), 0);
	free(bytes);
	assert_false(update.map.present);
	assert_false(netmap_is_farewell(&update.map));
	assert_int_equal(update.map.self.addr, ip("100.119.2.172"));
	assert_string_equal(update.map.self.fqdn, "node.netbird.selfhosted");
	assert_url(&update.servers.signal, "http://10.99.0.1:8080");
	assert_string_equal(update.servers.relay.token_payload, "1795437024");
	assert_int_equal(update.check_file_count, 0);
	netmap_update_done(&update);
}

/* Maps of our own making */

struct made {
	Management__SyncResponse sync;
	Management__NetworkMap map;
	Management__PeerConfig self;
	Management__NetbirdConfig servers;
	Management__RemotePeerConfig peer[8], *peer_at[8];
	Management__Route route[8], *route_at[8];
	Management__FirewallRule rule[16], *rule_at[16];
	Management__PortInfo port[16];
	Management__PortInfo__Range range[16];
	Management__RouteFirewallRule access[16], *access_at[16];
	char *texts[64];
	size_t text_count;
};

static struct made *made_new(void)
{
	struct made *made = calloc(1, sizeof(*made));

	management__sync_response__init(&made->sync);
	management__network_map__init(&made->map);
	management__peer_config__init(&made->self);
	management__netbird_config__init(&made->servers);
	made->self.address = "100.64.0.1/10";
	made->self.routing_peer_dns_resolution_enabled = true;
	made->map.peer_config = &made->self;
	made->map.serial = 7;
	made->sync.network_map = &made->map;
	made->map.remote_peers = made->peer_at;
	made->map.routes = made->route_at;
	made->map.firewall_rules = made->rule_at;
	made->map.routes_firewall_rules = made->access_at;
	for (size_t i = 0; i < 16; i++) {
		management__firewall_rule__init(&made->rule[i]);
		management__port_info__init(&made->port[i]);
		management__port_info__range__init(&made->range[i]);
		management__route_firewall_rule__init(&made->access[i]);
		made->rule_at[i] = &made->rule[i];
		made->access_at[i] = &made->access[i];
	}
	for (size_t i = 0; i < 8; i++) {
		management__remote_peer_config__init(&made->peer[i]);
		management__route__init(&made->route[i]);
		made->peer_at[i] = &made->peer[i];
		made->route_at[i] = &made->route[i];
	}
	return made;
}

/* A key whose bytes are all @n. */
static char *key_text(struct made *made, uint8_t n)
{
	uint8_t key[KEY_LEN];
	char *text = malloc(KEY_BASE64_LEN + 1);

	memset(key, n, sizeof(key));
	key_to_base64(key, text);
	made->texts[made->text_count++] = text;
	return text;
}

static void add_peer(struct made *made, uint8_t n, char **allowed, size_t count)
{
	Management__RemotePeerConfig *peer = &made->peer[made->map.n_remote_peers++];

	peer->wg_pub_key = key_text(made, n);
	peer->allowed_ips = allowed;
	peer->n_allowed_ips = count;
	peer->fqdn = "peer.example";
}

static void add_route(struct made *made, char *id, char *net)
{
	Management__Route *route = &made->route[made->map.n_routes++];

	route->id = id;
	route->network = net;
	route->peer = key_text(made, 9);
	route->metric = 100;
}

static Management__FirewallRule *add_rule(struct made *made, char *peer, int proto)
{
	Management__FirewallRule *rule = &made->rule[made->map.n_firewall_rules++];

	rule->peer_ip = peer;
	rule->protocol = proto;
	return rule;
}

static Management__RouteFirewallRule *add_access(struct made *made, char **sources, size_t count, char *dst,
	int proto)
{
	Management__RouteFirewallRule *rule = &made->access[made->map.n_routes_firewall_rules++];

	rule->source_ranges = sources;
	rule->n_source_ranges = count;
	rule->destination = dst;
	rule->protocol = proto;
	rule->route_id = "r";
	return rule;
}

/* Frees @made. */
static struct netmap_update parse_made(struct made *made)
{
	size_t len = management__sync_response__get_packed_size(&made->sync);
	uint8_t own[KEY_LEN], *bytes = malloc(len);
	struct netmap_update update;

	memset(own, 1, sizeof(own));
	management__sync_response__pack(&made->sync, bytes);
	assert_int_equal(netmap_update_parse(bytes, len, own, &update), 0);
	free(bytes);
	for (size_t i = 0; i < made->text_count; i++)
		free(made->texts[i]);
	free(made);
	return update;
}

#define LIST(...) (char *[]){ __VA_ARGS__ }, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)

static void own_key_and_twins_are_left_out(void **state)
{
	struct made *made = made_new();
	struct netmap_update update;

	add_peer(made, 1, LIST("100.64.0.1/32"));			/* ourselves */
	add_peer(made, 5, LIST("100.64.0.5/32", "10.0.0.7/8"));
	add_peer(made, 3, LIST("100.64.0.3/32", "100.64.0.5/32"));	/* the second is another's */
	add_peer(made, 5, LIST("100.64.0.6/32"));			/* twice */
	add_peer(made, 2, LIST("100.64.0.3"));				/* nothing left */
	add_peer(made, 4, LIST("fd00::4/128"));				/* no IPv4 */
	update = parse_made(made);
	assert_int_equal(update.map.peer_count, 2);
	assert_int_equal(update.map.peers[0].key[0], 3);	/* sorted */
	assert_int_equal(update.map.peers[0].allowed_count, 1);
	assert_cidr(&update.map.peers[0].allowed[0], "100.64.0.3", 32);
	assert_int_equal(update.map.peers[1].key[0], 5);
	assert_int_equal(update.map.peers[1].allowed_count, 2);
	assert_cidr(&update.map.peers[1].allowed[1], "10.0.0.0", 8);
	assert_int_equal(update.map.peers[1].addr, ip("100.64.0.5"));
	assert_int_equal(update.map.skipped, 4);
	netmap_update_done(&update);
}

static void peers_have_addresses_of_both_families(void **state)
{
	struct made *made = made_new();
	struct netmap_update update;
	char text[INET6_ADDRSTRLEN];

	add_peer(made, 2, LIST("100.64.0.2/32", "fd12::2/128", "fd12::7/128"));
	add_peer(made, 3, LIST("fd12::3/128", "100.64.0.3/32"));
	/* counted: 3; the second also looks like 0.0.0.4 in the first bytes, which is no twin of 4::/32 */
	add_peer(made, 4, LIST("100.64.0.4/32", "::ffff:10.0.0.1/128", "4::/32", "0.4.0.0/32", "fd12::g/128",
		"fd12::7"));
	update = parse_made(made);
	assert_int_equal(update.map.peer_count, 3);
	assert_int_equal(update.map.peers[0].allowed_count, 3);
	assert_net(&update.map.peers[0].allowed[1], "fd12::2/128");
	assert_string_equal(inet_ntop(AF_INET6, &update.map.peers[0].addr6, text, sizeof(text)), "fd12::2");
	assert_int_equal(update.map.peers[1].addr, ip("100.64.0.3"));
	assert_string_equal(inet_ntop(AF_INET6, &update.map.peers[1].addr6, text, sizeof(text)), "fd12::3");
	assert_int_equal(update.map.peers[2].allowed_count, 3);
	assert_net(&update.map.peers[2].allowed[1], "4::/32");
	assert_cidr(&update.map.peers[2].allowed[2], "0.4.0.0", 32);
	assert_int_equal(update.map.skipped, 3);	/* fd12::7 is another's */
	netmap_update_done(&update);
}

static ProtobufCBinaryData compact(struct made *made, const char *addr, uint8_t prefixlen)
{
	const int family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	const size_t len = family == AF_INET ? 4 : 16;
	uint8_t *bytes = malloc(len + 1);

	assert_int_equal(inet_pton(family, addr, bytes), 1);
	bytes[len] = prefixlen;
	made->texts[made->text_count++] = (char *)bytes;
	return (ProtobufCBinaryData){ .len = len + 1, .data = bytes };
}

static void our_own_ipv6_address_is_seventeen_bytes_or_there_is_none(void **state)
{
	static const struct { const char *addr; uint8_t prefixlen, cut; bool is_good; } cases[] = {
		{ "fd12::1", 64, 0, true }, { "fd12::1", 120, 0, true }, { "fd12::1", 128, 0, true },
		{ "fd12::1", 129, 0, false }, { "fd12::1", 0, 0, false }, { "fd12::1", 64, 1, false },
		{ "100.64.0.1", 10, 0, false }, { "::ffff:100.64.0.1", 10, 0, false }, { "::", 64, 0, false },
		{ "::1", 64, 0, false }, { "fe80::1", 64, 0, false }, { "ff02::1", 64, 0, false },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct made *made = made_new();
		struct netmap_update update;

		made->self.address_v6 = compact(made, cases[i].addr, cases[i].prefixlen);
		made->self.address_v6.len -= cases[i].cut;
		update = parse_made(made);
		print_message("%s/%u, %u bytes less\n", cases[i].addr, cases[i].prefixlen, cases[i].cut);
		assert_int_equal(update.map.self.addr, ip("100.64.0.1"));
		assert_int_equal(!addr6_is_zero(&update.map.self.addr6), cases[i].is_good);
		assert_int_equal(update.map.self.prefixlen6, cases[i].is_good ? cases[i].prefixlen : 0);
		assert_int_equal(update.map.skipped, !cases[i].is_good);
		netmap_update_done(&update);
	}
}

static Management__FirewallRule *add_prefix_rule(struct made *made, ProtobufCBinaryData *list, size_t count)
{
	Management__FirewallRule *rule = add_rule(made, "100.64.0.9", MANAGEMENT__RULE_PROTOCOL__TCP);

	rule->source_prefixes = list;
	rule->n_source_prefixes = count;
	return rule;
}

static void source_prefixes_go_before_the_peers_address(void **state)
{
	struct made *made = made_new();
	ProtobufCBinaryData both[] = { compact(made, "100.64.0.7", 32), compact(made, "fd12::7", 128) };
	ProtobufCBinaryData wide[] = { compact(made, "100.64.3.7", 16), compact(made, "fd12:0:0:1::7", 64) };
	ProtobufCBinaryData any[] = { compact(made, "0.0.0.0", 0), compact(made, "::", 0) };
	ProtobufCBinaryData mapped = compact(made, "::ffff:10.0.0.7", 32);
	ProtobufCBinaryData some[] = { compact(made, "100.64.0.7", 33), { 0, NULL }, { 4, both[0].data },
		both[0], compact(made, "fd12::7", 129), compact(made, "::ffff:10.0.0.7", 33),
		{ 16, both[1].data } };
	struct netmap_update update;
	const struct netmap_rule *rules;

	add_prefix_rule(made, both, 2);
	add_prefix_rule(made, wide, 2);
	add_prefix_rule(made, any, 2);
	add_prefix_rule(made, &mapped, 1);
	add_prefix_rule(made, some, 7);
	add_prefix_rule(made, some, 3);			/* counted: nothing valid, so nobody */
	add_rule(made, "::", MANAGEMENT__RULE_PROTOCOL__TCP);
	add_rule(made, "fd12::9", MANAGEMENT__RULE_PROTOCOL__TCP);
	add_rule(made, "::ffff:10.0.0.7", MANAGEMENT__RULE_PROTOCOL__TCP);	/* counted */
	add_rule(made, "fd12::/64", MANAGEMENT__RULE_PROTOCOL__TCP);		/* counted */
	update = parse_made(made);
	rules = update.map.rules;
	assert_int_equal(update.map.rule_count, 7);
	assert_int_equal(rules[0].source_count, 2);
	assert_net(&rules[0].sources[0], "100.64.0.7/32");
	assert_net(&rules[0].sources[1], "fd12::7/128");
	assert_int_equal(rules[1].source_count, 2);
	assert_net(&rules[1].sources[0], "100.64.0.0/16");
	assert_net(&rules[1].sources[1], "fd12:0:0:1::/64");
	assert_net(&rules[2].sources[0], "0.0.0.0/0");
	assert_net(&rules[2].sources[1], "::/0");
	assert_int_equal(rules[3].source_count, 1);
	assert_net(&rules[3].sources[0], "10.0.0.7/32");
	assert_int_equal(rules[4].source_count, 1);
	assert_net(&rules[4].sources[0], "100.64.0.7/32");
	assert_int_equal(rules[5].source_count, 1);
	assert_net(&rules[5].sources[0], "::/0");
	assert_net(&rules[6].sources[0], "fd12::9/128");
	assert_int_equal(update.map.skipped, 3);
	netmap_update_done(&update);
}

static void custom_protocols_have_a_number_and_ssh_is_skipped_alone(void **state)
{
	static const struct { unsigned int number; int proto, ip_proto; } cases[] = {
		{ 47, NETMAP_OTHER, 47 }, { 6, NETMAP_TCP, 0 }, { 17, NETMAP_UDP, 0 },
		{ 58, NETMAP_OTHER, 58 },
		{ 1, NETMAP_OTHER, 1 }, { 255, NETMAP_OTHER, 255 }, { 0, -1, 0 }, { 256, -1, 0 },
	};
	struct made *made = made_new();
	struct netmap_update update;
	char *source = "100.64.0.2/32";
	size_t kept = 0;

	for (size_t i = 0; i < COUNT(cases); i++) {
		add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__CUSTOM)->custom_protocol =
			cases[i].number;
		add_access(made, &source, 1, "10.0.0.0/8",
			MANAGEMENT__RULE_PROTOCOL__CUSTOM)->custom_protocol = cases[i].number;
	}
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__NETBIRD_SSH);
	add_access(made, &source, 1, "10.0.0.0/8", MANAGEMENT__RULE_PROTOCOL__NETBIRD_SSH);
	update = parse_made(made);
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (cases[i].proto < 0)
			continue;
		assert_int_equal(update.map.rules[kept].proto, cases[i].proto);
		assert_int_equal(update.map.rules[kept].ip_proto, cases[i].ip_proto);
		assert_int_equal(update.map.route_rules[kept].proto, cases[i].proto);
		assert_int_equal(update.map.route_rules[kept++].ip_proto, cases[i].ip_proto);
	}
	assert_int_equal(update.map.rule_count, kept);
	assert_int_equal(update.map.route_rule_count, kept);
	assert_int_equal(update.map.skipped, 6);
	netmap_update_done(&update);
}

static void a_range_from_zero_and_an_empty_port_info_mean_any_port(void **state)
{
	struct made *made = made_new();
	struct netmap_update update;

	for (size_t i = 0; i < 6; i++) {
		add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__TCP)->port_info = &made->port[i];
		made->port[i].selection_case = MANAGEMENT__PORT_INFO__SELECTION_RANGE;
		made->port[i].range = &made->range[i];
	}
	made->range[1].end = 100;
	made->range[2].start = 100;
	made->port[3].selection_case = MANAGEMENT__PORT_INFO__SELECTION__NOT_SET;
	made->rule[3].port = "443";
	made->range[4].start = 20;
	made->range[4].end = 30;
	made->rule[4].port = "443";
	made->port[5].selection_case = MANAGEMENT__PORT_INFO__SELECTION_PORT;
	made->port[5].port = 0;
	update = parse_made(made);
	assert_int_equal(update.map.rule_count, 6);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(update.map.rules[i].port_first + update.map.rules[i].port_last, 0);
	assert_int_equal(update.map.rules[3].port_first, 443);
	assert_int_equal(update.map.rules[3].port_last, 443);
	assert_int_equal(update.map.rules[4].port_first, 20);	/* PortInfo wins */
	assert_int_equal(update.map.rules[4].port_last, 30);
	assert_int_equal(update.map.rules[5].port_first, 0);
	assert_int_equal(update.map.skipped, 0);
	netmap_update_done(&update);
}

static void rules_that_cannot_be_understood_are_skipped_one_by_one(void **state)
{
	struct made *made = made_new();
	struct netmap_update update;

	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__UNKNOWN);
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__CUSTOM);
	add_rule(made, "100.64.0.2", 77);
	add_rule(made, "fd00::1%eth0", MANAGEMENT__RULE_PROTOCOL__TCP);
	add_rule(made, "100.64.0.300", MANAGEMENT__RULE_PROTOCOL__TCP);
	add_rule(made, "", MANAGEMENT__RULE_PROTOCOL__TCP);
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__TCP)->port = "http";
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__TCP)->port = "65536";
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__TCP)->action = 5;
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__TCP)->port_info = &made->port[0];
	made->port[0].selection_case = MANAGEMENT__PORT_INFO__SELECTION_PORT;
	made->port[0].port = 70000;
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__UDP)->port_info = &made->port[1];
	made->port[1].selection_case = MANAGEMENT__PORT_INFO__SELECTION_RANGE;
	made->port[1].range = &made->range[1];
	made->range[1].start = 30;
	made->range[1].end = 20;
	/* not counted */
	add_rule(made, "100.64.0.2",
		MANAGEMENT__RULE_PROTOCOL__TCP)->direction = MANAGEMENT__RULE_DIRECTION__OUT;
	add_rule(made, "0.0.0.0", MANAGEMENT__RULE_PROTOCOL__ALL);
	add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__UDP)->action = MANAGEMENT__RULE_ACTION__DROP;
	update = parse_made(made);
	assert_int_equal(update.map.rule_count, 2);
	assert_net(&update.map.rules[0].sources[0], "0.0.0.0/0");
	assert_int_equal(update.map.rules[0].proto, NETMAP_ANY);
	assert_false(update.map.rules[0].drop);
	assert_true(update.map.rules[1].drop);
	assert_int_equal(update.map.rules[1].proto, NETMAP_UDP);
	assert_int_equal(update.map.skipped, 11);
	assert_non_null(strstr(update.map.skipped_why, "protocol"));
	netmap_update_done(&update);
}

static void a_rule_names_its_policy_if_that_is_text(void **state)
{
	struct made *made = made_new();
	static uint8_t web[] = "ch8i4ug6lnn4g9hqv7m0", odd[] = { 0x1b, '[', 'J' }, endless[NETMAP_ID_LEN];
	const ProtobufCBinaryData ids[] = { { 20, web }, { 20, web }, { 3, odd }, { 0, NULL },
		{ sizeof(endless), endless } };
	struct netmap_update update;

	memset(endless, 'x', sizeof(endless));
	for (size_t i = 0; i < 5; i++)
		add_rule(made, "100.64.0.2", MANAGEMENT__RULE_PROTOCOL__TCP)->policy_id = ids[i];
	add_access(made, LIST("100.64.0.0/10"), "10.0.0.0/8",
		MANAGEMENT__RULE_PROTOCOL__TCP)->policy_id = ids[0];
	update = parse_made(made);
	assert_int_equal(update.map.rule_count, 5);
	assert_int_equal(update.map.skipped, 0);
	assert_string_equal(update.map.rules[0].policy, "ch8i4ug6lnn4g9hqv7m0");
	assert_ptr_equal(update.map.rules[1].policy, update.map.rules[0].policy);	/* kept once */
	for (size_t i = 2; i < 5; i++)
		assert_null(update.map.rules[i].policy);
	assert_string_equal(update.map.route_rules[0].policy, "ch8i4ug6lnn4g9hqv7m0");
	netmap_update_done(&update);
}

static void route_rules_never_reach_further_than_they_say(void **state)
{
	struct made *made = made_new();
	Management__RouteFirewallRule *rule;
	struct netmap_update update;

	add_access(made, NULL, 0, "10.0.0.0/8", MANAGEMENT__RULE_PROTOCOL__ALL);		/* nobody */
	/* counted: 1 */
	add_access(made, LIST("junk"), "10.0.0.0/8", MANAGEMENT__RULE_PROTOCOL__ALL);
	/* 2: no family */
	add_access(made, LIST("100.64.0.2/32"), "fd00::/8", MANAGEMENT__RULE_PROTOCOL__ALL);
	add_access(made, LIST("100.64.0.2/32"), "", MANAGEMENT__RULE_PROTOCOL__ALL);		/* 3 */
	/* 4 */
	add_access(made, LIST("100.64.0.2/32"), "10.0.0.0/8", MANAGEMENT__RULE_PROTOCOL__CUSTOM);
	rule = add_access(made, LIST("0.0.0.0/0"), "192.0.2.0/32", MANAGEMENT__RULE_PROTOCOL__ALL);
	rule->is_dynamic = true;
	rule->domains = (char *[]){ "bad domain" };
	rule->n_domains = 1;		/* 5 and 6: the domain, and the rule without one */
	rule = add_access(made, LIST("0.0.0.0/0", "100.64.0.9/32"), "192.0.2.0/32",
		MANAGEMENT__RULE_PROTOCOL__ALL);
	rule->is_dynamic = true;
	rule->domains = (char *[]){ "*.Example.COM", "b.example." };
	rule->n_domains = 2;
	rule->action = MANAGEMENT__RULE_ACTION__DROP;
	update = parse_made(made);
	assert_int_equal(update.map.route_rule_count, 1);
	assert_true(update.map.route_rules[0].drop);
	assert_int_equal(update.map.route_rules[0].source_count, 2);
	assert_int_equal(update.map.route_rules[0].domain_count, 2);
	assert_string_equal(update.map.route_rules[0].domains[0], "*.example.com");
	assert_string_equal(update.map.route_rules[0].domains[1], "b.example");
	assert_int_equal(update.map.skipped, 6);
	netmap_update_done(&update);
}

static void a_route_rule_is_of_its_destinations_family_or_of_its_sources(void **state)
{
	struct made *made = made_new();
	Management__RouteFirewallRule *rule;
	struct netmap_update update;
	const struct netmap_route_rule *rules;

	add_access(made, LIST("100.64.0.2/32", "fd12::2/128"), "fd00:1::/32", MANAGEMENT__RULE_PROTOCOL__ALL);
	add_access(made, LIST("::/0"), "::/0", MANAGEMENT__RULE_PROTOCOL__ICMP);
	/* counted */
	add_access(made, LIST("::ffff:10.0.0.1/128"), "10.0.0.0/8", MANAGEMENT__RULE_PROTOCOL__ALL);
	rule = add_access(made, LIST("::/0"), "192.0.2.0/32", MANAGEMENT__RULE_PROTOCOL__ALL);
	rule->is_dynamic = true;
	rule->domains = (char *[]){ "a.example" };
	rule->n_domains = 1;
	update = parse_made(made);
	rules = update.map.route_rules;
	assert_int_equal(update.map.route_rule_count, 3);
	assert_int_equal(rules[0].source_count, 1);
	assert_net(&rules[0].sources[0], "fd12::2/128");
	assert_net(&rules[0].dst, "fd00:1::/32");
	assert_net(&rules[1].dst, "::/0");
	assert_int_equal(rules[1].proto, NETMAP_ICMP);
	assert_int_equal(rules[2].dst.family, 0);
	assert_net(&rules[2].sources[0], "::/0");
	assert_int_equal(update.map.skipped, 1);
	netmap_update_done(&update);
}

/* dynamic rule with and without somebody who resolves */
static struct netmap_update parse_dynamic(bool has_self, bool resolves, bool has_domains)
{
	struct made *made = made_new();
	Management__RouteFirewallRule *rule = add_access(made, LIST("0.0.0.0/0"), "192.0.2.0/32",
		MANAGEMENT__RULE_PROTOCOL__ALL);
	char *domain = "a.example";

	if (!has_self)
		made->map.peer_config = NULL;
	made->self.routing_peer_dns_resolution_enabled = resolves;
	rule->is_dynamic = true;
	rule->domains = &domain;
	rule->n_domains = has_domains;
	return parse_made(made);
}

static void domain_rules_depend_on_who_resolves(void **state)
{
	struct netmap_update update = parse_dynamic(true, true, true);

	assert_int_equal(update.map.route_rule_count, 1);
	assert_false(update.map.route_rules[0].any_dst);
	netmap_update_done(&update);
	update = parse_dynamic(true, true, false);
	assert_true(update.map.route_rules[0].any_dst);
	netmap_update_done(&update);
	update = parse_dynamic(true, false, true);
	assert_true(update.map.route_rules[0].any_dst);
	assert_int_equal(update.map.route_rules[0].domain_count, 0);
	netmap_update_done(&update);
	update = parse_dynamic(false, true, true);	/* nothing opens without ourselves in the map */
	assert_int_equal(update.map.route_rule_count, 0);
	assert_int_equal(update.map.skipped, 1);
	netmap_update_done(&update);
}

static void routes_are_skipped_one_by_one(void **state)
{
	struct made *made = made_new();
	char long_id[200];
	struct netmap_update update;

	memset(long_id, 'x', sizeof(long_id));
	long_id[sizeof(long_id) - 1] = 0;
	add_route(made, "a", "10.1.2.3/16");	/* host bits go */
	add_route(made, "b", "::ffff:10.0.0.0/104");
	add_route(made, "c", "10.0.0.0/33");
	add_route(made, "", "10.0.0.0/8");
	add_route(made, long_id, "10.0.0.0/8");
	add_route(made, "a", "10.2.0.0/16");	/* twice */
	add_route(made, "d", "10.3.0.0/16");
	made->route[6].peer = "not a key that anybody could have had in there";
	add_route(made, "e", "192.0.2.0/32");
	made->route[7].domains = (char *[]){ "x y", "Ok.example", "a..b" };
	made->route[7].n_domains = 3;
	made->route[7].metric = -5;
	made->route[7].net_id = "net\nid";
	update = parse_made(made);
	assert_int_equal(update.map.route_count, 2);
	assert_cidr(&update.map.routes[0].net, "10.1.0.0", 16);
	assert_int_equal(update.map.routes[1].net.family, 0);
	assert_int_equal(update.map.routes[1].domain_count, 1);
	assert_string_equal(update.map.routes[1].domains[0], "ok.example");
	assert_int_equal(update.map.routes[1].metric, 0);
	assert_string_equal(update.map.routes[1].net_id, "net?id");	/* it may end up on a terminal */
	assert_int_equal(update.map.skipped, 8);
	netmap_update_done(&update);
}

static void routes_are_of_either_family(void **state)
{
	struct made *made = made_new();
	struct netmap_update update;

	add_route(made, "a", "0.0.0.0/0");
	add_route(made, "a-v6-default", "::/0");
	add_route(made, "b", "fd00:1::7/48");	/* host bits go */
	made->route[1].net_id = "exit-v6";
	update = parse_made(made);
	assert_int_equal(update.map.route_count, 3);
	assert_net(&update.map.routes[0].net, "0.0.0.0/0");
	assert_net(&update.map.routes[1].net, "::/0");
	assert_string_equal(update.map.routes[1].net_id, "exit-v6");
	assert_net(&update.map.routes[2].net, "fd00:1::/48");
	assert_int_equal(update.map.skipped, 0);
	netmap_update_done(&update);
}

/* What each kind of message says about servers: "-" nothing, "none" no relays, else the relay. */
static void only_a_whole_configuration_takes_relays_away(void **state)
{
	static const struct { const char *url, *token, *signature; bool stun, signal, present;
		const char *relay; } cases[] = {
		/* a map of 0.74.0 carries metrics alone: a field that we do not know */
		{ NULL, NULL, NULL, false, false, false, "-" },
		{ NULL, NULL, NULL, true, false, true, "none" },
		{ NULL, NULL, NULL, false, true, true, "none" },
		{ "rels://relay.example:443", "123", "4wKrEppJqd5YmGFHR7LvuB7+rLMOI6uP/9Za1R3+YLM=", false,
			false, true, "rels://relay.example:443" },
		{ "rels://relay.example:443", "123", "4wKrEppJqd5YmGFHR7LvuB7+rLMOI6uP/9Za1R3+YLM=", true,
			true, true, "rels://relay.example:443" },
		/* a token or an address that cannot be read is not "no relays", alone or among the others */
		{ "rels://relay.example:443", "123", "AAAA", false, false, true, "-" },
		{ "rels://relay.example:443", "123", "AAAA", true, true, true, "-" },
		{ "http://x", "123", "4wKrEppJqd5YmGFHR7LvuB7+rLMOI6uP/9Za1R3+YLM=", true, true, true, "-" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Management__RelayConfig relay = MANAGEMENT__RELAY_CONFIG__INIT;
		Management__HostConfig stun = MANAGEMENT__HOST_CONFIG__INIT,
			signal = MANAGEMENT__HOST_CONFIG__INIT;
		Management__HostConfig *stuns[] = { &stun };
		char *urls[] = { (char *)cases[i].url };
		struct made *made = made_new();
		struct netmap_update update;

		made->sync.network_map = NULL;
		made->sync.netbird_config = &made->servers;
		stun.uri = "stun:10.99.0.1:3478";
		signal.uri = "10.99.0.1:8081";
		made->servers.n_stuns = cases[i].stun;
		made->servers.stuns = stuns;
		made->servers.signal = cases[i].signal ? &signal : NULL;
		relay.urls = urls;
		relay.n_urls = 1;
		relay.token_payload = (char *)cases[i].token;
		relay.token_signature = (char *)cases[i].signature;
		made->servers.relay = cases[i].url ? &relay : NULL;
		update = parse_made(made);
		assert_int_equal(update.servers.present, cases[i].present);
		assert_int_equal(update.servers.relay.present, strcmp(cases[i].relay, "-") != 0);
		if (update.servers.relay.present)
			assert_int_equal(update.servers.relay.url_count, strcmp(cases[i].relay, "none") != 0);
		if (update.servers.relay.url_count)
			assert_url(&update.servers.relay.urls[0], cases[i].relay);
		netmap_update_done(&update);
	}
}

/* A configuration about something else changes no servers: metrics (6) as 0.74.0 sent them, flow (5). */
static void a_configuration_of_metrics_or_flow_alone_names_no_servers(void **state)
{
	static const uint8_t metrics[] = { 0x0a, 0x04, 0x32, 0x02, 0x08, 0x01, 0x2a, 0x02, 0x08, 0x07 },
		flow[] = { 0x0a, 0x04, 0x2a, 0x02, 0x20, 0x01, 0x2a, 0x02, 0x08, 0x07 };
	static const uint8_t *const messages[] = { metrics, flow };

	for (size_t i = 0; i < 2; i++) {
		const uint8_t own[KEY_LEN] = { 0 };
		struct netmap_update update;

		assert_int_equal(netmap_update_parse(messages[i], sizeof(metrics), own, &update), 0);
		assert_false(update.servers.present);
		assert_false(update.servers.relay.present);
		assert_true(update.map.present);
		assert_int_equal(update.map.serial, 7);
		netmap_update_done(&update);
	}
}

/* Whatever else it holds: field 9 says how the map is to be read, and we know one way. */
static void a_map_of_another_format_is_not_read(void **state)
{
	static const struct { uint8_t bytes[10]; size_t len; int want; } cases[] = {
		{ { 0x2a, 0x02, 0x08, 0x07, 0x48, 0x00 }, 6, 0 },
		{ { 0x2a, 0x02, 0x08, 0x07, 0x48, 0x01 }, 6, -EPROTONOSUPPORT },
		{ { 0x48, 0x02, 0x2a, 0x02, 0x08, 0x07 }, 6, -EPROTONOSUPPORT },
		{ { 0x48, 0x01 }, 2, -EPROTONOSUPPORT },
		{ { 0x48, 0x01, 0x48, 0x00 }, 4, 0 },			/* the last one counts */
		/* the version decides, not the envelope */
		{ { 0x42, 0x00, 0x2a, 0x02, 0x08, 0x07 }, 6, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const uint8_t own[KEY_LEN] = { 0 };
		struct netmap_update update = {};

		assert_int_equal(netmap_update_parse(cases[i].bytes, cases[i].len, own, &update),
			cases[i].want);
		netmap_update_done(&update);
	}
}

static void servers_beyond_the_limit_and_malformed_ones_are_left_out(void **state)
{
	char texts[70][32], *urls[70];
	Management__RelayConfig relay = MANAGEMENT__RELAY_CONFIG__INIT;
	Management__HostConfig stun = MANAGEMENT__HOST_CONFIG__INIT, signal = MANAGEMENT__HOST_CONFIG__INIT;
	Management__HostConfig *stuns[] = { &stun };
	struct made *made = made_new();
	struct netmap_update update;

	for (size_t i = 0; i < 70; i++) {
		snprintf(texts[i], sizeof(texts[i]), "rel://r%zu%s", i, i ? "" : ":0");
		urls[i] = texts[i];
	}
	made->sync.netbird_config = &made->servers;
	stun.uri = "stun:[2001:db8::1";
	signal.uri = "signal.example:70000";
	relay.urls = urls;
	relay.n_urls = 70;
	relay.token_payload = "123";
	relay.token_signature = "4wKrEppJqd5YmGFHR7LvuB7+rLMOI6uP/9Za1R3+YLM=";
	made->servers.stuns = stuns;
	made->servers.n_stuns = 1;
	made->servers.signal = &signal;
	made->servers.relay = &relay;
	update = parse_made(made);
	assert_int_equal(update.servers.stun_count, 0);
	assert_int_equal(update.servers.signal.scheme, SERVER_NONE);
	assert_int_equal(update.servers.relay.url_count, 64);
	assert_url(&update.servers.relay.urls[0], "rel://r1:80");
	assert_int_equal(update.map.skipped, 3 + 5);	/* two servers and r0; r65 to r69 */
	netmap_update_done(&update);
}

static void stun_servers_are_asked_over_udp_only(void **state)
{
	static const struct { const char *uri, *url; } cases[] = {
		{ "stun:stun.example:3479", "stun:stun.example:3479" },
		{ "stun:stun.example", "stun:stun.example:3478" },
		{ "turn:stun.example?transport=udp", "stun:stun.example:3478" },
		{ "10.99.0.1:3478", "stun:10.99.0.1:3478" },
		{ "stun:stun.example:3478?transport=tcp", NULL },
		{ "stuns:stun.example", NULL },
		{ "turns:stun.example:443", NULL },
		{ "https://stun.example", NULL },
		{ "stun:stun.example/x", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Management__HostConfig stun = MANAGEMENT__HOST_CONFIG__INIT, *stuns[] = { &stun };
		struct made *made = made_new();
		struct netmap_update update;

		made->sync.netbird_config = &made->servers;
		stun.uri = (char *)cases[i].uri;
		made->servers.stuns = stuns;
		made->servers.n_stuns = 1;
		update = parse_made(made);
		assert_int_equal(update.servers.stun_count, cases[i].url ? 1 : 0);
		if (cases[i].url)
			assert_url(&update.servers.stuns[0], cases[i].url);
		/* it names a server, if one of no use: so leaving out relays says that there are none */
		assert_true(update.servers.present && update.servers.relay.present);
		netmap_update_done(&update);
	}
}

static void our_own_peer_config_is_the_maps_or_the_last_one(void **state)
{
	const struct netmap_self last = { .present = true, .addr = ip("100.64.0.9") };
	struct netmap map = { .self = { .present = true, .addr = ip("100.64.0.1") } };

	assert_ptr_equal(netmap_self_of(&map, &last), &map.self);
	map.self.addr = 0;		/* an address that is not IPv4 */
	assert_ptr_equal(netmap_self_of(&map, &last), &last);
	map.self.present = false;
	assert_ptr_equal(netmap_self_of(&map, &last), &last);
}

static void checks_name_files(void **state)
{
	Management__Checks one = MANAGEMENT__CHECKS__INIT, two = MANAGEMENT__CHECKS__INIT;
	struct made *made = made_new();
	struct netmap_update update;

	one.files = (char *[]){ "/usr/bin/a", "/usr/bin/b" };
	one.n_files = 2;
	two.files = (char *[]){ "/usr/bin/c" };
	two.n_files = 1;
	made->sync.checks = (Management__Checks *[]){ &one, &two };
	made->sync.n_checks = 2;
	update = parse_made(made);
	assert_int_equal(update.check_file_count, 3);
	assert_string_equal(update.check_files[2], "/usr/bin/c");
	netmap_update_done(&update);
}

static void a_bad_own_address_is_counted_and_the_forwarders_port_has_a_default(void **state)
{
	struct made *made = made_new();
	struct netmap_update update;

	made->self.address = "fd00::1/64";
	made->self.mtu = 100000;
	update = parse_made(made);
	assert_true(update.map.self.present);
	assert_int_equal(update.map.self.addr, 0);
	assert_int_equal(update.map.self.mtu, 0);
	assert_int_equal(update.map.skipped, 1);
	assert_int_equal(update.map.dns_forwarder_port, 5353);
	assert_string_equal(update.map.self.fqdn, "");
	netmap_update_done(&update);
}

/* Damage */

static void an_entry_that_is_no_message_costs_only_itself(void **state)
{
	struct made *made = made_new();
	uint8_t own[KEY_LEN] = { 1 }, inner[200], bytes[400], broken[60], *at = inner;
	struct netmap_update update;
	char *key = key_text(made, 2);
	uint8_t peer[100], *peer_end;

	memset(broken, 0xff, sizeof(broken));
	peer_end = wire_put_bytes(peer, 1, key, KEY_BASE64_LEN);
	peer_end = wire_put_bytes(peer_end, 2, "100.64.0.2/32", 13);
	at = wire_put_bytes(at, 3, broken, sizeof(broken));
	at = wire_put_bytes(at, 3, peer, peer_end - peer);
	at = wire_put_bytes(bytes, 5, inner, at - inner);
	assert_int_equal(netmap_update_parse(bytes, at - bytes, own, &update), 0);
	assert_int_equal(update.map.peer_count, 1);
	assert_int_equal(update.map.skipped, 1);
	netmap_update_done(&update);
	free(key);
	free(made);
}

static void a_message_cut_anywhere_is_refused_or_still_one(void **state)
{
	struct netmap_update update;
	uint8_t own[KEY_LEN], *bytes, *cut;
	size_t len, good = 0;

	netbird_key(NODE_PUBLIC, own);
	bytes = netbird_read("management/node-again-005-received-SyncResponse.bin", &len);
	for (size_t n = 0; n < len; n++) {
		cut = malloc(n + 1);	/* the sanitizer sees every step beyond */
		memcpy(cut, bytes, n);
		if (netmap_update_parse(cut, n, own, &update) == 0) {
			good++;
			netmap_update_done(&update);
		}
		free(cut);
	}
	free(bytes);
	assert_in_range(good, 1, 6);	/* between two fields of the message itself */
}

static void nothing_at_all_is_an_update_that_says_nothing(void **state)
{
	struct netmap_update update;
	uint8_t own[KEY_LEN] = {};

	assert_int_equal(netmap_update_parse(NULL, 0, own, &update), 0);
	assert_false(update.map.present);
	assert_false(update.servers.present);
	netmap_update_done(&update);
}

/* Size */

#define PEERS	5000
#define ROUTES	1000

static uint8_t *make_large(unsigned int peers, unsigned int routes, size_t *ret_len)
{
	uint8_t *map = malloc(4 << 20), *at = map, *message = malloc(4 << 20), entry[400], *end;

	for (unsigned int i = 0; i < peers; i++) {
		uint8_t key[KEY_LEN];
		char text[64];

		memset(key, 0x5a, sizeof(key));
		memcpy(key, &(uint32_t){ i * 2654435761U }, 4);
		key_to_base64(key, text);
		end = wire_put_bytes(entry, 1, text, KEY_BASE64_LEN);
		snprintf(text, sizeof(text), "100.%u.%u.%u/32", 64 + (i >> 16), i >> 8 & 255, i & 255);
		end = wire_put_bytes(end, 2, text, strlen(text));
		end = wire_put_bytes(end, 3, (uint8_t[90]){ 0x12, 80 }, 90);
		snprintf(text, sizeof(text), "peer-%u.netbird.selfhosted", i);
		end = wire_put_bytes(end, 4, text, strlen(text));
		end = wire_put_bytes(end, 5, "0.66.4", 6);
		at = wire_put_bytes(at, 3, entry, end - entry);
		snprintf(text, sizeof(text), "100.%u.%u.%u", 64 + (i >> 16), i >> 8 & 255, i & 255);
		end = wire_put_bytes(entry, 1, text, strlen(text));
		*end++ = 0x20;
		*end++ = 1;
		end = wire_put_bytes(end, 7, "dc1oigdqmd2vv0vud5gg", 20);
		at = wire_put_bytes(at, 8, entry, end - entry);
	}
	for (unsigned int i = 0; i < routes; i++) {
		char text[64];

		snprintf(text, sizeof(text), "route-%u", i);
		end = wire_put_bytes(entry, 1, text, strlen(text));
		snprintf(text, sizeof(text), "10.%u.%u.0/24", i >> 8, i & 255);
		end = wire_put_bytes(end, 2, text, strlen(text));
		end = wire_put_bytes(end, 4, NODE_PUBLIC, KEY_BASE64_LEN);
		end = wire_put_bytes(end, 7, "lan", 3);
		at = wire_put_bytes(at, 5, entry, end - entry);
	}
	/* with the old copy */
	*ret_len = wire_put_bytes(wire_put_bytes(message, 3, map, at - map), 5, map, at - map) - message;
	free(map);
	return message;
}

/* Milliseconds of this thread's CPU time to read a map, the least of a few rounds. */
static double time_to_read(unsigned int peers, unsigned int routes)
{
	struct timespec from, to;
	struct netmap_update update;
	uint8_t own[KEY_LEN] = {}, *bytes;
	double best = 1e9, ms;
	size_t len;

	bytes = make_large(peers, routes, &len);
	for (int round = 0; round < 5; round++) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		assert_int_equal(netmap_update_parse(bytes, len, own, &update), 0);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		ms = (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6;
		best = ms < best ? ms : best;
		assert_int_equal(update.map.peer_count, peers);
		assert_int_equal(update.map.rule_count, peers);
		assert_int_equal(update.map.route_count, routes);
		assert_int_equal(update.map.skipped, 0);
		for (size_t i = 1; i < peers; i++)
			assert_true(memcmp(update.map.peers[i - 1].key, update.map.peers[i].key,
				KEY_LEN) < 0);
		netmap_update_done(&update);
	}
	free(bytes);
	print_message("%u peers, %u routes: %zu bytes in %.2f ms\n", peers, routes, len, best);
	return best;
}

/* Ten times as many cost about ten times as much; comparing each with each would cost a hundred times. */
static void five_thousand_peers_and_a_thousand_routes_are_read_in_no_time(void **state)
{
	double few = time_to_read(PEERS / 10, ROUTES / 10), many = time_to_read(PEERS, ROUTES);

	assert_true(many < 40 * few);
}

/* On disk */

#define HOME "https://home.example:443"

struct place {
	char dir[32];
	char path[64];
};

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->dir, "/tmp/talon-map-XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/state/map", place->dir);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	char dir[64];

	unlink(place->path);
	snprintf(dir, sizeof(dir), "%s/state", place->dir);
	rmdir(dir);
	rmdir(place->dir);	/* fails if a temporary file was left */
	if (access(place->dir, F_OK) == 0)
		return -1;
	free(place);
	return 0;
}

static void what_was_saved_is_loaded_by_its_owner_only(void **state)
{
	struct place *place = *state;
	uint8_t own[KEY_LEN] = { 7 }, other[KEY_LEN] = { 8 }, *bytes;
	struct stat st;
	size_t len;

	assert_int_equal(netmap_load(place->path, own, HOME, &bytes, &len), -ENOENT);
	assert_int_equal(netmap_save(place->path, own, HOME, (const uint8_t *)"first", 5), 0);
	assert_int_equal(netmap_save(place->path, own, HOME, (const uint8_t *)"second", 6), 0);
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(netmap_load(place->path, own, HOME, &bytes, &len), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(bytes, "second", 6);
	free(bytes);
	assert_int_equal(netmap_load(place->path, other, HOME, &bytes, &len), -ESTALE);
	assert_int_equal(netmap_load(place->path, own, "https://elsewhere.example:443", &bytes, &len),
		-ESTALE);
	assert_int_equal(netmap_save(place->path, own, HOME, NULL, 0), 0);
	assert_int_equal(netmap_load(place->path, own, HOME, &bytes, &len), 0);
	assert_int_equal(len, 0);
	free(bytes);
}

static void a_damaged_map_is_not_loaded(void **state)
{
	struct place *place = *state;
	uint8_t own[KEY_LEN] = { 7 }, file[300], *bytes;
	size_t size, len;
	FILE *f;

	assert_int_equal(netmap_save(place->path, own, HOME, (const uint8_t *)"map", 3), 0);
	f = fopen(place->path, "r+e");
	size = fread(file, 1, sizeof(file), f);
	for (size_t i = 0; i < size; i++) {
		fseek(f, i, SEEK_SET);
		fputc(file[i] ^ 0x10, f);
		fflush(f);
		assert_int_equal(netmap_load(place->path, own, HOME, &bytes, &len), -EBADMSG);
		fseek(f, i, SEEK_SET);
		fputc(file[i], f);
		fflush(f);
	}
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(ftruncate(fileno(f), size - 1 - i), 0);
		assert_int_equal(netmap_load(place->path, own, HOME, &bytes, &len), -EBADMSG);
	}
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_maps_have_what_was_set_up),
		cmocka_unit_test(the_routing_peers_map_is_read_field_by_field),
		cmocka_unit_test(a_map_of_0_77_has_everything_in_both_families),
		cmocka_unit_test(the_policies_are_all_there_and_only_inbound),
		cmocka_unit_test(a_client_sees_the_same_routes_by_their_router),
		cmocka_unit_test(an_access_group_without_members_lets_nobody_in),
		cmocka_unit_test(the_farewell_is_known_for_one_and_opens_nothing),
		cmocka_unit_test(the_login_names_the_servers_and_ourselves),
		cmocka_unit_test(own_key_and_twins_are_left_out),
		cmocka_unit_test(peers_have_addresses_of_both_families),
		cmocka_unit_test(our_own_ipv6_address_is_seventeen_bytes_or_there_is_none),
		cmocka_unit_test(source_prefixes_go_before_the_peers_address),
		cmocka_unit_test(custom_protocols_have_a_number_and_ssh_is_skipped_alone),
		cmocka_unit_test(a_route_rule_is_of_its_destinations_family_or_of_its_sources),
		cmocka_unit_test(routes_are_of_either_family),
		cmocka_unit_test(a_range_from_zero_and_an_empty_port_info_mean_any_port),
		cmocka_unit_test(rules_that_cannot_be_understood_are_skipped_one_by_one),
		cmocka_unit_test(a_rule_names_its_policy_if_that_is_text),
		cmocka_unit_test(route_rules_never_reach_further_than_they_say),
		cmocka_unit_test(domain_rules_depend_on_who_resolves),
		cmocka_unit_test(routes_are_skipped_one_by_one),
		cmocka_unit_test(only_a_whole_configuration_takes_relays_away),
		cmocka_unit_test(a_configuration_of_metrics_or_flow_alone_names_no_servers),
		cmocka_unit_test(a_map_of_another_format_is_not_read),
		cmocka_unit_test(servers_beyond_the_limit_and_malformed_ones_are_left_out),
		cmocka_unit_test(stun_servers_are_asked_over_udp_only),
		cmocka_unit_test(our_own_peer_config_is_the_maps_or_the_last_one),
		cmocka_unit_test(checks_name_files),
		cmocka_unit_test(a_bad_own_address_is_counted_and_the_forwarders_port_has_a_default),
		cmocka_unit_test(an_entry_that_is_no_message_costs_only_itself),
		cmocka_unit_test(a_message_cut_anywhere_is_refused_or_still_one),
		cmocka_unit_test(nothing_at_all_is_an_update_that_says_nothing),
		cmocka_unit_test(five_thousand_peers_and_a_thousand_routes_are_read_in_no_time),
		cmocka_unit_test_setup_teardown(what_was_saved_is_loaded_by_its_owner_only, make_place,
			remove_place),
		cmocka_unit_test_setup_teardown(a_damaged_map_is_not_loaded, make_place, remove_place),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
