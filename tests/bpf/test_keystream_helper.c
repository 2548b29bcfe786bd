// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helper process itself, on pinned maps of its own: hundreds of sessions that share little memory,
// sessions that end, and the end of the helper.
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "keystream_test.skel.h"
#include "bpf/keystream_test.h"
#include "keystream/helper.h"
#include "talon/config_types.h"
#include "talon/keystream_types.h"
#include "talon/session_types.h"
#include "traffic.h"

#define SESSIONS	512
#define ROOM		2048		/* slots: 128 windows of the smallest size */
#define OFF		KEYSTREAM_TEST_OFF
#define SHIFT		32
#define TAG_LEN		16
#define LEN		200

static char base[64];
static struct keystream_test *skel;
static struct talon_session sessions[SESSIONS];
static uint64_t sent[SESSIONS];		/* next counter */
static pid_t helper;

static const char *below(const char *rest)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", base, rest);
	return path;
}

static int make_maps(void **state)
{
	const struct talon_config config = { .session_mask = SESSIONS - 1 };
	const uint32_t zero = 0;
	struct bpf_map *map;
	char path[300];

	strcpy(base, "/tmp/talon-keystream-XXXXXX");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(base) ||
	    mount("bpf", base, "bpf", 0, NULL) || mkdir(below("talon"), 0700) ||
	    mkdir(below("talon/" TALON_LAYOUT_NAME), 0700) ||
	    mkdir(below("talon/" TALON_LAYOUT_NAME "/maps"), 0700))
		return -1;
	skel = keystream_test__open();
	if (!skel)
		return -1;
	bpf_object__for_each_map(map, skel->obj) {
		snprintf(path, sizeof(path), "%s/%s", below("talon/" TALON_LAYOUT_NAME "/maps"),
			bpf_map__name(map));
		if (bpf_map__pin_path(map))
			bpf_map__set_pin_path(map, path);
	}
	bpf_map__set_max_entries(skel->maps.sessions, SESSIONS);
	bpf_map__set_max_entries(skel->maps.keystream_rings, SESSIONS * TALON_KEYSTREAM_DIRS);
	bpf_map__set_max_entries(skel->maps.keystream, ROOM / TALON_KEYSTREAM_SEGMENT);
	return keystream_test__load(skel) || bpf_map_update_elem(bpf_map__fd(skel->maps.config), &zero,
		&config, BPF_ANY);
}

static int remove_maps(void **state)
{
	keystream_test__destroy(skel);
	umount(base);
	return rmdir(base);
}

static void write_session(uint32_t slot)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.sessions), &slot, &sessions[slot],
		BPF_ANY), 0);
}

static void make_sessions(void)
{
	for (uint32_t slot = 0; slot < SESSIONS; slot++) {
		randombytes_buf(&sessions[slot], sizeof(sessions[slot]));
		sessions[slot].index = 0xabc00000 | slot;
		sent[slot] = 0;
		write_session(slot);
	}
}

static int start_helper(void **state)
{
	pid_t parent = getpid();

	make_sessions();
	helper = fork();
	if (!helper)
		_exit(keystream_run(below("talon"), parent, false) ? 1 : 0);
	return helper < 0;
}

static int segment_of(uint32_t slot)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/keystream-%u", below("talon/" TALON_LAYOUT_NAME "/maps"),
		slot / TALON_KEYSTREAM_SEGMENT);
	return bpf_obj_get(path);
}

/* False: there is no memory for it. */
static bool read_slot(uint32_t slot, struct talon_keystream_slot *ret_slot)
{
	const uint32_t at = slot % TALON_KEYSTREAM_SEGMENT;
	int fd = segment_of(slot);
	bool is_there = fd >= 0;

	if (is_there) {
		assert_int_equal(bpf_map_lookup_elem(fd, &at, ret_slot), 0);
		close(fd);
	}
	return is_there;
}

static void write_slot(uint32_t slot, const struct talon_keystream_slot *value)
{
	const uint32_t at = slot % TALON_KEYSTREAM_SEGMENT;
	int fd = segment_of(slot);

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &at, value, BPF_ANY), 0);
	close(fd);
}

