// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How many handshakes one core answers: consume the initiation, create the response, derive the keys, hand
 * the session over. The reference is what X25519 alone would allow: a responder multiplies a base point once
 * and other points three times.
 */
#include "bench/bench.h"

#include <sodium.h>

#include "session/device.h"

#define INITIATIONS	256	/* each from a different peer, so that none is a replay */
#define ROUNDS		4
#define BASE_POINTS	1	/* e */
#define POINTS		3	/* es, ee, se; ss is kept from one handshake to the next */

struct side {
	uint8_t sent[WG_INITIATION_LEN];
	size_t sent_len;
	unsigned published;
};

static uint64_t unix_ns;

static uint64_t op_unix_ns(void *ctx)
{
	return unix_ns;
}

static int op_send(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len)
{
	struct side *side = ctx;

	memcpy(side->sent, bytes, len);
	side->sent_len = len;
	return 0;
}

static int op_publish(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	((struct side *)ctx)->published++;
	return 0;
}

static int op_slot(void *ctx, uint32_t slot)
{
	return 0;
}

static int op_set_tx(void *ctx, uint32_t peer, uint32_t index)
{
	return 0;
}

static int op_set_endpoint(void *ctx, uint32_t peer, const struct endpoint *endpoint)
{
	return 0;
}

static int op_keepalive(void *ctx, uint32_t peer)
{
	return 0;
}

static void op_established(void *ctx, uint32_t peer, bool must_send)
{
}

static void op_gave_up(void *ctx, uint32_t peer)
{
}

static void op_done(void *ctx, uint32_t peer, const struct device_peer_stats *stats)
{
}

static void op_save(void *ctx, uint32_t peer, const uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
}

static const struct device_ops ops = {
	.unix_ns = op_unix_ns,
	.send = op_send,
	.publish_session = op_publish,
	.clear_session = op_slot,
	.wipe_session = op_slot,
	.set_tx = op_set_tx,
	.set_endpoint = op_set_endpoint,
	.send_keepalive = op_keepalive,
	.established = op_established,
	.gave_up = op_gave_up,
	.handshake_done = op_done,
	.save_timestamp = op_save,
};

static const struct endpoint somewhere = { .family = AF_INET, .port = 1 };

static void must(int ret, const char *what)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-ret));
		exit(1);
	}
}

static struct device *make_device(uint32_t seed, uint32_t peers, uint32_t slots, struct side *side)
{
	struct device_config config = { .peers_max = peers, .slots = slots };
	struct device *device;

	seed <<= 3;	/* the low bits of a private key are cleared */
	memcpy(config.private_key.bytes, &seed, sizeof(seed));
	must(device_new(&device, &config, &ops, side), "device");
	return device;
}

static void add_peer(struct device *device, uint32_t id, const struct device *peer)
{
	struct device_peer_config config = { .endpoint = somewhere };

	memcpy(config.public_key, device_public_key(peer), KEY_LEN);
	must(device_add_peer(device, 1, id, &config), "peer");
}

/* One initiation from each of many peers of @hub. */
static void make_initiations(struct device *hub, uint8_t messages[INITIATIONS][WG_INITIATION_LEN])
{
	struct side side;

	for (uint32_t i = 0; i < INITIATIONS; i++) {
		struct device *device = make_device(i + 2, 1, 2, &side);

		add_peer(hub, i, device);
		add_peer(device, 0, hub);
		must(device_want_handshake(device, TALON_NSEC_PER_SEC, 0), "initiation");
		memcpy(messages[i], side.sent, WG_INITIATION_LEN);
		device_free(device);
	}
}

/* Time advances a little with each, or the device would consider itself under load and ask for cookies. */
static double handshakes_per_second(void)
{
	static uint8_t messages[INITIATIONS][WG_INITIATION_LEN];
	uint64_t spent_ns = 0, boot_ns = 10 * TALON_NSEC_PER_SEC;
	struct side side = { 0 };

	for (int round = 0; round < ROUNDS; round++) {
		struct device *hub = make_device(1, INITIATIONS, 4 * INITIATIONS, &side);
		uint64_t from_ns;

		make_initiations(hub, messages);
		from_ns = cpu_ns();
		for (uint32_t i = 0; i < INITIATIONS; i++) {
			boot_ns += 10000000;
			if (device_message(hub, boot_ns, &somewhere, messages[i],
				WG_INITIATION_LEN) != HANDSHAKE_INITIATION)
				must(-EINVAL, "handshake");
		}
		spent_ns += cpu_ns() - from_ns;
		device_free(hub);
	}
	if (side.published != ROUNDS * INITIATIONS)
		must(-EINVAL, "sessions");
	return 1e9 * ROUNDS * INITIATIONS / spent_ns;
}

static double bound_per_second(void)
{
	uint8_t secret[KEY_LEN] = { 8 }, public[KEY_LEN];
	uint64_t from_ns = cpu_ns();

	for (int i = 0; i < ROUNDS * INITIATIONS; i++) {
		for (int n = 0; n < BASE_POINTS; n++)
			must(crypto_scalarmult_curve25519_base(public, secret), "X25519");
		for (int n = 0; n < POINTS; n++)
			must(crypto_scalarmult_curve25519(secret, secret, public), "X25519");
	}
	return 1e9 * ROUNDS * INITIATIONS / (cpu_ns() - from_ns);
}

int main(int argc, char **argv)
{
	double ours[BENCH_RUNS], bound[BENCH_RUNS], value, reference;
	struct bench bench;

	must(sodium_init(), "libsodium");
	unix_ns = 1795000000 * TALON_NSEC_PER_SEC;
	bench_begin(&bench, argc, argv);
	for (int run = 0; run < BENCH_RUNS; run++) {
		ours[run] = handshakes_per_second();
		bound[run] = bound_per_second();
	}
	value = bench_median(ours, BENCH_RUNS);
	reference = bench_median(bound, BENCH_RUNS);
	bench_report(&bench, "handshake.responder", value, "1/s", "X25519 alone", reference,
		value / reference);
	return bench_end(&bench);
}
