// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What commands ask a running hub over the control socket in its data directory: lists, and changes of peers
// and keys.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "base/json_out.h"
#include "hub/internal.h"
#include "snapshot/control.h"

#define NAME_MOST	100	/* bytes of a setup key's name, as in the file */
#define GROUPS_MOST	64	/* of a setup key */

struct asked {
	struct hub *hub;
	const json_t *request;
	struct json_out json;
	char *err;
	size_t size;
};

static int refuse(struct asked *a, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int refuse(struct asked *a, int ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(a->err, a->size, fmt, args);
	va_end(args);
	return ret;
}

/* ---- lists ---- */

static void write_groups(struct asked *a, const char *key, const struct hubfile_groups *groups)
{
	json_out_begin(&a->json, key, '[');
	for (size_t i = 0; i < groups->count; i++)
		json_out_text(&a->json, NULL, a->hub->file->groups[groups->of[i]].name);
	json_out_end(&a->json, ']');
}

static void write_status(struct asked *a)
{
	const struct hub *hub = a->hub;
	char url[SERVER_URL_LEN], net[CIDR_TEXT_LEN], listen[ENDPOINT_TEXT_LEN];
	struct hubrelay_counts relay = {};

	server_url_format(&hub->settings.public_url, url);
	endpoint_format(&hub->settings.listen, listen);
	hubrelay_counts(hub->relay, &relay);
	json_out_begin(&a->json, NULL, '{');
	json_out_text(&a->json, "version", TALON_VERSION);
	json_out_text(&a->json, "publicUrl", url);
	json_out_text(&a->json, "listen", listen);
	json_out_bool(&a->json, "tls", hub->settings.certificate);
	json_out_text(&a->json, "stun", hub->stun ? hub->stun_url : "");
	json_out_text(&a->json, "file", hub->options.file);
	json_out_text(&a->json, "domain", hub->file->domain);
	cidr_format(&hub->network, net, sizeof(net));
	json_out_text(&a->json, "network", net);
	if (hub->network6.family)
		cidr_format(&hub->network6, net, sizeof(net));
	json_out_text(&a->json, "network6", hub->network6.family ? net : "");
	json_out_text(&a->json, "issuer", hub->file->oidc.issuer);
	json_out_number(&a->json, "upSeconds", (loop_now(hub->loop) - hub->started_ns) / LOOP_SECOND);
	json_out_number(&a->json, "peers", hub->roster.count);
	json_out_number(&a->json, "connected", hub->syncs);
	json_out_number(&a->json, "signals", hub->signals);
	json_out_number(&a->json, "relayPeers", relay.peers);
	json_out_number(&a->json, "relayPackets", relay.packets);
	json_out_number(&a->json, "relayBytes", relay.bytes);
	json_out_end(&a->json, '}');
}

static void write_address(struct asked *a, const char *key, int family, const void *address, bool is_there)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (is_there)
		inet_ntop(family, address, text, sizeof(text));
	json_out_text(&a->json, key, text);
}

static void write_peer(struct asked *a, const struct hub_peer *peer)
{
	const struct hubstore_peer *k = &peer->kept;
	const struct hubfile_groups *more = peer->override ? &peer->override->groups : NULL;
	char key[KEY_BASE64_LEN + 1];
	uint64_t in = 0, sent = 0;

	key_to_base64(k->key, key);
	json_out_begin(&a->json, NULL, '{');
	json_out_text(&a->json, "name", k->name);
	json_out_text(&a->json, "publicKey", key);
	write_address(a, "address", AF_INET, &k->address, true);
	write_address(a, "address6", AF_INET6, &k->address6, !addr6_is_zero(&k->address6));
	json_out_text(&a->json, "state", hub_peer_state(peer));
	json_out_bool(&a->json, "connected", peer->sync);
	json_out_bool(&a->json, "relayed", hubrelay_peer_counts(a->hub->relay, k->key, &in, &sent));
	json_out_number(&a->json, "relayBytesFrom", in);
	json_out_number(&a->json, "relayBytesTo", sent);
	json_out_begin(&a->json, "groups", '[');
	for (size_t i = 0; i < k->group_count; i++)
		json_out_text(&a->json, NULL, k->groups[i]);
	for (size_t i = 0; more && i < more->count; i++)
		json_out_text(&a->json, NULL, a->hub->file->groups[more->of[i]].name);
	json_out_end(&a->json, ']');
	json_out_text(&a->json, "joinedAs", k->hostname);
	json_out_text(&a->json, "version", k->version);
	json_out_text(&a->json, "system", k->os);
	json_out_text(&a->json, "user", k->user);
	json_out_text(&a->json, "setupKey", k->setup_key);
	json_out_bool(&a->json, "ephemeral", k->is_ephemeral);
	json_out_number(&a->json, "joined", k->joined_s);
	json_out_number(&a->json, "seen", peer->sync ? hub_unix_s() : k->seen_s);
	json_out_number(&a->json, "loginEnds", hub_login_ends(a->hub, peer));
	json_out_end(&a->json, '}');
}

