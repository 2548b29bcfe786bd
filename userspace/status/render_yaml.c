// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The snapshot as YAML: the keys of the JSON form, with quotes only where a parser would not read a text as a
// string.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "netbird/expiry.h"
#include "status/render.h"
#include "status/show.h"

#define STEP 4				/* columns of indentation per level */

static void indent(FILE *out, int column)
{
	fprintf(out, "%*s", column, "");
}

/* "12:30:45" is a number to base 60 in YAML 1.1. */
static bool is_sexagesimal(const char *text)
{
	size_t len = strspn(text, "0123456789_");

	if (!len || text[len] != ':')
		return false;
	while (text[len] == ':') {
		size_t digits = strspn(text + len + 1, "0123456789");

		if (!digits || digits > 2 || (digits == 2 && text[len + 1] > '5'))
			return false;
		len += 1 + digits;
	}
	return !text[len] || (text[len] == '.' && !text[len + 1 + strspn(text + len + 1, "0123456789_")]);
}

/* "2026-11-23", with or without a time after it. */
static bool is_date(const char *text)
{
	return strspn(text, "0123456789") == 4 && text[4] == '-' && isdigit((unsigned char)text[5]) &&
	       !text[strspn(text, "0123456789-:.+TtZz \t")];
}

/* Words, numbers and times that YAML 1.1 or 1.2 would not read as a string. */
static bool is_other_type(const char *text)
{
	static const char *const words[] = { "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n",
		".nan", ".inf", "+.inf", "-.inf", "=", "<<", NULL };
	char *end;

	for (size_t i = 0; words[i]; i++) {
		if (!strcasecmp(words[i], text))
			return true;
	}
	if (!isdigit((unsigned char)text[0]) && !strchr("+-.", text[0]))
		return false;
	strtod(text, &end);
	return !*end || is_sexagesimal(text + (text[0] == '+' || text[0] == '-')) || is_date(text);
}

/* What a plain scalar must not contain (YAML 1.2 section 7.3.3, in block context). */
static bool needs_quotes(const char *text)
{
	size_t len = strlen(text);

	if (!len || strchr("#,[]{}&*!|>'\"%@`", text[0]) ||
		(strchr("?:-", text[0]) && (len == 1 || text[1] == ' ')) || !strncmp(text, "---", 3) ||
		!strncmp(text, "...", 3) || text[0] == ' ' || text[len - 1] == ' ' || text[len - 1] == ':')
		return true;
	return strstr(text, ": ") || strstr(text, " #");
}

static bool is_printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			return false;
	}
	return true;
}

/* Lines of printable ASCII and tabs, none of which begins or ends with a space, can be a literal block. */
static bool is_literal(const char *text)
{
	if (!strchr(text, '\n') || strstr(text, " \n") || text[0] == ' ' || text[0] == '\n' ||
		text[strlen(text) - 1] == ' ')
		return false;
	for (; *text; text++) {
		if (((unsigned char)*text < ' ' && !strchr("\n\t", *text)) || (unsigned char)*text >= 0x7f)
			return false;
	}
	return true;
}

/* Section 8.1: "|" and what to do with trailing line feeds; then the lines. */
static void put_literal(FILE *out, const char *text, int column)
{
	size_t len = strlen(text);

	fprintf(out, "|%s\n", text[len - 1] != '\n' ? "-" : len > 1 && text[len - 2] == '\n' ? "+" : "");
	while (*text) {
		size_t part = strcspn(text, "\n");

		if (part)
			indent(out, column);
		fprintf(out, "%.*s\n", (int)part, text);
		text += part + (text[part] == '\n');
	}
}

/* On one line, quoted if necessary. */
static void put_scalar(FILE *out, const char *text)
{
	if (!text[0] || !is_printable(text) || is_other_type(text)) {
		text_print_json(out, text, strlen(text));	/* JSON's quotes are YAML's */
	} else if (needs_quotes(text)) {
		fputc('\'', out);
		for (; *text; text++)
			fprintf(out, *text == '\'' ? "''" : "%c", *text);
		fputc('\'', out);
	} else {
		fputs(text, out);
	}
}

/* A text and a newline; @column: the indentation if it takes several lines. */
static void put_text(FILE *out, const char *text, int column)
{
	text = render_or_empty(text);
	if (is_literal(text)) {
		put_literal(out, text, column);
		return;
	}
	put_scalar(out, text);
	fputc('\n', out);
}

/* The next column to indent to, a multiple of STEP even inside a list item, whose keys follow its dash. */
static int deeper(int column)
{
	return (column + STEP) / STEP * STEP;
}

