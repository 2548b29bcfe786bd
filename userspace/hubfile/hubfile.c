// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub's file as a whole.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/setup_key.h"
#include "base/store.h"
#include "hubfile/internal.h"

#define FILE_MAX	(1 << 20)

/* The struct that callers see, and the memory that it points into. */
struct owner {
	struct hubfile file;
	struct arena arena;
};

/* Groups come before all that names them, networks before addresses in them. */
static const struct field top[] = {
	FIELD(struct hubfile, "listen", listen, entry_listen),
	FIELD(struct hubfile, "public-url", public_url, entry_public_url),
	FIELD_WHOLE("tls", section_tls),
	FIELD(struct hubfile, "stun", stun_listen, entry_listen_or_off),
	FIELD(struct hubfile, "data", data_dir, entry_path),
	FIELD(struct hubfile, "page", page_listen, entry_listen_or_off),
	FIELD_WHOLE("proxies", section_proxies),
	FIELD(struct hubfile, "domain", domain, entry_domain),
	FIELD(struct hubfile, "network", network, entry_overlay),
	FIELD(struct hubfile, "network6", network6, entry_overlay6),
	FIELD(struct hubfile, "ephemeral", ephemeral_s, entry_duration),
	FIELD_WHOLE("groups", section_groups),
	FIELD_WHOLE("keys", section_keys),
	FIELD_WHOLE("policies", section_policies),
	FIELD_WHOLE("routes", section_routes),
	FIELD_WHOLE("networks", section_networks),
	FIELD_WHOLE("peers", section_peers),
	FIELD_WHOLE("nameservers", section_nameservers),
	FIELD(struct hubfile, "sign-in", oidc, section_sign_in),
	{},
};

static struct owner *owner_new(struct reading *r)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	struct hubfile *file;

	if (!owner)
		return NULL;
	file = &owner->file;
	r->kept = &owner->arena;
	r->file = file;
	file->domain = reading_keep_text(r, "netbird.selfhosted");
	file->network = (struct cidr){ AF_INET, 10, { .word = { htonl(0x64400000) } } };
	file->ephemeral_s = 600;
	file->oidc.scope = reading_keep_text(r, "openid profile email offline_access");
	file->oidc.groups_claim = reading_keep_text(r, "groups");
	file->oidc.user_claim = reading_keep_text(r, "sub");
	file->groups = reading_keep(r, 1, sizeof(*file->groups));
	r->group_names = reading_scratch(r, 1, sizeof(*r->group_names));
	if (!r->is_out_of_memory) {
		file->groups[HUBFILE_ALL].name = reading_keep_text(r, "All");
		file->group_count = 1;
		r->group_names[0] = (struct group_name){ "All", HUBFILE_ALL };
		r->group_name_count = 1;
	}
	return owner;
}

/* Claims count for nothing without a sign-in. */
static void check_claims(struct reading *r, const struct node *root)
{
	const struct node *groups = node_find(root, "groups");

	if (!groups || groups->type != NODE_MAP || node_find(root, "sign-in"))
		return;
	for (const struct node *n = groups->first; n; n = n->next) {
		if (n->type == NODE_MAP && node_find(n, "sign-in"))
			reading_fault(r, node_find(n, "sign-in"), "expected the section sign-in too");
	}
}

static int compare_faults(const void *a, const void *b)
{
	const struct hubfile_fault *x = a, *y = b;

	return (x->line > y->line) - (x->line < y->line);
}

int hubfile_parse(const char *text, size_t len, const char *dir, struct hubfile **ret_file,
	struct hubfile_fault faults[static HUBFILE_FAULTS_MAX], size_t *ret_fault_count)
{
	struct reading r = { .dir = dir, .faults = faults };
	struct owner *owner = owner_new(&r);
	struct node *root = NULL;

	*ret_file = NULL;
	if (!owner)
		r.is_out_of_memory = true;
	else if (len > FILE_MAX)
		reading_fault_line(&r, 0, "expected a file of at most 1 MiB");
	else
		root = tree_read(&r, text, len);
	if (root && node_is_map(&r, root, "a mapping, such as \"policies: []\"")) {
		read_fields(&r, root, top, &owner->file);
		check_claims(&r, root);
		/* lest a file that was cut short open everything, or a new one puzzle with closing it */
		if (!node_find(root, "policies"))
			reading_fault(&r, root,
				"expected 'policies' too; \"policies: []\" lets nobody reach anybody");
	}
	arena_free(&r.scratch);
	if (r.is_out_of_memory && !r.fault_count)
		reading_fault_line(&r, 0, "out of memory");
	qsort(faults, r.fault_count, sizeof(*faults), compare_faults);
	*ret_fault_count = r.fault_count;
	if (!r.fault_count)
		*ret_file = &owner->file;
	else
		hubfile_free(owner ? &owner->file : NULL);
	return r.is_out_of_memory ? -ENOMEM : r.fault_count ? -EINVAL : 0;
}

