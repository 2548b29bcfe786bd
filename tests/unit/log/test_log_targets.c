// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where lines go: the journal with priorities, files that are renamed under the daemon, full disks, syslog.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "log/log.c"
#define SYSLOG "/tmp/talon-test-syslog"
#include "log/target.c"

static char dir[] = "/tmp/talon-log-XXXXXX", file[64], why[512], seen[1 << 22];

static const char *contents(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, seen, sizeof(seen) - 1);

	if (fd >= 0)
		close(fd);
	seen[n > 0 ? n : 0] = '\0';
	return seen;
}

static size_t count_lines(const char *path)
{
	size_t count = 0;

	for (const char *c = contents(path); *c; c++)
		count += *c == '\n';
	return count;
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/talon-log-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/a/b/talon.log", dir);
	log_set_level(LOG_LEVEL_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	assert_int_equal(log_set_targets("console", why, sizeof(why)), 0);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	unlink(SYSLOG);
	return 0;
}

static const char *journal_line(enum log_format format, enum log_level level)
{
	static char line[256];
	size_t len = format_line(FORM_JOURNAL, format, level, 0, "peer gone", line, sizeof(line));

	assert_int_equal(line[len - 1], '\n');
	line[len - 1] = '\0';
	return line;
}

static void a_line_for_the_journal_has_a_priority_and_no_time(void **state)
{
	assert_string_equal(journal_line(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR), "<3>peer gone");
	assert_string_equal(journal_line(LOG_FORMAT_TEXT, LOG_LEVEL_WARN), "<4>peer gone");
	assert_string_equal(journal_line(LOG_FORMAT_TEXT, LOG_LEVEL_INFO), "<6>peer gone");
	assert_string_equal(journal_line(LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG), "<7>peer gone");
	assert_string_equal(journal_line(LOG_FORMAT_JSON, LOG_LEVEL_WARN),
		"<4>{\"level\":\"warn\",\"msg\":\"peer gone\"}");
}

/* The answer is kept in the process: each question is asked in one of its own. */
static bool is_journal_with(const char *fmt, int stream)
{
	struct stat st;
	char text[64];
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		dup2(stream, STDERR_FILENO);
		fstat(STDERR_FILENO, &st);
		snprintf(text, sizeof(text), fmt, (unsigned long long)st.st_dev,
			(unsigned long long)st.st_ino);
		if (*fmt)
			setenv("JOURNAL_STREAM", text, 1);
		_exit(log_is_journal());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void only_the_very_stream_that_the_variable_names_is_the_journal(void **state)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	unsetenv("JOURNAL_STREAM");
	assert_true(is_journal_with("%llu:%llu", ends[1]));
	assert_false(is_journal_with("", ends[1]));
	assert_false(is_journal_with("%llu:1%llu", ends[1]));	/* as when standard error was redirected */
	assert_false(is_journal_with("1%llu:%llu", ends[1]));
	assert_false(is_journal_with("%llu:%llux", ends[1]));
	assert_false(is_journal_with("%llu", ends[1]));
	assert_false(is_journal_with("-%llu:%llu", ends[1]));
	assert_false(is_journal_with("what", ends[1]));
	close(ends[0]);
	close(ends[1]);
}

static void a_file_and_its_folders_are_made_and_only_root_reads_it(void **state)
{
	struct stat st;

	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	log_info("hello");
	assert_non_null(strstr(contents(file), "Z info  hello\n"));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	log_set_format(LOG_FORMAT_JSON);
	log_warn("second");
	assert_non_null(strstr(contents(file), ",\"level\":\"warn\",\"msg\":\"second\"}\n"));
}

static void every_target_gets_every_line(void **state)
{
	char list[200], other[80];

	snprintf(other, sizeof(other), "%s/other", dir);
	snprintf(list, sizeof(list), "%s,,%s", file, other);
	assert_int_equal(log_set_targets(list, why, sizeof(why)), 0);
	log_info("both");
	assert_int_equal(count_lines(file), 1);
	assert_int_equal(count_lines(other), 1);
}

static void a_list_that_cannot_be_opened_changes_nothing(void **state)
{
	char list[200];

	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	snprintf(list, sizeof(list), "%s/new,%s", dir, dir);
	assert_int_equal(log_set_targets(list, why, sizeof(why)), -EISDIR);
	assert_non_null(strstr(why, dir));
	assert_int_equal(log_set_targets("/dev/null,/dev/null,/dev/null,/dev/null,/dev/null", why,
		sizeof(why)), -E2BIG);
	snprintf(list, sizeof(list), "%s/fifo", dir);
	assert_int_equal(mkfifo(list, 0600), 0);
	/* and does not wait for a reader */
	assert_int_equal(log_set_targets(list, why, sizeof(why)), -ENXIO);
	log_info("still there");
	assert_int_equal(count_lines(file), 1);
}

static bool is_over;

static void *write_lines(void *arg)
{
	size_t *count = arg;

	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED))
		log_info("line %zu", (*count)++);
	return NULL;
}

