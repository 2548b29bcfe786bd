// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Handshake messages in and out, and the sessions they make.
#include "session/device_internal.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

static void note_sent(struct peer *peer, uint64_t now_ns, size_t len)
{
	peer->stats.tx_bytes += len;
	peer->handshake_sent_ns = now_ns;
	liveness_update(&peer->liveness, 0, now_ns, 0, 0);
}

/* Adds the macs and sends. An error is only counted: a lost message is repeated by the initiator. */
static void send_handshake(struct device *device, struct peer *peer, uint64_t now_ns,
	const struct endpoint *to, void *message, size_t len)
{
	cookie_add_macs(&peer->cookie, now_ns, message, len);
	if (device->ops.send(device->ctx, peer->id, to, message, len) < 0)
		device->stats.send_errors++;
	note_sent(peer, now_ns, len);
}

static void retire_pairs(struct device *device, const struct keypairs *pairs, uint64_t now_ns)
{
	session_table_retire(device->table, now_ns, pairs->previous.index);
	session_table_retire(device->table, now_ns, pairs->current.index);
	session_table_retire(device->table, now_ns, pairs->next.index);
}

static void set_tx(struct device *device, struct peer *peer)
{
	device_count_map(device, device->ops.set_tx(device->ctx, peer->id, peer->pairs.current.index));
}

/* Switches the sending session before it clears the old ones, so that packets always have a key. */
static void move_pairs(struct device *device, struct peer *peer, uint64_t now_ns, enum keypairs_event event,
	const struct keypair *fresh)
{
	uint32_t before = peer->pairs.current.index;
	struct keypairs retired;

	keypairs_step(&peer->pairs, event, fresh, &retired);
	if (peer->pairs.current.index != before) {
		peer->send_counter = 0;
		peer->rekeyed_on_receive = false;
		set_tx(device, peer);
	}
	retire_pairs(device, &retired, now_ns);
}

bool handshake_pair_is_usable(const struct peer *peer, const struct keypair *pair, uint64_t now_ns)
{
	if (!pair->index || device_elapsed_ns(now_ns, pair->birth_ns) >= REJECT_AFTER_TIME_NS)
		return false;
	return pair != &peer->pairs.current || peer->send_counter < WG_REJECT_AFTER_MESSAGES;
}

void handshake_expire(struct device *device, struct peer *peer, uint64_t now_ns)
{
	struct keypair *pairs[] = { &peer->pairs.previous, &peer->pairs.current, &peer->pairs.next };

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint32_t index = pairs[i]->index;

		if (!index || handshake_pair_is_usable(peer, pairs[i], now_ns))
			continue;
		*pairs[i] = (struct keypair){ 0 };
		if (pairs[i] == &peer->pairs.current)
			set_tx(device, peer);
		session_table_retire(device->table, now_ns, index);
	}
}

/* Forgets our initiation: a response to it is no longer accepted. */
static void forget_initiation(struct device *device, struct peer *peer)
{
	session_table_release(device->table, peer->handshake.local_index);
	noise_handshake_wipe(&peer->handshake);
}

void handshake_drop_all(struct device *device, struct peer *peer, uint64_t now_ns)
{
	struct keypairs pairs = peer->pairs;

	forget_initiation(device, peer);
	peer->attempt = ATTEMPT_IDLE;
	peer->pairs = (struct keypairs){ 0 };
	set_tx(device, peer);
	retire_pairs(device, &pairs, now_ns);
}

static struct tai64n next_label(struct device *device, struct peer *peer, uint64_t now_ns)
{
	bool jumped;

	peer->label_sent = tai64n_next(&device->clock, device->ops.unix_ns(device->ctx), now_ns,
		&peer->label_sent, &jumped);
	if (jumped)
		device->stats.clock_jumps++;
	return peer->label_sent;
}

