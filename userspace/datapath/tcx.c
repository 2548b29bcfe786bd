// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// tcx: an ordered list of programs per device (Linux 6.6). libbpf 1.1
// and the headers of 6.1 do not name it, but the system call takes it.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

/* linux/bpf.h of 6.6 */
#define TCX_INGRESS		46		/* enum bpf_attach_type BPF_TCX_INGRESS */
#define MPROG_BEFORE		(1U << 3)	/* BPF_F_BEFORE; without another program named: first */
#define TCX_EGRESS		47

bool tcx_is_supported(void)
{
	uint32_t count = 0;

	/* Device 1 is lo in every namespace. A kernel without tcx does not know the attach type: EINVAL. */
	return !bpf_prog_query(1, TCX_INGRESS, 0, NULL, NULL, &count) || errno != EINVAL;
}

int tcx_list(int ifindex, bool egress, uint32_t ret_ids[static TCX_PROGS_MAX])
{
	uint32_t count = TCX_PROGS_MAX;

	if (bpf_prog_query(ifindex, egress ? TCX_EGRESS : TCX_INGRESS, 0, NULL, ret_ids, &count))
		return -errno;
	return count;
}

int tcx_position(int ifindex, uint32_t prog_id)
{
	uint32_t ids[TCX_PROGS_MAX] = { 0 };
	int count = tcx_list(ifindex, false, ids);

	for (int i = 0; i < count; i++)
		if (ids[i] == prog_id)
			return i;
	return count < 0 ? count : -ENOENT;
}

int tcx_attach(struct hook *hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = MPROG_BEFORE);
	int prog_fd = object_prog_fd(hook->dp, hook->object);
	int fd = pin_hook_take(hook->dp, HOOK_TCX, hook->ifindex), ret;
	char name[32];

	if (fd >= 0) {
		ret = hook_refresh_link(hook, fd, prog_fd);
		close(fd);
		if (ret != -ENOLINK)
			return ret;
		pin_hook_name(HOOK_TCX, hook->ifindex, name, sizeof(name));
		hook_remove(hook->dp->root, name);
	}
	fd = bpf_link_create(prog_fd, hook->ifindex, TCX_INGRESS, &opts);
	if (fd < 0) {
		ret = fd == -EINVAL && !tcx_is_supported() ? -EOPNOTSUPP : fd;
		snprintf(hook->why, hook->why_len, "tcx on %s: %s", hook->device,
			 ret == -EOPNOTSUPP ? "not in this kernel (6.6 has it)" : strerror(-ret));
		return ret;
	}
	return hook_keep_link(hook, HOOK_TCX, fd);
}