static int stop_helper(void **state)
{
	int status;

	if (!helper)
		return 0;
	kill(helper, SIGTERM);
	if (waitpid(helper, &status, 0) != helper)
		return -1;
	helper = 0;
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static struct talon_keystream_state state_now(void)
{
	struct talon_keystream_state state;
	const uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.keystream_state), &zero, &state), 0);
	return state;
}

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static uint64_t window_of(uint32_t slot)
{
	const uint32_t at = slot * TALON_KEYSTREAM_DIRS + TALON_KEYSTREAM_SEND;
	struct talon_keystream_ring ring;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.keystream_rings), &at, &ring), 0);
	return ring.window;
}

static uint64_t ahead_now(void)
{
	const uint32_t kind = TALON_TRAFFIC_SENT | TALON_TRAFFIC_AHEAD;

	return traffic_sum(bpf_map__fd(skel->maps.traffic), kind, kind).packets;
}

/* Seals the session's next packet, and opens it with its own key. */
static void send_packet(uint32_t slot)
{
	struct keystream_test_job job = { .counter = sent[slot]++, .index = sessions[slot].index,
		.len = LEN };
	uint8_t in[OFF + SHIFT + LEN], out[sizeof(in)], plain[LEN + 8], nonce[12] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = in, .data_size_in = sizeof(in), .data_out = out, .data_size_out = sizeof(out),
		.repeat = 1);
	const uint32_t zero = 0, padded = (LEN + 15) & ~15;

	memcpy(job.key, sessions[slot].send_key, sizeof(job.key));
	memcpy(nonce + 4, &job.counter, sizeof(job.counter));
	randombytes_buf(in, sizeof(in));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.jobs), &zero, &job, BPF_ANY), 0);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.seal), &opts), 0);
	assert_int_equal(opts.retval, 0);
	assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, out + OFF,
		padded + TAG_LEN, NULL, 0, nonce, (const uint8_t *)sessions[slot].send_key), 0);
	assert_memory_equal(plain, in + OFF + SHIFT, LEN);
}

/* Polls for up to ten seconds instead of waiting a fixed time. */
#define WAIT_FOR(condition)						\
	do {								\
		for (int tries_ = 0; !(condition); tries_++) {		\
			assert_in_range(tries_, 0, 2000);		\
			usleep(5000);					\
		}							\
	} while (0)

static bool gets_window(uint32_t slot)
{
	send_packet(slot);
	return window_of(slot);
}

static void a_session_with_packets_gets_a_window_and_uses_it(void **state)
{
	uint64_t before = ahead_now();

	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(7));
	WAIT_FOR((send_packet(7), ahead_now() - before > 300));
	assert_int_equal(window_of(8), 0);
}

/*
 * Keystream beyond what is in use is paid for by packets: a counter that leaps past every window makes work
 * for four slots each, not hundreds.
 */
static void a_counter_that_leaps_makes_no_more_work_than_packets_do(void **state)
{
	const unsigned packets = 400;
	uint64_t before, windows;

	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(9));
	WAIT_FOR(state_now().slots >= 64);
	before = state_now().generated;
	for (unsigned i = 0; i < packets; i++) {
		sent[9] += 100000;
		send_packet(9);
		usleep(1500);	/* the helper looks in between */
	}
	windows = 1ULL << talon_keystream_window_bits(window_of(9));
	WAIT_FOR(state_now().heartbeat_ns > clock_now() - 500000000);
	/* The window it had and the ones it grew to were filled once each. */
	assert_in_range(state_now().generated - before, 0, 4 * packets + 4 * windows);
	assert_in_range(windows, 16, 256);
}

/* Counts them, and checks that no two lie on the same slots. */
static unsigned windows_apart(void)
{
	static uint8_t taken[ROOM];
	unsigned count = 0;

	memset(taken, 0, sizeof(taken));
	for (uint32_t slot = 0; slot < SESSIONS; slot++) {
		uint64_t window = window_of(slot);

		if (!window)
			continue;
		count++;
		for (uint32_t i = 0; i < 1U << talon_keystream_window_bits(window); i++) {
			assert_true((uint32_t)window + i < ROOM);
			assert_int_equal(taken[(uint32_t)window + i]++, 0);
		}
	}
	return count;
}

static void send_to_all(void)
{
	for (uint32_t slot = 0; slot < SESSIONS; slot++)
		send_packet(slot);
}

