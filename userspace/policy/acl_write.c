// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Writes a compiled table into one bank of the maps: only differences, in few system calls.
#include <errno.h>
#include <linux/membarrier.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "policy/acl_internal.h"

#define BATCH		4096
#define SOON_NS		1000000000ULL	/* longer than any BPF program runs */

/* Keys and values of a map, side by side, as the batch calls take them. */
struct batch {
	int fd;
	size_t key_size;
	size_t value_size;
	uint32_t count;
	uint32_t room;
	uint8_t *keys;
	uint8_t *values;
};

static void batch_done(struct batch *b)
{
	free(b->keys);
	free(b->values);
}

static int batch_room(struct batch *b, uint32_t room)
{
	b->keys = calloc(room + 1, b->key_size);
	b->values = calloc(room + 1, b->value_size);
	b->room = room;
	return b->keys && b->values ? 0 : -ENOMEM;
}

static void *key_at(const struct batch *b, uint32_t i)
{
	return b->keys + i * b->key_size;
}

static void *value_at(const struct batch *b, uint32_t i)
{
	return b->values + i * b->value_size;
}

static void batch_add(struct batch *b, const void *key, const void *value)
{
	memcpy(key_at(b, b->count), key, b->key_size);
	memcpy(value_at(b, b->count++), value, b->value_size);
}

/* A map too small (an adopted one may be) is reported as too many rules are. */
static int map_error(int ret)
{
	return ret == -ENOSPC ? -E2BIG : ret;
}

static int update_one_by_one(const struct batch *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (bpf_map_update_elem(b->fd, key_at(b, i), value_at(b, i), BPF_ANY))
			return map_error(-errno);
	return 0;
}

static int batch_update(const struct batch *b)
{
	uint32_t count = b->count;

	if (!count || !bpf_map_update_batch(b->fd, b->keys, b->values, &count, NULL))
		return 0;
	/* the kernel lacks batches for this map, or stopped halfway: writing again does no harm */
	return update_one_by_one(b);
}

static int batch_delete(const struct batch *b)
{
	uint32_t count = b->count;

	if (!count || !bpf_map_delete_batch(b->fd, b->keys, &count, NULL))
		return 0;
	for (uint32_t i = 0; i < b->count; i++)
		if (bpf_map_delete_elem(b->fd, key_at(b, i)) && errno != ENOENT)
			return -errno;
	return 0;
}

static int read_one_by_one(struct batch *b, uint32_t room)
{
	uint8_t *at = NULL;

	for (b->count = 0; b->count < room; b->count++) {
		if (bpf_map_get_next_key(b->fd, at, key_at(b, b->count)))
			return errno == ENOENT ? 0 : -errno;
		at = key_at(b, b->count);
		if (bpf_map_lookup_elem(b->fd, at, value_at(b, b->count)))
			return -errno;
	}
	return 0;
}

/* Grows by demand: the tries have far more room than entries. */
static int batch_grow(struct batch *b, uint32_t more)
{
	uint32_t room = b->room;
	uint8_t *keys, *values;

	while (room < b->count + more)
		room = room ? 2 * room : 1024;
	if (room == b->room)
		return 0;
	keys = realloc(b->keys, (room + 1) * b->key_size);
	if (!keys)
		return -ENOMEM;
	b->keys = keys;
	values = realloc(b->values, (room + 1) * b->value_size);
	if (!values)
		return -ENOMEM;
	b->values = values;
	b->room = room;
	return 0;
}

/* The key of either family's tries: the larger one, of which IPv4's is the beginning. */
union key {
	struct talon_acl_lpm v4;
	struct talon_acl_lpm6 v6;
};

/* Reads all entries of a trie, of both banks. */
static int batch_read(struct batch *b)
{
	union key at;
	uint32_t count;
	bool more = true, first = true;
	int ret;

	while (more) {
		ret = batch_grow(b, BATCH);
		if (ret)
			return ret;
		count = BATCH;
		ret = bpf_map_lookup_batch(b->fd, first ? NULL : &at, &at, key_at(b, b->count),
			value_at(b, b->count), &count, NULL) ? -errno : 0;
		if (ret && ret != -ENOENT) {
			ret = batch_grow(b, TALON_ACL_BANKS * TALON_ACL_PREFIXES);
			return ret ? ret : read_one_by_one(b, TALON_ACL_BANKS * TALON_ACL_PREFIXES);
		}
		more = !ret;
		first = false;
		b->count += count;
	}
	return 0;
}

