// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A stream's life: dial, CONNECT if there is a proxy, TLS if wanted, bytes, and one word at the end.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "log/log.h"
#include "stream/internal.h"
#include "stream/resolver.h"
#include "stream/stream.h"

#define TIMEOUT_NS	(30 * LOOP_SECOND)
#define ALPN_MAX	15
#define PEEK_LEN	512	/* bytes of a proxy's answer in one look */

enum stream_state {
	STREAM_DIALLING,
	STREAM_ASKING,		/* the proxy for a tunnel */
	STREAM_SHAKING,		/* hands, by TLS */
	STREAM_OPEN,
	STREAM_ENDED,		/* closed() was called, or will be by the timer */
};

struct stream {
	LIST_ENTRY(stream) entry;
	struct loop *loop;
	struct stream_events events;
	void *ctx;
	enum stream_state state;
	bool has_proxy, wants_tls;
	bool wants_room;		/* a write was short: writable() is owed */
	bool read_wants_room;		/* TLS has to write before it can read on */
	char host[STREAM_HOST_LEN];
	uint16_t port;
	char alpn[ALPN_MAX + 1];
	uint64_t timeout_ns;
	uint32_t unsent_max;
	struct proxy proxy;
	struct proxy_answer answer;
	struct socks socks;
	struct dial *dial;
	struct tls *tls;
	int fd;
	struct loop_fd watch;
	struct loop_timer timer;	/* the deadline of connecting; what was read ahead; the end */
	struct loop_deferred deferred;	/* a callback may free it */
	int error;
	char why[STREAM_WHY_LEN];
	char peer[STREAM_PEER_LEN];
};

static LIST_HEAD(, stream) streams = LIST_HEAD_INITIALIZER(streams);

/* The first end counts. Told from the timer, never from within a call of the owner's. */
static void __attribute__((format(printf, 3, 4))) end(struct stream *s, int error, const char *format, ...)
{
	va_list args;

	if (s->state == STREAM_ENDED)
		return;
	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	s->error = error;
	s->state = STREAM_ENDED;
	loop_fd_remove(s->loop, &s->watch);
	loop_timer_after(s->loop, &s->timer, 0);
}

static void end_by_error(struct stream *s, int error)
{
	char name[STREAM_NAME_LEN];

	host_port_format(s->host, s->port, name);
	if (error == -EPROTO && s->tls)
		end(s, error, "%s", tls_why(s->tls));
	else
		end(s, error, "%s: %s", name, strerror(-error));
}

static void end_in_order(struct stream *s)
{
	char name[STREAM_NAME_LEN];

	host_port_format(s->host, s->port, name);
	end(s, 0, "%s closed the connection", name);
}

static void watch(struct stream *s)
{
	loop_fd_change(s->loop, &s->watch, EPOLLIN | (s->wants_room || s->read_wants_room ? EPOLLOUT : 0));
}

/* The last thing that its callers do: the stream may be gone after it. */
static void opened(struct stream *s)
{
	s->state = STREAM_OPEN;
	loop_timer_cancel(s->loop, &s->timer);
	watch(s);
	/* What came with the end of the handshake does not wake the socket again. */
	if (s->tls && tls_has_pending(s->tls))
		loop_timer_after(s->loop, &s->timer, 0);
	s->events.connected(s->ctx);
}

static void shake(struct stream *s)
{
	uint32_t events = 0;
	int ret = tls_handshake(s->tls, &events);

	if (ret == -EAGAIN)
		loop_fd_change(s->loop, &s->watch, events);
	else if (ret)
		end_by_error(s, ret);
	else
		opened(s);
}

/* The way to the server itself is there. */
static void start_tls(struct stream *s)
{
	char name[STREAM_NAME_LEN];
	int ret;

	if (!s->wants_tls) {
		opened(s);
		return;
	}
	host_port_format(s->host, s->port, name);
	ret = tls_new(s->fd, s->host, name, *s->alpn ? s->alpn : NULL, &s->tls);
	if (ret) {
		end(s, ret, "%s: TLS: %s", name, strerror(-ret));
		return;
	}
	s->state = STREAM_SHAKING;
	shake(s);
}

static void refused_by_proxy(struct stream *s, const char *name)
{
	const char *reason = s->answer.head.line + strlen("HTTP/1.1 ");

	end(s, -ECONNREFUSED, "proxy %s answered %s to CONNECT%s", name, reason,
		s->answer.status == 407 && !s->proxy.authorization
		? " (the proxy's URL may be http://user:password@host:port)" : "");
}

