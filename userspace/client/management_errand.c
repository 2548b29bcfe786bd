// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Calls apart from login and Sync: GetServerKey of their own, then one method; one at a time. Logout is one.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/management_internal.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define ERRAND_TIMEOUT_NS	(15 * LOOP_SECOND)

static void forget(struct errand *errand)
{
	envelope_free(errand->request, errand->len);
	envelope_free(errand->answer, errand->answer_len);
	*errand = (struct errand){};
}

static void end_errand(struct management *m, const struct grpc_end *end)
{
	struct errand done = m->errand;

	m->errand = (struct errand){};
	done.fn(done.ctx, end, end->status == GRPC_OK ? done.answer : NULL, done.answer_len);
	forget(&done);
}

static void end_here(struct management *m, int status, const char *text)
{
	struct grpc_end end = { .status = status };

	snprintf(end.text, sizeof(end.text), "%s", text);
	end_errand(m, &end);
}

/* The answers of some methods have no envelope, and are empty. */
static void take_answer(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;
	struct errand *errand = &m->errand;

	envelope_free(errand->answer, errand->answer_len);
	errand->answer = NULL;
	if (len)
		envelope_unpack_management(&m->private_key, errand->server_key, bytes, len, &errand->answer,
			&errand->answer_len);
}

static int fetch_key(struct management *m);

/* A server that was restarted meanwhile has another key; what may be sent once only stays lost. */
static void errand_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;
	int ret;

	m->errand.call = NULL;
	if (management_outcome_of(end) != OUTCOME_STALE || m->errand.is_final) {
		end_errand(m, end);
		return;
	}
	m->errand.is_final = true;
	m->errand.has_key = false;
	ret = fetch_key(m);
	if (ret)
		end_here(m, GRPC_UNAVAILABLE, strerror(-ret));
}

static void take_key(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;

	m->errand.has_key = message_parse_server_key(bytes, len, m->errand.server_key) == 0;
}

static void call_method(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_answer, .done = errand_done };
	struct errand *errand = &m->errand;
	const struct grpc_call_options options = { .path = errand->path, .timeout_ns = ERRAND_TIMEOUT_NS,
		.is_unary = true };
	int ret = management_ask(m, errand->server_key, &options, errand->request, errand->len, &events, m,
		&errand->call);

	if (ret < 0)
		end_here(m, GRPC_UNAVAILABLE, strerror(-ret));
}

static void key_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;

	m->errand.call = NULL;
	if (end->status != GRPC_OK)
		end_errand(m, end);
	else if (!m->errand.has_key)
		end_here(m, GRPC_UNIMPLEMENTED, "this is not a NetBird management server");
	else
		call_method(m);
}

static int fetch_key(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_key, .done = key_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "GetServerKey",
		.timeout_ns = ERRAND_TIMEOUT_NS, .is_unary = true };

	return grpc_call_start(m->channel, &options, "", 0, &events, m, &m->errand.call);
}

int management_call(struct management *m, const char *path, bool once, const void *request, size_t len,
	management_answer_fn fn, void *ctx)
{
	int ret;

	if (m->errand.fn)
		return -EBUSY;
	m->errand = (struct errand){ .path = path, .fn = fn, .ctx = ctx, .is_final = once, .len = len,
		.request = malloc(len + !len) };
	if (!m->errand.request)
		ret = -ENOMEM;
	else
		ret = fetch_key(m);
	if (ret < 0) {
		forget(&m->errand);
		return ret;
	}
	if (len)
		memcpy(m->errand.request, request, len);
	return 0;
}

int management_extend(struct management *m, const char *token, management_answer_fn fn, void *ctx)
{
	uint8_t *bytes;
	size_t len;
	int ret = management_refresh_meta(m);

	if (!ret)
		ret = message_pack_extend(token, m->meta, m->meta_len, &bytes, &len);
	if (ret < 0)
		return ret;
	ret = management_call(m, MANAGEMENT_SERVICE "ExtendAuthSession", true, bytes, len, fn, ctx);
	envelope_free(bytes, len);
	return ret;
}

void management_errand_stop(struct management *m)
{
	grpc_call_cancel(m->errand.call);
	m->errand.call = NULL;
	if (m->errand.fn)
		end_here(m, GRPC_CANCELLED, "management was left before it answered");
}

/* --- Logout --- */

static int logout_error(const struct grpc_end *end)
{
	if (end->status == GRPC_CANCELLED && !end->from_server)
		return -ECANCELED;
	switch (management_outcome_of(end)) {
	case OUTCOME_OK:
		return 0;
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

static void logged_out(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct management *m = ctx;
	int error = logout_error(end);
	char why[MANAGEMENT_WHY_LEN] = "";

	if (error == -ENOENT)
		snprintf(why, sizeof(why), "management %s does not know this peer: it is deleted already",
			m->url);
	else if (error)
		management_format_end(m, end, why, sizeof(why));
	else
		management_end(m, "logged out: this peer is deleted on the server");
	m->logout_fn(m->logout_ctx, error, why);
}

int management_logout(struct management *m, management_logout_fn fn, void *ctx)
{
	int ret = management_call(m, MANAGEMENT_SERVICE "Logout", false, "", 0, logged_out, m);

	if (ret < 0)
		return ret;
	m->logout_fn = fn;
	m->logout_ctx = ctx;
	return 0;
}
