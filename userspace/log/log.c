// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Log lines: time, level, text. Secrets have a type of their own and no formatter, so none can get here by accident.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "log/log.h"

#define TEXT_MAX 2048
#define LINE_MAX_LEN (6 * TEXT_MAX + 128)	/* each byte may become six */

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
	unsigned len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (unsigned i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
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

/* Texts may quote what others sent: nothing that moves a terminal's cursor or ends a line or a JSON string gets through. */
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

size_t log_format_line(enum log_format format, enum log_level level, int64_t unix_ms, const char *text, char *buf, size_t size)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	struct line line = { .text = buf, .size = size - 2 };
	const time_t second = unix_ms / 1000;
	char when[32], head[96];
	struct tm tm;

	gmtime_r(&second, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	put(&line, head, snprintf(head, sizeof(head), format == LOG_FORMAT_JSON ? "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"msg\":\"" : "%s.%03dZ %-5s ",
				  when, (int)(unix_ms % 1000), names[level]));
	put_text(&line, text, format == LOG_FORMAT_JSON);
	line.size = size;
	if (format == LOG_FORMAT_JSON)
		put(&line, "\"}", 2);
	buf[line.len++] = '\n';
	return line.len;
}

static void write_line(enum log_level level, const char *fmt, va_list args)
{
	char text[TEXT_MAX], line[LINE_MAX_LEN];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	vsnprintf(text, sizeof(text), fmt, args);
	fwrite(line, 1, log_format_line(get_format(), level, now.tv_sec * 1000LL + now.tv_nsec / 1000000, text, line, sizeof(line)), stderr);
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
