// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The snapshot as JSON: NetBird's keys in NetBird's order, and the key "talon" under that name.
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "netbird/expiry.h"
#include "status/render.h"

static void put_time(struct json_out *json, const char *key, uint64_t ns)
{
	char text[RENDER_TIME_LEN];

	render_time(ns, text);
	json_out_text(json, key, text);
}

/* Left out if it is empty. */
static void put_if_any(struct json_out *json, const char *key, const char *text)
{
	if (render_or_empty(text)[0])
		json_out_text(json, key, text);
}

static void put_pair(struct json_out *json, const char *key, const char *local, const char *remote)
{
	json_out_begin(json, key, '{');
	json_out_text(json, "local", local);
	json_out_text(json, "remote", remote);
	json_out_end(json, '}');
}

static void put_peer(struct json_out *json, const struct snapshot_peer *peer)
{
	bool connected = render_is_connected(peer);

	json_out_begin(json, NULL, '{');
	json_out_text(json, "fqdn", peer->fqdn);
	json_out_text(json, "netbirdIp", peer->ip);
	put_if_any(json, "netbirdIpv6", peer->address6);
	json_out_text(json, "publicKey", peer->public_key);
	json_out_text(json, "status", peer->status);
	put_time(json, "lastStatusUpdate", peer->status_ns);
	json_out_text(json, "connectionType", render_connection(peer));
	put_pair(json, "iceCandidateType", connected ? peer->ice_local_type : "",
		connected ? peer->ice_remote_type : "");
	put_pair(json, "iceCandidateEndpoint", connected ? peer->ice_local_endpoint : "",
		connected ? peer->ice_remote_endpoint : "");
	json_out_text(json, "relayAddress", connected ? peer->relay : "");
	put_time(json, "lastWireguardHandshake", connected ? peer->handshake_ns : 0);
	json_out_number(json, "transferReceived", connected ? peer->rx_bytes : 0);
	json_out_number(json, "transferSent", connected ? peer->tx_bytes : 0);
	json_out_number(json, "latency", connected ? peer->latency_ns : 0);
	json_out_bool(json, "quantumResistance", false);
	json_out_texts(json, "networks", peer->networks, peer->network_count, true);
	json_out_end(json, '}');
}

static void put_peers(struct json_out *json, const struct render_view *view)
{
	json_out_begin(json, "peers", '{');
	json_out_number(json, "total", view->peer_count);
	json_out_number(json, "connected", view->connected);
	if (view->peer_count) {
		json_out_begin(json, "details", '[');
		for (size_t i = 0; i < view->peer_count; i++)
			put_peer(json, view->peers[i]);
		json_out_end(json, ']');
	} else {
		json_out_null(json, "details");
	}
	json_out_end(json, '}');
}

static void put_service(struct json_out *json, const char *key, const char *url, bool connected,
	const char *error)
{
	json_out_begin(json, key, '{');
	json_out_text(json, "url", url);
	json_out_bool(json, "connected", connected);
	json_out_text(json, "error", error);
	json_out_end(json, '}');
}

static void put_relay(struct json_out *json, const struct snapshot_relay *relay)
{
	char *error = render_relay_error(relay);

	json_out_begin(json, NULL, '{');
	json_out_text(json, "uri", relay->uri);
	json_out_bool(json, "available", relay->available);
	json_out_text(json, "error", error);
	put_if_any(json, "transport", relay->transport);
	json_out_end(json, '}');
	free(error);
}

static void put_relays(struct json_out *json, const struct snapshot *s)
{
	json_out_begin(json, "relays", '{');
	json_out_number(json, "total", s->relay_count);
	json_out_number(json, "available", render_relays_available(s));
	if (s->relay_count)
		json_out_begin(json, "details", '[');
	else
		json_out_null(json, "details");
	for (size_t i = 0; i < s->relay_count; i++)
		put_relay(json, &s->relays[i]);
	if (s->relay_count)
		json_out_end(json, ']');
	json_out_end(json, '}');
}

