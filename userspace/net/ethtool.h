/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside net/: what ioctl(SIOCETHTOOL) is needed for. */
#ifndef TALON_NET_ETHTOOL_H
#define TALON_NET_ETHTOOL_H

#include <stddef.h>
#include <stdint.h>

/* Driver's name of device @name. Returns 0 or a negative errno. */
int ethtool_driver(const char *name, char *ret_driver, size_t len);

/* @cmd: ETHTOOL_G* or ETHTOOL_S* of one value (linux/ethtool.h). Return 0 or a negative errno. */
int ethtool_get(const char *name, uint32_t cmd, uint32_t *ret_value);
int ethtool_set(const char *name, uint32_t cmd, uint32_t value);

/*
 * State of the feature called @feature, as "ethtool -k" lists them: 1 on, 0 off, or -ENOENT if the kernel
 * does not know it.
 */
int ethtool_feature(const char *name, const char *feature);

#endif
