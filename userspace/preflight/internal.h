/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside preflight/: what the checks share. Most come in two halves: read_...() asks the host, judge_...()
 * turns what it said into findings, and is what the unit tests call.
 */
#ifndef TALON_PREFLIGHT_INTERNAL_H
#define TALON_PREFLIGHT_INTERNAL_H

#include "cgroup/memory.h"
#include "datapath/datapath.h"
#include "net/net.h"
#include "preflight/preflight.h"

/* report.c */
/* What to say of checks that nothing was found for, as there was nothing to look at. */
void find_unseen(struct preflight_report *report);
/*
 * Adds a finding; @fmt says what was found. Never NULL: what does not fit is counted and goes nowhere. It
 * moves when the next one is added.
 */
struct preflight_finding *find(struct preflight_report *report, enum preflight_check check,
	enum preflight_level level, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void find_why(struct preflight_finding *finding, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void find_act(struct preflight_finding *finding, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line of `talon up`: what is wrong, "; ", what to do. */
struct preflight_finding *find_line(struct preflight_report *report, enum preflight_check check,
	enum preflight_level level, const char *line);
bool find_any(const struct preflight_report *report, enum preflight_check check);

/* start.c */
#define START_CAN_MOUNT 1
int start_read_capabilities(__u64 *ret_effective);
/* The line for what that returns. */
void start_explain_proc(int error, char *why, size_t size);
int start_check_uplinks(const struct config *config, char *why, size_t size);
int start_check_zones(const struct config *config, char *why, size_t size);
/* As preflight_check_pin_dir(), but mounts nothing: START_CAN_MOUNT with @why if that would help. */
int start_judge_pin_dir(const char *pin_dir, char *why, size_t size);
/* A mesh has no file: its settings go by the names of their flags. */
void start_name_flags(const struct config *config, char *why, size_t size);

/* What several checks need to know. */
struct host {
	const struct config *config;
	const char *root;		/* "" or a directory */
	__u64	capabilities;		/* effective ones */
	bool	may_ask;		/* the kernel lets us load programs */
	bool	is_running;		/* a controller holds the pin directory */
	__u32	pid;			/* of that; 0: not known */
	__u16	running_port;		/* of the datapath that is pinned; 0: none, or not known */
	struct net_link uplinks[TALON_UPLINKS_MAX];	/* those that exist */
	unsigned uplink_count;
	struct datapath_programs programs[TALON_UPLINKS_MAX];	/* on them */
	bool	has_tunnel;
	struct datapath_programs tunnel;		/* on the tunnel device */
};

/* memory.c */
/*
 * What a start takes beside maps, measured with the largest defaults on Linux 6.18: programs, the verifier
 * while it looks at one of them, both processes.
 */
#define MEMORY_BESIDE		(12ULL << 20)
#define MEMORY_BESIDE_MESH	(16ULL << 20)

struct memory_facts {
	bool	is_known;		/* what maps need */
	bool	is_mesh;
	struct datapath_need need;
	struct cgroup_memory group;
};
void memory_read(const struct config *config, const char *root, struct memory_facts *ret_facts);
/* Returns 0, or -ENOMEM with the line for `talon up`. */
int memory_refuse(const struct memory_facts *facts, char *why, size_t size);
void judge_memory(const struct memory_facts *facts, struct preflight_report *report);

/* kernel.c */
struct kernel_facts {
	char	release[65];
	unsigned missing;		/* bits by place in kernel_features[] */
	bool	may_ask;
	int	trial_ret;
	struct datapath_trial trial;
	bool	has_btf;
	int	unprivileged;		/* sysctl kernel.unprivileged_bpf_disabled; -1: not known */
	/* net.core.bpf_jit_harden; -1: not visible in this network namespace */
	int	harden;
};

struct kernel_feature {
	const char *name;
	const char *since;		/* Linux version */
	bool (*is_there)(int number);
	int number;
};
extern const struct kernel_feature kernel_features[];	/* one without a name ends them */

void kernel_read(const struct host *host, struct kernel_facts *ret_facts);
void judge_kernel(const struct kernel_facts *facts, struct preflight_report *report);

/* start_checks.c: what `talon up` asks too */
void check_start(struct host *host, struct preflight_report *report);
void judge_controller(const struct host *host, struct preflight_report *report);
void judge_capabilities(__u64 effective, struct preflight_report *report);
void judge_port(const struct host *host, int ret, const char *why, struct preflight_report *report);
/* @ret, @why: what preflight_check_metrics() said */
void judge_metrics(const struct host *host, int ret, const char *why, struct preflight_report *report);
/* @ret, @why: what the functions of the start said */
void judge_pin_dir(const struct host *host, int ret, const char *why, struct preflight_report *report);
void judge_uplinks(const struct host *host, int ret, const char *why, struct preflight_report *report);
void judge_endpoints(int ret, const char *why, struct preflight_report *report);
/* @ret: 0 or what net_tunnel_find() said */
void judge_tunnel(const struct config *config, int ret, struct preflight_report *report);
void judge_mtu(const struct host *host, struct preflight_report *report);

/* devices.c */
void check_devices(const struct host *host, struct preflight_report *report);
/* @hazard of net_hazards_each() */
void judge_hazard(const struct host *host, const struct net_hazard *hazard, struct preflight_report *report);
/* "ok" for every check of hazards that found nothing */
void judge_no_hazard(struct preflight_report *report);
void judge_xdp(const struct config *config, const char *device, const struct datapath_programs *programs,
	struct preflight_report *report);
void judge_tc(const struct config *config, const char *device, const struct datapath_programs *programs,
	struct preflight_report *report);
/* Which devices take redirected frames. */
struct redirect_facts {
	int	ret;			/* of net_redirect_list() */
	unsigned takes, refuses;	/* devices that are no uplinks */
	bool	uplink_takes[TALON_UPLINKS_MAX];
};
void judge_redirect(const struct host *host, const struct redirect_facts *facts,
	struct preflight_report *report);

/* @ret: what net_threads_check() said of that uplink, which is to have a thread */
void judge_threads(const char *device, int ret, struct preflight_report *report);

/* signs.c: what gives a CNI away */
enum sign_kind {
	SIGN_LINK,			/* name of a device */
	SIGN_PROGRAM,			/* name of a BPF program */
	SIGN_PLUGIN,			/* "type" in a file of /etc/cni/net.d */
	SIGN_PATH,			/* a file that exists */
	SIGN_TABLE,			/* of nftables */
	SIGN_CHAIN,			/* of nftables, iptables-nft and iptables-legacy */
	SIGN_SET,			/* of ipset */
	SIGN_IPVS,			/* /proc/net/ip_vs has services */
};

enum owner {
	OWNER_CILIUM, OWNER_CALICO, OWNER_FLANNEL, OWNER_KUBE_ROUTER, OWNER_ANTREA, OWNER_WEAVE, OWNER_AWS,
	OWNER_PROXY_IPTABLES, OWNER_PROXY_NFTABLES, OWNER_PROXY_IPVS,
	OWNER_COUNT
};

#define SIGNS_SHOWN 3

struct signs {
	struct {
		unsigned count;			/* of different kinds of signs */
		char text[SIGNS_SHOWN][96];	/* the first of them */
		unsigned kinds;			/* bits by sign_kind that were seen */
	} of[OWNER_COUNT];
	char	unknown_plugin[64];	/* a plugin type that is no helper and of no CNI above */
	bool	has_bridge;
	/* base chains at PREROUTING of IPv4, and those of them that drop what is INVALID */
	char	prerouting[16][132];
	unsigned prerouting_count;
	char	dropping[132];
};

/* @where: a device, a file; or NULL. */
void signs_offer(struct signs *signs, enum sign_kind kind, const char *name, const char *where);
void signs_offer_nf(struct signs *signs, const struct net_nf *nf);
/* Reads all that files below @root, and programs and devices of @host say. */
void signs_read_files(struct signs *signs, const char *root);
void signs_read(const struct host *host, struct signs *ret_signs);
/* The plugins that one configuration names: a file of /etc/cni/net.d. */
void signs_read_plugins(struct signs *signs, const char *text, size_t len, const char *file);

/* cni.c */
void judge_cni(const struct signs *signs, struct preflight_report *report);
void judge_kube_proxy(const struct signs *signs, struct preflight_report *report);
void judge_cilium(const struct host *host, const struct signs *signs, struct preflight_report *report);

struct conntrack_facts {
	bool	is_there;
	bool	sees_bridges;		/* net.bridge.bridge-nf-call-iptables */
};
void conntrack_read(const char *root, struct conntrack_facts *ret_facts);
void judge_conntrack(const struct conntrack_facts *facts, const struct signs *signs,
	struct preflight_report *report);

/* misc.c */
void judge_nat_ports(const struct config *config, const char *root, struct preflight_report *report);
void judge_clock(__u64 unix_s, bool is_synchronized, struct preflight_report *report);
void check_clock(struct preflight_report *report);
/* @ret: whether @path can be written, which @flag would change */
void judge_state(const char *path, const char *flag, int ret, struct preflight_report *report);
void check_state(const struct config *config, struct preflight_report *report);

#endif
