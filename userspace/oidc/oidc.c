// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An issuer's keys, kept and renewed, and the tokens that are checked with them.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/backoff.h"
#include "log/log.h"
#include "oidc/internal.h"

#define WELL_KNOWN	"/.well-known/openid-configuration"
#define KEPT_NS		(24 * 3600 * LOOP_SECOND)	/* keys that cannot be renewed count on */
#define ASK_NS		(60 * LOOP_SECOND)	/* between questions that tokens cause */

struct oidc_check {
	struct oidc *oidc;
	struct oidc_check *next, **at;	/* where it is linked */
	oidc_fn fn;
	void *ctx;
	size_t len;
	char token[];
};

struct oidc {
	struct loop *loop;
	struct oidc_options options;	/* texts are ours */
	struct oidc_source source;
	struct loop_timer timer;	/* to the next renewal */
	struct loop_deferred deferred;
	struct backoff backoff;
	struct oidc_discovery discovery;
	struct oidc_key_set keys;
	bool has_keys;
	uint64_t until_ns;		/* when they count no more */
	uint64_t asked_ns;		/* when a token last caused a question */
	bool has_asked;
	void *request;			/* under way; NULL: none */
	bool is_in_trouble;		/* which was logged */
	char why[OIDC_WHY_LEN];		/* why keys are not known, or not renewed */
	struct oidc_check *waiting;	/* for the request under way */
	struct oidc_check **last;
	struct oidc_check *settling;	/* being told now */
	struct oidc_counts counts;
};

/* --- checks --- */

static bool is_usable(const struct oidc *o)
{
	return o->has_keys && loop_now(o->loop) < o->until_ns;
}

/* -EAGAIN: other keys might help; @reason is set for that case, too. */
static int check_now(struct oidc *o, const char *text, size_t len, struct oidc_user *ret_user,
	struct oidc_reason *reason)
{
	struct oidc_token token;
	int ret = oidc_token_read(text, len, &token, reason);

	if (ret)
		return ret;
	if (!is_usable(o)) {
		oidc_refuse(reason, OIDC_UNREADY, "nobody can sign in for now: %.200s", o->why);
		ret = -EAGAIN;
	} else {
		switch (oidc_token_verify(&token, &o->keys)) {
		case OIDC_GOOD:
			ret = oidc_claims_judge(token.claims_part, &o->options,
				o->source.now_s(o->source.ctx),
				ret_user, reason);
			break;
		case OIDC_NO_KEY:
			oidc_refuse(reason, OIDC_KEY, "the token is by a key that the issuer does not have");
			ret = -EAGAIN;
			break;
		case OIDC_BAD:
			ret = oidc_refuse(reason, OIDC_SIGNATURE, "the token's signature is wrong");
			break;
		}
	}
	oidc_token_done(&token);
	if (!ret)
		crypto_hash_sha256(ret_user->hash, (const uint8_t *)text, len);
	return ret;
}

/* The owner may be freed by it. */
static void tell(struct oidc *o, oidc_fn fn, void *ctx, int ret, struct oidc_user *user,
	const struct oidc_reason *reason)
{
	if (ret) {
		o->counts.refused[reason->kind]++;
		fn(ctx, NULL, reason->text);
		return;
	}
	o->counts.accepted++;
	fn(ctx, user, NULL);
	oidc_user_done(user);
}

static void unlink_check(struct oidc_check *check)
{
	struct oidc *o = check->oidc;

	*check->at = check->next;
	if (check->next)
		check->next->at = check->at;
	else if (o->last == &check->next)
		o->last = check->at;
}

static void free_check(struct oidc_check *check)
{
	unlink_check(check);
	check->oidc->counts.waiting--;
	sodium_memzero(check->token, check->len);
	free(check);
}

static void settle_one(struct oidc *o, struct oidc_check *check)
{
	struct oidc_reason reason = {};
	struct oidc_user user = {};
	int ret = check_now(o, check->token, check->len, &user, &reason);
	oidc_fn fn = check->fn;
	void *ctx = check->ctx;

	if (ret == -ENOMEM)
		oidc_refuse(&reason, OIDC_UNREADY, "out of memory");
	free_check(check);
	tell(o, fn, ctx, ret, &user, &reason);
}

/*
 * Tells those that wait, whatever there is now. New ones may come meanwhile, it may be called again, and the
 * owner may be freed.
 */
static void settle(struct oidc *o)
{
	bool is_nested = o->settling;
	struct oidc_check **end = &o->settling;

	while (*end)
		end = &(*end)->next;
	*end = o->waiting;
	if (o->waiting)
		o->waiting->at = end;
	o->waiting = NULL;
	o->last = &o->waiting;
	while (!is_nested && o->settling)
		settle_one(o, o->settling);
}

