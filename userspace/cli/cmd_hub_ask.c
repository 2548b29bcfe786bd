// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon hub peers, keys, policies, routes, status: what a running hub is asked over the socket in its data
// directory.
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/setup_key.h"
#include "base/text.h"
#include "cli/cli.h"
#include "hub/hub.h"
#include "hubfile/hubfile.h"
#include "snapshot/control.h"

#define CELL_LEN	256
#define COLUMNS_MAX	9

/* Values as cells of a table. */
typedef void cell_fn(const json_t *row, const char *key, char *text, size_t size);

struct column {
	const char *head, *key;
	cell_fn *write;
};

struct ask {
	struct cli *cli;
	struct hub_options options;	/* of the hub that is asked */
	bool is_json;
	/* of keys add */
	const char *uses, *expires;
	bool is_reusable, is_ephemeral;
	json_t *groups;
	const char *names[2];
	size_t name_count;
};

static void cell_text(const json_t *row, const char *key, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(row, key));

	snprintf(text, size, "%s", value && value[0] ? value : "-");
}

static void cell_list(const json_t *row, const char *key, char *text, size_t size)
{
	const json_t *list = json_object_get(row, key), *item;
	size_t i;

	snprintf(text, size, "%s", json_array_size(list) ? "" : "-");
	json_array_foreach(list, i, item)
		text_append(text, size, "%s%s", i ? ", " : "", json_string_value(item) ?: "");
}

static void cell_number(const json_t *row, const char *key, char *text, size_t size)
{
	snprintf(text, size, "%lld", (long long)json_integer_value(json_object_get(row, key)));
}

static void cell_yes(const json_t *row, const char *key, char *text, size_t size)
{
	snprintf(text, size, "%s", json_is_true(json_object_get(row, key)) ? "yes" : "no");
}

static void cell_time(const json_t *row, const char *key, char *text, size_t size)
{
	time_t at = json_integer_value(json_object_get(row, key));
	struct tm tm;

	if (!at || !gmtime_r(&at, &tm) || !strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, size, "-");
}

/* How often it was used, and of how many times. */
static void cell_uses(const json_t *row, const char *key, char *text, size_t size)
{
	long long most = json_integer_value(json_object_get(row, "usesMax"));

	cell_number(row, key, text, size);
	if (most)
		text_append(text, size, " of %lld", most);
}

static void cell_network(const json_t *row, const char *key, char *text, size_t size)
{
	cell_text(row, key, text, size);
	if (!strcmp(text, "-"))
		cell_list(row, "domains", text, size);
}

static void cell_routers(const json_t *row, const char *key, char *text, size_t size)
{
	const json_t *groups = json_object_get(row, "routerGroups"), *item;
	size_t i;

	cell_list(row, key, text, size);
	if (json_array_size(groups) && !strcmp(text, "-"))
		text[0] = '\0';
	json_array_foreach(groups, i, item)
		text_append(text, size, "%sgroup %s", text[0] ? ", " : "", json_string_value(item) ?: "");
}

static void cell_protocol(const json_t *row, const char *key, char *text, size_t size)
{
	const json_t *ports = json_object_get(row, "ports"), *item;
	size_t i;

	cell_text(row, key, text, size);
	json_array_foreach(ports, i, item)
		text_append(text, size, "%s%s", i ? ", " : " ", json_string_value(item) ?: "");
}

