// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// docs/hub.md: every example in it is a file as it stands, and every key has a row and an example.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "hubfile/hubfile.h"

#define FENCE	"\n```yaml\n"

static char *document;
static char dir[] = "/tmp/test_reference.XXXXXX";

static void write_secret(const char *name, const char *text)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	out = fopen(path, "w");
	fputs(text, out);
	fclose(out);
}

static int set_up(void **state)
{
	FILE *in = fopen("docs/hub.md", "re");
	size_t size = 0;
	char path[128];

	if (!in)
		return 0;		/* not run from the top of the tree */
	if (getdelim(&document, &size, '\0', in) <= 0 || !mkdtemp(dir))
		return -1;
	fclose(in);
	snprintf(path, sizeof(path), "%s/secrets", dir);
	mkdir(path, 0700);
	write_secret("secrets/runners.key", "a2c8e62b-38f5-4553-b31e-dd66c696cebb\n");
	write_secret("secrets/issuer.secret", "hushhush\n");
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "secrets/runners.key", "secrets/issuer.secret", "secrets", "" };
	char path[128];

	for (size_t i = 0; document && i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	free(document);
	return 0;
}

/* The next example, in a buffer of its own; NULL at the end. */
static char *next_example(const char **at)
{
	const char *begin = strstr(*at, FENCE), *end;
	char *text;

	if (!begin)
		return NULL;
	begin += strlen(FENCE);
	end = strstr(begin, "\n```\n");
	assert_non_null(end);
	*at = end;
	/* what an example leaves out for brevity */
	assert_true(asprintf(&text, "%.*s%s", (int)(end + 1 - begin), begin,
		memmem(begin, end - begin, "policies:", 9) ? "" : "policies: []\n") > 0);
	return text;
}

static void every_example_is_a_file(void **state)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	const char *at = document;
	struct hubfile *file;
	size_t count, examples = 0;
	char *text;

	if (!document)
		skip();
	while ((text = next_example(&at))) {
		if (hubfile_parse(text, strlen(text), dir, &file, faults, &count))
			fail_msg("%s\nline %u: %s", text, faults[0].line, faults[0].text);
		hubfile_free(file);
		free(text);
		examples++;
	}
	assert_in_range(examples, 12, 100);
}

/* A mapping with a key that there is not: the fault lists those that there are. */
static const struct {
	const char *section, *text;
	size_t keys;
} mappings[] = {
	{ "### The ", "{policies: [], nothing: 1}", 19 },
	{ "| `tls` |", "{policies: [], tls: {certificate: a, key: b, nothing: 1}}", 2 },
	{ "### `groups`", "{policies: [], groups: {a: {nothing: 1}}}", 2 },
	{ "### `keys`", "{policies: [], keys: {a: {file: secrets/runners.key, nothing: 1}}}", 6 },
	{ "### `policies`", "policies: [{name: a, from: All, to: All, nothing: 1}]", 7 },
	{ "### `routes`", "{policies: [], routes: [{name: a, network: 10.0.0.0/8, routers: a, to: All, "
		"nothing: 1}]}", 10 },
	{ "| `routers` |", "{policies: [], routes: [{name: a, network: 10.0.0.0/8, to: All, "
		"routers: {peers: a, nothing: 1}}]}", 2 },
	{ "### `networks`", "{policies: [], networks: [{name: a, routers: a, resources: [], nothing: 1}]}",
		5 },
	{ "### `networks`", "{policies: [], networks: [{name: a, routers: a, resources: "
		"[{name: b, domain: c, nothing: 1}]}]}", 4 },
	{ "### `peers`", "{policies: [], peers: {a: {nothing: 1}}}", 5 },
	{ "### `nameservers`", "{policies: [], nameservers: [{name: a, servers: 1.1.1.1, to: All, "
		"nothing: 1}]}", 5 },
	{ "### `sign-in`", "{policies: [], sign-in: {issuer: https://a.b, client-id: a, nothing: 1}}", 15 },
};

static bool has_example(const char *key)
{
	char with_colon[64];
	const char *at = document;
	bool is_there = false;
	char *text;

	snprintf(with_colon, sizeof(with_colon), "%s:", key);
	while (!is_there && (text = next_example(&at))) {
		is_there = strstr(text, with_colon);
		free(text);
	}
	return is_there;
}

static void check_key(const char *section, const char *key)
{
	const char *from = strstr(document, section), *to, *found;
	char quoted[64];

	assert_non_null(from);
	to = section[0] == '|' ? strchr(from, '\n') : strstr(from + 4, "\n### `");
	snprintf(quoted, sizeof(quoted), "`%s`", key);
	found = strstr(from, quoted);
	/* those of the top level have tables or headings of their own further down */
	if (!found || (strcmp(section, "### The ") && to && found > to))
		fail_msg("%s: %s is not documented", section, key);
	if (!has_example(key))
		fail_msg("%s: %s has no example", section, key);
}

static void every_key_has_a_row_and_an_example(void **state)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	struct hubfile *file;
	size_t count, keys;
	char *list, *save;

	if (!document)
		skip();
	for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
		assert_int_equal(hubfile_parse(mappings[i].text, strlen(mappings[i].text), dir, &file, faults,
			&count), -EINVAL);
		assert_int_equal(count, 1);
		list = strstr(faults[0].text, "expected one of ");
		assert_non_null(list);
		keys = 0;
		for (char *key = strtok_r(list + strlen("expected one of "), ", ", &save); key;
			key = strtok_r(NULL, ", ", &save), keys++)
			check_key(mappings[i].section, key);
		assert_int_equal(keys, mappings[i].keys);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_is_a_file),
		cmocka_unit_test(every_key_has_a_row_and_an_example),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
