// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the file says of single peers, addresses that come back, limits, a store that cannot keep anything
// more.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "unit/hub/rig.h"

static const char *file_text(const char *more)
{
	static char text[2048];

	snprintf(text, sizeof(text), "keys:\n  many:\n    hash: %s\n    uses: unlimited\npolicies:\n"
		"  - {name: all, from: All, to: All}\n%s", rig_hash(KEY_1), more);
	return text;
}

static const struct hub_peer *find(const struct rig *rig, const struct agent *agent)
{
	return hub_roster_find(&rig->hub->roster, agent->public);
}

static __be32 address_of(const char *text)
{
	__be32 address;

	assert_int_equal(inet_pton(AF_INET, text, &address), 1);
	return address;
}

static void the_file_gives_names_addresses_and_groups(void **state)
{
	struct agent gateway, other;
	struct rig rig;

	rig_start(&rig, file_text("network: 100.70.0.0/16\ngroups:\n  routers: []\n"
		"peers:\n  node: {name: gateway, address: 100.70.1.1, groups: [routers]}\n"));
	agent_make(&gateway, &rig, 1, "node");
	agent_make(&other, &rig, 2, "node");
	assert_int_equal(agent_login(&gateway, KEY_1, NULL), GRPC_OK);
	/* the name that somebody joined with stays his: who comes later by it is another peer */
	assert_int_equal(agent_login(&other, KEY_1, NULL), GRPC_OK);
	assert_string_equal(find(&rig, &gateway)->kept.name, "gateway");
	assert_int_equal(find(&rig, &gateway)->kept.address, address_of("100.70.1.1"));
	assert_non_null(find(&rig, &gateway)->override);
	assert_null(find(&rig, &other)->override);
	assert_memory_equal(find(&rig, &other)->kept.name, "node-", 5);
	/* and it is so after a restart */
	hub_free(rig.hub);
	rig_open(&rig);
	assert_string_equal(find(&rig, &gateway)->kept.name, "gateway");
	assert_int_equal(find(&rig, &gateway)->kept.address, address_of("100.70.1.1"));
	rig_stop(&rig);
}

static void a_peer_that_comes_again_has_its_old_address(void **state)
{
	struct talon_addr six;
	struct agent a;
	struct rig rig;
	__be32 four;

	rig_start(&rig, file_text(""));
	agent_make(&a, &rig, 1, "a");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	four = find(&rig, &a)->kept.address;
	six = find(&rig, &a)->kept.address6;
	assert_int_equal(hub_remove(rig.hub, hub_roster_find(&rig.hub->roster, a.public)), 0);
	assert_true(hub_address_is_free(rig.hub, four));
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	assert_int_equal(find(&rig, &a)->kept.address, four);
	assert_memory_equal(&find(&rig, &a)->kept.address6, &six, sizeof(six));
	assert_true(cidr_holds(&rig.hub->network6, &six));
	rig_stop(&rig);
}

static void a_small_network_is_used_up_and_no_address_twice(void **state)
{
	unsigned int joined = 0, refused = 0;
	struct hub_peer **peers;
	struct agent agents[20];
	struct rig rig;
	int status;

	rig_start(&rig, file_text("network: 10.9.8.0/28\nnetwork6: off\n"));
	for (unsigned int i = 0; i < 20; i++) {
		agent_make(&agents[i], &rig, i + 1, "n");
		status = agent_login(&agents[i], KEY_1, NULL);
		joined += status == GRPC_OK;
		refused += status == GRPC_UNAVAILABLE;
		if (status == GRPC_OK)
			assert_true(addr6_is_zero(&find(&rig, &agents[i])->kept.address6));
	}
	/* neither the network's own address nor its broadcast */
	assert_int_equal(joined, 14);
	assert_int_equal(refused, 6);
	peers = rig.hub->roster.of;
	for (unsigned int i = 0; i < rig.hub->roster.count; i++) {
		for (unsigned int k = 0; k < i; k++)
			assert_true(peers[i]->kept.address != peers[k]->kept.address);
	}
	rig_stop(&rig);
}

