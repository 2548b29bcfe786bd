// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon preflight: what is good and what is missing on this host, all at once. Changes nothing.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "preflight/preflight.h"

static int run(struct cli *cli, struct cli_settings *settings)
{
	struct preflight_report *report;
	char why[CONFIG_WHY_LEN];
	int code = cli_settings_read(cli, "preflight", settings);

	if (code)
		return code;
	log_set_level(settings->config.log_level);
	log_bridge_libbpf();
	/* The identity may say which port and device. */
	if (settings->config.mesh.enabled && mesh_peek(&settings->config, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	report = calloc(1, sizeof(*report));
	if (!report)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	preflight_run(&settings->config, "", report);
	if (settings->own_is_given)
		preflight_print_json(report, cli->out);
	else
		preflight_print_text(report, cli->out);
	code = report->levels[PREFLIGHT_PROBLEM] ? CLI_FAILED : CLI_OK;
	free(report);
	return code;
}

int cli_preflight(struct cli *cli)
{
	struct cli_settings settings = { .own = "json" };
	int code;

	cli_settings_init(cli, &settings);
	code = run(cli, &settings);
	config_free(&settings.config);
	return code;
}
