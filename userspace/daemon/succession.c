// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The seat changes hands: waiting for it, standing by without it, and leaving it to a command that
// removes all.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/signals.h"
#include "daemon/succession.h"
#include "datapath/datapath.h"
#include "datapath/seat.h"
#include "log/log.h"
#include "loop/loop.h"
#include "preflight/preflight.h"
#include "snapshot/control.h"

#define LOOK_NS		(200 * LOOP_MS)
#define LOOK_SOON_NS	(2 * LOOP_MS)	/* the other is letting go */
#define CLAIM_NS	(5 * LOOP_SECOND)	/* who asked for the seat has this long to take it */
#define REMOVE_PAUSE_US	5000
#define REMOVE_BEGIN_MS	5000
#define REMOVE_MOST_MS	60000

/* A process that waits: with a loop of its own, as the plane's is not there. */
struct wait {
	const struct config *config;
	int seat;
	struct loop *loop;
	struct loop_timer timer;
	struct signals signals;
	struct control *control;	/* NULL: nobody can ask what is going on */
	bool is_said;			/* ... to the log and to probes */
	bool may_ask;			/* this host was found fit */
	uint64_t free_ns;		/* since when the seat is free; 0: it is not */
	int ret;
	char *why;			/* of size @size: why this host is not */
	size_t size;
};

static void end(struct wait *w, int ret)
{
	w->ret = ret;
	loop_stop(w->loop);
}

static void on_signal(void *ctx, bool is_hangup)
{
	if (is_hangup)
		log_info("SIGHUP: not now: another controller runs");
	else
		end(ctx, -EINTR);
}

static void name_holder(int seat, char *text, size_t size)
{
	uint32_t pid = seat_holder(seat);

	if (pid)
		snprintf(text, size, "pid %u", pid);
	else
		snprintf(text, size, "in another pid namespace");
}

static bool say_waiting(void *ctx, char *text, size_t size)
{
	const struct wait *w = ctx;
	char who[32];

	name_holder(w->seat, who, sizeof(who));
	snprintf(text, size, "waits for the controller that runs on %.80s (%s) to hand over",
		w->config->pin_dir, who);
	return false;
}

static bool say_standing_by(void *ctx, char *text, size_t size)
{
	const struct wait *w = ctx;
	char who[32];

	name_holder(w->seat, who, sizeof(who));
	snprintf(text, size, "stands by: another controller runs on %.80s (%s)", w->config->pin_dir, who);
	return true;
}

/* Probes of this container ask us, and must not take the other controller's state for ours. */
static void listen_for_probes(struct wait *w, const struct control_ops *ops)
{
	char path[CONTROL_PATH_LEN], why[CONFIG_WHY_LEN];

	control_path_of_pins(w->config->pin_dir, path);
	if (w->config->mesh.enabled) {
		if (!w->config->mesh.control_socket)
			return;
		snprintf(path, sizeof(path), "%s", w->config->mesh.control_socket);
	} else {
		mkdir(CONTROL_DIR, 0755);
	}
	if (control_new(&w->control, w->loop, path, ops, w, why, sizeof(why)))
		log_debug("%s", why);
}

static int run(struct wait *w, loop_timer_fn look)
{
	int ret = loop_new(&w->loop);

	if (ret)
		return ret;
	w->signals.fd = -1;
	loop_timer_init(&w->timer, look, w);
	loop_timer_after(w->loop, &w->timer, 0);
	ret = signals_open(&w->signals, w->loop, on_signal, w);
	if (!ret)
		ret = loop_run(w->loop);
	control_free(w->control);
	loop_free(w->loop);
	signals_close(&w->signals);
	return ret ? ret : w->ret;
}

/* --- who comes --- */

static void say_once(struct wait *w)
{
	static const struct control_ops ops = { .waiting = say_waiting };
	char text[CONFIG_WHY_LEN];

	if (w->is_said)
		return;
	w->is_said = true;
	say_waiting(w, text, sizeof(text));
	log_info("%s", text);
	listen_for_probes(w, &ops);
}

