// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the hub counts, as Prometheus's text format (version 0.0.4).
#include <inttypes.h>
#include <string.h>

#include "hub/internal.h"

/* HELP and TYPE once for each name: rows of the same name stand together. */
static void head(FILE *out, const char **last, const char *name, const char *suffix, const char *type,
	const char *help)
{
	if (!*last || strcmp(*last, name))
		fprintf(out, "# HELP talon_hub_%s%s %s.\n# TYPE talon_hub_%s%s %s\n", name, suffix, help,
		name, suffix,
			type);
	*last = name;
}

static void counter(FILE *out, const char **last, const char *name, const char *labels, const char *help,
	uint64_t value)
{
	head(out, last, name, "_total", "counter", help);
	fprintf(out, "talon_hub_%s_total%s%s%s %" PRIu64 "\n", name, *labels ? "{" : "", labels,
		*labels ? "}" : "", value);
}

static void gauge(FILE *out, const char **last, const char *name, const char *labels, const char *help,
	uint64_t value)
{
	head(out, last, name, "", "gauge", help);
	fprintf(out, "talon_hub_%s%s%s%s %" PRIu64 "\n", name, *labels ? "{" : "", labels, *labels ? "}" : "",
		value);
}

static void print_server(FILE *out, const char **last, const struct server_counts *c)
{
	gauge(out, last, "connections", "", "TCP connections that are open", c->connections);
	gauge(out, last, "calls", "", "gRPC calls that are open", c->calls);
	gauge(out, last, "sockets", "", "WebSockets that are open", c->sockets);
	counter(out, last, "connections_accepted", "", "TCP connections taken", c->accepted);
	counter(out, last, "handshakes_put_off", "", "TLS handshakes that waited for others of their address",
		c->handshakes_put_off);
	counter(out, last, "requests", "", "Requests of any kind", c->requests);
	counter(out, last, "connections_refused", "reason=\"full\"", "Connections that were ended early",
		c->refused_full);
	counter(out, last, "connections_refused", "reason=\"address\"", "", c->refused_address);
	counter(out, last, "connections_refused", "reason=\"handshake\"", "", c->handshake_failed);
	counter(out, last, "connections_refused", "reason=\"handshake_late\"", "", c->handshake_late);
	counter(out, last, "connections_refused", "reason=\"silent\"", "", c->timed_out);
	counter(out, last, "connections_refused", "reason=\"malformed\"", "", c->malformed);
	counter(out, last, "connections_refused", "reason=\"oversized\"", "", c->oversized);
	counter(out, last, "connections_refused", "reason=\"flood\"", "", c->flooded);
	counter(out, last, "connections_refused", "reason=\"slow\"", "", c->slow);
}

static void print_relay(FILE *out, const char **last, const struct hubrelay_counts *c)
{
	gauge(out, last, "relay_peers", "", "Peers that are connected to the relay", c->peers);
	counter(out, last, "relay_packets", "", "Packets handed on by the relay", c->packets);
	counter(out, last, "relay_bytes", "", "Bytes of them", c->bytes);
	counter(out, last, "relay_lost", "reason=\"offline\"", "Packets that the relay could not hand on",
		c->lost_offline);
	counter(out, last, "relay_lost", "reason=\"slow\"", "", c->lost_slow);
	counter(out, last, "relay_refused", "reason=\"token\"", "Relay connections refused", c->auth_refused);
	counter(out, last, "relay_refused", "reason=\"expired\"", "", c->auth_expired);
	counter(out, last, "relay_refused", "reason=\"malformed\"", "", c->malformed);
	counter(out, last, "relay_refused", "reason=\"late\"", "", c->auth_late);
	counter(out, last, "relay_refused", "reason=\"full\"", "", c->refused_full);
	counter(out, last, "relay_ended", "reason=\"replaced\"", "Relay connections that ended early",
		c->replaced);
	counter(out, last, "relay_ended", "reason=\"silent\"", "", c->ended_silent);
	counter(out, last, "relay_ended", "reason=\"slow\"", "", c->ended_slow);
	gauge(out, last, "relay_watches", "", "Peers that others at the relay wait for", c->watches);
	counter(out, last, "relay_watches_refused", "", "Those beyond what is kept", c->watches_refused);
}

static void print_stun(FILE *out, const char **last, const struct hubstun_counts *c)
{
	counter(out, last, "stun_requests", "result=\"answered\"", "STUN requests", c->answered);
	counter(out, last, "stun_requests", "result=\"malformed\"", "", c->malformed);
	counter(out, last, "stun_requests", "result=\"limited\"", "", c->limited);
}

static void print_oidc(FILE *out, const char **last, const struct oidc_counts *c)
{
	gauge(out, last, "issuer_keys", "", "Keys of the OpenID issuer that can be used", c->keys);
	gauge(out, last, "tokens_waiting", "", "Tokens that wait for keys", c->waiting);
	counter(out, last, "issuer_asked", "result=\"answered\"",
		"Times that the issuer's keys were asked for", c->renewals);
	counter(out, last, "issuer_asked", "result=\"failed\"", "", c->failures);
	counter(out, last, "tokens", "result=\"accepted\"", "Tokens of people that were checked",
		c->accepted);
#define PRINT_REFUSAL(id, label, help)	\
	counter(out, last, "tokens", "result=\"" label "\"", "", c->refused[OIDC_##id]);
	OIDC_REFUSALS(PRINT_REFUSAL)
#undef PRINT_REFUSAL
}

void hub_print_metrics(const struct hub *hub, FILE *out)
{
	struct hubrelay_counts relay = {};
	struct hubstun_counts stun = {};
	struct server_counts server = {};
	struct oidc_counts oidc = {};
	const char *last = NULL;

	fprintf(out, "# HELP talon_hub_build_info The version that runs.\n# TYPE talon_hub_build_info gauge\n"
		"talon_hub_build_info{version=\"%s\"} 1\n", TALON_VERSION);
	gauge(out, &last, "peers", "", "Peers that are known", hub->roster.count);
	gauge(out, &last, "streams", "kind=\"sync\"", "Streams that are open", hub->syncs);
	gauge(out, &last, "streams", "kind=\"signal\"", "", hub->signals);
#define PRINT_COUNT(member, name, labels, help) counter(out, &last, name, labels, help, hub->counts.member);
	HUB_COUNTS(PRINT_COUNT)
#undef PRINT_COUNT
	server_counts(hub->server, &server);
	print_server(out, &last, &server);
	hubrelay_counts(hub->relay, &relay);
	print_relay(out, &last, &relay);
	if (hub->stun)
		hubstun_counts(hub->stun, &stun);
	print_stun(out, &last, &stun);
	if (hub->oidc)
		oidc_count(hub->oidc, &oidc);
	print_oidc(out, &last, &oidc);
}
