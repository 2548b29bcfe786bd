/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICE candidates, and the lines in which peers signal them. */
#ifndef TALON_ICE_CANDIDATE_H
#define TALON_ICE_CANDIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define ICE_CANDIDATE_LEN	512	/* a line with its terminator */
#define ICE_CID_LEN		32

enum ice_candidate_type { ICE_HOST, ICE_SRFLX, ICE_PRFLX, ICE_RELAY };
/* Returns "host", "srflx", ... */
const char *ice_candidate_type_name(enum ice_candidate_type type);

struct ice_candidate {
	enum ice_candidate_type type;
	uint16_t family;
	__be16 port;
	struct talon_addr addr;
	bool has_related;
	__be16 related_port;
	struct talon_addr related;
	uint32_t priority;
	char cid[ICE_CID_LEN + 1];	/* empty: none */
};

/*
 * Writes one line without "candidate:" (RFC 8839 section 5.1, with NetBird's ufrag and cid). Returns its
 * length, or -ENOSPC.
 */
int ice_candidate_format(const struct ice_candidate *candidate, const char *ufrag, char *buf, size_t size);
/* Reads one. Returns 0; -EPROTONOSUPPORT for TCP and mDNS, to be ignored; -EBADMSG if it is malformed. */
int ice_candidate_parse(const char *line, struct ice_candidate *ret_candidate);

/* RFC 8445 section 5.1.2.1, with a single local preference and component 1. */
uint32_t ice_candidate_priority(enum ice_candidate_type type);

#endif
