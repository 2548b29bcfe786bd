/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Map endpoints: where sealed packets for each peer go. Reads and writes take the entry's lock; functions
 * that take an entry write all of it back. Those that return an int return 0 or a negative errno.
 */
#ifndef TALON_ENDPOINTS_ENDPOINTS_H
#define TALON_ENDPOINTS_ENDPOINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "datapath/datapath.h"
#include "talon/config_types.h"
#include "talon/peer_types.h"

struct endpoints {
	const struct datapath *dp;
	const struct talon_config *config;	/* listen_port and generation as they are now */
};

int endpoints_read(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *ret_endpoint);
void endpoints_from_map(const struct talon_endpoint *from, struct endpoint *ret_endpoint);
/* A roaming peer has moved to @endpoint. Does nothing if its way is pinned. */
int endpoints_follow(const struct endpoints *ends, uint32_t peer, const struct endpoint *endpoint);
/* The same for one that may roam from now on, whatever its way was. */
int endpoints_follow_any(const struct endpoints *ends, uint32_t peer, const struct endpoint *endpoint);
/* Pin a peer's way: the datapath does not follow the source of its packets. */
int endpoints_pin_nowhere(const struct endpoints *ends, uint32_t peer);
int endpoints_pin_direct(const struct endpoints *ends, uint32_t peer, const struct endpoint *to);
int endpoints_pin_relay(const struct endpoints *ends, uint32_t peer);
/* Lets a pinned peer roam again; one behind a relay has no endpoint then. */
int endpoints_unpin(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e);
/* Empties the entry of a departed peer. */
int endpoints_clear(const struct endpoints *ends, uint32_t peer);
/* @e gets another local address, and the path that goes with it. */
int endpoints_set_local(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e,
	const struct talon_addr *local);
/* The device its packets came by is not used any more: use the host's own route. */
int endpoints_leave_device(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e);
/*
 * The path MTU changed: the datapath looks the path up again. Where it finds none, the host's own value
 * applies.
 */
int endpoints_look_again(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e);
bool endpoints_has_addr(const struct talon_addr *addr);
bool endpoints_is_own(const struct endpoints *ends, const struct talon_addr *addr);
/* Fills in the local address that the route chooses, if it is unset or no longer this host's. */
void endpoints_choose_local(const struct endpoints *ends, struct endpoint *endpoint);

#endif
