// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rates as text, for a terminal of any size or for a pipe.
#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "crypto/key.h"
#include "status/show.h"
#include "top/flows.h"
#include "top/top.h"

#define LINE_LEN	256
#define CELL_LEN	64
#define NAME_MIN	10	/* columns for a peer's name, at least ... */
#define NAME_MAX	44	/* ... and at most: a public key */
#define WIDE		60	/* columns from which on more is put on a line */
#define TALL		16	/* rows from which on there is room for destinations */
#define REASONS_SHOWN	3
#define REASONS_LISTED	8	/* with TOP_BY_DROPS */

struct page {
	FILE *out;
	const struct top_screen *screen;
	unsigned int used;		/* rows */
};

static unsigned int rows_left(const struct page *page)
{
	if (!page->screen->rows)
		return ~0U;
	return page->screen->rows - page->used;
}

/* Cut at the screen's edge. After the last row comes no newline, or the first one would be scrolled away. */
static void put_line(struct page *page, const char *line)
{
	const struct top_screen *screen = page->screen;
	int len = strlen(line);

	if (!rows_left(page))
		return;
	if (screen->columns && len > (int)screen->columns)
		len = screen->columns;
	if (screen->is_terminal)
		fprintf(page->out, "%s%.*s\x1b[K", page->used ? "\n" : "", len, line);
	else
		fprintf(page->out, "%.*s\n", len, line);
	page->used++;
}

static struct page begin_page(FILE *out, const struct top_screen *screen)
{
	if (screen->is_terminal)
		fputs("\x1b[H", out);
	return (struct page){ .out = out, .screen = screen };
}

static void end_page(struct page *page)
{
	if (page->screen->is_terminal)
		fputs("\x1b[J", page->out);
	else
		fputc('\n', page->out);
}

/*
 * Text from a map, one column a byte: other than ASCII becomes '?', as nobody here knows how wide it is.
 * Names in a mesh are domain names.
 */
