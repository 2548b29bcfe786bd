// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads the rings of all CPUs as one, sorted by time. Records may hold decrypted packets, so every copy that
// this process
// makes is wiped. The rings themselves are mapped for reading only; their pages go back to the kernel, which
// hands none to
// another process unless it has zeroed it.
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <sodium.h>

#include "base/clock.h"
#include "talon/types.h"
#include "watch/ring.h"

/* A program has written its record by this long after it took the time, unless the CPU was taken from it. */
#define LATE_NS		(20 * 1000000ULL)
#define HELD_BYTES_MAX	(8U << 20)

struct record {
	uint64_t time_ns;
	uint64_t order;			/* of arrival, for equal times */
	size_t size;
	uint8_t bytes[];
};

struct watch_ring {
	struct perf_buffer *perf;
	watch_record_fn fn;
	void *ctx;
	struct record **held;
	size_t count, room, bytes;
	uint64_t arrived, lost;
};

/* What PERF_SAMPLE_RAW writes. */
struct raw_sample {
	struct perf_event_header header;
	uint32_t size;
	uint8_t bytes[];
};

static bool hold(struct watch_ring *ring, const uint8_t *bytes, size_t size)
{
	struct record *record, **larger;

	if (ring->count == ring->room) {
		larger = reallocarray(ring->held, ring->room + 256, sizeof(*larger));
		if (!larger)
			return false;
		ring->held = larger;
		ring->room += 256;
	}
	record = malloc(sizeof(*record) + size);
	if (!record)
		return false;
	record->order = ring->arrived++;
	record->size = size;
	memcpy(record->bytes, bytes, size);
	memcpy(&record->time_ns, bytes, sizeof(record->time_ns));
	ring->held[ring->count++] = record;
	ring->bytes += size;
	return true;
}

static int by_time(const void *left, const void *right)
{
	const struct record *a = *(struct record *const *)left, *b = *(struct record *const *)right;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* Hands over records up to @until_ns. */
static void release(struct watch_ring *ring, uint64_t until_ns)
{
	size_t done = 0;

	if (ring->count)
		qsort(ring->held, ring->count, sizeof(ring->held[0]), by_time);
	while (done < ring->count && ring->held[done]->time_ns <= until_ns) {
		struct record *record = ring->held[done++];

		ring->fn(ring->ctx, record->bytes, record->size);
		ring->bytes -= record->size;
		sodium_memzero(record->bytes, record->size);
		free(record);
	}
	memmove(ring->held, ring->held + done, (ring->count - done) * sizeof(ring->held[0]));
	ring->count -= done;
}

/* Whether @at lies in a ring, rather than in libbpf's copy of a record that went around a ring's end. */
static bool is_in_ring(const struct watch_ring *ring, const void *at)
{
	size_t size;
	void *base;

	for (size_t i = 0; i < perf_buffer__buffer_cnt(ring->perf); i++) {
		if (!perf_buffer__buffer(ring->perf, i, &base, &size) && (const char *)at >= (char *)base &&
			(const char *)at < (char *)base + size + sysconf(_SC_PAGESIZE))
			return true;
	}
	return false;
}

static enum bpf_perf_event_ret take(void *ctx, int cpu, struct perf_event_header *header)
{
	struct raw_sample *sample = (struct raw_sample *)header;
	struct watch_ring *ring = ctx;

	if (header->type != PERF_RECORD_SAMPLE || sample->size < sizeof(uint64_t) ||
		header->size < sizeof(*sample) + sample->size)
		return LIBBPF_PERF_EVENT_CONT;
	if (ring->bytes > HELD_BYTES_MAX)
		release(ring, UINT64_MAX);
	if (!hold(ring, sample->bytes, sample->size))
		ring->lost++;
	if (!is_in_ring(ring, header))
		sodium_memzero(sample->bytes, sample->size);
	return LIBBPF_PERF_EVENT_CONT;
}

static size_t pages_for(size_t bytes)
{
	size_t pages = 1, page = sysconf(_SC_PAGESIZE);

	while (pages * page < bytes)
		pages *= 2;
	return pages;
}

int watch_ring_open(struct watch_ring **ret_ring, int map_fd, size_t bytes, watch_record_fn fn, void *ctx,
	char *why, size_t size)
{
	const size_t pages = pages_for(bytes);
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_BPF_OUTPUT, .size = sizeof(attr),
		.sample_type = PERF_SAMPLE_RAW, .sample_period = 1,
		/* a wake-up for each packet would cost more than the packet */
		.watermark = 1, .wakeup_watermark = bytes / 4,
	};
	struct watch_ring *ring = calloc(1, sizeof(*ring));
	int ret;

	if (!ring) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	ring->fn = fn;
	ring->ctx = ctx;
	ring->perf = perf_buffer__new_raw(map_fd, pages, &attr, take, ring, NULL);
	if (!ring->perf) {
		ret = errno ? -errno : -EIO;
		snprintf(why, size, "cannot open rings of %zu pages: %s%s", pages, strerror(-ret),
			ret == -EACCES || ret == -EPERM ? "; needs CAP_PERFMON, and seccomp must permit "
			"perf_event_open()" : "");
		free(ring);
		return ret;
	}
	*ret_ring = ring;
	return 0;
}

int watch_ring_poll(struct watch_ring *ring, int timeout_ms)
{
	int ret = perf_buffer__poll(ring->perf, timeout_ms);
	uint64_t now;

	if (ret < 0)
		return ret;
	now = clock_boot_ns();
	ret = perf_buffer__consume(ring->perf);	/* also what has not reached the mark that wakes */
	release(ring, now - LATE_NS);
	return ret < 0 ? ret : 0;
}

void watch_ring_flush(struct watch_ring *ring)
{
	perf_buffer__consume(ring->perf);
	release(ring, UINT64_MAX);
}

uint64_t watch_ring_lost(const struct watch_ring *ring)
{
	return ring->lost;
}

void watch_ring_free(struct watch_ring *ring)
{
	if (!ring)
		return;
	for (size_t i = 0; i < ring->count; i++) {
		sodium_memzero(ring->held[i]->bytes, ring->held[i]->size);
		free(ring->held[i]);
	}
	perf_buffer__free(ring->perf);
	free(ring->held);
	free(ring);
}
