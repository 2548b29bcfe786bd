/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses that this node serves though no device of it has them: a cluster's services and load balancers,
 * which something on the node translates for whatever its stack routes. Pure.
 */
#ifndef TALON_HOST_SERVICES_H
#define TALON_HOST_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/prefixes.h"

/* Zero is an empty list. */
struct services {
	struct prefixes four, six;
};

/* Returns 0 or -ENOMEM. */
int services_add(struct services *services, const struct cidr *net);
/* Takes over @list, which is empty afterwards. Returns whether it has others than @services had. */
bool services_set(struct services *services, struct services *list);
/*
 * Adds those of @family to @set, which has what the configuration gives, with value @found. What lies within
 * a given network is left out, since a longer entry would hide it. At most @max are added; *@ret_left_out
 * could not be. Returns 0 or -ENOMEM.
 */
int services_merge(const struct services *services, uint8_t family, uint32_t found, size_t max,
	struct prefixes *set, size_t *ret_left_out);
/* Of both families. */
size_t services_count(const struct services *services);
void services_done(struct services *services);

#endif
