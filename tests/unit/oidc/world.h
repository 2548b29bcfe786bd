/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An issuer without a network, on a loop whose clock only the test moves. */
#ifndef TALON_TEST_OIDC_WORLD_H
#define TALON_TEST_OIDC_WORLD_H

#include "issuer.h"
#include "oidc/internal.h"

#define ISSUER		"https://id.example/realms/home"
#define AUDIENCE	"netbird"
#define NOW		1790000000ULL
#define DISCOVERY	"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://id.example/keys\"," \
	"\"token_endpoint\":\"https://id.example/token\"," \
	"\"authorization_endpoint\":\"https://id.example/auth\"," \
	"\"device_authorization_endpoint\":\"https://id.example/device\"}"
#define CLAIMS_BUT(but)	"{\"iss\":\"" ISSUER "\",\"sub\":\"u1\",\"aud\":\"" AUDIENCE "\"," \
	"\"exp\":1790003600" but "}"
#define CLAIMS		CLAIMS_BUT("")
#define HEAD_OF(alg, kid) "{\"alg\":\"" alg "\",\"typ\":\"JWT\",\"kid\":\"" kid "\"}"

struct world {
	struct loop *loop;
	struct oidc *oidc;
	EVP_PKEY *rsa, *other_rsa, *ec, *ed;
	char keys[16384];			/* the key set that is told */
	/* the request under way */
	char url[OIDC_URL_MAX];
	oidc_document_fn done;
	void *of_done;
	unsigned int asked, cancelled, released;
	/* what a check said */
	unsigned int told, accepted;
	char why[OIDC_WHY_LEN], subject[300], shown[300], groups[2000];
	struct oidc_user user;			/* numbers and hash only */
};

static inline int fake_get(void *ctx, const char *url, oidc_document_fn done, void *of_done,
	void **ret_request, char why[static OIDC_WHY_LEN])
{
	struct world *w = ctx;

	w->asked++;
	snprintf(w->url, sizeof(w->url), "%s", url);
	w->done = done;
	w->of_done = of_done;
	*ret_request = w;
	return 0;
}

static inline void fake_cancel(void *ctx, void *request)
{
	struct world *w = ctx;

	w->cancelled++;
	w->done = NULL;
}

static inline void fake_release(void *ctx)
{
	struct world *w = ctx;

	w->released++;
}

static inline uint64_t fake_now(void *ctx)
{
	struct world *w = ctx;

	return NOW + loop_now(w->loop) / LOOP_SECOND;
}

/* Answers the request under way. */
static inline void say(struct world *w, const char *body, const char *cache_control)
{
	oidc_document_fn done = w->done;

	w->done = NULL;
	done(w->of_done, body, strlen(body), cache_control, NULL);
}

static inline void say_failed(struct world *w, const char *why)
{
	oidc_document_fn done = w->done;

	w->done = NULL;
	done(w->of_done, NULL, 0, "", why);
}

static inline void pass_s(struct world *w, uint64_t seconds)
{
	loop_advance(w->loop, loop_now(w->loop) + seconds * LOOP_SECOND);
}

static inline void on_check(void *ctx, const struct oidc_user *user, const char *why)
{
	struct world *w = ctx;

	w->told++;
	w->groups[0] = w->subject[0] = w->shown[0] = w->why[0] = '\0';
	if (!user) {
		snprintf(w->why, sizeof(w->why), "%s", why);
		return;
	}
	w->accepted++;
	w->user = *user;
	snprintf(w->subject, sizeof(w->subject), "%s", user->subject);
	snprintf(w->shown, sizeof(w->shown), "%s", user->shown);
	for (size_t i = 0; i < user->group_count; i++)
		snprintf(w->groups + strlen(w->groups), sizeof(w->groups) - strlen(w->groups), "%s|",
			user->groups[i]);
}

/* The set of our three keys: r1, e1, d1. */
static inline void three_keys(struct world *w)
{
	char rsa[JWK_LEN], ec[JWK_LEN], ed[JWK_LEN];

	jwk_of(w->rsa, ",\"kid\":\"r1\",\"use\":\"sig\"", rsa);
	jwk_of(w->ec, ",\"kid\":\"e1\",\"alg\":\"ES256\"", ec);
	jwk_of(w->ed, ",\"kid\":\"d1\",\"key_ops\":[\"verify\"]", ed);
	snprintf(w->keys, sizeof(w->keys), "{\"keys\":[%s,%s,%s]}", rsa, ec, ed);
}

/* Keys take long to make, so all tests of a file have the same. */
static inline struct world *world_new(void)
{
	static const struct oidc_options options = { .issuer = ISSUER, .audience = AUDIENCE,
		.client_id = "cli" };
	static EVP_PKEY *rsa, *other_rsa, *ec, *ed;
	struct world *w = calloc(1, sizeof(*w));
	const struct oidc_source source = { fake_get, fake_cancel, fake_release, fake_now, w };
	char why[OIDC_WHY_LEN];

	if (!w || loop_new_fake(&w->loop, 0))
		return NULL;
	if (!rsa) {
		rsa = EVP_RSA_gen(2048);
		other_rsa = EVP_RSA_gen(2048);
		ec = EVP_EC_gen("P-256");
		ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	}
	w->rsa = rsa;
	w->other_rsa = other_rsa;
	w->ec = ec;
	w->ed = ed;
	three_keys(w);
	return oidc_new_from(w->loop, &options, &source, &w->oidc, why) ? NULL : w;
}

static inline void world_free(struct world *w)
{
	oidc_free(w->oidc);
	loop_free(w->loop);
	assert(w->released == 1);
	free(w);
}

/* Both documents, at once. */
static inline void be_ready(struct world *w, const char *cache_control)
{
	say(w, DISCOVERY, "");
	say(w, w->keys, cache_control);
}

#endif
