// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reloading settings and the static file: what differs, what changes while the datapath runs, and what needs
// a restart.
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config_internal.h"

static bool same_list(const void *a, size_t a_count, const void *b, size_t b_count, size_t size)
{
	return a_count == b_count && (!a_count || !memcmp(a, b, a_count * size));
}

#define SAME(field) (!memcmp(&a->field, &b->field, sizeof(a->field)))

/* No default case: the compiler names an option that is missing here. */
static bool is_same(const struct config *a, const struct config *b, enum option option)
{
	switch (option) {
	case OPTION_PRIVATE_KEY:
		return SAME(private_key);
	case OPTION_LISTEN_PORT:
		return a->listen_port == b->listen_port;
	case OPTION_ADDRESS:
		return same_list(a->addresses, a->address_count, b->addresses, b->address_count,
			sizeof(*a->addresses));
	case OPTION_MTU:
		return a->mtu == b->mtu;
	case OPTION_UPLINK:
		return a->uplink_count == b->uplink_count && SAME(uplinks);
	case OPTION_SNAT:
		return a->snat_addr == b->snat_addr;
	case OPTION_SNAT_PORTS:
		return a->port_first == b->port_first && a->port_last == b->port_last;
	case OPTION_DATAPATH:
		return a->datapath == b->datapath;
	case OPTION_XDP_DISPATCHER:
		return a->dispatcher == b->dispatcher;
	case OPTION_XDP_PRIORITY:
		return a->xdp_priority == b->xdp_priority;
	case OPTION_HOST_ADDRESS:
		return a->host_address == b->host_address;
	case OPTION_LOCAL:
		return same_list(a->local, a->local_count, b->local, b->local_count, sizeof(*a->local));
	case OPTION_HAND_UP:
		return a->hand_up == b->hand_up;
	case OPTION_UPLINK_THREADS:
		return a->uplink_threads == b->uplink_threads;
	case OPTION_TUNNEL:
		return !strcmp(a->tunnel, b->tunnel);
	case OPTION_MAX_PEERS:
		return a->max_peers == b->max_peers;
	case OPTION_MAX_FLOWS:
		return a->max_flows == b->max_flows;
	case OPTION_KEYSTREAM_MEMORY:
		return a->keystream_memory == b->keystream_memory;
	case OPTION_METRICS:
		return a->metrics.family == b->metrics.family && a->metrics.port == b->metrics.port &&
			SAME(metrics.addr) && !strcmp(a->metrics.path, b->metrics.path);
	case OPTION_METRICS_PEERS:
		return a->metrics.peers == b->metrics.peers;
	case OPTION_METRICS_ALIASES:
		return a->metrics.aliases == b->metrics.aliases;
	case OPTION_VIP_SOURCE:
		return a->vip_source == b->vip_source;
	case OPTION_VIP_NAMESPACE:
		return SAME(vip_namespace);
	case OPTION_NODE_NAME:
		return SAME(node_name);
	case OPTION_KUBE_API:
		return SAME(kube_api);
	case OPTION_KUBE_DIR:
		return SAME(kube_dir);
	case OPTION_PIN_DIR:
		return !strcmp(a->pin_dir, b->pin_dir);
	case OPTION_ROUTE:
	case OPTION_CAPTURE:
	case OPTION_LOG_LEVEL:
		return true;	/* applied at once */
	case OPTION_TAKE_OVER:
	case OPTION_LOG_FORMAT:
	case OPTION_LOG_FILE:
	case OPTION_LOG_MAX_SIZE:
	case OPTION_COUNT:
		return true;	/* not in the file */
	}
	return true;
}

/* Settings of a mesh that a reload can apply: [Interface]'s are in is_same(). */
#define LIVE(flag, field) { flag, offsetof(struct config_mesh, field) }
static const struct {
	const char *flag;
	size_t at;			/* of a bool */
} live[] = {
	LIVE("disable-client-routes", disable_client_routes),
	LIVE("disable-server-routes", disable_server_routes),
	LIVE("disable-firewall", disable_firewall),
	LIVE("block-lan-access", block_lan_access),
	LIVE("block-inbound", block_inbound),
	LIVE("disable-networks", disable_networks),
};
#define LIVE_COUNT (sizeof(live) / sizeof(live[0]))

static bool *live_field(const struct config *config, size_t i)
{
	return (bool *)((char *)&config->mesh + live[i].at);
}

