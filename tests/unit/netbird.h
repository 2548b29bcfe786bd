/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The recorded messages of vectors/netbird and the keys that open them; include after cmocka.h. */
#ifndef TALON_TEST_NETBIRD_H
#define TALON_TEST_NETBIRD_H

#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/key.h"

#define NODE_PRIVATE	"SKfVfUE6Ozgs6qSlpyQpbA2JVkaasIjH1Dq4hAsYYHE="
#define NODE_PUBLIC	"t2jdbmCTRoKPfSWT60kMw6cb489FDlef+jvoS1qvAz8="
#define LAP_PRIVATE	"wJV+SzH765J86l4fq/aV0Dkq2VRnnb8k57Kqf162G1Q="
#define LAP_PUBLIC	"6lEjxx/OmY3Plm6G09SS0Max6H4VbVtSsHstyK7Wmjc="
#define SERVER_PUBLIC	"DoDQXElwumGW12ZJU/fomfVXKCx4FoTDmUtxh4/t4AE="

static inline const char *netbird_path(const char *name)
{
	static char path[PATH_MAX];
	char here[PATH_MAX];

	snprintf(here, sizeof(here), "%s", __FILE__);
	snprintf(path, sizeof(path), "%s/vectors/netbird/%s", dirname(here), name);
	return path;
}

/* The caller frees it; there is a terminator behind. */
static inline uint8_t *netbird_read(const char *name, size_t *ret_len)
{
	FILE *f = fopen(netbird_path(name), "re");
	uint8_t *bytes = malloc(1 << 20);

	if (!f || !bytes)
		fail_msg("%s: cannot be read; run from the top of the tree", netbird_path(name));
	*ret_len = fread(bytes, 1, (1 << 20) - 1, f);
	bytes[*ret_len] = 0;
	fclose(f);
	return bytes;
}

static inline struct secret_key netbird_secret(const char *text)
{
	struct secret_key key;

	assert_int_equal(secret_key_from_base64(text, &key), 0);
	return key;
}

static inline void netbird_key(const char *text, uint8_t ret_key[static KEY_LEN])
{
	assert_int_equal(key_from_base64(text, ret_key), 0);
}

#endif
