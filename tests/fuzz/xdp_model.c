// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the XDP program must do with a frame: see xdp_model.h. Kept simple rather than fast.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "fuzz/xdp_model_internal.h"

const char *const model_lost = "the output does not show what the model would have to learn";

static uint32_t get32(const uint8_t *p)		/* as it lies in memory: network order */
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

void model_init(struct model *m, const struct rig *rig)
{
	memset(m, 0, sizeof(*m));
	m->rig = rig;
	m->six = rig->config.flags & TALON_F_INNER6;
	for (int i = 0; i < RIG_PEERS; i++) {
		const struct rig_peer *p = &rig->peers[i];
		struct model_endpoint *e = &m->endpoints[i];
		uint32_t node = ip4(NODE);

		e->six = p->six;
		memcpy(e->remote, p->six ? p->addr6 : (const uint8_t *)&p->addr, p->six ? 16 : 4);
		memcpy(e->local, p->six ? rig_node6 : (const uint8_t *)&node, p->six ? 16 : 4);
		e->remote_port = p->port;
		e->local_port = RIG_PORT;
		memcpy(e->in_smac, rig_router_mac, 6);
		memcpy(e->in_dmac, rig_mac, 6);
	}
}

/* ---- judging the output ---- */

const char *differ(struct judged *j, const char *what)
{
	snprintf(j->text, sizeof(j->text), "%s", what);
	return j->text;
}

static uint32_t ends_counted(const struct rig_result *got, int *ret_at)
{
	uint32_t n = 0;

	for (int i = 0; i < TALON_STATS_ENTRIES; i++) {
		n += got->counts[i];
		if (got->counts[i])
			*ret_at = i;
	}
	return n;
}

const char *counted(struct judged *j, enum rig_verdict verdict, int end)
{
	int at = -1;
	uint32_t n = ends_counted(j->got, &at);

	if (j->got->verdict == verdict &&
		((end == NOT_COUNTED && !n) || (n == 1 && at == (int)(j->dir * TALON_END_COUNT + end))))
		return NULL;
	snprintf(j->text, sizeof(j->text), "verdict %d, wanted %d; ended %s in direction %d, wanted %s in %d",
		j->got->verdict, verdict, at < 0 ? "uncounted" : rig_end_name(at % TALON_END_COUNT),
		at / (int)TALON_END_COUNT, end < 0 ? "uncounted" : rig_end_name(end), j->dir);
	return j->text;
}

const char *dropped(struct judged *j, enum talon_end end)
{
	return counted(j, RIG_DROP, end);
}

const char *passed(struct judged *j, const struct packet *frame, int end)
{
	const char *wrong = counted(j, RIG_PASS, end);

	if (wrong)
		return wrong;
	if (j->got->frame.len != frame->len || memcmp(j->got->frame.bytes, frame->bytes, frame->len))
		return differ(j, "passed, but changed");
	return NULL;
}

/* Is the 16-bit field at @off of the IPv4 packet a checksum, where 0 and 0xffff are equivalent? */
static bool is_checksum(const struct judged *j, uint32_t off)
{
	uint32_t l4 = j->header;

	if (j->ip.bytes[0] >> 4 == 6)
		return model6_is_checksum(j, off);

	if (off == 10 || (j->proto == P_TCP && off == l4 + 16) || (j->proto == P_ICMP && off == l4 + 2))
		return true;
	if (j->kind != ERROR)
		return false;
	return off == l4 + 8 + 10 || (j->ip.bytes[l4 + 8 + 9] == P_TCP && off == j->embedded + 16) ||
	       (j->ip.bytes[l4 + 8 + 9] == P_ICMP && off == j->embedded + 2);
}

const char *same_packet(struct judged *j, const struct packet *got)
{
	if (got->len != j->ip.len) {
		snprintf(j->text, sizeof(j->text), "%u bytes of packet, wanted %u", got->len, j->ip.len);
		return j->text;
	}
	for (uint32_t i = 0; i < got->len; i++) {
		if (got->bytes[i] == j->ip.bytes[i])
			continue;
		if (i % 2 == 0 && is_checksum(j, i) &&
			(get16(got->bytes + i) == 0 || get16(got->bytes + i) == 0xffff) &&
			(get16(j->ip.bytes + i) == 0 || get16(j->ip.bytes + i) == 0xffff)) {
			i++;
			continue;
		}
		snprintf(j->text, sizeof(j->text), "byte %u of the packet is %02x, wanted %02x", i,
			got->bytes[i], j->ip.bytes[i]);
		return j->text;
	}
	return NULL;
}

struct packet behind_ether(const struct rig_result *got)
{
	struct packet p = {};

	if (got->frame.len < 14)
		return p;
	p.len = got->frame.len - 14;
	memcpy(p.bytes, got->frame.bytes + 14, p.len);
	return p;
}

/* ---- the node's routes and neighbours, as rig.c sets them up ---- */

enum way { WAY_SEND, WAY_NO_NEIGH, WAY_LOCAL, WAY_NONE };	/* NONE: an ICMP error, "host unreachable" */

static enum way fib(const struct model *m, uint32_t dst, uint32_t *ret_mtu, const uint8_t **ret_dmac,
	const uint8_t **ret_smac, uint32_t *ret_ifindex)
{
	uint32_t d = ntohl(dst), last = d & 255;

	*ret_mtu = 1500;
	*ret_smac = rig_mac;
	*ret_ifindex = m->rig->eth0;
	*ret_dmac = rig_router_mac;
	if (d >> 24 == 127)
		return WAY_LOCAL;
	if (d >> 8 == ntohl(ip4("10.66.0.0")) >> 8)
		return WAY_NONE;
	if (d >> 22 == ntohl(ip4("100.64.0.0")) >> 22)	/* into wt0: to a peer or to nobody */
		return dst == ip4(MESH) ? WAY_LOCAL : WAY_NONE;
	if (d >> 8 == ntohl(ip4("10.8.0.0")) >> 8) {
		*ret_dmac = rig_gateway_mac;
		return WAY_SEND;
	}
	if (d >> 8 == ntohl(ip4("10.9.0.0")) >> 8) {
		*ret_mtu = 1000;
		*ret_dmac = rig_narrow_mac;
		*ret_smac = rig_mac1;
		*ret_ifindex = m->rig->eth1;
		if (last == 1 || last == 255)
			return WAY_LOCAL;
		return last == 2 ? WAY_SEND : WAY_NO_NEIGH;
	}
	if (d >> 8 == ntohl(ip4("192.168.1.0")) >> 8) {
		*ret_dmac = last == 220 ? rig_gateway_mac : rig_router_mac;
		if (last == 221 || last == 255)
			return WAY_LOCAL;
		return last == 220 || last == 1 ? WAY_SEND : WAY_NO_NEIGH;
	}
	return WAY_SEND;
}

