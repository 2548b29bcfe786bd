// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A network map as management sent it, checked and turned into plain structs.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sodium.h>

#include "config/config.h"
#include "netmap/compact.h"
#include "netmap/netmap_internal.h"

/* Field numbers (proto/management.proto has the names). */
enum { SYNC_CONFIG = 1, SYNC_MAP = 5, SYNC_CHECKS = 6, SYNC_EXPIRY = 7, SYNC_VERSION = 9 };
enum { LOGIN_CONFIG = 1, LOGIN_SELF = 2, LOGIN_CHECKS = 3, LOGIN_EXPIRY = 4 };
enum { SELF_ADDRESS = 1, SELF_FQDN = 4, SELF_RESOLUTION = 5, SELF_LAZY = 6, SELF_MTU = 7,
	SELF_ADDRESS6 = 9 };
enum { MAP_SERIAL = 1, MAP_SELF = 2, MAP_PEERS = 3, MAP_ROUTES = 5, MAP_DNS = 6, MAP_OFFLINE = 7,
	MAP_RULES = 8, MAP_ROUTE_RULES = 10 };
enum { PEER_KEY = 1, PEER_ALLOWED = 2, PEER_FQDN = 4, PEER_AGENT = 5 };
enum {
	ROUTE_ID = 1, ROUTE_NETWORK = 2, ROUTE_TYPE = 3, ROUTE_PEER = 4, ROUTE_METRIC = 5,
	ROUTE_MASQUERADE = 6, ROUTE_NET_ID = 7, ROUTE_DOMAINS = 8, ROUTE_KEEP = 9, ROUTE_SKIP_APPLY = 10,
};
enum { DNS_FORWARDER_PORT = 4 };
enum { CHECKS_FILES = 1 };

/* The shortest entry that can be valid; no room is made for a shorter one. */
enum { PEER_LEN_MIN = 46, ROUTE_LEN_MIN = 48, RULE_LEN_MIN = 4, ROUTE_RULE_LEN_MIN = 13 };

#define METRIC_MAX		9999
#define NAME_LEN_MAX		255		/* of a domain or host name */
#define PATH_LEN_MAX		4096
#define FORWARDER_PORT_OLD	5353		/* the meaning of port 0 */

void netmap_skip(struct netmap_reader *r, const char *fmt, ...)
{
	struct netmap *map = &r->update->map;
	va_list args;

	if (map->skipped++)
		return;
	va_start(args, fmt);
	vsnprintf(map->skipped_why, sizeof(map->skipped_why), fmt, args);
	va_end(args);
	for (char *at = map->skipped_why; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
}

void *netmap_take(struct netmap_reader *r, size_t count, size_t size)
{
	void *at = arena_array(&r->update->arena, count, size);

	if (!at)
		r->is_out_of_memory = true;
	return at;
}

char *netmap_keep(struct netmap_reader *r, struct slice text)
{
	char *copy = arena_text(&r->update->arena, text.at, text.len);

	if (!copy)
		r->is_out_of_memory = true;
	return copy;
}

bool netmap_is_printable(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] <= ' ' || (unsigned char)text.at[i] >= 0x7f)
			return false;
	return text.len;
}

bool netmap_read_prefix(struct slice text, struct cidr *ret_cidr)
{
	return !cidr_parse(text, false, ret_cidr) &&
		(ret_cidr->family == AF_INET || !addr6_is_mapped(&ret_cidr->addr));
}

bool netmap_starts_with(struct slice text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && !memcmp(text.at, prefix, len);
}

static bool read_key(struct slice text, uint8_t ret_key[static KEY_LEN])
{
	char copy[KEY_BASE64_LEN + 1] = "";

	if (text.len != KEY_BASE64_LEN)
		return false;
	memcpy(copy, text.at, KEY_BASE64_LEN);
	return key_from_base64(copy, ret_key) == 0;
}

size_t netmap_count(struct wire wire, uint32_t number, size_t shortest)
{
	struct wire_field field;
	size_t count = 0;

	while (wire_next(&wire, &field) > 0)
		count += wire_is_bytes(&field, number) && field.len >= shortest;
	return count;
}

static bool is_domain_char(unsigned char c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.';
}

static bool is_domain(struct slice text)
{
	if (netmap_starts_with(text, "*."))
		text = (struct slice){ text.at + 2, text.len - 2 };
	if (!text.len || text.len > NAME_LEN_MAX || text.at[0] == '.')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!is_domain_char(text.at[i]) || (text.at[i] == '.' && i + 1 < text.len &&
			text.at[i + 1] == '.'))
			return false;
	return true;
}

