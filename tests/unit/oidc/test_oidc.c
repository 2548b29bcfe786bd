// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An issuer's documents over time: asked for, renewed, rotated, missing.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../http_server.h"
#include "base/clock.h"
#include "world.h"

#define HOUR_S	3600
#define NO_KEY	"the token is by a key that the issuer does not have"
#define CLAIMS_FOR_DAYS "{\"iss\":\"" ISSUER "\",\"sub\":\"u1\",\"aud\":\"" AUDIENCE "\",\"exp\":1799999999}"

static int setup(void **state)
{
	*state = world_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	world_free(*state);
	return 0;
}

static struct oidc_check *check(struct world *w, EVP_PKEY *key, const char *head)
{
	struct oidc_check *waits;
	char token[TOKEN_LEN];

	make_token(key, head, CLAIMS_FOR_DAYS, token);
	assert_int_equal(oidc_check(w->oidc, token, strlen(token), on_check, w, &waits), 0);
	return waits;
}

static void is_waiting(const struct world *w, const char *why)
{
	const char *says;

	assert_false(oidc_is_ready(w->oidc, &says));
	assert_string_equal(says, why);
}

static void is_ready(const struct world *w)
{
	const char *says;

	assert_true(oidc_is_ready(w->oidc, &says));
}

/* The key set that is told from now on. */
static void only_key(struct world *w, EVP_PKEY *key, const char *kid)
{
	char jwk[JWK_LEN], more[64];

	snprintf(more, sizeof(more), ",\"kid\":\"%s\"", kid);
	jwk_of(key, more, jwk);
	snprintf(w->keys, sizeof(w->keys), "{\"keys\":[%s]}", jwk);
}

static void it_is_ready_when_both_documents_are_there(void **state)
{
	struct oidc_endpoints endpoints;
	struct world *w = *state;

	assert_string_equal(w->url, ISSUER "/.well-known/openid-configuration");
	is_waiting(w, "its keys were not told yet");
	oidc_endpoints(w->oidc, &endpoints);
	assert_string_equal(endpoints.token, "");
	say(w, DISCOVERY, "");
	assert_string_equal(w->url, "https://id.example/keys");
	is_waiting(w, "its keys were not told yet");
	say(w, w->keys, "");
	is_ready(w);
	oidc_endpoints(w->oidc, &endpoints);
	assert_string_equal(endpoints.device, "https://id.example/device");
	assert_string_equal(endpoints.token, "https://id.example/token");
	assert_string_equal(endpoints.authorization, "https://id.example/auth");
}

static void a_token_waits_for_the_first_keys(void **state)
{
	struct world *w = *state;

	assert_non_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	say(w, DISCOVERY, "");
	assert_int_equal(w->told, 0);
	say(w, w->keys, "");
	assert_int_equal(w->accepted, 1);
}

static void a_token_is_refused_at_once_while_the_issuer_does_not_answer(void **state)
{
	struct oidc_counts counts;
	struct world *w = *state;

	assert_non_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	say_failed(w, "Connection refused");
	assert_int_equal(w->told, 1);
	assert_string_equal(w->why, "nobody can sign in for now: asking for "
		"/.well-known/openid-configuration: "
		"Connection refused");
	assert_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	assert_int_equal(w->told, 2);
	oidc_count(w->oidc, &counts);
	assert_int_equal(counts.refused[OIDC_UNREADY], 2);
	assert_int_equal(counts.failures, 1);
	assert_int_equal(counts.waiting, 0);
	/* it is asked again within 2 seconds, and at least once a minute */
	pass_s(w, 2);
	assert_int_equal(w->asked, 2);
	for (int i = 0; i < 10; i++) {
		say_failed(w, "Connection refused");
		pass_s(w, 60);
		assert_int_equal(w->asked, 3 + i);
	}
	be_ready(w, "");
	is_ready(w);
}

