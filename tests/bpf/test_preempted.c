// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Real-time kernels, where a program may be preempted by another on its CPU: one packet is processed, the
// other one is dropped.
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>

#include "bpf/rig.h"

static size_t offset_of(struct bpf_object *obj, const char *member)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t = btf__type_by_id(btf, btf__find_by_name_kind(btf, "talon_pkt",
		BTF_KIND_STRUCT));

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), member))
			return btf_member_bit_offset(t, i) / 8;
	}
	fail_msg("talon_pkt has no %s", member);
	return 0;
}

/* Whether a program is at work, on every CPU. */
static void set_busy(struct bpf_object *obj, uint32_t busy)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "scratch");
	size_t size = (bpf_map__value_size(map) + 7) / 8 * 8;
	int cpus = libbpf_num_possible_cpus();
	uint8_t *values = calloc(cpus, size);
	uint32_t zero = 0;

	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &zero, values), 0);
	for (int i = 0; i < cpus; i++)
		memcpy(values + i * size + offset_of(obj, "busy"), &busy, sizeof(busy));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &zero, values, BPF_ANY), 0);
	free(values);
}

static struct rig_result send(struct rig *rig)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 30);

	return rig_from_peer(rig, 0, &inner);
}

static void a_packet_that_meets_another_is_dropped_and_the_next_one_passes(void **state)
{
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.flags |= TALON_F_PREEMPTIBLE;
	rig_config(rig);
	set_busy(rig->obj, 1);
	r = send(rig);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_PREEMPTED);
	set_busy(rig->obj, 0);
	for (int i = 0; i < 3; i++) {
		r = send(rig);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	}
}

static void other_kernels_do_not_ask(void **state)
{
	struct rig *rig = *state;
	struct rig_result r;

	set_busy(rig->obj, 1);
	r = send(rig);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_packet_that_meets_another_is_dropped_and_the_next_one_passes),
		RIG_CASE(other_kernels_do_not_ask),
	};

	return rig_main("preempted", tests);
}
