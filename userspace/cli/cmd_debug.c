// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon debug: the log's level, the settings in force, and debug bundles.
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "bundle/bundle.h"
#include "cli/cli.h"
#include "config/value.h"
#include "snapshot/control.h"
#include "watch/stop.h"

#define VERBS		"bundle, for DURATION, config or log level LEVEL"
#define FOR_MOST_S	86400
#define ARGUMENTS_MAX	16

struct options {
	struct config config;
	const char *file;		/* of TALON_STATIC; NULL: a mesh */
	struct bundle_options bundle;
	bool anonymizes, uploads;
	struct bundle_upload upload;
	unsigned int wait_s;		/* of `for` */
	struct cli *cli;
};

static int refused(struct cli *cli, int ret, const char *why)
{
	return ret == -EREMOTEIO ? cli_fail(cli, CLI_FAILED, "debug: %s", why) : cli_no_daemon(cli, why);
}

/* --- log level, config, capture --- */

static int log_level(struct cli *cli, struct config *config)
{
	char why[CONFIG_WHY_LEN];
	enum log_level level;
	const char *text;
	int code, ret;

	if (cli->argc - cli->at < 2 || strcmp(cli->argv[cli->at], "level"))
		return cli_fail(cli, CLI_USAGE, "debug: expected log level LEVEL");
	text = cli->argv[cli->at + 1];
	if (config_set_flag(config, "log-level", text, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	level = config->log_level;
	cli->at += 2;
	code = cli_common_only(cli, config, "debug");
	if (code)
		return code;
	ret = control_ask_log_level(cli_socket(config), level, why, sizeof(why));
	if (ret)
		return refused(cli, ret, why);
	fprintf(cli->out, "Log level set successfully to %s\n", text);
	return CLI_OK;
}

static int show_config(struct cli *cli, struct config *config)
{
	char why[CONFIG_WHY_LEN];
	int code = cli_common_only(cli, config, "debug"), ret;

	if (code)
		return code;
	ret = control_ask_config(cli_socket(config), cli->out, why, sizeof(why));
	return ret ? refused(cli, ret, why) : CLI_OK;
}

/* --- arguments of bundle and for --- */

static int take_level(struct cli *cli, struct options *o, const char *value)
{
	value = cli_value(cli, "anonymize-level", value);
	if (!value)
		return CLI_USAGE;
	if (strcasecmp(value, "default") && strcasecmp(value, "strict"))
		return cli_fail(cli, CLI_USAGE,
			"--anonymize-level: '%.20s' is not a level; expected default or strict", value);
	o->anonymizes = true;
	o->bundle.level = anon_level_parse(value);
	return CLI_OK;
}

static int take_count(struct cli *cli, struct options *o, const char *value)
{
	uint32_t count;

	value = cli_value(cli, "log-file-count", value);
	if (!value)
		return CLI_USAGE;
	if (value_number(slice_from(value), 1, BUNDLE_LOG_FILES_MAX, &count))
		return cli_fail(cli, CLI_USAGE,
			"--log-file-count: '%.20s' is not a number of files; expected 1-%u", value,
			BUNDLE_LOG_FILES_MAX);
	o->bundle.log_files = count;
	return CLI_OK;
}

static int take_upload_url(struct cli *cli, struct options *o, const char *value)
{
	o->upload.service = cli_value(cli, "upload-bundle-url", value);
	if (!o->upload.service)
		return CLI_USAGE;
	if (strncasecmp(o->upload.service, "https://", 8) && strncasecmp(o->upload.service, "http://", 7))
		return cli_fail(cli, CLI_USAGE, "--upload-bundle-url: '%.60s' is not a URL; expected "
			"https://HOST/PATH", o->upload.service);
	return CLI_OK;
}

/* A switch, perhaps with =true or =false. */
static int take_switch(struct cli *cli, const char *name, const char *value, bool *ret_switch)
{
	*ret_switch = true;
	if (value && value_bool(slice_from(value), ret_switch))
		return cli_fail(cli, CLI_USAGE, "%s%s: '%.20s' is not a choice; expected true or false",
			name[1] ? "--" : "-", name, value);
	return CLI_OK;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	static const struct {
		const char *name, *letter;
	} flags[] = {
		{ "anonymize", "A" }, { "system-info", "S" }, { "upload-bundle", "U" },
		{ "log-file-count", "C" },
		{ "upload-bundle-insecure", "" }, { "anonymize-level", "" }, { "upload-bundle-url", "" },
	};
	const size_t count = sizeof(flags) / sizeof(flags[0]);
	size_t i = 0;

	while (i < count && strcmp(flags[i].name, name) && strcmp(flags[i].letter, name))
		i++;
	switch (i) {
	case 0:
		return take_switch(cli, name, value, &o->anonymizes);
	case 1:
		return take_switch(cli, name, value, &o->bundle.system_info);
	case 2:
		return take_switch(cli, name, value, &o->uploads);
	case 3:
		return take_count(cli, o, value);
	case 4:
		return take_switch(cli, name, value, &o->upload.is_insecure);
	case 5:
		return take_level(cli, o, value);
	case 6:
		return take_upload_url(cli, o, value);
	}
	return -ENOENT;
}

/* A bundle never holds packets: they would not be anonymized. */
static bool is_capture(const struct cli *cli, const struct options *o, const char *name, const char *value)
{
	if (!o->wait_s || strcmp(name, "capture") || value)
		return false;
	fprintf(cli->err, "note: --capture: no effect: talon capture --peer PEER writes packets\n");
	return true;
}

static int take_arguments(struct cli *cli, struct options *o)
{
	const char *name, *value;
	int code = CLI_OK;

	while (!code && cli_next(cli, &name, &value)) {
		if (name && is_capture(cli, o, name, value))
			continue;
		code = name ? take_flag(cli, o, name, value) : -ENOENT;
		if (code == -ENOENT && name && config_has_flag(name))
			code = cli_set_flag(cli, &o->config, name, value);
		else if (code == -ENOENT)
			code = cli_unknown(cli, "debug", name, value);
	}
	return code;
}

/* The settings that the daemon would have, too: where its files are, and in a static file which keys. */
static int read_settings(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN];

	for (char *const *e = cli->env; *e; e++) {
		if (!strncmp(*e, "TALON_STATIC=", 13) && (*e)[13])
			o->file = *e + 13;
	}
	if (o->file) {		/* it is not a mesh, then */
		config_free(&o->config);
		config_init(&o->config);
	}
	if (take_arguments(cli, o))
		return CLI_USAGE;
	if (config_read_env(&o->config, cli->env, why, sizeof(why)) ||
		(o->file && config_read_file(&o->config, o->file, why, sizeof(why))) ||
		config_finish(&o->config, o->file ? o->file : "debug", why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "%s", why);
	return CLI_OK;
}

static int check_upload(struct cli *cli, struct options *o)
{
	const char *given = o->config.mesh.debug_upload_url;

	if (o->upload.is_insecure && geteuid())
		return cli_fail(cli, CLI_USAGE,
			"--upload-bundle-insecure: only root may send a bundle unprotected");
	if (!o->upload.service)
		o->upload.service = given ? given : BUNDLE_NETBIRD_URL;
	if (!o->upload.is_insecure && strncasecmp(o->upload.service, "https://", 8))
		return cli_fail(cli, CLI_USAGE, "--upload-bundle-url: '%.60s' is not https; root may add "
			"--upload-bundle-insecure", o->upload.service);
	return CLI_OK;
}

/* --- the bundle --- */

/* A command of ours, with the same socket, pins and state. Its errors are worth as much as its output. */
static void run_command(void *ctx, const char *const *argv, FILE *out)
{
	const struct options *o = ctx;
	const struct cli_command *command = cli_find_command(argv[0]);
	char *arguments[ARGUMENTS_MAX] = {}, socket[160];
	struct cli sub = { .in = o->cli->in, .out = out, .err = out, .env = o->cli->env, .argv = arguments };

	for (argv++; *argv && sub.argc < ARGUMENTS_MAX - 6; argv++)
		arguments[sub.argc++] = (char *)*argv;
	arguments[sub.argc++] = "--pin-dir";
	arguments[sub.argc++] = (char *)o->config.pin_dir;
	if (!o->file) {
		snprintf(socket, sizeof(socket), "unix://%s", cli_socket(&o->config));
		arguments[sub.argc++] = "--daemon-addr";
		arguments[sub.argc++] = socket;
		arguments[sub.argc++] = "--state-dir";
		arguments[sub.argc++] = o->config.mesh.state_dir;
	}
	if (command)
		command->run(&sub);
}

/* Whose bundle it is, for the upload service. The caller frees it. */
static char *management_url(const struct options *o)
{
	struct snapshot snapshot = {};
	char why[CONFIG_WHY_LEN], *url;

	if (control_ask_snapshot(cli_socket(&o->config), &snapshot, why, sizeof(why)))
		return strdup(o->config.mesh.management_url ? o->config.mesh.management_url
			: CONFIG_MANAGEMENT_URL);
	url = strdup(snapshot.management_url);
	snapshot_done(&snapshot);
	return url;
}

static int upload(struct cli *cli, struct options *o, const char *path)
{
	char why[CONFIG_WHY_LEN], key[BUNDLE_KEY_LEN], *url = management_url(o);
	int ret;

	if (!url)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	o->upload.path = path;
	o->upload.management_url = url;
	ret = bundle_upload(&o->upload, key, why, sizeof(why));
	free(url);
	if (ret)
		return cli_fail(cli, CLI_FAILED, "upload failed: %s", why);
	fprintf(cli->out, "Upload file key:\n%s\n", key);
	return CLI_OK;
}

static int make_bundle(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN], path[CONFIG_WHY_LEN];

	(void)!nice(10);		/* packets come first */
	o->bundle.socket = cli_socket(&o->config);
	o->bundle.identity_path = o->config.mesh.identity_path ? o->config.mesh.identity_path : "";
	o->bundle.state_dir = o->config.mesh.state_dir ? o->config.mesh.state_dir : CONFIG_STATE_DIR;
	o->bundle.pin_dir = o->config.pin_dir;
	o->bundle.log_file = o->config.log_file;
	o->bundle.env = cli->env;
	o->bundle.config = o->file ? &o->config : NULL;
	o->bundle.run = run_command;
	o->bundle.ctx = o;
	if (bundle_make(&o->bundle, path, sizeof(path), why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "debug: %s", why);
	fprintf(cli->out, "Local file:\n%s\n", path);
	fflush(cli->out);
	return o->uploads ? upload(cli, o, path) : CLI_OK;
}

static int prepare(struct cli *cli, struct options *o)
{
	int code = read_settings(cli, o);

	if (!code && o->uploads)
		code = check_upload(cli, o);
	if (!o->anonymizes)
		o->bundle.level = ANON_NONE;
	return code;
}

/* --- debug for --- */

/* As Go writes durations: 90s, 5m, 1h30m. Returns seconds, 0 for what is none. */
static unsigned int parse_duration(const char *text)
{
	unsigned long total = 0;

	while (*text) {
		unsigned long number, unit;
		char *end;

		if (!isdigit((unsigned char)*text))
			return 0;
		number = strtoul(text, &end, 10);
		unit = *end == 'h' ? 3600 : *end == 'm' ? 60 : *end == 's' ? 1 : 0;
		if (!unit || end[1] == 's' || number > FOR_MOST_S)	/* 10ms: too short to be of use */
			return 0;
		total += number * unit;
		text = end + 1;
	}
	return total <= FOR_MOST_S ? total : 0;
}

static int read_level(struct cli *cli, const struct options *o, enum log_level *ret_level)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char why[CONFIG_WHY_LEN], *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = out ? control_ask_config(cli_socket(&o->config), out, why, sizeof(why)) : -ENOMEM;
	const char *name;
	json_t *json;

	if (out)
		fclose(out);
	json = ret ? NULL : json_loads(text, 0, NULL);
	free(text);
	if (ret)
		return refused(cli, ret, why);
	name = json_string_value(json_object_get(json_object_get(json, "talon"), "logLevel"));
	for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(name, names[i]))
			*ret_level = i;
	}
	json_decref(json);
	return CLI_OK;
}

