// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The kernel: its version, what the programs are made of, and whether its verifier takes them.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/text.h"
#include "preflight/internal.h"

#define FLOOR_MAJOR 6
#define FLOOR_MINOR 1

static bool has_map(int type)
{
	return libbpf_probe_bpf_map_type(type, NULL) != 0;
}

static bool has_xdp_helper(int helper)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, helper, NULL) != 0;
}

static bool has_tc_helper(int helper)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, helper, NULL) != 0;
}

static bool has_program(int type)
{
	return libbpf_probe_bpf_prog_type(type, NULL) != 0;
}

const struct kernel_feature kernel_features[] = {
	{ "XDP programs", "4.8", has_program, BPF_PROG_TYPE_XDP },
	{ "tc programs", "4.1", has_program, BPF_PROG_TYPE_SCHED_CLS },
	{ "LRU hash maps", "4.10", has_map, BPF_MAP_TYPE_LRU_HASH },
	{ "LPM tries", "4.11", has_map, BPF_MAP_TYPE_LPM_TRIE },
	{ "queue maps", "4.20", has_map, BPF_MAP_TYPE_QUEUE },
	{ "ring buffers", "5.8", has_map, BPF_MAP_TYPE_RINGBUF },
	{ "bpf_fib_lookup", "4.18", has_xdp_helper, BPF_FUNC_fib_lookup },
	{ "bpf_ktime_get_boot_ns", "5.8", has_xdp_helper, BPF_FUNC_ktime_get_boot_ns },
	{ "bpf_loop", "5.17", has_xdp_helper, BPF_FUNC_loop },
	{ "bpf_xdp_load_bytes", "5.18", has_xdp_helper, BPF_FUNC_xdp_load_bytes },
	{ "bpf_redirect_neigh", "5.10", has_tc_helper, BPF_FUNC_redirect_neigh },
	{},
};

void kernel_read(const struct host *host, struct kernel_facts *ret_facts)
{
	struct kernel_facts facts = {
		.may_ask = host->may_ask,
		.unprivileged = net_sysctl_get(host->root, "kernel/unprivileged_bpf_disabled"),
		.harden = net_sysctl_get(host->root, "net/core/bpf_jit_harden"),
	};
	struct utsname name;
	char path[PATH_MAX];

	if (!uname(&name))
		snprintf(facts.release, sizeof(facts.release), "%.64s", name.release);
	snprintf(path, sizeof(path), "%s/sys/kernel/btf/vmlinux", host->root);
	facts.has_btf = !access(path, F_OK);
	if (facts.may_ask) {
		for (unsigned i = 0; kernel_features[i].name; i++)
			facts.missing |= !kernel_features[i].is_there(kernel_features[i].number) << i;
		facts.trial_ret = datapath_try(&facts.trial);
	}
	*ret_facts = facts;
}

static void judge_version(const struct kernel_facts *facts, struct preflight_report *report)
{
	unsigned major = 0, minor = 0;
	struct preflight_finding *f;

	if (sscanf(facts->release, "%u.%u", &major, &minor) != 2) {
		find(report, PREFLIGHT_KERNEL, PREFLIGHT_WARNING, "Linux %s: the version cannot be read",
			facts->release);
		return;
	}
	if (major > FLOOR_MAJOR || (major == FLOOR_MAJOR && minor >= FLOOR_MINOR)) {
		find(report, PREFLIGHT_KERNEL, PREFLIGHT_OK, "Linux %s", facts->release);
		return;
	}
	f = find(report, PREFLIGHT_KERNEL, PREFLIGHT_WARNING, "Linux %s is older than %u.%u", facts->release,
		FLOOR_MAJOR, FLOOR_MINOR);
	find_act(f, "boot Linux %u.%u or later; whether this one will do, the check programs says",
		FLOOR_MAJOR, FLOOR_MINOR);
}

static void judge_features(const struct kernel_facts *facts, struct preflight_report *report)
{
	char names[200] = "";

	for (unsigned i = 0; kernel_features[i].name; i++) {
		if (facts->missing & 1U << i)
			text_append(names, sizeof(names), "%s%s (Linux %s)", names[0] ? ", " : "",
				kernel_features[i].name, kernel_features[i].since);
	}
	if (!facts->may_ask)
		find(report, PREFLIGHT_FEATURES, PREFLIGHT_NOTE,
			"not asked for: that needs the capabilities");
	else if (names[0])
		find_act(find(report, PREFLIGHT_FEATURES, PREFLIGHT_PROBLEM, "this kernel lacks %s", names),
			"boot a kernel that has them");
	else
		find(report, PREFLIGHT_FEATURES, PREFLIGHT_OK, "all there");
}

static void judge_programs(const struct kernel_facts *facts, struct preflight_report *report)
{
	if (!facts->may_ask)
		find(report, PREFLIGHT_PROGRAMS, PREFLIGHT_NOTE, "not tried: that needs the capabilities");
	else if (facts->trial_ret)
		find_act(find(report, PREFLIGHT_PROGRAMS, PREFLIGHT_PROBLEM, "%s", facts->trial.err),
			"boot another kernel; with --log-level debug the verifier's own words are shown");
	else
		find(report, PREFLIGHT_PROGRAMS, PREFLIGHT_OK, "the verifier takes them all");
}

/* What sysctls say is a hazard of net/; the programs themselves say whether they were compiled. */
static void judge_jit(const struct kernel_facts *facts, struct preflight_report *report)
{
	if (find_any(report, PREFLIGHT_JIT))
		return;
	if (!facts->may_ask || facts->trial_ret)
		find(report, PREFLIGHT_JIT, PREFLIGHT_NOTE, "not known: no program was loaded");
	else if (!facts->trial.is_jited)
		find_act(find(report, PREFLIGHT_JIT, PREFLIGHT_WARNING,
			"the programs are interpreted, many times slower"),
			"sysctl -w net.core.bpf_jit_enable=1");
	else
		find(report, PREFLIGHT_JIT, PREFLIGHT_OK, "on; hardening %s",
			facts->harden < 0 ? "cannot be seen from this network namespace" :
			facts->harden ? "for programs of unprivileged users only" : "off");
}

static void judge_unprivileged(const struct kernel_facts *facts, struct preflight_report *report)
{
	struct preflight_finding *f;

	if (facts->unprivileged) {
		find(report, PREFLIGHT_UNPRIVILEGED_BPF, PREFLIGHT_OK, "%s", facts->unprivileged < 0 ?
			"not to be switched on in this kernel" : "off");
		return;
	}
	f = find(report, PREFLIGHT_UNPRIVILEGED_BPF, PREFLIGHT_NOTE,
		"kernel.unprivileged_bpf_disabled=0: every user may load programs");
	find_why(f, "Talon does not need that, and such programs have been the way to read kernel memory, "
		"where session keys lie");
	find_act(f, "sysctl -w kernel.unprivileged_bpf_disabled=1");
}

void judge_kernel(const struct kernel_facts *facts, struct preflight_report *report)
{
	judge_version(facts, report);
	judge_features(facts, report);
	judge_programs(facts, report);
	if (facts->has_btf)
		find(report, PREFLIGHT_BTF, PREFLIGHT_OK, "/sys/kernel/btf/vmlinux is there");
	else
		find_why(find(report, PREFLIGHT_BTF, PREFLIGHT_NOTE, "no /sys/kernel/btf/vmlinux"),
			"Talon does not read it; tools that show or trace programs do");
	judge_jit(facts, report);
	judge_unprivileged(facts, report);
}
