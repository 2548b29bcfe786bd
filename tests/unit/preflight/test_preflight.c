// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What each check makes of a host that is good, and of one that is not; docs/preflight.md shows
// these very lines.
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "preflight/internal.h"

static struct preflight_report report;
static struct config config;
static struct host host;
static struct datapath_programs programs;
static struct signs signs;
static char root[] = "/tmp/talon-preflight-XXXXXX";

/* Every line that a test has seen: the manual is compared with them. */
static char *seen;
static size_t seen_len;
static FILE *seen_file;

static int begin(void **state)
{
	memset(&report, 0, sizeof(report));
	memset(&host, 0, sizeof(host));
	memset(&programs, 0, sizeof(programs));
	memset(&signs, 0, sizeof(signs));
	config_free(&config);
	config_init(&config);
	host.config = &config;
	host.root = root;
	host.uplink_count = 1;
	host.uplinks[0] = (struct net_link){ .ifindex = 2, .name = "eth0", .driver = "virtio_net",
		.mtu = 1500, .up = true };
	return 0;
}

static char *printed(void)
{
	char *text = NULL, *last;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	preflight_print_text(&report, out);
	fclose(out);
	/* without the sum at the end */
	text[len - 1] = '\0';
	last = strrchr(text, '\n');
	*(last ? last + 1 : text) = '\0';
	return text;
}

/* The findings so far are these lines, and nothing else; then all begins anew. */
static void says(const char *lines)
{
	char *text = printed();

	assert_string_equal(text, lines);
	fputs(text, seen_file);
	free(text);
	memset(&report, 0, sizeof(report));
}

