// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names to addresses: c-ares does the asking, our loop waits for its sockets and its deadline.
#include <arpa/inet.h>
#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "stream/resolver.h"

#define SERVER_TIMEOUT_MS	2000	/* of one server; c-ares doubles it with each round */
#define SERVER_TRIES		3
#define ADDRESSES_MAX		64	/* of one answer that we pass on */
#define DOMAINS_MAX		8	/* of the search list */
#define NAME_MAX_LEN		256
#define RESOLV_CONF		"/etc/resolv.conf"
#define LOOK_NS			LOOP_SECOND	/* at resolv.conf, while somebody waits */
/*
 * RFC 8305 section 3, but longer: who resolves for a tunnel does it once, and a slow family may be the better
 * one.
 */
#define OTHER_FAMILY_NS		(250 * LOOP_MS)

/* What c-ares was asked for one family; it holds a pointer to it until it calls back. */
struct part {
	struct resolver_query *query;
	int family;			/* 0: records of the query's type */
	bool is_asked;			/* c-ares will call back */
	bool is_done;
	enum resolver_result result;
};

struct resolver_query {
	TAILQ_ENTRY(resolver_query) entry;
	struct resolver *resolver;
	struct loop_timer timer;	/* the deadline; when there is an answer, its delivery */
	/* both NULL: nobody wants to know any more, only c-ares still holds us */
	resolver_fn fn;
	resolver_records_fn records_fn;
	void *ctx;
	char name[NAME_MAX_LEN];	/* without a final dot */
	bool is_exact;			/* the search list is not for it */
	uint16_t type;			/* of records */
	struct part parts[2];
	unsigned part_count;
	size_t candidate;		/* of the names that it may stand for */
	bool is_answered;
	enum resolver_result result;
	enum resolver_result whole;	/* so far; what is said where nothing is found */
	struct resolver_address *list;
	size_t count;
	uint8_t *message;
	size_t message_len;
};

/* resolv.conf as it was: an editor's rename and a rewrite in place both show. */
struct conf {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec time;
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
	struct conf conf;		/* of which the channel was made */
	const char *path;		/* of resolv.conf */
	char domains[DOMAINS_MAX][NAME_MAX_LEN];	/* the search list */
	size_t domain_count;
	char *servers;			/* instead of its own; NULL: none */
	struct loop_timer timer;
	struct loop_timer look;
	LIST_HEAD(, server_socket) sockets;
	TAILQ_HEAD(, resolver_query) queries;
	size_t asked;
};

static struct resolver *process_resolver;

static bool is_held(const struct resolver_query *query)
{
	return query->parts[0].is_asked || query->parts[1].is_asked;
}

static bool is_wanted(const struct resolver_query *query)
{
	return query->fn || query->records_fn;
}

static bool has_dot(const struct resolver_query *query)
{
	return strchr(query->name, '.');
}

static void free_query(struct resolver_query *query)
{
	loop_timer_cancel(query->resolver->loop, &query->timer);
	TAILQ_REMOVE(&query->resolver->queries, query, entry);
	free(query->list);
	free(query->message);
	free(query);
}

static void arm(struct resolver *resolver)
{
	struct timeval room, *wait = resolver->has_channel ? ares_timeout(resolver->channel, NULL,
		&room) : NULL;

	if (wait)
		loop_timer_after(resolver->loop, &resolver->timer,
			wait->tv_sec * LOOP_SECOND + wait->tv_usec * 1000ULL);
	else
		loop_timer_cancel(resolver->loop, &resolver->timer);
}

