// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What each peer is told: policies, routes, networks, IPv6, names, and whose map a change touches.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/hubmap_world.h"
#include "unit/netbird.h"

#define PROSPECT_KEY	"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
#define PROSPECT_HASH	"853f7056727da636a1e137808d893a4f9309d26bc045dfd69024a3376affcd17"
#define PROSPECT_HASH2	"953f7056727da636a1e137808d893a4f9309d26bc045dfd69024a3376affcd17"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct world {
	struct hubfile *file;
	struct hubmap *map;
};

static struct world world_of(const char *yaml, unsigned int count, int kind)
{
	struct world w = { .file = world_file(yaml) };

	w.map = hubmap_new(w.file);
	assert_non_null(w.map);
	for (unsigned int n = 1; n <= count; n++)
		world_put(w.map, n, kind);
	return w;
}

static void done(struct world *w)
{
	hubmap_free(w->map);
	hubfile_free(w->file);
}

/* p1 is in a, p2 in b: what p1 and p2 get of one policy. */
static const struct {
	const char *policy, *of_1, *of_2;
} policies[] = {
	{ "from: [a], to: [b]",
		"out accept all 100.64.0.2 /32 (x)\n", "in accept all 100.64.0.1 /32 (x)\n" },
	{ "from: [b], to: [a]",
		"in accept all 100.64.0.2 /32 (x)\n", "out accept all 100.64.0.1 /32 (x)\n" },
	{ "from: [a], to: [b], both-ways: true",
		"in accept all 100.64.0.2 /32 (x)\nout accept all 100.64.0.2 /32 (x)\n",
		"in accept all 100.64.0.1 /32 (x)\nout accept all 100.64.0.1 /32 (x)\n" },
	{ "from: [a], to: [b], protocol: icmp",
		"out accept icmp 100.64.0.2 /32 (x)\n", "in accept icmp 100.64.0.1 /32 (x)\n" },
	{ "from: [a], to: [b], protocol: tcp",
		"out accept tcp 100.64.0.2 /32 (x)\n", "in accept tcp 100.64.0.1 /32 (x)\n" },
	{ "from: [a], to: [b], protocol: tcp, ports: [80, 443]",
		"out accept tcp 100.64.0.2 443 /32 (x)\nout accept tcp 100.64.0.2 80 /32 (x)\n",
		"in accept tcp 100.64.0.1 443 /32 (x)\nin accept tcp 100.64.0.1 80 /32 (x)\n" },
	{ "from: [a], to: [b], protocol: udp, ports: [53, 8000-8100]",
		"out accept udp 100.64.0.2 53 /32 (x)\nout accept udp 100.64.0.2 8000-8100 /32 (x)\n",
		"in accept udp 100.64.0.1 53 /32 (x)\nin accept udp 100.64.0.1 8000-8100 /32 (x)\n" },
	/* each group is named twice over */
	{ "from: [a, b], to: [b, a]",
		"in accept all 100.64.0.2 /32 (x)\nout accept all 100.64.0.2 /32 (x)\n",
		"in accept all 100.64.0.1 /32 (x)\nout accept all 100.64.0.1 /32 (x)\n" },
	/* who has nothing but what is dropped need not know of the other */
	{ "from: [a], to: [b], action: drop", "", "" },
	{ "from: [a], to: [a]", "", "" },
	/* thousands of peers cost one rule */
	{ "from: [All], to: [b]",
		"out accept all 100.64.0.2 /32 (x)\n", "in accept all 0.0.0.0 /0 (x)\n" },
	{ "from: [a], to: [All], protocol: tcp, ports: [22]",
		"out accept tcp 0.0.0.0 22 /0 (x)\n", "in accept tcp 100.64.0.1 22 /32 (x)\n" },
	{ "from: [All], to: [All]",
		"in accept all 0.0.0.0 /0 (x)\nout accept all 0.0.0.0 /0 (x)\n",
		"in accept all 0.0.0.0 /0 (x)\nout accept all 0.0.0.0 /0 (x)\n" },
};

static void each_policy_becomes_its_rules(void **state)
{
	for (size_t i = 0; i < COUNT(policies); i++) {
		struct world w;
		char yaml[512];

		print_message("%s\n", policies[i].policy);
		snprintf(yaml, sizeof(yaml), "groups: {a: [p1], b: [p2]}\npolicies: [{name: x, %s}]\n",
			policies[i].policy);
		w = world_of(yaml, 2, NEW);
		world_assert_lines(w.map, 1, WORLD_RULES, policies[i].of_1);
		world_assert_lines(w.map, 2, WORLD_RULES, policies[i].of_2);
		world_assert_lines(w.map, 1, WORLD_PEERS,
			*policies[i].of_1 ? "peer p2 p2.netbird.selfhosted 100.64.0.2/32\n" : "");
		world_assert_lines(w.map, 2, WORLD_PEERS,
			*policies[i].of_2 ? "peer p1 p1.netbird.selfhosted 100.64.0.1/32\n" : "");
		done(&w);
	}
}

static void what_drops_comes_before_what_accepts(void **state)
{
	struct world w = world_of("policies:\n- {name: all, from: [All], to: [All]}\n"
		"- {name: no, from: [All], to: [All], action: drop, protocol: tcp, ports: [22]}\n", 2, NEW);
	Management__NetworkMap *map = world_write(w.map, 1);

	/* clients drop by single addresses only */
	world_assert_lines(w.map, 1, WORLD_RULES, "in accept all 0.0.0.0 /0 (all)\n"
		"in drop tcp 100.64.0.2 22 /32 (no)\nout accept all 0.0.0.0 /0 (all)\n"
		"out drop tcp 100.64.0.2 22 /32 (no)\n");
	assert_int_equal(map->firewall_rules[0]->action, MANAGEMENT__RULE_ACTION__DROP);
	assert_int_equal(map->firewall_rules[1]->action, MANAGEMENT__RULE_ACTION__DROP);
	management__network_map__free_unpacked(map, NULL);
	done(&w);
}

static void a_peer_alone_has_empty_lists(void **state)
{
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}]\n", 1, NEW);
	char *text = world_text(w.map, 1);

	assert_string_equal(text, "dns 1 port 22054\n"
		"name netbird.selfhosted. p1.netbird.selfhosted A 100.64.0.1\n"
		"self 100.64.0.1/16 p1.netbird.selfhosted\n");
	free(text);
	done(&w);
}

