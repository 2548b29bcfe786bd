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

#include "config/value.h"
#include "netbird/netmap.h"
#include "netbird/wire.h"

/* Field numbers (proto/management.proto has the names). */
enum { SYNC_CONFIG = 1, SYNC_MAP = 5, SYNC_CHECKS = 6 };
enum { LOGIN_CONFIG = 1, LOGIN_SELF = 2, LOGIN_CHECKS = 3 };
enum { CONFIG_STUNS = 1, CONFIG_SIGNAL = 3, CONFIG_RELAY = 4 };
enum { HOST_URI = 1, HOST_PROTOCOL = 2 };
enum { RELAY_URLS = 1, RELAY_PAYLOAD = 2, RELAY_SIGNATURE = 3 };
enum { SELF_ADDRESS = 1, SELF_FQDN = 4, SELF_RESOLUTION = 5, SELF_LAZY = 6, SELF_MTU = 7 };
enum { MAP_SERIAL = 1, MAP_SELF = 2, MAP_PEERS = 3, MAP_ROUTES = 5, MAP_DNS = 6, MAP_OFFLINE = 7,
	MAP_RULES = 8, MAP_ROUTE_RULES = 10 };
enum { PEER_KEY = 1, PEER_ALLOWED = 2, PEER_FQDN = 4, PEER_AGENT = 5 };
enum {
	ROUTE_ID = 1, ROUTE_NETWORK = 2, ROUTE_TYPE = 3, ROUTE_PEER = 4, ROUTE_METRIC = 5,
		ROUTE_MASQUERADE = 6, ROUTE_NET_ID = 7, ROUTE_DOMAINS = 8,
	ROUTE_KEEP = 9, ROUTE_SKIP_APPLY = 10,
};
enum { RULE_PEER = 1, RULE_DIRECTION = 2, RULE_ACTION = 3, RULE_PROTOCOL = 4, RULE_PORT = 5,
	RULE_PORT_INFO = 6 };
enum {
	ROUTE_RULE_SOURCES = 1, ROUTE_RULE_ACTION = 2, ROUTE_RULE_DESTINATION = 3, ROUTE_RULE_PROTOCOL = 4,
		ROUTE_RULE_PORT_INFO = 5,
	ROUTE_RULE_DYNAMIC = 6, ROUTE_RULE_DOMAINS = 7, ROUTE_RULE_ROUTE = 10,
};
enum { PORT_INFO_PORT = 1, PORT_INFO_RANGE = 2, RANGE_START = 1, RANGE_END = 2 };
enum { DNS_FORWARDER_PORT = 4 };
enum { CHECKS_FILES = 1 };

enum { HOST_PROTOCOL_HTTPS = 3 };
enum { WIRE_ALL = 1, WIRE_TCP = 2, WIRE_UDP = 3, WIRE_ICMP = 4 };
enum { WIRE_ACCEPT = 0, WIRE_DROP = 1 };
enum { WIRE_IN = 0 };

/* The fewest bytes of an entry that can be kept: what is shorter gets no room. */
enum { PEER_LEN_MIN = 46, ROUTE_LEN_MIN = 48, RULE_LEN_MIN = 4, ROUTE_RULE_LEN_MIN = 13 };

#define METRIC_MAX		9999
#define URI_LEN_MAX		512
#define NAME_LEN_MAX		255		/* of a domain or host name */
#define PATH_LEN_MAX		4096
#define FORWARDER_PORT_OLD	5353		/* what 0 means */

struct reader {
	struct netmap_update *update;
	const uint8_t *own;		/* NULL: nobody is filtered */
	const char *agent_version;	/* of the peer before: most have the same */
	bool is_out_of_memory;
};

/* A field's text, not terminated. */
struct text {
	const char *at;
	size_t len;
};

static struct text text_of(const struct wire_field *field)
{
	return (struct text){ (const char *)field->bytes, field->len };
}

static struct slice slice_of(struct text text)
{
	return (struct slice){ text.at ? text.at : "", text.len };
}

__attribute__((format(printf, 2, 3)))
static void skip(struct reader *r, const char *fmt, ...)
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

/* For "%.*s" of texts of any length. */
#define SHOWN(text) ((int)((text).len < 48 ? (text).len : 48)), ((text).at ? (text).at : "")

static void *take(struct reader *r, size_t count, size_t size)
{
	void *at = arena_array(&r->update->arena, count, size);

	if (!at)
		r->is_out_of_memory = true;
	return at;
}

static char *keep(struct reader *r, struct text text)
{
	char *copy = arena_text(&r->update->arena, text.at, text.len);

	if (!copy)
		r->is_out_of_memory = true;
	return copy;
}

