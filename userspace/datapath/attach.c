// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which hook each device gets, and how a new generation of programs replaces the old one without a gap.
#include <errno.h>
#include <stdio.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"
#include "log/log.h"

struct undo {
	enum hook_kind kind;
	int ifindex;
};

int hook_link_info(int link_fd, int *ret_ifindex, uint32_t *ret_prog_id)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &len))
		return -errno;
	*ret_ifindex = info.xdp.ifindex;	/* at the same offset as a tcx link's */
	*ret_prog_id = info.prog_id;
	return 0;
}

int hook_refresh_link(struct hook *hook, int link_fd, int prog_fd)
{
	uint32_t prog_id = 0;
	int ifindex = 0, old, ret;
	bool same;

	ret = hook_link_info(link_fd, &ifindex, &prog_id);
	if (ret || ifindex != hook->ifindex)
		return -ENOLINK;
	old = bpf_prog_get_fd_by_id(prog_id);
	same = old >= 0 && prog_is_same(prog_fd, old);
	if (old >= 0)
		close(old);
	if (same)
		return 0;
	ret = bpf_link_update(link_fd, prog_fd, NULL);
	if (ret)
		snprintf(hook->why, hook->why_len, "cannot replace the program on %s: %s", hook->device,
			strerror(-ret));
	return ret;
}

int hook_keep_link(struct hook *hook, enum hook_kind kind, int link_fd)
{
	int ret = pin_hook_put(hook->dp, kind, hook->ifindex, link_fd);

	if (ret)
		snprintf(hook->why, hook->why_len, "cannot pin the link on %s: %s", hook->device,
			strerror(-ret));
	hook->made = !ret;
	close(link_fd);		/* without a pin this detaches the program */
	return ret;
}

void hook_drop(struct datapath *dp, enum hook_kind kind, int ifindex)
{
	char name[32];
	int fd = pin_hook_take(dp, kind, ifindex);

	if (fd < 0)
		return;
	close(fd);
	pin_hook_name(kind, ifindex, name, sizeof(name));
	hook_remove(dp->root, name);
}

void hook_drop_others(struct datapath *dp, int ifindex, enum hook_kind kept)
{
	for (unsigned kind = 0; kind < HOOK_COUNT; kind++)
		if (kind != kept && !(kept == HOOK_FILTER && kind == HOOK_QDISC))
			hook_drop(dp, kind, ifindex);
}

