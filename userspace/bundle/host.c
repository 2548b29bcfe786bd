// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the kernel says of this host: devices, addresses, routes, rules, sysctls; and what
// firewalls are set up.
#include <arpa/inet.h>
#include <dirent.h>
#include <linux/fib_rules.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bundle/internal.h"
#include "net/nl.h"

#define RULE_ATTRS	(FRA_MAX + 1)

/* "-" for what is not set. */
static const char *address_text(uint8_t family, const void *addr, char text[static INET6_ADDRSTRLEN])
{
	static const uint8_t zero[16];

	if (!memcmp(addr, zero, nl_addr_len(family)) || !inet_ntop(family, addr, text, INET6_ADDRSTRLEN))
		return "-";
	return text;
}

static const char *device_text(int ifindex, char text[static IF_NAMESIZE])
{
	return ifindex && if_indextoname(ifindex, text) ? text : "-";
}

/* --- devices --- */

static void show_link(const struct net_link *link, void *user)
{
	FILE *out = user;

	fprintf(out, "%d: %s: %s mtu %u flags 0x%x %s%s mac %02x:%02x:%02x:%02x:%02x:%02x", link->ifindex,
		link->name, link->kind[0] ? link->kind : "-", link->mtu, link->flags,
		link->up ? "up" : "down", link->running ? " running" : "", link->mac[0], link->mac[1],
		link->mac[2], link->mac[3], link->mac[4], link->mac[5]);
	if (link->master)
		fprintf(out, " master %d", link->master);
	if (link->lower)
		fprintf(out, " link %d", link->lower);
	if (link->xdp_prog_id)
		fprintf(out, " xdp %u mode %u", link->xdp_prog_id, link->xdp_mode);
	fputc('\n', out);
}

static void show_addr(const struct net_addr *addr, void *user)
{
	char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];

	fprintf(user, "%s: %s/%u scope %u flags 0x%x\n", device_text(addr->ifindex, name),
		address_text(addr->family, &addr->addr, text), addr->prefixlen, addr->scope, addr->flags);
}

static void add_devices(struct bundle *bundle)
{
	FILE *out = bundle_open(bundle, "interfaces.txt");

	if (!out)
		return;
	net_link_list(show_link, out);
	fputs("\nAddresses\n", out);
	net_addr_list(show_addr, out);
	bundle_close(bundle);
}

/* --- routes and rules --- */

static void show_route(const struct net_route *route, void *user)
{
	char dst[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
	FILE *out = user;

	if (!inet_ntop(route->family, &route->dst, dst, sizeof(dst)))
		return;
	fprintf(out, "%s/%-3u  %-20s %-12s %-8u %-8u %-6u %-6u %-6u %s", dst, route->prefixlen,
		address_text(route->family, &route->gateway, gateway), device_text(route->ifindex, name),
		route->metric, route->protocol, route->scope, route->type, route->table,
		address_text(route->family, &route->prefsrc, source));
	if (route->hop_count > 1)
		fprintf(out, " hops %u", route->hop_count);
	fputc('\n', out);
}

static void add_routes(struct bundle *bundle)
{
	FILE *out = bundle_open(bundle, "routes.txt");

	if (!out)
		return;
	fputs("Destination, Gateway, Interface, Metric, Protocol, Scope, Type, Table, Source\n", out);
	net_route_list(AF_INET, show_route, out);
	net_route_list(AF_INET6, show_route, out);
	bundle_close(bundle);
}

static int take_attr(const struct nlattr *attr, void *data)
{
	const struct nlattr **attrs = data;

	if (mnl_attr_type_valid(attr, FRA_MAX) >= 0)
		attrs[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static void show_prefix(FILE *out, const char *word, uint8_t family, const struct nlattr *attr,
	unsigned int len)
{
	char text[INET6_ADDRSTRLEN];

	if (attr && mnl_attr_get_payload_len(attr) == nl_addr_len(family))
		fprintf(out, " %s %s/%u", word, address_text(family, mnl_attr_get_payload(attr), text), len);
	else
		fprintf(out, " %s all", word);
}

static void show_number(FILE *out, const char *word, const struct nlattr *attr)
{
	if (attr && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t))
		fprintf(out, " %s 0x%x", word, mnl_attr_get_u32(attr));
}

static void show_device(FILE *out, const char *word, const struct nlattr *attr)
{
	if (attr && mnl_attr_get_payload_len(attr) && mnl_attr_get_payload_len(attr) <= IF_NAMESIZE)
		fprintf(out, " %s %.*s", word, mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
}

static int show_rule(const struct nlmsghdr *nlh, void *user)
{
	const struct nlattr *attrs[RULE_ATTRS] = {};
	const struct fib_rule_hdr *rule;
	FILE *out = user;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rule))
		return MNL_CB_OK;
	rule = mnl_nlmsg_get_payload(nlh);
	mnl_attr_parse(nlh, sizeof(*rule), take_attr, attrs);
	fprintf(out, "%s %u:", rule->family == AF_INET6 ? "inet6" : "inet",
		attrs[FRA_PRIORITY] && mnl_attr_get_payload_len(attrs[FRA_PRIORITY]) >= 4
		? mnl_attr_get_u32(attrs[FRA_PRIORITY]) : 0);
	show_prefix(out, "from", rule->family, attrs[FRA_SRC], rule->src_len);
	show_prefix(out, "to", rule->family, attrs[FRA_DST], rule->dst_len);
	show_device(out, "iif", attrs[FRA_IIFNAME]);
	show_device(out, "oif", attrs[FRA_OIFNAME]);
	show_number(out, "mark", attrs[FRA_FWMARK]);
	show_number(out, "mask", attrs[FRA_FWMASK]);
	if (attrs[FRA_TABLE] && mnl_attr_get_payload_len(attrs[FRA_TABLE]) >= 4)
		fprintf(out, " table %u", mnl_attr_get_u32(attrs[FRA_TABLE]));
	fprintf(out, " action %u%s\n", rule->action, rule->flags & FIB_RULE_INVERT ? " inverted" : "");
	return MNL_CB_OK;
}

static void list_rules(FILE *out, uint8_t family)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule;

	nlh->nlmsg_type = RTM_GETRULE;
	rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));
	rule->family = family;
	nl_dump(nlh, false, show_rule, out);
}

