// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The lock on the state directory: one process for each identity.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/store.h"
#include "netbird/identity_internal.h"

#define LOCK_NAME	"talon.lock"

static int hold(int fd, const char *path, bool is_writable, char *why, size_t size)
{
	char pid[24] = "";

	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK) {
			identity_say(why, size, "%s: cannot be locked: %s", path, strerror(errno));
			return -errno;
		}
		if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
			pid[0] = 0;
		pid[strspn(pid, "0123456789")] = 0;
		identity_say(why, size, "%s: another process (%s) uses this identity", path,
			pid[0] ? pid : "unknown");
		return -EBUSY;
	}
	if (!is_writable)
		return 0;
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0) {
		identity_say(why, size, "%s: cannot be written: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

static bool is_read_only(int ret)
{
	return ret == -EROFS || ret == -EACCES || ret == -EPERM;
}

/*
 * A read-only directory can still be locked: by the file that an earlier run left, or the directory itself.
 * Two processes agree on which of them, for neither can create the file.
 */
static int open_lock(const char *state_dir, const char *path, bool *ret_writable)
{
	int fd, ret = store_make_directory(path);

	if (ret && !is_read_only(ret))
		return ret;
	*ret_writable = true;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 || !is_read_only(-errno))
		return fd < 0 ? -errno : fd;
	*ret_writable = false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int identity_lock(const char *state_dir, char *why, size_t size)
{
	char path[PATH_MAX];
	bool is_writable = false;
	int fd, ret;

	if (snprintf(path, sizeof(path), "%s/" LOCK_NAME, state_dir) >= (int)sizeof(path)) {
		identity_say(why, size, "%s: the path is too long", state_dir);
		return -ENAMETOOLONG;
	}
	fd = open_lock(state_dir, path, &is_writable);
	if (fd < 0) {
		identity_say(why, size, "%s: cannot be opened: %s", path, strerror(-fd));
		return fd;
	}
	ret = hold(fd, path, is_writable, why, size);
	if (ret < 0)
		close(fd);
	return ret < 0 ? ret : fd;
}
