// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What management is told about this host: from system files of the test's own, the same every time, without
// what comes and goes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/sysinfo.c"

static char tree[64];

static void put(const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", tree, name);
	for (char *at = path + strlen(tree) + 1; *at; at++)
		if (*at == '/') {
			*at = 0;
			mkdir(path, 0755);
			*at = '/';
		}
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_tree(void **state)
{
	strcpy(tree, "/tmp/talon-sysinfo-XXXXXX");
	root = mkdtemp(tree);
	unsetenv("KUBERNETES_SERVICE_HOST");
	return root ? 0 : -1;
}

static int remove_tree(void **state)
{
	char command[100];

	root = "";
	snprintf(command, sizeof(command), "rm -r %s", tree);
	return system(command);
}

static Management__PeerSystemMeta *packed(const struct sysinfo_flags *flags, char *const *files, size_t count)
{
	Management__PeerSystemMeta *meta;
	uint8_t *bytes;
	size_t len;

	assert_int_equal(sysinfo_pack("node-1", flags, files, count, &bytes, &len), 0);
	meta = management__peer_system_meta__unpack(NULL, len, bytes);
	assert_non_null(meta);
	free(bytes);
	return meta;
}

static void the_host_is_described_from_its_files(void **state)
{
	struct sysinfo_flags flags = { .disable_server_routes = true, .block_inbound = true };
	Management__PeerSystemMeta *meta;

	put("/etc/os-release",
		"PRETTY_NAME=\"Some Linux 12\"\nNAME=\"Some Linux\"\nVERSION_ID='12'\nVERSION=\"12 (x)\"\n");
	put("/sys/class/dmi/id/chassis_serial", "Default string\n");
	put("/sys/class/dmi/id/board_serial", "B-77\n");
	put("/sys/class/dmi/id/product_name", "Box \xc3\xa9\n");	/* not ASCII */
	put("/sys/class/dmi/id/board_name", "Board\n");
	put("/sys/class/dmi/id/sys_vendor", "Default string\n");
	put("/.dockerenv", "");
	meta = packed(&flags, NULL, 0);
	assert_string_equal(meta->hostname, "node-1");
	assert_string_equal(meta->go_os, "linux");
	assert_string_equal(meta->kernel, "Linux");
	assert_string_equal(meta->os, "Some Linux");
	assert_string_equal(meta->os_version, "12");
	assert_string_equal(meta->core, "12");
	assert_string_equal(meta->netbird_version, SYSINFO_NETBIRD_VERSION);
	assert_string_equal(meta->sys_serial_number, "B-77");
	assert_string_equal(meta->sys_product_name, "Board");
	assert_string_equal(meta->sys_manufacturer, "Default string");	/* better than nothing */
	assert_string_equal(meta->environment->platform, "Docker");
	assert_true(meta->flags->disable_server_routes && meta->flags->block_inbound);
	assert_false(meta->flags->disable_client_routes || meta->flags->server_ssh_allowed ||
		meta->flags->rosenpass_enabled);
	assert_int_equal(meta->n_files, 0);
	management__peer_system_meta__free_unpacked(meta, NULL);
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	meta = packed(&flags, NULL, 0);
	assert_string_equal(meta->environment->platform, "Kubernetes");
	management__peer_system_meta__free_unpacked(meta, NULL);
	unsetenv("KUBERNETES_SERVICE_HOST");
}

static void a_host_that_says_nothing_still_has_what_servers_want(void **state)
{
	Management__PeerSystemMeta *meta = packed(&(struct sysinfo_flags){}, NULL, 0);

	assert_true(meta->os[0] && meta->os_version[0] && meta->kernel_version[0]);
	assert_null(strchr(meta->os_version, '-'));
	assert_null(meta->environment);
	assert_non_null(meta->flags);	/* never absent */
	assert_string_equal(meta->sys_serial_number, "");
	management__peer_system_meta__free_unpacked(meta, NULL);
}

static void what_comes_and_goes_with_pods_is_not_told(void **state)
{
	static const char *const out[] = { "veth1a2b", "cali0123", "cilium_host", "cilium_net", "lxc_health",
		"lxc1234", "flannel.1", "cni0", "docker0", "br-0123", "kube-ipvs0", "kube-bridge", "wt0",
		"wg0", "tunl0", "tailscale0", "virbr0", "nodelocaldns", "vxlan.calico", "dummy0" };
	static const char *const in[] = { "eth0", "ens192", "enp3s0f1", "bond0", "eno1", "wlan0", "br0",
		"bridge0", "vmbr0", "eth0.100", "team0", "enx001122334455", "p4p1" };

	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		if (!comes_and_goes(out[i]))
			fail_msg("%s", out[i]);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		if (comes_and_goes(in[i]))
			fail_msg("%s", in[i]);
	put("/sys/class/net/mesh0/ifalias", "/sys/fs/bpf/talon\n");
	assert_true(is_our_own("mesh0"));
	assert_false(is_our_own("eth0"));
}

static void addresses_of_one_device_that_change_by_the_day_are_left_out(void **state)
{
	struct addresses found = {};

	put("/proc/net/if_inet6",
	    "20010db8000000000000000000000005 02 40 00 80     eth0\n"
	    "20010db80000000018c3a1b2c3d4e5f6 02 40 00 01     eth0\n"	/* temporary */
	    "20010db8000000000000000000000006 02 40 00 20     eth0\n"	/* deprecated */
	    "20010db8000000000000000000000007 02 40 00 40     eth0\n"	/* tentative */
	    "20010db8000000000000000000000008 03 40 00 80     eth1\n"
	    "fe80000000000000020000fffe000001 02 40 20 80     eth0\n"
	    "junk 02 40 20 80     eth0\n");
	add_ipv6(&found, "eth0", "02:00:00:00:00:01");
	settle(&found);
	assert_int_equal(found.count, 1);	/* link-local: without its device it leads nowhere */
	assert_string_equal(found.list[0].cidr, "2001:db8::5/64");
}

static void only_addresses_that_others_could_reach_are_told(void **state)
{
	static const char *const out[] = { "127.0.0.1", "127.9.9.9", "169.254.1.1", "224.0.0.1", "::1",
		"fe80::1", "ff02::1" }, *const in[] = { "10.0.0.1", "169.253.0.1", "192.168.1.1",
		"2001:db8::1", "fd00::1" };
	struct in6_addr addr;

	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]) + sizeof(in) / sizeof(in[0]); i++) {
		const bool is_in = i >= sizeof(out) / sizeof(out[0]);
		const char *text = is_in ? in[i - sizeof(out) / sizeof(out[0])] : out[i];
		const int family = strchr(text, ':') ? AF_INET6 : AF_INET;

		assert_int_equal(inet_pton(family, text, &addr), 1);
		if ((family == AF_INET ? is_told4(ntohl(addr.s6_addr32[0])) : is_told6(&addr)) != is_in)
			fail_msg("%s", text);
	}
}

