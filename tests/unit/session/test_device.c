// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Two devices on a wire of our making: handshakes, sessions, and every timer at its edge.
#include "unit/world.h"

#include <stdio.h>

#include <sodium.h>

#include "noise/cookie.h"
#include "unit/vectors/wireguard.h"

#define PAIR(w, a, b) struct node *a = &(w)->nodes[0], *b = &(w)->nodes[1]

static bool talks_both_ways(struct world *w)
{
	bool is_heard = node_send_packet(&w->nodes[0], true) && node_send_packet(&w->nodes[1], true);

	world_settle(w);
	node_poll(&w->nodes[0]);
	node_poll(&w->nodes[1]);
	return is_heard;
}

static struct message next_message(struct world *w, uint8_t type)
{
	struct message message;

	assert_true(message_pop(w, &message));
	assert_int_equal(message.bytes[0], type);
	return message;
}

static uint64_t drops(const struct node *node, enum handshake_end end)
{
	return node_stats(node).ends[end];
}

static unsigned initiations_of(const struct node *node)
{
	return node_stats(node).initiations_sent;
}

/*
 * What a correct mac1 of @to for the message would be is put in: as good a forgery as somebody with our
 * public key can make.
 */
static void fix_mac1(struct message *message)
{
	struct cookie_maker maker;

	cookie_maker_init(&maker, node_other(message->from)->public_key);
	cookie_add_macs(&maker, 0, message->bytes, message->len);
}

static void a_handshake_lets_packets_through_both_ways(void **state)
{
	struct world *w = world_new_pair(1);
	PAIR(w, a, b);

	assert_false(node_send_packet(a, true));
	assert_int_equal(device_want_handshake(a->device, w->now_ns, 0), 0);
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(a->done, 1);
	assert_int_equal(b->done, 1);
	assert_int_equal(a->established, 1);
	assert_int_equal(b->established, 1);
	assert_true(node_sessions(a).is_initiator);
	assert_false(node_sessions(b).is_initiator);
	assert_int_equal(a->stats.handshakes, 1);
	assert_int_equal(a->stats.handshake_ns, WORLD_START);
	assert_int_equal(a->stats.handshake_unix_s, WORLD_UNIX / SEC);
	assert_int_equal(a->stats.tx_bytes, WG_INITIATION_LEN);
	assert_int_equal(a->stats.rx_bytes, WG_RESPONSE_LEN);
	assert_int_equal(b->stats.tx_bytes, WG_RESPONSE_LEN);
	assert_int_equal(b->stats.rx_bytes, WG_INITIATION_LEN);
	world_free(w);
}

static void published_sessions_say_what_the_data_path_needs(void **state)
{
	struct world *w = world_new_connected(2);
	PAIR(w, a, b);
	const struct talon_session *sa = &a->sessions[a->tx[0] % WORLD_SLOTS],
		*sb = &b->sessions[b->tx[0] % WORLD_SLOTS];

	assert_int_equal(sa->remote_index, sb->index);
	assert_int_equal(sb->remote_index, sa->index);
	assert_int_equal(sa->flags, TALON_SESSION_INITIATOR);
	assert_int_equal(sb->flags, 0);
	assert_int_equal(sa->birth_ns, WORLD_START);
	assert_int_equal(sa->peer, 0);
	assert_memory_equal(sa->send_key, sb->recv_key, KEY_LEN);
	assert_memory_equal(sa->recv_key, sb->send_key, KEY_LEN);
	world_free(w);
}

static void set_psk(struct node *node, uint8_t first)
{
	const struct secret_key psk = { { first, 1 } };

	assert_int_equal(device_set_peer_psk(node->device, 0, &psk), 0);
}

static void a_preshared_key_works_when_both_have_it(void **state)
{
	struct world *w = world_new_pair(3);
	PAIR(w, a, b);

	set_psk(a, 5);
	set_psk(b, 5);
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_true(talks_both_ways(w));
	world_free(w);
}

/*
 * As after a restart: b was taken over, with its session, and its preshared key is not known yet. A peer that
 * has none, or another, gets no session out of that; the one that was there goes on; and what was wanted
 * meanwhile begins when the key is known.
 */
static void an_adopted_peer_makes_no_handshake_before_its_preshared_key_is_known(void **state)
{
	struct world *w = world_new(40);
	PAIR(w, a, b);
	struct device_peer_config to_b = peer_config(b), to_a = peer_config(a);

	to_b.is_unconfirmed = true;
	assert_int_equal(device_add_peer(a->device, w->now_ns, 0, &to_b), 0);
	assert_int_equal(device_add_peer(b->device, w->now_ns, 0, &to_a), 0);
	device_want_handshake(b->device, w->now_ns, 0);
	world_settle(w);
	assert_int_equal(drops(a, HANDSHAKE_UNCONFIRMED), 1);
	assert_int_equal(a->tx[0] | b->tx[0], 0);
	assert_int_equal(device_want_handshake(a->device, w->now_ns, 0), 0);
	assert_int_equal(initiations_of(a), 0);
	set_psk(a, 5);
	set_psk(b, 5);
	assert_int_equal(initiations_of(a), 0);
	assert_int_equal(device_confirm_peer(a->device, w->now_ns, 0), 0);
	assert_int_equal(initiations_of(a), 1);		/* which was put off */
	w->now_ns += 100 * MSEC;
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(device_confirm_peer(a->device, w->now_ns, 0), 0);
	assert_int_equal(initiations_of(a), 1);
	assert_int_equal(device_confirm_peer(a->device, w->now_ns, 7), -ENOENT);
	world_free(w);
}

static void a_wrong_preshared_key_gives_no_session(void **state)
{
	struct world *w = world_new_pair(4);
	PAIR(w, a, b);

	set_psk(a, 5);
	set_psk(b, 6);
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_int_equal(drops(a, HANDSHAKE_DECRYPT_FAILED), 1);
	assert_int_equal(a->tx[0], 0);
	assert_int_equal(b->tx[0], 0);
	assert_int_equal(a->done + b->done, 0);
	world_free(w);
}

static void the_responder_sends_nothing_before_the_first_packet(void **state)
{
	struct world *w = world_new_pair(5);
	PAIR(w, a, b);

	a->no_confirm = true;
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_int_not_equal(a->tx[0], 0);
	assert_int_equal(b->tx[0], 0);
	assert_int_not_equal(node_sessions(b).next, 0);
	assert_int_equal(b->established, 0);
	assert_true(node_send_packet(a, false));
	assert_int_equal(b->tx[0], node_sessions(b).current);
	assert_int_equal(node_sessions(b).next, 0);
	assert_int_equal(b->established, 1);
	world_free(w);
}

static void held_packets_wait_for_the_session_they_asked_for(void **state)
{
	struct world *w = world_new_connected(6);
	PAIR(w, a, b);

	/* The event was on its way when the session came: no second handshake, the packets go out. */
	assert_int_equal(device_want_handshake(a->device, w->now_ns, 0), 0);
	assert_int_equal(initiations_of(a), 1);
	assert_int_equal(a->established, 2);
	assert_int_equal(b->established, 1);
	world_free(w);
}

static void a_lost_sending_slot_is_put_back_when_a_packet_asks(void **state)
{
	struct world *w = world_new_connected(7);
	PAIR(w, a, b);
	uint32_t index = a->tx[0];

	(void)b;
	a->tx[0] = 0;
	assert_int_equal(device_want_handshake(a->device, w->now_ns, 0), 0);
	assert_int_equal(a->tx[0], index);
	world_free(w);
}

/* Everything that the outside could notice of a message having changed a device. */
struct trace {
	struct device_peer_sessions sessions;
	struct device_peer_stats stats;
	struct endpoint endpoint;
	uint32_t reserved, live, retired;
	uint64_t deadline_ns;
	unsigned saved, done, established;
	size_t sent;
};

static struct trace trace_of(const struct node *node)
{
	struct device_stats stats = node_stats(node);
	struct trace trace;

	memset(&trace, 0, sizeof(trace));
	trace.sessions = node_sessions(node);
	device_get_peer_stats(node->device, 0, &trace.stats);
	device_get_peer_endpoint(node->device, 0, &trace.endpoint);
	trace.reserved = stats.slots_reserved;
	trace.live = stats.slots_live;
	trace.retired = stats.slots_retired;
	trace.deadline_ns = device_next_deadline(node->device);
	trace.saved = node->saved;
	trace.done = node->done;
	trace.established = node->established;
	trace.sent = node->world->queued;
	return trace;
}

static void assert_no_trace(const struct node *node, const struct trace *before)
{
	struct trace after = trace_of(node);

	assert_memory_equal(&after, before, sizeof(after));
}

