// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// XDP by a bpf_link of our own: nobody detaches it by accident, and its program is replaced atomically.
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

static bool is_in_mode(int ifindex, bool generic)
{
	struct net_link link;

	return !net_link_get_index(ifindex, &link) && (link.xdp_mode == XDP_ATTACHED_SKB) == generic;
}

static void explain(struct hook *hook, int error, uint32_t flags)
{
	struct net_link link = { 0 };
	char holder[64], reason[128];

	net_link_get_index(hook->ifindex, &link);
	if ((error == -EBUSY || error == -EEXIST) && link.xdp_mode) {
		prog_describe(link.xdp_prog_id, holder, sizeof(holder));
		snprintf(hook->why, hook->why_len, "the XDP slot of %s is held by %s", hook->device,
			 link.xdp_mode == XDP_ATTACHED_MULTI ? "several programs" : holder);
		return;
	}
	net_xdp_reason(hook->ifindex, object_prog_fd(hook->dp, hook->object), flags, reason, sizeof(reason));
	snprintf(hook->why, hook->why_len, "%s XDP on %s: %s",
		 flags & XDP_FLAGS_SKB_MODE ? "generic" : "native", hook->device, reason);
}

int xdp_attach(struct hook *hook, bool generic)
{
	uint32_t flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int prog_fd = object_prog_fd(hook->dp, hook->object);
	int fd = pin_hook_take(hook->dp, HOOK_XDP, hook->ifindex), ret;
	char name[32];

	if (fd >= 0) {
		ret = is_in_mode(hook->ifindex, generic) ? hook_refresh_link(hook, fd, prog_fd) : -ENOLINK;
		close(fd);
		if (ret != -ENOLINK)
			return ret;
		/* The kernel does not change modes in place: detach first. */
		pin_hook_name(HOOK_XDP, hook->ifindex, name, sizeof(name));
		hook_remove(hook->dp->root, name);
	}
	fd = bpf_link_create(prog_fd, hook->ifindex, BPF_XDP, &opts);
	if (fd < 0) {
		explain(hook, fd, flags);
		return fd;
	}
	return hook_keep_link(hook, HOOK_XDP, fd);
}
