// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub with many peers: agents over loopback, each with the three connections that a real one has
// (management with Sync, signal, relay), in groups of twenty, all seeing one gateway. Measures the hub's
// memory, how long a hundred take to join at once, and how long until everybody has the map that a change of
// the gateway makes, and that of a change which touches twenty.
//
// Then as many as HUB_FLAT says who all see each other, as without a file; beside them, with the same agents,
// NetBird's server, if STOCK_HUB says "PID PORT SETUP-KEY" of one that runs for 127.0.0.1.
//
//   bench_hub [--json FILE]		HUB_PEERS="2000 10000" HUB_FLAT=200 STOCK_HUB="1234 8080 A1B2..."
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "bench.h"
#include "hubfile/hubfile.h"
#include "management.pb-c.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"
#include "netbird/relay_wire.h"

#define PORT		18941
#define GROUP		20
#define SIGNAL_STREAM	5
#define SPARE		400		/* descriptors beside those of agents, and of the hub */
#define JOINING_MOST	200		/* at a time while the mesh grows */
#define LIMIT_S		60
#define IN_LEN		16384

enum kind { MANAGEMENT, SIGNAL, RELAY, KINDS };

struct conn {
	int fd;
	enum kind kind;
	struct agent *agent;
	uint8_t head[9];		/* of an HTTP/2 frame */
	size_t head_len, left;		/* of it and of its content */
	uint32_t stream;
	uint8_t type, flags;
	uint8_t *content;		/* of DATA on the Login stream, else NULL */
	size_t content_len;
	size_t message_left;		/* of the gRPC message on the Sync stream */
	uint8_t prefix[5];
	size_t prefix_len;
	size_t credit;			/* bytes taken since the last WINDOW_UPDATE */
	bool is_up;			/* signal: headers came; relay: an answer */
};

struct agent {
	struct secret_key key;
	uint8_t public[KEY_LEN];
	struct conn conns[KINDS];
	uint32_t number;
	uint64_t maps;			/* whole messages on Sync */
	bool has_joined;
};

static int port = PORT;
static const char *one_key;		/* for all agents; NULL: one for each group */
static struct agent *agents;
static size_t agent_count, first_maps, up_signals, up_relays;
static int epoll;
static uint8_t hub_key[KEY_LEN];
static char dir[64];
static uint64_t maps_total;
static uint64_t bytes_total;

static void die(const char *what)
{
	fprintf(stderr, "bench_hub: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- HTTP/2 by hand: the least that the hub answers to ---- */

static size_t put_frame(uint8_t *at, uint8_t type, uint8_t flags, uint32_t stream, const void *bytes,
	size_t len)
{
	const uint8_t head[9] = { len >> 16, len >> 8, len, type, flags, stream >> 24, stream >> 16,
		stream >> 8, stream };

	memcpy(at, head, sizeof(head));
	if (len)
		memcpy(at + sizeof(head), bytes, len);
	return sizeof(head) + len;
}

/* A field that is not indexed, its name and value as they are (RFC 7541 section 6.2.2). */
static size_t put_field(uint8_t *at, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	assert(n < 127 && v < 127);
	at[0] = 0;
	at[1] = n;
	memcpy(at + 2, name, n);
	at[2 + n] = v;
	memcpy(at + 3 + n, value, v);
	return 3 + n + v;
}

static size_t put_request(uint8_t *at, uint32_t stream, const char *path, const char *peer_id)
{
	uint8_t fields[512];
	size_t len = 0;

	len += put_field(fields + len, ":method", "POST");
	len += put_field(fields + len, ":scheme", "http");
	len += put_field(fields + len, ":path", path);
	len += put_field(fields + len, ":authority", "127.0.0.1");
	len += put_field(fields + len, "content-type", "application/grpc");
	len += put_field(fields + len, "te", "trailers");
	if (peer_id)
		len += put_field(fields + len, "x-wiretrustee-peer-id", peer_id);
	return put_frame(at, 1, 4, stream, fields, len);
}

static size_t put_message(uint8_t *at, uint32_t stream, const void *bytes, size_t len, bool is_last)
{
	uint8_t data[8192] = { 0, len >> 24, len >> 16, len >> 8, len };

	assert(len + 5 <= sizeof(data));
	memcpy(data + 5, bytes, len);
	return put_frame(at, 0, is_last, stream, data, len + 5);
}

static size_t put_preface(uint8_t *at)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const uint8_t window[] = { 0, 4, 0x00, 0x40, 0, 0 };	/* INITIAL_WINDOW_SIZE 4 MiB */
	static const uint8_t more[] = { 0x00, 0x40, 0, 0 };
	size_t len = sizeof(preface) - 1;

	memcpy(at, preface, len);
	len += put_frame(at + len, 4, 0, 0, window, sizeof(window));
	return len + put_frame(at + len, 8, 0, 0, more, sizeof(more));
}

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

/* ---- agents ---- */

static void watch(struct conn *conn)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &event))
		die("epoll");
}

