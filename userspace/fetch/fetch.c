// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// libcurl's multi interface on our loop.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <sodium.h>

#include "base/server_url.h"
#include "fetch/fetch.h"
#include "http/head.h"
#include "lazy/libcurl.h"

#define CONNECT_S	10L
#define CACHE_LEN	256

struct fetch {
	const struct libcurl *lib;
	struct loop *loop;
	CURLM *multi;			/* NULL: freed, by a callback */
	struct loop_timer timer;	/* libcurl's */
	struct loop_deferred deferred;
};

/* A socket of libcurl's. It may go in its own callback. */
struct watched {
	struct fetch *fetch;
	struct loop_fd watch;
	struct loop_deferred deferred;
};

struct fetch_request {
	struct fetch *fetch;
	CURL *curl;
	struct curl_slist *fields;	/* maybe with a secret: wiped */
	struct fetch_events events;
	void *ctx;
	char *body;
	size_t len, most;
	int error;
	char cache_control[CACHE_LEN];
	char detail[CURL_ERROR_SIZE];
};

static void wipe_fields(struct fetch_request *request)
{
	for (struct curl_slist *field = request->fields; field; field = field->next)
		sodium_memzero(field->data, strlen(field->data));
	request->fetch->lib->slist_free(request->fields);
}

static void free_request(struct fetch_request *request)
{
	struct fetch *fetch = request->fetch;

	if (request->curl) {
		fetch->lib->multi_remove(fetch->multi, request->curl);
		fetch->lib->cleanup(request->curl);
	}
	wipe_fields(request);
	free(request->body);
	free(request);
}

/* --- between libcurl and the loop --- */

static int judge(const struct fetch_request *request, CURLcode code, long status)
{
	if (request->error || !code)
		return request->error;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return -ETIMEDOUT;
	return status ? -ECONNRESET : -EHOSTUNREACH;
}

static void finish(struct fetch *fetch, CURL *curl, CURLcode code)
{
	struct fetch_answer answer = {};
	struct fetch_request *request;
	char why[FETCH_WHY_LEN];

	fetch->lib->getinfo(curl, CURLINFO_PRIVATE, (char **)&request);
	fetch->lib->getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
	answer.error = judge(request, code, answer.status);
	if (answer.error == -EMSGSIZE)
		snprintf(why, sizeof(why), "the answer is longer than %zu bytes", request->most);
	else
		snprintf(why, sizeof(why), "%.250s", request->detail[0] ? request->detail
			: fetch->lib->error_text(code));
	answer.why = why;
	answer.cache_control = request->cache_control;
	answer.body = request->body;
	answer.len = request->len;
	/* libcurl is done with it; the callback may free all of us */
	fetch->lib->multi_remove(fetch->multi, curl);
	fetch->lib->cleanup(curl);
	request->curl = NULL;
	wipe_fields(request);
	request->events.done(request->ctx, &answer);
	free(request->body);
	free(request);
}

static void read_results(struct fetch *fetch)
{
	CURLMsg *message;
	int left;

	while (fetch->multi && (message = fetch->lib->multi_info_read(fetch->multi, &left))) {
		if (message->msg == CURLMSG_DONE)
			finish(fetch, message->easy_handle, message->data.result);
	}
}

static void on_socket(void *ctx, uint32_t events)
{
	struct watched *w = ctx;
	struct fetch *fetch = w->fetch;
	int bits = 0, running;

	if (events & EPOLLIN)
		bits |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		bits |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		bits |= CURL_CSELECT_ERR;
	fetch->lib->multi_socket_action(fetch->multi, w->watch.fd, bits, &running);
	read_results(fetch);
}

static void on_timer(void *ctx)
{
	struct fetch *fetch = ctx;
	int running;

	fetch->lib->multi_socket_action(fetch->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_results(fetch);
}

static void unwatch(struct fetch *fetch, struct watched *w)
{
	loop_fd_remove(fetch->loop, &w->watch);
	loop_defer_free(fetch->loop, &w->deferred, free, w);
}

static int want_socket(CURL *curl, curl_socket_t fd, int what, void *ctx, void *of_socket)
{
	struct fetch *fetch = ctx;
	struct watched *w = of_socket;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);

	if (what == CURL_POLL_REMOVE) {
		if (w)
			unwatch(fetch, w);
		return 0;
	}
	if (w)
		return loop_fd_change(fetch->loop, &w->watch, events) ? -1 : 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -1;
	w->fetch = fetch;
	if (loop_fd_add(fetch->loop, &w->watch, fd, events, on_socket, w)) {
		free(w);
		return -1;
	}
	fetch->lib->multi_assign(fetch->multi, fd, w);
	return 0;
}

static int want_timer(CURLM *multi, long ms, void *ctx)
{
	struct fetch *fetch = ctx;

	if (ms < 0)
		loop_timer_cancel(fetch->loop, &fetch->timer);
	else
		loop_timer_after(fetch->loop, &fetch->timer, ms * LOOP_MS);
	return 0;
}

