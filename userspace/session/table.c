// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Slots of the session array.
#include "session/table.h"

#include <errno.h>
#include <stdlib.h>

#define NO_SLOT UINT32_MAX

struct slot {
	uint32_t index;		/* of this life, or of the last one */
	uint32_t peer;
	enum slot_state state;
	uint32_t free_at;	/* free only: place in free_slots */
	bool is_cleared;	/* retired only: the published index is known to be 0 */
	uint32_t next;		/* retired only: the slot retired after it */
	uint64_t due_ns;	/* retired only: when to overwrite it, or to try clearing it again */
};

struct session_table {
	struct session_table_ops ops;
	void *ctx;
	uint32_t mask;
	uint32_t counts[SLOT_STATE_COUNT];
	uint32_t retired_first;	/* in order of due_ns */
	uint32_t retired_last;
	uint64_t errors;
	uint32_t *free_slots;	/* the first counts[SLOT_FREE] are the free ones, in no order */
	struct slot slots[];
};

enum slot_event { EV_RESERVE, EV_RELEASE, EV_PUBLISH, EV_RETIRE, EV_ADOPT, EV_WIPED, EV_COUNT };

#define NOT_ALLOWED SLOT_STATE_COUNT

static const enum slot_state slot_edges[SLOT_STATE_COUNT][EV_COUNT] = {
	/*		    EV_RESERVE	   EV_RELEASE	EV_PUBLISH   EV_RETIRE	   EV_ADOPT	EV_WIPED */
	[SLOT_FREE]	= { SLOT_RESERVED, NOT_ALLOWED, NOT_ALLOWED, SLOT_RETIRED, SLOT_LIVE,	NOT_ALLOWED },
	[SLOT_RESERVED]	= { NOT_ALLOWED,   SLOT_FREE,	SLOT_LIVE,   SLOT_RETIRED, NOT_ALLOWED,	NOT_ALLOWED },
	[SLOT_LIVE]	= { NOT_ALLOWED,   NOT_ALLOWED,	NOT_ALLOWED, SLOT_RETIRED, NOT_ALLOWED,	NOT_ALLOWED },
	[SLOT_RETIRED]	= { NOT_ALLOWED,   NOT_ALLOWED,	NOT_ALLOWED, NOT_ALLOWED,  NOT_ALLOWED,	SLOT_FREE },
};

static void put_free(struct session_table *table, uint32_t number, uint32_t at)
{
	table->free_slots[at] = number;
	table->slots[number].free_at = at;
}

/* Takes a slot out of the free list: the last one fills the gap. The caller moves it to its new state. */
static void take_free(struct session_table *table, uint32_t number)
{
	put_free(table, table->free_slots[table->counts[SLOT_FREE] - 1], table->slots[number].free_at);
}

/* Moves a slot along an edge of the table. Returns false, and changes nothing, if there is no such edge. */
static bool move(struct session_table *table, uint32_t number, enum slot_event event)
{
	struct slot *slot = &table->slots[number];
	enum slot_state to = slot_edges[slot->state][event];

	if (to == NOT_ALLOWED)
		return false;
	table->counts[slot->state]--;
	if (to == SLOT_FREE)
		put_free(table, number, table->counts[SLOT_FREE]);
	table->counts[to]++;
	slot->state = to;
	return true;
}

int session_table_new(struct session_table **ret_table, uint32_t slots, const struct session_table_ops *ops,
	void *ctx)
{
	struct session_table *table;

	if (slots < 2 || slots > SESSION_SLOTS_MAX || (slots & (slots - 1)))
		return -EINVAL;
	table = calloc(1, sizeof(*table) + slots * sizeof(table->slots[0]));
	if (!table)
		return -ENOMEM;
	table->free_slots = calloc(slots, sizeof(table->free_slots[0]));
	if (!table->free_slots) {
		free(table);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < slots; i++)
		put_free(table, i, i);
	table->ops = *ops;
	table->ctx = ctx;
	table->mask = slots - 1;
	table->counts[SLOT_FREE] = slots;
	table->retired_first = NO_SLOT;
	*ret_table = table;
	return 0;
}

void session_table_free(struct session_table *table)
{
	if (!table)
		return;
	free(table->free_slots);
	free(table);
}

static uint32_t random_u32(struct session_table *table)
{
	uint32_t value;

	table->ops.random(table->ctx, &value, sizeof(value));
	return value;
}

/*
 * Never 0, which means "not live", and never the slot's previous index: a late packet must not reach the next
 * session.
 */
static uint32_t new_index(struct session_table *table, uint32_t number)
{
	uint32_t index;

	do
		index = (random_u32(table) & ~table->mask) | number;
	while (!index || index == table->slots[number].index);
	return index;
}

int session_table_reserve(struct session_table *table, uint32_t peer, uint32_t *ret_index)
{
	uint32_t count = table->counts[SLOT_FREE], number;

	if (!count)
		return -ENOSPC;
	/* Multiply-shift maps 32 random bits to 0..count - 1; the bias is below 2^-12 for any table size. */
	number = table->free_slots[((uint64_t)random_u32(table) * count) >> 32];
	take_free(table, number);
	table->slots[number].index = new_index(table, number);
	table->slots[number].peer = peer;
	move(table, number, EV_RESERVE);
	*ret_index = table->slots[number].index;
	return 0;
}

