// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What peers and strangers say to the hub, in any order: requests in good boxes and bad ones, signal's
// messages, tokens, ends of streams; and commands on its socket. The hub's books have to agree afterwards.
// Input: records of a kind, a peer, two bytes of length, and so many bytes.
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "../../userspace/base/cidr.c"
#include "../../userspace/base/host_port.c"
#include "../../userspace/base/json_out.c"
#include "../../userspace/base/server_url.c"
#include "../../userspace/base/rate.c"
#include "../../userspace/base/setup_key.c"
#include "../../userspace/base/slice.c"
#define decode text_decode
#include "../../userspace/base/text.c"
#undef decode
#include "../../userspace/crypto/key.c"
#include "../../userspace/netbird/wire.c"
#define pack pack_envelope
#include "../../userspace/netbird/envelope.c"
#undef pack
#include "management.pb-c.c"

#include "../../userspace/hub/addresses.c"
#include "../../userspace/hub/answers.c"
#include "../../userspace/hub/calls.c"
#include "../../userspace/hub/login.c"
#define refuse refuse_token
#include "../../userspace/hub/sign_in.c"
#undef refuse
#include "../../userspace/hub/sources.c"
#define hash hash_of
#include "../../userspace/hub/roster.c"
#undef hash
#define envelope signal_envelope
#define parse parse_signal
#define pass pass_signal
#include "../../userspace/hub/signal.c"
#undef envelope
#define fail fail_sync
#include "../../userspace/hub/sync.c"
#undef fail
#undef SLICE_NS
#include "../../userspace/hub/hub.c"
#include "../../userspace/hub/socket.c"

/* ---- rooms below, as far as the hub asks them ---- */

struct loop {
	uint64_t now;
	struct loop_timer *timers[8];
};

static struct loop the_loop;

uint64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

void loop_timer_init(struct loop_timer *timer, loop_timer_fn fn, void *ctx)
{
	*timer = (struct loop_timer){ .fn = fn, .ctx = ctx };
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	for (size_t i = 0; i < 8; i++) {
		if (loop->timers[i] == timer)
			loop->timers[i] = NULL;
	}
	timer->place = 0;
}

void loop_timer_after(struct loop *loop, struct loop_timer *timer, uint64_t after_ns)
{
	loop_timer_cancel(loop, timer);
	for (size_t i = 0; i < 8; i++) {
		if (loop->timers[i])
			continue;
		loop->timers[i] = timer;
		timer->place = 1;
		timer->due_ns = loop->now + after_ns;
		return;
	}
	abort();
}

static void pass_time(uint64_t ns)
{
	the_loop.now += ns;
	for (size_t i = 0; i < 8; i++) {
		struct loop_timer *timer = the_loop.timers[i];

		if (!timer || timer->due_ns > the_loop.now)
			continue;
		loop_timer_cancel(&the_loop, timer);
		timer->fn(timer->ctx);
	}
}

