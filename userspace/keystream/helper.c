// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helper's loop: looks at each ring, fills its window, and sleeps as long as the traffic allows.
#include "keystream/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sodium.h>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "keystream/plan.h"
#include "keystream/segments.h"
#include "keystream/window.h"
#include "log/log.h"
#include "talon/session_types.h"

#define EPOCH_NS	10000000ULL			/* rates are measured over this */
#define DECAY_NS	100000000ULL			/* the gap decays each time this has passed */
#define SHRINK_NS	(2 * TALON_NSEC_PER_SEC)	/* a window too large for this long shrinks */
#define IDLE_NS		(10 * TALON_NSEC_PER_SEC)	/* a ring without packets for this long is released */
#define SIZES_MIN	64				/* packets that suffice to judge lengths by */
#define CHUNK		128				/* slots filled for one ring in its turn */
#define DRAINING_MAX	64
#define REFUSED_NS	TALON_NSEC_PER_SEC		/* until memory is asked for again */
#define SEGMENT_IDLE_NS	(20 * TALON_NSEC_PER_SEC)	/* a segment without windows for this long is freed */

struct ring {
	uint32_t at;			/* element of "keystream_rings" */
	struct window_ring slot;
	uint32_t key[8];
	struct window window;
	uint64_t next;			/* counter to fill next */
	uint64_t head;			/* as last seen */
	uint32_t packets;		/* that the datapath counted, as last seen; wraps */
	uint64_t credit;		/* slots that may be filled */
	uint64_t epoch_moved;		/* advance of the head in this epoch that packets account for */
	uint64_t epoch_ns;
	uint32_t epoch_sizes[TALON_KEYSTREAM_CLASSES];	/* packets of each length, at sizes_ns */
	uint64_t sizes_ns;
	uint64_t rate;			/* packets a second */
	uint64_t moved_ns;		/* when a packet was last seen */
	uint64_t fits_ns;		/* when the window was last not too large */
	bool was_late;			/* packets overtook us in this epoch */
};

struct helper {
	int slots_fd, sessions_fd, lock_fd, epoll_fd;
	struct segments segments;
	uint64_t refused_ns;		/* when memory for another one was last refused; 0: never */
	uint64_t *idle_ns;		/* when each segment was last in use */
	struct talon_keystream_ring *map;	/* "keystream_rings" */
	struct talon_keystream_state *state;
	struct ring_buffer *wake;
	struct engine *engine;
	uint32_t ring_count;		/* in the map */
	uint32_t room_slots;
	/* one for each window that fits; they hold keys, so they are allocated before memory is locked */
	struct ring *pool;
	struct ring **rings;		/* all of the pool, those with a window (@active) first */
	uint32_t active;
	struct plan_room room;
	struct window draining[DRAINING_MAX];
	unsigned draining_count;
	struct window_counts counts;
	uint64_t now;
	uint64_t gap_ns;
	uint64_t decay_ns;		/* when the gap last decayed */
	uint64_t second_ns;		/* when the once-a-second work is due */
};

static volatile sig_atomic_t stopping;

static void stop(int number)
{
	stopping = 1;
}

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define STORE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELEASE)

/* ---- windows ---- */

static void drain_all(struct helper *h)
{
	for (unsigned i = 0; i < h->draining_count;) {
		struct window *w = &h->draining[i];

		if (!window_drain(w, &h->counts)) {
			i++;
			continue;
		}
		plan_room_give(&h->room, w->base, w->bits);
		window_unmap(w);
		*w = h->draining[--h->draining_count];
	}
}

/* Call only after the ring no longer points to @window. */
static void give_back(struct helper *h, struct window *window)
{
	if (h->draining_count < DRAINING_MAX)
		h->draining[h->draining_count++] = *window;
	else
		/* dozens of windows have slots stuck in use: rather lose memory than wait */
		window_unmap(window);
	drain_all(h);
}

static bool has_segments(const struct helper *h, uint32_t base, unsigned bits)
{
	for (uint32_t at = base; at < base + (1U << bits); at += TALON_KEYSTREAM_SEGMENT)
		if (!segments_has(&h->segments, at / TALON_KEYSTREAM_SEGMENT))
			return false;
	return true;
}

