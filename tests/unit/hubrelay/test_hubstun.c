// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub's STUN server over the loopback device.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hubrelay/hubrelay.h"
#include "ice/stun.h"

static struct {
	struct loop *loop;
	struct hubstun *stun;
	int fd;
	struct endpoint own;	/* of the client's socket */
} rig;

static const uint8_t tx[STUN_TX_LEN] = "transaction";

/* @from, @to: numeric addresses. */
static void start(const char *listen, const char *from)
{
	struct endpoint at = { .family = strchr(listen, ':') ? AF_INET6 : AF_INET };
	struct sockaddr_storage addr = {};
	socklen_t len = sizeof(addr);
	struct endpoint client = { .family = strchr(from, ':') ? AF_INET6 : AF_INET };
	int ret;

	assert_int_equal(inet_pton(at.family, listen, &at.remote), 1);
	assert_int_equal(inet_pton(client.family, from, &client.remote), 1);
	assert_int_equal(loop_new(&rig.loop), 0);
	ret = hubstun_new(rig.loop, &at, &rig.stun);
	assert_int_equal(ret, 0);
	assert_int_not_equal(hubstun_port(rig.stun), 0);
	rig.fd = socket(client.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = endpoint_to_sockaddr(&client, &addr);
	if (rig.fd < 0 || bind(rig.fd, (struct sockaddr *)&addr, ret))
		skip();
	assert_int_equal(getsockname(rig.fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&addr, len, &rig.own), 0);
}

static int tear_down(void **state)
{
	hubstun_free(rig.stun);
	loop_free(rig.loop);
	if (rig.fd > 0)
		close(rig.fd);
	memset(&rig, 0, sizeof(rig));
	return 0;
}

static void ask(const char *server, const void *bytes, size_t len)
{
	struct endpoint to = { .family = strchr(server, ':') ? AF_INET6 : AF_INET };
	struct sockaddr_storage addr;
	int addr_len;

	to.port = htons(hubstun_port(rig.stun));
	assert_int_equal(inet_pton(to.family, server, &to.remote), 1);
	addr_len = endpoint_to_sockaddr(&to, &addr);
	assert_int_equal(sendto(rig.fd, bytes, len, 0, (struct sockaddr *)&addr, addr_len), len);
}

/* The answer, which must come from @server. */
static void expect(const char *server, uint8_t *buf, size_t size, struct stun_message *ret_message)
{
	struct sockaddr_storage addr = {};
	socklen_t addr_len = sizeof(addr);
	char text[INET6_ADDRSTRLEN];
	struct endpoint from;
	ssize_t len;

	loop_turn(rig.loop, 5 * LOOP_SECOND);
	len = recvfrom(rig.fd, buf, size, 0, (struct sockaddr *)&addr, &addr_len);
	assert_true(len > 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&addr, addr_len, &from), 0);
	assert_non_null(inet_ntop(from.family, &from.remote, text, sizeof(text)));
	assert_string_equal(text, server);
	assert_int_equal(ntohs(from.port), hubstun_port(rig.stun));
	assert_int_equal(stun_parse(buf, len, ret_message), 0);
	assert_memory_equal(ret_message->tx, tx, sizeof(tx));
	assert_true(stun_has_fingerprint(ret_message));
}

static struct hubstun_counts counts(void)
{
	struct hubstun_counts now;

	hubstun_counts(rig.stun, &now);
	return now;
}

static void tells_who_asks(const char *listen, const char *server, const char *from)
{
	uint8_t bytes[STUN_BUILD_MAX];
	struct stun_message m;

	start(listen, from);
	ask(server, bytes, stun_build_request(&(struct stun_request){ .tx = tx }, bytes, sizeof(bytes)));
	expect(server, bytes, sizeof(bytes), &m);
	assert_int_equal(m.class, STUN_SUCCESS);
	assert_int_equal(m.method, STUN_BINDING);
	assert_true(m.has_mapped);
	assert_int_equal(m.mapped.family, rig.own.family);
	assert_int_equal(m.mapped.port, rig.own.port);
	assert_memory_equal(&m.mapped.remote, &rig.own.remote, sizeof(m.mapped.remote));
	assert_int_equal(counts().answered, 1);
}

static void the_answer_comes_from_the_address_that_was_asked(void **state)
{
	tells_who_asks("0.0.0.0", "127.0.0.9", "127.0.0.1");
}

