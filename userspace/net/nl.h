/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside net/: one rtnetlink exchange, and the parsers of what comes back. */
#ifndef TALON_NET_NL_H
#define TALON_NET_NL_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "net/net.h"

#define NL_BUF 8192			/* of a request; and of one datagram of an answer as libmnl advises */

/*
 * Sends @nlh (NLM_F_ACK is added) and waits for the acknowledgement. Returns 0 or the kernel's negative
 * errno; @reason, if not NULL, gets the kernel's own words (extended acknowledgement) or strerror.
 */
int nl_talk(struct nlmsghdr *nlh, char *reason, size_t len);

/*
 * Sends @nlh as a dump (or as a single get when @one) and calls @cb for every answer. Returns 0 or a
 * negative errno.
 */
int nl_dump(struct nlmsghdr *nlh, bool one, mnl_cb_t cb, void *user);
/* The same of another family than rtnetlink: NETLINK_NETFILTER. */
int nl_dump_on(int bus, struct nlmsghdr *nlh, bool one, mnl_cb_t cb, void *user);

/* Takes the mark of an inconsistent dump from each message of a datagram. */
void nl_take_marks(void *buf, int len);

/*
 * Many requests, a few dozen in each send, that have exactly one answer each: a message for a question
 * (@flags 0), an acknowledgement for a change (@flags NLM_F_ACK). @fill writes number @i behind the header
 * that is there already (type and flags too) into at most NL_BATCH_MESSAGE bytes, or returns a negative
 * errno, which leaves it out. @take gets each answer, in any order; for an acknowledgement, an error and a
 * request left out @answer is NULL and @ret 0 or the negative errno. Returns 0, or a negative errno where
 * the socket failed: then @take is not called for the rest.
 */
#define NL_BATCH_MESSAGE 256
typedef int (*nl_fill_fn)(struct nlmsghdr *nlh, size_t i, void *user);
typedef void (*nl_take_fn)(size_t i, const struct nlmsghdr *answer, int ret, void *user);
int nl_batch(size_t count, uint16_t flags, nl_fill_fn fill, nl_take_fn take, void *user);

/*
 * Text of the extended acknowledgement in the error message @nlh into @text. Returns false if
 * it carries none.
 */
bool nl_parse_ack_text(const struct nlmsghdr *nlh, char *text, size_t len);

/*
 * Each: 0, or -EBADMSG if the message is not of its type or is malformed. The output is written
 * only on success.
 */
int nl_parse_link(const struct nlmsghdr *nlh, struct net_link *ret_link);
int nl_parse_addr(const struct nlmsghdr *nlh, struct net_addr *ret_addr);
int nl_parse_route(const struct nlmsghdr *nlh, struct net_route *ret_route);
int nl_parse_rule(const struct nlmsghdr *nlh, struct net_rule *ret_rule);
int nl_parse_neigh(const struct nlmsghdr *nlh, struct net_neigh *ret_neigh);
/* is_egress is the caller's to know. -EBADMSG too for a filter that is no program, or has none. */
int nl_parse_filter(const struct nlmsghdr *nlh, struct net_filter *ret_filter);
/* Messages of nfnetlink: what the answers to a list of tables, chains, rules or sets say. */
int nl_parse_nf(const struct nlmsghdr *nlh, struct net_nf *ret_nf);
int nl_parse_generation(const struct nlmsghdr *nlh, uint32_t *ret_generation);
/*
 * A rule of a chain in which kube-proxy tells services apart. -EBADMSG too for one without one destination.
 */
int nl_parse_service_rule(const struct nlmsghdr *nlh, struct net_service *ret_service);
/* Elements of a map of kube-proxy's whose key begins with a service's address; others are skipped. */
int nl_parse_service_elements(const struct nlmsghdr *nlh, net_service_cb cb, void *user);

/*
 * Devices of the next hops that are not dead, of an RTM_NEWROUTE message, at most @max. Returns their number;
 * malformed ends of a message are left out.
 */
unsigned nl_parse_route_devices(const struct nlmsghdr *nlh, int *list, unsigned max);

/* Calls @cb for each event in a datagram of a monitor socket. Malformed or unknown messages are skipped. */
void nl_parse_events(const void *buf, size_t len, net_event_cb cb, void *user);

/* Bytes of an address of @family, 0 if it is neither IPv4 nor IPv6. */
static inline size_t nl_addr_len(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

#endif