static void add_rules(struct bundle *bundle)
{
	FILE *out = bundle_open(bundle, "ip_rules.txt");

	if (!out)
		return;
	list_rules(out, AF_INET);
	list_rules(out, AF_INET6);
	bundle_close(bundle);
}

/* --- sysctls --- */

static void show_sysctl(FILE *out, const char *path)
{
	char full[320], line[256];
	FILE *f;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	f = fopen(full, "re");
	if (!f)
		return;
	if (fgets(line, sizeof(line), f))
		fprintf(out, "%s = %s%s", path, line, strchr(line, '\n') ? "" : "\n");
	fclose(f);
}

static void show_device_sysctls(FILE *out, const char *family, const char *const *names)
{
	char path[320];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf", family);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		for (size_t i = 0; entry->d_name[0] != '.' && names[i]; i++) {
			if (snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, entry->d_name,
				names[i]) < (int)sizeof(path))
				show_sysctl(out, path);
		}
	}
	if (dir)
		closedir(dir);
}

static void add_sysctls(struct bundle *bundle)
{
	static const char *const all[] = { "net/ipv4/ip_forward", "net/ipv4/ip_local_port_range",
		"net/ipv4/ip_no_pmtu_disc", "net/ipv4/tcp_timestamps", "net/ipv4/tcp_mtu_probing",
		"net/ipv4/fib_multipath_hash_policy", "net/core/bpf_jit_enable", "net/core/bpf_jit_harden",
		"net/core/rmem_max", "net/core/wmem_max", "net/core/netdev_max_backlog",
		"net/netfilter/nf_conntrack_acct", "net/netfilter/nf_conntrack_count",
		"net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_tcp_be_liberal",
		"kernel/unprivileged_bpf_disabled" };
	static const char *const of4[] = { "forwarding", "rp_filter", "src_valid_mark", "accept_local",
		"route_localnet", NULL };
	static const char *const of6[] = { "forwarding", "accept_ra", "disable_ipv6", "addr_gen_mode", NULL };
	FILE *out = bundle_open(bundle, "sysctls.txt");

	if (!out)
		return;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		show_sysctl(out, all[i]);
	show_device_sysctls(out, "ipv4", of4);
	show_device_sysctls(out, "ipv6", of6);
	bundle_close(bundle);
}

/* --- the rest --- */

static void add_system(struct bundle *bundle)
{
	FILE *out = bundle_open(bundle, "system.txt");
	struct utsname name;
	double load[3];

	if (!out)
		return;
	if (!uname(&name))
		fprintf(out, "%s %s %s %s\n", name.sysname, name.release, name.version, name.machine);
	if (getloadavg(load, 3) == 3)
		fprintf(out, "load %.2f %.2f %.2f, processors %ld\n", load[0], load[1], load[2],
			sysconf(_SC_NPROCESSORS_ONLN));
	bundle_close(bundle);
	bundle_copy(bundle, "os-release.txt", "/etc/os-release", 4096);
	bundle_copy(bundle, "meminfo.txt", "/proc/meminfo", 65536);
	bundle_copy(bundle, "resolv.conf", "/etc/resolv.conf", 65536);
}

void bundle_add_host(struct bundle *bundle)
{
	static const char *const nft[] = { "nft", "-a", "list", "ruleset", NULL };
	static const char *const iptables[] = { "iptables-save", "-c", NULL };
	static const char *const ip6tables[] = { "ip6tables-save", "-c", NULL };
	static const char *const ipset[] = { "ipset", "list", NULL };
	static const char *const journal[] = { "journalctl", "-q", "-n", "10000", "--no-pager", "-o",
		"short-iso", "-u", "talon", "-u", "netbird", NULL };

	add_system(bundle);
	add_devices(bundle);
	add_routes(bundle);
	add_rules(bundle);
	add_sysctls(bundle);
	bundle_add_tool(bundle, "nftables.txt", nft);
	bundle_add_tool(bundle, "iptables.txt", iptables);
	bundle_add_tool(bundle, "ip6tables.txt", ip6tables);
	bundle_add_tool(bundle, "ipset.txt", ipset);
	bundle_add_tool(bundle, "journal.txt", journal);
}
