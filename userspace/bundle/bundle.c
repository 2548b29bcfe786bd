// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The debug bundle: everything is collected as text first, because the names in one file are
// placeholders in all.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>
#include <zlib.h>

#include "base/slice.h"
#include "base/store.h"
#include "bundle/internal.h"
#include "bundle/zip.h"
#include "netmap/netmap.h"
#include "snapshot/control.h"
#include "status/status.h"

#define WHY_LEN		512
#define LOG_MOST	(16U << 20)	/* of each log, its end */
#define STATE_MOST	(4U << 20)
#define PATH_LEN	600

struct part {
	char name[64];
	char *text;
	size_t len;
};

struct bundle {
	const struct bundle_options *options;
	struct anon *anon;
	struct part parts[ZIP_FILES_MAX];
	size_t count;
	FILE *out;			/* of the last part, while it is written */
	int error;
	json_t *config;			/* what the daemon says of its settings; NULL: it did not answer */
};

FILE *bundle_open(struct bundle *bundle, const char *name)
{
	struct part *part = &bundle->parts[bundle->count];

	if (bundle->error)
		return NULL;
	/* One place is for what comes first in the archive. */
	if (bundle->count + 1 >= ZIP_FILES_MAX || strlen(name) >= sizeof(part->name)) {
		bundle->error = -EFBIG;
		return NULL;
	}
	strcpy(part->name, name);
	bundle->out = open_memstream(&part->text, &part->len);
	if (bundle->out)
		bundle->count++;
	else
		bundle->error = -ENOMEM;
	return bundle->out;
}

void bundle_close(struct bundle *bundle)
{
	if (fclose(bundle->out))
		bundle->error = -ENOMEM;
	bundle->out = NULL;
}

/* Reads at most the last @most bytes, of a compressed file too. The caller frees @ret_bytes. */
static bool read_end(const char *path, size_t most, char **ret_bytes, size_t *ret_len)
{
	gzFile file = gzopen(path, "rbe");
	char *bytes = file ? malloc(2 * most) : NULL;
	size_t len = 0;
	int n;

	while (bytes && (n = gzread(file, bytes + len, 2 * most - len)) > 0) {
		len += n;
		if (len == 2 * most) {	/* keeps the second half */
			memmove(bytes, bytes + most, most);
			len = most;
		}
	}
	if (file)
		gzclose(file);
	if (!bytes)
		return false;
	if (len > most) {
		memmove(bytes, bytes + len - most, most);
		len = most;
	}
	*ret_bytes = bytes;
	*ret_len = len;
	return true;
}

bool bundle_copy(struct bundle *bundle, const char *name, const char *path, size_t most)
{
	char *bytes;
	size_t len;
	FILE *out;

	if (!read_end(path, most, &bytes, &len))
		return false;
	out = bundle_open(bundle, name);
	if (out) {
		fwrite(bytes, 1, len, out);
		bundle_close(bundle);
	}
	free(bytes);
	return true;
}

/* --- what the daemon says --- */

static void add_text(struct bundle *bundle, const char *name, const char *text)
{
	FILE *out = bundle_open(bundle, name);

	if (!out)
		return;
	fputs(text, out);
	bundle_close(bundle);
}

static void add_config(struct bundle *bundle)
{
	char why[WHY_LEN], *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret;

	if (!out) {
		bundle->error = -ENOMEM;
		return;
	}
	ret = control_ask_config(bundle->options->socket, out, why, sizeof(why));
	fclose(out);
	if (ret) {
		free(text);
		text = NULL;
		if (asprintf(&text, "The daemon does not answer: %s\n", why) < 0)
			text = NULL;
	} else {
		bundle->config = json_loads(text, 0, NULL);
	}
	if (text)
		add_text(bundle, "config.txt", text);
	free(text);
}

/* A path that the daemon uses, or the one of our own options. */
static const char *config_text(const struct bundle *bundle, const char *group, const char *key,
	const char *other)
{
	const json_t *object = group ? json_object_get(bundle->config, group) : bundle->config;
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : other;
}

