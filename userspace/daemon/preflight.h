/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a valid configuration still needs from this host. Asked before anything is changed, so that a refusal
 * changes nothing.
 */
#ifndef TALON_PREFLIGHT_H
#define TALON_PREFLIGHT_H

#include <stddef.h>

#include "config/config.h"

/*
 * Capabilities, no other controller, the WireGuard port on IPv4 and IPv6, the uplinks, and a bpf file
 * system for the pins. The last is mounted where it belongs (/sys/fs/bpf) if it is not there, when all
 * else was found in order. Returns 0, or a negative errno with one line in @why that names what is missing
 * and what to do.
 */
int preflight_check(const struct config *config, char *why, size_t size);

/* The parts, for tests. */

/* @effective: CapEff of /proc/self/status. Returns 0 or -EPERM. */
int preflight_check_capabilities(__u64 effective, char *why, size_t size);
/* Returns 0, or -EBUSY if a controller runs on @pin_dir. */
int preflight_check_alone(const char *pin_dir, char *why, size_t size);
/* Binds and lets go. @port: host order. Returns 0, -EADDRINUSE or another negative errno. */
int preflight_check_port(__u16 port, char *why, size_t size);
/*
 * @pin_dir or the nearest directory above it that exists must be on a bpf file system. Returns 0 or a
 * negative errno.
 */
int preflight_check_pin_dir(const char *pin_dir, char *why, size_t size);

#endif