static void old_clients_get_no_prefixes_and_no_ipv6(void **state)
{
	struct world w = world_of("groups: {r: [p2]}\nnameservers: [{name: n, servers: [1.1.1.1], to: "
		"[All]}]\n"
		"policies: [{name: all, from: [All], to: [All]}, "
		"{name: no, from: [All], to: [All], action: drop, protocol: icmp}]\n"
		"routes: [{name: exit, network: 0.0.0.0/0, routers: [p2], to: [All], auto-apply: false}, "
		"{name: six, network: 'fd55::/64', routers: [p2], to: [All]}]\n", 2, SIX);
	uint8_t key[KEY_LEN];
	char *text;

	world_put(w.map, 3, OLD);
	text = world_text(w.map, 3);
	assert_null(strstr(text, "::"));
	assert_null(strstr(text, "/0 ("));
	assert_null(strstr(text, "/32 ("));
	assert_null(strstr(text, "AAAA"));
	assert_non_null(strstr(text, "in accept all 0.0.0.0 (all)\n"));
	assert_non_null(strstr(text, "in drop icmp 100.64.0.2 (no)\n"));
	assert_non_null(strstr(text, "route exit 0.0.0.0/0 type 1 by p2 metric 9999 masq by choice p2\n"));
	free(text);
	/* and those beside it are told what they can use */
	world_assert_lines(w.map, 1, WORLD_RULES, "in accept all 0.0.0.0 /0 (all)\n"
		"in accept all :: /0 (all)\nin drop icmp 100.64.0.2 /32 (no)\n"
		"in drop icmp 100.64.0.3 /32 (no)\nin drop icmp fd00::2 /128 (no)\n"
		"out accept all 0.0.0.0 /0 (all)\nout accept all :: /0 (all)\n"
		"out drop icmp 100.64.0.2 /32 (no)\nout drop icmp 100.64.0.3 /32 (no)\n"
		"out drop icmp fd00::2 /128 (no)\n");
	world_assert_lines(w.map, 1, WORLD_PEERS, "peer p2 p2.netbird.selfhosted 100.64.0.2/32 fd00::2/128\n"
		"peer p3 p3.netbird.selfhosted 100.64.0.3/32\n");
	world_assert_lines(w.map, 1, WORLD_ROUTES, "route exit 0.0.0.0/0 type 1 by p2 metric 9999 masq by "
		"choice "
		"p2\nroute exit-v6 ::/0 type 2 by p2 metric 9999 masq by choice p2-v6-default\n"
		"route six fd55::/64 type 2 by p2 metric 9999 masq p2\n");
	world_assert_lines(w.map, 1, " name self ",
		"name netbird.selfhosted. p1.netbird.selfhosted A 100.64.0.1\n"
		"name netbird.selfhosted. p1.netbird.selfhosted AAAA fd00::1\n"
		"name netbird.selfhosted. p2.netbird.selfhosted A 100.64.0.2\n"
		"name netbird.selfhosted. p2.netbird.selfhosted AAAA fd00::2\n"
		"name netbird.selfhosted. p3.netbird.selfhosted A 100.64.0.3\n"
		"self 100.64.0.1/16 p1.netbird.selfhosted fd00000000000000000000000000000140\n");
	world_key(3, key);
	assert_int_equal(hubmap_remove(w.map, key), 0);
	done(&w);
}

static void a_client_that_cannot_read_ranges_is_never_given_too_much(void **state)
{
	struct world w = world_of("policies:\n"
		"- {name: some, from: [All], to: [All], protocol: tcp, ports: [80, 8000-8100]}\n"
		"- {name: no, from: [All], to: [All], action: drop, protocol: tcp, ports: "
		"[1-1023]}\n", 2, NEW);
	struct world_names names;
	struct hubmap_peer peer = world_peer(3, OLD, &names);

	peer.version = "0.47.9";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	world_assert_lines(w.map, 3, WORLD_RULES, "in accept tcp 0.0.0.0 80 (some)\n"
		"in drop tcp 100.64.0.1 1-1023 (no)\nin drop tcp 100.64.0.2 1-1023 (no)\n"
		"out accept tcp 0.0.0.0 80 (some)\n"
		"out drop tcp 100.64.0.1 1-1023 (no)\nout drop tcp 100.64.0.2 1-1023 (no)\n");
	/* nor are the others led to a forwarder that listens elsewhere */
	world_assert_lines(w.map, 1, " dns ", "dns 1 port 5353\n");
	peer.version = "development";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	world_assert_lines(w.map, 1, " dns ", "dns 1 port 22054\n");
	done(&w);
}

#define ROUTED \
	"groups: {laptops: [p1], others: [p4], routers: [p3], gateways: [p2, p5]}\n" \
	"routes:\n" \
	"- {name: lan, network: 192.168.1.0/24, routers: {peers: [p2], groups: [routers]}, to: [laptops], " \
	"metric: 100}\n" \
	"- {name: lan, network: 192.168.1.0/24, routers: [p5], to: [laptops, routers], metric: 200, " \
	"masquerade: false}\n"

/* Talks to nobody, is told of nobody, and gets no route; who routes lets nobody through. */
static void assert_alone(struct hubmap *map, unsigned int n, const char *route)
{
	uint8_t key[KEY_LEN], other_key[KEY_LEN];

	world_assert_lines(map, n, WORLD_ROUTES WORLD_PEERS WORLD_RULES, route);
	world_key(n, key);
	for (unsigned int other = 1; other <= 5; other++) {
		world_key(other, other_key);
		assert_int_equal(hubmap_may_talk(map, key, other_key), n == other);
	}
}

static void a_route_lets_nobody_know_anybody(void **state)
{
	static const char *const none[] = {
		"policies: []\n" ROUTED,
		"policies: [{name: no, from: [All], to: [All], action: drop, protocol: icmp}]\n" ROUTED,
	};

	for (size_t i = 0; i < COUNT(none); i++) {
		struct world w = world_of(none[i], 5, NEW);

		assert_alone(w.map, 1, "");
		assert_alone(w.map, 2, "route lan 192.168.1.0/24 type 1 by p2 metric 100 masq p2\n");
		assert_alone(w.map, 3, "route lan 192.168.1.0/24 type 1 by p3 metric 100 masq p3\n");
		assert_alone(w.map, 4, "");
		assert_alone(w.map, 5, "route lan 192.168.1.0/24 type 1 by p5 metric 200 p5\n");
		done(&w);
	}
}

static void a_route_comes_through_those_whom_a_policy_lets_know(void **state)
{
	struct world w = world_of("policies: [{name: in, from: [gateways], to: [laptops, routers], protocol: "
		"icmp}]\n" ROUTED, 5, NEW);

	/* the policy's way does not matter; p3 stays unknown to the laptop */
	world_assert_lines(w.map, 1, WORLD_ROUTES WORLD_PEERS,
		"peer p2 p2.netbird.selfhosted 100.64.0.2/32\npeer p5 p5.netbird.selfhosted 100.64.0.5/32\n"
		"route lan 192.168.1.0/24 type 1 by p2 metric 100 masq p2\n"
		"route lan 192.168.1.0/24 type 1 by p5 metric 200 p5\n");
	/* who routes it does not get it from others, and lets nobody through whom it does not know */
	world_assert_lines(w.map, 3, WORLD_ROUTES WORLD_PEERS " forward ",
		"peer p2 p2.netbird.selfhosted 100.64.0.2/32\npeer p5 p5.netbird.selfhosted 100.64.0.5/32\n"
		"route lan 192.168.1.0/24 type 1 by p3 metric 100 masq p3\n");
	world_assert_lines(w.map, 5, WORLD_ROUTES WORLD_PEERS WORLD_RULES,
		"forward accept all 100.64.0.1/32 -> 192.168.1.0/24 p5 ()\n"
		"out accept icmp 100.64.0.1 /32 (in)\nout accept icmp 100.64.0.3 /32 (in)\n"
		"peer p1 p1.netbird.selfhosted 100.64.0.1/32\npeer p3 p3.netbird.selfhosted 100.64.0.3/32\n"
		"route lan 192.168.1.0/24 type 1 by p5 metric 200 p5\n");
	assert_alone(w.map, 4, "");
	done(&w);
}

