// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of each published service: created, renewed each 30 s, stopped.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expose/expose.h"
#include "expose/message_internal.h"
#include "log/log.h"
#include "netbird/envelope.h"

#define RENEW_NS	(30 * LOOP_SECOND)
#define AGAIN_NS	(5 * LOOP_SECOND)	/* after a renewal that did not reach the server */
#define LIFE_NS		(90 * LOOP_SECOND)	/* the server forgets a service that long after a renewal */
#define WHY_LEN		400

enum service_state {
	SERVICE_CREATING,
	SERVICE_PUBLISHED,
	SERVICE_STOPPING,
};

struct service {
	struct expose *expose;
	struct service *next;
	struct control_stay *stay;	/* NULL: told that it is over */
	enum service_state state;
	bool ends;			/* while it is created: nobody wants it any more */
	uint16_t port;
	char domain[256], url[512];
	void *call;			/* at most one is under way */
	struct loop_timer timer;
	uint64_t good_ns;		/* the last time the server said yes */
	struct loop_deferred deferred;
};

struct expose {
	struct loop *loop;
	const struct expose_ops *ops;
	void *ctx;
	struct service *services;
};

int expose_new(struct loop *loop, const struct expose_ops *ops, void *ctx, struct expose **ret_expose)
{
	struct expose *expose = calloc(1, sizeof(*expose));

	if (!expose)
		return -ENOMEM;
	expose->loop = loop;
	expose->ops = ops;
	expose->ctx = ctx;
	*ret_expose = expose;
	return 0;
}

size_t expose_count(const struct expose *expose)
{
	size_t count = 0;

	for (const struct service *s = expose->services; s; s = s->next)
		count++;
	return count;
}

/* Tells the client, once, that its service is over. */
static void tell_end(struct service *s, int ret, const char *why)
{
	struct control_stay *stay = s->stay;

	s->stay = NULL;
	if (stay)
		control_stay_end(stay, ret, why);
}

static void forget(struct service *s)
{
	struct expose *expose = s->expose;
	struct service **at = &expose->services;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	loop_timer_cancel(expose->loop, &s->timer);
	if (s->call)
		expose->ops->cancel(expose->ctx, s->call);
	s->call = NULL;
	loop_defer_free(expose->loop, &s->deferred, free, s);
}

static int call(struct service *s, const char *method, uint8_t *bytes, size_t len, expose_answer_fn fn)
{
	struct expose *expose = s->expose;
	int ret = expose->ops->call(expose->ctx, method, bytes, len, fn, s, &s->call);

	envelope_free(bytes, len);
	return ret;
}

/* RenewExpose and StopExpose. */
static int call_domain(struct service *s, const char *method, expose_answer_fn fn)
{
	uint8_t *bytes;
	size_t len;
	int ret = expose_pack_domain(s->domain, &bytes, &len);

	return ret ? ret : call(s, method, bytes, len, fn);
}

/* True if the server itself decided: asking again changes nothing. */
static bool is_verdict(const struct grpc_end *end)
{
	return end->from_server && end->status != GRPC_UNAVAILABLE && end->status != GRPC_DEADLINE_EXCEEDED;
}

/* One line that says what happened and what can be done. */
static void explain(const struct grpc_end *end, char *why, size_t size)
{
	const char *text = end->text[0] ? end->text : "(no text)";

	switch (end->from_server ? end->status : -1) {
	case GRPC_INVALID_ARGUMENT:
		snprintf(why, size, "management does not take the request: %s", text);
		break;
	case GRPC_PERMISSION_DENIED:
		snprintf(why, size, "management does not let this peer publish services (in its dashboard: "
			"the account's setting, and the groups it names): %s", text);
		break;
	case GRPC_NOT_FOUND:
		snprintf(why, size, "management does not know the service (any more): %s", text);
		break;
	case GRPC_ALREADY_EXISTS:
		snprintf(why, size, "another service has this domain: %s", text);
		break;
	case GRPC_RESOURCE_EXHAUSTED:
		snprintf(why, size, "this peer publishes as many services as management permits: %s", text);
		break;
	case GRPC_FAILED_PRECONDITION:
		snprintf(why, size, "management cannot publish services as it is set up: %s", text);
		break;
	case GRPC_UNIMPLEMENTED:
		snprintf(why, size, "management is older than NetBird 0.66 and publishes no services");
		break;
	case GRPC_INTERNAL:
		snprintf(why, size, "management failed, its log says more: %s", text);
		break;
	case -1:
		snprintf(why, size, "management cannot be reached: %s", text);
		break;
	default:
		snprintf(why, size, "management answers %s: %s", grpc_status_name(end->status), text);
	}
}

/* --- stop --- */

static void stopped(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct service *s = ctx;
	char why[WHY_LEN] = "";

	s->call = NULL;
	if (end->status == GRPC_OK || (end->from_server && end->status == GRPC_NOT_FOUND)) {
		log_info("expose: %s ended", s->url);
		tell_end(s, 0, NULL);
	} else {
		explain(end, why, sizeof(why));
		log_warn("expose: %s could not be ended, and ends by itself within two minutes: %s",
			s->url, why);
		tell_end(s, -EIO, why);
	}
	forget(s);
}

