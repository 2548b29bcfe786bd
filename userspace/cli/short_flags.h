/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments with several letters, taken apart before a command reads them. */
#ifndef TALON_SHORT_FLAGS_H
#define TALON_SHORT_FLAGS_H

#include <stdbool.h>

struct short_flags {
	int argc;
	char **argv;			/* with them taken apart */
	char *letters;
};

/*
 * The arguments @argv of @command, which must stay as long as what comes of them. @values: also letters with
 * a value behind them, as NetBird's client takes them; else `status -json` is no group. Returns 0, or -1
 * without memory. Call short_flags_done() in both cases, when the command is over.
 */
int short_flags_split(const char *command, int argc, char **argv, bool values, struct short_flags *ret_flags);
void short_flags_done(struct short_flags *flags);

#endif
