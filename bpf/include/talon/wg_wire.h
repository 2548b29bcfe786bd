/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * WireGuard messages as they are on the wire, and the constants of the protocol (whitepaper
 * sections 5 and 6).
 */
#ifndef TALON_WG_WIRE_H
#define TALON_WG_WIRE_H

#include "talon/types.h"

enum talon_wg_type {
	WG_INITIATION	= 1,
	WG_RESPONSE	= 2,
	WG_COOKIE	= 3,
	WG_DATA		= 4,
};

#define WG_KEY_LEN		32
#define WG_TAG_LEN		16
#define WG_TIMESTAMP_LEN	12	/* TAI64N */
#define WG_MAC_LEN		16
#define WG_COOKIE_NONCE_LEN	24

#define WG_INITIATION_LEN	148
#define WG_RESPONSE_LEN		92
#define WG_COOKIE_LEN		64
#define WG_DATA_HEADER_LEN	16
#define WG_DATA_MIN_LEN		(WG_DATA_HEADER_LEN + WG_TAG_LEN)	/* a keepalive */
#define WG_PADDING		16

/* All multi-byte integers of these messages are little-endian. */
struct wg_initiation {
	__u8	type;
	__u8	reserved[3];
	__le32	sender_index;
	__u8	ephemeral[WG_KEY_LEN];
	__u8	encrypted_static[WG_KEY_LEN + WG_TAG_LEN];
	__u8	encrypted_timestamp[WG_TIMESTAMP_LEN + WG_TAG_LEN];
	__u8	mac1[WG_MAC_LEN];
	__u8	mac2[WG_MAC_LEN];
} __attribute__((packed));
TALON_ASSERT_SIZE(struct wg_initiation, WG_INITIATION_LEN);

struct wg_response {
	__u8	type;
	__u8	reserved[3];
	__le32	sender_index;
	__le32	receiver_index;
	__u8	ephemeral[WG_KEY_LEN];
	__u8	encrypted_nothing[WG_TAG_LEN];
	__u8	mac1[WG_MAC_LEN];
	__u8	mac2[WG_MAC_LEN];
} __attribute__((packed));
TALON_ASSERT_SIZE(struct wg_response, WG_RESPONSE_LEN);

struct wg_cookie {
	__u8	type;
	__u8	reserved[3];
	__le32	receiver_index;
	__u8	nonce[WG_COOKIE_NONCE_LEN];
	__u8	encrypted_cookie[WG_MAC_LEN + WG_TAG_LEN];
} __attribute__((packed));
TALON_ASSERT_SIZE(struct wg_cookie, WG_COOKIE_LEN);

struct wg_data {
	__u8	type;
	__u8	reserved[3];
	__le32	receiver_index;
	__le64	counter;
} __attribute__((packed));
TALON_ASSERT_SIZE(struct wg_data, WG_DATA_HEADER_LEN);

#define WG_REKEY_AFTER_MESSAGES		(1ULL << 60)
#define WG_WINDOW_BITS			8192ULL
#define WG_WINDOW_WORDS			(WG_WINDOW_BITS / 64)
#define WG_WINDOW_PACKETS		(WG_WINDOW_BITS - 64)	/* one word is always redundant */
#define WG_REJECT_AFTER_MESSAGES	(~0ULL - WG_WINDOW_PACKETS)

#define WG_REKEY_AFTER_TIME_S		120
#define WG_REJECT_AFTER_TIME_S		180
#define WG_REKEY_ATTEMPT_TIME_S		90
#define WG_REKEY_TIMEOUT_S		5
#define WG_REKEY_TIMEOUT_JITTER_MS	334
#define WG_KEEPALIVE_TIMEOUT_S		10
#define WG_COOKIE_REFRESH_TIME_S	120
#define WG_COOKIE_LATENCY_S		5
#define WG_KEY_ERASE_AFTER_S		(3 * WG_REJECT_AFTER_TIME_S)
#define WG_MAX_TIMER_HANDSHAKES		(WG_REKEY_ATTEMPT_TIME_S / WG_REKEY_TIMEOUT_S)
#define WG_INITIATIONS_PER_SECOND	50
#define WG_HANDSHAKE_DSCP		0x88	/* the whole DS field: AF41, ECN not capable */

#endif
