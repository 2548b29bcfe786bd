// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The signal client: one registered stream, opened again whenever it ends, a queue of unary sends, and
// messages to ourselves that prove both work.
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "netbird/envelope.h"
#include "client/signal.h"
#include "grpc/grpc.h"
#include "log/log.h"

#define PATH_STREAM		"/signalexchange.SignalExchange/ConnectStream"
#define PATH_SEND		"/signalexchange.SignalExchange/Send"
#define HEADER_ID		"x-wiretrustee-peer-id"
#define HEADER_REGISTERED	"x-wiretrustee-peer-registered"

#define REGISTER_NS		(30 * LOOP_SECOND)
#define NUDGE_NS	(500 * LOOP_MS)
#define BACKOFF_FIRST_NS	(800 * LOOP_MS)
#define BACKOFF_MAX_NS		(10 * LOOP_SECOND)
#define BEAT_NS			(30 * LOOP_SECOND)	/* between messages to ourselves */
#define BEAT_WAIT_NS		(10 * LOOP_SECOND)
#define BEAT_MIN_NS		(2 * LOOP_SECOND)	/* not more often, however early a proxy cuts */
#define SAME_QUIET_NS		(1 * LOOP_SECOND)	/* cuts by one time limit differ by less */
#define EVICTED_FIRST_NS	(10 * LOOP_SECOND)	/* doubled with each eviction in a row */
#define EVICTED_MAX_NS		(160 * LOOP_SECOND)
#define EVICTED_FORGET_NS	(300 * LOOP_SECOND)	/* a stream this long resets that count */
#define SEND_AGAIN_NS		(500 * LOOP_MS)		/* after an attempt that failed early */
#define IN_FLIGHT_MAX		64
#define QUEUED_MAX		16384

static const uint64_t send_timeout_ns[] = { 10 * LOOP_SECOND, 10 * LOOP_SECOND, 10 * LOOP_SECOND,
	15 * LOOP_SECOND };
#define ATTEMPTS (sizeof(send_timeout_ns) / sizeof(send_timeout_ns[0]))

/* A message to be handed to the server. */
struct send {
	TAILQ_ENTRY(send) entry;
	struct signal_client *signal;
	struct grpc_call *call;		/* NULL: between attempts */
	struct loop_timer timer;	/* until the next attempt */
	signal_sent_fn fn;
	void *ctx;
	bool is_beat;
	unsigned int attempts;
	size_t len;
	uint8_t *bytes;			/* EncryptedMessage */
};

TAILQ_HEAD(send_list, send);

struct signal_client {
	struct loop *loop;
	struct grpc_channel *channel;
	struct secret_key private_key;
	uint8_t own[KEY_LEN];
	char own_text[KEY_BASE64_LEN + 1];
	const struct signal_events *events;
	void *ctx;
	struct grpc_call *stream;
	bool is_registered;
	bool is_waiting_for_beat;
	uint64_t registered_ns;
	bool is_evicted;		/* another process registered with our key: waiting longer */
	uint64_t backoff_ns;
	uint64_t heard_ns;		/* the last message of the stream */
	uint64_t beat_ns;		/* BEAT_NS, or less behind a proxy that ends silent streams */
	uint64_t cut_after_ns;		/* how long the last stream that ended had been silent */
	unsigned int evictions;		/* in a row */
	struct loop_timer retry;	/* connect again */
	struct loop_timer limit;	/* registration must have come */
	struct loop_timer nudge;	/* registration should have come */
	const char *limit_why;
	/* why the last attempt to send a message to ourselves failed; empty: it did not */
	char beat_why[GRPC_TEXT_LEN + 64];
	struct loop_timer beat;		/* the next message to ourselves, or the end of waiting for it */
	struct send_list waiting;
	struct send_list in_flight;
	size_t waiting_count;
	size_t in_flight_count;
	struct signal_stats stats;
};

static void start_sends(struct signal_client *signal);

static void free_send(struct send *send)
{
	loop_timer_cancel(send->signal->loop, &send->timer);
	grpc_call_cancel(send->call);
	free(send->bytes);
	free(send);
}

