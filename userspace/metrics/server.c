// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The HTTP server: a thread with a loop, a few connections, and answers that several of them share.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "http/head.h"
#include "log/log.h"
#include "loop/loop.h"
#include "metrics/listen.h"
#include "metrics/request.h"
#include "metrics/server.h"
#include "status/status.h"

#define STACK_SIZE	(256 << 10)
#define NICE		5		/* the controller goes first */
#define FRESH_NS	(100 * LOOP_MS)	/* that long an answer serves everybody */
/* ... and longer if it took long to make: rendering takes at most a tenth of the time for each format */
#define FRESH_SHARE	10
#define WINDOW_NS	(100 * LOOP_MS)
#define WINDOW_MOST	400		/* connections taken in a window */
#define TEXTS_MOST	4		/* alive at once, with those that slow readers are getting */
#define DRAIN_NS	LOOP_SECOND
#define DRAIN_MOST	(64 << 10)	/* bytes */
#define INTRO_LEN	320

/* Content of an answer, shared by those who are getting it. */
struct body {
	unsigned int refs;
	bool is_text;			/* an exposition, of which there are few at once */
	bool is_failure;		/* it should be one */
	char *bytes;
	size_t len;
};

enum state { FREE, READING, WRITING, DRAINING };

struct connection {
	struct metrics_server *server;
	enum state state;
	struct loop_fd watch;
	struct loop_timer deadline;
	uint64_t since_ns;
	/* IPv4 address or 64 bits of an IPv6 one, and at the end the family; zeros: a Unix socket */
	uint8_t source[16];
	struct http_scanner scanner;
	char head[METRICS_HEAD_MOST];
	size_t head_len;
	char intro[INTRO_LEN];		/* status line and fields */
	size_t intro_len;
	struct body *body;
	size_t content_len;		/* of @body that is sent: none for HEAD */
	size_t sent;			/* of intro and content; when draining, of what was thrown away */
	bool is_scrape;			/* the whole answer will count as one */
	bool is_answered;
};

struct cache {
	struct body *body;
	uint64_t until_ns;
};

/* What /healthz and /readyz say. */
struct judgement {
	uint64_t until_ns;
	bool is_live, is_ready;
	char live[CONFIG_WHY_LEN], ready[CONFIG_WHY_LEN];
};

struct metrics_server {
	struct metrics_server_options options;
	struct metrics_listener listener;
	struct loop *loop;
	struct loop_fd accept_watch, stop_watch;
	int stop_fd;
	pthread_t thread;
	struct connection connections[METRICS_CONNECTIONS_MOST];
	struct loop_timer pause;	/* nobody is taken in until then */
	uint64_t window_ns;
	unsigned int in_window;
	struct cache caches[2];		/* by enum metrics_format */
	struct loop_timer forget;	/* both */
	unsigned int texts;
	struct judgement judgement;
	struct log_limit failures;
	_Atomic uint64_t beat_ns, answered, refused;
	pthread_mutex_t told_lock;
	char told[256];			/* by the controller: why it is not ready; guarded by told_lock */
};

/* Content. */

static struct body *body_new(char *bytes, size_t len)
{
	struct body *body = bytes ? calloc(1, sizeof(*body)) : NULL;

	if (!body) {
		free(bytes);
		return NULL;
	}
	*body = (struct body){ .refs = 1, .bytes = bytes, .len = len };
	return body;
}

/* @line and a line feed. */
static struct body *body_line(const char *line)
{
	char *bytes;
	int len = asprintf(&bytes, "%s\n", line);

	return len < 0 ? NULL : body_new(bytes, len);
}

static void body_unref(struct metrics_server *server, struct body **place)
{
	struct body *body = *place;

	*place = NULL;
	if (!body || --body->refs)
		return;
	server->texts -= body->is_text;
	free(body->bytes);
	free(body);
}

static void forget_texts(void *ctx)
{
	struct metrics_server *server = ctx;

	for (size_t i = 0; i < sizeof(server->caches) / sizeof(server->caches[0]); i++)
		body_unref(server, &server->caches[i].body);
}

/* Connections. */

static void connection_close(struct connection *c)
{
	struct metrics_server *server = c->server;

	if (!c->is_answered)
		atomic_fetch_add(&server->refused, 1);
	loop_timer_cancel(server->loop, &c->deadline);
	loop_fd_remove(server->loop, &c->watch);
	close(c->watch.fd);
	body_unref(server, &c->body);
	c->state = FREE;
}

static void on_deadline(void *ctx)
{
	connection_close(ctx);
}

/* What a victim is looked for among. */
struct among {
	const uint8_t *source;		/* NULL: any */
	bool text_only;			/* those that are getting a text */
};