/* Settings of a mesh that no start after the first, or no running process, asks for; secrets are wiped. */
static bool is_left_alone(const char *flag)
{
	static const char *const flags[] = { "setup-key", "setup-key-file", "preshared-key",
		"foreground-mode", "lazy-conn", "dns-forwarder-port",
		"log-disable-rotation" };

	for (size_t i = 0; i < LIVE_COUNT; i++) {
		if (!strcmp(live[i].flag, flag))
			return true;
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (!strcmp(flags[i], flag))
			return true;
	}
	return false;
}

static void add_name(char *names, size_t size, size_t *count, const char *name)
{
	text_append(names, size, "%s%s", (*count)++ ? ", " : "", name);
}

size_t config_list_fixed(const struct config *now, const struct config *fresh, char *names, size_t size)
{
	const struct config_mesh_option *of_mesh = config_mesh_options();
	size_t count = 0;

	names[0] = '\0';
	for (enum option i = 0; i < OPTION_COUNT; i++) {
		const struct config_option *o = &config_option_table[i];

		if (!is_same(now, fresh, i))
			add_name(names, size, &count, now->mesh.enabled || !o->key ? o->flag ?: o->key
				: o->key);
	}
	for (int i = 0; now->mesh.enabled && of_mesh[i].flag; i++) {
		if (of_mesh[i].help && now->mesh_digests[i] != fresh->mesh_digests[i] &&
			!is_left_alone(of_mesh[i].flag))
			add_name(names, size, &count, of_mesh[i].flag);
	}
	return count;
}

static int compare_peers(const void *a, const void *b)
{
	const struct config_peer *const *x = a, *const *y = b;

	return memcmp((*x)->public_key, (*y)->public_key, WG_KEY_LEN);
}

static struct config_peer **sorted_peers(const struct config *config)
{
	struct config_peer **list = calloc(config->peer_count + 1, sizeof(*list));

	for (size_t i = 0; list && i < config->peer_count; i++)
		list[i] = &config->peers[i];
	if (list)
		qsort(list, config->peer_count, sizeof(*list), compare_peers);
	return list;
}

static bool is_same_endpoint(const struct config_endpoint *a, const struct config_endpoint *b)
{
	if (!a->host != !b->host || (a->host && strcmp(a->host, b->host)) || a->port != b->port)
		return false;
	return a->host || (a->family == b->family && SAME(addr) && !strcmp(a->zone, b->zone));
}

static bool is_same_peer(const struct config_peer *a, const struct config_peer *b)
{
	return is_same_endpoint(&a->endpoint, &b->endpoint) && SAME(preshared_key) && SAME(name) &&
		a->keepalive_s == b->keepalive_s && same_list(a->allowed, a->allowed_count, b->allowed,
		b->allowed_count, sizeof(*a->allowed));
}

struct tally { size_t added, removed, changed; };

/* Walks both lists, sorted by key. @mark: notes in @fresh which peers have another endpoint than in @now. */
static int compare_all_peers(const struct config *now, const struct config *fresh, bool mark,
	struct tally *tally)
{
	struct config_peer **a = sorted_peers(now), **b = sorted_peers(fresh);
	int ret = a && b ? 0 : -ENOMEM;

	for (size_t i = 0, j = 0; !ret && (i < now->peer_count || j < fresh->peer_count); ) {
		int order = i == now->peer_count ? 1 : j == fresh->peer_count ? -1
			: compare_peers(&a[i], &b[j]);

		tally->removed += order < 0;
		tally->added += order > 0;
		if (!order) {
			const struct config_endpoint *to = &b[j]->endpoint;

			tally->changed += !is_same_peer(a[i], b[j]);
			if (mark)
				b[j]->is_moved = (to->family || to->host) &&
					(a[i]->is_moved || !is_same_endpoint(&a[i]->endpoint, to));
		}
		i += order <= 0;
		j += order >= 0;
	}
	free(a);
	free(b);
	return ret;
}

static bool has_route(const struct config *config, const struct config_route *route)
{
	for (size_t i = 0; i < config->route_count; i++) {
		if (!memcmp(&config->routes[i], route, sizeof(*route)))
			return true;
	}
	return false;
}

static size_t count_missing(const struct config *in, const struct config *of)
{
	size_t count = 0;

	for (size_t i = 0; i < of->route_count; i++)
		count += !has_route(in, &of->routes[i]);
	return count;
}

