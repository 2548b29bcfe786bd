// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The facts about this host that management is told: PeerSystemMeta.
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if_arp.h>
#include <dirent.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "client/sysinfo.h"
#include "management.pb-c.h"

#define ADDRESSES_MAX	256
#define FILES_MAX	256
#define FIELD_MAX	256
#define MAC_TEXT	18
#define CIDR_TEXT	(INET6_ADDRSTRLEN + 4)

/* Prefix of the names of system files; tests set their own. */
static const char *root = "";

/*
 * Devices that come and go with pods, containers and tunnels, ours among them. The server writes each
 * change of the list to its database and shows it to all, and takes frequent changes for two hosts with one
 * key.
 */
static const char *const passing[] = {
	"veth", "cni", "cali", "cilium", "flannel", "lxc", "lxd", "docker", "br-", "kube", "wt", "talon",
	"wg", "tun", "tap", "utun", "zt",
	"tailscale", "nodelocaldns", "dummy", "vxlan", "geneve", "genev_", "gre", "erspan", "ip6tnl", "sit",
	"ifb", "virbr", "vnet", "podman", "nerdctl", "weave", "antrea", "ovn", "ovs", "azv", "cbr", "tunl",
	"gke", "kata", "eni",
};

struct facts {
	char hostname[HOST_NAME_MAX + 1];
	char os[FIELD_MAX], os_version[FIELD_MAX];
	char serial[FIELD_MAX], product[FIELD_MAX], manufacturer[FIELD_MAX];
	struct utsname uts;
};

struct address {
	char cidr[CIDR_TEXT];
	char mac[MAC_TEXT];
};

struct addresses {
	struct address list[ADDRESSES_MAX];
	size_t count;
};

static FILE *open_system_file(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, name);
	return fopen(path, "re");
}

/* The host */

/* The first line of a file, in printable ASCII; empty if it cannot be read. */
static void read_line(const char *name, char text[FIELD_MAX])
{
	FILE *f = open_system_file(name);

	if (!f || !fgets(text, FIELD_MAX, f))
		text[0] = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
	for (const char *at = text; *at; at++)
		if (*at < ' ' || *at > '~') {
			text[0] = 0;
			return;
		}
}

/* The first of @names with a meaningful value; some vendors leave "Default string". */
static void read_first(const char *const *names, char text[FIELD_MAX])
{
	char best[FIELD_MAX] = "";

	for (; *names; names++) {
		read_line(*names, text);
		if (text[0] && strcmp(text, "Default string") != 0)
			return;
		if (!best[0])
			strcpy(best, text);
	}
	strcpy(text, best);
}

#define NAMES(...) ((const char *const []){ __VA_ARGS__, NULL })
#define DMI "/sys/class/dmi/id/"

static void read_dmi(struct facts *facts)
{
	read_first(NAMES(DMI "chassis_serial", DMI "product_serial", DMI "board_serial"), facts->serial);
	read_first(NAMES(DMI "product_name", DMI "board_name"), facts->product);
	read_first(NAMES(DMI "sys_vendor"), facts->manufacturer);
}

/* KEY=value or KEY="value" of os-release(5). */
static void take_value(const char *line, const char *key, char text[FIELD_MAX])
{
	size_t len = strlen(key);
	const char *value;

	if (strncmp(line, key, len) != 0 || line[len] != '=')
		return;
	value = line + len + 1;
	if (*value == '"' || *value == '\'')
		value++;
	snprintf(text, FIELD_MAX, "%.*s", (int)strcspn(value, "\"'\n"), value);
}

static void read_os_release(struct facts *facts)
{
	FILE *f = open_system_file("/etc/os-release");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		take_value(line, "NAME", facts->os);
		take_value(line, "VERSION_ID", facts->os_version);
	}
	if (f)
		fclose(f);
	if (!facts->os[0])
		strcpy(facts->os, "GNU/Linux");
	/* a rolling distribution, or an image without the file; servers need a value */
	if (!facts->os_version[0])
		snprintf(facts->os_version, FIELD_MAX, "%.*s", (int)strcspn(facts->uts.release, "-"),
			facts->uts.release);
}

static void read_facts(const char *hostname, struct facts *facts)
{
	if (hostname)
		snprintf(facts->hostname, sizeof(facts->hostname), "%s", hostname);
	else if (gethostname(facts->hostname, sizeof(facts->hostname) - 1))
		strcpy(facts->hostname, "localhost");
	uname(&facts->uts);
	read_os_release(facts);
	read_dmi(facts);
}

static const char *platform(void)
{
	char path[PATH_MAX];

	if (getenv("KUBERNETES_SERVICE_HOST"))
		return "Kubernetes";
	snprintf(path, sizeof(path), "%s/.dockerenv", root);
	return access(path, F_OK) ? "" : "Docker";
}

/* Addresses */

static bool comes_and_goes(const char *device)
{
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(device, passing[i], strlen(passing[i])) == 0)
			return true;
	return false;
}

