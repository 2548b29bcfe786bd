// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The name of the control socket: taken, or taken over from a daemon that is gone.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "snapshot/control.h"
#include "snapshot/control_internal.h"

static int fail(int ret, char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int fail(int ret, char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return ret;
}

/* Removes a socket at @path that nobody listens on. Returns 0 if the name is free. */
static int clear_name(const char *path, char *why, size_t size)
{
	struct stat st;
	int ret;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : fail(-errno, why, size, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, why, size,
			"%s: a file that is not a socket is in the way; remove it, or set another "
			"NB_DAEMON_ADDR", path);
	ret = control_probe(path, why, size);
	if (!ret)
		return fail(-EADDRINUSE, why, size, "%s: another daemon answers there; stop it first", path);
	if (ret != -ECONNREFUSED)
		return ret;
	if (unlink(path))
		return fail(-errno, why, size, "%s: cannot remove what another run left: %s", path,
			strerror(errno));
	return 0;
}

/* What to do about a directory that cannot be written, as in a container with a read-only root. */
static void advise(const char *path, char *text, size_t size)
{
	char dir[CONTROL_PATH_LEN];
	char *slash;

	text[0] = '\0';
	snprintf(dir, sizeof(dir), "%s", path);
	while ((slash = strrchr(dir, '/')) && slash != dir) {
		*slash = '\0';
		if (!access(dir, F_OK))
			break;
	}
	if (slash && slash != dir && access(dir, W_OK) && (errno == EROFS || errno == EACCES))
		snprintf(text, size, "; mount a writable directory on %s (in a pod, an emptyDir)", dir);
}

int control_listen(const char *path, struct stat *ret_stat, char *why, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char advice[CONTROL_PATH_LEN + 80];
	int fd, ret;

	ret = clear_name(path, why, size);
	if (ret)
		return ret;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(-errno, why, size, "control socket: %s", strerror(errno));
	/* bind() gives the name the descriptor's mode, so others cannot connect even for a moment. */
	if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
		listen(fd, CONTROL_CLIENTS_MAX) || lstat(path, ret_stat)) {
		ret = -errno;
		advise(path, advice, sizeof(advice));
		close(fd);
		return fail(ret, why, size, "%s: cannot listen: %s%s", path, strerror(-ret), advice);
	}
	return fd;
}
