// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Log lines: both formats, what others sent inside them, and how many of a kind.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <xdp/libxdp.h>

#include "log/log.h"

#define WHEN 1795400000123LL

static char line[4096];

static const char *as(enum log_format format, const char *text)
{
	size_t len = log_format_line(format, LOG_LEVEL_WARN, WHEN, text, line, sizeof(line));

	assert_in_range(len, 1, sizeof(line) - 1);
	assert_int_equal(line[len - 1], '\n');
	line[len - 1] = '\0';
	assert_null(strchr(line, '\n'));
	return line;
}

static void a_text_line_has_time_level_and_message(void **state)
{
	assert_string_equal(as(LOG_FORMAT_TEXT, "peer gone"), "2026-11-23T02:13:20.123Z warn  peer gone");
}

static void a_json_line_is_one_object(void **state)
{
	json_t *root = json_loads(as(LOG_FORMAT_JSON, "it said \"no\" \\ 50\t%"), 0, NULL);

	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "time")), "2026-11-23T02:13:20.123Z");
	assert_string_equal(json_string_value(json_object_get(root, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(root, "msg")), "it said \"no\" \\ 50\t%");
	json_decref(root);
}

static void a_second_line_and_control_characters_do_not_get_through(void **state)
{
	assert_string_equal(as(LOG_FORMAT_TEXT, "a\033[2Jb\rc\nd") + 31, "a?[2Jb?c");
	assert_non_null(strstr(as(LOG_FORMAT_JSON, "a\001b\nc"), "\"msg\":\"a?b\"}"));
}

static void any_bytes_make_valid_json(void **state)
{
	char text[64];

	srand(1);
	for (int i = 0; i < 20000; i++) {
		size_t len = rand() % (sizeof(text) - 1);
		json_t *root;

		for (size_t j = 0; j < len; j++)
			text[j] = 1 + rand() % 255;
		text[len] = '\0';
		root = json_loads(as(LOG_FORMAT_JSON, text), 0, NULL);
		assert_non_null(root);
		json_decref(root);
	}
}

static void what_does_not_fit_is_cut_and_the_line_stays_whole(void **state)
{
	char text[300];
	json_t *root;

	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t size = 100; size < 700; size++) {
		size_t len = log_format_line(LOG_FORMAT_JSON, LOG_LEVEL_INFO, WHEN, text, line, size);

		assert_in_range(len, 1, size);
		root = json_loadb(line, len, 0, NULL);
		assert_non_null(root);
		json_decref(root);
	}
}

static void call(libxdp_print_fn_t print, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print(LIBXDP_WARN, fmt, args);
	va_end(args);
}

/* What is written to standard error while libxdp warns of something, at @level. */
static ssize_t written(libxdp_print_fn_t print, enum log_level level, char *text, size_t size)
{
	int pipe_fds[2], old = dup(STDERR_FILENO);
	ssize_t len;

	assert_true(old >= 0 && !pipe2(pipe_fds, O_NONBLOCK));
	log_set_level(level);
	dup2(pipe_fds[1], STDERR_FILENO);
	call(print, "libxdp: no such %s\n", "file");
	dup2(old, STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
	len = read(pipe_fds[0], text, size);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(old);
	return len;
}

/* It prints to standard error by itself, in the middle of JSON lines. */
static void what_libxdp_has_to_say_is_a_line_of_ours(void **state)
{
	libxdp_print_fn_t print;
	char text[512];
	ssize_t len;
	json_t *root;

	log_bridge_libbpf();
	print = libxdp_set_print(NULL);
	assert_non_null(print);
	log_set_format(LOG_FORMAT_JSON);
	assert_int_equal(written(print, LOG_LEVEL_INFO, text, sizeof(text)), -1);
	len = written(print, LOG_LEVEL_DEBUG, text, sizeof(text));
	assert_in_range(len, 1, sizeof(text));
	root = json_loadb(text, len, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "level")), "info");
	assert_string_equal(json_string_value(json_object_get(root, "msg")), "libxdp: no such file");
	json_decref(root);
	log_bridge_libbpf();
}

static void a_kind_of_event_gets_a_few_lines_a_minute_and_then_a_count(void **state)
{
	struct log_limit limit = {};
	uint64_t now = 1000;
	uint32_t left_out;

	for (int i = 0; i < LOG_LIMIT_LINES; i++)
		assert_true(log_limit_take(&limit, now++, &left_out));
	for (int i = 0; i < 7; i++)
		assert_false(log_limit_take(&limit, now++, &left_out));
	assert_true(log_limit_take(&limit, 1000 + LOG_LIMIT_NS, &left_out));
	assert_int_equal(left_out, 7);
	assert_true(log_limit_take(&limit, 1001 + LOG_LIMIT_NS, &left_out));
	assert_int_equal(left_out, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_line_has_time_level_and_message),
		cmocka_unit_test(a_json_line_is_one_object),
		cmocka_unit_test(a_second_line_and_control_characters_do_not_get_through),
		cmocka_unit_test(any_bytes_make_valid_json),
		cmocka_unit_test(what_does_not_fit_is_cut_and_the_line_stays_whole),
		cmocka_unit_test(what_libxdp_has_to_say_is_a_line_of_ours),
		cmocka_unit_test(a_kind_of_event_gets_a_few_lines_a_minute_and_then_a_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
