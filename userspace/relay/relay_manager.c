// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which relays are connected to: the home relay, picked from management's URLs and picked again when lost,
 * and foreign ones, where other peers are at home.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay_internal.h"
#include "log/log.h"

#define PICK_AT_ONCE	7			/* relays dialled at a time */
#define PICK_NS		(30 * LOOP_SECOND)	/* for a whole pick */
#define PAUSE_NS	(1500 * LOOP_MS)	/* after a loss, before the same relay is tried again */
#define WAIT_FIRST_NS	(2 * LOOP_SECOND)	/* after a failed pick; doubles */
#define WAIT_MAX_NS	(60 * LOOP_SECOND)
#define SWEEP_NS	(60 * LOOP_SECOND)
#define FOREIGN_AGE_NS	(5 * LOOP_SECOND)	/* younger ones are not swept */
#define FOREIGN_MAX	64	/* peers name them: a bound on what they can make us dial */

/*
 * HOME_OFF	no URLs, or closed for good		HOME_PAUSED	lost a moment ago
 * HOME_UP	connected				HOME_WAITING	for the next pick
 * HOME_AGAIN	dials the one that was lost		HOME_PICKING	dials all
 */
enum home_state { HOME_OFF, HOME_UP, HOME_PAUSED, HOME_AGAIN, HOME_PICKING, HOME_WAITING };

struct server {				/* as management names it */
	struct server_url url;
	char error[RELAY_WHY_LEN];	/* of the last attempt; empty: it did not fail */
};

struct relay_manager {
	struct relay_shared shared;
	const struct relay_events *events;
	void *ctx;
	struct server *servers;
	size_t server_count;
	bool is_closed;
	enum home_state state;
	struct relay_client *home;	/* while HOME_UP */
	struct server_url last;		/* the latest home relay */
	size_t next;			/* in a pick: the server to be dialled next */
	uint64_t wait_ns;		/* after the next failed pick */
	struct loop_timer timer;	/* of the state */
	struct loop_timer sweep;
};

static void pick(struct relay_manager *manager);

/* URLs and token */

static struct server *find_server(const struct relay_manager *manager, const struct server_url *url)
{
	for (size_t i = 0; i < manager->server_count; i++) {
		if (server_url_is_equal(&manager->servers[i].url, url))
			return &manager->servers[i];
	}
	return NULL;
}

static bool has_urls(const struct relay_manager *manager, const struct netmap_relay *relay)
{
	if (manager->server_count != relay->url_count)
		return false;
	for (size_t i = 0; i < relay->url_count; i++) {
		if (!server_url_is_equal(&manager->servers[i].url, &relay->urls[i]))
			return false;
	}
	return true;
}

static int copy_urls(const struct netmap_relay *relay, struct server **ret_servers)
{
	struct server *servers = calloc(relay->url_count ? relay->url_count : 1, sizeof(*servers));

	if (!servers)
		return -ENOMEM;
	for (size_t i = 0; i < relay->url_count; i++)
		servers[i].url = relay->urls[i];
	*ret_servers = servers;
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
	const struct relay_client *client;
	size_t count = 0;

	TAILQ_FOREACH(client, &manager->shared.clients, entry)
		count += client->role == RELAY_CANDIDATE && client->state != RELAY_ENDED;
	return count;
}

static void free_candidates(struct relay_manager *manager, const char *why)
{
	struct relay_client *client = TAILQ_FIRST(&manager->shared.clients), *next;

	for (; client; client = next) {
		struct server *server = find_server(manager, &client->url);

		next = TAILQ_NEXT(client, entry);
		if (client->role != RELAY_CANDIDATE || client->state == RELAY_ENDED)
			continue;
		if (why && server)
			snprintf(server->error, sizeof(server->error), "%s", why);
		relay_client_free(client);
	}
}

static void wait_until(struct relay_manager *manager, enum home_state state, uint64_t after_ns)
{
	manager->state = state;
	loop_timer_after(manager->shared.loop, &manager->timer, after_ns);
}

/* A new failure is worth a line, the same one again is not. */
static void note_failure(struct server *server, const char *why)
{
	char name[SERVER_URL_LEN];

	if (!strcmp(server->error, why))
		return;
	server_url_format(&server->url, name);
	log_warn("relay %s: %s", name, why);
	snprintf(server->error, sizeof(server->error), "%s", why);
}

/*
 * A random time from half of @ns to one and a half, so that those who lost one relay together do not
 * come back together.
 */
static uint64_t around(uint64_t ns)
{
	return ns / 2 + randombytes_uniform(ns / LOOP_MS + 1) * LOOP_MS;
}

/* None answered. If only the relay that was lost was tried, all of them are now. */
static void pick_failed(struct relay_manager *manager)
{
	if (manager->state == HOME_AGAIN) {
		pick(manager);
		return;
	}
	wait_until(manager, HOME_WAITING, around(manager->wait_ns));
	manager->wait_ns = manager->wait_ns * 2 < WAIT_MAX_NS ? manager->wait_ns * 2 : WAIT_MAX_NS;
}

