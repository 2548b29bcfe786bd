// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who answers for an address on the LAN. On the node that holds it nobody answers its own question: an
 * address for which nobody else answers is here. A holder is asked alone twice a second, and all hosts when
 * it keeps quiet, so that a holder that is gone is noticed within a second; a new one says so by itself, to
 * all (RFC 5227 section 2.3).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <net/if_arp.h>
#include <linux/if_ether.h>

#include "kube/internal.h"

#define HOLDER_NS	(500 * LOOP_MS)		/* a holder that answers is asked again */
#define ANSWER_NS	(250 * LOOP_MS)		/* how long one may take to answer */
#define NOBODY_NS	(5 * LOOP_SECOND)	/* who has taken it without a word is found */
#define QUESTIONS	2			/* without an answer: nobody holds it */

struct held {
	__be32 addr;
	struct kube_arp_link link;
	enum kube_arp_state state;
	uint8_t mac[6];
	unsigned int unanswered;
	uint64_t due_ns;
};

struct kube_arp {
	struct loop *loop;
	struct kube_arp_ops ops;
	void *ctx;
	struct loop_timer timer;
	struct held *list;
	size_t count;
};

/* --- messages --- */

static uint16_t be16_at(const uint8_t *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

/* hardware and protocol, their lengths, operation; then the sender's addresses, then the target's */
bool kube_arp_read(const uint8_t *bytes, size_t len, struct kube_arp_message *ret_message)
{
	static const uint8_t none[6];
	struct kube_arp_message message;

	if (len < KUBE_ARP_LEN || be16_at(bytes) != ARPHRD_ETHER || be16_at(bytes + 2) != ETH_P_IP ||
		bytes[4] != ETH_ALEN || bytes[5] != sizeof(__be32))
		return false;
	if (be16_at(bytes + 6) != ARPOP_REQUEST && be16_at(bytes + 6) != ARPOP_REPLY)
		return false;
	memcpy(message.mac, bytes + 8, ETH_ALEN);
	memcpy(&message.sender, bytes + 14, sizeof(message.sender));
	memcpy(&message.target, bytes + 24, sizeof(message.target));
	if (!message.sender || message.mac[0] & 1 || !memcmp(message.mac, none, ETH_ALEN))
		return false;
	*ret_message = message;
	return true;
}

void kube_arp_write_request(uint8_t bytes[static KUBE_ARP_LEN], const uint8_t mac[static 6], __be32 own,
	__be32 target)
{
	static const uint8_t head[] = { 0, ARPHRD_ETHER, ETH_P_IP >> 8, ETH_P_IP & 255, ETH_ALEN,
		sizeof(__be32), 0, ARPOP_REQUEST };

	memset(bytes, 0, KUBE_ARP_LEN);
	memcpy(bytes, head, sizeof(head));
	memcpy(bytes + 8, mac, ETH_ALEN);
	memcpy(bytes + 14, &own, sizeof(own));
	memcpy(bytes + 24, &target, sizeof(target));
}

/* --- what is known --- */

static void set_timer(struct kube_arp *arp)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < arp->count; i++) {
		if (arp->list[i].due_ns < first)
			first = arp->list[i].due_ns;
	}
	if (arp->count)
		loop_timer_set(arp->loop, &arp->timer, first);
	else
		loop_timer_cancel(arp->loop, &arp->timer);
}

/* Returns whether that is news. */
static bool settle(struct held *held, enum kube_arp_state state, const uint8_t *mac)
{
	const bool is_news = held->state != state || (mac && memcmp(held->mac, mac, ETH_ALEN));

	held->state = state;
	held->unanswered = 0;
	if (mac)
		memcpy(held->mac, mac, ETH_ALEN);
	return is_news;
}

/* Returns whether the holder is another one now. */
static bool ask(struct kube_arp *arp, struct held *held, uint64_t now)
{
	const bool asks_holder = held->state == KUBE_ARP_ELSEWHERE && !held->unanswered;

	if (!asks_holder && arp->ops.find(arp->ctx, held->addr, &held->link)) {
		held->due_ns = now + NOBODY_NS;
		return settle(held, KUBE_ARP_UNKNOWN, NULL);
	}
	if (held->link.is_own || (held->unanswered >= QUESTIONS && held->state != KUBE_ARP_HERE)) {
		held->due_ns = now + NOBODY_NS;
		return settle(held, KUBE_ARP_HERE, NULL);
	}
	arp->ops.ask(arp->ctx, &held->link, asks_holder ? held->mac : NULL, held->addr);
	held->unanswered++;
	held->due_ns = now + (held->state == KUBE_ARP_HERE ? NOBODY_NS : ANSWER_NS);
	return false;
}

static void ask_due(void *ctx)
{
	struct kube_arp *arp = ctx;
	const uint64_t now = loop_now(arp->loop);
	bool is_news = false;

	for (size_t i = 0; i < arp->count; i++) {
		if (arp->list[i].due_ns <= now)
			is_news |= ask(arp, &arp->list[i], now);
	}
	set_timer(arp);
	if (is_news)
		arp->ops.changed(arp->ctx);
}

static struct held *find(const struct kube_arp *arp, __be32 addr)
{
	for (size_t i = 0; i < arp->count; i++) {
		if (arp->list[i].addr == addr)
			return &arp->list[i];
	}
	return NULL;
}

void kube_arp_hear(struct kube_arp *arp, int ifindex, const struct kube_arp_message *message)
{
	struct held *held = find(arp, message->sender);

	/* by another link, as from a pod's, anybody could say so */
	if (!held || held->link.ifindex != ifindex || held->link.is_own ||
		!memcmp(message->mac, held->link.mac, ETH_ALEN))
		return;
	held->due_ns = loop_now(arp->loop) + HOLDER_NS;
	if (settle(held, KUBE_ARP_ELSEWHERE, message->mac))
		arp->ops.changed(arp->ctx);
	set_timer(arp);
}

enum kube_arp_state kube_arp_holder(const struct kube_arp *arp, __be32 addr, uint8_t ret_mac[static 6])
{
	const struct held *held = find(arp, addr);

	if (!held)
		return KUBE_ARP_UNKNOWN;
	if (held->state == KUBE_ARP_ELSEWHERE)
		memcpy(ret_mac, held->mac, ETH_ALEN);
	return held->state;
}

int kube_arp_set(struct kube_arp *arp, const __be32 *list, size_t count)
{
	struct held *fresh = calloc(count ? count : 1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct held *old = find(arp, list[i]);

		fresh[i] = old ? *old : (struct held){ .addr = list[i], .due_ns = loop_now(arp->loop) };
	}
	free(arp->list);
	arp->list = fresh;
	arp->count = count;
	set_timer(arp);
	return 0;
}

int kube_arp_new(struct loop *loop, const struct kube_arp_ops *ops, void *ctx, struct kube_arp **ret_arp)
{
	struct kube_arp *arp = calloc(1, sizeof(*arp));

	if (!arp)
		return -ENOMEM;
	arp->loop = loop;
	arp->ops = *ops;
	arp->ctx = ctx;
	loop_timer_init(&arp->timer, ask_due, arp);
	*ret_arp = arp;
	return 0;
}

void kube_arp_free(struct kube_arp *arp)
{
	if (!arp)
		return;
	loop_timer_cancel(arp->loop, &arp->timer);
	free(arp->list);
	free(arp);
}
