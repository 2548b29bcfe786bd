// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names to addresses: c-ares does the asking, our loop waits for its sockets and its deadline.
#include <arpa/inet.h>
#include <ares.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "stream/resolver.h"

#define SERVER_TIMEOUT_MS	2000	/* of one server; c-ares doubles it with each round */
#define SERVER_TRIES		3
#define ADDRESSES_MAX		64	/* of one answer that we pass on */
#define RESOLV_CONF		"/etc/resolv.conf"

struct resolver_query {
	TAILQ_ENTRY(resolver_query) entry;
	struct resolver *resolver;
	struct loop_timer timer;	/* the deadline; when there is an answer, its delivery */
	resolver_fn fn;			/* NULL: nobody wants to know any more, only c-ares still holds us */
	void *ctx;
	bool is_asked;			/* c-ares will call back */
	bool is_answered;
	enum resolver_result result;
	struct resolver_address *list;
	size_t count;
};

struct server_socket {
	LIST_ENTRY(server_socket) entry;
	struct resolver *resolver;
	struct loop_fd watch;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	bool has_channel;
	struct timespec conf_time;	/* of resolv.conf when the channel was made */
	char *servers;			/* instead of its own; NULL: none */
	struct loop_timer timer;
	LIST_HEAD(, server_socket) sockets;
	TAILQ_HEAD(, resolver_query) queries;
	size_t asked;
};

static struct resolver *process_resolver;

static void free_query(struct resolver_query *query)
{
	loop_timer_cancel(query->resolver->loop, &query->timer);
	TAILQ_REMOVE(&query->resolver->queries, query, entry);
	free(query->list);
	free(query);
}

static void arm(struct resolver *resolver)
{
	struct timeval room, *wait = resolver->has_channel ? ares_timeout(resolver->channel, NULL, &room) : NULL;

	if (wait)
		loop_timer_after(resolver->loop, &resolver->timer, wait->tv_sec * LOOP_SECOND + wait->tv_usec * 1000ULL);
	else
		loop_timer_cancel(resolver->loop, &resolver->timer);
}

static void retry(void *ctx)
{
	struct resolver *resolver = ctx;

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(resolver);
}

/* The socket may be gone when c-ares returns. */
static void process(void *ctx, uint32_t events)
{
	struct server_socket *s = ctx;
	struct resolver *resolver = s->resolver;
	int fd = s->watch.fd;
	bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & EPOLLOUT;

	ares_process_fd(resolver->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
	arm(resolver);
}

static struct server_socket *find_socket(struct resolver *resolver, int fd)
{
	struct server_socket *s;

	LIST_FOREACH(s, &resolver->sockets, entry) {
		if (s->watch.fd == fd)
			return s;
	}
	return NULL;
}

static void add_socket(struct resolver *resolver, int fd, uint32_t events)
{
	struct server_socket *s = calloc(1, sizeof(*s));

	/* Without it the query just runs into its timeout. */
	if (!s)
		return;
	s->resolver = resolver;
	if (loop_fd_add(resolver->loop, &s->watch, fd, events, process, s)) {
		free(s);
		return;
	}
	LIST_INSERT_HEAD(&resolver->sockets, s, entry);
}

static void watch_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = ctx;
	struct server_socket *s = find_socket(resolver, fd);
	uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);

	if (s && events) {
		loop_fd_change(resolver->loop, &s->watch, events);
	} else if (s) {
		loop_fd_remove(resolver->loop, &s->watch);
		LIST_REMOVE(s, entry);
		free(s);
	} else if (events) {
		add_socket(resolver, fd, events);
	}
}

static struct timespec conf_time(void)
{
	struct stat st;

	return stat(RESOLV_CONF, &st) ? (struct timespec){} : st.st_mtim;
}

/* c-ares reads resolv.conf once. A node's may change after we started: then the next query gets a new channel. */
static int refresh_channel(struct resolver *resolver)
{
	struct ares_options options = {
		.sock_state_cb = watch_socket,
		.sock_state_cb_data = resolver,
		.timeout = SERVER_TIMEOUT_MS,
		.tries = SERVER_TRIES,
	};
	struct timespec now = conf_time();

	if (resolver->has_channel) {
		bool same = now.tv_sec == resolver->conf_time.tv_sec && now.tv_nsec == resolver->conf_time.tv_nsec;

		if (same || resolver->asked)
			return 0;
		ares_destroy(resolver->channel);
		resolver->has_channel = false;
	}
	if (ares_init_options(&resolver->channel, &options, ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES))
		return -ENOMEM;
	resolver->has_channel = true;
	resolver->conf_time = now;
	if (resolver->servers && ares_set_servers_ports_csv(resolver->channel, resolver->servers))
		return -EINVAL;
	return 0;
}

int resolver_use_servers(struct resolver *resolver, const char *servers)
{
	char *copy = servers ? strdup(servers) : NULL;

	if (servers && !copy)
		return -ENOMEM;
	free(resolver->servers);
	resolver->servers = copy;
	resolver->conf_time = (struct timespec){ .tv_nsec = -1 };
	return refresh_channel(resolver);
}

struct resolver *resolver_get(struct loop *loop)
{
	struct resolver *resolver;

	if (process_resolver && process_resolver->loop == loop)
		return process_resolver;
	resolver_global_done();
	resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return NULL;
	resolver->loop = loop;
	LIST_INIT(&resolver->sockets);
	TAILQ_INIT(&resolver->queries);
	loop_timer_init(&resolver->timer, retry, resolver);
	process_resolver = resolver;
	return resolver;
}

