/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process: it runs a plane, for a static file or for a mesh, and takes down what an earlier one left. */
#ifndef TALON_DAEMON_H
#define TALON_DAEMON_H

#include <stddef.h>

#include "config/config.h"
#include "hub/hub.h"

/* What came of a reload. */
struct daemon_report {
	char changed[1024];		/* a line for each thing, with its newline; "": nothing */
	char fixed[CONFIG_WHY_LEN];	/* names of settings that only the next start takes over */
	char why[CONFIG_WHY_LEN + 32];	/* the reason, if it was refused: one line */
};

struct daemon_reload {
	/*
	 * Reads again what @config was made of, and opens the log files again; if all of it is good, changes
	 * in @config what can change while it runs. @env: variables in place of the process's own; NULL: as
	 * before. Returns 0, or a negative errno where all stays as it is, with @report->why.
	 */
	int (*read)(void *ctx, char *const *env, struct daemon_report *report);
	void *ctx;
};

#define DAEMON_HANDED_OVER 1

/*
 * Runs until SIGTERM or SIGINT. @seat: of daemon_take_seat(); the caller keeps it. The datapath stays in the
 * kernel and goes on without us; a later run adopts it, daemon_down() removes it. @config was validated and
 * checked against the host. Logs what goes wrong; returns 0; DAEMON_HANDED_OVER if another controller waits
 * for @seat; or a negative errno, and when a fresh start fails nothing is left behind. SIGHUP never ends it:
 * @reload reads settings again, and in a mesh the host is looked at again.
 */
int daemon_run(struct config *config, int seat, const struct daemon_reload *reload);

/*
 * Ends a running controller of @pin_dir, if there is one, and removes every program, map, link, route, device
 * and pin. The controller is asked by the pins' directory, whatever container it is in; one that does not
 * hear within 4 s is ended by signals, if it can be seen from here.
 * @is_ending: it was asked already. Returns 0, or a negative errno with one line in @err. The pins stay
 * locked until this process ends.
 */
int daemon_down(const char *pin_dir, bool is_ending, char *err, size_t errlen);

/*
 * Runs a hub until SIGTERM or SIGINT; SIGHUP reads its file again. Logs what goes wrong. @first_key: called
 * with the setup key that a hub without a file makes, once; may be NULL. Returns 0 or a negative errno.
 */
int daemon_run_hub(const struct hub_options *options, void (*first_key)(void *ctx, const char *key),
	void *ctx);

#endif
