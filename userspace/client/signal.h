/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The client of the signal server: a registered stream brings messages from peers, unary calls send ours,
 * both boxed between the two peers; a message to ourselves now and then proves that the connection works.
 */
#ifndef TALON_SIGNAL_H
#define TALON_SIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/server_url.h"
#include "crypto/key.h"
#include "loop/loop.h"
#include "netbird/signal_body.h"

struct signal_client;

struct signal_config {
	struct server_url server;	/* SERVER_HTTP or SERVER_HTTPS */
	struct secret_key private_key;	/* copied, as everything here */
};

struct signal_events {
	/* Registered, or not: lost, or another attempt failed, with @why in one line. */
	void (*state)(void *ctx, bool is_connected, const char *why);
	void (*body)(void *ctx, const uint8_t from[static KEY_LEN], const struct signal_body *body);
};

/*
 * The end of a send: 0 when the server took it (which is not delivery), or a negative errno after the last
 * try.
 */
typedef void (*signal_sent_fn)(void *ctx, int error);

int signal_new(struct loop *loop, const struct signal_config *config, const struct signal_events *events,
	void *ctx, struct signal_client **ret_signal);
void signal_start(struct signal_client *signal);
/* Must not be called from a callback of @signal. NULL is allowed. */
void signal_free(struct signal_client *signal);
bool signal_is_connected(const struct signal_client *signal);
/*
 * Sends @body to the peer @to: up to four attempts (10, 10, 10, 15 s), and a bounded number of sends at a
 * time while the others wait. @fn may be NULL; it is called after this returned. Returns 0; -ENOTCONN while
 * not registered, for such messages soon go stale; -ENOBUFS; or another negative errno.
 */
int signal_send(struct signal_client *signal, const uint8_t to[static KEY_LEN],
	const struct signal_body *body, signal_sent_fn fn, void *ctx);
/* Sends with @ctx are no longer reported; the messages still go out. */
void signal_forget(struct signal_client *signal, const void *ctx);

struct signal_stats {
	/* bodies in, sends that the server took, and those it did not */
	uint64_t received, sent, send_failed;
	/* boxes that did not open, malformed bodies, unknown types */
	uint64_t unopened, malformed, ignored;
	uint64_t registrations, evictions;	/* evictions: "registered again" ended our stream */
};
/* The host's network changed: ends a wait that follows a failure to reach the server. */
void signal_network_changed(struct signal_client *signal);
void signal_get_stats(const struct signal_client *signal, struct signal_stats *ret_stats);

#endif