/* False if a signal ended it. */
static bool wait_for(unsigned int seconds)
{
	uint64_t until = clock_mono_ns() + seconds * 1000000000ULL, now;

	while (!watch_is_stopped() && (now = clock_mono_ns()) < until) {
		uint64_t left = until - now < 200000000 ? until - now : 200000000;
		const struct timespec nap = { .tv_nsec = left };

		nanosleep(&nap, NULL);
	}
	return !watch_is_stopped();
}

static int run_for(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN];
	enum log_level level = LOG_LEVEL_INFO;
	int code = read_level(cli, o, &level), ret;
	bool was_ended;

	if (code)
		return code;
	watch_catch_signals();
	ret = control_ask_log_level(cli_socket(&o->config), LOG_LEVEL_DEBUG, why, sizeof(why));
	if (ret)
		return refused(cli, ret, why);
	fprintf(cli->out, "Log level set to debug.\n");
	fflush(cli->out);
	was_ended = !wait_for(o->wait_s);
	if (!was_ended) {
		fprintf(cli->out, "\nDuration completed\nCreating debug bundle...\n");
		code = make_bundle(cli, o);
	}
	ret = control_ask_log_level(cli_socket(&o->config), level, why, sizeof(why));
	if (ret)
		return refused(cli, ret, why);
	fprintf(cli->out, "Log level restored.\n");
	return was_ended ? cli_fail(cli, CLI_FAILED, "debug: interrupted; no bundle was made") : code;
}

