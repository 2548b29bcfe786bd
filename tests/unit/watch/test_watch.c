// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What talon drops prints, what talon capture writes, and which peer is meant.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talon/watch_types.h"
#include "watch/capture.h"
#include "watch/drops.h"
#include "watch/pcapng.h"
#include "watch/peer.h"

static char *text;
static size_t text_len;

static int forget(void **state)
{
	free(text);
	text = NULL;
	return 0;
}

static FILE *paper(void)
{
	forget(NULL);
	return open_memstream(&text, &text_len);
}

/*
 * --- pcapng: draft-ietf-opsawg-pcapng, sections 4.1 to 4.6, written down by hand for a
 * little-endian host ---
 */

#define W(n) (n) & 0xff, (n) >> 8 & 0xff, (n) >> 16 & 0xff, (n) >> 24 & 0xff
#define H(n) (n) & 0xff, (n) >> 8 & 0xff

static void assert_bytes(const uint8_t *want, size_t len)
{
	assert_int_equal(text_len, len);
	assert_memory_equal(text, want, len);
}

static void a_file_begins_with_section_and_interface(void **state)
{
	const char version[] = "talon " TALON_VERSION;
	const size_t version_len = strlen(version), padded = (version_len + 3) & ~3UL;
	const uint8_t section[] = { W(0x0a0d0d0a), W(28 + 4 + (uint32_t)padded + 4), W(0x1a2b3c4d), H(1),
		H(0), W(0xffffffff), W(0xffffffff), H(4), H((uint16_t)version_len) };
	const uint8_t interface[] = { H(0), H(0), W((uint32_t)(32 + 4 + padded)),
		/* interface: RAW, 96 bytes of each packet */
		W(1), W(60), H(101), H(0), W(96),
		/* if_name, if_description, if_tsresol, end */
		H(2), H(5), 't', 'a', 'l', 'o', 'n', 0, 0, 0, H(3), H(11), 'p', 'a', 'c', 'k', 'e', 't', 's',
			' ', 'o',
		'f', ' ', 0, H(9), H(1), 9, 0, 0, 0, H(0), H(0), W(60) };
	struct pcapng file;
	uint8_t want[256];
	size_t len = 0;
	FILE *out = paper();

	assert_int_equal(pcapng_begin(&file, out, "packets of ", 96), 0);
	fclose(out);
	memcpy(want, section, sizeof(section));
	len += sizeof(section);
	memset(want + len, 0, padded);
	memcpy(want + len, version, version_len);
	len += padded;
	memcpy(want + len, interface, sizeof(interface));
	len += sizeof(interface);
	assert_bytes(want, len);
	assert_int_equal(file.bytes, len);
}

static void a_packet_has_its_time_direction_and_both_lengths(void **state)
{
	static const uint8_t want[] = {
		W(6), W(52), W(0),
		/* 1795393828.123456789 s: 0x18ea852c_9d3a3515 ns, the upper word first */
		W(0x18ea852c), W(0x9d3a3515), W(5), W(1500), 1, 2, 3, 4, 5, 0, 0, 0,
		H(2), H(4), W(1), H(0), H(0), W(52),
		W(6), W(44), W(0), W(0), W(7), W(0), W(0), H(2), H(4), W(2), H(0), H(0), W(44),
	};
	struct pcapng file = {};

	file.out = paper();
	assert_int_equal(pcapng_packet(&file, 1795393828123456789ULL, true, "\1\2\3\4\5", 5, 1500), 0);
	assert_int_equal(pcapng_packet(&file, 7, false, "", 0, 0), 0);
	fclose(file.out);
	assert_bytes(want, sizeof(want));
}

static void the_end_says_what_came_and_what_is_missing(void **state)
{
	static const uint8_t want[] = { W(5), W(52), W(0), W(1), W(0), H(4), H(8), W(1000), W(0), H(5), H(8),
		W(3), W(0), H(0), H(0), W(52) };
	struct pcapng file = {};

	file.out = paper();
	assert_int_equal(pcapng_end(&file, 1ULL << 32, 1000, 3), 0);
	fclose(file.out);
	assert_bytes(want, sizeof(want));
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct pcapng file;
	int ret;

	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	ret = pcapng_begin(&file, full, "x", 96);
	fclose(full);
	assert_int_equal(ret, -ENOSPC);
}

/* --- capture --- */

struct record {
	struct talon_packet_head head;
	uint8_t frame[14 + 100];
} __attribute__((packed));

