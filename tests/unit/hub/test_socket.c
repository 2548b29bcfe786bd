// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What commands are told by a hub, and what they change in it.
#include "unit/hub/rig.h"

#include <jansson.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "snapshot/control.h"

static const char file_of_socket[] =
	"groups:\n  laptops: []\n  servers: []\n"
	"keys:\n"
	"  many: {hash: %s, uses: unlimited, groups: laptops}\n"
	"  old: {hash: %s, expires: 2001-01-01T00:00:00Z, ephemeral: true}\n"
	"policies:\n"
	"  - {name: web, from: laptops, to: servers, protocol: tcp, ports: [443, 8000-8100]}\n"
	"  - {name: no, from: All, to: All, action: drop, both-ways: true}\n"
	"routes:\n"
	"  - {name: home, network: 192.168.1.0/24, routers: {peers: [gw], groups: [servers]},\n"
	"     to: laptops, metric: 5}\n"
	"networks:\n"
	"  - name: cluster\n    routers: [gw]\n    masquerade: false\n"
	"    resources: [{name: app, domain: app.example.com, groups: servers}]\n"
	"peers:\n  fixed: {name: named-by-file}\n";

static const char *file_text(void)
{
	static char text[2048];

	snprintf(text, sizeof(text), file_of_socket, rig_hash(KEY_1), rig_hash(KEY_2));
	return text;
}

/* @request is JSON with ' for ". The result (to be freed), or NULL with the reason in @why. */
static char why[256];

static json_t *ask(struct rig *rig, const char *fmt, ...)
{
	char request[1024], *text = NULL;
	json_t *parsed, *result;
	size_t len;
	va_list args;
	FILE *out;
	int ret;

	va_start(args, fmt);
	vsnprintf(request, sizeof(request), fmt, args);
	va_end(args);
	for (char *at = request; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	parsed = json_loads(request, 0, NULL);
	assert_non_null(parsed);
	why[0] = '\0';
	out = open_memstream(&text, &len);
	ret = hub_asked(rig->hub, parsed, out, why, sizeof(why));
	fclose(out);
	result = ret ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
	assert_true(ret ? ret < 0 && why[0] : !!result);
	free(text);
	json_decref(parsed);
	return result;
}

static void refused(struct rig *rig, const char *reason, const char *request)
{
	assert_null(ask(rig, "%s", request));
	assert_string_equal(why, reason);
}

static void is_json(json_t *result, const char *expected)
{
	char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);

	for (char *at = text; *at; at++)
		*at = *at == '"' ? '\'' : *at;
	assert_string_equal(text, expected);
	free(text);
	json_decref(result);
}

static const char *of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "?";
}

static void lists_say_what_the_file_says(void **state)
{
	struct rig rig;

	rig_start(&rig, file_text());
	is_json(ask(&rig, "{'request':'keys'}"),
		"[{'name':'many','from':'file','state':'valid','uses':0,'usesMax':0,'expires':0,"
		"'ephemeral':false,'groups':['laptops']},"
		"{'name':'old','from':'file','state':'expired','uses':0,'usesMax':1,'expires':978307200,"
		"'ephemeral':true,'groups':[]}]");
	is_json(ask(&rig, "{'request':'policies'}"),
		"[{'name':'web','action':'accept','from':['laptops'],'to':['servers'],'bothWays':false,"
		"'protocol':'tcp','ports':['443','8000-8100']},"
		"{'name':'no','action':'drop','from':['All'],'to':['All'],'bothWays':true,'protocol':'any',"
		"'ports':[]}]");
	is_json(ask(&rig, "{'request':'routes'}"),
		"[{'name':'home','of':'','network':'192.168.1.0/24','domains':[],'routers':['gw'],"
		"'routerGroups':['servers'],'metric':5,'masquerade':true,'groups':['laptops']},"
		"{'name':'app','of':'cluster','network':'','domains':['app.example.com'],'routers':['gw'],"
		"'routerGroups':[],'metric':9999,'masquerade':false,'groups':['servers']}]");
	is_json(ask(&rig, "{'request':'peers'}"), "[]");
	rig_stop(&rig);
}