static bool has_hook(const struct datapath *dp, enum hook_kind kind, int ifindex)
{
	int fd = pin_hook_take(dp, kind, ifindex);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * Native XDP: in libxdp's dispatcher where that is wanted, else in the slot itself. If the slot has a
 * dispatcher that we may not join, the slot is taken and native XDP is not possible.
 */
static int attach_native(struct hook *hook, enum hook_kind *ret_kind, char *note, size_t len)
{
	const struct datapath *dp = hook->dp;
	bool join = dp->dispatcher != DATAPATH_DISPATCHER_NEVER && !hook->alone &&
		dispatcher_is_there(hook->ifindex);
	bool bring = dp->dispatcher == DATAPATH_DISPATCHER_ALWAYS && !hook->alone &&
		!has_hook(dp, HOOK_XDP, hook->ifindex);
	const char *so = "";
	int ret;

	if (!join)
		hook_drop(hook->dp, HOOK_DISPATCH, hook->ifindex);
	if (join || bring) {
		ret = dispatcher_attach(hook);
		if (!ret) {
			*ret_kind = HOOK_DISPATCH;
			snprintf(note, len, "native XDP, priority %u in libxdp's dispatcher", dp->priority);
			return 0;
		}
		if (join)
			return ret;
		so = "; so ";
	}
	snprintf(note, len, "%s%snative XDP", *so ? hook->why : "", so);
	ret = xdp_attach(hook, false);
	if (!ret)
		*ret_kind = HOOK_XDP;
	return ret;
}

/* The uplink's program for tc, in one of the two tc hooks. */
static int attach_tc(struct hook *hook, enum hook_kind kind)
{
	hook->object = OBJECT_UPLINK_TC;
	return kind == HOOK_TCX ? tcx_attach(hook) : clsact_attach(hook);
}

/*
 * Not where Cilium is, whether it uses the slot now or not: an agent that is started with acceleration=native
 * needs it, and ends where it is taken, and then new pods get no network.
 */
static int attach_native_where_free(struct hook *hook, enum hook_kind *ret_kind, char *note, size_t len)
{
	const char *sign = hook->alone ? NULL : datapath_cilium_sign();

	if (!sign)
		return attach_native(hook, ret_kind, note, len);
	snprintf(hook->why, hook->why_len, "the XDP slot is left to Cilium (%s)", sign);
	return -EBUSY;
}

static int attach_native_or_less(struct hook *hook, enum datapath_mode *ret_mode, enum hook_kind *ret_kind,
	char *why, size_t len)
{
	char note[160] = "", below[100] = "";
	int ret;

	ret = attach_native_where_free(hook, ret_kind, note, sizeof(note));
	if (!ret) {
		*ret_mode = DATAPATH_XDP;
		snprintf(why, len, "%s", note);
		return 0;
	}
	snprintf(note, sizeof(note), "%s", hook->why);
	hook->why = below;
	hook->why_len = sizeof(below);
	ret = attach_tc(hook, HOOK_TCX);
	if (!ret) {
		*ret_mode = DATAPATH_TCX;
		*ret_kind = HOOK_TCX;
		snprintf(why, len, "tcx, first in the list; %s", note);
		return 0;
	}
	if (ret == -EOPNOTSUPP) {
		ret = attach_tc(hook, HOOK_FILTER);
		if (!ret) {
			*ret_mode = DATAPATH_CLSACT;
			*ret_kind = HOOK_FILTER;
			snprintf(why, len, "clsact, this kernel has no tcx; %s", note);
			return 0;
		}
	}
	snprintf(why, len, "%s; %s", note, below);
	return ret;
}

static int attach_one(struct hook *hook, enum datapath_mode mode, enum datapath_mode *ret_mode,
		      enum hook_kind *ret_kind, char *why, size_t len)
{
	char note[160] = "";
	int ret = -EINVAL;

	hook->why = why;
	hook->why_len = len;
	*ret_mode = mode;
	switch (mode) {
	case DATAPATH_AUTO:
		return attach_native_or_less(hook, ret_mode, ret_kind, why, len);
	case DATAPATH_XDP:
		ret = attach_native(hook, ret_kind, note, sizeof(note));
		if (!ret)
			snprintf(why, len, "%s, as configured", note);
		return ret;
	case DATAPATH_XDP_GENERIC:
		*ret_kind = HOOK_XDP;
		hook_drop(hook->dp, HOOK_DISPATCH, hook->ifindex);
		ret = xdp_attach(hook, true);
		break;
	case DATAPATH_TCX:
		*ret_kind = HOOK_TCX;
		ret = attach_tc(hook, HOOK_TCX);
		break;
	case DATAPATH_CLSACT:
		*ret_kind = HOOK_FILTER;
		ret = attach_tc(hook, HOOK_FILTER);
		if (!ret && tcx_is_supported()) {
			snprintf(why, len,
				 "clsact, as configured; this kernel has tcx, so a CNI may delete the "
				 "filter");
			return 0;
		}
		break;
	}
	if (!ret)
		snprintf(why, len, "%s, as configured", datapath_mode_name(mode));
	return ret;
}

/* What the device of @uplink is now; its index goes before its name, which may have changed. */
static int read_device(struct datapath_uplink *uplink, char *err, size_t errlen)
{
	struct net_link link;
	int ret = net_link_get_index(uplink->ifindex, &link);

	if (ret == -ENODEV)
		ret = net_link_get(uplink->name, &link);
	if (ret) {
		snprintf(err, errlen, "uplink %s: %s", uplink->name, strerror(-ret));
		return ret;
	}
	if (!net_link_is_ethernet(&link)) {
		snprintf(err, errlen, "uplink %s: its packets have no Ethernet header", link.name);
		return -EPROTONOSUPPORT;
	}
	memcpy(uplink->name, link.name, sizeof(uplink->name));
	uplink->ifindex = link.ifindex;
	uplink->mtu = link.mtu;
	memcpy(uplink->mac, link.mac, sizeof(uplink->mac));
	memcpy(uplink->kind, link.kind, sizeof(uplink->kind));
	memcpy(uplink->driver, link.driver, sizeof(uplink->driver));
	return 0;
}

static int attach_uplink(struct datapath *dp, struct datapath_uplink *uplink, enum datapath_mode wanted,
	bool alone, struct undo *undo, char *err, size_t errlen)
{
	struct hook hook = { .dp = dp, .device = uplink->name, .object = OBJECT_UPLINK_XDP, .alone = alone };
	enum datapath_mode mode;
	enum hook_kind kind;
	int ret = read_device(uplink, err, errlen);

	if (ret)
		return ret;
	hook.ifindex = uplink->ifindex;
	ret = attach_one(&hook, wanted, &mode, &kind, uplink->why, sizeof(uplink->why));
	if (ret) {
		snprintf(err, errlen, "%s", uplink->why);
		return ret;
	}
	if (hook.made)
		*undo = (struct undo) { .kind = kind, .ifindex = hook.ifindex };
	hook_drop_others(dp, hook.ifindex, kind);
	uplink->mode = mode;
	uplink->dispatched = kind == HOOK_DISPATCH;
	uplink->tx_works = mode == DATAPATH_XDP_GENERIC ||
		(mode == DATAPATH_XDP && strcmp(uplink->kind, "veth"));
	return 0;
}

/* One end of one of our device pairs. */
static int attach_end(struct datapath *dp, const char *device, int ifindex, enum object_id object,
	struct undo *undo, char *err, size_t errlen)
{
	struct hook hook = {
		.dp = dp, .device = device, .ifindex = ifindex, .object = object, .alone = true, .why = err,
		.why_len = errlen,
	};
	enum hook_kind kind = tcx_is_supported() ? HOOK_TCX : HOOK_FILTER;
	int ret;

	if (!ifindex) {
		snprintf(err, errlen, "device %s does not exist yet", device);
		return -ENODEV;
	}
	ret = kind == HOOK_TCX ? tcx_attach(&hook) : clsact_attach(&hook);
	if (ret)
		return ret;
	if (hook.made)
		*undo = (struct undo) { .kind = kind, .ifindex = hook.ifindex };
	hook_drop_others(dp, hook.ifindex, kind);
	return 0;
}

static int attach_tunnel(struct datapath *dp, struct undo *undo, char *err, size_t errlen)
{
	int ret = attach_end(dp, dp->tunnel.far_name, dp->tunnel.far_ifindex, OBJECT_TUNNEL, &undo[1], err,
		errlen);

	/* Onward frames may be sealed ones, which do not fit through the tunnel. */
	return ret ? ret : attach_end(dp, dp->relay.far_name, dp->relay.far_ifindex,
		OBJECT_ONWARD, &undo[0], err, errlen);
}

/*
 * In the least capable mode of the uplinks: native XDP can redirect a frame only to a device that has native
 * XDP as well, generic XDP and tc to any. Where a large MTU rules out native XDP on a veth, tc will do.
 */
static int attach_relay(struct datapath *dp, struct undo *undo, char *err, size_t errlen)
{
	enum datapath_mode mode = DATAPATH_XDP;

	for (unsigned i = 0; i < dp->uplink_count; i++)
		if (dp->uplinks[i].mode > mode)
			mode = dp->uplinks[i].mode;
	if (mode == DATAPATH_XDP)
		mode = DATAPATH_AUTO;
	snprintf(dp->relay_uplink.name, sizeof(dp->relay_uplink.name), "%s", dp->relay.name);
	return attach_uplink(dp, &dp->relay_uplink, mode, true, undo, err, errlen);
}

static bool is_wanted(const struct datapath *dp, int ifindex)
{
	if (ifindex == dp->tunnel.far_ifindex || ifindex == dp->relay.ifindex ||
		ifindex == dp->relay.far_ifindex || side_is_wanted(dp, ifindex))
		return true;
	for (unsigned i = 0; i < dp->uplink_count; i++)
		if (dp->uplinks[i].ifindex == ifindex)
			return true;
	return false;
}

/* Takes programs off devices that we no longer use, and pins of devices that are gone. */
static void drop_unwanted(struct datapath *dp)
{
	struct { enum hook_kind kind; int ifindex; } found[256];
	unsigned count = 0;
	char links[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(links, sizeof(links), "%s/links", dp->root);
	dir = opendir(links);
	if (!dir)
		return;
	while ((entry = readdir(dir)) && count < sizeof(found) / sizeof(found[0]))
		if (pin_hook_parse(entry->d_name, &found[count].kind, &found[count].ifindex) &&
		    !is_wanted(dp, found[count].ifindex))
			count++;
	closedir(dir);
	for (unsigned i = 0; i < count; i++)
		hook_drop(dp, found[i].kind, found[i].ifindex);
}

static void remove_old_version(const char *root, unsigned version, void *user)
{
	if (version == TALON_LAYOUT_VERSION)
		return;
	tree_detach(root);
	pin_tree_remove(root);
	log_info("removed the datapath of layout %u", version);
}

static int pin_programs(struct datapath *dp, char *err, size_t errlen)
{
	int ret = 0;

	for (unsigned id = 0; id < OBJECT_COUNT && !ret; id++)
		if (dp->objects[id])
			ret = pin_put(dp->root, "progs", object_name(id), object_prog_fd(dp, id));
	if (ret)
		snprintf(err, errlen, "%s/progs: %s", dp->root, strerror(-ret));
	return ret;
}

static void sum_up(struct datapath *dp)
{
	size_t len = 0;

	for (unsigned i = 0; i < dp->uplink_count && len < sizeof(dp->why); i++)
		len += snprintf(dp->why + len, sizeof(dp->why) - len, "%s%s%s%s", i ? "; " : "",
				dp->uplink_count > 1 ? dp->uplinks[i].name : "",
				dp->uplink_count > 1 ? ": " : "", dp->uplinks[i].why);
}

static void take_back(struct datapath *dp, const struct undo *undo)
{
	if (!undo->ifindex)
		return;
	hook_drop(dp, undo->kind, undo->ifindex);
	if (undo->kind == HOOK_FILTER)
		hook_drop(dp, HOOK_QDISC, undo->ifindex);
}

int datapath_attach(struct datapath *dp, char *err, size_t errlen)
{
	struct undo undo[3 + TALON_UPLINKS_MAX] = { 0 };
	int ret;

	ret = attach_tunnel(dp, undo, err, errlen);
	for (unsigned i = 0; i < dp->uplink_count && !ret; i++)
		ret = attach_uplink(dp, &dp->uplinks[i], dp->mode, false, &undo[3 + i], err, errlen);
	if (!ret)
		ret = attach_relay(dp, &undo[2], err, errlen);
	if (!ret)
		ret = pin_programs(dp, err, errlen);
	if (ret) {
		for (int i = 2 + TALON_UPLINKS_MAX; i >= 0; i--)
			take_back(dp, &undo[i]);
		return ret;
	}
	dp->attached = true;
	sides_attach(dp);
	drop_unwanted(dp);
	pin_roots(dp->base, remove_old_version, NULL);
	sum_up(dp);
	return 0;
}

static const char *const mode_names[] = {
	[DATAPATH_AUTO] = "auto",
	[DATAPATH_XDP] = "xdp",
	[DATAPATH_XDP_GENERIC] = "xdp-generic",
	[DATAPATH_TCX] = "tcx",
	[DATAPATH_CLSACT] = "clsact",
};

const char *datapath_mode_name(enum datapath_mode mode)
{
	return mode_names[mode];
}

enum datapath_mode datapath_get_mode(const struct datapath *dp)
{
	return dp->uplinks[0].mode;
}

const char *datapath_get_why(const struct datapath *dp)
{
	return dp->why;
}