static void hundreds_of_sessions_share_what_there_is(void **state)
{
	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(0));
	for (int round = 0; round < 6; round++) {
		send_to_all();
		windows_apart();
	}
	/*
	 * 16 slots each, where more than that many rings want some; they ask again while memory is being made
	 */
	WAIT_FOR((send_to_all(), state_now().windows >= ROOM / 16 / 2));
	assert_in_range(windows_apart(), ROOM / 16 / 2, ROOM / 16);
	assert_in_range(state_now().slots, ROOM / 4, ROOM);
}

static void keystream_of_a_session_that_ended_is_wiped(void **state)
{
	struct talon_keystream_slot slot;
	uint64_t window;

	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(3));
	window = window_of(3);
	sessions[3].index = 0;
	write_session(3);
	WAIT_FOR(!window_of(3));
	for (uint32_t i = 0; i < 1U << talon_keystream_window_bits(window); i++) {
		uint32_t at = (uint32_t)window + i;

		WAIT_FOR(read_slot(at, &slot) && sodium_is_zero((uint8_t *)&slot, sizeof(slot)));
	}
}

static void the_next_session_in_a_slot_gets_keystream_of_its_own(void **state)
{
	uint64_t before;

	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(5));
	for (int i = 0; i < 50; i++)
		send_packet(5);
	randombytes_buf(sessions[5].send_key, sizeof(sessions[5].send_key));
	sessions[5].index += SESSIONS;
	sent[5] = 0;
	write_session(5);
	before = ahead_now();
	WAIT_FOR((send_packet(5), ahead_now() > before + 20));
}

static void nothing_is_left_in_the_slots_when_it_ends(void **state)
{
	struct talon_keystream_slot slot;

	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(9));
	assert_int_equal(stop_helper(state), 0);
	assert_int_equal(state_now().pid, 0);
	assert_int_equal(window_of(9), 0);
	assert_true(read_slot(0, &slot));	/* memory stays, for the next one */
	for (uint32_t at = 0; at < ROOM; at++) {
		if (read_slot(at, &slot))
			assert_true(sodium_is_zero((uint8_t *)&slot, sizeof(slot)));
	}
	send_packet(9);
}

static void what_a_killed_one_left_is_wiped_by_the_next(void **state)
{
	struct talon_keystream_slot left = { .token = TALON_SLOT_BUSY, .index = 1, .stream = { 1, 2, 3 } };
	const uint32_t last = TALON_KEYSTREAM_SEGMENT - 1;	/* of the first segment */
	uint64_t window;
	int status;

	WAIT_FOR(state_now().pid == (uint32_t)helper);
	WAIT_FOR(gets_window(11));
	kill(helper, SIGKILL);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	window = window_of(11);
	assert_true(window);
	write_slot(last, &left);
	for (int i = 0; i < 100; i++)
		send_packet(11);	/* from slots that are still ready, then inline */

	helper = fork();
	if (!helper)
		_exit(keystream_run(below("talon"), getppid(), true) ? 1 : 0);	/* to wipe, and no more */
	assert_int_equal(waitpid(helper, &status, 0), helper);
	helper = 0;
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_equal(window_of(11), 0);
	assert_true(read_slot(last, &left));
	assert_true(sodium_is_zero((uint8_t *)&left, sizeof(left)));
	send_packet(11);
}

static void it_does_not_run_without_its_parent(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(keystream_run(below("talon"), 1, false) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(state_now().pid, 0);
}

int main(void)
{
#define WITH_HELPER(test) cmocka_unit_test_setup_teardown(test, start_helper, stop_helper)
	const struct CMUnitTest tests[] = {
		WITH_HELPER(a_session_with_packets_gets_a_window_and_uses_it),
		WITH_HELPER(a_counter_that_leaps_makes_no_more_work_than_packets_do),
		WITH_HELPER(hundreds_of_sessions_share_what_there_is),
		WITH_HELPER(keystream_of_a_session_that_ended_is_wiped),
		WITH_HELPER(the_next_session_in_a_slot_gets_keystream_of_its_own),
		WITH_HELPER(nothing_is_left_in_the_slots_when_it_ends),
		WITH_HELPER(what_a_killed_one_left_is_wiped_by_the_next),
		cmocka_unit_test(it_does_not_run_without_its_parent),
	};

	if (geteuid())
		return 77;
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, make_maps, remove_maps);
}