static bool is_among(const struct connection *c, const struct among *among)
{
	return c->state != FREE && (!among->text_only || (c->body && c->body->is_text)) &&
		(!among->source || !memcmp(c->source, among->source, sizeof(c->source)));
}

/*
 * Whose turn it is to go: those that have their answer, then those that have not asked, then readers; of
 * equals the oldest.
 */
static struct connection *find_victim(struct metrics_server *server, const struct among *among)
{
	static const int ranks[] = { [DRAINING] = 3, [READING] = 2, [WRITING] = 1, [FREE] = 0 };
	struct connection *victim = NULL;

	for (size_t i = 0; i < METRICS_CONNECTIONS_MOST; i++) {
		struct connection *c = &server->connections[i];

		if (!is_among(c, among))
			continue;
		if (!victim || ranks[c->state] > ranks[victim->state] ||
			(c->state == victim->state && c->since_ns < victim->since_ns))
			victim = c;
	}
	return victim;
}

/* Makes a text. Slow readers may not keep more than a few old ones in memory. */
static struct body *render(struct metrics_server *server, enum metrics_format format)
{
	const struct config_metrics *place = &server->options.place;
	const struct metrics_options options = { .pin_dir = server->options.pin_dir, .format = format,
		.peers = place->peers, .aliases = place->aliases };
	char *bytes, why[CONFIG_WHY_LEN] = "";
	struct connection *victim;
	struct body *body;
	size_t len;

	while (server->texts >= TEXTS_MOST &&
		(victim = find_victim(server, &(struct among){ .text_only = true })))
		connection_close(victim);
	if (server->options.render(&options, &bytes, &len, why, sizeof(why))) {
		log_limited(&server->failures, LOG_LEVEL_WARN, "metrics: %s", why);
		body = body_line(why);
		if (body)
			body->is_failure = true;
		return body;
	}
	body = body_new(bytes, len);
	if (body)
		body->is_text = true;
	server->texts += body != NULL;
	return body;
}

static struct body *find_text(struct metrics_server *server, enum metrics_format format)
{
	struct cache *cache = &server->caches[format];
	uint64_t before = clock_boot_ns(), took;

	if (!cache->body || before >= cache->until_ns) {
		body_unref(server, &cache->body);
		cache->body = render(server, format);
		took = clock_boot_ns() - before;
		cache->until_ns = before + took + (FRESH_SHARE * took > FRESH_NS ? FRESH_SHARE * took
			: FRESH_NS);
		loop_timer_set(server->loop, &server->forget, cache->until_ns);
	}
	if (cache->body)
		cache->body->refs++;
	return cache->body;
}

/*
 * Before this process has written to the maps, and without any, the beat alone says whether the loop turns.
 */
static void judge_beat(const struct metrics_server *server, struct judgement *j)
{
	uint64_t now = clock_boot_ns(), beat = atomic_load(&server->beat_ns);
	uint64_t age = now > beat ? now - beat : 0;

	j->is_live = age <= STATUS_HEARTBEAT_HUNG_NS;
	snprintf(j->live, sizeof(j->live), "live: %s: the controller's loop last turned %u s ago",
		j->is_live ? "yes" : "no", (unsigned int)(age / TALON_NSEC_PER_SEC));
}

/* What the controller said last holds while its loop turns; when it hangs, the maps alone are asked. */
static bool is_told_not_ready(struct metrics_server *server, struct judgement *j)
{
	uint64_t now = clock_boot_ns(), beat = atomic_load(&server->beat_ns);
	bool is_told;

	pthread_mutex_lock(&server->told_lock);
	is_told = server->told[0] && (now <= beat || now - beat <= STATUS_HEARTBEAT_HUNG_NS);
	if (is_told)
		snprintf(j->ready, sizeof(j->ready), "ready: no: %s", server->told);
	pthread_mutex_unlock(&server->told_lock);
	return is_told;
}

static const struct judgement *judge(struct metrics_server *server)
{
	struct judgement *j = &server->judgement;
	struct status status;
	char why[sizeof(j->ready) - 16];

	if (clock_boot_ns() < j->until_ns)
		return j;
	j->until_ns = clock_boot_ns() + FRESH_NS;
	j->is_ready = false;
	judge_beat(server, j);
	if (status_read_node(&status, server->options.pin_dir, why, sizeof(why))) {
		if (!is_told_not_ready(server, j))
			snprintf(j->ready, sizeof(j->ready), "ready: no: %s", why);
		return j;
	}
	j->is_ready = !is_told_not_ready(server, j) &&
		status_check(&status, STATUS_CHECK_READY, j->ready, sizeof(j->ready));
	if (status.pid == (__u32)getpid())
		j->is_live = status_check(&status, STATUS_CHECK_LIVE, j->live, sizeof(j->live));
	status_free(&status);
	return j;
}

