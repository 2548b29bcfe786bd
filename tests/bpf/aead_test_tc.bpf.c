// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same programs for tc.
#define TALON_TC
#include "aead_test.bpf.c"
