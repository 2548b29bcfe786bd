// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A trace as text and as JSON.
#include <string.h>

#include "base/json_out.h"
#include "base/text.h"
#include "status/show.h"
#include "trace/internal.h"

#define STEP_TEXT(id, text, key) [TRACE_##id] = text,
#define STEP_KEY(id, text, key) [TRACE_##id] = key,
static const char *const step_texts[TRACE_STEP_COUNT] = { TRACE_STEPS(STEP_TEXT) };
static const char *const step_keys[TRACE_STEP_COUNT] = { TRACE_STEPS(STEP_KEY) };

static const char *const origins[] = {
	[TRACE_FROM_PEER] = "peer", [TRACE_FROM_NETWORK] = "network", [TRACE_FROM_HOST] = "host",
};

static void put(FILE *out, const char *text)
{
	text_print(out, text, strlen(text));
}

/* "dropped: not_allowed: inner source is not among the peer's allowed IPs" */
static void describe_end(const struct trace_way *way, char *text, size_t size)
{
	const struct show_end *end;

	text[0] = '\0';
	if (way->end == TALON_END_COUNT) {
		text_append(text, size, "left to the host: Talon does not claim the packet");
		return;
	}
	end = &show_ends[way->end];
	if (way->end == TALON_ICMP_SENT)
		text_append(text, size, "refused: %s: %s, \"%s\"", end->label, end->help,
			trace_icmp_name(way));
	else
		text_append(text, size, "%s%s: %s", end->is_drop ? "dropped: " : "", end->label, end->help);
	if (way->reason != way->end && way->reason < TALON_END_COUNT)
		text_append(text, size, "; behind it: %s", show_ends[way->reason].label);
}

static void print_way(FILE *out, const char *title, const struct trace_way *way)
{
	char end[TRACE_TEXT_LEN];

	fprintf(out, "%s: ", title);
	put(out, way->packet);
	fputs("\n  ", out);
	put(out, way->entry);
	fputc('\n', out);
	for (unsigned i = 0; i < way->step_count; i++) {
		const struct trace_step *step = &way->steps[i];

		fprintf(out, "  %s %-12s ", step->decides ? "!!" : "ok", step_texts[step->id]);
		put(out, step->text);
		fputc('\n', out);
	}
	describe_end(way, end, sizeof(end));
	fprintf(out, "  => ");
	put(out, end);
	fputs("\n\n", out);
}

static const struct trace_way *deciding_way(const struct trace *trace)
{
	return trace->there.passes && trace->has_back ? &trace->back : &trace->there;
}

static const char *hint_of(const struct trace *trace)
{
	const struct trace_way *way = deciding_way(trace);

	if (trace_passes(trace))
		return NULL;
	if (way->end == TALON_END_COUNT && way->origin == TRACE_FROM_HOST)
		return "have the host route it into the tunnel (ip route), if a peer is to get it";
	if (way->end == TALON_END_COUNT)
		return "look at the host's own routes and services, not at Talon";
	return trace_hint(way->reason);
}

static void describe_verdict(const struct trace *trace, char *text, size_t size)
{
	char end[TRACE_TEXT_LEN];

	if (trace_passes(trace)) {
		snprintf(text, size, "passes%s", trace->has_back ? ", and so does its answer" : "");
		return;
	}
	describe_end(deciding_way(trace), end, sizeof(end));
	snprintf(text, size, "%s%s", trace->there.passes ? "passes, but its answer is " : "", end);
}

void trace_print_text(FILE *out, const struct trace *trace)
{
	char verdict[2 * TRACE_TEXT_LEN];
	const char *hint = hint_of(trace);

	fprintf(out, "datapath: %s%s\n", trace->mode, trace->controller_runs ? ""
		: "; the controller does not run: nothing that is held gets on");
	if (trace->note[0])
		fprintf(out, "note: %s\n", trace->note);
	fputc('\n', out);
	print_way(out, "there", &trace->there);
	if (trace->has_back)
		print_way(out, "back", &trace->back);
	describe_verdict(trace, verdict, sizeof(verdict));
	fprintf(out, "verdict: ");
	put(out, verdict);
	fputc('\n', out);
	if (hint)
		fprintf(out, "hint: %s\n", hint);
}

