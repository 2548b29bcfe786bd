// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The dial: addresses of both families in turn, each started a little after the one before, the first that
// answers wins (RFC 8305).
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/internal.h"
#include "stream/resolver.h"

#define ADDRESSES_MAX		16
#define NEXT_AFTER_NS		(300 * LOOP_MS)
#define USER_TIMEOUT_MS		20000	/* unacknowledged bytes, and the SYN */
#define KEEPALIVE_IDLE_S	30
#define KEEPALIVE_EVERY_S	10

struct attempt {
	struct dial *dial;
	struct loop_fd watch;
	int fd;			/* -1: not started, or failed */
};

struct dial {
	struct loop *loop;
	char host[STREAM_HOST_LEN];
	uint16_t port;
	uint32_t mark;
	void (*looked_up)(void *ctx);
	dial_fn fn;
	void *ctx;
	struct resolver_query *query;
	struct resolver_address addresses[ADDRESSES_MAX];
	struct attempt attempts[ADDRESSES_MAX];
	size_t count, started, running;
	struct loop_timer next;
	int error;		/* of the first address that failed: the one that the host prefers */
	size_t failed;
};

static void start_next(void *ctx);

static socklen_t socket_address(const struct dial *dial, size_t i, struct sockaddr_storage *room)
{
	const struct resolver_address *from = &dial->addresses[i];

	*room = (struct sockaddr_storage){ .ss_family = from->family };
	if (from->family == AF_INET) {
		struct sockaddr_in *in = (void *)room;

		in->sin_port = htons(dial->port);
		memcpy(&in->sin_addr, &from->addr, 4);
		return sizeof(*in);
	} else {
		struct sockaddr_in6 *in = (void *)room;

		in->sin6_port = htons(dial->port);
		memcpy(&in->sin6_addr, &from->addr, 16);
		return sizeof(*in);
	}
}

static void address_text(const struct dial *dial, size_t i, char text[static STREAM_PEER_LEN])
{
	char plain[INET6_ADDRSTRLEN], name[STREAM_NAME_LEN];

	inet_ntop(dial->addresses[i].family, &dial->addresses[i].addr, plain, sizeof(plain));
	host_port_format(plain, dial->port, name);
	snprintf(text, STREAM_PEER_LEN, "%.*s", STREAM_PEER_LEN - 1, name);
}

static void stop_attempt(struct attempt *a)
{
	if (a->fd < 0)
		return;
	loop_fd_remove(a->dial->loop, &a->watch);
	close(a->fd);
	a->fd = -1;
	a->dial->running--;
}

static void give_up(struct dial *dial, int error, const char *why)
{
	dial->fn(dial->ctx, &(struct dial_result){ .fd = error, .why = why });
}

static void give_up_all(struct dial *dial)
{
	char why[512], name[STREAM_NAME_LEN], address[STREAM_PEER_LEN];

	host_port_format(dial->host, dial->port, name);
	address_text(dial, 0, address);
	if (dial->failed > 1)
		snprintf(why, sizeof(why), "%s: %s (%s, and %zu more)", name, strerror(-dial->error), address,
			dial->failed - 1);
	else if (strcmp(name, address))
		snprintf(why, sizeof(why), "%s: %s (%s)", name, strerror(-dial->error), address);
	else
		snprintf(why, sizeof(why), "%s: %s", name, strerror(-dial->error));
	give_up(dial, dial->error, why);
}

/* May call back, which frees the dial. */
static void fail_attempt(struct dial *dial, int error)
{
	if (!dial->failed++)
		dial->error = error;
	if (dial->started < dial->count)
		start_next(dial);
	else if (!dial->running)
		give_up_all(dial);
}

static void succeed(struct attempt *a)
{
	struct dial *dial = a->dial;
	char peer[STREAM_PEER_LEN];
	int fd = a->fd;

	address_text(dial, a - dial->attempts, peer);
	loop_fd_remove(dial->loop, &a->watch);
	a->fd = -1;
	dial->running--;
	dial->fn(dial->ctx, &(struct dial_result){ .fd = fd, .peer = peer });
}

static void attempt_ready(void *ctx, uint32_t events)
{
	struct attempt *a = ctx;
	struct dial *dial = a->dial;
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (!error) {
		succeed(a);
		return;
	}
	stop_attempt(a);
	fail_attempt(dial, -error);
}

static void set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static int open_socket(const struct dial *dial, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

	if (fd < 0)
		return -errno;
	if (dial->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &dial->mark, sizeof(dial->mark))) {
		int error = -errno;

		close(fd);
		return error;
	}
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	return fd;
}

