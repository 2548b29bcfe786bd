// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What an answer of management means, as a table.
#include "client/management_decide.h"

enum { ASK_FACTS = -1, REFETCH_ONCE = -2, BLOCK_SECOND = -3 };	/* cells that depend on facts */

static const int table[STEP_COUNT][OUTCOME_COUNT] = {
	[STEP_KEY] = {
		[OUTCOME_OK] = DO_GO_ON,
		[OUTCOME_REFUSED] = DO_RETRY,
		[OUTCOME_NOT_FOUND] = DO_RETRY,
		[OUTCOME_PRECONDITION] = DO_RETRY,
		[OUTCOME_STALE] = DO_RETRY,
		[OUTCOME_UNIMPLEMENTED] = DO_SAY_NOT_NETBIRD,
		[OUTCOME_FAILED] = DO_RETRY,
		[OUTCOME_UNREACHABLE] = DO_RETRY,
		[OUTCOME_GARBLED] = DO_SAY_NOT_NETBIRD,
	},
	[STEP_LOGIN] = {
		[OUTCOME_OK] = DO_SYNC,
		[OUTCOME_REFUSED] = ASK_FACTS,
		[OUTCOME_NOT_FOUND] = DO_RETRY,
		[OUTCOME_PRECONDITION] = DO_SAY_BLOCKED,
		[OUTCOME_STALE] = REFETCH_ONCE,
		[OUTCOME_UNIMPLEMENTED] = DO_SAY_NOT_NETBIRD,
		[OUTCOME_FAILED] = DO_RETRY,
		[OUTCOME_UNREACHABLE] = DO_RETRY,
		[OUTCOME_GARBLED] = REFETCH_ONCE,
	},
	[STEP_REGISTER] = {
		[OUTCOME_OK] = DO_SYNC,
		[OUTCOME_REFUSED] = DO_SAY_BLOCKED,
		[OUTCOME_NOT_FOUND] = DO_SAY_BAD_KEY,
		/* at first: perhaps we are registered already, and the answer was lost */
		[OUTCOME_PRECONDITION] = BLOCK_SECOND,
		[OUTCOME_STALE] = REFETCH_ONCE,
		[OUTCOME_UNIMPLEMENTED] = DO_SAY_NOT_NETBIRD,
		/* it may have registered us nonetheless: retries without the setup key first */
		[OUTCOME_FAILED] = DO_RETRY,
		[OUTCOME_UNREACHABLE] = DO_RETRY,
		[OUTCOME_GARBLED] = DO_RETRY,
	},
	[STEP_TOKEN] = {
		[OUTCOME_OK] = DO_SYNC,
		[OUTCOME_REFUSED] = DO_SAY_TOKEN_REFUSED,
		[OUTCOME_NOT_FOUND] = DO_SAY_TOKEN_REFUSED,
		[OUTCOME_PRECONDITION] = DO_SAY_TOKEN_REFUSED,
		[OUTCOME_STALE] = DO_SAY_TOKEN_REFUSED,
		[OUTCOME_UNIMPLEMENTED] = DO_SAY_NOT_NETBIRD,
		/* the token may be used up, and we may be logged in: without it first */
		[OUTCOME_FAILED] = DO_RETRY,
		[OUTCOME_UNREACHABLE] = DO_RETRY,
		[OUTCOME_GARBLED] = DO_RETRY,
	},
	[STEP_SYNC] = {
		[OUTCOME_OK] = DO_RESYNC,
		[OUTCOME_REFUSED] = DO_RELOGIN,
		[OUTCOME_NOT_FOUND] = DO_RELOGIN,
		[OUTCOME_PRECONDITION] = DO_RELOGIN,
		[OUTCOME_STALE] = REFETCH_ONCE,
		[OUTCOME_UNIMPLEMENTED] = DO_SAY_NOT_NETBIRD,
		[OUTCOME_FAILED] = DO_RESYNC,
		[OUTCOME_UNREACHABLE] = DO_RESYNC,
		[OUTCOME_GARBLED] = DO_RESYNC,
	},
};

/* What a second failure in a row means, after a new server key. */
static const enum management_action after_refetch[STEP_COUNT] = {
	[STEP_KEY] = DO_RETRY,
	[STEP_LOGIN] = DO_RETRY,
	/* it could read the message, so it rejects the setup key */
	[STEP_REGISTER] = DO_SAY_BAD_KEY,
	[STEP_SYNC] = DO_RESYNC,
};

enum management_outcome management_outcome_of(const struct grpc_end *end)
{
	if (end->status == GRPC_OK)
		return OUTCOME_OK;
	if (!end->from_server)
		return OUTCOME_UNREACHABLE;
	switch (end->status) {
	case GRPC_PERMISSION_DENIED:
	case GRPC_UNAUTHENTICATED:
		return OUTCOME_REFUSED;
	case GRPC_NOT_FOUND:
		return OUTCOME_NOT_FOUND;
	case GRPC_FAILED_PRECONDITION:
		return OUTCOME_PRECONDITION;
	case GRPC_INVALID_ARGUMENT:
		return OUTCOME_STALE;
	case GRPC_UNIMPLEMENTED:
		return OUTCOME_UNIMPLEMENTED;
	}
	return OUTCOME_FAILED;
}

/* The server does not know us. A peer that is deleted while it runs was deleted on purpose. */
static enum management_action refused(const struct management_facts *facts)
{
	if (facts->has_token)
		return DO_LOGIN_WITH_TOKEN;
	if (facts->is_expired)
		return DO_SAY_EXPIRED;
	if (facts->was_known)
		return DO_SAY_DELETED;
	return facts->has_setup_key ? DO_REGISTER : DO_SAY_NEEDS_KEY;
}

enum management_action management_decide(enum management_step step, enum management_outcome outcome,
	const struct management_facts *facts)
{
	int cell = table[step][outcome];

	switch (cell) {
	case ASK_FACTS:
		return refused(facts);
	case REFETCH_ONCE:
		return facts->was_refetched ? after_refetch[step] : DO_REFETCH;
	case BLOCK_SECOND:
		return facts->was_blocked ? DO_SAY_BLOCKED : DO_RETRY;
	}
	return cell;
}
