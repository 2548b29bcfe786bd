// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon up: everything that can be refused is refused here, before the controller touches anything.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "cli/cli.h"
#include "preflight/preflight.h"
#include "daemon/daemon.h"
#include "daemon/succession.h"
#include "datapath/datapath.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "snapshot/control.h"

#define RETRY_MS 100

struct up {
	struct cli_settings settings;
	struct cli *cli;
	int first;			/* argument of ours */
	/* what a reload brought in place of the process's own; NULL: nothing */
	char **env;
};

static void use_log(const struct config *config)
{
	log_set_level(config->log_level);
	log_set_format(config->log_json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	log_set_max_size(config->log_any_size ? 0 : (uint64_t)config->log_max_size << 20);
}

static void log_notes(const struct config *config)
{
	for (size_t i = 0; i < config->note_count; i++)
		log_write(config->notes[i].level, "%s", config->notes[i].text);
}

static void print_notes(struct cli *cli, const struct config *config)
{
	for (size_t i = 0; i < config->note_count; i++)
		fprintf(cli->out, "%s: %s\n", config->notes[i].level == LOG_LEVEL_WARN ? "warning" : "note",
			config->notes[i].text);
}

static int dry_run(struct cli *cli, const struct up *up)
{
	const struct config *config = &up->settings.config;
	const struct config_mesh *mesh = &config->mesh;

	print_notes(cli, config);
	if (!up->settings.file) {
		fprintf(cli->out, "mesh: good; management %s, identity %s (%s), %s\n",
			mesh->management_url ? mesh->management_url : "as the identity says",
			mesh->identity_path, access(mesh->identity_path, F_OK) ? "to be made" : "there",
			mesh->setup_key ? "with a setup key" : "no setup key");
		return CLI_OK;
	}
	fprintf(cli->out, "%s: good; %zu %s, %zu %s\n", up->settings.file, config->peer_count,
		config->peer_count == 1 ? "peer" : "peers", config->route_count,
		config->route_count == 1 ? "route" : "routes");
	return CLI_OK;
}

static void free_env(char **env)
{
	for (char **e = env; e && *e; e++) {
		sodium_memzero(*e, strlen(*e));
		free(*e);
	}
	free(env);
}

static char **copy_env(char *const *env)
{
	size_t count = 0;
	char **copy;

	while (env[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(env[i]);
		if (!copy[i]) {
			free_env(copy);
			return NULL;
		}
	}
	return copy;
}

/* A pipe without a writer would hold up the loop, and one that was read at the start is empty by now. */
static int read_file_again(struct config *config, const char *path, char *why, size_t size)
{
	struct stat st;

	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		snprintf(why, size, "%s: not a regular file; a reload reads no other", path);
		return -EINVAL;
	}
	return config_read_file(config, path, why, size);
}

/* All sources once more. A setup key is needed at most once, and so not asked for. */
static int read_sources(struct up *up, struct cli_settings *fresh, char *why, size_t size)
{
	struct config *config = &fresh->config;
	int ret = -EINVAL;

	if (cli_settings_arguments(up->cli, "up", fresh))
		snprintf(why, size, "the arguments cannot be read again");
	else if (!fresh->file != !up->settings.file)
		snprintf(why, size, "TALON_STATIC: %s needs a restart",
			fresh->file ? "a static file instead of a mesh" : "a mesh instead of a static file");
	else
		ret = config_read_env(config, up->cli->env, why, size);
	if (!ret && fresh->file)
		ret = read_file_again(config, fresh->file, why, size);
	if (!ret) {
		config_forget_setup_key(config);
		ret = config_finish(config, fresh->file, why, size);
	}
	return !ret && !fresh->file ? mesh_peek(config, why, size) : ret;
}

/* The last thing that can fail is first: files of the log. */
static int take(struct up *up, struct cli_settings *fresh, struct daemon_report *report)
{
	struct config *config = &up->settings.config;
	int ret = config_tell_changes(config, &fresh->config, report->changed, sizeof(report->changed));

	if (!ret)
		ret = log_set_targets(fresh->config.log_file, report->why, sizeof(report->why) - 32);
	if (ret) {
		report->changed[0] = '\0';
		return ret;
	}
	log_notes(&fresh->config);
	config_list_fixed(config, &fresh->config, report->fixed, sizeof(report->fixed));
	config_take_changes(config, &fresh->config);
	use_log(config);
	up->settings.file = fresh->file;
	return 0;
}

/* What only the start can do is named and stays; what cannot be read changes nothing. */
static int read_again(void *ctx, char *const *env, struct daemon_report *report)
{
	struct cli_settings fresh = { .own = "dry-run" };
	struct up *up = ctx;
	struct cli *cli = up->cli;
	char *const *before = cli->env;
	char **copy = env ? copy_env(env) : NULL;
	int ret;

	if (env && !copy) {
		snprintf(report->why, sizeof(report->why), "out of memory");
		return -ENOMEM;
	}
	if (copy)
		cli->env = copy;
	cli->at = up->first;
	cli->is_again = true;
	cli_settings_init(cli, &fresh);
	ret = read_sources(up, &fresh, report->why, sizeof(report->why) - 32);
	if (!ret)
		ret = take(up, &fresh, report);
	cli_wipe_env(cli);
	if (ret)
		cli->env = before;
	if (copy) {
		free_env(ret ? copy : up->env);
		up->env = ret ? up->env : copy;
	}
	config_free(&fresh.config);
	return ret;
}

/* What would let the other go in vain is found before it is asked. It keeps its socket while it stands by. */
static int may_take_over(struct cli *cli, const struct config *config)
{
	char why[CONFIG_WHY_LEN];

	if (preflight_check_pin_dir(config->pin_dir, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	if (!config->mesh.enabled || control_probe(cli_socket(config), why, sizeof(why)))
		return CLI_OK;
	return cli_fail(cli, CLI_USAGE, "--daemon-addr: a daemon answers at %s already; one that takes over "
		"needs a socket of its own", cli_socket(config));
}

/* The other has gone, and removed its maps: there was nothing to take over. */
static bool is_bare(const struct config *config)
{
	const int fd = datapath_map_open(config->pin_dir, DATAPATH_MAP_INFO);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* Who takes over asks the other to let go before it looks at what that one uses: its port, for example. */
static int take_seat(struct cli *cli, struct config *config, int *seat)
{
	const bool takes_over = *seat < 0 && config->take_over;
	bool has_asked = false;
	enum preflight_moment moment = *seat < 0 ? PREFLIGHT_FIRST : PREFLIGHT_SEATED;
	char why[CONFIG_WHY_LEN];
	int ret = takes_over ? may_take_over(cli, config) : CLI_OK;

	if (ret)
		return ret;
	if (takes_over) {
		ret = *seat = daemon_take_seat(config, &has_asked, why, sizeof(why));
		moment = has_asked && !is_bare(config) ? PREFLIGHT_AFTER : PREFLIGHT_SEATED;
	}
	if (ret == -ECANCELED)
		return cli_fail(cli, CLI_USAGE, "%s", why);
	if (ret >= 0 && preflight_check(config, moment, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	if (*seat < 0 && !ret)
		ret = *seat = daemon_take_seat(config, &has_asked, why, sizeof(why));
	if (ret < 0 && ret != -EINTR)
		return cli_fail(cli, CLI_FAILED, "%s", why);
	return CLI_OK;
}

/* One reign after the other: it may be handed over, and come back. */
static int rule(struct cli *cli, struct up *up)
{
	const struct daemon_reload reload = { read_again, up };
	struct config *config = &up->settings.config;
	int seat = -1, ret, code;

	do {
		code = take_seat(cli, config, &seat);
		if (code || seat < 0)	/* a signal came first */
			break;
		ret = config_resolve(config) < 0 ? -ENOMEM : 0;
		log_notes(config);
		if (!ret)
			ret = daemon_run(config, seat, &reload);
		if (ret == DAEMON_HANDED_OVER)
			ret = daemon_stand_by(config, seat);
		code = ret < 0 ? CLI_FAILED : CLI_OK;
	} while (ret > 0);
	if (seat >= 0)
		daemon_leave_seat(config, seat);
	return code;
}

static int serve(struct cli *cli, struct up *up)
{
	char why[CONFIG_WHY_LEN];

	use_log(&up->settings.config);
	log_bridge_libbpf();
	log_never_block();
	if (log_set_targets(up->settings.config.log_file, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "--log-file: %s", why);
	/* Before the host is looked at: the identity may say which port and device. */
	if (up->settings.config.mesh.enabled && mesh_prepare(&up->settings.config, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	return rule(cli, up);
}

/* Whether a daemon listens; under NetBird's name one that is just starting is waited for. */
static int find_daemon(const struct cli *cli, const struct config *config, char *why, size_t size)
{
	unsigned int waited = 0;
	int ret;

	while ((ret = control_probe(cli_socket(config), why, size)) && cli->as_netbird &&
		waited < cli->patience_ms) {
		usleep(RETRY_MS * 1000);
		waited += RETRY_MS;
	}
	return ret;
}

/* A daemon that runs is told to connect; where there is none, talon is it, and netbird says so. */
static int run_mesh(struct cli *cli, struct up *up)
{
	char why[CONFIG_WHY_LEN];

	if (up->settings.config.mesh.foreground || up->settings.config.take_over)
		return serve(cli, up);
	if (!find_daemon(cli, &up->settings.config, why, sizeof(why)))
		return cli_up_daemon(cli, &up->settings.config, NULL);
	return cli->as_netbird ? cli_no_daemon(cli, why) : serve(cli, up);
}

static int run(struct cli *cli, struct up *up)
{
	int code = cli_settings_read(cli, "up", &up->settings);

	if (code)
		return code;
	if (up->settings.own_is_given)
		return dry_run(cli, up);
	return up->settings.file ? serve(cli, up) : run_mesh(cli, up);
}

static int start(struct cli *cli, bool is_service)
{
	struct up up = { .settings.own = "dry-run", .cli = cli, .first = cli->at };
	int code;

	cli_settings_init(cli, &up.settings);
	up.settings.config.mesh.is_service = is_service;
	up.settings.config.mesh.foreground = is_service;
	code = run(cli, &up);
	config_free(&up.settings.config);
	free_env(up.env);
	return code;
}

int cli_up(struct cli *cli)
{
	return start(cli, false);
}

int cli_service_run(struct cli *cli)
{
	return start(cli, true);
}
