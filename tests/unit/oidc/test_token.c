// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tokens of an issuer, and tokens of people who are not it.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

static int setup(void **state)
{
	struct world *w = world_new();

	*state = w;
	if (w)
		be_ready(w, "");
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static void check(struct world *w, const char *token, size_t len)
{
	unsigned int before = w->told;
	struct oidc_check *waits;

	assert_int_equal(oidc_check(w->oidc, token, len, on_check, w, &waits), 0);
	if (waits)
		say(w, w->keys, "");	/* a key is asked for; nothing is new */
	assert_int_equal(w->told, before + 1);
}

static void is_refused(struct world *w, const char *token, enum oidc_refusal kind, const char *why)
{
	struct oidc_counts before, after;

	oidc_count(w->oidc, &before);
	check(w, token, strlen(token));
	oidc_count(w->oidc, &after);
	assert_string_equal(w->why, why);
	assert_int_equal(after.accepted, before.accepted);
	assert_int_equal(after.refused[kind], before.refused[kind] + 1);
}

static void is_accepted(struct world *w, const char *token)
{
	unsigned int before = w->accepted;

	check(w, token, strlen(token));
	assert_string_equal(w->why, "");
	assert_int_equal(w->accepted, before + 1);
}

/* Signed as it should be, with these claims. */
static void claims_are_refused(struct world *w, const char *claims, enum oidc_refusal kind, const char *why)
{
	char token[TOKEN_LEN];

	make_token(w->rsa, HEAD_OF("RS256", "r1"), claims, token);
	is_refused(w, token, kind, why);
}

static void claims_are_accepted(struct world *w, const char *claims)
{
	char token[TOKEN_LEN];

	make_token(w->rsa, HEAD_OF("RS256", "r1"), claims, token);
	is_accepted(w, token);
}

/* --- good ones --- */

static void each_allowed_algorithm_is_checked_with_its_own_key(void **state)
{
	struct world *w = *state;
	uint8_t hash[32];
	char token[TOKEN_LEN];

	make_token(w->rsa, HEAD_OF("RS256", "r1"), CLAIMS, token);
	is_accepted(w, token);
	assert_string_equal(w->subject, "u1");
	assert_string_equal(w->shown, "u1");
	assert_int_equal(w->user.expires_s, 1790003600);
	assert_int_equal(w->user.issued_s, 0);
	assert_int_equal(w->user.group_count, 0);
	crypto_hash_sha256(hash, (const uint8_t *)token, strlen(token));
	assert_memory_equal(w->user.hash, hash, 32);
	make_token(w->rsa, HEAD_OF("RS384", "r1"), CLAIMS, token);
	is_accepted(w, token);
	make_token(w->rsa, HEAD_OF("RS512", "r1"), CLAIMS, token);
	is_accepted(w, token);
	make_token(w->ec, HEAD_OF("ES256", "e1"), CLAIMS, token);
	is_accepted(w, token);
	make_token(w->ed, HEAD_OF("EdDSA", "d1"), CLAIMS, token);
	is_accepted(w, token);
}

static void example_is_good(const char *keys, const char *text)
{
	struct oidc_reason reason;
	struct oidc_key_set set;
	struct oidc_token token;
	char why[OIDC_WHY_LEN];

	assert_int_equal(oidc_key_set_read(keys, strlen(keys), &set, why), 0);
	assert_int_equal(oidc_token_read(text, strlen(text), &token, &reason), 0);
	assert_int_equal(oidc_token_verify(&token, &set), OIDC_GOOD);
	token.signature[10] ^= 1;
	assert_int_equal(oidc_token_verify(&token, &set), OIDC_BAD);
	oidc_token_done(&token);
	oidc_key_set_done(&set);
}

static void the_examples_of_rfc_8037_and_rfc_7515_have_good_signatures(void **state)
{
	/* RFC 8037 appendix A.4 */
	example_is_good("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
		"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
		"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
	/* RFC 7515 appendix A.3 */
	example_is_good("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
		"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
		"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
		"cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
}

static void a_token_without_kid_is_by_the_only_key_that_fits(void **state)
{
	struct world *w = *state;
	char token[TOKEN_LEN];

	make_token(w->ec, "{\"alg\":\"ES256\"}", CLAIMS, token);
	is_accepted(w, token);
}

static void a_token_without_kid_is_refused_where_two_keys_fit(void **state)
{
	char one[JWK_LEN], two[JWK_LEN], keys[2 * JWK_LEN + 16], text[TOKEN_LEN], why[OIDC_WHY_LEN];
	struct world *w = *state;
	struct oidc_reason reason;
	struct oidc_key_set set;
	struct oidc_token token;

	jwk_of(w->rsa, ",\"kid\":\"a\"", one);
	jwk_of(w->other_rsa, "", two);
	snprintf(keys, sizeof(keys), "{\"keys\":[%s,%s]}", one, two);
	assert_int_equal(oidc_key_set_read(keys, strlen(keys), &set, why), 0);
	assert_int_equal(set.count, 2);
	make_token(w->rsa, "{\"alg\":\"RS256\"}", CLAIMS, text);
	assert_int_equal(oidc_token_read(text, strlen(text), &token, &reason), 0);
	assert_int_equal(oidc_token_verify(&token, &set), OIDC_NO_KEY);
	oidc_token_done(&token);
	oidc_key_set_done(&set);
}

/* --- whom it names --- */

static void a_person_is_shown_by_what_they_know(void **state)
{
	struct world *w = *state;

	claims_are_accepted(w, CLAIMS_BUT(",\"email\":\"a@b.c\",\"preferred_username\":\"anna\","
		"\"name\":\"Anna B\",\"iat\":1789999999.75,\"nbf\":0"));
	assert_string_equal(w->shown, "a@b.c");
	assert_int_equal(w->user.issued_s, 1789999999);
	claims_are_accepted(w,
		CLAIMS_BUT(",\"email\":\"a@b.c\",\"email_verified\":false,\"name\":\"Anna B\""));
	assert_string_equal(w->shown, "Anna B");
	claims_are_accepted(w, CLAIMS_BUT(",\"email\":\"a\\nb\",\"preferred_username\":\"anna\""));
	assert_string_equal(w->shown, "anna");
}

#define NO_LIST "the token's groups: expected a list of at most 256 texts"
#define NO_TEXT "the token's groups: expected texts of 1 to 256 bytes in the list"

static void groups_are_a_list_of_texts(void **state)
{
	struct world *w = *state;

	claims_are_accepted(w, CLAIMS_BUT(",\"groups\":[\"admins\",\"/home/people\"]"));
	assert_string_equal(w->groups, "admins|/home/people|");
	claims_are_accepted(w, CLAIMS_BUT(",\"groups\":[]"));
	claims_are_accepted(w, CLAIMS_BUT(",\"groups\":null"));
	claims_are_refused(w, CLAIMS_BUT(",\"groups\":\"admins\""), OIDC_CLAIMS, NO_LIST);
	claims_are_refused(w, CLAIMS_BUT(",\"groups\":{\"admins\":true}"), OIDC_CLAIMS, NO_LIST);
	claims_are_refused(w, CLAIMS_BUT(",\"groups\":[[\"admins\"]]"), OIDC_CLAIMS, NO_TEXT);
	claims_are_refused(w, CLAIMS_BUT(",\"groups\":[\"admins\",7]"), OIDC_CLAIMS, NO_TEXT);
	claims_are_refused(w, CLAIMS_BUT(",\"groups\":[\"\"]"), OIDC_CLAIMS, NO_TEXT);
	claims_are_refused(w, CLAIMS_BUT(",\"groups\":[\"a\\u0007b\"]"), OIDC_CLAIMS, NO_TEXT);
}

static void groups_have_an_end(void **state)
{
	struct world *w = *state;
	char claims[16000], *at = claims;

	at += sprintf(at, "%.*s,\"groups\":[\"g\"", (int)strlen(CLAIMS) - 1, CLAIMS);
	for (int i = 0; i < 255; i++)
		at += sprintf(at, ",\"g\"");
	strcpy(at, "]}");
	claims_are_accepted(w, claims);
	assert_int_equal(w->user.group_count, 256);
	strcpy(at, ",\"g\"]}");
	claims_are_refused(w, claims, OIDC_CLAIMS, NO_LIST);
	sprintf(claims, "%.*s,\"groups\":[\"%0256d\"]}", (int)strlen(CLAIMS) - 1, CLAIMS, 0);
	claims_are_accepted(w, claims);
	sprintf(claims, "%.*s,\"groups\":[\"%0257d\"]}", (int)strlen(CLAIMS) - 1, CLAIMS, 0);
	claims_are_refused(w, claims, OIDC_CLAIMS, NO_TEXT);
}

#define NAMED(sub) "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"exp\":1790003600" sub "}"
#define NO_SUB "the token's sub: expected a text of 1 to 256 bytes"

static void who_has_no_name_is_nobody(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, NAMED(""), OIDC_CLAIMS, NO_SUB);
	claims_are_refused(w, NAMED(",\"sub\":\"\""), OIDC_CLAIMS, NO_SUB);
	claims_are_refused(w, NAMED(",\"sub\":7"), OIDC_CLAIMS, NO_SUB);
	claims_are_refused(w, NAMED(",\"sub\":\"a\\tb\""), OIDC_CLAIMS, NO_SUB);
}

/* --- for whom, and when --- */

static void another_issuers_token_is_refused(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, "{\"iss\":\"" ISSUER "/\",\"sub\":\"u1\",\"aud\":\"" AUDIENCE
		"\",\"exp\":1790003600}", OIDC_ISSUER, "the token is by another issuer");
	claims_are_refused(w, "{\"sub\":\"u1\",\"aud\":\"" AUDIENCE "\",\"exp\":1790003600}", OIDC_CLAIMS,
		"the token does not name its issuer (iss)");
}

#define FOR(aud, but) "{\"iss\":\"" ISSUER "\",\"sub\":\"u1\",\"aud\":" aud ",\"exp\":1790003600" but "}"
#define NO_AUD "the token's aud: expected a text, or a list of 1 to 64 texts"

static void a_token_for_somebody_else_is_refused(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, FOR("\"grafana\"", ""), OIDC_AUDIENCE, "the token is for another audience");
	claims_are_refused(w, FOR("[\"grafana\"]", ""), OIDC_AUDIENCE, "the token is for another audience");
	claims_are_refused(w, FOR("\"netbird2\"", ""), OIDC_AUDIENCE, "the token is for another audience");
	claims_are_refused(w, FOR("[]", ""), OIDC_CLAIMS, NO_AUD);
	claims_are_refused(w, FOR("7", ""), OIDC_CLAIMS, NO_AUD);
	claims_are_refused(w, FOR("null", ""), OIDC_CLAIMS, NO_AUD);
	claims_are_refused(w, FOR("[\"netbird\",7]", ""), OIDC_CLAIMS,
		"the token's aud: expected texts in the list");
	claims_are_refused(w, "{\"iss\":\"" ISSUER "\",\"sub\":\"u1\",\"exp\":1790003600}", OIDC_CLAIMS,
		NO_AUD);
	claims_are_accepted(w, FOR("[\"netbird\"]", ""));
}