static void peers_are_listed_renamed_and_removed(void **state)
{
	Management__LoginResponse *answer;
	Management__SyncResponse *map;
	struct agent laptop, fixed;
	json_t *peers, *status;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&laptop, &rig, 1, "Laptop.local");
	agent_make(&fixed, &rig, 2, "fixed");
	agent_up(&laptop, KEY_1);
	agent_up(&fixed, KEY_1);
	peers = ask(&rig, "{'request':'peers'}");
	assert_int_equal(json_array_size(peers), 2);
	assert_string_equal(of(json_array_get(peers, 0), "name"), "laptop");
	assert_string_equal(of(json_array_get(peers, 0), "publicKey"), laptop.text);
	assert_string_equal(of(json_array_get(peers, 0), "setupKey"), "many");
	assert_memory_equal(of(json_array_get(peers, 0), "address"), "100.", 4);
	assert_true(json_is_true(json_object_get(json_array_get(peers, 0), "connected")));
	assert_string_equal(of(json_array_get(peers, 1), "name"), "named-by-file");
	assert_string_equal(of(json_array_get(peers, 1), "joinedAs"), "fixed");
	json_decref(peers);
	status = ask(&rig, "{'request':'status'}");
	assert_int_equal(json_integer_value(json_object_get(status, "peers")), 2);
	assert_int_equal(json_integer_value(json_object_get(status, "connected")), 2);
	assert_string_equal(of(status, "publicUrl"), "http://hub.test:8080");
	json_decref(status);

	refused(&rig, "there is no peer of this name or public key",
		"{'request':'rename-peer','peer':'nobody','name':'x'}");
	refused(&rig, "expected a name of small letters, digits and dashes inside, such as my-laptop",
		"{'request':'rename-peer','peer':'laptop','name':'My Laptop'}");
	refused(&rig, "another peer has this name, or had it when it joined",
		"{'request':'rename-peer','peer':'laptop','name':'fixed'}");
	refused(&rig, "the file names this peer: change it there",
		"{'request':'rename-peer','peer':'fixed','name':'other'}");
	refused(&rig, "name: expected a text of 1 to 63 bytes",
		"{'request':'rename-peer','peer':'laptop','name':''}");
	is_json(ask(&rig, "{'request':'rename-peer','peer':'%s','name':'desk'}", laptop.text), "'desk'");
	is_json(ask(&rig, "{'request':'remove-peer','peer':'%s'}", fixed.text), "'named-by-file'");
	rig_pass(&rig, LOOP_SECOND);
	map = agent_last(&fixed);
	assert_true(map->network_map->remote_peers_is_empty);
	management__sync_response__free_unpacked(map, NULL);
	assert_int_equal(fixed.sync->status, GRPC_OK);
	agent_done(&fixed);
	agent_done(&laptop);
	hub_free(rig.hub);
	rig_open(&rig);
	assert_string_equal(hub_roster_find(&rig.hub->roster, laptop.public)->kept.name, "desk");
	assert_int_equal(agent_login(&laptop, NULL, &answer), GRPC_OK);
	assert_string_equal(answer->peer_config->fqdn, "desk.netbird.selfhosted");
	management__login_response__free_unpacked(answer, NULL);

	is_json(ask(&rig, "{'request':'remove-peer','peer':'desk'}"), "'desk'");
	assert_null(hub_roster_find(&rig.hub->roster, laptop.public));
	assert_int_equal(rig.hub->counts.removed, 1);	/* since it was started again */
	assert_int_equal(agent_login(&laptop, NULL, NULL), GRPC_PERMISSION_DENIED);
	refused(&rig, "there is no peer of this name or public key",
		"{'request':'remove-peer','peer':'desk'}");
	rig_stop(&rig);
}

static void a_key_that_a_command_made_lets_peers_in_until_it_is_revoked(void **state)
{
	struct agent one, two, three;
	struct rig rig;

	rig_start(&rig, file_text());
	agent_make(&one, &rig, 1, "one");
	agent_make(&two, &rig, 2, "two");
	agent_make(&three, &rig, 3, "three");
	assert_int_equal(agent_login(&one, KEY_3, NULL), GRPC_NOT_FOUND);
	is_json(ask(&rig,
		"{'request':'add-key','name':'guests','hash':'%s','uses':5,'expires':0,'ephemeral':true,"
		"'groups':['servers']}", rig_hash(KEY_3)), "'guests'");
	assert_int_equal(agent_login(&one, KEY_3, NULL), GRPC_OK);
	assert_string_equal(rig.hub->roster.of[0]->kept.groups[0], "servers");
	assert_true(rig.hub->roster.of[0]->kept.is_ephemeral);
	hub_free(rig.hub);
	rig_open(&rig);
	assert_int_equal(agent_login(&two, KEY_3, NULL), GRPC_OK);
	is_json(ask(&rig, "{'request':'revoke-key','name':'guests'}"), "'guests'");
	assert_int_equal(agent_login(&three, KEY_3, NULL), GRPC_NOT_FOUND);
	assert_int_equal(agent_login(&one, NULL, NULL), GRPC_OK);	/* who has joined stays */
	rig_stop(&rig);
}

