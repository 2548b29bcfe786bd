// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// SyncResponse and LoginResponse with any content: the result keeps every invariant of netmap.h.
#include "base/cidr.c"
#include "base/slice.c"
#include "base/host_port.c"
#include "base/server_url.c"
#include "config/value.c"
#include "crypto/key.c"
#include "base/arena.c"
#include "netbird/wire.c"
#include "netbird/expiry.c"

#include "netmap/compact.c"
#include "netmap/netmap.c"
#include "netmap/netmap_check.c"
#include "netmap/netmap_rules.c"
#include "netmap/netmap_servers.c"

#include <assert.h>

static const uint8_t own[KEY_LEN] = {
	0xb7, 0x68, 0xdd, 0x6e, 0x60, 0x93, 0x46, 0x82, 0x8f, 0x7d, 0x25, 0x93, 0xeb, 0x49, 0x0c, 0xc3,
	0xa7, 0x1b, 0xe3, 0xcf, 0x45, 0x0e, 0x57, 0x9e, 0xfa, 0x3b, 0xe8, 0x4b, 0x5a, 0xaf, 0x03, 0x3f,
};

static void check_text(const char *text)
{
	assert(text);
	for (; *text; text++)
		assert((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_text(texts[i]);
}

static void check_urls(const struct server_url *urls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_text(urls[i].host);
		assert(urls[i].scheme != SERVER_NONE && urls[i].port && urls[i].host[0]);
	}
}

static void check_net(const struct cidr *net)
{
	struct talon_addr addr = net->addr;

	assert((net->family == AF_INET && net->prefixlen <= 32) ||
		(net->family == AF_INET6 && net->prefixlen <= 128 && !addr6_is_mapped(&net->addr)));
	mask_address(&addr, net->prefixlen);
	assert(memcmp(&addr, &net->addr, sizeof(addr)) == 0);
	if (net->family == AF_INET)
		assert(!addr.word[1] && !addr.word[2] && !addr.word[3]);
}

static void check_nets(const struct cidr *nets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_net(&nets[i]);
}

static void check_match(uint8_t proto, uint8_t ip_proto, uint16_t first, uint16_t last)
{
	assert(proto <= NETMAP_OTHER);
	assert((proto == NETMAP_OTHER) == !!ip_proto && ip_proto != 6 && ip_proto != 17);
	assert(first <= last && !first == !last);
	assert(!first || proto == NETMAP_TCP || proto == NETMAP_UDP);
}

/* The first prefix of either family, and one of IPv4 in any case. */
static void check_addresses(const struct netmap_peer *peer)
{
	bool has4 = false, has6 = false;

	for (size_t i = 0; i < peer->allowed_count; i++) {
		const struct cidr *net = &peer->allowed[i];

		if (net->family == AF_INET && !has4)
			assert(peer->addr == net->addr.word[0]);
		if (net->family == AF_INET6 && !has6)
			assert(!memcmp(&peer->addr6, &net->addr, sizeof(net->addr)));
		has4 |= net->family == AF_INET;
		has6 |= net->family == AF_INET6;
	}
	assert(has4 && (has6 || addr6_is_zero(&peer->addr6)));
}

static void check_peers(const struct netmap_peer *peers, size_t count, bool is_online)
{
	for (size_t i = 0; i < count; i++) {
		assert(memcmp(peers[i].key, own, KEY_LEN) != 0);
		check_text(peers[i].fqdn);
		check_text(peers[i].agent_version);
		check_nets(peers[i].allowed, peers[i].allowed_count);
		if (!is_online)
			continue;
		check_addresses(&peers[i]);
		assert(!i || memcmp(peers[i - 1].key, peers[i].key, KEY_LEN) < 0);
	}
}

static void check_routes(const struct netmap *map)
{
	for (size_t i = 0; i < map->route_count; i++) {
		const struct netmap_route *route = &map->routes[i];

		check_text(route->id);
		check_text(route->net_id);
		assert(route->id[0] && strlen(route->id) < NETMAP_ID_LEN &&
			strlen(route->net_id) < NETMAP_ID_LEN);
		assert(!route->net.family == !!route->domain_count);
		if (route->net.family)
			check_net(&route->net);
		check_texts(route->domains, route->domain_count);
		assert(route->metric <= METRIC_MAX);
	}
}

static void check_rules(const struct netmap *map)
{
	for (size_t i = 0; i < map->rule_count; i++) {
		const struct netmap_rule *rule = &map->rules[i];

		assert(rule->source_count);
		check_nets(rule->sources, rule->source_count);
		check_match(rule->proto, rule->ip_proto, rule->port_first, rule->port_last);
	}
	for (size_t i = 0; i < map->route_rule_count; i++) {
		const struct netmap_route_rule *rule = &map->route_rules[i];

		assert(rule->source_count);
		check_nets(rule->sources, rule->source_count);
		for (size_t j = 0; j < rule->source_count && rule->dst.family; j++)
			assert(rule->sources[j].family == rule->dst.family);
		assert(!!rule->dst.family + !!rule->domain_count + rule->any_dst == 1);
		assert(map->self.present || rule->dst.family);
		if (rule->dst.family)
			check_net(&rule->dst);
		check_texts(rule->domains, rule->domain_count);
		check_text(rule->route_id);
		check_match(rule->proto, rule->ip_proto, rule->port_first, rule->port_last);
	}
}

static void check_expiry(const struct expiry_said *said)
{
	const uint64_t now_ns = 1795393800 * SECOND_NS;
	struct expiry_watch watch = {};
	char text[EXPIRY_TEXT_LEN];
	uint64_t at_ns = 0;

	assert((said->kind == EXPIRY_AT) == (said->unix_s || said->nanos));
	assert(said->nanos < SECOND_NS);
	if (expiry_judge(said, now_ns, &at_ns) != EXPIRY_AT)
		return;
	expiry_format_utc(at_ns, true, text);
	expiry_format_left(at_ns, now_ns, text);
	expiry_watch_set(&watch, at_ns, now_ns);
	while (expiry_watch_wait(&watch, at_ns) != UINT64_MAX)
		assert(expiry_watch_due(&watch, at_ns));
}

static void check(const struct netmap_update *update)
{
	const struct netmap *map = &update->map;

	assert(map->dns_forwarder_port);
	assert(strlen(map->skipped_why) < sizeof(map->skipped_why));
	assert(!map->skipped == !map->skipped_why[0]);
	check_urls(update->servers.stuns, update->servers.stun_count);
	check_urls(update->servers.relay.urls, update->servers.relay.url_count);
	check_texts(update->check_files, update->check_file_count);
	check_urls(&update->servers.signal, update->servers.signal.scheme != SERVER_NONE);
	if (map->self.present)
		check_text(map->self.fqdn);
	assert(addr6_is_zero(&map->self.addr6) ? !map->self.prefixlen6
		: map->self.prefixlen6 && map->self.prefixlen6 <= 128 && addr6_is_host(&map->self.addr6));
	check_peers(map->peers, map->peer_count, true);
	check_peers(map->offline, map->offline_count, false);
	check_routes(map);
	check_rules(map);
	check_expiry(&update->expiry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netmap_update update;
	uint8_t *bytes = malloc(size + !size);

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (netmap_update_parse(bytes, size, own, &update) == 0) {
		check(&update);
		netmap_update_done(&update);
	}
	if (netmap_login_parse(bytes, size, &update) == 0) {
		assert(!update.map.present && !update.map.peer_count);
		check(&update);
		netmap_update_done(&update);
	}
	free(bytes);
	return 0;
}