/* Where there was none a moment ago there is none now: that is not asked for each packet. */
static int back(struct helper *h, uint32_t base, unsigned bits)
{
	int ret;

	if (has_segments(h, base, bits))
		return 0;
	if (h->refused_ns && h->now - h->refused_ns < REFUSED_NS)
		return -ENOMEM;
	ret = segments_want(&h->segments, base, 1U << bits);
	h->refused_ns = ret && ret != -EAGAIN ? h->now : 0;
	return ret;
}

static int take_window(struct helper *h, unsigned bits, struct window *ret_window)
{
	uint32_t base;
	int ret = plan_room_take(&h->room, bits, &base);

	if (ret)
		return ret;
	ret = back(h, base, bits);
	if (!ret)
		ret = window_map(ret_window, h->segments.fds, TALON_KEYSTREAM_SEGMENT_BITS, base, bits);
	if (ret)
		plan_room_give(&h->room, base, bits);
	return ret;
}

/* Gives the memory of one segment back that no window has had for a while. */
static void shrink(struct helper *h)
{
	uint32_t idle = h->segments.count;

	segments_poll(&h->segments);
	for (uint32_t i = 0; i < h->segments.count; i++) {
		if (!segments_has(&h->segments, i) ||
			plan_room_has(&h->room, i << TALON_KEYSTREAM_SEGMENT_BITS,
			TALON_KEYSTREAM_SEGMENT_BITS))
			h->idle_ns[i] = h->now;
		else if (h->now - h->idle_ns[i] > SEGMENT_IDLE_NS)
			idle = i;
	}
	if (idle == h->segments.count)
		return;
	segments_drop(&h->segments, idle);
}

/* Fills up to @count slots of @window, as credit allows. Returns true if nothing is left to fill. */
static bool fill(struct helper *h, struct ring *ring, struct window *window, uint64_t *next, uint32_t count)
{
	uint64_t end = plan_fill(ring->head, window->bits, next);

	if (*next >= end || !ring->credit)
		return true;
	engine_set_key(h->engine, ring->key);
	for (; *next < end && count && ring->credit; (*next)++, count--, ring->credit--)
		window_fill(window, h->engine, &ring->slot, *next, &h->counts);
	return *next >= end || !ring->credit;
}

static uint32_t ring_packets(const struct helper *h, const struct ring *ring)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < TALON_KEYSTREAM_CLASSES; i++)
		sum += LOAD(h->map[ring->at].sizes[i]);
	return sum;
}

/* The head advanced to @head. Returns whether packets account for that; if not, the counter leapt. */
static bool move_head(struct helper *h, struct ring *ring, uint64_t head)
{
	uint64_t advance = head - ring->head, moved;
	uint32_t packets = ring_packets(h, ring), since = packets - ring->packets;

	moved = plan_advance(advance, since);
	ring->credit = plan_credit(ring->credit, advance, since, ring->window.bits);
	ring->epoch_moved += moved;
	ring->packets = packets;
	ring->head = head;
	return moved == advance;
}

static uint64_t ring_head(const struct helper *h, const struct ring *ring)
{
	const struct talon_keystream_ring *shared = &h->map[ring->at];
	uint64_t head = LOAD(shared->head);

	return LOAD(shared->seen) == ring->slot.index && head > ring->head ? head : ring->head;
}

/* Moves the ring to a window of another size, after filling there what packets need at once. */
static int resize(struct helper *h, struct ring *ring, unsigned bits)
{
	struct window larger, old = ring->window;
	uint64_t next = 0;
	int ret = take_window(h, bits, &larger);

	if (ret)
		return ret;
	move_head(h, ring, ring_head(h, ring));
	ring->credit += 1ULL << bits;	/* asked for by the rate, which packets account for */
	fill(h, ring, &larger, &next, bits < old.bits ? UINT32_MAX : 1U << old.bits);
	ring->window = larger;
	ring->next = next;
	STORE(h->map[ring->at].window, talon_keystream_window(larger.base, bits));
	give_back(h, &old);
	return 0;
}

/* ---- rings ---- */

static struct ring *find(struct helper *h, uint32_t at)
{
	for (uint32_t i = 0; i < h->active; i++) {
		if (h->rings[i]->at == at)
			return h->rings[i];
	}
	return NULL;
}