static union key key_of(const struct acl_prefix *prefix, unsigned int bank)
{
	union key key = { .v6 = { .prefixlen = TALON_ACL_BANK_BITS + prefix->len, .bank = bank } };

	_Static_assert(offsetof(struct talon_acl_lpm, bank) == offsetof(struct talon_acl_lpm6, bank) &&
		offsetof(struct talon_acl_lpm, addr) == offsetof(struct talon_acl_lpm6, addr),
		"one key begins as the other");
	for (int i = 0; i < 4; i++)
		key.v6.addr.word[i] = htonl(prefix->word[i]);
	return key;
}

/* The entries of one family that a trie of the bank is to hold, sorted. */
struct trie {
	int fd;
	uint8_t family;
	const struct acl_entry *list;
	size_t count;
};

/* The bank's entries among all that were read, sorted as the table's are. */
static size_t of_bank(const struct batch *all, uint8_t family, unsigned int bank, struct acl_entry *held)
{
	size_t count = 0;

	for (uint32_t i = 0; i < all->count; i++) {
		union key key = {};

		memcpy(&key, key_at(all, i), all->key_size);
		if (key.v6.bank != bank || key.v6.prefixlen < TALON_ACL_BANK_BITS)
			continue;
		held[count].prefix = acl_prefix_of(family, &key.v6.addr,
			key.v6.prefixlen - TALON_ACL_BANK_BITS);
		memcpy(&held[count++].class, value_at(all, i), sizeof(held->class));
	}
	qsort(held, count, sizeof(*held), acl_compare_entries);
	return count;
}

/* Both lists are sorted. @gone: entries of @held to delete; @fresh: entries to add or change. */
static void compare_lists(const struct trie *trie, const struct acl_entry *held, size_t held_count,
	unsigned int bank, struct batch *gone, struct batch *fresh)
{
	size_t i = 0, j = 0;

	while (i < trie->count || j < held_count) {
		union key key;
		int order = 1;

		if (i < trie->count)
			order = j < held_count ? acl_compare_entries(&trie->list[i], &held[j]) : -1;
		if (order > 0) {
			key = key_of(&held[j].prefix, bank);
			batch_add(gone, &key, &held[j].class);
			j++;
			continue;
		}
		key = key_of(&trie->list[i].prefix, bank);
		if (order < 0 || held[j].class != trie->list[i].class)
			batch_add(fresh, &key, &trie->list[i].class);
		i++;
		j += !order;
	}
}

static int write_trie(const struct trie *trie, unsigned int bank)
{
	struct batch all = { .fd = trie->fd, .value_size = sizeof(uint32_t), .key_size =
		trie->family == AF_INET ? sizeof(struct talon_acl_lpm) : sizeof(struct talon_acl_lpm6) };
	struct batch gone = all, fresh = all;
	struct acl_entry *held = NULL;
	size_t held_count;
	int ret;

	ret = batch_read(&all);
	if (ret)
		goto out;
	held = calloc(all.count + 1, sizeof(*held));
	ret = held ? batch_room(&gone, all.count) : -ENOMEM;
	if (!ret)
		ret = batch_room(&fresh, trie->count);
	if (ret)
		goto out;
	held_count = of_bank(&all, trie->family, bank, held);
	compare_lists(trie, held, held_count, bank, &gone, &fresh);
	ret = batch_delete(&gone);
	if (!ret)
		ret = batch_update(&fresh);
out:
	free(held);
	batch_done(&all);
	batch_done(&gone);
	batch_done(&fresh);
	return ret;
}

/* @fd6: as in struct acl_maps. */
static int write_tries(const struct acl_entries *entries, int fd, int fd6, unsigned int bank)
{
	const struct trie v4 = { fd, AF_INET, entries->list, entries->count4 };
	const struct trie v6 = { fd6, AF_INET6, entries->list + entries->count4,
		entries->count - entries->count4 };
	int ret = write_trie(&v4, bank);

	return ret || fd6 <= 0 ? ret : write_trie(&v6, bank);
}

