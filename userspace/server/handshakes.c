// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// When a TLS handshake may begin. Nothing that a stranger can ask for costs more: most of a millisecond, and
// OpenSSL's memory. So an address has few at a time and a rate; what is beyond waits, and costs neither.
#include "server/internal.h"

#define AT_A_TIME	64
#define BURST		256
#define A_SECOND	100
#define LOOK_NS		(50 * LOOP_MS)

static bool may_begin(struct server *s, struct address *address)
{
	size_t most = s->options.handshakes_per_address ?: AT_A_TIME;
	size_t a_second = s->options.handshakes_per_second ?: A_SECOND;

	return address->handshakes < most && rate_take(&address->handshake_rate, loop_now(s->loop),
		LOOP_SECOND / a_second, BURST);
}

/* Those of an address that has no room are passed over: others do not wait for them. */
static void look(void *ctx)
{
	struct server *s = ctx;
	struct connection *c, *next;

	for (c = TAILQ_FIRST(&s->put_off); c; c = next) {
		next = TAILQ_NEXT(c, put_off_entry);
		if (!may_begin(s, c->address))
			continue;
		TAILQ_REMOVE(&s->put_off, c, put_off_entry);
		c->address->handshakes++;
		c->is_shaking = true;
		connection_shake(c);
	}
	if (!TAILQ_EMPTY(&s->put_off))
		loop_timer_after(s->loop, &s->put_off_timer, LOOK_NS);
}

bool handshakes_may_begin(struct connection *c)
{
	struct server *s = c->server;

	if (!c->address)
		return true;
	if (may_begin(s, c->address)) {
		c->address->handshakes++;
		c->is_shaking = true;
		return true;
	}
	s->handshakes_put_off++;
	TAILQ_INSERT_TAIL(&s->put_off, c, put_off_entry);
	if (!loop_timer_is_set(&s->put_off_timer))
		loop_timer_after(s->loop, &s->put_off_timer, LOOK_NS);
	return false;
}

void handshakes_leave(struct connection *c)
{
	if (c->stage == STAGE_PUT_OFF)
		TAILQ_REMOVE(&c->server->put_off, c, put_off_entry);
	if (c->is_shaking)
		c->address->handshakes--;
	c->is_shaking = false;
}

void handshakes_init(struct server *s)
{
	TAILQ_INIT(&s->put_off);
	loop_timer_init(&s->put_off_timer, look, s);
}
