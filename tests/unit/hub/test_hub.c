// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who may join the hub, what is answered, what goes out when something changes, and what a restart leaves.
#include "unit/hub/rig.h"

static const char plain_file[] =
	"keys:\n"
	"  many:\n    hash: %s\n    uses: unlimited\n"
	"  once:\n    hash: %s\n    uses: 1\n    groups: [servers]\n"
	"  brief:\n    hash: %s\n    uses: unlimited\n    ephemeral: true\n"
	"groups:\n  servers: {}\n"
	"policies:\n"
	"  - name: all\n    from: [All]\n    to: [All]\n";

static const char *file_text(void)
{
	static char text[2048];

	snprintf(text, sizeof(text), plain_file, rig_hash(KEY_1), rig_hash(KEY_2), rig_hash(KEY_3));
	return text;
}

static void a_peer_without_a_key_is_told_to_bring_one(void **state)
{
	struct agent laptop;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&laptop, &rig, 1, "laptop");
	assert_int_equal(agent_login(&laptop, NULL, NULL), GRPC_PERMISSION_DENIED);
	assert_int_equal(rig.hub->counts.joins_no_method, 1);
	assert_int_equal(agent_sync(&laptop), GRPC_PERMISSION_DENIED);
	agent_done(&laptop);
	rig_stop(&rig);
}

static void a_setup_key_lets_a_peer_in_and_its_own_key_afterwards(void **state)
{
	Management__LoginResponse *answer, *again;
	struct agent laptop;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&laptop, &rig, 1, "Laptop.example.org");
	assert_int_equal(agent_login(&laptop, KEY_1, &answer), GRPC_OK);
	assert_string_equal(answer->netbird_config->signal->uri, "hub.test:8080");
	assert_int_equal(answer->netbird_config->signal->protocol, MANAGEMENT__HOST_CONFIG__PROTOCOL__HTTP);
	assert_string_equal(answer->netbird_config->relay->urls[0], "rel://hub.test:8080");
	assert_int_equal(strlen(answer->netbird_config->relay->token_signature), 44);
	assert_string_equal(answer->peer_config->fqdn, "laptop.netbird.selfhosted");
	assert_memory_equal(answer->peer_config->address, "100.", 4);
	assert_string_equal(strchr(answer->peer_config->address, '/'), "/16");
	assert_int_equal(answer->peer_config->address_v6.len, 17);
	/* said, and empty: this login does not end */
	assert_non_null(answer->session_expires_at);
	assert_int_equal(answer->session_expires_at->seconds, 0);
	assert_int_equal(agent_login(&laptop, NULL, &again), GRPC_OK);
	assert_string_equal(again->peer_config->address, answer->peer_config->address);
	assert_int_equal(rig.hub->roster.count, 1);
	management__login_response__free_unpacked(answer, NULL);
	management__login_response__free_unpacked(again, NULL);
	rig_stop(&rig);
}

static void keys_that_are_unknown_used_up_or_malformed_are_refused_alike(void **state)
{
	static const char *const bad[] = { KEY_NONE, "no key", KEY_2 };
	struct agent first, other;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&first, &rig, 1, "one");
	agent_make(&other, &rig, 2, "two");
	assert_int_equal(agent_login(&first, KEY_2, NULL), GRPC_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(agent_login(&other, bad[i], NULL), GRPC_NOT_FOUND);
	assert_int_equal(rig.hub->counts.joins_key_refused, 3);
	assert_int_equal(rig.hub->roster.count, 1);
	assert_string_equal(rig.hub->roster.of[0]->kept.groups[0], "servers");
	rig_stop(&rig);
}

