/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The plane: desired state in, packets and facts out. A mesh applies state whenever its network map
 * changes, a static file once and on reload.
 */
#ifndef TALON_PLANE_H
#define TALON_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/acl.h"
#include "config/config.h"
#include "crypto/key.h"
#include "host/vip_table.h"
#include "loop/loop.h"
#include "base/endpoint.h"
#include "talon/fact_types.h"

struct plane;

struct plane_peer {
	uint8_t public_key[KEY_LEN];
	struct secret_key preshared_key;	/* zeros: none */
	char name[40];			/* for status; may be cut */
	uint16_t keepalive_s;
	const struct cidr *allowed;	/* both families; no prefix in two peers */
	size_t allowed_count;
};

/*
 * The complete desired state: what is not named here is removed. Strings and arrays are only read
 * during the call.
 */
struct plane_state {
	__be32 mesh_addr;		/* 0: not known yet */
	uint8_t mesh_prefixlen;
	struct talon_addr mesh_addr6;	/* zero: none, and the tunnel carries no IPv6 */
	uint8_t mesh_prefixlen6;
	const struct plane_peer *peers;
	size_t peer_count;
	const struct config_route *routes;	/* served for the mesh; both families */
	size_t route_count;
	/* networks of both families that this host reaches through the tunnel device, besides the mesh */
	const struct cidr *host_routes;
	size_t host_route_count;
	/* NULL: no access rules are enforced (static file); else default drop */
	const struct acl_table *acl;
	/*
	 * ports of @mesh_addr, and not of @mesh_addr6, that are open to every peer, whatever @acl says; at
	 * most TALON_OPEN_PORTS_MAX
	 */
	const struct netmap_port *open;
	size_t open_count;
	/* there are rules, but they could not be made: nothing is let in, and @acl is ignored */
	bool is_closed;
};

/*
 * Until the datapath is ready (events.ready) there are no peers: functions that return an int return
 * -EAGAIN, others do nothing.
 *
 * plane_apply() changes only what differs: sessions, endpoints and flows of peers that stay continue.
 * Order: departed peers and their addresses, new rules, new peers, new addresses. Idempotent. On error
 * as much as possible is applied, one line is in @err, and the call can be repeated. If rules cannot be
 * written, an empty bank that lets nothing in replaces them; if even that fails, departed peers are
 * removed and nothing else is applied. Peers beyond the maps' capacity are left out: -EUSERS if nothing
 * else went wrong.
 */
int plane_apply(struct plane *p, const struct plane_state *state, char *err, size_t errlen);

#define PLANE_NO_PEER UINT32_MAX
uint32_t plane_find_peer(const struct plane *p, const uint8_t public_key[static KEY_LEN]);

/* Why packets do not flow although the datapath is attached: one line, or "". */
const char *plane_why_not(const struct plane *p);

/*
 * Why the tunnel cannot carry IPv6 here: one line, or "" if it can. Before the first plane_apply() with a
 * mesh_addr6 that is what the host's settings say, afterwards what the kernel did; IPv4 goes on in any case.
 * It may change at any time: events.network follows.
 */
const char *plane_why_no_ipv6(const struct plane *p);

enum plane_way { PLANE_NOWHERE, PLANE_DIRECT, PLANE_RELAY };
/* True for a host route of the last plane_apply() that was left out: the host has its own way there. */
bool plane_is_left_out(const struct plane *p, const struct cidr *net);
/*
 * Sets where packets for @peer go from now on. The datapath does not follow the source of its packets
 * then; peers of a static file, for which this is never called, roam as in WireGuard. Packets are
 * accepted by any way. @path: for PLANE_DIRECT.
 */
int plane_set_way(struct plane *p, uint32_t peer, enum plane_way way, const struct endpoint *path);
/*
 * Until the next plane_set_way() the peer's packets say where it is, as WireGuard has it (whitepaper section
 * 6.4), from its next handshake on: for peers that say nothing by signal. Returns 0; -EBUSY if its way is not
 * PLANE_NOWHERE; -EAGAIN, -ENOENT, -ESHUTDOWN as plane_set_way() does.
 */