/* @send was taken by the server, or given up. */
static void end_send(struct send *send, int error)
{
	struct signal_client *signal = send->signal;
	signal_sent_fn fn = send->fn;
	void *ctx = send->ctx;

	TAILQ_REMOVE(&signal->in_flight, send, entry);
	signal->in_flight_count--;
	if (error)
		signal->stats.send_failed++;
	else
		signal->stats.sent++;
	free_send(send);
	start_sends(signal);
	if (fn)
		fn(ctx, error);
}

static int error_of(const struct grpc_end *end)
{
	switch (end->status) {
	case GRPC_CANCELLED:
		return -ECANCELED;
	case GRPC_DEADLINE_EXCEEDED:
		return -ETIMEDOUT;
	case GRPC_UNAVAILABLE:
		return -ENETUNREACH;
	default:
		return -EPROTO;
	}
}

static void sent(void *ctx, const struct grpc_end *end)
{
	struct send *send = ctx;

	send->call = NULL;
	if (send->is_beat && end->status != GRPC_OK)
		snprintf(send->signal->beat_why, sizeof(send->signal->beat_why), ": %s: %s",
			grpc_status_name(end->status), end->text);
	if (end->status == GRPC_OK)
		end_send(send, 0);
	else if (end->status == GRPC_CANCELLED || send->attempts == ATTEMPTS)
		end_send(send, error_of(end));
	else
		loop_timer_after(send->signal->loop, &send->timer, end->status == GRPC_DEADLINE_EXCEEDED ? 0
			: SEND_AGAIN_NS);
}

static void take_reply(void *ctx, const uint8_t *bytes, size_t len)
{
	/* Empty, and does not prove delivery. */
}

static void attempt(void *ctx)
{
	static const struct grpc_call_events events = { .message = take_reply, .done = sent };
	struct send *send = ctx;
	const struct grpc_call_options options = {
		.path = PATH_SEND, .timeout_ns = send_timeout_ns[send->attempts], .is_unary = true,
	};

	send->attempts++;
	if (!grpc_call_start(send->signal->channel, &options, send->bytes, send->len, &events, send,
		&send->call))
		return;
	send->call = NULL;
	if (send->attempts == ATTEMPTS)
		end_send(send, -ENOMEM);
	else
		loop_timer_after(send->signal->loop, &send->timer, SEND_AGAIN_NS);
}

static void start_sends(struct signal_client *signal)
{
	struct send *send;

	/*
	 * Thousands of offers must not make the connection look dead: messages to ourselves go first and do
	 * not count against the limit.
	 */
	while ((send = TAILQ_FIRST(&signal->waiting)) &&
		(send->is_beat || signal->in_flight_count < IN_FLIGHT_MAX)) {
		TAILQ_REMOVE(&signal->waiting, send, entry);
		signal->waiting_count--;
		TAILQ_INSERT_TAIL(&signal->in_flight, send, entry);
		signal->in_flight_count++;
		loop_timer_after(signal->loop, &send->timer, 0);
	}
}

static struct send *make_send(struct signal_client *signal, const uint8_t *to, const struct signal_body *body,
	int *ret_error)
{
	struct send *send = calloc(1, sizeof(*send));
	uint8_t plain[SIGNAL_BODY_MAX];
	int len = signal_body_encode(body, plain, sizeof(plain));
	int ret = send ? 0 : -ENOMEM;

	if (!ret && len < 0)
		ret = len;
	if (!ret)
		ret = envelope_pack_signal(&signal->private_key, to, plain, len, &send->bytes, &send->len);
	sodium_memzero(plain, sizeof(plain));
	if (ret) {
		free(send);
		*ret_error = ret;
		return NULL;
	}
	send->signal = signal;
	loop_timer_init(&send->timer, attempt, send);
	return send;
}

static int queue(struct signal_client *signal, const uint8_t *to, const struct signal_body *body,
	signal_sent_fn fn, void *ctx, bool is_beat)
{
	struct send *send;
	int ret;

	if (signal->waiting_count >= QUEUED_MAX && !is_beat)
		return -ENOBUFS;
	send = make_send(signal, to, body, &ret);
	if (!send)
		return ret;
	send->fn = fn;
	send->ctx = ctx;
	send->is_beat = is_beat;
	if (is_beat)
		TAILQ_INSERT_HEAD(&signal->waiting, send, entry);
	else
		TAILQ_INSERT_TAIL(&signal->waiting, send, entry);
	signal->waiting_count++;
	start_sends(signal);
	return 0;
}

