// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What providers say: the start of a device flow, tokens, and for whom a token is. Every byte is
// a stranger's.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "login/internal.h"
#include "netbird/json_file.h"

#define INTERVAL_S	5U		/* RFC 8628 section 3.2, if the provider names none */
#define INTERVAL_MAX_S	600U
#define EXPIRES_S	600U
#define EXPIRES_MAX_S	86400U
#define CODE_MAX	4096U
#define USER_CODE_MAX	64U
#define URL_MAX		2048U
#define CLAIMS_MAX	LOGIN_TOKEN_MAX

void login_token_free(char *token)
{
	if (token)
		sodium_memzero(token, strlen(token));
	free(token);
}

static int wrong(char *why, size_t size, const char *what)
{
	snprintf(why, size, "the identity provider's answer %s", what);
	return -EBADMSG;
}

/* Visible ASCII, which can neither break a line nor steer a terminal; "" for anything else. */
static const char *plain(const json_t *json, const char *key, size_t max)
{
	const char *text = json_file_text(json, key);

	if (!text || strlen(text) > max)
		return "";
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)
			return "";
	return text;
}

/* A number of seconds: @otherwise if it is absent or makes no sense. */
static unsigned int seconds(const json_t *json, const char *key, unsigned int otherwise, unsigned int most)
{
	const json_t *value = json_object_get(json, key);
	double number = json_number_value(value);

	if (!json_is_number(value) || !(number >= 1))
		return otherwise;
	return number < most ? (unsigned int)number : most;
}

/* Redirects and pages of proxies are no JSON: their status says more. */
static json_t *parse(const struct web_answer *answer, char *why, size_t size)
{
	json_error_t error;
	json_t *json;

	json_file_init();
	json = json_file_parse((const uint8_t *)answer->body, answer->len, &error);
	if (!json && answer->status >= 300)
		snprintf(why, size, "the identity provider answers with HTTP status %ld%s", answer->status,
			answer->status < 400 ? ", a redirect, which is not followed" : "");
	else if (!json)
		wrong(why, size, "is not JSON");
	return json;
}

/* error, and error_description if there is one; the caller's line is made printable where it is shown. */
static void explain(const json_t *json, const char *error, char *why, size_t size)
{
	const char *text = json_file_text(json, "error_description");

	snprintf(why, size, "the identity provider says: %.80s%s%.200s", error, text && *text ? ": " : "",
		text ? text : "");
}

/* --- RFC 8628 section 3.2 --- */

static int read_start(const json_t *json, struct device_start *start, char *why, size_t size)
{
	const char *code = plain(json, "device_code", CODE_MAX),
		*user = plain(json, "user_code", USER_CODE_MAX),
		*complete = plain(json, "verification_uri_complete", URL_MAX), *url = *complete ? complete
		: plain(json, "verification_uri", URL_MAX);
	struct server_url parsed;

	if (!*code)
		return wrong(why, size, "has no device_code");
	if (!*user)
		return wrong(why, size, "has no user_code");
	if (server_url_parse(url, SERVER_SCHEMES_WEB, &parsed))
		return wrong(why, size, "has no verification_uri that is a URL");
	start->device_code = strdup(code);
	start->user_code = strdup(user);
	start->url = strdup(url);
	start->url_has_code = strstr(url, user);
	start->expires_s = seconds(json, "expires_in", EXPIRES_S, EXPIRES_MAX_S);
	start->interval_s = seconds(json, "interval", INTERVAL_S, INTERVAL_MAX_S);
	return start->device_code && start->user_code && start->url ? 0 : -ENOMEM;
}

int answer_read_device(const struct web_answer *answer, struct device_start *ret_start, char *why,
	size_t size)
{
	json_t *json = parse(answer, why, size);
	struct device_start start = {};
	const char *error = json_file_text(json, "error");
	int ret = -EBADMSG;

	if (json && answer->status != 200 && error)
		explain(json, error, why, size);
	else if (json && answer->status != 200)
		snprintf(why, size, "the identity provider answers with HTTP status %ld", answer->status);
	else if (json)
		ret = read_start(json, &start, why, size);
	json_decref(json);
	if (ret)
		device_start_done(&start);
	else
		*ret_start = start;
	return ret;
}

