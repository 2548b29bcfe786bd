// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The management client against a server of our own behind a transport of our own: the table cell by cell,
// then whole lives on a fake clock.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "netbird/envelope.h"
#include "client/management_decide.h"
#include "client/management_internal.h"
#include "netbird/management_message.h"
#include "management.pb-c.h"
#include "unit/netbird.h"

#define SETUP_KEY	"3FB7DE4F-53a0-48f3-badc-83a22de60e2e"
#define CALLS_MAX	4096

/* The transport */

struct grpc_call {
	const char *method;
	struct grpc_call_events events;
	void *ctx;
	uint8_t *request, *sent;
	size_t len, sent_len;
	unsigned int sent_count;
	uint64_t timeout_ns, at_ns;
	bool is_open, is_half_closed;
};

struct grpc_channel {
	int nothing;
};

static struct world {
	struct loop *loop;
	struct management *m;
	struct secret_key own, server;
	uint8_t own_public[KEY_LEN], server_public[KEY_LEN];
	struct grpc_channel channel;
	struct grpc_call calls[CALLS_MAX];
	size_t call_count;
	int start_error;
	unsigned int resets, connects;
	uint64_t proved_each_ns;

	/* What the client said. */
	enum management_state state;
	char why[600];
	unsigned int states, logins, syncs, firsts, deletions, verdicts, probed;
	int verdict;
	char verdict_why[600];
	uint64_t serial;
	int logout_error;
	unsigned int logouts;
	char logout_why[600];
} w;

const char *grpc_status_name(int status)
{
	return status == GRPC_PERMISSION_DENIED ? "PermissionDenied" : "Code";
}

int grpc_channel_new(struct loop *loop, const struct grpc_channel_options *options,
	struct grpc_channel **ret_channel)
{
	assert_string_equal(options->host, "m.example");
	assert_true(options->tls);
	*ret_channel = &w.channel;
	return 0;
}

void grpc_channel_free(struct grpc_channel *channel)
{
	if (!channel)
		return;
	for (size_t i = 0; i < w.call_count; i++)
		w.calls[i].is_open = false;
}

void grpc_channel_reset(struct grpc_channel *channel, const char *why)
{
	w.resets++;
}

void grpc_channel_prove_each(struct grpc_channel *channel, uint64_t ns)
{
	w.proved_each_ns = ns;
}

bool grpc_channel_is_connected(const struct grpc_channel *channel)
{
	return true;
}

void grpc_channel_connect(struct grpc_channel *channel)
{
	w.connects++;
}

static void *copy_of(const void *bytes, size_t len)
{
	void *copy = malloc(len + 1);

	memcpy(copy, bytes, len);
	return copy;
}

int grpc_call_start(struct grpc_channel *channel, const struct grpc_call_options *options, const void *bytes,
	size_t len, const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call)
{
	struct grpc_call *call = &w.calls[w.call_count];

	if (w.start_error)
		return w.start_error;
	assert_true(w.call_count < CALLS_MAX);
	assert_memory_equal(options->path, "/management.ManagementService/", 30);
	w.call_count++;
	*call = (struct grpc_call){ .method = options->path + 30, .events = *events, .ctx = ctx,
		.timeout_ns = options->timeout_ns, .is_open = true,
		.request = copy_of(bytes, len), .len = len, .at_ns = loop_now(w.loop) };
	assert_int_equal(options->keep_open, strcmp(call->method, "Job") == 0);
	*ret_call = call;
	return 0;
}

int grpc_call_send(struct grpc_call *call, const void *bytes, size_t len)
{
	assert_true(call->is_open);
	free(call->sent);
	call->sent = copy_of(bytes, len);
	call->sent_len = len;
	call->sent_count++;
	return 0;
}

void grpc_call_half_close(struct grpc_call *call)
{
	assert_true(call->is_open);
	call->is_half_closed = true;
}

void grpc_call_cancel(struct grpc_call *call)
{
	if (!call)
		return;
	assert_true(call->is_open);
	call->is_open = false;
}

/* The server */

static unsigned int count_calls(const char *method)
{
	unsigned int count = 0;

	for (size_t i = 0; i < w.call_count; i++)
		count += strcmp(w.calls[i].method, method) == 0;
	return count;
}

/* The open one, or NULL. */
static struct grpc_call *open_call(const char *method)
{
	struct grpc_call *found = NULL;

	for (size_t i = 0; i < w.call_count; i++) {
		if (!w.calls[i].is_open || strcmp(w.calls[i].method, method) != 0)
			continue;
		assert_null(found);	/* never two of a kind */
		found = &w.calls[i];
	}
	return found;
}

static struct grpc_call *the_call(const char *method)
{
	struct grpc_call *call = open_call(method);

	if (!call)
		fail_msg("no %s is under way", method);
	return call;
}

static uint8_t *opened(const uint8_t *bytes, size_t len, size_t *ret_len)
{
	uint8_t *plain;

	assert_int_equal(envelope_unpack_management(&w.server, w.own_public, bytes, len, &plain, ret_len), 0);
	return plain;
}

static Management__LoginRequest *login_request(struct grpc_call *call)
{
	Management__LoginRequest *request;
	size_t len;
	uint8_t *plain = opened(call->request, call->len, &len);

	request = management__login_request__unpack(NULL, len, plain);
	assert_non_null(request);
	envelope_free(plain, len);
	return request;
}

static bool has_setup_key(struct grpc_call *call)
{
	Management__LoginRequest *request = login_request(call);
	bool has = request->setup_key[0];

	assert_non_null(request->meta);		/* without it servers refuse everything */
	if (has)
		assert_string_equal(request->setup_key, "3fb7de4f-53a0-48f3-badc-83a22de60e2e");
	management__login_request__free_unpacked(request, NULL);
	return has;
}

static void say_plain(struct grpc_call *call, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(len + 1);

	protobuf_c_message_pack(message, bytes);
	call->events.message(call->ctx, bytes, len);
	free(bytes);
}

static void say_bytes(struct grpc_call *call, const uint8_t *plain, size_t len)
{
	uint8_t *bytes;
	size_t bytes_len;

	assert_int_equal(envelope_pack_management(&w.server, w.own_public, plain, len, &bytes,
		&bytes_len), 0);
	call->events.message(call->ctx, bytes, bytes_len);
	envelope_free(bytes, bytes_len);
}

static void say_boxed(struct grpc_call *call, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *plain = malloc(len + 1);

	protobuf_c_message_pack(message, plain);
	say_bytes(call, plain, len);
	free(plain);
}

static void end_call(struct grpc_call *call, struct grpc_end end)
{
	if (!end.text[0] && end.status)
		strcpy(end.text, "the server's words");
	call->is_open = false;
	call->events.done(call->ctx, &end);
}

static void refuse(const char *method, int status)
{
	end_call(the_call(method), (struct grpc_end){ .status = status, .from_server = true,
		.http_status = 200 });
}

static void lose(const char *method)
{
	end_call(the_call(method), (struct grpc_end){ .status = GRPC_UNAVAILABLE,
		.text = "connection refused" });
}

static void finish(const char *method)
{
	end_call(the_call(method), (struct grpc_end){ .status = GRPC_OK, .from_server = true,
		.http_status = 200 });
}

static void give_key(void)
{
	Management__ServerKeyResponse response = MANAGEMENT__SERVER_KEY_RESPONSE__INIT;
	struct grpc_call *call = the_call("GetServerKey");
	char text[KEY_BASE64_LEN + 1];

	assert_int_equal(call->len, 0);
	key_to_base64(w.server_public, text);
	response.key = text;
	say_plain(call, &response.base);
	finish("GetServerKey");
}

static void new_server_process(void)
{
	randombytes_buf(w.server.bytes, KEY_LEN);
	key_public(&w.server, w.server_public);
}

static void accept_login(void)
{
	Management__LoginResponse response = MANAGEMENT__LOGIN_RESPONSE__INIT;
	Management__PeerConfig self = MANAGEMENT__PEER_CONFIG__INIT;

	self.address = "100.64.0.1/10";
	response.peer_config = &self;
	say_boxed(the_call("Login"), &response.base);
	finish("Login");
}

static void send_map(uint64_t serial)
{
	Management__SyncResponse response = MANAGEMENT__SYNC_RESPONSE__INIT;
	Management__NetworkMap map = MANAGEMENT__NETWORK_MAP__INIT;
	Management__PeerConfig self = MANAGEMENT__PEER_CONFIG__INIT;

	self.address = "100.64.0.1/10";
	map.peer_config = &self;
	map.serial = serial;
	map.remote_peers_is_empty = map.firewall_rules_is_empty = map.routes_firewall_rules_is_empty = true;
	response.network_map = &map;
	say_boxed(the_call("Sync"), &response.base);
}

static void send_farewell(void)
{
	size_t len;
	uint8_t *bytes = netbird_read("management/lap-033-received-SyncResponse-laptop-deleted.bin", &len);

	say_bytes(the_call("Sync"), bytes, len);
	free(bytes);
}

/* Whoever listens */

static void heard_state(void *ctx, enum management_state state, const char *why)
{
	w.state = state;
	snprintf(w.why, sizeof(w.why), "%s", why);
	w.states++;
}

static void heard_login(void *ctx, const struct netmap_update *login)
{
	assert_true(login->map.self.present);
	w.logins++;
}

static void heard_sync(void *ctx, const struct netmap_update *update, bool first, const uint8_t *bytes,
	size_t len)
{
	w.syncs++;
	w.firsts += first;
	w.serial = update->map.serial;
	assert_true(len > 0 && bytes);
}

static void heard_deleted(void *ctx)
{
	w.deletions++;
}

