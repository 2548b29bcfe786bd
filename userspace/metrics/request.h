/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What somebody who connected to the metrics server asks for. */
#ifndef TALON_METRICS_REQUEST_H
#define TALON_METRICS_REQUEST_H

#include "base/slice.h"
#include "metrics/metrics.h"

enum metrics_page { METRICS_PAGE_INDEX, METRICS_PAGE_METRICS, METRICS_PAGE_HEALTH, METRICS_PAGE_READY };

struct metrics_request {
	enum metrics_page page;
	bool is_head;			/* HEAD: the answer has no content */
	/* what Accept prefers (RFC 9110 section 12.5.1): text if it names neither of ours */
	enum metrics_format format;
};

/*
 * Reads a whole request head (RFC 9112), its empty line included. Returns 200 and writes *@ret_request, or
 * the status code of the refusal: 400, 404, 405 or 505. A refused HEAD is told from others by is_head, which
 * is written in any case.
 */
unsigned int metrics_request_parse(struct slice head, struct metrics_request *ret_request);

#endif
