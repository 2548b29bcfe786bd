// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon capture: one peer's decrypted packets as a pcapng file.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sodium.h>

#include "base/clock.h"
#include "look/look.h"
#include "config/value.h"
#include "datapath/datapath.h"
#include "log/log.h"
#include "status/status.h"
#include "watch/capture.h"
#include "watch/lease.h"
#include "watch/peer.h"
#include "watch/ring.h"
#include "watch/stop.h"

#define SIZE_MAX_BYTES	65535U
#define POLL_MS		50
/* The controller looks once a second. */
#define PERMIT_NS	(5 * TALON_NSEC_PER_SEC)
/* of the rings of all CPUs together, and of each: more than 512 KiB needs CAP_IPC_LOCK */
#define RINGS_BYTES	(8U << 20)
#define RING_BYTES_MIN	(64U << 10)
#define RING_BYTES_MAX	(512U << 10)

struct options {
	struct config config;		/* only its pin_dir and log_level */
	const char *peer, *path;
	__u32 packets, size, seconds;
	uint64_t bytes;
};

struct capturing {
	struct cli *cli;
	const struct options *o;
	struct watch watch;
	struct watch_ring *ring;
	struct capture capture;
	FILE *out;
	char *buffer;			/* of @out */
	int peers, config;		/* maps */
	const struct status_peer *peer;
	uint64_t lost_before, until_ns;
	const char *why_over;		/* NULL: it goes on */
};

#define BUFFER_LEN 65536

/* BYTES, with K, M or G for powers of 1024. */
static int read_bytes(const char *text, uint64_t *ret_bytes)
{
	size_t digits = strspn(text, "0123456789");
	static const char units[] = "KMG";
	const char *unit = text[digits] ? strchr(units, text[digits]) : NULL;
	__u32 number;

	if (text[digits] && (!unit || text[digits + 1]))
		return -EINVAL;
	if (value_number((struct slice){ text, digits }, 1, UINT32_MAX, &number))
		return -EINVAL;
	*ret_bytes = (uint64_t)number << (unit ? 10 * (unit - units + 1) : 0);
	return 0;
}

static int take_number(struct cli *cli, const char *name, const char *value, __u32 max, const char *what,
	__u32 *ret_number)
{
	value = cli_value(cli, name, value);
	if (!value)
		return CLI_USAGE;
	if (value_number(slice_from(value), 1, max, ret_number))
		return cli_fail(cli, CLI_USAGE, "--%s: '%.40s' is not %s; expected 1-%u", name, value,
			what, max);
	return CLI_OK;
}