static void open_conn(struct agent *agent, enum kind kind)
{
	struct sockaddr_in own = { .sin_family = AF_INET }, to = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct conn *conn = &agent->conns[kind];
	int one = 1;

	*conn = (struct conn){ .kind = kind, .agent = agent };
	own.sin_addr.s_addr = htonl(0x7f100000 + agent->number + 1);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (conn->fd < 0 || setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) ||
		bind(conn->fd, (struct sockaddr *)&own, sizeof(own)) ||
		connect(conn->fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	watch(conn);
}

static void meta_of(Management__PeerSystemMeta *meta, char *hostname, const char *version)
{
	static Management__PeerCapability capabilities[] = { MANAGEMENT__PEER_CAPABILITY__SOURCE_PREFIXES,
		MANAGEMENT__PEER_CAPABILITY__IPV6_OVERLAY };

	management__peer_system_meta__init(meta);
	meta->hostname = hostname;
	meta->go_os = (char *)"linux";
	meta->netbird_version = (char *)version;
	meta->capabilities = capabilities;
	meta->n_capabilities = 2;
}

static size_t seal(struct agent *agent, const ProtobufCMessage *message, uint8_t *to)
{
	uint8_t plain[4096], *bytes;
	size_t len;

	if (envelope_pack_management(&agent->key, hub_key, plain, protobuf_c_message_pack(message, plain),
		&bytes, &len))
		die("seal");
	memcpy(to, bytes, len);
	envelope_free(bytes, len);
	return len;
}

static void key_text(size_t group, char text[40])
{
	if (one_key)
		snprintf(text, 40, "%s", one_key);
	else
		snprintf(text, 40, "B1B2C3D4-0000-4000-8000-%012zX", group);
}

static void join(struct agent *agent)
{
	Management__LoginRequest request = MANAGEMENT__LOGIN_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	uint8_t out[16384], sealed[8192];
	char hostname[32], key[40];
	size_t len;

	snprintf(hostname, sizeof(hostname), agent->number ? "peer-%u" : "gateway", agent->number);
	key_text(agent->number ? agent->number / GROUP + 1 : 0, key);
	meta_of(&meta, hostname, "0.77.1");
	request.meta = &meta;
	request.setup_key = key;
	open_conn(agent, MANAGEMENT);
	len = put_preface(out);
	len += put_request(out + len, 1, "/management.ManagementService/Login", NULL);
	len += put_message(out + len, 1, sealed, seal(agent, &request.base, sealed), true);
	send_all(agent->conns[MANAGEMENT].fd, out, len);
}

/*
 * Descriptors may be too few for three of each agent: then signal shares management's, and some have no
 * relay.
 */
static bool shares;
static size_t relays_most;

static void begin_sync(struct agent *agent)
{
	Management__SyncRequest request = MANAGEMENT__SYNC_REQUEST__INIT;
	uint8_t out[16384], sealed[8192];
	char text[KEY_BASE64_LEN + 1];
	size_t len;

	len = put_request(out, 3, "/management.ManagementService/Sync", NULL);
	len += put_message(out + len, 3, sealed, seal(agent, &request.base, sealed), true);
	send_all(agent->conns[MANAGEMENT].fd, out, len);
	key_to_base64(agent->public, text);
	if (!shares) {
		open_conn(agent, SIGNAL);
		len = put_preface(out);
	} else {
		len = 0;
	}
	len += put_request(out + len, SIGNAL_STREAM, "/signalexchange.SignalExchange/ConnectStream", text);
	send_all(agent->conns[shares ? MANAGEMENT : SIGNAL].fd, out, len);
}

/* The upgrade, and the Auth message in one masked frame whose mask is zero. */
static void begin_relay(struct agent *agent, const Management__RelayConfig *config)
{
	static const char upgrade[] = "GET /relay HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	uint8_t id[RELAY_ID_LEN], signature[RELAY_SIGNATURE_LEN], auth[RELAY_AUTH_MAX],
		frame[8 + RELAY_AUTH_MAX] = { 0x82 };
	int len;

	sodium_base642bin(signature, sizeof(signature), config->token_signature,
		strlen(config->token_signature), NULL, NULL, NULL, sodium_base64_VARIANT_ORIGINAL);
	relay_id(agent->public, id);
	len = relay_auth_write(id, config->token_payload, signature, auth);
	assert(len > 0 && len < 126);
	frame[1] = 0x80 | len;
	memcpy(frame + 6, auth, len);
	if (agent->number >= relays_most)
		return;
	open_conn(agent, RELAY);
	send_all(agent->conns[RELAY].fd, (const uint8_t *)upgrade, sizeof(upgrade) - 1);
	send_all(agent->conns[RELAY].fd, frame, 6 + len);
}

static void on_login(struct agent *agent, const uint8_t *bytes, size_t len)
{
	Management__LoginResponse *answer;
	uint8_t *plain;
	size_t plain_len;

	if (len < 5 || envelope_unpack_management(&agent->key, hub_key, bytes + 5, len - 5, &plain,
		&plain_len)) {
		fprintf(stderr, "bench_hub: a login was refused\n");
		exit(1);
	}
	answer = management__login_response__unpack(NULL, plain_len, plain);
	assert(answer);
	agent->has_joined = true;
	begin_sync(agent);
	begin_relay(agent, answer->netbird_config->relay);
	management__login_response__free_unpacked(answer, NULL);
	envelope_free(plain, plain_len);
}

static void on_map(struct agent *agent)
{
	first_maps += !agent->maps;
	agent->maps++;
	maps_total++;
}

/* Counts whole messages in bytes of the Sync stream. */
static void take_sync(struct conn *conn, const uint8_t *bytes, size_t len)
{
	while (len) {
		if (!conn->message_left && conn->prefix_len < 5) {
			conn->prefix[conn->prefix_len++] = *bytes++;
			len--;
			if (conn->prefix_len == 5)
				conn->message_left = conn->prefix[1] << 24 | conn->prefix[2] << 16 |
					conn->prefix[3] << 8 | conn->prefix[4];
			continue;
		}
		size_t part = len < conn->message_left ? len : conn->message_left;

		bytes += part;
		len -= part;
		conn->message_left -= part;
		if (!conn->message_left) {
			conn->prefix_len = 0;
			on_map(conn->agent);
		}
	}
}

static void give_credit(struct conn *conn)
{
	uint8_t out[64], more[4];
	size_t len;

	if (conn->credit < 1 << 20)
		return;
	more[0] = conn->credit >> 24;
	more[1] = conn->credit >> 16;
	more[2] = conn->credit >> 8;
	more[3] = conn->credit;
	len = put_frame(out, 8, 0, 0, more, 4);
	len += put_frame(out + len, 8, 0, 3, more, 4);
	conn->credit = 0;
	send_all(conn->fd, out, len);
}

static void take_content(struct conn *conn, const uint8_t *bytes, size_t len)
{
	static const uint8_t pong_head[9] = { 0, 0, 8, 6, 1, 0, 0, 0, 0 };

	if (conn->type == 0 && conn->stream == 3) {
		take_sync(conn, bytes, len);
		conn->credit += len;
		give_credit(conn);
	} else if (conn->type == 6 || (conn->type == 0 && conn->stream == 1 && conn->kind == MANAGEMENT)) {
		conn->content = realloc(conn->content, conn->content_len + len);
		memcpy(conn->content + conn->content_len, bytes, len);
		conn->content_len += len;
	}
	conn->left -= len;
	if (conn->left)
		return;
	if (conn->type == 6 && !(conn->flags & 1)) {
		uint8_t pong[17];

		memcpy(pong, pong_head, 9);
		memcpy(pong + 9, conn->content, 8);
		send_all(conn->fd, pong, sizeof(pong));
	} else if (conn->type == 4 && !(conn->flags & 1)) {
		uint8_t ack[9];

		send_all(conn->fd, ack, put_frame(ack, 4, 1, 0, NULL, 0));
	} else if (conn->type == 0 && conn->stream == 1 && conn->kind == MANAGEMENT && conn->content_len) {
		on_login(conn->agent, conn->content, conn->content_len);
	} else if (conn->type == 1 && conn->stream == SIGNAL_STREAM && !conn->is_up) {
		conn->is_up = true;
		up_signals++;
	} else if (conn->type == 3 || conn->type == 7) {
		fprintf(stderr, "bench_hub: the hub ended a stream (frame type %u)\n", conn->type);
		exit(1);
	}
	free(conn->content);
	conn->content = NULL;
	conn->content_len = 0;
}

static void take_frames(struct conn *conn, const uint8_t *bytes, size_t len)
{
	while (len) {
		if (conn->head_len < 9) {
			conn->head[conn->head_len++] = *bytes++;
			len--;
			if (conn->head_len < 9)
				continue;
			conn->left = conn->head[0] << 16 | conn->head[1] << 8 | conn->head[2];
			conn->type = conn->head[3];
			conn->flags = conn->head[4];
			conn->stream = conn->head[6] << 16 | conn->head[7] << 8 | conn->head[8];
			if (!conn->left) {
				take_content(conn, bytes, 0);
				conn->head_len = 0;
			}
			continue;
		}
		size_t part = len < conn->left ? len : conn->left;

		take_content(conn, bytes, part);
		bytes += part;
		len -= part;
		if (!conn->left)
			conn->head_len = 0;
	}
}

/* Frames of the relay, which come whole: a ping of its WebSocket, or its own health check, is given back. */
static void take_relay(struct conn *conn, const uint8_t *bytes, size_t len)
{
	static const uint8_t pong[] = { 0x8a, 0x80, 0, 0, 0, 0 };
	static const uint8_t health[] = { 0x82, 0x82, 0, 0, 0, 0, RELAY_VERSION, RELAY_HEALTH_CHECK };

	while (len >= 2 && bytes[1] < 126 && len >= 2U + bytes[1]) {
		if (bytes[0] == 0x89)
			send_all(conn->fd, pong, sizeof(pong));
		else if (bytes[0] == 0x82 && bytes[1] == 2 && bytes[3] == RELAY_HEALTH_CHECK)
			send_all(conn->fd, health, sizeof(health));
		len -= 2U + bytes[1];
		bytes += 2U + bytes[1];
	}
}

static void on_readable(struct conn *conn)
{
	static uint8_t in[IN_LEN];
	ssize_t len = recv(conn->fd, in, sizeof(in), MSG_DONTWAIT);

	if (len < 0 && errno == EAGAIN)
		return;
	if (len <= 0) {
		fprintf(stderr, "bench_hub: the hub closed connection %d of agent %u\n", conn->kind,
			conn->agent->number);
		exit(1);
	}
	bytes_total += len;
	if (conn->kind != RELAY) {
		take_frames(conn, in, len);
	} else if (!conn->is_up && memmem(in, len, "rel://", 6)) {
		conn->is_up = true;
		up_relays++;
	} else if (conn->is_up) {
		take_relay(conn, in, len);
	}
}

/* Until @is_done(), at most LIMIT_S. Returns seconds. */
static double run_until(bool (*is_done)(void), const char *what)
{
	struct epoll_event events[256];
	uint64_t from = now_ns();
	int count;

	while (!is_done()) {
		count = epoll_wait(epoll, events, 256, 1000);
		for (int i = 0; i < count; i++)
			on_readable(events[i].data.ptr);
		if (now_ns() - from > LIMIT_S * 1000000000ULL) {
			fprintf(stderr,
				"bench_hub: %s: not within %d s (maps %zu, signal %zu, relay %zu of %zu)\n",
				what, LIMIT_S, first_maps, up_signals, up_relays, agent_count);
			exit(1);
		}
	}
	return (now_ns() - from) / 1e9;
}

/* ---- the hub ---- */

static pid_t hub_pid;
static bool is_outside;			/* not ours to end */

static void end_hub(void)
{
	if (hub_pid > 0 && !is_outside) {
		kill(hub_pid, SIGTERM);
		waitpid(hub_pid, NULL, 0);
	}
	hub_pid = 0;
}

static void write_file(size_t groups, bool has_route)
{
	uint8_t hash[HUBFILE_HASH_LEN];
	char path[96], text[40], hex[65];
	FILE *f;

	snprintf(path, sizeof(path), "%s/hub.yaml", dir);
	f = fopen(path, "we");
	if (!f)
		die(path);
	fprintf(f, "network: 100.64.0.0/16\nkeys:\n");
	for (size_t i = 0; i <= groups; i++) {
		key_text(i, text);
		hubfile_key_hash(text, hash);
		fprintf(f, "  k%zu: {hash: %s, uses: unlimited, groups: [g%zu]}\n", i,
			sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)), i);
	}
	fprintf(f, "groups:\n");
	for (size_t i = 0; i <= groups; i++)
		fprintf(f, "  g%zu: []\n", i);
	if (has_route)
		fprintf(f,
		"routes:\n  - {name: site, network: 10.0.0.0/8, routers: {groups: g0}, to: All}\n");
	fprintf(f, "policies:\n"
		"  - {name: gateway, from: [All], to: [g0]}\n");
	for (size_t i = 1; i <= groups; i++)
		fprintf(f, "  - {name: p%zu, from: [g%zu], to: [g%zu]}\n", i, i, i);
	fclose(f);
}

