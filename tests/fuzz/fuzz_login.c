// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Signing in, with any bytes as what strangers say: the first byte chooses who. A provider's answers (d: a
 * device code, t: a token, j: a token by itself), a browser's request (c), management's provider (D, P), and
 * the answer to an extension (e).
 */
#include "base/cidr.c"
#include "base/host_port.c"
#include "base/server_url.c"
#include "base/slice.c"
#include "config/value.c"
#include "crypto/key.c"
#include "http/head.c"
#include "management.pb-c.c"
#include "netbird/expiry.c"
#include "netbird/json_file.c"
#include "netbird/wire.c"

#define pack pack_message
#include "netbird/management_message.c"
#undef pack
#define wrong wrong_provider
#include "netbird/provider.c"
#undef wrong
#include "login/answers.c"
#include "login/callback.c"
#include "login/form.c"

#include <assert.h>

#define STATE	"0123456789abcdef"

static char why[300];

int store_write(const char *path, const void *bytes, size_t len)
{
	return -EROFS;
}

static void check_plain(const char *text, bool with_blanks)
{
	for (; *text; text++)
		assert((unsigned char)*text < 0x7f && (*text > ' ' || (*text == ' ' && with_blanks)));
}

static void check_device(const struct web_answer *answer)
{
	struct device_start start;

	if (answer_read_device(answer, &start, why, sizeof(why)))
		return;
	assert(*start.device_code && *start.user_code && *start.url);
	check_plain(start.device_code, false);
	check_plain(start.user_code, false);
	check_plain(start.url, false);
	assert(start.expires_s && start.expires_s <= EXPIRES_MAX_S);
	assert(start.interval_s && start.interval_s <= INTERVAL_MAX_S);
	device_start_done(&start);
}

static void check_token(const struct web_answer *answer)
{
	enum token_word word = TOKEN_PENDING;
	char *token = NULL;
	int ret = answer_read_token(answer, answer->len & 1, &word, &token, why, sizeof(why));

	assert(!token == (ret || word != TOKEN_GRANTED));
	if (token) {
		assert(*token && strlen(token) <= LOGIN_TOKEN_MAX);
		check_plain(token, false);
		token_check_audience(token, "netbird-cli", why, sizeof(why));
	}
	login_token_free(token);
}

static void check_callback(const char *bytes, size_t len)
{
	char code[CALLBACK_CODE_LEN] = "", other[CALLBACK_CODE_LEN] = "";
	struct slice head = { bytes, len };
	enum callback_verdict verdict = callback_judge(head, STATE, code);

	check_plain(code, true);
	assert(!*code == (verdict != CALLBACK_CODE && verdict != CALLBACK_REFUSED));
	/* nobody who does not know the state is believed */
	verdict = callback_judge(head, "another state, of which this request knows nothing", other);
	assert(verdict != CALLBACK_CODE && verdict != CALLBACK_REFUSED && !*other);
}

static void check_provider(enum provider_flow flow, const uint8_t *bytes, size_t len)
{
	struct provider p;

	if (provider_parse(flow, bytes, len, &p, why, sizeof(why)))
		return;
	assert(*p.client_id && *p.token_endpoint && *p.scope && *p.audience);
	assert(flow == PROVIDER_DEVICE ? *p.device_auth_endpoint : *p.authorization_endpoint);
	assert(flow == PROVIDER_DEVICE ? !p.redirect_count : p.redirect_count <= PROVIDER_REDIRECTS_MAX);
	check_plain(p.client_id, false);
	check_plain(p.client_secret, false);
	check_plain(p.scope, true);
	check_plain(p.token_endpoint, false);
	for (size_t i = 0; i < p.redirect_count; i++)
		check_plain(p.redirects[i], false);
	provider_done(&p);
}

static void check_extension(const uint8_t *bytes, size_t len)
{
	struct expiry_said said;

	if (!message_parse_extend(bytes, len, &said))
		assert((said.kind == EXPIRY_AT) == (said.unix_s || said.nanos));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct web_answer answer = {};

	if (size < 2)
		return 0;
	answer.len = size - 2;
	answer.status = data[1] % 6 * 100;	/* 0 to 500 */
	answer.body = malloc(size);
	if (!answer.body)
		return 0;
	memcpy(answer.body, data + 2, answer.len);
	answer.body[answer.len] = 0;
	switch (data[0]) {
	case 'd':
		check_device(&answer);
		break;
	case 't':
		check_token(&answer);
		break;
	case 'j':
		token_check_audience(answer.body, "netbird-cli", why, sizeof(why));
		break;
	case 'c':
		check_callback(answer.body, answer.len);
		break;
	case 'D':
	case 'P':
		check_provider(data[0] == 'D' ? PROVIDER_DEVICE : PROVIDER_PKCE, data + 2, answer.len);
		break;
	case 'e':
		check_extension(data + 2, answer.len);
		break;
	}
	free(answer.body);
	return 0;
}