static void a_hammered_key_is_limited_by_source_and_others_still_get_in(void **state)
{
	struct agent bad, good;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&bad, &rig, 1, "bad");
	agent_make(&good, &rig, 2, "good");
	for (int i = 0; i < 10; i++)
		assert_int_equal(agent_login(&bad, KEY_NONE, NULL), GRPC_NOT_FOUND);
	assert_int_equal(agent_login(&bad, KEY_NONE, NULL), GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(rig.hub->counts.joins_limited, 1);
	assert_int_equal(rig.hub->counts.joins_key_refused, 10);
	assert_int_equal(agent_login(&good, KEY_1, NULL), GRPC_OK);
	/* others may share its address: a good key is good */
	assert_int_equal(agent_login(&bad, KEY_1, NULL), GRPC_OK);
	agent_make(&bad, &rig, 3, "worse");
	bad.address = 1;
	assert_int_equal(agent_login(&bad, KEY_NONE, NULL), GRPC_RESOURCE_EXHAUSTED);
	rig_pass(&rig, 7 * LOOP_SECOND);
	assert_int_equal(agent_login(&bad, KEY_NONE, NULL), GRPC_NOT_FOUND);
	rig_stop(&rig);
}

/* Setup keys without a limit are common: who has one must not fill the disk or use up the addresses. */
static void joins_with_a_good_key_are_limited_by_source(void **state)
{
	struct agent agent, known;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&known, &rig, 250, "known");
	known.address = 1;
	assert_int_equal(agent_login(&known, KEY_1, NULL), GRPC_OK);
	for (int i = 1; i < 200; i++) {
		agent_make(&agent, &rig, i, "many");
		agent.address = 1;
		assert_int_equal(agent_login(&agent, KEY_1, NULL), GRPC_OK);
	}
	agent_make(&agent, &rig, 200, "many");
	agent.address = 1;
	assert_int_equal(agent_login(&agent, KEY_1, NULL), GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(rig.hub->counts.joins_limited, 1);
	assert_int_equal(rig.hub->counts.joins_key, 200);
	assert_int_equal(rig.hub->roster.count, 200);
	/* who is known logs in, others join elsewhere, and time brings ten a second */
	assert_int_equal(agent_login(&known, NULL, NULL), GRPC_OK);
	agent.address = 2;
	assert_int_equal(agent_login(&agent, KEY_1, NULL), GRPC_OK);
	rig_pass(&rig, LOOP_SECOND);
	for (int i = 201; i <= 211; i++) {
		agent_make(&agent, &rig, i, "more");
		agent.address = 1;
		assert_int_equal(agent_login(&agent, KEY_1, NULL), i <= 210 ? GRPC_OK
			: GRPC_RESOURCE_EXHAUSTED);
	}
	assert_int_equal(rig.hub->counts.joins_limited, 2);
	rig_stop(&rig);
}

static void the_first_map_is_complete_and_later_ones_name_no_servers(void **state)
{
	Management__SyncResponse *map;
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_up(&a, KEY_1);
	map = agent_last(&a);
	assert_non_null(map->netbird_config->relay);
	assert_non_null(map->network_map);
	assert_true(map->network_map->remote_peers_is_empty);
	assert_non_null(map->network_map->peer_config);
	management__sync_response__free_unpacked(map, NULL);
	rig_pass(&rig, LOOP_SECOND);
	agent_up(&b, KEY_1);
	rig_pass(&rig, LOOP_SECOND);
	map = agent_last(&a);
	assert_null(map->netbird_config);
	assert_int_equal(map->network_map->n_remote_peers, 1);
	assert_string_equal(map->network_map->remote_peers[0]->wg_pub_key, b.text);
	assert_false(map->network_map->remote_peers_is_empty);
	assert_false(map->network_map->firewall_rules_is_empty);
	management__sync_response__free_unpacked(map, NULL);
	agent_done(&a);
	agent_done(&b);
	rig_stop(&rig);
}