static void ids_stay_with_the_route_and_are_the_rules_too(void **state)
{
	static const char more[] =
		"groups: {laptops: [p1], others: [p4], routers: [p3]}\n"
		"policies: [{name: all, from: [All], to: [All]}]\n"
		"routes:\n"
		"- {name: other, network: 10.9.0.0/16, routers: [p2], to: [others]}\n"
		"- {name: lan, network: 192.168.1.0/24, routers: [p2, p3], to: [laptops], metric: 100}\n";
	struct hubfile *file = world_file(more);
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}]\n" ROUTED, 3, NEW);
	Management__NetworkMap *before = world_write(w.map, 3), *after;

	assert_int_equal(before->n_routes, 1);
	assert_int_equal(before->n_routes_firewall_rules, 1);
	assert_string_equal(before->routes[0]->id, before->routes_firewall_rules[0]->route_id);
	assert_int_equal(hubmap_use(w.map, file), 0);
	after = world_write(w.map, 3);
	assert_int_equal(after->n_routes, 1);
	assert_string_equal(after->routes[0]->id, before->routes[0]->id);
	management__network_map__free_unpacked(before, NULL);
	management__network_map__free_unpacked(after, NULL);
	hubfile_free(w.file);
	w.file = file;
	done(&w);
}

static void packets_of_others_than_peers_are_not_let_in_by_a_rule_for_all(void **state)
{
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}]\n"
		"groups: {a: [p1]}\n"
		"routes: [{name: lan, network: 10.0.0.0/8, routers: [p2], to: [a], masquerade: "
		"false}]\n", 3, NEW);

	world_assert_lines(w.map, 1, " in ",
		"in accept all 100.64.0.2 /32 (all)\nin accept all 100.64.0.3 /32 (all)\n");
	world_assert_lines(w.map, 3, " in ", "in accept all 0.0.0.0 /0 (all)\n");
	done(&w);
}

static void access_groups_limit_who_may_use_a_route(void **state)
{
	struct world w = world_of("groups: {a: [p1, p4], b: [p2, p4], lan: [], router: [p3]}\n"
		"policies:\n"
		"- {name: web, from: [a], to: [lan], protocol: tcp, ports: [80, 8000-8100]}\n"
		"- {name: no, from: [b], to: [lan], action: drop, protocol: icmp}\n"
		"- {name: elsewhere, from: [a], to: [b]}\n"
		"- {name: known, from: [router], to: [a, b], protocol: icmp}\n"
		"routes: [{name: lan, network: 10.0.0.0/8, routers: [p3], to: [a, b], access: [lan]}, "
		"{name: closed, network: 10.1.0.0/16, routers: [p3], to: [a], access: [b]},"
		"{name: exit, network: 0.0.0.0/0, routers: [p3], to: [All], access: [lan]}]\n", 4, SIX);

	world_assert_lines(w.map, 3, " forward ",
		"forward accept all 100.64.0.1/32,100.64.0.4/32 -> 10.1.0.0/16 p3 (elsewhere)\n"
		"forward accept tcp 100.64.0.1/32,100.64.0.4/32 -> 0.0.0.0/0 80 p3 (web)\n"
		"forward accept tcp 100.64.0.1/32,100.64.0.4/32 -> 0.0.0.0/0 8000-8100 p3 (web)\n"
		"forward accept tcp 100.64.0.1/32,100.64.0.4/32 -> 10.0.0.0/8 80 p3 (web)\n"
		"forward accept tcp 100.64.0.1/32,100.64.0.4/32 -> 10.0.0.0/8 8000-8100 p3 (web)\n"
		"forward accept tcp fd00::1/128,fd00::4/128 -> ::/0 80 p3-v6-default (web)\n"
		"forward accept tcp fd00::1/128,fd00::4/128 -> ::/0 8000-8100 p3-v6-default (web)\n"
		"forward drop icmp 100.64.0.2/32,100.64.0.4/32 -> 0.0.0.0/0 p3 (no)\n"
		"forward drop icmp 100.64.0.2/32,100.64.0.4/32 -> 10.0.0.0/8 p3 (no)\n"
		"forward drop icmp fd00::2/128,fd00::4/128 -> ::/0 p3-v6-default (no)\n");
	done(&w);
}

static void domains_are_of_both_families(void **state)
{
	static const char yaml[] = "groups: {a: [p1]}\npolicies: [{name: all, from: [All], to: [All]}]\n"
		"routes: [{name: dom, domains: [app.example.com, '*.example.org'], routers: [p2], to: [a], "
		"keep-addresses: true}, {name: all, domains: [example.net], routers: [p2], to: [All]}]\n";
	struct world w = world_of(yaml, 2, NEW);

	world_assert_lines(w.map, 1, WORLD_ROUTES,
		"route all 192.0.2.0/32 type 3 by p2 metric 9999 masq p2 example.net\n"
		"route dom 192.0.2.0/32 type 3 by p2 metric 9999 masq kept p2 "
		"*.example.org,app.example.com\n");
	world_assert_lines(w.map, 2, " forward ",
		"forward accept all 0.0.0.0/0 -> 192.0.2.0/32 dynamic example.net p2 ()\n"
		"forward accept all 100.64.0.1/32 -> 192.0.2.0/32 dynamic *.example.org,app.example.com p2 "
		"()\n");
	world_put(w.map, 1, SIX);
	world_put(w.map, 2, SIX);
	world_assert_lines(w.map, 2, " forward ",
		"forward accept all 0.0.0.0/0 -> 192.0.2.0/32 dynamic example.net p2 ()\n"
		"forward accept all 100.64.0.1/32 -> 192.0.2.0/32 dynamic *.example.org,app.example.com p2 "
		"()\n"
		"forward accept all ::/0 -> 192.0.2.0/32 dynamic example.net p2 ()\n"
		"forward accept all fd00::1/128 -> 192.0.2.0/32 dynamic *.example.org,app.example.com p2 "
		"()\n");
	done(&w);
}

