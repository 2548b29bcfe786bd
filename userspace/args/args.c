// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What every command shares: arguments, errors, common flags.
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <sodium.h>

#include "args/args.h"

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

bool cli_is_common(const char *name)
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
	if (!name || !cli_is_common(name))
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

int cli_no_arguments(struct cli *cli, const char *command)
{
	const char *name, *value;

	if (cli_next(cli, &name, &value))
		return cli_unknown(cli, command, name, value);
	return CLI_OK;
}
