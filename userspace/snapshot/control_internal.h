/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of the control socket. */
#ifndef TALON_CONTROL_INTERNAL_H
#define TALON_CONTROL_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "snapshot/control.h"

#define ID_MAX	255

struct stat;

/*
 * Values of a request, which stay its own. Each returns 0 or -EINVAL, and for a key that is missing NULL or
 * 0. Texts have 1 to @max characters, no control characters among them.
 */
int control_read_text(const json_t *request, const char *key, size_t max, const char **ret_value);
int control_read_port(const json_t *request, const char *key, uint16_t *ret_port);
/* Writes the ids of a list, NULL for none, to @ids. Returns their number or -EINVAL. */
int control_read_ids(const json_t *list, char *ids[static CONTROL_IDS_MAX]);
/* Writes the variables of a list, which has to be there, to @env, and NULL at the end. */
int control_read_environment(const json_t *list, char *env[static CONTROL_ENV_MAX + 1]);

/*
 * A socket that listens on @path, mode 0600; one that nobody listens on is replaced. Returns a descriptor,
 * with what identifies the file in @ret_stat, or a negative errno with one line in @why.
 */
int control_listen(const char *path, struct stat *ret_stat, char *why, size_t size);

#endif
