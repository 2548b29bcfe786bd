// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub's file: what every field becomes, and which line and words each fault has.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "hubfile/hubfile.h"

#define SETUP_KEY	"a2c8e62b-38f5-4553-b31e-dd66c696cebb"
/* of the key in capitals: printf %s KEY | tr a-z A-Z | sha256sum */
#define SETUP_KEY_HASH	"b97b29358f861bf6db7f48a7180cfb8b561bed9b46420847d8fc0cb591b82c8d"
#define PEER_KEY	"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="

static struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
static size_t fault_count;

static struct hubfile *parse(const char *text)
{
	struct hubfile *file;
	int ret = hubfile_parse(text, strlen(text), "/etc/talon", &file, faults, &fault_count);

	if (ret)
		fail_msg("line %u: %s", faults[0].line, faults[0].text);
	assert_int_equal(fault_count, 0);
	return file;
}

static void refuse(const char *text, size_t len)
{
	struct hubfile *file;

	assert_int_equal(hubfile_parse(text, len, "/etc/talon", &file, faults, &fault_count), -EINVAL);
	assert_null(file);
	assert_in_range(fault_count, 1, HUBFILE_FAULTS_MAX);
}

static void assert_cidr(const struct cidr *cidr, const char *text)
{
	char shown[CIDR_TEXT_LEN];

	cidr_format(cidr, shown, sizeof(shown));
	assert_string_equal(shown, text);
}

static void assert_groups(const struct hubfile *file, const struct hubfile_groups *groups, const char *names)
{
	char shown[256] = "";

	for (size_t i = 0; i < groups->count; i++) {
		assert_true(groups->of[i] < file->group_count);
		assert_true(!i || groups->of[i] > groups->of[i - 1]);
		if (i)
			strcat(shown, " ");
		strcat(shown, file->groups[groups->of[i]].name);
	}
	assert_string_equal(shown, names);
}

static void a_short_file_has_the_defaults(void **state)
{
	struct hubfile *file = parse("policies: []\n");

	assert_null(file->listen);
	assert_null(file->public_url);
	assert_null(file->certificate);
	assert_null(file->stun_listen);
	assert_null(file->data_dir);
	assert_null(file->page_listen);
	assert_string_equal(file->domain, "netbird.selfhosted");
	assert_cidr(&file->network, "100.64.0.0/10");
	assert_int_equal(file->network6.family, 0);
	assert_int_equal(file->ephemeral_s, 600);
	assert_int_equal(file->group_count, 1);
	assert_string_equal(file->groups[HUBFILE_ALL].name, "All");
	assert_int_equal(file->policy_count + file->key_count + file->route_count + file->network_count +
		file->peer_count + file->nameserver_count + file->proxy_count, 0);
	assert_null(file->oidc.issuer);
	assert_string_equal(file->oidc.scope, "openid profile email offline_access");
	assert_string_equal(file->oidc.groups_claim, "groups");
	assert_string_equal(file->oidc.user_claim, "sub");
	hubfile_free(file);
}

static void without_a_file_all_reach_all(void **state)
{
	struct hubfile *file = hubfile_default();

	assert_non_null(file);
	assert_int_equal(file->policy_count, 1);
	assert_groups(file, &file->policies[0].from, "All");
	assert_groups(file, &file->policies[0].to, "All");
	assert_true(file->policies[0].is_both_ways);
	assert_false(file->policies[0].is_drop);
	assert_int_equal(file->policies[0].protocol, HUBFILE_ANY);
	assert_int_equal(file->key_count, 0);
	assert_int_equal(file->ephemeral_s, 600);
	hubfile_free(file);
	hubfile_free(NULL);
}

static void what_the_process_needs_is_read(void **state)
{
	struct hubfile *file = parse(
		"listen: \"[::]:443\"\n"
		"public-url: https://hub.example.com\n"
		"tls:\n"
		"  certificate: hub.crt\n"
		"  key: /run/secrets/hub.key\n"
		"stun: off\n"
		"data: /var/lib/talon-hub\n"
		"page: 127.0.0.1:9091\n"
		"proxies: [10.0.0.0/8, fd00::/8]\n"
		"domain: Mesh.Example\n"
		"network: 10.90.0.0/16\n"
		"network6: fd12:3456:789a:1::/64\n"
		"ephemeral: 2h\n"
		"policies: []\n");

	assert_string_equal(file->listen, "[::]:443");
	assert_string_equal(file->public_url, "https://hub.example.com");
	assert_string_equal(file->certificate, "/etc/talon/hub.crt");
	assert_string_equal(file->key, "/run/secrets/hub.key");
	assert_string_equal(file->stun_listen, "off");
	assert_string_equal(file->data_dir, "/var/lib/talon-hub");
	assert_string_equal(file->page_listen, "127.0.0.1:9091");
	assert_int_equal(file->proxy_count, 2);
	assert_cidr(&file->proxies[0], "10.0.0.0/8");
	assert_cidr(&file->proxies[1], "fd00::/8");
	assert_string_equal(file->domain, "mesh.example");
	assert_cidr(&file->network, "10.90.0.0/16");
	assert_cidr(&file->network6, "fd12:3456:789a:1::/64");
	assert_int_equal(file->ephemeral_s, 7200);
	hubfile_free(file);

	file = parse("{policies: [], network6: off, page: off, stun: 0.0.0.0:3478}");
	assert_int_equal(file->network6.family, AF_INET6);
	assert_int_equal(file->network6.prefixlen, 0);
	assert_string_equal(file->page_listen, "off");
	hubfile_free(file);
}

