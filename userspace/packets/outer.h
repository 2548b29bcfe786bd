/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages that the kernel delivered to our socket, to the programs. */
#ifndef TALON_PACKETS_OUTER_H
#define TALON_PACKETS_OUTER_H

#include "packets/relay_pair.h"

/*
 * A data message of @len bytes from @from (with our own address as its local one), type of service @tos, to
 * the programs with its original addresses. Returns false if there is no room.
 */
bool outer_inject(struct relay_pair *pair, const struct endpoint *from, uint8_t tos, const uint8_t *bytes,
	size_t len);

#endif
