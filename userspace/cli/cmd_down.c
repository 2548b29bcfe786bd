// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon down: a daemon in a mesh drains; then goes what talon up made.
#include <errno.h>

#include "cli/cli.h"
#include "daemon/daemon.h"
#include "log/log.h"
#include "preflight/preflight.h"
#include "snapshot/control.h"

/* Has a daemon drain, if there is one. Returns CLI_OK also where there is none, but under NetBird's name. */
static int ask(struct cli *cli, const struct config *config, bool *ret_drained)
{
	const char *socket = cli_socket(config);
	char why[CONFIG_WHY_LEN], text[CONFIG_WHY_LEN];
	int ret = control_ask_down(socket, why, sizeof(why));

	*ret_drained = !ret;
	if (!ret)
		return CLI_OK;
	/* beside the controller, which runs in another container: that one is asked by the pins */
	if (ret == -EREMOTEIO && (!control_ask_waiting(socket, false, text, sizeof(text)) ||
		!control_ask_waiting(socket, true, text, sizeof(text))))
		return CLI_OK;
	if (ret == -EREMOTEIO)
		return cli_fail(cli, CLI_FAILED, "down: %s", why);
	return cli->as_netbird ? cli_no_daemon(cli, why) : CLI_OK;
}

static int run(struct cli *cli, struct config *config)
{
	char err[CONFIG_WHY_LEN] = "";
	bool drained;
	int ret = cli_common_only(cli, config, "down");

	if (ret)
		return ret;
	log_set_level(config->log_level);
	log_bridge_libbpf();
	if (preflight_check_down(config->pin_dir, err, sizeof(err)))
		return cli_fail(cli, CLI_FAILED, "down: %s", err);
	ret = ask(cli, config, &drained);
	if (ret)
		return ret;
	/* What a drained daemon left, or a controller without a mesh, or one that did not answer. */
	ret = daemon_down(config->pin_dir, drained, err, sizeof(err));
	if (ret < 0)
		return cli_fail(cli, CLI_FAILED, "down: %s", err);
	if (drained)
		fprintf(cli->out, "Disconnected\n");
	return CLI_OK;
}

int cli_down(struct cli *cli)
{
	struct config config;
	int code;

	config_init(&config);
	config_use_mesh(&config);
	code = run(cli, &config);
	config_free(&config);
	return code;
}
