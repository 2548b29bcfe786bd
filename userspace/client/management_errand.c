// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What people ask of management, one thing at a time: providers, an extension, logout.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/management_internal.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define ERRAND_TIMEOUT_NS	(15 * LOOP_SECOND)

static void errand_done(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct management *m = ctx;
	struct errand done = m->errand;

	m->errand = (struct errand){};
	done.fn(done.ctx, end, answer, len);
}

int management_call(struct management *m, const char *path, bool once, const void *request, size_t len,
	management_answer_fn fn, void *ctx)
{
	struct management_side *side;
	int ret;

	if (m->errand.fn)
		return -EBUSY;
	m->errand = (struct errand){ .fn = fn, .ctx = ctx };
	ret = management_side_open(m, path, once, request, len, ERRAND_TIMEOUT_NS, errand_done, m, &side);
	if (ret < 0)
		m->errand = (struct errand){};
	return ret;
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
