// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What an issuer says of itself (OpenID Connect Discovery 1.0 section 3; RFC 8628 section 4).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/server_url.h"
#include "http/head.h"
#include "netbird/json_file.h"
#include "oidc/internal.h"

#define AGE_MIN_S	300ULL
#define AGE_S		3600ULL
#define AGE_MAX_S	86400ULL

int oidc_check_url(const char *name, const char *url, char why[static OIDC_WHY_LEN])
{
	struct server_url parsed;

	if (strlen(url) <= OIDC_URL_MAX && !server_url_parse_web(url, &parsed) &&
		(parsed.scheme == SERVER_HTTPS || server_url_is_loopback(&parsed)))
		return 0;
	snprintf(why, OIDC_WHY_LEN, "%s: expected https://HOST[:PORT]/PATH, or http:// to a loopback address",
		name);
	return -EINVAL;
}

/* "": it is not there, which is allowed unless @is_needed. */
static int take_url(const json_t *json, const char *name, bool is_needed, char **ret_url,
	char why[static OIDC_WHY_LEN])
{
	const json_t *value = json_object_get(json, name);
	const char *text = json_string_value(value);

	if (!value && !is_needed)
		text = "";
	else if (oidc_check_url(name, text ? text : "", why))
		return -EBADMSG;
	*ret_url = strdup(text);
	if (*ret_url)
		return 0;
	snprintf(why, OIDC_WHY_LEN, "out of memory");
	return -ENOMEM;
}

static int take(const json_t *json, const char *issuer, struct oidc_discovery *d,
	char why[static OIDC_WHY_LEN])
{
	const char *named = json_file_text(json, "issuer");
	int ret;

	if (!json) {
		snprintf(why, OIDC_WHY_LEN, "expected a JSON object");
		return -EBADMSG;
	}
	if (!named || strcmp(named, issuer)) {
		snprintf(why, OIDC_WHY_LEN, "it names the issuer %.80s: expected what the configuration "
			"names, %.80s", named && oidc_is_shown(named, OIDC_URL_MAX) ? named
			: "(unreadable)", issuer);
		return -EBADMSG;
	}
	ret = take_url(json, "jwks_uri", true, &d->jwks_uri, why);
	if (!ret)
		ret = take_url(json, "token_endpoint", false, &d->token, why);
	if (!ret)
		ret = take_url(json, "authorization_endpoint", false, &d->authorization, why);
	if (!ret)
		ret = take_url(json, "device_authorization_endpoint", false, &d->device, why);
	return ret;
}

int oidc_discovery_read(const char *text, size_t len, const char *issuer,
	struct oidc_discovery *ret_discovery, char why[static OIDC_WHY_LEN])
{
	json_t *json = oidc_json(text, len);
	struct oidc_discovery d = {};
	int ret = take(json, issuer, &d, why);

	json_decref(json);
	if (ret)
		oidc_discovery_done(&d);
	else
		*ret_discovery = d;
	return ret;
}

void oidc_discovery_done(struct oidc_discovery *d)
{
	free(d->jwks_uri);
	free(d->device);
	free(d->token);
	free(d->authorization);
	*d = (struct oidc_discovery){};
}

uint64_t oidc_max_age_s(const char *cache_control)
{
	struct slice rest = slice_from(cache_control), item;
	uint64_t age = AGE_S;

	if (http_list_has(rest, "no-cache") || http_list_has(rest, "no-store"))
		return AGE_MIN_S;
	while (slice_next(&rest, ",", &item)) {
		struct slice value = item, name = slice_cut(&value, "=");
		char digits[16];

		if (slice_is(name, "max-age") && slice_copy(value, digits, sizeof(digits)) && digits[0] &&
			!digits[strspn(digits, "0123456789")])
			age = strtoull(digits, NULL, 10);
	}
	return age < AGE_MIN_S ? AGE_MIN_S : age > AGE_MAX_S ? AGE_MAX_S : age;
}
