/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the pins below <base>/v<N>/links say: which hook of which device, and whether it is still so. */
#ifndef TALON_DATAPATH_HOOK_H
#define TALON_DATAPATH_HOOK_H

#include <stdbool.h>

/*
 * Ways to sit on a device. Their names are part of the pin paths ("links/tcx-3") and the same in every layout
 * version, so that a new version can take over an old one's attachments.
 */
enum hook_kind {
	HOOK_XDP,		/* pin is a bpf_link */
	HOOK_TCX,		/* pin is a bpf_link */
	HOOK_DISPATCH,		/* pin is our program inside libxdp's dispatcher */
	HOOK_FILTER,		/* pin is our program in a clsact filter */
	HOOK_QDISC,		/* pin is a program; it says that we made the clsact qdisc */
	HOOK_COUNT
};

/* From a pin's name ("tcx-3"). False: the name is not a hook's. */
bool pin_hook_parse(const char *name, enum hook_kind *ret_kind, int *ret_ifindex);
/* Whether the kernel still has the pinned link or program @fd on @ifindex. HOOK_QDISC: false. */
bool hook_is_attached(enum hook_kind kind, int ifindex, int fd);

#endif
