// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What reaches what: policies, routes, networks, nameservers.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hubfile/internal.h"

#define ROUTERS_MAX	1000
#define DOMAINS_MAX	32		/* of a route: what stock servers take */
#define PORTS_MAX	256
#define SERVERS_MAX	3
#define METRIC_DEFAULT	9999

/*
 * A list of mappings that have a name: room for them in *@ret_array, each read by @read. The member name
 * comes first in all of them.
 */
static void read_list(struct reading *r, const struct node *node, const char *form, size_t size,
	void **ret_array, size_t *ret_count, field_fn *read, bool has_unique_names)
{
	struct mark *marks;
	size_t named = 0;
	char *array;

	if (node->type != NODE_LIST) {
		reading_fault(r, node, "expected a list of mappings, each with %s; [] for none", form);
		return;
	}
	array = reading_keep(r, node->count, size);
	marks = reading_scratch(r, node->count, sizeof(*marks));
	if (!array || !marks)
		return;
	*ret_array = array;
	for (const struct node *n = node->first; n; n = n->next) {
		char *object = array + (*ret_count)++ * size;
		const char *name;

		if (!node_is_map(r, n, form))
			continue;
		read(r, n, object);
		name = *(char **)object;
		if (name)
			marks[named++] = (struct mark){ name, strlen(name), node_find(n, "name") };
	}
	if (has_unique_names)
		marks_check(r, marks, named, "this name");
}

/* true: as everything is; false: a choice. */
static void set_auto_apply(struct reading *r, const struct node *node, void *at)
{
	bool is_automatic = true;

	entry_bool(r, node, &is_automatic);
	*(bool *)at = !is_automatic;
}

static void set_action(struct reading *r, const struct node *node, void *at)
{
	const char *text = node_text(r, node, "accept or drop");

	if (text && strcmp(text, "accept") && strcmp(text, "drop"))
		reading_fault(r, node, "expected accept or drop");
	*(bool *)at = text && !strcmp(text, "drop");
}

static void set_protocol(struct reading *r, const struct node *node, void *at)
{
	static const char *const names[] = {
		[HUBFILE_ANY] = "any", [HUBFILE_TCP] = "tcp", [HUBFILE_UDP] = "udp", [HUBFILE_ICMP] = "icmp",
	};
	const char *text = node_text(r, node, "any, tcp, udp or icmp");

	for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*(enum hubfile_protocol *)at = i;
			return;
		}
	}
	if (text)
		reading_fault(r, node, "expected any, tcp, udp or icmp");
}

static bool take_port(const char *text, char **ret_end, uint16_t *ret_port)
{
	unsigned long port;

	if (!isdigit((unsigned char)text[0]) || text[0] == '0')
		return false;
	errno = 0;
	port = strtoul(text, ret_end, 10);
	*ret_port = port;
	return !errno && port <= 65535;
}

static bool parse_ports(const char *text, struct hubfile_ports *ret_ports)
{
	char *end;

	if (!take_port(text, &end, &ret_ports->first))
		return false;
	ret_ports->last = ret_ports->first;
	if (!*end)
		return true;
	return *end == '-' && take_port(end + 1, &end, &ret_ports->last) && !*end &&
		ret_ports->first <= ret_ports->last;
}

static void set_ports(struct reading *r, const struct node *node, void *at)
{
	static const char form[] = "a port from 1 to 65535, or a range such as 8000-8100";
	const struct node *list = node_list(r, node, "a list of ports");
	struct hubfile_policy *policy = at;

	if (!list)
		return;
	if (!list->count || list->count > PORTS_MAX) {
		reading_fault(r, node, "expected 1 to %d ports or ranges; leave it out for all ports",
			PORTS_MAX);
		return;
	}
	policy->ports = reading_keep(r, list->count, sizeof(*policy->ports));
	for (const struct node *n = list->first; n && policy->ports; n = n->next) {
		const char *text = node_text(r, n, form);

		if (text && !parse_ports(text, &policy->ports[policy->port_count]))
			reading_fault(r, n, "expected %s", form);
		else if (text)
			policy->port_count++;
	}
}

