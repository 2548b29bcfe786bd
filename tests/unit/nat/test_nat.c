// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The host's own ports and the hazards of a SNAT range; how garbage collection is spread.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nat/nat.h"

#define SEQ 42

static uint32_t reply[1024];
static size_t reply_len;
static struct nat_port_set set;

static int setup(void **state)
{
	memset(reply, 0, sizeof(reply));
	memset(&set, 0, sizeof(set));
	reply_len = 0;
	return 0;
}

static void add_message(uint16_t type, const void *payload, size_t len)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)((uint8_t *)reply + reply_len);

	*nlh = (struct nlmsghdr) {
		.nlmsg_len = NLMSG_LENGTH(len), .nlmsg_type = type, .nlmsg_seq = SEQ,
			.nlmsg_flags = NLM_F_MULTI,
	};
	memcpy(NLMSG_DATA(nlh), payload, len);
	reply_len += NLMSG_ALIGN(nlh->nlmsg_len);
}

static void add_socket(int family, const char *addr, uint16_t port)
{
	struct inet_diag_msg msg = { .idiag_family = family, .id.idiag_sport = htons(port) };

	assert_int_equal(inet_pton(family, addr, msg.id.idiag_src), 1);
	add_message(SOCK_DIAG_BY_FAMILY, &msg, sizeof(msg));
}

static bool has(int class, unsigned port)
{
	return set.word[class][port / 64] >> (port & 63) & 1;
}

static unsigned count(const struct nat_port_set *s)
{
	unsigned n = 0;

	for (int i = 0; i < NAT_PORTS_WORDS; i++)
		n += __builtin_popcountll(s->word[0][i]) + __builtin_popcountll(s->word[1][i]);
	return n;
}

static void sockets_that_the_network_reaches_have_their_ports_blocked(void **state)
{
	const int done = 0;

	add_socket(AF_INET, "0.0.0.0", 12288);
	add_socket(AF_INET, "192.168.1.221", 12351);
	add_socket(AF_INET6, "::", 12352);
	add_socket(AF_INET6, "::ffff:192.168.1.221", 19999);
	add_socket(AF_INET6, "2001:db8::1", 12353);	/* IPv6 alone will do: the ports are those of both */
	add_message(NLMSG_DONE, &done, sizeof(done));
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 1, &set), 0);
	assert_true(has(1, 12288) && has(1, 12351) && has(1, 12352) && has(1, 19999) &&
		has(1, 12353));
	assert_int_equal(count(&set), 5);
}

static void sockets_that_the_network_does_not_reach_block_nothing(void **state)
{
	add_socket(AF_INET, "127.0.0.1", 12288);
	add_socket(AF_INET6, "::1", 12289);
	add_socket(AF_INET6, "fe80::1", 12290);
	add_socket(AF_INET6, "::ffff:127.0.0.1", 12292);
	add_socket(AF_INET, "0.0.0.0", 0);
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), 1);
	assert_int_equal(count(&set), 0);
}

static void an_answer_without_an_end_goes_on(void **state)
{
	add_socket(AF_INET, "0.0.0.0", 443);
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), 1);
	assert_true(has(0, 443));
	assert_false(has(1, 443));
	assert_int_equal(nat_ports_parse(reply, 0, SEQ, 0, &set), 1);
}

static void the_kernels_error_is_returned(void **state)
{
	struct nlmsgerr error = { .error = -ENOENT };

	add_message(NLMSG_ERROR, &error, sizeof(error));
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), -ENOENT);
}

static void malformed_answers_are_refused(void **state)
{
	struct nlmsgerr error = { .error = 5 };
	uint8_t half[sizeof(struct inet_diag_msg) / 2] = { 0 };

	add_message(NLMSG_ERROR, &error, sizeof(error));
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), -EBADMSG);
	setup(state);
	add_message(SOCK_DIAG_BY_FAMILY, half, sizeof(half));
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), -EBADMSG);
	setup(state);
	add_message(NLMSG_ERROR, half, 2);
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), -EBADMSG);
	setup(state);
	add_socket(AF_INET, "0.0.0.0", 443);
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ + 1, 0, &set), -EBADMSG);
	assert_int_equal(nat_ports_parse(reply, reply_len - 1, SEQ, 0, &set), 1);
	assert_int_equal(count(&set), 0);
	setup(state);
	add_socket(AF_INET, "0.0.0.0", 443);
	((struct nlmsghdr *)reply)->nlmsg_len = 0xff000000;
	assert_int_equal(nat_ports_parse(reply, reply_len, SEQ, 0, &set), 1);
	assert_int_equal(count(&set), 0);
}

/* A socket on a port the kernel chose. Returns its fd. */
static int open_socket(int family, int type, bool listens, uint16_t *ret_port)
{
	struct sockaddr_in6 addr = { .sin6_family = family };
	socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(addr);
	int fd = socket(family, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	if (listens)
		assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin6_port);	/* where sin_port is, too */
	return fd;
}

