// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who is there: TLS, proxies, groups, setup keys, peers, sign-in.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hubfile/internal.h"

#define PEERS_MAX	10000
#define TEXTS_MAX	256

void section_tls(struct reading *r, const struct node *node, void *at)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile, "certificate", certificate, entry_path),
		FIELD_REQUIRED(struct hubfile, "key", key, entry_path),
		{},
	};

	if (node_is_map(r, node, "certificate and key, each a path"))
		read_fields(r, node, fields, at);
}

void section_proxies(struct reading *r, const struct node *node, void *at)
{
	const struct node *list = node_list(r, node, "a list of networks");
	struct hubfile *file = at;

	if (!list)
		return;
	file->proxies = reading_keep(r, list->count, sizeof(*file->proxies));
	for (const struct node *n = list->first; n && file->proxies; n = n->next)
		entry_network(r, n, &file->proxies[file->proxy_count++]);
}

static void set_group_peers(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_group *group = at;

	entry_texts(r, node, "a list of peers, by name or public key", PEERS_MAX, entry_peer, &group->peers,
		&group->peer_count);
}

static void set_group_claims(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_group *group = at;

	entry_texts(r, node, "a list of the issuer's groups", TEXTS_MAX, entry_text, &group->claims,
		&group->claim_count);
}

static void read_group(struct reading *r, const struct node *node, struct hubfile_group *group)
{
	static const struct field fields[] = {
		FIELD_WHOLE("peers", set_group_peers),
		FIELD_WHOLE("sign-in", set_group_claims),
		{},
	};
	struct node name = *node;

	if (!strcasecmp(node->key, "All")) {
		reading_fault(r, node,
			"the group All is there already, and every peer is in it; expected another name");
		return;
	}
	name.type = NODE_TEXT;
	name.text = node->key;
	name.is_plain = false;
	entry_name(r, &name, &group->name);
	if (node->type == NODE_MAP)
		read_fields(r, node, fields, group);
	else
		set_group_peers(r, node, group);
}

void section_groups(struct reading *r, const struct node *node, void *at)
{
	struct hubfile *file = at;
	struct hubfile_group *groups;
	struct group_name *names;
	size_t count = 1;

	if (!node_is_map(r, node, "names of groups, each with a list of its peers: \"laptops: []\""))
		return;
	groups = reading_keep(r, node->count + 1, sizeof(*groups));
	names = reading_scratch(r, node->count + 1, sizeof(*names));
	if (!groups || !names)
		return;
	groups[HUBFILE_ALL] = file->groups[HUBFILE_ALL];
	for (const struct node *n = node->first; n; n = n->next) {
		read_group(r, n, &groups[count]);
		if (groups[count].name)
			count++;
	}
	for (size_t i = 0; i < count; i++)
		names[i] = (struct group_name){ groups[i].name, i };
	qsort(names, count, sizeof(*names), group_name_compare);
	file->groups = groups;
	file->group_count = count;
	r->group_names = names;
	r->group_name_count = count;
}

static void read_key(struct reading *r, const struct node *node, struct hubfile_key *key, struct mark *mark)
{
	static const struct field fields[] = {
		FIELD(struct hubfile_key, "hash", hash, entry_hash),
		FIELD(struct hubfile_key, "file", hash, entry_key_file),
		FIELD(struct hubfile_key, "uses", uses_max, entry_uses),
		FIELD(struct hubfile_key, "expires", expires_s, entry_date),
		FIELD(struct hubfile_key, "ephemeral", is_ephemeral, entry_bool),
		FIELD(struct hubfile_key, "groups", groups, entry_groups),
		FIELD_WHOLE("key", entry_secret_refused),
		FIELD_WHOLE("setup-key", entry_secret_refused),
		FIELD_WHOLE("value", entry_secret_refused),
		{},
	};
	struct node name = *node;

	name.type = NODE_TEXT;
	name.text = node->key;
	name.is_plain = false;
	entry_name(r, &name, &key->name);
	key->uses_max = 1;
	*mark = (struct mark){ key->hash, sizeof(key->hash), node };
	if (node->type != NODE_MAP) {
		reading_fault(r, node, "expected hash or file, and no setup key in clear text");
		return;
	}
	read_fields(r, node, fields, key);
	if (!node_find(node, "hash") == !node_find(node, "file"))
		reading_fault(r, node, "expected either hash or file");
}

