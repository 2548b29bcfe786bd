/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A static file as desired state, and names of its endpoints that were not found at the start. */
#ifndef TALON_DAEMON_STATIC_H
#define TALON_DAEMON_STATIC_H

#include "config/config.h"
#include "plane/plane.h"

/* The file's peers and routes into the plane. Returns 0 or a negative errno with one line in @err. */
int static_apply(struct plane *plane, struct config *config, char *err, size_t errlen);

/* The peers of the configuration are others: the names are tried anew. */
void names_restart(void);
/* Each second: takes what the resolver's thread found, and has it look up the next. */
void names_tick(struct plane *plane, struct config *config, uint64_t now_ns);

/* One line for people: how many peers there are, and with how many a session stands. */
void static_say_state(const struct plane *plane, const struct config *config, char *line, size_t size);

#endif