void log_write(enum log_level level, const char *fmt, ...)
{
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
{
}

void endpoint_format(const struct endpoint *endpoint, char ret_text[static ENDPOINT_TEXT_LEN])
{
	*ret_text = '\0';
}

bool endpoint_is_equal(const struct endpoint *a, const struct endpoint *b)
{
	return true;
}

struct server_call {
	const struct server_call_events *events;
	void *ctx;
	struct endpoint remote;
	bool is_ended, has_begun;
};

const struct endpoint *server_call_remote(const struct server_call *call)
{
	return &call->remote;
}

int server_call_begin(struct server_call *call, const char *const names[], const char *const values[],
	size_t count)
{
	assert(!call->is_ended && !call->has_begun);
	call->has_begun = true;
	return 0;
}

int server_call_send(struct server_call *call, const void *bytes, size_t len)
{
	assert(!call->is_ended);
	return 0;
}

size_t server_call_waiting(const struct server_call *call)
{
	return 0;
}

void server_call_end(struct server_call *call, int status, const char *text)
{
	assert(!call->is_ended && status >= 0 && status <= 16);
	call->is_ended = true;
}

int server_new(struct loop *loop, const struct server_options *options, const struct server_events *events,
	void *ctx, struct server **ret_server, char why[static SERVER_WHY_LEN])
{
	*ret_server = NULL;
	return 0;
}

void server_drain(struct server *server)
{
}

void server_free(struct server *server)
{
}

int server_reload(struct server *server, char why[static SERVER_WHY_LEN])
{
	return 0;
}

static const char *peer_id;

struct slice server_request_field(const struct server_request *request, const char *name)
{
	return peer_id ? slice_from(peer_id) : (struct slice){};
}

int hubstore_open(const char *dir, const uint8_t *master, struct hubstore **ret_store, char *why)
{
	*ret_store = (struct hubstore *)&the_loop;
	return 0;
}

void hubstore_close(struct hubstore *store)
{
}

const char *hubstore_why(const struct hubstore *store)
{
	return "";
}

int hubstore_secret(struct hubstore *store, const char *name, uint8_t *ret_secret, size_t len)
{
	memset(ret_secret, *name, len);
	return 0;
}

int hubstore_set(struct hubstore *store, const char *name, const char *value)
{
	return 0;
}

int hubstore_get(struct hubstore *store, const char *name, char **ret_value)
{
	return -ENOENT;
}

int hubstore_each_peer(struct hubstore *store, int (*fn)(void *ctx, const struct hubstore_peer *peer),
	void *ctx)
{
	return 0;
}

int hubstore_join(struct hubstore *store, const struct hubstore_peer *peer, const uint8_t *hash,
	uint32_t uses_max)
{
	return 0;
}

int hubstore_update(struct hubstore *store, const struct hubstore_peer *peer)
{
	return 0;
}

int hubstore_seen(struct hubstore *store, const uint8_t *key, uint64_t now_s)
{
	return 0;
}

int hubstore_remove(struct hubstore *store, const uint8_t *key)
{
	return 0;
}

int hubstore_key_uses(struct hubstore *store, const uint8_t *hash, uint32_t *ret_uses)
{
	*ret_uses = 0;
	return 0;
}

int hubstore_each_key(struct hubstore *store, const uint8_t *hash,
	int (*fn)(void *ctx, const struct hubstore_key *key, uint32_t uses), void *ctx)
{
	static char *groups[] = { (char *)"All" };
	struct hubstore_key key = { .name = (char *)"any", .groups = groups, .group_count = 1 };

	/* any setup key is good; those that begin with an odd byte are ephemeral */
	if (fn == is_kept_key) {
		memcpy(key.hash, ((struct found_key *)ctx)->hash, sizeof(key.hash));
		key.is_ephemeral = key.hash[0] & 1;
	}
	return fn(ctx, &key, 0);
}

int hubstore_add_key(struct hubstore *store, const struct hubstore_key *key)
{
	return 0;
}

int hubstore_revoke_key(struct hubstore *store, const char *name)
{
	return 0;
}

int hubstore_use_token(struct hubstore *store, const uint8_t *hash, uint64_t expires_s, uint64_t now_s)
{
	return 0;
}

#define MARKED_MAX 64
static uint8_t marked[MARKED_MAX][KEY_LEN];
static size_t marked_count;

struct hubmap *hubmap_new(const struct hubfile *file)
{
	return (struct hubmap *)&the_loop;
}

void hubmap_free(struct hubmap *map)
{
}

int hubmap_use(struct hubmap *map, const struct hubfile *file)
{
	return 0;
}

void hubmap_set_networks(struct hubmap *map, const struct cidr *network, const struct cidr *network6)
{
}

/* What others are told has to be text that every protobuf reader takes. */
static void is_visible(const char *text)
{
	for (; *text; text++)
		assert(*text >= ' ' && *text <= '~');
}

int hubmap_put(struct hubmap *map, const struct hubmap_peer *peer)
{
	is_visible(peer->name);
	is_visible(peer->version);
	is_visible(peer->ssh_key);
	assert(*peer->name && strlen(peer->name) <= HUB_LABEL_MAX && peer->address);
	if (marked_count < MARKED_MAX)
		memcpy(marked[marked_count++], peer->key, KEY_LEN);
	return 0;
}

int hubmap_remove(struct hubmap *map, const uint8_t *key)
{
	return 0;
}

bool hubmap_next_marked(struct hubmap *map, uint8_t *ret_key)
{
	if (!marked_count)
		return false;
	memcpy(ret_key, marked[--marked_count], KEY_LEN);
	return true;
}

int hubmap_write(struct hubmap *map, const uint8_t *key, uint64_t serial, uint8_t **ret_bytes,
	size_t *ret_len)
{
	*ret_bytes = calloc(1, 8);
	*ret_len = 8;
	return 0;
}

int hubmap_write_config(struct hubmap *map, const uint8_t *key, uint8_t **ret_bytes, size_t *ret_len)
{
	return hubmap_write(map, key, 0, ret_bytes, ret_len);
}

bool hubmap_may_talk(const struct hubmap *map, const uint8_t *a, const uint8_t *b)
{
	return a[0] & 1;
}

void hubmap_conflicts(const struct hubmap *map, void (*fn)(void *ctx, const struct hubmap_conflict *conflict),
	void *ctx)
{
}

int hubrelay_new(struct loop *loop, const struct hubrelay_options *options, struct hubrelay **ret_relay)
{
	return 0;
}

void hubrelay_counts(const struct hubrelay *relay, struct hubrelay_counts *ret_counts)
{
}

bool hubrelay_peer_counts(const struct hubrelay *relay, const uint8_t *key, uint64_t *ret_in,
	uint64_t *ret_out)
{
	return false;
}

void hubrelay_free(struct hubrelay *relay)
{
}

bool hubrelay_take(struct hubrelay *relay, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	return false;
}

void hubrelay_token(const uint8_t *secret, const uint8_t *key, uint64_t expires_s, char *ret_payload,
	char *ret_signature)
{
	strcpy(ret_payload, "1");
	strcpy(ret_signature, "2");
}

int hubrelay_admit(struct hubrelay *relay, const uint8_t *key)
{
	return 0;
}

void hubrelay_end_peer(struct hubrelay *relay, const uint8_t *key)
{
}

int hubstun_new(struct loop *loop, const struct endpoint *listen, struct hubstun **ret_stun)
{
	return 0;
}

void hubstun_free(struct hubstun *stun)
{
}

uint16_t hubstun_port(const struct hubstun *stun)
{
	return 0;
}

int oidc_new(struct loop *loop, const struct oidc_options *options, struct oidc **ret_oidc, char *why)
{
	*ret_oidc = (struct oidc *)&the_loop;
	return 0;
}

void oidc_free(struct oidc *oidc)
{
}

bool oidc_is_ready(const struct oidc *oidc, const char **ret_why)
{
	return true;
}

void oidc_endpoints(const struct oidc *oidc, struct oidc_endpoints *ret_endpoints)
{
}

/* The first character of a token is its user; '-' is one that is refused. */
int oidc_check(struct oidc *oidc, const char *token, size_t len, oidc_fn fn, void *ctx,
	struct oidc_check **ret_check)
{
	char subject[2] = { *token, '\0' };
	struct oidc_user user = { .subject = subject, .shown = subject };

	*ret_check = NULL;
	fn(ctx, *token == '-' ? NULL : &user, "refused");
	return 0;
}

void oidc_cancel(struct oidc_check *check)
{
}

static uint16_t everybody;
static struct hubfile_group groups[] = { { .name = (char *)"All" } };
static struct hubfile the_file = { .network = { .family = AF_INET, .prefixlen = 24 }, .groups = groups,
	.group_count = 1,
	.oidc = { .issuer = (char *)"https://id.test", .client_id = (char *)"c", .scope = (char *)"openid",
		.login_expires_s = 3600, .groups = { &everybody, 1 } } };

int control_new(struct control **ret_control, struct loop *loop, const char *path,
	const struct control_ops *ops, void *ctx, char *why, size_t size)
{
	return -ENOTSUP;
}

void control_free(struct control *control)
{
}

int hub_file_read(const char *path, struct hubfile **ret_file, char *why)
{
	the_file.network.addr.word[0] = htonl(0x64400000);
	*ret_file = &the_file;
	return 0;
}

int hub_settings_make(const struct hub_options *options, const struct hubfile *file,
	struct hub_settings *ret_settings, char *why)
{
	*ret_settings = (struct hub_settings){ .public_url = { .scheme = SERVER_HTTP, .port = 80,
		.host = "h" } };
	return 0;
}

int hub_master_read(const struct hub_settings *settings, uint8_t *ret_master, char *why)
{
	memset(ret_master, 1, HUBSTORE_MASTER_LEN);
	return 0;
}

void hubfile_free(struct hubfile *file)
{
}

int hubfile_group(const struct hubfile *file, const char *name)
{
	return strcmp(name, "All") ? -ENOENT : 0;
}

int hubfile_key_hash(const char *setup_key, uint8_t *ret_hash)
{
	memset(ret_hash, *setup_key, HUBFILE_HASH_LEN);
	return *setup_key == '-' ? -EINVAL : 0;
}

const char *hub_peer_state(const struct hub_peer *peer)
{
	return "away";
}

void hub_page(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
}

/* ---- records ---- */

#define PEERS	6
#define CALLS_OPEN	64

static const char *const paths[] = { MANAGEMENT "Login", MANAGEMENT "Sync", MANAGEMENT "SyncMeta",
	MANAGEMENT "Logout",
	MANAGEMENT "Job", MANAGEMENT "GetDeviceAuthorizationFlow", MANAGEMENT "GetPKCEAuthorizationFlow",
	MANAGEMENT "ExtendAuthSession", MANAGEMENT "GetServerKey", SIGNAL "Send", SIGNAL "ConnectStream" };
enum { KINDS = sizeof(paths) / sizeof(paths[0]), RAW = 0x80 };

static struct server_call *open_calls[CALLS_OPEN];

static void close_call(struct server_call **slot)
{
	struct server_call *call = *slot;

	*slot = NULL;
	if (call)
		call->events->closed(call->ctx);
	free(call);
}

/* X25519 is most of the work: once for each peer. */
static const char *key_text_of(const struct secret_key *key)
{
	static char texts[PEERS][KEY_BASE64_LEN + 1];
	uint8_t public[KEY_LEN];
	char *text = texts[key->bytes[2]];

	if (!*text) {
		key_public(key, public);
		key_to_base64(public, text);
	}
	return text;
}

static void say_to(struct hub *hub, uint8_t kind, const struct secret_key *key, const uint8_t *body,
	size_t len)
{
	struct server_request request = { .method = "POST", .path = paths[(kind & 0x7f) % KINDS] };
	static unsigned int at;
	struct server_call **slot = &open_calls[at++ % CALLS_OPEN];
	struct server_call *call;
	uint8_t *bytes = NULL;
	size_t bytes_len = 0;

	close_call(slot);
	call = calloc(1, sizeof(*call));
	call->remote.family = AF_INET;
	peer_id = kind & RAW ? NULL : key_text_of(key);
	if (!hub_take_call(hub, call, &request, &call->events, &call->ctx)) {
		free(call);
		return;
	}
	*slot = call;
	if (kind & RAW || !strcmp(request.path, SIGNAL "Send")) {
		call->events->message(call->ctx, body, len);
	} else if (!envelope_pack_management(key, hub->box_public, body, len, &bytes, &bytes_len)) {
		call->events->message(call->ctx, bytes, bytes_len);
		envelope_free(bytes, bytes_len);
	}
	if (!call->is_ended)
		call->events->half_closed(call->ctx);
}

/* The books agree with each other. */
static void look(const struct hub *hub)
{
	size_t syncs = 0, signals = 0;

	for (size_t i = 0; i < hub->roster.count; i++) {
		const struct hub_peer *peer = hub->roster.of[i];

		assert(peer->place == i && hub_roster_find(&hub->roster, peer->kept.key) == peer);
		assert(hub_roster_find_name(&hub->roster, peer->kept.name) == peer);
		assert(!hub_address_is_free(hub, peer->kept.address));
		assert(!peer->sync || peer->sync->peer == peer);
		assert(!peer->signal || peer->signal->peer == peer);
		syncs += !!peer->sync;
		signals += !!peer->signal;
	}
	assert(syncs == hub->syncs && signals == hub->signals);
}

/* A command's request: JSON in, JSON or a reason out. */
static void ask(struct hub *hub, const uint8_t *bytes, size_t len)
{
	json_t *request = json_loadb((const char *)bytes, len, 0, NULL), *result;
	char *text = NULL, err[256] = "";
	FILE *out = open_memstream(&text, &len);
	int ret = hub_asked(hub, request, out, err, sizeof(err));

	fclose(out);
	result = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	assert(ret ? ret < 0 && strlen(err) < sizeof(err) : result != NULL);
	json_decref(result);
	json_decref(request);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hub_options options = { .file = "hub.yaml" };
	char why[HUB_WHY_LEN];
	struct hub *hub;
	size_t len;

	the_loop = (struct loop){ .now = LOOP_SECOND };
	marked_count = 0;
	assert(!hub_new(&the_loop, &options, &hub, why));
	while (size >= 4) {
		struct secret_key key = { { 1, 2, data[1] % PEERS } };

		len = data[2] << 8 | data[3];
		if (len > size - 4)
			len = size - 4;
		if (data[0] == 0xff)
			pass_time(data[1] * 10 * LOOP_SECOND);
		else if (data[0] == 0xfd)
			ask(hub, data + 4, len);
		else if (data[0] == 0xfe)
			close_call(&open_calls[data[1] % CALLS_OPEN]);
		else
			say_to(hub, data[0], &key, data + 4, len);
		look(hub);
		data += 4 + len;
		size -= 4 + len;
	}
	for (size_t i = 0; i < CALLS_OPEN; i++)
		close_call(&open_calls[i]);
	look(hub);
	hub_free(hub);
	return 0;
}
