// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets through a relay connection, over real TCP on the loopback device, from and to a server in another
 * thread that only discards or repeats. Counted is the CPU time of our thread: what one core could do. The
 * reference is the least that anybody must do with the same bytes: copy them into a buffer and send that, or
 * receive and look at each frame's first bytes.
 */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netmap/netmap.h"
#include "relay/relay.h"
#include "netbird/relay_wire.h"
#include "websocket/websocket_frame.h"
#include "websocket/websocket_upgrade.h"
#include "stream/stream.h"

#define PACKET		1312	/* WireGuard's around an inner packet of 1280 */
#define BATCH		64
#define PACKETS		(1 << 16)
#define FRAME		(4 + RELAY_TRANSPORT_LEN + PACKET)
#define RUNS		7

struct side {
	int listen;
	uint16_t port;
	bool plain;		/* no relay, no WebSocket: only bytes */
	int conn;
	uint64_t bytes;		/* received after the opening */
	uint8_t peer_id[RELAY_ID_LEN];
};

struct client {
	struct loop *loop;
	struct relay_manager *manager;
	struct relay_peer *peer;
	bool is_up, is_ready;
	uint64_t packets;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* The server */

static void send_all(int fd, const void *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes = (const uint8_t *)bytes + n;
		len -= n;
	}
}

static void say(int fd, enum relay_type type, const void *body, size_t len)
{
	uint8_t frame[200] = { 0x82, 2 + len, RELAY_VERSION, type };

	memcpy(frame + 4, body, len);
	send_all(fd, frame, 4 + len);
}

/* The client's next message; opening only, one at a time. */
static void read_frame(int fd)
{
	uint8_t bytes[1024];
	struct websocket_frame frame;
	size_t len = 0;
	int header;

	do {
		if (recv(fd, bytes + len++, 1, 0) != 1)
			die("server");
		header = websocket_frame_parse(bytes, len, &frame);
	} while (!header);
	if (header < 0 || recv(fd, bytes, frame.len, MSG_WAITALL) != (ssize_t)frame.len)
		die("server");
}

static void upgrade(int fd)
{
	char text[2048] = "", accept[WEBSOCKET_ACCEPT_LEN + 1], answer[512];
	size_t len = 0;

	while (!strstr(text, "\r\n\r\n") && len < sizeof(text) - 1) {
		if (recv(fd, text + len++, 1, 0) != 1)
			die("server");
	}
	websocket_key_accept(strstr(text, "Sec-WebSocket-Key: ") + 19, accept);
	snprintf(answer, sizeof(answer),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	send_all(fd, answer, strlen(answer));
}

static void open_relay(struct side *side)
{
	upgrade(side->conn);
	read_frame(side->conn);
	say(side->conn, RELAY_AUTH_RESPONSE, "rel://bench", 11);
	read_frame(side->conn);
	say(side->conn, RELAY_PEERS_ONLINE, side->peer_id, RELAY_ID_LEN);
}

static void *discard(void *ctx)
{
	static uint8_t bytes[1 << 20];
	struct side *side = ctx;
	ssize_t n;

	side->conn = accept(side->listen, NULL, NULL);
	if (!side->plain)
		open_relay(side);
	while ((n = recv(side->conn, bytes, sizeof(bytes), 0)) > 0)
		side->bytes += n;
	close(side->conn);
	return NULL;
}

static void *repeat(void *ctx)
{
	static uint8_t frames[BATCH * FRAME];
	struct side *side = ctx;

	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t *at = frames + i * FRAME;
		const uint8_t header[4] = { 0x82, 126, (RELAY_TRANSPORT_LEN + PACKET) >> 8,
			(RELAY_TRANSPORT_LEN + PACKET) & 0xff };

		memcpy(at, header, sizeof(header));
		relay_transport_write(side->peer_id, at + 4);
		memset(at + 4 + RELAY_TRANSPORT_LEN, i, PACKET);
	}
	side->conn = accept(side->listen, NULL, NULL);
	if (!side->plain)
		open_relay(side);
	for (unsigned i = 0; i < PACKETS / BATCH; i++)
		send_all(side->conn, frames, sizeof(frames));
	shutdown(side->conn, SHUT_WR);
	recv(side->conn, frames, 1, 0);
	close(side->conn);
	return NULL;
}

static pthread_t start(struct side *side, void *(*fn)(void *ctx), bool plain)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	pthread_t thread;

	side->plain = plain;
	side->bytes = 0;
	side->listen = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (side->listen < 0 || bind(side->listen, (struct sockaddr *)&addr, sizeof(addr)) ||
		listen(side->listen, 1) || getsockname(side->listen, (struct sockaddr *)&addr, &len))
		die("socket");
	side->port = ntohs(addr.sin_port);
	if (pthread_create(&thread, NULL, fn, side))
		die("thread");
	return thread;
}

static void stop(struct side *side, pthread_t thread)
{
	pthread_join(thread, NULL);
	close(side->listen);
}

/* The client */

static void on_home(void *ctx, bool is_connected, const char *address, const char *why)
{
	((struct client *)ctx)->is_up = is_connected;
}

static void on_ready(void *ctx)
{
	((struct client *)ctx)->is_ready = true;
}

static void on_closed(void *ctx, const char *why)
{
	((struct client *)ctx)->is_ready = false;
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	((struct client *)ctx)->packets++;
}

static void turn_until(struct client *c, const bool *is_true)
{
	while (!*is_true) {
		if (loop_turn(c->loop, LOOP_NEVER))
			die("loop");
	}
}

