/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One line per event, to standard error. */
#ifndef TALON_LOG_H
#define TALON_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Messages above @level are not written. The default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Routes libbpf's and libxdp's messages here, one level quieter than they ask for. */
void log_bridge_libbpf(void);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)	log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)	log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)	log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
