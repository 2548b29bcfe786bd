// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon flows: lists the live NAT flows from the pinned maps.
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/slice.h"
#include "look/look.h"
#include "config/value.h"
#include "log/log.h"
#include "top/flows.h"

struct options {
	struct config config;		/* only its pin_dir and log_level */
	struct flows_filter filter;
	const char *peer;		/* NULL: any */
	__u32 limit;			/* 0: none */
	enum flows_order order;
	bool is_reverse;
	bool is_json;
};

/* What a walk over the table fills. */
struct listing {
	struct cli *cli;
	const struct options *o;
	const struct status *status;
	struct json_out json;
	struct flows_room room;
	struct flows_best best;
	struct flows_totals totals;
};

static int bad_value(struct cli *cli, const char *flag, const char *value, const char *form)
{
	return cli_fail(cli, CLI_USAGE, "--%s: '%.60s' is not understood; expected %s", flag, value, form);
}

static int take_end(struct cli *cli, const char *flag, const char *value, struct flows_end *end)
{
	if (!flows_end_parse(value, end))
		return CLI_OK;
	return bad_value(cli, flag, value,
		"an ADDRESS or ADDRESS/LENGTH, either of them with :PORT, or :PORT alone; IPv6 with a "
		"port in brackets");
}

static int take_proto(struct cli *cli, const char *value, __u8 *proto)
{
	static const char *const words[] = { "tcp", "udp", "icmp", NULL };
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	unsigned int i;

	if (value_word(slice_from(value), words, &i))
		return bad_value(cli, "proto", value, "tcp, udp or icmp");
	*proto = protos[i];
	return CLI_OK;
}

static int take_state(struct cli *cli, const char *value, enum flows_state *state)
{
	unsigned int i;

	if (value_word(slice_from(value), flows_states, &i))
		return bad_value(cli, "state", value, "new, established, closing or reset");
	*state = i;
	return CLI_OK;
}

static int take_order(struct cli *cli, const char *value, enum flows_order *order)
{
	unsigned int i;

	if (value_word(slice_from(value), flows_orders, &i))
		return bad_value(cli, "sort", value, "idle, left, client, remote, snat or peer");
	*order = FLOWS_BY_IDLE + i;
	return CLI_OK;
}

static int take_limit(struct cli *cli, const char *value, __u32 *limit)
{
	if (value_number(slice_from(value), 1, TALON_FLOWS_MAX, limit))
		return bad_value(cli, "limit", value, "a number from 1 to 1048576");
	return CLI_OK;
}

static int take_value(struct cli *cli, struct options *o, const char *name, const char *value)
{
	if (!strcmp(name, "peer")) {
		o->peer = value;
		return CLI_OK;
	}
	if (!strcmp(name, "src"))
		return take_end(cli, name, value, &o->filter.src);
	if (!strcmp(name, "dst"))
		return take_end(cli, name, value, &o->filter.dst);
	if (!strcmp(name, "snat"))
		return take_end(cli, name, value, &o->filter.snat);
	if (!strcmp(name, "proto"))
		return take_proto(cli, value, &o->filter.proto);
	if (!strcmp(name, "state"))
		return take_state(cli, value, &o->filter.state);
	if (!strcmp(name, "sort"))
		return take_order(cli, value, &o->order);
	return take_limit(cli, value, &o->limit);
}

