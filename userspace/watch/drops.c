// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Dropped packets as lines of text and of JSON.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/json_out.h"
#include "base/text.h"
#include "crypto/key.h"
#include "status/show.h"
#include "watch/drops.h"

int drops_filter_reasons(struct drops_filter *filter, const char *list, struct slice *ret_wrong)
{
	struct slice rest = slice_from(list), item;
	unsigned int end;

	if (!filter->has_reasons)
		filter->reasons = 0;
	filter->has_reasons = true;
	while (slice_next(&rest, ",", &item)) {
		for (end = 0; end < TALON_END_COUNT; end++) {
			if (show_ends[end].is_drop && slice_is(item, show_ends[end].label))
				break;
		}
		if (end == TALON_END_COUNT) {
			*ret_wrong = item;
			return -EINVAL;
		}
		filter->reasons |= 1ULL << end;
	}
	*ret_wrong = slice_from("");
	return filter->reasons ? 0 : -EINVAL;
}

int drops_filter_dirs(struct drops_filter *filter, const char *list, struct slice *ret_wrong)
{
	struct slice rest = slice_from(list), item;
	unsigned int dir;

	if (!filter->has_dirs)
		filter->dirs = 0;
	filter->has_dirs = true;
	while (slice_next(&rest, ",", &item)) {
		for (dir = 0; dir < TALON_DIR_COUNT && !slice_is(item, show_dirs[dir]); dir++)
			;
		if (dir == TALON_DIR_COUNT) {
			*ret_wrong = item;
			return -EINVAL;
		}
		filter->dirs |= 1U << dir;
	}
	*ret_wrong = slice_from("");
	return filter->dirs ? 0 : -EINVAL;
}

/* The counter of @dir and @end if it is wanted; else 0. */
static __u64 count_of(const struct status *status, const struct drops_filter *filter, unsigned int dir,
	unsigned int end)
{
	if (!(filter->dirs >> dir & 1) || !(filter->reasons >> end & 1))
		return 0;
	return status->stats[dir * TALON_END_COUNT + end];
}

void drops_print_counters(FILE *out, const struct status *status, const struct drops_filter *filter)
{
	bool any = false;

	for (unsigned int dir = 0; dir < TALON_DIR_COUNT; dir++) {
		for (unsigned int end = 0; end < TALON_END_COUNT; end++) {
			__u64 count = count_of(status, filter, dir, end);

			if (count)
				fprintf(out, "%-6s %-15s %12llu  %s\n", show_dirs[dir], show_ends[end].label,
					count, show_ends[end].help);
			any |= count;
		}
	}
	if (!any)
		fprintf(out, "nothing was dropped\n");
}

void drops_write_counters_json(FILE *out, const struct status *status, const struct drops_filter *filter)
{
	struct json_out json = { .out = out, .first = true };

	json_out_begin(&json, NULL, '[');
	for (unsigned int dir = 0; dir < TALON_DIR_COUNT; dir++) {
		for (unsigned int end = 0; end < TALON_END_COUNT; end++) {
			__u64 count = count_of(status, filter, dir, end);

			if (!count)
				continue;
			json_out_begin(&json, NULL, '{');
			json_out_text(&json, "direction", show_dirs[dir]);
			json_out_text(&json, "reason", show_ends[end].label);
			json_out_number(&json, "packets", count);
			json_out_text(&json, "help", show_ends[end].help);
			json_out_end(&json, '}');
		}
	}
	json_out_end(&json, ']');
	fputc('\n', out);
}

/* "2026-11-23T00:30:28.123456Z" */
static void show_instant(uint64_t unix_ns, char *text, size_t size)
{
	time_t seconds = unix_ns / TALON_NSEC_PER_SEC;
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, size - len, ".%06uZ", (unsigned int)(unix_ns % TALON_NSEC_PER_SEC / 1000));
}

static bool is_icmp(const struct talon_drop_sample *sample)
{
	return sample->proto == IPPROTO_ICMP || sample->proto == IPPROTO_ICMPV6;
}

static bool has_ports(const struct talon_drop_sample *sample)
{
	return sample->has_ports && (sample->proto == IPPROTO_TCP || sample->proto == IPPROTO_UDP ||
		sample->proto == IPPROTO_SCTP || sample->proto == IPPROTO_UDPLITE);
}

/* "tcp", "udp", ..., or the number. */
static const char *protocol(const struct talon_drop_sample *sample, char text[static 8])
{
	switch (sample->proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	case IPPROTO_SCTP:
		return "sctp";
	}
	snprintf(text, 8, "%u", sample->proto);
	return text;
}

/* @label or "?": a number from a newer datapath than this program. */
static const char *label_of(const struct talon_drop_sample *sample)
{
	return sample->reason < TALON_END_COUNT ? show_ends[sample->reason].label : "?";
}

static const char *dir_of(const struct talon_drop_sample *sample)
{
	return sample->dir < TALON_DIR_COUNT ? show_dirs[sample->dir] : "?";
}

