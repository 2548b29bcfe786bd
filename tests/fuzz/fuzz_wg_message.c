// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Handshake messages: two devices talk over a wire on which the input may change anything. The input is a
 * list of steps, each an operation and its bytes. Messages can get a valid mac1 again after they were
 * changed, or the fuzzer would never get past it.
 */
#include "crypto/aead.c"
#include "crypto/hash.c"
#include "crypto/key.c"
#include "crypto/tai64n.c"
#include "noise/cookie.c"
#include "noise/noise.c"
#include "session/attempt.c"
#include "session/deadlines.c"
#include "session/device.c"
#include "base/endpoint.c"
#include "session/handshake.c"
#include "session/keypairs.c"
#include "session/liveness.c"
#include "session/table.c"

#define SLOTS	16
#define SEC	1000000000ULL

enum step {
	STEP_RAW,		/* the bytes are a message */
	STEP_RAW_MAC1,		/* the same, mac1 made right */
	STEP_DELIVER,		/* the oldest message of the other side, the bytes xored into it */
	STEP_DELIVER_MAC1,	/* the same, mac1 made right */
	STEP_REPEAT,		/* the last message once more */
	STEP_DROP,
	STEP_WANT,
	STEP_START,
	STEP_FACTS,		/* the bytes are facts */
	STEP_PROMOTE,		/* the next session, or the index in the bytes */
	STEP_TIME,		/* goes on by what the bytes say, in ms */
	STEP_LOAD,
	STEP_COUNT
};

struct fuzz_message {
	size_t len;
	uint8_t bytes[WG_INITIATION_LEN];
};

struct fuzz_node {
	struct device *device;
	struct fuzz_node *other;
	struct endpoint endpoint;
	struct fuzz_message out, last;	/* what it sent */
	uint32_t indexes[SLOTS];
};

static uint64_t fuzz_now_ns, fuzz_seed;

static void fuzz_random(void *ctx, void *buf, size_t len)
{
	uint8_t *bytes = buf;

	for (size_t i = 0; i < len; i++) {
		fuzz_seed = fuzz_seed * 6364136223846793005ULL + 1442695040888963407ULL;
		bytes[i] = fuzz_seed >> 56;
	}
}

static uint64_t fuzz_unix_ns(void *ctx)
{
	return 1795000000 * SEC + fuzz_now_ns;
}

static int fuzz_send(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len)
{
	struct fuzz_node *node = ctx;

	if (len > sizeof(node->out.bytes))
		abort();
	node->out.len = len;
	memcpy(node->out.bytes, bytes, len);
	return 0;
}

static int fuzz_publish(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	struct fuzz_node *node = ctx;

	if (node->indexes[slot] || session->index % SLOTS != slot)
		abort();
	node->indexes[slot] = session->index;
	return 0;
}

static int fuzz_clear(void *ctx, uint32_t slot)
{
	((struct fuzz_node *)ctx)->indexes[slot] = 0;
	return 0;
}

static int fuzz_wipe(void *ctx, uint32_t slot)
{
	if (((struct fuzz_node *)ctx)->indexes[slot])
		abort();
	return 0;
}

static int fuzz_set_tx(void *ctx, uint32_t peer, uint32_t index)
{
	if (index && ((struct fuzz_node *)ctx)->indexes[index % SLOTS] != index)
		abort();
	return 0;
}

static int fuzz_set_endpoint(void *ctx, uint32_t peer, const struct endpoint *endpoint)
{
	return 0;
}

static int fuzz_keepalive(void *ctx, uint32_t peer)
{
	return 0;
}

static void fuzz_established(void *ctx, uint32_t peer, bool must_send)
{
}

static void fuzz_gave_up(void *ctx, uint32_t peer)
{
}

static void fuzz_done(void *ctx, uint32_t peer, const struct device_peer_stats *stats)
{
}

static void fuzz_save(void *ctx, uint32_t peer, const uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
}

static const struct device_ops fuzz_ops = {
	.random = fuzz_random,
	.unix_ns = fuzz_unix_ns,
	.send = fuzz_send,
	.publish_session = fuzz_publish,
	.clear_session = fuzz_clear,
	.wipe_session = fuzz_wipe,
	.set_tx = fuzz_set_tx,
	.set_endpoint = fuzz_set_endpoint,
	.send_keepalive = fuzz_keepalive,
	.established = fuzz_established,
	.gave_up = fuzz_gave_up,
	.handshake_done = fuzz_done,
	.save_timestamp = fuzz_save,
};

