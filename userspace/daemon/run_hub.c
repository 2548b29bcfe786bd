// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The process of talon hub: signals, the service manager, and one loop with the hub on it.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <sodium.h>

#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "daemon/signals.h"
#include "log/log.h"

#define STATE_NS	(5 * LOOP_SECOND)
#define END_NS		(50 * LOOP_MS)	/* for the last words to leave; at once when asked twice */

struct process {
	struct loop *loop;
	struct hub *hub;
	struct notify notify;
	struct signals signals;
	struct loop_timer state, end;
	bool is_ending;
};

static void reload(struct process *p)
{
	char why[HUB_WHY_LEN] = "";

	notify_reload_begin(&p->notify);
	if (hub_reload(p->hub, why))
		log_err("%s; everything stays as it is", why);
	else
		log_info("the file was read again");
	notify_reload_end(&p->notify);
}

static void heed(void *ctx, bool is_hangup)
{
	struct process *p = ctx;

	if (is_hangup) {
		reload(p);
		return;
	}
	if (p->is_ending) {
		loop_stop(p->loop);
		return;
	}
	p->is_ending = true;
	notify_stopping(&p->notify);
	hub_drain(p->hub);
	loop_timer_after(p->loop, &p->end, END_NS);
}

static void end_run(void *ctx)
{
	struct process *p = ctx;

	loop_stop(p->loop);
}

static void say_state(void *ctx)
{
	struct process *p = ctx;
	char line[NOTIFY_STATUS_LEN];

	loop_timer_after(p->loop, &p->state, STATE_NS);
	hub_say_state(p->hub, line, sizeof(line));
	notify_status(&p->notify, line);
}

/* As many connections as the system lets one process have; no core dumps, since keys are in this memory. */
static void set_limits(void)
{
	const struct rlimit none = {};
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_CORE, &none);
	/* A file at its size limit is one more full disk, and no reason to end. */
	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
}

static void hand_over_key(struct process *p, void (*first_key)(void *ctx, const char *key), void *ctx)
{
	char *key = hub_take_first_key(p->hub);

	if (!key)
		return;
	if (first_key)
		first_key(ctx, key);
	sodium_memzero(key, strlen(key));
	free(key);
}

static int run(struct process *p, const struct hub_options *options,
	void (*first_key)(void *ctx, const char *key), void *ctx)
{
	char why[HUB_WHY_LEN] = "";
	int ret = hub_new(p->loop, options, &p->hub, why);

	if (!ret)
		ret = hub_listen(p->hub, why);
	if (ret) {
		log_err("%s", why);
		return ret;
	}
	ret = signals_open(&p->signals, p->loop, heed, p);
	if (ret) {
		log_err("event loop: %s", strerror(-ret));
		return ret;
	}
	hand_over_key(p, first_key, ctx);
	hub_say_start(p->hub);
	notify_ready(&p->notify);
	say_state(p);
	ret = loop_run(p->loop);
	if (ret)
		log_err("event loop: %s", strerror(-ret));
	else
		log_info("ends");
	return ret;
}

int daemon_run_hub(const struct hub_options *options, void (*first_key)(void *ctx, const char *key),
	void *ctx)
{
	struct process p = { .signals.fd = -1 };
	int ret;

	set_limits();
	ret = loop_new(&p.loop);
	if (ret) {
		log_err("event loop: %s", strerror(-ret));
		return ret;
	}
	loop_timer_init(&p.state, say_state, &p);
	loop_timer_init(&p.end, end_run, &p);
	notify_open(&p.notify, p.loop);
	ret = run(&p, options, first_key, ctx);
	notify_close(&p.notify);
	loop_timer_cancel(p.loop, &p.state);
	loop_timer_cancel(p.loop, &p.end);
	hub_free(p.hub);
	loop_free(p.loop);
	signals_close(&p.signals);
	return ret;
}
