// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A token in compact form (RFC 7515 section 3.1), and whether an issuer's key signed it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include "netbird/json_file.h"
#include "oidc/internal.h"

#define SIGNATURE_LEN	64	/* of ES256 (RFC 7518 section 3.4) and of Ed25519 */

/* --- taking it apart --- */

/* Cuts what is before the first dot. False: there is none. */
static bool cut(struct slice *rest, struct slice *ret_part)
{
	const char *dot = memchr(rest->at, '.', rest->len);

	if (!dot)
		return false;
	*ret_part = (struct slice){ rest->at, dot - rest->at };
	*rest = (struct slice){ dot + 1, rest->len - ret_part->len - 1 };
	return true;
}

/*
 * RFC 8725 section 3.11: other kinds of tokens say by their type that they are no proof of who
 * somebody is.
 */
static bool is_type_fit(const json_t *head)
{
	const char *type = json_file_text(head, "typ");

	if (!json_object_get(head, "typ"))
		return true;
	if (type && !strncasecmp(type, "application/", 12))
		type += 12;
	return type && (!strcasecmp(type, "JWT") || !strcasecmp(type, "at+jwt"));
}

static int judge_head(const json_t *head, struct oidc_token *t, struct oidc_reason *reason)
{
	const char *name = json_file_text(head, "alg");
	int algorithm = name ? oidc_algorithm(name) : -EBADMSG;

	if (!name)
		return oidc_refuse(reason, OIDC_MALFORMED, "the token's header has no text alg");
	if (!strcasecmp(name, "none"))
		return oidc_refuse(reason, OIDC_ALGORITHM, "the token is not signed");
	if (algorithm < 0)
		return oidc_refuse(reason, OIDC_ALGORITHM, "the token is signed by an algorithm that is not "
			"allowed: expected RS256, RS384, RS512, ES256 or EdDSA");
	if (json_object_get(head, "crit"))
		return oidc_refuse(reason, OIDC_MALFORMED, "the token's header has extensions that it says "
			"must be understood (crit): expected none");
	if (!is_type_fit(head))
		return oidc_refuse(reason, OIDC_MALFORMED, "the token's type is not JWT or at+jwt");
	t->kid = json_file_text(head, "kid");
	if (json_object_get(head, "kid") && !(t->kid && oidc_is_shown(t->kid, OIDC_KID_MAX)))
		return oidc_refuse(reason, OIDC_MALFORMED, "the token's kid: expected a text of at most %d "
			"bytes",
			OIDC_KID_MAX);
	t->algorithm = algorithm;
	return 0;
}

static int read_head(struct slice part, struct oidc_token *t, struct oidc_reason *reason)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	int ret = oidc_base64(part, &bytes, &len);

	if (!ret)
		t->head = oidc_json(bytes, len);
	free(bytes);
	if (ret == -ENOMEM)
		return ret;
	return t->head ? judge_head(t->head, t, reason)
		: oidc_refuse(reason, OIDC_MALFORMED, "the token's header is not JSON in base64url");
}

static int take_apart(struct slice rest, struct oidc_token *t, struct oidc_reason *reason)
{
	const char *begin = rest.at;
	struct slice head;
	int ret;

	if (!cut(&rest, &head) || !cut(&rest, &t->claims_part) || memchr(rest.at, '.', rest.len))
		return oidc_refuse(reason, OIDC_MALFORMED, "the token does not consist of three parts");
	t->signed_part = (struct slice){ begin, rest.at - begin - 1 };
	ret = read_head(head, t, reason);
	if (ret)
		return ret;
	if (!rest.len)
		return oidc_refuse(reason, OIDC_ALGORITHM, "the token is not signed");
	ret = oidc_base64(rest, &t->signature, &t->signature_len);
	return ret == -EBADMSG ? oidc_refuse(reason, OIDC_MALFORMED, "the token's signature is not base64url")
		: ret;
}

int oidc_token_read(const char *text, size_t len, struct oidc_token *ret_token, struct oidc_reason *reason)
{
	struct oidc_token t = {};
	int ret;

	if (!len || len > OIDC_TOKEN_MAX)
		return oidc_refuse(reason, OIDC_MALFORMED, "the token: expected 1 to %d bytes",
			OIDC_TOKEN_MAX);
	ret = take_apart((struct slice){ text, len }, &t, reason);
	if (ret)
		oidc_token_done(&t);
	else
		*ret_token = t;
	return ret;
}

void oidc_token_done(struct oidc_token *t)
{
	json_decref(t->head);
	free(t->signature);
	*t = (struct oidc_token){};
}

/* --- the signature --- */

static const EVP_MD *digest_of(enum oidc_algorithm algorithm)
{
	return algorithm == OIDC_EDDSA ? NULL : algorithm == OIDC_RS384 ? EVP_sha384()
		: algorithm == OIDC_RS512 ? EVP_sha512() : EVP_sha256();
}

/* OpenSSL wants r and s in DER. 0 is no value of either; that they are too large it sees itself. */
static int to_der(const uint8_t *signature, uint8_t **ret_der)
{
	BIGNUM *r = BN_bin2bn(signature, SIGNATURE_LEN / 2, NULL),
		*s = BN_bin2bn(signature + SIGNATURE_LEN / 2, SIGNATURE_LEN / 2, NULL);
	ECDSA_SIG *both = ECDSA_SIG_new();
	int len = -1;

	if (both && r && s && !BN_is_zero(r) && !BN_is_zero(s) && ECDSA_SIG_set0(both, r, s)) {
		r = s = NULL;
		len = i2d_ECDSA_SIG(both, ret_der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(both);
	return len;
}

static bool check(const struct oidc_token *t, EVP_PKEY *key, const uint8_t *signature, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool is_good = ctx && EVP_DigestVerifyInit(ctx, NULL, digest_of(t->algorithm), NULL, key) > 0 &&
		EVP_DigestVerify(ctx, signature, len, (const uint8_t *)t->signed_part.at,
			t->signed_part.len) == 1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return is_good;
}

static bool is_signed_by(const struct oidc_token *t, EVP_PKEY *key)
{
	uint8_t *der = NULL;
	bool is_good;
	int len;

	if (t->algorithm == OIDC_EDDSA && t->signature_len != SIGNATURE_LEN)
		return false;
	if (t->algorithm != OIDC_ES256)
		return check(t, key, t->signature, t->signature_len);
	if (t->signature_len != SIGNATURE_LEN)
		return false;
	len = to_der(t->signature, &der);
	is_good = len > 0 && check(t, key, der, len);
	OPENSSL_free(der);
	return is_good;
}

static bool is_fit(const struct oidc_token *t, const struct oidc_key *key)
{
	if (!(key->algorithms & 1U << t->algorithm))
		return false;
	return !t->kid || (key->kid && !strcmp(t->kid, key->kid));
}

enum oidc_verdict oidc_token_verify(const struct oidc_token *t, const struct oidc_key_set *set)
{
	size_t fit = 0;

	for (size_t i = 0; i < set->count; i++)
		fit += is_fit(t, &set->keys[i]);
	/* without a kid, trying them all would let one token cost as much as 64 */
	if (!fit || (!t->kid && fit > 1))
		return OIDC_NO_KEY;
	for (size_t i = 0; i < set->count; i++)
		if (is_fit(t, &set->keys[i]) && is_signed_by(t, set->keys[i].key))
			return OIDC_GOOD;
	return OIDC_BAD;
}
