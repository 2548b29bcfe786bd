/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The OpenID provider at which a person signs in, as management names it. */
#ifndef TALON_PROVIDER_H
#define TALON_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum provider_flow {
	PROVIDER_DEVICE,		/* RFC 8628: a code, entered in a browser anywhere */
	PROVIDER_PKCE,			/* RFC 7636: a browser on this host comes back to us */
};

#define PROVIDER_REDIRECTS_MAX	8

/* Texts are visible ASCII, and "" where nothing was named. What each flow needs is there. */
struct provider {
	char *client_id;
	char *client_secret;
	char *audience;			/* PKCE: the client id if management names none */
	char *scope;			/* may have blanks */
	char *device_auth_endpoint;
	char *token_endpoint;
	char *authorization_endpoint;
	char *redirects[PROVIDER_REDIRECTS_MAX];
	size_t redirect_count;
	bool use_id_token;
	/* of prompt=login and max_age=0, what the authorization URL carries: "" for neither */
	const char *prompt;
};

/*
 * DeviceAuthorizationFlow or PKCEAuthorizationFlow. Returns 0, -ENOMEM, or -EBADMSG with one line in @why
 * that names what is missing or malformed.
 */
int provider_parse(enum provider_flow flow, const uint8_t *bytes, size_t len, struct provider *ret_provider,
	char *why, size_t size);
/* Wipes and frees the contents; zeroed is allowed. */
void provider_done(struct provider *provider);

#endif
