// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which relay servers there are: the home relay, found among management's URLs and found again when lost, and
 * foreign ones, for peers who live elsewhere.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/relay_internal.h"
#include "log/log.h"

#define PICK_AT_ONCE	7			/* servers dialled at a time */
#define PICK_NS		(30 * LOOP_SECOND)	/* all of a pick */
#define PAUSE_NS	(1500 * LOOP_MS)	/* after a loss; then the same server once more */
#define WAIT_FIRST_NS	(2 * LOOP_SECOND)	/* after a pick in vain; doubles */
#define WAIT_MAX_NS	(60 * LOOP_SECOND)
#define SWEEP_NS	(60 * LOOP_SECOND)
#define FOREIGN_AGE_NS	(5 * LOOP_SECOND)	/* younger ones are not swept */
/* addresses come from peers: a bound on what they can make us dial */
#define FOREIGN_MAX	64

/*
 * HOME_OFF	no URLs, or closed for good		HOME_PAUSED	lost a moment ago
 * HOME_UP	there is one				HOME_WAITING	for the next pick
 * HOME_AGAIN	dials the one that was lost		HOME_PICKING	dials all
 */
enum home_state { HOME_OFF, HOME_UP, HOME_PAUSED, HOME_AGAIN, HOME_PICKING, HOME_WAITING };

struct url {
	char *uri;
	char error[RELAY_WHY_LEN];	/* of the last attempt; empty: none failed */
};

struct relay_manager {
	struct relay_shared shared;
	const struct relay_events *events;
	void *ctx;
	struct url *urls;
	size_t url_count;
	bool is_closed;
	enum home_state state;
	struct relay_client *home;	/* while HOME_UP */
	char last_uri[RELAY_ADDRESS_MAX + 1];	/* of the home relay that we had last */
	size_t next;			/* in a pick: the URL that is dialled when there is room */
	uint64_t wait_ns;		/* after the next pick in vain; 0: none, at once */
	struct loop_timer timer;	/* of the state */
	struct loop_timer sweep;
};

static void pick(struct relay_manager *manager);

/* URLs and token */

static struct url *find_url(const struct relay_manager *manager, const char *uri)
{
	for (size_t i = 0; i < manager->url_count; i++) {
		if (!strcmp(manager->urls[i].uri, uri))
			return &manager->urls[i];
	}
	return NULL;
}

static void free_urls(struct url *urls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(urls[i].uri);
	free(urls);
}

static bool has_urls(const struct relay_manager *manager, const struct netmap_relay *relay)
{
	if (manager->url_count != relay->url_count)
		return false;
	for (size_t i = 0; i < relay->url_count; i++) {
		if (strcmp(manager->urls[i].uri, relay->urls[i]))
			return false;
	}
	return true;
}

static int copy_urls(const struct netmap_relay *relay, struct url **ret_urls)
{
	struct url *urls = calloc(relay->url_count ? relay->url_count : 1, sizeof(*urls));

	if (!urls)
		return -ENOMEM;
	for (size_t i = 0; i < relay->url_count; i++) {
		urls[i].uri = strdup(relay->urls[i]);
		if (!urls[i].uri) {
			free_urls(urls, relay->url_count);
			return -ENOMEM;
		}
	}
	*ret_urls = urls;
	return 0;
}

static void forget_token(struct relay_shared *shared)
{
	if (shared->token_payload)
		sodium_memzero(shared->token_payload, strlen(shared->token_payload));
	free(shared->token_payload);
	shared->token_payload = NULL;
	sodium_memzero(shared->token_signature, sizeof(shared->token_signature));
}

static bool has_token(const struct relay_shared *shared, const struct netmap_relay *relay)
{
	return shared->token_payload && !strcmp(shared->token_payload, relay->token_payload) &&
		!sodium_memcmp(shared->token_signature, relay->token_signature,
		sizeof(shared->token_signature));
}

static int set_token(struct relay_shared *shared, const struct netmap_relay *relay)
{
	char *payload = strdup(relay->token_payload);

	if (!payload)
		return -ENOMEM;
	forget_token(shared);
	shared->token_payload = payload;
	memcpy(shared->token_signature, relay->token_signature, sizeof(shared->token_signature));
	return 0;
}

/* The home relay */

