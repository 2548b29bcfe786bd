// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon metrics: prints what a controller would serve, from the pinned maps.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "base/store.h"
#include "look/look.h"
#include "config/value.h"
#include "log/log.h"
#include "metrics/metrics.h"

struct options {
	struct config config;		/* only its pin_dir and log_level */
	struct metrics_options metrics;
	const char *textfile;		/* NULL: standard output */
};

static int take_textfile(struct cli *cli, struct options *o, const char *value)
{
	size_t len;

	o->textfile = cli_value(cli, "textfile", value);
	if (!o->textfile)
		return CLI_USAGE;
	len = strlen(o->textfile);
	if (len < 6 || strcmp(o->textfile + len - 5, ".prom"))
		return cli_fail(cli, CLI_USAGE,
			"--textfile: '%.60s' is not understood; expected a name that ends in .prom, which is "
			"what node_exporter reads", o->textfile);
	return CLI_OK;
}

static int take_peers(struct cli *cli, struct options *o, const char *value)
{
	value = cli_value(cli, "peers", value);
	if (!value)
		return CLI_USAGE;
	if (value_number(slice_from(value), 0, METRICS_PEERS_MOST, &o->metrics.peers))
		return cli_fail(cli, CLI_USAGE,
			"--peers: '%.40s' is not understood; expected a number from 0 to %d", value,
			METRICS_PEERS_MOST);
	return CLI_OK;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (name && !value && !strcmp(name, "openmetrics")) {
		o->metrics.format = METRICS_OPENMETRICS;
		return CLI_OK;
	}
	if (name && !value && !strcmp(name, "aliases")) {
		o->metrics.aliases = true;
		return CLI_OK;
	}
	if (name && !strcmp(name, "textfile"))
		return take_textfile(cli, o, value);
	if (name && !strcmp(name, "peers"))
		return take_peers(cli, o, value);
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "metrics", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

static int run(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN], *text;
	size_t len;
	int ret;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	o->metrics.pin_dir = o->config.pin_dir;
	if (metrics_render(&o->metrics, &text, &len, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	if (o->textfile) {
		ret = store_publish(o->textfile, text, len);
		if (ret)
			cli_fail(cli, CLI_FAILED, "%s: %s", o->textfile, strerror(-ret));
	} else {
		ret = fwrite(text, 1, len, cli->out) != len;
	}
	free(text);
	return ret ? CLI_FAILED : CLI_OK;
}

int cli_metrics(struct cli *cli)
{
	const char *name, *value;
	struct options o = {};
	int code = CLI_OK;

	config_init(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && o.textfile && o.metrics.format == METRICS_OPENMETRICS)
		code = cli_fail(cli, CLI_USAGE, "metrics: --openmetrics and --textfile exclude each other: "
			"node_exporter reads the other format only");
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
