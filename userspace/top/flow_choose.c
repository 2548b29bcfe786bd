// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which flows are shown, and in what order.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cidr.h"
#include "config/value.h"
#include "crypto/key.h"
#include "top/flows.h"

const char *const flows_orders[] = { "idle", "left", "client", "remote", "snat", "peer", NULL };

/* Cuts the address from the port; what is in brackets is IPv6, and so is what has several colons. */
static int cut_end(const char *text, struct slice *ret_addr, struct slice *ret_port, bool *ret_has_port)
{
	struct slice rest = slice_from(text);
	const char *colon = strchr(text, ':');

	*ret_has_port = colon;
	*ret_port = (struct slice){};
	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		*ret_addr = (struct slice){ text + 1, end - text - 1 };
		*ret_has_port = end[1];
		*ret_port = slice_from(end[1] ? end + 2 : end + 1);
		return 0;
	}
	if (colon && strchr(colon + 1, ':')) {
		*ret_has_port = false;
		*ret_addr = rest;
		return 0;
	}
	*ret_addr = slice_cut(&rest, ":");
	*ret_port = rest;
	return 0;
}

int flows_end_parse(const char *text, struct flows_end *ret_end)
{
	struct flows_end end = {};
	struct slice addr, rest;
	__u16 port = 0;

	if (cut_end(text, &addr, &rest, &end.has_port))
		return -EINVAL;
	end.has_addr = addr.len > 0;
	if (!end.has_addr && (!end.has_port || text[0] == '['))
		return -EINVAL;
	if (end.has_port && value_u16(rest, 0, 65535, &port))
		return -EINVAL;
	if (end.has_addr && (cidr_parse(addr, false, &end.net) || (text[0] == '[' &&
		end.net.family != AF_INET6)))
		return -EINVAL;
	end.port = htons(port);
	*ret_end = end;
	return 0;
}

struct talon_addr flows_client(const struct flows_seen *seen)
{
	return seen->is_six ? seen->six.client : (struct talon_addr){ { seen->flow.client } };
}

struct talon_addr flows_remote(const struct flows_seen *seen)
{
	return seen->is_six ? seen->six.remote : (struct talon_addr){ { seen->flow.remote } };
}

struct talon_addr flows_snat(const struct flows_seen *seen)
{
	return seen->is_six ? seen->six.snat : (struct talon_addr){ { seen->flow.snat } };
}

static bool is_at(const struct flows_end *end, bool is_six, struct talon_addr addr, __be16 port)
{
	if (end->has_addr && ((end->net.family == AF_INET6) != is_six || !cidr_holds(&end->net, &addr)))
		return false;
	return !end->has_port || port == end->port;
}

bool flows_is_icmp(const struct talon_flow *flow)
{
	return flow->proto == IPPROTO_ICMP || flow->proto == IPPROTO_ICMPV6;
}

bool flows_match(const struct flows_filter *filter, const struct flows_seen *seen)
{
	const struct talon_flow *flow = &seen->flow;

	if (filter->proto && filter->proto != flow->proto && !(filter->proto == IPPROTO_ICMP &&
		flows_is_icmp(flow)))
		return false;
	if (filter->state != FLOWS_NO_STATE && filter->state != flows_state_of(flow))
		return false;
	if (filter->peers && (flow->peer >= filter->peer_slots || !filter->peers[flow->peer]))
		return false;
	return is_at(&filter->src, seen->is_six, flows_client(seen), flow->client_port) &&
		is_at(&filter->dst, seen->is_six, flows_remote(seen), flow->remote_port) &&
		is_at(&filter->snat, seen->is_six, flows_snat(seen), flow->snat_port);
}

/* The whole name, or its first label. */
static bool is_called(const struct status_peer *peer, const char *text)
{
	size_t len = strlen(text), size = strnlen(peer->info.name, sizeof(peer->info.name));

	return len && len <= size && !strncasecmp(peer->info.name, text, len) &&
		(len == size || peer->info.name[len] == '.');
}

/* Length of the longest network of @peer that holds the address; -1: none. */
static int holds(const struct status_peer *peer, __u8 family, const struct talon_addr *addr)
{
	int best = -1;

	for (size_t i = 0; i < peer->allowed_count; i++) {
		const struct cidr *net = &peer->allowed[i];

		if (net->family == family && cidr_holds(net, addr) && (int)net->prefixlen > best)
			best = net->prefixlen;
	}
	return best;
}

static const struct status_peer *holder_of(const struct status *status, __u8 family,
	const struct talon_addr *addr)
{
	const struct status_peer *found = NULL;
	int best = -1;

	for (size_t i = 0; i < status->peer_count; i++) {
		int len = holds(&status->peers[i], family, addr);

		if (len > best) {
			best = len;
			found = &status->peers[i];
		}
	}
	return found;
}

