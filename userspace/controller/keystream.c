// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The process that makes keystream ahead: started, started again, ended.
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/internal.h"
#include "log/log.h"
#include "talon/keystream_types.h"

#define BACKOFF_FIRST_NS	TALON_NSEC_PER_SEC
#define BACKOFF_MAX_NS		(60 * TALON_NSEC_PER_SEC)
#define STALLED_NS		(30 * TALON_NSEC_PER_SEC)	/* no heartbeat for so long: another one may do better */
#define END_WAIT_MS		1000

/* The slots were the datapath's choice when it was made; without them there is nothing to do. */
static bool is_possible(const struct controller *c)
{
	return datapath_get_sizes(c->dp)->keystream > 1;
}

static int spawn(struct controller *c)
{
	char parent[16], *argv[] = { "talon", "keystream", "--pin-dir", (char *)c->config->pin_dir, "--parent", parent,
				     c->config->keystream_memory ? NULL : "--wipe", NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	int ret;

	snprintf(parent, sizeof(parent), "%d", getpid());
	sigemptyset(&none);
	ret = posix_spawnattr_init(&attr);
	if (ret)
		return -ret;
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);	/* we block what it must hear */
	posix_spawnattr_setsigmask(&attr, &none);
	ret = posix_spawn(&c->helper.pid, "/proc/self/exe", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret)
		return -ret;
	c->helper.fd = syscall(SYS_pidfd_open, c->helper.pid, 0);
	return 0;
}

static void on_end(void *ctx, uint32_t events)
{
	keystream_check(ctx, clock_boot_ns());
}

static void start_helper(struct controller *c, uint64_t now)
{
	int ret = spawn(c);

	if (ret) {
		log_warn("keystream: the helper cannot be started: %s; packets are worked on inline", strerror(-ret));
		c->helper.pid = 0;
		c->helper.due_ns = now + BACKOFF_MAX_NS;
		return;
	}
	if (c->helper.fd >= 0)
		loop_fd_add(c->loop, &c->helper.watch, c->helper.fd, EPOLLIN, on_end, c);
	c->helper.started_ns = now;
}

/* Gathers the helper if it has ended. Returns whether it has. */
static bool reap(struct controller *c, uint64_t now)
{
	struct keystream_helper *helper = &c->helper;
	int status;

	if (waitpid(helper->pid, &status, WNOHANG) != helper->pid)
		return false;
	loop_fd_remove(c->loop, &helper->watch);
	if (helper->fd >= 0)
		close(helper->fd);
	helper->fd = -1;
	helper->pid = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status) && !c->config->keystream_memory) {
		helper->due_ns = UINT64_MAX;
		return true;
	}
	if (now - helper->started_ns > BACKOFF_MAX_NS)
		helper->backoff_ns = 0;
	helper->backoff_ns = helper->backoff_ns ? 2 * helper->backoff_ns : BACKOFF_FIRST_NS;
	if (helper->backoff_ns > BACKOFF_MAX_NS)
		helper->backoff_ns = BACKOFF_MAX_NS;
	helper->due_ns = now + helper->backoff_ns;
	log_warn("keystream: the helper ended (%s %d); packets are worked on inline until the next one runs",
		 WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return true;
}

static bool is_stalled(const struct controller *c, uint64_t now)
{
	struct talon_keystream_state state;

	if (now - c->helper.started_ns < STALLED_NS || map_read(c, DATAPATH_MAP_KEYSTREAM_STATE, 0, &state))
		return false;
	return state.heartbeat_ns < now && now - state.heartbeat_ns > STALLED_NS;
}

void keystream_check(struct controller *c, uint64_t now)
{
	if (!is_possible(c))
		return;
	if (c->helper.pid && !reap(c, now) && is_stalled(c, now)) {
		log_warn("keystream: the helper (pid %d) has stopped; it is ended, another one follows", c->helper.pid);
		kill(c->helper.pid, SIGKILL);
		c->helper.started_ns = now;	/* its end takes a moment */
	}
	if (!c->helper.pid && now >= c->helper.due_ns)
		start_helper(c, now);
}

void keystream_stop(struct controller *c)
{
	int pid = c->helper.pid;

	if (!pid)
		return;
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);	/* one that is stopped hears nothing else */
	for (int waited = 0; waitpid(pid, NULL, WNOHANG) != pid; waited++) {
		if (waited == END_WAIT_MS)
			kill(pid, SIGKILL);
		usleep(1000);
	}
	c->helper.pid = 0;
	loop_fd_remove(c->loop, &c->helper.watch);
	if (c->helper.fd >= 0)
		close(c->helper.fd);
	c->helper.fd = -1;
}