enum { ROUTE_NONE, ROUTE_MASQUERADE, ROUTE_PLAIN, ROUTE_LOCAL };

static int route(uint32_t dst)
{
	static const struct { const char *prefix; int len, what; } routes[] = {	/* longest first */
		{ MESH, 32, ROUTE_LOCAL }, { "192.168.1.0", 24, ROUTE_MASQUERADE },
		{ "10.9.0.0", 24, ROUTE_MASQUERADE },
		{ "10.66.0.0", 24, ROUTE_MASQUERADE }, { "10.8.0.0", 24, ROUTE_PLAIN },
		{ "10.7.0.0", 24, ROUTE_LOCAL },
		{ "100.64.0.0", 10, ROUTE_PLAIN },
	};

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if ((ntohl(dst) ^ ntohl(ip4(routes[i].prefix))) >> (32 - routes[i].len) == 0)
			return routes[i].what;
	return ROUTE_NONE;
}

static uint32_t owner_of(const struct model *m, uint32_t addr)
{
	for (uint32_t i = 0; i < RIG_PEERS; i++)
		if (m->rig->peers[i].mesh == addr)
			return i;
	return TALON_PEER_NONE;
}

/* ---- arithmetic ---- */

/* The checksum at @field after a 16-bit word in what it covers became another. */
void adjust(uint8_t *field, uint32_t from, uint32_t to)
{
	pkt_put16(field, (get16(field) + from + 2 * 0xffff - to) % 0xffff);
}

static void adjust32(uint8_t *field, uint32_t from, uint32_t to)	/* network order */
{
	adjust(field, ntohl(from) >> 16, ntohl(to) >> 16);
	adjust(field, ntohl(from) & 0xffff, ntohl(to) & 0xffff);
}

static void set_addr(struct judged *j, uint32_t off, uint32_t addr)
{
	adjust32(j->ip.bytes + 10, get32(j->ip.bytes + off), addr);
	memcpy(j->ip.bytes + off, &addr, 4);
}

static void take_ttl(struct judged *j)
{
	uint8_t *ip = j->ip.bytes;

	adjust(ip + 10, get16(ip + 8), get16(ip + 8) - 256);
	ip[8]--;
}

