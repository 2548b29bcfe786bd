// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// TAI64N timestamps.
#include "crypto/tai64n.h"

#include <endian.h>
#include <string.h>

#define NSEC_PER_SEC	1000000000ULL
/* TAI was 10 s ahead at the Unix epoch; leap seconds since are left out, as peers do. */
#define TAI64_EPOCH	((1ULL << 62) + 10)
#define COARSE_NS	(1U << 24)

static struct tai64n pack(uint64_t seconds, uint32_t ns)
{
	struct tai64n label;

	seconds = htobe64(seconds);
	ns = htobe32(ns);
	memcpy(label.bytes, &seconds, sizeof(seconds));
	memcpy(label.bytes + sizeof(seconds), &ns, sizeof(ns));
	return label;
}

static uint64_t seconds_of(const struct tai64n *label)
{
	uint64_t seconds;

	memcpy(&seconds, label->bytes, sizeof(seconds));
	return be64toh(seconds);
}

static uint32_t ns_of(const struct tai64n *label)
{
	uint32_t ns;

	memcpy(&ns, label->bytes + sizeof(uint64_t), sizeof(ns));
	return be32toh(ns);
}

struct tai64n tai64n_from_unix(uint64_t unix_ns)
{
	return pack(TAI64_EPOCH + unix_ns / NSEC_PER_SEC, (unix_ns % NSEC_PER_SEC) & ~(COARSE_NS - 1));
}

int tai64n_compare(const struct tai64n *a, const struct tai64n *b)
{
	return memcmp(a->bytes, b->bytes, TAI64N_LEN);
}

struct tai64n tai64n_successor(const struct tai64n *label)
{
	uint64_t ns = ns_of(label) + (uint64_t)COARSE_NS;

	if (ns >= NSEC_PER_SEC)
		return pack(seconds_of(label) + 1, 0);
	return pack(seconds_of(label), ns);
}

bool tai64n_is_future(const struct tai64n *label, uint64_t unix_ns)
{
	struct tai64n limit = tai64n_from_unix(unix_ns + TAI64N_FUTURE_MAX_S * NSEC_PER_SEC);

	return tai64n_compare(label, &limit) > 0;
}

static bool jumped(const struct tai64n_clock *clock, uint64_t unix_ns, uint64_t boot_ns)
{
	uint64_t expected_ns = clock->unix_ns + (boot_ns - clock->boot_ns);

	return clock->unix_ns && unix_ns > expected_ns &&
		unix_ns - expected_ns > TAI64N_FUTURE_MAX_S * NSEC_PER_SEC;
}

struct tai64n tai64n_next(struct tai64n_clock *clock, uint64_t unix_ns, uint64_t boot_ns,
	const struct tai64n *after, bool *ret_jumped)
{
	struct tai64n label = tai64n_from_unix(unix_ns);

	*ret_jumped = jumped(clock, unix_ns, boot_ns);
	clock->unix_ns = unix_ns;
	clock->boot_ns = boot_ns;
	if (tai64n_compare(&label, &clock->last) < 0)
		label = clock->last;
	clock->last = label;
	/*
	 * Peers are strict one by one: a step for each of thousands would push the clock minutes
	 * into the future.
	 */
	if (tai64n_compare(&label, after) <= 0)
		label = tai64n_successor(after);
	return label;
}
