// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What may be asked of the reverse proxy; the same for the command line and for the control socket.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "expose/expose.h"

#define PIN_LEN		6
#define PREFIX_MAX	32
#define DOMAIN_MAX	253
#define LABEL_MAX	63
#define SECRET_MAX	128
#define GROUP_MAX	128

__attribute__((format(printf, 3, 4)))
static int wrong(char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return -EINVAL;
}

static bool is_one_of(const char *protocol, const char *const *names)
{
	for (; *names; names++) {
		if (!strcasecmp(*names, protocol))
			return true;
	}
	return false;
}

bool expose_is_plain(const char *protocol)
{
	static const char *const names[] = { "tcp", "udp", "tls", NULL };

	return is_one_of(protocol, names);
}

static bool is_web(const char *protocol)
{
	static const char *const names[] = { "http", "https", NULL };

	return is_one_of(protocol, names);
}

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Lower case letters, digits and inner hyphens. */
static bool is_label(const char *text, size_t len, size_t most)
{
	if (!len || len > most || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_lower_or_digit(text[i]) && text[i] != '-')
			return false;
	}
	return true;
}

static bool is_domain(const char *text)
{
	size_t len = strlen(text), labels = 0;

	if (!len || len > DOMAIN_MAX)
		return false;
	for (;; labels++) {
		size_t label = strcspn(text, ".");

		if (!is_label(text, label, LABEL_MAX))
			return false;
		text += label;
		if (!*text++)
			return labels > 0;
	}
}

static int check_guards(const struct control_expose *expose, char *why, size_t size)
{
	if (expose_is_plain(expose->protocol) && (expose->pin || expose->password || expose->group_count))
		return wrong(why, size, "--with-pin, --with-password and --with-user-groups do not go with "
			"--protocol %s; expected http or https", expose->protocol);
	if (expose->pin && (strlen(expose->pin) != PIN_LEN || strspn(expose->pin, "0123456789") != PIN_LEN))
		return wrong(why, size, "--with-pin: expected exactly 6 digits");
	if (expose->password && (!expose->password[0] || strlen(expose->password) > SECRET_MAX))
		return wrong(why, size, "--with-password: expected 1 to %d characters", SECRET_MAX);
	for (size_t i = 0; i < expose->group_count; i++) {
		if (!expose->groups[i][0] || strlen(expose->groups[i]) > GROUP_MAX)
			return wrong(why, size, "--with-user-groups: expected names of groups, with commas "
				"between them");
	}
	return 0;
}

int expose_check(const struct control_expose *expose, char *why, size_t size)
{
	if (!expose->port)
		return wrong(why, size, "the port: expected 1-65535");
	if (!is_web(expose->protocol) && !expose_is_plain(expose->protocol))
		return wrong(why, size, "--protocol: '%.20s' is not a protocol; expected " EXPOSE_PROTOCOLS,
			expose->protocol);
	if (expose->external_port && is_web(expose->protocol))
		return wrong(why, size, "--with-external-port does not go with --protocol %s; expected tcp, "
			"udp or tls", expose->protocol);
	if (expose->domain && !is_domain(expose->domain))
		return wrong(why, size, "--with-custom-domain: '%.64s' is not a domain; expected one such as "
			"app.example.com", expose->domain);
	if (expose->name_prefix && !is_label(expose->name_prefix, strlen(expose->name_prefix), PREFIX_MAX))
		return wrong(why, size, "--with-name-prefix: '%.64s' is not a prefix; expected 1-32 lower "
			"case letters, digits and inner hyphens", expose->name_prefix);
	return check_guards(expose, why, size);
}
