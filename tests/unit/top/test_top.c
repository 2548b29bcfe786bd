// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon top: rates from two samples, counters that go back, and what screens of any size show of them.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "manual_keys.h"
#include "top/top.h"

#define NOW_S	100000ULL
#define AT(s)	((s) * TALON_NSEC_PER_SEC)
#define IN(reason) (TALON_DIR_IN * TALON_END_COUNT + TALON_##reason)
#define OUT(reason) (TALON_DIR_OUT * TALON_END_COUNT + TALON_##reason)

static struct cidr nets[3];
static struct status_peer before_peers[4], now_peers[4];
static struct status before, now;

static __be32 addr(const char *text)
{
	struct in_addr in;

	assert_int_equal(inet_pton(AF_INET, text, &in), 1);
	return in.s_addr;
}

static void fill_status(struct status *s, struct status_peer *peers, __u64 now_s)
{
	*s = (struct status){ .now_ns = AT(now_s), .now_unix_s = 1795393860, .is_held = true,
		.peers = peers, .peer_count = 3, .keystream_room = 1000 };
	s->info = (struct talon_info){ .pid = 4711, .ready = 1, .datapath_since_ns = AT(5),
		.heartbeat_ns = AT(now_s) };
	strcpy(s->info.mode, "xdp");
	s->config.mesh_addr = addr("100.64.0.1");
	s->config.mesh_mask = addr("255.192.0.0");
	s->config.flow_count = 262144;
	s->nat.live = 1234;
	memset(peers, 0, 4 * sizeof(*peers));
	for (unsigned int i = 0; i < 3; i++) {
		nets[i] = (struct cidr){ AF_INET, 32, { { htonl(0x64400002 + i) } } };
		peers[i] = (struct status_peer){ .id = 2 * i, .allowed = &nets[i], .allowed_count = 1,
			.endpoint_family = i == 2 ? 0 : AF_INET,
			.endpoint_flags = i ? TALON_ENDPOINT_RELAY : 0 };
		memset(peers[i].info.public_key, i + 1, WG_KEY_LEN);
	}
	strcpy(peers[0].info.name, "laptop.netbird.cloud");
	strcpy(peers[1].info.name, "ph\x1b[31m\nne");
	peers[0].info.handshake_ns = AT(now_s - 32);
	peers[0].flows.held = 55;
}

static struct talon_peer_stats stats_of(__u64 rx_bytes, __u64 tx_bytes, __u64 rx_packets, __u64 tx_packets)
{
	return (struct talon_peer_stats){ .rx_bytes = rx_bytes, .tx_bytes = tx_bytes,
		.rx_packets = rx_packets, .tx_packets = tx_packets };
}

/* Two seconds with 2.5 Gbit/s in from peer 1, and a little from peer 0. */
static int make_samples(void **state)
{
	fill_status(&before, before_peers, NOW_S);
	fill_status(&now, now_peers, NOW_S + 2);
	before_peers[0].stats = stats_of(1000, 5000, 10, 50);
	now_peers[0].stats = stats_of(1250, 5000, 12, 50);
	before_peers[1].stats = stats_of(7, 7, 7, 7);
	now_peers[1].stats = stats_of(7 + 625000000, 7 + 250000, 7 + 500000, 7 + 2500);
	before_peers[2].flows.refused = 10;
	now_peers[2].flows.refused = 16;
	before.stats[IN(NO_SESSION)] = 100;
	now.stats[IN(NO_SESSION)] = 120;
	before.stats[OUT(NO_SESSION)] = 0;
	now.stats[OUT(NO_SESSION)] = 1;
	now.stats[IN(BAD_TAG)] = 4;
	now.stats[IN(FORWARDED)] = 500000;
	before.keystream_counts[TALON_KEYSTREAM_RECV].ahead = 10;
	before.keystream_counts[TALON_KEYSTREAM_RECV].inline_ = 10;
	now.keystream_counts[TALON_KEYSTREAM_RECV].ahead = 1000;
	now.keystream_counts[TALON_KEYSTREAM_RECV].inline_ = 20;
	return 0;
}

static struct top_view view_of(const struct status *a, const struct status *b, enum top_order order)
{
	struct top_view view;

