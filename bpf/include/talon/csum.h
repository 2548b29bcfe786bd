/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet checksum arithmetic (RFC 1071, RFC 1624), pure, for both targets. */
#ifndef TALON_CSUM_H
#define TALON_CSUM_H

#include "talon/types.h"

/* Folds a 32-bit one's complement sum to 16 bits and complements it: the value of a checksum field. */
static inline __u16 csum_finish(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Folds a 64-bit one's complement sum to 32 bits, for csum_finish(). */
static inline __u32 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
}

/* What eight bytes add to a sum. */
static inline __u64 csum_word(__u64 word)
{
	return (__u32)word + (word >> 32);
}

/* What data add that begin with the second byte of a 16-bit word, if they added @sum else (RFC 1071). */
static inline __u32 csum_odd(__u64 sum)
{
	__u32 folded = (__u16)~csum_finish(csum_fold(sum));

	return (folded & 0xff) << 8 | folded >> 8;
}

/*
 * @check: a checksum field over data in which the 16-bit word @from became @to. Returns the new field
 * (RFC 1624 eqn. 3).
 */
static inline __u16 csum_replace2(__u16 check, __u16 from, __u16 to)
{
	return csum_finish((__u16)~check + (__u32)(__u16)~from + to);
}

/* The same for 32 bits that are aligned to 16 in the data. */
static inline __u16 csum_replace4(__u16 check, __u32 from, __u32 to)
{
	return csum_finish((__u16)~check + (__u32)(__u16)~(from & 0xffff) + (__u16)~(from >> 16) +
		(to & 0xffff) + (to >> 16));
}

/* The same for an IPv6 address in a pseudo header, or one that is aligned to 16 bits in the data. */
static inline __u16 csum_replace6(__u16 check, const struct talon_addr *from, const struct talon_addr *to)
{
	__u64 sum = (__u16)~check;

	for (int i = 0; i < 4; i++)
		sum += (__u64)(__u32)~from->word[i] + to->word[i];
	return csum_finish(csum_fold(sum));
}

/*
 * For UDP, where 0 in the field means "no checksum": an absent one stays absent, one that comes out as 0 is
 * sent as 0xffff (RFC 768).
 */
static inline __u16 csum_udp(__u16 old_check, __u16 new_check)
{
	if (!old_check)
		return 0;
	return new_check ? new_check : 0xffff;
}

#endif
