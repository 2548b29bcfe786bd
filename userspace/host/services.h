/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses that this node serves though no device of it has them: a cluster's services and load balancers,
 * which something on the node translates for whatever its stack routes. Several parties find out about them,
 * each by itself and at its own time; this is what all of them know together. Pure.
 */
#ifndef TALON_HOST_SERVICES_H
#define TALON_HOST_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/prefixes.h"

/* Who says so. Of two that disagree about the same address the one that comes first here is believed. */
enum services_source {
	SERVICES_OF_CLUSTER,		/* who holds a load balancer's address, by the cluster's API */
	SERVICES_OF_CNI,		/* a CNI's own load balancer */
	SERVICES_OF_NETFILTER,		/* kube-proxy's rules */
	SERVICES_SOURCES,
};

enum services_place {
	SERVICES_ELSEWHERE,		/* another node does: goes where the host's routes lead */
	SERVICES_HERE,			/* handed up to this host's stack */
};

/* What one source knows; zero is an empty list. prefix.value: enum services_place. */
struct services_list {
	struct prefixes four, six;
};

/* Returns 0 or -ENOMEM. */
int services_add(struct services_list *list, const struct cidr *net, enum services_place place);
void services_list_done(struct services_list *list);

/* Zero: nobody knows of any. */
struct services {
	struct services_list of[SERVICES_SOURCES];
};

/* Takes over @list, which is empty afterwards. Returns whether @source says anything else than before. */
bool services_set(struct services *services, enum services_source source, struct services_list *list);
/*
 * Adds entries of @family to @set, which has what the configuration gives, for a longest-prefix match: of
 * value @found what is served here, of value 0 what is elsewhere. What lies within a given network is left
 * out, since a longer entry would hide it. At most @max entries are added; *@ret_left_out could not be.
 * Returns 0 or -ENOMEM.
 */
int services_merge(const struct services *services, uint8_t family, uint32_t found, size_t max,
	struct prefixes *set, size_t *ret_left_out);
/* How many networks @source says are served here, of both families. */
size_t services_count(const struct services *services, enum services_source source);
void services_done(struct services *services);

#endif
