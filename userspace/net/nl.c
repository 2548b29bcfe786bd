// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One rtnetlink exchange: a socket of its own, a request, the answers.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/nl.h"

static struct mnl_socket *open_socket(int bus)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int on = 1;

	if (!nl)
		return NULL;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	mnl_socket_setsockopt(nl, NETLINK_EXT_ACK, &on, sizeof(on));	/* only makes texts better */
	mnl_socket_setsockopt(nl, NETLINK_CAP_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));	/* lets dumps be filtered */
	return nl;
}

static int error_of(const struct nlmsghdr *nlh, char *reason, size_t len)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*err)))
		return -EBADMSG;
	if (err->error && reason && !nl_parse_ack_text(nlh, reason, len))
		snprintf(reason, len, "%s", strerror(-err->error));
	return err->error;
}

int nl_talk(struct nlmsghdr *nlh, char *reason, size_t len)
{
	char buf[NL_BUF] __attribute__((aligned(8)));
	struct mnl_socket *nl = open_socket(NETLINK_ROUTE);
	const struct nlmsghdr *answer;
	int ret, left;

	if (!nl) {
		ret = -errno;
		goto out;
	}
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0) {
		ret = -errno;
		goto out;
	}
	for (;;) {
		left = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (left < 0) {
			if (errno == EINTR)
				continue;
			ret = -errno;
			goto out;
		}
		for (answer = (void *)buf; mnl_nlmsg_ok(answer, left);
			answer = mnl_nlmsg_next(answer, &left)) {
			if (answer->nlmsg_type != NLMSG_ERROR || answer->nlmsg_seq != nlh->nlmsg_seq)
				continue;
			ret = error_of(answer, reason, len);
			mnl_socket_close(nl);
			return ret;
		}
	}
out:
	if (reason)
		snprintf(reason, len, "netlink: %s", strerror(-ret));
	if (nl)
		mnl_socket_close(nl);
	return ret;
}

/*
 * The mark says that something changed during the dump. The dump still serves, since the change comes as an
 * event too; but libmnl stops at the mark, and the messages after it would be lost.
 */
void nl_take_marks(void *buf, int len)
{
	for (struct nlmsghdr *nlh = buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
		nlh->nlmsg_flags &= ~NLM_F_DUMP_INTR;
}

int nl_dump_on(int bus, struct nlmsghdr *nlh, bool one, mnl_cb_t cb, void *user)
{
	size_t size = 64 * 1024;
	struct mnl_socket *nl = open_socket(bus);
	char *buf = malloc(size);
	ssize_t got;
	int ret = 0;

	if (!nl || !buf) {
		ret = nl ? -ENOMEM : -errno;
		goto out;
	}
	nlh->nlmsg_flags |= NLM_F_REQUEST | (one ? NLM_F_ACK : NLM_F_DUMP);
	nlh->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0) {
		ret = -errno;
		goto out;
	}
	do {
		got = mnl_socket_recvfrom(nl, buf, size);
		if (got < 0 && errno == EINTR) {
			ret = MNL_CB_OK;
			continue;
		}
		if (got < 0) {
			ret = -errno;
			goto out;
		}
		nl_take_marks(buf, got);
		ret = mnl_cb_run(buf, got, nlh->nlmsg_seq, mnl_socket_get_portid(nl), cb, user);
	} while (ret > MNL_CB_STOP);
	if (ret < 0)
		ret = -errno;
out:
	free(buf);
	if (nl)
		mnl_socket_close(nl);
	return ret;
}

int nl_dump(struct nlmsghdr *nlh, bool one, mnl_cb_t cb, void *user)
{
	return nl_dump_on(NETLINK_ROUTE, nlh, one, cb, user);
}

#define BATCH_MESSAGES 64	/* their answers fit a socket's default buffer */

/*
 * Takes the answers to requests @first to before @end, @left of them. A sequence number is a place in the
 * caller's list, plus 1.
 */
static int take_answers(struct mnl_socket *nl, char *buf, size_t size, size_t first, size_t end,
	unsigned left, nl_take_fn take, void *user)
{
	while (left) {
		const struct nlmsghdr *answer = (void *)buf;
		int got = mnl_socket_recvfrom(nl, buf, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		for (; mnl_nlmsg_ok(answer, got); answer = mnl_nlmsg_next(answer, &got)) {
			size_t i = answer->nlmsg_seq - 1;
			bool is_error = answer->nlmsg_type == NLMSG_ERROR;

			if (i < first || i >= end || !left)
				continue;
			left--;
			take(i, is_error ? NULL : answer, is_error ? error_of(answer, NULL, 0) : 0, user);
		}
	}
	return 0;
}

int nl_batch(size_t count, uint16_t flags, nl_fill_fn fill, nl_take_fn take, void *user)
{
	char buf[BATCH_MESSAGES * NL_BATCH_MESSAGE] __attribute__((aligned(8)));
	struct mnl_socket *nl = open_socket(NETLINK_ROUTE);
	int ret = nl ? 0 : -errno;

	for (size_t i = 0; i < count && !ret;) {
		size_t first = i, at = 0;
		unsigned sent = 0;

		for (; i < count && sent < BATCH_MESSAGES; i++) {
			struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf + at);
			int filled = fill(nlh, i, user);

			if (filled) {
				take(i, NULL, filled, user);
				continue;
			}
			nlh->nlmsg_flags |= NLM_F_REQUEST | flags;
			nlh->nlmsg_seq = i + 1;
			at += MNL_ALIGN(nlh->nlmsg_len);
			sent++;
		}
		if (sent && mnl_socket_sendto(nl, buf, at) < 0)
			ret = -errno;
		else
			ret = take_answers(nl, buf, sizeof(buf), first, i, sent, take, user);
	}
	if (nl)
		mnl_socket_close(nl);
	return ret;
}
