// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A peer's NetworkMap and PeerConfig. Field numbers: proto/management.proto has the names.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hubmap/hubmap_internal.h"

enum {
	MAP_SERIAL = 1, MAP_SELF = 2, MAP_PEERS = 3, MAP_PEERS_EMPTY = 4, MAP_DNS = 6, MAP_OFFLINE = 7,
};
enum { SELF_ADDRESS = 1, SELF_SSH = 3, SELF_FQDN = 4, SELF_RESOLUTION = 5, SELF_UPDATE = 8,
	SELF_ADDRESS6 = 9 };
enum { UPDATE_VERSION = 1 };
enum { PEER_KEY = 1, PEER_ALLOWED = 2, PEER_SSH = 3, PEER_FQDN = 4, PEER_AGENT = 5 };
enum { SSH_KEY = 2 };
enum { DNS_ENABLE = 1, DNS_GROUPS = 2, DNS_ZONES = 3, DNS_FORWARDER_PORT = 4 };
enum { ZONE_DOMAIN = 1, ZONE_RECORDS = 2 };
enum { RECORD_NAME = 1, RECORD_TYPE = 2, RECORD_CLASS = 3, RECORD_TTL = 4, RECORD_DATA = 5 };
enum { NAMESERVERS_SERVERS = 1, NAMESERVERS_PRIMARY = 2, NAMESERVERS_DOMAINS = 3, NAMESERVERS_SEARCH = 4 };
enum { SERVER_IP = 1, SERVER_TYPE = 2, SERVER_PORT = 3 };

#define RECORD_TTL_S		300
#define TYPE_A			1	/* RFC 1035 section 3.2.2 */
#define TYPE_AAAA		28	/* RFC 3596 section 2.1 */
#define SERVER_UDP		1
#define DNS_PORT		53
#define FORWARDER_PORT		22054
#define FORWARDER_PORT_OLD	5353

/* What is written once and copied into many maps */

static void pack_allowed(struct pack *pack, const char *address, unsigned int prefixlen)
{
	char text[INET6_ADDRSTRLEN + 4];

	snprintf(text, sizeof(text), "%s/%u", address, prefixlen);
	pack_text(pack, PEER_ALLOWED, text);
}

static void pack_remote(struct pack *pack, const struct known *peer, const struct content *is, bool has_ipv6)
{
	size_t ssh;

	pack_text(pack, PEER_KEY, peer->key_text);
	pack_allowed(pack, is->text4, 32);
	if (has_ipv6 && *is->text6)
		pack_allowed(pack, is->text6, 128);
	ssh = pack_open(pack, PEER_SSH);
	pack_text(pack, SSH_KEY, is->ssh_key);
	pack_close(pack, ssh);
	pack_text(pack, PEER_FQDN, is->fqdn);
	pack_text(pack, PEER_AGENT, is->version);
}

static void pack_record(struct pack *pack, const char *fqdn, unsigned int type, const char *data)
{
	pack_text(pack, RECORD_NAME, fqdn);
	pack_number(pack, RECORD_TYPE, type);
	pack_text(pack, RECORD_CLASS, "IN");
	pack_number(pack, RECORD_TTL, RECORD_TTL_S);
	pack_text(pack, RECORD_DATA, data);
}

bool hubmap_content_pack(const struct known *peer, const char *domain, struct content *is)
{
	free(is->fqdn);
	if (asprintf(&is->fqdn, "%s.%s", is->name, domain) < 0)
		is->fqdn = NULL;
	pack_restart(&is->remote4);
	pack_restart(&is->remote46);
	pack_restart(&is->record4);
	pack_restart(&is->record6);
	inet_ntop(AF_INET, &is->address, is->text4, sizeof(is->text4));
	if (!talon_addr_is_zero(&is->address6))
		inet_ntop(AF_INET6, &is->address6, is->text6, sizeof(is->text6));
	pack_remote(&is->remote4, peer, is, false);
	pack_remote(&is->remote46, peer, is, true);
	pack_record(&is->record4, is->fqdn, TYPE_A, is->text4);
	if (*is->text6)
		pack_record(&is->record6, is->fqdn, TYPE_AAAA, is->text6);
	return is->fqdn && !is->remote4.is_failed && !is->remote46.is_failed && !is->record4.is_failed &&
		!is->record6.is_failed;
}

