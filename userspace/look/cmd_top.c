// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon top: rates of the node, its peers and destinations, again and again.
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/slice.h"
#include "look/look.h"
#include "config/value.h"
#include "log/log.h"
#include "top/flows.h"
#include "top/terminal.h"
#include "top/top.h"

#define INTERVAL_MIN_MS	100
#define INTERVAL_MAX_MS	3600000

struct options {
	struct config config;		/* only its pin_dir and log_level */
	__u32 interval_ms;
	__u32 count;			/* 0: without end */
	bool is_once, is_json;
	enum top_order order;
};

struct top {
	struct cli *cli;
	const struct options *o;
	struct terminal terminal;
	struct top_destinations *destinations;
	struct status before, now;
	bool has_before, has_now;
	struct top_view view;
	bool has_view;
	char why[CONFIG_WHY_LEN];	/* why there is no view */
};

/* Seconds with up to three decimals. Returns 0 or -EINVAL. */
static int parse_interval(const char *text, __u32 *ret_ms)
{
	struct slice rest = slice_from(text), whole = slice_cut(&rest, ".");
	bool has_point = strchr(text, '.');
	__u32 seconds, part = 0;

	if (value_number(whole, 0, INTERVAL_MAX_MS / 1000, &seconds))
		return -EINVAL;
	if (has_point && (rest.len > 3 || value_number(rest, 0, 999, &part)))
		return -EINVAL;
	for (size_t len = rest.len; has_point && len < 3; len++)
		part *= 10;
	if (seconds * 1000 + part < INTERVAL_MIN_MS || seconds * 1000 + part > INTERVAL_MAX_MS)
		return -EINVAL;
	*ret_ms = seconds * 1000 + part;
	return 0;
}