static void start_hub(const char *talon)
{
	char file[96], data[96], listen[32];

	snprintf(file, sizeof(file), "%s/hub.yaml", dir);
	snprintf(data, sizeof(data), "%s/data", dir);
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
	hub_pid = fork();
	if (!hub_pid) {
		execl(talon, talon, "hub", "--file", file, "--data-dir", data, "--listen", listen, "--stun",
			"off", "--page",
			"off", "--log-level", getenv("HUB_LOG") ? getenv("HUB_LOG") : "warn", (char *)NULL);
		die(talon);
	}
	for (int i = 0; i < 100; i++) {
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (!connect(fd, (struct sockaddr *)&to, sizeof(to))) {
			close(fd);
			return;
		}
		close(fd);
		usleep(50000);
	}
	die("the hub does not listen");
}

static double hub_mib(const char *field)
{
	char path[64], line[256];
	double kib = NAN;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", hub_pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, field, strlen(field)))
			kib = strtod(line + strlen(field) + 1, NULL);
	}
	if (f)
		fclose(f);
	return kib / 1024;
}

static double hub_cpu_s(void)
{
	unsigned long user, system;
	char path[64], line[1024];
	double s = NAN;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", hub_pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f) &&
		sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		&system) == 2)
		s = (double)(user + system) / sysconf(_SC_CLK_TCK);
	if (f)
		fclose(f);
	return s;
}