static void an_ipv6_network_is_for_those_with_ipv6(void **state)
{
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}]\n"
		"routes: [{name: six, network: 'fd55::/64', routers: [p2, p3], to: [All]}, "
		"{name: exit, network: '0.0.0.0/0', routers: [p3], to: [All]}]\n", 2, SIX);

	world_put(w.map, 3, NEW);
	world_put(w.map, 4, NEW);
	/* p3 cannot carry it; but without ::/0 the laptop's IPv6 would go past the exit node */
	world_assert_lines(w.map, 1, " route ", "route exit 0.0.0.0/0 type 1 by p3 metric 9999 masq p3\n"
		"route exit-v6 ::/0 type 2 by p3 metric 9999 masq p3-v6-default\n"
		"route six fd55::/64 type 2 by p2 metric 9999 masq p2\n");
	world_assert_lines(w.map, 4, " route ", "route exit 0.0.0.0/0 type 1 by p3 metric 9999 masq p3\n");
	world_assert_lines(w.map, 2, " forward ", "forward accept all ::/0 -> fd55::/64 p2 ()\n");
	world_assert_lines(w.map, 3, " forward route ", "forward accept all 0.0.0.0/0 -> 0.0.0.0/0 p3 ()\n"
		"route exit 0.0.0.0/0 type 1 by p3 metric 9999 masq p3\n");
	done(&w);
}

static const char networks[] =
	"groups: {a: [p1], b: [p2], web: [], none: []}\n"
	"policies:\n"
	"- {name: web, from: [a], to: [web], protocol: tcp, ports: [443]}\n"
	"- {name: never, from: [b], to: [web], action: drop}\n"
	"networks:\n"
	"- name: home\n"
	"  routers: [p3]\n"
	"  metric: 50\n"
	"  resources:\n"
	"  - {name: gw, network: 192.168.1.220, groups: [web]}\n"
	"  - {name: app, domain: app.example.com, groups: [web]}\n"
	"  - {name: closed, network: 10.0.0.0/8, groups: [none]}\n";

static void resources_are_for_those_whom_a_policy_lets_at_them(void **state)
{
	struct world w = world_of(networks, 4, NEW);

	world_assert_lines(w.map, 1, WORLD_ROUTES WORLD_PEERS WORLD_RULES,
		"peer p3 p3.netbird.selfhosted 100.64.0.3/32\n"
		"route app 192.0.2.0/32 type 3 by p3 metric 50 masq kept p3 app.example.com\n"
		"route gw 192.168.1.220/32 type 1 by p3 metric 50 masq kept p3\n");
	world_assert_lines(w.map, 2, WORLD_ROUTES WORLD_PEERS WORLD_RULES, "");
	world_assert_lines(w.map, 3, WORLD_ROUTES WORLD_PEERS WORLD_RULES,
		"forward accept tcp 100.64.0.1/32 -> 192.0.2.0/32 dynamic 443 app.example.com p3 (web)\n"
		"forward accept tcp 100.64.0.1/32 -> 192.168.1.220/32 443 p3 (web)\n"
		"peer p1 p1.netbird.selfhosted 100.64.0.1/32\n"
		"route app 192.0.2.0/32 type 3 by p3 metric 50 masq kept p3 app.example.com\n"
		"route gw 192.168.1.220/32 type 1 by p3 metric 50 masq kept p3\n");
	done(&w);
}

static void a_policy_that_accepts_wakes_one_that_drops(void **state)
{
	struct world w = world_of("groups: {a: [p1], b: [p1, p2], web: []}\n"
		"policies: [{name: yes, from: [b], to: [web]}, {name: no, from: [a], to: [web], action: "
		"drop}]\n"
		"networks: [{name: n, routers: [p3], resources: [{name: gw, network: 10.0.0.1, groups: "
		"[web]}]}]\n",
		3, NEW);

	world_assert_lines(w.map, 3, " forward ",
		"forward accept all 100.64.0.1/32,100.64.0.2/32 -> 10.0.0.1/32 p3 (yes)\n"
		"forward drop all 100.64.0.1/32 -> 10.0.0.1/32 p3 (no)\n");
	done(&w);
}

static void put_expired(struct hubmap *map, unsigned int n, bool is_expired)
{
	struct world_names names;
	struct hubmap_peer peer = world_peer(n, NEW, &names);

	peer.is_expired = is_expired;
	assert_int_equal(hubmap_put(map, &peer), 0);
}

static void whose_login_has_expired_is_offline(void **state)
{
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}, "
		"{name: no, from: [All], to: [All], protocol: icmp, action: drop}]\n"
		"routes: [{name: lan, network: 10.0.0.0/8, routers: [p1, p2], to: [All]}]\n", 3, NEW);
	uint8_t one[KEY_LEN], two[KEY_LEN];
	char *text;

	put_expired(w.map, 2, true);
	world_key(1, one);
	world_key(2, two);
	assert_false(hubmap_may_talk(w.map, one, two));
	world_assert_lines(w.map, 3, WORLD_PEERS WORLD_ROUTES " in ",
		"in accept all 0.0.0.0 /0 (all)\nin drop icmp 100.64.0.1 /32 (no)\n"
		"offline p2 p2.netbird.selfhosted 100.64.0.2/32\npeer p1 p1.netbird.selfhosted "
		"100.64.0.1/32\n"
		"route lan 10.0.0.0/8 type 1 by p1 metric 9999 masq p1\n");
	text = world_text(w.map, 2);
	assert_string_equal(text, "dns 1 port 22054\n"
		"name netbird.selfhosted. p2.netbird.selfhosted A 100.64.0.2\n"
		"self 100.64.0.2/16 p2.netbird.selfhosted\n");
	free(text);
	put_expired(w.map, 2, false);
	assert_true(hubmap_may_talk(w.map, one, two));
	world_assert_lines(w.map, 3, " offline ", "");
	done(&w);
}

static void nameservers_go_to_their_groups_but_not_to_themselves(void **state)
{
	struct world w = world_of("domain: mesh.example\ngroups: {a: [p1, p2]}\n"
		"nameservers: [{name: home, servers: [100.64.0.2, '9.9.9.9:5353'], domains: [corp.example], "
		"search: true, to: [a]}, {name: net, servers: ['2620:fe::fe'], to: [All]}]\n", 3, NEW);

	world_assert_lines(w.map, 1, " nameservers ", "nameservers primary 2620:fe::fe:53/1\n"
		"nameservers search 100.64.0.2:53/1 9.9.9.9:5353/1 corp.example\n");
	world_assert_lines(w.map, 2, " nameservers ", "nameservers primary 2620:fe::fe:53/1\n");
	world_assert_lines(w.map, 3, " nameservers name ",
		"name mesh.example. p3.mesh.example A 100.64.0.3\n"
		"nameservers primary 2620:fe::fe:53/1\n");
	done(&w);
}

