/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ChaCha20-Poly1305 with keystream that is ready in a slot: only XOR and authentication are left. Same
 * contract, bytes and verdicts as aead_open() and aead_seal(), except that aead_set_key() is not
 * needed.
 *
 * The caller has claimed the slot and checked that it is the right one and long enough (keystream.h).
 * It is only read here.
 */
#ifndef TALON_LIB_AEAD_AHEAD_H
#define TALON_LIB_AEAD_AHEAD_H

#include "lib/chacha20poly1305.h"
#include "talon/keystream_types.h"

#define AHEAD_STREAM(slot, at) ((const void *)(slot)->stream + (at))

/* Whole blocks that aead_open_ahead_head() opens: at 40 ns each, long enough for a line from memory. */
#define AHEAD_HEAD	6

struct ahead_step {
	ctx_md		*ctx;
	struct aead	*a;
	const struct talon_keystream_slot *slot;
	__u32		off;		/* of block 0 */
	__u32		first;		/* block that the loop begins with */
};

static long ahead_open_step(__u64 i, struct ahead_step *step)
{
	__u32 at = (((__u32)i + step->first) & 31) * CHACHA20_BLOCK_LEN, off = step->off + at;
	const __u64 *stream;
	__u64 *block;

	if (off > AEAD_MAX_OFF + AEAD_MAX_LEN || at > TALON_SLOT_STREAM_LEN - CHACHA20_BLOCK_LEN)
		return 1;
	block = ctx_data(step->ctx) + off;
	if ((void *)(block + 8) > ctx_data_end(step->ctx))
		return 1;
	stream = AHEAD_STREAM(step->slot, at);
	poly1305_blocks4(&step->a->poly, block, NULL);
#pragma unroll
	for (int j = 0; j < 8; j++)
		block[j] ^= stream[j];
	return 0;
}

static __always_inline long ahead_seal_block(__u64 i, struct ahead_step *step, __u64 *sum)
{
	__u32 at = ((__u32)i & 31) * CHACHA20_BLOCK_LEN, off = step->off + at;
	const __u64 *stream;
	__u64 *block;

	if (off > AEAD_MAX_OFF + AEAD_MAX_LEN || at > TALON_SLOT_STREAM_LEN - CHACHA20_BLOCK_LEN)
		return 1;
	block = ctx_data(step->ctx) + off;
	if ((void *)block + AEAD_SEAL_SHIFT + CHACHA20_BLOCK_LEN > ctx_data_end(step->ctx))
		return 1;
	stream = AHEAD_STREAM(step->slot, at);
#pragma unroll
	for (int j = 0; j < 8; j++)
		block[j] = block[AEAD_SEAL_SHIFT / 8 + j] ^ stream[j];
	poly1305_blocks4(&step->a->poly, block, sum);
	return 0;
}

static long ahead_seal_step(__u64 i, struct ahead_step *step)
{
	return ahead_seal_block(i, step, NULL);
}

static long ahead_seal_sum_step(__u64 i, struct ahead_step *step)
{
	__u64 sum = step->a->sum;

	if (ahead_seal_block(i, step, &sum))
		return 1;
	step->a->sum = sum;
	return 0;
}

/* All ones in the first @len bytes of eight, in memory order. More than 8 is 8. */
static __always_inline __u64 ahead_mask(__u32 len)
{
	return len < 8 ? (1ULL << (8 * len)) - 1 : ~0ULL;
}

/*
 * The last 1 to 16 bytes, after the whole blocks. The tag always follows the ciphertext, so 16 bytes
 * can be read and written; bytes that are not ciphertext stay unchanged.
 */
