// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// JSON Web Key Sets (RFC 7517): which public keys of an issuer may check which signatures.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "netbird/json_file.h"
#include "oidc/internal.h"

#define RSA_BITS_MIN	2048		/* RFC 7518 section 3.3 */
#define RSA_BITS_MAX	8192		/* what a check costs grows with its square */
#define RSA_EXPONENT_MAX 8		/* bytes */
#define P256_LEN	32
#define ED25519_LEN	32

#define BIT(algorithm) (1U << (algorithm))
#define RSA_ALGORITHMS (BIT(OIDC_RS256) | BIT(OIDC_RS384) | BIT(OIDC_RS512))

int oidc_algorithm(const char *name)
{
	static const char *const names[OIDC_ALGORITHMS] = { "RS256", "RS384", "RS512", "ES256", "EdDSA" };

	for (int i = 0; i < OIDC_ALGORITHMS; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -EBADMSG;
}

/* --- one key --- */

static bool member(const json_t *jwk, const char *name, uint8_t **ret_bytes, size_t *ret_len)
{
	const char *text = json_file_text(jwk, name);

	return text && !oidc_base64(slice_from(text), ret_bytes, ret_len);
}

static EVP_PKEY *make(const char *type, OSSL_PARAM_BLD *builder)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY *key = NULL;

	if (ctx && params && EVP_PKEY_fromdata_init(ctx) > 0)
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

/* Any exponent would check a signature, but 1 accepts what anybody writes. */
static bool is_sound_rsa(const BIGNUM *n, const BIGNUM *e)
{
	int bits = BN_num_bits(n);

	return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e);
}

static EVP_PKEY *make_rsa(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len)
{
	BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(e, (int)e_len, NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	if (modulus && exponent && builder && is_sound_rsa(modulus, exponent) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
		key = make("RSA", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_free(modulus);
	BN_free(exponent);
	return key;
}

static EVP_PKEY *read_rsa(const json_t *jwk)
{
	uint8_t *n = NULL, *e = NULL;
	size_t n_len = 0, e_len = 0;
	EVP_PKEY *key = NULL;

	if (member(jwk, "n", &n, &n_len) && member(jwk, "e", &e, &e_len) && n_len <= RSA_BITS_MAX / 8 &&
		e_len <= RSA_EXPONENT_MAX)
		key = make_rsa(n, n_len, e, e_len);
	free(n);
	free(e);
	return key;
}

/* A point that is not on the curve is refused by OpenSSL. */
static EVP_PKEY *make_p256(const uint8_t *x, const uint8_t *y)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	uint8_t point[1 + 2 * P256_LEN] = { POINT_CONVERSION_UNCOMPRESSED };
	EVP_PKEY *key = NULL;

	memcpy(point + 1, x, P256_LEN);
	memcpy(point + 1 + P256_LEN, y, P256_LEN);
	if (builder &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
		OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
		key = make("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static EVP_PKEY *read_p256(const json_t *jwk)
{
	uint8_t *x = NULL, *y = NULL;
	size_t x_len = 0, y_len = 0;
	EVP_PKEY *key = NULL;

	if (member(jwk, "x", &x, &x_len) && member(jwk, "y", &y, &y_len) && x_len == P256_LEN &&
		y_len == P256_LEN)
		key = make_p256(x, y);
	free(x);
	free(y);
	return key;
}

static EVP_PKEY *read_ed25519(const json_t *jwk)
{
	uint8_t *x = NULL;
	size_t len = 0;
	EVP_PKEY *key = NULL;

	if (member(jwk, "x", &x, &len) && len == ED25519_LEN)
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, len);
	free(x);
	return key;
}

static bool is_text(const json_t *jwk, const char *name, const char *expected)
{
	const char *text = json_file_text(jwk, name);

	return text && !strcmp(text, expected);
}

/* RFC 7517 sections 4.2 and 4.3: keys for encryption are none of ours. */
static bool is_for_signatures(const json_t *jwk)
{
	const json_t *operations = json_object_get(jwk, "key_ops"), *item;
	size_t i;

	if (json_object_get(jwk, "use") && !is_text(jwk, "use", "sig"))
		return false;
	if (!operations)
		return true;
	json_array_foreach(operations, i, item)
		if (json_is_string(item) && !strcmp(json_string_value(item), "verify"))
			return true;
	return false;
}

/* What it may be used with: by its type, and by its own word if it names an algorithm. */
static uint32_t read_algorithms(const json_t *jwk)
{
	uint32_t mask = is_text(jwk, "kty", "RSA") ? RSA_ALGORITHMS
		: is_text(jwk, "kty", "EC") && is_text(jwk, "crv", "P-256") ? BIT(OIDC_ES256)
		: is_text(jwk, "kty", "OKP") && is_text(jwk, "crv", "Ed25519") ? BIT(OIDC_EDDSA) : 0;
	const char *name = json_file_text(jwk, "alg");
	int only;

	if (!json_object_get(jwk, "alg"))
		return mask;
	only = name ? oidc_algorithm(name) : -EBADMSG;
	return only < 0 ? 0 : mask & BIT(only);
}

/* Whose private half is published can be forged by anybody. */
static bool is_public(const json_t *jwk)
{
	return !json_object_get(jwk, "d") && !json_object_get(jwk, "p") && !json_object_get(jwk, "k");
}

/* False: it is left out. */
static bool read_key(const json_t *jwk, struct oidc_key *ret_key)
{
	const char *kid = json_file_text(jwk, "kid");
	struct oidc_key key = { .algorithms = read_algorithms(jwk) };

	if (!key.algorithms || !is_for_signatures(jwk) || !is_public(jwk) ||
		(json_object_get(jwk, "kid") && !(kid && oidc_is_shown(kid, OIDC_KID_MAX))))
		return false;
	key.key = key.algorithms & RSA_ALGORITHMS ? read_rsa(jwk)
		: key.algorithms & BIT(OIDC_ES256) ? read_p256(jwk) : read_ed25519(jwk);
	if (!key.key)
		return false;
	key.kid = kid ? strdup(kid) : NULL;
	if (kid && !key.kid) {
		EVP_PKEY_free(key.key);
		return false;
	}
	*ret_key = key;
	return true;
}

/* --- the set --- */

static int read_keys(const json_t *list, struct oidc_key_set *set)
{
	const json_t *jwk;
	size_t i;

	set->keys = calloc(OIDC_KEYS_MAX, sizeof(*set->keys));
	if (!set->keys)
		return -ENOMEM;
	json_array_foreach(list, i, jwk) {
		if (set->count < OIDC_KEYS_MAX && json_is_object(jwk) &&
			read_key(jwk, &set->keys[set->count]))
			set->count++;
		else
			set->left_out++;
	}
	return 0;
}

int oidc_key_set_read(const char *text, size_t len, struct oidc_key_set *ret_set,
	char why[static OIDC_WHY_LEN])
{
	json_t *json = oidc_json(text, len);
	const json_t *list = json_object_get(json, "keys");
	struct oidc_key_set set = {};
	int ret;

	if (!json_is_array(list)) {
		snprintf(why, OIDC_WHY_LEN, "expected a JSON object with a list named keys");
		json_decref(json);
		return -EBADMSG;
	}
	ret = read_keys(list, &set);
	json_decref(json);
	if (ret)
		snprintf(why, OIDC_WHY_LEN, "out of memory");
	else
		*ret_set = set;
	return ret;
}

void oidc_key_set_done(struct oidc_key_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		free(set->keys[i].kid);
		EVP_PKEY_free(set->keys[i].key);
	}
	free(set->keys);
	*set = (struct oidc_key_set){};
}
