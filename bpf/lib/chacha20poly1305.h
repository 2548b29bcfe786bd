/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ChaCha20-Poly1305 (RFC 8439 section 2.8) as WireGuard uses it for data messages (WireGuard paper section
 * 5.4.6): no associated data, nonce = four zero bytes and the 64-bit counter. Works in place on packet data
 * that can be accessed directly.
 *
 *	aead_set_key(a, key, counter);
 *	ret = aead_open(ctx, a, off, len);
 *
 * aead_open() and aead_seal() are global functions: the verifier checks each once instead of once per
 * calling path. Packet pointers held by the caller are invalid afterwards.
 */
#ifndef TALON_LIB_CHACHA20POLY1305_H
#define TALON_LIB_CHACHA20POLY1305_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include "talon/csum.h"
#include "talon/types.h"
#include "lib/chacha20.h"
#include "lib/ctx.h"
#include "lib/poly1305.h"

#define AEAD_TAG_LEN	16
/* how far the plaintext starts after the ciphertext when sealing */
#define AEAD_SEAL_SHIFT	32
#define AEAD_MAX_LEN	1600
#define AEAD_MAX_OFF	512

/* State for one packet. Too large for the stack: keep it in a per-CPU array. */
struct aead {
	__u32		mtu;		/* upper bound for the padded length of a sealed packet; 0: none */
	__u32		sums;		/* to seal: is the sum asked for? */
	__u64		sum;		/* of ciphertext and tag that were sealed (RFC 1071), not folded */
	__u32		done;		/* whole blocks that aead_open_ahead_head() has opened */
	__u32		unused;
	struct chacha20	chacha;
	struct poly1305	poly;
	__u64		tail[8];	/* the last, shorter block */
	__u64		tag[2];
};

struct aead_step {
	ctx_md		*ctx;
	struct aead	*a;
	__u32		off;		/* of block 0 */
};

/*
 * @key: eight words as in struct talon_session. @counter: of this packet. To be called before each
 * aead_open() or aead_seal().
 */
static __always_inline void aead_set_key(struct aead *a, const __u32 key[8], __u64 counter)
{
	chacha20_init(&a->chacha, key, counter);
}

/*
 * aead_wipe() is to be called when the packet is done: the per-CPU memory lives as long as the programs, but
 * keys must not outlive their session. It also clears the keystream, the one-time key and the last
 * plaintext; mtu stays. aead_wipe_key(): of a key that was not used.
 */
static __always_inline void aead_wipe_key(struct aead *a)
{
	__builtin_memset(a->chacha.state + 4, 0, 32);
}

static __always_inline void aead_wipe(struct aead *a)
{
	__builtin_memset(&a->chacha, 0, sizeof(a->chacha));
	__builtin_memset(&a->poly, 0, sizeof(a->poly));
	__builtin_memset(a->tail, 0, sizeof(a->tail));
}

/* For blocks outside the loops. Inside them it is inlined, since a call costs 10 ns per block. */
__noinline int aead_next(struct chacha20 *c)
{
	if (!c)
		return -EINVAL;
	chacha20_next(c);
	return 0;
}

/* Block 0 of the keystream is the one-time Poly1305 key (RFC 8439 section 2.6). */
static __always_inline void aead_begin(struct aead *a)
{
	aead_next(&a->chacha);
	poly1305_init(&a->poly, a->chacha.stream);
}

/*
 * @blocks of 16 bytes in @a->tail, then the lengths (RFC 8439 section 2.8): writes the tag to @a->tag.
 * @len: of the whole ciphertext. A separate function, so that its spills do not use the callers' stack.
 */
__noinline int aead_finish(struct aead *a, __u32 blocks, __u32 len)
{
	const __u64 lengths[2] = { 0, len };

	if (!a)
		return -EINVAL;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 4; i++) {
		if (i >= blocks)
			break;
		poly1305_block(&a->poly, a->tail + 2 * i, 1);
	}
	poly1305_block(&a->poly, lengths, 1);
	poly1305_finish(&a->poly, a->tag);
	return 0;
}

