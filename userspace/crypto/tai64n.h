/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TAI64N timestamps of handshake initiations (whitepaper sections 5.1 and 5.4.2;
 * https://cr.yp.to/libtai/tai64.html).
 */
#ifndef TALON_CRYPTO_TAI64N_H
#define TALON_CRYPTO_TAI64N_H

#include <stdbool.h>
#include <stdint.h>

#define TAI64N_LEN 12

/*
 * A clock this far away from where it should be is suspect. A day: wrong time zones and skewed laptops are
 * not worth a warning.
 */
#define TAI64N_FUTURE_MAX_S 86400

struct tai64n {
	/* 8 bytes of seconds and 4 of nanoseconds, big-endian: memcmp() orders them */
	uint8_t bytes[TAI64N_LEN];
};

/*
 * Label of @unix_ns (CLOCK_REALTIME, ns): Unix time + 2^62 + 10. The low 24 bits of the nanoseconds
 * are cleared, so that a label does not tell the sender's exact clock; what remains orders 50
 * initiations a second.
 */
struct tai64n tai64n_from_unix(uint64_t unix_ns);

/*
 * Less than, equal to or greater than zero, as @a is before, at or after @b. All zero is before everything.
 */
int tai64n_compare(const struct tai64n *a, const struct tai64n *b);

/* The next label after @label that tai64n_from_unix() could give. */
struct tai64n tai64n_successor(const struct tai64n *label);

/* True if @label is more than TAI64N_FUTURE_MAX_S ahead of @unix_ns. */
bool tai64n_is_future(const struct tai64n *label, uint64_t unix_ns);

/* The clock of one sender. It never goes back, even if CLOCK_REALTIME does. */
struct tai64n_clock {
	struct tai64n last;
	uint64_t unix_ns;	/* when it was read last, by both clocks; 0: not yet */
	uint64_t boot_ns;
};

/*
 * Label for an initiation to be sent at @unix_ns to a peer whose last one was labelled @after (zero: none):
 * greater than that, and no earlier than the clock's last reading. @boot_ns is CLOCK_BOOTTIME at the same
 * moment. Sets @ret_jumped if CLOCK_REALTIME went forward by TAI64N_FUTURE_MAX_S more than CLOCK_BOOTTIME
 * since the last call: if that was a lie, peers will refuse us once it is corrected and this process ended
 * (CVE-2021-46873). Following it is right all the same: a clock that was set at last leaps like this, too.
 */
struct tai64n tai64n_next(struct tai64n_clock *clock, uint64_t unix_ns, uint64_t boot_ns,
	const struct tai64n *after, bool *ret_jumped);

#endif