static void the_kernel_tells_about_our_own_sockets(void **state)
{
	uint16_t tcp4, tcp6, udp4, udp6;
	int fds[4];

	if (nat_ports_scan(1, 1, &set) == -ENOENT)
		skip();		/* a kernel without inet_diag */
	fds[0] = open_socket(AF_INET, SOCK_STREAM, true, &tcp4);
	fds[1] = open_socket(AF_INET6, SOCK_STREAM, true, &tcp6);
	fds[2] = open_socket(AF_INET, SOCK_DGRAM, false, &udp4);
	fds[3] = open_socket(AF_INET6, SOCK_DGRAM, false, &udp6);
	assert_int_equal(nat_ports_scan(1, 65535, &set), 0);
	assert_true(has(0, tcp4) && has(0, tcp6) && has(1, udp4) && has(1, udp6));

	assert_int_equal(nat_ports_scan(tcp4, tcp4, &set), 0);
	assert_true(has(0, tcp4));
	assert_in_range(count(&set), 1, 2);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	assert_int_equal(nat_ports_scan(tcp4, tcp4, &set), 0);
	assert_false(has(0, tcp4));
}

static void a_range_says_whose_ports_it_touches(void **state)
{
	const struct {
		unsigned first, last, local_first, local_last;
		int hazards;
		const char *word;
	} rows[] = {
		{ 12288, 19999, 32768, 60999, 0, "" },
		{ 12288, 20000, 32768, 60999, 1, "20000-29999, the default range of Calico's eBPF NAT" },
		{ 29999, 29999, 32768, 60999, 1, "Calico" },
		{ 30000, 32767, 32768, 60999, 1, "NodePort" },
		{ 1023, 19999, 32768, 60999, 1, "well-known" },
		{ 40000, 40100, 32768, 60999, 2, "Cilium" },
		{ 12288, 19999, 10000, 60999, 1,
			"SNAT ports 12288-19999 touch 10000-60999, the host's ephemeral ports "
			"(ip_local_port_range)" },
		{ 1, 65535, 32768, 60999, 5, "; " },
		{ 61000, 61001, 0, 0, 1, "Cilium" },
	};
	char why[600];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(rows[i].hazards, nat_ports_hazards(rows[i].first, rows[i].last,
			rows[i].local_first, rows[i].local_last, why, sizeof(why)));
		assert_non_null(strstr(why, rows[i].word));
		if (!rows[i].hazards)
			assert_string_equal(why, "");
	}
}

static void a_short_buffer_cuts_the_text_and_nothing_else(void **state)
{
	char why[32];

	memset(why, 'x', sizeof(why));
	assert_int_equal(nat_ports_hazards(1, 65535, 32768, 60999, why, 16), 5);
	assert_int_equal(strlen(why), 15);
	for (size_t i = 16; i < sizeof(why); i++)
		assert_int_equal(why[i], 'x');
	assert_int_equal(nat_ports_hazards(1, 65535, 32768, 60999, why, 0), 5);
}

static void this_hosts_own_range_is_read(void **state)
{
	unsigned first, last;
	char why[600];
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u %u", &first, &last), 2);
	fclose(f);
	assert_true(nat_ports_check_range(last, last, why, sizeof(why)) >= 1);
	assert_non_null(strstr(why, "ip_local_port_range"));
}

static void a_pass_takes_thirty_seconds_whatever_the_size(void **state)
{
	for (uint32_t used = 0; used <= TALON_FLOWS_MAX; used = used * 3 + 1) {
		uint64_t sum = 0;

		for (int s = 0; s < NAT_GC_PASS_S; s++)
			sum += nat_gc_share(used, 1, NAT_GC_PASS_S);
		assert_true(sum >= used);
		assert_true(sum < used + NAT_GC_PASS_S);
		assert_int_equal(nat_gc_share(used, NAT_GC_PASS_S, NAT_GC_PASS_S), used);
		assert_int_equal(nat_gc_share(used, 100000, NAT_GC_PASS_S), used);
	}
	assert_int_equal(nat_gc_share(TALON_FLOWS_MAX, 3, 30), (TALON_FLOWS_MAX * 3ULL + 29) / 30);
	assert_int_equal(nat_gc_share(TALON_FLOWS_MAX, 1, NAT_GC_HURRY_S), (TALON_FLOWS_MAX + 2) / 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(sockets_that_the_network_reaches_have_their_ports_blocked),
		T(sockets_that_the_network_does_not_reach_block_nothing),
		T(an_answer_without_an_end_goes_on),
		T(the_kernels_error_is_returned),
		T(malformed_answers_are_refused),
		T(the_kernel_tells_about_our_own_sockets),
		T(a_range_says_whose_ports_it_touches),
		T(a_short_buffer_cuts_the_text_and_nothing_else),
		T(this_hosts_own_range_is_read),
		T(a_pass_takes_thirty_seconds_whatever_the_size),
	};

	return cmocka_run_group_tests_name("nat", tests, NULL, NULL);
}