static bool is_printable(struct text text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] <= ' ' || (unsigned char)text.at[i] >= 0x7f)
			return false;
	return text.len;
}

static bool starts_with(struct text text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && !memcmp(text.at, prefix, len);
}

static bool read_key(struct text text, uint8_t ret_key[static KEY_LEN])
{
	char copy[KEY_BASE64_LEN + 1] = "";

	if (text.len != KEY_BASE64_LEN)
		return false;
	memcpy(copy, text.at, KEY_BASE64_LEN);
	return key_from_base64(copy, ret_key) == 0;
}

/* How many fields @number there are with at least @shortest bytes. */
static size_t count_entries(struct wire wire, uint32_t number, size_t shortest)
{
	struct wire_field field;
	size_t count = 0;

	while (wire_next(&wire, &field) > 0)
		count += wire_is_bytes(&field, number) && field.len >= shortest;
	return count;
}

/* Lists of text. */

/* Room in @ret_list for each field @number. */
static bool text_list_new(struct reader *r, struct wire wire, uint32_t number, char ***ret_list)
{
	size_t count = count_entries(wire, number, 1);

	if (!count)
		return true;
	*ret_list = take(r, count, sizeof(**ret_list));
	return *ret_list;
}

static bool is_domain_char(unsigned char c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.';
}

static bool is_domain(struct text text)
{
	if (starts_with(text, "*."))
		text = (struct text){ text.at + 2, text.len - 2 };
	if (!text.len || text.len > NAME_LEN_MAX || text.at[0] == '.')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!is_domain_char(text.at[i]) || (text.at[i] == '.' && i + 1 < text.len &&
			text.at[i + 1] == '.'))
			return false;
	return true;
}

static char *keep_domain(struct reader *r, struct text text)
{
	char *domain;

	if (text.len > 1 && text.at[text.len - 1] == '.')
		text.len--;
	domain = keep(r, text);
	for (char *at = domain; at && *at; at++)
		*at = tolower((unsigned char)*at);
	return domain;
}

/* Fields @number of @wire as domains; true also where none could be kept. */
static bool read_domains(struct reader *r, struct wire wire, uint32_t number, char ***ret_domains,
	size_t *ret_count)
{
	struct wire_field field;

	if (!text_list_new(r, wire, number, ret_domains))
		return false;
	while (wire_next(&wire, &field) > 0) {
		struct text text = text_of(&field);

		if (!wire_is_bytes(&field, number) || !field.len)
			continue;
		if (is_domain(text))
			(*ret_domains)[(*ret_count)++] = keep_domain(r, text);
		else
			skip(r, "domain \"%.*s\" is not one", SHOWN(text));
	}
	return true;
}

/* Servers */

struct host {
	struct text uri;
	bool is_https;
};

static int read_host(struct wire wire, struct host *ret_host)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, HOST_URI))
			ret_host->uri = text_of(&field);
		else if (wire_is_varint(&field, HOST_PROTOCOL))
			ret_host->is_https = field.value == HOST_PROTOCOL_HTTPS;
	}
	if (!ret && (!is_printable(ret_host->uri) || ret_host->uri.len > URI_LEN_MAX))
		return -EBADMSG;
	return ret;
}

static void read_stun(struct reader *r, const struct wire_field *field)
{
	struct netmap_servers *servers = &r->update->servers;
	struct host host = {};

	if (read_host(wire_inside(field), &host) < 0 || !starts_with(host.uri, "stun:"))
		skip(r, "STUN server \"%.*s\" is not stun:HOST:PORT", SHOWN(host.uri));
	else
		servers->stuns[servers->stun_count++] = keep(r, host.uri);
}

static void read_signal(struct reader *r, const struct wire_field *field)
{
	struct netmap_servers *servers = &r->update->servers;
	struct host host = {};

	if (read_host(wire_inside(field), &host) < 0) {
		skip(r, "signal server \"%.*s\" is not HOST:PORT", SHOWN(host.uri));
		return;
	}
	servers->signal = keep(r, host.uri);
	servers->signal_tls = host.is_https;
}

static bool read_signature(struct text text, uint8_t ret_signature[32])
{
	uint8_t bytes[32];
	size_t len;
	bool ok = sodium_base642bin(bytes, sizeof(bytes), text.at ? text.at : "", text.len, NULL, &len, NULL,
		sodium_base64_VARIANT_ORIGINAL) == 0 && len == sizeof(bytes);

	if (ok)
		memcpy(ret_signature, bytes, sizeof(bytes));
	sodium_memzero(bytes, sizeof(bytes));
	return ok;
}