/* Answers. */

static const char *name_code(unsigned int code)
{
	static const struct { unsigned int code; const char *text; } names[] = {
		{ 200, "OK" }, { 400, "Bad Request" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 431, "Request Header Fields Too Large" }, { 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].code == code)
			return names[i].text;
	}
	return "Error";
}

static void write_on(struct connection *c);

/* Begins to send @body, which may be NULL where memory is short; takes it over. */
static void answer(struct connection *c, unsigned int code, const char *type, struct body *body, bool is_head)
{
	if (!body) {
		connection_close(c);
		return;
	}
	c->state = WRITING;
	c->sent = 0;
	c->body = body;
	c->content_len = is_head ? 0 : body->len;
	c->intro_len = snprintf(c->intro, sizeof(c->intro), "HTTP/1.1 %u %s\r\nContent-Type: %s\r\n"
		"Content-Length: %zu\r\nCache-Control: no-store\r\n%sConnection: close\r\n\r\n", code,
		name_code(code), type, body->len, code == 405 ? "Allow: GET, HEAD\r\n" : "");
	write_on(c);
}

#define PLAIN "text/plain; charset=utf-8"

static void refuse(struct connection *c, unsigned int code, bool is_head)
{
	char line[48];

	snprintf(line, sizeof(line), "%u %s", code, name_code(code));
	answer(c, code, PLAIN, body_line(line), is_head);
}

static void answer_metrics(struct connection *c, const struct metrics_request *request)
{
	struct body *body = find_text(c->server, request->format);
	bool is_failure = body && body->is_failure;

	c->is_scrape = !request->is_head;
	answer(c, is_failure ? 503 : 200, is_failure ? PLAIN : metrics_content_type(request->format), body,
		request->is_head);
}

static void answer_page(struct connection *c, const struct metrics_request *request)
{
	const struct judgement *j;

	switch (request->page) {
	case METRICS_PAGE_METRICS:
		answer_metrics(c, request);
		return;
	case METRICS_PAGE_INDEX:
		answer(c, 200, PLAIN, body_line("Talon " TALON_VERSION "\n\n/metrics\n/healthz\n/readyz"),
			request->is_head);
		return;
	case METRICS_PAGE_HEALTH:
		j = judge(c->server);
		answer(c, j->is_live ? 200 : 503, PLAIN, body_line(j->live), request->is_head);
		return;
	case METRICS_PAGE_READY:
		j = judge(c->server);
		answer(c, j->is_ready ? 200 : 503, PLAIN, body_line(j->ready), request->is_head);
		return;
	}
}

static void answer_request(struct connection *c)
{
	struct metrics_request request;
	unsigned int code = metrics_request_parse((struct slice){ c->head, c->head_len }, &request);

	if (code == 200)
		answer_page(c, &request);
	else
		refuse(c, code, request.is_head);
}

/* Bytes and events of a connection. */

/*
 * The answer is with the kernel. To close with bytes unread would reset the connection, and the other side
 * might lose the answer: so it is waited for to close.
 */
static void finish(struct connection *c)
{
	bool is_failure = c->body->is_failure;

	c->is_answered = !is_failure;
	if (c->is_scrape && !is_failure)
		atomic_fetch_add(&c->server->answered, 1);
	body_unref(c->server, &c->body);
	c->state = DRAINING;
	c->sent = 0;
	loop_update(c->server->loop);
	loop_timer_after(c->server->loop, &c->deadline, DRAIN_NS);
	if (shutdown(c->watch.fd, SHUT_WR) || loop_fd_change(c->server->loop, &c->watch, EPOLLIN))
		connection_close(c);
}

