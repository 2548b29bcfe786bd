/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside datapath/: the object, and what its files do for each other. */
#ifndef TALON_DATAPATH_INTERNAL_H
#define TALON_DATAPATH_INTERNAL_H

#include <limits.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "datapath/datapath.h"
#include "datapath/hook.h"
#include "net/net.h"

/* The BPF objects in this binary. */
enum object_id { OBJECT_UPLINK_XDP, OBJECT_UPLINK_TC, OBJECT_TUNNEL, OBJECT_ONWARD, OBJECT_NATGC,
	OBJECT_COUNT };

struct datapath {
	char base[PATH_MAX / 4];
	char root[PATH_MAX / 4 + 16];		/* <base>/v<N> */
	int seat;				/* holds the lock on base; -1: none */
	enum datapath_mode mode;
	enum datapath_dispatcher dispatcher;
	unsigned priority;
	bool adopted;
	bool made_tunnel;
	bool made_relay;
	struct datapath_sizes sizes;
	struct bpf_object *objects[OBJECT_COUNT];
	int map_fds[DATAPATH_MAP_COUNT];
	bool map_is_new[DATAPATH_MAP_COUNT];
	unsigned uplink_count;
	struct datapath_uplink uplinks[TALON_UPLINKS_MAX];
	struct datapath_tunnel_info tunnel;
	struct datapath_tunnel_info relay;
	struct datapath_uplink relay_uplink;	/* the end of it that carries an uplink's program */
	unsigned side_count;
	struct datapath_side sides[DATAPATH_SIDES_MAX];
	bool attached;				/* datapath_attach() succeeded */
	char why[TALON_UPLINKS_MAX * 300];
};

/* What to put where, for one device. */
struct hook {
	struct datapath *dp;
	int ifindex;
	const char *device;
	enum object_id object;			/* whose program */
	/* the device is our own: it has no dispatcher and never gets one */
	bool alone;
	bool made;				/* out: nothing of ours was at this hook before */
	char *why;				/* out: one line when it fails */
	size_t why_len;
};

/* load.c */
struct bpf_program *object_program(const struct datapath *dp, enum object_id id);
int object_prog_fd(const struct datapath *dp, enum object_id id);
const char *object_name(enum object_id id);
/* A second, unloaded copy that shares the pinned maps; the caller closes it. */
int object_open(const struct datapath *dp, enum object_id id, struct bpf_object **ret_obj);
/* The same with maps of its own, of the smallest size, that nobody pins. */
int object_open_alone(enum object_id id, struct bpf_object **ret_obj);
uint32_t prog_id_of(int prog_fd);		/* 0: not a program */
/* What the kernel says when it refuses to load object @id with @error, a negative errno. */
void object_explain(enum object_id id, int error, char *text, size_t len);
/* need.c: of @objects as they are sized; what is pinned below @root (NULL: nothing) is there already. */
void need_of_objects(struct bpf_object *const objects[OBJECT_COUNT], const char *root,
	struct datapath_need *ret_need);
/* same.c: whether @a and @b are the same instructions on the same maps with the same constants. */
bool prog_is_same(int a, int b);

/* pin.c */
int pin_tree_create(const char *root);
/* Removes the pins and directories below @root; everything must have been detached before. */
int pin_tree_remove(const char *root);
bool pin_dir_is_empty(const char *dir);
typedef void (*pin_root_cb)(const char *root, unsigned version, void *user);
void pin_roots(const char *base, pin_root_cb cb, void *user);		/* each <base>/v<N> */
/* Pins @fd as <root>/<dir>/<name>; an existing pin is replaced atomically. */
int pin_put(const char *root, const char *dir, const char *name, int fd);
/* fd of the pinned hook of any layout version; moves another version's pin into our tree. -ENOENT: none. */
int pin_hook_take(const struct datapath *dp, enum hook_kind kind, int ifindex);
int pin_hook_get(const struct datapath *dp, enum hook_kind kind, int ifindex);	/* in our tree only */
int pin_hook_put(const struct datapath *dp, enum hook_kind kind, int ifindex, int fd);
void pin_hook_name(enum hook_kind kind, int ifindex, char *name, size_t len);

/* attach.c: what the two kinds of bpf_link share. */
/* Updates the link to @prog_fd unless it has the same program. -ENOLINK: it is no longer on the device. */
int hook_refresh_link(struct hook *hook, int link_fd, int prog_fd);
/* Pins and closes a new link. */
int hook_keep_link(struct hook *hook, enum hook_kind kind, int link_fd);
int hook_link_info(int link_fd, int *ret_ifindex, uint32_t *ret_prog_id);
/* Detaches what is pinned as this hook, if anything is, and removes the pin. */
void hook_drop(struct datapath *dp, enum hook_kind kind, int ifindex);
/* The same for all other kinds than @kept. */
void hook_drop_others(struct datapath *dp, int ifindex, enum hook_kind kept);

/* cilium.c: the first uplink whose XDP slot we have on a node where Cilium is, or NULL */
const struct datapath_uplink *cilium_wants_slot_of(const struct datapath *dp);

/* sides.c */
bool side_is_wanted(const struct datapath *dp, int ifindex);
/* Attaches all of them, also those that have the program already. */
void sides_attach(struct datapath *dp);

/*
 * xdp.c, tcx.c, clsact.c, dispatcher.c: attach, or replace what is there. 0 or a negative errno
 * with hook->why.
 */
int xdp_attach(struct hook *hook, bool generic);
int tcx_attach(struct hook *hook);
int clsact_attach(struct hook *hook);
int dispatcher_attach(struct hook *hook);
bool tcx_is_supported(void);
bool dispatcher_is_there(int ifindex);
int dispatcher_remove(int ifindex, uint32_t prog_id);
/* Calls @cb for each program in it, in the order in which they run. */
void dispatcher_list(int ifindex, void (*cb)(uint32_t prog_id, const char *name, void *user), void *user);
bool dispatcher_holds(int ifindex, uint32_t prog_id);
int tcx_position(int ifindex, uint32_t prog_id);	/* 0: first; -ENOENT: not there */
#define TCX_PROGS_MAX 64
/* Ids of the programs, in order. Returns their number or a negative errno. */
int tcx_list(int ifindex, bool egress, uint32_t ret_ids[static TCX_PROGS_MAX]);
int clsact_filter_prog(int ifindex, uint32_t *ret_prog_id);	/* the program in our filter, or -ENOENT */
void clsact_filter_remove(int ifindex);
void clsact_qdisc_remove_if_empty(int ifindex);
/*
 * Tries whether the kernel can replace a function of a program (freplace). @moving: by a function that moves
 * packet data where the replaced one does not. Returns 0 or the kernel's negative errno.
 */
int freplace_probe(bool moving);
/* Its name, or empty if that cannot be read. */
void prog_name(uint32_t prog_id, char *name, size_t len);
/* "cil_xdp_entry (id 17)", or "id 17" if its name cannot be read. */
void prog_describe(uint32_t prog_id, char *text, size_t len);

/* down.c */
/* Detaches what the pin <root>/links/<name> stands for, and removes the pin. */
int hook_remove(const char *root, const char *name);
int tree_detach(const char *root);		/* all pins below <root>/links */

#endif
