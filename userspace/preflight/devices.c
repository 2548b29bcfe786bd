// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The uplinks: their settings, who else has programs on them, and what they can do.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "net/threads.h"
#include "plane/run.h"
#include "preflight/internal.h"

/* Hazards. */

struct hazard_walk {
	const struct host *host;
	struct preflight_report *report;
};

/* Whether networks are to be served is known from a file; a mesh decides that later. */
static enum preflight_level level_of_forwarding(const struct config *config)
{
	if (!config->mesh.enabled)
		return config->route_count ? PREFLIGHT_PROBLEM : PREFLIGHT_NOTE;
	return config->mesh.agent || config->mesh.disable_server_routes ? PREFLIGHT_NOTE : PREFLIGHT_WARNING;
}

static bool may_serve_ipv6(const struct config *config)
{
	if (config->mesh.enabled)
		return !config->mesh.disable_ipv6;
	for (size_t i = 0; i < config->route_count; i++) {
		if (config->routes[i].dst.family == AF_INET6)
			return config->mesh_len6;
	}
	return false;
}

void judge_hazard(const struct host *host, const struct net_hazard *hazard, struct preflight_report *report)
{
	static const struct {
		enum preflight_check check;
		enum preflight_level level;
	} of[] = {
		[NET_HAZARD_FORWARDING]		= { PREFLIGHT_FORWARDING, PREFLIGHT_PROBLEM },
		[NET_HAZARD_FORWARDING6]	= { PREFLIGHT_FORWARDING, PREFLIGHT_PROBLEM },
		[NET_HAZARD_ACCEPT_RA]		= { PREFLIGHT_FORWARDING, PREFLIGHT_WARNING },
		[NET_HAZARD_GONE]		= { PREFLIGHT_UPLINK, PREFLIGHT_PROBLEM },
		[NET_HAZARD_DOWN]		= { PREFLIGHT_UPLINK, PREFLIGHT_WARNING },
		[NET_HAZARD_LAYERED]		= { PREFLIGHT_UPLINK, PREFLIGHT_NOTE },
		[NET_HAZARD_MASTER]		= { PREFLIGHT_UPLINK, PREFLIGHT_WARNING },
		[NET_HAZARD_CHECKSUM]		= { PREFLIGHT_CHECKSUMS, PREFLIGHT_WARNING },
		[NET_HAZARD_JOINED]		= { PREFLIGHT_OFFLOADS, PREFLIGHT_WARNING },
		[NET_HAZARD_VLAN_TAGS]		= { PREFLIGHT_OFFLOADS, PREFLIGHT_WARNING },
		[NET_HAZARD_RP_FILTER]		= { PREFLIGHT_RP_FILTER, PREFLIGHT_WARNING },
		[NET_HAZARD_SRC_VALID_MARK]	= { PREFLIGHT_SRC_VALID_MARK, PREFLIGHT_WARNING },
		[NET_HAZARD_JIT_HARDEN]		= { PREFLIGHT_JIT, PREFLIGHT_NOTE },
		[NET_HAZARD_JIT_OFF]		= { PREFLIGHT_JIT, PREFLIGHT_WARNING },
	};
	enum preflight_level level = of[hazard->kind].level;
	struct preflight_finding *f;

	if (hazard->kind == NET_HAZARD_FORWARDING)
		level = level_of_forwarding(host->config);
	else if (host->config->mesh.enabled && of[hazard->kind].check == PREFLIGHT_FORWARDING)
		level = PREFLIGHT_NOTE;		/* it may have IPv6 or not */
	f = find(report, of[hazard->kind].check, level, "%s", hazard->what);
	if (hazard->why)
		find_why(f, "%s", hazard->why);
	if (hazard->act)
		find_act(f, "%s", hazard->act);
}

static void take_hazard(const struct net_hazard *hazard, void *user)
{
	struct hazard_walk *walk = user;

	/* A device that was named and is down is a problem already. */
	if (hazard->kind != NET_HAZARD_DOWN || !walk->host->config->uplink_count)
		judge_hazard(walk->host, hazard, walk->report);
}

