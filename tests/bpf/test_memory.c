// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What maps need is computed before they are made: compared with what the kernel says of them afterwards.
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "config/config.h"
#include "datapath/datapath.h"

#define BPFFS	"/sys/fs/bpf"
#define BASE	BPFFS "/talon-test"

static char err[512];

static int make_namespaces(void **state)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	return mount("bpf", BPFFS, "bpf", 0, NULL);
}

static struct datapath_options options(uint32_t peers, uint32_t flows, uint32_t keystream)
{
	return (struct datapath_options){ .base = BASE, .uplinks = { "lo" }, .uplink_count = 1,
		.peers = peers, .flows = flows, .keystream = keystream };
}

static struct bpf_map_info info_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info;
}

/* The kernel does not say by how much it rounded a small one up: to a power of two. */
static void is_close(const char *name, uint64_t computed, uint64_t kernel)
{
	const uint64_t slack = (kernel < 65536 ? kernel : kernel / 50) + 4096;

	if (computed + slack < kernel || kernel + slack < computed)
		fail_msg("map %s: %llu bytes by its definition, %llu by the kernel", name,
			(unsigned long long)computed, (unsigned long long)kernel);
}

static void compare(const struct datapath_options *opts)
{
	uint64_t sum = 0, computed = 0;
	struct datapath_need need;
	struct datapath *dp;

	if (datapath_load(opts, &dp, err, sizeof(err)))
		fail_msg("%s", err);
	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++) {
		const int fd = datapath_map_fd(dp, i);
		const struct bpf_map_info info = info_of(fd);
		const struct datapath_map_shape shape = { info.type, info.key_size, info.value_size,
			info.max_entries, info.map_flags };
		const uint64_t one = datapath_map_bytes(&shape, libbpf_num_possible_cpus());

		is_close(datapath_map_name(i), one, datapath_map_memory(fd));
		computed += one;
		sum += datapath_map_memory(fd);
	}
	datapath_close(dp);
	is_close("(all)", computed, sum);
	/* with the scratch maps and constants that are no pinned ones, which are small */
	assert_int_equal(datapath_need(opts, &need), 0);
	assert_int_equal(need.there, 0);
	assert_in_range(need.maps, computed, computed + (1 << 20));
}

/* The kernel says so since 6.4; before, it guessed. */
static bool can_compare(void)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	assert_int_equal(uname(&name), 0);
	assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 4);
}

static void the_need_is_what_the_kernel_says(void **state)
{
	struct datapath_options mesh = options(CONFIG_MESH_MAX_PEERS, CONFIG_MAX_FLOWS, 21824),
		small = options(16, 1024, 0), odd = options(100, 70000, 1000);

	if (!can_compare())
		skip();
	compare(&mesh);
	compare(&small);
	compare(&odd);
}

static void options_change_their_part_and_processors_theirs(void **state)
{
	const struct datapath_options large = options(2048, 262144, 0), small = options(16, 1024, 0);
	const struct datapath_map_shape counters = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, 80, 2048, 0 };
	struct datapath_need a, b;

	assert_int_equal(datapath_need(&large, &a), 0);
	assert_int_equal(datapath_need(&small, &b), 0);
	assert_int_equal(a.max_flows, 262144);
	assert_int_equal(a.max_peers, 2048);
	assert_int_equal(a.cpus, libbpf_num_possible_cpus());
	/* nothing but these parts depends on the sizes */
	assert_int_equal(a.maps - a.flows - a.peers - a.keystream, b.maps - b.flows - b.peers - b.keystream);
	assert_true(a.flows > b.flows && a.peers > b.peers);
	assert_int_equal(datapath_map_bytes(&counters, 64) - datapath_map_bytes(&counters, 2),
		62 * 80 * 2048);
}

static void sizes_that_cannot_be_have_no_need(void **state)
{
	const struct datapath_options none = options(16, 7, 0);
	struct datapath_need need;

	assert_int_equal(datapath_need(&none, &need), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_need_is_what_the_kernel_says),
		cmocka_unit_test(options_change_their_part_and_processors_theirs),
		cmocka_unit_test(sizes_that_cannot_be_have_no_need),
	};

	return cmocka_run_group_tests(tests, make_namespaces, NULL);
}
