// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fragmentation by hand (RFC 791): every size, options, packets that are fragments already, and what
// must be refused.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/ip.h>

#include "packets/fragment.h"

#define DATA_MAX 65535

/* What a receiver makes of the pieces. */
struct receiver {
	size_t mtu;
	size_t header;			/* of each piece */
	size_t start;			/* offset in the datagram of the first byte expected next */
	size_t got;
	bool more;			/* MF of the last piece */
	unsigned pieces;
	uint8_t first[60];		/* header of the first piece */
	uint8_t later[60];		/* header of the last one, if it is not the first */
	uint8_t data[DATA_MAX];
};

static struct receiver rx;

static uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static uint16_t sum16(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += get16(bytes + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void receive(const uint8_t *piece, size_t len, void *user)
{
	size_t header = (piece[0] & 15) * 4;
	uint16_t frag = get16(piece + 6);

	assert_ptr_equal(user, &rx);
	assert_true(len <= rx.mtu);
	assert_int_equal(get16(piece + 2), len);
	assert_int_equal(sum16(piece, header), 0xffff);
	assert_int_equal(header, rx.header);
	assert_int_equal((frag & IP_OFFMASK) * 8, rx.start + rx.got);
	rx.more = frag & IP_MF;
	if (rx.more)
		assert_int_equal((len - header) % 8, 0);
	memcpy(rx.data + rx.got, piece + header, len - header);
	rx.got += len - header;
	memcpy(rx.pieces++ ? rx.later : rx.first, piece, header);
}

static void expect(size_t mtu, size_t header, size_t start)
{
	rx.mtu = mtu;
	rx.header = header;
	rx.start = start;
	rx.got = 0;
	rx.more = false;
	rx.pieces = 0;
}

/* A packet of @len bytes with @options_len bytes of options. @frag: flags and offset. */
static uint8_t *build(size_t len, const uint8_t *options, size_t options_len, uint16_t frag)
{
	/* Exactly as long as it is, so that the sanitizer sees a byte too many. */
	uint8_t *p = malloc(len);
	size_t header = 20 + options_len;
	uint16_t sum;

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = i * 7 + (i >> 8);
	p[0] = 0x40 | header / 4;
	p[1] = 0xb8;
	p[2] = len >> 8;
	p[3] = len;
	p[6] = frag >> 8;
	p[7] = frag;
	p[8] = 64;
	p[9] = 17;
	memcpy(p + 20, options, options_len);
	memset(p + 10, 0, 2);
	sum = ~sum16(p, header);
	p[10] = sum >> 8;
	p[11] = sum;
	return p;
}

/* All but length, flags, offset and checksum. */
static void same_header(const uint8_t *a, const uint8_t *b)
{
	assert_memory_equal(a, b, 2);
	assert_memory_equal(a + 4, b + 4, 2);
	assert_memory_equal(a + 8, b + 8, 2);
	assert_memory_equal(a + 12, b + 12, 8);
}

static void every_length_and_size_comes_together_again(void **state)
{
	static const size_t lens[] = { 28, 29, 68, 75, 76, 77, 576, 1279, 1280, 1281, 1400, 1499, 1500, 1600,
		9000, 65535 };

	for (size_t l = 0; l < sizeof(lens) / sizeof(lens[0]); l++) {
		uint8_t *p = build(lens[l], NULL, 0, 0);

		for (size_t mtu = 28; mtu <= 1500; mtu += lens[l] > 2000 ? 61 : 1) {
			size_t each = (mtu - 20) & ~(size_t)7, data = lens[l] - 20;
			int n = lens[l] <= mtu ? 1 : (data + each - 1) / each;

			expect(mtu, 20, 0);
			assert_int_equal(fragment_ipv4(p, lens[l], mtu, receive, &rx), n);
			assert_int_equal(rx.pieces, n);
			assert_int_equal(rx.got, data);
			assert_false(rx.more);
			assert_memory_equal(rx.data, p + 20, data);
			same_header(rx.first, p);
			if (n > 1)
				same_header(rx.later, p);
		}
		free(p);
	}
}

static void a_packet_that_fits_is_handed_over_as_it_is(void **state)
{
	static const uint8_t options[] = { 7, 7, 4, 0, 0, 0, 0, 0 };
	uint8_t *p = build(100, options, sizeof(options), IP_DF);

	expect(100, 28, 0);
	assert_int_equal(fragment_ipv4(p, 100, 100, receive, &rx), 1);
	assert_int_equal(rx.got, 72);
	assert_memory_equal(rx.first, p, 28);
	free(p);
}

static void bytes_behind_the_packet_are_left_out(void **state)
{
	uint8_t *p = build(100, NULL, 0, 0);

	p[3] = 60;			/* the others are an Ethernet frame's padding */
	expect(44, 20, 0);
	assert_int_equal(fragment_ipv4(p, 100, 44, receive, &rx), 2);
	assert_int_equal(rx.got, 40);
	assert_memory_equal(rx.data, p + 20, 40);
	free(p);
}

/*
 * RFC 791 section 3.1: record route (7) and timestamp (68) stay in the first; source routes (131, 137),
 * security (130) are copied.
 */
static void options_are_copied_or_left_to_the_first_fragment(void **state)
{
	static const uint8_t options[] = {
		7, 7, 4, 1, 2, 3, 4,			/* record route: not copied */
		1,					/* no operation */
		131, 7, 4, 5, 6, 7, 8,			/* loose source route: copied */
		68, 8, 5, 0, 9, 9, 9, 9,		/* timestamp: not copied */
		148, 4, 0, 0,				/* router alert: copied */
		0, 0xee, 0xee, 0xee, 0xee,		/* the end; what follows is padding */
	};
	static const uint8_t wanted[] = {
		1, 1, 1, 1, 1, 1, 1, 1, 131, 7, 4, 5, 6, 7, 8, 1, 1, 1, 1, 1, 1, 1, 1, 148, 4, 0, 0, 0, 0xee,
		0xee, 0xee, 0xee,
	};
	size_t header = 20 + sizeof(options);
	uint8_t *p = build(500, options, sizeof(options), 0);

	assert_int_equal(sizeof(options), sizeof(wanted));
	expect(200, header, 0);
	assert_int_equal(fragment_ipv4(p, 500, 200, receive, &rx), 4);
	assert_int_equal(rx.got, 500 - header);
	assert_memory_equal(rx.data, p + header, 500 - header);
	assert_memory_equal(rx.first + 20, options, sizeof(options));
	assert_memory_equal(rx.later + 20, wanted, sizeof(wanted));
	free(p);
}

static void broken_options_end_the_walk_and_not_the_program(void **state)
{
	static const uint8_t broken[][8] = {
		{ 7, 0, 0, 0, 0, 0, 0, 0 },		/* a length that goes nowhere */
		{ 7, 1, 0, 0, 0, 0, 0, 0 },
		{ 7, 200, 0, 0, 0, 0, 0, 0 },		/* beyond the header */
		{ 1, 1, 1, 1, 1, 1, 1, 7 },		/* no room for a length */
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		uint8_t *p = build(300, broken[i], 8, 0);

		expect(100, 28, 0);
		assert_true(fragment_ipv4(p, 300, 100, receive, &rx) > 1);
		assert_int_equal(rx.got, 272);
		assert_memory_equal(rx.data, p + 28, 272);
		free(p);
	}
}

static void pieces_of_a_fragment_keep_its_place_and_its_more_flag(void **state)
{
	uint8_t *p = build(20 + 800, NULL, 0, IP_MF | 185);

	expect(256, 20, 185 * 8);
	assert_int_equal(fragment_ipv4(p, 820, 256, receive, &rx), 4);
	assert_int_equal(rx.got, 800);
	assert_true(rx.more);
	assert_memory_equal(rx.data, p + 20, 800);
	free(p);

	p = build(20 + 801, NULL, 0, 185);
	expect(256, 20, 185 * 8);
	assert_int_equal(fragment_ipv4(p, 821, 256, receive, &rx), 4);
	assert_false(rx.more);
	free(p);
}

static void a_fragment_beyond_the_largest_datagram_is_refused(void **state)
{
	uint8_t *p = build(20 + 800, NULL, 0, 8090);	/* with its header 5 too long */

	expect(256, 20, 0);
	assert_int_equal(fragment_ipv4(p, 820, 256, receive, &rx), -EINVAL);
	assert_int_equal(fragment_ipv4(p, 820, 1500, receive, &rx), -EINVAL);
	assert_int_equal(rx.pieces, 0);
	free(p);
	p = build(20 + 800, NULL, 0, 8089);
	expect(256, 20, 8089 * 8);
	assert_int_equal(fragment_ipv4(p, 820, 256, receive, &rx), 4);
	free(p);
}

static void what_must_not_or_cannot_be_cut_is_refused(void **state)
{
	static const uint8_t options[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	uint8_t *p = build(500, NULL, 0, IP_DF);

	expect(256, 20, 0);
	assert_int_equal(fragment_ipv4(p, 500, 256, receive, &rx), -EINVAL);
	free(p);
	p = build(500, NULL, 0, 0);
	assert_int_equal(fragment_ipv4(p, 500, 27, receive, &rx), -EINVAL);
	assert_int_equal(fragment_ipv4(p, 500, 0, receive, &rx), -EINVAL);
	for (size_t len = 0; len < 500; len += 19)
		assert_int_equal(fragment_ipv4(p, len, 256, receive, &rx), -EINVAL);
	p[0] = 0x65;
	assert_int_equal(fragment_ipv4(p, 500, 256, receive, &rx), -EINVAL);
	p[0] = 0x44;
	assert_int_equal(fragment_ipv4(p, 500, 256, receive, &rx), -EINVAL);
	p[0] = 0x45;
	p[2] = 0;
	p[3] = 19;
	assert_int_equal(fragment_ipv4(p, 500, 256, receive, &rx), -EINVAL);
	free(p);
	p = build(500, options, 8, 0);
	assert_int_equal(fragment_ipv4(p, 500, 35, receive, &rx), -EINVAL);
	assert_int_equal(rx.pieces, 0);
	free(p);
}

static void a_redirected_packet_has_a_new_destination_one_hop_less_and_a_right_sum(void **state)
{
	static const uint8_t to[4] = { 100, 64, 0, 2 };
	uint8_t *p = build(100, NULL, 0, 185), *before = build(100, NULL, 0, 185);
	__be32 destination;

	memcpy(&destination, to, 4);
	assert_int_equal(fragment_redirect(p, 100, destination), 0);
	assert_memory_equal(p + 16, to, 4);
	assert_int_equal(p[8], 63);
	assert_int_equal(sum16(p, 20), 0xffff);
	assert_memory_equal(p, before, 8);
	assert_int_equal(p[9], before[9]);
	assert_memory_equal(p + 12, before + 12, 4);
	assert_memory_equal(p + 20, before + 20, 80);
	free(p);
	free(before);
}

static void a_packet_without_hops_left_or_cut_short_is_not_redirected(void **state)
{
	uint8_t *p = build(100, NULL, 0, 0), copy[100];

	for (unsigned ttl = 0; ttl <= 1; ttl++) {
		p[8] = ttl;
		memcpy(copy, p, 100);
		assert_int_equal(fragment_redirect(p, 100, 1), -EINVAL);
		assert_memory_equal(p, copy, 100);
	}
	p[8] = 64;
	assert_int_equal(fragment_redirect(p, 99, 1), -EINVAL);
	free(p);
}

static void a_redirected_ipv6_fragment_has_a_new_destination_and_one_hop_less(void **state)
{
	static const struct talon_addr to = { { 1, 2, 3, 4 } };
	uint8_t p[56] = { 0x60, 0, 0, 0, 0, 16, 44, 64 }, copy[56];

	memset(p + 8, 0x20, 48);
	memcpy(copy, p, sizeof(p));
	assert_int_equal(fragment_redirect6(p, sizeof(p), &to), 0);
	assert_int_equal(p[7], 63);
	assert_memory_equal(p + 24, &to, 16);
	assert_memory_equal(p, copy, 7);
	assert_memory_equal(p + 8, copy + 8, 16);
	assert_memory_equal(p + 40, copy + 40, 16);
	assert_int_equal(fragment_redirect6(p, sizeof(p) - 1, &to), -EINVAL);
	assert_int_equal(fragment_redirect6(p, 39, &to), -EINVAL);
	p[7] = 1;
	assert_int_equal(fragment_redirect6(p, sizeof(p), &to), -EINVAL);
	p[7] = 64;
	p[0] = 0x45;
	assert_int_equal(fragment_redirect6(p, sizeof(p), &to), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_and_size_comes_together_again),
		cmocka_unit_test(a_packet_that_fits_is_handed_over_as_it_is),
		cmocka_unit_test(bytes_behind_the_packet_are_left_out),
		cmocka_unit_test(options_are_copied_or_left_to_the_first_fragment),
		cmocka_unit_test(broken_options_end_the_walk_and_not_the_program),
		cmocka_unit_test(pieces_of_a_fragment_keep_its_place_and_its_more_flag),
		cmocka_unit_test(a_fragment_beyond_the_largest_datagram_is_refused),
		cmocka_unit_test(what_must_not_or_cannot_be_cut_is_refused),
		cmocka_unit_test(a_redirected_packet_has_a_new_destination_one_hop_less_and_a_right_sum),
		cmocka_unit_test(a_packet_without_hops_left_or_cut_short_is_not_redirected),
		cmocka_unit_test(a_redirected_ipv6_fragment_has_a_new_destination_and_one_hop_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
