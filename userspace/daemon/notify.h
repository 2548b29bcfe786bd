/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a service manager is told: ready, reloading, stopping, a line of status, and that the loop turns
 * (sd_notify(3)). The protocol is one datagram of NAME=VALUE lines; a sender of our own spares the libraries
 * that libsystemd brings along.
 */
#ifndef TALON_DAEMON_NOTIFY_H
#define TALON_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "loop/loop.h"

#define NOTIFY_STATUS_LEN 256

struct notify {
	int fd;				/* -1: nobody wants to know */
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t watchdog_ns;		/* a sign of life is due within this time; 0: none is */
	bool is_ready;
	struct loop *loop;
	struct loop_timer beat;		/* the loop's own: it comes only while the loop turns */
	char status[NOTIFY_STATUS_LEN];	/* said last */
};

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so that no child
 * speaks for us. Where they are missing or cannot be used, the other functions do nothing; a socket that
 * cannot be used is logged.
 */
void notify_open(struct notify *notify, struct loop *loop);
void notify_close(struct notify *notify);

/*
 * The start has succeeded: said once, by the first call that gets through, so call it now and then. Signs of
 * life begin.
 */
void notify_ready(struct notify *notify);
/* Around a reload, also around one that is refused. Before notify_ready() they do nothing. */
void notify_reload_begin(struct notify *notify);
void notify_reload_end(struct notify *notify);
void notify_stopping(struct notify *notify);
/* One line for people; sent if it is another than before. */
void notify_status(struct notify *notify, const char *line);

#endif
