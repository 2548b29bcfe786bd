/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and tokens of an issuer that a test is. */
#ifndef TALON_TEST_ISSUER_H
#define TALON_TEST_ISSUER_H

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>

#define JWK_LEN		2048
#define TOKEN_LEN	24576

static inline void to_base64(const void *bytes, size_t len, char *text, size_t size)
{
	assert(sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING) <= size);
	sodium_bin2base64(text, size, bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* A number of the key in base64url, of at least @width bytes. */
static inline void number_of(EVP_PKEY *key, const char *name, int width, char text[static 1400])
{
	BIGNUM *number = NULL;
	uint8_t bytes[1024];
	int len;

	assert(EVP_PKEY_get_bn_param(key, name, &number));
	len = BN_num_bytes(number) > width ? BN_num_bytes(number) : width;
	assert(BN_bn2binpad(number, bytes, len) == len);
	to_base64(bytes, len, text, 1400);
	BN_free(number);
}

/* @more: further members, with a comma before them. */
static inline void jwk_of(EVP_PKEY *key, const char *more, char jwk[static JWK_LEN])
{
	char a[1400], b[1400];
	uint8_t bytes[64];
	size_t len = sizeof(bytes);

	if (EVP_PKEY_is_a(key, "RSA")) {
		number_of(key, OSSL_PKEY_PARAM_RSA_N, 1, a);
		number_of(key, OSSL_PKEY_PARAM_RSA_E, 1, b);
		snprintf(jwk, JWK_LEN, "{\"kty\":\"RSA\",\"n\":\"%.1300s\",\"e\":\"%.20s\"%s}", a, b, more);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, 32, a);
		number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32, b);
		snprintf(jwk, JWK_LEN, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%.80s\",\"y\":\"%.80s\"%s}",
			a, b,
			more);
	} else {
		assert(EVP_PKEY_get_raw_public_key(key, bytes, &len));
		to_base64(bytes, len, a, sizeof(a));
		snprintf(jwk, JWK_LEN, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%.80s\"%s}", a, more);
	}
}

/* As RFC 7518 section 3.4 has it, from DER. Returns 64. */
static inline size_t raw_signature(const uint8_t *der, size_t len, uint8_t raw[static 64])
{
	ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &der, (long)len);

	assert(both);
	assert(BN_bn2binpad(ECDSA_SIG_get0_r(both), raw, 32) == 32);
	assert(BN_bn2binpad(ECDSA_SIG_get0_s(both), raw + 32, 32) == 32);
	ECDSA_SIG_free(both);
	return 64;
}

/* Returns the signature's length; of EC keys in DER. */
static inline size_t sign_bytes(EVP_PKEY *key, const EVP_MD *digest, const char *text,
	uint8_t signature[static 1024])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 1024;

	assert(EVP_DigestSignInit(ctx, NULL, digest, NULL, key) > 0);
	assert(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text, strlen(text)) > 0);
	EVP_MD_CTX_free(ctx);
	return len;
}

/* "HEAD.CLAIMS", which is what is signed. */
static inline void begin_token(const char *head, const char *claims, char token[static TOKEN_LEN])
{
	size_t len;

	to_base64(head, strlen(head), token, TOKEN_LEN);
	len = strlen(token);
	token[len++] = '.';
	to_base64(claims, strlen(claims), token + len, TOKEN_LEN - len);
}

static inline void end_token(char token[static TOKEN_LEN], const void *signature, size_t len)
{
	size_t at = strlen(token);

	token[at++] = '.';
	to_base64(signature, len, token + at, TOKEN_LEN - at);
}

static inline void make_token(EVP_PKEY *key, const char *head, const char *claims,
	char token[static TOKEN_LEN])
{
	const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : strstr(head, "384") ? EVP_sha384()
		: strstr(head, "512") ? EVP_sha512() : EVP_sha256();
	uint8_t signature[1024], raw[64];
	size_t len;

	begin_token(head, claims, token);
	len = sign_bytes(key, digest, token, signature);
	if (EVP_PKEY_is_a(key, "EC"))
		end_token(token, raw, raw_signature(signature, len, raw));
	else
		end_token(token, signature, len);
}

#endif
