// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon status: asks the daemon of a mesh, reads the datapath's maps, and shows or checks the result.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cli/cli.h"
#include "log/log.h"
#include "snapshot/control.h"
#include "status/render.h"
#include "status/show.h"
#include "status/status.h"

#define FILTER_MAX 64

enum form { FORM_SUMMARY, FORM_DETAIL, FORM_JSON, FORM_YAML, FORM_IPV4 };
static const char *const form_names[] = { "summary", "detail", "json", "yaml", "ipv4" };

struct options {
	struct config config;		/* only its pin_dir, log_level and control socket */
	enum form form;
	bool is_check;
	enum status_check check;
	struct render_filter filter;
	char *ips[FILTER_MAX], *names[FILTER_MAX];
	bool has_filter;
};

static int take_check(struct cli *cli, struct options *o, const char *value)
{
	value = cli_value(cli, "check", value);
	if (!value)
		return CLI_USAGE;
	if (status_check_parse(value, &o->check))
		return cli_fail(cli, CLI_USAGE,
			"--check: '%.40s' is not a check; expected live, ready, startup or datapath",
			value);
	o->is_check = true;
	return CLI_OK;
}

/* Appends copies of the items of @list, which commas separate, to @items; free_filter() frees them. */
static int take_list(struct cli *cli, const char *flag, const char *list, char **items, size_t *count)
{
	struct slice rest = slice_from(list), item;

	while (slice_next(&rest, ",", &item)) {
		if (*count == FILTER_MAX)
			return cli_fail(cli, CLI_USAGE, "--%s: more than %d; write fewer", flag, FILTER_MAX);
		items[*count] = strndup(item.at, item.len);
		if (!items[*count])
			return cli_fail(cli, CLI_FAILED, "out of memory");
		*count += 1;
	}
	return CLI_OK;
}

static int take_ips(struct cli *cli, struct options *o, const char *flag, const char *value)
{
	int code = take_list(cli, flag, value, o->ips, &o->filter.ip_count);
	struct in6_addr addr;

	for (size_t i = 0; !code && i < o->filter.ip_count; i++) {
		if (inet_pton(AF_INET, o->ips[i], &addr) != 1 && inet_pton(AF_INET6, o->ips[i], &addr) != 1)
			code = cli_fail(cli, CLI_USAGE,
				"--%s: '%.40s' is not an address; expected addresses with commas between "
				"them",
				flag, o->ips[i]);
	}
	return code;
}

/* Looks @value up in @words, which NULL ends, ignoring case. */
static int take_word(struct cli *cli, const char *flag, const char *value, const char *const *words,
	const char *form, const char **ret_word)
{
	for (; *words; words++) {
		if (!strcasecmp(*words, value)) {
			*ret_word = *words;
			return CLI_OK;
		}
	}
	return cli_fail(cli, CLI_USAGE, "--%s: '%.40s' is not understood; expected %s", flag, value, form);
}

/* Returns -ENOENT if @name is not a filter, else enum cli_exit. */
static int take_filter(struct cli *cli, struct options *o, const char *name, const char *value)
{
	static const char *const states[] = { "idle", "connecting", "connected", NULL },
		*const types[] = { "P2P", "Relayed", NULL };
	static const char *const flags[] = { "filter-by-ips", "filter-by-names", "filter-by-status",
		"filter-by-connection-type" };
	size_t i = 0;

	while (i < 4 && strcmp(flags[i], name))
		i++;
	if (i == 4)
		return -ENOENT;
	value = cli_value(cli, name, value);
	if (!value)
		return CLI_USAGE;
	o->has_filter = true;
	if (i == 0)
		return take_ips(cli, o, flags[i], value);
	if (i == 1)
		return take_list(cli, flags[i], value, o->names, &o->filter.name_count);
	if (i == 2)
		return take_word(cli, flags[i], value, states, "idle, connecting or connected",
			&o->filter.status);
	return take_word(cli, flags[i], value, types, "P2P or Relayed", &o->filter.connection);
}

