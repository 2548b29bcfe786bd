// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What `up` and `preflight` are told: a file or a mesh, the environment, flags.
#include <limits.h>
#include <string.h>

#include "base/slice.h"
#include "cli/cli.h"

static int take_flag(struct cli *cli, const char *command, struct cli_settings *settings, const char *name,
	const char *value)
{
	if (!name)
		return cli_unknown(cli, command, name, value);
	if (!strcmp(name, settings->own) && !value) {
		settings->own_is_given = true;
		return CLI_OK;
	}
	if (!strcmp(name, "static")) {
		settings->file = cli_value(cli, name, value);
		return settings->file ? CLI_OK : CLI_USAGE;
	}
	/* Asked without a value first, so that what follows an unknown flag is not taken for one. */
	if (!config_has_flag(name))
		return cli_unknown(cli, command, name, value);
	return cli_set_flag(cli, &settings->config, name, value);
}

static const char *file_from_env(char *const *env)
{
	static const char name[] = "TALON_STATIC=";
	static char path[PATH_MAX];	/* as it is but for the line feed that a Secret's value may end in */

	for (; *env; env++) {
		if (!strncmp(*env, name, sizeof(name) - 1) && (*env)[sizeof(name) - 1])
			return slice_copy(slice_trim(slice_from(*env + sizeof(name) - 1)), path, sizeof(path))
				? path : *env + sizeof(name) - 1;
	}
	return NULL;
}

/* Whether a file is read decides what the flags mean, so that is looked for first. */
static const char *find_file(const struct cli *cli)
{
	for (int i = cli->at; i < cli->argc; i++) {
		if (!strcmp(cli->argv[i], "--static") || !strncmp(cli->argv[i], "--static=", 9))
			return cli->argv[i];
	}
	return file_from_env(cli->env);
}

void cli_settings_init(const struct cli *cli, struct cli_settings *settings)
{
	config_init(&settings->config);
	if (!find_file(cli))
		config_use_mesh(&settings->config);
}

int cli_settings_arguments(struct cli *cli, const char *command, struct cli_settings *settings)
{
	const char *name, *value, *given;
	int code = CLI_OK;

	settings->file = file_from_env(cli->env);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, command, settings, name, value);
	if (code || !settings->file)
		return code;
	given = config_mesh_flag_given(&settings->config);
	if (given)
		return cli_fail(cli, CLI_USAGE,
			"--%s: belongs to a mesh; leave it out, or leave --static out", given);
	return CLI_OK;
}

int cli_settings_read(struct cli *cli, const char *command, struct cli_settings *settings)
{
	struct config *config = &settings->config;
	char why[CONFIG_WHY_LEN];
	int code = cli_settings_arguments(cli, command, settings);

	if (code)
		return code;
	if (config_read_env(config, cli->env, why, sizeof(why)) ||
	    (settings->file && config_read_file(config, settings->file, why, sizeof(why))) ||
	    config_finish(config, settings->file, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	cli_wipe_env(cli);
	return CLI_OK;
}
