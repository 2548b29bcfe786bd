/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line: one table of subcommands, one way to read arguments, one form of error. */
#ifndef TALON_CLI_H
#define TALON_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "args/args.h"
#include "config/config.h"
#include "look/look.h"

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
int cli_hub(struct cli *cli);
int cli_hub_ask(struct cli *cli);		/* `hub peers` and others: the verb comes next */
struct hub_options;
/* What the environment says. */
void cli_hub_environment(struct hub_options *options);
/* Takes the value of a flag of `hub`. 0; -ENOENT: there is no such flag; -EINVAL: said that it has none. */
int cli_hub_flag(struct cli *cli, struct hub_options *options, const char *name, const char *value);
/* Hidden: the plane starts the first, `make docs` and lint run the second. */
int cli_keystream(struct cli *cli);
int cli_options(struct cli *cli);

/* By name or alias; NULL: unknown. */
const struct cli_command *cli_find_command(const char *name);
/* Why Talon has no command @name although NetBird's client has; NULL: no client knows it. */
const char *cli_why_absent(const char *name);

#endif
