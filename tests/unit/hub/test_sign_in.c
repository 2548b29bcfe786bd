// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Users of an issuer at the hub: what clients are told, tokens that count once, groups, the end of a login.
#include "unit/hub/rig.h"

/* ---- an issuer made of memory ---- */

struct oidc {
	int unused;
};

struct oidc_check {
	oidc_fn fn;
	void *ctx;
};

static struct oidc the_issuer;
static struct oidc_check the_check;
static bool is_ready = true, is_late, was_cancelled;
static const char *device_endpoint = "https://id.test/device";
static struct oidc_user user;

int oidc_new(struct loop *loop, const struct oidc_options *options, struct oidc **ret_oidc,
	char why[static OIDC_WHY_LEN])
{
	assert_string_equal(options->issuer, "https://id.test");
	assert_string_equal(options->audience, "netbird");
	*ret_oidc = &the_issuer;
	return 0;
}

void oidc_free(struct oidc *oidc)
{
}

bool oidc_is_ready(const struct oidc *oidc, const char **ret_why)
{
	*ret_why = "it does not answer";
	return is_ready;
}

void oidc_endpoints(const struct oidc *oidc, struct oidc_endpoints *ret_endpoints)
{
	*ret_endpoints = (struct oidc_endpoints){ .device = device_endpoint, .token = "https://id.test/token",
		.authorization = "https://id.test/auth" };
}

/* "bad": refused; else the user's subject is the token's text, whose groups are set by the test. */
static void judge_token(const char *token, size_t len, oidc_fn fn, void *ctx)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "%.*s", (int)len, token);
	subject[strcspn(subject, "#")] = '\0';	/* what follows makes another token of the same user */
	if (!strcmp(subject, "bad")) {
		fn(ctx, NULL, "the token is for another audience");
		return;
	}
	user.subject = user.shown = subject;
	user.expires_s = hub_unix_s() + 600;
	crypto_hash_sha256(user.hash, (const uint8_t *)token, len);
	fn(ctx, &user, NULL);
}

int oidc_check(struct oidc *oidc, const char *token, size_t len, oidc_fn fn, void *ctx,
	struct oidc_check **ret_check)
{
	*ret_check = NULL;
	if (is_late) {
		the_check = (struct oidc_check){ fn, ctx };
		*ret_check = &the_check;
	} else {
		judge_token(token, len, fn, ctx);
	}
	return 0;
}

void oidc_count(const struct oidc *oidc, struct oidc_counts *ret_counts)
{
	*ret_counts = (struct oidc_counts){};
}

void oidc_cancel(struct oidc_check *check)
{
	was_cancelled = true;
}

/* ---- */

static const char *file_text(void)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		"keys:\n  many:\n    hash: %s\n    uses: unlimited\n"
		"policies:\n  - name: all\n    from: [All]\n    to: [All]\n"
		"groups:\n  staff: {}\n  admins:\n    sign-in: [wheel]\n"
		"sign-in:\n  issuer: https://id.test\n  client-id: netbird\n  groups: [staff]\n"
		"  expires-after: 24h\n", rig_hash(KEY_1));
	return text;
}

static int sign_in(struct agent *agent, const char *token, Management__LoginResponse **ret_answer)
{
	Management__LoginRequest request = MANAGEMENT__LOGIN_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	Management__Flags flags;
	struct server_call *call;
	uint8_t *plain;
	size_t len;
	int status;

	agent_meta(agent, &meta, &flags);
	request.meta = &meta;
	request.jwt_token = (char *)token;
	call = call_management(agent, "Login", &request.base);
	assert_true(call->is_ended);
	status = call->status;
	if (!status && ret_answer) {
		plain = call_open(agent, call, 0, &len);
		*ret_answer = management__login_response__unpack(NULL, len, plain);
		envelope_free(plain, len);
	}
	call_free(call);
	return status;
}

