// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The management server: server key, login or registration, Sync, and when to try again.
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "netbird/envelope.h"
#include "client/management_internal.h"
#include "netbird/management_message.h"
#include "log/log.h"

#define KEY_TIMEOUT_NS		(10 * LOOP_SECOND)	/* with the connection that it may have to wait for */
#define LOGIN_TIMEOUT_NS	(10 * LOOP_SECOND)
#define FIRST_MAP_TIMEOUT_NS	(30 * LOOP_SECOND)
#define ONCE_TIMEOUT_NS		(30 * LOOP_SECOND)
#define META_FRESH_NS		(5 * LOOP_SECOND)

/*
 * A server that blocks agents with one key counts 30 Syncs in 5 minutes. In no 5 minutes do these make
 * more than 8 + 20.
 */
#define SYNCS_AT_ONCE		8
#define SYNC_EACH_NS		(15 * LOOP_SECOND)

/* Streams that end so soon, so often, are taken for somebody else with our key. */
#define CUT_MIN_NS		(2 * LOOP_SECOND)	/* of silence */
#define PROVE_BEHIND_PROXY_NS	(5 * LOOP_SECOND)
#define SHORT_STREAM_NS		(20 * LOOP_SECOND)
#define SHORT_STREAMS		3
/* a stream that lives so long has nobody against it */
#define CALM_NS			(60 * LOOP_SECOND)

#define TWIN_TEXT "another client seems to use this identity: the server keeps ending our stream; stop the other one, or join one of them anew"

static void begin(struct management *m, enum management_step goal);
static void settle(struct management *m, enum management_outcome outcome, const struct grpc_end *end);

/* Waiting */

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

/* @goal after a while. The server may be another process then, with another key. */
static void wait_for(struct management *m, uint64_t wait_ns, enum management_step goal)
{
	m->goal = goal;
	m->has_server_key = false;
	loop_timer_after(m->loop, &m->timer, wait_ns);
}

/* Saying */

static void set_state(struct management *m, enum management_state state, const char *why)
{
	if (m->has_state && m->state == state && strcmp(m->why, why) == 0)
		return;
	m->has_state = true;
	m->state = state;
	snprintf(m->why, sizeof(m->why), "%s", why);
	if (m->events->state)
		m->events->state(m->ctx, state, m->why);
}

static void give_verdict(struct management *m, int error, const char *why)
{
	if (!m->once)
		return;
	m->once = false;
	loop_timer_cancel(m->loop, &m->patience);
	m->is_over = error != 0;
	if (m->events->verdict)
		m->events->verdict(m->ctx, error, why);
}

static void make_printable(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = '?';
}

void management_format_end(const struct management *m, const struct grpc_end *end, char *why, size_t size)
{
	if (end->from_server)
		snprintf(why, size, "management %s answers %s: %s", m->url, grpc_status_name(end->status),
			end->text[0] ? end->text : "(no text)");
	else if (end->http_status && end->http_status != 200)
		snprintf(why, size, "a proxy before management %s answers with HTTP status %d: %s", m->url,
			end->http_status, end->text);
	else
		snprintf(why, size, "management %s cannot be reached: %s", m->url, end->text);
	make_printable(why);
}

/* The host */

static int pack_meta(struct management *m)
{
	uint8_t *meta;
	size_t len;
	int ret = sysinfo_pack(m->hostname, &m->flags, m->files, m->file_count, &meta, &len);

	if (ret < 0)
		return ret;
	free(m->meta);
	m->meta = meta;
	m->meta_len = len;
	m->meta_ns = loop_now(m->loop);
	return 0;
}

int management_refresh_meta(struct management *m)
{
	if (m->meta && loop_now(m->loop) - m->meta_ns < META_FRESH_NS)
		return 0;
	return pack_meta(m);
}

void management_note_meta(struct management *m, const uint8_t *meta, size_t len)
{
	crypto_generichash(m->meta_sum, sizeof(m->meta_sum), meta, len, NULL, 0);
}

bool management_is_meta_news(const struct management *m)
{
	uint8_t sum[sizeof(m->meta_sum)];

	crypto_generichash(sum, sizeof(sum), m->meta, m->meta_len, NULL, 0);
	return memcmp(sum, m->meta_sum, sizeof(sum)) != 0;
}

