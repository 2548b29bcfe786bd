// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One connection: its bytes in and out, what it speaks, and how long it may be silent.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/internal.h"

#define PREFACE		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"	/* RFC 9113 section 3.4 */
#define PREFACE_LEN	24
#define PARTS_MAX	16
#define HELD_MAX	(64 * 1024)		/* of an HTTP/1 client that sends ahead */
#define LINGER_NS	(2 * LOOP_SECOND)	/* for the other side to read what it was told last */
#define KEEP_ALIVE_NS	(30 * LOOP_SECOND)	/* between HTTP/1 requests */
#define STALL_NS	(60 * LOOP_SECOND)	/* without any progress while something waits */

/* ---- the end ---- */

static void free_connection(void *object)
{
	struct connection *c = object;

	h2_free(c);
	free(c);
}

static void leave_address(struct connection *c)
{
	if (c->address)
		c->address->count--;
	c->address = NULL;
}

void connection_drop(struct connection *c, const char *why)
{
	struct server *s = c->server;

	if (c->stage == STAGE_OVER)
		return;
	handshakes_leave(c);
	c->stage = STAGE_OVER;
	loop_fd_remove(s->loop, &c->watch);
	loop_timer_cancel(s->loop, &c->timer);
	TAILQ_REMOVE(&s->connections, c, entry);
	if (c->is_in_turn)
		TAILQ_REMOVE(&s->turn_list, c, turn_entry);
	s->connection_count--;
	leave_address(c);
	server_tls_goodbye(c);
	close(c->watch.fd);
	out_drop(s, &c->out);
	free(c->held);
	free(c->sealed);
	socket_lost(c, why);
	h2_lost(c);
	loop_defer_free(s->loop, &c->deferred, free_connection, c);
}

void connection_fail(struct connection *c, const char *why)
{
	if (!c->failed)
		c->failed = why;
	connection_want_turn(c);
}

void connection_finish(struct connection *c)
{
	if (c->stage >= STAGE_ENDING)
		return;
	c->stage = STAGE_ENDING;
	c->is_paused = false;
	loop_timer_after(c->server->loop, &c->timer, c->server->options.silence_ns);
	connection_want_turn(c);
}

/*
 * All is written. A close with bytes unread would reset the connection, and what was written could be lost
 * with it: the other side has a moment to read.
 */
static void shut(struct connection *c)
{
	if (c->is_shut)
		return;
	c->is_shut = true;
	server_tls_goodbye(c);
	shutdown(c->watch.fd, SHUT_WR);
	loop_timer_after(c->server->loop, &c->timer, LINGER_NS);
}

/* ---- bytes out ---- */

bool connection_has_waiting(const struct connection *c)
{
	return c->out.waiting || c->sealed_len;
}

void connection_want_turn(struct connection *c)
{
	if (c->is_in_turn || c->stage == STAGE_OVER)
		return;
	c->is_in_turn = true;
	TAILQ_INSERT_TAIL(&c->server->turn_list, c, turn_entry);
	server_want_turn(c->server);
}

static void watch(struct connection *c)
{
	bool is_heard = !c->is_paused && c->stage != STAGE_PUT_OFF;

	loop_fd_change(c->server->loop, &c->watch,
		(is_heard ? EPOLLIN : 0) | (c->is_stalled ? EPOLLOUT : 0));
}

static void set_stalled(struct connection *c, bool is_stalled)
{
	c->stalled_ns = is_stalled ? loop_now(c->server->loop) : 0;
	if (c->is_stalled == is_stalled)
		return;
	c->is_stalled = is_stalled;
	watch(c);
}

