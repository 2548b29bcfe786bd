/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of this room: each step of signing in by itself, so that tests can take it alone. */
#ifndef TALON_LOGIN_INTERNAL_H
#define TALON_LOGIN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/server_url.h"
#include "base/slice.h"
#include "login/login.h"
#include "netbird/provider.h"

/* --- form.c: application/x-www-form-urlencoded, written and read --- */

struct form {
	char *text;			/* terminated; may hold secrets */
	size_t len, room;
	bool is_out_of_memory;
};

/* Appends NAME=VALUE, with '&' before it unless it is the first. */
void form_add(struct form *form, const char *name, const char *value);
/* Wipes and frees. */
void form_done(struct form *form);
/*
 * Decodes a name or a value. Returns false, and @buf empty, for a bad %XX, a byte that is not printable
 * ASCII, and what does not fit.
 */
bool form_decode(struct slice text, char *buf, size_t size);

/* --- web.c: one POST --- */

#define WEB_BODY_MAX	65536U
#define WEB_TIMEOUT_MS	10000L

/* A certificate of ours and its key, paths of PEM files; NULL: none. */
struct web_certificate {
	const char *certificate, *key;
};

struct web_answer {
	long status;
	char *body;			/* terminated */
	size_t len;
};

/*
 * Whether secrets may go to @url: https, or http to this very host, or http to the host of a management
 * server that is spoken to by http itself. Returns 0, or -EPROTONOSUPPORT with one line in @why that
 * begins with @name.
 */
int web_check_url(const char *name, const char *url, const struct server_url *management, char *why,
	size_t size);
/*
 * Sends @form to @url, which passed web_check_url(); over TLS with @own, if there is one. No redirect is
 * followed. Returns 0 for whatever status, or a negative errno with one line in @why.
 */
int web_post(const char *url, const struct form *form, const struct web_certificate *own,
	struct web_answer *ret_answer, char *why, size_t size);
/* Wipes and frees. */
void web_answer_done(struct web_answer *answer);

/* --- answers.c: what providers say --- */

struct device_start {			/* RFC 8628 section 3.2 */
	char *device_code, *user_code;
	char *url;			/* to be opened; visible ASCII */
	bool url_has_code;
	unsigned int expires_s, interval_s;	/* never 0 */
};

enum token_word { TOKEN_GRANTED, TOKEN_PENDING, TOKEN_SLOW_DOWN, TOKEN_REFUSED };

/* Each returns 0, -EBADMSG, or another negative errno, with one line in @why. */
int answer_read_device(const struct web_answer *answer, struct device_start *ret_start, char *why,
	size_t size);
void device_start_done(struct device_start *start);
/* *@ret_token: only for TOKEN_GRANTED. For TOKEN_REFUSED @why has the reason. */
int answer_read_token(const struct web_answer *answer, bool use_id_token, enum token_word *ret_word,
	char **ret_token, char *why, size_t size);
/* That @token is for @audience. Its signature is management's business. */
int token_check_audience(const char *token, const char *audience, char *why, size_t size);

/* --- callback.c: the browser comes back --- */

#define CALLBACK_HEAD_MAX	16384U
#define CALLBACK_CODE_LEN	4096

enum callback_verdict {
	CALLBACK_CODE,			/* @ret_code is filled */
	CALLBACK_REFUSED,		/* the provider says no: @ret_code has the reason */
	CALLBACK_STRANGE,		/* not ours: another state, or none */
	CALLBACK_ELSEWHERE,		/* a page that is not there, such as /favicon.ico */
	CALLBACK_MALFORMED,
};

/* Judges a whole request head. @state: what the authorization URL carried. */
enum callback_verdict callback_judge(struct slice head, const char *state,
	char ret_code[static CALLBACK_CODE_LEN]);

struct callback {
	int fds[2];			/* 127.0.0.1 and ::1; -1: not there */
};

/* Listens on @port (host order) of the loopback addresses. Returns 0 or a negative errno. */
int callback_open(struct callback *callback, uint16_t port);
void callback_close(struct callback *callback);
/*
 * Serves requests until one ends it. Returns CALLBACK_CODE or CALLBACK_REFUSED, -ETIMEDOUT or another
 * negative errno.
 */
int callback_wait(struct callback *callback, const char *state, unsigned int timeout_ms,
	char ret_code[static CALLBACK_CODE_LEN]);

/* --- the flows --- */

/* The clock, which tests replace. */
struct login_clock {
	uint64_t (*now_ns)(void *ctx);
	void (*sleep_s)(void *ctx, unsigned int seconds);
	void *ctx;
};

struct sign_in {
	const struct provider *provider;
	struct server_url management;
	FILE *out;
	bool qr;
	struct login_clock clock;
	unsigned int callback_ms;
	struct web_certificate certificate;	/* for the token request of PKCE */
};

/* device.c, pkce.c: as login_sign_in(). */
int device_sign_in(const struct sign_in *s, char **ret_token, char *why, size_t size);
int pkce_sign_in(const struct sign_in *s, char **ret_token, char *why, size_t size);

/* ask.c: management's provider for @flow. As login_sign_in(). */
int ask_provider(const char *management_url, enum provider_flow flow, struct provider *ret_provider,
	char *why, size_t size);

/* qr.c */
int qr_draw(FILE *out, const char *text);

#endif
