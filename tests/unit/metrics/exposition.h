/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads an exposition back as strictly as the formats say, and holds it against metric_rows.h: what a lenient
 * parser would let pass is a failed assertion.
 */
#ifndef TALON_TESTS_EXPOSITION_H
#define TALON_TESTS_EXPOSITION_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/internal.h"

#define SERIES_MAX	16384
#define FAMILIES_MAX	(METRIC_COUNT + 8)

struct row { const char *name, *type, *unit, *labels, *series, *help; };

static const struct row rows[] = {
#define ROW(id, name, type, unit, labels, series, help) { "talon_" #name, #type, unit, labels, series, help },
	METRICS(ROW)
#undef ROW
};

/* Of other programs, by --aliases. */
static const struct row alias_rows[] = {
	{ "wireguard_sent_bytes", "COUNTER", "bytes", "interface,public_key,friendly_name", "", "" },
	{ "wireguard_received_bytes", "COUNTER", "bytes", "interface,public_key,friendly_name", "", "" },
	{ "wireguard_latest_handshake_seconds", "GAUGE", "seconds", "interface,public_key,friendly_name",
		"", "" },
	{ "netbird_management_connected", "GAUGE", "", "", "", "" },
	{ "netbird_signal_connected", "GAUGE", "", "", "", "" },
	{ "netbird_peers", "GAUGE", "", "", "", "" },
	{ "netbird_peers_connected", "GAUGE", "", "connection_type", "", "" },
	{ "netbird_peer_latency_seconds", "GAUGE", "seconds", "peer,public_key", "", "" },
};
#define ALIASES (sizeof(alias_rows) / sizeof(alias_rows[0]))

struct exposition {
	bool open;			/* OpenMetrics */
	const struct row *now;
	const struct row *families[FAMILIES_MAX];
	size_t counts[FAMILIES_MAX];	/* series, without _created */
	size_t family_count;
	char *series[SERIES_MAX];	/* name and labels; into the text */
	size_t series_count;
	size_t created;
};

static inline const struct row *row_named(const char *name)
{
	for (size_t i = 0; i < METRIC_COUNT + ALIASES; i++) {
		const struct row *row = i < METRIC_COUNT ? &rows[i] : &alias_rows[i - METRIC_COUNT];

		if (!strcmp(row->name, name))
			return row;
	}
	return NULL;
}

static inline const char *suffix_of(const struct row *row)
{
	return !strcmp(row->type, "COUNTER") ? "_total" : !strcmp(row->type, "INFO") ? "_info" : "";
}

/* The name on HELP and TYPE: OpenMetrics leaves the suffix of the samples out. */
static inline const char *family_name(const struct exposition *e, const struct row *row)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s%s", row->name, e->open ? "" : suffix_of(row));
	return name;
}

static inline void read_help(struct exposition *e, const char *line)
{
	char name[96];
	int at = 0;

	assert_int_equal(sscanf(line, "# HELP %95s %n", name, &at), 1);
	e->now = NULL;
	for (size_t i = 0; i < METRIC_COUNT + ALIASES; i++) {
		const struct row *row = i < METRIC_COUNT ? &rows[i] : &alias_rows[i - METRIC_COUNT];

		if (!strcmp(family_name(e, row), name))
			e->now = row;
	}
	if (!e->now)
		fail_msg("an unknown family: %s", line);
	for (size_t i = 0; i < e->family_count; i++) {
		if (e->families[i] == e->now)
			fail_msg("twice, or interleaved: %s", line);
	}
	if (*e->now->help)
		assert_string_equal(line + at, e->now->help);
	e->counts[e->family_count] = 0;
	e->families[e->family_count++] = e->now;
}

static inline char *expect_line(char **rest)
{
	char *line = strsep(rest, "\n");

	assert_non_null(line);
	return line;
}

/* HELP was read: TYPE and, if there is one, UNIT must follow. */
static inline void read_head(struct exposition *e, char **rest)
{
	char want[160], type[16];

	for (size_t i = 0; i <= strlen(e->now->type); i++)
		type[i] = tolower((unsigned char)e->now->type[i]);
	snprintf(want, sizeof(want), "# TYPE %s %s", family_name(e, e->now),
		!e->open && !strcmp(type, "info") ? "gauge" : type);
	assert_string_equal(expect_line(rest), want);
	if (!e->open || !*e->now->unit)
		return;
	snprintf(want, sizeof(want), "# UNIT %s %s", e->now->name, e->now->unit);
	assert_string_equal(expect_line(rest), want);
}