static void name_peers(struct bundle *bundle, const struct snapshot *snapshot)
{
	int ret = anon_name(bundle->anon, snapshot->fqdn ? snapshot->fqdn : "");

	for (size_t i = 0; i < snapshot->peer_count && !ret; i++)
		ret = anon_name(bundle->anon, snapshot->peers[i].fqdn);
	if (ret)
		bundle->error = ret;
}

static void add_resolved(struct bundle *bundle, const struct snapshot *snapshot)
{
	FILE *out = bundle_open(bundle, "resolved_domains.txt");

	if (!out)
		return;
	for (size_t i = 0; i < snapshot->route_count; i++) {
		const struct snapshot_network *route = &snapshot->routes[i];

		for (size_t j = 0; j + 1 < route->resolved_count; j += 2)
			fprintf(out, "%s: %s (network %s)\n", route->resolved[j], route->resolved[j + 1],
				route->id);
	}
	bundle_close(bundle);
}

static void add_snapshot(struct bundle *bundle)
{
	struct snapshot snapshot = {};
	char why[WHY_LEN];

	if (control_ask_snapshot(bundle->options->socket, &snapshot, why, sizeof(why)))
		return;
	name_peers(bundle, &snapshot);
	add_resolved(bundle, &snapshot);
	snapshot_done(&snapshot);
}

/* What can stand in a log as one word is replaced there; another name is hidden as a whole. */
static int name_as_written(struct bundle *bundle, const char *name)
{
	static const char label[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	int ret = 0;

	if (!name[strspn(name, label)])
		return anon_name(bundle->anon, name);
	if (bundle->options->level == ANON_STRICT)
		ret = anon_hide(bundle->anon, name);
	return ret == -EINVAL ? 0 : ret;
}

/* Names that a static file gives to its peers: they are in the maps alone. */
static void name_peers_of_datapath(struct bundle *bundle)
{
	struct status status;
	char why[WHY_LEN], name[sizeof(status.peers->info.name) + 1];

	if (!bundle->options->pin_dir || status_read(&status, bundle->options->pin_dir, why, sizeof(why)))
		return;
	for (size_t i = 0; i < status.peer_count; i++) {
		snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, status.peers[i].info.name);
		if (name_as_written(bundle, name))
			bundle->error = -ENOMEM;
	}
	status_free(&status);
}

/* --- what lies on disk --- */

/* Names of peers that are known to the map alone, such as those offline. */
static void name_peers_of_map(struct bundle *bundle, const json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;

	json_array_foreach(json, i, value)
		name_peers_of_map(bundle, value);
	json_object_foreach((json_t *)json, key, value) {
		if (!strcmp(key, "fqdn") && json_is_string(value)) {
			if (anon_name(bundle->anon, json_string_value(value)))
				bundle->error = -ENOMEM;
		} else {
			name_peers_of_map(bundle, value);
		}
	}
}

static void add_map(struct bundle *bundle, const char *state_dir)
{
	char path[PATH_LEN], *text = NULL;
	size_t len, text_len = 0;
	json_t *json = NULL;
	uint8_t *bytes;
	FILE *out;

	snprintf(path, sizeof(path), "%s/talon-map", state_dir);
	if (netmap_load_any(path, &bytes, &len))
		return;
	out = open_memstream(&text, &text_len);
	if (out && !netmap_show(bytes, len, out) && !fclose(out))
		json = json_loadb(text, text_len, 0, NULL);
	store_free(bytes, len);
	free(text);
	out = json ? bundle_open(bundle, "network_map.json") : NULL;
	if (out) {
		name_peers_of_map(bundle, json);
		json_dumpf(json, out, JSON_INDENT(2));
		bundle_close(bundle);
	}
	json_decref(json);
}

static void add_service(struct bundle *bundle, const char *state_dir)
{
	char path[PATH_LEN];
	json_t *json;
	FILE *out;

	snprintf(path, sizeof(path), "%s/service.json", state_dir);
	json = json_load_file(path, 0, NULL);
	out = json_is_object(json) ? bundle_open(bundle, "service_params.json") : NULL;
	if (out) {
		bundle_mask_service(json);
		json_dumpf(json, out, JSON_INDENT(2));
		bundle_close(bundle);
	}
	json_decref(json);
}

