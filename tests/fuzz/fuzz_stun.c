// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * STUN and the ICE agents that use it. The input is a list of steps, each an operation and its bytes:
 * messages as they are, messages with valid length and integrity so that they are accepted, candidates, time.
 * What the agents send is fed back modified.
 */
#include "ice/agent.c"
#include "ice/candidate.c"
#include "ice/gather.c"
#include "ice/mux.c"
#include "ice/stun.c"
#include "loop/loop.c"
#include "base/endpoint.c"
#include "base/host_port.c"
#include "base/server_url.c"
#include "base/slice.c"

#define FUZZ_SEC	1000000000ULL

enum step {
	STEP_RAW, STEP_SIGNED, STEP_LAST, STEP_CANDIDATE, STEP_TIME, STEP_PROBE, STEP_HOST, STEP_AGENT,
		STEP_SOURCE, STEP_COUNT
};

static struct {
	struct loop *loop;
	struct ice_mux *hub;
	struct ice_agent *agent;
	struct endpoint from;
	uint8_t last[STUN_BUILD_MAX];
	size_t last_len;
	uint64_t seed;
} fuzz;

/* Names are numbers here: nothing is looked up. */
struct resolver *resolver_get(struct loop *loop)
{
	return NULL;
}

int resolver_ask(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns, resolver_fn fn,
	void *ctx, struct resolver_query **ret_query)
{
	return -ENOSYS;
}

void resolver_cancel(struct resolver_query *query)
{
}

static int fuzz_send(void *ctx, const struct endpoint *to, const void *bytes, size_t len)
{
	struct stun_message message;

	if (len > sizeof(fuzz.last) || stun_parse(bytes, len, &message))
		abort();	/* what we say is well-formed */
	memcpy(fuzz.last, bytes, len);
	fuzz.last_len = len;
	return 0;
}

static void fuzz_random(void *ctx, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		fuzz.seed = fuzz.seed * 6364136223846793005ULL + 1442695040888963407ULL;
		((uint8_t *)buf)[i] = fuzz.seed >> 56;
	}
}

static void fuzz_candidate(void *ctx, const struct ice_candidate *candidate)
{
	struct ice_candidate again;
	char text[ICE_CANDIDATE_LEN];

	if (ice_candidate_format(candidate, "u", text, sizeof(text)) < 0)
		abort();
	if (!ice_candidate_parse(text, &again) && again.port != candidate->port)
		abort();
}

static void fuzz_connected(void *ctx, const struct ice_pair_info *pair)
{
	struct ice_pair_info selected;

	if (!endpoint_is_known(&pair->path) || !ice_agent_get_pair(fuzz.agent, &selected))
		abort();
}

static void fuzz_failed(void *ctx, bool had_been_connected)
{
	ice_agent_free(fuzz.agent);
	fuzz.agent = NULL;
}

static const struct ice_ops fuzz_ops = { .send = fuzz_send, .random = fuzz_random };
static const struct ice_agent_events fuzz_events = { .candidate = fuzz_candidate, .connected = fuzz_connected,
	.failed = fuzz_failed };

static void new_agent(bool is_controlling)
{
	const struct ice_agent_config config = {
		.is_controlling = is_controlling, .local_ufrag = "a", .local_pwd = "p", .remote_ufrag = "b",
		.remote_pwd = "p",
	};

	ice_agent_free(fuzz.agent);
	if (ice_agent_new(fuzz.hub, &config, &fuzz_events, NULL, &fuzz.agent))
		abort();
}

static void receive(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	memcpy(exact, bytes, len);
	ice_mux_receive(fuzz.hub, &fuzz.from, exact, len);
	free(exact);
}

/*
 * @data are type and attributes: preceded by a header and followed by the integrity. An answer gets the id of
 * the last request.
 */