static struct record record(uint32_t peer, uint32_t size, uint32_t len)
{
	struct record r = { .head = { .time_ns = 5, .peer = peer, .len = len, .size = size,
		.dir = TALON_DIR_IN } };

	memset(r.frame, 0xee, sizeof(r.frame));
	memset(r.frame + 14, 0x45, size < 100 ? size : 100);
	return r;
}

static struct capture begin_capture(uint64_t packets, uint64_t bytes)
{
	struct capture c = { .peer = 3, .limits = { packets, bytes }, .unix_minus_boot_ns = 1000 };

	assert_int_equal(capture_begin(&c, paper(), "test", 65535), 0);
	return c;
}

static void packets_come_without_the_ethernet_header(void **state)
{
	static const uint8_t want[] = { W(6), W(52), W(0), W(0), W(1005), W(6), W(60), 0x45, 0x45, 0x45, 0x45,
		0x45, 0x45, 0, 0, H(2), H(4), W(1), H(0), H(0), W(52) };
	struct capture c = begin_capture(10, 10000);
	struct record r = record(3, 6, 60);
	size_t before = c.file.bytes;

	capture_take(&c, &r, sizeof(r.head) + 14 + 6);
	fclose(c.file.out);
	assert_int_equal(text_len - before, sizeof(want));
	assert_memory_equal(text + before, want, sizeof(want));
	assert_int_equal(c.packets, 1);
	assert_int_equal(c.plain_bytes, 6);
	assert_false(c.is_full);
}

static void records_that_cannot_be_are_left_out(void **state)
{
	struct capture c = begin_capture(10, 10000);
	struct record r = record(3, 60, 60), foreign = record(4, 60, 60), longer = record(3, 61, 60);

	capture_take(&c, &r, 0);
	capture_take(&c, &r, sizeof(r.head) - 1);
	capture_take(&c, &r, sizeof(r.head));
	capture_take(&c, &r, sizeof(r.head) + 13);
	capture_take(&c, &r, sizeof(r.head) + 14 + 59);
	capture_take(&c, &foreign, sizeof(foreign));
	capture_take(&c, &longer, sizeof(longer));
	r.head.size = r.head.len = UINT32_MAX;
	capture_take(&c, &r, sizeof(r));
	assert_int_equal(c.packets, 0);
	fclose(c.file.out);
}

static void limits_end_a_capture(void **state)
{
	struct capture c = begin_capture(2, 10000);
	struct record r = record(3, 60, 60);

	for (int i = 0; i < 5; i++)
		capture_take(&c, &r, sizeof(r.head) + 14 + 60);
	assert_int_equal(c.packets, 2);
	assert_true(c.is_full);
	fclose(c.file.out);

	c = begin_capture(1000, 600);
	for (int i = 0; i < 100; i++)
		capture_take(&c, &r, sizeof(r.head) + 14 + 60);
	assert_true(c.is_full);
	assert_in_range(c.file.bytes, 600, 600 + 104);
	assert_int_equal(capture_end(&c, 1, 4), 0);
	fclose(c.file.out);
	assert_int_equal(c.file.bytes, text_len);
}

static void nothing_is_written_after_an_error(void **state)
{
	struct capture c = begin_capture(10, 10000);
	struct record r = record(3, 60, 60);
	size_t before = c.file.bytes;

	c.error = -ENOSPC;
	capture_take(&c, &r, sizeof(r));
	assert_int_equal(capture_end(&c, 1, 0), -ENOSPC);
	fclose(c.file.out);
	assert_int_equal(text_len, before);
}

/* --- drops --- */

#define WHEN 1795393828123456789ULL	/* 2026-11-23T00:30:28.123456Z */
#define TIME_AND_IN "{\"time\":\"2026-11-23T00:30:28.123456Z\",\"direction\":\"in\","

static struct talon_drop_sample sample(void)
{
	struct talon_drop_sample s = { .peer = 0, .len = 78, .dir = TALON_DIR_IN, .reason = TALON_NOT_ALLOWED,
		.layer = TALON_SAMPLE_INNER, .family = AF_INET, .proto = IPPROTO_UDP, .has_ports = 1,
		.sport = htons(4444), .dport = htons(5555) };

	inet_pton(AF_INET, "10.1.2.3", &s.src);
	inet_pton(AF_INET, "192.168.1.220", &s.dst);
	return s;
}

static struct talon_peer_info laptop(void)
{
	struct talon_peer_info info = { .present = 1, .name = "laptop" };