static void read_relay_url(struct reader *r, struct netmap_relay *relay, struct text url)
{
	if ((starts_with(url, "rels://") || starts_with(url, "rel://")) && is_printable(url) &&
		url.len <= URI_LEN_MAX)
		relay->urls[relay->url_count++] = keep(r, url);
	else
		skip(r, "relay \"%.*s\" is neither rels://HOST:PORT nor rel://HOST:PORT", SHOWN(url));
}

/* Addresses or a token that cannot be used leave everything about relays as it was. */
static int read_relay(struct reader *r, const struct wire_field *message)
{
	struct netmap_relay relay = { .present = true };
	struct wire wire = wire_inside(message);
	struct text payload = {}, signature = {};
	struct wire_field field;
	bool names_urls = false;
	int ret;

	if (!text_list_new(r, wire, RELAY_URLS, &relay.urls))
		return -ENOMEM;
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, RELAY_URLS) && field.len) {
			names_urls = true;
			read_relay_url(r, &relay, text_of(&field));
		} else if (wire_is_bytes(&field, RELAY_PAYLOAD))
			payload = text_of(&field);
		else if (wire_is_bytes(&field, RELAY_SIGNATURE))
			signature = text_of(&field);
	}
	if (ret < 0)
		return ret;
	relay.token_payload = keep(r, payload);
	if (names_urls && !relay.url_count)
		relay = (struct netmap_relay){};
	if (relay.url_count && (!is_printable(payload) || payload.len > URI_LEN_MAX ||
		!read_signature(signature, relay.token_signature))) {
		skip(r, "the relay token cannot be read");
		relay = (struct netmap_relay){};
	}
	r->update->servers.relay = relay;
	return 0;
}

/*
 * What a message leaves out is only a word in a whole one, which names signal or STUN servers: there no relay
 * means none. One that carries a relay token alone changes relays alone, and one that is about neither
 * (metrics, flow) changes no servers at all.
 */
static void take_scope(struct netmap_servers *servers, bool names_relay)
{
	const bool is_whole = servers->signal || servers->stun_count;

	if (is_whole && !names_relay)
		servers->relay.present = true;
	servers->present = is_whole || names_relay;
}

static int read_servers(struct reader *r, const struct wire_field *message)
{
	struct netmap_servers *servers = &r->update->servers;
	struct wire wire = wire_inside(message);
	bool names_relay = false;
	struct wire_field field;
	int ret;

	*servers = (struct netmap_servers){};
	if (!text_list_new(r, wire, CONFIG_STUNS, &servers->stuns))
		return -ENOMEM;
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, CONFIG_STUNS) && field.len)
			read_stun(r, &field);
		else if (wire_is_bytes(&field, CONFIG_SIGNAL))
			read_signal(r, &field);
		else if (wire_is_bytes(&field, CONFIG_RELAY))
			names_relay = !(ret = read_relay(r, &field));
		if (ret < 0)
			break;
	}
	take_scope(servers, names_relay);
	return ret;
}

/* Ourselves */

static void read_address(struct reader *r, struct netmap_self *self, struct text text)
{
	struct cidr cidr;

	if (cidr_parse(slice_of(text), true, &cidr) || cidr.family != AF_INET ||
		!addr4_is_host(cidr.addr.word[0])) {
		skip(r, "our own address \"%.*s\" is not an IPv4 address with its prefix length",
			SHOWN(text));
		return;
	}
	self->addr = cidr.addr.word[0];
	self->prefixlen = cidr.prefixlen;
}

static int read_self(struct reader *r, const struct wire_field *message)
{
	struct netmap_self self = { .present = true };
	struct wire wire = wire_inside(message);
	struct text address = {}, fqdn = {};
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, SELF_ADDRESS))
			address = text_of(&field);
		else if (wire_is_bytes(&field, SELF_FQDN))
			fqdn = text_of(&field);
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
	self.fqdn = keep(r, fqdn);
	r->update->map.self = self;
	return 0;
}

/* Peers */

static void read_allowed(struct reader *r, struct netmap_peer *peer, struct text text)
{
	struct cidr cidr;

	if (cidr_parse(slice_of(text), false, &cidr) || cidr.family != AF_INET)
		skip(r, "allowed IP \"%.*s\" is not an IPv4 prefix", SHOWN(text));
	else
		peer->allowed[peer->allowed_count++] = cidr;
}

/* Room for @count prefixes is made once the peer is known to be somebody else. */
static bool read_allowed_list(struct reader *r, struct netmap_peer *peer, struct wire wire)
{
	size_t count = count_entries(wire, PEER_ALLOWED, 1);
	struct wire_field field;

	if (!count)
		return true;
	peer->allowed = take(r, count, sizeof(*peer->allowed));
	if (!peer->allowed)
		return false;
	while (wire_next(&wire, &field) > 0)
		if (wire_is_bytes(&field, PEER_ALLOWED) && field.len)
			read_allowed(r, peer, text_of(&field));
	return true;
}