void hubmap_content_done(struct content *is)
{
	free(is->name);
	free(is->hostname);
	free(is->version);
	free(is->ssh_key);
	free(is->fqdn);
	for (size_t i = 0; i < is->group_count; i++)
		free(is->groups[i]);
	free(is->groups);
	pack_done(&is->remote4);
	pack_done(&is->remote46);
	pack_done(&is->record4);
	pack_done(&is->record6);
	*is = (struct content){};
}

/* The peer itself */

static bool has_ipv6(const struct known *peer)
{
	return *peer->is.text6;
}

static void write_self(const struct hubmap *map, const struct known *peer, struct pack *out)
{
	char address[INET_ADDRSTRLEN + 4];
	size_t update;

	snprintf(address, sizeof(address), "%s/%u", peer->is.text4, map->prefixlen);
	pack_text(out, SELF_ADDRESS, address);
	pack_bytes(out, SELF_SSH, NULL, 0);
	pack_text(out, SELF_FQDN, peer->is.fqdn);
	pack_number(out, SELF_RESOLUTION, true);
	update = pack_open(out, SELF_UPDATE);
	pack_text(out, UPDATE_VERSION, "disabled");
	pack_close(out, update);
	if (has_ipv6(peer)) {
		uint8_t compact[17];

		memcpy(compact, &peer->is.address6, 16);
		compact[16] = map->prefixlen6;
		pack_bytes(out, SELF_ADDRESS6, compact, sizeof(compact));
	}
}

/* Others */

static void write_peers(struct hubmap *map, const struct known *peer)
{
	size_t online = 0;

	for (size_t i = 0; i < map->seen_count; i++) {
		const struct known *other = map->seen[i];
		const struct pack *remote = has_ipv6(peer) ? &other->is.remote46 : &other->is.remote4;

		pack_bytes(&map->out, other->is.is_expired ? MAP_OFFLINE : MAP_PEERS, remote->bytes,
			remote->len);
		map->out.is_failed |= remote->is_failed;
		online += !other->is.is_expired;
	}
	pack_number(&map->out, MAP_PEERS_EMPTY, !online);
}

/* DNS */

static void write_records(struct pack *out, const struct known *peer, bool reader_has_ipv6)
{
	pack_bytes(out, ZONE_RECORDS, peer->is.record4.bytes, peer->is.record4.len);
	if (reader_has_ipv6 && has_ipv6(peer))
		pack_bytes(out, ZONE_RECORDS, peer->is.record6.bytes, peer->is.record6.len);
}

static void write_zone(struct hubmap *map, const struct known *peer)
{
	size_t zone = pack_open(&map->out, DNS_ZONES);
	char name[256];

	snprintf(name, sizeof(name), "%s.", map->model->domain);
	pack_text(&map->out, ZONE_DOMAIN, name);
	write_records(&map->out, peer, has_ipv6(peer));
	for (size_t i = 0; i < map->seen_count; i++)
		write_records(&map->out, map->seen[i], has_ipv6(peer));
	pack_close(&map->out, zone);
}

static bool is_address_of(const struct known *peer, const struct cidr *address)
{
	if (address->family == AF_INET)
		return address->addr.word[0] == peer->is.address;
	return has_ipv6(peer) && talon_addr_equal(&address->addr, &peer->is.address6);
}

