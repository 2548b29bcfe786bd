/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Peers under a file, and their maps as text: one line for each entry, sorted, so that maps can be
 * compared and read. Include after cmocka.h. Peer number N has the name pN, 100.64.0.N, fd00::N and a key
 * that begins with N.
 */
#ifndef TALON_TEST_HUBMAP_WORLD_H
#define TALON_TEST_HUBMAP_WORLD_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hubfile/hubfile.h"
#include "hubmap/hubmap.h"
#include "netbird/wire.h"
#include "netmap/netmap.h"
#include "management.pb-c.h"

#define OLD	0		/* as a client of 0.66 */
#define NEW	1		/* reads prefixes */
#define SIX	2		/* reads prefixes, carries IPv6 */

/* A file that says nothing of policies has none. */
static inline struct hubfile *world_file(const char *text)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX] = {};
	struct hubfile *file = NULL;
	size_t count = 0;
	char *yaml;
	int ret;

	assert_true(asprintf(&yaml, "%s%s", text, strstr(text, "policies:") ? "" : "policies: []\n") > 0);
	ret = hubfile_parse(yaml, strlen(yaml), ".", &file, faults, &count);
	free(yaml);
	for (size_t i = 0; i < count; i++)
		print_message("line %u: %s\n", faults[i].line, faults[i].text);
	assert_int_equal(ret, 0);
	return file;
}

static inline void world_key(unsigned int n, uint8_t ret_key[static KEY_LEN])
{
	memset(ret_key, 0, KEY_LEN);
	ret_key[0] = n;
	ret_key[1] = n >> 8;
	ret_key[31] = 0x40;
}

/* @names: room for the text that the peer points to. */
struct world_names {
	char name[16];
};

static inline struct hubmap_peer world_peer(unsigned int n, int kind, struct world_names *names)
{
	struct hubmap_peer peer = { .name = names->name, .hostname = names->name, .version = "0.77.1",
		.address = htonl(0x64400000 + n), .reads_prefixes = kind != OLD,
		.carries_ipv6 = kind == SIX };

	snprintf(names->name, sizeof(names->name), "p%u", n);
	world_key(n, peer.key);
	peer.address6.word[0] = htonl(0xfd000000);
	peer.address6.word[3] = htonl(n);
	if (kind == OLD)
		peer.version = "0.66.4";
	return peer;
}

static inline void world_put(struct hubmap *map, unsigned int n, int kind)
{
	struct world_names names;
	struct hubmap_peer peer = world_peer(n, kind, &names);

	assert_int_equal(hubmap_put(map, &peer), 0);
}

/* Of the base64 of a world's key. */
static inline unsigned int world_number(const char *key_text)
{
	uint8_t key[KEY_LEN];

	assert_int_equal(key_from_base64(key_text, key), 0);
	return key[0] | key[1] << 8;
}

/* Our own client takes all of it. */
static inline void world_check(const uint8_t *bytes, size_t len, const uint8_t key[static KEY_LEN])
{
	uint8_t *sync = malloc(len + WIRE_BYTES_HEAD), *end = wire_put_bytes(sync, 5, bytes, len);
	struct netmap_update update;

	assert_int_equal(netmap_update_parse(sync, end - sync, key, &update), 0);
	if (update.map.skipped)
		print_message("skipped: %s\n", update.map.skipped_why);
	assert_int_equal(update.map.skipped, 0);
	assert_true(update.map.present);
	assert_int_not_equal(update.map.self.addr, 0);
	netmap_update_done(&update);
	free(sync);
}

static inline Management__NetworkMap *world_write(struct hubmap *map, unsigned int n)
{
	uint8_t key[KEY_LEN], *bytes = NULL;
	Management__NetworkMap *ret;
	size_t len = 0;

	world_key(n, key);
	assert_int_equal(hubmap_write(map, key, 7, &bytes, &len), 0);
	world_check(bytes, len, key);
	ret = management__network_map__unpack(NULL, len, bytes);
	assert_non_null(ret);
	assert_int_equal(ret->serial, 7);
	free(bytes);
	assert_int_equal(ret->remote_peers_is_empty, !ret->n_remote_peers);
	assert_int_equal(ret->firewall_rules_is_empty, !ret->n_firewall_rules);
	assert_int_equal(ret->routes_firewall_rules_is_empty, !ret->n_routes_firewall_rules);
	return ret;
}

