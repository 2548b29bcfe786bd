// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map "vips": virtual addresses of the cluster, and whether this node holds them.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "host/vip_table.h"

/* A TCP connection that began here is known here alone, also after the address has left. */
static uint32_t where_of(const struct vip *vip, uint32_t before)
{
	if (vip->is_here)
		return TALON_VIP_HERE;
	return before == TALON_VIP_HERE || before == TALON_VIP_LEFT ? TALON_VIP_LEFT : TALON_VIP_ELSEWHERE;
}

static bool is_wanted(const struct vip *list, size_t count, const struct talon_addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (talon_addr_equal(&list[i].addr, addr))
			return true;
	}
	return false;
}

/* The next key is asked for before an entry goes, after which the kernel would begin again. */
static bool remove_others(int fd, const struct vip *list, size_t count)
{
	struct talon_addr key, next;
	bool has_key = !bpf_map_get_next_key(fd, NULL, &key), changed = false;

	while (has_key) {
		bool has_next = !bpf_map_get_next_key(fd, &key, &next);

		if (!is_wanted(list, count, &key))
			changed |= !bpf_map_delete_elem(fd, &key);
		key = next;
		has_key = has_next;
	}
	return changed;
}

/* Returns 1 if it is another way now, 0, or a negative errno. */
static int put_vip(int fd, const struct vip *vip)
{
	struct talon_vip old = {}, fresh = {};

	bpf_map_lookup_elem(fd, &vip->addr, &old);
	fresh.where = where_of(vip, old.where);
	snprintf(fresh.holder, sizeof(fresh.holder), "%s", vip->holder);
	snprintf(fresh.service, sizeof(fresh.service), "%s", vip->service);
	fresh.since_unix_s = old.where && !strcmp(old.holder, fresh.holder) ? old.since_unix_s
		: clock_unix_ns() / TALON_NSEC_PER_SEC;
	if (!memcmp(&old, &fresh, sizeof(old)))
		return 0;
	if (bpf_map_update_elem(fd, &vip->addr, &fresh, BPF_ANY))
		return -errno;
	return old.where != fresh.where;
}

int vip_table_set(const struct datapath *dp, const struct vip_wish *wish, bool *sees_change)
{
	int fd = datapath_map_fd(dp, DATAPATH_MAP_VIPS), ret = 0, one;
	const __u32 zero = 0;

	*sees_change |= wish->list && remove_others(fd, wish->list, wish->count);
	for (size_t i = 0; wish->list && i < wish->count; i++) {
		one = put_vip(fd, &wish->list[i]);
		*sees_change |= one > 0;
		if (one < 0 && !ret)
			ret = one;
	}
	fd = datapath_map_fd(dp, DATAPATH_MAP_VIP_SOURCE);
	if (wish->source && bpf_map_update_elem(fd, &zero, wish->source, BPF_ANY) && !ret)
		ret = -errno;
	return ret;
}
