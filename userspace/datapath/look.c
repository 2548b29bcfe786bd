// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Looks without touching: whose programs sit on a device, and whether this kernel takes ours.
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "datapath/internal.h"

const char *datapath_place_name(enum datapath_place place)
{
	static const char *const names[DATAPATH_PLACE_COUNT] = {
		[DATAPATH_PLACE_XDP]		= "xdp",
		[DATAPATH_PLACE_DISPATCHER]	= "dispatcher",
		[DATAPATH_PLACE_TCX_IN]		= "tcx ingress",
		[DATAPATH_PLACE_TCX_OUT]	= "tcx egress",
		[DATAPATH_PLACE_CLSACT_IN]	= "clsact ingress",
		[DATAPATH_PLACE_CLSACT_OUT]	= "clsact egress",
	};

	return names[place];
}

/* Ids of what is pinned as ours on one device. */
struct own {
	int ifindex;
	uint32_t ids[32];
	unsigned count;
};

static uint32_t pinned_id(const char *path, enum hook_kind kind)
{
	int fd = bpf_obj_get(path), ifindex;
	uint32_t id = 0;

	if (fd < 0)
		return 0;
	if (kind == HOOK_XDP || kind == HOOK_TCX) {
		if (hook_link_info(fd, &ifindex, &id))
			id = 0;
	} else {
		id = prog_id_of(fd);
	}
	close(fd);
	return id;
}

static void collect_own(const char *root, unsigned version, void *user)
{
	struct own *own = user;
	char path[PATH_MAX];

	for (unsigned kind = 0; kind < HOOK_COUNT && own->count < 32; kind++) {
		char name[32];
		uint32_t id;

		pin_hook_name(kind, own->ifindex, name, sizeof(name));
		if (snprintf(path, sizeof(path), "%s/links/%s", root, name) >= (int)sizeof(path))
			continue;
		id = pinned_id(path, kind);
		if (id)
			own->ids[own->count++] = id;
	}
}

struct look {
	struct datapath_programs *programs;
	struct own own;
};

static void add(struct look *look, enum datapath_place place, uint32_t id, const char *name)
{
	struct datapath_programs *programs = look->programs;
	struct datapath_program *p = &programs->list[programs->count];

	if (programs->count == DATAPATH_PROGRAMS_MAX)
		return;
	*p = (struct datapath_program){ .place = place, .id = id };
	prog_name(id, p->name, sizeof(p->name));
	if (!p->name[0] && name)
		snprintf(p->name, sizeof(p->name), "%s", name);
	for (unsigned i = 0; i < look->own.count; i++)
		p->ours |= look->own.ids[i] == id;
	programs->count++;
}

static void add_member(uint32_t id, const char *name, void *user)
{
	add(user, DATAPATH_PLACE_DISPATCHER, id, name);
}

static void add_tcx(struct look *look, int ifindex, bool egress)
{
	uint32_t ids[TCX_PROGS_MAX] = { 0 };
	int count = tcx_list(ifindex, egress, ids);

	for (int i = 0; i < count; i++)
		add(look, egress ? DATAPATH_PLACE_TCX_OUT : DATAPATH_PLACE_TCX_IN, ids[i], NULL);
}

static void add_filter(const struct net_filter *filter, void *user)
{
	add(user, filter->is_egress ? DATAPATH_PLACE_CLSACT_OUT : DATAPATH_PLACE_CLSACT_IN, filter->prog_id,
		filter->name);
}

int datapath_look(const char *base, int ifindex, struct datapath_programs *ret_programs)
{
	struct look look = { .programs = ret_programs, .own.ifindex = ifindex };
	struct net_link link;
	int ret = net_link_get_index(ifindex, &link);

	if (ret)
		return ret;
	*ret_programs = (struct datapath_programs){ .has_tcx = tcx_is_supported() };
	pin_roots(base ? base : DATAPATH_BASE_DEFAULT, collect_own, &look.own);
	if (link.xdp_mode != XDP_ATTACHED_NONE)
		add(&look, DATAPATH_PLACE_XDP, link.xdp_prog_id, NULL);
	if (link.xdp_prog_id)
		dispatcher_list(ifindex, add_member, &look);
	if (ret_programs->has_tcx) {
		add_tcx(&look, ifindex, false);
		add_tcx(&look, ifindex, true);
	}
	return net_filter_list(ifindex, add_filter, &look);
}

static bool is_jited(const struct bpf_object *obj)
{
	const struct bpf_program *prog = bpf_object__next_program(obj, NULL);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return prog && !bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len) && info.jited_prog_len;
}

int datapath_try(struct datapath_trial *ret_trial)
{
	struct bpf_object *obj;
	int ret = 0;

	*ret_trial = (struct datapath_trial){ .is_jited = true };
	for (unsigned id = 0; id < OBJECT_COUNT && !ret; id++) {
		ret = object_open_alone(id, &obj);
		if (ret) {
			object_explain(id, ret, ret_trial->err, sizeof(ret_trial->err));
			return ret;
		}
		ret = bpf_object__load(obj);
		if (ret)
			object_explain(id, ret, ret_trial->err, sizeof(ret_trial->err));
		else
			ret_trial->is_jited &= is_jited(obj);
		bpf_object__close(obj);
	}
	return ret;
}
