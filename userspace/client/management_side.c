// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Calls of the management service apart from login and Sync: each fetches the server's key first.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/management_internal.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define SIDE_PATH_LEN	96

struct management_side {
	struct management *m;
	struct management_side *next;
	struct grpc_call *call;
	struct loop_deferred deferred;
	char path[SIDE_PATH_LEN];
	uint64_t timeout_ns;
	uint8_t *plain;			/* the request; wiped */
	size_t len;
	uint8_t server_key[KEY_LEN];
	bool has_key;
	bool is_final;			/* it is not sent again with a new key */
	uint8_t *answer;
	size_t answer_len;
	bool is_garbled;
	management_answer_fn fn;
	void *ctx;
};

static void unlink_side(struct management_side *side)
{
	struct management_side **at = &side->m->sides;

	while (*at != side)
		at = &(*at)->next;
	*at = side->next;
}

static void free_side(void *arg)
{
	struct management_side *side = arg;

	sodium_memzero(side->plain, side->len);
	free(side->plain);
	envelope_free(side->answer, side->answer_len);
	free(side);
}

void management_side_cancel(struct management_side *side)
{
	struct loop *loop;

	if (!side)
		return;
	loop = side->m->loop;
	grpc_call_cancel(side->call);
	unlink_side(side);
	loop_defer_free(loop, &side->deferred, free_side, side);
}

static void finish(struct management_side *side, const struct grpc_end *end)
{
	struct loop *loop = side->m->loop;

	unlink_side(side);
	side->fn(side->ctx, end, side->answer, side->answer_len);
	loop_defer_free(loop, &side->deferred, free_side, side);
}

static void finish_here(struct management_side *side, int status, const char *text)
{
	struct grpc_end end = { .status = status };

	snprintf(end.text, sizeof(end.text), "%s", text);
	finish(side, &end);
}

static void take_answer(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management_side *side = ctx;

	/* the answers of some methods have no envelope, and are empty */
	side->is_garbled = len && envelope_unpack_management(&side->m->private_key, side->server_key, bytes,
		len, &side->answer, &side->answer_len) < 0;
}

static int fetch_key(struct management_side *side);

/* A server that was restarted meanwhile has another key; what may be sent once only stays lost. */
static void send_again(struct management_side *side)
{
	int ret;

	side->is_final = true;
	side->has_key = false;
	ret = fetch_key(side);
	if (ret < 0)
		finish_here(side, GRPC_UNAVAILABLE, strerror(-ret));
}

static void answered(void *ctx, const struct grpc_end *end)
{
	struct management_side *side = ctx;

	side->call = NULL;
	if (management_outcome_of(end) == OUTCOME_STALE && !side->is_final)
		send_again(side);
	else if (end->status == GRPC_OK && side->is_garbled)
		finish_here(side, GRPC_DATA_LOSS, "its answer cannot be opened");
	else
		finish(side, end);
}

static void take_key(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management_side *side = ctx;

	side->has_key = message_parse_server_key(bytes, len, side->server_key) == 0;
}

static void key_done(void *ctx, const struct grpc_end *end)
{
	static const struct grpc_call_events events = { .message = take_answer, .done = answered };
	struct management_side *side = ctx;
	const struct grpc_call_options options = { .path = side->path, .timeout_ns = side->timeout_ns,
		.is_unary = true };
	int ret;

	side->call = NULL;
	if (end->status != GRPC_OK) {
		finish(side, end);
		return;
	}
	if (!side->has_key) {
		finish_here(side, GRPC_DATA_LOSS, "this is not a NetBird management server");
		return;
	}
	ret = management_ask(side->m, side->server_key, &options, side->plain, side->len, &events, side,
		&side->call);
	if (ret < 0)
		finish_here(side, GRPC_UNAVAILABLE, strerror(-ret));
}

static int fetch_key(struct management_side *side)
{
	static const struct grpc_call_events events = { .message = take_key, .done = key_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "GetServerKey",
		.timeout_ns = side->timeout_ns, .is_unary = true };

	return grpc_call_start(side->m->channel, &options, "", 0, &events, side, &side->call);
}

int management_side_open(struct management *m, const char *path, bool once, const void *plain, size_t len,
	uint64_t timeout_ns, management_answer_fn fn, void *ctx, struct management_side **ret_side)
{
	struct management_side *side = calloc(1, sizeof(*side));
	int ret;

	if (!side)
		return -ENOMEM;
	side->plain = malloc(len ? len : 1);
	ret = side->plain ? 0 : -ENOMEM;
	if (ret) {
		free(side);
		return ret;
	}
	memcpy(side->plain, plain, len);
	side->len = len;
	side->m = m;
	side->timeout_ns = timeout_ns;
	side->fn = fn;
	side->ctx = ctx;
	side->is_final = once;
	snprintf(side->path, sizeof(side->path), "%s", path);
	ret = fetch_key(side);
	if (ret < 0) {
		free_side(side);
		return ret;
	}
	side->next = m->sides;
	m->sides = side;
	*ret_side = side;
	return 0;
}

int management_side_start(struct management *m, const char *method, const void *plain, size_t len,
	uint64_t timeout_ns, management_answer_fn fn, void *ctx, struct management_side **ret_side)
{
	char path[SIDE_PATH_LEN];

	snprintf(path, sizeof(path), MANAGEMENT_SERVICE "%s", method);
	return management_side_open(m, path, true, plain, len, timeout_ns, fn, ctx, ret_side);
}

void management_side_stop(struct management *m)
{
	while (m->sides) {
		grpc_call_cancel(m->sides->call);
		m->sides->call = NULL;
		finish_here(m->sides, GRPC_CANCELLED, "management was left before it answered");
	}
}
