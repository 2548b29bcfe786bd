// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon status: asks the daemon of a mesh, reads the datapath's maps, and shows or checks the result.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "bundle/anonymize.h"
#include "cli/cli.h"
#include "datapath/datapath.h"
#include "log/log.h"
#include "snapshot/control.h"
#include "status/render.h"
#include "status/show.h"
#include "status/status.h"

#define FILTER_MAX 64

enum form { FORM_SUMMARY, FORM_DETAIL, FORM_JSON, FORM_YAML, FORM_IPV4, FORM_IPV6, FORM_COUNT };
static const char *const form_names[] = { "summary", "detail", "json", "yaml", "ipv4", "ipv6" };
static const char form_letters[] = "\0djy46";

enum filter { FILTER_IPS, FILTER_NAMES, FILTER_STATUS, FILTER_CONNECTION, FILTER_COUNT };
static const char *const filter_names[] = { "filter-by-ips", "filter-by-names", "filter-by-status",
	"filter-by-connection-type" };
static const char filter_letters[] = "INST";

struct options {
	struct config config;		/* only its pin_dir, log_level and control socket */
	enum form form;
	bool is_check;
	enum status_check check;
	/* as they were given: a check comes before everything else, also before what is wrong with them */
	const char *given[FILTER_COUNT][FILTER_MAX];
	size_t given_count[FILTER_COUNT];
	struct render_filter filter;
	char *ips[FILTER_MAX], *names[FILTER_MAX];
	bool has_filter;
};

