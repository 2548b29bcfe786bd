/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Threaded NAPI of a device (/sys/class/net/DEV/threaded): what it receives is worked on by a kernel thread
 * of its own, not by whoever sent it. On a veth that is the difference between a node that has a core and one
 * that borrows its peers'.
 */
#ifndef TALON_NET_THREADS_H
#define TALON_NET_THREADS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * @ifindex is compared with what sysfs says, which may show another network namespace's devices under the
 * same names. Returns 0, -ENOENT (not this device, or a kernel before 5.12), or another negative errno.
 */
int net_threads_get(const char *device, int ifindex, bool *ret_on);
int net_threads_set(const char *device, int ifindex, bool on);
/* Whether that could be done now: 0 or a negative errno. Changes nothing. */
int net_threads_check(const char *device, int ifindex);
/* One line for @error of these: what is missing, and what to do. In a container /sys is read-only. */
void net_threads_explain(const char *device, int error, char *line, size_t size);

#endif