static void heard_verdict(void *ctx, int error, const char *why)
{
	w.verdicts++;
	w.verdict = error;
	snprintf(w.verdict_why, sizeof(w.verdict_why), "%s", why);
}

static const struct management_events events = {
	.state = heard_state, .login = heard_login, .sync = heard_sync, .deleted = heard_deleted,
	.verdict = heard_verdict,
};

static void forget_calls(void)
{
	for (size_t i = 0; i < w.call_count; i++) {
		free(w.calls[i].request);
		free(w.calls[i].sent);
	}
	memset(w.calls, 0, sizeof(w.calls));
	w.call_count = 0;
}

static void make_client_with(const char *setup_key, const char *token, bool once)
{
	struct management_config config = {
		.url = "https://m.example", .setup_key = setup_key, .token = token,
		.ssh_public_key = "ssh-ed25519 AAAA",
		.hostname = "node", .once = once,
		.dns_labels = (char *[]){ "one", "two" }, .dns_label_count = 2,
	};

	config.private_key = w.own;
	assert_int_equal(management_new(w.loop, &config, &events, &w, &w.m), 0);
	management_start(w.m);
	assert_int_equal(w.connects, 1);
}

static void make_client(const char *setup_key, bool once)
{
	make_client_with(setup_key, NULL, once);
}

static int make_world(void **state)
{
	forget_calls();
	memset(&w, 0, sizeof(w));
	assert_int_equal(loop_new_fake(&w.loop, 1000 * LOOP_SECOND), 0);
	w.own = netbird_secret(NODE_PRIVATE);
	netbird_key(NODE_PUBLIC, w.own_public);
	new_server_process();
	return 0;
}

static int end_world(void **state)
{
	management_free(w.m);
	loop_free(w.loop);
	forget_calls();
	return 0;
}

static void pass(uint64_t ns)
{
	loop_advance(w.loop, loop_now(w.loop) + ns);
}

/* Up to the first map of a known peer. */
static void connect_known(void)
{
	make_client(NULL, false);
	give_key();
	accept_login();
	send_map(1);
	pass(0);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
}

/* After a stream ended: the next one, with a map. */
static void resync(uint64_t serial)
{
	pass(11 * LOOP_SECOND);
	give_key();
	if (!open_call("Sync"))
		pass(15 * LOOP_SECOND);
	if (open_call("GetServerKey"))
		give_key();
	send_map(serial);
	pass(0);
}

/* The table */

static void the_table_says_what_it_should_in_every_cell(void **state)
{
	static const enum management_action want[STEP_COUNT][OUTCOME_COUNT] = {
		/* OK, refused, not found, precondition, stale, unimplemented, failed, unreachable, garbled */
		{ DO_GO_ON, DO_RETRY, DO_RETRY, DO_RETRY, DO_RETRY, DO_SAY_NOT_NETBIRD, DO_RETRY, DO_RETRY,
			DO_SAY_NOT_NETBIRD },
		{ DO_SYNC, DO_SAY_NEEDS_KEY, DO_RETRY, DO_SAY_BLOCKED, DO_REFETCH, DO_SAY_NOT_NETBIRD,
			DO_RETRY, DO_RETRY, DO_REFETCH },
		{ DO_SYNC, DO_SAY_BLOCKED, DO_SAY_BAD_KEY, DO_RETRY, DO_REFETCH, DO_SAY_NOT_NETBIRD, DO_RETRY,
			DO_RETRY, DO_RETRY },
		{ DO_SYNC, DO_SAY_TOKEN_REFUSED, DO_SAY_TOKEN_REFUSED, DO_SAY_TOKEN_REFUSED,
			DO_SAY_TOKEN_REFUSED, DO_SAY_NOT_NETBIRD, DO_RETRY, DO_RETRY, DO_RETRY },
		{ DO_RESYNC, DO_RELOGIN, DO_RELOGIN, DO_RELOGIN, DO_REFETCH, DO_SAY_NOT_NETBIRD, DO_RESYNC,
			DO_RESYNC, DO_RESYNC },
	};
	static const enum management_action again[STEP_COUNT] = { DO_RETRY, DO_RETRY, DO_SAY_BAD_KEY,
		DO_SAY_TOKEN_REFUSED, DO_RESYNC };

	for (int facts_bits = 0; facts_bits < 64; facts_bits++) {
		struct management_facts facts = { facts_bits & 1, facts_bits & 2, facts_bits & 4,
			facts_bits & 8, facts_bits & 16, facts_bits & 32 };

		for (int step = 0; step < STEP_COUNT; step++)
			for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
				enum management_action action = want[step][outcome];

				if (action == DO_REFETCH && facts.was_refetched)
					action = again[step];
				if (step == STEP_LOGIN && outcome == OUTCOME_REFUSED)
					action = facts.has_token ? DO_LOGIN_WITH_TOKEN : facts.is_expired
						? DO_SAY_EXPIRED : facts.was_known ? DO_SAY_DELETED
						: facts.has_setup_key ? DO_REGISTER : DO_SAY_NEEDS_KEY;
				if (step == STEP_REGISTER && outcome == OUTCOME_PRECONDITION &&
					facts.was_blocked)
					action = DO_SAY_BLOCKED;
				assert_int_equal(management_decide(step, outcome, &facts), action);
			}
	}
}

static void only_the_server_itself_can_refuse(void **state)
{
	struct grpc_end end = { .status = GRPC_PERMISSION_DENIED, .http_status = 403 };

	assert_int_equal(management_outcome_of(&end), OUTCOME_UNREACHABLE);
	end.from_server = true;
	assert_int_equal(management_outcome_of(&end), OUTCOME_REFUSED);
	end.status = GRPC_UNIMPLEMENTED;
	assert_int_equal(management_outcome_of(&end), OUTCOME_UNIMPLEMENTED);
	end.from_server = false;
	assert_int_equal(management_outcome_of(&end), OUTCOME_UNREACHABLE);
	end = (struct grpc_end){ .status = 99, .from_server = true };
	assert_int_equal(management_outcome_of(&end), OUTCOME_FAILED);
}

/* Lives */

static void a_known_peer_needs_one_key_one_login_one_sync_and_then_a_job(void **state)
{
	Management__LoginRequest *request;

	make_client(NULL, false);
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	give_key();
	request = login_request(the_call("Login"));
	assert_string_equal(request->setup_key, "");
	assert_string_equal(request->meta->hostname, "node");
	assert_string_equal(request->meta->netbird_version, SYSINFO_NETBIRD_VERSION);
	assert_int_equal(request->peer_keys->ssh_pub_key.len, 16);
	assert_memory_equal(request->peer_keys->wg_pub_key.data, NODE_PUBLIC, KEY_BASE64_LEN);
	assert_int_equal(request->n_dns_labels, 2);
	assert_string_equal(request->dns_labels[1], "two");
	management__login_request__free_unpacked(request, NULL);
	accept_login();
	assert_int_equal(w.state, MANAGEMENT_LOGGED_IN);
	assert_int_equal(w.logins, 1);
	pass(LOOP_SECOND);
	assert_null(open_call("Job"));
	send_map(5);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_string_equal(w.why, "");
	assert_int_equal(w.firsts, 1);
	assert_int_equal(w.serial, 5);
	pass(0);
	assert_int_equal(the_call("Job")->timeout_ns, 0);
	assert_int_equal(the_call("Sync")->timeout_ns, 0);
	assert_int_equal(count_calls("GetServerKey"), 1);
	send_map(6);
	assert_int_equal(w.syncs, 2);
	assert_int_equal(w.firsts, 1);
	pass(3600 * LOOP_SECOND);	/* silence is nothing to worry about */
	assert_int_equal(w.call_count, 4);
	assert_int_equal(w.states, 3);
}

static void the_setup_key_is_sent_only_when_it_must_be_and_once(void **state)
{
	make_client(" " SETUP_KEY "\n", false);
	give_key();
	assert_false(has_setup_key(the_call("Login")));
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_true(has_setup_key(the_call("Login")));
	accept_login();
	assert_non_null(the_call("Sync"));
	assert_null(w.m->setup_key);
	assert_int_equal(count_calls("GetServerKey"), 1);
}

static void a_known_peer_never_shows_its_setup_key(void **state)
{
	make_client(SETUP_KEY, false);
	give_key();
	accept_login();
	send_map(1);
	for (size_t i = 0; i < w.call_count; i++)
		if (strcmp(w.calls[i].method, "Login") == 0)
			assert_false(has_setup_key(&w.calls[i]));
}

static void a_lost_answer_to_a_registration_is_followed_by_a_login_without_key(void **state)
{
	make_client(SETUP_KEY, false);
	give_key();
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_true(has_setup_key(the_call("Login")));
	lose("Login");
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	pass(LOOP_SECOND);
	give_key();
	assert_false(has_setup_key(the_call("Login")));
	accept_login();
	assert_non_null(the_call("Sync"));
}

static void registration_under_way_elsewhere_is_tried_again_once(void **state)
{
	make_client(SETUP_KEY, false);
	for (int round = 0; round < 2; round++) {
		give_key();
		refuse("Login", GRPC_PERMISSION_DENIED);
		refuse("Login", GRPC_FAILED_PRECONDITION);
		assert_int_equal(w.state, round ? MANAGEMENT_NEEDS_LOGIN : MANAGEMENT_CONNECTING);
		pass(2 * LOOP_SECOND);
	}
	assert_non_null(strstr(w.why, "the server's words"));
	assert_null(open_call("GetServerKey"));
}

