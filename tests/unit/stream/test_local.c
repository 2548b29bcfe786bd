// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which connections have lost their address, as the host's addresses change: a table. Sockets are real, the
// host's list is the test's.
#include <ifaddrs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>

/* What the host has now: words, or NULL for a list that cannot be read. */
static const char *host;

static int fake_getifaddrs(struct ifaddrs **ret)
{
	char *words, *save = NULL;

	*ret = NULL;
	if (!host)
		return -1;
	words = strdup(host);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct ifaddrs *at = calloc(1, sizeof(*at));
		struct sockaddr_in6 *addr = calloc(1, sizeof(*addr));

		if (strchr(word, ':')) {
			addr->sin6_family = AF_INET6;
			assert_int_equal(inet_pton(AF_INET6, word, &addr->sin6_addr), 1);
		} else {
			addr->sin6_family = AF_INET;
			assert_int_equal(inet_pton(AF_INET, word,
				&((struct sockaddr_in *)addr)->sin_addr), 1);
		}
		*at = (struct ifaddrs){ .ifa_next = *ret, .ifa_addr = (struct sockaddr *)addr };
		*ret = at;
	}
	free(words);
	return 0;
}

static void fake_freeifaddrs(struct ifaddrs *list)
{
	while (list) {
		struct ifaddrs *next = list->ifa_next;

		free(list->ifa_addr);
		free(list);
		list = next;
	}
}

#define getifaddrs fake_getifaddrs
#define freeifaddrs fake_freeifaddrs
#include "stream/local.c"

static int socket_at(int family, const char *text)
{
	struct sockaddr_in6 at = { .sin6_family = family };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (family == AF_INET6)
		assert_int_equal(inet_pton(AF_INET6, text, &at.sin6_addr), 1);
	else
		assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&at)->sin_addr), 1);
	assert_int_equal(bind(fd, (void *)&at, family == AF_INET ? sizeof(struct sockaddr_in)
		: sizeof(at)), 0);
	return fd;
}

static void only_what_was_there_and_went_is_gone(void **state)
{
	static const struct {
		const char *before, *after;
		bool is_changed, is_gone;	/* 127.0.0.1, of the socket */
	} rows[] = {
		{ "127.0.0.1 192.0.2.1", "127.0.0.1 192.0.2.1", false, false },
		{ "127.0.0.1 192.0.2.1", "192.0.2.1 127.0.0.1", false, false },
		{ "127.0.0.1", "127.0.0.1 127.0.0.1", false, false },
		{ "127.0.0.1", "127.0.0.1 192.0.2.1", true, false },	/* one more */
		{ "127.0.0.1 192.0.2.1", "127.0.0.1", true, false },	/* another one went */
		{ "127.0.0.1 192.0.2.1", "192.0.2.1", true, true },
		{ "127.0.0.1", "192.0.2.1", true, true },
		/* never ours: any local route may have given it */
		{ "192.0.2.1", "192.0.2.2", true, false },
		{ "192.0.2.1", "", true, false },
		{ "127.0.0.1 2001:db8::1", "127.0.0.1", true, false },
		{ "127.0.0.1 fe80::1", "127.0.0.1 fe80::2", false, false },	/* a container's link */
		{ "127.0.0.1", NULL, false, false },
	};
	int fd = socket_at(AF_INET, "127.0.0.1");
	char text[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		local_done();
		host = rows[i].before;
		local_refresh();
		assert_false(local_is_gone(fd, text, sizeof(text)));
		host = rows[i].after;
		assert_int_equal(local_refresh(), rows[i].is_changed);
		assert_int_equal(local_is_gone(fd, text, sizeof(text)), rows[i].is_gone);
		if (rows[i].is_gone)
			assert_string_equal(text, "127.0.0.1");
	}
	assert_false(local_is_gone(-1, text, sizeof(text)));
	local_done();
	close(fd);
}

static void an_ipv4_address_of_an_ipv6_socket_counts(void **state)
{
	int fd = socket_at(AF_INET6, "::ffff:127.0.0.1");
	char text[64];

	host = "127.0.0.1 ::1";
	local_refresh();
	host = "::1";
	assert_true(local_refresh());
	assert_true(local_is_gone(fd, text, sizeof(text)));
	assert_string_equal(text, "127.0.0.1");
	host = "127.0.0.1 ::1";	/* it is back: what is connected now is from a living one */
	assert_true(local_refresh());
	assert_false(local_is_gone(fd, text, sizeof(text)));
	local_done();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_there_and_went_is_gone),
		cmocka_unit_test(an_ipv4_address_of_an_ipv6_socket_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