static void keys_are_renewed_as_often_as_they_say(void **state)
{
	static const struct { const char *says; uint64_t after_s; } rows[] = {
		{ "", HOUR_S }, { "max-age=600", 600 }, { "public, MAX-AGE=7200, must-revalidate", 7200 },
		{ "max-age=1", 300 }, { "max-age=99999999", 24 * HOUR_S }, { "max-age=x", HOUR_S },
		{ "no-cache", 300 }, { "max-age=99999999999999999999", HOUR_S },
	};
	struct world *w = *state;

	be_ready(w, rows[0].says);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned int before = w->asked;

		assert_int_equal(oidc_max_age_s(rows[i].says), rows[i].after_s);
		pass_s(w, rows[i].after_s - 1);
		assert_int_equal(w->asked, before);
		pass_s(w, 1);
		assert_int_equal(w->asked, before + 1);
		assert_string_equal(w->url, ISSUER "/.well-known/openid-configuration");
		be_ready(w, i + 1 < sizeof(rows) / sizeof(rows[0]) ? rows[i + 1].says : "");
	}
}

static void a_new_key_is_asked_for_when_a_token_names_it(void **state)
{
	struct world *w = *state;

	be_ready(w, "");
	only_key(w, w->other_rsa, "r2");
	assert_non_null(check(w, w->other_rsa, HEAD_OF("RS256", "r2")));
	assert_int_equal(w->asked, 3);
	assert_string_equal(w->url, "https://id.example/keys");
	/* another that comes meanwhile waits for the same answer */
	assert_non_null(check(w, w->rsa, HEAD_OF("RS256", "r9")));
	assert_int_equal(w->asked, 3);
	say(w, w->keys, "");
	assert_int_equal(w->told, 2);
	assert_int_equal(w->accepted, 1);
	/* what the issuer no longer has counts no more */
	pass_s(w, 60);
	assert_non_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	say(w, w->keys, "");
	assert_string_equal(w->why, NO_KEY);
}

static void unknown_keys_make_one_question_a_minute(void **state)
{
	struct oidc_counts counts;
	struct world *w = *state;

	be_ready(w, "");
	assert_non_null(check(w, w->other_rsa, HEAD_OF("RS256", "r2")));
	say(w, w->keys, "");
	assert_string_equal(w->why, NO_KEY);
	for (int i = 0; i < 100; i++)
		assert_null(check(w, w->other_rsa, HEAD_OF("RS256", "r2")));
	assert_int_equal(w->asked, 3);
	pass_s(w, 59);
	assert_null(check(w, w->other_rsa, HEAD_OF("RS256", "r2")));
	pass_s(w, 1);
	assert_non_null(check(w, w->other_rsa, HEAD_OF("RS256", "r2")));
	assert_int_equal(w->asked, 4);
	say_failed(w, "HTTP status 500");
	assert_string_equal(w->why, NO_KEY);
	oidc_count(w->oidc, &counts);
	assert_int_equal(counts.refused[OIDC_KEY], 103);
	is_ready(w);
}

static void keys_that_cannot_be_renewed_count_for_a_day_more(void **state)
{
	struct world *w = *state;

	be_ready(w, "max-age=3600");
	pass_s(w, HOUR_S);
	say_failed(w, "HTTP status 503");
	is_ready(w);
	assert_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	assert_int_equal(w->accepted, 1);
	for (int i = 0; i < 60 * 24; i++) {
		if (w->done)
			say_failed(w, "HTTP status 503");
		pass_s(w, 59);
	}
	is_ready(w);
	pass_s(w, HOUR_S);
	is_waiting(w, "asking for /.well-known/openid-configuration: HTTP status 503");
	say_failed(w, "HTTP status 503");
	assert_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	assert_int_equal(w->accepted, 1);
	pass_s(w, 60);
	be_ready(w, "");
	is_ready(w);
}

static void an_issuer_without_usable_keys_lets_nobody_in(void **state)
{
	struct world *w = *state;

	be_ready(w, "");
	pass_s(w, HOUR_S);
	say(w, DISCOVERY, "");
	say(w, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "");
	is_waiting(w, "it has no key that can be used: expected RSA of 2048 bits or more, P-256 or Ed25519, "
		"for signatures");
	check(w, w->rsa, HEAD_OF("RS256", "r1"));
	say(w, "{\"keys\":[]}", "");
	assert_string_equal(w->why, NO_KEY);
}

static void what_is_no_key_set_leaves_those_of_before(void **state)
{
	struct world *w = *state;

	be_ready(w, "");
	pass_s(w, HOUR_S);
	say(w, DISCOVERY, "");
	say(w, "<html>", "");
	is_ready(w);
}

#define WITH(issuer, more) "{\"issuer\":\"" issuer "\"," more "}"
#define KEYS "\"jwks_uri\":\"https://id.example/keys\""

