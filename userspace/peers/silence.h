/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a direct path still carries, judged from when packets went and came. Traffic raises the suspicion,
 * ICE checks prove it: a stream that nobody answers is no fault as long as checks are - for as long as
 * WireGuard itself takes it for none: who receives packets answers with an empty one after 10 s at the
 * latest. A pair that answers checks and carries no packets is mute, and as good as lost. Plain arithmetic;
 * the caller looks at the clock, asks for checks and takes the other way.
 */
#ifndef TALON_SILENCE_H
#define TALON_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SILENCE_CHECK_NS	500000000ULL	/* unanswered for so long: check the pair */
#define SILENCE_LOST_NS		1000000000ULL	/* unanswered for so long, and so are the checks: lost */
#define SILENCE_CHECKS_NS	400000000ULL	/* two checks and their time, without the round trip */
/* by relay so long after the last by the pair: on purpose, and no stragglers */
#define SILENCE_FOLLOW_NS	150000000ULL
/* ... but stragglers there are, soon after the relay carried */
#define SILENCE_LATE_NS		500000000ULL
#define SILENCE_SETTLED_NS	2000000000ULL
/* more checks while the relay carries, then the pair is given up */
#define SILENCE_PATIENCE_NS	600000000ULL
/* packets sent, nothing authentic back: an empty message is owed after 10 s (whitepaper section 6.5) */
#define SILENCE_MUTE_NS		12000000000ULL
#define SILENCE_TRIAL_NS	3000000000ULL	/* the same while a pair that was mute is tried once more */
/* looks that found new packets sent: one or two may have been lost, and owe nothing */
#define SILENCE_MUTE_LOOKS	3
/* a mute pair is tried again so late, then twice as late, and so on */
#define SILENCE_RETRY_NS	60000000000ULL
#define SILENCE_RETRY_SHIFT	4		/* up to 16 times as late */
#define SILENCE_FIRST_NS	6000000000ULL	/* a stock peer may take 5 s until it sends by a new pair */

struct silence {
	uint64_t selected_ns;		/* when the pair came into use at first */
	uint64_t direct_ns;		/* ... and last */
	uint64_t looked_ns;
	/* since then nothing came, although there was traffic; 0: all is well */
	uint64_t unanswered_ns;
	uint64_t checked_ns;		/* when checks were asked for; 0: not */
	uint64_t sent_ns;		/* of the last packet that a look found */
	uint64_t mute_ns;		/* since then an answer is owed, whatever checks say; 0: none */
	unsigned sent;			/* looks that found packets sent since anything authentic came */
	unsigned mutes;			/* how often in a row it was found mute */
	bool is_mute;			/* that is why it is lost */
};

/* What is known at @now_ns. Times are CLOCK_BOOTTIME ns, 0: never. */
struct silence_facts {
	uint64_t now_ns;
	uint64_t tx_data_ns, rx_data_ns;	/* packets, not keepalives */
	uint64_t rx_direct_ns, rx_relay_ns;	/* authentic */
	uint64_t answered_ns;			/* a check of ours on the pair */
	uint64_t rtt_ns;
};

enum silence_verdict {
	SILENCE_NONE,
	SILENCE_CHECK,		/* have the pair checked now */
	SILENCE_LOST,		/* send by the relay */
	SILENCE_FOLLOW,		/* the other side did: send by the relay */
};

/* The pair came into use, for the first time or again. */
void silence_begin(struct silence *silence, uint64_t now_ns, bool is_first);
enum silence_verdict silence_judge(struct silence *silence, const struct silence_facts *facts);
/* True while a look every 250 ms would come too late. */
bool silence_is_near(const struct silence *silence);

/* While the relay carries, since @turned_ns. */
enum silence_proof { SILENCE_WAIT, SILENCE_PROVEN, SILENCE_UNPROVEN };
enum silence_proof silence_prove(const struct silence *silence, uint64_t turned_ns,
	const struct silence_facts *facts);

#endif