static size_t count_candidates(const struct relay_manager *manager)
{
	const struct relay_client *server;
	size_t count = 0;

	TAILQ_FOREACH(server, &manager->shared.servers, entry)
		count += server->role == RELAY_CANDIDATE && server->state != RELAY_ENDED;
	return count;
}

static void free_candidates(struct relay_manager *manager, const char *why)
{
	struct relay_client *server = TAILQ_FIRST(&manager->shared.servers), *next;

	for (; server; server = next) {
		struct url *url = find_url(manager, server->uri);

		next = TAILQ_NEXT(server, entry);
		if (server->role != RELAY_CANDIDATE || server->state == RELAY_ENDED)
			continue;
		if (why && url)
			snprintf(url->error, sizeof(url->error), "%s", why);
		relay_client_free(server);
	}
}

static void wait_until(struct relay_manager *manager, enum home_state state, uint64_t after_ns)
{
	manager->state = state;
	loop_timer_after(manager->shared.loop, &manager->timer, after_ns);
}

/* A new trouble is worth a line, the same one again is not. */
static void note_failure(struct relay_manager *manager, const char *uri, const char *why)
{
	struct url *url = find_url(manager, uri);

	if (!url)
		return;
	if (strcmp(url->error, why))
		log_warn("relay %s: %s", uri, why);
	snprintf(url->error, sizeof(url->error), "%s", why);
}

/* All were tried. The server that was lost: now all of them, at once. */
static void pick_failed(struct relay_manager *manager)
{
	if (manager->state == HOME_AGAIN) {
		pick(manager);
		return;
	}
	wait_until(manager, HOME_WAITING, manager->wait_ns);
	manager->wait_ns = manager->wait_ns * 2 < WAIT_MAX_NS ? manager->wait_ns * 2 : WAIT_MAX_NS;
}

static void server_up(void *ctx, struct relay_client *server)
{
	struct relay_manager *manager = ctx;
	struct url *url = find_url(manager, server->uri);

	if (server->role == RELAY_FOREIGN) {
		log_debug("relay %s: connected for its peers", server->uri);
		return;
	}
	server->role = RELAY_HOME;
	free_candidates(manager, NULL);
	if (url)
		url->error[0] = '\0';
	manager->home = server;
	manager->state = HOME_UP;
	manager->wait_ns = WAIT_FIRST_NS;
	snprintf(manager->last_uri, sizeof(manager->last_uri), "%s", server->uri);
	loop_timer_cancel(manager->shared.loop, &manager->timer);
	manager->events->home(manager->ctx, true, server->address, NULL);
}

static void home_lost(struct relay_manager *manager, const char *why)
{
	struct url *url = find_url(manager, manager->last_uri);

	manager->home = NULL;
	if (url)
		snprintf(url->error, sizeof(url->error), "%s", why);
	if (manager->url_count)
		wait_until(manager, HOME_PAUSED, PAUSE_NS);
	else
		manager->state = HOME_OFF;
	manager->events->home(manager->ctx, false, NULL, why);
}

static void dial_more(struct relay_manager *manager);

static void server_down(void *ctx, struct relay_client *server, const char *why)
{
	struct relay_manager *manager = ctx;

	if (server->role == RELAY_FOREIGN) {
		log_debug("relay %s: %s", server->uri, why);
	} else if (server->role == RELAY_HOME) {
		home_lost(manager, why);
	} else {
		note_failure(manager, server->uri, why);
		dial_more(manager);
	}
}

static const struct relay_client_events server_callbacks = { .up = server_up, .down = server_down };

static void dial(struct relay_manager *manager, const char *uri)
{
	struct relay_client *server;
	int ret = relay_client_new(&manager->shared, uri, RELAY_CANDIDATE, &server_callbacks, manager,
		&server);

	if (ret == -EINVAL)
		note_failure(manager, uri,
			"not an address of the form rel://host[:port] or rels://host[:port]");
	else if (ret)
		note_failure(manager, uri, strerror(-ret));
}

/* As long as a pick goes on and there is room. */
static void dial_more(struct relay_manager *manager)
{
	while (manager->next < manager->url_count && count_candidates(manager) < PICK_AT_ONCE) {
		const struct url *url = &manager->urls[manager->next++];

		if (find_url(manager, url->uri) == url)	/* twice in the list would push ourselves off */
			dial(manager, url->uri);
	}
	if (!count_candidates(manager))
		pick_failed(manager);
}