static void read_key(void)
{
	uint8_t out[512], in[512];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = put_preface(out), have = 0;
	uint8_t *at = NULL;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	len += put_request(out + len, 1, "/management.ManagementService/GetServerKey", NULL);
	len += put_message(out + len, 1, "", 0, true);
	send_all(fd, out, len);
	while (!at && have < sizeof(in)) {
		ssize_t got = recv(fd, in + have, sizeof(in) - have, 0);

		if (got <= 0)
			die("no server key");
		have += got;
		at = memmem(in, have, "\x0a\x2c", 2);
		if (at && at + 2 + KEY_BASE64_LEN > in + have)
			at = NULL;
	}
	if (!at || message_parse_server_key(at, 2 + KEY_BASE64_LEN, hub_key))
		die("no server key");
	close(fd);
}

/* ---- what is measured ---- */

static size_t target;
static uint64_t maps_wanted;

static bool all_joined(void)
{
	return first_maps >= target && up_signals >= target &&
		up_relays >= (target < relays_most ? target : relays_most);
}

static bool all_mapped(void)
{
	return first_maps >= target;
}

static bool maps_came(void)
{
	return maps_total >= maps_wanted;
}

static uint64_t quiet_from, quiet_maps;

static bool is_quiet(void)
{
	if (maps_total != quiet_maps) {
		quiet_maps = maps_total;
		quiet_from = now_ns();
	}
	return now_ns() - quiet_from > 1500000000ULL;
}

