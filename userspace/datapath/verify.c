// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether what we attached is still there.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

void prog_name(uint32_t prog_id, char *name, size_t len)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(prog_id);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size))
		info.name[0] = '\0';
	snprintf(name, len, "%.*s", (int)sizeof(info.name), info.name);
	if (fd >= 0)
		close(fd);
}

void prog_describe(uint32_t prog_id, char *text, size_t len)
{
	char name[BPF_OBJ_NAME_LEN];

	prog_name(prog_id, name, sizeof(name));
	if (name[0])
		snprintf(text, len, "%s (id %u)", name, prog_id);
	else
		snprintf(text, len, "program id %u", prog_id);
}

static int verify_link(const struct datapath *dp, enum hook_kind kind, int ifindex, uint32_t *ret_prog_id)
{
	int fd = pin_hook_get(dp, kind, ifindex), at, ret;

	if (fd < 0)
		return -ENOLINK;
	ret = hook_link_info(fd, &at, ret_prog_id);
	close(fd);
	return ret || at != ifindex ? -ENOLINK : 0;
}

static bool is_link_on(int fd, int ifindex)
{
	uint32_t prog_id;
	int at;

	return !hook_link_info(fd, &at, &prog_id) && at == ifindex;
}

bool hook_is_attached(enum hook_kind kind, int ifindex, int fd)
{
	uint32_t there;

	switch (kind) {
	case HOOK_XDP:
	case HOOK_TCX:
		return is_link_on(fd, ifindex);
	case HOOK_DISPATCH:
		return dispatcher_holds(ifindex, prog_id_of(fd));
	case HOOK_FILTER:
		return !clsact_filter_prog(ifindex, &there) && there == prog_id_of(fd);
	default:
		return false;
	}
}

static int verify_pinned_prog(const struct datapath *dp, enum hook_kind kind, int ifindex)
{
	int fd = pin_hook_get(dp, kind, ifindex);
	bool is_attached = fd >= 0 && hook_is_attached(kind, ifindex, fd);

	if (fd >= 0)
		close(fd);
	return is_attached ? 0 : -ENOLINK;
}

/* 0; 1: no longer first; -ENOLINK */
static int verify_hook(const struct datapath *dp, enum hook_kind kind, int ifindex)
{
	uint32_t prog_id;
	int ret;

	if (kind == HOOK_FILTER || kind == HOOK_DISPATCH)
		return verify_pinned_prog(dp, kind, ifindex);
	ret = verify_link(dp, kind, ifindex, &prog_id);
	if (ret || kind == HOOK_XDP)
		return ret;
	ret = tcx_position(ifindex, prog_id);
	return ret < 0 ? -ENOLINK : ret > 0;
}

static enum hook_kind hook_of(const struct datapath_uplink *uplink)
{
	if (uplink->dispatched)
		return HOOK_DISPATCH;
	return uplink->mode == DATAPATH_TCX ? HOOK_TCX : uplink->mode == DATAPATH_CLSACT ? HOOK_FILTER
		: HOOK_XDP;
}

struct verdict {
	int worst;			/* as datapath_verify() returns it */
	char *text;
	size_t len;
};

static int judge(int ret, const char *device, const char *mode, char *text, size_t len)
{
	if (ret < 0)
		snprintf(text, len, "%s: our %s program is no longer attached", device, mode);
	else if (ret)
		snprintf(text, len, "%s: another tcx program runs before ours", device);
	return ret;
}

static void verify_one(const struct datapath *dp, enum hook_kind kind, int ifindex, const char *device,
	const char *mode, struct verdict *v)
{
	int ret;

	if (v->worst < 0)
		return;
	ret = judge(verify_hook(dp, kind, ifindex), device, mode, v->text, v->len);
	if (ret < 0 || ret > v->worst)
		v->worst = ret;
}

static void verify_uplink(const struct datapath *dp, const struct datapath_uplink *uplink, const char *mode,
	struct verdict *v)
{
	verify_one(dp, hook_of(uplink), uplink->ifindex, uplink->name, mode, v);
}

/* Cilium came after us, and auto would not take the slot now. */
static int verify_slot(const struct datapath *dp, char *text, size_t len)
{
	const struct datapath_uplink *taken = dp->mode == DATAPATH_AUTO ? cilium_wants_slot_of(dp) : NULL;

	if (!taken)
		return 0;
	snprintf(text, len, "%s: Cilium is here now, which gets the XDP slot", taken->name);
	return -ENOLINK;
}

int datapath_verify(struct datapath *dp, char *text, size_t len)
{
	enum hook_kind tc = tcx_is_supported() ? HOOK_TCX : HOOK_FILTER;
	struct verdict v = { .text = text, .len = len };

	text[0] = '\0';
	verify_one(dp, tc, dp->tunnel.far_ifindex, dp->tunnel.far_name, "tunnel", &v);
	verify_one(dp, tc, dp->relay.far_ifindex, dp->relay.far_name, "onward", &v);
	for (unsigned i = 0; i < dp->uplink_count; i++)
		verify_uplink(dp, &dp->uplinks[i], datapath_mode_name(dp->uplinks[i].mode), &v);
	verify_uplink(dp, &dp->relay_uplink, "relay pair", &v);
	for (unsigned i = 0; i < dp->side_count; i++) {
		const struct datapath_side *side = &dp->sides[i];

		/* a device that is gone took its program along, which is not a fault */
		if (side->attached && if_indextoname(side->ifindex, (char[IFNAMSIZ]){}))
			verify_one(dp, tc, side->ifindex, side->name, "side", &v);
	}
	return v.worst < 0 ? v.worst : verify_slot(dp, text, len) ? -ENOLINK : v.worst;
}
