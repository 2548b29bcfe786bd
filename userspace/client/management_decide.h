/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the end of each call means, as a table. It decides; management_state.c acts. */
#ifndef TALON_MANAGEMENT_DECIDE_H
#define TALON_MANAGEMENT_DECIDE_H

#include <stdbool.h>

#include "grpc/grpc.h"

/* Which call ended. */
enum management_step {
	STEP_KEY,			/* GetServerKey */
	STEP_LOGIN,			/* Login without a setup key */
	STEP_REGISTER,			/* Login with it */
	STEP_TOKEN,			/* Login with the token of a person who signed in */
	STEP_SYNC,
	STEP_COUNT,
};

/* How it ended. Only the server itself can refuse anything: a proxy's HTTP status is an outage. */
enum management_outcome {
	OUTCOME_OK,
	/* PermissionDenied: the server does not know us, or refuses us; it never says which */
	OUTCOME_REFUSED,
	OUTCOME_NOT_FOUND,
	OUTCOME_PRECONDITION,
	/* InvalidArgument: the server could not open the box, or not read its contents */
	OUTCOME_STALE,
	OUTCOME_UNIMPLEMENTED,
	OUTCOME_FAILED,			/* any other error of the server's */
	OUTCOME_UNREACHABLE,
	OUTCOME_GARBLED,		/* an answer that we cannot open or read */
	OUTCOME_COUNT,
};

enum management_action {
	DO_GO_ON,			/* with what the key was fetched for */
	DO_SYNC,
	DO_REGISTER,
	DO_LOGIN_WITH_TOKEN,
	DO_REFETCH,			/* the key, then the same call again, once */
	DO_RETRY,			/* from the login without a setup key, after a while */
	DO_RELOGIN,			/* the same at once */
	DO_RESYNC,			/* Sync again, after a while */
	DO_SAY_DELETED,
	DO_SAY_NEEDS_KEY,
	DO_SAY_EXPIRED,
	DO_SAY_TOKEN_REFUSED,		/* in the server's own words */
	DO_SAY_BAD_KEY,
	DO_SAY_BLOCKED,			/* in the server's own words; slow retry */
	DO_SAY_NOT_NETBIRD,
};

struct management_facts {
	bool has_setup_key;
	bool was_known;			/* logged in before, in this run */
	bool was_refetched;		/* the server's key, for this very call */
	bool was_blocked;		/* this very call ended with a failed precondition before */
	bool has_token;
	bool is_expired;		/* the refusal says that the login of the person has ended */
};

enum management_outcome management_outcome_of(const struct grpc_end *end);
enum management_action management_decide(enum management_step step, enum management_outcome outcome,
	const struct management_facts *facts);

#endif