static void judge_answer(struct stream *s, int ret)
{
	char name[STREAM_NAME_LEN];

	host_port_format(s->proxy.host, s->proxy.port, name);
	if (ret == -EAGAIN)
		return;
	if (ret)
		end(s, ret, "proxy %s: its answer to CONNECT is not HTTP/1.1", name);
	else if (s->answer.status / 100 != 2)
		refused_by_proxy(s, name);
	else
		start_tls(s);
}

/* Looks before it takes: what follows the proxy's headers belongs to the other side's stream. */
static void read_answer(struct stream *s)
{
	char buf[PEEK_LEN], name[STREAM_NAME_LEN];
	ssize_t got = recv(s->fd, buf, sizeof(buf), MSG_PEEK);
	size_t used;
	int ret;

	host_port_format(s->proxy.host, s->proxy.port, name);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		end(s, -errno, "proxy %s: %s", name, strerror(errno));
	else if (!got)
		end(s, -ECONNRESET, "proxy %s closed the connection instead of answering CONNECT", name);
	if (got <= 0)
		return;
	ret = proxy_answer_feed(&s->answer, buf, got, &used);
	if (recv(s->fd, buf, used, 0) != (ssize_t)used)
		ret = -EPROTO;
	judge_answer(s, ret);
}

/* A fresh socket takes a few hundred bytes at once. */
static int tell_socks(struct stream *s, const uint8_t *out, size_t len)
{
	return !len || send(s->fd, out, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EIO;
}

/* No more is read than belongs to the talk with the proxy. */
static void read_socks(struct stream *s)
{
	uint8_t in[SOCKS_IN_MAX], out[SOCKS_OUT_MAX];
	ssize_t got = recv(s->fd, in, s->socks.want - s->socks.have, 0);
	char name[STREAM_NAME_LEN];
	size_t len;
	int ret;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	host_port_format(s->proxy.host, s->proxy.port, name);
	if (got <= 0) {
		end(s, got ? -errno : -ECONNRESET, "proxy %s: %s", name,
			got ? strerror(errno) : "closed the connection");
		return;
	}
	ret = socks_take(&s->socks, &s->proxy, s->host, s->port, in, got, out, &len);
	if (ret == -EAGAIN && tell_socks(s, out, len))
		end(s, -EIO, "proxy %s: %s", name, strerror(EIO));
	else if (!ret)
		start_tls(s);
	else if (ret != -EAGAIN)
		end(s, ret, "proxy %s: %s", name, s->socks.why);
	sodium_memzero(out, sizeof(out));
}

static void ask_socks(struct stream *s)
{
	uint8_t out[SOCKS_OUT_MAX];

	if (tell_socks(s, out, socks_begin(&s->socks, &s->proxy, out))) {
		end(s, -EIO, "proxy %s: %s", s->proxy.host, strerror(EIO));
		return;
	}
	s->state = STREAM_ASKING;
	loop_fd_change(s->loop, &s->watch, EPOLLIN);
}

static void ask_proxy(struct stream *s)
{
	char request[2048], name[STREAM_NAME_LEN];
	int len = proxy_write_request(&s->proxy, s->host, s->port, request, sizeof(request));

	host_port_format(s->proxy.host, s->proxy.port, name);
	if (len > 0 && send(s->fd, request, len, MSG_NOSIGNAL) != len)
		len = errno ? -errno : -EIO;
	sodium_memzero(request, sizeof(request));
	if (len < 0) {
		end(s, len, "proxy %s: %s", name, strerror(-len));
		return;
	}
	s->state = STREAM_ASKING;
	loop_fd_change(s->loop, &s->watch, EPOLLIN);
}

static void move_bytes(struct stream *s, uint32_t events)
{
	bool has_room = events & EPOLLOUT;
	int ret = has_room && s->tls ? tls_flush(s->tls) : 0;

	if (ret && ret != -EAGAIN) {
		end_by_error(s, ret);
		return;
	}
	if (events & ~EPOLLOUT || (has_room && s->read_wants_room)) {
		s->read_wants_room = false;
		s->events.readable(s->ctx);
	}
	if (s->state == STREAM_OPEN && has_room && !ret && s->wants_room) {
		s->wants_room = false;
		s->events.writable(s->ctx);
	}
	if (s->state == STREAM_OPEN)
		watch(s);
}

static void ready(void *ctx, uint32_t events)
{
	struct stream *s = ctx;

	if (s->state == STREAM_ASKING && s->proxy.is_socks)
		read_socks(s);
	else if (s->state == STREAM_ASKING)
		read_answer(s);
	else if (s->state == STREAM_SHAKING)
		shake(s);
	else if (s->state == STREAM_OPEN)
		move_bytes(s, events);
}

static void dialled(void *ctx, const struct dial_result *result)
{
	struct stream *s = ctx;
	int ret = 0;

	if (result->fd < 0) {
		end(s, result->fd, s->has_proxy ? "proxy %s" : "%s", result->why);
	} else {
		s->fd = result->fd;
		snprintf(s->peer, sizeof(s->peer), "%s", result->peer);
		if (s->unsent_max)
			(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &s->unsent_max,
				sizeof(s->unsent_max));
		ret = loop_fd_add(s->loop, &s->watch, s->fd, EPOLLOUT, ready, s);
	}
	dial_free(s->dial);
	s->dial = NULL;
	if (ret)
		end_by_error(s, ret);
	else if (s->state == STREAM_ENDED)
		return;
	else if (s->has_proxy && s->proxy.is_socks)
		ask_socks(s);
	else if (s->has_proxy)
		ask_proxy(s);
	else
		start_tls(s);
}

static void run_out(struct stream *s)
{
	char doing[STREAM_NAME_LEN + 64], name[STREAM_NAME_LEN];

	host_port_format(s->host, s->port, name);
	if (s->dial)
		dial_tell(s->dial, doing, sizeof(doing));
	else
		snprintf(doing, sizeof(doing), s->state == STREAM_ASKING ? "waiting for the proxy"
			: "in the TLS handshake");
	end(s, -ETIMEDOUT, "%.100s: no connection after %.3g s (%s)", name, s->timeout_ns / 1e9, doing);
	dial_free(s->dial);
	s->dial = NULL;
}

static void timed(void *ctx)
{
	struct stream *s = ctx;

	if (s->state == STREAM_ENDED)
		s->events.closed(s->ctx, s->error, s->why);
	else if (s->state == STREAM_OPEN)
		move_bytes(s, EPOLLIN);
	else
		run_out(s);
}

static void looked_up(void *ctx)
{
	struct stream *s = ctx;

	loop_timer_after(s->loop, &s->timer, s->timeout_ns);
	if (s->events.looked_up)
		s->events.looked_up(s->ctx);
}

/*
 * The stock client uses none: whoever wonders where connections go finds it in the log, once for each proxy.
 */
static void name_proxy(const struct stream *s)
{
	static char said[2 * STREAM_NAME_LEN];
	char name[STREAM_NAME_LEN], now[2 * STREAM_NAME_LEN];

	host_port_format(s->proxy.host, s->proxy.port, name);
	snprintf(now, sizeof(now), "%s (%s)", name, s->proxy.variable);
	if (!strcmp(now, said))
		return;
	strcpy(said, now);
	log_info("connections go through the proxy %s; no_proxy names what is reached without it", now);
}

static int choose_way(struct stream *s, const struct stream_options *options, char *why, size_t size)
{
	const char *to = options->address ? options->address : s->host;
	int ret = options->no_proxy ? 0 : proxy_choose(s->host, s->port, s->wants_tls, &s->proxy, why, size);

	if (ret < 0)
		return ret;
	s->has_proxy = ret;
	if (ret)
		name_proxy(s);
	return dial_start(s->loop, ret ? s->proxy.host : to, ret ? s->proxy.port : s->port,
		options->mark, s->timeout_ns, looked_up,
		dialled, s, &s->dial);
}

static struct stream *new_stream(struct loop *loop, const struct stream_options *options,
	const struct stream_events *events, void *ctx)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->events = *events;
	s->ctx = ctx;
	s->fd = -1;
	s->port = options->port;
	s->wants_tls = options->tls;
	s->unsent_max = options->unsent_max;
	s->timeout_ns = options->timeout_ns ? options->timeout_ns : TIMEOUT_NS;
	snprintf(s->host, sizeof(s->host), "%s", options->host);
	snprintf(s->alpn, sizeof(s->alpn), "%s", options->alpn ? options->alpn : "");
	loop_timer_init(&s->timer, timed, s);
	LIST_INSERT_HEAD(&streams, s, entry);
	return s;
}

