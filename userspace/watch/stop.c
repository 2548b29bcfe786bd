// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Signals and lost readers, for commands that run until somebody ends them.
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "watch/stop.h"

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
	is_stopped = 1;
}

void watch_catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = stop };	/* no SA_RESTART: waiting ends at once */

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

bool watch_is_stopped(void)
{
	return is_stopped;
}

bool watch_reader_is_gone(FILE *out)
{
	struct pollfd fd = { .fd = fileno(out) };

	return fd.fd >= 0 && poll(&fd, 1, 0) > 0 && (fd.revents & POLLERR);
}
