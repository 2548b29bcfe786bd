/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `talon login` and `talon up` do about a login: by a daemon that runs, or without one; with a setup
 * key, or by a person who signs in where management asks for that.
 */
#ifndef TALON_LOGIN_COMMAND_H
#define TALON_LOGIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"

struct login_command {
	struct config *config;
	const char *socket;		/* the daemon's */
	char *const *env;		/* says whether the session is graphical */
	FILE *out;			/* where the page and the code are shown */
	bool is_up;			/* `up`: where nobody can sign in, the daemon's own reason stands */
};

/*
 * Each returns 0, or a negative errno with one line in @why; -EREMOTEIO if the daemon, management or the
 * provider refused, as control_ask_up() has it.
 */
int login_by_daemon(const struct login_command *command, bool *ret_was_connected, char *why, size_t size);
int login_by_itself(const struct login_command *command, char *why, size_t size);
/* *@ret_expires_ns: when the login ends now, Unix; 0: never. */
int login_extend(const struct login_command *command, uint64_t *ret_expires_ns, char *why, size_t size);

#endif