static __always_inline void aead_xor_tail(struct aead *a)
{
	for (int i = 0; i < 8; i++)
		a->tail[i] ^= a->chacha.stream[i];
}

/*
 * Words @from of the packet, xored with the keystream, to @to. @from may be at or after @to: each word
 * is read before its place is written.
 */
static __always_inline void aead_xor64(const struct aead *a, __u64 *to, const __u64 *from)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		to[i] = from[i] ^ a->chacha.stream[i];
}

/*
 * Bounds a length to 1..64 in a way that 6.1's verifier accepts: it does not learn from a comparison
 * with zero that a value is not zero.
 */
static __always_inline __u32 aead_clamp64(__u32 len)
{
	__u32 less = len - 1;

	barrier_var(less);
	return (less & 63) + 1;
}

static long aead_open_step(__u64 i, struct aead_step *step)
{
	__u32 off = step->off + ((__u32)i & 31) * CHACHA20_BLOCK_LEN;
	struct aead *a = step->a;
	__u64 *block;

	if (off > AEAD_MAX_OFF + AEAD_MAX_LEN)
		return 1;
	block = ctx_data(step->ctx) + off;
	if ((void *)(block + 8) > ctx_data_end(step->ctx))
		return 1;
	poly1305_blocks4(&a->poly, block, NULL);
	chacha20_next(&a->chacha);
	aead_xor64(a, block, block);
	return 0;
}

static long aead_seal_step(__u64 i, struct aead_step *step)
{
	__u32 off = step->off + ((__u32)i & 31) * CHACHA20_BLOCK_LEN;
	struct aead *a = step->a;
	__u64 *block, sum;

	if (off > AEAD_MAX_OFF + AEAD_MAX_LEN)
		return 1;
	block = ctx_data(step->ctx) + off;
	if ((void *)block + AEAD_SEAL_SHIFT + CHACHA20_BLOCK_LEN > ctx_data_end(step->ctx))
		return 1;
	chacha20_next(&a->chacha);
	aead_xor64(a, block, (void *)block + AEAD_SEAL_SHIFT);
	sum = a->sum;
	poly1305_blocks4(&a->poly, block, &sum);
	a->sum = sum;
	return 0;
}

/*
 * Compares without a branch per half: clang would otherwise compare one after the other, and timing
 * would reveal which one differs.
 */
static __always_inline bool aead_tag_differs(const __u64 got[2], const __u64 tag[2])
{
	__u64 wrong = (got[0] ^ tag[0]) | (got[1] ^ tag[1]);

	barrier_var(wrong);
	return wrong;
}

/*
 * Opens @len bytes of ciphertext at @off in place; the tag follows them. @a: prepared by
 * aead_set_key(). @len 0 is a keepalive. 0; -EBADMSG: the tag is wrong and the payload is garbage now;
 * -EINVAL: ciphertext or tag is incomplete, nothing was changed.
 */
__noinline int aead_open(ctx_md *ctx, struct aead *a, __u32 off, __u32 len)
{
	struct aead_step step = { .ctx = ctx, .a = a, .off = off };
	__u32 left = len % CHACHA20_BLOCK_LEN;
	__u32 at = off + len - left;
	__u64 *got;

	if (!a || off > AEAD_MAX_OFF || len > AEAD_MAX_LEN ||
	    ctx_data(ctx) + off + len + AEAD_TAG_LEN > ctx_data_end(ctx))
		return -EINVAL;

	aead_begin(a);
	bpf_loop(len / CHACHA20_BLOCK_LEN, aead_open_step, &step, 0);
	if (left) {
		__builtin_memset(a->tail, 0, sizeof(a->tail));
		if (ctx_load_bytes(ctx, at, a->tail, aead_clamp64(left)))
			return -EINVAL;
		aead_next(&a->chacha);
	}
	aead_finish(a, (left + 15) / POLY1305_BLOCK_LEN, len);
	if (left) {
		aead_xor_tail(a);
		if (ctx_store_bytes(ctx, at, a->tail, aead_clamp64(left)))
			return -EINVAL;
	}

	got = ctx_data(ctx) + off + len;
	if ((void *)(got + 2) > ctx_data_end(ctx))
		return -EINVAL;
	return aead_tag_differs(got, a->tag) ? -EBADMSG : 0;
}

