// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon login, and up where a daemon runs: with a setup key, or by a person who signs in.
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "login/login.h"
#include "mesh/mesh.h"
#include "snapshot/control.h"
#include "status/render.h"

#define LOGGED_IN "Logging successfully"

_Static_assert(LOGIN_TOKEN_MAX == CONTROL_TOKEN_MAX, "a token of a provider fits into a request");

struct login {
	struct cli *cli;
	struct config *config;
	const char *command;
	bool extend, qr;
};

/* --- what the daemon says --- */

enum readiness { CONNECTED, NEEDS_LOGIN, OTHER };

struct daemon_state {
	enum readiness readiness;
	char management_url[300];
	uint64_t expires_ns;
};

static int ask_state(const struct login *l, struct daemon_state *ret_state, char *why, size_t size)
{
	struct snapshot snapshot = {};
	int ret = control_ask_snapshot(cli_socket(l->config), &snapshot, why, size);
	const char *status;

	if (ret)
		return ret;
	status = render_or_empty(snapshot.daemon_status);
	ret_state->readiness = !strcmp(status, "Connected") ? CONNECTED :
		!strcmp(status, "NeedsLogin") || !strcmp(status, "SessionExpired") ? NEEDS_LOGIN : OTHER;
	snprintf(ret_state->management_url, sizeof(ret_state->management_url), "%s",
		render_or_empty(snapshot.management_url));
	ret_state->expires_ns = snapshot.session_expires_ns;
	snapshot_done(&snapshot);
	return 0;
}

/* --- a person --- */

static int sign_in(const struct login *l, const char *management_url, char **ret_token, char *why,
	size_t size)
{
	const struct login_request request = {
		.management_url = management_url,
		.is_graphical = login_is_graphical(l->cli->env),
		.qr = l->qr,
		.out = l->cli->out,
	};

	return login_sign_in(&request, ret_token, why, size);
}

/* The daemon knows that somebody has to sign in; @why is its reason. */
static int sign_in_for_daemon(const struct login *l, const struct daemon_state *state, char *why, size_t size)
{
	struct control_up up = {};
	char problem[CONFIG_WHY_LEN], *token;
	int ret = sign_in(l, state->management_url, &token, problem, sizeof(problem));

	/* What the daemon said names the way that is left: a setup key. */
	if ((ret == -ENOENT || ret == -EOPNOTSUPP) && !strcmp(l->command, "up"))
		return -EREMOTEIO;
	if (ret) {
		snprintf(why, size, "%s", problem);
		return -EREMOTEIO;
	}
	up.token = token;
	ret = control_ask_up(cli_socket(l->config), &up, CONTROL_UP_MS, why, size);
	login_token_free(token);
	return ret;
}

static int by_daemon(const struct login *l, const char *said)
{
	const struct config_mesh *mesh = &l->config->mesh;
	struct control_up up = { mesh->setup_key, mesh->management_url, mesh->hostname, NULL };
	struct daemon_state state;
	char why[CONFIG_WHY_LEN];
	bool was_connected;
	int ret = ask_state(l, &state, why, sizeof(why));

	was_connected = !ret && state.readiness == CONNECTED;
	if (!ret && !was_connected)
		ret = control_ask_up(cli_socket(l->config), &up, CONTROL_UP_MS, why, sizeof(why));
	if (ret == -EREMOTEIO && !mesh->setup_key) {
		char problem[CONFIG_WHY_LEN];

		if (!ask_state(l, &state, problem, sizeof(problem)) && state.readiness == NEEDS_LOGIN)
			ret = sign_in_for_daemon(l, &state, why, sizeof(why));
	}
	if (ret)
		return cli_refused(l->cli, l->command, ret, why);
	fprintf(l->cli->out, "%s\n", said ? said : was_connected ? "Already connected" : "Connected");
	return CLI_OK;
}

int cli_up_daemon(struct cli *cli, struct config *config, const char *said)
{
	const struct login l = { cli, config, "up", false, false };

	return by_daemon(&l, said);
}

