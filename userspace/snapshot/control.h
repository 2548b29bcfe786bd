/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket: how a command reaches the daemon. A Unix stream socket that only its owner may open; a
 * request is one JSON object on one line, and so is its answer:
 *
 *	{"request":"snapshot"}			{"ok":true,"result":{...}}
 *	{"request":"select","ids":["lan"]}	{"ok":false,"error":"there is no network lan"}
 *
 * Requests: snapshot (probe: true asks the servers first whether they are there); version; log-level (level);
 * select and deselect (ids, append, all); up (setupKey, managementUrl, hostname, token); extend (token);
 * down; logout; reload (environment); config; waiting; standing-by. A client that is slow, silent or sends
 * too much is cut off; none can block the loop.
 *
 * The client of expose (port, protocol, ...) stays: after the first answer, which says where the service is
 * published, it is silent until it closes its end, which ends the service, or until the daemon sends a second
 * line, which says how the service ended.
 */
#ifndef TALON_CONTROL_H
#define TALON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "log/log.h"
#include "loop/loop.h"
#include "snapshot/snapshot.h"

#define CONTROL_REQUEST_MAX	32768U		/* bytes of a line */
#define CONTROL_TOKEN_MAX	24576U		/* characters of a token */
#define CONTROL_CLIENTS_MAX	8U		/* at the same time; others wait in the socket's queue */
#define CONTROL_IDS_MAX		1024U
#define CONTROL_ENV_MAX		256U		/* variables of a reload */
#define CONTROL_SAID_MAX	2048U		/* bytes of a reload's answer */
#define CONTROL_PATH_LEN	108U
#define CONTROL_DIR		"/run/talon"
#define CONTROL_STAYS_MAX	16U		/* clients that stay, besides */
#define CONTROL_GROUPS_MAX	64U		/* of one service */
#ifndef CONTROL_REQUEST_NS				/* tests define shorter times */
/* from connecting, or from the last answer, to a complete request */
#define CONTROL_REQUEST_NS	(5 * LOOP_SECOND)
#define CONTROL_ANSWER_NS	(10 * LOOP_SECOND)	/* for reading an answer */
#endif

#define CONTROL_TIMEOUT_MS	5000U
#define CONTROL_CHECK_MS	40U
#define CONTROL_PROBE_MS	8000U
#define CONTROL_UP_MS		60000U
#define CONTROL_DOWN_MS		20000U
#define CONTROL_LOGOUT_MS	15000U
#define CONTROL_EXTEND_MS	35000U
#define CONTROL_RELOAD_MS	15000U
#define CONTROL_EXPOSE_MS	30000U
#define CONTROL_UNEXPOSE_MS	25000U

/*
 * Answers a request: @ret 0, or a negative errno with one line in @why (may be NULL). To be called exactly
 * once, during the operation or later, even after control_free().
 */
typedef void (*control_done_fn)(void *arg, int ret, const char *why);

/* What `up` brings; NULL: not given. Valid only during the call. */
struct control_up {
	const char *setup_key;		/* a UUID in lower case */
	const char *management_url;	/* https://HOST:PORT */
	const char *hostname;
	const char *token;		/* of a person who signed in; to be used once */
};

/* A service to publish. Valid only during the call. */
struct control_expose {
	uint16_t port;
	uint16_t external_port;		/* 0: as @port */
	const char *protocol;
	const char *pin, *password, *domain, *name_prefix;	/* NULL: not given */
	char *const *groups;
	size_t group_count;
};

/* Where it is published. */
struct control_exposed {
	char name[256], url[512], domain[256];
	bool is_port_assigned;		/* the proxy chose another port than asked for */
};

/* A client that stays. */
struct control_stay;
struct json_t;
/* The answer to its request, once: all is well, and it stays. */
void control_stay_tell(struct control_stay *stay, const struct control_exposed *exposed);
/* The end, exactly once, even after control_free(): @ret 0, or a negative errno and why. */
void control_stay_end(struct control_stay *stay, int ret, const char *why);

/*
 * What the daemon can be asked; one without a mesh leaves out what only a mesh has. Operations without @done
 * answer at once: 0, or a negative errno with one line in @err (if that stays empty, strerror() stands in).
 * Arguments were checked: ids are 1-255 characters without control characters.
 */
