// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Findings, and how they are shown.
#include <stdarg.h>
#include <string.h>

#include "base/json_out.h"
#include "base/text.h"
#include "preflight/internal.h"

/* Behind the others of its check: they come from several places. */
static struct preflight_finding *make_room(struct preflight_report *report, enum preflight_check check)
{
	static struct preflight_finding beyond;
	struct preflight_finding *list = report->list;
	size_t at = report->count;

	if (report->count == PREFLIGHT_FINDINGS_MAX)
		return &beyond;
	while (at && list[at - 1].check > check)
		at--;
	memmove(&list[at + 1], &list[at], (report->count - at) * sizeof(*list));
	report->count++;
	return &list[at];
}

struct preflight_finding *find(struct preflight_report *report, enum preflight_check check,
	enum preflight_level level, const char *fmt, ...)
{
	struct preflight_finding *finding = make_room(report, check);
	va_list args;

	*finding = (struct preflight_finding){ .check = check, .level = level };
	va_start(args, fmt);
	vsnprintf(finding->what, sizeof(finding->what), fmt, args);
	va_end(args);
	report->levels[level]++;
	return finding;
}

void find_why(struct preflight_finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(finding->why, sizeof(finding->why), fmt, args);
	va_end(args);
}

void find_act(struct preflight_finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(finding->act, sizeof(finding->act), fmt, args);
	va_end(args);
}

struct preflight_finding *find_line(struct preflight_report *report, enum preflight_check check,
	enum preflight_level level, const char *line)
{
	const char *act = strstr(line, "; ");
	int len = act ? (int)(act - line) : (int)strlen(line);
	struct preflight_finding *finding = find(report, check, level, "%.*s", len, line);

	if (act)
		find_act(finding, "%s", act + 2);
	return finding;
}

bool find_any(const struct preflight_report *report, enum preflight_check check)
{
	for (size_t i = 0; i < report->count; i++) {
		if (report->list[i].check == check)
			return true;
	}
	return false;
}

void find_unseen(struct preflight_report *report)
{
	for (enum preflight_check check = 0; check < PREFLIGHT_COUNT; check++) {
		if (!find_any(report, check))
			find(report, check, PREFLIGHT_NOTE, "not looked at: there is no uplink");
	}
}

#define CHECK_NAME(id, name, why) [PREFLIGHT_##id] = name,
#define CHECK_WHY(id, name, why) [PREFLIGHT_##id] = why,

const char *preflight_check_name(enum preflight_check check)
{
	static const char *const names[] = { PREFLIGHT_CHECKS(CHECK_NAME) };

	return names[check];
}

const char *preflight_check_why(enum preflight_check check)
{
	static const char *const whys[] = { PREFLIGHT_CHECKS(CHECK_WHY) };

	return whys[check];
}

const char *preflight_level_name(enum preflight_level level)
{
	static const char *const names[] = { "ok", "note", "warning", "problem" };

	return names[level];
}

static const char *why_of(const struct preflight_finding *finding)
{
	return finding->why[0] ? finding->why : preflight_check_why(finding->check);
}

static void print_part(FILE *out, const char *before, const char *text)
{
	fputs(before, out);
	text_print(out, text, strlen(text));
}

static void print_count(FILE *out, const char *separator, unsigned count, enum preflight_level level)
{
	fprintf(out, "%s%u %s%s", separator, count, preflight_level_name(level),
		count == 1 || level == PREFLIGHT_OK ? "" : "s");
}

void preflight_print_text(const struct preflight_report *report, FILE *out)
{
	const unsigned *levels = report->levels;

	for (size_t i = 0; i < report->count; i++) {
		const struct preflight_finding *finding = &report->list[i];

		fprintf(out, "%-8s %s: ", preflight_level_name(finding->level),
			preflight_check_name(finding->check));
		print_part(out, "", finding->what);
		/* What is in order needs no reason, unless it has one of its own. */
		if (finding->level != PREFLIGHT_OK || finding->why[0])
			print_part(out, ". Why: ", why_of(finding));
		if (finding->act[0])
			print_part(out, ". Do: ", finding->act);
		fputs("\n", out);
	}
	fputs(levels[PREFLIGHT_PROBLEM] ? "Talon cannot run here: " : "Talon can run here: ", out);
	print_count(out, "", levels[PREFLIGHT_PROBLEM], PREFLIGHT_PROBLEM);
	print_count(out, ", ", levels[PREFLIGHT_WARNING], PREFLIGHT_WARNING);
	print_count(out, ", ", levels[PREFLIGHT_NOTE], PREFLIGHT_NOTE);
	fputs("\n", out);
}

void preflight_print_json(const struct preflight_report *report, FILE *out)
{
	struct json_out json = { .out = out, .first = true };

	json_out_begin(&json, NULL, '{');
	json_out_bool(&json, "canRun", !report->levels[PREFLIGHT_PROBLEM]);
	json_out_number(&json, "problems", report->levels[PREFLIGHT_PROBLEM]);
	json_out_number(&json, "warnings", report->levels[PREFLIGHT_WARNING]);
	json_out_number(&json, "notes", report->levels[PREFLIGHT_NOTE]);
	json_out_begin(&json, "findings", '[');
	for (size_t i = 0; i < report->count; i++) {
		const struct preflight_finding *finding = &report->list[i];

		json_out_begin(&json, NULL, '{');
		json_out_text(&json, "check", preflight_check_name(finding->check));
		json_out_text(&json, "level", preflight_level_name(finding->level));
		json_out_text(&json, "what", finding->what);
		json_out_text(&json, "why", why_of(finding));
		if (finding->act[0])
			json_out_text(&json, "do", finding->act);
		else
			json_out_null(&json, "do");
		json_out_end(&json, '}');
	}
	json_out_end(&json, ']');
	json_out_end(&json, '}');
	fputs("\n", out);
}
