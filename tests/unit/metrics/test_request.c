// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Request heads of the metrics server: what is asked for, what is refused, and which format Accept prefers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/request.h"

#define HOST "Host: node\r\n"

static struct metrics_request request;

static unsigned int ask(const char *head)
{
	return metrics_request_parse(slice_from(head), &request);
}

static void pages_are_found_by_their_path(void **state)
{
	static const struct { const char *head; enum metrics_page page; bool is_head; } cases[] = {
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", METRICS_PAGE_INDEX, false },
		{ "GET /metrics HTTP/1.1\r\n" HOST "\r\n", METRICS_PAGE_METRICS, false },
		{ "HEAD /metrics HTTP/1.1\r\n" HOST "\r\n", METRICS_PAGE_METRICS, true },
		{ "GET /metrics HTTP/1.0\r\n\r\n", METRICS_PAGE_METRICS, false },
		{ "GET /metrics?x=1 HTTP/1.1\r\n" HOST "\r\n", METRICS_PAGE_METRICS, false },
		{ "GET http://node:9567/readyz HTTP/1.1\r\n" HOST "\r\n", METRICS_PAGE_READY, false },
		{ "GET /healthz HTTP/1.1\r\nhOsT:node\r\nAccept: text/html\r\n\r\n", METRICS_PAGE_HEALTH,
			false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ask(cases[i].head), 200);
		assert_int_equal(request.page, cases[i].page);
		assert_int_equal(request.is_head, cases[i].is_head);
	}
}

static void everything_else_is_refused(void **state)
{
	static const struct { const char *head; unsigned int code; } cases[] = {
		{ "GET /metric HTTP/1.1\r\n" HOST "\r\n", 404 },
		{ "GET /metrics/ HTTP/1.1\r\n" HOST "\r\n", 404 },
		{ "GET /METRICS HTTP/1.1\r\n" HOST "\r\n", 404 },
		{ "GET http://node HTTP/1.1\r\n" HOST "\r\n", 404 },
		{ "GET * HTTP/1.1\r\n" HOST "\r\n", 404 },
		{ "POST /metrics HTTP/1.1\r\n" HOST "\r\n", 405 },
		{ "get /metrics HTTP/1.1\r\n" HOST "\r\n", 405 },
		{ "DELETE /nothing HTTP/1.1\r\n" HOST "\r\n", 405 },
		{ "GET /metrics HTTP/2.0\r\n" HOST "\r\n", 505 },
		{ "GET /metrics\r\n\r\n", 400 },
		{ "GET  /metrics HTTP/1.1\r\n" HOST "\r\n", 400 },
		{ "GET /metrics HTTP/1.1 \r\n" HOST "\r\n", 400 },
		{ "GET /metrics HTTX/1.1\r\n" HOST "\r\n", 400 },
		{ "\r\n", 400 },
		{ "GET /metrics HTTP/1.1\n" "Host: node\n\n", 400 },
		{ "GET /metrics HTTP/1.1\r\n" HOST "a\001b: c\r\n\r\n", 400 },
		/* RFC 9112 section 3.2: exactly one Host */
		{ "GET /metrics HTTP/1.1\r\n\r\n", 400 },
		{ "GET /metrics HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
		{ "GET /metrics HTTP/1.1\r\n" HOST "no colon\r\n\r\n", 400 },
		{ "GET /metrics HTTP/1.1\r\n" HOST "Accept : text/plain\r\n\r\n", 400 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (ask(cases[i].head) != cases[i].code)
			fail_msg("%u, not %u: %s", ask(cases[i].head), cases[i].code, cases[i].head);
	}
	assert_int_equal(ask("HEAD /nothing HTTP/1.1\r\n" HOST "\r\n"), 404);
	assert_true(request.is_head);
}

static void accept_decides_the_format(void **state)
{
	static const struct { const char *accept; enum metrics_format format; } cases[] = {
		{ "", METRICS_PROMETHEUS },
		{ "*/*", METRICS_PROMETHEUS },
		{ "text/html, */*;q=0.8", METRICS_PROMETHEUS },
		{ "application/*", METRICS_PROMETHEUS },
		{ "text/plain;version=0.0.4", METRICS_PROMETHEUS },
		{ "application/openmetrics-text", METRICS_OPENMETRICS },
		{ "application/openmetrics-text; version=1.0.0; charset=utf-8", METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=\"1.0.0\"", METRICS_OPENMETRICS },
		{ "Application/OpenMetrics-Text", METRICS_OPENMETRICS },
		/* a version that we do not write */
		{ "application/openmetrics-text;version=0.0.1", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;version=2.0.0,text/plain;q=0.1", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=0", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=0.4,text/plain;q=0.5", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=0.5,text/plain;q=0.5", METRICS_OPENMETRICS },
		{ "application/openmetrics-text;q=0.4,text/*;q=0.5", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=0.4,text/plain;q=0.3,text/*;q=1", METRICS_OPENMETRICS },
		/* weights that are none */
		{ "application/openmetrics-text;q=2", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=.9", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=", METRICS_PROMETHEUS },
		{ "application/openmetrics-text;q=1.001", METRICS_PROMETHEUS },
		/* Prometheus 2.42 and 3 */
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
			"q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
			"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
			"escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
			METRICS_OPENMETRICS },
		{ "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
			METRICS_PROMETHEUS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char head[600];

		snprintf(head, sizeof(head), "GET /metrics HTTP/1.1\r\n" HOST "Accept: %s\r\n\r\n",
			cases[i].accept);
		assert_int_equal(ask(head), 200);
		if (request.format != cases[i].format)
			fail_msg("wrong format for: %s", cases[i].accept);
	}
}

static void several_accept_fields_are_one_list(void **state)
{
	assert_int_equal(ask("GET /metrics HTTP/1.1\r\n" HOST "Accept: text/plain;q=0.2\r\n"
		"Accept: application/openmetrics-text;q=0.3\r\n\r\n"), 200);
	assert_int_equal(request.format, METRICS_OPENMETRICS);
	assert_int_equal(ask("GET /metrics HTTP/1.1\r\n" HOST "Accept: application/openmetrics-text;q=0.3\r\n"
		"Accept: text/plain\r\n\r\n"), 200);
	assert_int_equal(request.format, METRICS_PROMETHEUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_found_by_their_path),
		cmocka_unit_test(everything_else_is_refused),
		cmocka_unit_test(accept_decides_the_format),
		cmocka_unit_test(several_accept_fields_are_one_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
