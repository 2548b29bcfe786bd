// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// STUN Binding on UDP (RFC 8489): a client's address as we see it, and nothing else.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hubrelay/hubrelay.h"
#include "ice/stun.h"

#define BATCH		32
#define TURN_BATCHES	8	/* others want their turn */
#define REQUEST_MAX	1280
#define ANSWER_MAX	128
#define CONTROL_MAX	64
/* Each source may ask @BURST times at once, and @RATE times a second for long. */
#define RATE		50
#define BURST		200
#define BUCKETS		8192	/* sources of one bucket share its rate; which ones do,
	nobody outside can know */
#define BUCKET_KEY_LEN	crypto_shorthash_KEYBYTES

/* Asking costs a part of a second each time; that much lies ahead of the clock at most. */
struct bucket {
	uint64_t paid_until_ns;
};

struct slot {
	struct sockaddr_storage from;
	uint8_t bytes[REQUEST_MAX];
	uint8_t answer[ANSWER_MAX];
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];
	struct iovec iov;
};

struct hubstun {
	struct loop *loop;
	struct loop_fd fd;
	uint16_t port;
	struct hubstun_counts counts;
	struct bucket buckets[BUCKETS];
	uint8_t key[BUCKET_KEY_LEN];
	struct slot slots[BATCH];
	struct mmsghdr in[BATCH], out[BATCH];
};

/* IPv6 sources choose the lower half of their address as they like. */
static bool may_ask(struct hubstun *stun, const struct endpoint *from)
{
	const uint64_t step = LOOP_SECOND / RATE, now = loop_now(stun->loop);
	size_t len = from->family == AF_INET6 ? 8 : 4;
	struct bucket *bucket;
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, (const uint8_t *)&from->remote, len, stun->key);
	bucket = &stun->buckets[hash % BUCKETS];
	if (bucket->paid_until_ns < now)
		bucket->paid_until_ns = now;
	if (bucket->paid_until_ns + step > now + BURST * step)
		return false;
	bucket->paid_until_ns += step;
	return true;
}

/* Returns the answer's length, or 0: none. */
static int answer_to(struct hubstun *stun, const struct endpoint *from, const uint8_t *bytes, size_t len,
	uint8_t ret_answer[static ANSWER_MAX])
{
	struct stun_response response = {};
	struct stun_message m;
	int ret;

	if (stun_parse(bytes, len, &m) || m.class != STUN_REQUEST || m.method != STUN_BINDING ||
		(m.fingerprint_at && !stun_has_fingerprint(&m))) {
		stun->counts.malformed++;
		return 0;
	}
	if (!may_ask(stun, from)) {
		stun->counts.limited++;
		return 0;
	}
	response.tx = m.tx;
	if (m.unknown_count) {	/* section 6.3.1 */
		response.error = STUN_UNKNOWN_ATTRIBUTE;
		response.unknown = m.unknown;
		response.unknown_count = m.unknown_count;
	} else {
		response.mapped = from;
	}
	ret = stun_build_response(&response, ret_answer, ANSWER_MAX);
	stun->counts.answered += ret > 0;
	return ret > 0 ? ret : 0;
}

/*
 * What the request came with says which address it was sent to: handed back, it makes that the answer's
 * source. The device is the route's affair, but for link-local addresses.
 */
static size_t turn_around(struct msghdr *from)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(from);

	if (!c)
		return 0;
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		info.ipi_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			info.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	return 0;
}

static void prepare(struct hubstun *stun)
{
	for (unsigned i = 0; i < BATCH; i++) {
		struct slot *slot = &stun->slots[i];

		slot->iov = (struct iovec){ slot->bytes, sizeof(slot->bytes) };
		stun->in[i].msg_hdr = (struct msghdr){
			.msg_name = &slot->from, .msg_namelen = sizeof(slot->from),
			.msg_iov = &slot->iov, .msg_iovlen = 1,
			.msg_control = slot->control, .msg_controllen = sizeof(slot->control),
		};
	}
}

