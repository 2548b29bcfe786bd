// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a mesh's parts count: shown by group, carried over the control socket, and documented.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "talon/fact_types.h"
#include "snapshot/snapshot.h"
#include "status/render.h"

static const struct { const char *group, *label, *help; } list[] = {
#define ROW(id, group, label, kind, help) { #group, #label, help },
	TALON_FACTS_SHOWN(ROW)
};
#define COUNT (sizeof(list) / sizeof(list[0]))

/* Each counter has its own value; every third is zero. */
static void make(struct snapshot *s)
{
	s->counters = calloc(COUNT, sizeof(*s->counters));
	s->counter_count = COUNT;
	for (size_t i = 0; i < COUNT; i++)
		s->counters[i] = (struct snapshot_counter){ strdup(list[i].group), strdup(list[i].label),
			i % 3 ? 1000 + i : 0 };
}

static char *render(const struct snapshot *snapshot, bool is_json, bool detail, bool as_talon)
{
	struct render_view view;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(render_view_init(&view, snapshot, NULL), 0);
	view.cli_version = view.daemon_version = "development";
	view.as_talon = as_talon;
	if (is_json)
		render_json(out, &view);
	else
		render_text(out, &view, detail);
	fclose(out);
	free(view.peers);
	return text;
}

static void json_has_all_by_group(void **state)
{
	struct snapshot s = {};
	json_t *root, *counters;
	char *text;

	make(&s);
	text = render(&s, true, false, true);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	counters = json_object_get(json_object_get(root, "talon"), "counters");
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(json_integer_value(json_object_get(json_object_get(counters, list[i].group),
			list[i].label)), i % 3 ? 1000 + i : 0);
	json_decref(root);
	free(text);
	snapshot_done(&s);
}

static void details_show_those_that_are_not_zero(void **state)
{
	struct snapshot s = {};
	char *text, *brief, *netbird, line[80];

	make(&s);
	text = render(&s, false, true, true);
	brief = render(&s, false, false, true);
	netbird = render(&s, false, true, false);
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), "\n    %s: %zu\n", list[i].label, 1000 + i);
		assert_true(!!strstr(text, line) == !!(i % 3));
		assert_null(strstr(brief, line));
		assert_null(strstr(netbird, line));
	}
	assert_null(strstr(text, ": 0\n    "));
	free(text);
	free(brief);
	free(netbird);
	snapshot_done(&s);
}

static void they_survive_their_journey(void **state)
{
	struct snapshot s = {}, back;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *root;

	make(&s);
	snapshot_write(out, &s);
	fclose(out);
	root = json_loads(text, 0, NULL);
	assert_int_equal(snapshot_parse(root, &back), 0);
	assert_int_equal(back.counter_count, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		assert_string_equal(back.counters[i].group, list[i].group);
		assert_string_equal(back.counters[i].label, list[i].label);
		assert_int_equal(back.counters[i].value, s.counters[i].value);
	}
	json_decref(root);
	free(text);
	snapshot_done(&s);
	snapshot_done(&back);
}

static void each_is_documented(void **state)
{
	static char page[1 << 17];
	char row[300];
	FILE *f = fopen("docs/status.md", "re");
	size_t len;

	if (!f)
		skip();
	len = fread(page, 1, sizeof(page) - 1, f);
	fclose(f);
	assert_in_range(len, 1, sizeof(page) - 2);
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(row, sizeof(row), "| `%s` | `%s` | %s |", list[i].group, list[i].label,
			list[i].help);
		assert_non_null(strstr(page, row));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_all_by_group),
		cmocka_unit_test(details_show_those_that_are_not_zero),
		cmocka_unit_test(they_survive_their_journey),
		cmocka_unit_test(each_is_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
