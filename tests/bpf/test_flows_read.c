// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon flows on real pinned maps: what it reads, in how much memory, and while records change.
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cli/cli.h"
#include "top/flows.h"
#include "tunnel.skel.h"

#define PEERS 1024

static __u32 records = 1 << 18;	/* or as the environment says, to take a figure */
static char base[64];		/* a bpffs of our own, in a mount namespace of our own */
static char pin_dir[200];
static struct tunnel *skel;

static const char *below(const char *rest)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", base, rest);
	return path;
}

/* The maps of the datapath, pinned where the datapath pins them; no program is needed. */
static int make_maps(void **state)
{
	static char maps[200];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = maps);
	struct bpf_program *prog;

	strcpy(base, "/tmp/talon-flows-XXXXXX");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(base) ||
		mount("bpf", base, "bpf", 0, NULL))
		return -1;
	mkdir(below("talon"), 0700);
	snprintf(pin_dir, sizeof(pin_dir), "%s", below("talon"));
	mkdir(below("talon/" TALON_LAYOUT_NAME), 0700);
	mkdir(below("talon/" TALON_LAYOUT_NAME "/links"), 0700);
	snprintf(maps, sizeof(maps), "%s", below("talon/" TALON_LAYOUT_NAME "/maps"));
	skel = tunnel__open_opts(&opts);
	if (!skel)
		return -1;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, false);
	bpf_map__set_max_entries(skel->maps.flows, records);
	bpf_map__set_max_entries(skel->maps.nat_peers, PEERS);
	return bpf_object__load(skel->obj);
}

static int remove_maps(void **state)
{
	tunnel__destroy(skel);
	umount(base);
	return rmdir(base);
}

static void put(struct bpf_map *map, __u32 key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, value, 0), 0);
}

/* Record @id: every sixteenth one is not LIVE. */
static struct talon_flow flow_of(__u32 id)
{
	return (struct talon_flow){ .client = htonl(0x64400000 + id), .remote = htonl(0xc0a80000 + id % 1000),
		.snat = htonl(0xc0a801dd), .client_port = htons(id), .remote_port = htons(443),
		.snat_port = htons(id), .proto = IPPROTO_UDP,
		.phase = id % 16 ? TALON_FLOW_LIVE : TALON_FLOW_DEAD, .peer = id % PEERS,
		.payer = id % PEERS, .ifindex = 2, .generation = 7 };
}

static void fill(__u32 used)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	struct talon_flow_head head = { .used = used };
	struct talon_config config = { .generation = 7, .flow_count = records };
	static struct talon_flow flows[FLOWS_BATCH];
	static __u32 keys[FLOWS_BATCH];

	put(skel->maps.config, 0, &config);
	put(skel->maps.flows, 0, &head);
	for (__u32 id = 1; id < records;) {
		__u32 count = 0;

		for (; count < FLOWS_BATCH && id < records; count++, id++) {
			keys[count] = id;
			flows[count] = flow_of(id);
		}
		assert_int_equal(bpf_map_update_batch(bpf_map__fd(skel->maps.flows), keys, flows, &count,
			&opts), 0);
	}
}

struct tally {
	__u32 next, shown;
};

/* Each one comes, once and in the table's order. */
static int expect_next(void *arg, const struct flows_seen *seen)
{
	struct tally *tally = arg;
	struct talon_flow want;

	while (tally->next % 16 == 0)
		tally->next++;
	want = flow_of(tally->next++);
	assert_memory_equal(&seen->flow, &want, sizeof(want));
	assert_true(seen->has_way);
	tally->shown++;
	return 0;
}

static void every_live_record_comes_once(void **state)
{
	static const __u32 useds[] = { 0, 1, 2, 1023, 1024, 1025, 5000 };
	struct tally tally;
	struct flows_maps maps;
	struct flows_source source;
	char why[200];
	__u64 unsettled;
	__u32 used;

	fill(0);
	assert_int_equal(flows_maps_open(&maps, pin_dir, why, sizeof(why)), 0);
	source = flows_maps_source(&maps);
	for (size_t i = 0; i < sizeof(useds) / sizeof(useds[0]); i++) {
		struct talon_flow_head head = { .used = useds[i] };

		put(skel->maps.flows, 0, &head);
		assert_int_equal(flows_maps_used(&maps, &used), 0);
		assert_int_equal(used, useds[i]);
		tally = (struct tally){ .next = 1 };
		assert_int_equal(flows_walk(&source, used, expect_next, &tally, &unsettled), 0);
		assert_int_equal(tally.shown, useds[i] - useds[i] / 16);
		assert_int_equal(unsettled, 0);
	}
	/* several CPUs have counted beyond the last one */
	put(skel->maps.flows, 0, &(struct talon_flow_head){ .used = records + 3 });
	assert_int_equal(flows_maps_used(&maps, &used), 0);
	assert_int_equal(used, records - 1);
	tally = (struct tally){ .next = 1 };
	assert_int_equal(flows_walk(&source, used, expect_next, &tally, &unsettled), 0);
	assert_int_equal(tally.shown, records - 1 - (records - 1) / 16);
	flows_maps_close(&maps);
}