int fetch_new(struct loop *loop, struct fetch **ret_fetch, char *why, size_t size)
{
	const struct libcurl *lib = libcurl_load(why, size);
	struct fetch *fetch;

	if (!lib)
		return -ELIBACC;
	fetch = calloc(1, sizeof(*fetch));
	if (fetch)
		fetch->multi = lib->multi_init();
	if (!fetch || !fetch->multi) {
		free(fetch);
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	/* libcurl's TLS writes to connections that the server has closed, and leaves signals alone here */
	signal(SIGPIPE, SIG_IGN);
	fetch->lib = lib;
	fetch->loop = loop;
	loop_timer_init(&fetch->timer, on_timer, fetch);
	lib->multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	lib->multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
	lib->multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	lib->multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
	*ret_fetch = fetch;
	return 0;
}

void fetch_free(struct fetch *fetch)
{
	if (!fetch)
		return;
	fetch->lib->multi_cleanup(fetch->multi);
	fetch->multi = NULL;
	loop_timer_cancel(fetch->loop, &fetch->timer);
	loop_defer_free(fetch->loop, &fetch->deferred, free, fetch);
}

/* --- a request --- */

static long status_of(const struct fetch_request *request)
{
	long status = 0;

	request->fetch->lib->getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static int gather(struct fetch_request *request, const char *bytes, size_t len)
{
	char *grown;

	if (len > request->most - request->len)
		return -EMSGSIZE;
	grown = realloc(request->body, request->len + len + 1);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + request->len, bytes, len);
	request->body = grown;
	request->len += len;
	grown[request->len] = '\0';
	return 0;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
	struct fetch_request *request = ctx;
	size_t len = size * count;

	if (status_of(request) != 200)
		return len;	/* prose */
	request->error = request->events.bytes ? request->events.bytes(request->ctx, bytes, len)
		: gather(request, bytes, len);
	return request->error ? 0 : len;
}

static void take_field(struct fetch_request *request, struct slice line)
{
	struct http_field field;
	size_t len;

	if (http_field_parse(slice_trim(line), &field) || !slice_is(field.name, "cache-control"))
		return;
	len = field.value.len < CACHE_LEN - 1 ? field.value.len : CACHE_LEN - 1;
	snprintf(request->cache_control, CACHE_LEN, "%.*s", (int)len, field.value.at);
}

/* The blank line ends the head. */
static size_t take_line(char *bytes, size_t size, size_t count, void *ctx)
{
	struct fetch_request *request = ctx;
	size_t len = size * count;

	if (len != 2 || memcmp(bytes, "\r\n", 2))
		take_field(request, (struct slice){ bytes, len });
	else if (request->events.opened && status_of(request) == 200)
		request->events.opened(request->ctx);
	return len;
}

static void set_trust(struct fetch_request *request, const char *ca_file)
{
	const struct libcurl *lib = request->fetch->lib;
	const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

	if (ca_file) {
		lib->setopt(request->curl, CURLOPT_CAINFO, ca_file);
		lib->setopt(request->curl, CURLOPT_CAPATH, NULL);
		return;
	}
	if (file && *file)
		lib->setopt(request->curl, CURLOPT_CAINFO, file);
	if (dir && *dir)
		lib->setopt(request->curl, CURLOPT_CAPATH, dir);
}

static void set_options(struct fetch_request *request, const struct fetch_options *options,
	const struct server_url *url)
{
	const struct libcurl *lib = request->fetch->lib;
	CURL *curl = request->curl;

	lib->setopt(curl, CURLOPT_URL, options->url);
	lib->setopt(curl, CURLOPT_PROTOCOLS_STR, url->scheme == SERVER_HTTPS ? "https" : "http");
	lib->setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	if (!options->may_proxy || server_url_is_loopback(url))
		lib->setopt(curl, CURLOPT_NOPROXY, "*");
	lib->setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	lib->setopt(curl, CURLOPT_HTTPHEADER, request->fields);
	lib->setopt(curl, CURLOPT_USERAGENT, "talon/" TALON_VERSION);
	lib->setopt(curl, CURLOPT_NOSIGNAL, 1L);	/* SIGPIPE is ignored: fetch_new() */
	lib->setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	lib->setopt(curl, CURLOPT_TIMEOUT, (long)options->timeout_s);
	/* a server that is gone without a word is missed within a minute */
	lib->setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	lib->setopt(curl, CURLOPT_TCP_KEEPIDLE, 10L);
	lib->setopt(curl, CURLOPT_TCP_KEEPINTVL, 5L);
	lib->setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	lib->setopt(curl, CURLOPT_WRITEDATA, request);
	lib->setopt(curl, CURLOPT_HEADERFUNCTION, take_line);
	lib->setopt(curl, CURLOPT_HEADERDATA, request);
	lib->setopt(curl, CURLOPT_PRIVATE, request);
	lib->setopt(curl, CURLOPT_ERRORBUFFER, request->detail);
	set_trust(request, options->ca_file);
}

static int begin(struct fetch_request *request, const struct fetch_options *options,
	const struct server_url *url)
{
	struct fetch *fetch = request->fetch;

	request->curl = fetch->lib->init();
	if (options->field)
		request->fields = fetch->lib->slist_append(NULL, options->field);
	if (!request->curl || (options->field && !request->fields))
		return -ENOMEM;
	set_options(request, options, url);
	return fetch->lib->multi_add(fetch->multi, request->curl) ? -ENOMEM : 0;
}

int fetch_get(struct fetch *fetch, const struct fetch_options *options, const struct fetch_events *events,
	void *ctx, struct fetch_request **ret_request, char *why, size_t size)
{
	struct fetch_request *request;
	struct server_url url;
	int ret;

	if (server_url_parse(options->url, SERVER_SCHEMES_WEB, &url)) {
		snprintf(why, size, "%.200s: expected http:// or https://", options->url);
		return -EINVAL;
	}
	request = calloc(1, sizeof(*request));
	ret = request ? 0 : -ENOMEM;
	if (request) {
		*request = (struct fetch_request){ .fetch = fetch, .events = *events, .ctx = ctx,
			.most = options->most };
		ret = begin(request, options, &url);
	}
	if (ret)
		snprintf(why, size, "out of memory");
	if (ret && request)
		free_request(request);
	else if (!ret)
		*ret_request = request;
	return ret;
}

void fetch_cancel(struct fetch_request *request)
{
	if (request)
		free_request(request);
}
