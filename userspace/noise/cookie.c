// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Macs, cookies, load detection and the rate limit by source.
#include "noise/cookie.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/hash.h"

#define LABEL_MAC1	"mac1----"
#define LABEL_COOKIE	"cookie--"
#define LABEL_LEN	8

#define SECRET_LIFE_NS	(WG_COOKIE_REFRESH_TIME_S * TALON_NSEC_PER_SEC)
/* The peer may drop the secret earlier than we the cookie, by as long as the reply was under way. */
#define COOKIE_LIFE_NS	((WG_COOKIE_REFRESH_TIME_S - WG_COOKIE_LATENCY_S) * TALON_NSEC_PER_SEC)

#define TOKEN_NS	(TALON_NSEC_PER_SEC / COOKIE_RATE_PER_SECOND)
#define BUCKET_NS	(TOKEN_NS * COOKIE_RATE_BURST)

struct macs {
	uint8_t mac1[WG_MAC_LEN];
	uint8_t mac2[WG_MAC_LEN];
};

static void derive_keys(const uint8_t public_key[static KEY_LEN], struct secret_key *ret_mac1_key,
	struct secret_key *ret_cookie_key)
{
	hash_join(LABEL_MAC1, LABEL_LEN, public_key, KEY_LEN, ret_mac1_key->bytes);
	hash_join(LABEL_COOKIE, LABEL_LEN, public_key, KEY_LEN, ret_cookie_key->bytes);
}

/* mac1 covers everything before it. */
static void mac1_of(const struct secret_key *key, const void *message, size_t len,
	uint8_t ret_mac[static WG_MAC_LEN])
{
	hash_mac(key->bytes, KEY_LEN, message, len - sizeof(struct macs), ret_mac);
}

/* mac2 covers everything before it, mac1 too. */
static void mac2_of(const uint8_t cookie[static WG_MAC_LEN], const void *message, size_t len,
	uint8_t ret_mac[static WG_MAC_LEN])
{
	hash_mac(cookie, WG_MAC_LEN, message, len - WG_MAC_LEN, ret_mac);
}

/* tau := MAC(R, A), A being the source's address and port as they are in the packet */
static void cookie_of(const struct cookie_checker *checker, const struct endpoint *from,
	uint8_t ret_cookie[static WG_MAC_LEN])
{
	uint8_t source[sizeof(struct talon_addr) + sizeof(__be16)];
	size_t len = endpoint_addr_len(from->family);

	memcpy(source, &from->remote, len);
	memcpy(source + len, &from->port, sizeof(from->port));
	hash_mac(checker->secret.bytes, KEY_LEN, source, len + sizeof(from->port), ret_cookie);
}

static bool secret_is_fresh(const struct cookie_checker *checker, uint64_t now_ns)
{
	return checker->has_secret && now_ns - checker->secret_birth_ns < SECRET_LIFE_NS;
}

void cookie_checker_init(struct cookie_checker *checker, const uint8_t public_key[static KEY_LEN])
{
	*checker = (struct cookie_checker){ 0 };
	derive_keys(public_key, &checker->mac1_key, &checker->cookie_key);
}

void cookie_maker_init(struct cookie_maker *maker, const uint8_t public_key[static KEY_LEN])
{
	*maker = (struct cookie_maker){ 0 };
	derive_keys(public_key, &maker->mac1_key, &maker->cookie_key);
}

static const struct macs *macs_of(const void *message, size_t len)
{
	return (const struct macs *)((const uint8_t *)message + len - sizeof(struct macs));
}

bool cookie_check_mac1(const struct cookie_checker *checker, const void *message, size_t len)
{
	uint8_t mac[WG_MAC_LEN];

	mac1_of(&checker->mac1_key, message, len, mac);
	return sodium_memcmp(mac, macs_of(message, len)->mac1, WG_MAC_LEN) == 0;
}

bool cookie_check_mac2(const struct cookie_checker *checker, uint64_t now_ns, const void *message, size_t len,
	const struct endpoint *from)
{
	uint8_t mac[WG_MAC_LEN], cookie[WG_MAC_LEN];
	bool is_equal;

	if (!secret_is_fresh(checker, now_ns))
		return false;
	cookie_of(checker, from, cookie);
	mac2_of(cookie, message, len, mac);
	is_equal = sodium_memcmp(mac, macs_of(message, len)->mac2, WG_MAC_LEN) == 0;
	sodium_memzero(cookie, sizeof(cookie));
	sodium_memzero(mac, sizeof(mac));
	return is_equal;
}

void cookie_create_reply(struct cookie_checker *checker, uint64_t now_ns, const void *message, size_t len,
	const struct endpoint *from, cookie_random_fn random, void *ctx, struct wg_cookie *ret_reply)
{
	uint8_t cookie[WG_MAC_LEN];

	if (!secret_is_fresh(checker, now_ns)) {
		random(ctx, checker->secret.bytes, KEY_LEN);
		checker->secret_birth_ns = now_ns;
		checker->has_secret = true;
	}
	*ret_reply = (struct wg_cookie){ .type = WG_COOKIE };
	/* Initiation and response both have the sender's index after the type. */
	memcpy(&ret_reply->receiver_index, (const uint8_t *)message + offsetof(struct wg_initiation,
		sender_index), sizeof(ret_reply->receiver_index));
	static_assert(offsetof(struct wg_initiation, sender_index) == offsetof(struct wg_response,
		sender_index), "one place");

	random(ctx, ret_reply->nonce, WG_COOKIE_NONCE_LEN);
	cookie_of(checker, from, cookie);
	aead_xseal(&checker->cookie_key, ret_reply->nonce, cookie, WG_MAC_LEN, macs_of(message, len)->mac1,
		WG_MAC_LEN, ret_reply->encrypted_cookie);
	sodium_memzero(cookie, sizeof(cookie));
}