static char *keep_domain(struct netmap_reader *r, struct slice text)
{
	char *domain;

	if (text.len > 1 && text.at[text.len - 1] == '.')
		text.len--;
	domain = netmap_keep(r, text);
	for (char *at = domain; at && *at; at++)
		*at = tolower((unsigned char)*at);
	return domain;
}

bool netmap_read_domains(struct netmap_reader *r, struct wire wire, uint32_t number, char ***ret_domains,
	size_t *ret_count)
{
	size_t count = netmap_count(wire, number, 1);
	struct wire_field field;

	if (count)
		*ret_domains = netmap_take(r, count, sizeof(**ret_domains));
	if (count && !*ret_domains)
		return false;
	while (wire_next(&wire, &field) > 0) {
		struct slice text = netmap_text(&field);

		if (!wire_is_bytes(&field, number) || !field.len)
			continue;
		if (is_domain(text))
			(*ret_domains)[(*ret_count)++] = keep_domain(r, text);
		else
			netmap_skip(r, "\"%.*s\" is not a domain name", SHOWN(text));
	}
	return true;
}

/* Ourselves */

static void read_address(struct netmap_reader *r, struct netmap_self *self, struct slice text)
{
	struct cidr cidr;

	if (cidr_parse(text, true, &cidr) || cidr.family != AF_INET ||
		!addr4_is_host(cidr.addr.word[0])) {
		netmap_skip(r, "our own address \"%.*s\": expected an IPv4 address with its prefix length",
			SHOWN(text));
		return;
	}
	self->addr = cidr.addr.word[0];
	self->prefixlen = cidr.prefixlen;
}

static void read_address6(struct netmap_reader *r, struct netmap_self *self, struct slice bytes)
{
	struct cidr cidr;

	if (compact_read((const uint8_t *)bytes.at, bytes.len, &cidr) || cidr.family != AF_INET6 ||
		!cidr.prefixlen || !addr6_is_host(&cidr.addr)) {
		netmap_skip(r, "our own IPv6 address (%zu bytes): expected 16 bytes of address and one of "
			"prefix length; there is no IPv6 until the server sends one", bytes.len);
		return;
	}
	self->addr6 = cidr.addr;
	self->prefixlen6 = cidr.prefixlen;
}

static int read_self(struct netmap_reader *r, const struct wire_field *message)
{
	struct netmap_self self = { .present = true };
	struct wire wire = wire_inside(message);
	struct slice address = NO_TEXT, address6 = NO_TEXT, fqdn = NO_TEXT;
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, SELF_ADDRESS))
			address = netmap_text(&field);
		else if (wire_is_bytes(&field, SELF_ADDRESS6))
			address6 = netmap_text(&field);
		else if (wire_is_bytes(&field, SELF_FQDN))
			fqdn = netmap_text(&field);
		else if (wire_is_varint(&field, SELF_RESOLUTION))
			self.dns_resolution = field.value;
		else if (wire_is_varint(&field, SELF_LAZY))
			self.lazy = field.value;
		else if (wire_is_varint(&field, SELF_MTU))
			self.mtu = field.value >= CONFIG_MTU_MIN && field.value <= CONFIG_MTU_MAX
				? field.value : 0;
	}
	if (ret < 0)
		return ret;
	read_address(r, &self, address);
	if (address6.len)
		read_address6(r, &self, address6);
	self.fqdn = netmap_keep(r, fqdn);
	r->update->map.self = self;
	return 0;
}

/* Peers */

static void read_allowed(struct netmap_reader *r, struct netmap_peer *peer, struct slice text)
{
	struct cidr cidr;

	if (!netmap_read_prefix(text, &cidr))
		netmap_skip(r, "allowed IP \"%.*s\": expected a prefix", SHOWN(text));
	else
		peer->allowed[peer->allowed_count++] = cidr;
}

/* Called once the peer is known not to be ourselves, so that no memory is taken in vain. */
static bool read_allowed_list(struct netmap_reader *r, struct netmap_peer *peer, struct wire wire)
{
	size_t count = netmap_count(wire, PEER_ALLOWED, 1);
	struct wire_field field;

	if (!count)
		return true;
	peer->allowed = netmap_take(r, count, sizeof(*peer->allowed));
	if (!peer->allowed)
		return false;
	while (wire_next(&wire, &field) > 0)
		if (wire_is_bytes(&field, PEER_ALLOWED) && field.len)
			read_allowed(r, peer, netmap_text(&field));
	return true;
}