static void read_policy(struct reading *r, const struct node *node, void *object)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile_policy, "name", name, entry_name),
		FIELD_REQUIRED(struct hubfile_policy, "from", from, entry_some_groups),
		FIELD_REQUIRED(struct hubfile_policy, "to", to, entry_some_groups),
		FIELD(struct hubfile_policy, "action", is_drop, set_action),
		FIELD(struct hubfile_policy, "both-ways", is_both_ways, entry_bool),
		FIELD(struct hubfile_policy, "protocol", protocol, set_protocol),
		FIELD_WHOLE("ports", set_ports),
		{},
	};
	struct hubfile_policy *policy = object;

	policy->line = node->line;
	read_fields(r, node, fields, policy);
	if (node_find(node, "ports") && policy->protocol != HUBFILE_TCP && policy->protocol != HUBFILE_UDP)
		reading_fault(r, node_find(node, "ports"), "expected protocol tcp or udp beside ports");
}

void section_policies(struct reading *r, const struct node *node, void *at)
{
	struct hubfile *file = at;

	read_list(r, node, "name, from and to", sizeof(*file->policies), (void **)&file->policies,
		&file->policy_count,
		read_policy, true);
}

static void set_router_peers(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_routers *routers = at;

	entry_texts(r, node, "a list of peers, by name or public key", ROUTERS_MAX, entry_peer,
		&routers->peers,
		&routers->peer_count);
}

static void set_routers(struct reading *r, const struct node *node, void *at)
{
	static const struct field fields[] = {
		FIELD_WHOLE("peers", set_router_peers),
		FIELD(struct hubfile_routers, "groups", groups, entry_groups),
		{},
	};
	struct hubfile_routers *routers = at;
	size_t faults = r->fault_count;

	if (node->type == NODE_MAP)
		read_fields(r, node, fields, routers);
	else
		set_router_peers(r, node, routers);
	if (r->fault_count == faults && !routers->peer_count && !routers->groups.count)
		reading_fault(r, node, "expected one peer at least, or \"groups: [NAME]\"");
}

static void set_route_domains(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_route *route = at;

	if (node->type == NODE_LIST && !node->count)
		reading_fault(r, node, "expected one domain at least");
	else
		entry_texts(r, node, "a list of domains", DOMAINS_MAX, entry_route_domain, &route->domains,
			&route->domain_count);
}

static void read_route(struct reading *r, const struct node *node, void *object)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile_route, "name", name, entry_route_name),
		FIELD(struct hubfile_route, "network", network, entry_network),
		FIELD_WHOLE("domains", set_route_domains),
		FIELD_REQUIRED(struct hubfile_route, "routers", routers, set_routers),
		FIELD_REQUIRED(struct hubfile_route, "to", to, entry_some_groups),
		FIELD(struct hubfile_route, "access", access, entry_groups),
		FIELD(struct hubfile_route, "metric", metric, entry_metric),
		FIELD(struct hubfile_route, "masquerade", is_masqueraded, entry_bool),
		FIELD(struct hubfile_route, "keep-addresses", is_kept, entry_bool),
		FIELD(struct hubfile_route, "auto-apply", is_by_choice, set_auto_apply),
		{},
	};
	struct hubfile_route *route = object;

	route->metric = METRIC_DEFAULT;
	route->is_masqueraded = true;
	route->line = node->line;
	read_fields(r, node, fields, route);
	if (!node_find(node, "network") == !node_find(node, "domains"))
		reading_fault(r, node, "expected either network or domains");
	if (node_find(node, "keep-addresses") && !node_find(node, "domains"))
		reading_fault(r, node_find(node, "keep-addresses"), "expected domains beside it");
	if (node_find(node, "auto-apply") && (!route->network.family || route->network.prefixlen))
		reading_fault(r, node_find(node, "auto-apply"), "expected network 0.0.0.0/0 or ::/0 beside "
			"it");
}

