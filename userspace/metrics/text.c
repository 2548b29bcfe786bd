// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The exposition formats: Prometheus text 0.0.4, and OpenMetrics 1.0.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "metrics/internal.h"

enum metric_type { COUNTER, GAUGE, INFO };

static const struct {
	const char *name;
	enum metric_type type;
	const char *unit, *help;
} families[METRIC_COUNT] = {
#define FAMILY(id, name, type, unit, labels, series, help) { "talon_" #name, type, unit, help },
	METRICS(FAMILY)
#undef FAMILY
};

static const char *const suffixes[] = { [COUNTER] = "_total", [GAUGE] = "", [INFO] = "_info" };

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		: "text/plain; version=0.0.4; charset=utf-8";
}

void metrics_family(struct metrics_text *text, enum metric id)
{
	static const char *const types[] = { [COUNTER] = "counter", [GAUGE] = "gauge", [INFO] = "info" };
	const bool open = text->format == METRICS_OPENMETRICS;
	const char *name = families[id].name, *suffix = open ? "" : suffixes[families[id].type];
	const char *type = !open && families[id].type == INFO ? "gauge" : types[families[id].type];

	text->now = id;
	fprintf(text->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, families[id].help, name,
		suffix, type);
	if (open && *families[id].unit)
		fprintf(text->out, "# UNIT %s %s\n", name, families[id].unit);
}

/* Bytes at @at that are one UTF-8 character (RFC 3629); 0: none. */
static size_t utf8_len(const unsigned char *at)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3
		: at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
		(at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return len;
}

void metrics_escape(FILE *out, const char *value)
{
	const unsigned char *at = (const unsigned char *)value;

	while (*at) {
		size_t len = utf8_len(at);

		if (*at == '\n')
			fputs("\\n", out);
		else if (*at == '"' || *at == '\\')
			fprintf(out, "\\%c", *at);
		else if (len)
			fwrite(at, 1, len, out);
		else
			fputs("\xef\xbf\xbd", out);	/* U+FFFD */
		at += len ? len : 1;
	}
}

void metrics_name(struct metrics_text *text, const char *name, const char *suffix,
	const struct metrics_label *labels)
{
	char before = '{';

	fprintf(text->out, "%s%s", name, suffix);
	for (; labels->name; labels++) {
		fprintf(text->out, "%c%s=\"", before, labels->name);
		metrics_escape(text->out, labels->value);
		fputc('"', text->out);
		before = ',';
	}
	if (before == ',')
		fputc('}', text->out);
	fputc(' ', text->out);
}

void metrics_seconds(FILE *out, uint64_t ns)
{
	char part[24];
	size_t len;

	len = snprintf(part, sizeof(part), ".%09" PRIu64, (uint64_t)(ns % TALON_NSEC_PER_SEC));
	while (len > 2 && part[len - 1] == '0')
		part[--len] = '\0';
	fprintf(out, "%" PRIu64 "%s\n", (uint64_t)(ns / TALON_NSEC_PER_SEC), part);
}

void metrics_created(struct metrics_text *text, const char *name, const struct metrics_label *labels)
{
	if (text->format != METRICS_OPENMETRICS || !text->created_unix_ns)
		return;
	metrics_name(text, name, "_created", labels);
	metrics_seconds(text->out, text->created_unix_ns);
}

static void write_start(struct metrics_text *text, const struct metrics_label *labels)
{
	metrics_name(text, families[text->now].name, suffixes[families[text->now].type], labels);
}

static void write_created(struct metrics_text *text, const struct metrics_label *labels)
{
	if (families[text->now].type == COUNTER)
		metrics_created(text, families[text->now].name, labels);
}

void metrics_sample(struct metrics_text *text, const struct metrics_label *labels, uint64_t value)
{
	write_start(text, labels);
	fprintf(text->out, "%" PRIu64 "\n", value);
	write_created(text, labels);
}

void metrics_sample_ns(struct metrics_text *text, const struct metrics_label *labels, uint64_t ns)
{
	write_start(text, labels);
	metrics_seconds(text->out, ns);
	write_created(text, labels);
}

void metrics_sample_ratio(struct metrics_text *text, const struct metrics_label *labels, double value)
{
	write_start(text, labels);
	fprintf(text->out, "%.6g\n", value);
}

void metrics_end(struct metrics_text *text)
{
	if (text->format == METRICS_OPENMETRICS)
		fputs("# EOF\n", text->out);
}