static void settle(void)
{
	quiet_from = now_ns();
	quiet_maps = maps_total;
	run_until(is_quiet, "settling");
}

/* The agent carries IPv6 no longer: whoever sees it, and it itself, gets a new map. */
static void change(struct agent *agent, uint32_t stream)
{
	Management__SyncMetaRequest request = MANAGEMENT__SYNC_META_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	uint8_t out[16384], sealed[8192];
	size_t len;

	meta_of(&meta, (char *)"x", "0.77.1");
	meta.n_capabilities = 1;
	request.meta = &meta;
	len = put_request(out, stream, "/management.ManagementService/SyncMeta", NULL);
	len += put_message(out + len, stream, sealed, seal(agent, &request.base, sealed), true);
	send_all(agent->conns[MANAGEMENT].fd, out, len);
}

static double time_change(struct agent *agent, size_t touched, uint32_t stream, double *ret_cpu)
{
	double cpu, took;

	settle();
	cpu = hub_cpu_s();
	maps_wanted = maps_total + touched;
	change(agent, stream);
	took = run_until(maps_came, "a change");
	*ret_cpu = hub_cpu_s() - cpu;
	return took;
}

/* The file without its route: until everybody has heard of it. */
static double time_reload(size_t peers)
{
	settle();
	write_file(peers / GROUP + 1, false);
	maps_wanted = maps_total + peers;
	kill(hub_pid, SIGHUP);
	return run_until(maps_came, "a reload");
}

