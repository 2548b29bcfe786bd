/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of this room. */
#ifndef TALON_OIDC_INTERNAL_H
#define TALON_OIDC_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/slice.h"
#include "oidc/oidc.h"

#define OIDC_KEYS_MAX		64		/* of a set; more are left out */
#define OIDC_KID_MAX		256
#define OIDC_URL_MAX		2048
#define OIDC_GROUPS_MAX		256
#define OIDC_TEXT_MAX		256		/* of a group, a subject, a shown name */
#define OIDC_AUDIENCES_MAX	64
#define OIDC_LEEWAY_S		30
#define OIDC_WAITING_MAX	1024		/* checks that wait for keys */
#define OIDC_DOCUMENT_MAX	(256U << 10)	/* bytes of discovery and of a key set */

struct oidc_reason {
	enum oidc_refusal kind;
	char text[OIDC_WHY_LEN];
};

/* Returns -EBADMSG. */
int oidc_refuse(struct oidc_reason *reason, enum oidc_refusal kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* --- text.c: JSON that strangers wrote --- */

/* One object without names that come twice; memory that it used is wiped. NULL: it is none. */
json_t *oidc_json(const void *bytes, size_t len);
/*
 * RFC 4648 section 5, without padding, and in the one form that the bytes have. *@ret_bytes is to be freed
 * by the caller; *@ret_len is not 0. Returns 0, -EBADMSG or -ENOMEM.
 */
int oidc_base64(struct slice text, uint8_t **ret_bytes, size_t *ret_len);
/* True for 1 to @max bytes without control characters. */
bool oidc_is_shown(const char *text, size_t max);

/* --- key_set.c: RFC 7517 --- */

/* The algorithms of RFC 7518 and RFC 8037 that count. */
enum oidc_algorithm { OIDC_RS256, OIDC_RS384, OIDC_RS512, OIDC_ES256, OIDC_EDDSA, OIDC_ALGORITHMS };

/* -EBADMSG: none of ours. */
int oidc_algorithm(const char *name);

struct oidc_key {
	char *kid;			/* NULL: it has none */
	EVP_PKEY *key;
	uint32_t algorithms;		/* mask by enum oidc_algorithm: what it may be used with */
};

struct oidc_key_set {
	struct oidc_key *keys;
	size_t count;
	size_t left_out;		/* those that cannot be used, or are not for signatures */
};

/* Keys that cannot be used are left out (RFC 7517 section 5). Returns 0, -EBADMSG, -ENOMEM. */
int oidc_key_set_read(const char *text, size_t len, struct oidc_key_set *ret_set,
	char why[static OIDC_WHY_LEN]);
void oidc_key_set_done(struct oidc_key_set *set);

/* --- discovery.c --- */

struct oidc_discovery {
	char *jwks_uri;
	char *device, *token, *authorization;	/* "": none */
};

/*
 * Whether @url may be asked: https, or http to this very host. Returns 0, or -EINVAL with one line in
 * @why that begins with @name.
 */
int oidc_check_url(const char *name, const char *url, char why[static OIDC_WHY_LEN]);
/* Returns 0, -EBADMSG, -ENOMEM. */
int oidc_discovery_read(const char *text, size_t len, const char *issuer,
	struct oidc_discovery *ret_discovery, char why[static OIDC_WHY_LEN]);
void oidc_discovery_done(struct oidc_discovery *discovery);

/*
 * How long a document holds, from Cache-Control (RFC 9111 section 5.2.2.1): 5 minutes to 24 hours,
 * 1 hour if it does not say.
 */
uint64_t oidc_max_age_s(const char *cache_control);

/* --- token.c: RFC 7519 in the compact form of RFC 7515 --- */

/* Points into the text that it was read from. */
struct oidc_token {
	json_t *head;
	const char *kid;		/* in head; NULL: none */
	enum oidc_algorithm algorithm;
	struct slice signed_part, claims_part;
	uint8_t *signature;
	size_t signature_len;
};

/*
 * Takes it apart; nothing of it is to be believed yet. Returns 0, -EBADMSG with @reason, or -ENOMEM.
 */
int oidc_token_read(const char *text, size_t len, struct oidc_token *ret_token, struct oidc_reason *reason);
void oidc_token_done(struct oidc_token *token);

enum oidc_verdict { OIDC_GOOD, OIDC_NO_KEY, OIDC_BAD };
/* By those keys that have its kid and fit its algorithm; by the only one that fits, if it names none. */
enum oidc_verdict oidc_token_verify(const struct oidc_token *token, const struct oidc_key_set *set);

/* --- claims.c --- */

/*
 * Who is named by @claims, in base64url, whose signature was found good. @options: all of them set; @now_s:
 * Unix. Returns 0, -EBADMSG with @reason, or -ENOMEM.
 */
int oidc_claims_judge(struct slice claims, const struct oidc_options *options, uint64_t now_s,
	struct oidc_user *ret_user, struct oidc_reason *reason);
void oidc_user_done(struct oidc_user *user);

/* --- oidc.c --- */

/* @why NULL: @body came, with its field Cache-Control or "". */
typedef void (*oidc_document_fn)(void *ctx, const char *body, size_t len, const char *cache_control,
	const char *why);

/* Where documents come from and what time it is: the network and the clock, or what a test says. */
struct oidc_source {
	/* Calls @done once, after it returned. Returns 0, or a negative errno with one line in @why. */
	int (*get)(void *ctx, const char *url, oidc_document_fn done, void *of_done, void **ret_request,
		char why[static OIDC_WHY_LEN]);
	/* Of a request that is not done: it will not be. */
	void (*cancel)(void *ctx, void *request);
	void (*release)(void *ctx);
	uint64_t (*now_s)(void *ctx);	/* Unix */
	void *ctx;
};

/* As oidc_new(). The source is released by oidc_free(), or here on error. */
int oidc_new_from(struct loop *loop, const struct oidc_options *options, const struct oidc_source *source,
	struct oidc **ret_oidc, char why[static OIDC_WHY_LEN]);

#endif
