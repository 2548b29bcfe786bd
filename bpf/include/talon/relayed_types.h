/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a controller leaves behind when it ends without a word to the relays, for the one after it: who was
 * reached over which server, and the TCP connections that must not be reset before the next controller has
 * taken their place.
 */
#ifndef TALON_RELAYED_TYPES_H
#define TALON_RELAYED_TYPES_H

#include "talon/types.h"

/*
 * Map "quiet": HASH struct talon_quiet -> __u64, CLOCK_BOOTTIME ns until which segments of this connection
 * are dropped. Nobody owns it any more: the kernel would answer with a reset, and the relay would tell all
 * peers that we are gone. Looked at only until config.quiet_until_ns.
 */
struct talon_quiet {
	struct talon_addr remote, local;
	__be16	remote_port, local_port;
	__u32	pad;
};
TALON_ASSERT_SIZE(struct talon_quiet, 40);

#define TALON_QUIET_MAX		64
#define TALON_RELAY_NAME_MAX	256	/* a relay's address as text, with its end */

/* Map "relayed": HASH peer id -> struct talon_relayed. For the controllers alone. */
struct talon_relayed {
	__u8	public_key[32];
	__u64	until_ns;		/* CLOCK_BOOTTIME: not believed later */
	char	relay[TALON_RELAY_NAME_MAX];
};
TALON_ASSERT_SIZE(struct talon_relayed, 296);

#define TALON_RELAYED_MAX	1024	/* peers beyond are reached again by offers */

#endif