static void print_row(FILE *out, const struct column *columns, const json_t *row, const size_t *widths)
{
	char text[CELL_LEN];

	for (size_t i = 0; columns[i].head; i++) {
		if (row)
			columns[i].write(row, columns[i].key, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%s", columns[i].head);
		text_print(out, text, sizeof(text));
		if (columns[i + 1].head)
			fprintf(out, "%*s", (int)(widths[i] - strlen(text) + 2), "");
	}
	fputc('\n', out);
}

static void print_table(FILE *out, const struct column *columns, const json_t *rows)
{
	size_t widths[COLUMNS_MAX], i;
	char text[CELL_LEN];
	const json_t *row;

	for (size_t k = 0; columns[k].head; k++)
		widths[k] = strlen(columns[k].head);
	json_array_foreach(rows, i, row) {
		for (size_t k = 0; columns[k].head; k++) {
			columns[k].write(row, columns[k].key, text, sizeof(text));
			if (strlen(text) > widths[k])
				widths[k] = strlen(text);
		}
	}
	print_row(out, columns, NULL, widths);
	json_array_foreach(rows, i, row)
		print_row(out, columns, row, widths);
}

/* One line for each value of an object. */
static void print_object(FILE *out, const struct column *lines, const json_t *object)
{
	char text[CELL_LEN];

	for (; lines->head; lines++) {
		lines->write(object, lines->key, text, sizeof(text));
		fprintf(out, "%-14s", lines->head);
		text_print(out, text, sizeof(text));
		fputc('\n', out);
	}
}

/* ---- asking ---- */

/*
 * Its data directory, as the hub itself finds it: by flag or variable, else in its file, whose other faults
 * are its own affair. NULL after saying what is wrong; else to be freed.
 */
static char *find_data_dir(const struct ask *a, const char *what)
{
	const struct hub_options *o = &a->options;
	struct hubfile_fault fault;
	char line[16] = "", *dir = NULL;

	if (o->data_dir && *o->data_dir)
		return strdup(o->data_dir);
	if (o->file && *o->file && hubfile_read_data(o->file, &dir, &fault)) {
		if (fault.line)
			snprintf(line, sizeof(line), ":%u", fault.line);
		cli_fail(a->cli, CLI_FAILED, "hub %s: %s%s: %s", what, o->file, line, fault.text);
		return NULL;
	}
	return dir ?: strdup(HUB_DATA_DIR);
}

/* @request is taken. Returns the result, or NULL after saying what is wrong. */
static json_t *ask_hub(const struct ask *a, const char *what, json_t *request)
{
	char path[512], why[256] = "", *dir = find_data_dir(a, what);
	json_t *result = NULL;
	int ret;

	if (!dir) {
		json_decref(request);
		return NULL;
	}
	snprintf(path, sizeof(path), "%s/" HUB_SOCKET, dir);
	ret = request ? control_ask_hub(path, request, &result, why, sizeof(why)) : -ENOMEM;
	json_decref(request);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		cli_fail(a->cli, CLI_FAILED, "hub %s: no hub runs with the data directory %s; --data-dir "
			"DIR, or --file FILE which names it, is for another one", what, dir);
	else if (ret || !result)
		cli_fail(a->cli, CLI_FAILED, "hub %s: %s", what,
			why[0] ? why : strerror(ret ? -ret : EBADMSG));
	free(dir);
	return ret ? NULL : result;
}

static int print_json(FILE *out, const json_t *value)
{
	json_dumpf(value, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', out);
	return CLI_OK;
}

static int list(const struct ask *a, const char *what)
{
	static const struct column peers[] = {
		{ "NAME", "name", cell_text }, { "ADDRESS", "address", cell_text }, { "STATE", "state",
			cell_text },
		{ "GROUPS", "groups", cell_list }, { "VERSION", "version", cell_text },
		{ "RELAYED", "relayed", cell_yes }, { "SEEN", "seen", cell_time },
		{ "PUBLIC KEY", "publicKey", cell_text }, {},
	}, keys[] = {
		{ "NAME", "name", cell_text }, { "STATE", "state", cell_text }, { "USED", "uses", cell_uses },
		{ "EXPIRES", "expires", cell_time }, { "EPHEMERAL", "ephemeral", cell_yes },
		{ "GROUPS", "groups", cell_list }, { "FROM", "from", cell_text }, {},
	}, policies[] = {
		{ "NAME", "name", cell_text }, { "ACTION", "action", cell_text }, { "FROM", "from",
			cell_list },
		{ "TO", "to", cell_list }, { "BOTH WAYS", "bothWays", cell_yes },
		{ "PROTOCOL", "protocol", cell_protocol }, {},
	}, routes[] = {
		{ "NAME", "name", cell_text }, { "OF", "of", cell_text }, { "NETWORK", "network",
			cell_network },
		{ "ROUTERS", "routers", cell_routers }, { "METRIC", "metric", cell_number },
		{ "MASQUERADE", "masquerade", cell_yes }, { "GROUPS", "groups", cell_list }, {},
	}, status[] = {
		{ "version", "version", cell_text }, { "public URL", "publicUrl", cell_text },
		{ "listens at", "listen", cell_text }, { "TLS", "tls", cell_yes }, { "STUN", "stun",
			cell_text },
		{ "file", "file", cell_text }, { "domain", "domain", cell_text }, { "network", "network",
			cell_text },
		{ "IPv6", "network6", cell_text }, { "sign-in", "issuer", cell_text },
		{ "up, seconds", "upSeconds", cell_number }, { "peers", "peers", cell_number },
		{ "connected", "connected", cell_number }, { "relay, peers", "relayPeers", cell_number },
		{ "relay, bytes", "relayBytes", cell_number }, {},
	};
	const struct column *columns = !strcmp(what, "peers") ? peers : !strcmp(what, "keys") ? keys
		: !strcmp(what, "policies") ? policies : !strcmp(what, "routes") ? routes : status;
	json_t *result = ask_hub(a, what, json_pack("{s:s}", "request", what));

	if (!result)
		return CLI_FAILED;
	if (a->is_json)
		print_json(a->cli->out, result);
	else if (columns == status)
		print_object(a->cli->out, status, result);
	else
		print_table(a->cli->out, columns, result);
	json_decref(result);
	return CLI_OK;
}

static int remove_peer(const struct ask *a)
{
	json_t *result = ask_hub(a, "peers remove",
		json_pack("{s:s,s:s}", "request", "remove-peer", "peer", a->names[0]));

	if (!result)
		return CLI_FAILED;
	fprintf(a->cli->out, "%s is no peer any more\n", json_string_value(result) ?: "");
	json_decref(result);
	return CLI_OK;
}

static int rename_peer(const struct ask *a)
{
	json_t *result = ask_hub(a, "peers rename", json_pack("{s:s,s:s,s:s}", "request", "rename-peer",
		"peer",
		a->names[0], "name", a->names[1]));

	if (!result)
		return CLI_FAILED;
	fprintf(a->cli->out, "%s is %s from now on\n", a->names[0], json_string_value(result) ?: "");
	json_decref(result);
	return CLI_OK;
}

static int revoke_key(const struct ask *a)
{
	json_t *result = ask_hub(a, "keys revoke", json_pack("{s:s,s:s}", "request", "revoke-key", "name",
		a->names[0]));

	if (!result)
		return CLI_FAILED;
	fprintf(a->cli->out, "nobody joins with %s any more\n", a->names[0]);
	json_decref(result);
	return CLI_OK;
}

/* Unix seconds of a time from now, or of a date in the file's form; false: neither. */
static bool read_expiry(const char *text, uint64_t *ret_s)
{
	static const char units[] = "smhd";
	static const uint64_t seconds[] = { 1, 60, 3600, 24 * 3600 };
	struct tm tm = {};
	const char *unit, *rest;
	unsigned long count;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	count = strtoul(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit && !end[1]) {
		if (errno || !count || count > 3660 * 24 * 3600UL / seconds[unit - units])
			return false;
		*ret_s = clock_unix_ns() / TALON_NSEC_PER_SEC + count * seconds[unit - units];
		return true;
	}
	rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	*ret_s = timegm(&tm);
	return rest && !*rest && *ret_s > clock_unix_ns() / TALON_NSEC_PER_SEC;
}

static bool read_uses(const struct ask *a, unsigned long *ret_uses)
{
	char *end = "";

	*ret_uses = a->is_reusable ? 0 : 1;
	if (!a->uses)
		return true;
	if (a->is_reusable || !isdigit((unsigned char)a->uses[0]))
		return false;
	*ret_uses = strtoul(a->uses, &end, 10);
	return !*end && *ret_uses && *ret_uses <= 1000000;
}

static json_t *new_key_request(const struct ask *a, unsigned long uses, uint64_t expires, const char *hash)
{
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:b,s:O}", "request", "add-key", "name", a->names[0], "hash",
		hash,
		"uses", (json_int_t)uses, "expires", (json_int_t)expires, "ephemeral", a->is_ephemeral,
		"groups", a->groups);
}