static void write_server(struct pack *out, const struct hubfile_address *server)
{
	char ip[INET6_ADDRSTRLEN];
	size_t at;

	if (!inet_ntop(server->address.family, &server->address.addr, ip, sizeof(ip)))
		return;
	at = pack_open(out, NAMESERVERS_SERVERS);
	pack_text(out, SERVER_IP, ip);
	pack_number(out, SERVER_TYPE, SERVER_UDP);
	pack_number(out, SERVER_PORT, server->port ? server->port : DNS_PORT);
	pack_close(out, at);
}

static bool wants_nameservers(const struct known *peer, const struct hubfile_nameservers *servers)
{
	bool is_meant = false;

	for (size_t i = 0; i < servers->server_count; i++)
		if (is_address_of(peer, &servers->servers[i].address))
			return false;
	for (size_t i = 0; i < servers->to.count && !is_meant; i++)
		is_meant = hubmap_is_in(peer, &(struct hubmap_set){ .of = &(uint32_t){ servers->to.of[i] },
			.count = 1 });
	return is_meant;
}

static void write_nameservers(struct pack *out, const struct hubfile_nameservers *servers)
{
	size_t at = pack_open(out, DNS_GROUPS);

	for (size_t i = 0; i < servers->server_count; i++)
		write_server(out, &servers->servers[i]);
	pack_number(out, NAMESERVERS_PRIMARY, !servers->domain_count);
	for (size_t i = 0; i < servers->domain_count; i++)
		pack_text(out, NAMESERVERS_DOMAINS, servers->domains[i]);
	pack_number(out, NAMESERVERS_SEARCH, servers->is_search);
	pack_close(out, at);
}

static void write_dns(struct hubmap *map, const struct known *peer)
{
	const struct hubfile *file = map->model->file;
	size_t dns = pack_open(&map->out, MAP_DNS);

	pack_number(&map->out, DNS_ENABLE, true);
	for (size_t i = 0; i < file->nameserver_count && !peer->is.is_expired; i++)
		if (wants_nameservers(peer, &file->nameservers[i]))
			write_nameservers(&map->out, &file->nameservers[i]);
	write_zone(map, peer);
	pack_number(&map->out, DNS_FORWARDER_PORT, map->old_count ? FORWARDER_PORT_OLD : FORWARDER_PORT);
	pack_close(&map->out, dns);
}

/* The map */

static void write_map(struct hubmap *map, struct known *peer, uint64_t serial)
{
	bool has_foreign_sources;
	size_t self;

	hubmap_see(map, peer, true);
	if (peer->is.is_expired)
		map->seen_count = map->related_count = 0;
	pack_number(&map->out, MAP_SERIAL, serial);
	self = pack_open(&map->out, MAP_SELF);
	write_self(map, peer, &map->out);
	pack_close(&map->out, self);
	write_peers(map, peer);
	hubmap_write_routes(map, peer, &has_foreign_sources);
	write_dns(map, peer);
	hubmap_write_rules(map, peer, has_foreign_sources);
	hubmap_write_route_rules(map, peer);
}

static int hand_over(struct pack *out, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *bytes = out->is_failed ? NULL : malloc(out->len + 1);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, out->bytes, out->len);
	*ret_bytes = bytes;
	*ret_len = out->len;
	return 0;
}

int hubmap_write(struct hubmap *map, const uint8_t key[static KEY_LEN], uint64_t serial, uint8_t **ret_bytes,
	size_t *ret_len)
{
	struct known *peer = hubmap_find(map, key);

	if (!peer)
		return -ENOENT;
	pack_restart(&map->out);
	write_map(map, peer, serial);
	return hand_over(&map->out, ret_bytes, ret_len);
}

int hubmap_write_config(struct hubmap *map, const uint8_t key[static KEY_LEN], uint8_t **ret_bytes,
	size_t *ret_len)
{
	const struct known *peer = hubmap_find(map, key);

	if (!peer)
		return -ENOENT;
	pack_restart(&map->out);
	write_self(map, peer, &map->out);
	return hand_over(&map->out, ret_bytes, ret_len);
}
