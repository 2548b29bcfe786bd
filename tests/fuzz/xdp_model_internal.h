/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the model's halves for IPv4 (xdp_model.c) and IPv6 (xdp_model6.c) share. */
#ifndef TALON_TESTS_XDP_MODEL_INTERNAL_H
#define TALON_TESTS_XDP_MODEL_INTERNAL_H

#include "fuzz/xdp_model.h"

enum { P_HOP = 0, P_ICMP = 1, P_TCP = 6, P_UDP = 17, P_ROUTING = 43, P_FRAGMENT = 44, P_AH = 51, P_ICMP6 = 58,
	P_DST = 60, P_MH = 135 };
enum kind { FLOW, FRAGMENT, ERROR, OTHER };
enum { NOT_COUNTED = -1 };

/* One frame being judged. */
struct judged {
	struct model *m;
	const struct rig_result *got;
	const uint8_t *frame;
	/* the inner packet, or the one from the wire, as it is changed step by step */
	struct packet ip;
	uint32_t header, l4_len;
	enum kind kind;
	uint8_t proto, tcp_flags, icmp_type;
	uint16_t sport, dport;		/* of an error: of the embedded packet, with addresses swapped */
	uint32_t src, dst;
	uint32_t embedded;		/* offset of the embedded transport header */
	uint32_t peer;
	bool first_fragment, dont_fragment;
	bool is_resealed;
	/* IPv6 */
	uint8_t src6[16], dst6[16];	/* as src and dst */
	uint8_t embedded_proto;
	uint32_t frag_id;
	enum talon_dir dir;
	char text[200];
};

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* Verdicts: NULL, or what differs. */
const char *differ(struct judged *j, const char *what);
const char *counted(struct judged *j, enum rig_verdict verdict, int end);
const char *dropped(struct judged *j, enum talon_end end);
const char *passed(struct judged *j, const struct packet *frame, int end);
const char *same_packet(struct judged *j, const struct packet *got);
const char *sealed(struct judged *j, uint32_t peer, enum talon_end end);
const char *held(struct judged *j, enum talon_event_type type, enum talon_end end);
const char *delivered(struct judged *j);
const char *sent(struct judged *j, const uint8_t *dmac, const uint8_t *smac, uint32_t ifindex);
const char *sent_back(struct judged *j);	/* an ICMP error, to whom the packet came from */

struct packet output(struct judged *j);
struct packet behind_ether(const struct rig_result *got);
/* The checksum at @field after a 16-bit word in what it covers became another. */
void adjust(uint8_t *field, uint32_t from, uint32_t to);
bool model_port_is_mapped(const struct model *m, uint8_t proto, uint16_t port);

/* @combined: the ECN field that RFC 6040 asks for; negative: drop. */
const char *model6_from_peer(struct judged *j, int combined);
const char *model6_from_wire(struct judged *j, const struct packet *frame);
bool model6_is_own(const uint8_t *addr);
bool model6_is_checksum(const struct judged *j, uint32_t off);
bool model6_port_is_mapped(const struct model *m, uint8_t proto, uint16_t port);
/* The same, of ICMP ids too; @proto is IPv4's. */
bool model6_port_is_used(const struct model *m, uint8_t proto, uint16_t port);

#endif