static void capabilities_say_what_the_tunnel_carries(void **state)
{
	static const struct { struct sysinfo_flags flags; bool has_ipv6; } cases[] = {
		{ { .carries_ipv6 = true }, true }, { { .carries_ipv6 = false }, false },
		{ { .carries_ipv6 = true, .disable_ipv6 = true }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Management__PeerSystemMeta *meta = packed(&cases[i].flags, NULL, 0);

		assert_int_equal(meta->n_capabilities, cases[i].has_ipv6 ? 2 : 1);
		assert_int_equal(meta->capabilities[0], MANAGEMENT__PEER_CAPABILITY__SOURCE_PREFIXES);
		if (cases[i].has_ipv6)
			assert_int_equal(meta->capabilities[1], MANAGEMENT__PEER_CAPABILITY__IPV6_OVERLAY);
		assert_int_equal(meta->flags->disable_ipv6, cases[i].flags.disable_ipv6);
		assert_int_equal(meta->base.n_unknown_fields, 0);	/* no map format (19) */
		management__peer_system_meta__free_unpacked(meta, NULL);
	}
}

static void addresses_are_sorted_and_each_once(void **state)
{
	static const char *const text[] = { "10.0.0.9", "10.0.0.5", "10.0.0.9" };
	struct addresses found = {};

	for (size_t i = 0; i < 3; i++) {
		struct in_addr addr;

		inet_pton(AF_INET, text[i], &addr);
		add_address(&found, AF_INET, &addr, 24, "02:00:00:00:00:01");
	}
	settle(&found);
	assert_int_equal(found.count, 2);
	assert_string_equal(found.list[0].cidr, "10.0.0.5/24");
	assert_string_equal(found.list[1].cidr, "10.0.0.9/24");
	for (size_t i = 0; i < 2 * ADDRESSES_MAX; i++)
		add_address(&found, AF_INET, &(struct in_addr){ i }, 32, "02:00:00:00:00:01");
	assert_int_equal(found.count, ADDRESSES_MAX);
}

static void this_host_says_the_same_twice(void **state)
{
	struct sysinfo_flags flags = {};
	uint8_t *a, *b;
	size_t a_len, b_len;

	root = "";
	assert_int_equal(sysinfo_pack(NULL, &flags, NULL, 0, &a, &a_len), 0);
	assert_int_equal(sysinfo_pack(NULL, &flags, NULL, 0, &b, &b_len), 0);
	assert_int_equal(a_len, b_len);
	assert_memory_equal(a, b, a_len);
	free(a);
	free(b);
}

static void posture_checks_look_at_files_and_processes(void **state)
{
	char self[PATH_MAX] = "";
	char *files[] = { self, "/no/such/file", "/etc" };
	Management__PeerSystemMeta *meta;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	meta = packed(&(struct sysinfo_flags){}, files, 3);
	assert_int_equal(meta->n_files, 3);
	assert_string_equal(meta->files[0]->path, self);
	assert_true(meta->files[0]->exist && meta->files[0]->process_is_running);
	assert_false(meta->files[1]->exist || meta->files[1]->process_is_running);
	assert_true(meta->files[2]->exist && !meta->files[2]->process_is_running);
	management__peer_system_meta__free_unpacked(meta, NULL);
}

/*
 * Servers compare it by three methods: as semantic version with "v" put in front, cut at the first "-",
 * or with a constraint that no pre-release meets. Three numbers without "v", and "+" before the rest,
 * pass all of them.
 */
static void the_version_is_one_that_every_condition_of_servers_can_read(void **state)
{
	unsigned int major, minor, patch;
	char rest[16];

	assert_int_equal(sscanf(SYSINFO_NETBIRD_VERSION, "%u.%u.%u%15s", &major, &minor, &patch, rest), 4);
	assert_true(major > 0 || minor >= 77);
	assert_string_equal(rest, "+talon");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)
	const struct CMUnitTest tests[] = {
		TEST(the_host_is_described_from_its_files),
		TEST(a_host_that_says_nothing_still_has_what_servers_want),
		TEST(what_comes_and_goes_with_pods_is_not_told),
		TEST(addresses_of_one_device_that_change_by_the_day_are_left_out),
		TEST(only_addresses_that_others_could_reach_are_told),
		TEST(capabilities_say_what_the_tunnel_carries),
		TEST(addresses_are_sorted_and_each_once),
		TEST(this_host_says_the_same_twice),
		TEST(posture_checks_look_at_files_and_processes),
		cmocka_unit_test(the_version_is_one_that_every_condition_of_servers_can_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
