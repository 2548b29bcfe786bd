// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is said to management beside Sync: jobs that we decline, changed facts about this host, good-bye. None
// of it affects anything else.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netbird/envelope.h"
#include "client/management_internal.h"
#include "netbird/management_message.h"
#include "log/log.h"

/* a stream that lived so long is followed by another one soon */
#define JOB_LIVED_NS		(5 * LOOP_SECOND)
#define JOB_CUT_MIN_NS		(2 * LOOP_SECOND)	/* what ends sooner was refused, */
/* behind a proxy that cuts streams: what it has to say is heard sooner */
#define JOB_PROVE_NS		(15 * LOOP_SECOND)
#define JOB_CUT_MAX_NS		(600 * LOOP_SECOND)	/* and later nobody's time limit need be the reason */
#define REPORT_TIMEOUT_NS	(10 * LOOP_SECOND)
#define REPORT_EACH_NS		(30 * LOOP_SECOND)	/* each makes the server send maps to everybody */
#define REPORT_FAILURES		3
#define LOGOUT_TIMEOUT_NS	(15 * LOOP_SECOND)

/*
 * Jobs. The stream says nothing for days, and proxies end a request of which no more comes: nginx after
 * client_body_timeout, Traefik readTimeout after its beginning, each 60 s by default. A request that has
 * ended is exempt from both, so once a stream was cut the next ones end their own side behind the hello. The
 * answer to a job goes on a new stream then.
 */

static void forget_answer(struct job_stream *job)
{
	envelope_free(job->answer, job->answer_len);
	job->answer = NULL;
	job->answer_len = 0;
}

static void answer_job(struct management *m, const uint8_t *plain, size_t len)
{
	struct job_stream *job = &m->job;

	forget_answer(job);
	if (envelope_pack_management(&m->private_key, m->server_key, plain, len, &job->answer,
		&job->answer_len) < 0)
		return;
	if (job->side == JOB_HALF) {
		loop_timer_after(m->loop, &job->timer, 0);	/* not from within the call's own callback */
		return;
	}
	grpc_call_send(job->call, job->answer, job->answer_len);
	forget_answer(job);
}

static void take_job(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;
	uint8_t *plain, *answer;
	size_t plain_len, answer_len;

	if (envelope_unpack_management(&m->private_key, m->server_key, bytes, len, &plain, &plain_len) < 0)
		return;
	if (message_answer_job(plain, plain_len, &answer, &answer_len) == 1) {
		log_info("management asked for a remote job (a debug bundle or the like); declined");
		answer_job(m, answer, answer_len);
		envelope_free(answer, answer_len);
	}
	envelope_free(plain, plain_len);
}

static void job_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;
	uint64_t lived = loop_now(m->loop) - m->job.opened_ns;

	m->job.call = NULL;
	if (end->from_server && end->status == GRPC_UNIMPLEMENTED)
		m->job.is_given_up = true;
	/* Refused: Sync will hear the same and know what to do. */
	if (m->job.is_given_up || management_outcome_of(end) == OUTCOME_REFUSED)
		return;
	if (lived >= JOB_CUT_MIN_NS && (end->was_reset || end->http_status))
		grpc_channel_prove_each(m->channel, JOB_PROVE_NS);
	m->job.was_cut = lived >= JOB_CUT_MIN_NS && lived <= JOB_CUT_MAX_NS;
	if (m->job.side == JOB_HALF && end->from_server && lived < JOB_CUT_MIN_NS)
		m->job.side = JOB_ONLY_OPEN;
	if (lived >= JOB_LIVED_NS)
		backoff_reset(&m->job.backoff);
	loop_timer_after(m->loop, &m->job.timer, backoff_next(&m->job.backoff));
}