static void one_peer_that_calls_without_end_is_held_back(void **state)
{
	unsigned int served = 0;
	struct agent a, b;
	struct rig rig;

	rig_start(&rig, file_text(""));
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	assert_int_equal(agent_login(&b, KEY_1, NULL), GRPC_OK);
	for (unsigned int i = 0; i < 100; i++)
		served += agent_login(&a, NULL, NULL) == GRPC_OK;
	assert_int_equal(served, 60);
	assert_int_equal(rig.hub->counts.rate_limited, 40);
	assert_int_equal(agent_login(&b, NULL, NULL), GRPC_OK);
	rig_pass(&rig, LOOP_SECOND);
	assert_int_equal(agent_login(&a, NULL, NULL), GRPC_OK);
	rig_stop(&rig);
}

/* As on a full disk: no file may grow beyond what is there. */
static void let_files_grow(bool may)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = may ? limit.rlim_max : 1;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_refuses_new_peers_and_serves_the_others(void **state)
{
	struct agent a, b;
	struct rig rig;
	int status;

	rig_start(&rig, file_text(""));
	agent_make(&a, &rig, 1, "a");
	agent_make(&b, &rig, 2, "b");
	agent_up(&a, KEY_1);
	log_set_level(LOG_LEVEL_ERROR);
	let_files_grow(false);
	status = agent_login(&b, KEY_1, NULL);
	let_files_grow(true);
	assert_int_equal(status, GRPC_UNAVAILABLE);
	assert_int_equal(rig.hub->roster.count, 1);
	let_files_grow(false);
	status = agent_login(&a, NULL, NULL);
	let_files_grow(true);
	assert_int_equal(status, GRPC_OK);
	assert_false(a.sync->is_ended);
	/* there is room again */
	assert_int_equal(agent_login(&b, KEY_1, NULL), GRPC_OK);
	agent_done(&a);
	rig_stop(&rig);
}

static void who_is_blocked_gets_in_by_no_key(void **state)
{
	struct agent by_key, by_name;
	char more[256];
	struct rig rig;

	/* the agent's key is known before the rig is there */
	agent_make(&by_key, &rig, 1, "a");
	agent_make(&by_name, &rig, 2, "intruder");
	snprintf(more, sizeof(more), "peers:\n  \"%s\": {blocked: true}\n  intruder: {blocked: true}\n",
		by_key.text);
	rig_start(&rig, file_text(more));
	assert_int_equal(agent_login(&by_key, KEY_1, NULL), GRPC_PERMISSION_DENIED);
	assert_int_equal(rig.hub->roster.count, 0);
	assert_int_equal(agent_login(&by_name, KEY_1, NULL), GRPC_PERMISSION_DENIED);
	assert_int_equal(agent_login(&by_name, KEY_1, NULL), GRPC_PERMISSION_DENIED);
	assert_int_equal(agent_sync(&by_name), GRPC_PERMISSION_DENIED);
	assert_int_equal(rig.hub->counts.logins_blocked, 4);
	agent_done(&by_name);
	rig_stop(&rig);
}

static void a_job_stream_stays_open_and_a_strangers_does_not(void **state)
{
	Management__JobRequest hello = MANAGEMENT__JOB_REQUEST__INIT;
	struct server_call *call;
	struct agent a, stranger;
	struct rig rig;

	rig_start(&rig, file_text(""));
	agent_make(&a, &rig, 1, "a");
	agent_make(&stranger, &rig, 2, "b");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	hello.id.data = (uint8_t *)"id";
	hello.id.len = 2;
	call = call_management(&a, "Job", &hello.base);
	assert_false(call->is_ended);
	assert_int_equal(call->count, 0);
	call_free(call);
	call = call_management(&stranger, "Job", &hello.base);
	assert_int_equal(call->status, GRPC_PERMISSION_DENIED);
	call_free(call);
	rig_stop(&rig);
}