static void of_several_audiences_the_client_has_to_be_ours(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, FOR("[\"account\",\"netbird\"]", ""), OIDC_AUDIENCE,
		"the token for several audiences does not say which client it was issued to (azp)");
	claims_are_refused(w, FOR("[\"account\",\"netbird\"]", ",\"azp\":\"grafana\""), OIDC_AUDIENCE,
		"the token for several audiences was issued to another client");
	claims_are_refused(w, FOR("[\"account\",\"netbird\"]", ",\"azp\":[\"cli\"]"), OIDC_AUDIENCE,
		"the token for several audiences was issued to another client");
	claims_are_accepted(w, FOR("[\"account\",\"netbird\"]", ",\"azp\":\"cli\""));
	claims_are_accepted(w, FOR("[\"account\",\"netbird\"]", ",\"client_id\":\"cli\""));
	claims_are_accepted(w, FOR("[\"account\",\"netbird\"]", ",\"azp\":\"netbird\""));
}

/*
 * One audience may be that of many clients: Keycloak's "account" is in the access tokens of each client.
 * What says whom it was issued to has to say us.
 */
static void one_audience_does_not_make_another_clients_token_ours(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, FOR("\"netbird\"", ",\"azp\":\"grafana\""), OIDC_AUDIENCE,
		"the token was issued to another client (azp)");
	claims_are_refused(w, FOR("[\"netbird\"]", ",\"client_id\":\"grafana\""), OIDC_AUDIENCE,
		"the token was issued to another client (azp)");
	claims_are_accepted(w, FOR("\"netbird\"", ",\"azp\":\"cli\""));
	claims_are_accepted(w, FOR("\"netbird\"", ",\"azp\":\"netbird\",\"client_id\":\"grafana\""));
	claims_are_accepted(w, FOR("\"netbird\"", ""));
}