/* The key is made here, and the hub gets its hash alone. */
static int add_key(const struct ask *a)
{
	char key[SETUP_KEY_LEN + 1], hex[2 * HUBFILE_HASH_LEN + 1];
	uint8_t hash[HUBFILE_HASH_LEN];
	uint64_t expires = 0;
	unsigned long uses;
	json_t *result;

	if (!read_uses(a, &uses))
		return cli_fail(a->cli, CLI_USAGE,
			"hub keys add: --uses: expected a number from 1 to 1000000, or "
			"--reusable instead");
	if (a->expires && !read_expiry(a->expires, &expires))
		return cli_fail(a->cli, CLI_USAGE,
			"hub keys add: --expires: expected a time from now such as 12h or 7d, "
			"or one to come as in 2027-01-31T18:00:00Z");
	setup_key_make(key);
	hubfile_key_hash(key, hash);
	sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
	result = ask_hub(a, "keys add", new_key_request(a, uses, expires, hex));
	if (result && a->is_json)
		fprintf(a->cli->out, "{\"key\": \"%s\"}\n", key);
	else if (result)
		fprintf(a->cli->out, "%s\n", key);
	sodium_memzero(key, sizeof(key));
	json_decref(result);
	return result ? CLI_OK : CLI_FAILED;
}