/* Calls */

int management_ask(struct management *m, const uint8_t *server_key, const struct grpc_call_options *options,
	const uint8_t *plain, size_t len, const struct grpc_call_events *events, void *ctx,
	struct grpc_call **ret_call)
{
	uint8_t *bytes;
	size_t bytes_len;
	int ret = envelope_pack_management(&m->private_key, server_key, plain, len, &bytes, &bytes_len);

	if (ret < 0)
		return ret;
	ret = grpc_call_start(m->channel, options, bytes, bytes_len, events, ctx, ret_call);
	envelope_free(bytes, bytes_len);
	return ret;
}

static void forget_answer(struct management *m)
{
	envelope_free(m->answer, m->answer_len);
	m->answer = NULL;
	m->answer_len = 0;
	m->is_garbled = false;
}

static void take_key(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;

	m->has_server_key = message_parse_server_key(bytes, len, m->server_key) == 0;
	m->is_garbled = !m->has_server_key;
}

static void take_login(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;

	forget_answer(m);
	m->is_garbled = envelope_unpack_management(&m->private_key, m->server_key, bytes, len, &m->answer,
		&m->answer_len) < 0;
}

static void call_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;
	enum management_outcome outcome = management_outcome_of(end);

	m->call = NULL;
	if (outcome == OUTCOME_OK && m->is_garbled)
		outcome = OUTCOME_GARBLED;
	settle(m, outcome, end);
}

/* A call that could not even be started ends like one that found nobody. */
static void could_not_start(struct management *m, int error)
{
	struct grpc_end end = { .status = GRPC_UNAVAILABLE };

	snprintf(end.text, sizeof(end.text), "the call cannot be started: %s", strerror(-error));
	settle(m, OUTCOME_UNREACHABLE, &end);
}

static void fetch_key(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_key, .done = call_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "GetServerKey",
		.timeout_ns = KEY_TIMEOUT_NS, .is_unary = true };
	int ret;

	m->step = STEP_KEY;
	m->has_server_key = false;
	forget_answer(m);
	ret = grpc_call_start(m->channel, &options, "", 0, &events, m, &m->call);
	if (ret < 0)
		could_not_start(m, ret);
}

static int start_login(struct management *m, const char *setup_key)
{
	static const struct grpc_call_events events = { .message = take_login, .done = call_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "Login",
		.timeout_ns = LOGIN_TIMEOUT_NS, .is_unary = true };
	struct message_login login = {
		.setup_key = setup_key, .ssh_public_key = m->ssh_public_key, .dns_labels = m->dns_labels,
		.dns_label_count = m->dns_label_count,
	};
	uint8_t *bytes;
	size_t len;
	int ret = management_refresh_meta(m);

	if (ret < 0)
		return ret;
	login.meta = m->meta;
	login.meta_len = m->meta_len;
	memcpy(login.public_key, m->public_key, KEY_LEN);
	ret = message_pack_login(&login, &bytes, &len);
	if (ret < 0)
		return ret;
	ret = management_ask(m, m->server_key, &options, bytes, len, &events, m, &m->call);
	envelope_free(bytes, len);
	return ret;
}

static void call_login(struct management *m)
{
	int ret;

	m->step = STEP_LOGIN;
	forget_answer(m);
	ret = start_login(m, NULL);
	if (ret < 0)
		could_not_start(m, ret);
}

static void say_bad_key(struct management *m, const char *why);

static void call_register(struct management *m)
{
	char key[MANAGEMENT_SETUP_KEY_LEN + 1], why[MANAGEMENT_WHY_LEN];
	int ret;

	m->step = STEP_REGISTER;
	forget_answer(m);
	if (management_parse_setup_key(m->setup_key, key, why, sizeof(why)) < 0) {
		say_bad_key(m, why);
		return;
	}
	ret = start_login(m, key);
	sodium_memzero(key, sizeof(key));
	if (ret < 0)
		could_not_start(m, ret);
}

/* Sync */

