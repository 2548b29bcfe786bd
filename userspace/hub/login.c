// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Admission: peers that are known, and those who join with a setup key. Sign-in is in sign_in.c.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "hub/internal.h"

/* Failed joins from one source: that many at once, and one more each so often. */
static const struct hub_pace failures = { 6 * LOOP_SECOND, 10 };
/* Peers that join from one source with a good key: each takes an address and a row in the store. */
static const struct hub_pace joins = { LOOP_SECOND / 10, 200 };
/* What one peer may have us do: Login, SyncMeta, Sync. */
#define CALLS		60
#define CALL_NS		(LOOP_SECOND / 2)

#define HOSTNAME_MOST	255
#define VERSION_MOST	64
#define OS_MOST		128
#define SSH_KEY_MOST	1024
#define LABELS_TEXT	"extra DNS labels are not known here"

#define NO_METHOD_TEXT	"no peer auth method provided, please use a setup key or interactive SSO login"
#define BAD_KEY_TEXT	"couldn't add peer: setup key is invalid"
#define EXPIRED_TEXT	"peer login has expired, please log in once more"

bool hub_login_is_limited(struct hub_call *call)
{
	struct hub *hub = call->hub;

	if (!hub_sources_is_empty(&hub->failures, server_call_remote(call->call), loop_now(hub->loop),
		&failures))
		return false;
	hub->counts.joins_limited++;
	hub_call_end(call, GRPC_RESOURCE_EXHAUSTED,
		"too many failed attempts from this address, try again later");
	return true;
}

void hub_login_failed(struct hub_call *call)
{
	struct hub *hub = call->hub;

	hub_sources_take(&hub->failures, server_call_remote(call->call), loop_now(hub->loop), &failures);
}

bool hub_peer_is_limited(struct hub_call *call, struct hub_peer *peer)
{
	if (rate_take(&peer->rate, loop_now(call->hub->loop), CALL_NS, CALLS))
		return false;
	call->hub->counts.rate_limited++;
	hub_call_end(call, GRPC_RESOURCE_EXHAUSTED, "too many calls, try again later");
	return true;
}

/* ---- what a peer says of itself ---- */

/* @text as far as it is visible ASCII and at most @most long: others get it in their maps. */
static size_t visible_len(const char *text, size_t most)
{
	size_t len = 0;

	while (len < most && text[len] >= ' ' && text[len] <= '~')
		len++;
	return len;
}

/* True if *@to was another text. */
static bool take_text(char **to, const char *text, size_t most)
{
	size_t len = visible_len(text, most);
	char *copy;

	if (*to && strlen(*to) == len && !memcmp(*to, text, len))
		return false;
	copy = strndup(text, len);
	if (!copy)
		return false;
	free(*to);
	*to = copy;
	return true;
}

static uint32_t read_capabilities(const Management__PeerSystemMeta *meta)
{
	uint32_t all = 0;

	for (size_t i = 0; i < meta->n_capabilities; i++) {
		if ((unsigned int)meta->capabilities[i] < 32)
			all |= HUB_CAPABILITY(meta->capabilities[i]);
	}
	if (meta->flags && meta->flags->disable_ipv6)
		all &= ~HUB_CAPABILITY(MANAGEMENT__PEER_CAPABILITY__IPV6_OVERLAY);
	return all;
}

/* An authorized_keys line; what is no text is none. */
static bool take_ssh_key(struct hubstore_peer *kept, const ProtobufCBinaryData *line)
{
	char text[SSH_KEY_MOST + 1] = "";

	if (line->len < sizeof(text))
		memcpy(text, line->data ? line->data : (const uint8_t *)"", line->len);
	return take_text(&kept->ssh_key, text, SSH_KEY_MOST);
}

static bool fill_meta(struct hubstore_peer *kept, const Management__PeerSystemMeta *meta,
	const Management__PeerKeys *keys)
{
	uint32_t capabilities = read_capabilities(meta);
	char os[OS_MOST + 1];
	bool is_new = kept->capabilities != capabilities;

	snprintf(os, sizeof(os), "%s %s", meta->os, meta->os_version);
	kept->capabilities = capabilities;
	is_new |= take_text(&kept->version, meta->netbird_version, VERSION_MOST);
	is_new |= take_text(&kept->os, os, OS_MOST);
	if (keys)
		is_new |= take_ssh_key(kept, &keys->ssh_pub_key);
	return is_new;
}