static int take_text(struct cli *cli, const char *name, const char *value, const char **ret_text)
{
	*ret_text = cli_value(cli, name, value);
	return *ret_text ? CLI_OK : CLI_USAGE;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	const char *text;
	int ret;

	if (name && !strcmp(name, "peer"))
		return take_text(cli, name, value, &o->peer);
	if (name && (!strcmp(name, "write") || !strcmp(name, "w")))
		return take_text(cli, name, value, &o->path);
	if (name && !strcmp(name, "count"))
		return take_number(cli, name, value, 1000000000, "a number of packets", &o->packets);
	if (name && !strcmp(name, "size"))
		return take_number(cli, name, value, SIZE_MAX_BYTES, "a number of bytes", &o->size);
	if (name && !strcmp(name, "duration"))
		return take_number(cli, name, value, 86400, "a number of seconds", &o->seconds);
	if (name && !strcmp(name, "limit")) {
		ret = take_text(cli, name, value, &text);
		if (ret || !read_bytes(text, &o->bytes))
			return ret;
		return cli_fail(cli, CLI_USAGE,
			"--limit: '%.40s' is not a size; expected bytes, or a number with K, M or G", text);
	}
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "capture", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

static bool writes_to_stdout(const struct options *o)
{
	return !o->path || !strcmp(o->path, "-");
}

/* A new file that only root reads. What is there already, a link as well, is never written to. */
static int open_file(struct capturing *c)
{
	int fd = writes_to_stdout(c->o) ? dup(fileno(c->cli->out))
		: open(c->o->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	c->buffer = malloc(BUFFER_LEN);
	c->out = c->buffer ? fdopen(fd, "w") : NULL;
	if (!c->out) {
		close(fd);
		free(c->buffer);
		c->buffer = NULL;
		return -ENOMEM;
	}
	setvbuf(c->out, c->buffer, _IOFBF, BUFFER_LEN);	/* ours, to be wiped */
	return 0;
}

/* Returns 0 or a negative errno: what was written may not all have arrived. */
static int close_file(struct capturing *c)
{
	int ret = 0;

	if (!c->out)
		return 0;
	if (fflush(c->out))
		ret = -errno;
	if (fclose(c->out) && !ret)
		ret = -errno;
	c->out = NULL;
	sodium_memzero(c->buffer, BUFFER_LEN);
	free(c->buffer);
	c->buffer = NULL;
	return ret;
}

static size_t ring_bytes(void)
{
	int cpus = libbpf_num_possible_cpus();
	size_t each = RINGS_BYTES / (cpus > 0 ? cpus : 1), bytes = RING_BYTES_MIN;

	while (bytes * 2 <= each && bytes < RING_BYTES_MAX)
		bytes *= 2;
	return bytes;
}

/* The peer's slot belongs to the peer still. Asked before anything that was read is written. */
static bool peer_is_there(const struct capturing *c)
{
	struct talon_peer_info info;

	return !bpf_map_lookup_elem(c->peers, &c->peer->id, &info) && info.present &&
		!memcmp(info.public_key, c->peer->info.public_key, sizeof(info.public_key));
}

static __u32 config_flags(const struct capturing *c)
{
	struct talon_config config = {};
	const __u32 key = 0;

	bpf_map_lookup_elem(c->config, &key, &config);
	return config.flags;
}

static void take(void *ctx, const void *record, size_t size)
{
	struct capturing *c = ctx;

	if (!c->out || c->why_over)
		return;		/* not begun, or over */
	if (!peer_is_there(c)) {
		c->why_over = "the peer was removed";
		return;
	}
	capture_take(&c->capture, record, size);
	if (c->capture.error)
		c->why_over = "the file could not be written";
	else if (c->capture.is_full)
		c->why_over = "limit reached";
}

static int fail_forbidden(const struct capturing *c)
{
	return cli_fail(c->cli, CLI_FAILED, "capture: forbidden on this host (Capture = off)");
}

/* Waits until the controller has let the programs copy. Returns enum cli_exit. */
static int wait_for_permit(struct capturing *c)
{
	const uint64_t end_ns = clock_boot_ns() + PERMIT_NS;
	int ret = 0;

	while (!(config_flags(c) & TALON_F_CAPTURE) && !watch_is_stopped()) {
		if (config_flags(c) & TALON_F_NO_CAPTURE)
			return fail_forbidden(c);
		if (clock_boot_ns() >= end_ns)
			return cli_fail(c->cli, CLI_FAILED,
				"capture: the controller does not answer, and only it can switch a capture "
				"on; see talon status");
		ret = watch_renew(&c->watch);
		if (ret)
			return cli_fail(c->cli, CLI_FAILED, "capture: %s", strerror(-ret));
		usleep(20000);
	}
	return CLI_OK;
}

static void look_around(struct capturing *c)
{
	if (watch_renew(&c->watch))
		c->why_over = "the datapath was removed or replaced";
	else if (config_flags(c) & TALON_F_NO_CAPTURE)
		c->why_over = "captures were forbidden meanwhile";
	else if (!peer_is_there(c))
		c->why_over = "the peer was removed";
	else if (watch_reader_is_gone(c->out))
		c->why_over = "nobody reads the output";
}

static void run_ring(struct capturing *c)
{
	uint64_t next_ns = 0, now;
	int ret;

	while (!c->why_over) {
		ret = watch_ring_poll(c->ring, POLL_MS);
		now = clock_boot_ns();
		if (fflush(c->out))
			c->why_over = "the file could not be written";
		else if (watch_is_stopped())
			c->why_over = "stopped";
		else if (now >= c->until_ns)
			c->why_over = "time is up";
		else if (ret && ret != -EINTR)
			c->why_over = "the rings could not be read";
		if (now < next_ns || c->why_over)
			continue;
		next_ns = now + TALON_NSEC_PER_SEC;
		look_around(c);
	}
}

static uint64_t count_lost(const struct capturing *c)
{
	uint64_t counts[TALON_WATCH_COUNT_COUNT] = {};

	watch_read_counts(&c->watch, counts);
	return counts[TALON_WATCH_PACKETS_LOST] - c->lost_before + watch_ring_lost(c->ring);
}

/* The rest, the end of the file, and what came of it. Returns enum cli_exit. */
static int finish(struct capturing *c)
{
	const char *why = c->why_over;
	uint64_t lost;
	int ret, closed;

	watch_end(&c->watch);
	if (!strcmp(why, "stopped") || !strcmp(why, "time is up"))
		c->why_over = NULL;	/* what the rings hold belongs to it */
	watch_ring_flush(c->ring);
	lost = count_lost(c);
	ret = capture_end(&c->capture, clock_unix_ns(), lost);
	closed = close_file(c);
	fprintf(c->cli->err, "%s: %llu packets captured (%llu bytes), %llu lost for lack of room\n", why,
		(unsigned long long)c->capture.packets, (unsigned long long)c->capture.plain_bytes,
		(unsigned long long)lost);
	if (!ret)
		ret = closed;
	if (ret == -EPIPE)
		return CLI_OK;		/* who read has seen enough */
	return ret ? cli_fail(c->cli, CLI_FAILED, "capture: cannot write %s: %s",
		writes_to_stdout(c->o) ? "to standard output" : c->o->path, strerror(-ret)) : CLI_OK;
}

static int begin_file(struct capturing *c)
{
	char name[WATCH_PEER_NAME_LEN], description[80];
	int ret = open_file(c);

	if (ret)
		return cli_fail(c->cli, CLI_FAILED, "--write: cannot make %s: %s", c->o->path ?: "-",
			ret == -EEXIST ? "it is there already" : strerror(-ret));
	watch_peer_name(&c->peer->info, name);
	snprintf(description, sizeof(description), "decrypted packets of peer %s", name);
	c->capture.unix_minus_boot_ns = clock_unix_ns() - clock_boot_ns();
	c->until_ns = clock_boot_ns() + c->o->seconds * TALON_NSEC_PER_SEC;
	if (capture_begin(&c->capture, c->out, description, c->o->size))
		c->why_over = "the file could not be written";
	return CLI_OK;
}

static int run_lease(struct capturing *c)
{
	const struct talon_watch what = { .peer = c->peer->id, .size = c->o->size };
	uint64_t counts[TALON_WATCH_COUNT_COUNT];
	char name[WATCH_PEER_NAME_LEN];
	int ret, code;

	watch_catch_signals();
	ret = watch_read_counts(&c->watch, counts);
	if (!ret)
		ret = watch_begin(&c->watch, &what);
	if (ret)
		return cli_fail(c->cli, CLI_FAILED, "capture: %s", strerror(-ret));
	code = wait_for_permit(c);
	if (code || watch_is_stopped())
		return code;
	/* what the rings hold from before the file was there is not written: take() */
	c->lost_before = counts[TALON_WATCH_PACKETS_LOST];
	code = begin_file(c);
	if (code)
		return code;
	watch_peer_name(&c->peer->info, name);
	fprintf(c->cli->err, "capturing what peer %s sends and gets, in the clear; Ctrl-C ends it\n", name);
	fflush(c->cli->err);
	run_ring(c);
	return finish(c);
}

static int run_maps(struct capturing *c)
{
	char why[CONFIG_WHY_LEN];
	int code;

	c->config = datapath_map_open(c->o->config.pin_dir, DATAPATH_MAP_CONFIG);
	c->peers = datapath_map_open(c->o->config.pin_dir, DATAPATH_MAP_PEER_INFO);
	if (c->config < 0 || c->peers < 0)
		return cli_fail(c->cli, CLI_FAILED, "capture: %s",
			strerror(c->config < 0 ? -c->config : -c->peers));
	if (config_flags(c) & TALON_F_NO_CAPTURE)
		return fail_forbidden(c);
	if (watch_open(&c->watch, c->o->config.pin_dir, TALON_WATCH_PACKETS, why, sizeof(why)))
		return cli_fail(c->cli, CLI_FAILED, "capture: %s", why);
	if (watch_ring_open(&c->ring, c->watch.ring, ring_bytes(), take, c, why, sizeof(why))) {
		watch_close(&c->watch);
		return cli_fail(c->cli, CLI_FAILED, "capture: %s", why);
	}
	code = run_lease(c);
	watch_close(&c->watch);
	watch_ring_free(c->ring);
	close_file(c);
	return code;
}

static int run(struct cli *cli, const struct options *o)
{
	struct capturing c = { .cli = cli, .o = o, .peers = -1, .config = -1 };
	char why[CONFIG_WHY_LEN];
	struct status status;
	struct stat st;
	int code;

	if (geteuid())
		return cli_fail(cli, CLI_FAILED, "capture: only root may see what others' packets hold");
	if (!writes_to_stdout(o) && !lstat(o->path, &st))
		return cli_fail(cli, CLI_USAGE, "--write: %.200s is there already; name a new file", o->path);
	if (writes_to_stdout(o) && isatty(fileno(cli->out)))
		return cli_fail(cli, CLI_USAGE,
			"--write: expected a file, as standard output is a terminal; or pipe it to "
			"tcpdump -r -");
	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	if (status_read(&status, o->config.pin_dir, why, sizeof(why)))
		return cli_fail(cli, CLI_FAILED, "%s", why);
	if (watch_find_peer(&status, o->peer, &c.peer, why, sizeof(why))) {
		code = cli_fail(cli, CLI_USAGE, "--peer: %s", why);
	} else {
		c.capture.peer = c.peer->id;
		c.capture.limits = (struct capture_limits){ .packets = o->packets, .bytes = o->bytes };
		code = run_maps(&c);
	}
	if (c.config >= 0)
		close(c.config);
	if (c.peers >= 0)
		close(c.peers);
	status_free(&status);
	return code;
}

int cli_capture(struct cli *cli)
{
	struct options o = { .packets = CAPTURE_PACKETS, .size = SIZE_MAX_BYTES, .seconds = CAPTURE_SECONDS,
		.bytes = CAPTURE_BYTES };
	const char *name, *value;
	int code = CLI_OK;

	config_init(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && !o.peer)
		code = cli_fail(cli, CLI_USAGE,
			"capture: expected --peer and a key, a name or an address in the mesh");
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