static void put_nameservers(struct json_out *json, const struct snapshot *s)
{
	json_out_begin(json, "dnsServers", '[');
	for (size_t i = 0; i < s->nameserver_count; i++) {
		const struct snapshot_nameserver *server = &s->nameservers[i];

		json_out_begin(json, NULL, '{');
		json_out_texts(json, "servers", server->servers, server->server_count, false);
		json_out_texts(json, "domains", server->domains, server->domain_count, true);
		json_out_bool(json, "enabled", server->enabled);
		json_out_text(json, "error", server->error);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void put_metadata(struct json_out *json, const struct snapshot_event *event)
{
	if (event->metadata_count < 2) {
		json_out_null(json, "metadata");
		return;
	}
	json_out_begin(json, "metadata", '{');
	for (size_t i = 0; i + 1 < event->metadata_count; i += 2) {
		/* The key comes from outside, so it is escaped like a value. */
		json_out_text(json, NULL, event->metadata[i]);
		fputc(':', json->out);
		json->first = true;
		json_out_text(json, NULL, event->metadata[i + 1]);
	}
	json_out_end(json, '}');
}

static void put_events(struct json_out *json, const struct snapshot *s)
{
	json_out_begin(json, "events", '[');
	for (size_t i = 0; i < s->event_count; i++) {
		const struct snapshot_event *event = &s->events[i];

		json_out_begin(json, NULL, '{');
		json_out_text(json, "id", event->id);
		json_out_text(json, "severity", event->severity);
		json_out_text(json, "category", event->category);
		json_out_text(json, "message", event->message);
		json_out_text(json, "userMessage", event->user_message);
		put_time(json, "timestamp", event->at_ns);
		put_metadata(json, event);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void put_counters(struct json_out *json, const struct snapshot *s)
{
	const char *group = "";

	json_out_begin(json, "counters", '{');
	for (size_t i = 0; i < s->counter_count; i++) {
		const struct snapshot_counter *counter = &s->counters[i];

		if (strcmp(group, render_or_empty(counter->group))) {
			if (*group)
				json_out_end(json, '}');
			group = render_or_empty(counter->group);
			json_out_begin(json, group, '{');
		}
		json_out_number(json, render_or_empty(counter->label), counter->value);
	}
	if (*group)
		json_out_end(json, '}');
	json_out_end(json, '}');
}

static void put_talon(struct json_out *json, const struct render_view *view)
{
	const struct snapshot *s = view->snapshot;

	json_out_begin(json, "talon", '{');
	json_out_text(json, "daemonStatus", s->daemon_status);
	json_out_bool(json, "ready", s->datapath_ready);
	json_out_text(json, "why", s->datapath_why);
	json_out_number(json, "serial", s->serial);
	json_out_bool(json, "waysKept", s->map_held_back);
	json_out_text(json, "mapNote", s->map_note);
	put_time(json, "managementSince", s->management_since_ns);
	put_time(json, "signalSince", s->signal_since_ns);
	put_counters(json, s);
	if (view->datapath) {
		json_out_key(json, "datapath");
		status_write_json(json->out, view->datapath);
	} else {
		json_out_null(json, "datapath");
	}
	json_out_end(json, '}');
}

static void put_expiry(struct json_out *json, const struct snapshot *s)
{
	char at[EXPIRY_TEXT_LEN];

	if (!s->session_expires_ns)
		return;
	expiry_format_utc(s->session_expires_ns, true, at);
	json_out_text(json, "sessionExpiresAt", at);
}

void render_json(FILE *out, const struct render_view *view)
{
	struct json_out json = { .out = out, .first = true };
	const struct snapshot *s = view->snapshot;

	json_out_begin(&json, NULL, '{');
	put_peers(&json, view);
	json_out_text(&json, "cliVersion", view->cli_version);
	json_out_text(&json, "daemonVersion", view->daemon_version);
	json_out_text(&json, "daemonStatus", s->daemon_status);
	put_service(&json, "management", s->management_url, s->management_connected, s->management_error);
	put_service(&json, "signal", s->signal_url, s->signal_connected, s->signal_error);
	put_relays(&json, s);
	json_out_text(&json, "netbirdIp", s->ip);
	put_if_any(&json, "netbirdIpv6", s->address6);
	json_out_text(&json, "publicKey", s->public_key);
	json_out_bool(&json, "usesKernelInterface", render_is_in_mesh(s) && !s->userspace);
	json_out_number(&json, "wireguardPort", render_is_in_mesh(s) ? s->listen_port : 0);
	json_out_text(&json, "fqdn", s->fqdn);
	json_out_bool(&json, "quantumResistance", false);
	json_out_bool(&json, "quantumResistancePermissive", false);
	json_out_texts(&json, "networks", s->networks, s->network_count, true);
	json_out_number(&json, "forwardingRules", 0);
	put_nameservers(&json, s);
	put_events(&json, s);
	json_out_bool(&json, "lazyConnectionEnabled", s->lazy);
	json_out_text(&json, "profileName", render_profile(s));
	json_out_begin(&json, "sshServer", '{');
	json_out_bool(&json, "enabled", false);
	json_out_begin(&json, "sessions", '[');
	json_out_end(&json, ']');
	json_out_end(&json, '}');
	put_expiry(&json, s);
	if (view->as_talon)
		put_talon(&json, view);
	json_out_end(&json, '}');
}