static void pick(struct relay_manager *manager)
{
	free_candidates(manager, NULL);
	manager->next = 0;
	wait_until(manager, HOME_PICKING, PICK_NS);
	dial_more(manager);
}

/* Management may have taken the server away meanwhile. */
static void dial_again(struct relay_manager *manager)
{
	if (!find_url(manager, manager->last_uri)) {
		pick(manager);
		return;
	}
	manager->next = manager->url_count;	/* nobody else */
	wait_until(manager, HOME_AGAIN, PICK_NS);
	dial(manager, manager->last_uri);
	dial_more(manager);
}

static void on_timer(void *ctx)
{
	struct relay_manager *manager = ctx;

	switch (manager->state) {
	case HOME_PAUSED:
		dial_again(manager);
		break;
	case HOME_AGAIN:
	case HOME_PICKING:
		free_candidates(manager, "no connection in time");
		pick_failed(manager);
		break;
	case HOME_WAITING:
		pick(manager);
		break;
	case HOME_OFF:
	case HOME_UP:
		break;
	}
}

static void turn_off(struct relay_manager *manager)
{
	if (manager->state == HOME_UP)	/* stays until it is lost */
		return;
	free_candidates(manager, NULL);
	loop_timer_cancel(manager->shared.loop, &manager->timer);
	manager->state = HOME_OFF;
}

/*
 * News may be the end of a trouble: no use in waiting any longer. A dial that goes on uses the newest
 * token by itself.
 */
static void use_news(struct relay_manager *manager, bool urls_changed)
{
	if (!manager->url_count) {
		turn_off(manager);
	} else if (manager->state == HOME_OFF || manager->state == HOME_WAITING ||
		   (urls_changed && (manager->state == HOME_PICKING || manager->state == HOME_AGAIN))) {
		manager->wait_ns = WAIT_FIRST_NS;
		pick(manager);
	}
}

int relay_manager_set(struct relay_manager *manager, const struct netmap_relay *relay)
{
	bool urls_changed = !has_urls(manager, relay);
	bool token_changed = relay->token_payload && !has_token(&manager->shared, relay);
	struct url *urls = NULL;
	int ret = 0;

	if (manager->is_closed || (!urls_changed && !token_changed))
		return 0;
	if (urls_changed)
		ret = copy_urls(relay, &urls);
	if (!ret && token_changed)
		ret = set_token(&manager->shared, relay);
	if (ret) {
		free_urls(urls, urls ? relay->url_count : 0);
		return ret;
	}
	if (urls_changed) {
		free_urls(manager->urls, manager->url_count);
		manager->urls = urls;
		manager->url_count = relay->url_count;
	}
	use_news(manager, urls_changed);
	return 0;
}

const char *relay_manager_address(const struct relay_manager *manager)
{
	return manager->home ? manager->home->address : NULL;
}

/* Foreign relays */

static void on_sweep(void *ctx)
{
	struct relay_manager *manager = ctx;
	uint64_t now = loop_now(manager->shared.loop);
	struct relay_client *server = TAILQ_FIRST(&manager->shared.servers), *next;

	for (; server; server = next) {
		next = TAILQ_NEXT(server, entry);
		if (server->role == RELAY_FOREIGN && server->state != RELAY_ENDED &&
			TAILQ_EMPTY(&server->peers) && now - server->born_ns >= FOREIGN_AGE_NS)
			relay_client_close(server);
	}
	relay_early_expire(&manager->shared.early, now);
	loop_timer_after(manager->shared.loop, &manager->sweep, SWEEP_NS);
}

static int find_foreign(struct relay_manager *manager, const char *address, struct relay_client **ret_server)
{
	struct relay_client *server;
	size_t count = 0;

	TAILQ_FOREACH(server, &manager->shared.servers, entry) {
		if (server->role != RELAY_FOREIGN || server->state == RELAY_ENDED)
			continue;
		if (!strcmp(server->uri, address)) {
			*ret_server = server;
			return 0;
		}
		count++;
	}
	if (count >= FOREIGN_MAX)
		return -EUSERS;
	return relay_client_new(&manager->shared, address, RELAY_FOREIGN, &server_callbacks, manager,
		ret_server);
}

