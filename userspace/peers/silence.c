// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Silence on a direct path: suspicion by traffic, proof by checks.
#include "peers/silence.h"

#define RTT_MOST_NS 1000000000ULL	/* a cap, so that a slow path can be found lost too */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void silence_begin(struct silence *silence, uint64_t now_ns, bool is_first)
{
	*silence = (struct silence){
		.selected_ns = is_first ? now_ns : silence->selected_ns, .direct_ns = now_ns,
			.looked_ns = now_ns,
		.mutes = is_first ? 0 : silence->mutes };
}

/*
 * The other side sends by relay although it has used this pair before. That their checks still arrive does
 * not matter: it shows that their packets reach us, not that ours reach them.
 */
static bool should_follow(const struct silence *silence, const struct silence_facts *facts)
{
	const bool knows_pair = facts->rx_direct_ns >= silence->selected_ns ||
		facts->now_ns - silence->selected_ns > SILENCE_FIRST_NS;
	const bool is_settled = facts->now_ns - silence->direct_ns > SILENCE_SETTLED_NS;
	const uint64_t after = is_settled ? SILENCE_FOLLOW_NS : SILENCE_LATE_NS;

	return knows_pair && facts->rx_relay_ns > later(facts->rx_direct_ns, silence->direct_ns) + after;
}

/*
 * Traffic in either direction after which nothing authentic arrives may have been lost: the packets, or the
 * answer to them. Each pause looks like that too, and costs one check. The silence began after the last
 * answer and after the last look, which would have noticed it, so the time assumed here is early by one look
 * at most.
 */
static void note_unanswered(struct silence *silence, const struct silence_facts *facts)
{
	const uint64_t answer_ns = later(later(facts->rx_direct_ns, facts->answered_ns), silence->direct_ns);
	const uint64_t traffic_ns = later(facts->tx_data_ns, facts->rx_data_ns);

	if (traffic_ns < answer_ns || answer_ns > silence->unanswered_ns)
		silence->unanswered_ns = silence->checked_ns = 0;
	if (traffic_ns >= answer_ns && !silence->unanswered_ns)
		silence->unanswered_ns = sooner(later(answer_ns, silence->looked_ns), traffic_ns);
	silence->looked_ns = facts->now_ns;
}

/* Regardless of checks: a peer that receives our packets has to send something authentic. */
static void note_mute(struct silence *silence, const struct silence_facts *facts)
{
	if (later(facts->rx_direct_ns, silence->direct_ns) >= silence->sent_ns) {
		silence->sent = 0;
		silence->mute_ns = 0;
		silence->is_mute = false;
	}
	if (facts->rx_direct_ns > silence->direct_ns)
		silence->mutes = 0;
	if (facts->tx_data_ns <= later(silence->sent_ns, later(facts->rx_direct_ns, silence->direct_ns)))
		return;
	silence->sent_ns = facts->tx_data_ns;
	if (++silence->sent == SILENCE_MUTE_LOOKS)
		silence->mute_ns = facts->now_ns;
}

static void fall_mute(struct silence *silence)
{
	silence->is_mute = true;
	silence->mutes++;
}

static bool is_mute(struct silence *silence, const struct silence_facts *facts)
{
	const uint64_t limit = silence->mutes ? SILENCE_TRIAL_NS : SILENCE_MUTE_NS;

	if (silence->is_mute)
		return true;
	if (!silence->mute_ns || facts->now_ns - silence->mute_ns < limit)
		return false;
	fall_mute(silence);
	return true;
}

/*
 * They send by relay again right after we returned to the pair, and sent nothing by the pair meanwhile: for
 * them it is mute, whatever checks say.
 */
static void note_followed(struct silence *silence, const struct silence_facts *facts)
{
	if (silence->direct_ns != silence->selected_ns && facts->rx_direct_ns <= silence->direct_ns)
		fall_mute(silence);
}

enum silence_verdict silence_judge(struct silence *silence, const struct silence_facts *facts)
{
	const uint64_t rtt = sooner(facts->rtt_ns, RTT_MOST_NS);
	uint64_t quiet;

	note_mute(silence, facts);
	note_unanswered(silence, facts);
	if (should_follow(silence, facts)) {
		note_followed(silence, facts);
		return SILENCE_FOLLOW;
	}
	if (is_mute(silence, facts))
		return SILENCE_LOST;
	if (!silence->unanswered_ns)
		return SILENCE_NONE;
	quiet = facts->now_ns - silence->unanswered_ns;
	if (!silence->checked_ns && quiet >= SILENCE_CHECK_NS) {
		silence->checked_ns = facts->now_ns;
		return SILENCE_CHECK;
	}
	if (silence->checked_ns && quiet >= SILENCE_LOST_NS &&
		facts->now_ns - silence->checked_ns >= SILENCE_CHECKS_NS + rtt)
		return SILENCE_LOST;
	return SILENCE_NONE;
}

bool silence_is_near(const struct silence *silence)
{
	return silence->checked_ns != 0;
}

/*
 * Checks prove nothing about a mute pair; packets of theirs do, unless they are stragglers. Without such
 * packets the pair is tried again at growing intervals.
 */
static enum silence_proof prove_mute(const struct silence *silence, uint64_t turned_ns,
	const struct silence_facts *facts)
{
	const unsigned shift = silence->mutes - 1 < SILENCE_RETRY_SHIFT ? silence->mutes - 1
		: SILENCE_RETRY_SHIFT;

	if (facts->answered_ns > turned_ns && facts->rx_direct_ns > turned_ns + SILENCE_LATE_NS)
		return SILENCE_PROVEN;
	return facts->now_ns - turned_ns >= SILENCE_RETRY_NS << shift ? SILENCE_PROVEN : SILENCE_WAIT;
}

enum silence_proof silence_prove(const struct silence *silence, uint64_t turned_ns,
	const struct silence_facts *facts)
{
	if (silence->is_mute)
		return prove_mute(silence, turned_ns, facts);
	/* only a check that went both ways: their packets may arrive by a path that loses ours */
	if (facts->answered_ns > turned_ns)
		return SILENCE_PROVEN;
	if (facts->now_ns - turned_ns >= SILENCE_PATIENCE_NS + sooner(facts->rtt_ns, RTT_MOST_NS))
		return SILENCE_UNPROVEN;
	return SILENCE_WAIT;
}
