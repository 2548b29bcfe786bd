/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Compact prefixes: how network maps write address_v6 and sourcePrefixes. */
#ifndef TALON_COMPACT_H
#define TALON_COMPACT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"

/*
 * An address in network order and one byte of prefix length: 5 bytes for IPv4, 17 for IPv6. An IPv4-mapped
 * address is an IPv4 one. Host bits stay as they are. Returns 0, or -EINVAL for another length or for a
 * prefix longer than its family's addresses.
 */
int compact_read(const uint8_t *bytes, size_t len, struct cidr *ret_cidr);

#endif
