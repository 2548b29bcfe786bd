/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The client of the management server: login, registration, the Sync stream, SyncMeta, Job, Logout, and
 * when to try again (sections 1-3 of docs/protocols.md). Reports through struct management_events and
 * touches nothing else.
 */
#ifndef TALON_MANAGEMENT_H
#define TALON_MANAGEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/sysinfo.h"
#include "crypto/key.h"
#include "grpc/grpc.h"
#include "netbird/management_message.h"
#include "netmap/netmap.h"

#define MANAGEMENT_SERVICE	"/management.ManagementService/"

struct management;

enum management_state {
	MANAGEMENT_CONNECTING,		/* also while it waits for the next attempt */
	MANAGEMENT_LOGGED_IN,		/* login done, Sync not yet open */
	MANAGEMENT_CONNECTED,		/* Sync is open and brought a message */
	MANAGEMENT_NEEDS_LOGIN,		/* the server does not know us, and there is no (valid) setup key */
	MANAGEMENT_EXPIRED,		/* it does, but the login of the person behind us has ended */
};

static inline bool management_needs_login(enum management_state state)
{
	return state == MANAGEMENT_NEEDS_LOGIN || state == MANAGEMENT_EXPIRED;
}

struct management_config {
	const char *url;
	struct secret_key private_key;	/* copied, as everything here */
	/* NULL: none. Sent, and checked, only when the server has said that it does not know this peer. */
	const char *setup_key;
	/*
	 * Of a person who signed in; NULL: none. Sent once at most, under the same condition; it goes before
	 * the setup key.
	 */
	const char *token;
	const char *ssh_public_key;
	char *const *dns_labels;
	size_t dns_label_count;
	const char *hostname;		/* NULL: the host's */
	struct sysinfo_flags flags;
	bool once;			/* an explicit login: ends with the first verdict */
};

/* None of these may free the management it comes from. */
struct management_events {
	/* When one of the two changed. @why: one line for people; empty when all is well. */
	void (*state)(void *ctx, enum management_state state, const char *why);
	void (*login)(void *ctx, const struct netmap_update *login);
	/*
	 * A SyncResponse, parsed and as it came. @first: of this stream. A farewell (netmap.h) is not passed
	 * on: what follows it says whether this peer was deleted.
	 */
	void (*sync)(void *ctx, const struct netmap_update *update, bool first, const uint8_t *bytes,
		size_t len);
	/* The server has deleted this peer: a farewell map, then a refusal. An outage does not count. */
	void (*deleted)(void *ctx);
	/*
	 * For config.once: how the login ended. 0: Sync follows in the next turn of the loop, unless
	 * @management is freed before. Else a negative errno, with reason and remedy in one line, and
	 * nothing follows.
	 */
	void (*verdict)(void *ctx, int error, const char *why);
	/*
	 * Management asks for a debug bundle. 0: it is made, and management_answer_job() comes later, once.
	 * Else a negative errno with one line in @why, and the job is declined. NULL: all are declined.
	 */
	int (*job)(void *ctx, const struct message_job *job, char *why, size_t size);
};

int management_new(struct loop *loop, const struct management_config *config,
	const struct management_events *events, void *ctx, struct management **ret_management);
void management_start(struct management *management);
/* A logout under way ends with -ECANCELED. NULL is allowed. */
void management_free(struct management *management);

/*
 * How a call apart from login and Sync ended. @answer, opened, is valid during the call; NULL: there is none,
 * or it could not be opened.
 */
typedef void (*management_answer_fn)(void *ctx, const struct grpc_end *end, const uint8_t *answer,
	size_t len);
/*
 * Calls @path (MANAGEMENT_SERVICE and the method, a literal) with a server key of its own; works without
 * management_start(). @request is copied, and the copy wiped. @once: it may not be sent twice, even if the
 * server could not open it. If @m is freed before the end, it ends with GRPC_CANCELLED. Returns 0, -EBUSY
 * while another is under way, or another negative errno.
 */
int management_call(struct management *m, const char *path, bool once, const void *request, size_t len,
	management_answer_fn fn, void *ctx);
/* ExtendAuthSession: the person behind this peer signed in again. As management_call(). */
int management_extend(struct management *m, const char *token, management_answer_fn fn, void *ctx);
/* One line about an end that was not good. */
void management_format_end(const struct management *m, const struct grpc_end *end, char *why, size_t size);

/* @error: 0 or a negative errno with one line in @why. */
typedef void (*management_logout_fn)(void *ctx, int error, const char *why);
/* Deletes this peer on the server; works without Sync. Returns 0, -EBUSY or another negative errno. */
int management_logout(struct management *management, management_logout_fn fn, void *ctx);
/*
 * Asks whether management answers (isHealthy, 5 s), unless Sync is down anyway or it was asked within
 * the last 5 s. What it finds changes the state; @fn is called then, with nothing to say, and perhaps
 * before this returns.
 */
typedef void (*management_probed_fn)(void *ctx, int error, const char *why);
void management_probe(struct management *management, management_probed_fn fn, void *ctx);

/*
 * A unary call of the service beside login and Sync, such as CreateExpose, with a server key of its own.
 * @end says how it ended; the opened answer is valid during the call, NULL without one. Called exactly once,
 * never before management_side_start() returned, by management_free() at the latest, but not after
 * management_side_cancel().
 */
struct management_side;
/* @timeout_ns: for the key, and once more for the call. Returns 0 or a negative errno. */
int management_side_start(struct management *management, const char *method, const void *plain, size_t len,
	uint64_t timeout_ns, management_answer_fn fn, void *ctx, struct management_side **ret_side);
/* NULL is allowed. */
void management_side_cancel(struct management_side *side);
/* The posture checks name these @files now: reports which of them exist, if the list changed. */
void management_sync_meta(struct management *management, char *const *files, size_t count);
/* The host's network changed: ends a wait that follows a failure to reach the server. */
void management_network_changed(struct management *management);
/*
 * Whether the tunnel can carry IPv6 (struct sysinfo_flags). A change is said with a new Sync: after SyncMeta
 * the server sends maps to all others, but none to us, and ours gets or loses our address.
 */
void management_set_ipv6(struct management *management, bool carries_ipv6);
/* What this host lets the mesh do is another, from the next report on: management_sync_facts() sends one. */
void management_set_flags(struct management *management, const struct sysinfo_flags *flags);
/* Facts about this host may have changed: reports those that have. */
void management_sync_facts(struct management *management);
/* How that job ended: @text is the key under which the bundle is found, or the reason of its failure. */
void management_answer_job(struct management *management, const struct message_job *job, bool has_succeeded,
	const char *text);
const char *management_url(const struct management *management);

#endif
