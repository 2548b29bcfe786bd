// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// In libxdp's dispatcher, beside other programs: ours replaces one of its stub functions (freplace).
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "datapath/internal.h"

#include "probe_freplace.skel.h"
#include "probe_target.skel.h"

static int load_extension(struct probe_target *target, bool moving)
{
	struct probe_freplace *ext = probe_freplace__open();
	struct bpf_program *prog;
	int fd, ret;

	if (!ext)
		return -errno;
	prog = moving ? ext->progs.moving_replacement : ext->progs.replacement;
	bpf_program__set_autoload(ext->progs.replacement, !moving);
	bpf_program__set_autoload(ext->progs.moving_replacement, moving);
	ret = bpf_program__set_attach_target(prog, bpf_program__fd(target->progs.probe_target),
		"replaceable");
	if (!ret)
		ret = probe_freplace__load(ext);
	if (!ret) {
		fd = bpf_link_create(bpf_program__fd(prog), 0, 0, NULL);
		ret = fd < 0 ? fd : 0;
		if (fd >= 0)
			close(fd);
	}
	probe_freplace__destroy(ext);
	return ret;
}

int freplace_probe(bool moving)
{
	struct probe_target *target = probe_target__open_and_load();
	int ret;

	if (!target)
		return -errno;
	ret = load_extension(target, moving);
	probe_target__destroy(target);
	return ret;
}

static struct xdp_multiprog *open_dispatcher(int ifindex)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex);

	if (!multi || libxdp_get_error(multi))
		return NULL;
	if (!xdp_multiprog__is_legacy(multi))
		return multi;
	xdp_multiprog__close(multi);
	return NULL;
}

static struct xdp_program *member(struct xdp_multiprog *multi, uint32_t prog_id)
{
	struct xdp_program *prog = NULL;

	while ((prog = xdp_multiprog__next_prog(prog, multi)))
		if (xdp_program__id(prog) == prog_id)
			break;
	return prog;
}

bool dispatcher_is_there(int ifindex)
{
	struct xdp_multiprog *multi = open_dispatcher(ifindex);

	xdp_multiprog__close(multi);
	return multi;
}

bool dispatcher_holds(int ifindex, uint32_t prog_id)
{
	struct xdp_multiprog *multi = open_dispatcher(ifindex);
	bool holds = multi && member(multi, prog_id);

	xdp_multiprog__close(multi);
	return holds;
}

void dispatcher_list(int ifindex, void (*cb)(uint32_t prog_id, const char *name, void *user), void *user)
{
	struct xdp_multiprog *multi = open_dispatcher(ifindex);
	struct xdp_program *prog = NULL;

	while (multi && (prog = xdp_multiprog__next_prog(prog, multi)))
		cb(xdp_program__id(prog), xdp_program__name(prog), user);
	xdp_multiprog__close(multi);
}

int dispatcher_remove(int ifindex, uint32_t prog_id)
{
	struct xdp_multiprog *multi = open_dispatcher(ifindex);
	struct xdp_program *prog;
	int ret = 0;

	if (!multi)
		return 0;
	prog = member(multi, prog_id);
	if (prog)
		ret = xdp_program__detach(prog, ifindex, xdp_multiprog__attach_mode(multi), 0);
	xdp_multiprog__close(multi);
	return ret;
}

static int attach_copy(struct hook *hook, struct bpf_object *obj)
{
	struct bpf_program *prog = bpf_object__next_program(obj, NULL);
	struct xdp_program *xdp = xdp_program__from_bpf_obj(obj, bpf_program__section_name(prog));
	uint32_t prog_id;
	int ret;

	ret = libxdp_get_error(xdp);
	if (ret)
		return ret;
	ret = xdp_program__set_run_prio(xdp, hook->dp->priority);
	if (!ret)
		ret = xdp_program__set_chain_call_enabled(xdp, XDP_PASS, true);
	if (!ret)
		ret = xdp_program__attach(xdp, hook->ifindex, XDP_MODE_NATIVE, 0);
	if (ret)
		goto out;
	/* Without freplace, libxdp attaches the program alone, by netlink: then it is not in a dispatcher. */
	prog_id = xdp_program__id(xdp);
	if (!dispatcher_holds(hook->ifindex, prog_id)) {
		xdp_program__detach(xdp, hook->ifindex, XDP_MODE_NATIVE, 0);
		ret = -EOPNOTSUPP;
		goto out;
	}
	ret = pin_hook_put(hook->dp, HOOK_DISPATCH, hook->ifindex, xdp_program__fd(xdp));
	if (ret)
		dispatcher_remove(hook->ifindex, prog_id);
out:
	xdp_program__close(xdp);
	return ret;
}

/*
 * The tag of a program inside the dispatcher differs from that of the same program alone, so a copy is always
 * loaded, and cannot be compared with the one that is there.
 */
int dispatcher_attach(struct hook *hook)
{
	int fd = pin_hook_take(hook->dp, HOOK_DISPATCH, hook->ifindex), ret;
	uint32_t old = fd >= 0 ? prog_id_of(fd) : 0;
	struct bpf_object *obj;

	if (fd >= 0)
		close(fd);
	if (old && !dispatcher_holds(hook->ifindex, old))
		old = 0;
	hook->made = !old;
	ret = freplace_probe(false);
	if (ret) {
		snprintf(hook->why, hook->why_len,
			"libxdp's dispatcher on %s: the kernel refuses freplace (%s)", hook->device,
			strerror(-ret));
		return ret;
	}
	ret = object_open(hook->dp, hook->object, &obj);
	if (!ret) {
		ret = attach_copy(hook, obj);
		bpf_object__close(obj);
	}
	if (ret == -EINVAL && freplace_probe(true))
		snprintf(hook->why, hook->why_len,
			 "libxdp's dispatcher on %s takes no program that moves packet data on this kernel",
			 hook->device);
	else if (ret)
		snprintf(hook->why, hook->why_len, "libxdp's dispatcher on %s: %s", hook->device,
			strerror(-ret));
	else if (old)	/* last, so that one of the two is always in the chain; the first takes our packets */
		dispatcher_remove(hook->ifindex, old);
	return ret;
}
