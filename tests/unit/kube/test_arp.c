// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who answers for an address on the LAN: each question, each answer, and what silence means.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/internal.h"

#define LAN	3
#define POD	9

static const uint8_t ours[6] = { 2, 0, 0, 0, 0, 1 }, theirs[6] = { 2, 0, 0, 0, 0, 2 },
	another[6] = { 2, 0, 0, 0, 0, 3 };

struct world {
	struct loop *loop;
	struct kube_arp *arp;
	bool is_off_link, is_own;
	unsigned int to_all, to_one, changes;
	uint8_t asked[6];
	__be32 vip;
};

static int find(void *ctx, __be32 addr, struct kube_arp_link *ret_link)
{
	struct world *w = ctx;

	if (w->is_off_link)
		return -ENETUNREACH;
	*ret_link = (struct kube_arp_link){ .ifindex = w->is_own ? 0 : LAN, .own = htonl(0xc0a801dd),
		.is_own = w->is_own };
	memcpy(ret_link->mac, ours, 6);
	return 0;
}

static void ask(void *ctx, const struct kube_arp_link *link, const uint8_t *to, __be32 addr)
{
	struct world *w = ctx;

	assert_int_equal(link->ifindex, LAN);
	assert_int_equal(addr, w->vip);
	if (to)
		memcpy(w->asked, to, 6);
	w->to_one += !!to;
	w->to_all += !to;
}

static void changed(void *ctx)
{
	((struct world *)ctx)->changes++;
}

