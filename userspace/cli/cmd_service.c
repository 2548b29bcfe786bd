// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon service: run in the foreground, or a unit of systemd installed, changed, started, removed.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "service/service.h"

struct request {
	struct cli *cli;
	const char *verb;
	struct service service;
};

static int fail(const struct request *r, int code, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

static int fail(const struct request *r, int code, const char *fmt, ...)
{
	char line[CONFIG_WHY_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	return cli_fail(r->cli, code, "service %s: %s", r->verb, line);
}

/* The end of what was asked: @ret is the service's. */
static int finish(const struct request *r, int ret, const char *what)
{
	if (ret)
		return fail(r, CLI_FAILED, "%s", r->service.why);
	fprintf(r->cli->out, "%s service has been %s\n", r->cli->as_netbird ? "NetBird" : "Talon", what);
	return CLI_OK;
}

/* --- what it is told --- */

/* Of NB_NAME, or WT_NAME; NULL: neither. NetBird's variables win over its flags. */
static const char *variable_of(const struct request *r, const char *flag)
{
	static const char *const prefixes[] = { "NB_", "WT_" };

	for (size_t i = 0; i < 2; i++) {
		char name[64];
		size_t len = snprintf(name, sizeof(name), "%s%s=", prefixes[i], flag);

		for (char *c = name; *c; c++)
			*c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c;
		for (char *const *e = r->cli->env; *e; e++) {
			if (!strncmp(*e, name, len) && (*e)[len])
				return *e + len;
		}
	}
	return NULL;
}

/* What `service run` would refuse is refused now. */
static int check(const struct request *r, const char *flag, const char *value)
{
	char why[CONFIG_WHY_LEN];
	struct config config;
	int ret = 0;

	config_init(&config);
	config_use_mesh(&config);
	if (*value && config_has_flag(flag))
		ret = config_set_flag(&config, flag, value, why, sizeof(why));
	config_free(&config);
	return ret ? fail(r, CLI_USAGE, "%s", why) : CLI_OK;
}

static int set(struct request *r, const struct service_param *param, const char *value, bool is_first)
{
	char why[CONFIG_WHY_LEN] = "out of memory";
	int code = check(r, param->flag, value);

	if (!code && service_set(r->service.saved, param, value, is_first, why, sizeof(why)))
		code = fail(r, CLI_USAGE, "%s", why);
	return code;
}

static int set_env(struct request *r, const char *value)
{
	char why[CONFIG_WHY_LEN] = "out of memory";

	return service_set_env(r->service.saved, value, why, sizeof(why)) ? fail(r, CLI_USAGE, "%s", why)
		: CLI_OK;
}

static int take_static(struct request *r, const char *path)
{
	char *setting;
	int code;

	if (path[0] != '/')
		return fail(r, CLI_USAGE,
			"--static: '%.100s' is not a file for a service; expected an absolute path", path);
	if (asprintf(&setting, "TALON_STATIC=%s", path) < 0)
		return fail(r, CLI_FAILED, "out of memory");
	code = set_env(r, setting);
	free(setting);
	return code;
}

static int take_flag(struct request *r, const char *name, const char *value, bool *was_list)
{
	const struct service_param *param = service_find_param(!strcmp(name, "l") ? "log-level"
		: !strcmp(name, "m") ? "management-url" : !strcmp(name, "c") ? "config" : name);
	bool is_first;

	if (param && param->kind == SERVICE_SWITCH && !value)
		value = "true";
	else
		value = cli_value(r->cli, name, value);
	if (!value)
		return CLI_USAGE;
	if (!strcmp(name, "service-env"))
		return set_env(r, value);
	if (!strcmp(name, "static"))
		return take_static(r, value);
	if (!param)
		return fail(r, CLI_USAGE,
			"--%s is not kept by a service; give its variable by --service-env", name);
	is_first = param->kind != SERVICE_LIST || !*was_list;
	*was_list |= param->kind == SERVICE_LIST;
	return set(r, param, value, is_first);
}

/* Flags, then variables, over what an earlier install saved. */
static int take_settings(struct request *r)
{
	const char *name, *value;
	bool was_list = false;
	int code = CLI_OK;

	while (!code && cli_next(r->cli, &name, &value)) {
		if (!name)
			return cli_unknown(r->cli, "service", name, value);
		if (!strcmp(name, "service") || !strcmp(name, "s")) {
			if (!value)
				r->cli->at++;	/* named already */
			continue;
		}
		if (!service_find_param(name) && strcmp(name, "service-env") && strcmp(name, "static") &&
			!config_has_flag(name))
			return cli_unknown(r->cli, "service", name, value);
		code = take_flag(r, name, value, &was_list);
	}
	for (const struct service_param *p = service_params; !code && p->flag; p++) {
		value = variable_of(r, p->flag);
		if (value)
			code = set(r, p, value, true);
	}
	return code;
}

/* The unit's name decides all paths, so that it is looked for first. */
static int find_name(struct request *r)
{
	const struct cli *cli = r->cli;
	const char *name = variable_of(r, "service");

	for (int i = cli->at; i < cli->argc && !name; i++) {
		const char *arg = cli->argv[i];

		if (!strcmp(arg, "--service") || !strcmp(arg, "-s"))
			name = i + 1 < cli->argc ? cli->argv[i + 1] : "";
		else if (!strncmp(arg, "--service=", 10) || !strncmp(arg, "-s=", 3))
			name = strchr(arg, '=') + 1;
	}
	r->service.knows = config_has_flag;
	if (service_init(&r->service, name ?: cli->as_netbird ? "netbird" : "talon",
		variable_of(r, "state-dir") ?: CONFIG_STATE_DIR))
		return fail(r, CLI_USAGE, "%s", r->service.why);
	return CLI_OK;
}

static int no_arguments(struct request *r)
{
	const char *name, *value;

	while (cli_next(r->cli, &name, &value)) {
		if (!name || (strcmp(name, "service") && strcmp(name, "s")))
			return cli_unknown(r->cli, "service", name, value);
		if (!value)
			r->cli->at++;
	}
	return CLI_OK;
}

/* --- what it does --- */

static int install(struct request *r)
{
	return take_settings(r) ?: finish(r, service_install(&r->service), "installed");
}

static int reconfigure(struct request *r)
{
	int code = take_settings(r), ret;
	bool was_running;

	if (code)
		return code;
	ret = service_reconfigure(&r->service, &was_running);
	return finish(r, ret, was_running ? "reconfigured and started" : "reconfigured");
}

static int uninstall(struct request *r)
{
	return no_arguments(r) ?: finish(r, service_uninstall(&r->service), "uninstalled");
}

static int start(struct request *r)
{
	return no_arguments(r) ?: finish(r, service_control(&r->service, "start"), "started");
}

static int stop(struct request *r)
{
	return no_arguments(r) ?: finish(r, service_control(&r->service, "stop"), "stopped");
}

static int restart(struct request *r)
{
	return no_arguments(r) ?: finish(r, service_control(&r->service, "restart"), "restarted");
}

static int status(struct request *r)
{
	const char *state;
	int code = no_arguments(r);

	if (code)
		return code;
	if (service_state(&r->service, &state))
		return fail(r, CLI_FAILED, "%s", r->service.why);
	fprintf(r->cli->out, "%s service status: %s\n", r->cli->as_netbird ? "NetBird" : "Talon", state);
	return CLI_OK;
}

static int reset_params(struct request *r)
{
	const char *path = r->service.saved_path;
	int code = no_arguments(r);

	if (code)
		return code;
	if (!unlink(path))
		fprintf(r->cli->out, "Removed saved service parameters (%s)\n", path);
	else if (errno == ENOENT)
		fprintf(r->cli->out, "No saved service parameters found\n");
	else
		return fail(r, CLI_FAILED, "cannot remove %s: %s", path, strerror(errno));
	return CLI_OK;
}

static const struct {
	const char *name;
	int (*run)(struct request *r);
	bool without_systemd;
} verbs[] = {
	{ "install", install, false }, { "uninstall", uninstall, false }, { "start", start, false },
	{ "stop", stop, false }, { "restart", restart, false }, { "status", status, false },
	{ "reconfigure", reconfigure, false }, { "reset-params", reset_params, true },
};

static int run_verb(struct request *r, int (*run)(struct request *r), bool without_systemd)
{
	char why[CONFIG_WHY_LEN] = "out of memory";
	int code = find_name(r);

	if (code)
		return code;
	if (!without_systemd && !service_has_systemd())
		return fail(r, CLI_FAILED,
			"no systemd runs here; have what starts services run: talon service run");
	if (run == install || run == reconfigure) {
		if (service_load(r->service.saved_path, &r->service.saved, why, sizeof(why)))
			return fail(r, CLI_FAILED, "%s", why);
	}
	code = run(r);
	json_decref(r->service.saved);
	return code;
}

int cli_service(struct cli *cli)
{
	struct request r = { .cli = cli, .verb = cli->at < cli->argc ? cli->argv[cli->at++] : "" };

	if (!strcmp(r.verb, "run"))
		return cli_service_run(cli);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(r.verb, verbs[i].name))
			return run_verb(&r, verbs[i].run, verbs[i].without_systemd);
	}
	return cli_fail(cli, CLI_USAGE,
		"service: '%.40s' is not understood; expected run, install, uninstall, start, stop, restart, "
		"status, reconfigure or reset-params", r.verb);
}
