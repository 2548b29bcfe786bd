// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon networks, forwarding, logout: requests to a daemon in a mesh.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "config/value.h"
#include "snapshot/control.h"
#include "status/render.h"

const char *cli_socket(const struct config *config)
{
	return config->mesh.control_socket ? config->mesh.control_socket : CONFIG_CONTROL_SOCKET;
}

int cli_no_daemon(struct cli *cli, const char *why)
{
	return cli_fail(cli, CLI_FAILED, "failed to connect to daemon error: %s; is it running? (talon up, "
		"or netbird service run)", why);
}

int cli_refused(struct cli *cli, const char *command, int ret, const char *why)
{
	return ret == -EREMOTEIO ? cli_fail(cli, CLI_FAILED, "%s: %s", command, why)
		: cli_no_daemon(cli, why);
}

int cli_with_mesh(struct cli *cli, int (*fn)(struct cli *cli, struct config *config))
{
	struct config config;
	int code;

	config_init(&config);
	config_use_mesh(&config);
	code = fn(cli, &config);
	config_free(&config);
	return code;
}

static int logout_arguments(struct cli *cli, struct config *config)
{
	const char *name, *value;
	int ret = 0;

	while (!ret && cli_next(cli, &name, &value)) {
		if (name && !strcmp(name, "profile"))
			ret = cli_set_flag(cli, config, name, value);
		else
			ret = cli_common_flag(cli, config, name, value);
	}
	if (ret == -ENOENT)
		return cli_unknown(cli, "logout", name, value);
	return ret || cli_common_env(cli, config) ? CLI_USAGE : CLI_OK;
}

static int logout(struct cli *cli, struct config *config)
{
	char why[CONFIG_WHY_LEN];
	int code = logout_arguments(cli, config), ret;

	if (code)
		return code;
	ret = control_ask_logout(cli_socket(config), why, sizeof(why));
	if (ret)
		return cli_refused(cli, "logout", ret, why);
	fprintf(cli->out, "Deregistered successfully\n");
	return CLI_OK;
}

int cli_logout(struct cli *cli)
{
	return cli_with_mesh(cli, logout);
}

static int list_networks(struct cli *cli, struct config *config)
{
	struct snapshot snapshot = {};
	char why[CONFIG_WHY_LEN];
	int code = cli_common_only(cli, config, "networks"), ret;

	if (code)
		return code;
	ret = control_ask_snapshot(cli_socket(config), &snapshot, why, sizeof(why));
	if (ret)
		return cli_refused(cli, "networks", ret, why);
	if (snapshot.networks_disabled)
		code = cli_fail(cli, CLI_FAILED, "failed to list network: %s", SNAPSHOT_NETWORKS_DISABLED);
	else if (render_needs_login(&snapshot) || !render_is_in_mesh(&snapshot))
		code = cli_fail(cli, CLI_FAILED, "failed to list network: not connected");
	else if (render_networks(cli->out, &snapshot))
		code = cli_fail(cli, CLI_FAILED, "out of memory");
	snapshot_done(&snapshot);
	return code;
}

/* Collects IDs in @ids, which has room for all arguments. "all" selects every network. */
static int take_ids(struct cli *cli, struct config *config, char **ids, size_t *ret_count, bool *ret_append,
	bool *ret_all)
{
	const char *name, *value;
	int ret;

	while (cli_next(cli, &name, &value)) {
		if (name && (!strcmp(name, "a") || !strcmp(name, "append")) && !value) {
			*ret_append = true;
			continue;
		}
		ret = cli_common_flag(cli, config, name, value);
		if (ret == -EINVAL)
			return CLI_USAGE;
		if (ret && name)
			return cli_unknown(cli, "networks", name, value);
		if (ret && !strcmp(value, "all"))
			*ret_all = true;
		else if (ret)
			ids[(*ret_count)++] = (char *)value;
	}
	if (!*ret_count && !*ret_all)
		return cli_fail(cli, CLI_USAGE, "networks: expected the ID of a network, or all");
	return cli_common_env(cli, config) ? CLI_USAGE : CLI_OK;
}

static int choose_networks(struct cli *cli, struct config *config, bool select)
{
	char **ids = calloc(cli->argc + 1, sizeof(*ids)), why[CONFIG_WHY_LEN];
	bool append = false, all = false;
	size_t count = 0;
	int code, ret;

	if (!ids)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	code = take_ids(cli, config, ids, &count, &append, &all);
	if (!code) {
		ret = control_ask_networks(cli_socket(config), select, ids, all ? 0 : count, append, all, why,
			sizeof(why));
		if (ret == -EREMOTEIO)
			code = cli_fail(cli, CLI_FAILED, "failed to %s networks: %s", select ? "select"
				: "deselect", why);
		else if (ret)
			code = cli_no_daemon(cli, why);
		else
			fprintf(cli->out, "Networks %s successfully.\n", select ? "selected" : "deselected");
	}
	free(ids);
	return code;
}

static int networks(struct cli *cli, struct config *config)
{
	const char *verb = cli->at < cli->argc ? cli->argv[cli->at++] : "";

	if (!strcmp(verb, "list") || !strcmp(verb, "ls"))
		return list_networks(cli, config);
	if (!strcmp(verb, "select") || !strcmp(verb, "deselect"))
		return choose_networks(cli, config, verb[0] == 's');
	return cli_fail(cli, CLI_USAGE,
		"networks: '%.40s' is not understood; expected list, select or deselect", verb);
}

int cli_networks(struct cli *cli)
{
	return cli_with_mesh(cli, networks);
}

/*
 * Talon is no ingress gateway, so there is none to list; the daemon is asked all the same, as scripts expect.
 */
static int forwarding(struct cli *cli, struct config *config)
{
	const char *verb = cli->at < cli->argc ? cli->argv[cli->at++] : "";
	char why[CONFIG_WHY_LEN];
	int code, ret;

	if (strcmp(verb, "list") && strcmp(verb, "ls"))
		return cli_fail(cli, CLI_USAGE, "forwarding: '%.40s' is not understood; expected list", verb);
	code = cli_common_only(cli, config, "forwarding");
	if (code)
		return code;
	ret = control_probe(cli_socket(config), why, sizeof(why));
	if (ret)
		return cli_no_daemon(cli, why);
	fprintf(cli->out, "No forwarding rules available.\n");
	return CLI_OK;
}

int cli_forwarding(struct cli *cli)
{
	return cli_with_mesh(cli, forwarding);
}
