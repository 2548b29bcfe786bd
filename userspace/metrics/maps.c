// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Maps by size and fill, rings, and how long the programs ran.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "datapath/datapath.h"
#include "metrics/internal.h"

#define COUNT_BATCH	256
#define COUNT_MOST	65536	/* entries that are worth counting one by one */

static int open_pin(const char *root, const char *dir, const char *name, bool is_read_only)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = is_read_only ? BPF_F_RDONLY : 0);
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s/%s", root, dir, name);
	return bpf_obj_get_opts(path, &opts);
}

/* Entries of a hash, one system call for many. Returns false if they cannot be counted. */
static bool count_keys(int fd, const struct bpf_map_info *info, uint64_t *ret_count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint64_t cursor[8] = {}, total = 0;
	void *keys, *values;
	bool is_first = true, ok = false;
	__u32 count;
	int ret = 0;

	if (info->key_size > sizeof(cursor) || info->max_entries > COUNT_MOST)
		return false;
	keys = calloc(COUNT_BATCH, info->key_size);
	values = calloc(COUNT_BATCH, info->value_size);
	while (keys && values && !ret && total <= COUNT_MOST) {
		count = COUNT_BATCH;
		ret = bpf_map_lookup_batch(fd, is_first ? NULL : cursor, cursor, keys, values, &count, &opts)
			? -errno : 0;
		is_first = false;
		if (!ret || ret == -ENOENT)
			total += count;
		ok = !ret || ret == -ENOENT;
	}
	free(keys);
	free(values);
	*ret_count = total;
	return ok;
}

static const struct {
	const char *map;
	enum talon_fact fact;
} told[] = {
	{ "peer_info", TALON_FACT_USED_PEERS }, { "sessions", TALON_FACT_USED_SESSIONS },
	{ "allowed4", TALON_FACT_USED_ALLOWED4 }, { "routes4", TALON_FACT_USED_ROUTES4 },
	{ "local4", TALON_FACT_USED_LOCAL4 }, { "host4", TALON_FACT_USED_HOST4 },
	{ "acl_src4", TALON_FACT_USED_ACL_SOURCES }, { "acl_dst4", TALON_FACT_USED_ACL_DESTINATIONS },
	{ "allowed6", TALON_FACT_USED_ALLOWED6 }, { "routes6", TALON_FACT_USED_ROUTES6 },
	{ "local6", TALON_FACT_USED_LOCAL6 }, { "host6", TALON_FACT_USED_HOST6 },
	{ "acl_src6", TALON_FACT_USED_ACL_SOURCES6 }, { "acl_dst6", TALON_FACT_USED_ACL_DESTINATIONS6 },
	{ "acl_bits", TALON_FACT_USED_ACL_CLASSES }, { "links", TALON_FACT_USED_LINKS },
};

bool metrics_map_is_told(const char *map, enum talon_fact *ret_fact)
{
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (strcmp(map, told[i].map))
			continue;
		*ret_fact = told[i].fact;
		return true;
	}
	return false;
}

/* Which of the access rules' maps hold two banks, of which one is in force. */
static uint64_t limit_of(const struct metrics_map *map, uint64_t entries)
{
	return strncmp(map->name, "acl_", 4) ? entries : entries / 2;
}

static void fill(struct metrics_data *data, struct metrics_map *map, int fd, const struct bpf_map_info *info)
{
	enum talon_fact fact;

	map->limit = info->max_entries;
	if (!strcmp(map->name, "flows")) {
		map->has_entries = true;
		map->entries = data->status.nat.held;
		map->limit = data->status.config.flow_count ? data->status.config.flow_count - 1 : 0;
		return;
	}
	if (!strcmp(map->name, "flow_over")) {
		map->has_entries = true;
		map->entries = data->status.nat.overflow;
		return;
	}
	if (metrics_map_is_told(map->name, &fact)) {
		map->has_entries = data->is_fresh;
		map->entries = data->facts[fact];
		map->limit = limit_of(map, map->limit);
		return;
	}
	if (!strcmp(map->name, "flows6"))	/* as many as there are IPv6 flows: "flows" is the limit */
		return;
	if (info->type == BPF_MAP_TYPE_HASH || info->type == BPF_MAP_TYPE_LRU_HASH)
		map->has_entries = count_keys(fd, info, &map->entries);
}

