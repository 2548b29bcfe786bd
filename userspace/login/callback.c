// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The browser comes back: a small HTTP server on loopback addresses, for one request that carries our state.
 * Others may come first (a browser opens connections ahead and asks for icons; any page in it can send
 * requests), so none but that one ends the wait.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "http/head.h"
#include "login/internal.h"

#define CONNECTIONS	16
#define LISTENERS	2
#define PATIENCE_MS	10000U		/* for a request to be whole */

/* --- what a request says --- */

struct query {
	char code[CALLBACK_CODE_LEN], state[256], error[128], description[256];
	bool has_code, has_state, has_error;
};

/* Takes a parameter that may come once. Returns false if it cannot be read. */
static bool take_once(struct slice value, bool *has, char *buf, size_t size)
{
	bool is_first = !*has;

	*has = true;
	return is_first && form_decode(value, buf, size);
}

static bool take_parameter(struct slice pair, struct query *q)
{
	struct slice value = pair, name = slice_cut(&value, "=");
	bool again = false;

	if (slice_is(name, "code"))
		return take_once(value, &q->has_code, q->code, sizeof(q->code));
	if (slice_is(name, "state"))
		return take_once(value, &q->has_state, q->state, sizeof(q->state));
	if (slice_is(name, "error"))
		return take_once(value, &q->has_error, q->error, sizeof(q->error));
	/* words for people, which may be cut away */
	if (slice_is(name, "error_description"))
		take_once(value, &again, q->description, sizeof(q->description));
	return true;
}

static bool take_query(struct slice text, struct query *q)
{
	struct slice pair;

	while (slice_next(&text, "&", &pair))
		if (!take_parameter(pair, q))
			return false;
	return true;
}

/* "GET /path?query HTTP/1.1". Returns false for anything else. */
static bool take_line(struct slice line, struct slice *ret_query)
{
	struct slice method = slice_cut(&line, " "), target = slice_cut(&line, " "), path;

	if (method.len != 3 || memcmp(method.at, "GET", 3) || line.len != 8 ||
		memcmp(line.at, "HTTP/1.", 7) || (line.at[7] != '0' && line.at[7] != '1') || !target.len ||
		target.at[0] != '/')
		return false;
	path = slice_cut(&target, "?");
	*ret_query = target;
	return path.len;
}

static bool is_state(const char *state, const char *given)
{
	return strlen(state) == strlen(given) && !sodium_memcmp(state, given, strlen(state));
}

static enum callback_verdict judge_query(const struct query *q, const char *state,
	char ret_code[static CALLBACK_CODE_LEN])
{
	if (!q->has_code && !q->has_error && !q->has_state)
		return CALLBACK_ELSEWHERE;
	if (!is_state(state, q->state))
		return CALLBACK_STRANGE;
	if (q->has_error) {
		snprintf(ret_code, CALLBACK_CODE_LEN, "%s%s%s", q->error, *q->description ? ": " : "",
			q->description);
		return CALLBACK_REFUSED;
	}
	if (!*q->code)
		return CALLBACK_MALFORMED;
	snprintf(ret_code, CALLBACK_CODE_LEN, "%s", q->code);
	return CALLBACK_CODE;
}

enum callback_verdict callback_judge(struct slice head, const char *state,
	char ret_code[static CALLBACK_CODE_LEN])
{
	enum callback_verdict verdict = CALLBACK_MALFORMED;
	struct query query = {};
	struct slice text;

	if (http_head_is_clean(head) && take_line(http_head_next_line(&head), &text) &&
		take_query(text, &query))
		verdict = judge_query(&query, state, ret_code);
	sodium_memzero(&query, sizeof(query));
	return verdict;
}

/* --- the server --- */

static int listen_on(const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, addr, len) || listen(fd, CONNECTIONS)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

int callback_open(struct callback *callback, uint16_t port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };

	callback->fds[1] = -1;
	callback->fds[0] = listen_on((struct sockaddr *)&four, sizeof(four));
	if (callback->fds[0] < 0)
		return callback->fds[0];
	callback->fds[1] = listen_on((struct sockaddr *)&six, sizeof(six));
	/* Whoever else has this port on ::1 would get what a browser sends to localhost. */
	if (callback->fds[1] == -EADDRINUSE) {
		callback_close(callback);
		return -EADDRINUSE;
	}
	if (callback->fds[1] < 0)	/* a host without IPv6 */
		callback->fds[1] = -1;
	return 0;
}

void callback_close(struct callback *callback)
{
	for (int i = 0; i < LISTENERS; i++) {
		if (callback->fds[i] >= 0)
			close(callback->fds[i]);
		callback->fds[i] = -1;
	}
}

struct connection {
	int fd;				/* -1: free */
	uint64_t since_ns;
	struct http_scanner scanner;
	size_t len;
	char head[CALLBACK_HEAD_MAX];
};

struct server {
	struct callback *listeners;
	const char *state;
	char *code;
	struct connection connections[CONNECTIONS];
};