static char *keep_agent_version(struct reader *r, struct text text)
{
	if (!r->agent_version || strlen(r->agent_version) != text.len ||
		memcmp(r->agent_version, text.at ? text.at : "", text.len) != 0)
		r->agent_version = keep(r, text);
	return (char *)r->agent_version;
}

/* True if @ret_peer is to be kept. */
static bool read_peer(struct reader *r, const struct wire_field *message, struct netmap_peer *ret_peer)
{
	struct text key = {}, fqdn = {}, agent = {};
	struct wire wire = wire_inside(message);
	struct netmap_peer peer = {};
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, PEER_KEY))
			key = text_of(&field);
		else if (wire_is_bytes(&field, PEER_FQDN))
			fqdn = text_of(&field);
		else if (wire_is_bytes(&field, PEER_AGENT))
			agent = text_of(&field);
	}
	if (ret < 0 || !read_key(key, peer.key)) {
		skip(r, "a peer (%.*s) without a public key that can be read", SHOWN(fqdn));
		return false;
	}
	if (r->own && key_is_equal(peer.key, r->own))
		return false;
	if (!read_allowed_list(r, &peer, wire_inside(message)))
		return false;
	peer.fqdn = keep(r, fqdn);
	peer.agent_version = keep_agent_version(r, agent);
	if (peer.allowed_count)
		peer.addr = peer.allowed[0].addr.word[0];
	*ret_peer = peer;
	return true;
}

/* For finding what is there twice: an entry's place in the message decides who was first. */
struct place {
	const void *key;
	uint32_t entry;
	uint32_t item;
};

static int by_entry(const struct place *a, const struct place *b)
{
	return a->entry != b->entry ? (a->entry > b->entry) - (a->entry < b->entry)
		: (a->item > b->item) - (a->item < b->item);
}

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = memcmp(x->key, y->key, KEY_LEN);

	return order ? order : by_entry(x, y);
}

/* All are IPv4 here. */
static int compare_prefixes(const struct cidr *a, const struct cidr *b)
{
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	return order ? order : a->prefixlen - b->prefixlen;
}

static int by_prefix(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = compare_prefixes(x->key, y->key);

	return order ? order : by_entry(x, y);
}

static int by_id(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : by_entry(x, y);
}

/* Peers without allowed IPs are no use to anybody; also marks what comes twice. */
static void drop_unreachable(struct reader *r)
{
	struct netmap *map = &r->update->map;
	size_t kept = 0;

	for (size_t i = 0; i < map->peer_count; i++) {
		struct netmap_peer *peer = &map->peers[i];

		if (!peer->allowed_count)
			continue;
		peer->addr = peer->allowed[0].addr.word[0];
		map->peers[kept++] = *peer;
	}
	map->peer_count = kept;
}

/* The second of two peers with one key loses its allowed IPs. */
static int drop_twin_keys(struct reader *r)
{
	struct netmap *map = &r->update->map;
	struct place *places = malloc(map->peer_count * sizeof(*places) + 1);

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < map->peer_count; i++)
		places[i] = (struct place){ map->peers[i].key, i, 0 };
	qsort(places, map->peer_count, sizeof(*places), by_key);
	for (size_t i = 1; i < map->peer_count; i++) {
		if (memcmp(places[i].key, places[i - 1].key, KEY_LEN) != 0)
			continue;
		skip(r, "peer %s is there twice", map->peers[places[i].entry].fqdn);
		map->peers[places[i].entry].allowed_count = 0;
	}
	free(places);
	return 0;
}

static void compact_allowed(struct netmap_peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < peer->allowed_count; i++)
		if (peer->allowed[i].family)
			peer->allowed[kept++] = peer->allowed[i];
	peer->allowed_count = kept;
}

static void drop_twins(struct reader *r, struct place *places, size_t count)
{
	struct netmap_peer *peers = r->update->map.peers;
	size_t first = 0;

	for (size_t i = 1; i < count; i++) {
		struct cidr *cidr = &peers[places[i].entry].allowed[places[i].item];
		char text[CIDR_TEXT_LEN];

		if (compare_prefixes(places[i].key, places[first].key) != 0) {
			first = i;
			continue;
		}
		if (places[i].entry != places[first].entry) {
			cidr_format(cidr, text, sizeof(text));
			skip(r, "%s belongs to %s and to %s; the first keeps it", text,
				peers[places[first].entry].fqdn, peers[places[i].entry].fqdn);
		}
		places[i].item |= 1U << 31;	/* the prefix itself is still compared with */
	}
	for (size_t i = 1; i < count; i++)
		if (places[i].item >> 31)
			peers[places[i].entry].allowed[places[i].item & ~(1U << 31)].family = 0;
}