/* Our own devices have the directory of their maps as their alias. */
static bool is_our_own(const char *device)
{
	char name[64], alias[FIELD_MAX];

	snprintf(name, sizeof(name), "/sys/class/net/%.32s/ifalias", device);
	read_line(name, alias);
	return strncmp(alias, "/sys/fs/bpf/", 12) == 0;
}

/* True for a device whose hardware address is reported. */
static bool is_stable(const struct ifaddrs *entry)
{
	static const uint8_t none[6];
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)entry->ifa_addr;

	if (!link || link->sll_family != AF_PACKET || link->sll_hatype != ARPHRD_ETHER ||
		link->sll_halen != sizeof(none))
		return false;
	return memcmp(link->sll_addr, none, sizeof(none)) != 0 && !comes_and_goes(entry->ifa_name) &&
		!is_our_own(entry->ifa_name);
}

static unsigned int mask_bits(const struct sockaddr_in *mask)
{
	return mask ? __builtin_popcount(mask->sin_addr.s_addr) : 32;
}

static void add_address(struct addresses *addresses, int family, const void *addr, unsigned int bits,
	const char *mac)
{
	char text[INET6_ADDRSTRLEN];
	struct address *slot;

	if (addresses->count == ADDRESSES_MAX || !inet_ntop(family, addr, text, sizeof(text)))
		return;
	slot = &addresses->list[addresses->count++];
	snprintf(slot->cidr, sizeof(slot->cidr), "%s/%u", text, bits);
	snprintf(slot->mac, sizeof(slot->mac), "%s", mac);
}

/* Not loopback, link-local or multicast. */
static bool is_told4(uint32_t addr)
{
	return addr >> 24 != 127 && addr >> 16 != 0xa9fe && addr >> 28 != 0xe;
}

static bool is_told6(const struct in6_addr *addr)
{
	return !IN6_IS_ADDR_LOOPBACK(addr) && !IN6_IS_ADDR_LINKLOCAL(addr) && !IN6_IS_ADDR_MULTICAST(addr);
}

static void add_ipv4(struct addresses *addresses, const struct ifaddrs *all, const char *device,
	const char *mac)
{
	for (const struct ifaddrs *entry = all; entry; entry = entry->ifa_next) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)entry->ifa_addr;

		if (in && in->sin_family == AF_INET && strcmp(entry->ifa_name, device) == 0 &&
			is_told4(ntohl(in->sin_addr.s_addr)))
			add_address(addresses, AF_INET, &in->sin_addr,
			mask_bits((const struct sockaddr_in *)entry->ifa_netmask), mac);
	}
}

/* if_inet6 has the flags: leaves out temporary addresses, and those not yet or no longer in use. */
static void add_ipv6(struct addresses *addresses, const char *device, const char *mac)
{
	enum { TEMPORARY = 0x01, FAILED = 0x08, DEPRECATED = 0x20, TENTATIVE = 0x40 };
	FILE *f = open_system_file("/proc/net/if_inet6");
	unsigned int bits, flags;
	struct in6_addr addr;
	char hex[33], name[32];

	while (f && fscanf(f, "%32s %*x %x %*x %x %31s", hex, &bits, &flags, name) == 4) {
		bool ok = strlen(hex) == 32 && strcmp(name, device) == 0 &&
			!(flags & (TEMPORARY | FAILED | DEPRECATED | TENTATIVE));

		for (int i = 0; ok && i < 16; i++)
			ok = sscanf(hex + 2 * i, "%2hhx", &addr.s6_addr[i]) == 1;
		if (ok && is_told6(&addr))
			add_address(addresses, AF_INET6, &addr, bits, mac);
	}
	if (f)
		fclose(f);
}

static int by_text(const void *a, const void *b)
{
	const struct address *x = a, *y = b;
	int order = strcmp(x->cidr, y->cidr);

	return order ? order : strcmp(x->mac, y->mac);
}

/* Sorts and removes duplicates, so that an unchanged host reports the same list. */
static void settle(struct addresses *addresses)
{
	size_t kept = 0;

	qsort(addresses->list, addresses->count, sizeof(addresses->list[0]), by_text);
	for (size_t i = 0; i < addresses->count; i++)
		if (!kept || by_text(&addresses->list[kept - 1], &addresses->list[i]) != 0)
			addresses->list[kept++] = addresses->list[i];
	addresses->count = kept;
}

static void read_addresses(struct addresses *addresses)
{
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return;
	for (const struct ifaddrs *entry = all; entry; entry = entry->ifa_next) {
		const uint8_t *hw;
		char mac[MAC_TEXT];

		if (!is_stable(entry))
			continue;
		hw = ((const struct sockaddr_ll *)entry->ifa_addr)->sll_addr;
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", hw[0], hw[1], hw[2], hw[3],
			hw[4], hw[5]);
		add_ipv4(addresses, all, entry->ifa_name, mac);
		add_ipv6(addresses, entry->ifa_name, mac);
	}
	freeifaddrs(all);
	settle(addresses);
}

/* Posture checks */

