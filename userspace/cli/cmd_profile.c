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

/* What follows the verb. */
struct arguments {
	const char *names[2];
	int count;
	bool show_id;
};

/* Returns enum cli_exit. */
static int take_arguments(struct cli *cli, struct config *config, int most, struct arguments *ret_arguments)
{
	const char *name, *value;
	int ret;

	while (cli_next(cli, &name, &value)) {
		ret = cli_common_flag(cli, config, name, value);
		if (ret == -EINVAL)
			return CLI_USAGE;
		if (!ret)
			continue;
		if (name && !strcmp(name, "show-id") && !value && !most)
			ret_arguments->show_id = true;
		else if (!name && ret_arguments->count < most)
			ret_arguments->names[ret_arguments->count++] = value;
		else
			return cli_unknown(cli, "profile", name, value);
	}
	return cli_common_env(cli, config) ? CLI_USAGE : CLI_OK;
}

static int run(struct cli *cli, struct config *config, const char *verb, int most)
{
	struct arguments arguments = {};
	int code = take_arguments(cli, config, most, &arguments);

	if (code)
		return code;
	if (arguments.count < most)
		return cli_fail(cli, CLI_USAGE, "profile %s: expected %s", verb, most == 1 ? "a name"
			: "a name and a new name");
	if (!most)
		return list(cli, config, arguments.show_id);
	return !strcmp(verb, "select") ? choose(cli, arguments.names[0]) : refuse(cli, verb);
}

int cli_profile(struct cli *cli)
{
	static const struct { const char *verb; int arguments; } verbs[] = {
		{ "list", 0 }, { "ls", 0 }, { "add", 1 }, { "rename", 2 }, { "remove", 1 }, { "rm", 1 },
		{ "select", 1 },
	};
	const char *verb = cli->at < cli->argc ? cli->argv[cli->at++] : "";
	struct config config;
	int code;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].verb, verb))
			continue;
		config_init(&config);
		config_use_mesh(&config);
		code = run(cli, &config, verb, verbs[i].arguments);
		config_free(&config);
		return code;
	}
	return cli_fail(cli, CLI_USAGE,
		"profile: '%.40s' is not understood; expected list, select, add, rename or remove", verb);
}
