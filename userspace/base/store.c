// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Small files that must be there whole or not at all.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/store.h"

#define TEMPORARY	".talon-"	/* after the file's name, followed by six random characters */
#define RANDOM_LEN	6

static int read_all(int fd, uint8_t *bytes, size_t room, size_t *ret_len)
{
	size_t len = 0;

	while (len < room) {
		ssize_t got = read(fd, bytes + len, room - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		len += got;
	}
	*ret_len = len;
	return 0;
}

static int read_open(int fd, size_t max, uint8_t **ret_bytes, size_t *ret_len)
{
	struct stat st;
	uint8_t *bytes;
	size_t len = 0;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	bytes = malloc(st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	ret = read_all(fd, bytes, st.st_size, &len);
	if (ret < 0) {
		store_free(bytes, st.st_size);
		return ret;
	}
	bytes[len] = 0;
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}

int store_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_len)
{
	/* a pipe, which is refused, must not be waited for */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret;

	if (fd < 0)
		return -errno;
	ret = read_open(fd, max, ret_bytes, ret_len);
	close(fd);
	return ret;
}

void store_free(uint8_t *bytes, size_t len)
{
	if (bytes)
		sodium_memzero(bytes, len);
	free(bytes);
}

/* Creates the directory of @path and its parents; @dir gets its name. */
static int make_directory(const char *path, char dir[PATH_MAX])
{
	char *slash;

	if (snprintf(dir, PATH_MAX, "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	slash = strrchr(dir, '/');
	if (!slash) {
		strcpy(dir, ".");
		return 0;
	}
	slash[slash == dir] = 0;
	for (char *at = dir + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		mkdir(dir, 0755);
		*at = '/';
	}
	return mkdir(dir, 0700) && errno != EEXIST ? -errno : 0;
}

int store_make_directory(const char *path)
{
	char dir[PATH_MAX];

	return make_directory(path, dir);
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t put = write(fd, bytes, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		bytes += put;
		len -= put;
	}
	return fsync(fd) ? -errno : 0;
}

static int replace(const char *path, int fd, const char *temporary, const void *bytes, size_t len,
	mode_t mode)
{
	int ret = write_all(fd, bytes, len);

	if (!ret && fchmod(fd, mode))
		ret = -errno;

	if (!ret && rename(temporary, path))
		ret = -errno;
	if (ret < 0)
		unlink(temporary);
	return ret;
}

static void flush_directory(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);	/* best effort: not every file system can */
	close(fd);
}

/* Into a directory that exists. @dir: to be flushed, or NULL. */
static int write_file(const char *path, const char *dir, const void *bytes, size_t len, mode_t mode)
{
	char temporary[PATH_MAX];
	int fd, ret;

	if (snprintf(temporary, sizeof(temporary), "%s" TEMPORARY "XXXXXX", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);	/* 0600 */
	if (fd < 0)
		return -errno;
	ret = replace(path, fd, temporary, bytes, len, mode);
	close(fd);
	if (!ret && dir)
		flush_directory(dir);
	return ret;
}

/* A link is not what we would have written, whatever it leads to. */
static bool is_written(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	uint8_t *there = NULL;
	size_t there_len = 0;
	struct stat st;
	bool is_same;

	if (fd < 0)
		return false;
	is_same = !fstat(fd, &st) && (st.st_mode & 07777) == 0600 && st.st_uid == geteuid() &&
		!read_open(fd, len, &there, &there_len) && there_len == len && !memcmp(there, bytes, len);
	close(fd);
	store_free(there, there_len);
	return is_same;
}

int store_write(const char *path, const void *bytes, size_t len)
{
	char dir[PATH_MAX];
	int ret = make_directory(path, dir);

	if (!ret && is_written(path, bytes, len))
		return 0;
	return ret < 0 ? ret : write_file(path, dir, bytes, len, 0600);
}

int store_publish(const char *path, const void *bytes, size_t len)
{
	return write_file(path, NULL, bytes, len, 0644);
}

static bool is_left_over(const char *name, const char *base)
{
	size_t len = strlen(base);

	return !strncmp(name, base, len) && !strncmp(name + len, TEMPORARY, strlen(TEMPORARY)) &&
		strlen(name + len) == strlen(TEMPORARY) + RANDOM_LEN;
}

void store_sweep(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char dir[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	if (snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(base - path) : 2,
		slash ? path : "./") >= (int)sizeof(dir))
		return;
	d = opendir(dir);
	if (!d)
		return;
	while ((entry = readdir(d))) {
		if (is_left_over(entry->d_name, base))
			unlinkat(dirfd(d), entry->d_name, 0);
	}
	closedir(d);
}