static void make_agents(size_t count)
{
	agents = calloc(count, sizeof(*agents));
	for (size_t i = 0; i < count; i++) {
		agents[i].number = i;
		randombytes_buf(agents[i].key.bytes, KEY_LEN);
		secret_key_clamp(&agents[i].key);
		key_public(&agents[i].key, agents[i].public);
	}
	agent_count = count;
}

static void remove_dir(void)
{
	if (!fork())
		execlp("rm", "rm", "-rf", dir, (char *)NULL);
	wait(NULL);
}

static void report(struct bench *b, const char *name, size_t peers, double value, const char *unit)
{
	char text[64];

	snprintf(text, sizeof(text), "%s.peers%zu", name, peers);
	bench_report(b, text, value, unit, NULL, NAN, NAN);
}

/* @is_first: what is the same for every size is reported. */
static void measure(struct bench *b, const char *talon, size_t peers, bool is_first)
{
	double took, cpu;
	size_t begun = 0;

	first_maps = up_signals = up_relays = 0;
	maps_total = bytes_total = 0;
	strcpy(dir, "/tmp/talon-bench-hub-XXXXXX");
	if (!mkdtemp(dir))
		die("mkdtemp");
	write_file(peers / GROUP + 1, true);
	start_hub(talon);
	read_key();
	make_agents(peers);
	if (is_first)
		bench_report(b, "hub.rss.idle", hub_mib("VmRSS:"), "MiB", NULL, NAN, NAN);
	while (begun < peers) {
		size_t more = begun < 100 ? 100 : JOINING_MOST;

		for (; more && begun < peers; more--)
			join(&agents[begun++]);
		target = begun;
		took = run_until(all_mapped, "joining");
		if (begun == 100 && is_first)
			bench_report(b, "hub.join.100", took, "s", NULL, NAN, NAN);
	}
	run_until(all_joined, "signal and relay");
	settle();
	report(b, "hub.rss", peers, hub_mib("VmRSS:"), "MiB");
	bytes_total = 0;
	took = time_change(&agents[0], peers, 101, &cpu);
	report(b, "hub.fanout", peers, took, "s");
	report(b, "hub.fanout_cpu", peers, cpu, "s");
	fprintf(stderr, "%zu peers: %.1f MB of maps in one change\n", peers, bytes_total / 1e6);
	took = time_change(&agents[GROUP * 2], GROUP, 103, &cpu);
	report(b, "hub.change_of_20", peers, took, "s");
	report(b, "hub.reload", peers, time_reload(peers), "s");
	report(b, "hub.rss_after", peers, hub_mib("VmHWM:"), "MiB");
	end_hub();
	for (size_t i = 0; i < peers; i++) {
		for (int k = 0; k < KINDS; k++)
			if (agents[i].conns[k].agent)
				close(agents[i].conns[k].fd);
	}
	free(agents);
	remove_dir();
}

