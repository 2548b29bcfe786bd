/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Access rules as maps: classes of sources, destinations and ports, and which rules each class satisfies (userspace/apply/acl.h). */
#ifndef TALON_ACL_TYPES_H
#define TALON_ACL_TYPES_H

#include "talon/types.h"

#endif
