// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Looks whether this host can carry out a configuration, and names what is missing.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "preflight/internal.h"
#include "config/value.h"
#include "datapath/datapath.h"
#include "metrics/listen.h"
#include "net/net.h"

#define BPFFS "/sys/fs/bpf"
#define ENDING_TRIES	100
#define ENDING_PAUSE_US	20000

int start_read_capabilities(__u64 *ret_effective)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long effective;
	char line[256];
	int ret = -ENODATA;

	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &effective) == 1) {
			*ret_effective = effective;
			ret = 0;
		}
	}
	fclose(f);
	return ret;
}

void start_explain_proc(int error, char *why, size_t size)
{
	snprintf(why, size, "cannot read /proc/self/status: %s; mount /proc", strerror(-error));
}

#define NEEDED_TO_GO_DOWN 2		/* of the first in the list */

static const struct {
	unsigned int bit;
	bool part_of_sys_admin;			/* which contained it until Linux 5.8 */
	const char *name;
} needed[] = {
	{ CAP_NET_ADMIN, false, "CAP_NET_ADMIN (devices, routes, programs on devices)" },
	{ CAP_BPF, true, "CAP_BPF (programs, maps)" },
	{ CAP_PERFMON, true, "CAP_PERFMON (programs that change packets)" },
	{ CAP_NET_RAW, false, "CAP_NET_RAW (relays, held packets, fragments)" },
};

static int check_first(size_t count, __u64 effective, char *why, size_t size)
{
	bool is_sys_admin = effective & 1ULL << CAP_SYS_ADMIN;
	char names[224] = "";
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (effective & 1ULL << needed[i].bit || (needed[i].part_of_sys_admin && is_sys_admin))
			continue;
		len += snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "", needed[i].name);
	}
	if (!len)
		return 0;
	snprintf(why, size, "missing capability: %s; run as root or add it to the container's "
		"securityContext", names);
	return -EPERM;
}

int preflight_check_capabilities(__u64 effective, char *why, size_t size)
{
	return check_first(sizeof(needed) / sizeof(needed[0]), effective, why, size);
}

/* Programs would be detached and their pins stay, or the other way round. */
int preflight_check_down(const char *pin_dir, char *why, size_t size)
{
	__u64 effective;
	int ret = start_read_capabilities(&effective);

	if (ret) {
		start_explain_proc(ret, why, size);
		return ret;
	}
	ret = check_first(NEEDED_TO_GO_DOWN, effective, why, size);
	if (ret || !access(pin_dir, W_OK) || errno == ENOENT)
		return ret;
	ret = -errno;
	snprintf(why, size, "--pin-dir: %s cannot be written: %s; mount the bpf file system writable",
		pin_dir, strerror(-ret));
	return ret;
}

static const char *usual_owner(__u16 port)
{
	switch (port) {
	case 51820:
		return " (WireGuard's and NetBird's usual port)";
	case 51821:
		return " (Calico's WireGuard for IPv6)";
	case 51871:
		return " (Cilium's WireGuard)";
	}
	return "";
}

static int try_bind(int family, __u16 port)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd, ret = 0, one = 1;

	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)))
		ret = -errno;
	else if (family == AF_INET6 ? bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) :
				      bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		ret = -errno;
	close(fd);
	return ret;
}

int preflight_check_port(__u16 port, char *why, size_t size)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		int ret = try_bind(families[i], port);

		/* A host without IPv6 has no one to disturb there. */
		if (!ret || (families[i] == AF_INET6 && (ret == -EAFNOSUPPORT || ret == -EADDRNOTAVAIL)))
			continue;
		if (ret == -EADDRINUSE)
			snprintf(why, size,
				"Interface.ListenPort: UDP port %u%s is in use; write a free port, 1-65535",
				port, usual_owner(port));
		else
			snprintf(why, size, "Interface.ListenPort: cannot bind UDP port %u: %s", port,
				strerror(-ret));
		return ret;
	}
	return 0;
}

int preflight_check_metrics(const struct config_metrics *metrics, char *why, size_t size)
{
	char text[CONFIG_WHY_LEN - 24];
	int ret = metrics_listen_check(metrics, text, sizeof(text));

	if (ret)
		snprintf(why, size, "Interface.Metrics: %s", text);
	return ret;
}

