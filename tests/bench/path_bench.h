/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by path_bench.bpf.c and bench_path.c. */
#ifndef TALON_TESTS_PATH_BENCH_H
#define TALON_TESTS_PATH_BENCH_H

#include "talon/types.h"

/* bytes of the packet that differ from flow to flow: IPv4 and UDP headers, in whole blocks of 16 */
#define PATH_BENCH_HEAD 32
#define PATH_BENCH_FRAME 1408
#define PATH_BENCH_SLOTS 1024		/* of keystream, used in turn; all hold that of the job's counter */

/* Bits; less one, each is an enum talon_keystream_dir. */
enum path_bench_ahead {
	PATH_BENCH_RECV	= 1,
	PATH_BENCH_SEND	= 2,
};

/* One flow's packet, as far as it differs from the frame. */
struct path_bench_item {
	__u8	head[PATH_BENCH_HEAD];
	__u8	tag[16];		/* in only */
};

struct path_bench_job {
	__u32	size;			/* of the frame */
	__u32	head_off;		/* where an item's head goes */
	__u32	tag_off;		/* and its tag; 0: none */
	__u32	items;
	/* of the session whose window is set back, so that the counter is the next one again */
	__u32	slot;
	__u32	plain_len;
	__u64	counter;
	__u32	key[8];
	__u32	next;			/* item */
	__u32	next_slot;		/* of keystream */
	__u32	index;			/* of the session */
	__u32	send_slot;		/* of the session that seals */
	__u32	send_index;
	__u32	ahead;			/* enum path_bench_ahead: keystream is ready; 0: none */
	__u8	frame[PATH_BENCH_FRAME];
};

#endif
