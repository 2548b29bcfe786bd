/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Poly1305 (RFC 8439 section 2.5); plain arithmetic for BPF and the host.
 *
 * Limbs are 32 bits wide in 64-bit variables, so message words are added as they lie in the packet, without
 * being split. That works because the clamped r leaves room: its limbs are below 2^28, and those above the
 * lowest are multiples of 4, so that what overflows 2^128 comes back as a product with 5/4 of the limb (2^130
 * = 5 mod p), a whole number.
 *
 * Four limbs hold 130 bits: the two bits above 2^128 stay in h[3], which makes do with 16 products a block;
 * on x86 that many cycles is what a block costs at least. No sum overflows 64 bits. Between blocks h[0] <
 * 2.25 * 2^32, h[1] and h[2] are below 2^32 and h[3] < 4 * 2^32; with a block added they are below 3.25, 2, 2
 * and 6 times 2^32. The largest sum of products is then below (3.25 + 5/4 * (2 + 2 + 6)) * 2^60 = 15.75 *
 * 2^60, and what is carried beyond d3 is below 2^32 and comes back to h[0] as less than 5/4 of that.
 */
#ifndef TALON_LIB_POLY1305_H
#define TALON_LIB_POLY1305_H

#include "talon/types.h"

#define POLY1305_BLOCK_LEN	16

struct poly1305 {
	__u64	h[4];		/* accumulator; limb i weighs 2^(32 i) */
	__u32	r[4];		/* clamped */
	__u32	s[4];		/* 5/4 of r; s[0] is not used */
	__u64	pad[2];		/* added at the end */
};

/* packets are read and written in words of several widths */
typedef __u32 __attribute__((may_alias)) poly1305_word;

/*
 * Messages and keys are read as words, the way they lie in memory on a little-endian host.
 * @key: r and s of RFC 8439 section 2.5, not clamped yet. It may come from anywhere: block 0 of the
 * keystream, made now or ahead.
 */
static __always_inline void poly1305_init(struct poly1305 *p, const __u64 key[4])
{
	p->r[0] = key[0] & 0x0fffffff;
	p->r[1] = key[0] >> 32 & 0x0ffffffc;
	p->r[2] = key[1] & 0x0ffffffc;
	p->r[3] = key[1] >> 32 & 0x0ffffffc;
	p->s[0] = 0;
	for (int i = 1; i < 4; i++)
		p->s[i] = p->r[i] + (p->r[i] >> 2);
	p->pad[0] = key[2];
	p->pad[1] = key[3];
	for (int i = 0; i < 4; i++)
		p->h[i] = 0;
}

/* The barrier keeps the compiler from gathering words for the sum, which costs more than the additions. */
static __always_inline __u64 poly1305_word_of(const poly1305_word *m, __u64 *sum)
{
	__u64 word = *m;

	if (sum) {
		*sum += word;
		asm volatile("" : "+r"(*sum));
	}
	return word;
}

/* @h: (h + block) * r, partly carried. @sum: the block's words are added to it as well, unless it is NULL. */
static __always_inline void poly1305_step(__u64 h[4], const struct poly1305 *p, const poly1305_word *m,
	__u64 high, __u64 *sum)
{
	__u64 h0 = h[0] + poly1305_word_of(m, sum), h1 = h[1] + poly1305_word_of(m + 1, sum),
		h2 = h[2] + poly1305_word_of(m + 2, sum),
		h3 = h[3] + poly1305_word_of(m + 3, sum) + (high << 32);
	__u64 r0 = p->r[0], r1 = p->r[1], r2 = p->r[2], r3 = p->r[3];
	__u64 s1 = p->s[1], s2 = p->s[2], s3 = p->s[3];
	__u64 d0, d1, d2, d3, over;

	d0 = h3 * s1 + h2 * s2 + h1 * s3 + h0 * r0;
	d1 = h3 * s2 + h2 * s3 + h1 * r0 + h0 * r1 + (d0 >> 32);
	d2 = h3 * s3 + h2 * r0 + h1 * r1 + h0 * r2 + (d1 >> 32);
	d3 = h3 * r0 + h2 * r1 + h1 * r2 + h0 * r3 + (d2 >> 32);
	over = d3 >> 32;

	h[0] = (__u32)d0 + (over >> 2) + (over & ~3ULL);	/* 5 times over / 4 */
	h[1] = (__u32)d1;
	h[2] = (__u32)d2;
	h[3] = (__u32)d3 + ((over & 3) << 32);
}

