// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon up: everything that can be refused is refused here, before the controller touches anything.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/preflight.h"
#include "controller/controller.h"
#include "log/log.h"

struct up {
	struct config config;
	const char *file;
	bool dry_run;
};

static int take_flag(struct cli *cli, struct up *up, const char *name, const char *value)
{
	char why[CONFIG_WHY_LEN];
	int ret;

	if (!name)
		return cli_unknown(cli, "up", name, value);
	if (!strcmp(name, "dry-run") && !value) {
		up->dry_run = true;
		return CLI_OK;
	}
	if (!strcmp(name, "static")) {
		up->file = cli_value(cli, name, value);
		return up->file ? CLI_OK : CLI_USAGE;
	}
	/* Asked without a value first, so that what follows an unknown flag is not taken for one. */
	if (!config_has_flag(name))
		return cli_unknown(cli, "up", name, value);
	value = cli_value(cli, name, value);
	if (!value)
		return CLI_USAGE;
	ret = config_set_flag(&up->config, name, value, why, sizeof(why));
	return ret ? cli_fail(cli, CLI_USAGE, "%s", why) : CLI_OK;
}

static const char *file_from_env(char *const *env)
{
	static const char name[] = "TALON_STATIC=";

	for (; *env; env++) {
		if (!strncmp(*env, name, sizeof(name) - 1) && (*env)[sizeof(name) - 1])
			return *env + sizeof(name) - 1;
	}
	return NULL;
}

static int read_arguments(struct cli *cli, struct up *up)
{
	const char *name, *value;
	int code = CLI_OK;

	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, up, name, value);
	if (code)
		return code;
	if (!up->file)
		up->file = file_from_env(cli->env);
	if (!up->file)
		return cli_fail(cli, CLI_USAGE, "up: there is no configuration; write talon up --static FILE");
	return CLI_OK;
}

static int read_config(struct cli *cli, struct up *up)
{
	struct config *config = &up->config;
	char why[CONFIG_WHY_LEN];

	if (config_read_env(config, cli->env, why, sizeof(why)) ||
	    config_read_file(config, up->file, why, sizeof(why)) ||
	    config_finish(config, up->file, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	return CLI_OK;
}

static void log_notes(const struct config *config)
{
	for (size_t i = 0; i < config->note_count; i++)
		log_write(config->notes[i].level, "%s", config->notes[i].text);
}

static void print_notes(struct cli *cli, const struct config *config)
{
	for (size_t i = 0; i < config->note_count; i++)
		fprintf(cli->out, "%s: %s\n", config->notes[i].level == LOG_LEVEL_WARN ? "warning" : "note",
			config->notes[i].text);
}

static int dry_run(struct cli *cli, const struct up *up)
{
	const struct config *config = &up->config;

	print_notes(cli, config);
	fprintf(cli->out, "%s: good; %zu %s, %zu %s\n", up->file, config->peer_count,
		config->peer_count == 1 ? "peer" : "peers", config->route_count,
		config->route_count == 1 ? "route" : "routes");
	return CLI_OK;
}

static int run(struct cli *cli, struct up *up)
{
	char why[CONFIG_WHY_LEN];

	log_set_level(up->config.log_level);
	log_bridge_libbpf();
	if (preflight_check(&up->config, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	if (config_resolve(&up->config) < 0)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	log_notes(&up->config);
	return controller_run(&up->config) ? CLI_FAILED : CLI_OK;
}

int cli_up(struct cli *cli)
{
	struct up up = {};
	int code;

	config_init(&up.config);
	code = read_arguments(cli, &up);
	if (!code)
		code = read_config(cli, &up);
	if (!code)
		code = up.dry_run ? dry_run(cli, &up) : run(cli, &up);
	config_free(&up.config);
	return code;
}