static void one_socket_takes_both_families_v4(void **state)
{
	tells_who_asks("::", "127.0.0.9", "127.0.0.1");
}

static void one_socket_takes_both_families_v6(void **state)
{
	tells_who_asks("::", "::1", "::1");
}

static void what_must_be_understood_and_is_not_is_said(void **state)
{
	uint8_t bytes[STUN_BUILD_MAX] = { 0, 1, 0, 16, 0x21, 0x12, 0xa4, 0x42 };
	/* CHANGE-REQUEST of RFC 5780, and one that may be skipped */
	const uint8_t attributes[16] = { 0x00, 0x03, 0, 4, 0, 0, 0, 2, 0xc0, 0x01, 0, 4 };
	const uint8_t want[] = { 0x00, 0x0a, 0, 2, 0x00, 0x03, 0, 0 };
	struct stun_message m;

	start("127.0.0.1", "127.0.0.1");
	memcpy(bytes + 8, tx, sizeof(tx));
	memcpy(bytes + 20, attributes, sizeof(attributes));
	ask("127.0.0.1", bytes, 36);
	expect("127.0.0.1", bytes, sizeof(bytes), &m);
	assert_int_equal(m.class, STUN_ERROR);
	assert_int_equal(m.error, 420);
	assert_false(m.has_mapped);
	assert_memory_equal(bytes + 28, want, sizeof(want));
}

static void nothing_else_is_answered(void **state)
{
	static const uint8_t types[][2] = { { 0x00, 0x11 }, { 0x01, 0x01 }, { 0x01, 0x11 }, { 0x00, 0x03 } };
	uint8_t bytes[2000] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42 };

	start("127.0.0.1", "127.0.0.1");
	for (size_t i = 0; i < 4; i++) {	/* indication, both responses, Allocate */
		memcpy(bytes, types[i], 2);
		ask("127.0.0.1", bytes, 20);
	}
	bytes[0] = 0;
	bytes[1] = 1;
	ask("127.0.0.1", bytes, 19);
	ask("127.0.0.1", bytes, 21);
	ask("127.0.0.1", bytes, 0);
	ask("127.0.0.1", bytes, sizeof(bytes));
	bytes[4] = 0;				/* RFC 3489 had no cookie */
	ask("127.0.0.1", bytes, 20);
	bytes[4] = 0x21;
	memcpy(bytes + 20, (uint8_t []){ 0x80, 0x28, 0, 4, 1, 2, 3, 4 }, 8);	/* a wrong FINGERPRINT */
	bytes[3] = 8;
	ask("127.0.0.1", bytes, 28);
	loop_turn(rig.loop, 5 * LOOP_SECOND);
	assert_int_equal(counts().malformed, 10);
	assert_int_equal(counts().answered, 0);
	assert_int_equal(recv(rig.fd, bytes, sizeof(bytes), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void a_source_that_asks_too_often_waits(void **state)
{
	uint8_t bytes[STUN_BUILD_MAX];
	size_t len;

	start("127.0.0.1", "127.0.0.1");
	len = stun_build_request(&(struct stun_request){ .tx = tx }, bytes, sizeof(bytes));
	for (unsigned i = 0; i < 220; i++)
		ask("127.0.0.1", bytes, len);
	loop_turn(rig.loop, 5 * LOOP_SECOND);	/* one turn, in which the clock stands still */
	assert_int_equal(counts().answered, 200);
	assert_int_equal(counts().limited, 20);
}

static void a_port_that_is_taken_is_said(void **state)
{
	struct endpoint at = { .family = AF_INET };
	struct hubstun *second;

	start("127.0.0.1", "127.0.0.1");
	at.port = htons(hubstun_port(rig.stun));
	at.remote.word[0] = htonl(INADDR_LOOPBACK);
	assert_int_equal(hubstun_new(rig.loop, &at, &second), -EADDRINUSE);
	at.family = 0;
	assert_int_equal(hubstun_new(rig.loop, &at, &second), -EDESTADDRREQ);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_answer_comes_from_the_address_that_was_asked),
		TEST(one_socket_takes_both_families_v4),
		TEST(one_socket_takes_both_families_v6),
		TEST(what_must_be_understood_and_is_not_is_said),
		TEST(nothing_else_is_answered),
		TEST(a_source_that_asks_too_often_waits),
		TEST(a_port_that_is_taken_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
