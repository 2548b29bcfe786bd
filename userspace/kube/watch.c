// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One kind of object: pages of a list, then a watch from the list's version on, and again.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kube/internal.h"
#include "log/log.h"

#define LIST_S		30
#define WATCH_S		240		/* then the server ends it, and it goes on where it was */
#define LACKING_S	300		/* until a kind that is not served is asked for again */

static void begin(struct kube_watch *w);

static void on_again(void *ctx)
{
	begin(ctx);
}

static const char *kind_name(enum kube_kind kind)
{
	static const char *const names[] = { "services", "leases", "servicel2statuses" };

	return names[kind];
}

/* The first of several failures in a row makes a line, and each other reason. */
static void fail(struct kube_watch *w, int trouble, const char *why)
{
	bool is_new = w->trouble != trouble;

	w->errors++;
	w->trouble = trouble;
	w->is_synced = false;
	snprintf(w->why, sizeof(w->why), "%s: %s", kind_name(w->kind), why);
	if (is_new)
		log_warn("API server: %s; what was known of virtual addresses holds", w->why);
	loop_timer_after(w->loop, &w->again, backoff_next(&w->backoff));
	w->changed(w->ctx);
}

static void be_synced(struct kube_watch *w)
{
	if (w->trouble && w->trouble != 410)	/* that is no trouble, a new list follows it */
		log_info("API server: %s: known again", kind_name(w->kind));
	w->trouble = 0;
	w->why[0] = '\0';
	w->is_synced = true;
	backoff_reset(&w->backoff);
}

static void list_anew(struct kube_watch *w)
{
	w->is_watching = false;
	w->more[0] = '\0';
}

/* A watch that was accepted has all that happened since its version. */
static void on_opened(void *ctx)
{
	struct kube_watch *w = ctx;

	if (!w->is_watching || w->is_synced)
		return;
	be_synced(w);
	w->changed(w->ctx);
}

static int on_line(void *ctx, const char *line, size_t len)
{
	struct kube_watch *w = ctx;
	struct kube_page page = {};
	int ret;

	if (w->is_watching) {
		ret = kube_read_event(w->kind, line, len, &w->objects, w->version);
		if (!ret) {
			be_synced(w);
			w->changed(w->ctx);
		}
		return ret;
	}
	ret = kube_read_page(w->kind, line, len, &w->objects, &page);
	if (ret)
		return ret;
	memcpy(w->version, page.version, sizeof(page.version));
	memcpy(w->more, page.more, sizeof(page.more));
	return 0;
}

static void on_list(struct kube_watch *w)
{
	if (w->more[0]) {
		begin(w);
		return;
	}
	kube_objects_sweep(&w->objects);
	w->restarts += w->has_listed;
	w->has_listed = w->is_watching = true;
	be_synced(w);
	begin(w);
	w->changed(w->ctx);
}

/* What a person has to do, where that is known. */
static void explain(const struct kube_watch *w, const struct kube_answer *answer, char *why, size_t size)
{
	if (!answer->status)
		snprintf(why, size, "%s", answer->why);
	else if (answer->status == 401)
		snprintf(why, size, "the token is not accepted (401); it is read again");
	else if (answer->status == 403)
		snprintf(why, size, "forbidden (403): the ServiceAccount needs a %s that allows it to list "
			"and watch %s", w->kind == KUBE_SERVICES ? "ClusterRole" : "Role",
			kind_name(w->kind));
	else
		snprintf(why, size, "HTTP status %ld", answer->status);
}

static void lacks(struct kube_watch *w)
{
	kube_objects_begin(&w->objects);
	kube_objects_sweep(&w->objects);
	be_synced(w);
	loop_timer_after(w->loop, &w->again, LACKING_S * LOOP_SECOND);
	w->changed(w->ctx);
}

/* The server ended the watch in order. One that does so at once is not asked at full speed. */
static void watch_on(struct kube_watch *w)
{
	if (loop_now(w->loop) - w->began_ns < LOOP_SECOND)
		loop_timer_after(w->loop, &w->again, backoff_next(&w->backoff));
	else
		begin(w);
}

static void on_done(void *ctx, const struct kube_answer *answer, int error)
{
	struct kube_watch *w = ctx;
	char why[KUBE_WHY_LEN - 20];

	w->request = NULL;
	if (error == -ESTALE || answer->status == 410) {
		list_anew(w);
		if (w->trouble == 410)	/* twice in a row: not at full speed */
			return fail(w, 410, "the version is too old (410)");
		w->trouble = 410;
		return begin(w);
	}
	if (!error && answer->status == 200)
		return w->is_watching ? watch_on(w) : on_list(w);
	if ((answer->status == 404 || answer->status == 403) && w->may_lack)
		return list_anew(w), lacks(w);
	if (answer->status == 400 && w->kind == KUBE_SERVICES && !w->is_bare) {
		w->is_bare = true;
		list_anew(w);
		return begin(w);
	}
	if (error && error != -ECONNRESET) {
		list_anew(w);	/* what it said cannot be read */
		return fail(w, error, error == -EBADMSG ? "an answer that is none" : answer->why);
	}
	explain(w, answer, why, sizeof(why));
	if (!w->is_watching)
		list_anew(w);
	fail(w, answer->status && !error ? (int)answer->status : -ECONNRESET, error ? answer->why : why);
}

static void begin(struct kube_watch *w)
{
	static const struct kube_events events = { on_opened, on_line, on_done };
	const char *only = w->kind == KUBE_SERVICES && !w->is_bare
		? "fieldSelector=spec.type%3DLoadBalancer&" : "";
	char path[sizeof(w->path) + KUBE_CONTINUE_LEN + 256], why[KUBE_WHY_LEN - 20];

	if (w->is_watching) {
		snprintf(path, sizeof(path), "%s?%swatch=1&allowWatchBookmarks=true&resourceVersion=%s"
			"&timeoutSeconds=%d", w->path, only, w->version, WATCH_S);
	} else {
		if (!w->more[0])
			kube_objects_begin(&w->objects);
		snprintf(path, sizeof(path), "%s?%slimit=" KUBE_PAGE "%s%s", w->path, only,
			w->more[0] ? "&continue=" : "", w->more);
	}
	w->began_ns = loop_now(w->loop);
	if (kube_api_get(w->api, path, w->is_watching ? WATCH_S + LIST_S : LIST_S, &events, w, &w->request,
		why, sizeof(why)))
		fail(w, -ENOKEY, why);
}

void kube_watch_start(struct kube_watch *w)
{
	w->backoff = (struct backoff){ .first_ns = LOOP_SECOND / 2, .most_ns = 30 * LOOP_SECOND,
		.tenths = 20 };
	loop_timer_init(&w->again, on_again, w);
	snprintf(w->why, sizeof(w->why), "%s: not listed yet", kind_name(w->kind));
	begin(w);
}

void kube_watch_stop(struct kube_watch *w)
{
	loop_timer_cancel(w->loop, &w->again);
	kube_request_cancel(w->request);
	w->request = NULL;
	kube_objects_done(&w->objects);
}
