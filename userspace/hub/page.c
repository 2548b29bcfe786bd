// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The page for people on this host, and what probes and Prometheus ask for. Read-only; no scripts.
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hub/internal.h"

#define STYLE \
	"body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;" \
	"color:#222}" \
	"table{border-collapse:collapse;width:100%}" \
	"th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd}" \
	"th{font-weight:600}.n{text-align:right;white-space:nowrap}.off{color:#999}h2{margin-top:2rem}" \
	"@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}th,td{border-color:#333}}"

#define PEERS_SHOWN	2000

static void text(FILE *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
			fprintf(out, "&#%u;", c);
		else
			fputc(c < ' ' || c == 0x7f ? '?' : c, out);
	}
}

static void cell(FILE *out, const char *s)
{
	fputs("<td>", out);
	text(out, s);
	fputs("</td>", out);
}

static void amount(FILE *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = bytes;
	size_t unit = 0;

	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit++;
	}
	fprintf(out, "%.*f %s", unit ? 1 : 0, value, units[unit]);
}

static void cell_bytes(FILE *out, uint64_t bytes)
{
	fputs("<td class=n>", out);
	amount(out, bytes);
	fputs("</td>", out);
}

static void cell_address(FILE *out, const struct hubstore_peer *kept)
{
	char four[INET_ADDRSTRLEN], six[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET, &kept->address, four, sizeof(four));
	inet_ntop(AF_INET6, &kept->address6, six, sizeof(six));
	fprintf(out, "<td>%s", four);
	if (!addr6_is_zero(&kept->address6))
		fprintf(out, "<br>%s", six);
	fputs("</td>", out);
}

const char *hub_peer_state(const struct hub_peer *peer)
{
	if (hub_peer_is_blocked(peer))
		return "blocked";
	if (peer->is_expired)
		return "login expired";
	return peer->sync ? peer->signal ? "connected" : "connected, without signal" : "away";
}

static void cell_groups(FILE *out, const struct hub *hub, const struct hub_peer *peer)
{
	fputs("<td>", out);
	for (size_t i = 0; i < peer->kept.group_count; i++) {
		text(out, peer->kept.groups[i]);
		fputc(' ', out);
	}
	for (size_t i = 0; peer->override && i < peer->override->groups.count; i++) {
		text(out, hub->file->groups[peer->override->groups.of[i]].name);
		fputc(' ', out);
	}
	fputs("</td>", out);
}

static void row(FILE *out, const struct hub *hub, const struct hub_peer *peer)
{
	uint64_t in = 0, sent = 0;
	bool is_relayed = hubrelay_peer_counts(hub->relay, peer->kept.key, &in, &sent);

	fprintf(out, "<tr%s>", peer->sync ? "" : " class=off");
	cell(out, peer->kept.name);
	cell_address(out, &peer->kept);
	cell(out, hub_peer_state(peer));
	cell_groups(out, hub, peer);
	cell(out, peer->kept.version);
	cell(out, peer->kept.os);
	cell(out, *peer->kept.user ? peer->kept.user : peer->kept.setup_key);
	cell(out, is_relayed ? "yes" : "no");
	cell_bytes(out, in);
	cell_bytes(out, sent);
	fputs("</tr>\n", out);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct hub_peer *const *)a)->kept.name, (*(struct hub_peer *const *)b)->kept.name);
}

static void peers(FILE *out, const struct hub *hub)
{
	struct hub_peer **sorted = malloc((hub->roster.count + 1) * sizeof(*sorted));
	size_t shown = hub->roster.count < PEERS_SHOWN ? hub->roster.count : PEERS_SHOWN;

	if (!sorted)
		return;
	memcpy(sorted, hub->roster.of, hub->roster.count * sizeof(*sorted));
	qsort(sorted, hub->roster.count, sizeof(*sorted), by_name);
	fputs("<h2>Peers</h2><table><tr><th>Name<th>Address<th>State<th>Groups<th>Version<th>System"
		"<th>Joined by<th>Relay<th class=n>From it<th class=n>To it</tr>\n", out);
	for (size_t i = 0; i < shown; i++)
		row(out, hub, sorted[i]);
	fputs("</table>\n", out);
	if (shown < hub->roster.count)
		fprintf(out, "<p>... and %zu more.</p>\n", hub->roster.count - shown);
	free(sorted);
}

static void routers(FILE *out, const struct hubfile *file, const struct hubfile_routers *r)
{
	fputs("<td>", out);
	for (size_t i = 0; i < r->peer_count; i++) {
		text(out, r->peers[i]);
		fputc(' ', out);
	}
	for (size_t i = 0; i < r->groups.count; i++) {
		text(out, file->groups[r->groups.of[i]].name);
		fputc(' ', out);
	}
	fputs("</td>", out);
}

static void network(FILE *out, const struct cidr *cidr, const char *domain)
{
	char name[CIDR_TEXT_LEN];

	if (cidr->family)
		cidr_format(cidr, name, sizeof(name));
	cell(out, cidr->family ? name : domain ? domain : "");
}

