/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which peer somebody means. */
#ifndef TALON_WATCH_PEER_H
#define TALON_WATCH_PEER_H

#include "status/status.h"

/*
 * Finds the peer that @text names: by its public key; by an IPv4 address in its allowed IPs, the longest
 * prefix winning; or by its name, whole or up to the first dot, upper and lower case being the same. Returns
 * 0, or -EINVAL with one line in @why: none, or more than one.
 */
int watch_find_peer(const struct status *status, const char *text, const struct status_peer **ret_peer,
	char *why, size_t size);

/* Its name, else its key. */
#define WATCH_PEER_NAME_LEN 48
void watch_peer_name(const struct talon_peer_info *info, char ret_name[static WATCH_PEER_NAME_LEN]);

#endif
