// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Any bytes as what an issuer says, or a person who is none. The first byte chooses: a token (t), claims of a
 * token that was found good (c), a key set (k), a discovery document (d), Cache-Control (m). The keys are
 * those of RFC 7515 and RFC 8037, whose examples are among the seeds, so that signatures are checked, too.
 */
#include "base/cidr.c"
#include "base/host_port.c"
#include "base/server_url.c"
#include "base/slice.c"
#include "http/head.c"
#include "netbird/json_file.c"
#include "oidc/text.c"

#define member key_member
#define is_text key_is_text
#define make make_key
#include "oidc/key_set.c"
#undef member
#undef is_text
#undef make
#define take take_discovery
#include "oidc/discovery.c"
#undef take
#define judge judge_claims
#include "oidc/claims.c"
#undef judge
#define check check_signature
#include "oidc/token.c"
#undef check

#include <assert.h>

#define ISSUER "https://id.example"

static const char known_keys[] =
	"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
	"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
	"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const struct oidc_options options = { .issuer = ISSUER, .audience = "netbird", .client_id = "cli",
	.user_claim = "sub", .groups_claim = "groups", .leeway_s = 30 };

int store_write(const char *path, const void *bytes, size_t len)
{
	return -EROFS;
}

static void is_line(const char *text)
{
	assert(strlen(text) < OIDC_WHY_LEN);
	for (; *text; text++)
		assert((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void is_reason(const struct oidc_reason *reason)
{
	assert(reason->kind < OIDC_REFUSAL_COUNT && reason->text[0]);
	is_line(reason->text);
}

static void claims(struct slice text)
{
	struct oidc_reason reason = {};
	struct oidc_user user;
	int ret = oidc_claims_judge(text, &options, 1790000000, &user, &reason);

	if (ret) {
		is_reason(&reason);
		return;
	}
	assert(*user.subject && *user.shown && user.group_count <= OIDC_GROUPS_MAX);
	assert(user.expires_s + 30 > 1790000000 && user.issued_s <= 1790000030);
	is_line(user.subject);
	is_line(user.shown);
	for (size_t i = 0; i < user.group_count; i++)
		is_line(user.groups[i]);
	oidc_user_done(&user);
}

static void token(const char *text, size_t len)
{
	static struct oidc_key_set keys;
	struct oidc_reason reason = {};
	struct oidc_token t;
	char why[OIDC_WHY_LEN];

	if (!keys.count)
		assert(!oidc_key_set_read(known_keys, sizeof(known_keys) - 1, &keys, why) && keys.count == 2);
	if (oidc_token_read(text, len, &t, &reason)) {
		is_reason(&reason);
		return;
	}
	assert(t.signature_len && t.claims_part.at + t.claims_part.len <= text + len);
	assert(t.signed_part.at == text && t.signed_part.len < len);
	oidc_token_verify(&t, &keys);
	claims(t.claims_part);
	oidc_token_done(&t);
}

static void key_set(const char *text, size_t len)
{
	struct oidc_key_set set;
	char why[OIDC_WHY_LEN] = "";

	if (oidc_key_set_read(text, len, &set, why)) {
		assert(*why);
		return;
	}
	assert(set.count <= OIDC_KEYS_MAX);
	for (size_t i = 0; i < set.count; i++)
		assert(set.keys[i].key && set.keys[i].algorithms && (!set.keys[i].kid || *set.keys[i].kid));
	oidc_key_set_done(&set);
}

static void discovery(const char *text, size_t len)
{
	struct oidc_discovery d;
	char why[OIDC_WHY_LEN] = "";

	if (oidc_discovery_read(text, len, ISSUER, &d, why)) {
		assert(*why);
		is_line(why);
		return;
	}
	assert(!oidc_check_url("jwks_uri", d.jwks_uri, why));
	assert(!*d.token || !oidc_check_url("token_endpoint", d.token, why));
	oidc_discovery_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t age_s;
	char *text;
	size_t len;

	if (size < 1)
		return 0;
	len = size - 1;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, len);
	text[len] = '\0';
	if (data[0] == 't') {
		token(text, len);
	} else if (data[0] == 'c') {
		/* as they are, and in the form in which they come */
		size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		char *coded = malloc(room);

		assert(coded);
		sodium_bin2base64(coded, room, (const uint8_t *)text, len,
			sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		claims(slice_from(coded));
		free(coded);
	} else if (data[0] == 'k') {
		key_set(text, len);
	} else if (data[0] == 'd') {
		discovery(text, len);
	} else if (data[0] == 'm') {
		age_s = oidc_max_age_s(text);
		assert(age_s >= 300 && age_s <= 86400);
	}
	free(text);
	return 0;
}