static void a_slow_reader_gets_the_newest_map_alone(void **state)
{
	Management__SyncResponse *map;
	struct agent slow, others[3];
	struct rig rig;
	size_t before;

	rig_start(&rig, file_text());
	agent_make(&slow, &rig, 1, "slow");
	agent_up(&slow, KEY_1);
	rig_pass(&rig, LOOP_SECOND);
	before = slow.sync->count;
	slow.sync->waiting = 100;
	for (unsigned int i = 0; i < 3; i++) {
		agent_make(&others[i], &rig, 10 + i, "other");
		assert_int_equal(agent_login(&others[i], KEY_1, NULL), GRPC_OK);
		rig_pass(&rig, LOOP_SECOND);
	}
	assert_int_equal(slow.sync->count, before);
	slow.sync->waiting = 0;
	slow.sync->events->drained(slow.sync->ctx);
	assert_int_equal(slow.sync->count, before + 1);
	map = agent_last(&slow);
	assert_int_equal(map->network_map->n_remote_peers, 3);
	management__sync_response__free_unpacked(map, NULL);
	agent_done(&slow);
	rig_stop(&rig);
}

static void the_newest_stream_of_a_key_wins(void **state)
{
	struct server_call *old_sync, *old_signal;
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_up(&a, KEY_1);
	old_sync = a.sync;
	old_signal = a.signal;
	assert_int_equal(agent_sync(&a), 0);
	agent_signal(&a);
	assert_true(old_sync->is_ended);
	assert_int_equal(old_sync->status, GRPC_OK);
	assert_true(old_signal->is_ended);
	assert_int_equal(old_signal->status, GRPC_UNKNOWN);
	call_free(old_sync);
	call_free(old_signal);
	assert_ptr_equal(rig.hub->roster.of[0]->sync->call, a.sync);
	assert_int_equal(rig.hub->syncs, 1);
	assert_int_equal(rig.hub->signals, 1);
	agent_done(&a);
	assert_int_equal(rig.hub->syncs, 0);
	rig_stop(&rig);
}

static void a_removed_peer_gets_an_empty_map_then_ok_then_no_entry(void **state)
{
	/* as recorded from NetBird's server, but for the serial */
	static const uint8_t end[] = { 0x20, 0x01, 0x32, 0x04, 0x20, 0xa6, 0xac, 0x01, 0x48, 0x01 };
	struct agent a, b;
	struct rig rig;
	uint8_t *plain;
	size_t len;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_up(&a, KEY_1);
	agent_up(&b, KEY_1);
	rig_pass(&rig, LOOP_SECOND);
	assert_int_equal(hub_remove(rig.hub, hub_roster_find(&rig.hub->roster, b.public)), 0);
	assert_true(b.sync->is_ended);
	assert_int_equal(b.sync->status, GRPC_OK);
	plain = call_open(&b, b.sync, b.sync->count - 1, &len);
	assert_memory_equal(plain, "\x20\x01\x2a", 3);
	assert_true(len > sizeof(end));
	assert_memory_equal(plain + len - sizeof(end), end, sizeof(end));
	envelope_free(plain, len);
	rig_pass(&rig, LOOP_SECOND);
	{
		Management__SyncResponse *map = agent_last(&a);

		assert_true(map->network_map->remote_peers_is_empty);
		management__sync_response__free_unpacked(map, NULL);
	}
	call_free(b.sync);
	assert_int_equal(agent_sync(&b), GRPC_PERMISSION_DENIED);
	assert_int_equal(agent_login(&b, NULL, NULL), GRPC_PERMISSION_DENIED);
	agent_done(&a);
	agent_done(&b);
	rig_stop(&rig);
}

static void an_ephemeral_peer_goes_after_its_time_without_a_stream(void **state)
{
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "brief");
	agent_up(&a, KEY_3);
	rig_pass(&rig, 3600 * LOOP_SECOND);
	assert_int_equal(rig.hub->roster.count, 1);
	agent_done(&a);
	rig_pass(&rig, 590 * LOOP_SECOND);
	assert_int_equal(rig.hub->roster.count, 1);
	rig_pass(&rig, 20 * LOOP_SECOND);
	assert_int_equal(rig.hub->roster.count, 0);
	assert_int_equal(rig.hub->counts.ephemeral_removed, 1);
	rig_stop(&rig);
}