/* Turns what was received into answers; returns how many. */
static unsigned answer_all(struct hubstun *stun, unsigned count)
{
	unsigned answers = 0;

	for (unsigned i = 0; i < count; i++) {
		struct slot *slot = &stun->slots[i];
		struct msghdr *in = &stun->in[i].msg_hdr;
		struct endpoint from;
		int len;

		if (in->msg_flags & MSG_TRUNC ||
			endpoint_from_sockaddr((struct sockaddr *)&slot->from, in->msg_namelen, &from) ||
				!from.port) {
			stun->counts.malformed++;
			continue;
		}
		len = answer_to(stun, &from, slot->bytes, stun->in[i].msg_len, slot->answer);
		if (!len)
			continue;
		slot->iov = (struct iovec){ slot->answer, len };
		stun->out[answers].msg_hdr = *in;
		stun->out[answers].msg_hdr.msg_controllen = turn_around(in);
		answers++;
	}
	return answers;
}

/* One that cannot be sent is skipped: its client asks again. */
static void send_all(struct hubstun *stun, unsigned count)
{
	for (unsigned done = 0; done < count;) {
		int n = sendmmsg(stun->fd.fd, stun->out + done, count - done, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		done += n > 0 ? n : 1;
	}
}

static void on_readable(void *ctx, uint32_t events)
{
	struct hubstun *stun = ctx;

	for (unsigned i = 0; i < TURN_BATCHES; i++) {
		int count;

		prepare(stun);
		count = recvmmsg(stun->fd.fd, stun->in, BATCH, MSG_DONTWAIT, NULL);
		if (count <= 0)
			return;
		send_all(stun, answer_all(stun, count));
		if (count < BATCH)
			return;
	}
}

static int open_socket(const struct endpoint *listen)
{
	struct sockaddr_storage addr;
	int len = endpoint_to_sockaddr(listen, &addr), one = 1, zero = 0, fd, ret;
	bool is6 = listen->family == AF_INET6;

	if (len < 0)
		return len;
	fd = socket(listen->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if ((is6 && (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)))) ||
		(!is6 && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one))) ||
		bind(fd, (struct sockaddr *)&addr, len)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int open_any(const struct endpoint *listen)
{
	struct endpoint any = { .family = AF_INET, .port = listen->port };
	int fd = open_socket(listen);

	if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && listen->family == AF_INET6 &&
		IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)&listen->remote))
		return open_socket(&any);
	return fd;
}

int hubstun_new(struct loop *loop, const struct endpoint *listen, struct hubstun **ret_stun)
{
	struct sockaddr_storage addr = {};
	socklen_t len = sizeof(addr);
	struct endpoint bound = {};
	struct hubstun *stun;
	int ret, fd = open_any(listen);

	if (fd < 0)
		return fd;
	stun = calloc(1, sizeof(*stun));
	if (!stun) {
		close(fd);
		return -ENOMEM;
	}
	stun->loop = loop;
	crypto_shorthash_keygen(stun->key);
	ret = getsockname(fd, (struct sockaddr *)&addr, &len) ? -errno :
		endpoint_from_sockaddr((struct sockaddr *)&addr, len, &bound);
	if (!ret)
		ret = loop_fd_add(loop, &stun->fd, fd, EPOLLIN, on_readable, stun);
	if (ret) {
		close(fd);
		free(stun);
		return ret;
	}
	stun->port = ntohs(bound.port);
	*ret_stun = stun;
	return 0;
}

void hubstun_free(struct hubstun *stun)
{
	if (!stun)
		return;
	loop_fd_remove(stun->loop, &stun->fd);
	close(stun->fd.fd);
	sodium_memzero(stun->key, sizeof(stun->key));
	free(stun);
}

uint16_t hubstun_port(const struct hubstun *stun)
{
	return stun->port;
}

void hubstun_counts(const struct hubstun *stun, struct hubstun_counts *ret_counts)
{
	*ret_counts = stun->counts;
}
