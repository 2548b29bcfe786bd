/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parsers of values; each validates. All return 0 or -EINVAL; a result is written only on success. */
#ifndef TALON_CONFIG_VALUE_H
#define TALON_CONFIG_VALUE_H

#include "config/config.h"

/* 44 characters of base64, as wg(8) writes keys. */
int value_key(struct slice text, __u8 ret_key[static WG_KEY_LEN]);
/* Decimal digits only, @min to @max. */
int value_number(struct slice text, __u32 min, __u32 max, __u32 *ret_number);
int value_u16(struct slice text, __u16 min, __u16 max, __u16 *ret_number);
/* FIRST-LAST of ports, host order. -ERANGE: the first is larger than the last. */
int value_port_range(struct slice text, __u16 *ret_first, __u16 *ret_last);
/* Looks @text up in @words, which NULL ends, ignoring case. Writes the index. */
int value_word(struct slice text, const char *const *words, unsigned int *ret_index);
/* yes, no, true, false, on, off, 1, 0. */
int value_bool(struct slice text, bool *ret_value);
/* What Go's time.ParseDuration accepts of durations that are not negative, or a bare number; only checked. */
int value_duration(struct slice text);
/* A name that the kernel accepts for a network device. */
int value_device(struct slice text, char ret_name[static IF_NAMESIZE]);
/* A unicast IPv4 address that a host may have. */
int value_host4(struct slice text, __be32 *ret_addr);
/* Index of the device that an endpoint's zone names, by name or number; 0: no such device. */
unsigned int value_zone_index(const char *zone);

/*
 * ADDRESS:PORT, [ADDRESS]:PORT, [LINK-LOCAL%DEVICE]:PORT or NAME:PORT; the brackets are optional, as for
 * wg(8). The caller frees ret_endpoint->host. Also -ENOMEM.
 */
int value_endpoint(struct slice text, struct config_endpoint *ret_endpoint);

/*
 * ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH. Names are refused, and link-local addresses, which would need a
 * device; the wildcards 0.0.0.0 and [::] are not. Sets family, address, port and path only.
 */
int value_listen(struct slice text, struct config_metrics *ret_place);

#endif
