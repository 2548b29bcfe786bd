/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP as it is on the wire (RFC 792, RFC 1191). The uapi header cannot be included for BPF: it pulls
 * in the C library.
 */
#ifndef TALON_ICMP_WIRE_H
#define TALON_ICMP_WIRE_H

#include "talon/types.h"

enum {
	ICMP_ECHOREPLY		= 0,
	ICMP_DEST_UNREACH	= 3,
	ICMP_ECHO		= 8,
	ICMP_TIME_EXCEEDED	= 11,
	ICMP_PARAMETERPROB	= 12,
	ICMP_TIMESTAMP		= 13,
	ICMP_TIMESTAMPREPLY	= 14,
};

/* ICMPv6 (RFC 4443). */
enum {
	ICMP6_UNREACHABLE	= 1,
	ICMP6_TOO_BIG		= 2,
	ICMP6_TIME_EXCEEDED	= 3,
	ICMP6_PARAMETER		= 4,
	ICMP6_INFORMATIONAL	= 128,	/* types from here on are */
	ICMP6_ECHO		= 128,
	ICMP6_ECHOREPLY		= 129,
	ICMP6_REDIRECT		= 137,
};

/* Codes of ICMP6_UNREACHABLE. */
enum {
	ICMP6_NO_ROUTE		= 0,
	ICMP6_PROHIBITED	= 1,	/* administratively */
	ICMP6_ADDRESS		= 3,	/* unreachable */
};

/* Codes. */
enum {
	ICMP_NET_UNREACH	= 0,	/* of ICMP_DEST_UNREACH */
	ICMP_HOST_UNREACH	= 1,
	ICMP_FRAG_NEEDED	= 4,
	ICMP_PKT_FILTERED	= 13,	/* administratively prohibited */
	ICMP_EXC_TTL		= 0,	/* of ICMP_TIME_EXCEEDED */
};

struct icmphdr {
	__u8	type;
	__u8	code;
	__be16	checksum;
	union {
		struct {
			__be16	id;
			__be16	sequence;
		} echo;
		struct {
			__be16	unused;
			__be16	mtu;
		} frag;
	} un;
};
TALON_ASSERT_SIZE(struct icmphdr, 8);

#endif
