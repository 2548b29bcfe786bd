/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * GET requests by libcurl, driven by our loop. No redirect is followed, nothing is kept between requests but
 * connections, and only http and https are spoken: whichever the URL says.
 */
#ifndef TALON_FETCH_H
#define TALON_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "loop/loop.h"

#define FETCH_WHY_LEN	256

struct fetch;
struct fetch_request;

/* Texts need to live until fetch_get() returns. */
struct fetch_options {
	const char *url;
	const char *ca_file;		/* PEM; NULL: SSL_CERT_FILE and SSL_CERT_DIR, or the system's */
	const char *field;		/* of the request: "Name: value", wiped afterwards; NULL: none */
	unsigned int timeout_s;		/* for all of it */
	size_t most;			/* bytes of a body that is gathered here */
	bool may_proxy;			/* https_proxy and the like count, but never on the way to loopback */
};

struct fetch_answer {
	long status;			/* of HTTP; 0: there was no answer */
	/*
	 * 0, even if the status is a bad one; what bytes() returned; -EMSGSIZE: a body of more than @most;
	 * -ETIMEDOUT; -ECONNRESET: it ended early; -EHOSTUNREACH: there was no answer
	 */
	int error;
	const char *why;		/* of an error, one line */
	const char *cache_control;	/* the field (RFC 9111 section 5.2), cut where it is long; "": none */
	const char *body;		/* terminated; of status 200, unless bytes() took it */
	size_t len;
};

struct fetch_events {
	/* The head of status 200 is whole. May be NULL. */
	void (*opened)(void *ctx);
	/* Of a body of status 200, as it comes. Anything but 0 ends the request. NULL: it is gathered. */
	int (*bytes)(void *ctx, const char *bytes, size_t len);
	/* Once, at the end; the request is gone after it, and the answer with it. */
	void (*done)(void *ctx, const struct fetch_answer *answer);
};

/* Loads libcurl. Returns 0 or a negative errno with one line in @why. */
int fetch_new(struct loop *loop, struct fetch **ret_fetch, char *why, size_t size);
/* Requests are cancelled first. NULL is allowed. */
void fetch_free(struct fetch *fetch);
/* Never calls back before it returned. Returns 0 or a negative errno with @why. */
int fetch_get(struct fetch *fetch, const struct fetch_options *options, const struct fetch_events *events,
	void *ctx, struct fetch_request **ret_request, char *why, size_t size);
/* No callback comes after it. Not from opened() or bytes(). NULL is allowed. */
void fetch_cancel(struct fetch_request *request);

#endif