/* --- after the documents of providers --- */

/* As Keycloak makes them: a realm in the issuer, "account" in aud, paths of groups, and much besides. */
#define KEYCLOAK(aud, azp) "{\"exp\":1790003600,\"iat\":1790000000,\"auth_time\":1789999990," \
	"\"jti\":\"onrtac:8f1b\",\"iss\":\"" ISSUER "\",\"aud\":" aud ",\"sub\":\"f1d2\"," \
	"\"typ\":\"Bearer\",\"azp\":\"" azp "\",\"sid\":\"51c0\",\"acr\":\"1\"," \
	"\"allowed-origins\":[\"/*\"]," \
	"\"realm_access\":{\"roles\":[\"offline_access\",\"default-roles-home\"]}," \
	"\"resource_access\":{\"account\":{\"roles\":[\"manage-account\",\"view-profile\"]}}," \
	"\"scope\":\"openid email profile\",\"email_verified\":true,\"name\":\"Ann B\"," \
	"\"groups\":[\"/laptops\",\"/staff/ops\"],\"preferred_username\":\"ann\",\"given_name\":\"Ann\"," \
	"\"email\":\"ann@example.com\"}"

static void tokens_of_keycloaks_form_are_read(void **state)
{
	struct world *w = *state;

	/* with an audience mapper, beside the audience that its tokens have anyway */
	claims_are_accepted(w, KEYCLOAK("[\"netbird\",\"account\"]", "cli"));
	assert_string_equal(w->subject, "f1d2");
	assert_string_equal(w->shown, "ann@example.com");
	assert_string_equal(w->groups, "/laptops|/staff/ops|");
	claims_are_refused(w, KEYCLOAK("[\"netbird\",\"account\"]", "grafana"), OIDC_AUDIENCE,
		"the token for several audiences was issued to another client");
	/* without one */
	claims_are_refused(w, KEYCLOAK("\"account\"", "cli"), OIDC_AUDIENCE,
		"the token is for another audience");
	/* its ID token */
	claims_are_accepted(w, "{\"exp\":1790003600,\"iat\":1790000000,\"iss\":\"" ISSUER "\","
		"\"aud\":\"netbird\",\"sub\":\"f1d2\",\"typ\":\"ID\",\"azp\":\"netbird\",\"at_hash\":\"x\","
		"\"groups\":[\"/laptops\"]}");
	assert_string_equal(w->groups, "/laptops|");
}

