// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Uplinks, which carry our programs: they follow the default route, renames, and devices that come back.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plane/internal.h"
#include "host/uplink_choice.h"
#include "log/log.h"
#include "net/threads.h"

static void name_options(struct plane *p, unsigned count)
{
	struct datapath_options *o = &p->options;

	for (unsigned i = 0; i < count; i++)
		o->uplinks[i] = p->uplinks.names[i];
	o->uplink_count = count;
}

static void keep_names(struct plane *p, const struct net_link *links, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memcpy(p->uplinks.names[i], links[i].name, IFNAMSIZ);
	name_options(p, count);
}

/* Resolves alternative names to the devices' own. */
static unsigned find_configured(struct plane *p, struct net_link *links, const char **ret_missing)
{
	const struct config *config = p->config;
	unsigned count = 0;

	*ret_missing = NULL;
	for (size_t i = 0; i < config->uplink_count; i++) {
		struct net_link *link = &links[count];

		if (net_link_get_index(p->uplinks.configured[i], link) &&
			net_link_get(config->uplinks[i], link)) {
			*ret_missing = config->uplinks[i];
			continue;
		}
		p->uplinks.configured[i] = link->ifindex;
		count++;
	}
	return count;
}

int uplinks_choose(struct plane *p, char *err, size_t errlen)
{
	struct net_link links[TALON_UPLINKS_MAX];
	struct uplink_choice choice = {};
	const char *missing;
	unsigned count;

	if (p->config->uplink_count) {
		count = find_configured(p, links, &missing);
		keep_names(p, links, count);
		if (!missing)
			return 0;
		snprintf(err, errlen, "Uplink: there is no device %s", missing);
		return -ENODEV;
	}
	_Static_assert(NET_DEFAULT_MAX == TALON_UPLINKS_MAX, "one place each");
	if (!net_default_uplinks(links, &count))
		uplink_choose(links, count, NULL, 0, &choice);
	if (!choice.count) {
		snprintf(err, errlen, "Uplink: %s; write Uplink = DEVICE",
			 choice.why[0] ? choice.why : "there is no default route to take the device from");
		return -ENOENT;
	}
	keep_names(p, choice.links, choice.count);
	return 0;
}

void uplinks_describe(struct plane *p)
{
	char *text = p->info.uplinks;
	size_t len = 0;

	memset(text, 0, sizeof(p->info.uplinks));
	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++)
		len += snprintf(text + len, sizeof(p->info.uplinks) - len, "%s%s", i ? ", " : "",
			datapath_get_uplink(p->dp, i)->name);
}

void uplinks_describe_mode(struct plane *p)
{
	snprintf(p->info.mode, sizeof(p->info.mode), "%s", datapath_mode_name(datapath_get_mode(p->dp)));
	snprintf(p->info.why, sizeof(p->info.why), "%s", datapath_get_why(p->dp));
}

/* In the log when it is new, and in status. Where a person asked for threads, they are told of any reason. */
static void set_no_threads(struct plane *p, const char *line)
{
	if (!strcmp(line, p->uplinks.threads))
		return;
	if (*line)
		log_warn("%s", line);
	snprintf(p->uplinks.threads, sizeof(p->uplinks.threads), "%s", line);
	if (p->is_ready)
		hazards_update(p);
}

/*
 * A veth runs the receiver's work in the sender's context, so our work would be charged to the sender:
 * use NAPI threads.
 */
void uplinks_start_threads(struct plane *p)
{
	char line[sizeof(p->uplinks.threads)] = "";

	const struct datapath_tunnel_info *relay = p->config->mesh.enabled ? datapath_get_relay(p->dp) : NULL;
	enum config_uplink_threads wish = p->config->uplink_threads;

	for (unsigned int i = 0; i < datapath_uplink_count(p->dp); i++) {
		const struct datapath_uplink *uplink = datapath_get_uplink(p->dp, i);
		bool is_on = false;
		int ret;

		if (wish == CONFIG_UPLINK_THREADS_OFF ||
			(wish == CONFIG_UPLINK_THREADS_AUTO && strcmp(uplink->kind, "veth") != 0))
			continue;
		ret = net_threads_get(uplink->name, uplink->ifindex, &is_on);
		if (!ret && is_on)
			continue;
		if (!ret)
			ret = net_threads_set(uplink->name, uplink->ifindex, true);
		if (!ret)
			p->info.threaded |= 1U << i;
		else
			net_threads_explain(uplink->name, ret, line, sizeof(line));
	}
	set_no_threads(p, line);
	/* Our own pair, removed with the datapath. Here the sender is this process. */
	if (relay && wish != CONFIG_UPLINK_THREADS_OFF)
		(void)net_threads_set(relay->name, relay->ifindex, true);
}

