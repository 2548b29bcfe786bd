// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Requests to the metrics server: the head's end is found at the same place however its bytes
// come, and what is
// inside is served or refused with one of our codes, the same each time.
#include <stdlib.h>

#include "base/slice.c"
#include "http/head.c"
#include "metrics/request.c"

#define MOST 4096

static int scan(const char *bytes, size_t len, size_t step, size_t *ret_used)
{
	struct http_scanner scanner = {};
	int ret = -EAGAIN;

	*ret_used = 0;
	while (ret == -EAGAIN && *ret_used < len) {
		size_t take = len - *ret_used < step ? len - *ret_used : step, used;

		ret = http_scan(&scanner, MOST, bytes + *ret_used, take, &used);
		if (used > take)
			abort();
		*ret_used += used;
	}
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct metrics_request request, again;
	struct slice head = { (const char *)data, len };
	size_t whole, parts;
	unsigned int code;

	if (scan(head.at, len, len ? len : 1, &whole) != scan(head.at, len, 1, &parts) || whole != parts)
		abort();
	head.len = whole;
	code = metrics_request_parse(head, &request);
	if (code != 200 && code != 400 && code != 404 && code != 405 && code != 505)
		abort();
	if (metrics_request_parse(head, &again) != code || again.page != request.page ||
		again.format != request.format || again.is_head != request.is_head)
		abort();
	if (request.page > METRICS_PAGE_READY || request.format > METRICS_OPENMETRICS)
		abort();
	return 0;
}
