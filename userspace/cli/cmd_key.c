// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon genkey and talon pubkey: keys as wg(8) writes them.
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "cli/cli.h"
#include "config/ini.h"
#include "config/value.h"
#include "crypto/key.h"

int cli_genkey(struct cli *cli)
{
	char text[KEY_BASE64_LEN + 1];
	struct secret_key key;
	int code = cli_no_arguments(cli, "genkey");

	if (code)
		return code;
	randombytes_buf(key.bytes, sizeof(key.bytes));
	secret_key_clamp(&key);
	key_to_base64(key.bytes, text);
	fprintf(cli->out, "%s\n", text);
	secret_key_wipe(&key);
	sodium_memzero(text, sizeof(text));
	return CLI_OK;
}

int cli_pubkey(struct cli *cli)
{
	char line[128], text[KEY_BASE64_LEN + 1];
	uint8_t public[KEY_LEN];
	struct secret_key key = {};
	int code = cli_no_arguments(cli, "pubkey");

	if (code)
		return code;
	setvbuf(cli->in, NULL, _IONBF, 0);	/* no second copy of the key */
	if (!fgets(line, sizeof(line), cli->in))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (value_key(slice_trim(slice_from(line)), key.bytes)) {
		code = cli_fail(cli, CLI_USAGE,
			"pubkey: standard input is not a key; expected 44 characters of base64");
		goto out;
	}
	key_public(&key, public);
	key_to_base64(public, text);
	fprintf(cli->out, "%s\n", text);
out:
	secret_key_wipe(&key);
	sodium_memzero(line, sizeof(line));
	return code;
}
