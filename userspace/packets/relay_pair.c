// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay device pair's far end.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/close_aside.h"
#include "log/log.h"
#include "talon/config_types.h"
#include "talon/csum.h"
#include "talon/peer_types.h"
#include "talon/wg_wire.h"
#include "packets/relay_pair.h"

#define HEADERS		(ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr))
#define RING_LEN	(1U << 20)	/* 50 ms at 12,000 packets/s; all of it is charged to this process */
#define BLOCK_LEN	(64U << 10)
#define FRAMES_PER_TURN	512
#define BATCH		64

struct pair_frames {
	size_t size;			/* of one */
	unsigned count;
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	uint8_t bytes[];
};

void pair_init(struct relay_pair *pair, struct loop *loop)
{
	*pair = (struct relay_pair){ .rx = -1, .tx = -1, .loop = loop };
}

bool pair_is_endpoint(const struct endpoint *endpoint)
{
	return endpoint->family == AF_INET && endpoint->port == htons(TALON_RELAY_PORT) &&
		ntohl(endpoint->remote.word[0]) >> 28 == 0xf;
}

void pair_endpoint(uint32_t peer, struct endpoint *ret_endpoint)
{
	*ret_endpoint = (struct endpoint){
		.family = AF_INET,
		.port = htons(TALON_RELAY_PORT),
		.remote.word[0] = htonl(TALON_RELAY_PEER_ADDR(peer)),
		.local.word[0] = htonl(TALON_RELAY_OWN_ADDR),
	};
}

static const struct datapath_tunnel_info *link_of(const struct relay_pair *pair)
{
	return pair->dp ? datapath_get_relay(pair->dp) : &pair->found;
}

void pair_take(struct relay_pair *pair, const struct datapath *dp)
{
	const struct datapath_tunnel_info *now = datapath_get_relay(dp), *found = &pair->found;

	if (pair->ring && (found->far_ifindex != now->far_ifindex || found->mtu != now->mtu ||
		memcmp(found->mac, now->mac, sizeof(now->mac))))
		pair_close(pair);
	pair->dp = dp;
}

/* From our programs to the relay. */

/* Only our programs should send here, but anybody could: check everything. */
static void take_frame(const struct relay_pair *pair, const uint8_t *frame, size_t len)
{
	struct udphdr udp;
	struct iphdr ip;
	size_t payload;
	uint32_t dst;

	if (len < HEADERS || frame[12] != ETH_P_IP >> 8 || frame[13] != (ETH_P_IP & 0xff))
		return;
	memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
	memcpy(&udp, frame + ETH_HLEN + sizeof(ip), sizeof(udp));
	dst = ntohl(ip.daddr);
	payload = ntohs(udp.len);
	if (ip.version != 4 || ip.ihl != 5 || ip.protocol != IPPROTO_UDP || dst >> 28 != 0xf ||
		TALON_RELAY_PEER_ID(dst) >= pair->peers_max || ip.saddr != htonl(TALON_RELAY_OWN_ADDR) ||
		payload < sizeof(udp) + WG_DATA_MIN_LEN || payload - sizeof(udp) > len - HEADERS)
		return;
	pair->events.sent(pair->ctx, TALON_RELAY_PEER_ID(dst), frame + HEADERS, payload - sizeof(udp));
}

static struct tpacket2_hdr *frame_at(const struct relay_pair *pair, unsigned i)
{
	return (struct tpacket2_hdr *)(pair->ring + (size_t)(i / pair->frames_per_block) * pair->block_size +
				       (size_t)(i % pair->frames_per_block) * pair->frame_size);
}

static void read_ring(void *ctx, uint32_t events)
{
	struct relay_pair *pair = ctx;
	unsigned taken = 0;

	for (; taken < FRAMES_PER_TURN && pair->ring; taken++) {
		struct tpacket2_hdr *h = frame_at(pair, pair->next);

		if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;
		if (pair->events.sent && h->tp_snaplen == h->tp_len)
			take_frame(pair, (uint8_t *)h + h->tp_mac, h->tp_snaplen);
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		pair->next = (pair->next + 1) % pair->frame_count;
	}
	/* the device went down; without reading the error the loop would wake in every turn */
	if (events & EPOLLERR) {
		int error;
		socklen_t len = sizeof(error);

		getsockopt(pair->rx, SOL_SOCKET, SO_ERROR, &error, &len);
	}
	if (taken && pair->events.drained)
		pair->events.drained(pair->ctx);
}

/*
 * Filters out onward frames (config_types.h), which only pass through this pair on their way to another
 * device.
 */
static int leave_onward(int fd)
{
	static const uint8_t mac[ETH_ALEN] = TALON_ONWARD_MAC;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)mac[0] << 24 | mac[1] << 16 | mac[2] << 8 |
			mac[3], 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac[4] << 8 | mac[5], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, ~0U),
	};
	const struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? -errno : 0;
}

/*
 * TPACKET_V2 delivers each packet at once; V3 would hold packets back until a block is full or a timer
 * expires.
 */
