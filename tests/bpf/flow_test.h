/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Input and output of flow_test.bpf.c, carried in the test packet. */
#ifndef TALON_TESTS_BPF_FLOW_TEST_H
#define TALON_TESTS_BPF_FLOW_TEST_H

#include "talon/nat_types.h"

enum flow_test_op {
	FLOW_TEST_CREATE	= 1,
	FLOW_TEST_FIND_FWD,
	FLOW_TEST_FIND_REV,
	FLOW_TEST_TOUCH_OUT,	/* of the flow found by its forward key */
	FLOW_TEST_TOUCH_IN,
	FLOW_TEST_CLOSE,
	FLOW_TEST_RACE,
};

struct flow_test_job {
	__u32	op;
	__u32	now_s;
	__u32	tcp_flags;
	__u32	pad;		/* 0: where a frame has its protocol */
	struct talon_flow_key key;
	__u32	count;		/* of steps of a race */
	__u32	seed;
	__u32	peer;		/* who creates */
	__u32	pad2;
	__s32	ret;		/* out */
	__u32	id;		/* out */
	struct talon_flow flow;	/* out: the record after the operation */
};

/* Few keys and ports, so that CPUs collide often. */
#define RACE_CLIENTS	10
#define RACE_REMOTES	2
#define RACE_PORT_FIRST	20000
#define RACE_PORTS	6
#define RACE_RECORDS	4096

struct flow_test_race {
	__u64	created;
	__u64	found;
	__u64	refused;
	__u64	violations;
	__u32	claim_fwd[RACE_CLIENTS * RACE_REMOTES];	/* latest id created for this key */
	__u32	claim_rev[RACE_PORTS * RACE_REMOTES];
};

#endif