static void release(struct helper *h, struct ring *ring)
{
	STORE(h->map[ring->at].window, 0);
	STORE(h->map[ring->at].index, 0);
	give_back(h, &ring->window);
	sodium_memzero(ring, sizeof(*ring));
	for (uint32_t i = 0; i < h->active; i++) {
		if (h->rings[i] != ring)
			continue;
		h->rings[i] = h->rings[--h->active];
		h->rings[h->active] = ring;
	}
}

/* The key of the ring's session. False: the session is gone. @key may be NULL. */
static bool read_key(struct helper *h, uint32_t at, uint32_t index, uint32_t key[8])
{
	const uint32_t slot = at / TALON_KEYSTREAM_DIRS;
	struct talon_session session;
	bool is_live;

	is_live = !bpf_map_lookup_elem(h->sessions_fd, &slot, &session) && session.index == index;
	if (is_live && key)
		memcpy(key, at % TALON_KEYSTREAM_DIRS == TALON_KEYSTREAM_RECV ? session.recv_key
			: session.send_key, 32);
	sodium_memzero(&session, sizeof(session));
	return is_live;
}

/* Slots there can be: those that have memory, where no more is to be had. */
static uint32_t room_now(const struct helper *h)
{
	uint32_t slots = 0;

	if (!h->refused_ns)
		return h->room_slots;
	for (uint32_t i = 0; i < h->segments.count; i++)
		slots += segments_has(&h->segments, i) ? TALON_KEYSTREAM_SEGMENT : 0;
	return slots ? slots : 1;
}

/* Shrinks the largest window to a fair share, for a ring that has none. False: none is larger than that. */
static bool make_room(struct helper *h)
{
	unsigned fair = plan_bits_fair(room_now(h), h->active + 1);
	struct ring *largest = NULL;
	int ret;

	for (uint32_t i = 0; i < h->active; i++) {
		if (!largest || h->rings[i]->window.bits > largest->window.bits)
			largest = h->rings[i];
	}
	if (!largest || largest->window.bits <= fair)
		return false;
	ret = resize(h, largest, fair);
	if (ret == -EAGAIN)
		return false;
	if (ret)
		release(h, largest);	/* no room for a smaller window beside it: the ring will ask again */
	return true;
}

/* The first window of a ring: a smaller one where memory is short, taken from others where none is left. */
static int first_window(struct helper *h, struct window *ret_window)
{
	unsigned bits = PLAN_BITS_FIRST;
	int ret;

	while ((ret = take_window(h, bits, ret_window))) {
		if (ret == -EAGAIN)	/* memory comes: the ring will ask again */
			return ret;
		if (bits > PLAN_BITS_MIN)
			bits--;
		else if (!make_room(h))
			return -ENOSPC;
	}
	return 0;
}

/* Gives a window to a ring that asked. Without one its packets are encrypted inline, and it asks again. */
static void start_ring(struct helper *h, uint32_t at, uint32_t index)
{
	struct talon_keystream_ring *shared = &h->map[at];
	struct window window;
	struct ring *ring;
	uint32_t key[8];

	if (!read_key(h, at, index, key))
		return;
	if (!first_window(h, &window)) {
		ring = h->rings[h->active++];	/* never runs out: there is one for each unit of memory */
		ring->at = at;
		ring->slot = (struct window_ring){ index, at % TALON_KEYSTREAM_DIRS, TALON_SLOT_STREAM_LEN };
		memcpy(ring->key, key, sizeof(ring->key));
		ring->window = window;
		ring->head = ring_head(h, ring);
		ring->packets = ring_packets(h, ring);
		ring->credit = 1ULL << window.bits;
		memcpy(ring->epoch_sizes, shared->sizes, sizeof(ring->epoch_sizes));
		ring->epoch_ns = ring->sizes_ns = ring->moved_ns = ring->fits_ns = h->now;
		STORE(shared->index, index);
		STORE(shared->window, talon_keystream_window(window.base, window.bits));
	}
	sodium_memzero(key, sizeof(key));
}

static int asked(void *ctx, void *data, size_t len)
{
	struct helper *h = ctx;
	uint32_t at = *(const uint32_t *)data, index;
	struct ring *ring;

	if (len < sizeof(at) || at >= h->ring_count)
		return 0;
	index = LOAD(h->map[at].seen);
	ring = find(h, at);
	if (ring && ring->slot.index != index) {
		release(h, ring);
		ring = NULL;
	}
	if (!ring && index)
		start_ring(h, at, index);
	return 0;
}

