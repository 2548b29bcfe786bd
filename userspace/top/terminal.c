// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A terminal that is drawn anew every now and then, and left as it was found.
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "top/terminal.h"

#define CLEAR		"\x1b[H\x1b[2J"
#define HIDE_CURSOR	"\x1b[?25l"
#define SHOW_CURSOR	"\x1b[?25h"

bool terminal_is(FILE *out)
{
	int fd = fileno(out);

	return fd >= 0 && isatty(fd);
}

struct top_screen terminal_screen(FILE *out)
{
	struct top_screen screen = { .columns = 80, .rows = 24, .is_terminal = true };
	struct winsize size;

	if (!terminal_is(out))
		return (struct top_screen){};
	if (!ioctl(fileno(out), TIOCGWINSZ, &size) && size.ws_col && size.ws_row) {
		screen.columns = size.ws_col;
		screen.rows = size.ws_row;
	}
	return screen;
}

static void watched(sigset_t *set)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH };

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(set, signals[i]);
}

void terminal_begin(struct terminal *terminal, FILE *out, bool draw)
{
	sigset_t set;

	*terminal = (struct terminal){ .out = out, .is_drawn = draw };
	if (!draw)
		return;
	watched(&set);
	sigprocmask(SIG_BLOCK, &set, &terminal->mask_before);
	fputs(HIDE_CURSOR CLEAR, out);
}

void terminal_end(struct terminal *terminal)
{
	if (!terminal->is_drawn)
		return;
	fputs(SHOW_CURSOR "\n", terminal->out);
	fflush(terminal->out);
	sigprocmask(SIG_SETMASK, &terminal->mask_before, NULL);
	terminal->is_drawn = false;
}

/* The shell gets a cursor while we are stopped. */
static void stop_and_go_on(struct terminal *terminal)
{
	fputs(SHOW_CURSOR "\n", terminal->out);
	fflush(terminal->out);
	raise(SIGSTOP);
	fputs(HIDE_CURSOR CLEAR, terminal->out);
}

static void sleep_until(__u64 deadline_ns)
{
	const struct timespec deadline = { deadline_ns / TALON_NSEC_PER_SEC,
		deadline_ns % TALON_NSEC_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR)
		;
}

enum terminal_event terminal_wait(struct terminal *terminal, __u64 deadline_ns)
{
	__u64 now_ns = clock_mono_ns(), left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	const struct timespec left = { left_ns / TALON_NSEC_PER_SEC, left_ns % TALON_NSEC_PER_SEC };
	sigset_t set;

	if (!terminal->is_drawn) {
		sleep_until(deadline_ns);
		return TERMINAL_TIME;
	}
	watched(&set);
	switch (sigtimedwait(&set, NULL, &left)) {
	case SIGTSTP:
		stop_and_go_on(terminal);
		return TERMINAL_REDRAW;
	case SIGWINCH:
		return TERMINAL_REDRAW;
	case -1:
		return errno == EINTR ? TERMINAL_REDRAW : TERMINAL_TIME;
	default:
		return TERMINAL_QUIT;
	}
}