bool hub_take_meta(struct hub *hub, struct hub_peer *peer, const Management__PeerSystemMeta *meta,
	const Management__PeerKeys *keys)
{
	if (!meta || !fill_meta(&peer->kept, meta, keys))
		return false;
	/* A full disk keeps nobody from working: what is known in memory counts until the next time. */
	hub_keep(hub, peer);
	hub_put(hub, peer);
	hub_changed(hub);
	return true;
}

/* ---- joining ---- */

static int copy_groups(const struct hub_joining *joining, struct hubstore_peer *kept)
{
	kept->groups = calloc(joining->group_count + 1, sizeof(*kept->groups));
	if (!kept->groups)
		return -ENOMEM;
	for (; kept->group_count < joining->group_count; kept->group_count++) {
		kept->groups[kept->group_count] = strdup(joining->groups[kept->group_count]);
		if (!kept->groups[kept->group_count])
			return -ENOMEM;
	}
	return 0;
}

static int prepare(struct hub *hub, const struct hub_joining *joining, struct hubstore_peer *kept)
{
	const Management__LoginRequest *request = joining->request;
	char label[HUB_LABEL_MAX + 1];
	int ret = hub_address_pick(hub, joining->key, request->meta->hostname, &kept->address);

	if (ret)
		return ret;
	memcpy(kept->key, joining->key, KEY_LEN);
	hub_address6_pick(hub, joining->key, &kept->address6);
	hub_label_pick(hub, request->meta->hostname, kept->address, joining->is_ephemeral, label);
	kept->name = strdup(label);
	kept->hostname = strdup(label);
	kept->user = strdup(joining->user);
	kept->setup_key = strdup(joining->setup_key);
	kept->is_ephemeral = joining->is_ephemeral;
	kept->is_login_expiring = *joining->user;
	kept->joined_s = kept->seen_s = kept->login_s = hub_unix_s();
	take_text(&kept->ssh_key, "", 0);
	fill_meta(kept, request->meta, request->peer_keys);
	ret = copy_groups(joining, kept);
	if (!ret && (!kept->name || !kept->hostname || !kept->user || !kept->setup_key || !kept->ssh_key ||
		!kept->os || !kept->version))
		ret = -ENOMEM;
	return ret;
}

int hub_join(struct hub *hub, const struct hub_joining *joining, struct hub_peer **ret_peer)
{
	struct hubstore_peer kept = {};
	struct hub_peer *peer;
	int ret = prepare(hub, joining, &kept);

	if (!ret)
		ret = hubstore_join(hub->store, &kept, joining->hash, joining->uses_max);
	if (ret)
		goto out;
	peer = hub_roster_add(&hub->roster, &kept);
	if (!peer) {
		hubstore_remove(hub->store, joining->key);
		ret = -ENOMEM;
		goto out;
	}
	hub_address_take(hub, peer->kept.address, true);
	peer->gone_ns = loop_now(hub->loop);
	hub_override(hub, peer);
	ret = hub_put(hub, peer);
	hub_changed(hub);
	log_info("%s joins%s%s", peer->kept.name, *joining->setup_key
		? " with the setup key " : " by sign-in of ",
		*joining->setup_key ? joining->setup_key : joining->user);
	*ret_peer = peer;
out:
	hub_kept_done(&kept);
	return ret;
}

/* ---- setup keys ---- */

struct found_key {
	const uint8_t *hash;
	bool is_found, is_revoked;
	char *name;			/* a copy */
	uint64_t expires_s;
	uint32_t uses_max;
	bool is_ephemeral;
	char **groups;			/* the file's, or copies of the store's */
	size_t group_count;
};

static void found_done(struct found_key *found)
{
	for (size_t i = 0; i < found->group_count; i++)
		free(found->groups[i]);
	free(found->groups);
	free(found->name);
}

