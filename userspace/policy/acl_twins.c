// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which rules of IPv4 and of IPv6 share a bit.
#include <errno.h>
#include <stdlib.h>

#include "base/interner.h"
#include "policy/acl_internal.h"

/*
 * Of each trait at most one family has rules without a twin at any time: the other family's next one takes
 * the latest of them.
 */
int acl_find_twins(const struct acl_trait *traits, const uint8_t *families, uint32_t count,
	uint32_t *ret_twins)
{
	struct interner kinds = { .item_size = sizeof(*traits) };
	uint32_t *last = calloc(count + 1, sizeof(*last));	/* without a twin, of each trait; plus one */
	uint32_t *before = calloc(count + 1, sizeof(*before));	/* the one before it; plus one */
	int ret = last && before ? 0 : -ENOMEM;
	uint32_t kind;

	for (uint32_t i = 0; i < count && !ret; i++) {
		ret_twins[i] = ACL_NO_TWIN;
		ret = interner_add(&kinds, &traits[i], &kind);
		if (ret)
			break;
		if (last[kind] && families[last[kind] - 1] != families[i]) {
			const uint32_t twin = last[kind] - 1;

			last[kind] = before[twin];
			ret_twins[twin] = i;
			ret_twins[i] = twin;
		} else {
			before[i] = last[kind];
			last[kind] = i + 1;
		}
	}
	interner_done(&kinds);
	free(last);
	free(before);
	return ret;
}