/* Each bit from byte @from on is flipped, as it is and with mac1 made right again. Nothing may come of it. */
static void deliver_flipped(const struct message *good, size_t from, size_t to)
{
	struct node *node = node_other(good->from);
	struct trace before = trace_of(node);

	for (size_t bit = 8 * from; bit < 8 * to; bit++) {
		struct message bad = *good;
		enum handshake_end end;

		bad.bytes[bit / 8] ^= 1 << bit % 8;
		end = message_deliver(&bad);
		assert_true(end == HANDSHAKE_BAD_MAC1 || end == HANDSHAKE_BAD_TYPE ||
			end == HANDSHAKE_BAD_LENGTH || end == HANDSHAKE_UNEXPECTED_COOKIE ||
			end == HANDSHAKE_BAD_COOKIE);
		assert_no_trace(node, &before);
		if (good->bytes[0] == WG_COOKIE)
			continue;
		fix_mac1(&bad);
		end = message_deliver(&bad);
		assert_true(end == HANDSHAKE_DECRYPT_FAILED || end == HANDSHAKE_BAD_TYPE ||
			    end == HANDSHAKE_BAD_LENGTH || end == HANDSHAKE_UNEXPECTED_RESPONSE);
		assert_no_trace(node, &before);
		node->world->now_ns += 10 * MSEC;	/* or the load detector would notice us */
	}
}

/* Byte 4 to 7, the sender's index, is protected by mac1 only: the protocol has it so. */
static void forged_messages_leave_no_trace_and_get_no_answer(void **state)
{
	struct world *w = world_new_pair(8);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	deliver_flipped(&message, 0, 4);
	deliver_flipped(&message, 8, offsetof(struct wg_initiation, mac1));
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);

	message = next_message(w, WG_RESPONSE);
	deliver_flipped(&message, 0, 4);
	deliver_flipped(&message, 8, offsetof(struct wg_response, mac1));
	assert_int_equal(message_deliver(&message), HANDSHAKE_RESPONSE);
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(a->done, 1);
	assert_int_equal(b->done, 1);
	world_free(w);
}

