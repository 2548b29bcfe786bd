/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The management server: login, registration, the Sync stream, SyncMeta, Job, Logout, and when to try
 * again. protocol: sections 1-3 of docs/protocols.md. Says what happened through struct management_events;
 * touches nothing else.
 */
#ifndef TALON_MANAGEMENT_H
#define TALON_MANAGEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grpc/grpc.h"
#include "netbird/netmap.h"
#include "client/sysinfo.h"
#include "crypto/key.h"

struct management;

#define MANAGEMENT_SETUP_KEY_LEN 36

/*
 * A setup key as it was written, blanks around it cut off, into the form in which servers look it up. Returns
 * 0, or -EINVAL with one line that names the accepted form and never quotes the key.
 */
int management_parse_setup_key(const char *text, char ret_key[static MANAGEMENT_SETUP_KEY_LEN + 1], char *why,
	size_t size);

enum management_state {
	MANAGEMENT_CONNECTING,		/* also while it backs off */
	MANAGEMENT_LOGGED_IN,		/* login done, Sync not yet open */
	MANAGEMENT_CONNECTED,		/* Sync is open and said something */
	MANAGEMENT_NEEDS_LOGIN,		/* the server does not know us, and there is no (valid) setup key */
};

struct management_config {
	const char *url;
	struct secret_key private_key;	/* copied, as everything here */
	/*
	 * NULL: none. Sent only after the server said that it does not know us; what is no key
	 * is told only then
	 */
	const char *setup_key;
	const char *ssh_public_key;
	char *const *dns_labels;
	size_t dns_label_count;
	const char *hostname;		/* NULL: the host's */
	struct sysinfo_flags flags;
	/* an explicit login: the first verdict that no retry can change ends it */
	bool once;
};

/* None of these may free the management it comes from. */
struct management_events {
	/* @why: one line for people; empty when all is well. Only when one of the two changed. */
	void (*state)(void *ctx, enum management_state state, const char *why);
	void (*login)(void *ctx, const struct netmap_update *login);
	/*
	 * One SyncResponse: parsed, and as it came. @first: of this stream. A farewell (netmap.h) is kept
	 * back: what follows it says whether we were deleted.
	 */
	void (*sync)(void *ctx, const struct netmap_update *update, bool first, const uint8_t *bytes,
		size_t len);
	/* This peer was deleted: the server said so (farewell map and refusal, not an outage). */
	void (*deleted)(void *ctx);
	/*
	 * For config.once: how the login ended, once. 0 (and Sync follows in the next turn of the loop, if it
	 * is not freed before), or what to do and why in one line (and nothing follows).
	 */
	void (*verdict)(void *ctx, int error, const char *why);
};

int management_new(struct loop *loop, const struct management_config *config,
	const struct management_events *events, void *ctx, struct management **ret_management);
void management_start(struct management *management);
void management_free(struct management *management);
/* Logout: deletes the peer on the server. @fn gets 0 or a negative errno and one line. Works without Sync. */
typedef void (*management_logout_fn)(void *ctx, int error, const char *why);
int management_logout(struct management *management, management_logout_fn fn, void *ctx);
/* Posture check results, after a map brought other paths. */
void management_sync_meta(struct management *management, char *const *files, size_t count);
/* The host's network changed: a wait that only lasts because the server could not be reached ends now. */
void management_network_changed(struct management *management);
/* This host may have changed: tells the server if it has. */
void management_sync_facts(struct management *management);
const char *management_url(const struct management *management);

#endif