static inline void world_print_ports(FILE *to, const Management__PortInfo *info)
{
	if (info && info->selection_case == MANAGEMENT__PORT_INFO__SELECTION_PORT)
		fprintf(to, " %u", info->port);
	if (info && info->selection_case == MANAGEMENT__PORT_INFO__SELECTION_RANGE)
		fprintf(to, " %u-%u", info->range->start, info->range->end);
}

static inline void world_print_protocol(FILE *to, int action, int protocol)
{
	static const char *const names[] = { "?", "all", "tcp", "udp", "icmp" };

	fprintf(to, " %s %s", action == MANAGEMENT__RULE_ACTION__DROP ? "drop" : "accept", names[protocol]);
}

/* Beside another server's maps, ids mean nothing. */
static bool world_hides_ids;

/* Ids are digits that nobody can foresee: only what comes behind them is shown. */
static inline const char *world_id(const char *id)
{
	if (world_hides_ids)
		return "-";
	assert_non_null(strchr(id, ':'));
	return strchr(id, ':') + 1;
}

static inline void world_print_policy(FILE *to, const ProtobufCBinaryData *id)
{
	if (world_hides_ids)
		fprintf(to, "\n");
	else
		fprintf(to, " (%.*s)\n", (int)id->len, id->data);
}

static inline void world_print_rule(FILE *to, const Management__FirewallRule *rule)
{
	fprintf(to, "%s", rule->direction == MANAGEMENT__RULE_DIRECTION__OUT ? "out" : "in");
	world_print_protocol(to, rule->action, rule->protocol);
	fprintf(to, " %s", rule->peer_ip);
	if (*rule->port)
		fprintf(to, " %s", rule->port);
	world_print_ports(to, rule->port_info);
	for (size_t i = 0; i < rule->n_source_prefixes; i++) {
		const ProtobufCBinaryData *prefix = &rule->source_prefixes[i];
		char text[INET6_ADDRSTRLEN];

		assert_true(prefix->len == 5 || prefix->len == 17);
		inet_ntop(prefix->len == 5 ? AF_INET : AF_INET6, prefix->data, text, sizeof(text));
		assert_string_equal(text, rule->peer_ip);
		fprintf(to, " /%u", prefix->data[prefix->len - 1]);
	}
	world_print_policy(to, &rule->policy_id);
}

static inline int world_compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Their order means nothing. */
static inline void world_print_sorted(FILE *to, char **texts, size_t count)
{
	qsort(texts, count, sizeof(*texts), world_compare_texts);
	for (size_t i = 0; i < count; i++)
		fprintf(to, "%s%s", i ? "," : " ", texts[i]);
}

static inline void world_print_route(FILE *to, const Management__Route *route)
{
	fprintf(to, "route %s %s type %d by p%u metric %d%s%s%s %s", route->net_id, route->network,
		(int)route->network_type, world_number(route->peer), (int)route->metric,
		route->masquerade ? " masq" : "", route->keep_route ? " kept" : "", route->skip_auto_apply ?
		" by choice" : "",
		world_id(route->id));
	if (route->n_domains)
		world_print_sorted(to, route->domains, route->n_domains);
	fprintf(to, "\n");
}

static inline void world_print_route_rule(FILE *to, const Management__RouteFirewallRule *rule)
{
	fprintf(to, "forward");
	world_print_protocol(to, rule->action, rule->protocol);
	world_print_sorted(to, rule->source_ranges, rule->n_source_ranges);
	fprintf(to, " -> %s%s", rule->destination, rule->is_dynamic ? " dynamic" : "");
	world_print_ports(to, rule->port_info);
	if (rule->n_domains)
		world_print_sorted(to, rule->domains, rule->n_domains);
	fprintf(to, " %s", world_id(rule->route_id));
	world_print_policy(to, &rule->policy_id);
}

static inline void world_print_peer(FILE *to, const char *what, Management__RemotePeerConfig *peer)
{
	fprintf(to, "%s p%u %s", what, world_number(peer->wg_pub_key), peer->fqdn);
	for (size_t i = 0; i < peer->n_allowed_ips; i++)
		fprintf(to, " %s", peer->allowed_ips[i]);
	if (peer->ssh_config && peer->ssh_config->ssh_pub_key.len)
		fprintf(to, " \"%.*s\"", (int)peer->ssh_config->ssh_pub_key.len,
			peer->ssh_config->ssh_pub_key.data);
	fprintf(to, "\n");
}

