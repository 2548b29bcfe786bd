/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the XDP program must do with a frame, in plain C: its own parser, libsodium for the AEAD, lists with
 * linear search. It models the network of tests/bpf/rig.h. What the datapath is free to choose (a NAT port, a
 * client's turn of IP ids), it learns from the output, checks, and holds the datapath to from then on.
 */
#ifndef TALON_TESTS_XDP_MODEL_H
#define TALON_TESTS_XDP_MODEL_H

#include "bpf/rig.h"

/* Returned by model_judge() when the model has lost track: not a failure; start again with a new rig. */
extern const char *const model_lost;

#define MODEL_FLOWS	1100
#define MODEL_FRAGS	4000
#define MODEL_SEEN	20000

struct model_flow {
	uint32_t client, remote, peer;
	uint16_t client_port, remote_port, port;	/* host order; port: the external one */
	uint8_t proto;
};

struct model_frag {
	uint32_t src, dst, client, peer;	/* client 0: held */
	uint16_t id;
	uint8_t proto;
	bool is_host;			/* not ours: left alone */
};

struct model_flow6 {
	uint8_t client[16], remote[16];
	uint32_t peer;
	uint16_t client_port, remote_port, port;
	uint8_t proto;
};

struct model_frag6 {
	uint8_t src[16], dst[16], client[16];
	uint32_t id, peer;
	enum { FRAG6_HELD, FRAG6_CLIENT, FRAG6_HOST } state;
};

struct model_endpoint {
	bool six;
	uint8_t remote[16], local[16];
	uint16_t remote_port, local_port;
	uint8_t in_smac[6], in_dmac[6];
};

struct model {
	const struct rig *rig;
	bool six;			/* the tunnel carries IPv6 */
	struct model_flow flows[MODEL_FLOWS];
	uint32_t flow_count;
	struct model_frag frags[MODEL_FRAGS];
	uint32_t frag_count;
	struct model_flow6 flows6[MODEL_FLOWS];
	uint32_t flow6_count;
	struct model_frag6 frags6[MODEL_FRAGS];
	uint32_t frag6_count;
	struct model_endpoint endpoints[RIG_PEERS];
	uint64_t seen[RIG_PEERS][MODEL_SEEN];		/* counters accepted */
	uint32_t seen_count[RIG_PEERS];
	uint64_t newest[RIG_PEERS];			/* highest counter accepted */
	uint64_t send_counter[RIG_PEERS];
	bool mask_known[RIG_PEERS];
	uint16_t mask[RIG_PEERS];			/* turn of IP ids; a peer has one address here */
};

void model_init(struct model *m, const struct rig *rig);

/*
 * Compares what the program did with @frame, and updates the model. Returns NULL, or one line that tells the
 * difference. Must be called for every frame of a rig, in order.
 */
const char *model_judge(struct model *m, const struct packet *frame, const struct rig_result *got);

#endif
