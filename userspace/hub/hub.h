/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The coordinator of a small mesh: NetBird's management and signal, with relay, STUN, store and maps tied
 * together on one loop. What it knows of its peers survives it (hubstore); what they may do is in its file
 * (hubfile).
 */
#ifndef TALON_HUB_H
#define TALON_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

#define HUB_WHY_LEN	512

#define HUB_DATA_DIR	"/var/lib/talon-hub"
#define HUB_SOCKET	"control.sock"	/* in the data directory: what commands ask */
#define HUB_STUN	"[::]:3478"
#define HUB_PAGE	"127.0.0.1:9568"

struct hub;

/*
 * As flags or variables have it, over the file's words. NULL: not given. The caller keeps them while the hub
 * lives.
 */
struct hub_options {
	const char *file;		/* NULL: all peers reach all, and a one-off setup key is made */
	const char *listen;		/* ADDRESS:PORT; [::]:443 with a certificate, else [::]:80 */
	const char *public_url;		/* http://HOST[:PORT] or https://...: where peers find the hub */
	const char *data_dir;
	const char *stun, *page;	/* ADDRESS:PORT or "off" */
	const char *certificate, *key;	/* PEM files; both or neither */
	/* 32 bytes as 64 hexadecimal digits; DATA-DIR/master.key is made if not given */
	const char *master_key_file;
};

/*
 * Reads and checks all of @options and the file first, and touches nothing before they are right; then opens
 * the store and listens. Returns 0, or a negative errno with one line in @why.
 */
int hub_new(struct loop *loop, const struct hub_options *options, struct hub **ret_hub,
	char why[static HUB_WHY_LEN]);
/*
 * Listens for commands at HUB_SOCKET, for root and the hub's own user. Returns 0 or a negative errno with one
 * line in @why.
 */
int hub_listen(struct hub *hub, char why[static HUB_WHY_LEN]);
/* The end is near: clients are asked to go, and nobody new comes in. */
void hub_drain(struct hub *hub);
/* Ends all calls and sockets. NULL is allowed. */
void hub_free(struct hub *hub);
/*
 * Reads the file and the certificate again. Nobody is dropped; who is touched is told. Returns 0, or a
 * negative errno with one line in @why, and then the old file stays in force. With a file, a certificate that
 * cannot be read is logged, the old one stays, and the file counts.
 */
int hub_reload(struct hub *hub, char why[static HUB_WHY_LEN]);
/*
 * The one-off setup key that a hub without a file made at its start; NULL: none was. Once; to be wiped and
 * freed.
 */
char *hub_take_first_key(struct hub *hub);
/* Logs where it listens and what peers are told. */
void hub_say_start(const struct hub *hub);
/* One line for people: peers known and connected. */
void hub_say_state(const struct hub *hub, char *line, size_t size);

#endif
