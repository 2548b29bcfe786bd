/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Poly1305 (RFC 8439 section 2.5); plain arithmetic for BPF and the host.
 *
 * Limbs are 32 bits wide in 64-bit variables, so message words are added as they lie in the packet, without being
 * split. That works because the clamped r leaves room: its limbs are below 2^28, and those above the lowest are
 * multiples of 4, so that what overflows 2^128 comes back as a product with 5/4 of the limb (2^130 = 5 mod p), a
 * whole number.
 *
 * No sum overflows 64 bits. Between blocks h[0] < 3 * 2^32, h[1..3] < 2^32 and h[4] < 4; with a block added they are
 * below 4 * 2^32, below 2 * 2^32 and at most 4. The largest sum of products is then below
 * (4 + 3 * 2 * 5/4) * 2^60 = 5.75 * 2^61, and what is carried into h[4] comes back to h[0] as less than 1.1 * 2^32.
 */
#ifndef TALON_LIB_POLY1305_H
#define TALON_LIB_POLY1305_H

#include "talon/types.h"

#define POLY1305_BLOCK_LEN	16

struct poly1305 {
	__u64	h[5];		/* accumulator; limb i weighs 2^(32 i) */
	__u32	r[4];		/* clamped */
	__u32	s[4];		/* 5/4 of r; s[0] is not used */
	__u64	pad[2];		/* added at the end */
};

/*
 * Messages and keys are read as 64-bit words, the way they lie in memory on a little-endian host.
 * @key: r and s of RFC 8439 section 2.5, not clamped yet. It may come from anywhere: block 0 of the keystream, made
 * now or ahead.
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
	for (int i = 0; i < 5; i++)
		p->h[i] = 0;
}

/* Take in 16 bytes. @high: 1 for a full block; 0 for a last shorter one, which carries its own 1 bit in @m. */
static __always_inline void poly1305_block(struct poly1305 *p, const __u64 m[2], __u32 high)
{
	__u64 h0 = p->h[0] + (__u32)m[0], h1 = p->h[1] + (m[0] >> 32);
	__u64 h2 = p->h[2] + (__u32)m[1], h3 = p->h[3] + (m[1] >> 32);
	__u64 h4 = p->h[4] + high;
	__u64 r0 = p->r[0], r1 = p->r[1], r2 = p->r[2], r3 = p->r[3];
	__u64 s1 = p->s[1], s2 = p->s[2], s3 = p->s[3];
	__u64 d0, d1, d2, d3;

	d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1;
	d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32);
	d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32);
	d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32);
	h4 = h4 * r0 + (d3 >> 32);

	p->h[0] = (__u32)d0 + (h4 >> 2) + (h4 & ~3ULL);	/* 5 times h4 / 4 */
	p->h[1] = (__u32)d1;
	p->h[2] = (__u32)d2;
	p->h[3] = (__u32)d3;
	p->h[4] = h4 & 3;
}

/* The tag, as two words to be written little-endian. Nothing branches on a secret: BPF has no conditional move. */
static __always_inline void poly1305_finish(const struct poly1305 *p, __u64 ret_tag[2])
{
	__u64 h0 = p->h[0], h1, h2, h3, h4, g0, g1, g2, g3, g4, mask;

	h1 = p->h[1] + (h0 >> 32);
	h2 = p->h[2] + (h1 >> 32);
	h3 = p->h[3] + (h2 >> 32);
	h4 = p->h[4] + (h3 >> 32);
	h0 = (__u32)h0;
	h1 = (__u32)h1;
	h2 = (__u32)h2;
	h3 = (__u32)h3;

	/*
	 * h < 2^130 + 2^34 here, less than 2p, so p is taken away at most once: when h + 5 reaches 2^130. What is
	 * above bit 128 is dropped, in either case, by the sum modulo 2^128 below.
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