int signal_send(struct signal_client *signal, const uint8_t to[static KEY_LEN],
	const struct signal_body *body, signal_sent_fn fn, void *ctx)
{
	return signal->is_registered ? queue(signal, to, body, fn, ctx, false) : -ENOTCONN;
}

static void forget(struct send_list *list, const void *ctx)
{
	struct send *send;

	TAILQ_FOREACH(send, list, entry) {
		if (send->ctx == ctx)
			send->fn = NULL;
	}
}

void signal_forget(struct signal_client *signal, const void *ctx)
{
	forget(&signal->waiting, ctx);
	forget(&signal->in_flight, ctx);
}

/* A random time in [0, 2 * @mean_ns), in milliseconds, so that a server that comes back is not flooded. */
static uint64_t jitter(uint64_t mean_ns)
{
	return randombytes_uniform(2 * mean_ns / LOOP_MS) * LOOP_MS;
}

static uint64_t next_wait(struct signal_client *signal)
{
	uint64_t wait = jitter(signal->backoff_ns);

	signal->backoff_ns = signal->backoff_ns * 17 / 10;
	if (signal->backoff_ns > BACKOFF_MAX_NS)
		signal->backoff_ns = BACKOFF_MAX_NS;
	return wait;
}

static uint64_t evicted_wait(struct signal_client *signal)
{
	uint64_t wait = EVICTED_FIRST_NS << (signal->evictions - 1);

	return (wait < EVICTED_MAX_NS ? wait : EVICTED_MAX_NS) / 2 +
		jitter((wait < EVICTED_MAX_NS ? wait : EVICTED_MAX_NS) / 2);
}

/*
 * Messages to ourselves prove nothing about a later registration. They are never in @waiting between turns.
 */
static void drop_beats(struct signal_client *signal)
{
	struct send *send, *next;

	for (send = TAILQ_FIRST(&signal->in_flight); send; send = next) {
		next = TAILQ_NEXT(send, entry);
		if (!send->is_beat)
			continue;
		TAILQ_REMOVE(&signal->in_flight, send, entry);
		signal->in_flight_count--;
		free_send(send);
	}
}

/* The stream ended or is useless. It calls back, so callers do this last. */
static void lose(struct signal_client *signal, uint64_t wait_ns, const char *why)
{
	signal->is_registered = false;
	signal->is_waiting_for_beat = false;
	loop_timer_cancel(signal->loop, &signal->limit);
	loop_timer_cancel(signal->loop, &signal->nudge);
	loop_timer_cancel(signal->loop, &signal->beat);
	drop_beats(signal);
	start_sends(signal);
	grpc_call_cancel(signal->stream);
	signal->stream = NULL;
	loop_timer_after(signal->loop, &signal->retry, wait_ns);
	signal->events->state(signal->ctx, false, why);
}

static void drop_connection(struct signal_client *signal, const char *why)
{
	uint64_t wait = next_wait(signal);

	grpc_call_cancel(signal->stream);
	signal->stream = NULL;
	grpc_channel_reset(signal->channel, why);
	lose(signal, wait, why);
}

static void registration_failed(void *ctx)
{
	struct signal_client *signal = ctx;

	drop_connection(signal, signal->limit_why);
}

static void expect_registration(struct signal_client *signal, uint64_t within_ns, const char *why)
{
	signal->limit_why = why;
	loop_timer_after(signal->loop, &signal->limit, within_ns);
}

static void do_beat(void *ctx)
{
	static const struct signal_body heartbeat = { .type = SIGNAL_HEARTBEAT };
	struct signal_client *signal = ctx;
	char why[sizeof(signal->beat_why) + 80];

	if (signal->is_waiting_for_beat) {
		snprintf(why, sizeof(why),
			"the signal server did not return a message to ourselves within 10 s%s",
			signal->beat_why);
		drop_connection(signal, why);
		return;
	}
	signal->is_waiting_for_beat = true;
	signal->beat_why[0] = 0;
	loop_timer_after(signal->loop, &signal->beat, BEAT_WAIT_NS);
	queue(signal, signal->own, &heartbeat, NULL, NULL, true);
}

static void take_beat(struct signal_client *signal)
{
	if (!signal->is_waiting_for_beat)
		return;
	signal->is_waiting_for_beat = false;
	loop_timer_after(signal->loop, &signal->beat, signal->beat_ns);
}

