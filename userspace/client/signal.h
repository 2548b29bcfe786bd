/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The signal server: registered stream in, unary sends out, bodies boxed between the two peers, and
 * proof that it lives.
 */
#ifndef TALON_SIGNAL_H
#define TALON_SIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grpc/grpc.h"
#include "crypto/key.h"

struct signal_client;

enum signal_type { SIGNAL_OFFER = 0, SIGNAL_ANSWER = 1, SIGNAL_CANDIDATE = 2, SIGNAL_MODE = 4,
	SIGNAL_GO_IDLE = 5, SIGNAL_HEARTBEAT = 6 };

#define SIGNAL_SESSION_ID_LEN	5
#define SIGNAL_UFRAG_LEN	16	/* ours; others' may have up to SIGNAL_CREDENTIAL_MAX */
#define SIGNAL_PWD_LEN		32
#define SIGNAL_CREDENTIAL_MAX	256

/* Body, as plain data. Strings end in 0; empty: absent. */
struct signal_body {
	enum signal_type type;
	/* OFFER, ANSWER; both empty: the sender does no ICE, only a relay leads to it */
	char ufrag[SIGNAL_CREDENTIAL_MAX + 1];
	char pwd[SIGNAL_CREDENTIAL_MAX + 1];
	char candidate[512];		/* CANDIDATE: the line */
	uint32_t wg_port;
	char version[64];
	char relay[256];		/* the sender's relay instance address */
	bool has_rosenpass_key;
	bool has_session_id;
	uint8_t session_id[SIGNAL_SESSION_ID_LEN];
};

#define SIGNAL_BODY_MAX	2048		/* no body that we encode is longer */

/*
 * Serialized protobuf without box. Encode returns the length or a negative errno; parse 0, -EBADMSG
 * (malformed, wrong payload). Types that are not in the enum are parsed too: whoever asks ignores them.
 */
int signal_body_encode(const struct signal_body *body, uint8_t *buf, size_t size);
int signal_body_parse(const uint8_t *bytes, size_t len, struct signal_body *ret_body);

struct signal_config {
	const char *host;
	uint16_t port;
	bool tls;
	struct secret_key private_key;
};

struct signal_events {
	/* Registered, or not (any more) with one line why; that comes with each attempt that fails. */
	void (*state)(void *ctx, bool is_connected, const char *why);
	void (*body)(void *ctx, const uint8_t from[static KEY_LEN], const struct signal_body *body);
};

/*
 * How one send ended: 0 when the server took it (which is not delivery), else a negative errno after
 * the last attempt.
 */
typedef void (*signal_sent_fn)(void *ctx, int error);

int signal_new(struct loop *loop, const struct signal_config *config, const struct signal_events *events,
	void *ctx, struct signal_client **ret_signal);
void signal_start(struct signal_client *signal);
/* Not from a callback of its own. NULL is allowed. */
void signal_free(struct signal_client *signal);
bool signal_is_connected(const struct signal_client *signal);
/*
 * @fn may be NULL; it never comes before this returned. Up to four attempts (10, 10, 10, 15 s), and a bounded
 * number of sends at a time, the others wait their turn. Returns 0, -ENOTCONN while not registered (what is
 * said to peers does not keep), -ENOBUFS, or another negative errno.
 */
int signal_send(struct signal_client *signal, const uint8_t to[static KEY_LEN],
	const struct signal_body *body, signal_sent_fn fn, void *ctx);
/* The callbacks of sends that have @ctx do not come any more; the messages still go out. */
void signal_forget(struct signal_client *signal, const void *ctx);

struct signal_stats {
	/* bodies in, sends that the server took, and those it did not */
	uint64_t received, sent, send_failed;
	/* boxes that did not open, bodies that make no sense, types that mean nothing to us */
	uint64_t unopened, malformed, ignored;
	uint64_t registrations, evictions;	/* evictions: "registered again" ended our stream */
};
/* The host's network changed: a wait that only lasts because the server could not be reached ends now. */
void signal_network_changed(struct signal_client *signal);
void signal_get_stats(const struct signal_client *signal, struct signal_stats *ret_stats);

#endif
