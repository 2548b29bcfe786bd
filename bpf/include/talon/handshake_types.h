/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How handshake messages ended, and what else the controller counts, written once: enums, map
 * "handshake_stats" (ARRAY of u64: first the ends, then the counts; written by the controller, not read by
 * the datapath), the status text and the metric labels grow from these lists.
 */
#ifndef TALON_HANDSHAKE_TYPES_H
#define TALON_HANDSHAKE_TYPES_H

#include "talon/types.h"

/* Received handshake messages. */
/* X(id, label, is a drop, help) */
#define HANDSHAKE_ENDS(X) \
	X(INITIATION,	"initiation",	0, "initiation accepted and answered") \
	X(RESPONSE,	"response",	0, "response accepted, session begun") \
	X(COOKIE,	"cookie",	0, "cookie accepted, the next handshake message carries it") \
	X(BAD_TYPE,	"bad_type",	1, "not a handshake message, or reserved bytes are set") \
	X(BAD_LENGTH,	"bad_length",	1, "length does not fit the message type") \
	X(BAD_MAC1,	"bad_mac1",	1, "mac1 is wrong: the sender does not know our public key") \
	X(NEEDS_COOKIE,	"bad_mac2_under_load", 1, \
		"under load and without a valid mac2; a cookie was sent instead") \
	X(RATE_LIMITED,	"rate_limited",	1, "under load and too many messages from one source") \
	X(DECRYPT_FAILED, "decrypt_failed", 1, "authentication failed") \
	X(UNKNOWN_PEER,	"unknown_peer",	1, "initiation from a public key that is no peer's") \
	X(REPLAYED,	"replayed_timestamp", 1, "timestamp is not greater than the last one accepted") \
	X(FLOOD,	"flood",	1, "more than 50 initiations a second from one peer") \
	X(UNEXPECTED_RESPONSE, "unexpected_response", 1, "response to no initiation of ours") \
	X(UNEXPECTED_COOKIE, "unexpected_cookie", 1, "cookie for no message of ours") \
	X(BAD_COOKIE,	"bad_cookie",	1, "cookie reply does not decrypt") \
	X(UNCONFIRMED,	"unconfirmed_peer", 1, \
		"taken over from an earlier process, and no map has named it yet") \
	X(NO_SLOT,	"no_slot",	1, "every session slot is taken") \
	X(INTERNAL,	"internal",	1, "a map could not be written")

#define HANDSHAKE_END_ID(id, label, drop, help) HANDSHAKE_##id,
enum handshake_end { HANDSHAKE_ENDS(HANDSHAKE_END_ID) HANDSHAKE_END_COUNT };

/* X(id, label, is trouble, help) */
#define HANDSHAKE_COUNTS(X) \
	X(INITIATIONS_SENT, "initiations_sent", 0, "initiations sent, repetitions too") \
	X(RESPONSES_SENT, "responses_sent", 0, "responses sent") \
	X(COOKIES_SENT,	"cookies_sent",	0, "cookies sent, under load") \
	X(GAVE_UP,	"gave_up",	1, "attempts that ended without an answer after 90 s") \
	X(SEND_ERRORS,	"send_errors",	1, "handshake messages and keepalives that could not be sent") \
	X(MAP_ERRORS,	"map_errors",	1, "maps that could not be written") \
	X(FUTURE_TIMESTAMPS, "future_timestamps", 1, \
		"initiations from the future: the peer's clock is ahead") \
	X(CLOCK_JUMPS,	"clock_jumps",	1, "our own clock leapt forward") \
	X(SLOW_DATA,	"slow_data",	0, \
		"data messages from the controller's socket to the datapath: fragmented, or by another " \
		"device") \
	X(SLOW_DROPPED,	"slow_dropped",	1, \
		"data messages at the controller's socket without a session, or lost on their way to the " \
		"datapath") \
	X(JUNK,		"junk",		1, "not WireGuard, at the controller's socket") \
	X(HELD_DROPPED,	"held_dropped",	1, "held packets that were given up")

#define HANDSHAKE_COUNT_ID(id, label, trouble, help) HANDSHAKE_COUNT_##id,
enum handshake_count { HANDSHAKE_COUNTS(HANDSHAKE_COUNT_ID) HANDSHAKE_COUNT_COUNT };

#define HANDSHAKE_STATS_ENTRIES (HANDSHAKE_END_COUNT + HANDSHAKE_COUNT_COUNT)

#endif
