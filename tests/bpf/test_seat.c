// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The lock on the pins' directory: seen over pid namespaces and other paths, and the requests beside it.
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/seat.h"

static char root[] = "/tmp/talon-seat-XXXXXX", base[96], other[96];

/* A bpffs on DIR/a, the same one on DIR/b. */
static int make(void **state)
{
	char a[64], b[64];

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(root))
		return -1;
	snprintf(a, sizeof(a), "%s/a", root);
	snprintf(b, sizeof(b), "%s/b", root);
	snprintf(base, sizeof(base), "%s/talon", a);
	snprintf(other, sizeof(other), "%s/talon", b);
	return mkdir(a, 0700) || mkdir(b, 0700) || mount("bpf", a, "bpf", 0, NULL) ||
		mount(a, b, NULL, MS_BIND, NULL);
}

static int clean(void **state)
{
	char path[64];

	for (char end = 'a'; end <= 'b'; end++) {
		snprintf(path, sizeof(path), "%s/%c", root, end);
		umount(path);
		rmdir(path);
	}
	return rmdir(root);
}

static int opened(const char *path)
{
	char why[256];
	int seat = seat_open(path, true, why, sizeof(why));

	assert_true(seat >= 0);
	return seat;
}

/* A process that holds the lock until it is killed; it is process 1 of a pid namespace of its own. */
static pid_t start_holder(const char *path)
{
	int said[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	assert_int_equal(unshare(CLONE_NEWPID), 0);
	pid = fork();
	if (!pid) {
		if (!seat_take(opened(path)) && getpid() == 1)
			(void)!write(said[1], "", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(said[0], &c, 1), 1);
	close(said[0]);
	close(said[1]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void the_holder_is_seen_by_another_path_as_its_pid_is_here(void **state)
{
	int seat = opened(base);
	pid_t pid;

	assert_false(seat_is_taken(seat));
	assert_int_equal(seat_holder(seat), 0);
	pid = start_holder(other);
	assert_true(seat_is_taken(seat));
	assert_int_equal(seat_holder(seat), pid);
	assert_int_equal(seat_take(seat), -EBUSY);
	end(pid);
	assert_false(seat_is_taken(seat));
	assert_int_equal(seat_take(seat), 0);
	assert_true(seat_is_taken(seat));
	assert_int_equal(seat_holder(seat), getpid());
	seat_leave(seat);
	assert_false(seat_is_taken(seat));
	close(seat);
}

static void who_looks_whether_it_is_free_keeps_nobody_from_taking_it(void **state)
{
	int seat = opened(base);
	pid_t pid = fork();

	if (!pid) {
		for (int looker = opened(other);;)
			seat_is_taken(looker);
	}
	for (int i = 0; i < 200; i++) {
		assert_int_equal(seat_take(seat), 0);
		seat_leave(seat);
	}
	end(pid);
	close(seat);
}

static void a_request_is_heard_once_and_swept_by_the_next_holder(void **state)
{
	int seat = opened(base), holder = opened(other);

	assert_int_equal(seat_asked(holder), SEAT_NOTHING);
	assert_int_equal(seat_ask(seat, SEAT_TAKE_OVER), 0);
	assert_int_equal(seat_asked(holder), SEAT_TAKE_OVER);
	assert_int_equal(seat_ask(seat, SEAT_DOWN), 0);
	assert_int_equal(seat_asked(holder), SEAT_DOWN);
	assert_false(seat_is_heard(seat));
	seat_heed(holder);
	assert_true(seat_is_heard(seat));
	assert_int_equal(seat_asked(holder), SEAT_NOTHING);
	assert_int_equal(seat_ask(seat, SEAT_TAKE_OVER), 0);
	seat_sweep(holder);
	assert_false(seat_is_heard(seat));
	assert_int_equal(seat_asked(holder), SEAT_NOTHING);
	close(holder);
	close(seat);
}

static void a_directory_that_was_removed_cannot_be_held(void **state)
{
	int seat = opened(base), next;

	assert_false(seat_is_gone(seat));
	assert_int_equal(rmdir(other), 0);
	assert_true(seat_is_gone(seat));
	assert_int_equal(seat_take(seat), -ENOENT);
	next = opened(base);
	assert_int_equal(seat_take(next), 0);
	assert_false(seat_is_taken(seat));
	close(next);
	close(seat);
	rmdir(base);
}

static void a_path_that_is_not_on_a_bpffs_is_refused(void **state)
{
	char why[256];

	assert_int_equal(seat_open("/tmp/talon", true, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "is not on a bpffs"));
	assert_int_equal(seat_open("relative", true, why, sizeof(why)), -EINVAL);
	assert_int_equal(seat_open(base, false, why, sizeof(why)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_looks_whether_it_is_free_keeps_nobody_from_taking_it),
		cmocka_unit_test(a_request_is_heard_once_and_swept_by_the_next_holder),
		cmocka_unit_test(a_directory_that_was_removed_cannot_be_held),
		cmocka_unit_test(a_path_that_is_not_on_a_bpffs_is_refused),
		cmocka_unit_test(the_holder_is_seen_by_another_path_as_its_pid_is_here),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
