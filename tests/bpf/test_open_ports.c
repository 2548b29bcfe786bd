// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Ports of the mesh address that every peer may reach: they open nothing at the other addresses of this host,
// where other services may listen.
#include <arpa/inet.h>

#include "bpf/rig.h"

static struct packet query(const char *dst, uint16_t port)
{
	return PKT(.src = ip4(CLIENT), .dst = ip4(dst), .proto = 17, .sport = 4000, .dport = port,
		.payload = 40);
}

/* No rule at all: the bank in force is empty. */
static void enforce(struct rig *rig)
{
	rig->config.flags |= TALON_F_ACL;
	rig->config.open[0] = (struct talon_open_port){ .port = htons(5353), .proto = 17 };
	rig_config(rig);
	rig_bump(rig);
}

static void ends_as(struct rig *rig, const char *dst, uint16_t port, enum talon_end end)
{
	struct packet inner = query(dst, port);
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, end);
}

static void only_the_mesh_address_is_open(void **state)
{
	struct rig *rig = *state;

	enforce(rig);
	ends_as(rig, MESH, 5353, TALON_LOCAL);
	ends_as(rig, NODE, 5353, TALON_ACL_DENIED);
	ends_as(rig, MESH, 5354, TALON_ACL_DENIED);
	ends_as(rig, GATEWAY, 5353, TALON_ACL_DENIED);
}

static void another_protocol_is_not_open(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(MESH), .proto = 6, .sport = 4000,
		.dport = 5353, .tcp_flags = 2);
	struct rig *rig = *state;
	struct rig_result r;

	enforce(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ACL_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = { RIG_CASE(only_the_mesh_address_is_open),
		RIG_CASE(another_protocol_is_not_open) };

	return rig_main("open ports", tests);
}
