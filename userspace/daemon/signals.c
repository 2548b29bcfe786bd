// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_signal(void *ctx, uint32_t events)
{
	struct signalfd_siginfo info;
	struct signals *s = ctx;

	while (read(s->fd, &info, sizeof(info)) > 0)
		s->heed(s->ctx, info.ssi_signo == SIGHUP);
}

int signals_open(struct signals *signals, struct loop *loop, void (*heed)(void *ctx, bool is_hangup),
	void *ctx)
{
	sigset_t set;

	signals->heed = heed;
	signals->ctx = ctx;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return signals->fd < 0 ? -errno : loop_fd_add(loop, &signals->watch, signals->fd, EPOLLIN, on_signal,
		signals);
}

void signals_close(struct signals *signals)
{
	if (signals->fd >= 0)
		close(signals->fd);
	signals->fd = -1;
}