static unsigned list_present(const struct plane *p, struct net_link *links)
{
	unsigned count = 0;

	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++)
		count += !net_link_get_index(datapath_get_uplink(p->dp, i)->ifindex, &links[count]);
	return count;
}

/* Fills @choice with what the uplinks should be now. */
static int choose_now(struct plane *p, struct uplink_choice *choice)
{
	struct net_link links[TALON_UPLINKS_MAX], present[TALON_UPLINKS_MAX];
	const char *missing;
	unsigned count;
	int ret;

	if (p->config->uplink_count) {
		choice->count = find_configured(p, choice->links, &missing);
		if (missing)
			snprintf(choice->why, sizeof(choice->why), "device %s is gone", missing);
		return 0;
	}
	ret = net_default_uplinks(links, &count);
	if (!ret)
		uplink_choose(links, count, present, list_present(p, present), choice);
	return ret;
}

/* Logs a change once. */
static void set_trouble(struct plane *p, const char *why)
{
	char line[sizeof(p->uplinks.trouble)] = "";

	if (*why)
		snprintf(line, sizeof(line), "uplinks: %s", why);
	if (!strcmp(line, p->uplinks.trouble))
		return;
	if (line[0])
		log_warn("%s", line);
	else
		log_info("uplinks: as they should be again");
	strcpy(p->uplinks.trouble, line);
	p->info.blocks &= ~TALON_BLOCK_UPLINK;
	p->info.blocks |= line[0] ? TALON_BLOCK_UPLINK : 0;
	hazards_update(p);
}

static bool is_among(const struct net_link *links, unsigned count, int ifindex)
{
	for (unsigned i = 0; i < count; i++) {
		if (links[i].ifindex == ifindex)
			return true;
	}
	return false;
}

/*
 * The bits of info.threaded go by position: those of uplinks that stay move along, the others are
 * cleared and their threads switched off.
 */
static void move_threads(struct plane *p, const struct datapath_uplink *old, unsigned old_count)
{
	uint32_t bits = p->info.threaded;

	p->info.threaded = 0;
	for (unsigned i = 0; i < old_count; i++) {
		bool stays = false;

		if (!(bits & 1U << i))
			continue;
		for (unsigned j = 0; j < datapath_uplink_count(p->dp); j++) {
			if (datapath_get_uplink(p->dp, j)->ifindex != old[i].ifindex)
				continue;
			stays = true;
			p->info.threaded |= 1U << j;
		}
		if (!stays)
			(void)net_threads_set(old[i].name, old[i].ifindex, false);
	}
}

/*
 * Peers whose last packet came in by a device that is no longer an uplink: answers use the host's route
 * and its source address from now on. A mesh chooses ways itself and is notified of the change.
 */
static void leave_endpoints(struct plane *p, const struct datapath_uplink *old, unsigned old_count,
	const struct net_link *links, unsigned count)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		struct endpoint to;
		struct talon_endpoint e;
		bool was = false;

		if (!p->infos[i].present || endpoints_read(&p->endpoints, i, &e) || !e.in_ifindex ||
			e.flags & TALON_ENDPOINT_RELAY || is_among(links, count, e.in_ifindex))
			continue;
		for (unsigned j = 0; j < old_count; j++)
			was |= (uint32_t)old[j].ifindex == e.in_ifindex;
		if (!was)
			continue;
		e.in_ifindex = 0;
		if (!(e.flags & TALON_ENDPOINT_PINNED)) {
			memset(&e.local, 0, sizeof(e.local));
			endpoints_from_map(&e, &to);
			endpoints_choose_local(&p->endpoints, &to);
			e.local = to.local;
			device_set_peer_endpoint(p->device, i, &to);
		}
		endpoints_leave_device(&p->endpoints, i, &e);
	}
}

void uplinks_repair_endpoints(struct plane *p)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		struct talon_endpoint e;
		struct net_link link;

		if (!p->infos[i].present || endpoints_read(&p->endpoints, i, &e) || !e.in_ifindex ||
			e.flags & TALON_ENDPOINT_RELAY || net_link_get_index(e.in_ifindex, &link) != -ENODEV)
			continue;
		endpoints_leave_device(&p->endpoints, i, &e);
	}
}