static void groups_may_come_after_those_who_name_them(void **state)
{
	struct hubfile *file = parse(
		"policies:\n"
		"  - {name: web, from: [staff, All, guests], to: staff}\n"
		"groups:\n"
		"  guests: []\n"
		"  staff:\n"
		"    peers: [laptop-1, " PEER_KEY "]\n"
		"    sign-in: [employees, \"ops team\"]\n"
		"  gateways: gw1\n"
		"sign-in: {issuer: https://id.example.com, client-id: hub}\n");
	const struct hubfile_group *staff = &file->groups[2];

	assert_int_equal(file->group_count, 4);
	assert_string_equal(file->groups[1].name, "guests");
	assert_int_equal(file->groups[1].peer_count, 0);
	assert_string_equal(staff->name, "staff");
	assert_int_equal(staff->peer_count, 2);
	assert_string_equal(staff->peers[0], "laptop-1");
	assert_string_equal(staff->peers[1], PEER_KEY);
	assert_int_equal(staff->claim_count, 2);
	assert_string_equal(staff->claims[1], "ops team");
	assert_string_equal(file->groups[3].peers[0], "gw1");
	assert_groups(file, &file->policies[0].from, "All guests staff");
	assert_groups(file, &file->policies[0].to, "staff");
	assert_int_equal(hubfile_group(file, "staff"), 2);
	assert_int_equal(hubfile_group(file, "All"), HUBFILE_ALL);
	assert_int_equal(hubfile_group(file, "Staff"), -ENOENT);
	hubfile_free(file);
}

static void the_hash_is_of_the_key_in_capitals(void **state)
{
	static const char *const forms[] = { SETUP_KEY, "A2C8E62B-38F5-4553-B31E-DD66C696CEBB",
		"a2c8e62b38f54553b31edd66c696cebb", "{" SETUP_KEY "}", " " SETUP_KEY "\n" };
	uint8_t expected[HUBFILE_HASH_LEN], hash[HUBFILE_HASH_LEN];

	assert_int_equal(sodium_hex2bin(expected, sizeof(expected), SETUP_KEY_HASH,
		2 * HUBFILE_HASH_LEN, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		memset(hash, 0, sizeof(hash));
		assert_int_equal(hubfile_key_hash(forms[i], hash), 0);
		assert_memory_equal(hash, expected, sizeof(hash));
	}
	assert_int_equal(hubfile_key_hash("a2c8e62b", hash), -EINVAL);
	assert_int_equal(hubfile_key_hash("", hash), -EINVAL);
}

static void setup_keys_are_by_hash_or_file(void **state)
{
	char path[] = "/tmp/test_hubfile.XXXXXX", text[1024];
	int fd = mkstemp(path);
	uint8_t hash[HUBFILE_HASH_LEN];
	struct hubfile *file;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, SETUP_KEY "\n", strlen(SETUP_KEY) + 1), strlen(SETUP_KEY) + 1);
	snprintf(text, sizeof(text),
		"policies: []\n"
		"groups: {servers: []}\n"
		"keys:\n"
		"  once:\n"
		"    hash: \"%064d\"\n"
		"  many:\n"
		"    file: %s\n"
		"    uses: unlimited\n"
		"    expires: 2027-01-31T18:00:00Z\n"
		"    ephemeral: true\n"
		"    groups: [servers]\n"
		"  some:\n"
		"    hash: %064X\n"
		"    uses: 5\n"
		"    expires: 2027-01-31t20:00:00.25+02:00\n", 1, path, 0xabc);
	file = parse(text);
	unlink(path);
	close(fd);
	assert_int_equal(file->key_count, 3);
	assert_string_equal(file->keys[0].name, "once");
	assert_int_equal(file->keys[0].uses_max, 1);
	assert_int_equal(file->keys[0].expires_s, 0);
	assert_false(file->keys[0].is_ephemeral);
	assert_int_equal(file->keys[0].hash[31], 1);
	assert_int_equal(hubfile_key_hash(SETUP_KEY, hash), 0);
	assert_memory_equal(file->keys[1].hash, hash, sizeof(hash));
	assert_int_equal(file->keys[1].uses_max, 0);
	assert_int_equal(file->keys[1].expires_s, 1801418400);
	assert_true(file->keys[1].is_ephemeral);
	assert_groups(file, &file->keys[1].groups, "servers");
	assert_int_equal(file->keys[2].uses_max, 5);
	assert_int_equal(file->keys[2].expires_s, 1801418400);
	assert_int_equal(file->keys[2].hash[30], 0x0a);
	assert_int_equal(file->keys[2].hash[31], 0xbc);
	hubfile_free(file);
}

static void policies_say_who_reaches_what(void **state)
{
	struct hubfile *file = parse(
		"groups: {a: [], b: []}\n"
		"policies:\n"
		"  - name: web\n"
		"    from: a\n"
		"    to: [b]\n"
		"    protocol: tcp\n"
		"    ports: [443, 8000-8100]\n"
		"  - {name: no mail, from: [a, b], to: All, action: drop, protocol: udp, ports: 25}\n"
		"  - {name: ping, from: a, to: b, protocol: icmp, both-ways: true, action: accept}\n");
	const struct hubfile_policy *p = file->policies;

	assert_int_equal(file->policy_count, 3);
	assert_string_equal(p[0].name, "web");
	assert_false(p[0].is_drop);
	assert_false(p[0].is_both_ways);
	assert_int_equal(p[0].protocol, HUBFILE_TCP);
	assert_int_equal(p[0].port_count, 2);
	assert_int_equal(p[0].ports[0].first, 443);
	assert_int_equal(p[0].ports[0].last, 443);
	assert_int_equal(p[0].ports[1].first, 8000);
	assert_int_equal(p[0].ports[1].last, 8100);
	assert_string_equal(p[1].name, "no mail");
	assert_true(p[1].is_drop);
	assert_int_equal(p[1].protocol, HUBFILE_UDP);
	assert_int_equal(p[1].ports[0].first, 25);
	assert_groups(file, &p[1].to, "All");
	assert_true(p[2].is_both_ways);
	assert_false(p[2].is_drop);
	assert_int_equal(p[2].protocol, HUBFILE_ICMP);
	assert_int_equal(p[2].port_count, 0);
	hubfile_free(file);
}

