// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Log lines: time, level, text. Secrets have a type of their own and no formatter, so none can get here
// by accident.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "log/log.h"

#define TEXT_MAX 2048
#define LINE_MAX_LEN (6 * TEXT_MAX + 128)	/* each byte may become six */

/* Where lines go, and how not to wait there. */
enum way {
	WAY_STDIO,	/* nobody minds waiting */
	WAY_PLAIN,	/* a file: always takes what it gets */
	/* a description of our own that does not block: that of stderr is shared with whoever started us */
	WAY_OWN,
	WAY_SOCKET,
	WAY_ASK,	/* no such description is to be had: asked first */
};

static struct {
	enum way way;
	int fd;
	uint64_t dropped;		/* lines, ever */
	uint64_t told;			/* of them */
	size_t rest_len;		/* of a line that went out by half */
	char rest[LINE_MAX_LEN];
} out = { .fd = STDERR_FILENO };
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

size_t log_format_line(enum log_format format, enum log_level level, int64_t when_ms, const char *text,
	char *buf, size_t size)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	struct line line = { .text = buf, .size = size - 2 };
	const time_t second = when_ms / 1000;
	char when[32], head[96];
	struct tm tm;

	gmtime_r(&second, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	put(&line, head,
		snprintf(head, sizeof(head),
		format == LOG_FORMAT_JSON ? "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"msg\":\""
		: "%s.%03dZ %-5s ", when, (int)(when_ms % 1000), names[level]));
	put_text(&line, text, format == LOG_FORMAT_JSON);
	line.size = size;
	if (format == LOG_FORMAT_JSON)
		put(&line, "\"}", 2);
	buf[line.len++] = '\n';
	return line.len;
}

static ssize_t put_bytes(const char *bytes, size_t len)
{
	struct pollfd room = { .fd = out.fd, .events = POLLOUT };

	if (out.way == WAY_SOCKET)
		return send(out.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* A pipe that says so takes PIPE_BUF bytes at once (pipe(7)). */
	if (out.way == WAY_ASK && (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT)))
		return -1;
	return write(out.fd, bytes, out.way == WAY_ASK && len > 4096 ? 4096 : len);
}

/* What is left of the line before comes first. */
static bool put_rest(void)
{
	ssize_t n = out.rest_len ? put_bytes(out.rest, out.rest_len) : 0;

	if (n > 0) {
		out.rest_len -= n;
		memmove(out.rest, out.rest + n, out.rest_len);
	}
	return !out.rest_len;
}

/* Returns false if the line does not fit now. */
static bool put_line(const char *line, size_t len)
{
	ssize_t n = put_rest() ? put_bytes(line, len) : -1;

	if (n < 0)
		return false;
	out.rest_len = len - n;
	memcpy(out.rest, line + n, out.rest_len);
	return true;
}

static int64_t unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void tell_dropped(void)
{
	char text[120], line[256];
	const uint64_t count = out.dropped - out.told;
	size_t len;

	if (!count)
		return;
	snprintf(text, sizeof(text), "%llu log lines were dropped: standard error was full",
		(unsigned long long)count);
	len = log_format_line(get_format(), LOG_LEVEL_WARN, unix_ms(), text, line, sizeof(line));
	if (put_line(line, len))
		out.told += count;
}

static void put_or_drop(const char *line, size_t len)
{
	if (out.way == WAY_STDIO) {
		fwrite(line, 1, len, stderr);
		return;
	}
	/* the datapath is loaded by a thread of its own; nobody waits in here */
	pthread_mutex_lock(&out_lock);
	tell_dropped();
	if (out.told != out.dropped || !put_line(line, len))
		out.dropped++;
	pthread_mutex_unlock(&out_lock);
}

void log_never_block(void)
{
	struct stat st;
	int fd;

	if (out.way != WAY_STDIO)
		return;
	fflush(stderr);
	if (fstat(STDERR_FILENO, &st) || S_ISREG(st.st_mode)) {
		out.way = WAY_PLAIN;
	} else if (S_ISSOCK(st.st_mode)) {
		out.way = WAY_SOCKET;
	} else {
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		out.way = fd < 0 ? WAY_ASK : WAY_OWN;
		out.fd = fd < 0 ? STDERR_FILENO : fd;
	}
}

uint64_t log_get_dropped(void)
{
	return out.dropped;
}

static void write_line(enum log_level level, const char *fmt, va_list args)
{
	char text[TEXT_MAX], line[LINE_MAX_LEN];

	vsnprintf(text, sizeof(text), fmt, args);
	put_or_drop(line, log_format_line(get_format(), level, unix_ms(), text, line, sizeof(line)));
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

void log_bridge_libbpf(void)
{
	libbpf_set_print(from_libbpf);
}