static char *keep_agent_version(struct netmap_reader *r, struct slice text)
{
	if (!r->agent_version || strlen(r->agent_version) != text.len ||
		memcmp(r->agent_version, text.at, text.len) != 0)
		r->agent_version = netmap_keep(r, text);
	return (char *)r->agent_version;
}

/* True if @ret_peer is to be kept. */
static bool read_peer(struct netmap_reader *r, const struct wire_field *message, struct netmap_peer *ret_peer)
{
	struct slice key = NO_TEXT, fqdn = NO_TEXT, agent = NO_TEXT;
	struct wire wire = wire_inside(message);
	struct netmap_peer peer = {};
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, PEER_KEY))
			key = netmap_text(&field);
		else if (wire_is_bytes(&field, PEER_FQDN))
			fqdn = netmap_text(&field);
		else if (wire_is_bytes(&field, PEER_AGENT))
			agent = netmap_text(&field);
	}
	if (ret < 0 || !read_key(key, peer.key)) {
		netmap_skip(r, "a peer (%.*s) without a valid public key", SHOWN(fqdn));
		return false;
	}
	if (r->own && key_is_equal(peer.key, r->own))
		return false;
	if (!read_allowed_list(r, &peer, wire_inside(message)))
		return false;
	peer.fqdn = netmap_keep(r, fqdn);
	peer.agent_version = keep_agent_version(r, agent);
	netmap_note_addresses(&peer);
	*ret_peer = peer;
	return true;
}

/* Routes */

static uint32_t metric(uint64_t value)
{
	return (int64_t)value < 0 ? 0 : value > METRIC_MAX ? METRIC_MAX : value;
}

struct route_texts {
	struct slice id, network, peer, net_id;
	bool has_domains;
};

static int read_route_fields(struct wire wire, struct netmap_route *route, struct route_texts *texts)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, ROUTE_ID))
			texts->id = netmap_text(&field);
		else if (wire_is_bytes(&field, ROUTE_NETWORK))
			texts->network = netmap_text(&field);
		else if (wire_is_bytes(&field, ROUTE_PEER))
			texts->peer = netmap_text(&field);
		else if (wire_is_bytes(&field, ROUTE_NET_ID))
			texts->net_id = netmap_text(&field);
		else if (wire_is_bytes(&field, ROUTE_DOMAINS))
			texts->has_domains = true;
		else if (wire_is_varint(&field, ROUTE_METRIC))
			route->metric = metric(field.value);
		else if (wire_is_varint(&field, ROUTE_MASQUERADE))
			route->masquerade = field.value;
		else if (wire_is_varint(&field, ROUTE_KEEP))
			route->keep_route = field.value;
		else if (wire_is_varint(&field, ROUTE_SKIP_APPLY))
			route->skip_auto_apply = field.value;
	}
	return ret;
}

static bool read_route_target(struct netmap_reader *r, struct netmap_route *route,
	const struct route_texts *texts, struct wire wire)
{
	if (texts->has_domains) {
		if (!netmap_read_domains(r, wire, ROUTE_DOMAINS, &route->domains, &route->domain_count))
			return false;
		return route->domain_count;	/* invalid ones were counted */
	}
	if (!netmap_read_prefix(texts->network, &route->net)) {
		netmap_skip(r, "route %.*s: \"%.*s\": expected a prefix", SHOWN(texts->id),
			SHOWN(texts->network));
		return false;
	}
	return true;
}

static bool read_route(struct netmap_reader *r, const struct wire_field *message,
	struct netmap_route *ret_route)
{
	struct netmap_route route = {};
	struct route_texts texts = { NO_TEXT, NO_TEXT, NO_TEXT, NO_TEXT, false };

	if (read_route_fields(wire_inside(message), &route, &texts) < 0 || !texts.id.len ||
		texts.id.len >= NETMAP_ID_LEN || texts.net_id.len >= NETMAP_ID_LEN) {
		netmap_skip(r, "a malformed route (%.*s)", SHOWN(texts.id));
		return false;
	}
	if (!read_key(texts.peer, route.router)) {
		netmap_skip(r, "route %.*s has no routing peer", SHOWN(texts.id));
		return false;
	}
	if (!read_route_target(r, &route, &texts, wire_inside(message)))
		return false;
	route.id = netmap_keep(r, texts.id);
	route.net_id = netmap_keep(r, texts.net_id);
	*ret_route = route;
	return true;
}

/* The map */