static void a_bad_setup_key_is_said_at_once_and_tried_slowly(void **state)
{
	make_client(SETUP_KEY, false);
	give_key();
	refuse("Login", GRPC_PERMISSION_DENIED);
	refuse("Login", GRPC_NOT_FOUND);
	assert_int_equal(w.state, MANAGEMENT_NEEDS_LOGIN);
	assert_non_null(strstr(w.why, "invalid, expired, revoked or used up"));
	assert_null(strchr(w.why, '\n'));
	assert_int_equal(w.verdicts, 0);
	pass(7 * LOOP_SECOND);
	assert_null(open_call("GetServerKey"));
	pass(60 * LOOP_SECOND);
	give_key();
	assert_false(has_setup_key(the_call("Login")));
}

static void an_explicit_login_ends_with_the_first_verdict(void **state)
{
	make_client(SETUP_KEY, true);
	give_key();
	refuse("Login", GRPC_PERMISSION_DENIED);
	refuse("Login", GRPC_NOT_FOUND);
	assert_int_equal(w.verdicts, 1);
	assert_int_equal(w.verdict, -EKEYREJECTED);
	assert_non_null(strstr(w.verdict_why, "used up"));
	pass(3600 * LOOP_SECOND);
	assert_int_equal(w.verdicts, 1);
	assert_int_equal(w.call_count, 3);
}

static void an_explicit_login_without_any_key_says_what_is_missing(void **state)
{
	make_client(NULL, true);
	give_key();
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_int_equal(w.verdict, -EACCES);
	assert_non_null(strstr(w.verdict_why, "NB_SETUP_KEY"));
	assert_int_equal(w.deletions, 0);
}

static void an_explicit_login_that_succeeds_syncs_only_if_nobody_stops_it(void **state)
{
	make_client(NULL, true);
	give_key();
	accept_login();
	assert_int_equal(w.verdicts, 1);
	assert_int_equal(w.verdict, 0);
	assert_null(open_call("Sync"));
	pass(0);
	assert_non_null(the_call("Sync"));
	send_map(1);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
}

static void an_explicit_login_gives_up_in_time(void **state)
{
	make_client(NULL, true);
	while (!w.verdicts && loop_now(w.loop) < 1060 * LOOP_SECOND) {
		if (open_call("GetServerKey"))
			lose("GetServerKey");
		pass(100 * LOOP_MS);
	}
	assert_int_equal(w.verdict, -ETIMEDOUT);
	assert_non_null(strstr(w.verdict_why, "connection refused"));
	assert_in_range(loop_now(w.loop), 1030 * LOOP_SECOND, 1031 * LOOP_SECOND);
	pass(600 * LOOP_SECOND);
	assert_null(open_call("GetServerKey"));
}

static void a_malformed_setup_key_is_reported_when_it_is_needed(void **state)
{
	make_client("my key", true);
	give_key();
	assert_int_equal(w.verdicts, 0);
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_int_equal(w.verdict, -EKEYREJECTED);
	assert_non_null(strstr(w.verdict_why, "the setup key is malformed; expected xxxxxxxx-xxxx-"));
	assert_null(strstr(w.verdict_why, "my key"));
}

static void a_stale_server_key_is_fetched_anew_once(void **state)
{
	make_client(NULL, false);
	give_key();
	new_server_process();
	refuse("Login", GRPC_INVALID_ARGUMENT);
	assert_null(open_call("Login"));
	give_key();
	assert_false(has_setup_key(the_call("Login")));
	refuse("Login", GRPC_INVALID_ARGUMENT);
	assert_null(open_call("GetServerKey"));		/* not a third time at once */
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	pass(LOOP_SECOND);
	give_key();
	accept_login();
	new_server_process();
	refuse("Sync", GRPC_INVALID_ARGUMENT);
	give_key();
	send_map(1);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_int_equal(count_calls("Login"), 3);
}

static void an_answer_in_a_box_that_does_not_open_is_no_login(void **state)
{
	make_client(NULL, false);
	give_key();
	the_call("Login")->events.message(w.m, (const uint8_t *)"\x0a\x01x", 3);
	finish("Login");
	assert_int_equal(w.logins, 0);
	give_key();
	accept_login();
	assert_int_equal(w.logins, 1);
}

static void a_proxys_403_is_an_outage(void **state)
{
	connect_known();
	end_call(the_call("Sync"), (struct grpc_end){ .status = GRPC_PERMISSION_DENIED, .http_status = 403 });
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	assert_non_null(strstr(w.why, "HTTP status 403"));
	pass(LOOP_SECOND);
	give_key();
	assert_null(open_call("Login"));
	send_map(2);
	assert_int_equal(w.deletions, 0);
}

static void a_server_that_is_no_netbird_is_said(void **state)
{
	make_client(NULL, true);
	refuse("GetServerKey", GRPC_UNIMPLEMENTED);
	assert_int_equal(w.verdict, -EPROTONOSUPPORT);
	assert_non_null(strstr(w.verdict_why, "https://m.example"));
}

static void the_end_of_a_stream_without_error_is_no_news(void **state)
{
	unsigned int states;

	connect_known();
	pass(60 * LOOP_SECOND);
	states = w.states;
	finish("Sync");
	assert_null(open_call("Job"));
	pass(LOOP_SECOND);
	give_key();
	assert_null(open_call("Login"));
	send_map(2);
	assert_int_equal(w.firsts, 2);
	assert_int_equal(w.states, states);
	pass(0);
	assert_non_null(the_call("Job"));
}

static void a_proxy_that_cuts_a_silent_stream_is_no_news(void **state)
{
	const struct grpc_end cut = { .status = GRPC_INTERNAL, .was_reset = true, .text = "was reset" };
	unsigned int states;

	connect_known();
	states = w.states;
	for (uint64_t i = 2; i < 6; i++) {
		pass(60 * LOOP_SECOND);
		end_call(the_call("Sync"), cut);
		pass(0);
		give_key();
		assert_null(open_call("Login"));
		send_map(i);
		assert_int_equal(w.states, states);
		assert_int_equal(w.firsts, i);
	}
	assert_int_equal(w.proved_each_ns, 5 * LOOP_SECOND);	/* so that the next cut is heard of soon */
	assert_int_equal(count_calls("Login"), 1);
}

/* What says nothing at all, or is gone with the connection, is told. */
static void a_reset_without_silence_and_a_lost_connection_are_news(void **state)
{
	const struct grpc_end cut = { .status = GRPC_INTERNAL, .was_reset = true, .text = "was reset" };

	connect_known();
	end_call(the_call("Sync"), cut);
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	resync(2);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	pass(60 * LOOP_SECOND);
	lose("Sync");
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	assert_int_equal(w.proved_each_ns, 0);
}

static void one_more_end_right_after_is_tolerated(void **state)
{
	connect_known();
	pass(60 * LOOP_SECOND);
	finish("Sync");
	pass(LOOP_SECOND);
	give_key();
	finish("Sync");			/* before it said anything */
	pass(2 * LOOP_SECOND);
	give_key();
	send_map(2);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_int_equal(count_calls("Login"), 1);
}

static void a_deleted_peer_is_told_at_once_and_does_not_come_back(void **state)
{
	make_client(SETUP_KEY, false);
	give_key();
	accept_login();
	send_map(1);
	pass(60 * LOOP_SECOND);
	send_farewell();
	assert_int_equal(w.syncs, 1);	/* it is not applied */
	finish("Sync");
	pass(0);
	give_key();
	refuse("Sync", GRPC_PERMISSION_DENIED);
	pass(0);
	give_key();
	assert_false(has_setup_key(the_call("Login")));
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_int_equal(w.deletions, 1);
	assert_int_equal(w.state, MANAGEMENT_NEEDS_LOGIN);
	assert_non_null(strstr(w.why, "deleted"));
	for (int i = 0; i < 3; i++) {	/* it asks now and then, without the key */
		pass(1800 * LOOP_SECOND);
		give_key();
		assert_false(has_setup_key(the_call("Login")));
		refuse("Login", GRPC_PERMISSION_DENIED);
	}
	assert_int_equal(w.deletions, 1);
	assert_non_null(strstr(w.why, "deleted"));
}

static void an_outage_is_not_a_deletion(void **state)
{
	connect_known();
	send_farewell();
	finish("Sync");
	for (int i = 0; i < 20; i++) {
		pass(10 * LOOP_SECOND);
		lose("GetServerKey");
	}
	pass(10 * LOOP_SECOND);
	give_key();
	send_map(2);
	assert_int_equal(w.deletions, 0);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
}

static void a_fresh_start_with_a_setup_key_registers_a_deleted_peer(void **state)
{
	make_client(SETUP_KEY, false);
	give_key();
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_true(has_setup_key(the_call("Login")));
	assert_int_equal(w.deletions, 0);
}

static void a_sync_refused_by_mistake_is_healed_by_a_login(void **state)
{
	connect_known();
	refuse("Sync", GRPC_PERMISSION_DENIED);
	pass(0);
	give_key();
	accept_login();
	send_map(2);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_int_equal(w.deletions, 0);
}

static void a_server_that_logs_in_but_refuses_sync_is_not_stormed(void **state)
{
	connect_known();
	for (uint64_t end = loop_now(w.loop) + 300 * LOOP_SECOND; loop_now(w.loop) < end;
		pass(10 * LOOP_MS)) {
		if (open_call("Sync"))
			refuse("Sync", GRPC_PERMISSION_DENIED);
		else if (open_call("GetServerKey"))
			give_key();
		else if (open_call("Login"))
			accept_login();
	}
	assert_true(count_calls("Sync") <= 30);
	assert_true(count_calls("Login") <= 120);
}

