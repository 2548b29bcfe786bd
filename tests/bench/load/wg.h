/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One WireGuard session, as the initiator: handshake over a socket, packets sealed and opened. */
#ifndef TALON_TESTS_LOAD_WG_H
#define TALON_TESTS_LOAD_WG_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "noise/noise.h"

#define WG_OVERHEAD (WG_DATA_HEADER_LEN + WG_TAG_LEN)

struct wg {
	struct noise_keys keys;
	uint32_t local_index;
	uint32_t remote_index;
};

/*
 * Asks up to WG_TRIES times over @sock, a UDP socket connected to the peer. Returns 0, -ETIMEDOUT,
 * -EKEYREJECTED, or what the socket said.
 */
int wg_connect(struct wg *ret_wg, int sock, const struct secret_key *private_key,
	const uint8_t peer[static KEY_LEN]);

/* Writes @len + WG_OVERHEAD bytes; @len is a multiple of 16. */
void wg_seal(const struct wg *wg, uint64_t counter, const uint8_t *packet, size_t len, uint8_t *ret_message);

/*
 * @len counts the overhead; writes @len - WG_OVERHEAD bytes. Returns 0, -EINVAL if it is not for this
 * session, or -EBADMSG.
 */
int wg_open(const struct wg *wg, const uint8_t *message, size_t len, uint8_t *ret_packet);

void wg_wipe(struct wg *wg);

#endif
