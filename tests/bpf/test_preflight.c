// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What `talon up` checks on the host before it changes anything, in private namespaces.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include <cmocka.h>

#include "preflight/preflight.h"

static char base[] = "/tmp/talon-preflight-XXXXXX";
static char why[CONFIG_WHY_LEN];
static struct config config;

static int make_namespaces(void **state)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		!mkdtemp(base))
		return -1;
	return mount("bpf", base, "bpf", 0, NULL);
}

static int remove_namespaces(void **state)
{
	umount(base);
	return rmdir(base);
}

static int defaults(void **state)
{
	config_init(&config);
	snprintf(config.pin_dir, sizeof(config.pin_dir), "%s/talon", base);
	why[0] = '\0';
	return 0;
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static void set_uplink(const char *name)
{
	assert_int_equal(config_set_flag(&config, "uplink", name, why, sizeof(why)), 0);
}

static void without_default_route_an_uplink_must_be_named(void **state)
{
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -ENOENT);
	assert_string_equal(why,
		"Interface.Uplink: no device has an IPv4 default route; write the name of a device that "
		"is up");
}

static void an_uplink_that_does_not_exist_is_named(void **state)
{
	set_uplink("nic0");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -ENODEV);
	assert_string_equal(why,
		"Interface.Uplink: nic0: there is no such device; write the name of a device that is up");
}

static void an_uplink_that_is_down_is_named(void **state)
{
	run("ip link add nic0 type veth peer name nic1");
	set_uplink("nic0");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -ENETDOWN);
	assert_string_equal(why,
		"Interface.Uplink: nic0 is down; run ip link set nic0 up, or write another device");
}

static void the_device_with_the_default_route_is_good_enough(void **state)
{
	run("ip link set nic0 up && ip link set nic1 up && ip addr add 192.0.2.1/24 dev nic0 && "
	    "ip route add default via 192.0.2.2");
	if (preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)))
		fail_msg("%s", why);
}

static void a_port_taken_on_ipv6_alone_is_found(void **state)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(51871) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;

	run("ip link set lo up");
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)), 0);
	config.listen_port = 51871;
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -EADDRINUSE);
	assert_string_equal(why, "Interface.ListenPort: UDP port 51871 (Cilium's WireGuard) is in use; write "
		"a free port, 1-65535");
	close(fd);
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), 0);
}

static void a_missing_bpf_file_system_is_mounted_where_it_belongs(void **state)
{
	struct statfs fs;

	umount2("/sys/fs/bpf", MNT_DETACH);	/* in our own mount namespace */
	strcpy(config.pin_dir, "/sys/fs/bpf/talon");
	if (preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(statfs("/sys/fs/bpf", &fs), 0);
	assert_int_equal(fs.f_type, BPF_FS_MAGIC);
	umount("/sys/fs/bpf");
}

static void nothing_is_mounted_when_something_else_is_wrong(void **state)
{
	struct statfs fs;

	umount2("/sys/fs/bpf", MNT_DETACH);
	strcpy(config.pin_dir, "/sys/fs/bpf/talon");
	set_uplink("nowhere0");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -ENODEV);
	assert_int_equal(statfs("/sys/fs/bpf", &fs), 0);
	assert_int_not_equal(fs.f_type, BPF_FS_MAGIC);
}

static void a_directory_that_somebody_holds_is_named_and_a_free_one_is_good(void **state)
{
	char pid[32];
	int fd;

	assert_int_equal(preflight_check_alone("/tmp/talon-preflight-not-there", why, sizeof(why)), 0);
	assert_int_equal(preflight_check_alone(base, why, sizeof(why)), 0);
	fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(preflight_check_alone(base, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "Talon already runs on /tmp/talon-preflight-"));
	snprintf(pid, sizeof(pid), "(pid %d)", getpid());	/* said by the lock itself */
	assert_non_null(strstr(why, pid));
	close(fd);
	assert_int_equal(preflight_check_alone(base, why, sizeof(why)), 0);
	/* The check leaves no lock. */
	fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
}

static void a_dot_in_a_pin_directory_is_named(void **state)
{
	snprintf(config.pin_dir, sizeof(config.pin_dir), "%s/talon.1/x", base);
	assert_int_equal(preflight_check_pin_dir(config.pin_dir, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "/talon.1/x has a dot, which no name on a bpf file system can have; "
		"write one without, like /sys/fs/bpf/talon"));
	snprintf(config.pin_dir, sizeof(config.pin_dir), "%s/talon/x", base);
	assert_int_equal(preflight_check_pin_dir(config.pin_dir, why, sizeof(why)), 0);
}

static void a_device_without_ethernet_is_refused(void **state)
{
	run("ip tuntap add tun5 mode tun && ip link set tun5 up");
	set_uplink("tun5");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -EPROTONOSUPPORT);
	assert_string_equal(why, "Interface.Uplink: tun5 has no Ethernet header: it is of kind tun; write an "
		"Ethernet device");
	run("ip link del tun5");
}

static void a_device_under_two_names_is_there_twice(void **state)
{
	run("ip link property add dev nic0 altname lan0");
	set_uplink("nic0,lan0");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -EEXIST);
	assert_string_equal(why, "Interface.Uplink: nic0 and lan0 are the same device; write it once");
	run("ip link property del dev nic0 altname lan0");
}

static void the_device_of_a_link_local_endpoint_must_be_there(void **state)
{
	struct config_peer peer = { .endpoint.zone = "nosuch" };

	set_uplink("nic0");
	config.peers = &peer;
	config.peer_count = 1;
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), -ENODEV);
	assert_string_equal(why,
		"Peer.Endpoint: nosuch: there is no such device; write [ADDRESS%DEVICE]:PORT");
	strcpy(peer.endpoint.zone, "nic0");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), 0);
	strcpy(peer.endpoint.zone, "1");
	assert_int_equal(preflight_check(&config, PREFLIGHT_FIRST, why, sizeof(why)), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, defaults)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_default_route_an_uplink_must_be_named),
		TEST(an_uplink_that_does_not_exist_is_named),
		TEST(an_uplink_that_is_down_is_named),
		TEST(the_device_with_the_default_route_is_good_enough),
		TEST(a_dot_in_a_pin_directory_is_named),
		TEST(a_device_without_ethernet_is_refused),
		TEST(a_device_under_two_names_is_there_twice),
		TEST(the_device_of_a_link_local_endpoint_must_be_there),
		TEST(a_port_taken_on_ipv6_alone_is_found),
		TEST(a_missing_bpf_file_system_is_mounted_where_it_belongs),
		TEST(a_directory_that_somebody_holds_is_named_and_a_free_one_is_good),
		TEST(nothing_is_mounted_when_something_else_is_wrong),
	};

	return cmocka_run_group_tests(tests, make_namespaces, remove_namespaces);
}
