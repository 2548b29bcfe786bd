// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub as a whole: start in order, reload, housekeeping, end.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/setup_key.h"
#include "base/text.h"
#include "hub/internal.h"
#include "snapshot/control.h"

#define HOUSEKEEPING_NS	(5 * LOOP_SECOND)
#define EPHEMERAL_S	600
#define CALL_MOST	(256 * 1024)	/* bytes of a request: what a peer says of itself */
#define CONNECTIONS		40000		/* three for each of 12,000 peers, and strangers */
#define DESCRIPTORS_KEPT	320		/* for store, log, STUN, page */
#define CONNECTIONS_SOURCE	1024		/* a site behind one address */
#define RENEW_S		(HUBRELAY_TOKEN_S * 3 / 4)
#define SEEN_S		3600		/* the store hears that often that a peer is still there */
#define NO_MEMORY	"out of memory"

uint64_t hub_unix_s(void)
{
	return clock_unix_ns() / LOOP_SECOND;
}

static int fail(char *why, int ret, const char *text)
{
	snprintf(why, HUB_WHY_LEN, "%s", text);
	return ret;
}

/* ---- peers, the store and the map ---- */

bool hub_peer_is_blocked(const struct hub_peer *peer)
{
	return peer->override && peer->override->is_blocked;
}

bool hub_key_is_blocked(const struct hub *hub, const uint8_t key[static KEY_LEN])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	for (size_t i = 0; i < hub->file->peer_count; i++) {
		if (hub->file->peers[i].is_blocked && !strcmp(hub->file->peers[i].match, text))
			return true;
	}
	return false;
}

int hub_keep(struct hub *hub, const struct hub_peer *peer)
{
	int ret = hubstore_update(hub->store, &peer->kept);

	if (ret) {
		hub->counts.store_failed++;
		log_limited(&hub->log_store, LOG_LEVEL_ERROR, "%s: what changed cannot be kept: %s",
			peer->kept.name, hubstore_why(hub->store));
	}
	return ret;
}

/* The peer's groups: those that it joined with, and those of the file's word on it. */
static int put_with_groups(struct hub *hub, struct hub_peer *peer, struct hubmap_peer *in_map)
{
	const struct hubfile_groups *more = peer->override ? &peer->override->groups : NULL;
	size_t count = peer->kept.group_count;
	const char **groups = calloc(count + (more ? more->count : 0) + 1, sizeof(*groups));
	int ret;

	if (!groups)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		groups[i] = peer->kept.groups[i];
	for (size_t i = 0; more && i < more->count; i++)
		groups[count++] = hub->file->groups[more->of[i]].name;
	in_map->groups = groups;
	in_map->group_count = count;
	ret = hubmap_put(hub->map, in_map);
	free(groups);
	return ret;
}

int hub_put(struct hub *hub, struct hub_peer *peer)
{
	const struct hubstore_peer *k = &peer->kept;
	struct hubmap_peer in_map = { .name = k->name, .hostname = k->hostname, .version = k->version,
		.ssh_key = k->ssh_key, .address = k->address, .address6 = k->address6,
		.reads_prefixes = k->capabilities &
			HUB_CAPABILITY(MANAGEMENT__PEER_CAPABILITY__SOURCE_PREFIXES),
		.carries_ipv6 = k->capabilities & HUB_CAPABILITY(MANAGEMENT__PEER_CAPABILITY__IPV6_OVERLAY),
		.is_expired = peer->is_expired };
	int ret;

	if (hub_peer_is_blocked(peer)) {
		if (peer->is_in_map)
			hubmap_remove(hub->map, k->key);
		peer->is_in_map = false;
		return 0;
	}
	memcpy(in_map.key, k->key, KEY_LEN);
	ret = put_with_groups(hub, peer, &in_map);
	if (!ret && !peer->is_expired)
		ret = hubrelay_admit(hub->relay, k->key);
	peer->is_in_map |= !ret;
	if (ret)
		log_err("%s: cannot be shown to others: %s", k->name, strerror(-ret));
	return ret;
}

