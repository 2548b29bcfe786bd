// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the three renderings of a snapshot share: which peers they show, in which order, and how times are
// written.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "status/render.h"
#include "status/show.h"

const char *render_or_empty(const char *text)
{
	return text ? text : "";
}

bool render_is_connected(const struct snapshot_peer *peer)
{
	return !strcmp(render_or_empty(peer->status), "Connected");
}

const char *render_connection(const struct snapshot_peer *peer)
{
	return !render_is_connected(peer) ? "-" : peer->relayed ? "Relayed" : "P2P";
}

size_t render_relays_available(const struct snapshot *snapshot)
{
	size_t count = 0;

	for (size_t i = 0; i < snapshot->relay_count; i++)
		count += snapshot->relays[i].available;
	return count;
}

const char *render_profile(const struct snapshot *snapshot)
{
	return render_or_empty(snapshot->profile)[0] ? snapshot->profile : "default";
}

bool render_is_in_mesh(const struct snapshot *snapshot)
{
	return render_or_empty(snapshot->ip)[0];
}

bool render_needs_login(const struct snapshot *snapshot)
{
	const char *status = render_or_empty(snapshot->daemon_status);

	return !strcmp(status, "NeedsLogin") || !strcmp(status, "LoginFailed") ||
		!strcmp(status, "SessionExpired");
}

struct snapshot render_unregistered(const struct snapshot *snapshot)
{
	return (struct snapshot){
		.version = snapshot->version, .daemon_status = snapshot->daemon_status,
		.management_url = snapshot->management_url, .profile = snapshot->profile,
	};
}

char *render_relay_error(const struct snapshot_relay *relay)
{
	const char *from = render_or_empty(relay->error);
	char *line = malloc(2 * strlen(from) + 1), *to = line;

	for (; line && *from; from++) {
		if (*from == '\n')
			to = stpcpy(to, "; ");
		else
			*to++ = *from;
	}
	if (line)
		*to = '\0';
	return line;
}

static bool is_one_of(char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(list[i], text))
			return true;
	}
	return !count;
}

static bool begins_with_one_of(char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (!strncasecmp(list[i], text, strlen(list[i])))
			return true;
	}
	return !count;
}

static bool passes(const struct render_filter *filter, const struct snapshot_peer *peer)
{
	return (is_one_of(filter->ips, filter->ip_count, render_or_empty(peer->ip)) ||
		is_one_of(filter->ips, filter->ip_count, render_or_empty(peer->address6))) &&
	       begins_with_one_of(filter->names, filter->name_count, render_or_empty(peer->fqdn)) &&
	       (!filter->status || !strcasecmp(filter->status, render_or_empty(peer->status))) &&
	       (!filter->connection || !strcasecmp(filter->connection, render_connection(peer)));
}

static int by_address(const void *left, const void *right)
{
	const char *a = render_or_empty((*(const struct snapshot_peer *const *)left)->ip);
	const char *b = render_or_empty((*(const struct snapshot_peer *const *)right)->ip);
	struct in_addr x, y;

	if (inet_pton(AF_INET, a, &x) != 1 || inet_pton(AF_INET, b, &y) != 1)
		return strcmp(a, b);
	return (ntohl(x.s_addr) > ntohl(y.s_addr)) - (ntohl(x.s_addr) < ntohl(y.s_addr));
}

int render_view_init(struct render_view *ret_view, const struct snapshot *snapshot,
	const struct render_filter *filter)
{
	struct render_view view = { .snapshot = snapshot };

	view.peers = calloc(snapshot->peer_count + 1, sizeof(*view.peers));
	if (!view.peers)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->peer_count; i++) {
		if (filter && !passes(filter, &snapshot->peers[i]))
			continue;
		view.peers[view.peer_count++] = &snapshot->peers[i];
		view.connected += render_is_connected(&snapshot->peers[i]);
	}
	qsort(view.peers, view.peer_count, sizeof(*view.peers), by_address);
	*ret_view = view;
	return 0;
}

/* @number divided by 10^@digits, without zeros at the end. Returns the length. */
static size_t put_decimal(char *text, size_t size, uint64_t number, int digits)
{
	uint64_t unit = 1;
	size_t len;

	for (int i = 0; i < digits; i++)
		unit *= 10;
	len = snprintf(text, size, "%llu.%0*llu", (unsigned long long)(number / unit), digits,
		(unsigned long long)(number % unit));
	while (text[len - 1] == '0')
		len--;
	len -= text[len - 1] == '.';
	text[len] = '\0';
	return len;
}

void render_duration(uint64_t ns, char text[static RENDER_TIME_LEN])
{
	uint64_t minutes = ns / 60000000000, hours = minutes / 60;
	size_t len = 0;

	if (!ns) {
		snprintf(text, RENDER_TIME_LEN, "0s");
	} else if (ns < 1000) {
		snprintf(text, RENDER_TIME_LEN, "%lluns", (unsigned long long)ns);
	} else if (ns < 1000000000) {
		bool micro = ns < 1000000;

		len = put_decimal(text, RENDER_TIME_LEN, ns, micro ? 3 : 6);
		snprintf(text + len, RENDER_TIME_LEN - len, micro ? "\xc2\xb5s" : "ms");
	} else {
		if (hours)
			len = snprintf(text, RENDER_TIME_LEN, "%lluh", (unsigned long long)hours);
		if (minutes)
			len += snprintf(text + len, RENDER_TIME_LEN - len, "%llum",
				(unsigned long long)(minutes % 60));
		len += put_decimal(text + len, RENDER_TIME_LEN - len, ns % 60000000000, 9);
		snprintf(text + len, RENDER_TIME_LEN - len, "s");
	}
}

void render_time(uint64_t ns, char text[static RENDER_TIME_LEN])
{
	time_t seconds = ns / 1000000000;
	struct tm tm;
	size_t len;

	if (!ns || !localtime_r(&seconds, &tm)) {
		snprintf(text, RENDER_TIME_LEN, "0001-01-01T00:00:00Z");
		return;
	}
	len = strftime(text, RENDER_TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns % 1000000000) {
		char fraction[16];

		put_decimal(fraction, sizeof(fraction), ns % 1000000000, 9);
		len += snprintf(text + len, RENDER_TIME_LEN - len, "%s", strchr(fraction, '.'));
	}
	if (tm.tm_gmtoff) {
		long offset = labs(tm.tm_gmtoff) / 60;

		snprintf(text + len, RENDER_TIME_LEN - len, "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
			offset / 60, offset % 60);
	} else {
		snprintf(text + len, RENDER_TIME_LEN - len, "Z");
	}
}