/* A prefix leads to one peer. */
static int drop_twin_prefixes(struct reader *r)
{
	struct netmap *map = &r->update->map;
	struct place *places;
	size_t count = 0;

	for (size_t i = 0; i < map->peer_count; i++)
		count += map->peers[i].allowed_count;
	places = malloc(count * sizeof(*places) + 1);
	if (!places)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; i < map->peer_count; i++)
		for (size_t j = 0; j < map->peers[i].allowed_count; j++)
			places[count++] = (struct place){ &map->peers[i].allowed[j], i, j };
	qsort(places, count, sizeof(*places), by_prefix);
	drop_twins(r, places, count);
	free(places);
	for (size_t i = 0; i < map->peer_count; i++)
		compact_allowed(&map->peers[i]);
	return 0;
}

static int by_peer_key(const void *a, const void *b)
{
	return memcmp(((const struct netmap_peer *)a)->key, ((const struct netmap_peer *)b)->key, KEY_LEN);
}

static int settle_peers(struct reader *r)
{
	struct netmap *map = &r->update->map;
	int ret;

	if (!map->peer_count)
		return 0;
	for (size_t i = 0; i < map->peer_count; i++)
		if (!map->peers[i].allowed_count)
			skip(r, "peer %s has no IPv4 address", map->peers[i].fqdn);
	ret = drop_twin_keys(r);
	if (!ret)
		ret = drop_twin_prefixes(r);
	drop_unreachable(r);
	qsort(map->peers, map->peer_count, sizeof(*map->peers), by_peer_key);
	return ret;
}

/* Routes */

static uint32_t metric(uint64_t value)
{
	return (int64_t)value < 0 ? 0 : value > METRIC_MAX ? METRIC_MAX : value;
}

struct route_texts {
	struct text id, network, peer, net_id;
	bool has_domains;
};

static int read_route_fields(struct wire wire, struct netmap_route *route, struct route_texts *texts)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, ROUTE_ID))
			texts->id = text_of(&field);
		else if (wire_is_bytes(&field, ROUTE_NETWORK))
			texts->network = text_of(&field);
		else if (wire_is_bytes(&field, ROUTE_PEER))
			texts->peer = text_of(&field);
		else if (wire_is_bytes(&field, ROUTE_NET_ID))
			texts->net_id = text_of(&field);
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

static bool read_route_target(struct reader *r, struct netmap_route *route, const struct route_texts *texts,
	struct wire wire)
{
	if (texts->has_domains) {
		if (!read_domains(r, wire, ROUTE_DOMAINS, &route->domains, &route->domain_count))
			return false;
		return route->domain_count;	/* the bad ones have been counted */
	}
	if (cidr_parse(slice_of(texts->network), false, &route->net) || route->net.family != AF_INET) {
		skip(r, "route %.*s: \"%.*s\" is not an IPv4 prefix", SHOWN(texts->id),
			SHOWN(texts->network));
		return false;
	}
	return true;
}

static bool read_route(struct reader *r, const struct wire_field *message, struct netmap_route *ret_route)
{
	struct netmap_route route = {};
	struct route_texts texts = {};

	if (read_route_fields(wire_inside(message), &route, &texts) < 0 || !texts.id.len ||
		texts.id.len >= NETMAP_ID_LEN || texts.net_id.len >= NETMAP_ID_LEN) {
		skip(r, "a route (%.*s) that cannot be read", SHOWN(texts.id));
		return false;
	}
	if (!read_key(texts.peer, route.router)) {
		skip(r, "route %.*s has no routing peer", SHOWN(texts.id));
		return false;
	}
	if (!read_route_target(r, &route, &texts, wire_inside(message)))
		return false;
	route.id = keep(r, texts.id);
	route.net_id = keep(r, texts.net_id);
	*ret_route = route;
	return true;
}

static void mark_twin_routes(struct reader *r, struct place *places)
{
	struct netmap *map = &r->update->map;

	for (size_t i = 0; i < map->route_count; i++)
		places[i] = (struct place){ map->routes[i].id, i, 0 };
	qsort(places, map->route_count, sizeof(*places), by_id);
	for (size_t i = 1; i < map->route_count; i++) {
		if (strcmp(places[i].key, places[i - 1].key) != 0)
			continue;
		skip(r, "route %s is there twice", (const char *)places[i].key);
		places[i].item = 1;
	}
	for (size_t i = 1; i < map->route_count; i++)
		if (places[i].item)
			map->routes[places[i].entry].id = NULL;
}

