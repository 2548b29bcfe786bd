// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads the static file: sections and keys become options and peers.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "config/config_internal.h"

static const char *const ignored_keys[] = { CONFIG_IGNORED(CONFIG_IGNORED_NAME) NULL };

/* State of reading one file. */
struct reader {
	struct config *config;
	const char *name;
	enum { IN_NOTHING, IN_INTERFACE, IN_PEER } section;
	char *why;
	size_t size;
};

static int find_option(struct slice key)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (config_option_table[i].key && slice_is(key, config_option_table[i].key))
			return i;
	}
	return -ENOENT;
}

static const struct peer_key *find_peer_key(struct slice key)
{
	for (const struct peer_key *k = config_peer_keys; k->key; k++) {
		if (slice_is(key, k->key))
			return k;
	}
	return NULL;
}

static int find_ignored(struct slice key)
{
	for (int i = 0; i < IGNORED_COUNT; i++) {
		if (slice_is(key, ignored_keys[i]))
			return i;
	}
	return -ENOENT;
}

/* A misplaced private key may precede the '=': only text that looks like a word is quoted. */
static void quote_name(struct slice name, char *text, size_t size)
{
	snprintf(text, size, "this name");
	if (!name.len || name.len > 24)
		return;
	for (size_t i = 0; i < name.len; i++) {
		if (!isalnum((unsigned char)name.at[i]) && !strchr("-_ ", name.at[i]))
			return;
	}
	snprintf(text, size, "'%.*s'", (int)name.len, name.at);
}

/* Levenshtein distance between @a and @b, ignoring case; 100 if one has more than 24 characters. */
static unsigned int distance(struct slice a, struct slice b)
{
	unsigned int row[26], left, above;

	if (a.len > 24 || b.len > 24)
		return 100;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		above = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			unsigned char x = a.at[i - 1], y = b.at[j - 1];
			unsigned int cost = above + (tolower(x) != tolower(y));

			above = row[j];
			left = row[j - 1];
			row[j] = cost;
			if (left + 1 < row[j])
				row[j] = left + 1;
			if (above + 1 < row[j])
				row[j] = above + 1;
		}
	}
	return row[b.len];
}

static void consider(struct slice key, const char *candidate, unsigned int *best, const char **ret_nearest)
{
	unsigned int d = distance(key, slice_from(candidate));

	if (d < *best) {
		*best = d;
		*ret_nearest = candidate;
	}
}

/* The known key closest to @key, for the error line; NULL if none is close. */
static const char *nearest_key(const struct reader *r, struct slice key)
{
	const char *nearest = NULL;
	unsigned int best = key.len < 6 ? key.len / 2 + 1 : 4;

	if (r->section == IN_PEER) {
		for (const struct peer_key *k = config_peer_keys; k->key; k++)
			consider(key, k->key, &best, &nearest);
		return nearest;
	}
	for (enum option i = 0; i < OPTION_COUNT; i++) {
		if (config_option_table[i].key)
			consider(key, config_option_table[i].key, &best, &nearest);
	}
	return nearest;
}

static int unknown_key(const struct reader *r, const struct ini_item *item)
{
	const char *section = r->section == IN_PEER ? "Peer" : "Interface";
	bool belongs_elsewhere = r->section == IN_PEER ? find_option(item->name) >= 0 ||
		find_ignored(item->name) >= 0 : !!find_peer_key(item->name);
	const char *nearest = nearest_key(r, item->name);
	char name[40];

	quote_name(item->name, name, sizeof(name));
	if (belongs_elsewhere)
		snprintf(r->why, r->size, "%s:%u: %s: %s does not belong here; write it in [%s]", r->name,
			item->line, section, name, r->section == IN_PEER ? "Interface" : "Peer");
	else if (nearest)
		snprintf(r->why, r->size, "%s:%u: %s: %s is not a key; write %s, or see talon.conf(5)",
			r->name, item->line, section, name, nearest);
	else
		snprintf(r->why, r->size, "%s:%u: %s: %s is not a key; see talon.conf(5)", r->name,
			item->line, section, name);
	return -EINVAL;
}

static int read_interface_pair(struct reader *r, const struct ini_item *item)
{
	int option = find_option(item->name), ignored;
	struct config_origin origin = { CONFIG_FROM_FILE, NULL, item->line };
	char place[256];

	if (option >= 0) {
		snprintf(place, sizeof(place), "%s:%u: Interface.%s", r->name, item->line,
			config_option_table[option].key);
		return config_assign(r->config, option, &origin, place, item->value, r->why, r->size);
	}
	ignored = find_ignored(item->name);
	if (ignored < 0)
		return unknown_key(r, item);
	r->config->ignored |= 1U << ignored;
	return 0;
}