/* A label's value up to the closing quote, which is returned. */
static inline const char *skip_value(const char *at, const char *line)
{
	for (; *at != '"'; at++) {
		if (!*at)
			fail_msg("a value without end: %s", line);
		if (*at == '\\' && !strchr("\\\"n", *++at))
			fail_msg("an unknown escape: %s", line);
	}
	return at;
}

/* Returns what is behind the labels; they must be those of the row, in its order. */
static inline const char *skip_labels(const struct row *row, const char *at, const char *line)
{
	char names[128] = "";

	if (*at == '{') {
		do {
			size_t len = strcspn(++at, "=");

			snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.*s",
				*names ? "," : "", (int)len, at);
			at += len;
			assert_int_equal(at[1], '"');
			at = skip_value(at + 2, line) + 1;
		} while (*at == ',');
		assert_int_equal(*at++, '}');
	}
	if (strcmp(names, row->labels))
		fail_msg("labels '%s' in: %s", row->labels, line);
	return at;
}

static inline void check_number(const char *text, const char *line)
{
	size_t whole = strspn(text, "0123456789"), part = 0;

	if (text[whole] == '.') {
		part = strspn(text + whole + 1, "0123456789");
		if (!part || (part > 1 && text[whole + part] == '0'))
			fail_msg("zeros at the end: %s", line);
		part++;
	}
	if (!whole || text[whole + part])
		fail_msg("not a number: %s", line);
}

/* Starts of counters follow their counter, with the same labels. */
static inline bool read_created(struct exposition *e, const char *line)
{
	const size_t len = strlen(e->now->name);
	const char *last, *labels;

	if (strncmp(line, e->now->name, len) || strncmp(line + len, "_created", 8))
		return false;
	assert_true(e->open);
	assert_string_equal(e->now->type, "COUNTER");
	assert_true(e->series_count > 0);
	last = e->series[e->series_count - 1] + len + strlen("_total");
	labels = line + len + strlen("_created");
	assert_int_equal(strncmp(labels, last, strlen(last)), 0);
	assert_int_equal(labels[strlen(last)], ' ');
	check_number(labels + strlen(last) + 1, line);
	e->created++;
	return true;
}

static inline void read_sample(struct exposition *e, char *line)
{
	const size_t len = strlen(e->now->name);
	const char *suffix = suffix_of(e->now), *end;

	if (read_created(e, line))
		return;
	if (strncmp(line, e->now->name, len) || strncmp(line + len, suffix, strlen(suffix)))
		fail_msg("not of %s: %s", e->now->name, line);
	end = skip_labels(e->now, line + len + strlen(suffix), line);
	assert_int_equal(*end, ' ');
	check_number(end + 1, line);
	line[end - line] = '\0';
	for (size_t i = 0; i < e->series_count; i++) {
		if (!strcmp(e->series[i], line))
			fail_msg("twice: %s", line);
	}
	assert_true(e->series_count < SERIES_MAX);
	e->series[e->series_count++] = line;
	e->counts[e->family_count - 1]++;
}

/* Reads @text, which it cuts into lines. */
static inline void exposition_read(struct exposition *e, char *text, bool open)
{
	char *rest = text, *line;
	bool has_ended = false;

	memset(e, 0, sizeof(*e));
	e->open = open;
	assert_int_equal(text[strlen(text) - 1], '\n');
	while ((line = strsep(&rest, "\n")) && *line) {
		assert_false(has_ended);
		if (!strncmp(line, "# HELP ", 7)) {
			read_help(e, line);
			read_head(e, &rest);
		} else if (!strcmp(line, "# EOF")) {
			has_ended = true;
		} else {
			assert_non_null(e->now);
			read_sample(e, line);
		}
	}
	assert_true(!rest || !*rest);
	assert_true(has_ended == open);
}

static inline bool exposition_has(const struct exposition *e, const char *family)
{
	for (size_t i = 0; i < e->family_count; i++) {
		if (!strcmp(e->families[i]->name, family))
			return true;
	}
	return false;
}

/* Series of @family; 0: none, or there is no such family. */
static inline size_t exposition_count(const struct exposition *e, const char *family)
{
	for (size_t i = 0; i < e->family_count; i++) {
		if (!strcmp(e->families[i]->name, family))
			return e->counts[i];
	}
	return 0;
}

#endif