static int settle_routes(struct reader *r)
{
	struct netmap *map = &r->update->map;
	struct place *places = malloc(map->route_count * sizeof(*places) + 1);
	size_t kept = 0;

	if (!places)
		return -ENOMEM;
	mark_twin_routes(r, places);
	free(places);
	for (size_t i = 0; i < map->route_count; i++)
		if (map->routes[i].id)
			map->routes[kept++] = map->routes[i];
	map->route_count = kept;
	return 0;
}

/* Access rules */

struct match {				/* what both kinds of rule have */
	uint64_t action, protocol;
	uint64_t first, last;		/* 0, 0: any */
};

/* A range from 0 is what servers send where they mean any port. */
static int read_range(struct wire wire, struct match *match)
{
	uint64_t start = 0, end = 0;
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, RANGE_START))
			start = (uint32_t)field.value;
		else if (wire_is_varint(&field, RANGE_END))
			end = (uint32_t)field.value;
	}
	match->first = start && end ? start : 0;
	match->last = start && end ? end : 0;
	return ret;
}

static int read_port_info(const struct wire_field *message, struct match *match)
{
	struct wire wire = wire_inside(message);
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, PORT_INFO_PORT))
			match->first = match->last = (uint32_t)field.value;
		else if (wire_is_bytes(&field, PORT_INFO_RANGE))
			ret = read_range(wire_inside(&field), match);
		if (ret < 0)
			break;
	}
	return ret;
}

static bool read_protocol(uint64_t protocol, uint8_t *ret_proto)
{
	static const uint8_t protos[] = { [WIRE_ALL] = NETMAP_ANY, [WIRE_TCP] = NETMAP_TCP,
		[WIRE_UDP] = NETMAP_UDP, [WIRE_ICMP] = NETMAP_ICMP };

	if (protocol < WIRE_ALL || protocol > WIRE_ICMP)
		return false;
	*ret_proto = protos[protocol];
	return true;
}

/* NULL, or what is wrong with @match. Ports mean something for TCP and UDP only. */
static const char *settle_match(const struct match *match, bool *ret_drop, uint8_t *ret_proto,
	uint16_t *ret_first, uint16_t *ret_last)
{
	if (match->action > WIRE_DROP)
		return "an action that we do not know";
	if (!read_protocol(match->protocol, ret_proto))
		return "a protocol that we do not know";
	if (match->first > match->last || match->last > UINT16_MAX)
		return "ports that are none";
	*ret_drop = match->action == WIRE_DROP;
	if (*ret_proto == NETMAP_TCP || *ret_proto == NETMAP_UDP) {
		*ret_first = match->first;
		*ret_last = match->last;
	}
	return NULL;
}

struct rule_texts {
	struct text peer, port;
	uint64_t direction;
};

static int read_rule_fields(struct wire wire, struct match *match, struct rule_texts *texts)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, RULE_PEER))
			texts->peer = text_of(&field);
		else if (wire_is_varint(&field, RULE_DIRECTION))
			texts->direction = field.value;
		else if (wire_is_varint(&field, RULE_ACTION))
			match->action = field.value;
		else if (wire_is_varint(&field, RULE_PROTOCOL))
			match->protocol = field.value;
		else if (wire_is_bytes(&field, RULE_PORT))
			texts->port = text_of(&field);
		else if (wire_is_bytes(&field, RULE_PORT_INFO))
			ret = read_port_info(&field, match);
		if (ret < 0)
			break;
	}
	return ret;
}

static bool read_rule_peer(struct text text, __be32 *ret_peer)
{
	struct cidr cidr;

	if (memchr(text.at ? text.at : "", '/', text.len) || cidr_parse(slice_of(text), true, &cidr) ||
		cidr.family != AF_INET)
		return false;
	*ret_peer = cidr.addr.word[0];
	return true;
}

static bool read_rule_port(struct text text, struct match *match)
{
	__u16 port;

	if (match->first || !text.len)		/* PortInfo wins */
		return true;
	if (value_u16(slice_of(text), 1, UINT16_MAX, &port))
		return false;
	match->first = match->last = port;
	return true;
}

static bool read_rule(struct reader *r, const struct wire_field *message, struct netmap_rule *ret_rule)
{
	struct netmap_rule rule = {};
	struct rule_texts texts = {};
	const char *wrong = NULL;
	struct match match = {};

	if (read_rule_fields(wire_inside(message), &match, &texts) < 0)
		wrong = "a form that cannot be read";
	else if (texts.direction != WIRE_IN)
		return false;
	else if (!read_rule_peer(texts.peer, &rule.peer))
		wrong = "no IPv4 address";
	else if (!read_rule_port(texts.port, &match))
		wrong = "a port that is none";
	else
		wrong = settle_match(&match, &rule.drop, &rule.proto, &rule.port_first, &rule.port_last);
	if (wrong) {
		skip(r, "the access rule for peer \"%.*s\" has %s", SHOWN(texts.peer), wrong);
		return false;
	}
	*ret_rule = rule;
	return true;
}