static int take_value(struct cli *cli, struct options *o, const char *name, const char *value)
{
	const char *form = "rate, packets or drops";
	unsigned int i;

	if (!strcmp(name, "interval")) {
		form = "seconds from 0.1 to 3600, with at most three decimals";
		if (!parse_interval(value, &o->interval_ms))
			return CLI_OK;
	} else if (!strcmp(name, "count")) {
		form = "a number from 1 to 1000000000";
		if (!value_number(slice_from(value), 1, 1000000000, &o->count))
			return CLI_OK;
	} else if (!value_word(slice_from(value), top_orders, &i)) {
		o->order = i;
		return CLI_OK;
	}
	return cli_fail(cli, CLI_USAGE, "--%s: '%.40s' is not understood; expected %s", name, value, form);
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (name && (!strcmp(name, "interval") || !strcmp(name, "count") || !strcmp(name, "by"))) {
		value = cli_value(cli, name, value);
		return value ? take_value(cli, o, name, value) : CLI_USAGE;
	}
	if (name && !value && !strcmp(name, "once")) {
		o->is_once = true;
		return CLI_OK;
	}
	if (name && !value && !strcmp(name, "json")) {
		o->is_json = true;
		return CLI_OK;
	}
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "top", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

static int count_destination(void *arg, const struct flows_seen *seen)
{
	const struct talon_flow *flow = &seen->flow;
	const struct talon_addr remote = flows_remote(seen);

	top_destinations_add(arg, &remote, flows_is_icmp(flow) ? 0 : flow->remote_port,
		flow->proto | (seen->is_six ? TALON_PROTO_SIX : 0));
	return 0;
}

/* Without them the rest is still worth showing: an error leaves the list empty. */
static void read_destinations(struct top *top)
{
	struct flows_source source;
	struct flows_maps maps;
	__u64 unsettled;
	__u32 used;

	top_destinations_clear(top->destinations);
	if (!top->now.nat.live || flows_maps_open(&maps, top->o->config.pin_dir, top->why, sizeof(top->why)))
		return;
	source = flows_maps_source(&maps);
	if (!flows_maps_used(&maps, &used))
		flows_walk(&source, used, count_destination, top->destinations, &unsettled);
	flows_maps_close(&maps);
	top->view.destination_count = top_destinations_best(top->destinations, top->view.destinations,
		TOP_DESTINATIONS_SHOWN, &top->view.lowered);
}

static void forget_view(struct top *top)
{
	if (top->has_view)
		top_view_free(&top->view);
	top->has_view = false;
}

/* Takes a sample and compares it with the one before. Returns 0, or a negative errno with top->why. */
static int sample(struct top *top)
{
	int ret;

	forget_view(top);
	if (top->has_before)
		status_free(&top->before);
	top->before = top->now;
	top->has_before = top->has_now;
	top->has_now = false;
	ret = status_read(&top->now, top->o->config.pin_dir, top->why, sizeof(top->why));
	if (ret)
		return ret;
	top->has_now = true;
	if (top_view_make(&top->view, top->has_before ? &top->before : NULL, &top->now, top->o->order)) {
		snprintf(top->why, sizeof(top->why), "out of memory");
		return -ENOMEM;
	}
	top->has_view = true;
	read_destinations(top);
	return 0;
}

/* Returns enum cli_exit. */
static int print(struct top *top)
{
	struct top_screen screen = terminal_screen(top->cli->out);
	FILE *out = top->cli->out;

	if (!top->terminal.is_drawn) {
		screen.rows = 0;
		screen.is_terminal = false;
	}
	if (top->has_view && top->o->is_json)
		top_print_json(out, &top->view);
	else if (top->has_view)
		top_print(out, &top->view, &screen);
	else if (top->o->is_json)
		top_print_json_why(out, top->why);
	else
		top_print_why(out, top->why, &screen);
	return fflush(out) || ferror(out) ? CLI_FAILED : CLI_OK;
}

/* Until it is time for the next sample, or for the end: then it returns false. */
static bool wait_for(struct top *top, __u64 deadline_ns)
{
	for (;;) {
		switch (terminal_wait(&top->terminal, deadline_ns)) {
		case TERMINAL_TIME:
			return true;
		case TERMINAL_QUIT:
			return false;
		case TERMINAL_REDRAW:
			if (print(top))
				return false;
		}
	}
}

/*
 * The datapath may go, and come back as another one, whose counters begin anew. A slow reader or a large
 * table must not make samples pile up: the next one comes an interval after the last one was due, or later.
 */
static int go_on(struct top *top)
{
	const __u64 interval_ns = top->o->interval_ms * 1000000ULL;
	__u32 left = top->o->is_once ? 1 : top->o->count;
	__u64 due_ns = clock_mono_ns();
	int code = CLI_OK;

	if (top->terminal.is_drawn)
		code = print(top);
	while (!code) {
		due_ns += interval_ns;
		if (due_ns < clock_mono_ns())
			due_ns = clock_mono_ns();
		if (!wait_for(top, due_ns))
			break;
		sample(top);
		code = print(top);
		if (left && !--left)
			break;
	}
	return code;
}

static int run(struct cli *cli, const struct options *o)
{
	struct top top = { .cli = cli, .o = o };
	int code;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	top.destinations = top_destinations_new();
	if (!top.destinations)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (sample(&top)) {
		code = cli_fail(cli, CLI_FAILED, "%s", top.why);
	} else {
		terminal_begin(&top.terminal, cli->out, terminal_is(cli->out) && !o->is_json && !o->is_once);
		code = go_on(&top);
		terminal_end(&top.terminal);
	}
	forget_view(&top);
	if (top.has_before)
		status_free(&top.before);
	if (top.has_now)
		status_free(&top.now);
	top_destinations_free(top.destinations);
	return code;
}

int cli_top(struct cli *cli)
{
	struct options o = { .interval_ms = 1000 };
	const char *name, *value;
	int code = CLI_OK;

	config_init(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && o.is_once && o.count)
		code = cli_fail(cli, CLI_USAGE,
			"top: --once and --count exclude each other; write one of them");
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
