// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Formats what text and JSON both show.
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "status/show.h"

#define SHOW_END(id, label, drop, help) { label, help, drop },
const struct show_end show_ends[TALON_END_COUNT] = { TALON_ENDS(SHOW_END) };
const struct show_end show_handshakes[HANDSHAKE_STATS_ENTRIES] =
	{ HANDSHAKE_ENDS(SHOW_END) HANDSHAKE_COUNTS(SHOW_END) };
const char *const show_dirs[TALON_DIR_COUNT] = { "in", "out", "tunnel", "onward" };

void show_address6(const struct talon_config *config, char *text, size_t size)
{
	const struct cidr own = { .family = AF_INET6, .prefixlen = config->mesh_len6,
		.addr = config->mesh_addr6 };

	if (addr6_is_zero(&own.addr))
		text[0] = '\0';
	else
		cidr_format(&own, text, size);
}

void show_endpoint(const struct status_peer *peer, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN];

	if (peer->endpoint_family != AF_INET && peer->endpoint_family != AF_INET6) {
		snprintf(text, size, "-");
		return;
	}
	inet_ntop(peer->endpoint_family, &peer->endpoint, addr, sizeof(addr));
	snprintf(text, size, peer->endpoint_family == AF_INET ? "%s:%u" : "[%s]:%u", addr,
		ntohs(peer->endpoint_port));
}

void show_duration(__u64 seconds, char *text, size_t size)
{
	static const struct {
		__u64 seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	size_t len = 0, shown = 0;

	text[0] = '\0';
	for (size_t i = 0; i < 4 && shown < 2; i++) {
		__u64 count = seconds / units[i].seconds;

		seconds %= units[i].seconds;
		if (count || (i == 3 && !shown))
			len += snprintf(text + len, size - len, "%s%llu %s%s", shown ? ", " : "", count,
				units[i].name, count == 1 ? "" : "s");
		shown += shown || count;
	}
}

__u64 show_seconds_since(const struct status *status, __u64 then_ns)
{
	return status->now_ns > then_ns ? (status->now_ns - then_ns) / TALON_NSEC_PER_SEC : 0;
}

void show_bytes(__u64 bytes, char *text, size_t size)
{
	static const char prefixes[] = "KMGTPE";
	double value = bytes;
	int i = -1;

	if (bytes < 1024) {
		snprintf(text, size, "%llu B", bytes);
		return;
	}
	while (value >= 1024 && i < 5) {
		value /= 1024;
		i++;
	}
	snprintf(text, size, "%.1f %ciB", value, prefixes[i]);
}

void show_time(__u64 unix_s, char *text, size_t size)
{
	time_t when = unix_s;
	struct tm tm;

	text[0] = '\0';
	if (gmtime_r(&when, &tm))
		strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

const char *show_hand_up(const struct talon_config *config)
{
	return config->flags & TALON_F_HANDUP_TUNNEL ? "tunnel" : "pass";
}
