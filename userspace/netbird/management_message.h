/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages to and from management, without their envelope. Results are freed with envelope_free(). */
#ifndef TALON_MANAGEMENT_MESSAGE_H
#define TALON_MANAGEMENT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "netbird/expiry.h"

struct message_login {
	const char *setup_key;			/* NULL: none */
	const char *token;			/* of a person who signed in; NULL: none */
	const char *ssh_public_key;		/* NULL: none */
	char *const *dns_labels;
	size_t dns_label_count;
	const uint8_t *meta;			/* a serialized PeerSystemMeta */
	size_t meta_len;
	uint8_t public_key[KEY_LEN];
};

/* LoginRequest. Returns 0 or -ENOMEM. */
int message_pack_login(const struct message_login *login, uint8_t **ret_bytes, size_t *ret_len);
/* SyncRequest and SyncMetaRequest, which are identical. Returns 0 or -ENOMEM. */
int message_pack_sync(const uint8_t *meta, size_t meta_len, uint8_t **ret_bytes, size_t *ret_len);
/* ExtendAuthSessionRequest. Returns 0 or -ENOMEM. */
int message_pack_extend(const char *token, const uint8_t *meta, size_t meta_len, uint8_t **ret_bytes,
	size_t *ret_len);
/* ExtendAuthSessionResponse. Returns 0 or -EBADMSG. */
int message_parse_extend(const uint8_t *bytes, size_t len, struct expiry_said *ret_said);
/* ServerKeyResponse. Returns 0 or -EBADMSG. */
int message_parse_server_key(const uint8_t *bytes, size_t len, uint8_t ret_key[static KEY_LEN]);

/* The JobRequest that opens the stream. Returns 0 or -ENOMEM. */
int message_pack_job_hello(uint8_t **ret_bytes, size_t *ret_len);
/* A JobRequest. */
#define MESSAGE_JOB_ID_MAX 256

struct message_job {
	uint8_t id[MESSAGE_JOB_ID_MAX];
	size_t id_len;
	bool is_bundle;			/* else it is unknown, and the rest is zero */
	bool anonymizes, is_strict;
	unsigned int log_files;		/* 1-100 */
	unsigned int wait_minutes;	/* before the bundle is made, 0-60 */
};

/* Returns 0, -ENOENT for one without an id, which cannot be answered, -EBADMSG. */
int message_parse_job(const uint8_t *bytes, size_t len, struct message_job *ret_job);
/*
 * The JobResponse: succeeded, with the @text under which the bundle is found, or failed, with @text as the
 * reason. Returns 0 or -ENOMEM.
 */
int message_pack_job_answer(const struct message_job *job, bool has_succeeded, const char *text,
	uint8_t **ret_bytes, size_t *ret_len);

#endif