static void nodes_init(struct fuzz_node nodes[static 2])
{
	for (int i = 0; i < 2; i++) {
		struct device_config config = { .private_key = { { 8 * (i + 1) } }, .peers_max = 2,
			.slots = SLOTS };

		nodes[i].other = &nodes[!i];
		nodes[i].endpoint = (struct endpoint){ .family = i ? AF_INET6 : AF_INET, .port = 1 };
		nodes[i].endpoint.remote.word[0] = 1 + i;
		if (device_new(&nodes[i].device, &config, &fuzz_ops, &nodes[i]) < 0)
			abort();
	}
	for (int i = 0; i < 2; i++) {
		struct device_peer_config config = { .endpoint = nodes[!i].endpoint,
			.keepalive_s = i ? 25 : 0 };

		memcpy(config.public_key, device_public_key(nodes[!i].device), KEY_LEN);
		if (device_add_peer(nodes[i].device, fuzz_now_ns, 0, &config) < 0)
			abort();
	}
}

static void deliver(struct fuzz_node *to, struct fuzz_message *message, bool fix_mac1)
{
	struct cookie_maker maker;

	if (fix_mac1 && message->len >= 2 * WG_MAC_LEN) {
		uint8_t mac2[WG_MAC_LEN];

		memcpy(mac2, message->bytes + message->len - WG_MAC_LEN, WG_MAC_LEN);
		cookie_maker_init(&maker, device_public_key(to->device));
		cookie_add_macs(&maker, fuzz_now_ns, message->bytes, message->len);
		memcpy(message->bytes + message->len - WG_MAC_LEN, mac2, WG_MAC_LEN);
	}
	device_message(to->device, fuzz_now_ns, &to->other->endpoint, message->bytes, message->len);
}

static void deliver_changed(struct fuzz_node *to, const uint8_t *data, size_t len, bool fix_mac1)
{
	struct fuzz_message message = to->other->out;

	to->other->last = message;
	to->other->out.len = 0;
	for (size_t i = 1; i < len; i++)	/* the first byte says where */
		if (data[0] + i - 1 < message.len)
			message.bytes[data[0] + i - 1] ^= data[i];
	deliver(to, &message, fix_mac1);
}

static uint64_t number(const uint8_t *data, size_t len)
{
	uint64_t value = 0;

	memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
	return value;
}

static void do_step(struct fuzz_node *node, enum step step, const uint8_t *data, size_t len)
{
	struct fuzz_message message = { .len = len };
	struct device_peer_sessions sessions;
	struct device_facts facts = { 0 };

	switch (step) {
	case STEP_RAW:
	case STEP_RAW_MAC1:
		if (len > sizeof(message.bytes))
			message.len = sizeof(message.bytes);
		memcpy(message.bytes, data, message.len);
		deliver(node, &message, step == STEP_RAW_MAC1);
		break;
	case STEP_DELIVER:
	case STEP_DELIVER_MAC1:
		deliver_changed(node, data, len, step == STEP_DELIVER_MAC1);
		break;
	case STEP_REPEAT:
		deliver(node, &node->other->last, false);
		break;
	case STEP_DROP:
		node->out.len = 0;
		break;
	case STEP_WANT:
		device_want_handshake(node->device, fuzz_now_ns, 0);
		break;
	case STEP_START:
		device_start_handshake(node->device, fuzz_now_ns, 0);
		break;
	case STEP_FACTS:
		memcpy(&facts, data, len < sizeof(facts) ? len : sizeof(facts));
		device_peer_facts(node->device, fuzz_now_ns, 0, &facts);
		break;
	case STEP_PROMOTE:
		device_get_peer_sessions(node->device, 0, &sessions);
		device_session_promoted(node->device, fuzz_now_ns, len ? number(data, len) : sessions.next);
		break;
	case STEP_TIME:
		fuzz_now_ns += (number(data, len) & 0xfffff) * 1000000;
		break;
	case STEP_LOAD:
		node->device->load.count = COOKIE_LOAD_PER_SECOND;
		node->device->load.second_ns = fuzz_now_ns;
		break;
	case STEP_COUNT:
		break;
	}
}

static void check(struct fuzz_node *node)
{
	struct device_stats stats;
	uint64_t sum = 0;

	device_get_stats(node->device, &stats);
	if (stats.slots_live > 3 || stats.slots_reserved > 1)
		abort();
	for (int i = 0; i < SLOTS; i++)
		sum += node->indexes[i] != 0;
	if (sum != stats.slots_live)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_node nodes[2] = { 0 };

	fuzz_now_ns = 1000 * SEC;
	fuzz_seed = 1;
	nodes_init(nodes);
	for (size_t at = 0; at + 2 <= size;) {
		struct fuzz_node *node = &nodes[data[at] >> 7];
		enum step step = (data[at] & 0x7f) % STEP_COUNT;
		size_t len = data[at + 1];

		at += 2;
		if (len > size - at)
			len = size - at;
		do_step(node, step, data + at, len);
		at += len;
		device_tick(node->device, fuzz_now_ns);
		check(node);
	}
	device_free(nodes[0].device);
	device_free(nodes[1].device);
	return 0;
}