static void write_file(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = strchr(full + sizeof(root), '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(!mkdir(full, 0700) || errno == EEXIST);
		*slash = '/';
	}
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Start. */

static void a_controller_beside_us_is_no_problem(void **state)
{
	judge_controller(&host, &report);
	says("ok       controller: none runs on /sys/fs/bpf/talon\n");
	host.running_port = 51820;
	judge_controller(&host, &report);
	says("ok       controller: none runs; /sys/fs/bpf/talon has a datapath, which the next one takes "
		"over\n");
	host.is_running = true;
	host.pid = 4711;
	judge_controller(&host, &report);
	says("note     controller: Talon runs on /sys/fs/bpf/talon (pid 4711). Why: what it holds is no "
		"clash; another one needs another pin directory\n");
}

#define BIT(n) (1ULL << (n))
#define ALL (BIT(CAP_NET_ADMIN) | BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_NET_RAW))

static void capabilities_that_are_missing_are_named(void **state)
{
	char why[CONFIG_WHY_LEN];

	judge_capabilities(ALL | BIT(CAP_SYS_ADMIN), &report);
	says("ok       capabilities: CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_RAW; CAP_SYS_ADMIN too\n");
	judge_capabilities(ALL, &report);
	says("note     capabilities: CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_RAW, without "
		"CAP_SYS_ADMIN. Why: names of foreign programs and libxdp's dispatcher cannot be read, and "
		"no bpf file system can be mounted; all else works\n");
	judge_capabilities(ALL & ~BIT(CAP_NET_RAW), &report);
	says("problem  capabilities: missing capability: CAP_NET_RAW (relays, held packets, fragments). Why: "
		"without them the kernel refuses programs, maps, devices and sockets. Do: run as root or add "
		"it to the container's securityContext\n");
	/* The start says the same. */
	assert_int_equal(preflight_check_capabilities(ALL & ~BIT(CAP_NET_RAW), why, sizeof(why)), -EPERM);
	assert_string_equal(why, "missing capability: CAP_NET_RAW (relays, held packets, fragments); run as "
		"root or add it to the container's securityContext");
}

static void a_pin_directory_is_on_a_bpf_file_system_or_can_be(void **state)
{
	const char *can = "--pin-dir: /sys/fs/bpf is not mounted; run mount -t bpf bpf /sys/fs/bpf";

	judge_pin_dir(&host, 0, "", &report);
	says("ok       pin-dir: /sys/fs/bpf/talon is on a bpf file system\n");
	judge_pin_dir(&host, START_CAN_MOUNT, can, &report);
	says("problem  pin-dir: --pin-dir: /sys/fs/bpf is not mounted. Why: programs and maps outlive the "
		"controller by their pins. Do: run mount -t bpf bpf /sys/fs/bpf\n");
	host.capabilities = BIT(CAP_SYS_ADMIN);
	judge_pin_dir(&host, START_CAN_MOUNT, can, &report);
	says("note     pin-dir: --pin-dir: /sys/fs/bpf is not mounted. Why: programs and maps outlive the "
		"controller by their pins. Do: nothing: talon up mounts it\n");
}

#define MIB (1ULL << 20)

static void maps_fit_into_the_memory_limit(void **state)
{
	struct memory_facts facts = { .is_known = true, .is_mesh = true,
		.need = { .maps = 40 * MIB, .flows = 14 * MIB, .peers = 11 * MIB, .cpus = 4,
			.max_flows = 262144, .max_peers = 2048, .growth = 48 * MIB },
		.group = { .limit = CGROUP_NO_LIMIT } };
	char why[CONFIG_WHY_LEN] = "";

	judge_memory(&facts, &report);
	says("ok       memory: maps for 2048 peers, 262144 flows and 4 processors take 40 MiB, the start 16 "
		"MiB beside them; no limit\n");
	facts.group = (struct cgroup_memory){ 128 * MIB, 5 * MIB, "/sys/fs/cgroup/memory.max" };
	judge_memory(&facts, &report);
	says("ok       memory: maps for 2048 peers, 262144 flows and 4 processors take 40 MiB, the start 16 "
		"MiB beside them; limit 128 MiB, 5 MiB of it in use\n");
	facts.group.limit = 64 * MIB;
	judge_memory(&facts, &report);
	says("note     memory: maps for 2048 peers, 262144 flows and 4 processors take 40 MiB, the start 16 "
		"MiB beside them; limit 64 MiB, 5 MiB of it in use. Why: maps grow by up to 48 MiB with "
		"traffic, and stop growing where the limit is near: fewer flows, slower encryption. Do: set "
		"a memory limit of 112Mi or more, should that matter\n");
	assert_int_equal(memory_refuse(&facts, why, sizeof(why)), 0);
	/* a byte too little */
	facts.group.limit = 61 * MIB - 1;
	judge_memory(&facts, &report);
	says("problem  memory: maps take 40 MiB and the start 16 MiB beside them, but "
		"the limit /sys/fs/cgroup/memory.max is 60 MiB, 5 MiB of it in use. Why: maps are kernel "
		"memory, and the control group pays for them. Do: set a memory limit of 64Mi or more, or "
		"smaller sizes: --max-flows (262144 take 14 MiB), --max-peers (2048 take 11 MiB)\n");
	/* The start says the same. */
	assert_int_equal(memory_refuse(&facts, why, sizeof(why)), -ENOMEM);
	assert_string_equal(why, "maps take 40 MiB and the start 16 MiB beside them, but "
		"the limit /sys/fs/cgroup/memory.max is 60 MiB, 5 MiB of it in use; set a memory limit of "
		"64Mi or more, or smaller sizes: --max-flows (262144 take 14 MiB), --max-peers (2048 take "
		"11 MiB)");
}

/* They were charged to whoever made them. */
static void maps_that_are_there_need_no_memory(void **state)
{
	struct memory_facts facts = { .is_known = true, .need = { .there = 41 * MIB, .cpus = 4,
		.max_flows = 262144, .max_peers = 1024 },
		.group = { 32 * MIB, 5 * MIB, "/sys/fs/cgroup/memory/memory.limit_in_bytes" } };

	judge_memory(&facts, &report);
	says("ok       memory: maps of 41 MiB are there already, and new ones take 0 MiB, the start 12 MiB "
		"beside them; limit 32 MiB, 5 MiB of it in use\n");
	facts.group.limit = 16 * MIB;
	judge_memory(&facts, &report);
	says("problem  memory: maps take 0 MiB and the start 12 MiB beside them, but "
		"the limit /sys/fs/cgroup/memory/memory.limit_in_bytes is 16 MiB, 5 MiB of it in use. Why: "
		"maps are kernel memory, and the control group pays for them. Do: set a memory limit of 20Mi "
		"or more\n");
	facts.is_known = false;
	judge_memory(&facts, &report);
	says("note     memory: not known: the programs' objects cannot be opened. Why: maps are kernel "
		"memory, and the control group pays for them\n");
}

static void a_tunnel_must_have_its_names(void **state)
{
	judge_tunnel(&config, -ENODEV, &report);
	says("ok       tunnel: wt0 is free\n");
	judge_tunnel(&config, 0, &report);
	says("ok       tunnel: wt0 is Talon's own\n");
	judge_tunnel(&config, -EEXIST, &report);
	says("problem  tunnel: a device wt0, or one of its three companions (p, r, rp), exists and is not "
		"Talon's. Why: this host reaches peers by a device of this name. Do: end the program that "
		"made it (NetBird's client has a wt0 too), or write another name: Tunnel, --tunnel\n");
}

static void uplinks_are_those_of_the_start(void **state)
{
	judge_uplinks(&host, 0, "", &report);
	says("ok       uplink: eth0, driver virtio_net, by the default route\n");
	judge_uplinks(&host, -ENETDOWN, "Interface.Uplink: eth0 is down; run ip link set eth0 up, or write "
		"another device", &report);
	says("problem  uplink: Interface.Uplink: eth0 is down. Why: peers and networks are reached by it. "
		"Do: run ip link set eth0 up, or write another device\n");
}

static void the_tunnel_must_fit_through_the_uplink(void **state)
{
	config.mtu = 1440;
	judge_mtu(&host, &report);
	says("ok       mtu: 1440 in the tunnel fits through eth0 (1500)\n");
	config.mtu = 1441;
	judge_mtu(&host, &report);
	says("problem  mtu: MTU: 1441 does not fit through eth0 (1500). Why: a sealed packet must fit "
		"through the uplink. Do: write at most 1440 (1420 if peers come by IPv6)\n");
}

static void a_port_of_others_is_a_problem_and_that_of_a_running_talon_is_not(void **state)
{
	const char *why = "Interface.ListenPort: UDP port 51820 (WireGuard's and NetBird's usual port) is in "
		"use; write a free port, 1-65535";
	const char *taken = "problem  port: Interface.ListenPort: UDP port 51820 (WireGuard's and NetBird's "
		"usual port) is in use. Why: peers send to it. Do: write a free port, 1-65535\n";

	judge_port(&host, 0, "", &report);
	says("ok       port: UDP port 51820 is free on IPv4 and IPv6\n");
	judge_port(&host, -EADDRINUSE, why, &report);
	says(taken);
	/* A datapath without a controller has no socket: somebody else has taken the port. */
	host.running_port = 51820;
	judge_port(&host, -EADDRINUSE, why, &report);
	says(taken);
	host.is_running = true;
	judge_port(&host, -EADDRINUSE, why, &report);
	says("ok       port: UDP port 51820 is that of the Talon that runs\n");
	host.running_port = 51821;
	judge_port(&host, -EADDRINUSE, why, &report);
	says(taken);
}

static void the_place_of_metrics_may_be_taken_unless_it_was_written(void **state)
{
	const char *taken = "Interface.Metrics: 127.0.0.1:9567: another program has it; write a free "
		"ADDRESS:PORT, unix:/PATH, or off";
	const char *foreign = "Interface.Metrics: 10.0.0.9:9567: this host does not have that address; write "
		"a free ADDRESS:PORT, unix:/PATH, or off";
	struct config metrics_config;
	struct host asked = { .config = &metrics_config };

	config_init(&metrics_config);
	judge_metrics(&asked, 0, "", &report);
	says("ok       metrics: 127.0.0.1:9567 is free\n");
	judge_metrics(&asked, -EADDRINUSE, taken, &report);
	says("warning  metrics: Interface.Metrics: 127.0.0.1:9567: another program has it. Why: Prometheus "
		"and probes ask there. Do: write a free ADDRESS:PORT, unix:/PATH, or off\n");
	asked.is_running = true;
	judge_metrics(&asked, -EADDRINUSE, taken, &report);
	says("ok       metrics: 127.0.0.1:9567 is in use while Talon runs\n");
	asked.is_running = false;
	metrics_config.metrics.is_given = true;
	judge_metrics(&asked, -EADDRNOTAVAIL, foreign, &report);
	says("problem  metrics: Interface.Metrics: 10.0.0.9:9567: this host does not have that address. Why: "
		"Prometheus and probes ask there. Do: write a free ADDRESS:PORT, unix:/PATH, or off\n");
	metrics_config.metrics.family = 0;
	judge_metrics(&asked, 0, "", &report);
	says("ok       metrics: metrics are not to be served\n");
	config_free(&metrics_config);
}

static void the_device_of_an_endpoint_must_be_there(void **state)
{
	judge_endpoints(0, "", &report);
	says("ok       endpoints: no device is missing\n");
	judge_endpoints(-ENODEV, "Peer.Endpoint: eth9: there is no such device; write [ADDRESS%DEVICE]:PORT",
		&report);
	says("problem  endpoints: Peer.Endpoint: eth9: there is no such device. Why: a link-local address is "
		"nothing without its device. Do: write [ADDRESS%DEVICE]:PORT\n");
}

/* Kernel. */

static struct kernel_facts a_kernel(void)
{
	return (struct kernel_facts){ .release = "6.1.0-44-amd64", .may_ask = true, .trial.is_jited = true,
		.has_btf = true, .unprivileged = 2, .harden = 0 };
}

static void a_good_kernel_is_good(void **state)
{
	struct kernel_facts facts = a_kernel();

	judge_kernel(&facts, &report);
	says("ok       kernel: Linux 6.1.0-44-amd64\n"
		"ok       features: all there\n"
		"ok       programs: the verifier takes them all\n"
		"ok       btf: /sys/kernel/btf/vmlinux is there\n"
		"ok       jit: on; hardening off\n"
		"ok       unprivileged-bpf: off\n");
	facts.harden = -1;
	facts.unprivileged = -1;
	strcpy(facts.release, "10.0.1");
	judge_kernel(&facts, &report);
	says("ok       kernel: Linux 10.0.1\n"
		"ok       features: all there\n"
		"ok       programs: the verifier takes them all\n"
		"ok       btf: /sys/kernel/btf/vmlinux is there\n"
		"ok       jit: on; hardening cannot be seen from this network namespace\n"
		"ok       unprivileged-bpf: not to be switched on in this kernel\n");
}

static void an_old_kernel_lacks_what_it_lacks(void **state)
{
	struct kernel_facts facts = a_kernel();

	strcpy(facts.release, "5.14.0-611.el9");
	facts.trial_ret = -EACCES;
	strcpy(facts.trial.err, "cannot load uplink_xdp: this kernel's verifier rejects it (log level debug "
		"shows why)");
	for (unsigned i = 0; kernel_features[i].name; i++) {
		if (!strcmp(kernel_features[i].name, "bpf_loop") ||
			!strcmp(kernel_features[i].name, "bpf_xdp_load_bytes"))
			facts.missing |= 1U << i;
	}
	facts.has_btf = false;
	facts.unprivileged = 0;
	judge_kernel(&facts, &report);
	says("warning  kernel: Linux 5.14.0-611.el9 is older than 6.1. Why: Linux 6.1 is the oldest kernel "
		"that Talon is tested on. Do: boot Linux 6.1 or later; whether this one will do, the check "
		"programs says\nproblem  features: this kernel lacks bpf_loop (Linux 5.17), "
		"bpf_xdp_load_bytes (Linux 5.18). Why: the programs are made of these. Do: boot a kernel "
		"that has them\nproblem  programs: cannot load uplink_xdp: this kernel's verifier rejects it "
		"(log level debug shows why). Why: a program that the verifier rejects cannot be attached. "
		"Do: boot another kernel; with --log-level debug the verifier's own words are shown\nnote "
		"    btf: no /sys/kernel/btf/vmlinux. Why: Talon does not read it; tools that show or trace "
		"programs do\nnote     jit: not known: no program was loaded. Why: encryption is a BPF "
		"program\nnote     unprivileged-bpf: kernel.unprivileged_bpf_disabled=0: every user may load "
		"programs. Why: Talon does not need that, and such programs have been the way to read kernel "
		"memory, where session keys lie. Do: sysctl -w kernel.unprivileged_bpf_disabled=1\n");
}

static void without_capabilities_nothing_is_said_of_the_kernel(void **state)
{
	struct kernel_facts facts = { .release = "6.12.1", .has_btf = true, .unprivileged = 2 };

	judge_kernel(&facts, &report);
	says("ok       kernel: Linux 6.12.1\n"
		"note     features: not asked for: that needs the capabilities. Why: the programs are made "
		"of these\nnote     programs: not tried: that needs the capabilities. Why: a program that "
		"the verifier rejects cannot be attached\nok       btf: /sys/kernel/btf/vmlinux is "
		"there\nnote     jit: not known: no program was loaded. Why: encryption is a BPF program\nok "
		"      unprivileged-bpf: off\n");
}

static void interpreted_programs_are_named(void **state)
{
	struct kernel_facts facts = a_kernel();

	facts.trial.is_jited = false;
	judge_kernel(&facts, &report);
	assert_int_equal(report.list[4].check, PREFLIGHT_JIT);
	report.list[0] = report.list[4];
	report.count = 1;
	says("warning  jit: the programs are interpreted, many times slower. Why: encryption is a BPF "
		"program. Do: sysctl -w net.core.bpf_jit_enable=1\n");
}

/* Devices. */

static void take(const struct net_hazard *hazard, void *user)
{
	judge_hazard(&host, hazard, &report);
}

static void ask_hazards(void)
{
	/* No uplink: devices of this test's host are not to be asked. */
	const struct net_hazard_question question = { .root = root, .tunnel = "wt0" };

	net_hazards_each(&question, take, NULL);
}

static void a_host_without_hazards_has_a_line_for_each(void **state)
{
	write_file("proc/sys/net/ipv4/conf/all/rp_filter", "2\n");
	write_file("proc/sys/net/ipv4/conf/default/rp_filter", "1\n");
	write_file("proc/sys/net/ipv4/conf/all/src_valid_mark", "0\n");
	write_file("proc/sys/net/core/bpf_jit_harden", "1\n");
	write_file("proc/sys/net/core/bpf_jit_enable", "1\n");
	ask_hazards();
	judge_no_hazard(&report);
	says("ok       forwarding: the kernel forwards packets that come in by the uplinks\n"
		"ok       rp-filter: not strict where it would matter\n"
		"ok       src-valid-mark: off\n"
		"ok       checksums: no uplink is a veth\n"
		"ok       offloads: no uplink joins packets or takes tags off\n");
}

static void sysctls_that_hurt_are_named(void **state)
{
	write_file("proc/sys/net/ipv4/conf/all/rp_filter", "0\n");
	write_file("proc/sys/net/ipv4/conf/default/rp_filter", "1\n");
	write_file("proc/sys/net/ipv4/conf/all/src_valid_mark", "1\n");
	write_file("proc/sys/net/core/bpf_jit_harden", "2\n");
	write_file("proc/sys/net/core/bpf_jit_enable", "0\n");
	ask_hazards();
	says("note     jit: bpf_jit_harden=2. Why: encryption inside the kernel costs about a fifth more\n"
		"warning  jit: bpf_jit_enable=0. Why: programs are interpreted, many times slower. Do: "
		"sysctl -w net.core.bpf_jit_enable=1\n"
		"warning  rp-filter: rp_filter=1 (strict) on wt0. Why: local deliveries are dropped, because "
		"their replies are routed through the tunnel device. Do: sysctl -w "
		"net.ipv4.conf.wt0.rp_filter=2\nwarning  src-valid-mark: src_valid_mark=1 on wt0. Why: "
		"marked packets fail the source check, which breaks some gateways on this node\n");
}

/* What is handed up by the tunnel device comes in where its replies leave. */
static void strict_filters_do_not_matter_to_hand_up_by_tunnel(void **state)
{
	const struct net_hazard_question question = { .root = root, .tunnel = "wt0", .by_tunnel = true };

	write_file("proc/sys/net/ipv4/conf/all/rp_filter", "1\n");
	write_file("proc/sys/net/ipv4/conf/all/src_valid_mark", "1\n");
	write_file("proc/sys/net/core/bpf_jit_harden", "1\n");
	write_file("proc/sys/net/core/bpf_jit_enable", "1\n");
	net_hazards_each(&question, take, NULL);
	says("");
}

static void a_thread_for_a_veth_needs_a_file_that_can_be_written(void **state)
{
	judge_threads("eth0", 0, &report);
	says("ok       threads: eth0 can have one of its own\n");
	judge_threads("eth0", -EROFS, &report);
	says("warning  threads: eth0 has no thread of its own: /sys/class/net/eth0/threaded is on a "
		"read-only file system. Why: a veth has whoever sends to it do our work. Do: mount the "
		"host's /sys/devices/virtual/net, writable, or write UplinkThreads = off\n");
}

/* How bad it is depends on what the node is to do. */
static void a_host_that_does_not_forward_serves_no_network(void **state)
{
	const struct net_hazard hazard = { NET_HAZARD_FORWARDING, "net.ipv4.ip_forward=0",
		"the kernel forwards nothing that comes in by eth0", "sysctl -w net.ipv4.ip_forward=1" };
	struct config_route route = {};

	config.routes = &route;
	config.route_count = 1;
	judge_hazard(&host, &hazard, &report);
	config.routes = NULL;
	config.route_count = 0;
	says("problem  forwarding: net.ipv4.ip_forward=0. Why: the kernel forwards nothing that comes in by "
		"eth0. Do: sysctl -w net.ipv4.ip_forward=1\n");
	judge_hazard(&host, &hazard, &report);
	assert_int_equal(report.list[0].level, PREFLIGHT_NOTE);
	config.mesh.enabled = true;
	judge_hazard(&host, &hazard, &report);
	assert_int_equal(report.list[1].level, PREFLIGHT_WARNING);
	config.mesh.agent = true;
	judge_hazard(&host, &hazard, &report);
	assert_int_equal(report.list[2].level, PREFLIGHT_NOTE);
	config.mesh.agent = config.mesh.enabled = false;
}

static void a_host_that_does_not_forward_ipv6_serves_no_ipv6_network(void **state)
{
	const struct net_hazard hazard = { NET_HAZARD_FORWARDING6, "net.ipv6.conf.all.forwarding=0",
		"the kernel forwards no IPv6 that comes in by eth0",
		"sysctl -w net.ipv6.conf.all.forwarding=1" },
		routers = { NET_HAZARD_ACCEPT_RA, "accept_ra=1 on eth0",
		"the IPv6 default route, which a router advertised, goes when forwarding is switched on",
		"sysctl -w net.ipv6.conf.eth0.accept_ra=2" };

	judge_hazard(&host, &hazard, &report);
	judge_hazard(&host, &routers, &report);
	says("problem  forwarding: net.ipv6.conf.all.forwarding=0. Why: the kernel forwards no IPv6 that "
		"comes in by eth0. Do: sysctl -w net.ipv6.conf.all.forwarding=1\nwarning  forwarding: "
		"accept_ra=1 on eth0. Why: the IPv6 default route, which a router advertised, goes when "
		"forwarding is switched on. Do: sysctl -w net.ipv6.conf.eth0.accept_ra=2\n");
	config.mesh.enabled = true;
	judge_hazard(&host, &hazard, &report);
	assert_int_equal(report.list[0].level, PREFLIGHT_NOTE);
	config.mesh.enabled = false;
}

static void what_an_uplink_is_can_be_a_hazard(void **state)
{
	struct net_uplink uplink = { .link = { .name = "eth0", .kind = "veth", .up = true } };

	net_uplink_hazards(&uplink, take, NULL);
	says("warning  checksums: eth0 is a veth. Why: whether its other end sends finished checksums cannot "
		"be seen from here. Do: ethtool -K PEER tx off\n");
	uplink = (struct net_uplink){ .link = { .name = "eth0", .up = true, .xdp_mode = XDP_ATTACHED_DRV },
		.has_lro = true, .has_hw_gro = true, .strips_tags = true, .vlan = "eth0.7" };
	net_uplink_hazards(&uplink, take, NULL);
	says("warning  offloads: LRO is on at eth0. Why: joined packets cannot be sealed. Do: ethtool -K "
		"eth0 lro off\nwarning  offloads: hardware GRO is on at eth0. Why: joined packets cannot be "
		"sealed. Do: ethtool -K eth0 rx-gro-hw off\nwarning  offloads: eth0 takes VLAN tags off "
		"before XDP, which then takes packets of eth0.7 for its own. Why: one packet on the wire is "
		"one packet in the tunnel. Do: ethtool -K eth0 rxvlan off\n");
	uplink = (struct net_uplink){ .link = { .name = "bond0", .kind = "bond", .up = true } };
	net_uplink_hazards(&uplink, take, NULL);
	says("note     uplink: bond0 is a bond without native XDP. Why: the programs run at tc or generic "
		"XDP, which costs speed and nothing else\n");
	uplink = (struct net_uplink){ .link = { .name = "eth0" },
		.master = { .ifindex = 7, .name = "br0", .kind = "bridge" } };
	net_uplink_hazards(&uplink, take, NULL);
	says("warning  uplink: eth0 is a port of br0. Why: br0 has the addresses. Do: write Uplink = br0\n"
		"warning  uplink: eth0 is down. Why: peers and networks are reached by it\n");
	uplink = (struct net_uplink){ .link = { .name = "eth0", .up = true } };
	net_uplink_hazards(&uplink, take, NULL);
	says("");
}

static void put(enum datapath_place place, const char *name, uint32_t id, bool is_ours)
{
	struct datapath_program *p = &programs.list[programs.count++];

	*p = (struct datapath_program){ .place = place, .id = id, .ours = is_ours };
	snprintf(p->name, sizeof(p->name), "%s", name);
}

static void look(void)
{
	judge_xdp(&config, "eth0", &programs, &report);
}

static void a_free_slot_and_our_own_program_are_good(void **state)
{
	look();
	says("ok       xdp: eth0: the slot is free\n");
	put(DATAPATH_PLACE_XDP, "talon_uplink_xd", 9, true);
	look();
	says("ok       xdp: eth0: Talon's own program\n");
	programs.count = 0;
	put(DATAPATH_PLACE_XDP, "xdp_dispatcher", 8, false);
	put(DATAPATH_PLACE_DISPATCHER, "talon_uplink_xd", 9, true);
	look();
	says("ok       xdp: eth0: Talon's own program\n");
}

static void a_foreign_xdp_program_is_named(void **state)
{
	put(DATAPATH_PLACE_XDP, "xdp_filter", 17, false);
	look();
	says("warning  xdp: eth0: the XDP slot is held by xdp_filter (id 17). Why: Talon displaces nobody "
		"and runs at tc instead, slower. Do: nothing; or load that program by libxdp (xdp-loader), "
		"whose dispatcher Talon joins\n");
	config.datapath = CONFIG_DATAPATH_XDP;
	look();
	says("problem  xdp: eth0: the XDP slot is held by xdp_filter (id 17). Why: Datapath = xdp needs that "
		"slot, and Talon displaces nobody. Do: write Datapath = auto or tcx, or remove that "
		"program\n");
	config.datapath = CONFIG_DATAPATH_TCX;
	look();
	says("ok       xdp: eth0: xdp_filter (id 17) stays alone, as Datapath says\n");
	config.datapath = CONFIG_DATAPATH_AUTO;
	programs.list[0].name[0] = '\0';
	look();
	assert_non_null(strstr(report.list[0].what, "held by program id 17"));
	programs.list[0].id = 0;
	look();
	assert_non_null(strstr(report.list[1].what, "held by several programs"));
}

static void libxdps_dispatcher_is_joined_or_left_alone(void **state)
{
	put(DATAPATH_PLACE_XDP, "xdp_dispatcher", 16, false);
	put(DATAPATH_PLACE_DISPATCHER, "xdp_filter", 17, false);
	put(DATAPATH_PLACE_DISPATCHER, "", 18, false);
	look();
	says("note     xdp: eth0: libxdp's dispatcher with xdp_filter (id 17), program id 18. Why: Talon "
		"joins it with priority 50; where the kernel refuses that, Talon runs at tc, slower\n");
	config.dispatcher = CONFIG_DISPATCHER_NEVER;
	look();
	assert_non_null(strstr(report.list[0].what, "the XDP slot is held by xdp_dispatcher (id 16)"));
}

static void programs_at_tc_are_named_with_their_place(void **state)
{
	programs.has_tcx = true;
	judge_tc(&config, "eth0", &programs, &report);
	says("ok       tc: eth0: no program of others\n");
	put(DATAPATH_PLACE_TCX_IN, "talon_uplink_tc", 20, true);
	put(DATAPATH_PLACE_TCX_IN, "cil_from_netdev", 21, false);
	put(DATAPATH_PLACE_TCX_OUT, "cil_to_netdev", 22, false);
	judge_tc(&config, "eth0", &programs, &report);
	says("note     tc: eth0: tcx ingress: cil_from_netdev (id 21). Why: Talon runs before it and leaves "
		"it what is not Talon's\nnote     tc: eth0: tcx egress: cil_to_netdev (id 22). Why: it does "
		"not see what Talon sends by XDP\n");
	programs.count = 0;
	put(DATAPATH_PLACE_TCX_IN, "early", 21, false);
	put(DATAPATH_PLACE_TCX_IN, "talon_uplink_tc", 20, true);
	judge_tc(&config, "eth0", &programs, &report);
	says("warning  tc: eth0: tcx ingress: early (id 21), in front of Talon's. Why: what it takes, Talon "
		"never sees. Do: start that program's owner before Talon\n");
	programs.count = 0;
	config.datapath = CONFIG_DATAPATH_CLSACT;
	judge_tc(&config, "eth0", &programs, &report);
	says("warning  tc: eth0: Datapath = clsact on a kernel with tcx. Why: a CNI may delete the filter. "
		"Do: write Datapath = auto or tcx\n");
	programs.has_tcx = false;
	config.datapath = CONFIG_DATAPATH_AUTO;
	judge_tc(&config, "eth0", &programs, &report);
	says("ok       tc: eth0: no program of others; this kernel has no tcx, so Talon would use clsact\n");
}

static void devices_that_take_no_redirects_are_counted(void **state)
{
	struct redirect_facts facts = { .takes = 1, .refuses = 12 };

	judge_redirect(&host, &facts, &report);
	says("ok       redirect: of the devices that are no uplinks, 1 takes redirected frames; for the "
		"other 12 they make a detour by wt0rp\n");
	host.uplink_count = 2;
	strcpy(host.uplinks[1].name, "eth1");
	facts.uplink_takes[0] = true;
	judge_redirect(&host, &facts, &report);
	assert_int_equal(report.count, 2);
	report.count = 1;
	says("note     redirect: eth1 takes no redirected frames now. Why: frames from another uplink make a "
		"detour, unless its driver takes them once Talon is attached\n");
	facts.ret = -EOPNOTSUPP;
	judge_redirect(&host, &facts, &report);
	says("note     redirect: this kernel does not tell which devices take redirected frames (Linux 6.3 "
		"does). Why: Talon redirects to its native uplinks only; frames for other devices make a "
		"detour\n");
}

/* Neighbours. */

static void no_cni_no_proxy_no_cilium(void **state)
{
	judge_cni(&signs, &report);
	judge_kube_proxy(&signs, &report);
	judge_cilium(&host, &signs, &report);
	says("ok       cni: none found\n"
		"ok       kube-proxy: none found\n"
		"ok       cilium: not on this node\n");
}

static void offer_nf(enum net_nf_kind kind, const char *table, const char *name)
{
	struct net_nf nf = { .kind = kind, .family = NFPROTO_IPV4, .hook = -1 };

	snprintf(nf.table, sizeof(nf.table), "%s", table);
	snprintf(nf.name, sizeof(nf.name), "%s", name);
	signs_offer_nf(&signs, &nf);
}

/* Files as each CNI's own manifest writes them. */
static void a_cni_is_known_by_its_file(void **state)
{
	static const struct {
		const char *file, *text, *line;
	} cases[] = {
		{ "05-cilium.conflist",
			"{\"cniVersion\":\"0.3.1\",\"name\":\"cilium\",\"plugins\":[{\"type\":"
			"\"cilium-cni\",\"enable-debug\":false}]}",
			"ok       cni: Cilium (plugin cilium-cni in 05-cilium.conflist)\n" },
		{ "10-calico.conflist",
			"{\"name\":\"k8s-pod-network\",\"plugins\":[{\"type\":\"calico\"},{\"type\":"
			"\"portmap\"},{\"type\":\"bandwidth\"}]}",
			"ok       cni: Calico (plugin calico in 10-calico.conflist)\n" },
		{ "10-flannel.conflist",
			"{\"name\":\"cbr0\",\"plugins\":[{\"type\":\"flannel\",\"delegate\":{"
			"\"isDefaultGateway\":true}},{\"type\":\"portmap\"}]}",
			"ok       cni: flannel (plugin flannel in 10-flannel.conflist). Why: packets for its "
			"device leave there, and their replies are taken there\n" },
		{ "10-antrea.conflist", "{\"plugins\":[{\"type\":\"antrea\"}]}",
			"ok       cni: Antrea (plugin antrea in 10-antrea.conflist)\n" },
		{ "10-weave.conf", "{\"type\":\"weave-net\"}",
			"ok       cni: Weave Net (plugin weave-net in 10-weave.conf)\n" },
		{ "10-aws.conflist", "{\"plugins\":[{\"type\":\"aws-cni\"},{\"type\":\"portmap\"}]}",
			"ok       cni: AWS VPC CNI (plugin aws-cni in 10-aws.conflist)\n" },
		{ "10-kuberouter.conflist", "{\"plugins\":[{\"type\":\"bridge\"},{\"type\":\"portmap\"}]}",
			"ok       cni: none found\n" },
		{ "99-loopback.conf", "{\"type\":\"loopback\"}", "ok       cni: none found\n" },
		{ "10-new.conf", "{\"type\":\"shiny-cni\"}",
			"note     cni: one that is not known here: plugin shiny-cni. Why: nothing can be "
			"said about it\n" },
		{ "10-broken.conf", "{\"type\":\"calico\"", "ok       cni: none found\n" },
		{ "10-odd.conf", "[1]", "ok       cni: none found\n" },
		{ "10-odder.conflist", "{\"plugins\":[7,{\"type\":7}]}", "ok       cni: none found\n" },
		{ "calico-kubeconfig", "{\"type\":\"calico\"}", "ok       cni: none found\n" },
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(path, sizeof(path), "etc/cni/net.d/%s", cases[i].file);
		write_file(path, cases[i].text);
		memset(&signs, 0, sizeof(signs));
		signs_read_files(&signs, root);
		judge_cni(&signs, &report);
		says(cases[i].line);
		snprintf(path, sizeof(path), "%s/etc/cni/net.d/%s", root, cases[i].file);
		unlink(path);
	}
}

static void a_cni_is_known_by_devices_programs_chains_and_sets(void **state)
{
	signs_offer(&signs, SIGN_LINK, "cilium_host", NULL);
	signs_offer(&signs, SIGN_LINK, "cilium_net", NULL);
	signs_offer(&signs, SIGN_PROGRAM, "cil_from_netdev", "eth0");
	offer_nf(NET_NF_CHAIN, "nat", "CILIUM_POST_nat");
	offer_nf(NET_NF_SET, "", "cilium_node_set_v4");
	judge_cni(&signs, &report);
	says("ok       cni: Cilium (device cilium_host, program cil_from_netdev on eth0, chain "
		"CILIUM_POST_nat in nat)\n");
	memset(&signs, 0, sizeof(signs));
	signs_offer(&signs, SIGN_LINK, "cali0123456789a", NULL);
	signs_offer(&signs, SIGN_PROGRAM, "cali_tc_preambl", "eth0");
	offer_nf(NET_NF_SET, "", "cali40masq-ipam-pools");
	judge_cni(&signs, &report);
	says("ok       cni: Calico (device cali0123456789a, program cali_tc_preambl on eth0, set "
		"cali40masq-ipam-pools). Why: its programs are at tc, behind Talon's; its NAT uses ports "
		"20000-29999 of the node\n");
	memset(&signs, 0, sizeof(signs));
	signs_offer(&signs, SIGN_LINK, "flannel.1", NULL);
	offer_nf(NET_NF_TABLE, "flannel-ipv4", "flannel-ipv4");
	offer_nf(NET_NF_CHAIN, "filter", "FLANNEL-FWD");
	signs_offer(&signs, SIGN_LINK, "kube-bridge", NULL);
	offer_nf(NET_NF_CHAIN, "filter", "KUBE-ROUTER-FORWARD");
	judge_cni(&signs, &report);
	says("ok       cni: flannel (device flannel.1, table flannel-ipv4, chain FLANNEL-FWD in filter). "
		"Why: packets for its device leave there, and their replies are taken there\nok       cni: "
		"kube-router (device kube-bridge, chain KUBE-ROUTER-FORWARD in filter)\n");
	memset(&signs, 0, sizeof(signs));
	/* Names that only look like theirs. */
	signs_offer(&signs, SIGN_LINK, "cali", NULL);
	signs_offer(&signs, SIGN_LINK, "eth0", NULL);
	signs_offer(&signs, SIGN_LINK, "flannelette", NULL);
	offer_nf(NET_NF_CHAIN, "filter", "KUBE-FORWARD");
	judge_cni(&signs, &report);
	says("ok       cni: none found\n");
}

static void the_mode_of_kube_proxy_is_read_from_what_it_leaves(void **state)
{
	offer_nf(NET_NF_CHAIN, "nat", "KUBE-SERVICES");
	judge_kube_proxy(&signs, &report);
	says("note     kube-proxy: mode iptables (chain KUBE-SERVICES in nat). Why: it translates in "
		"netfilter, and only what is handed up to the host gets there. Do: peers that are to use "
		"ClusterIPs need them in Local: talon.conf(5)\n");
	/* It keeps that chain in mode ipvs. */
	write_file("proc/net/ip_vs", "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port "
		"Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n");
	signs_read_files(&signs, root);
	assert_int_equal(signs.of[OWNER_PROXY_IPVS].count, 0);
	write_file("proc/net/ip_vs", "Prot LocalAddress:Port Scheduler Flags\nTCP  0A600001:01BB rr\n");
	signs_read_files(&signs, root);
	signs_offer(&signs, SIGN_LINK, "kube-ipvs0", NULL);
	judge_kube_proxy(&signs, &report);
	says("note     kube-proxy: mode ipvs (services in /proc/net/ip_vs, device kube-ipvs0). Why: it "
		"translates in netfilter, and only what is handed up to the host gets there. Do: peers that "
		"are to use ClusterIPs need them in Local: talon.conf(5)\n");
	memset(&signs, 0, sizeof(signs));
	offer_nf(NET_NF_TABLE, "kube-proxy", "kube-proxy");
	judge_kube_proxy(&signs, &report);
	says("note     kube-proxy: mode nftables (table kube-proxy). Why: it translates in netfilter, and "
		"only what is handed up to the host gets there. Do: peers that are to use ClusterIPs need "
		"them in Local: talon.conf(5)\n");
}

static void cilium_needs_the_tunnel_among_its_devices_and_its_slot(void **state)
{
	signs_offer(&signs, SIGN_LINK, "cilium_host", NULL);
	judge_cilium(&host, &signs, &report);
	says("ok       cilium: the XDP slot is left to it as soon as cilium_host is there, and Tal"
		"on runs at tc, first in the list. Why: with loadBalancer.acceleration=native Cilium'"
		"s agent does not start where that slot is taken\nnote     cilium: wt0 does not exist"
		" yet. Why: Cilium does not translate where it has no program: NodePorts and load bal"
		"ancer addresses of this node answer peers from the wrong address or not at all. Do: "
		"name the uplink and wt0 in Cilium's devices, for ClusterIPs set bpf.lbExternalCluste"
		"rIP, and have pods, services and node addresses in Local\n");
	config.datapath = CONFIG_DATAPATH_XDP;
	judge_cilium(&host, &signs, &report);
	says("warning  cilium: Datapath = xdp takes the XDP slot. Why: with loadBalancer.accelerat"
		"ion=native Cilium's agent does not start where that slot is taken. Do: keep accelera"
		"tion disabled or best-effort, or write Datapath = auto\nnote     cilium: wt0 does no"
		"t exist yet. Why: Cilium does not translate where it has no program: NodePorts and l"
		"oad balancer addresses of this node answer peers from the wrong address or not at al"
		"l. Do: name the uplink and wt0 in Cilium's devices, for ClusterIPs set bpf.lbExterna"
		"lClusterIP, and have pods, services and node addresses in Local\n");
	config.datapath = CONFIG_DATAPATH_TCX;
	host.has_tunnel = true;
	judge_cilium(&host, &signs, &report);
	says("warning  cilium: wt0 is not among Cilium's devices. Why: Cilium does not translate w"
		"here it has no program: NodePorts and load balancer addresses of this node answer pe"
		"ers from the wrong address or not at all. Do: name the uplink and wt0 in Cilium's de"
		"vices, for ClusterIPs set bpf.lbExternalClusterIP, and have pods, services and node "
		"addresses in Local\n");
	put(DATAPATH_PLACE_TCX_OUT, "", 21, false);	/* as a pod sees it */
	host.tunnel = programs;
	judge_cilium(&host, &signs, &report);
	says("ok       cilium: wt0 is among Cilium's devices\n");
	programs.count = 0;
	put(DATAPATH_PLACE_TCX_IN, "cil_from_netdev", 21, false);
	host.tunnel = programs;
	programs.count = 0;
	put(DATAPATH_PLACE_XDP, "cil_xdp_entry", 20, false);
	host.programs[0] = programs;
	judge_cilium(&host, &signs, &report);
	says("note     cilium: its XDP acceleration is on at eth0. Why: the XDP slot is Cilium's, "
		"and Talon runs at tc, in front of it\nok       cilium: wt0 is among Cilium's devices"
		"\n");
}

static void offer_chain_that_drops(const char *table, int family, int hook, bool drops)
{
	struct net_nf nf = { .kind = NET_NF_CHAIN, .family = family, .hook = hook };

	snprintf(nf.table, sizeof(nf.table), "%s", table);
	strcpy(nf.name, "PREROUTING");
	signs_offer_nf(&signs, &nf);
	nf.kind = NET_NF_RULE;
	nf.hook = -1;
	nf.drops_invalid = drops;
	signs_offer_nf(&signs, &nf);
}

static void connection_tracking_sees_none_of_it_but_behind_a_bridge(void **state)
{
	struct conntrack_facts facts;

	conntrack_read(root, &facts);
	judge_conntrack(&facts, &signs, &report);
	says("ok       conntrack: not in this kernel\n");
	write_file("proc/sys/net/netfilter/nf_conntrack_count", "17\n");
	write_file("proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
	conntrack_read(root, &facts);
	signs.has_bridge = true;
	/* None of these is asked about IPv4 packets at PREROUTING, or drops. */
	offer_chain_that_drops("a", NFPROTO_IPV4, NF_INET_FORWARD, true);
	offer_chain_that_drops("b", NFPROTO_IPV6, NF_INET_PRE_ROUTING, true);
	offer_chain_that_drops("c", NFPROTO_INET, NF_INET_PRE_ROUTING, false);
	judge_conntrack(&facts, &signs, &report);
	says("ok       conntrack: on. Why: packets that Talon forwards and their replies pass below it, both "
		"ways\n");
	offer_chain_that_drops("mangle", NFPROTO_IPV4, NF_INET_PRE_ROUTING, true);
	judge_conntrack(&facts, &signs, &report);
	says("warning  conntrack: chain mangle PREROUTING drops what is INVALID, and "
		"bridge-nf-call-iptables=1. Why: replies of pods behind a bridge pass that chain before "
		"Talon takes them, and the connection's other half never did. Do: take that rule out, or "
		"accept packets that come in by the bridge before it\n");
	signs.has_bridge = false;
	judge_conntrack(&facts, &signs, &report);
	says("ok       conntrack: on; chain mangle PREROUTING drops what is INVALID. Why: packets that Talon "
		"forwards and their replies pass below it, both ways\n");
}

/* The rest. */

static void nat_ports_are_nobody_elses(void **state)
{
	config.port_first = 12288;
	config.port_last = 19999;
	judge_nat_ports(&config, root, &report);
	says("ok       nat-ports: 12288-19999 of the node's address: nobody else's range\n");
	write_file("proc/sys/net/ipv4/ip_local_port_range", "15000 60999\n");
	judge_nat_ports(&config, root, &report);
	says("warning  nat-ports: SNAT ports 12288-19999 touch 15000-60999, the host's ephemeral ports "
		"(ip_local_port_range). Why: a reply goes to whoever owns the port. Do: write a range of "
		"SNATPorts that is nobody's, such as 12288-19999, or move the other one\n");
	config.snat_addr = 1;
	judge_nat_ports(&config, root, &report);
	says("ok       nat-ports: 12288-19999 of a spare address\n");
}

static void a_clock_that_is_off_is_named(void **state)
{
	judge_clock(1795910400, true, &report);
	says("ok       clock: 2026-11-29T00:00:00Z, synchronized\n");
	judge_clock(1795910400, false, &report);
	says("note     clock: 2026-11-29T00:00:00Z; the kernel does not know it to be synchronized. Why: "
		"should it be set back, peers refuse handshakes until it has caught up. Do: run an NTP "
		"client\n");
	judge_clock(60, true, &report);
	says("warning  clock: 1970-01-01T00:01:00Z cannot be. Why: peers refuse handshakes that are older "
		"than the last one, and certificates are not valid yet. Do: set the clock, and run an NTP "
		"client\n");
}

static void state_must_be_writable(void **state)
{
	judge_state("/var/lib/netbird", "state-dir", 0, &report);
	says("ok       state: /var/lib/netbird can be written\n");
	judge_state("/var/lib/netbird", "state-dir", -EROFS, &report);
	says("problem  state: /var/lib/netbird cannot be written: Read-only file system. Why: the identity "
		"and the control socket are files. Do: make it writable, or write another place: "
		"--state-dir\n");
	check_state(&config, &report);
	says("ok       state: a static file needs none\n");
}

static void where_there_is_no_uplink_each_check_says_so(void **state)
{
	find_unseen(&report);
	assert_int_equal(report.count, PREFLIGHT_COUNT);
	memmove(report.list, &report.list[PREFLIGHT_XDP], sizeof(report.list[0]));
	report.count = 1;
	says("note     xdp: not looked at: there is no uplink. Why: a device has one XDP slot\n");
}

static void a_report_that_is_full_still_counts(void **state)
{
	for (unsigned i = 0; i < PREFLIGHT_FINDINGS_MAX + 10; i++)
		find(&report, PREFLIGHT_CLOCK, PREFLIGHT_OK, "%u", i);
	find(&report, PREFLIGHT_KERNEL, PREFLIGHT_PROBLEM, "too late for the list");
	assert_int_equal(report.count, PREFLIGHT_FINDINGS_MAX);
	assert_int_equal(report.levels[PREFLIGHT_PROBLEM], 1);
}

static void foreign_text_cannot_forge_a_line_or_break_the_json(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out;

	find_act(find(&report, PREFLIGHT_XDP, PREFLIGHT_NOTE, "evil\"\nok       xdp: \x1b[2J"), "a\tb");
	text = printed();
	assert_null(strchr(text, 0x1b));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
	out = open_memstream(&text, &len);
	preflight_print_json(&report, out);
	fclose(out);
	assert_non_null(strstr(text, "\"level\":\"note\",\"what\":\"evil\\\"\\nok"));
	assert_non_null(strstr(text, "\"canRun\":true,\"problems\":0,\"warnings\":0,\"notes\":1"));
	free(text);
}

/* The manual. */

static char *read_manual(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen("docs/preflight.md", "re");

	if (!f)
		skip();		/* not run from the top of the tree */
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	return text;
}

/* A heading for each check, in order, and under it why it matters. */
static void the_manual_has_every_check_in_order(void **state)
{
	char *manual = read_manual(), heading[64], *at = manual;
	unsigned count = 0;

	for (enum preflight_check check = 0; check < PREFLIGHT_COUNT; check++) {
		snprintf(heading, sizeof(heading), "\n### `%s`\n", preflight_check_name(check));
		at = strstr(at, heading);
		if (!at)
			fail_msg("docs/preflight.md has no heading %s, or not in its place",
				preflight_check_name(check));
		if (!strstr(at, preflight_check_why(check)))
			fail_msg("docs/preflight.md does not say under %s that %s",
				preflight_check_name(check), preflight_check_why(check));
	}
	for (at = manual; (at = strstr(at, "\n### `")); at++)
		count++;
	assert_int_equal(count, PREFLIGHT_COUNT);
	free(manual);
}

static bool has_line(const char *text, const char *line, size_t len)
{
	while ((text = memmem(text, strlen(text), line, len))) {
		if ((text[len] == '\n' || !text[len]))
			return true;
		text++;
	}
	return false;
}

static bool is_finding(const char *line)
{
	return !strncmp(line, "ok       ", 9) || !strncmp(line, "note     ", 9) ||
		!strncmp(line, "warning  ", 9) || !strncmp(line, "problem  ", 9);
}

/* What the manual shows is what the checks print; and it shows all but what is in order. */
static void the_manual_shows_the_lines_as_they_are_printed(void **state)
{
	char *manual = read_manual(), *copy = strdup(manual), *save;

	fflush(seen_file);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (is_finding(line) && !has_line(seen, line, strlen(line)))
			fail_msg("docs/preflight.md: no check prints:\n%s", line);
	}
	free(copy);
	copy = strdup(seen);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "ok ", 3) && !has_line(manual, line, strlen(line)))
			fail_msg("docs/preflight.md does not show:\n%s", line);
	}
	free(copy);
	free(manual);
}

