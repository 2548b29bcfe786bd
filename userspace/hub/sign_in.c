// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Users of an OpenID issuer: what clients are told to ask it, their tokens, and when a login ends.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "hub/internal.h"

#define REDIRECT_1	"http://localhost:53000/"
#define REDIRECT_2	"http://localhost:54000/"

uint64_t hub_login_ends(const struct hub *hub, const struct hub_peer *peer)
{
	return peer->kept.is_login_expiring && hub->file->oidc.login_expires_s
		? peer->kept.login_s + hub->file->oidc.login_expires_s : 0;
}

static bool is_same_issuer(const struct hubfile_oidc *a, const struct hubfile_oidc *b)
{
	return text_is_equal(a->issuer, b->issuer) && text_is_equal(a->client_id, b->client_id) &&
		text_is_equal(a->audience, b->audience) && text_is_equal(a->user_claim, b->user_claim) &&
		text_is_equal(a->groups_claim, b->groups_claim) && text_is_equal(a->ca_file, b->ca_file);
}

int hub_sign_in_use(struct hub *hub, const struct hubfile *file, char why[static HUB_WHY_LEN])
{
	const struct hubfile_oidc *o = &file->oidc;
	const struct oidc_options options = { .issuer = o->issuer,
		.audience = o->audience ? o->audience : o->client_id, .client_id = o->client_id,
		.user_claim = o->user_claim, .groups_claim = o->groups_claim, .ca_file = o->ca_file };
	struct oidc *oidc = NULL;
	char text[OIDC_WHY_LEN] = "";
	int ret;

	if (hub->file && hub->oidc && is_same_issuer(o, &hub->file->oidc))
		return 0;
	ret = o->issuer ? oidc_new(hub->loop, &options, &oidc, text) : 0;
	if (ret) {
		snprintf(why, HUB_WHY_LEN, "sign-in: %s", text);
		return ret;
	}
	oidc_free(hub->oidc);
	hub->oidc = oidc;
	return 0;
}

/* ---- what clients are told ---- */

static char *or_empty(const char *a, const char *b)
{
	return (char *)(a ? a : b ? b : "");
}

void hub_flow(struct hub_call *call)
{
	static char *redirects[] = { (char *)REDIRECT_1, (char *)REDIRECT_2 };
	const struct hubfile_oidc *o = &call->hub->file->oidc;
	Management__DeviceAuthorizationFlow device = MANAGEMENT__DEVICE_AUTHORIZATION_FLOW__INIT;
	Management__PKCEAuthorizationFlow pkce = MANAGEMENT__PKCEAUTHORIZATION_FLOW__INIT;
	Management__ProviderConfig config = MANAGEMENT__PROVIDER_CONFIG__INIT;
	struct oidc_endpoints found = {};
	const bool is_device = call->method == HUB_DEVICE_FLOW;
	const char *why;

	if (!call->hub->oidc) {
		hub_call_end(call, GRPC_NOT_FOUND, "there is no sign-in here, join with a setup key");
		return;
	}
	oidc_endpoints(call->hub->oidc, &found);
	config.client_id = o->client_id;
	config.client_secret = or_empty(o->client_secret, NULL);
	config.audience = or_empty(o->audience, o->client_id);
	config.scope = o->scope;
	config.use_id_token = o->use_id_token;
	config.token_endpoint = or_empty(o->token_endpoint, found.token);
	config.device_auth_endpoint = is_device ? or_empty(o->device_endpoint, found.device) : (char *)"";
	config.authorization_endpoint = is_device ? (char *)"" : or_empty(o->authorization_endpoint,
		found.authorization);
	if (!*config.token_endpoint ||
		!*(is_device ? config.device_auth_endpoint : config.authorization_endpoint)) {
		if (!oidc_is_ready(call->hub->oidc, &why)) {
			hub_call_end(call, GRPC_UNAVAILABLE, why);
			return;
		}
		hub_call_end(call, GRPC_NOT_FOUND, is_device ? "the identity provider has no device flow"
			: "the identity provider has no authorization endpoint");
		return;
	}
	if (!is_device) {
		config.redirect_urls = o->redirect_count ? o->redirect_urls : redirects;
		config.n_redirect_urls = o->redirect_count ? o->redirect_count : 2;
	}
	device.provider_config = pkce.provider_config = &config;
	hub_call_answer_message(call, is_device ? &device.base : &pkce.base);
}