	assert_int_equal(top_view_make(&view, a, b, order), 0);
	return view;
}

static __u32 slot(const struct top_view *view, size_t i)
{
	return view->peers[i].peer->id;
}

/* --- rates --- */

static void rates_are_differences_over_the_time_between(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_RATE);

	assert_int_equal(view.interval_ns, AT(2));
	assert_int_equal(slot(&view, 0), 2);
	assert_int_equal(view.peers[0].traffic.rx_bytes, 625000000);
	assert_true(top_per_second(&view, view.peers[0].traffic.rx_bytes * 8) == 2.5e9);
	assert_int_equal(view.peers[0].traffic.tx_packets, 2500);
	assert_int_equal(slot(&view, 1), 0);
	assert_int_equal(view.peers[1].traffic.rx_bytes, 250);
	assert_int_equal(view.node.rx_bytes, 625000250);
	assert_int_equal(view.node.rx_packets, 500002);
	assert_int_equal(view.dropped, 25);
	assert_int_equal(view.drop_count, 2);
	assert_int_equal(view.drops[0].reason, TALON_NO_SESSION);
	assert_int_equal(view.drops[0].packets, 21);
	assert_true(top_ahead(&view, TALON_KEYSTREAM_RECV) == 0.99);
	assert_true(top_ahead(&view, TALON_KEYSTREAM_SEND) < 0);
	top_view_free(&view);
}

static void peers_are_sorted_as_asked(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_DROPS);

	assert_int_equal(slot(&view, 0), 4);
	assert_int_equal(view.peers[0].refused, 6);
	assert_int_equal(slot(&view, 1), 2);
	top_view_free(&view);
	now_peers[0].stats.tx_packets += 1000000;
	view = view_of(&before, &now, TOP_BY_PACKETS);
	assert_int_equal(slot(&view, 0), 0);
	top_view_free(&view);
}

static void the_first_sample_has_no_rates(void **state)
{
	struct top_view view = view_of(NULL, &now, TOP_BY_RATE);

	assert_int_equal(view.interval_ns, 0);
	assert_int_equal(view.node.rx_bytes + view.dropped, 0);
	assert_true(top_per_second(&view, 5) == 0);
	for (size_t i = 0; i < view.peer_count; i++)
		assert_false(view.peers[i].is_known);
	top_view_free(&view);
}

static void a_counter_that_goes_back_is_a_fresh_start(void **state)
{
	struct top_view view;

	now_peers[1].stats = stats_of(3, 1000, 9, 9);
	now.stats[IN(NO_SESSION)] = 99;
	now.keystream_counts[TALON_KEYSTREAM_RECV].inline_ = 9;
	now_peers[2].flows.refused = 1;
	view = view_of(&before, &now, TOP_BY_RATE);
	assert_int_equal(view.node.rx_bytes, 250);
	assert_int_equal(view.node.tx_bytes, 0);
	assert_int_equal(slot(&view, 1), 2);
	assert_false(view.peers[1].is_known);
	assert_int_equal(view.peers[1].traffic.tx_bytes, 0);
	assert_int_equal(view.peers[2].refused, 0);
	assert_int_equal(view.dropped, 5);	/* the other direction's, and the other reason's */
	assert_true(top_ahead(&view, TALON_KEYSTREAM_RECV) < 0);
	top_view_free(&view);
}

static void another_datapath_is_a_fresh_start_even_if_its_counters_are_higher(void **state)
{
	struct top_view view;

	now.info.datapath_since_ns = AT(NOW_S + 1);
	view = view_of(&before, &now, TOP_BY_RATE);
	assert_int_equal(view.interval_ns, 0);
	assert_int_equal(view.node.rx_bytes + view.dropped, 0);
	assert_false(view.peers[0].is_known);
	top_view_free(&view);
}

