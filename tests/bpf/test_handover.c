// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What one controller leaves for the next, in real maps on a private bpffs.
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <cmocka.h>

#include "handover/handover.h"

static char base[64];
static int quiet, relayed;

static int make_map(const char *name, uint32_t key_size, uint32_t value_size, uint32_t most)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, name, key_size, value_size, most, &opts);
	char path[256];

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/v%u/maps/%s", base, TALON_LAYOUT_VERSION, name);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	return fd;
}

static int setup(void **state)
{
	char path[128];

	assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	strcpy(base, "/tmp/test_handover.XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(mount("bpf", base, "bpf", 0, NULL), 0);
	snprintf(path, sizeof(path), "%s/v%u", base, TALON_LAYOUT_VERSION);
	assert_int_equal(mkdir(path, 0700), 0);
	strcat(path, "/maps");
	assert_int_equal(mkdir(path, 0700), 0);
	quiet = make_map("quiet", sizeof(struct talon_quiet), sizeof(__u64), TALON_QUIET_MAX);
	relayed = make_map("relayed", sizeof(__u32), sizeof(struct talon_relayed), TALON_RELAYED_MAX);
	return 0;
}

static int teardown(void **state)
{
	close(quiet);
	close(relayed);
	umount2(base, MNT_DETACH);
	return rmdir(base);
}

static size_t count_quiet(void)
{
	struct talon_quiet key, *last = NULL;
	size_t count = 0;

	while (!bpf_map_get_next_key(quiet, last, &key)) {
		last = &key;
		count++;
	}
	return count;
}

static void leave_connections(struct handover *handover, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct talon_quiet connection = { .remote.word[0] = htonl(0xc0000201 + i),
			.local.word[0] = htonl(0xc0000264), .remote_port = htons(443),
			.local_port = htons(40000 + i) };

		assert_int_equal(handover_leave_connection(handover, &connection, UINT64_MAX), 0);
	}
}

static void may_send_raw(bool may)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	assert_int_equal(syscall(SYS_capget, &head, data), 0);
	if (may)
		data[0].effective |= 1U << CAP_NET_RAW;
	else
		data[0].effective &= ~(1U << CAP_NET_RAW);
	assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

/*
 * Without the right to send raw segments, or behind a firewall that refuses them, no reset can be provoked.
 */
static void connections_are_kept_quiet_no_more_even_if_none_can_be_provoked(void **state)
{
	struct handover *handover;

	assert_int_equal(handover_open(base, &handover), 0);
	leave_connections(handover, 5);
	assert_int_equal(count_quiet(), 5);
	may_send_raw(false);
	handover_reset(handover);
	may_send_raw(true);
	assert_int_equal(count_quiet(), 0);
	handover_close(handover);
}

static void peers_are_taken_over_while_they_are_to_be_believed(void **state)
{
	const uint64_t now = 1000 * HANDOVER_NS;
	uint8_t key[32] = { 7 };
	struct handover *handover;
	struct handover_peer *peers;

	assert_int_equal(handover_open(base, &handover), 0);
	assert_int_equal(handover_leave_peer(handover, 3, key, "rels://relay.test:443",
		now + HANDOVER_NS), 0);
	assert_int_equal(handover_leave_peer(handover, 4, key, "rels://relay.test:443", now), 0);
	assert_int_equal(handover_leave_peer(handover, 5, key, "rels://relay.test:443",
		now + 2 * HANDOVER_NS), 0);
	assert_int_equal(handover_leave_peer(handover, 6, key, "", now + HANDOVER_NS), 0);
	assert_int_equal(handover_take_peers(handover, now, &peers), 1);
	assert_int_equal(peers[0].id, 3);
	assert_memory_equal(peers[0].was.public_key, key, 32);
	assert_string_equal(peers[0].was.relay, "rels://relay.test:443");
	free(peers);
	leave_connections(handover, 2);
	handover_forget(handover);
	assert_int_equal(handover_take_peers(handover, now, &peers), 0);
	assert_int_equal(count_quiet(), 0);
	free(peers);
	handover_close(handover);
}

static void without_a_datapath_there_is_nothing_to_open(void **state)
{
	struct handover *handover;

	assert_int_equal(handover_open("/tmp/nothing-is-here", &handover), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_kept_quiet_no_more_even_if_none_can_be_provoked),
		cmocka_unit_test(peers_are_taken_over_while_they_are_to_be_believed),
		cmocka_unit_test(without_a_datapath_there_is_nothing_to_open),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