static bool wants_value(const char *name)
{
	static const char *const names[] = { "peer", "src", "dst", "snat", "proto", "state", "sort",
		"limit" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (name && wants_value(name)) {
		value = cli_value(cli, name, value);
		return value ? take_value(cli, o, name, value) : CLI_USAGE;
	}
	if (name && !value && !strcmp(name, "json")) {
		o->is_json = true;
		return CLI_OK;
	}
	if (name && !value && !strcmp(name, "reverse")) {
		o->is_reverse = true;
		return CLI_OK;
	}
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "flows", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

/* What depends on more than one option. */
static int check_options(struct cli *cli, const struct options *o)
{
	if (o->is_reverse && !o->order)
		return cli_fail(cli, CLI_USAGE,
			"--reverse: needs --sort; without it flows come as they lie in the table");
	if (o->order && o->limit > FLOWS_SORTED_MAX)
		return cli_fail(cli, CLI_USAGE,
			"--limit: at most %u flows can be sorted; write less, or leave --sort out",
			FLOWS_SORTED_MAX);
	return CLI_OK;
}

static int show(struct listing *l, const struct flows_row *row)
{
	l->totals.shown++;
	if (l->o->is_json)
		flows_json_row(&l->json, l->status, row);
	else
		flows_print_row(l->cli->out, l->status, row);
	return ferror(l->cli->out) ? -EIO : 0;
}

static int look(void *arg, const struct flows_seen *seen)
{
	struct listing *l = arg;
	struct flows_row row = { .seen = *seen };

	if (!flows_match(&l->o->filter, seen))
		return 0;
	l->totals.matching++;
	row.facts = flows_describe(seen, &l->room);
	if (l->o->order) {
		flows_best_add(&l->best, &row);
		return 0;
	}
	return l->o->limit && l->totals.shown >= l->o->limit ? 0 : show(l, &row);
}

static int walk(struct listing *l, struct flows_maps *maps)
{
	const struct flows_source source = flows_maps_source(maps);
	__u32 used;
	int ret = flows_maps_used(maps, &used);

	if (!ret)
		ret = flows_walk(&source, used, look, l, &l->totals.unsettled);
	if (l->o->order)
		flows_best_sort(&l->best);
	for (size_t i = 0; i < l->best.count && !ret; i++)
		ret = show(l, &l->best.rows[i]);
	return ret;
}

static int list(struct listing *l, struct flows_maps *maps)
{
	int ret;

	if (l->o->is_json)
		flows_json_head(&l->json);
	else
		flows_print_head(l->cli->out);
	ret = walk(l, maps);
	if (ret == -EIO && ferror(l->cli->out))
		return CLI_FAILED;	/* whoever reads has gone, or the disk is full: main() says so */
	if (ret)
		return cli_fail(l->cli, CLI_FAILED, "cannot read map flows: %s", strerror(-ret));
	if (l->o->is_json)
		flows_json_foot(&l->json, l->status, &l->totals);
	else
		flows_print_foot(l->cli->out, l->status, &l->totals);
	return CLI_OK;
}

/* Marks the peers that --peer names, by slot. Returns enum cli_exit. */
static int pick_peers(struct listing *l, struct options *o, bool **ret_peers)
{
	bool *peers;

	if (!o->peer)
		return CLI_OK;
	peers = calloc(l->room.peer_slots, sizeof(*peers));
	if (!peers)
		return cli_fail(l->cli, CLI_FAILED, "out of memory");
	o->filter.peers = *ret_peers = peers;
	o->filter.peer_slots = l->room.peer_slots;
	if (flows_pick_peers(l->status, o->peer, peers, l->room.peer_slots))
		return CLI_OK;
	return cli_fail(l->cli, CLI_FAILED,
		"--peer: '%.60s' is no peer here; expected its public key, its name or an address of its",
		o->peer);
}

static int make_room(struct listing *l, const struct options *o)
{
	l->best.order = o->order;
	l->best.is_reverse = o->is_reverse;
	l->best.room = !o->order ? 0 : o->limit ? o->limit : FLOWS_SORTED_MAX;
	l->best.rows = l->best.room ? calloc(l->best.room, sizeof(*l->best.rows)) : NULL;
	if (l->best.room && !l->best.rows)
		return cli_fail(l->cli, CLI_FAILED, "out of memory");
	return CLI_OK;
}

static int run_with_maps(struct listing *l, struct options *o, struct flows_maps *maps)
{
	char why[CONFIG_WHY_LEN];
	bool *peers = NULL;
	__u32 *held;
	int slots, code;

	slots = flows_read_held(o->config.pin_dir, &held, why, sizeof(why));
	if (slots < 0)
		return cli_fail(l->cli, CLI_FAILED, "%s", why);
	l->room.peer_held = held;
	l->room.peer_slots = slots;
	code = pick_peers(l, o, &peers);
	if (!code)
		code = make_room(l, o);
	if (!code)
		code = list(l, maps);
	free(l->best.rows);
	free(peers);
	free(held);
	return code;
}

static int run(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN];
	struct flows_maps maps;
	struct status status;
	struct listing l = { .cli = cli, .o = o, .status = &status, .json = { cli->out, true } };
	int code;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	if (status_read(&status, o->config.pin_dir, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	l.room.flow_count = status.config.flow_count;
	l.room.held = status.nat.held;
	if (flows_maps_open(&maps, o->config.pin_dir, why, sizeof(why))) {
		code = cli_fail(cli, CLI_FAILED, "%s", why);
	} else {
		code = run_with_maps(&l, o, &maps);
		flows_maps_close(&maps);
	}
	status_free(&status);
	return code;
}

int cli_flows(struct cli *cli)
{
	struct options o = { .filter.state = FLOWS_NO_STATE };
	const char *name, *value;
	int code = CLI_OK;

	config_init(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code)
		code = check_options(cli, &o);
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
