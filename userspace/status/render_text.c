// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The snapshot as text, word by word as NetBird prints it, and what only Talon knows.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "config/value.h"
#include "netbird/expiry.h"
#include "status/render.h"
#include "status/show.h"

#define EVENTS_MAX 10

static void put(FILE *out, const char *text)
{
	text_print(out, render_or_empty(text), strlen(render_or_empty(text)));
}

static void line(FILE *out, const char *label, const char *value)
{
	fprintf(out, "%s: ", label);
	put(out, value);
	fputc('\n', out);
}

static const char *yes_no(bool value)
{
	return value ? "true" : "false";
}

static const char *or_dash(const char *text)
{
	return render_or_empty(text)[0] ? text : "-";
}

static int by_text(const void *left, const void *right)
{
	return strcmp(render_or_empty(*(char *const *)left), render_or_empty(*(char *const *)right));
}

/* "a, b" in order, or "-". */
static void put_sorted(FILE *out, char *const *texts, size_t count)
{
	char **sorted = count ? calloc(count, sizeof(*sorted)) : NULL;

	if (!sorted) {
		fprintf(out, "-\n");
		return;
	}
	memcpy(sorted, texts, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_text);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, i ? ", " : "");
		put(out, sorted[i]);
	}
	fputc('\n', out);
	free(sorted);
}

static void put_list(FILE *out, char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(out, i ? ", " : "");
		put(out, texts[i]);
	}
}

static void put_ago(FILE *out, const struct render_view *view, uint64_t then_ns)
{
	uint64_t age = view->now_ns > then_ns ? view->now_ns - then_ns : 0;
	char text[SHOW_AGE_LEN];

	if (!then_ns) {
		fprintf(out, "-\n");
	} else if (age < TALON_NSEC_PER_SEC) {
		fprintf(out, "Now\n");
	} else {
		show_duration(age / TALON_NSEC_PER_SEC, text, sizeof(text));
		fprintf(out, "%s ago\n", text);
	}
}

static void print_transfer(FILE *out, const struct snapshot_peer *peer, bool connected)
{
	char received[32], sent[32];

	show_bytes(connected ? peer->rx_bytes : 0, received, sizeof(received));
	show_bytes(connected ? peer->tx_bytes : 0, sent, sizeof(sent));
	fprintf(out, "  Transfer status (received/sent) %s/%s\n", received, sent);
}

static void print_ice(FILE *out, const struct snapshot_peer *peer, bool connected)
{
	fprintf(out, "  ICE candidate (Local/Remote): ");
	put(out, connected ? or_dash(peer->ice_local_type) : "-");
	fputc('/', out);
	put(out, connected ? or_dash(peer->ice_remote_type) : "-");
	fprintf(out, "\n  ICE candidate endpoints (Local/Remote): ");
	put(out, connected ? or_dash(peer->ice_local_endpoint) : "-");
	fputc('/', out);
	put(out, connected ? or_dash(peer->ice_remote_endpoint) : "-");
	fputc('\n', out);
}

static void print_peer(FILE *out, const struct render_view *view, const struct snapshot_peer *peer)
{
	bool connected = render_is_connected(peer);
	char latency[RENDER_TIME_LEN];

	fputc(' ', out);
	put(out, peer->fqdn);
	fprintf(out, ":\n");
	line(out, "  NetBird IP", peer->ip);
	if (render_or_empty(peer->address6)[0])
		line(out, "  NetBird IPv6", peer->address6);
	line(out, "  Public key", peer->public_key);
	line(out, "  Status", peer->status);
	fprintf(out, "  -- detail --\n");
	line(out, "  Connection type", render_connection(peer));
	print_ice(out, peer, connected);
	line(out, "  Relay server address", connected ? peer->relay : "");
	fprintf(out, "  Last connection update: ");
	put_ago(out, view, peer->status_ns);
	fprintf(out, "  Last WireGuard handshake: ");
	put_ago(out, view, connected ? peer->handshake_ns : 0);
	print_transfer(out, peer, connected);
	fprintf(out, "  Quantum resistance: false\n  Networks: ");
	put_sorted(out, peer->networks, peer->network_count);
	render_duration(connected ? peer->latency_ns : 0, latency);
	fprintf(out, "  Latency: %s\n", latency);
}

