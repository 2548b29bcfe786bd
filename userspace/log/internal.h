/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One place where log lines go: standard error, a file, or the host's syslog. Shared by the files of log/. */
#ifndef TALON_LOG_INTERNAL_H
#define TALON_LOG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX	2048
#define HEAD_MAX	128
#define LINE_MAX_LEN	(6 * TEXT_MAX + HEAD_MAX)	/* each byte may become six */
#define TARGETS_MAX	4

enum target_kind { TARGET_CONSOLE, TARGET_FILE, TARGET_SYSLOG };

enum target_form {
	FORM_PLAIN,	/* time, level, text */
	FORM_JOURNAL,	/* "<6>", text: sd-daemon(3) */
	FORM_SYSLOG,	/* "<30>", time, name, text: RFC 3164 */
};

/* How not to wait where lines go. */
enum way {
	WAY_STDIO,	/* nobody minds waiting */
	WAY_PLAIN,	/* a file: takes what it gets, or says at once that the disk is full */
	/* a description of our own that does not block: that of stderr is shared with whoever started us */
	WAY_OWN,
	WAY_SOCKET,
	WAY_ASK,	/* no such description is to be had: asked first */
};

struct target {
	enum target_kind kind;
	enum way way;
	int fd;				/* -1: a syslog that is gone for now */
	uint64_t dropped;		/* lines, ever */
	uint64_t told;			/* of them */
	size_t rest_len;		/* of a line that went out by half */
	char rest[LINE_MAX_LEN];
	const char *name;		/* a path, or words for people */
	char *path;			/* of a file; owned */
	uint64_t size;			/* of a regular one, about; 0: of another kind */
};

/* A file that reaches this size is begun anew; 0: none is. */
extern uint64_t target_max_size;

/*
 * @name: "syslog" or a path, whose file and folders are made if they are missing. One line in @why on error.
 */
int target_open(const char *name, struct target **ret_target, char *why, size_t size);
/* NULL is allowed. */
void target_close(struct target *target);
/* What is written to standard error from now on never waits. */
void target_never_block(struct target *target);
/* Where @fresh is the same place as @old: what was dropped there is still to be told. */
void target_continue(struct target *fresh, struct target *old);
/* Returns false if the line does not fit now. */
bool target_put_line(struct target *target, const char *line, size_t len);

#endif