/* The most Syncs in any five minutes. */
static unsigned int most_syncs(void)
{
	unsigned int most = 0;

	for (size_t i = 0; i < w.call_count; i++) {
		unsigned int count = 0;

		if (strcmp(w.calls[i].method, "Sync") != 0)
			continue;
		for (size_t j = i; j < w.call_count &&
			w.calls[j].at_ns < w.calls[i].at_ns + 300 * LOOP_SECOND; j++)
			count += strcmp(w.calls[j].method, "Sync") == 0;
		most = count > most ? count : most;
	}
	return most;
}

static void two_with_one_identity_are_told_and_do_not_trip_the_servers_filter(void **state)
{
	bool was_told = false;

	connect_known();
	for (uint64_t end = loop_now(w.loop) + 1800 * LOOP_SECOND; loop_now(w.loop) < end;
		pass(100 * LOOP_MS)) {
		if (open_call("GetServerKey")) {
			give_key();
		} else if (open_call("Sync")) {
			if (!w.m->has_synced)
				send_map(2);
			pass(LOOP_SECOND);
			finish("Sync");
		}
		was_told |= strstr(w.why, "another client") != NULL;
	}
	assert_true(was_told);
	assert_true(most_syncs() <= 30);
	assert_true(count_calls("Sync") >= 60);
	assert_true(w.states < 10);
	while (!open_call("Sync")) {
		if (open_call("GetServerKey"))
			give_key();
		pass(LOOP_SECOND);
	}
	send_map(3);
	pass(61 * LOOP_SECOND);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_string_equal(w.why, "");
}

static void a_long_outage_is_waited_for_patiently_and_ends_without_a_login(void **state)
{
	unsigned int states;

	connect_known();
	lose("Sync");
	states = w.states;
	for (uint64_t end = loop_now(w.loop) + 3600 * LOOP_SECOND; loop_now(w.loop) < end; pass(50 * LOOP_MS))
		if (open_call("GetServerKey"))
			lose("GetServerKey");
	assert_in_range(count_calls("GetServerKey"), 360, 1200);
	assert_true(w.states <= states + 2);
	pass(11 * LOOP_SECOND);
	give_key();
	send_map(2);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_int_equal(count_calls("Login"), 1);
}

static void a_call_that_cannot_be_started_is_tried_again(void **state)
{
	w.start_error = -ENOMEM;
	make_client(NULL, false);
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	assert_non_null(strstr(w.why, "Cannot allocate"));
	w.start_error = 0;
	pass(LOOP_SECOND);
	give_key();
	assert_non_null(the_call("Login"));
}

static void a_server_that_takes_calls_and_is_silent_gets_a_new_connection(void **state)
{
	make_client(NULL, false);
	end_call(the_call("GetServerKey"), (struct grpc_end){ .status = GRPC_DEADLINE_EXCEEDED,
		.text = "no answer within 10 s" });
	assert_int_equal(w.resets, 1);
}

static void a_stream_without_a_map_is_given_up(void **state)
{
	make_client(NULL, false);
	give_key();
	accept_login();
	pass(31 * LOOP_SECOND);
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	assert_non_null(strstr(w.why, "no network map"));
	give_key();
	send_map(1);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
}

static void a_message_that_cannot_be_read_ends_the_stream(void **state)
{
	struct grpc_call *call;

	connect_known();
	call = the_call("Sync");
	call->events.message(call->ctx, (const uint8_t *)"junk", 4);
	send_map(9);			/* behind it, so not to be trusted */
	pass(0);
	assert_false(call->is_open);
	assert_int_equal(w.serial, 1);
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	pass(LOOP_SECOND);
	give_key();
	send_map(2);
	assert_int_equal(w.serial, 2);
}

/* Component maps, which a server of 0.75 or later may be told to send to all. */
static void a_map_of_another_format_is_refused_and_the_last_one_kept(void **state)
{
	static const uint8_t components[] = { 0x42, 0x02, 0x0a, 0x00, 0x48, 0x01 }, empty[] = { 0x48, 0x01 },
		classic[] = { 0x2a, 0x02, 0x08, 0x09, 0x48, 0x01 };
	static const struct { const uint8_t *bytes; size_t len; } messages[] = {
		{ components, sizeof(components) }, { empty, sizeof(empty) }, { classic, sizeof(classic) },
	};

	connect_known();
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		say_bytes(the_call("Sync"), messages[i].bytes, messages[i].len);
		pass(0);
		assert_int_equal(w.syncs, 1 + i);
		assert_int_equal(w.serial, 1 + i);
		assert_int_equal(w.state, MANAGEMENT_CONNECTING);
		assert_string_equal(w.why, "management https://m.example: it sends network maps in a format "
			"that was not asked for (SyncResponse.Version is not 0); the last one stays in "
			"force");
		assert_int_equal(w.deletions, 0);
		pass(20 * LOOP_SECOND);		/* asked again, in case it was a mistake */
		give_key();
		send_map(2 + i);
		assert_int_equal(w.serial, 2 + i);
		assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	}
}

/* Is it healthy? */

static void on_probed(void *ctx, int error, const char *why)
{
	assert_int_equal(error, 0);
	w.probed++;
}

static void probe(void)
{
	management_probe(w.m, on_probed, NULL);
}

/*
 * An empty message each way, without an envelope; a server that does not know the call answers by saying so.
 */
static void a_server_that_answers_is_healthy_even_if_it_is_old(void **state)
{
	connect_known();
	for (int is_old = 0; is_old < 2; is_old++) {
		probe();
		assert_int_equal(w.probed, is_old);
		assert_int_equal(the_call("isHealthy")->len, 0);
		assert_int_equal(the_call("isHealthy")->timeout_ns, 5 * LOOP_SECOND);
		if (is_old) {
			refuse("isHealthy", GRPC_UNIMPLEMENTED);
		} else {
			the_call("isHealthy")->events.message(the_call("isHealthy")->ctx,
				(const uint8_t *)"", 0);
			finish("isHealthy");
		}
		assert_int_equal(w.probed, 1 + is_old);
		assert_int_equal(w.state, MANAGEMENT_CONNECTED);
		assert_string_equal(w.why, "");
		pass(5 * LOOP_SECOND);
	}
}

/* Sync is open, perhaps by grace of a proxy, and nobody is behind it. */
static void a_server_that_does_not_answer_is_told_until_it_is_heard_again(void **state)
{
	for (int by_map = 0; by_map < 2; by_map++) {
		connect_known();
		probe();
		end_call(the_call("isHealthy"), (struct grpc_end){ .status = GRPC_DEADLINE_EXCEEDED,
			.text = "no answer within 5 s" });
		assert_int_equal(w.probed, 1);
		assert_int_equal(w.state, MANAGEMENT_CONNECTING);
		assert_string_equal(w.why,
			"management https://m.example cannot be reached: no answer within 5 s");
		assert_non_null(the_call("Sync"));		/* which is left as it is */
		pass(5 * LOOP_SECOND);
		if (by_map) {
			send_map(2);
		} else {
			probe();
			finish("isHealthy");
		}
		assert_int_equal(w.state, MANAGEMENT_CONNECTED);
		assert_string_equal(w.why, "");
		end_world(NULL);
		make_world(NULL);
	}
}

/* The connection stands, and other calls are answered: without maps it is not healthy all the same. */
static void with_sync_down_it_is_unhealthy_whatever_it_answers(void **state)
{
	connect_known();
	refuse("Sync", GRPC_INTERNAL);
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	assert_non_null(strstr(w.why, "the server's words"));
	probe();
	assert_int_equal(w.probed, 1);			/* answered by what is known */
	assert_null(open_call("isHealthy"));
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
	pass(LOOP_SECOND);
	give_key();
	probe();
	assert_null(open_call("isHealthy"));		/* open again, but nothing came yet */
	send_map(2);
	probe();
	refuse("Sync", GRPC_INTERNAL);			/* while it is asked */
	assert_int_equal(w.probed, 3);
	assert_null(open_call("isHealthy"));
	assert_int_equal(w.state, MANAGEMENT_CONNECTING);
}

static void many_who_look_ask_once_in_five_seconds(void **state)
{
	connect_known();
	probe();
	probe();
	assert_int_equal(w.probed, 1);			/* the second does not wait */
	pass(4 * LOOP_SECOND);
	finish("isHealthy");
	assert_int_equal(w.probed, 2);
	pass(5 * LOOP_SECOND - 1);
	probe();
	assert_int_equal(w.probed, 3);
	assert_int_equal(count_calls("isHealthy"), 1);
	pass(1);
	probe();
	assert_int_equal(count_calls("isHealthy"), 2);
	management_free(w.m);
	w.m = NULL;
	assert_int_equal(w.probed, 4);			/* nobody is left waiting */
}

/* Calls beside login and Sync */

static struct {
	unsigned int ended;
	int status;
	char text[GRPC_TEXT_LEN];
	uint8_t answer[64];
	size_t len;
} side;

static void side_done(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	side.ended++;
	side.status = end->status;
	snprintf(side.text, sizeof(side.text), "%s", end->text);
	side.len = len;
	if (answer)
		memcpy(side.answer, answer, len);
}

static struct management_side *start_side(void)
{
	struct management_side *started;

	memset(&side, 0, sizeof(side));
	assert_int_equal(management_side_start(w.m, "StopExpose", "\n\x01" "a", 3, 10 * LOOP_SECOND,
		side_done, NULL, &started), 0);
	assert_non_null(the_call("GetServerKey"));
	return started;
}