/* As Authentik makes them: the client alone in aud and azp, groups with blanks, a hash for sub. */
#define AUTHENTIK(client) "{\"iss\":\"" ISSUER "\",\"sub\":\"0f9a5d\",\"aud\":\"" client "\"," \
	"\"exp\":1790003600,\"iat\":1790000000,\"auth_time\":1790000000," \
	"\"acr\":\"goauthentik.io/providers/oauth2/default\"," \
	"\"amr\":[\"pwd\"],\"email\":\"ann@example.com\",\"email_verified\":true,\"name\":\"Ann B\"," \
	"\"given_name\":\"Ann B\",\"preferred_username\":\"ann\",\"nickname\":\"ann\"," \
	"\"groups\":[\"authentik Admins\",\"laptops\"],\"azp\":\"" client "\",\"uid\":\"kX2\"}"

static void tokens_of_authentiks_form_are_read(void **state)
{
	struct world *w = *state;

	claims_are_accepted(w, AUTHENTIK("netbird"));
	assert_string_equal(w->subject, "0f9a5d");
	assert_string_equal(w->shown, "ann@example.com");
	assert_string_equal(w->groups, "authentik Admins|laptops|");
	claims_are_refused(w, AUTHENTIK("grafana"), OIDC_AUDIENCE, "the token is for another audience");
}

#define WHEN(times) "{\"iss\":\"" ISSUER "\",\"sub\":\"u1\",\"aud\":\"" AUDIENCE "\"" times "}"
#define NO_EXP "the token's exp: expected seconds since 1970"

static void a_token_counts_from_nbf_to_exp_with_half_a_minute_for_clocks(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, WHEN(""), OIDC_CLAIMS, "the token does not say when it expires (exp)");
	claims_are_refused(w, WHEN(",\"exp\":1789999970"), OIDC_TIME, "the token has expired");
	claims_are_accepted(w, WHEN(",\"exp\":1789999971"));
	claims_are_refused(w, WHEN(",\"exp\":0"), OIDC_TIME, "the token has expired");
	claims_are_refused(w, WHEN(",\"exp\":-1"), OIDC_CLAIMS, NO_EXP);
	claims_are_refused(w, WHEN(",\"exp\":\"1790003600\""), OIDC_CLAIMS, NO_EXP);
	claims_are_refused(w, WHEN(",\"exp\":1e300"), OIDC_CLAIMS, NO_EXP);
	claims_are_refused(w, WHEN(",\"exp\":1790003600,\"nbf\":1790000031"), OIDC_TIME,
		"the token does not count yet (nbf); are the clocks right?");
	claims_are_accepted(w, WHEN(",\"exp\":1790003600,\"nbf\":1790000030"));
	claims_are_refused(w, WHEN(",\"exp\":1790003600,\"nbf\":true"), OIDC_CLAIMS,
		"the token's nbf: expected seconds since 1970");
	claims_are_refused(w, WHEN(",\"exp\":1790003600,\"iat\":1790000031"), OIDC_TIME,
		"the token is of the future (iat); are the clocks right?");
	claims_are_accepted(w, WHEN(",\"exp\":1790003600,\"iat\":1790000030"));
}

#define NO_CLAIMS "the token's claims are not a JSON object in base64url"

