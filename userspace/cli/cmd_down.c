// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon down: removes what talon up made.
#include <errno.h>

#include "cli/cli.h"
#include "controller/controller.h"
#include "log/log.h"

static int run(struct cli *cli, struct config *config)
{
	const char *name, *value;
	char err[CONFIG_WHY_LEN] = "";
	int ret;

	while (cli_next(cli, &name, &value)) {
		ret = cli_common_flag(cli, config, name, value);
		if (ret == -ENOENT)
			return cli_unknown(cli, "down", name, value);
		if (ret)
			return CLI_USAGE;
	}
	if (cli_common_env(cli, config))
		return CLI_USAGE;
	log_set_level(config->log_level);
	log_bridge_libbpf();
	ret = controller_down(config->pin_dir, err, sizeof(err));
	return ret < 0 ? cli_fail(cli, CLI_FAILED, "down: %s", err) : CLI_OK;
}

int cli_down(struct cli *cli)
{
	struct config config;
	int code;

	config_init(&config);
	code = run(cli, &config);
	config_free(&config);
	return code;
}
