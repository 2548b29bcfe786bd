// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Request heads: line, host, and which format is preferred. Every byte is a stranger's.
#include <ctype.h>
#include <string.h>

#include "http/head.h"
#include "metrics/request.h"

#define Q_ONE		1000	/* weights are thousandths */
#define Q_UNSAID	-1

/* Of each format: what was said of it, by how exactly it was named. */
struct liking { int exact, subtypes, all; };

/* "0", "0.5", "1.000". Returns thousandths or -1. */
static int parse_weight(struct slice text)
{
	int weight = 0, unit = Q_ONE;

	if (!text.len || text.len > 5 || (text.len > 1 && text.at[1] != '.'))
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (i == 1)
			continue;
		if (!isdigit((unsigned char)text.at[i]))
			return -1;
		weight += (text.at[i] - '0') * unit;
		unit /= 10;
	}
	return weight <= Q_ONE ? weight : -1;
}

static struct slice unquote(struct slice text)
{
	if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"')
		return (struct slice){ text.at + 1, text.len - 2 };
	return text;
}

/*
 * What follows a media range. @version: what it must be if it is named. Returns the weight, or -1: not ours.
 */
static int read_parameters(struct slice rest, const char *version)
{
	int weight = Q_ONE;

	while (rest.len) {
		struct slice value = slice_cut(&rest, ";"), name = slice_trim(slice_cut(&value, "="));

		value = unquote(slice_trim(value));
		if (slice_is(name, "q"))
			weight = parse_weight(value);
		else if (slice_is(name, "version") && !slice_is(value, version))
			return -1;
		if (weight < 0)
			return -1;
	}
	return weight;
}

static void take(int *place, int weight)
{
	if (weight > *place)
		*place = weight;
}

static void read_range(struct slice range, struct liking likings[static 2])
{
	static const struct { const char *exact, *subtypes, *version; } ours[] = {
		[METRICS_PROMETHEUS] = { "text/plain", "text/*", "0.0.4" },
		[METRICS_OPENMETRICS] = { "application/openmetrics-text", "application/*", "1.0.0" },
	};
	struct slice type = slice_trim(slice_cut(&range, ";"));

	for (int i = 0; i < 2; i++) {
		int weight = read_parameters(range, ours[i].version);

		if (slice_is(type, ours[i].exact))
			take(&likings[i].exact, weight);
		else if (slice_is(type, ours[i].subtypes))
			take(&likings[i].subtypes, weight);
		else if (slice_is(type, "*/*"))
			take(&likings[i].all, weight);
	}
}

/* The most exact range decides (RFC 9110 section 12.5.1). */
static int weigh(const struct liking *liking)
{
	if (liking->exact != Q_UNSAID)
		return liking->exact;
	return liking->subtypes != Q_UNSAID ? liking->subtypes : liking->all;
}

/* A wildcard is no wish for OpenMetrics: who asks for anything gets what everything reads. */
static enum metrics_format choose(const struct liking likings[static 2])
{
	const struct liking *open = &likings[METRICS_OPENMETRICS];

	return open->exact > 0 && open->exact >= weigh(&likings[METRICS_PROMETHEUS]) ? METRICS_OPENMETRICS
		: METRICS_PROMETHEUS;
}

static void read_accept(struct slice accept, struct liking likings[static 2])
{
	struct slice range;

	while (slice_next(&accept, ",", &range))
		read_range(range, likings);
}

#define NO_LIKINGS { { Q_UNSAID, Q_UNSAID, Q_UNSAID }, { Q_UNSAID, Q_UNSAID, Q_UNSAID } }

/* Without the query and, in absolute form (RFC 9112 section 3.2.2), without what comes before the path. */
static struct slice path_of(struct slice target)
{
	static const char scheme[] = "http://";
	const size_t len = sizeof(scheme) - 1;

	if (target.len > len && slice_is((struct slice){ target.at, len }, scheme)) {
		target.at += len;
		target.len -= len;
		while (target.len && target.at[0] != '/') {
			target.at++;
			target.len--;
		}
	}
	return slice_cut(&target, "?");
}

static bool same(struct slice text, const char *word)
{
	return text.len == strlen(word) && !memcmp(text.at, word, text.len);
}

static unsigned int find_page(struct slice path, enum metrics_page *ret_page)
{
	static const char *const pages[] = {
		[METRICS_PAGE_INDEX] = "/",
		[METRICS_PAGE_METRICS] = "/metrics",
		[METRICS_PAGE_HEALTH] = "/healthz",
		[METRICS_PAGE_READY] = "/readyz",
	};

	for (unsigned int i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (same(path, pages[i])) {
			*ret_page = i;
			return 200;
		}
	}
	return 404;
}

/* METHOD SP TARGET SP HTTP/1.x; exactly one space at each place (RFC 9112 section 3). */
static unsigned int read_line(struct slice line, struct metrics_request *request, unsigned int *ret_minor)
{
	struct slice method = slice_cut(&line, " "), target = slice_cut(&line, " ");

	request->is_head = same(method, "HEAD");
	if (!method.len || !target.len || line.len != 8 || memcmp(line.at, "HTTP/", 5) ||
		!isdigit((unsigned char)line.at[5]) || line.at[6] != '.' ||
		!isdigit((unsigned char)line.at[7]))
		return 400;
	if (line.at[5] != '1')
		return 505;
	*ret_minor = line.at[7] - '0';
	if (!request->is_head && !same(method, "GET"))
		return 405;
	return find_page(path_of(target), &request->page);
}

/* The fields after the line. Returns 200 or 400. */
static unsigned int read_fields(struct slice head, unsigned int minor, enum metrics_format *ret_format)
{
	struct liking likings[2] = NO_LIKINGS;
	struct http_field field;
	unsigned int hosts = 0;
	struct slice line;

	while ((line = http_head_next_line(&head)).len) {
		if (http_field_parse(line, &field))
			return 400;
		hosts += slice_is(field.name, "Host");
		if (slice_is(field.name, "Accept"))
			read_accept(field.value, likings);
	}
	*ret_format = choose(likings);
	return hosts == 1 || (!hosts && !minor) ? 200 : 400;	/* RFC 9112 section 3.2 */
}

unsigned int metrics_request_parse(struct slice head, struct metrics_request *ret_request)
{
	unsigned int code, fields, minor = 0;

	*ret_request = (struct metrics_request){};
	if (!http_head_is_clean(head))
		return 400;
	code = read_line(http_head_next_line(&head), ret_request, &minor);
	if (code == 400 || code == 505)
		return code;
	fields = read_fields(head, minor, &ret_request->format);
	return fields == 200 ? code : fields;
}
