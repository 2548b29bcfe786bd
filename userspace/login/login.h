/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Signing in: a person proves to an OpenID provider who they are, and the token that comes of it is handed to
 * management, once. For a command that somebody runs: everything here blocks, and waits for that person.
 */
#ifndef TALON_LOGIN_H
#define TALON_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LOGIN_TOKEN_MAX	24576U		/* characters of a token */

struct login_request {
	const char *management_url;	/* https://HOST:PORT */
	bool is_graphical;		/* a browser on this host can come back to us */
	bool qr;			/* the URL as a QR code too; login_can_draw() first */
	/* paths of PEM files, shown to the provider when PKCE's code is exchanged; NULL: none */
	const char *client_certificate, *client_key;
	FILE *out;			/* where the URL and the code are shown */
};

/*
 * Asks management for the provider, and the person to sign in there. *@ret_token is to be freed by
 * login_token_free(). Returns 0, or a negative errno with one line in @why: -ENOENT: management has no
 * provider; -EOPNOTSUPP: management is too old to have one; -EACCES: the person said no; -ETIMEDOUT.
 */
int login_sign_in(const struct login_request *request, char **ret_token, char *why, size_t size);
/* Wipes and frees. NULL is allowed. */
void login_token_free(char *token);

/* Whether @env ("NAME=value", NULL at the end) is that of a graphical session. */
bool login_is_graphical(char *const *env);
/* Whether QR codes can be drawn on @out. Returns 0, or a negative errno with one line in @why. */
int login_can_draw(FILE *out, char *why, size_t size);

#endif