static void take_over(struct plane *p, const struct uplink_choice *choice)
{
	struct datapath_uplink old[TALON_UPLINKS_MAX];
	unsigned old_count = datapath_uplink_count(p->dp);
	char before[sizeof(p->info.uplinks)], err[300];
	bool moved = false;
	int ret;

	for (unsigned i = 0; i < old_count; i++)
		old[i] = *datapath_get_uplink(p->dp, i);
	memcpy(before, p->info.uplinks, sizeof(before));
	ret = datapath_follow(p->dp, choice->links, choice->count, err, sizeof(err));
	if (ret) {
		set_trouble(p, err);
		return;
	}
	moved = old_count != choice->count;
	for (unsigned i = 0; i < old_count; i++)
		moved |= !is_among(choice->links, choice->count, old[i].ifindex);
	keep_names(p, choice->links, choice->count);
	uplinks_describe(p);
	log_info("uplinks: %s (were %s)", p->info.uplinks, before);
	if (moved) {
		move_threads(p, old, old_count);
		if (map_config_set_modes(p, err, sizeof(err)))
			log_warn("%s", err);
		uplinks_describe_mode(p);
		uplinks_start_threads(p);
		leave_endpoints(p, old, old_count, choice->links, choice->count);
		p->sees_change = true;
	}
	set_trouble(p, choice->why);
	hazards_update(p);
}

static bool is_as_chosen(const struct plane *p, const struct uplink_choice *choice)
{
	if (datapath_uplink_count(p->dp) != choice->count)
		return false;
	for (unsigned i = 0; i < choice->count; i++) {
		const struct datapath_uplink *uplink = datapath_get_uplink(p->dp, i);

		if (uplink->ifindex != choice->links[i].ifindex ||
			strcmp(uplink->name, choice->links[i].name))
			return false;
	}
	return true;
}

bool uplinks_follow(struct plane *p)
{
	struct uplink_choice choice = {};

	if (choose_now(p, &choice))
		return true;	/* the kernel did not answer; the next event tries again */
	if (choice.count && !is_as_chosen(p, &choice))
		take_over(p, &choice);
	else
		set_trouble(p, choice.why);
	return choice.count;
}

static bool is_down(const struct datapath_tunnel_info *pair)
{
	struct net_link link;

	return (!net_link_get_index(pair->ifindex, &link) && !link.up) ||
		(!net_link_get_index(pair->far_ifindex, &link) && !link.up);
}

void uplinks_raise_tunnel(struct plane *p)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(p->dp),
		*relay = datapath_get_relay(p->dp);
	bool relay_down = is_down(relay);
	char err[300];

	if (!relay_down && !is_down(tunnel))
		return;
	if (datapath_tunnel(p->dp, err, sizeof(err))) {
		log_warn("%s", err);
		return;
	}
	log_warn("%s was set down by somebody; it is up again", relay_down ? relay->name : tunnel->name);
	p->tunnel_changed = true;	/* its routes went */
	if (relay_down)
		pair_close(&p->pair);
}

/* Networks for which packets of peers are routed on; what this host serves itself needs no forwarding. */
static bool forwards(const struct plane *p)
{
	return p->routes.count > 0;
}

void uplinks_check_forwarding(struct plane *p)
{
	const char *names[TALON_UPLINKS_MAX];
	unsigned count = datapath_uplink_count(p->dp);
	char why[sizeof(p->uplinks.forwarding)] = "";

	for (unsigned i = 0; i < count; i++)
		names[i] = datapath_get_uplink(p->dp, i)->name;
	if (forwards(p))
		net_forwarding_is_off(AF_INET, names, count, why, sizeof(why));
	if (!why[0] && inner6_forwards(p))
		net_forwarding_is_off(AF_INET6, names, count, why, sizeof(why));
	if (!strcmp(why, p->uplinks.forwarding))
		return;
	if (why[0])
		log_warn("%s", why);
	else
		log_info("the kernel forwards again");
	strcpy(p->uplinks.forwarding, why);
	p->sees_change = true;		/* the FIB answers otherwise now */
	p->info.blocks &= ~TALON_BLOCK_FORWARDING;
	p->info.blocks |= why[0] ? TALON_BLOCK_FORWARDING : 0;
	hazards_update(p);
}

const char *plane_why_not(const struct plane *p)
{
	return p->uplinks.trouble[0] ? p->uplinks.trouble : p->uplinks.forwarding;
}
