// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Leases of who watches packets: a lock against a second one, and a time that is put off again and again.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "watch/lease.h"

static const struct {
	const char *command;
	enum datapath_map ring;
	/*
	 * a directory of the datapath that the lock is on: the kernel frees it, however the process ends
	 * ("maps" is the keystream helper's)
	 */
	const char *lock;
} kinds[TALON_WATCHES] = {
	[TALON_WATCH_DROPS] = { "talon drops -f", DATAPATH_MAP_WATCH_DROPS, "progs" },
	[TALON_WATCH_PACKETS] = { "talon capture", DATAPATH_MAP_WATCH_PACKETS, "links" },
};

static uint32_t map_id_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int open_maps(struct watch *watch, char *why, size_t size)
{
	const struct {
		enum datapath_map map;
		int *fd;
	} maps[] = { { DATAPATH_MAP_WATCHES, &watch->leases }, { DATAPATH_MAP_WATCH_COUNTS, &watch->counts },
		{ kinds[watch->id].ring, &watch->ring } };

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		int fd = datapath_map_open(watch->pin_dir, maps[i].map);

		if (fd < 0) {
			snprintf(why, size, "cannot open map %s: %s", datapath_map_name(maps[i].map),
				fd == -EPERM || fd == -EACCES ? "run as root" : strerror(-fd));
			return fd;
		}
		*maps[i].fd = fd;
	}
	watch->map_id = map_id_of(watch->leases);
	return 0;
}

static int take_lock(struct watch *watch, char *why, size_t size)
{
	const uint32_t key = watch->id;
	struct talon_watch other = {};
	char path[PATH_MAX + 16];
	int ret;

	snprintf(path, sizeof(path), "%s/" TALON_LAYOUT_NAME "/%s", watch->pin_dir, kinds[watch->id].lock);
	watch->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (watch->lock < 0) {
		ret = -errno;
		snprintf(why, size, "cannot open %s: %s", path, strerror(-ret));
		return ret;
	}
	if (!flock(watch->lock, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK) {
		ret = -errno;
		snprintf(why, size, "cannot lock %s: %s", path, strerror(-ret));
		return ret;
	}
	bpf_map_lookup_elem(watch->leases, &key, &other);
	snprintf(why, size, "%s is already running (pid %u), and only one can", kinds[watch->id].command,
		other.pid);
	return -EBUSY;
}

int watch_open(struct watch *watch, const char *pin_dir, enum talon_watch_id id, char *why, size_t size)
{
	int ret;

	*watch = (struct watch){ .id = id, .lock = -1, .leases = -1, .counts = -1, .ring = -1 };
	if (snprintf(watch->pin_dir, sizeof(watch->pin_dir), "%s", pin_dir) >= (int)sizeof(watch->pin_dir))
		return -ENAMETOOLONG;
	ret = open_maps(watch, why, size);
	if (!ret)
		ret = take_lock(watch, why, size);
	if (ret)
		watch_close(watch);
	return ret;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void watch_close(struct watch *watch)
{
	watch_end(watch);
	close_one(&watch->ring);
	close_one(&watch->counts);
	close_one(&watch->leases);
	close_one(&watch->lock);
}

static int write_lease(struct watch *watch, uint64_t until_ns)
{
	const uint32_t key = watch->id;

	watch->lease.until_ns = until_ns;
	return bpf_map_update_elem(watch->leases, &key, &watch->lease, BPF_ANY) ? -errno : 0;
}

int watch_begin(struct watch *watch, const struct talon_watch *what)
{
	int ret;

	watch->lease = *what;
	watch->lease.pid = getpid();
	watch->lease.since_ns = clock_boot_ns();
	ret = write_lease(watch, 0);	/* what to tell of, before anything is told */
	return ret ? ret : watch_renew(watch);
}

int watch_renew(struct watch *watch)
{
	int fd = datapath_map_open(watch->pin_dir, DATAPATH_MAP_WATCHES);
	uint32_t id;

	if (fd < 0)
		return fd;
	id = map_id_of(fd);
	close(fd);
	if (id != watch->map_id)
		return -ENOENT;
	return write_lease(watch, clock_boot_ns() + TALON_WATCH_LEASE_NS);
}

void watch_end(struct watch *watch)
{
	if (watch->leases >= 0 && watch->lease.until_ns)
		write_lease(watch, 0);
}

int watch_read_counts(const struct watch *watch, uint64_t ret_counts[static TALON_WATCH_COUNT_COUNT])
{
	int cpus = libbpf_num_possible_cpus(), ret = 0;
	uint64_t *values;

	if (cpus < 0)
		return cpus;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (uint32_t i = 0; i < TALON_WATCH_COUNT_COUNT && !ret; i++) {
		ret_counts[i] = 0;
		if (bpf_map_lookup_elem(watch->counts, &i, values))
			ret = -errno;
		for (int cpu = 0; cpu < cpus && !ret; cpu++)
			ret_counts[i] += values[cpu];
	}
	free(values);
	return ret;
}
