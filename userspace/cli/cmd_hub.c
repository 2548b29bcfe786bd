// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon hub: runs the coordinator of a small mesh, or checks its file. What asks a running one is in
// cmd_hub_ask.c.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "daemon/daemon.h"
#include "hubfile/hubfile.h"
#include "hubmap/hubmap.h"
#include "log/log.h"

/* X(member of struct hub_options, flag, variable) */
#define FLAGS(X)						\
	X(file, "file", "TALON_HUB_FILE")			\
	X(listen, "listen", "TALON_HUB_LISTEN")			\
	X(public_url, "public-url", "TALON_HUB_PUBLIC_URL")	\
	X(data_dir, "data-dir", "TALON_HUB_DATA_DIR")		\
	X(stun, "stun", "TALON_HUB_STUN")			\
	X(page, "page", "TALON_HUB_PAGE")			\
	X(certificate, "tls-cert", "TALON_HUB_TLS_CERT")	\
	X(key, "tls-key", "TALON_HUB_TLS_KEY")			\
	X(master_key_file, "master-key-file", "TALON_HUB_MASTER_KEY_FILE")

void cli_hub_environment(struct hub_options *options)
{
#define READ(member, flag, variable) options->member = getenv(variable);
	FLAGS(READ)
#undef READ
}

int cli_hub_flag(struct cli *cli, struct hub_options *options, const char *name, const char *value)
{
#define TAKE(member, flag, variable)						\
	if (!strcmp(name, flag)) {						\
		options->member = cli_value(cli, name, value);			\
		return options->member ? 0 : -EINVAL;				\
	}
	FLAGS(TAKE)
#undef TAKE
	return -ENOENT;
}

static int read_flag(struct cli *cli, struct hub_options *options, const char **to_check,
	struct config *config, const char *name, const char *value)
{
	int ret;

	if (!name)
		return cli_unknown(cli, "hub", name, value);
	if (!strcmp(name, "check")) {
		*to_check = cli_value(cli, name, value);
		return *to_check ? CLI_OK : CLI_USAGE;
	}
	ret = cli_hub_flag(cli, options, name, value);
	if (ret == -ENOENT)
		ret = cli_common_flag(cli, config, name, value);
	if (!ret || ret == -EINVAL)
		return ret ? CLI_USAGE : CLI_OK;
	return cli_unknown(cli, "hub", name, value);
}

static int read_all(struct cli *cli, struct hub_options *options, const char **to_check,
	struct config *config)
{
	const char *name, *value;
	int code = CLI_OK;

	cli_hub_environment(options);
	if (cli_common_env(cli, config))
		return CLI_USAGE;
	while (!code && cli_next(cli, &name, &value))
		code = read_flag(cli, options, to_check, config, name, value);
	return code;
}

static void print_key(void *ctx, const char *key)
{
	struct cli *cli = ctx;

	fprintf(cli->out, "A setup key for one peer, shown once: %s\n", key);
	fflush(cli->out);
}

struct checked {
	struct cli *cli;
	const char *path;
	size_t conflicts;
};

static void say_conflict(void *ctx, const struct hubmap_conflict *conflict)
{
	struct checked *c = ctx;

	fprintf(c->cli->err, "%s:%u: %s", c->path, conflict->line, conflict->is_guess ? "warning: " : "");
	text_print(c->cli->err, conflict->text, strlen(conflict->text) + 1);
	fputc('\n', c->cli->err);
	c->conflicts += !conflict->is_guess;
}

/* Faults and conflicts one a line, as compilers write them. */
static int check(struct cli *cli, const char *path)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	struct checked c = { .cli = cli, .path = path };
	struct hubfile *file;
	struct hubmap *map;
	size_t count;

	if (hubfile_read(path, &file, faults, &count)) {
		for (size_t i = 0; i < count; i++) {
			fputs(path, cli->err);
			if (faults[i].line)
				fprintf(cli->err, ":%u", faults[i].line);
			fputs(": ", cli->err);
			text_print(cli->err, faults[i].text, sizeof(faults[i].text));
			fputc('\n', cli->err);
		}
		return CLI_FAILED;
	}
	map = hubmap_new(file);
	if (map)
		hubmap_conflicts(map, say_conflict, &c);
	if (map && !c.conflicts)
		fprintf(cli->out,
			"%s: groups %zu, keys %zu, policies %zu, routes %zu, networks %zu, peers %zu\n", path,
			file->group_count, file->key_count, file->policy_count, file->route_count,
			file->network_count, file->peer_count);
	hubmap_free(map);
	hubfile_free(file);
	return map && !c.conflicts ? CLI_OK : CLI_FAILED;
}

int cli_hub(struct cli *cli)
{
	const char *to_check = NULL;
	struct hub_options options = {};
	struct config config;
	int code;

	if (cli->at < cli->argc && cli->argv[cli->at][0] != '-')
		return cli_hub_ask(cli);
	config_init(&config);
	code = read_all(cli, &options, &to_check, &config);
	if (!code && to_check) {
		code = check(cli, to_check);
	} else if (!code) {
		log_set_level(config.log_level);
		code = daemon_run_hub(&options, print_key, cli) ? CLI_FAILED : CLI_OK;
	}
	config_free(&config);
	return code;
}
