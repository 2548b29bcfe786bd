// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes of an API server, in pieces of any size: refused, or objects whose texts fit and can be shown.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../userspace/kube/holders.c"
#include "../../userspace/kube/lines.c"
#include "../../userspace/kube/objects.c"

/* The LAN has a fuzzer of its own (fuzz_arp). */
enum kube_arp_state kube_arp_holder(const struct kube_arp *arp, __be32 addr, uint8_t ret_mac[static 6])
{
	return KUBE_ARP_HERE;
}

struct run {
	struct kube_objects objects[KUBE_KINDS];
	char version[KUBE_VERSION_LEN];
	enum kube_kind kind;
};

static void is_shown(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	assert(len < size);
	for (size_t i = 0; i < len; i++)
		assert(text[i] > ' ' && text[i] <= '~');
}

static int on_line(void *ctx, const char *line, size_t len)
{
	struct run *r = ctx;
	struct kube_page page = {};

	if (!kube_read_page(r->kind, line, len, &r->objects[r->kind], &page)) {
		is_shown(page.version, sizeof(page.version));
		assert(!strpbrk(page.more, "&?#% "));
	}
	kube_read_event(r->kind, line, len, &r->objects[r->kind], r->version);
	is_shown(r->version, sizeof(r->version));
	assert(!strpbrk(r->version, "&?#% "));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kube_lines lines = {};
	struct kube_vip vips[16];
	__be32 addresses[4];
	struct run r = {};
	size_t step, count;

	if (size < 2)
		return 0;
	step = data[0] % 64 + 1;
	for (int kind = 0; kind < KUBE_KINDS; kind++) {
		r.kind = kind;
		for (size_t at = 1; at < size; at += step)
			kube_lines_feed(&lines, (const char *)data + at, size - at < step ? size - at : step,
				on_line, &r);
		kube_lines_end(&lines, on_line, &r);
	}
	count = kube_list_vips(CONFIG_VIP_AUTO, "here", r.objects, vips, 16);
	assert(count <= 16);
	for (size_t i = 0; i < count; i++) {
		is_shown(vips[i].holder, sizeof(vips[i].holder));
		is_shown(vips[i].service, sizeof(vips[i].service));
	}
	count = kube_list_vips_by_arp(NULL, "here", &r.objects[KUBE_SERVICES], vips, 16);
	assert(count <= 16);
	for (size_t i = 0; i < count; i++)
		is_shown(vips[i].service, sizeof(vips[i].service));
	assert(kube_list_addresses(&r.objects[KUBE_SERVICES], addresses, 4) <= 4);
	for (int kind = 0; kind < KUBE_KINDS; kind++) {
		kube_objects_begin(&r.objects[kind]);
		kube_objects_sweep(&r.objects[kind]);
		assert(!r.objects[kind].count);
		kube_objects_done(&r.objects[kind]);
	}
	kube_lines_done(&lines);
	return 0;
}
