// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Checks that need the whole configuration: peers against each other, addresses against routes.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "config/config_internal.h"
#include "config/value.h"

#define LEAST_MTU6 1280	/* RFC 8200 section 5 */

struct check {
	struct config *config;
	const char *file;
	char *why;
	size_t size;
};

static const char *const ignored_names[] = { CONFIG_IGNORED(CONFIG_IGNORED_NAME) };

static int wrong(const struct check *c, enum option option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(const struct check *c, enum option option, const char *fmt, ...)
{
	char place[256], text[CONFIG_WHY_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	config_place(c->config, c->file, option, place, sizeof(place));
	snprintf(c->why, c->size, "%s: %s", place, text);
	return -EINVAL;
}

static int warn_option(const struct check *c, enum option option, const char *text)
{
	char place[256];

	config_place(c->config, c->file, option, place, sizeof(place));
	return config_note(c->config, LOG_LEVEL_WARN, "%s: %s", place, text);
}

static int check_keys(struct check *c)
{
	if (config_key_is_zero(c->config->private_key))
		return wrong(c, OPTION_PRIVATE_KEY, "missing; expected " FORM_KEY);
	if (crypto_scalarmult_base(c->config->public_key, c->config->private_key) < 0)
		return wrong(c, OPTION_PRIVATE_KEY, "the value is unusable; expected " FORM_KEY);
	return 0;
}

static void drop_peer(struct config *config, size_t index)
{
	struct config_peer *peer = &config->peers[index];

	free(peer->allowed);
	free(peer->endpoint.host);
	memmove(peer, peer + 1, (config->peer_count - index - 1) * sizeof(*peer));
	config->peer_count--;
	sodium_memzero(&config->peers[config->peer_count], sizeof(*peer));
}

/* Hosts often share one list of peers; like wg(8) we skip the host's own entry. */
static int drop_self(struct check *c)
{
	struct config *config = c->config;

	for (size_t i = 0; i < config->peer_count; i++) {
		struct config_peer *peer = &config->peers[i];

		if (config_key_is_zero(peer->public_key)) {
			snprintf(c->why, c->size, "%s:%u: Peer.PublicKey: missing; expected "
				FORM_PUBLIC_KEY, c->file, peer->line);
			return -EINVAL;
		}
		if (memcmp(peer->public_key, config->public_key, WG_KEY_LEN))
			continue;
		if (config_note(config, LOG_LEVEL_WARN,
			    "%s:%u: Peer.PublicKey: this is the node's own key; the peer is ignored",
			    c->file, peer->line))
			return config_no_memory(c->why, c->size);
		drop_peer(config, i--);
	}
	return 0;
}

static int by_key(const void *left, const void *right)
{
	const struct config_peer *a = *(const struct config_peer *const *)left;
	const struct config_peer *b = *(const struct config_peer *const *)right;
	int order = memcmp(a->public_key, b->public_key, WG_KEY_LEN);

	return order ? order : (a->line > b->line) - (a->line < b->line);
}

static int refuse_twins(struct check *c)
{
	size_t count = c->config->peer_count;
	const struct config_peer **sorted;
	int ret = 0;

	if (count < 2)
		return 0;
	sorted = calloc(count, sizeof(*sorted));
	if (!sorted)
		return config_no_memory(c->why, c->size);
	for (size_t i = 0; i < count; i++)
		sorted[i] = &c->config->peers[i];
	qsort(sorted, count, sizeof(*sorted), by_key);
	for (size_t i = 1; i < count && !ret; i++) {
		if (memcmp(sorted[i - 1]->public_key, sorted[i]->public_key, WG_KEY_LEN))
			continue;
		snprintf(c->why, c->size,
			"%s:%u: Peer.PublicKey: the peer at line %u has the same; write one [Peer] for each "
			"key", c->file, sorted[i]->line, sorted[i - 1]->line);
		ret = -EINVAL;
	}
	free(sorted);
	return ret;
}

/* One network in AllowedIPs of one peer; @order is its position in the file. */
struct claim {
	struct cidr *cidr;
	struct config_peer *peer;
	size_t order;
};

static int compare_cidrs(const struct cidr *a, const struct cidr *b)
{
	if (a->family != b->family)
		return a->family - b->family;
	if (a->prefixlen != b->prefixlen)
		return a->prefixlen - b->prefixlen;
	return memcmp(&a->addr, &b->addr, sizeof(a->addr));
}

static int by_cidr(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;
	int order = compare_cidrs(a->cidr, b->cidr);

	return order ? order : (a->order > b->order) - (a->order < b->order);
}

/* The later of two equal claims wins, as for wg(8); the earlier one is marked with family 0. */
static int settle_claims(struct check *c, struct claim *claims, size_t count)
{
	char text[CIDR_TEXT_LEN];

	qsort(claims, count, sizeof(*claims), by_cidr);
	for (size_t i = 1; i < count; i++) {
		struct claim *lost = &claims[i - 1], *won = &claims[i];

		if (compare_cidrs(lost->cidr, won->cidr))
			continue;
		cidr_format(won->cidr, text, sizeof(text));
		if (lost->peer != won->peer &&
		    config_note(c->config, LOG_LEVEL_WARN,
			    "%s:%u: Peer.AllowedIPs: %s moves here from the peer at line %u; the last one "
			    "has it", c->file, won->peer->line, text, lost->peer->line))
			return config_no_memory(c->why, c->size);
		lost->peer = NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (!claims[i].peer)
			claims[i].cidr->family = 0;
	}
	return 0;
}

static void remove_marked(struct config_peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < peer->allowed_count; i++) {
		if (peer->allowed[i].family)
			peer->allowed[kept++] = peer->allowed[i];
	}
	peer->allowed_count = kept;
}

static int settle_allowed(struct check *c)
{
	struct config *config = c->config;
	struct claim *claims;
	size_t count = 0, order = 0;
	int ret;

	for (size_t i = 0; i < config->peer_count; i++)
		count += config->peers[i].allowed_count;
	if (!count)
		return 0;
	claims = calloc(count, sizeof(*claims));
	if (!claims)
		return config_no_memory(c->why, c->size);
	for (size_t i = 0; i < config->peer_count; i++) {
		for (size_t j = 0; j < config->peers[i].allowed_count; j++, order++)
			claims[order] = (struct claim){ &config->peers[i].allowed[j], &config->peers[i],
				order };
	}
	ret = settle_claims(c, claims, count);
	for (size_t i = 0; i < config->peer_count; i++)
		remove_marked(&config->peers[i]);
	free(claims);
	return ret;
}

static int check_peers(struct check *c)
{
	struct config *config = c->config;
	int ret;

	ret = drop_self(c);
	if (!ret)
		ret = refuse_twins(c);
	if (!ret && config->peer_count > config->max_peers)
		ret = wrong(c, OPTION_MAX_PEERS, "%u is less than the %zu peers of the file; expected %zu-%u",
			config->max_peers, config->peer_count, config->peer_count, CONFIG_MAX_PEERS_LIMIT);
	if (!ret)
		ret = settle_allowed(c);
	return ret;
}

static __be32 mask_of(unsigned int prefixlen)
{
	return prefixlen ? htonl(~0U << (32 - prefixlen)) : 0;
}

/* The first address of the family, or NULL, and whether there are more. */
static const struct cidr *first_of(const struct config *config, __u8 family, bool *ret_more)
{
	const struct cidr *first = NULL;

	*ret_more = false;
	for (size_t i = 0; i < config->address_count; i++) {
		if (config->addresses[i].family != family)
			continue;
		*ret_more |= first != NULL;
		if (!first)
			first = &config->addresses[i];
	}
	return first;
}

static int check_address6(struct check *c)
{
	struct config *config = c->config;
	bool more;
	const struct cidr *first = first_of(config, AF_INET6, &more);

	if (!first)
		return 0;
	if (!addr6_is_host(&first->addr))
		return wrong(c, OPTION_ADDRESS, "the first IPv6 address cannot be a host's; expected "
			FORM_CIDR);
	config->mesh_addr6 = first->addr;
	config->mesh_len6 = first->prefixlen;
	if (more && warn_option(c, OPTION_ADDRESS, "only the first IPv6 address is used"))
		return config_no_memory(c->why, c->size);
	if (config->mtu < LEAST_MTU6 && warn_option(c, OPTION_ADDRESS, "IPv6 needs MTU = 1280 or more; the "
		"tunnel carries IPv4 only"))
		return config_no_memory(c->why, c->size);
	return 0;
}

static int check_address(struct check *c)
{
	struct config *config = c->config;
	bool more;
	const struct cidr *first = first_of(config, AF_INET, &more);
	int ret;

	if (first && !addr4_is_host(first->addr.word[0]))
		return wrong(c, OPTION_ADDRESS, "the first IPv4 address cannot be a host's; expected "
			FORM_CIDR);
	if (first) {
		config->mesh_addr = first->addr.word[0];
		config->mesh_mask = mask_of(first->prefixlen);
	}
	if (more && warn_option(c, OPTION_ADDRESS, "only the first IPv4 address is used"))
		return config_no_memory(c->why, c->size);
	ret = check_address6(c);
	if (ret)
		return ret;
	if (!config->origins[OPTION_HOST_ADDRESS].source)
		config->host_address = config->address_count;
	else if (config->host_address && !config->address_count)
		return wrong(c, OPTION_HOST_ADDRESS, "yes needs an address; write Address = " FORM_CIDR);
	return 0;
}

static bool contains(const struct cidr *net, __be32 addr)
{
	return !((addr ^ net->addr.word[0]) & mask_of(net->prefixlen));
}

/* The network's own address or its broadcast address; networks of 31 and 32 bits have neither (RFC 3021). */
static bool is_edge(const struct cidr *net, __be32 addr)
{
	__be32 host = addr & ~mask_of(net->prefixlen);

	return net->prefixlen < 31 && contains(net, addr) && (!host || host == ~mask_of(net->prefixlen));
}

static int check_snat(struct check *c)
{
	const struct config *config = c->config;
	__be32 addr = config->snat_addr;
	char text[CIDR_TEXT_LEN];

	if (!addr)
		return 0;
	if (addr == config->mesh_addr)
		return wrong(c, OPTION_SNAT, "this is the node's mesh address; expected " FORM_SNAT);
	for (size_t i = 0; i < config->route_count; i++) {
		const struct cidr *dst = &config->routes[i].dst;

		if (dst->family != AF_INET)
			continue;
		cidr_format(dst, text, sizeof(text));
		if (is_edge(dst, addr))
			return wrong(c, OPTION_SNAT,
				"this is the network or broadcast address of Route %s; expected "
				FORM_SNAT, text);
		if (dst->prefixlen == 32 && dst->addr.word[0] == addr)
			return wrong(c, OPTION_SNAT, "this is the destination of Route %s; expected "
				FORM_SNAT, text);
	}
	return 0;
}

/*
 * Warns about SNAT ports that others on this host use: an answer that bypasses our hook would reach them, and
 * we would take packets that are theirs.
 */
static int check_ports(struct check *c)
{
	static const struct {
		__u16 first, last;
		const char *text;
	} taken[] = {
		{ 20000, 29999, "these ports overlap those of Calico's eBPF NAT (20000-29999)" },
		{ 30000, 32767, "these ports overlap the usual NodePorts of Kubernetes (30000-32767)" },
		{ 32768, 65535, "these ports overlap Linux's ephemeral ones and those of Cilium's NAT "
			"(32768-65535)" },
	};
	struct config *config = c->config;

	if (!config->origins[OPTION_SNAT_PORTS].source) {
		config->port_first = config->snat_addr ? CONFIG_OWN_PORT_FIRST : CONFIG_NODE_PORT_FIRST;
		config->port_last = config->snat_addr ? CONFIG_OWN_PORT_LAST : CONFIG_NODE_PORT_LAST;
	}
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]) && !config->snat_addr; i++) {
		if (config->port_first <= taken[i].last && config->port_last >= taken[i].first &&
		    warn_option(c, OPTION_SNAT_PORTS, taken[i].text))
			return config_no_memory(c->why, c->size);
	}
	return 0;
}

