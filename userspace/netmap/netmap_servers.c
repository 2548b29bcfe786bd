// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// NetbirdConfig: signal, relays and STUN servers.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "netmap/netmap_internal.h"

/* Field numbers (proto/management.proto has the names). */
enum { CONFIG_STUNS = 1, CONFIG_SIGNAL = 3, CONFIG_RELAY = 4 };
enum { HOST_URI = 1, HOST_PROTOCOL = 2 };
enum { RELAY_URLS = 1, RELAY_PAYLOAD = 2, RELAY_SIGNATURE = 3 };
enum { HOST_PROTOCOL_HTTPS = 3 };

#define URI_LEN_MAX	512
#define SERVERS_MAX	64	/* relays, or STUN servers, of one message */

struct host {				/* HostConfig */
	struct slice uri;
	bool is_https;
};

static int read_host(struct wire wire, struct host *ret_host)
{
	struct wire_field field;
	int ret;

	*ret_host = (struct host){ .uri = NO_TEXT };
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, HOST_URI))
			ret_host->uri = netmap_text(&field);
		else if (wire_is_varint(&field, HOST_PROTOCOL))
			ret_host->is_https = field.value == HOST_PROTOCOL_HTTPS;
	}
	return ret;
}

/* Room for the servers that the fields @number name. */
static bool make_server_room(struct netmap_reader *r, struct wire wire, uint32_t number,
	struct server_url **ret_list)
{
	size_t count = netmap_count(wire, number, 1);

	if (!count)
		return true;
	*ret_list = netmap_take(r, count < SERVERS_MAX ? count : SERVERS_MAX, sizeof(**ret_list));
	return *ret_list;
}

/* Where there is room: fewer than SERVERS_MAX. */
static struct server_url *next_server(struct netmap_reader *r, struct server_url *list, size_t count)
{
	if (count < SERVERS_MAX)
		return &list[count];
	netmap_skip(r, "more than %d servers of one kind", SERVERS_MAX);
	return NULL;
}

/* @text: with one of @schemes. Returns 0 or a negative errno. */
static int read_url(struct slice text, unsigned int schemes, struct server_url *ret_url)
{
	char copy[URI_LEN_MAX + 1];

	if (!netmap_is_printable(text) || !slice_copy(text, copy, sizeof(copy)))
		return -EBADMSG;
	return server_url_parse(copy, schemes, ret_url);
}

/*
 * RFC 7064 and, as TURN servers answer Binding requests too, RFC 7065; nothing over TCP or TLS. The scheme
 * may be missing.
 */
static int read_stun_uri(struct slice text, struct server_url *ret_url)
{
	char copy[URI_LEN_MAX + 1], *query;
	const char *rest = copy;

	if (!netmap_is_printable(text) || !slice_copy(text, copy, sizeof(copy)))
		return -EBADMSG;
	query = strchr(copy, '?');
	if (query && strcmp(query, "?transport=udp"))
		return -EPROTONOSUPPORT;
	if (query)
		*query = 0;
	if (!strncasecmp(copy, "stun:", 5) || !strncasecmp(copy, "turn:", 5))
		rest += 5;
	return server_url_parse_authority(slice_from(rest), SERVER_STUN, ret_url);
}

/* Returns true if a server is named, readable or not. */
static bool read_stun(struct netmap_reader *r, const struct wire_field *field)
{
	struct netmap_servers *servers = &r->update->servers;
	struct server_url *stun = next_server(r, servers->stuns, servers->stun_count);
	struct host host;

	if (!stun)
		return true;
	if (read_host(wire_inside(field), &host) || read_stun_uri(host.uri, stun))
		netmap_skip(r, "STUN server \"%.*s\": expected stun:HOST:PORT, over UDP", SHOWN(host.uri));
	else
		servers->stun_count++;
	return host.uri.len;
}

