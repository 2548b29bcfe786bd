/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A small HTTP server on the loop of a test: one answer for each connection, chosen by the path. */
#ifndef TALON_TEST_HTTP_SERVER_H
#define TALON_TEST_HTTP_SERVER_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"

#define HTTP_SERVER_CONNECTIONS	8

struct http_server;

struct http_connection {
	struct http_server *server;
	struct loop_fd watch;
	char text[8192];
	size_t len;
};

struct http_server {
	struct loop *loop;
	struct loop_fd watch;
	uint16_t port;
	/* Writes the whole answer, head included; NULL: none comes. */
	const char *(*answer)(struct http_server *server, const char *head);
	void *ctx;
	unsigned int requests;
	struct http_connection connections[HTTP_SERVER_CONNECTIONS];
};

static inline void http_server_on_bytes(void *ctx, uint32_t events)
{
	struct http_connection *c = ctx;
	const char *answer = NULL;
	ssize_t len = read(c->watch.fd, c->text + c->len, sizeof(c->text) - 1 - c->len);
	int fd = c->watch.fd;

	if (len > 0) {
		c->len += len;
		c->text[c->len] = '\0';
		if (!strstr(c->text, "\r\n\r\n"))
			return;
		c->server->requests++;
		answer = c->server->answer(c->server, c->text);
		if (!answer)
			return;
		if (write(fd, answer, strlen(answer)) < 0)
			perror("write");
	}
	loop_fd_remove(c->server->loop, &c->watch);
	close(fd);
}

static inline void http_server_on_connection(void *ctx, uint32_t events)
{
	struct http_server *s = ctx;
	int fd = accept4(s->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; fd >= 0 && i < HTTP_SERVER_CONNECTIONS; i++) {
		struct http_connection *c = &s->connections[i];

		if (c->watch.is_watched)
			continue;
		c->server = s;
		c->len = 0;
		if (!loop_fd_add(s->loop, &c->watch, fd, EPOLLIN, http_server_on_bytes, c))
			return;
	}
	if (fd >= 0)
		close(fd);
}

/* Returns 0, or -1. The port is any that is free. */
static inline int http_server_open(struct http_server *s, struct loop *loop,
	const char *(*answer)(struct http_server *, const char *), void *ctx)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->answer = answer;
	s->ctx = ctx;
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) || listen(fd, HTTP_SERVER_CONNECTIONS) ||
		getsockname(fd, (struct sockaddr *)&addr, &len))
		return -1;
	s->port = ntohs(addr.sin_port);
	return loop_fd_add(loop, &s->watch, fd, EPOLLIN, http_server_on_connection, s);
}

static inline void http_server_close(struct http_server *s)
{
	for (size_t i = 0; i < HTTP_SERVER_CONNECTIONS; i++) {
		if (!s->connections[i].watch.is_watched)
			continue;
		loop_fd_remove(s->loop, &s->connections[i].watch);
		close(s->connections[i].watch.fd);
	}
	loop_fd_remove(s->loop, &s->watch);
	close(s->watch.fd);
}

#endif