static void discovery_is_read_strictly(void **state)
{
	static const struct { const char *text, *why; } bad[] = {
		{ "", "expected a JSON object" },
		{ "[]", "expected a JSON object" },
		{ "{" KEYS "}", "it names the issuer (unreadable): expected what the configuration "
			"names, " ISSUER },
		{ WITH(ISSUER "/", KEYS), "it names the issuer " ISSUER "/: expected what the "
			"configuration names, " ISSUER },
		{ "{\"issuer\":\"" ISSUER "\"}", "jwks_uri: expected https://HOST[:PORT]/PATH, or http:// "
			"to a loopback address" },
		{ WITH(ISSUER, "\"jwks_uri\":\"http://id.example/keys\""), "jwks_uri: expected "
			"https://HOST[:PORT]/PATH, or http:// to a loopback address" },
		{ WITH(ISSUER, "\"jwks_uri\":\"file:///etc/passwd\""), "jwks_uri: expected "
			"https://HOST[:PORT]/PATH, or http:// to a loopback address" },
		{ WITH(ISSUER, "\"jwks_uri\":\"https://a@b/\""), "jwks_uri: expected "
			"https://HOST[:PORT]/PATH, or http:// to a loopback address" },
		{ WITH(ISSUER, KEYS ",\"token_endpoint\":\"http://id.example/token\""),
		"token_endpoint: expected "
			"https://HOST[:PORT]/PATH, or http:// to a loopback address" },
		{ WITH(ISSUER, KEYS ",\"device_authorization_endpoint\":7"), "device_authorization_endpoint: "
			"expected https://HOST[:PORT]/PATH, or http:// to a loopback address" },
		{ WITH(ISSUER, KEYS "," KEYS), "expected a JSON object" },
	};
	struct oidc_discovery d;
	char why[OIDC_WHY_LEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(oidc_discovery_read(bad[i].text, strlen(bad[i].text), ISSUER, &d, why),
			-EBADMSG);
		assert_string_equal(why, bad[i].why);
	}
	assert_int_equal(oidc_discovery_read(WITH(ISSUER, KEYS), strlen(WITH(ISSUER, KEYS)), ISSUER, &d, why),
		0);
	assert_string_equal(d.device, "");
	oidc_discovery_done(&d);
}

/* As the documents of Keycloak and Authentik have them: much that is not read, and their paths. */
static void discovery_of_other_providers_is_read(void **state)
{
#define KEYCLOAK	"https://id.example.com/realms/home"
#define AUTHENTIK	"https://id.example.com/application/o/"
#define AT		KEYCLOAK "/protocol/openid-connect/"
	static const struct { const char *issuer, *text, *keys, *device, *token,
	*authorization; } providers[] = {
		{ KEYCLOAK,
		"{\"issuer\":\"" KEYCLOAK "\",\"authorization_endpoint\":\"" AT "auth\",\"token_endpoint\":\""
		  AT "token\",\"introspection_endpoint\":\"" AT "token/introspect\","
		  "\"userinfo_endpoint\":\"" AT "userinfo\","
		  "\"frontchannel_logout_supported\":true,\"jwks_uri\":\"" AT "certs\","
		  "\"grant_types_supported\":[\"authorization_code\","
		  "\"urn:ietf:params:oauth:grant-type:device_code\"],"
		  "\"mtls_endpoint_aliases\":{\"token_endpoint\":\"" AT "token\"},"
		  "\"device_authorization_endpoint\":\""
		  AT "auth/device\"}", AT "certs", AT "auth/device", AT "token", AT "auth" },
		{ AUTHENTIK "mesh/",
		"{\"issuer\":\"" AUTHENTIK "mesh/\",\"authorization_endpoint\":\"" AUTHENTIK
		  "authorize/\",\"token_endpoint\":\"" AUTHENTIK "token/\","
		  "\"device_authorization_endpoint\":\"" AUTHENTIK
		  "device/\",\"jwks_uri\":\"" AUTHENTIK "mesh/jwks/\","
		  "\"id_token_signing_alg_values_supported\":"
		  "[\"RS256\"],\"request_parameter_supported\":false}", AUTHENTIK "mesh/jwks/",
		AUTHENTIK "device/",
		  AUTHENTIK "token/", AUTHENTIK "authorize/" },
	};
	struct oidc_discovery d;
	char why[OIDC_WHY_LEN];

	for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
		if (oidc_discovery_read(providers[i].text, strlen(providers[i].text), providers[i].issuer, &d,
			why))
			fail_msg("%s", why);
		assert_string_equal(d.jwks_uri, providers[i].keys);
		assert_string_equal(d.device, providers[i].device);
		assert_string_equal(d.token, providers[i].token);
		assert_string_equal(d.authorization, providers[i].authorization);
		oidc_discovery_done(&d);
	}
}

