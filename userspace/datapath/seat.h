/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The controller's seat: the lock on the pins' directory, and requests to whoever holds it.
 *
 * A controller may run in another container, where neither its process nor its control socket can be reached:
 * a number out of a map names somebody else there. What all have in common that may touch a datapath is the
 * directory of its pins. The kernel keeps the lock on its inode, by whatever path and from whatever pid
 * namespace it was opened, and lets go of it when the process is gone; a request is a symbolic link beside
 * the pins, which only those can make who could also remove them.
 *
 * seat_ask() leaves the link "ask"; the holder looks once a second, renames it to "heard" and lets go. The
 * next holder sweeps both. A process that runs but does not hear is hung, or older than this.
 */
#ifndef TALON_DATAPATH_SEAT_H
#define TALON_DATAPATH_SEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum seat_request {
	SEAT_NOTHING,
	SEAT_DOWN,			/* the datapath is to be removed: end */
	/* another controller takes over: let go, with all that packets need */
	SEAT_TAKE_OVER,
};

/*
 * Opens the directory @base (NULL: default) without taking its lock; @create: makes it, and mounts the
 * bpffs where that is missing. Returns a descriptor, or a negative errno with one line in @err: -ENOENT:
 * there is no datapath.
 */
int seat_open(const char *base, bool create, char *err, size_t errlen);
/*
 * Takes the lock. Returns 0; -EBUSY if another process holds it; -ENOENT if the directory was removed
 * meanwhile; or another negative errno.
 */
int seat_take(int seat);
/* Lets go of the lock; @seat stays open. */
void seat_leave(int seat);
/* Whether somebody holds the lock, which may be this process by another descriptor. */
bool seat_is_taken(int seat);
/* The directory was removed: whoever opens its name anew finds another one. */
bool seat_is_gone(int seat);
/*
 * The pid of the holder as this process sees it, from the moment that it took the lock. 0: nobody, or a
 * process of a pid namespace that cannot be seen from here.
 */
uint32_t seat_holder(int seat);

/* One line: why seat_take() of @base returned @ret. */
void seat_explain(int seat, const char *base, int ret, char *err, size_t errlen);

/* Leaves a request, in place of any other. Returns 0 or a negative errno. */
int seat_ask(int seat, enum seat_request request);
enum seat_request seat_asked(int seat);
/* The holder is about to do what it was asked for. */
void seat_heed(int seat);
bool seat_is_heard(int seat);
/* Removes requests, heard or not: the new holder's first deed. */
void seat_sweep(int seat);

#endif