static void write_peers(struct asked *a)
{
	json_out_begin(&a->json, NULL, '[');
	for (size_t i = 0; i < a->hub->roster.count; i++)
		write_peer(a, a->hub->roster.of[i]);
	json_out_end(&a->json, ']');
}

static void write_key(struct asked *a, const char *from, const struct hubstore_key *key, uint32_t uses)
{
	const char *state = key->is_revoked ? "revoked" : key->expires_s && key->expires_s <= hub_unix_s()
		? "expired"
		: key->uses_max && uses >= key->uses_max ? "used up" : "valid";

	json_out_begin(&a->json, NULL, '{');
	json_out_text(&a->json, "name", key->name);
	json_out_text(&a->json, "from", from);
	json_out_text(&a->json, "state", state);
	json_out_number(&a->json, "uses", uses);
	json_out_number(&a->json, "usesMax", key->uses_max);
	json_out_number(&a->json, "expires", key->expires_s);
	json_out_bool(&a->json, "ephemeral", key->is_ephemeral);
}

static int write_kept_key(void *ctx, const struct hubstore_key *key, uint32_t uses)
{
	struct asked *a = ctx;

	write_key(a, "command", key, uses);
	json_out_texts(&a->json, "groups", key->groups, key->group_count, false);
	json_out_end(&a->json, '}');
	return 0;
}

static int write_keys(struct asked *a)
{
	const struct hubfile *file = a->hub->file;
	uint32_t uses;
	int ret = 0;

	json_out_begin(&a->json, NULL, '[');
	for (size_t i = 0; !ret && i < file->key_count; i++) {
		const struct hubfile_key *k = &file->keys[i];
		struct hubstore_key key = { .name = k->name, .expires_s = k->expires_s,
			.uses_max = k->uses_max,
			.is_ephemeral = k->is_ephemeral };

		uses = 0;
		ret = hubstore_key_uses(a->hub->store, k->hash, &uses);
		write_key(a, "file", &key, uses);
		write_groups(a, "groups", &k->groups);
		json_out_end(&a->json, '}');
	}
	if (!ret)
		ret = hubstore_each_key(a->hub->store, NULL, write_kept_key, a);
	json_out_end(&a->json, ']');
	return ret ? refuse(a, ret, "%s", hubstore_why(a->hub->store)) : 0;
}

static void write_ports(struct asked *a, const struct hubfile_policy *policy)
{
	char text[16];

	json_out_begin(&a->json, "ports", '[');
	for (size_t i = 0; i < policy->port_count; i++) {
		const struct hubfile_ports *p = &policy->ports[i];

		if (p->first == p->last)
			snprintf(text, sizeof(text), "%u", p->first);
		else
			snprintf(text, sizeof(text), "%u-%u", p->first, p->last);
		json_out_text(&a->json, NULL, text);
	}
	json_out_end(&a->json, ']');
}

static void write_policies(struct asked *a)
{
	static const char *const protocols[] = {
		[HUBFILE_ANY] = "any", [HUBFILE_TCP] = "tcp", [HUBFILE_UDP] = "udp", [HUBFILE_ICMP] = "icmp",
	};
	const struct hubfile *file = a->hub->file;

	json_out_begin(&a->json, NULL, '[');
	for (size_t i = 0; i < file->policy_count; i++) {
		const struct hubfile_policy *p = &file->policies[i];

		json_out_begin(&a->json, NULL, '{');
		json_out_text(&a->json, "name", p->name);
		json_out_text(&a->json, "action", p->is_drop ? "drop" : "accept");
		write_groups(a, "from", &p->from);
		write_groups(a, "to", &p->to);
		json_out_bool(&a->json, "bothWays", p->is_both_ways);
		json_out_text(&a->json, "protocol", protocols[p->protocol]);
		write_ports(a, p);
		json_out_end(&a->json, '}');
	}
	json_out_end(&a->json, ']');
}

/* Up to its groups; the caller ends it. */
static void write_route(struct asked *a, const char *name, const char *of, const struct cidr *network,
	char *const *domains, size_t domain_count)
{
	char text[CIDR_TEXT_LEN] = "";

	json_out_begin(&a->json, NULL, '{');
	json_out_text(&a->json, "name", name);
	json_out_text(&a->json, "of", of);
	if (network->family)
		cidr_format(network, text, sizeof(text));
	json_out_text(&a->json, "network", text);
	json_out_texts(&a->json, "domains", domains, domain_count, false);
}