int hub_remove(struct hub *hub, struct hub_peer *peer)
{
	int ret = hubstore_remove(hub->store, peer->kept.key);

	if (ret && ret != -ENOENT) {
		hub->counts.store_failed++;
		return ret;
	}
	hub_sync_end(hub, peer, true);
	hub_signal_end(hub, peer, GRPC_OK, NULL);
	hubrelay_end_peer(hub->relay, peer->kept.key);
	if (peer->is_in_map)
		hubmap_remove(hub->map, peer->kept.key);
	hub_waves_forget(hub, peer);
	hub_address_take(hub, peer->kept.address, false);
	hub_roster_remove(&hub->roster, peer);
	hub_changed(hub);
	return 0;
}

/* ---- what the file says of single peers ---- */

static const struct hubfile_peer *find_override(const struct hubfile *file, const struct hub_peer *peer)
{
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(peer->kept.key, key);
	for (size_t i = 0; i < file->peer_count; i++) {
		if (!strcmp(file->peers[i].match, key) || !strcmp(file->peers[i].match, peer->kept.hostname))
			return &file->peers[i];
	}
	return NULL;
}

/* Returns whether it was renamed. */
static bool override_name(struct hub *hub, struct hub_peer *peer, const char *name)
{
	struct hub_peer *other;
	char *copy;

	if (!strcmp(peer->kept.name, name))
		return false;
	other = hub_roster_find_name(&hub->roster, name);
	if (other && other != peer) {
		log_warn("%s: the name %s is another peer's", peer->kept.name, name);
		return false;
	}
	copy = strdup(name);
	if (copy)
		hub_roster_rename(&hub->roster, peer, copy);
	return copy;
}

static bool override_address(struct hub *hub, struct hub_peer *peer, const struct cidr *address)
{
	__be32 wanted = address->addr.word[0];

	if (peer->kept.address == wanted)
		return false;
	if (!hub_address_is_free(hub, wanted)) {
		log_warn("%s: the address that the file gives it is another peer's, or in another network",
			peer->kept.name);
		return false;
	}
	hub_address_take(hub, peer->kept.address, false);
	hub_address_take(hub, wanted, true);
	peer->kept.address = wanted;
	return true;
}

void hub_override(struct hub *hub, struct hub_peer *peer)
{
	const struct hubfile_peer *o = find_override(hub->file, peer);
	bool is_new = false;

	peer->override = o;
	if (o && o->name)
		is_new |= override_name(hub, peer, o->name);
	if (o && o->address.family)
		is_new |= override_address(hub, peer, &o->address);
	if (o && o->address6.family && memcmp(&o->address6.addr, &peer->kept.address6,
		sizeof(o->address6.addr))) {
		peer->kept.address6 = o->address6.addr;
		is_new = true;
	}
	if (is_new)
		hub_keep(hub, peer);
	if (hub_peer_is_blocked(peer)) {
		hub_sync_end(hub, peer, true);
		hub_signal_end(hub, peer, GRPC_PERMISSION_DENIED, "peer is blocked");
		hubrelay_end_peer(hub->relay, peer->kept.key);
	}
}

/* ---- housekeeping ---- */

static void expire(struct hub *hub, struct hub_peer *peer)
{
	log_info("%s: the login of its user has ended", peer->kept.name);
	peer->is_expired = true;
	hub_put(hub, peer);
	hub_sync_end(hub, peer, false);
	hub_signal_end(hub, peer, GRPC_OK, NULL);
	hubrelay_end_peer(hub->relay, peer->kept.key);
	hub_changed(hub);
}

static uint64_t ephemeral_ns(const struct hub *hub)
{
	return (hub->file->ephemeral_s ? hub->file->ephemeral_s : EPHEMERAL_S) * LOOP_SECOND;
}

/* Returns whether it is gone. */
static bool look_after(struct hub *hub, struct hub_peer *peer, uint64_t now_ns, uint64_t now_s)
{
	uint64_t ends_s = hub_login_ends(hub, peer);

	if (!peer->sync && peer->kept.is_ephemeral && now_ns - peer->gone_ns >= ephemeral_ns(hub)) {
		log_info("%s: ephemeral, and away for too long: removed", peer->kept.name);
		if (!hub_remove(hub, peer)) {
			hub->counts.ephemeral_removed++;
			return true;
		}
		return false;
	}
	if (ends_s && ends_s <= now_s && !peer->is_expired)
		expire(hub, peer);
	/* Tokens end by the clock, which may be set while they are good. */
	if (peer->sync && (now_ns - peer->sync->token_ns >= RENEW_S * LOOP_SECOND ||
		now_s >= peer->sync->token_s + RENEW_S))
		hub_sync_renew_token(peer->sync);
	if (peer->sync && now_s >= peer->kept.seen_s + SEEN_S) {
		peer->kept.seen_s = now_s;
		hubstore_seen(hub->store, peer->kept.key, now_s);
	}
	return false;
}

