// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The anonymizer against vectors of its own: what is replaced at which level, by what, and what stays.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bundle/anonymize.h"

#define KEY_A	"t2jdbmCTRoKPfSWT60kMw6cb489FDlef+jvoS1qvAz8="
#define KEY_B	"6lEjxx/OmY3Plm6G09SS0Max6H4VbVtSsHstyK7Wmjc="

static char *write_through(struct anon *anon, const char *text)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_int_equal(anon_write(anon, text, strlen(text), f), 0);
	fclose(f);
	return out;
}

static void assert_becomes(struct anon *anon, const char *text, const char *expected)
{
	char *out = write_through(anon, text);

	if (strcmp(out, expected))
		fail_msg("'%s' became '%s', expected '%s'", text, out, expected);
	free(out);
}

static struct anon *at_level(enum anon_level level)
{
	struct anon *anon;

	assert_int_equal(anon_new(level, &anon), 0);
	return anon;
}

/* Each case by an anonymizer of its own. */
static void each_kind_at_each_level(void **state)
{
	static const struct {
		const char *text, *at_default, *at_strict;	/* NULL: as it is */
	} cases[] = {
		/* IPv4: public; private, shared, link-local; nobody's */
		{ "203.0.113.7", "198.51.100.0", "198.51.100.0" },
		{ "203.0.113.7:51820, 203.0.113.0/24.", "198.51.100.0:51820, 198.51.100.1/24.",
			"198.51.100.0:51820, 198.51.100.1/24." },
		{ "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 169.254.1.1", NULL,
			"198.18.0.0 198.18.0.1 198.18.0.2 198.18.0.3 198.18.0.4 198.18.0.5" },
		{ "172.32.0.1 100.128.0.1 11.0.0.1", "198.51.100.0 198.51.100.1 198.51.100.2",
			"198.51.100.0 198.51.100.1 198.51.100.2" },
		{ "0.0.0.0/0 127.0.0.1 224.0.0.1 255.255.255.0 240.0.0.1 8.8.8.8 128.0.0.0/1", NULL, NULL },
		{ "1.2.3 1.2.3.4.5 1.2.3.256 v1.2.3.4 1.2.3.4a", NULL, NULL },
		{ "10.0.0.1-10.0.0.9", NULL, "198.18.0.0-198.18.0.1" },
		/* IPv6: public, unique local, link-local; nobody's */
		{ "2a01:4f8::1", "2001:db8:ffff::", "2001:db8:ffff::" },
		{ "[2a01:4f8::1]:443 2A01:4F8:0::1", "[2001:db8:ffff::]:443 2001:db8:ffff::",
			"[2001:db8:ffff::]:443 2001:db8:ffff::" },
		{ "fd00:1:2::3/64", "2001:db8:ffff::/64", "2001:db8:1::/64" },
		{ "fe80::1%eth0", NULL, "2001:db8:1::%eth0" },
		{ "2a01:4f8::1 fd00::1 2a01:4f8::2", "2001:db8:ffff:: 2001:db8:ffff::1 2001:db8:ffff::2",
			"2001:db8:ffff:: 2001:db8:1:: 2001:db8:ffff::1" },
		{ "::/0 ::1 ff02::1 2001:4860:4860::8888", NULL, NULL },
		{ "::ffff:203.0.113.7", "::ffff:198.51.100.0", "::ffff:198.51.100.0" },
		{ "src:2a01:4f8::2", "src:2001:db8:ffff::", "src:2001:db8:ffff::" },
		{ "12:34:56 std::string a:b", NULL, NULL },
		/* MAC */
		{ "52:54:00:12:34:56 52-54-00-12-34-56", "02:00:00:00:00:01 02-00-00-00-00-01",
			"02:00:00:00:00:01 02-00-00-00-00-01" },
		{ "ff:ff:ff:ff:ff:ff 01:00:5e:00:00:01 00:00:00:00:00:00", NULL, NULL },
		{ "52:54:00:12:34:5", NULL, NULL },
		/* domains */
		{ "example.com", "anon-1.domain", "anon-1.domain" },
		{ "vpn.example.com www.EXAMPLE.com.", "vpn.anon-1.domain www.anon-1.domain.",
			"host-1.anon-1.domain host-2.anon-1.domain." },
		{ "*.example.org", "*.anon-1.domain", "*.anon-1.domain" },
		{ "https://vpn.example.com:443/x", "https://vpn.anon-1.domain:443/x",
			"https://host-1.anon-1.domain:443/x" },
		{ "api.netbird.io signal.netbird.io", NULL, NULL },
		{ "laptop.netbird.cloud", NULL, "host-1.netbird.cloud" },
		{ "notnetbird.cloud", "anon-1.domain", "anon-1.domain" },
		{ "7.113.0.203.in-addr.arpa", "0.100.51.198.in-addr.arpa", "0.100.51.198.in-addr.arpa" },
		{ "113.0.203.in-addr.arpa 8.b.d.0.ip6.arpa", "anon.in-addr.arpa anon.ip6.arpa",
			"anon.in-addr.arpa anon.ip6.arpa" },
		{ "/var/lib/netbird/state.json talon.service net.ipv4.conf.all.forwarding 0.77.1 e.g. "
			"wt0.100",
			NULL, NULL },
		/* keys */
		{ KEY_A " " KEY_B " " KEY_A, NULL, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= "
			"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI= "
			"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=" },
		{ "", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct anon *none = at_level(ANON_NONE), *usual = at_level(ANON_DEFAULT),
			*strict = at_level(ANON_STRICT);

		assert_becomes(none, cases[i].text, cases[i].text);
		assert_becomes(usual, cases[i].text, cases[i].at_default ? cases[i].at_default
			: cases[i].text);
		assert_becomes(strict, cases[i].text, cases[i].at_strict ? cases[i].at_strict
			: cases[i].text);
		anon_free(none);
		anon_free(usual);
		anon_free(strict);
	}
}

static void one_original_has_one_placeholder_in_all_texts(void **state)
{
	struct anon *anon = at_level(ANON_STRICT);

	assert_becomes(anon, "198.51.100.7 203.0.113.7", "198.51.100.0 198.51.100.1");
	assert_becomes(anon, "203.0.113.7 10.0.0.1", "198.51.100.1 198.18.0.0");
	assert_becomes(anon, "10.0.0.2 10.0.0.1 198.51.100.7", "198.18.0.1 198.18.0.0 198.51.100.0");
	for (int i = 0; i < 300; i++) {
		char text[32], expected[32];

		snprintf(text, sizeof(text), "20.0.%d.%d", i / 256, i % 256);
		snprintf(expected, sizeof(expected), "198.51.%d.%d", 100 + (i + 2) / 256, (i + 2) % 256);
		assert_becomes(anon, text, expected);
	}
	anon_free(anon);
}

static void names_of_peers_are_replaced_wherever_they_stand(void **state)
{
	struct anon *anon = at_level(ANON_STRICT);

	assert_int_equal(anon_name(anon, "laptop.mesh.example.com"), 0);
	assert_int_equal(anon_name(anon, "node-7"), 0);
	assert_int_equal(anon_name(anon, "LAPTOP"), 0);
	assert_becomes(anon, "peer laptop: \"node-7\" is relayed; laptop's, Laptop.mesh.example.com, "
		"laptops, node-77",
		"peer peer-1: \"peer-2\" is relayed; peer-1's, peer-1.host-3.anon-1.domain, laptops, "
		"node-77");
	assert_becomes(anon, "node-7.netbird.cloud web.netbird.cloud",
		"peer-2.netbird.cloud host-4.netbird.cloud");
	anon_free(anon);
	anon = at_level(ANON_DEFAULT);
	assert_int_equal(anon_name(anon, "laptop.mesh.example.com"), 0);
	assert_becomes(anon, "laptop laptop.mesh.example.com", "laptop laptop.mesh.anon-1.domain");
	anon_free(anon);
}

static void secrets_are_hidden_at_every_level(void **state)
{
	for (enum anon_level level = ANON_NONE; level <= ANON_STRICT; level++) {
		struct anon *anon = at_level(level);

		assert_int_equal(anon_hide(anon, KEY_A), 0);
		assert_int_equal(anon_hide(anon, "pa ss.w0rd"), 0);
		assert_int_equal(anon_hide(anon, "short"), -EINVAL);
		assert_becomes(anon, "PrivateKey=" KEY_A "; x" KEY_A "y", "PrivateKey=(hidden); x(hidden)y");
		assert_becomes(anon, "is pa ss.w0rd.", "is (hidden).");
		assert_becomes(anon, "key A1B2C3D4-1111-4222-8333-444455556666!", "key (hidden)!");
		assert_becomes(anon, "setup_key_A1B2C3D4-1111-4222-8333-444455556666", "setup_key_(hidden)");
		assert_becomes(anon, "http://user:p%40ss@127.0.0.1:3128/ https://token@127.0.0.1",
			"http://(hidden)@127.0.0.1:3128/ https://(hidden)@127.0.0.1");
		assert_becomes(anon, "http://127.0.0.1/a@b", "http://127.0.0.1/a@b");
		assert_becomes(anon, "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.abc-_123 end",
			"Bearer (hidden) end");
		anon_free(anon);
	}
}

static void levels_have_names(void **state)
{
	assert_int_equal(anon_level_parse(""), ANON_DEFAULT);
	assert_int_equal(anon_level_parse("Default"), ANON_DEFAULT);
	assert_int_equal(anon_level_parse("strict"), ANON_STRICT);
	assert_int_equal(anon_level_parse("whatever"), ANON_STRICT);
	assert_string_equal(anon_level_name(ANON_NONE), "none");
	assert_string_equal(anon_level_name(ANON_STRICT), "strict");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_at_each_level),
		cmocka_unit_test(one_original_has_one_placeholder_in_all_texts),
		cmocka_unit_test(names_of_peers_are_replaced_wherever_they_stand),
		cmocka_unit_test(secrets_are_hidden_at_every_level),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