static int take_group(struct found_key *found, const char *name)
{
	char **groups = realloc(found->groups, (found->group_count + 1) * sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	found->groups = groups;
	groups[found->group_count] = strdup(name);
	return groups[found->group_count] ? (int)(found->group_count++, 0) : -ENOMEM;
}

static int find_in_file(const struct hubfile *file, struct found_key *found)
{
	for (size_t i = 0; i < file->key_count; i++) {
		const struct hubfile_key *k = &file->keys[i];

		if (sodium_memcmp(k->hash, found->hash, HUBFILE_HASH_LEN))
			continue;
		found->is_found = true;
		found->name = strdup(k->name);
		found->expires_s = k->expires_s;
		found->uses_max = k->uses_max;
		found->is_ephemeral = k->is_ephemeral;
		for (size_t g = 0; g < k->groups.count; g++) {
			if (take_group(found, file->groups[k->groups.of[g]].name))
				return -ENOMEM;
		}
		return found->name ? 0 : -ENOMEM;
	}
	return 0;
}

static int is_kept_key(void *ctx, const struct hubstore_key *k, uint32_t uses)
{
	struct found_key *found = ctx;

	found->is_found = true;
	found->is_revoked = k->is_revoked;
	found->name = strdup(k->name);
	found->expires_s = k->expires_s;
	found->uses_max = k->uses_max;
	found->is_ephemeral = k->is_ephemeral;
	for (size_t g = 0; g < k->group_count; g++) {
		if (take_group(found, k->groups[g]))
			return -ENOMEM;
	}
	return found->name ? 1 : -ENOMEM;
}

/* NULL: the key is good. */
static const char *judge(struct hub *hub, const struct found_key *found)
{
	uint32_t uses = 0;

	if (!found->is_found)
		return "it is not known";
	if (found->is_revoked)
		return "it was revoked";
	if (found->expires_s && found->expires_s <= hub_unix_s())
		return "it has expired";
	if (found->uses_max && !hubstore_key_uses(hub->store, found->hash, &uses) && uses >= found->uses_max)
		return "it is used up";
	return NULL;
}

/* Who hammers is told no more. Whose key is good gets in meanwhile: many may share one address. */
static void refuse_key(struct hub_call *call, const struct found_key *found, const char *reason)
{
	struct hub *hub = call->hub;
	char from[ENDPOINT_TEXT_LEN];

	if (hub_login_is_limited(call))
		return;
	hub->counts.joins_key_refused++;
	hub_login_failed(call);
	endpoint_format(server_call_remote(call->call), from);
	log_limited(&hub->log_refused, LOG_LEVEL_WARN, "a peer at %s was refused: setup key%s%s: %s", from,
		found->name ? " " : "", found->name ? found->name : "", reason);
	hub_call_end(call, GRPC_NOT_FOUND, BAD_KEY_TEXT);
}

static void fail_join(struct hub_call *call, int ret)
{
	struct hub *hub = call->hub;

	hub->counts.joins_failed++;
	if (ret == -EADDRNOTAVAIL) {
		log_limited(&hub->log_store, LOG_LEVEL_ERROR, "a peer cannot join: no address is left");
		hub_call_end(call, GRPC_UNAVAILABLE, "no room for another peer, try again later");
	} else if (ret == -ENOSPC || ret == -EIO) {
		hub->counts.store_failed++;
		log_limited(&hub->log_store, LOG_LEVEL_ERROR, "a peer cannot join: %s",
			hubstore_why(hub->store));
		hub_call_end(call, GRPC_UNAVAILABLE, "no room for another peer, try again later");
	} else {
		log_limited(&hub->log_store, LOG_LEVEL_ERROR, "a peer cannot join: %s", strerror(-ret));
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
	}
}

static void limit_join(struct hub_call *call, const struct found_key *found)
{
	char from[ENDPOINT_TEXT_LEN];

	call->hub->counts.joins_limited++;
	endpoint_format(server_call_remote(call->call), from);
	log_limited(&call->hub->log_refused, LOG_LEVEL_WARN, "a peer at %s was held back: too many join "
		"from there with the setup key %s", from, found->name);
	hub_call_end(call, GRPC_RESOURCE_EXHAUSTED, "too many peers join from this address, try again later");
}

static void join_with(struct hub_call *call, const Management__LoginRequest *request,
	const struct found_key *found)
{
	const struct hub_joining joining = { .request = request, .key = call->pair.peer, .hash = found->hash,
		.uses_max = found->uses_max, .is_ephemeral = found->is_ephemeral, .setup_key = found->name,
		.user = "", .groups = found->groups, .group_count = found->group_count };
	struct hub *hub = call->hub;
	struct hub_peer *peer;
	int ret;

	if (!hub_sources_take(&hub->joins, server_call_remote(call->call), loop_now(hub->loop), &joins)) {
		limit_join(call, found);
		return;
	}
	ret = hub_join(hub, &joining, &peer);
	if (!ret) {
		hub->counts.joins_key++;
		hub_login_answer(call, peer);
	} else if (ret == -EDQUOT) {
		refuse_key(call, found, "it is used up");
	} else if (ret == -EEXIST) {
		hub_call_end(call, GRPC_FAILED_PRECONDITION, "peer has been already registered");
	} else {
		fail_join(call, ret);
	}
}

static void join_by_key(struct hub_call *call, const Management__LoginRequest *request)
{
	struct hub *hub = call->hub;
	uint8_t hash[HUBFILE_HASH_LEN];
	struct found_key found = { .hash = hash };
	const char *reason;
	int ret = 0;

	if (hubfile_key_hash(request->setup_key, hash)) {
		refuse_key(call, &found, "it has not the form of one");
		return;
	}
	ret = find_in_file(hub->file, &found);
	if (!ret && !found.is_found)
		ret = hubstore_each_key(hub->store, hash, is_kept_key, &found);
	reason = judge(hub, &found);
	if (ret < 0)
		fail_join(call, ret);
	else if (reason)
		refuse_key(call, &found, reason);
	else
		join_with(call, request, &found);
	found_done(&found);
	sodium_memzero(hash, sizeof(hash));
}

/* ---- Login ---- */

void hub_login_answer(struct hub_call *call, struct hub_peer *peer)
{
	uint8_t *bytes;
	size_t len;

	/* the file may know a name only once it is given */
	if (hub_peer_is_blocked(peer)) {
		call->hub->counts.logins_blocked++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is blocked");
		return;
	}
	if (hub_pack_login(call->hub, peer, &bytes, &len)) {
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
		return;
	}
	hub_call_answer(call, bytes, len);
	envelope_free(bytes, len);
}

/* The call keeps @request when a token has to be checked first, or frees it. */
static void log_in_known(struct hub_call *call, struct hub_peer *peer, Management__LoginRequest *request)
{
	struct hub *hub = call->hub;

	if (hub_peer_is_blocked(peer)) {
		hub->counts.logins_blocked++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is blocked");
		return;
	}
	if (hub_peer_is_limited(call, peer))
		return;
	if (peer->is_expired) {
		hub->counts.logins_expired++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, EXPIRED_TEXT);
		return;
	}
	hub_take_meta(hub, peer, request->meta, request->peer_keys);
	hub->counts.logins++;
	hub_login_answer(call, peer);
}