static void routes(FILE *out, const struct hubfile *file)
{
	if (!file->route_count && !file->network_count)
		return;
	fputs("<h2>Routes</h2><table><tr><th>Name<th>Network<th>Routers<th class=n>Metric<th>Masquerade"
		"</tr>\n", out);
	for (size_t i = 0; i < file->route_count; i++) {
		const struct hubfile_route *r = &file->routes[i];

		fputs("<tr>", out);
		cell(out, r->name);
		network(out, &r->network, r->domain_count ? r->domains[0] : NULL);
		routers(out, file, &r->routers);
		fprintf(out, "<td class=n>%u</td>", r->metric);
		cell(out, r->is_masqueraded ? "yes" : "no");
		fputs("</tr>\n", out);
	}
	for (size_t i = 0; i < file->network_count; i++) {
		const struct hubfile_network *n = &file->networks[i];

		for (size_t k = 0; k < n->resource_count; k++) {
			fputs("<tr>", out);
			cell(out, n->resources[k].name);
			network(out, &n->resources[k].network, n->resources[k].domain);
			routers(out, file, &n->routers);
			fprintf(out, "<td class=n>%u</td>", n->metric);
			cell(out, n->is_masqueraded ? "yes" : "no");
			fputs("</tr>\n", out);
		}
	}
	fputs("</table>\n", out);
}

static void policies(FILE *out, const struct hubfile *file)
{
	fputs("<h2>Policies</h2><table><tr><th>Name<th>From<th>To<th>Action</tr>\n", out);
	for (size_t i = 0; i < file->policy_count; i++) {
		const struct hubfile_policy *p = &file->policies[i];

		fputs("<tr>", out);
		cell(out, p->name);
		fputs("<td>", out);
		for (size_t k = 0; k < p->from.count; k++) {
			text(out, file->groups[p->from.of[k]].name);
			fputc(' ', out);
		}
		fputs("</td><td>", out);
		for (size_t k = 0; k < p->to.count; k++) {
			text(out, file->groups[p->to.of[k]].name);
			fputc(' ', out);
		}
		fputs("</td>", out);
		cell(out, p->is_drop ? "drop" : p->is_both_ways ? "accept, both ways" : "accept");
		fputs("</tr>\n", out);
	}
	fputs("</table>\n", out);
}

static void page(FILE *out, const struct hub *hub)
{
	char url[SERVER_URL_LEN], net[CIDR_TEXT_LEN];
	struct hubrelay_counts relay = {};

	server_url_format(&hub->settings.public_url, url);
	cidr_format(&hub->network, net, sizeof(net));
	hubrelay_counts(hub->relay, &relay);
	fputs("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
		"content=\"width=device-width\"><title>Talon hub</title><style>" STYLE
		"</style><h1>Talon hub</h1><table><tr><th>Address", out);
	cell(out, url);
	fputs("</tr><tr><th>Network", out);
	cell(out, net);
	fprintf(out, "</tr><tr><th>Peers<td>%zu known, %zu connected</tr><tr><th>Relay<td>%" PRIu64
		" peers, %" PRIu64
		" packets, ", hub->roster.count, hub->syncs, relay.peers, relay.packets);
	amount(out, relay.bytes);
	fprintf(out, ", %" PRIu64 " lost</tr></table>\n", relay.lost_offline + relay.lost_slow);
	peers(out, hub);
	routes(out, hub->file);
	policies(out, hub->file);
	fputs("</html>\n", out);
}

/*
 * A page elsewhere could lead a browser here under a name of its own (DNS rebinding): only names of this host
 * count, and the address that the page listens at.
 */
static bool is_own_name(const struct hub *hub, struct slice host)
{
	char address[INET6_ADDRSTRLEN] = "";
	struct host_port parsed;

	if (!host.at || host_port_parse(host, 0, 80, &parsed))
		return false;
	inet_ntop(hub->settings.page.family, &hub->settings.page.remote, address, sizeof(address));
	return slice_is(parsed.host, "localhost") || slice_is(parsed.host, "127.0.0.1") ||
		slice_is(parsed.host, "::1") || slice_is(parsed.host, address);
}

static void say(struct server_answer *answer, int status, const char *body)
{
	*answer = (struct server_answer){ .status = status, .type = "text/plain; charset=utf-8", .body = body,
		.len = strlen(body) };
}

/* The text lives until the next request. */
static void write_whole(struct hub *hub, void (*fn)(FILE *out, const struct hub *hub), const char *type,
	struct server_answer *answer)
{
	size_t len;
	FILE *out;

	free(hub->page_text);
	hub->page_text = NULL;
	out = open_memstream(&hub->page_text, &len);
	if (out)
		fn(out, hub);
	if (!out || fclose(out)) {
		say(answer, 500, "out of memory\n");
		return;
	}
	*answer = (struct server_answer){ .status = 200, .type = type, .body = hub->page_text, .len = len };
}

static void metrics(FILE *out, const struct hub *hub)
{
	hub_print_metrics(hub, out);
}

void hub_page(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
	struct hub *hub = ctx;
	const char *why = "";

	if (!is_own_name(hub, request->host))
		say(ret_answer, 421, "ask for localhost\n");
	else if (strcmp(request->method, "GET") && strcmp(request->method, "HEAD"))
		say(ret_answer, 405, "only GET and HEAD\n");
	else if (!strcmp(request->path, "/"))
		write_whole(hub, page, "text/html; charset=utf-8", ret_answer);
	else if (!strcmp(request->path, "/metrics"))
		write_whole(hub, metrics, "text/plain; version=0.0.4; charset=utf-8", ret_answer);
	else if (!strcmp(request->path, "/healthz"))
		say(ret_answer, 200, "ok\n");
	else if (strcmp(request->path, "/readyz"))
		say(ret_answer, 404, "/, /metrics, /healthz, /readyz\n");
	else if (hub->oidc && !oidc_is_ready(hub->oidc, &why))
		say(ret_answer, 503, "the identity provider cannot be asked yet\n");
	else
		say(ret_answer, 200, "ok\n");
}