static void the_login_answer_has_the_same_peer_config(void **state)
{
	struct world w = world_of("domain: mesh.example\n", 1, SIX);
	struct cidr network = { .family = AF_INET, .prefixlen = 10 }, network6 = { .family = AF_INET6,
		.prefixlen = 80 };
	uint8_t key[KEY_LEN], *bytes;
	Management__PeerConfig *config;
	Management__NetworkMap *map;
	size_t len;

	hubmap_set_networks(w.map, &network, &network6);
	world_key(1, key);
	assert_int_equal(hubmap_write_config(w.map, key, &bytes, &len), 0);
	config = management__peer_config__unpack(NULL, len, bytes);
	assert_non_null(config);
	assert_string_equal(config->address, "100.64.0.1/10");
	assert_string_equal(config->fqdn, "p1.mesh.example");
	assert_int_equal(config->address_v6.len, 17);
	assert_int_equal(config->address_v6.data[16], 80);
	assert_non_null(config->ssh_config);
	assert_false(config->ssh_config->ssh_enabled);
	assert_string_equal(config->auto_update->version, "disabled");
	map = world_write(w.map, 1);
	assert_int_equal(management__peer_config__get_packed_size(map->peer_config), len);
	management__network_map__free_unpacked(map, NULL);
	management__peer_config__free_unpacked(config, NULL);
	free(bytes);
	world_key(9, key);
	assert_int_equal(hubmap_write_config(w.map, key, &bytes, &len), -ENOENT);
	assert_int_equal(hubmap_write(w.map, key, 1, &bytes, &len), -ENOENT);
	done(&w);
}

/* The mesh of the recordings at their last step. */
static const char recorded[] =
	"groups: {laptops: [lap], routers: [node], gateways: [], pods: []}\n"
	"policies:\n"
	"- {name: web, from: [laptops], to: [routers], protocol: tcp, ports: [80, 443]}\n"
	"- {name: udp, from: [laptops], to: [routers], protocol: udp, ports: [8000-8100]}\n"
	"- {name: ping, from: [laptops], to: [routers], protocol: icmp, both-ways: true}\n"
	"- {name: no-ssh, from: [laptops], to: [routers], protocol: tcp, ports: [22], action: drop}\n"
	"- {name: gw, from: [laptops], to: [gateways], protocol: tcp, ports: [80]}\n"
	"routes:\n"
	"- {name: lan, network: 192.168.1.0/24, routers: [node], to: [All]}\n"
	"- {name: pods, network: 10.50.0.0/16, routers: [node], to: [laptops], access: [gateways], metric: "
	"50, "
	"masquerade: false}\n"
	"- {name: dom, domains: [app.example.test], routers: [node], to: [All], metric: 50, "
	"keep-addresses: true}\n"
	"networks: [{name: n, routers: [node], metric: 100, resources: [{name: gw, network: 192.168.1.220, "
	"groups: [gateways]}]}]\n"
	"nameservers: [{name: dns, servers: [192.168.1.53], domains: [cluster.example], to: [All]}]\n";

static void put_recorded(struct hubmap *map, const char *name, const char *key, const char *ssh_key,
	const char *ip)
{
	struct hubmap_peer peer = { .name = name, .version = "development", .ssh_key = ssh_key };

	netbird_key(key, peer.key);
	assert_int_equal(inet_pton(AF_INET, ip, &peer.address), 1);
	assert_int_equal(hubmap_put(map, &peer), 0);
}

static void drop_lines(char *text, const char *with)
{
	for (char *at; (at = strstr(text, with)); ) {
		char *end = strchr(at, '\n') + 1;

		while (at > text && at[-1] != '\n')
			at--;
		memmove(at, end, strlen(end) + 1);
	}
}

static void cut(char *text, const char *what)
{
	for (char *at; (at = strstr(text, what)); )
		memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
}

static void assert_as_recorded(struct hubmap *map, const char *name, const char *key_text)
{
	uint8_t key[KEY_LEN], *bytes, *ours;
	Management__SyncResponse *sync;
	Management__NetworkMap *written;
	char path[128], *is, *want;
	size_t len, our_len;

	snprintf(path, sizeof(path), "management/%s.bin", name);
	bytes = netbird_read(path, &len);
	sync = management__sync_response__unpack(NULL, len, bytes);
	assert_non_null(sync);
	want = world_text_of(sync->network_map);
	netbird_key(key_text, key);
	assert_int_equal(hubmap_write(map, key, sync->network_map->serial, &ours, &our_len), 0);
	world_check(ours, our_len, key);
	written = management__network_map__unpack(NULL, our_len, ours);
	assert_int_equal(written->serial, sync->network_map->serial);
	is = world_text_of(written);
	/* what keeps addresses is said of domains alone; and no IPv6 to those who cannot */
	cut(want, " kept");
	cut(is, " kept");
	drop_lines(want, "::/0");
	assert_string_equal(is, want);
	management__network_map__free_unpacked(written, NULL);
	management__sync_response__free_unpacked(sync, NULL);
	free(ours);
	free(bytes);
	free(is);
	free(want);
}

static void maps_are_those_that_netbird_sends(void **state)
{
	static const char node_ssh[] =
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICYZKJ/v3YDac1Xw784zZIs9FQjsOoNo/pqk1nV0EFRa";
	static const char lap_ssh[] =
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAn79QdsHAHoUEPe0LRFPBkT++glQquxuI158i7bVEJa";
	struct world w = world_of(recorded, 0, OLD);

	world_hides_ids = true;
	put_recorded(w.map, "node", NODE_PUBLIC, node_ssh, "100.119.2.172");
	put_recorded(w.map, "lap", LAP_PUBLIC, lap_ssh, "100.119.120.223");
	assert_as_recorded(w.map, "node-026-received-SyncResponse-domain-route", NODE_PUBLIC);
	assert_as_recorded(w.map, "lap-024-received-SyncResponse-domain-route", LAP_PUBLIC);
	world_hides_ids = false;
	done(&w);
}

static unsigned int take_marks(struct hubmap *map, char *text)
{
	unsigned int count = 0;
	uint8_t key[KEY_LEN];
	bool are[64] = {};

	while (hubmap_next_marked(map, key)) {
		assert_false(are[key[0]]);
		are[key[0]] = true;
		count++;
	}
	*text = '\0';
	for (unsigned int n = 0; n < COUNT(are); n++)
		if (are[n])
			text += sprintf(text, " %u", n);
	return count;
}

static void assert_marks(struct hubmap *map, const char *want)
{
	char text[256];

	take_marks(map, text);
	assert_string_equal(text, want);
}

