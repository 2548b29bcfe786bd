/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SipHash-2-4 (Aumasson and Bernstein, 2012) of the few bytes that one word holds, pure, for both targets. */
#ifndef TALON_SIPHASH_H
#define TALON_SIPHASH_H

#include "talon/types.h"

#define SIPHASH_ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

static inline __attribute__((always_inline)) void siphash_round(__u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = SIPHASH_ROTATE(v[1], 13) ^ v[0];
	v[3] = SIPHASH_ROTATE(v[3], 16) ^ v[2];
	v[0] = SIPHASH_ROTATE(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = SIPHASH_ROTATE(v[1], 17) ^ v[2];
	v[3] = SIPHASH_ROTATE(v[3], 21) ^ v[0];
	v[2] = SIPHASH_ROTATE(v[2], 32);
}

/* @data: a message of @len bytes, at most 7, little-endian; the bytes above them are zero. */
static inline __attribute__((always_inline)) __u64 siphash_short(const __u64 key[2], __u64 data, __u32 len)
{
	__u64 v[4] = {
		key[0] ^ 0x736f6d6570736575ULL,
		key[1] ^ 0x646f72616e646f6dULL,
		key[0] ^ 0x6c7967656e657261ULL,
		key[1] ^ 0x7465646279746573ULL,
	};

	data |= (__u64)len << 56;
	v[3] ^= data;
	siphash_round(v);
	siphash_round(v);
	v[0] ^= data;
	v[2] ^= 0xff;
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
