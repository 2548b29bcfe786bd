// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The end of a login: what messages say, what can be, when it is warned of, and how it is written.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netbird/expiry.h"
#include "netmap/netmap.h"
#include "management.pb-c.h"

#define S	1000000000ULL
#define M	(60 * S)
#define H	(60 * M)
#define D	(24 * H)
#define NOW	(1795393800ULL * S)	/* 2026-11-23T00:30:00Z */

static const uint8_t own[KEY_LEN];

/* --- messages --- */

/* What a SyncResponse (field 7) or a LoginResponse (field 4) with these bytes says. */
static struct expiry_said said_by(const void *bytes, size_t len, bool is_login, unsigned int *ret_skipped)
{
	struct netmap_update update;
	struct expiry_said said;

	if (is_login)
		assert_int_equal(netmap_login_parse(bytes, len, &update), 0);
	else
		assert_int_equal(netmap_update_parse(bytes, len, own, &update), 0);
	said = update.expiry;
	*ret_skipped = update.map.skipped;
	netmap_update_done(&update);
	return said;
}

static void absent_empty_and_set_are_told_apart(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool is_login;
		enum expiry_kind kind;
		int64_t unix_s;
		uint32_t nanos;
		unsigned int skipped;
	} cases[] = {
		{ "", 0, false, EXPIRY_UNSAID, 0, 0, 0 },
		{ "", 0, true, EXPIRY_UNSAID, 0, 0, 0 },
		{ "\x3a\x00", 2, false, EXPIRY_NONE, 0, 0, 0 },
		{ "\x22\x00", 2, true, EXPIRY_NONE, 0, 0, 0 },
		{ "\x22\x00", 2, false, EXPIRY_UNSAID, 0, 0, 0 },	/* each has a field of its own */
		{ "\x3a\x00", 2, true, EXPIRY_UNSAID, 0, 0, 0 },
		{ "\x3a\x04\x08\x00\x10\x00", 6, false, EXPIRY_NONE, 0, 0, 0 },
		{ "\x3a\x02\x08\x05", 4, false, EXPIRY_AT, 5, 0, 0 },
		{ "\x22\x04\x08\x05\x10\x07", 6, true, EXPIRY_AT, 5, 7, 0 },
		{ "\x3a\x02\x10\x07", 4, false, EXPIRY_AT, 0, 7, 0 },
		{ "\x3a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, false, EXPIRY_AT, -1, 0, 0 },
		{ "\x3a\x02\x08\x05\x3a\x00", 6, false, EXPIRY_NONE, 0, 0, 0 },	/* the last one counts */
		{ "\x3a\x02\x08\x05\x18\x01", 6, false, EXPIRY_AT, 5, 0, 0 },
		/* what cannot be read says nothing, and costs only itself */
		{ "\x3a\x02\x08\x80", 4, false, EXPIRY_UNSAID, 0, 0, 1 },
		{ "\x3a\x06\x10\x80\x94\xeb\xdc\x03", 8, false, EXPIRY_UNSAID, 0, 0, 1 },
		{ "\x38\x05", 2, false, EXPIRY_UNSAID, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned int skipped;
		struct expiry_said said = said_by(cases[i].bytes, cases[i].len, cases[i].is_login, &skipped);

		assert_int_equal(said.kind, cases[i].kind);
		assert_int_equal(said.unix_s, cases[i].unix_s);
		assert_int_equal(said.nanos, cases[i].nanos);
		assert_int_equal(skipped, cases[i].skipped);
	}
}

static void the_schema_has_the_same_numbers(void **state)
{
	Management__Timestamp at = MANAGEMENT__TIMESTAMP__INIT;
	Management__LoginResponse login = MANAGEMENT__LOGIN_RESPONSE__INIT;
	Management__SyncResponse sync = MANAGEMENT__SYNC_RESPONSE__INIT;
	struct expiry_said said;
	unsigned int skipped;
	uint8_t bytes[64];

	at.seconds = 1795393800;
	at.nanos = 250;
	login.session_expires_at = sync.session_expires_at = &at;
	said = said_by(bytes, protobuf_c_message_pack(&login.base, bytes), true, &skipped);
	assert_int_equal(said.unix_s, 1795393800);
	assert_int_equal(said.nanos, 250);
	said = said_by(bytes, protobuf_c_message_pack(&sync.base, bytes), false, &skipped);
	assert_int_equal(said.unix_s, 1795393800);
	at.seconds = at.nanos = 0;
	assert_int_equal(protobuf_c_message_pack(&sync.base, bytes), 2);
	assert_memory_equal(bytes, "\x3a\x00", 2);
}

static void what_cannot_be_counts_as_no_end(void **state)
{
	const int64_t now_s = NOW / S, day = 86400;
	const struct { struct expiry_said said; enum expiry_kind kind; } cases[] = {
		{ { EXPIRY_UNSAID, 0, 0 }, EXPIRY_UNSAID },
		{ { EXPIRY_NONE, 0, 0 }, EXPIRY_NONE },
		{ { EXPIRY_AT, now_s, 1 }, EXPIRY_AT },
		{ { EXPIRY_AT, -1, 0 }, EXPIRY_IMPLAUSIBLE },
		{ { EXPIRY_AT, INT64_MIN, 0 }, EXPIRY_IMPLAUSIBLE },
		{ { EXPIRY_AT, INT64_MAX, 0 }, EXPIRY_IMPLAUSIBLE },
		{ { EXPIRY_AT, 5, 0 }, EXPIRY_IMPLAUSIBLE },
		{ { EXPIRY_AT, now_s - 30 * day, 0 }, EXPIRY_AT },
		{ { EXPIRY_AT, now_s - 30 * day - 1, 0 }, EXPIRY_IMPLAUSIBLE },
		{ { EXPIRY_AT, now_s + 3650 * day, 0 }, EXPIRY_AT },
		{ { EXPIRY_AT, now_s + 3650 * day + 1, 0 }, EXPIRY_IMPLAUSIBLE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t at_ns = 7;

		assert_int_equal(expiry_judge(&cases[i].said, NOW, &at_ns), cases[i].kind);
		if (cases[i].kind == EXPIRY_AT)
			assert_int_equal(at_ns, cases[i].said.unix_s * S + cases[i].said.nanos);
		else
			assert_int_equal(at_ns, 7);
	}
}

/* --- warnings --- */

static void each_mark_comes_once_and_in_time(void **state)
{
	static const uint64_t leads[] = { 3 * D, D, H, 10 * M, 2 * M, 0 };
	struct expiry_watch watch = {};
	const uint64_t end = NOW + 10 * D;
	uint64_t now = NOW;

	assert_true(expiry_watch_wait(&watch, now) == UINT64_MAX);
	assert_true(expiry_watch_set(&watch, end, now));
	assert_null(expiry_watch_due(&watch, now));
	for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
		const struct expiry_mark *mark;

		assert_int_equal(expiry_watch_wait(&watch, now), end - leads[i] - now);
		now = end - leads[i] - 1;
		assert_null(expiry_watch_due(&watch, now));
		mark = expiry_watch_due(&watch, ++now);
		assert_non_null(mark);
		assert_int_equal(mark->lead_ns, leads[i]);
		assert_int_equal(mark->is_urgent, leads[i] <= 10 * M);
		assert_null(expiry_watch_due(&watch, now));
		/* the same end again, as every map says it, warns of nothing anew */
		assert_false(expiry_watch_set(&watch, end + S, now));
		assert_false(expiry_watch_set(&watch, end, now));
		assert_null(expiry_watch_due(&watch, now));
	}
	assert_true(expiry_watch_wait(&watch, now) == UINT64_MAX);
	assert_null(expiry_watch_due(&watch, end + D));
}

static void a_new_end_counts_from_its_own_beginning(void **state)
{
	struct expiry_watch watch = {};

	/* a login of one day: that it ends within three days, and in a day, is no news */
	assert_true(expiry_watch_set(&watch, NOW + D, NOW));
	assert_null(expiry_watch_due(&watch, NOW));
	assert_int_equal(expiry_watch_wait(&watch, NOW), 23 * H);
	assert_int_equal(expiry_watch_due(&watch, NOW + 23 * H)->lead_ns, H);
	/* extended: everything once more */
	assert_true(expiry_watch_set(&watch, NOW + 2 * D, NOW + 23 * H));
	assert_int_equal(expiry_watch_due(&watch, NOW + D)->lead_ns, D);
	/* asleep over several marks: the last one is said */
	assert_int_equal(expiry_watch_due(&watch, NOW + 2 * D - M)->lead_ns, 2 * M);
	/* known after it had ended, as by the map of the last run: said at once */
	assert_true(expiry_watch_set(&watch, NOW - 5, NOW));
	assert_int_equal(expiry_watch_due(&watch, NOW)->lead_ns, 0);
	/* no end any more */
	assert_true(expiry_watch_set(&watch, 0, NOW));
	assert_false(expiry_watch_set(&watch, 0, NOW));
	assert_null(expiry_watch_due(&watch, NOW + 10 * D));
	assert_true(expiry_watch_wait(&watch, NOW) == UINT64_MAX);
}

/* --- text --- */

static void what_is_left_is_written_as_netbird_writes_it(void **state)
{
	static const struct { int64_t left_ns; const char *text; } cases[] = {
		{ 8 * S, "8s" }, { 1, "1s" }, { S + S / 2, "2s" }, { M - S, "59s" }, { M, "1m" },
		{ 47 * M + 59 * S, "47m" },
		{ 2 * H + 15 * M, "2h 15m" }, { 2 * H, "2h" }, { 2 * H + 59 * S, "2h" },
		{ 3 * D + 4 * H, "3d 4h" }, { 3 * D, "3d" }, { 3 * D + 59 * M, "3d" }, { 180 * D, "180d" },
		{ -3 * (int64_t)M, "expired 3m ago" }, { 0, "expired 1s ago" },
		{ -(int64_t)(2 * D + H), "expired 2d 1h ago" },
	};
	char text[EXPIRY_TEXT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		expiry_format_left(NOW + cases[i].left_ns, NOW, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void times_are_utc_with_as_many_decimals_as_they_need(void **state)
{
	char text[EXPIRY_TEXT_LEN];

	expiry_format_utc(NOW, true, text);
	assert_string_equal(text, "2026-11-23T00:30:00Z");
	expiry_format_utc(NOW + 120000000, true, text);
	assert_string_equal(text, "2026-11-23T00:30:00.12Z");
	expiry_format_utc(NOW + 1, true, text);
	assert_string_equal(text, "2026-11-23T00:30:00.000000001Z");
	expiry_format_utc(NOW + 1, false, text);
	assert_string_equal(text, "2026-11-23T00:30:00Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_empty_and_set_are_told_apart),
		cmocka_unit_test(the_schema_has_the_same_numbers),
		cmocka_unit_test(what_cannot_be_counts_as_no_end),
		cmocka_unit_test(each_mark_comes_once_and_in_time),
		cmocka_unit_test(a_new_end_counts_from_its_own_beginning),
		cmocka_unit_test(what_is_left_is_written_as_netbird_writes_it),
		cmocka_unit_test(times_are_utc_with_as_many_decimals_as_they_need),
	};

	setenv("TZ", "Asia/Kolkata", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