static inline void world_print_dns(FILE *to, const Management__DNSConfig *dns)
{
	fprintf(to, "dns %d port %d\n", dns->service_enable, (int)dns->forwarder_port);
	for (size_t i = 0; i < dns->n_custom_zones; i++)
		for (size_t j = 0; j < dns->custom_zones[i]->n_records; j++) {
			const Management__SimpleRecord *record = dns->custom_zones[i]->records[j];

			assert_int_equal(record->ttl, 300);
			assert_string_equal(record->class_, "IN");
			fprintf(to, "name %s %s %s %s\n", dns->custom_zones[i]->domain, record->name,
				record->type == 28 ? "AAAA" : "A", record->rdata);
		}
	for (size_t i = 0; i < dns->n_name_server_groups; i++) {
		const Management__NameServerGroup *group = dns->name_server_groups[i];

		fprintf(to, "nameservers%s%s", group->primary ? " primary" : "",
			group->search_domains_enabled ? " search" : "");
		for (size_t j = 0; j < group->n_name_servers; j++)
			fprintf(to, " %s:%d/%d", group->name_servers[j]->ip,
				(int)group->name_servers[j]->port, (int)group->name_servers[j]->ns_type);
		if (group->n_domains)
			world_print_sorted(to, group->domains, group->n_domains);
		fprintf(to, "\n");
	}
}

static inline char *world_sort_lines(char *text)
{
	size_t count = 0, len = strlen(text) + 1;
	char *sorted = malloc(len), **lines = calloc(len, sizeof(*lines)), *rest, *at = sorted;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		lines[count++] = line;
	qsort(lines, count, sizeof(*lines), world_compare_texts);
	*at = '\0';
	for (size_t i = 0; i < count; i++)
		at += sprintf(at, "%s\n", lines[i]);
	free(lines);
	free(text);
	return sorted;
}

/* All of a map but its serial and versions. */
static inline char *world_text_of(const Management__NetworkMap *map)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	fprintf(to, "self %s %s%s", map->peer_config->address, map->peer_config->fqdn,
		map->peer_config->routing_peer_dns_resolution_enabled ? "" : " no resolution");
	for (size_t i = 0; i < map->peer_config->address_v6.len; i++)
		fprintf(to, "%s%02x", i ? "" : " ", map->peer_config->address_v6.data[i]);
	fprintf(to, "\n");
	for (size_t i = 0; i < map->n_remote_peers; i++)
		world_print_peer(to, "peer", map->remote_peers[i]);
	for (size_t i = 0; i < map->n_offline_peers; i++)
		world_print_peer(to, "offline", map->offline_peers[i]);
	for (size_t i = 0; i < map->n_routes; i++)
		world_print_route(to, map->routes[i]);
	for (size_t i = 0; i < map->n_firewall_rules; i++)
		world_print_rule(to, map->firewall_rules[i]);
	for (size_t i = 0; i < map->n_routes_firewall_rules; i++)
		world_print_route_rule(to, map->routes_firewall_rules[i]);
	world_print_dns(to, map->dns_config);
	fclose(to);
	return world_sort_lines(text);
}

static inline char *world_text(struct hubmap *map, unsigned int n)
{
	Management__NetworkMap *written = world_write(map, n);
	char *text = world_text_of(written);

	management__network_map__free_unpacked(written, NULL);
	return text;
}

/* The lines that begin with one of @words, which are separated by blanks. */
static inline char *world_lines(struct hubmap *map, unsigned int n, const char *words)
{
	char *text = world_text(map, n), *found = calloc(1, strlen(text) + 1), *rest, *at = found;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char word[32];

		snprintf(word, sizeof(word), " %.*s ", (int)strcspn(line, " "), line);
		if (strstr(words, word))
			at += sprintf(at, "%s\n", line);
	}
	free(text);
	return found;
}

#define WORLD_RULES	" in out "
#define WORLD_PEERS	" peer offline "
#define WORLD_ROUTES	" route forward "

static inline void world_assert_lines(struct hubmap *map, unsigned int n, const char *words, const char *want)
{
	char *lines = world_lines(map, n, words);

	assert_string_equal(lines, want);
	free(lines);
}

#endif
