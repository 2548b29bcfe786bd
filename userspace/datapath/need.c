// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What maps take of memory, from their definitions alone: known before the first one is made.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

/* In bytes, of Linux 6.1 to 6.18, rounded up. They matter only where maps are small. */
#define MAP_HEAD	1024		/* struct bpf_map and what a type adds to it */
#define BUCKET		16		/* of a hash: struct bucket */
#define HASH_ELEMENT	48		/* before key and value: struct htab_elem */
#define HASH_LOCKS	32		/* for each CPU */
#define TRIE_NODE_HEAD	40
#define RING_PAGES	3		/* consumer, producer, and what the kernel keeps */
/* what a map that allocates its elements later keeps ready on each CPU, beside four elements */
#define CACHE_HEAD	256
#define KMALLOC_MAX	32768U		/* larger areas are made of whole pages */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* One allocation: whole pages, or a power of two. */
static uint64_t area(uint64_t bytes)
{
	uint64_t pow2 = 8;

	if (bytes > KMALLOC_MAX)
		return round_up(bytes, sysconf(_SC_PAGESIZE));
	while (pow2 < bytes)
		pow2 <<= 1;
	return pow2;
}

static uint64_t array_bytes(const struct datapath_map_shape *m)
{
	const uint64_t value = round_up(m->value_size, 8), values = value * m->entries;

	if (m->flags & BPF_F_MMAPABLE)
		return round_up(MAP_HEAD, sysconf(_SC_PAGESIZE)) + round_up(values, sysconf(_SC_PAGESIZE));
	return area(MAP_HEAD / 2 + values);
}

static uint64_t hash_bytes(const struct datapath_map_shape *m, unsigned cpus)
{
	const uint64_t element = HASH_ELEMENT + round_up(m->key_size, 8) + round_up(m->value_size, 8);
	uint64_t buckets = 1, bytes = MAP_HEAD + (uint64_t)HASH_LOCKS * cpus;

	while (buckets < m->entries)
		buckets <<= 1;
	bytes += area(buckets * BUCKET);
	if (m->flags & BPF_F_NO_PREALLOC)
		return bytes + (CACHE_HEAD + 4 * element) * cpus;
	return bytes + area(element * m->entries);
}

static uint64_t ring_bytes(const struct datapath_map_shape *m)
{
	const uint64_t page = sysconf(_SC_PAGESIZE), pages = m->entries / page;

	/* mapped twice over: two pointers for each page */
	return MAP_HEAD + (RING_PAGES + pages) * page + area((2 * pages + RING_PAGES) * sizeof(void *));
}

uint64_t datapath_map_bytes(const struct datapath_map_shape *m, unsigned cpus)
{
	switch (m->type) {
	case BPF_MAP_TYPE_ARRAY:
		return array_bytes(m);
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		return MAP_HEAD + m->entries * sizeof(void *) +
			round_up(m->value_size, 8) * (uint64_t)m->entries * cpus;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
		return hash_bytes(m, cpus);
	case BPF_MAP_TYPE_LPM_TRIE:
		/* nodes come later */
		return MAP_HEAD +
			(uint64_t)cpus * (CACHE_HEAD + 4 * round_up(TRIE_NODE_HEAD + m->key_size - 4 +
			m->value_size, 8));
	case BPF_MAP_TYPE_QUEUE:
		return MAP_HEAD + area((uint64_t)(m->entries + 1) * m->value_size);
	case BPF_MAP_TYPE_RINGBUF:
		return ring_bytes(m);
	default:
		/* arrays of pointers: maps and perf events */
		return MAP_HEAD + (uint64_t)m->entries * sizeof(void *);
	}
}

static void shape_of(const struct bpf_map *map, unsigned cpus, struct datapath_map_shape *shape)
{
	*shape = (struct datapath_map_shape){ .type = bpf_map__type(map), .key_size = bpf_map__key_size(map),
		.value_size = bpf_map__value_size(map), .entries = bpf_map__max_entries(map),
		.flags = bpf_map__map_flags(map) };
	if (shape->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY && !shape->entries)
		shape->entries = cpus;
}

