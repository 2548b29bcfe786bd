// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Service addresses out of kube-proxy's rules.
#include "host/kube_proxy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define LEGACY_NS	(10 * TALON_NSEC_PER_SEC)	/* a change that leaves a table's size alone */
#define COST_SHARE	9	/* a reading takes at most a tenth of the time */
#define ATTEMPTS	3	/* while the rules are being changed */

/* Of the tables that kube-proxy has chains in. */
static const struct {
	uint8_t family;
	const char *names;		/* a table that is not listed there would be made by asking for it */
	const char *table;
} legacy[] = {
	{ AF_INET, "/proc/net/ip_tables_names", "nat" }, { AF_INET, "/proc/net/ip_tables_names", "filter" },
	{ AF_INET6, "/proc/net/ip6_tables_names", "nat" }, { AF_INET6, "/proc/net/ip6_tables_names",
		"filter" },
};
#define LEGACY_TABLES (sizeof(legacy) / sizeof(legacy[0]))

struct reading {
	struct services here, dropped;
	int ret;
};

static void take(const struct net_service *service, void *user)
{
	struct reading *r = user;
	const struct cidr net = { .family = service->family, .addr = service->addr,
		.prefixlen = service->family == AF_INET6 ? 128 : 32 };
	bool is_host = service->family == AF_INET6 ? addr6_is_host(&service->addr)
		: addr4_is_host(service->addr.word[0]);
	int ret = is_host ? services_add(service->is_dropped ? &r->dropped : &r->here, &net) : 0;

	if (ret)
		r->ret = ret;
}

/* 1: it is there, 0: it is not, or a negative errno. */
static int is_listed(const char *path, const char *wanted)
{
	FILE *f = fopen(path, "re");
	int ret = 0;
	char table[32];

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (!ret && fscanf(f, "%31s", table) == 1)
		ret = !strcmp(table, wanted);
	if (!ret && ferror(f))
		ret = -EIO;
	fclose(f);
	return ret;
}

/* Zeros for a table that is not there. Returns 0 or a negative errno. */
static int measure_legacy(struct net_iptables_size sizes[static LEGACY_TABLES])
{
	int ret = 0;

	memset(sizes, 0, LEGACY_TABLES * sizeof(*sizes));
	for (size_t i = 0; i < LEGACY_TABLES && ret >= 0; i++) {
		ret = is_listed(legacy[i].names, legacy[i].table);
		if (ret > 0)
			ret = net_iptables_measure(legacy[i].family, legacy[i].table, &sizes[i]);
		if (ret == -ENOENT)
			ret = 0;	/* it went meanwhile */
	}
	return ret < 0 ? ret : 0;
}

static int read_legacy(const struct net_iptables_size sizes[static LEGACY_TABLES], struct reading *r)
{
	int ret = 0;

	for (size_t i = 0; i < LEGACY_TABLES && !ret; i++) {
		if (sizes[i].entries)
			ret = net_iptables_services(legacy[i].family, legacy[i].table, take, r);
	}
	return ret;
}

/* A module that is not loaded would be loaded by a question; what is built in is looked for once. */
static bool has_nft(struct kube_proxy *proxy)
{
	/* without connection tracking nothing is translated */
	if (!proxy->has_nft && net_sysctl_get("", "net/netfilter/nf_conntrack_count") < 0)
		return false;
	if (!proxy->has_nft)
		proxy->has_nft = proxy->has_asked ? !access("/sys/module/nf_tables", F_OK)
			: net_nf_is_there("", NET_NF_RULE);
	proxy->has_asked = true;
	return proxy->has_nft;
}

/* What is dropped when it comes from outside is somebody else's to serve. */
static int keep_served(const struct prefixes *here, const struct prefixes *dropped, struct prefixes *ret_set)
{
	int ret = 0;

	for (size_t i = 0; i < here->count && !ret; i++) {
		const struct prefix *prefix = &here->list[i];

		if (!prefixes_find(dropped, prefix->addr, prefix->len))
			ret = prefixes_add(ret_set, prefix->addr, prefix->len, prefix->value);
	}
	return ret;
}

static int settle(struct reading *r, struct services *ret_list)
{
	int ret = r->ret;

	prefixes_sort(&r->dropped.four);
	prefixes_sort(&r->dropped.six);
	if (!ret)
		ret = keep_served(&r->here.four, &r->dropped.four, &ret_list->four);
	if (!ret)
		ret = keep_served(&r->here.six, &r->dropped.six, &ret_list->six);
	if (ret)
		services_done(ret_list);
	return ret;
}

static int read_once(bool with_nft, const struct net_iptables_size sizes[static LEGACY_TABLES],
	struct services *ret_list)
{
	struct reading r = {};
	int ret = with_nft ? net_service_list(take, &r) : 0;

	if (!ret)
		ret = read_legacy(sizes, &r);
	if (!ret)
		ret = settle(&r, ret_list);
	services_done(&r.here);
	services_done(&r.dropped);
	return ret;
}

static bool has_legacy(const struct net_iptables_size sizes[static LEGACY_TABLES])
{
	for (size_t i = 0; i < LEGACY_TABLES; i++) {
		if (sizes[i].entries)
			return true;
	}
	return false;
}

/* What cannot be read must not withdraw what was found there, nor hide what nftables has. */
static int look_at_legacy(struct kube_proxy *proxy, struct net_iptables_size sizes[static LEGACY_TABLES])
{
	int ret = measure_legacy(sizes);

	if (ret && has_legacy(proxy->sizes))
		return ret;
	if (ret)
		memset(sizes, 0, LEGACY_TABLES * sizeof(*sizes));
	proxy->legacy_error = ret;
	return 0;
}

/* A kernel, or a container, without nftables has no rules there. */
static int look_at_nft(struct kube_proxy *proxy, bool *ret_there, uint32_t *ret_generation)
{
	int ret;

	*ret_generation = 0;
	*ret_there = has_nft(proxy);
	if (!*ret_there)
		return 0;
	ret = net_nf_generation(ret_generation);
	if (ret == -EOPNOTSUPP || ret == -EINVAL || ret == -EPROTONOSUPPORT)
		*ret_there = false;
	return *ret_there ? ret : 0;
}

int kube_proxy_look(struct kube_proxy *proxy, uint64_t now_ns, struct services *ret_list)
{
	struct net_iptables_size sizes[LEGACY_TABLES];
	uint64_t began = clock_boot_ns();
	uint32_t generation;
	bool with_nft;
	int ret = look_at_nft(proxy, &with_nft, &generation);

	if (!ret)
		ret = look_at_legacy(proxy, sizes);
	if (ret)
		return ret;
	if (proxy->is_read && (now_ns - proxy->read_ns < COST_SHARE * proxy->cost_ns ||
		(generation == proxy->generation && !memcmp(sizes, proxy->sizes, sizeof(sizes)) &&
		!(has_legacy(sizes) && now_ns - proxy->read_ns >= LEGACY_NS))))
		return 0;
	ret = -EAGAIN;
	for (unsigned i = 0; i < ATTEMPTS && ret == -EAGAIN; i++)
		ret = read_once(with_nft, sizes, ret_list);
	if (ret)
		return ret;
	memcpy(proxy->sizes, sizes, sizeof(sizes));
	proxy->generation = generation;	/* from before: what came meanwhile is read the next time */
	proxy->is_read = true;
	proxy->read_ns = now_ns;
	proxy->cost_ns = clock_boot_ns() - began;
	return 1;
}
