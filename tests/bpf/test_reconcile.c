// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Lost events: the controller learns their content from the maps within a second.
#include "unit/world.h"

#include "plane_rig.h"

static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };

static struct plane_rig rig;
static struct world *world;
static struct node *initiator;
static uint32_t peer;

static void to_initiator(void *ctx, uint32_t id, const uint8_t *bytes, size_t len)
{
	if (bytes[0] == WG_RESPONSE)
		assert_int_equal(device_message(initiator->device, world->now_ns, &initiator->endpoint, bytes,
			len), HANDSHAKE_RESPONSE);
}

static int set_up(void **state)
{
	static const struct plane_events events = { .relay_send = to_initiator };
	struct cidr allowed = { .family = AF_INET, .prefixlen = 32,
		.addr.word[0] = htonl(0x64400002) };
	struct plane_peer other = { .allowed = &allowed, .allowed_count = 1 };
	struct plane_state s = { .mesh_addr = htonl(0x64400001), .mesh_prefixlen = 10, .peers = &other,
		.peer_count = 1 };
	struct device_peer_config config;
	char err[256] = "";

	memset(&rig, 0, sizeof(rig));
	plane_rig_config(&rig, seed, 64);
	if (plane_rig_start(&rig))
		return -1;
	world = world_new(4711);
	initiator = &world->nodes[0];
	memcpy(world->nodes[1].public_key, rig.config.public_key, KEY_LEN);
	config = peer_config(&world->nodes[1]);
	assert_int_equal(device_add_peer(initiator->device, world->now_ns, 0, &config), 0);
	memcpy(other.public_key, initiator->public_key, KEY_LEN);
	plane_set_events(rig.c, &events, NULL);
	assert_int_equal(plane_apply(rig.c, &s, err, sizeof(err)), 0);
	peer = plane_find_peer(rig.c, other.public_key);
	return plane_set_way(rig.c, peer, PLANE_RELAY, NULL);
}

static int tear_down(void **state)
{
	world_free(world);
	return plane_rig_down(&rig);
}

static struct device_peer_sessions sessions(void)
{
	struct device_peer_sessions s;

	assert_int_equal(device_get_peer_sessions(rig.c->device, peer, &s), 0);
	return s;
}

static bool has_next(void *ctx)
{
	return sessions().next;
}

static bool is_current(void *ctx)
{
	return sessions().current == *(uint32_t *)ctx;
}

/* The node has answered and waits for the first packet. */
static uint32_t answer_a_handshake(void)
{
	struct message message;

	assert_int_equal(device_start_handshake(initiator->device, world->now_ns, 0), 0);
	assert_true(message_pop(world, &message));
	plane_relay_receive(rig.c, peer, message.bytes, message.len);
	assert_true(plane_rig_run(&rig, 5000, has_next, NULL));
	return sessions().next;
}

static void a_promotion_whose_event_is_lost_is_found_in_the_map(void **state)
{
	uint32_t index = answer_a_handshake(), slot = index & (rig.c->slots - 1);
	struct talon_replay window;

	assert_int_equal(map_read(rig.c, DATAPATH_MAP_REPLAY, slot, &window), 0);
	assert_int_equal(window.state, TALON_SESSION_NEXT);
	assert_false(plane_rig_run(&rig, 1500, is_current, &index));	/* nothing came yet */
	window.state = TALON_SESSION_CURRENT;
	assert_int_equal(map_write(rig.c, DATAPATH_MAP_REPLAY, slot, &window, BPF_ANY), 0);
	assert_true(plane_rig_run(&rig, 10000, is_current, &index));
	assert_int_equal(sessions().next, 0);
}

static void a_move_whose_event_is_lost_is_found_in_the_map(void **state)
{
	struct talon_endpoint at = {
		.family = AF_INET, .remote_port = htons(4711), .remote.word[0] = inet_addr("198.51.100.7"),
		.local.word[0] = inet_addr("192.0.2.1"),
	};
	struct endpoint known;

	answer_a_handshake();
	assert_int_equal(map_write(rig.c, DATAPATH_MAP_ENDPOINTS, peer, &at, BPF_F_LOCK), 0);
	event_reconcile_endpoint(rig.c, peer);
	assert_int_equal(device_get_peer_endpoint(rig.c->device, peer, &known), 0);
	assert_int_equal(known.port, htons(4711));
	/* An endpoint that the mesh chose is left to the mesh. */
	at.flags = TALON_ENDPOINT_PINNED;
	at.remote_port = htons(4712);
	assert_int_equal(map_write(rig.c, DATAPATH_MAP_ENDPOINTS, peer, &at, BPF_F_LOCK), 0);
	event_reconcile_endpoint(rig.c, peer);
	assert_int_equal(device_get_peer_endpoint(rig.c->device, peer, &known), 0);
	assert_int_equal(known.port, htons(4711));
}

static int isolate(void **state)
{
	return sodium_init() < 0 ? -1 : plane_rig_isolate();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_promotion_whose_event_is_lost_is_found_in_the_map, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_move_whose_event_is_lost_is_found_in_the_map, set_up,
			tear_down),
	};

	return cmocka_run_group_tests_name("reconciliation", tests, isolate, NULL);
}