static void names_are_labels_and_no_two_are_alike(void **state)
{
	static const struct { const char *hostname, *label; } rows[] = {
		{ "Web_1.example.org", "web-1" }, { "--x--", "x" }, { "", "peer" },
			{ "\xc3\xbc""ber", "ber" },
		{ "a\xc3\xbc""b", "a-b" },
		{ "0123456789012345678901234567890123456789012345678901234567890123",
		  "01234567890123456789012345678901234567890123456789012345678" },
	};
	struct hub_peer *one, *two;
	struct agent a, b;
	struct rig rig;
	char label[HUB_LABEL_MAX + 1], expected[80];
	const uint8_t *bytes;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		hub_label_make(rows[i].hostname, label);
		assert_string_equal(label, rows[i].label);
	}
	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "same");
	agent_make(&b, &rig, 2, "same");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	assert_int_equal(agent_login(&b, KEY_1, NULL), GRPC_OK);
	one = hub_roster_find(&rig.hub->roster, a.public);
	two = hub_roster_find(&rig.hub->roster, b.public);
	bytes = (const uint8_t *)&two->kept.address;
	snprintf(expected, sizeof(expected), "same-%u-%u", bytes[2], bytes[3]);
	assert_string_equal(one->kept.name, "same");
	assert_string_equal(two->kept.name, expected);
	assert_true(one->kept.address != two->kept.address);
	rig_stop(&rig);
}

static void a_restart_is_unseen(void **state)
{
	Management__LoginResponse *before, *after;
	Management__SyncResponse *map;
	uint8_t box[KEY_LEN];
	struct agent a, b;
	struct rig rig;
	uint64_t serial;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	assert_int_equal(agent_login(&a, KEY_1, &before), GRPC_OK);
	agent_up(&b, KEY_1);
	map = agent_last(&b);
	serial = map->network_map->serial;
	management__sync_response__free_unpacked(map, NULL);
	memcpy(box, rig.hub->box_public, KEY_LEN);
	agent_done(&b);
	hub_free(rig.hub);
	rig_open(&rig);
	assert_memory_equal(box, rig.hub->box_public, KEY_LEN);
	assert_int_equal(agent_login(&a, NULL, &after), GRPC_OK);
	assert_string_equal(before->peer_config->address, after->peer_config->address);
	assert_string_equal(before->peer_config->fqdn, after->peer_config->fqdn);
	assert_int_equal(agent_sync(&b), 0);
	map = agent_last(&b);
	assert_true(map->network_map->serial >= serial);
	management__sync_response__free_unpacked(map, NULL);
	management__login_response__free_unpacked(before, NULL);
	management__login_response__free_unpacked(after, NULL);
	agent_done(&b);
	rig_stop(&rig);
}

static void a_reload_that_is_invalid_changes_nothing_and_a_good_one_is_told(void **state)
{
	char why[HUB_WHY_LEN], text[2048];
	Management__SyncResponse *map;
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_up(&a, KEY_1);
	agent_up(&b, KEY_1);
	rig_pass(&rig, LOOP_SECOND);
	rig_write(&rig, "keys: 1\nno-such: 2\n");
	assert_int_not_equal(hub_reload(rig.hub, why), 0);
	assert_non_null(strstr(why, "hub.yaml:"));
	snprintf(text, sizeof(text), "keys:\n  many:\n    hash: %s\npolicies: []\n"
		"peers:\n  a:\n    name: renamed\n  b:\n    blocked: true\n", rig_hash(KEY_1));
	rig_write(&rig, text);
	if (hub_reload(rig.hub, why))
		fail_msg("%s", why);
	rig_pass(&rig, LOOP_SECOND);
	map = agent_last(&a);
	assert_true(map->network_map->remote_peers_is_empty);
	assert_true(map->network_map->firewall_rules_is_empty);
	assert_memory_equal(map->network_map->peer_config->fqdn, "renamed.", 8);
	management__sync_response__free_unpacked(map, NULL);
	assert_false(a.sync->is_ended);
	assert_true(b.sync->is_ended);
	call_free(b.sync);
	assert_int_equal(agent_sync(&b), GRPC_PERMISSION_DENIED);
	agent_done(&a);
	agent_done(&b);
	rig_stop(&rig);
}