static void line(FILE *out, int column, const char *key, const char *text)
{
	indent(out, column);
	fprintf(out, "%s: ", key);
	put_text(out, text, deeper(column));
}

/* The first line of a list item: a dash, at @column, before the key. */
static void first_line(FILE *out, int column, const char *key, const char *text)
{
	indent(out, column);
	fprintf(out, "- %s: ", key);
	put_text(out, text, deeper(column + 2));
}

/* Left out if it is empty. */
static void line_if_any(FILE *out, int column, const char *key, const char *text)
{
	if (render_or_empty(text)[0])
		line(out, column, key, text);
}

static void put_bool(FILE *out, int column, const char *key, bool value)
{
	indent(out, column);
	fprintf(out, "%s: %s\n", key, value ? "true" : "false");
}

static void put_number(FILE *out, int column, const char *key, uint64_t number)
{
	indent(out, column);
	fprintf(out, "%s: %llu\n", key, (unsigned long long)number);
}

static void put_time(FILE *out, int column, const char *key, uint64_t ns)
{
	char text[RENDER_TIME_LEN];

	render_time(ns, text);
	indent(out, column);
	fprintf(out, "%s: %s\n", key, text);
}

/* The items of a list whose key was written. */
static void put_items(FILE *out, int column, char *const *texts, size_t count)
{
	fprintf(out, "%s\n", count ? "" : " []");
	for (size_t i = 0; i < count; i++) {
		indent(out, deeper(column));
		fprintf(out, "- ");
		put_text(out, texts[i], deeper(deeper(column) + 2));
	}
}

static void put_texts(FILE *out, int column, const char *key, char *const *texts, size_t count)
{
	indent(out, column);
	fprintf(out, "%s:", key);
	put_items(out, column, texts, count);
}

static void put_pair(FILE *out, int column, const char *key, const char *local, const char *remote)
{
	indent(out, column);
	fprintf(out, "%s:\n", key);
	line(out, deeper(column), "local", local);
	line(out, deeper(column), "remote", remote);
}

static void put_peer(FILE *out, const struct snapshot_peer *peer)
{
	bool connected = render_is_connected(peer);
	const int column = 2 * STEP + 2;
	char latency[RENDER_TIME_LEN];

	first_line(out, 2 * STEP, "fqdn", peer->fqdn);
	line(out, column, "netbirdIp", peer->ip);
	line_if_any(out, column, "netbirdIpv6", peer->address6);
	line(out, column, "publicKey", peer->public_key);
	line(out, column, "status", peer->status);
	put_time(out, column, "lastStatusUpdate", peer->status_ns);
	line(out, column, "connectionType", render_connection(peer));
	put_pair(out, column, "iceCandidateType", connected ? peer->ice_local_type : "",
		connected ? peer->ice_remote_type : "");
	put_pair(out, column, "iceCandidateEndpoint", connected ? peer->ice_local_endpoint : "",
		connected ? peer->ice_remote_endpoint : "");
	line(out, column, "relayAddress", connected ? peer->relay : "");
	put_time(out, column, "lastWireguardHandshake", connected ? peer->handshake_ns : 0);
	put_number(out, column, "transferReceived", connected ? peer->rx_bytes : 0);
	put_number(out, column, "transferSent", connected ? peer->tx_bytes : 0);
	render_duration(connected ? peer->latency_ns : 0, latency);
	indent(out, column);
	fprintf(out, "latency: %s\n", latency);
	put_bool(out, column, "quantumResistance", false);
	put_texts(out, column, "networks", peer->networks, peer->network_count);
}

static void put_peers(FILE *out, const struct render_view *view)
{
	fprintf(out, "peers:\n");
	put_number(out, STEP, "total", view->peer_count);
	put_number(out, STEP, "connected", view->connected);
	indent(out, STEP);
	fprintf(out, "details:%s\n", view->peer_count ? "" : " []");
	for (size_t i = 0; i < view->peer_count; i++)
		put_peer(out, view->peers[i]);
}

static void put_service(FILE *out, const char *key, const char *url, bool connected, const char *error)
{
	fprintf(out, "%s:\n", key);
	line(out, STEP, "url", url);
	put_bool(out, STEP, "connected", connected);
	line(out, STEP, "error", error);
}

static void put_relays(FILE *out, const struct snapshot *s)
{
	fprintf(out, "relays:\n");
	put_number(out, STEP, "total", s->relay_count);
	put_number(out, STEP, "available", render_relays_available(s));
	indent(out, STEP);
	fprintf(out, "details:%s\n", s->relay_count ? "" : " []");
	for (size_t i = 0; i < s->relay_count; i++) {
		char *error = render_relay_error(&s->relays[i]);

		first_line(out, 2 * STEP, "uri", s->relays[i].uri);
		put_bool(out, 2 * STEP + 2, "available", s->relays[i].available);
		line(out, 2 * STEP + 2, "error", error);
		line_if_any(out, 2 * STEP + 2, "transport", s->relays[i].transport);
		free(error);
	}
}

