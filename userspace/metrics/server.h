/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Serves metrics and health over HTTP/1.1 from a thread of its own, so that a scrape is answered while the
 * controller's loop is busy. The thread reads pinned maps and nothing of the controller's.
 *
 *	/metrics	text 0.0.4 or OpenMetrics 1.0, as Accept prefers
 *	/healthz	200 while the controller's loop turns, else 503; one line says why
 *	/readyz		200 if packets can be served, as `talon status --check ready` judges; else 503
 *	/		names of the others
 *
 * One connection, one answer. What strangers can cost is limited: METRICS_CONNECTIONS_MOST connections, of
 * which the one that has been at it longest makes room for a new one, first among those of the same
 * source, METRICS_CONNECTION_NS for each, a text that serves everybody for a while, and connections taken
 * in at a limited rate.
 */
#ifndef TALON_METRICS_SERVER_H
#define TALON_METRICS_SERVER_H

#include "config/config.h"
#include "metrics/metrics.h"

#define METRICS_CONNECTIONS_MOST	16
#define METRICS_CONNECTIONS_SOURCE	8	/* of them from one IPv4 address, or 64 bits of an IPv6 one */
#define METRICS_HEAD_MOST		4096	/* bytes of a request */
#define METRICS_CONNECTION_NS		(10 * TALON_NSEC_PER_SEC)

struct metrics_server;

typedef int (*metrics_render_fn)(const struct metrics_options *options, char **ret_text, size_t *ret_len,
	char *why, size_t size);

struct metrics_server_options {
	struct config_metrics place;	/* family is not 0 */
	const char *pin_dir;		/* must outlive the server */
	metrics_render_fn render;	/* NULL: metrics_render() */
	uint64_t connection_ns;		/* 0: METRICS_CONNECTION_NS */
};

/*
 * Listens and starts the thread. Returns 0, -EADDRINUSE if another program has the place, or another negative
 * errno; @why gets one line that begins with the place.
 */
int metrics_server_start(struct metrics_server **ret_server, const struct metrics_server_options *options,
	char *why, size_t size);
/* Ends the thread and its connections, removes a Unix socket's name. NULL is allowed. */
void metrics_server_stop(struct metrics_server *server);

/*
 * The controller's loop turns. @why_not: why it is not ready beyond what the maps say, one line, or
 * "": whether management knows this peer is not in them. Before the first call it is taken to start.
 * From any thread.
 */
void metrics_server_beat(struct metrics_server *server, const char *why_not);

struct metrics_server_counts {
	uint64_t answered;		/* requests for metrics, wholly */
	uint64_t refused;		/* connections that ended without a whole answer */
};
/* From any thread. */
void metrics_server_count(const struct metrics_server *server, struct metrics_server_counts *ret_counts);

#endif
