/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by device.c (peers, timers) and handshake.c (messages, sessions), two halves of one object. */
#ifndef TALON_SESSION_DEVICE_INTERNAL_H
#define TALON_SESSION_DEVICE_INTERNAL_H

#include "noise/cookie.h"
#include "noise/noise.h"
#include "session/attempt.h"
#include "session/deadlines.h"
#include "session/device.h"
#include "session/keypairs.h"
#include "session/liveness.h"
#include "session/table.h"

#define REKEY_AFTER_TIME_NS	(WG_REKEY_AFTER_TIME_S * TALON_NSEC_PER_SEC)
#define REJECT_AFTER_TIME_NS	(WG_REJECT_AFTER_TIME_S * TALON_NSEC_PER_SEC)
#define REKEY_TIMEOUT_NS	(WG_REKEY_TIMEOUT_S * TALON_NSEC_PER_SEC)
#define REKEY_ATTEMPT_TIME_NS	(WG_REKEY_ATTEMPT_TIME_S * TALON_NSEC_PER_SEC)
/*
 * Section 6.2: an initiator that receives on a key this old starts a handshake, while it can finish in
 * time.
 */
#define REKEY_ON_RECEIVE_NS	(REJECT_AFTER_TIME_NS - LIVENESS_NO_REPLY_NS)
#define INITIATION_SPACING_NS	(TALON_NSEC_PER_SEC / WG_INITIATIONS_PER_SECOND)
#define NSEC_PER_MSEC		1000000ULL
/* the old path may be slower than the new one */
#define PATH_CHANGE_SPACING_NS	(5 * INITIATION_SPACING_NS)

/*
 * Section 6.3 erases keys after 540 s at the latest. Sessions are useless after 180 s, so we erase them
 * then.
 */
_Static_assert(REJECT_AFTER_TIME_NS + SESSION_GRACE_NS <= WG_KEY_ERASE_AFTER_S * TALON_NSEC_PER_SEC,
	"keys are gone in time");

struct peer {
	uint32_t id;
	struct peer *hash_next;
	struct noise_remote remote;
	struct cookie_maker cookie;
	struct endpoint endpoint;
	bool is_pinned;			/* arriving messages do not move the endpoint */
	bool is_unconfirmed;		/* no handshakes yet */
	bool was_put_off;		/* a handshake was wanted meanwhile */
	uint16_t keepalive_s;

	struct keypairs pairs;
	uint64_t send_counter;		/* of pairs.current, as last polled */
	/* last message under a session key, not counting handshake messages */
	uint64_t session_rx_ns;
	uint64_t session_tx_ns;
	bool rekeyed_on_receive;	/* at most once per session */

	enum attempt_state attempt;
	uint64_t attempt_began_ns;	/* first initiation of this attempt */
	uint64_t attempt_at_ns;		/* when its timer fires; meaningful unless idle */
	uint64_t handshake_sent_ns;	/* last initiation or response sent; 0: never */
	struct noise_handshake handshake;	/* our initiation that awaits its response */
	struct tai64n label_sent;	/* of our last initiation to it */

	struct tai64n label_received;	/* greatest accepted */
	uint64_t initiation_ns;		/* when that was; 0: never in this process */

	struct liveness liveness;
	uint64_t no_reply_jitter_ns;
	struct device_peer_stats stats;
};

struct device {
	struct device_ops ops;
	void *ctx;
	struct noise_local local;
	struct cookie_checker checker;
	struct cookie_load load;
	struct cookie_ratelimit *ratelimit;
	struct tai64n_clock clock;
	struct session_table *table;
	struct deadlines *deadlines;	/* by peer id */
	uint32_t peers_max;
	struct peer **peers;		/* by id */
	uint8_t hash_key[16];
	uint32_t bucket_mask;
	struct peer **buckets;		/* by public key */
	struct device_stats stats;
};

/* Return NULL for an unknown peer. */
struct peer *device_peer(const struct device *device, uint32_t id);
struct peer *device_peer_by_key(const struct device *device, const uint8_t public_key[static KEY_LEN]);

/* Recomputes the peer's next deadline. Every function that may change it ends with this. */
void device_schedule(struct device *device, struct peer *peer);

/* Counts an error that an op returned that writes a map. */
void device_count_map(struct device *device, int ret);

/* 0..WG_REKEY_TIMEOUT_JITTER_MS - 1 ms, in ns: keeps both sides from initiating at the same moment again. */
uint64_t device_jitter_ns(struct device *device);

/* From @since_ns to @now_ns; 0 if @now_ns was read earlier. */
static inline uint64_t device_elapsed_ns(uint64_t now_ns, uint64_t since_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

/* True if @pair is a session that may still seal and open. */
bool handshake_pair_is_usable(const struct peer *peer, const struct keypair *pair, uint64_t now_ns);

/* Retires the expired sessions. */
void handshake_expire(struct device *device, struct peer *peer, uint64_t now_ns);

/* Retires all sessions and ends the attempt. */
void handshake_drop_all(struct device *device, struct peer *peer, uint64_t now_ns);

/* A session is wanted: begins an attempt unless one is running. */
void handshake_want(struct device *device, struct peer *peer, uint64_t now_ns);

/* The same, if the whitepaper's section 6.2 says that the current session should be replaced. */
void handshake_want_rekey(struct device *device, struct peer *peer, uint64_t now_ns);

/* The attempt's timer fired. */
void handshake_on_timer(struct device *device, struct peer *peer, uint64_t now_ns);

/* The first packet on the next session arrived. */
void handshake_confirmed(struct device *device, struct peer *peer, uint64_t now_ns);

#endif
