/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket: how a command reaches the process that is in a mesh. A Unix stream socket that only its
 * owner may open; a request is one JSON object on one line, and so is its answer:
 *
 *	{"request":"snapshot"}			{"ok":true,"result":{...}}
 *	{"request":"select","ids":["lan"]}	{"ok":false,"error":"there is no network lan"}
 *
 * Requests: snapshot; version; log-level (level); select and deselect (ids, append, all); up (setupKey,
 * managementUrl, hostname); down; logout. A client that is slow, silent or says too much is cut off; none can
 * hold up the loop.
 */
#ifndef TALON_CONTROL_H
#define TALON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "log/log.h"
#include "loop/loop.h"
#include "snapshot/snapshot.h"

#define CONTROL_REQUEST_MAX	16384U		/* bytes of a line */
#define CONTROL_CLIENTS_MAX	8U		/* at the same time; others wait in the socket's queue */
#define CONTROL_IDS_MAX		1024U
#ifndef CONTROL_REQUEST_NS				/* a test has less time */
/* from connecting, or the last answer, to a whole request */
#define CONTROL_REQUEST_NS	(5 * LOOP_SECOND)
#define CONTROL_ANSWER_NS	(10 * LOOP_SECOND)	/* for reading an answer */
#endif

#define CONTROL_TIMEOUT_MS	5000U
#define CONTROL_UP_MS		60000U
#define CONTROL_DOWN_MS		20000U
#define CONTROL_LOGOUT_MS	15000U

/*
 * Ends what was begun: @ret 0, or a negative errno with one line in @why (may be NULL). To be called
 * once, now or later.
 */
typedef void (*control_done_fn)(void *arg, int ret, const char *why);

/* What `up` brings along; NULL: nothing. Only good during the call. */
struct control_up {
	const char *setup_key;		/* a UUID in lower case */
	const char *management_url;	/* https://HOST:PORT */
	const char *hostname;
};

/*
 * What the mesh can be asked. Those without @done answer at once: 0, or a negative errno with one line in
 * @err (where there is none, the errno's own). Nothing here is called with bytes that were not checked: ids
 * are 1-255 characters without controls.
 */
struct control_ops {
	/* Freed by the caller. */
	int (*snapshot)(void *ctx, struct snapshot *ret_snapshot);
	/* @all: every network, @count is 0 then. @append false: these and no others. */
	int (*select)(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
		size_t size);
	int (*deselect)(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
		size_t size);
	/* Connects if that is not so; done when it is connected, or cannot be. */
	void (*up)(void *ctx, const struct control_up *up, control_done_fn done, void *arg);
	/*
	 * Drains; done when peers know. The process ends afterwards, and whoever asked removes the datapath.
	 */
	void (*down)(void *ctx, control_done_fn done, void *arg);
	/* Has the server delete this peer. */
	void (*logout)(void *ctx, control_done_fn done, void *arg);
};

struct control;

/*
 * Listens on @path, mode 0600. A socket that nobody listens on is replaced. Returns 0, -EADDRINUSE if another
 * process answers there, or another negative errno; one line in @why.
 */
int control_new(struct control **ret_control, struct loop *loop, const char *path,
	const struct control_ops *ops, void *ctx, char *why, size_t size);
/*
 * Closes and removes the socket; not to be called by an operation. A done function that is called later does
 * nothing. NULL is allowed.
 */
void control_free(struct control *control);

/*
 * The other end: blocks. All return 0 or a negative errno with one line in @why: -ENOENT or -ECONNREFUSED
 * where nobody listens, -ETIMEDOUT without an answer in time, -EREMOTEIO for a no (@why is the daemon's),
 * -EBADMSG for an answer that makes no sense.
 */
/* Whether somebody listens. */
int control_probe(const char *path, char *why, size_t size);
int control_ask_snapshot(const char *path, struct snapshot *ret_snapshot, char *why, size_t size);
int control_ask_networks(const char *path, bool select, char *const *ids, size_t count, bool append, bool all,
	char *why, size_t size);
int control_ask_up(const char *path, const struct control_up *up, unsigned int timeout_ms, char *why,
	size_t size);
int control_ask_down(const char *path, char *why, size_t size);
int control_ask_logout(const char *path, char *why, size_t size);
int control_ask_log_level(const char *path, enum log_level level, char *why, size_t size);

#endif
