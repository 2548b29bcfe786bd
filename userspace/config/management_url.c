// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The URL of a management server: https://HOST[:PORT] or http://HOST[:PORT].
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/server_url.h"
#include "config/config_internal.h"

static bool is_url_host(const char *host)
{
	struct in6_addr addr;

	if (strchr(host, ':'))
		return inet_pton(AF_INET6, host, &addr) == 1;
	return strlen(host) <= 253 && *host != '.' && *host != '-';
}

static int parse_url(struct slice value, struct server_url *ret_url)
{
	char text[1024];

	return slice_copy(value, text, sizeof(text)) && !server_url_parse(text, SERVER_SCHEMES_WEB,
		ret_url) && is_url_host(ret_url->host) ? 0 : -EINVAL;
}

int management_url_parse(struct slice value, char **ret_url)
{
	char text[SERVER_URL_LEN];
	struct server_url url;

	if (parse_url(value, &url))
		return -EINVAL;
	server_url_format(&url, text);
	*ret_url = strdup(text);
	return *ret_url ? 0 : -ENOMEM;
}

int config_parse_management_url(const char *text, char **ret_url, char *why, size_t size)
{
	int ret = management_url_parse(slice_from(text), ret_url);

	if (ret == -ENOMEM)
		return config_no_memory(why, size);
	if (ret)
		snprintf(why, size, "management URL: '%.100s' is not a management server; expected "
			CONFIG_URL_FORM, text);
	return ret;
}

bool config_is_cleartext_url(const char *text)
{
	struct in_addr addr;
	struct server_url url;

	if (strncasecmp(text, "http://", 7))
		return false;
	if (parse_url(slice_from(text), &url))
		return true;
	if (!strcasecmp(url.host, "localhost") || !strcmp(url.host, "::1"))
		return false;
	return inet_pton(AF_INET, url.host, &addr) != 1 || ntohl(addr.s_addr) >> 24 != 127;
}
