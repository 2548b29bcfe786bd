// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon options: writes the parts of the manual page and the completion that list the options, and the
// metrics of docs/metrics.md. For `make docs` only, so help does not mention it.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "config/option_rows.h"
#include "metrics/metric_rows.h"

#define ALIAS_WORD(flag, id) " --" flag
#define ALIAS_VALUES(flag, id) write_values(out, flag, NULL);

/* mdoc(7): the options of [Interface], with variable and key. */
static void write_interface(FILE *out)
{
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		if (o->key && o->flag)
			fprintf(out, ".It Fl -%s Ta Ev %s%s%s Ta Cm %s\n", o->flag, o->env,
				o->netbird_env ? " , " : "", o->netbird_env ? o->netbird_env : "", o->key);
	}
}

/* mdoc(7): the options of a mesh. */
static void write_mesh(FILE *out)
{
	for (const struct config_mesh_option *o = config_mesh_options(); o->flag; o++) {
		if (!o->help)
			continue;
		fprintf(out, ".It Fl -%s", o->flag);
		if (o->argument)
			fprintf(out, " Ar %s", o->argument);
		if (o->letter)
			fprintf(out, " Pq Fl %c", o->letter);
		fprintf(out, "\n%c%s.\n", toupper((unsigned char)o->help[0]), o->help + 1);
	}
}

static void write_flags(FILE *out)
{
	fprintf(out, "\tlocal up=\"--static --dry-run");
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		if (o->flag && o->key)
			fprintf(out, "\n\t\t--%s", o->flag);
	}
	fprintf(out, "\n\t\t--log-format --log-file --log-max-size\"\n\tlocal mesh=\""
		CONFIG_ALIAS_ROWS(ALIAS_WORD) CONFIG_SWITCH_ALIAS_ROWS(ALIAS_WORD));
	for (const struct config_mesh_option *o = config_mesh_options(); o->flag; o++) {
		if (o->help)
			fprintf(out, "\n\t\t--%s", o->flag);
	}
	fprintf(out, "\"\n");
}

static void write_values(FILE *out, const char *flag, const char *values)
{
	fprintf(out, "\t--%s)\n", flag);
	if (!values)
		fprintf(out, "\t\treturn ;;\n");
	else if (!strcmp(values, "<file>"))
		fprintf(out, "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\t\treturn ;;\n");
	else if (!strcmp(values, "<directory>"))
		fprintf(out, "\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n\t\treturn ;;\n");
	else if (!strcmp(values, "<device>"))
		fprintf(out, "\t\tmapfile -t COMPREPLY < <(compgen -W \"$(ls /sys/class/net 2>/dev/null)\" "
			"-- \"$cur\")\n\t\treturn ;;\n");
	else
		fprintf(out, "\t\tmapfile -t COMPREPLY < <(compgen -W \"%s\" -- \"$cur\")\n\t\treturn ;;\n",
			values);
}

static void write_completion(FILE *out)
{
	write_flags(out);
	fprintf(out, "\n\tcase $prev in\n");
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		if (o->flag)
			write_values(out, o->flag, o->values);
	}
	for (const struct config_mesh_option *o = config_mesh_options(); o->flag; o++) {
		if (o->help && o->argument)
			write_values(out, o->flag, o->values);
	}
	CONFIG_ALIAS_ROWS(ALIAS_VALUES)
	fprintf(out, "\tesac\n");
}

struct metric_row { const char *name, *type, *unit, *labels, *series, *help; };

#define METRIC(id, name, type, unit, labels, series, help) { #name, #type, unit, labels, series, help },
static const struct metric_row state_rows[] = { METRICS_STATE(METRIC) };
static const struct metric_row packet_rows[] = { METRICS_PACKETS(METRIC) };
static const struct metric_row peer_rows[] = { METRICS_PEERS(METRIC) };
static const struct metric_row nat_rows[] = { METRICS_NAT(METRIC) };
static const struct metric_row map_rows[] = { METRICS_MAPS(METRIC) };
static const struct metric_row keystream_rows[] = { METRICS_KEYSTREAM(METRIC) };
static const struct metric_row mesh_rows[] = { METRICS_MESH(METRIC) };

static const struct { const char *title; const struct metric_row *rows; size_t count; } metric_parts[] = {
#define PART(title, rows) { title, rows, sizeof(rows) / sizeof((rows)[0]) }
	PART("What runs", state_rows), PART("Packets", packet_rows),
	PART("Handshakes, sessions, peers", peer_rows), PART("NAT", nat_rows),
	PART("Maps and queues", map_rows),
	PART("Keystream made ahead", keystream_rows), PART("The mesh", mesh_rows),
};

/* Markdown: one family. */
static void write_metric(FILE *out, const struct metric_row *row)
{
	const char *suffix = !strcmp(row->type, "COUNTER") ? "_total" : !strcmp(row->type, "INFO")
		? "_info" : "";

	fprintf(out, "| `talon_%s%s` | ", row->name, suffix);
	for (const char *at = row->type; *at; at++)
		fputc(tolower((unsigned char)*at), out);
	fprintf(out, " |");
	for (const char *at = row->labels; *at; at += strspn(at, ",")) {
		int len = strcspn(at, ",");

		fprintf(out, " `%.*s`", len, at);
		at += len;
	}
	fprintf(out, " | %s | %s | %s |\n", row->unit, row->series, row->help);
}

static void write_metrics(FILE *out)
{
	unsigned long fixed = 0, by_peer = 0;

	for (size_t i = 0; i < sizeof(metric_parts) / sizeof(metric_parts[0]); i++) {
		fprintf(out, "\n### %s\n\n| Name | Type | Labels | Unit | Series | Meaning |\n"
			"|---|---|---|---|---|---|\n", metric_parts[i].title);
		for (size_t at = 0; at < metric_parts[i].count; at++) {
			const struct metric_row *row = &metric_parts[i].rows[at];
			const char *most = row->series + strcspn(row->series, "0123456789");

			write_metric(out, row);
			*(strstr(most, "for each peer") ? &by_peer : &fixed) += strtoul(most, NULL, 10);
		}
	}
	fprintf(out, "\nAll together: at most %lu series, and %lu more for each peer that has series of its "
		"own.\n", fixed, by_peer);
}

int cli_options(struct cli *cli)
{
	static const struct {
		const char *name;
		void (*write)(FILE *out);
	} parts[] = { { "interface", write_interface }, { "mesh", write_mesh },
		{ "completion", write_completion },
		{ "metrics", write_metrics } };
	const char *name = cli->at < cli->argc ? cli->argv[cli->at++] : "";

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(name, parts[i].name))
			continue;
		parts[i].write(cli->out);
		return CLI_OK;
	}
	return cli_fail(cli, CLI_USAGE, "options: expected interface, mesh, completion or metrics");
}