static void print_metadata(FILE *out, const struct snapshot_event *event)
{
	if (event->metadata_count < 2)
		return;
	fprintf(out, "    Metadata: ");
	for (size_t i = 0; i + 1 < event->metadata_count; i += 2) {
		fprintf(out, i ? ", " : "");
		put(out, event->metadata[i]);
		fprintf(out, ": ");
		put(out, event->metadata[i + 1]);
	}
	fputc('\n', out);
}

static void print_events(FILE *out, const struct render_view *view)
{
	const struct snapshot *s = view->snapshot;

	fprintf(out, "Events:%s\n", s->event_count ? "" : " No events recorded");
	for (size_t i = s->event_count > EVENTS_MAX ? s->event_count - EVENTS_MAX : 0;
		i < s->event_count; i++) {
		const struct snapshot_event *event = &s->events[i];

		fprintf(out, "  [");
		put(out, event->severity);
		fprintf(out, "] ");
		put(out, event->category);
		fprintf(out, " (");
		put(out, event->id);
		fprintf(out, ")\n");
		line(out, "    Message", event->message);
		fprintf(out, "    Time: ");
		put_ago(out, view, event->at_ns);
		print_metadata(out, event);
	}
}

static void print_service(FILE *out, const char *label, bool connected, const char *url, const char *error,
	bool detail)
{
	fprintf(out, "%s: %s", label, connected ? "Connected" : "Disconnected");
	if (connected && detail) {
		fprintf(out, " to ");
		put(out, url);
	} else if (!connected && render_or_empty(error)[0]) {
		fprintf(out, ", reason: ");
		put(out, error);
	}
	fputc('\n', out);
}

/*
 * NetBird's resolver explains errors in several lines, each indented by a tab. Only such line breaks are
 * printed, so that text from outside cannot begin a line of its own.
 */
static void put_reason(FILE *out, const char *reason)
{
	size_t end = strlen(reason);

	while (end && strchr(" \t\r\n", reason[end - 1]))
		end--;
	while (end) {
		size_t len = 0;

		while (len < end && !(reason[len] == '\n' && len + 1 < end && reason[len + 1] == '\t'))
			len++;
		text_print(out, reason, len);
		if (len == end)
			return;
		fprintf(out, "\n\t");
		reason += len + 2;
		end -= len + 2;
	}
}

static void print_available(FILE *out, bool available, const char *error)
{
	fprintf(out, "] is %s", available ? "Available" : "Unavailable");
	if (!available && render_or_empty(error)[0]) {
		fprintf(out, ", reason: ");
		put_reason(out, error);
	}
}

static void print_relay(FILE *out, const struct snapshot_relay *relay)
{
	char *error = render_relay_error(relay);

	fprintf(out, "\n  [");
	put(out, relay->uri);
	print_available(out, relay->available, error);
	free(error);
	if (relay->available && render_or_empty(relay->transport)[0]) {
		fprintf(out, " via ");
		put(out, relay->transport);
	}
}

static void print_relays(FILE *out, const struct snapshot *s, bool detail)
{
	fprintf(out, "Relays: ");
	if (!detail)
		fprintf(out, "%zu/%zu Available", render_relays_available(s), s->relay_count);
	for (size_t i = 0; detail && i < s->relay_count; i++)
		print_relay(out, &s->relays[i]);
	fputc('\n', out);
}

static void print_nameserver(FILE *out, const struct snapshot_nameserver *server)
{
	char *const *domains = server->domains;

	fprintf(out, "\n  [");
	put_list(out, server->servers, server->server_count);
	fprintf(out, "] for [");
	if (server->domain_count)
		put_list(out, domains, server->domain_count);
	else
		fputc('.', out);
	print_available(out, server->enabled, server->error);
}

static void print_nameservers(FILE *out, const struct snapshot *s, bool detail)
{
	size_t enabled = 0;

	fprintf(out, "Nameservers: ");
	for (size_t i = 0; i < s->nameserver_count; i++) {
		enabled += s->nameservers[i].enabled;
		if (detail)
			print_nameserver(out, &s->nameservers[i]);
	}
	if (!detail)
		fprintf(out, "%zu/%zu Available", enabled, s->nameserver_count);
	fputc('\n', out);
}