static void receive_signed(const uint8_t *data, size_t len)
{
	uint8_t bytes[STUN_BUILD_MAX] = { 0 };
	size_t at = STUN_HEADER_LEN + ((len < 2 ? 0 : len - 2) & ~(size_t)3);

	if (len < 2 || at + 4 + SHA1_LEN > sizeof(bytes))
		return;
	memcpy(bytes, data, 2);
	put32(bytes + 4, STUN_COOKIE);
	if (fuzz.last_len)
		memcpy(bytes + 8, fuzz.last + 8, STUN_TX_LEN);
	memcpy(bytes + STUN_HEADER_LEN, data + 2, at - STUN_HEADER_LEN);
	put16(bytes + at, MESSAGE_INTEGRITY);
	put16(bytes + at + 2, SHA1_LEN);
	put16(bytes + 2, at + 4 + SHA1_LEN - STUN_HEADER_LEN);
	hmac("p", bytes, at, bytes + at + 4);
	receive(bytes, at + 4 + SHA1_LEN);
}

static void add_line(const uint8_t *data, size_t len)
{
	char line[256] = { 0 };
	struct ice_candidate candidate;

	memcpy(line, data, len < sizeof(line) ? len : sizeof(line) - 1);
	if (!ice_candidate_parse(line, &candidate)) {
		fuzz_candidate(NULL, &candidate);
		if (fuzz.agent)
			ice_agent_add_remote(fuzz.agent, &candidate);
	}
}

static void set_source(const uint8_t *data, size_t len)
{
	fuzz.from.port = len > 0 ? data[0] : 1;
	fuzz.from.remote.word[0] = len > 1 ? data[1] : 1;
	fuzz.from.local.word[0] = len > 2 ? data[2] % 3 : 1;
	fuzz.from.family = len > 3 && data[3] & 1 ? AF_INET6 : AF_INET;
}

static void do_step(enum step step, const uint8_t *data, size_t len)
{
	struct endpoint hosts[2] = { { .family = AF_INET, .local.word[0] = 1 },
		{ .family = AF_INET6, .local.word[0] = 2 } };

	switch (step) {
	case STEP_RAW:
		receive(data, len);
		break;
	case STEP_SIGNED:
		receive_signed(data, len);
		break;
	case STEP_LAST:
		for (size_t i = 1; i < len; i++)
			if (data[0] + i - 1 < fuzz.last_len)
				fuzz.last[data[0] + i - 1] ^= data[i];
		receive(fuzz.last, fuzz.last_len);
		break;
	case STEP_CANDIDATE:
		add_line(data, len);
		break;
	case STEP_TIME:
		loop_advance(fuzz.loop,
			loop_now(fuzz.loop) + (len ? data[0] : 1) * (len > 1 ? data[1] : 1) * LOOP_MS);
		break;
	case STEP_PROBE:
		if (fuzz.agent)
			ice_agent_probe(fuzz.agent);
		break;
	case STEP_HOST:
		hosts[0].local.word[0] += len;
		ice_mux_set_host(fuzz.hub, hosts, 1 + (len & 1));
		break;
	case STEP_AGENT:
		new_agent(len & 1);
		break;
	case STEP_SOURCE:
		set_source(data, len);
		break;
	case STEP_COUNT:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct endpoint host = { .family = AF_INET, .local.word[0] = 1 };
	const struct server_url server = { .scheme = SERVER_STUN, .port = 256, .host = "9.0.0.0" };

	memset(&fuzz, 0, sizeof(fuzz));
	fuzz.from = (struct endpoint){ .family = AF_INET, .port = 1, .remote.word[0] = 1,
		.local.word[0] = 1 };
	if (loop_new_fake(&fuzz.loop, 1000 * FUZZ_SEC) || ice_mux_new(fuzz.loop, 51820, &fuzz_ops, NULL,
		&fuzz.hub))
		abort();
	ice_mux_set_host(fuzz.hub, &host, 1);
	ice_mux_set_stuns(fuzz.hub, &server, 1);
	new_agent(size & 1);
	for (size_t at = 0; at + 2 <= size;) {
		enum step step = data[at] % STEP_COUNT;
		size_t len = data[at + 1];

		at += 2;
		if (len > size - at)
			len = size - at;
		do_step(step, data + at, len);
		at += len;
	}
	ice_agent_free(fuzz.agent);
	ice_mux_free(fuzz.hub);
	if (loop_next(fuzz.loop) != LOOP_NEVER)
		abort();
	loop_free(fuzz.loop);
	return 0;
}