static void routes_and_networks_name_their_routers(void **state)
{
	struct hubfile *file = parse(
		"policies: []\n"
		"groups: {a: [], routers: [], services: []}\n"
		"routes:\n"
		"  - {name: lan, network: 192.168.1.0/24, routers: gw1, to: a}\n"
		"  - {name: lan, network: 192.168.1.0/24, routers: {peers: [gw2], groups: [routers]},\n"
		"     to: a, metric: 100, masquerade: false, access: [a]}\n"
		"  - name: sites\n"
		"    domains: [\"*.Example.com\", example.org]\n"
		"    routers: {groups: routers}\n"
		"    to: All\n"
		"    keep-addresses: true\n"
		"  - {name: exit, network: 0.0.0.0/0, routers: gw1, to: a, auto-apply: true}\n"
		"  - {name: exit6, network: \"::/0\", routers: gw1, to: a, auto-apply: false}\n"
		"networks:\n"
		"  - name: cluster\n"
		"    routers: [node]\n"
		"    metric: 10\n"
		"    resources:\n"
		"      - {name: pods, network: 10.42.0.0/16, groups: services}\n"
		"      - {name: site, domain: app.example.com}\n");
	const struct hubfile_route *r = file->routes;
	const struct hubfile_network *n = file->networks;

	assert_int_equal(file->route_count, 5);
	assert_string_equal(r[0].name, "lan");
	assert_cidr(&r[0].network, "192.168.1.0/24");
	assert_int_equal(r[0].metric, 9999);
	assert_true(r[0].is_masqueraded);
	assert_int_equal(r[0].routers.peer_count, 1);
	assert_string_equal(r[0].routers.peers[0], "gw1");
	assert_groups(file, &r[0].to, "a");
	assert_int_equal(r[0].access.count, 0);
	assert_int_equal(r[1].metric, 100);
	assert_false(r[1].is_masqueraded);
	assert_groups(file, &r[1].routers.groups, "routers");
	assert_groups(file, &r[1].access, "a");
	assert_int_equal(r[2].network.family, 0);
	assert_int_equal(r[2].domain_count, 2);
	assert_string_equal(r[2].domains[0], "*.example.com");
	assert_true(r[2].is_kept);
	assert_cidr(&r[3].network, "0.0.0.0/0");
	assert_false(r[3].is_by_choice);
	assert_true(r[4].is_by_choice);
	assert_int_equal(r[0].line, 4);
	assert_int_equal(r[2].line, 7);
	assert_int_equal(file->network_count, 1);
	assert_string_equal(n->name, "cluster");
	assert_int_equal(n->metric, 10);
	assert_true(n->is_masqueraded);
	assert_string_equal(n->routers.peers[0], "node");
	assert_int_equal(n->resource_count, 2);
	assert_cidr(&n->resources[0].network, "10.42.0.0/16");
	assert_groups(file, &n->resources[0].groups, "services");
	assert_string_equal(n->resources[1].domain, "app.example.com");
	assert_int_equal(n->resources[1].network.family, 0);
	hubfile_free(file);
}

static void peers_nameservers_and_sign_in_are_read(void **state)
{
	char path[] = "/tmp/test_hubfile.XXXXXX", text[2048];
	int fd = mkstemp(path);
	struct hubfile *file;

	assert_int_equal(write(fd, "  s3cret\n", 9), 9);
	snprintf(text, sizeof(text),
		"policies: []\n"
		"network6: fd00:1::/64\n"
		"groups: {a: [], people: []}\n"
		"peers:\n"
		"  kevins-macbook: {name: kevin, address: 100.70.0.5, groups: a,\n"
		"    address6: \"fd00:1::5\"}\n"
		"  " PEER_KEY ": {blocked: true}\n"
		"nameservers:\n"
		"  - {name: home, servers: [192.168.1.1, \"192.168.1.2:5353\", \"[fd00:1::53]:53\"], to: a,\n"
		"     domains: [home.arpa, _tcp.example.com], search: true}\n"
		"  - {name: all, servers: 9.9.9.9, to: All}\n"
		"sign-in:\n"
		"  issuer: http://127.0.0.1:5556/dex\n"
		"  client-id: hub\n"
		"  client-secret-file: %s\n"
		"  audience: mesh\n"
		"  scope: openid groups\n"
		"  groups-claim: roles\n"
		"  user-claim: email\n"
		"  device-endpoint: http://127.0.0.1:5556/dex/device/code\n"
		"  token-endpoint: https://id.example.com/token\n"
		"  authorization-endpoint: https://id.example.com/auth\n"
		"  redirect-urls: [\"http://localhost:53000\"]\n"
		"  ca-file: ca.pem\n"
		"  groups: [people]\n"
		"  expires-after: 7d\n"
		"  use-id-token: true\n", path);
	file = parse(text);
	unlink(path);
	close(fd);
	assert_int_equal(file->peer_count, 2);
	assert_string_equal(file->peers[0].match, "kevins-macbook");
	assert_string_equal(file->peers[0].name, "kevin");
	assert_cidr(&file->peers[0].address, "100.70.0.5/32");
	assert_cidr(&file->peers[0].address6, "fd00:1::5/128");
	assert_groups(file, &file->peers[0].groups, "a");
	assert_string_equal(file->peers[1].match, PEER_KEY);
	assert_true(file->peers[1].is_blocked);
	assert_null(file->peers[1].name);
	assert_int_equal(file->peers[1].address.family, 0);
	assert_int_equal(file->nameserver_count, 2);
	assert_int_equal(file->nameservers[0].server_count, 3);
	assert_cidr(&file->nameservers[0].servers[0].address, "192.168.1.1/32");
	assert_int_equal(file->nameservers[0].servers[0].port, 53);
	assert_int_equal(file->nameservers[0].servers[1].port, 5353);
	assert_cidr(&file->nameservers[0].servers[2].address, "fd00:1::53/128");
	assert_string_equal(file->nameservers[0].domains[1], "_tcp.example.com");
	assert_true(file->nameservers[0].is_search);
	assert_int_equal(file->nameservers[1].domain_count, 0);
	assert_string_equal(file->oidc.issuer, "http://127.0.0.1:5556/dex");
	assert_string_equal(file->oidc.client_id, "hub");
	assert_string_equal(file->oidc.client_secret, "s3cret");
	assert_string_equal(file->oidc.audience, "mesh");
	assert_string_equal(file->oidc.scope, "openid groups");
	assert_string_equal(file->oidc.groups_claim, "roles");
	assert_string_equal(file->oidc.user_claim, "email");
	assert_string_equal(file->oidc.device_endpoint, "http://127.0.0.1:5556/dex/device/code");
	assert_string_equal(file->oidc.token_endpoint, "https://id.example.com/token");
	assert_string_equal(file->oidc.authorization_endpoint, "https://id.example.com/auth");
	assert_string_equal(file->oidc.redirect_urls[0], "http://localhost:53000");
	assert_string_equal(file->oidc.ca_file, "/etc/talon/ca.pem");
	assert_groups(file, &file->oidc.groups, "people");
	assert_int_equal(file->oidc.login_expires_s, 7 * 24 * 3600);
	assert_true(file->oidc.use_id_token);
	hubfile_free(file);
}

