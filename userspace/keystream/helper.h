/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process that makes keystream ahead for every session with traffic. The controller starts it; it exits
 * when its parent does.
 */
#ifndef TALON_KEYSTREAM_HELPER_H
#define TALON_KEYSTREAM_HELPER_H

#include <stdbool.h>

/*
 * Works on the pinned maps below @pin_dir until SIGTERM, or until @parent is no longer our parent. Two at
 * once are ruled out by a lock. @wipe_only: empties and wipes all slots, and returns. Logs errors; returns 0
 * or a negative errno.
 */
int keystream_run(const char *pin_dir, int parent, bool wipe_only);

#endif
