// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The cases of test_whose.c on the tc program.
#define UPLINK_HOOK RIG_TC
#include "bpf/test_whose.c"