static int start_attempt(struct dial *dial, size_t i)
{
	struct attempt *a = &dial->attempts[i];
	struct sockaddr_storage to;
	socklen_t len = socket_address(dial, i, &to);
	int ret, fd = open_socket(dial, to.ss_family);

	if (fd < 0)
		return fd;
	ret = connect(fd, (struct sockaddr *)&to, len) && errno != EINPROGRESS ? -errno : 0;
	if (!ret)
		ret = loop_fd_add(dial->loop, &a->watch, fd, EPOLLOUT, attempt_ready, a);
	if (ret) {
		close(fd);
		return ret;
	}
	a->fd = fd;
	dial->running++;
	return 0;
}

static void start_next(void *ctx)
{
	struct dial *dial = ctx;
	int ret = start_attempt(dial, dial->started++);

	if (dial->started < dial->count)
		loop_timer_after(dial->loop, &dial->next, NEXT_AFTER_NS);
	else
		loop_timer_cancel(dial->loop, &dial->next);
	if (ret)
		fail_attempt(dial, ret);
}

/* The resolver's order within a family, the families in turn, the first family first. */
static void order_addresses(struct dial *dial, const struct resolver_address *list, size_t count)
{
	size_t at[2] = { 0, 0 };
	uint16_t families[2] = { list[0].family, list[0].family == AF_INET ? AF_INET6 : AF_INET };

	for (int turn = 0; dial->count < ADDRESSES_MAX && (at[0] < count || at[1] < count); turn ^= 1) {
		while (at[turn] < count && list[at[turn]].family != families[turn])
			at[turn]++;
		if (at[turn] < count)
			dial->addresses[dial->count++] = list[at[turn]++];
	}
}

static bool is_no_name(enum resolver_result result)
{
	return result == RESOLVER_NOT_FOUND || result == RESOLVER_NO_DATA;
}

static void resolved(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct dial *dial = ctx;
	char why[STREAM_HOST_LEN + 64];

	dial->query = NULL;
	if (result == RESOLVER_OK && count) {
		order_addresses(dial, list, count);
		dial->looked_up(dial->ctx);
		start_next(dial);
		return;
	}
	snprintf(why, sizeof(why), result == RESOLVER_NOT_FOUND ? "%s: no such name"
		: result == RESOLVER_NO_DATA ? "%s: the name has no address"
		: "%s: the look-up of the name failed", dial->host);
	give_up(dial, is_no_name(result) ? -ENOENT : -EHOSTUNREACH, why);
}

int dial_start(struct loop *loop, const char *host, uint16_t port, uint32_t mark, uint64_t timeout_ns,
	void (*looked_up)(void *ctx), dial_fn fn, void *ctx, struct dial **ret_dial)
{
	struct resolver *resolver = resolver_get(loop);
	struct dial *dial = calloc(1, sizeof(*dial));
	int ret = -ENOMEM;

	if (!resolver || !dial)
		goto fail;
	dial->loop = loop;
	dial->port = port;
	dial->mark = mark;
	dial->looked_up = looked_up;
	dial->fn = fn;
	dial->ctx = ctx;
	snprintf(dial->host, sizeof(dial->host), "%s", host);
	loop_timer_init(&dial->next, start_next, dial);
	for (size_t i = 0; i < ADDRESSES_MAX; i++)
		dial->attempts[i] = (struct attempt){ .dial = dial, .fd = -1 };
	ret = resolver_ask(resolver, host, AF_UNSPEC, timeout_ns, resolved, dial, &dial->query);
	if (ret)
		goto fail;
	*ret_dial = dial;
	return 0;
fail:
	free(dial);
	return ret;
}

void dial_drop_gone(struct dial *dial)
{
	char text[INET6_ADDRSTRLEN];
	size_t dropped = 0;

	for (size_t i = 0; i < ADDRESSES_MAX; i++) {
		if (!local_is_gone(dial->attempts[i].fd, text, sizeof(text)))
			continue;
		stop_attempt(&dial->attempts[i]);
		dropped++;
	}
	/* The others go on. Where there is none left, the next try has other addresses to begin from. */
	if (dropped && !dial->failed)
		dial->error = -ENETDOWN;
	dial->failed += dropped;
	if (!dropped || dial->running)
		return;
	if (dial->started < dial->count)
		start_next(dial);
	else
		give_up_all(dial);
}

void dial_tell(const struct dial *dial, char *text, size_t size)
{
	char address[STREAM_PEER_LEN];

	if (dial->query) {
		snprintf(text, size, "looking up %s", dial->host);
		return;
	}
	address_text(dial, 0, address);
	snprintf(text, size, dial->count > 1 ? "connecting to %s and %zu more" : "connecting to %s", address,
		dial->count - 1);
}

void dial_free(struct dial *dial)
{
	if (!dial)
		return;
	if (dial->query)
		resolver_cancel(dial->query);
	loop_timer_cancel(dial->loop, &dial->next);
	for (size_t i = 0; i < ADDRESSES_MAX; i++)
		stop_attempt(&dial->attempts[i]);
	free(dial);
}
