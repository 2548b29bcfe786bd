// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Log lines: time, level, text. Secrets have a type of their own and no formatter, so none can get here
// by accident.
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "log/internal.h"
#include "log/log.h"

static struct target console = { .kind = TARGET_CONSOLE, .fd = STDERR_FILENO, .name = "standard error" };
/* Where lines go: the console alone, or what log_set_targets() was told. */
static struct target *targets[TARGETS_MAX] = { &console };
static size_t target_count = 1;
static char target_list[LOG_TARGETS_LEN] = "console";
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

static enum log_level max_level = LOG_LEVEL_INFO;
static int format_set = -1;			/* enum log_format; -1: nobody said */

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

void log_set_format(enum log_format format)
{
	format_set = format;
}

static enum log_format get_format(void)
{
	const char *wish;

	if (format_set < 0) {
		wish = getenv("NB_LOG_FORMAT");
		format_set = wish && !strcmp(wish, "json") ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
	}
	return format_set;
}

/* Bytes of the UTF-8 character at @s, which ends with a zero byte; 0: it is none (RFC 3629). */
static unsigned utf8_len(const uint8_t *s)
{
	unsigned len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3
		: s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (unsigned i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return len;
}

struct line {
	char *text;
	size_t len;
	size_t size;
};

/* All of it or nothing: no half character at the end. */
static void put(struct line *line, const char *bytes, size_t len)
{
	if (line->len + len + 2 >= line->size)	/* room for an end and a newline is kept */
		return;
	memcpy(line->text + line->len, bytes, len);
	line->len += len;
}

/*
 * Texts may quote what others sent: nothing that moves a terminal's cursor or ends a line or a JSON
 * string gets through.
 */
static void put_text(struct line *line, const char *text, bool is_json)
{
	const uint8_t *s = (const uint8_t *)text;
	char escape[8];

	while (*s && *s != '\n') {	/* one event, one line */
		unsigned len = utf8_len(s);

		if (!len || (*s < 0x20 && *s != '\t') || *s == 0x7f)
			put(line, "?", 1);
		else if (is_json && (*s == '"' || *s == '\\'))
			put(line, escape, snprintf(escape, sizeof(escape), "\\%c", *s));
		else if (is_json && *s == '\t')
			put(line, "\\t", 2);
		else
			put(line, (const char *)s, len);
		s += len ? len : 1;
	}
}

static const char *const names[] = { "error", "warn", "info", "debug" };
static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };	/* of syslog(3) */