static void a_slot_with_another_peer_is_a_fresh_start(void **state)
{
	struct top_view view;

	memset(now_peers[1].info.public_key, 77, WG_KEY_LEN);
	view = view_of(&before, &now, TOP_BY_RATE);
	assert_int_equal(view.node.rx_bytes, 250);
	top_view_free(&view);
	/* and a peer that is new, in a slot between the others */
	make_samples(NULL);
	now_peers[3] = now_peers[2];
	now_peers[2] = now_peers[1];
	now_peers[2].id = 3;
	now.peer_count = 4;
	view = view_of(&before, &now, TOP_BY_RATE);
	assert_int_equal(view.node.rx_bytes, 625000250);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(view.peers[i].is_known, slot(&view, i) != 3);
	top_view_free(&view);
	/* and one that has gone */
	make_samples(NULL);
	now_peers[0] = now_peers[1];
	now_peers[1] = now_peers[2];
	now.peer_count = 2;
	view = view_of(&before, &now, TOP_BY_RATE);
	assert_int_equal(view.node.rx_bytes, 625000000);
	assert_true(view.peers[0].is_known && view.peers[1].is_known);
	top_view_free(&view);
}

static void numbers_have_at_most_six_characters(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = { { 0, "0" }, { 0.4, "0" }, { 999.4, "999" }, { 999.6, "1.0k" }, { 1234, "1.2k" },
		{ 99999, "100.0k" }, { 999949, "999.9k" }, { 999951, "1.0M" }, { 2.5e9, "2.5G" },
		{ 9.999e14, "999.9T" } };
	char text[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		top_scaled(cases[i].value, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

/* --- destinations --- */

static void add(struct top_destinations *d, uint32_t addr, __be16 port, __u8 proto)
{
	top_destinations_add(d, &(struct talon_addr){ { htonl(addr) } }, port, proto);
}

static void destinations_are_counted_exactly_while_they_fit(void **state)
{
	struct top_destinations *d = top_destinations_new();
	struct top_destination best[3];
	__u64 lowered;

	for (unsigned int round = 0; round < 2; round++) {
		top_destinations_clear(d);
		for (__u32 i = 0; i < TOP_DESTINATIONS_MAX; i++) {
			for (int n = 0; n < 1 + (i == 7) + 2 * (i == 9); n++)
				add(d, i / 2, htons(1 + i % 2), IPPROTO_TCP);
		}
		assert_int_equal(top_destinations_best(d, best, 3, &lowered), 3);
		assert_int_equal(lowered, 0);
		assert_int_equal(best[0].flows, 3);
		assert_int_equal(best[0].addr.word[0], htonl(4));
		assert_int_equal(best[0].port, htons(2));
		assert_int_equal(best[1].flows, 2);
		assert_int_equal(best[2].flows, 1);
	}
	top_destinations_free(d);
}

/* Half a million flows to strangers, one each, and between them what is to be found. */
static void those_with_many_flows_are_found_among_any_number(void **state)
{
	struct top_destinations *d = top_destinations_new();
	struct top_destination best[8];
	__u64 lowered;

	for (__u32 i = 0; i < 500000; i++) {
		add(d, 0x0b000000 + i, htons(443), IPPROTO_UDP);
		if (i % 50 == 0)
			add(d, 1, htons(443), IPPROTO_TCP);
		if (i % 100 == 0)
			add(d, 2, htons(443), IPPROTO_TCP);
	}
	assert_int_equal(top_destinations_best(d, best, 8, &lowered), 8);
	assert_int_equal(best[0].addr.word[0], htonl(1));
	assert_in_range(10000, best[0].flows, best[0].flows + lowered);
	assert_int_equal(best[1].addr.word[0], htonl(2));
	assert_in_range(5000, best[1].flows, best[1].flows + lowered);
	assert_in_range(lowered, 1, 515000 / TOP_DESTINATIONS_MAX);
	top_destinations_free(d);
}

/* --- showing --- */

static char *text_of(const struct top_view *view, unsigned int columns, unsigned int rows, bool is_terminal)
{
	const struct top_screen screen = { columns, rows, is_terminal };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	top_print(out, view, &screen);
	fclose(out);
	return text;
}

static void add_destinations(struct top_view *view)
{
	view->destinations[0] = (struct top_destination){ { { addr("192.168.1.220") } }, htons(443),
		IPPROTO_TCP, 700 };
	view->destinations[1] = (struct top_destination){ { { addr("192.168.1.1") } }, 0, IPPROTO_ICMP, 3 };
	view->destination_count = 2;
}

static void a_pipe_gets_everything_without_escapes(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_RATE);
	char *text;

	add_destinations(&view);
	text = text_of(&view, 0, 0, false);
	assert_string_equal(text,
		"talon: xdp, controller running, 2026-11-23T00:31:00Z\n"
		"in 2.5Gbit/s, 250.0kpps; out 1.0Mbit/s, 1.2kpps\n"
		"drops 12/s: no_session 10/s, bad_tag 2/s\n"
		"flows 1234 of 262143; keystream ahead in 99% out -\n"
		"\n"
		"PEER                                         ADDRESS         PATH    RX b/s  TX b/s RX pps "
		"TX pps  SHAKE   FLOWS REFUSED\n"
		"ph?[31m?ne                                   100.64.0.3      relay     2.5G    1.0M 250.0k "
		"  1.2k  never       0       0\n"
		"laptop.netbird.cloud                         100.64.0.2      direct    1.0k       0      1 "
		"     0    32s      55       0\n"
		"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM= 100.64.0.4      -            0       0      0 "
		"     0  never       0       3\n"
		"\n"
		"DESTINATION           PROTO    FLOWS\n"
		"192.168.1.220:443     tcp        700\n"
		"192.168.1.1           icmp         3\n"
		"\n");
	free(text);
	view.lowered = 5;
	text = text_of(&view, 0, 0, false);
	assert_non_null(strstr(text, "192.168.1.220:443     tcp   >=   700\n"));
	free(text);
	view.destinations[0].proto |= TALON_PROTO_SIX;
	inet_pton(AF_INET6, "2001:db8::7", &view.destinations[0].addr);
	text = text_of(&view, 0, 0, false);
	assert_non_null(strstr(text, "[2001:db8::7]:443     tcp   >=   700\n"));
	free(text);
	top_view_free(&view);
}

static void a_first_sample_shows_no_rate_at_all(void **state)
{
	struct top_view view = view_of(NULL, &now, TOP_BY_RATE);
	char *text = text_of(&view, 80, 0, false);

	assert_non_null(strstr(text, "in -; out -\ndrops -/s\n"));
	assert_non_null(strstr(text, "laptop.netbi 100.64.0.2      direct       -       -      -      -"));
	free(text);
	top_view_free(&view);
}

/*
 * Takes the page apart as a terminal would: it begins at the top, draws at most @rows lines of at most
 * @columns, clears the rest of each and what is below, and never ends a line that could scroll.
 */
static unsigned int check_page(const char *text, unsigned int columns, unsigned int rows)
{
	unsigned int lines = 1, column = 0;

	assert_memory_equal(text, "\x1b[H", 3);
	for (const char *c = text + 3; *c; c++) {
		if (*c == '\x1b') {
			assert_true(c[1] == '[' && (c[2] == 'K' || (c[2] == 'J' && !c[3])));
			c += 2;
		} else if (*c == '\n') {
			assert_true(c[-1] == 'K');
			column = 0;
			lines++;
		} else {
			assert_in_range(*c, ' ', '~');
			column++;
		}
		assert_true(column <= columns);
	}
	assert_true(lines <= rows);
	return lines;
}

static void a_screen_of_any_size_is_filled_and_never_overflows(void **state)
{
	static struct status_peer many[300];
	struct top_view view;
	char *text;

	for (size_t i = 0; i < 300; i++) {
		many[i] = now_peers[0];
		many[i].id = i;
	}
	now.peers = many;
	now.peer_count = 300;
	view = view_of(&before, &now, TOP_BY_DROPS);
	add_destinations(&view);
	for (unsigned int columns = 1; columns < 200; columns += 1 + columns / 20) {
		for (unsigned int rows = 1; rows < 60; rows++) {
			text = text_of(&view, columns, rows, true);
			assert_int_equal(check_page(text, columns, rows), rows);
			free(text);
		}
	}
	top_view_free(&view);
}

static void eighty_by_twenty_four_has_peers_and_destinations(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_RATE);
	char *text;

	add_destinations(&view);
	text = text_of(&view, 80, 24, true);
	assert_int_equal(check_page(text, 80, 24), 13);
	assert_string_equal(text,
		"\x1b[Htalon: xdp, controller running, 2026-11-23T00:31:00Z\x1b[K\n"
		"in 2.5Gbit/s, 250.0kpps; out 1.0Mbit/s, 1.2kpps\x1b[K\n"
		"drops 12/s: no_session 10/s, bad_tag 2/s\x1b[K\n"
		"flows 1234 of 262143; keystream ahead in 99% out -\x1b[K\n"
		"\x1b[K\n"
		"PEER         ADDRESS         PATH    RX b/s  TX b/s RX pps TX pps  SHAKE   FLOWS\x1b[K\n"
		"ph?[31m?ne   100.64.0.3      relay     2.5G    1.0M 250.0k   1.2k  never       0\x1b[K\n"
		"laptop.netbi 100.64.0.2      direct    1.0k       0      1      0    32s      55\x1b[K\n"
		"AwMDAwMDAwMD 100.64.0.4      -            0       0      0      0  never       0\x1b[K\n"
		"\x1b[K\n"
		"DESTINATION           PROTO    FLOWS\x1b[K\n"
		"192.168.1.220:443     tcp        700\x1b[K\n"
		"192.168.1.1           icmp         3\x1b[K\x1b[J");
	free(text);
	top_view_free(&view);
}

static void forty_by_ten_has_the_busiest_peers(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_RATE);
	char *text;

	add_destinations(&view);
	text = text_of(&view, 40, 7, true);
	assert_int_equal(check_page(text, 40, 7), 7);
	free(text);
	text = text_of(&view, 40, 10, true);
	assert_string_equal(text,
		"\x1b[Htalon: xdp, controller running, 2026-11-\x1b[K\n"
		"in 2.5Gbit/s, 250.0kpps\x1b[K\n"
		"out 1.0Mbit/s, 1.2kpps\x1b[K\n"
		"drops 12/s: no_session 10/s, bad_tag 2/s\x1b[K\n"
		"flows 1234 of 262143; keystream ahead in\x1b[K\n"
		"PEER              RX b/s  TX b/s   FLOWS\x1b[K\n"
		"ph?[31m?ne          2.5G    1.0M       0\x1b[K\n"
		"laptop.netbird.c    1.0k       0      55\x1b[K\n"
		"AwMDAwMDAwMDAwMD       0       0       0\x1b[K\x1b[J");
	free(text);
	top_view_free(&view);
}

