// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub beside recordings of NetBird's own server and client: the client's requests are understood, and
// answers have the fields that the server's have.
#include "unit/hub/rig.h"

#include "netbird/wire.h"
#include "unit/netbird.h"

static Management__LoginRequest *recorded_login(void)
{
	Management__LoginRequest *request;
	uint8_t *bytes;
	size_t len;

	bytes = netbird_read("management/node-003-sent-LoginRequest.bin", &len);
	request = management__login_request__unpack(NULL, len, bytes);
	free(bytes);
	assert_non_null(request);
	return request;
}

static const char *file_text(const char *setup_key)
{
	static char text[512];

	snprintf(text, sizeof(text), "keys:\n  many:\n    hash: %s\n    uses: unlimited\npolicies:\n"
		"  - {name: all, from: All, to: All}\n", rig_hash(setup_key));
	return text;
}

/* The fields of a message by number, a bit each. */
static uint64_t fields(const uint8_t *bytes, size_t len, uint32_t inside, uint64_t *ret_inside)
{
	struct wire wire = wire_start(bytes, len);
	struct wire_field field;
	uint64_t all = 0;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		assert_true(field.number < 64);
		all |= 1ULL << field.number;
		if (field.number == inside)
			*ret_inside = fields(field.bytes, field.len, 0, NULL);
	}
	assert_int_equal(ret, 0);
	return all;
}

/*
 * Every field that @name has is in @bytes, but for those of @left_out; and so is it inside of field @inside.
 */
static void has_fields_of(const uint8_t *bytes, size_t len, const char *name, uint64_t left_out,
	uint32_t inside, uint64_t left_out_inside)
{
	uint64_t own_inside = 0, their_inside = 0, own, their;
	uint8_t *recorded;
	size_t recorded_len;

	recorded = netbird_read(name, &recorded_len);
	own = fields(bytes, len, inside, &own_inside);
	their = fields(recorded, recorded_len, inside, &their_inside);
	free(recorded);
	assert_int_equal(their & ~own & ~left_out, 0);
	assert_int_equal(their_inside & ~own_inside & ~left_out_inside, 0);
}

static void what_a_stock_client_sent_joins_and_is_answered_alike(void **state)
{
	Management__LoginRequest *request = recorded_login();
	struct server_call *call;
	struct hub_peer *peer;
	struct agent node;
	struct rig rig;
	uint8_t *plain;
	size_t len;

	rig_start(&rig, file_text(request->setup_key));
	agent_make(&node, &rig, 1, "");
	call = call_management(&node, "Login", &request->base);
	assert_int_equal(call->status, GRPC_OK);
	peer = hub_roster_find(&rig.hub->roster, node.public);
	assert_string_equal(peer->kept.name, request->meta->hostname);
	assert_string_equal(peer->kept.version, "development");
	assert_memory_equal(peer->kept.ssh_key, "ssh-ed25519 ", 12);
	assert_int_equal(peer->kept.capabilities, 0);
	plain = call_open(&node, call, 0, &len);
	/* servers: no STUN (1) in this rig, and no TURN (2), since there is a relay */
	has_fields_of(plain, len, "management/node-004-received-LoginResponse.bin", 0, 1,
		1 << 1 | 1 << 2);
	/* the peer: nothing is left out but automatic updates (8), which Linux has not */
	has_fields_of(plain, len, "management/node-004-received-LoginResponse.bin", 0, 2, 1 << 8);
	envelope_free(plain, len);
	call_free(call);
	management__login_request__free_unpacked(request, NULL);
	rig_stop(&rig);
}

static void the_first_map_has_what_the_servers_has(void **state)
{
	Management__LoginRequest *request = recorded_login();
	struct agent node, other;
	struct rig rig;
	uint8_t *plain;
	size_t len;

	rig_start(&rig, file_text(request->setup_key));
	agent_make(&node, &rig, 1, "node");
	agent_make(&other, &rig, 2, "other");
	assert_int_equal(agent_login(&other, request->setup_key, NULL), GRPC_OK);
	assert_int_equal(agent_login(&node, request->setup_key, NULL), GRPC_OK);
	assert_int_equal(agent_sync(&node), 0);
	plain = call_open(&node, node.sync, 0, &len);
	/* deprecated copies of the peers (3, 4) are left out, and who may use SSH (13) */
	has_fields_of(plain, len, "management/node-010-received-SyncResponse-joined.bin", 1 << 3 | 1 << 4, 5,
		1 << 13);
	envelope_free(plain, len);
	agent_done(&node);
	management__login_request__free_unpacked(request, NULL);
	rig_stop(&rig);
}

static void the_farewell_is_the_servers_byte_for_byte(void **state)
{
	uint8_t *bytes, *recorded;
	size_t len, recorded_len;
	struct rig rig;

	rig_start(&rig, NULL);
	recorded = netbird_read("management/lap-033-received-SyncResponse-laptop-deleted.bin", &recorded_len);
	rig.hub->serial = 18;
	assert_int_equal(hub_pack_farewell(rig.hub, &bytes, &len), 0);
	assert_int_equal(len, recorded_len);
	assert_memory_equal(bytes, recorded, len);
	free(bytes);
	free(recorded);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_stock_client_sent_joins_and_is_answered_alike),
		cmocka_unit_test(the_first_map_has_what_the_servers_has),
		cmocka_unit_test(the_farewell_is_the_servers_byte_for_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
