// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636): a browser on this host comes back.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>
#include <sodium.h>

#include "login/internal.h"

#define STATE_BYTES	24
#define VERIFIER_BYTES	64		/* 128 characters in hex: the most that RFC 7636 allows */

struct secrets {
	char state[2 * STATE_BYTES + 1];
	char verifier[2 * VERIFIER_BYTES + 1];
};

static void make_hex(char *hex, size_t bytes)
{
	uint8_t raw[VERIFIER_BYTES];

	randombytes_buf(raw, bytes);
	sodium_bin2hex(hex, 2 * bytes + 1, raw, bytes);
	sodium_memzero(raw, sizeof(raw));
}

/* RFC 7636 section 4.2, S256. */
static void make_challenge(const char *verifier, char *text, size_t size)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	SHA256((const uint8_t *)verifier, strlen(verifier), hash);
	sodium_bin2base64(text, size, hash, sizeof(hash), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(hash, sizeof(hash));
}

static bool is_here(const struct server_url *url)
{
	return !strcasecmp(url->host, "localhost") || !strcmp(url->host, "127.0.0.1") ||
		!strcmp(url->host, "::1");
}

/* Listens where the first redirect URL says whose port is free. Returns that URL, or NULL. */
static const char *listen_for(const struct provider *p, struct callback *callback)
{
	for (size_t i = 0; i < p->redirect_count; i++) {
		struct server_url url;

		if (server_url_parse(p->redirects[i], SERVER_SCHEME(SERVER_HTTP), &url) || !is_here(&url))
			continue;
		if (!callback_open(callback, url.port))
			return p->redirects[i];
	}
	return NULL;
}

static void show(const struct sign_in *s, const struct secrets *secrets, const char *redirect)
{
	const struct provider *p = s->provider;
	char challenge[sodium_base64_ENCODED_LEN(SHA256_DIGEST_LENGTH,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
	struct form query = {};
	const char *equals = strchr(p->prompt, '=');

	make_challenge(secrets->verifier, challenge, sizeof(challenge));
	form_add(&query, "response_type", "code");
	form_add(&query, "client_id", p->client_id);
	form_add(&query, "redirect_uri", redirect);
	form_add(&query, "scope", p->scope);
	form_add(&query, "state", secrets->state);
	form_add(&query, "code_challenge_method", "S256");
	form_add(&query, "code_challenge", challenge);
	form_add(&query, "audience", p->audience);
	fprintf(s->out, "Open this page in a browser on this host and sign in:\n\n  %s%c%s%s%s\n\n",
		p->authorization_endpoint, strchr(p->authorization_endpoint, '?') ? '&' : '?',
		query.is_out_of_memory ? "" : query.text, equals ? "&" : "", p->prompt);
	fflush(s->out);
	form_done(&query);
}

static int wait_for_code(const struct sign_in *s, struct callback *callback, const struct secrets *secrets,
	char code[static CALLBACK_CODE_LEN], char *why, size_t size)
{
	int ret = callback_wait(callback, secrets->state, s->callback_ms, code);

	if (ret == CALLBACK_REFUSED) {
		snprintf(why, size, "the identity provider says: %.200s", code);
		return -EACCES;
	}
	if (ret == -ETIMEDOUT)
		snprintf(why, size, "nobody signed in within %u s", s->callback_ms / 1000);
	else if (ret < 0)
		snprintf(why, size, "cannot wait for the browser: %s", strerror(-ret));
	return ret < 0 ? ret : 0;
}

static int exchange(const struct sign_in *s, const char *code, const char *redirect, const char *verifier,
	char **ret_token, char *why, size_t size)
{
	const struct provider *p = s->provider;
	enum token_word word = TOKEN_REFUSED;
	struct web_answer answer = {};
	struct form form = {};
	int ret;

	form_add(&form, "grant_type", "authorization_code");
	form_add(&form, "code", code);
	form_add(&form, "redirect_uri", redirect);
	form_add(&form, "client_id", p->client_id);
	if (*p->client_secret)
		form_add(&form, "client_secret", p->client_secret);
	form_add(&form, "code_verifier", verifier);
	ret = web_post(p->token_endpoint, &form, &s->certificate, &answer, why, size);
	if (!ret)
		ret = answer_read_token(&answer, p->use_id_token, &word, ret_token, why, size);
	if (!ret && word == TOKEN_REFUSED)
		ret = -EACCES;
	if (!ret && word != TOKEN_GRANTED) {	/* words of the device flow alone */
		snprintf(why, size, "the identity provider's answer is one of another flow");
		ret = -EBADMSG;
	}
	web_answer_done(&answer);
	form_done(&form);
	return ret;
}

static int run(const struct sign_in *s, struct callback *callback, const char *redirect, char **ret_token,
	char *why, size_t size)
{
	char code[CALLBACK_CODE_LEN] = "";
	struct secrets secrets;
	int ret;

	make_hex(secrets.state, STATE_BYTES);
	make_hex(secrets.verifier, VERIFIER_BYTES);
	show(s, &secrets, redirect);
	ret = wait_for_code(s, callback, &secrets, code, why, size);
	callback_close(callback);
	if (!ret)
		ret = exchange(s, code, redirect, secrets.verifier, ret_token, why, size);
	sodium_memzero(&secrets, sizeof(secrets));
	sodium_memzero(code, sizeof(code));
	return ret;
}

int pkce_sign_in(const struct sign_in *s, char **ret_token, char *why, size_t size)
{
	const struct provider *p = s->provider;
	struct callback callback;
	const char *redirect;
	char *token = NULL;
	int ret = web_check_url("AuthorizationEndpoint", p->authorization_endpoint, &s->management,
		why, size);

	if (!ret)
		ret = web_check_url("TokenEndpoint", p->token_endpoint, &s->management, why, size);
	if (ret)
		return ret;
	redirect = listen_for(p, &callback);
	if (!redirect) {
		snprintf(why, size, "none of the redirect URLs that management names (%.100s, ...) has a "
			"port on this host that is free", p->redirects[0]);
		return -EADDRINUSE;
	}
	ret = run(s, &callback, redirect, &token, why, size);
	if (!ret)
		ret = token_check_audience(token, p->audience, why, size);
	if (ret)
		login_token_free(token);
	else
		*ret_token = token;
	return ret;
}