static int check_device(const char *name, struct net_link *link, char *why, size_t size)
{
	int ret = net_link_get(name, link);

	if (ret) {
		snprintf(why, size, "Interface.Uplink: %s: %s; write the name of a device that is up", name,
			ret == -ENODEV ? "there is no such device" : strerror(-ret));
		return ret;
	}
	if (!net_link_is_ethernet(link)) {
		snprintf(why, size, "Interface.Uplink: %s has no Ethernet header%s%s; write an Ethernet "
			"device", name, link->kind[0] ? ": it is of kind " : "", link->kind);
		return -EPROTONOSUPPORT;
	}
	if (link->up)
		return 0;
	snprintf(why, size, "Interface.Uplink: %s is down; run ip link set %s up, or write another device",
		name, name);
	return -ENETDOWN;
}

/* An alternative name (ip link property) names the same device. */
static int check_twice(const struct config *config, const struct net_link *links, size_t at, char *why,
	size_t size)
{
	for (size_t i = 0; i < at; i++) {
		if (links[i].ifindex != links[at].ifindex)
			continue;
		snprintf(why, size, "Interface.Uplink: %s and %s are the same device; write it once",
			config->uplinks[i], config->uplinks[at]);
		return -EEXIST;
	}
	return 0;
}

/* The default route may have several devices, of which those that cannot be used are left out. */
static int check_default(char *why, size_t size)
{
	struct net_link links[TALON_UPLINKS_MAX];
	unsigned count;
	int ret = net_default_uplinks(links, &count);

	if (ret || !count) {
		snprintf(why, size,
			"Interface.Uplink: no device has an IPv4 default route; write the name of a device "
			"that is up");
		return ret ? ret : -ENOENT;
	}
	for (unsigned i = 0; i < count; i++) {
		if (net_link_is_ethernet(&links[i]) && links[i].up)
			return 0;
	}
	return check_device(links[0].name, &links[0], why, size);
}

int start_check_uplinks(const struct config *config, char *why, size_t size)
{
	struct net_link links[TALON_UPLINKS_MAX];
	int ret = 0;

	if (!config->uplink_count)
		return check_default(why, size);
	for (size_t i = 0; i < config->uplink_count && !ret; i++) {
		ret = check_device(config->uplinks[i], &links[i], why, size);
		if (!ret)
			ret = check_twice(config, links, i, why, size);
	}
	return ret;
}

/*
 * @path or the nearest directory above it that exists; @ret_rest: what of @path lies below that. A bpf file
 * system has no names with a dot and answers EPERM when one is looked up.
 */