static void by_drops_each_reason_is_explained(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_DROPS);
	char *text = text_of(&view, 0, 0, false);

	assert_non_null(strstr(text, "drops 12/s: no_session 10/s, bad_tag 2/s\n"
		"  no_session          10/s  no live key for this receiver index\n"
		"  bad_tag              2/s  authentication tag is wrong\n"));
	free(text);
	top_view_free(&view);
}

static json_t *json_of(const struct top_view *view)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *root;

	top_print_json(out, view);
	fclose(out);
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);	/* one line */
	assert_null(strchr(text, '\x1b'));
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	free(text);
	return root;
}

static json_t *at(json_t *object, const char *path)
{
	char key[40];

	while (*path) {
		size_t len = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		object = json_is_array(object) ? json_array_get(object, atoi(key))
			: json_object_get(object, key);
		path += len + (path[len] == '.');
	}
	assert_non_null(object);
	return object;
}

static void json_is_json_with_and_without_rates(void **state)
{
	struct top_view view = view_of(&before, &now, TOP_BY_RATE);
	json_t *root;

	add_destinations(&view);
	view.lowered = 2;
	root = json_of(&view);
	assert_true(json_number_value(at(root, "intervalSeconds")) == 2);
	assert_true(json_number_value(at(root, "node.rxBitsPerSecond")) == 2.500001e9);
	assert_int_equal(json_integer_value(at(root, "node.rxBytes")), 625000250);
	assert_string_equal(json_string_value(at(root, "peers.0.address")), "100.64.0.3");
	assert_string_equal(json_string_value(at(root, "peers.0.path")), "relay");
	assert_true(json_number_value(at(root, "peers.0.txPacketsPerSecond")) == 1250);
	assert_int_equal(json_integer_value(at(root, "peers.1.handshakeAgeSeconds")), 32);
	assert_int_equal(json_integer_value(at(root, "peers.1.flowsHeld")), 55);
	assert_true(json_is_null(at(root, "peers.2.path")));
	assert_true(json_number_value(at(root, "peers.2.flowsRefusedPerSecond")) == 3);
	assert_string_equal(json_string_value(at(root, "drops.reasons.0.reason")), "no_session");
	assert_true(json_number_value(at(root, "drops.reasons.0.perSecond")) == 10.5);
	assert_true(json_number_value(at(root, "keystreamAhead.received")) == 0.99);
	assert_true(json_is_null(at(root, "keystreamAhead.sent")));
	assert_int_equal(json_integer_value(at(root, "destinations.0.flows")), 700);
	assert_int_equal(json_integer_value(at(root, "destinations.0.flowsAtMost")), 702);
	manual_has_keys("\n.It Cm top ", "\n.It Cm networks ", root);
	json_decref(root);
	top_view_free(&view);
	view = view_of(NULL, &now, TOP_BY_RATE);
	root = json_of(&view);
	assert_true(json_is_null(at(root, "intervalSeconds")));
	assert_true(json_is_null(at(root, "node.rxBitsPerSecond")));
	assert_true(json_is_null(at(root, "peers.0.rxBitsPerSecond")));
	json_decref(root);
	top_view_free(&view);
}

