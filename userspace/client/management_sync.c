// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The Sync stream of network maps: opening it, its messages, and what its end says about proxies and twins.
#include <errno.h>
#include <stdio.h>

#include "client/management_internal.h"
#include "log/log.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define FIRST_MAP_TIMEOUT_NS	(30 * LOOP_SECOND)
#define CUT_MIN_NS		(2 * LOOP_SECOND)	/* of silence */
#define PROVE_BEHIND_PROXY_NS	(5 * LOOP_SECOND)

/* This many streams in a row that ended this early mean that another client uses our key. */
#define SHORT_STREAM_NS		(20 * LOOP_SECOND)
#define SHORT_STREAMS		3
#define CALM_NS			(60 * LOOP_SECOND)	/* nobody ends a stream that lasted this long */

#define TWIN_TEXT "another client seems to use this identity: the server keeps ending our stream; stop the " \
	"other one, or join one of them anew"

#define OTHER_FORMAT_TEXT "it sends network maps in a format that was not asked for (SyncResponse.Version " \
	"is not 0); the last one stays in force"

uint64_t allowance_take(struct allowance *allowance, uint64_t now_ns)
{
	uint64_t due = (now_ns - allowance->since_ns) / allowance->each_ns;

	allowance->since_ns += due * allowance->each_ns;
	if (due >= allowance->most - allowance->left) {
		allowance->left = allowance->most;
		allowance->since_ns = now_ns;
	} else {
		allowance->left += due;
	}
	if (!allowance->left)
		return allowance->since_ns + allowance->each_ns - now_ns;
	allowance->left--;
	return 0;
}

bool management_is_synced(const struct management *m)
{
	return m->step == STEP_SYNC && m->call && m->has_synced;
}

void management_set_connected(struct management *m)
{
	management_set_state(m, MANAGEMENT_CONNECTED, m->short_streams >= SHORT_STREAMS ? TWIN_TEXT : "");
}

static void note_first_message(struct management *m)
{
	loop_timer_cancel(m->loop, &m->patience);
	m->has_synced = true;
	m->refused_syncs = 0;
	m->facts.was_refetched = false;
	backoff_reset(&m->sync_backoff);
	backoff_reset(&m->login_backoff);
	backoff_reset(&m->slow_backoff);
	management_set_connected(m);
	management_job_start(m);
	if (m->short_streams)
		loop_timer_after(m->loop, &m->patience, CALM_NS);
}

static void deliver(struct management *m, const struct netmap_update *update, const uint8_t *bytes,
	size_t len)
{
	bool first = !m->has_synced;

	m->saw_farewell = netmap_is_farewell(&update->map);
	if (m->saw_farewell)
		return;
	management_note_alive(m);
	if (first)
		note_first_message(m);
	m->events->sync(m->ctx, update, first, bytes, len);
}

/* Nothing may be taken from a stream with an unreadable message: it is opened again. */
static void break_stream(struct management *m, const char *why)
{
	struct grpc_end end = { .status = GRPC_DATA_LOSS };

	snprintf(end.text, sizeof(end.text), "%s", why);
	grpc_call_cancel(m->call);
	m->call = NULL;
	management_settle(m, OUTCOME_GARBLED, &end);
}

static void give_up(struct management *m)
{
	char why[MANAGEMENT_WHY_LEN];

	snprintf(why, sizeof(why), "%.400s (gave up after %d s)",
		m->why[0] ? m->why : "management does not answer", (int)(MANAGEMENT_ONCE_NS / LOOP_SECOND));
	loop_timer_cancel(m->loop, &m->timer);
	grpc_call_cancel(m->call);
	m->call = NULL;
	management_give_verdict(m, -ETIMEDOUT, why);
}

void management_lose_patience(void *ctx)
{
	struct management *m = ctx;

	if (m->once) {
		give_up(m);
	} else if (m->is_garbled) {
		break_stream(m, m->garbled_why);
	} else if (!m->has_synced) {
		break_stream(m, "no network map came within 30 s");
	} else {
		m->short_streams = 0;
		management_set_state(m, MANAGEMENT_CONNECTED, "");
	}
}