static bool is_for_peers(enum signal_type type)
{
	return type == SIGNAL_OFFER || type == SIGNAL_ANSWER || type == SIGNAL_CANDIDATE ||
		type == SIGNAL_GO_IDLE;
}

static void dispatch(struct signal_client *signal, const uint8_t *from, const struct signal_body *body)
{
	if (key_is_equal(from, signal->own)) {
		if (body->type == SIGNAL_HEARTBEAT)
			take_beat(signal);
		return;
	}
	if (!is_for_peers(body->type)) {
		signal->stats.ignored++;
		return;
	}
	signal->events->body(signal->ctx, from, body);
}

static void stream_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct signal_client *signal = ctx;
	struct signal_body body;
	uint8_t from[KEY_LEN];
	uint8_t *plain;
	size_t plain_len;
	int ret;

	signal->stats.received++;
	signal->heard_ns = loop_now(signal->loop);
	if (envelope_unpack_signal(&signal->private_key, bytes, len, from, &plain, &plain_len)) {
		signal->stats.unopened++;
		return;
	}
	ret = signal_body_parse(plain, plain_len, &body);
	envelope_free(plain, plain_len);
	if (ret)
		signal->stats.malformed++;
	else
		dispatch(signal, from, &body);
	sodium_memzero(&body, sizeof(body));
}

static bool has_header(const struct grpc_header *headers, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(headers[i].name, name))
			return true;
	}
	return false;
}

static void stream_headers(void *ctx, const struct grpc_header *headers, size_t count)
{
	struct signal_client *signal = ctx;

	/* A refusal is only headers; the end of the call brings its reason. */
	if (signal->is_registered || has_header(headers, count, "grpc-status"))
		return;
	if (!has_header(headers, count, HEADER_REGISTERED)) {
		expect_registration(signal, 0,
			"the answer is not a signal server's: it does not confirm the registration");
		return;
	}
	signal->is_registered = true;
	signal->registered_ns = signal->heard_ns = loop_now(signal->loop);
	signal->backoff_ns = BACKOFF_FIRST_NS;
	signal->stats.registrations++;
	loop_timer_cancel(signal->loop, &signal->limit);
	loop_timer_cancel(signal->loop, &signal->nudge);
	loop_timer_after(signal->loop, &signal->beat, 0);
	signal->events->state(signal->ctx, true, "registered");
}

/*
 * The server ends a stream like this when another one registers with our key and, rarely, when it could not
 * deliver a message.
 */
static bool is_eviction(const struct grpc_end *end)
{
	return end->from_server && end->status == GRPC_UNKNOWN && strcasestr(end->text, "registered again");
}

static void evicted(struct signal_client *signal)
{
	const bool was_long = loop_now(signal->loop) - signal->registered_ns >= EVICTED_FORGET_NS;

	signal->stats.evictions++;
	signal->is_evicted = true;
	if (was_long)
		signal->evictions = 0;
	if (signal->evictions < 8)
		signal->evictions++;
	lose(signal, evicted_wait(signal), signal->evictions > 1 ?
		"another process uses this identity and registers with it again and again: stop one of the "
		"two" : "this identity was registered again by another process");
}

/*
 * A proxy may end streams that are silent for less than our beat (nginx: grpc_read_timeout). Two in a row
 * that ended after the same silence are no coincidence: from then on messages to ourselves are sent at twice
 * that rate. Unlike PINGs, which proxies answer themselves, they pass every proxy.
 */
static void learn_from_cut(struct signal_client *signal)
{
	uint64_t quiet = loop_now(signal->loop) - signal->heard_ns, before = signal->cut_after_ns;

	signal->cut_after_ns = quiet;
	if (quiet < SAME_QUIET_NS || quiet >= signal->beat_ns || quiet > before + SAME_QUIET_NS ||
		before > quiet + SAME_QUIET_NS)
		return;
	signal->beat_ns = quiet / 2 > BEAT_MIN_NS ? quiet / 2 : BEAT_MIN_NS;
	log_info("signal: a proxy in front ends streams that are silent for %.0f s (nginx: "
		"grpc_read_timeout); a message to ourselves every %.0f s keeps them open", quiet / 1e9,
		signal->beat_ns / 1e9);
}