/* ---- tokens ---- */

static void refuse(struct hub_call *call, int status, const char *why)
{
	struct hub *hub = call->hub;
	char from[ENDPOINT_TEXT_LEN];

	hub->counts.joins_token_refused++;
	hub_login_failed(call);
	endpoint_format(server_call_remote(call->call), from);
	log_limited(&hub->log_refused, LOG_LEVEL_WARN, "a sign-in from %s was refused: %s", from, why);
	hub_call_end(call, status, why);
}

struct names {
	char **of;			/* others' */
	size_t count;
};

static void add_name(struct names *names, char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (!strcmp(names->of[i], name))
			return;
	}
	names->of[names->count++] = name;
}

static bool has_claim(const struct hubfile_group *group, const struct oidc_user *user)
{
	for (size_t i = 0; i < group->claim_count; i++) {
		for (size_t g = 0; g < user->group_count; g++) {
			if (!strcmp(group->claims[i], user->groups[g]))
				return true;
		}
	}
	return false;
}

/* The groups of @user: those of everybody who signs in, and those that his token's claims stand for. */
static int groups_of(const struct hubfile *file, const struct oidc_user *user, struct names *ret_names)
{
	*ret_names = (struct names){ .of = calloc(file->group_count + 1, sizeof(char *)) };
	if (!ret_names->of)
		return -ENOMEM;
	for (size_t i = 0; i < file->oidc.groups.count; i++)
		add_name(ret_names, file->groups[file->oidc.groups.of[i]].name);
	for (size_t i = 0; i < file->group_count; i++) {
		if (has_claim(&file->groups[i], user))
			add_name(ret_names, file->groups[i].name);
	}
	return 0;
}

static void join_as(struct hub_call *call, const struct oidc_user *user, const struct names *groups)
{
	const struct hub_joining joining = { .request = call->login, .key = call->pair.peer, .setup_key = "",
		.user = user->subject, .groups = groups->of, .group_count = groups->count };
	struct hub_peer *peer;
	int ret = hub_join(call->hub, &joining, &peer);

	if (ret) {
		bool is_full = ret == -ENOSPC || ret == -EADDRNOTAVAIL;

		call->hub->counts.joins_failed++;
		hub_call_end(call, is_full ? GRPC_UNAVAILABLE : GRPC_INTERNAL, is_full
			? "no room for another peer, try again later" : "failed handling request");
		return;
	}
	call->hub->counts.joins_sign_in++;
	hub_login_answer(call, peer);
}

/* The peer's login begins anew, with the groups that its user has now. */
static int renew(struct hub *hub, struct hub_peer *peer, const struct names *groups)
{
	struct hubstore_peer next = peer->kept, copy;
	int ret;

	next.groups = groups->of;
	next.group_count = groups->count;
	next.login_s = hub_unix_s();
	ret = hub_kept_copy(&next, &copy);
	if (ret)
		return ret;
	for (size_t i = 0; i < peer->kept.group_count; i++)
		free(peer->kept.groups[i]);
	free(peer->kept.groups);
	peer->kept.groups = copy.groups;
	peer->kept.group_count = copy.group_count;
	peer->kept.login_s = copy.login_s;
	copy.groups = NULL;
	copy.group_count = 0;
	hub_kept_done(&copy);
	peer->is_expired = false;
	hub_keep(hub, peer);
	ret = hub_put(hub, peer);
	hub_changed(hub);
	return ret;
}

static void answer_extended(struct hub_call *call, const struct hub_peer *peer)
{
	Management__ExtendAuthSessionResponse response = MANAGEMENT__EXTEND_AUTH_SESSION_RESPONSE__INIT;
	Management__Timestamp at = MANAGEMENT__TIMESTAMP__INIT;

	at.seconds = hub_login_ends(call->hub, peer);
	response.session_expires_at = &at;
	hub_call_answer_message(call, &response.base);
}

