/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Macs, cookies and rate limits under load (whitepaper sections 5.3, 5.4.4 and 5.4.7). Times are
 * CLOCK_BOOTTIME in ns.
 */
#ifndef TALON_NOISE_COOKIE_H
#define TALON_NOISE_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "base/endpoint.h"
#include "talon/wg_wire.h"

/* Fills @buf with @len unpredictable bytes. */
typedef void (*cookie_random_fn)(void *ctx, void *buf, size_t len);

/* Checks the macs of received messages. One per device. */
struct cookie_checker {
	struct secret_key mac1_key;	/* HASH(label || our public key): not really secret */
	struct secret_key cookie_key;
	struct secret_key secret;	/* cookies are MACs under it; new every WG_COOKIE_REFRESH_TIME_S */
	uint64_t secret_birth_ns;
	bool has_secret;
};

/* Adds macs to the messages sent to a peer. One per peer. */
struct cookie_maker {
	struct secret_key mac1_key;	/* as above, of the peer's public key */
	struct secret_key cookie_key;
	uint8_t last_mac1[WG_MAC_LEN];	/* of the last message sent, which a cookie reply must answer */
	bool has_last_mac1;
	uint8_t cookie[WG_MAC_LEN];
	uint64_t cookie_birth_ns;	/* when it arrived */
	bool has_cookie;
};

void cookie_checker_init(struct cookie_checker *checker, const uint8_t public_key[static KEY_LEN]);
void cookie_maker_init(struct cookie_maker *maker, const uint8_t public_key[static KEY_LEN]);

/*
 * @message is a whole initiation or response: its last 32 bytes are the macs. True if the sender knows
 * our public key.
 */
bool cookie_check_mac1(const struct cookie_checker *checker, const void *message, size_t len);

/* True if the sender has the cookie that we sent to @from, so that it can receive at its source address. */
bool cookie_check_mac2(const struct cookie_checker *checker, uint64_t now_ns, const void *message, size_t len,
	const struct endpoint *from);

/* Answers @message (whole, with a valid mac1) from @from with a cookie. */
void cookie_create_reply(struct cookie_checker *checker, uint64_t now_ns, const void *message, size_t len,
	const struct endpoint *from, cookie_random_fn random, void *ctx, struct wg_cookie *ret_reply);

/* Writes both macs at the end of @message; mac2 is zero unless we hold a cookie younger than 115 s. */
void cookie_add_macs(struct cookie_maker *maker, uint64_t now_ns, void *message, size_t len);

/*
 * Keeps the cookie for the next message. Returns 0, -EINVAL if no message awaits one, -EBADMSG if it is
 * forged.
 */
int cookie_consume_reply(struct cookie_maker *maker, uint64_t now_ns, const struct wg_cookie *reply);

/*
 * Under load: more than COOKIE_LOAD_PER_SECOND handshake messages with a valid mac1 within a second, and
 * COOKIE_LOAD_HOLD_NS longer. That is an eighth of what one core can answer.
 */
#define COOKIE_LOAD_PER_SECOND	512
#define COOKIE_LOAD_HOLD_NS	1000000000ULL

struct cookie_load {
	uint64_t second_ns;	/* when the second being counted began */
	uint32_t count;
	uint64_t until_ns;	/* under load before this */
};

/* Counts one message. Returns true if we are under load. */
bool cookie_load_count(struct cookie_load *load, uint64_t now_ns);

/*
 * Token buckets by source, only for sources that proved their address by a cookie (section 5.3). Their
 * number is fixed, which bounds the memory, and the hash is keyed, so that nobody can aim at another
 * source's bucket. When a set of buckets is full, the one idle longest is reused: after 250 ms without a
 * message it holds all its tokens again, so forgetting it changes nothing.
 */
#define COOKIE_RATE_PER_SECOND	20
#define COOKIE_RATE_BURST	5
#define COOKIE_RATE_WAYS	8
#define COOKIE_RATE_SETS	512

struct cookie_ratelimit;

/* Returns NULL when out of memory. */
struct cookie_ratelimit *cookie_ratelimit_new(cookie_random_fn random, void *ctx);
void cookie_ratelimit_free(struct cookie_ratelimit *limit);

/* Takes a token of the address (IPv4) or /64 (IPv6) of @from, whatever the port. False: none is left. */
bool cookie_ratelimit_allow(struct cookie_ratelimit *limit, uint64_t now_ns, const struct endpoint *from);

#endif
