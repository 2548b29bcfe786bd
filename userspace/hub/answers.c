// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What peers are answered: servers and tokens, login, maps.
#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "hub/internal.h"
#include "netbird/wire.h"

/*
 * Field numbers of LoginResponse and SyncResponse, written by hand because parts of them are serialized
 * already.
 */
enum { LOGIN_SERVERS = 1, LOGIN_PEER = 2, LOGIN_ENDS = 4 };
enum { SYNC_SERVERS = 1, SYNC_PEER = 2, SYNC_NO_REMOTES = 4, SYNC_MAP = 5, SYNC_ENDS = 7 };

struct part {
	uint8_t *bytes;
	size_t len;
};

static int pack(const ProtobufCMessage *message, struct part *ret_part)
{
	ret_part->bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);
	if (!ret_part->bytes)
		return -ENOMEM;
	ret_part->len = protobuf_c_message_pack(message, ret_part->bytes);
	return 0;
}

static void part_done(struct part *part)
{
	envelope_free(part->bytes, part->len);
}

/* NetbirdConfig: all servers, or the relay alone with a new token of @peer's. */
static int pack_servers(const struct hub *hub, const struct hub_peer *peer, bool is_whole,
	struct part *ret_part)
{
	Management__NetbirdConfig config = MANAGEMENT__NETBIRD_CONFIG__INIT;
	Management__RelayConfig relay = MANAGEMENT__RELAY_CONFIG__INIT;
	Management__HostConfig signal = MANAGEMENT__HOST_CONFIG__INIT, stun = MANAGEMENT__HOST_CONFIG__INIT;
	Management__HostConfig *stuns[] = { &stun };
	char payload[HUBRELAY_PAYLOAD_LEN], signature[HUBRELAY_SIGNATURE_LEN],
		*urls[] = { (char *)hub->relay_url };
	int ret;

	hubrelay_token(hub->relay_secret, peer->kept.key, hub_unix_s() + HUBRELAY_TOKEN_S, payload,
		signature);
	relay.urls = urls;
	relay.n_urls = 1;
	relay.token_payload = payload;
	relay.token_signature = signature;
	config.relay = &relay;
	if (is_whole) {
		signal.uri = (char *)hub->signal_at;
		signal.protocol = server_url_is_tls(&hub->settings.public_url)
			? MANAGEMENT__HOST_CONFIG__PROTOCOL__HTTPS : MANAGEMENT__HOST_CONFIG__PROTOCOL__HTTP;
		config.signal = &signal;
		stun.uri = (char *)hub->stun_url;
		config.stuns = stuns;
		config.n_stuns = hub->settings.stun.family ? 1 : 0;
	}
	ret = pack(&config.base, ret_part);
	sodium_memzero(signature, sizeof(signature));
	return ret;
}

/* A Timestamp: empty means that the login does not end. */
static int pack_ends(const struct hub *hub, const struct hub_peer *peer, struct part *ret_part)
{
	Management__Timestamp at = MANAGEMENT__TIMESTAMP__INIT;

	at.seconds = hub_login_ends(hub, peer);
	return pack(&at.base, ret_part);
}

struct field {
	uint32_t number;
	const struct part *part;
};

static int join_fields(const struct field *fields, size_t count, uint8_t **ret_bytes, size_t *ret_len)
{
	size_t room = 0;
	uint8_t *at;

	for (size_t i = 0; i < count; i++)
		room += fields[i].part->len + WIRE_BYTES_HEAD;
	at = *ret_bytes = malloc(room + 1);
	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		at = wire_put_bytes(at, fields[i].number, fields[i].part->bytes, fields[i].part->len);
	*ret_len = at - *ret_bytes;
	return 0;
}

int hub_pack_login(struct hub *hub, struct hub_peer *peer, uint8_t **ret_bytes, size_t *ret_len)
{
	struct part servers = {}, own = {}, ends = {};
	const struct field fields[] = { { LOGIN_SERVERS, &servers }, { LOGIN_PEER, &own },
		{ LOGIN_ENDS, &ends } };
	int ret = pack_servers(hub, peer, true, &servers);

	if (!ret)
		ret = hubmap_write_config(hub->map, peer->kept.key, &own.bytes, &own.len);
	if (!ret)
		ret = pack_ends(hub, peer, &ends);
	if (!ret)
		ret = join_fields(fields, 3, ret_bytes, ret_len);
	part_done(&servers);
	free(own.bytes);
	free(ends.bytes);
	return ret;
}

int hub_pack_sync(struct hub *hub, struct hub_peer *peer, bool is_first, uint8_t **ret_bytes, size_t *ret_len)
{
	struct part servers = {}, own = {}, map = {}, ends = {};
	const struct field fields[] = { { SYNC_SERVERS, &servers }, { SYNC_PEER, &own }, { SYNC_MAP, &map },
		{ SYNC_ENDS, &ends } };
	int ret = is_first ? pack_servers(hub, peer, true, &servers) : 0;

	if (!ret)
		ret = hubmap_write_config(hub->map, peer->kept.key, &own.bytes, &own.len);
	if (!ret)
		ret = hubmap_write(hub->map, peer->kept.key, hub->serial, &map.bytes, &map.len);
	if (!ret)
		ret = pack_ends(hub, peer, &ends);
	if (!ret)
		ret = join_fields(is_first ? fields : fields + 1, is_first ? 4 : 3, ret_bytes, ret_len);
	part_done(&servers);
	free(own.bytes);
	free(map.bytes);
	free(ends.bytes);
	return ret;
}

int hub_pack_token(struct hub *hub, struct hub_peer *peer, uint8_t **ret_bytes, size_t *ret_len)
{
	struct part servers = {};
	const struct field field = { SYNC_SERVERS, &servers };
	int ret = pack_servers(hub, peer, false, &servers);

	if (!ret)
		ret = join_fields(&field, 1, ret_bytes, ret_len);
	part_done(&servers);
	return ret;
}

/* The last map of a removed peer: nobody is there, and nothing is allowed. */
int hub_pack_farewell(struct hub *hub, uint8_t **ret_bytes, size_t *ret_len)
{
	static const uint8_t no_remotes[] = { SYNC_NO_REMOTES << 3 | WIRE_VARINT, true };
	Management__NetworkMap map = MANAGEMENT__NETWORK_MAP__INIT;
	Management__DNSConfig dns = MANAGEMENT__DNSCONFIG__INIT;
	struct part packed = {};
	uint8_t *at;
	int ret;

	dns.forwarder_port = HUB_FORWARDER_PORT;
	map.serial = hub->serial;
	map.dns_config = &dns;
	map.remote_peers_is_empty = map.firewall_rules_is_empty = true;
	ret = pack(&map.base, &packed);
	if (ret)
		return ret;
	at = *ret_bytes = malloc(sizeof(no_remotes) + WIRE_BYTES_HEAD + packed.len);
	if (at) {
		memcpy(at, no_remotes, sizeof(no_remotes));
		at = wire_put_bytes(at + sizeof(no_remotes), SYNC_MAP, packed.bytes, packed.len);
		*ret_len = at - *ret_bytes;
	}
	free(packed.bytes);
	return at ? 0 : -ENOMEM;
}
