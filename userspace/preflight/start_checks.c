// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What `talon up` refuses, asked by the same functions; and what it would refuse a little later.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "host/uplink_choice.h"
#include "metrics/listen.h"
#include "preflight/internal.h"

void judge_controller(const struct host *host, struct preflight_report *report)
{
	const char *base = host->config->pin_dir;
	struct preflight_finding *f;
	char pid[24] = "";

	if (host->pid)
		snprintf(pid, sizeof(pid), " (pid %u)", host->pid);
	if (host->is_running) {
		f = find(report, PREFLIGHT_CONTROLLER, PREFLIGHT_NOTE, "Talon runs on %s%s", base, pid);
		find_why(f, "what it holds is no clash; another one needs another pin directory");
	} else if (host->running_port) {
		find(report, PREFLIGHT_CONTROLLER, PREFLIGHT_OK,
			"none runs; %s has a datapath, which the next one takes over", base);
	} else {
		find(report, PREFLIGHT_CONTROLLER, PREFLIGHT_OK, "none runs on %s", base);
	}
}

/* Talon beside us: its lock, port and devices are no clashes. */
static void read_controller(struct host *host)
{
	const char *base = host->config->pin_dir;
	int fd = datapath_map_open(base, DATAPATH_MAP_CONFIG);
	struct talon_config running;
	const __u32 zero = 0;

	if (fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &running))
		host->running_port = ntohs(running.listen_port);
	if (fd >= 0)
		close(fd);
	host->is_running = datapath_is_held(base, &host->pid);
}

void judge_capabilities(__u64 effective, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN];
	struct preflight_finding *f;

	if (preflight_check_capabilities(effective, why, sizeof(why))) {
		find_line(report, PREFLIGHT_CAPABILITIES, PREFLIGHT_PROBLEM, why);
		return;
	}
	if (effective & 1ULL << CAP_SYS_ADMIN) {
		find(report, PREFLIGHT_CAPABILITIES, PREFLIGHT_OK,
			"CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_RAW; CAP_SYS_ADMIN too");
		return;
	}
	f = find(report, PREFLIGHT_CAPABILITIES, PREFLIGHT_NOTE,
		"CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_NET_RAW, without CAP_SYS_ADMIN");
	find_why(f, "names of foreign programs and libxdp's dispatcher cannot be read, and no bpf file "
		"system can be mounted; all else works");
}

void judge_pin_dir(const struct host *host, int ret, const char *why, struct preflight_report *report)
{
	if (!ret)
		find(report, PREFLIGHT_PIN_DIR, PREFLIGHT_OK, "%s is on a bpf file system",
			host->config->pin_dir);
	else if (ret == START_CAN_MOUNT && host->capabilities & 1ULL << CAP_SYS_ADMIN)
		find_act(find_line(report, PREFLIGHT_PIN_DIR, PREFLIGHT_NOTE, why),
			"nothing: talon up mounts it");
	else
		find_line(report, PREFLIGHT_PIN_DIR, PREFLIGHT_PROBLEM, why);
}

static void check_pin_dir(const struct host *host, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN];
	int ret = start_judge_pin_dir(host->config->pin_dir, why, sizeof(why));

	judge_pin_dir(host, ret, why, report);
}

void judge_tunnel(const struct config *config, int ret, struct preflight_report *report)
{
	struct preflight_finding *f;

	if (!ret) {
		find(report, PREFLIGHT_TUNNEL, PREFLIGHT_OK, "%s is Talon's own", config->tunnel);
		return;
	}
	if (ret == -ENODEV) {
		find(report, PREFLIGHT_TUNNEL, PREFLIGHT_OK, "%s is free", config->tunnel);
		return;
	}
	f = find(report, PREFLIGHT_TUNNEL, PREFLIGHT_PROBLEM, ret == -EEXIST ?
		"a device %s, or one of its three companions (p, r, rp), exists and is not Talon's" :
		"%s: the devices cannot be listed", config->tunnel);
	find_act(f, "end the program that made it (NetBird's client has a wt0 too), or write another name: "
		"Tunnel, --tunnel");
}

static void check_tunnel(const struct config *config, struct preflight_report *report)
{
	char far[IFNAMSIZ], relay[IFNAMSIZ], relay_far[IFNAMSIZ];
	int ret, second;

	snprintf(far, sizeof(far), "%.14sp", config->tunnel);
	snprintf(relay, sizeof(relay), "%.13sr", config->tunnel);
	snprintf(relay_far, sizeof(relay_far), "%.13srp", config->tunnel);
	ret = net_tunnel_find(config->tunnel, far, config->pin_dir);
	second = net_tunnel_find(relay_far, relay, config->pin_dir);
	judge_tunnel(config, ret && ret != -ENODEV ? ret : second && second != -ENODEV ? second : ret,
		report);
}

static void list_uplinks(struct host *host)
{
	const struct config *config = host->config;
	struct net_link links[TALON_UPLINKS_MAX];
	struct uplink_choice choice = {};
	unsigned count;

	for (size_t i = 0; i < config->uplink_count; i++)
		host->uplink_count += !net_link_get(config->uplinks[i], &host->uplinks[host->uplink_count]);
	if (config->uplink_count || net_default_uplinks(links, &count))
		return;
	uplink_choose(links, count, NULL, 0, &choice);
	memcpy(host->uplinks, choice.links, sizeof(host->uplinks));
	host->uplink_count = choice.count;
}