static int read_peer_pair(struct reader *r, const struct ini_item *item)
{
	const struct peer_key *key = find_peer_key(item->name);
	struct problem problem;
	char place[256];
	int ret;

	if (!key)
		return unknown_key(r, item);
	problem = (struct problem){ item->value, key->is, key->form };
	ret = key->set(&r->config->peers[r->config->peer_count - 1], item->value, &problem);
	if (ret == -ENOMEM)
		return config_no_memory(r->why, r->size);
	if (!ret)
		return 0;
	snprintf(place, sizeof(place), "%s:%u: Peer.%s", r->name, item->line, key->key);
	return config_explain(place, &problem, key->secret, r->why, r->size);
}

static int read_section(struct reader *r, const struct ini_item *item)
{
	struct config_peer *peer;
	char name[40];

	if (slice_is(item->name, "Interface")) {
		r->section = IN_INTERFACE;
		return 0;
	}
	if (slice_is(item->name, "Peer")) {
		peer = config_grow(&r->config->peers, &r->config->peer_count, sizeof(*peer));
		if (!peer)
			return config_no_memory(r->why, r->size);
		peer->line = item->line;
		r->section = IN_PEER;
		return 0;
	}
	quote_name(item->name, name, sizeof(name));
	snprintf(r->why, r->size, "%s:%u: %s is not a section; expected [Interface] or [Peer]", r->name,
		item->line, name);
	return -EINVAL;
}

static int read_item(struct reader *r, const struct ini_item *item)
{
	if (item->kind == INI_SECTION)
		return read_section(r, item);
	if (item->kind == INI_PAIR && r->section == IN_INTERFACE)
		return read_interface_pair(r, item);
	if (item->kind == INI_PAIR && r->section == IN_PEER)
		return read_peer_pair(r, item);
	snprintf(r->why, r->size, "%s:%u: %s", r->name, item->line,
		item->kind == INI_BROKEN ? item->problem :
					   "a key precedes the first section; write [Interface] above it");
	return -EINVAL;
}

int config_read_text(struct config *config, const char *name, const char *text, size_t len, char *why,
	size_t size)
{
	struct reader reader = { config, name, IN_NOTHING, why, size };
	struct ini_item item;
	struct ini ini;
	int ret;

	ini_start(&ini, text, len);
	for (item = ini_next(&ini); item.kind != INI_END; item = ini_next(&ini)) {
		ret = read_item(&reader, &item);
		if (ret)
			return ret;
	}
	return 0;
}

/* Contents of a file; a buffer is wiped before it is freed. */
struct text {
	char *at;
	size_t len;
	size_t room;
};

static void text_free(struct text *text)
{
	if (text->at)
		sodium_memzero(text->at, text->room);
	free(text->at);
}

static int text_grow(struct text *text)
{
	struct text larger = { .len = text->len, .room = text->room ? text->room * 2 : 16384 };

	if (larger.room > CONFIG_FILE_MAX)
		return -EFBIG;
	larger.at = malloc(larger.room);
	if (!larger.at)
		return -ENOMEM;
	if (text->len)
		memcpy(larger.at, text->at, text->len);
	text_free(text);
	*text = larger;
	return 0;
}

/* Reads @fd to its end; it may be a pipe, so the size is unknown. The caller frees @text, on error too. */
static int text_read(struct text *text, int fd)
{
	ssize_t n;
	int ret;

	do {
		ret = text->len == text->room ? text_grow(text) : 0;
		if (ret)
			return ret;
		n = read(fd, text->at + text->len, text->room - text->len);
		if (n > 0)
			text->len += n;
	} while (n > 0);
	return n < 0 ? -errno : 0;
}

static int warn_if_readable(struct config *config, const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & 0007) ||
		config_key_is_zero(config->private_key))
		return 0;
	return config_note(config, LOG_LEVEL_WARN,
		"%s: Interface.PrivateKey: the file is world-accessible (mode %04o); run chmod 600", path,
		st.st_mode & 07777);
}

int config_read_file(struct config *config, const char *path, char *why, size_t size)
{
	struct text text = {};
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		snprintf(why, size, "%s: cannot open the static file: %s", path, strerror(-ret));
		return ret;
	}
	ret = text_read(&text, fd);
	if (ret) {
		snprintf(why, size, "%s: cannot read the static file: %s", path, strerror(-ret));
		goto out;
	}
	ret = config_read_text(config, path, text.at, text.len, why, size);
	if (!ret && warn_if_readable(config, path, fd))
		ret = config_no_memory(why, size);
out:
	text_free(&text);
	close(fd);
	return ret;
}
