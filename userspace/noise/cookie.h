/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Macs, cookies and their rationing under load (whitepaper sections 5.3, 5.4.4 and 5.4.7). Times are
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

/* "Fills @buf with @len unpredictable bytes". */
typedef void (*cookie_random_fn)(void *ctx, void *buf, size_t len);

/* Checks what others send us. One per device. */
struct cookie_checker {
	struct secret_key mac1_key;	/* HASH(label || our public key): not secret, but nobody's business */
	struct secret_key cookie_key;
	struct secret_key secret;	/* cookies are MACs under it; new every WG_COOKIE_REFRESH_TIME_S */
	uint64_t secret_birth_ns;
	bool has_secret;
};

/* Makes what we send to a peer acceptable to it. One per peer. */
struct cookie_maker {
	struct secret_key mac1_key;	/* as above, of the peer's public key */
	struct secret_key cookie_key;
	uint8_t last_mac1[WG_MAC_LEN];	/* of the last message sent: a cookie reply must be about it */
	bool has_last_mac1;
	uint8_t cookie[WG_MAC_LEN];
	uint64_t cookie_birth_ns;	/* when it came */
	bool has_cookie;
};

void cookie_checker_init(struct cookie_checker *checker, const uint8_t public_key[static KEY_LEN]);
void cookie_maker_init(struct cookie_maker *maker, const uint8_t public_key[static KEY_LEN]);

/*
 * @message is a whole initiation or response: its last 32 bytes are the macs. True if the sender knows
 * our public key.
 */
bool cookie_check_mac1(const struct cookie_checker *checker, const void *message, size_t len);

/* True if the sender holds the cookie we gave to @from: it can receive at its source address. */
bool cookie_check_mac2(const struct cookie_checker *checker, uint64_t now_ns, const void *message, size_t len,
	const struct endpoint *from);

/* Answers @message (whole, mac1 right) from @from with a cookie. */
void cookie_create_reply(struct cookie_checker *checker, uint64_t now_ns, const void *message, size_t len,
	const struct endpoint *from, cookie_random_fn random, void *ctx, struct wg_cookie *ret_reply);

/* Writes both macs at the end of @message; mac2 is zero unless we hold a cookie younger than 115 s. */
void cookie_add_macs(struct cookie_maker *maker, uint64_t now_ns, void *message, size_t len);

/*
 * Keeps the cookie for the next message. Returns 0, -EINVAL if no message is waiting for one, -EBADMSG
 * if it is forged.
 */
int cookie_consume_reply(struct cookie_maker *maker, uint64_t now_ns, const struct wg_cookie *reply);

/*
 * Under load: more than COOKIE_LOAD_PER_SECOND handshake messages (with a right mac1) within a second, and
 * for COOKIE_LOAD_HOLD_NS after the last such moment. An eighth of what one core can answer.
 */
#define COOKIE_LOAD_PER_SECOND	512
#define COOKIE_LOAD_HOLD_NS	1000000000ULL

struct cookie_load {
	uint64_t second_ns;	/* when the second that is being counted began */
	uint32_t count;
	uint64_t until_ns;	/* under load before this */
};

/* Counts one message. Returns true if we are under load. */
bool cookie_load_count(struct cookie_load *load, uint64_t now_ns);

/*
 * Token buckets by source (section 5.3: only for sources that proved their address by a cookie). A fixed
 * number of them, so memory is bounded; where a source falls is keyed, so nobody can aim at another's bucket.
 * When its set of buckets is full, the one that was idle longest is given away: after 250 ms without a
 * message it is full again, and forgetting it changes nothing.
 */
#define COOKIE_RATE_PER_SECOND	20
#define COOKIE_RATE_BURST	5
#define COOKIE_RATE_WAYS	8
#define COOKIE_RATE_SETS	512

struct cookie_ratelimit;

/* Returns NULL when out of memory. */
struct cookie_ratelimit *cookie_ratelimit_new(cookie_random_fn random, void *ctx);
void cookie_ratelimit_free(struct cookie_ratelimit *limit);

/*
 * Takes a token of the address (IPv4) or /64 (IPv6) of @from, whatever the port. False: there is none left.
 */
bool cookie_ratelimit_allow(struct cookie_ratelimit *limit, uint64_t now_ns, const struct endpoint *from);

#endif