static void log_in(struct hub_call *call, Management__LoginRequest *request)
{
	struct hub_peer *peer = hub_roster_find(&call->hub->roster, call->pair.peer);

	if (!request->meta) {
		hub_call_end(call, GRPC_FAILED_PRECONDITION, "peer system meta has to be provided to log in");
	} else if (!peer && hub_key_is_blocked(call->hub, call->pair.peer)) {
		call->hub->counts.logins_blocked++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is blocked");
	} else if (request->n_dns_labels && !peer) {
		hub_call_end(call, GRPC_FAILED_PRECONDITION, LABELS_TEXT);
	} else if (*request->jwt_token && (!peer || peer->kept.is_login_expiring)) {
		call->login = request;
		hub_sign_in(call, peer);
		return;
	} else if (peer) {
		log_in_known(call, peer, request);
	} else if (*request->setup_key) {
		join_by_key(call, request);
	} else {
		call->hub->counts.joins_no_method++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, NO_METHOD_TEXT);
	}
	sodium_memzero(request->setup_key, strlen(request->setup_key));
	sodium_memzero(request->jwt_token, strlen(request->jwt_token));
	management__login_request__free_unpacked(request, NULL);
}

void hub_login(struct hub_call *call, const uint8_t *plain, size_t len)
{
	Management__LoginRequest *request = management__login_request__unpack(NULL, len, plain);

	if (!request) {
		call->hub->counts.malformed++;
		hub_call_end(call, GRPC_INVALID_ARGUMENT, "the request cannot be read");
		return;
	}
	log_in(call, request);
}
