// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Access rules that cannot be written, and peers of a previous process: what the plane leaves open in the
// meantime.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "noise/cookie.h"
#include "noise/noise.h"
#include "plane_rig.h"

#define PEERS 3

static const uint8_t seed[KEY_LEN] = { 9, 1, 2, 3 };

static struct plane_rig rig;
static struct plane_peer peers[PEERS];
static struct cidr allowed[PEERS];
static struct plane_state base = { .mesh_prefixlen = 10, .peers = peers, .peer_count = PEERS };

static int isolate(void **state)
{
	return sodium_init() < 0 ? -1 : plane_rig_isolate();
}

static int set_up(void **state)
{
	memset(&rig, 0, sizeof(rig));
	plane_rig_config(&rig, seed, 64);
	base.mesh_addr = htonl(0x64400001);
	for (unsigned i = 0; i < PEERS; i++)
		plane_rig_peer(&peers[i], &allowed[i], i);
	return plane_rig_start(&rig);
}

static int tear_down(void **state)
{
	return plane_rig_down(&rig);
}

static int map_of(enum datapath_map map)
{
	return datapath_map_fd(rig.c->dp, map);
}

/* A rule that lets every peer reach @port. */
static struct acl_table *rules(uint16_t port)
{
	static const struct cidr any = { .family = AF_INET };
	const struct acl_rule rule = {
		.sources = &any, .source_count = 1, .dst = any, .proto = NETMAP_TCP, .port_first = port,
		.port_last = port,
	};
	struct acl_table *table;
	char why[160];

	assert_int_equal(acl_compile(&rule, 1, &table, why, sizeof(why)), 0);
	return table;
}

static struct talon_config config_now(void)
{
	const uint32_t zero = 0;
	struct talon_config config;

	assert_int_equal(bpf_map_lookup_elem(map_of(DATAPATH_MAP_CONFIG), &zero, &config), 0);
	return config;
}

/* Words of bits that the bank in force has: 0 lets nothing in. */
static uint32_t words_in_force(void)
{
	const struct talon_config config = config_now();
	uint32_t at = config.acl_bank * TALON_ACL_CLASSES;
	union { struct talon_acl_bits bits; struct talon_acl_head head; } first;

	assert_true(config.flags & TALON_F_ACL);
	assert_int_equal(bpf_map_lookup_elem(map_of(DATAPATH_MAP_ACL_BITS), &at, &first), 0);
	return first.head.words;
}

/* Fills the sources' trie with what is in neither bank, or takes that out again. */
static void crowd(bool in)
{
	struct talon_acl_lpm key = { .prefixlen = TALON_ACL_BANK_BITS + 32, .bank = 77 };
	const uint32_t class = 1;
	int ret = 0;

	for (uint32_t i = 0; !ret; i++) {
		key.addr = htonl(i);
		ret = in ? bpf_map_update_elem(map_of(DATAPATH_MAP_ACL_SRC4), &key, &class, BPF_ANY) :
			bpf_map_delete_elem(map_of(DATAPATH_MAP_ACL_SRC4), &key);
	}
}

static int try(const struct plane_state *state, char err[static 256])
{
	*err = 0;
	return plane_apply(rig.c, state, err, 256);
}

static void rules_that_cannot_be_written_at_first_leave_nothing_open(void **state)
{
	struct plane_state s = base;
	struct acl_table *table = rules(80);
	char err[256];

	s.acl = table;
	crowd(true);
	assert_true(try(&s, err));
	assert_non_null(strstr(err, "until then nothing is let in"));
	assert_int_equal(words_in_force(), 0);
	assert_int_not_equal(plane_find_peer(rig.c, peers[0].public_key), PLANE_NO_PEER);
	crowd(false);
	assert_int_equal(try(&s, err), 0);
	assert_int_equal(words_in_force(), 1);
	acl_free(table);
}

static void rules_that_cannot_be_written_later_do_not_leave_the_old_ones(void **state)
{
	struct acl_table *first = rules(80), *second = rules(443);
	struct plane_state s = base;
	char err[256];

	s.acl = first;
	assert_int_equal(try(&s, err), 0);
	assert_int_equal(words_in_force(), 1);
	s.acl = second;
	s.peer_count--;
	crowd(true);
	assert_true(try(&s, err));
	assert_int_equal(words_in_force(), 0);
	assert_int_equal(plane_find_peer(rig.c, peers[PEERS - 1].public_key), PLANE_NO_PEER);
	/* The other bank has the sources already, from the first rules: there the second find room. */
	assert_int_equal(try(&s, err), 0);
	assert_int_equal(words_in_force(), 1);
	acl_free(first);
	acl_free(second);
}

static void rules_that_could_not_be_made_close_and_the_next_open(void **state)
{
	struct acl_table *table = rules(80);
	struct plane_state s = base;
	char err[256];

	s.is_closed = true;
	assert_int_equal(try(&s, err), 0);
	assert_int_equal(words_in_force(), 0);
	s.is_closed = false;
	s.acl = table;
	assert_int_equal(try(&s, err), 0);
	assert_int_equal(words_in_force(), 1);
	s.acl = NULL;
	assert_int_equal(try(&s, err), 0);
	assert_false(config_now().flags & TALON_F_ACL);
	/* an old digest tells nothing about the rules in force */
	s.acl = table;
	assert_int_equal(try(&s, err), 0);
	assert_int_equal(words_in_force(), 1);
	acl_free(table);
}