static void connect_client(struct client *c, const struct side *side, const uint8_t key[static KEY_LEN])
{
	static const struct relay_events events = { .home = on_home };
	static const struct relay_peer_events peer_events = { .ready = on_ready, .closed = on_closed,
		.received = on_received };
	const uint8_t own[KEY_LEN] = { 1 };
	struct server_url url = { .scheme = SERVER_REL, .port = side->port, .host = "127.0.0.1" };
	struct netmap_relay relay = { .present = true, .urls = &url, .url_count = 1,
		.token_payload = (char *)"1735689600" };

	memset(c, 0, sizeof(*c));
	if (loop_new(&c->loop) || relay_manager_new(c->loop, own, &events, c, &c->manager) ||
		relay_manager_set(c->manager, &relay))
		die("client");
	turn_until(c, &c->is_up);
	if (relay_peer_open(c->manager, key, relay_manager_address(c->manager), NULL, &peer_events, c,
		&c->peer))
		die("peer");
	turn_until(c, &c->is_ready);
}

static void free_client(struct client *c)
{
	relay_peer_free(c->peer);
	relay_manager_free(c->manager);
	stream_global_done();
	loop_free(c->loop);
}

/*
 * Nanoseconds of CPU for each packet. Nothing is dropped: a full queue waits, as a sender whose packets are
 * acknowledged would.
 */
static double send_relayed(struct side *side, const uint8_t key[static KEY_LEN])
{
	static uint8_t packet[BATCH][PACKET];
	pthread_t thread = start(side, discard, false);
	struct client c;
	uint64_t begin;

	connect_client(&c, side, key);
	begin = cpu_ns();
	for (unsigned sent = 0; sent < PACKETS; sent += BATCH) {
		for (unsigned i = 0; i < BATCH; i++) {
			while (relay_peer_send(c.peer, packet[i], PACKET)) {
				relay_manager_flush(c.manager);
				loop_turn(c.loop, LOOP_MS);
			}
		}
		relay_manager_flush(c.manager);
		loop_turn(c.loop, 0);
	}
	begin = cpu_ns() - begin;
	free_client(&c);
	stop(side, thread);
	return (double)begin / PACKETS;
}

static double receive_relayed(struct side *side, const uint8_t key[static KEY_LEN])
{
	pthread_t thread = start(side, repeat, false);
	struct client c;
	uint64_t begin;

	connect_client(&c, side, key);
	begin = cpu_ns();
	while (c.is_ready)
		loop_turn(c.loop, LOOP_NEVER);
	begin = cpu_ns() - begin;
	if (c.packets + BATCH < PACKETS) {	/* some may have come with the answer to the subscription */
		fprintf(stderr, "only %lu packets came\n", (unsigned long)c.packets);
		exit(1);
	}
	free_client(&c);
	stop(side, thread);
	return (double)begin / c.packets;
}

static int connect_plain(const struct side *side)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(side->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), lowat = 32 * 1024, one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void send_waiting(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
		else
			bytes += n, len -= n;
	}
}

static double send_plain(struct side *side)
{
	static uint8_t packet[BATCH][PACKET], buffer[BATCH * FRAME];
	pthread_t thread = start(side, discard, true);
	int fd = connect_plain(side);
	uint64_t begin = cpu_ns();

	for (unsigned sent = 0; sent < PACKETS; sent += BATCH) {
		for (unsigned i = 0; i < BATCH; i++)
			memcpy(buffer + i * FRAME + FRAME - PACKET, packet[i], PACKET);
		send_waiting(fd, buffer, sizeof(buffer));
	}
	begin = cpu_ns() - begin;
	close(fd);
	stop(side, thread);
	return (double)begin / PACKETS;
}

static double receive_plain(struct side *side)
{
	static uint8_t buffer[128 * 1024];
	pthread_t thread = start(side, repeat, true);
	volatile uint64_t seen = 0;
	uint64_t begin, bytes = 0;
	int fd = connect_plain(side);
	ssize_t n;

	begin = cpu_ns();
	for (;;) {
		n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0)
			poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
		else if (!n)
			break;
		for (ssize_t at = 0; at < n; at += FRAME)
			seen += buffer[at];
		bytes += n > 0 ? n : 0;
	}
	begin = cpu_ns() - begin;
	close(fd);
	stop(side, thread);
	return (double)begin * FRAME / bytes;
}

static double gbits(double packet_ns)
{
	return PACKET * 8 / packet_ns;
}

/* Ours and the reference in turns, so that what else the machine does falls on both. */
static void compare(struct bench *b, struct side *side, const uint8_t key[static KEY_LEN], const char *name,
	double (*relayed)(struct side *side, const uint8_t key[static KEY_LEN]),
	double (*plain)(struct side *side), const char *reference)
{
	double ours[RUNS], theirs[RUNS], ns, least_ns;
	char line[64], other[64];

	snprintf(line, sizeof(line), "relay %s, a packet", name);
	snprintf(other, sizeof(other), "relay %s, per core", name);
	if (!bench_wants(b, line) && !bench_wants(b, other))
		return;
	for (unsigned i = 0; i < RUNS; i++) {
		ours[i] = relayed(side, key);
		theirs[i] = plain(side);
	}
	ns = bench_median(ours, RUNS);
	least_ns = bench_median(theirs, RUNS);
	bench_report(b, other, gbits(ns), "Gbit/s", reference, gbits(least_ns), least_ns / ns);
	bench_report(b, line, ns, "ns", reference, least_ns, least_ns / ns);
}

int main(int argc, char **argv)
{
	const uint8_t key[KEY_LEN] = { 2 };
	struct side side = {};
	struct bench b;

	bench_begin(&b, argc, argv);
	relay_id(key, side.peer_id);
	compare(&b, &side, key, "send", send_relayed, send_plain, "memcpy+send");
	compare(&b, &side, key, "receive", receive_relayed, receive_plain, "recv");
	return bench_end(&b);
}
