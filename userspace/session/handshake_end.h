/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way a handshake message that we received can end, written once: enum, status text and metric label grow from
 * this list.
 */
#ifndef TALON_SESSION_HANDSHAKE_END_H
#define TALON_SESSION_HANDSHAKE_END_H

/* X(id, label, is a drop, help) */
#define HANDSHAKE_ENDS(X)										\
	X(INITIATION,	"initiation",	0, "initiation accepted and answered")				\
	X(RESPONSE,	"response",	0, "response accepted, session begun")				\
	X(COOKIE,	"cookie",	0, "cookie accepted, the next handshake message carries it")	\
	X(BAD_TYPE,	"bad_type",	1, "not a handshake message, or reserved bytes are set")	\
	X(BAD_LENGTH,	"bad_length",	1, "length does not fit the message type")			\
	X(BAD_MAC1,	"bad_mac1",	1, "mac1 is wrong: the sender does not know our public key")	\
	X(NEEDS_COOKIE,	"bad_mac2_under_load", 1, "under load and without a valid mac2; a cookie was sent instead") \
	X(RATE_LIMITED,	"rate_limited",	1, "under load and too many messages from one source")		\
	X(DECRYPT_FAILED, "decrypt_failed", 1, "authentication failed")					\
	X(UNKNOWN_PEER,	"unknown_peer",	1, "initiation from a public key that is no peer's")		\
	X(REPLAYED,	"replayed_timestamp", 1, "timestamp is not greater than the last one accepted")	\
	X(FLOOD,	"flood",	1, "more than 50 initiations a second from one peer")		\
	X(UNEXPECTED_RESPONSE, "unexpected_response", 1, "response to no initiation of ours")		\
	X(UNEXPECTED_COOKIE, "unexpected_cookie", 1, "cookie for no message of ours")			\
	X(BAD_COOKIE,	"bad_cookie",	1, "cookie reply does not decrypt")				\
	X(NO_SLOT,	"no_slot",	1, "every session slot is taken")				\
	X(INTERNAL,	"internal",	1, "a map could not be written")

#define HANDSHAKE_END_ID(id, label, drop, help) HANDSHAKE_##id,
enum handshake_end { HANDSHAKE_ENDS(HANDSHAKE_END_ID) HANDSHAKE_END_COUNT };

#endif