static void stream_done(void *ctx, const struct grpc_end *end)
{
	struct signal_client *signal = ctx;
	char why[GRPC_TEXT_LEN + 64];

	signal->stream = NULL;
	if (is_eviction(end)) {
		evicted(signal);
		return;
	}
	if (signal->is_registered)
		learn_from_cut(signal);
	snprintf(why, sizeof(why), "the signal stream ended: %s%s%s", grpc_status_name(end->status),
		end->text[0] ? ": " : "", end->text);
	lose(signal, next_wait(signal), why);
}

static void connect_stream(void *ctx)
{
	static const struct grpc_call_events events = { .headers = stream_headers, .message = stream_message,
		.done = stream_done };
	struct signal_client *signal = ctx;
	const struct grpc_header id = { .name = HEADER_ID, .value = signal->own_text };
	const struct grpc_call_options options = { .path = PATH_STREAM, .metadata = &id, .metadata_count = 1,
		.keep_open = true };

	signal->is_evicted = false;
	if (grpc_call_start(signal->channel, &options, NULL, 0, &events, signal, &signal->stream)) {
		signal->stream = NULL;
		lose(signal, next_wait(signal), "out of memory");
		return;
	}
	/* The server reads nothing here, and proxies do not time out a request that has ended. */
	grpc_call_half_close(signal->stream);
	expect_registration(signal, REGISTER_NS,
		"the signal server did not confirm the registration within 30 s");
	loop_timer_after(signal->loop, &signal->nudge, NUDGE_NS);
}

/*
 * The confirmation is headers without data. nginx may hold those back in its TLS buffer until it has
 * something else to send.
 */
static void nudge(void *ctx)
{
	struct signal_client *signal = ctx;

	if (signal->stream)
		grpc_call_nudge(signal->stream);
}

void signal_start(struct signal_client *signal)
{
	if (!signal->stream)
		loop_timer_after(signal->loop, &signal->retry, 0);
}

int signal_new(struct loop *loop, const struct signal_config *config, const struct signal_events *events,
	void *ctx, struct signal_client **ret_signal)
{
	const struct grpc_channel_options options = { .host = config->server.host,
		.port = config->server.port, .tls = server_url_is_tls(&config->server) };
	struct signal_client *signal = calloc(1, sizeof(*signal));
	int ret;

	if (!signal)
		return -ENOMEM;
	ret = grpc_channel_new(loop, &options, &signal->channel);
	if (ret) {
		free(signal);
		return ret;
	}
	signal->loop = loop;
	signal->events = events;
	signal->ctx = ctx;
	signal->private_key = config->private_key;
	key_public(&signal->private_key, signal->own);
	key_to_base64(signal->own, signal->own_text);
	signal->backoff_ns = BACKOFF_FIRST_NS;
	signal->beat_ns = BEAT_NS;
	TAILQ_INIT(&signal->waiting);
	TAILQ_INIT(&signal->in_flight);
	loop_timer_init(&signal->retry, connect_stream, signal);
	loop_timer_init(&signal->limit, registration_failed, signal);
	loop_timer_init(&signal->nudge, nudge, signal);
	loop_timer_init(&signal->beat, do_beat, signal);
	*ret_signal = signal;
	return 0;
}

static void free_sends(struct send_list *list)
{
	struct send *send;

	while ((send = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, send, entry);
		free_send(send);
	}
}

void signal_free(struct signal_client *signal)
{
	if (!signal)
		return;
	free_sends(&signal->waiting);
	free_sends(&signal->in_flight);
	loop_timer_cancel(signal->loop, &signal->retry);
	loop_timer_cancel(signal->loop, &signal->limit);
	loop_timer_cancel(signal->loop, &signal->nudge);
	loop_timer_cancel(signal->loop, &signal->beat);
	grpc_call_cancel(signal->stream);
	grpc_channel_free(signal->channel);
	secret_key_wipe(&signal->private_key);
	free(signal);
}

bool signal_is_connected(const struct signal_client *signal)
{
	return signal->is_registered;
}

void signal_network_changed(struct signal_client *signal)
{
	if (signal->is_evicted || !loop_timer_is_set(&signal->retry))
		return;
	signal->backoff_ns = BACKOFF_FIRST_NS;
	loop_timer_after(signal->loop, &signal->retry, 0);
}

void signal_get_stats(const struct signal_client *signal, struct signal_stats *ret_stats)
{
	*ret_stats = signal->stats;
}