void device_start_done(struct device_start *start)
{
	login_token_free(start->device_code);
	login_token_free(start->user_code);
	free(start->url);
	memset(start, 0, sizeof(*start));
}

/* --- tokens --- */

static int judge_error(const json_t *json, const char *error, enum token_word *ret_word, char *why,
	size_t size)
{
	if (!strcmp(error, "authorization_pending")) {
		*ret_word = TOKEN_PENDING;
	} else if (!strcmp(error, "slow_down")) {
		*ret_word = TOKEN_SLOW_DOWN;
	} else {
		*ret_word = TOKEN_REFUSED;
		if (!strcmp(error, "access_denied"))
			snprintf(why, size, "signing in was refused at the identity provider");
		else if (!strcmp(error, "expired_token"))
			snprintf(why, size, "the code has expired before anybody signed in");
		else
			explain(json, error, why, size);
	}
	return 0;
}

int answer_read_token(const struct web_answer *answer, bool use_id_token, enum token_word *ret_word,
	char **ret_token, char *why, size_t size)
{
	const char *name = use_id_token ? "id_token" : "access_token", *error, *token;
	json_t *json;
	int ret = 0;

	if (answer->status >= 500) {
		snprintf(why, size, "the identity provider answers with HTTP status %ld", answer->status);
		return -EBADMSG;
	}
	json = parse(answer, why, size);
	if (!json)
		return -EBADMSG;
	error = json_file_text(json, "error");
	token = plain(json, name, LOGIN_TOKEN_MAX);
	if (error && *error) {
		ret = judge_error(json, error, ret_word, why, size);
	} else if (!*token) {
		snprintf(why, size, "the identity provider's answer has no %s", name);
		ret = -EBADMSG;
	} else {
		*ret_token = strdup(token);
		*ret_word = TOKEN_GRANTED;
		ret = *ret_token ? 0 : -ENOMEM;
	}
	json_decref(json);
	return ret;
}

/* --- whose a token is --- */

static bool is_audience(const json_t *aud, const char *audience)
{
	const json_t *item;
	size_t i;

	if (json_is_string(aud))
		return !strcmp(json_string_value(aud), audience);
	json_array_foreach(aud, i, item)
		if (json_is_string(item) && !strcmp(json_string_value(item), audience))
			return true;
	return false;
}

/* The claims of a JSON Web Token: the second of three parts. NULL: it is none. */
static json_t *read_claims(const char *token)
{
	struct slice rest = slice_from(token), head = slice_cut(&rest, "."), claims = slice_cut(&rest, ".");
	size_t room = claims.len, len;
	json_error_t error;
	uint8_t *bytes;
	json_t *json = NULL;

	if (!head.len || !claims.len || !rest.len || memchr(rest.at, '.', rest.len) || room > CLAIMS_MAX)
		return NULL;
	bytes = malloc(room);
	if (bytes && !sodium_base642bin(bytes, room, claims.at, claims.len, NULL, &len, NULL,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING))
		json = json_file_parse(bytes, len, &error);
	if (bytes)
		sodium_memzero(bytes, room);
	free(bytes);
	return json;
}

int token_check_audience(const char *token, const char *audience, char *why, size_t size)
{
	json_t *claims;
	bool is_ours;

	json_file_init();
	claims = read_claims(token);
	if (!claims) {
		snprintf(why, size, "the identity provider's token is not a JSON Web Token");
		return -EBADMSG;
	}
	is_ours = is_audience(json_object_get(claims, "aud"), audience);
	json_decref(claims);
	if (is_ours)
		return 0;
	snprintf(why, size, "the identity provider's token is not for the audience %.100s", audience);
	return -EBADMSG;
}
