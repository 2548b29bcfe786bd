// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// systemctl as a child process: its exit status and, where asked for, what it printed.
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/service.h"

#define ARGS_MAX 10

static int start(const char *const *args, int out, pid_t *ret_pid)
{
	char *argv[ARGS_MAX + 2] = { "systemctl" };
	posix_spawn_file_actions_t actions;
	int ret;

	for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
		argv[i + 1] = (char *)args[i];
	ret = posix_spawn_file_actions_init(&actions);
	if (ret)
		return -ret;
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	ret = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

/* To the end, whether it fits or not, so that the child is never held up. */
static void read_all(int fd, char *out, size_t size)
{
	char rest[256];
	size_t len = 0;
	ssize_t n;

	do {
		bool has_room = out && len + 1 < size;

		n = read(fd, has_room ? out + len : rest, has_room ? size - len - 1 : sizeof(rest));
		if (n > 0 && has_room)
			len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (out && size)
		out[len] = '\0';
}

int service_systemctl(const char *const *args, char *out, size_t size)
{
	int ends[2], ret, status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	ret = start(args, ends[1], &pid);
	close(ends[1]);
	if (!ret) {
		read_all(ends[0], out, size);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		ret = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	}
	close(ends[0]);
	return ret;
}