static void write_label(struct json_out *json, const char *key, enum talon_end end)
{
	if (end < TALON_END_COUNT)
		json_out_text(json, key, show_ends[end].label);
	else
		json_out_null(json, key);
}

static void write_rule(struct json_out *json, const struct trace_way *way)
{
	json_out_begin(json, "rule", '{');
	json_out_number(json, "number", way->rule);
	json_out_string(json, "name", way->rule_named.name, sizeof(way->rule_named.name));
	json_out_string(json, "policy", way->rule_named.policy, sizeof(way->rule_named.policy));
	json_out_text(json, "action", way->rule_named.drop ? "drop" : "accept");
	json_out_end(json, '}');
}

static void write_nat(struct json_out *json, const struct trace_way *way)
{
	char addr[INET6_ADDRSTRLEN];

	json_out_begin(json, "nat", '{');
	json_out_text(json, "address", addr_text(way->nat_addr, addr));
	json_out_number(json, "port", way->nat_port);
	json_out_bool(json, "existing", way->nat_existed);
	json_out_end(json, '}');
}

static void write_icmp(struct json_out *json, const struct trace_way *way)
{
	json_out_begin(json, "icmp", '{');
	json_out_number(json, "type", way->icmp_type);
	json_out_number(json, "code", way->icmp_code);
	json_out_number(json, "mtu", way->icmp_mtu);
	json_out_text(json, "name", trace_icmp_name(way));
	json_out_end(json, '}');
}

static void write_steps(struct json_out *json, const struct trace_way *way)
{
	json_out_begin(json, "steps", '[');
	for (unsigned i = 0; i < way->step_count; i++) {
		json_out_begin(json, NULL, '{');
		json_out_text(json, "step", step_keys[way->steps[i].id]);
		json_out_bool(json, "decides", way->steps[i].decides);
		json_out_text(json, "text", way->steps[i].text);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void write_text_unless_empty(struct json_out *json, const char *key, const char *text)
{
	if (text[0])
		json_out_text(json, key, text);
}

static void write_way(struct json_out *json, const char *key, const struct trace_way *way)
{
	json_out_begin(json, key, '{');
	json_out_text(json, "packet", way->packet);
	json_out_text(json, "origin", origins[way->origin]);
	json_out_text(json, "entry", way->entry);
	json_out_bool(json, "passes", way->passes);
	write_label(json, "end", way->end);
	write_label(json, "reason", way->reason);
	write_text_unless_empty(json, "peer", way->peer);
	write_text_unless_empty(json, "peerName", way->peer_name);
	if (way->has_rule)
		write_rule(json, way);
	if (way->has_nat)
		write_nat(json, way);
	if (way->mtu)
		json_out_number(json, "mtu", way->mtu);
	write_text_unless_empty(json, "device", way->device);
	write_text_unless_empty(json, "nextHop", way->next_hop);
	write_text_unless_empty(json, "nextHopMac", way->next_mac);
	if (way->has_icmp)
		write_icmp(json, way);
	write_steps(json, way);
	json_out_end(json, '}');
}

void trace_print_json(FILE *out, const struct trace *trace)
{
	struct json_out json = { .out = out, .first = true };
	char verdict[2 * TRACE_TEXT_LEN];

	describe_verdict(trace, verdict, sizeof(verdict));
	json_out_begin(&json, NULL, '{');
	json_out_text(&json, "mode", trace->mode);
	json_out_bool(&json, "controllerRuns", trace->controller_runs);
	write_text_unless_empty(&json, "note", trace->note);
	write_way(&json, "there", &trace->there);
	if (trace->has_back)
		write_way(&json, "back", &trace->back);
	json_out_bool(&json, "passes", trace_passes(trace));
	json_out_text(&json, "verdict", verdict);
	write_text_unless_empty(&json, "hint", hint_of(trace) ? hint_of(trace) : "");
	json_out_end(&json, '}');
	fputc('\n', out);
}
