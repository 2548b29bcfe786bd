// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon reload: a running daemon reads its settings again and says what changed.
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "snapshot/control.h"

/* Those of ours that are settings; an empty one counts as not set. Returns their number, or -E2BIG. */
static int list_settings(char *const *env, char *list[static CONTROL_ENV_MAX + 1])
{
	size_t count = 0;

	for (; *env; env++) {
		const char *value = strchr(*env, '=');

		if (!value || !value[1] || (strncmp(*env, "TALON_", 6) && strncmp(*env, "NB_", 3) &&
			strncmp(*env, "WT_", 3)))
			continue;
		if (count == CONTROL_ENV_MAX)
			return -E2BIG;
		list[count++] = *env;
	}
	list[count] = NULL;
	return count;
}

/* The daemon of these pins, or one in a mesh; where a socket was named, that one alone. */
static int ask(const struct config *config, char *const *env, char *said, size_t said_size, char *why,
	size_t size)
{
	char path[CONTROL_PATH_LEN];
	int ret;

	if (config->mesh.control_socket)
		return control_ask_reload(config->mesh.control_socket, env, said, said_size, why, size);
	control_path_of_pins(config->pin_dir, path);
	ret = control_ask_reload(path, env, said, said_size, why, size);
	return ret == -ENOENT || ret == -ECONNREFUSED
		? control_ask_reload(CONFIG_CONTROL_SOCKET, env, said, said_size, why, size) : ret;
}

static int arguments(struct cli *cli, struct config *config, bool *ret_environment)
{
	const char *name, *value;
	int ret;

	while (cli_next(cli, &name, &value)) {
		if (name && !strcmp(name, "environment") && !value) {
			*ret_environment = true;
			continue;
		}
		ret = cli_common_flag(cli, config, name, value);
		if (ret == -ENOENT)
			return cli_unknown(cli, "reload", name, value);
		if (ret)
			return CLI_USAGE;
	}
	return cli_common_env(cli, config) ? CLI_USAGE : CLI_OK;
}

static int run(struct cli *cli, struct config *config)
{
	char *env[CONTROL_ENV_MAX + 1], said[CONTROL_SAID_MAX], why[CONFIG_WHY_LEN + 64];
	bool environment = false;
	int code = arguments(cli, config, &environment), ret;

	if (code)
		return code;
	if (environment && list_settings(cli->env, env) < 0)
		return cli_fail(cli, CLI_USAGE, "reload: more than %u variables", CONTROL_ENV_MAX);
	ret = ask(config, environment ? env : NULL, said, sizeof(said), why, sizeof(why));
	if (ret == -EREMOTEIO)
		return cli_fail(cli, CLI_FAILED, "reload: %s", why);
	if (ret)
		return cli_no_daemon(cli, why);
	fputs(said, cli->out);
	return CLI_OK;
}

int cli_reload(struct cli *cli)
{
	struct config config;
	int code;

	config_init(&config);
	config_use_mesh(&config);
	code = run(cli, &config);
	config_free(&config);
	return code;
}
