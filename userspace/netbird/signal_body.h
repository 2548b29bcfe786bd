/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What peers tell each other through the signal server (signalexchange.proto's Body), as plain data. */
#ifndef TALON_SIGNAL_BODY_H
#define TALON_SIGNAL_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

enum signal_type { SIGNAL_OFFER = 0, SIGNAL_ANSWER = 1, SIGNAL_CANDIDATE = 2, SIGNAL_MODE = 4,
	SIGNAL_GO_IDLE = 5, SIGNAL_HEARTBEAT = 6 };

#define SIGNAL_SESSION_ID_LEN	5
#define SIGNAL_UFRAG_LEN	16	/* ours; other peers' may have up to SIGNAL_CREDENTIAL_MAX */
#define SIGNAL_PWD_LEN		32
#define SIGNAL_CREDENTIAL_MAX	256

/* Texts are terminated; an empty one is absent. */
struct signal_body {
	enum signal_type type;
	/* OFFER, ANSWER; both empty: the sender does not use ICE and is reached through a relay only */
	char ufrag[SIGNAL_CREDENTIAL_MAX + 1];
	char pwd[SIGNAL_CREDENTIAL_MAX + 1];
	char candidate[512];		/* CANDIDATE: the line */
	uint32_t wg_port;		/* host byte order; 0: not said */
	char version[64];
	char relay[256];		/* the instance address of the sender's relay */
	struct endpoint relay_at;	/* where the sender is connected to it: only family and remote */
	bool has_rosenpass_key;
	bool has_session_id;
	uint8_t session_id[SIGNAL_SESSION_ID_LEN];
};

#define SIGNAL_BODY_MAX	2048		/* the longest encoding of a body of ours */

/* Writes @body as protobuf, not yet boxed. Returns its length, or -ENOSPC. */
int signal_body_encode(const struct signal_body *body, uint8_t *buf, size_t size);
/*
 * Reads an opened box. Returns 0, or -EBADMSG if it is malformed or its payload does not fit its type. Types
 * that are not in the enum are read too; callers ignore them.
 */
int signal_body_parse(const uint8_t *bytes, size_t len, struct signal_body *ret_body);

#endif
