// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The end of a login: what messages say of it, whether that can be, and when to warn.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "netbird/expiry.h"

#define SECOND_NS	1000000000ULL
#define MINUTE_S	60ULL
#define HOUR_S		3600ULL
#define DAY_S		86400ULL

#define PAST_MAX_S	(30 * DAY_S)
#define AHEAD_MAX_S	(3650 * DAY_S)
#define SAME_NS		(2 * SECOND_NS)	/* servers round it differently when they load it again */

enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS = 2 };

int expiry_read(struct wire wire, struct expiry_said *ret_said)
{
	struct expiry_said said = { .kind = EXPIRY_NONE };
	struct wire_field field;
	uint64_t nanos = 0;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, TIMESTAMP_SECONDS))
			said.unix_s = field.value;
		else if (wire_is_varint(&field, TIMESTAMP_NANOS))
			nanos = field.value;
	}
	if (ret < 0 || nanos >= SECOND_NS)
		return -EBADMSG;
	said.nanos = nanos;
	if (said.unix_s || nanos)
		said.kind = EXPIRY_AT;
	*ret_said = said;
	return 0;
}

enum expiry_kind expiry_judge(const struct expiry_said *said, uint64_t now_ns, uint64_t *ret_at_ns)
{
	uint64_t now_s = now_ns / SECOND_NS, at_s = said->unix_s;

	if (said->kind != EXPIRY_AT)
		return said->kind;
	if (said->unix_s < 0 || at_s + PAST_MAX_S < now_s || at_s > now_s + AHEAD_MAX_S)
		return EXPIRY_IMPLAUSIBLE;
	*ret_at_ns = at_s * SECOND_NS + said->nanos;
	return EXPIRY_AT;
}

/* --- warnings ahead --- */

static const struct expiry_mark marks[] = {
	{ 3 * DAY_S * SECOND_NS, false },
	{ DAY_S * SECOND_NS, false },
	{ HOUR_S * SECOND_NS, false },
	{ 10 * MINUTE_S * SECOND_NS, true },	/* these two, as NetBird's client */
	{ 2 * MINUTE_S * SECOND_NS, true },
	{ 0, true },
};

#define MARKS (sizeof(marks) / sizeof(marks[0]))

static bool has_come(const struct expiry_watch *watch, uint64_t now_ns)
{
	return watch->next < MARKS && now_ns + marks[watch->next].lead_ns >= watch->at_ns;
}

bool expiry_watch_set(struct expiry_watch *watch, uint64_t at_ns, uint64_t now_ns)
{
	uint64_t apart = at_ns > watch->at_ns ? at_ns - watch->at_ns : watch->at_ns - at_ns;

	if (!at_ns == !watch->at_ns && apart < SAME_NS) {
		watch->at_ns = at_ns;
		return false;
	}
	*watch = (struct expiry_watch){ .at_ns = at_ns };
	/* the end itself is told even if it has passed */
	while (at_ns && watch->next < MARKS - 1 && has_come(watch, now_ns))
		watch->next++;
	return true;
}

const struct expiry_mark *expiry_watch_due(struct expiry_watch *watch, uint64_t now_ns)
{
	const struct expiry_mark *due = NULL;

	while (watch->at_ns && has_come(watch, now_ns))
		due = &marks[watch->next++];
	return due;
}

uint64_t expiry_watch_wait(const struct expiry_watch *watch, uint64_t now_ns)
{
	uint64_t ahead;

	if (!watch->at_ns || watch->next == MARKS)
		return UINT64_MAX;
	ahead = now_ns + marks[watch->next].lead_ns;
	return watch->at_ns > ahead ? watch->at_ns - ahead : 0;
}

/* --- text --- */

void expiry_format_utc(uint64_t at_ns, bool decimals, char text[static EXPIRY_TEXT_LEN])
{
	unsigned long nanos = at_ns % SECOND_NS;
	time_t at_s = at_ns / SECOND_NS;
	struct tm tm;
	size_t len;

	gmtime_r(&at_s, &tm);
	len = strftime(text, EXPIRY_TEXT_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	if (decimals && nanos) {
		len += snprintf(text + len, EXPIRY_TEXT_LEN - len, ".%09lu", nanos);
		while (text[len - 1] == '0')
			len--;
	}
	snprintf(text + len, EXPIRY_TEXT_LEN - len, "Z");
}

/* The two largest units, without zeros. */
static void format_span(uint64_t ns, char text[static EXPIRY_TEXT_LEN])
{
	static const struct { uint64_t seconds; char letter, below; uint64_t unit; } spans[] = {
		{ DAY_S, 'd', 'h', HOUR_S }, { HOUR_S, 'h', 'm', MINUTE_S }, { MINUTE_S, 'm', 0, 1 },
	};
	uint64_t seconds = ns / SECOND_NS, rest;
	size_t i = 0, len;

	if (seconds < MINUTE_S) {	/* rounded, but never "0s" */
		seconds = (ns + SECOND_NS / 2) / SECOND_NS;
		snprintf(text, EXPIRY_TEXT_LEN, "%us", (unsigned int)(seconds ? seconds : 1));
		return;
	}
	while (seconds < spans[i].seconds)
		i++;
	rest = seconds % spans[i].seconds / spans[i].unit;
	len = snprintf(text, EXPIRY_TEXT_LEN, "%llu%c", (unsigned long long)(seconds / spans[i].seconds),
		spans[i].letter);
	if (spans[i].below && rest)
		snprintf(text + len, EXPIRY_TEXT_LEN - len, " %llu%c", (unsigned long long)rest,
			spans[i].below);
}

void expiry_format_left(uint64_t at_ns, uint64_t now_ns, char text[static EXPIRY_TEXT_LEN])
{
	char span[EXPIRY_TEXT_LEN];

	if (at_ns > now_ns) {
		format_span(at_ns - now_ns, text);
		return;
	}
	format_span(now_ns - at_ns, span);
	snprintf(text, EXPIRY_TEXT_LEN, "expired %.20s ago", span);
}
