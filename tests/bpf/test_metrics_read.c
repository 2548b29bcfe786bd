// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Metrics from the pinned maps of a datapath with 5,000 peers: what is read of them, how long that takes and
// how much memory it needs. Programs are loaded and attached to a veth of a namespace of our own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/key.h"
#include "plane_rig.h"
#include "unit/metrics/exposition.h"

#define PEERS		5000
#define RUNS		15
#define MOST_MEMORY	(1 << 20)	/* bytes that a scrape may add */

static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };
static struct plane_rig rig;
static struct plane_peer peers[PEERS];
static struct cidr allowed[PEERS];
static uint64_t now;

static void put(enum datapath_map map, uint32_t key, const void *value)
{
	assert_int_equal(map_write(rig.c, map, key, value, BPF_ANY), 0);
}

/* Number @i by traffic, most first: spread over all slots. 3571 has no factor in common with 5,000. */
static uint32_t slot_of(uint32_t i)
{
	return i * 3571 % PEERS;
}

static uint64_t received_of(uint32_t i)
{
	return 1000000 + 10 * (PEERS - i);
}

/* What number @i by traffic has: on each CPU a part, and in three of four a session. */
static void put_peer(uint32_t i)
{
	const uint32_t slot = slot_of(i), cpus = rig.c->cpus;
	struct talon_peer_stats stats[cpus];
	struct talon_session session = { .index = 0x10000 + slot, .birth_ns = now - i * 10000000ULL };
	struct talon_peer_tx tx = { .index = i % 4 ? session.index : 0 };
	struct talon_nat_peer share = { .held = i };
	struct talon_peer_info *info = &rig.c->infos[slot];

	memset(stats, 0, sizeof(stats));
	stats[0].rx_bytes = received_of(i) - 10 * (cpus - 1);
	stats[0].tx_packets = i;
	stats[0].rx_ns = now;
	for (uint32_t cpu = 1; cpu < cpus; cpu++)
		stats[cpu].rx_bytes = 10;
	stats[cpus - 1].tx_bytes = 7;
	memset(session.recv_key, 0x5a, sizeof(session.recv_key));
	memset(session.send_key, 0x5b, sizeof(session.send_key));
	info->handshake_ns = i % 5 ? now - 1000000 - i : 0;
	put(DATAPATH_MAP_PEER_INFO, slot, info);
	put(DATAPATH_MAP_PEER_STATS, slot, stats);
	put(DATAPATH_MAP_SESSIONS, slot, &session);
	put(DATAPATH_MAP_PEER_TX, slot, &tx);
	put(DATAPATH_MAP_NAT_PEERS, slot, &share);
}

static int set_up(void **state)
{
	struct plane_state desired = { .mesh_addr = htonl(0x64400001), .mesh_prefixlen = 10, .peers = peers,
		.peer_count = PEERS };
	char err[256] = "";

	if (sodium_init() < 0 || plane_rig_isolate())
		return -1;
	plane_rig_config(&rig, seed, PEERS);
	if (plane_rig_start(&rig))
		return -1;
	for (uint32_t i = 0; i < PEERS; i++)
		plane_rig_peer(&peers[i], &allowed[i], i);
	if (plane_apply(rig.c, &desired, err, sizeof(err))) {
		print_error("%s\n", err);
		return -1;
	}
	now = clock_boot_ns();
	for (uint32_t i = 0; i < PEERS; i++)
		put_peer(i);
	second_tick(rig.c);	/* heartbeat and facts */
	return 0;
}

static int tear_down(void **state)
{
	return plane_rig_down(&rig);
}

static void collect(struct metrics_data *data, uint32_t top)
{
	const struct metrics_options options = { .pin_dir = rig.config.pin_dir, .peers = top };
	char why[256] = "";

	if (metrics_collect(&options, data, why, sizeof(why)))
		fail_msg("%s", why);
}

static struct metrics_data data;

