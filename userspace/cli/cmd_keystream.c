// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon keystream: the helper process that makes keystream
// ahead. Only the plane starts it, so help does not mention it.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "keystream/helper.h"
#include "log/log.h"

int cli_keystream(struct cli *cli)
{
	const char *name, *value;
	struct config config;
	bool wipe = false;
	int parent = 0, code = CLI_OK, ret;

	config_init(&config);
	while (!code && cli_next(cli, &name, &value)) {
		if (name && !strcmp(name, "wipe")) {
			wipe = true;
		} else if (name && !strcmp(name, "parent")) {
			value = cli_value(cli, name, value);
			parent = value ? atoi(value) : 0;
		} else {
			ret = cli_common_flag(cli, &config, name, value);
			if (ret)
				code = cli_unknown(cli, "keystream", name, value);
		}
	}
	if (!code && cli_common_env(cli, &config))
		code = CLI_USAGE;
	if (!code && parent <= 0)
		code = cli_fail(cli, CLI_USAGE, "keystream: started by talon up, not by hand");
	if (!code) {
		log_set_level(config.log_level);
		log_bridge_libbpf();
		log_never_block();
		code = keystream_run(config.pin_dir, parent, wipe) ? CLI_FAILED : CLI_OK;
	}
	config_free(&config);
	return code;
}
