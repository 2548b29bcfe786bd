// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The device flow (RFC 8628): a code that a person enters in a browser anywhere, and polling until they have.
#include <errno.h>
#include <string.h>

#include "login/internal.h"

#define SLOWER_S	5U		/* section 3.5, each time */
#define FAILURES	4U		/* in a row, of the connection */
#define SECOND_NS	1000000000ULL
#define GRANT_TYPE	"urn:ietf:params:oauth:grant-type:device_code"

static int start_flow(const struct sign_in *s, struct device_start *ret_start, char *why, size_t size)
{
	const struct provider *p = s->provider;
	struct web_answer answer = {};
	struct form form = {};
	int ret;

	form_add(&form, "client_id", p->client_id);
	form_add(&form, "audience", p->audience);
	form_add(&form, "scope", p->scope);
	ret = web_post(p->device_auth_endpoint, &form, NULL, &answer, why, size);
	if (!ret)
		ret = answer_read_device(&answer, ret_start, why, size);
	web_answer_done(&answer);
	form_done(&form);
	return ret;
}

static void show(const struct sign_in *s, const struct device_start *start)
{
	fprintf(s->out, "Open this page in a browser and sign in:\n\n  %s\n\n", start->url);
	if (!start->url_has_code)
		fprintf(s->out, "Enter this code there: %s\n\n", start->user_code);
	else
		fprintf(s->out, "It should show this code: %s\n\n", start->user_code);
	if (s->qr && qr_draw(s->out, start->url))
		fprintf(s->out, "(The page cannot be drawn as a QR code.)\n\n");
	fflush(s->out);
}

static int poll_once(const struct sign_in *s, const struct device_start *start, enum token_word *ret_word,
	char **ret_token, char *why, size_t size)
{
	struct web_answer answer = {};
	struct form form = {};
	int ret;

	form_add(&form, "client_id", s->provider->client_id);
	form_add(&form, "grant_type", GRANT_TYPE);
	form_add(&form, "device_code", start->device_code);
	ret = web_post(s->provider->token_endpoint, &form, NULL, &answer, why, size);
	if (!ret)
		ret = answer_read_token(&answer, s->provider->use_id_token, ret_word, ret_token, why, size);
	web_answer_done(&answer);
	form_done(&form);
	return ret;
}

static int wait_for_token(const struct sign_in *s, const struct device_start *start, char **ret_token,
	char *why, size_t size)
{
	uint64_t end_ns = s->clock.now_ns(s->clock.ctx) + start->expires_s * SECOND_NS;
	unsigned int interval_s = start->interval_s;
	enum token_word word = TOKEN_PENDING;
	unsigned int failures = 0;
	int ret;

	while (s->clock.now_ns(s->clock.ctx) + interval_s * SECOND_NS <= end_ns) {
		s->clock.sleep_s(s->clock.ctx, interval_s);
		ret = poll_once(s, start, &word, ret_token, why, size);
		/* Section 3.5: a provider that does not answer is asked more slowly; here, a few times. */
		if ((ret == -ETIMEDOUT || ret == -EHOSTUNREACH) && ++failures < FAILURES) {
			interval_s += SLOWER_S;
			continue;
		}
		failures = 0;
		if (ret || word == TOKEN_GRANTED)
			return ret;
		if (word == TOKEN_REFUSED)
			return -EACCES;
		interval_s += word == TOKEN_SLOW_DOWN ? SLOWER_S : 0;
	}
	snprintf(why, size, "nobody signed in within %u s", start->expires_s);
	return -ETIMEDOUT;
}

int device_sign_in(const struct sign_in *s, char **ret_token, char *why, size_t size)
{
	const struct provider *p = s->provider;
	struct device_start start = {};
	char *token = NULL;
	int ret = web_check_url("DeviceAuthEndpoint", p->device_auth_endpoint, &s->management, why, size);

	if (!ret)
		ret = web_check_url("TokenEndpoint", p->token_endpoint, &s->management, why, size);
	if (!ret)
		ret = start_flow(s, &start, why, size);
	if (!ret) {
		show(s, &start);
		ret = wait_for_token(s, &start, &token, why, size);
	}
	device_start_done(&start);
	if (!ret)
		ret = token_check_audience(token, p->audience, why, size);
	if (ret)
		login_token_free(token);
	else
		*ret_token = token;
	return ret;
}
