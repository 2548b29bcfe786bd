// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Standard error that nobody reads: lines are dropped and counted, nobody waits, and what comes out is
// whole lines.
#include <setjmp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "log/log.c"

#define LINES 5000	/* more than any pipe or socket holds */

static int saved, reader;

static void fresh_console(void)
{
	console = (struct target){ .kind = TARGET_CONSOLE, .fd = STDERR_FILENO, .name = "standard error" };
}

static void begin(int read_fd, int write_fd, bool is_forbidden)
{
	saved = dup(STDERR_FILENO);
	reader = read_fd;
	assert_true(saved >= 0);
	assert_int_equal(dup2(write_fd, STDERR_FILENO), STDERR_FILENO);
	close(write_fd);
	fresh_console();
	log_never_block();
	if (is_forbidden) {	/* as where /proc is not to be had */
		close(console.fd);
		console.fd = STDERR_FILENO;
		console.way = WAY_ASK;
	}
	alarm(20);	/* a write that blocks would hang for ever */
}

static void end(void)
{
	alarm(0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	if (console.fd != STDERR_FILENO)
		close(console.fd);
	fresh_console();
	close(reader);
}

static char seen[1 << 21];

/* Everything that is there now. Returns the number of lines, all of which begin with a date. */
static size_t read_lines(void)
{
	size_t len = 0, count = 0;
	ssize_t n;

	while ((n = read(reader, seen + len, sizeof(seen) - 1 - len)) > 0)
		len += n;
	seen[len] = 0;
	for (char *line = seen, *next; (next = strchr(line, '\n')); line = next + 1) {
		assert_memory_equal(line, "20", 2);
		assert_int_equal(line[23], 'Z');
		count++;
	}
	return count;
}

static void fill_and_drain(void)
{
	char want[80];
	uint64_t dropped;
	size_t count;

	for (int i = 0; i < LINES; i++)
		log_info("line %d of many that nobody reads, and it is no short one: %s", i,
			"0123456789012345678901234567890123456789");
	dropped = log_get_dropped();
	assert_in_range(dropped, 1, LINES - 10);
	count = read_lines();
	assert_in_range(count, LINES - dropped - 1, LINES - dropped);	/* the last one may be out by half */
	log_info("somebody reads again");
	count += read_lines();
	assert_int_equal(count, LINES - dropped + 2);
	snprintf(want, sizeof(want), "warn  %llu log lines were dropped", (unsigned long long)dropped);
	assert_non_null(strstr(seen, want));
	assert_non_null(strstr(seen, "somebody reads again"));
	/* Said once. */
	log_info("and on");
	assert_int_equal(read_lines(), 1);
	assert_int_equal(log_get_dropped(), dropped);
}

static void a_full_pipe_costs_lines_and_no_time(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	begin(fds[0], fds[1], false);
	assert_int_equal(console.way, WAY_OWN);
	/* The description that others share stays as it was. */
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	fill_and_drain();
	end();
}

static void a_full_pipe_that_cannot_be_opened_anew_neither(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	begin(fds[0], fds[1], true);
	fill_and_drain();
	end();
}

/* As systemd's journal has it. */
static void a_full_socket_neither(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	begin(fds[0], fds[1], false);
	assert_int_equal(console.way, WAY_SOCKET);
	fill_and_drain();
	end();
}

static void a_file_is_appended_to(void **state)
{
	char path[] = "/tmp/talon-test-log-XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(write(fd, "20xx-xx-xxTxx:xx:xx.xxxZ before\n", 32), 32);
	begin(open(path, O_RDONLY | O_CLOEXEC), fd, false);
	unlink(path);
	log_info("after");
	assert_int_equal(read_lines(), 2);
	assert_int_equal(log_get_dropped(), 0);
	end();
}

static void a_reader_that_is_gone_is_no_end(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	signal(SIGPIPE, SIG_IGN);	/* as the daemon does */
	begin(dup(fds[0]), fds[1], false);
	close(fds[0]);
	close(reader);
	log_info("to nobody");
	assert_int_equal(log_get_dropped(), 1);
	reader = dup(STDOUT_FILENO);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_pipe_costs_lines_and_no_time),
		cmocka_unit_test(a_full_pipe_that_cannot_be_opened_anew_neither),
		cmocka_unit_test(a_full_socket_neither),
		cmocka_unit_test(a_file_is_appended_to),
		cmocka_unit_test(a_reader_that_is_gone_is_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