static int wait_for_keys(struct oidc *o, const char *token, size_t len, oidc_fn fn, void *ctx,
	struct oidc_check **ret_check)
{
	struct oidc_check *check = malloc(sizeof(*check) + len);

	if (!check)
		return -ENOMEM;
	*check = (struct oidc_check){ .oidc = o, .at = o->last, .fn = fn, .ctx = ctx, .len = len };
	memcpy(check->token, token, len);
	*o->last = check;
	o->last = &check->next;
	o->counts.waiting++;
	*ret_check = check;
	return 0;
}

/* --- keys --- */

static void renew(struct oidc *o);

static void on_timer(void *ctx)
{
	renew(ctx);
}

static void drop_keys(struct oidc *o)
{
	oidc_key_set_done(&o->keys);
	o->has_keys = false;
}

static void fail(struct oidc *o, const char *what, const char *why)
{
	bool had_keys = o->has_keys;

	if (had_keys && !is_usable(o))
		drop_keys(o);
	o->counts.failures++;
	snprintf(o->why, sizeof(o->why), "%.60s: %.180s", what, why);
	if (!o->is_in_trouble || (had_keys && !o->has_keys))
		log_warn("issuer %s: %s; %s", o->options.issuer, o->why, o->has_keys
			? "its keys of before count for up to 24 hours"
			: "nobody can sign in until it answers");
	o->is_in_trouble = true;
	loop_timer_after(o->loop, &o->timer, backoff_next(&o->backoff));
	settle(o);
}

static void take_keys(struct oidc *o, struct oidc_key_set *keys, const char *cache_control)
{
	uint64_t age_ns = oidc_max_age_s(cache_control) * LOOP_SECOND;
	bool is_news = !o->has_keys || o->is_in_trouble == !!keys->count || o->keys.count != keys->count;

	drop_keys(o);
	o->keys = *keys;
	o->has_keys = true;
	o->until_ns = loop_now(o->loop) + age_ns + KEPT_NS;
	o->counts.renewals++;
	backoff_reset(&o->backoff);
	o->is_in_trouble = !keys->count;
	if (!keys->count)
		snprintf(o->why, sizeof(o->why), "it has no key that can be used: expected RSA of 2048 bits "
			"or more, P-256 or Ed25519, for signatures");
	if (is_news && keys->count)
		log_info("issuer %s: keys known: %zu", o->options.issuer, keys->count);
	else if (is_news)
		log_warn("issuer %s: %s", o->options.issuer, o->why);
	loop_timer_after(o->loop, &o->timer, age_ns);
	settle(o);
}

static void on_keys(void *ctx, const char *body, size_t len, const char *cache_control, const char *why)
{
	struct oidc *o = ctx;
	struct oidc_key_set keys;
	char text[OIDC_WHY_LEN];

	o->request = NULL;
	if (why)
		fail(o, "asking for its keys", why);
	else if (oidc_key_set_read(body, len, &keys, text))
		fail(o, "reading its keys", text);
	else
		take_keys(o, &keys, cache_control);
}

static int ask(struct oidc *o, const char *url, oidc_document_fn done)
{
	char why[OIDC_WHY_LEN];
	int ret = o->source.get(o->source.ctx, url, done, o, &o->request, why);

	if (ret)
		fail(o, "asking it", why);
	return ret;
}

static void on_discovery(void *ctx, const char *body, size_t len, const char *cache_control, const char *why)
{
	struct oidc_discovery discovery;
	struct oidc *o = ctx;
	char text[OIDC_WHY_LEN];

	o->request = NULL;
	if (why) {
		fail(o, "asking for " WELL_KNOWN, why);
	} else if (oidc_discovery_read(body, len, o->options.issuer, &discovery, text)) {
		fail(o, "reading " WELL_KNOWN, text);
	} else {
		oidc_discovery_done(&o->discovery);
		o->discovery = discovery;
		ask(o, o->discovery.jwks_uri, on_keys);
	}
}

static void renew(struct oidc *o)
{
	const char *issuer = o->options.issuer;
	size_t len = strlen(issuer);
	char url[OIDC_URL_MAX + sizeof(WELL_KNOWN)];

	if (o->request)
		return;
	/* OpenID Connect Discovery 1.0 section 4.1: a slash at the end is not doubled */
	snprintf(url, sizeof(url), "%.*s" WELL_KNOWN, (int)(len - (issuer[len - 1] == '/')), issuer);
	ask(o, url, on_discovery);
}

