// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Destinations that this host serves itself: what the configuration gives, and what is found (host/found.h).
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "log/log.h"
#include "plane/internal.h"

static bool look(struct plane *p, uint64_t now)
{
	bool has_news, changed = found_look(&p->found, now, &has_news);

	if (has_news && p->is_ready)
		hazards_update(p);
	return changed;
}

void locals_start(struct plane *p)
{
	look(p, clock_boot_ns());
}

void locals_poll(struct plane *p, uint64_t now)
{
	/* what the maps hold of an earlier process stays until the first desired state */
	if ((look(p, now) || p->locals_error) && p->has_applied)
		locals_write(p);
}

void locals_write(struct plane *p)
{
	int ret = p->tables_known ? 0 : apply_read_tables(p);

	if (!ret)
		ret = apply_locals(p);
	if (ret && ret != p->locals_error)
		log_warn("not all addresses that this node serves could be written: %s", strerror(-ret));
	p->locals_error = ret;
	p->networks_changed = false;	/* single addresses: no other device carries more than before */
	if (p->is_ready)
		hazards_update(p);
	if (p->sees_change)
		map_bump_generation(p);
}

void locals_hazards(const struct plane *p, char *text, size_t size)
{
	if (p->found.trouble[0])
		text_append(text, size, "%s\n", p->found.trouble);
	if (p->locals_error)
		text_append(text, size, "not all addresses that this node serves could be written: %s\n",
			strerror(-p->locals_error));
	if (p->found.left_out)
		text_append(text, size, "%zu service addresses more than there is room for (%u): they are "
			"not served here; name their networks in Local\n", p->found.left_out,
			TALON_FOUND_MAX);
}