static int take_form(struct cli *cli, struct options *o, enum form form)
{
	if (o->form && o->form != form)
		return cli_fail(cli, CLI_USAGE, "status: --%s and --%s exclude each other; write one of them",
			form_names[o->form], form_names[form]);
	o->form = form;
	return CLI_OK;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	for (enum form i = FORM_DETAIL; name && !value && i <= FORM_IPV4; i++) {
		if (!strcmp(name, form_names[i]) || (i == FORM_DETAIL && !strcmp(name, "d")))
			return take_form(cli, o, i);
	}
	if (name && !strcmp(name, "check"))
		return take_check(cli, o, value);
	ret = name ? take_filter(cli, o, name, value) : -ENOENT;
	if (ret != -ENOENT)
		return ret;
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "status", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

static int say(struct cli *cli, bool holds, const char *why, size_t size)
{
	text_print(cli->out, why, size);
	fputc('\n', cli->out);
	return holds ? CLI_OK : CLI_FAILED;
}

/* Without a daemon in a mesh: shows what the maps hold. */
static int run_datapath(struct cli *cli, const struct options *o)
{
	char why[CONFIG_WHY_LEN];
	struct status status;
	int code = CLI_OK;
	bool holds;

	if (status_read(&status, o->config.pin_dir, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	if (o->is_check) {
		holds = status_check(&status, o->check, why, sizeof(why));
		code = say(cli, holds, why, sizeof(why));
	} else if (o->form == FORM_JSON) {
		status_print_json(cli->out, &status);
	} else if (o->form == FORM_YAML || o->form == FORM_IPV4) {
		code = cli_fail(cli, CLI_FAILED, "status: --%s needs a daemon in a mesh, and none runs",
			form_names[o->form]);
	} else {
		status_print_text(cli->out, &status, o->form == FORM_DETAIL);
	}
	status_free(&status);
	return code;
}

static bool needs_login(const struct snapshot *snapshot)
{
	const char *status = render_or_empty(snapshot->daemon_status);

	return !strcmp(status, "NeedsLogin") || !strcmp(status, "LoginFailed") ||
		!strcmp(status, "SessionExpired");
}

static void print_notice(struct cli *cli, const struct snapshot *snapshot)
{
	fprintf(cli->out, "Daemon status: %s\n\nThis host is not registered in the mesh (any more). "
		"Register it with a setup key:\n\n %s up --setup-key KEY\n\n", snapshot->daemon_status,
		cli->as_netbird ? "netbird" : "talon");
}

static void print_mesh(struct cli *cli, const struct options *o, const struct render_view *view)
{
	switch (o->form) {
	case FORM_SUMMARY:
	case FORM_DETAIL:
		render_text(cli->out, view, o->form == FORM_DETAIL || o->has_filter);
		break;
	case FORM_JSON:
		render_json(cli->out, view);
		if (view->as_talon)
			fputc('\n', cli->out);
		break;
	case FORM_YAML:
		render_yaml(cli->out, view);
		break;
	case FORM_IPV4:
		render_address(cli->out, view->snapshot->ip);
		break;
	}
}

static int show_mesh(struct cli *cli, const struct options *o, const struct snapshot *snapshot)
{
	struct status status;
	struct render_view view;
	struct timespec now;
	char why[CONFIG_WHY_LEN];

	if (needs_login(snapshot) && (cli->as_netbird || o->form <= FORM_DETAIL))
		print_notice(cli, snapshot);
	if (needs_login(snapshot) && cli->as_netbird)
		return CLI_OK;
	if (render_view_init(&view, snapshot, &o->filter))
		return cli_fail(cli, CLI_FAILED, "out of memory");
	clock_gettime(CLOCK_REALTIME, &now);
	view.now_ns = now.tv_sec * TALON_NSEC_PER_SEC + now.tv_nsec;
	view.as_talon = !cli->as_netbird;
	view.cli_version = cli->as_netbird ? RENDER_NETBIRD_VERSION : TALON_VERSION;
	view.daemon_version = cli->as_netbird ? RENDER_NETBIRD_VERSION : snapshot->version;
	if (view.as_talon && !status_read(&status, o->config.pin_dir, why, sizeof(why)))
		view.datapath = &status;
	print_mesh(cli, o, &view);
	if (view.datapath)
		status_free(&status);
	free(view.peers);
	return CLI_OK;
}

static int run(struct cli *cli, const struct options *o)
{
	struct snapshot snapshot = {};
	char why[CONFIG_WHY_LEN];
	int code, ret;
	bool holds;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	if (o->is_check && o->check == STATUS_CHECK_DATAPATH)
		return run_datapath(cli, o);
	ret = control_ask_snapshot(cli_socket(&o->config), &snapshot, why, sizeof(why));
	/* The daemon is absent, hangs or was killed: the maps still show the datapath. */
	if (ret)
		return cli->as_netbird ? cli_no_daemon(cli, why) : run_datapath(cli, o);
	if (o->is_check) {
		holds = status_check_daemon(&snapshot, o->check, why, sizeof(why));
		code = say(cli, holds, why, sizeof(why));
	} else {
		code = show_mesh(cli, o, &snapshot);
	}
	snapshot_done(&snapshot);
	return code;
}

static void free_filter(struct options *o)
{
	for (size_t i = 0; i < o->filter.ip_count; i++)
		free(o->ips[i]);
	for (size_t i = 0; i < o->filter.name_count; i++)
		free(o->names[i]);
}

int cli_status(struct cli *cli)
{
	const char *name, *value;
	struct options o = {};
	int code = CLI_OK;

	config_init(&o.config);
	config_use_mesh(&o.config);
	o.filter.ips = o.ips;
	o.filter.names = o.names;
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && cli_common_env(cli, &o.config))
		code = cli->as_netbird ? CLI_FAILED : CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	free_filter(&o);
	config_free(&o.config);
	return code;
}