static int open_ring(struct relay_pair *pair, int ifindex, uint32_t mtu)
{
	const int version = TPACKET_V2, on = 1;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = ifindex };
	struct tpacket_req req = { .tp_block_size = BLOCK_LEN, .tp_block_nr = RING_LEN / BLOCK_LEN };
	void *ring;
	int ret;

	req.tp_frame_size = TPACKET_ALIGN(TPACKET2_HDRLEN + 32 + ETH_HLEN + mtu);
	if (req.tp_frame_size > BLOCK_LEN)
		return -EMSGSIZE;
	req.tp_frame_nr = req.tp_block_size / req.tp_frame_size * req.tp_block_nr;
	/* Protocol 0 until bound, so that nothing is queued before the ring exists. */
	pair->rx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (pair->rx < 0)
		return -errno;
	/* our own frames */
	setsockopt(pair->rx, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	ret = leave_onward(pair->rx);
	if (ret)
		return ret;
	if (setsockopt(pair->rx, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(pair->rx, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return -errno;
	ring = mmap(NULL, RING_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, pair->rx, 0);
	if (ring == MAP_FAILED)
		return -errno;
	pair->ring = ring;
	pair->ring_len = RING_LEN;
	pair->block_size = req.tp_block_size;
	pair->frame_size = req.tp_frame_size;
	pair->frames_per_block = req.tp_block_size / req.tp_frame_size;
	pair->frame_count = req.tp_frame_nr;
	pair->next = 0;
	return bind(pair->rx, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}

/* From the relay to our programs. */

static void flush(void *ctx)
{
	struct relay_pair *pair = ctx;
	struct pair_frames *f = pair->frames;
	unsigned sent = 0;

	while (f && sent < f->count) {
		int n = sendmmsg(pair->tx, f->msgs + sent, f->count - sent, 0);

		pair->lost += n <= 0;
		sent += n > 0 ? n : 1;	/* a frame that cannot be sent is dropped */
	}
	if (f)
		f->count = 0;
}

static int open_tx(struct relay_pair *pair, const struct datapath_tunnel_info *link)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = link->far_ifindex };
	size_t size = HEADERS + link->mtu;
	struct pair_frames *f;
	const int on = 1;
	int ret;

	pair->tx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (pair->tx < 0)
		return -errno;
	f = calloc(1, sizeof(*f) + BATCH * size);
	if (!f || bind(pair->tx, (struct sockaddr *)&to, sizeof(to))) {
		ret = f ? -errno : -ENOMEM;
		free(f);
		close(pair->tx);
		pair->tx = -1;
		return ret;
	}
	setsockopt(pair->tx, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	f->size = size;
	for (unsigned i = 0; i < BATCH; i++) {
		f->iov[i].iov_base = f->bytes + i * size;
		f->msgs[i].msg_hdr.msg_iov = &f->iov[i];
		f->msgs[i].msg_hdr.msg_iovlen = 1;
	}
	pair->frames = f;
	loop_timer_init(&pair->flush, flush, pair);
	return 0;
}

static uint16_t ip_checksum(const struct iphdr *ip)
{
	const uint8_t *bytes = (const uint8_t *)ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*ip); i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	return htons(csum_finish(sum));
}

static void fill_headers(const struct relay_pair *pair, uint8_t *frame, uint32_t peer, size_t len)
{
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
		.tot_len = htons(sizeof(ip) + sizeof(struct udphdr) + len),
		.saddr = htonl(TALON_RELAY_PEER_ADDR(peer)),
		.daddr = htonl(TALON_RELAY_OWN_ADDR),
	};
	const struct udphdr udp = {
		.source = htons(TALON_RELAY_PORT), .dest = pair->port,
		.len = htons(sizeof(udp) + len),
	};

	ip.check = ip_checksum(&ip);
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(frame + ETH_HLEN + sizeof(ip), &udp, sizeof(udp));
}

uint8_t *pair_get_frame(struct relay_pair *pair, uint16_t ethertype, size_t len)
{
	const struct datapath_tunnel_info *link = link_of(pair);
	struct pair_frames *f;
	uint8_t *frame;

	if (!link || !link->ifindex || (!pair->frames && open_tx(pair, link)))
		return NULL;
	f = pair->frames;
	if (len > f->size)
		return NULL;
	frame = f->iov[f->count].iov_base;
	memcpy(frame, link->mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, link->far_mac, ETH_ALEN);
	frame[12] = ethertype >> 8;
	frame[13] = ethertype & 0xff;
	return frame;
}

void pair_put_frame(struct relay_pair *pair, size_t len)
{
	struct pair_frames *f = pair->frames;

	f->iov[f->count++].iov_len = len;
	if (f->count == BATCH)
		flush(pair);
	else if (!loop_timer_is_set(&pair->flush))
		loop_timer_after(pair->loop, &pair->flush, 0);
}

void pair_inject(struct relay_pair *pair, uint32_t peer, const uint8_t *bytes, size_t len)
{
	uint8_t *frame = pair_open(pair) ? NULL : pair_get_frame(pair, ETH_P_IP, HEADERS + len);

	if (!frame)
		return;
	fill_headers(pair, frame, peer, len);
	memcpy(frame + HEADERS, bytes, len);
	pair_put_frame(pair, HEADERS + len);
}

void pair_close(struct relay_pair *pair)
{
	loop_fd_remove(pair->loop, &pair->watch);
	if (pair->frames)
		loop_timer_cancel(pair->loop, &pair->flush);
	if (pair->ring)
		munmap(pair->ring, pair->ring_len);
	close_aside(pair->rx);
	close_aside(pair->tx);
	free(pair->frames);
	pair->frames = NULL;
	pair->ring = NULL;
	pair->rx = pair->tx = -1;
}

int pair_open(struct relay_pair *pair)
{
	const struct datapath_tunnel_info *link = link_of(pair);
	static struct log_limit limit;
	int ret;

	if (pair->frames && pair->ring)
		return 0;
	if (!link || !link->ifindex)
		return -ENODEV;
	ret = open_ring(pair, link->far_ifindex, link->mtu);
	if (!ret && !pair->frames)
		ret = open_tx(pair, link);
	if (!ret)
		ret = loop_fd_add(pair->loop, &pair->watch, pair->rx, EPOLLIN, read_ring, pair);
	if (ret) {
		log_limited(&limit, LOG_LEVEL_WARN, "relay pair %s: %s", link->name, strerror(-ret));
		pair_close(pair);
	}
	return ret;
}
