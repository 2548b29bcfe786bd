/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a direct path still carries packets, judged by when packets were sent and received. Unanswered
 * traffic raises a suspicion, ICE checks decide it: a stream without replies is fine as long as checks are
 * answered. But only for a while: WireGuard answers packets with an empty one after 10 s at the latest. A
 * pair that answers checks and carries no packets is mute, and as good as lost. Plain arithmetic; the caller
 * reads the clock, sends the checks and changes the way.
 */
#ifndef TALON_SILENCE_H
#define TALON_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SILENCE_CHECK_NS	500000000ULL	/* traffic unanswered for this long: check the pair */
#define SILENCE_LOST_NS		1000000000ULL	/* traffic unanswered for this long, and checks too: lost */
#define SILENCE_CHECKS_NS	400000000ULL	/* time for two checks, without the round trip */
/* packets by relay this long after the last one by the pair: sent on purpose, not stragglers */
#define SILENCE_FOLLOW_NS	150000000ULL
/* ... while stragglers may come soon after the relay carried */
#define SILENCE_LATE_NS		500000000ULL
#define SILENCE_SETTLED_NS	2000000000ULL
/* how long a suspect pair is checked while the relay carries, before it is given up */
#define SILENCE_PATIENCE_NS	600000000ULL
/* packets sent, nothing authentic received: an empty message is due after 10 s (whitepaper section 6.5) */
#define SILENCE_MUTE_NS		12000000000ULL
#define SILENCE_TRIAL_NS	3000000000ULL	/* the same while a pair that was mute is tried again */
/* looks that found new packets sent: one or two packets may simply have been lost */
#define SILENCE_MUTE_LOOKS	3
/* when a mute pair is tried again first; the time doubles with each attempt */
#define SILENCE_RETRY_NS	60000000000ULL
#define SILENCE_RETRY_SHIFT	4		/* ... up to 16 times this */
#define SILENCE_FIRST_NS	6000000000ULL	/* a stock peer may take 5 s to send by a new pair */

struct silence {
	uint64_t selected_ns;		/* when the pair came into use first */
	uint64_t direct_ns;		/* ... and last */
	uint64_t looked_ns;
	/* since when traffic is unanswered; 0: it is answered */
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
/* True while a look every 250 ms would be too late. */
bool silence_is_near(const struct silence *silence);

/* While the relay carries, since @turned_ns. */
enum silence_proof { SILENCE_WAIT, SILENCE_PROVEN, SILENCE_UNPROVEN };
enum silence_proof silence_prove(const struct silence *silence, uint64_t turned_ns,
	const struct silence_facts *facts);

#endif