/* Drops repeated networks; a network given both with and without masquerade is an error. */
static int check_routes(struct check *c)
{
	struct config *config = c->config;
	char text[CIDR_TEXT_LEN];
	size_t kept = 0;

	for (size_t i = 0; i < config->route_count; i++) {
		struct config_route *route = &config->routes[i];
		size_t j = 0;

		while (j < kept && compare_cidrs(&config->routes[j].dst, &route->dst))
			j++;
		if (j == kept) {
			config->routes[kept++] = *route;
			continue;
		}
		cidr_format(&route->dst, text, sizeof(text));
		if (config->routes[j].masquerade != route->masquerade)
			return wrong(c, OPTION_ROUTE,
				"%s is given with and without masquerade; write it once", text);
	}
	config->route_count = kept;
	return 0;
}

static int check_devices(struct check *c)
{
	const struct config *config = c->config;

	if (!strcmp(config->tunnel, "lo"))
		return wrong(c, OPTION_TUNNEL, "lo is the loopback device; write another name, such as wt0");
	for (size_t i = 0; i < config->uplink_count; i++) {
		if (!strcmp(config->uplinks[i], config->tunnel))
			return wrong(c, OPTION_TUNNEL, "%s is an uplink too; write another name, such as wt0",
				config->tunnel);
	}
	return 0;
}

