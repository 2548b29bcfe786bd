// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The table of subcommands and what they share.
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"

#define COMMON_HELP											\
	"  --pin-dir DIR       where programs and maps are kept (" CONFIG_PIN_DIR ")\n"		\
	"  --log-level LEVEL   error, warn, info or debug (info)\n"					\
	"  -h, --help          this text\n"

const struct cli_command cli_commands[] = {
	{
		"up", "run a routing peer in the foreground", "--static FILE [OPTION...]",
		"Reads FILE, a wg(8) or wg-quick(8) configuration with Talon's own keys (talon.conf(5)), attaches\n"
		"the datapath and serves until SIGTERM. The datapath outlives this process; `talon down` removes it.\n"
		"A flag wins over the environment, and that over FILE.\n"
		"\n"
		"  --static FILE       the configuration (TALON_STATIC)\n"
		"  --dry-run           check FILE and the options, say what was understood, and stop\n",
		cli_up,
	},
	{
		"status", "show what runs: datapath, peers, flows, counters", "[-d] [--json] [--check WHAT]",
		"Reads the pinned maps itself, so it answers also when the controller hangs or is gone.\n"
		"\n"
		"  -d, --detail        each peer, and every counter that is not zero\n"
		"  --json              everything, for programs\n"
		"  --check WHAT        exit with 0 or 1 and one line why. WHAT is\n"
		"                        live       the controller answers\n"
		"                        startup    it has finished starting\n"
		"                        ready      packets can be served\n"
		"                        datapath   the programs are attached\n" COMMON_HELP,
		cli_status,
	},
	{
		"down", "remove every program, map, link, route, device and pin", "",
		"Works without a running controller, and does nothing where nothing is left.\n"
		"\n" COMMON_HELP,
		cli_down,
	},
	{ "version", "show the version", "", "", cli_version },
	{
		"genkey", "make a private key", "",
		"Prints a new private key. Keep it in a file that only root may read.\n",
		cli_genkey,
	},
	{
		"pubkey", "show the public key of a private key", "< PRIVATE-KEY",
		"Reads a private key from standard input and prints its public key.\n",
		cli_pubkey,
	},
	{ "help", "show help on a command", "[COMMAND]", "", cli_help },
	{},
};