/* Without a daemon. */
static int by_itself(const struct login *l)
{
	struct config_mesh *mesh = &l->config->mesh;
	char why[CONFIG_WHY_LEN], *token = NULL;
	int ret = mesh_login(l->config, NULL, why, sizeof(why));

	if ((ret == -EACCES || ret == -EKEYEXPIRED) && !mesh->setup_key) {
		ret = sign_in(l, mesh->management_url, &token, why, sizeof(why));
		if (!ret)
			ret = mesh_login(l->config, token, why, sizeof(why));
		login_token_free(token);
	}
	if (ret)
		return cli_fail(l->cli, CLI_FAILED, "login: %s", why);
	fprintf(l->cli->out, "%s\n", LOGGED_IN);
	return CLI_OK;
}

/* --- extending --- */

/* As the command of NetBird's client prints it: local time, with the zone's name. */
static void print_expiry(FILE *out, uint64_t expires_ns)
{
	time_t at_s = expires_ns / 1000000000;
	char text[64] = "";
	struct tm tm;

	if (localtime_r(&at_s, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm);
	fprintf(out, "Session extended. New expiry: %s\n", expires_ns ? text : "none");
}

static int extend(const struct login *l)
{
	const char *socket = cli_socket(l->config);
	struct daemon_state state;
	char why[CONFIG_WHY_LEN], *token;
	int ret;

	if (l->config->mesh.setup_key)
		return cli_fail(l->cli, CLI_USAGE,
			"login: --extend: a setup key renews no login; leave it out");
	ret = ask_state(l, &state, why, sizeof(why));
	if (ret)
		return cli_refused(l->cli, l->command, ret, why);
	if (state.readiness != CONNECTED)
		return cli_fail(l->cli, CLI_FAILED,
			"login: --extend: the daemon is not connected; talon login signs in anew");
	if (!state.expires_ns)
		return cli_fail(l->cli, CLI_FAILED,
			"login: --extend: management names no end of this peer's login: there is nothing to "
			"extend");
	ret = sign_in(l, state.management_url, &token, why, sizeof(why));
	if (ret)
		return cli_fail(l->cli, CLI_FAILED, "login: %s", why);
	ret = control_ask_extend(socket, token, why, sizeof(why));
	login_token_free(token);
	if (!ret)
		ret = ask_state(l, &state, why, sizeof(why));
	if (ret)
		return cli_refused(l->cli, l->command, ret, why);
	print_expiry(l->cli->out, state.expires_ns);
	return CLI_OK;
}

/* --- the command --- */

static int take_flag(struct login *l, const char *name, const char *value)
{
	bool *own = !name || value ? NULL : !strcmp(name, "extend") ? &l->extend : !strcmp(name, "qr")
		? &l->qr : NULL;

	if (own) {
		*own = true;
		return CLI_OK;
	}
	return name && config_has_flag(name) ? cli_set_flag(l->cli, l->config, name, value)
		: cli_unknown(l->cli, "login", name, value);
}

static int login(struct cli *cli, struct config *config)
{
	struct login l = { cli, config, "login", false, false };
	const char *name, *value;
	char why[CONFIG_WHY_LEN];
	int code = CLI_OK, ret;

	while (!code && cli_next(cli, &name, &value))
		code = take_flag(&l, name, value);
	if (code)
		return code;
	if (config_read_env(config, cli->env, why, sizeof(why)) || config_finish(config, "login", why,
		sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	cli_wipe_env(cli);
	if (l.qr && login_can_draw(cli->out, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "login: %s", why);
	if (l.extend)
		return extend(&l);
	ret = control_probe(cli_socket(config), why, sizeof(why));
	if (cli->as_netbird || (ret != -ENOENT && ret != -ECONNREFUSED))
		return by_daemon(&l, LOGGED_IN);
	return by_itself(&l);
}

int cli_login(struct cli *cli)
{
	return cli_with_mesh(cli, login);
}
