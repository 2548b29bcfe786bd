// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether a token of the issuer is for us and counts now, and whom it names (RFC 7519 section 4.1).
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "netbird/json_file.h"
#include "oidc/internal.h"

#define TIME_MAX	(1ULL << 40)	/* seconds; whatever is later is no time */

/* --- for whom --- */

static bool is_text(const json_t *value, const char *expected)
{
	return json_is_string(value) && !strcmp(json_string_value(value), expected);
}

/*
 * The client that it was issued to has to be ours if it is named: one audience may be that of many clients.
 * Of several, any of which could pass the token on, it has to be named.
 */
static int judge_party(const json_t *claims, const struct oidc_options *o, bool are_several,
	struct oidc_reason *reason)
{
	const json_t *party = json_object_get(claims, "azp");

	if (!party)
		party = json_object_get(claims, "client_id");	/* RFC 9068 section 2.2 */
	if (is_text(party, o->client_id) || is_text(party, o->audience) || (!party && !are_several))
		return 0;
	if (!are_several)
		return oidc_refuse(reason, OIDC_AUDIENCE, "the token was issued to another client (azp)");
	return oidc_refuse(reason, OIDC_AUDIENCE, party
		? "the token for several audiences was issued to another client"
		: "the token for several audiences does not say which client it was issued to (azp)");
}

static int judge_audience(const json_t *claims, const struct oidc_options *o, struct oidc_reason *reason)
{
	const json_t *audience = json_object_get(claims, "aud"), *item;
	bool is_ours = is_text(audience, o->audience);
	size_t i;

	if (!json_is_string(audience) && (!json_array_size(audience) ||
		json_array_size(audience) > OIDC_AUDIENCES_MAX))
		return oidc_refuse(reason, OIDC_CLAIMS, "the token's aud: expected a text, or a list of 1 "
			"to %d texts",
			OIDC_AUDIENCES_MAX);
	json_array_foreach(audience, i, item) {
		if (!json_is_string(item))
			return oidc_refuse(reason, OIDC_CLAIMS, "the token's aud: expected texts in the "
				"list");
		is_ours |= is_text(item, o->audience);
	}
	if (!is_ours)
		return oidc_refuse(reason, OIDC_AUDIENCE, "the token is for another audience");
	return judge_party(claims, o, json_array_size(audience) > 1, reason);
}

/* --- when --- */

/* NumericDate: seconds, maybe with a fraction, which is cut. Absent: *@ret_s is not touched. */
static int take_time(const json_t *claims, const char *name, uint64_t *ret_s, struct oidc_reason *reason)
{
	const json_t *value = json_object_get(claims, name);
	double seconds = json_number_value(value);

	if (!value)
		return 0;
	if (!json_is_number(value) || !(seconds >= 0) || !(seconds < (double)TIME_MAX))
		return oidc_refuse(reason, OIDC_CLAIMS, "the token's %s: expected seconds since 1970", name);
	*ret_s = (uint64_t)seconds;
	return 0;
}

static int judge_times(const json_t *claims, const struct oidc_options *o, uint64_t now_s,
	struct oidc_user *user, struct oidc_reason *reason)
{
	uint64_t not_before = 0;
	int ret = take_time(claims, "exp", &user->expires_s, reason);

	if (!ret)
		ret = take_time(claims, "nbf", &not_before, reason);
	if (!ret)
		ret = take_time(claims, "iat", &user->issued_s, reason);
	if (ret)
		return ret;
	if (!json_object_get(claims, "exp"))
		return oidc_refuse(reason, OIDC_CLAIMS, "the token does not say when it expires (exp)");
	if (now_s >= user->expires_s + o->leeway_s)
		return oidc_refuse(reason, OIDC_TIME, "the token has expired");
	if (not_before > now_s + o->leeway_s)
		return oidc_refuse(reason, OIDC_TIME, "the token does not count yet (nbf); are the clocks "
			"right?");
	if (user->issued_s > now_s + o->leeway_s)
		return oidc_refuse(reason, OIDC_TIME, "the token is of the future (iat); are the clocks "
			"right?");
	return 0;
}

/* --- who --- */

static const char *shown(const json_t *claims, const char *name)
{
	const char *text = json_file_text(claims, name);

	return text && oidc_is_shown(text, OIDC_TEXT_MAX) ? text : NULL;
}

