/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of the bundle. */
#ifndef TALON_BUNDLE_INTERNAL_H
#define TALON_BUNDLE_INTERNAL_H

#include <jansson.h>

#include "bundle/bundle.h"

/* bundle.c */
struct bundle;
/*
 * A new file of the archive to write to, which anonymizes afterwards; closed by bundle_close(). NULL without
 * memory, which bundle_make() reports.
 */
FILE *bundle_open(struct bundle *bundle, const char *name);
void bundle_close(struct bundle *bundle);
/*
 * A whole file from disk, at most @most bytes of its end; nothing if it cannot be read. True if it was there.
 */
bool bundle_copy(struct bundle *bundle, const char *name, const char *path, size_t most);

/* host.c: what is asked of the kernel. */
void bundle_add_host(struct bundle *bundle);

/* tools.c: the output of a program, within a time limit; nothing if it is not installed. */
void bundle_add_tool(struct bundle *bundle, const char *name, const char *const *argv);
/*
 * Runs @argv for at most @limit_ms and writes what it prints to @out, at most @most bytes. Returns its exit
 * status, -ENOENT if it is not installed, -ETIMEDOUT, or another negative errno.
 */
int bundle_run_tool(const char *const *argv, unsigned int limit_ms, size_t most, FILE *out);

/* secrets.c: makes @anon hide what is secret in the identity file at @path, and in the environment. */
int bundle_hide_identity(struct anon *anon, const char *path);
int bundle_hide_env(struct anon *anon, char *const *env);
int bundle_hide_config(struct anon *anon, const struct config *config);
/* Puts ANON_HIDDEN in place of the values of all variables in a service.json. */
void bundle_mask_service(json_t *service);
/* Whether @name is that of a secret: of a key, password, token. */
bool bundle_is_secret_name(const char *name);

#endif
