// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Removes everything again, with only the pins to go by.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "datapath/internal.h"

static void remove_link(int fd)
{
	/* another process may hold it open; the kernel may have detached it already */
	bpf_link_detach(fd);
}

static void remove_filter(int fd, int ifindex)
{
	uint32_t there;

	if (!clsact_filter_prog(ifindex, &there) && there == prog_id_of(fd))
		clsact_filter_remove(ifindex);
}

int hook_remove(const char *root, const char *name)
{
	char path[PATH_MAX];
	enum hook_kind kind;
	int fd, ifindex, ret = 0;

	snprintf(path, sizeof(path), "%s/links/%s", root, name);
	if (pin_hook_parse(name, &kind, &ifindex)) {
		fd = bpf_obj_get(path);
		if (fd < 0)
			return -errno;
		if (kind == HOOK_XDP || kind == HOOK_TCX)
			remove_link(fd);
		else if (kind == HOOK_FILTER)
			remove_filter(fd, ifindex);
		else if (kind == HOOK_QDISC)
			clsact_qdisc_remove_if_empty(ifindex);
		else
			ret = dispatcher_remove(ifindex, prog_id_of(fd));
		close(fd);
	}
	/* What cannot be detached keeps its pin, so that the next try finds it. */
	if (!ret && unlink(path))
		ret = -errno;
	return ret;
}

static int detach_kind(const char *root, enum hook_kind wanted)
{
	char links[PATH_MAX];
	struct dirent *entry;
	enum hook_kind kind;
	int ifindex, ret = 0, step;
	DIR *dir;

	snprintf(links, sizeof(links), "%s/links", root);
	dir = opendir(links);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (!pin_hook_parse(entry->d_name, &kind, &ifindex) || kind != wanted)
			continue;
		step = hook_remove(root, entry->d_name);
		if (!ret)
			ret = step;
	}
	closedir(dir);
	return ret;
}

int tree_detach(const char *root)
{
	int ret = 0, step;

	/* In the order of the enum: our filter goes before its qdisc is checked to be empty. */
	for (unsigned kind = 0; kind < HOOK_COUNT; kind++) {
		step = detach_kind(root, kind);
		if (!ret)
			ret = step;
	}
	return ret;
}

struct sweep {
	int ret;
	char *err;
	size_t errlen;
};

static void note(struct sweep *sweep, const char *what, int ret)
{
	if (ret >= 0 || sweep->ret)
		return;
	sweep->ret = ret;
	snprintf(sweep->err, sweep->errlen, "%s: %s", what, strerror(-ret));
}

static void sweep_root(const char *root, unsigned version, void *user)
{
	struct sweep *sweep = user;
	int ret = tree_detach(root);

	note(sweep, root, ret);
	if (!ret)
		note(sweep, root, pin_tree_remove(root));
}

/*
 * The process that holds the flock on @base, from /proc/locks: known even before that process has written
 * into any map. 0: none, or in another PID namespace.
 */
static uint32_t locker(const char *base)
{
	unsigned int pid, major_, minor_, found = 0;
	struct stat st;
	char line[256];
	unsigned long inode;
	FILE *f;

	if (stat(base, &st))
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

/* The same, or else what the map "info" says. 0: not known. */
static uint32_t holder(const char *base)
{
	struct talon_info info;
	uint32_t zero = 0, pid = locker(base);
	int fd = pid ? -1 : datapath_map_open(base, DATAPATH_MAP_INFO);

	if (fd < 0)
		return pid;
	if (!bpf_map_lookup_elem(fd, &zero, &info))
		pid = info.pid;
	close(fd);
	return pid;
}

uint32_t datapath_holder(const char *base)
{
	return locker(base ? base : DATAPATH_BASE_DEFAULT);
}

bool datapath_is_held(const char *base, uint32_t *ret_pid)
{
	int fd;
	bool held;

	if (!base)
		base = DATAPATH_BASE_DEFAULT;
	fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	*ret_pid = held ? holder(base) : 0;
	return held;
}

int datapath_down(const char *base, char *err, size_t errlen)
{
	struct sweep sweep = { .err = err, .errlen = errlen };
	int lock_fd;

	if (!base)
		base = DATAPATH_BASE_DEFAULT;
	lock_fd = pin_base_open(base, false, err, errlen);
	if (lock_fd == -EBUSY && holder(base))
		snprintf(err, errlen, "%s: process %u runs this datapath; stop it first", base, holder(base));
	if (lock_fd < 0 && lock_fd != -ENOENT)
		return lock_fd;
	err[0] = '\0';
	if (lock_fd >= 0)
		pin_roots(base, sweep_root, &sweep);
	note(&sweep, "tunnel device", net_tunnel_delete_all(base));
	note(&sweep, "routes", net_route_flush(0));
	note(&sweep, "neighbour entries", net_neigh_release_all());
	if (lock_fd >= 0) {
		if (!sweep.ret && rmdir(base))
			note(&sweep, base, -errno);
		close(lock_fd);
	}
	return sweep.ret;
}
