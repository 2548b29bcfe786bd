// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Messages of anybody on the LAN, and time: an address is here or has a holder that may be one.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../userspace/kube/arp.c"
#include "../../userspace/loop/loop.c"

#define STEP_LEN	(2 + KUBE_ARP_LEN)

static int find_link(void *ctx, __be32 addr, struct kube_arp_link *ret_link)
{
	*ret_link = (struct kube_arp_link){ .ifindex = 1, .mac = { 2 }, .own = 1 };
	return *(bool *)ctx ? -ENETUNREACH : 0;
}

static void send_request(void *ctx, const struct kube_arp_link *link, const uint8_t *to, __be32 addr)
{
	assert(link->ifindex == 1 && (!to || !(to[0] & 1)));
}

static void on_changed(void *ctx)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct kube_arp_ops ops = { .find = find_link, .ask = send_request,
		.changed = on_changed };
	const __be32 list[] = { htonl(0xc0a801c8), htonl(0x0a000001) };
	struct kube_arp_message message;
	struct kube_arp *arp;
	struct loop *loop;
	bool is_off = false;

	assert(!loop_new_fake(&loop, LOOP_SECOND) && !kube_arp_new(loop, &ops, &is_off, &arp));
	assert(!kube_arp_set(arp, list, 2));
	for (; size; data += size < STEP_LEN ? size : STEP_LEN, size -= size < STEP_LEN ? size : STEP_LEN) {
		const size_t len = size < STEP_LEN ? size : STEP_LEN;
		uint8_t mac[6] = {};

		loop_advance(loop, loop_now(loop) + data[0] * 10 * LOOP_MS);
		is_off = data[0] > 250;
		if (len > 2 && kube_arp_read(data + 2, len - 2, &message)) {
			assert(message.sender && !(message.mac[0] & 1));
			kube_arp_hear(arp, data[1] & 1, &message);
		}
		for (int i = 0; i < 2; i++) {
			if (kube_arp_holder(arp, list[i], mac) == KUBE_ARP_ELSEWHERE)
				assert(!(mac[0] & 1) && memcmp(mac, "\2\0\0\0\0\0", 6));
		}
	}
	kube_arp_free(arp);
	loop_free(loop);
	return 0;
}
