/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Commands that look at the datapath through its pinned maps, with or without a controller. */
#ifndef TALON_LOOK_H
#define TALON_LOOK_H

#include "args/args.h"

/* Each takes its own arguments, prints and returns enum cli_exit. */
int cli_trace(struct cli *cli);
int cli_drops(struct cli *cli);
int cli_capture(struct cli *cli);
int cli_flows(struct cli *cli);
int cli_metrics(struct cli *cli);
int cli_top(struct cli *cli);

#endif
