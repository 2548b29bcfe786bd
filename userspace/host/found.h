/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this node is found to serve without having its address: by kube-proxy's rules and Cilium's routes. */
#ifndef TALON_HOST_FOUND_H
#define TALON_HOST_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/kube_proxy.h"
#include "host/services.h"

/* Zero: nothing was looked at. */
struct found {
	struct services services;	/* of kube-proxy */
	struct services pods;		/* of Cilium */
	struct kube_proxy kube_proxy;
	bool pods_are_known;		/* clear: links, addresses or routes have changed since */
	size_t left_out;		/* for which there was no room */
	char trouble[160];		/* why they may be out of date: one line; empty: they are not */
};

/*
 * Looks at what may have changed, and logs the first find, the end of all, and trouble. @now_ns: boot time.
 * Returns whether something else is served; @ret_trouble_changed: or ->trouble is another one.
 */
bool found_look(struct found *found, uint64_t now_ns, bool *ret_trouble_changed);
/* Adds all of @family to @set, as services_merge() does; counts ->left_out. Returns 0 or -ENOMEM. */
int found_merge(struct found *found, uint8_t family, uint32_t value, size_t max, struct prefixes *set);
void found_done(struct found *found);

#endif