struct route_rule_texts {
	struct text destination, route;
	bool is_dynamic, has_domains;
};

static int read_route_rule_fields(struct wire wire, struct match *match, struct route_rule_texts *texts)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, ROUTE_RULE_ACTION))
			match->action = field.value;
		else if (wire_is_bytes(&field, ROUTE_RULE_DESTINATION))
			texts->destination = text_of(&field);
		else if (wire_is_varint(&field, ROUTE_RULE_PROTOCOL))
			match->protocol = field.value;
		else if (wire_is_varint(&field, ROUTE_RULE_DYNAMIC))
			texts->is_dynamic = field.value;
		else if (wire_is_bytes(&field, ROUTE_RULE_DOMAINS))
			texts->has_domains = true;
		else if (wire_is_bytes(&field, ROUTE_RULE_ROUTE))
			texts->route = text_of(&field);
		else if (wire_is_bytes(&field, ROUTE_RULE_PORT_INFO))
			ret = read_port_info(&field, match);
		if (ret < 0)
			break;
	}
	return ret;
}

/* Only the IPv4 ones. None at all means nobody, never anybody. */
static void read_sources(struct reader *r, struct wire wire, struct netmap_route_rule *rule)
{
	size_t count = count_entries(wire, ROUTE_RULE_SOURCES, 1);
	struct wire_field field;

	rule->sources = count ? take(r, count, sizeof(*rule->sources)) : NULL;
	if (!rule->sources)
		return;
	while (wire_next(&wire, &field) > 0) {
		struct text text = text_of(&field);
		struct cidr cidr;

		if (!wire_is_bytes(&field, ROUTE_RULE_SOURCES) || !field.len)
			continue;
		if (cidr_parse(slice_of(text), false, &cidr))
			skip(r, "source \"%.*s\" of a route's access rule is not a prefix", SHOWN(text));
		else if (cidr.family == AF_INET)
			rule->sources[rule->source_count++] = cidr;
	}
}

/* NULL, or why the rule has no destination. */
static const char *read_rule_target(struct reader *r, struct wire wire, const struct route_rule_texts *texts,
	struct netmap_route_rule *rule)
{
	const struct netmap_self *self = &r->update->map.self;

	if (!texts->is_dynamic) {
		if (cidr_parse(slice_of(texts->destination), false, &rule->dst) ||
			rule->dst.family != AF_INET)
			return "a destination that is not an IPv4 prefix";
		return NULL;
	}
	if (!self->present)
		return "domains, and nothing says who resolves them";
	if (!self->dns_resolution || !texts->has_domains) {
		rule->any_dst = true;
		return NULL;
	}
	if (!read_domains(r, wire, ROUTE_RULE_DOMAINS, &rule->domains, &rule->domain_count))
		return "no room";
	return rule->domain_count ? NULL : "no domain that can be read";
}

static bool read_route_rule(struct reader *r, const struct wire_field *message,
	struct netmap_route_rule *ret_rule)
{
	struct route_rule_texts texts = {};
	struct netmap_route_rule rule = {};
	struct match match = {};
	const char *wrong;

	if (read_route_rule_fields(wire_inside(message), &match, &texts) < 0 ||
		texts.route.len >= NETMAP_ID_LEN) {
		skip(r, "an access rule of route %.*s cannot be read", SHOWN(texts.route));
		return false;
	}
	read_sources(r, wire_inside(message), &rule);
	if (!rule.source_count)
		return false;
	wrong = settle_match(&match, &rule.drop, &rule.proto, &rule.port_first, &rule.port_last);
	if (!wrong)
		wrong = read_rule_target(r, wire_inside(message), &texts, &rule);
	if (wrong) {
		skip(r, "an access rule of route %.*s has %s", SHOWN(texts.route), wrong);
		return false;
	}
	rule.route_id = keep(r, texts.route);
	*ret_rule = rule;
	return true;
}

/* The map */

static void read_dns(struct reader *r, const struct wire_field *message)
{
	struct wire wire = wire_inside(message);
	uint64_t port = FORWARDER_PORT_OLD;
	struct wire_field field;

	while (wire_next(&wire, &field) > 0)
		if (wire_is_varint(&field, DNS_FORWARDER_PORT) && field.value)
			port = field.value;
	if (port > UINT16_MAX)
		skip(r, "the DNS forwarder's port is none");
	else
		r->update->map.dns_forwarder_port = port;
}

