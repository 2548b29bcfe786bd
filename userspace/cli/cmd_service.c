// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon service: run in the foreground, or a unit of systemd installed, changed, started, removed.
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/store.h"
#include "cli/cli.h"
#include "service/service.h"

struct service {
	struct cli *cli;
	const char *verb;
	const char *name;		/* of the unit */
	const char *state_dir;
	char unit[SERVICE_NAME_MAX + sizeof(".service")];
	char unit_path[SERVICE_NAME_MAX + sizeof(SERVICE_UNITS) + sizeof("/.service")];
	char saved_path[PATH_MAX];
	char env_path[PATH_MAX];
	json_t *saved;
};

static int fail(const struct service *s, int code, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

static int fail(const struct service *s, int code, const char *fmt, ...)
{
	char line[CONFIG_WHY_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	return cli_fail(s->cli, code, "service %s: %s", s->verb, line);
}

static int say(const struct service *s, const char *what)
{
	fprintf(s->cli->out, "%s service has been %s\n", s->cli->as_netbird ? "NetBird" : "Talon", what);
	return CLI_OK;
}

/* --- what it is told --- */

/* Of NB_NAME, or WT_NAME; NULL: neither. NetBird's variables win over its flags. */
static const char *variable_of(const struct service *s, const char *flag)
{
	static const char *const prefixes[] = { "NB_", "WT_" };

	for (size_t i = 0; i < 2; i++) {
		char name[64];
		size_t len = snprintf(name, sizeof(name), "%s%s=", prefixes[i], flag);

		for (char *c = name; *c; c++)
			*c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c;
		for (char *const *e = s->cli->env; *e; e++) {
			if (!strncmp(*e, name, len) && (*e)[len])
				return *e + len;
		}
	}
	return NULL;
}

/* What `service run` would refuse is refused now. */
static int check(const struct service *s, const char *flag, const char *value)
{
	char why[CONFIG_WHY_LEN];
	struct config config;
	int ret = 0;

	config_init(&config);
	config_use_mesh(&config);
	if (*value && config_has_flag(flag))
		ret = config_set_flag(&config, flag, value, why, sizeof(why));
	config_free(&config);
	return ret ? fail(s, CLI_USAGE, "%s", why) : CLI_OK;
}

static int set(struct service *s, const struct service_param *param, const char *value, bool is_first)
{
	char why[CONFIG_WHY_LEN] = "out of memory";
	int code = check(s, param->flag, value);

	if (!code && service_set(s->saved, param, value, is_first, why, sizeof(why)))
		code = fail(s, CLI_USAGE, "%s", why);
	return code;
}

static int set_env(struct service *s, const char *value)
{
	char why[CONFIG_WHY_LEN] = "out of memory";

	return service_set_env(s->saved, value, why, sizeof(why)) ? fail(s, CLI_USAGE, "%s", why) : CLI_OK;
}

static int take_static(struct service *s, const char *path)
{
	char *setting;
	int code;

	if (path[0] != '/')
		return fail(s, CLI_USAGE,
			"--static: '%.100s' is not a file for a service; expected an absolute path", path);
	if (asprintf(&setting, "TALON_STATIC=%s", path) < 0)
		return fail(s, CLI_FAILED, "out of memory");
	code = set_env(s, setting);
	free(setting);
	return code;
}

static int take_flag(struct service *s, const char *name, const char *value, bool *was_list)
{
	const struct service_param *param = service_find_param(!strcmp(name, "l") ? "log-level"
		: !strcmp(name, "m") ? "management-url" : !strcmp(name, "c") ? "config" : name);
	bool is_first;

	if (param && param->kind == SERVICE_SWITCH && !value)
		value = "true";
	else
		value = cli_value(s->cli, name, value);
	if (!value)
		return CLI_USAGE;
	if (!strcmp(name, "service-env"))
		return set_env(s, value);
	if (!strcmp(name, "static"))
		return take_static(s, value);
	if (!param)
		return fail(s, CLI_USAGE,
			"--%s is not kept by a service; give its variable by --service-env", name);
	is_first = param->kind != SERVICE_LIST || !*was_list;
	*was_list |= param->kind == SERVICE_LIST;
	return set(s, param, value, is_first);
}

/* Flags, then variables, over what an earlier install saved. */
static int take_settings(struct service *s)
{
	const char *name, *value;
	bool was_list = false;
	int code = CLI_OK;

	while (!code && cli_next(s->cli, &name, &value)) {
		if (!name)
			return cli_unknown(s->cli, "service", name, value);
		if (!strcmp(name, "service") || !strcmp(name, "s")) {
			if (!value)
				s->cli->at++;	/* named already */
			continue;
		}
		if (!service_find_param(name) && strcmp(name, "service-env") && strcmp(name, "static") &&
			!config_has_flag(name))
			return cli_unknown(s->cli, "service", name, value);
		code = take_flag(s, name, value, &was_list);
	}
	for (const struct service_param *p = service_params; !code && p->flag; p++) {
		value = variable_of(s, p->flag);
		if (value)
			code = set(s, p, value, true);
	}
	return code;
}

/* The unit's name decides all paths, so that it is looked for first. */
static int find_name(struct service *s)
{
	const struct cli *cli = s->cli;
	const char *name = variable_of(s, "service");

	for (int i = cli->at; i < cli->argc && !name; i++) {
		const char *arg = cli->argv[i];

		if (!strcmp(arg, "--service") || !strcmp(arg, "-s"))
			name = i + 1 < cli->argc ? cli->argv[i + 1] : "";
		else if (!strncmp(arg, "--service=", 10) || !strncmp(arg, "-s=", 3))
			name = strchr(arg, '=') + 1;
	}
	s->name = name ?: cli->as_netbird ? "netbird" : "talon";
	if (!service_is_name(s->name))
		return fail(s, CLI_USAGE,
			"--service: '%.40s' is not a name; expected letters, digits and _-., at most %d",
			s->name, SERVICE_NAME_MAX);
	snprintf(s->unit, sizeof(s->unit), "%s.service", s->name);
	snprintf(s->unit_path, sizeof(s->unit_path), SERVICE_UNITS "/%s", s->unit);
	s->state_dir = variable_of(s, "state-dir") ?: CONFIG_STATE_DIR;
	if (s->state_dir[0] != '/' || snprintf(s->saved_path, sizeof(s->saved_path), "%s/service.json",
		s->state_dir) >= PATH_MAX - 4)
		return fail(s, CLI_USAGE, "NB_STATE_DIR: '%.100s' is not a directory for state; expected an "
		"absolute path", s->state_dir);
	snprintf(s->env_path, sizeof(s->env_path), "%.*s/service.env", PATH_MAX - 16, s->state_dir);
	return CLI_OK;
}

static int no_arguments(struct service *s)
{
	const char *name, *value;

	while (cli_next(s->cli, &name, &value)) {
		if (!name || (strcmp(name, "service") && strcmp(name, "s")))
			return cli_unknown(s->cli, "service", name, value);
		if (!value)
			s->cli->at++;
	}
	return CLI_OK;
}

/* --- what it does --- */

/* Returns 0, or the exit code after saying that it failed. */
static int systemctl(const struct service *s, const char *verb, const char *option, const char *unit)
{
	const char *args[] = { "--quiet", verb, option ?: unit, option ? unit : NULL, NULL };
	int ret = service_systemctl(args, NULL, 0);

	if (ret < 0)
		return fail(s, CLI_FAILED, "cannot run systemctl: %s", strerror(-ret));
	if (ret && unit)
		return fail(s, CLI_FAILED, "systemctl %s %s failed (exit status %d); see journalctl -u %s",
			verb, unit, ret, unit);
	return ret ? fail(s, CLI_FAILED, "systemctl %s failed (exit status %d)", verb, ret) : CLI_OK;
}

static int write_all(const struct service *s, const char *path, bool is_public,
	void (*write)(FILE *, const void *), const void *what)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = -ENOMEM;

	if (out) {
		write(out, what);
		if (!fclose(out))
			ret = is_public ? store_publish(path, text, len) : store_write(path, text, len);
	}
	if (text)
		sodium_memzero(text, len);
	free(text);
	return ret ? fail(s, CLI_FAILED, "cannot write %s: %s", path, strerror(-ret)) : CLI_OK;
}

static void write_unit(FILE *out, const void *unit)
{
	service_write_unit(out, unit);
}

static void write_env(FILE *out, const void *saved)
{
	service_write_env(out, saved);
}

/* Settings first: a unit never names a file that is not there. */
static int put_files(struct service *s)
{
	char program[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	struct service_unit unit = { .name = s->name, .program = program, .state_dir = s->state_dir,
		.saved = s->saved, .knows = config_has_flag };
	int code = CLI_OK, ret;

	if (len < 0)
		return fail(s, CLI_FAILED, "cannot tell where this program is: %s", strerror(errno));
	program[len] = '\0';
	ret = service_save(s->saved_path, s->saved);
	if (ret)
		return fail(s, CLI_FAILED, "cannot write %s: %s", s->saved_path, strerror(-ret));
	if (json_object_get(s->saved, "service_env_vars"))
		code = write_all(s, s->env_path, false, write_env, s->saved);
	else
		unlink(s->env_path);
	if (!code)
		code = write_all(s, s->unit_path, true, write_unit, &unit);
	return code ?: systemctl(s, "daemon-reload", NULL, NULL);
}

static int install(struct service *s)
{
	int code = take_settings(s);

	if (code)
		return code;
	if (!access(s->unit_path, F_OK))
		return fail(s, CLI_FAILED, "%s is there already; %s", s->unit_path,
			service_is_ours(s->unit_path) ? "change it by talon service reconfigure"
			: "it is not ours, and stays");
	code = put_files(s);
	if (!code)
		code = systemctl(s, "enable", NULL, s->unit);
	if (code) {
		if (service_is_ours(s->unit_path))
			unlink(s->unit_path);
		return code;
	}
	return say(s, "installed");
}

static int need_ours(const struct service *s)
{
	if (service_is_ours(s->unit_path))
		return CLI_OK;
	return fail(s, CLI_FAILED, access(s->unit_path, F_OK) ? "%s is not there: nothing is installed"
		: "%s is not ours, and stays", s->unit_path);
}

static int uninstall(struct service *s)
{
	int code = no_arguments(s) ?: need_ours(s);

	if (!code)
		code = systemctl(s, "disable", "--now", s->unit);
	if (code)
		return code;
	unlink(s->env_path);
	if (unlink(s->unit_path))
		return fail(s, CLI_FAILED, "cannot remove %s: %s", s->unit_path, strerror(errno));
	return systemctl(s, "daemon-reload", NULL, NULL) ?: say(s, "uninstalled");
}

static bool is_running(const struct service *s)
{
	const char *const args[] = { "--quiet", "is-active", s->unit, NULL };

	return !service_systemctl(args, NULL, 0);
}

/* A restart is all that a running one needs: its datapath stays meanwhile. */
static int reconfigure(struct service *s)
{
	bool was_running = is_running(s);
	int code = take_settings(s) ?: need_ours(s) ?: put_files(s);

	if (!code && was_running)
		code = systemctl(s, "restart", NULL, s->unit);
	return code ?: say(s, was_running ? "reconfigured and started" : "reconfigured");
}

static int start(struct service *s)
{
	return no_arguments(s) ?: systemctl(s, "start", NULL, s->unit) ?: say(s, "started");
}

static int stop(struct service *s)
{
	return no_arguments(s) ?: systemctl(s, "stop", NULL, s->unit) ?: say(s, "stopped");
}

static int restart(struct service *s)
{
	return no_arguments(s) ?: systemctl(s, "restart", NULL, s->unit) ?: say(s, "restarted");
}

static int status(struct service *s)
{
	const char *const args[] = { "show", "-p", "LoadState", "-p", "ActiveState", s->unit, NULL };
	char said[256] = "";
	int code = no_arguments(s), ret = code ? 0 : service_systemctl(args, said, sizeof(said));
	const char *state = "Unknown";

	if (code)
		return code;
	if (ret)
		return fail(s, CLI_FAILED, ret < 0 ? "cannot run systemctl" : "systemctl show failed");
	if (strstr(said, "LoadState=not-found"))
		return fail(s, CLI_FAILED, "%s is not installed", s->unit);
	if (strstr(said, "ActiveState=active") || strstr(said, "ActiveState=reloading") ||
		strstr(said, "ActiveState=activating"))
		state = "Running";
	else if (strstr(said, "ActiveState=inactive") || strstr(said, "ActiveState=failed") ||
		strstr(said, "ActiveState=deactivating"))
		state = "Stopped";
	fprintf(s->cli->out, "%s service status: %s\n", s->cli->as_netbird ? "NetBird" : "Talon", state);
	return CLI_OK;
}

static int reset_params(struct service *s)
{
	int code = no_arguments(s);

	if (code)
		return code;
	if (!unlink(s->saved_path))
		fprintf(s->cli->out, "Removed saved service parameters (%s)\n", s->saved_path);
	else if (errno == ENOENT)
		fprintf(s->cli->out, "No saved service parameters found\n");
	else
		return fail(s, CLI_FAILED, "cannot remove %s: %s", s->saved_path, strerror(errno));
	return CLI_OK;
}

static const struct {
	const char *name;
	int (*run)(struct service *s);
	bool without_systemd;
} verbs[] = {
	{ "install", install, false }, { "uninstall", uninstall, false }, { "start", start, false },
	{ "stop", stop, false }, { "restart", restart, false }, { "status", status, false },
	{ "reconfigure", reconfigure, false }, { "reset-params", reset_params, true },
};

static int run_verb(struct service *s, int (*run)(struct service *s), bool without_systemd)
{
	char why[CONFIG_WHY_LEN] = "out of memory";
	int code = find_name(s);

	if (code)
		return code;
	if (!without_systemd && !service_has_systemd())
		return fail(s, CLI_FAILED,
			"no systemd runs here; have what starts services run: talon service run");
	if (run == install || run == reconfigure) {
		if (service_load(s->saved_path, &s->saved, why, sizeof(why)))
			return fail(s, CLI_FAILED, "%s", why);
	}
	code = run(s);
	json_decref(s->saved);
	return code;
}

int cli_service(struct cli *cli)
{
	struct service s = { .cli = cli, .verb = cli->at < cli->argc ? cli->argv[cli->at++] : "" };

	if (!strcmp(s.verb, "run"))
		return cli_service_run(cli);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(s.verb, verbs[i].name))
			return run_verb(&s, verbs[i].run, verbs[i].without_systemd);
	}
	return cli_fail(cli, CLI_USAGE,
		"service: '%.40s' is not understood; expected run, install, uninstall, start, stop, restart, "
		"status, reconfigure or reset-params", s.verb);
}