static void clients_are_told_of_both_flows(void **state)
{
	Management__Empty empty = MANAGEMENT__EMPTY__INIT;
	Management__DeviceAuthorizationFlow *device;
	Management__PKCEAuthorizationFlow *pkce;
	struct server_call *call;
	struct agent a;
	struct rig rig;
	uint8_t *plain;
	size_t len;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	call = call_management(&a, "GetDeviceAuthorizationFlow", &empty.base);
	plain = call_open(&a, call, 0, &len);
	device = management__device_authorization_flow__unpack(NULL, len, plain);
	assert_string_equal(device->provider_config->client_id, "netbird");
	assert_string_equal(device->provider_config->audience, "netbird");
	assert_string_equal(device->provider_config->device_auth_endpoint, "https://id.test/device");
	assert_string_equal(device->provider_config->token_endpoint, "https://id.test/token");
	management__device_authorization_flow__free_unpacked(device, NULL);
	envelope_free(plain, len);
	call_free(call);
	call = call_management(&a, "GetPKCEAuthorizationFlow", &empty.base);
	plain = call_open(&a, call, 0, &len);
	pkce = management__pkceauthorization_flow__unpack(NULL, len, plain);
	assert_string_equal(pkce->provider_config->authorization_endpoint, "https://id.test/auth");
	assert_int_equal(pkce->provider_config->n_redirect_urls, 2);
	assert_string_equal(pkce->provider_config->redirect_urls[0], "http://localhost:53000/");
	management__pkceauthorization_flow__free_unpacked(pkce, NULL);
	envelope_free(plain, len);
	call_free(call);
	device_endpoint = "";
	call = call_management(&a, "GetDeviceAuthorizationFlow", &empty.base);
	assert_int_equal(call->status, GRPC_NOT_FOUND);
	call_free(call);
	device_endpoint = "https://id.test/device";
	rig_stop(&rig);
}

static void a_token_lets_its_user_in_once_with_his_groups(void **state)
{
	static char *claims[] = { (char *)"wheel", (char *)"other" };
	Management__LoginResponse *answer;
	struct hub_peer *peer;
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	user.groups = claims;
	user.group_count = 2;
	assert_int_equal(sign_in(&a, "alice", &answer), GRPC_OK);
	user.group_count = 0;
	peer = hub_roster_find(&rig.hub->roster, a.public);
	assert_string_equal(peer->kept.user, "alice");
	assert_int_equal(peer->kept.group_count, 2);
	assert_string_equal(peer->kept.groups[0], "staff");
	assert_string_equal(peer->kept.groups[1], "admins");
	assert_int_equal(answer->session_expires_at->seconds, peer->kept.login_s + 24 * 3600);
	management__login_response__free_unpacked(answer, NULL);
	assert_int_equal(sign_in(&b, "alice", NULL), GRPC_UNAUTHENTICATED);
	assert_int_equal(sign_in(&b, "bad", NULL), GRPC_INVALID_ARGUMENT);
	assert_int_equal(rig.hub->counts.joins_token_refused, 2);
	assert_int_equal(rig.hub->roster.count, 1);
	/* another user of the same device is refused; the same one may come again with another token */
	assert_int_equal(sign_in(&a, "bob", NULL), GRPC_PERMISSION_DENIED);
	assert_int_equal(sign_in(&a, "alice#2", NULL), GRPC_OK);
	assert_int_equal(peer->kept.group_count, 1);
	is_ready = false;
	assert_int_equal(sign_in(&b, "carol", NULL), GRPC_UNAVAILABLE);
	is_ready = true;
	rig_stop(&rig);
}

