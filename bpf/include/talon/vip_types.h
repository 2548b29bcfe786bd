/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Virtual addresses of the cluster, and which node holds each of them. Written by the controller. */
#ifndef TALON_VIP_TYPES_H
#define TALON_VIP_TYPES_H

#include "talon/types.h"

enum talon_vip_where {
	/* here: handed up. A flow that goes by its record goes on while the earlier holder answers */
	TALON_VIP_HERE		= 1,
	TALON_VIP_ELSEWHERE	= 2,	/* forwarded over the LAN, whatever "Local" says */
	/* elsewhere, and was here before: a TCP connection that began here is handed up until its end */
	TALON_VIP_LEFT		= 3,
};

#define TALON_VIPS_MAX		1024
#define TALON_VIP_HOLDER_LEN	64

/*
 * Map "vips": HASH struct talon_addr -> struct talon_vip. Only what lies in a served network is looked at.
 */
struct talon_vip {
	__u32	where;			/* enum talon_vip_where */
	__u32	reserved;
	__u64	since_unix_s;		/* when @holder got it, as this host saw */
	char	holder[TALON_VIP_HOLDER_LEN];	/* name of the node; may be cut */
	char	service[TALON_VIP_HOLDER_LEN];	/* NAMESPACE/NAME, where it is known; may be cut */
};
TALON_ASSERT_SIZE(struct talon_vip, 144);

/* Map "vip_source": ARRAY of one. Where the controller knows it from; text is UTF-8, always terminated. */
struct talon_vip_source {
	char	name[16];		/* "cilium", "metallb", "kube-vip", "arp" or "auto"; "": off */
	__u32	synced;			/* 1: map "vips" is what the source says now */
	__u32	errors;			/* since the last time it was */
	__u64	since_unix_s;		/* when that last changed */
	char	error[224];		/* why it is not; one line */
};
TALON_ASSERT_SIZE(struct talon_vip_source, 256);

#endif
