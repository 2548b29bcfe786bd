/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a command that goes on and on should end: a signal came, or nobody reads what it writes. */
#ifndef TALON_WATCH_STOP_H
#define TALON_WATCH_STOP_H

#include <stdbool.h>
#include <stdio.h>

/* From now on SIGINT, SIGTERM and SIGHUP only set what watch_is_stopped() says, and SIGPIPE does nothing. */
void watch_catch_signals(void);
bool watch_is_stopped(void);
/* True if @out is a pipe or socket that has lost its reader. */
bool watch_reader_is_gone(FILE *out);

#endif