/* How many bytes the maps in @map may come to take, one by one as they are needed. */
static uint64_t growth_of(struct bpf_map *map, unsigned cpus)
{
	struct bpf_map *inner = bpf_map__inner_map(map);
	struct datapath_map_shape shape;

	if (!inner || bpf_map__max_entries(map) < 2)	/* one is none */
		return 0;
	shape_of(inner, cpus, &shape);
	return datapath_map_bytes(&shape, cpus) * bpf_map__max_entries(map);
}

static bool is_in(struct bpf_object *const objects[], unsigned before, const struct bpf_map *map)
{
	for (unsigned id = 0; id < before; id++) {
		if (objects[id] && bpf_object__find_map_by_name(objects[id], bpf_map__name(map)))
			return true;
	}
	return false;
}

static bool is_pinned(const char *root, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/maps/%s", root, name);
	return !access(path, F_OK);
}

static void add(struct datapath_need *need, const char *name, uint64_t bytes)
{
	static const struct {
		const char *name;
		size_t offset;
	} options[] = {
		{ "flow", offsetof(struct datapath_need, flows) },
		{ "acl_ct", offsetof(struct datapath_need, flows) },
		{ "keystream", offsetof(struct datapath_need, keystream) },
		{ "sessions", offsetof(struct datapath_need, peers) },
		{ "replay", offsetof(struct datapath_need, peers) },
		{ "send_counters", offsetof(struct datapath_need, peers) },
		{ "peer_", offsetof(struct datapath_need, peers) },
		{ "endpoints", offsetof(struct datapath_need, peers) },
		{ "nat_peers", offsetof(struct datapath_need, peers) },
	};

	need->maps += bytes;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strncmp(name, options[i].name, strlen(options[i].name)))
			continue;
		*(uint64_t *)((char *)need + options[i].offset) += bytes;
		return;
	}
}

void need_of_objects(struct bpf_object *const objects[OBJECT_COUNT], const char *root,
	struct datapath_need *ret_need)
{
	int cpus = libbpf_num_possible_cpus();
	struct datapath_need need = { .cpus = cpus > 0 ? cpus : 1 };
	struct datapath_map_shape shape;
	struct bpf_map *map;

	for (unsigned id = 0; id < OBJECT_COUNT; id++) {
		if (!objects[id])
			continue;
		bpf_object__for_each_map(map, objects[id]) {
			uint64_t bytes;

			if (bpf_map__pin_path(map) && is_in(objects, id, map))
				continue;
			need.growth += growth_of(map, need.cpus);
			shape_of(map, need.cpus, &shape);
			bytes = datapath_map_bytes(&shape, need.cpus);
			if (bpf_map__pin_path(map) && root && is_pinned(root, bpf_map__name(map)))
				need.there += bytes;
			else
				add(&need, bpf_map__name(map), bytes);
		}
	}
	*ret_need = need;
}

uint64_t datapath_map_memory(int fd)
{
	unsigned long long bytes = 0;
	char path[40], line[128];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in) && sscanf(line, "memlock: %llu", &bytes) != 1)
		;
	if (in)
		fclose(in);
	return bytes;
}

uint64_t datapath_pinned_memory(const char *base)
{
	char dir[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *pins;

	snprintf(dir, sizeof(dir), "%s/v%u/maps", base ? base : DATAPATH_BASE_DEFAULT, TALON_LAYOUT_VERSION);
	pins = opendir(dir);
	while (pins && (entry = readdir(pins))) {
		LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		fd = bpf_obj_get_opts(path, &opts);
		if (fd < 0)
			continue;
		sum += datapath_map_memory(fd);
		close(fd);
	}
	if (pins)
		closedir(pins);
	return sum;
}