static void tell_tally(char *lines, size_t size, const char *what, const struct tally *t)
{
	size_t count = 0;

	if (!t->added && !t->removed && !t->changed)
		return;
	text_append(lines, size, "%s: ", what);
	if (t->added) {
		text_append(lines, size, "%zu added", t->added);
		count++;
	}
	if (t->removed)
		text_append(lines, size, "%s%zu removed", count++ ? ", " : "", t->removed);
	if (t->changed)
		text_append(lines, size, "%s%zu changed", count++ ? ", " : "", t->changed);
	text_append(lines, size, "\n");
}

static const char *text_of_switch(bool value)
{
	return value ? "true" : "false";
}

static void tell_mesh(const struct config *now, const struct config *fresh, char *lines, size_t size)
{
	for (size_t i = 0; i < LIVE_COUNT; i++) {
		if (*live_field(now, i) != *live_field(fresh, i))
			text_append(lines, size, "%s: %s\n", live[i].flag,
				text_of_switch(*live_field(fresh, i)));
	}
	if ((now->mesh.given ^ fresh->mesh.given) & CONFIG_GIVEN_LAZY_CONN ||
		now->mesh.lazy_conn != fresh->mesh.lazy_conn)
		text_append(lines, size, "lazy-conn: %s\n", !(fresh->mesh.given & CONFIG_GIVEN_LAZY_CONN)
			? "not given" : fresh->mesh.lazy_conn ? "on" : "off");
	if (now->mesh.dns_forwarder_port != fresh->mesh.dns_forwarder_port)
		text_append(lines, size, "dns-forwarder-port: %u\n", fresh->mesh.dns_forwarder_port);
}

static __u32 log_size(const struct config *config)
{
	return config->log_any_size ? 0 : config->log_max_size;
}

int config_tell_changes(const struct config *now, const struct config *fresh, char *lines, size_t size)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	struct tally peers = {}, routes = { count_missing(now, fresh), count_missing(fresh, now), 0 };
	int ret = compare_all_peers(now, fresh, false, &peers);

	lines[0] = '\0';
	if (ret)
		return ret;
	tell_tally(lines, size, "peers", &peers);
	tell_tally(lines, size, "routes", &routes);
	if (now->mesh.enabled)
		tell_mesh(now, fresh, lines, size);
	if (now->capture != fresh->capture)
		text_append(lines, size, "capture: %s\n", fresh->capture ? "on" : "off");
	if (now->log_level != fresh->log_level)
		text_append(lines, size, "log-level: %s\n", levels[fresh->log_level]);
	if (now->log_json != fresh->log_json)
		text_append(lines, size, "log-format: %s\n", fresh->log_json ? "json" : "text");
	if (log_size(now) != log_size(fresh))
		text_append(lines, size, "log-max-size: %u\n", log_size(fresh));
	if (strcmp(now->log_file, fresh->log_file))
		text_append(lines, size, "log-file: %s\n", *fresh->log_file ? fresh->log_file : "console");
	return 0;
}

#define SWAP(a, b) do { __typeof__(a) swap_ = (a); (a) = (b); (b) = swap_; } while (0)

static void take_mesh(struct config *now, const struct config *fresh)
{
	for (size_t i = 0; i < LIVE_COUNT; i++)
		*live_field(now, i) = *live_field(fresh, i);
	now->mesh.lazy_conn = fresh->mesh.lazy_conn;
	now->mesh.dns_forwarder_port = fresh->mesh.dns_forwarder_port;
	now->mesh.given = (now->mesh.given & ~CONFIG_GIVEN_LAZY_CONN) |
		(fresh->mesh.given & CONFIG_GIVEN_LAZY_CONN);
}

void config_take_changes(struct config *now, struct config *fresh)
{
	struct tally ignored = {};

	/* Without memory for that, peers that were seen elsewhere stay where they are. */
	(void)compare_all_peers(now, fresh, true, &ignored);
	SWAP(now->peers, fresh->peers);
	SWAP(now->peer_count, fresh->peer_count);
	SWAP(now->routes, fresh->routes);
	SWAP(now->route_count, fresh->route_count);
	now->log_level = fresh->log_level;
	now->log_json = fresh->log_json;
	now->log_max_size = fresh->log_max_size;
	now->log_any_size = fresh->log_any_size;
	memcpy(now->log_file, fresh->log_file, sizeof(now->log_file));
	now->capture = fresh->capture;
	if (now->mesh.enabled)
		take_mesh(now, fresh);
}
