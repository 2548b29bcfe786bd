/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the management client share. */
#ifndef TALON_MANAGEMENT_INTERNAL_H
#define TALON_MANAGEMENT_INTERNAL_H

#include "base/backoff.h"
#include "client/management.h"
#include "client/management_decide.h"
#include "loop/loop.h"

#define MANAGEMENT_WHY_LEN	512
#define MANAGEMENT_SERVICE	"/management.ManagementService/"

/* So many at once, and then one every so often. */
struct allowance {
	unsigned int most, left;
	uint64_t each_ns;
	uint64_t since_ns;		/* the last one was added then */
};

/* Takes one and returns 0, or returns how long to wait for the next. */
uint64_t allowance_take(struct allowance *allowance, uint64_t now_ns);

struct job_stream {
	struct grpc_call *call;
	struct loop_timer timer;
	struct backoff backoff;
	uint64_t opened_ns;
	bool is_given_up;		/* the server has no such thing */
	bool was_cut;			/* it ended by itself, as far as is known yet */
	/* our side of it stays open, is ended at once, or may not be ended */
	enum { JOB_OPEN, JOB_HALF, JOB_ONLY_OPEN } side;
	bool has_told;			/* of being cut in spite of that */
	uint8_t *answer;		/* sealed, for the next stream */
	size_t answer_len;
};

struct meta_report {
	struct grpc_call *call;
	struct loop_timer timer;
	uint64_t sent_ns;		/* 0: never */
	bool is_wanted;
	unsigned int failures;
	uint8_t *meta;			/* under way */
	size_t len;
};

struct logout {
	struct grpc_call *call;
	management_logout_fn fn;
	void *ctx;
	uint8_t server_key[KEY_LEN];
	bool has_key, was_refetched;
};

struct management {
	struct loop *loop;
	struct grpc_channel *channel;
	const struct management_events *events;
	void *ctx;

	char *url, *hostname, *ssh_public_key;
	char **dns_labels;
	size_t dns_label_count;
	struct secret_key private_key;
	uint8_t public_key[KEY_LEN];
	struct sysinfo_flags flags;
	bool once;
	char *setup_key;		/* as given; NULL once there is no more use for it */

	/* The one conversation: key, login or registration, Sync. */
	enum management_step goal;	/* what comes after the key, or after the wait */
	enum management_step step;	/* of @call */
	struct grpc_call *call;
	struct loop_timer timer;	/* the next attempt */
	/* with the first message of Sync, a stream that may be cut short again, the verdict of `once` */
	struct loop_timer patience;
	uint8_t server_key[KEY_LEN];
	bool has_server_key;		/* for this connection and no longer */
	struct management_facts facts;
	struct backoff login_backoff, sync_backoff, slow_backoff;
	struct allowance syncs;
	uint8_t *answer;		/* of a unary call, opened */
	size_t answer_len;
	bool is_garbled;

	/* Of the Sync stream. */
	uint64_t sync_opened_ns;
	bool has_synced;		/* it said something */
	bool saw_farewell;
	bool was_cut;			/* by something in between, while the connection stayed */
	bool has_told_cut;
	uint64_t heard_ns;		/* the last message */
	unsigned int refused_syncs;	/* in a row */
	unsigned int short_streams;	/* in a row */
	bool was_deleted;
	bool is_over;			/* verdict given, or logged out */

	/* What was last said about this host. */
	uint8_t *meta;
	size_t meta_len;
	uint64_t meta_ns;
	uint8_t meta_sum[32];		/* of what the server has */
	char **files;
	size_t file_count;

	enum management_state state;
	bool has_state;
	char why[MANAGEMENT_WHY_LEN];

	struct job_stream job;
	struct meta_report report;
	struct logout logout;
};

/* Seals @plain for the server and starts a call. 0 or a negative errno. */
int management_ask(struct management *m, const uint8_t *server_key, const struct grpc_call_options *options,
	const uint8_t *plain, size_t len, const struct grpc_call_events *events, void *ctx,
	struct grpc_call **ret_call);
/* One line about how a call ended. */
void management_format_end(const struct management *m, const struct grpc_end *end, char *why, size_t size);

void job_init(struct management *m);
/* Sync is there, or gone. */
void job_start(struct management *m);
void job_stop(struct management *m);

void report_init(struct management *m);
/* Says what changed about this host, if the Sync stream did not say it. */
void report_start(struct management *m);
void report_stop(struct management *m);

/* The host's facts as of now, if those at hand are old. */
int management_refresh_meta(struct management *m);
void management_note_meta(struct management *m, const uint8_t *meta, size_t len);
bool management_is_meta_news(const struct management *m);

void logout_stop(struct management *m);
/* The server has deleted us because we asked for it. */
void management_end(struct management *m, const char *why);

#endif