/* Elements @first.. of an array map. */
static int write_array(int fd, uint32_t first, const void *values, uint32_t count, size_t size)
{
	struct batch b = { .fd = fd, .key_size = sizeof(uint32_t), .value_size = size };
	uint32_t at;
	int ret;

	ret = batch_room(&b, count);
	for (uint32_t i = 0; i < count && !ret; i++) {
		at = first + i;
		batch_add(&b, &at, (const uint8_t *)values + i * size);
	}
	if (!ret)
		ret = batch_update(&b);
	batch_done(&b);
	return ret;
}

static int write_bits(int fd, const struct acl_table *table, unsigned int bank)
{
	struct talon_acl_head head = { .drop_words = table->drop_words, .words = table->words };
	uint32_t first = bank * TALON_ACL_CLASSES;
	int ret = write_array(fd, first + 1, table->classes + 1, table->class_count - 1,
		sizeof(*table->classes));

	return ret ? ret : write_array(fd, first, &head, 1, sizeof(head));
}

/* Deletes the bank's names that the table has no rule for: better none than one of another rule. */
static int drop_names(int fd, const struct acl_table *table, unsigned int bank)
{
	bool *has = calloc(TALON_ACL_RULES, sizeof(*has));
	uint32_t *gone = calloc(TALON_ACL_RULES, sizeof(*gone)), count = 0, key, *at = NULL;
	const uint32_t first = bank * TALON_ACL_RULES;
	int ret = has && gone ? 0 : -ENOMEM;

	for (size_t i = 0; i < table->rules && !ret; i++)
		has[table->names[i].bit] = true;
	while (!ret && !bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		if (key >= first && key - first < TALON_ACL_RULES && !has[key - first] &&
			count < TALON_ACL_RULES)
			gone[count++] = key;
	}
	for (uint32_t i = 0; i < count && !ret; i++)
		bpf_map_delete_elem(fd, &gone[i]);
	free(has);
	free(gone);
	return ret;
}

static void write_names(int fd, const struct acl_table *table, unsigned int bank)
{
	struct batch b = { .fd = fd, .key_size = sizeof(uint32_t),
		.value_size = sizeof(struct talon_acl_rule) };
	uint32_t key;

	if (drop_names(fd, table, bank) || batch_room(&b, table->rules))
		goto out;
	for (size_t i = 0; i < table->rules; i++) {
		key = bank * TALON_ACL_RULES + table->names[i].bit;
		batch_add(&b, &key, &table->names[i].rule);
	}
	if (batch_update(&b)) {
		for (uint32_t i = 0; i < b.count; i++)
			bpf_map_delete_elem(fd, key_at(&b, i));
	}
out:
	batch_done(&b);
}

/* Waits for programs that began before the bank was switched away from, and may still be reading it. */
static void wait_for_readers(void)
{
	static const struct timespec moment = { .tv_nsec = 20000000 };

	/* waits for an RCU grace period; BPF programs run in RCU read-side sections */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&moment, NULL);
}

int acl_write(const struct acl_table *table, const struct acl_maps *maps, unsigned int bank)
{
	static uint64_t written_ns;	/* shortly before the switch */
	int ret;

	if (written_ns && clock_mono_ns() - written_ns < SOON_NS)
		wait_for_readers();
	ret = write_tries(&table->sources, maps->src, maps->src6, bank);
	if (!ret)
		ret = write_tries(&table->destinations, maps->dst, maps->dst6, bank);
	if (!ret)
		ret = write_array(maps->ports, bank * TALON_ACL_CHUNKS, table->ports, TALON_ACL_CHUNKS,
			sizeof(struct talon_acl_chunk));
	if (!ret)
		ret = write_bits(maps->bits, table, bank);
	if (!ret && maps->rules > 0)
		write_names(maps->rules, table, bank);
	written_ns = clock_mono_ns();
	return ret;
}

int acl_write_closed(const struct acl_maps *maps, unsigned int bank)
{
	const struct talon_acl_head head = {};

	return write_array(maps->bits, bank * TALON_ACL_CLASSES, &head, 1, sizeof(head));
}
