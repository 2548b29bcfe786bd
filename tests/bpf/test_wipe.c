// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Per-CPU memory after a packet is done holds no key and no plaintext.
#include <stdlib.h>
#include <string.h>

#include "bpf/rig.h"

#define SECRET "secret secret secret secret secret!!"

/* Is @needle in the scratch memory of any CPU? */
static bool remains(struct bpf_object *obj, const void *needle, size_t len)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "scratch");
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8 * libbpf_num_possible_cpus();
	uint8_t *values = calloc(1, size);
	uint32_t zero = 0;
	bool found;

	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &zero, values), 0);
	found = memmem(values, size, needle, len);
	free(values);
	return found;
}

static struct packet with_secret(void)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 301);

	memcpy(inner.bytes + inner.len - sizeof(SECRET), SECRET, sizeof(SECRET));
	inner.bytes[26] = inner.bytes[27] = 0;	/* UDP over IPv4 needs no checksum */
	return inner;
}

static void no_key_remains_of_a_packet_that_was_opened(void **state)
{
	struct packet inner = with_secret();
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_false(remains(rig->obj, rig->peers[0].recv_key, 16));
	assert_false(remains(rig->obj, rig->peers[0].recv_key + 16, 16));
	assert_false(remains(rig->obj, SECRET, 16));
}

static void no_key_remains_of_a_packet_that_was_forged(void **state)
{
	struct packet inner = with_secret(), frame;
	struct rig *rig = *state;
	struct rig_result r;

	frame = rig_sealed(rig, 0, &inner);
	frame.bytes[frame.len - 1] ^= 1;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
	assert_false(remains(rig->obj, rig->peers[0].recv_key, 16));
	assert_false(remains(rig->obj, SECRET, 16));
}

static void no_plaintext_remains_of_a_packet_that_the_controller_got(void **state)
{
	struct packet inner = with_secret();
	struct rig *rig = *state;
	struct rig_result r;

	rig_ip("neigh del 192.168.1.220 dev eth0");
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ip("neigh replace 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
	rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	assert_non_null(memmem(rig_event(&r, TALON_EVENT_NEIGH)->data, TALON_EVENT_DATA_MAX, SECRET, 16));
	assert_false(remains(rig->obj, SECRET, 16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(no_key_remains_of_a_packet_that_was_opened),
		RIG_CASE(no_key_remains_of_a_packet_that_was_forged),
		RIG_CASE(no_plaintext_remains_of_a_packet_that_the_controller_got),
	};

	return rig_main("wiped memory", tests);
}