void section_keys(struct reading *r, const struct node *node, void *at)
{
	static const uint8_t unread[HUBFILE_HASH_LEN];
	struct hubfile *file = at;
	struct mark *marks;
	size_t mark_count = 0;

	if (!node_is_map(r, node, "names of setup keys, each with hash or file"))
		return;
	file->keys = reading_keep(r, node->count, sizeof(*file->keys));
	marks = reading_scratch(r, node->count, sizeof(*marks));
	if (!file->keys || !marks)
		return;
	for (const struct node *n = node->first; n; n = n->next) {
		struct hubfile_key *key = &file->keys[file->key_count++];

		read_key(r, n, key, &marks[mark_count]);
		if (memcmp(key->hash, unread, sizeof(unread)))
			mark_count++;
	}
	marks_check(r, marks, mark_count, "the same setup key");
}

static void read_peer(struct reading *r, const struct node *node, struct hubfile_peer *peer)
{
	static const struct field fields[] = {
		FIELD(struct hubfile_peer, "name", name, entry_label),
		FIELD(struct hubfile_peer, "address", address, entry_address),
		FIELD(struct hubfile_peer, "address6", address6, entry_address6),
		FIELD(struct hubfile_peer, "groups", groups, entry_groups),
		FIELD(struct hubfile_peer, "blocked", is_blocked, entry_bool),
		{},
	};

	if (entry_is_peer(r, node))
		peer->match = reading_keep_text(r, node->key);
	if (node_is_map(r, node, "name, address, address6, groups or blocked"))
		read_fields(r, node, fields, peer);
}

static struct mark mark_of(const struct node *peer, const char *key, const void *bytes, size_t len)
{
	return (struct mark){ bytes, len, node_find(peer, key) };
}

/* What no two peers can have. */
static void check_peers(struct reading *r, const struct node *node)
{
	const struct hubfile_peer *peer = r->file->peers;
	struct mark *names = reading_scratch(r, node->count, sizeof(*names));
	struct mark *addresses = reading_scratch(r, node->count, 2 * sizeof(*addresses));
	size_t name_count = 0, address_count = 0;

	if (!names || !addresses)
		return;
	for (const struct node *n = node->first; n; n = n->next, peer++) {
		if (peer->name)
			names[name_count++] = mark_of(n, "name", peer->name, strlen(peer->name));
		if (peer->address.family)
			addresses[address_count++] = mark_of(n, "address", &peer->address.addr, 4);
		if (peer->address6.family)
			addresses[address_count++] = mark_of(n, "address6", &peer->address6.addr, 16);
	}
	marks_check(r, names, name_count, "this name");
	marks_check(r, addresses, address_count, "this address");
}

void section_peers(struct reading *r, const struct node *node, void *at)
{
	struct hubfile *file = at;

	if (!node_is_map(r, node, "names or public keys of peers, each with what counts for it"))
		return;
	file->peers = reading_keep(r, node->count, sizeof(*file->peers));
	if (!file->peers)
		return;
	for (const struct node *n = node->first; n; n = n->next)
		read_peer(r, n, &file->peers[file->peer_count++]);
	check_peers(r, node);
}

static void set_redirects(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_oidc *oidc = at;

	entry_texts(r, node, "a list of URLs", 16, entry_url, &oidc->redirect_urls, &oidc->redirect_count);
}

void section_sign_in(struct reading *r, const struct node *node, void *at)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile_oidc, "issuer", issuer, entry_issuer),
		FIELD_REQUIRED(struct hubfile_oidc, "client-id", client_id, entry_text),
		FIELD(struct hubfile_oidc, "client-secret-file", client_secret, entry_secret_file),
		FIELD(struct hubfile_oidc, "audience", audience, entry_text),
		FIELD(struct hubfile_oidc, "scope", scope, entry_text),
		FIELD(struct hubfile_oidc, "groups-claim", groups_claim, entry_text),
		FIELD(struct hubfile_oidc, "user-claim", user_claim, entry_text),
		FIELD(struct hubfile_oidc, "device-endpoint", device_endpoint, entry_url),
		FIELD(struct hubfile_oidc, "token-endpoint", token_endpoint, entry_url),
		FIELD(struct hubfile_oidc, "authorization-endpoint", authorization_endpoint, entry_url),
		FIELD_WHOLE("redirect-urls", set_redirects),
		FIELD(struct hubfile_oidc, "ca-file", ca_file, entry_path),
		FIELD(struct hubfile_oidc, "groups", groups, entry_groups),
		FIELD(struct hubfile_oidc, "expires-after", login_expires_s, entry_login_duration),
		FIELD(struct hubfile_oidc, "use-id-token", use_id_token, entry_bool),
		FIELD_WHOLE("client-secret", entry_secret_refused),
		{},
	};

	if (node_is_map(r, node, "issuer and client-id"))
		read_fields(r, node, fields, at);
}
