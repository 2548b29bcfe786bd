// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a request is to owners, whichever HTTP it came by: its fields, and who sent it.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/internal.h"

struct slice server_request_field(const struct server_request *is, const char *name)
{
	const struct request *request = (const struct request *)is;
	struct slice found = {};

	for (size_t i = 0; i < request->field_count; i++) {
		if (!slice_is(request->fields[i].name, name))
			continue;
		if (found.at)
			return (struct slice){};
		found = request->fields[i].value;
	}
	return found;
}

static struct slice last_field(const struct request *request, const char *name)
{
	for (size_t i = request->field_count; i > 0; i--) {
		if (slice_is(request->fields[i - 1].name, name))
			return request->fields[i - 1].value;
	}
	return (struct slice){};
}

static struct slice last_item(struct slice list)
{
	struct slice item = {}, last = {};

	while (slice_next(&list, ",", &item))
		last = item;
	return last;
}

/* "192.0.2.1", "192.0.2.1:443", "2001:db8::1", "[2001:db8::1]:443"; the port does not matter. */
static bool read_address(struct slice text, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = {};
	struct cidr address;
	const char *colon = text.len ? memchr(text.at, ':', text.len) : NULL;

	if (text.len && text.at[0] == '[') {
		text.at++;
		text.len--;
		text = slice_cut(&text, "]");
	} else if (colon && !memchr(colon + 1, ':', text.at + text.len - colon - 1)) {
		text.len = colon - text.at;
	}
	if (!text.len || memchr(text.at, '/', text.len) || cidr_parse(text, true, &address))
		return false;
	endpoint.family = address.family;
	endpoint.remote = address.addr;
	*ret_endpoint = endpoint;
	return true;
}

void request_settle(struct request *request, const struct connection *c)
{
	request->remote = c->remote;
	request->is.remote = &request->remote;
	request->is.is_tls = c->ssl;
	if (!c->is_trusted)
		return;
	read_address(last_item(last_field(request, "x-forwarded-for")), &request->remote);
	request->is.is_tls |= slice_is(last_item(last_field(request, "x-forwarded-proto")), "https");
}

void request_set_target(struct request *request, char *target)
{
	char *query = strchr(target, '?');

	request->is.query = "";
	if (query) {
		*query++ = 0;
		request->is.query = query;
	}
	request->is.path = target;
}

const char *request_phrase(int status)
{
	static const struct { int status; const char *phrase; } phrases[] = {
		{ 200, "OK" }, { 204, "No Content" }, { 302, "Found" }, { 303, "See Other" },
		{ 307, "Temporary Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 413, "Content Too Large" }, { 415, "Unsupported Media Type" }, { 426, "Upgrade Required" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Other";
}

void request_date(char text[static 32])
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
		"Oct", "Nov", "Dec" };
	time_t now = time(NULL);
	struct tm tm = {};

	gmtime_r(&now, &tm);
	snprintf(text, 32, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7], tm.tm_mday % 100U,
		months[tm.tm_mon % 12], (tm.tm_year + 1900) % 10000U, tm.tm_hour % 100U, tm.tm_min % 100U,
		tm.tm_sec % 100U);
}
