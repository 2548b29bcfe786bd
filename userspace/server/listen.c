// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The server as a whole: the port, who may connect, what is counted and told.
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log/log.h"
#include "server/internal.h"

#define CONNECTIONS_MAX		12000
#define PER_ADDRESS		256
#define CALL_MESSAGE_MAX	(4 << 20)
#define SOCKET_MESSAGE_MAX	8820
#define SILENCE_NS		(10 * LOOP_SECOND)
#define PING_AFTER_NS		(30 * LOOP_SECOND)
#define BACKLOG			4096
#define ACCEPTS_MAX		64		/* in one turn */
#define REST_NS			(200 * LOOP_MS)
#define TELL_NS			(60 * LOOP_SECOND)
#define FILES_BESIDE		256		/* descriptors that others of the process need */

/* ---- what happened ---- */

static uint64_t hash_of(const struct server *s, const struct endpoint *at, uint32_t more)
{
	struct { struct talon_addr addr; uint32_t family, more; } key = { at->remote, at->family, more };
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, (const uint8_t *)&key, sizeof(key), s->hash_key);
	return hash;
}

static bool is_told(struct server *s, uint64_t what)
{
	uint64_t now = loop_now(s->loop);
	size_t slot = what % SERVER_TOLD_SLOTS;

	if (s->told[slot].what == what && now < s->told[slot].at_ns + TELL_NS)
		return true;
	s->told[slot].what = what;
	s->told[slot].at_ns = now;
	return false;
}

void server_note(struct server *s, enum server_event event, const struct endpoint *remote, const char *text)
{
	static struct log_limit limits[SERVER_EVENTS];
	struct endpoint at = *remote;
	char name[ENDPOINT_TEXT_LEN];

	s->counts[event]++;
	if (is_told(s, hash_of(s, remote, event)))
		return;
	endpoint_format(&at, name);
	log_limited(&limits[event], LOG_LEVEL_INFO, "connection from %s: %s", name, text);
}

void server_counts(const struct server *s, struct server_counts *ret_counts)
{
	*ret_counts = (struct server_counts){
		.connections = s->connection_count, .calls = s->call_count, .sockets = s->socket_count,
		.accepted = s->accepted, .requests = s->requests, .refused_full = s->counts[SERVER_FULL],
		.refused_address = s->counts[SERVER_ADDRESS], .handshake_failed = s->counts[SERVER_HANDSHAKE],
		.handshake_late = s->counts[SERVER_HANDSHAKE_LATE],
		.handshakes_put_off = s->handshakes_put_off, .timed_out = s->counts[SERVER_TIMED_OUT],
		.malformed = s->counts[SERVER_MALFORMED],
		.oversized = s->counts[SERVER_OVERSIZED], .flooded = s->counts[SERVER_FLOODED],
		.slow = s->counts[SERVER_SLOW],
	};
}

/* ---- the certificate ---- */

/* Looks at most once a second. */
static void refresh_certificate(struct server *s)
{
	uint64_t now = loop_now(s->loop);
	char why[SERVER_WHY_LEN];

	if (now < s->certificate_checked_ns + LOOP_SECOND)
		return;
	s->certificate_checked_ns = now;
	if (!server_tls_is_changed(s))
		return;
	if (server_tls_load(s, why))
		log_warn("the certificate has changed and cannot be used, the one before it stays: %s", why);
	else
		log_info("the certificate has changed: new connections get %s", s->certificate);
}

int server_reload(struct server *s, char why[static SERVER_WHY_LEN])
{
	return s->certificate ? server_tls_load(s, why) : 0;
}

/* ---- who may connect ---- */

static struct address *find_address(struct server *s, const struct endpoint *remote)
{
	struct endpoint at = { .family = remote->family, .remote = remote->remote };
	struct address **head, *address, *unused = NULL;

	/* A site of IPv6 has 2^64 addresses for one host. */
	if (at.family == AF_INET6)
		at.remote.word[2] = at.remote.word[3] = 0;
	head = &s->addresses[hash_of(s, &at, 0) % SERVER_ADDRESS_SLOTS];
	for (address = *head; address; address = address->next) {
		if (endpoint_is_equal(&address->at, &at))
			return address;
		if (!address->count && address->handshake_rate.full_ns <= loop_now(s->loop))
			unused = address;
	}
	if (!unused) {
		unused = calloc(1, sizeof(*unused));
		if (!unused)
			return NULL;
		unused->next = *head;
		*head = unused;
	}
	unused->at = at;
	unused->handshake_rate = (struct rate){};
	return unused;
}