static void hang_up(struct connection *c)
{
	close(c->fd);
	sodium_memzero(c->head, sizeof(c->head));
	*c = (struct connection){ .fd = -1 };
}

/* Nothing of the request is in the page. */
static void answer(int fd, enum callback_verdict verdict)
{
	static const struct { const char *status, *text; } pages[] = {
		[CALLBACK_CODE] = { "200 OK", "You may close this page. The terminal says how it went on." },
		[CALLBACK_REFUSED] = { "200 OK", "Signing in was refused. The terminal says more." },
		[CALLBACK_STRANGE] = { "400 Bad Request", "This is not the sign-in that Talon waits for." },
		[CALLBACK_ELSEWHERE] = { "404 Not Found", "There is nothing here." },
		[CALLBACK_MALFORMED] = { "400 Bad Request", "This request is not understood." },
	};
	const char *text = pages[verdict].text;
	char page[700];
	int len = snprintf(page, sizeof(page), "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n"
		"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
		"Content-Security-Policy: default-src 'none'\r\n\r\n%s", pages[verdict].status,
		strlen(text), text);

	/* It fits into any socket's buffer; a browser that has gone misses nothing. */
	if (send(fd, page, len, MSG_NOSIGNAL | MSG_DONTWAIT) == len)
		shutdown(fd, SHUT_WR);
}

/* Returns a verdict that ends the wait, or -EAGAIN. */
static int receive(struct server *s, struct connection *c)
{
	enum callback_verdict verdict = CALLBACK_MALFORMED;
	ssize_t n = recv(c->fd, c->head + c->len, sizeof(c->head) - c->len, MSG_DONTWAIT);
	size_t used;
	int ret;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0) {
		hang_up(c);
		return -EAGAIN;
	}
	ret = http_scan(&c->scanner, CALLBACK_HEAD_MAX, c->head + c->len, n, &used);
	c->len += used;
	if (ret == -EAGAIN && c->len < sizeof(c->head))
		return -EAGAIN;
	if (!ret)
		verdict = callback_judge((struct slice){ c->head, c->len }, s->state, s->code);
	answer(c->fd, verdict);
	hang_up(c);
	return verdict == CALLBACK_CODE || verdict == CALLBACK_REFUSED ? (int)verdict : -EAGAIN;
}

static void accept_one(struct server *s, int listener)
{
	struct connection *c = NULL;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	/* The oldest gives way: a browser opens connections that it never uses. */
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct connection *at = &s->connections[i];

		if (at->fd < 0) {
			c = at;
			break;
		}
		if (!c || at->since_ns < c->since_ns)
			c = at;
	}
	if (c->fd >= 0)
		hang_up(c);
	c->fd = fd;
	c->since_ns = clock_mono_ns();
}

static void show_out_the_silent(struct server *s, uint64_t now_ns)
{
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (s->connections[i].fd >= 0 &&
			now_ns - s->connections[i].since_ns > PATIENCE_MS * 1000000ULL)
			hang_up(&s->connections[i]);
}

/* One round. Returns a verdict that ends the wait, -EAGAIN, or another negative errno. */
static int turn(struct server *s, int wait_ms)
{
	struct pollfd fds[LISTENERS + CONNECTIONS];
	int ret = -EAGAIN;

	for (size_t i = 0; i < LISTENERS; i++)
		fds[i] = (struct pollfd){ .fd = s->listeners->fds[i], .events = POLLIN };
	for (size_t i = 0; i < CONNECTIONS; i++)
		fds[LISTENERS + i] = (struct pollfd){ .fd = s->connections[i].fd, .events = POLLIN };
	if (poll(fds, LISTENERS + CONNECTIONS, wait_ms) < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	for (size_t i = 0; i < CONNECTIONS && ret == -EAGAIN; i++)
		if (fds[LISTENERS + i].revents)
			ret = receive(s, &s->connections[i]);
	for (size_t i = 0; i < LISTENERS && ret == -EAGAIN; i++)
		if (fds[i].revents)
			accept_one(s, fds[i].fd);
	return ret;
}

int callback_wait(struct callback *callback, const char *state, unsigned int timeout_ms,
	char ret_code[static CALLBACK_CODE_LEN])
{
	struct server *s = calloc(1, sizeof(*s));
	uint64_t now_ns = clock_mono_ns(), end_ns = now_ns + timeout_ms * 1000000ULL;
	int ret = -EAGAIN;

	if (!s)
		return -ENOMEM;
	s->listeners = callback;
	s->state = state;
	s->code = ret_code;
	for (size_t i = 0; i < CONNECTIONS; i++)
		s->connections[i].fd = -1;
	while (ret == -EAGAIN && now_ns < end_ns) {
		uint64_t left_ms = (end_ns - now_ns) / 1000000 + 1;

		ret = turn(s, left_ms < 1000 ? (int)left_ms : 1000);
		now_ns = clock_mono_ns();
		show_out_the_silent(s, now_ns);
	}
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (s->connections[i].fd >= 0)
			hang_up(&s->connections[i]);
	free(s);
	return ret == -EAGAIN ? -ETIMEDOUT : ret;
}