static int bundle_for(struct cli *cli, struct options *o)
{
	const char *text = cli->at < cli->argc ? cli->argv[cli->at++] : "";
	int code;

	o->wait_s = parse_duration(text);
	if (!o->wait_s)
		return cli_fail(cli, CLI_USAGE,
			"debug for: '%.20s' is not a duration; expected such as 90s, 5m or 1h30m, at most "
			"24h", text);
	code = prepare(cli, o);
	return code ? code : run_for(cli, o);
}

static int bundle_now(struct cli *cli, struct options *o)
{
	int code = prepare(cli, o);

	return code ? code : make_bundle(cli, o);
}

static int debug(struct cli *cli, struct options *o)
{
	const char *verb = cli->at < cli->argc ? cli->argv[cli->at++] : "";

	if (!strcmp(verb, "bundle"))
		return bundle_now(cli, o);
	if (!strcmp(verb, "for"))
		return bundle_for(cli, o);
	if (!strcmp(verb, "config"))
		return show_config(cli, &o->config);
	if (!strcmp(verb, "log"))
		return log_level(cli, &o->config);
	if (!strcmp(verb, "persistence"))
		return cli_fail(cli, CLI_USAGE, "debug persistence: the last network map is always kept");
	if (!strcmp(verb, "capture"))
		return cli_fail(cli, CLI_USAGE,
			"debug capture: use talon capture --peer PEER, which writes pcapng");
	return cli_fail(cli, CLI_USAGE, "debug: '%.40s' is not understood; expected " VERBS, verb);
}

int cli_debug(struct cli *cli)
{
	struct options o = { .cli = cli, .bundle = { .level = ANON_DEFAULT, .system_info = true,
		.log_files = 1 } };
	int code;

	config_init(&o.config);
	config_use_mesh(&o.config);
	code = debug(cli, &o);
	config_free(&o.config);
	return code;
}