static void keys_that_make_no_sense_are_refused(void **state)
{
	char request[512];
	struct rig rig;

	rig_start(&rig, file_text());
	snprintf(request, sizeof(request), "{'request':'add-key','name':'many','hash':'%s'}",
		rig_hash(KEY_3));
	refused(&rig, "the file has a setup key of this name", request);
	snprintf(request, sizeof(request), "{'request':'add-key','name':'x','hash':'%s','groups':['nope']}",
		rig_hash(KEY_3));
	refused(&rig, "there is no group nope: name it below groups in the file", request);
	snprintf(request, sizeof(request), "{'request':'add-key','name':'x','hash':'%s','uses':-1}",
		rig_hash(KEY_3));
	refused(&rig, "a value of the request is not understood", request);
	refused(&rig, "a value of the request is not understood",
		"{'request':'add-key','name':'x','hash':'abcd'}");
	refused(&rig, "name: expected a text of 1 to 100 bytes", "{'request':'add-key'}");
	refused(&rig, "the setup key is the file's: take it out there, and reload",
		"{'request':'revoke-key','name':'many'}");
	refused(&rig, "there is no setup key of this name", "{'request':'revoke-key','name':'x'}");
	refused(&rig, "a hub does not know the request", "{'request':'snapshot'}");
	refused(&rig, "a hub does not know the request", "{}");
	rig_stop(&rig);
}

static const char promising_file[] =
	"network: 10.90.0.0/28\n"
	"keys: {many: {hash: %s, uses: unlimited}}\n"
	"policies: []\n"
	"peers:\n"
	"  late: {name: desk, address: 10.90.0.7}\n";

static void what_the_file_gives_one_peer_no_other_gets_before(void **state)
{
	const struct hub_peer *peer;
	struct agent early, late, more, many[12];
	char text[512], name[32];
	struct rig rig;

	snprintf(text, sizeof(text), promising_file, rig_hash(KEY_1));
	rig_start(&rig, text);
	agent_make(&early, &rig, 1, "desk");
	assert_int_equal(agent_login(&early, KEY_1, NULL), GRPC_OK);
	assert_string_not_equal(rig.hub->roster.of[0]->kept.name, "desk");
	for (size_t i = 0; i < 12; i++) {	/* with the first all that a /28 has but one */
		snprintf(name, sizeof(name), "host-%zu", i);
		agent_make(&many[i], &rig, 2 + i, name);
		assert_int_equal(agent_login(&many[i], KEY_1, NULL), GRPC_OK);
		peer = hub_roster_find(&rig.hub->roster, many[i].public);
		assert_int_not_equal(peer->kept.address, inet_addr("10.90.0.7"));
	}
	agent_make(&more, &rig, 99, "more");
	assert_int_equal(agent_login(&more, KEY_1, NULL), GRPC_UNAVAILABLE);
	agent_make(&late, &rig, 100, "late");
	assert_int_equal(agent_login(&late, KEY_1, NULL), GRPC_OK);
	peer = hub_roster_find(&rig.hub->roster, late.public);
	assert_string_equal(peer->kept.name, "desk");
	assert_int_equal(peer->kept.address, inet_addr("10.90.0.7"));
	rig_stop(&rig);
}

/* Over the real socket, which is all that needs a real loop. */
static void commands_ask_over_a_socket_of_its_owner(void **state)
{
	struct loop *fake, *loop;
	char path[160], text[HUB_WHY_LEN] = "";
	struct stat st;
	struct rig rig;
	int status;
	pid_t pid;

	rig_start(&rig, file_text());
	fake = rig.loop;
	assert_int_equal(loop_new(&loop), 0);
	rig.hub->loop = loop;
	assert_int_equal(hub_listen(rig.hub, text), 0);
	snprintf(path, sizeof(path), "%s/" HUB_SOCKET, rig.data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	pid = fork();
	if (!pid) {
		json_t *request = json_pack("{s:s}", "request", "status"), *result = NULL;

		if (control_ask_hub(path, request, &result, text, sizeof(text)) ||
			strcmp(of(result, "version"), TALON_VERSION))
			_exit(1);
		json_object_set_new(request, "request", json_string("nothing"));
		_exit(control_ask_hub(path, request, &result, text, sizeof(text)) == -EREMOTEIO &&
			!strcmp(text, "a hub does not know the request") ? 0 : 2);
	}
	while (!waitpid(pid, &status, WNOHANG))
		loop_turn(loop, 10 * LOOP_MS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	control_free(rig.hub->control);
	rig.hub->control = NULL;
	assert_int_equal(stat(path, &st), -1);
	loop_turn(loop, 0);
	rig.hub->loop = fake;
	loop_free(loop);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_say_what_the_file_says),
		cmocka_unit_test(peers_are_listed_renamed_and_removed),
		cmocka_unit_test(a_key_that_a_command_made_lets_peers_in_until_it_is_revoked),
		cmocka_unit_test(keys_that_make_no_sense_are_refused),
		cmocka_unit_test(what_the_file_gives_one_peer_no_other_gets_before),
		cmocka_unit_test(commands_ask_over_a_socket_of_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
