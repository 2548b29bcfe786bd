// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One TCP segment by hand, which the other side answers: that answer the kernel resets.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover/internal.h"
#include "talon/csum.h"

#define CHECKSUM_AT 16	/* in the TCP header */

static bool is_six(const struct talon_addr *addr)
{
	return addr->word[1] | addr->word[2] | addr->word[3];
}

static socklen_t make_address(bool six, const struct talon_addr *from, struct sockaddr_storage *to)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = from->word[0] };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memcpy(&in6.sin6_addr, from, sizeof(in6.sin6_addr));
	memset(to, 0, sizeof(*to));
	if (six)
		memcpy(to, &in6, sizeof(in6));
	else
		memcpy(to, &in, sizeof(in));
	return six ? sizeof(in6) : sizeof(in);
}

static uint32_t add(const void *bytes, size_t len, uint32_t sum)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += b[i] << 8 | b[i + 1];
	return sum;
}

/* For IPv6 the kernel does it. */
static uint16_t checksum4(const struct talon_quiet *c, const struct tcphdr *tcp)
{
	uint32_t sum = add(&c->local, 4, IPPROTO_TCP + sizeof(*tcp));

	return htons(csum_finish(add(tcp, sizeof(*tcp), add(&c->remote, 4, sum))));
}

/* An acknowledgement of nothing that was ever sent: whatever its numbers, RFC 9293 has it answered. */
int provoke(const struct talon_quiet *connection)
{
	struct tcphdr tcp = { .source = connection->local_port, .dest = connection->remote_port,
		.doff = sizeof(tcp) / 4, .ack = 1 };
	const int six = is_six(&connection->remote), at = CHECKSUM_AT;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP), ret = 0;
	struct sockaddr_storage addr;
	socklen_t len;

	if (fd < 0)
		return -errno;
	if (!six)
		tcp.check = checksum4(connection, &tcp);
	len = make_address(six, &connection->local, &addr);
	if ((six && setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof(at))) ||
		bind(fd, (struct sockaddr *)&addr, len))
		ret = -errno;
	len = make_address(six, &connection->remote, &addr);
	if (!ret && sendto(fd, &tcp, sizeof(tcp), MSG_DONTWAIT, (struct sockaddr *)&addr, len) < 0)
		ret = -errno;
	close(fd);
	return ret;
}