static int take_check(struct cli *cli, struct options *o, const char *value)
{
	value = cli_value(cli, "check", value);
	if (!value)
		return CLI_USAGE;
	if (cli->as_netbird && !*value)
		return CLI_OK;
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

static int take_ips(struct cli *cli, struct options *o, const char *value)
{
	const char *flag = filter_names[FILTER_IPS];
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

/* Whether @name is flag @flag or its letter. */
static bool is_flag(const char *name, const char *flag, char letter)
{
	return !strcmp(name, flag) || (letter && name[0] == letter && !name[1]);
}

/* Returns -ENOENT if @name is not a filter, else enum cli_exit. */
static int take_filter(struct cli *cli, struct options *o, const char *name, const char *value)
{
	enum filter i = 0;

	while (i < FILTER_COUNT && !is_flag(name, filter_names[i], filter_letters[i]))
		i++;
	if (i == FILTER_COUNT)
		return -ENOENT;
	value = cli_value(cli, filter_names[i], value);
	if (!value)
		return CLI_USAGE;
	/* of STATUS and TYPE the last one counts */
	if (i >= FILTER_STATUS)
		o->given_count[i] = 0;
	if (o->given_count[i] == FILTER_MAX)
		return cli_fail(cli, CLI_USAGE, "--%s: more than %d; write fewer", filter_names[i],
			FILTER_MAX);
	o->given[i][o->given_count[i]++] = value;
	return CLI_OK;
}

static int use_filter(struct cli *cli, struct options *o, enum filter filter, const char *value)
{
	static const char *const states[] = { "idle", "connecting", "connected", NULL },
		*const types[] = { "P2P", "Relayed", NULL };

	if (!*value)
		return CLI_OK;	/* none */
	o->has_filter = true;
	switch (filter) {
	case FILTER_IPS:
		return take_ips(cli, o, value);
	case FILTER_NAMES:
		return take_list(cli, filter_names[filter], value, o->names, &o->filter.name_count);
	case FILTER_STATUS:
		return take_word(cli, filter_names[filter], value, states, "idle, connecting or connected",
			&o->filter.status);
	default:
		return take_word(cli, filter_names[filter], value, types, "P2P or Relayed",
			&o->filter.connection);
	}
}

static int use_filters(struct cli *cli, struct options *o)
{
	int code = CLI_OK;

	for (enum filter i = 0; i < FILTER_COUNT; i++) {
		for (size_t n = 0; !code && n < o->given_count[i]; n++)
			code = use_filter(cli, o, i, o->given[i][n]);
	}
	return code;
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

	for (enum form i = FORM_DETAIL; name && !value && i < FORM_COUNT; i++) {
		if (is_flag(name, form_names[i], form_letters[i]))
			return take_form(cli, o, i);
	}
	if (name && is_flag(name, "check", 'C'))
		return take_check(cli, o, value);
	ret = name ? take_filter(cli, o, name, value) : -ENOENT;
	if (ret != -ENOENT)
		return ret;
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "status", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

/* The answer of a check. NetBird's client says nothing when it holds. */
static int say(struct cli *cli, bool holds, const char *why, size_t size)
{
	if (cli->as_netbird)
		return holds ? CLI_OK : cli_fail(cli, CLI_FAILED, "%s", why);
	text_print(cli->out, why, size);
	fputc('\n', cli->out);
	return holds ? CLI_OK : CLI_FAILED;
}

static void print_mesh(FILE *out, const struct options *o, const struct render_view *view)
{
	switch (o->form) {
	case FORM_SUMMARY:
	case FORM_DETAIL:
		render_text(out, view, o->form == FORM_DETAIL || o->has_filter);
		break;
	case FORM_JSON:
		render_json(out, view);
		if (view->as_talon)
			fputc('\n', out);
		break;
	case FORM_YAML:
		render_yaml(out, view);
		break;
	case FORM_IPV4:
		render_address(out, view->snapshot->ip);
		break;
	case FORM_IPV6:
		render_address(out, view->snapshot->address6);
		break;
	case FORM_COUNT:
		break;
	}
}

static void print_datapath(FILE *out, const struct options *o, const struct status *status)
{
	if (o->form == FORM_JSON)
		status_print_json(out, status);
	else
		status_print_text(out, status, o->form == FORM_DETAIL);
}

/* What is to be shown: the view of a mesh, or the datapath alone. */
struct shown {
	const struct options *o;
	const struct render_view *view;
	const struct status *status;
};

static void print(FILE *out, const struct shown *shown)
{
	if (shown->view)
		print_mesh(out, shown->o, shown->view);
	else
		print_datapath(out, shown->o, shown->status);
}

/* The names that a strict level replaces wherever they stand. */
static int name_hosts(struct anon *anon, const struct snapshot *snapshot)
{
	int ret = anon_name(anon, render_or_empty(snapshot->fqdn));

	for (size_t i = 0; !ret && i < snapshot->peer_count; i++)
		ret = anon_name(anon, render_or_empty(snapshot->peers[i].fqdn));
	return ret;
}

/* Nothing is shown if not all of it could be replaced. */
static int print_anonymized(struct cli *cli, const struct shown *shown)
{
	struct anon *anon = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = out ? anon_new(anon_level_parse(shown->o->config.mesh.anonymize_level), &anon) : -ENOMEM;

	if (!ret && shown->view)
		ret = name_hosts(anon, shown->view->snapshot);
	if (!ret)
		print(out, shown);
	if (out && fclose(out))
		ret = -ENOMEM;
	if (!ret)
		ret = anon_write(anon, text, len, cli->out);
	anon_free(anon);
	free(text);
	return ret ? cli_fail(cli, CLI_FAILED, "out of memory") : CLI_OK;
}

/* This host's address alone is asked for to be used, so it stays as it is. */
static int show(struct cli *cli, const struct shown *shown)
{
	const struct options *o = shown->o;

	if ((o->config.mesh.anonymize || o->config.mesh.anonymize_level[0]) && o->form < FORM_IPV4)
		return print_anonymized(cli, shown);
	print(cli->out, shown);
	return CLI_OK;
}

/* What was asked for and only a mesh has, without dashes; NULL: nothing. */
static const char *asks_a_mesh(const struct options *o)
{
	if (o->form >= FORM_YAML)
		return form_names[o->form];
	for (unsigned i = 0; i < FILTER_COUNT; i++) {
		if (o->given_count[i])
			return filter_names[i];
	}
	return NULL;
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
	} else if (asks_a_mesh(o)) {
		code = cli_fail(cli, CLI_FAILED, "status: --%s needs a daemon in a mesh, and none runs",
			asks_a_mesh(o));
	} else {
		code = show(cli, &(struct shown){ .o = o, .status = &status });
	}
	status_free(&status);
	return code;
}

/* How a person logs in, and how a machine does. */
static void print_notice(struct cli *cli, const struct snapshot *snapshot)
{
	const char *name = cli->as_netbird ? "netbird" : "talon";

	fprintf(cli->out, "Daemon status: %s\n\nThis host is not registered in the mesh (any more). Log in "
		"with a browser (SSO):\n\n %s login\n\nor, where there is no identity provider, register it "
		"with a setup key:\n\n %s up --management-url URL --setup-key KEY\n\n",
		snapshot->daemon_status, name, name);
}

static bool is_for_programs(enum form form)
{
	return form == FORM_JSON || form == FORM_YAML;
}

static int show_mesh(struct cli *cli, const struct options *o, const struct snapshot *snapshot)
{
	const bool is_out = render_needs_login(snapshot);
	struct snapshot bare = render_unregistered(snapshot);
	struct status status;
	struct render_view view;
	struct timespec now;
	char why[CONFIG_WHY_LEN];
	int code;

	if (is_out && (cli->as_netbird ? !is_for_programs(o->form) : o->form <= FORM_DETAIL))
		print_notice(cli, snapshot);
	if (is_out && cli->as_netbird && !is_for_programs(o->form))
		return CLI_OK;
	if (is_out && cli->as_netbird)
		snapshot = &bare;
	if (render_view_init(&view, snapshot, &o->filter))
		return cli_fail(cli, CLI_FAILED, "out of memory");
	clock_gettime(CLOCK_REALTIME, &now);
	view.now_ns = now.tv_sec * TALON_NSEC_PER_SEC + now.tv_nsec;
	view.as_talon = !cli->as_netbird;
	view.cli_version = cli->as_netbird ? RENDER_NETBIRD_VERSION : TALON_VERSION;
	view.daemon_version = cli->as_netbird ? RENDER_NETBIRD_VERSION : snapshot->version;
	if (view.as_talon && !status_read(&status, o->config.pin_dir, why, sizeof(why)))
		view.datapath = &status;
	code = show(cli, &(struct shown){ .o = o, .view = &view });
	if (view.datapath)
		status_free(&status);
	free(view.peers);
	return code;
}

/* The process of this container is not the controller yet: what the maps say is not about us. */
static int say_waiting(struct cli *cli, const struct options *o, const char *text)
{
	static const char *const answers[] = {
		[STATUS_CHECK_LIVE] = "live: yes", [STATUS_CHECK_READY] = "ready: no",
		[STATUS_CHECK_STARTUP] = "startup: no",
	};
	char why[CONFIG_WHY_LEN + 32];

	snprintf(why, sizeof(why), "%s: it %s", answers[o->check], text);
	return say(cli, o->check == STATUS_CHECK_LIVE, why, sizeof(why));
}

/* Whether this container runs Talon, as its first process, beside the one that asks. */
static bool is_beside_talon(void)
{
	char name[32] = "";
	FILE *f = getpid() == 1 ? NULL : fopen("/proc/1/comm", "re");

	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	name[strcspn(name, "\n")] = '\0';
	return !strcmp(name, "talon") || !strcmp(name, "netbird");
}

/* The controller is another container's. Has ours come so far that it waits for it, or already let go? */
static bool is_still_to_come(const char *socket, char *text, size_t size)
{
	if (!control_ask_waiting(socket, false, text, size))
		return true;
	if (!control_ask_waiting(socket, true, text, size))
		return false;
	snprintf(text, size, "is just starting");
	return true;
}

/*
 * A probe has a second at most, and its answer should not hang on a controller that does: who does not answer
 * at once is judged by the maps.
 */
static int run_check(struct cli *cli, const struct options *o)
{
	const char *pin_dir = o->config.pin_dir, *socket = cli_socket(&o->config);
	char path[CONTROL_PATH_LEN], why[CONFIG_WHY_LEN], text[CONFIG_WHY_LEN];
	struct snapshot snapshot = {};
	uint32_t pid;
	bool holds;
	int ret;

	if (o->check == STATUS_CHECK_DATAPATH)
		return run_datapath(cli, o);
	ret = control_ask_briefly(socket, &snapshot, why, sizeof(why));
	if (!ret) {
		holds = status_check_daemon(&snapshot, o->check, why, sizeof(why));
		snapshot_done(&snapshot);
		return say(cli, holds, why, sizeof(why));
	}
	control_path_of_pins(pin_dir, path);
	if (datapath_is_held(pin_dir, &pid) && !pid && is_beside_talon() &&
		is_still_to_come(ret == -EREMOTEIO ? socket : path, text, sizeof(text)))
		return say_waiting(cli, o, text);
	if (cli->as_netbird && ret != -ETIMEDOUT && ret != -EREMOTEIO)
		return cli_no_daemon(cli, why);
	return run_datapath(cli, o);
}

/* Who is shown the servers waits for a look at them; scripts that want an address do not. */
static int ask(const char *socket, bool waits, struct snapshot *ret_snapshot, char *why, size_t size)
{
	return waits ? control_ask_status(socket, ret_snapshot, why, size)
		: control_ask_snapshot(socket, ret_snapshot, why, size);
}

static int run(struct cli *cli, const struct options *o)
{
	struct snapshot snapshot = {};
	char why[CONFIG_WHY_LEN];
	int code, ret;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	if (o->is_check)
		return run_check(cli, o);
	ret = ask(cli_socket(&o->config), o->form < FORM_IPV4, &snapshot, why, sizeof(why));
	/* The daemon is absent, hangs or was killed: the maps still show the datapath. */
	if (ret)
		return cli->as_netbird ? cli_no_daemon(cli, why) : run_datapath(cli, o);
	code = show_mesh(cli, o, &snapshot);
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
	if (!code && !o.is_check)
		code = use_filters(cli, &o);
	if (!code)
		code = run(cli, &o);
	free_filter(&o);
	config_free(&o.config);
	return code;
}