/* `talon down` removed the directory: another one takes its place. */
static int open_again(struct wait *w)
{
	char why[CONFIG_WHY_LEN];
	int seat = seat_open(w->config->pin_dir, true, why, sizeof(why));

	if (seat < 0) {
		log_err("%s", why);
		return seat;
	}
	close(w->seat);
	w->seat = seat;
	return -EBUSY;
}

static void look_for_seat(void *ctx)
{
	struct wait *w = ctx;
	int ret = seat_take(w->seat);

	if (ret == -ENOENT)
		ret = open_again(w);
	if (ret != -EBUSY) {
		end(w, ret);
		return;
	}
	say_once(w);
	/* after that, so that probes do not take the other's state for ours meanwhile */
	if (!w->may_ask && preflight_check(w->config, PREFLIGHT_BEFORE, w->why, w->size)) {
		end(w, -ECANCELED);
		return;
	}
	w->may_ask = true;
	if (!seat_is_heard(w->seat) && seat_asked(w->seat) == SEAT_NOTHING)
		seat_ask(w->seat, SEAT_TAKE_OVER);
	loop_timer_after(w->loop, &w->timer, seat_is_heard(w->seat) ? LOOK_SOON_NS : LOOK_NS);
}

int daemon_take_seat(const struct config *config, bool *ret_has_asked, char *why, size_t size)
{
	struct wait w = { .config = config, .why = why, .size = size };
	int ret;

	w.seat = seat_open(config->pin_dir, true, why, size);
	if (w.seat < 0)
		return w.seat;
	ret = config->take_over ? run(&w, look_for_seat) : seat_take(w.seat);
	*ret_has_asked = w.may_ask;
	if (!ret) {
		/* at once: until then the facts of an earlier controller are taken for this one's */
		datapath_announce(config->pin_dir, true);
		seat_sweep(w.seat);
		return w.seat;
	}
	if (ret != -ECANCELED)
		seat_explain(w.seat, config->pin_dir, ret, why, size);
	close(w.seat);
	return ret;
}

void daemon_leave_seat(const struct config *config, int seat)
{
	if (!seat_take(seat)) {
		datapath_announce(config->pin_dir, false);
		rmdir(config->pin_dir);	/* if a start failed that was the first */
	}
	close(seat);
}

/* --- who has let go --- */

/* Free, and nobody who asked for it is about to take it. */
static bool is_abandoned(struct wait *w)
{
	uint64_t now = loop_now(w->loop);

	if (seat_is_taken(w->seat)) {
		w->free_ns = 0;
		return false;
	}
	if (!w->free_ns)
		w->free_ns = now;
	return (!seat_is_heard(w->seat) && seat_asked(w->seat) == SEAT_NOTHING) ||
		now - w->free_ns > CLAIM_NS;
}

static void look_after_seat(void *ctx)
{
	static const struct control_ops ops = { .waiting = say_standing_by };
	struct wait *w = ctx;

	loop_timer_after(w->loop, &w->timer, LOOK_NS);
	if (!w->is_said)
		listen_for_probes(w, &ops);
	w->is_said = true;
	if (seat_is_gone(w->seat)) {
		log_info("the datapath was removed: this process ends");
		end(w, 0);
	} else if (is_abandoned(w) && !seat_take(w->seat)) {
		log_warn("the other controller is gone: takes over again");
		end(w, 1);
	}
}

int daemon_stand_by(const struct config *config, int seat)
{
	struct wait w = { .config = config, .seat = seat };
	int ret;

	log_info("stands by: takes over again if the other controller ends");
	seat_leave(seat);
	ret = run(&w, look_after_seat);
	if (ret == 1) {
		datapath_announce(config->pin_dir, true);
		seat_sweep(seat);
	}
	return ret == -EINTR ? 0 : ret;
}

void daemon_let_remove(int seat)
{
	unsigned int waited = 0;

	seat_leave(seat);
	while (!seat_is_taken(seat) && !seat_is_gone(seat) &&
		waited++ < REMOVE_BEGIN_MS * 1000 / REMOVE_PAUSE_US)
		usleep(REMOVE_PAUSE_US);
	while (seat_is_taken(seat) && waited++ < REMOVE_MOST_MS * 1000 / REMOVE_PAUSE_US)
		usleep(REMOVE_PAUSE_US);
}