/* What the lists are read by, and how many of each there can be. */
static int read_head(struct reader *r, struct wire wire)
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

static bool make_room(struct reader *r, struct wire wire)
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
		size_t count = count_entries(wire, lists[i].number, lists[i].shortest);

		if (!count)
			continue;
		*lists[i].list = take(r, count, lists[i].size);
		if (!*lists[i].list)
			return false;
	}
	return true;
}

static void read_entry(struct reader *r, const struct wire_field *field)
{
	struct netmap *map = &r->update->map;

	if (field->type != WIRE_BYTES)
		return;
	switch (field->number) {
	case MAP_PEERS:
		if (field->len < PEER_LEN_MIN)
			skip(r, "a peer without a public key");
		else
			map->peer_count += read_peer(r, field, &map->peers[map->peer_count]);
		break;
	case MAP_OFFLINE:
		if (field->len >= PEER_LEN_MIN)
			map->offline_count += read_peer(r, field, &map->offline[map->offline_count]);
		break;
	case MAP_ROUTES:
		if (field->len < ROUTE_LEN_MIN)
			skip(r, "a route without a routing peer");
		else
			map->route_count += read_route(r, field, &map->routes[map->route_count]);
		break;
	case MAP_RULES:
		if (field->len < RULE_LEN_MIN)
			skip(r, "an access rule without a peer");
		else
			map->rule_count += read_rule(r, field, &map->rules[map->rule_count]);
		break;
	case MAP_ROUTE_RULES:
		if (field->len >= ROUTE_RULE_LEN_MIN)	/* else it has no sources */
			map->route_rule_count += read_route_rule(r, field,
				&map->route_rules[map->route_rule_count]);
		break;
	}
}

static int read_map(struct reader *r, const struct wire_field *message)
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
	ret = settle_peers(r);
	return ret < 0 ? ret : settle_routes(r);
}

/* The last field @number with bytes; false: there is none. */
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
			count += count_entries(wire_inside(&field), CHECKS_FILES, 1);
	return count;
}

static void read_check(struct reader *r, struct wire wire)
{
	struct netmap_update *update = r->update;
	struct wire_field field;

	while (wire_next(&wire, &field) > 0) {
		if (!wire_is_bytes(&field, CHECKS_FILES) || !field.len)
			continue;
		if (field.len >= PATH_LEN_MAX)
			skip(r, "a posture check's path is too long");
		else
			update->check_files[update->check_file_count++] = keep(r, text_of(&field));
	}
}

static int read_checks(struct reader *r, struct wire wire, uint32_t number)
{
	size_t count = count_check_files(wire, number);
	struct wire_field field;

	if (!count)
		return 0;
	r->update->check_files = take(r, count, sizeof(*r->update->check_files));
	if (!r->update->check_files)
		return -ENOMEM;
	while (wire_next(&wire, &field) > 0)
		if (wire_is_bytes(&field, number))
			read_check(r, wire_inside(&field));
	return 0;
}

static int is_well_formed(struct wire wire)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0)
		;
	return ret;
}

static int read_update(struct reader *r, struct wire wire)
{
	struct wire_field field;
	int ret = is_well_formed(wire);

	if (!ret && find(wire, SYNC_CONFIG, &field))
		ret = read_servers(r, &field);
	if (!ret && find(wire, SYNC_MAP, &field))
		ret = read_map(r, &field);
	if (!ret)
		ret = read_checks(r, wire, SYNC_CHECKS);
	return ret;
}

static int read_login(struct reader *r, struct wire wire)
{
	struct wire_field field;
	int ret = is_well_formed(wire);

	if (!ret && find(wire, LOGIN_CONFIG, &field))
		ret = read_servers(r, &field);
	if (!ret && find(wire, LOGIN_SELF, &field))
		ret = read_self(r, &field);
	if (!ret)
		ret = read_checks(r, wire, LOGIN_CHECKS);
	return ret;
}

static int parse(int (*read)(struct reader *, struct wire), const uint8_t *bytes, size_t len,
	const uint8_t *own, struct netmap_update *ret_update)
{
	struct netmap_update update = { .map.dns_forwarder_port = FORWARDER_PORT_OLD };
	struct reader r = { .update = &update, .own = own };
	int ret = read(&r, wire_start(bytes, len));

	if (!ret && r.is_out_of_memory)
		ret = -ENOMEM;
	if (ret < 0)
		netmap_update_done(&update);
	else
		*ret_update = update;
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

bool netmap_is_farewell(const struct netmap *map)
{
	return map->present && !map->self.present && !map->peer_count && !map->offline_count &&
		!map->route_count && !map->rule_count && !map->route_rule_count;
}
