/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The WireGuard device without its data path: peers, handshakes, sessions, and every timer of the
 * whitepaper's section 6.
 *
 * It has no socket, map or clock of its own: events come in as calls with the time, actions go out through
 * struct device_ops. All times are CLOCK_BOOTTIME in nanoseconds, so that sessions age during suspend. A
 * device is not thread-safe: one loop owns it. Callbacks must not call back into it.
 */
#ifndef TALON_SESSION_DEVICE_H
#define TALON_SESSION_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "base/endpoint.h"
#include "talon/handshake_types.h"
#include "talon/peer_types.h"
#include "talon/session_types.h"

#define DEVICE_NEVER UINT64_MAX	/* "no deadline" */

struct device;

/* What the data path knows of a peer's traffic. Times are CLOCK_BOOTTIME in ns, 0: never. */
struct device_facts {
	uint64_t rx_ns;		/* last authenticated data message, keepalives too */
	uint64_t tx_ns;		/* last data message sent, keepalives too */
	uint64_t rx_data_ns;	/* last one that carried a packet */
	uint64_t tx_data_ns;
	uint64_t send_counter;	/* next nonce of the current session */
};

struct device_peer_stats {
	uint32_t handshakes;		/* completed */
	uint64_t handshake_ns;		/* of the last completed one; 0: never */
	uint64_t handshake_unix_s;	/* the same, in Unix time */
	uint64_t rx_bytes;		/* UDP payload of handshake messages accepted from it */
	uint64_t tx_bytes;		/* of handshake messages sent to it */
};

struct device_stats {
	uint64_t ends[HANDSHAKE_END_COUNT];	/* received handshake messages by how they ended */
	uint64_t initiations_sent;
	uint64_t responses_sent;
	uint64_t cookies_sent;
	uint64_t gave_up;		/* attempts without a response within 90 s */
	uint64_t send_errors;		/* of ops->send */
	uint64_t map_errors;		/* of the other ops; their work is tried again or given up */
	uint64_t future_timestamps;	/* initiations from more than TAI64N_FUTURE_MAX_S ahead: a warning */
	uint64_t clock_jumps;		/* our clock leapt forward by more than that: a warning */
	bool under_load;		/* at the last handshake message: cookies were required */
	uint32_t peers;
	uint32_t slots_reserved;	/* session slots by state */
	uint32_t slots_live;
	uint32_t slots_retired;
};

/* Functions that return int return 0 or a negative errno. None may be NULL unless stated. */
struct device_ops {
	/* Fills @buf with @len unpredictable bytes. NULL: libsodium's generator. */
	void (*random)(void *ctx, void *buf, size_t len);

	/* CLOCK_REALTIME in ns, for TAI64N timestamps. */
	uint64_t (*unix_ns)(void *ctx);

	/*
	 * Sends one handshake message (with WG_HANDSHAKE_DSCP) to @to. @peer is TALON_PEER_NONE for cookie
	 * replies. It may be lost.
	 */
	int (*send)(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len);

	/*
	 * Makes a session known to the data path: counters and replay window zeroed, replay.state = @state,
	 * keys written with index 0, @session->index last. @slot = @session->index & (slots - 1). @session
	 * must not be kept: it is wiped on return.
	 */
	int (*publish_session)(void *ctx, uint32_t slot, const struct talon_session *session,
		enum talon_session_state state);

	/* Sets the slot's index to 0 and leaves everything else, which packets in flight may still use. */
	int (*clear_session)(void *ctx, uint32_t slot);

	/*
	 * Overwrites the slot's keys, counter and window with zeros. Called at least SESSION_GRACE_NS after
	 * clear_session.
	 */
	int (*wipe_session)(void *ctx, uint32_t slot);

	/* Session index that seals for @peer from now on; 0: none. */
	int (*set_tx)(void *ctx, uint32_t peer, uint32_t index);

	/*
	 * An authenticated handshake message came from @endpoint: send to it from now on (roaming,
	 * whitepaper section 2.1).
	 */
	int (*set_endpoint)(void *ctx, uint32_t peer, const struct endpoint *endpoint);

	/* Sends an empty data message on the peer's sending session. */
	int (*send_keepalive)(void *ctx, uint32_t peer);