int stream_open(struct loop *loop, const struct stream_options *options, const struct stream_events *events,
	void *ctx, struct stream **ret_stream)
{
	char why[STREAM_WHY_LEN] = "";
	struct stream *s;
	int ret;

	if (!options->host || !*options->host || strlen(options->host) >= STREAM_HOST_LEN || !options->port ||
		(options->alpn && strlen(options->alpn) > ALPN_MAX))
		return -EINVAL;
	s = new_stream(loop, options, events, ctx);
	if (!s)
		return -ENOMEM;
	/* The dial has no deadline of its own but this one; it begins anew when the name is looked up. */
	loop_timer_after(loop, &s->timer, s->timeout_ns);
	ret = choose_way(s, options, why, sizeof(why));
	if (ret && !*why) {
		stream_free(s);
		return ret;
	}
	if (ret)
		end(s, ret, "%s", why);
	*ret_stream = s;
	return 0;
}

ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	ssize_t got;

	if (s->state != STREAM_OPEN)
		return s->state == STREAM_ENDED && s->error ? s->error : s->state == STREAM_ENDED ? 0
			: -EAGAIN;
	if (s->tls) {
		got = tls_read(s->tls, buf, len, &s->read_wants_room);
		if (s->read_wants_room)
			watch(s);
	} else {
		got = recv(s->fd, buf, len, 0);
		got = got < 0 ? errno == EINTR ? -EAGAIN : -errno : got;
	}
	if (!got)
		end_in_order(s);
	else if (got < 0 && got != -EAGAIN)
		end_by_error(s, got);
	return got;
}

ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	ssize_t put;

	if (s->state != STREAM_OPEN)
		return s->state == STREAM_ENDED ? -EPIPE : -EAGAIN;
	if (s->tls) {
		put = tls_write(s->tls, buf, len);
	} else {
		put = send(s->fd, buf, len, MSG_NOSIGNAL);
		put = put < 0 ? errno == EINTR ? -EAGAIN : -errno : put;
	}
	if (put < 0 && put != -EAGAIN) {
		end_by_error(s, put);
	} else if ((put < 0 || (size_t)put < len || (s->tls && tls_is_holding(s->tls))) && !s->wants_room) {
		s->wants_room = true;
		watch(s);
	}
	return put;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	s->state = STREAM_ENDED;
	loop_timer_cancel(s->loop, &s->timer);
	loop_fd_remove(s->loop, &s->watch);
	dial_free(s->dial);
	tls_free(s->tls);
	if (s->fd >= 0)
		close(s->fd);
	proxy_done(&s->proxy);
	LIST_REMOVE(s, entry);
	loop_defer_free(s->loop, &s->deferred, free, s);
}