static void a_claim_that_comes_twice_is_refused(void **state)
{
	struct world *w = *state;

	claims_are_refused(w, CLAIMS_BUT(",\"sub\":\"root\""), OIDC_MALFORMED, NO_CLAIMS);
	claims_are_refused(w, CLAIMS_BUT(",\"x\":{\"a\":1,\"a\":2}"), OIDC_MALFORMED, NO_CLAIMS);
	claims_are_refused(w, "[1]", OIDC_MALFORMED, NO_CLAIMS);
	claims_are_refused(w, "not JSON", OIDC_MALFORMED, NO_CLAIMS);
	claims_are_refused(w, CLAIMS "}", OIDC_MALFORMED, NO_CLAIMS);
}

/* --- signatures --- */

#define NOT_ALLOWED "the token is signed by an algorithm that is not allowed: expected RS256, RS384, " \
	"RS512, ES256 or EdDSA"
#define WRONG "the token's signature is wrong"

static void an_unsigned_token_is_refused(void **state)
{
	static const char *const heads[] = { "{\"alg\":\"none\"}", "{\"alg\":\"None\",\"kid\":\"r1\"}",
		"{\"alg\":\"nOnE\"}" };
	struct world *w = *state;
	char token[TOKEN_LEN];

	for (size_t i = 0; i < 3; i++) {
		begin_token(heads[i], CLAIMS, token);
		strcat(token, ".");
		is_refused(w, token, OIDC_ALGORITHM, "the token is not signed");
		strcat(token, "AAAA");
		is_refused(w, token, OIDC_ALGORITHM, "the token is not signed");
	}
	begin_token(HEAD_OF("RS256", "r1"), CLAIMS, token);
	strcat(token, ".");
	is_refused(w, token, OIDC_ALGORITHM, "the token is not signed");
}

/* Everybody has the public key: as the secret of an HMAC it once fooled who believes the token's alg. */
static void a_public_key_is_no_secret(void **state)
{
	static const char *const heads[] = { HEAD_OF("HS256", "r1"), HEAD_OF("RS256", "r1") };
	struct world *w = *state;
	uint8_t mac[EVP_MAX_MD_SIZE], *der = NULL;
	char token[TOKEN_LEN];
	unsigned int len;
	int der_len = i2d_PUBKEY(w->rsa, &der);

	for (size_t i = 0; i < 2; i++) {
		begin_token(heads[i], CLAIMS, token);
		HMAC(EVP_sha256(), der, der_len, (const uint8_t *)token, strlen(token), mac, &len);
		end_token(token, mac, len);
		if (i)
			is_refused(w, token, OIDC_SIGNATURE, WRONG);
		else
			is_refused(w, token, OIDC_ALGORITHM, NOT_ALLOWED);
	}
	OPENSSL_free(der);
}

static void other_algorithms_are_refused(void **state)
{
	static const char *const names[] = { "HS256", "HS512", "PS256", "ES384", "ES256K", "ES512", "RS1",
		"rs256",
		"Ed448", "" };
	struct world *w = *state;
	char token[TOKEN_LEN], head[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(head, sizeof(head), "{\"alg\":\"%s\",\"kid\":\"r1\"}", names[i]);
		begin_token(head, CLAIMS, token);
		strcat(token, ".AAAA");
		is_refused(w, token, OIDC_ALGORITHM, NOT_ALLOWED);
	}
}

#define NO_KEY "the token is by a key that the issuer does not have"

/* The kid is known, but the key is of another kind: no key is asked to do what it is not for. */
static void an_algorithm_has_to_fit_the_key(void **state)
{
	struct world *w = *state;
	char token[TOKEN_LEN];

	make_token(w->rsa, HEAD_OF("RS256", "e1"), CLAIMS, token);
	is_refused(w, token, OIDC_KEY, NO_KEY);
	make_token(w->ec, HEAD_OF("ES256", "r1"), CLAIMS, token);
	is_refused(w, token, OIDC_KEY, NO_KEY);
	make_token(w->ed, HEAD_OF("EdDSA", "e1"), CLAIMS, token);
	is_refused(w, token, OIDC_KEY, NO_KEY);
}

static void somebody_elses_signature_is_refused(void **state)
{
	struct world *w = *state;
	char token[TOKEN_LEN], other[TOKEN_LEN];

	make_token(w->other_rsa, HEAD_OF("RS256", "r1"), CLAIMS, token);
	is_refused(w, token, OIDC_SIGNATURE, WRONG);
	/* the signature of one over the claims of another */
	make_token(w->rsa, HEAD_OF("RS256", "r1"), CLAIMS, token);
	make_token(w->rsa, HEAD_OF("RS256", "r1"), CLAIMS_BUT(",\"groups\":[\"admins\"]"), other);
	strcpy(strrchr(other, '.'), strrchr(token, '.'));
	is_refused(w, other, OIDC_SIGNATURE, WRONG);
	/* RS512's digest is not RS256's */
	begin_token(HEAD_OF("RS512", "r1"), CLAIMS, other);
	strcat(other, strrchr(token, '.'));
	is_refused(w, other, OIDC_SIGNATURE, WRONG);
}