	memset(info.public_key, 1, sizeof(info.public_key));
	return info;
}

static void assert_line(const struct talon_drop_sample *s, const struct talon_peer_info *peer,
	const char *want)
{
	FILE *out = paper();

	drops_print_line(out, &(struct drops_line){ s, WHEN, peer, "eth0" });
	fclose(out);
	assert_string_equal(text, want);
}

static void assert_json(const struct talon_drop_sample *s, const struct talon_peer_info *peer,
	const char *want)
{
	FILE *out = paper();

	drops_write_line_json(out, &(struct drops_line){ s, WHEN, peer, "eth0" });
	fclose(out);
	assert_string_equal(text, want);
}

static void an_inner_packet_is_shown_with_both_ends(void **state)
{
	struct talon_drop_sample s = sample();
	struct talon_peer_info peer = laptop();

	assert_line(&s, &peer, "2026-11-23T00:30:28.123456Z in     not_allowed     peer laptop: udp "
		"10.1.2.3:4444 > 192.168.1.220:5555, 78 bytes\n");
	peer.name[0] = 0;
	s.dir = TALON_DIR_OUT;
	s.reason = TALON_NO_KEY;
	s.proto = IPPROTO_TCP;
	assert_line(&s, &peer, "2026-11-23T00:30:28.123456Z out    no_key          peer "
		"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=: tcp 10.1.2.3:4444 > 192.168.1.220:5555, 78 "
		"bytes\n");
	s.has_ports = 0;	/* a fragment */
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z out    no_key          peer -: tcp 10.1.2.3 > "
		"192.168.1.220, 78 bytes\n");
	s.proto = 47;
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z out    no_key          peer -: 47 10.1.2.3 > "
		"192.168.1.220, 78 bytes\n");
}

static void icmp_is_shown_with_type_and_code(void **state)
{
	struct talon_drop_sample s = sample();

	s.proto = IPPROTO_ICMP;
	s.sport = htons(0x0304);
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z in     not_allowed     peer -: icmp 10.1.2.3 > "
		"192.168.1.220 type 3 code 4, 78 bytes\n");
	assert_json(&s, NULL,
		TIME_AND_IN "\"reason\":\"not_allowed\",\"peer\":null,"
		"\"device\":\"eth0\",\"packet\":\"inner\","
		"\"protocol\":\"icmp\",\"source\":\"10.1.2.3\","
		"\"destination\":\"192.168.1.220\",\"icmpType\":3,\"icmpCode\":4,\"length\":78}\n");
}

static void a_packet_that_was_not_opened_is_shown_with_its_source(void **state)
{
	struct talon_drop_sample s = sample();

	s.layer = TALON_SAMPLE_OUTER;
	s.reason = TALON_BAD_TAG;
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z in     bad_tag         peer -: from "
		"10.1.2.3:4444, 78 bytes\n");
	s.family = AF_INET6;
	inet_pton(AF_INET6, "2001:db8::7", &s.src);
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z in     bad_tag         peer -: from "
		"[2001:db8::7]:4444, 78 bytes\n");
	s.layer = TALON_SAMPLE_NONE;
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z in     bad_tag         peer -: addresses "
		"unknown\n");
	assert_json(&s, NULL,
		TIME_AND_IN "\"reason\":\"bad_tag\",\"peer\":null,"
		"\"device\":\"eth0\",\"packet\":\"none\"}\n");
}

static void an_object_has_ports_and_the_peer(void **state)
{
	struct talon_drop_sample s = sample();
	struct talon_peer_info peer = laptop();

	assert_json(&s, &peer,
		TIME_AND_IN "\"reason\":\"not_allowed\",\"peer\":{\"name\":\"laptop\","
		"\"publicKey\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"},"
		"\"device\":\"eth0\",\"packet\":\"inner\","
		"\"protocol\":\"udp\",\"source\":\"10.1.2.3\","
		"\"destination\":\"192.168.1.220\",\"sourcePort\":4444,\"destinationPort\":5555,"
		"\"length\":78}\n");
}

static void a_name_cannot_steer_the_terminal(void **state)
{
	struct talon_drop_sample s = sample();
	struct talon_peer_info peer = laptop();

	memset(peer.name, '\n', sizeof(peer.name));	/* no terminating NUL either */
	memcpy(peer.name, "a\033[2J", 5);
	assert_line(&s, &peer, "2026-11-23T00:30:28.123456Z in     not_allowed     peer "
		"a?[2J???????????????????????????????????: udp 10.1.2.3:4444 > 192.168.1.220:5555, 78 "
		"bytes\n");
}

