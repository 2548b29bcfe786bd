/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared between the daemon's files. */
#ifndef TALON_DAEMON_INTERNAL_H
#define TALON_DAEMON_INTERNAL_H

/* A fresh start failed with its programs attached: takes them off. Logs what goes wrong. */
void down_undo(const char *pin_dir, int seat);

#endif
