/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Certificates made on the spot. */
#ifndef TALON_TEST_CERTIFICATES_H
#define TALON_TEST_CERTIFICATES_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pair {
	EVP_PKEY *key;
	X509 *cert;
};

static inline void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

/*
 * @issuer NULL: an authority, signed by itself. @names as in "DNS:mesh.test,IP:127.0.0.1". Valid from and
 * until @from_s, @until_s from now.
 */
static inline struct pair make_certificate(const struct pair *issuer, const char *common_name,
	const char *names, long from_s, long until_s)
{
	struct pair pair = { .key = EVP_EC_gen("P-256"), .cert = X509_new() };
	const struct pair *by = issuer ? issuer : &pair;
	X509_NAME *name = X509_get_subject_name(pair.cert);

	X509_set_version(pair.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(pair.cert), (long)(uintptr_t)pair.key >> 4 & 0xffffff);
	X509_gmtime_adj(X509_getm_notBefore(pair.cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(pair.cert), until_s);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)common_name, -1, -1, 0);
	X509_set_issuer_name(pair.cert, X509_get_subject_name(by->cert));
	X509_set_pubkey(pair.cert, pair.key);
	add_extension(pair.cert, by->cert, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (names)
		add_extension(pair.cert, by->cert, NID_subject_alt_name, names);
	X509_sign(pair.cert, by->key, EVP_sha256());
	return pair;
}

static inline void free_pair(struct pair *pair)
{
	EVP_PKEY_free(pair->key);
	X509_free(pair->cert);
}

static inline void write_pem(const char *path, const struct pair *pair, bool with_key)
{
	FILE *f = fopen(path, "w");

	if (with_key)
		PEM_write_PrivateKey(f, pair->key, NULL, NULL, 0, NULL, NULL);
	PEM_write_X509(f, pair->cert);
	fclose(f);
}

#endif