static void housekeep(void *ctx)
{
	struct hub *hub = ctx;
	uint64_t now_s = hub_unix_s();

	loop_timer_after(hub->loop, &hub->housekeeping, HOUSEKEEPING_NS);
	for (size_t i = 0; i < hub->roster.count;)
		i += !look_after(hub, hub->roster.of[i], loop_now(hub->loop), now_s);
}

/* ---- start ---- */

static int load_peer(void *ctx, const struct hubstore_peer *stored)
{
	struct hub *hub = ctx;
	struct hubstore_peer kept;
	struct hub_peer *peer;
	int ret = hub_kept_copy(stored, &kept);

	if (ret)
		return ret;
	peer = hub_roster_add(&hub->roster, &kept);
	if (!peer) {
		hub_kept_done(&kept);
		return -ENOMEM;
	}
	hub_address_take(hub, peer->kept.address, true);
	peer->gone_ns = loop_now(hub->loop);
	return 0;
}

/* Another network of the file than before: who has an address outside it gets a new one. */
static void move_in(struct hub *hub, struct hub_peer *peer)
{
	struct hubstore_peer *k = &peer->kept;
	const struct talon_addr four = { .word[0] = k->address };
	bool is_new = false;
	__be32 address;

	if (!cidr_holds(&hub->network, &four) && !hub_address_pick(hub, k->key, k->hostname, &address)) {
		k->address = address;
		hub_address_take(hub, address, true);
		is_new = true;
	}
	if (hub->network6.family ? !cidr_holds(&hub->network6, &k->address6) : !addr6_is_zero(&k->address6)) {
		hub_address6_pick(hub, k->key, &k->address6);
		is_new = true;
	}
	if (!is_new)
		return;
	log_info("%s: the mesh has another network, and the peer another address", k->name);
	hub_keep(hub, peer);
}

/* All are known before the first is shown, since the file may give one the address that another had. */
static int load_peers(struct hub *hub)
{
	int ret = hubstore_each_peer(hub->store, load_peer, hub);

	for (size_t i = 0; !ret && i < hub->roster.count; i++) {
		struct hub_peer *peer = hub->roster.of[i];
		uint64_t ends_s = hub_login_ends(hub, peer);

		peer->is_expired = ends_s && ends_s <= hub_unix_s();
		move_in(hub, peer);
		hub_override(hub, peer);
		ret = hub_put(hub, peer);
	}
	return ret;
}

static int load_serial(struct hub *hub)
{
	char *text;
	int ret = hubstore_get(hub->store, "serial", &text);

	hub->serial = 1;
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	hub->serial = hub->serial_kept = strtoull(text, NULL, 10);
	free(text);
	return 0;
}

static int open_store(struct hub *hub, char *why)
{
	uint8_t master[HUBSTORE_MASTER_LEN];
	char text[HUBSTORE_WHY_LEN] = "";
	int ret = hub_master_read(&hub->settings, master, why);

	if (ret)
		return ret;
	ret = hubstore_open(hub->settings.data_dir, master, &hub->store, text);
	sodium_memzero(master, sizeof(master));
	if (ret)
		return fail(why, ret, text);
	ret = hubstore_secret(hub->store, "box", hub->box.bytes, sizeof(hub->box.bytes));
	if (!ret)
		ret = hubstore_secret(hub->store, "relay", hub->relay_secret, sizeof(hub->relay_secret));
	if (!ret)
		ret = load_serial(hub);
	if (ret)
		return fail(why, ret, hubstore_why(hub->store));
	secret_key_clamp(&hub->box);
	key_public(&hub->box, hub->box_public);
	return hub_addresses_init(hub, why);
}

static void say_conflict(void *ctx, const struct hubmap_conflict *conflict)
{
	log_warn("%s:%u: %s", (const char *)ctx, conflict->line, conflict->text);
}