static void the_peers_with_the_most_traffic_come_first_whatever_their_slots(void **state)
{
	uint64_t rest = 0;

	for (uint32_t i = 10; i < PEERS; i++)
		rest += received_of(i);
	collect(&data, 10);
	assert_int_equal(data.peers.top_count, 10);
	for (uint32_t i = 0; i < 10; i++) {
		const struct metrics_peer *peer = &data.peers.top[i];

		assert_int_equal(peer->id, slot_of(i));
		assert_int_equal(peer->rx_bytes, received_of(i));
		assert_int_equal(peer->tx_bytes, 7);
		assert_int_equal(peer->tx_packets, i);
		assert_int_equal(peer->held, i);
		assert_memory_equal(peer->info.public_key, rig.c->infos[slot_of(i)].public_key, KEY_LEN);
	}
	assert_int_equal(data.peers.others, PEERS - 10);
	assert_int_equal(data.peers.others_rx, rest);
	assert_int_equal(data.peers.others_tx, 7 * (PEERS - 10));
	metrics_data_done(&data);
}

static void without_series_of_their_own_all_are_summed_up(void **state)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < PEERS; i++)
		all += received_of(i);
	collect(&data, 0);
	assert_int_equal(data.peers.top_count, 0);
	assert_int_equal(data.peers.others, PEERS);
	assert_int_equal(data.peers.others_rx, all);
	metrics_data_done(&data);
}

static void no_more_than_the_most_have_series_of_their_own(void **state)
{
	collect(&data, UINT32_MAX);
	assert_int_equal(data.peers.top_count, METRICS_PEERS_MOST);
	assert_int_equal(data.peers.top[METRICS_PEERS_MOST - 1].id, slot_of(METRICS_PEERS_MOST - 1));
	metrics_data_done(&data);
}

static void peers_are_counted_by_state(void **state)
{
	size_t connected = 0, never = 0;

	for (uint32_t i = 0; i < PEERS; i++) {
		never += i % 5 == 0;
		connected += i % 5 && i % 4;
	}
	collect(&data, 0);
	assert_int_equal(data.peers.sessions, PEERS * 3 / 4);
	assert_int_equal(data.peers.never, never);
	assert_int_equal(data.peers.connected, connected);
	assert_int_equal(data.peers.idle, PEERS - never - connected);
	assert_int_equal(data.peers.handshake_ns, now - 1000000 - 1);
	assert_true(data.peers.has_expiry);
	/* the oldest session was 4999 * 10 ms old when it was written */
	assert_true(data.peers.expiry_ns <= (180 - 49) * TALON_NSEC_PER_SEC);
	assert_true(data.peers.expiry_ns >= (180 - 110) * TALON_NSEC_PER_SEC);
	metrics_data_done(&data);
}

static void a_session_of_another_generation_is_none(void **state)
{
	const uint32_t slot = slot_of(1);
	struct talon_peer_tx tx = { .index = 0x20000 + slot };

	put(DATAPATH_MAP_PEER_TX, slot, &tx);
	collect(&data, 0);
	assert_int_equal(data.peers.sessions, PEERS * 3 / 4 - 1);
	metrics_data_done(&data);
	tx.index = 0x10000 + slot;
	put(DATAPATH_MAP_PEER_TX, slot, &tx);
}

static char *render(uint32_t top, enum metrics_format format, size_t *ret_len)
{
	const struct metrics_options options = { .pin_dir = rig.config.pin_dir, .peers = top,
		.format = format, .aliases = top != 0 };
	char *text, why[256] = "";

	if (metrics_render(&options, &text, ret_len, why, sizeof(why)))
		fail_msg("%s", why);
	return text;
}

static const struct metrics_map *map_named(const char *name)
{
	for (size_t i = 0; i < data.map_count; i++) {
		if (!strcmp(data.maps[i].name, name))
			return &data.maps[i];
	}
	fail_msg("no map %s", name);
	return NULL;
}