static void a_change_marks_those_who_see_it(void **state)
{
	struct world w = world_of("groups: {a: [p1, p2], b: [p3, p4], c: [p5, p6], lan: [p7]}\n"
		"policies: [{name: one, from: [a], to: [b]}, {name: two, from: [c], to: [c]}, "
		"{name: no, from: [a], to: [c], action: drop}, {name: lan, from: [a], to: [lan]}]\n"
		"routes: [{name: lan, network: 10.0.0.0/8, routers: [p7], to: [a]}]\n", 8, NEW);
	struct world_names names;
	struct hubmap_peer peer;
	const char *group = "b";
	uint8_t key[KEY_LEN];

	assert_marks(w.map, " 1 2 3 4 5 6 7 8");
	peer = world_peer(1, NEW, &names);
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	assert_marks(w.map, "");
	peer.version = "0.77.2";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	assert_marks(w.map, "");
	peer.ssh_key = "ssh-ed25519 AAAA";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	assert_marks(w.map, " 1 3 4 7");
	peer.reads_prefixes = false;
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	assert_marks(w.map, " 1");
	/* p5 now is in b too: those of a hear of it, those of c do not */
	peer = world_peer(5, NEW, &names);
	peer.groups = &group;
	peer.group_count = 1;
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	assert_marks(w.map, " 1 2 5");
	world_assert_lines(w.map, 5, " in ", "in accept all 100.64.0.1 /32 (one)\n"
		"in accept all 100.64.0.2 /32 (one)\nin accept all 100.64.0.6 /32 (two)\n"
		"in drop all 100.64.0.1 /32 (no)\nin drop all 100.64.0.2 /32 (no)\n");
	peer.is_expired = true;
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	assert_marks(w.map, " 1 2 5 6");
	world_key(7, key);
	assert_int_equal(hubmap_remove(w.map, key), 0);
	assert_marks(w.map, " 1 2");
	assert_int_equal(hubmap_remove(w.map, key), -ENOENT);
	world_key(8, key);
	assert_int_equal(hubmap_remove(w.map, key), 0);
	assert_marks(w.map, "");
	done(&w);
}

static void put_in_group(struct hubmap *map, unsigned int n, const char *group)
{
	struct world_names names;
	struct hubmap_peer peer = world_peer(n, NEW, &names);

	peer.groups = &group;
	peer.group_count = 1;
	assert_int_equal(hubmap_put(map, &peer), 0);
}

static void who_begins_to_route_is_no_longer_served_by_its_like(void **state)
{
	struct world w = world_of("groups: {routers: [], laptops: [p1, p3], first: [p2]}\n"
		"policies: [{name: in, from: [first], to: [laptops], protocol: icmp}]\n"
		"routes: [{name: lan, network: 10.0.0.0/8, routers: {groups: [routers]}, to: [laptops]}, "
		"{name: lan, network: 10.0.0.0/8, routers: [p2], to: [laptops], metric: 1}]\n", 4, NEW);

	world_assert_lines(w.map, 2, " forward ",
		"forward accept all 100.64.0.1/32,100.64.0.3/32 -> 10.0.0.0/8 p2 ()\n");
	assert_marks(w.map, " 1 2 3 4");
	put_in_group(w.map, 1, "routers");
	assert_marks(w.map, " 1 2");
	world_assert_lines(w.map, 2, " forward ", "forward accept all 100.64.0.3/32 -> 10.0.0.0/8 p2 ()\n");
	put_in_group(w.map, 1, "unknown");
	assert_marks(w.map, " 1 2");
	done(&w);
}

static void another_file_marks_whom_it_touches(void **state)
{
	static const char *const files[] = {
		"groups: {a: [p1, p2], b: [p3], c: [p4]}\npolicies: [{name: one, from: [a], to: [b]}, "
			"{name: two, from: [c], to: [c]}]\n",
		/* the same in another order */
		"groups: {c: [p4], b: [p3], a: [p2, p1]}\npolicies: [{name: two, from: [c], to: [c]}, "
			"{name: one, from: [a], to: [b]}]\n",
		/* p5 comes to c */
		"groups: {c: [p4, p5], b: [p3], a: [p2, p1]}\npolicies: [{name: two, from: [c], to: [c]}, "
			"{name: one, from: [a], to: [b]}]\n",
		/* one gets a port */
		"groups: {c: [p4, p5], b: [p3], a: [p2, p1]}\npolicies: [{name: two, from: [c], to: [c]}, "
			"{name: one, from: [a], to: [b], protocol: tcp, ports: [1]}]\n",
		/* two is gone */
		"groups: {c: [p4, p5], b: [p3], a: [p2, p1]}\npolicies: ["
			"{name: one, from: [a], to: [b], protocol: tcp, ports: [1]}]\n",
		"domain: x.example\ngroups: {c: [p4, p5], b: [p3], a: [p2, p1]}\npolicies: ["
			"{name: one, from: [a], to: [b], protocol: tcp, ports: [1]}]\n",
		"domain: x.example\ngroups: {c: [p4, p5], b: [p3], a: [p2, p1]}\npolicies: ["
			"{name: one, from: [a], to: [b], protocol: tcp, ports: [1]}]\n"
			"nameservers: [{name: n, servers: [9.9.9.9], to: [a]}]\n",
	};
	static const char *const marks[] = { " 1 2 3 4 5", "", " 4 5", " 1 2 3", " 4 5", " 1 2 3 4 5",
		" 1 2 3 4 5" };
	struct world w = world_of(files[0], 5, NEW);

	assert_marks(w.map, marks[0]);
	for (size_t i = 1; i < COUNT(files); i++) {
		struct hubfile *file = world_file(files[i]);

		assert_int_equal(hubmap_use(w.map, file), 0);
		hubfile_free(w.file);
		w.file = file;
		assert_marks(w.map, marks[i]);
	}
	world_assert_lines(w.map, 1, WORLD_PEERS " self ", "peer p3 p3.x.example 100.64.0.3/32\n"
		"self 100.64.0.1/16 p1.x.example\n");
	done(&w);
}

/* A host name is what the peer says of itself: it gets nobody's place. */
static void a_name_belongs_to_the_first_who_has_it(void **state)
{
	struct world w = world_of("groups: {admins: [boss], b: [p9]}\npeers: {boss: {groups: [b]}}\n"
		"policies: [{name: in, from: [admins], to: [All], protocol: tcp, ports: [22]}]\n", 1, NEW);
	struct world_names names;
	struct hubmap_peer peer = world_peer(2, NEW, &names);
	uint8_t key[KEY_LEN];

	peer.hostname = "Boss";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	world_assert_lines(w.map, 1, " in ", "in accept tcp 100.64.0.2 22 /32 (in)\n");
	peer = world_peer(3, NEW, &names);
	peer.hostname = peer.name = "boss";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	world_assert_lines(w.map, 1, " in ", "in accept tcp 100.64.0.2 22 /32 (in)\n");
	/* when it is gone, the name is the next one's, and whose maps that changes hear of it */
	world_key(2, key);
	while (hubmap_next_marked(w.map, key))
		;
	world_key(2, key);
	assert_int_equal(hubmap_remove(w.map, key), 0);
	world_assert_lines(w.map, 1, " in ", "in accept tcp 100.64.0.3 22 /32 (in)\n");
	assert_marks(w.map, " 1 3");
	/* one who is called otherwise gives it back */
	peer.hostname = peer.name = "clerk";
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	world_assert_lines(w.map, 1, WORLD_RULES WORLD_PEERS, "");
	done(&w);
}