/* All see each other. @name: of the rows; returns seconds until a change of one is with everybody. */
static void measure_flat(size_t peers, double *ret_join, double *ret_rss, double *ret_change)
{
	double cpu;

	first_maps = up_signals = up_relays = 0;
	maps_total = bytes_total = 0;
	read_key();
	make_agents(peers);
	target = peers;
	for (size_t i = 0; i < peers; i++)
		join(&agents[i]);
	*ret_join = run_until(all_mapped, "joining");
	run_until(all_joined, "signal and relay");
	settle();
	*ret_rss = hub_mib("VmRSS:");
	*ret_change = time_change(&agents[0], peers - 1, 101, &cpu);	/* NetBird tells the others alone */
	for (size_t i = 0; i < peers; i++) {
		for (int k = 0; k < KINDS; k++) {
			if (agents[i].conns[k].agent)
				close(agents[i].conns[k].fd);
		}
	}
	free(agents);
}

static void write_flat_file(void)
{
	uint8_t hash[HUBFILE_HASH_LEN];
	char path[96], hex[65];
	FILE *f;

	snprintf(path, sizeof(path), "%s/hub.yaml", dir);
	f = fopen(path, "we");
	if (!f)
		die(path);
	hubfile_key_hash(one_key, hash);
	fprintf(f,
		"keys:\n  all: {hash: %s, uses: unlimited}\npolicies:\n  - {name: all, from: All, to: All}\n",
		sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)));
	fclose(f);
}

static void report_beside(struct bench *b, const char *name, size_t peers, double own, double their,
	const char *unit)
{
	char text[64];

	snprintf(text, sizeof(text), "%s.flat%zu", name, peers);
	bench_report(b, text, own, unit, isnan(their) ? NULL : "netbird", their, their / own);
}

static void compare(struct bench *b, const char *talon, size_t peers)
{
	const char *stock = getenv("STOCK_HUB");
	double own[3], their[3] = { NAN, NAN, NAN };
	char key[64];

	one_key = "B1B2C3D4-0000-4000-8000-000000000001";
	strcpy(dir, "/tmp/talon-bench-hub-XXXXXX");
	if (!mkdtemp(dir))
		die("mkdtemp");
	write_flat_file();
	start_hub(talon);
	measure_flat(peers, &own[0], &own[1], &own[2]);
	end_hub();
	remove_dir();
	if (stock && sscanf(stock, "%d %d %63s", &hub_pid, &port, key) == 3) {
		is_outside = true;
		one_key = key;
		measure_flat(peers, &their[0], &their[1], &their[2]);
	}
	report_beside(b, "hub.join", peers, own[0], their[0], "s");
	report_beside(b, "hub.rss", peers, own[1], their[1], "MiB");
	report_beside(b, "hub.change", peers, own[2], their[2], "s");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	const char *peers = getenv("HUB_PEERS") ? getenv("HUB_PEERS") : "2000 10000";
	char talon[4096], own[4096];
	bool is_first = true;
	struct bench b;

	bench_begin(&b, argc, argv);
	snprintf(own, sizeof(own), "%s", argv[0]);
	snprintf(talon, sizeof(talon), "%s/../../talon", dirname(own));
	signal(SIGPIPE, SIG_IGN);
	atexit(end_hub);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	if (sodium_init() < 0 || setrlimit(RLIMIT_NOFILE, &files))
		die("descriptors");
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (char *end; *peers; peers = end) {
		size_t count = strtoul(peers, &end, 10);

		if (!count)
			break;
		shares = files.rlim_max < KINDS * count + SPARE;
		relays_most = shares ? files.rlim_max - count - SPARE : count;
		if (shares)
			fprintf(stderr, "%zu descriptors: signal shares management's connection, %zu agents "
				"have a relay\n",
				(size_t)files.rlim_max, relays_most < count ? relays_most : count);
		measure(&b, talon, count, is_first);
		is_first = false;
	}
	shares = false;
	relays_most = SIZE_MAX;
	compare(&b, talon, getenv("HUB_FLAT") ? strtoul(getenv("HUB_FLAT"), NULL, 10) : 200);
	return bench_end(&b);
}
