// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Unary calls of management: the server's key, login and registration; how calls are sealed and end.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/setup_key.h"
#include "client/management_internal.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define KEY_TIMEOUT_NS		(10 * LOOP_SECOND)	/* with the connection that it may wait for */
#define LOGIN_TIMEOUT_NS	(10 * LOOP_SECOND)

static void make_printable(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = '?';
}

void management_format_end(const struct management *m, const struct grpc_end *end, char *why, size_t size)
{
	if (end->from_server)
		snprintf(why, size, "management %s answers %s: %s", m->url, grpc_status_name(end->status),
			end->text[0] ? end->text : "(no text)");
	else if (end->http_status && end->http_status != 200)
		snprintf(why, size, "a proxy before management %s answers with HTTP status %d: %s", m->url,
			end->http_status, end->text);
	else
		snprintf(why, size, "management %s cannot be reached: %s", m->url, end->text);
	make_printable(why);
}

int management_ask(struct management *m, const uint8_t *server_key, const struct grpc_call_options *options,
	const uint8_t *plain, size_t len, const struct grpc_call_events *events, void *ctx,
	struct grpc_call **ret_call)
{
	uint8_t *bytes;
	size_t bytes_len;
	int ret = envelope_pack_management(&m->private_key, server_key, plain, len, &bytes, &bytes_len);

	if (ret < 0)
		return ret;
	ret = grpc_call_start(m->channel, options, bytes, bytes_len, events, ctx, ret_call);
	envelope_free(bytes, bytes_len);
	return ret;
}

void management_forget_answer(struct management *m)
{
	envelope_free(m->answer, m->answer_len);
	m->answer = NULL;
	m->answer_len = 0;
	m->is_garbled = false;
}

static void take_key(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;

	m->has_server_key = message_parse_server_key(bytes, len, m->server_key) == 0;
	m->is_garbled = !m->has_server_key;
}

static void take_login(void *ctx, const uint8_t *bytes, size_t len)
{
	struct management *m = ctx;

	management_forget_answer(m);
	m->is_garbled = envelope_unpack_management(&m->private_key, m->server_key, bytes, len, &m->answer,
		&m->answer_len) < 0;
}

void management_call_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;
	enum management_outcome outcome = management_outcome_of(end);

	m->call = NULL;
	if (outcome == OUTCOME_OK && m->is_garbled)
		outcome = OUTCOME_GARBLED;
	management_settle(m, outcome, end);
}

void management_could_not_start(struct management *m, int error)
{
	struct grpc_end end = { .status = GRPC_UNAVAILABLE };

	snprintf(end.text, sizeof(end.text), "the call cannot be started: %s", strerror(-error));
	management_settle(m, OUTCOME_UNREACHABLE, &end);
}

void management_fetch_key(struct management *m)
{
	static const struct grpc_call_events events = { .message = take_key, .done = management_call_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "GetServerKey",
		.timeout_ns = KEY_TIMEOUT_NS, .is_unary = true };
	int ret;

	m->step = STEP_KEY;
	m->has_server_key = false;
	management_forget_answer(m);
	ret = grpc_call_start(m->channel, &options, "", 0, &events, m, &m->call);
	if (ret < 0)
		management_could_not_start(m, ret);
}

static int start_login(struct management *m, const char *setup_key, const char *token)
{
	static const struct grpc_call_events events = { .message = take_login, .done = management_call_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "Login",
		.timeout_ns = LOGIN_TIMEOUT_NS, .is_unary = true };
	struct message_login login = {
		.setup_key = setup_key, .token = token, .ssh_public_key = m->ssh_public_key,
		.dns_labels = m->dns_labels, .dns_label_count = m->dns_label_count,
	};
	uint8_t *bytes;
	size_t len;
	int ret = management_refresh_meta(m);

	if (ret < 0)
		return ret;
	login.meta = m->meta;
	login.meta_len = m->meta_len;
	memcpy(login.public_key, m->public_key, KEY_LEN);
	ret = message_pack_login(&login, &bytes, &len);
	if (ret < 0)
		return ret;
	ret = management_ask(m, m->server_key, &options, bytes, len, &events, m, &m->call);
	envelope_free(bytes, len);
	return ret;
}

void management_call_login(struct management *m)
{
	int ret;

	m->step = STEP_LOGIN;
	management_forget_answer(m);
	ret = start_login(m, NULL, NULL);
	if (ret < 0)
		management_could_not_start(m, ret);
}

void management_call_register(struct management *m)
{
	char key[SETUP_KEY_LEN + 1];
	int ret;

	m->step = STEP_REGISTER;
	management_forget_answer(m);
	if (setup_key_parse(slice_from(m->setup_key), key)) {
		management_say_malformed_key(m, "the setup key is malformed; expected " SETUP_KEY_FORM);
		return;
	}
	ret = start_login(m, key, NULL);
	sodium_memzero(key, sizeof(key));
	if (ret < 0)
		management_could_not_start(m, ret);
}

void management_call_token(struct management *m)
{
	int ret;

	m->step = STEP_TOKEN;
	management_forget_answer(m);
	ret = start_login(m, NULL, m->token);
	management_drop_credentials(m);
	m->sent_token = true;
	if (ret < 0)
		management_could_not_start(m, ret);
}
