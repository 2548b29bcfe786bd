// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Messages to and from management, without their envelope.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "netbird/management_message.h"
#include "netbird/wire.h"
#include "management.pb-c.h"

/*
 * Field numbers of LoginRequest, PeerKeys, SyncRequest, ExtendAuthSessionRequest (proto/management.proto),
 * written by hand because the meta is serialized already.
 */
enum { LOGIN_SETUP_KEY = 1, LOGIN_META = 2, LOGIN_TOKEN = 3, LOGIN_KEYS = 4, LOGIN_LABELS = 5 };
enum { KEYS_SSH = 1, KEYS_WG = 2 };
enum { SYNC_META = 1 };
enum { EXTEND_TOKEN = 1, EXTEND_META = 2 };
enum { EXTENDED_EXPIRY = 1 };

#define JOB_LOG_FILES_MAX 100
#define JOB_WAIT_MAX	60		/* minutes, as NetBird's client waits at most */
#define UUID_TEXT	37

static size_t length_of(const char *text)
{
	return text ? strlen(text) : 0;
}

static uint8_t *put_text(uint8_t *at, uint32_t number, const char *text)
{
	return length_of(text) ? wire_put_bytes(at, number, text, strlen(text)) : at;
}

/* PeerKeys, whose public key is base64. */
static int pack_keys(const struct message_login *login, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *bytes = malloc(2 * WIRE_BYTES_HEAD + length_of(login->ssh_public_key) + KEY_BASE64_LEN),
		*at = bytes;
	char key[KEY_BASE64_LEN + 1];

	if (!bytes)
		return -ENOMEM;
	key_to_base64(login->public_key, key);
	at = put_text(at, KEYS_SSH, login->ssh_public_key);
	at = put_text(at, KEYS_WG, key);
	*ret_bytes = bytes;
	*ret_len = at - bytes;
	return 0;
}

static size_t login_room(const struct message_login *login, size_t keys_len)
{
	size_t room = 4 * WIRE_BYTES_HEAD + length_of(login->setup_key) + length_of(login->token) +
		login->meta_len + keys_len;

	for (size_t i = 0; i < login->dns_label_count; i++)
		room += WIRE_BYTES_HEAD + length_of(login->dns_labels[i]);
	return room;
}

int message_pack_login(const struct message_login *login, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *keys, *bytes, *at;
	size_t keys_len;
	int ret = pack_keys(login, &keys, &keys_len);

	if (ret < 0)
		return ret;
	at = bytes = malloc(login_room(login, keys_len));
	if (!bytes) {
		free(keys);
		return -ENOMEM;
	}
	at = put_text(at, LOGIN_SETUP_KEY, login->setup_key);
	at = wire_put_bytes(at, LOGIN_META, login->meta, login->meta_len);
	at = put_text(at, LOGIN_TOKEN, login->token);
	at = wire_put_bytes(at, LOGIN_KEYS, keys, keys_len);
	for (size_t i = 0; i < login->dns_label_count; i++)
		at = put_text(at, LOGIN_LABELS, login->dns_labels[i]);
	free(keys);
	*ret_bytes = bytes;
	*ret_len = at - bytes;
	return 0;
}

int message_pack_sync(const uint8_t *meta, size_t meta_len, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *bytes = malloc(WIRE_BYTES_HEAD + meta_len);

	if (!bytes)
		return -ENOMEM;
	*ret_len = wire_put_bytes(bytes, SYNC_META, meta, meta_len) - bytes;
	*ret_bytes = bytes;
	return 0;
}

int message_pack_extend(const char *token, const uint8_t *meta, size_t meta_len, uint8_t **ret_bytes,
	size_t *ret_len)
{
	uint8_t *bytes = malloc(2 * WIRE_BYTES_HEAD + length_of(token) + meta_len), *at = bytes;

	if (!bytes)
		return -ENOMEM;
	at = put_text(at, EXTEND_TOKEN, token);
	at = wire_put_bytes(at, EXTEND_META, meta, meta_len);
	*ret_bytes = bytes;
	*ret_len = at - bytes;
	return 0;
}

