// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon drops: the counters of dropped packets, or each of them as it happens.
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "look/look.h"
#include "config/value.h"
#include "datapath/datapath.h"
#include "log/log.h"
#include "status/status.h"
#include "watch/drops.h"
#include "watch/lease.h"
#include "watch/peer.h"
#include "watch/ring.h"
#include "watch/stop.h"

/* of each CPU: room for as many samples as the programs write at once */
#define RING_BYTES	(32U << 10)
#define POLL_MS		50

struct options {
	struct config config;		/* only its pin_dir and log_level */
	struct drops_filter filter;
	const char *peer;
	__u32 count;			/* lines; 0: no end */
	bool follow, json;
};

/* What a run of --follow needs for each line. */
struct following {
	struct cli *cli;
	const struct options *o;
	struct watch watch;
	int peers;			/* map "peer_info" */
	uint32_t peer;			/* the only one of interest, with this key; or TALON_PEER_NONE */
	__u8 key[WG_KEY_LEN];
	bool peer_is_gone;
	uint64_t unix_minus_boot_ns;
	uint64_t counts[TALON_WATCH_COUNT_COUNT];	/* as last told of */
	__u32 shown;
};

static int take_words(struct cli *cli, struct options *o, const char *name, const char *value)
{
	bool is_reason = !strcmp(name, "reason");
	struct slice wrong;
	int ret;

	value = cli_value(cli, name, value);
	if (!value)
		return CLI_USAGE;
	ret = is_reason ? drops_filter_reasons(&o->filter, value, &wrong)
		: drops_filter_dirs(&o->filter, value, &wrong);
	if (!ret)
		return CLI_OK;
	return cli_fail(cli, CLI_USAGE, "--%s: '%.*s' is not a %s; expected %s", name,
		(int)(wrong.len < 40 ? wrong.len : 40), wrong.at, name,
		is_reason ? "labels of drops as docs/status.md lists them, such as bad_tag,no_route"
		: "in, out or tunnel");
}