/* What the kernel took, or -errno. */
static ssize_t put(struct connection *c, const struct iovec *parts, size_t count)
{
	const struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = count };
	ssize_t n = sendmsg(c->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int flush_plain(struct connection *c)
{
	while (c->out.waiting) {
		struct iovec parts[PARTS_MAX];
		size_t count = 0, want = 0;
		ssize_t n;

		for (struct chunk *chunk = c->out.first; chunk && count < PARTS_MAX; chunk = chunk->next) {
			parts[count++] = (struct iovec){ chunk->bytes + chunk->at, chunk->len };
			want += chunk->len;
		}
		n = put(c, parts, count);
		if (n < 0)
			return n;
		out_consume(c->server, &c->out, n);
		if ((size_t)n < want) {
			set_stalled(c, true);
			return 0;
		}
	}
	set_stalled(c, false);
	return 0;
}

/* Records that stayed. */
static int flush_sealed(struct connection *c)
{
	const struct iovec part = { c->sealed + c->sealed_at, c->sealed_len };
	ssize_t n = c->sealed_len ? put(c, &part, 1) : 0;

	if (n < 0)
		return n;
	c->sealed_at += n;
	c->sealed_len -= n;
	if (c->sealed_len) {
		set_stalled(c, true);
		return 0;
	}
	free(c->sealed);
	c->sealed = NULL;
	c->sealed_at = 0;
	return 0;
}

/* Writes what OpenSSL has put into the server's buffer for @c, behind what stayed of earlier records. */
int connection_put_sealed(struct connection *c)
{
	struct server *s = c->server;
	const struct iovec part = { s->sealed, s->sealed_len };
	size_t len = s->sealed_len;
	uint8_t *kept;
	ssize_t n;

	s->sealed_len = 0;
	n = c->sealed_len || !len ? 0 : put(c, &part, 1);
	if (n < 0 || (size_t)n == len)
		return n < 0 ? n : 0;
	if (c->sealed_len > s->sealed_room)	/* only a client that asks for records and reads none */
		return -ENOBUFS;
	kept = malloc(c->sealed_len + len - n);
	if (!kept)
		return -ENOMEM;
	if (c->sealed_len)
		memcpy(kept, c->sealed + c->sealed_at, c->sealed_len);
	memcpy(kept + c->sealed_len, s->sealed + n, len - n);
	free(c->sealed);
	c->sealed = kept;
	c->sealed_at = 0;
	c->sealed_len += len - n;
	set_stalled(c, true);
	return 0;
}

static int flush_tls(struct connection *c)
{
	int ret = flush_sealed(c);

	while (!ret && !c->sealed_len && c->out.waiting) {
		ret = server_tls_seal(c);
		if (!ret)
			ret = connection_put_sealed(c);
	}
	if (!ret && !c->sealed_len)
		set_stalled(c, false);
	return ret;
}

int connection_flush(struct connection *c)
{
	if (c->is_stalled)
		return 0;
	return c->ssl ? flush_tls(c) : flush_plain(c);
}

/* Everything that its parts want written, as far as the kernel takes it. */
static int write_all(struct connection *c)
{
	int ret;

	do {
		bool has_more = c->h2 && h2_pump(c);

		ret = connection_flush(c);
		if (!has_more)
			break;
	} while (!ret && !c->is_stalled);
	return ret;
}

static void take_held(struct connection *c)
{
	uint8_t *buf = c->server->in;
	size_t len = c->held_len;

	if (len)
		memcpy(buf, c->held, len);
	free(c->held);
	c->held = NULL;
	c->held_len = 0;
	connection_take(c, buf, len);
}

/* What there is to be done after callbacks: writing, ends, telling. */
static void run_turn(struct connection *c)
{
	int ret = c->failed ? -EPIPE : write_all(c);

	if (ret) {
		connection_drop(c, c->failed ? c->failed : strerror(-ret));
		return;
	}
	socket_turn(c);
	if (c->stage != STAGE_OVER)
		h2_turn(c);
	if (c->stage == STAGE_ENDING && !connection_has_waiting(c))
		shut(c);
	if (c->is_paused && !connection_has_waiting(c)) {
		c->is_paused = false;
		watch(c);
		take_held(c);
	}
}

void server_turn(void *ctx)
{
	struct server *s = ctx;
	size_t most = 0;
	struct connection *c;

	TAILQ_FOREACH(c, &s->turn_list, turn_entry)
		most++;
	while (most-- && !s->is_over && (c = TAILQ_FIRST(&s->turn_list))) {
		TAILQ_REMOVE(&s->turn_list, c, turn_entry);
		c->is_in_turn = false;
		run_turn(c);
	}
	if (!s->is_over && !TAILQ_EMPTY(&s->turn_list))
		server_want_turn(s);
}

/* ---- bytes in ---- */

size_t connection_sniff(struct connection *c, uint8_t *bytes, size_t len)
{
	size_t known = len < PREFACE_LEN ? len : PREFACE_LEN;

	if (memcmp(bytes, PREFACE, known)) {
		c->stage = STAGE_HTTP1;
		return 0;
	}
	if (known == PREFACE_LEN && h2_begin(c))
		connection_fail(c, "out of memory");
	else if (known == PREFACE_LEN)
		c->stage = STAGE_HTTP2;
	return 0;
}

static size_t take_some(struct connection *c, uint8_t *bytes, size_t len)
{
	switch (c->stage) {
	case STAGE_SNIFF:
		return connection_sniff(c, bytes, len);
	case STAGE_HTTP1:
		return http1_take(c, bytes, len);
	case STAGE_SOCKET:
		return socket_take(c, bytes, len);
	case STAGE_HTTP2:
		return h2_take(c, bytes, len);
	default:
		return len;
	}
}

/* The part of a message that came; never more than one of its kind may have. */
static void hold(struct connection *c, const uint8_t *bytes, size_t len)
{
	if (!len)
		return;
	if (len > HELD_MAX && c->stage != STAGE_SOCKET) {
		server_note(c->server, SERVER_FLOODED, &c->remote,
			"requests are sent faster than answers are read");
		connection_fail(c, "too many requests ahead");
		return;
	}
	c->held = malloc(len);
	if (!c->held) {
		connection_fail(c, "out of memory");
		return;
	}
	memcpy(c->held, bytes, len);
	c->held_len = len;
	if (!c->began_ns) {
		c->began_ns = loop_now(c->server->loop);
		loop_timer_after(c->server->loop, &c->timer, c->server->options.silence_ns);
	}
}

void connection_take(struct connection *c, uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len && !c->failed) {
		enum connection_stage before = c->stage;
		size_t used = take_some(c, bytes + at, len - at);

		at += used;
		if (!used && c->stage == before)
			break;
	}
	if (c->stage < STAGE_ENDING)
		hold(c, bytes + at, len - at);
	if (c->is_paused)
		watch(c);
}