/* Without a free slot the attempt goes on as if the message had been lost: the retry may find one. */
static void send_initiation(struct device *device, struct peer *peer, uint64_t now_ns)
{
	struct wg_initiation message;
	struct secret_key ephemeral;
	struct tai64n label;
	uint32_t index;

	peer->attempt_at_ns = now_ns + REKEY_TIMEOUT_NS + device_jitter_ns(device);
	forget_initiation(device, peer);
	if (noise_remote_prepare(&peer->remote, &device->local) < 0 ||
	    session_table_reserve(device->table, peer->id, &index) < 0)
		return;
	label = next_label(device, peer, now_ns);
	device->ops.random(device->ctx, ephemeral.bytes, KEY_LEN);
	if (noise_create_initiation(&peer->handshake, &device->local, &peer->remote, &label, &ephemeral,
		index, &message) < 0) {
		session_table_release(device->table, index);
		goto out;
	}
	send_handshake(device, peer, now_ns, &peer->endpoint, &message, sizeof(message));
	device->stats.initiations_sent++;
out:
	secret_key_wipe(&ephemeral);
}

static void step_attempt(struct device *device, struct peer *peer, uint64_t now_ns, enum attempt_event event)
{
	switch (attempt_step(&peer->attempt, event)) {
	case ATTEMPT_NOTHING:
		break;
	case ATTEMPT_BEGIN:
		peer->attempt_began_ns = now_ns;
		send_initiation(device, peer, now_ns);
		break;
	case ATTEMPT_RETRY:
		send_initiation(device, peer, now_ns);
		break;
	case ATTEMPT_WAIT:
		peer->attempt_at_ns = peer->handshake_sent_ns + REKEY_TIMEOUT_NS;
		break;
	case ATTEMPT_END:
		forget_initiation(device, peer);
		break;
	case ATTEMPT_GIVE_UP:
		forget_initiation(device, peer);
		device->stats.gave_up++;
		device->ops.gave_up(device->ctx, peer->id);
		break;
	}
}

void handshake_want(struct device *device, struct peer *peer, uint64_t now_ns)
{
	bool is_early = peer->handshake_sent_ns &&
			device_elapsed_ns(now_ns, peer->handshake_sent_ns) < REKEY_TIMEOUT_NS;

	if (peer->is_unconfirmed) {
		peer->was_put_off = true;
		return;
	}
	if (endpoint_is_known(&peer->endpoint))
		step_attempt(device, peer, now_ns, is_early ? ATTEMPT_WANTED_EARLY : ATTEMPT_WANTED);
}

/* Section 6.2. The times are the peer's, not the session's: its last messages used the current session. */
static bool should_rekey(struct peer *peer)
{
	const struct keypair *current = &peer->pairs.current;

	if (!current->index)
		return false;
	if (peer->send_counter > WG_REKEY_AFTER_MESSAGES)
		return true;
	if (!current->is_initiator)
		return false;
	if (peer->session_tx_ns >= current->birth_ns + REKEY_AFTER_TIME_NS)
		return true;
	if (peer->rekeyed_on_receive || peer->session_rx_ns < current->birth_ns + REKEY_ON_RECEIVE_NS)
		return false;
	peer->rekeyed_on_receive = true;
	return true;
}

void handshake_want_rekey(struct device *device, struct peer *peer, uint64_t now_ns)
{
	if (should_rekey(peer))
		handshake_want(device, peer, now_ns);
}

void handshake_on_timer(struct device *device, struct peer *peer, uint64_t now_ns)
{
	bool is_over = device_elapsed_ns(now_ns, peer->attempt_began_ns) >= REKEY_ATTEMPT_TIME_NS;
	bool is_last = peer->attempt == ATTEMPT_SENT && is_over;

	step_attempt(device, peer, now_ns, is_last ? ATTEMPT_TIMER_LAST : ATTEMPT_TIMER);
}

