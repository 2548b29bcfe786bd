/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A network map as management sent it, checked and turned into plain structs. Entries that are malformed or
 * unknown are left out and counted; one bad entry never makes the whole map invalid. Only the files of
 * netbird/ see protobuf.
 */
#ifndef TALON_NETMAP_H
#define TALON_NETMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/cidr.h"
#include "base/server_url.h"
#include "crypto/key.h"
#include "netbird/expiry.h"
#include "talon/types.h"

#define NETMAP_ID_LEN 128

/* The servers, as answers to Login and Sync name them. */
struct netmap_relay {
	bool present;			/* false: the relays stay as they are; true without urls: no relays */
	struct server_url *urls;	/* SERVER_REL or SERVER_RELS */
	size_t url_count;
	char *token_payload;
	uint8_t token_signature[32];	/* decoded */
};

struct netmap_servers {			/* NetbirdConfig */
	bool present;
	struct server_url *stuns;	/* SERVER_STUN; empty: keep the old ones */
	size_t stun_count;
	struct server_url signal;	/* SERVER_HTTP or SERVER_HTTPS; SERVER_NONE: not named */
	struct netmap_relay relay;
};

struct netmap_self {			/* PeerConfig */
	bool present;
	__be32 addr;			/* 0: missing or invalid */
	uint8_t prefixlen;
	uint8_t prefixlen6;
	struct talon_addr addr6;	/* zero: none, or invalid */
	char *fqdn;
	bool dns_resolution;		/* the routing peer resolves domain routes */
	bool lazy;
	uint16_t mtu;			/* 0: not said */
};

struct netmap_peer {
	uint8_t key[KEY_LEN];
	__be32 addr;			/* the first IPv4 address that is allowed */
	struct talon_addr addr6;	/* the first IPv6 one; zero: none */
	struct cidr *allowed;
	size_t allowed_count;
	char *fqdn;			/* never NULL */
	char *agent_version;		/* never NULL */
};

struct netmap_route {
	char *id;
	char *net_id;
	struct cidr net;		/* family 0: a domain route */
	char **domains;			/* lower case, punycode, may start with "*." */
	size_t domain_count;
	uint8_t router[KEY_LEN];	/* our own: we serve it */
	uint32_t metric;
	bool masquerade;
	bool keep_route;
	bool skip_auto_apply;
};

/* NETMAP_ICMP: the ICMP of the rule's family. NETMAP_OTHER: a protocol by its number. */
enum netmap_proto { NETMAP_ANY, NETMAP_TCP, NETMAP_UDP, NETMAP_ICMP, NETMAP_OTHER };

struct netmap_port { uint16_t port; uint8_t proto; };	/* host order; NETMAP_TCP or NETMAP_UDP */

/* FirewallRule, direction IN only (OUT has no effect in a stateful filter) */
struct netmap_rule {
	struct cidr *sources;		/* at least one; of either family, or of both */
	size_t source_count;
	bool drop;
	uint8_t proto;			/* enum netmap_proto */
	uint8_t ip_proto;		/* NETMAP_OTHER: its number, neither 0 nor that of another value */
	uint16_t port_first;		/* 0, 0: any; host order, both included */
	uint16_t port_last;
	char *policy;			/* its id as text; NULL: none that can be shown */
};

/*
 * RouteFirewallRule with at least one source: if @dst is a prefix, all are of its family; else packets of the
 * sources' family are meant
 */
struct netmap_route_rule {
	struct cidr *sources;
	size_t source_count;
	struct cidr dst;		/* family 0: the learned addresses of @domains */
	char **domains;
	size_t domain_count;
	bool any_dst;			/* dynamic without resolution here: any destination */
	bool drop;
	uint8_t proto;			/* as in struct netmap_rule */
	uint8_t ip_proto;
	uint16_t port_first;
	uint16_t port_last;
	char *route_id;
	char *policy;
};

struct netmap {
	bool present;			/* there was a NetworkMap in the message */
	uint64_t serial;
	struct netmap_self self;
	struct netmap_peer *peers;	/* without ourselves; sorted by key, each once */
	size_t peer_count;
	struct netmap_peer *offline;	/* login expired; for status only */
	size_t offline_count;
	struct netmap_route *routes;
	size_t route_count;
	struct netmap_rule *rules;
	size_t rule_count;
	struct netmap_route_rule *route_rules;
	size_t route_rule_count;
	uint16_t dns_forwarder_port;	/* never 0 */
	/*
	 * How many entries of the whole message were left out although they were meant to have an effect. Our
	 * own key, OUT rules and rules without sources, which every server sends, are not counted.
	 */
	uint32_t skipped;
	char skipped_why[160];		/* the first one's reason */
};

/* Everything of one SyncResponse. */
struct netmap_update {
	struct netmap_servers servers;
	struct netmap map;
	char **check_files;		/* paths of posture checks; only meaningful with map.present */
	size_t check_file_count;
	struct expiry_said expiry;	/* of this peer's login */
	struct arena arena;		/* holds all of the above */
};

/*
 * @bytes: a serialized SyncResponse. @own: our public key, which is filtered from the peers. Returns 0,
 * -EBADMSG; -EPROTONOSUPPORT if its map is of another format than the one described here; or -ENOMEM.
 * netmap_update_done() wipes and frees the contents, among them the relay token.
 */
int netmap_update_parse(const uint8_t *bytes, size_t len, const uint8_t own[static KEY_LEN],
	struct netmap_update *ret_update);
void netmap_update_done(struct netmap_update *update);

/*
 * A serialized LoginResponse: servers, self and checks, in the same struct (map.present is false,
 * map.self is filled).
 */
int netmap_login_parse(const uint8_t *bytes, size_t len, struct netmap_update *ret_update);

/*
 * Our own PeerConfig: @map's, or @last, the last one known, if @map has none with a valid address.
 */
const struct netmap_self *netmap_self_of(const struct netmap *map, const struct netmap_self *last);

/*
 * True for the last map that a server sends to a peer it deletes, before it ends the stream: it lists
 * nothing, not even ourselves, and must not be applied.
 */
bool netmap_is_farewell(const struct netmap *map);

/*
 * The last good map on disk: written to a temporary file and renamed, mode 0600. @bytes is the serialized
 * SyncResponse. It belongs to the key @own and to the management server @server, named in one form
 * ("https://HOST:PORT").
 */
int netmap_save(const char *path, const uint8_t own[static KEY_LEN], const char *server, const uint8_t *bytes,
	size_t len);
/*
 * Returns 0; -ENOENT; -EBADMSG for a file that is damaged, of an older layout, or not a network map;
 * -ESTALE for one that was written for another key or by another server. The caller frees @ret_bytes.
 */
int netmap_load(const char *path, const uint8_t own[static KEY_LEN], const char *server, uint8_t **ret_bytes,
	size_t *ret_len);
/* The same for showing it, whosever it is. */
int netmap_load_any(const char *path, uint8_t **ret_bytes, size_t *ret_len);
/*
 * Writes a serialized SyncResponse as one JSON object, secrets hidden. Returns 0 or -EBADMSG.
 */
int netmap_show(const uint8_t *bytes, size_t len, FILE *out);

#endif