static void write_on(struct connection *c)
{
	size_t intro = c->sent < c->intro_len ? c->intro_len - c->sent : 0;
	size_t from = intro ? 0 : c->sent - c->intro_len;
	struct iovec parts[2] = {
		{ c->intro + c->intro_len - intro, intro },
		{ c->body->bytes + from, c->content_len - from },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t len = sendmsg(c->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (len < 0 && errno != EAGAIN && errno != EINTR) {
		connection_close(c);
		return;
	}
	c->sent += len > 0 ? len : 0;
	if (c->sent == c->intro_len + c->content_len)
		finish(c);
	else if (loop_fd_change(c->server->loop, &c->watch, EPOLLOUT))
		connection_close(c);
}

/* Reads until the head is whole; what comes after it is nobody's. */
static void read_on(struct connection *c)
{
	ssize_t len = recv(c->watch.fd, c->head + c->head_len, sizeof(c->head) - c->head_len, MSG_DONTWAIT);
	size_t used = 0;
	int ret;

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0) {
		connection_close(c);
		return;
	}
	ret = http_scan(&c->scanner, sizeof(c->head), c->head + c->head_len, len, &used);
	c->head_len += used;
	if (!ret)
		answer_request(c);
	else if (c->head_len == sizeof(c->head))
		refuse(c, 431, false);
}

static void drain_on(struct connection *c)
{
	char scrap[1024];
	ssize_t len = recv(c->watch.fd, scrap, sizeof(scrap), MSG_DONTWAIT);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->sent += len > 0 ? len : 0;
	if (len <= 0 || c->sent > DRAIN_MOST)
		connection_close(c);
}

static void on_event(void *ctx, uint32_t events)
{
	struct connection *c = ctx;

	if (c->state == WRITING)
		write_on(c);
	else if (c->state == READING)
		read_on(c);
	else
		drain_on(c);
}

/* New connections. */

static unsigned int count_from(const struct metrics_server *server, const uint8_t source[static 16])
{
	const struct among among = { .source = source };
	unsigned int count = 0;

	for (size_t i = 0; i < METRICS_CONNECTIONS_MOST; i++)
		count += is_among(&server->connections[i], &among);
	return count;
}

static struct connection *find_free(struct metrics_server *server)
{
	for (size_t i = 0; i < METRICS_CONNECTIONS_MOST; i++) {
		if (server->connections[i].state == FREE)
			return &server->connections[i];
	}
	return NULL;
}

/* Of a Unix socket all are one source, and may have all places. */
static bool has_share(const struct metrics_server *server, const uint8_t source[static 16])
{
	return source[15] && count_from(server, source) >= METRICS_CONNECTIONS_SOURCE;
}

static const uint8_t *find_greediest(const struct metrics_server *server)
{
	const uint8_t *greediest = server->connections[0].source;

	for (size_t i = 1; i < METRICS_CONNECTIONS_MOST; i++) {
		if (count_from(server, server->connections[i].source) > count_from(server, greediest))
			greediest = server->connections[i].source;
	}
	return greediest;
}

/* Room is made by the source itself when it has its share, else by the one that has the most places. */
static struct connection *find_place(struct metrics_server *server, const uint8_t source[static 16])
{
	bool is_greedy = has_share(server, source);
	struct connection *place = is_greedy ? NULL : find_free(server);

	if (place)
		return place;
	place = find_victim(server, &(struct among){ .source = is_greedy ? source : find_greediest(server) });
	connection_close(place);
	return place;
}

/* IPv6 in 64 bits: whoever has one address of them has them all. */
static void fill_source(const struct sockaddr_storage *from, socklen_t len, uint8_t ret_source[static 16])
{
	struct endpoint endpoint;

	memset(ret_source, 0, 16);
	if (endpoint_from_sockaddr((const struct sockaddr *)from, len, &endpoint))
		return;
	ret_source[15] = endpoint.family;
	memcpy(ret_source, &endpoint.remote, endpoint.family == AF_INET ? 4 : 8);
}

static void take_in(struct metrics_server *server, int fd, const uint8_t source[static 16])
{
	struct connection *c = find_place(server, source);

	/* all but the large array, whose bytes count only as far as they were received */
	c->server = server;
	c->watch = (struct loop_fd){};
	c->scanner = (struct http_scanner){};
	c->head_len = c->sent = 0;
	c->is_scrape = c->is_answered = false;
	c->since_ns = clock_boot_ns();
	memcpy(c->source, source, sizeof(c->source));
	if (loop_fd_add(server->loop, &c->watch, fd, EPOLLIN, on_event, c)) {
		atomic_fetch_add(&server->refused, 1);
		close(fd);
		return;
	}
	c->state = READING;
	loop_timer_init(&c->deadline, on_deadline, c);
	loop_timer_set(server->loop, &c->deadline, c->since_ns + server->options.connection_ns);
	read_on(c);	/* most have asked already */
}

/* What waits stays in the kernel's queue. */
static void pause_accepting(struct metrics_server *server)
{
	loop_fd_remove(server->loop, &server->accept_watch);
	loop_timer_set(server->loop, &server->pause, server->window_ns + WINDOW_NS);
}

static void on_accept(void *ctx, uint32_t events)
{
	struct metrics_server *server = ctx;
	struct sockaddr_storage from = {};
	socklen_t len = sizeof(from);
	uint64_t now = clock_boot_ns();
	uint8_t source[16];
	int fd;

	if (now - server->window_ns >= WINDOW_NS) {
		server->window_ns = now;
		server->in_window = 0;
	}
	fd = accept4(server->listener.fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	fill_source(&from, len, source);
	if (fd >= 0)
		take_in(server, fd, source);
	else if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	if (fd < 0 || ++server->in_window >= WINDOW_MOST)
		pause_accepting(server);
}

static void watch_listener(void *ctx)
{
	struct metrics_server *server = ctx;
	int ret = loop_fd_add(server->loop, &server->accept_watch, server->listener.fd, EPOLLIN, on_accept,
		server);

	if (ret) {
		server->window_ns = clock_boot_ns();
		loop_timer_set(server->loop, &server->pause, server->window_ns + WINDOW_NS);
	}
}

/* The thread. */

static void on_stop(void *ctx, uint32_t events)
{
	struct metrics_server *server = ctx;

	loop_stop(server->loop);
}

static void *run(void *arg)
{
	struct metrics_server *server = arg;
	int ret;

	setpriority(PRIO_PROCESS, gettid(), NICE);
	ret = loop_run(server->loop);
	if (ret)
		log_err("metrics: the server has ended: %s", strerror(-ret));
	return NULL;
}

/* Signals are for the controller's loop, which has them blocked for its descriptor: none is taken here. */
static int start_thread(struct metrics_server *server)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int ret;

	ret = -pthread_attr_init(&attr);
	if (ret)
		return ret;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	ret = -pthread_create(&server->thread, &attr, run, server);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!ret)
		pthread_setname_np(server->thread, "metrics");
	return ret;
}

