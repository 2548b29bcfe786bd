/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fastest ChaCha20 this machine has: OpenSSL's, if its library is there, or libsodium's. */
#ifndef TALON_KEYSTREAM_ENGINE_H
#define TALON_KEYSTREAM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "talon/keystream_types.h"

#define ENGINE_STREAM_MAX (64 + TALON_SLOT_STREAM_LEN)	/* block 0 and all that a slot has room for */

struct engine;

enum engine_kind { ENGINE_OPENSSL, ENGINE_LIBSODIUM, ENGINE_KIND_COUNT };

/* Takes the one of both that is faster on full slots, by trying. Returns 0 or -ENOMEM. */
int engine_new(struct engine **ret_engine);
/* Takes this one. Returns 0; -ENOENT if its library is not installed; -ENOMEM. */
int engine_new_of(struct engine **ret_engine, enum engine_kind kind);
/* Wipes it. NULL is allowed. */
void engine_free(struct engine *engine);

const char *engine_name(const struct engine *engine);

/* The key for all that follows: eight words as in struct talon_session. */
void engine_set_key(struct engine *engine, const uint32_t key[static 8]);

/*
 * Everything in @slot but its token: keystream of WireGuard's packet @counter (WireGuard paper section
 * 5.4.6), @len bytes of it behind block 0. @len is a multiple of 64, up to TALON_SLOT_STREAM_LEN.
 */
void engine_fill(struct engine *engine, struct talon_keystream_slot *slot, uint32_t index,
	enum talon_keystream_dir dir, uint64_t counter, uint32_t len);

#endif
