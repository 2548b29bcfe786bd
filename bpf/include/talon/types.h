/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Integer types that mean the same to clang -target bpf and to the host compiler. */
#ifndef TALON_TYPES_H
#define TALON_TYPES_H

#include <linux/types.h>

#ifdef __bpf__
#include <linux/bpf.h>		/* struct bpf_spin_lock */
#include <stdbool.h>
#define TALON_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " is pinned map ABI")
#else
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>
#define TALON_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type " is pinned map ABI")
#endif

/*
 * The layout of everything that is pinned. It is part of the pin path (<base>/vN/...), so a binary with
 * another number never touches maps it would misread. Bump it with any change to a struct in this directory.
 */
#define TALON_LAYOUT_VERSION 7

#define TALON_TEXT_OF(x)	#x
#define TALON_TEXT(x)		TALON_TEXT_OF(x)
#define TALON_LAYOUT_NAME	"v" TALON_TEXT(TALON_LAYOUT_VERSION)	/* of the directory */

/* 128 bits of address; an IPv4 address is in word[0], the others are zero. Network byte order. */
struct talon_addr {
	__be32 word[4];
};
TALON_ASSERT_SIZE(struct talon_addr, 16);

static inline bool talon_addr_equal(const struct talon_addr *a, const struct talon_addr *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		(a->word[3] ^ b->word[3]));
}

static inline bool talon_addr_is_zero(const struct talon_addr *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

#define TALON_NSEC_PER_SEC 1000000000ULL

#endif
