/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ChaCha20 block function (RFC 8439 section 2.3) with WireGuard's nonce; plain arithmetic for
 * BPF and the host.
 */
#ifndef TALON_LIB_CHACHA20_H
#define TALON_LIB_CHACHA20_H

#include "talon/types.h"

#define CHACHA20_BLOCK_LEN 64

struct chacha20 {
	__u32	state[16];	/* constants, key, block counter, nonce */
	__u64	stream[8];	/* the last block generated, in words as wide as they are read */
};

#define CHACHA20_ROTL(x, n) (((x) << (n)) | ((x) >> (32 - (n))))

/* RFC 8439 section 2.1 */
#define CHACHA20_QUARTER(a, b, c, d)					\
	do {								\
		a += b; d ^= a; d = CHACHA20_ROTL(d, 16);		\
		c += d; b ^= c; b = CHACHA20_ROTL(b, 12);		\
		a += b; d ^= a; d = CHACHA20_ROTL(d, 8);		\
		c += d; b ^= c; b = CHACHA20_ROTL(b, 7);		\
	} while (0)

/*
 * Start at block 0. @key: eight words as they lie in memory on a little-endian host. @counter: WireGuard's
 * packet counter; the 96-bit nonce is four zero bytes and then the counter, little-endian (WireGuard paper
 * section 5.4.6).
 */
static __always_inline void chacha20_init(struct chacha20 *c, const __u32 key[8], __u64 counter)
{
	c->state[0] = 0x61707865;
	c->state[1] = 0x3320646e;
	c->state[2] = 0x79622d32;
	c->state[3] = 0x6b206574;
	for (int i = 0; i < 8; i++)
		c->state[4 + i] = key[i];
	c->state[12] = 0;
	c->state[13] = 0;
	c->state[14] = (__u32)counter;
	c->state[15] = (__u32)(counter >> 32);
}

/*
 * With sixteen live words and ten registers, the order of operations matters: keeping row b in
 * registers after each half of a double round, and leaving the rest to the compiler, gave the fewest
 * spills (104 bytes of stack instead of 240) and the best time of all orders tried in C:
 * docs/decisions/0002-aead-in-bpf.md has the figures.
 */
#define CHACHA20_KEEP(a, b, c, d) asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d))

#define CHACHA20_PUT(i, x, y)										\
	c->stream[i] = (__u64)((y) + c->state[2 * (i) + 1]) << 32 | (__u32)((x) + c->state[2 * (i)])

/* Fill @c->stream with the next 64 bytes of keystream. */
static __always_inline void chacha20_next(struct chacha20 *c)
{
	__u32 x0 = c->state[0], x1 = c->state[1], x2 = c->state[2], x3 = c->state[3];
	__u32 x4 = c->state[4], x5 = c->state[5], x6 = c->state[6], x7 = c->state[7];
	__u32 x8 = c->state[8], x9 = c->state[9], x10 = c->state[10], x11 = c->state[11];
	__u32 x12 = c->state[12], x13 = c->state[13], x14 = c->state[14], x15 = c->state[15];

#ifdef __clang__
#pragma clang loop unroll(disable)
#endif
	for (int i = 0; i < 10; i++) {
		CHACHA20_QUARTER(x0, x4, x8, x12);
		CHACHA20_QUARTER(x1, x5, x9, x13);
		CHACHA20_QUARTER(x2, x6, x10, x14);
		CHACHA20_QUARTER(x3, x7, x11, x15);
		CHACHA20_KEEP(x4, x5, x6, x7);
		CHACHA20_QUARTER(x0, x5, x10, x15);
		CHACHA20_QUARTER(x1, x6, x11, x12);
		CHACHA20_QUARTER(x2, x7, x8, x13);
		CHACHA20_QUARTER(x3, x4, x9, x14);
		CHACHA20_KEEP(x4, x5, x6, x7);
	}
	CHACHA20_PUT(0, x0, x1);
	CHACHA20_PUT(1, x2, x3);
	CHACHA20_PUT(2, x4, x5);
	CHACHA20_PUT(3, x6, x7);
	CHACHA20_PUT(4, x8, x9);
	CHACHA20_PUT(5, x10, x11);
	CHACHA20_PUT(6, x12, x13);
	CHACHA20_PUT(7, x14, x15);
	c->state[12]++;
}

#endif