static void retry(void *ctx)
{
	struct resolver *resolver = ctx;

	if (resolver->has_channel)
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

static struct conf read_conf(const struct resolver *resolver)
{
	struct stat st;

	if (stat(resolver->path, &st))
		return (struct conf){};
	return (struct conf){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
}

static bool is_same(const struct conf *a, const struct conf *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec;
}

static void keep_domains(struct resolver *resolver, const struct ares_options *options)
{
	resolver->domain_count = 0;
	for (int i = 0; i < options->ndomains && resolver->domain_count < DOMAINS_MAX; i++) {
		const char *domain = options->domains[i] + strspn(options->domains[i], ".");
		size_t len = strlen(domain);

		while (len && domain[len - 1] == '.')
			len--;
		if (len && len < NAME_MAX_LEN)	/* "search .": the root, which the name itself stands for */
			snprintf(resolver->domains[resolver->domain_count++], NAME_MAX_LEN, "%.*s", (int)len,
				domain);
	}
}

/*
 * c-ares reads the search list and gives up at the first domain of it that fails: we only have it read, and
 * walk it ourselves.
 */
static void read_domains(struct resolver *resolver)
{
	struct ares_options options = { .resolvconf_path = (char *)resolver->path }, saved = {};
	ares_channel channel;
	int mask;

	resolver->domain_count = 0;
	if (ares_init_options(&channel, &options, ARES_OPT_RESOLVCONF))
		return;
	if (!ares_save_options(channel, &saved, &mask))
		keep_domains(resolver, &saved);
	ares_destroy_options(&saved);
	ares_destroy(channel);
}

static int make_channel(struct resolver *resolver)
{
	struct ares_options options = {
		.sock_state_cb = watch_socket,
		.sock_state_cb_data = resolver,
		.timeout = SERVER_TIMEOUT_MS,
		.tries = SERVER_TRIES,
		.ndomains = 0,
		.resolvconf_path = (char *)resolver->path,
	};

	resolver->conf = read_conf(resolver);
	if (ares_init_options(&resolver->channel, &options,
		    ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS |
		    ARES_OPT_RESOLVCONF))
		return -ENOMEM;
	resolver->has_channel = true;
	read_domains(resolver);
	if (resolver->servers && ares_set_servers_ports_csv(resolver->channel, resolver->servers))
		return -EINVAL;
	return 0;
}

static void start(struct resolver_query *query);
static void answer(struct resolver_query *query, enum resolver_result result);

/* What waits is asked again: of the servers that there are now, from sockets that have an address. */
static int replace_channel(struct resolver *resolver)
{
	struct resolver_query *query, *next;
	int ret;

	if (resolver->has_channel) {
		resolver->has_channel = false;
		ares_destroy(resolver->channel);	/* calls answered() for each one that was asked */
	}
	ret = make_channel(resolver);
	for (query = TAILQ_FIRST(&resolver->queries); query && !ret; query = next) {
		next = TAILQ_NEXT(query, entry);
		if (is_wanted(query) && !query->is_answered && query->count)
			answer(query, RESOLVER_OK);
		else if (is_wanted(query) && !query->is_answered)
			start(query);
	}
	arm(resolver);
	return ret;
}

/*
 * c-ares reads resolv.conf once. A node's may change after we started, also while somebody waits for a server
 * that is gone.
 */
static int refresh_channel(struct resolver *resolver)
{
	const struct conf now = read_conf(resolver);

	/*
	 * Empty, or away: somebody is writing it. Questions would go to a server on this host
	 * that is not there.
	 */
	if (resolver->has_channel && (!now.size || is_same(&now, &resolver->conf)))
		return 0;
	return replace_channel(resolver);
}

static void look(void *ctx)
{
	struct resolver *resolver = ctx;

	refresh_channel(resolver);
	if (resolver->asked)
		loop_timer_after(resolver->loop, &resolver->look, LOOK_NS);
}

int resolver_use_servers(struct resolver *resolver, const char *servers)
{
	char *copy = servers ? strdup(servers) : NULL;

	if (servers && !copy)
		return -ENOMEM;
	free(resolver->servers);
	resolver->servers = copy;
	return replace_channel(resolver);
}

int resolver_use_conf(struct resolver *resolver, const char *path)
{
	resolver->path = path ? path : RESOLV_CONF;
	return replace_channel(resolver);
}

void resolver_ask_again(struct loop *loop)
{
	if (process_resolver && process_resolver->loop == loop && process_resolver->asked)
		replace_channel(process_resolver);
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
	loop_timer_init(&resolver->look, look, resolver);
	resolver->path = RESOLV_CONF;
	process_resolver = resolver;
	return resolver;
}

static void answer(struct resolver_query *query, enum resolver_result result)
{
	query->is_answered = true;
	query->result = result;
	loop_timer_after(query->resolver->loop, &query->timer, 0);
}

/*
 * The deadline, or an answer to deliver: always from here, so that whoever asked may do anything
 * in the callback.
 */
static void deliver(void *ctx)
{
	struct resolver_query *query = ctx;
	struct resolver_query said = *query;

	query->fn = NULL;
	query->records_fn = NULL;
	query->list = NULL;
	query->message = NULL;
	if (!is_held(query))
		free_query(query);
	/* One family's addresses are enough where the other's are not to be had. */
	if (!said.is_answered && said.count)
		said.result = RESOLVER_OK;
	else if (!said.is_answered)
		said.result = said.candidate && has_dot(&said) ? said.whole : RESOLVER_TIMED_OUT;
	if (said.fn)
		said.fn(said.ctx, said.result, said.list, said.count);
	else
		said.records_fn(said.ctx, said.result, said.message, said.message_len);
	free(said.list);
	free(said.message);
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
	const void *bytes = node->ai_family == AF_INET
		? (void *)&((struct sockaddr_in *)node->ai_addr)->sin_addr
		: (void *)&((struct sockaddr_in6 *)node->ai_addr)->sin6_addr;

	return put_address(at, node->ai_family, bytes, node->ai_ttl > 0 ? node->ai_ttl : 0);
}

/* Added to what the other family brought. */
static enum resolver_result copy_nodes(struct resolver_query *query, const struct ares_addrinfo *info)
{
	const size_t before = query->count;
	struct ares_addrinfo_node *node;

	if (!query->list)
		query->list = calloc(ADDRESSES_MAX, sizeof(*query->list));
	if (!query->list)
		return RESOLVER_FAILED;
	for (node = info->nodes; node && query->count < ADDRESSES_MAX; node = node->ai_next)
		query->count += put_node(&query->list[query->count], node);
	return query->count > before ? RESOLVER_OK : RESOLVER_NO_DATA;
}

static enum resolver_result result_of(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return RESOLVER_NOT_FOUND;
	case ARES_ENODATA:
		return RESOLVER_NO_DATA;
	case ARES_ETIMEOUT:
		return RESOLVER_TIMED_OUT;
	default:
		return RESOLVER_FAILED;
	}
}

/* Of two families: what was found, else what forbids to say that there is nothing. */
static enum resolver_result join(const struct resolver_query *query)
{
	enum resolver_result a = query->parts[0].result;
	enum resolver_result b = query->part_count > 1 ? query->parts[1].result : a;

	if (a == RESOLVER_OK || b == RESOLVER_OK)
		return RESOLVER_OK;
	if (a == RESOLVER_TIMED_OUT || b == RESOLVER_TIMED_OUT)
		return RESOLVER_TIMED_OUT;
	if (a == RESOLVER_FAILED || b == RESOLVER_FAILED)
		return RESOLVER_FAILED;
	return a == RESOLVER_NO_DATA || b == RESOLVER_NO_DATA ? RESOLVER_NO_DATA : RESOLVER_NOT_FOUND;
}

/*
 * The names that a query may stand for: one with a dot is meant as it is and the search list comes after it,
 * one without a dot is the search list's first. Returns false after the last.
 */
static bool candidate_name(const struct resolver_query *query, size_t i, char name[static 2 * NAME_MAX_LEN])
{
	const struct resolver *resolver = query->resolver;
	const size_t searched = query->is_exact ? 0 : resolver->domain_count;
	const size_t own = has_dot(query) ? 0 : searched;

	if (i > searched)
		return false;
	if (i == own)
		snprintf(name, 2 * NAME_MAX_LEN, "%s", query->name);
	else
		snprintf(name, 2 * NAME_MAX_LEN, "%s.%s", query->name, resolver->domains[i - (i > own)]);
	return true;
}

static void ask_candidate(struct resolver_query *query);

/*
 * Of a name with a dot only its own answer counts; one without may be anywhere, so no failure on the way is
 * forgotten.
 */
static bool is_telling(const struct resolver_query *query, enum resolver_result result)
{
	if (has_dot(query))
		return !query->candidate;
	return !query->candidate || (query->whole != RESOLVER_FAILED && query->whole != RESOLVER_TIMED_OUT);
}

/*
 * All that was asked is answered. A domain of the search list that fails is no reason to stop; servers that
 * are silent about the name itself are.
 */
static void conclude(struct resolver_query *query)
{
	enum resolver_result result = join(query);
	char name[2 * NAME_MAX_LEN];

	if (is_telling(query, result))
		query->whole = result;
	query->candidate++;
	if (result == RESOLVER_OK)
		answer(query, result);
	else if (!candidate_name(query, query->candidate, name) ||
		 (result == RESOLVER_TIMED_OUT && has_dot(query)))
		answer(query, query->whole);
	else
		ask_candidate(query);
}

/* c-ares will not call again for @part. The query may be gone after it. */
static void finish_part(struct part *part, enum resolver_result result)
{
	struct resolver_query *query = part->query;
	bool all = true;

	part->is_done = true;
	part->result = result;
	for (unsigned i = 0; i < query->part_count; i++)
		all &= query->parts[i].is_done;
	if (all)
		conclude(query);
	else if (result == RESOLVER_OK && query->timer.due_ns > loop_now(query->resolver->loop) +
		OTHER_FAMILY_NS)
		loop_timer_after(query->resolver->loop, &query->timer, OTHER_FAMILY_NS);
}

/* True if the query is still to be asked about: not given up, and the channel was not taken away under it. */
static bool take_back(struct part *part, int status)
{
	struct resolver_query *query = part->query;

	part->is_asked = false;
	query->resolver->asked--;
	if (!is_wanted(query) && !is_held(query))
		free_query(query);
	else if (is_wanted(query) && status != ARES_EDESTRUCTION && status != ARES_ECANCELLED)
		return true;
	return false;
}

static void answered(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct part *part = ctx;

	if (take_back(part, status))
		finish_part(part, status == ARES_SUCCESS && info ? copy_nodes(part->query, info) :
			result_of(status));
	if (info)
		ares_freeaddrinfo(info);
}

static void answered_records(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
	struct part *part = ctx;
	struct resolver_query *query = part->query;

	if (!take_back(part, status))
		return;
	if (status == ARES_SUCCESS && len > 0) {
		query->message = malloc(len);
		if (query->message)
			memcpy(query->message, bytes, len);
		query->message_len = len;
		status = query->message ? status : ARES_ENOMEM;
	}
	finish_part(part, status == ARES_SUCCESS ? RESOLVER_OK : result_of(status));
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

/* Lines of the hosts file come before the search list, as in every libc. */
static bool take_hosts(struct resolver_query *query)
{
	struct resolver *resolver = query->resolver;

	if (has_dot(query) || !query->fn)
		return false;
	query->list = calloc(ADDRESSES_MAX, sizeof(*query->list));
	for (unsigned i = 0; query->list && i < query->part_count; i++) {
		struct hostent *host;

		if (ares_gethostbyname_file(resolver->channel, query->name, query->parts[i].family, &host))
			continue;
		for (char **at = host->h_addr_list; *at && query->count < ADDRESSES_MAX; at++)
			query->count += put_address(&query->list[query->count], host->h_addrtype, *at, 0);
		ares_free_hostent(host);
	}
	if (query->count)
		answer(query, RESOLVER_OK);
	return query->count;
}

/* c-ares may answer at once: all parts are made ready before the first is asked. */
static void ask_candidate(struct resolver_query *query)
{
	struct ares_addrinfo_hints hints = { .ai_socktype = SOCK_STREAM };
	const size_t candidate = query->candidate;
	struct resolver *resolver = query->resolver;
	char name[2 * NAME_MAX_LEN];

	candidate_name(query, candidate, name);
	for (unsigned i = 0; i < query->part_count; i++)
		query->parts[i].is_done = false;
	for (unsigned i = 0; i < query->part_count && query->candidate == candidate; i++) {
		struct part *part = &query->parts[i];

		part->is_asked = true;
		resolver->asked++;
		hints.ai_family = part->family;
		if (part->family)
			ares_getaddrinfo(resolver->channel, name, NULL, &hints, answered, part);
		else
			ares_query(resolver->channel, name, 1 /* IN */, query->type, answered_records, part);
	}
}

/* From the beginning: also where the channel is another one now. */
static void start(struct resolver_query *query)
{
	struct resolver *resolver = query->resolver;

	query->candidate = 0;
	query->count = 0;
	query->whole = RESOLVER_FAILED;
	free(query->list);
	query->list = NULL;
	if (take_hosts(query))
		return;
	ask_candidate(query);
	if (resolver->asked && !loop_timer_is_set(&resolver->look))
		loop_timer_after(resolver->loop, &resolver->look, LOOK_NS);
}

static int ask(struct resolver_query *query)
{
	/* An own turn: a query that waits is asked anew with the channel, and this one with them. */
	int ret = refresh_channel(query->resolver);

	if (!ret && !is_held(query) && !query->is_answered)
		start(query);
	arm(query->resolver);
	return ret;
}

static void add_part(struct resolver_query *query, int family)
{
	query->parts[query->part_count++] = (struct part){ .query = query, .family = family };
}

static struct resolver_query *new_query(struct resolver *resolver, const char *name, bool is_exact,
	uint64_t timeout_ns, void *ctx)
{
	struct resolver_query *query = calloc(1, sizeof(*query));
	size_t len = strlen(name);

	if (!query)
		return NULL;
	query->resolver = resolver;
	query->ctx = ctx;
	/* RFC 6761 section 6.3 */
	query->is_exact = is_exact || name[len - 1] == '.' || !strcasecmp(name, "localhost");
	snprintf(query->name, sizeof(query->name), "%.*s", (int)(len - (len > 1 && name[len - 1] == '.')),
		name);
	loop_timer_init(&query->timer, deliver, query);
	TAILQ_INSERT_TAIL(&resolver->queries, query, entry);
	loop_timer_after(resolver->loop, &query->timer, timeout_ns);
	return query;
}

static int finish_asking(struct resolver_query *query, int ret, struct resolver_query **ret_query)
{
	if (ret) {
		query->fn = NULL;
		query->records_fn = NULL;
		if (!is_held(query))
			free_query(query);
	} else if (ret_query) {
		*ret_query = query;
	}
	return ret;
}

static int ask_addresses(struct resolver *resolver, const char *name, bool is_exact, int family,
	uint64_t timeout_ns, resolver_fn fn, void *ctx, struct resolver_query **ret_query)
{
	struct resolver_query *query;

	if (!resolver || !name || !*name || strlen(name) >= NAME_MAX_LEN || !fn)
		return -EINVAL;
	query = new_query(resolver, name, is_exact, timeout_ns, ctx);
	if (!query)
		return -ENOMEM;
	query->fn = fn;
	if (family != AF_INET6)
		add_part(query, AF_INET);
	if (family != AF_INET)
		add_part(query, AF_INET6);
	return finish_asking(query, take_literal(query, name, family) ? 0 : ask(query), ret_query);
}

int resolver_ask(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns, resolver_fn fn,
	void *ctx,
	struct resolver_query **ret_query)
{
	return ask_addresses(resolver, name, false, family, timeout_ns, fn, ctx, ret_query);
}

int resolver_ask_exactly(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns,
	resolver_fn fn, void *ctx, struct resolver_query **ret_query)
{
	return ask_addresses(resolver, name, true, family, timeout_ns, fn, ctx, ret_query);
}

int resolver_ask_records(struct resolver *resolver, const char *name, uint16_t type, uint64_t timeout_ns,
	resolver_records_fn fn, void *ctx, struct resolver_query **ret_query)
{
	struct resolver_query *query;

	if (!resolver || !name || !*name || strlen(name) >= NAME_MAX_LEN || !fn)
		return -EINVAL;
	query = new_query(resolver, name, true, timeout_ns, ctx);
	if (!query)
		return -ENOMEM;
	query->records_fn = fn;
	query->type = type;
	add_part(query, 0);
	return finish_asking(query, ask(query), ret_query);
}

void resolver_cancel(struct resolver_query *query)
{
	query->fn = NULL;
	query->records_fn = NULL;
	loop_timer_cancel(query->resolver->loop, &query->timer);
	if (!is_held(query))
		free_query(query);
}

void resolver_global_done(void)
{
	struct resolver *resolver = process_resolver;
	struct resolver_query *query;

	if (!resolver)
		return;
	process_resolver = NULL;
	TAILQ_FOREACH(query, &resolver->queries, entry) {
		query->fn = NULL;
		query->records_fn = NULL;
	}
	if (resolver->has_channel)
		ares_destroy(resolver->channel);	/* calls answered() for each one that was asked */
	while ((query = TAILQ_FIRST(&resolver->queries)))
		free_query(query);
	loop_timer_cancel(resolver->loop, &resolver->timer);
	loop_timer_cancel(resolver->loop, &resolver->look);
	free(resolver->servers);
	free(resolver);
}