static size_t mark(const struct status_peer *peer, bool *peers, __u32 slots)
{
	if (!peer || peer->id >= slots)
		return 0;
	peers[peer->id] = true;
	return 1;
}

size_t flows_pick_peers(const struct status *status, const char *text, bool *peers, __u32 slots)
{
	__u8 key[KEY_LEN];
	bool is_key = strlen(text) == KEY_BASE64_LEN && !key_from_base64(text, key);
	const __u8 family = strchr(text, ':') ? AF_INET6 : AF_INET;
	struct talon_addr addr = {};
	size_t count = 0;

	if (!is_key && inet_pton(family, text, &addr) == 1)
		return mark(holder_of(status, family, &addr), peers, slots);
	for (size_t i = 0; i < status->peer_count; i++) {
		const struct status_peer *peer = &status->peers[i];

		if (is_key ? key_is_equal(peer->info.public_key, key) : is_called(peer, text))
			count += mark(peer, peers, slots);
	}
	return count;
}

static int compare(__u64 a, __u64 b)
{
	return (a > b) - (a < b);
}

/* IPv4 comes first. */
static int compare_addrs(const struct flows_seen *a, const struct flows_seen *b, struct talon_addr x,
	struct talon_addr y)
{
	return a->is_six != b->is_six ? (int)a->is_six - (int)b->is_six : memcmp(&x, &y, sizeof(x));
}

static int compare_by(enum flows_order order, const struct flows_row *a, const struct flows_row *b)
{
	const struct talon_flow *x = &a->seen.flow, *y = &b->seen.flow;
	int ret;

	switch (order) {
	case FLOWS_BY_IDLE:
		return compare(a->facts.idle_s, b->facts.idle_s);
	case FLOWS_BY_LEFT:
		return compare(a->facts.left_s, b->facts.left_s);
	case FLOWS_BY_CLIENT:
		ret = compare_addrs(&a->seen, &b->seen, flows_client(&a->seen), flows_client(&b->seen));
		return ret ? ret : compare(ntohs(x->client_port), ntohs(y->client_port));
	case FLOWS_BY_REMOTE:
		ret = compare_addrs(&a->seen, &b->seen, flows_remote(&a->seen), flows_remote(&b->seen));
		return ret ? ret : compare(ntohs(x->remote_port), ntohs(y->remote_port));
	case FLOWS_BY_SNAT:
		ret = compare_addrs(&a->seen, &b->seen, flows_snat(&a->seen), flows_snat(&b->seen));
		return ret ? ret : compare(ntohs(x->snat_port), ntohs(y->snat_port));
	case FLOWS_BY_PEER:
		return compare(x->peer, y->peer);
	case FLOWS_BY_TABLE:
		break;
	}
	return 0;
}

/* Flows that are equal in the order are put in that of their addresses, so that it is always the same one. */
static int order_rows(const struct flows_best *best, const struct flows_row *a, const struct flows_row *b)
{
	static const enum flows_order further[] = { FLOWS_BY_CLIENT, FLOWS_BY_REMOTE, FLOWS_BY_SNAT };
	int order = compare_by(best->order, a, b);

	if (best->is_reverse)
		order = -order;
	for (size_t i = 0; i < sizeof(further) / sizeof(further[0]) && !order; i++)
		order = compare_by(further[i], a, b);
	return order ? order : compare(a->seen.flow.proto, b->seen.flow.proto);
}

static void swap(struct flows_row *a, struct flows_row *b)
{
	struct flows_row kept = *a;

	*a = *b;
	*b = kept;
}

/* The rows are a heap with the last of the order on top, until they are sorted. */
static void sink(struct flows_best *best, size_t at, size_t count)
{
	for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
		if (child + 1 < count && order_rows(best, &best->rows[child + 1], &best->rows[child]) > 0)
			child++;
		if (order_rows(best, &best->rows[child], &best->rows[at]) <= 0)
			return;
		swap(&best->rows[child], &best->rows[at]);
		at = child;
	}
}

static void rise(struct flows_best *best, size_t at)
{
	while (at && order_rows(best, &best->rows[at], &best->rows[(at - 1) / 2]) > 0) {
		swap(&best->rows[at], &best->rows[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

void flows_best_add(struct flows_best *best, const struct flows_row *row)
{
	if (best->count < best->room) {
		best->rows[best->count] = *row;
		rise(best, best->count++);
	} else if (best->room && order_rows(best, row, &best->rows[0]) < 0) {
		best->rows[0] = *row;
		sink(best, 0, best->count);
	}
}

void flows_best_sort(struct flows_best *best)
{
	for (size_t end = best->count; end > 1; end--) {
		swap(&best->rows[0], &best->rows[end - 1]);
		sink(best, 0, end - 1);
	}
}
