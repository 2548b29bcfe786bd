// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An array of maps, filled as needed. The order of steps is such that a helper which is killed between two of
// them leaves nothing that the next one cannot find: a segment is pinned before a program sees it.
#include "keystream/segments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cgroup/memory.h"
#include "talon/keystream_types.h"

static void pin_path(const struct segments *segments, uint32_t i, char *path, size_t size)
{
	snprintf(path, size, "%s/keystream-%u", segments->dir, i);
}

static uint32_t id_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* Whether programs find @fd as segment @i. */
static bool is_linked(const struct segments *segments, uint32_t i, int fd)
{
	uint32_t id;

	return !bpf_map_lookup_elem(segments->map_fd, &i, &id) && id == id_of(fd);
}

static int take_over(struct segments *segments, uint32_t i)
{
	char path[600];
	int fd;

	pin_path(segments, i, path, sizeof(path));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!is_linked(segments, i, fd) && bpf_map_update_elem(segments->map_fd, &i, &fd, BPF_ANY)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	segments->fds[i] = fd;
	return 0;
}

int segments_open(struct segments *segments, int map_fd, const char *dir)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int ret = 0;

	*segments = (struct segments){ .map_fd = map_fd };
	snprintf(segments->dir, sizeof(segments->dir), "%s", dir);
	if (bpf_obj_get_info_by_fd(map_fd, &info, &len))
		return -errno;
	segments->fds = malloc(info.max_entries * sizeof(*segments->fds));
	if (!segments->fds)
		return -ENOMEM;
	segments->count = info.max_entries;
	for (uint32_t i = 0; i < segments->count; i++)
		segments->fds[i] = -1;
	for (uint32_t i = 0; i < segments->count && *dir && !ret; i++)
		ret = take_over(segments, i);
	return ret;
}

/* Close to the limit the kernel would kill somebody for the next page. */
static bool is_memory_short(unsigned count)
{
	struct cgroup_memory memory;

	cgroup_memory_read("", &memory);
	return cgroup_memory_free(&memory) < SEGMENTS_SPARE + (uint64_t)count * TALON_KEYSTREAM_SEGMENT *
		sizeof(struct talon_keystream_slot);
}

/* Returns a descriptor or a negative errno. */
static int make_one(const struct segments *segments, uint32_t i)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	char path[600];
	int ret, fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "keystream_slots", sizeof(uint32_t),
		sizeof(struct talon_keystream_slot), TALON_KEYSTREAM_SEGMENT, &opts);

	if (fd < 0)
		return -errno;
	pin_path(segments, i, path, sizeof(path));
	if (*segments->dir && bpf_obj_pin(fd, path)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* Takes back segments that no program has seen, or can still see. */
static void free_all(const struct segments *segments, struct segments_job *job)
{
	char path[600];

	for (unsigned i = 0; i < job->count; i++) {
		pin_path(segments, job->keys[i], path, sizeof(path));
		if (*segments->dir)
			unlink(path);
		close(job->fds[i]);
	}
	job->count = 0;
}

static int make_all(const struct segments *segments, struct segments_job *job)
{
	const unsigned wanted = job->count;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t done;
	int ret = is_memory_short(wanted) ? -ENOMEM : 0;

	for (job->count = 0; job->count < wanted && !ret; job->count++) {
		ret = make_one(segments, job->keys[job->count]);
		if (ret < 0)
			break;
		job->fds[job->count] = ret;
		ret = 0;
	}
	/* the kernel waits once for all of them */
	done = job->count;
	if (done && bpf_map_update_batch(segments->map_fd, job->keys, job->fds, &done, &opts)) {
		ret = -errno;
		for (unsigned i = 0; i < job->count; i++)
			bpf_map_delete_elem(segments->map_fd, &job->keys[i]);
		free_all(segments, job);
	}
	return ret;
}

static void *work(void *arg)
{
	struct segments *segments = arg;
	struct segments_job *job = &segments->job;

	if (!job->is_drop)
		job->ret = make_all(segments, job);
	else if (!bpf_map_delete_elem(segments->map_fd, &job->keys[0]))
		free_all(segments, job);	/* programs that could have seen it have ended */
	__atomic_store_n(&job->is_over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void begin(struct segments *segments)
{
	struct segments_job *job = &segments->job;

	job->is_over = false;
	job->ret = 0;
	job->is_running = true;
	if (pthread_create(&job->thread, NULL, work, segments)) {
		work(segments);
		job->thread = pthread_self();
	}
}

/* Gathers a job that is over, or waits until it is. */
static void gather(struct segments *segments, bool waits)
{
	struct segments_job *job = &segments->job;

	if (!job->is_running || (!waits && !__atomic_load_n(&job->is_over, __ATOMIC_ACQUIRE)))
		return;
	if (!pthread_equal(job->thread, pthread_self()))
		pthread_join(job->thread, NULL);
	job->is_running = false;
	/* one that could not be freed is still there */
	for (unsigned i = 0; i < job->count; i++)
		segments->fds[job->keys[i]] = job->fds[i];
}

void segments_poll(struct segments *segments)
{
	gather(segments, false);
}

void segments_close(struct segments *segments)
{
	gather(segments, true);
	for (uint32_t i = 0; i < segments->count; i++) {
		if (segments->fds[i] >= 0)
			close(segments->fds[i]);
	}
	free(segments->fds);
	*segments = (struct segments){ .map_fd = -1 };
}

bool segments_has(const struct segments *segments, uint32_t i)
{
	return i < segments->count && segments->fds[i] >= 0;
}

/* Lists what is missing, as far as one job goes. */
static void list_missing(const struct segments *segments, uint32_t base, uint32_t slots,
	struct segments_job *job)
{
	const uint32_t end = (base + slots + TALON_KEYSTREAM_SEGMENT - 1) / TALON_KEYSTREAM_SEGMENT;

	job->count = 0;
	for (uint32_t i = base / TALON_KEYSTREAM_SEGMENT; i < end && job->count < SEGMENTS_BATCH; i++) {
		if (!segments_has(segments, i))
			job->keys[job->count++] = i;
	}
}

int segments_want(struct segments *segments, uint32_t base, uint32_t slots)
{
	struct segments_job *job = &segments->job;
	int ret;

	if (base + slots > segments->count << TALON_KEYSTREAM_SEGMENT_BITS)
		return -EINVAL;
	gather(segments, false);
	if (job->is_running)
		return -EAGAIN;
	list_missing(segments, base, slots, job);
	if (!job->count)
		return 0;
	ret = job->ret;
	job->ret = 0;
	if (ret)
		return ret;
	job->is_drop = false;
	begin(segments);
	return -EAGAIN;
}

int segments_make(struct segments *segments, uint32_t base, uint32_t slots)
{
	int ret;

	while ((ret = segments_want(segments, base, slots)) == -EAGAIN)
		gather(segments, true);
	return ret;
}

void segments_drop(struct segments *segments, uint32_t i)
{
	struct segments_job *job = &segments->job;

	gather(segments, false);
	if (!segments_has(segments, i) || job->is_running)
		return;
	job->keys[0] = i;
	job->fds[0] = segments->fds[i];
	job->count = 1;
	job->is_drop = true;
	segments->fds[i] = -1;
	begin(segments);
}
