// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Logging in for the command line: what the daemon says, who signs in, and who hands the token over.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "login/command.h"
#include "login/login.h"
#include "mesh/mesh.h"
#include "netbird/identity.h"
#include "netbird/json_file.h"
#include "snapshot/control.h"
#include "status/render.h"

_Static_assert(LOGIN_TOKEN_MAX == CONTROL_TOKEN_MAX, "a token of a provider fits into a request");

struct daemon_state {
	bool is_connected, needs_login;
	char management_url[300];
	uint64_t expires_ns;
};

static int ask_state(const struct login_command *c, struct daemon_state *ret_state, char *why, size_t size)
{
	struct snapshot snapshot = {};
	int ret = control_ask_snapshot(c->socket, &snapshot, why, size);

	if (ret)
		return ret;
	*ret_state = (struct daemon_state){
		.is_connected = !strcmp(render_or_empty(snapshot.daemon_status), "Connected"),
		.needs_login = render_needs_login(&snapshot),
		.expires_ns = snapshot.session_expires_ns,
	};
	snprintf(ret_state->management_url, sizeof(ret_state->management_url), "%s",
		render_or_empty(snapshot.management_url));
	snapshot_done(&snapshot);
	return 0;
}

/* "" counts as none, as NetBird's client writes it. */
static const char *path_of(const struct identity *identity, const char *key)
{
	const char *path = json_file_text(identity->json, key);

	return path && *path ? path : NULL;
}

static int sign_in(const struct login_command *c, const char *management_url, char **ret_token, char *why,
	size_t size)
{
	const struct config_mesh *mesh = &c->config->mesh;
	struct login_request request = {
		.management_url = management_url,
		.is_graphical = login_is_graphical(c->env),
		.qr = mesh->qr,
		.out = c->out,
	};
	struct identity identity = {};
	/* before anybody is asked to sign in */
	int ret = request.qr ? login_can_draw(request.out, why, size) : 0;

	/* A daemon's file may be elsewhere: there is no certificate then. */
	if (!ret && !access(mesh->identity_path, R_OK))
		ret = identity_load(mesh->identity_path, &identity, why, size);
	if (ret)
		return ret;
	request.client_certificate = path_of(&identity, "ClientCertPath");
	request.client_key = path_of(&identity, "ClientCertKeyPath");
	ret = login_sign_in(&request, ret_token, why, size);
	identity_done(&identity);
	return ret;
}

/* Somebody has to sign in; @why is the daemon's reason. */
static int sign_in_for_daemon(const struct login_command *c, const struct daemon_state *state, char *why,
	size_t size)
{
	char problem[CONFIG_WHY_LEN], *token;
	struct control_up up = {};
	int ret = sign_in(c, state->management_url, &token, problem, sizeof(problem));

	if ((ret == -ENOENT || ret == -EOPNOTSUPP) && c->is_up)
		return -EREMOTEIO;
	if (ret) {
		snprintf(why, size, "%s", problem);
		return -EREMOTEIO;
	}
	up.token = token;
	ret = control_ask_up(c->socket, &up, CONTROL_UP_MS, why, size);
	login_token_free(token);
	return ret;
}

int login_by_daemon(const struct login_command *c, bool *ret_was_connected, char *why, size_t size)
{
	const struct config_mesh *mesh = &c->config->mesh;
	struct control_up up = { mesh->setup_key, mesh->management_url, mesh->hostname, NULL };
	char problem[CONFIG_WHY_LEN];
	struct daemon_state state;
	int ret = ask_state(c, &state, why, size);

	if (ret)
		return ret;
	*ret_was_connected = state.is_connected;
	if (state.is_connected)
		return 0;
	ret = control_ask_up(c->socket, &up, CONTROL_UP_MS, why, size);
	if (ret != -EREMOTEIO || mesh->setup_key || ask_state(c, &state, problem, sizeof(problem)) ||
		!state.needs_login)
		return ret;
	return sign_in_for_daemon(c, &state, why, size);
}

int login_by_itself(const struct login_command *c, char *why, size_t size)
{
	const struct config_mesh *mesh = &c->config->mesh;
	int ret = mesh_login(c->config, NULL, why, size);
	char *token = NULL;

	if ((ret != -EACCES && ret != -EKEYEXPIRED) || mesh->setup_key)
		return ret;
	ret = sign_in(c, mesh->management_url, &token, why, size);
	if (!ret)
		ret = mesh_login(c->config, token, why, size);
	login_token_free(token);
	return ret;
}

int login_extend(const struct login_command *c, uint64_t *ret_expires_ns, char *why, size_t size)
{
	struct daemon_state state;
	int ret = ask_state(c, &state, why, size);
	char *token;

	if (ret)
		return ret;
	if (!state.is_connected || !state.expires_ns) {
		snprintf(why, size, state.is_connected
			? "--extend: management names no end of this peer's login: there is nothing to extend"
			: "--extend: the daemon is not connected; talon login signs in anew");
		return -EREMOTEIO;
	}
	if (sign_in(c, state.management_url, &token, why, size))
		return -EREMOTEIO;
	ret = control_ask_extend(c->socket, token, why, size);
	login_token_free(token);
	if (!ret)
		ret = ask_state(c, &state, why, size);
	*ret_expires_ns = state.expires_ns;
	return ret;
}