static void print_address(FILE *out, const struct talon_drop_sample *sample, const struct talon_addr *addr,
	__be16 port)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool six = sample->family == AF_INET6;

	inet_ntop(sample->family, addr, text, sizeof(text));
	if (!has_ports(sample))
		fputs(text, out);
	else
		fprintf(out, six ? "[%s]:%u" : "%s:%u", text, ntohs(port));
}

static void print_packet(FILE *out, const struct talon_drop_sample *sample)
{
	char text[8];

	if (sample->layer == TALON_SAMPLE_NONE) {
		fprintf(out, "addresses unknown");
		return;
	}
	if (sample->layer == TALON_SAMPLE_OUTER) {
		fprintf(out, "from ");
		print_address(out, sample, &sample->src, sample->sport);
	} else {
		fprintf(out, "%s ", protocol(sample, text));
		print_address(out, sample, &sample->src, sample->sport);
		fprintf(out, " > ");
		print_address(out, sample, &sample->dst, sample->dport);
		if (is_icmp(sample) && sample->has_ports)
			fprintf(out, " type %u code %u", ntohs(sample->sport) >> 8,
				ntohs(sample->sport) & 0xff);
	}
	fprintf(out, ", %u bytes", sample->len);
}

void drops_print_line(FILE *out, const struct drops_line *line)
{
	char when[40], key[KEY_BASE64_LEN + 1];

	show_instant(line->unix_ns, when, sizeof(when));
	fprintf(out, "%s %-6s %-15s peer ", when, dir_of(line->sample), label_of(line->sample));
	if (!line->peer) {
		fputc('-', out);
	} else if (line->peer->name[0]) {
		text_print(out, line->peer->name, sizeof(line->peer->name));
	} else {
		key_to_base64(line->peer->public_key, key);
		fputs(key, out);
	}
	fprintf(out, ": ");
	print_packet(out, line->sample);
	fputc('\n', out);
}

static void put_peer(struct json_out *json, const struct talon_peer_info *peer)
{
	char key[KEY_BASE64_LEN + 1];

	if (!peer) {
		json_out_null(json, "peer");
		return;
	}
	key_to_base64(peer->public_key, key);
	json_out_begin(json, "peer", '{');
	json_out_string(json, "name", peer->name, sizeof(peer->name));
	json_out_text(json, "publicKey", key);
	json_out_end(json, '}');
}

static void put_packet(struct json_out *json, const struct talon_drop_sample *sample)
{
	char addr[INET6_ADDRSTRLEN] = "?", text[8];

	json_out_text(json, "protocol", protocol(sample, text));
	inet_ntop(sample->family, &sample->src, addr, sizeof(addr));
	json_out_text(json, "source", addr);
	inet_ntop(sample->family, &sample->dst, addr, sizeof(addr));
	json_out_text(json, "destination", addr);
	if (has_ports(sample)) {
		json_out_number(json, "sourcePort", ntohs(sample->sport));
		json_out_number(json, "destinationPort", ntohs(sample->dport));
	} else if (is_icmp(sample) && sample->has_ports) {
		json_out_number(json, "icmpType", ntohs(sample->sport) >> 8);
		json_out_number(json, "icmpCode", ntohs(sample->sport) & 0xff);
	}
	json_out_number(json, "length", sample->len);
}

void drops_write_line_json(FILE *out, const struct drops_line *line)
{
	static const char *const layers[] = { "none", "outer", "inner" };
	const struct talon_drop_sample *sample = line->sample;
	struct json_out json = { .out = out, .first = true };
	char when[40];

	show_instant(line->unix_ns, when, sizeof(when));
	json_out_begin(&json, NULL, '{');
	json_out_text(&json, "time", when);
	json_out_text(&json, "direction", dir_of(sample));
	json_out_text(&json, "reason", label_of(sample));
	put_peer(&json, line->peer);
	json_out_text(&json, "device", line->device);
	json_out_text(&json, "packet", sample->layer <= TALON_SAMPLE_INNER ? layers[sample->layer] : "none");
	if (sample->layer == TALON_SAMPLE_OUTER || sample->layer == TALON_SAMPLE_INNER)
		put_packet(&json, sample);
	json_out_end(&json, '}');
	fputc('\n', out);
}

void drops_print_missed(FILE *out, uint64_t limited, uint64_t lost)
{
	fprintf(out, "... and %llu more: %llu over the limit, %llu without room\n",
		(unsigned long long)(limited + lost), (unsigned long long)limited, (unsigned long long)lost);
}

void drops_write_missed_json(FILE *out, uint64_t limited, uint64_t lost)
{
	struct json_out json = { .out = out, .first = true };

	json_out_begin(&json, NULL, '{');
	json_out_number(&json, "notShown", limited + lost);
	json_out_number(&json, "overLimit", limited);
	json_out_number(&json, "withoutRoom", lost);
	json_out_end(&json, '}');
	fputc('\n', out);
}