static void clamp_mss(struct judged *j, uint32_t mss)
{
	uint8_t *tcp = j->ip.bytes + j->header;
	uint32_t end = (tcp[12] >> 4) * 4, at = 20;

	if (j->kind != FLOW || j->proto != P_TCP || !(j->tcp_flags & TCP_SYN))
		return;
	while (at + 4 <= end && j->header + at + 4 <= j->ip.len && tcp[at]) {
		uint8_t *opt = tcp + at, old[2];

		if (opt[0] == 1) {
			at++;
			continue;
		}
		if (opt[0] == 2 && opt[1] == 4) {
			if (get16(opt + 2) <= mss)
				return;
			memcpy(old, opt + 2, 2);
			pkt_put16(opt + 2, mss);
			if (at % 2)	/* the bytes lie in the other halves of the words that are summed */
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

/* ---- parsing ---- */

static bool parse(struct judged *j)
{
	const uint8_t *ip = j->ip.bytes, *l4;
	uint32_t total;

	if (j->ip.len < 20 || ip[0] >> 4 != 4)
		return false;
	j->header = (ip[0] & 15) * 4;
	total = get16(ip + 2);
	if (j->header < 20 || total < j->header || total > j->ip.len)
		return false;
	j->ip.len = total;		/* what follows is the link's padding */
	l4 = ip + j->header;
	j->l4_len = total - j->header;
	j->proto = ip[9];
	j->src = get32(ip + 12);
	j->dst = get32(ip + 16);
	j->sport = j->dport = 0;
	j->tcp_flags = 0;
	j->dont_fragment = ip[6] & 0x40;
	j->first_fragment = (ip[6] & 0x20) && !(get16(ip + 6) & 0x1fff);
	j->kind = OTHER;
	if (get16(ip + 6) & 0x1fff) {
		j->kind = FRAGMENT;
		return true;
	}
	if ((j->proto == P_TCP && j->l4_len < 20) || ((j->proto == P_UDP || j->proto == P_ICMP) &&
		j->l4_len < 8))
		return false;
	if (j->proto == P_TCP || j->proto == P_UDP) {
		j->kind = FLOW;
		j->sport = get16(l4);
		j->dport = get16(l4 + 2);
		j->tcp_flags = j->proto == P_TCP ? l4[13] : 0;
	}
	if (j->proto == P_ICMP) {
		j->icmp_type = l4[0];
		if (l4[0] == 0 || l4[0] == 8 || l4[0] == 13 || l4[0] == 14) {
			j->kind = FLOW;
			j->sport = j->dport = get16(l4 + 4);
		}
		if (l4[0] == 3 || l4[0] == 11 || l4[0] == 12)
			j->kind = ERROR;
	}
	return true;
}

/* The flow an ICMP error is about, seen from the error's sender. */
static bool parse_embedded(struct judged *j)
{
	uint32_t at = j->header + 8;
	const uint8_t *in = j->ip.bytes + at, *l4;

	if (j->ip.len < at + 28 || in[0] >> 4 != 4 || (in[0] & 15) < 5 || (get16(in + 6) & 0x1fff))
		return false;
	j->embedded = at + (in[0] & 15) * 4;
	if (j->ip.len < j->embedded + 8)
		return false;
	l4 = j->ip.bytes + j->embedded;
	j->src = get32(in + 16);
	j->dst = get32(in + 12);
	switch (in[9]) {
	case P_TCP:
	case P_UDP:
		j->sport = get16(l4 + 2);
		j->dport = get16(l4);
		return true;
	case P_ICMP:
		j->sport = j->dport = get16(l4 + 4);
		return true;
	}
	return false;
}

static uint8_t flow_proto(const struct judged *j)
{
	return j->kind == ERROR ? j->ip.bytes[j->header + 8 + 9] : j->proto;
}

static struct model_flow *find_forward(struct judged *j)
{
	for (uint32_t i = 0; i < j->m->flow_count; i++) {
		struct model_flow *f = &j->m->flows[i];

		if (f->proto == flow_proto(j) && f->client == j->src && f->remote == j->dst &&
			f->client_port == j->sport && (f->proto == P_ICMP || f->remote_port == j->dport))
			return f;
	}
	return NULL;
}

static struct model_flow *find_reverse(struct judged *j)
{
	for (uint32_t i = 0; i < j->m->flow_count; i++) {
		struct model_flow *f = &j->m->flows[i];

		if (f->proto == flow_proto(j) && f->remote == j->src && f->port == j->dport &&
			ip4(NODE) == j->dst && (f->proto == P_ICMP || f->remote_port == j->sport))
			return f;
	}
	return NULL;
}

bool model_port_is_mapped(const struct model *m, uint8_t proto, uint16_t port)
{
	for (uint32_t i = 0; i < m->flow_count; i++)
		if (m->flows[i].proto == proto && m->flows[i].port == port && proto != P_ICMP)
			return true;
	return model6_port_is_mapped(m, proto, port);	/* both families have the same ports */
}

/* ---- translation ---- */

static void translate_side(struct judged *j, bool is_source, uint32_t addr, uint16_t port)
{
	uint32_t addr_off = is_source ? 12 : 16, old = get32(j->ip.bytes + addr_off);
	uint8_t *l4 = j->ip.bytes + j->header, *field = l4 + (is_source ? 0 : 2),
		*check = l4 + (j->proto == P_TCP ? 16 : 6);

	set_addr(j, addr_off, addr);
	if (j->kind != FLOW)
		return;
	if (j->proto == P_ICMP) {
		adjust(l4 + 2, get16(l4 + 4), port);
		pkt_put16(l4 + 4, port);
		return;
	}
	if (j->proto == P_UDP && !get16(check)) {
		pkt_put16(field, port);
		return;
	}
	adjust32(check, old, addr);
	adjust(check, get16(field), port);
	if (j->proto == P_UDP && !get16(check))
		pkt_put16(check, 0xffff);
	pkt_put16(field, port);
}

static void translate_error(struct judged *j, bool is_source, uint32_t addr, uint16_t port, uint16_t mask)
{
	uint8_t *icmp = j->ip.bytes + j->header, *in = icmp + 8, *l4 = j->ip.bytes + j->embedded,
		before[PKT_MAX];
	uint32_t in_addr = is_source ? 16 : 12, old = get32(in + in_addr), n = j->ip.len - j->header;
	uint8_t *field = in[9] == P_ICMP ? l4 + 4 : is_source ? l4 + 2 : l4, *check = NULL;

	memcpy(before, icmp, n);
	adjust32(in + 10, old, addr);
	memcpy(in + in_addr, &addr, 4);
	if (mask && get16(in + 6) != PKT_DF) {
		adjust(in + 10, get16(in + 4), get16(in + 4) ^ mask);
		pkt_put16(in + 4, get16(in + 4) ^ mask);
	}
	if (in[9] == P_TCP && j->ip.len >= j->embedded + 20)
		check = l4 + 16;
	if (in[9] == P_UDP && get16(l4 + 6))
		check = l4 + 6;
	if (in[9] == P_ICMP)
		check = l4 + 2;
	if (check) {
		if (in[9] != P_ICMP)
			adjust32(check, old, addr);
		adjust(check, get16(field), port);
		if (in[9] == P_UDP && !get16(check))
			pkt_put16(check, 0xffff);
	}
	pkt_put16(field, port);
	/* All that changed counts in the ICMP checksum. */
	for (uint32_t i = 4; i < n; i += 2) {
		uint32_t from = before[i] << 8 | (i + 1 < n ? before[i + 1] : 0),
			to = icmp[i] << 8 | (i + 1 < n ? icmp[i + 1] : 0);

		if (from != to)
			adjust(icmp + 2, from, to);
	}
	set_addr(j, is_source ? 12 : 16, addr);
}

/* The port that the datapath gave a new flow, from what it sent or held. */
static const char *learn_port(struct judged *j, struct model_flow *f, const uint8_t *out, uint32_t len)
{
	uint32_t off = (out[0] & 15) * 4 + (f->proto == P_ICMP ? 4 : 0);

	if (len < off + 2)
		return differ(j, "a new flow without a port");
	f->port = get16(out + off);
	if (model6_port_is_used(j->m, f->proto, f->port))
		return differ(j, "an endpoint of IPv6 has that port");
	if (f->port < RIG_PORT_FIRST || f->port > RIG_PORT_LAST)
		return differ(j, "the port is not of the range");
	for (uint32_t i = 0; i < j->m->flow_count; i++) {
		const struct model_flow *other = &j->m->flows[i];
		bool is_same = other->client == f->client && other->client_port == f->client_port;

		if (other->proto != f->proto)
			continue;
		if (is_same != (other->port == f->port))
			return differ(j, is_same ? "an endpoint got a second port"
				: "two endpoints got one port");
	}
	j->m->flows[j->m->flow_count++] = *f;
	return NULL;
}

static bool known_port(struct judged *j, struct model_flow *f)
{
	for (uint32_t i = 0; i < j->m->flow_count; i++) {
		const struct model_flow *other = &j->m->flows[i];

		if (other->proto == f->proto && other->client == f->client &&
			other->client_port == f->client_port) {
			f->port = other->port;
			return true;
		}
	}
	return false;
}

/* ---- sealing ---- */

static uint8_t model_ecn(const struct packet *inner)
{
	return inner->bytes[0] >> 4 == 6 ? inner->bytes[1] >> 4 & 3 : inner->bytes[1] & 3;
}

static bool equal4(const uint8_t *a, uint32_t b)
{
	return !memcmp(a, &b, 4);
}

const char *sealed(struct judged *j, uint32_t peer, enum talon_end end)
{
	struct model_endpoint *e = &j->m->endpoints[peer];
	const struct rig_peer *p = &j->m->rig->peers[peer];
	uint64_t counter;
	uint32_t index, mtu, ifindex = j->m->rig->eth0, udp_off = e->six ? 54 : 34;
	const uint8_t *dmac = rig_router_mac, *smac = rig_mac;
	struct packet inner = {}, message, outer, want;
	const char *wrong;

	if (!e->remote_port)
		return dropped(j, TALON_NO_ENDPOINT);
	if (!e->six) {
		if (fib(j->m, get32(e->remote), &mtu, &dmac, &smac, &ifindex) != WAY_SEND) {
			dmac = e->in_smac;
			smac = e->in_dmac;
			ifindex = j->m->rig->eth0;
		}
	}
	wrong = counted(j, RIG_SEND, end);
	if (wrong)
		return wrong;
	if (j->got->ifindex != ifindex)
		return differ(j, "sealed, but out of another device");
	if (j->got->frame.len < udp_off + 40)
		return differ(j, "sealed, but too short");
	if (!pkt_wg_open(p->send_key, j->got->frame.bytes + udp_off + 8, j->got->frame.len - udp_off - 8,
		&inner, &index, &counter))
		return differ(j, "sealed, but it does not open");
	if (counter != j->m->send_counter[peer]++)
		return differ(j, "the counter is not the next one");
	if (inner.len != (j->ip.len + 15) / 16 * 16 || !sodium_is_zero(inner.bytes + j->ip.len,
		inner.len - j->ip.len))
		return differ(j, "padding");
	inner.len = j->ip.len;
	wrong = same_packet(j, &inner);
	if (wrong)
		return wrong;
	message = pkt_wg(p->send_key, p->remote_index, counter, &inner);
	if (e->six) {
		outer = pkt_udp6(e->local, e->remote, e->local_port, e->remote_port, model_ecn(&inner),
			&message);
	} else {
		outer = pkt_udp4(get32(e->local), get32(e->remote), e->local_port, e->remote_port,
			model_ecn(&inner), &message);
		pkt_put16(outer.bytes + 4, counter);
		pkt_fix_header(&outer);
	}
	want = pkt_ether(dmac, smac, e->six ? 0x86dd : 0x0800, &outer);
	if (want.len != j->got->frame.len)
		return differ(j, "sealed, but of another length");
	for (uint32_t i = 0; i < want.len; i++) {
		if (want.bytes[i] == j->got->frame.bytes[i])
			continue;
		snprintf(j->text, sizeof(j->text), "byte %u of the sealed frame is %02x, wanted %02x", i,
			j->got->frame.bytes[i], want.bytes[i]);
		return j->text;
	}
	return NULL;
}

/*
 * An ICMP error of the node about the packet in its present state. False: none may be sent about such a
 * packet.
 */
static bool make_error(struct judged *j, uint32_t src, uint8_t type, uint8_t code, uint32_t rest)
{
	struct packet about = j->ip;

	if (j->kind == ERROR || j->kind == FRAGMENT || j->header != 20 || j->ip.len < 28 ||
		get32(about.bytes + 16) == 0xffffffff || about.bytes[16] >> 4 == 14)
		return false;
	j->ip = pkt_icmp_error(src, get32(about.bytes + 12), type, code, rest, &about, 28);
	j->ip.bytes[1] = 0xc0;
	j->ip.bytes[6] = 0x40;
	pkt_fix_header(&j->ip);
	j->kind = OTHER;
	j->proto = P_ICMP;
	j->header = 20;
	return true;
}

static const char *refuse_to_mesh(struct judged *j, uint8_t type, uint8_t code, uint32_t rest,
	enum talon_end end)
{
	if (!make_error(j, ip4(MESH), type, code, rest))
		return dropped(j, end);
	return sealed(j, j->peer, TALON_ICMP_SENT);
}

const char *held(struct judged *j, enum talon_event_type type, enum talon_end end)
{
	const char *wrong = dropped(j, end);

	if (wrong)
		return wrong;
	for (uint32_t i = 0; i < j->got->event_count; i++) {
		const struct rig_event *event = &j->got->events[i];
		struct packet p = { .len = event->head.len };

		if (event->head.type != type)
			continue;
		memcpy(p.bytes, event->data, p.len);
		return same_packet(j, &p);
	}
	return differ(j, "held, but there is no event");
}

/* ---- from the wire ---- */

const char *sent_back(struct judged *j)
{
	const char *wrong = counted(j, RIG_SEND, TALON_ICMP_SENT);
	struct packet got;
	uint8_t macs[12];

	if (wrong)
		return wrong;
	memcpy(macs, j->frame + 6, 6);
	memcpy(macs + 6, j->frame, 6);
	if (memcmp(j->got->frame.bytes, macs, 12) || j->got->ifindex != j->m->rig->eth0)
		return differ(j, "the error does not go back where the packet came from");
	got = behind_ether(j->got);
	return same_packet(j, &got);
}

static const char *refuse_to_wire(struct judged *j, uint8_t type, uint8_t code, uint32_t rest,
	enum talon_end end)
{
	if (!make_error(j, ip4(NODE), type, code, rest))
		return dropped(j, end);
	return sent_back(j);
}

static struct model_frag *find_frag(struct judged *j, uint16_t id)
{
	for (uint32_t i = 0; i < j->m->frag_count; i++) {
		struct model_frag *f = &j->m->frags[i];

		if (f->src == get32(j->ip.bytes + 12) && f->dst == get32(j->ip.bytes + 16) && f->id == id &&
			f->proto == j->ip.bytes[9])
			return f;
	}
	return NULL;
}

static struct model_frag *add_frag(struct judged *j, uint16_t id)
{
	struct model_frag *f = find_frag(j, id);

	if (!f)
		f = &j->m->frags[j->m->frag_count++];
	*f = (struct model_frag) {
		.src = get32(j->ip.bytes + 12), .dst = get32(j->ip.bytes + 16), .id = id,
			.proto = j->ip.bytes[9],
	};
	return f;
}

/*
 * The first fragment of a datagram of the host: its later ones are the host's, too, unless a datagram of ours
 * has the same id.
 */
static void leave_frag(struct judged *j, uint16_t id)
{
	const struct model_frag *f = find_frag(j, id);

	if (!f || !f->client)
		add_frag(j, id)->is_host = true;
}

static bool is_local(uint32_t addr)
{
	return addr == ip4(NODE) || addr == ip4(MESH) || addr == ip4("127.0.0.1") || addr == ip4("10.9.0.1");
}

static const char *from_wire(struct judged *j, const struct packet *frame)
{
	uint32_t dst, client = 0, peer;
	struct model_flow *f = NULL;
	bool is_nat, is_plain;

	if (!j->is_resealed)
		j->dir = TALON_DIR_OUT;
	if (!parse(j))
		return passed(j, frame, NOT_COUNTED);
	dst = j->dst;
	is_nat = dst == ip4(NODE);
	is_plain = !is_nat && (j->m->rig->config.flags & TALON_F_PLAIN_ROUTES) && dst != ip4(MESH) &&
		!memcmp(j->frame, rig_mac, 6) && owner_of(j->m, dst) != TALON_PEER_NONE;
	if (!is_nat && !is_plain)
		return passed(j, frame, NOT_COUNTED);
	if (is_plain && is_local(j->src))
		return dropped(j, TALON_LOCAL_SOURCE);
	peer = owner_of(j->m, dst);
	if (is_nat && j->kind == FRAGMENT) {
		struct model_frag *known = find_frag(j, get16(j->ip.bytes + 4));

		if (known && known->client) {
			client = known->client;
			peer = known->peer;
		} else if (!(j->m->flow_count + j->m->flow6_count) || (known && known->is_host)) {
			return passed(j, frame, NOT_COUNTED);
		} else {
			add_frag(j, get16(j->ip.bytes + 4));
			return passed(j, frame, TALON_HELD);
		}
	} else if (is_nat) {
		bool is_found = j->kind == FLOW ? j->proto != P_ICMP || j->icmp_type == 0 ||
			j->icmp_type == 14 : j->kind == ERROR && parse_embedded(j);

		f = is_found ? find_reverse(j) : NULL;
		if (is_found && !f && j->kind == FLOW && j->proto == P_TCP &&
			(j->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
			model_port_is_mapped(j->m, P_TCP, j->dport))
			return dropped(j, TALON_NAT_NO_FLOW);
		if (!f && j->first_fragment && (is_found || j->kind != ERROR))
			leave_frag(j, get16(j->ip.bytes + 4));
		if (!f)
			return j->is_resealed ? dropped(j, TALON_NAT_NO_FLOW) : passed(j, frame, NOT_COUNTED);
		client = f->client;
		peer = f->peer;
	}

	if (j->ip.bytes[8] <= 1 && !j->is_resealed)
		return refuse_to_wire(j, 11, 0, 0, TALON_TTL_EXPIRED);
	if (j->ip.len > RIG_MTU && j->dont_fragment)
		return refuse_to_wire(j, 3, 4, RIG_MTU, TALON_TOO_BIG);
	if (f && j->first_fragment) {
		struct model_frag *now = add_frag(j, get16(j->ip.bytes + 4));

		now->client = client;
		now->peer = peer;
	}
	if (!j->is_resealed)
		take_ttl(j);
	if (f && j->kind == ERROR)
		translate_error(j, false, client, f->client_port,
			j->m->mask_known[peer] ? j->m->mask[peer] : 0);
	else if (client)
		translate_side(j, false, client, f ? f->client_port : 0);
	if (j->ip.len > RIG_MTU)
		return held(j, TALON_EVENT_TOO_BIG, TALON_HELD);
	clamp_mss(j, RIG_MTU - 40);
	return sealed(j, peer, j->is_resealed ? TALON_RESEALED : TALON_FORWARDED);
}

/* ---- from a peer ---- */

static uint32_t model_type(const struct judged *j)
{
	return j->ip.bytes[0] >> 4 == 6 ? 0x86dd : 0x0800;
}

const char *delivered(struct judged *j)
{
	struct packet p = {};
	const char *wrong = counted(j, RIG_PASS, TALON_LOCAL);

	if (wrong)
		return wrong;
	memcpy(p.bytes, j->frame, 12);
	if (memcmp(j->got->frame.bytes, p.bytes, 12) || get16(j->got->frame.bytes + 12) != model_type(j))
		return differ(j, "handed up with another Ethernet header");
	p = behind_ether(j->got);
	return same_packet(j, &p);
}

/* The IP id of a packet that leaves with the shared address. The client's turn is learned once. */
static void turn_id(struct judged *j, const uint8_t *out)
{
	struct model *m = j->m;
	uint16_t id = get16(j->ip.bytes + 4);

	if (get16(j->ip.bytes + 6) == PKT_DF)
		return;
	if (!m->mask_known[j->peer]) {
		m->mask_known[j->peer] = true;
		m->mask[j->peer] = id ^ get16(out + 4);
	}
	adjust(j->ip.bytes + 10, id, id ^ m->mask[j->peer]);
	pkt_put16(j->ip.bytes + 4, id ^ m->mask[j->peer]);
}

/*
 * The packet as the datapath changed it, wherever it went, to learn from. Empty if it was dropped or sealed
 * again.
 */
struct packet output(struct judged *j)
{
	struct packet p = {};

	if (j->got->verdict == RIG_SEND)
		return behind_ether(j->got);
	for (uint32_t i = 0; i < j->got->event_count; i++) {
		const struct rig_event *event = &j->got->events[i];

		if (event->head.type != TALON_EVENT_NEIGH && event->head.type != TALON_EVENT_TOO_BIG)
			continue;
		p.len = event->head.len;
		memcpy(p.bytes, event->data, p.len);
	}
	return p;
}

const char *sent(struct judged *j, const uint8_t *dmac, const uint8_t *smac, uint32_t ifindex)
{
	const char *wrong = counted(j, RIG_SEND, TALON_FORWARDED);
	struct packet p;

	if (wrong)
		return wrong;
	if (memcmp(j->got->frame.bytes, dmac, 6) || memcmp(j->got->frame.bytes + 6, smac, 6) ||
		j->got->ifindex != ifindex || get16(j->got->frame.bytes + 12) != model_type(j))
		return differ(j, "sent to another next hop");
	p = behind_ether(j->got);
	return same_packet(j, &p);
}

static const char *from_peer(struct judged *j)
{
	uint32_t mtu, ifindex, to;
	const uint8_t *dmac, *smac;
	struct model_flow *f = NULL, fresh;
	struct packet out;
	const char *wrong;
	enum way way;
	int how;

	if (!parse(j))
		return dropped(j, TALON_BAD_INNER);
	{
		uint32_t src = j->src, dst = j->dst;

		if (j->kind == ERROR && !parse_embedded(j))
			return dropped(j, TALON_BAD_INNER);
		if (owner_of(j->m, src) != j->peer)
			return dropped(j, TALON_NOT_ALLOWED);
		if (is_local(src))
			return dropped(j, TALON_LOCAL_SOURCE);
		how = route(dst);
		way = fib(j->m, dst, &mtu, &dmac, &smac, &ifindex);
		if (how == ROUTE_NONE)
			return dropped(j, TALON_NO_ROUTE);
		if (dst == ip4(NODE)) {
			struct model_flow *about = j->kind == ERROR ? find_forward(j) : NULL;

			if ((j->kind == FLOW && model_port_is_mapped(j->m, j->proto, j->dport)) ||
				(about && about->peer == j->peer))
				j->is_resealed = true;
		}
		if (!j->is_resealed && (how == ROUTE_LOCAL || way == WAY_LOCAL))
			return delivered(j);
		to = owner_of(j->m, dst);
		if (way == WAY_NONE && to == TALON_PEER_NONE)
			return refuse_to_mesh(j, 3, 1, 0, how == ROUTE_PLAIN ? TALON_NO_PEER
				: TALON_UNREACHABLE);
		if (j->ip.bytes[8] <= 1)
			return refuse_to_mesh(j, 11, 0, 0, TALON_TTL_EXPIRED);
		if (to != TALON_PEER_NONE) {
			if (j->ip.len > RIG_MTU && j->dont_fragment)
				return refuse_to_mesh(j, 3, 4, RIG_MTU, TALON_TOO_BIG);
			take_ttl(j);
			if (j->ip.len > RIG_MTU)
				return held(j, TALON_EVENT_TOO_BIG, TALON_HELD);
			return sealed(j, to, TALON_RESEALED);
		}
		if (j->is_resealed)
			mtu = RIG_MTU;
		if (way == WAY_NO_NEIGH && !j->is_resealed)
			mtu = 65535;	/* not said */
	}

	if (how == ROUTE_MASQUERADE && j->kind == OTHER)
		return dropped(j, TALON_NAT_PROTO);
	if (how == ROUTE_MASQUERADE && j->kind == FLOW) {
		f = find_forward(j);
		if (!f && j->proto == P_ICMP && j->icmp_type != 8 && j->icmp_type != 13)
			return dropped(j, TALON_NAT_NO_FLOW);
		if (f && j->proto == P_ICMP && j->icmp_type != 8 && j->icmp_type != 13 &&
			(way == WAY_NO_NEIGH || j->is_resealed))
			return dropped(j, TALON_NAT_NO_FLOW);
		fresh = (struct model_flow) { .client = j->src, .remote = j->dst, .peer = j->peer,
			.client_port = j->sport, .remote_port = j->dport, .proto = j->proto };
	}
	if (j->ip.len > mtu && j->dont_fragment) {
		bool is_new = how == ROUTE_MASQUERADE && j->kind == FLOW && !f;

		wrong = refuse_to_mesh(j, 3, 4, mtu, TALON_TOO_BIG);
		if (wrong || !is_new)
			return wrong;
		/*
		 * The flow exists nevertheless. Its port is not visible, but may be the one that the endpoint
		 * has already.
		 */
		if (!known_port(j, &fresh))
			return model_lost;
		j->m->flows[j->m->flow_count++] = fresh;
		return NULL;
	}
	take_ttl(j);
	out = output(j);
	if (how == ROUTE_MASQUERADE && j->kind == ERROR) {
		struct model_flow *about = find_forward(j);

		if (!about || about->peer != j->peer)
			return dropped(j, TALON_NAT_NO_FLOW);
		translate_error(j, true, ip4(NODE), about->port, 0);
	} else if (how == ROUTE_MASQUERADE) {
		turn_id(j, out.bytes);
		/* its port is not visible, but is the one that the endpoint has already */
		if (j->is_resealed && !f) {
			if (!known_port(j, &fresh))
				return model_lost;
			j->m->flows[j->m->flow_count++] = fresh;
			f = &j->m->flows[j->m->flow_count - 1];
		} else if (j->kind == FLOW && !f) {
			wrong = out.len >= 20 ? learn_port(j, &fresh, out.bytes, out.len)
				: differ(j, "nothing came of a new flow");
			if (wrong)
				return wrong;
			f = &j->m->flows[j->m->flow_count - 1];
		}
		translate_side(j, true, ip4(NODE), f ? f->port : 0);
	}
	clamp_mss(j, (mtu < RIG_MTU ? mtu : RIG_MTU) - 40);
	if (j->is_resealed) {
		if (j->ip.len > RIG_MTU)
			return dropped(j, TALON_TOO_BIG);
		return from_wire(j, NULL);
	}
	if (way == WAY_NO_NEIGH)
		return held(j, TALON_EVENT_NEIGH, TALON_HELD);
	if (j->ip.len > mtu)
		return held(j, TALON_EVENT_TOO_BIG, TALON_HELD);
	return sent(j, dmac, smac, ifindex);
}

static bool was_seen(const struct model *m, uint32_t peer, uint64_t counter)
{
	for (uint32_t i = 0; i < m->seen_count[peer]; i++)
		if (m->seen[peer][i] == counter)
			return true;
	return false;
}

/* RFC 6040 section 4.2, figure 4; rows: inner Not-ECT, ECT(1), ECT(0), CE. -1: drop. */
static const int ecn[4][4] = { { 0, 0, 0, -1 }, { 1, 1, 1, 3 }, { 2, 1, 2, 3 }, { 3, 3, 3, 3 } };

/* Could a packet come from there? The peer's present endpoint is not checked again. */
static bool is_martian(const struct judged *j, const struct model_endpoint *from)
{
	const struct model_endpoint *e = &j->m->endpoints[j->peer];
	static const uint8_t zero[12];

	if (e->six == from->six && e->remote_port == from->remote_port &&
		!memcmp(e->remote, from->remote, from->six ? 16 : 4))
		return false;
	if (!from->remote_port)
		return true;
	if (from->six)
		return from->remote[0] == 0xff || !memcmp(from->remote, zero, 12) ||
			!memcmp(from->remote, rig_node6, 16) ||
			(!memcmp(from->remote, zero, 10) && from->remote[10] == 0xff &&
			from->remote[11] == 0xff);
	return from->remote[0] == 0 || from->remote[0] == 127 || from->remote[0] >= 224 ||
		equal4(from->remote, ip4(NODE)) || equal4(from->remote, ip4("10.9.0.1"));
}

/* RFC 4443 section 2.4: what no error is sent about. After extension headers there may be one. */
static bool is_answerable6(const struct packet *p, uint32_t len)
{
	static const uint8_t extensions[] = { 0, 43, 44, 51, 60, 135 }, zero[16];

	if (len <= 40 || p->bytes[8] == 0xff || p->bytes[24] == 0xff || !memcmp(p->bytes + 8, zero, 16) ||
	    !memcmp(p->bytes + 24, zero, 16) || memchr(extensions, p->bytes[6], sizeof(extensions)))
		return false;
	return p->bytes[6] != 58 || (p->bytes[40] >= 128 && p->bytes[40] != 137);
}

static const char *refuse6(struct judged *j)
{
	uint32_t len = j->ip.len < 40 ? 0 : 40 + get16(j->ip.bytes + 4), embed, sum;
	struct packet about = j->ip;
	uint8_t *icmp;

	if (!len || len > j->ip.len || !is_answerable6(&about, len))
		return dropped(j, TALON_INNER_IPV6);
	embed = len < RIG_MTU - 48 ? len : RIG_MTU - 48;
	memset(j->ip.bytes, 0, 48);
	j->ip.len = 48 + embed;
	j->ip.bytes[0] = 0x60;
	pkt_put16(j->ip.bytes + 4, 8 + embed);
	j->ip.bytes[6] = 58;
	j->ip.bytes[7] = 64;
	memcpy(j->ip.bytes + 8, about.bytes + 24, 16);
	memcpy(j->ip.bytes + 24, about.bytes + 8, 16);
	icmp = j->ip.bytes + 40;
	icmp[0] = 1;
	memcpy(icmp + 8, about.bytes, embed);
	sum = pkt_sum(8 + embed + 58, j->ip.bytes + 8, 32);
	pkt_put16(icmp + 2, ~pkt_sum(sum, icmp, 8 + embed) & 0xffff);
	j->kind = OTHER;
	j->proto = 58;
	j->header = 40;
	return sealed(j, j->peer, TALON_ICMP_SENT);
}

/* The options of a header whose checksum is right. NULL: they may pass. */
static const char *judge_options(struct judged *j, bool *ret_may_pass)
{
	uint32_t header = (j->ip.bytes[0] & 15) * 4, at = 20;

	*ret_may_pass = false;
	if (header < 20 || header > get16(j->ip.bytes + 2))
		return dropped(j, TALON_BAD_INNER);
	if (pkt_sum(0, j->ip.bytes, header) != 0xffff)
		return dropped(j, TALON_INNER_CHECKSUM);
	while (at < header && j->ip.bytes[at]) {
		uint32_t len = j->ip.bytes[at] == 1 ? 1 : at + 1 < header ? j->ip.bytes[at + 1] : 0;

		if (j->ip.bytes[at] == 131 || j->ip.bytes[at] == 137)
			return dropped(j, TALON_SOURCE_ROUTED);
		if (!len || (len == 1 && j->ip.bytes[at] != 1) || at + len > header)
			return dropped(j, TALON_BAD_INNER);
		at += len;
	}
	*ret_may_pass = true;
	return NULL;
}

static const char *data_message(struct judged *j, const uint8_t *message, uint32_t len,
	const struct model_endpoint *from, uint8_t outer_tos)
{
	struct model *m = j->m;
	uint64_t counter;
	const char *wrong;
	bool may_pass;
	uint32_t index;
	int combined;

	for (j->peer = 0; j->peer < RIG_PEERS && m->rig->peers[j->peer].index != le32(message + 4);)
		j->peer++;
	if (j->peer == RIG_PEERS)
		return dropped(j, TALON_NO_SESSION);
	memcpy(&counter, message + 8, 8);
	if (counter >= ~0ULL - 8128)
		return dropped(j, TALON_KEY_EXPIRED);
	if (len - 32 > 1600)
		return dropped(j, TALON_TOO_BIG);
	if ((counter >> 6) + 128 <= m->newest[j->peer] >> 6 || was_seen(m, j->peer, counter))
		return dropped(j, TALON_REPLAYED);
	if (!pkt_wg_open(m->rig->peers[j->peer].recv_key, message, len, &j->ip, &index, &counter))
		return dropped(j, TALON_BAD_TAG);
	if (is_martian(j, from))
		return dropped(j, TALON_MARTIAN);
	m->seen[j->peer][m->seen_count[j->peer]++] = counter;
	if (counter > m->newest[j->peer])
		m->newest[j->peer] = counter;
	m->endpoints[j->peer] = *from;
	if (!j->ip.len)
		return dropped(j, TALON_KEEPALIVE);
	if (j->ip.len < 20)
		return dropped(j, TALON_BAD_INNER);
	if (j->ip.bytes[0] >> 4 == 6 && m->six)
		return model6_from_peer(j, ecn[j->ip.bytes[1] >> 4 & 3][outer_tos & 3]);
	if (j->ip.bytes[0] >> 4 == 6)
		return refuse6(j);
	if (j->ip.bytes[0] >> 4 != 4 || get16(j->ip.bytes + 2) < 20 || get16(j->ip.bytes + 2) > j->ip.len)
		return dropped(j, TALON_BAD_INNER);
	if ((j->ip.bytes[0] & 15) == 5 && pkt_sum(0, j->ip.bytes, 20) != 0xffff)
		return dropped(j, TALON_INNER_CHECKSUM);
	combined = ecn[j->ip.bytes[1] & 3][outer_tos & 3];
	if (combined < 0)
		return dropped(j, TALON_CONGESTED);
	if (combined != (j->ip.bytes[1] & 3)) {
		uint8_t tos = (j->ip.bytes[1] & 0xfc) | combined;

		adjust(j->ip.bytes + 10, j->ip.bytes[0] << 8 | j->ip.bytes[1], j->ip.bytes[0] << 8 | tos);
		j->ip.bytes[1] = tos;
	}
	wrong = judge_options(j, &may_pass);
	return may_pass ? from_peer(j) : wrong;
}

static bool is_ours6(const struct model *m, const uint8_t *addr)
{
	return !memcmp(addr, rig_node6, 16) || (m->six && model6_is_own(addr));
}

/* The UDP datagram at @udp, of which at most @room bytes are there, came to our port. */
static const char *our_port(struct judged *j, const struct packet *frame, uint32_t udp_off, uint32_t room,
	struct model_endpoint *from, uint8_t tos)
{
	const uint8_t *udp = frame->bytes + udp_off, *message = udp + 8;
	uint32_t len, type;

	if (udp_off + 8 > frame->len)
		return dropped(j, TALON_TOO_SHORT);
	len = get16(udp + 4);
	if (len < 12 || len > room)
		return dropped(j, TALON_TOO_SHORT);
	len -= 8;
	type = le32(message);
	from->remote_port = get16(udp);
	from->local_port = get16(udp + 2);
	memcpy(from->in_smac, frame->bytes + 6, 6);
	memcpy(from->in_dmac, frame->bytes, 6);
	if (type == 4 && len >= 32)
		return data_message(j, message, len, from, tos);
	if ((type == 1 && len == 148) || (type == 2 && len == 92) || (type == 3 && len == 64))
		return passed(j, frame, TALON_TO_CONTROLLER);
	if (len >= 20 && message[0] < 0x40 && get32(message + 4) == htonl(0x2112A442) &&
		get16(message + 2) % 4 == 0 && get16(message + 2) + 20 == len)
		return passed(j, frame, TALON_TO_CONTROLLER);
	return dropped(j, TALON_UNKNOWN_TYPE);
}

static const char *judge(struct judged *j, const struct packet *frame)
{
	const uint8_t *l3 = frame->bytes + 14;
	struct model_endpoint from = {};
	uint32_t room = frame->len - 14;

	if (frame->len < 14)
		return differ(j, "no frame");
	if (get16(frame->bytes + 12) == 0x0800) {
		if (room < 20)
			return passed(j, frame, NOT_COUNTED);
		if (l3[9] == P_UDP && (l3[0] & 15) == 5 && !(get16(l3 + 6) & 0x3fff) && room >= 28 &&
			get16(l3 + 22) == RIG_PORT &&
			(equal4(l3 + 16, ip4(NODE)) || equal4(l3 + 16, ip4("10.9.0.1")) ||
			equal4(l3 + 16, ip4("127.0.0.1")))) {
			if (get16(l3 + 2) < 20 || get16(l3 + 2) > room)
				return dropped(j, TALON_TOO_SHORT);
			memcpy(from.remote, l3 + 12, 4);
			memcpy(from.local, l3 + 16, 4);
			return our_port(j, frame, 34, get16(l3 + 2) - 20, &from, l3[1]);
		}
		memcpy(j->ip.bytes, l3, room);
		j->ip.len = room;
		return from_wire(j, frame);
	}
	if (get16(frame->bytes + 12) == 0x86dd && room >= 48 && l3[6] == P_UDP &&
		get16(l3 + 42) == RIG_PORT && is_ours6(j->m, l3 + 24)) {
		if (get16(l3 + 4) > room - 40)
			return dropped(j, TALON_TOO_SHORT);
		from.six = true;
		memcpy(from.remote, l3 + 8, 16);
		memcpy(from.local, l3 + 24, 16);
		return our_port(j, frame, 54, get16(l3 + 4), &from, l3[0] << 4 | l3[1] >> 4);
	}
	if (get16(frame->bytes + 12) == 0x86dd && room >= 48 && j->m->six) {
		memcpy(j->ip.bytes, l3, room);
		j->ip.len = room;
		return model6_from_wire(j, frame);
	}
	return passed(j, frame, NOT_COUNTED);
}

const char *model_judge(struct model *m, const struct packet *frame, const struct rig_result *got)
{
	static struct judged j;

	memset(&j, 0, sizeof(j));
	j.m = m;
	j.got = got;
	j.frame = frame->bytes;
	j.dir = TALON_DIR_IN;
	return judge(&j, frame);
}
