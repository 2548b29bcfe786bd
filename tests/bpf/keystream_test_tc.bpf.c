// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same programs for tc.
#define TALON_TC
#include "keystream_test.bpf.c"