static void what_a_peer_says_of_itself_is_cut_to_plain_text(void **state)
{
	Management__SyncMetaRequest request = MANAGEMENT__SYNC_META_REQUEST__INIT;
	Management__PeerSystemMeta meta;
	Management__Flags flags;
	struct server_call *call;
	struct agent a;
	struct rig rig;

	rig_start(&rig, file_text(""));
	agent_make(&a, &rig, 1, "a");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	agent_meta(&a, &meta, &flags);
	request.meta = &meta;
	meta.netbird_version = (char *)"0.77.1\xff\nforged line";
	flags.disable_ipv6 = true;
	call = call_management(&a, "SyncMeta", &request.base);
	assert_int_equal(call->status, GRPC_OK);
	assert_int_equal(call->sent[0].len, 0);
	call_free(call);
	assert_string_equal(find(&rig, &a)->kept.version, "0.77.1");
	assert_int_equal(find(&rig, &a)->kept.capabilities,
		HUB_CAPABILITY(MANAGEMENT__PEER_CAPABILITY__SOURCE_PREFIXES));
	request.meta = NULL;
	call = call_management(&a, "SyncMeta", &request.base);
	assert_int_equal(call->status, GRPC_FAILED_PRECONDITION);
	call_free(call);
	rig_stop(&rig);
}

static void options_that_are_wrong_are_named_before_anything_is_made(void **state)
{
	static const struct { struct hub_options options; const char *named; } rows[] = {
		{ { .listen = "somewhere" }, "listen:" }, { { .stun = "[::]" }, "stun:" },
		{ { .page = "localhost:1" }, "page:" }, { { .public_url = "ftp://x" }, "public-url:" },
		{ { .stun = "none" },
		"stun: 'none': expected ADDRESS:PORT or off" }, { { .listen = "off" }, "listen:" },
		{ { .data_dir = "relative" }, "data-dir:" }, { { .certificate = "/c.pem" }, "tls:" },
	};
	char why[HUB_WHY_LEN];
	struct hub *hub;
	struct rig rig;

	rig_start(&rig, file_text(""));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hub_options options = rows[i].options;
		char data[128];

		snprintf(data, sizeof(data), "%s/never", rig.dir);
		if (!options.data_dir)
			options.data_dir = data;
		assert_int_equal(hub_new(rig.loop, &options, &hub, why), -EINVAL);
		assert_memory_equal(why, rows[i].named, strlen(rows[i].named));
		assert_int_not_equal(access(data, F_OK), 0);
	}
	rig_stop(&rig);
}

static void the_master_key_is_for_the_hub_alone(void **state)
{
	struct hub_options options = { .stun = "off", .listen = "127.0.0.1:80", .page = "off" };
	char why[HUB_WHY_LEN], data[128], key[160], wanted[512];
	struct hub *hub;
	struct stat st;
	struct rig rig;

	rig_start(&rig, file_text(""));
	/* a folder in which others could replace it */
	snprintf(data, sizeof(data), "%s/open", rig.dir);
	snprintf(key, sizeof(key), "%s/master.key", data);
	assert_int_equal(mkdir(data, 0700), 0);
	assert_int_equal(chmod(data, 0777), 0);
	options.data_dir = data;
	assert_int_equal(hub_new(rig.loop, &options, &hub, why), -EPERM);
	snprintf(wanted, sizeof(wanted), "data-dir: %s: others may write here (mode 777): expected mode 700",
		data);
	assert_string_equal(why, wanted);
	assert_int_equal(rmdir(data), 0);	/* empty */
	/* one that others may read is in use, and said */
	assert_int_equal(hub_new(rig.loop, &options, &hub, why), 0);
	hub_free(hub);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (int is_open = 0; is_open < 2; is_open++) {
		assert_int_equal(chmod(key, is_open ? 0644 : 0600), 0);
		log_set_level(LOG_LEVEL_WARN);
		rig_errors_begin();
		assert_int_equal(hub_new(rig.loop, &options, &hub, why), 0);
		snprintf(wanted, sizeof(wanted), "others may read the master key (mode 644): chmod 600 %s",
			key);
		assert_int_equal(rig_errors_end(wanted), is_open);
		log_set_level(LOG_LEVEL_ERROR);
		hub_free(hub);
	}
	rig_remove(data);
	rig_stop(&rig);
}

