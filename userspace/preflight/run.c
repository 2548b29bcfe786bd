// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// All checks.
#include <stdlib.h>

#include "preflight/internal.h"

static void look_at_programs(struct host *host)
{
	struct net_link link;

	for (unsigned i = 0; i < host->uplink_count; i++)
		(void)datapath_look(host->config->pin_dir, host->uplinks[i].ifindex, &host->programs[i]);
	host->has_tunnel = !net_link_get(host->config->tunnel, &link) &&
		!datapath_look(host->config->pin_dir, link.ifindex, &host->tunnel);
}

static void run(struct host *host, struct signs *signs, struct preflight_report *report)
{
	struct conntrack_facts conntrack;
	struct kernel_facts kernel;

	check_start(host, report);
	look_at_programs(host);
	judge_nat_ports(host->config, host->root, report);
	check_devices(host, report);
	kernel_read(host, &kernel);
	judge_kernel(&kernel, report);
	signs_read(host, signs);
	judge_cni(signs, report);
	judge_kube_proxy(signs, report);
	judge_cilium(host, signs, report);
	conntrack_read(host->root, &conntrack);
	judge_conntrack(&conntrack, signs, report);
	check_clock(report);
	check_state(host->config, report);
	find_unseen(report);
}

void preflight_run(const struct config *config, const char *root, struct preflight_report *ret_report)
{
	struct host *host = calloc(1, sizeof(*host));
	struct signs *signs = calloc(1, sizeof(*signs));

	*ret_report = (struct preflight_report){};
	if (host && signs) {
		host->config = config;
		host->root = root;
		run(host, signs, ret_report);
	} else {
		find(ret_report, PREFLIGHT_CONTROLLER, PREFLIGHT_PROBLEM, "out of memory");
	}
	free(host);
	free(signs);
}
