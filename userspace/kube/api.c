// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// GET requests to the API server: libcurl's multi interface, driven by our loop.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <sodium.h>

#include "kube/internal.h"
#include "lazy/libcurl.h"

#define TOKEN_MAX	16384
#define CONNECT_S	10L

struct kube_api {
	const struct libcurl *lib;
	struct loop *loop;
	CURLM *multi;
	struct loop_timer timer;	/* libcurl's */
	char url[256], dir[256];
};

/* A socket of libcurl's. It may go in its own callback. */
struct watched {
	struct kube_api *api;
	struct loop_fd watch;
	struct loop_deferred deferred;
};

struct kube_request {
	struct kube_api *api;
	CURL *curl;
	struct curl_slist *headers;	/* with the token: wiped */
	struct kube_lines lines;
	struct kube_events events;
	void *ctx;
	int error;
	char detail[CURL_ERROR_SIZE];
};

/* --- between libcurl and the loop --- */

static void drop_headers(struct kube_request *request)
{
	for (struct curl_slist *h = request->headers; h; h = h->next)
		sodium_memzero(h->data, strlen(h->data));
	request->api->lib->slist_free(request->headers);
}

static void free_request(struct kube_request *request)
{
	struct kube_api *api = request->api;

	if (request->curl) {
		api->lib->multi_remove(api->multi, request->curl);
		api->lib->cleanup(request->curl);
	}
	drop_headers(request);
	kube_lines_done(&request->lines);
	free(request);
}

static void finish(struct kube_api *api, CURL *curl, CURLcode code)
{
	struct kube_answer answer = {};
	struct kube_request *request;
	char why[KUBE_WHY_LEN];
	int error;

	api->lib->getinfo(curl, CURLINFO_PRIVATE, (char **)&request);
	api->lib->getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
	if (!code && !request->error && answer.status == 200)
		request->error = kube_lines_end(&request->lines, request->events.line, request->ctx);
	error = request->error;
	if (!error && code && code != CURLE_OPERATION_TIMEDOUT && answer.status == 200)
		error = -ECONNRESET;
	if (error == -ENOMEM || error == -EMSGSIZE)
		snprintf(why, sizeof(why), "%s", error == -ENOMEM ? "out of memory"
			: "an object is too large");
	else
		snprintf(why, sizeof(why), "%.200s", request->detail[0] ? request->detail
			: api->lib->error_text(code));
	answer.why = why;
	{
		const struct kube_events events = request->events;
		void *ctx = request->ctx;

		free_request(request);
		events.done(ctx, &answer, error);
	}
}

static void read_results(struct kube_api *api)
{
	CURLMsg *message;
	int left;

	while ((message = api->lib->multi_info_read(api->multi, &left))) {
		if (message->msg == CURLMSG_DONE)
			finish(api, message->easy_handle, message->data.result);
	}
}

static void on_socket(void *ctx, uint32_t events)
{
	struct watched *w = ctx;
	struct kube_api *api = w->api;
	int bits = 0, running;

	if (events & EPOLLIN)
		bits |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		bits |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		bits |= CURL_CSELECT_ERR;
	api->lib->multi_socket_action(api->multi, w->watch.fd, bits, &running);
	read_results(api);
}

static void on_timer(void *ctx)
{
	struct kube_api *api = ctx;
	int running;

	api->lib->multi_socket_action(api->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_results(api);
}

static void unwatch(struct kube_api *api, struct watched *w)
{
	loop_fd_remove(api->loop, &w->watch);
	loop_defer_free(api->loop, &w->deferred, free, w);
}

static int want_socket(CURL *curl, curl_socket_t fd, int what, void *ctx, void *of_socket)
{
	struct kube_api *api = ctx;
	struct watched *w = of_socket;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);

	if (what == CURL_POLL_REMOVE) {
		if (w)
			unwatch(api, w);
		return 0;
	}
	if (w)
		return loop_fd_change(api->loop, &w->watch, events) ? -1 : 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -1;
	w->api = api;
	if (loop_fd_add(api->loop, &w->watch, fd, events, on_socket, w)) {
		free(w);
		return -1;
	}
	api->lib->multi_assign(api->multi, fd, w);
	return 0;
}

static int want_timer(CURLM *multi, long ms, void *ctx)
{
	struct kube_api *api = ctx;

	if (ms < 0)
		loop_timer_cancel(api->loop, &api->timer);
	else
		loop_timer_after(api->loop, &api->timer, ms * LOOP_MS);
	return 0;
}

