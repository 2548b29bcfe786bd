// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// When the login of this peer ends: taken from management, kept over all connections, warned of ahead.
#include "base/clock.h"
#include "log/log.h"
#include "mesh/internal.h"

/* The clock of the host may be set meanwhile, which moves no timer. */
#define LOOK_AGAIN_NS	(60 * LOOP_SECOND)
#define SOON_NS		(3600 * LOOP_SECOND)

static void set_timer(struct mesh *mesh)
{
	uint64_t wait = expiry_watch_wait(&mesh->expiry, clock_unix_ns());

	if (wait == UINT64_MAX)
		loop_timer_cancel(mesh->loop, &mesh->expiry_timer);
	else
		loop_timer_after(mesh->loop, &mesh->expiry_timer,
			wait < LOOK_AGAIN_NS ? wait : LOOK_AGAIN_NS);
}

static void warn(struct mesh *mesh, const struct expiry_mark *mark, uint64_t now_ns)
{
	const char *severity = mark->is_urgent ? "CRITICAL" : "WARNING";
	char left[EXPIRY_TEXT_LEN], at[EXPIRY_TEXT_LEN];
	struct mesh_event *event;

	expiry_format_left(mesh->expiry.at_ns, now_ns, left);
	expiry_format_utc(mesh->expiry.at_ns, false, at);
	if (!mark->lead_ns) {
		log_warn("the login of this peer has ended (%s): run talon login", at);
		mesh_event(mesh, severity, "AUTHENTICATION", "the login of this peer has ended");
		return;
	}
	log_warn("the login of this peer ends in %s (%s): run talon login --extend", left, at);
	event = mesh_event(mesh, severity, "AUTHENTICATION", "the login of this peer ends in %s", left);
	event->expires_ns = mesh->expiry.at_ns;
	event->lead_minutes = mark->lead_ns / (60 * LOOP_SECOND);
}

static void look(void *ctx)
{
	struct mesh *mesh = ctx;
	uint64_t now_ns = clock_unix_ns();
	const struct expiry_mark *mark = expiry_watch_due(&mesh->expiry, now_ns);

	if (mark)
		warn(mesh, mark, now_ns);
	set_timer(mesh);
}

void mesh_expiry_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->expiry_timer, look, mesh);
}

static void tell(const struct mesh *mesh, uint64_t now_ns)
{
	char left[EXPIRY_TEXT_LEN], at[EXPIRY_TEXT_LEN];

	if (!mesh->expiry.at_ns) {
		log_info("the login of this peer does not end");
		return;
	}
	expiry_format_left(mesh->expiry.at_ns, now_ns, left);
	expiry_format_utc(mesh->expiry.at_ns, false, at);
	log_write(mesh->expiry.at_ns < now_ns + SOON_NS ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
		"the login of this peer ends at %s (in %s)", at, left);
}

void mesh_take_expiry(struct mesh *mesh, const struct expiry_said *said)
{
	uint64_t now_ns = clock_unix_ns(), at_ns = 0;

	switch (expiry_judge(said, now_ns, &at_ns)) {
	case EXPIRY_UNSAID:
		return;
	case EXPIRY_IMPLAUSIBLE:
		if (mesh->implausible_s == said->unix_s)
			break;
		log_err("management says that the login of this peer ends %lld s after 1970, which cannot "
			"be: taken as no end", (long long)said->unix_s);
		mesh_event(mesh, "ERROR", "AUTHENTICATION",
			"management named an end of the login that cannot be");
		mesh->implausible_s = said->unix_s;
		break;
	default:
		mesh->implausible_s = 0;
	}
	if (expiry_watch_set(&mesh->expiry, at_ns, now_ns))
		tell(mesh, now_ns);
	set_timer(mesh);
}

void mesh_forget_expiry(struct mesh *mesh)
{
	mesh->expiry = (struct expiry_watch){};
	set_timer(mesh);
}
