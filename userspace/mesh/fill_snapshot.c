// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fills the snapshot that the control socket answers with: everything that people are shown.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/internal.h"

#define RELAYS_MAX 32
#define STUNS_MAX 8
#define FINAL_WARNING_MINUTES 2

/* Without memory the text is empty, never NULL: asking for the status must not end the process. */
static char *text(const char *from)
{
	char *copy = strdup(from ? from : "");

	return copy ? copy : calloc(1, 1);
}

static char *cidr_text(const struct cidr *cidr)
{
	char addr[INET6_ADDRSTRLEN] = "", whole[INET6_ADDRSTRLEN + 5];

	inet_ntop(cidr->family, &cidr->addr, addr, sizeof(addr));
	snprintf(whole, sizeof(whole), "%s/%u", addr, cidr->prefixlen);
	return text(whole);
}

static char *addr_text(__be32 addr)
{
	char whole[INET_ADDRSTRLEN];

	return text(inet_ntop(AF_INET, &addr, whole, sizeof(whole)));
}

/* "" for none. */
static char *addr6_text(const struct talon_addr *addr)
{
	char whole[INET6_ADDRSTRLEN];

	return text(addr6_is_zero(addr) ? "" : inet_ntop(AF_INET6, addr, whole, sizeof(whole)));
}

static char *endpoint_text(const struct endpoint *endpoint)
{
	char whole[ENDPOINT_TEXT_LEN];

	if (!endpoint_is_known(endpoint))
		return text("");
	endpoint_format(endpoint, whole);
	return text(whole);
}

static void *array(size_t count, size_t size)
{
	return count ? calloc(count, size) : NULL;
}

static char *join(char *const *list, size_t count)
{
	size_t len = 1;
	char *whole;

	for (size_t i = 0; i < count; i++)
		len += strlen(list[i]) + 2;
	whole = calloc(1, len);
	for (size_t i = 0; whole && i < count; i++) {
		strcat(whole, i ? ", " : "");
		strcat(whole, list[i]);
	}
	return whole ? whole : text("");
}