/* An initiation of a peer's, as far as our device reads it before it decides. */
static enum handshake_end initiation_of(unsigned i)
{
	struct noise_local local;
	struct noise_remote remote = {};
	struct noise_handshake handshake;
	struct wg_initiation message;
	struct cookie_maker maker;
	struct secret_key private, ephemeral, none = {};
	struct tai64n label = { .bytes = { 0x40, 0, 0, 0, 0x70 } };
	struct endpoint from = { .family = AF_INET, .port = htons(7),
		.remote.word[0] = inet_addr("192.0.2.9") };

	memset(private.bytes, 100 + i, KEY_LEN);
	memset(ephemeral.bytes, 50, KEY_LEN);
	label.bytes[11] = i;
	assert_int_equal(noise_local_init(&local, &private), 0);
	assert_int_equal(noise_remote_set(&remote, rig.config.public_key, &none), 0);
	assert_int_equal(noise_remote_prepare(&remote, &local), 0);
	assert_int_equal(noise_create_initiation(&handshake, &local, &remote, &label, &ephemeral, 77,
		&message), 0);
	cookie_maker_init(&maker, rig.config.public_key);
	cookie_add_macs(&maker, clock_boot_ns(), &message, sizeof(message));
	return device_message(rig.c->device, clock_boot_ns(), &from, &message, sizeof(message));
}

/*
 * Its preshared key comes with the first desired state of the new process. Until then no session is made
 * without it.
 */
static void a_peer_of_an_earlier_process_waits_for_its_preshared_key(void **state)
{
	struct secret_key private;
	char err[256];

	memset(private.bytes, 100, KEY_LEN);
	crypto_scalarmult_base(peers[0].public_key, private.bytes);
	memset(peers[0].preshared_key.bytes, 5, KEY_LEN);
	assert_int_equal(try(&base, err), 0);
	plane_rig_stop(&rig);
	assert_int_equal(plane_rig_start(&rig), 0);
	assert_int_not_equal(plane_find_peer(rig.c, peers[0].public_key), PLANE_NO_PEER);
	assert_int_equal(initiation_of(0), HANDSHAKE_UNCONFIRMED);
	assert_int_equal(try(&base, err), 0);
	assert_int_equal(initiation_of(0), HANDSHAKE_INITIATION);	/* answered, with the preshared key */
}

/* How many prefixes the bank in force has in an IPv6 trie. */
static unsigned prefixes_in_force(enum datapath_map map)
{
	const uint32_t bank = config_now().acl_bank;
	struct talon_acl_lpm6 key, *at = NULL;
	unsigned count = 0;

	while (!bpf_map_get_next_key(map_of(map), at, &key)) {
		at = &key;
		count += key.bank == bank;
	}
	return count;
}

/* The class of @addr in the bank in force; 0: none. */
static uint32_t class_of(enum datapath_map map, struct talon_addr addr)
{
	const struct talon_acl_lpm6 key = { .prefixlen = TALON_ACL_BANK_BITS + 128,
		.bank = config_now().acl_bank, .addr = addr };
	uint32_t class;

	return bpf_map_lookup_elem(map_of(map), &key, &class) ? 0 : class;
}

static void rules_of_both_families_are_written_and_taken_back(void **state)
{
	const __be32 mesh = htonl(0xfd120000), far = htonl(0xfd130000), lan = htonl(0x20010db8);
	const struct cidr any = { .family = AF_INET }, to = { AF_INET6, 48, { { lan } } },
		from[] = { { AF_INET6, 64, { { mesh } } }, { AF_INET6, 128, { { mesh, 0, 0, 7 } } } };
	const struct talon_addr peer = { { mesh, 0, 0, 9 } }, other = { { far, 0, 0, 9 } },
		inside = { { lan, 0, 5, 5 } };
	const struct acl_rule list[] = {
		{ .sources = &any, .source_count = 1, .dst = any, .proto = NETMAP_TCP, .port_first = 80,
			.port_last = 80 },
		{ .sources = from, .source_count = 1, .dst = to, .proto = NETMAP_ICMP },
		{ .sources = from + 1, .source_count = 1, .dst = to, .proto = NETMAP_UDP, .drop = true },
	};
	struct plane_state s = base;
	char err[256], why[160];

	/* twice with IPv6, so that both banks had it, and twice without */
	for (unsigned round = 0; round < 4; round++) {
		const bool six = round < 2;
		struct acl_table *table;

		assert_int_equal(acl_compile(list, six ? 3 - round % 2 : 1, &table, why, sizeof(why)), 0);
		s.acl = table;
		if (round == 3)		/* the same again would not be written */
			s.acl = rules(443);
		assert_int_equal(try(&s, err), 0);
		assert_int_equal(prefixes_in_force(DATAPATH_MAP_ACL_SRC6), six ? 2 - round : 0);
		assert_int_equal(prefixes_in_force(DATAPATH_MAP_ACL_DST6), six ? 1 : 0);
		assert_int_equal(!class_of(DATAPATH_MAP_ACL_SRC6, peer), !six);
		assert_int_equal(!class_of(DATAPATH_MAP_ACL_DST6, inside), !six);
		assert_int_equal(class_of(DATAPATH_MAP_ACL_SRC6, other), 0);
		if (s.acl != table)
			acl_free((struct acl_table *)s.acl);
		acl_free(table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rules_that_cannot_be_written_at_first_leave_nothing_open,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_that_cannot_be_written_later_do_not_leave_the_old_ones,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_that_could_not_be_made_close_and_the_next_open, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_peer_of_an_earlier_process_waits_for_its_preshared_key,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_of_both_families_are_written_and_taken_back, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
