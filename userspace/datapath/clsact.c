// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A direct-action filter in a clsact qdisc: for kernels without tcx.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

/*
 * Priority 1 is the first that there is. The handle is not the 1 that everybody takes, so that we neither
 * replace a CNI's filter of that priority nor are replaced by it; within one priority the kernel runs the
 * filter that was added last first.
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

/* The pins come first: what they stand for can be found again whenever this process dies. */
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

int clsact_attach(struct hook *hook)
{
	int prog_fd = object_prog_fd(hook->dp, hook->object), fd, ret;
	bool made_qdisc = false;
	uint32_t there = 0;
	char name[32];

	fd = pin_hook_take(hook->dp, HOOK_QDISC, hook->ifindex);
	if (fd >= 0)
		close(fd);
	fd = pin_hook_take(hook->dp, HOOK_FILTER, hook->ifindex);
	if (fd >= 0) {
		bool ours = !clsact_filter_prog(hook->ifindex, &there) && there == prog_id_of(fd);
		bool same = ours && prog_is_same(prog_fd, fd);

		close(fd);
		if (same)
			return 0;
		hook->made = !ours;
	} else {
		if (!clsact_filter_prog(hook->ifindex, &there))
			return fail(hook, -EEXIST);
		hook->made = true;
	}
	ret = make_qdisc(hook, prog_fd, &made_qdisc);
	if (!ret)
		ret = put_filter(hook, prog_fd);
	if (!ret) {
		ret = pin_hook_put(hook->dp, HOOK_FILTER, hook->ifindex, prog_fd);
		if (!ret)
			return 0;
		if (hook->made)
			clsact_filter_remove(hook->ifindex);
	}
	if (made_qdisc) {
		pin_hook_name(HOOK_QDISC, hook->ifindex, name, sizeof(name));
		hook_remove(hook->dp->root, name);
	}
	return fail(hook, ret);
}
