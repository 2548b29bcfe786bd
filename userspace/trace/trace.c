// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One trace: what is asked, what has to be copied for it, the way there and the way back.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net.h"
#include "trace/internal.h"

#define SOME_PORT	40000		/* of a client that has named none */
#define SOME_ID		1
#define TRIES		3		/* while routes or rules are changing */
#define TCP_SYN		0x02
#define TCP_ACK		0x10

static int refuse(struct walk *walk, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int refuse(struct walk *walk, int ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(walk->why, walk->why_len, fmt, args);
	va_end(args);
	return ret;
}

/* Peers whose sessions and endpoints the copy needs. */
static int add_party(struct walk *walk, uint32_t id)
{
	unsigned n = walk->party_count;

	if (id == TALON_PEER_NONE || walk_party(walk, id) || n == PARTIES_MAX)
		return 0;
	if (party_read(&walk->live, id, n + 1, &walk->parties[n]))
		return -ENOENT;
	walk->party_count++;
	return 0;
}

/* Does the address belong to the peer, rather than to the host's networks? As whose() asks it. */
static uint32_t peer_behind(const struct live *live, struct trace_addr addr)
{
	struct talon_host_route host;
	unsigned len = 0;
	uint32_t id = live_peer_of(live, addr, &len);

	if (id == TALON_PEER_NONE || live_is_own(live, addr))
		return TALON_PEER_NONE;
	if (live_host_route(live, addr, &host) && !(host.flags & TALON_HOST_TUNNEL) && len <= host.prefixlen)
		return TALON_PEER_NONE;
	return id;
}

static int find_sender(struct walk *walk, enum trace_origin *ret_origin, uint32_t *ret_id)
{
	const struct trace_request *r = walk->request;
	int64_t id;

	*ret_origin = TRACE_FROM_PEER;
	if (r->peer) {
		id = live_find_peer(&walk->live, r->peer);
		if (id == -ENOTUNIQ)
			return refuse(walk, -EINVAL, "--peer: several peers are called '%.60s'; give the key",
				r->peer);
		if (id < 0)
			return refuse(walk, -EINVAL,
				"--peer: the datapath knows no peer '%.60s'; talon status -d lists them",
				r->peer);
		*ret_id = id;
		return 0;
	}
	*ret_id = peer_behind(&walk->live, r->from);
	if (*ret_id != TALON_PEER_NONE)
		return 0;
	*ret_origin = live_is_own(&walk->live, r->from) ||
		addr_is_equal(r->from, live_mesh_addr(&walk->live, r->from))
		? TRACE_FROM_HOST : TRACE_FROM_NETWORK;
	return 0;
}

/* What of the live flows matters: the one that is meant, and those that its port could collide with. */
struct search {
	struct walk *walk;
	enum trace_origin origin;
	__be32 src, dst;		/* the packet's addresses as they are in records */
	struct talon_flow newest;	/* that fits what is given; phase 0: none */
	bool found;			/* exactly the one */
	int ret;
};

static bool fits(const struct search *s, const struct talon_flow *f)
{
	const struct trace_request *r = s->walk->request;
	bool has_ports = !proto_is_icmp(r->proto);

	if (f->proto != flight_flow_proto(&s->walk->flight))
		return false;
	if (s->origin == TRACE_FROM_PEER)
		return f->client == s->src && f->remote == s->dst &&
			(!r->from_port || ntohs(f->client_port) == r->from_port) &&
			(!has_ports || !r->to_port || ntohs(f->remote_port) == r->to_port);
	return f->remote == s->src && f->snat == s->dst &&
		(!r->to_port || ntohs(f->snat_port) == r->to_port) &&
		(!has_ports || !r->from_port || ntohs(f->remote_port) == r->from_port);
}

/* The addresses behind the folds of an IPv6 flow. False: the flow has just ended. */
static bool read_six(const struct search *s, uint32_t id, const struct talon_flow *f,
	struct talon_flow6 *ret_six)
{
	return !(f->proto & TALON_PROTO_SIX) || live_get(&s->walk->live, DATAPATH_MAP_FLOWS6, &id, ret_six);
}

/* Folds may be equal where the addresses are not. */
static bool has_addresses(const struct search *s, const struct talon_flow *f, const struct talon_flow6 *six)
{
	const struct flight *flight = &s->walk->flight;
	struct flow_ends ends = flow_ends(f, six);

	if (s->origin == TRACE_FROM_PEER)
		return addr_is_equal(ends.client, flight->src) && addr_is_equal(ends.remote, flight->dst);
	return addr_is_equal(ends.remote, flight->src) && addr_is_equal(ends.snat, flight->dst);
}

static void seek(uint32_t id, const struct talon_flow *flow, void *user)
{
	struct talon_flow6 six = {};
	struct search *s = user;

	if (fits(s, flow) && (!s->newest.phase || flow->seen_s > s->newest.seen_s) &&
		read_six(s, id, flow, &six) && has_addresses(s, flow, &six))
		s->newest = *flow;
}

static bool is_meant(const struct search *s, const struct talon_flow *f, const struct talon_flow6 *six)
{
	const struct flight *flight = &s->walk->flight;
	bool has_ports = !proto_is_icmp(flight->proto);

	if (!has_addresses(s, f, six))
		return false;
	if (s->origin == TRACE_FROM_PEER)
		return ntohs(f->client_port) == flight->sport &&
			(!has_ports || ntohs(f->remote_port) == flight->dport);
	return ntohs(f->snat_port) == flight->dport && (!has_ports || ntohs(f->remote_port) == flight->sport);
}

/* Flows to the same remote are those whose ports a new one must not have. */
static bool is_near(const struct search *s, const struct talon_flow *f)
{
	const struct flight *flight = &s->walk->flight;
	bool is_there = s->origin == TRACE_FROM_PEER;
	__be32 remote = is_there ? s->dst : s->src;
	uint16_t port = is_there ? flight->dport : flight->sport;

	if (f->remote == remote && (proto_is_icmp(flight->proto) || ntohs(f->remote_port) == port))
		return true;
	return f->snat == s->dst && ntohs(f->snat_port) == flight->dport;
}

static void copy_flow(uint32_t id, const struct talon_flow *flow, void *user)
{
	struct search *s = user;
	struct copied_flows *flows = &s->walk->copy.flows;
	struct copied_flow copied = { .flow = *flow };
	bool meant;

	if (flow->proto != flight_flow_proto(&s->walk->flight) || !is_near(s, flow) ||
		!read_six(s, id, flow, &copied.six))
		return;
	meant = is_meant(s, flow, &copied.six);
	if (meant || flow->snat == s->dst)
		add_party(s->walk, flow->peer);
	s->found |= meant;
	if (flows->count == FLOWS_MAX) {
		flows->is_cut = true;
		if (meant)
			flows->list[0] = copied;
		return;
	}
	flows->list[flows->count++] = copied;
}

static void note_chosen(struct walk *walk)
{
	const struct trace_request *r = walk->request;
	const struct flight *f = &walk->flight;
	const char *sport = proto_is_icmp(f->proto) ? "id" : "source port";
	char *note = walk->trace->note;
	const size_t size = sizeof(walk->trace->note);

	if (!r->from_port && f->sport != SOME_PORT && !proto_is_icmp(f->proto))
		text_append(note, size, "%s %u is that of a flow which is there", sport, f->sport);
	else if (!r->from_port && !proto_is_icmp(f->proto))
		text_append(note, size, "%s %u is made up", sport, f->sport);
	if (walk->copy.flows.is_cut)
		text_append(note, size, "%sonly %u of the flows to this remote were looked at",
			note[0] ? "; " : "", FLOWS_MAX);
}

/* Ports that are not given are those of the newest flow that fits, or made up. */
static int choose_ports(struct walk *walk, const struct search *s)
{
	const struct trace_request *r = walk->request;
	bool is_there = s->origin == TRACE_FROM_PEER, has_flow = s->newest.phase;
	struct flight *f = &walk->flight;

	if (proto_is_icmp(r->proto)) {
		f->sport = r->from_port ? r->from_port : r->to_port ? r->to_port : has_flow ?
			ntohs(is_there ? s->newest.client_port : s->newest.snat_port) : SOME_ID;
		f->dport = f->sport;
		return 0;
	}
	f->sport = r->from_port ? r->from_port : has_flow ?
		ntohs(is_there ? s->newest.client_port : s->newest.remote_port) : SOME_PORT;
	f->dport = r->to_port ? r->to_port : has_flow ?
		ntohs(is_there ? s->newest.remote_port : s->newest.snat_port) : 0;
	return f->dport ? 0 : refuse(walk, -EINVAL,
		"--to: there is no port, and no flow that has one; expected ADDRESS:PORT with tcp and udp");
}

static int plan_flows(struct walk *walk, struct search *s)
{
	int ret = live_flows(&walk->live, seek, s);

	if (!ret)
		ret = choose_ports(walk, s);
	if (ret)
		return ret;
	walk->copy.flows.list = calloc(FLOWS_MAX, sizeof(*walk->copy.flows.list));
	if (!walk->copy.flows.list)
		return -ENOMEM;
	ret = live_flows(&walk->live, copy_flow, s);
	note_chosen(walk);
	return ret;
}

/*
 * A client's port on one of our addresses is mapped to it: the packet may be for that client. Of IPv6 the
 * port says a fold only; whose flows came to that address and port is known by now (copy_flow()).
 */
static void add_mapped(struct walk *walk)
{
	const struct flight *f = &walk->flight;
	uint32_t class = f->proto == IPPROTO_TCP ? 0 : 1, at = class << 16 | f->dport;
	struct talon_nat_port port;

	if (f->proto != IPPROTO_ICMP && !addr_is_six(f->dst) && live_is_source(&walk->live, f->dst) &&
		live_get(&walk->live, DATAPATH_MAP_NAT_PORTS, &at, &port) && port.flows)
		add_party(walk, live_peer_of(&walk->live, addr_of4(port.client), NULL));
}

static void set_flags(struct walk *walk, const struct search *s)
{
	struct flight *f = &walk->flight;
	bool is_answer = s->origin == TRACE_FROM_NETWORK && live_is_source(&walk->live, f->dst);

	f->is_reply = proto_is_icmp(f->proto) && is_answer;
	f->tcp_flags = s->found || is_answer ? TCP_ACK : TCP_SYN;
}

/* The device that the host itself would send to the address by, if it carries a program. */
static uint32_t device_towards(const struct walk *walk, struct trace_addr dst)
{
	struct net_route route;
	struct talon_link link;
	uint32_t ifindex;

	if (net_route_lookup(dst.family, &dst.addr, &route))
		return walk->live.config.uplinks[0];
	ifindex = route.ifindex;
	return live_get(&walk->live, DATAPATH_MAP_LINKS, &ifindex, &link) && (link.flags & TALON_LINK_PROGRAM)
		? ifindex : walk->live.config.uplinks[0];
}

static struct flight answer_to(const struct flight *flight)
{
	return (struct flight){
		.src = flight->dst, .dst = flight->src, .sport = flight->dport, .dport = flight->sport,
		.proto = flight->proto, .is_reply = true,
		.tcp_flags = flight->tcp_flags == TCP_SYN ? TCP_SYN | TCP_ACK : TCP_ACK,
		.size = proto_is_icmp(flight->proto) ? flight->size
			: flight_least(flight->src.family, flight->proto),
	};
}

/* A network answers to the address and port that it saw. */
static int answer_of_network(struct walk *walk, const struct passage *there)
{
	const struct trace_way *way = &walk->trace->there;
	struct flight answer = answer_to(&walk->flight);
	uint32_t ifindex = there->first.decision.fib.ifindex;
	struct passage p = {};

	if (way->has_nat) {
		answer.dst = way->nat_addr;
		answer.dport = way->nat_port;
		if (proto_is_icmp(answer.proto))
			answer.sport = way->nat_port;
	}
	return way_from_network(walk, ifindex, &answer, &walk->trace->back, &p);
}

static int walk_back(struct walk *walk, const struct passage *there)
{
	struct trace *t = walk->trace;
	struct flight answer = answer_to(&walk->flight);
	struct party *to = walk_party(walk, there->last.decision.peer);
	struct passage p = {};

	if (!t->there.passes || (there->first.decision.flags & FORWARD_HAIRPIN))
		return 0;
	t->has_back = true;
	if (t->there.origin == TRACE_FROM_PEER && t->there.end == TALON_LOCAL)
		return way_from_host(walk, &answer, &t->back, &p);
	if (t->there.origin == TRACE_FROM_PEER && !there->is_sealing)
		return answer_of_network(walk, there);
	t->has_back = to && there->is_opened;
	if (!t->has_back)
		return 0;
	answer = answer_to(&there->inner);
	answer.tcp_flags = walk->flight.tcp_flags == TCP_SYN ? TCP_SYN | TCP_ACK : TCP_ACK;
	answer.is_reply = !there->inner.is_reply;
	return way_from_peer(walk, to, &answer, &t->back, &p);
}

static int walk_there(struct walk *walk, enum trace_origin origin, struct passage *p)
{
	struct trace_way *way = &walk->trace->there;
	const struct flight *f = &walk->flight;

	switch (origin) {
	case TRACE_FROM_PEER:
		return way_from_peer(walk, &walk->parties[0], f, way, p);
	case TRACE_FROM_HOST:
		return way_from_host(walk, f, way, p);
	default:
		return way_from_network(walk, device_towards(walk, f->src), f, way, p);
	}
}

static int plan(struct walk *walk, enum trace_origin *ret_origin)
{
	const struct trace_request *r = walk->request;
	struct search search = { .walk = walk };
	uint32_t sender = TALON_PEER_NONE;
	int ret;

	ret = find_sender(walk, &search.origin, &sender);
	if (!ret && search.origin == TRACE_FROM_PEER && add_party(walk, sender))
		ret = refuse(walk, -ENOENT, "the peer of that address is just being removed; try again");
	if (ret)
		return ret;
	walk->flight = (struct flight){ .src = r->from, .dst = r->to, .proto = r->proto,
		.size = r->size ? r->size : flight_least(r->from.family, r->proto) };
	search.src = live_fold(&walk->live, r->from);
	search.dst = live_fold(&walk->live, r->to);
	ret = plan_flows(walk, &search);
	if (ret)
		return ret;
	add_party(walk, live_peer_of(&walk->live, r->to, NULL));
	add_party(walk, live_peer_of(&walk->live, r->from, NULL));
	add_mapped(walk);
	set_flags(walk, &search);
	*ret_origin = search.origin;
	return 0;
}

static int go(struct walk *walk)
{
	struct trace *t = walk->trace;
	struct passage there = {};
	enum trace_origin origin;
	uint32_t pid;
	int ret = plan(walk, &origin);

	if (ret)
		return ret;
	walk->copy.live = &walk->live;
	walk->copy.parties = walk->parties;
	walk->copy.party_count = walk->party_count;
	snprintf(t->mode, sizeof(t->mode), "%.*s", (int)sizeof(walk->live.info.mode) - 1,
		walk->live.info.mode);
	t->controller_runs = datapath_is_held(walk->request->base, &pid);
	ret = walk_there(walk, origin, &there);
	return ret ? ret : walk_back(walk, &there);
}

static bool has_changed(const struct live *live)
{
	struct talon_config now;
	const uint32_t zero = 0;

	return live_get(live, DATAPATH_MAP_CONFIG, &zero, &now) && now.generation != live->config.generation;
}

static void wipe(struct walk *walk)
{
	for (unsigned i = 0; i < walk->party_count; i++)
		party_wipe(&walk->parties[i]);
	copy_close(&walk->copy);
	live_close(&walk->live);
	free(walk);
}

/* @ret_changed: routes or rules changed meanwhile, so that what is told may belong to two of them. */
static int run_once(const struct trace_request *request, struct trace *trace, bool *ret_changed, char *why,
	size_t size)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	int ret = -ENOMEM;

	snprintf(why, size, "out of memory");
	if (!walk)
		return ret;
	walk->request = request;
	walk->trace = trace;
	walk->why = why;
	walk->why_len = size;
	ret = live_open(&walk->live, request->base, why, size);
	if (!ret)
		ret = go(walk);
	*ret_changed = !ret && has_changed(&walk->live);
	wipe(walk);
	return ret;
}

int trace_run(const struct trace_request *request, struct trace *ret_trace, char *why, size_t size)
{
	bool changed = true;
	int ret = 0;

	for (int i = 0; i < TRIES && !ret && changed; i++) {
		memset(ret_trace, 0, sizeof(*ret_trace));
		ret = run_once(request, ret_trace, &changed, why, size);
	}
	if (!ret && changed)
		text_append(ret_trace->note, sizeof(ret_trace->note), "%sroutes or rules are changing",
			ret_trace->note[0] ? "; " : "");
	return ret;
}

bool trace_passes(const struct trace *trace)
{
	return trace->there.passes && (!trace->has_back || trace->back.passes);
}