/* The timer that got us here would have been stopped, had Sync ended too: it was this stream alone. */
static void learn_from_cut(struct management *m)
{
	double lived_s = (loop_now(m->loop) - m->job.opened_ns) / 1e9;

	m->job.was_cut = false;
	if (m->job.side == JOB_OPEN) {
		m->job.side = JOB_HALF;
		log_info("management: a proxy in front ended the silent job stream after about %.0f s "
			"(nginx: client_body_timeout, Traefik: readTimeout); it leaves them nothing to wait "
			"for from now on", lived_s);
	} else if (!m->job.has_told) {
		m->job.has_told = true;
		log_info("management: a proxy in front ends the job stream each %.0f s or so (nginx: "
			"grpc_read_timeout); it is begun anew each time", lived_s);
	}
}

static int start_job(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_job, .done = job_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "Job", .keep_open = true };
	uint8_t *hello;
	size_t len;
	int ret = message_pack_job_hello(&hello, &len);

	if (ret)
		return ret;
	m->job.opened_ns = loop_now(m->loop);
	ret = management_ask(m, m->server_key, &options, hello, len, &events, m, &m->job.call);
	envelope_free(hello, len);
	return ret;
}

static void open_job(void *ctx)
{
	struct management *m = ctx;
	int ret;

	if (m->job.was_cut)
		learn_from_cut(m);
	grpc_call_cancel(m->job.call);
	m->job.call = NULL;
	ret = start_job(m);
	if (ret < 0) {
		loop_timer_after(m->loop, &m->job.timer, backoff_next(&m->job.backoff));
		return;
	}
	if (m->job.answer)
		grpc_call_send(m->job.call, m->job.answer, m->job.answer_len);
	forget_answer(&m->job);
	if (m->job.side == JOB_HALF)
		grpc_call_half_close(m->job.call);
}

void job_init(struct management *m)
{
	m->job.backoff = (struct backoff){ .first_ns = 800 * LOOP_MS, .most_ns = 60 * LOOP_SECOND,
		.tenths = 17 };
	loop_timer_init(&m->job.timer, open_job, m);
}

void job_start(struct management *m)
{
	if (!m->job.is_given_up && !m->job.call)
		loop_timer_after(m->loop, &m->job.timer, 0);	/* the map first */
}

void job_stop(struct management *m)
{
	loop_timer_cancel(m->loop, &m->job.timer);
	grpc_call_cancel(m->job.call);
	m->job.call = NULL;
	m->job.was_cut = false;
	forget_answer(&m->job);
}

/* SyncMeta */

static void forget_report(struct management *m)
{
	envelope_free(m->report.meta, m->report.len);
	m->report.meta = NULL;
	m->report.len = 0;
}

static void no_message(void *ctx, const uint8_t *bytes, size_t len)
{
}

static void report_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;

	m->report.call = NULL;
	if (end->status == GRPC_OK) {
		m->report.failures = 0;
		management_note_meta(m, m->report.meta, m->report.len);
	} else if (++m->report.failures < REPORT_FAILURES) {
		m->report.is_wanted = true;
	}
	forget_report(m);
	if (m->report.is_wanted)
		loop_timer_after(m->loop, &m->report.timer, REPORT_EACH_NS);
}

static int send_report(struct management *m)
{
	static const struct grpc_call_events events = { .message = no_message, .done = report_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "SyncMeta",
		.timeout_ns = REPORT_TIMEOUT_NS, .is_unary = true };
	uint8_t *bytes;
	size_t len;
	int ret = message_pack_sync(m->meta, m->meta_len, &bytes, &len);

	if (ret < 0)
		return ret;
	m->report.meta = malloc(m->meta_len + 1);
	ret = m->report.meta ? management_ask(m, m->server_key, &options, bytes, len, &events, m,
		&m->report.call) : -ENOMEM;
	envelope_free(bytes, len);
	if (ret < 0) {
		forget_report(m);
		return ret;
	}
	memcpy(m->report.meta, m->meta, m->meta_len);
	m->report.len = m->meta_len;
	m->report.sent_ns = loop_now(m->loop);
	return 0;
}

static void run_report(void *ctx)
{
	struct management *m = ctx;

	if (!m->report.is_wanted || m->report.call)
		return;
	m->report.is_wanted = false;
	if (management_refresh_meta(m) == 0 && management_is_meta_news(m))
		send_report(m);
}

