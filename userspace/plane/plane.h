/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The controller as the mesh drives it: desired state in, packets and facts out. A static file goes the same
 * way, once. Only plane/, datapath/ and net/ know maps and netlink.
 */
#ifndef TALON_PLANE_H
#define TALON_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/acl.h"
#include "config/config.h"
#include "crypto/key.h"
#include "loop/loop.h"
#include "base/endpoint.h"

struct plane;

struct plane_peer {
	uint8_t public_key[KEY_LEN];
	struct secret_key preshared_key;	/* zeros: none */
	char name[40];			/* for status; may be cut */
	uint16_t keepalive_s;
	const struct cidr *allowed;	/* AF_INET; no prefix in two peers */
	size_t allowed_count;
};

/* All of it: what is not named here goes away. Strings and arrays are only read during the call. */
struct plane_state {
	__be32 mesh_addr;		/* 0: not known yet */
	uint8_t mesh_prefixlen;
	const struct plane_peer *peers;
	size_t peer_count;
	const struct config_route *routes;	/* that we serve for the mesh */
	size_t route_count;
	/* that this host reaches through the tunnel device, besides the mesh itself */
	const struct cidr *host_routes;
	size_t host_route_count;
	/* NULL: no access rules are enforced (static file); else default drop */
	const struct acl_table *acl;
	/*
	 * ports of @mesh_addr that are open to every peer, whatever @acl says; at most TALON_OPEN_PORTS_MAX
	 */
	const struct acl_port *open;
	size_t open_count;
	/* there are rules, but they cannot be had: nothing is let in. Then @acl is not looked at */
	bool is_closed;
};

/*
 * While the datapath is being loaded (until events.ready) there are no peers: what returns an int says
 * -EAGAIN, the others do nothing.
 *
 * Compares with what is and changes only the difference: sessions, endpoints and flows of peers that stay go
 * on. Order: departed peers and their addresses, new rules, new peers, new addresses. Idempotent. On error as
 * much as possible is applied, one line is in @err and the call can be repeated. Rules that cannot be written
 * are replaced by none that lets anything in; if not even that can be had, departed peers go and nothing else
 * is applied. Peers beyond the maps' room are left out: -EUSERS if nothing else went wrong.
 */
int plane_apply(struct plane *p, const struct plane_state *state, char *err, size_t errlen);

#define PLANE_NO_PEER UINT32_MAX
uint32_t plane_find_peer(const struct plane *p, const uint8_t public_key[static KEY_LEN]);

/* What keeps packets from flowing though the datapath is attached: one line, or "". */
const char *plane_why_not(const struct plane *p);

enum plane_way { PLANE_NOWHERE, PLANE_DIRECT, PLANE_RELAY };
/* A host route of the last plane_apply() that was left out: the host reaches that network by itself. */
bool plane_is_left_out(const struct plane *p, const struct cidr *net);
/*
 * Where packets for @peer go from now on, until told otherwise: the datapath does not follow the source of
 * what arrives (peers of a static file roam as WireGuard does). Packets are accepted by any way. @path:
 * for PLANE_DIRECT.
 */
int plane_set_way(struct plane *p, uint32_t peer, enum plane_way way, const struct endpoint *path);
/* Speak first: a handshake if there is no session that can send, else a keepalive. */
void plane_kick(struct plane *p, uint32_t peer);
/* A handshake, also beside a session that can send: for a way that has to be proved to the other side. */
void plane_rekey(struct plane *p, uint32_t peer);
/* Forget the sessions: the next packet starts a handshake. */
void plane_reset_peer(struct plane *p, uint32_t peer);

/* Times are CLOCK_BOOTTIME ns, 0: never. */
struct plane_facts {
	uint64_t rx_direct_ns;		/* last authenticated data message over the uplink */
	uint64_t rx_relay_ns;		/* ... over the relay link */
	uint64_t tx_ns;			/* last data message sent, keepalives too */
	uint64_t tx_data_ns;		/* last one that carried a packet */
	uint64_t rx_data_ns;
	uint64_t handshake_ns;
	uint64_t handshake_unix_s;
	uint64_t rx_bytes, tx_bytes;	/* with handshakes, as wg(8) counts */
	bool has_session;		/* one that can send */
};
int plane_get_facts(const struct plane *p, uint32_t peer, struct plane_facts *ret_facts);

struct plane_events {
	/* The datapath is loaded, attached and ready: plane_apply() may be called. Once. */
	void (*ready)(void *ctx);
	/* A STUN message on the WireGuard port. */
	void (*stun)(void *ctx, const struct endpoint *from, const uint8_t *bytes, size_t len);
	/*
	 * A packet or handshake of ours for @peer goes over the relay. Called in batches; flush() after each.
	 */
	void (*relay_send)(void *ctx, uint32_t peer, const uint8_t *bytes, size_t len);
	void (*relay_flush)(void *ctx);
	/* A handshake with @peer is complete. */
	void (*handshake)(void *ctx, uint32_t peer);
	/* A packet waits for @peer, which has no way: wake it. */
	void (*wanted)(void *ctx, uint32_t peer);
	/* Addresses or devices of the host changed. */
	void (*network)(void *ctx);
};

/* All may be NULL. None is called from inside a plane_* function, so they may call any of these. */
void plane_set_events(struct plane *p, const struct plane_events *events, void *ctx);
struct loop *plane_loop(struct plane *p);
/* From the WireGuard port. */
int plane_send(struct plane *p, const struct endpoint *to, const void *bytes, size_t len);
/* A packet that came from @peer over the relay: a handshake message or data. */
void plane_relay_receive(struct plane *p, uint32_t peer, const uint8_t *bytes, size_t len);
/*
 * Addresses of the uplinks (remote and port of each: ours, with the WireGuard port). Returns how
 * many there are.
 */
size_t plane_local_endpoints(const struct plane *p, struct endpoint *list, size_t room);
uint16_t plane_listen_port(const struct plane *p);

/* Peers of a static file roam: they have a place instead of a way. */
/* Whether it is known where @peer is. */
bool plane_is_placed(const struct plane *p, uint32_t peer);
/* @peer was said to be there. Where it was last seen counts more; a way that a mesh chose does not. */
void plane_place(struct plane *p, uint32_t peer, const struct endpoint *said);

#endif
