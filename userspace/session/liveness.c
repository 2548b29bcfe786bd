// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Keepalive and no-reply timers from the times of the last packets.
#include "session/liveness.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Facts arrive about once a second, so the first of several packets since the last answer may be missed,
 * and the timer starts with a later one: at most a second late, which is well within the five between 10 s
 * and 15 s.
 */
static void answer(uint64_t *since_ns, uint64_t data_ns, uint64_t answered_ns)
{
	if (answered_ns >= *since_ns)
		*since_ns = 0;
	if (!*since_ns && data_ns > answered_ns)
		*since_ns = data_ns;
}

void liveness_update(struct liveness *liveness, uint64_t rx_ns, uint64_t tx_ns, uint64_t rx_data_ns,
	uint64_t tx_data_ns)
{
	liveness->rx_ns = later(liveness->rx_ns, rx_ns);
	liveness->tx_ns = later(liveness->tx_ns, tx_ns);
	liveness->rx_data_ns = later(liveness->rx_data_ns, rx_data_ns);
	liveness->tx_data_ns = later(liveness->tx_data_ns, tx_data_ns);
	answer(&liveness->unanswered_ns, liveness->rx_data_ns, liveness->tx_ns);
	answer(&liveness->unreplied_ns, liveness->tx_data_ns, later(liveness->rx_ns, liveness->no_reply_ns));
}

uint64_t liveness_keepalive_at(const struct liveness *liveness)
{
	return liveness->unanswered_ns ? liveness->unanswered_ns + LIVENESS_KEEPALIVE_NS : LIVENESS_NEVER;
}

uint64_t liveness_no_reply_at(const struct liveness *liveness, uint64_t jitter_ns)
{
	return liveness->unreplied_ns ? liveness->unreplied_ns + LIVENESS_NO_REPLY_NS + jitter_ns
		: LIVENESS_NEVER;
}

uint64_t liveness_persistent_at(const struct liveness *liveness, uint16_t keepalive_s)
{
	uint64_t last_ns = later(later(liveness->rx_ns, liveness->tx_ns), liveness->persistent_ns);

	if (!keepalive_s)
		return LIVENESS_NEVER;
	return last_ns ? last_ns + keepalive_s * TALON_NSEC_PER_SEC : 0;
}

void liveness_no_reply_fired(struct liveness *liveness, uint64_t now_ns)
{
	liveness->no_reply_ns = now_ns;
	liveness->unreplied_ns = 0;
}

void liveness_persistent_fired(struct liveness *liveness, uint64_t now_ns)
{
	liveness->persistent_ns = now_ns;
}
