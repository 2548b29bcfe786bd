/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The memory limit of the control group that this process is in, of either version. */
#ifndef TALON_CGROUP_MEMORY_H
#define TALON_CGROUP_MEMORY_H

#include <stdint.h>

#define CGROUP_NO_LIMIT UINT64_MAX

struct cgroup_memory {
	uint64_t limit;			/* bytes; CGROUP_NO_LIMIT: none that can be seen */
	uint64_t used;			/* bytes of it that cannot be had back: page cache is left out */
	/* the file with the limit, below @root; empty without one. A long path is cut at its front */
	char file[160];
};

/*
 * Of all limits that hold for this process the one that leaves least: of its own group and of those above it,
 * as far as they can be seen. A container sees its own at least, with a cgroup namespace and without. Kernel
 * memory counts, as a part of the whole or (version 1) by a limit of its own. @root: directory below which
 * /proc and /sys are read, "" for the host's. Without control groups there is no limit.
 */
void cgroup_memory_read(const char *root, struct cgroup_memory *ret_memory);

/* What may still be had: 0 if more is used than allowed; CGROUP_NO_LIMIT without a limit. */
uint64_t cgroup_memory_free(const struct cgroup_memory *memory);

#endif