/* A file that the hub's names and that cannot be read: which key or secret counts is not known,
so none changes. */
static void another_file_that_cannot_be_read_changes_nothing(void **state)
{
	static const struct { const char *line, *fault; } cases[] = {
		{ "keys: {lost: {file: lost.key}}\n", "hub.yaml:3: keys.lost.file: cannot read %s/lost.key: "
		  "No such "
		  "file or directory; expected a file with the secret alone" },
		{ "sign-in: {issuer: 'https://id.example.com', client-id: x, client-secret-file: "
		  "lost.secret}\n",
		  "hub.yaml:3: sign-in.client-secret-file: cannot read %s/lost.secret: No such file or "
		"directory; "
		  "expected a file with the secret alone" },
	};
	char why[HUB_WHY_LEN], text[2048], fault[512];
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_up(&a, KEY_1);
	rig_pass(&rig, LOOP_SECOND);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t count = a.sync->count;

		snprintf(text, sizeof(text), "policies: []\npeers: {a: {blocked: true}}\n%s", cases[i].line);
		rig_write(&rig, text);
		assert_int_not_equal(hub_reload(rig.hub, why), 0);
		snprintf(fault, sizeof(fault), cases[i].fault, rig.dir);
		assert_non_null(strstr(why, fault));
		assert_null(strchr(why, '\n'));
		/* peers, keys and policies are those of before */
		rig_pass(&rig, LOOP_SECOND);
		assert_false(a.sync->is_ended);
		assert_int_equal(a.sync->count, count);
	}
	assert_int_equal(agent_login(&b, KEY_1, NULL), GRPC_OK);
	agent_done(&a);
	rig_stop(&rig);
}

static void a_certificate_that_cannot_be_read_holds_no_revocation_back(void **state)
{
	char why[HUB_WHY_LEN] = "", text[2048];
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_up(&a, KEY_1);
	rig_reload_fails = true;
	snprintf(text, sizeof(text), "policies: []\npeers: {a: {blocked: true}}\n");
	rig_write(&rig, text);
	rig_errors_begin();
	if (hub_reload(rig.hub, why))
		fail_msg("%s", why);
	assert_int_equal(rig_errors_end("/c.pem: no such file; the old certificate stays in use"), 1);
	assert_true(a.sync->is_ended);
	call_free(a.sync);
	assert_int_equal(agent_sync(&a), GRPC_PERMISSION_DENIED);
	agent_done(&a);
	agent_make(&a, &rig, 2, "b");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_NOT_FOUND);
	rig_stop(&rig);
	/* without a file there is nothing else to read */
	rig_start(&rig, NULL);
	assert_int_equal(hub_reload(rig.hub, why), -EINVAL);
	assert_string_equal(why, "certificate /c.pem: no such file");
	rig_reload_fails = false;
	assert_int_equal(hub_reload(rig.hub, why), 0);
	rig_stop(&rig);
}

static void without_a_file_one_key_is_made_and_is_good_once(void **state)
{
	struct agent a, b;
	struct rig rig;
	char *key;

	rig_start(&rig, NULL);
	key = hub_take_first_key(rig.hub);
	assert_non_null(key);
	assert_int_equal(strlen(key), SETUP_KEY_LEN);
	assert_null(hub_take_first_key(rig.hub));
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	assert_int_equal(agent_login(&a, key, NULL), GRPC_OK);
	assert_int_equal(agent_login(&b, key, NULL), GRPC_NOT_FOUND);
	hub_free(rig.hub);
	rig_open(&rig);
	assert_null(hub_take_first_key(rig.hub));
	free(key);
	rig_stop(&rig);
}

