// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Documents from the network.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fetch/fetch.h"
#include "oidc/internal.h"

#define TIMEOUT_S	10

struct web {
	struct fetch *fetch;
	char *ca_file;
};

struct web_request {
	struct fetch_request *request;
	oidc_document_fn done;
	void *of_done;
};

static void on_done(void *ctx, const struct fetch_answer *said)
{
	struct web_request *request = ctx;
	oidc_document_fn done = request->done;
	void *of_done = request->of_done;
	char why[OIDC_WHY_LEN] = "";

	if (said->error)
		snprintf(why, sizeof(why), "%.250s", said->why);
	else if (said->status != 200)
		snprintf(why, sizeof(why), "HTTP status %ld%s", said->status,
			said->status / 100 == 3 ? ", a redirect, which is not followed" : "");
	free(request);
	if (*why)
		done(of_done, NULL, 0, "", why);
	else
		done(of_done, said->body ? said->body : "", said->len, said->cache_control, NULL);
}

static int get(void *ctx, const char *url, oidc_document_fn done, void *of_done, void **ret_request,
	char why[static OIDC_WHY_LEN])
{
	static const struct fetch_events events = { .done = on_done };
	struct web *web = ctx;
	const struct fetch_options options = { .url = url, .ca_file = web->ca_file, .timeout_s = TIMEOUT_S,
		.most = OIDC_DOCUMENT_MAX, .may_proxy = true };
	struct web_request *request = malloc(sizeof(*request));
	int ret;

	if (!request) {
		snprintf(why, OIDC_WHY_LEN, "out of memory");
		return -ENOMEM;
	}
	request->done = done;
	request->of_done = of_done;
	ret = fetch_get(web->fetch, &options, &events, request, &request->request, why, OIDC_WHY_LEN);
	if (ret)
		free(request);
	else
		*ret_request = request;
	return ret;
}

static void cancel(void *ctx, void *of_request)
{
	struct web_request *request = of_request;

	fetch_cancel(request->request);
	free(request);
}

static void release(void *ctx)
{
	struct web *web = ctx;

	fetch_free(web->fetch);
	free(web->ca_file);
	free(web);
}

static uint64_t now_s(void *ctx)
{
	return clock_unix_ns() / LOOP_SECOND;
}

int oidc_new(struct loop *loop, const struct oidc_options *options, struct oidc **ret_oidc,
	char why[static OIDC_WHY_LEN])
{
	struct oidc_source source = { get, cancel, release, now_s, NULL };
	struct web *web = calloc(1, sizeof(*web));
	int ret = web ? 0 : -ENOMEM;

	if (!ret && options->ca_file) {
		web->ca_file = strdup(options->ca_file);
		ret = web->ca_file ? 0 : -ENOMEM;
	}
	if (ret)
		snprintf(why, OIDC_WHY_LEN, "out of memory");
	else
		ret = fetch_new(loop, &web->fetch, why, OIDC_WHY_LEN);
	source.ctx = web;
	if (!ret)
		return oidc_new_from(loop, options, &source, ret_oidc, why);
	if (web)
		free(web->ca_file);
	free(web);
	return ret;
}