static int check_dispatcher(struct check *c)
{
	const struct config *config = c->config;

	if (config->dispatcher == CONFIG_DISPATCHER_ALWAYS &&
	    (config->datapath == CONFIG_DATAPATH_TCX || config->datapath == CONFIG_DATAPATH_CLSACT))
		return wrong(c, OPTION_XDP_DISPATCHER,
		"always needs XDP; write Datapath = auto, xdp or xdp-generic");
	return 0;
}

static bool has_ipv6(const struct cidr *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].family == AF_INET6)
			return true;
	}
	return false;
}

/* IPv6 that the tunnel does not carry, as this node has no address there. */
static bool has_idle_ipv6(const struct config *config)
{
	bool found = has_ipv6(config->local, config->local_count);

	for (size_t i = 0; i < config->route_count; i++)
		found |= config->routes[i].dst.family == AF_INET6;
	for (size_t i = 0; i < config->peer_count; i++)
		found |= has_ipv6(config->peers[i].allowed, config->peers[i].allowed_count);
	return found && !has_ipv6(config->addresses, config->address_count);
}

/* Notes on one line which of wg-quick's keys have no effect. */
static int note_ignored(struct check *c)
{
	char names[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < IGNORED_COUNT; i++) {
		if (c->config->ignored & 1U << i)
			len += snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
				ignored_names[i]);
	}
	if (len && config_note(c->config, LOG_LEVEL_INFO,
		    "%s: no effect: %s (Talon runs no commands and touches no resolver, rule or routing "
		    "table)", c->file, names))
		return config_no_memory(c->why, c->size);
	if (has_idle_ipv6(c->config) && config_note(c->config, LOG_LEVEL_INFO, "%s: no effect: IPv6 in "
		"AllowedIPs, Route and Local (there is no IPv6 address in Address)", c->file))
		return config_no_memory(c->why, c->size);
	return 0;
}

