// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A reload: read and judged as a whole by who made the configuration, then brought into force.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "daemon/reload.h"
#include "daemon/static.h"
#include "log/log.h"
#include "plane/run.h"
#include "snapshot/control.h"

/* Log files are renamed whatever becomes of the settings. */
static void refuse(struct daemon_report *report)
{
	char why[CONFIG_WHY_LEN];

	text_append(report->why, sizeof(report->why), "; nothing has changed");
	if (log_reopen(why, sizeof(why)))
		log_warn("%s", why);
}

static int bring_into_force(struct reload *r, char *why, size_t size)
{
	int ret;

	if (r->mesh) {
		mesh_take_settings(r->mesh);
		plane_look_again(r->plane);
		return 0;
	}
	names_restart();
	ret = static_apply(r->plane, r->config, why, size);
	plane_wake(r->plane);
	return ret;
}

/* While starting there is nothing to reload: the start reads everything. */
static int run(struct reload *r, char *const *env, struct daemon_report *report)
{
	int ret;

	if (*r->is_ending || !plane_is_ready(r->plane)) {
		snprintf(report->why, sizeof(report->why), "not now: %s", *r->is_ending ? "it ends"
			: "it is just starting");
		return -EAGAIN;
	}
	notify_reload_begin(r->notify);
	ret = r->how->read(r->how->ctx, env, report);
	if (!ret)
		ret = bring_into_force(r, report->why, sizeof(report->why));
	else
		refuse(report);
	notify_reload_end(r->notify);
	return ret;
}

static void log_lines(const char *by, const char *lines)
{
	for (int len; *lines; lines += len + (lines[len] == '\n')) {
		len = strcspn(lines, "\n");
		log_info("%s: %.*s", by, len, lines);
	}
}

static void log_report(const struct reload *r, const char *by, int ret, const struct daemon_report *report)
{
	if (ret == -EAGAIN)
		log_info("%s: %s", by, report->why);
	else if (ret)
		log_err("%s: %s", by, report->why);
	log_lines(by, report->changed);
	if (*report->fixed)
		log_warn("%s: %s: only the next start takes that over", by, report->fixed);
	if (ret)
		return;
	if (r->mesh)
		log_info("%s: settings are in force; this host's addresses are looked at again", by);
	else
		log_info("%s: %zu peers and %zu routes are in force", by, r->config->peer_count,
			r->config->route_count);
}

void reload_on_signal(struct reload *r)
{
	struct daemon_report report = {};

	log_report(r, "SIGHUP", run(r, NULL, &report), &report);
}

static int on_request(void *ctx, char *const *env, char *said, size_t said_size, char *err, size_t errlen)
{
	struct daemon_report report = {};
	struct reload *r = ctx;
	int ret = run(r, env, &report);

	log_report(r, "reload", ret, &report);
	snprintf(err, errlen, "%s", report.why);
	snprintf(said, said_size, "%s", *report.changed || *report.fixed ? report.changed
		: "nothing has changed\n");
	if (*report.fixed)
		text_append(said, said_size, "needs a restart: %s\n", report.fixed);
	return ret;
}

/* Another daemon of these pins cannot be: datapath_load() has seen to that. */
static void listen_alone(struct reload *r)
{
	static const struct control_ops ops = { .reload = on_request };
	char path[CONTROL_PATH_LEN], why[CONFIG_WHY_LEN];

	control_path_of_pins(r->config->pin_dir, path);
	mkdir(CONTROL_DIR, 0755);	/* if it fails, so does what follows, and says why */
	if (control_new(&r->control, plane_loop(r->plane), path, &ops, r, why, sizeof(why)))
		log_info("talon reload cannot reach this process, SIGHUP can: %s", why);
}

void reload_listen(struct reload *r)
{
	if (r->mesh)
		mesh_set_reload(r->mesh, on_request, r);
	else
		listen_alone(r);
}

void reload_stop(struct reload *r)
{
	control_free(r->control);
	r->control = NULL;
}