int relay_peer_open(struct relay_manager *manager, const uint8_t peer[static KEY_LEN], const char *address,
	const struct relay_peer_events *events, void *ctx, struct relay_peer **ret_peer)
{
	struct relay_client *server = manager->home;
	int ret = 0;

	if (!server)
		return -ENOTCONN;
	if (strcmp(server->address, address))
		ret = find_foreign(manager, address, &server);
	return ret ? ret : relay_peer_new(server, peer, address, events, ctx, ret_peer);
}

/* All of it */

int relay_manager_new(struct loop *loop, const uint8_t own_key[static KEY_LEN],
	const struct relay_events *events, void *ctx, struct relay_manager **ret_manager)
{
	struct relay_manager *manager = calloc(1, sizeof(*manager));

	if (!manager)
		return -ENOMEM;
	manager->shared.loop = loop;
	TAILQ_INIT(&manager->shared.servers);
	relay_id(own_key, manager->shared.own_id);
	relay_early_init(&manager->shared.early);
	manager->events = events;
	manager->ctx = ctx;
	manager->wait_ns = WAIT_FIRST_NS;
	loop_timer_init(&manager->timer, on_timer, manager);
	loop_timer_init(&manager->sweep, on_sweep, manager);
	loop_timer_after(loop, &manager->sweep, SWEEP_NS);
	*ret_manager = manager;
	return 0;
}

static void stop(struct relay_manager *manager, void (*server_fn)(struct relay_client *server))
{
	struct relay_client *server;

	loop_timer_cancel(manager->shared.loop, &manager->timer);
	manager->state = HOME_OFF;
	manager->home = NULL;
	while ((server = TAILQ_FIRST(&manager->shared.servers)))
		server_fn(server);
}

void relay_manager_close(struct relay_manager *manager)
{
	manager->is_closed = true;
	stop(manager, relay_client_close);
}

void relay_manager_free(struct relay_manager *manager)
{
	if (!manager)
		return;
	stop(manager, relay_client_free);
	loop_timer_cancel(manager->shared.loop, &manager->sweep);
	relay_early_done(&manager->shared.early);
	forget_token(&manager->shared);
	free_urls(manager->urls, manager->url_count);
	free(manager);
}

void relay_manager_flush(struct relay_manager *manager)
{
	struct relay_client *server;

	TAILQ_FOREACH(server, &manager->shared.servers, entry) {
		if (server->ws)
			websocket_flush(server->ws);
	}
}

static void list_one(struct relay_status *list, size_t room, size_t *count, const char *uri,
	bool is_available, const char *error)
{
	if (*count >= room)
		return;
	snprintf(list[*count].uri, sizeof(list->uri), "%s", uri);
	list[*count].is_available = is_available;
	snprintf(list[*count].error, sizeof(list->error), "%s", error);
	++*count;
}

/* The home relay by the name it gives itself; without one all that are configured. */
size_t relay_manager_list(const struct relay_manager *manager, struct relay_status *list, size_t room)
{
	const struct relay_client *server;
	size_t count = 0;

	if (manager->home)
		list_one(list, room, &count, manager->home->address, true, "");
	for (size_t i = 0; !manager->home && i < manager->url_count; i++)
		list_one(list, room, &count, manager->urls[i].uri, false,
			manager->urls[i].error[0] ? manager->urls[i].error : "connecting");
	TAILQ_FOREACH(server, &manager->shared.servers, entry) {
		if (server->role == RELAY_FOREIGN && server->state != RELAY_ENDED)
			list_one(list, room, &count, server->uri, server->state == RELAY_READY,
				server->state == RELAY_READY ? "" : "connecting");
	}
	return count;
}

void relay_manager_network_changed(struct relay_manager *manager)
{
	if (manager->is_closed || (manager->state != HOME_PAUSED && manager->state != HOME_WAITING))
		return;
	manager->wait_ns = WAIT_FIRST_NS;
	loop_timer_after(manager->shared.loop, &manager->timer, 0);
}

void relay_manager_get_stats(const struct relay_manager *manager, struct relay_stats *ret_stats)
{
	*ret_stats = manager->shared.stats;
}
