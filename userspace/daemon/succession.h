/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between two controllers of one datapath: who starts waits until the other has let go, and who has let go
 * stands by, in case that the new one ends. In between, packets flow as after a kill.
 */
#ifndef TALON_DAEMON_SUCCESSION_H
#define TALON_DAEMON_SUCCESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/*
 * Takes the lock on @config's pins; with @config->take_over, asks a controller that has it to hand over, and
 * waits for as long as that takes. Before it asks, it sees that this host is fit (PREFLIGHT_BEFORE), and sets
 * @ret_has_asked. Returns a descriptor (datapath/seat.h) for daemon_leave_seat(); -EINTR if SIGTERM or SIGINT
 * came meanwhile; -ECANCELED if the host is not fit, or another negative errno, with one line in @why.
 */
int daemon_take_seat(const struct config *config, bool *ret_has_asked, char *why, size_t size);
/*
 * After a hand-over: waits until the other controller is gone. Returns 1 with the lock of @seat taken again;
 * 0 if this process should end, because of a signal or because the datapath was removed; or a negative errno.
 */
int daemon_stand_by(const struct config *config, int seat);
/*
 * After the end for `talon down`: lets go of the lock, and returns when the command has ended, too. It may
 * run in our container, which ends with us.
 */
void daemon_let_remove(int seat);
void daemon_leave_seat(const struct config *config, int seat);

#endif
