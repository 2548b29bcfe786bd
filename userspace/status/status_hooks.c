// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where our programs are attached: what the pins claim, and whether the kernel agrees.
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "datapath/hook.h"
#include "status/status.h"

/* Whether a device that is gone was a side device: its program went with it and is not missed. */
static bool was_side(const struct status *status, int ifindex)
{
	for (size_t i = 0; i < status->device_count; i++) {
		if (status->devices[i].ifindex == (__u32)ifindex)
			return status_is_side(&status->devices[i]);
	}
	return false;
}

static void add_hook(struct status *status, const char *dir, const char *name)
{
	struct status_hook *hook = &status->hooks[status->hook_count];
	char path[PATH_MAX + 256], device[IF_NAMESIZE];
	enum hook_kind kind;
	int ifindex, fd;

	/* HOOK_QDISC only notes that the clsact qdisc is ours. */
	if (status->hook_count == STATUS_HOOKS_MAX || !pin_hook_parse(name, &kind, &ifindex) ||
		kind == HOOK_QDISC)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	*hook = (struct status_hook){ .ifindex = ifindex };
	snprintf(hook->kind, sizeof(hook->kind), "%.*s", (int)strcspn(name, "-"), name);
	if (if_indextoname(ifindex, device))
		memcpy(hook->device, device, sizeof(device));
	if (!hook->device[0] && was_side(status, ifindex)) {
		close(fd);
		return;
	}
	hook->attached = hook->device[0] && hook_is_attached(kind, ifindex, fd);
	status->hook_count++;
	close(fd);
}

static int by_place(const void *left, const void *right)
{
	const struct status_hook *a = left, *b = right;

	if (a->ifindex != b->ifindex)
		return a->ifindex < b->ifindex ? -1 : 1;
	return strcmp(a->kind, b->kind);
}

void status_read_hooks(struct status *status, const char *root)
{
	char links[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(links, sizeof(links), "%s/links", root);
	dir = opendir(links);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		add_hook(status, links, entry->d_name);
	closedir(dir);
	qsort(status->hooks, status->hook_count, sizeof(status->hooks[0]), by_place);
}
