// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether two loaded programs are the same: then the old one stays and no device is touched.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

#define MAPS_MAX 96

struct prog {
	struct bpf_prog_info info;
	uint32_t maps[MAPS_MAX];
};

static int describe(int fd, struct prog *prog)
{
	uint32_t len = sizeof(prog->info);

	memset(prog, 0, sizeof(*prog));
	prog->info.nr_map_ids = MAPS_MAX;
	prog->info.map_ids = (uintptr_t)prog->maps;
	if (bpf_obj_get_info_by_fd(fd, &prog->info, &len))
		return -errno;
	return prog->info.nr_map_ids > MAPS_MAX ? -E2BIG : 0;
}

static bool uses(const struct prog *prog, uint32_t map_id)
{
	for (uint32_t i = 0; i < prog->info.nr_map_ids; i++)
		if (prog->maps[i] == map_id)
			return true;
	return false;
}

static int open_map(uint32_t id, struct bpf_map_info *info)
{
	uint32_t len = sizeof(*info);
	int fd = bpf_map_get_fd_by_id(id);

	memset(info, 0, sizeof(*info));
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, info, &len)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static bool is_pinned_one(const char *name)
{
	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++)
		if (!strcmp(name, datapath_map_name(i)))
			return true;
	return false;
}

static bool same_value(int a, int b, uint32_t size)
{
	char *values = calloc(2, size);
	uint32_t zero = 0;
	bool same;

	same = values && !bpf_map_lookup_elem(a, &zero, values) &&
		!bpf_map_lookup_elem(b, &zero, values + size) && !memcmp(values, values + size, size);
	free(values);
	return same;
}

/*
 * Whether a map of @prog has the same constants. libbpf names such a map after the object, so it is told by
 * its flags and size.
 */
static bool has_constants(const struct prog *prog, int fd, const struct bpf_map_info *wanted)
{
	struct bpf_map_info info;
	bool found = false;
	int other;

	for (uint32_t i = 0; i < prog->info.nr_map_ids && !found; i++) {
		other = open_map(prog->maps[i], &info);
		if (other < 0)
			return false;
		found = info.map_flags & BPF_F_RDONLY_PROG && info.value_size == wanted->value_size &&
			same_value(fd, other, info.value_size);
		close(other);
	}
	return found;
}

/* The old program may lack a map of the new one only if that is scratch space, or has the same constants. */
static bool may_differ(const struct prog *old, uint32_t map_id)
{
	struct bpf_map_info info;
	bool ok = false;
	int fd = open_map(map_id, &info);

	if (fd < 0)
		return false;
	if (info.map_flags & BPF_F_RDONLY_PROG)
		ok = has_constants(old, fd, &info);
	else
		ok = !is_pinned_one(info.name);
	close(fd);
	return ok;
}

bool prog_is_same(int a, int b)
{
	struct prog new, old;

	if (describe(a, &new) || describe(b, &old) || new.info.nr_map_ids != old.info.nr_map_ids ||
	    new.info.type != old.info.type || memcmp(new.info.tag, old.info.tag, sizeof(new.info.tag)))
		return false;
	for (uint32_t i = 0; i < new.info.nr_map_ids; i++)
		if (!uses(&old, new.maps[i]) && !may_differ(&old, new.maps[i]))
			return false;
	return true;
}