static struct slot *slot_find(const struct session_table *table, uint32_t index)
{
	const struct slot *slot = &table->slots[index & table->mask];

	return index && slot->index == index ? (struct slot *)slot : NULL;
}

void session_table_release(struct session_table *table, uint32_t index)
{
	if (slot_find(table, index))
		move(table, index & table->mask, EV_RELEASE);
}

/* Grace periods end in order, so a slot goes to the end; only a retry, which is sooner, is sorted in. */
static void enqueue(struct session_table *table, uint32_t number)
{
	struct slot *slot = &table->slots[number];
	uint32_t *link = &table->retired_first;

	slot->next = NO_SLOT;
	if (table->retired_first != NO_SLOT && table->slots[table->retired_last].due_ns <= slot->due_ns)
		link = &table->slots[table->retired_last].next;
	while (*link != NO_SLOT && table->slots[*link].due_ns <= slot->due_ns)
		link = &table->slots[*link].next;
	slot->next = *link;
	*link = number;
	if (slot->next == NO_SLOT)
		table->retired_last = number;
}

/* Clears the index, then waits for the end of the grace period or, if that failed, for another try. */
static void clear(struct session_table *table, uint64_t now_ns, uint32_t number)
{
	struct slot *slot = &table->slots[number];

	slot->is_cleared = table->ops.clear(table->ctx, number) == 0;
	if (!slot->is_cleared)
		table->errors++;
	slot->due_ns = now_ns + (slot->is_cleared ? SESSION_GRACE_NS : SESSION_RETRY_NS);
	enqueue(table, number);
}

static void wipe(struct session_table *table, uint64_t now_ns, uint32_t number)
{
	struct slot *slot = &table->slots[number];

	if (table->ops.wipe(table->ctx, number) == 0) {
		move(table, number, EV_WIPED);
		return;
	}
	table->errors++;
	slot->due_ns = now_ns + SESSION_RETRY_NS;
	enqueue(table, number);
}

int session_table_publish(struct session_table *table, uint64_t now_ns, const struct talon_session *session,
	enum talon_session_state state)
{
	uint32_t number = session->index & table->mask;
	int ret;

	if (!slot_find(table, session->index) || table->slots[number].state != SLOT_RESERVED)
		return -EINVAL;
	ret = table->ops.publish(table->ctx, number, session, state);
	if (ret < 0) {
		table->errors++;
		move(table, number, EV_RETIRE);
		clear(table, now_ns, number);
		return ret;
	}
	move(table, number, EV_PUBLISH);
	return 0;
}

void session_table_retire(struct session_table *table, uint64_t now_ns, uint32_t index)
{
	struct slot *slot = slot_find(table, index);

	if (!slot || slot->state != SLOT_LIVE)
		return;
	move(table, index & table->mask, EV_RETIRE);
	clear(table, now_ns, index & table->mask);
}

enum slot_state session_table_lookup(const struct session_table *table, uint32_t index, uint32_t *ret_peer)
{
	const struct slot *slot = slot_find(table, index);

	if (!slot || slot->state == SLOT_FREE)
		return SLOT_FREE;
	*ret_peer = slot->peer;
	return slot->state;
}

int session_table_adopt(struct session_table *table, uint32_t index, uint32_t peer)
{
	uint32_t number = index & table->mask;

	if (!index)
		return -EINVAL;
	if (table->slots[number].state != SLOT_FREE)
		return -EEXIST;
	take_free(table, number);
	table->slots[number].index = index;
	table->slots[number].peer = peer;
	move(table, number, EV_ADOPT);
	return 0;
}

int session_table_adopt_retired(struct session_table *table, uint64_t now_ns, uint32_t slot)
{
	if (slot > table->mask)
		return -EINVAL;
	if (table->slots[slot].state != SLOT_FREE)
		return -EEXIST;
	take_free(table, slot);
	move(table, slot, EV_RETIRE);
	clear(table, now_ns, slot);
	return 0;
}

uint64_t session_table_next_deadline(const struct session_table *table)
{
	return table->retired_first == NO_SLOT ? UINT64_MAX : table->slots[table->retired_first].due_ns;
}

uint64_t session_table_tick(struct session_table *table, uint64_t now_ns)
{
	while (session_table_next_deadline(table) <= now_ns) {
		uint32_t number = table->retired_first;

		table->retired_first = table->slots[number].next;
		if (table->slots[number].is_cleared)
			wipe(table, now_ns, number);
		else
			clear(table, now_ns, number);
	}
	return session_table_next_deadline(table);
}

uint32_t session_table_count(const struct session_table *table, enum slot_state state)
{
	return table->counts[state];
}

uint64_t session_table_errors(const struct session_table *table)
{
	return table->errors;
}
