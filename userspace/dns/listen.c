// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where the forwarder listens, over UDP and TCP, and its TCP clients.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/internal.h"
#include "log/log.h"

#define DATAGRAMS_PER_TURN	32
#define CLIENT_EVENTS		(EPOLLIN | EPOLLET | EPOLLRDHUP)

static void read_udp(void *ctx, uint32_t events)
{
	struct listener *listener = ctx;

	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		uint8_t bytes[QUERY_MAX];
		ssize_t len = recvfrom(listener->udp.fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC,
			(struct sockaddr *)&from, &from_len);

		if (len < 0)
			return;
		if ((size_t)len > sizeof(bytes)) {
			listener->forwarder->stats.malformed++;
			continue;
		}
		question_take(listener->forwarder, bytes, len, NULL, listener->udp.fd, &from);
	}
}

static void close_fd(struct loop *loop, struct loop_fd *handle)
{
	if (!handle->is_watched)
		return;
	loop_fd_remove(loop, handle);
	close(handle->fd);
}

void client_free(struct client *client)
{
	struct forwarder *f = client->forwarder;

	if (client->asking) {
		client->asking->client = NULL;
		question_free(client->asking);
	}
	loop_timer_cancel(f->loop, &client->idle);
	close_fd(f->loop, &client->fd);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (f->clients[i] == client)
			f->clients[i] = NULL;
	}
	loop_defer_free(f->loop, &client->deferred, free, client);
}

static void client_idle(void *ctx)
{
	client_free(ctx);
}

static void read_tcp(void *ctx, uint32_t events)
{
	struct client *client = ctx;
	size_t want;
	ssize_t got;

	/*
	 * One question at a time. A client that closed its sending side (RFC 7766 section 6.2.4) still wants
	 * its answers; one whose connection is gone does not.
	 */
	if (client->asking) {
		if (events & (EPOLLERR | EPOLLHUP))
			client_free(client);
		return;
	}
	do {
		want = client->len < 2 ? 2 : 2 + (client->bytes[0] << 8 | client->bytes[1]);
		if (want > sizeof(client->bytes)) {
			client->forwarder->stats.malformed++;
			client_free(client);
			return;
		}
		got = recv(client->fd.fd, client->bytes + client->len, want - client->len, MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			client_free(client);
			return;
		}
		client->len += got;
	} while (client->len <= 2 || client->len < 2U + (client->bytes[0] << 8 | client->bytes[1]));
	question_take(client->forwarder, client->bytes + 2, client->len - 2, client, -1, &client->from);
}

static void accept_tcp(void *ctx, uint32_t events)
{
	struct listener *listener = ctx;
	struct forwarder *f = listener->forwarder;
	struct sockaddr_in from = {};
	socklen_t from_len = sizeof(from);
	int fd = accept4(listener->tcp.fd, (struct sockaddr *)&from, &from_len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int place = 0;
	struct client *client;

	if (fd < 0)
		return;
	while (place < CLIENTS_MAX && f->clients[place])
		place++;
	client = place < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		f->stats.dropped++;
		close(fd);
		return;
	}
	client->forwarder = f;
	client->from = from;
	loop_timer_init(&client->idle, client_idle, client);
	/*
	 * Edge-triggered: questions that a client sends ahead are read once the one before is answered, and
	 * must not wake us until then.
	 */
	if (loop_fd_add(f->loop, &client->fd, fd, CLIENT_EVENTS, read_tcp, client)) {
		close(fd);
		free(client);
		return;
	}
	loop_timer_after(f->loop, &client->idle, CLIENT_IDLE_NS);
	f->clients[place] = client;
}

static int open_socket(__be32 addr, uint16_t port, int type)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = addr };
	const int on = 1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* the mesh address may be set a moment later */
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) || (type == SOCK_STREAM && listen(fd, 16))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int watch(struct forwarder *f, struct loop_fd *handle, uint16_t port, int type, loop_fd_fn fn,
	struct listener *listener)
{
	int fd = open_socket(f->addr, port, type), ret;

	if (fd < 0)
		return fd;
	ret = loop_fd_add(f->loop, handle, fd, EPOLLIN, fn, listener);
	if (ret)
		close(fd);
	return ret;
}

static int listen_on(struct forwarder *f, struct listener *listener, uint16_t port)
{
	int ret;

	listener->forwarder = f;
	ret = watch(f, &listener->udp, port, SOCK_DGRAM, read_udp, listener);
	return ret ? ret : watch(f, &listener->tcp, port, SOCK_STREAM, accept_tcp, listener);
}

void listen_close(struct forwarder *f)
{
	for (int i = 0; i < FORWARDER_PORTS; i++) {
		close_fd(f->loop, &f->listeners[i].udp);
		close_fd(f->loop, &f->listeners[i].tcp);
	}
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (f->clients[i])
			client_free(f->clients[i]);
	}
	while (f->questions)
		question_free(f->questions);
}

int listen_open(struct forwarder *f, char *err, size_t errlen)
{
	int ret = listen_on(f, &f->listeners[0], f->port);

	if (ret) {
		snprintf(err, errlen, "DNS forwarder: port %u: %s", f->port, strerror(-ret));
		listen_close(f);
		return ret;
	}
	/* Only old peers ask here, and another service of the host (mDNS, say) may hold the port. */
	if (f->port != FORWARDER_PORT_OLD && listen_on(f, &f->listeners[1], FORWARDER_PORT_OLD))
		log_warn("DNS forwarder: port %d is taken: peers older than 0.59 cannot ask",
			FORWARDER_PORT_OLD);
	return 0;
}

int client_send(struct client *client, const uint8_t *answer, size_t len)
{
	uint8_t bytes[2 + ANSWER_MAX] = { len >> 8, len };

	memcpy(bytes + 2, answer, len);
	/* One answer fits into an empty socket buffer. A client that lets the buffer fill up is closed. */
	if (send(client->fd.fd, bytes, len + 2, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len + 2)
		return 0;
	client_free(client);
	return -EPIPE;
}

void client_is_answered(struct client *client)
{
	struct loop *loop = client->forwarder->loop;

	client->len = 0;
	loop_timer_after(loop, &client->idle, CLIENT_IDLE_NS);
	loop_fd_change(loop, &client->fd, CLIENT_EVENTS);	/* armed anew: tells of what came meanwhile */
}
