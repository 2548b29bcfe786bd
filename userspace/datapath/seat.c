// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who holds the lock on the pins' directory, and what it is asked for.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "datapath/internal.h"
#include "datapath/seat.h"
#include "log/log.h"

#define BPFFS		"/sys/fs/bpf"
#define ASK		"ask"
#define HEARD		"heard"
/* Who only looks whether the lock is free holds it for microseconds. */
#define TAKE_TRIES	10
#define TAKE_PAUSE_US	2000

static const char *const requests[] = { [SEAT_DOWN] = "down", [SEAT_TAKE_OVER] = "take-over" };

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int ensure_bpffs(const char *parent, char *err, size_t errlen)
{
	if (is_bpffs(parent))
		return 0;
	if (!strcmp(parent, BPFFS) && !mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NOEXEC, "mode=0700")) {
		log_info("mounted a bpffs on " BPFFS);
		return 0;
	}
	snprintf(err, errlen, "%s is not on a bpffs: mount -t bpf bpf %s", parent, BPFFS);
	return -EINVAL;
}

static int make_base(const char *base, const char *parent, char *err, size_t errlen)
{
	int ret = ensure_bpffs(parent, err, errlen);

	if (ret || !mkdir(base, 0700) || errno == EEXIST)
		return ret;
	ret = -errno;
	snprintf(err, errlen, "cannot make %s: %s", base, strerror(-ret));
	return ret;
}

int seat_open(const char *base, bool create, char *err, size_t errlen)
{
	char parent[PATH_MAX];
	char *slash;
	int fd, ret;

	base = base ? base : DATAPATH_BASE_DEFAULT;
	snprintf(parent, sizeof(parent), "%s", base);
	slash = strrchr(parent, '/');
	if (base[0] != '/' || slash == parent || !slash[1]) {
		snprintf(err, errlen,
			 "pin directory \"%s\": must be an absolute path on a bpffs, like "
			 DATAPATH_BASE_DEFAULT, base);
		return -EINVAL;
	}
	*slash = '\0';
	ret = create ? make_base(base, parent, err, errlen) : 0;
	if (ret)
		return ret;
	fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fd <= STDERR_FILENO) {	/* those were closed: what is printed must not get here */
		const int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

		ret = errno;
		close(fd);
		errno = ret;
		fd = higher;
	}
	if (fd >= 0)
		return fd;
	ret = -errno;
	snprintf(err, errlen, "cannot open %s: %s", base, strerror(-ret));
	return ret;
}

bool seat_is_gone(int seat)
{
	struct stat st;

	return fstat(seat, &st) || !st.st_nlink;
}

int seat_take(int seat)
{
	for (int i = 0; flock(seat, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (i == TAKE_TRIES)
			return -EBUSY;
		usleep(TAKE_PAUSE_US);
	}
	if (!seat_is_gone(seat))
		return 0;
	flock(seat, LOCK_UN);
	return -ENOENT;
}

void seat_leave(int seat)
{
	flock(seat, LOCK_UN);
}

/* By a descriptor of its own: the lock belongs to the open file, and is ours already where @seat has it. */
bool seat_is_taken(int seat)
{
	int fd = openat(seat, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool taken;

	if (fd < 0)
		return false;
	taken = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return taken;
}

/* The kernel translates pids in this file for the reader, and leaves out locks of those it cannot see. */
uint32_t seat_holder(int seat)
{
	unsigned int pid, major_, minor_, found = 0;
	struct stat st;
	char line[256];
	unsigned long inode;
	FILE *f;

	if (fstat(seat, &st))
		return 0;
	f = fopen("/proc/locks", "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*u: FLOCK ADVISORY WRITE %u %x:%x:%lu", &pid, &major_, &minor_,
			&inode) == 4 && major_ == major(st.st_dev) && minor_ == minor(st.st_dev) &&
			inode == st.st_ino)
			found = pid;
	}
	if (f)
		fclose(f);
	return found;
}

void seat_explain(int seat, const char *base, int ret, char *err, size_t errlen)
{
	uint32_t pid = seat_holder(seat);

	if (ret != -EBUSY)
		snprintf(err, errlen, "%s: %s", base, strerror(-ret));
	else if (pid)
		snprintf(err, errlen, "%s: process %u runs this datapath; stop it first", base, pid);
	else
		snprintf(err, errlen, "%s: a process of another pid namespace runs this datapath; stop it "
			"first", base);
}

int seat_ask(int seat, enum seat_request request)
{
	char fresh[32];

	snprintf(fresh, sizeof(fresh), ASK "-%d", getpid());
	unlinkat(seat, fresh, 0);
	if (symlinkat(requests[request], seat, fresh))
		return -errno;
	if (!renameat(seat, fresh, seat, ASK))
		return 0;
	unlinkat(seat, fresh, 0);
	return -errno;
}

enum seat_request seat_asked(int seat)
{
	char text[16] = "";

	if (readlinkat(seat, ASK, text, sizeof(text) - 1) < 0)
		return SEAT_NOTHING;
	for (size_t i = SEAT_DOWN; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (!strcmp(text, requests[i]))
			return i;
	}
	return SEAT_NOTHING;
}

void seat_heed(int seat)
{
	renameat(seat, ASK, seat, HEARD);
}

bool seat_is_heard(int seat)
{
	return !faccessat(seat, HEARD, F_OK, AT_SYMLINK_NOFOLLOW);
}

void seat_sweep(int seat)
{
	unlinkat(seat, ASK, 0);
	unlinkat(seat, HEARD, 0);
}

bool datapath_is_held(const char *base, uint32_t *ret_pid)
{
	char err[64];
	int seat = seat_open(base, false, err, sizeof(err));
	bool held;

	*ret_pid = 0;
	if (seat < 0)
		return false;
	held = seat_is_taken(seat);
	if (held)
		*ret_pid = seat_holder(seat);
	close(seat);
	return held;
}