static int open_map(struct hub *hub, char *why)
{
	hub->map = hubmap_new(hub->file);
	if (!hub->map || hub_roster_init(&hub->roster))
		return fail(why, -ENOMEM, NO_MEMORY);
	hubmap_set_networks(hub->map, &hub->network, &hub->network6);
	if (load_peers(hub))
		return fail(why, -EIO, "the peers in the store cannot be read");
	if (hub->options.file)
		hubmap_conflicts(hub->map, say_conflict, (void *)hub->options.file);
	return 0;
}

/* How others are told to reach us. */
static void make_places(struct hub *hub)
{
	struct server_url url = hub->settings.public_url;

	host_port_format(url.host, url.port, hub->signal_at);
	url.has_port = true;
	url.scheme = server_url_is_tls(&url) ? SERVER_RELS : SERVER_REL;
	server_url_format(&url, hub->relay_url);
	url.scheme = SERVER_STUN;
	url.port = hub->stun ? hubstun_port(hub->stun) : 0;
	server_url_format(&url, hub->stun_url);
}

static bool on_call(void *ctx, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
	return hub_take_call(ctx, call, request, ret_events, ret_ctx);
}

static bool on_socket(void *ctx, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	struct hub *hub = ctx;

	return !strcmp(request->path, "/relay") && hubrelay_take(hub->relay, socket, request, ret_events,
		ret_ctx);
}

static void on_request(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
	static const char text[] = "A Talon hub: peers of its mesh speak gRPC and WebSocket here.\n";
	bool is_root = !strcmp(request->path, "/");

	*ret_answer = (struct server_answer){ .status = is_root ? 200 : 404,
		.type = "text/plain; charset=utf-8",
		.body = is_root ? text : "not found\n",
		.len = is_root ? sizeof(text) - 1 : strlen("not found\n") };
}

static bool no_call(void *ctx, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
	return false;
}

static bool no_socket(void *ctx, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	return false;
}

/*
 * As many as may come, and as the process may have descriptors for: the daemon has raised the limit as far as
 * it goes.
 */
static size_t connections_most(void)
{
	const size_t wanted = CONNECTIONS + DESCRIPTORS_KEPT;
	struct rlimit files;
	size_t most;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= wanted)
		return CONNECTIONS;
	most = files.rlim_cur > 2 * DESCRIPTORS_KEPT ? files.rlim_cur - DESCRIPTORS_KEPT : DESCRIPTORS_KEPT;
	log_warn("the process may have %ju descriptors, so at most %zu connections, three for each peer; for "
		"more: ulimit -n %zu, or LimitNOFILE=%zu", (uintmax_t)files.rlim_cur, most, wanted, wanted);
	return most;
}

static int listen_all(struct hub *hub, char *why)
{
	static const struct server_events events = { .call = on_call, .socket = on_socket,
		.request = on_request };
	static const struct server_events page_events = { .call = no_call, .socket = no_socket,
		.request = hub_page };
	const struct hub_settings *s = &hub->settings;
	const struct server_options main = { .listen = s->listen, .certificate = s->certificate,
		.key = s->key,
		.connections_max = connections_most(), .connections_per_address = CONNECTIONS_SOURCE,
		.call_message_max = CALL_MOST,
		.proxies = hub->file->proxies, .proxy_count = hub->file->proxy_count };
	const struct server_options page = { .listen = s->page, .connections_max = 64 };
	char text[SERVER_WHY_LEN] = "";
	int ret = s->stun.family ? hubstun_new(hub->loop, &s->stun, &hub->stun) : 0;

	if (ret) {
		snprintf(why, HUB_WHY_LEN, "stun: port %u cannot be had: %s", ntohs(s->stun.port),
			strerror(-ret));
		return ret;
	}
	ret = server_new(hub->loop, &main, &events, hub, &hub->server, text);
	if (!ret && s->page.family) {
		ret = server_new(hub->loop, &page, &page_events, hub, &hub->page, text);
		if (ret)
			snprintf(why, HUB_WHY_LEN, "page: %s", text);
	} else if (ret) {
		snprintf(why, HUB_WHY_LEN, "listen: %s", text);
	}
	return ret;
}

