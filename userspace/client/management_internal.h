/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of the management client. */
#ifndef TALON_MANAGEMENT_INTERNAL_H
#define TALON_MANAGEMENT_INTERNAL_H

#include "base/backoff.h"
#include "client/management.h"
#include "client/management_decide.h"
#include "loop/loop.h"

#define MANAGEMENT_WHY_LEN	512
#define MANAGEMENT_ONCE_NS	(30 * LOOP_SECOND)	/* for the verdict of config.once */

/* A token bucket: @most at once, then one each @each_ns. */
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
	bool is_given_up;		/* the server does not implement it */
	bool was_cut;			/* it ended, but maybe together with Sync */
	/* our side of the stream: open; ended at once; must stay open */
	enum { JOB_OPEN, JOB_HALF, JOB_ONLY_OPEN } side;
	bool has_told;			/* that it is cut in spite of that */
	uint8_t *answer;		/* not sealed yet; sent on the next stream */
	size_t answer_len;
};

struct meta_report {
	struct grpc_call *call;
	struct loop_timer timer;
	uint64_t sent_ns;		/* 0: never */
	bool is_wanted;
	unsigned int failures;
	uint8_t *meta;			/* being sent */
	size_t len;
};

struct management_health {		/* isHealthy */
	struct grpc_call *call;
	management_probed_fn fn;	/* NULL: nobody waits */
	void *ctx;
	uint64_t known_ns;		/* the last one ended; 0: none has */
	bool is_bad;			/* Sync is open, and the last one was not answered */
};

struct errand {				/* of management_call() */
	management_answer_fn fn;	/* NULL: none is under way */
	void *ctx;
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
	char *setup_key;		/* as given; wiped and NULL once it is no longer needed */
	char *token;			/* the same; it is sent once at most */

	/* The main sequence: server key, login or registration, Sync. */
	enum management_step goal;	/* what comes after the key, or after the wait */
	enum management_step step;	/* of @call */
	struct grpc_call *call;
	struct loop_timer timer;	/* the next attempt */
	struct loop_timer anew;		/* opens Sync again although nothing is wrong with it */
	/* the limit for the first message of Sync, of a stream to prove calm, of the verdict of `once` */
	struct loop_timer patience;
	uint8_t server_key[KEY_LEN];
	bool has_server_key;		/* of this connection */
	struct management_facts facts;
	struct backoff login_backoff, sync_backoff, slow_backoff;
	struct allowance syncs;
	uint8_t *answer;		/* of a unary call, opened */
	size_t answer_len;
	bool is_garbled;
	const char *garbled_why;	/* in a stream of maps */

	/* Of the Sync stream. */
	uint64_t sync_opened_ns;
	bool has_synced;		/* a message came */
	bool saw_farewell;
	bool was_cut;			/* by a proxy, while the connection stayed */
	bool has_told_cut;
	uint64_t heard_ns;		/* the last message */
	unsigned int refused_syncs;	/* in a row */
	unsigned int short_streams;	/* in a row */
	bool was_deleted;
	bool sent_token;		/* and nothing was heard of it yet */
	bool is_over;			/* failed for good, or logged out */

	/* The facts about this host. */
	uint8_t *meta;
	size_t meta_len;
	uint64_t meta_ns;
	uint8_t meta_sum[32];		/* hash of what the server has */
	char **files;
	size_t file_count;

	enum management_state state;
	bool has_state;
	char why[MANAGEMENT_WHY_LEN];

	struct job_stream job;
	struct meta_report report;
	struct management_health health;
	struct errand errand;
	management_logout_fn logout_fn;
	void *logout_ctx;
	struct management_side *sides;
};

/* management.c */

/* Copies of the texts of a list; *@ok becomes false without memory. */
char **management_copy_list(char *const *list, size_t count, bool *ok);
void management_free_list(char **list, size_t count);
/* Stops everything: this peer was deleted on the server because we asked for it. */
void management_end(struct management *m, const char *why);

/* management_call.c */

/* Seals @plain for the server and starts a call. Returns 0 or a negative errno. */
int management_ask(struct management *m, const uint8_t *server_key, const struct grpc_call_options *options,
	const uint8_t *plain, size_t len, const struct grpc_call_events *events, void *ctx,
	struct grpc_call **ret_call);
void management_forget_answer(struct management *m);
/* Each starts one call; its end comes to management_settle(). */
void management_fetch_key(struct management *m);
void management_call_login(struct management *m);
void management_call_register(struct management *m);
void management_call_token(struct management *m);
/* The end of any of these calls and of Sync. */
void management_call_done(void *ctx, const struct grpc_end *end);
/* A call that could not be started counts as one that did not reach the server. */
void management_could_not_start(struct management *m, int error);

/* management_sync.c */

void management_call_sync(struct management *m);
/* Whether Sync is open and brought a message. */
bool management_is_synced(const struct management *m);
void management_set_connected(struct management *m);
/* When a stream ended: counts short ones in a row, which mean that another client uses our key. */
void management_note_end_of_stream(struct management *m, enum management_outcome outcome);
/* Tells a stream that a proxy cut from one that the server ended. */
void management_note_cut(struct management *m, const struct grpc_end *end);
/* For the timer `anew`. */
void management_sync_anew(void *ctx);
/* For the timer `patience`. */
void management_lose_patience(void *ctx);

/* management_state.c */

/* Tells the owner, if state or @why changed. */
void management_set_state(struct management *m, enum management_state state, const char *why);
/* Tells the owner how the login of config.once ended. */
void management_give_verdict(struct management *m, int error, const char *why);
/* Starts @goal, after fetching the server's key if necessary. */
void management_begin(struct management *m, enum management_step goal);
/* Decides what follows the end of a call, and does it. */
void management_settle(struct management *m, enum management_outcome outcome, const struct grpc_end *end);
/* @goal after a while, with a new server key: the server may be another process then. */
void management_wait(struct management *m, uint64_t wait_ns, enum management_step goal);
void management_say_malformed_key(struct management *m, const char *why);
/* The setup key and the token are of no use any more. */
void management_drop_credentials(struct management *m);
/* For the timer of the next attempt. */
void management_run_timer(void *ctx);

/* management_job.c */

void management_job_init(struct management *m);
/* Sync is open, or ended. */
void management_job_start(struct management *m);
void management_job_stop(struct management *m);
void management_job_done(struct management *m);

/* management_report.c */

void management_report_init(struct management *m);
/* Reports what changed about this host, unless the next Sync does. */
void management_report_start(struct management *m);
void management_report_stop(struct management *m);
/* Collects the facts about this host. Returns 0 or a negative errno. */
int management_pack_meta(struct management *m);
/* The same, unless those at hand are fresh. */
int management_refresh_meta(struct management *m);
/* The server has @meta now. */
void management_note_meta(struct management *m, const uint8_t *meta, size_t len);
/* True if the facts at hand differ from what the server has. */
bool management_is_meta_news(const struct management *m);

/* management_health.c */

/* The server was heard. */
void management_note_alive(struct management *m);
/* Forgets what is known, and answers who waits. */
void management_health_stop(struct management *m);

/* management_side.c */

/* management_side_start() for the whole @path. @once: it is not sent again if the server has a new key. */
int management_side_open(struct management *m, const char *path, bool once, const void *plain, size_t len,
	uint64_t timeout_ns, management_answer_fn fn, void *ctx, struct management_side **ret_side);

/* Ends all of them with GRPC_CANCELLED. */
void management_side_stop(struct management *m);

#endif