/*
 * Length of @len bytes with padding: a multiple of 16, but never beyond @mtu (0: no limit), so that a
 * full packet still fits the path (WireGuard paper section 5.4.6, as every implementation does).
 */
static __always_inline __u32 aead_padded_len(__u32 len, __u32 mtu)
{
	__u32 padded = (len + 15) & ~15U;

	return mtu && padded > mtu && len <= mtu ? mtu : padded;
}

/*
 * Clears the last block after its first @kept bytes: Poly1305 pads ciphertext with zeros, not with
 * keystream.
 */
static __always_inline void aead_cut_tail(struct aead *a, __u32 kept)
{
#pragma unroll
	for (__u32 i = 0; i < 8; i++) {
		if (kept < 8 * (i + 1))
			a->tail[i] &= kept > 8 * i ? (1ULL << (8 * (kept & 7))) - 1 : 0;
	}
}

static __always_inline void aead_sum_tail(struct aead *a)
{
	for (int i = 0; i < 8; i++)
		a->sum += csum_word(a->tail[i]);
}

/* The tag joins the sum. After an odd length, which only a path's odd MTU makes, it begins inside a word. */
static __always_inline void aead_sum_tag(struct aead *a, __u32 len)
{
	__u64 sum = csum_word(a->tag[0]) + csum_word(a->tag[1]);

	a->sum += len & 1 ? csum_odd(sum) : sum;
}

/*
 * Seal @len bytes of plaintext that start at @off + AEAD_SEAL_SHIFT. Ciphertext, padded with zeros to a
 * multiple of 16 (WireGuard paper section 5.4.6), is written from @off, followed by the tag: both end
 * before the plaintext did. @len 0 makes a keepalive, which is only a tag. @a->sum becomes that of what was
 * written, if @a->sums is set (otherwise it may). Returns 0; -EINVAL: the plaintext is incomplete, nothing
 * was changed.
 */
__noinline int aead_seal(ctx_md *ctx, struct aead *a, __u32 off, __u32 len)
{
	struct aead_step step = { .ctx = ctx, .a = a, .off = off };
	__u32 left = len % CHACHA20_BLOCK_LEN;
	__u32 padded, kept;
	__u32 at = off + len - left;
	__u64 *put;

	if (!a || off > AEAD_MAX_OFF || len > AEAD_MAX_LEN ||
	    ctx_data(ctx) + off + len + AEAD_SEAL_SHIFT > ctx_data_end(ctx))
		return -EINVAL;

	padded = aead_padded_len(len, a->mtu);
	kept = padded - (len - left);
	a->sum = 0;
	aead_begin(a);
	bpf_loop(len / CHACHA20_BLOCK_LEN, aead_seal_step, &step, 0);
	if (left) {
		__builtin_memset(a->tail, 0, sizeof(a->tail));
		if (ctx_load_bytes(ctx, at + AEAD_SEAL_SHIFT, a->tail, aead_clamp64(left)))
			return -EINVAL;
		aead_next(&a->chacha);
		aead_xor_tail(a);
		aead_cut_tail(a, kept);
		aead_sum_tail(a);
		if (ctx_store_bytes(ctx, at, a->tail, aead_clamp64(kept)))
			return -EINVAL;
	}
	aead_finish(a, (left + 15) / POLY1305_BLOCK_LEN, padded);

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