	/*
	 * A session can send now: send the packets held for @peer. With @must_send something must be sent, a
	 * keepalive if no packet is held, for the responder may not use the session before (whitepaper
	 * section 5.4.3, key confirmation).
	 */
	void (*established)(void *ctx, uint32_t peer, bool must_send);

	/* No response for 90 s, or no endpoint to send to: drop the packets held for @peer. */
	void (*gave_up)(void *ctx, uint32_t peer);

	/*
	 * A handshake with @peer is complete: as initiator by the response, as responder by the first data
	 * message.
	 */
	void (*handshake_done)(void *ctx, uint32_t peer, const struct device_peer_stats *stats);

	/*
	 * Greatest TAI64N accepted from @peer, to be handed to device_add_peer() by the next process. Not
	 * called for a timestamp from the far future, which would lock the peer out until then if it outlived
	 * this process (CVE-2021-46873).
	 */
	void (*save_timestamp)(void *ctx, uint32_t peer, const uint8_t timestamp[static WG_TIMESTAMP_LEN]);

	/* Reads fresh facts before a timer acts on polled ones. May be NULL: then polled facts must do. */
	int (*read_facts)(void *ctx, uint32_t peer, struct device_facts *ret_facts);
};

struct device_config {
	struct secret_key private_key;	/* copied; wipe yours */
	uint32_t peers_max;		/* peer ids are 0..peers_max - 1 */
	uint32_t slots;			/* of the session array, a power of two; 4 * peers_max suffice */
};

struct device_peer_config {
	uint8_t public_key[KEY_LEN];
	struct secret_key preshared_key;	/* all zero: none */
	uint16_t keepalive_s;			/* persistent keepalive; 0: off */
	struct endpoint endpoint;		/* may be unknown: then the peer must initiate */
	bool is_pinned;				/* as after device_set_peer_path() */
	/* until device_confirm_peer() its sessions go on without handshakes */
	bool is_unconfirmed;
	/* greatest TAI64N accepted by an earlier process; zero: none */
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	struct device_peer_stats stats;		/* initial values; zero: a new peer */
};

/*
 * Makes a device. Returns 0, -EINVAL if slots is not a power of two or a callback is missing, -EKEYREJECTED
 * for an all-zero private key, -EIO if libsodium cannot start, -ENOMEM.
 */
int device_new(struct device **ret_device, const struct device_config *config, const struct device_ops *ops,
	void *ctx);

/*
 * Wipes and frees everything in this process and leaves the maps alone: sessions go on, and a successor can
 * adopt them. NULL is allowed.
 */
void device_free(struct device *device);

const uint8_t *device_public_key(const struct device *device);

/*
 * Adds peer number @id, which the caller chose. Returns 0, -EINVAL for an id out of range or our own public
 * key, -EEXIST if the id or the public key is taken, -EKEYREJECTED for a public key of low order (its
 * shared secrets are zero), -ENOMEM. A peer with a persistent keepalive and an endpoint starts its handshake
 * with the next device_tick().
 */
int device_add_peer(struct device *device, uint64_t now_ns, uint32_t id,
	const struct device_peer_config *config);

/* Retires the peer's sessions and forgets it. Returns 0 or -ENOENT. */
int device_remove_peer(struct device *device, uint64_t now_ns, uint32_t id);

/* Number of the peer with @public_key, or TALON_PEER_NONE. */
uint32_t device_find_peer(const struct device *device, const uint8_t public_key[static KEY_LEN]);

/*
 * Changes what may change during a peer's life. Each returns 0 or -ENOENT. A new preshared key is used from
 * the next handshake on.
 */
int device_set_peer_keepalive(struct device *device, uint64_t now_ns, uint32_t id, uint16_t keepalive_s);
int device_set_peer_psk(struct device *device, uint32_t id, const struct secret_key *preshared_key);

/*
 * The peer's configuration is confirmed, above all its preshared key, without which a handshake would
 * complete with a peer that does not have it. A handshake that was put off begins now. Returns 0 or
 * -ENOENT.
 */
int device_confirm_peer(struct device *device, uint64_t now_ns, uint32_t id);

/* The endpoint was configured, or the data path saw it move. Does not call ops->set_endpoint. */
int device_set_peer_endpoint(struct device *device, uint32_t id, const struct endpoint *endpoint);