static void p256_signatures_are_two_numbers_and_not_der(void **state)
{
	uint8_t der[1024], raw[65] = {};
	struct world *w = *state;
	char token[TOKEN_LEN], begun[TOKEN_LEN];
	size_t len;

	begin_token(HEAD_OF("ES256", "e1"), CLAIMS, begun);
	len = sign_bytes(w->ec, EVP_sha256(), begun, der);
	strcpy(token, begun);
	end_token(token, der, len);
	is_refused(w, token, OIDC_SIGNATURE, WRONG);
	raw_signature(der, len, raw);
	for (size_t n = 63; n <= 65; n++) {
		strcpy(token, begun);
		end_token(token, raw, n);
		if (n == 64)
			is_accepted(w, token);
		else
			is_refused(w, token, OIDC_SIGNATURE, WRONG);
	}
}

/* CVE-2022-21449: r = s = 0 once was good for every token. */
static void zeros_and_numbers_that_are_too_large_are_no_signature(void **state)
{
	uint8_t der[1024], good[64], raw[64];
	struct world *w = *state;
	char token[TOKEN_LEN], begun[TOKEN_LEN];

	begin_token(HEAD_OF("ES256", "e1"), CLAIMS, begun);
	raw_signature(der, sign_bytes(w->ec, EVP_sha256(), begun, der), good);
	for (int form = 0; form < 5; form++) {
		memcpy(raw, good, 64);
		if (form < 2)
			memset(raw + 32 * form, 0, 32);
		else if (form < 4)
			memset(raw + 32 * (form - 2), 0xff, 32);
		else
			memset(raw, 0, 64);
		strcpy(token, begun);
		end_token(token, raw, 64);
		is_refused(w, token, OIDC_SIGNATURE, WRONG);
	}
}

static void ed25519_signatures_have_one_length(void **state)
{
	uint8_t signature[1024] = {};
	struct world *w = *state;
	char token[TOKEN_LEN], begun[TOKEN_LEN];

	begin_token(HEAD_OF("EdDSA", "d1"), CLAIMS, begun);
	assert_int_equal(sign_bytes(w->ed, NULL, begun, signature), 64);
	for (size_t n = 32; n <= 96; n += 16) {
		strcpy(token, begun);
		end_token(token, signature, n);
		if (n == 64)
			is_accepted(w, token);
		else
			is_refused(w, token, OIDC_SIGNATURE, WRONG);
	}
	signature[63] = 0xff;	/* s is not below the order */
	strcpy(token, begun);
	end_token(token, signature, 64);
	is_refused(w, token, OIDC_SIGNATURE, WRONG);
}

/* --- forms --- */

#define CRITICAL "the token's header has extensions that it says must be understood (crit): expected none"
#define TYPE "the token's type is not JWT or at+jwt"
#define KID "the token's kid: expected a text of at most 256 bytes"
#define NO_HEAD "the token's header is not JSON in base64url"

static void heads_that_want_more_than_we_do_are_refused(void **state)
{
	static const struct { const char *head, *why; } bad[] = {
		{ "{\"alg\":\"RS256\",\"kid\":\"r1\",\"crit\":[\"exp\"]}", CRITICAL },
		{ "{\"alg\":\"RS256\",\"kid\":\"r1\",\"crit\":[]}", CRITICAL },
		{ "{\"alg\":\"RS256\",\"kid\":\"r1\",\"typ\":\"logout+jwt\"}", TYPE },
		{ "{\"alg\":\"RS256\",\"kid\":\"r1\",\"typ\":1}", TYPE },
		{ "{\"alg\":\"RS256\",\"kid\":1}", KID },
		{ "{\"alg\":\"RS256\",\"kid\":\"r1\\n\"}", KID },
		{ "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"r1\"}", NO_HEAD },
		{ "{\"alg\":[\"RS256\"]}", "the token's header has no text alg" },
		{ "{}", "the token's header has no text alg" },
		{ "\"RS256\"", NO_HEAD },
		{ "{\"alg\":\"RS256\\u0000\"}", NO_HEAD },
	};
	struct world *w = *state;
	char token[TOKEN_LEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_token(w->rsa, bad[i].head, CLAIMS, token);
		is_refused(w, token, OIDC_MALFORMED, bad[i].why);
	}
	make_token(w->rsa, "{\"alg\":\"RS256\",\"kid\":\"r1\",\"typ\":\"at+JWT\"}", CLAIMS, token);
	is_accepted(w, token);
	make_token(w->rsa, "{\"alg\":\"RS256\",\"kid\":\"r1\",\"typ\":\"application/jwt\"}", CLAIMS, token);
	is_accepted(w, token);
}