/* Operating system and architecture in Go's words. */
static void print_os(FILE *out)
{
#if defined(__x86_64__)
	fprintf(out, "OS: linux/amd64\n");
#elif defined(__aarch64__)
	fprintf(out, "OS: linux/arm64\n");
#else
	struct utsname name;

	fprintf(out, "OS: linux/%s\n", uname(&name) ? "unknown" : name.machine);
#endif
}

/* Addresses in the mesh, the tunnel device and its port. */
static void print_interface(FILE *out, const struct snapshot *s)
{
	bool is_in_mesh = render_is_in_mesh(s);

	line(out, "NetBird IP", is_in_mesh ? s->ip : "N/A");
	if (render_or_empty(s->address6)[0])
		line(out, "NetBird IPv6", s->address6);
	fprintf(out, "Interface type: %s\n", !is_in_mesh ? "N/A" : s->userspace ? "Userspace" : "Kernel");
	if (is_in_mesh && s->listen_port)
		fprintf(out, "Wireguard port: %llu\n", (unsigned long long)s->listen_port);
	else
		fprintf(out, "Wireguard port: N/A\n");
}

static void print_expiry(FILE *out, const struct render_view *view)
{
	uint64_t at_ns = view->snapshot->session_expires_ns;
	char at[EXPIRY_TEXT_LEN], left[EXPIRY_TEXT_LEN];

	if (!at_ns)
		return;
	expiry_format_utc(at_ns, false, at);
	expiry_format_left(at_ns, view->now_ns, left);
	fprintf(out, "Session expires: %s (in %s)\n", at, left);
}

static void print_summary(FILE *out, const struct render_view *view, bool detail)
{
	const struct snapshot *s = view->snapshot;

	print_os(out);
	line(out, "Daemon version", render_or_empty(view->daemon_version)[0] ? view->daemon_version : "N/A");
	line(out, "CLI version", view->cli_version);
	line(out, "Profile", render_profile(s));
	print_service(out, "Management", s->management_connected, s->management_url, s->management_error,
		detail);
	print_service(out, "Signal", s->signal_connected, s->signal_url, s->signal_error, detail);
	print_relays(out, s, detail);
	print_nameservers(out, s, detail);
	line(out, "FQDN", s->fqdn);
	print_interface(out, s);
	fprintf(out, "Quantum resistance: false\nLazy connection: %s\nSSH Server: Disabled\nNetworks: ",
		yes_no(s->lazy));
	put_sorted(out, s->networks, s->network_count);
	print_expiry(out, view);
	fprintf(out, "Peers count: %zu/%zu Connected\n", view->connected, view->peer_count);
}

/* The counters that are not zero. */
static void print_counters(FILE *out, const struct snapshot *s)
{
	const char *group = "";

	for (size_t i = 0; i < s->counter_count; i++) {
		const struct snapshot_counter *counter = &s->counters[i];

		if (!counter->value)
			continue;
		if (!*group)
			fprintf(out, "Counters:\n");
		if (strcmp(group, render_or_empty(counter->group))) {
			group = render_or_empty(counter->group);
			fprintf(out, "  ");
			put(out, group);
			fprintf(out, ":\n");
		}
		fprintf(out, "    ");
		put(out, counter->label);
		fprintf(out, ": %llu\n", (unsigned long long)counter->value);
	}
}

/* What only Talon knows. */
static void print_talon(FILE *out, const struct render_view *view, bool detail)
{
	const struct snapshot *s = view->snapshot;

	fprintf(out, "\nReady: %s", s->datapath_ready ? "yes" : "no");
	if (!s->datapath_ready && render_or_empty(s->datapath_why)[0]) {
		fprintf(out, ", ");
		put(out, s->datapath_why);
	}
	fprintf(out, "\nMap: serial %llu%s", (unsigned long long)s->serial,
		s->map_held_back ? ", the ways of peers that it took away are KEPT for now" : "");
	if (render_or_empty(s->map_note)[0]) {
		fprintf(out, ", ");
		put(out, s->map_note);
	}
	fprintf(out, "\nManagement since: ");
	put_ago(out, view, s->management_since_ns);
	fprintf(out, "Signal since: ");
	put_ago(out, view, s->signal_since_ns);
	if (detail)
		print_counters(out, s);
	if (view->datapath)
		status_print_datapath(out, view->datapath, detail);
}

