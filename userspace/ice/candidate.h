/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ice/ alone needs to know of candidates; their text is in agent.h. */
#ifndef TALON_ICE_CANDIDATE_H
#define TALON_ICE_CANDIDATE_H

#include <stdint.h>

#include "ice/agent.h"

/* RFC 8445 section 5.1.2.1 with the one local preference and the one component that there are. */
uint32_t ice_candidate_priority(enum ice_candidate_type type);

#endif