static void take_sync(void *ctx, const uint8_t *bytes, size_t len)
{
	struct netmap_update update;
	struct management *m = ctx;
	uint8_t *plain;
	size_t plain_len;
	int ret;

	m->heard_ns = loop_now(m->loop);
	if (m->is_garbled)
		return;
	ret = envelope_unpack_management(&m->private_key, m->server_key, bytes, len, &plain, &plain_len);
	if (!ret) {
		ret = netmap_update_parse(plain, plain_len, m->public_key, &update);
		if (!ret) {
			deliver(m, &update, plain, plain_len);
			netmap_update_done(&update);
		}
		envelope_free(plain, plain_len);
	}
	if (ret < 0) {
		m->is_garbled = true;
		m->garbled_why = ret == -EPROTONOSUPPORT ? OTHER_FORMAT_TEXT
			: "the server sent what cannot be read";
		loop_timer_after(m->loop, &m->patience, 0);	/* not from a callback of the call */
	}
}

static int start_sync(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_sync, .done = management_call_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "Sync" };
	uint8_t *bytes;
	size_t len;
	int ret = management_refresh_meta(m);

	if (!ret)
		ret = message_pack_sync(m->meta, m->meta_len, &bytes, &len);
	if (ret < 0)
		return ret;
	ret = management_ask(m, m->server_key, &options, bytes, len, &events, m, &m->call);
	envelope_free(bytes, len);
	return ret;
}

void management_call_sync(struct management *m)
{
	uint64_t wait = allowance_take(&m->syncs, loop_now(m->loop));
	int ret;

	if (wait) {
		management_wait(m, wait, STEP_SYNC);
		return;
	}
	m->step = STEP_SYNC;
	m->has_synced = m->saw_farewell = false;
	m->sync_opened_ns = loop_now(m->loop);
	management_forget_answer(m);
	ret = start_sync(m);
	if (ret < 0) {
		management_could_not_start(m, ret);
		return;
	}
	management_note_meta(m, m->meta, m->meta_len);
	loop_timer_after(m->loop, &m->patience, FIRST_MAP_TIMEOUT_NS);
}

void management_sync_anew(void *ctx)
{
	struct management *m = ctx;

	if (m->step != STEP_SYNC || !m->call)
		return;		/* the next Sync says it */
	loop_timer_cancel(m->loop, &m->patience);
	management_report_stop(m);
	grpc_call_cancel(m->call);
	m->call = NULL;
	management_begin(m, STEP_SYNC);
}

void management_note_end_of_stream(struct management *m, enum management_outcome outcome)
{
	uint64_t lived = loop_now(m->loop) - m->sync_opened_ns;

	if (outcome != OUTCOME_OK || lived >= SHORT_STREAM_NS || m->saw_farewell)
		m->short_streams = 0;
	else if (m->has_synced)
		m->short_streams++;
}

/*
 * On Sync only the server sends, so a proxy that waits a minute for data ends it. nginx may hold its
 * RST_STREAM back until it has something else to send on the connection; PINGs, which it answers itself,
 * make it send. They are hop by hop, so the server never sees them.
 */
void management_note_cut(struct management *m, const struct grpc_end *end)
{
	uint64_t now = loop_now(m->loop);

	m->was_cut = end->was_reset && m->has_synced && now - m->heard_ns >= CUT_MIN_NS;
	if (!m->was_cut)
		return;
	grpc_channel_prove_each(m->channel, PROVE_BEHIND_PROXY_NS);
	if (!m->has_told_cut)
		log_info("management: a proxy in front ends the stream of maps when it is silent, this time "
			"for %.0f s (nginx: grpc_read_timeout); it is opened again each time",
			(now - m->heard_ns) / 1e9);
	m->has_told_cut = true;
}
