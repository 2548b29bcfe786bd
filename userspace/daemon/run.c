// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One process, one loop: start in order, run, stop in reverse.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/give_back.h"
#include "base/clock.h"
#include "daemon/daemon.h"
#include "daemon/internal.h"
#include "daemon/notify.h"
#include "daemon/reload.h"
#include "daemon/serving.h"
#include "daemon/signals.h"
#include "daemon/static.h"
#include "daemon/succession.h"
#include "datapath/seat.h"
#include "kube/kube.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "plane/run.h"

#define QUIET_NS	(3 * LOOP_SECOND)	/* after the start, before memory is given back */
#define ERR_LEN		512
#define STATE_SECONDS	5	/* between two looks at what status says: each asks about all peers */
#define END_NS		(50 * LOOP_MS)	/* for the mesh's last messages to leave */

/*
 * Loading takes the verifier a third of a second, in which connections can be made: a thread does that,
 * and nothing else.
 */
struct loading {
	pthread_t thread;
	bool is_running;
	int fd;				/* an eventfd that says it is over */
	struct loop_fd watch;
	int ret;
	char err[ERR_LEN];
};

struct daemon {
	struct config *config;
	int seat;
	struct loop *loop;			/* the plane's */
	struct plane *plane;
	struct mesh *mesh;
	struct kube *kube;
	struct serving serving;
	struct notify notify;
	struct reload reload;
	struct loading loading;
	struct signals signals;
	struct loop_timer second;
	unsigned int seconds;
	struct loop_timer memory;
	struct loop_timer end;
	bool is_ending;
	bool is_handed_over;			/* ... to another process, which waits for it */
	bool goes_down;				/* ... and the datapath is removed by who asked */
	int result;
};

/* The end. */

static void end_run(void *ctx)
{
	struct daemon *d = ctx;

	loop_stop(d->loop);
}

/*
 * What takes its time goes while the loop still carries relayed packets: those that come between the end of
 * this process's connection to the relay and the beginning of the next one's are lost.
 */
static void stop_parts(struct daemon *d)
{
	if (plane_is_serving(d->plane) && !d->is_handed_over)
		plane_mark_stopped(d->plane);
	serving_stop(&d->serving);
	kube_free(d->kube);
	d->kube = NULL;
	plane_end_helper(d->plane);
}

/* The mesh sends its farewells, then the loop ends; at once when asked twice. */
static void stop(void *ctx)
{
	struct daemon *d = ctx;
	bool is_quiet;

	if (d->is_ending) {
		loop_stop(d->loop);
		return;
	}
	d->is_ending = true;
	notify_stopping(&d->notify);
	plane_freeze(d->plane);
	is_quiet = !d->mesh || mesh_stop(d->mesh, false);
	stop_parts(d);
	loop_timer_after(d->loop, &d->end, is_quiet ? 0 : END_NS);
}

/*
 * As if killed: peers are not told, and packets flow until the other controller has taken over. Only a mesh
 * that has nothing to hand over yet closes its relays, which takes a moment.
 */
static void hand_over(struct daemon *d)
{
	bool is_quiet;

	log_info("hands over to another controller, which asks for it");
	d->is_ending = true;
	d->is_handed_over = true;
	plane_freeze(d->plane);
	is_quiet = !d->mesh || mesh_stop(d->mesh, true);
	stop_parts(d);
	loop_timer_after(d->loop, &d->end, is_quiet ? 0 : END_NS);
}

static void go_down(struct daemon *d)
{
	log_info("ends: talon down removes the datapath");
	d->goes_down = true;
	if (d->mesh)
		mesh_go_down(d->mesh);
	else
		stop(d);
}

/* What others ask for who cannot reach the control socket. */
static void heed(struct daemon *d)
{
	enum seat_request request = d->is_ending || d->goes_down ? SEAT_NOTHING : seat_asked(d->seat);

	if (request == SEAT_NOTHING || (request == SEAT_TAKE_OVER && !plane_is_ready(d->plane)))
		return;
	seat_heed(d->seat);
	if (request == SEAT_DOWN)
		go_down(d);
	else
		hand_over(d);
}

