// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// DeviceAuthorizationFlow and PKCEAuthorizationFlow: the provider that management names.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "netbird/provider.h"
#include "management.pb-c.h"

#define TEXT_MAX	2048

static int wrong(char *why, size_t size, const char *name, const char *what)
{
	snprintf(why, size, "management names a provider for signing in %s %s", what, name);
	return -EBADMSG;
}

static bool is_plain(const char *text, bool with_blanks)
{
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at >= 0x7f || *at < ' ' || (*at == ' ' && !with_blanks))
			return false;
	return strlen(text) <= TEXT_MAX;
}

struct text {
	const char *name;		/* NetBird's */
	const char *from;
	char **to;
	bool is_needed, with_blanks;
};

static int take_text(const struct text *text, char *why, size_t size)
{
	if (text->is_needed && !text->from[0])
		return wrong(why, size, text->name, "without a");
	if (!is_plain(text->from, text->with_blanks))
		return wrong(why, size, text->name, "with a malformed");
	*text->to = strdup(text->from);
	return *text->to ? 0 : -ENOMEM;
}

static int take_texts(enum provider_flow flow, const Management__ProviderConfig *config, struct provider *p,
	char *why, size_t size)
{
	const bool device = flow == PROVIDER_DEVICE;
	const char *audience = config->audience[0] || device ? config->audience : config->client_id;
	const struct text texts[] = {
		{ "ClientID", config->client_id, &p->client_id, true, false },
		{ "ClientSecret", config->client_secret, &p->client_secret, false, false },
		{ "Audience", audience, &p->audience, true, false },
		{ "Scope", config->scope, &p->scope, true, true },
		{ "DeviceAuthEndpoint", config->device_auth_endpoint, &p->device_auth_endpoint, device,
			false },
		{ "TokenEndpoint", config->token_endpoint, &p->token_endpoint, true, false },
		{ "AuthorizationEndpoint", config->authorization_endpoint, &p->authorization_endpoint,
			!device,
			false },
	};
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(texts) / sizeof(texts[0]); i++)
		ret = take_text(&texts[i], why, size);
	return ret;
}

static int take_redirects(const Management__ProviderConfig *config, struct provider *p, char *why,
	size_t size)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < config->n_redirect_urls && i < PROVIDER_REDIRECTS_MAX; i++) {
		const struct text text = { "RedirectURL", config->redirect_urls[i], &p->redirects[i], true,
			false };

		ret = take_text(&text, why, size);
		p->redirect_count += !ret;
	}
	return ret;
}

static const char *prompt_of(const Management__ProviderConfig *config)
{
	if (config->disable_prompt_login)
		return "";
	return config->login_flag == 0 ? "prompt=login" : config->login_flag == 1 ? "max_age=0" : "";
}

static int take(enum provider_flow flow, const Management__ProviderConfig *config,
	struct provider *ret_provider, char *why, size_t size)
{
	struct provider p = {};
	int ret;

	if (!config)
		return wrong(why, size, "ProviderConfig", "without a");
	p.use_id_token = config->use_id_token;
	p.prompt = prompt_of(config);
	ret = take_texts(flow, config, &p, why, size);
	if (!ret && flow == PROVIDER_PKCE)
		ret = take_redirects(config, &p, why, size);
	if (!ret && flow == PROVIDER_PKCE && !p.redirect_count)
		ret = wrong(why, size, "RedirectURL", "without a");
	if (ret)
		provider_done(&p);
	else
		*ret_provider = p;
	return ret;
}

static void wipe_secret(const Management__ProviderConfig *config)
{
	if (config)
		sodium_memzero(config->client_secret, strlen(config->client_secret));
}

int provider_parse(enum provider_flow flow, const uint8_t *bytes, size_t len, struct provider *ret_provider,
	char *why, size_t size)
{
	Management__DeviceAuthorizationFlow *device = NULL;
	Management__PKCEAuthorizationFlow *pkce = NULL;
	const Management__ProviderConfig *config;
	int ret;

	if (flow == PROVIDER_DEVICE)
		device = management__device_authorization_flow__unpack(NULL, len, bytes);
	else
		pkce = management__pkceauthorization_flow__unpack(NULL, len, bytes);
	if (!device && !pkce) {
		snprintf(why, size, "management's answer about signing in cannot be read");
		return -EBADMSG;
	}
	config = device ? device->provider_config : pkce->provider_config;
	ret = take(flow, config, ret_provider, why, size);
	wipe_secret(config);
	if (device)
		management__device_authorization_flow__free_unpacked(device, NULL);
	if (pkce)
		management__pkceauthorization_flow__free_unpacked(pkce, NULL);
	return ret;
}

void provider_done(struct provider *p)
{
	char *texts[] = { p->client_id, p->client_secret, p->audience, p->scope, p->device_auth_endpoint,
		p->token_endpoint, p->authorization_endpoint };

	if (p->client_secret)
		sodium_memzero(p->client_secret, strlen(p->client_secret));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	for (size_t i = 0; i < p->redirect_count; i++)
		free(p->redirects[i]);
	memset(p, 0, sizeof(*p));
}