static void mark_running(Management__File *files, size_t count, const char *pid)
{
	char link[64], path[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%.20s/exe", pid);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return;
	path[len] = 0;
	for (size_t i = 0; i < count; i++)
		if (strcmp(files[i].path, path) == 0)
			files[i].process_is_running = true;
}

static void look_at_files(Management__File *files, size_t count)
{
	struct dirent *entry;
	struct stat st;
	DIR *proc;

	for (size_t i = 0; i < count; i++)
		files[i].exist = stat(files[i].path, &st) == 0;
	proc = count ? opendir("/proc") : NULL;
	while (proc && (entry = readdir(proc)))
		if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
			mark_running(files, count, entry->d_name);
	if (proc)
		closedir(proc);
}

/* The message */

static void fill_flags(Management__Flags *message, const struct sysinfo_flags *flags)
{
	message->disable_client_routes = flags->disable_client_routes;
	message->disable_server_routes = flags->disable_server_routes;
	message->disable_dns = true;			/* we never change a host's resolver */
	message->disable_firewall = flags->disable_firewall;
	message->block_lan_access = flags->block_lan_access;
	message->block_inbound = flags->block_inbound;
	message->disable_ipv6 = flags->disable_ipv6;
}

/*
 * Sources of access rules as prefixes, always; IPv6 if it is carried. Never maps as components (3), and no
 * number of a map format (field 19): so the server sends the classic ones.
 */
static void fill_capabilities(Management__PeerSystemMeta *meta, const struct sysinfo_flags *flags)
{
	static Management__PeerCapability both[] = { MANAGEMENT__PEER_CAPABILITY__SOURCE_PREFIXES,
		MANAGEMENT__PEER_CAPABILITY__IPV6_OVERLAY };

	meta->capabilities = both;
	meta->n_capabilities = flags->carries_ipv6 && !flags->disable_ipv6 ? 2 : 1;
}

static void fill_facts(Management__PeerSystemMeta *meta, struct facts *facts)
{
	meta->hostname = facts->hostname;
	meta->go_os = "linux";
	meta->kernel = facts->uts.sysname;
	meta->core = facts->os_version;
	meta->platform = facts->uts.machine;
	meta->os = facts->os;
	meta->netbird_version = SYSINFO_NETBIRD_VERSION;
	meta->kernel_version = facts->uts.release;
	meta->os_version = facts->os_version;
	meta->sys_serial_number = facts->serial;
	meta->sys_product_name = facts->product;
	meta->sys_manufacturer = facts->manufacturer;
}

static int pack(const Management__PeerSystemMeta *meta, uint8_t **ret_bytes, size_t *ret_len)
{
	size_t len = management__peer_system_meta__get_packed_size(meta);
	uint8_t *bytes = malloc(len + 1);

	if (!bytes)
		return -ENOMEM;
	*ret_len = management__peer_system_meta__pack(meta, bytes);
	*ret_bytes = bytes;
	return 0;
}

struct lists {				/* what the message points to */
	struct addresses found;
	Management__NetworkAddress addresses[ADDRESSES_MAX], *address_at[ADDRESSES_MAX];
	Management__File files[FILES_MAX], *file_at[FILES_MAX];
};

static void fill_addresses(Management__PeerSystemMeta *meta, struct lists *lists)
{
	read_addresses(&lists->found);
	for (size_t i = 0; i < lists->found.count; i++) {
		management__network_address__init(&lists->addresses[i]);
		lists->addresses[i].net_ip = lists->found.list[i].cidr;
		lists->addresses[i].mac = lists->found.list[i].mac;
		lists->address_at[i] = &lists->addresses[i];
	}
	meta->network_addresses = lists->address_at;
	meta->n_network_addresses = lists->found.count;
}

static void fill_files(Management__PeerSystemMeta *meta, struct lists *lists, char *const *files,
	size_t count)
{
	if (count > FILES_MAX)
		count = FILES_MAX;
	for (size_t i = 0; i < count; i++) {
		management__file__init(&lists->files[i]);
		lists->files[i].path = files[i];
		lists->file_at[i] = &lists->files[i];
	}
	look_at_files(lists->files, count);
	meta->files = lists->file_at;
	meta->n_files = count;
}

int sysinfo_pack(const char *hostname, const struct sysinfo_flags *flags, char *const *files,
	size_t file_count, uint8_t **ret_bytes, size_t *ret_len)
{
	Management__PeerSystemMeta meta = MANAGEMENT__PEER_SYSTEM_META__INIT;
	Management__Environment environment = MANAGEMENT__ENVIRONMENT__INIT;
	Management__Flags flags_message = MANAGEMENT__FLAGS__INIT;
	struct lists *lists = calloc(1, sizeof(*lists));
	struct facts facts = {};
	int ret;

	if (!lists)
		return -ENOMEM;
	read_facts(hostname, &facts);
	fill_facts(&meta, &facts);
	fill_addresses(&meta, lists);
	fill_files(&meta, lists, files, file_count);
	fill_flags(&flags_message, flags);
	fill_capabilities(&meta, flags);
	environment.platform = (char *)platform();
	if (environment.platform[0])
		meta.environment = &environment;
	meta.flags = &flags_message;
	ret = pack(&meta, ret_bytes, ret_len);
	free(lists);
	return ret;
}