static void a_public_key_names_its_peer(void **state)
{
	char text[KEY_BASE64_LEN + 1], yaml[512];
	uint8_t key[KEY_LEN];
	struct world w;

	world_key(2, key);
	key_to_base64(key, text);
	snprintf(yaml, sizeof(yaml), "groups: {a: ['%s'], b: []}\npeers: {'%s': {groups: [b]}}\n"
		"policies: [{name: x, from: [a], to: [All], protocol: icmp}, {name: y, from: [b], to: "
		"[All]}]\n",
		text, text);
	w = world_of(yaml, 2, NEW);
	world_assert_lines(w.map, 1, " in ", "in accept all 100.64.0.2 /32 (y)\n"
		"in accept icmp 100.64.0.2 /32 (x)\n");
	done(&w);
}

static void note(void *ctx, const struct hubmap_conflict *conflict)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%u: %s%s\n", conflict->line, conflict->is_guess ? "warning: " : "",
		conflict->text);
}

static void conflicts_are_named(void **state)
{
	static const char yaml[] = "groups: {a: [p1], b: [p2], none: [], web: []}\n"
		"policies: [{name: p, from: [none], to: [a]}, {name: q, from: [a], to: [none]}, "
		"{name: r, from: [a], to: [web]}, {name: s, from: [b], to: [a]}]\n"
		"routes:\n"
		"- {name: far, network: 10.9.0.0/16, routers: [p3], to: [a, b]}\n"
		"- {name: alone, network: 10.8.0.0/16, routers: [p1, p2], to: [a, b]}\n"
		"- {name: lan, network: 10.0.0.0/8, routers: [p1], to: [a]}\n"
		"- {name: lan, network: 10.0.0.0/8, routers: [p2], to: [a], metric: 1}\n"
		"- {name: other, network: 10.0.0.0/8, routers: [p2], to: [a]}\n"
		"- {name: LAN, network: 10.1.0.0/16, routers: {groups: [none]}, to: [a]}\n"
		"- {name: shut, network: 10.2.0.0/16, routers: [p2], to: [a], access: [none]}\n"
		"- {name: never, network: 10.3.0.0/16, routers: [p2], to: [a], access: [web, none]}\n"
		"networks:\n"
		"- name: n\n"
		"  routers: [p2]\n"
		"  resources: [{name: lan, network: 10.4.0.0/16, groups: [web]}, {name: lost, domain: "
		"x.example}]\n";
	struct world w = world_of(yaml, 3, NEW);
	char text[4096] = "";

	hubmap_conflicts(w.map, note, text);
	assert_string_equal(text,
		"8: 10.0.0.0/8 is routed as \"lan\" and as \"other\" with the same metric 9999: which of "
		"them "
		"a client "
		"takes is left to chance; give one name to routers that stand in for each other, or two "
		"metrics\n"
		"9: the names \"lan\" (10.0.0.0/8) and \"LAN\" (10.1.0.0/16) differ in capitals only\n"
		"15: \"lan\" is the name of a route (10.0.0.0/8) and of a resource (10.4.0.0/16): clients "
		"select them "
		"together\n"
		"9: the names \"lan\" (10.0.0.0/8) and \"LAN\" (10.1.0.0/16) differ in capitals only\n"
		"15: \"lan\" is the name of a route (10.0.0.0/8) and of a resource (10.4.0.0/16): clients "
		"select them "
		"together\n"
		"15: the names \"LAN\" (10.1.0.0/16) and \"lan\" (10.4.0.0/16) differ in capitals only\n"
		"2: policy \"p\": nobody is in the groups of from, so it has no effect\n"
		"4: route \"far\" (10.9.0.0/16): no policy that accepts brings those of to together with a "
		"router, so nobody gets it\n"
		"9: route \"LAN\" (10.1.0.0/16) has no router: nobody can use it\n"
		"15: resource \"lost\": no policy that accepts has one of its groups in to, so nobody gets "
		"it\n");
	done(&w);
	/* a file alone: who will be in a group is not known yet */
	w = world_of(yaml, 0, NEW);
	*text = '\0';
	hubmap_conflicts(w.map, note, text);
	assert_null(strstr(text, "nobody is in"));
	assert_null(strstr(text, "has no router"));
	assert_non_null(strstr(text, "\n4: warning: route \"far\" (10.9.0.0/16): by the groups and keys of "
		"this "
		"file, no policy "));
	assert_non_null(strstr(text, "\n5: warning: route \"alone\""));	/* but for its routers */
	assert_null(strstr(text, "warning: route \"other\""));
	done(&w);
	w = world_of("policies: [{name: no, from: [All], to: [All], action: drop}]\n" ROUTED, 0, NEW);
	*text = '\0';
	hubmap_conflicts(w.map, note, text);
	assert_string_equal(text,
		"4: route \"lan\" (192.168.1.0/24): no policy that accepts brings those of to together with "
		"a router, so nobody gets it\n"
		"5: route \"lan\" (192.168.1.0/24): no policy that accepts brings those of to together with "
		"a router, so nobody gets it\n");
	done(&w);
}

/* Nobody has joined: which groups a peer may come to have, the file alone says. */
static const struct {
	const char *file;		/* groups, keys, peers, sign-in; the policy and route are as below */
	bool is_reachable;
} prospects[] = {
	{ "groups: {laps: [lap], nodes: [node], others: [other]}\n", false },
	{ "groups: {laps: [lap], nodes: [node], others: [lap]}\n", true },
	{ "groups: {laps: [lap], nodes: [x], others: [lap]}\n", false },
	/* by name there, by key here: it may be the same */
	{ "groups: {laps: [lap], nodes: [node], others: ['" PROSPECT_KEY "']}\n", true },
	{ "groups: {laps: ['" PROSPECT_KEY "'], nodes: [node], others: ['" PROSPECT_KEY "']}\n", true },
	{ "groups: {laps: [], nodes: [node], others: []}\nkeys: {one: {hash: " PROSPECT_HASH ", groups: "
	  "laps}, "
	  "two: {hash: " PROSPECT_HASH2 ", groups: others}}\n", false },
	{ "groups: {laps: [], nodes: [node], others: []}\nkeys: {one: {hash: " PROSPECT_HASH ", groups: "
	  "[laps, others]}}\n", true },
	/* he may join with that key */
	{ "groups: {laps: [lap], nodes: [node], others: []}\nkeys: {one: {hash: " PROSPECT_HASH ", groups: "
	  "others}}\n", true },
	{ "groups: {laps: [], nodes: [node], others: []}\npeers: {lap: {groups: [laps, others]}}\n", true },
	{ "groups: {laps: [], nodes: [node], others: [other]}\npeers: {lap: {groups: [laps]}}\n", false },
	{ "groups: {laps: {sign-in: [a]}, nodes: [node], others: {sign-in: [b]}}\nsign-in: {issuer: "
	  "'https://id.example.com', client-id: x}\n", true },
	{ "groups: {laps: {sign-in: [a]}, nodes: [node], others: []}\nsign-in: {issuer: "
	  "'https://id.example.com', client-id: x, groups: others}\n", true },
	{ "groups: {laps: [], nodes: [node], others: []}\nkeys: {one: {hash: " PROSPECT_HASH ", groups: "
	  "laps}}\n"
	  "sign-in: {issuer: 'https://id.example.com', client-id: x, groups: others}\n", false },
};