static void a_call_beside_the_others_asks_for_the_key_and_opens_the_answer(void **state)
{
	Management__RenewExposeRequest message = MANAGEMENT__RENEW_EXPOSE_REQUEST__INIT;
	struct grpc_call *call;
	uint8_t *plain;
	size_t len;

	connect_known();
	start_side();
	give_key();
	call = the_call("StopExpose");
	assert_int_equal(call->timeout_ns, 10 * LOOP_SECOND);
	plain = opened(call->request, call->len, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(plain, "\n\x01" "a", 3);
	envelope_free(plain, len);
	message.domain = "b";
	say_boxed(call, &message.base);
	end_call(call, (struct grpc_end){ .status = GRPC_OK, .from_server = true });
	assert_int_equal(side.ended, 1);
	assert_int_equal(side.status, GRPC_OK);
	assert_int_equal(side.len, 3);
	assert_memory_equal(side.answer, "\n\x01" "b", 3);
	assert_non_null(the_call("Sync"));
}

static void a_call_beside_the_others_tells_how_it_failed(void **state)
{
	struct grpc_call *call;

	connect_known();
	start_side();
	lose("GetServerKey");
	assert_int_equal(side.status, GRPC_UNAVAILABLE);
	start_side();
	give_key();
	refuse("StopExpose", GRPC_NOT_FOUND);
	assert_int_equal(side.status, GRPC_NOT_FOUND);
	start_side();
	give_key();
	call = the_call("StopExpose");
	call->events.message(call->ctx, (const uint8_t *)"nonsense", 8);
	end_call(call, (struct grpc_end){ .status = GRPC_OK, .from_server = true });
	assert_int_equal(side.status, GRPC_DATA_LOSS);
	assert_int_equal(side.len, 0);
	management_side_cancel(start_side());
	assert_null(open_call("GetServerKey"));
	assert_int_equal(side.ended, 0);
	start_side();
	management_free(w.m);
	w.m = NULL;
	assert_int_equal(side.ended, 1);
	assert_int_equal(side.status, GRPC_CANCELLED);
}

/* Jobs */

static Management__JobResponse *job_answer(struct grpc_call *call)
{
	Management__JobResponse *response;
	size_t len;
	uint8_t *plain = opened(call->sent, call->sent_len, &len);

	response = management__job_response__unpack(NULL, len, plain);
	assert_non_null(response);
	envelope_free(plain, len);
	return response;
}

static void jobs_are_declined_with_a_reason(void **state)
{
	Management__JobRequest job = MANAGEMENT__JOB_REQUEST__INIT;
	Management__BundleParameters bundle = MANAGEMENT__BUNDLE_PARAMETERS__INIT;
	Management__JobResponse *response;
	struct grpc_call *call;
	uint8_t *plain;
	size_t len;

	connect_known();
	call = the_call("Job");
	plain = opened(call->request, call->len, &len);
	assert_int_equal(len, 38);	/* as recorded: a UUID and nothing else */
	assert_int_equal(plain[0], 0x0a);
	assert_int_equal(plain[1], 36);
	envelope_free(plain, len);

	say_boxed(call, &job.base);	/* without an ID */
	assert_int_equal(call->sent_count, 0);
	job.id = (ProtobufCBinaryData){ 3, (uint8_t *)"abc" };
	say_boxed(call, &job.base);
	assert_int_equal(call->sent_count, 1);
	response = job_answer(call);
	assert_memory_equal(response->id.data, "abc", 3);
	assert_int_equal(response->status, MANAGEMENT__JOB_STATUS__failed);
	assert_memory_equal(response->reason.data, "job not implemented", 19);
	management__job_response__free_unpacked(response, NULL);
	job.workload_case = MANAGEMENT__JOB_REQUEST__WORKLOAD_BUNDLE;
	job.bundle = &bundle;
	say_boxed(call, &job.base);
	response = job_answer(call);
	assert_int_equal(response->status, MANAGEMENT__JOB_STATUS__failed);
	assert_non_null(memmem(response->reason.data, response->reason.len, "bundle", 6));
	management__job_response__free_unpacked(response, NULL);
}

/* What the owner of the client does about a job. */
static struct {
	unsigned int asked;
	int ret;
	struct message_job job;
} owner;

static int on_job(void *ctx, const struct message_job *job, char *why, size_t size)
{
	owner.asked++;
	owner.job = *job;
	snprintf(why, size, "not here");
	return owner.ret;
}

static void ask_for_bundle(bool anonymizes, const char *level, int files, int64_t minutes)
{
	Management__JobRequest job = MANAGEMENT__JOB_REQUEST__INIT;
	Management__BundleParameters bundle = MANAGEMENT__BUNDLE_PARAMETERS__INIT;

	bundle.anonymize = anonymizes;
	bundle.anonymize_level = (char *)level;
	bundle.log_file_count = files;
	bundle.bundle_for_time = minutes;
	job.id = (ProtobufCBinaryData){ 3, (uint8_t *)"abc" };
	job.workload_case = MANAGEMENT__JOB_REQUEST__WORKLOAD_BUNDLE;
	job.bundle = &bundle;
	say_boxed(the_call("Job"), &job.base);
}

static void connect_with_owner(void)
{
	static struct management_events with_jobs;

	memset(&owner, 0, sizeof(owner));
	connect_known();
	with_jobs = *w.m->events;
	with_jobs.job = on_job;
	w.m->events = &with_jobs;
}

static void bundles_are_asked_for_with_bounded_parameters(void **state)
{
	static const struct {
		bool anonymizes;
		const char *level;
		int files;
		int64_t minutes;
		bool does, is_strict;
		unsigned int is_files, is_minutes;
	} cases[] = {
		{ false, "", 0, 0, false, false, 1, 0 },
		{ true, "", 5, 10, true, false, 5, 10 },
		{ false, "default", 100, 60, true, false, 100, 60 },
		{ false, "strict", 101, 61, true, true, 100, 60 },
		{ true, "anything", -1, -1, true, true, 1, 0 },
		{ true, "Default", 2147483647, INT64_MAX, true, false, 100, 60 },
	};

	connect_with_owner();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_for_bundle(cases[i].anonymizes, cases[i].level, cases[i].files, cases[i].minutes);
		assert_int_equal(owner.asked, i + 1);
		assert_int_equal(owner.job.anonymizes, cases[i].does);
		assert_int_equal(owner.job.is_strict, cases[i].is_strict);
		assert_int_equal(owner.job.log_files, cases[i].is_files);
		assert_int_equal(owner.job.wait_minutes, cases[i].is_minutes);
	}
	assert_int_equal(the_call("Job")->sent_count, 0);
}

static void a_bundle_that_is_made_is_answered_with_its_key(void **state)
{
	Management__JobResponse *response;

	connect_with_owner();
	ask_for_bundle(false, "", 1, 0);
	management_answer_job(w.m, &owner.job, true, "the/key");
	response = job_answer(the_call("Job"));
	assert_memory_equal(response->id.data, "abc", 3);
	assert_int_equal(response->status, MANAGEMENT__JOB_STATUS__succeeded);
	assert_int_equal(response->workload_results_case, MANAGEMENT__JOB_RESPONSE__WORKLOAD_RESULTS_BUNDLE);
	assert_string_equal(response->bundle->upload_key, "the/key");
	assert_int_equal(response->reason.len, 0);
	management__job_response__free_unpacked(response, NULL);
	owner.ret = -EPERM;
	ask_for_bundle(false, "", 1, 0);
	response = job_answer(the_call("Job"));
	assert_int_equal(response->status, MANAGEMENT__JOB_STATUS__failed);
	assert_memory_equal(response->reason.data, "not here", 8);
	management__job_response__free_unpacked(response, NULL);
}

static void an_answer_that_is_late_goes_on_the_next_stream_sealed_for_the_servers_new_key(void **state)
{
	Management__JobResponse *response;

	connect_with_owner();
	ask_for_bundle(false, "", 1, 0);
	lose("Sync");
	assert_null(open_call("Job"));
	management_answer_job(w.m, &owner.job, false, "too late");
	new_server_process();
	resync(2);
	pass(LOOP_MS);
	response = job_answer(the_call("Job"));
	assert_memory_equal(response->reason.data, "too late", 8);
	management__job_response__free_unpacked(response, NULL);
}

static void a_job_stream_that_ends_changes_nothing_else(void **state)
{
	unsigned int states;

	connect_known();
	states = w.states;
	refuse("Job", GRPC_INTERNAL);
	pass(LOOP_SECOND);
	lose("Job");
	pass(2 * LOOP_SECOND);
	end_call(the_call("Job"), (struct grpc_end){ .status = GRPC_UNAVAILABLE, .http_status = 504 });
	pass(3 * LOOP_SECOND);
	refuse("Job", GRPC_UNIMPLEMENTED);
	pass(3600 * LOOP_SECOND);
	assert_null(open_call("Job"));
	assert_int_equal(w.states, states);
	assert_non_null(the_call("Sync"));
	lose("Sync");
	resync(2);
	assert_null(open_call("Job"));	/* for good */
}

static void a_proxy_that_cuts_a_silent_job_stream_is_left_nothing_to_wait_for(void **state)
{
	Management__JobRequest job = MANAGEMENT__JOB_REQUEST__INIT;
	Management__JobResponse *response;
	struct grpc_call *call;
	unsigned int states;

	connect_known();
	states = w.states;
	assert_false(the_call("Job")->is_half_closed);
	pass(60 * LOOP_SECOND);
	lose("Job");
	pass(2 * LOOP_SECOND);
	call = the_call("Job");
	assert_true(call->is_half_closed);
	assert_int_equal(w.states, states);

	/* The answer to a job needs a stream whose side of ours is open. */
	job.id = (ProtobufCBinaryData){ 3, (uint8_t *)"abc" };
	say_boxed(call, &job.base);
	assert_int_equal(call->sent_count, 0);
	pass(0);
	assert_false(call->is_open);
	call = the_call("Job");
	assert_int_equal(call->sent_count, 1);
	response = job_answer(call);
	assert_memory_equal(response->id.data, "abc", 3);
	management__job_response__free_unpacked(response, NULL);
	assert_true(call->is_half_closed);
}