static void write_routers(struct asked *a, const struct hubfile_routers *routers, uint16_t metric,
	bool is_masqueraded)
{
	json_out_texts(&a->json, "routers", routers->peers, routers->peer_count, false);
	write_groups(a, "routerGroups", &routers->groups);
	json_out_number(&a->json, "metric", metric);
	json_out_bool(&a->json, "masquerade", is_masqueraded);
}

static void write_routes(struct asked *a)
{
	const struct hubfile *file = a->hub->file;

	json_out_begin(&a->json, NULL, '[');
	for (size_t i = 0; i < file->route_count; i++) {
		const struct hubfile_route *r = &file->routes[i];

		write_route(a, r->name, "", &r->network, r->domains, r->domain_count);
		write_routers(a, &r->routers, r->metric, r->is_masqueraded);
		write_groups(a, "groups", &r->to);
		json_out_end(&a->json, '}');
	}
	for (size_t i = 0; i < file->network_count; i++) {
		const struct hubfile_network *n = &file->networks[i];

		for (size_t k = 0; k < n->resource_count; k++) {
			const struct hubfile_resource *r = &n->resources[k];

			write_route(a, r->name, n->name, &r->network, &r->domain, r->domain ? 1 : 0);
			write_routers(a, &n->routers, n->metric, n->is_masqueraded);
			write_groups(a, "groups", &r->groups);
			json_out_end(&a->json, '}');
		}
	}
	json_out_end(&a->json, ']');
}

/* ---- changes ---- */

/* A text of the request of 1 to @most visible characters; NULL after a refusal. */
static const char *text_of(struct asked *a, const char *key, size_t most)
{
	const char *text = json_string_value(json_object_get(a->request, key));
	size_t len = text ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++)
		len = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? 0 : len;
	if (len && len <= most)
		return text;
	refuse(a, -EINVAL, "%s: expected a text of 1 to %zu bytes", key, most);
	return NULL;
}

static struct hub_peer *peer_of(struct asked *a)
{
	const char *text = text_of(a, "peer", 255);
	struct hub_peer *peer = NULL;
	uint8_t key[KEY_LEN];

	if (!text)
		return NULL;
	if (!key_from_base64(text, key))
		peer = hub_roster_find(&a->hub->roster, key);
	else
		peer = hub_roster_find_name(&a->hub->roster, text);
	if (!peer)
		refuse(a, -ENOENT, "there is no peer of this name or public key");
	return peer;
}

static int remove_peer(struct asked *a)
{
	struct hub_peer *peer = peer_of(a);
	char name[HUB_LABEL_MAX + 1];
	int ret;

	if (!peer)
		return -ENOENT;
	snprintf(name, sizeof(name), "%s", peer->kept.name);
	ret = hub_remove(a->hub, peer);
	if (ret)
		return refuse(a, ret, "%s: %s", name, hubstore_why(a->hub->store));
	a->hub->counts.removed++;
	log_info("%s: removed by command", name);
	json_out_text(&a->json, NULL, name);
	return 0;
}

static int rename_peer(struct asked *a)
{
	struct hub_peer *peer = peer_of(a), *other;
	const char *name = peer ? text_of(a, "name", HUB_LABEL_MAX) : NULL;
	char label[HUB_LABEL_MAX + 1], *copy;
	struct hubstore_peer kept;
	int ret;

	if (!name)
		return -EINVAL;
	hub_label_make(name, label);
	if (strcmp(label, name))
		return refuse(a, -EINVAL,
			"expected a name of small letters, digits and dashes inside, such as %s", label);
	if (peer->override && peer->override->name)
		return refuse(a, -EBUSY, "the file names this peer: change it there");
	other = hub_roster_find_name(&a->hub->roster, name);
	if (other && other != peer)
		return refuse(a, -EEXIST, "another peer has this name, or had it when it joined");
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	kept = peer->kept;
	kept.name = copy;
	ret = hubstore_update(a->hub->store, &kept);
	if (ret) {
		free(copy);
		return refuse(a, ret, "%s", hubstore_why(a->hub->store));
	}
	log_info("%s: is %s from now on, by command", peer->kept.name, name);
	hub_roster_rename(&a->hub->roster, peer, copy);
	hub_put(a->hub, peer);
	hub_changed(a->hub);
	json_out_text(&a->json, NULL, name);
	return 0;
}

static const struct hubfile_key *find_file_key(const struct hub *hub, const char *name)
{
	for (size_t i = 0; i < hub->file->key_count; i++) {
		if (!strcmp(hub->file->keys[i].name, name))
			return &hub->file->keys[i];
	}
	return NULL;
}