static void requests_that_do_not_open_or_parse_are_counted(void **state)
{
	static const uint8_t junk[] = "no protobuf, and no box";
	struct server_call *call;
	struct agent a, other;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&other, &rig, 2, "other");
	call = call_raw(&a, MANAGEMENT_PATH "Login", junk, sizeof(junk), true, NULL);
	assert_int_equal(call->status, GRPC_INVALID_ARGUMENT);
	call_free(call);
	call = call_raw(&a, MANAGEMENT_PATH "Sync", NULL, 0, true, NULL);
	assert_int_equal(call->status, GRPC_INVALID_ARGUMENT);
	call_free(call);
	call = call_raw(&a, MANAGEMENT_PATH "CreateExpose", junk, sizeof(junk), true, NULL);
	assert_int_equal(call->status, GRPC_UNIMPLEMENTED);
	call_free(call);
	assert_int_equal(rig.hub->counts.boxes_refused, 1);
	rig_stop(&rig);
}

static void the_server_key_and_health_need_no_box(void **state)
{
	Management__ServerKeyResponse *answer;
	struct server_call *call;
	uint8_t key[KEY_LEN];
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	call = call_raw(&a, MANAGEMENT_PATH "GetServerKey", "", 0, true, NULL);
	assert_int_equal(call->status, GRPC_OK);
	answer = management__server_key_response__unpack(NULL, call->sent[0].len, call->sent[0].bytes);
	assert_non_null(answer);
	assert_int_equal(key_from_base64(answer->key, key), 0);
	assert_memory_equal(key, rig.hub->box_public, KEY_LEN);
	management__server_key_response__free_unpacked(answer, NULL);
	call_free(call);
	call = call_raw(&a, MANAGEMENT_PATH "isHealthy", "", 0, true, NULL);
	assert_int_equal(call->status, GRPC_OK);
	assert_int_equal(call->sent[0].len, 0);
	call_free(call);
	rig_stop(&rig);
}

static void a_relay_token_is_renewed_before_it_expires(void **state)
{
	Management__SyncResponse *message;
	struct agent a;
	struct rig rig;
	size_t before;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_up(&a, KEY_1);
	rig_pass(&rig, LOOP_SECOND);
	before = a.sync->count;
	rig_pass(&rig, (HUBRELAY_TOKEN_S * 3 / 4 - 10) * LOOP_SECOND);
	assert_int_equal(a.sync->count, before);
	rig_pass(&rig, 20 * LOOP_SECOND);
	assert_int_equal(a.sync->count, before + 1);
	message = agent_last(&a);
	assert_non_null(message->netbird_config->relay);
	assert_null(message->netbird_config->signal);
	assert_null(message->network_map);
	management__sync_response__free_unpacked(message, NULL);
	/* a clock that is set forward takes its time from it */
	rig.hub->roster.of[0]->sync->token_s -= HUBRELAY_TOKEN_S;
	rig_pass(&rig, 6 * LOOP_SECOND);
	assert_int_equal(a.sync->count, before + 2);
	rig_pass(&rig, 20 * LOOP_SECOND);
	assert_int_equal(a.sync->count, before + 2);
	agent_done(&a);
	rig_stop(&rig);
}

static void logout_removes_a_peer(void **state)
{
	Management__Empty empty = MANAGEMENT__EMPTY__INIT;
	struct server_call *call;
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_up(&a, KEY_1);
	call = call_management(&a, "Logout", &empty.base);
	assert_int_equal(call->status, GRPC_OK);
	assert_int_equal(rig.hub->roster.count, 0);
	assert_true(a.sync->is_ended);
	call_free(call);
	call = call_management(&a, "Logout", &empty.base);
	assert_int_equal(call->status, GRPC_NOT_FOUND);
	call_free(call);
	call = call_management(&a, "GetDeviceAuthorizationFlow", &empty.base);
	assert_int_equal(call->status, GRPC_NOT_FOUND);
	call_free(call);
	agent_done(&a);
	rig_stop(&rig);
}