static void free_server(struct metrics_server *server)
{
	for (size_t i = 0; i < METRICS_CONNECTIONS_MOST; i++) {
		if (server->connections[i].state != FREE)
			connection_close(&server->connections[i]);
	}
	forget_texts(server);
	loop_free(server->loop);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	metrics_listener_close(&server->listener);
	pthread_mutex_destroy(&server->told_lock);
	free(server);
}

static int start(struct metrics_server *server)
{
	int ret = loop_new(&server->loop);

	if (ret)
		return ret;
	loop_timer_init(&server->pause, watch_listener, server);
	loop_timer_init(&server->forget, forget_texts, server);
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = server->stop_fd < 0 ? -errno : loop_fd_add(server->loop, &server->stop_watch, server->stop_fd,
		EPOLLIN, on_stop, server);
	if (!ret)
		ret = loop_fd_add(server->loop, &server->accept_watch, server->listener.fd, EPOLLIN,
			on_accept, server);
	return ret ? ret : start_thread(server);
}

int metrics_server_start(struct metrics_server **ret_server, const struct metrics_server_options *options,
	char *why, size_t size)
{
	struct metrics_server *server = calloc(1, sizeof(*server));
	char name[METRICS_PLACE_LEN];
	int ret;

	metrics_place_name(&options->place, name);
	if (!server) {
		snprintf(why, size, "%s: out of memory", name);
		return -ENOMEM;
	}
	server->options = *options;
	server->options.render = options->render ?: metrics_render;
	server->options.connection_ns = options->connection_ns ?: METRICS_CONNECTION_NS;
	server->listener.fd = server->stop_fd = -1;
	server->beat_ns = clock_boot_ns();
	pthread_mutex_init(&server->told_lock, NULL);
	strcpy(server->told, "the controller is starting");
	ret = metrics_listen(&options->place, &server->listener, why, size);
	if (!ret) {
		ret = start(server);
		if (ret)
			snprintf(why, size, "%s: cannot serve metrics: %s", name, strerror(-ret));
	}
	if (ret)
		free_server(server);
	else
		*ret_server = server;
	return ret;
}

void metrics_server_stop(struct metrics_server *server)
{
	const uint64_t one = 1;

	if (!server)
		return;
	if (write(server->stop_fd, &one, sizeof(one)) < 0)
		abort();	/* an eventfd takes a first one */
	pthread_join(server->thread, NULL);
	free_server(server);
}

void metrics_server_beat(struct metrics_server *server, const char *why_not)
{
	pthread_mutex_lock(&server->told_lock);
	snprintf(server->told, sizeof(server->told), "%s", why_not);
	pthread_mutex_unlock(&server->told_lock);
	atomic_store(&server->beat_ns, clock_boot_ns());
}

void metrics_server_count(const struct metrics_server *server, struct metrics_server_counts *ret_counts)
{
	*ret_counts = (struct metrics_server_counts){ atomic_load(&server->answered),
		atomic_load(&server->refused) };
}