static void stop(struct service *s)
{
	int ret;

	if (s->state == SERVICE_STOPPING)
		return;
	if (s->state == SERVICE_CREATING) {
		s->ends = true;		/* its domain is not known yet */
		return;
	}
	s->state = SERVICE_STOPPING;
	loop_timer_cancel(s->expose->loop, &s->timer);
	if (s->call)
		s->expose->ops->cancel(s->expose->ctx, s->call);
	s->call = NULL;
	ret = call_domain(s, "StopExpose", stopped);
	if (ret) {
		tell_end(s, ret, strerror(-ret));
		forget(s);
	}
}

/* It failed: the client is told at once, and the server if it may still have the service. */
static void fail(struct service *s, const struct grpc_end *end)
{
	char why[WHY_LEN];

	explain(end, why, sizeof(why));
	log_warn("expose: %s: %s", s->url, why);
	tell_end(s, -EREMOTEIO, why);
	if (end->from_server && end->status == GRPC_NOT_FOUND)
		forget(s);
	else
		stop(s);
}

/* Management was left, for another server: there is nobody to ask. */
static bool was_left(struct service *s, const struct grpc_end *end)
{
	if (end->from_server || end->status != GRPC_CANCELLED)
		return false;
	tell_end(s, -ECANCELED, end->text);
	forget(s);
	return true;
}

/* --- renew --- */

static void renewed(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct service *s = ctx;
	uint64_t now = loop_now(s->expose->loop);

	s->call = NULL;
	if (end->status == GRPC_OK) {
		s->good_ns = now;
		loop_timer_after(s->expose->loop, &s->timer, RENEW_NS);
	} else if (was_left(s, end)) {
		return;
	} else if (!is_verdict(end) && now - s->good_ns < LIFE_NS) {
		log_info("expose: %s could not be renewed, asking again: %s", s->url, end->text);
		loop_timer_after(s->expose->loop, &s->timer, AGAIN_NS);
	} else {
		fail(s, end);
	}
}

static void renew(void *ctx)
{
	struct service *s = ctx;
	struct grpc_end end = { .status = GRPC_UNAVAILABLE };
	int ret = call_domain(s, "RenewExpose", renewed);

	if (!ret)
		return;
	snprintf(end.text, sizeof(end.text), "the call cannot be started: %s", strerror(-ret));
	renewed(s, &end, NULL, 0);
}

/* --- create --- */

static void take_created(struct service *s, const struct control_exposed *exposed)
{
	s->state = SERVICE_PUBLISHED;
	s->good_ns = loop_now(s->expose->loop);
	memcpy(s->domain, exposed->domain, sizeof(s->domain));
	snprintf(s->url, sizeof(s->url), "%s", exposed->url[0] ? exposed->url : exposed->domain);
	log_info("expose: port %u is published as %s", s->port, s->url);
	if (s->ends) {
		stop(s);
		return;
	}
	loop_timer_after(s->expose->loop, &s->timer, RENEW_NS);
	control_stay_tell(s->stay, exposed);
}

static void created(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct control_exposed exposed;
	struct service *s = ctx;
	char why[WHY_LEN];

	s->call = NULL;
	if (end->status == GRPC_OK && !expose_parse_created(answer, len, &exposed)) {
		take_created(s, &exposed);
		return;
	}
	if (end->status == GRPC_OK)
		snprintf(why, sizeof(why), "management's answer cannot be read");
	else
		explain(end, why, sizeof(why));
	log_warn("expose: port %u is not published: %s", s->port, why);
	tell_end(s, -EREMOTEIO, why);
	forget(s);
}

void expose_add(struct expose *expose, const struct control_expose *request, struct control_stay *stay)
{
	char why[WHY_LEN] = "";
	struct service *s = NULL;
	uint8_t *bytes;
	size_t len;
	int ret = expose_check(request, why, sizeof(why));

	if (!ret) {
		s = calloc(1, sizeof(*s));
		ret = s ? expose_pack_create(request, &bytes, &len) : -ENOMEM;
	}
	if (ret) {
		free(s);
		control_stay_end(stay, ret, why);
		return;
	}
	*s = (struct service){ .expose = expose, .stay = stay, .port = request->port,
		.next = expose->services };
	expose->services = s;
	loop_timer_init(&s->timer, renew, s);
	ret = call(s, "CreateExpose", bytes, len, created);
	if (ret) {
		tell_end(s, ret, NULL);
		forget(s);
	}
}

void expose_leave(struct expose *expose, struct control_stay *stay)
{
	for (struct service *s = expose->services; s; s = s->next) {
		if (s->stay == stay) {
			stop(s);
			return;
		}
	}
}

void expose_stop_all(struct expose *expose, const char *why)
{
	struct service *next;

	for (struct service *s = expose->services; s; s = next) {
		next = s->next;
		tell_end(s, -ESHUTDOWN, why);
		stop(s);
	}
}

void expose_free(struct expose *expose)
{
	if (!expose)
		return;
	while (expose->services) {
		tell_end(expose->services, -ECANCELED, "the daemon ended");
		forget(expose->services);
	}
	free(expose);
}
