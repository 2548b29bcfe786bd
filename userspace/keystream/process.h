/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The helper process as its parent sees it: started, started again when it ends or hangs, ended with us. */
#ifndef TALON_KEYSTREAM_PROCESS_H
#define TALON_KEYSTREAM_PROCESS_H

#include <stdint.h>

#include "datapath/datapath.h"
#include "loop/loop.h"

/* Zeroed, with the first four and fd = -1 set. */
struct keystream_process {
	struct loop *loop;
	const struct datapath *dp;
	const char *pin_dir;
	uint32_t memory;		/* MiB for slots; 0: the helper only wipes what there is */
	int pid;			/* 0: none */
	int fd;				/* of the process, to hear of its end; -1: none */
	struct loop_fd watch;
	uint64_t started_ns;
	uint64_t due_ns;		/* when the next one is started */
	uint64_t backoff_ns;
};

/* Each second. Does nothing for a datapath without slots. */
void keystream_process_check(struct keystream_process *process, uint64_t now_ns);
/* Ends the helper and waits for its exit; it is killed if it has not exited after about a second. */
void keystream_process_stop(struct keystream_process *process);

#endif