static void completed(struct device *device, struct peer *peer, uint64_t now_ns)
{
	peer->stats.handshakes++;
	peer->stats.handshake_ns = now_ns;
	peer->stats.handshake_unix_s = device->ops.unix_ns(device->ctx) / TALON_NSEC_PER_SEC;
	device->ops.handshake_done(device->ctx, peer->id, &peer->stats);
}

void handshake_confirmed(struct device *device, struct peer *peer, uint64_t now_ns)
{
	const struct keypair none = { 0 };

	move_pairs(device, peer, now_ns, KEYPAIRS_CONFIRMED, &none);
	step_attempt(device, peer, now_ns, ATTEMPT_CONFIRMED);
	completed(device, peer, now_ns);
	device->ops.established(device->ctx, peer->id, false);
}

/* Whitepaper section 2.1: the newest authentic message says where the peer is. */
static void accept_message(struct device *device, struct peer *peer, uint64_t now_ns,
	const struct endpoint *from, size_t len)
{
	peer->stats.rx_bytes += len;
	liveness_update(&peer->liveness, now_ns, 0, 0, 0);
	if (peer->is_pinned || endpoint_is_equal(&peer->endpoint, from))
		return;
	peer->endpoint = *from;
	device_count_map(device, device->ops.set_endpoint(device->ctx, peer->id, from));
}

/*
 * Turns a finished handshake into a session in the data path. The handshake is wiped; its index is no longer
 * reserved in any case.
 */
static int publish(struct device *device, struct peer *peer, uint64_t now_ns,
	struct noise_handshake *handshake, enum talon_session_state state, struct keypair *ret_pair)
{
	bool i_am_the_initiator = handshake->state == NOISE_CONSUMED_RESPONSE;
	struct talon_session session = {
		.index = handshake->local_index,
		.peer = peer->id,
		.remote_index = handshake->remote_index,
		.flags = i_am_the_initiator ? TALON_SESSION_INITIATOR : 0,
		.birth_ns = now_ns,
	};
	struct noise_keys keys;
	int ret;

	ret = noise_begin_session(handshake, &keys);
	if (ret < 0) {
		session_table_release(device->table, session.index);
		return ret;
	}
	/* RFC 8439 section 2.3 reads a key as little-endian words, and so does every host we run on. */
	memcpy(session.recv_key, keys.recv.bytes, KEY_LEN);
	memcpy(session.send_key, keys.send.bytes, KEY_LEN);
	ret = session_table_publish(device->table, now_ns, &session, state);
	if (ret == 0)
		*ret_pair = (struct keypair){ session.index, i_am_the_initiator, now_ns };
	sodium_memzero(&session, sizeof(session));
	noise_keys_wipe(&keys);
	return ret;
}

/* The peer's state may change only after all these checks. */
static enum handshake_end judge_initiation(const struct peer *peer, uint64_t now_ns,
	const struct tai64n *label)
{
	if (tai64n_compare(label, &peer->label_received) <= 0)
		return HANDSHAKE_REPLAYED;
	if (peer->initiation_ns && device_elapsed_ns(now_ns, peer->initiation_ns) < INITIATION_SPACING_NS)
		return HANDSHAKE_FLOOD;
	return HANDSHAKE_INITIATION;
}

static void commit_label(struct device *device, struct peer *peer, uint64_t now_ns,
	const struct tai64n *label)
{
	peer->label_received = *label;
	peer->initiation_ns = now_ns;
	if (tai64n_is_future(label, device->ops.unix_ns(device->ctx)))
		device->stats.future_timestamps++;
	else
		device->ops.save_timestamp(device->ctx, peer->id, label->bytes);
}

