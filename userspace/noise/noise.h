/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard speaks it (whitepaper section 5.4; Noise revision 34):
 *
 *   <- s
 *   ...
 *   -> e, es, s, ss, {t}
 *   <- e, ee, se, psk, {}
 *
 * Messages in, keys out. Macs and cookies are cookie.h's, policy (which peer, replay, rates) the caller's. No
 * function changes a handshake unless the message it was given is authentic.
 */
#ifndef TALON_NOISE_NOISE_H
#define TALON_NOISE_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/tai64n.h"
#include "talon/wg_wire.h"

/* Our side's long-lived key pair. */
struct noise_local {
	struct secret_key private_key;
	uint8_t public_key[KEY_LEN];
};

/* What we keep of one peer for all its handshakes. */
struct noise_remote {
	uint8_t public_key[KEY_LEN];
	struct secret_key preshared_key;	/* zero: none */
	/* DH of both long-lived keys, computed once: noise_remote_prepare() */
	struct secret_key static_static;
	bool is_prepared;
};

enum noise_state {
	NOISE_NONE,			/* nothing begun, or all is wiped */
	NOISE_CREATED_INITIATION,
	NOISE_READ_INITIATION,		/* sender's static key is known, that it was the sender is not yet */
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
	struct secret_key ephemeral;	/* ours; in the initiator only, until the response is there */
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
 * Computes what both long-lived keys share, unless that was done: one X25519, too much to do for thousands of
 * peers before the first of them speaks. Goes before every message that is created for or consumed from the
 * peer. Returns 0 or -EKEYREJECTED.
 */
int noise_remote_prepare(struct noise_remote *remote, const struct noise_local *local);

void noise_remote_wipe(struct noise_remote *remote);
void noise_handshake_wipe(struct noise_handshake *handshake);
void noise_keys_wipe(struct noise_keys *keys);

/*
 * Section 5.4.2. Begins a handshake anew, whatever its state was. @ephemeral is fresh random bytes, used
 * once. @local_index (host order) is the receiver index that the response will carry. The macs of
 * @ret_message are zero. Returns 0, or -EKEYREJECTED: then @handshake is wiped.
 */
int noise_create_initiation(struct noise_handshake *handshake, const struct noise_local *local,
	const struct noise_remote *remote, const struct tai64n *timestamp, const struct secret_key *ephemeral,
	uint32_t local_index, struct wg_initiation *ret_message);

/*
 * First half of consuming an initiation: who claims to have sent it. @handshake is filled anew. Returns 0,
 * -EBADMSG or -EKEYREJECTED: then @handshake is wiped.
 */
int noise_read_initiation(struct noise_handshake *handshake, const struct noise_local *local,
	const struct wg_initiation *message, uint8_t ret_static[static KEY_LEN]);

/*
 * Second half: @remote, whose key that was, did send it. The caller must still refuse a @ret_timestamp that
 * is not greater than the last one. Returns 0, -EBADMSG, or -EINVAL if noise_read_initiation() did not go
 * before: then @handshake is wiped.
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
 * The answer to noise_create_initiation(). Returns 0, -EINVAL if none was created or the message's receiver
 * index is another's, -EBADMSG or -EKEYREJECTED for a forged one: @handshake is then as it was.
 */
int noise_consume_response(struct noise_handshake *handshake, const struct noise_local *local,
	const struct noise_remote *remote, const struct wg_response *message);

/*
 * Section 5.4.5: transport keys of a finished handshake, which is wiped. Returns 0, or -EINVAL if it
 * is not finished.
 */
int noise_begin_session(struct noise_handshake *handshake, struct noise_keys *ret_keys);

#endif