static void a_reason_in_place_of_a_view_is_one_line(void **state)
{
	const struct top_screen screen = {};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *root;

	top_print_why(out, "not running: there is\nno datapath", &screen);
	fflush(out);
	assert_string_equal(text, "not running: there is?no datapath\n\n");
	rewind(out);
	top_print_json_why(out, "not \"running\"");
	fclose(out);
	root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(at(root, "error")), "not \"running\"");
	json_decref(root);
	free(text);
}

static void the_controller_has_one_of_four_states(void **state)
{
	assert_string_equal(top_controller(&now), "running");
	now.info.heartbeat_ns -= STATUS_HEARTBEAT_HUNG_NS + 1;
	assert_string_equal(top_controller(&now), "hung");
	now.is_held = false;
	assert_string_equal(top_controller(&now), "stopped");
	now.is_held = true;
	now.info.heartbeat_ns = now.now_ns;
	now.info.ready = 0;
	assert_string_equal(top_controller(&now), "starting");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rates_are_differences_over_the_time_between, make_samples),
		cmocka_unit_test_setup(peers_are_sorted_as_asked, make_samples),
		cmocka_unit_test_setup(the_first_sample_has_no_rates, make_samples),
		cmocka_unit_test_setup(a_counter_that_goes_back_is_a_fresh_start, make_samples),
		cmocka_unit_test_setup(another_datapath_is_a_fresh_start_even_if_its_counters_are_higher,
			make_samples),
		cmocka_unit_test_setup(a_slot_with_another_peer_is_a_fresh_start, make_samples),
		cmocka_unit_test(numbers_have_at_most_six_characters),
		cmocka_unit_test(destinations_are_counted_exactly_while_they_fit),
		cmocka_unit_test(those_with_many_flows_are_found_among_any_number),
		cmocka_unit_test_setup(a_pipe_gets_everything_without_escapes, make_samples),
		cmocka_unit_test_setup(a_first_sample_shows_no_rate_at_all, make_samples),
		cmocka_unit_test_setup(a_screen_of_any_size_is_filled_and_never_overflows, make_samples),
		cmocka_unit_test_setup(eighty_by_twenty_four_has_peers_and_destinations, make_samples),
		cmocka_unit_test_setup(forty_by_ten_has_the_busiest_peers, make_samples),
		cmocka_unit_test_setup(by_drops_each_reason_is_explained, make_samples),
		cmocka_unit_test_setup(json_is_json_with_and_without_rates, make_samples),
		cmocka_unit_test(a_reason_in_place_of_a_view_is_one_line),
		cmocka_unit_test_setup(the_controller_has_one_of_four_states, make_samples),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