static void note_first_message(struct management *m)
{
	loop_timer_cancel(m->loop, &m->patience);
	m->has_synced = true;
	m->refused_syncs = 0;
	m->facts.was_refetched = false;
	backoff_reset(&m->sync_backoff);
	backoff_reset(&m->login_backoff);
	backoff_reset(&m->slow_backoff);
	set_state(m, MANAGEMENT_CONNECTED, m->short_streams >= SHORT_STREAMS ? TWIN_TEXT : "");
	job_start(m);
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
	if (first)
		note_first_message(m);
	m->events->sync(m->ctx, update, first, bytes, len);
}

/* Nothing may be taken from a stream that cannot be read any more: it is begun anew. */
static void break_stream(struct management *m, const char *why)
{
	struct grpc_end end = { .status = GRPC_DATA_LOSS };

	snprintf(end.text, sizeof(end.text), "%s", why);
	grpc_call_cancel(m->call);
	m->call = NULL;
	settle(m, OUTCOME_GARBLED, &end);
}

static void give_up(struct management *m)
{
	char why[MANAGEMENT_WHY_LEN];

	snprintf(why, sizeof(why), "%.400s (gave up after %d s)",
		m->why[0] ? m->why : "management does not answer", (int)(ONCE_TIMEOUT_NS / LOOP_SECOND));
	loop_timer_cancel(m->loop, &m->timer);
	grpc_call_cancel(m->call);
	m->call = NULL;
	give_verdict(m, -ETIMEDOUT, why);
}

static void lose_patience(void *ctx)
{
	struct management *m = ctx;

	if (m->once) {
		give_up(m);
	} else if (m->is_garbled) {
		break_stream(m, "the server sent what cannot be read");
	} else if (!m->has_synced) {
		break_stream(m, "no network map came within 30 s");
	} else {
		m->short_streams = 0;
		set_state(m, MANAGEMENT_CONNECTED, "");
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
		loop_timer_after(m->loop, &m->patience, 0);	/* not from within the call's own callback */
	}
}

static int start_sync(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_sync, .done = call_done };
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

static void call_sync(struct management *m)
{
	uint64_t wait = allowance_take(&m->syncs, loop_now(m->loop));
	int ret;

	if (wait) {
		wait_for(m, wait, STEP_SYNC);
		return;
	}
	m->step = STEP_SYNC;
	m->has_synced = m->saw_farewell = false;
	m->sync_opened_ns = loop_now(m->loop);
	forget_answer(m);
	ret = start_sync(m);
	if (ret < 0) {
		could_not_start(m, ret);
		return;
	}
	management_note_meta(m, m->meta, m->meta_len);
	loop_timer_after(m->loop, &m->patience, FIRST_MAP_TIMEOUT_NS);
}

/* Steps */

static void go_on(struct management *m)
{
	switch (m->goal) {
	case STEP_REGISTER:
		call_register(m);
		break;
	case STEP_SYNC:
		call_sync(m);
		break;
	default:
		call_login(m);
	}
}

/* @goal with the key at hand, or with a new one where the server may be another process by now. */
static void begin(struct management *m, enum management_step goal)
{
	m->goal = goal;
	if (m->has_server_key)
		go_on(m);
	else
		fetch_key(m);
}

static void run_timer(void *ctx)
{
	struct management *m = ctx;

	begin(m, m->goal);
}

static void drop_setup_key(struct management *m)
{
	if (m->setup_key)
		sodium_memzero(m->setup_key, strlen(m->setup_key));
	free(m->setup_key);
	m->setup_key = NULL;
	m->facts.has_setup_key = false;
}

