/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the flow table needs from userspace: its garbage collection has to be run, and it has to be told which
 * ports the host itself uses. Records are never written from here. Both parts take plain fds.
 */
#ifndef TALON_NAT_H
#define TALON_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/nat_types.h"

#define NAT_GC_PASS_S		30	/* one pass over the whole table takes this long */
#define NAT_GC_HURRY_S		3	/* the same while more than half of the table is taken */
#define NAT_PORTS_REFRESH_S	30	/* how often nat_ports_refresh() is worth its cost */

/* --- garbage collection --- */

struct nat_gc {
	int	prog_fd;		/* of nat_gc in natgc.bpf.o */
	int	stats_fd;		/* map "nat_stats" */
	uint32_t ran_s;			/* CLOCK_BOOTTIME seconds of its last run; 0: never */
	uint32_t next;			/* record id to continue with */
	uint32_t used;			/* highest id ever handed out, as of the last run */
	uint32_t room;			/* records in the table, as of the last run */
	uint32_t pass_busy;		/* records of the current pass that are live or wait to be freed */
	/* activity_of() when this pass began, or when the last one found nothing */
	uint64_t activity;
	/* flows refused (table full, or a peer's share), as of the last run */
	uint64_t refused;
	uint32_t hurried_s;		/* when a whole pass was last made at once for those */
	bool	is_empty;		/* the last pass found nothing: wait for activity to change */
};

/* The caller keeps both fds. Nothing runs yet. The maps need no initialization: zeros are an empty table. */
void nat_gc_init(struct nat_gc *gc, int prog_fd, int stats_fd);

/**
 * nat_gc_tick() - runs the share of garbage collection that is due; call it about once a second
 * @gc: state between the calls
 * @now_s: CLOCK_BOOTTIME, seconds
 *
 * Spreads a pass over NAT_GC_PASS_S seconds, or NAT_GC_HURRY_S while more than half of the records are taken.
 * Without flows it costs one map lookup. When flows were refused because the table, or a peer's share of it,
 * is full, it makes a whole pass at once, but not again before dead records can have become free
 * (TALON_FLOW_GRACE_S).
 *
 * Return: number of flows that expired, or a negative errno.
 */
int nat_gc_tick(struct nat_gc *gc, uint32_t now_s);

/* How many of @used records are due @elapsed_s seconds after the last run, so that a pass takes @pass_s. */
uint32_t nat_gc_share(uint32_t used, uint32_t elapsed_s, uint32_t pass_s);

/* --- ports of the host (CVE-2021-3773, "port shadow") --- */

#define NAT_PORTS_WORDS (65536 / 64)

/* One bit for each port, TCP (0) and UDP (1): the layout of map "port_block". */
struct nat_port_set {
	uint64_t word[2][NAT_PORTS_WORDS];
};

struct nat_ports {
	int	block_fd;		/* map "port_block" */
	uint16_t first;			/* SNAT range, host byte order, both ends included */
	uint16_t last;
	bool	is_written;		/* the map has the contents of @blocked */
	struct nat_port_set blocked;
};

/*
 * The caller keeps the fd. Not needed with a spare SNAT address (TALON_F_SNAT_OWN): no socket of the host has
 * that address.
 */
void nat_ports_init(struct nat_ports *ports, int block_fd, uint16_t first, uint16_t last);

/**
 * nat_ports_refresh() - brings map "port_block" up to date with the sockets of this network namespace
 * @ports: state between the calls; only words that changed are written
 *
 * Return: number of words written, or a negative errno (-ENOENT: kernel without inet_diag). If the kernel
 * cannot be asked, the map stays as it was.
 */
int nat_ports_refresh(struct nat_ports *ports);

/* How many ports of the range sockets of this host use. @class: 0 TCP, 1 UDP. */
unsigned nat_ports_count(const struct nat_ports *ports, unsigned class);

/**
 * nat_ports_scan() - finds the ports in a range that TCP and UDP sockets of this network namespace use
 * @first, @last: host byte order, both ends included
 * @ret_set: all bits outside the range are 0; written only on success
 *
 * Does not count sockets bound to an IPv6 address that cannot carry IPv4 or to the loopback network, and
 * sockets in TIME_WAIT.
 *
 * Return: 0 or a negative errno.
 */
int nat_ports_scan(uint16_t first, uint16_t last, struct nat_port_set *ret_set);

/**
 * nat_ports_parse() - parses one datagram of a sock_diag answer
 * @buf, @len: the datagram
 * @seq: of the request
 * @class: 0 TCP, 1 UDP
 * @set: ports are added to it
 *
 * Return: 1 if more datagrams follow, 0 at the end, or a negative errno: the kernel's own, or -EBADMSG.
 */
int nat_ports_parse(const void *buf, size_t len, uint32_t seq, int class, struct nat_port_set *set);

/**
 * nat_ports_check_range() - finds other users of ports in this SNAT range on the node's address
 * @first, @last: host byte order, both ends included
 * @why: what was found, one clause each, separated by "; "; empty if nothing was; cut at @size
 *
 * Reads this network namespace's ip_local_port_range.
 *
 * Return: number of hazards.
 */
int nat_ports_check_range(unsigned first, unsigned last, char *why, size_t size);

/* The same with the local port range given; 0, 0: not known. */
int nat_ports_hazards(unsigned first, unsigned last, unsigned local_first, unsigned local_last, char *why,
	size_t size);

#endif
