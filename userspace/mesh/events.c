// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Events for people, and connections of which it is known since when they are up or why they are down.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "mesh/internal.h"

struct mesh_event *mesh_event(struct mesh *mesh, const char *severity, const char *category, const char *fmt,
	...)
{
	struct mesh_event *event = &mesh->events[mesh->event_count++ % MESH_EVENTS_MAX];
	va_list args;

	*event = (struct mesh_event){ .at_ns = clock_unix_ns(), .severity = severity, .category = category };
	va_start(args, fmt);
	vsnprintf(event->message, sizeof(event->message), fmt, args);
	va_end(args);
	return event;
}

bool mesh_link_set(struct mesh_link *link, bool is_connected, const char *why)
{
	bool changed = link->is_connected != is_connected || (!is_connected && strcmp(link->why, why) != 0);

	if (!changed)
		return false;
	if (link->is_connected != is_connected || !link->since_ns)
		link->since_ns = clock_unix_ns();
	link->connects += is_connected && !link->is_connected;
	link->is_connected = is_connected;
	snprintf(link->why, sizeof(link->why), "%s", is_connected ? "" : why);
	return true;
}
