// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon: the command line.
#include <stdio.h>
#include <unistd.h>

#include <sodium.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
	struct cli cli = { .in = stdin, .out = stdout, .err = stderr, .env = environ, .is_main = true,
		.patience_ms = 5000 };
	int code;

	if (sodium_init() < 0)
		return cli_fail(&cli, CLI_FAILED, "libsodium cannot start: no random numbers");
	code = cli_main(&cli, argc, argv);
	if (fflush(stdout) && code == CLI_OK)
		code = cli_fail(&cli, CLI_FAILED, "cannot write to standard output");
	return code;
}
