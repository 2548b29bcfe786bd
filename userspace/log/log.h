/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line per event, to standard error and wherever else log_set_targets() is told: text, or JSON where
 * NB_LOG_FORMAT says so. Where standard error is the journal's, a line has a priority ("<6>") in place of
 * time and level, which the journal keeps by itself.
 */
#ifndef TALON_LOG_H
#define TALON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Messages above @level are not written. The default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
/*
 * Without a call, NB_LOG_FORMAT ("json", "text") of the environment is asked at the first line; text if it
 * says nothing we know.
 */
void log_set_format(enum log_format format);

/*
 * From now on a standard error that is full (a pipe whose reader stands still, a terminal that is stopped)
 * costs lines, never time: what does not fit is dropped and counted, and a line says so as soon as one fits
 * again. Others who write to the same pipe are not affected.
 */
void log_never_block(void);
#define LOG_TARGETS_LEN	1024
/*
 * From now on lines go to all of @list: "console", "syslog" and paths, with commas; "" is the console. Files
 * are opened for appending, also those that were open already, so that one that was renamed is begun anew; no
 * line is lost on the way. A full disk costs lines, which are counted, and never time. Returns 0, or a
 * negative errno with one line in @why, and then everything is as it was.
 */
int log_set_targets(const char *list, char *why, size_t size);
/*
 * A file that reaches @bytes becomes NAME.old, in place of an earlier one, and is begun anew. 0: none does.
 */
void log_set_max_size(uint64_t bytes);
/* Opens the same files again, as after logrotate(8) renamed them. */
int log_reopen(char *why, size_t size);
/* Whether standard error leads to systemd's journal. */
bool log_is_journal(void);
/* Lines that were dropped, ever. */
uint64_t log_get_dropped(void);

/* Routes messages of libbpf and libxdp here if the level is debug: warnings as info, the others as debug. */
void log_bridge_libbpf(void);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same for what can come often: LOG_LIMIT_LINES lines, then silence until LOG_LIMIT_NS after the first of
 * them; the next line says how many were left out. @limit starts as zeros and belongs to one kind of event.
 */
#define LOG_LIMIT_LINES	5
#define LOG_LIMIT_NS	60000000000ULL

struct log_limit {
	uint64_t since_ns;
	uint32_t lines;
	uint32_t left_out;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

#define log_err(...)	log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)	log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)	log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Whether @limit lets a line through at @now_ns; how many were left out before it. For tests. */
bool log_limit_take(struct log_limit *limit, uint64_t now_ns, uint32_t *ret_left_out);
/* The line that would be written, with its newline. Returns its length. For tests. */
size_t log_format_line(enum log_format format, enum log_level level, int64_t unix_ms, const char *text,
	char *line, size_t size);

#endif
