// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon status: gather, then show or judge.
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "log/log.h"
#include "status/show.h"
#include "status/status.h"

struct options {
	struct config config;		/* only its pin_dir and log_level */
	bool detail;
	bool json;
	bool is_check;
	enum status_check check;
};

static int take_check(struct cli *cli, struct options *o, const char *value)
{
	value = cli_value(cli, "check", value);
	if (!value)
		return CLI_USAGE;
	if (status_check_parse(value, &o->check))
		return cli_fail(cli, CLI_USAGE,
			"--check: '%.40s' is not a check; write live, ready, startup or datapath",
			value);
	o->is_check = true;
	return CLI_OK;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (name && !value && (!strcmp(name, "d") || !strcmp(name, "detail"))) {
		o->detail = true;
		return CLI_OK;
	}
	if (name && !value && !strcmp(name, "json")) {
		o->json = true;
		return CLI_OK;
	}
	if (name && !strcmp(name, "check"))
		return take_check(cli, o, value);
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "status", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

static int judge(struct cli *cli, const struct options *o, const struct status *status)
{
	char why[CONFIG_WHY_LEN];
	bool holds = status_check(status, o->check, why, sizeof(why));

	show_text(cli->out, why, sizeof(why));
	fputc('\n', cli->out);
	return holds ? CLI_OK : CLI_FAILED;
}

static int run(struct cli *cli, const struct options *o)
{
	char why[CONFIG_WHY_LEN];
	struct status status;
	int code = CLI_OK;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	if (status_read(&status, o->config.pin_dir, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	if (o->is_check)
		code = judge(cli, o, &status);
	else if (o->json)
		status_print_json(cli->out, &status);
	else
		status_print_text(cli->out, &status, o->detail);
	status_free(&status);
	return code;
}

int cli_status(struct cli *cli)
{
	const char *name, *value;
	struct options o = {};
	int code = CLI_OK;

	config_init(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