static void numbers_of_no_known_reason_or_direction_are_shown_all_the_same(void **state)
{
	struct talon_drop_sample s = sample();

	s.reason = 250;
	s.dir = 9;
	s.layer = 77;
	s.family = 0;
	assert_line(&s, NULL, "2026-11-23T00:30:28.123456Z ?      ?               peer -: udp ?:4444 > "
		"?:5555, 78 bytes\n");
}

static void what_is_left_out_is_said(void **state)
{
	FILE *out = paper();

	drops_print_missed(out, 408, 2);
	drops_write_missed_json(out, 408, 2);
	fclose(out);
	assert_string_equal(text, "... and 410 more: 408 over the limit, 2 without room\n"
		"{\"notShown\":410,\"overLimit\":408,\"withoutRoom\":2}\n");
}

static void filters_take_labels_of_drops(void **state)
{
	struct drops_filter filter = DROPS_ALL;
	struct slice wrong;

	assert_true(filter.reasons == TALON_DROP_BITS);
	assert_false(filter.reasons & 1ULL << TALON_FORWARDED);
	assert_true(filter.reasons & 1ULL << TALON_INTERNAL);
	assert_int_equal(drops_filter_reasons(&filter, "bad_tag, NO_ROUTE", &wrong), 0);
	assert_true(filter.reasons == (1ULL << TALON_BAD_TAG | 1ULL << TALON_NO_ROUTE));
	assert_int_equal(drops_filter_reasons(&filter, "no_key", &wrong), 0);	/* given again: these too */
	assert_true(filter.reasons == (1ULL << TALON_BAD_TAG | 1ULL << TALON_NO_ROUTE |
		1ULL << TALON_NO_KEY));
	assert_int_equal(drops_filter_dirs(&filter, "tunnel", &wrong), 0);
	assert_int_equal(filter.dirs, 1 << TALON_DIR_TUNNEL);

	/* is no drop */
	assert_int_equal(drops_filter_reasons(&filter, "bad_tag,forwarded", &wrong), -EINVAL);
	assert_int_equal(wrong.len, 9);
	assert_int_equal(drops_filter_reasons(&filter, "bad", &wrong), -EINVAL);
	assert_int_equal(drops_filter_dirs(&filter, "in,up", &wrong), -EINVAL);
	assert_int_equal(wrong.len, 2);
	filter = (struct drops_filter)DROPS_ALL;
	assert_int_equal(drops_filter_reasons(&filter, ",", &wrong), -EINVAL);
}

static void counters_are_shown_if_wanted_and_not_zero(void **state)
{
	struct status status = {};
	struct drops_filter filter = DROPS_ALL;
	struct slice wrong;
	FILE *out = paper();

	status.stats[TALON_DIR_IN * TALON_END_COUNT + TALON_FORWARDED] = 1000;
	status.stats[TALON_DIR_IN * TALON_END_COUNT + TALON_BAD_TAG] = 6;
	status.stats[TALON_DIR_TUNNEL * TALON_END_COUNT + TALON_NO_KEY] = 1;
	drops_print_counters(out, &status, &filter);
	drops_write_counters_json(out, &status, &filter);
	assert_int_equal(drops_filter_dirs(&filter, "tunnel", &wrong), 0);
	drops_print_counters(out, &status, &filter);
	assert_int_equal(drops_filter_reasons(&filter, "bad_tag", &wrong), 0);
	drops_print_counters(out, &status, &filter);
	drops_write_counters_json(out, &status, &filter);
	fclose(out);
	assert_string_equal(text,
		"in     bad_tag                    6  authentication tag is wrong\n"
		"tunnel no_key                     1  no session to send with; a handshake was asked for\n"
		"[{\"direction\":\"in\",\"reason\":\"bad_tag\",\"packets\":6,\"help\":\"authentication tag "
		"is wrong\"},{\"direction\":\"tunnel\",\"reason\":\"no_key\",\"packets\":1,\"help\":\"no "
		"session to send with; a handshake was asked for\"}]\ntunnel no_key                     1 "
		" no session to send with; a handshake was asked for\nnothing was dropped\n[]\n");
}

/* --- which peer --- */

static struct cidr nets[5];
static struct status_peer peers[5];