static void an_issuer_is_a_url_that_may_be_asked(void **state)
{
	static const char *const bad[] = { "http://id.example", "id.example", "https://",
		"https://id.example/?a=b",
		"https://id.example/#x", "https://u@id.example", "" };
	static const char *const good[] = { "http://127.0.0.1:5556/dex", "http://localhost/",
		"http://[::1]:80",
		"https://id.example/" };
	struct world *w = *state;
	const struct oidc_source source = { fake_get, fake_cancel, fake_release, fake_now, w };
	struct oidc_options options = { .audience = AUDIENCE };
	char why[OIDC_WHY_LEN];
	struct oidc *other;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options.issuer = bad[i];
		assert_int_equal(oidc_new_from(w->loop, &options, &source, &other, why), -EINVAL);
		assert_memory_equal(why, "issuer: expected ", 17);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		options.issuer = good[i];
		assert_int_equal(oidc_new_from(w->loop, &options, &source, &other, why), 0);
		oidc_free(other);
	}
	assert_string_equal(w->url, "https://id.example/.well-known/openid-configuration");
	w->released = 0;
}

static void a_cancelled_check_is_not_told(void **state)
{
	struct world *w = *state;
	struct oidc_check *first = check(w, w->rsa, HEAD_OF("RS256", "r1")),
		*second = check(w, w->ec, HEAD_OF("ES256", "e1")),
		*third = check(w, w->ed, HEAD_OF("EdDSA", "d1"));
	struct oidc_counts counts;

	oidc_cancel(third);
	oidc_cancel(first);
	oidc_cancel(NULL);
	assert_non_null(second);
	check(w, w->rsa, HEAD_OF("RS256", "r1"));
	be_ready(w, "");
	assert_int_equal(w->told, 2);
	assert_int_equal(w->accepted, 2);
	oidc_count(w->oidc, &counts);
	assert_int_equal(counts.waiting, 0);
}

struct leaver {
	struct world *w;
	struct oidc_check *other;
	unsigned int told;
};

static void cancel_the_other(void *ctx, const struct oidc_user *user, const char *why)
{
	struct leaver *l = ctx;

	l->told++;
	oidc_cancel(l->other);
	l->other = NULL;
}

static void free_it_all(void *ctx, const struct oidc_user *user, const char *why)
{
	struct leaver *l = ctx;

	l->told++;
	oidc_free(l->w->oidc);
	l->w->oidc = NULL;
}

static void who_is_told_may_cancel_others_or_free_it_all(void **state)
{
	struct world *w = *state;
	struct leaver l = { .w = w };
	struct oidc_check *waits;
	char token[TOKEN_LEN];

	make_token(w->rsa, HEAD_OF("RS256", "r1"), CLAIMS, token);
	oidc_check(w->oidc, token, strlen(token), cancel_the_other, &l, &waits);
	l.other = check(w, w->rsa, HEAD_OF("RS256", "r1"));
	oidc_check(w->oidc, token, strlen(token), free_it_all, &l, &waits);
	check(w, w->rsa, HEAD_OF("RS256", "r1"));
	be_ready(w, "");
	assert_int_equal(l.told, 2);
	assert_null(w->oidc);
	assert_int_equal(w->told, 1);
	assert_string_equal(w->why, "nobody can sign in for now: the configuration has changed, sign in "
		"again");
}

static void who_waits_is_told_when_it_ends(void **state)
{
	struct world *w = *state;

	assert_non_null(check(w, w->rsa, HEAD_OF("RS256", "r1")));
	assert_non_null(check(w, w->ec, HEAD_OF("ES256", "e1")));
	oidc_free(w->oidc);
	w->oidc = NULL;
	assert_int_equal(w->cancelled, 1);
	assert_int_equal(w->told, 2);
	assert_string_equal(w->why, "nobody can sign in for now: the configuration has changed, sign in "
		"again");
}