static __always_inline int ahead_open16(struct ahead_step *step, __u32 at, __u32 left)
{
	__u64 *block, mask[2] = { ahead_mask(left), left > 8 ? ahead_mask(left - 8) : 0 }, m[2];
	__u32 off = step->off + at;
	const __u64 *stream;

	barrier_var(at);	/* the compared value is the one used */
	if (off > AEAD_MAX_OFF + AEAD_MAX_LEN || at > TALON_SLOT_STREAM_LEN - POLY1305_BLOCK_LEN)
		return -EINVAL;
	block = ctx_data(step->ctx) + off;
	if ((void *)(block + 2) > ctx_data_end(step->ctx))
		return -EINVAL;
	stream = AHEAD_STREAM(step->slot, at);
	m[0] = block[0] & mask[0];
	m[1] = block[1] & mask[1];
	poly1305_block(&step->a->poly, m, 1);
	block[0] ^= stream[0] & mask[0];
	block[1] ^= stream[1] & mask[1];
	return 0;
}

/* Adds the lengths (RFC 8439 section 2.8) and writes the tag to @a->tag. */
static __always_inline void ahead_finish(struct aead *a, __u32 len)
{
	const __u64 lengths[2] = { 0, len };

	poly1305_block(&a->poly, lengths, 1);
	poly1305_finish(&a->poly, a->tag);
}

/*
 * The first part of opening: up to AHEAD_HEAD whole blocks. Between the two the caller may do what needs some
 * time to have passed. Returns 0; -EINVAL: ciphertext or tag is incomplete, nothing was changed.
 */
__noinline int aead_open_ahead_head(ctx_md *ctx, struct aead *a, const struct talon_keystream_slot *slot,
	__u32 off, __u32 len)
{
	struct ahead_step step = { .ctx = ctx, .a = a, .slot = slot, .off = off };
	__u32 blocks = len / CHACHA20_BLOCK_LEN;

	if (!a || !slot || off > AEAD_MAX_OFF || len > TALON_SLOT_STREAM_LEN ||
	    ctx_data(ctx) + off + len + AEAD_TAG_LEN > ctx_data_end(ctx))
		return -EINVAL;
	if (blocks > AHEAD_HEAD)
		blocks = AHEAD_HEAD;
	a->done = blocks;
	poly1305_init(&a->poly, slot->poly_key);
	bpf_loop(blocks, ahead_open_step, &step, 0);
	return 0;
}

/*
 * The rest, after aead_open_ahead_head() of the same: together they are aead_open(). After -EBADMSG the
 * packet holds garbage; the slot is unchanged.
 */
__noinline int aead_open_ahead(ctx_md *ctx, struct aead *a, const struct talon_keystream_slot *slot,
	__u32 off, __u32 len)
{
	struct ahead_step step = { .ctx = ctx, .a = a, .slot = slot, .off = off };
	__u32 left = len % CHACHA20_BLOCK_LEN, at = len - left;
	__u64 *got;

	if (!a || !slot || off > AEAD_MAX_OFF || len > TALON_SLOT_STREAM_LEN ||
	    ctx_data(ctx) + off + len + AEAD_TAG_LEN > ctx_data_end(ctx))
		return -EINVAL;

	step.first = a->done;
	bpf_loop(len / CHACHA20_BLOCK_LEN - step.first, ahead_open_step, &step, 0);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 4; i++) {
		if (16 * i >= left)
			break;
		if (ahead_open16(&step, at + 16 * i, left - 16 * i))
			return -EINVAL;
	}
	ahead_finish(a, len);

	got = ctx_data(ctx) + off + len;
	if ((void *)(got + 2) > ctx_data_end(ctx))
		return -EINVAL;
	return aead_tag_differs(got, a->tag) ? -EBADMSG : 0;
}

/*
 * The last @len bytes (1 to 16) of plaintext that ends at @end of the packet, followed by zeros. There
 * may be nothing after the plaintext, so the 16 bytes before its end are read and shifted.
 */
