/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A loopback server on the test's own loop: proxy, TLS, then an echo. */
#ifndef TALON_TEST_TLS_SERVER_H
#define TALON_TEST_TLS_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "unit/certificates.h"

#define GUESTS_MAX	8

/* One connection to the server. */
struct guest {
	struct server *server;
	struct loop_fd watch;
	SSL *ssl;
	bool is_asked, is_shaken;
	char request[2048];
	size_t request_len;
	uint8_t held[1 << 16];
	size_t held_len;
};

struct server {
	struct loop *loop;
	struct loop_fd watch;
	uint16_t port;
	/* how it is to behave */
	const char *proxy_answer;	/* to the first request; NULL: it is no proxy */
	const char *greeting;		/* said at once, behind the proxy's answer and TLS */
	const struct pair *pair;	/* TLS with it; NULL: none */
	const char *alpn;		/* what it selects; NULL: it knows no ALPN */
	int tls_max;			/* TLS1_1_VERSION ...; 0: any */
	bool closes;			/* as soon as somebody came */
	bool deaf;			/* takes connections and says nothing */
	SSL_CTX *ctx;
	struct guest guests[GUESTS_MAX];
	size_t guest_count;
	size_t echoed;
};

static inline int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
	unsigned int in_len, void *arg)
{
	const char *want = arg;

	for (unsigned int i = 0; i < in_len; i += in[i] + 1) {
		if (in[i] == strlen(want) && !memcmp(in + i + 1, want, in[i])) {
			*out = in + i + 1;
			*out_len = in[i];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static inline void start_ssl(struct guest *g)
{
	struct server *s = g->server;

	if (!s->ctx) {
		s->ctx = SSL_CTX_new(TLS_server_method());
		SSL_CTX_use_certificate(s->ctx, s->pair->cert);
		SSL_CTX_use_PrivateKey(s->ctx, s->pair->key);
		SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		if (s->alpn)
			SSL_CTX_set_alpn_select_cb(s->ctx, select_alpn, (void *)s->alpn);
		if (s->tls_max) {
			SSL_CTX_set_security_level(s->ctx, 0);
			SSL_CTX_set_min_proto_version(s->ctx, TLS1_VERSION);
			SSL_CTX_set_max_proto_version(s->ctx, s->tls_max);
		}
	}
	g->ssl = SSL_new(s->ctx);
	SSL_set_fd(g->ssl, g->watch.fd);
	SSL_set_accept_state(g->ssl);
}

static inline void drop_guest(struct guest *g)
{
	int fd = g->watch.fd;

	if (!g->watch.is_watched)
		return;
	loop_fd_remove(g->server->loop, &g->watch);
	SSL_free(g->ssl);
	g->ssl = NULL;
	ERR_clear_error();
	close(fd);
}

/* False: nothing more can be read now, or ever. */
static inline bool guest_read(struct guest *g)
{
	size_t room = sizeof(g->held) - g->held_len;
	ssize_t got = !room ? -1 : g->ssl ? SSL_read(g->ssl, g->held + g->held_len, room) : recv(g->watch.fd,
		g->held + g->held_len, room, 0);

	if (got > 0)
		g->held_len += got;
	else if (!got || (g->ssl && SSL_get_error(g->ssl, got) == SSL_ERROR_SSL))
		drop_guest(g);
	return got > 0;
}

static inline bool guest_write(struct guest *g)
{
	ssize_t put = !g->held_len ? 0 : g->ssl ? SSL_write(g->ssl, g->held, g->held_len) :
		send(g->watch.fd, g->held, g->held_len, MSG_NOSIGNAL);

	if (put <= 0)
		return false;
	memmove(g->held, g->held + put, g->held_len - put);
	g->held_len -= put;
	g->server->echoed += put;
	return true;
}

static inline void echo(struct guest *g)
{
	bool moved = true;

	while (moved && g->watch.is_watched) {
		moved = guest_read(g);
		moved |= g->watch.is_watched && guest_write(g);
	}
	if (g->watch.is_watched)
		loop_fd_change(g->server->loop, &g->watch, EPOLLIN | (g->held_len ? EPOLLOUT : 0));
}

/* A proxy's part. True: the tunnel stands. */
static inline bool answer_proxy(struct guest *g)
{
	ssize_t got = recv(g->watch.fd, g->request + g->request_len,
		sizeof(g->request) - 1 - g->request_len, 0);

	if (got > 0)
		g->request_len += got;
	else if (!got)
		drop_guest(g);
	if (got <= 0 || !strstr(g->request, "\r\n\r\n"))
		return false;
	g->is_asked = true;
	(void)!write(g->watch.fd, g->server->proxy_answer, strlen(g->server->proxy_answer));
	return true;
}

static inline void serve_guest(void *ctx, uint32_t events)
{
	struct guest *g = ctx;
	struct server *s = g->server;

	if (s->deaf) {
		loop_fd_change(s->loop, &g->watch, 0);
		return;
	}
	if (s->proxy_answer && !g->is_asked && !answer_proxy(g))
		return;
	if (s->pair && !g->ssl)
		start_ssl(g);
	if (g->ssl && !g->is_shaken && SSL_do_handshake(g->ssl) != 1) {
		if (SSL_get_error(g->ssl, -1) == SSL_ERROR_SSL)
			drop_guest(g);
		return;
	}
	if (!g->is_shaken && s->greeting) {
		memcpy(g->held, s->greeting, strlen(s->greeting));
		g->held_len = strlen(s->greeting);
	}
	g->is_shaken = true;
	echo(g);
}

static inline void accept_guest(void *ctx, uint32_t events)
{
	struct server *s = ctx;
	int fd = accept4(s->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct guest *g = &s->guests[s->guest_count++ % GUESTS_MAX];

	if (fd < 0)
		return;
	if (s->closes) {
		close(fd);
		return;
	}
	drop_guest(g);
	*g = (struct guest){ .server = s };
	loop_fd_add(s->loop, &g->watch, fd, EPOLLIN, serve_guest, g);
	if (s->greeting && !s->pair && !s->proxy_answer)
		serve_guest(g, EPOLLIN);
}

static inline uint16_t listen_on(int fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	if (bind(fd, (void *)&at, sizeof(at)) || getsockname(fd, (void *)&at, &len))
		abort();
	return ntohs(at.sin_port);
}

static inline void server_start(struct server *s, struct loop *loop)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	s->loop = loop;
	s->port = listen_on(fd);
	if (listen(fd, 8) || loop_fd_add(loop, &s->watch, fd, EPOLLIN, accept_guest, s))
		abort();
}

static inline void server_stop(struct server *s)
{
	int fd = s->watch.fd;

	for (size_t i = 0; i < GUESTS_MAX; i++) {
		if (s->guests[i].server)
			drop_guest(&s->guests[i]);
	}
	if (s->watch.is_watched) {
		loop_fd_remove(s->loop, &s->watch);
		close(fd);
	}
	SSL_CTX_free(s->ctx);
	s->ctx = NULL;
}

#endif
