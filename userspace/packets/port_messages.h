/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages on the WireGuard port that no device takes: early handshakes, and other protocols. */
#ifndef TALON_PORT_MESSAGES_H
#define TALON_PORT_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

/*
 * Handshake messages that arrive while the datapath is being loaded, before there is a device: dropping
 * them would cost the peer 5 s. At most 64 are kept; freed with free().
 */
struct port_early;

typedef void (*port_early_fn)(void *ctx, const struct endpoint *from, const uint8_t *bytes,
	size_t len);

/* Keeps a copy of the message in *@early, which is NULL at first. Does nothing where there is no room. */
void port_early_keep(struct port_early **early, const struct endpoint *from, const uint8_t *bytes,
	size_t len);
/* Gives all to @take, in their order, and frees them: *@early is NULL afterwards. */
void port_early_replay(struct port_early **early, port_early_fn take, void *ctx);

/* RFC 8489 section 5: two zero bits, a length, the magic cookie. */
bool port_is_stun(const uint8_t *bytes, size_t len);
/* NetBird's client sends two letters to open a way through address translators. */
bool port_is_punch(const uint8_t *bytes, size_t len);

#endif