/* ---- arguments ---- */

static const struct verb {
	const char *what, *verb;	/* NULL: none, it lists */
	size_t names;
	const char *expected;
	int (*run)(const struct ask *a);
} verbs[] = {
	{ "peers", "remove", 1, "the name or public key of a peer", remove_peer },
	{ "peers", "rename", 2, "the name or public key of a peer, and its new name", rename_peer },
	{ "keys", "add", 1, "a name for the setup key", add_key },
	{ "keys", "revoke", 1, "the name of a setup key", revoke_key },
	{ "peers", NULL, 0, "remove, rename, or no more arguments", NULL },
	{ "keys", NULL, 0, "add, revoke, or no more arguments", NULL },
	{ "policies", NULL, 0, "no more arguments", NULL },
	{ "routes", NULL, 0, "no more arguments", NULL },
	{ "status", NULL, 0, "no more arguments", NULL },
};

static const struct verb *find_verb(struct cli *cli)
{
	const char *what = cli->argv[cli->at++], *next = cli->at < cli->argc ? cli->argv[cli->at] : "";

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].what, what) || (verbs[i].verb && strcmp(verbs[i].verb, next)))
			continue;
		cli->at += verbs[i].verb != NULL;
		return &verbs[i];
	}
	return NULL;
}

/* 0: taken; -ENOENT: no flag of ours; -EINVAL: said what is wrong. */
static int read_flag(struct ask *a, const struct verb *verb, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **to;
		bool *is_given;
		bool is_of_keys;
	} flags[] = {
		{ "json", NULL, &a->is_json, false },
		{ "uses", &a->uses, NULL, true }, { "expires", &a->expires, NULL, true },
		{ "reusable", NULL, &a->is_reusable, true }, { "ephemeral", NULL, &a->is_ephemeral, true },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(flags[i].name, name) || (flags[i].is_of_keys && verb->run != add_key))
			continue;
		if (flags[i].is_given && value)
			return -ENOENT;
		if (flags[i].is_given)
			*flags[i].is_given = true;
		else
			*flags[i].to = cli_value(a->cli, name, value);
		return flags[i].is_given || *flags[i].to ? 0 : -EINVAL;
	}
	if (strcmp(name, "group") || verb->run != add_key)
		return cli_hub_flag(a->cli, &a->options, name, value);
	value = cli_value(a->cli, name, value);
	return value && !json_array_append_new(a->groups, json_string(value)) ? 0 : -EINVAL;
}

static int read_arguments(struct ask *a, const struct verb *verb)
{
	const char *name, *value;
	int ret;

	while (cli_next(a->cli, &name, &value)) {
		if (!name && a->name_count < verb->names) {
			a->names[a->name_count++] = value;
			continue;
		}
		if (!name)
			return cli_fail(a->cli, CLI_USAGE, "hub %s: '%.40s' is not understood; expected %s",
				verb->what,
				value, verb->expected);
		ret = read_flag(a, verb, name, value);
		if (ret)
			return ret == -EINVAL ? CLI_USAGE : cli_unknown(a->cli, "hub", name, value);
	}
	if (a->name_count < verb->names)
		return cli_fail(a->cli, CLI_USAGE, "hub %s %s: expected %s", verb->what, verb->verb,
			verb->expected);
	return CLI_OK;
}

int cli_hub_ask(struct cli *cli)
{
	const char *what = cli->argv[cli->at];
	const struct verb *verb = find_verb(cli);
	struct ask a = { .cli = cli };
	int code;

	if (!verb)
		return cli_fail(cli, CLI_USAGE,
			"hub: '%.40s' is not understood; expected status, peers, keys, policies, "
			"routes, or options", what);
	cli_hub_environment(&a.options);
	a.groups = json_array();
	code = read_arguments(&a, verb);
	if (!code)
		code = verb->run ? verb->run(&a) : list(&a, verb->what);
	json_decref(a.groups);
	return code;
}