/* Judges how much keystream a packet needs, from SIZES_MIN packets or from those of a second. */
static void judge_sizes(struct helper *h, struct ring *ring)
{
	uint32_t counts[TALON_KEYSTREAM_CLASSES], all = 0;

	for (unsigned i = 0; i < TALON_KEYSTREAM_CLASSES; i++) {
		counts[i] = LOAD(h->map[ring->at].sizes[i]) - ring->epoch_sizes[i];
		all += counts[i];
	}
	if (all < SIZES_MIN && h->now - ring->sizes_ns < TALON_NSEC_PER_SEC)
		return;
	ring->slot.len = plan_len(counts, ring->slot.len);
	ring->sizes_ns = h->now;
	for (unsigned i = 0; i < TALON_KEYSTREAM_CLASSES; i++)
		ring->epoch_sizes[i] += counts[i];
}

static void grow(struct helper *h, struct ring *ring, unsigned bits)
{
	unsigned now = ring->window.bits;

	while (bits > now && resize(h, ring, bits))
		bits--;
}

static void judge_window(struct helper *h, struct ring *ring)
{
	unsigned bits = ring->window.bits, most = plan_log2_down(h->room_slots) - 1, wanted;

	if (most > PLAN_BITS_MAX)
		most = PLAN_BITS_MAX;
	ring->rate = plan_rate(ring->rate, ring->epoch_moved, h->now - ring->epoch_ns);
	wanted = plan_bits(ring->rate, h->gap_ns, most);
	if (ring->was_late && wanted <= bits && bits < most)
		wanted = bits + 1;
	if (wanted >= bits - 1)
		ring->fits_ns = h->now;
	if (wanted > bits)
		grow(h, ring, wanted);
	else if (h->now - ring->fits_ns > SHRINK_NS)
		resize(h, ring, wanted);
	ring->was_late = false;
	ring->epoch_moved = 0;
	ring->epoch_ns = h->now;
}

/* Returns for how many nanoseconds nothing needs to be done for @ring. */
static uint64_t look(struct helper *h, struct ring *ring)
{
	uint64_t head = ring_head(h, ring);

	if (head != ring->head) {
		ring->moved_ns = h->now;
		if (move_head(h, ring, head))
			ring->was_late |= ring->next <= head;
	}
	if (h->now - ring->epoch_ns >= EPOCH_NS) {
		judge_sizes(h, ring);
		judge_window(h, ring);
	}
	if (!fill(h, ring, &ring->window, &ring->next, CHUNK))
		return 0;
	STORE(h->map[ring->at].wake_at, plan_wake_at(ring->head, ring->window.bits));
	return plan_patience(ring->rate, ring->window.bits);
}

/* ---- the loop ---- */

static void tell(struct helper *h)
{
	STORE(h->state->heartbeat_ns, h->now);
	STORE(h->state->windows, h->active);
	STORE(h->state->slots, h->room.used);
	STORE(h->state->generated, h->counts.generated);
	STORE(h->state->wasted, h->counts.wasted);
	STORE(h->state->gap_ns, h->gap_ns);
}

static void each_second(struct helper *h)
{
	h->second_ns = h->now + TALON_NSEC_PER_SEC;
	for (uint32_t i = h->active; i-- > 0;) {
		struct ring *ring = h->rings[i];

		if (h->now - ring->moved_ns > IDLE_NS || !read_key(h, ring->at, ring->slot.index, NULL))
			release(h, ring);
	}
	drain_all(h);
	shrink(h);
	tell(h);
}

static void nap(uint64_t ns)
{
	const struct timespec time = { .tv_nsec = ns };

	nanosleep(&time, NULL);
}

static bool is_wanted(struct helper *h)
{
	for (uint32_t i = 0; i < h->active; i++) {
		if (ring_head(h, h->rings[i]) >= LOAD(h->map[h->rings[i]->at].wake_at))
			return true;
	}
	return false;
}

/*
 * Sleeps until the datapath wakes us, or a second is over. The datapath reads `asleep` after moving the head,
 * and we read the heads after setting `asleep`. If each still misses the other, because its store was
 * buffered, the next packet wakes us.
 */