static void add_state(struct bundle *bundle)
{
	const char *state_dir = config_text(bundle, "talon", "stateDir", bundle->options->state_dir);
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/state.json", state_dir);
	bundle_copy(bundle, "state.json", path, STATE_MOST);
	add_map(bundle, state_dir);
	add_service(bundle, state_dir);
}

/* The first file among the places where the log goes. */
static bool find_log(const struct bundle *bundle, char path[static PATH_LEN])
{
	struct slice rest = slice_from(config_text(bundle, NULL, "logFile", bundle->options->log_file)), item;

	while (slice_next(&rest, ",", &item)) {
		if (item.at[0] == '/')
			return slice_copy(item, path, PATH_LEN);
	}
	return false;
}

/* The log, FILE.1 and so on, compressed or not. */
static void add_logs(struct bundle *bundle)
{
	char log[PATH_LEN], path[PATH_LEN + 16], name[32];

	if (!find_log(bundle, log) || !bundle_copy(bundle, "client.log", log, LOG_MOST)) {
		add_text(bundle, "client.log",
			"The log goes to standard error: see journal.txt under systemd, and\n"
			"kubectl logs in a cluster, whose output is not in this bundle.\n");
		return;
	}
	for (unsigned int i = 1; i < bundle->options->log_files; i++) {
		snprintf(name, sizeof(name), "client.log.%u", i);
		snprintf(path, sizeof(path), "%s.%u", log, i);
		if (bundle_copy(bundle, name, path, LOG_MOST))
			continue;
		snprintf(path, sizeof(path), "%s.%u.gz", log, i);
		if (!bundle_copy(bundle, name, path, LOG_MOST))
			break;
	}
}

/* --- what commands print --- */

static void add_commands(struct bundle *bundle)
{
	static const struct {
		const char *name;
		const char *argv[6];
	} commands[] = {
		{ "status.txt", { "status", "-d" } },
		{ "status.json", { "status", "--json" } },
		{ "preflight.json", { "preflight", "--json" } },
		{ "drops.txt", { "drops" } },
		{ "flows.txt", { "flows", "--sort", "idle", "--limit", "200" } },
		{ "top.txt", { "top", "--once" } },
		{ "metrics.txt", { "metrics" } },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		FILE *out = bundle_open(bundle, commands[i].name);

		if (!out)
			return;
		bundle->options->run(bundle->options->ctx, commands[i].argv, out);
		bundle_close(bundle);
	}
}

/* --- the archive --- */

static void write_readme(const struct bundle *bundle, FILE *out)
{
	fprintf(out, "Anonymization level: %s\nTalon %s, a peer of NetBird meshes; debug bundle of %lld "
		"(Unix time)\n\n", anon_level_name(bundle->options->level), TALON_VERSION,
		(long long)time(NULL));
	fputs("Private keys, setup keys, preshared keys, tokens and passwords are in no file at any level.\n"
		"At level default, these have placeholders, each original the same one in all files: public "
		"IPv4\naddresses (198.51.100.0 and up), public and unique local IPv6 addresses "
		"(2001:db8:ffff:: and up), MAC\naddresses (02:00:00:00:00:01 and up), domains but NetBird's "
		"(anon-N.domain). At level strict also\nprivate and link-local addresses (198.18.0.0 and "
		"2001:db8:1:: and up), names of peers (peer-N), other\nlabels (host-N), public keys (a "
		"number in base64).\n\nFiles:\n", out);
	for (size_t i = 0; i < bundle->count; i++)
		fprintf(out, "  %-22s %zu bytes\n", bundle->parts[i].name, bundle->parts[i].len);
	fputs("\nstatus.txt is `talon status -d` with the datapath's hazards, preflight.json `talon "
		"preflight --json`,\nflows.txt the 200 flows used last, top.txt the rates of one second, "
		"network_map.json the last map from\nmanagement, config.txt the settings in force. What is "
		"missing could not be read, or is not installed.\n", out);
}

static int add_part(struct bundle *bundle, struct zip *zip, const struct part *part)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = out ? anon_write(bundle->anon, part->text, part->len, out) : -ENOMEM;

	if (out && fclose(out) && !ret)
		ret = -ENOMEM;
	if (!ret)
		ret = zip_add(zip, part->name, text, len);
	free(text);
	return ret;
}

