// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The service manager's protocol: datagrams to the socket that NOTIFY_SOCKET names, never waiting.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/notify.h"
#include "log/log.h"

#define BEATS	3	/* signs of life in the time that the manager allows */

/* A manager that does not read must not stop us. Returns whether it has the message, or wants none. */
static bool tell(struct notify *notify, const char *text)
{
	return notify->fd < 0 || sendto(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *)&notify->to, notify->to_len) >= 0;
}

/* A path, or a name with '@' in the first place, which stands for the zero of an abstract one (unix(7)). */
static bool parse_address(const char *name, struct sockaddr_un *to, socklen_t *ret_len)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(to->sun_path))
		return false;
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(to->sun_path, name, len);
	if (name[0] == '@')
		to->sun_path[0] = '\0';
	*ret_len = offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/');
	return true;
}

/* 0: no watchdog, or that of another process. */
static uint64_t read_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	char *end;
	uint64_t value;

	if (!usec || usec[0] < '0' || usec[0] > '9' || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	value = strtoull(usec, &end, 10);
	return *end || value > UINT64_MAX / 1000 ? 0 : value * 1000;
}

static void beat(void *ctx)
{
	struct notify *notify = ctx;

	tell(notify, "WATCHDOG=1");
	loop_timer_after(notify->loop, &notify->beat, notify->watchdog_ns / BEATS);
}

void notify_open(struct notify *notify, struct loop *loop)
{
	const char *name = getenv("NOTIFY_SOCKET");

	*notify = (struct notify){ .fd = -1, .loop = loop };
	loop_timer_init(&notify->beat, beat, notify);
	if (name && *name) {
		if (parse_address(name, &notify->to, &notify->to_len))
			notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		else
			log_warn("NOTIFY_SOCKET: '%.107s' is no path and no @name; the service manager is "
				"not told anything", name);
		if (notify->fd >= 0)
			notify->watchdog_ns = read_watchdog();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *notify)
{
	loop_timer_cancel(notify->loop, &notify->beat);
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

void notify_ready(struct notify *notify)
{
	if (notify->is_ready)
		return;
	notify->is_ready = tell(notify, "READY=1");
	if (notify->is_ready && notify->watchdog_ns)
		loop_timer_after(notify->loop, &notify->beat, 0);
}

void notify_reload_begin(struct notify *notify)
{
	char text[80];

	if (!notify->is_ready)
		return;
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_ns() / 1000);
	tell(notify, text);
}

void notify_reload_end(struct notify *notify)
{
	if (notify->is_ready)
		notify->is_ready = tell(notify, "READY=1");
}

void notify_stopping(struct notify *notify)
{
	tell(notify, "STOPPING=1");
}

void notify_status(struct notify *notify, const char *line)
{
	char text[NOTIFY_STATUS_LEN + 8], clean[NOTIFY_STATUS_LEN];

	snprintf(clean, sizeof(clean), "%s", line);
	for (char *c = clean; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';	/* a line feed would begin another variable */
	}
	if (!strcmp(notify->status, clean))
		return;
	memcpy(notify->status, clean, sizeof(clean));
	snprintf(text, sizeof(text), "STATUS=%s", clean);
	tell(notify, text);
}