int plane_let_roam(struct plane *p, uint32_t peer);
/* vip_table_set() in this plane's maps; -EAGAIN before there are any. */
int plane_set_vips(struct plane *p, const struct vip_wish *wish);
/* Round trip of the direct way to @peer, for metrics, in 100 us; 0: not known. Written if it differs. */
void plane_set_latency(struct plane *p, uint32_t peer, uint16_t latency_100us);
/* Sends a keepalive, or starts a handshake if no session can send. */
void plane_kick(struct plane *p, uint32_t peer);
/* Starts a handshake even if a session can send, to prove a new way to the peer. */
void plane_rekey(struct plane *p, uint32_t peer);
/* Ends the peer's sessions: the next packet starts a handshake. */
void plane_reset_peer(struct plane *p, uint32_t peer);

/* Times are CLOCK_BOOTTIME ns, 0: never. */
struct plane_facts {
	uint64_t rx_direct_ns;		/* last authenticated data message over the uplink */
	uint64_t rx_relay_ns;		/* ... over the relay pair */
	uint64_t tx_ns;			/* last data message sent, keepalives too */
	uint64_t tx_data_ns;		/* last one that carried a packet */
	uint64_t rx_data_ns;
	uint64_t handshake_ns;
	uint64_t handshake_unix_s;
	uint64_t rx_bytes, tx_bytes;	/* with handshakes, as wg(8) counts */
	bool has_session;		/* a session that can send */
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
	/* A packet waits for @peer, which has no way yet. */
	void (*wanted)(void *ctx, uint32_t peer);
	/* Addresses or devices of the host changed. */
	void (*network)(void *ctx);
	/* About once a second: time for plane_set_fact(). */
	void (*count)(void *ctx);
};

/* All may be NULL. None is called from inside a function of this header, so they may call any of them. */
void plane_set_events(struct plane *p, const struct plane_events *events, void *ctx);
/*
 * What this process has counted so far, or sees now. Map "facts" has it within a second; a counter goes on
 * from where earlier processes stopped.
 */
void plane_set_fact(struct plane *p, enum talon_fact fact, uint64_t value);
/* Where metrics are served, for status; a long text is cut. */
void plane_set_served(struct plane *p, const char *where);
struct loop *plane_loop(struct plane *p);
/* Sends a datagram from the WireGuard port. Returns 0 or a negative errno. */
int plane_send(struct plane *p, const struct endpoint *to, const void *bytes, size_t len);
/* Takes a packet that came from @peer over the relay: a handshake message or data. */
void plane_relay_receive(struct plane *p, uint32_t peer, const uint8_t *bytes, size_t len);
/*
 * Before events.ready: packets of the peers that an earlier process left go between its programs, which
 * still run, and the relay: plane_relay_receive() and events.relay_send work from here on. Returns 0,
 * -ENODEV if it left none, or another negative errno.
 */
int plane_carry_early(struct plane *p);
/* Segments of the connections in map "quiet" are dropped until @until_ns, CLOCK_BOOTTIME. */
void plane_keep_quiet(struct plane *p, uint64_t until_ns);
/* Lists the uplinks' addresses, each as an endpoint with the WireGuard port. Returns their number. */
size_t plane_local_endpoints(const struct plane *p, struct endpoint *list, size_t room);
uint16_t plane_listen_port(const struct plane *p);

/* Roaming peers (static file) have an endpoint instead of a way: true if that of @peer is known. */
bool plane_is_placed(const struct plane *p, uint32_t peer);
/*
 * Sets the configured endpoint of @peer. An endpoint it was seen at takes precedence unless @is_moved; a way
 * that a mesh pinned earlier does not.
 */
void plane_place(struct plane *p, uint32_t peer, const struct endpoint *said, bool is_moved);

#endif