/* Time and level as text; "<6>" for the journal, which has both; what syslog(3) puts before a line. */
static size_t format_head(enum target_form form, enum log_level level, int64_t when_ms, char *head,
	size_t size)
{
	const time_t second = when_ms / 1000;
	char when[32];
	struct tm tm;

	if (form == FORM_JOURNAL)
		return snprintf(head, size, "<%d>", priorities[level]);
	if (form == FORM_SYSLOG) {
		localtime_r(&second, &tm);
		strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
		return snprintf(head, size, "<%d>%s talon[%d]: ", LOG_DAEMON | priorities[level], when,
			getpid());
	}
	gmtime_r(&second, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	return snprintf(head, size, "%s.%03dZ %-5s ", when, (int)(when_ms % 1000), names[level]);
}

/* The same in JSON: a journal and a syslog have the time already. */
static size_t format_json_head(enum target_form form, enum log_level level, int64_t when_ms, char *head,
	size_t size)
{
	size_t len = form == FORM_PLAIN ? 0 : format_head(form, level, when_ms, head, size);
	const time_t second = when_ms / 1000;
	char when[32];
	struct tm tm;

	if (form != FORM_PLAIN)
		return len + snprintf(head + len, size - len, "{\"level\":\"%s\",\"msg\":\"", names[level]);
	gmtime_r(&second, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	return snprintf(head, size, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"msg\":\"", when,
		(int)(when_ms % 1000), names[level]);
}

static size_t format_line(enum target_form form, enum log_format format, enum log_level level,
	int64_t when_ms, const char *text, char *buf, size_t size)
{
	struct line line = { .text = buf, .size = size - 2 };
	char head[HEAD_MAX];

	put(&line, head, format == LOG_FORMAT_JSON ? format_json_head(form, level, when_ms, head,
		sizeof(head)) : format_head(form, level, when_ms, head, sizeof(head)));
	put_text(&line, text, format == LOG_FORMAT_JSON);
	line.size = size;
	if (format == LOG_FORMAT_JSON)
		put(&line, "\"}", 2);
	buf[line.len++] = '\n';
	return line.len;
}

size_t log_format_line(enum log_format format, enum log_level level, int64_t when_ms, const char *text,
	char *buf, size_t size)
{
	return format_line(FORM_PLAIN, format, level, when_ms, text, buf, size);
}

static int64_t unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Whether standard error leads to the journal: systemd.exec(5) on JOURNAL_STREAM. */
bool log_is_journal(void)
{
	static int answer = -1;
	unsigned long long device, inode;
	const char *stream;
	struct stat st;
	int len = 0;

	if (answer >= 0)
		return answer;
	stream = getenv("JOURNAL_STREAM");
	answer = stream && stream[0] >= '0' && stream[0] <= '9' &&
		sscanf(stream, "%llu:%llu%n", &device, &inode, &len) == 2 && !stream[len] &&
		!fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
	return answer;
}

static enum target_form form_of(const struct target *t)
{
	return t->kind == TARGET_SYSLOG ? FORM_SYSLOG
		: t->kind == TARGET_CONSOLE && log_is_journal() ? FORM_JOURNAL : FORM_PLAIN;
}

static void tell_dropped(struct target *t)
{
	char text[512], line[1024];
	const uint64_t count = t->dropped - t->told;
	size_t len;

	if (!count)
		return;
	snprintf(text, sizeof(text), "%llu log lines were dropped: %s %s", (unsigned long long)count, t->name,
		t->kind == TARGET_CONSOLE ? "was full" : "did not take them");
	len = format_line(form_of(t), get_format(), LOG_LEVEL_WARN, unix_ms(), text, line, sizeof(line));
	if (target_put_line(t, line, len))
		t->told += count;
}

static void put_or_drop(struct target *t, enum log_level level, int64_t when_ms, const char *text)
{
	char line[LINE_MAX_LEN];
	size_t len = format_line(form_of(t), get_format(), level, when_ms, text, line, sizeof(line));

	if (t->kind == TARGET_CONSOLE && t->way == WAY_STDIO) {
		fwrite(line, 1, len, stderr);
		return;
	}
	tell_dropped(t);
	if (t->told != t->dropped || !target_put_line(t, line, len))
		t->dropped++;
}

void log_never_block(void)
{
	target_never_block(&console);
}

uint64_t log_get_dropped(void)
{
	uint64_t dropped = 0;

	for (size_t i = 0; i < target_count; i++)
		dropped += targets[i]->dropped;
	return dropped;
}

static void write_line(enum log_level level, const char *fmt, va_list args)
{
	const int64_t when_ms = unix_ms();
	char text[TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, args);
	/* the datapath is loaded by a thread of its own; nobody waits in here */
	pthread_mutex_lock(&out_lock);
	for (size_t i = 0; i < target_count; i++)
		put_or_drop(targets[i], level, when_ms, text);
	pthread_mutex_unlock(&out_lock);
}

/*
 * Opens what @list names into @fresh; NULL there stands for the console. Returns their number, or negative.
 */
static int open_list(const char *list, struct target *fresh[static TARGETS_MAX], char *why, size_t size)
{
	char text[LOG_TARGETS_LEN], *at = text, *name;
	int count = 0, ret;

	snprintf(text, sizeof(text), "%s", list);
	while ((name = strsep(&at, ","))) {
		struct target *t = NULL;

		if (!*name)
			continue;
		ret = count < TARGETS_MAX ? 0 : -E2BIG;
		if (ret)
			snprintf(why, size, "more than %d logs", TARGETS_MAX);
		else if (strcmp(name, "console"))
			ret = target_open(name, &t, why, size);
		if (ret) {
			while (count)
				target_close(fresh[--count]);
			return ret;
		}
		fresh[count++] = t;
	}
	return count;
}

int log_set_targets(const char *list, char *why, size_t size)
{
	struct target *fresh[TARGETS_MAX] = {}, *old[TARGETS_MAX] = {};
	int count = open_list(list, fresh, why, size);
	size_t old_count;

	if (count < 0)
		return count;
	pthread_mutex_lock(&out_lock);
	memcpy(old, targets, sizeof(old));
	old_count = target_count;
	for (int i = 0; i < count; i++)
		targets[i] = fresh[i] ?: &console;
	if (!count)
		targets[count++] = &console;
	target_count = count;
	for (size_t i = 0; i < old_count; i++) {
		for (size_t j = 0; j < target_count; j++)
			target_continue(targets[j], old[i]);
	}
	if (list != target_list)
		snprintf(target_list, sizeof(target_list), "%s", list);
	pthread_mutex_unlock(&out_lock);
	for (size_t i = 0; i < old_count; i++)
		target_close(old[i] == &console ? NULL : old[i]);
	return 0;
}

void log_set_max_size(uint64_t bytes)
{
	pthread_mutex_lock(&out_lock);
	target_max_size = bytes;
	pthread_mutex_unlock(&out_lock);
}

int log_reopen(char *why, size_t size)
{
	return log_set_targets(target_list, why, size);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list args;

	if (level > max_level)
		return;
	va_start(args, fmt);
	write_line(level, fmt, args);
	va_end(args);
}

bool log_limit_take(struct log_limit *limit, uint64_t now_ns, uint32_t *ret_left_out)
{
	if (!limit->lines || now_ns - limit->since_ns >= LOG_LIMIT_NS) {
		*ret_left_out = limit->left_out;
		*limit = (struct log_limit){ .since_ns = now_ns, .lines = 1 };
		return true;
	}
	if (limit->lines == LOG_LIMIT_LINES) {
		limit->left_out++;
		return false;
	}
	limit->lines++;
	*ret_left_out = 0;
	return true;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
{
	char text[TEXT_MAX];
	struct timespec now;
	uint32_t left_out;
	va_list args;

	if (level > max_level)
		return;
	clock_gettime(CLOCK_BOOTTIME, &now);
	if (!log_limit_take(limit, now.tv_sec * 1000000000ULL + now.tv_nsec, &left_out))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (left_out)
		log_write(level, "%s (%u more of this kind were left out)", text, left_out);
	else
		log_write(level, "%s", text);
}

static int from_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	/* Its warnings are often about things that the caller handles; the caller logs what matters. */
	enum log_level ours = level == LIBBPF_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;

	if (max_level >= LOG_LEVEL_DEBUG && ours <= max_level)
		write_line(ours, fmt, args);
	return 0;
}

/* It counts levels as libbpf does. */
static int from_libxdp(enum libxdp_print_level level, const char *fmt, va_list args)
{
	return from_libbpf((enum libbpf_print_level)level, fmt, args);
}

void log_bridge_libbpf(void)
{
	libbpf_set_print(from_libbpf);
	libxdp_set_print(from_libxdp);
}