static void every_map_and_ring_is_there_with_its_room(void **state)
{
	static const char *const names[] = {
#define NAME(id, name) #name,
		DATAPATH_MAPS(NAME)
#undef NAME
	};

	collect(&data, 0);
	for (size_t i = 0; i < DATAPATH_MAP_COUNT; i++) {
		const char family = names[i][strlen(names[i]) - 1];
		const bool is_trie = (family == '4' || family == '6') && strncmp(names[i], "flows", 5) &&
			strncmp(names[i], "frags", 5) && strcmp(names[i], "acl_ct6");

		/* an empty trie is charged nothing */
		if (!map_named(names[i])->memory && (!is_trie || !strcmp(names[i], "allowed4")))
			fail_msg("map %s without memory", names[i]);
	}
	assert_int_equal(map_named("peer_info")->entries, PEERS);
	assert_int_equal(map_named("peer_info")->limit, rig.c->peers_max);
	assert_int_equal(map_named("allowed4")->entries, PEERS);
	assert_int_equal(map_named("links")->entries, rig.c->ways.links.count);
	assert_true(map_named("links")->entries >= 3);
	assert_int_equal(map_named("flows")->limit, rig.c->map_config.flow_count - 1);
	assert_false(map_named("stats")->has_entries);
	assert_int_equal(data.ring_count, 4);
	for (size_t i = 0; i < data.ring_count; i++)
		assert_true(data.rings[i].limit >= 4096 && data.rings[i].bytes <= data.rings[i].limit);
	metrics_data_done(&data);
}

/* What the rows say of maps and rings, which a made-up scene does not have. */
static void the_text_is_sound_and_within_its_bounds(void **state)
{
	static const char *const families[] = { "talon_map_entries", "talon_map_entries_limit",
		"talon_ring_bytes", "talon_ring_limit_bytes", "talon_map_memory_bytes" };
	struct exposition *e = malloc(sizeof(*e));

	assert_non_null(e);
	for (unsigned open = 0; open < 2; open++) {
		size_t len;
		char *text = render(100, open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS, &len);
		char *ended = strndup(text, len);

		exposition_read(e, ended, open);
		for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
			size_t most = strtoul(row_named(families[i])->series, NULL, 10);
			size_t count = exposition_count(e, families[i]);

			if (i < 4 ? count != most : !count || count > most)
				fail_msg("%s: %zu series, its row says %zu", families[i], count, most);
		}
		assert_int_equal(exposition_count(e, "talon_peer_bytes"), 200);
		free(ended);
		free(text);
	}
	free(e);
}

static void keys_are_in_no_text(void **state)
{
	uint8_t recv_key[KEY_LEN], send_key[KEY_LEN];
	char text[KEY_BASE64_LEN + 1], *all;
	const uint8_t *const keys[] = { recv_key, send_key, rig.config.private_key };
	size_t len;

	memset(recv_key, 0x5a, sizeof(recv_key));
	memset(send_key, 0x5b, sizeof(send_key));
	all = render(METRICS_PEERS_MOST, METRICS_OPENMETRICS, &len);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char hex[2 * KEY_LEN + 1];

		key_to_base64(keys[i], text);
		sodium_bin2hex(hex, sizeof(hex), keys[i], KEY_LEN);
		assert_null(memmem(all, len, keys[i], KEY_LEN));
		assert_null(memmem(all, len, text, KEY_BASE64_LEN));
		assert_null(memmem(all, len, hex, 2 * KEY_LEN));
	}
	key_to_base64(rig.config.public_key, text);	/* it would have been found */
	assert_non_null(memmem(all, len, text, KEY_BASE64_LEN));
	free(all);
}

/* --- latency --- */

static void a_latency_that_the_mesh_tells_is_a_series_until_it_is_lost(void **state)
{
	const uint32_t slot = slot_of(0);

	plane_set_latency(rig.c, slot, 123);
	plane_set_latency(rig.c, PEERS + 1, 123);
	collect(&data, 1);
	assert_int_equal(data.peers.top[0].info.latency_100us, 123);
	/* and the rest of the entry is as it was */
	assert_int_equal(data.peers.top[0].info.present, 1);
	assert_memory_equal(data.peers.top[0].info.public_key, rig.c->infos[slot].public_key, KEY_LEN);
	metrics_data_done(&data);
	plane_set_latency(rig.c, slot, 0);
	collect(&data, 1);
	assert_int_equal(data.peers.top[0].info.latency_100us, 0);
	metrics_data_done(&data);
}