static void answer(struct resolver_query *query, enum resolver_result result)
{
	query->is_answered = true;
	query->result = result;
	loop_timer_after(query->resolver->loop, &query->timer, 0);
}

/* The deadline, or an answer to deliver: always from here, so that whoever asked may do anything in the callback. */
static void deliver(void *ctx)
{
	struct resolver_query *query = ctx;
	struct resolver_query said = *query;

	query->fn = NULL;
	query->list = NULL;
	if (!query->is_asked)
		free_query(query);
	if (said.is_answered)
		said.fn(said.ctx, said.result, said.list, said.count);
	else
		said.fn(said.ctx, RESOLVER_FAILED, NULL, 0);
	free(said.list);
}

static bool put_address(struct resolver_address *at, int family, const void *bytes, uint32_t ttl_s)
{
	if (family != AF_INET && family != AF_INET6)
		return false;
	*at = (struct resolver_address){ .family = family, .ttl_s = ttl_s };
	memcpy(&at->addr, bytes, family == AF_INET ? 4 : 16);
	return true;
}

static bool put_node(struct resolver_address *at, const struct ares_addrinfo_node *node)
{
	const void *bytes = node->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)node->ai_addr)->sin_addr :
		(void *)&((struct sockaddr_in6 *)node->ai_addr)->sin6_addr;

	return put_address(at, node->ai_family, bytes, node->ai_ttl > 0 ? node->ai_ttl : 0);
}

static enum resolver_result copy_nodes(struct resolver_query *query, const struct ares_addrinfo *info)
{
	size_t count = 0;

	for (struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
		count++;
	if (count > ADDRESSES_MAX)
		count = ADDRESSES_MAX;
	query->list = calloc(count + 1, sizeof(*query->list));
	if (!query->list)
		return RESOLVER_FAILED;
	for (struct ares_addrinfo_node *node = info->nodes; node && query->count < count; node = node->ai_next)
		query->count += put_node(&query->list[query->count], node);
	return query->count ? RESOLVER_OK : RESOLVER_NO_DATA;
}

static enum resolver_result result_of(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return RESOLVER_NOT_FOUND;
	case ARES_ENODATA:
		return RESOLVER_NO_DATA;
	default:
		return RESOLVER_FAILED;
	}
}

static void answered(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolver_query *query = ctx;

	query->is_asked = false;
	query->resolver->asked--;
	if (!query->fn)
		free_query(query);
	else
		answer(query, status == ARES_SUCCESS && info ? copy_nodes(query, info) : result_of(status));
	if (info)
		ares_freeaddrinfo(info);
}

/* True if @name is a literal address: there is no need to ask anybody. */
static bool take_literal(struct resolver_query *query, const char *name, int family)
{
	uint8_t bytes[16];
	int of = AF_INET;

	if (inet_pton(AF_INET, name, bytes) != 1) {
		of = AF_INET6;
		if (inet_pton(AF_INET6, name, bytes) != 1)
			return false;
	}
	if (family != AF_UNSPEC && family != of) {
		answer(query, RESOLVER_NO_DATA);
		return true;
	}
	query->list = calloc(1, sizeof(*query->list));
	query->count = query->list && put_address(query->list, of, bytes, UINT32_MAX);
	answer(query, query->count ? RESOLVER_OK : RESOLVER_FAILED);
	return true;
}

static int ask(struct resolver_query *query, const char *name, int family)
{
	struct ares_addrinfo_hints hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
	struct resolver *resolver = query->resolver;
	int ret = refresh_channel(resolver);

	if (ret)
		return ret;
	query->is_asked = true;
	resolver->asked++;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, answered, query);
	arm(resolver);
	return 0;
}

int resolver_ask(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns, resolver_fn fn, void *ctx,
	struct resolver_query **ret_query)
{
	struct resolver_query *query;
	int ret = 0;

	if (!resolver || !name || !*name || !fn)
		return -EINVAL;
	query = calloc(1, sizeof(*query));
	if (!query)
		return -ENOMEM;
	*query = (struct resolver_query){ .resolver = resolver, .fn = fn, .ctx = ctx };
	loop_timer_init(&query->timer, deliver, query);
	TAILQ_INSERT_TAIL(&resolver->queries, query, entry);
	loop_timer_after(resolver->loop, &query->timer, timeout_ns);
	if (!take_literal(query, name, family))
		ret = ask(query, name, family);
	if (ret)
		free_query(query);
	else if (ret_query)
		*ret_query = query;
	return ret;
}

void resolver_cancel(struct resolver_query *query)
{
	query->fn = NULL;
	loop_timer_cancel(query->resolver->loop, &query->timer);
	if (!query->is_asked)
		free_query(query);
}

void resolver_global_done(void)
{
	struct resolver *resolver = process_resolver;
	struct resolver_query *query;

	if (!resolver)
		return;
	process_resolver = NULL;
	TAILQ_FOREACH(query, &resolver->queries, entry)
		query->fn = NULL;
	if (resolver->has_channel)
		ares_destroy(resolver->channel);	/* calls answered() for each one that was asked */
	while ((query = TAILQ_FIRST(&resolver->queries)))
		free_query(query);
	loop_timer_cancel(resolver->loop, &resolver->timer);
	free(resolver->servers);
	free(resolver);
}
