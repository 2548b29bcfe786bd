// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the subcommands share: arguments, errors, help, the way to the daemon.
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <sodium.h>

#include "cli/cli.h"
#include "cli/short_flags.h"
#include "status/render.h"

int cli_fail(struct cli *cli, int code, const char *fmt, ...)
{
	char line[CONFIG_WHY_LEN + 64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';	/* foreign text must not start a new line or control the terminal */
	}
	fprintf(cli->err, "%s%s: %s\n", cli->err == stderr && log_is_journal() ? "<3>" : "",
		cli->as_netbird ? "Error" : "talon", line);
	return cli->as_netbird && code ? CLI_FAILED : code;
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
	equals = strchr(arg, '=');
	arg += arg[1] == '-' ? 2 : 1;
	len = equals ? (size_t)(equals - arg) : strlen(arg);
	if (len >= sizeof(cli->name))
		len = sizeof(cli->name) - 1;	/* no flag is that long: unknown, cut off or not */
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
		cli_fail(cli, CLI_USAGE, "--%s: expected a value", name);
	return value;
}

int cli_unknown(struct cli *cli, const char *command, const char *name, const char *value)
{
	if (name && cli->as_netbird)
		return cli_fail(cli, CLI_USAGE, "unknown flag: %s%.40s", strlen(name) > 1 ? "--" : "-", name);
	if (name)
		return cli_fail(cli, CLI_USAGE, "%s: '%s%.40s' is not an option; see talon %s --help",
			command, strlen(name) > 1 ? "--" : "-", name, command);
	return cli_fail(cli, CLI_USAGE, "%s: '%.40s' is one argument too many; see talon %s --help", command,
		value, command);
}

static bool is_common(const char *name)
{
	static const char *const names[] = {
		"pin-dir", "log-level", "l", "log-format", "daemon-addr", "management-url", "m", "admin-url",
		"setup-key", "k", "setup-key-file",
		"preshared-key", "hostname", "n", "log-file", "config", "c", "state-dir", "service", "s",
		"anonymize", "A", "anonymize-level", NULL,
	};

	for (size_t i = 0; names[i]; i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

static bool is_secret(const char *name)
{
	return !strcmp(name, "setup-key") || !strcmp(name, "k") || !strcmp(name, "preshared-key");
}

int cli_set_flag(struct cli *cli, struct config *config, const char *name, const char *value)
{
	char why[CONFIG_WHY_LEN];
	int ret;

	if (!value && config_flag_is_switch(name))
		value = "true";
	else
		value = cli_value(cli, name, value);
	if (!value)
		return cli->as_netbird ? CLI_FAILED : CLI_USAGE;
	if (cli->is_again && is_secret(name) && !*value)
		return CLI_OK;
	ret = config_set_flag(config, name, value, why, sizeof(why));
	if (cli->is_main && is_secret(name))
		sodium_memzero((char *)value, strlen(value));	/* others can read a process's arguments */
	return ret ? cli_fail(cli, CLI_USAGE, "%s", why) : CLI_OK;
}

int cli_common_flag(struct cli *cli, struct config *config, const char *name, const char *value)
{
	if (!name || !is_common(name))
		return -ENOENT;
	return cli_set_flag(cli, config, name, value) ? -EINVAL : 0;
}

int cli_common_env(struct cli *cli, struct config *config)
{
	static const char *const names[] = {
		"TALON_PIN_DIR=", "TALON_LOG_LEVEL=", "NB_LOG_LEVEL=", "TALON_LOG_FORMAT=", "NB_LOG_FORMAT=",
		"NB_DAEMON_ADDR=", "WT_DAEMON_ADDR=", "NB_ANONYMIZE=", "WT_ANONYMIZE=", "NB_ANONYMIZE_LEVEL=",
		"WT_ANONYMIZE_LEVEL=",
	};
	const size_t count = sizeof(names) / sizeof(names[0]);
	char *env[sizeof(names) / sizeof(names[0]) + 1] = {};
	char why[CONFIG_WHY_LEN];
	size_t found = 0;

	for (char *const *e = cli->env; *e; e++) {
		for (size_t i = 0; i < count && found < count; i++) {
			if (!strncmp(*e, names[i], strlen(names[i])))
				env[found++] = *e;
		}
	}
	if (!config_read_env(config, env, why, sizeof(why)))
		return 0;
	cli_fail(cli, CLI_USAGE, "%s", why);
	return -EINVAL;
}

int cli_common_only(struct cli *cli, struct config *config, const char *command)
{
	const char *name, *value;
	int ret;

	while (cli_next(cli, &name, &value)) {
		ret = cli_common_flag(cli, config, name, value);
		if (ret == -ENOENT)
			return cli_unknown(cli, command, name, value);
		if (ret)
			return CLI_USAGE;
	}
	return cli_common_env(cli, config) ? CLI_USAGE : CLI_OK;
}

void cli_wipe_env(struct cli *cli)
{
	static const char *const names[] = { "NB_SETUP_KEY=", "WT_SETUP_KEY=", "NB_PRESHARED_KEY=",
		"WT_PRESHARED_KEY=" };

	for (char *const *e = cli->env; cli->is_main && *e; e++) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			size_t len = strlen(names[i]);

			if (!strncmp(*e, names[i], len))
				sodium_memzero(*e + len, strlen(*e + len));
		}
	}
}

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

int cli_no_arguments(struct cli *cli, const char *command)
{
	const char *name, *value;

	if (cli_next(cli, &name, &value))
		return cli_unknown(cli, command, name, value);
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
		if (!is_common(word))
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