int kube_api_new(struct loop *loop, const char *url, const char *dir, struct kube_api **ret_api, char *why,
	size_t size)
{
	const struct libcurl *lib = libcurl_load(why, size);
	struct kube_api *api;

	if (!lib)
		return -ELIBACC;
	api = calloc(1, sizeof(*api));
	if (api)
		api->multi = lib->multi_init();
	if (!api || !api->multi) {
		free(api);
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	api->lib = lib;
	api->loop = loop;
	snprintf(api->url, sizeof(api->url), "%s", url);
	snprintf(api->dir, sizeof(api->dir), "%s", dir);
	loop_timer_init(&api->timer, on_timer, api);
	lib->multi_setopt(api->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	lib->multi_setopt(api->multi, CURLMOPT_SOCKETDATA, api);
	lib->multi_setopt(api->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	lib->multi_setopt(api->multi, CURLMOPT_TIMERDATA, api);
	*ret_api = api;
	return 0;
}

void kube_api_free(struct kube_api *api)
{
	if (!api)
		return;
	api->lib->multi_cleanup(api->multi);
	loop_timer_cancel(api->loop, &api->timer);
	free(api);
}

/* --- a request --- */

/*
 * The kubelet replaces the file long before the token ends; as each request reads it, and none lasts longer
 * than minutes, a rotation needs nothing else.
 */
static int add_token(struct kube_request *request, char *why, size_t size)
{
	static const char head[] = "Authorization: Bearer ";
	struct kube_api *api = request->api;
	char path[280], *text = calloc(1, sizeof(head) + TOKEN_MAX);
	struct curl_slist *list = NULL;
	ssize_t len = -1;
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/token", api->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (text) {
		memcpy(text, head, sizeof(head) - 1);
		len = fd < 0 ? -1 : read(fd, text + sizeof(head) - 1, TOKEN_MAX);
	}
	while (len > 0 && (unsigned char)text[sizeof(head) - 2 + len] <= ' ')
		text[sizeof(head) - 2 + len--] = '\0';
	if (len > 0 && len < TOKEN_MAX && !strpbrk(text + sizeof(head) - 1, "\r\n"))
		list = api->lib->slist_append(NULL, text);
	if (!list) {
		snprintf(why, size, "%s: expected a ServiceAccount token of less than 16 KiB", path);
		ret = -ENOKEY;
	}
	request->headers = list;
	if (fd >= 0)
		close(fd);
	if (text)
		sodium_memzero(text, sizeof(head) + TOKEN_MAX);
	free(text);
	return ret;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
	struct kube_request *request = ctx;
	size_t len = size * count;
	long status = 0;

	request->api->lib->getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return len;	/* prose */
	request->error = kube_lines_feed(&request->lines, bytes, len, request->events.line, request->ctx);
	return request->error ? 0 : len;
}

/* The blank line ends the headers. */
static size_t take_header(char *bytes, size_t size, size_t count, void *ctx)
{
	struct kube_request *request = ctx;
	size_t len = size * count;
	long status = 0;

	request->api->lib->getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
	if (len == 2 && !memcmp(bytes, "\r\n", 2) && status == 200)
		request->events.opened(request->ctx);
	return len;
}

static void set_options(struct kube_request *request, const char *path, unsigned int timeout_s)
{
	const struct libcurl *lib = request->api->lib;
	bool is_tls = !strncmp(request->api->url, "https:", 6);
	CURL *curl = request->curl;
	char text[1024 + KUBE_CONTINUE_LEN];

	snprintf(text, sizeof(text), "%s%s", request->api->url, path);
	lib->setopt(curl, CURLOPT_URL, text);
	snprintf(text, sizeof(text), "%s/ca.crt", request->api->dir);
	lib->setopt(curl, CURLOPT_CAINFO, text);
	lib->setopt(curl, CURLOPT_CAPATH, NULL);
	lib->setopt(curl, CURLOPT_PROTOCOLS_STR, is_tls ? "https" : "http");
	lib->setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	lib->setopt(curl, CURLOPT_NOPROXY, "*");
	lib->setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	lib->setopt(curl, CURLOPT_HTTPHEADER, request->headers);
	lib->setopt(curl, CURLOPT_USERAGENT, "talon/" TALON_VERSION);
	lib->setopt(curl, CURLOPT_NOSIGNAL, 1L);	/* SIGPIPE is ignored anyway */
	lib->setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	lib->setopt(curl, CURLOPT_TIMEOUT, (long)timeout_s);
	/* a server that is gone without a word is missed within a minute */
	lib->setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	lib->setopt(curl, CURLOPT_TCP_KEEPIDLE, 10L);
	lib->setopt(curl, CURLOPT_TCP_KEEPINTVL, 5L);
	lib->setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	lib->setopt(curl, CURLOPT_WRITEDATA, request);
	lib->setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	lib->setopt(curl, CURLOPT_HEADERDATA, request);
	lib->setopt(curl, CURLOPT_PRIVATE, request);
	lib->setopt(curl, CURLOPT_ERRORBUFFER, request->detail);
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
	request->api = api;
	request->events = *events;
	request->ctx = ctx;
	ret = add_token(request, why, size);
	if (!ret) {
		request->curl = api->lib->init();
		if (request->curl)
			set_options(request, path, timeout_s);
		if (!request->curl || api->lib->multi_add(api->multi, request->curl)) {
			snprintf(why, size, "out of memory");
			ret = -ENOMEM;
		}
	}
	if (ret)
		free_request(request);
	else
		*ret_request = request;
	return ret;
}

void kube_request_cancel(struct kube_request *request)
{
	if (request)
		free_request(request);
}
