// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The output of programs that may or may not be installed, within a time limit.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bundle/internal.h"

#define TOOL_LIMIT_MS	10000
#define TOOL_MOST	(8U << 20)

/* Its own process group, so that what it starts ends with it. Nothing of ours but the pipe is passed on. */
static int start(const char *const *argv, int out, pid_t *ret_pid)
{
	static char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin",
		"LC_ALL=C", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int ret;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	ret = posix_spawnp(ret_pid, argv[0], &actions, &attr, (char *const *)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

/* Until the end of the output. Returns 0 or -ETIMEDOUT. */
static int read_output(int fd, unsigned int limit_ms, size_t most, FILE *out)
{
	uint64_t deadline = clock_mono_ns() + limit_ms * 1000000ULL;
	char bytes[16384];

	for (;;) {
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_ns();
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&pollfd, 1, (deadline - now) / 1000000 + 1) <= 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if ((size_t)n > most)
			n = most;
		fwrite(bytes, 1, n, out);
		most -= n;
	}
}

int bundle_run_tool(const char *const *argv, unsigned int limit_ms, size_t most, FILE *out)
{
	int pipes[2], ret, status;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	ret = start(argv, pipes[1], &pid);
	close(pipes[1]);
	if (ret) {
		close(pipes[0]);
		return ret;
	}
	ret = read_output(pipes[0], limit_ms, most, out);
	close(pipes[0]);
	if (ret)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret)
		return ret;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

void bundle_add_tool(struct bundle *bundle, const char *name, const char *const *argv)
{
	char *text = NULL;
	size_t len = 0;
	FILE *collected = open_memstream(&text, &len), *out;
	int ret;

	if (!collected)
		return;
	ret = bundle_run_tool(argv, TOOL_LIMIT_MS, TOOL_MOST, collected);
	fclose(collected);
	out = ret == -ENOENT ? NULL : bundle_open(bundle, name);
	if (out) {
		fwrite(text, 1, len, out);
		if (ret)
			fprintf(out, "\n%s: %s %d\n", argv[0], ret < 0 ? strerror(-ret) : "exit status", ret);
		bundle_close(bundle);
	}
	free(text);
}