static int take_count(struct cli *cli, struct options *o, const char *value)
{
	value = cli_value(cli, "count", value);
	if (!value)
		return CLI_USAGE;
	if (value_number(slice_from(value), 1, 1000000000, &o->count))
		return cli_fail(cli, CLI_USAGE,
			"--count: '%.40s' is not a number of lines; expected 1-1000000000", value);
	return CLI_OK;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (name && !value && (!strcmp(name, "f") || !strcmp(name, "follow"))) {
		o->follow = true;
		return CLI_OK;
	}
	if (name && !value && !strcmp(name, "json")) {
		o->json = true;
		return CLI_OK;
	}
	if (name && (!strcmp(name, "reason") || !strcmp(name, "direction")))
		return take_words(cli, o, name, value);
	if (name && !strcmp(name, "count"))
		return take_count(cli, o, value);
	if (name && !strcmp(name, "peer")) {
		o->peer = cli_value(cli, name, value);
		return o->peer ? CLI_OK : CLI_USAGE;
	}
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "drops", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

/* Whether the peer that was asked for still has its slot. */
static bool is_that_peer(const struct following *f, const struct talon_peer_info *info)
{
	return info->present && !memcmp(info->public_key, f->key, sizeof(f->key));
}

static void show(void *ctx, const void *record, size_t size)
{
	const struct talon_drop_sample *sample = record;
	struct talon_peer_info info;
	char device[IF_NAMESIZE];
	struct drops_line line = { .sample = sample };
	struct following *f = ctx;

	if (size < sizeof(*sample) || (f->o->count && f->shown == f->o->count))
		return;
	if (sample->peer != TALON_PEER_NONE && !bpf_map_lookup_elem(f->peers, &sample->peer, &info) &&
		info.present)
		line.peer = &info;
	if (f->peer != TALON_PEER_NONE && !(line.peer && is_that_peer(f, &info)))
		return;
	line.device = if_indextoname(sample->ifindex, device) ?: "";
	line.unix_ns = sample->time_ns + f->unix_minus_boot_ns;
	f->shown++;
	if (f->o->json)
		drops_write_line_json(f->cli->out, &line);
	else
		drops_print_line(f->cli->out, &line);
}

/* Of the drops that were wanted, those that did not come through. */
static void show_missed(struct following *f)
{
	uint64_t now[TALON_WATCH_COUNT_COUNT], limited, lost;

	if (watch_read_counts(&f->watch, now))
		return;
	limited = now[TALON_WATCH_DROPS_LIMITED] - f->counts[TALON_WATCH_DROPS_LIMITED];
	lost = now[TALON_WATCH_DROPS_LOST] - f->counts[TALON_WATCH_DROPS_LOST];
	memcpy(f->counts, now, sizeof(now));
	if (!limited && !lost)
		return;
	if (f->o->json)
		drops_write_missed_json(f->cli->out, limited, lost);
	else
		drops_print_missed(f->cli->out, limited, lost);
}

/* Returns 0, or a negative errno that ends it: -ENOENT if the datapath is gone, -EPIPE if the reader is. */
static int each_second(struct following *f)
{
	struct talon_peer_info info;
	int ret = watch_renew(&f->watch);

	if (ret)
		return ret;
	f->unix_minus_boot_ns = clock_unix_ns() - clock_boot_ns();
	f->peer_is_gone = f->peer != TALON_PEER_NONE &&
		(bpf_map_lookup_elem(f->peers, &f->peer, &info) || !is_that_peer(f, &info));
	show_missed(f);
	return watch_reader_is_gone(f->cli->out) ? -EPIPE : 0;
}

static int run_ring(struct following *f, struct watch_ring *ring)
{
	uint64_t next_ns = clock_boot_ns() + TALON_NSEC_PER_SEC;
	int ret = 0;

	while (!ret && !watch_is_stopped() && !f->peer_is_gone && !(f->o->count && f->shown == f->o->count)) {
		ret = watch_ring_poll(ring, POLL_MS);
		if (ret == -EINTR)
			ret = 0;
		if (!ret && clock_boot_ns() >= next_ns) {
			next_ns = clock_boot_ns() + TALON_NSEC_PER_SEC;
			ret = each_second(f);
		}
		if (fflush(f->cli->out) || ferror(f->cli->out))
			ret = -EPIPE;
	}
	watch_end(&f->watch);
	if (ret == -EPIPE)
		return CLI_OK;		/* who read has seen enough */
	watch_ring_flush(ring);
	show_missed(f);
	if (ret == -ENOENT)
		return cli_fail(f->cli, CLI_FAILED, "drops: the datapath was removed or replaced");
	if (ret)
		return cli_fail(f->cli, CLI_FAILED, "drops: %s", strerror(-ret));
	if (f->peer_is_gone)
		return cli_fail(f->cli, CLI_FAILED, "drops: the peer was removed");
	return CLI_OK;
}

static int follow(struct following *f)
{
	const struct talon_watch what = { .reasons = f->o->filter.reasons, .dirs = f->o->filter.dirs,
		.peer = f->peer };
	char why[CONFIG_WHY_LEN];
	struct watch_ring *ring;
	int ret, code;

	if (watch_ring_open(&ring, f->watch.ring, RING_BYTES, show, f, why, sizeof(why)))
		return cli_fail(f->cli, CLI_FAILED, "drops: %s", why);
	f->unix_minus_boot_ns = clock_unix_ns() - clock_boot_ns();
	watch_catch_signals();
	ret = watch_read_counts(&f->watch, f->counts);
	if (!ret)
		ret = watch_begin(&f->watch, &what);
	code = ret ? cli_fail(f->cli, CLI_FAILED, "drops: %s", strerror(-ret)) : run_ring(f, ring);
	watch_ring_free(ring);
	return code;
}

static int run_follow(struct cli *cli, const struct options *o, const struct status *status)
{
	struct following f = { .cli = cli, .o = o, .peer = TALON_PEER_NONE };
	const struct status_peer *peer;
	char why[CONFIG_WHY_LEN];
	int code;

	if (o->peer) {
		if (watch_find_peer(status, o->peer, &peer, why, sizeof(why)))
			return cli_fail(cli, CLI_USAGE, "--peer: %s", why);
		f.peer = peer->id;
		memcpy(f.key, peer->info.public_key, sizeof(f.key));
	}
	if (watch_open(&f.watch, o->config.pin_dir, TALON_WATCH_DROPS, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "drops: %s", why);
	f.peers = datapath_map_open(o->config.pin_dir, DATAPATH_MAP_PEER_INFO);
	code = f.peers < 0 ? cli_fail(cli, CLI_FAILED, "drops: %s", strerror(-f.peers)) : follow(&f);
	if (f.peers >= 0)
		close(f.peers);
	watch_close(&f.watch);
	return code;
}

static int run(struct cli *cli, const struct options *o)
{
	char why[CONFIG_WHY_LEN];
	struct status status;
	int code = CLI_OK;

	if (!o->follow && (o->peer || o->count))
		return cli_fail(cli, CLI_USAGE,
			"drops: --%s needs -f: the counters are those of the whole host",
			o->peer ? "peer" : "count");
	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	if (status_read(&status, o->config.pin_dir, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	if (o->follow)
		code = run_follow(cli, o, &status);
	else if (o->json)
		drops_write_counters_json(cli->out, &status, &o->filter);
	else
		drops_print_counters(cli->out, &status, &o->filter);
	status_free(&status);
	return code;
}

int cli_drops(struct cli *cli)
{
	struct options o = { .filter = DROPS_ALL };
	const char *name, *value;
	int code = CLI_OK;

	config_init(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