static void a_job_stream_that_ends_with_the_connection_tells_nothing_about_proxies(void **state)
{
	connect_known();
	pass(60 * LOOP_SECOND);
	lose("Job");
	lose("Sync");
	resync(2);
	pass(0);
	assert_false(the_call("Job")->is_half_closed);
	pass(LOOP_SECOND);
	lose("Job");			/* refused rather than cut */
	pass(2 * LOOP_SECOND);
	assert_false(the_call("Job")->is_half_closed);
}

static void a_server_that_wants_the_jobs_stream_open_gets_it_so(void **state)
{
	connect_known();
	pass(60 * LOOP_SECOND);
	lose("Job");
	pass(2 * LOOP_SECOND);
	assert_true(the_call("Job")->is_half_closed);
	finish("Job");			/* at once, by the server itself */
	for (int i = 0; i < 3; i++) {
		pass(30 * LOOP_SECOND);
		assert_false(the_call("Job")->is_half_closed);
		lose("Job");
	}
}

static void job_streams_cut_each_few_seconds_come_back_at_once(void **state)
{
	connect_known();
	for (int i = 0; i < 20; i++) {
		pass(6 * LOOP_SECOND);
		lose("Job");
		pass(1700 * LOOP_MS);	/* twice 0.8 s at most */
		assert_non_null(open_call("Job"));
	}
}

/* SyncMeta */

static void other_posture_checks_are_answered_once(void **state)
{
	Management__SyncMetaRequest *request;
	struct grpc_call *call;
	uint8_t *plain;
	size_t len;

	connect_known();
	management_sync_meta(w.m, (char *[]){ "/proc/self/exe", "/no/such/file" }, 2);
	pass(0);
	call = the_call("SyncMeta");
	plain = opened(call->request, call->len, &len);
	request = management__sync_meta_request__unpack(NULL, len, plain);
	assert_int_equal(request->meta->n_files, 2);
	assert_true(request->meta->files[0]->exist);
	assert_false(request->meta->files[1]->exist);
	management__sync_meta_request__free_unpacked(request, NULL);
	envelope_free(plain, len);
	call->events.message(call->ctx, (const uint8_t *)"", 0);
	finish("SyncMeta");
	management_sync_meta(w.m, (char *[]){ "/proc/self/exe", "/no/such/file" }, 2);
	pass(60 * LOOP_SECOND);
	assert_int_equal(count_calls("SyncMeta"), 1);
	management_sync_meta(w.m, NULL, 0);
	pass(0);
	assert_int_equal(count_calls("SyncMeta"), 2);
	management_sync_meta(w.m, (char *[]){ "/a" }, 1);
	management_sync_meta(w.m, (char *[]){ "/b" }, 1);
	finish("SyncMeta");
	pass(29 * LOOP_SECOND);
	assert_int_equal(count_calls("SyncMeta"), 2);	/* each makes the server send maps to everybody */
	pass(2 * LOOP_SECOND);
	assert_int_equal(count_calls("SyncMeta"), 3);
	refuse("SyncMeta", GRPC_INTERNAL);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	pass(31 * LOOP_SECOND);
	assert_int_equal(count_calls("SyncMeta"), 4);
	finish("SyncMeta");
	pass(3600 * LOOP_SECOND);
	assert_int_equal(count_calls("SyncMeta"), 4);
}

/* How many capabilities the meta of the Sync under way names; 2: IPv6 among them. */
static size_t capabilities_told(void)
{
	struct grpc_call *call = the_call("Sync");
	size_t len, count;
	uint8_t *plain = opened(call->request, call->len, &len);
	Management__SyncRequest *request = management__sync_request__unpack(NULL, len, plain);

	count = request->meta->n_capabilities;
	management__sync_request__free_unpacked(request, NULL);
	envelope_free(plain, len);
	return count;
}

static void ipv6_that_comes_or_goes_is_told_with_a_new_sync(void **state)
{
	connect_known();
	assert_int_equal(capabilities_told(), 1);
	management_set_ipv6(w.m, false);	/* as it was */
	pass(60 * LOOP_SECOND);
	assert_int_equal(count_calls("Sync"), 1);
	management_set_ipv6(w.m, true);
	/* it may have been said in a callback of the stream */
	assert_int_equal(count_calls("Sync"), 1);
	pass(0);
	assert_int_equal(count_calls("Sync"), 2);
	assert_int_equal(capabilities_told(), 2);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	management_set_ipv6(w.m, false);		/* before the map came */
	pass(0);
	assert_int_equal(count_calls("Sync"), 3);
	assert_int_equal(capabilities_told(), 1);
	send_map(2);
	assert_int_equal(w.firsts, 2);
	management_set_ipv6(w.m, false);
	pass(60 * LOOP_SECOND);
	assert_int_equal(count_calls("Sync"), 3);
	assert_int_equal(count_calls("SyncMeta"), 0);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
}

static void ipv6_that_goes_before_sync_is_told_with_it(void **state)
{
	make_client(NULL, false);
	management_set_ipv6(w.m, true);
	pass(0);
	give_key();
	management_set_ipv6(w.m, false);
	accept_login();
	assert_int_equal(count_calls("Sync"), 1);
	assert_int_equal(capabilities_told(), 1);
}

static void posture_checks_known_before_sync_go_with_it(void **state)
{
	Management__SyncRequest *request;
	struct grpc_call *call;
	uint8_t *plain;
	size_t len;

	make_client(NULL, false);
	give_key();
	management_sync_meta(w.m, (char *[]){ "/bin/sh" }, 1);
	accept_login();
	call = the_call("Sync");
	plain = opened(call->request, call->len, &len);
	request = management__sync_request__unpack(NULL, len, plain);
	assert_int_equal(request->meta->n_files, 1);
	management__sync_request__free_unpacked(request, NULL);
	envelope_free(plain, len);
	send_map(1);
	pass(60 * LOOP_SECOND);
	assert_int_equal(count_calls("SyncMeta"), 0);
}

/* Logout */

/* Of a person who signed in */

#define TOKEN	"eyJhbGciOiJub25lIn0.eyJhdWQiOiJ0In0.c2ln"
#define EXPIRED	"peer login has expired, please log in once more"

/* The token of the Login under way, which has no setup key then; "" for none. */
static char *token_sent(void)
{
	static char copy[200];
	Management__LoginRequest *request = login_request(the_call("Login"));

	snprintf(copy, sizeof(copy), "%s", request->jwt_token);
	assert_true(!copy[0] || !request->setup_key[0]);
	assert_non_null(request->meta);
	management__login_request__free_unpacked(request, NULL);
	return copy;
}

static void refuse_with(const char *method, int status, const char *text)
{
	struct grpc_end end = { .status = status, .from_server = true, .http_status = 200 };

	snprintf(end.text, sizeof(end.text), "%s", text);
	end_call(the_call(method), end);
}

static unsigned int tokens_sent(void)
{
	unsigned int count = 0;

	for (size_t i = 0; i < w.call_count; i++) {
		Management__LoginRequest *request;

		if (strcmp(w.calls[i].method, "Login"))
			continue;
		request = login_request(&w.calls[i]);
		count += request->jwt_token[0] != 0;
		management__login_request__free_unpacked(request, NULL);
	}
	return count;
}

static void a_token_is_sent_only_when_it_must_be_and_once(void **state)
{
	make_client_with(SETUP_KEY, TOKEN, false);
	give_key();
	assert_string_equal(token_sent(), "");
	assert_false(has_setup_key(the_call("Login")));
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_string_equal(token_sent(), TOKEN);
	assert_null(w.m->token);
	assert_null(w.m->setup_key);
	accept_login();
	assert_non_null(the_call("Sync"));
	assert_int_equal(w.logins, 1);
	assert_int_equal(tokens_sent(), 1);
}

static void a_known_peer_never_shows_its_token(void **state)
{
	make_client_with(NULL, TOKEN, true);
	give_key();
	accept_login();
	assert_int_equal(w.verdict, 0);
	assert_null(w.m->token);
	assert_int_equal(tokens_sent(), 0);
}

static void an_expired_peer_uses_its_token(void **state)
{
	make_client_with(NULL, TOKEN, true);
	give_key();
	refuse_with("Login", GRPC_PERMISSION_DENIED, EXPIRED);
	assert_string_equal(token_sent(), TOKEN);
	accept_login();
	assert_int_equal(w.verdicts, 1);
	assert_int_equal(w.verdict, 0);
}

static void a_refused_token_is_used_up(void **state)
{
	static const int codes[] = { GRPC_PERMISSION_DENIED, GRPC_UNAUTHENTICATED, GRPC_INVALID_ARGUMENT,
		GRPC_NOT_FOUND, GRPC_FAILED_PRECONDITION };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		make_client_with(NULL, TOKEN, true);
		give_key();
		refuse("Login", GRPC_PERMISSION_DENIED);
		refuse("Login", codes[i]);
		assert_int_equal(w.verdicts, 1);
		assert_int_equal(w.verdict, -EACCES);
		assert_non_null(strstr(w.verdict_why, "the server's words"));
		assert_non_null(strstr(w.verdict_why, "talon login"));
		assert_null(strstr(w.verdict_why, TOKEN));
		assert_int_equal(w.state, MANAGEMENT_NEEDS_LOGIN);
		assert_int_equal(tokens_sent(), 1);
		end_world(state);
		make_world(state);
	}
}

static void after_a_lost_answer_login_comes_without_the_token_first(void **state)
{
	make_client_with(NULL, TOKEN, false);
	give_key();
	refuse("Login", GRPC_PERMISSION_DENIED);
	assert_string_equal(token_sent(), TOKEN);
	lose("Login");
	pass(15 * LOOP_SECOND);
	give_key();
	assert_string_equal(token_sent(), "");
	accept_login();		/* the server had taken it */
	assert_non_null(the_call("Sync"));
	assert_int_equal(tokens_sent(), 1);
}

