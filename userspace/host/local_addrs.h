/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Map local_addrs: the addresses of this host, of both families. */
#ifndef TALON_HOST_LOCAL_ADDRS_H
#define TALON_HOST_LOCAL_ADDRS_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath.h"

/* Zeroed, with dp set. */
struct local_addrs {
	const struct datapath *dp;
	uint8_t mark;			/* of the entries that are there; another each time */
	bool changed;			/* while they are read */
};

/*
 * Makes the map hold the addresses as they are now. Returns whether they changed: then the generation has to
 * be bumped.
 */
bool local_addrs_read(struct local_addrs *addrs);

#endif