static const struct cli_command *find_command(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

int cli_fail(struct cli *cli, int code, const char *fmt, ...)
{
	char line[CONFIG_WHY_LEN + 64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';	/* what came from outside cannot make two lines of one, nor steer a terminal */
	}
	fprintf(cli->err, "talon: %s\n", line);
	return code;
}

bool cli_next(struct cli *cli, const char **ret_name, const char **ret_value)
{
	const char *arg, *equals;
	size_t len;

	if (cli->at >= cli->argc)
		return false;
	arg = cli->argv[cli->at++];
	*ret_name = NULL;
	*ret_value = arg;
	if (arg[0] != '-' || !arg[1])
		return true;
	equals = arg[1] == '-' ? strchr(arg, '=') : NULL;
	arg += arg[1] == '-' ? 2 : 1;
	len = equals ? (size_t)(equals - arg) : strlen(arg);
	if (len >= sizeof(cli->name))
		len = sizeof(cli->name) - 1;	/* no flag is that long: it will be unknown either way */
	memcpy(cli->name, arg, len);
	cli->name[len] = '\0';
	*ret_name = cli->name;
	*ret_value = equals ? equals + 1 : NULL;
	return true;
}

const char *cli_value(struct cli *cli, const char *name, const char *value)
{
	if (!value && cli->at < cli->argc)
		value = cli->argv[cli->at++];
	if (!value)
		cli_fail(cli, CLI_USAGE, "--%s: there is no value; write --%s VALUE", name, name);
	return value;
}

int cli_unknown(struct cli *cli, const char *command, const char *name, const char *value)
{
	if (name)
		return cli_fail(cli, CLI_USAGE, "%s: '%s%.40s' is not an option; see talon %s --help", command,
			strlen(name) > 1 ? "--" : "-", name, command);
	return cli_fail(cli, CLI_USAGE, "%s: '%.40s' is one argument too many; see talon %s --help", command, value,
		command);
}

static bool is_common(const char *name)
{
	return !strcmp(name, "pin-dir") || !strcmp(name, "log-level");
}

int cli_common_flag(struct cli *cli, struct config *config, const char *name, const char *value)
{
	char why[CONFIG_WHY_LEN];

	if (!name || !is_common(name))
		return -ENOENT;
	value = cli_value(cli, name, value);
	if (!value)
		return -EINVAL;
	if (config_set_flag(config, name, value, why, sizeof(why))) {
		cli_fail(cli, CLI_USAGE, "%s", why);
		return -EINVAL;
	}
	return 0;
}

int cli_common_env(struct cli *cli, struct config *config)
{
	static const char *const names[] = { "TALON_PIN_DIR=", "TALON_LOG_LEVEL=", "NB_LOG_LEVEL=" };
	char why[CONFIG_WHY_LEN];
	char *env[4] = {};
	size_t count = 0;

	for (char *const *e = cli->env; *e; e++) {
		for (size_t i = 0; i < 3 && count < 3; i++) {
			if (!strncmp(*e, names[i], strlen(names[i])))
				env[count++] = *e;
		}
	}
	if (!config_read_env(config, env, why, sizeof(why)))
		return 0;
	cli_fail(cli, CLI_USAGE, "%s", why);
	return -EINVAL;
}

static void print_options(FILE *out)
{
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		char name[40];

		if (!o->flag)
			continue;
		snprintf(name, sizeof(name), "--%s", o->flag);
		fprintf(out, "  %-20s%s\n%22s%s%s%s%s\n", name, o->help, "", o->env, o->netbird_env ? ", " : "",
			o->netbird_env ? o->netbird_env : "", o->key ? "" : " (not in FILE)");
	}
	fprintf(out, "  -h, --help          this text\n");
}

void cli_print_help(FILE *out, const struct cli_command *command)
{
	fprintf(out, "Usage: talon %s%s%s\n\n%c%s.\n", command->name, command->usage[0] ? " " : "", command->usage,
		command->summary[0] - 'a' + 'A', command->summary + 1);
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
	fprintf(out, "\ntalon COMMAND --help tells more. Manuals: talon(8), talon.conf(5).\n");
}

int cli_help(struct cli *cli)
{
	const struct cli_command *command;

	if (!cli->argc) {
		print_commands(cli->out);
		return CLI_OK;
	}
	command = find_command(cli->argv[0]);
	if (!command)
		return cli_fail(cli, CLI_USAGE, "'%.40s' is not a command; see talon help", cli->argv[0]);
	cli_print_help(cli->out, command);
	return CLI_OK;
}

int cli_no_arguments(struct cli *cli, const char *command)
{
	const char *name, *value;

	if (cli_next(cli, &name, &value))
		return cli_unknown(cli, command, name, value);
	return CLI_OK;
}

int cli_version(struct cli *cli)
{
	int code = cli_no_arguments(cli, "version");

	if (!code)
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

int cli_main(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *command;

	if (argc < 2)
		return cli_fail(cli, CLI_USAGE, "there is no command; see talon help");
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		argv[1] = "help";
	else if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version"))
		argv[1] = "version";
	cli->argc = argc - 2;
	cli->argv = argv + 2;
	cli->at = 0;
	if (!strcmp(argv[1], "keystream"))
		return cli_keystream(cli);
	command = find_command(argv[1]);
	if (!command)
		return cli_fail(cli, CLI_USAGE, "'%.40s' is not a command; see talon help", argv[1]);
	if (wants_help(cli)) {
		cli_print_help(cli->out, command);
		return CLI_OK;
	}
	return command->run(cli);
}
