// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which ports of the SNAT range the host itself uses (from sock_diag), and who else may use the range.
#include "nat/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <libmnl/libmnl.h>

/*
 * All but SYN_RECV and NEW_SYN_RECV (bit 12), whose port a listener has anyway, and TIME_WAIT, which no
 * process owns. Bit 13 is BOUND_INACTIVE (Linux 6.8).
 */
#define STATES (0xffffffffU & ~(1U << TCP_TIME_WAIT | 1U << TCP_SYN_RECV | 1U << 12))

void nat_ports_init(struct nat_ports *ports, int block_fd, uint16_t first, uint16_t last)
{
	*ports = (struct nat_ports) { .block_fd = block_fd, .first = first, .last = last };
}

static bool is_mapped(const __be32 *addr)
{
	return !addr[0] && !addr[1] && addr[2] == htonl(0xffff);
}

/*
 * Whether packets to an address of the node, of either family, reach a socket with this local address: the
 * ports of SNAT are those of both. A wildcard takes them all; loopback and link-local addresses take none.
 */
static bool is_reachable(const struct inet_diag_msg *msg)
{
	const __be32 *src = msg->id.idiag_src;

	if (msg->idiag_family == AF_INET)
		return (ntohl(src[0]) >> 24) != IN_LOOPBACKNET;
	if (msg->idiag_family != AF_INET6)
		return false;
	if (is_mapped(src))
		return (ntohl(src[3]) >> 24) != IN_LOOPBACKNET;
	if (!src[0] && !src[1] && !src[2] && src[3] == htonl(1))
		return false;
	return ntohl(src[0]) >> 22 != 0xfe80 >> 6;
}

static void add_socket(const struct inet_diag_msg *msg, int class, struct nat_port_set *set)
{
	unsigned port = ntohs(msg->id.idiag_sport);

	if (port && is_reachable(msg))
		set->word[class][port / 64] |= 1ULL << (port & 63);
}

static int error_of(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*error) || error->error >= 0 || error->error < -4095)
		return -EBADMSG;
	return error->error;
}

/* mnl_nlmsg_ok() takes lengths from 2^31 on as negative, and so as short enough. */
static bool is_whole(const struct nlmsghdr *nlh, size_t rest)
{
	return rest >= sizeof(*nlh) && nlh->nlmsg_len >= sizeof(*nlh) && nlh->nlmsg_len <= rest;
}

int nat_ports_parse(const void *buf, size_t len, uint32_t seq, int class, struct nat_port_set *set)
{
	const uint8_t *at = buf;
	size_t step;

	for (; is_whole((const struct nlmsghdr *)at, len); at += step, len -= step) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)at;

		step = MNL_ALIGN(nlh->nlmsg_len) < len ? MNL_ALIGN(nlh->nlmsg_len) : len;
		if (nlh->nlmsg_seq != seq)
			return -EBADMSG;
		switch (nlh->nlmsg_type) {
		case NLMSG_DONE:
			return 0;
		case NLMSG_ERROR:
			return error_of(nlh);
		case SOCK_DIAG_BY_FAMILY:
			if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct inet_diag_msg))
				return -EBADMSG;
			add_socket(mnl_nlmsg_get_payload(nlh), class, set);
			break;
		}
	}
	return 1;
}

/* Has the kernel filter by local port, as a busy server has many other sockets. */
static void put_port_filter(struct nlmsghdr *nlh, uint16_t first, uint16_t last)
{
	const uint8_t op = sizeof(struct inet_diag_bc_op), len = 4 * op;
	struct inet_diag_bc_op filter[] = {
		/* a jump to 4 bytes past the end rejects */
		{ INET_DIAG_BC_S_GE, 2 * op, len + 4 }, { .no = first },
		{ INET_DIAG_BC_S_LE, 2 * op, len - 2 * op + 4 }, { .no = last },
	};

	mnl_attr_put(nlh, INET_DIAG_REQ_BYTECODE, sizeof(filter), filter);
}

