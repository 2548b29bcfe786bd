// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What we wrote where there is a library: WebSocket frames beside libwslay (if it is installed), a network
 * map by wire.c beside protobuf-c, JSON beside jansson. CPU time of the same work in the same run;
 * docs/decisions/0008 says what follows from it.
 */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <malloc.h>
#include <sys/socket.h>

#include "management.pb-c.h"
#include "netmap/netmap.h"
#include "snapshot/snapshot.h"
#include "websocket/websocket_frame.h"

#if __has_include(<wslay/wslay.h>)
#include <wslay/wslay.h>
#define HAVE_WSLAY 1
#endif

#define PACKET	1346	/* a relayed packet with the relay's header */
#define FRAMES	4096
#define PEERS	2000

static uint8_t packet[PACKET], wire[FRAMES * (PACKET + WEBSOCKET_HEADER_MAX)];
static size_t wire_len;
static uint64_t sink;

static double median_of(void (*work)(void), unsigned count)
{
	double values[BENCH_RUNS];

	work();
	for (int i = 0; i < BENCH_RUNS; i++) {
		uint64_t began = cpu_ns();

		work();
		values[i] = (double)(cpu_ns() - began) / count;
	}
	return bench_median(values, BENCH_RUNS);
}

static void compare(struct bench *b, const char *name, const char *unit, double ours,
	const char *library, double its)
{
	bench_report(b, name, ours, unit, library, its, its / ours);
}

/* WebSocket: masked frames into a buffer, and unmasked ones out of it. */

static void send_ours(void)
{
	const uint8_t mask[WEBSOCKET_MASK_LEN] = { 1, 2, 3, 4 };

	wire_len = 0;
	for (unsigned i = 0; i < FRAMES; i++) {
		wire_len += websocket_frame_write(WEBSOCKET_BINARY, PACKET, mask, wire + wire_len);
		websocket_mask_copy(wire + wire_len, packet, PACKET, mask, 0);
		wire_len += PACKET;
	}
	sink += wire[wire_len - 1];
}

/* As a server sends them. */
static void fill_wire(void)
{
	wire_len = 0;
	for (unsigned i = 0; i < FRAMES; i++) {
		const uint8_t header[4] = { 0x82, 126, PACKET >> 8, PACKET & 0xff };

		memcpy(wire + wire_len, header, sizeof(header));
		memcpy(wire + wire_len + sizeof(header), packet, PACKET);
		wire_len += sizeof(header) + PACKET;
	}
}

static void receive_ours(void)
{
	struct websocket_frame frame;

	for (size_t at = 0; at < wire_len; at += frame.len) {
		at += websocket_frame_parse(wire + at, wire_len - at, &frame);
		sink += wire[at];
	}
}

#ifdef HAVE_WSLAY
static size_t wire_at;

static ssize_t wslay_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *user)
{
	if (wire_len + len > sizeof(wire))
		wire_len = 0;
	memcpy(wire + wire_len, data, len);
	wire_len += len;
	return len;
}

static ssize_t wslay_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
	size_t part = wire_len - wire_at < len ? wire_len - wire_at : len;

	if (!part) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buf, wire + wire_at, part);
	wire_at += part;
	return part;
}

static int wslay_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, void *user)
{
	memset(buf, 7, len);
	return 0;
}

static void wslay_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg,
	void *user)
{
	sink += arg->msg[0];
}

static wslay_event_context_ptr wslay_new(void)
{
	static const struct wslay_event_callbacks callbacks = {
		.send_callback = wslay_send, .recv_callback = wslay_recv, .genmask_callback = wslay_mask,
		.on_msg_recv_callback = wslay_message,
	};
	wslay_event_context_ptr ctx;

	if (wslay_event_context_client_init(&ctx, &callbacks, NULL))
		exit(1);
	return ctx;
}

static void send_wslay(void)
{
	const struct wslay_event_msg message = { WSLAY_BINARY_FRAME, packet, PACKET };
	wslay_event_context_ptr ctx = wslay_new();

	wire_len = 0;
	for (unsigned i = 0; i < FRAMES; i++) {
		if (wslay_event_queue_msg(ctx, &message) || wslay_event_send(ctx))
			exit(1);
	}
	wslay_event_context_free(ctx);
}

static void receive_wslay(void)
{
	wslay_event_context_ptr ctx = wslay_new();

	wire_at = 0;
	if (wslay_event_recv(ctx))
		exit(1);
	wslay_event_context_free(ctx);
}

static double wslay_bytes(void)
{
	struct mallinfo2 before = mallinfo2();
	wslay_event_context_ptr ctx = wslay_new();
	double bytes = mallinfo2().uordblks - before.uordblks;

	wslay_event_context_free(ctx);
	return bytes;
}
#endif

static void bench_websocket(struct bench *b)
{
	double sent = median_of(send_ours, FRAMES), received;
#ifdef HAVE_WSLAY
	compare(b, "websocket.send", "ns", sent, "libwslay", median_of(send_wslay, FRAMES));
	fill_wire();
	received = median_of(receive_ours, FRAMES);
	compare(b, "websocket.receive", "ns", received, "libwslay", median_of(receive_wslay, FRAMES));
	bench_report(b, "websocket.libwslay.memory", wslay_bytes(), "bytes", NULL, NAN, NAN);
#else
	bench_report(b, "websocket.send", sent, "ns", NULL, NAN, NAN);
	fill_wire();
	received = median_of(receive_ours, FRAMES);
	bench_report(b, "websocket.receive", received, "ns", NULL, NAN, NAN);
#endif
}

/* A network map of PEERS peers, each with an address and a name. */

static uint8_t *map_bytes;
static size_t map_len;