/* Returns true if a server is named, readable or not. */
static bool read_signal(struct netmap_reader *r, const struct wire_field *field)
{
	struct host host;

	if (read_host(wire_inside(field), &host) || !netmap_is_printable(host.uri) ||
		server_url_parse_authority(host.uri, host.is_https ? SERVER_HTTPS : SERVER_HTTP,
		&r->update->servers.signal))
		netmap_skip(r, "signal server \"%.*s\": expected HOST:PORT", SHOWN(host.uri));
	return host.uri.len;
}

static bool read_signature(struct slice text, uint8_t ret_signature[32])
{
	uint8_t bytes[32];
	size_t len;
	bool ok = sodium_base642bin(bytes, sizeof(bytes), text.at, text.len, NULL, &len, NULL,
		sodium_base64_VARIANT_ORIGINAL) == 0 && len == sizeof(bytes);

	if (ok)
		memcpy(ret_signature, bytes, sizeof(bytes));
	sodium_memzero(bytes, sizeof(bytes));
	return ok;
}

static void read_relay_url(struct netmap_reader *r, struct netmap_relay *relay, struct slice text)
{
	struct server_url *url = next_server(r, relay->urls, relay->url_count);

	if (!url)
		return;
	if (read_url(text, SERVER_SCHEMES_RELAY, url))
		netmap_skip(r, "relay \"%.*s\": expected rels://HOST:PORT or rel://HOST:PORT", SHOWN(text));
	else
		relay->url_count++;
}

/* A message whose relay addresses or token are unusable leaves the relays as they were. */
static int read_relay(struct netmap_reader *r, const struct wire_field *message)
{
	struct netmap_relay relay = { .present = true };
	struct wire wire = wire_inside(message);
	struct slice payload = NO_TEXT, signature = NO_TEXT;
	struct wire_field field;
	bool names_urls = false;
	int ret;

	if (!make_server_room(r, wire, RELAY_URLS, &relay.urls))
		return -ENOMEM;
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, RELAY_URLS) && field.len) {
			names_urls = true;
			read_relay_url(r, &relay, netmap_text(&field));
		} else if (wire_is_bytes(&field, RELAY_PAYLOAD))
			payload = netmap_text(&field);
		else if (wire_is_bytes(&field, RELAY_SIGNATURE))
			signature = netmap_text(&field);
	}
	if (ret < 0)
		return ret;
	relay.token_payload = netmap_keep(r, payload);
	if (names_urls && !relay.url_count)
		relay = (struct netmap_relay){};
	if (relay.url_count && (!netmap_is_printable(payload) || payload.len > URI_LEN_MAX ||
		!read_signature(signature, relay.token_signature))) {
		netmap_skip(r, "the relay token cannot be read");
		relay = (struct netmap_relay){};
	}
	r->update->servers.relay = relay;
	sodium_memzero(&relay, sizeof(relay));
	return 0;
}

/*
 * Only a whole configuration, which names signal or STUN servers, says something by leaving relays out:
 * there are none. A message with a relay token alone changes only the relays, and one about something else
 * (metrics, flow) changes no servers at all.
 */
static void take_scope(struct netmap_servers *servers, bool is_whole, bool names_relay)
{
	if (is_whole && !names_relay)
		servers->relay.present = true;
	servers->present = is_whole || names_relay;
}

int netmap_read_servers(struct netmap_reader *r, const struct wire_field *message)
{
	struct netmap_servers *servers = &r->update->servers;
	struct wire wire = wire_inside(message);
	bool names_relay = false, is_whole = false;
	struct wire_field field;
	int ret;

	*servers = (struct netmap_servers){};
	if (!make_server_room(r, wire, CONFIG_STUNS, &servers->stuns))
		return -ENOMEM;
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, CONFIG_STUNS) && field.len)
			is_whole |= read_stun(r, &field);
		else if (wire_is_bytes(&field, CONFIG_SIGNAL))
			is_whole |= read_signal(r, &field);
		else if (wire_is_bytes(&field, CONFIG_RELAY))
			names_relay = !(ret = read_relay(r, &field));
		if (ret < 0)
			break;
	}
	take_scope(servers, is_whole, names_relay);
	return ret;
}