static void sleep_until_woken(struct helper *h)
{
	struct epoll_event event;

	__atomic_store_n(&h->state->asleep, 1, __ATOMIC_SEQ_CST);
	if (!ring_buffer__consume(h->wake) && !is_wanted(h))
		epoll_wait(h->epoll_fd, &event, 1,
			h->second_ns > h->now ? (h->second_ns - h->now) / 1000000 + 1 : 1);
	__atomic_store_n(&h->state->asleep, 0, __ATOMIC_SEQ_CST);
}

/* @before: when the turn before began; 0: we slept until woken, which is not a gap. */
static void note_gap(struct helper *h, uint64_t before)
{
	if (before)
		h->gap_ns = plan_gap(h->gap_ns, h->now - before);
	if (h->now - h->decay_ns < DECAY_NS)
		return;
	h->gap_ns = plan_gap_decay(h->gap_ns);
	h->decay_ns = h->now;
	tell(h);
}

static uint64_t look_at_all(struct helper *h)
{
	uint64_t patience = UINT64_MAX;

	for (uint32_t i = 0; i < h->active; i++) {
		uint64_t one = look(h, h->rings[i]);

		patience = one < patience ? one : patience;
	}
	return patience;
}

static void run(struct helper *h)
{
	uint64_t before = 0, patience, sleep;

	while (!stopping) {
		h->now = clock_boot_ns();
		note_gap(h, before);
		before = h->now;
		ring_buffer__consume(h->wake);
		patience = look_at_all(h);
		if (h->now >= h->second_ns)
			each_second(h);
		if (!patience)
			continue;
		sleep = plan_sleep(patience);
		if (sleep) {
			nap(sleep);
		} else {
			sleep_until_woken(h);
			before = 0;
		}
	}
}

/* ---- start and end ---- */

static void *map_shared(int fd, size_t len)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *shared = mmap(NULL, (len + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return shared == MAP_FAILED ? NULL : shared;
}

static uint32_t entries_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.max_entries;
}

/* One helper at a time: waits up to 5 s for an earlier one that is still exiting. */
static int lock(struct helper *h, const char *pin_dir)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/v%u/maps", pin_dir, TALON_LAYOUT_VERSION);
	h->lock_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->lock_fd < 0)
		return -errno;
	for (int tries = 0; flock(h->lock_fd, LOCK_EX | LOCK_NB); tries++) {
		if (errno != EWOULDBLOCK || tries == 100)
			return -errno;
		usleep(50000);
	}
	return 0;
}

static int open_maps(struct helper *h, const char *pin_dir)
{
	int rings_fd = datapath_map_open(pin_dir, DATAPATH_MAP_KEYSTREAM_RINGS);
	int state_fd = datapath_map_open(pin_dir, DATAPATH_MAP_KEYSTREAM_STATE);
	int wake_fd = datapath_map_open(pin_dir, DATAPATH_MAP_KEYSTREAM_WAKE);
	struct epoll_event event = { .events = EPOLLIN };
	int ret = -ENOENT;

	h->slots_fd = datapath_map_open(pin_dir, DATAPATH_MAP_KEYSTREAM);
	h->sessions_fd = datapath_map_open(pin_dir, DATAPATH_MAP_SESSIONS);
	if (rings_fd < 0 || state_fd < 0 || wake_fd < 0 || h->slots_fd < 0 || h->sessions_fd < 0)
		goto out;
	h->ring_count = entries_of(rings_fd);
	h->room_slots = entries_of(h->slots_fd) << TALON_KEYSTREAM_SEGMENT_BITS;
	h->map = map_shared(rings_fd, h->ring_count * sizeof(*h->map));
	h->state = map_shared(state_fd, sizeof(*h->state));
	h->wake = ring_buffer__new(wake_fd, asked, h, NULL);
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ret = h->map && h->state && h->wake && h->epoll_fd >= 0 ? 0 : -ENOMEM;
	if (!ret && epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, ring_buffer__epoll_fd(h->wake), &event))
		ret = -errno;
out:
	close(rings_fd);
	close(state_fd);
	close(wake_fd);
	return ret;
}

/*
 * Wipes what an earlier helper left. Once no ring has a window, and every program that saw one has ended,
 * nothing else touches a slot. Without membarrier(2) we cannot wait for those programs; then slots in use are
 * left alone for good.
 */