static bool is_proxy(const struct server *s, const struct endpoint *remote)
{
	for (size_t i = 0; i < s->options.proxy_count; i++) {
		if (s->proxies[i].family == remote->family && cidr_holds(&s->proxies[i], &remote->remote))
			return true;
	}
	return false;
}

static int admit(struct server *s, int fd, const struct endpoint *remote)
{
	bool is_trusted = is_proxy(s, remote);
	struct address *address;

	if (s->connection_count >= s->options.connections_max) {
		server_note(s, SERVER_FULL, remote, "refused, there are as many connections as there may be");
		close(fd);
		return 0;
	}
	address = is_trusted ? NULL : find_address(s, remote);
	if (!is_trusted && (!address || address->count >= s->options.connections_per_address)) {
		server_note(s, SERVER_ADDRESS, remote,
			"refused, there are as many connections from its address as there may be");
		close(fd);
		return 0;
	}
	s->accepted++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return connection_new(s, fd, remote, address, is_trusted);
}

/* Without descriptors or memory there is no use in being told again at once. */
static void rest(struct server *s, int error)
{
	static struct log_limit limit;

	log_limited(&limit, LOG_LEVEL_WARN, "no more connections can be taken for now: %s", strerror(error));
	loop_fd_change(s->loop, &s->watch, 0);
	loop_timer_after(s->loop, &s->rest, REST_NS);
}

static void rested(void *ctx)
{
	struct server *s = ctx;

	loop_fd_change(s->loop, &s->watch, EPOLLIN);
}

static void take_connections(void *ctx, uint32_t events)
{
	struct server *s = ctx;

	if (s->certificate)
		refresh_certificate(s);
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		struct endpoint remote;
		int fd, ret;

		fd = accept4(s->watch.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			rest(s, errno);
			return;
		}
		if (fd < 0)
			continue;
		if (endpoint_from_sockaddr((struct sockaddr *)&from, len, &remote)) {
			close(fd);
			continue;
		}
		ret = admit(s, fd, &remote);
		if (ret) {
			rest(s, -ret);
			return;
		}
	}
}

/* ---- the whole ---- */

void server_want_turn(struct server *s)
{
	if (!loop_timer_is_set(&s->turn))
		loop_timer_after(s->loop, &s->turn, 0);
}

static void free_server(void *object)
{
	struct server *s = object;

	chunk_pools_free(s);
	for (size_t i = 0; i < SERVER_ADDRESS_SLOTS; i++) {
		while (s->addresses[i]) {
			struct address *address = s->addresses[i];

			s->addresses[i] = address->next;
			free(address);
		}
	}
	SSL_CTX_free(s->tls);
	free(s->certificate);
	free(s->key);
	free(s->proxies);
	free(s->in);
	free(s->wire);
	free(s->sealed);
	free(s);
}

static void stop_listening(struct server *s)
{
	int fd = s->watch.fd;

	loop_timer_cancel(s->loop, &s->rest);
	if (!s->watch.is_watched)
		return;
	loop_fd_remove(s->loop, &s->watch);
	close(fd);
}

void server_free(struct server *s)
{
	struct connection *c;

	if (!s || s->is_over)
		return;
	s->is_over = true;
	stop_listening(s);
	while ((c = TAILQ_FIRST(&s->connections)))
		connection_drop(c, "the server ends");
	loop_timer_cancel(s->loop, &s->turn);
	loop_timer_cancel(s->loop, &s->put_off_timer);
	loop_defer_free(s->loop, &s->deferred, free_server, s);
}

void server_drain(struct server *s)
{
	struct connection *c;

	s->is_draining = true;
	stop_listening(s);
	TAILQ_FOREACH(c, &s->connections, entry)
		h2_drain(c);
}

uint16_t server_port(const struct server *s)
{
	return s->port;
}

