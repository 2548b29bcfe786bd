/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TALON_HANDOVER_INTERNAL_H
#define TALON_HANDOVER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "talon/relayed_types.h"

/* Makes the other side of @connection, which has no socket here, send something. 0 or a negative errno. */
int provoke(const struct talon_quiet *connection);

#endif