static int write_archive(struct bundle *bundle, int fd)
{
	struct zip zip = { .fd = fd, .now = time(NULL) };
	struct part readme = { .name = "README.txt" };
	FILE *out = open_memstream(&readme.text, &readme.len);
	int ret = out ? 0 : -ENOMEM;

	if (out) {
		write_readme(bundle, out);
		/* as it is: it names placeholders */
		ret = fclose(out) ? -ENOMEM : zip_add(&zip, readme.name, readme.text, readme.len);
	}
	free(readme.text);
	for (size_t i = 0; i < bundle->count && !ret; i++)
		ret = add_part(bundle, &zip, &bundle->parts[i]);
	return ret ? ret : zip_finish(&zip);
}

static int make_archive(struct bundle *bundle, char *ret_path, size_t path_size, char *why, size_t size)
{
	const char *directory = bundle->options->directory ? bundle->options->directory : getenv("TMPDIR");
	int fd, ret;

	if (!directory || !*directory)
		directory = "/tmp";
	if ((size_t)snprintf(ret_path, path_size, "%s/netbird.debug.XXXXXX.zip", directory) >= path_size) {
		snprintf(why, size, "%.100s...: the path is too long", directory);
		return -ENAMETOOLONG;
	}
	fd = mkostemps(ret_path, 4, O_CLOEXEC);		/* mode 0600 */
	if (fd < 0) {
		ret = -errno;
		snprintf(why, size, "%s: cannot create a file there: %s", directory, strerror(errno));
		return ret;
	}
	ret = write_archive(bundle, fd);
	if (close(fd) && !ret)
		ret = -errno;
	if (ret) {
		unlink(ret_path);
		snprintf(why, size, "%s: %s", ret_path, strerror(-ret));
	}
	return ret;
}

static int hide_secrets(struct bundle *bundle, char *why, size_t size)
{
	const char *path = config_text(bundle, NULL, "configFile", bundle->options->identity_path);
	int ret = bundle_hide_identity(bundle->anon, path);

	/* Without knowing the secrets, nobody can say that they are not in a log. */
	if (ret) {
		snprintf(why, size, "%s: cannot be read, so that it is not known what has to be hidden: %s",
			path, strerror(-ret));
		return ret;
	}
	ret = bundle_hide_env(bundle->anon, bundle->options->env);
	if (!ret && bundle->options->config)
		ret = bundle_hide_config(bundle->anon, bundle->options->config);
	if (ret)
		snprintf(why, size, "%s", strerror(-ret));
	return ret;
}

static int collect(struct bundle *bundle, char *why, size_t size)
{
	char host[256] = "";
	int ret;

	add_config(bundle);
	ret = hide_secrets(bundle, why, size);
	if (ret)
		return ret;
	if (!gethostname(host, sizeof(host) - 1) && anon_name(bundle->anon, host))
		bundle->error = -ENOMEM;
	add_snapshot(bundle);
	name_peers_of_datapath(bundle);
	add_state(bundle);
	add_commands(bundle);
	add_logs(bundle);
	if (bundle->options->system_info)
		bundle_add_host(bundle);
	if (bundle->error)
		snprintf(why, size, "%s", strerror(-bundle->error));
	return bundle->error;
}

static void done(struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->count; i++) {
		if (bundle->parts[i].text)
			sodium_memzero(bundle->parts[i].text, bundle->parts[i].len);
		free(bundle->parts[i].text);
	}
	anon_free(bundle->anon);
	json_decref(bundle->config);
	free(bundle);
}

int bundle_make(const struct bundle_options *options, char *ret_path, size_t path_size, char *why,
	size_t size)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	int ret = bundle ? anon_new(options->level, &bundle->anon) : -ENOMEM;

	if (ret) {
		snprintf(why, size, "%s", strerror(-ret));
		free(bundle);
		return ret;
	}
	bundle->options = options;
	ret = collect(bundle, why, size);
	if (!ret)
		ret = make_archive(bundle, ret_path, path_size, why, size);
	done(bundle);
	return ret;
}
