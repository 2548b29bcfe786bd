/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Private to hubfile/: the YAML as a tree, what is known while it is read, and how values become fields. */
#ifndef TALON_HUBFILE_INTERNAL_H
#define TALON_HUBFILE_INTERNAL_H

#include "base/arena.h"
#include "hubfile/hubfile.h"

#define DEPTH_MAX	8		/* of lists and mappings in each other: the file needs 6 */
#define NODES_MAX	200000
#define ITEMS_MAX	20000		/* of one list or mapping: group indexes have 16 bits */
#define NAME_MAX_LEN	100		/* bytes of a name that people give */

enum node_type { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
	enum node_type type;
	bool is_plain;			/* text without quotes: may be a number, true, null */
	unsigned int line;
	const struct node *parent;	/* NULL: the whole file */
	const char *key;		/* NULL: not of a mapping */
	const char *text;
	struct node *first, *last, *next;
	size_t count;
};

struct group_name {
	const char *name;
	uint16_t index;
};
int group_name_compare(const void *a, const void *b);	/* for qsort() and bsearch() */

struct reading {
	struct arena scratch;		/* until the file is read */
	struct arena *kept;		/* what struct hubfile points into */
	struct hubfile *file;
	const char *dir;
	struct group_name *group_names;	/* sorted */
	size_t group_name_count;
	struct hubfile_fault *faults;
	size_t fault_count;
	bool is_out_of_memory;
};

/* A fault at @node, whose path is named before the text; at the file as a whole if NULL. */
void reading_fault(struct reading *r, const struct node *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void reading_fault_line(struct reading *r, unsigned int line, const char *text);
/* Scratch memory; without any, NULL and is_out_of_memory. The same from what is kept. */
void *reading_scratch(struct reading *r, size_t count, size_t size);
void *reading_keep(struct reading *r, size_t count, size_t size);
char *reading_keep_text(struct reading *r, const char *text);

/* NULL: it cannot be read, with a fault. */
struct node *tree_read(struct reading *r, const char *text, size_t len);
const struct node *node_find(const struct node *map, const char *key);
/* "'NAME'" if it is short and cannot be a secret, else "this". */
void node_quote(const char *text, char *ret_text, size_t size);

/* Things that have to differ: names, hashes, addresses. */
struct mark {
	const void *bytes;
	size_t len;
	const struct node *node;
};
/* Sorts; a fault at the later one of each two that are equal: "@what is there twice ...". */
void marks_check(struct reading *r, struct mark *marks, size_t count, const char *what);

/* Reads @node into the member at @at; what does not fit is a fault. */
typedef void field_fn(struct reading *r, const struct node *node, void *at);
struct field {
	const char *name;
	size_t offset;
	field_fn *set;
	bool is_required;
};
#define FIELD(type, key, member, set) { key, offsetof(type, member), set, false }
#define FIELD_REQUIRED(type, key, member, set) { key, offsetof(type, member), set, true }
/* For what fills several members: @at is the whole object. */
#define FIELD_WHOLE(key, set) { key, 0, set, false }
#define FIELD_WHOLE_REQUIRED(key, set) { key, 0, set, true }

/* A mapping into @object, in the order of @fields, which an entry without name ends. */
void read_fields(struct reading *r, const struct node *node, const struct field *fields, void *object);
/* True if it is a mapping; else a fault with @form. */
bool node_is_map(struct reading *r, const struct node *node, const char *form);
/* A list; one text alone counts as a list of one. NULL after a fault. */
const struct node *node_list(struct reading *r, const struct node *node, const char *form);
/* Text that is not empty; NULL after a fault. */
const char *node_text(struct reading *r, const struct node *node, const char *form);

/* Values (entries.c, names.c). The comment says what @at is. */
field_fn entry_bool;			/* bool */
field_fn entry_metric;			/* uint16_t */
field_fn entry_uses;			/* uint32_t */
field_fn entry_duration;		/* uint64_t, seconds */
field_fn entry_login_duration;		/* the same, or never */
field_fn entry_date;			/* uint64_t, Unix */
field_fn entry_path;			/* char *, absolute if the file's folder is known */
field_fn entry_text;			/* char * */
field_fn entry_listen;			/* char * */
field_fn entry_listen_or_off;		/* char * */
field_fn entry_server;			/* struct hubfile_address */
field_fn entry_public_url;		/* char * */
field_fn entry_issuer;			/* char * */
field_fn entry_url;			/* char * */
field_fn entry_hash;			/* uint8_t[HUBFILE_HASH_LEN] */
field_fn entry_key_file;		/* the same, of the key in a file */
field_fn entry_secret_file;		/* char * */
field_fn entry_network;			/* struct cidr */
field_fn entry_overlay;			/* struct cidr, IPv4 */
field_fn entry_overlay6;		/* struct cidr, IPv6 or off */
field_fn entry_address;			/* struct cidr, IPv4 */
field_fn entry_address6;		/* struct cidr, IPv6 */
field_fn entry_name;			/* char * */
field_fn entry_route_name;		/* char * */
field_fn entry_label;			/* char * */
field_fn entry_domain;			/* char * */
field_fn entry_groups;			/* struct hubfile_groups */
field_fn entry_some_groups;		/* the same, one at least */
field_fn entry_secret_refused;		/* nothing: a secret in clear text */
/* One peer as lists name it. False after a fault. */
bool entry_is_peer(struct reading *r, const struct node *node);
/* Texts of a list, each checked by @check, at most @max. */
void entry_texts(struct reading *r, const struct node *node, const char *form, size_t max, field_fn *each,
	char ***ret_texts, size_t *ret_count);
field_fn entry_peer;			/* char * */
field_fn entry_route_domain;		/* char *, "*." may come first */

/* The sections of the file (sections.c, routing.c): @at is the struct hubfile. */
field_fn section_tls, section_proxies, section_groups, section_keys, section_peers, section_sign_in;
field_fn section_policies, section_routes, section_networks, section_nameservers;

#endif