static int statfs_nearest(const char *path, struct statfs *fs, const char **ret_rest)
{
	char at[CONFIG_PIN_DIR_LEN], *slash;

	snprintf(at, sizeof(at), "%s", path);
	while (statfs(at, fs)) {
		slash = strrchr(at, '/');
		if (!slash || slash == at || !(errno == ENOENT || (errno == EPERM && strchr(at, '.'))))
			return -errno;
		*slash = '\0';
	}
	*ret_rest = path + strlen(at);
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

int start_judge_pin_dir(const char *pin_dir, char *why, size_t size)
{
	bool is_there, can_be;
	const char *rest = "";
	struct statfs fs;
	int ret = statfs_nearest(pin_dir, &fs, &rest);

	is_there = !ret && (unsigned long)fs.f_type == BPF_FS_MAGIC;
	can_be = !ret && is_below(pin_dir, BPFFS);
	if ((is_there && strchr(rest, '.')) || (can_be && strchr(pin_dir, '.'))) {
		snprintf(why, size, "--pin-dir: %s has a dot, which no name on a bpf file system can have; "
			"write one without, like " CONFIG_PIN_DIR, pin_dir);
		return -EINVAL;
	}
	if (is_there)
		return 0;
	if (can_be) {
		snprintf(why, size, "--pin-dir: %s is not mounted; run mount -t bpf bpf %s", BPFFS, BPFFS);
		return START_CAN_MOUNT;
	}
	ret = ret ? ret : -EMEDIUMTYPE;
	snprintf(why, size,
		"--pin-dir: %s is not on a bpf file system; run mount -t bpf bpf %s, or choose a path below "
		"%s", pin_dir, BPFFS, BPFFS);
	return ret;
}

int preflight_check_pin_dir(const char *pin_dir, char *why, size_t size)
{
	int ret = start_judge_pin_dir(pin_dir, why, size);

	if (ret != START_CAN_MOUNT)
		return ret;
	if (!mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return 0;
	ret = -errno;
	snprintf(why, size, "--pin-dir: %s is not mounted and cannot be: %s; run mount -t bpf bpf %s",
		BPFFS, strerror(-ret), BPFFS);
	return ret;
}

/* Its first thread is gone, or all of it: what it holds is let go at any moment. */
static bool is_ending(uint32_t pid)
{
	char path[32], line[512] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT;
	end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	return !end || end[2] == 'Z' || end[2] == 'X';
}

int preflight_check_alone(const char *pin_dir, char *why, size_t size)
{
	char who[32] = "in another pid namespace";
	uint32_t pid;

	/* A process of several threads that was killed counts as gone before the last of them is. */
	for (int i = 0; i < ENDING_TRIES; i++) {
		if (!datapath_is_held(pin_dir, &pid))
			return 0;
		if (!pid || !is_ending(pid))
			break;
		usleep(ENDING_PAUSE_US);
	}
	if (pid)
		snprintf(who, sizeof(who), "pid %u", pid);
	snprintf(why, size, "--pin-dir: Talon already runs on %s (%s); stop it first, have this one take "
		"over (--take-over on), or write another directory", pin_dir, who);
	return -EBUSY;
}

/* The device of a link-local endpoint must be there: the address alone says nothing. */
int start_check_zones(const struct config *config, char *why, size_t size)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		const char *zone = config->peers[i].endpoint.zone;

		if (!zone[0] || value_zone_index(zone))
			continue;
		snprintf(why, size,
			"Peer.Endpoint: %s: there is no such device; write [ADDRESS%%DEVICE]:PORT", zone);
		return -ENODEV;
	}
	return 0;
}

void start_name_flags(const struct config *config, char *why, size_t size)
{
	static const struct {
		const char *key, *flag;
	} names[] = {
		{ "Interface.ListenPort", "--wireguard-port" },
		{ "Interface.Uplink", "--uplink" },
		{ "Interface.Metrics", "--metrics" },
	};
	char rest[CONFIG_WHY_LEN];

	if (!config->mesh.enabled)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i].key);

		if (strncmp(why, names[i].key, len))
			continue;
		snprintf(rest, sizeof(rest), "%s", why + len);
		snprintf(why, size, "%s%s", names[i].flag, rest);
	}
}

/* What another controller has while it runs. */
static int check_free(const struct config *config, enum preflight_moment moment, char *why, size_t size)
{
	int ret = moment == PREFLIGHT_FIRST ? preflight_check_alone(config->pin_dir, why, size) : 0;

	if (!ret)
		ret = preflight_check_port(config->listen_port, why, size);
	/* the default place may be taken: then nothing is served */
	if (!ret && config->metrics.is_given)
		ret = preflight_check_metrics(&config->metrics, why, size);
	return ret;
}

static int check_host(const struct config *config, enum preflight_moment moment, char *why, size_t size)
{
	__u64 effective;
	int ret;

	if (moment == PREFLIGHT_AFTER)
		return check_free(config, moment, why, size);
	ret = start_read_capabilities(&effective);
	if (ret) {
		start_explain_proc(ret, why, size);
		return ret;
	}
	ret = preflight_check_capabilities(effective, why, size);
	if (!ret && moment != PREFLIGHT_BEFORE)
		ret = check_free(config, moment, why, size);
	if (!ret)
		ret = start_check_uplinks(config, why, size);
	if (!ret)
		ret = start_check_zones(config, why, size);
	if (!ret)
		ret = preflight_check_memory(config, why, size);
	if (!ret)
		ret = preflight_check_pin_dir(config->pin_dir, why, size);
	return ret;
}

int preflight_check(const struct config *config, enum preflight_moment moment, char *why, size_t size)
{
	int ret = check_host(config, moment, why, size);

	if (ret)
		start_name_flags(config, why, size);
	return ret;
}
