/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arguments of a command, read in one way, and one form of error. */
#ifndef TALON_ARGS_H
#define TALON_ARGS_H

#include <stdbool.h>
#include <stdio.h>

#include "config/config.h"

enum cli_exit {
	CLI_OK		= 0,
	CLI_FAILED	= 1,	/* a valid request that failed; a check whose answer is no */
	CLI_USAGE	= 2,	/* bad arguments, configuration or host; nothing was touched */
};

/* Where a command reads and writes, so that tests can look. */
struct cli {
	FILE *in;
	FILE *out;
	FILE *err;
	char *const *env;
	int argc;		/* arguments after the subcommand */
	char **argv;
	int at;			/* the next one */
	bool as_netbird;	/* run under the name netbird: its wording, exit code 1 for every error */
	/* arguments and environment are the process's own: secrets in them are wiped */
	bool is_main;
	bool is_again;			/* arguments are read once more: secrets in them are wiped by now */
	unsigned int patience_ms;	/* how long `netbird up` waits for a daemon that is just starting */
	char name[64];		/* of the flag that cli_next returned last */
};

/* "talon: ..." (or "Error: ...") on one line to cli->err. Returns @code. */
int cli_fail(struct cli *cli, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * The next argument. "--name=value" and "--name value" are the same; a short flag is one letter. @ret_name
 * has no dashes; it is NULL for an argument that is not a flag, which @ret_value then holds. Returns false at
 * the end.
 */
bool cli_next(struct cli *cli, const char **ret_name, const char **ret_value);
/* Value of the flag that cli_next just returned as @name. Returns NULL after saying that it is missing. */
const char *cli_value(struct cli *cli, const char *name, const char *value);
/* The line for an argument that a command does not know. Returns CLI_USAGE. */
int cli_unknown(struct cli *cli, const char *command, const char *name, const char *value);

/* For a command without arguments: CLI_USAGE, with its error line, if one is left; else CLI_OK. */
int cli_no_arguments(struct cli *cli, const char *command);

/*
 * Flags that every command has: --pin-dir, --log-level, and NetBird's global ones, of which commands other
 * than `up` heed only --daemon-addr. Returns 0 when taken, -ENOENT when @name is none of them, -EINVAL after
 * saying what is wrong.
 */
int cli_common_flag(struct cli *cli, struct config *config, const char *name, const char *value);
/* The same from the environment. Returns 0 or -EINVAL after saying what is wrong. */
int cli_common_env(struct cli *cli, struct config *config);
/* For a command that asks a daemon: flags and environment, nothing else. Returns enum cli_exit. */
int cli_common_only(struct cli *cli, struct config *config, const char *command);
/*
 * Sets an option of `up`; a switch needs no value, and a secret is wiped where it stood.
 * Returns enum cli_exit.
 */
int cli_set_flag(struct cli *cli, struct config *config, const char *name, const char *value);
/* Is @name (without dashes) a flag that every command has? */
bool cli_is_common(const char *name);
/* Wipes secrets in the environment. */
void cli_wipe_env(struct cli *cli);

#endif