/* Whether keys are on their way that the token in hand may be by. */
static bool expects_keys(struct oidc *o)
{
	if (o->request)
		return true;
	if (!is_usable(o) || (o->has_asked && loop_now(o->loop) - o->asked_ns < ASK_NS))
		return false;
	o->has_asked = true;
	o->asked_ns = loop_now(o->loop);
	loop_timer_cancel(o->loop, &o->timer);
	return !ask(o, o->discovery.jwks_uri, on_keys);
}

/* --- from outside --- */

int oidc_check(struct oidc *o, const char *token, size_t len, oidc_fn fn, void *ctx,
	struct oidc_check **ret_check)
{
	struct oidc_reason reason = {};
	struct oidc_user user = {};
	int ret = check_now(o, token, len, &user, &reason);

	*ret_check = NULL;
	if (ret == -ENOMEM)
		return ret;
	if (ret == -EAGAIN && o->counts.waiting < OIDC_WAITING_MAX && expects_keys(o))
		return wait_for_keys(o, token, len, fn, ctx, ret_check);
	tell(o, fn, ctx, ret, &user, &reason);
	return 0;
}

void oidc_cancel(struct oidc_check *check)
{
	if (check)
		free_check(check);
}

bool oidc_is_ready(const struct oidc *o, const char **ret_why)
{
	*ret_why = o->why;
	return is_usable(o) && o->keys.count;
}

void oidc_endpoints(const struct oidc *o, struct oidc_endpoints *ret_endpoints)
{
	const struct oidc_discovery *d = &o->discovery;

	*ret_endpoints = (struct oidc_endpoints){ d->device ? d->device : "", d->token ? d->token : "",
		d->authorization ? d->authorization : "" };
}

void oidc_count(const struct oidc *o, struct oidc_counts *ret_counts)
{
	*ret_counts = o->counts;
	ret_counts->keys = is_usable(o) ? o->keys.count : 0;
}

/* --- life --- */

static int copy(const char *text, const char *otherwise, const char **ret_copy)
{
	const char *from = text ? text : otherwise;

	*ret_copy = strdup(from);
	return *ret_copy ? 0 : -ENOMEM;
}

static int copy_options(const struct oidc_options *from, struct oidc_options *to)
{
	int ret = copy(from->issuer, NULL, &to->issuer);

	if (!ret)
		ret = copy(from->audience, NULL, &to->audience);
	if (!ret)
		ret = copy(from->client_id, from->audience, &to->client_id);
	if (!ret)
		ret = copy(from->user_claim, "sub", &to->user_claim);
	if (!ret)
		ret = copy(from->groups_claim, "groups", &to->groups_claim);
	to->leeway_s = from->leeway_s ? from->leeway_s : OIDC_LEEWAY_S;
	return ret;
}

static void free_options(struct oidc_options *options)
{
	free((char *)options->issuer);
	free((char *)options->audience);
	free((char *)options->client_id);
	free((char *)options->user_claim);
	free((char *)options->groups_claim);
}

int oidc_new_from(struct loop *loop, const struct oidc_options *options, const struct oidc_source *source,
	struct oidc **ret_oidc, char why[static OIDC_WHY_LEN])
{
	int ret = strchr(options->issuer, '?') ? -EINVAL : oidc_check_url("issuer", options->issuer, why);
	struct oidc *o = ret ? NULL : calloc(1, sizeof(*o));

	if (ret && strchr(options->issuer, '?'))
		snprintf(why, OIDC_WHY_LEN, "issuer: expected a URL without a query");
	if (!ret && (!o || copy_options(options, &o->options))) {
		snprintf(why, OIDC_WHY_LEN, "out of memory");
		ret = -ENOMEM;
	}
	if (ret) {
		if (o)
			free_options(&o->options);
		free(o);
		source->release(source->ctx);
		return ret;
	}
	o->loop = loop;
	o->source = *source;
	o->last = &o->waiting;
	o->backoff = (struct backoff){ .first_ns = 2 * LOOP_SECOND, .most_ns = 60 * LOOP_SECOND,
		.tenths = 20 };
	snprintf(o->why, sizeof(o->why), "its keys were not told yet");
	loop_timer_init(&o->timer, on_timer, o);
	renew(o);
	*ret_oidc = o;
	return 0;
}

void oidc_free(struct oidc *o)
{
	if (!o)
		return;
	if (o->request)
		o->source.cancel(o->source.ctx, o->request);
	o->source.release(o->source.ctx);
	loop_timer_cancel(o->loop, &o->timer);
	drop_keys(o);
	snprintf(o->why, sizeof(o->why), "the configuration has changed, sign in again");
	settle(o);
	while (o->settling)	/* by who frees us from a callback */
		settle_one(o, o->settling);
	oidc_discovery_done(&o->discovery);
	free_options(&o->options);
	loop_defer_free(o->loop, &o->deferred, free, o);
}