/*
 * The caller chooses the path from now on: messages that arrive on another path are answered there but do not
 * move the endpoint. A handshake under way starts anew on the new path at the next device_tick(), and a later
 * one does not wait for messages that the old path may have lost. Returns 0 or -ENOENT.
 */
int device_set_peer_path(struct device *device, uint64_t now_ns, uint32_t id,
	const struct endpoint *endpoint);

/* Takes device_set_peer_path() back: authentic messages move the endpoint again. Returns 0 or -ENOENT. */
int device_let_peer_roam(struct device *device, uint32_t id);

/* Retires the peer's sessions and forgets a handshake under way. Returns 0 or -ENOENT. */
int device_reset_peer(struct device *device, uint64_t now_ns, uint32_t id);

/* Returns 0 or -ENOENT. */
int device_get_peer_endpoint(const struct device *device, uint32_t id, struct endpoint *ret_endpoint);
int device_get_peer_stats(const struct device *device, uint32_t id, struct device_peer_stats *ret_stats);

/* The peer's sessions, index 0: none. For status and tests. */
struct device_peer_sessions {
	uint32_t previous;
	uint32_t current;
	uint32_t next;
	uint64_t current_birth_ns;
	bool is_initiator;		/* of current */
	bool is_handshaking;		/* an initiation is due or awaits its response */
};

/* Returns 0 or -ENOENT. */
int device_get_peer_sessions(const struct device *device, uint32_t id,
	struct device_peer_sessions *ret_sessions);

/*
 * Takes over a session that an earlier process left in the maps; its peer (session->peer) must have been
 * added. @state is its replay.state, @is_tx: peer_tx names it. The timers go on from its birth_ns;
 * too old a session is retired. Returns 0, -ENOENT for an unknown peer, -EEXIST if the slot is taken already,
 * -EINVAL for index 0, -ESTALE if it was retired instead. On any error but -ESTALE and -EEXIST the caller
 * should hand the slot to device_adopt_retired().
 */
int device_adopt_session(struct device *device, uint64_t now_ns, const struct talon_session *session,
	enum talon_session_state state, bool is_tx);

/*
 * Takes over a slot without owner that may hold keys: cleared at once, overwritten after the grace period.
 * Returns 0 or -EEXIST.
 */
int device_adopt_retired(struct device *device, uint64_t now_ns, uint32_t slot);

/* Takes a UDP payload of types 1-3 from the socket; others are counted and ignored. Returns how it ended. */
enum handshake_end device_message(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes, size_t len);

/* Takes facts, polled about once a second for each peer with a session. Returns 0 or -ENOENT. */
int device_peer_facts(struct device *device, uint64_t now_ns, uint32_t id, const struct device_facts *facts);

/*
 * A packet waits for @id without a key (TALON_EVENT_HANDSHAKE): starts a handshake, or reports the session at
 * once if there is one after all. Returns 0, -ENOENT, or -EDESTADDRREQ if the peer's endpoint is
 * unknown (gave_up was called).
 */
int device_want_handshake(struct device *device, uint64_t now_ns, uint32_t id);

/*
 * Starts a handshake even if a session can send, to prove a path to the peer; not more often than
 * Rekey-Timeout allows. Returns 0, -ENOENT or -EDESTADDRREQ.
 */
int device_start_handshake(struct device *device, uint64_t now_ns, uint32_t id);

/* True if @index is the receiver index of a live session of ours. */
bool device_has_session(const struct device *device, uint32_t index);

/*
 * The data path saw the first valid packet on a session in state NEXT (TALON_EVENT_PROMOTED). Returns 0, or
 * -ENOENT if the session has ended.
 */
int device_session_promoted(struct device *device, uint64_t now_ns, uint32_t index);

/*
 * Runs the timers that are due. Returns when to be called again: CLOCK_BOOTTIME ns, or DEVICE_NEVER. Call it
 * after the other calls too.
 */
uint64_t device_tick(struct device *device, uint64_t now_ns);

/* When device_tick() is due next, without doing anything. */
uint64_t device_next_deadline(const struct device *device);

void device_get_stats(const struct device *device, struct device_stats *ret_stats);

const char *device_end_label(enum handshake_end end);
const char *device_end_help(enum handshake_end end);

#endif