/* Somebody may write another's address; the issuer says that it did not look. */
static const char *shown_email(const json_t *claims)
{
	return json_is_false(json_object_get(claims, "email_verified")) ? NULL : shown(claims, "email");
}

static int take_user(const json_t *claims, const struct oidc_options *o, struct oidc_user *user,
	struct oidc_reason *reason)
{
	const char *subject = shown(claims, o->user_claim), *name = shown_email(claims);

	if (!shown(claims, "sub"))
		return oidc_refuse(reason, OIDC_CLAIMS, "the token's sub: expected a text of 1 to %d bytes",
			OIDC_TEXT_MAX);
	if (!subject)
		return oidc_refuse(reason, OIDC_CLAIMS, "the token's %.60s: expected a text of 1 to %d bytes",
			o->user_claim, OIDC_TEXT_MAX);
	if (!name)
		name = shown(claims, "preferred_username");
	if (!name)
		name = shown(claims, "name");
	user->subject = strdup(subject);
	user->shown = strdup(name ? name : subject);
	return user->subject && user->shown ? 0 : -ENOMEM;
}

static int take_groups(const json_t *claims, const struct oidc_options *o, struct oidc_user *user,
	struct oidc_reason *reason)
{
	const json_t *groups = json_object_get(claims, o->groups_claim), *item;
	size_t i;

	if (!groups || json_is_null(groups))
		return 0;
	if (!json_is_array(groups) || json_array_size(groups) > OIDC_GROUPS_MAX)
		return oidc_refuse(reason, OIDC_CLAIMS, "the token's %.60s: expected a list of at most %d "
			"texts",
			o->groups_claim, OIDC_GROUPS_MAX);
	user->groups = calloc(json_array_size(groups) + 1, sizeof(*user->groups));
	if (!user->groups)
		return -ENOMEM;
	json_array_foreach(groups, i, item) {
		const char *text = json_string_value(item);

		if (!text || !oidc_is_shown(text, OIDC_TEXT_MAX))
			return oidc_refuse(reason, OIDC_CLAIMS, "the token's %.60s: expected texts of 1 to "
				"%d bytes in the list", o->groups_claim, OIDC_TEXT_MAX);
		user->groups[i] = strdup(text);
		if (!user->groups[i])
			return -ENOMEM;
		user->group_count++;
	}
	return 0;
}

/* --- all of it --- */

static int judge(const json_t *claims, const struct oidc_options *o, uint64_t now_s, struct oidc_user *user,
	struct oidc_reason *reason)
{
	int ret = 0;

	if (!json_is_string(json_object_get(claims, "iss")))
		ret = oidc_refuse(reason, OIDC_CLAIMS, "the token does not name its issuer (iss)");
	else if (!is_text(json_object_get(claims, "iss"), o->issuer))
		ret = oidc_refuse(reason, OIDC_ISSUER, "the token is by another issuer");
	if (!ret)
		ret = judge_audience(claims, o, reason);
	if (!ret)
		ret = judge_times(claims, o, now_s, user, reason);
	if (!ret)
		ret = take_user(claims, o, user, reason);
	if (!ret)
		ret = take_groups(claims, o, user, reason);
	return ret;
}

int oidc_claims_judge(struct slice text, const struct oidc_options *options, uint64_t now_s,
	struct oidc_user *ret_user, struct oidc_reason *reason)
{
	struct oidc_user user = {};
	json_t *claims = NULL;
	uint8_t *bytes = NULL;
	size_t len = 0;
	int ret = oidc_base64(text, &bytes, &len);

	if (!ret) {
		claims = oidc_json(bytes, len);
		sodium_memzero(bytes, len);
		free(bytes);
	}
	if (!claims && ret != -ENOMEM)
		ret = oidc_refuse(reason, OIDC_MALFORMED, "the token's claims are not a JSON object in "
			"base64url");
	if (claims)
		ret = judge(claims, options, now_s, &user, reason);
	json_decref(claims);
	if (ret)
		oidc_user_done(&user);
	else
		*ret_user = user;
	return ret;
}

void oidc_user_done(struct oidc_user *user)
{
	for (size_t i = 0; i < user->group_count; i++)
		free(user->groups[i]);
	free(user->groups);
	free(user->subject);
	free(user->shown);
	*user = (struct oidc_user){};
}