/* No retry helps, or not soon. */
static void say(struct management *m, int error, const char *why)
{
	char copy[MANAGEMENT_WHY_LEN];

	snprintf(copy, sizeof(copy), "%s", why);
	set_state(m, MANAGEMENT_NEEDS_LOGIN, copy);
	wait_for(m, backoff_next(&m->slow_backoff), STEP_LOGIN);
	if (m->once) {
		loop_timer_cancel(m->loop, &m->timer);
		give_verdict(m, error, copy);
	}
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

static void say_bad_key(struct management *m, const char *why)
{
	say(m, -EKEYREJECTED, why);
}

static void say_needs_key(struct management *m)
{
	if (m->was_deleted)
		say(m, -EACCES, m->why);
	else
		sayf(m, -EACCES, "management %s does not know this peer (or its login has expired), and "
			"there is no setup key: give one (NB_SETUP_KEY, --setup-key-file)", m->url);
}

/* The same peer is not registered again behind the back of whoever deleted it. */
static void say_deleted(struct management *m)
{
	m->was_deleted = true;
	m->facts.was_known = false;
	drop_setup_key(m);
	sayf(m, -ENOENT, "this peer was deleted on management %s (or its login has expired); it does not "
		"come back by itself: restart with a valid setup key to join anew", m->url);
	if (m->events->deleted)
		m->events->deleted(m->ctx);
}

static void logged_in(struct management *m)
{
	struct netmap_update login;

	if (netmap_login_parse(m->answer, m->answer_len, &login) < 0) {
		struct grpc_end end = { .status = GRPC_DATA_LOSS,
			.text = "its answer to the login cannot be read" };

		forget_answer(m);
		settle(m, OUTCOME_GARBLED, &end);
		return;
	}
	forget_answer(m);
	drop_setup_key(m);
	m->facts.was_known = true;
	m->facts.was_blocked = m->facts.was_refetched = m->was_deleted = false;
	backoff_reset(&m->login_backoff);
	set_state(m, MANAGEMENT_LOGGED_IN, "");
	if (m->events->login)
		m->events->login(m->ctx, &login);
	netmap_update_done(&login);
	if (m->once) {
		m->goal = STEP_SYNC;
		/* unless the verdict was all that was wanted */
		loop_timer_after(m->loop, &m->timer, 0);
		give_verdict(m, 0, "");
		return;
	}
	begin(m, STEP_SYNC);
}

/* Whether a stream that ended well is one of many: then somebody pushes us off. */
static void note_end_of_stream(struct management *m, enum management_outcome outcome)
{
	uint64_t lived = loop_now(m->loop) - m->sync_opened_ns;

	if (outcome != OUTCOME_OK || lived >= SHORT_STREAM_NS || m->saw_farewell)
		m->short_streams = 0;
	else if (m->has_synced)
		m->short_streams++;
}

/*
 * On Sync only the server speaks, and a proxy that waits for an answer no longer than a minute ends it. nginx
 * may keep that to itself until it has something else to send on the connection: PINGs, which it answers
 * itself, make it speak. They are hop by hop, the server never sees them.
 */
static void note_cut(struct management *m, const struct grpc_end *end)
{
	uint64_t now = loop_now(m->loop);

	m->was_cut = end->was_reset && m->has_synced && now - m->heard_ns >= CUT_MIN_NS;
	if (!m->was_cut)
		return;
	grpc_channel_prove_each(m->channel, PROVE_BEHIND_PROXY_NS);
	if (!m->has_told_cut)
		log_info("management: a proxy in front ends the stream of maps when it is silent, this time "
			"for %.0f s (nginx: grpc_read_timeout); it is begun anew each time",
			(now - m->heard_ns) / 1e9);
	m->has_told_cut = true;
}

static void resync(struct management *m, enum management_outcome outcome, const char *why)
{
	/*
	 * A stream that ends without an error, or by a proxy's time limit, is begun anew without a word, but
	 * for the second in a row.
	 */
	if ((outcome != OUTCOME_OK && !m->was_cut) || !m->has_synced)
		set_state(m, MANAGEMENT_CONNECTING, why);
	wait_for(m, m->saw_farewell || m->was_cut ? 0 : backoff_next(&m->sync_backoff), STEP_SYNC);
}

static void relogin(struct management *m, const char *why)
{
	set_state(m, MANAGEMENT_CONNECTING, why);
	wait_for(m, m->refused_syncs++ ? backoff_next(&m->sync_backoff) : 0, STEP_LOGIN);
}

/* Where only the key could not be had for a Sync, no login is needed: outages are over sooner. */
static void retry(struct management *m, const char *why)
{
	bool is_sync = m->step == STEP_KEY && m->goal == STEP_SYNC;

	set_state(m, MANAGEMENT_CONNECTING, why);
	wait_for(m, backoff_next(is_sync ? &m->sync_backoff : &m->login_backoff),
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
		begin(m, STEP_REGISTER);
		break;
	case DO_REFETCH:
		m->facts.was_refetched = true;
		m->has_server_key = false;
		begin(m, m->step);
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
	case DO_SAY_BAD_KEY:
		sayf(m, -EKEYREJECTED, "the setup key is invalid, expired, revoked or used up (management %s "
			"does not say which): make a new one", m->url);
		break;
	case DO_SAY_BLOCKED:
		say(m, -EPERM, why);
		break;
	case DO_SAY_NOT_NETBIRD:
		sayf(m, -EPROTONOSUPPORT, "%s is no NetBird management server, or one too old to know this "
			"call: check the management URL", m->url);
		break;
	}
}

/* What is wrong, where nothing is wrong with the transport. */
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

/* A call ended: decides, and carries it out. */
static void settle(struct management *m, enum management_outcome outcome, const struct grpc_end *end)
{
	enum management_action action = management_decide(m->step, outcome, &m->facts);
	char why[MANAGEMENT_WHY_LEN];

	explain(m, outcome, end, why, sizeof(why));
	if (m->step == STEP_SYNC) {
		loop_timer_cancel(m->loop, &m->patience);
		note_end_of_stream(m, outcome);
		note_cut(m, end);
		job_stop(m);
		report_stop(m);
	}
	if (outcome != OUTCOME_OK && outcome != OUTCOME_REFUSED)
		m->has_server_key = false;
	if (m->step == STEP_REGISTER && outcome == OUTCOME_PRECONDITION)
		m->facts.was_blocked = true;
	/* A server that took the call and says nothing may never do so on this connection. */
	if (outcome == OUTCOME_UNREACHABLE && end->status == GRPC_DEADLINE_EXCEEDED)
		grpc_channel_reset(m->channel, end->text);
	act(m, action, outcome, why);
	if (action != DO_REFETCH && action != DO_GO_ON)
		m->facts.was_refetched = false;
}

/* From outside */

int management_parse_setup_key(const char *text, char ret_key[static MANAGEMENT_SETUP_KEY_LEN + 1], char *why,
	size_t size)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	char key[MANAGEMENT_SETUP_KEY_LEN + 1] = "";
	size_t len;
	bool ok;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	ok = len == MANAGEMENT_SETUP_KEY_LEN;
	for (size_t i = 0; ok && i < len; i++) {
		ok = form[i] == '-' ? text[i] == '-' : isxdigit((unsigned char)text[i]);
		key[i] = tolower((unsigned char)text[i]);
	}
	if (ok)
		memcpy(ret_key, key, sizeof(key));
	else
		snprintf(why, size, "the setup key has not the form that setup keys have: %s, each x a "
			"hexadecimal digit", form);
	sodium_memzero(key, sizeof(key));
	return ok ? 0 : -EINVAL;
}