static void a_lost_answer_of_a_login_that_failed_asks_for_another_token(void **state)
{
	for (int was_expired = 0; was_expired < 2; was_expired++) {
		const char *text = was_expired ? EXPIRED : "unknown";

		make_client_with(NULL, TOKEN, true);
		give_key();
		refuse_with("Login", GRPC_PERMISSION_DENIED, text);
		refuse("Login", GRPC_INTERNAL);
		assert_int_equal(w.verdicts, 0);
		pass(15 * LOOP_SECOND);
		give_key();
		assert_string_equal(token_sent(), "");
		refuse_with("Login", GRPC_PERMISSION_DENIED, text);
		assert_int_equal(w.verdict, was_expired ? -EKEYEXPIRED : -EACCES);
		assert_non_null(strstr(w.verdict_why, "lost"));
		assert_int_equal(tokens_sent(), 1);
		end_world(state);
		make_world(state);
	}
}

static void an_expired_login_is_told_from_a_deleted_peer_and_mends_by_itself(void **state)
{
	connect_known();
	finish("Sync");
	pass(11 * LOOP_SECOND);
	give_key();
	refuse_with("Sync", GRPC_PERMISSION_DENIED, EXPIRED);
	pass(0);
	give_key();
	refuse_with("Login", GRPC_PERMISSION_DENIED, EXPIRED);
	assert_int_equal(w.state, MANAGEMENT_EXPIRED);
	assert_int_equal(w.deletions, 0);
	assert_non_null(strstr(w.why, "has expired: run talon login"));
	assert_null(strstr(w.why, "setup key"));
	/* somebody switched expiry off, or signed in for this peer elsewhere */
	pass(61 * LOOP_SECOND);
	give_key();
	accept_login();
	if (!open_call("Sync"))
		pass(16 * LOOP_SECOND);
	send_map(2);
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_int_equal(w.deletions, 0);
}

static void a_setup_key_does_not_renew_a_login(void **state)
{
	make_client(SETUP_KEY, true);
	give_key();
	refuse_with("Login", GRPC_PERMISSION_DENIED, EXPIRED);
	assert_int_equal(w.verdict, -EKEYEXPIRED);
	assert_non_null(strstr(w.verdict_why, "a setup key does not renew it"));
	assert_int_equal(count_calls("Login"), 1);
	assert_int_equal(w.state, MANAGEMENT_EXPIRED);
}

/* Calls apart */

static struct { unsigned int ends; int status; bool from_server, has_answer; char answer[64]; } errand;

static void heard_answer(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	errand.ends++;
	errand.status = end->status;
	errand.from_server = end->from_server;
	errand.has_answer = answer;
	snprintf(errand.answer, sizeof(errand.answer), "%.*s", (int)len, answer ? (const char *)answer : "");
}

static void ask_flow(bool once)
{
	memset(&errand, 0, sizeof(errand));
	assert_int_equal(management_call(w.m, MANAGEMENT_SERVICE "GetPKCEAuthorizationFlow", once, "ask", 3,
		heard_answer, &w), 0);
	assert_int_equal(management_call(w.m, MANAGEMENT_SERVICE "GetPKCEAuthorizationFlow", once, "ask", 3,
		heard_answer, &w), -EBUSY);
}

static void a_call_apart_is_sealed_and_its_answer_opened(void **state)
{
	struct grpc_call *call;
	uint8_t *plain;
	size_t len;

	connect_known();
	ask_flow(false);
	give_key();
	call = the_call("GetPKCEAuthorizationFlow");
	plain = opened(call->request, call->len, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(plain, "ask", 3);
	envelope_free(plain, len);
	say_bytes(call, (const uint8_t *)"told", 4);
	finish("GetPKCEAuthorizationFlow");
	assert_int_equal(errand.ends, 1);
	assert_int_equal(errand.status, GRPC_OK);
	assert_string_equal(errand.answer, "told");
	/* an answer for somebody else is none */
	ask_flow(false);
	give_key();
	call = the_call("GetPKCEAuthorizationFlow");
	call->events.message(call->ctx, (const uint8_t *)"junk", 4);
	finish("GetPKCEAuthorizationFlow");
	assert_int_equal(errand.ends, 1);
	assert_false(errand.has_answer);
}

static void only_what_may_be_sent_twice_is_sent_again_to_a_new_server_process(void **state)
{
	for (int once = 0; once < 2; once++) {
		connect_known();
		ask_flow(once);
		give_key();
		refuse("GetPKCEAuthorizationFlow", GRPC_INVALID_ARGUMENT);
		assert_int_equal(errand.ends, once);
		if (!once) {
			new_server_process();
			give_key();
			refuse("GetPKCEAuthorizationFlow", GRPC_INVALID_ARGUMENT);
		}
		assert_int_equal(errand.ends, 1);
		assert_int_equal(errand.status, GRPC_INVALID_ARGUMENT);
		assert_true(errand.from_server);
		assert_int_equal(count_calls("GetPKCEAuthorizationFlow"), once ? 1 : 2);
		end_world(state);
		make_world(state);
	}
}

static void a_call_apart_ends_with_the_client_or_without_a_server(void **state)
{
	connect_known();
	ask_flow(false);
	lose("GetServerKey");
	assert_int_equal(errand.ends, 1);
	assert_int_equal(errand.status, GRPC_UNAVAILABLE);
	ask_flow(false);
	give_key();
	management_free(w.m);
	w.m = NULL;
	assert_int_equal(errand.ends, 1);
	assert_int_equal(errand.status, GRPC_CANCELLED);
	assert_false(errand.from_server);
}

static void an_extension_carries_token_and_facts_and_the_stream_stays(void **state)
{
	Management__ExtendAuthSessionRequest *request;
	struct expiry_said said;
	struct grpc_call *call;
	uint8_t *plain;
	size_t len;

	connect_known();
	memset(&errand, 0, sizeof(errand));
	assert_int_equal(management_extend(w.m, TOKEN, heard_answer, &w), 0);
	give_key();
	call = the_call("ExtendAuthSession");
	plain = opened(call->request, call->len, &len);
	request = management__extend_auth_session_request__unpack(NULL, len, plain);
	assert_non_null(request);
	assert_string_equal(request->jwt_token, TOKEN);
	assert_string_equal(request->meta->hostname, "node");
	management__extend_auth_session_request__free_unpacked(request, NULL);
	envelope_free(plain, len);
	say_bytes(call, (const uint8_t *)"\x0a\x02\x08\x05", 4);
	finish("ExtendAuthSession");
	assert_int_equal(errand.status, GRPC_OK);
	assert_int_equal(message_parse_extend((const uint8_t *)errand.answer, 4, &said), 0);
	assert_int_equal(said.kind, EXPIRY_AT);
	assert_int_equal(said.unix_s, 5);
	assert_non_null(the_call("Sync"));
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	assert_int_equal(message_parse_extend((const uint8_t *)"\x0a\x02\x08", 3, &said), -EBADMSG);
	assert_int_equal(message_parse_extend((const uint8_t *)"\x0a\x02\x08\x80", 4, &said), -EBADMSG);
	assert_int_equal(message_parse_extend((const uint8_t *)"", 0, &said), 0);
	assert_int_equal(said.kind, EXPIRY_UNSAID);
}

static void heard_logout(void *ctx, int error, const char *why)
{
	w.logouts++;
	w.logout_error = error;
	snprintf(w.logout_why, sizeof(w.logout_why), "%s", why);
}

static void logging_out_ends_everything(void **state)
{
	size_t len;
	uint8_t *plain;

	connect_known();
	assert_int_equal(management_logout(w.m, heard_logout, &w), 0);
	assert_int_equal(management_logout(w.m, heard_logout, &w), -EBUSY);
	new_server_process();
	refuse("GetServerKey", GRPC_INTERNAL);
	assert_int_equal(w.logouts, 1);
	assert_int_equal(w.logout_error, -EREMOTEIO);
	assert_int_equal(management_logout(w.m, heard_logout, &w), 0);
	give_key();
	new_server_process();
	refuse("Logout", GRPC_INVALID_ARGUMENT);
	give_key();
	plain = opened(the_call("Logout")->request, the_call("Logout")->len, &len);
	assert_int_equal(len, 0);
	envelope_free(plain, len);
	finish("Logout");
	assert_int_equal(w.logouts, 2);
	assert_int_equal(w.logout_error, 0);
	assert_int_equal(w.state, MANAGEMENT_NEEDS_LOGIN);
	assert_int_equal(w.deletions, 0);
	pass(3600 * LOOP_SECOND);
	assert_null(open_call("Sync"));
	assert_null(open_call("GetServerKey"));
}

static void a_logout_that_is_refused_says_why(void **state)
{
	connect_known();
	management_logout(w.m, heard_logout, &w);
	give_key();
	refuse("Logout", GRPC_FAILED_PRECONDITION);
	assert_int_equal(w.logout_error, -EPERM);
	assert_non_null(strstr(w.logout_why, "the server's words"));
	assert_int_equal(w.state, MANAGEMENT_CONNECTED);
	management_logout(w.m, heard_logout, &w);
	give_key();
	refuse("Logout", GRPC_NOT_FOUND);
	assert_int_equal(w.logout_error, -ENOENT);
}

static void a_logout_under_way_ends_with_the_client(void **state)
{
	connect_known();
	assert_int_equal(management_logout(w.m, heard_logout, &w), 0);
	management_free(w.m);
	w.m = NULL;
	assert_int_equal(w.logouts, 1);
	assert_int_equal(w.logout_error, -ECANCELED);
}

static void logging_out_works_without_sync(void **state)
{
	struct management_config config = { .url = "https://m.example", .private_key = w.own };

	assert_int_equal(management_new(w.loop, &config, &events, &w, &w.m), 0);
	assert_int_equal(management_logout(w.m, heard_logout, &w), 0);
	give_key();
	finish("Logout");
	assert_int_equal(w.logouts, 1);
	assert_int_equal(w.logout_error, 0);
}

static void a_url_of_no_form_is_refused(void **state)
{
	struct management_config config = { .url = "m.example", .private_key = w.own };

	assert_int_equal(management_new(w.loop, &config, &events, &w, &w.m), -EINVAL);
}

/* Waiting */

static void waits_grow_to_a_bound_and_are_never_nothing(void **state)
{
	struct backoff backoff = { .first_ns = 800 * LOOP_MS, .most_ns = 10 * LOOP_SECOND, .tenths = 17 };
	uint64_t sum = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t wait = backoff_next(&backoff);

		assert_in_range(wait, 100 * LOOP_MS, 10 * LOOP_SECOND);
		if (i == 0)
			assert_in_range(wait, 100 * LOOP_MS, 800 * LOOP_MS);
		sum += wait;
	}
	assert_in_range(sum / 1000, 5 * LOOP_SECOND, 6 * LOOP_SECOND);
	backoff_reset(&backoff);
	assert_in_range(backoff_next(&backoff), 100 * LOOP_MS, 800 * LOOP_MS);
}

