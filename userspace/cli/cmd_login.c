// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon login, and up where a daemon runs.
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "login/command.h"
#include "snapshot/control.h"

static struct login_command command_of(struct cli *cli, struct config *config, bool is_up)
{
	return (struct login_command){ config, cli_socket(config), cli->env, cli->out, is_up };
}

int cli_up_daemon(struct cli *cli, struct config *config, const char *said)
{
	const struct login_command command = command_of(cli, config, !said);
	char why[CONFIG_WHY_LEN];
	bool was_connected;
	int ret = login_by_daemon(&command, &was_connected, why, sizeof(why));

	if (ret)
		return cli_refused(cli, said ? "login" : "up", ret, why);
	fprintf(cli->out, "%s\n", said ? said : was_connected ? "Already connected" : "Connected");
	return CLI_OK;
}

/* As NetBird's client prints it: local time, with the zone's name. */
static int extend(struct cli *cli, struct config *config)
{
	const struct login_command command = command_of(cli, config, false);
	char why[CONFIG_WHY_LEN], text[64] = "none";
	uint64_t expires_ns;
	struct tm tm;
	int ret;

	if (config->mesh.setup_key)
		return cli_fail(cli, CLI_USAGE, "login: --extend: a setup key renews no login; leave it out");
	ret = login_extend(&command, &expires_ns, why, sizeof(why));
	if (ret)
		return cli_refused(cli, "login", ret, why);
	if (expires_ns && localtime_r(&(time_t){ expires_ns / 1000000000 }, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm);
	fprintf(cli->out, "Session extended. New expiry: %s\n", text);
	return CLI_OK;
}

/* Has the daemon register; without a daemon, talon registers itself. */
static int login(struct cli *cli, struct config *config)
{
	static const char said[] = "Logging successfully";
	struct login_command command;
	char why[CONFIG_WHY_LEN];
	const char *name, *value;
	bool wants_more_time = false;
	int code = CLI_OK, ret;

	while (!code && cli_next(cli, &name, &value)) {
		if (name && !value && !strcmp(name, "extend"))
			wants_more_time = true;
		else
			code = name && config_has_flag(name) ? cli_set_flag(cli, config, name, value)
				: cli_unknown(cli, "login", name, value);
	}
	if (code)
		return code;
	if (config_read_env(config, cli->env, why, sizeof(why)) || config_finish(config, "login", why,
		sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	cli_wipe_env(cli);
	if (wants_more_time)
		return extend(cli, config);
	ret = control_probe(cli_socket(config), why, sizeof(why));
	if (cli->as_netbird || (ret != -ENOENT && ret != -ECONNREFUSED))
		return cli_up_daemon(cli, config, said);
	command = command_of(cli, config, false);
	if (login_by_itself(&command, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "login: %s", why);
	fprintf(cli->out, "%s\n", said);
	return CLI_OK;
}

int cli_login(struct cli *cli)
{
	return cli_with_mesh(cli, login);
}
