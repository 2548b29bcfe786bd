/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The timers that a peer's traffic drives (whitepaper sections 6.2 and 6.5): passive and persistent
 * keepalives, and a new handshake when data is not answered. The data path keeps the times of the last
 * packets, from which the start of each timer follows. Times are CLOCK_BOOTTIME in ns, 0: never.
 */
#ifndef TALON_SESSION_LIVENESS_H
#define TALON_SESSION_LIVENESS_H

#include <stdint.h>

#include "talon/wg_wire.h"

#define LIVENESS_NEVER		UINT64_MAX
#define LIVENESS_KEEPALIVE_NS	(WG_KEEPALIVE_TIMEOUT_S * TALON_NSEC_PER_SEC)
#define LIVENESS_NO_REPLY_NS	((WG_KEEPALIVE_TIMEOUT_S + WG_REKEY_TIMEOUT_S) * TALON_NSEC_PER_SEC)

struct liveness {
	uint64_t rx_ns;			/* last authentic message of any kind */
	uint64_t tx_ns;			/* last message of any kind sent under a key */
	uint64_t rx_data_ns;		/* last message that carried a packet */
	uint64_t tx_data_ns;
	uint64_t unanswered_ns;		/* first packet received since we last sent; 0: all are answered */
	uint64_t unreplied_ns;		/* first packet sent since we last received; 0: none */
	uint64_t no_reply_ns;		/* when that timer last fired: earlier packets do not restart it */
	uint64_t persistent_ns;		/* when the persistent keepalive last fired */
};

/* Takes newer times and starts or stops the timers accordingly. Older times are ignored. */
void liveness_update(struct liveness *liveness, uint64_t rx_ns, uint64_t tx_ns, uint64_t rx_data_ns,
	uint64_t tx_data_ns);

/*
 * Deadlines; LIVENESS_NEVER if the timer is not running. @keepalive_s is the persistent keepalive
 * interval, 0: off.
 */
uint64_t liveness_keepalive_at(const struct liveness *liveness);
uint64_t liveness_no_reply_at(const struct liveness *liveness, uint64_t jitter_ns);
uint64_t liveness_persistent_at(const struct liveness *liveness, uint16_t keepalive_s);

/* The timer fired and was acted on. A passive keepalive counts as sent: liveness_update() with tx_ns. */
void liveness_no_reply_fired(struct liveness *liveness, uint64_t now_ns);
void liveness_persistent_fired(struct liveness *liveness, uint64_t now_ns);

#endif