static void an_expired_login_ends_the_stream_and_a_new_one_brings_it_back(void **state)
{
	Management__SyncResponse *map;
	struct hub_peer *peer;
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	assert_int_equal(sign_in(&a, "alice", NULL), GRPC_OK);
	agent_up(&b, KEY_1);
	assert_int_equal(agent_sync(&a), 0);
	peer = hub_roster_find(&rig.hub->roster, a.public);
	peer->kept.login_s -= 24 * 3600;
	rig_pass(&rig, 6 * LOOP_SECOND);
	assert_true(a.sync->is_ended);
	assert_int_equal(a.sync->status, GRPC_OK);
	map = agent_last(&b);
	assert_int_equal(map->network_map->n_remote_peers, 0);
	assert_int_equal(map->network_map->n_offline_peers, 1);
	management__sync_response__free_unpacked(map, NULL);
	call_free(a.sync);
	assert_int_equal(agent_sync(&a), GRPC_PERMISSION_DENIED);
	assert_int_equal(agent_login(&a, NULL, NULL), GRPC_PERMISSION_DENIED);
	call_free(a.sync);
	assert_int_equal(sign_in(&a, "alice#2", NULL), GRPC_OK);
	assert_int_equal(agent_sync(&a), 0);
	rig_pass(&rig, 6 * LOOP_SECOND);
	map = agent_last(&b);
	assert_int_equal(map->network_map->n_remote_peers, 1);
	management__sync_response__free_unpacked(map, NULL);
	agent_done(&a);
	agent_done(&b);
	rig_stop(&rig);
}

static int extend(struct agent *agent, const char *token, int64_t *ret_ends)
{
	Management__ExtendAuthSessionRequest request = MANAGEMENT__EXTEND_AUTH_SESSION_REQUEST__INIT;
	Management__ExtendAuthSessionResponse *answer;
	struct server_call *call;
	uint8_t *plain;
	size_t len;
	int status;

	request.jwt_token = (char *)token;
	call = call_management(agent, "ExtendAuthSession", &request.base);
	status = call->status;
	if (!status) {
		plain = call_open(agent, call, 0, &len);
		answer = management__extend_auth_session_response__unpack(NULL, len, plain);
		*ret_ends = answer->session_expires_at->seconds;
		management__extend_auth_session_response__free_unpacked(answer, NULL);
		envelope_free(plain, len);
	}
	call_free(call);
	return status;
}

static void a_login_can_be_extended_by_its_user(void **state)
{
	struct hub_peer *peer;
	struct agent a, b, stranger;
	struct rig rig;
	int64_t ends;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_make(&stranger, &rig, 3, "c");
	assert_int_equal(sign_in(&a, "alice", NULL), GRPC_OK);
	assert_int_equal(agent_login(&b, KEY_1, NULL), GRPC_OK);
	peer = hub_roster_find(&rig.hub->roster, a.public);
	peer->kept.login_s -= 1000;
	assert_int_equal(extend(&a, "alice", &ends), GRPC_UNAUTHENTICATED);
	assert_int_equal(extend(&a, "alice#2", &ends), GRPC_OK);
	assert_int_equal(ends, peer->kept.login_s + 24 * 3600);
	assert_int_equal(extend(&a, "", &ends), GRPC_INVALID_ARGUMENT);
	assert_int_equal(extend(&b, "alice#3", &ends), GRPC_FAILED_PRECONDITION);
	assert_int_equal(extend(&stranger, "alice#4", &ends), GRPC_NOT_FOUND);
	rig_stop(&rig);
}

static void a_call_that_ends_while_its_token_is_checked_is_forgotten(void **state)
{
	Management__LoginRequest request = MANAGEMENT__LOGIN_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	Management__Flags flags;
	struct server_call *call;
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_meta(&a, &meta, &flags);
	request.meta = &meta;
	request.jwt_token = (char *)"alice";
	is_late = true;
	call = call_management(&a, "Login", &request.base);
	assert_false(call->is_ended);
	call_free(call);
	assert_true(was_cancelled);
	call = call_management(&a, "Login", &request.base);
	judge_token("alice", 5, the_check.fn, the_check.ctx);
	assert_int_equal(call->status, GRPC_OK);
	call_free(call);
	is_late = false;
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_are_told_of_both_flows),
		cmocka_unit_test(a_token_lets_its_user_in_once_with_his_groups),
		cmocka_unit_test(an_expired_login_ends_the_stream_and_a_new_one_brings_it_back),
		cmocka_unit_test(a_login_can_be_extended_by_its_user),
		cmocka_unit_test(a_call_that_ends_while_its_token_is_checked_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
