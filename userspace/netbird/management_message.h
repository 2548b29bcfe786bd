/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is said to management and read from it, without its envelope. Results are freed with envelope_free().
 */
#ifndef TALON_MANAGEMENT_MESSAGE_H
#define TALON_MANAGEMENT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"

struct message_login {
	const char *setup_key;			/* NULL: none */
	const char *ssh_public_key;		/* NULL: none */
	char *const *dns_labels;
	size_t dns_label_count;
	const uint8_t *meta;			/* a serialized PeerSystemMeta */
	size_t meta_len;
	uint8_t public_key[KEY_LEN];
};

/* LoginRequest. 0 or -ENOMEM. */
int message_pack_login(const struct message_login *login, uint8_t **ret_bytes, size_t *ret_len);
/* SyncRequest and SyncMetaRequest, which look the same. */
int message_pack_sync(const uint8_t *meta, size_t meta_len, uint8_t **ret_bytes, size_t *ret_len);
/* ServerKeyResponse. 0 or -EBADMSG. */
int message_parse_server_key(const uint8_t *bytes, size_t len, uint8_t ret_key[static KEY_LEN]);

/* A JobRequest that only says who opens the stream. */
int message_pack_job_hello(uint8_t **ret_bytes, size_t *ret_len);
/*
 * The JobResponse to a JobRequest: that we cannot do it, and why. 1: there is one to be sent; 0: nothing is
 * to be answered; -EBADMSG, -ENOMEM.
 */
int message_answer_job(const uint8_t *bytes, size_t len, uint8_t **ret_bytes, size_t *ret_len);

#endif