struct control_ops {
	/*
	 * Of a process beside another controller: one line about that. It answers "waiting" with it if it
	 * waits for the other to let go, "standing-by" if it has let go itself, and refuses everything
	 * else with it; all others refuse those two. Returns whether it stands by. NULL: this process is
	 * the controller.
	 */
	bool (*waiting)(void *ctx, char *text, size_t size);
	/* The caller frees it by snapshot_done(). */
	int (*snapshot)(void *ctx, struct snapshot *ret_snapshot);
	/* @all: every network, and @count is 0. @append: in addition to those selected so far. */
	int (*select)(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
		size_t size);
	int (*deselect)(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
		size_t size);
	/* Connects; done when connected (at once if that is so already), or when that failed. */
	void (*up)(void *ctx, const struct control_up *up, control_done_fn done, void *arg);
	/*
	 * Drains; done when peers had time to find another way. Then the process ends, and the client removes
	 * the datapath.
	 */
	void (*down)(void *ctx, control_done_fn done, void *arg);
	/*
	 * Tells management that the person behind this peer signed in again. @token: valid during the call.
	 */
	void (*extend)(void *ctx, const char *token, control_done_fn done, void *arg);
	/* Asks management to delete this peer. */
	void (*logout)(void *ctx, control_done_fn done, void *arg);
	/*
	 * Reads the settings again. @env: NAME=value of TALON_*, NB_* and WT_*, NULL at the end, in place of
	 * the process's own; NULL: as before. @said gets lines about what changed.
	 */
	int (*reload)(void *ctx, char *const *env, char *said, size_t said_size, char *err, size_t size);
	/* Finds out whether management answers, within 5 s; done in any case, with 0. May be NULL. */
	void (*probe)(void *ctx, control_done_fn done, void *arg);
	/* Writes the settings in force as one JSON object without line breaks and secrets. */
	void (*config)(void *ctx, FILE *out);
	/* Publishes a service for as long as its client stays. */
	void (*expose)(void *ctx, const struct control_expose *expose, struct control_stay *stay);
	/* The client of @stay left; at most once, never after control_stay_end(). */
	void (*expose_left)(void *ctx, struct control_stay *stay);
	/*
	 * Of a hub, which has no other operation: any request. Writes its result as JSON to @out and returns
	 * 0, or
	 * returns a negative errno with one line in @err.
	 */
	int (*hub)(void *ctx, const struct json_t *request, FILE *out, char *err, size_t size);
};

struct control;

/*
 * Listens on @path, mode 0600. A socket that nobody listens on is replaced. Returns 0, -EADDRINUSE if another
 * process answers there, or another negative errno; on error @why gets one line.
 */
int control_new(struct control **ret_control, struct loop *loop, const char *path,
	const struct control_ops *ops, void *ctx, char *why, size_t size);
/*
 * Closes the socket and all clients, and removes the socket's name. May be called from within an operation.
 * Answers to clients that are gone are dropped, but done functions still have to be called: they free what
 * waits for them. NULL is allowed.
 */
void control_free(struct control *control);

/*
 * The commands' end (control_client.c), which blocks. All return 0, or a negative errno with one line in
 * @why: -ENOENT or -ECONNREFUSED if nobody listens, -ETIMEDOUT if no answer comes in time, -EREMOTEIO if the
 * daemon refuses (@why is its reason), -EBADMSG for a malformed answer.
 */
/*
 * Where a daemon without a mesh listens: in CONTROL_DIR, under a name of its own for each @pin_dir, since
 * several may run side by side.
 */
void control_path_of_pins(const char *pin_dir, char ret_path[static CONTROL_PATH_LEN]);
/* Returns 0 if somebody listens. */
int control_probe(const char *path, char *why, size_t size);
int control_ask_snapshot(const char *path, struct snapshot *ret_snapshot, char *why, size_t size);
/* For a check: the same, but an answer that takes longer than CONTROL_CHECK_MS is given up. */
int control_ask_briefly(const char *path, struct snapshot *ret_snapshot, char *why, size_t size);
/*
 * As briefly: whether the process there is beside another controller: with @stands_by, has let go, else waits
 * for it. Returns 0 then, and one line about it in @text.
 */
int control_ask_waiting(const char *path, bool stands_by, char *text, size_t size);
/* The same after a look at the servers, which may take 5 s. */
int control_ask_status(const char *path, struct snapshot *ret_snapshot, char *why, size_t size);
int control_ask_networks(const char *path, bool select, char *const *ids, size_t count, bool append, bool all,
	char *why, size_t size);
int control_ask_up(const char *path, const struct control_up *up, unsigned int timeout_ms, char *why,
	size_t size);
int control_ask_extend(const char *path, const char *token, char *why, size_t size);
int control_ask_down(const char *path, char *why, size_t size);
int control_ask_logout(const char *path, char *why, size_t size);
/*
 * @env as in struct control_ops. @ret_said gets the lines that the daemon answers, without the last newline.
 */
int control_ask_reload(const char *path, char *const *env, char *ret_said, size_t said_size, char *why,
	size_t size);
/* Writes the settings of the daemon to @out, as an indented JSON object. */
int control_ask_config(const char *path, FILE *out, char *why, size_t size);
/*
 * Publishes a service: @ret_fd is the connection that keeps it alive. -EINTR if a signal came, which the
 * caller keeps blocked; what was asked for is taken back then.
 */
int control_expose(const char *path, const struct control_expose *expose, struct control_exposed *ret_exposed,
	int *ret_fd, char *why, size_t size);
/*
 * Waits on such a connection for the daemon's last line. @timeout_ms 0: for ever, but -EINTR after a signal.
 * Returns 0 if the service was ended as asked, else a negative errno as above (-ECONNRESET: the daemon has
 * gone).
 */
int control_expose_wait(const char *path, int fd, unsigned int timeout_ms, char *why, size_t size);
int control_ask_log_level(const char *path, enum log_level level, char *why, size_t size);
/* Asks a hub. @ret_result: json_decref() it. */
int control_ask_hub(const char *path, const struct json_t *request, struct json_t **ret_result, char *why,
	size_t size);

#endif
