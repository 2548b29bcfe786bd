// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Removes everything again, with only the pins to go by.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"
#include "datapath/seat.h"

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
 * The device pairs that carry our programs. Their alias is the path that the directory had for the
 * controller; here the same pins may have another one, as on the node what a pod has below
 * /sys/fs/bpf. In another pod that path may be another directory's: only these pairs are known to be ours.
 */
struct pairs {
	unsigned count;
	struct {
		char name[IFNAMSIZ], alias[NET_ALIAS_MAX];
	} list[16];
};

static const char *shorter_of(const struct net_link *link, const struct net_link *other)
{
	return strlen(link->name) > strlen(other->name) ? other->name : link->name;
}

/* One of a pair NAME and NAMEp, both with the same path as alias. */
static bool is_of_a_pair(const struct net_link *link, const struct net_link *other)
{
	const char *shorter = shorter_of(link, other);
	const char *longer = shorter == link->name ? other->name : link->name;
	size_t len = strlen(shorter);

	return !strcmp(link->kind, "veth") && !strcmp(other->kind, "veth") && link->alias[0] == '/' &&
		!strcmp(link->alias, other->alias) && !strncmp(longer, shorter, len) &&
		!strcmp(longer + len, "p");
}

static void note_pair(struct pairs *pairs, int ifindex)
{
	struct net_link end, other;
	const char *name;

	if (net_link_get_index(ifindex, &end) || !end.lower || net_link_get_index(end.lower, &other) ||
		!is_of_a_pair(&end, &other))
		return;
	name = shorter_of(&end, &other);
	for (unsigned i = 0; i < pairs->count; i++) {
		if (!strcmp(pairs->list[i].name, name))
			return;
	}
	if (pairs->count == sizeof(pairs->list) / sizeof(pairs->list[0]))
		return;
	snprintf(pairs->list[pairs->count].name, IFNAMSIZ, "%s", name);
	snprintf(pairs->list[pairs->count++].alias, NET_ALIAS_MAX, "%s", end.alias);
}

static void note_pairs(const char *root, unsigned version, void *user)
{
	char links[PATH_MAX];
	struct dirent *entry;
	enum hook_kind kind;
	int ifindex;
	DIR *dir;

	snprintf(links, sizeof(links), "%s/links", root);
	dir = opendir(links);
	while (dir && (entry = readdir(dir))) {
		if (pin_hook_parse(entry->d_name, &kind, &ifindex))
			note_pair(user, ifindex);
	}
	if (dir)
		closedir(dir);
}

int datapath_remove(const char *base, int seat, char *err, size_t errlen)
{
	struct sweep sweep = { .err = err, .errlen = errlen };
	struct pairs pairs = {};

	base = base ? base : DATAPATH_BASE_DEFAULT;
	err[0] = '\0';
	if (seat >= 0) {
		pin_roots(base, note_pairs, &pairs);
		pin_roots(base, sweep_root, &sweep);
	}
	note(&sweep, "tunnel device", net_tunnel_delete_all(base));
	for (unsigned i = 0; i < pairs.count; i++)
		note(&sweep, "tunnel device", net_tunnel_delete(pairs.list[i].name, pairs.list[i].alias));
	note(&sweep, "routes", net_route_flush(0));
	note(&sweep, "neighbour entries", net_neigh_release_all());
	if (seat >= 0 && !sweep.ret) {
		seat_sweep(seat);
		note(&sweep, base, rmdir(base) ? -errno : 0);
	}
	return sweep.ret;
}

int datapath_down(const char *base, char *err, size_t errlen)
{
	int seat = seat_open(base, false, err, errlen), ret;

	if (seat < 0 && seat != -ENOENT)
		return seat;
	ret = seat < 0 ? 0 : seat_take(seat);
	if (ret)
		seat_explain(seat, base ? base : DATAPATH_BASE_DEFAULT, ret, err, errlen);
	else
		ret = datapath_remove(base, seat < 0 ? -1 : seat, err, errlen);
	if (seat >= 0)
		close(seat);
	return ret;
}
