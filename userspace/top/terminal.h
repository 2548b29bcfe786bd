/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A terminal that is drawn anew every now and then, and left as it was found. */
#ifndef TALON_TOP_TERMINAL_H
#define TALON_TOP_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "top/top.h"

struct terminal {
	FILE *out;
	bool is_drawn;			/* out is a terminal that terminal_begin() has taken */
	sigset_t mask_before;
};

enum terminal_event { TERMINAL_TIME, TERMINAL_REDRAW, TERMINAL_QUIT };

bool terminal_is(FILE *out);
/* Its size now; 80 by 24 if it does not say. Not a terminal: no limits. */
struct top_screen terminal_screen(FILE *out);

/*
 * Takes @out over if @draw: clears it and hides the cursor, and keeps SIGINT, SIGTERM, SIGHUP, SIGTSTP and
 * SIGWINCH for terminal_wait(). Otherwise signals do what they always do. terminal_end() undoes it.
 */
void terminal_begin(struct terminal *terminal, FILE *out, bool draw);
void terminal_end(struct terminal *terminal);

/*
 * Waits until @deadline_ns (CLOCK_MONOTONIC). TERMINAL_REDRAW: the size changed, or the process was stopped
 * and goes on. TERMINAL_QUIT: a signal asks it to end.
 */
enum terminal_event terminal_wait(struct terminal *terminal, __u64 deadline_ns);

#endif
