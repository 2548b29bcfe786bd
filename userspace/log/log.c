// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Log lines: time, level, text. Secrets have a type of their own and no formatter, so none can get here by accident.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "log/log.h"

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

static void write_line(enum log_level level, const char *fmt, va_list args)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char line[2048], when[32];
	struct timespec now;
	struct tm tm;
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	len = snprintf(line, sizeof(line), "%s.%03ldZ %-5s ", when, now.tv_nsec / 1000000, names[level]);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, args);
	len = strcspn(line, "\n");	/* one event, one line */
	line[len] = '\n';
	fwrite(line, 1, len + 1, stderr);
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