void report_init(struct management *m)
{
	loop_timer_init(&m->report.timer, run_report, m);
}

void report_start(struct management *m)
{
	uint64_t now = loop_now(m->loop);
	uint64_t next = m->report.sent_ns ? m->report.sent_ns + REPORT_EACH_NS : now;

	m->report.failures = 0;
	if (!m->has_synced || !m->call)
		return;		/* the next Sync says it all */
	m->report.is_wanted = true;
	if (!m->report.call)
		loop_timer_set(m->loop, &m->report.timer, next > now ? next : now);
}

void report_stop(struct management *m)
{
	loop_timer_cancel(m->loop, &m->report.timer);
	grpc_call_cancel(m->report.call);
	m->report.call = NULL;
	m->report.is_wanted = false;
	forget_report(m);
}

/* Logout */

static void end_logout(struct management *m, int error, const char *why)
{
	management_logout_fn fn = m->logout.fn;
	void *ctx = m->logout.ctx;

	m->logout = (struct logout){};
	if (!error)
		management_end(m, "logged out: this peer is deleted on the server");
	fn(ctx, error, why);
}

static int start_logout(struct management *m);

static int logout_error(const struct grpc_end *end)
{
	switch (management_outcome_of(end)) {
	case OUTCOME_NOT_FOUND:
	case OUTCOME_REFUSED:
		return -ENOENT;
	case OUTCOME_PRECONDITION:
		return -EPERM;
	case OUTCOME_UNIMPLEMENTED:
		return -EPROTONOSUPPORT;
	case OUTCOME_UNREACHABLE:
		return -EHOSTUNREACH;
	default:
		return -EREMOTEIO;
	}
}

static void logout_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;
	char why[MANAGEMENT_WHY_LEN];
	int error;

	m->logout.call = NULL;
	if (management_outcome_of(end) == OUTCOME_STALE && !m->logout.was_refetched) {
		m->logout.was_refetched = true;
		m->logout.has_key = false;
		error = start_logout(m);
		if (error)
			end_logout(m, error, strerror(-error));
		return;
	}
	if (end->status == GRPC_OK) {
		end_logout(m, 0, "");
		return;
	}
	error = logout_error(end);
	management_format_end(m, end, why, sizeof(why));
	if (error == -ENOENT)
		snprintf(why, sizeof(why), "management %s does not know this peer: it is deleted already",
			m->url);
	end_logout(m, error, why);
}

static void take_logout_key(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;

	m->logout.has_key = message_parse_server_key(bytes, len, m->logout.server_key) == 0;
}

static void call_logout(struct management *m)
{
	static const struct grpc_call_events events = { .message = no_message, .done = logout_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "Logout",
		.timeout_ns = LOGOUT_TIMEOUT_NS, .is_unary = true };
	int ret = management_ask(m, m->logout.server_key, &options, (const uint8_t *)"", 0, &events, m,
		&m->logout.call);

	if (ret < 0)
		end_logout(m, ret, strerror(-ret));
}

static void logout_key_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;

	m->logout.call = NULL;
	if (end->status != GRPC_OK)
		logout_done(m, end);
	else if (!m->logout.has_key)
		end_logout(m, -EPROTONOSUPPORT, "this is no NetBird management server");
	else
		call_logout(m);
}

static int start_logout(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_logout_key, .done = logout_key_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "GetServerKey",
		.timeout_ns = LOGOUT_TIMEOUT_NS, .is_unary = true };

	return grpc_call_start(m->channel, &options, "", 0, &events, m, &m->logout.call);
}

int management_logout(struct management *m, management_logout_fn fn, void *ctx)
{
	int ret;

	if (m->logout.fn)
		return -EBUSY;
	m->logout = (struct logout){ .fn = fn, .ctx = ctx };
	ret = start_logout(m);
	if (ret < 0)
		m->logout = (struct logout){};
	return ret;
}

void logout_stop(struct management *m)
{
	grpc_call_cancel(m->logout.call);
	m->logout = (struct logout){};
}