/* One fault alone. */
static const struct {
	const char *text;
	unsigned int line;
	const char *fault;
} wrong[] = {
	{ "", 0,
		"expected a mapping, such as \"policies: []\"; this file is empty" },
	{ "# nothing\n", 0,
		"expected a mapping, such as \"policies: []\"; this file is empty" },
	{ "just text\n", 1,
		"expected a mapping, such as \"policies: []\"" },
	{ "- a list\n", 1,
		"expected a mapping, such as \"policies: []\"" },
	{ "a: [\n", 2,
		"expected YAML: did not find expected node content, while parsing a flow node" },
	{ "policies: []\npage: \"x\n", 3,
		"expected YAML: found unexpected end of stream, while scanning a quoted scalar" },
	{ "policies: \377", 1,
		"expected YAML: invalid leading UTF-8 octet" },
	{ "x: &a []\npolicies: []\n", 1,
		"expected no anchor (&name) and no tag (!name)" },
	{ "x: *a\n", 1,
		"expected no alias (*name): write the value out, or quote the text" },
	{ "policies: !!seq []\n", 1,
		"expected no anchor (&name) and no tag (!name)" },
	{ "domain: !str x\n", 1,
		"expected no anchor (&name) and no tag (!name): quote the text" },
	{ "%YAML 1.1\n---\npolicies: []\n", 1,
		"expected YAML without % directives" },
	{ "policies: []\n---\npolicies: []\n", 2,
		"expected one document: no second one after ---" },
	{ "policies: []\ndomain: \"a\\nb\"\n", 2,
		"expected text of one line, without control characters" },
	{ "policies: []\ndomain: \"a\\x85b\"\n", 2,
		"expected text of one line, without control characters" },
	{ "policies: []\ndomain: |\n  a\n", 2,
		"expected text of one line, without control characters" },
	{ "[[[[[[[[[]]]]]]]]]\n", 1,
		"expected lists and mappings less deep in each other" },
	{ "policies: []\n? [a]\n: b\n", 2,
		"expected a name and a colon" },
	{ "policies: []\npolicies: []\n", 2,
		"policies: this name is there twice, in line 1 already; expected it once" },
	{ "policies: []\npolicys: []\n", 2,
		"policys: no such key; expected one of listen, public-url, tls, stun, data, page, "
		"proxies, domain, network, network6, ephemeral, groups, keys, policies, routes, "
		"networks, peers, nameservers, sign-in" },
	{ "listen: 0.0.0.0:443\n", 1,
		"expected 'policies' too; \"policies: []\" lets nobody reach anybody" },
	{ "policies: []\nlisten: 443\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	{ "policies: []\nlisten: hub.example.com:443\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	{ "policies: []\nlisten: 0.0.0.0:0\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	{ "policies: []\nlisten: 0.0.0.0:65536\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	{ "policies: []\nlisten: off\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	/* "off" is the one word for it */
	{ "policies: []\nstun: none\n", 2,
		"stun: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\", or off" },
	{ "policies: []\nlisten: [a]\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	{ "policies: []\nlisten: 10.0.0.0/8:443\n", 2,
		"listen: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\"" },
	{ "policies: []\npublic-url: hub.example.com\n", 2,
		"public-url: expected https://NAME or http://NAME, with :PORT if it is another, and no "
		"path" },
	{ "policies: []\npublic-url: https://hub.example.com/netbird\n", 2,
		"public-url: expected https://NAME or http://NAME, with :PORT if it is another, and no "
		"path" },
	{ "policies: []\npublic-url: https://user@hub.example.com\n", 2,
		"public-url: expected https://NAME or http://NAME, with :PORT if it is another, and no "
		"path" },
	{ "policies: []\npublic-url: ftp://hub.example.com\n", 2,
		"public-url: expected https://NAME or http://NAME, with :PORT if it is another, and no "
		"path" },
	{ "policies: []\ntls: yes\n", 2,
		"tls: expected certificate and key, each a path" },
	{ "policies: []\ntls: {certificate: a}\n", 2,
		"tls: expected 'key' too" },
	{ "policies: []\ntls: {key: a}\n", 2,
		"tls: expected 'certificate' too" },
	{ "policies: []\ntls: {certificate: a, key: [b]}\n", 2,
		"tls.key: expected a path" },
	{ "policies: []\nstun: 3478\n", 2,
		"stun: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\", or off" },
	{ "policies: []\ndata:\n", 2,
		"data: expected a path" },
	{ "policies: []\npage: localhost:80\n", 2,
		"page: expected ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\", or off" },
	{ "policies: []\nproxies: [10.0.0.1/8]\n", 2,
		"proxies: bits after the prefix are set; expected 10.0.0.0/8" },
	{ "policies: []\nproxies: [10.0.0.0/33]\n", 2,
		"proxies: expected a network such as 192.168.1.0/24 or fd00:1::/64" },
	{ "policies: []\nproxies: {a: b}\n", 2,
		"proxies: expected a list of networks; [] for none" },
	{ "policies: []\ndomain: a..b\n", 2,
		"domain: expected a domain such as example.com, in ASCII (xn--...)" },
	{ "policies: []\ndomain: -a.b\n", 2,
		"domain: expected a domain such as example.com, in ASCII (xn--...)" },
	{ "policies: []\ndomain: \"*.b\"\n", 2,
		"domain: expected a domain such as example.com, in ASCII (xn--...)" },
	{ "policies: []\ndomain: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"\n", 2,
		"domain: expected a domain such as example.com, in ASCII (xn--...)" },
	{ "policies: []\nnetwork: 100.64.0.0/30\n", 2,
		"network: expected an IPv4 network from /8 to /28, such as 100.64.0.0/10" },
	{ "policies: []\nnetwork: fd00::/64\n", 2,
		"network: expected an IPv4 network from /8 to /28, such as 100.64.0.0/10" },
	{ "policies: []\nnetwork: 100.64.0.1/16\n", 2,
		"network: bits after the prefix are set; expected 100.64.0.0/16" },
	{ "policies: []\nnetwork: 0.0.0.0/8\n", 2,
		"network: expected an IPv4 network from /8 to /28, such as 100.64.0.0/10" },
	{ "policies: []\nnetwork: 224.0.0.0/8\n", 2,
		"network: expected an IPv4 network from /8 to /28, such as 100.64.0.0/10" },
	{ "policies: []\nnetwork6: fd00::/48\n", 2,
		"network6: expected an IPv6 network of /64, such as fd12:3456:789a:1::/64, or off" },
	{ "policies: []\nnetwork6: 10.0.0.0/8\n", 2,
		"network6: expected an IPv6 network of /64, such as fd12:3456:789a:1::/64, or off" },
	{ "policies: []\nnetwork6: fe80::/64\n", 2,
		"network6: expected an IPv6 network of /64, such as fd12:3456:789a:1::/64, or off" },
	{ "policies: []\nephemeral: 10\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\nephemeral: 0m\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\nephemeral: 010m\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\nephemeral: m\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\nephemeral: 1.5h\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\nephemeral: 4000d\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\nephemeral: 1w\n", 2,
		"ephemeral: expected a time such as 90s, 10m, 12h or 7d, of at most 10 years" },
	{ "policies: []\ngroups: [a]\n", 2,
		"groups: expected names of groups, each with a list of its peers: \"laptops: []\"" },
	{ "policies: []\ngroups: {all: []}\n", 2,
		"groups.all: the group All is there already, and every peer is in it; expected another "
		"name" },
	{ "policies: []\ngroups: {a: }\n", 2,
		"groups.a: expected a list of peers, by name or public key; [] for none" },
	{ "policies: []\ngroups: {a: [x, y, x]}\n", 2,
		"groups.a: this entry is there twice, in line 2 already; expected it once" },
	{ "policies: []\ngroups: {a: [{}]}\n", 2,
		"groups.a: expected the name of a peer (small letters, digits, dashes), or its public "
		"key" },
	{ "policies: []\ngroups: {a: [\"x y\"]}\n", 2,
		"groups.a: expected the name of a peer (small letters, digits, dashes), or its public "
		"key" },
	{ "policies: []\ngroups: {a: {peer: [x]}}\n", 2,
		"groups.a.peer: no such key; expected one of peers, sign-in" },
	{ "policies: []\ngroups: {a: {sign-in: x}}\n", 2,
		"groups.a.sign-in: expected the section sign-in too" },
	{ "policies: []\ngroups: {\" a\": []}\n", 2,
		"groups. a: expected a name of at most 100 bytes, without blanks around it" },
	{ "policies: []\ngroups: {\"\": []}\n", 2,
		"groups.(name): expected a name" },
	{ "policies: []\ngroups: {aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: []}\n", 2,
		"groups.(name): expected a name of at most 100 bytes, without blanks around it" },
	{ "policies: []\ngroups:\n  a: []\n  b: []\n  a: []\n", 5,
		"groups.a: this name is there twice, in line 3 already; expected it once" },
	{ "policies: []\nkeys: []\n", 2,
		"keys: expected names of setup keys, each with hash or file" },
	{ "policies: []\nkeys: {k: {}}\n", 2,
		"keys.k: expected either hash or file" },
	{ "policies: []\nkeys: {k: {hash: 12}}\n", 2,
		"keys.k.hash: expected the SHA-256 of the setup key in capitals, 64 hexadecimal digits:"
		" printf %s KEY | tr a-z A-Z | sha256sum" },
	{ "policies: []\nkeys: {k: {hash: "
		"gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg}}\n", 2,
		"keys.k.hash: expected the SHA-256 of the setup key in capitals, 64 hexadecimal digits:"
		" printf %s KEY | tr a-z A-Z | sha256sum" },
	{ "policies: []\nkeys: {k: {hash: a2c8e62b-38f5-4553-b31e-dd66c696cebb}}\n", 2,
		"keys.k.hash: this is a setup key, whose place is not here; expected the SHA-256 of the"
		" setup key in capitals, 64 hexadecimal digits: printf %s KEY | tr a-z A-Z | sha256sum" },
	{ "policies: []\nkeys: {k: a2c8e62b-38f5-4553-b31e-dd66c696cebb}\n", 2,
		"keys.k: expected hash or file, and no setup key in clear text" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, setup-key: x}}\n", 2,
		"keys.k.setup-key: a secret's place is not in this file; expected hash or file of a "
		"setup key, or client-secret-file" },
	{ "policies: []\nkeys:\n  j: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001}\n  k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001}\n", 4,
		"keys.k: the same setup key is there twice, in line 3 already; expected it once" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, uses: 0}}\n", 2,
		"keys.k.uses: expected a number from 1 to 1000000, or unlimited" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, uses: \"3\"}}\n", 2,
		"keys.k.uses: expected a number from 1 to 1000000, or unlimited" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, uses: -1}}\n", 2,
		"keys.k.uses: expected a number from 1 to 1000000, or unlimited" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-01-31}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-02-29T00:00:00Z}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-13-01T00:00:00Z}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-01-31T24:00:00Z}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: \""
		"2027-01-31 00:00:00Z\"}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-01-31T00:00:00}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-01-31T00:00:00.Z}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, expires: "
		"2027-01-31T00:00:00+0100}}\n", 2,
		"keys.k.expires: expected a time as in 2027-01-31T18:00:00Z (RFC 3339)" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, ephemeral: yes}}\n", 2,
		"keys.k.ephemeral: expected true or false" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, ephemeral: \"true\""
		"}}\n", 2,
		"keys.k.ephemeral: expected true or false" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, groups: [nobody]}}\n", 2,
		"keys.k.groups: 'nobody' is no group; expected All or a name below groups" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, groups: [all]}}\n", 2,
		"keys.k.groups: 'all' is no group; expected All or a name below groups" },
	{ "policies: []\nkeys: {k: {hash: "
		"0000000000000000000000000000000000000000000000000000000000000001, groups: [All, All]}}"
		"\n", 2,
		"keys.k.groups: a group is there twice; expected each once" },
	{ "policies:\n", 1,
		"policies: expected a list of mappings, each with name, from and to; [] for none" },
	{ "policies: {}\n", 1,
		"policies: expected a list of mappings, each with name, from and to; [] for none" },
	{ "policies: [web]\n", 1,
		"policies: expected name, from and to" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {from: a, to: b}\n", 3,
		"policies: expected 'name' too" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, to: b}\n", 3,
		"policies.p: expected 'from' too" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a}\n", 3,
		"policies.p: expected 'to' too" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: [], to: b}\n", 3,
		"policies.p.from: expected one group at least" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: c, to: b}\n", 3,
		"policies.p.from: 'c' is no group; expected All or a name below groups" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, action: allow}\n", 3,
		"policies.p.action: expected accept or drop" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, both-ways: 1}\n", 3,
		"policies.p.both-ways: expected true or false" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: TCP}\n", 3,
		"policies.p.protocol: expected any, tcp, udp or icmp" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, ports: 80}\n", 3,
		"policies.p.ports: expected protocol tcp or udp beside ports" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: icmp, "
		"ports: 80}\n", 3,
		"policies.p.ports: expected protocol tcp or udp beside ports" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: tcp, ports:"
		" []}\n", 3,
		"policies.p.ports: expected 1 to 256 ports or ranges; leave it out for all ports" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: tcp, ports:"
		" [0]}\n", 3,
		"policies.p.ports: expected a port from 1 to 65535, or a range such as 8000-8100" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: tcp, ports:"
		" [65536]}\n", 3,
		"policies.p.ports: expected a port from 1 to 65535, or a range such as 8000-8100" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: tcp, ports:"
		" [90-80]}\n", 3,
		"policies.p.ports: expected a port from 1 to 65535, or a range such as 8000-8100" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: tcp, ports:"
		" [80-]}\n", 3,
		"policies.p.ports: expected a port from 1 to 65535, or a range such as 8000-8100" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b, protocol: tcp, ports:"
		" [http]}\n", 3,
		"policies.p.ports: expected a port from 1 to 65535, or a range such as 8000-8100" },
	{ "groups: {a: [], b: []}\npolicies:\n  - {name: p, from: a, to: b}\n  - {name: p, from: "
		"b, to: a}\n", 4,
		"policies.p.name: this name is there twice, in line 3 already; expected it once" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: x, to: All, metric: 0}]"
		"\n", 2,
		"routes.r.metric: expected a number from 1 to 9999" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: x, to: All, metric: "
		"10000}]\n", 2,
		"routes.r.metric: expected a number from 1 to 9999" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: x, to: All, metric: "
		"1e3}]\n", 2,
		"routes.r.metric: expected a number from 1 to 9999" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: x, to: All, masquerade:"
		" no}]\n", 2,
		"routes.r.masquerade: expected true or false" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: [], to: All}]\n", 2,
		"routes.r.routers: expected one peer at least, or \"groups: [NAME]\"" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: {}, to: All}]\n", 2,
		"routes.r.routers: expected one peer at least, or \"groups: [NAME]\"" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: {groups: a}, to: All}]"
		"\n", 2,
		"routes.r.routers.groups: 'a' is no group; expected All or a name below groups" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, to: All}]\n", 2,
		"routes.r: expected 'routers' too" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, routers: x}]\n", 2,
		"routes.r: expected 'to' too" },
	{ "policies: []\nroutes: [{name: r, routers: x, to: All}]\n", 2,
		"routes.r: expected either network or domains" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, domains: [a.b], routers: x, to: "
		"All}]\n", 2,
		"routes.r: expected either network or domains" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, keep-addresses: true, routers: "
		"x, to: All}]\n", 2,
		"routes.r.keep-addresses: expected domains beside it" },
	{ "policies: []\nroutes: [{name: r, network: 10.0.0.0/8, auto-apply: false, routers: x, to: "
		"All}]\n", 2, "routes.r.auto-apply: expected network 0.0.0.0/0 or ::/0 beside it" },
	{ "policies: []\nroutes: [{name: r, domains: a.b, auto-apply: true, routers: x, to: All}]\n", 2,
		"routes.r.auto-apply: expected network 0.0.0.0/0 or ::/0 beside it" },
	{ "policies: []\nroutes: [{name: r, network: 0.0.0.0/0, auto-apply: no, routers: x, to: All}]\n", 2,
		"routes.r.auto-apply: expected true or false" },
	{ "policies: []\nroutes: [{name: r, domains: [], routers: x, to: All}]\n", 2,
		"routes.r.domains: expected one domain at least" },
	{ "policies: []\nroutes: [{name: r, domains: [\"*\"], routers: x, to: All}]\n", 2,
		"routes.r.domains: expected a domain such as example.com or \"*.example.com\", in ASCII"
		" (xn--...)" },
	{ "policies: []\nroutes: [{name: r, domains: [a b], routers: x, to: All}]\n", 2,
		"routes.r.domains: expected a domain such as example.com or \"*.example.com\", in ASCII"
		" (xn--...)" },
	{ "policies: []\nroutes: [{name: rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr, network: "
		"10.0.0.0/8, routers: x, to: All}]\n", 2,
		"routes.rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr.name: expected a name of at most 40 "
		"bytes, without blanks around it" },
	{ "policies: []\nnetworks: [{name: n, routers: x}]\n", 2,
		"networks.n: expected 'resources' too" },
	{ "policies: []\nnetworks: [{name: n, routers: x, resources: [{name: r}]}]\n", 2,
		"networks.n.resources.r: expected either network or domain" },
	{ "policies: []\nnetworks: [{name: n, routers: x, resources: [{name: r, network: "
		"10.0.0.0/8, domain: a.b}]}]\n", 2,
		"networks.n.resources.r: expected either network or domain" },
	{ "policies: []\nnetworks: [{name: n, routers: x, resources: [{name: r, domain: a.b}, "
		"{name: r, domain: b.c}]}]\n", 2,
		"networks.n.resources.r.name: this name is there twice, in line 2 already; expected it "
		"once" },
	{ "policies: []\nnetworks:\n  - {name: n, routers: x, resources: []}\n  - {name: n, "
		"routers: x, resources: []}\n", 4,
		"networks.n.name: this name is there twice, in line 3 already; expected it once" },
	{ "policies: []\npeers: [x]\n", 2,
		"peers: expected names or public keys of peers, each with what counts for it" },
	{ "policies: []\npeers: {x: y}\n", 2,
		"peers.x: expected name, address, address6, groups or blocked" },
	{ "policies: []\npeers: {\"a b\": {}}\n", 2,
		"peers.a b: expected the name of a peer (small letters, digits, dashes), or its public "
		"key" },
	{ "policies: []\npeers: {Laptop: {name: laptop}}\n", 2,
		"peers.Laptop: expected the name of a peer (small letters, digits, dashes), or its "
		"public key" },
	{ "policies: []\npeers: {laptop.local: {name: laptop}}\n", 2,
		"peers.laptop.local: expected the name of a peer (small letters, digits, dashes), or "
		"its public key" },
	{ "policies: []\npeers: {x: {name: Laptop}}\n", 2,
		"peers.x.name: expected a name of small letters, digits and dashes inside, of at most "
		"63" },
	{ "policies: []\npeers: {x: {name: a.b}}\n", 2,
		"peers.x.name: expected a name of small letters, digits and dashes inside, of at most "
		"63" },
	{ "policies: []\npeers: {x: {name: -a}}\n", 2,
		"peers.x.name: expected a name of small letters, digits and dashes inside, of at most "
		"63" },
	{ "policies: []\npeers: {x: {address: 10.0.0.1}}\n", 2,
		"peers.x.address: expected an address of 100.64.0.0/10" },
	{ "policies: []\npeers: {x: {address: 100.64.0.1/32}}\n", 2,
		"peers.x.address: expected an IPv4 address" },
	{ "policies: []\npeers: {x: {address: \"fd00::1\"}}\n", 2,
		"peers.x.address: expected an IPv4 address" },
	{ "policies: []\npeers: {x: {address6: \"fd00::1\"}}\n", 2,
		"peers.x.address6: expected network6 to be set, with an address of it here" },
	{ "policies: []\nnetwork6: fd00:1::/64\npeers: {x: {address6: \"fd00:2::1\"}}\n", 3,
		"peers.x.address6: expected an address of fd00:1::/64" },
	{ "policies: []\npeers:\n  x: {name: a}\n  y: {name: a}\n", 4,
		"peers.y.name: this name is there twice, in line 3 already; expected it once" },
	{ "policies: []\npeers:\n  x: {address: 100.64.0.1}\n  y: {address: 100.64.0.1}\n", 4,
		"peers.y.address: this address is there twice, in line 3 already; expected it once" },
	{ "policies: []\nnameservers: [{name: n, servers: [], to: All}]\n", 2,
		"nameservers.n.servers: expected 1 to 3 addresses" },
	{ "policies: []\nnameservers: [{name: n, servers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4], "
		"to: All}]\n", 2,
		"nameservers.n.servers: expected 1 to 3 addresses" },
	{ "policies: []\nnameservers: [{name: n, servers: dns.example.com, to: All}]\n", 2,
		"nameservers.n.servers: expected ADDRESS or ADDRESS:PORT, such as 1.1.1.1 or \""
		"[2606:4700::1]:53\"" },
	{ "policies: []\nnameservers: [{name: n, servers: 1.1.1.0/24, to: All}]\n", 2,
		"nameservers.n.servers: expected ADDRESS or ADDRESS:PORT, such as 1.1.1.1 or \""
		"[2606:4700::1]:53\"" },
	{ "policies: []\nnameservers: [{name: n, servers: 1.1.1.1, search: true, to: All}]\n", 2,
		"nameservers.n.search: expected domains beside it" },
	{ "policies: []\nnameservers: [{name: n, servers: 1.1.1.1}]\n", 2,
		"nameservers.n: expected 'to' too" },
	{ "policies: []\nsign-in: {client-id: x}\n", 2,
		"sign-in: expected 'issuer' too" },
	{ "policies: []\nsign-in: {issuer: https://id.example.com}\n", 2,
		"sign-in: expected 'client-id' too" },
	{ "policies: []\nsign-in: {issuer: http://id.example.com, client-id: x}\n", 2,
		"sign-in.issuer: expected https://... as the issuer writes itself, or http:// to this "
		"host" },
	{ "policies: []\nsign-in: {issuer: id.example.com, client-id: x}\n", 2,
		"sign-in.issuer: expected https://... as the issuer writes itself, or http:// to this "
		"host" },
	{ "policies: []\nsign-in: {issuer: https://id.example.com, client-id: x, client-secret: "
		"y}\n", 2,
		"sign-in.client-secret: a secret's place is not in this file; expected hash or file of "
		"a setup key, or client-secret-file" },
	{ "policies: []\nsign-in: {issuer: https://id.example.com, client-id: x, "
		"client-secret-file: /nowhere/y}\n", 2,
		"sign-in.client-secret-file: cannot read /nowhere/y: No such file or directory; "
		"expected a file with the secret alone" },
	{ "policies: []\nsign-in: {issuer: https://id.example.com, client-id: x, expires-after: "
		"30}\n", 2,
		"sign-in.expires-after: expected a time such as 90s, 10m, 12h or 7d, of at most 10 "
		"years" },
	{ "policies: []\nsign-in: {issuer: https://id.example.com, client-id: x, redirect-urls: "
		"[53000]}\n", 2,
		"sign-in.redirect-urls: expected a URL: https://... or http://..." },
	{ "policies: []\nsign-in: {issuer: https://id.example.com, client-id: x, groups: x}\n", 2,
		"sign-in.groups: 'x' is no group; expected All or a name below groups" },
};

