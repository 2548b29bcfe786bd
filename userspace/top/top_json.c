// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rates as JSON, one object on a line. Its keys are an interface: talon(8) lists them.
#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "crypto/key.h"
#include "status/show.h"
#include "top/flows.h"
#include "top/top.h"

static void put_decimal(struct json_out *json, const char *key, double value)
{
	json_out_key(json, key);
	fprintf(json->out, "%.3f", value);
}

/* null where no rate is known. */
static void put_rate(struct json_out *json, const char *key, const struct top_view *view, bool is_known,
	__u64 count)
{
	if (is_known && view->interval_ns)
		put_decimal(json, key, top_per_second(view, count));
	else
		json_out_null(json, key);
}

static void put_traffic(struct json_out *json, const struct top_view *view, bool is_known,
	const struct top_traffic *traffic)
{
	put_rate(json, "rxBitsPerSecond", view, is_known, traffic->rx_bytes * 8);
	put_rate(json, "txBitsPerSecond", view, is_known, traffic->tx_bytes * 8);
	put_rate(json, "rxPacketsPerSecond", view, is_known, traffic->rx_packets);
	put_rate(json, "txPacketsPerSecond", view, is_known, traffic->tx_packets);
	json_out_number(json, "rxBytes", traffic->rx_bytes);
	json_out_number(json, "txBytes", traffic->tx_bytes);
	json_out_number(json, "rxPackets", traffic->rx_packets);
	json_out_number(json, "txPackets", traffic->tx_packets);
}

static void put_drops(struct json_out *json, const struct top_view *view)
{
	json_out_begin(json, "drops", '{');
	put_rate(json, "perSecond", view, true, view->dropped);
	json_out_begin(json, "reasons", '[');
	for (size_t i = 0; i < view->drop_count; i++) {
		json_out_begin(json, NULL, '{');
		json_out_text(json, "reason", show_ends[view->drops[i].reason].label);
		json_out_number(json, "packets", view->drops[i].packets);
		put_rate(json, "perSecond", view, true, view->drops[i].packets);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
	json_out_end(json, '}');
}

static void put_share(struct json_out *json, const char *key, double share)
{
	if (share < 0)
		json_out_null(json, key);
	else
		put_decimal(json, key, share);
}

static void put_peer(struct json_out *json, const struct top_view *view, const struct top_peer *peer)
{
	const struct talon_peer_info *info = &peer->peer->info;
	char key[KEY_BASE64_LEN + 1], addr[INET_ADDRSTRLEN];

	json_out_begin(json, NULL, '{');
	json_out_string(json, "name", info->name, sizeof(info->name));
	key_to_base64(info->public_key, key);
	json_out_text(json, "publicKey", key);
	flows_peer_address(view->now, peer->peer, addr, sizeof(addr));
	json_out_text(json, "address", addr);
	if (peer->peer->endpoint_family)
		json_out_text(json, "path", top_path(peer->peer));
	else
		json_out_null(json, "path");
	put_traffic(json, view, peer->is_known, &peer->traffic);
	if (info->handshake_ns)
		json_out_number(json, "handshakeAgeSeconds",
			show_seconds_since(view->now, info->handshake_ns));
	else
		json_out_null(json, "handshakeAgeSeconds");
	json_out_number(json, "flowsHeld", peer->peer->flows.held);
	put_rate(json, "flowsRefusedPerSecond", view, peer->is_known, peer->refused);
	json_out_end(json, '}');
}

static void put_destinations(struct json_out *json, const struct top_view *view)
{
	char addr[INET6_ADDRSTRLEN];

	json_out_begin(json, "destinations", '[');
	for (size_t i = 0; i < view->destination_count; i++) {
		const struct top_destination *to = &view->destinations[i];

		json_out_begin(json, NULL, '{');
		json_out_text(json, "address", inet_ntop(to->proto & TALON_PROTO_SIX ? AF_INET6
			: AF_INET, &to->addr, addr, sizeof(addr)));
		json_out_number(json, "port", ntohs(to->port));
		json_out_text(json, "protocol", flows_proto(TALON_PROTO(to->proto)));
		json_out_number(json, "flows", to->flows);
		json_out_number(json, "flowsAtMost", to->flows + view->lowered);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void put_node(struct json_out *json, const struct top_view *view)
{
	const struct status *now = view->now;

	json_out_string(json, "mode", now->info.mode, sizeof(now->info.mode));
	json_out_text(json, "controller", top_controller(now));
	json_out_begin(json, "node", '{');
	put_traffic(json, view, true, &view->node);
	json_out_end(json, '}');
	put_drops(json, view);
	json_out_begin(json, "flows", '{');
	json_out_number(json, "live", now->nat.live);
	json_out_number(json, "room", now->config.flow_count ? now->config.flow_count - 1 : 0);
	json_out_end(json, '}');
	json_out_begin(json, "keystreamAhead", '{');
	put_share(json, "received", top_ahead(view, TALON_KEYSTREAM_RECV));
	put_share(json, "sent", top_ahead(view, TALON_KEYSTREAM_SEND));
	json_out_end(json, '}');
}

static void begin(struct json_out *json, __u64 unix_s)
{
	char when[32];

	json_out_begin(json, NULL, '{');
	show_time(unix_s, when, sizeof(when));
	json_out_text(json, "time", when);
}

void top_print_json(FILE *out, const struct top_view *view)
{
	struct json_out json = { .out = out, .first = true };

	begin(&json, view->now->now_unix_s);
	if (view->interval_ns)
		put_decimal(&json, "intervalSeconds", (double)view->interval_ns / TALON_NSEC_PER_SEC);
	else
		json_out_null(&json, "intervalSeconds");
	put_node(&json, view);
	json_out_begin(&json, "peers", '[');
	for (size_t i = 0; i < view->peer_count; i++)
		put_peer(&json, view, &view->peers[i]);
	json_out_end(&json, ']');
	put_destinations(&json, view);
	json_out_end(&json, '}');
	fputc('\n', out);
}

void top_print_json_why(FILE *out, const char *why)
{
	struct json_out json = { .out = out, .first = true };

	begin(&json, clock_unix_ns() / TALON_NSEC_PER_SEC);
	json_out_text(&json, "error", why);
	json_out_end(&json, '}');
	fputc('\n', out);
}
