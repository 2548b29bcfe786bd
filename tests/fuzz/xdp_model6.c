// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the XDP program must do with IPv6 inside the tunnel, in the world of rig_six(): see xdp_model.h.
#include <stdio.h>
#include <string.h>

#include "fuzz/xdp_model_internal.h"

#define NARROW_MTU	1400
#define ERROR_MAX	1280

/* ---- the node's world ---- */

static bool is_in(const uint8_t *addr, const char *prefix, uint32_t len)
{
	struct addr6 p = ip6(prefix);

	for (uint32_t bit = 0; bit < len; bit++)
		if ((addr[bit / 8] ^ p.byte[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static bool is_addr(const uint8_t *addr, const char *text)
{
	return is_in(addr, text, 128);
}

bool model6_is_own(const uint8_t *addr)
{
	return is_addr(addr, NODE6) || is_addr(addr, MESH6) || is_addr(addr, SECOND6);
}

static bool is_martian(const uint8_t *addr)
{
	return is_in(addr, "ff00::", 8) || is_in(addr, "fe80::", 10) || is_in(addr, "::", 96) ||
		is_in(addr, "::ffff:0:0", 96);
}

static uint32_t owner_of(const uint8_t *addr)
{
	static const char *const clients[RIG_PEERS] = { CLIENT6, CLIENT6_1, CLIENT6_2 };

	for (uint32_t i = 0; i < RIG_PEERS; i++)
		if (is_addr(addr, clients[i]))
			return i;
	return TALON_PEER_NONE;
}

enum { ROUTE_NONE, ROUTE_MASQUERADE, ROUTE_PLAIN };

static int route(const uint8_t *dst)
{
	if (is_in(dst, "2001:db8::", 64) || is_in(dst, "2001:db8:19::", 64) ||
		is_in(dst, "2001:db8:a::", 64) || is_in(dst, "2001:db8:66::", 64))
		return ROUTE_MASQUERADE;
	return is_in(dst, "2001:db8:8::", 64) || is_in(dst, "fd00:64::", 64) ? ROUTE_PLAIN : ROUTE_NONE;
}

/* Where a destination that is served, not ours and no peer's leads. */
enum way { WAY_SEND, WAY_NO_NEIGH, WAY_UNREACHABLE, WAY_NO_WAY_BACK, WAY_NO_PEER, WAY_NONE };

static enum way fib(const uint8_t *dst, uint32_t *ret_mtu)
{
	*ret_mtu = 1500;
	/* of all routers of a link of ours (RFC 4291 section 2.6.1): the FIB does not forward that */
	if (is_addr(dst, "2001:db8::") || is_addr(dst, "2001:db8:a::"))
		return WAY_NONE;
	if (is_in(dst, "2001:db8:66::", 64))
		return WAY_UNREACHABLE;
	if (is_in(dst, "2001:db8:a::", 64))
		return WAY_NO_WAY_BACK;
	if (is_in(dst, "fd00:64::", 64))
		return WAY_NO_PEER;
	if (is_in(dst, "2001:db8:19::", 64))
		*ret_mtu = NARROW_MTU;
	if (!is_in(dst, "2001:db8::", 64) || is_addr(dst, GATEWAY6) || is_addr(dst, "2001:db8::1"))
		return WAY_SEND;
	return WAY_NO_NEIGH;
}

/* ---- parsing ---- */

/* Along the headers from @proto at @at, up to @end. Negative: a reason to drop; else 0. */
struct walk {
	uint32_t at;
	uint8_t proto;
	bool is_first, is_later;
	uint32_t frag_id;
};

static int go(const uint8_t *p, uint32_t end, struct walk *w)
{
	bool was_fragment = false;

	for (int i = 0; i <= 8; i++) {
		const uint8_t *h = p + w->at;

		if (w->proto != P_HOP && w->proto != P_ROUTING && w->proto != P_FRAGMENT && w->proto != P_DST)
			return 0;
		if (w->proto == P_ROUTING)
			return -TALON_SOURCE_ROUTED;
		if (w->at + 8 > end || (w->proto == P_HOP && i) || (w->proto == P_FRAGMENT && was_fragment))
			return -TALON_BAD_INNER;
		if (w->proto == P_FRAGMENT) {
			was_fragment = true;
			w->frag_id = get16(h + 4) << 16 | get16(h + 6);
			w->is_later = get16(h + 2) & 0xfff8;
			w->is_first = !w->is_later && (h[3] & 1);
			w->at += 8;
		} else {
			w->at += 8 + h[1] * 8u;
			if (w->at > end)
				return -TALON_BAD_INNER;
		}
		w->proto = h[0];
		if (w->is_later)
			return 0;
	}
	return -TALON_BAD_INNER;
}

/* 0, or a reason to drop. */
static enum talon_end parse(struct judged *j, bool *ret_bad)
{
	const uint8_t *ip = j->ip.bytes, *l4;
	struct walk w = { .at = 40 };
	uint32_t size;
	int ret;

	*ret_bad = true;
	if (j->ip.len < 40 || ip[0] >> 4 != 6 || 40 + get16(ip + 4) > j->ip.len)
		return TALON_BAD_INNER;
	j->ip.len = 40 + get16(ip + 4);
	w.proto = ip[6];
	ret = go(ip, j->ip.len, &w);
	if (ret < 0)
		return -ret;
	memcpy(j->src6, ip + 8, 16);
	memcpy(j->dst6, ip + 24, 16);
	j->header = w.at;
	j->l4_len = j->ip.len - w.at;
	j->proto = w.proto;
	j->first_fragment = w.is_first;
	j->frag_id = w.frag_id;
	j->sport = j->dport = 0;
	j->tcp_flags = 0;
	j->kind = w.is_later ? FRAGMENT : OTHER;
	*ret_bad = false;
	if (w.is_later || (w.proto != P_TCP && w.proto != P_UDP && w.proto != P_ICMP6))
		return 0;
	size = w.proto == P_TCP ? 20 : 8;
	if (j->l4_len < size) {
		*ret_bad = true;
		return TALON_BAD_INNER;
	}
	l4 = ip + w.at;
	if (w.proto == P_ICMP6) {
		j->icmp_type = l4[0];
		if (l4[0] >= 1 && l4[0] <= 4)
			j->kind = ERROR;
		if (l4[0] != 128 && l4[0] != 129)
			return 0;
		j->sport = j->dport = get16(l4 + 4);
	} else {
		j->sport = get16(l4);
		j->dport = get16(l4 + 2);
		j->tcp_flags = w.proto == P_TCP ? l4[13] : 0;
	}
	j->kind = FLOW;
	return 0;
}

/* The flow an ICMPv6 error is about, seen from the error's sender. */
static bool parse_embedded(struct judged *j)
{
	uint32_t at = j->header + 8;
	const uint8_t *in = j->ip.bytes + at, *l4;
	struct walk w = { .at = at + 40 };

	if (j->ip.len < at + 48 || in[0] >> 4 != 6)
		return false;
	w.proto = in[6];
	if (go(j->ip.bytes, j->ip.len, &w) < 0 || w.is_later || w.at + 8 > j->ip.len)
		return false;
	l4 = j->ip.bytes + w.at;
	if (w.proto == P_TCP || w.proto == P_UDP) {
		j->sport = get16(l4 + 2);
		j->dport = get16(l4);
	} else if (w.proto == P_ICMP6) {
		j->sport = j->dport = get16(l4 + 4);
	} else {
		return false;
	}
	memcpy(j->src6, in + 24, 16);
	memcpy(j->dst6, in + 8, 16);
	j->embedded = w.at;
	j->embedded_proto = w.proto;
	return true;
}

static uint8_t flow_proto(const struct judged *j)
{
	return j->kind == ERROR ? j->embedded_proto : j->proto;
}

static struct model_flow6 *find_forward(struct judged *j)
{
	for (uint32_t i = 0; i < j->m->flow6_count; i++) {
		struct model_flow6 *f = &j->m->flows6[i];

		if (f->proto == flow_proto(j) && !memcmp(f->client, j->src6, 16) &&
			!memcmp(f->remote, j->dst6, 16) && f->client_port == j->sport &&
			(f->proto == P_ICMP6 || f->remote_port == j->dport))
			return f;
	}
	return NULL;
}

static struct model_flow6 *find_reverse(struct judged *j)
{
	for (uint32_t i = 0; i < j->m->flow6_count; i++) {
		struct model_flow6 *f = &j->m->flows6[i];

		if (f->proto == flow_proto(j) && !memcmp(f->remote, j->src6, 16) && f->port == j->dport &&
			is_addr(j->dst6, NODE6) && (f->proto == P_ICMP6 || f->remote_port == j->sport))
			return f;
	}
	return NULL;
}

bool model6_port_is_used(const struct model *m, uint8_t proto, uint16_t port)
{
	for (uint32_t i = 0; i < m->flow6_count; i++)
		if ((m->flows6[i].proto == P_ICMP6 ? P_ICMP : m->flows6[i].proto) == proto &&
			m->flows6[i].port == port)
			return true;
	return false;
}

bool model6_port_is_mapped(const struct model *m, uint8_t proto, uint16_t port)
{
	return (proto == P_TCP || proto == P_UDP) && model6_port_is_used(m, proto, port);
}

/* ---- arithmetic ---- */

static void adjust_addr(uint8_t *field, const uint8_t *from, const uint8_t *to)
{
	for (int i = 0; i < 16; i += 2)
		adjust(field, get16(from + i), get16(to + i));
}

static uint32_t check_at(uint8_t proto)
{
	return proto == P_TCP ? 16 : proto == P_UDP ? 6 : 2;
}

bool model6_is_checksum(const struct judged *j, uint32_t off)
{
	if (j->proto != P_UDP && off == j->header + check_at(j->proto))
		return true;
	return j->kind == ERROR && j->embedded_proto != P_UDP &&
		off == j->embedded + check_at(j->embedded_proto);
}

static void clamp_mss(struct judged *j)
{
	const uint32_t mss = RIG_MTU - 60;
	uint8_t *tcp = j->ip.bytes + j->header;
	uint32_t end = (tcp[12] >> 4) * 4, at = 20;

	if (j->kind != FLOW || j->proto != P_TCP || !(j->tcp_flags & TCP_SYN))
		return;
	while (at + 4 <= end && j->header + at + 4 <= j->ip.len && tcp[at]) {
		uint8_t *opt = tcp + at, old[2] = { opt[2], opt[3] };

		if (opt[0] == 1) {
			at++;
			continue;
		}
		if (opt[0] == 2 && opt[1] == 4) {
			if (get16(old) <= mss)
				return;
			pkt_put16(opt + 2, mss);
			if (at % 2)
				adjust(tcp + 16, old[1] << 8 | old[0], opt[3] << 8 | opt[2]);
			else
				adjust(tcp + 16, get16(old), get16(opt + 2));
			return;
		}
		if (opt[1] < 2)
			return;
		at += opt[1];
	}
}

/* ---- translation ---- */

static uint8_t *port_field(uint8_t *l4, uint8_t proto, bool is_source)
{
	return l4 + (proto == P_ICMP6 ? 4 : is_source ? 0 : 2);
}

static void translate_side(struct judged *j, bool is_source, const uint8_t *addr, uint16_t port)
{
	uint8_t *field = j->ip.bytes + (is_source ? 8 : 24), old[16], *l4 = j->ip.bytes + j->header, *check;

	memcpy(old, field, 16);
	memcpy(field, addr, 16);
	if (j->kind != FLOW)
		return;
	check = l4 + check_at(j->proto);
	field = port_field(l4, j->proto, is_source);
	if (j->proto == P_UDP && !get16(check)) {
		pkt_put16(field, port);
		return;
	}
	adjust_addr(check, old, addr);
	adjust(check, get16(field), port);
	if (j->proto == P_UDP && !get16(check))
		pkt_put16(check, 0xffff);
	pkt_put16(field, port);
}

static void translate_error(struct judged *j, bool is_source, const uint8_t *addr, uint16_t port)
{
	uint8_t *icmp = j->ip.bytes + j->header, *in = icmp + 8, *l4 = j->ip.bytes + j->embedded,
		*outer = j->ip.bytes + (is_source ? 8 : 24), *inner = in + (is_source ? 24 : 8),
		*field = port_field(l4, j->embedded_proto, !is_source),
		*check = l4 + check_at(j->embedded_proto),
		old[16], before[2];

	memcpy(old, outer, 16);
	memcpy(outer, addr, 16);
	adjust_addr(icmp + 2, old, addr);
	memcpy(old, inner, 16);
	memcpy(inner, addr, 16);
	adjust_addr(icmp + 2, old, addr);
	memcpy(before, check, 2);
	if (check + 2 <= j->ip.bytes + j->ip.len && (j->embedded_proto != P_UDP || get16(check))) {
		adjust_addr(check, old, addr);
		adjust(check, get16(field), port);
		if (j->embedded_proto == P_UDP && !get16(check))
			pkt_put16(check, 0xffff);
		adjust(icmp + 2, get16(before), get16(check));
	}
	adjust(icmp + 2, get16(field), port);
	pkt_put16(field, port);
}

/* The port that the datapath gave a new flow, from what it sent or held. */
static const char *learn_port(struct judged *j, struct model_flow6 *f, const struct packet *out)
{
	struct model *m = j->m;
	uint32_t off = j->header + (f->proto == P_ICMP6 ? 4 : 0);

	if (out->len < off + 2)
		return differ(j, "a new flow without a port");
	f->port = get16(out->bytes + off);
	if (f->port < RIG_PORT_FIRST || f->port > RIG_PORT_LAST)
		return differ(j, "the port is not of the range");
	for (uint32_t i = 0; i < m->flow6_count; i++) {
		const struct model_flow6 *other = &m->flows6[i];
		bool is_same = !memcmp(other->client, f->client, 16) && other->client_port == f->client_port;

		if (other->proto == f->proto && is_same != (other->port == f->port))
			return differ(j, is_same ? "an endpoint got a second port"
				: "two endpoints got one port");
	}
	for (uint32_t i = 0; i < m->flow_count; i++)
		if (m->flows[i].proto == (f->proto == P_ICMP6 ? P_ICMP : f->proto) &&
			m->flows[i].port == f->port)
			return differ(j, "an endpoint of IPv4 has that port");
	m->flows6[m->flow6_count++] = *f;
	return NULL;
}

static bool known_port(struct judged *j, struct model_flow6 *f)
{
	for (uint32_t i = 0; i < j->m->flow6_count; i++) {
		const struct model_flow6 *other = &j->m->flows6[i];

		if (other->proto == f->proto && !memcmp(other->client, f->client, 16) &&
			other->client_port == f->client_port) {
			f->port = other->port;
			return true;
		}
	}
	return false;
}

/* ---- errors of the node ---- */

/* RFC 4443 section 2.4 (e). */
static bool make_error(struct judged *j, const char *src, uint8_t type, uint8_t code, uint32_t rest)
{
	static const uint8_t hiding[] = { P_HOP, P_ROUTING, P_FRAGMENT, P_AH, P_DST, P_MH }, zero[16];
	struct packet about = j->ip;
	struct addr6 dst;

	if (j->ip.len <= 40 || about.bytes[8] == 0xff || about.bytes[24] == 0xff ||
		!memcmp(about.bytes + 8, zero, 16) || memchr(hiding, j->proto, sizeof(hiding)))
		return false;
	if (j->proto == P_ICMP6 && (j->kind == FRAGMENT || j->icmp_type < 128 || j->icmp_type == 137))
		return false;
	memcpy(&dst, about.bytes + 8, 16);
	j->ip = pkt_icmp6_error(ip6(src), dst, type, code, rest, &about,
		about.len < ERROR_MAX - 48 ? about.len : ERROR_MAX - 48);
	j->kind = OTHER;
	j->proto = P_ICMP6;
	j->header = 40;
	return true;
}

static const char *refuse_to_mesh(struct judged *j, uint8_t type, uint8_t code, uint32_t rest,
	enum talon_end end)
{
	if (!make_error(j, MESH6, type, code, rest))
		return dropped(j, end);
	return sealed(j, j->peer, TALON_ICMP_SENT);
}

static const char *refuse_to_wire(struct judged *j, uint8_t type, uint32_t rest, enum talon_end end)
{
	const char *src = is_addr(j->ip.bytes + 24, MESH6) ? MESH6
		: is_addr(j->ip.bytes + 24, SECOND6) ? SECOND6 : NODE6;

	if (!make_error(j, src, type, 0, rest))
		return dropped(j, end);
	return sent_back(j);
}

/* ---- from the wire ---- */

static struct model_frag6 *find_frag(struct judged *j)
{
	for (uint32_t i = 0; i < j->m->frag6_count; i++) {
		struct model_frag6 *f = &j->m->frags6[i];

		if (!memcmp(f->src, j->ip.bytes + 8, 16) && !memcmp(f->dst, j->ip.bytes + 24, 16) &&
			f->id == j->frag_id)
			return f;
	}
	return NULL;
}

static struct model_frag6 *add_frag(struct judged *j)
{
	struct model_frag6 *f = find_frag(j);

	if (!f)
		f = &j->m->frags6[j->m->frag6_count++];
	*f = (struct model_frag6) { .id = j->frag_id };
	memcpy(f->src, j->ip.bytes + 8, 16);
	memcpy(f->dst, j->ip.bytes + 24, 16);
	return f;
}

static bool is_of_link(const struct judged *j)
{
	uint8_t t = j->icmp_type;

	return j->proto == P_ICMP6 && j->kind == OTHER && ((t >= 130 && t <= 137) || (t >= 141 && t <= 143) ||
		t == 148 || t == 149 || (t >= 151 && t <= 153));
}

/* After whom it goes to is known. @f: NULL without NAT, or for a later fragment. */
static const char *into_mesh(struct judged *j, uint32_t peer, const struct model_flow6 *f,
	const uint8_t *client)
{
	if (j->ip.bytes[7] <= 1 && !j->is_resealed)
		return refuse_to_wire(j, 3, 0, TALON_TTL_EXPIRED);
	if (j->ip.len > RIG_MTU)
		return j->is_resealed ? dropped(j, TALON_TOO_BIG) : refuse_to_wire(j, 2, RIG_MTU,
			TALON_TOO_BIG);
	if (f && j->first_fragment) {
		struct model_frag6 *now = add_frag(j);

		now->state = FRAG6_CLIENT;
		now->peer = peer;
		memcpy(now->client, client, 16);
	}
	if (!j->is_resealed)
		j->ip.bytes[7]--;
	if (f && j->kind == ERROR)
		translate_error(j, false, client, f->client_port);
	else if (client)
		translate_side(j, false, client, f ? f->client_port : 0);
	clamp_mss(j);
	return sealed(j, peer, j->is_resealed ? TALON_RESEALED : TALON_FORWARDED);
}

static const char *left(struct judged *j, const struct packet *frame)
{
	return j->is_resealed ? dropped(j, TALON_NAT_NO_FLOW) : passed(j, frame, NOT_COUNTED);
}

static const char *later_fragment(struct judged *j, const struct packet *frame)
{
	struct model_frag6 *known = find_frag(j);

	if (known && known->state == FRAG6_CLIENT)
		return into_mesh(j, known->peer, NULL, known->client);
	if (!(j->m->flow_count + j->m->flow6_count) || (known && known->state == FRAG6_HOST))
		return left(j, frame);
	add_frag(j);
	return passed(j, frame, TALON_HELD);
}

/* For a peer, as if from this host. */
static bool is_forged(const struct judged *j)
{
	return model6_is_own(j->ip.bytes + 8) && owner_of(j->ip.bytes + 24) != TALON_PEER_NONE;
}

const char *model6_from_wire(struct judged *j, const struct packet *frame)
{
	const bool plain = j->m->rig->config.flags & TALON_F_PLAIN_ROUTES6;
	const uint8_t *dst = j->ip.bytes + 24;
	struct model_flow6 *f;
	bool may_be_reply, is_bad;

	if (!j->is_resealed && (is_martian(dst) || (!model6_is_own(dst) && !is_forged(j) &&
		!(plain && is_in(dst, "fd00:64::", 64)))))
		return passed(j, frame, NOT_COUNTED);
	if (!j->is_resealed)
		j->dir = TALON_DIR_OUT;
	parse(j, &is_bad);
	if (is_bad)
		return left(j, frame);
	if (!model6_is_own(dst)) {
		uint32_t peer = owner_of(dst);

		if (memcmp(j->frame, rig_mac, 6) || peer == TALON_PEER_NONE)
			return left(j, frame);
		if (is_forged(j))
			return dropped(j, TALON_LOCAL_SOURCE);
		if (!plain)
			return left(j, frame);
		if (is_martian(j->src6) || is_of_link(j))
			return dropped(j, TALON_BAD_DESTINATION);
		return into_mesh(j, peer, NULL, NULL);
	}
	if (j->kind == FRAGMENT)
		return later_fragment(j, frame);
	if (j->kind == ERROR && !parse_embedded(j))
		return left(j, frame);
	may_be_reply = j->kind != OTHER && !(j->kind == FLOW && j->proto == P_ICMP6 && j->icmp_type != 129) &&
		j->dport >= RIG_PORT_FIRST && j->dport <= RIG_PORT_LAST;
	f = may_be_reply ? find_reverse(j) : NULL;
	if (f)
		return into_mesh(j, f->peer, f, f->client);
	if (may_be_reply && j->kind == FLOW && j->proto == P_TCP &&
		(j->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
		model_port_is_mapped(j->m, P_TCP, j->dport))
		return dropped(j, TALON_NAT_NO_FLOW);
	if (j->first_fragment) {
		struct model_frag6 *known = find_frag(j);

		if (!known || known->state != FRAG6_CLIENT)
			add_frag(j)->state = FRAG6_HOST;
	}
	return left(j, frame);
}

/* ---- from a peer ---- */

/* To another client by the external address: its flow from there must exist as well. */
static bool is_hairpin(struct judged *j)
{
	struct model_flow6 *about;

	if (!model6_is_own(j->ip.bytes + 24))
		return false;
	if (j->kind == FLOW)
		return model_port_is_mapped(j->m, j->proto, j->dport);
	about = j->kind == ERROR ? find_forward(j) : NULL;
	return about && about->peer == j->peer;
}

/*
 * A flow that exists though its first packet is not seen with its port: that is the one which the endpoint
 * has already, or the model has lost track.
 */
static const char *assume_port(struct judged *j, struct model_flow6 *fresh)
{
	if (!known_port(j, fresh))
		return model_lost;
	j->m->flows6[j->m->flow6_count++] = *fresh;
	return NULL;
}

/* By a device, or (@way of no meaning) hairpinned. */
static const char *by_device(struct judged *j, enum way way, uint32_t mtu, bool masquerade)
{
	static const uint8_t *dmac;
	struct addr6 node = ip6(NODE6);
	struct model_flow6 *f = NULL, fresh = { .peer = j->peer, .proto = j->proto, .client_port = j->sport,
		.remote_port = j->dport };
	struct packet out = output(j);
	const char *wrong;

	dmac = is_addr(j->ip.bytes + 24, "2001:db8::1") ? rig_router_mac : rig_gateway_mac;
	memcpy(fresh.client, j->ip.bytes + 8, 16);
	memcpy(fresh.remote, j->ip.bytes + 24, 16);
	if (masquerade && j->kind == OTHER)
		return dropped(j, TALON_NAT_PROTO);
	if (masquerade && j->kind == FLOW) {
		f = find_forward(j);
		if (j->proto == P_ICMP6 && j->icmp_type != 128 &&
			(!f || way == WAY_NO_NEIGH || j->is_resealed))
			return dropped(j, TALON_NAT_NO_FLOW);
	}
	if (mtu && j->ip.len > mtu) {
		bool is_new = masquerade && j->kind == FLOW && !f;

		wrong = refuse_to_mesh(j, 2, 0, mtu, TALON_TOO_BIG);
		return wrong || !is_new ? wrong : assume_port(j, &fresh);
	}
	j->ip.bytes[7]--;
	if (masquerade && j->kind == ERROR) {
		struct model_flow6 *about = find_forward(j);

		if (!about || about->peer != j->peer)
			return dropped(j, TALON_NAT_NO_FLOW);
		translate_error(j, true, node.byte, about->port);
	} else if (masquerade) {
		if (j->kind == FLOW && !f) {
			wrong = j->is_resealed ? assume_port(j, &fresh) : out.len ? learn_port(j, &fresh,
				&out) : differ(j, "nothing came of a new flow");
			if (wrong)
				return wrong;
			f = &j->m->flows6[j->m->flow6_count - 1];
		}
		/* a hairpinned packet leaves with the address that it came to */
		if (j->is_resealed)
			memcpy(&node, j->ip.bytes + 24, 16);
		translate_side(j, true, node.byte, f ? f->port : 0);
	}
	clamp_mss(j);
	if (j->is_resealed)
		return model6_from_wire(j, NULL);
	if (way == WAY_NO_NEIGH)
		return held(j, TALON_EVENT_NEIGH, TALON_HELD);
	return sent(j, dmac, rig_mac, j->m->rig->eth0);
}

static const char *from_peer(struct judged *j)
{
	const uint8_t *src = j->ip.bytes + 8, *dst = j->ip.bytes + 24;
	int how = route(dst);
	uint32_t mtu, to;
	enum way way;

	if (j->kind == ERROR && !parse_embedded(j))
		return dropped(j, TALON_BAD_INNER);
	if (is_martian(src) || is_of_link(j))
		return dropped(j, TALON_BAD_DESTINATION);
	if (owner_of(src) != j->peer)
		return dropped(j, TALON_NOT_ALLOWED);
	if (is_martian(dst))
		return dropped(j, TALON_BAD_DESTINATION);
	if (is_in(dst, "2001:db8:7::", 64))
		return delivered(j);
	if (how == ROUTE_NONE)
		return dropped(j, TALON_NO_ROUTE);
	way = fib(dst, &mtu);
	to = owner_of(dst);
	if (model6_is_own(dst)) {
		j->is_resealed = is_hairpin(j);
		if (!j->is_resealed)
			return delivered(j);
	} else if (to == TALON_PEER_NONE && way >= WAY_UNREACHABLE) {
		return refuse_to_mesh(j, 1, way == WAY_NONE ? 0 : 3, 0,
			way == WAY_UNREACHABLE ? TALON_UNREACHABLE : way == WAY_NO_PEER ? TALON_NO_PEER
			: way == WAY_NONE ? TALON_NO_FIB : TALON_NO_WAY_BACK);
	}
	if (j->ip.bytes[7] <= 1)
		return refuse_to_mesh(j, 3, 0, 0, TALON_TTL_EXPIRED);
	if (to != TALON_PEER_NONE) {
		if (j->ip.len > RIG_MTU)
			return refuse_to_mesh(j, 2, 0, RIG_MTU, TALON_TOO_BIG);
		j->ip.bytes[7]--;
		return sealed(j, to, TALON_RESEALED);
	}
	if (j->is_resealed)
		mtu = RIG_MTU;
	else if (way == WAY_NO_NEIGH)
		mtu = 0;	/* not said */
	return by_device(j, way, mtu, how == ROUTE_MASQUERADE || j->is_resealed);
}

const char *model6_from_peer(struct judged *j, int combined)
{
	enum talon_end reason;
	bool is_bad;

	if (j->ip.len < 40 || 40 + get16(j->ip.bytes + 4) > j->ip.len)
		return dropped(j, TALON_BAD_INNER);
	if (combined < 0)
		return dropped(j, TALON_CONGESTED);
	j->ip.bytes[1] = (j->ip.bytes[1] & 0xcf) | combined << 4;
	reason = parse(j, &is_bad);
	return is_bad ? dropped(j, reason) : from_peer(j);
}