static void so_many_may_wait_and_no_more(void **state)
{
	struct world *w = *state;
	struct oidc_check *waits;
	char token[TOKEN_LEN];

	make_token(w->ec, HEAD_OF("ES256", "e1"), CLAIMS, token);
	for (int i = 0; i < OIDC_WAITING_MAX; i++) {
		oidc_check(w->oidc, token, strlen(token), on_check, w, &waits);
		assert_non_null(waits);
	}
	assert_int_equal(w->told, 0);
	oidc_check(w->oidc, token, strlen(token), on_check, w, &waits);
	assert_null(waits);
	assert_string_equal(w->why, "nobody can sign in for now: its keys were not told yet");
	be_ready(w, "");
	assert_int_equal(w->accepted, OIDC_WAITING_MAX);
}

/* --- the same over HTTP --- */

static const char *serve(struct http_server *server, const char *head)
{
	static char answer[20000];
	struct world *w = server->ctx;
	char body[17000];

	if (!strncmp(head, "GET /dex/.well-known/openid-configuration ", 42))
		snprintf(body, sizeof(body), "{\"issuer\":\"http://127.0.0.1:%u/dex\","
			"\"jwks_uri\":\"http://127.0.0.1:%u/dex/keys\"}", server->port, server->port);
	else if (!strncmp(head, "GET /dex/keys ", 14))
		snprintf(body, sizeof(body), "%s", w->keys);
	else
		return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
	snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	return answer;
}

static void stop(void *ctx, const struct oidc_user *user, const char *why)
{
	struct world *w = ctx;

	on_check(w, user, why);
	loop_stop(w->loop);
}

static void on_the_network(struct world *w, struct http_server *server, struct loop *loop, const char *path)
{
	struct oidc_options options = { .audience = AUDIENCE };
	char issuer[64], claims[256], token[TOKEN_LEN], why[OIDC_WHY_LEN];
	struct oidc_check *waits;
	struct oidc *oidc;

	snprintf(issuer, sizeof(issuer), "http://127.0.0.1:%u%s", server->port, path);
	options.issuer = issuer;
	assert_int_equal(oidc_new(loop, &options, &oidc, why), 0);
	snprintf(claims, sizeof(claims), "{\"iss\":\"%s\",\"sub\":\"u1\",\"aud\":\"" AUDIENCE
		"\",\"exp\":%llu}", issuer,
		(unsigned long long)(clock_unix_ns() / LOOP_SECOND + HOUR_S));
	make_token(w->ec, HEAD_OF("ES256", "e1"), claims, token);
	assert_int_equal(oidc_check(oidc, token, strlen(token), stop, w, &waits), 0);
	assert_non_null(waits);
	assert_int_equal(loop_run(loop), 0);
	oidc_free(oidc);
}

static void an_issuer_on_the_network_is_asked(void **state)
{
	struct world *w = *state;
	struct http_server server;
	struct loop *fake = w->loop, *loop;

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(http_server_open(&server, loop, serve, w), 0);
	w->loop = loop;
	on_the_network(w, &server, loop, "/dex");
	assert_int_equal(w->accepted, 1);
	assert_int_equal(server.requests, 2);
	on_the_network(w, &server, loop, "/elsewhere");
	assert_string_equal(w->why, "nobody can sign in for now: asking for "
		"/.well-known/openid-configuration: "
		"HTTP status 404");
	w->loop = fake;
	http_server_close(&server);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(it_is_ready_when_both_documents_are_there),
		CASE(a_token_waits_for_the_first_keys),
		CASE(a_token_is_refused_at_once_while_the_issuer_does_not_answer),
		CASE(keys_are_renewed_as_often_as_they_say),
		CASE(a_new_key_is_asked_for_when_a_token_names_it),
		CASE(unknown_keys_make_one_question_a_minute),
		CASE(keys_that_cannot_be_renewed_count_for_a_day_more),
		CASE(an_issuer_without_usable_keys_lets_nobody_in),
		CASE(what_is_no_key_set_leaves_those_of_before),
		CASE(discovery_is_read_strictly),
		CASE(discovery_of_other_providers_is_read),
		CASE(an_issuer_is_a_url_that_may_be_asked),
		CASE(a_cancelled_check_is_not_told),
		CASE(who_is_told_may_cancel_others_or_free_it_all),
		CASE(who_waits_is_told_when_it_ends),
		CASE(so_many_may_wait_and_no_more),
		CASE(an_issuer_on_the_network_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