static void log_in_as(struct hub_call *call, struct hub_peer *peer, const struct oidc_user *user,
	const struct names *groups)
{
	if (strcmp(peer->kept.user, user->subject)) {
		refuse(call, GRPC_PERMISSION_DENIED, "peer belongs to another user");
		return;
	}
	if (hub_peer_is_blocked(peer)) {
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is blocked");
		return;
	}
	if (renew(call->hub, peer, groups)) {
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
		return;
	}
	if (call->login)
		hub_take_meta(call->hub, peer, call->login->meta, call->login->peer_keys);
	call->hub->counts.logins++;
	if (call->extend)
		answer_extended(call, peer);
	else
		hub_login_answer(call, peer);
}

/* A token counts once: claimed before anything else is done with it. */
static bool claim(struct hub_call *call, const struct oidc_user *user)
{
	int ret = hubstore_use_token(call->hub->store, user->hash, user->expires_s, hub_unix_s());

	if (ret == -EEXIST)
		refuse(call, GRPC_UNAUTHENTICATED, "the token was used already, sign in again");
	else if (ret)
		hub_call_end(call, GRPC_UNAVAILABLE, "the token cannot be noted as used, try again later");
	return !ret;
}

static void on_checked(void *ctx, const struct oidc_user *user, const char *why)
{
	struct hub_call *call = ctx;
	struct names groups = {};
	struct hub_peer *peer;

	call->check = NULL;
	if (call->is_over)
		return;
	if (!user) {
		refuse(call, GRPC_INVALID_ARGUMENT, why);
		return;
	}
	if (!claim(call, user))
		return;
	/* the peer may have gone while the token was checked */
	peer = hub_roster_find(&call->hub->roster, call->pair.peer);
	if (groups_of(call->hub->file, user, &groups))
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
	else if (peer)
		log_in_as(call, peer, user, &groups);
	else if (call->login)
		join_as(call, user, &groups);
	else
		hub_call_end(call, GRPC_NOT_FOUND, "peer is not registered");
	free(groups.of);
}

static void check(struct hub_call *call, const char *token)
{
	struct oidc_check *pending = NULL;
	const char *why = "";

	if (hub_login_is_limited(call))
		return;
	if (!call->hub->oidc) {
		refuse(call, GRPC_INVALID_ARGUMENT, "there is no sign-in here, join with a setup key");
		return;
	}
	if (!oidc_is_ready(call->hub->oidc, &why)) {
		hub_call_end(call, GRPC_UNAVAILABLE, why);
		return;
	}
	if (oidc_check(call->hub->oidc, token, strlen(token), on_checked, call, &pending))
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
	else if (pending)
		call->check = pending;
}

/* The request is the call's by now. */
void hub_sign_in(struct hub_call *call, struct hub_peer *peer)
{
	check(call, call->login->jwt_token);
}

void hub_extend(struct hub_call *call, const uint8_t *plain, size_t len)
{
	struct hub_peer *peer = hub_roster_find(&call->hub->roster, call->pair.peer);

	call->extend = management__extend_auth_session_request__unpack(NULL, len, plain);
	if (!call->extend || !*call->extend->jwt_token)
		hub_call_end(call, GRPC_INVALID_ARGUMENT, "a token is missing");
	else if (!peer)
		hub_call_end(call, GRPC_NOT_FOUND, "peer is not registered");
	else if (!hub_login_ends(call->hub, peer))
		hub_call_end(call, GRPC_FAILED_PRECONDITION, "the login of this peer does not end");
	else
		check(call, call->extend->jwt_token);
}

void hub_sign_in_drop(struct hub_call *call)
{
	if (call->check)
		oidc_cancel(call->check);
	if (call->login) {
		sodium_memzero(call->login->jwt_token, strlen(call->login->jwt_token));
		sodium_memzero(call->login->setup_key, strlen(call->login->setup_key));
		management__login_request__free_unpacked(call->login, NULL);
	}
	if (call->extend) {
		sodium_memzero(call->extend->jwt_token, strlen(call->extend->jwt_token));
		management__extend_auth_session_request__free_unpacked(call->extend, NULL);
	}
	call->check = NULL;
	call->login = NULL;
	call->extend = NULL;
}
