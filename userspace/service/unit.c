// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The unit's text: the packages' own, line by line, with what an install was told.
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "netbird/json_file.h"
#include "service/service.h"

/* manifests/systemd/talon.service as it is: one text for packages and for `talon service install`. */
__asm__(".pushsection .rodata\n"
	".globl service_template\n"
	"service_template:\n"
	".incbin \"manifests/systemd/talon.service\"\n"
	".byte 0\n"
	".popsection\n");
extern const char service_template[];

#define PROGRAM "/usr/bin/talon"

/* Where NetBird's client listens by default: saved by it, and no wish. */
#define NETBIRD_SOCKET "unix:///var/run/netbird.sock"

static bool is_line(const char *line, size_t len, const char *begin)
{
	return len >= strlen(begin) && !strncmp(line, begin, strlen(begin));
}

/* One word of a command line: systemd.service(5). */
static void write_word(FILE *out, const char *word)
{
	fputs(" \"", out);
	for (; *word; word++) {
		if (*word == '"' || *word == '\\')
			fputc('\\', out);
		if (*word == '$' || *word == '%')
			fputc(*word, out);
		fputc(*word, out);
	}
	fputc('"', out);
}

static const char *daemon_address(const struct service_unit *unit)
{
	const char *address = json_file_text(unit->saved, "daemon_addr");

	return address && strcmp(address, NETBIRD_SOCKET) && strcmp(address, "unix://" CONFIG_CONTROL_SOCKET)
		? address : NULL;
}

static void write_flag(FILE *out, const char *flag, const char *value)
{
	fprintf(out, " --%s", flag);
	if (value)
		write_word(out, value);
}

static void write_param(FILE *out, const struct service_unit *unit, const struct service_param *p)
{
	const json_t *value = json_object_get(unit->saved, p->key);
	const char *text = json_string_value(value);
	size_t i;
	json_t *item;

	if (p->kind == SERVICE_SWITCH && json_is_true(value))
		write_flag(out, p->flag, NULL);
	else if (!strcmp(p->flag, "daemon-addr"))
		text = daemon_address(unit);
	if (p->kind == SERVICE_TEXT && text && *text)
		write_flag(out, p->flag, text);
	if (p->kind != SERVICE_LIST)
		return;
	json_array_foreach(value, i, item) {
		if (json_is_string(item))
			write_flag(out, p->flag, json_string_value(item));
	}
}

static void write_start(FILE *out, const struct service_unit *unit)
{
	fprintf(out, "ExecStart=%s service run", unit->program);
	for (const struct service_param *p = service_params; p->flag; p++) {
		if (unit->knows(p->flag))
			write_param(out, unit, p);
	}
	fputs(" $TALON_OPTIONS\n", out);
}

static void write_reload(FILE *out, const struct service_unit *unit)
{
	const char *address = daemon_address(unit);

	fprintf(out, "ExecReload=%s reload --environment", unit->program);
	if (address)
		write_flag(out, "daemon-addr", address);
	fputc('\n', out);
}

/* A path as a setting takes it; no option but a wish, so it may be missing. */
static void write_path(FILE *out, const char *path, size_t len)
{
	fputs("ReadWritePaths=-", out);
	for (size_t i = 0; i < len; i++) {
		if (path[i] == '%')
			fputc('%', out);
		if (path[i] == ' ' || path[i] == '\\' || path[i] == '"')
			fputc('\\', out);
		fputc(path[i], out);
	}
	fputc('\n', out);
}

static void write_paths(FILE *out, const struct service_unit *unit)
{
	size_t i;
	json_t *item;

	if (strcmp(unit->state_dir, CONFIG_STATE_DIR))
		write_path(out, unit->state_dir, strlen(unit->state_dir));
	json_array_foreach(json_object_get(unit->saved, "log_files"), i, item) {
		const char *path = json_string_value(item), *slash = path ? strrchr(path, '/') : NULL;

		if (path && path[0] == '/' && slash > path && strncmp(path, "/var/log/", 9))
			write_path(out, path, slash - path);
	}
}

void service_write_unit(FILE *out, const struct service_unit *unit)
{
	fputs(SERVICE_MARK, out);
	for (const char *line = service_template; *line; ) {
		size_t len = strcspn(line, "\n") + 1;

		if (is_line(line, len, "ExecStart="))
			write_start(out, unit);
		else if (is_line(line, len, "ExecReload="))
			write_reload(out, unit);
		else if (!is_line(line, len, "Conflicts=netbird.service") || strcmp(unit->name, "netbird"))
			fwrite(line, 1, len, out);
		if (is_line(line, len, "EnvironmentFile=") && json_object_size(json_object_get(unit->saved,
			"service_env_vars")))
			fprintf(out, "EnvironmentFile=-%s/service.env\n", unit->state_dir);
		if (is_line(line, len, "ReadWritePaths="))
			write_paths(out, unit);
		line += len;
	}
}

void service_write_env(FILE *out, const json_t *saved)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(saved, "service_env_vars"), name, value) {
		fprintf(out, "%s=\"", name);
		for (const char *c = json_string_value(value) ?: ""; *c; c++) {
			if (strchr("\"\\$`", *c))
				fputc('\\', out);
			fputc(*c, out);
		}
		fputs("\"\n", out);
	}
}

bool service_is_ours(const char *path)
{
	char line[sizeof(SERVICE_MARK)] = "";
	FILE *f = fopen(path, "re");
	bool is_ours = f && fgets(line, sizeof(line), f) && !strcmp(line, SERVICE_MARK);

	if (f)
		fclose(f);
	return is_ours;
}

bool service_is_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("_-.", name[i]))
			return false;
	}
	return len && len <= SERVICE_NAME_MAX && name[0] != '.' && name[0] != '-';
}

bool service_has_systemd(void)
{
	return !access("/run/systemd/system", F_OK);	/* sd_booted(3) */
}
