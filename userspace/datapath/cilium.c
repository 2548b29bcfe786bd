// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Beside Cilium: whose the XDP slot is, and where its programs are missing.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

const char *datapath_cilium_sign(void)
{
	static const char *const devices[] = { "cilium_host", "cilium_net" };
	struct net_link link;

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (!net_link_get(devices[i], &link))
			return devices[i];
	}
	return access("/sys/fs/bpf/cilium", F_OK) ? NULL : "/sys/fs/bpf/cilium";
}

/* Without CAP_SYS_ADMIN nobody's programs have names. */
static bool may_be_ciliums(const struct datapath_program *program)
{
	return !program->ours && (!program->name[0] || !strncmp(program->name, "cil_", 4));
}

static bool has_ciliums(const struct datapath *dp, int ifindex, enum datapath_place tcx,
	enum datapath_place clsact)
{
	struct datapath_programs programs;

	if (datapath_look(dp->base, ifindex, &programs))
		return false;
	for (unsigned i = 0; i < programs.count; i++) {
		const struct datapath_program *p = &programs.list[i];

		if ((p->place == tcx || p->place == clsact) && may_be_ciliums(p))
			return true;
	}
	return false;
}

const struct datapath_uplink *cilium_wants_slot_of(const struct datapath *dp)
{
	for (unsigned i = 0; i < dp->uplink_count; i++) {
		if (dp->uplinks[i].mode == DATAPATH_XDP)
			return datapath_cilium_sign() ? &dp->uplinks[i] : NULL;
	}
	return NULL;
}

int datapath_cilium_hazards(const struct datapath *dp, char *text, size_t len)
{
	const struct datapath_uplink *taken;
	int lines = 0;
	size_t at = 0;

	text[0] = '\0';
	if (!datapath_cilium_sign())
		return 0;
	for (unsigned i = 0; i < dp->uplink_count && !lines; i++) {
		if (!has_ciliums(dp, dp->uplinks[i].ifindex, DATAPATH_PLACE_TCX_IN,
			DATAPATH_PLACE_CLSACT_IN) ||
			has_ciliums(dp, dp->tunnel.ifindex, DATAPATH_PLACE_TCX_OUT,
			DATAPATH_PLACE_CLSACT_OUT))
			continue;
		at = snprintf(text, len,
			"Cilium has programs on %s and none on %s: NodePorts and load balancer addresses of "
			"this node answer peers from the wrong address or not at all (name %s and %s in "
			"Cilium's devices)\n", dp->uplinks[i].name, dp->tunnel.name, dp->uplinks[i].name,
			dp->tunnel.name);
		lines++;
	}
	taken = cilium_wants_slot_of(dp);
	if (taken && at < len) {
		snprintf(text + at, len - at,
			"Talon has the XDP slot of %s: with loadBalancer.acceleration=native Cilium's agent "
			"does not start (write Datapath = auto)\n", taken->name);
		lines++;
	}
	return lines;
}
