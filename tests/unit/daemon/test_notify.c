// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a service manager hears: each message on a socket of its kind, and no sign of life from a loop
// that stands.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "daemon/notify.h"

#define BEGIN (1000 * LOOP_SECOND)

static struct loop *loop;
static struct notify notify;
static int manager = -1;
static char path[108], heard[512];

static void listen_at(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	memcpy(at.sun_path, name, len);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&at,
		offsetof(struct sockaddr_un, sun_path) + len), 0);
}

static int setup(void **state)
{
	snprintf(path, sizeof(path), "@talon-test-notify-%d", getpid());
	listen_at(path);
	setenv("NOTIFY_SOCKET", path, 1);
	return loop_new_fake(&loop, BEGIN);
}

static int teardown(void **state)
{
	notify_close(&notify);
	loop_free(loop);
	close(manager);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

/* The next message, or "" if there is none. */
static const char *hear(void)
{
	ssize_t n = recv(manager, heard, sizeof(heard) - 1, 0);

	heard[n > 0 ? n : 0] = '\0';
	return heard;
}

static unsigned int beats_until(uint64_t at_ns)
{
	unsigned int count = 0;

	loop_advance(loop, at_ns);
	while (*hear()) {
		assert_string_equal(heard, "WATCHDOG=1");
		count++;
	}
	return count;
}

static void ready_is_said_once_and_children_inherit_nothing(void **state)
{
	setenv("WATCHDOG_USEC", "30000000", 1);
	notify_open(&notify, loop);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_string_equal(hear(), "");
	notify_ready(&notify);
	notify_ready(&notify);
	assert_string_equal(hear(), "READY=1");
	assert_string_equal(hear(), "");
}

static void a_socket_with_a_path_hears_the_same(void **state)
{
	char dir[] = "/tmp/talon-notify-XXXXXX";

	close(manager);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	listen_at(path);
	setenv("NOTIFY_SOCKET", path, 1);
	notify_open(&notify, loop);
	notify_ready(&notify);
	assert_string_equal(hear(), "READY=1");
	unlink(path);
	rmdir(dir);
}

static void signs_of_life_come_thrice_in_the_time_allowed_while_the_loop_turns(void **state)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify_open(&notify, loop);
	assert_int_equal(beats_until(BEGIN + 60 * LOOP_SECOND), 0);	/* a start may take its time */
	notify_ready(&notify);
	assert_string_equal(hear(), "READY=1");
	assert_int_equal(beats_until(BEGIN + 69 * LOOP_SECOND), 1);
	assert_int_equal(beats_until(BEGIN + 90 * LOOP_SECOND), 3);
	assert_string_equal(hear(), "");	/* a loop that stands says nothing */
	notify_close(&notify);
	assert_int_equal(beats_until(BEGIN + 200 * LOOP_SECOND), 0);
}

static void the_watchdog_of_another_process_or_a_wrong_one_is_none(void **state)
{
	static const char *const values[][2] = { { "30000000", "1" }, { "soon", NULL }, { "-1", NULL },
		{ "10x", NULL }, { "", NULL }, { "99999999999999999999", NULL } };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv("NOTIFY_SOCKET", path, 1);
		setenv("WATCHDOG_USEC", values[i][0], 1);
		if (values[i][1])
			setenv("WATCHDOG_PID", values[i][1], 1);
		notify_open(&notify, loop);
		notify_ready(&notify);
		assert_string_equal(hear(), "READY=1");
		assert_int_equal(beats_until(loop_now(loop) + 3600 * LOOP_SECOND), 0);
		notify_close(&notify);
	}
}

static void a_reload_is_announced_with_its_time_and_ends(void **state)
{
	uint64_t before = clock_mono_ns() / 1000, said;

	notify_open(&notify, loop);
	notify_reload_begin(&notify);
	notify_reload_end(&notify);
	assert_string_equal(hear(), "");	/* else the manager would think that the start is over */
	notify_ready(&notify);
	hear();
	notify_reload_begin(&notify);
	assert_int_equal(sscanf(hear(), "RELOADING=1\nMONOTONIC_USEC=%lu", &said), 1);
	assert_in_range(said, before, clock_mono_ns() / 1000);
	notify_reload_end(&notify);
	assert_string_equal(hear(), "READY=1");
	notify_stopping(&notify);
	assert_string_equal(hear(), "STOPPING=1");
}

static void a_status_is_one_line_and_sent_when_it_changes(void **state)
{
	char longest[600];

	notify_open(&notify, loop);
	notify_status(&notify, "2 peers\nREADY=1");
	assert_string_equal(hear(), "STATUS=2 peers READY=1");
	notify_status(&notify, "2 peers\nREADY=1");
	assert_string_equal(hear(), "");
	notify_status(&notify, "3 peers");
	assert_string_equal(hear(), "STATUS=3 peers");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	notify_status(&notify, longest);
	assert_int_equal(strlen(hear()), 7 + NOTIFY_STATUS_LEN - 1);
	notify_status(&notify, longest);
	assert_string_equal(hear(), "");
}

static void without_a_manager_or_with_a_broken_address_nothing_happens(void **state)
{
	static const char *const names[] = { NULL, "", "@", "/", "relative", "vsock:2:1",
		"@012345678901234567890123456789012345678901234567890123456789"
		"012345678901234567890123456789012345678901234567890123456789" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsetenv("NOTIFY_SOCKET");
		if (names[i])
			setenv("NOTIFY_SOCKET", names[i], 1);
		setenv("WATCHDOG_USEC", "1000000", 1);
		notify_open(&notify, loop);
		notify_ready(&notify);
		notify_reload_begin(&notify);
		notify_status(&notify, "?");
		notify_stopping(&notify);
		loop_advance(loop, loop_now(loop) + 10 * LOOP_SECOND);
		assert_int_equal(notify.fd, -1);
		notify_close(&notify);
	}
	assert_string_equal(hear(), "");
}

static void a_manager_that_does_not_read_delays_nobody(void **state)
{
	char line[40];

	notify_open(&notify, loop);
	alarm(20);	/* a send that blocks would hang for ever */
	for (int i = 0; i < 100000; i++) {
		snprintf(line, sizeof(line), "status %d", i);
		notify_status(&notify, line);
	}
	alarm(0);
	notify_ready(&notify);	/* lost */
	while (*hear())
		assert_memory_equal(heard, "STATUS=", 7);
	notify_ready(&notify);
	assert_string_equal(hear(), "READY=1");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(ready_is_said_once_and_children_inherit_nothing),
		CASE(a_socket_with_a_path_hears_the_same),
		CASE(signs_of_life_come_thrice_in_the_time_allowed_while_the_loop_turns),
		CASE(the_watchdog_of_another_process_or_a_wrong_one_is_none),
		CASE(a_reload_is_announced_with_its_time_and_ends),
		CASE(a_status_is_one_line_and_sent_when_it_changes),
		CASE(without_a_manager_or_with_a_broken_address_nothing_happens),
		CASE(a_manager_that_does_not_read_delays_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
