// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What becomes of a unit: files written and removed, systemctl asked, each failure in one line.
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/store.h"
#include "service/service.h"

static int fail(struct service *s, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct service *s, int ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, args);
	va_end(args);
	return ret;
}

int service_init(struct service *s, const char *name, const char *state_dir)
{
	if (!service_is_name(name))
		return fail(s, -EINVAL, "--service: '%.40s' is not a name; expected letters, digits and _-., "
			"at most %d", name, SERVICE_NAME_MAX);
	if (state_dir[0] != '/' || strlen(state_dir) >= SERVICE_PATH_LEN - 16)
		return fail(s, -EINVAL, "NB_STATE_DIR: '%.100s' is not a directory for state; expected an "
			"absolute path", state_dir);
	s->name = name;
	s->state_dir = state_dir;
	snprintf(s->unit, sizeof(s->unit), "%s.service", name);
	snprintf(s->unit_path, sizeof(s->unit_path), SERVICE_UNITS "/%s", s->unit);
	snprintf(s->saved_path, sizeof(s->saved_path), "%s/service.json", state_dir);
	snprintf(s->env_path, sizeof(s->env_path), "%s/service.env", state_dir);
	return 0;
}

static int systemctl(struct service *s, const char *verb, const char *option, const char *unit)
{
	const char *args[] = { "--quiet", verb, option ?: unit, option ? unit : NULL, NULL };
	int ret = service_systemctl(args, NULL, 0);

	if (ret < 0)
		return fail(s, ret, "cannot run systemctl: %s", strerror(-ret));
	if (ret && unit)
		return fail(s, -EIO, "systemctl %s %s failed (exit status %d); see journalctl -u %s", verb,
			unit, ret, unit);
	return ret ? fail(s, -EIO, "systemctl %s failed (exit status %d)", verb, ret) : 0;
}

int service_control(struct service *s, const char *verb)
{
	return systemctl(s, verb, NULL, s->unit);
}

static int write_text(struct service *s, const char *path, bool is_public, FILE *out, char *const *text,
	const size_t *len)
{
	int ret = -ENOMEM;

	if (out && !fclose(out))
		ret = is_public ? store_publish(path, *text, *len) : store_write(path, *text, *len);
	if (*text)
		sodium_memzero(*text, *len);
	free(*text);
	return ret ? fail(s, ret, "cannot write %s: %s", path, strerror(-ret)) : 0;
}

static int write_env(struct service *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (!json_object_get(s->saved, "service_env_vars")) {
		unlink(s->env_path);
		return 0;
	}
	out = open_memstream(&text, &len);
	if (out)
		service_write_env(out, s->saved);
	return write_text(s, s->env_path, false, out, &text, &len);
}

static int write_unit(struct service *s)
{
	char program[PATH_MAX], *text = NULL;
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	const struct service_unit unit = { .name = s->name, .program = program, .state_dir = s->state_dir,
		.saved = s->saved, .knows = s->knows };
	size_t len = 0;
	FILE *out;

	if (n < 0)
		return fail(s, -errno, "cannot tell where this program is: %s", strerror(errno));
	program[n] = '\0';
	out = open_memstream(&text, &len);
	if (out)
		service_write_unit(out, &unit);
	return write_text(s, s->unit_path, true, out, &text, &len);
}

/* Settings first: a unit never names a file that is not there. */
static int put_files(struct service *s)
{
	int ret = service_save(s->saved_path, s->saved);

	if (ret)
		return fail(s, ret, "cannot write %s: %s", s->saved_path, strerror(-ret));
	return write_env(s) ?: write_unit(s) ?: systemctl(s, "daemon-reload", NULL, NULL);
}

int service_install(struct service *s)
{
	int ret;

	if (!access(s->unit_path, F_OK))
		return fail(s, -EEXIST, "%s is there already; %s", s->unit_path, service_is_ours(s->unit_path)
			? "change it by talon service reconfigure" : "it is not ours, and stays");
	ret = put_files(s) ?: systemctl(s, "enable", NULL, s->unit);
	if (ret && service_is_ours(s->unit_path))
		unlink(s->unit_path);
	return ret;
}

static int need_ours(struct service *s)
{
	if (service_is_ours(s->unit_path))
		return 0;
	return fail(s, -ENOENT, access(s->unit_path, F_OK) ? "%s is not there: nothing is installed"
		: "%s is not ours, and stays", s->unit_path);
}

int service_uninstall(struct service *s)
{
	int ret = need_ours(s) ?: systemctl(s, "disable", "--now", s->unit);

	if (ret)
		return ret;
	unlink(s->env_path);
	if (unlink(s->unit_path))
		return fail(s, -errno, "cannot remove %s: %s", s->unit_path, strerror(errno));
	return systemctl(s, "daemon-reload", NULL, NULL);
}

/* A restart is all that a running one needs: its datapath stays meanwhile. */
int service_reconfigure(struct service *s, bool *ret_was_running)
{
	const char *const args[] = { "--quiet", "is-active", s->unit, NULL };
	int ret;

	*ret_was_running = !service_systemctl(args, NULL, 0);
	ret = need_ours(s) ?: put_files(s);
	return ret || !*ret_was_running ? ret : systemctl(s, "restart", NULL, s->unit);
}

int service_state(struct service *s, const char **ret_state)
{
	static const struct { const char *line, *state; } states[] = {
		{ "ActiveState=active\n", "Running" }, { "ActiveState=reloading\n", "Running" },
		{ "ActiveState=activating\n", "Running" }, { "ActiveState=inactive\n", "Stopped" },
		{ "ActiveState=failed\n", "Stopped" }, { "ActiveState=deactivating\n", "Stopped" },
	};
	const char *const args[] = { "show", "-p", "LoadState", "-p", "ActiveState", s->unit, NULL };
	char said[256] = "";
	int ret = service_systemctl(args, said, sizeof(said));

	if (ret)
		return fail(s, -EIO, ret < 0 ? "cannot run systemctl" : "systemctl show failed");
	if (strstr(said, "LoadState=not-found"))
		return fail(s, -ENOENT, "%s is not installed", s->unit);
	*ret_state = "Unknown";
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strstr(said, states[i].line))
			*ret_state = states[i].state;
	}
	return 0;
}
