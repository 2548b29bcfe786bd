/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets by hand: what the datapath cannot do to a packet without room (RFC 791, RFC 8200). */
#ifndef TALON_PACKETS_FRAGMENT_H
#define TALON_PACKETS_FRAGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

typedef void (*fragment_cb)(const uint8_t *packet, size_t len, void *user);

/*
 * Cuts the IPv4 packet @packet (DF off) into fragments of at most @mtu bytes and hands each to @cb. Options
 * that must not be copied (RFC 791 section 3.1) are made no-ops in later fragments. A packet that fits is
 * handed over as it is. Returns the number of pieces, or -EINVAL if it is no whole IPv4 packet, has DF set,
 * or @mtu leaves no room for data.
 */
int fragment_ipv4(const uint8_t *packet, size_t len, size_t mtu, fragment_cb cb, void *user);

/*
 * Sets a new destination and takes one off the TTL, in place. Returns 0, or -EINVAL if it is no whole IPv4
 * packet or has no TTL left.
 */
int fragment_redirect(uint8_t *packet, size_t len, __be32 destination);
/*
 * The same for IPv6, and its hop limit. Only for later fragments: a checksum over the addresses, which the
 * first one has, is not touched.
 */
int fragment_redirect6(uint8_t *packet, size_t len, const struct talon_addr *destination);

#endif