static struct status mesh(void)
{
	static const struct {
		const char *name, *net;
		__u32 len;
	} rows[] = { { "lap.mesh.example", "100.64.0.2", 32 }, { "router", "10.0.0.0", 8 },
		{ "lap.other.example", "10.1.0.0", 16 }, { "", "0.0.0.0", 0 }, { "six", "fd00:7::", 64 } };
	struct status status = { .peers = peers, .peer_count = 5 };

	memset(peers, 0, sizeof(peers));
	for (size_t i = 0; i < 5; i++) {
		nets[i].family = strchr(rows[i].net, ':') ? AF_INET6 : AF_INET;
		nets[i].prefixlen = rows[i].len;
		inet_pton(nets[i].family, rows[i].net, &nets[i].addr);
		peers[i].id = i;
		peers[i].allowed = &nets[i];
		peers[i].allowed_count = 1;
		strcpy(peers[i].info.name, rows[i].name);
		memset(peers[i].info.public_key, i + 1, WG_KEY_LEN);
	}
	return status;
}

static void a_peer_is_found_by_key_address_and_name(void **state)
{
	static const struct {
		const char *text;
		int id;
	} cases[] = {
		{ "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", 0 }, { "100.64.0.2", 0 }, { "10.2.3.4", 1 },
		{ "10.1.3.4", 2 }, { "192.0.2.1", 3 }, { "fd00:7::1", 4 }, { "router", 1 }, { "ROUTER", 1 },
		{ "lap.mesh.example", 0 },
		{ "lap.other.example", 2 },
	};
	const struct status_peer *found;
	struct status status = mesh();
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(watch_find_peer(&status, cases[i].text, &found, why, sizeof(why)), 0);
		assert_int_equal(found->id, cases[i].id);
	}
	status.peer_count = 2;
	assert_int_equal(watch_find_peer(&status, "lap", &found, why, sizeof(why)), 0);
	assert_int_equal(found->id, 0);
}

static void nobody_and_more_than_one_are_errors(void **state)
{
	const struct status_peer *found = NULL;
	struct status status = mesh();
	char why[256];

	assert_int_equal(watch_find_peer(&status, "lap", &found, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "'lap' is the name of 2 peers; write the key of one");
	assert_int_equal(watch_find_peer(&status, "la", &found, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "'la' is no peer; expected a public key, a name or an address in the mesh, "
		"as talon status -d shows them");
	/* not the nameless */
	assert_int_equal(watch_find_peer(&status, "", &found, why, sizeof(why)), -EINVAL);
	assert_int_equal(watch_find_peer(&status, "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=", &found, why,
		sizeof(why)), -EINVAL);
	status.peer_count = 1;
	assert_int_equal(watch_find_peer(&status, "10.2.3.4", &found, why, sizeof(why)), -EINVAL);
	assert_null(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_file_begins_with_section_and_interface, forget),
		cmocka_unit_test_teardown(a_packet_has_its_time_direction_and_both_lengths, forget),
		cmocka_unit_test_teardown(the_end_says_what_came_and_what_is_missing, forget),
		cmocka_unit_test(a_full_disk_is_an_error),
		cmocka_unit_test_teardown(packets_come_without_the_ethernet_header, forget),
		cmocka_unit_test_teardown(records_that_cannot_be_are_left_out, forget),
		cmocka_unit_test_teardown(limits_end_a_capture, forget),
		cmocka_unit_test_teardown(nothing_is_written_after_an_error, forget),
		cmocka_unit_test_teardown(an_inner_packet_is_shown_with_both_ends, forget),
		cmocka_unit_test_teardown(icmp_is_shown_with_type_and_code, forget),
		cmocka_unit_test_teardown(a_packet_that_was_not_opened_is_shown_with_its_source, forget),
		cmocka_unit_test_teardown(an_object_has_ports_and_the_peer, forget),
		cmocka_unit_test_teardown(a_name_cannot_steer_the_terminal, forget),
		cmocka_unit_test_teardown(numbers_of_no_known_reason_or_direction_are_shown_all_the_same,
			forget),
		cmocka_unit_test_teardown(what_is_left_out_is_said, forget),
		cmocka_unit_test(filters_take_labels_of_drops),
		cmocka_unit_test_teardown(counters_are_shown_if_wanted_and_not_zero, forget),
		cmocka_unit_test(a_peer_is_found_by_key_address_and_name),
		cmocka_unit_test(nobody_and_more_than_one_are_errors),
	};

	return cmocka_run_group_tests_name("watching", tests, NULL, NULL);
}
