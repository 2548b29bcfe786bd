// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// GET requests to the API server, with the token of the ServiceAccount; their bodies line by line.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "fetch/fetch.h"
#include "kube/internal.h"

#define TOKEN_MAX	16384
#define HEAD		"Authorization: Bearer "

struct kube_api {
	struct fetch *fetch;
	char url[256], dir[256];
};

struct kube_request {
	struct fetch_request *request;
	struct kube_lines lines;
	struct kube_events events;
	void *ctx;
};

int kube_api_new(struct loop *loop, const char *url, const char *dir, struct kube_api **ret_api, char *why,
	size_t size)
{
	struct kube_api *api = calloc(1, sizeof(*api));
	int ret;

	if (!api) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	ret = fetch_new(loop, &api->fetch, why, size);
	if (ret) {
		free(api);
		return ret;
	}
	snprintf(api->url, sizeof(api->url), "%s", url);
	snprintf(api->dir, sizeof(api->dir), "%s", dir);
	*ret_api = api;
	return 0;
}

void kube_api_free(struct kube_api *api)
{
	if (!api)
		return;
	fetch_free(api->fetch);
	free(api);
}

/* --- what comes back --- */

static void on_opened(void *ctx)
{
	struct kube_request *request = ctx;

	request->events.opened(request->ctx);
}

static int on_bytes(void *ctx, const char *bytes, size_t len)
{
	struct kube_request *request = ctx;

	return kube_lines_feed(&request->lines, bytes, len, request->events.line, request->ctx);
}

static void free_request(struct kube_request *request)
{
	kube_lines_done(&request->lines);
	free(request);
}

/* A watch that ran into our own timeout has ended in order. */
static int end_lines(struct kube_request *request, const struct fetch_answer *said)
{
	if (said->status != 200 || said->error == -ETIMEDOUT)
		return 0;
	return said->error ? said->error
		: kube_lines_end(&request->lines, request->events.line, request->ctx);
}

static void on_done(void *ctx, const struct fetch_answer *said)
{
	struct kube_request *request = ctx;
	const struct kube_events events = request->events;
	void *of_events = request->ctx;
	int error = end_lines(request, said);
	const struct kube_answer answer = { said->status, error == -ENOMEM ? "out of memory"
		: error == -EMSGSIZE ? "an object is too large" : said->why };

	free_request(request);
	events.done(of_events, &answer, error);
}

/* --- a request --- */

/*
 * The kubelet replaces the file long before the token ends; as each request reads it, and none lasts longer
 * than minutes, a rotation needs nothing else.
 */
static bool read_token(const char *path, char field[static sizeof(HEAD) + TOKEN_MAX])
{
	char *token = field + sizeof(HEAD) - 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, token, TOKEN_MAX);

	memcpy(field, HEAD, sizeof(HEAD) - 1);
	while (len > 0 && (unsigned char)token[len - 1] <= ' ')
		token[--len] = '\0';
	if (fd >= 0)
		close(fd);
	return len > 0 && len < TOKEN_MAX && !strpbrk(token, "\r\n");
}

static int begin(struct kube_api *api, const char *path, unsigned int timeout_s, struct kube_request *request,
	char *why, size_t size)
{
	static const struct fetch_events events = { on_opened, on_bytes, on_done };
	char url[1024 + KUBE_CONTINUE_LEN], ca[280], file[280], *field = calloc(1, sizeof(HEAD) + TOKEN_MAX);
	const struct fetch_options options = { .url = url, .ca_file = ca, .field = field,
		.timeout_s = timeout_s };
	int ret;

	snprintf(url, sizeof(url), "%s%s", api->url, path);
	snprintf(ca, sizeof(ca), "%s/ca.crt", api->dir);
	snprintf(file, sizeof(file), "%s/token", api->dir);
	if (!field) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	if (read_token(file, field)) {
		ret = fetch_get(api->fetch, &options, &events, request, &request->request, why, size);
	} else {
		snprintf(why, size, "%s: expected a ServiceAccount token of less than 16 KiB", file);
		ret = -ENOKEY;
	}
	sodium_memzero(field, sizeof(HEAD) + TOKEN_MAX);
	free(field);
	return ret;
}

int kube_api_get(struct kube_api *api, const char *path, unsigned int timeout_s,
	const struct kube_events *events, void *ctx, struct kube_request **ret_request, char *why,
	size_t size)
{
	struct kube_request *request = calloc(1, sizeof(*request));
	int ret;

	if (!request) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	request->events = *events;
	request->ctx = ctx;
	ret = begin(api, path, timeout_s, request, why, size);
	if (ret)
		free_request(request);
	else
		*ret_request = request;
	return ret;
}

void kube_request_cancel(struct kube_request *request)
{
	if (!request)
		return;
	fetch_cancel(request->request);
	free_request(request);
}