static void client_up(void *ctx, struct relay_client *client)
{
	struct relay_manager *manager = ctx;
	struct server *server = find_server(manager, &client->url);

	if (client->role == RELAY_FOREIGN) {
		log_debug("relay %s: connected for its peers", client->name);
		return;
	}
	client->role = RELAY_HOME;
	free_candidates(manager, NULL);
	if (server)
		server->error[0] = '\0';
	manager->home = client;
	manager->state = HOME_UP;
	manager->wait_ns = WAIT_FIRST_NS;
	manager->last = client->url;
	loop_timer_cancel(manager->shared.loop, &manager->timer);
	manager->events->home(manager->ctx, true, client->address, NULL);
}

static void home_lost(struct relay_manager *manager, const char *why)
{
	struct server *server = find_server(manager, &manager->last);

	manager->home = NULL;
	if (server)
		snprintf(server->error, sizeof(server->error), "%s", why);
	if (manager->server_count && !manager->is_closed)
		wait_until(manager, HOME_PAUSED, PAUSE_NS);
	else
		manager->state = HOME_OFF;
	manager->events->home(manager->ctx, false, NULL, why);
}

static void dial_more(struct relay_manager *manager);

static void client_down(void *ctx, struct relay_client *client, const char *why)
{
	struct relay_manager *manager = ctx;
	struct server *server = find_server(manager, &client->url);

	if (client->role == RELAY_FOREIGN) {
		log_debug("relay %s: %s", client->name, why);
	} else if (client->role == RELAY_HOME) {
		home_lost(manager, why);
	} else {
		if (server)
			note_failure(server, why);
		dial_more(manager);
	}
}

static const struct relay_client_events client_callbacks = { .up = client_up, .down = client_down };

static void dial(struct relay_manager *manager, struct server *server)
{
	struct relay_client *client;
	int ret = relay_client_new(&manager->shared, &server->url, NULL, RELAY_CANDIDATE,
		&client_callbacks, manager, &client);

	if (ret)
		note_failure(server, strerror(-ret));
}

