// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon hub: runs the coordinator of a small mesh.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "daemon/daemon.h"
#include "log/log.h"

struct hub_flag {
	const char *name, *variable;
	const char **to;
};

static int read_flag(struct cli *cli, const struct hub_flag *flags, size_t count, struct config *config,
	const char *name, const char *value)
{
	for (size_t i = 0; name && i < count; i++) {
		if (strcmp(flags[i].name, name))
			continue;
		*flags[i].to = cli_value(cli, name, value);
		return *flags[i].to ? CLI_OK : CLI_USAGE;
	}
	if (!name)
		return cli_unknown(cli, "hub", name, value);
	switch (cli_common_flag(cli, config, name, value)) {
	case 0:
		return CLI_OK;
	case -EINVAL:
		return CLI_USAGE;
	default:
		return cli_unknown(cli, "hub", name, value);
	}
}

static int read_all(struct cli *cli, const struct hub_flag *flags, size_t count, struct config *config)
{
	const char *name, *value;
	int code = CLI_OK;

	for (size_t i = 0; i < count; i++)
		*flags[i].to = getenv(flags[i].variable);
	if (cli_common_env(cli, config))
		return CLI_USAGE;
	while (!code && cli_next(cli, &name, &value))
		code = read_flag(cli, flags, count, config, name, value);
	return code;
}

static void print_key(void *ctx, const char *key)
{
	struct cli *cli = ctx;

	fprintf(cli->out, "A setup key for one peer, shown once: %s\n", key);
	fflush(cli->out);
}

int cli_hub(struct cli *cli)
{
	struct hub_options options = {};
	const struct hub_flag flags[] = {
		{ "file", "TALON_HUB_FILE", &options.file },
		{ "listen", "TALON_HUB_LISTEN", &options.listen },
		{ "public-url", "TALON_HUB_PUBLIC_URL", &options.public_url },
		{ "data-dir", "TALON_HUB_DATA_DIR", &options.data_dir },
		{ "stun", "TALON_HUB_STUN", &options.stun },
		{ "page", "TALON_HUB_PAGE", &options.page },
		{ "tls-cert", "TALON_HUB_TLS_CERT", &options.certificate },
		{ "tls-key", "TALON_HUB_TLS_KEY", &options.key },
		{ "master-key-file", "TALON_HUB_MASTER_KEY_FILE", &options.master_key_file },
	};
	struct config config;
	int code;

	config_init(&config);
	code = read_all(cli, flags, sizeof(flags) / sizeof(flags[0]), &config);
	if (!code) {
		log_set_level(config.log_level);
		code = daemon_run_hub(&options, print_key, cli) ? CLI_FAILED : CLI_OK;
	}
	config_free(&config);
	return code;
}
