/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * STUN messages (RFC 8489) as ICE (RFC 8445) and NetBird's peers use them: Binding only, short-term
 * credentials, and an attribute of NetBird's after FINGERPRINT. Bytes to fields and back, without state.
 */
#ifndef TALON_ICE_STUN_H
#define TALON_ICE_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define STUN_HEADER_LEN		20
#define STUN_COOKIE		0x2112A442U
#define STUN_TX_LEN		12
#define STUN_BINDING		0x001
#define STUN_USERNAME_MAX	513	/* "ufrag:ufrag" with ICE's longest ones */
#define STUN_CIDS_LEN		65	/* "SOURCE:TARGET", two candidate ids of 32 characters */
#define STUN_BUILD_MAX		768	/* the longest message that we build */
#define STUN_ROLE_CONFLICT	487
#define STUN_UNKNOWN_ATTRIBUTE	420
#define STUN_UNKNOWN_MAX	8	/* of them that are kept */

enum stun_class { STUN_REQUEST, STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

/* A parsed message; pointers lead into the bytes it was parsed from. */
struct stun_message {
	const uint8_t *bytes;
	size_t len;
	enum stun_class class;
	uint16_t method;
	const uint8_t *tx;		/* STUN_TX_LEN bytes */
	const char *username;		/* NULL: none; not terminated */
	size_t username_len;
	bool use_candidate;
	bool has_priority;
	bool is_controlling;		/* the role attribute it has; both false: none */
	bool is_controlled;
	/* XOR-MAPPED-ADDRESS, already unmasked: in mapped.family, .remote and .port */
	bool has_mapped;
	struct endpoint mapped;
	uint32_t priority;
	uint64_t tie_breaker;
	uint16_t error;			/* 0: none */
	/* the first ones that must be understood, and are not (section 14) */
	uint16_t unknown[STUN_UNKNOWN_MAX];
	size_t unknown_count;
	size_t integrity_at;		/* offset of the attribute; 0: none */
	size_t fingerprint_at;
	const char *cids;		/* NetBird's 0x8100, not authenticated; NULL: none */
	size_t cids_len;
};

/* True if @bytes look like STUN, as in the datapath, which tests for WireGuard first. */
bool stun_is_message(const uint8_t *bytes, size_t len);

/*
 * Parses @bytes. Attributes after MESSAGE-INTEGRITY are ignored, except FINGERPRINT and 0x8100 (RFC 8489
 * section 14.5). Unknown attributes are skipped, and listed if they must be understood. Returns 0 or
 * -EBADMSG; @ret_message is written only on success.
 */
int stun_parse(const uint8_t *bytes, size_t len, struct stun_message *ret_message);

/* True if the message has a MESSAGE-INTEGRITY made with @password. */
bool stun_is_authentic(const struct stun_message *message, const char *password);
/* True if the message has a correct FINGERPRINT. Needless where the integrity is checked. */
bool stun_has_fingerprint(const struct stun_message *message);

struct stun_request {
	const uint8_t *tx;
	/* NULL: a bare request for a STUN server; the other members are not used then */
	const char *username;
	const char *password;		/* the receiver's */
	bool use_candidate;
	bool is_controlling;
	uint64_t tie_breaker;
	uint32_t priority;
	const char *cids;		/* "SOURCE:TARGET"; NULL: without */
};

struct stun_response {
	const uint8_t *tx;
	const struct endpoint *mapped;	/* its family, remote and port; NULL: none */
	uint16_t error;			/* 0: success */
	const uint16_t *unknown;	/* of the request, with STUN_UNKNOWN_ATTRIBUTE */
	size_t unknown_count;
	const char *password;		/* the responder's own; NULL: without integrity */
	const char *cids;
};

/* Write into @buf; return the length, or -ENOSPC. STUN_BUILD_MAX is always enough. */
int stun_build_request(const struct stun_request *request, uint8_t *buf, size_t size);
int stun_build_response(const struct stun_response *response, uint8_t *buf, size_t size);

#endif
