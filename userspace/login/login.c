// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which flow it is: PKCE where a browser can come back to this host, else a device code.
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "login/internal.h"

#define CALLBACK_MS	300000U

/* The value of @name, "" if it is not set. */
static const char *find(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	return "";
}

bool login_is_graphical(char *const *env)
{
	static const char *const names[] = { "DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "DESKTOP_SESSION",
		"XDG_CURRENT_DESKTOP" };
	const char *type = find(env, "XDG_SESSION_TYPE");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (*find(env, names[i]))
			return true;
	return !strcmp(type, "x11") || !strcmp(type, "wayland") || !strcmp(type, "mir");
}

static uint64_t now_ns(void *ctx)
{
	return clock_boot_ns();
}

static void sleep_s(void *ctx, unsigned int seconds)
{
	struct timespec left = { .tv_sec = seconds };

	while (clock_nanosleep(CLOCK_BOOTTIME, 0, &left, &left) == EINTR)
		;
}

static int with_flow(const struct login_request *request, enum provider_flow flow,
	const struct provider *provider, char **ret_token, char *why, size_t size)
{
	struct sign_in s = { .provider = provider, .out = request->out, .qr = request->qr,
		.clock = { now_ns, sleep_s, NULL }, .callback_ms = CALLBACK_MS,
		.certificate = { request->client_certificate, request->client_key } };
	int ret = server_url_parse(request->management_url, SERVER_SCHEMES_WEB, &s.management);

	if (ret) {
		snprintf(why, size, "%.200s is not a management server", request->management_url);
		return ret;
	}
	return flow == PROVIDER_PKCE ? pkce_sign_in(&s, ret_token, why, size)
		: device_sign_in(&s, ret_token, why, size);
}

int login_sign_in(const struct login_request *request, char **ret_token, char *why, size_t size)
{
	enum provider_flow flow = request->is_graphical ? PROVIDER_PKCE : PROVIDER_DEVICE;
	struct provider provider = {};
	int ret = ask_provider(request->management_url, flow, &provider, why, size);

	if (ret && flow == PROVIDER_PKCE) {
		flow = PROVIDER_DEVICE;
		ret = ask_provider(request->management_url, flow, &provider, why, size);
	}
	if (!ret)
		ret = with_flow(request, flow, &provider, ret_token, why, size);
	provider_done(&provider);
	return ret;
}