/* The bytes of the file, and the folder that its paths are relative to. */
static int load(const char *path, uint8_t **ret_bytes, size_t *ret_len, char dir[static PATH_MAX],
	struct hubfile_fault *ret_fault)
{
	const char *slash = strrchr(path, '/');
	int ret = store_read(path, FILE_MAX, ret_bytes, ret_len);

	ret_fault->line = 0;
	if (ret == -EFBIG)
		snprintf(ret_fault->text, sizeof(ret_fault->text), "expected a file of at most 1 MiB");
	else if (ret)
		snprintf(ret_fault->text, sizeof(ret_fault->text), "cannot be read: %s; expected a YAML file",
			strerror(-ret));
	snprintf(dir, PATH_MAX, "%.*s", slash && slash != path ? (int)(slash - path) : 1, slash ? path : ".");
	return ret;
}

int hubfile_read(const char *path, struct hubfile **ret_file,
	struct hubfile_fault faults[static HUBFILE_FAULTS_MAX], size_t *ret_fault_count)
{
	char dir[PATH_MAX];
	uint8_t *bytes;
	size_t len;
	int ret;

	*ret_file = NULL;
	*ret_fault_count = 1;
	ret = load(path, &bytes, &len, dir, &faults[0]);
	if (ret)
		return ret;
	ret = hubfile_parse((const char *)bytes, len, dir, ret_file, faults, ret_fault_count);
	store_free(bytes, len);
	return ret;
}

int hubfile_read_data(const char *path, char **ret_dir, struct hubfile_fault *ret_fault)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	struct arena kept = {};
	char dir[PATH_MAX], *data = NULL;
	struct reading r = { .dir = dir, .kept = &kept, .faults = faults };
	const struct node *root, *node;
	uint8_t *bytes;
	size_t len;
	int ret;

	*ret_dir = NULL;
	ret = load(path, &bytes, &len, dir, ret_fault);
	if (ret)
		return ret;
	root = tree_read(&r, (const char *)bytes, len);
	node = root && root->type == NODE_MAP ? node_find(root, "data") : NULL;
	if (node)
		entry_path(&r, node, &data);
	store_free(bytes, len);
	if (data && !r.fault_count)
		*ret_dir = strdup(data);
	arena_free(&r.scratch);
	arena_free(&kept);
	if (r.is_out_of_memory || (data && !*ret_dir && !r.fault_count))
		reading_fault_line(&r, 0, "out of memory");
	if (r.fault_count)
		*ret_fault = faults[0];
	return r.fault_count ? -EINVAL : 0;
}

struct hubfile *hubfile_default(void)
{
	struct reading r = {};
	struct owner *owner = owner_new(&r);
	struct hubfile_policy *policy;

	if (!owner)
		return NULL;
	policy = reading_keep(&r, 1, sizeof(*policy));
	if (policy) {
		policy->name = reading_keep_text(&r, "all");
		policy->is_both_ways = true;
		policy->from.of = reading_keep(&r, 1, sizeof(*policy->from.of));
		policy->to.of = reading_keep(&r, 1, sizeof(*policy->to.of));
		policy->from.count = policy->to.count = 1;	/* All: its index is 0, as the memory is */
		owner->file.policies = policy;
		owner->file.policy_count = 1;
	}
	arena_free(&r.scratch);
	if (!r.is_out_of_memory)
		return &owner->file;
	hubfile_free(&owner->file);
	return NULL;
}

void hubfile_free(struct hubfile *file)
{
	struct owner *owner = (struct owner *)file;	/* its first member */

	if (!owner)
		return;
	arena_free(&owner->arena);
	sodium_memzero(owner, sizeof(*owner));
	free(owner);
}

int hubfile_group(const struct hubfile *file, const char *name)
{
	for (size_t i = 0; i < file->group_count; i++) {
		if (!strcmp(file->groups[i].name, name))
			return i;
	}
	return -ENOENT;
}

int hubfile_key_hash(const char *setup_key, uint8_t ret_hash[static HUBFILE_HASH_LEN])
{
	char key[SETUP_KEY_LEN + 1];
	int ret = setup_key_parse(slice_from(setup_key), key);

	if (ret)
		return ret;
	for (char *at = key; *at; at++)
		*at = toupper((unsigned char)*at);
	crypto_hash_sha256(ret_hash, (const unsigned char *)key, SETUP_KEY_LEN);
	sodium_memzero(key, sizeof(key));
	return 0;
}