/* Each connection is a descriptor. */
static void raise_files(size_t connections)
{
	struct rlimit limit;
	rlim_t want = connections + FILES_BESIDE;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	if (limit.rlim_max < want)
		log_warn("%zu connections may come, but the process may have no more than %ju descriptors",
			connections, (uintmax_t)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_listener(const struct endpoint *at, char why[static SERVER_WHY_LEN], uint16_t *ret_port)
{
	struct sockaddr_storage addr;
	struct endpoint bound;
	char name[ENDPOINT_TEXT_LEN];
	socklen_t len = endpoint_to_sockaddr(at, &addr);
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ret;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
		if (addr.ss_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ !addr6_is_zero(&at->remote) },
				sizeof(int));
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) || listen(fd, BACKLOG)) {
		ret = -errno;
		endpoint_format(at, name);
		snprintf(why, SERVER_WHY_LEN, "cannot listen at %s: %s", name, strerror(-ret));
		if (fd >= 0)
			close(fd);
		return ret;
	}
	len = sizeof(addr);
	if (!getsockname(fd, (struct sockaddr *)&addr, &len) &&
		!endpoint_from_sockaddr((struct sockaddr *)&addr, len, &bound))
		*ret_port = ntohs(bound.port);
	return fd;
}

static void set_options(struct server *s, const struct server_options *options)
{
	struct server_options *o = &s->options;

	*o = *options;
	if (!o->connections_max)
		o->connections_max = CONNECTIONS_MAX;
	if (!o->connections_per_address)
		o->connections_per_address = PER_ADDRESS;
	if (!o->call_message_max)
		o->call_message_max = CALL_MESSAGE_MAX;
	if (!o->socket_message_max)
		o->socket_message_max = SOCKET_MESSAGE_MAX;
	if (!o->silence_ns)
		o->silence_ns = SILENCE_NS;
	if (!o->ping_after_ns)
		o->ping_after_ns = PING_AFTER_NS;
}

static bool allocate(struct server *s, const struct server_options *options)
{
	/* what was held, one read, and a record that OpenSSL had begun */
	s->in_room = s->options.socket_message_max + 4 * SERVER_FLUSH_AT + SERVER_READ_ROOM;
	s->sealed_room = SERVER_READ_ROOM;
	s->in = malloc(s->in_room);
	s->wire = malloc(SERVER_READ_ROOM);
	s->sealed = options->certificate ? malloc(s->sealed_room) : NULL;
	s->certificate = options->certificate ? strdup(options->certificate) : NULL;
	s->key = options->key ? strdup(options->key) : NULL;
	s->proxies = calloc(options->proxy_count + 1, sizeof(*s->proxies));
	if (s->proxies && options->proxy_count)
		memcpy(s->proxies, options->proxies, options->proxy_count * sizeof(*s->proxies));
	return s->in && s->wire && s->proxies && (!options->certificate ||
		(s->sealed && s->certificate && s->key));
}

int server_new(struct loop *loop, const struct server_options *options, const struct server_events *events,
	void *ctx, struct server **ret_server, char why[static SERVER_WHY_LEN])
{
	struct server *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM, fd;

	snprintf(why, SERVER_WHY_LEN, "out of memory");
	if (!s)
		return ret;
	s->loop = loop;
	s->events = *events;
	s->ctx = ctx;
	s->watch.fd = -1;
	TAILQ_INIT(&s->connections);
	TAILQ_INIT(&s->turn_list);
	TAILQ_INIT(&s->partials);
	loop_timer_init(&s->turn, server_turn, s);
	loop_timer_init(&s->rest, rested, s);
	handshakes_init(s);
	randombytes_buf(s->hash_key, sizeof(s->hash_key));
	set_options(s, options);
	if (!allocate(s, options))
		goto fail;
	ret = s->certificate ? server_tls_load(s, why) : 0;
	if (ret)
		goto fail;
	ret = fd = open_listener(&options->listen, why, &s->port);
	if (fd < 0)
		goto fail;
	ret = loop_fd_add(loop, &s->watch, fd, EPOLLIN, take_connections, s);
	if (ret) {
		snprintf(why, SERVER_WHY_LEN, "cannot watch the port: %s", strerror(-ret));
		close(fd);
		goto fail;
	}
	raise_files(s->options.connections_max);
	*why = 0;
	*ret_server = s;
	return 0;
fail:
	free_server(s);
	return ret;
}