static void a_route_that_nobody_can_come_to_is_warned_of(void **state)
{
	for (size_t i = 0; i < COUNT(prospects); i++) {
		for (int is_reverse = 0; is_reverse < 2; is_reverse++) {
			char yaml[1024], text[1024] = "";
			struct world w;

			snprintf(yaml, sizeof(yaml), "%spolicies:\n- {name: p, from: %s, to: %s}\nroutes:\n"
				"- {name: lan, network: 10.0.0.0/8, routers: node, to: laps}\n",
				prospects[i].file, is_reverse ? "nodes" : "others",
				is_reverse ? "others" : "nodes");
			w = world_of(yaml, 0, NEW);
			hubmap_conflicts(w.map, note, text);
			if (!strstr(text, "warning: route \"lan\" (10.0.0.0/8): by the groups and keys of "
				"this "
				"file, no policy that accepts brings those of to together with a router, so "
				"nobody gets it\n") != prospects[i].is_reachable)
				fail_msg("%s%s", yaml, text);
			done(&w);
		}
	}
}

static void what_cannot_be_taken_changes_nothing(void **state)
{
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}]\n", 1, NEW);
	struct hubmap_peer peer = {};

	assert_int_equal(hubmap_put(w.map, &peer), -EINVAL);
	peer.name = "";
	assert_int_equal(hubmap_put(w.map, &peer), -EINVAL);
	peer.name = "a b";
	assert_int_equal(hubmap_put(w.map, &peer), -EINVAL);
	peer.name = "a234567890123456789012345678901234567890123456789012345678901234";
	assert_int_equal(hubmap_put(w.map, &peer), -EINVAL);
	world_assert_lines(w.map, 1, WORLD_PEERS, "");
	done(&w);
}

/* A client refuses a whole map for one text that is not UTF-8. */
static void what_a_peer_says_of_itself_spoils_no_map(void **state)
{
	struct world w = world_of("policies: [{name: all, from: [All], to: [All]}]\n", 1, NEW);
	char version[200] = "0.77.1\xff\n", ssh_key[5000] = "ssh-ed25519 ";
	struct world_names names;
	struct hubmap_peer peer = world_peer(2, NEW, &names);
	Management__NetworkMap *map;

	memset(version + 8, 'x', sizeof(version) - 9);
	memset(ssh_key + 12, 'A', sizeof(ssh_key) - 13);
	peer.version = version;
	peer.ssh_key = ssh_key;
	assert_int_equal(hubmap_put(w.map, &peer), 0);
	map = world_write(w.map, 1);
	assert_int_equal(map->n_remote_peers, 1);
	assert_int_equal(strncmp(map->remote_peers[0]->agent_version, "0.77.1\?\?xxx", 11), 0);
	assert_int_equal(strlen(map->remote_peers[0]->agent_version), 64);
	assert_int_equal(map->remote_peers[0]->ssh_config->ssh_pub_key.len, 0);
	management__network_map__free_unpacked(map, NULL);
	done(&w);
}

static void thousands_find_their_place(void **state)
{
	struct world w = world_of("groups: {a: [p700], b: [p701]}\n"
		"policies: [{name: all, from: [a], to: [b]}]\n", 1000, SIX);
	uint8_t one[KEY_LEN], other[KEY_LEN];

	world_key(700, one);
	world_key(701, other);
	assert_true(hubmap_may_talk(w.map, one, other));
	assert_true(hubmap_may_talk(w.map, other, one));
	assert_true(hubmap_may_talk(w.map, one, one));
	for (unsigned int n = 1; n <= 1000; n++)
		if (n != 700 && n != 701) {
			world_key(n, other);
			assert_false(hubmap_may_talk(w.map, one, other));
		}
	world_key(2000, other);
	assert_false(hubmap_may_talk(w.map, one, other));
	world_assert_lines(w.map, 700, WORLD_PEERS,
		"peer p701 p701.netbird.selfhosted 100.64.2.189/32 fd00::2bd/128\n");
	done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_becomes_its_rules),
		cmocka_unit_test(what_drops_comes_before_what_accepts),
		cmocka_unit_test(a_peer_alone_has_empty_lists),
		cmocka_unit_test(old_clients_get_no_prefixes_and_no_ipv6),
		cmocka_unit_test(a_client_that_cannot_read_ranges_is_never_given_too_much),
		cmocka_unit_test(a_route_lets_nobody_know_anybody),
		cmocka_unit_test(a_route_comes_through_those_whom_a_policy_lets_know),
		cmocka_unit_test(ids_stay_with_the_route_and_are_the_rules_too),
		cmocka_unit_test(packets_of_others_than_peers_are_not_let_in_by_a_rule_for_all),
		cmocka_unit_test(access_groups_limit_who_may_use_a_route),
		cmocka_unit_test(domains_are_of_both_families),
		cmocka_unit_test(an_ipv6_network_is_for_those_with_ipv6),
		cmocka_unit_test(resources_are_for_those_whom_a_policy_lets_at_them),
		cmocka_unit_test(a_policy_that_accepts_wakes_one_that_drops),
		cmocka_unit_test(whose_login_has_expired_is_offline),
		cmocka_unit_test(nameservers_go_to_their_groups_but_not_to_themselves),
		cmocka_unit_test(the_login_answer_has_the_same_peer_config),
		cmocka_unit_test(maps_are_those_that_netbird_sends),
		cmocka_unit_test(a_change_marks_those_who_see_it),
		cmocka_unit_test(who_begins_to_route_is_no_longer_served_by_its_like),
		cmocka_unit_test(another_file_marks_whom_it_touches),
		cmocka_unit_test(a_name_belongs_to_the_first_who_has_it),
		cmocka_unit_test(a_public_key_names_its_peer),
		cmocka_unit_test(conflicts_are_named),
		cmocka_unit_test(a_route_that_nobody_can_come_to_is_warned_of),
		cmocka_unit_test(what_cannot_be_taken_changes_nothing),
		cmocka_unit_test(what_a_peer_says_of_itself_spoils_no_map),
		cmocka_unit_test(thousands_find_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