static int make_root(void **state)
{
	seen_file = open_memstream(&seen, &seen_len);
	return mkdtemp(root) && seen_file ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[64];

	fclose(seen_file);
	free(seen);
	config_free(&config);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_controller_beside_us_is_no_problem),
		TEST(capabilities_that_are_missing_are_named),
		TEST(a_pin_directory_is_on_a_bpf_file_system_or_can_be),
		TEST(maps_fit_into_the_memory_limit),
		TEST(maps_that_are_there_need_no_memory),
		TEST(a_tunnel_must_have_its_names),
		TEST(uplinks_are_those_of_the_start),
		TEST(the_tunnel_must_fit_through_the_uplink),
		TEST(a_port_of_others_is_a_problem_and_that_of_a_running_talon_is_not),
		TEST(the_place_of_metrics_may_be_taken_unless_it_was_written),
		TEST(the_device_of_an_endpoint_must_be_there),
		TEST(a_good_kernel_is_good),
		TEST(an_old_kernel_lacks_what_it_lacks),
		TEST(without_capabilities_nothing_is_said_of_the_kernel),
		TEST(interpreted_programs_are_named),
		TEST(a_host_without_hazards_has_a_line_for_each),
		TEST(sysctls_that_hurt_are_named),
		TEST(a_thread_for_a_veth_needs_a_file_that_can_be_written),
		TEST(strict_filters_do_not_matter_to_hand_up_by_tunnel),
		TEST(a_host_that_does_not_forward_serves_no_network),
		TEST(a_host_that_does_not_forward_ipv6_serves_no_ipv6_network),
		TEST(what_an_uplink_is_can_be_a_hazard),
		TEST(a_free_slot_and_our_own_program_are_good),
		TEST(a_foreign_xdp_program_is_named),
		TEST(libxdps_dispatcher_is_joined_or_left_alone),
		TEST(programs_at_tc_are_named_with_their_place),
		TEST(devices_that_take_no_redirects_are_counted),
		TEST(no_cni_no_proxy_no_cilium),
		TEST(a_cni_is_known_by_its_file),
		TEST(a_cni_is_known_by_devices_programs_chains_and_sets),
		TEST(the_mode_of_kube_proxy_is_read_from_what_it_leaves),
		TEST(cilium_needs_the_tunnel_among_its_devices_and_its_slot),
		TEST(connection_tracking_sees_none_of_it_but_behind_a_bridge),
		TEST(nat_ports_are_nobody_elses),
		TEST(a_clock_that_is_off_is_named),
		TEST(state_must_be_writable),
		TEST(where_there_is_no_uplink_each_check_says_so),
		TEST(a_report_that_is_full_still_counts),
		TEST(foreign_text_cannot_forge_a_line_or_break_the_json),
		TEST(the_manual_has_every_check_in_order),
		TEST(the_manual_shows_the_lines_as_they_are_printed),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