/* Answers an authentic initiation. */
static enum handshake_end respond(struct device *device, struct peer *peer, uint64_t now_ns,
	const struct endpoint *from, struct noise_handshake *handshake, const struct tai64n *label)
{
	struct wg_response response;
	struct secret_key ephemeral;
	struct keypair pair;
	uint32_t index;
	int ret;

	if (session_table_reserve(device->table, peer->id, &index) < 0)
		return HANDSHAKE_NO_SLOT;
	device->ops.random(device->ctx, ephemeral.bytes, KEY_LEN);
	ret = noise_create_response(handshake, &peer->remote, &ephemeral, index, &response);
	secret_key_wipe(&ephemeral);
	if (ret < 0) {
		session_table_release(device->table, index);
		return HANDSHAKE_DECRYPT_FAILED;
	}
	if (publish(device, peer, now_ns, handshake, TALON_SESSION_NEXT, &pair) < 0)
		return HANDSHAKE_INTERNAL;

	commit_label(device, peer, now_ns, label);
	accept_message(device, peer, now_ns, from, sizeof(struct wg_initiation));
	move_pairs(device, peer, now_ns, KEYPAIRS_RESPONDED, &pair);
	send_handshake(device, peer, now_ns, from, &response, sizeof(response));
	device->stats.responses_sent++;
	return HANDSHAKE_INITIATION;
}

static enum handshake_end on_initiation(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes)
{
	const struct wg_initiation *message = bytes;
	uint8_t public_key[KEY_LEN];
	struct noise_handshake handshake;
	struct tai64n label;
	struct peer *peer = NULL;
	enum handshake_end end = HANDSHAKE_DECRYPT_FAILED;

	if (noise_read_initiation(&handshake, &device->local, message, public_key) < 0)
		goto out;
	end = HANDSHAKE_UNKNOWN_PEER;
	peer = device_peer_by_key(device, public_key);
	if (!peer)
		goto out;
	end = HANDSHAKE_UNCONFIRMED;
	if (peer->is_unconfirmed)	/* the peer tries again, with a newer timestamp */
		goto out;
	end = HANDSHAKE_DECRYPT_FAILED;
	if (noise_remote_prepare(&peer->remote, &device->local) < 0 ||
	    noise_consume_initiation(&handshake, &peer->remote, message, &label) < 0)
		goto out;
	end = judge_initiation(peer, now_ns, &label);
	if (end != HANDSHAKE_INITIATION)
		goto out;
	end = respond(device, peer, now_ns, from, &handshake, &label);
	device_schedule(device, peer);
out:
	noise_handshake_wipe(&handshake);
	return end;
}

/* Whose initiation reserved the index that the response names. */
static struct peer *peer_of_response(const struct device *device, const struct wg_response *message)
{
	uint32_t id;

	if (session_table_lookup(device->table, le32toh(message->receiver_index), &id) != SLOT_RESERVED)
		return NULL;
	return device_peer(device, id);
}

static enum handshake_end on_response(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes)
{
	const struct wg_response *message = bytes;
	struct peer *peer = peer_of_response(device, message);
	struct keypair pair;
	bool our_key_is_greater;

	if (!peer)
		return HANDSHAKE_UNEXPECTED_RESPONSE;
	if (noise_consume_response(&peer->handshake, &device->local, &peer->remote, message) < 0)
		return HANDSHAKE_DECRYPT_FAILED;
	/* If the map cannot be written the attempt goes on, with another index. */
	if (publish(device, peer, now_ns, &peer->handshake, TALON_SESSION_CURRENT, &pair) < 0)
		return HANDSHAKE_INTERNAL;

	our_key_is_greater = memcmp(device->local.public_key, peer->remote.public_key, KEY_LEN) > 0;
	accept_message(device, peer, now_ns, from, sizeof(*message));
	move_pairs(device, peer, now_ns, keypairs_initiated(&peer->pairs, our_key_is_greater), &pair);
	step_attempt(device, peer, now_ns, ATTEMPT_ANSWERED);
	completed(device, peer, now_ns);
	device->ops.established(device->ctx, peer->id, true);
	device_schedule(device, peer);
	return HANDSHAKE_RESPONSE;
}

/* A cookie answers an initiation of ours (reserved) or a response of ours (live already). */
static enum handshake_end on_cookie(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes)
{
	const struct wg_cookie *message = bytes;
	struct peer *peer;
	uint32_t id;