void judge_no_hazard(struct preflight_report *report)
{
	static const struct {
		enum preflight_check check;
		const char *what;
	} good[] = {
		{ PREFLIGHT_FORWARDING, "the kernel forwards packets that come in by the uplinks" },
		{ PREFLIGHT_RP_FILTER, "not strict where it would matter" },
		{ PREFLIGHT_SRC_VALID_MARK, "off" },
		{ PREFLIGHT_CHECKSUMS, "no uplink is a veth" },
		{ PREFLIGHT_OFFLOADS, "no uplink joins packets or takes tags off" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!find_any(report, good[i].check))
			find(report, good[i].check, PREFLIGHT_OK, "%s", good[i].what);
	}
}

static bool hands_up_by_tunnel(const struct host *host)
{
	bool has_veth = false;

	for (unsigned i = 0; i < host->uplink_count; i++)
		has_veth |= !strcmp(host->uplinks[i].kind, "veth");
	return plane_hands_up_by_tunnel(host->config, has_veth);
}

static void check_hazards(const struct host *host, struct preflight_report *report)
{
	const char *names[TALON_UPLINKS_MAX];
	const struct net_hazard_question question = { .root = host->root, .uplinks = names,
		.count = host->uplink_count, .tunnel = host->config->tunnel,
		.six = may_serve_ipv6(host->config), .by_tunnel = hands_up_by_tunnel(host) };
	struct hazard_walk walk = { host, report };

	for (unsigned i = 0; i < host->uplink_count; i++)
		names[i] = host->uplinks[i].name;
	net_hazards_each(&question, take_hazard, &walk);
	if (host->uplink_count)
		judge_no_hazard(report);
}

/* Other programs. */

static const struct datapath_program *first_at(const struct datapath_programs *programs,
	enum datapath_place place)
{
	for (unsigned i = 0; i < programs->count; i++) {
		if (programs->list[i].place == place)
			return &programs->list[i];
	}
	return NULL;
}

/* "cil_from_netdev (id 17)", or "program id 17" */
static void describe(const struct datapath_program *p, char *text, size_t size)
{
	if (p->name[0])
		snprintf(text, size, "%s (id %u)", p->name, p->id);
	else if (p->id)
		snprintf(text, size, "program id %u", p->id);
	else
		snprintf(text, size, "several programs"); /* one for each XDP mode: the kernel names none */
}

/* Writes the programs at @place that are not ours. Returns their number. */
static unsigned list_foreign(const struct datapath_programs *programs, enum datapath_place place, char *text,
	size_t size)
{
	unsigned count = 0;
	char one[96];

	text[0] = '\0';
	for (unsigned i = 0; i < programs->count; i++) {
		const struct datapath_program *p = &programs->list[i];

		if (p->place != place || p->ours)
			continue;
		describe(p, one, sizeof(one));
		text_append(text, size, "%s%s", count++ ? ", " : "", one);
	}
	return count;
}

static bool is_ours_among(const struct datapath_programs *programs, enum datapath_place place)
{
	for (unsigned i = 0; i < programs->count; i++) {
		if (programs->list[i].place == place && programs->list[i].ours)
			return true;
	}
	return false;
}

static void judge_dispatcher(const struct config *config, const char *device, const char *members,
	struct preflight_report *report)
{
	struct preflight_finding *f = find(report, PREFLIGHT_XDP, PREFLIGHT_NOTE,
		"%s: libxdp's dispatcher%s%s", device, members[0] ? " with " : "", members);

	find_why(f, "Talon joins it with priority %u; where the kernel refuses that, Talon runs at tc, "
		"slower", config->xdp_priority);
}

static void judge_taken_slot(const struct config *config, const char *device, const char *who,
	struct preflight_report *report)
{
	bool must = config->datapath == CONFIG_DATAPATH_XDP ||
		config->datapath == CONFIG_DATAPATH_XDP_GENERIC;
	struct preflight_finding *f = find(report, PREFLIGHT_XDP,
		must ? PREFLIGHT_PROBLEM : PREFLIGHT_WARNING, "%s: the XDP slot is held by %s", device, who);