static void a_forged_mac1_is_dropped_for_every_bit_of_it(void **state)
{
	const size_t first = offsetof(struct wg_initiation, mac1);
	struct world *w = world_new_pair(9);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	for (size_t bit = 8 * first; bit < 8 * (first + WG_MAC_LEN); bit++) {
		message.bytes[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(message_deliver(&message), HANDSHAKE_BAD_MAC1);
		message.bytes[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(drops(b, HANDSHAKE_BAD_MAC1), 128);
	world_free(w);
}

static void only_messages_of_the_right_size_and_type_are_looked_at(void **state)
{
	struct world *w = world_new_pair(10);
	PAIR(w, a, b);
	uint8_t bytes[200] = { 0 };

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		for (int type = 0; type < 256; type++) {
			const size_t right[] = { 0, WG_INITIATION_LEN, WG_RESPONSE_LEN, WG_COOKIE_LEN };
			enum handshake_end end;

			bytes[0] = type;
			end = device_message(b->device, w->now_ns, &a->endpoint, bytes, len);
			if (len < 4 || type < WG_INITIATION || type > WG_COOKIE)
				assert_int_equal(end, HANDSHAKE_BAD_TYPE);
			else if (len != right[type])
				assert_int_equal(end, HANDSHAKE_BAD_LENGTH);
			else
				assert_int_equal(end,
					type == WG_COOKIE ? HANDSHAKE_UNEXPECTED_COOKIE : HANDSHAKE_BAD_MAC1);
		}
	}
	assert_int_equal(w->queued, 0);
	world_free(w);
}

static void strangers_get_no_answer(void **state)
{
	struct world *w = world_new(11);
	PAIR(w, a, b);
	struct device_peer_config config = peer_config(b);
	struct message message;

	assert_int_equal(device_add_peer(a->device, w->now_ns, 0, &config), 0);
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_UNKNOWN_PEER);
	assert_int_equal(w->queued, 0);
	assert_int_equal(node_stats(b).slots_reserved + node_stats(b).slots_live, 0);
	world_free(w);
}

static void a_replayed_initiation_leaves_no_trace(void **state)
{
	struct world *w = world_new_pair(12);
	PAIR(w, a, b);
	struct message message;
	struct trace before;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	world_settle(w);
	before = trace_of(b);
	w->now_ns += SEC;
	message.from = a;
	assert_int_equal(message_deliver(&message), HANDSHAKE_REPLAYED);
	assert_no_trace(b, &before);
	world_free(w);
}

/*
 * A peer that was woken sends its first initiation again over the way that comes up, relay or direct; it may
 * arrive behind a newer one that took the other way.
 */
static void an_initiation_behind_a_newer_one_leaves_the_session_alone(void **state)
{
	struct world *w = world_new_pair(121);
	PAIR(w, a, b);
	struct message older, newer;
	struct trace before;

	device_want_handshake(a->device, w->now_ns, 0);
	older = next_message(w, WG_INITIATION);
	w->now_ns = device_next_deadline(a->device);
	device_tick(a->device, w->now_ns);
	newer = next_message(w, WG_INITIATION);
	assert_memory_not_equal(older.bytes, newer.bytes, WG_INITIATION_LEN);
	assert_int_equal(message_deliver(&newer), HANDSHAKE_INITIATION);
	world_settle(w);
	assert_true(node_send_packet(a, true));
	world_settle(w);
	before = trace_of(b);
	assert_int_equal(message_deliver(&older), HANDSHAKE_REPLAYED);
	assert_no_trace(b, &before);
	assert_true(node_send_packet(b, true));
	world_free(w);
}

static void a_replay_is_refused_by_a_process_that_was_told_the_timestamp(void **state)
{
	struct world *w = world_new_pair(13);
	PAIR(w, a, b);
	struct device_peer_config config = peer_config(a);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	assert_int_equal(b->saved, 1);

	device_free(b->device);
	memset(b->sessions, 0, sizeof(b->sessions));
	node_start_device(b);
	memcpy(config.timestamp, b->timestamp, WG_TIMESTAMP_LEN);
	assert_int_equal(device_add_peer(b->device, w->now_ns, 0, &config), 0);
	assert_int_equal(message_deliver(&message), HANDSHAKE_REPLAYED);
	world_free(w);
}

static struct world *world_new_recorded(void)
{
	struct world *w = world_new(14);
	struct node *lap = &w->nodes[1];
	struct device_peer_config config = { .endpoint = w->nodes[0].endpoint };

	device_free(lap->device);
	assert_int_equal(secret_key_from_base64(VECTOR_LAP_PRIVATE, &lap->private_key), 0);
	node_start_device(lap);
	assert_int_equal(key_from_base64(VECTOR_NODE_PUBLIC, config.public_key), 0);
	assert_int_equal(device_add_peer(lap->device, w->now_ns, 0, &config), 0);
	return w;
}

static enum handshake_end deliver_recorded(struct world *w, const uint8_t *initiation)
{
	return device_message(w->nodes[1].device, w->now_ns, &w->nodes[0].endpoint, initiation,
		WG_INITIATION_LEN);
}

static void recorded_initiations_are_answered_in_their_order_only(void **state)
{
	struct world *w = world_new_recorded();
	struct node *lap = &w->nodes[1];
	struct message response;

	assert_int_equal(deliver_recorded(w, vector_initiation_1), HANDSHAKE_INITIATION);
	assert_memory_equal(lap->timestamp, vector_consumed[0].timestamp, WG_TIMESTAMP_LEN);
	response = next_message(w, WG_RESPONSE);
	assert_int_equal(((struct wg_response *)response.bytes)->receiver_index,
		vector_consumed[0].sender_index);
	assert_int_equal(response.len, WG_RESPONSE_LEN);
	w->now_ns += SEC;
	assert_int_equal(deliver_recorded(w, vector_initiation_2), HANDSHAKE_INITIATION);
	assert_int_equal(deliver_recorded(w, vector_initiation_1), HANDSHAKE_REPLAYED);
	assert_int_equal(deliver_recorded(w, vector_initiation_2), HANDSHAKE_REPLAYED);
	world_free(w);

	w = world_new_recorded();
	assert_int_equal(deliver_recorded(w, vector_initiation_2), HANDSHAKE_INITIATION);
	w->now_ns += SEC;
	assert_int_equal(deliver_recorded(w, vector_initiation_1), HANDSHAKE_REPLAYED);
	world_free(w);
}

static void fifty_initiations_a_second_are_enough_for_a_peer(void **state)
{
	static const struct {
		uint64_t after_ns;
		enum handshake_end end;
	} cases[] = {
		{ 20 * MSEC - 1, HANDSHAKE_FLOOD },
		{ 20 * MSEC, HANDSHAKE_INITIATION },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new_recorded();

		assert_int_equal(deliver_recorded(w, vector_initiation_1), HANDSHAKE_INITIATION);
		w->now_ns += cases[i].after_ns;
		assert_int_equal(deliver_recorded(w, vector_initiation_2), cases[i].end);
		world_free(w);
	}
}

static void an_endpoint_moves_with_authentic_handshake_messages_only(void **state)
{
	struct world *w = world_new_pair(15);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	a->endpoint = endpoint_v4("198.51.100.9", 1234);
	message.bytes[20] ^= 1;
	fix_mac1(&message);
	assert_int_equal(message_deliver(&message), HANDSHAKE_DECRYPT_FAILED);
	assert_false(endpoint_is_equal(&b->endpoints[0], &a->endpoint));
	message.bytes[20] ^= 1;
	fix_mac1(&message);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	assert_true(endpoint_is_equal(&b->endpoints[0], &a->endpoint));

	message = next_message(w, WG_RESPONSE);
	assert_true(endpoint_is_equal(&message.to, &a->endpoint));
	b->endpoint = endpoint_v4("198.51.100.10", 4321);
	assert_int_equal(message_deliver(&message), HANDSHAKE_RESPONSE);
	assert_true(endpoint_is_equal(&a->endpoints[0], &b->endpoint));
	world_free(w);
}

static void a_pinned_peer_is_answered_at_its_source_but_called_at_its_own_endpoint(void **state)
{
	struct world *w = world_new_pair(15);
	PAIR(w, a, b);
	const struct endpoint path = endpoint_v4("203.0.113.77", 7777), before = b->endpoints[0];
	struct message message;

	assert_int_equal(device_set_peer_path(b->device, w->now_ns, 0, &path), 0);
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	message = next_message(w, WG_RESPONSE);
	assert_true(endpoint_is_equal(&message.to, &a->endpoint));
	assert_true(endpoint_is_equal(&b->endpoints[0], &before));
	assert_int_equal(message_deliver(&message), HANDSHAKE_RESPONSE);
	assert_int_equal(device_reset_peer(b->device, w->now_ns, 0), 0);
	assert_int_equal(device_want_handshake(b->device, w->now_ns, 0), 0);
	message = next_message(w, WG_INITIATION);
	assert_true(endpoint_is_equal(&message.to, &path));
	world_free(w);
}

static void a_pinned_peer_that_is_let_roam_is_followed_again(void **state)
{
	struct world *w = world_new_pair(15);
	PAIR(w, a, b);
	const struct endpoint nowhere = {};

	assert_int_equal(device_set_peer_path(b->device, w->now_ns, 0, &nowhere), 0);
	assert_int_equal(device_let_peer_roam(b->device, 0), 0);
	assert_int_equal(device_let_peer_roam(b->device, 1), -ENOENT);
	device_want_handshake(a->device, w->now_ns, 0);
	assert_int_equal(message_deliver(&w->queue[0]), HANDSHAKE_INITIATION);
	assert_true(endpoint_is_equal(&b->endpoints[0], &a->endpoint));
	world_free(w);
}

static void a_handshake_under_way_starts_anew_when_the_path_changes(void **state)
{
	struct world *w = world_new_pair(15);
	PAIR(w, a, b);
	const struct endpoint path = endpoint_v4("203.0.113.77", 7777);

	w->is_cut = true;
	device_want_handshake(a->device, w->now_ns, 0);
	assert_int_equal(w->lost, 1);
	w->is_cut = false;
	w->now_ns += 100 * MSEC;
	assert_int_equal(device_set_peer_path(a->device, w->now_ns, 0, &b->endpoint), 0);
	device_tick(a->device, w->now_ns);
	assert_int_equal(w->queued, 0);		/* nothing changed */
	assert_int_equal(device_set_peer_path(a->device, w->now_ns, 0, &path), 0);
	device_tick(a->device, w->now_ns);
	assert_true(endpoint_is_equal(&w->queue[0].to, &path));
	world_settle(w);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void a_path_that_changes_right_after_an_initiation_does_not_cost_the_answer(void **state)
{
	struct world *w = world_new_pair(15);
	struct node *a = &w->nodes[0];
	const struct endpoint path = endpoint_v4("203.0.113.77", 7777);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	w->now_ns += 3 * MSEC;
	assert_int_equal(device_set_peer_path(a->device, w->now_ns, 0, &path), 0);
	device_tick(a->device, w->now_ns);
	assert_int_equal(w->queued, 0);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	message = next_message(w, WG_RESPONSE);
	assert_int_equal(message_deliver(&message), HANDSHAKE_RESPONSE);
	world_free(w);
}

static void a_path_that_changes_right_after_a_lost_initiation_costs_a_tenth_of_a_second(void **state)
{
	struct world *w = world_new_pair(15);
	struct node *a = &w->nodes[0];
	const struct endpoint path = endpoint_v4("203.0.113.77", 7777);

	w->is_cut = true;
	device_want_handshake(a->device, w->now_ns, 0);
	w->is_cut = false;
	w->now_ns += 3 * MSEC;
	assert_int_equal(device_set_peer_path(a->device, w->now_ns, 0, &path), 0);
	device_tick(a->device, w->now_ns);
	assert_int_equal(w->queued, 0);
	w->now_ns += 97 * MSEC;
	device_tick(a->device, w->now_ns);
	assert_true(endpoint_is_equal(&w->queue[0].to, &path));
	world_settle(w);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void a_peer_that_was_reset_begins_with_a_handshake_at_once(void **state)
{
	struct world *w = world_new_pair(15);
	struct node *a = &w->nodes[0];

	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(device_reset_peer(a->device, w->now_ns, 0), 0);
	assert_int_equal(a->tx[0], 0);
	assert_int_equal(device_want_handshake(a->device, w->now_ns, 0), 0);
	assert_int_equal(w->queued, 1);
	w->now_ns += 100 * MSEC;
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(device_reset_peer(a->device, w->now_ns, 7), -ENOENT);
	world_free(w);
}

static void a_peer_without_endpoint_has_to_speak_first(void **state)
{
	struct world *w = world_new(16);
	PAIR(w, a, b);
	struct device_peer_config to_b = peer_config(b), to_a = peer_config(a);

	to_a.endpoint = (struct endpoint){ 0 };
	assert_int_equal(device_add_peer(a->device, w->now_ns, 0, &to_b), 0);
	assert_int_equal(device_add_peer(b->device, w->now_ns, 0, &to_a), 0);
	assert_int_equal(device_want_handshake(b->device, w->now_ns, 0), -EDESTADDRREQ);
	assert_int_equal(b->gave_up, 1);
	assert_int_equal(w->queued, 0);
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_true(talks_both_ways(w));
	world_free(w);
}

/* The retry comes Rekey-Timeout (5 s) and 0..333 ms after the one before. */
static void a_lost_initiation_is_repeated_after_five_seconds_and_jitter(void **state)
{
	struct world *w = world_new_pair(17);
	PAIR(w, a, b);
	uint64_t spread = 0;

	(void)b;
	w->is_cut = true;
	device_want_handshake(a->device, w->now_ns, 0);
	for (unsigned i = 1; i < 10; i++) {
		uint64_t due_ns = device_next_deadline(a->device);

		assert_in_range(due_ns - w->now_ns, 5 * SEC, 5 * SEC + 333 * MSEC);
		spread |= due_ns - w->now_ns - 5 * SEC;
		w->now_ns = due_ns - 1;
		device_tick(a->device, w->now_ns);
		assert_int_equal(initiations_of(a), i);
		w->now_ns = due_ns;
		device_tick(a->device, w->now_ns);
		assert_int_equal(initiations_of(a), i + 1);
		assert_int_equal(node_stats(a).slots_reserved, 1);
	}
	assert_true(spread > 0);
	w->is_cut = false;
	world_run_until(w, w->now_ns + 6 * SEC);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void a_lost_response_is_made_up_for_by_the_next_initiation(void **state)
{
	struct world *w = world_new_pair(18);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	next_message(w, WG_RESPONSE);
	world_run_until(w, w->now_ns + 6 * SEC);
	assert_int_equal(node_stats(b).responses_sent, 2);
	assert_true(talks_both_ways(w));
	assert_int_equal(node_stats(b).slots_live, 1);
	world_free(w);
}

static void an_answer_to_the_initiation_before_is_too_late(void **state)
{
	struct world *w = world_new_pair(19);
	PAIR(w, a, b);
	struct message message;

	(void)b;
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	message_deliver(&message);
	message = next_message(w, WG_RESPONSE);
	w->now_ns += 6 * SEC;
	device_tick(a->device, w->now_ns);
	assert_int_equal(message_deliver(&message), HANDSHAKE_UNEXPECTED_RESPONSE);
	world_free(w);
}

static void an_attempt_is_given_up_after_ninety_seconds(void **state)
{
	struct world *w = world_new_pair(20);
	PAIR(w, a, b);
	uint64_t began_ns = w->now_ns, last_ns = w->now_ns;

	(void)b;
	w->is_cut = true;
	device_want_handshake(a->device, w->now_ns, 0);
	while (!a->gave_up) {
		uint64_t next_ns = device_next_deadline(a->device);

		assert_int_not_equal(next_ns, DEVICE_NEVER);
		if (next_ns < began_ns + 90 * SEC)
			last_ns = next_ns;
		w->now_ns = next_ns;
		device_tick(a->device, w->now_ns);
	}
	assert_in_range(w->now_ns, began_ns + 90 * SEC, last_ns + 5 * SEC + 333 * MSEC);
	assert_in_range(initiations_of(a), 17, 18);
	assert_int_equal(node_stats(a).slots_reserved, 0);
	assert_int_equal(node_stats(a).gave_up, 1);
	assert_int_equal(device_next_deadline(a->device), DEVICE_NEVER);

	/* The next packet begins anew. */
	w->is_cut = false;
	w->now_ns += 60 * SEC;
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void packets_do_not_make_an_attempt_faster_or_longer(void **state)
{
	struct world *w = world_new_pair(21);
	PAIR(w, a, b);
	uint64_t began_ns = w->now_ns;

	(void)b;
	w->is_cut = true;
	while (!a->gave_up) {
		device_want_handshake(a->device, w->now_ns, 0);
		w->now_ns += 100 * MSEC;
		device_tick(a->device, w->now_ns);
	}
	assert_in_range(initiations_of(a), 16, 18);
	assert_in_range(w->now_ns - began_ns, 90 * SEC, 96 * SEC);
	world_free(w);
}

static void who_just_answered_waits_five_seconds_before_initiating(void **state)
{
	struct world *w = world_new_pair(22);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	message_deliver(&message);
	w->is_cut = true;
	device_want_handshake(b->device, w->now_ns, 0);
	assert_int_equal(initiations_of(b), 0);
	assert_int_equal(device_next_deadline(b->device), w->now_ns + 5 * SEC);
	w->now_ns += 5 * SEC - 1;
	device_tick(b->device, w->now_ns);
	assert_int_equal(initiations_of(b), 0);
	w->now_ns += 1;
	device_tick(b->device, w->now_ns);
	assert_int_equal(initiations_of(b), 1);
	world_free(w);
}

/*
 * Both sides want at once; @order says whose message of each pair arrives first. Whatever it is, one session
 * must carry both ways.
 */
static void simultaneous(uint64_t seed, unsigned order)
{
	struct world *w = world_new_pair(seed);
	PAIR(w, a, b);
	struct device_peer_sessions sa, sb;

	device_want_handshake(a->device, w->now_ns, 0);
	device_want_handshake(b->device, w->now_ns, 0);
	for (unsigned round = 0; w->queued; round++) {
		size_t pick = (order >> round) & 1 && w->queued > 1 ? w->queued - 1 : 0;
		struct message message = w->queue[pick];

		memmove(&w->queue[pick], &w->queue[pick + 1], (--w->queued - pick) * sizeof(message));
		message_deliver(&message);
		/* The confirming packet may be fast or slow. */
		if ((order >> (round + 4)) & 1)
			world_settle(w);
	}
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_true(talks_both_ways(w));
	sa = node_sessions(a);
	sb = node_sessions(b);
	assert_int_equal(a->sessions[sa.current % WORLD_SLOTS].remote_index, sb.current);
	assert_int_equal(a->tx[0], sa.current);
	assert_int_equal(b->tx[0], sb.current);
	assert_int_equal(sa.is_initiator + sb.is_initiator, 1);
	world_free(w);
}

static void simultaneous_initiations_settle_on_one_session(void **state)
{
	for (uint64_t seed = 0; seed < 10; seed++)
		for (unsigned order = 0; order < 256; order++)
			simultaneous(100 + seed, order);
}

static void the_initiator_rekeys_when_it_sends_after_120_seconds(void **state)
{
	struct world *w = world_new_connected(30);
	PAIR(w, a, b);
	uint32_t old = a->tx[0];

	w->now_ns = WORLD_START + 120 * SEC - 1;
	world_tick(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(initiations_of(a), 1);
	w->now_ns += 1;
	world_tick(w);
	node_poll(a);
	assert_int_equal(initiations_of(a), 1);	/* nothing was sent since */
	assert_true(talks_both_ways(w));
	world_settle(w);
	assert_int_equal(initiations_of(a), 2);
	assert_int_not_equal(a->tx[0], old);
	assert_int_equal(node_sessions(a).previous, old);
	assert_true(talks_both_ways(w));
	assert_int_equal(initiations_of(b), 0);
	world_free(w);
}

static void the_responder_does_not_rekey_for_age(void **state)
{
	struct world *w = world_new_connected(32);
	PAIR(w, a, b);

	w->is_cut = true;
	w->now_ns = WORLD_START + 179 * SEC;
	assert_true(node_send_packet(b, true));
	node_poll(b);
	assert_int_equal(initiations_of(b), 0);
	assert_int_equal(initiations_of(a), 1);
	world_free(w);
}

static void handshake_messages_do_not_count_as_use_of_a_key(void **state)
{
	struct world *w = world_new_connected(33);
	PAIR(w, a, b);
	struct device_peer_config config = peer_config(a);
	struct message message;

	/*
	 * b has forgotten everything and begins anew at 170 s. That a answers it is no reason for a to rekey.
	 */
	w->now_ns = WORLD_START + 170 * SEC;
	device_free(b->device);
	node_start_device(b);
	assert_int_equal(device_add_peer(b->device, w->now_ns, 0, &config), 0);
	device_want_handshake(b->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	node_poll(a);
	assert_int_equal(initiations_of(a), 1);
	world_free(w);
}

static void an_initiator_that_receives_at_165_seconds_rekeys_once(void **state)
{
	struct world *w = world_new_connected(34);
	PAIR(w, a, b);

	w->now_ns = WORLD_START + 165 * SEC - 1;
	assert_true(node_send_packet(b, true));
	node_poll(a);
	assert_int_equal(initiations_of(a), 1);
	w->now_ns += 1;
	assert_true(node_send_packet(b, true));
	w->is_cut = true;
	node_poll(a);
	assert_int_equal(initiations_of(a), 2);
	node_poll(b);
	assert_int_equal(initiations_of(b), 0);
	world_free(w);
}

static void either_side_rekeys_after_2_to_the_60_messages(void **state)
{
	for (int side = 0; side < 2; side++) {
		struct world *w = world_new_connected(35);
		struct node *node = &w->nodes[side];
		uint64_t *counter = &node->counters[node->tx[0] % WORLD_SLOTS];
		unsigned before = initiations_of(node);

		w->now_ns += 20 * SEC;
		*counter = WG_REKEY_AFTER_MESSAGES;
		node_poll(node);
		assert_int_equal(initiations_of(node), before);
		*counter = WG_REKEY_AFTER_MESSAGES + 1;
		node_poll(node);
		assert_int_equal(initiations_of(node), before + 1);
		world_settle(w);
		assert_true(talks_both_ways(w));
		assert_true(node_sessions(node).is_initiator);
		world_free(w);
	}
}

static void a_session_out_of_counters_counts_as_none(void **state)
{
	struct world *w = world_new_connected(36);
	PAIR(w, a, b);

	(void)b;
	w->is_cut = true;
	w->now_ns += 20 * SEC;
	a->counters[a->tx[0] % WORLD_SLOTS] = WG_REJECT_AFTER_MESSAGES;
	node_poll(a);
	device_want_handshake(a->device, w->now_ns, 0);
	assert_int_equal(a->tx[0], 0);
	assert_int_equal(node_sessions(a).current, 0);
	assert_int_equal(a->established, 1);
	world_free(w);
}

static void a_session_is_refused_at_180_seconds_and_its_keys_are_gone_soon_after(void **state)
{
	struct world *w = world_new_connected(37);
	PAIR(w, a, b);

	world_run_until(w, WORLD_START + 180 * SEC - 1);
	assert_true(node_send_packet(a, true));
	assert_true(node_send_packet(b, true));
	world_run_until(w, WORLD_START + 180 * SEC);
	assert_int_equal(a->tx[0] | b->tx[0], 0);
	assert_int_equal(node_stats(a).slots_live, 0);
	assert_false(node_has_no_keys(a));
	world_run_until(w, WORLD_START + 180 * SEC + SESSION_GRACE_NS - 1);
	assert_false(node_has_no_keys(a));
	world_run_until(w, WORLD_START + 180 * SEC + SESSION_GRACE_NS);
	assert_true(node_has_no_keys(a));
	assert_true(node_has_no_keys(b));
	world_free(w);
}

static void nothing_is_left_at_540_seconds_whatever_was_going_on(void **state)
{
	for (int cut = 0; cut < 2; cut++) {
		struct world *w = world_new_connected(38 + cut);
		PAIR(w, a, b);

		/* A rekey is under way when the wire is cut, or is not finished. */
		w->now_ns = WORLD_START + 121 * SEC;
		w->is_cut = cut;
		b->no_confirm = a->no_confirm = true;
		node_send_packet(a, true);
		node_poll(a);
		world_settle(w);
		w->is_cut = true;
		world_run_until(w, w->now_ns + 540 * SEC);
		assert_true(node_has_no_keys(a));
		assert_true(node_has_no_keys(b));
		assert_int_equal(node_stats(a).slots_reserved + node_stats(b).slots_reserved, 0);
		assert_false(node_sessions(a).is_handshaking);
		assert_int_equal(device_next_deadline(a->device), DEVICE_NEVER);
		assert_int_equal(device_next_deadline(b->device), DEVICE_NEVER);
		world_free(w);
	}
}

static void a_passive_keepalive_answers_data_after_ten_seconds(void **state)
{
	struct world *w = world_new_connected(40);
	PAIR(w, a, b);
	unsigned before = b->keepalives;

	/* The last word of the connected pair was b's: it is a who owes an answer. */
	world_run_until(w, WORLD_START + 10 * SEC);
	before = b->keepalives;
	w->now_ns = WORLD_START + 20 * SEC;
	assert_true(node_send_packet(a, true));
	node_poll(a);
	node_poll(b);
	w->now_ns += 10 * SEC - 1;
	world_tick(w);
	assert_int_equal(b->keepalives, before);
	w->now_ns += 1;
	world_tick(w);
	assert_int_equal(b->keepalives, before + 1);
	world_run_until(w, w->now_ns + 60 * SEC);
	assert_int_equal(b->keepalives, before + 1);	/* keepalives are not answered */
	world_free(w);
}

static void an_answer_that_was_sent_saves_the_keepalive(void **state)
{
	struct world *w = world_new_connected(41);
	PAIR(w, a, b);
	unsigned before;

	world_run_until(w, WORLD_START + 12 * SEC);
	before = b->keepalives;
	assert_true(node_send_packet(a, true));
	node_poll(b);
	w->now_ns += 9 * SEC;
	assert_true(node_send_packet(b, true));	/* not polled yet: the timer asks for fresh facts */
	w->now_ns += SEC;
	world_tick(w);
	assert_int_equal(b->keepalives, before);
	world_free(w);
}

static void data_without_reply_for_fifteen_seconds_makes_a_handshake(void **state)
{
	struct world *w = world_new_connected(42);
	PAIR(w, a, b);
	uint64_t due_ns;

	world_run_until(w, WORLD_START + 20 * SEC);
	w->is_cut = true;
	assert_true(node_send_packet(b, true));
	w->now_ns += SEC;
	node_poll(b);
	due_ns = device_next_deadline(b->device);
	assert_in_range(due_ns - WORLD_START, 35 * SEC, 35 * SEC + 333 * MSEC);
	w->now_ns = due_ns - 1;
	device_tick(b->device, w->now_ns);
	assert_int_equal(initiations_of(b), 0);
	w->is_cut = false;
	w->now_ns = due_ns;
	device_tick(b->device, w->now_ns);
	assert_int_equal(initiations_of(b), 1);
	world_settle(w);
	assert_true(talks_both_ways(w));
	assert_int_equal(initiations_of(a), 1);
	world_free(w);
}

static void a_reply_that_was_received_saves_the_handshake(void **state)
{
	struct world *w = world_new_connected(43);
	PAIR(w, a, b);

	world_run_until(w, WORLD_START + 20 * SEC);
	assert_true(node_send_packet(b, true));
	node_poll(b);
	w->now_ns += 14 * SEC;
	assert_true(node_send_packet(a, false));	/* not polled yet */
	w->now_ns += 2 * SEC;
	device_tick(b->device, w->now_ns);
	assert_int_equal(initiations_of(b), 0);
	world_free(w);
}

static void facts_from_the_future_do_not_stop_the_clock(void **state)
{
	const struct device_facts facts = { UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 2, UINT64_MAX - 3, 5 };
	struct world *w = world_new_connected(68);
	PAIR(w, a, b);

	a->facts[0] = b->facts[0] = facts;
	node_poll(a);
	node_poll(b);
	world_run_until(w, w->now_ns + 1000 * SEC);
	assert_true(node_has_no_keys(a) && node_has_no_keys(b));
	world_free(w);
}

static void a_persistent_keepalive_starts_the_handshake_and_keeps_its_interval(void **state)
{
	struct world *w = world_new_pair(44);
	PAIR(w, a, b);
	uint64_t last_ns;

	(void)b;
	assert_int_equal(device_set_peer_keepalive(a->device, w->now_ns, 0, 25), 0);
	world_tick(w);
	assert_int_equal(initiations_of(a), 1);
	assert_true(node_sessions(a).current != 0);
	for (int i = 1; i < 4; i++) {
		node_poll(a);
		last_ns = a->facts[0].tx_ns;
		w->now_ns = last_ns + 25 * SEC - 1;
		world_tick(w);
		assert_int_equal(a->keepalives, i - 1);
		w->now_ns += 1;
		world_tick(w);
		assert_int_equal(a->keepalives, i);
	}
	assert_int_equal(device_set_peer_keepalive(a->device, w->now_ns, 0, 0), 0);
	world_run_until(w, w->now_ns + 60 * SEC);
	assert_int_equal(a->keepalives, 3);
	world_free(w);
}

static void a_persistent_keepalive_never_stops_trying(void **state)
{
	struct world *w = world_new_pair(45);
	PAIR(w, a, b);

	(void)b;
	w->is_cut = true;
	device_set_peer_keepalive(a->device, w->now_ns, 0, 25);
	world_run_until(w, w->now_ns + 600 * SEC);
	assert_in_range(a->gave_up, 4, 7);
	w->is_cut = false;
	world_run_until(w, w->now_ns + 31 * SEC);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void a_busy_tunnel_never_stands_still(void **state)
{
	struct world *w = world_new_connected(46);
	PAIR(w, a, b);

	for (int second = 0; second < 1000; second++) {
		world_run_until(w, w->now_ns + SEC);
		assert_true(talks_both_ways(w));
	}
	assert_in_range(initiations_of(a) + initiations_of(b), 8, 10);
	assert_in_range(node_stats(a).slots_live, 1, 2);
	assert_int_equal(a->gave_up + b->gave_up, 0);
	world_free(w);
}

static void one_sided_traffic_keeps_the_tunnel_too(void **state)
{
	for (int side = 0; side < 2; side++) {
		struct world *w = world_new_connected(47);
		struct node *node = &w->nodes[side];

		for (int second = 0; second < 1000; second++) {
			world_run_until(w, w->now_ns + SEC);
			assert_true(node_send_packet(node, true));
			node_poll(&w->nodes[0]);
			node_poll(&w->nodes[1]);
			world_settle(w);
		}
		/* Passive keepalives come, so nobody thinks the other dead. */
		assert_int_equal(node->gave_up, 0);
		assert_in_range(initiations_of(&w->nodes[0]) + initiations_of(&w->nodes[1]), 6, 10);
		world_free(w);
	}
}

static void a_rekey_never_leaves_a_gap_for_packets_in_flight(void **state)
{
	struct world *w = world_new_connected(48);
	PAIR(w, a, b);
	struct message message;

	w->now_ns = WORLD_START + 125 * SEC;
	assert_true(node_send_packet(a, true));
	node_poll(a);
	message = next_message(w, WG_INITIATION);
	assert_true(talks_both_ways(w));
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	message = next_message(w, WG_RESPONSE);
	assert_true(talks_both_ways(w));
	assert_int_equal(message_deliver(&message), HANDSHAKE_RESPONSE);
	/* a sends on the new session, b still on the old one until it has seen that. */
	assert_true(node_send_packet(b, true));
	assert_true(node_send_packet(a, true));
	assert_true(node_send_packet(b, true));
	assert_int_equal(b->sessions[b->tx[0] % WORLD_SLOTS].remote_index, a->tx[0]);
	world_free(w);
}

static void a_promotion_that_comes_too_late_does_not_turn_the_sender_back(void **state)
{
	struct world *w = world_new_connected(49);
	PAIR(w, a, b);
	uint32_t old = node_sessions(b).current, fresh;

	w->now_ns = WORLD_START + 125 * SEC;
	node_send_packet(a, true);
	node_poll(a);
	world_settle(w);
	fresh = node_sessions(b).current;
	assert_int_not_equal(fresh, old);
	assert_int_equal(node_sessions(b).previous, old);
	b->tx[0] = old;	/* as the data path would have it */
	assert_int_equal(device_session_promoted(b->device, w->now_ns, old), 0);
	assert_int_equal(b->tx[0], fresh);
	assert_int_equal(device_session_promoted(b->device, w->now_ns, fresh), 0);
	assert_int_equal(b->done, 2);
	assert_int_equal(device_session_promoted(b->device, w->now_ns, fresh ^ 0x80000000), -ENOENT);
	assert_int_equal(device_session_promoted(b->device, w->now_ns, 0), -ENOENT);
	world_free(w);
}

/* Node @index's process ends and another one takes over what is in the maps. */
static void restart(struct world *w, struct node *node)
{
	struct device_peer_config config = peer_config(node_other(node));

	device_free(node->device);
	node_start_device(node);
	memcpy(config.timestamp, node->timestamp, WG_TIMESTAMP_LEN);
	config.endpoint = node->endpoints[0];
	config.stats = node->stats;
	assert_int_equal(device_add_peer(node->device, w->now_ns, 0, &config), 0);
	for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
		const struct talon_session *session = &node->sessions[slot];
		struct talon_session none;

		memset(&none, 0, sizeof(none));
		if (session->index)
			device_adopt_session(node->device, w->now_ns, session, node->states[slot],
				node->tx[0] == session->index);
		else if (memcmp(session, &none, sizeof(none)) != 0)
			assert_int_equal(device_adopt_retired(node->device, w->now_ns, slot), 0);
	}
}

static void a_new_process_goes_on_with_the_sessions_it_finds(void **state)
{
	struct world *w = world_new_connected(50);
	PAIR(w, a, b);
	uint32_t index = a->tx[0];

	w->now_ns += 30 * SEC;
	restart(w, a);
	restart(w, b);
	assert_int_equal(a->tx[0], index);
	assert_true(talks_both_ways(w));
	assert_true(node_sessions(a).is_initiator);
	assert_int_equal(node_sessions(a).current_birth_ns, WORLD_START);

	/* The rekey comes when it would have come, from who would have asked for it. */
	w->now_ns = WORLD_START + 120 * SEC - 1;
	assert_true(talks_both_ways(w));
	assert_int_equal(initiations_of(a), 0);
	w->now_ns += 1;
	assert_true(talks_both_ways(w));
	world_settle(w);
	assert_int_equal(initiations_of(a), 1);
	assert_int_equal(initiations_of(b), 0);
	assert_int_equal(a->stats.handshakes, 2);
	assert_int_not_equal(a->tx[0], index);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void an_adopted_next_session_is_still_confirmed_by_its_first_packet(void **state)
{
	struct world *w = world_new_pair(51);
	PAIR(w, a, b);

	a->no_confirm = true;
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	restart(w, b);
	assert_int_not_equal(node_sessions(b).next, 0);
	assert_true(node_send_packet(a, true));
	assert_int_equal(node_sessions(b).next, 0);
	assert_int_equal(b->tx[0], node_sessions(b).current);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void adopted_sessions_that_are_too_old_are_retired(void **state)
{
	static const struct {
		uint64_t age_ns;
		int ret;
	} cases[] = { { 180 * SEC - 1, 0 }, { 180 * SEC, -ESTALE } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new_connected(52);
		PAIR(w, a, b);
		struct device_peer_config config = peer_config(b);
		uint32_t slot = a->tx[0] % WORLD_SLOTS;

		device_free(a->device);
		node_start_device(a);
		w->now_ns = WORLD_START + cases[i].age_ns;
		assert_int_equal(device_adopt_session(a->device, w->now_ns, &a->sessions[slot],
			TALON_SESSION_CURRENT, true), -ENOENT);
		assert_int_equal(device_add_peer(a->device, w->now_ns, 0, &config), 0);
		assert_int_equal(device_adopt_session(a->device, w->now_ns, &a->sessions[slot],
			TALON_SESSION_CURRENT, true), cases[i].ret);
		world_run_until(w, w->now_ns + SESSION_GRACE_NS + 1);
		assert_true(node_has_no_keys(a));
		world_free(w);
	}
}

static void of_two_adopted_sessions_for_one_place_the_younger_stays(void **state)
{
	for (int order = 0; order < 2; order++) {
		struct world *w = world_new_pair(53);
		PAIR(w, a, b);

		(void)b;
		for (int i = 0; i < 2; i++) {
			uint32_t slot = 3 + (i ^ order);
			struct talon_session session = { .index = 0x1000 * WORLD_SLOTS + slot, .peer = 0,
							 .birth_ns = WORLD_START - 100 * SEC + slot };

			a->sessions[slot] = session;
			assert_int_equal(device_adopt_session(a->device, w->now_ns, &session,
				TALON_SESSION_CURRENT, false), 0);
		}
		assert_int_equal(node_sessions(a).previous % WORLD_SLOTS, 4);
		assert_int_equal(a->sessions[3].index, 0);
		assert_int_not_equal(a->sessions[4].index, 0);
		world_free(w);
	}
}

static void keys_that_an_earlier_process_left_retired_are_overwritten(void **state)
{
	struct world *w = world_new_connected(54);
	PAIR(w, a, b);

	(void)b;
	world_run_until(w, WORLD_START + 180 * SEC);
	assert_false(node_has_no_keys(a));
	restart(w, a);
	world_run_until(w, w->now_ns + SESSION_GRACE_NS - 1);
	assert_false(node_has_no_keys(a));
	world_run_until(w, w->now_ns + 1);
	assert_true(node_has_no_keys(a));
	world_free(w);
}

/* Enough wrong initiations with a right mac1 to make @node ask for cookies. */
static void put_under_load(struct node *node)
{
	struct message junk = { .from = node_other(node), .len = WG_INITIATION_LEN,
		.bytes = { WG_INITIATION } };

	for (int i = 0; i <= COOKIE_LOAD_PER_SECOND; i++) {
		fix_mac1(&junk);
		message_deliver(&junk);
	}
	node->world->queued = 0;	/* the cookies for nobody */
	assert_true(node_stats(node).under_load);
}

static void under_load_a_handshake_takes_a_cookie_first(void **state)
{
	struct world *w = world_new_pair(55);
	PAIR(w, a, b);
	struct message message;

	put_under_load(b);
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_NEEDS_COOKIE);
	assert_int_equal(node_stats(b).slots_reserved + node_stats(b).slots_live, 0);
	message = next_message(w, WG_COOKIE);
	assert_int_equal(message.peer, TALON_PEER_NONE);
	assert_true(message.len < WG_INITIATION_LEN);	/* nothing to amplify with */
	assert_int_equal(message_deliver(&message), HANDSHAKE_COOKIE);
	assert_int_equal(message_deliver(&message), HANDSHAKE_UNEXPECTED_COOKIE);

	/* The cookie goes with the retry. */
	w->now_ns = device_next_deadline(a->device);
	put_under_load(b);
	world_tick(w);
	assert_true(talks_both_ways(w));
	assert_true(node_stats(b).under_load);
	world_free(w);
}

static void under_load_responses_need_a_cookie_too(void **state)
{
	struct world *w = world_new_pair(56);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	message = next_message(w, WG_RESPONSE);
	put_under_load(a);
	assert_int_equal(message_deliver(&message), HANDSHAKE_NEEDS_COOKIE);
	message = next_message(w, WG_COOKIE);
	assert_int_equal(message_deliver(&message), HANDSHAKE_COOKIE);
	w->now_ns = device_next_deadline(a->device);
	put_under_load(a);
	world_tick(w);
	assert_true(talks_both_ways(w));
	(void)b;
	world_free(w);
}

static void forged_cookies_leave_no_trace(void **state)
{
	struct world *w = world_new_pair(57);
	PAIR(w, a, b);
	struct message message;

	put_under_load(b);
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	message_deliver(&message);
	message = next_message(w, WG_COOKIE);
	deliver_flipped(&message, 0, WG_COOKIE_LEN);
	assert_int_equal(message_deliver(&message), HANDSHAKE_COOKIE);
	world_free(w);
}

static void under_load_a_source_with_a_cookie_is_still_rationed(void **state)
{
	struct world *w = world_new_pair(58);
	PAIR(w, a, b);
	struct cookie_maker maker;
	struct message message, flood = { .from = a, .len = WG_INITIATION_LEN, .bytes = { WG_INITIATION } };

	put_under_load(b);
	cookie_maker_init(&maker, b->public_key);
	cookie_add_macs(&maker, w->now_ns, flood.bytes, flood.len);
	assert_int_equal(message_deliver(&flood), HANDSHAKE_NEEDS_COOKIE);
	message = next_message(w, WG_COOKIE);
	assert_int_equal(cookie_consume_reply(&maker, w->now_ns, (struct wg_cookie *)message.bytes), 0);
	for (int i = 0; i < 10; i++) {
		cookie_add_macs(&maker, w->now_ns, flood.bytes, flood.len);
		assert_int_equal(message_deliver(&flood),
			i < COOKIE_RATE_BURST ? HANDSHAKE_DECRYPT_FAILED : HANDSHAKE_RATE_LIMITED);
	}
	world_free(w);
}

static void a_full_slot_table_refuses_and_recovers(void **state)
{
	struct world *w = world_new_pair(59);
	PAIR(w, a, b);
	struct message message;

	for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++)
		assert_int_equal(device_adopt_retired(b->device, w->now_ns, slot), 0);
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_NO_SLOT);
	assert_int_equal(b->saved, 0);
	device_want_handshake(b->device, w->now_ns, 0);
	assert_int_equal(w->queued, 0);
	assert_int_equal(initiations_of(b), 0);
	world_run_until(w, w->now_ns + 6 * SEC);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void a_map_that_cannot_be_written_gives_no_half_session(void **state)
{
	struct world *w = world_new_pair(60);
	PAIR(w, a, b);
	struct message message;

	b->publish_error = -EIO;
	device_want_handshake(a->device, w->now_ns, 0);
	message = next_message(w, WG_INITIATION);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INTERNAL);
	assert_int_equal(w->queued, 0);
	assert_int_equal(node_sessions(b).next, 0);
	b->publish_error = 0;
	/* it was not counted as seen */
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);

	a->publish_error = -EIO;
	message = next_message(w, WG_RESPONSE);
	assert_int_equal(message_deliver(&message), HANDSHAKE_INTERNAL);
	assert_int_equal(a->tx[0], 0);
	assert_int_equal(a->established, 0);
	a->publish_error = 0;
	world_run_until(w, w->now_ns + 6 * SEC);
	assert_true(talks_both_ways(w));
	assert_true(node_stats(a).map_errors >= 1);
	world_free(w);
}

static void removing_a_peer_ends_its_sessions_and_attempts(void **state)
{
	struct world *w = world_new_connected(61);
	PAIR(w, a, b);
	struct device_peer_config config = peer_config(b);

	w->now_ns += 121 * SEC;
	device_start_handshake(a->device, w->now_ns, 0);
	assert_int_equal(node_stats(a).slots_reserved, 1);
	assert_int_equal(device_remove_peer(a->device, w->now_ns, 0), 0);
	assert_int_equal(device_remove_peer(a->device, w->now_ns, 0), -ENOENT);
	assert_int_equal(a->tx[0], 0);
	assert_int_equal(node_stats(a).slots_reserved + node_stats(a).slots_live, 0);
	assert_int_equal(node_stats(a).peers, 0);
	assert_int_equal(device_find_peer(a->device, b->public_key), TALON_PEER_NONE);
	world_settle(w);
	w->now_ns += SESSION_GRACE_NS;
	device_tick(a->device, w->now_ns);
	assert_true(node_has_no_keys(a));
	assert_int_equal(device_next_deadline(a->device), DEVICE_NEVER);
	assert_int_equal(device_add_peer(a->device, w->now_ns, 0, &config), 0);
	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_true(talks_both_ways(w));
	world_free(w);
}

static void freeing_a_device_leaves_its_sessions_to_a_successor(void **state)
{
	struct world *w = world_new_connected(63);
	PAIR(w, a, b);

	device_free(a->device);
	a->device = NULL;
	assert_true(node_send_packet(a, true));
	assert_true(node_send_packet(b, true));
	world_free(w);
}

static void peers_are_refused_that_could_not_work(void **state)
{
	struct world *w = world_new_pair(64);
	PAIR(w, a, b);
	struct device_peer_config config = peer_config(b);

	assert_int_equal(device_add_peer(a->device, w->now_ns, 1, &config), -EEXIST);
	config.public_key[0] ^= 1;
	assert_int_equal(device_add_peer(a->device, w->now_ns, 0, &config), -EEXIST);
	assert_int_equal(device_add_peer(a->device, w->now_ns, WORLD_PEERS, &config), -EINVAL);
	memset(config.public_key, 0, KEY_LEN);
	assert_int_equal(device_add_peer(a->device, w->now_ns, 1, &config), -EKEYREJECTED);
	memcpy(config.public_key, a->public_key, KEY_LEN);
	assert_int_equal(device_add_peer(a->device, w->now_ns, 1, &config), -EINVAL);
	assert_int_equal(device_want_handshake(a->device, w->now_ns, 1), -ENOENT);
	assert_int_equal(device_peer_facts(a->device, w->now_ns, 1, &(struct device_facts){ 0 }), -ENOENT);
	assert_int_equal(node_stats(a).peers, 1);
	world_free(w);
}

static void devices_are_refused_that_could_not_work(void **state)
{
	struct device_config config = { .private_key = { { 1 } }, .peers_max = 4, .slots = 16 };
	struct device_ops ops = world_ops;
	struct device *device;

	config.slots = 17;
	assert_int_equal(device_new(&device, &config, &ops, NULL), -EINVAL);
	config.slots = 16;
	config.peers_max = 0;
	assert_int_equal(device_new(&device, &config, &ops, NULL), -EINVAL);
	config.peers_max = 4;
	ops.set_tx = NULL;
	assert_int_equal(device_new(&device, &config, &ops, NULL), -EINVAL);
	ops = world_ops;
	ops.random = NULL;	/* optional, as read_facts */
	ops.read_facts = NULL;
	assert_int_equal(device_new(&device, &config, &ops, NULL), 0);
	device_free(device);
	memset(&config.private_key, 0, sizeof(config.private_key));
	assert_int_equal(device_new(&device, &config, &ops, NULL), -EKEYREJECTED);
	device_free(NULL);
}

static void initiations_go_on_after_the_clock_was_set_back(void **state)
{
	struct world *w = world_new_connected(65);
	PAIR(w, a, b);

	w->unix_offset_ns = -3600 * (int64_t)SEC;
	w->now_ns += 121 * SEC;
	assert_true(talks_both_ways(w));
	world_settle(w);
	assert_int_equal(drops(b, HANDSHAKE_REPLAYED), 0);
	assert_int_equal(a->done, 2);
	world_free(w);
}

/* CVE-2021-46873: who moves the initiator's clock for a moment must not lock it out for ever. */
static void a_timestamp_from_the_far_future_is_counted_and_not_persisted(void **state)
{
	struct world *w = world_new_pair(66);
	PAIR(w, a, b);
	struct message message;

	device_want_handshake(a->device, w->now_ns, 0);
	world_settle(w);
	assert_int_equal(b->saved, 1);
	w->now_ns += 121 * SEC;
	w->unix_offset_ns = 2 * 86400 * (int64_t)SEC;
	device_start_handshake(a->device, w->now_ns, 0);
	assert_int_equal(node_stats(a).clock_jumps, 1);
	message = next_message(w, WG_INITIATION);
	w->unix_offset_ns = 0;
	assert_int_equal(message_deliver(&message), HANDSHAKE_INITIATION);
	assert_int_equal(node_stats(b).future_timestamps, 1);
	assert_int_equal(b->saved, 1);
	world_free(w);
}

static void every_end_has_a_label_of_its_own(void **state)
{
	for (int i = 0; i < HANDSHAKE_END_COUNT; i++) {
		assert_true(strlen(device_end_help(i)) > 10);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(device_end_label(i), device_end_label(j));
	}
}

/*
 * A device with thousands of peers, each of which is a device of its own for as long as its handshake takes.
 */
#define CROWD 5000

struct crowd {
	uint8_t sent[WG_INITIATION_LEN];
	size_t sent_len;
	struct endpoint sent_to;
	uint32_t live;
};

static int crowd_send(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len)
{
	struct crowd *crowd = ctx;

	memcpy(crowd->sent, bytes, len);
	crowd->sent_len = len;
	crowd->sent_to = *to;
	return 0;
}

static int crowd_publish(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	((struct crowd *)ctx)->live++;
	return 0;
}

static int crowd_slot(void *ctx, uint32_t slot)
{
	return 0;
}

static int crowd_tx(void *ctx, uint32_t peer, uint32_t index)
{
	return 0;
}

static int crowd_endpoint(void *ctx, uint32_t peer, const struct endpoint *endpoint)
{
	return 0;
}

static int crowd_keepalive(void *ctx, uint32_t peer)
{
	return 0;
}

static void crowd_established(void *ctx, uint32_t peer, bool must_send)
{
}

static void crowd_gave_up(void *ctx, uint32_t peer)
{
}

static void crowd_done(void *ctx, uint32_t peer, const struct device_peer_stats *stats)
{
}

static void crowd_save(void *ctx, uint32_t peer, const uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
}

static uint64_t crowd_unix(void *ctx)
{
	return WORLD_UNIX;
}

static const struct device_ops crowd_ops = {
	.unix_ns = crowd_unix,
	.send = crowd_send,
	.publish_session = crowd_publish,
	.clear_session = crowd_slot,
	.wipe_session = crowd_slot,
	.set_tx = crowd_tx,
	.set_endpoint = crowd_endpoint,
	.send_keepalive = crowd_keepalive,
	.established = crowd_established,
	.gave_up = crowd_gave_up,
	.handshake_done = crowd_done,
	.save_timestamp = crowd_save,
};

static void five_thousand_peers_shake_hands(void **state)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd)), *member = calloc(1, sizeof(*member));
	struct device_config config = { .private_key = { { 1 } }, .peers_max = CROWD, .slots = 32768 };
	struct device_config member_config = { .peers_max = 1, .slots = 2 };
	struct endpoint hub_at = endpoint_v4("192.0.2.1", 51820);
	struct device *hub, *device;
	uint64_t now_ns = WORLD_START;
	struct device_stats stats;

	assert_int_equal(device_new(&hub, &config, &crowd_ops, crowd), 0);
	for (uint32_t i = 0; i < CROWD; i++) {
		struct device_peer_config hub_config = { .endpoint = hub_at }, peer = { .keepalive_s = 25 };

		memcpy(member_config.private_key.bytes, &(uint32_t[]){ (i + 1) << 3, 77 }, 8);
		assert_int_equal(device_new(&device, &member_config, &crowd_ops, member), 0);
		memcpy(peer.public_key, device_public_key(device), KEY_LEN);
		assert_int_equal(device_add_peer(hub, now_ns, i, &peer), 0);
		assert_int_equal(device_find_peer(hub, peer.public_key), i);
		memcpy(hub_config.public_key, device_public_key(hub), KEY_LEN);
		assert_int_equal(device_add_peer(device, now_ns, 0, &hub_config), 0);

		assert_int_equal(device_want_handshake(device, now_ns, 0), 0);
		now_ns += 10 * MSEC;
		assert_int_equal(device_message(hub, now_ns, &hub_at, member->sent, member->sent_len),
			HANDSHAKE_INITIATION);
		assert_int_equal(device_message(device, now_ns, &hub_at, crowd->sent, crowd->sent_len),
			HANDSHAKE_RESPONSE);
		assert_int_equal(device_tick(hub, now_ns) > now_ns, 1);
		device_free(device);
	}
	device_get_stats(hub, &stats);
	assert_int_equal(stats.peers, CROWD);
	assert_int_equal(stats.slots_live, CROWD);
	assert_int_equal(crowd->live, CROWD);
	assert_int_equal(stats.ends[HANDSHAKE_INITIATION], CROWD);
	now_ns += 180 * SEC;
	device_tick(hub, now_ns);
	device_tick(hub, now_ns + SESSION_GRACE_NS);
	device_get_stats(hub, &stats);
	assert_int_equal(stats.slots_live, 0);
	assert_int_equal(stats.slots_retired, 0);
	for (uint32_t i = 0; i < CROWD; i++)
		assert_int_equal(device_remove_peer(hub, now_ns, i), 0);
	device_free(hub);
	free(crowd);
	free(member);
}

/*
 * A wire that loses, repeats and swaps messages, and clocks that go on: however it goes, it must end in a
 * working tunnel.
 */
static void a_bad_wire_delays_but_does_not_break(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct world *w = world_new_pair(1000 + seed);
		PAIR(w, a, b);

		for (int step = 0; step < 400; step++) {
			struct message message;
			uint64_t dice = world_random(w);

			w->now_ns += world_random(w) % (2 * SEC);
			device_tick(a->device, w->now_ns);
			device_tick(b->device, w->now_ns);
			if (dice & 1)
				device_want_handshake((dice & 2 ? a : b)->device, w->now_ns, 0);
			if (dice & 4)
				node_send_packet(dice & 8 ? a : b, dice & 16);
			if (message_pop(w, &message) && (dice & 0x60)) {
				message_deliver(&message);
				if (dice & 0x80)
					message_deliver(&message);
			}
			for (int i = 0; i < 2; i++) {
				if (w->nodes[i].confirm[0] && world_random(w) & 1)
					node_send_packet(&w->nodes[i], false);
				w->nodes[i].confirm[0] = false;
				node_poll(&w->nodes[i]);
			}
		}
		w->queued = 0;
		world_run_until(w, w->now_ns + 200 * SEC);
		device_want_handshake(a->device, w->now_ns, 0);
		world_run_until(w, w->now_ns + 12 * SEC);
		assert_true(talks_both_ways(w));
		world_run_until(w, w->now_ns + 700 * SEC);
		assert_true(node_has_no_keys(a) && node_has_no_keys(b));
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_lets_packets_through_both_ways),
		cmocka_unit_test(published_sessions_say_what_the_data_path_needs),
		cmocka_unit_test(a_preshared_key_works_when_both_have_it),
		cmocka_unit_test(an_adopted_peer_makes_no_handshake_before_its_preshared_key_is_known),
		cmocka_unit_test(a_wrong_preshared_key_gives_no_session),
		cmocka_unit_test(the_responder_sends_nothing_before_the_first_packet),
		cmocka_unit_test(held_packets_wait_for_the_session_they_asked_for),
		cmocka_unit_test(a_lost_sending_slot_is_put_back_when_a_packet_asks),
		cmocka_unit_test(forged_messages_leave_no_trace_and_get_no_answer),
		cmocka_unit_test(a_forged_mac1_is_dropped_for_every_bit_of_it),
		cmocka_unit_test(only_messages_of_the_right_size_and_type_are_looked_at),
		cmocka_unit_test(strangers_get_no_answer),
		cmocka_unit_test(a_replayed_initiation_leaves_no_trace),
		cmocka_unit_test(an_initiation_behind_a_newer_one_leaves_the_session_alone),
		cmocka_unit_test(a_replay_is_refused_by_a_process_that_was_told_the_timestamp),
		cmocka_unit_test(recorded_initiations_are_answered_in_their_order_only),
		cmocka_unit_test(fifty_initiations_a_second_are_enough_for_a_peer),
		cmocka_unit_test(an_endpoint_moves_with_authentic_handshake_messages_only),
		cmocka_unit_test(a_pinned_peer_is_answered_at_its_source_but_called_at_its_own_endpoint),
		cmocka_unit_test(a_pinned_peer_that_is_let_roam_is_followed_again),
		cmocka_unit_test(a_handshake_under_way_starts_anew_when_the_path_changes),
		cmocka_unit_test(a_path_that_changes_right_after_an_initiation_does_not_cost_the_answer),
		cmocka_unit_test(a_path_that_changes_right_after_a_lost_initiation_costs_a_tenth_of_a_second),
		cmocka_unit_test(a_peer_that_was_reset_begins_with_a_handshake_at_once),
		cmocka_unit_test(a_peer_without_endpoint_has_to_speak_first),
		cmocka_unit_test(a_lost_initiation_is_repeated_after_five_seconds_and_jitter),
		cmocka_unit_test(a_lost_response_is_made_up_for_by_the_next_initiation),
		cmocka_unit_test(an_answer_to_the_initiation_before_is_too_late),
		cmocka_unit_test(an_attempt_is_given_up_after_ninety_seconds),
		cmocka_unit_test(packets_do_not_make_an_attempt_faster_or_longer),
		cmocka_unit_test(who_just_answered_waits_five_seconds_before_initiating),
		cmocka_unit_test(simultaneous_initiations_settle_on_one_session),
		cmocka_unit_test(the_initiator_rekeys_when_it_sends_after_120_seconds),
		cmocka_unit_test(the_responder_does_not_rekey_for_age),
		cmocka_unit_test(handshake_messages_do_not_count_as_use_of_a_key),
		cmocka_unit_test(an_initiator_that_receives_at_165_seconds_rekeys_once),
		cmocka_unit_test(either_side_rekeys_after_2_to_the_60_messages),
		cmocka_unit_test(a_session_out_of_counters_counts_as_none),
		cmocka_unit_test(a_session_is_refused_at_180_seconds_and_its_keys_are_gone_soon_after),
		cmocka_unit_test(nothing_is_left_at_540_seconds_whatever_was_going_on),
		cmocka_unit_test(a_passive_keepalive_answers_data_after_ten_seconds),
		cmocka_unit_test(an_answer_that_was_sent_saves_the_keepalive),
		cmocka_unit_test(data_without_reply_for_fifteen_seconds_makes_a_handshake),
		cmocka_unit_test(a_reply_that_was_received_saves_the_handshake),
		cmocka_unit_test(facts_from_the_future_do_not_stop_the_clock),
		cmocka_unit_test(a_persistent_keepalive_starts_the_handshake_and_keeps_its_interval),
		cmocka_unit_test(a_persistent_keepalive_never_stops_trying),
		cmocka_unit_test(a_busy_tunnel_never_stands_still),
		cmocka_unit_test(one_sided_traffic_keeps_the_tunnel_too),
		cmocka_unit_test(a_rekey_never_leaves_a_gap_for_packets_in_flight),
		cmocka_unit_test(a_promotion_that_comes_too_late_does_not_turn_the_sender_back),
		cmocka_unit_test(a_new_process_goes_on_with_the_sessions_it_finds),
		cmocka_unit_test(an_adopted_next_session_is_still_confirmed_by_its_first_packet),
		cmocka_unit_test(adopted_sessions_that_are_too_old_are_retired),
		cmocka_unit_test(of_two_adopted_sessions_for_one_place_the_younger_stays),
		cmocka_unit_test(keys_that_an_earlier_process_left_retired_are_overwritten),
		cmocka_unit_test(under_load_a_handshake_takes_a_cookie_first),
		cmocka_unit_test(under_load_responses_need_a_cookie_too),
		cmocka_unit_test(forged_cookies_leave_no_trace),
		cmocka_unit_test(under_load_a_source_with_a_cookie_is_still_rationed),
		cmocka_unit_test(a_full_slot_table_refuses_and_recovers),
		cmocka_unit_test(a_map_that_cannot_be_written_gives_no_half_session),
		cmocka_unit_test(removing_a_peer_ends_its_sessions_and_attempts),
		cmocka_unit_test(freeing_a_device_leaves_its_sessions_to_a_successor),
		cmocka_unit_test(peers_are_refused_that_could_not_work),
		cmocka_unit_test(devices_are_refused_that_could_not_work),
		cmocka_unit_test(initiations_go_on_after_the_clock_was_set_back),
		cmocka_unit_test(a_timestamp_from_the_far_future_is_counted_and_not_persisted),
		cmocka_unit_test(every_end_has_a_label_of_its_own),
		cmocka_unit_test(five_thousand_peers_shake_hands),
		cmocka_unit_test(a_bad_wire_delays_but_does_not_break),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