static void a_key_that_a_token_brings_is_not_looked_at(void **state)
{
	char jwk[JWK_LEN], head[JWK_LEN + 128], token[TOKEN_LEN];
	struct world *w = *state;

	jwk_of(w->other_rsa, "", jwk);
	snprintf(head, sizeof(head),
		"{\"alg\":\"RS256\",\"kid\":\"r1\",\"jku\":\"https://evil.example\",\"jwk\":%s}",
		jwk);
	make_token(w->other_rsa, head, CLAIMS, token);
	is_refused(w, token, OIDC_SIGNATURE, WRONG);
	assert_string_equal(w->url, "https://id.example/keys");
}

static void a_token_that_lacks_an_end_is_refused(void **state)
{
	struct world *w = *state;
	char token[TOKEN_LEN];
	size_t len;

	make_token(w->ec, HEAD_OF("ES256", "e1"), CLAIMS, token);
	len = strlen(token);
	for (size_t i = 0; i < len; i++)
		check(w, token, i);
	assert_int_equal(w->accepted, 0);
	check(w, token, len);
	assert_int_equal(w->accepted, 1);
}

static void there_is_one_way_to_write_a_token(void **state)
{
	static const char no_signature[] = "the token's signature is not base64url",
		alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct world *w = *state;
	char token[TOKEN_LEN], bad[TOKEN_LEN + 8];
	size_t len, last;

	make_token(w->ec, HEAD_OF("ES256", "e1"), CLAIMS, token);
	len = strlen(token);
	snprintf(bad, sizeof(bad), "%s==", token);
	is_refused(w, bad, OIDC_MALFORMED, no_signature);
	snprintf(bad, sizeof(bad), "%s\n", token);
	is_refused(w, bad, OIDC_MALFORMED, no_signature);
	snprintf(bad, sizeof(bad), " %s", token);
	is_refused(w, bad, OIDC_MALFORMED, NO_HEAD);
	snprintf(bad, sizeof(bad), "%s.", token);
	is_refused(w, bad, OIDC_MALFORMED, "the token does not consist of three parts");
	snprintf(bad, sizeof(bad), "%s.a.b", token);
	is_refused(w, bad, OIDC_MALFORMED, "the token does not consist of three parts");
	/* 64 bytes leave four bits over, which have to be 0 */
	last = strchr(alphabet, token[len - 1]) - alphabet;
	assert_int_equal(last % 16, 0);
	strcpy(bad, token);
	bad[len - 1] = alphabet[last + 1];
	is_refused(w, bad, OIDC_MALFORMED, no_signature);
	strcpy(bad, token);
	bad[len - 2] = '+';	/* of the other alphabet */
	is_refused(w, bad, OIDC_MALFORMED, no_signature);
	is_accepted(w, token);
}

static void a_huge_token_is_refused_unread(void **state)
{
	struct world *w = *state;
	char claims[TOKEN_LEN], token[TOKEN_LEN];

	snprintf(claims, sizeof(claims), "%.*s,\"x\":\"%012000d\"}", (int)strlen(CLAIMS) - 1, CLAIMS, 0);
	make_token(w->ec, HEAD_OF("ES256", "e1"), claims, token);
	assert_in_range(strlen(token), 16000, OIDC_TOKEN_MAX);
	is_accepted(w, token);
	snprintf(claims, sizeof(claims), "%.*s,\"x\":\"%012300d\"}", (int)strlen(CLAIMS) - 1, CLAIMS, 0);
	make_token(w->ec, HEAD_OF("ES256", "e1"), claims, token);
	is_refused(w, token, OIDC_MALFORMED, "the token: expected 1 to 16384 bytes");
	is_refused(w, "", OIDC_MALFORMED, "the token: expected 1 to 16384 bytes");
	/* nested so deep that the reader of JSON gives up, and not the stack */
	memset(claims, '[', 10000);
	memcpy(claims, "{\"x\":", 5);
	claims[10000] = '\0';
	make_token(w->ec, HEAD_OF("ES256", "e1"), claims, token);
	is_refused(w, token, OIDC_MALFORMED, NO_CLAIMS);
}

/* --- keys --- */

static size_t usable(const char *jwk)
{
	char keys[JWK_LEN + 64], why[OIDC_WHY_LEN];
	struct oidc_key_set set;
	size_t count;

	snprintf(keys, sizeof(keys), "{\"keys\":[%s]}", jwk);
	assert_int_equal(oidc_key_set_read(keys, strlen(keys), &set, why), 0);
	count = set.count;
	assert_int_equal(count + set.left_out, 1);
	oidc_key_set_done(&set);
	return count;
}

static size_t usable_with(EVP_PKEY *key, const char *more)
{
	char jwk[JWK_LEN];

	jwk_of(key, more, jwk);
	return usable(jwk);
}