static void make_map(void)
{
	Management__SyncResponse response = MANAGEMENT__SYNC_RESPONSE__INIT;
	Management__NetworkMap map = MANAGEMENT__NETWORK_MAP__INIT;
	Management__PeerConfig self = MANAGEMENT__PEER_CONFIG__INIT;
	Management__RemotePeerConfig *peers = calloc(PEERS, sizeof(*peers));
	Management__RemotePeerConfig **list = calloc(PEERS, sizeof(*list));
	char **texts = calloc(3 * PEERS, sizeof(*texts));

	if (!peers || !list || !texts)
		exit(1);
	for (size_t i = 0; i < PEERS; i++) {
		uint8_t key[KEY_LEN] = { i, i >> 8, 9 };
		char base64[KEY_BASE64_LEN + 1];

		key_to_base64(key, base64);
		management__remote_peer_config__init(&peers[i]);
		if (asprintf(&texts[3 * i], "100.64.%zu.%zu/32", 1 + (i >> 8), i & 255) < 0 ||
			asprintf(&texts[3 * i + 1], "peer-%zu.netbird.example", i) < 0)
			exit(1);
		peers[i].wg_pub_key = strdup(base64);
		peers[i].allowed_ips = &texts[3 * i];
		peers[i].n_allowed_ips = 1;
		peers[i].fqdn = texts[3 * i + 1];
		peers[i].agent_version = (char *)"0.66.4";
		list[i] = &peers[i];
	}
	self.address = (char *)"100.64.0.1/16";
	self.fqdn = (char *)"self.netbird.example";
	map.serial = 7;
	map.peer_config = &self;
	map.remote_peers = list;
	map.n_remote_peers = PEERS;
	response.network_map = &map;
	map_len = management__sync_response__get_packed_size(&response);
	map_bytes = malloc(map_len);
	if (!map_bytes)
		exit(1);
	management__sync_response__pack(&response, map_bytes);
}

/* Checked, deduplicated, ready for use. */
static void parse_ours(void)
{
	static const uint8_t own[KEY_LEN] = { 1 };
	struct netmap_update update;

	if (netmap_update_parse(map_bytes, map_len, own, &update))
		exit(1);
	sink += update.map.peer_count;
	netmap_update_done(&update);
}

/* Only unpacked: keys and addresses are still text. */
static void parse_protobuf_c(void)
{
	Management__SyncResponse *response = management__sync_response__unpack(NULL, map_len, map_bytes);

	if (!response)
		exit(1);
	sink += response->network_map->n_remote_peers;
	management__sync_response__free_unpacked(response, NULL);
}

static double heap_ours(void)
{
	static const uint8_t own[KEY_LEN] = { 1 };
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, after;
	struct netmap_update update;

	if (netmap_update_parse(map_bytes, map_len, own, &update))
		exit(1);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	netmap_update_done(&update);
	return after - before;
}

static double heap_protobuf_c(void)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, after;
	Management__SyncResponse *response = management__sync_response__unpack(NULL, map_len, map_bytes);

	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	management__sync_response__free_unpacked(response, NULL);
	return after - before;
}

static void bench_map(struct bench *b)
{
	make_map();
	compare(b, "netmap.parse.2000", "us", median_of(parse_ours, 1000), "protobuf-c",
		median_of(parse_protobuf_c, 1000));
	compare(b, "netmap.memory.2000", "KiB", heap_ours() / 1024, "protobuf-c", heap_protobuf_c() / 1024);
}

/* The daemon's snapshot of as many peers. */

static struct snapshot snapshot;
static json_t *tree;
static char *text;
static size_t text_len;

static void write_ours(void)
{
	FILE *out = open_memstream(&text, &text_len);

	if (!out)
		exit(1);
	snapshot_write(out, &snapshot);
	fclose(out);
	sink += text_len;
	free(text);
}

/* The tree is made and printed: what a program that builds on jansson does for each answer. */
static void write_jansson(void)
{
	json_t *copy = json_deep_copy(tree);
	char *dumped = json_dumps(copy, JSON_COMPACT);

	if (!dumped)
		exit(1);
	sink += dumped[0];
	free(dumped);
	json_decref(copy);
}

static void make_snapshot(void)
{
	FILE *out;

	snapshot.version = strdup("0.1.0");
	snapshot.peers = calloc(PEERS, sizeof(*snapshot.peers));
	snapshot.peer_count = PEERS;
	for (size_t i = 0; snapshot.peers && i < PEERS; i++) {
		struct snapshot_peer *peer = &snapshot.peers[i];

		if (asprintf(&peer->fqdn, "peer-%zu.netbird.example", i) < 0 ||
		    asprintf(&peer->ip, "100.64.1.%zu", i & 255) < 0)
			exit(1);
		peer->public_key = strdup("YALFyYaGruX5RkzTq3f2eTJ5yHbWMSuwUDqii/viz0s=");
		peer->status = strdup("Connected");
		peer->handshake_ns = 1764370000000000000;
		peer->rx_bytes = peer->tx_bytes = 123456789;
	}
	out = open_memstream(&text, &text_len);
	if (!out)
		exit(1);
	snapshot_write(out, &snapshot);
	fclose(out);
	tree = json_loadb(text, text_len, 0, NULL);
	free(text);
	if (!tree)
		exit(1);
}

int main(int argc, char **argv)
{
	struct bench b;

	bench_begin(&b, argc, argv);
	for (size_t i = 0; i < PACKET; i++)
		packet[i] = i;
	bench_websocket(&b);
	bench_map(&b);
	make_snapshot();
	compare(&b, "json.snapshot.2000", "us", median_of(write_ours, 1000), "jansson",
		median_of(write_jansson, 1000));
	bench_end(&b);
	snapshot_done(&snapshot);
	json_decref(tree);
	free(map_bytes);
	return sink == 42;
}