static void fail_run(struct daemon *d, int ret, const char *err)
{
	log_err("%s", err);
	d->result = ret;
	loop_stop(d->loop);
}

static void on_signal(void *ctx, bool is_hangup)
{
	struct daemon *d = ctx;

	if (is_hangup && d->is_ending)
		return;
	if (is_hangup)
		reload_on_signal(&d->reload);
	else
		stop(d);
}

static int open_all(struct daemon *d, char *err, size_t errlen)
{
	int ret = plane_open(d->plane, err, errlen);

	if (ret)
		return ret;
	ret = signals_open(&d->signals, d->loop, on_signal, d);
	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

static int run_loop(struct daemon *d, char *err, size_t errlen)
{
	int ret = loop_run(d->loop);

	if (ret)
		snprintf(err, errlen, "event loop: %s", strerror(-ret));
	return ret;
}

static void say_state(struct daemon *d)
{
	char line[NOTIFY_STATUS_LEN];

	if (d->mesh)
		mesh_say_state(d->mesh, line, sizeof(line));
	else
		static_say_state(d->plane, d->config, line, sizeof(line));
	notify_status(&d->notify, line);
}

static void give_back(void *ctx)
{
	memory_give_back();
}

/* The programs are attached: what a service manager waits for. Packets may still wait for a login. */
static void be_ready(struct daemon *d)
{
	char err[ERR_LEN] = "";

	notify_ready(&d->notify);
	if (kube_start(d->plane, d->config, &d->kube, err, sizeof(err)) && *err)
		log_warn("%s", err);
	say_state(d);
	reload_listen(&d->reload);
	/* what loading took: the verifier's objects, half of what the process holds */
	loop_timer_after(d->loop, &d->memory, QUIET_NS);
}

static void each_second(void *ctx)
{
	struct daemon *d = ctx;

	loop_timer_after(d->loop, &d->second, LOOP_SECOND);
	heed(d);
	if (!d->mesh)
		names_tick(d->plane, d->config, clock_boot_ns());
	if (!plane_is_ready(d->plane) || d->is_ending)
		return;
	notify_ready(&d->notify);
	if (d->notify.fd >= 0 && !(++d->seconds % STATE_SECONDS))
		say_state(d);
}

/* A static file. */

/*
 * With a static file everything is known in advance: each step follows the last, and any failure ends
 * the start.
 */
static int run_static(struct daemon *d, char *err, size_t errlen)
{
	int ret = plane_choose(d->plane, err, errlen);

	if (!ret)
		ret = plane_load(d->plane, err, errlen);
	if (!ret)
		ret = open_all(d, err, errlen);
	if (!ret)
		ret = plane_start(d->plane, err, errlen);
	/*
	 * What can be refused goes before the programs, which a failed start could not take
	 * off without a gap.
	 */
	if (!ret)
		ret = static_apply(d->plane, d->config, err, errlen);
	if (!ret)
		ret = plane_attach(d->plane, err, errlen);
	if (ret)
		return ret;
	loop_timer_after(d->loop, &d->second, LOOP_SECOND);
	be_ready(d);
	return run_loop(d, err, errlen);
}

/* A mesh. */

static void *load(void *arg)
{
	const uint64_t one = 1;
	struct daemon *d = arg;
	struct loading *l = &d->loading;

	l->ret = plane_load(d->plane, l->err, sizeof(l->err));
	if (write(l->fd, &one, sizeof(one)) < 0)
		abort();	/* the loop would never hear of it */
	return NULL;
}

static void finish_loading(struct daemon *d)
{
	struct loading *l = &d->loading;

	if (!l->is_running)
		return;
	loop_fd_remove(d->loop, &l->watch);
	pthread_join(l->thread, NULL);
	close(l->fd);
	l->is_running = false;
}

static void on_loaded(void *ctx, uint32_t events)
{
	struct daemon *d = ctx;
	char err[ERR_LEN] = "";
	int ret;

	finish_loading(d);
	ret = d->loading.ret;
	if (ret)
		snprintf(err, sizeof(err), "%s", d->loading.err);
	else
		ret = plane_start(d->plane, err, sizeof(err));
	if (!ret)
		ret = plane_attach(d->plane, err, sizeof(err));
	if (ret)
		fail_run(d, ret, err);
	else
		be_ready(d);
}

static int start_loading(struct daemon *d, char *err, size_t errlen)
{
	struct loading *l = &d->loading;
	int ret;

	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = l->fd < 0 ? -errno : loop_fd_add(d->loop, &l->watch, l->fd, EPOLLIN, on_loaded, d);
	if (!ret)
		ret = -pthread_create(&l->thread, NULL, load, d);
	l->is_running = !ret;
	if (ret && l->fd >= 0)
		close(l->fd);
	if (ret)
		snprintf(err, errlen, "cannot begin to load the programs: %s", strerror(-ret));
	return ret;
}

/* The mesh's connections are under way while the verifier works. */
static int run_mesh(struct daemon *d, char *err, size_t errlen)
{
	int ret = plane_choose(d->plane, err, errlen);

	if (!ret)
		ret = open_all(d, err, errlen);
	if (!ret)
		ret = mesh_start(d->plane, d->config, stop, d, &d->mesh, err, errlen);
	if (!ret)
		ret = start_loading(d, err, errlen);
	if (!ret) {
		d->reload.mesh = d->mesh;
		loop_timer_after(d->loop, &d->second, LOOP_SECOND);
		ret = run_loop(d, err, errlen);
	}
	finish_loading(d);
	if (ret)
		return ret;
	ret = d->mesh ? mesh_result(d->mesh) : 0;
	return d->result ? d->result : ret;	/* both were logged */
}

/* Keys are in this memory: no core dumps, no tracing by others of the same user. */
static void protect_memory(void)
{
	const struct rlimit none = {};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

/* Returns whether packets flow on without us. */
static bool let_go(struct daemon *d)
{
	/* in a mesh: a map was applied. One that was refused before leaves nothing */
	bool was_serving = plane_is_serving(d->plane), lingers;

	stop_parts(d);
	loop_timer_cancel(d->loop, &d->second);
	loop_timer_cancel(d->loop, &d->memory);
	loop_timer_cancel(d->loop, &d->end);
	reload_stop(&d->reload);
	notify_close(&d->notify);
	lingers = d->mesh && mesh_hand_over(d->mesh, d->is_handed_over);
	if (d->is_handed_over) {
		plane_let_go(d->plane);
		seat_leave(d->seat);
		if (lingers)
			loop_run(d->loop);
	} else if (was_serving) {
		log_info("stopped; the datapath goes on until keys expire. talon down removes it");
	}
	mesh_free(d->mesh);
	plane_free(d->plane);
	signals_close(&d->signals);
	return was_serving;
}

int daemon_run(struct config *config, int seat, const struct daemon_reload *reload)
{
	struct daemon d = { .config = config, .seat = seat, .signals.fd = -1, .plane = plane_new(config) };
	char err[ERR_LEN] = "";
	bool is_mine;
	int ret;

	if (!d.plane)
		return -ENOMEM;
	plane_use_seat(d.plane, seat);
	d.loop = plane_loop(d.plane);
	loop_timer_init(&d.second, each_second, &d);
	loop_timer_init(&d.memory, give_back, &d);
	loop_timer_init(&d.end, end_run, &d);
	notify_open(&d.notify, d.loop);
	d.reload = (struct reload){ .how = reload, .config = config, .plane = d.plane, .notify = &d.notify,
		.is_ending = &d.is_ending };
	protect_memory();
	ret = serving_start(&d.serving, d.plane, &d.mesh, config, err, sizeof(err));
	if (!ret)
		ret = config->mesh.enabled ? run_mesh(&d, err, sizeof(err)) : run_static(&d, err,
			sizeof(err));
	if (ret && *err)
		log_err("%s", err);
	/*
	 * Before anything was attached, closing the datapath removes all there was; what is attached only the
	 * way down can take off.
	 */
	is_mine = !plane_was_adopted(d.plane) && plane_has_attached(d.plane);
	d.goes_down |= d.mesh && mesh_goes_down(d.mesh);
	if (!let_go(&d) && ret && is_mine)
		down_undo(config->pin_dir, seat);
	if (d.goes_down)
		daemon_let_remove(seat);
	return !ret && d.is_handed_over ? DAEMON_HANDED_OVER : ret;
}
