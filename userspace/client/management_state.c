// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What follows the end of each call: the next step, a wait, or a verdict for people.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/management_internal.h"

void management_wait(struct management *m, uint64_t wait_ns, enum management_step goal)
{
	m->goal = goal;
	m->has_server_key = false;
	loop_timer_after(m->loop, &m->timer, wait_ns);
}

void management_set_state(struct management *m, enum management_state state, const char *why)
{
	if (m->has_state && m->state == state && strcmp(m->why, why) == 0)
		return;
	m->has_state = true;
	m->state = state;
	snprintf(m->why, sizeof(m->why), "%s", why);
	if (m->events->state)
		m->events->state(m->ctx, state, m->why);
}

void management_give_verdict(struct management *m, int error, const char *why)
{
	if (!m->once)
		return;
	m->once = false;
	loop_timer_cancel(m->loop, &m->patience);
	m->is_over = error != 0;
	if (m->events->verdict)
		m->events->verdict(m->ctx, error, why);
}

static void go_on(struct management *m)
{
	switch (m->goal) {
	case STEP_REGISTER:
		management_call_register(m);
		break;
	case STEP_TOKEN:
		management_call_token(m);
		break;
	case STEP_SYNC:
		management_call_sync(m);
		break;
	default:
		management_call_login(m);
	}
}

void management_begin(struct management *m, enum management_step goal)
{
	m->goal = goal;
	if (m->has_server_key)
		go_on(m);
	else
		management_fetch_key(m);
}

void management_run_timer(void *ctx)
{
	struct management *m = ctx;

	management_begin(m, m->goal);
}