static void put_safe(char *cell, size_t size, const char *text, size_t len)
{
	size_t i = 0;

	for (; i < len && i + 1 < size && text[i]; i++)
		cell[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	cell[i] = '\0';
}

/* --- peers --- */

struct column {
	const char *title;
	int width;
	int rank;			/* the highest ones go first when the screen is narrow */
	void (*put)(char *cell, const struct top_view *view, const struct top_peer *peer);
};

static void put_address(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	flows_peer_address(view->now, peer->peer, cell, CELL_LEN);
}

static void put_path(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	snprintf(cell, CELL_LEN, "%s", top_path(peer->peer));
}

static void put_rate(char *cell, const struct top_view *view, const struct top_peer *peer, __u64 count)
{
	if (peer->is_known)
		top_scaled(top_per_second(view, count), cell, CELL_LEN);
	else
		snprintf(cell, CELL_LEN, "-");
}

static void put_rx(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	put_rate(cell, view, peer, peer->traffic.rx_bytes * 8);
}

static void put_tx(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	put_rate(cell, view, peer, peer->traffic.tx_bytes * 8);
}

static void put_rx_packets(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	put_rate(cell, view, peer, peer->traffic.rx_packets);
}

static void put_tx_packets(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	put_rate(cell, view, peer, peer->traffic.tx_packets);
}

static void put_handshake(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	if (peer->peer->info.handshake_ns)
		flows_duration(show_seconds_since(view->now, peer->peer->info.handshake_ns), cell, CELL_LEN);
	else
		snprintf(cell, CELL_LEN, "never");
}

static void put_flows(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	snprintf(cell, CELL_LEN, "%u", peer->peer->flows.held);
}

static void put_refused(char *cell, const struct top_view *view, const struct top_peer *peer)
{
	put_rate(cell, view, peer, peer->refused);
}

static const struct column columns[] = {
	{ "ADDRESS", -15, 5, put_address },
	{ "PATH", -6, 4, put_path },
	{ "RX b/s", 7, 0, put_rx },
	{ "TX b/s", 7, 0, put_tx },
	{ "RX pps", 6, 3, put_rx_packets },
	{ "TX pps", 6, 3, put_tx_packets },
	{ "SHAKE", 6, 6, put_handshake },
	{ "FLOWS", 7, 2, put_flows },
	{ "REFUSED", 7, 7, put_refused },
};
#define RANKS 7
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* What all columns up to @rank and the blanks before them take. */
static int width_of(int rank)
{
	int width = 0;

	for (size_t i = 0; i < COLUMNS; i++) {
		if (columns[i].rank <= rank)
			width += 1 + (columns[i].width < 0 ? -columns[i].width : columns[i].width);
	}
	return width;
}

/* The highest rank that leaves room for names, and how much. */
static int choose_rank(const struct top_screen *screen, int *ret_name_width)
{
	int rank = RANKS, room = NAME_MAX;

	if (screen->columns) {
		while (rank && (int)screen->columns - width_of(rank) < NAME_MIN)
			rank--;
		room = screen->columns - width_of(rank);
	}
	*ret_name_width = room < 1 ? 1 : room > NAME_MAX ? NAME_MAX : room;
	return rank;
}

static void put_name(char *cell, const struct top_peer *peer)
{
	const struct talon_peer_info *info = &peer->peer->info;

	if (info->name[0])
		put_safe(cell, CELL_LEN, info->name, sizeof(info->name));
	else
		key_to_base64(info->public_key, cell);
}

/* @peer: NULL for the line of titles. */
static void print_peer(struct page *page, const struct top_view *view, const struct top_peer *peer, int rank,
	int name_width)
{
	char line[LINE_LEN] = "", cell[CELL_LEN] = "PEER";

	if (peer)
		put_name(cell, peer);
	text_append(line, sizeof(line), "%-*.*s", name_width, name_width, cell);
	for (size_t i = 0; i < COLUMNS; i++) {
		if (columns[i].rank > rank)
			continue;
		if (peer)
			columns[i].put(cell, view, peer);
		text_append(line, sizeof(line), " %*s", columns[i].width, peer ? cell : columns[i].title);
	}
	put_line(page, line);
}

/* At most @rows, with the titles and with the line that says how many more there are. */
static void print_peers(struct page *page, const struct top_view *view, unsigned int rows)
{
	size_t fit = rows > 1 ? rows - 1 : 0, shown = view->peer_count;
	int name_width, rank = choose_rank(page->screen, &name_width);
	char line[LINE_LEN];

	if (!rows)
		return;
	print_peer(page, view, NULL, rank, name_width);
	if (shown > fit)
		shown = fit ? fit - 1 : 0;
	for (size_t i = 0; i < shown; i++)
		print_peer(page, view, &view->peers[i], rank, name_width);
	if (shown == view->peer_count || !fit)
		return;
	snprintf(line, sizeof(line), "%zu more", view->peer_count - shown);
	put_line(page, line);
}

/* --- node --- */

static void append_traffic(char *line, const struct top_view *view, const char *name, __u64 bytes,
	__u64 packets)
{
	char bits[CELL_LEN], rate[CELL_LEN];

	top_scaled(top_per_second(view, bytes * 8), bits, sizeof(bits));
	top_scaled(top_per_second(view, packets), rate, sizeof(rate));
	if (view->interval_ns)
		text_append(line, LINE_LEN, "%s %sbit/s, %spps", name, bits, rate);
	else
		text_append(line, LINE_LEN, "%s -", name);
}

static void print_traffic(struct page *page, const struct top_view *view)
{
	bool is_wide = !page->screen->columns || page->screen->columns >= WIDE;
	char line[LINE_LEN] = "";

	append_traffic(line, view, "in", view->node.rx_bytes, view->node.rx_packets);
	if (is_wide) {
		text_append(line, sizeof(line), "; ");
	} else {
		put_line(page, line);
		line[0] = '\0';
	}
	append_traffic(line, view, "out", view->node.tx_bytes, view->node.tx_packets);
	put_line(page, line);
}

static void print_drops(struct page *page, const struct top_view *view)
{
	char line[LINE_LEN] = "", rate[CELL_LEN];

	top_scaled(top_per_second(view, view->dropped), rate, sizeof(rate));
	text_append(line, sizeof(line), "drops %s/s", view->interval_ns ? rate : "-");
	for (size_t i = 0; i < view->drop_count && i < REASONS_SHOWN; i++) {
		top_scaled(top_per_second(view, view->drops[i].packets), rate, sizeof(rate));
		text_append(line, sizeof(line), "%s %s %s/s", i ? "," : ":",
			show_ends[view->drops[i].reason].label, rate);
	}
	put_line(page, line);
}

/* Each reason with what it means. */
static void list_drops(struct page *page, const struct top_view *view)
{
	char line[LINE_LEN], rate[CELL_LEN];

	for (size_t i = 0; i < view->drop_count && i < REASONS_LISTED; i++) {
		const struct show_end *end = &show_ends[view->drops[i].reason];

		top_scaled(top_per_second(view, view->drops[i].packets), rate, sizeof(rate));
		snprintf(line, sizeof(line), "  %-14s %7s/s  %s", end->label, rate, end->help);
		put_line(page, line);
	}
}

static void append_ahead(char *line, const struct top_view *view, const char *name,
	enum talon_keystream_dir dir)
{
	double share = top_ahead(view, dir);

	if (share < 0)
		text_append(line, LINE_LEN, " %s -", name);
	else
		text_append(line, LINE_LEN, " %s %.0f%%", name, 100 * share);
}

static void print_flows(struct page *page, const struct top_view *view)
{
	const struct status *now = view->now;
	char line[LINE_LEN] = "";

	text_append(line, sizeof(line), "flows %llu of %u; keystream ahead", now->nat.live,
		now->config.flow_count ? now->config.flow_count - 1 : 0);
	if (status_keystream(now) == STATUS_KEYSTREAM_OFF) {
		text_append(line, sizeof(line), " off");
	} else {
		append_ahead(line, view, "in", TALON_KEYSTREAM_RECV);
		append_ahead(line, view, "out", TALON_KEYSTREAM_SEND);
	}
	put_line(page, line);
}

static void print_node(struct page *page, const struct top_view *view)
{
	const struct status *now = view->now;
	char line[LINE_LEN], mode[CELL_LEN], when[CELL_LEN];

	put_safe(mode, sizeof(mode), now->info.mode, sizeof(now->info.mode));
	show_time(now->now_unix_s, when, sizeof(when));
	snprintf(line, sizeof(line), "talon: %s, controller %s, %s", mode[0] ? mode : "not attached",
		top_controller(now), when);
	put_line(page, line);
	print_traffic(page, view);
	print_drops(page, view);
	if (view->order == TOP_BY_DROPS)
		list_drops(page, view);
	print_flows(page, view);
}

/* --- destinations --- */

static void print_destinations(struct page *page, const struct top_view *view, unsigned int rows)
{
	char line[LINE_LEN], addr[INET6_ADDRSTRLEN], end[FLOWS_END_LEN];

	put_line(page, "");
	snprintf(line, sizeof(line), "%-21s %-5s %8s", "DESTINATION", "PROTO", "FLOWS");
	put_line(page, line);
	for (size_t i = 0; i < view->destination_count && i + 2 < rows; i++) {
		const struct top_destination *to = &view->destinations[i];

		const bool six = to->proto & TALON_PROTO_SIX;

		inet_ntop(six ? AF_INET6 : AF_INET, &to->addr, addr, sizeof(addr));
		if (to->port)
			flows_format_end(six, &to->addr, to->port, end);
		else
			snprintf(end, sizeof(end), "%s", addr);
		snprintf(line, sizeof(line), "%-21s %-5s %s%*llu", end, flows_proto(TALON_PROTO(to->proto)),
			view->lowered ? ">=" : "", view->lowered ? 6 : 8, to->flows);
		put_line(page, line);
	}
}

/* Rows that destinations get: a third of what is left, on a screen that is tall enough; 0: none are shown. */
static unsigned int destination_rows(const struct page *page, const struct top_view *view)
{
	unsigned int want = view->destination_count + 2, most = rows_left(page) / 3;

	if (!view->destination_count || most < 3 || (page->screen->rows && page->screen->rows < TALL))
		return 0;
	return want < most ? want : most;
}

void top_print(FILE *out, const struct top_view *view, const struct top_screen *screen)
{
	struct page page = begin_page(out, screen);
	unsigned int rows;

	print_node(&page, view);
	if (!screen->rows || screen->rows >= TALL)
		put_line(&page, "");
	rows = destination_rows(&page, view);
	print_peers(&page, view, rows_left(&page) - rows);
	if (rows)
		print_destinations(&page, view, rows);
	end_page(&page);
}

void top_print_why(FILE *out, const char *why, const struct top_screen *screen)
{
	struct page page = begin_page(out, screen);
	char line[LINE_LEN];

	put_safe(line, sizeof(line), why, strlen(why));
	put_line(&page, line);
	end_page(&page);
}
