/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The opening handshake of RFC 6455, section 4, as a client: a request of ours, and what the
 * server has to answer.
 */
#ifndef TALON_WEBSOCKET_UPGRADE_H
#define TALON_WEBSOCKET_UPGRADE_H

#include <stddef.h>

#define WEBSOCKET_KEY_LEN	24	/* base64 of 16 bytes */
#define WEBSOCKET_ACCEPT_LEN	28	/* base64 of a SHA-1 */
#define WEBSOCKET_ANSWER_MAX	8192	/* of the answer's head */

/* A new random key. */
void websocket_key_make(char ret_key[static WEBSOCKET_KEY_LEN + 1]);
/* What the server must say to @key. */
void websocket_key_accept(const char *key, char ret_accept[static WEBSOCKET_ACCEPT_LEN + 1]);

/*
 * Returns the request's length, or -ENOSPC. @host: as in the URL, with its port; @path: from the slash on.
 * Neither may hold control characters.
 */
int websocket_request_write(const char *host, const char *path, const char *key, char *buf, size_t room);

/*
 * The answer's head in @bytes. Returns its length when it is whole and says yes, 0 when more is needed, or
 * -EPROTO with one line in @why (printable, whatever the server sent).
 */
int websocket_answer_parse(const char *bytes, size_t len, const char *accept, char *why, size_t why_len);

#endif