/* In a mesh, only management decides these. */
static int refuse_managed(struct check *c)
{
	static const struct {
		enum option option;
		const char *what;
	} managed[] = {
		{ OPTION_ADDRESS, "the mesh address" },
		{ OPTION_ROUTE, "the routes" },
	};

	for (size_t i = 0; i < sizeof(managed) / sizeof(managed[0]); i++) {
		if (c->config->origins[managed[i].option].source)
			return wrong(c, managed[i].option,
				"management gives %s in a mesh; leave it out, or use --static FILE",
				managed[i].what);
	}
	return 0;
}

static int finish_mesh(struct check *c)
{
	static const struct {
		enum option option;
		enum config_mesh_given bit;
	} bits[] = {
		{ OPTION_LISTEN_PORT, CONFIG_GIVEN_PORT },
		{ OPTION_MTU, CONFIG_GIVEN_MTU },
		{ OPTION_TUNNEL, CONFIG_GIVEN_TUNNEL },
	};

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		if (c->config->origins[bits[i].option].source)
			c->config->mesh.given |= bits[i].bit;
	}
	return config_mesh_finish(c->config, c->why, c->size);
}

int config_finish(struct config *config, const char *name, char *why, size_t size)
{
	static int (*const checks[])(struct check *) = {
		check_keys, check_devices, check_dispatcher, check_address, check_routes, check_snat,
		check_ports,
		check_peers, note_ignored, NULL,
	};
	static int (*const mesh_checks[])(struct check *) = {
		refuse_managed, check_devices, check_dispatcher, check_snat, check_ports, finish_mesh, NULL,
	};
	struct check c = { config, name, why, size };
	int ret = 0;

	for (size_t i = 0; !ret && (config->mesh.enabled ? mesh_checks : checks)[i]; i++)
		ret = (config->mesh.enabled ? mesh_checks : checks)[i](&c);
	return ret;
}