void render_text(FILE *out, const struct render_view *view, bool detail)
{
	if (detail) {
		fprintf(out, "Peers detail:");
		for (size_t i = 0; i < view->peer_count; i++) {
			fputc('\n', out);
			print_peer(out, view, view->peers[i]);
		}
		fputc('\n', out);
		print_events(out, view);
	}
	print_summary(out, view, detail);
	if (view->as_talon)
		print_talon(out, view, detail);
}

void render_address(FILE *out, const char *address)
{
	address = render_or_empty(address);
	if (!*address)
		return;
	text_print(out, address, strcspn(address, "/"));
	fputc('\n', out);
}

/* Domains, which have no prefix, sort first as -1. */
static int prefix_length(const struct snapshot_network *network)
{
	const char *slash = strchr(render_or_empty(network->prefix), '/');

	return slash ? atoi(slash + 1) : -1;
}

static int by_network(const void *left, const void *right)
{
	const struct snapshot_network *a = *(const struct snapshot_network *const *)left;
	const struct snapshot_network *b = *(const struct snapshot_network *const *)right;
	int order = prefix_length(a) - prefix_length(b);

	if (!order)
		order = strcmp(render_or_empty(a->prefix), render_or_empty(b->prefix));
	return order ? order : strcmp(render_or_empty(a->id), render_or_empty(b->id));
}

static void print_resolved(FILE *out, const struct snapshot_network *network)
{
	fprintf(out, "    Resolved IPs:%s\n", network->resolved_count < 2 ? " -" : "");
	for (size_t i = 0; i + 1 < network->resolved_count; i += 2) {
		fprintf(out, "      [");
		put(out, network->resolved[i]);
		fprintf(out, "]: ");
		put(out, network->resolved[i + 1]);
		fputc('\n', out);
	}
}

#define EXIT_NODE	"0.0.0.0/0"
#define EXIT_NODE6	"::/0"
#define PAIR_SUFFIX	"-v6"

/* Whether @six is the IPv6 half of exit node @four: they are chosen as one. */
static bool is_pair(const struct snapshot_network *four, const struct snapshot_network *six)
{
	const char *id = render_or_empty(four->id), *id6 = render_or_empty(six->id);
	size_t len = strlen(id);

	return !strcmp(render_or_empty(four->prefix), EXIT_NODE) &&
		!strcmp(render_or_empty(six->prefix), EXIT_NODE6) &&
		!strncmp(id6, id, len) && !strcmp(id6 + len, PAIR_SUFFIX);
}

/* A network's IPv6 half, if @is_six is false; else that of which it is the half. NULL: it stands alone. */
static const struct snapshot_network *other_half(const struct snapshot *snapshot,
	const struct snapshot_network *network, bool is_six)
{
	const char *prefix = is_six ? EXIT_NODE6 : EXIT_NODE;

	if (strcmp(render_or_empty(network->prefix), prefix))
		return NULL;
	for (size_t i = 0; i < snapshot->route_count; i++) {
		const struct snapshot_network *other = &snapshot->routes[i];

		if (is_six ? is_pair(other, network) : is_pair(network, other))
			return other;
	}
	return NULL;
}

static void print_network(FILE *out, const struct snapshot *snapshot, const struct snapshot_network *network)
{
	line(out, "\n  - ID", network->id);
	if (network->domain_count) {
		fprintf(out, "    Domains: ");
		put_list(out, network->domains, network->domain_count);
		fputc('\n', out);
	} else {
		fprintf(out, "    Network: ");
		put(out, network->prefix);
		fprintf(out, "%s\n", other_half(snapshot, network, false) ? ", " EXIT_NODE6 : "");
	}
	fprintf(out, "    Status: %s\n", network->selected ? "Selected" : "Not Selected");
	if (network->domain_count)
		print_resolved(out, network);
}

int render_networks(FILE *out, const struct snapshot *snapshot)
{
	const struct snapshot_network **sorted;

	if (!snapshot->route_count) {
		fprintf(out, "No networks available.\n");
		return 0;
	}
	sorted = calloc(snapshot->route_count, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->route_count; i++)
		sorted[i] = &snapshot->routes[i];
	qsort(sorted, snapshot->route_count, sizeof(*sorted), by_network);
	fprintf(out, "Available Networks:\n");
	for (size_t i = 0; i < snapshot->route_count; i++) {
		if (!other_half(snapshot, sorted[i], true))
			print_network(out, snapshot, sorted[i]);
	}
	free(sorted);
	return 0;
}