static void wipe_text(char **text)
{
	if (*text)
		sodium_memzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void management_drop_credentials(struct management *m)
{
	wipe_text(&m->setup_key);
	wipe_text(&m->token);
	m->facts.has_setup_key = m->facts.has_token = false;
}

/* Reports a state that no retry mends, or not soon. */
static void say_state(struct management *m, enum management_state state, int error, const char *why)
{
	char copy[MANAGEMENT_WHY_LEN];

	snprintf(copy, sizeof(copy), "%s", why);
	management_set_state(m, state, copy);
	management_wait(m, backoff_next(&m->slow_backoff), STEP_LOGIN);
	if (m->once) {
		loop_timer_cancel(m->loop, &m->timer);
		management_give_verdict(m, error, copy);
	}
}

static void say(struct management *m, int error, const char *why)
{
	say_state(m, MANAGEMENT_NEEDS_LOGIN, error, why);
}

__attribute__((format(printf, 3, 4)))
static void sayf(struct management *m, int error, const char *fmt, ...)
{
	char why[MANAGEMENT_WHY_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	say(m, error, why);
}

void management_say_malformed_key(struct management *m, const char *why)
{
	say(m, -EKEYREJECTED, why);
}

static void say_needs_key(struct management *m)
{
	if (m->was_deleted)
		say(m, -EACCES, m->why);
	else if (m->sent_token)
		sayf(m, -EACCES, "management %s does not know this peer, and its answer to the login was "
			"lost: sign in again (talon login)", m->url);
	else
		sayf(m, -EACCES, "management %s does not know this peer, and there is no setup key: give one "
			"(NB_SETUP_KEY, --setup-key-file), or run talon login", m->url);
	m->sent_token = false;
}

/*
 * The person behind this peer has to sign in again, no setup key helps. A peer that is in the mesh leaves it.
 * The server may take us again by itself, if the account's setting is changed.
 */
static void say_expired(struct management *m)
{
	char why[MANAGEMENT_WHY_LEN];

	snprintf(why, sizeof(why), "the login of this peer on management %s has expired%s: run talon login",
		m->url, m->sent_token ? ", and the answer to the new one was lost" : m->setup_key
		? " (a setup key does not renew it)" : "");
	management_drop_credentials(m);
	m->sent_token = false;
	m->facts.was_known = false;
	say_state(m, MANAGEMENT_EXPIRED, -EKEYEXPIRED, why);
}

/* The token is used up, whatever was wrong. @why: the server's words. */
static void say_token_refused(struct management *m, const char *why)
{
	m->sent_token = false;
	sayf(m, -EACCES, "%.400s: to try again, sign in again (talon login)", why);
}

/* Somebody deleted this peer on purpose, so it does not register again by itself. */
static void say_deleted(struct management *m)
{
	m->was_deleted = true;
	m->facts.was_known = false;
	management_drop_credentials(m);
	sayf(m, -ENOENT, "this peer was deleted on management %s; it does not come back by itself: restart "
		"with a valid setup key, or run talon login, to join anew", m->url);
	if (m->events->deleted)
		m->events->deleted(m->ctx);
}

static void logged_in(struct management *m)
{
	struct netmap_update login;

	if (netmap_login_parse(m->answer, m->answer_len, &login) < 0) {
		struct grpc_end end = { .status = GRPC_DATA_LOSS,
			.text = "its answer to the login cannot be read" };

		management_forget_answer(m);
		management_settle(m, OUTCOME_GARBLED, &end);
		return;
	}
	management_forget_answer(m);
	management_drop_credentials(m);
	m->facts.was_known = true;
	m->sent_token = false;
	m->facts.was_blocked = m->facts.was_refetched = m->was_deleted = false;
	backoff_reset(&m->login_backoff);
	management_set_state(m, MANAGEMENT_LOGGED_IN, "");
	if (m->events->login)
		m->events->login(m->ctx, &login);
	netmap_update_done(&login);
	if (m->once) {
		m->goal = STEP_SYNC;
		/* unless the owner only wanted the verdict and frees us */
		loop_timer_after(m->loop, &m->timer, 0);
		management_give_verdict(m, 0, "");
		return;
	}
	management_begin(m, STEP_SYNC);
}

static void resync(struct management *m, enum management_outcome outcome, const char *why)
{
	/*
	 * A stream that brought a message and ended without an error, or by a proxy's time limit, is opened
	 * again without a report.
	 */
	if ((outcome != OUTCOME_OK && !m->was_cut) || !m->has_synced)
		management_set_state(m, MANAGEMENT_CONNECTING, why);
	management_wait(m, m->saw_farewell || m->was_cut ? 0 : backoff_next(&m->sync_backoff), STEP_SYNC);
}

static void relogin(struct management *m, const char *why)
{
	management_set_state(m, MANAGEMENT_CONNECTING, why);
	management_wait(m, m->refused_syncs++ ? backoff_next(&m->sync_backoff) : 0, STEP_LOGIN);
}

/* If only the server key for a Sync could not be fetched, no login is needed: outages end sooner. */
static void retry(struct management *m, const char *why)
{
	bool is_sync = m->step == STEP_KEY && m->goal == STEP_SYNC;

	management_set_state(m, MANAGEMENT_CONNECTING, why);
	management_wait(m, backoff_next(is_sync ? &m->sync_backoff : &m->login_backoff),
		is_sync ? STEP_SYNC : STEP_LOGIN);
}

static void act(struct management *m, enum management_action action, enum management_outcome outcome,
	const char *why)
{
	switch (action) {
	case DO_GO_ON:
		go_on(m);
		break;
	case DO_SYNC:
		logged_in(m);
		break;
	case DO_REGISTER:
		management_begin(m, STEP_REGISTER);
		break;
	case DO_LOGIN_WITH_TOKEN:
		management_begin(m, STEP_TOKEN);
		break;
	case DO_REFETCH:
		m->facts.was_refetched = true;
		m->has_server_key = false;
		management_begin(m, m->step);
		break;
	case DO_RETRY:
		retry(m, why);
		break;
	case DO_RELOGIN:
		relogin(m, why);
		break;
	case DO_RESYNC:
		resync(m, outcome, why);
		break;
	case DO_SAY_DELETED:
		say_deleted(m);
		break;
	case DO_SAY_NEEDS_KEY:
		say_needs_key(m);
		break;
	case DO_SAY_EXPIRED:
		say_expired(m);
		break;
	case DO_SAY_TOKEN_REFUSED:
		say_token_refused(m, why);
		break;
	case DO_SAY_BAD_KEY:
		sayf(m, -EKEYREJECTED, "the setup key is invalid, expired, revoked or used up (management %s "
			"does not say which): make a new one", m->url);
		break;
	case DO_SAY_BLOCKED:
		say(m, -EPERM, why);
		break;
	case DO_SAY_NOT_NETBIRD:
		sayf(m, -EPROTONOSUPPORT, "%s is not a NetBird management server, or one too old to know "
			"this call: check the management URL", m->url);
		break;
	}
}

/* Writes one line about the end of a call: of the transport, or of what came over it. */
static void explain(const struct management *m, enum management_outcome outcome, const struct grpc_end *end,
	char *why, size_t size)
{
	if (outcome == OUTCOME_OK)
		snprintf(why, size, "management %s ended the stream", m->url);
	else if (outcome == OUTCOME_GARBLED)
		snprintf(why, size, "management %s: %s", m->url,
			end->text[0] ? end->text : "an answer that cannot be read");
	else
		management_format_end(m, end, why, size);
}

/* The one refusal that says which it is. */
static bool is_expired(enum management_outcome outcome, const struct grpc_end *end)
{
	return outcome == OUTCOME_REFUSED && strstr(end->text, "peer login has expired");
}

void management_settle(struct management *m, enum management_outcome outcome, const struct grpc_end *end)
{
	enum management_action action;
	char why[MANAGEMENT_WHY_LEN];

	m->facts.is_expired = is_expired(outcome, end);
	action = management_decide(m->step, outcome, &m->facts);
	explain(m, outcome, end, why, sizeof(why));
	if (m->step == STEP_SYNC) {
		loop_timer_cancel(m->loop, &m->patience);
		management_note_end_of_stream(m, outcome);
		management_note_cut(m, end);
		management_job_stop(m);
		management_report_stop(m);
		management_health_stop(m);
	}
	if (outcome != OUTCOME_OK && outcome != OUTCOME_REFUSED)
		m->has_server_key = false;
	if (m->step == STEP_REGISTER && outcome == OUTCOME_PRECONDITION)
		m->facts.was_blocked = true;
	/* A server that accepted the call and stays silent may never answer on this connection. */
	if (outcome == OUTCOME_UNREACHABLE && end->status == GRPC_DEADLINE_EXCEEDED)
		grpc_channel_reset(m->channel, end->text);
	act(m, action, outcome, why);
	if (action != DO_REFETCH && action != DO_GO_ON)
		m->facts.was_refetched = false;
}
