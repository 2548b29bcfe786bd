/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard speaks it (whitepaper section 5.4; Noise revision 34):
 *
 * <- s ... -> e, es, s, ss, {t} <- e, ee, se, psk, {}
 *
 * Messages in, keys out. Macs and cookies are in cookie.h; which peer, replays and rates are the caller's
 * concern. No function changes a handshake unless its message is authentic.
 */
#ifndef TALON_NOISE_NOISE_H
#define TALON_NOISE_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/tai64n.h"
#include "talon/wg_wire.h"

/* Our static key pair. */
struct noise_local {
	struct secret_key private_key;
	uint8_t public_key[KEY_LEN];
};

/* A peer's static key and what all handshakes with it share. */
struct noise_remote {
	uint8_t public_key[KEY_LEN];
	struct secret_key preshared_key;	/* zero: none */
	/* DH of both static keys, computed once by noise_remote_prepare() */
	struct secret_key static_static;
	bool is_prepared;
};

enum noise_state {
	NOISE_NONE,			/* not begun, or wiped */
	NOISE_CREATED_INITIATION,
	NOISE_READ_INITIATION,		/* the static key is decrypted, its owner not yet authenticated */
	NOISE_CONSUMED_INITIATION,
	NOISE_CREATED_RESPONSE,
	NOISE_CONSUMED_RESPONSE,
};

struct noise_handshake {
	enum noise_state state;
	uint32_t local_index;		/* receiver indexes, host order */
	uint32_t remote_index;
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
	struct secret_key ephemeral;	/* ours; the initiator's, until the response */
	uint8_t remote_ephemeral[KEY_LEN];
};

struct noise_keys {
	struct secret_key send;
	struct secret_key recv;
};

/* Sets our key pair. Returns 0, or -EKEYREJECTED for a private key that is all zero. */
int noise_local_init(struct noise_local *local, const struct secret_key *private_key);

/*
 * Sets a peer's keys. @preshared_key may be NULL. Returns 0, or -EKEYREJECTED for a public key of low order.
 */
int noise_remote_set(struct noise_remote *remote, const uint8_t public_key[static KEY_LEN],
	const struct secret_key *preshared_key);

/*
 * Computes the DH of both static keys unless it is done: one X25519, too expensive to do for thousands of
 * peers at the start. Must precede every message created for or consumed from the peer. Returns 0 or
 * -EKEYREJECTED.
 */
int noise_remote_prepare(struct noise_remote *remote, const struct noise_local *local);

void noise_remote_wipe(struct noise_remote *remote);
void noise_handshake_wipe(struct noise_handshake *handshake);
void noise_keys_wipe(struct noise_keys *keys);

/*
 * Section 5.4.2. Begins a new handshake, whatever the state was. @ephemeral: fresh random bytes, used once.
 * @local_index (host order): the receiver index that the response will carry. The macs of
 * @ret_message are zero. Returns 0, or -EKEYREJECTED: then @handshake is wiped.
 */
int noise_create_initiation(struct noise_handshake *handshake, const struct noise_local *local,
	const struct noise_remote *remote, const struct tai64n *timestamp, const struct secret_key *ephemeral,
	uint32_t local_index, struct wg_initiation *ret_message);

/*
 * First half of consuming an initiation: whose static key it claims. @handshake is overwritten. Returns 0,
 * -EBADMSG or -EKEYREJECTED: then @handshake is wiped.
 */
int noise_read_initiation(struct noise_handshake *handshake, const struct noise_local *local,
	const struct wg_initiation *message, uint8_t ret_static[static KEY_LEN]);

/*
 * Second half: authenticates @remote, whose key that is, as its sender. The caller must still refuse a
 * @ret_timestamp that is not greater than the last one. Returns 0, -EBADMSG, or -EINVAL without a preceding
 * noise_read_initiation(): then @handshake is wiped.
 */
int noise_consume_initiation(struct noise_handshake *handshake, const struct noise_remote *remote,
	const struct wg_initiation *message, struct tai64n *ret_timestamp);

/*
 * Section 5.4.3. As noise_create_initiation(), after noise_consume_initiation(). Returns 0,
 * -EINVAL, -EKEYREJECTED.
 */
int noise_create_response(struct noise_handshake *handshake, const struct noise_remote *remote,
	const struct secret_key *ephemeral, uint32_t local_index, struct wg_response *ret_message);

/*
 * The answer to noise_create_initiation(). Returns 0, -EINVAL if none was created or the message names
 * another receiver index, -EBADMSG or -EKEYREJECTED for a forged one: then @handshake is unchanged.
 */
int noise_consume_response(struct noise_handshake *handshake, const struct noise_local *local,
	const struct noise_remote *remote, const struct wg_response *message);

/*
 * Section 5.4.5: transport keys of a finished handshake, which is wiped. Returns 0, or -EINVAL if it
 * is not finished.
 */
int noise_begin_session(struct noise_handshake *handshake, struct noise_keys *ret_keys);

#endif