static int open_relay(struct hub *hub, char *why)
{
	struct hubrelay_options options = { .members_only = true };
	struct server_url url = hub->settings.public_url;
	int ret;

	url.has_port = true;
	url.scheme = server_url_is_tls(&url) ? SERVER_RELS : SERVER_REL;
	server_url_format(&url, hub->relay_url);
	options.instance_url = hub->relay_url;
	memcpy(options.secret, hub->relay_secret, sizeof(options.secret));
	ret = hubrelay_new(hub->loop, &options, &hub->relay);
	sodium_memzero(options.secret, sizeof(options.secret));
	return ret ? fail(why, ret, "the relay cannot be made") : 0;
}

/* A hub without a file lets its first peer in by a key that is made now; one that nobody used is replaced. */
static int revoke_first(void *ctx, const struct hubstore_key *key, uint32_t uses)
{
	char *name = ctx;

	if (!strncmp(key->name, "first-", 6) && !key->is_revoked && !uses)
		snprintf(name, 64, "%.63s", key->name);
	return 0;
}

static int make_first_key(struct hub *hub, char *why)
{
	struct hubstore_key key = { .uses_max = 1 };
	char name[32], old[64] = "", text[SETUP_KEY_LEN + 1];
	int ret;

	if (hub->options.file || hub->roster.count)
		return 0;
	ret = hubstore_each_key(hub->store, NULL, revoke_first, old);
	if (!ret && *old)
		ret = hubstore_revoke_key(hub->store, old);
	setup_key_make(text);
	snprintf(name, sizeof(name), "first-%08x%08x", randombytes_random(), randombytes_random());
	key.name = name;
	if (!ret)
		ret = hubfile_key_hash(text, key.hash);
	if (!ret)
		ret = hubstore_add_key(hub->store, &key);
	if (!ret)
		hub->first_key = strdup(text);
	sodium_memzero(text, sizeof(text));
	return ret ? fail(why, ret, "the first setup key cannot be kept") : 0;
}

static int open_all(struct hub *hub, char *why)
{
	int ret = hub_settings_make(&hub->options, hub->file, &hub->settings, why);

	if (!ret)
		ret = open_store(hub, why);
	if (!ret)
		ret = open_relay(hub, why);
	if (!ret)
		ret = open_map(hub, why);
	if (!ret)
		ret = hub_sign_in_use(hub, hub->file, why);
	if (!ret)
		ret = listen_all(hub, why);
	if (!ret)
		ret = make_first_key(hub, why);
	return ret;
}

int hub_new(struct loop *loop, const struct hub_options *options, struct hub **ret_hub,
	char why[static HUB_WHY_LEN])
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int ret;

	if (!hub)
		return fail(why, -ENOMEM, NO_MEMORY);
	hub->loop = loop;
	hub->options = *options;
	hub->started_ns = loop_now(loop);
	randombytes_buf(hub->failures.seed, sizeof(hub->failures.seed));
	randombytes_buf(hub->joins.seed, sizeof(hub->joins.seed));
	randombytes_buf(hub->senders.seed, sizeof(hub->senders.seed));
	hub_waves_init(hub);
	loop_timer_init(&hub->housekeeping, housekeep, hub);
	ret = hub_file_read(options->file, &hub->file, why);
	if (!ret)
		ret = open_all(hub, why);
	if (ret) {
		hub_free(hub);
		return ret;
	}
	make_places(hub);
	hub_changed(hub);
	loop_timer_after(loop, &hub->housekeeping, HOUSEKEEPING_NS);
	*ret_hub = hub;
	return 0;
}

void hub_drain(struct hub *hub)
{
	hub->is_ending = true;
	server_drain(hub->server);
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	hub->is_ending = true;
	loop_timer_cancel(hub->loop, &hub->housekeeping);
	loop_timer_cancel(hub->loop, &hub->waves.timer);
	control_free(hub->control);
	server_free(hub->page);
	server_free(hub->server);
	loop_timer_cancel(hub->loop, &hub->waves.timer);
	hubrelay_free(hub->relay);
	hubstun_free(hub->stun);
	oidc_free(hub->oidc);
	hubmap_free(hub->map);
	hub_roster_done(&hub->roster);
	if (hub->store)
		hubstore_close(hub->store);
	hubfile_free(hub->file);
	if (hub->first_key)
		sodium_memzero(hub->first_key, strlen(hub->first_key));
	free(hub->first_key);
	free(hub->page_text);
	free(hub->taken);
	sodium_memzero(hub, sizeof(*hub));
	free(hub);
}

/* ---- reload ---- */