static int wipe(struct helper *h)
{
	struct window window;
	bool has_all;
	int ret;

	for (uint32_t i = 0; i < h->ring_count; i++) {
		STORE(h->map[i].window, 0);
		STORE(h->map[i].index, 0);
	}
	has_all = !syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	for (uint32_t i = 0; i < h->segments.count; i++) {
		if (!segments_has(&h->segments, i))
			continue;
		ret = window_map(&window, h->segments.fds, TALON_KEYSTREAM_SEGMENT_BITS,
			i << TALON_KEYSTREAM_SEGMENT_BITS, TALON_KEYSTREAM_SEGMENT_BITS);
		if (ret)
			return ret;
		window_wipe(&window, has_all);
		window_unmap(&window);
	}
	return 0;
}

static int open_segments(struct helper *h, const char *pin_dir)
{
	char dir[sizeof(h->segments.dir)];
	int ret;

	snprintf(dir, sizeof(dir), "%s/v%u/maps", pin_dir, TALON_LAYOUT_VERSION);
	ret = segments_open(&h->segments, h->slots_fd, dir);
	if (ret)
		return ret;
	h->idle_ns = calloc(h->segments.count, sizeof(*h->idle_ns));
	return h->idle_ns ? 0 : -ENOMEM;
}

static int start(struct helper *h, const char *pin_dir)
{
	int ret = lock(h, pin_dir);

	if (!ret)
		ret = open_maps(h, pin_dir);
	if (!ret)
		ret = open_segments(h, pin_dir);
	if (!ret)
		ret = wipe(h);
	if (!ret)
		ret = plan_room_init(&h->room, h->room_slots);
	if (ret)
		return ret;
	h->pool = calloc(h->room.units + 1, sizeof(*h->pool));
	h->rings = calloc(h->room.units + 1, sizeof(*h->rings));
	if (!h->pool || !h->rings)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->room.units; i++)
		h->rings[i] = &h->pool[i];
	ret = engine_new(&h->engine);
	if (ret)
		return ret;
	/*
	 * Not what is mapped later: windows are kernel memory, which is never swapped. Where locking is not
	 * permitted, keys may be swapped out.
	 */
	if (mlockall(MCL_CURRENT))
		log_debug("keystream: memory is not locked: %s", strerror(errno));
	h->now = clock_boot_ns();
	h->gap_ns = 2 * PLAN_GAP_MIN_NS;
	STORE(h->state->asleep, 0);
	h->state->room = h->room_slots;
	h->state->started_ns = h->now;
	/* people read them as counters, which go on from an earlier helper's */
	h->counts.generated = LOAD(h->state->generated);
	h->counts.wasted = LOAD(h->state->wasted);
	snprintf(h->state->engine, sizeof(h->state->engine), "%s", engine_name(h->engine));
	tell(h);
	STORE(h->state->pid, getpid());
	return 0;
}

static void end(struct helper *h)
{
	while (h->active)
		release(h, h->rings[0]);
	for (int tries = 0; h->draining_count && tries < 100; tries++) {
		usleep(1000);
		drain_all(h);
	}
	if (h->state) {
		tell(h);
		STORE(h->state->pid, 0);
	}
	engine_free(h->engine);
	free(h->rings);
	free(h->pool);
	plan_room_done(&h->room);
	free(h->idle_ns);
	segments_close(&h->segments);
	ring_buffer__free(h->wake);
}

/* No core dump, no tracing by others, killed with the controller, which handles Ctrl-C. */
static void settle(int parent)
{
	const struct sigaction on_term = { .sa_handler = stop };
	const struct rlimit none = {};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NAME, "talon-keystream");
	prctl(PR_SET_TIMERSLACK, 1000);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &on_term, NULL);
	if (getppid() != parent)
		stopping = 1;	/* it died before PR_SET_PDEATHSIG */
}

int keystream_run(const char *pin_dir, int parent, bool wipe_only)
{
	struct helper h = { .slots_fd = -1, .sessions_fd = -1, .lock_fd = -1, .epoll_fd = -1 };
	int ret;

	settle(parent);
	ret = start(&h, pin_dir);
	if (ret)
		log_err("keystream: %s", strerror(-ret));
	else if (!wipe_only)
		run(&h);
	end(&h);
	return ret;
}