	if (must) {
		find_why(f, "Datapath = xdp needs that slot, and Talon displaces nobody");
		find_act(f, "write Datapath = auto or tcx, or remove that program");
	} else {
		find_why(f, "Talon displaces nobody and runs at tc instead, slower");
		find_act(f, "nothing; or load that program by libxdp (xdp-loader), whose dispatcher Talon "
			"joins");
	}
}

void judge_xdp(const struct config *config, const char *device, const struct datapath_programs *programs,
	struct preflight_report *report)
{
	bool at_tc = config->datapath == CONFIG_DATAPATH_TCX || config->datapath == CONFIG_DATAPATH_CLSACT;
	const struct datapath_program *slot = first_at(programs, DATAPATH_PLACE_XDP);
	bool is_dispatcher = first_at(programs, DATAPATH_PLACE_DISPATCHER) ||
		(slot && !strcmp(slot->name, "xdp_dispatcher"));
	char who[200];

	if (!slot) {
		find(report, PREFLIGHT_XDP, PREFLIGHT_OK, "%s: the slot is free", device);
		return;
	}
	if (slot->ours || is_ours_among(programs, DATAPATH_PLACE_DISPATCHER)) {
		find(report, PREFLIGHT_XDP, PREFLIGHT_OK, "%s: Talon's own program", device);
		return;
	}
	describe(slot, who, sizeof(who));
	if (at_tc) {
		find(report, PREFLIGHT_XDP, PREFLIGHT_OK, "%s: %s stays alone, as Datapath says",
			device, who);
	} else if (is_dispatcher && config->dispatcher != CONFIG_DISPATCHER_NEVER) {
		list_foreign(programs, DATAPATH_PLACE_DISPATCHER, who, sizeof(who));
		judge_dispatcher(config, device, who, report);
	} else {
		judge_taken_slot(config, device, who, report);
	}
}

/* Those in front of ours, which is first of its list unless somebody came later and put himself there. */
static bool is_preceded(const struct datapath_programs *programs, enum datapath_place place)
{
	const struct datapath_program *first = first_at(programs, place);

	return first && !first->ours && is_ours_among(programs, place);
}

static void judge_place(const char *device, const struct datapath_programs *programs,
	enum datapath_place place, struct preflight_report *report)
{
	bool is_in = place == DATAPATH_PLACE_TCX_IN || place == DATAPATH_PLACE_CLSACT_IN;
	struct preflight_finding *f;
	char who[200];

	if (!list_foreign(programs, place, who, sizeof(who)))
		return;
	if (place == DATAPATH_PLACE_TCX_IN && is_preceded(programs, place)) {
		f = find(report, PREFLIGHT_TC, PREFLIGHT_WARNING, "%s: %s: %s, in front of Talon's", device,
			datapath_place_name(place), who);
		find_why(f, "what it takes, Talon never sees");
		find_act(f, "start that program's owner before Talon");
		return;
	}
	f = find(report, PREFLIGHT_TC, PREFLIGHT_NOTE, "%s: %s: %s", device, datapath_place_name(place), who);
	find_why(f, is_in ? "Talon runs before it and leaves it what is not Talon's" :
		"it does not see what Talon sends by XDP");
}

void judge_tc(const struct config *config, const char *device, const struct datapath_programs *programs,
	struct preflight_report *report)
{
	struct preflight_finding *f;
	size_t before = report->count;

	for (enum datapath_place place = DATAPATH_PLACE_TCX_IN; place <= DATAPATH_PLACE_CLSACT_OUT; place++)
		judge_place(device, programs, place, report);
	if (config->datapath == CONFIG_DATAPATH_CLSACT && programs->has_tcx) {
		f = find(report, PREFLIGHT_TC, PREFLIGHT_WARNING,
			"%s: Datapath = clsact on a kernel with tcx", device);
		find_why(f, "a CNI may delete the filter");
		find_act(f, "write Datapath = auto or tcx");
	}
	if (report->count == before)
		find(report, PREFLIGHT_TC, PREFLIGHT_OK, "%s: no program of others%s", device,
			programs->has_tcx ? "" : "; this kernel has no tcx, so Talon would use clsact");
}