/*
 * Take in 16 bytes. @high: 1 for a full block; 0 for a last shorter one, which carries its own 1 bit in @m.
 */
static __always_inline void poly1305_block(struct poly1305 *p, const void *m, __u64 high)
{
	poly1305_step(p->h, p, m, high, NULL);
}

/*
 * Take in 64 bytes, and add their words to *@sum unless that is NULL: they are in registers just then. The
 * accumulator stays in registers; the barriers keep the compiler from loading all of
 * the message first, which would not fit on a BPF stack.
 */
#define POLY1305_KEEP(h) asm volatile("" : "+r"(h[0]), "+r"(h[1]), "+r"(h[2]), "+r"(h[3]) : : "memory")

static __always_inline void poly1305_blocks4(struct poly1305 *p, const void *message, __u64 *sum)
{
	__u64 h[4] = { p->h[0], p->h[1], p->h[2], p->h[3] };
	const poly1305_word *m = message;

	poly1305_step(h, p, m, 1, sum);
	POLY1305_KEEP(h);
	poly1305_step(h, p, m + 4, 1, sum);
	POLY1305_KEEP(h);
	poly1305_step(h, p, m + 8, 1, sum);
	POLY1305_KEEP(h);
	poly1305_step(h, p, m + 12, 1, sum);
	p->h[0] = h[0];
	p->h[1] = h[1];
	p->h[2] = h[2];
	p->h[3] = h[3];
}

/*
 * The tag, as two words to be written little-endian. Nothing branches on a secret: BPF has no
 * conditional move.
 */
static __always_inline void poly1305_finish(const struct poly1305 *p, __u64 ret_tag[2])
{
	__u64 h0 = p->h[0], h1, h2, h3, h4, g0, g1, g2, g3, g4, mask;

	h1 = p->h[1] + (h0 >> 32);
	h2 = p->h[2] + (h1 >> 32);
	h3 = p->h[3] + (h2 >> 32);
	h4 = h3 >> 32;
	h0 = (__u32)h0;
	h1 = (__u32)h1;
	h2 = (__u32)h2;
	h3 = (__u32)h3;

	/*
	 * h < 2^130 + 2^34 here, less than 2p, so p is taken away at most once: when h + 5 reaches 2^130.
	 * What is above bit 128 is dropped, in either case, by the sum modulo 2^128 below.
	 */
	g0 = h0 + 5;
	g1 = h1 + (g0 >> 32);
	g2 = h2 + (g1 >> 32);
	g3 = h3 + (g2 >> 32);
	g4 = h4 + (g3 >> 32);
	mask = 0 - (g4 >> 2);
	h0 ^= (h0 ^ (__u32)g0) & mask;
	h1 ^= (h1 ^ (__u32)g1) & mask;
	h2 ^= (h2 ^ (__u32)g2) & mask;
	h3 ^= (h3 ^ (__u32)g3) & mask;

	h0 += (__u32)p->pad[0];
	h1 += (p->pad[0] >> 32) + (h0 >> 32);
	h2 += (__u32)p->pad[1] + (h1 >> 32);
	h3 += (p->pad[1] >> 32) + (h2 >> 32);
	ret_tag[0] = h1 << 32 | (__u32)h0;
	ret_tag[1] = h3 << 32 | (__u32)h2;
}

#endif
