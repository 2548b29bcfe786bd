// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bytes into a log without ever waiting: pipes that nobody reads, full disks, a syslog that is restarted.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log/internal.h"

#ifndef SYSLOG			/* tests have one of their own */
#define SYSLOG "/dev/log"
#endif

uint64_t target_max_size;

static int dial_syslog(void)
{
	const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = SYSLOG };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/* A syslog daemon that was restarted has a new socket. */
static ssize_t put_syslog(struct target *t, const char *line, size_t len)
{
	/* a datagram needs no newline */
	ssize_t n = t->fd < 0 ? -1 : send(t->fd, line, len - 1, MSG_NOSIGNAL);

	if (n >= 0)
		return len;
	if (t->fd >= 0 && (errno == EAGAIN || errno == ENOBUFS))
		return -1;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = dial_syslog();
	return t->fd >= 0 && send(t->fd, line, len - 1, MSG_NOSIGNAL) >= 0 ? (ssize_t)len : -1;
}

static ssize_t put_bytes(struct target *t, const char *bytes, size_t len)
{
	struct pollfd room = { .fd = t->fd, .events = POLLOUT };

	if (t->kind == TARGET_SYSLOG)
		return put_syslog(t, bytes, len);
	if (t->way == WAY_SOCKET)
		return send(t->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* A pipe that says so takes PIPE_BUF bytes at once (pipe(7)). */
	if (t->way == WAY_ASK && (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT)))
		return -1;
	return write(t->fd, bytes, t->way == WAY_ASK && len > 4096 ? 4096 : len);
}

/* What is left of the line before comes first. */
static bool put_rest(struct target *t)
{
	ssize_t n = t->rest_len ? put_bytes(t, t->rest, t->rest_len) : 0;

	if (n > 0) {
		t->rest_len -= n;
		memmove(t->rest, t->rest + n, t->rest_len);
	}
	return !t->rest_len;
}

static int open_path(const char *path)
{
	/* O_NONBLOCK: a FIFO without a reader is refused, and one whose reader stands still costs lines */
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
}

/*
 * Whole lines only. Where it fails, the file grows on, and is looked at again when it has grown by as much.
 */
static void begin_anew(struct target *t)
{
	char old[4096];
	int fd;

	t->size = 1;
	if (snprintf(old, sizeof(old), "%s.old", t->path) >= (int)sizeof(old) || rename(t->path, old))
		return;
	fd = open_path(t->path);
	if (fd < 0)
		return;		/* lines go on into what is NAME.old now */
	close(t->fd);
	t->fd = fd;
}

bool target_put_line(struct target *t, const char *line, size_t len)
{
	ssize_t n = put_rest(t) ? put_bytes(t, line, len) : -1;

	if (n < 0)
		return false;
	t->rest_len = len - n;
	memcpy(t->rest, line + n, t->rest_len);
	if (t->size) {
		t->size += n;
		if (target_max_size && t->size > target_max_size && !t->rest_len)
			begin_anew(t);
	}
	return true;
}

void target_never_block(struct target *t)
{
	struct stat st;
	int fd;

	if (t->way != WAY_STDIO)
		return;
	fflush(stderr);
	if (fstat(STDERR_FILENO, &st) || S_ISREG(st.st_mode)) {
		t->way = WAY_PLAIN;
	} else if (S_ISSOCK(st.st_mode)) {
		t->way = WAY_SOCKET;
	} else {
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		t->way = fd < 0 ? WAY_ASK : WAY_OWN;
		t->fd = fd < 0 ? STDERR_FILENO : fd;
	}
}

/* The folders above @path; those that are there already stay as they are. */
static void make_folders(const char *path)
{
	char folder[4096];

	if (snprintf(folder, sizeof(folder), "%s", path) >= (int)sizeof(folder))
		return;
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(folder, 0750);	/* if it fails, so will open(), and says why */
		*slash = '/';
	}
}

static int open_file(struct target *t, char *why, size_t size)
{
	struct stat st;

	make_folders(t->path);
	t->fd = open_path(t->path);
	if (t->fd < 0 || fstat(t->fd, &st)) {
		int ret = -errno;

		snprintf(why, size, "cannot open the log %.200s: %s", t->path, strerror(-ret));
		return ret;
	}
	t->way = S_ISREG(st.st_mode) ? WAY_PLAIN : WAY_OWN;
	t->size = S_ISREG(st.st_mode) ? st.st_size + 1 : 0;
	/* A file at its size limit is one more full disk, and no reason to end. */
	signal(SIGXFSZ, SIG_IGN);
	return 0;
}

static int open_syslog(struct target *t, char *why, size_t size)
{
	t->fd = dial_syslog();
	t->way = WAY_SOCKET;
	if (t->fd < 0)
		snprintf(why, size, "cannot reach syslog at " SYSLOG ": %s", strerror(-t->fd));
	return t->fd < 0 ? t->fd : 0;
}

int target_open(const char *name, struct target **ret_target, char *why, size_t size)
{
	struct target *t = calloc(1, sizeof(*t));
	bool is_syslog = !strcmp(name, "syslog");
	int ret;

	if (!t || (!is_syslog && !(t->path = strdup(name)))) {
		free(t);
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	t->fd = -1;
	t->kind = is_syslog ? TARGET_SYSLOG : TARGET_FILE;
	t->name = is_syslog ? "syslog" : t->path;
	ret = is_syslog ? open_syslog(t, why, size) : open_file(t, why, size);
	if (ret)
		target_close(t);
	else
		*ret_target = t;
	return ret;
}

void target_close(struct target *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t->path);
	free(t);
}

void target_continue(struct target *fresh, struct target *old)
{
	if (fresh == old || fresh->kind != old->kind || strcmp(fresh->name, old->name))
		return;
	fresh->dropped = old->dropped;
	fresh->told = old->told;
	/* The end of a line that is out by half is not lost: it is the first thing in the new file. */
	if (fresh->kind == TARGET_FILE && !put_rest(old)) {
		fresh->rest_len = old->rest_len;
		memcpy(fresh->rest, old->rest, old->rest_len);
	}
}
