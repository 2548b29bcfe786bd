// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The directory on the bpffs: <base>/v<N>/{maps,progs,links}.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datapath/internal.h"

static const char *const hook_names[HOOK_COUNT] = {
	[HOOK_XDP] = "xdp",	  [HOOK_TCX] = "tcx",	  [HOOK_DISPATCH] = "dispatch",
	[HOOK_FILTER] = "filter", [HOOK_QDISC] = "qdisc",
};

int pin_tree_create(const char *root)
{
	static const char *const dirs[] = { "", "/maps", "/progs", "/links" };
	char path[PATH_MAX];

	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, dirs[i]);
		if (mkdir(path, 0700) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

int pin_tree_remove(const char *root)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(root);
	int ret = 0, step;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (is_dots(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", root, entry->d_name);
		step = entry->d_type == DT_DIR ? pin_tree_remove(path) : unlink(path) ? -errno : 0;
		if (!ret)
			ret = step;
	}
	closedir(dir);
	if (rmdir(root) && !ret)
		ret = -errno;
	return ret;
}

bool pin_dir_is_empty(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	bool empty = true;

	if (!dir)
		return true;
	while (empty && (entry = readdir(dir)))
		empty = is_dots(entry->d_name);
	closedir(dir);
	return empty;
}

void pin_roots(const char *base, pin_root_cb cb, void *user)
{
	char root[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(base);
	unsigned version;
	int end;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		end = 0;
		if (sscanf(entry->d_name, "v%u%n", &version, &end) != 1 || entry->d_name[end])
			continue;
		snprintf(root, sizeof(root), "%s/%s", base, entry->d_name);
		cb(root, version, user);
	}
	closedir(dir);
}

int pin_put(const char *root, const char *dir, const char *name, int fd)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/%s/%s", root, dir, name);
	snprintf(fresh, sizeof(fresh), "%s/%s/%s-new", root, dir, name);
	unlink(fresh);		/* of a process that died between the two steps */
	ret = bpf_obj_pin(fd, fresh);
	if (ret)
		return -errno;
	if (rename(fresh, path)) {
		ret = -errno;
		unlink(fresh);
	}
	return ret;
}

void pin_hook_name(enum hook_kind kind, int ifindex, char *name, size_t len)
{
	snprintf(name, len, "%s-%d", hook_names[kind], ifindex);
}

bool pin_hook_parse(const char *name, enum hook_kind *ret_kind, int *ret_ifindex)
{
	const char *dash = strchr(name, '-');
	int ifindex, end = 0;

	if (!dash || sscanf(dash + 1, "%d%n", &ifindex, &end) != 1 || dash[1 + end] || ifindex <= 0)
		return false;
	for (unsigned i = 0; i < HOOK_COUNT; i++) {
		if (strlen(hook_names[i]) != (size_t)(dash - name) ||
			strncmp(hook_names[i], name, dash - name))
			continue;
		*ret_kind = i;
		*ret_ifindex = ifindex;
		return true;
	}
	return false;
}

int pin_hook_get(const struct datapath *dp, enum hook_kind kind, int ifindex)
{
	char name[32], path[PATH_MAX];
	int fd;

	pin_hook_name(kind, ifindex, name, sizeof(name));
	snprintf(path, sizeof(path), "%s/links/%s", dp->root, name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

struct search {
	const struct datapath *dp;
	char name[32];
	bool moved;
};

static void bring_over(const char *root, unsigned version, void *user)
{
	struct search *search = user;
	char from[PATH_MAX], to[PATH_MAX];

	if (version == TALON_LAYOUT_VERSION || search->moved)
		return;
	snprintf(from, sizeof(from), "%s/links/%s", root, search->name);
	snprintf(to, sizeof(to), "%s/links/%s", search->dp->root, search->name);
	search->moved = !rename(from, to);
}

int pin_hook_take(const struct datapath *dp, enum hook_kind kind, int ifindex)
{
	struct search search = { .dp = dp };
	int fd = pin_hook_get(dp, kind, ifindex);

	if (fd != -ENOENT)
		return fd;
	pin_hook_name(kind, ifindex, search.name, sizeof(search.name));
	pin_roots(dp->base, bring_over, &search);
	return search.moved ? pin_hook_get(dp, kind, ifindex) : -ENOENT;
}

int pin_hook_put(const struct datapath *dp, enum hook_kind kind, int ifindex, int fd)
{
	char name[32];

	pin_hook_name(kind, ifindex, name, sizeof(name));
	return pin_put(dp->root, "links", name, fd);
}