static void use_file(struct hub *hub, struct hubfile *file, const struct hub_settings *settings)
{
	struct hubfile *old = hub->file;

	hub->file = file;
	hub->settings.certificate = settings->certificate;	/* texts of the file's */
	hub->settings.key = settings->key;
	for (size_t i = 0; i < hub->roster.count; i++) {
		struct hub_peer *peer = hub->roster.of[i];
		bool had_own = peer->override, was_expired = peer->is_expired;
		uint64_t ends_s = hub_login_ends(hub, peer);

		if (was_expired && (!ends_s || ends_s > hub_unix_s()))
			peer->is_expired = false;
		hub_override(hub, peer);
		/* the map has the file already: only what is not in it can be new */
		if (had_own || peer->override || was_expired != peer->is_expired)
			hub_put(hub, peer);
	}
	hubfile_free(old);
	hub_changed(hub);
}

static bool is_same_list(const struct cidr *a, size_t a_count, const struct cidr *b, size_t b_count)
{
	for (size_t i = 0; a_count == b_count && i < a_count; i++) {
		if (!cidr_is_equal(&a[i], &b[i]))
			return false;
	}
	return a_count == b_count;
}

/* What is in use since the start, and stays. */
static bool is_fixed_alike(const struct hub *hub, const struct hubfile *file,
	const struct hub_settings *settings)
{
	const struct hub_settings *s = &hub->settings;
	const struct hubfile *old = hub->file;

	return endpoint_is_equal(&settings->listen, &s->listen) &&
		endpoint_is_equal(&settings->stun, &s->stun) &&
		endpoint_is_equal(&settings->page, &s->page) &&
		server_url_is_equal(&settings->public_url, &s->public_url) &&
		!strcmp(settings->data_dir, s->data_dir) &&
		text_is_equal(settings->certificate, s->certificate) &&
		text_is_equal(settings->key, s->key) &&
		cidr_is_equal(&file->network, &old->network) &&
		cidr_is_equal(&file->network6, &old->network6) &&
		is_same_list(file->proxies, file->proxy_count, old->proxies, old->proxy_count);
}

int hub_reload(struct hub *hub, char why[static HUB_WHY_LEN])
{
	struct hub_settings settings;
	struct hubfile *file;
	char text[SERVER_WHY_LEN] = "";
	int ret = server_reload(hub->server, text);

	if (!hub->options.file)
		return ret ? fail(why, ret, text) : 0;
	/* Whoever is taken out of the file goes at once, whatever has become of the certificate. */
	if (ret)
		log_err("%s; the old certificate stays in use", text);
	ret = hub_file_read(hub->options.file, &file, why);
	if (ret)
		return ret;
	ret = hub_settings_make(&hub->options, file, &settings, why);
	if (!ret)
		ret = hub_sign_in_use(hub, file, why);
	if (!ret && hubmap_use(hub->map, file))
		ret = fail(why, -ENOMEM, NO_MEMORY);
	if (ret) {
		hubfile_free(file);
		return ret;
	}
	if (!is_fixed_alike(hub, file, &settings))
		log_warn("listen, public-url, paths of tls, stun, page, data, proxies, network and network6 "
			"change with the next start only");
	use_file(hub, file, &settings);
	hubmap_conflicts(hub->map, say_conflict, (void *)hub->options.file);
	return 0;
}

char *hub_take_first_key(struct hub *hub)
{
	char *key = hub->first_key;

	hub->first_key = NULL;
	return key;
}

void hub_say_start(const struct hub *hub)
{
	char listen[ENDPOINT_TEXT_LEN], page[ENDPOINT_TEXT_LEN] = "off", url[SERVER_URL_LEN],
		net[CIDR_TEXT_LEN];

	endpoint_format(&hub->settings.listen, listen);
	server_url_format(&hub->settings.public_url, url);
	cidr_format(&hub->network, net, sizeof(net));
	if (hub->page)
		endpoint_format(&hub->settings.page, page);
	log_info("listens at %s%s; peers reach it at %s; network %s; STUN %s; page %s", listen,
		hub->settings.certificate ? " with TLS" : "", url, net, hub->stun ? hub->stun_url : "off",
		page);
}

void hub_say_state(const struct hub *hub, char *line, size_t size)
{
	snprintf(line, size, "%zu peers known, %zu connected", hub->roster.count, hub->syncs);
}