/* Once more than that was held comes, it goes where the rest is: in front of what is read. */
static size_t fetch_held(struct connection *c)
{
	size_t len = c->held_len;

	if (len)
		memcpy(c->server->in, c->held, len);
	free(c->held);
	c->held = NULL;
	c->held_len = 0;
	return len;
}

/*
 * The other side has nothing more to say. What it asked for is still written: it may have shut its side only.
 */
static void take_end(struct connection *c)
{
	if (c->stage == STAGE_HTTP1 && connection_has_waiting(c)) {
		connection_finish(c);
		c->is_paused = true;
		watch(c);
		return;
	}
	if (c->stage == STAGE_HANDSHAKE)
		server_note(c->server, SERVER_HANDSHAKE, &c->remote, "it closed during the TLS handshake");
	connection_drop(c, "the client closed the connection");
}

static void lost(struct connection *c, int error)
{
	if (error == EPROTO)
		server_note(c->server, SERVER_MALFORMED, &c->remote, "a TLS record is malformed");
	connection_drop(c, error == EPROTO ? "a TLS record is malformed" : strerror(error));
}

/* What OpenSSL answers by itself goes out; a record that is malformed ends it after that. */
static void take_records(struct connection *c)
{
	struct server *s = c->server;
	size_t held;
	ssize_t n = 0;
	int ret = 1;

	if (c->stage == STAGE_HANDSHAKE) {
		ret = server_tls_handshake(c);
		if (connection_put_sealed(c) || ret < 0) {
			server_note(s, SERVER_HANDSHAKE, &c->remote, "the TLS handshake failed");
			connection_drop(c, "the TLS handshake failed");
			return;
		}
		if (!ret)
			return;
		handshakes_leave(c);
		c->stage = STAGE_SNIFF;
	}
	held = fetch_held(c);
	n = server_tls_open(c, s->in + held, s->in_room - held);
	if (connection_put_sealed(c)) {
		connection_drop(c, "the connection broke");
		return;
	}
	if (n > 0)
		connection_take(c, s->in, held + n);
	else if (n == 0)
		hold(c, s->in, held);
	else if (n == -EPIPE)
		take_end(c);
	else
		lost(c, -n);
}

static void read_some(struct connection *c)
{
	struct server *s = c->server;
	size_t held = c->ssl ? 0 : fetch_held(c);
	uint8_t *to = c->ssl ? s->wire : s->in + held;
	ssize_t n = recv(c->watch.fd, to, SERVER_READ_ROOM, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (!c->ssl)
			hold(c, s->in, held);
		return;
	}
	if (n < 0) {
		lost(c, errno);
		return;
	}
	if (!n) {
		take_end(c);
		return;
	}
	c->heard_ns = loop_now(s->loop);
	if (!c->ssl) {
		connection_take(c, s->in, held + n);
		return;
	}
	s->wire_at = s->wire;
	s->wire_len = n;
	take_records(c);
}

