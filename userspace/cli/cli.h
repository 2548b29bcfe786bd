/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line: one table of subcommands, one way to read arguments, one form of error. */
#ifndef TALON_CLI_H
#define TALON_CLI_H

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

struct cli_command {
	const char *name;
	const char *summary;
	const char *usage;	/* after "talon NAME" */
	const char *help;
	int (*run)(struct cli *cli);	/* enum cli_exit */
};

/* All subcommands; an entry without name ends them. */
extern const struct cli_command cli_commands[];

/* Runs the subcommand that argv[1] names. Returns enum cli_exit. */
int cli_main(struct cli *cli, int argc, char **argv);

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
/* What `up` and `preflight` are told. Set up as { .own = "NAME" }, then by cli_settings_init(). */
struct cli_settings {
	struct config config;		/* the caller frees it */
	const char *file;		/* of --static; NULL: a mesh */
	const char *own;		/* a switch that only this command has, without dashes */
	bool own_is_given;
};

/* Defaults; whether a file is named decides what the flags mean, so that is looked for first. */
void cli_settings_init(const struct cli *cli, struct cli_settings *settings);
/* Arguments alone. Returns enum cli_exit after saying what is wrong. */
int cli_settings_arguments(struct cli *cli, const char *command, struct cli_settings *settings);
/* Arguments, environment and file, validated; secrets in the environment are wiped. Returns enum cli_exit. */
int cli_settings_read(struct cli *cli, const char *command, struct cli_settings *settings);
/* Wipes secrets in the environment. */
void cli_wipe_env(struct cli *cli);

/* Where the daemon listens. */
const char *cli_socket(const struct config *config);
/* The line for a daemon that cannot be reached. Returns CLI_FAILED. */
int cli_no_daemon(struct cli *cli, const char *why);
/*
 * The line for a request that the daemon refused, or for a daemon that cannot be reached. Returns CLI_FAILED.
 */
int cli_refused(struct cli *cli, const char *command, int ret, const char *why);
/* Runs @fn with the configuration of a mesh, which it fills from flags and environment. */
int cli_with_mesh(struct cli *cli, int (*fn)(struct cli *cli, struct config *config));
/* `up` and `login` when a daemon runs; @said: printed on success, NULL: the state. Returns enum cli_exit. */
int cli_up_daemon(struct cli *cli, struct config *config, const char *said);

void cli_print_help(FILE *out, const struct cli_command *command);

int cli_up(struct cli *cli);
int cli_down(struct cli *cli);
int cli_preflight(struct cli *cli);
int cli_status(struct cli *cli);
int cli_trace(struct cli *cli);
int cli_drops(struct cli *cli);
int cli_capture(struct cli *cli);
int cli_version(struct cli *cli);
int cli_genkey(struct cli *cli);
int cli_pubkey(struct cli *cli);
int cli_help(struct cli *cli);
int cli_networks(struct cli *cli);
int cli_forwarding(struct cli *cli);
int cli_profile(struct cli *cli);
int cli_expose(struct cli *cli);
int cli_login(struct cli *cli);
int cli_logout(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_service(struct cli *cli);
int cli_service_run(struct cli *cli);	/* `service run`: its verb was taken */
int cli_debug(struct cli *cli);
int cli_flows(struct cli *cli);
int cli_metrics(struct cli *cli);
int cli_top(struct cli *cli);
/* Hidden: the plane starts the first, `make docs` and lint run the second. */
int cli_keystream(struct cli *cli);
int cli_options(struct cli *cli);

/* By name or alias; NULL: unknown. */
const struct cli_command *cli_find_command(const char *name);
/* Why Talon has no command @name although NetBird's client has; NULL: no client knows it. */
const char *cli_why_absent(const char *name);

#endif
