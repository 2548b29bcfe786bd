/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which networks the user selected: routeselector_state of state.json, whose other keys are kept. */
#ifndef TALON_ROUTE_SELECTION_H
#define TALON_ROUTE_SELECTION_H

#include <stdbool.h>
#include <stddef.h>

struct route_selection {
	char **selected;		/* network ids */
	size_t selected_count;
	char **deselected;
	size_t deselected_count;
	bool deselect_all;
};

/*
 * Both return 0, -EBADMSG for a damaged file, which is not overwritten, or another negative errno. A
 * missing file is an empty selection.
 */
int route_selection_load(const char *path, struct route_selection *ret_selection);
int route_selection_save(const char *path, const struct route_selection *selection);
void route_selection_done(struct route_selection *selection);

#endif