static void only_a_latency_that_changed_is_written(void **state)
{
	struct talon_peer_info other = {};
	uint32_t slot = slot_of(2);
	uint64_t start, same;

	plane_set_latency(rig.c, slot, 50);
	put(DATAPATH_MAP_PEER_INFO, slot, &other);	/* a write would undo this */
	plane_set_latency(rig.c, slot, 50);
	assert_int_equal(map_read(rig.c, DATAPATH_MAP_PEER_INFO, slot, &other), 0);
	assert_int_equal(other.present, 0);
	plane_set_latency(rig.c, slot, 51);
	assert_int_equal(map_read(rig.c, DATAPATH_MAP_PEER_INFO, slot, &other), 0);
	assert_int_equal(other.present, 1);
	assert_int_equal(other.latency_100us, 51);
	start = clock_mono_ns();
	for (uint32_t i = 0; i < PEERS; i++)
		plane_set_latency(rig.c, i, 60);
	same = clock_mono_ns();
	for (uint32_t i = 0; i < PEERS; i++)
		plane_set_latency(rig.c, i, 60);
	print_message("5,000 latencies: %.2f ms if all changed, %.3f ms if none did\n", (same - start) / 1e6,
		(clock_mono_ns() - same) / 1e6);
}

/* --- what it costs --- */

static size_t memory(const char *field)
{
	char line[128], format[32];
	size_t kib = 0;
	FILE *in = fopen("/proc/self/status", "re");

	assert_non_null(in);
	snprintf(format, sizeof(format), "%s: %%zu", field);
	while (fgets(line, sizeof(line), in) && sscanf(line, format, &kib) != 1)
		;
	fclose(in);
	assert_true(kib > 0);
	return kib << 10;
}

/* From now on the kernel notes the most resident memory anew. */
static void forget_peak(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "5", 1), 1);
	close(fd);
}

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Time is only printed: it depends on the machine's other load. */
static void time_and_memory_of(uint32_t top)
{
	uint64_t times[RUNS];
	size_t before, peak, len;

	free(render(top, METRICS_PROMETHEUS, &len));	/* its code is there, */
	malloc_trim(0);					/* and what it freed is no longer ours */
	before = memory("VmRSS");
	forget_peak();
	for (unsigned i = 0; i < RUNS; i++) {
		times[i] = clock_mono_ns();
		free(render(top, METRICS_PROMETHEUS, &len));
		times[i] = clock_mono_ns() - times[i];
	}
	peak = memory("VmHWM");
	qsort(times, RUNS, sizeof(times[0]), by_value);
	print_message("5,000 peers, %u with series: %.1f ms (median of %d), %zu bytes of text, %zu KiB more "
		"memory\n", top, times[RUNS / 2] / 1e6, RUNS, len, peak > before ? (peak - before) >> 10 : 0);
	assert_true(peak < before + MOST_MEMORY);
}

static void a_scrape_of_5000_peers_needs_less_than_a_mebibyte(void **state)
{
	time_and_memory_of(0);
	time_and_memory_of(100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_peers_with_the_most_traffic_come_first_whatever_their_slots),
		cmocka_unit_test(without_series_of_their_own_all_are_summed_up),
		cmocka_unit_test(no_more_than_the_most_have_series_of_their_own),
		cmocka_unit_test(peers_are_counted_by_state),
		cmocka_unit_test(a_session_of_another_generation_is_none),
		cmocka_unit_test(every_map_and_ring_is_there_with_its_room),
		cmocka_unit_test(the_text_is_sound_and_within_its_bounds),
		cmocka_unit_test(keys_are_in_no_text),
		cmocka_unit_test(a_scrape_of_5000_peers_needs_less_than_a_mebibyte),
		cmocka_unit_test(a_latency_that_the_mesh_tells_is_a_series_until_it_is_lost),
		cmocka_unit_test(only_a_latency_that_changed_is_written),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