static int setup(void **state)
{
	static const struct kube_arp_ops ops = { .find = find, .ask = ask, .changed = changed };
	struct world *w = calloc(1, sizeof(*w));

	w->vip = htonl(0xc0a801c8);
	assert_int_equal(loop_new_fake(&w->loop, 1000 * LOOP_SECOND), 0);
	assert_int_equal(kube_arp_new(w->loop, &ops, w, &w->arp), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	kube_arp_free(w->arp);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void pass(struct world *w, uint64_t ms)
{
	loop_advance(w->loop, loop_now(w->loop) + ms * LOOP_MS);
}

static void hear(struct world *w, int ifindex, const uint8_t *mac)
{
	struct kube_arp_message message = { .sender = w->vip, .target = w->vip };

	memcpy(message.mac, mac, 6);
	kube_arp_hear(w->arp, ifindex, &message);
}

static void is_held(struct world *w, enum kube_arp_state state, const uint8_t *mac)
{
	uint8_t found[6] = {};

	assert_int_equal(kube_arp_holder(w->arp, w->vip, found), state);
	if (mac)
		assert_memory_equal(found, mac, 6);
}

static void begin(struct world *w)
{
	assert_int_equal(kube_arp_set(w->arp, &w->vip, 1), 0);
	is_held(w, KUBE_ARP_UNKNOWN, NULL);
	pass(w, 0);
}

static void nobody_answers_two_questions_so_the_address_is_here(void **state)
{
	struct world *w = *state;

	begin(w);
	assert_int_equal(w->to_all, 1);
	pass(w, 250);
	assert_int_equal(w->to_all, 2);
	is_held(w, KUBE_ARP_UNKNOWN, NULL);
	pass(w, 250);
	is_held(w, KUBE_ARP_HERE, NULL);
	assert_int_equal(w->changes, 1);
	/* somebody may take it without a word */
	pass(w, 5000);
	assert_int_equal(w->to_all, 3);
	is_held(w, KUBE_ARP_HERE, NULL);
	hear(w, LAN, theirs);
	is_held(w, KUBE_ARP_ELSEWHERE, theirs);
	assert_int_equal(w->changes, 2);
}

static void who_answers_holds_it_and_is_asked_alone_from_then_on(void **state)
{
	struct world *w = *state;

	begin(w);
	hear(w, LAN, theirs);
	is_held(w, KUBE_ARP_ELSEWHERE, theirs);
	for (int i = 0; i < 20; i++) {
		pass(w, 500);
		assert_int_equal(w->to_one, i + 1);
		assert_memory_equal(w->asked, theirs, 6);
		hear(w, LAN, theirs);
	}
	assert_int_equal(w->to_all, 1);
	assert_int_equal(w->changes, 1);
}

static void a_holder_that_is_gone_is_noticed_within_a_second(void **state)
{
	struct world *w = *state;

	begin(w);
	hear(w, LAN, theirs);
	pass(w, 500);		/* it alone is asked */
	assert_int_equal(w->to_one, 1);
	pass(w, 250);		/* all are */
	assert_int_equal(w->to_all, 2);
	is_held(w, KUBE_ARP_ELSEWHERE, theirs);
	pass(w, 250);
	is_held(w, KUBE_ARP_HERE, NULL);
	assert_int_equal(w->changes, 2);
}

static void one_lost_answer_changes_nothing(void **state)
{
	struct world *w = *state;

	begin(w);
	hear(w, LAN, theirs);
	pass(w, 750);
	hear(w, LAN, theirs);
	pass(w, 400);
	is_held(w, KUBE_ARP_ELSEWHERE, theirs);
	assert_int_equal(w->changes, 1);
}

static void a_new_holder_says_so_to_all(void **state)
{
	struct world *w = *state;

	begin(w);
	hear(w, LAN, theirs);
	hear(w, LAN, another);
	is_held(w, KUBE_ARP_ELSEWHERE, another);
	assert_int_equal(w->changes, 2);
	pass(w, 500);
	assert_memory_equal(w->asked, another, 6);
}

static void what_comes_from_elsewhere_or_from_us_says_nothing(void **state)
{
	struct world *w = *state;
	struct kube_arp_message other = { .sender = htonl(0xc0a80101) };

	begin(w);
	hear(w, POD, theirs);
	hear(w, LAN, ours);
	kube_arp_hear(w->arp, LAN, &other);
	is_held(w, KUBE_ARP_UNKNOWN, NULL);
	pass(w, 250);
	pass(w, 250);
	is_held(w, KUBE_ARP_HERE, NULL);
}

static void an_address_of_this_host_is_here_without_a_question(void **state)
{
	struct world *w = *state;

	w->is_own = true;
	begin(w);
	is_held(w, KUBE_ARP_HERE, NULL);
	assert_int_equal(w->to_all + w->to_one, 0);
	w->is_own = false;	/* given away: asked again */
	pass(w, 5000);
	assert_int_equal(w->to_all, 1);
}

static void an_address_that_is_on_no_link_is_nobodys_to_tell(void **state)
{
	struct world *w = *state;

	w->is_off_link = true;
	begin(w);
	is_held(w, KUBE_ARP_UNKNOWN, NULL);
	assert_int_equal(w->changes, 0);
	w->is_off_link = false;
	pass(w, 5000);
	assert_int_equal(w->to_all, 1);
	hear(w, LAN, theirs);
	is_held(w, KUBE_ARP_ELSEWHERE, theirs);
}

static void what_is_known_stays_when_the_list_changes(void **state)
{
	struct world *w = *state;
	__be32 more[2] = { htonl(0xc0a80163), w->vip };

	begin(w);
	hear(w, LAN, theirs);
	assert_int_equal(kube_arp_set(w->arp, more, 2), 0);
	is_held(w, KUBE_ARP_ELSEWHERE, theirs);
	assert_int_equal(kube_arp_set(w->arp, more, 1), 0);
	is_held(w, KUBE_ARP_UNKNOWN, NULL);
	assert_int_equal(kube_arp_set(w->arp, NULL, 0), 0);
	pass(w, 60000);
	assert_int_equal(w->to_all, 1);
}

static void a_request_reads_as_it_was_written(void **state)
{
	static const uint8_t expected[KUBE_ARP_LEN] = { 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1,
		192, 168, 1, 221, 0, 0, 0, 0, 0, 0, 192, 168, 1, 200 };
	struct world *w = *state;
	uint8_t bytes[KUBE_ARP_LEN];
	struct kube_arp_message message;

	kube_arp_write_request(bytes, ours, htonl(0xc0a801dd), w->vip);
	assert_memory_equal(bytes, expected, KUBE_ARP_LEN);
	assert_true(kube_arp_read(bytes, sizeof(bytes), &message));
	assert_int_equal(message.sender, htonl(0xc0a801dd));
	assert_int_equal(message.target, w->vip);
	assert_memory_equal(message.mac, ours, 6);
}

static void messages_of_other_kinds_are_left_out(void **state)
{
	static const struct { size_t at; uint8_t value; } cases[] = {
		{ 1, 6 }, { 2, 0x86 }, { 4, 8 }, { 5, 16 }, { 7, 0 }, { 7, 3 }, { 8, 1 },
	};
	struct world *w = *state;
	struct kube_arp_message message;
	uint8_t bytes[KUBE_ARP_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kube_arp_write_request(bytes, ours, htonl(0xc0a801dd), w->vip);
		bytes[cases[i].at] = cases[i].value;
		assert_false(kube_arp_read(bytes, sizeof(bytes), &message));
	}
	kube_arp_write_request(bytes, ours, htonl(0xc0a801dd), w->vip);
	for (size_t len = 0; len < sizeof(bytes); len++)
		assert_false(kube_arp_read(bytes, len, &message));
	kube_arp_write_request(bytes, ours, 0, w->vip);		/* a probe: RFC 5227 section 2.1.1 */
	assert_false(kube_arp_read(bytes, sizeof(bytes), &message));
	memset(bytes + 8, 0, 6);
	memset(bytes + 14, 1, 4);
	assert_false(kube_arp_read(bytes, sizeof(bytes), &message));
}

static void services_are_listed_with_the_holder_that_was_heard(void **state)
{
	struct world *w = *state;
	struct kube_object list[2] = {
		{ .namespace = "web", .name = "shop", .address_count = 2,
			.addresses = { { .word[0] = w->vip }, { .word = { 1, 2, 3, 4 } } } },
		{ .namespace = "web", .name = "same", .address_count = 1,
			.addresses = { { .word[0] = w->vip } } },
	};
	const struct kube_objects services = { .list = list, .count = 2 };
	struct kube_vip vips[4];
	__be32 addresses[4];

	assert_int_equal(kube_list_addresses(&services, addresses, 4), 1);
	assert_int_equal(addresses[0], w->vip);
	begin(w);
	assert_int_equal(kube_list_vips_by_arp(w->arp, "me", &services, vips, 4), 0);
	hear(w, LAN, theirs);
	assert_int_equal(kube_list_vips_by_arp(w->arp, "me", &services, vips, 4), 1);
	assert_string_equal(vips[0].holder, "02:00:00:00:00:02");
	assert_string_equal(vips[0].service, "web/shop");
	assert_false(vips[0].is_here);
	for (int i = 0; i < 3; i++)
		pass(w, 500);
	assert_int_equal(kube_list_vips_by_arp(w->arp, "me", &services, vips, 4), 1);
	assert_string_equal(vips[0].holder, "me");
	assert_true(vips[0].is_here);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nobody_answers_two_questions_so_the_address_is_here),
		CASE(who_answers_holds_it_and_is_asked_alone_from_then_on),
		CASE(a_holder_that_is_gone_is_noticed_within_a_second),
		CASE(one_lost_answer_changes_nothing),
		CASE(a_new_holder_says_so_to_all),
		CASE(what_comes_from_elsewhere_or_from_us_says_nothing),
		CASE(an_address_of_this_host_is_here_without_a_question),
		CASE(an_address_that_is_on_no_link_is_nobodys_to_tell),
		CASE(what_is_known_stays_when_the_list_changes),
		CASE(a_request_reads_as_it_was_written),
		CASE(messages_of_other_kinds_are_left_out),
		CASE(services_are_listed_with_the_holder_that_was_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