static int read_groups(struct asked *a, char *groups[static GROUPS_MOST], size_t *ret_count)
{
	const json_t *list = json_object_get(a->request, "groups"), *item;
	size_t i;

	if (json_array_size(list) > GROUPS_MOST)
		return refuse(a, -E2BIG, "expected at most %d groups", GROUPS_MOST);
	json_array_foreach(list, i, item) {
		const char *name = json_string_value(item);

		if (!name || hubfile_group(a->hub->file, name) < 0)
			return refuse(a, -ENOENT, "there is no group %.64s: name it below groups in the file",
				name ? name : "");
		groups[i] = (char *)name;
	}
	*ret_count = json_array_size(list);
	return 0;
}

/* The command made the key and sends its hash alone. */
static int add_key(struct asked *a)
{
	const json_t *request = a->request;
	const char *name = text_of(a, "name", NAME_MOST), *hash = name ? text_of(a, "hash",
		2 * HUBFILE_HASH_LEN) : NULL;
	json_int_t uses = json_integer_value(json_object_get(request, "uses"));
	json_int_t expires = json_integer_value(json_object_get(request, "expires"));
	struct hubstore_key key = { .uses_max = uses, .expires_s = expires,
		.is_ephemeral = json_is_true(json_object_get(request, "ephemeral")) };
	char *groups[GROUPS_MOST];
	size_t len;
	int ret;

	if (!hash)
		return -EINVAL;
	if (sodium_hex2bin(key.hash, sizeof(key.hash), hash, strlen(hash), NULL, &len, NULL) ||
		len != sizeof(key.hash) ||
		uses < 0 || uses > 1000000 || expires < 0)
		return refuse(a, -EINVAL, "a value of the request is not understood");
	if (find_file_key(a->hub, name))
		return refuse(a, -EEXIST, "the file has a setup key of this name");
	key.name = (char *)name;
	key.groups = groups;
	ret = read_groups(a, groups, &key.group_count);
	if (ret)
		return ret;
	ret = hubstore_add_key(a->hub->store, &key);
	if (ret == -EEXIST)
		return refuse(a, ret, "there is a setup key of this name already");
	if (ret)
		return refuse(a, ret, "%s", hubstore_why(a->hub->store));
	log_info("setup key %s: made by command", name);
	json_out_text(&a->json, NULL, name);
	return 0;
}

static int revoke_key(struct asked *a)
{
	const char *name = text_of(a, "name", NAME_MOST);
	int ret;

	if (!name)
		return -EINVAL;
	if (find_file_key(a->hub, name))
		return refuse(a, -EBUSY, "the setup key is the file's: take it out there, and reload");
	ret = hubstore_revoke_key(a->hub->store, name);
	if (ret == -ENOENT)
		return refuse(a, ret, "there is no setup key of this name");
	if (ret)
		return refuse(a, ret, "%s", hubstore_why(a->hub->store));
	log_info("setup key %s: revoked by command", name);
	json_out_text(&a->json, NULL, name);
	return 0;
}

int hub_asked(struct hub *hub, const json_t *request, FILE *out, char *err, size_t size)
{
	static const struct {
		const char *name;
		void (*list)(struct asked *a);
		int (*act)(struct asked *a);
	} requests[] = {
		{ "status", write_status, NULL }, { "peers", write_peers, NULL },
		{ "policies", write_policies, NULL }, { "routes", write_routes, NULL },
		{ "keys", NULL, write_keys }, { "remove-peer", NULL, remove_peer },
		{ "rename-peer", NULL, rename_peer }, { "add-key", NULL, add_key },
		{ "revoke-key", NULL, revoke_key },
	};
	struct asked a = { .hub = hub, .request = request, .json = { out, true }, .err = err, .size = size };
	const char *name = json_string_value(json_object_get(request, "request")) ?: "";

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (strcmp(requests[i].name, name))
			continue;
		if (requests[i].act)
			return requests[i].act(&a);
		requests[i].list(&a);
		return 0;
	}
	return refuse(&a, -EINVAL, "a hub does not know the request");
}

static int on_command(void *ctx, const json_t *request, FILE *out, char *err, size_t size)
{
	return hub_asked(ctx, request, out, err, size);
}

int hub_listen(struct hub *hub, char why[static HUB_WHY_LEN])
{
	static const struct control_ops ops = { .hub = on_command };
	char path[sizeof(hub->settings.data_dir) + 16];

	snprintf(path, sizeof(path), "%s/" HUB_SOCKET, hub->settings.data_dir);
	return control_new(&hub->control, hub->loop, path, &ops, hub, why, HUB_WHY_LEN);
}