static void no_line_is_lost_while_files_are_renamed_and_opened_again(void **state)
{
	pthread_t thread;
	size_t count = 0, found = 0;
	char old[80];

	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	is_over = false;
	assert_int_equal(pthread_create(&thread, NULL, write_lines, &count), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(old, sizeof(old), "%s.%d", file, i);
		assert_int_equal(rename(file, old), 0);
		assert_int_equal(log_reopen(why, sizeof(why)), 0);
		usleep(200);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	for (int i = 0; i < 50; i++) {
		snprintf(old, sizeof(old), "%s.%d", file, i);
		found += count_lines(old);
	}
	found += count_lines(file);
	assert_true(count > 100);
	assert_int_equal(found, count);
	assert_int_equal(log_get_dropped(), 0);
}

static void a_full_disk_costs_lines_that_are_counted_and_no_more(void **state)
{
	struct rlimit before, small;
	size_t dropped;
	char want[200];

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	small = (struct rlimit){ 1000, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 100; i++)
		log_info("a line that may not fit, %d", i);
	dropped = log_get_dropped();
	assert_in_range(dropped, 50, 99);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	log_info("there is room again");
	assert_int_equal(count_lines(file), 100 - dropped + 2);
	snprintf(want, sizeof(want), "warn  %zu log lines were dropped: %s did not take them\n",
		dropped, file);
	assert_non_null(strstr(contents(file), want));
	assert_non_null(strstr(seen, "there is room again\n"));
	/* No space at all from the start. */
	assert_int_equal(log_set_targets("/dev/full", why, sizeof(why)), 0);
	log_info("nowhere");
	assert_int_equal(log_get_dropped(), 1);
}

static void a_line_cut_by_a_full_disk_ends_in_the_next_file(void **state)
{
	struct rlimit before, small;
	char old[80];

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	small = (struct rlimit){ 50, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	log_info("this line is longer than there is room for it");
	snprintf(old, sizeof(old), "%s.1", file);
	assert_int_equal(rename(file, old), 0);
	assert_int_equal(log_reopen(why, sizeof(why)), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	log_info("next");
	assert_int_equal(strlen(contents(old)), 50);
	assert_non_null(strstr(contents(file), "for it\n"));
	assert_non_null(strstr(seen, "info  next\n"));
}

static void a_file_of_its_largest_size_is_begun_anew_beside_the_old_one(void **state)
{
	size_t count = 0, kept;
	char old[80];

	snprintf(old, sizeof(old), "%s.old", file);
	log_set_max_size(2000);
	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	while (access(old, F_OK) && count < 1000)
		log_info("line %zu", count++);
	assert_in_range(strlen(contents(old)), 2000, 2100);
	kept = count_lines(old);
	assert_int_equal(kept, count);
	assert_int_equal(count_lines(file), 0);
	/* What was there before counts too; the old one makes room for the next. */
	for (int i = 0; i < 5; i++)
		log_info("line %zu", count++);
	assert_int_equal(log_reopen(why, sizeof(why)), 0);
	while (count_lines(file))
		log_info("line %zu", count++);
	assert_in_range(strlen(contents(old)), 2000, 2100);
	assert_int_equal(count_lines(old), count - kept);
	log_set_max_size(0);
	for (int i = 0; i < 200; i++)
		log_info("line");
	assert_int_equal(count_lines(file), 200);
	assert_int_equal(log_get_dropped(), 0);
}

static void a_device_or_a_file_that_cannot_be_renamed_goes_on(void **state)
{
	char old[80];

	log_set_max_size(100);
	assert_int_equal(log_set_targets("/dev/null", why, sizeof(why)), 0);
	for (int i = 0; i < 20; i++)
		log_info("a line that is longer than nothing");
	assert_int_equal(log_set_targets(file, why, sizeof(why)), 0);
	snprintf(old, sizeof(old), "%s.old", file);
	assert_int_equal(mkdir(old, 0700), 0);		/* in the way */
	for (int i = 0; i < 20; i++)
		log_info("a line that is longer than nothing");
	assert_int_equal(count_lines(file), 20);
	assert_int_equal(log_get_dropped(), 0);
	log_set_max_size(0);
}

static int listen_as_syslog(void)
{
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = SYSLOG };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	unlink(SYSLOG);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void syslog_gets_lines_as_it_knows_them_and_may_be_restarted(void **state)
{
	char line[512], want[80];
	int fd, len;
	ssize_t n;

	unlink(SYSLOG);
	assert_int_equal(log_set_targets("syslog", why, sizeof(why)), -ENOENT);
	fd = listen_as_syslog();
	assert_int_equal(log_set_targets("syslog", why, sizeof(why)), 0);
	log_warn("first");
	n = recv(fd, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = '\0';
	len = snprintf(want, sizeof(want), "talon[%d]: first", getpid());
	assert_memory_equal(line, "<28>", 4);
	assert_string_equal(line + n - len, want);
	close(fd);
	unlink(SYSLOG);
	log_warn("to nobody");
	assert_int_equal(log_get_dropped(), 1);
	fd = listen_as_syslog();
	log_warn("second");
	n = recv(fd, line, sizeof(line) - 1, 0);
	line[n > 0 ? n : 0] = '\0';
	assert_non_null(strstr(line, "1 log lines were dropped: syslog did not take them"));
	n = recv(fd, line, sizeof(line) - 1, 0);
	line[n > 0 ? n : 0] = '\0';
	assert_non_null(strstr(line, "]: second"));
	close(fd);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_line_for_the_journal_has_a_priority_and_no_time),
		CASE(only_the_very_stream_that_the_variable_names_is_the_journal),
		CASE(a_file_and_its_folders_are_made_and_only_root_reads_it),
		CASE(every_target_gets_every_line),
		CASE(a_list_that_cannot_be_opened_changes_nothing),
		CASE(no_line_is_lost_while_files_are_renamed_and_opened_again),
		CASE(a_full_disk_costs_lines_that_are_counted_and_no_more),
		CASE(a_line_cut_by_a_full_disk_ends_in_the_next_file),
		CASE(a_file_of_its_largest_size_is_begun_anew_beside_the_old_one),
		CASE(a_device_or_a_file_that_cannot_be_renamed_goes_on),
		CASE(syslog_gets_lines_as_it_knows_them_and_may_be_restarted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