static int scan_family(struct mnl_socket *nl, int family, int class, uint16_t first, uint16_t last,
	struct nat_port_set *set)
{
	static uint8_t buf[16384];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint32_t seq = 1 + (family == AF_INET6) * 2 + class;
	struct inet_diag_req_v2 *req;
	ssize_t len;
	int ret;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = class ? IPPROTO_UDP : IPPROTO_TCP;
	req->idiag_states = STATES;
	put_port_filter(nlh, first, last);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		ret = nat_ports_parse(buf, len, seq, class, set);
	} while (ret > 0);
	return ret;
}

/* The kernel has filtered already; if it ignored the filter, ports outside must not be blocked. */
static void cut_to_range(struct nat_port_set *set, uint16_t first, uint16_t last)
{
	for (unsigned i = 0; i < NAT_PORTS_WORDS; i++) {
		unsigned low = i * 64, high = low + 63;
		uint64_t mask = ~0ULL;

		if (high < first || low > last)
			mask = 0;
		if (mask && first > low)
			mask &= ~0ULL << (first - low);
		if (mask && last < high)
			mask &= ~0ULL >> (high - last);
		set->word[0][i] &= mask;
		set->word[1][i] &= mask;
	}
}

int nat_ports_scan(uint16_t first, uint16_t last, struct nat_port_set *ret_set)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct nat_port_set set = { 0 };
	struct mnl_socket *nl;
	int ret = 0;

	nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		ret = -errno;
	for (int i = 0; i < 4 && !ret; i++) {
		ret = scan_family(nl, families[i / 2], i % 2, first, last, &set);
		if (ret == -ENOENT && families[i / 2] == AF_INET6)	/* a kernel without IPv6 */
			ret = 0;
	}
	mnl_socket_close(nl);
	if (ret)
		return ret;
	cut_to_range(&set, first, last);
	*ret_set = set;
	return 0;
}

int nat_ports_refresh(struct nat_ports *ports)
{
	struct nat_port_set set;
	int ret, written = 0;

	ret = nat_ports_scan(ports->first, ports->last, &set);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < 2 * NAT_PORTS_WORDS; i++) {
		uint64_t *old = &ports->blocked.word[i / NAT_PORTS_WORDS][i % NAT_PORTS_WORDS];
		uint64_t new = set.word[i / NAT_PORTS_WORDS][i % NAT_PORTS_WORDS];

		if (ports->is_written && *old == new)
			continue;
		if (bpf_map_update_elem(ports->block_fd, &i, &new, BPF_ANY)) {
			ret = -errno;
			ports->is_written = false;	/* unknown state: write all words next time */
			return ret;
		}
		*old = new;
		written++;
	}
	ports->is_written = true;
	return written;
}

struct range_owner {
	unsigned first;
	unsigned last;
	const char *who;
};

int nat_ports_hazards(unsigned first, unsigned last, unsigned local_first, unsigned local_last, char *why,
	size_t size)
{
	const struct range_owner owners[] = {
		{ local_first, local_last, "the host's ephemeral ports (ip_local_port_range)" },
		{ 1, 1023, "well-known ports" },
		{ 20000, 29999, "the default range of Calico's eBPF NAT" },
		{ 30000, 32767, "Kubernetes NodePorts" },
		{ 32768, 65535, "the default range of Cilium's eBPF masquerading" },
	};
	size_t at = 0;
	int count = 0;

	if (size)
		why[0] = '\0';
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		if (!owners[i].last || first > owners[i].last || last < owners[i].first)
			continue;
		if (at < size)
			at += snprintf(why + at, size - at, "%sSNAT ports %u-%u touch %u-%u, %s",
				count ? "; " : "", first, last, owners[i].first, owners[i].last,
				owners[i].who);
		count++;
	}
	return count;
}

int nat_ports_check_range(unsigned first, unsigned last, char *why, size_t size)
{
	unsigned local_first, local_last;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (!f || fscanf(f, "%u %u", &local_first, &local_last) != 2)
		local_first = local_last = 0;
	if (f)
		fclose(f);
	return nat_ports_hazards(first, last, local_first, local_last, why, size);
}

unsigned nat_ports_count(const struct nat_ports *ports, unsigned class)
{
	unsigned n = 0;

	for (size_t i = 0; i < NAT_PORTS_WORDS; i++)
		n += __builtin_popcountll(ports->blocked.word[class][i]);
	return n;
}
