/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The upload service's words. */
#ifndef TALON_BUNDLE_UPLOAD_INTERNAL_H
#define TALON_BUNDLE_UPLOAD_INTERNAL_H

#include "bundle/bundle.h"

#define UPLOAD_URL_LEN	4096
#define UPLOAD_ID_LEN	65

/* Hex SHA-256 of the management server's URL. */
void upload_identify(const char *management_url, char ret_id[static UPLOAD_ID_LEN]);
/* {"URL": ..., "Key": ...}. Returns 0 or -EBADMSG; the outputs are written only on success. */
int upload_parse(const char *text, char ret_url[static UPLOAD_URL_LEN], char ret_key[static BUNDLE_KEY_LEN]);

#endif