static void put_nameservers(FILE *out, const struct snapshot *s)
{
	fprintf(out, "dnsServers:%s\n", s->nameserver_count ? "" : " []");
	for (size_t i = 0; i < s->nameserver_count; i++) {
		const struct snapshot_nameserver *server = &s->nameservers[i];

		indent(out, STEP);
		fprintf(out, "- servers:");
		put_items(out, STEP + 2, server->servers, server->server_count);
		put_texts(out, STEP + 2, "domains", server->domains, server->domain_count);
		put_bool(out, STEP + 2, "enabled", server->enabled);
		indent(out, STEP + 2);
		fprintf(out, "error: ");
		put_text(out, server->error, deeper(STEP + 2));
	}
}

static void put_events(FILE *out, const struct snapshot *s)
{
	fprintf(out, "events:%s\n", s->event_count ? "" : " []");
	for (size_t i = 0; i < s->event_count; i++) {
		const struct snapshot_event *event = &s->events[i];

		first_line(out, STEP, "id", event->id);
		line(out, STEP + 2, "severity", event->severity);
		line(out, STEP + 2, "category", event->category);
		line(out, STEP + 2, "message", event->message);
		line(out, STEP + 2, "userMessage", event->user_message);
		put_time(out, STEP + 2, "timestamp", event->at_ns);
		indent(out, STEP + 2);
		fprintf(out, "metadata:%s\n", event->metadata_count < 2 ? " {}" : "");
		for (size_t j = 0; j + 1 < event->metadata_count; j += 2) {
			indent(out, deeper(STEP + 2));
			put_scalar(out, render_or_empty(event->metadata[j]));
			fprintf(out, ": ");
			put_text(out, event->metadata[j + 1], 3 * STEP);
		}
	}
}

static void put_talon(FILE *out, const struct snapshot *s)
{
	fprintf(out, "talon:\n");
	line(out, STEP, "daemonStatus", s->daemon_status);
	put_bool(out, STEP, "ready", s->datapath_ready);
	line(out, STEP, "why", s->datapath_why);
	put_number(out, STEP, "serial", s->serial);
	put_bool(out, STEP, "waysKept", s->map_held_back);
	line(out, STEP, "mapNote", s->map_note);
	put_time(out, STEP, "managementSince", s->management_since_ns);
	put_time(out, STEP, "signalSince", s->signal_since_ns);
}

static void put_expiry(FILE *out, const struct snapshot *s)
{
	char at[EXPIRY_TEXT_LEN];

	if (!s->session_expires_ns)
		return;
	expiry_format_utc(s->session_expires_ns, true, at);
	fprintf(out, "sessionExpiresAt: %s\n", at);
}

void render_yaml(FILE *out, const struct render_view *view)
{
	const struct snapshot *s = view->snapshot;

	put_peers(out, view);
	line(out, 0, "cliVersion", view->cli_version);
	line(out, 0, "daemonVersion", view->daemon_version);
	line(out, 0, "daemonStatus", s->daemon_status);
	put_service(out, "management", s->management_url, s->management_connected, s->management_error);
	put_service(out, "signal", s->signal_url, s->signal_connected, s->signal_error);
	put_relays(out, s);
	line(out, 0, "netbirdIp", s->ip);
	line_if_any(out, 0, "netbirdIpv6", s->address6);
	line(out, 0, "publicKey", s->public_key);
	put_bool(out, 0, "usesKernelInterface", render_is_in_mesh(s) && !s->userspace);
	put_number(out, 0, "wireguardPort", render_is_in_mesh(s) ? s->listen_port : 0);
	line(out, 0, "fqdn", s->fqdn);
	put_bool(out, 0, "quantumResistance", false);
	put_bool(out, 0, "quantumResistancePermissive", false);
	put_texts(out, 0, "networks", s->networks, s->network_count);
	fprintf(out, "forwardingRules: 0\n");
	put_nameservers(out, s);
	put_events(out, s);
	put_bool(out, 0, "lazyConnectionEnabled", s->lazy);
	line(out, 0, "profileName", render_profile(s));
	fprintf(out, "sshServer:\n    enabled: false\n    sessions: []\n");
	put_expiry(out, s);
	if (view->as_talon)
		put_talon(out, s);
}
