// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Logout: deletes this peer on the server. Works without Sync, with a server key of its own.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/management_internal.h"
#include "netbird/management_message.h"

#define LOGOUT_TIMEOUT_NS	(15 * LOOP_SECOND)

static void no_message(void *ctx, const uint8_t *bytes, size_t len)
{
}

static void end_logout(struct management *m, int error, const char *why)
{
	management_logout_fn fn = m->logout.fn;
	void *ctx = m->logout.ctx;

	m->logout = (struct logout_call){};
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
		end_logout(m, -EPROTONOSUPPORT, "this is not a NetBird management server");
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
	m->logout = (struct logout_call){ .fn = fn, .ctx = ctx };
	ret = start_logout(m);
	if (ret < 0)
		m->logout = (struct logout_call){};
	return ret;
}

void management_logout_stop(struct management *m)
{
	grpc_call_cancel(m->logout.call);
	m->logout.call = NULL;
	if (m->logout.fn)
		end_logout(m, -ECANCELED, "management was left before it answered");
}