/*
 * The kernel's own pages at the front of a ring say how far each side is. They are only read, but the kernel
 * maps no ring by a descriptor that is for reading only (EINVAL).
 */
static void read_ring(struct metrics_data *data, const char *root, const char *name,
	const struct bpf_map_info *info)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	struct metrics_ring *ring = &data->rings[data->ring_count];
	const volatile unsigned long *consumer, *producer;
	unsigned long read_to, written_to;
	void *pages;
	int fd;

	if (data->ring_count == METRICS_RINGS_MAX)
		return;
	fd = open_pin(root, "maps", name, false);
	if (fd < 0)
		return;
	pages = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (pages == MAP_FAILED)
		return;
	consumer = pages;
	producer = (const void *)((char *)pages + page);
	read_to = *consumer;	/* first: the difference must not be negative */
	written_to = *producer;
	munmap(pages, 2 * page);
	snprintf(ring->name, sizeof(ring->name), "%s", name);
	ring->bytes = written_to - read_to;
	ring->limit = info->max_entries;
	data->ring_count++;
}

/* "keystream-3" is a part of "keystream". */
static void add_segment(struct metrics_data *data, const char *name, int fd)
{
	const size_t len = strchr(name, '-') - name;

	for (size_t i = 0; i < data->map_count; i++) {
		if (!strncmp(data->maps[i].name, name, len) && !data->maps[i].name[len])
			data->maps[i].memory += datapath_map_memory(fd);
	}
}

static void read_map(struct metrics_data *data, const char *root, const char *name)
{
	struct metrics_map *map = &data->maps[data->map_count];
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int fd;

	if (data->map_count == METRICS_MAPS_MAX || strlen(name) >= sizeof(map->name))
		return;
	fd = open_pin(root, "maps", name, true);
	if (fd < 0)
		return;
	if (strchr(name, '-')) {	/* a segment of the map that came before it */
		add_segment(data, name, fd);
		close(fd);
		return;
	}
	if (!bpf_obj_get_info_by_fd(fd, &info, &len)) {
		*map = (struct metrics_map){ .memory = datapath_map_memory(fd) };
		strcpy(map->name, name);
		if (info.type == BPF_MAP_TYPE_RINGBUF)
			read_ring(data, root, name, &info);
		else
			fill(data, map, fd, &info);
		data->map_count++;
	}
	close(fd);
}

static void read_program(struct metrics_data *data, const char *root, const char *name)
{
	struct metrics_program *program = &data->programs[data->program_count];
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int fd;

	if (data->program_count == METRICS_PROGRAMS_MAX || strlen(name) >= sizeof(program->name))
		return;
	fd = open_pin(root, "progs", name, false);
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.run_cnt) {
		strcpy(program->name, name);
		program->runs = info.run_cnt;
		program->run_ns = info.run_time_ns;
		data->program_count++;
	}
	close(fd);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_pin(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void each(struct metrics_data *data, const char *root, const char *dir,
	void (*read)(struct metrics_data *data, const char *root, const char *name))
{
	char path[PATH_MAX + 8];
	struct dirent **list;
	int count;

	snprintf(path, sizeof(path), "%s/%s", root, dir);
	count = scandir(path, &list, is_pin, by_name);
	for (int i = 0; i < count; i++) {
		read(data, root, list[i]->d_name);
		free(list[i]);
	}
	if (count >= 0)
		free(list);
}

void metrics_read_maps(struct metrics_data *data, const char *root)
{
	each(data, root, "maps", read_map);
	each(data, root, "progs", read_program);
}
