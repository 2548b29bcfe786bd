// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The command line as a whole: finds the command, prints help.
#include <string.h>

#include "cli/cli.h"
#include "cli/short_flags.h"
#include "status/render.h"

static void print_options(FILE *out)
{
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		char name[40];

		if (!o->flag)
			continue;
		snprintf(name, sizeof(name), "--%s", o->flag);
		fprintf(out, "  %-20s%s\n%22s%s%s%s%s\n", name, o->help, "", o->env,
			o->netbird_env ? ", " : "", o->netbird_env ? o->netbird_env : "",
			o->key ? "" : " (not in FILE)");
	}
	fprintf(out, "\nOf a mesh:\n");
	for (const struct config_mesh_option *o = config_mesh_options(); o->flag; o++) {
		char name[48];

		if (!o->help)
			continue;
		snprintf(name, sizeof(name), "%s--%s", o->letter ? (const char[]){ '-', o->letter, ',', ' ',
			0 } : "", o->flag);
		fprintf(out, "  %-27s%s\n", name, o->help);
	}
	fprintf(out, "  Each is NB_ and its name as a variable, such as NB_SETUP_KEY (but TALON_AGENT).\n"
		"  NetBird's other flags are accepted and have no "
		"effect; --interface-name, --wireguard-port and\n"
		"  --enable-capture are --tunnel, --listen-port and --capture on.\n\n  -h, "
		"--help          this text\n");
}

void cli_print_help(FILE *out, const struct cli_command *command)
{
	fprintf(out, "Usage: talon %s%s%s\n\n%c%s.\n", command->name, command->usage[0] ? " " : "",
		command->usage, command->summary[0] - 'a' + 'A', command->summary + 1);
	fputs(command->help, out);
	if (command->run == cli_up)
		print_options(out);
}

static void print_commands(FILE *out)
{
	fprintf(out, "Usage: talon COMMAND [OPTION...]\n\n"
		     "A WireGuard routing peer whose packets stay in the kernel.\n\n");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		fprintf(out, "  %-10s%s\n", c->name, c->summary);
	fprintf(out, "\nSee talon COMMAND --help, and the manuals talon(8) and talon.conf(5).\n");
}

int cli_help(struct cli *cli)
{
	const struct cli_command *command;

	if (!cli->argc) {
		print_commands(cli->out);
		return CLI_OK;
	}
	command = cli_find_command(cli->argv[0]);
	if (!command)
		return cli_fail(cli, CLI_USAGE, "'%.40s' is not a command; see talon help", cli->argv[0]);
	cli_print_help(cli->out, command);
	return CLI_OK;
}

int cli_version(struct cli *cli)
{
	struct config config;
	int code;

	config_init(&config);
	config_use_mesh(&config);
	code = cli_common_only(cli, &config, "version");
	config_free(&config);

	if (!code && cli->as_netbird)
		fprintf(cli->out, "%s\n", RENDER_NETBIRD_VERSION);
	else if (!code)
		fprintf(cli->out, "talon %s\n", TALON_VERSION);
	return code;
}

static bool wants_help(const struct cli *cli)
{
	for (int i = 0; i < cli->argc; i++) {
		if (!strcmp(cli->argv[i], "-h") || !strcmp(cli->argv[i], "--help"))
			return true;
	}
	return false;
}

/* NetBird's global flags may precede the command, and a command's verb: moves that word to the front. */
static void put_word_first(int argc, char **argv)
{
	int at = 0;

	while (at < argc && argv[at][0] == '-' && argv[at][1]) {
		char *name = argv[at] + (argv[at][1] == '-' ? 2 : 1), word[32];
		size_t len = strcspn(name, "=");

		if (len >= sizeof(word))
			return;
		memcpy(word, name, len);
		word[len] = '\0';
		if (!cli_is_common(word))
			return;
		at += name[len] || config_flag_is_switch(word) ? 1 : 2;
	}
	if (at < argc) {
		char *word = argv[at];

		memmove(argv + 1, argv, at * sizeof(*argv));
		argv[0] = word;
	}
}

static bool has_verbs(const struct cli_command *command)
{
	static const char *const names[] = { "networks", "forwarding", "profile", "debug", "service", NULL };

	for (size_t i = 0; names[i]; i++) {
		if (!strcmp(names[i], command->name))
			return true;
	}
	return false;
}

static bool is_netbird(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return path && !strcmp(slash ? slash + 1 : path, "netbird");
}

int cli_main(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *command;
	struct short_flags flags;
	int code;

	cli->as_netbird = is_netbird(argv[0]);
	if (argc < 2)
		return cli_fail(cli, CLI_USAGE, "expected a command; see talon help");
	put_word_first(argc - 1, argv + 1);
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		argv[1] = "help";
	else if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "-v") || !strcmp(argv[1], "--version"))
		argv[1] = "version";
	cli->argc = argc - 2;
	cli->argv = argv + 2;
	cli->at = 0;
	if (!strcmp(argv[1], "keystream"))
		return cli_keystream(cli);
	if (!strcmp(argv[1], "options"))
		return cli_options(cli);
	command = cli_find_command(argv[1]);
	if (!command && cli_why_absent(argv[1]))
		return cli_fail(cli, CLI_USAGE, "%s: %s", argv[1], cli_why_absent(argv[1]));
	if (!command)
		return cli_fail(cli, CLI_USAGE, "'%.40s' is not a command; see talon help", argv[1]);
	if (wants_help(cli)) {
		cli_print_help(cli->out, command);
		return CLI_OK;
	}
	if (short_flags_split(command->name, cli->argc, cli->argv, cli->as_netbird, &flags)) {
		code = cli_fail(cli, CLI_FAILED, "out of memory");
	} else {
		cli->argc = flags.argc;
		cli->argv = flags.argv;
		if (has_verbs(command))
			put_word_first(cli->argc, cli->argv);
		code = command->run(cli);
	}
	short_flags_done(&flags);
	return cli->as_netbird && code ? CLI_FAILED : code;
}
