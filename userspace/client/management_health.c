// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether management itself answers, beyond the proxy that may hold our connection: asked when
// somebody looks.
#include "client/management_internal.h"

#define ANSWER_NS	(5 * LOOP_SECOND)
#define AGAIN_NS	(5 * LOOP_SECOND)	/* what is known for less is not asked again */

static void tell(struct management *m)
{
	struct management_health *health = &m->health;
	management_probed_fn fn = health->fn;

	health->fn = NULL;
	if (fn)
		fn(health->ctx, 0, "");
}

/* A server older than 0.74 does not know the method, but answers. */
static bool is_answer(const struct grpc_end *end)
{
	return end->status == GRPC_OK || (end->from_server && end->status == GRPC_UNIMPLEMENTED);
}

static void probed(void *ctx, const struct grpc_end *end)
{
	char why[MANAGEMENT_WHY_LEN];
	struct management *m = ctx;

	m->health.call = NULL;
	m->health.known_ns = loop_now(m->loop);
	if (is_answer(end)) {
		management_note_alive(m);
	} else if (management_is_synced(m)) {
		m->health.is_bad = true;
		management_format_end(m, end, why, sizeof(why));
		management_set_state(m, MANAGEMENT_CONNECTING, why);
	}
	tell(m);
}

static void take_nothing(void *ctx, const uint8_t *bytes, size_t len)
{
}

/* Without Sync, management is down whatever it answers here, and why is known. */
void management_probe(struct management *m, management_probed_fn fn, void *ctx)
{
	static const struct grpc_call_events events = { .message = take_nothing, .done = probed };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "isHealthy",
		.timeout_ns = ANSWER_NS, .is_unary = true };
	const uint64_t now = loop_now(m->loop);
	struct management_health *health = &m->health;

	if (health->call || !management_is_synced(m) ||
		(health->known_ns && now - health->known_ns < AGAIN_NS) ||
		grpc_call_start(m->channel, &options, "", 0, &events, m, &health->call)) {
		fn(ctx, 0, "");
		return;
	}
	health->fn = fn;
	health->ctx = ctx;
}

void management_note_alive(struct management *m)
{
	if (!m->health.is_bad)
		return;
	m->health.is_bad = false;
	if (management_is_synced(m))
		management_set_connected(m);
}

void management_health_stop(struct management *m)
{
	grpc_call_cancel(m->health.call);
	m->health.call = NULL;
	m->health.is_bad = false;
	tell(m);
}
