/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who holds the cluster's virtual addresses: what Cilium, MetalLB and kube-vip leave in the Kubernetes API,
 * or who answers for them on the LAN, given to the plane. While the API cannot be asked, what was known last
 * holds.
 */
#ifndef TALON_KUBE_H
#define TALON_KUBE_H

#include "config/config.h"
#include "plane/plane.h"

struct kube;

/*
 * Begins once the plane is ready. Where config->vip_source is off, forgets what an earlier process knew, and
 * *@ret_kube is NULL. Returns 0, or a negative errno with one line in @err; the plane goes on without.
 */
int kube_start(struct plane *plane, const struct config *config, struct kube **ret_kube, char *err,
	size_t errlen);
/* Before the plane goes. NULL is allowed. */
void kube_free(struct kube *kube);

#endif