/* ---- signal ---- */

static struct server_call *say(struct agent *from, const char *key, const char *to, const char *body)
{
	Signalexchange__EncryptedMessage message = SIGNALEXCHANGE__ENCRYPTED_MESSAGE__INIT;
	uint8_t bytes[512];

	message.key = (char *)key;
	message.remote_key = (char *)to;
	message.body.data = (uint8_t *)body;
	message.body.len = strlen(body);
	return call_raw(from, "/signalexchange.SignalExchange/Send", bytes,
		signalexchange__encrypted_message__pack(&message, bytes), true, NULL);
}

static void signal_carries_messages_to_others_and_back_to_oneself(void **state)
{
	struct server_call *call;
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_up(&a, KEY_1);
	agent_up(&b, KEY_1);
	assert_string_equal(a.signal->header, "x-wiretrustee-peer-registered=1");
	call = say(&a, a.text, b.text, "offer");
	assert_int_equal(call->status, GRPC_OK);
	assert_int_equal(call->sent[0].len, 0);
	assert_int_equal(b.signal->count, 1);
	assert_non_null(memmem(b.signal->sent[0].bytes, b.signal->sent[0].len, "offer", 5));
	call_free(call);
	call_free(say(&a, a.text, a.text, "heartbeat"));
	assert_int_equal(a.signal->count, 1);
	call_free(say(&a, a.text, "dummy", ""));
	assert_int_equal(rig.hub->counts.signal_passed, 2);
	b.signal->waiting = 1 << 20;
	call_free(say(&a, a.text, b.text, "lost"));
	assert_int_equal(rig.hub->counts.signal_slow, 1);
	agent_done(&b);
	call_free(say(&a, a.text, b.text, "away"));
	assert_int_equal(rig.hub->counts.signal_away, 1);
	agent_done(&a);
	rig_stop(&rig);
}

static void strangers_and_those_no_policy_joins_are_not_heard(void **state)
{
	char text[1024];
	struct server_call *call;
	struct agent a, b, stranger;
	struct rig rig;

	snprintf(text, sizeof(text), "keys:\n  many:\n    hash: %s\n    uses: unlimited\npolicies: []\n",
		rig_hash(KEY_1));
	rig_start(&rig, text);
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_make(&stranger, &rig, 3, "stranger");
	agent_up(&a, KEY_1);
	agent_up(&b, KEY_1);
	call = say(&a, a.text, b.text, "offer");
	assert_int_equal(call->status, GRPC_OK);
	call_free(call);
	call_free(say(&stranger, stranger.text, b.text, "offer"));
	assert_int_equal(b.signal->count, 0);
	assert_int_equal(rig.hub->counts.signal_denied, 2);
	agent_signal(&stranger);
	assert_int_equal(stranger.signal->status, GRPC_PERMISSION_DENIED);
	agent_done(&stranger);
	agent_done(&a);
	agent_done(&b);
	rig_stop(&rig);
}

/* ---- the page ---- */

static int page(struct rig *rig, const char *method, const char *path, const char *host,
	const char **ret_body)
{
	struct server_request request = { .method = method, .path = path, .query = "",
		.host = slice_from(host) };
	struct server_answer answer;

	hub_page(rig->hub, &request, &answer);
	if (ret_body)
		*ret_body = answer.body;
	return answer.status;
}