static void read_dns(struct netmap_reader *r, const struct wire_field *message)
{
	struct wire wire = wire_inside(message);
	uint64_t port = FORWARDER_PORT_OLD;
	struct wire_field field;

	while (wire_next(&wire, &field) > 0)
		if (wire_is_varint(&field, DNS_FORWARDER_PORT) && field.value)
			port = field.value;
	if (port > UINT16_MAX)
		netmap_skip(r, "the DNS forwarder's port is out of range");
	else
		r->update->map.dns_forwarder_port = port;
}

/* The single fields, which the lists are read by: routing rules depend on @self. */
static int read_head(struct netmap_reader *r, struct wire wire)
{
	struct netmap *map = &r->update->map;
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, MAP_SERIAL))
			map->serial = field.value;
		else if (wire_is_bytes(&field, MAP_SELF))
			ret = read_self(r, &field);
		else if (wire_is_bytes(&field, MAP_DNS))
			read_dns(r, &field);
		if (ret < 0)
			break;
	}
	return ret;
}

static bool make_room(struct netmap_reader *r, struct wire wire)
{
	struct netmap *map = &r->update->map;
	struct {
		uint32_t number;
		size_t shortest, size;
		void **list;
	} lists[] = {
		{ MAP_PEERS, PEER_LEN_MIN, sizeof(*map->peers), (void **)&map->peers },
		{ MAP_OFFLINE, PEER_LEN_MIN, sizeof(*map->offline), (void **)&map->offline },
		{ MAP_ROUTES, ROUTE_LEN_MIN, sizeof(*map->routes), (void **)&map->routes },
		{ MAP_RULES, RULE_LEN_MIN, sizeof(*map->rules), (void **)&map->rules },
		{ MAP_ROUTE_RULES, ROUTE_RULE_LEN_MIN, sizeof(*map->route_rules),
			(void **)&map->route_rules },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		size_t count = netmap_count(wire, lists[i].number, lists[i].shortest);

		if (!count)
			continue;
		*lists[i].list = netmap_take(r, count, lists[i].size);
		if (!*lists[i].list)
			return false;
	}
	return true;
}

static void read_entry(struct netmap_reader *r, const struct wire_field *field)
{
	struct netmap *map = &r->update->map;

	if (field->type != WIRE_BYTES)
		return;
	switch (field->number) {
	case MAP_PEERS:
		if (field->len < PEER_LEN_MIN)
			netmap_skip(r, "a peer without a public key");
		else
			map->peer_count += read_peer(r, field, &map->peers[map->peer_count]);
		break;
	case MAP_OFFLINE:
		if (field->len >= PEER_LEN_MIN)
			map->offline_count += read_peer(r, field, &map->offline[map->offline_count]);
		break;
	case MAP_ROUTES:
		if (field->len < ROUTE_LEN_MIN)
			netmap_skip(r, "a route without a routing peer");
		else
			map->route_count += read_route(r, field, &map->routes[map->route_count]);
		break;
	case MAP_RULES:
		if (field->len < RULE_LEN_MIN)
			netmap_skip(r, "an access rule without a peer");
		else
			map->rule_count += netmap_read_rule(r, field, &map->rules[map->rule_count]);
		break;
	case MAP_ROUTE_RULES:
		if (field->len >= ROUTE_RULE_LEN_MIN)	/* a shorter one has no sources */
			map->route_rule_count += netmap_read_route_rule(r, field,
				&map->route_rules[map->route_rule_count]);
		break;
	}
}

static int read_map(struct netmap_reader *r, const struct wire_field *message)
{
	struct wire wire = wire_inside(message);
	struct wire_field field;
	int ret = read_head(r, wire);

	if (ret < 0)
		return ret;
	r->update->map.present = true;
	if (!make_room(r, wire))
		return -ENOMEM;
	while (wire_next(&wire, &field) > 0)
		read_entry(r, &field);
	ret = netmap_settle_peers(r);
	return ret < 0 ? ret : netmap_settle_routes(r);
}

/* Finds the last length-delimited field @number; a later one overrides an earlier one. */
static bool find(struct wire wire, uint32_t number, struct wire_field *ret_field)
{
	struct wire_field field;
	bool found = false;

	while (wire_next(&wire, &field) > 0)
		if (wire_is_bytes(&field, number)) {
			*ret_field = field;
			found = true;
		}
	return found;
}

static size_t count_check_files(struct wire wire, uint32_t number)
{
	struct wire_field field;
	size_t count = 0;

	while (wire_next(&wire, &field) > 0)
		if (wire_is_bytes(&field, number))
			count += netmap_count(wire_inside(&field), CHECKS_FILES, 1);
	return count;
}