void cookie_add_macs(struct cookie_maker *maker, uint64_t now_ns, void *message, size_t len)
{
	struct macs *macs = (struct macs *)((uint8_t *)message + len - sizeof(struct macs));

	mac1_of(&maker->mac1_key, message, len, macs->mac1);
	memcpy(maker->last_mac1, macs->mac1, WG_MAC_LEN);
	maker->has_last_mac1 = true;

	if (maker->has_cookie && now_ns - maker->cookie_birth_ns < COOKIE_LIFE_NS)
		mac2_of(maker->cookie, message, len, macs->mac2);
	else
		memset(macs->mac2, 0, WG_MAC_LEN);
}

int cookie_consume_reply(struct cookie_maker *maker, uint64_t now_ns, const struct wg_cookie *reply)
{
	uint8_t cookie[WG_MAC_LEN];
	int ret;

	if (!maker->has_last_mac1)
		return -EINVAL;
	ret = aead_xopen(&maker->cookie_key, reply->nonce, reply->encrypted_cookie,
		sizeof(reply->encrypted_cookie), maker->last_mac1, WG_MAC_LEN, cookie);
	if (ret < 0)
		goto out;
	memcpy(maker->cookie, cookie, WG_MAC_LEN);
	maker->cookie_birth_ns = now_ns;
	maker->has_cookie = true;
	maker->has_last_mac1 = false;	/* one reply for each message: a second one is a replay */
out:
	sodium_memzero(cookie, sizeof(cookie));
	return ret;
}

bool cookie_load_count(struct cookie_load *load, uint64_t now_ns)
{
	if (now_ns - load->second_ns >= TALON_NSEC_PER_SEC) {
		load->second_ns = now_ns;
		load->count = 0;
	}
	if (load->count < UINT32_MAX)
		load->count++;
	if (load->count > COOKIE_LOAD_PER_SECOND)
		load->until_ns = now_ns + COOKIE_LOAD_HOLD_NS;
	return now_ns < load->until_ns;
}

struct bucket {
	uint8_t key[sizeof(struct talon_addr)];
	uint64_t full_at_ns;	/* when all tokens taken so far will have grown back; 0: unused */
};

struct cookie_ratelimit {
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	struct bucket sets[COOKIE_RATE_SETS][COOKIE_RATE_WAYS];
};

struct cookie_ratelimit *cookie_ratelimit_new(cookie_random_fn random, void *ctx)
{
	struct cookie_ratelimit *limit = calloc(1, sizeof(*limit));

	if (limit)
		random(ctx, limit->hash_key, sizeof(limit->hash_key));
	return limit;
}

void cookie_ratelimit_free(struct cookie_ratelimit *limit)
{
	if (limit)
		sodium_memzero(limit->hash_key, sizeof(limit->hash_key));
	free(limit);
}

/* IPv4 as ::ffff:a.b.c.d, unlike any IPv6 /64; of IPv6 the /64, for a host may use all its addresses. */
static void bucket_key(const struct endpoint *from, uint8_t ret_key[static sizeof(struct talon_addr)])
{
	memset(ret_key, 0, sizeof(struct talon_addr));
	if (from->family == AF_INET) {
		memset(ret_key + 10, 0xff, 2);
		memcpy(ret_key + 12, &from->remote, 4);
	} else {
		memcpy(ret_key, &from->remote, 8);
	}
}

/* The source's bucket, or the least recently used one of its set. */
static struct bucket *bucket_find(struct cookie_ratelimit *limit,
	const uint8_t key[static sizeof(struct talon_addr)])
{
	struct bucket *set, *oldest;
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, key, sizeof(struct talon_addr), limit->hash_key);
	set = limit->sets[hash % COOKIE_RATE_SETS];
	oldest = &set[0];
	for (size_t i = 0; i < COOKIE_RATE_WAYS; i++) {
		if (set[i].full_at_ns && memcmp(set[i].key, key, sizeof(set[i].key)) == 0)
			return &set[i];
		if (set[i].full_at_ns < oldest->full_at_ns)
			oldest = &set[i];
	}
	memcpy(oldest->key, key, sizeof(oldest->key));
	oldest->full_at_ns = 0;
	return oldest;
}

/* A bucket is a point in time. A token moves it TOKEN_NS on, at most a full burst ahead of now. */
bool cookie_ratelimit_allow(struct cookie_ratelimit *limit, uint64_t now_ns, const struct endpoint *from)
{
	uint8_t key[sizeof(struct talon_addr)];
	struct bucket *bucket;
	uint64_t from_ns;

	bucket_key(from, key);
	bucket = bucket_find(limit, key);
	from_ns = bucket->full_at_ns > now_ns ? bucket->full_at_ns : now_ns;
	if (from_ns + TOKEN_NS > now_ns + BUCKET_NS)
		return false;
	bucket->full_at_ns = from_ns + TOKEN_NS;
	return true;
}