void section_routes(struct reading *r, const struct node *node, void *at)
{
	struct hubfile *file = at;

	/* a name may come again: routers that stand in for each other, each with its metric */
	read_list(r, node, "name, routers, to, and network or domains", sizeof(*file->routes),
		(void **)&file->routes,
		&file->route_count, read_route, false);
}

static void read_resource(struct reading *r, const struct node *node, void *object)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile_resource, "name", name, entry_route_name),
		FIELD(struct hubfile_resource, "network", network, entry_network),
		FIELD(struct hubfile_resource, "domain", domain, entry_route_domain),
		FIELD(struct hubfile_resource, "groups", groups, entry_groups),
		{},
	};
	struct hubfile_resource *resource = object;

	resource->line = node->line;
	read_fields(r, node, fields, resource);
	if (!node_find(node, "network") == !node_find(node, "domain"))
		reading_fault(r, node, "expected either network or domain");
}

static void set_resources(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_network *network = at;

	read_list(r, node, "name, and network or domain", sizeof(*network->resources),
		(void **)&network->resources,
		&network->resource_count, read_resource, true);
}

static void read_network(struct reading *r, const struct node *node, void *object)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile_network, "name", name, entry_name),
		FIELD_REQUIRED(struct hubfile_network, "routers", routers, set_routers),
		FIELD(struct hubfile_network, "metric", metric, entry_metric),
		FIELD(struct hubfile_network, "masquerade", is_masqueraded, entry_bool),
		FIELD_WHOLE_REQUIRED("resources", set_resources),
		{},
	};
	struct hubfile_network *network = object;

	network->metric = METRIC_DEFAULT;
	network->is_masqueraded = true;
	read_fields(r, node, fields, network);
}

void section_networks(struct reading *r, const struct node *node, void *at)
{
	struct hubfile *file = at;

	read_list(r, node, "name, routers and resources", sizeof(*file->networks), (void **)&file->networks,
		&file->network_count, read_network, true);
}

static void set_servers(struct reading *r, const struct node *node, void *at)
{
	const struct node *list = node_list(r, node, "a list of addresses");
	struct hubfile_nameservers *servers = at;

	if (!list)
		return;
	if (!list->count || list->count > SERVERS_MAX) {
		reading_fault(r, node, "expected 1 to %d addresses", SERVERS_MAX);
		return;
	}
	servers->servers = reading_keep(r, list->count, sizeof(*servers->servers));
	for (const struct node *n = list->first; n && servers->servers; n = n->next)
		entry_server(r, n, &servers->servers[servers->server_count++]);
}

static void set_server_domains(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_nameservers *servers = at;

	entry_texts(r, node, "a list of domains", DOMAINS_MAX, entry_domain, &servers->domains,
		&servers->domain_count);
}

static void read_nameservers(struct reading *r, const struct node *node, void *object)
{
	static const struct field fields[] = {
		FIELD_REQUIRED(struct hubfile_nameservers, "name", name, entry_name),
		FIELD_WHOLE_REQUIRED("servers", set_servers),
		FIELD_WHOLE("domains", set_server_domains),
		FIELD(struct hubfile_nameservers, "search", is_search, entry_bool),
		FIELD_REQUIRED(struct hubfile_nameservers, "to", to, entry_some_groups),
		{},
	};
	struct hubfile_nameservers *servers = object;

	read_fields(r, node, fields, servers);
	if (servers->is_search && !node_find(node, "domains"))
		reading_fault(r, node_find(node, "search"), "expected domains beside it");
}

void section_nameservers(struct reading *r, const struct node *node, void *at)
{
	struct hubfile *file = at;

	read_list(r, node, "name, servers and to", sizeof(*file->nameservers), (void **)&file->nameservers,
		&file->nameserver_count, read_nameservers, true);
}
