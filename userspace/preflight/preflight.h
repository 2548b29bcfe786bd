/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a valid configuration still needs from this host. `talon up` asks before anything is changed, so that
 * a refusal changes nothing; `talon preflight` asks the same and more, and reports all of it.
 */
#ifndef TALON_PREFLIGHT_H
#define TALON_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/config.h"

/*
 * For `talon up`: capabilities, no other controller, the WireGuard port on IPv4 and IPv6, the place where
 * metrics are to be served, the uplinks, memory, and a bpf file system for the pins. The last is mounted
 * where it belongs (/sys/fs/bpf) if it is not there, when all else was found in order. Returns 0, or a
 * negative errno with one line in @why that names what is missing and, after "; ", what to do.
 */
enum preflight_moment {
	PREFLIGHT_FIRST,	/* all of it */
	PREFLIGHT_SEATED,	/* this process holds the lock on the pins: all but another controller */
	PREFLIGHT_BEFORE,	/* another controller is to be asked to go: what does not depend on that */
	PREFLIGHT_AFTER,	/* ... and has gone, and packets wait: the rest */
};
int preflight_check(const struct config *config, enum preflight_moment moment, char *why, size_t size);
/*
 * For `talon down`: what it could not do without stopping half way. Returns 0 or a negative errno with
 * one line in @why.
 */
int preflight_check_down(const char *pin_dir, char *why, size_t size);

/* The parts, for tests. */

/* @effective: CapEff of /proc/self/status. Returns 0 or -EPERM. */
int preflight_check_capabilities(__u64 effective, char *why, size_t size);
/* Returns 0, or -EBUSY if a controller runs on @pin_dir. */
int preflight_check_alone(const char *pin_dir, char *why, size_t size);
/* Binds and lets go. @port: host order. Returns 0, -EADDRINUSE or another negative errno. */
int preflight_check_port(__u16 port, char *why, size_t size);
/* Whether metrics can be served there. Returns 0, -EADDRINUSE or another negative errno. */
int preflight_check_metrics(const struct config_metrics *metrics, char *why, size_t size);
/*
 * Whether the control group's limit leaves room for the maps that a start has to make, and logs what they
 * need if it does. Returns 0 or -ENOMEM.
 */
int preflight_check_memory(const struct config *config, char *why, size_t size);
/*
 * @pin_dir or the nearest directory above it that exists must be on a bpf file system. Returns 0 or a
 * negative errno.
 */
int preflight_check_pin_dir(const char *pin_dir, char *why, size_t size);

/* The report of `talon preflight`. */

/*
 * X(ID, name, why it matters): in the order in which they are made and shown. docs/preflight.md has them all.
 */
#define PREFLIGHT_CHECKS(X) \
	X(CONTROLLER, "controller", "one controller serves a pin directory") \
	X(CAPABILITIES, "capabilities", \
		"without them the kernel refuses programs, maps, devices and sockets") \
	X(KERNEL, "kernel", "Linux 6.1 is the oldest kernel that Talon is tested on") \
	X(FEATURES, "features", "the programs are made of these") \
	X(PROGRAMS, "programs", "a program that the verifier rejects cannot be attached") \
	X(BTF, "btf", "tools that show or trace programs read it") \
	X(JIT, "jit", "encryption is a BPF program") \
	X(UNPRIVILEGED_BPF, "unprivileged-bpf", "keys lie in kernel memory") \
	X(PIN_DIR, "pin-dir", "programs and maps outlive the controller by their pins") \
	X(MEMORY, "memory", "maps are kernel memory, and the control group pays for them") \
	X(TUNNEL, "tunnel", "this host reaches peers by a device of this name") \
	X(UPLINK, "uplink", "peers and networks are reached by it") \
	X(MTU, "mtu", "a sealed packet must fit through the uplink") \
	X(PORT, "port", "peers send to it") \
	X(METRICS, "metrics", "Prometheus and probes ask there") \
	X(ENDPOINTS, "endpoints", "a link-local address is nothing without its device") \
	X(NAT_PORTS, "nat-ports", "a reply goes to whoever owns the port") \
	X(FORWARDING, "forwarding", "a routing peer forwards") \
	X(RP_FILTER, "rp-filter", "local deliveries come in where their replies do not leave") \
	X(SRC_VALID_MARK, "src-valid-mark", "marked packets are checked by other routes") \
	X(XDP, "xdp", "a device has one XDP slot") \
	X(TC, "tc", "what runs first decides") \
	X(REDIRECT, "redirect", "packets leave by redirects") \
	X(CHECKSUMS, "checksums", "a packet with an unfinished checksum is wrong once it is sealed") \
	X(OFFLOADS, "offloads", "one packet on the wire is one packet in the tunnel") \
	X(THREADS, "threads", "a veth has whoever sends to it do our work") \
	X(CNI, "cni", "who else sends packets on this node") \
	X(KUBE_PROXY, "kube-proxy", "it translates in netfilter, which forwarded packets do not pass") \
	X(CILIUM, "cilium", "Cilium's programs sit where Talon's do") \
	X(CONNTRACK, "conntrack", "connection tracking calls half a connection INVALID") \
	X(CLOCK, "clock", "handshakes and certificates carry the time") \
	X(STATE, "state", "the identity and the control socket are files")

#define PREFLIGHT_CHECK_ID(id, name, why) PREFLIGHT_##id,
enum preflight_check { PREFLIGHT_CHECKS(PREFLIGHT_CHECK_ID) PREFLIGHT_COUNT };

enum preflight_level {
	PREFLIGHT_OK,
	PREFLIGHT_NOTE,			/* good to know; nothing is wrong */
	PREFLIGHT_WARNING,		/* Talon runs, but something will be missed or slow */
	PREFLIGHT_PROBLEM,		/* `talon up` refuses, or can never become ready */
};

#define PREFLIGHT_TEXT 320

struct preflight_finding {
	enum preflight_check check;
	enum preflight_level level;
	char what[PREFLIGHT_TEXT];
	char why[PREFLIGHT_TEXT];	/* empty: what the check has */
	char act[PREFLIGHT_TEXT];	/* what to do; empty: nothing */
};

#define PREFLIGHT_FINDINGS_MAX 96

struct preflight_report {
	struct preflight_finding list[PREFLIGHT_FINDINGS_MAX];
	size_t count;
	unsigned levels[PREFLIGHT_PROBLEM + 1];	/* how many there are of each; those beyond the list too */
};

/*
 * Makes every check and changes nothing. @config was validated; @root: directory below which files of /proc,
 * /sys, /etc and /run are read, "" for the host's. @ret_report is large: not for the stack of a thread.
 */
void preflight_run(const struct config *config, const char *root, struct preflight_report *ret_report);

/* "ok", "note", "warning", "problem" */
const char *preflight_level_name(enum preflight_level level);
const char *preflight_check_name(enum preflight_check check);
const char *preflight_check_why(enum preflight_check check);

/* One line for each finding, and a last one that sums up. Text from outside is made harmless. */
void preflight_print_text(const struct preflight_report *report, FILE *out);
void preflight_print_json(const struct preflight_report *report, FILE *out);

#endif