	switch (session_table_lookup(device->table, le32toh(message->receiver_index), &id)) {
	case SLOT_RESERVED:
	case SLOT_LIVE:
		break;
	default:
		return HANDSHAKE_UNEXPECTED_COOKIE;
	}
	peer = device_peer(device, id);
	switch (peer ? cookie_consume_reply(&peer->cookie, now_ns, message) : -EINVAL) {
	case 0:
		peer->stats.rx_bytes += sizeof(*message);
		return HANDSHAKE_COOKIE;
	case -EINVAL:
		return HANDSHAKE_UNEXPECTED_COOKIE;
	default:
		return HANDSHAKE_BAD_COOKIE;
	}
}

static void send_cookie(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes, size_t len)
{
	struct wg_cookie reply;

	cookie_create_reply(&device->checker, now_ns, bytes, len, from, device->ops.random, device->ctx,
		&reply);
	if (device->ops.send(device->ctx, TALON_PEER_NONE, from, &reply, sizeof(reply)) < 0)
		device->stats.send_errors++;
	device->stats.cookies_sent++;
}

/*
 * Section 5.3: mac1 suffices unless we are under load. Under load we do Diffie-Hellman only for senders that
 * proved their address by a cookie, and at most 20 times a second for each.
 */
static enum handshake_end check_macs(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes, size_t len, enum handshake_end passed)
{
	if (!cookie_check_mac1(&device->checker, bytes, len))
		return HANDSHAKE_BAD_MAC1;
	device->stats.under_load = cookie_load_count(&device->load, now_ns);
	if (!device->stats.under_load)
		return passed;
	if (!cookie_check_mac2(&device->checker, now_ns, bytes, len, from)) {
		send_cookie(device, now_ns, from, bytes, len);
		return HANDSHAKE_NEEDS_COOKIE;
	}
	return cookie_ratelimit_allow(device->ratelimit, now_ns, from) ? passed : HANDSHAKE_RATE_LIMITED;
}

static const struct message_kind {
	size_t len;
	bool has_macs;
	enum handshake_end passed;
	enum handshake_end (*handle)(struct device *device, uint64_t now_ns, const struct endpoint *from,
		const void *bytes);
} kinds[] = {
	[WG_INITIATION]	= { WG_INITIATION_LEN,	true,	HANDSHAKE_INITIATION,	on_initiation },
	[WG_RESPONSE]	= { WG_RESPONSE_LEN,	true,	HANDSHAKE_RESPONSE,	on_response },
	[WG_COOKIE]	= { WG_COOKIE_LEN,	false,	HANDSHAKE_COOKIE,	on_cookie },
};

/* The type is one byte, followed by three zeros. NULL: not a handshake message. */
static const struct message_kind *kind_of(const void *bytes, size_t len)
{
	__le32 type;

	if (len < sizeof(type))
		return NULL;
	memcpy(&type, bytes, sizeof(type));
	type = le32toh(type);
	return type >= WG_INITIATION && type <= WG_COOKIE ? &kinds[type] : NULL;
}

static enum handshake_end handle(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes, size_t len)
{
	const struct message_kind *kind = kind_of(bytes, len);
	enum handshake_end end;

	if (!kind)
		return HANDSHAKE_BAD_TYPE;
	if (len != kind->len)
		return HANDSHAKE_BAD_LENGTH;
	end = kind->has_macs ? check_macs(device, now_ns, from, bytes, len, kind->passed) : kind->passed;
	return end == kind->passed ? kind->handle(device, now_ns, from, bytes) : end;
}

enum handshake_end device_message(struct device *device, uint64_t now_ns, const struct endpoint *from,
	const void *bytes, size_t len)
{
	enum handshake_end end = handle(device, now_ns, from, bytes, len);

	device->stats.ends[end]++;
	return end;
}
