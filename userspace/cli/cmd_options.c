// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon options: writes the parts of the manual page and the completion that list the options. For
// `make docs` only, so help does not mention it.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "config/option_rows.h"

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
	fprintf(out, "\n\t\t--log-format\"\n\tlocal mesh=\"" CONFIG_ALIAS_ROWS(ALIAS_WORD));
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

int cli_options(struct cli *cli)
{
	static const struct {
		const char *name;
		void (*write)(FILE *out);
	} parts[] = { { "interface", write_interface }, { "mesh", write_mesh },
		{ "completion", write_completion } };
	const char *name = cli->at < cli->argc ? cli->argv[cli->at++] : "";

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(name, parts[i].name))
			continue;
		parts[i].write(cli->out);
		return CLI_OK;
	}
	return cli_fail(cli, CLI_USAGE, "options: expected interface, mesh or completion");
}
