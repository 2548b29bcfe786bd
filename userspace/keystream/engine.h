/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fastest ChaCha20 that this machine has: OpenSSL's, if its library is installed, or libsodium's. */
#ifndef TALON_KEYSTREAM_ENGINE_H
#define TALON_KEYSTREAM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "talon/keystream_types.h"

#define ENGINE_STREAM_MAX (64 + TALON_SLOT_STREAM_LEN)	/* block 0 and all that fits into a slot */

struct engine;

enum engine_kind { ENGINE_OPENSSL, ENGINE_LIBSODIUM, ENGINE_KIND_COUNT };

/* Measures both and takes the one that fills full slots faster. Returns 0 or -ENOMEM. */
int engine_new(struct engine **ret_engine);
/* Takes @kind. Returns 0; -ENOENT if its library is not installed; or -ENOMEM. */
int engine_new_of(struct engine **ret_engine, enum engine_kind kind);
/* Wipes and frees it. NULL is allowed. */
void engine_free(struct engine *engine);

const char *engine_name(const struct engine *engine);

/* The key for what is filled next: eight words as in struct talon_session. */
void engine_set_key(struct engine *engine, const uint32_t key[static 8]);

/*
 * Sets everything in @slot but its token: the Poly1305 key (block 0) and @len bytes of keystream (block 1 on)
 * of WireGuard's packet @counter (WireGuard paper section 5.4.6). @len is a multiple of 64, at most
 * TALON_SLOT_STREAM_LEN.
 */
void engine_fill(struct engine *engine, struct talon_keystream_slot *slot, uint32_t index,
	enum talon_keystream_dir dir, uint64_t counter, uint32_t len);

#endif