static char *route_text(const struct cidr *net, char *const *domains, size_t count)
{
	return net->family ? cidr_text(net) : join(domains, count);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The networks that we serve, without duplicates. */
static void fill_own(struct mesh *mesh, struct snapshot *s)
{
	const struct netmap *map = &mesh->now.update.map;

	s->networks = array(map->route_count, sizeof(*s->networks));
	for (size_t i = 0; s->networks && i < map->route_count; i++) {
		const struct netmap_route *route = &map->routes[i];
		char *name;
		bool is_there = false;

		if (memcmp(route->router, mesh->identity.public_key, KEY_LEN) != 0)
			continue;
		name = route_text(&route->net, route->domains, route->domain_count);
		for (size_t j = 0; j < s->network_count; j++)
			is_there |= !strcmp(s->networks[j], name);
		if (is_there)
			free(name);
		else
			s->networks[s->network_count++] = name;
	}
	if (s->network_count)
		qsort(s->networks, s->network_count, sizeof(*s->networks), by_text);
}

static bool goes_by(const struct choose_group *group, const uint8_t *key)
{
	return group->usable && group->current < group->member_count &&
		!memcmp(group->members[group->current].key, key, KEY_LEN);
}

/* Counted first, so that no room is wasted: of thousands of peers most are not routers. */
static void fill_peer_networks(struct mesh *mesh, const uint8_t *key, struct snapshot_peer *p)
{
	size_t count = 0;

	for (size_t i = 0; i < mesh->choose.group_count; i++)
		count += goes_by(&mesh->choose.groups[i], key);
	p->networks = array(count, sizeof(*p->networks));
	for (size_t i = 0; p->networks && i < mesh->choose.group_count; i++) {
		const struct choose_group *group = &mesh->choose.groups[i];

		if (goes_by(group, key))
			p->networks[p->network_count++] = route_text(&group->net, group->domains,
				group->domain_count);
	}
}

/* Plain WireGuard, which says nothing by signal: connected as long as a session can send. */
static bool is_roaming(const struct mesh *mesh, const struct peer_info *info)
{
	struct plane_facts facts;

	return info->roams && !plane_get_facts(mesh->plane, info->id, &facts) && facts.has_session;
}

static const char *status_text(enum peer_status status)
{
	return status == PEER_CONNECTED ? "Connected" : status == PEER_IDLE ? "Idle" : "Connecting";
}

static void fill_peer(struct mesh *mesh, const struct netmap_peer *peer, struct snapshot_peer *p)
{
	char key[KEY_BASE64_LEN + 1];
	struct peer_info info = { .status = PEER_IDLE };
	struct plane_facts facts = {};
	bool is_direct;

	peers_get(mesh->peers, peer->key, &info);
	key_to_base64(peer->key, key);
	is_direct = info.status == PEER_CONNECTED && info.way == PLANE_DIRECT;
	if (is_roaming(mesh, &info))
		info.status = PEER_CONNECTED;
	*p = (struct snapshot_peer){
		.fqdn = text(peer->fqdn),
		.ip = addr_text(peer->addr),
		.address6 = addr6_text(&peer->addr6),
		.public_key = text(key),
		.status = text(status_text(info.status)),
		.status_ns = info.changed_unix_ns,
		.relayed = info.way == PLANE_RELAY,
		.ice_local_type = text(is_direct ? ice_candidate_type_name(info.pair.local_type) : ""),
		.ice_remote_type = text(is_direct ? ice_candidate_type_name(info.pair.remote_type) : ""),
		.ice_local_endpoint = is_direct ? endpoint_text(&info.pair.local) : text(""),
		.ice_remote_endpoint = is_direct ? endpoint_text(&info.pair.path) : text(""),
		.relay = text(info.has_relay ? info.relay : ""),
		.latency_ns = info.latency_ns,
	};
	if (info.status == PEER_CONNECTED && !plane_get_facts(mesh->plane, info.id, &facts)) {
		p->handshake_ns = facts.handshake_unix_s * LOOP_SECOND;
		p->rx_bytes = facts.rx_bytes;
		p->tx_bytes = facts.tx_bytes;
	}
	if (info.status == PEER_CONNECTED)
		fill_peer_networks(mesh, peer->key, p);
}

static void fill_peers(struct mesh *mesh, struct snapshot *s)
{
	const struct netmap *map = &mesh->now.update.map;

	s->peers = array(map->peer_count + map->offline_count, sizeof(*s->peers));
	for (size_t i = 0; s->peers && i < map->peer_count; i++)
		fill_peer(mesh, &map->peers[i], &s->peers[s->peer_count++]);
	for (size_t i = 0; s->peers && i < map->offline_count; i++)
		fill_peer(mesh, &map->offline[i], &s->peers[s->peer_count++]);
}

static void fill_relays(struct mesh *mesh, struct snapshot *s)
{
	struct relay_status *list = calloc(RELAYS_MAX, sizeof(*list));
	struct ice_stun_status stuns[STUNS_MAX];
	size_t count = list ? relay_manager_list(mesh->relay, list, RELAYS_MAX) : 0,
		stun_count = ice_mux_list_stuns(mesh->ice, stuns, STUNS_MAX);

	count = count < RELAYS_MAX ? count : RELAYS_MAX;
	s->relays = array(count + stun_count, sizeof(*s->relays));
	for (size_t i = 0; s->relays && i < stun_count; i++) {
		const char *error = stuns[i].is_available ? "" : "no answer";

		s->relays[s->relay_count++] = (struct snapshot_relay){ text(stuns[i].uri),
			stuns[i].is_available, text(error), text("") };
	}
	for (size_t i = 0; s->relays && i < count; i++)
		s->relays[s->relay_count++] = (struct snapshot_relay){ text(list[i].uri),
			list[i].is_available, text(list[i].error), text(list[i].is_available ? "ws" : "") };
	free(list);
}

/* Of a warning that the login ends, in NetBird's words and the order of their keys. */
static void fill_metadata(const struct mesh_event *event, struct snapshot_event *to)
{
	const bool is_final = event->lead_minutes <= FINAL_WARNING_MINUTES;
	char at[EXPIRY_TEXT_LEN], lead[12];
	const char *const words[] = { "lead_minutes", lead, "session_expires_at", at, "session_final_warning",
		"true", "session_warning", "true" };

	if (!event->expires_ns)
		return;
	expiry_format_utc(event->expires_ns, false, at);
	snprintf(lead, sizeof(lead), "%u", event->lead_minutes);
	to->metadata = array(8, sizeof(*to->metadata));
	for (size_t i = 0; to->metadata && i < 8; i++)
		if (is_final || i / 2 != 2)
			to->metadata[to->metadata_count++] = text(words[i]);
}

static void fill_events(struct mesh *mesh, struct snapshot *s)
{
	size_t count = mesh->event_count < MESH_EVENTS_MAX ? mesh->event_count : MESH_EVENTS_MAX;

	s->events = array(count, sizeof(*s->events));
	for (size_t i = 0; s->events && i < count; i++) {
		size_t number = mesh->event_count - count + i;
		const struct mesh_event *event = &mesh->events[number % MESH_EVENTS_MAX];
		char id[24];

		snprintf(id, sizeof(id), "%zu", number + 1);
		s->events[s->event_count++] = (struct snapshot_event){
			.id = text(id),
			.severity = text(event->severity),
			.category = text(event->category),
			.message = text(event->message),
			.user_message = text(""),
			.at_ns = event->at_ns,
		};
		fill_metadata(event, &s->events[s->event_count - 1]);
	}
}

static bool has_twin(const struct mesh *mesh, const struct choose_group *base)
{
	const size_t len = strlen(base->net_id);

	for (size_t i = 0; i < mesh->choose.group_count; i++) {
		const struct choose_group *group = &mesh->choose.groups[i];

		if (group->is_twin && !strncmp(group->net_id, base->net_id, len) &&
			!strcmp(group->net_id + len, CHOOSE_TWIN))
			return true;
	}
	return false;
}

/* A default route's halves are shown as one. */
static char *group_text(const struct mesh *mesh, const struct choose_group *group)
{
	if (!group->net.family)
		return text("");
	if (group->net.family == AF_INET && !group->net.prefixlen && has_twin(mesh, group))
		return text("0.0.0.0/0, ::/0");
	return cidr_text(&group->net);
}

static void fill_routes(struct mesh *mesh, struct snapshot *s)
{
	s->networks_disabled = mesh->config->mesh.disable_networks;
	if (s->networks_disabled)
		return;
	s->routes = array(mesh->choose.group_count, sizeof(*s->routes));
	for (size_t i = 0; s->routes && i < mesh->choose.group_count; i++) {
		const struct choose_group *group = &mesh->choose.groups[i];
		struct snapshot_network *n;

		if (group->is_twin)
			continue;
		n = &s->routes[s->route_count++];
		*n = (struct snapshot_network){
			.id = text(group->net_id),
			.prefix = group_text(mesh, group),
			.selected = group->selected,
			.domains = array(group->domain_count, sizeof(*n->domains)),
		};
		for (size_t j = 0; n->domains && j < group->domain_count; j++)
			n->domains[n->domain_count++] = text(group->domains[j]);
	}
}

static const char *daemon_status(const struct mesh *mesh)
{
	switch (mesh->state) {
	case MANAGEMENT_NEEDS_LOGIN:
		return "NeedsLogin";
	case MANAGEMENT_EXPIRED:
		return "SessionExpired";
	case MANAGEMENT_LOGGED_IN:
	case MANAGEMENT_CONNECTED:
		return "Connected";
	default:
		return mesh->has_map && mesh->has_applied && !mesh->map_is_void ? "Connected" : "Connecting";
	}
}

const char *mesh_why_not_ready(const struct mesh *mesh)
{
	if (!mesh->plane_is_ready)
		return "the programs are not attached yet";
	if (!mesh->has_map)
		return "no network map yet";
	if (!mesh->has_applied)
		return "the network map is not applied yet";
	if (mesh->state == MANAGEMENT_NEEDS_LOGIN)
		return "management does not know this peer";
	if (mesh->state == MANAGEMENT_EXPIRED)
		return "the login of this peer has expired";
	if (mesh->map_is_void)
		return "no network map yet";
	return *mesh->apply_why ? mesh->apply_why : plane_why_not(mesh->plane);
}

static char *own_address6(const struct mesh *mesh)
{
	const struct netmap_self *self = mesh_self(mesh);
	const struct cidr cidr = { .family = AF_INET6, .prefixlen = self->prefixlen6, .addr = self->addr6 };

	/* not one that the host refuses */
	return addr6_is_zero(&self->addr6) || *plane_why_no_ipv6(mesh->plane) ? text("") : cidr_text(&cidr);
}

void mesh_say_state(const struct mesh *mesh, char *line, size_t size)
{
	const char *why = mesh_why_not_ready(mesh);
	struct peers_tally tally;

	peers_tally(mesh->peers, &tally);
	snprintf(line, size, "%s%s%s; %zu of %zu peers connected", daemon_status(mesh),
		*why ? ", not ready: " : "", why, tally.direct + tally.relayed,
		tally.direct + tally.relayed + tally.connecting + tally.idle);
}

static char *own_ip(const struct mesh *mesh)
{
	const struct netmap_self *self = mesh_self(mesh);
	const struct cidr cidr = { .family = AF_INET, .prefixlen = self->prefixlen,
		.addr.word[0] = self->addr };

	return self->addr ? cidr_text(&cidr) : text("");
}

static char *map_note(const struct mesh *mesh)
{
	if (mesh->guard.is_holding)
		return text(mesh->guard.why);
	if (*mesh->room_why)
		return text(mesh->room_why);
	return text(mesh->map_is_old ? "the map of the last run; management has not confirmed it yet" : "");
}

int mesh_snapshot(void *ctx, struct snapshot *s)
{
	struct mesh *mesh = ctx;
	const struct netmap_self *own = &mesh->now.update.map.self;
	char key[KEY_BASE64_LEN + 1];

	key_to_base64(mesh->identity.public_key, key);
	*s = (struct snapshot){
		.version = text(TALON_VERSION),
		.profile = text(mesh->identity.name),
		.daemon_status = text(daemon_status(mesh)),
		.management_connected = mesh->management_link.is_connected,
		.signal_connected = mesh->signal_link.is_connected,
		.management_url = text(management_url(mesh->management)),
		.management_error = text(mesh->management_link.why),
		.signal_url = text(mesh->signal_target),
		.signal_error = text(mesh->signal_link.why),
		.management_since_ns = mesh->management_link.since_ns,
		.signal_since_ns = mesh->signal_link.since_ns,
		.session_expires_ns = mesh->expiry.at_ns,
		.ip = own_ip(mesh),
		.address6 = own_address6(mesh),
		.public_key = text(key),
		.fqdn = text(own->present ? own->fqdn : mesh->self.fqdn),
		.lazy = mesh_is_lazy(mesh),
		.listen_port = plane_listen_port(mesh->plane),
		.serial = mesh->now.update.map.serial,
		.map_held_back = mesh->guard.is_holding,
		.map_note = map_note(mesh),
		.datapath_ready = !*mesh_why_not_ready(mesh),
		.datapath_why = text(mesh_why_not_ready(mesh)),
	};
	fill_own(mesh, s);
	fill_peers(mesh, s);
	fill_relays(mesh, s);
	fill_events(mesh, s);
	fill_routes(mesh, s);
	mesh_fill_counters(mesh, s);
	return 0;
}
