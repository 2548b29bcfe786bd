// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon profile: NetBird's client has several identities to switch between, a routing peer has one. It can be
// listed and chosen; what would make, change or end another is refused.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "snapshot/control.h"
#include "status/render.h"

#define PROFILE "default"

/* The columns are as wide as their longest word, as NetBird's client makes them. */
static void print(FILE *out, const struct snapshot *snapshot, bool show_id)
{
	const char *name = render_profile(snapshot);
	int width = strlen(name) > strlen("NAME") ? strlen(name) : strlen("NAME");

	if (show_id)
		fprintf(out, "%-*s  ", (int)strlen(PROFILE), "ID");
	fprintf(out, "%-*s  ACTIVE\n", width, "NAME");
	if (show_id)
		fprintf(out, PROFILE "  ");
	text_print(out, name, strlen(name));
	fprintf(out, "%*s  \xe2\x9c\x93\n", width - (int)strlen(name), "");
}

static int list(struct cli *cli, struct config *config, bool show_id)
{
	struct snapshot snapshot = {};
	char why[CONFIG_WHY_LEN];

	if (control_ask_snapshot(cli_socket(config), &snapshot, why, sizeof(why)))
		return cli_no_daemon(cli, why);
	print(cli->out, &snapshot, show_id);
	snapshot_done(&snapshot);
	return CLI_OK;
}

static int take_list(struct cli *cli)
{
	struct config config;
	const char *name, *value;
	bool show_id = false;
	int code = CLI_OK, ret;

	config_init(&config);
	config_use_mesh(&config);
	while (!code && cli_next(cli, &name, &value)) {
		if (name && !strcmp(name, "show-id") && !value) {
			show_id = true;
			continue;
		}
		ret = cli_common_flag(cli, &config, name, value);
		if (ret)
			code = ret == -ENOENT ? cli_unknown(cli, "profile", name, value) : CLI_USAGE;
	}
	if (!code && cli_common_env(cli, &config))
		code = CLI_USAGE;
	if (!code)
		code = list(cli, &config, show_id);
	config_free(&config);
	return code;
}

static int refuse(struct cli *cli, const char *verb)
{
	return cli_fail(cli, CLI_FAILED, "profile %s: Talon has one profile, "
		PROFILE "; another identity is another file: --config FILE or --state-dir DIR of the "
		"daemon", verb);
}

/* The one there is can be selected: it is active already, so nothing is disconnected. */
static int choose(struct cli *cli, const char *wanted)
{
	if (strcmp(wanted, PROFILE))
		return refuse(cli, "select");
	fprintf(cli->out, "Profile switched to: " PROFILE "\n");
	return CLI_OK;
}

int cli_profile(struct cli *cli)
{
	static const struct { const char *verb; int arguments; } verbs[] = {
		{ "add", 1 }, { "rename", 2 }, { "remove", 1 }, { "rm", 1 }, { "select", 1 },
	};
	const char *verb = cli->at < cli->argc ? cli->argv[cli->at++] : "";

	if (!strcmp(verb, "list") || !strcmp(verb, "ls"))
		return take_list(cli);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].verb, verb))
			continue;
		if (cli->argc - cli->at != verbs[i].arguments)
			return cli_fail(cli, CLI_USAGE, "profile %s: expected %s", verb,
				verbs[i].arguments == 1 ? "a name" : "a name and a new name");
		return !strcmp(verb, "select") ? choose(cli, cli->argv[cli->at]) : refuse(cli, verb);
	}
	return cli_fail(cli, CLI_USAGE,
		"profile: '%.40s' is not understood; expected list, select, add, rename or remove", verb);
}
