/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From one controller to the next, in pinned maps (talon/relayed_types.h): which peers were reached over
 * which relay, and the relays' TCP connections, which the datapath keeps quiet until the next controller has
 * made its own. Without that the relay would tell all peers that we are gone, and they would need seconds to
 * come back. Nothing of it is secret.
 */
#ifndef TALON_HANDOVER_H
#define TALON_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include "talon/relayed_types.h"

/*
 * How long the next controller may take. A relay that cannot send to us holds up whoever sends to us, and
 * gives up after 10 s.
 */
#define HANDOVER_NS (8ULL * 1000000000)

struct handover;

struct handover_peer {
	uint32_t id;
	struct talon_relayed was;
};

/* Opens the maps of the datapath at @pin_dir. Returns 0, -ENOENT if none runs, or another negative errno. */
int handover_open(const char *pin_dir, struct handover **ret_handover);
/* NULL is allowed. */
void handover_close(struct handover *handover);

/* What is left for the next one, believed until @until_ns. Returns 0 or a negative errno. */
int handover_leave_peer(struct handover *handover, uint32_t id, const uint8_t public_key[static 32],
	const char *relay, uint64_t until_ns);
int handover_leave_connection(struct handover *handover, const struct talon_quiet *connection,
	uint64_t until_ns);

/*
 * What an earlier controller left and is still to be believed at @now_ns: at most TALON_RELAYED_MAX peers,
 * which the caller frees. Returns their number or -ENOMEM.
 */
int handover_take_peers(struct handover *handover, uint64_t now_ns, struct handover_peer **ret_peers);
/* Keeps the connections quiet no more, and has the kernel reset them at once. */
void handover_reset(struct handover *handover);
/* Nothing is left for anybody. */
void handover_forget(struct handover *handover);

#endif
