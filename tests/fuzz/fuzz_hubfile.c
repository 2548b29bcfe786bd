// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes as the hub's file: faults of one printable line each, or a file that keeps its invariants.
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/base/arena.c"
#include "../../userspace/base/cidr.c"
#include "../../userspace/base/host_port.c"
#include "../../userspace/base/server_url.c"
#include "../../userspace/base/setup_key.c"
#include "../../userspace/base/slice.c"
#include "../../userspace/base/text.c"
#include "../../userspace/crypto/key.c"
#include "../../userspace/hubfile/entries.c"
#include "../../userspace/hubfile/hubfile.c"
#include "../../userspace/hubfile/names.c"
#include "../../userspace/hubfile/reading.c"
#include "../../userspace/hubfile/routing.c"
#include "../../userspace/hubfile/sections.c"
#include "../../userspace/hubfile/tree.c"
#include "../../userspace/lazy/libyaml.c"

/* No file of this machine: what is named as one holds a setup key, or its own name. */
int store_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_len)
{
	const char *text = strstr(path, "setup") ? "a2c8e62b-38f5-4553-b31e-dd66c696cebb\n" : path;

	*ret_bytes = (uint8_t *)strdup(text);
	*ret_len = strlen(text);
	return *ret_bytes ? 0 : -ENOMEM;
}

void store_free(uint8_t *bytes, size_t len)
{
	free(bytes);
}

static void check_faults(const struct hubfile_fault *faults, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert(faults[i].text[0] && strlen(faults[i].text) < sizeof(faults[i].text));
		assert(!i || faults[i].line >= faults[i - 1].line);
		for (const char *at = faults[i].text; *at; at++)
			assert(*at >= ' ' && *at <= '~');
	}
}

static void check_groups(const struct hubfile *file, const struct hubfile_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		assert(groups->of[i] < file->group_count && (!i || groups->of[i] > groups->of[i - 1]));
}

static void check_routers(const struct hubfile *file, const struct hubfile_routers *routers)
{
	assert(routers->peer_count || routers->groups.count);
	for (size_t i = 0; i < routers->peer_count; i++)
		assert(routers->peers[i][0]);
	check_groups(file, &routers->groups);
}

static void check_net(const struct cidr *net)
{
	struct cidr clear = *net;

	assert(net->family == AF_INET ? net->prefixlen <= 32 : net->family == AF_INET6 &&
		net->prefixlen <= 128);
	cidr_clear_host_bits(&clear);
	assert(cidr_is_equal(&clear, net));
}

static void check_policies(const struct hubfile *file)
{
	for (size_t i = 0; i < file->policy_count; i++) {
		const struct hubfile_policy *p = &file->policies[i];

		assert(p->name[0] && p->from.count && p->to.count);
		check_groups(file, &p->from);
		check_groups(file, &p->to);
		assert(!p->port_count || p->protocol == HUBFILE_TCP || p->protocol == HUBFILE_UDP);
		for (size_t j = 0; j < p->port_count; j++)
			assert(p->ports[j].first && p->ports[j].first <= p->ports[j].last);
	}
}

static void check_routes(const struct hubfile *file)
{
	for (size_t i = 0; i < file->route_count; i++) {
		const struct hubfile_route *route = &file->routes[i];

		assert(route->name[0] && strlen(route->name) <= 40 && route->to.count);
		assert(!route->network.family == !!route->domain_count);
		assert(route->metric >= 1 && route->metric <= 9999);
		check_routers(file, &route->routers);
		check_groups(file, &route->to);
		check_groups(file, &route->access);
		if (route->network.family)
			check_net(&route->network);
	}
	for (size_t i = 0; i < file->network_count; i++) {
		const struct hubfile_network *network = &file->networks[i];

		assert(network->name[0] && network->metric >= 1 && network->metric <= 9999);
		check_routers(file, &network->routers);
		for (size_t j = 0; j < network->resource_count; j++) {
			assert(!network->resources[j].network.family == !!network->resources[j].domain);
			check_groups(file, &network->resources[j].groups);
		}
	}
}

static void check_file(const struct hubfile *file)
{
	assert(file->group_count && !strcmp(file->groups[HUBFILE_ALL].name, "All"));
	for (size_t i = 1; i < file->group_count; i++)
		assert(file->groups[i].name[0] && strcasecmp(file->groups[i].name, "All"));
	assert(file->domain[0] && file->ephemeral_s && !file->certificate == !file->key);
	check_net(&file->network);
	for (size_t i = 0; i < file->proxy_count; i++)
		check_net(&file->proxies[i]);
	for (size_t i = 0; i < file->key_count; i++) {
		assert(file->keys[i].name[0]);
		check_groups(file, &file->keys[i].groups);
	}
	for (size_t i = 0; i < file->peer_count; i++) {
		const struct hubfile_peer *peer = &file->peers[i];

		assert(peer->match[0]);
		assert(!peer->address.family || cidr_holds(&file->network, &peer->address.addr));
		check_groups(file, &peer->groups);
	}
	for (size_t i = 0; i < file->nameserver_count; i++) {
		assert(file->nameservers[i].server_count && file->nameservers[i].to.count);
		for (size_t j = 0; j < file->nameservers[i].server_count; j++)
			assert(file->nameservers[i].servers[j].port &&
				file->nameservers[i].servers[j].address.family);
	}
	assert(!file->oidc.issuer == !file->oidc.client_id);
	check_policies(file);
	check_routes(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	struct hubfile *file;
	size_t count;
	int ret;

	if (sodium_init() < 0)
		return 0;
	ret = hubfile_parse((const char *)data, size, "/etc/talon", &file, faults, &count);
	assert(!ret == !count && !ret == !!file && count <= HUBFILE_FAULTS_MAX);
	check_faults(faults, count);
	if (file)
		check_file(file);
	hubfile_free(file);
	return 0;
}