/* Dials further servers until PICK_AT_ONCE dials are under way. */
static void dial_more(struct relay_manager *manager)
{
	while (manager->next < manager->server_count && count_candidates(manager) < PICK_AT_ONCE) {
		struct server *server = &manager->servers[manager->next++];

		/* a second connection to one server would end the first */
		if (find_server(manager, &server->url) == server)
			dial(manager, server);
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

/* Management may have removed the relay meanwhile. */
static void dial_again(struct relay_manager *manager)
{
	struct server *server = find_server(manager, &manager->last);

	if (!server) {
		pick(manager);
		return;
	}
	manager->next = manager->server_count;	/* no others */
	wait_until(manager, HOME_AGAIN, PICK_NS);
	dial(manager, server);
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
 * New URLs or a new token may end a failure: the wait ends now. A dial under way takes the newest token
 * by itself.
 */
static void use_news(struct relay_manager *manager, bool urls_changed)
{
	if (!manager->server_count) {
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
	struct server *servers = NULL;
	int ret = 0;

	if (manager->is_closed || (!urls_changed && !token_changed))
		return 0;
	if (urls_changed)
		ret = copy_urls(relay, &servers);
	if (!ret && token_changed)
		ret = set_token(&manager->shared, relay);
	if (ret) {
		free(servers);
		return ret;
	}
	if (urls_changed) {
		free(manager->servers);
		manager->servers = servers;
		manager->server_count = relay->url_count;
	}
	use_news(manager, urls_changed);
	return 0;
}

const char *relay_manager_address(const struct relay_manager *manager)
{
	return manager->home ? manager->home->address : NULL;
}

const struct endpoint *relay_manager_remote(const struct relay_manager *manager)
{
	return manager->home && endpoint_is_known(&manager->home->remote) ? &manager->home->remote : NULL;
}

/* Foreign relays */

static void on_sweep(void *ctx)
{
	struct relay_manager *manager = ctx;
	uint64_t now = loop_now(manager->shared.loop);
	struct relay_client *client = TAILQ_FIRST(&manager->shared.clients), *next;

	for (; client; client = next) {
		next = TAILQ_NEXT(client, entry);
		if (client->role == RELAY_FOREIGN && client->state != RELAY_ENDED &&
			TAILQ_EMPTY(&client->peers) && now - client->born_ns >= FOREIGN_AGE_NS)
			relay_client_close(client);
	}
	relay_early_expire(&manager->shared.early, now);
	loop_timer_after(manager->shared.loop, &manager->sweep, SWEEP_NS);
}

/*
 * Another peer chose @at, so it may lead nowhere but into the public internet: a private address that is
 * right is what the name's look-up gives. An address in place of a name needs no other.
 */
static bool is_trusted(const struct server_url *url, const struct endpoint *at)
{
	struct talon_addr literal;

	return endpoint_is_public(at) && inet_pton(AF_INET, url->host, &literal) != 1 &&
		inet_pton(AF_INET6, url->host, &literal) != 1;
}

static int find_foreign(struct relay_manager *manager, const struct server_url *url,
	const struct endpoint *at, struct relay_client **ret_client)
{
	struct relay_client *client;
	size_t count = 0;

	TAILQ_FOREACH(client, &manager->shared.clients, entry) {
		if (client->role != RELAY_FOREIGN || client->state == RELAY_ENDED)
			continue;
		if (server_url_is_equal(&client->url, url)) {
			*ret_client = client;
			return 0;
		}
		count++;
	}
	if (count >= FOREIGN_MAX)
		return -EUSERS;
	return relay_client_new(&manager->shared, url, at, RELAY_FOREIGN, &client_callbacks, manager,
		ret_client);
}

int relay_peer_open(struct relay_manager *manager, const uint8_t peer[static KEY_LEN], const char *address,
	const struct endpoint *at, const struct relay_peer_events *events, void *ctx,
	struct relay_peer **ret_peer)
{
	struct relay_client *client = manager->home;
	struct server_url url;
	int ret;

	if (!client)
		return -ENOTCONN;
	if (strcmp(client->address, address)) {
		if (server_url_parse(address, SERVER_SCHEMES_RELAY, &url))
			return -EINVAL;
		ret = find_foreign(manager, &url, at && is_trusted(&url, at) ? at : NULL, &client);
		if (ret)
			return ret;
	}
	return relay_peer_new(client, peer, events, ctx, ret_peer);
}

/* The manager */

int relay_manager_new(struct loop *loop, const uint8_t own_key[static KEY_LEN],
	const struct relay_events *events, void *ctx, struct relay_manager **ret_manager)
{
	struct relay_manager *manager = calloc(1, sizeof(*manager));

	if (!manager)
		return -ENOMEM;
	manager->shared.loop = loop;
	TAILQ_INIT(&manager->shared.clients);
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

static void stop(struct relay_manager *manager, void (*fn)(struct relay_client *client))
{
	struct relay_client *client;

	loop_timer_cancel(manager->shared.loop, &manager->timer);
	manager->state = HOME_OFF;
	manager->home = NULL;
	while ((client = TAILQ_FIRST(&manager->shared.clients)))
		fn(client);
}

void relay_manager_close(struct relay_manager *manager)
{
	manager->is_closed = true;
	stop(manager, relay_client_close);
}

void relay_manager_abandon(struct relay_manager *manager)
{
	manager->is_closed = true;
	stop(manager, relay_client_abandon);
}

void relay_manager_linger(struct relay_manager *manager)
{
	manager->is_closed = true;
	free_candidates(manager, NULL);
	loop_timer_cancel(manager->shared.loop, &manager->timer);
}

bool relay_manager_is_waiting(const struct relay_manager *manager)
{
	const struct relay_client *client;

	TAILQ_FOREACH(client, &manager->shared.clients, entry) {
		if (client->role == RELAY_CANDIDATE && client->state == RELAY_AUTHENTICATING)
			return true;
	}
	return false;
}

void relay_manager_each_connection(const struct relay_manager *manager,
	void (*tell)(void *ctx, const struct talon_quiet *connection), void *ctx)
{
	const struct relay_client *client;
	struct talon_quiet connection;

	TAILQ_FOREACH(client, &manager->shared.clients, entry) {
		if (client->state == RELAY_READY && !websocket_connection(client->ws, &connection))
			tell(ctx, &connection);
	}
}

void relay_manager_free(struct relay_manager *manager)
{
	if (!manager)
		return;
	stop(manager, relay_client_free);
	loop_timer_cancel(manager->shared.loop, &manager->sweep);
	relay_early_done(&manager->shared.early);
	forget_token(&manager->shared);
	free(manager->servers);
	free(manager);
}

void relay_manager_flush(struct relay_manager *manager)
{
	struct relay_client *client;

	TAILQ_FOREACH(client, &manager->shared.clients, entry) {
		if (client->ws)
			websocket_flush(client->ws);
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

/* The servers, while none of them is the home relay. */
static void list_servers(const struct relay_manager *manager, struct relay_status *list, size_t room,
	size_t *count)
{
	char name[SERVER_URL_LEN];

	for (size_t i = 0; i < manager->server_count; i++) {
		const struct server *server = &manager->servers[i];

		server_url_format(&server->url, name);
		list_one(list, room, count, name, false,
			server->error[0] ? server->error : "connecting");
	}
}

/* The home relay goes by its instance address. */
size_t relay_manager_list(const struct relay_manager *manager, struct relay_status *list, size_t room)
{
	const struct relay_client *client;
	size_t count = 0;

	if (manager->home)
		list_one(list, room, &count, manager->home->address, true, "");
	else
		list_servers(manager, list, room, &count);
	TAILQ_FOREACH(client, &manager->shared.clients, entry) {
		if (client->role == RELAY_FOREIGN && client->state == RELAY_READY)
			list_one(list, room, &count, client->name, true, "");
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