static void read_check(struct netmap_reader *r, struct wire wire)
{
	struct netmap_update *update = r->update;
	struct wire_field field;

	while (wire_next(&wire, &field) > 0) {
		if (!wire_is_bytes(&field, CHECKS_FILES) || !field.len)
			continue;
		if (field.len >= PATH_LEN_MAX)
			netmap_skip(r, "a posture check's path is too long");
		else
			update->check_files[update->check_file_count++] = netmap_keep(r, netmap_text(&field));
	}
}

static int read_checks(struct netmap_reader *r, struct wire wire, uint32_t number)
{
	size_t count = count_check_files(wire, number);
	struct wire_field field;

	if (!count)
		return 0;
	r->update->check_files = netmap_take(r, count, sizeof(*r->update->check_files));
	if (!r->update->check_files)
		return -ENOMEM;
	while (wire_next(&wire, &field) > 0)
		if (wire_is_bytes(&field, number))
			read_check(r, wire_inside(&field));
	return 0;
}

/* A time that cannot be read says nothing: the one that is known stays. */
static void read_expiry(struct netmap_reader *r, struct wire wire, uint32_t number)
{
	struct wire_field field;

	if (find(wire, number, &field) && expiry_read(wire_inside(&field), &r->update->expiry))
		netmap_skip(r, "the time when the login ends cannot be read");
}

static int is_well_formed(struct wire wire)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0)
		;
	return ret;
}

/*
 * Since 0.75 a map may come as components, in another field. We do not ask for that, and a message which
 * claims it must not pass for one without a map, or for an empty map.
 */
static bool is_other_format(struct wire wire)
{
	struct wire_field field;
	bool is_other = false;

	while (wire_next(&wire, &field) > 0) {
		if (wire_is_varint(&field, SYNC_VERSION))
			is_other = field.value;
	}
	return is_other;
}

static int read_update(struct netmap_reader *r, struct wire wire)
{
	struct wire_field field;
	int ret = is_well_formed(wire);

	if (!ret && is_other_format(wire))
		ret = -EPROTONOSUPPORT;
	if (!ret && find(wire, SYNC_CONFIG, &field))
		ret = netmap_read_servers(r, &field);
	if (!ret && find(wire, SYNC_MAP, &field))
		ret = read_map(r, &field);
	if (!ret)
		ret = read_checks(r, wire, SYNC_CHECKS);
	if (!ret)
		read_expiry(r, wire, SYNC_EXPIRY);
	return ret;
}

static int read_login(struct netmap_reader *r, struct wire wire)
{
	struct wire_field field;
	int ret = is_well_formed(wire);

	if (!ret && find(wire, LOGIN_CONFIG, &field))
		ret = netmap_read_servers(r, &field);
	if (!ret && find(wire, LOGIN_SELF, &field))
		ret = read_self(r, &field);
	if (!ret)
		ret = read_checks(r, wire, LOGIN_CHECKS);
	if (!ret)
		read_expiry(r, wire, LOGIN_EXPIRY);
	return ret;
}

static int parse(int (*read)(struct netmap_reader *, struct wire), const uint8_t *bytes, size_t len,
	const uint8_t *own, struct netmap_update *ret_update)
{
	struct netmap_update update = { .map.dns_forwarder_port = FORWARDER_PORT_OLD };
	struct netmap_reader r = { .update = &update, .own = own };
	int ret = read(&r, wire_start(bytes, len));

	if (!ret && r.is_out_of_memory)
		ret = -ENOMEM;
	if (ret < 0)
		netmap_update_done(&update);
	else
		*ret_update = update;
	sodium_memzero(&update, sizeof(update));	/* the relay token is in it */
	return ret;
}

int netmap_update_parse(const uint8_t *bytes, size_t len, const uint8_t own[static KEY_LEN],
	struct netmap_update *ret_update)
{
	return parse(read_update, bytes, len, own, ret_update);
}

int netmap_login_parse(const uint8_t *bytes, size_t len, struct netmap_update *ret_update)
{
	return parse(read_login, bytes, len, NULL, ret_update);
}

void netmap_update_done(struct netmap_update *update)
{
	struct arena arena = update->arena;

	arena_free(&arena);
	sodium_memzero(update, sizeof(*update));
}

const struct netmap_self *netmap_self_of(const struct netmap *map, const struct netmap_self *last)
{
	return map->self.addr ? &map->self : last;
}

bool netmap_is_farewell(const struct netmap *map)
{
	return map->present && !map->self.present && !map->peer_count && !map->offline_count &&
		!map->route_count && !map->rule_count && !map->route_rule_count;
}
