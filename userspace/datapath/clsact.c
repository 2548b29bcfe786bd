// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A direct-action filter in a clsact qdisc, for kernels without tcx.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

/*
 * Priority 1 runs first. The handle is not the usual 1, so that we neither replace a CNI's filter of the same
 * priority nor are replaced by it; within one priority the kernel runs the filter that was added last first.
 */
#define FILTER_PRIORITY	1
#define FILTER_HANDLE	0x54

#define FILTER_HOOK(name, index) \
	LIBBPF_OPTS(bpf_tc_hook, name, .ifindex = (index), .attach_point = BPF_TC_INGRESS)

int clsact_filter_prog(int ifindex, uint32_t *ret_prog_id)
{
	FILTER_HOOK(tc, ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	int ret = bpf_tc_query(&tc, &opts);

	if (!ret)
		*ret_prog_id = opts.prog_id;
	return ret;
}

void clsact_filter_remove(int ifindex)
{
	FILTER_HOOK(tc, ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);

	bpf_tc_detach(&tc, &opts);
}

void clsact_qdisc_remove_if_empty(int ifindex)
{
	FILTER_HOOK(tc, ifindex);

	if (net_filter_count(ifindex))
		return;
	tc.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&tc);
}

static int fail(struct hook *hook, int ret)
{
	snprintf(hook->why, hook->why_len, "clsact filter on %s: %s", hook->device, strerror(-ret));
	return ret;
}

static int put_filter(struct hook *hook, int prog_fd)
{
	FILTER_HOOK(tc, hook->ifindex);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = FILTER_HANDLE,
		.priority = FILTER_PRIORITY, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&tc, &opts);
}

/* Pinned at once, so that the next process finds it if this one dies. */
static int make_qdisc(struct hook *hook, int prog_fd, bool *ret_made)
{
	FILTER_HOOK(tc, hook->ifindex);
	int ret = bpf_tc_hook_create(&tc);

	if (ret == -EEXIST)
		return 0;
	if (ret)
		return ret;
	*ret_made = true;
	return pin_hook_put(hook->dp, HOOK_QDISC, hook->ifindex, prog_fd);
}

/* Sets hook->made. Returns 1 if our filter already has the same program, 0, or -EEXIST: it is not ours. */
static int look_at_filter(struct hook *hook, int prog_fd)
{
	int fd = pin_hook_take(hook->dp, HOOK_FILTER, hook->ifindex);
	uint32_t there = 0;
	bool is_there = !clsact_filter_prog(hook->ifindex, &there);
	bool ours = fd >= 0 && is_there && there == prog_id_of(fd);
	bool same = ours && prog_is_same(prog_fd, fd);

	if (fd >= 0)
		close(fd);
	else if (is_there)
		return -EEXIST;
	hook->made = !ours;
	return same;
}

static int put_and_pin_filter(struct hook *hook, int prog_fd)
{
	int ret = put_filter(hook, prog_fd);

	if (ret)
		return ret;
	ret = pin_hook_put(hook->dp, HOOK_FILTER, hook->ifindex, prog_fd);
	if (ret && hook->made)
		clsact_filter_remove(hook->ifindex);
	return ret;
}

int clsact_attach(struct hook *hook)
{
	int prog_fd = object_prog_fd(hook->dp, hook->object), fd, ret;
	bool made_qdisc = false;
	char name[32];

	fd = pin_hook_take(hook->dp, HOOK_QDISC, hook->ifindex);
	if (fd >= 0)
		close(fd);
	ret = look_at_filter(hook, prog_fd);
	if (ret)
		return ret > 0 ? 0 : fail(hook, ret);
	ret = make_qdisc(hook, prog_fd, &made_qdisc);
	if (!ret)
		ret = put_and_pin_filter(hook, prog_fd);
	if (!ret)
		return 0;
	if (made_qdisc) {
		pin_hook_name(HOOK_QDISC, hook->ifindex, name, sizeof(name));
		hook_remove(hook->dp->root, name);
	}
	return fail(hook, ret);
}
