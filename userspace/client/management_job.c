// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The stream of remote jobs from management, and their answers. They affect nothing else.
#include <stdio.h>

#include "client/management_internal.h"
#include "log/log.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define JOB_LIVED_NS		(5 * LOOP_SECOND)	/* a stream that lasted this long resets the waits */
#define JOB_CUT_MIN_NS		(2 * LOOP_SECOND)	/* one that ends earlier was refused, */
#define JOB_CUT_MAX_NS		(600 * LOOP_SECOND)	/* and later hardly any time limit ends it */
#define JOB_PROVE_NS		(15 * LOOP_SECOND)	/* between PINGs that make a proxy pass on its end */

/*
 * The stream is silent for days, and proxies end a request that brings no more data: nginx after
 * client_body_timeout, Traefik readTimeout after its beginning, both 60 s by default. A request that has
 * ended is exempt from both, so once a stream was cut the next ones end their own side after the hello, and
 * the answer to a job goes on a new stream.
 */

static void forget_answer(struct job_stream *job)
{
	envelope_free(job->answer, job->answer_len);
	job->answer = NULL;
	job->answer_len = 0;
}

/* The server may have another key by now, so an answer is sealed when it is sent. */
static void send_answer(struct management *m)
{
	struct job_stream *job = &m->job;
	uint8_t *sealed;
	size_t len;

	if (!job->answer || !job->call || envelope_pack_management(&m->private_key, m->server_key,
		job->answer, job->answer_len, &sealed, &len) < 0)
		return;
	grpc_call_send(job->call, sealed, len);
	envelope_free(sealed, len);
	forget_answer(job);
}

void management_answer_job(struct management *m, const struct message_job *request, bool has_succeeded,
	const char *text)
{
	struct job_stream *job = &m->job;

	forget_answer(job);
	if (message_pack_job_answer(request, has_succeeded, text, &job->answer, &job->answer_len))
		return;
	if (job->side == JOB_HALF && job->call)
		loop_timer_after(m->loop, &job->timer, 0);	/* not from a callback of the call */
	else
		send_answer(m);
}

static void take_job(void *ctx, const uint8_t *bytes, size_t len)
{
	char why[MANAGEMENT_WHY_LEN] = "job not implemented";
	struct management *m = ctx;
	struct message_job job;
	uint8_t *plain;
	size_t plain_len;
	int ret;

	if (envelope_unpack_management(&m->private_key, m->server_key, bytes, len, &plain, &plain_len) < 0)
		return;
	ret = message_parse_job(plain, plain_len, &job);
	envelope_free(plain, plain_len);
	if (ret)
		return;
	if (job.is_bundle) {
		snprintf(why, sizeof(why), "this peer makes no debug bundles");
		if (m->events->job && !m->events->job(m->ctx, &job, why, sizeof(why)))
			return;
	}
	log_info("management asked for a remote job; declined: %s", why);
	management_answer_job(m, &job, false, why);
}

static void job_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;
	uint64_t lived = loop_now(m->loop) - m->job.opened_ns;

	m->job.call = NULL;
	if (end->from_server && end->status == GRPC_UNIMPLEMENTED)
		m->job.is_given_up = true;
	/* Refused: Sync is refused too, and acts on it. */
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

/*
 * Sync did not end too, or the timer that leads here would have been stopped: a proxy cut this stream
 * alone.
 */
static void learn_from_cut(struct management *m)
{
	double lived_s = (loop_now(m->loop) - m->job.opened_ns) / 1e9;

	m->job.was_cut = false;
	if (m->job.side == JOB_OPEN) {
		m->job.side = JOB_HALF;
		log_info("management: a proxy in front ended the silent job stream after about %.0f s "
			"(nginx: client_body_timeout, Traefik: readTimeout); its requests end at once from "
			"now on", lived_s);
	} else if (!m->job.has_told) {
		m->job.has_told = true;
		log_info("management: a proxy in front ends the job stream each %.0f s or so (nginx: "
			"grpc_read_timeout); it is opened again each time", lived_s);
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
	send_answer(m);
	if (m->job.side == JOB_HALF)
		grpc_call_half_close(m->job.call);
}

void management_job_init(struct management *m)
{
	m->job.backoff = (struct backoff){ .first_ns = 800 * LOOP_MS, .most_ns = 60 * LOOP_SECOND,
		.tenths = 17 };
	loop_timer_init(&m->job.timer, open_job, m);
}

void management_job_start(struct management *m)
{
	if (!m->job.is_given_up && !m->job.call)
		loop_timer_after(m->loop, &m->job.timer, 0);	/* after the map */
}

void management_job_stop(struct management *m)
{
	loop_timer_cancel(m->loop, &m->job.timer);
	grpc_call_cancel(m->job.call);
	m->job.call = NULL;
	m->job.was_cut = false;
}

void management_job_done(struct management *m)
{
	forget_answer(&m->job);
}