static char *copy_text(const char *text, bool *ok)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*ok = false;
	return copy;
}

static void free_list(char **list, size_t count)
{
	for (size_t i = 0; list && i < count; i++)
		free(list[i]);
	free(list);
}

static char **copy_list(char *const *list, size_t count, bool *ok)
{
	char **copy = calloc(count + 1, sizeof(*copy));

	if (!copy)
		*ok = false;
	for (size_t i = 0; copy && i < count; i++)
		copy[i] = copy_text(list[i], ok);
	return copy;
}

static bool copy_config(struct management *m, const struct management_config *config)
{
	bool ok = true;

	m->url = copy_text(config->url, &ok);
	m->hostname = copy_text(config->hostname, &ok);
	m->ssh_public_key = copy_text(config->ssh_public_key, &ok);
	m->setup_key = config->setup_key && *config->setup_key ? copy_text(config->setup_key, &ok) : NULL;
	m->dns_labels = copy_list(config->dns_labels, config->dns_label_count, &ok);
	m->dns_label_count = m->dns_labels ? config->dns_label_count : 0;
	m->private_key = config->private_key;
	key_public(&m->private_key, m->public_key);
	m->flags = config->flags;
	m->once = config->once;
	m->facts.has_setup_key = m->setup_key;
	return ok;
}

static int open_channel(struct management *m)
{
	struct grpc_channel_options options = {};
	char host[256], why[MANAGEMENT_WHY_LEN];
	int ret = m->url ? grpc_parse_target(m->url, true, host, sizeof(host), &options.port, &options.tls,
		why, sizeof(why)) : -EINVAL;

	if (ret < 0)
		return ret;
	options.host = host;
	return grpc_channel_new(m->loop, &options, &m->channel);
}