int message_parse_extend(const uint8_t *bytes, size_t len, struct expiry_said *ret_said)
{
	struct wire wire = wire_start(bytes, len);
	struct expiry_said said = {};
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, EXTENDED_EXPIRY) && expiry_read(wire_inside(&field), &said))
			return -EBADMSG;
	}
	if (!ret)
		*ret_said = said;
	return ret;
}

int message_parse_server_key(const uint8_t *bytes, size_t len, uint8_t ret_key[static KEY_LEN])
{
	Management__ServerKeyResponse *response = management__server_key_response__unpack(NULL, len, bytes);
	int ret;

	if (!response)
		return -EBADMSG;
	/* The expiry is useless: servers send the current second of the minute. */
	ret = key_from_base64(response->key, ret_key) ? -EBADMSG : 0;
	management__server_key_response__free_unpacked(response, NULL);
	return ret;
}

/* Jobs */

static void make_uuid(char text[UUID_TEXT])
{
	uint8_t b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(text, UUID_TEXT, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
		b[14], b[15]);
}

static int pack(const ProtobufCMessage *message, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);

	if (!bytes)
		return -ENOMEM;
	*ret_len = protobuf_c_message_pack(message, bytes);
	*ret_bytes = bytes;
	return 0;
}

int message_pack_job_hello(uint8_t **ret_bytes, size_t *ret_len)
{
	Management__JobRequest hello = MANAGEMENT__JOB_REQUEST__INIT;
	char uuid[UUID_TEXT];

	make_uuid(uuid);
	hello.id.data = (uint8_t *)uuid;
	hello.id.len = UUID_TEXT - 1;
	return pack(&hello.base, ret_bytes, ret_len);
}

static unsigned int within(int64_t value, unsigned int least, unsigned int most)
{
	return value < (int64_t)least ? least : value > (int64_t)most ? most : value;
}

static void take_bundle(const Management__BundleParameters *bundle, struct message_job *job)
{
	const char *level = bundle->anonymize_level;

	job->is_bundle = true;
	job->is_strict = *level && strcasecmp(level, "default");
	job->anonymizes = bundle->anonymize || *level;
	job->log_files = within(bundle->log_file_count, 1, JOB_LOG_FILES_MAX);
	/* The switch is not looked at, as NetBird's client does not. */
	job->wait_minutes = within(bundle->bundle_for_time, 0, JOB_WAIT_MAX);
}

int message_parse_job(const uint8_t *bytes, size_t len, struct message_job *ret_job)
{
	Management__JobRequest *request = management__job_request__unpack(NULL, len, bytes);
	struct message_job job = {};
	int ret = 0;

	if (!request)
		return -EBADMSG;
	if (!request->id.len || request->id.len > sizeof(job.id))
		ret = -ENOENT;
	else
		memcpy(job.id, request->id.data, request->id.len);
	job.id_len = request->id.len;
	if (request->workload_case == MANAGEMENT__JOB_REQUEST__WORKLOAD_BUNDLE)
		take_bundle(request->bundle, &job);
	management__job_request__free_unpacked(request, NULL);
	if (!ret)
		*ret_job = job;
	return ret;
}

int message_pack_job_answer(const struct message_job *job, bool has_succeeded, const char *text,
	uint8_t **ret_bytes, size_t *ret_len)
{
	Management__JobResponse response = MANAGEMENT__JOB_RESPONSE__INIT;
	Management__BundleResult bundle = MANAGEMENT__BUNDLE_RESULT__INIT;

	response.id.data = (uint8_t *)job->id;
	response.id.len = job->id_len;
	if (has_succeeded) {
		response.status = MANAGEMENT__JOB_STATUS__succeeded;
		response.workload_results_case = MANAGEMENT__JOB_RESPONSE__WORKLOAD_RESULTS_BUNDLE;
		response.bundle = &bundle;
		bundle.upload_key = (char *)text;
	} else {
		response.status = MANAGEMENT__JOB_STATUS__failed;
		response.reason.data = (uint8_t *)text;
		response.reason.len = strlen(text);
	}
	return pack(&response.base, ret_bytes, ret_len);
}
