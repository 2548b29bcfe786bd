/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside datapath/: the struct, and what its files do for each other. */
#ifndef TALON_DATAPATH_INTERNAL_H
#define TALON_DATAPATH_INTERNAL_H

#include <limits.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "datapath/datapath.h"
#include "net/net.h"

/* BPF objects that we carry. */
enum object_id { OBJECT_UPLINK_XDP, OBJECT_UPLINK_TC, OBJECT_TUNNEL, OBJECT_ONWARD, OBJECT_NATGC,
	OBJECT_COUNT };

/*
 * Ways to sit on a device. Their names are part of the pin paths ("links/tcx-3") and the same in every layout
 * version, so that a new version can take over an old one's attachments.
 */
enum hook_kind {
	HOOK_XDP,		/* pin is a bpf_link */
	HOOK_TCX,		/* pin is a bpf_link */
	HOOK_DISPATCH,		/* pin is our program inside libxdp's dispatcher */
	HOOK_FILTER,		/* pin is our program in a clsact filter */
	HOOK_QDISC,		/* pin is a program; it says that we made the clsact qdisc */
	HOOK_COUNT
};

struct datapath {
	char base[PATH_MAX / 4];
	char root[PATH_MAX / 4 + 16];		/* <base>/v<N> */
	int lock_fd;
	enum datapath_mode mode;
	enum datapath_dispatcher dispatcher;
	unsigned priority;
	bool adopted;
	bool made_tunnel;
	bool made_relay;
	bool has_relay;				/* the relay link is wanted */
	struct datapath_sizes sizes;
	struct bpf_object *objects[OBJECT_COUNT];
	int map_fds[DATAPATH_MAP_COUNT];
	bool map_is_new[DATAPATH_MAP_COUNT];
	unsigned uplink_count;
	struct datapath_uplink uplinks[TALON_UPLINKS_MAX];
	struct datapath_tunnel_info tunnel;
	struct datapath_tunnel_info relay;
	struct datapath_uplink relay_uplink;	/* its side that carries an uplink's program */
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
	/* a device of ours: nobody else's dispatcher is, or comes, there */
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
uint32_t prog_id_of(int prog_fd);		/* 0: not a program */
/* same.c: whether @a and @b are the same instructions on the same maps with the same constants. */
bool prog_is_same(int a, int b);

/* pin.c */
/* a directory fd or a negative errno */
int pin_base_open(const char *base, bool create, char *err, size_t errlen);
int pin_tree_create(const char *root);
/* Removes the pins and directories below @root; whatever is attached must have been detached before. */
int pin_tree_remove(const char *root);
bool pin_dir_is_empty(const char *dir);
typedef void (*pin_root_cb)(const char *root, unsigned version, void *user);
void pin_roots(const char *base, pin_root_cb cb, void *user);		/* each <base>/v<N> */
/* Pins @fd as <root>/<dir>/<name>, in place of what is there, in one step. */
int pin_put(const char *root, const char *dir, const char *name, int fd);
/* fd of the pinned hook of any layout version; brings another version's pin over into ours. -ENOENT: none. */
int pin_hook_take(const struct datapath *dp, enum hook_kind kind, int ifindex);
int pin_hook_get(const struct datapath *dp, enum hook_kind kind, int ifindex);	/* ours only */
int pin_hook_put(const struct datapath *dp, enum hook_kind kind, int ifindex, int fd);
void pin_hook_name(enum hook_kind kind, int ifindex, char *name, size_t len);
bool pin_hook_parse(const char *name, enum hook_kind *ret_kind, int *ret_ifindex);

/* attach.c: what the two kinds of bpf_link share. */
/*
 * Puts @prog_fd behind the link unless the same program is there. -ENOLINK: the link is no
 * longer on the device.
 */
int link_refresh(struct hook *hook, int link_fd, int prog_fd);
/* Pins and closes a new link. */
int link_keep(struct hook *hook, enum hook_kind kind, int link_fd);
int link_info(int link_fd, int *ret_ifindex, uint32_t *ret_prog_id);
/*
 * Takes off what is pinned as this hook, if anything is; what sits on the device in another way than @kept.
 */
void hook_drop(struct datapath *dp, enum hook_kind kind, int ifindex);
void hook_drop_others(struct datapath *dp, int ifindex, enum hook_kind kept);

/* sides.c */
bool side_is_wanted(const struct datapath *dp, int ifindex);
/* All of them, whether they carried a program before or not. */
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
bool dispatcher_holds(int ifindex, uint32_t prog_id);
int tcx_position(int ifindex, uint32_t prog_id);	/* 0: first; -ENOENT: not there */
int clsact_filter_prog(int ifindex, uint32_t *ret_prog_id);	/* program of our filter, -ENOENT */
void clsact_filter_remove(int ifindex);
void clsact_qdisc_remove_if_empty(int ifindex);
/*
 * Can the kernel replace a function of a program? @moving: by one that moves packet data where the other does
 * not. 0 or its errno.
 */
int freplace_probe(bool moving);
/* "cil_xdp_entry (id 17)", or "id 17" if its name cannot be read. */
void prog_describe(uint32_t prog_id, char *text, size_t len);

/* down.c */
/* Takes off what the pin <root>/links/<name> stands for, and the pin. */
int hook_remove(const char *root, const char *name);
int tree_detach(const char *root);		/* all of them */

#endif