static void the_page_is_for_this_host_and_escapes_what_peers_say(void **state)
{
	struct hub_peer *peer;
	const char *body;
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&a, &rig, 1, "laptop");
	agent_up(&a, KEY_1);
	peer = rig.hub->roster.of[0];
	free(peer->kept.os);
	peer->kept.os = strdup("<script>alert(1)</script>");
	assert_int_equal(page(&rig, "GET", "/", "localhost:9568", &body), 200);
	assert_non_null(strstr(body, "laptop"));
	assert_null(strstr(body, "<script"));
	assert_non_null(strstr(body, "&#60;script&#62;"));
	assert_int_equal(page(&rig, "GET", "/", "evil.example:9568", NULL), 421);
	assert_int_equal(page(&rig, "POST", "/", "localhost", NULL), 405);
	assert_int_equal(page(&rig, "GET", "/none", "127.0.0.1", NULL), 404);
	assert_int_equal(page(&rig, "GET", "/healthz", "[::1]:9568", NULL), 200);
	assert_int_equal(page(&rig, "GET", "/readyz", "localhost", NULL), 200);
	assert_int_equal(page(&rig, "GET", "/metrics", "127.0.0.1:9568", &body), 200);
	assert_non_null(strstr(body, "talon_hub_peers 1\n"));
	assert_non_null(strstr(body, "talon_hub_streams{kind=\"sync\"} 1\n"));
	assert_non_null(strstr(body, "talon_hub_joins_total{result=\"key\"} 1\n"));
	agent_done(&a);
	rig_stop(&rig);
}

static void every_metric_is_in_the_manual(void **state)
{
	char *manual, *name, *end, text[128];
	const char *body;
	struct rig rig;
	size_t len = 0;
	FILE *f;

	f = fopen("docs/hub.md", "re");
	assert_non_null(f);
	manual = calloc(1, 1 << 20);
	assert_non_null(manual);
	len = fread(manual, 1, (1 << 20) - 1, f);
	fclose(f);
	assert_true(len > 1000);
	rig_start(&rig, file_text());
	assert_int_equal(page(&rig, "GET", "/metrics", "localhost", &body), 200);
	while ((body = strstr(body, "# TYPE "))) {
		name = (char *)body + strlen("# TYPE ");
		end = strchr(name, ' ');
		snprintf(text, sizeof(text), "`%.*s`", (int)(end - name), name);
		if (!strstr(manual, text))
			fail_msg("docs/hub.md does not name %s", text);
		body = end;
	}
	free(manual);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_without_a_key_is_told_to_bring_one),
		cmocka_unit_test(a_setup_key_lets_a_peer_in_and_its_own_key_afterwards),
		cmocka_unit_test(keys_that_are_unknown_used_up_or_malformed_are_refused_alike),
		cmocka_unit_test(a_hammered_key_is_limited_by_source_and_others_still_get_in),
		cmocka_unit_test(joins_with_a_good_key_are_limited_by_source),
		cmocka_unit_test(the_first_map_is_complete_and_later_ones_name_no_servers),
		cmocka_unit_test(a_slow_reader_gets_the_newest_map_alone),
		cmocka_unit_test(the_newest_stream_of_a_key_wins),
		cmocka_unit_test(a_removed_peer_gets_an_empty_map_then_ok_then_no_entry),
		cmocka_unit_test(an_ephemeral_peer_goes_after_its_time_without_a_stream),
		cmocka_unit_test(names_are_labels_and_no_two_are_alike),
		cmocka_unit_test(a_restart_is_unseen),
		cmocka_unit_test(a_reload_that_is_invalid_changes_nothing_and_a_good_one_is_told),
		cmocka_unit_test(another_file_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(a_certificate_that_cannot_be_read_holds_no_revocation_back),
		cmocka_unit_test(without_a_file_one_key_is_made_and_is_good_once),
		cmocka_unit_test(requests_that_do_not_open_or_parse_are_counted),
		cmocka_unit_test(the_server_key_and_health_need_no_box),
		cmocka_unit_test(a_relay_token_is_renewed_before_it_expires),
		cmocka_unit_test(logout_removes_a_peer),
		cmocka_unit_test(signal_carries_messages_to_others_and_back_to_oneself),
		cmocka_unit_test(strangers_and_those_no_policy_joins_are_not_heard),
		cmocka_unit_test(the_page_is_for_this_host_and_escapes_what_peers_say),
		cmocka_unit_test(every_metric_is_in_the_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