/* With too few for three connections of many peers: one line, and what there is room for. */
static void a_low_limit_of_descriptors_is_told(void **state)
{
	struct rlimit before, low;
	struct rig rig;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 2000;
	rig_start(&rig, file_text(""));
	for (int is_low = 1; is_low >= 0; is_low--) {
		hub_free(rig.hub);
		low.rlim_cur = is_low ? 2000 : before.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		log_set_level(LOG_LEVEL_WARN);
		rig_errors_begin();
		rig_open(&rig);
		if (is_low) {
			assert_int_equal(rig_errors_end("the process may have 2000 descriptors, so at most "
				"1680 connections, three for each peer; for more: ulimit -n 40320, or "
				"LimitNOFILE=40320"), 1);
			assert_int_equal(main_connections_max, 1680);
		} else if (before.rlim_max >= 40320) {
			assert_int_equal(rig_errors_end("descriptors"), 0);
			assert_int_equal(main_connections_max, 40000);
		} else {
			rig_errors_end("");
		}
		log_set_level(LOG_LEVEL_ERROR);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	rig_stop(&rig);
}

/* After a start with another network in the file. */
static void peers_move_into_another_network(void **state)
{
	struct talon_addr six = {};
	struct agent a;
	struct rig rig;
	__be32 address;

	rig_start(&rig, file_text("network: 100.70.0.0/16\nnetwork6: off\n"));
	agent_make(&a, &rig, 1, "a");
	assert_int_equal(agent_login(&a, KEY_1, NULL), GRPC_OK);
	assert_int_equal(ntohl(find(&rig, &a)->kept.address) >> 16, 100 << 8 | 70);
	assert_memory_equal(&find(&rig, &a)->kept.address6, &six, sizeof(six));
	for (int i = 0; i < 2; i++) {
		hub_free(rig.hub);
		rig_write(&rig, file_text("network: 100.71.0.0/16\nnetwork6: fd01:2:3:4::/64\n"));
		rig_open(&rig);
		assert_int_equal(ntohl(find(&rig, &a)->kept.address) >> 16, 100 << 8 | 71);
		assert_int_equal(find(&rig, &a)->kept.address6.word[1], htonl(0x00030004));
		/* kept: the same at the next start */
		if (i)
			assert_int_equal(find(&rig, &a)->kept.address, address);
		address = find(&rig, &a)->kept.address;
	}
	assert_false(hub_address_is_free(rig.hub, address));
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_low_limit_of_descriptors_is_told),
		cmocka_unit_test(peers_move_into_another_network),
		cmocka_unit_test(the_file_gives_names_addresses_and_groups),
		cmocka_unit_test(a_peer_that_comes_again_has_its_old_address),
		cmocka_unit_test(a_small_network_is_used_up_and_no_address_twice),
		cmocka_unit_test(one_peer_that_calls_without_end_is_held_back),
		cmocka_unit_test(a_full_disk_refuses_new_peers_and_serves_the_others),
		cmocka_unit_test(who_is_blocked_gets_in_by_no_key),
		cmocka_unit_test(a_job_stream_stays_open_and_a_strangers_does_not),
		cmocka_unit_test(what_a_peer_says_of_itself_is_cut_to_plain_text),
		cmocka_unit_test(options_that_are_wrong_are_named_before_anything_is_made),
		cmocka_unit_test(the_master_key_is_for_the_hub_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