static void shares_are_read_by_slot(void **state)
{
	char why[200];
	__u32 *held;

	for (__u32 slot = 0; slot < PEERS; slot++)
		put(skel->maps.nat_peers, slot, &(struct talon_nat_peer){ .held = 3 * slot });
	assert_int_equal(flows_read_held(pin_dir, &held, why, sizeof(why)), PEERS);
	for (__u32 slot = 0; slot < PEERS; slot++)
		assert_int_equal(held[slot], 3 * slot);
	free(held);
}

/* `talon @line` in a process of its own, its output thrown away. Returns the most memory it had, in KiB. */
static long peak_of(const char *line, double *ret_seconds)
{
	char words[400], *argv[16] = { "talon" }, *save;
	char *const no_env[] = { NULL };
	struct timespec begin, end;
	struct rusage usage;
	int argc = 1, status;
	pid_t pid;

	snprintf(words, sizeof(words), "%s --pin-dir %s", line, pin_dir);
	for (char *word = strtok_r(words, " ", &save); word && argc < 15; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid = fork();
	if (!pid) {
		struct cli cli = { .in = stdin, .out = fopen("/dev/null", "w"), .err = stderr,
			.env = no_env };

		_exit(cli_main(&cli, argc, argv));
	}
	assert_int_equal(wait4(pid, &status, 0, &usage), pid);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	*ret_seconds = end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9;
	return usage.ru_maxrss;
}

static void a_full_table_takes_no_more_memory_than_an_empty_one(void **state)
{
	static const struct {
		const char *line;
		long most;		/* KiB beyond that of an empty table */
	} cases[] = {
		{ "flows", 1024 }, { "flows --json", 1024 }, { "flows --dst 10.0.0.0/8", 1024 },
		{ "flows --sort idle --limit 20", 1024 }, { "flows --sort idle", 3072 },
		{ "top --once --interval 0.1", 1024 },
	};
	const struct talon_flow_head none = {}, all = { .used = records };
	double seconds, least;

	put(skel->maps.nat_stats, 0, &(struct talon_nat_stats){ .live = 1 });
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long empty, full;

		put(skel->maps.flows, 0, &none);
		empty = peak_of(cases[i].line, &least);
		put(skel->maps.flows, 0, &all);
		full = peak_of(cases[i].line, &seconds);
		print_message("talon %s: %u records, %.3f s more and %ld KiB more than for none\n",
			cases[i].line, records - 1, seconds - least, full - empty);
		assert_in_range(full > empty ? full - empty : 0, 0, cases[i].most);
	}
}

/* --- records that change while they are read --- */

#define BUSY 64		/* records */

static volatile bool is_over;

/* All words of a record are the number of its version, which never comes again. */
static struct talon_flow version_of(__u32 version)
{
	struct talon_flow flow;
	__u32 words[16];

	for (size_t i = 0; i < 16; i++)
		words[i] = version;
	memcpy(&flow, words, sizeof(flow));
	flow.phase = TALON_FLOW_LIVE;
	return flow;
}

static void *write_versions(void *arg)
{
	int fd = bpf_map__fd(skel->maps.flows);
	unsigned long *writes = arg;

	for (__u32 version = 1; !is_over; version++) {
		struct talon_flow flow = version_of(version);

		for (__u32 id = 1; id <= BUSY; id++)
			bpf_map_update_elem(fd, &id, &flow, 0);
		++*writes;
		if (version % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static int expect_one_version(void *arg, const struct flows_seen *seen)
{
	struct talon_flow want = version_of(seen->flow.client);

	assert_memory_equal(&seen->flow, &want, sizeof(want));
	++*(unsigned long *)arg;
	return 0;
}

/* The kernel copies a record without a lock, while another CPU writes it without one. */
static void no_record_is_ever_two_versions_in_one(void **state)
{
	unsigned long shown = 0, writes = 0, walks = 0;
	struct flows_source source;
	struct flows_maps maps;
	pthread_t writer;
	__u64 unsettled;
	char why[200];

	assert_int_equal(flows_maps_open(&maps, pin_dir, why, sizeof(why)), 0);
	source = flows_maps_source(&maps);
	for (__u32 id = 1; id <= BUSY; id++) {
		struct talon_flow flow = version_of(0);

		put(skel->maps.flows, id, &flow);
	}
	is_over = false;
	assert_int_equal(pthread_create(&writer, NULL, write_versions, &writes), 0);
	while (walks++ < 20000 || shown < 10000)
		assert_int_equal(flows_walk(&source, BUSY, expect_one_version, &shown, &unsettled), 0);
	is_over = true;
	pthread_join(writer, NULL);
	flows_maps_close(&maps);
	assert_true(writes > 100);
	print_message("%lu versions written, %lu records shown\n", writes, shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_live_record_comes_once),
		cmocka_unit_test(shares_are_read_by_slot),
		cmocka_unit_test(a_full_table_takes_no_more_memory_than_an_empty_one),
		cmocka_unit_test(no_record_is_ever_two_versions_in_one),
	};

	if (getenv("RECORDS"))
		records = strtoul(getenv("RECORDS"), NULL, 10);
	return cmocka_run_group_tests(tests, make_maps, remove_maps);
}