static void keys_that_are_not_for_signatures_are_left_out(void **state)
{
	struct world *w = *state;

	assert_int_equal(usable_with(w->rsa, ",\"use\":\"sig\",\"alg\":\"RS256\",\"x5c\":[\"a\"]"), 1);
	assert_int_equal(usable_with(w->rsa, ",\"use\":\"enc\""), 0);
	assert_int_equal(usable_with(w->rsa, ",\"use\":7"), 0);
	assert_int_equal(usable_with(w->rsa, ",\"key_ops\":[\"encrypt\"]"), 0);
	assert_int_equal(usable_with(w->rsa, ",\"alg\":\"RSA-OAEP\""), 0);
	assert_int_equal(usable_with(w->rsa, ",\"alg\":\"HS256\""), 0);
	assert_int_equal(usable_with(w->rsa, ",\"alg\":\"ES256\""), 0);
	assert_int_equal(usable_with(w->ec, ",\"alg\":\"EdDSA\""), 0);
	assert_int_equal(usable_with(w->rsa, ",\"kid\":7"), 0);
	/* its private half is known to everybody */
	assert_int_equal(usable_with(w->rsa, ",\"d\":\"AQAB\""), 0);
}

static void weak_and_broken_keys_are_left_out(void **state)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	struct world *w = *state;
	char jwk[JWK_LEN], *at;

	assert_int_equal(usable_with(weak, ""), 0);
	EVP_PKEY_free(weak);
	assert_int_equal(usable("{\"kty\":\"oct\",\"k\":\"AAAA\"}"), 0);
	assert_int_equal(usable("{\"kty\":\"RSA\"}"), 0);
	assert_int_equal(usable("7"), 0);
	assert_int_equal(usable("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"), 0);
	assert_int_equal(usable("{\"kty\":\"OKP\",\"crv\":\"X25519\","
		"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"), 0);
	/* an exponent of 1 would accept what anybody writes; an even one is none */
	jwk_of(w->rsa, "", jwk);
	at = strstr(jwk, "\"e\":\"AQAB\"");
	assert_non_null(at);
	memcpy(at + 5, "AAAB", 4);
	assert_int_equal(usable(jwk), 0);
	memcpy(at + 5, "AQAA", 4);
	assert_int_equal(usable(jwk), 0);
	/* a point beside the curve */
	jwk_of(w->ec, "", jwk);
	at = strstr(jwk, "\"y\":\"") + 8;
	*at = *at == 'A' ? 'B' : 'A';
	assert_int_equal(usable(jwk), 0);
}

static void what_is_no_key_set_is_an_error(void **state)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}",
		"{\"keys\":[]" };
	struct oidc_key_set set;
	char why[OIDC_WHY_LEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(oidc_key_set_read(bad[i], strlen(bad[i]), &set, why), -EBADMSG);
		assert_string_equal(why, "expected a JSON object with a list named keys");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(each_allowed_algorithm_is_checked_with_its_own_key),
		CASE(the_examples_of_rfc_8037_and_rfc_7515_have_good_signatures),
		CASE(a_token_without_kid_is_by_the_only_key_that_fits),
		CASE(a_token_without_kid_is_refused_where_two_keys_fit),
		CASE(a_person_is_shown_by_what_they_know),
		CASE(groups_are_a_list_of_texts),
		CASE(groups_have_an_end),
		CASE(who_has_no_name_is_nobody),
		CASE(another_issuers_token_is_refused),
		CASE(a_token_for_somebody_else_is_refused),
		CASE(of_several_audiences_the_client_has_to_be_ours),
		CASE(one_audience_does_not_make_another_clients_token_ours),
		CASE(tokens_of_keycloaks_form_are_read),
		CASE(tokens_of_authentiks_form_are_read),
		CASE(a_token_counts_from_nbf_to_exp_with_half_a_minute_for_clocks),
		CASE(a_claim_that_comes_twice_is_refused),
		CASE(an_unsigned_token_is_refused),
		CASE(a_public_key_is_no_secret),
		CASE(other_algorithms_are_refused),
		CASE(an_algorithm_has_to_fit_the_key),
		CASE(somebody_elses_signature_is_refused),
		CASE(p256_signatures_are_two_numbers_and_not_der),
		CASE(zeros_and_numbers_that_are_too_large_are_no_signature),
		CASE(ed25519_signatures_have_one_length),
		CASE(heads_that_want_more_than_we_do_are_refused),
		CASE(a_key_that_a_token_brings_is_not_looked_at),
		CASE(a_token_that_lacks_an_end_is_refused),
		CASE(there_is_one_way_to_write_a_token),
		CASE(a_huge_token_is_refused_unread),
		CASE(keys_that_are_not_for_signatures_are_left_out),
		CASE(weak_and_broken_keys_are_left_out),
		CASE(what_is_no_key_set_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