/* After the end only the other side's own end matters. */
static void read_to_end(struct connection *c)
{
	ssize_t n = recv(c->watch.fd, c->server->wire, SERVER_READ_ROOM, 0);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		connection_drop(c, "the client closed the connection");
}

static void ready(void *ctx, uint32_t events)
{
	struct connection *c = ctx;

	if (events & EPOLLOUT) {
		c->is_stalled = false;
		connection_want_turn(c);
		watch(c);
	}
	if (events & (EPOLLERR | EPOLLHUP) && (c->is_paused || c->is_shut || c->stage == STAGE_PUT_OFF))
		connection_drop(c, "the connection broke");
	else if (events & ~EPOLLOUT && c->stage == STAGE_ENDING)
		read_to_end(c);
	else if (events & ~EPOLLOUT && !c->is_paused)
		read_some(c);
}

/* ---- time ---- */

static uint64_t due_http1(const struct connection *c)
{
	if (!c->is_served || c->held_len)
		return c->began_ns + c->server->options.silence_ns;
	return c->heard_ns + KEEP_ALIVE_NS;
}

static void time_out(struct connection *c, const char *why)
{
	server_note(c->server, c->stage == STAGE_PUT_OFF ? SERVER_HANDSHAKE_LATE : SERVER_TIMED_OUT,
		&c->remote, why);
	connection_drop(c, why);
}

static void check(void *ctx)
{
	struct connection *c = ctx;
	uint64_t now = loop_now(c->server->loop), due;

	if (c->stalled_ns && now >= c->stalled_ns + STALL_NS) {
		server_note(c->server, SERVER_SLOW, &c->remote, "it reads nothing of what it is sent");
		connection_drop(c, "the client does not read");
		return;
	}
	switch (c->stage) {
	case STAGE_SOCKET:
		due = socket_check(c, now);
		break;
	case STAGE_HTTP2:
		due = h2_check(c, now);
		break;
	case STAGE_ENDING:
		due = c->stalled_ns && !c->is_shut ? c->stalled_ns + c->server->options.silence_ns : now;
		if (due <= now) {
			connection_drop(c, "it is ended");
			return;
		}
		break;
	default:
		due = due_http1(c);
	}
	if (c->stage == STAGE_OVER)
		return;
	if (due > now)
		loop_timer_set(c->server->loop, &c->timer, due);
	else if (c->stage == STAGE_HTTP1 && c->is_served && !c->held_len)
		connection_drop(c, "it was idle");
	else
		time_out(c, c->stage == STAGE_PUT_OFF ? "too many TLS handshakes come from its address" :
			c->stage == STAGE_HANDSHAKE ? "no TLS handshake came in time" :
			c->stage >= STAGE_SOCKET ? "it does not answer" : "no request came in time");
}

/* ---- a new one ---- */

void connection_shake(struct connection *c)
{
	c->stage = STAGE_HANDSHAKE;
	if (server_tls_accept(c)) {
		connection_drop(c, "out of memory");
		return;
	}
	c->began_ns = c->heard_ns = loop_now(c->server->loop);
	loop_timer_after(c->server->loop, &c->timer, c->server->options.silence_ns);
	watch(c);
}

/* Returns 0 or -ENOMEM. */
static int begin(struct connection *c)
{
	if (!c->server->tls) {
		c->stage = STAGE_SNIFF;
		return 0;
	}
	c->stage = handshakes_may_begin(c) ? STAGE_HANDSHAKE : STAGE_PUT_OFF;
	return c->stage == STAGE_HANDSHAKE ? server_tls_accept(c) : 0;
}

int connection_new(struct server *server, int fd, const struct endpoint *remote, struct address *address,
	bool is_trusted)
{
	struct connection *c = calloc(1, sizeof(*c));
	int ret;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = server;
	c->remote = *remote;
	c->is_trusted = is_trusted;
	c->address = address;
	if (address)
		address->count++;
	c->watch.fd = fd;
	ret = begin(c);
	if (!ret)
		ret = loop_fd_add(server->loop, &c->watch, fd, c->stage == STAGE_PUT_OFF ? 0 : EPOLLIN, ready,
			c);
	if (ret) {
		handshakes_leave(c);
		leave_address(c);
		server_tls_goodbye(c);
		free(c);
		close(fd);
		return ret;
	}
	c->began_ns = c->heard_ns = loop_now(server->loop);
	loop_timer_init(&c->timer, check, c);
	loop_timer_after(server->loop, &c->timer, server->options.silence_ns);
	TAILQ_INSERT_HEAD(&server->connections, c, entry);
	server->connection_count++;
	return 0;
}
