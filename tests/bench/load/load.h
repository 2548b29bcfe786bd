/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A load on one routing peer, a black box on one wire: this host plays the laptop, the gateway and the sink
 * of both.
 *
 *   load_open (source and sink, handshake, flows) -> load_prepare (frames ahead of time) -> load_send ->
 *   load_judge -> load_close
 */
#ifndef TALON_TESTS_LOAD_LOAD_H
#define TALON_TESTS_LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/load_wire.h"
#include "bench/load/wg.h"

#define LOAD_FLOWS_MAX	64

enum load_kind {
	LOAD_WIREGUARD,
	LOAD_PLAIN,	/* forwards without a tunnel */
	LOAD_BOUNCE	/* sends back what it gets (load_bounce.bpf.c) */
};

struct load_options {
	enum load_kind kind;
	enum load_dir dir;
	const char *device;		/* this end of the wire */
	/*
	 * The gateway is on the node, behind this device, with its address and without NAT; NULL: on the
	 * wire, and the node masquerades.
	 */
	const char *gateway_device;
	uint8_t gateway_node_mac[6];	/* of the node's end */
	struct load_names names;
	uint8_t node_mac[6];
	struct secret_key private_key;
	uint8_t peer[KEY_LEN];
	uint32_t length;		/* of packets inside the tunnel, a multiple of 16 */
	uint32_t count;			/* of packets, at most */
	uint32_t flows;
	uint32_t burst;			/* packets of one flow in a row */
	uint32_t batch;			/* frames sent in one batch */
	uint32_t window;		/* limit of packets in flight; 0: as fast as possible */
	uint32_t rate;			/* packets per second; 0: no limit */
	uint32_t samples;		/* about this many are inspected; more than @count: all */
	uint64_t limit_ns;		/* limit of the run's time */
	uint64_t stuck_ns;		/* no packet arrived for this long: those in flight are lost */
	int core;			/* the sending core; -1: any */
	int nice;
	bool unfinished_sum;		/* UDP checksums may be left to hardware */
};

struct load_result {
	uint32_t sent;
	uint64_t delivered;
	uint64_t odd;		/* of a wrong length */
	uint64_t unsampled;
	uint32_t samples;
	uint32_t bad;		/* of the samples */
	double offered_pps;
	double pps;		/* at the sink, after the first fifth */
	double p50_us;		/* from source to sink, of samples */
	double p99_us;
};

struct load;

/* Each returns 0 or -1, after saying why on stderr. */
int load_open(struct load **ret_load, const struct load_options *options);
int load_prepare(struct load *load);
int load_send(struct load *load);
int load_judge(struct load *load, struct load_result *ret_result);

void load_close(struct load *load);

#endif
