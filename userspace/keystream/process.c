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

#include <bpf/bpf.h>

#include "base/clock.h"
#include "keystream/process.h"
#include "log/log.h"
#include "talon/keystream_types.h"

#define BACKOFF_FIRST_NS	TALON_NSEC_PER_SEC
#define BACKOFF_MAX_NS		(60 * TALON_NSEC_PER_SEC)
/* without a heartbeat for this long, the helper is replaced */
#define STALLED_NS		(30 * TALON_NSEC_PER_SEC)
#define END_WAIT_MS		1000

/* The slots were the datapath's choice when it was made; without them there is nothing to do. */
static bool is_possible(const struct keystream_process *process)
{
	return datapath_get_sizes(process->dp)->keystream > 1;
}

static int spawn(struct keystream_process *process)
{
	char parent[16], *argv[] = { "talon", "keystream", "--pin-dir", (char *)process->pin_dir,
		"--parent", parent, process->memory ? NULL : "--wipe", NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	int ret;

	snprintf(parent, sizeof(parent), "%d", getpid());
	sigemptyset(&none);
	ret = posix_spawnattr_init(&attr);
	if (ret)
		return -ret;
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);	/* we block its signals */
	posix_spawnattr_setsigmask(&attr, &none);
	ret = posix_spawn(&process->pid, "/proc/self/exe", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret)
		return -ret;
	process->fd = syscall(SYS_pidfd_open, process->pid, 0);
	return 0;
}

static void on_end(void *ctx, uint32_t events)
{
	keystream_process_check(ctx, clock_boot_ns());
}

static void start_helper(struct keystream_process *process, uint64_t now)
{
	int ret = spawn(process);

	if (ret) {
		log_warn("keystream: the helper cannot be started: %s; packets are worked on inline",
			strerror(-ret));
		process->pid = 0;
		process->due_ns = now + BACKOFF_MAX_NS;
		return;
	}
	if (process->fd >= 0)
		loop_fd_add(process->loop, &process->watch, process->fd, EPOLLIN, on_end, process);
	process->started_ns = now;
}

/* A helper that was killed left its pid in the map, where people would take it for one that hangs. */
static void strike_out(const struct keystream_process *process)
{
	int map = datapath_map_fd(process->dp, DATAPATH_MAP_KEYSTREAM_STATE);
	struct talon_keystream_state state;
	const uint32_t key = 0;

	if (bpf_map_lookup_elem(map, &key, &state) || !state.pid)
		return;
	state.pid = 0;
	bpf_map_update_elem(map, &key, &state, BPF_ANY);
}

/* Gathers the helper if it has ended. Returns whether it has. */
static bool reap(struct keystream_process *process, uint64_t now)
{
	int status;

	if (waitpid(process->pid, &status, WNOHANG) != process->pid)
		return false;
	loop_fd_remove(process->loop, &process->watch);
	if (process->fd >= 0)
		close(process->fd);
	process->fd = -1;
	process->pid = 0;
	strike_out(process);
	if (WIFEXITED(status) && !WEXITSTATUS(status) && !process->memory) {
		process->due_ns = UINT64_MAX;
		return true;
	}
	if (now - process->started_ns > BACKOFF_MAX_NS)
		process->backoff_ns = 0;
	process->backoff_ns = process->backoff_ns ? 2 * process->backoff_ns : BACKOFF_FIRST_NS;
	if (process->backoff_ns > BACKOFF_MAX_NS)
		process->backoff_ns = BACKOFF_MAX_NS;
	process->due_ns = now + process->backoff_ns;
	log_warn("keystream: the helper ended (%s %d); packets are worked on inline until the next one runs",
		 WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status)
		 : WEXITSTATUS(status));
	return true;
}

static bool is_stalled(const struct keystream_process *process, uint64_t now)
{
	struct talon_keystream_state state;
	const uint32_t key = 0;

	if (now - process->started_ns < STALLED_NS)
		return false;
	if (bpf_map_lookup_elem(datapath_map_fd(process->dp, DATAPATH_MAP_KEYSTREAM_STATE), &key, &state))
		return false;
	return state.heartbeat_ns < now && now - state.heartbeat_ns > STALLED_NS;
}

void keystream_process_check(struct keystream_process *process, uint64_t now)
{
	if (!is_possible(process))
		return;
	if (process->pid && !reap(process, now) && is_stalled(process, now)) {
		log_warn("keystream: the helper (pid %d) has stopped; it is killed and started again",
			process->pid);
		kill(process->pid, SIGKILL);
		process->started_ns = now;	/* gives the killed helper time to exit */
	}
	if (!process->pid && now >= process->due_ns)
		start_helper(process, now);
}

void keystream_process_stop(struct keystream_process *process)
{
	int pid = process->pid;

	process->due_ns = UINT64_MAX;
	if (!pid)
		return;
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);	/* a stopped process handles no SIGTERM */
	for (int waited = 0; waitpid(pid, NULL, WNOHANG) != pid; waited++) {
		if (waited == END_WAIT_MS)
			kill(pid, SIGKILL);
		usleep(1000);
	}
	process->pid = 0;
	loop_fd_remove(process->loop, &process->watch);
	if (process->fd >= 0)
		close(process->fd);
	process->fd = -1;
}
