// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which limit holds, from files as containers of both versions of control groups see them.
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup/memory.h"

#define MIB (1ULL << 20)

static char root[64];
static struct cgroup_memory memory;

static int begin(void **state)
{
	strcpy(root, "/tmp/talon-cgroup-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void write_file(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(!mkdir(full, 0700) || errno == EEXIST);
		*slash = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void reads(uint64_t limit, uint64_t used, const char *file)
{
	cgroup_memory_read(root, &memory);
	assert_int_equal(memory.limit, limit);
	assert_int_equal(memory.used, used);
	assert_string_equal(memory.file, file);
}

#define MOUNTS_V1 \
	"22 1 0:20 / /sys rw - sysfs sysfs rw\n" \
	"31 22 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n" \
	"33 31 0:31 / /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
#define GROUPS_V1(group) "9:name=systemd:" group "\n8:memory:" group "\n7:cpu,cpuacct:" group "\n0::/\n"
#define NONE_V1 "9223372036854771712\n"
#define V1 "sys/fs/cgroup/memory/"

static void without_control_groups_there_is_no_limit(void **state)
{
	reads(CGROUP_NO_LIMIT, 0, "");
	assert_true(cgroup_memory_free(&memory) == CGROUP_NO_LIMIT);
	write_file("proc/self/cgroup", "nonsense\n:\n::\n5\n");
	write_file("proc/self/mountinfo", "1 2\n - \n1 2 0:1 / /x rw - cgroup2\n");
	reads(CGROUP_NO_LIMIT, 0, "");
}

/* The page cache is given back when memory is wanted, so it is not in use. */
static void version_1_has_its_own_limit(void **state)
{
	write_file("proc/self/cgroup", GROUPS_V1("/a/b"));
	write_file("proc/self/mountinfo", MOUNTS_V1 "35 31 0:33 / /sys/fs/cgroup/memory ro - cgroup cgroup "
		"rw,memory\n");
	write_file(V1 "memory.limit_in_bytes", NONE_V1);
	write_file(V1 "a/memory.limit_in_bytes", NONE_V1);
	write_file(V1 "a/b/memory.limit_in_bytes", "67108864\n");
	write_file(V1 "a/b/memory.usage_in_bytes", "8388608\n");
	write_file(V1 "a/b/memory.stat", "cache 3145728\nrss 1\nhierarchical_memory_limit 67108864\n"
		"total_inactive_file 2097152\ntotal_active_file 1048576\n");
	reads(64 * MIB, 5 * MIB, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes");
	assert_int_equal(cgroup_memory_free(&memory), 59 * MIB);
}

/* A pod's limit lies above its containers', and what else is in the pod counts. */
static void the_group_that_leaves_least_is_the_one(void **state)
{
	write_file("proc/self/cgroup", GROUPS_V1("/pod/ctr"));
	write_file("proc/self/mountinfo", MOUNTS_V1 "35 31 0:33 / /sys/fs/cgroup/memory ro - cgroup cgroup "
		"rw,memory\n");
	write_file(V1 "pod/memory.limit_in_bytes", "134217728\n");
	write_file(V1 "pod/memory.usage_in_bytes", "104857600\n");
	write_file(V1 "pod/ctr/memory.limit_in_bytes", "83886080\n");
	write_file(V1 "pod/ctr/memory.usage_in_bytes", "1048576\n");
	reads(128 * MIB, 100 * MIB, "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes");
	/* kernel memory by itself is less still */
	write_file(V1 "pod/ctr/memory.kmem.limit_in_bytes", "16777216\n");
	write_file(V1 "pod/ctr/memory.kmem.usage_in_bytes", "1048576\n");
	reads(16 * MIB, MIB, "/sys/fs/cgroup/memory/pod/ctr/memory.kmem.limit_in_bytes");
	/* more than the limit */
	write_file(V1 "pod/memory.usage_in_bytes", "146800640\n");
	cgroup_memory_read(root, &memory);
	assert_int_equal(cgroup_memory_free(&memory), 0);
}

/*
 * Without a cgroup namespace, as containerd does it for version 1: the host's name for the group, which is
 * mounted as the top. What is above cannot be seen, but memory.stat knows.
 */
static void a_container_without_a_namespace_finds_its_own(void **state)
{
	write_file("proc/self/cgroup", GROUPS_V1("/kubepods/podX/ctr"));
	write_file("proc/self/mountinfo", MOUNTS_V1 "35 31 0:33 /kubepods/podX/ctr /sys/fs/cgroup/memory ro "
		"- cgroup cgroup rw,memory\n");
	write_file(V1 "memory.limit_in_bytes", "100663296\n");
	write_file(V1 "memory.usage_in_bytes", "4194304\n");
	reads(96 * MIB, 4 * MIB, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
	write_file(V1 "memory.stat", "hierarchical_memory_limit 67108864\n");
	reads(64 * MIB, 4 * MIB, "/sys/fs/cgroup/memory/memory.stat");
}

/* With one, or on version 2: all names begin at the container's own group. */
static void a_container_with_a_namespace_finds_its_own(void **state)
{
	write_file("proc/self/cgroup", "0::/\n");
	write_file("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
	write_file("sys/fs/cgroup/memory.max", "max\n");
	reads(CGROUP_NO_LIMIT, 0, "");
	write_file("sys/fs/cgroup/memory.max", "83886080\n");
	write_file("sys/fs/cgroup/memory.current", "12582912\n");
	write_file("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 1048576\nactive_file 1048576\n"
		"slab_reclaimable 2097152\n");
	reads(80 * MIB, 8 * MIB, "/sys/fs/cgroup/memory.max");
}

static void version_2_asks_those_above(void **state)
{
	write_file("proc/self/cgroup", "0::/kubepods.slice/pod.slice/cri-1.scope\n");
	write_file("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
	write_file("sys/fs/cgroup/kubepods.slice/pod.slice/cri-1.scope/memory.max", "max\n");
	write_file("sys/fs/cgroup/kubepods.slice/pod.slice/memory.max", "100663296\n");
	write_file("sys/fs/cgroup/kubepods.slice/pod.slice/memory.current", "1048576\n");
	write_file("sys/fs/cgroup/kubepods.slice/memory.max", "1073741824\n");
	write_file("sys/fs/cgroup/kubepods.slice/memory.current", "1048576\n");
	reads(96 * MIB, MIB, "/sys/fs/cgroup/kubepods.slice/pod.slice/memory.max");
}

/* Both are mounted while a host moves from one to the other; a mount point may have a space. */
static void both_versions_may_be_there(void **state)
{
	write_file("proc/self/cgroup", "8:memory:/x\n0::/x\n");
	write_file("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		"35 31 0:33 / /sys/fs/my\\040groups rw shared:9 - cgroup cgroup rw,memory\n");
	write_file("sys/fs/my groups/x/memory.limit_in_bytes", "50331648\n");
	write_file("sys/fs/my groups/x/memory.usage_in_bytes", "1048576\n");
	reads(48 * MIB, MIB, "/sys/fs/my groups/x/memory.limit_in_bytes");
}

/* A group outside of the namespace is not shown under its name. */
static void a_group_that_is_not_mounted_is_the_top(void **state)
{
	write_file("proc/self/cgroup", "0::/../../other\n");
	write_file("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	write_file("sys/fs/cgroup/memory.max", "83886080\n");
	reads(80 * MIB, 0, "/sys/fs/cgroup/memory.max");
}

static void a_long_path_loses_its_front(void **state)
{
	char group[240], line[300], path[400];

	memset(group, 'g', sizeof(group));
	group[sizeof(group) - 1] = '\0';
	snprintf(line, sizeof(line), "0::/%s\n", group);
	write_file("proc/self/cgroup", line);
	write_file("proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	snprintf(path, sizeof(path), "sys/fs/cgroup/%s/memory.max", group);
	write_file(path, "83886080\n");
	cgroup_memory_read(root, &memory);
	assert_int_equal(memory.limit, 80 * MIB);
	assert_int_equal(strlen(memory.file), sizeof(memory.file) - 1);
	assert_int_equal(strncmp(memory.file, "...g", 4), 0);
	assert_string_equal(memory.file + strlen(memory.file) - 12, "g/memory.max");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_control_groups_there_is_no_limit),
		TEST(version_1_has_its_own_limit),
		TEST(the_group_that_leaves_least_is_the_one),
		TEST(a_container_without_a_namespace_finds_its_own),
		TEST(a_container_with_a_namespace_finds_its_own),
		TEST(version_2_asks_those_above),
		TEST(both_versions_may_be_there),
		TEST(a_group_that_is_not_mounted_is_the_top),
		TEST(a_long_path_loses_its_front),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