static void the_allowance_is_exact(void **state)
{
	struct allowance allowance = { .most = 3, .left = 3, .each_ns = 10, .since_ns = 100 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(allowance_take(&allowance, 105), 0);
	assert_int_equal(allowance_take(&allowance, 106), 9);
	assert_int_equal(allowance_take(&allowance, 115), 0);
	assert_int_equal(allowance_take(&allowance, 116), 9);
	assert_int_equal(allowance_take(&allowance, 135), 0);
	assert_int_equal(allowance_take(&allowance, 135), 0);
	assert_int_equal(allowance_take(&allowance, 135), 10);
	for (int i = 0; i < 3; i++)
		assert_int_equal(allowance_take(&allowance, 1000), 0);
	assert_int_equal(allowance_take(&allowance, 1000), 10);
}

static void our_login_has_the_fields_of_the_recorded_one(void **state)
{
	Management__LoginRequest *theirs, *ours;
	struct sysinfo_flags flags = {};
	struct message_login login = { .setup_key = "3fb7de4f-53a0-48f3-badc-83a22de60e2e" };
	uint8_t *bytes, *meta;
	size_t len, meta_len;

	bytes = netbird_read("management/node-003-sent-LoginRequest.bin", &len);
	theirs = management__login_request__unpack(NULL, len, bytes);
	free(bytes);
	assert_non_null(theirs);
	assert_int_equal(sysinfo_pack("node", &flags, NULL, 0, &meta, &meta_len), 0);
	login.ssh_public_key = strndup((char *)theirs->peer_keys->ssh_pub_key.data,
		theirs->peer_keys->ssh_pub_key.len);
	login.meta = meta;
	login.meta_len = meta_len;
	netbird_key(NODE_PUBLIC, login.public_key);
	assert_int_equal(message_pack_login(&login, &bytes, &len), 0);
	ours = management__login_request__unpack(NULL, len, bytes);
	assert_non_null(ours);
	assert_string_equal(ours->setup_key, theirs->setup_key);
	assert_string_equal(ours->meta->hostname, theirs->meta->hostname);
	assert_string_equal(ours->meta->go_os, theirs->meta->go_os);
	assert_string_equal(ours->meta->kernel, theirs->meta->kernel);
	assert_true(ours->meta->os[0] && ours->meta->os_version[0] && ours->meta->kernel_version[0]);
	assert_non_null(ours->meta->flags);
	assert_int_equal(ours->peer_keys->wg_pub_key.len, theirs->peer_keys->wg_pub_key.len);
	assert_memory_equal(ours->peer_keys->wg_pub_key.data, theirs->peer_keys->wg_pub_key.data,
		ours->peer_keys->wg_pub_key.len);
	assert_int_equal(ours->peer_keys->ssh_pub_key.len, 80);
	management__login_request__free_unpacked(ours, NULL);
	management__login_request__free_unpacked(theirs, NULL);
	free((char *)login.ssh_public_key);
	envelope_free(bytes, len);
	free(meta);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_says_what_it_should_in_every_cell),
		cmocka_unit_test(only_the_server_itself_can_refuse),
		TEST(a_known_peer_needs_one_key_one_login_one_sync_and_then_a_job),
		TEST(the_setup_key_is_sent_only_when_it_must_be_and_once),
		TEST(a_known_peer_never_shows_its_setup_key),
		TEST(a_lost_answer_to_a_registration_is_followed_by_a_login_without_key),
		TEST(registration_under_way_elsewhere_is_tried_again_once),
		TEST(a_bad_setup_key_is_said_at_once_and_tried_slowly),
		TEST(an_explicit_login_ends_with_the_first_verdict),
		TEST(an_explicit_login_without_any_key_says_what_is_missing),
		TEST(an_explicit_login_that_succeeds_syncs_only_if_nobody_stops_it),
		TEST(an_explicit_login_gives_up_in_time),
		TEST(a_malformed_setup_key_is_reported_when_it_is_needed),
		TEST(a_stale_server_key_is_fetched_anew_once),
		TEST(an_answer_in_a_box_that_does_not_open_is_no_login),
		TEST(a_proxys_403_is_an_outage),
		TEST(a_server_that_is_no_netbird_is_said),
		TEST(the_end_of_a_stream_without_error_is_no_news),
		TEST(a_proxy_that_cuts_a_silent_stream_is_no_news),
		TEST(a_reset_without_silence_and_a_lost_connection_are_news),
		TEST(one_more_end_right_after_is_tolerated),
		TEST(a_deleted_peer_is_told_at_once_and_does_not_come_back),
		TEST(an_outage_is_not_a_deletion),
		TEST(a_fresh_start_with_a_setup_key_registers_a_deleted_peer),
		TEST(a_sync_refused_by_mistake_is_healed_by_a_login),
		TEST(a_server_that_logs_in_but_refuses_sync_is_not_stormed),
		TEST(two_with_one_identity_are_told_and_do_not_trip_the_servers_filter),
		TEST(a_long_outage_is_waited_for_patiently_and_ends_without_a_login),
		TEST(a_call_that_cannot_be_started_is_tried_again),
		TEST(a_server_that_takes_calls_and_is_silent_gets_a_new_connection),
		TEST(a_stream_without_a_map_is_given_up),
		TEST(a_message_that_cannot_be_read_ends_the_stream),
		TEST(a_map_of_another_format_is_refused_and_the_last_one_kept),
		TEST(a_server_that_answers_is_healthy_even_if_it_is_old),
		TEST(a_server_that_does_not_answer_is_told_until_it_is_heard_again),
		TEST(with_sync_down_it_is_unhealthy_whatever_it_answers),
		TEST(many_who_look_ask_once_in_five_seconds),
		TEST(jobs_are_declined_with_a_reason),
		TEST(bundles_are_asked_for_with_bounded_parameters),
		TEST(a_bundle_that_is_made_is_answered_with_its_key),
		TEST(an_answer_that_is_late_goes_on_the_next_stream_sealed_for_the_servers_new_key),
		TEST(a_call_beside_the_others_asks_for_the_key_and_opens_the_answer),
		TEST(a_call_beside_the_others_tells_how_it_failed),
		TEST(a_job_stream_that_ends_changes_nothing_else),
		TEST(a_proxy_that_cuts_a_silent_job_stream_is_left_nothing_to_wait_for),
		TEST(a_job_stream_that_ends_with_the_connection_tells_nothing_about_proxies),
		TEST(a_server_that_wants_the_jobs_stream_open_gets_it_so),
		TEST(job_streams_cut_each_few_seconds_come_back_at_once),
		TEST(ipv6_that_comes_or_goes_is_told_with_a_new_sync),
		TEST(ipv6_that_goes_before_sync_is_told_with_it),
		TEST(other_posture_checks_are_answered_once),
		TEST(posture_checks_known_before_sync_go_with_it),
		TEST(logging_out_ends_everything),
		TEST(a_token_is_sent_only_when_it_must_be_and_once),
		TEST(a_known_peer_never_shows_its_token),
		TEST(an_expired_peer_uses_its_token),
		TEST(a_refused_token_is_used_up),
		TEST(after_a_lost_answer_login_comes_without_the_token_first),
		TEST(a_lost_answer_of_a_login_that_failed_asks_for_another_token),
		TEST(an_expired_login_is_told_from_a_deleted_peer_and_mends_by_itself),
		TEST(a_setup_key_does_not_renew_a_login),
		TEST(a_call_apart_is_sealed_and_its_answer_opened),
		TEST(only_what_may_be_sent_twice_is_sent_again_to_a_new_server_process),
		TEST(a_call_apart_ends_with_the_client_or_without_a_server),
		TEST(an_extension_carries_token_and_facts_and_the_stream_stays),
		TEST(a_logout_that_is_refused_says_why),
		TEST(a_logout_under_way_ends_with_the_client),
		TEST(logging_out_works_without_sync),
		TEST(a_url_of_no_form_is_refused),
		cmocka_unit_test(waits_grow_to_a_bound_and_are_never_nothing),
		cmocka_unit_test(the_allowance_is_exact),
		cmocka_unit_test(our_login_has_the_fields_of_the_recorded_one),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