void judge_uplinks(const struct host *host, int ret, const char *why, struct preflight_report *report)
{
	if (ret) {
		find_line(report, PREFLIGHT_UPLINK, PREFLIGHT_PROBLEM, why);
		return;
	}
	for (unsigned i = 0; i < host->uplink_count; i++) {
		const struct net_link *link = &host->uplinks[i];

		find(report, PREFLIGHT_UPLINK, PREFLIGHT_OK, "%s%s%s%s%s%s", link->name,
			link->kind[0] ? ", a " : "", link->kind, link->driver[0] ? ", driver " : "",
			link->driver, host->config->uplink_count ? "" : ", by the default route");
	}
}

static void check_uplinks(struct host *host, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN] = "";
	int ret = start_check_uplinks(host->config, why, sizeof(why));

	list_uplinks(host);
	start_name_flags(host->config, why, sizeof(why));
	judge_uplinks(host, ret, why, report);
}

void judge_mtu(const struct host *host, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN];

	for (unsigned i = 0; i < host->uplink_count; i++) {
		const struct net_link *link = &host->uplinks[i];

		if (uplink_check_mtu(link, host->config->mtu, why, sizeof(why)))
			find_line(report, PREFLIGHT_MTU, PREFLIGHT_PROBLEM, why);
		else
			find(report, PREFLIGHT_MTU, PREFLIGHT_OK, "%u in the tunnel fits through %s (%u)",
				host->config->mtu, link->name, link->mtu);
	}
}

void judge_port(const struct host *host, int ret, const char *why, struct preflight_report *report)
{
	__u16 port = host->config->listen_port;

	if (!ret)
		find(report, PREFLIGHT_PORT, PREFLIGHT_OK, "UDP port %u is free on IPv4 and IPv6", port);
	else if (ret == -EADDRINUSE && host->is_running && host->running_port == port)
		find(report, PREFLIGHT_PORT, PREFLIGHT_OK,
			"UDP port %u is that of the Talon that runs", port);
	else
		find_line(report, PREFLIGHT_PORT, PREFLIGHT_PROBLEM, why);
}

static void check_port(const struct host *host, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN] = "";
	int ret = preflight_check_port(host->config->listen_port, why, sizeof(why));

	start_name_flags(host->config, why, sizeof(why));
	judge_port(host, ret, why, report);
}

/* A controller that runs may serve there: that is not asked, so it is not held against the place. */
void judge_metrics(const struct host *host, int ret, const char *why, struct preflight_report *report)
{
	const struct config_metrics *metrics = &host->config->metrics;
	char name[METRICS_PLACE_LEN];

	metrics_place_name(metrics, name);
	if (!metrics->family)
		find(report, PREFLIGHT_METRICS, PREFLIGHT_OK, "metrics are not to be served");
	else if (!ret)
		find(report, PREFLIGHT_METRICS, PREFLIGHT_OK, "%s is free", name);
	else if (ret == -EADDRINUSE && host->is_running)
		find(report, PREFLIGHT_METRICS, PREFLIGHT_OK, "%s is in use while Talon runs", name);
	else
		find_line(report, PREFLIGHT_METRICS, metrics->is_given ? PREFLIGHT_PROBLEM
			: PREFLIGHT_WARNING, why);
}

static void check_metrics(const struct host *host, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN] = "";
	int ret = preflight_check_metrics(&host->config->metrics, why, sizeof(why));

	start_name_flags(host->config, why, sizeof(why));
	judge_metrics(host, ret, why, report);
}

void judge_endpoints(int ret, const char *why, struct preflight_report *report)
{
	if (ret)
		find_line(report, PREFLIGHT_ENDPOINTS, PREFLIGHT_PROBLEM, why);
	else
		find(report, PREFLIGHT_ENDPOINTS, PREFLIGHT_OK, "no device is missing");
}

static void check_endpoints(const struct config *config, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN] = "";

	judge_endpoints(start_check_zones(config, why, sizeof(why)), why, report);
}

static void check_memory(const struct host *host, struct preflight_report *report)
{
	struct memory_facts facts;

	memory_read(host->config, host->root, &facts);
	judge_memory(&facts, report);
}

void check_start(struct host *host, struct preflight_report *report)
{
	char why[CONFIG_WHY_LEN];
	int ret;

	read_controller(host);
	judge_controller(host, report);
	ret = start_read_capabilities(&host->capabilities);
	if (ret) {
		start_explain_proc(ret, why, sizeof(why));
		find_line(report, PREFLIGHT_CAPABILITIES, PREFLIGHT_PROBLEM, why);
	} else {
		judge_capabilities(host->capabilities, report);
		host->may_ask = !preflight_check_capabilities(host->capabilities | 1ULL << CAP_NET_RAW, why,
			sizeof(why));
	}
	check_pin_dir(host, report);
	check_memory(host, report);
	check_tunnel(host->config, report);
	check_uplinks(host, report);
	judge_mtu(host, report);
	check_port(host, report);
	check_metrics(host, report);
	check_endpoints(host->config, report);
}