static void each_fault_has_its_line_and_field(void **state)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		refuse(wrong[i].text, strlen(wrong[i].text));
		if (fault_count != 1 || faults[0].line != wrong[i].line ||
			strcmp(faults[0].text, wrong[i].fault))
			fail_msg("%s\n%zu faults, the first: line %u: %s", wrong[i].text, fault_count,
				faults[0].line, faults[0].text);
	}
}

static void all_faults_are_told_at_once_in_the_order_of_lines(void **state)
{
	static const char text[] =
		"peers: {x: {name: Foo}}\n"
		"listen: 1\n"
		"groups: {All: []}\n"
		"policies: 1\n";

	refuse(text, strlen(text));
	assert_int_equal(fault_count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(faults[i].line, i + 1);
}

static void no_more_faults_than_there_is_room_for(void **state)
{
	char text[4096] = "policies: []\n";

	for (int i = 0; i < 100; i++)
		sprintf(text + strlen(text), "key-%d: 1\n", i);
	refuse(text, strlen(text));
	assert_int_equal(fault_count, HUBFILE_FAULTS_MAX);
	assert_int_equal(faults[0].line, 2);
	assert_int_equal(faults[HUBFILE_FAULTS_MAX - 1].line, HUBFILE_FAULTS_MAX + 1);
}

static void no_setup_key_is_in_a_fault(void **state)
{
	static const char *const texts[] = {
		"{policies: [], keys: {" SETUP_KEY ": {uses: 0}}}",
		"{policies: [], keys: {laptop: " SETUP_KEY "}}",
		"{policies: [], keys: {laptop: {hash: " SETUP_KEY "}}}",
		"{policies: [], keys: {laptop: {key: " SETUP_KEY "}}}",
		"{policies: [], keys: {laptop: {" SETUP_KEY ": 1}}}",
		"{policies: [], keys: {laptop: {file: x, groups: " SETUP_KEY "}}}",
		"{policies: [], groups: {" SETUP_KEY ": []}}",
		"{policies: [], " SETUP_KEY ": 1}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		refuse(texts[i], strlen(texts[i]));
		for (size_t j = 0; j < fault_count; j++)
			assert_null(strstr(faults[j].text, "a2c8e62b"));
	}
}

static void what_is_no_plain_yaml_is_refused(void **state)
{
	static const char nul[] = "policies: []\n# \0\n", huge_end[] = "policies: []\n#";
	char *text = malloc((1 << 20) + 2);

	refuse(nul, sizeof(nul) - 1);
	assert_int_equal(faults[0].line, 2);
	assert_string_equal(faults[0].text, "expected text, without NUL bytes");

	memset(text, '#', (1 << 20) + 1);
	memcpy(text, huge_end, strlen(huge_end));
	refuse(text, (1 << 20) + 1);
	assert_string_equal(faults[0].text, "expected a file of at most 1 MiB");

	for (size_t i = 0; i < 1 << 20; i++)
		text[i] = "a,"[(i + 1) % 2];
	text[0] = '[';
	refuse(text, 1 << 20);
	assert_string_equal(faults[0].text, "expected fewer entries: this file is no hub's");
	free(text);
}

static void a_file_is_read_beside_its_secrets(void **state)
{
	char dir[] = "/tmp/test_hubfile.XXXXXX", path[64], secret[64];
	uint8_t hash[HUBFILE_HASH_LEN];
	struct hubfile *file;
	FILE *out;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/hub.yaml", dir);
	snprintf(secret, sizeof(secret), "%s/one.key", dir);
	assert_int_equal(hubfile_read(path, &file, faults, &fault_count), -ENOENT);
	assert_int_equal(fault_count, 1);
	assert_string_equal(faults[0].text,
		"cannot be read: No such file or directory; expected a YAML file");

	out = fopen(path, "w");
	fputs("policies: []\nkeys: {one: {file: one.key}}\n", out);
	fclose(out);
	assert_int_equal(hubfile_read(path, &file, faults, &fault_count), -EINVAL);
	assert_int_equal(faults[0].line, 2);
	assert_non_null(strstr(faults[0].text, "keys.one.file: cannot read /tmp/"));

	out = fopen(secret, "w");
	fputs("no key", out);
	fclose(out);
	assert_int_equal(hubfile_read(path, &file, faults, &fault_count), -EINVAL);
	assert_non_null(strstr(faults[0].text, "keys.one.file: expected a setup key in the file: xxxxxxxx-"));

	out = fopen(secret, "w");
	fputs(SETUP_KEY, out);
	fclose(out);
	assert_int_equal(hubfile_read(path, &file, faults, &fault_count), 0);
	assert_int_equal(hubfile_key_hash(SETUP_KEY, hash), 0);
	assert_memory_equal(file->keys[0].hash, hash, sizeof(hash));
	hubfile_free(file);
	unlink(secret);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_file_has_the_defaults),
		cmocka_unit_test(without_a_file_all_reach_all),
		cmocka_unit_test(what_the_process_needs_is_read),
		cmocka_unit_test(groups_may_come_after_those_who_name_them),
		cmocka_unit_test(the_hash_is_of_the_key_in_capitals),
		cmocka_unit_test(setup_keys_are_by_hash_or_file),
		cmocka_unit_test(policies_say_who_reaches_what),
		cmocka_unit_test(routes_and_networks_name_their_routers),
		cmocka_unit_test(peers_nameservers_and_sign_in_are_read),
		cmocka_unit_test(each_fault_has_its_line_and_field),
		cmocka_unit_test(all_faults_are_told_at_once_in_the_order_of_lines),
		cmocka_unit_test(no_more_faults_than_there_is_room_for),
		cmocka_unit_test(no_setup_key_is_in_a_fault),
		cmocka_unit_test(what_is_no_plain_yaml_is_refused),
		cmocka_unit_test(a_file_is_read_beside_its_secrets),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
