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

#include "plane/internal.h"
#include "log/log.h"
#include "talon/keystream_types.h"

#define BACKOFF_FIRST_NS	TALON_NSEC_PER_SEC
#define BACKOFF_MAX_NS		(60 * TALON_NSEC_PER_SEC)
/* no heartbeat for so long: another one may do better */
#define STALLED_NS		(30 * TALON_NSEC_PER_SEC)
#define END_WAIT_MS		1000

/* The slots were the datapath's choice when it was made; without them there is nothing to do. */
static bool is_possible(const struct plane *p)
{
	return datapath_get_sizes(p->dp)->keystream > 1;
}

static int spawn(struct plane *p)
{
	char parent[16], *argv[] = { "talon", "keystream", "--pin-dir", (char *)p->config->pin_dir,
		"--parent", parent, p->config->keystream_memory ? NULL : "--wipe", NULL };
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
	ret = posix_spawn(&p->helper.pid, "/proc/self/exe", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret)
		return -ret;
	p->helper.fd = syscall(SYS_pidfd_open, p->helper.pid, 0);
	return 0;
}

static void on_end(void *ctx, uint32_t events)
{
	helper_check(ctx, clock_boot_ns());
}

static void start_helper(struct plane *p, uint64_t now)
{
	int ret = spawn(p);

	if (ret) {
		log_warn("keystream: the helper cannot be started: %s; packets are worked on inline",
			strerror(-ret));
		p->helper.pid = 0;
		p->helper.due_ns = now + BACKOFF_MAX_NS;
		return;
	}
	if (p->helper.fd >= 0)
		loop_fd_add(p->loop, &p->helper.watch, p->helper.fd, EPOLLIN, on_end, p);
	p->helper.started_ns = now;
}

/* Gathers the helper if it has ended. Returns whether it has. */
static bool reap(struct plane *p, uint64_t now)
{
	struct keystream_helper *helper = &p->helper;
	int status;

	if (waitpid(helper->pid, &status, WNOHANG) != helper->pid)
		return false;
	loop_fd_remove(p->loop, &helper->watch);
	if (helper->fd >= 0)
		close(helper->fd);
	helper->fd = -1;
	helper->pid = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status) && !p->config->keystream_memory) {
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
		 WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status)
		 : WEXITSTATUS(status));
	return true;
}

static bool is_stalled(const struct plane *p, uint64_t now)
{
	struct talon_keystream_state state;

	if (now - p->helper.started_ns < STALLED_NS || map_read(p, DATAPATH_MAP_KEYSTREAM_STATE, 0, &state))
		return false;
	return state.heartbeat_ns < now && now - state.heartbeat_ns > STALLED_NS;
}

void helper_check(struct plane *p, uint64_t now)
{
	if (!is_possible(p))
		return;
	if (p->helper.pid && !reap(p, now) && is_stalled(p, now)) {
		log_warn("keystream: the helper (pid %d) has stopped; it is ended, another one follows",
			p->helper.pid);
		kill(p->helper.pid, SIGKILL);
		p->helper.started_ns = now;	/* its end takes a moment */
	}
	if (!p->helper.pid && now >= p->helper.due_ns)
		start_helper(p, now);
}

void helper_stop(struct plane *p)
{
	int pid = p->helper.pid;

	if (!pid)
		return;
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);	/* one that is stopped hears nothing else */
	for (int waited = 0; waitpid(pid, NULL, WNOHANG) != pid; waited++) {
		if (waited == END_WAIT_MS)
			kill(pid, SIGKILL);
		usleep(1000);
	}
	p->helper.pid = 0;
	loop_fd_remove(p->loop, &p->helper.watch);
	if (p->helper.fd >= 0)
		close(p->helper.fd);
	p->helper.fd = -1;
}