static void init_waits(struct management *m)
{
	m->login_backoff = (struct backoff){ .first_ns = 800 * LOOP_MS, .most_ns = 15 * LOOP_SECOND,
		.tenths = 17 };
	m->sync_backoff = (struct backoff){ .first_ns = 800 * LOOP_MS, .most_ns = 10 * LOOP_SECOND,
		.tenths = 17 };
	m->slow_backoff = (struct backoff){ .first_ns = 60 * LOOP_SECOND, .most_ns = 1800 * LOOP_SECOND,
		.tenths = 17 };
	m->syncs = (struct allowance){ .most = SYNCS_AT_ONCE, .left = SYNCS_AT_ONCE, .each_ns = SYNC_EACH_NS,
		.since_ns = loop_now(m->loop) };
	loop_timer_init(&m->timer, run_timer, m);
	loop_timer_init(&m->patience, lose_patience, m);
	job_init(m);
	report_init(m);
}

int management_new(struct loop *loop, const struct management_config *config,
	const struct management_events *events, void *ctx, struct management **ret_management)
{
	struct management *m = calloc(1, sizeof(*m));
	int ret = 0;

	if (!m)
		return -ENOMEM;
	m->loop = loop;
	m->events = events;
	m->ctx = ctx;
	init_waits(m);
	if (!copy_config(m, config))
		ret = -ENOMEM;
	if (!ret)
		ret = open_channel(m);
	if (ret < 0)
		management_free(m);
	else
		*ret_management = m;
	return ret;
}

void management_start(struct management *m)
{
	set_state(m, MANAGEMENT_CONNECTING, "");
	if (m->once)
		loop_timer_after(m->loop, &m->patience, ONCE_TIMEOUT_NS);
	grpc_channel_connect(m->channel);
	begin(m, STEP_LOGIN);
	pack_meta(m);		/* while the connection is made; if it fails, the login says so */
}

void management_network_changed(struct management *m)
{
	if (m->is_over || m->call || m->state != MANAGEMENT_CONNECTING || !loop_timer_is_set(&m->timer))
		return;
	backoff_reset(&m->sync_backoff);
	backoff_reset(&m->login_backoff);
	loop_timer_after(m->loop, &m->timer, 0);
}

static void stop(struct management *m)
{
	loop_timer_cancel(m->loop, &m->timer);
	loop_timer_cancel(m->loop, &m->patience);
	grpc_call_cancel(m->call);
	m->call = NULL;
	job_stop(m);
	report_stop(m);
}

void management_end(struct management *m, const char *why)
{
	stop(m);
	m->is_over = true;
	drop_setup_key(m);
	set_state(m, MANAGEMENT_NEEDS_LOGIN, why);
}

void management_free(struct management *m)
{
	if (!m)
		return;
	stop(m);
	logout_stop(m);
	grpc_channel_free(m->channel);
	forget_answer(m);
	drop_setup_key(m);
	free_list(m->dns_labels, m->dns_label_count);
	free_list(m->files, m->file_count);
	free(m->meta);
	free(m->url);
	free(m->hostname);
	free(m->ssh_public_key);
	secret_key_wipe(&m->private_key);
	free(m);
}

static bool has_files(const struct management *m, char *const *files, size_t count)
{
	if (count != m->file_count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(files[i], m->files[i]) != 0)
			return false;
	return true;
}

void management_sync_meta(struct management *m, char *const *files, size_t count)
{
	bool ok = true;
	char **copy;

	if (has_files(m, files, count))
		return;
	copy = copy_list(files, count, &ok);
	if (!ok) {
		free_list(copy, count);
		return;
	}
	free_list(m->files, m->file_count);
	m->files = copy;
	m->file_count = count;
	free(m->meta);		/* has other files in it */
	m->meta = NULL;
	report_start(m);
}

void management_sync_facts(struct management *m)
{
	free(m->meta);		/* as it was */
	m->meta = NULL;
	report_start(m);
}

const char *management_url(const struct management *m)
{
	return m->url;
}