static __always_inline int ahead_load_last(ctx_md *ctx, __u32 end, __u32 len, __u64 ret_block[2])
{
	__u32 start = end - 16;
	const __u64 *last;
	__u64 low, high;

	barrier_var(start);
	if (start > AEAD_MAX_OFF + AEAD_MAX_LEN + AEAD_SEAL_SHIFT)
		return -EINVAL;
	last = ctx_data(ctx) + start;
	if ((void *)(last + 2) > ctx_data_end(ctx))
		return -EINVAL;
	low = last[0];
	high = last[1];
	if (len <= 8) {
		low = high >> (8 * (8 - len) & 63);
		high = 0;
	} else if (len < 16) {
		low = low >> (8 * (16 - len) & 63) | high << (8 * (len - 8) & 63);
		high >>= 8 * (16 - len) & 63;
	}
	ret_block[0] = low;
	ret_block[1] = high;
	return 0;
}

/*
 * Writes 16 bytes of ciphertext at @at; @left bytes of plaintext and @kept of ciphertext remain from
 * there on.
 */
static __always_inline int ahead_seal16(struct ahead_step *step, __u32 at, __u32 left, __u32 kept)
{
	__u32 off = step->off + at, take = left < 16 ? left : 16;
	const __u64 *stream;
	__u64 m[2], *block;

	barrier_var(at);
	if (off > AEAD_MAX_OFF + AEAD_MAX_LEN || at > TALON_SLOT_STREAM_LEN - POLY1305_BLOCK_LEN)
		return -EINVAL;
	if (ahead_load_last(step->ctx, off + AEAD_SEAL_SHIFT + take, take, m))
		return -EINVAL;
	stream = AHEAD_STREAM(step->slot, at);
	m[0] = (m[0] ^ stream[0]) & ahead_mask(kept);
	m[1] = (m[1] ^ stream[1]) & (kept > 8 ? ahead_mask(kept - 8) : 0);
	poly1305_block(&step->a->poly, m, 1);
	block = ctx_data(step->ctx) + off;
	if ((void *)(block + 2) > ctx_data_end(step->ctx))
		return -EINVAL;
	block[0] = m[0];
	block[1] = m[1];
	step->a->sum += csum_word(m[0]) + csum_word(m[1]);
	return 0;
}

/* As aead_seal(). */
__noinline int aead_seal_ahead(ctx_md *ctx, struct aead *a, const struct talon_keystream_slot *slot,
	__u32 off, __u32 len)
{
	struct ahead_step step = { .ctx = ctx, .a = a, .slot = slot, .off = off };
	__u32 left = len % CHACHA20_BLOCK_LEN, at = len - left, padded;
	__u64 *put;

	if (!a || !slot || off > AEAD_MAX_OFF || len > TALON_SLOT_STREAM_LEN ||
	    ctx_data(ctx) + off + len + AEAD_SEAL_SHIFT > ctx_data_end(ctx))
		return -EINVAL;

	padded = aead_padded_len(len, a->mtu);
	poly1305_init(&a->poly, slot->poly_key);
	a->sum = 0;
	if (a->sums)
		bpf_loop(len / CHACHA20_BLOCK_LEN, ahead_seal_sum_step, &step, 0);
	else
		bpf_loop(len / CHACHA20_BLOCK_LEN, ahead_seal_step, &step, 0);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 4; i++) {
		if (16 * i >= left)
			break;
		if (ahead_seal16(&step, at + 16 * i, left - 16 * i, padded - at - 16 * i))
			return -EINVAL;
	}
	ahead_finish(a, padded);

	barrier_var(padded);
	/* never true, but 6.1's verifier loses the bounds of spilled registers */
	if (padded > AEAD_MAX_LEN)
		return -EINVAL;
	put = ctx_data(ctx) + off + padded;
	if ((void *)(put + 2) > ctx_data_end(ctx))
		return -EINVAL;
	put[0] = a->tag[0];
	put[1] = a->tag[1];
	aead_sum_tag(a, padded);
	return 0;
}

#endif
