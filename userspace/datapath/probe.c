// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the kernel can do, and whether what we attached is still there.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

void prog_describe(uint32_t prog_id, char *text, size_t len)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(prog_id);

	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) && info.name[0])
		snprintf(text, len, "%s (id %u)", info.name, prog_id);
	else
		snprintf(text, len, "program id %u", prog_id);
	if (fd >= 0)
		close(fd);
}

void datapath_probe(struct datapath_features *ret_features)
{
	struct datapath_features features = {
		.bpf_loop = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_loop, NULL) == 1,
		.tcx = tcx_is_supported(),
		.btf = !access("/sys/kernel/btf/vmlinux", R_OK),
	};
	int ret;

	ret = freplace_probe(false);
	features.freplace = !ret;
	if (ret)
		snprintf(features.freplace_why, sizeof(features.freplace_why), "%s", strerror(-ret));
	else
		features.freplace_moves = !freplace_probe(true);
	*ret_features = features;
}

static const char *yes_no(bool value)
{
	return value ? "yes" : "no";
}

void datapath_features_text(const struct datapath_features *features, char *text, size_t len)
{
	char note[96] = "";

	if (!features->freplace)
		snprintf(note, sizeof(note), " (%s)", features->freplace_why);
	else if (!features->freplace_moves)
		snprintf(note, sizeof(note), " (not for programs that move packet data)");
	snprintf(text, len, "bpf_loop %s, tcx %s, freplace %s%s, kernel BTF %s", yes_no(features->bpf_loop),
		 yes_no(features->tcx), yes_no(features->freplace), note, yes_no(features->btf));
}

static int verify_link(const struct datapath *dp, enum hook_kind kind, int ifindex, uint32_t *ret_prog_id)
{
	int fd = pin_hook_get(dp, kind, ifindex), at, ret;

	if (fd < 0)
		return -ENOLINK;
	ret = link_info(fd, &at, ret_prog_id);
	close(fd);
	return ret || at != ifindex ? -ENOLINK : 0;
}

static int verify_pinned_prog(const struct datapath *dp, enum hook_kind kind, int ifindex)
{
	int fd = pin_hook_get(dp, kind, ifindex);
	uint32_t ours, there = 0;

	if (fd < 0)
		return -ENOLINK;
	ours = prog_id_of(fd);
	close(fd);
	if (kind == HOOK_DISPATCH)
		return dispatcher_holds(ifindex, ours) ? 0 : -ENOLINK;
	return !clsact_filter_prog(ifindex, &there) && there == ours ? 0 : -ENOLINK;
}

/* 0, 1 (not first any more), -ENOLINK */
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

static int judge(int ret, const char *device, const char *mode, char *text, size_t len)
{
	if (ret < 0)
		snprintf(text, len, "%s: our %s program is not attached any more", device, mode);
	else if (ret)
		snprintf(text, len, "%s: another tcx program runs before ours", device);
	return ret;
}

int datapath_verify(struct datapath *dp, char *text, size_t len)
{
	enum hook_kind tc = tcx_is_supported() ? HOOK_TCX : HOOK_FILTER;
	int worst, ret;

	text[0] = '\0';
	worst = judge(verify_hook(dp, tc, dp->tunnel.far_ifindex), dp->tunnel.far_name, "tunnel", text, len);
	if (dp->has_relay && worst >= 0) {
		ret = judge(verify_hook(dp, tc, dp->relay.far_ifindex), dp->relay.far_name, "onward",
			text, len);
		worst = ret < 0 || ret > worst ? ret : worst;
	}
	for (unsigned i = 0; i < dp->uplink_count && worst >= 0; i++) {
		const struct datapath_uplink *uplink = &dp->uplinks[i];

		ret = judge(verify_hook(dp, hook_of(uplink), uplink->ifindex), uplink->name,
			    datapath_mode_name(uplink->mode), text, len);
		worst = ret < 0 || ret > worst ? ret : worst;
	}
	if (dp->has_relay && worst >= 0) {
		ret = judge(verify_hook(dp, hook_of(&dp->relay_uplink), dp->relay.ifindex), dp->relay.name,
			"relay link", text, len);
		worst = ret < 0 || ret > worst ? ret : worst;
	}
	for (unsigned i = 0; i < dp->side_count && worst >= 0; i++) {
		const struct datapath_side *side = &dp->sides[i];

		/* One that is gone took its program along: that is nobody's fault. */
		if (!side->attached || !if_indextoname(side->ifindex, (char[IFNAMSIZ]){}))
			continue;
		ret = judge(verify_hook(dp, tc, side->ifindex), side->name, "side", text, len);
		worst = ret < 0 || ret > worst ? ret : worst;
	}
	return worst;
}
