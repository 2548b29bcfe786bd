// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The cases of test_uplink.c on the tc program. What it sends through the tunnel device goes through that
// program, too.
#define UPLINK_HOOK RIG_TC
#include "bpf/test_uplink.c"