/* Threads. */

void judge_threads(const char *device, int ret, struct preflight_report *report)
{
	char line[PREFLIGHT_TEXT];

	if (!ret) {
		find(report, PREFLIGHT_THREADS, PREFLIGHT_OK, "%s can have one of its own", device);
		return;
	}
	net_threads_explain(device, ret, line, sizeof(line));
	find_line(report, PREFLIGHT_THREADS, PREFLIGHT_WARNING, line);
}

static void check_threads(const struct host *host, struct preflight_report *report)
{
	enum config_uplink_threads wish = host->config->uplink_threads;

	for (unsigned i = 0; i < host->uplink_count; i++) {
		const struct net_link *link = &host->uplinks[i];

		if (wish == CONFIG_UPLINK_THREADS_ON ||
			(wish == CONFIG_UPLINK_THREADS_AUTO && !strcmp(link->kind, "veth")))
			judge_threads(link->name, net_threads_check(link->name, link->ifindex), report);
	}
	if (host->uplink_count && !find_any(report, PREFLIGHT_THREADS))
		find(report, PREFLIGHT_THREADS, PREFLIGHT_OK, "none is wanted");
}

/* Redirects. */

struct redirect_walk {
	const struct host *host;
	struct redirect_facts *facts;
};

static void take_redirect(int ifindex, bool takes, void *user)
{
	struct redirect_walk *walk = user;

	for (unsigned i = 0; i < walk->host->uplink_count; i++) {
		if (walk->host->uplinks[i].ifindex == ifindex) {
			walk->facts->uplink_takes[i] = takes;
			return;
		}
	}
	*(takes ? &walk->facts->takes : &walk->facts->refuses) += ifindex != 1;	/* lo */
}

void judge_redirect(const struct host *host, const struct redirect_facts *facts,
	struct preflight_report *report)
{
	struct preflight_finding *f;

	if (facts->ret == -EOPNOTSUPP) {
		f = find(report, PREFLIGHT_REDIRECT, PREFLIGHT_NOTE,
			"this kernel does not tell which devices take redirected frames (Linux 6.3 does)");
		find_why(f, "Talon redirects to its native uplinks only; frames for other devices make a "
			"detour");
		return;
	}
	if (facts->ret) {
		find(report, PREFLIGHT_REDIRECT, PREFLIGHT_NOTE, "the devices cannot be asked: %s",
			strerror(-facts->ret));
		return;
	}
	for (unsigned i = 0; i < host->uplink_count && host->uplink_count > 1; i++) {
		if (facts->uplink_takes[i])
			continue;
		f = find(report, PREFLIGHT_REDIRECT, PREFLIGHT_NOTE, "%s takes no redirected frames now",
			host->uplinks[i].name);
		find_why(f, "frames from another uplink make a detour, unless its driver takes them once "
			"Talon is attached");
	}
	find(report, PREFLIGHT_REDIRECT, PREFLIGHT_OK, "of the devices that are no uplinks, %u %s redirected "
		"frames; for the other %u they make a detour by %srp", facts->takes,
		facts->takes == 1 ? "takes" : "take", facts->refuses, host->config->tunnel);
}

static void check_redirect(const struct host *host, struct preflight_report *report)
{
	struct redirect_facts facts = {};
	struct redirect_walk walk = { host, &facts };

	facts.ret = net_redirect_list(take_redirect, &walk);
	judge_redirect(host, &facts, report);
}

void check_devices(const struct host *host, struct preflight_report *report)
{
	check_hazards(host, report);
	for (unsigned i = 0; i < host->uplink_count; i++) {
		judge_xdp(host->config, host->uplinks[i].name, &host->programs[i], report);
		judge_tc(host->config, host->uplinks[i].name, &host->programs[i], report);
	}
	check_redirect(host, report);
	check_threads(host, report);
}
