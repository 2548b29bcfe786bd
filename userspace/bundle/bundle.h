/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The debug bundle: a zip archive of what helps to find a fault on this host, without secrets, and anonymized
 * if wanted. Made in the process of the command; the daemon is only asked, as by any other command.
 */
#ifndef TALON_BUNDLE_H
#define TALON_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "bundle/anonymize.h"
#include "config/config.h"

#define BUNDLE_LOG_FILES_MAX	100U

struct bundle_options {
	enum anon_level level;
	bool system_info;		/* routes, devices, rules, firewalls, sysctls */
	unsigned int log_files;		/* the log and so many less one that were rotated */
	/* where the log goes if the daemon does not answer, as NB_LOG_FILE says it */
	const char *log_file;
	const char *socket;		/* the daemon's */
	/* where the daemon's files are if it does not answer */
	const char *identity_path, *state_dir;
	const char *pin_dir;		/* names of peers are there; NULL: nowhere */
	const char *directory;		/* for the archive; NULL: TMPDIR, else /tmp */
	char *const *env;		/* values of what look like secrets are hidden */
	const struct config *config;	/* of a static file, whose keys are hidden; NULL: of a mesh */
	/*
	 * Runs a command of the command line, `talon @argv[0] ...`, NULL at the end; its output goes to @out.
	 */
	void (*run)(void *ctx, const char *const *argv, FILE *out);
	void *ctx;
};

/*
 * Makes the archive, mode 0600, and writes its name to @ret_path. Returns 0 or a negative errno with one line
 * in @why; then nothing is left behind.
 */
int bundle_make(const struct bundle_options *options, char *ret_path, size_t path_size, char *why,
	size_t size);

#define BUNDLE_UPLOAD_MAX	(50U << 20)
#define BUNDLE_KEY_LEN		512
#define BUNDLE_NETBIRD_URL	"https://upload.debug.netbird.io/upload-url"

struct bundle_upload {
	const char *service;		/* URL that gives the place to upload to */
	const char *management_url;	/* its hash tells the service whose bundle it is */
	const char *path;
	bool is_insecure;		/* http and certificates of nobody's are fine */
};

/*
 * Uploads an archive as NetBird's client does. Writes the key under which it is found to @ret_key. Blocks for
 * at most five minutes. Returns 0 or a negative errno with one line in @why.
 */
int bundle_upload(const struct bundle_upload *upload, char ret_key[static BUNDLE_KEY_LEN], char *why,
	size_t size);

#endif