static void put_address(const struct endpoint *from, struct talon_addr *to, __be16 *port)
{
	*to = from->remote;
	*port = from->port;
}

int stream_connection(const struct stream *s, struct talon_quiet *ret_connection)
{
	struct talon_quiet connection = {};
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct endpoint end;
	int ret;

	if (s->fd < 0 || s->state != STREAM_OPEN)
		return -ENOTCONN;
	if (getpeername(s->fd, (struct sockaddr *)&addr, &len))
		return -errno;
	ret = endpoint_from_sockaddr((struct sockaddr *)&addr, len, &end);
	if (ret)
		return ret;
	put_address(&end, &connection.remote, &connection.remote_port);
	len = sizeof(addr);
	if (getsockname(s->fd, (struct sockaddr *)&addr, &len))
		return -errno;
	ret = endpoint_from_sockaddr((struct sockaddr *)&addr, len, &end);
	if (ret)
		return ret;
	put_address(&end, &connection.local, &connection.local_port);
	*ret_connection = connection;
	return 0;
}

/* A socket under repair is closed in silence, and takes no bytes that TLS might want to say. */
int stream_abandon(struct stream *s)
{
	const int on = 1;

	if (s->fd < 0 || s->state != STREAM_OPEN)
		return -ENOTCONN;
	if (setsockopt(s->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)))
		return -errno;
	stream_free(s);
	return 0;
}

const char *stream_peer(const struct stream *s)
{
	return s->peer;
}

int stream_remote(const struct stream *s, struct endpoint *ret_remote)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (s->has_proxy || s->fd < 0)
		return -ENOTCONN;
	if (getpeername(s->fd, (struct sockaddr *)&addr, &len))
		return -errno;
	return endpoint_from_sockaddr((struct sockaddr *)&addr, len, ret_remote);
}

/* No owner is called in here: the streams of the list stay where they are. */
bool stream_addresses_changed(struct loop *loop)
{
	char name[STREAM_NAME_LEN], address[STREAM_PEER_LEN];
	struct stream *s;

	if (!local_refresh())
		return false;
	LIST_FOREACH(s, &streams, entry) {
		if (s->loop != loop || s->state == STREAM_ENDED)
			continue;
		host_port_format(s->host, s->port, name);
		if (s->dial)
			dial_drop_gone(s->dial);
		else if (local_is_gone(s->fd, address, sizeof(address)))
			end(s, -ENETDOWN, "%s: this host's address %s is gone", name, address);
	}
	resolver_ask_again(loop);
	return true;
}

void stream_global_done(void)
{
	resolver_global_done();
	local_done();
	tls_global_done();
}
