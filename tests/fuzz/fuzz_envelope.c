// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// EncryptedMessage of both services with any content, any text there and back, and what else comes from
// management: server keys and jobs.
#include "crypto/key.c"
#include "netbird/wire.c"
#include "netbird/envelope.c"
#include "netbird/expiry.c"
#include "management.pb-c.c"

#define pack pack_message
#include "netbird/management_message.c"
#undef pack

#include <assert.h>

static const struct secret_key own = { { 1, 2, 3 } };

/* A server opens what is in a request, and its answer is understood. */
static void request_and_answer(const uint8_t *data, size_t size)
{
	struct secret_key server = { { 4, 5, 6 } };
	uint8_t server_public[KEY_LEN], *bytes, *plain;
	struct envelope_pair pair;
	size_t len, plain_len;

	key_public(&server, server_public);
	if (!envelope_unpack_request(&server, server_public, data, size, &pair, &plain, &plain_len))
		envelope_free(plain, plain_len);
	assert(envelope_pack_management(&own, server_public, data, size, &bytes, &len) == 0);
	assert(envelope_unpack_request(&server, server_public, bytes, len, &pair, &plain, &plain_len) == 0);
	assert(plain_len == size && (!size || !memcmp(plain, data, size)));
	envelope_free(plain, plain_len);
	envelope_free(bytes, len);
	assert(envelope_pack_answer(&pair, data, size, &bytes, &len) == 0);
	assert(envelope_unpack_management(&own, server_public, bytes, len, &plain, &plain_len) == 0);
	assert(plain_len == size && (!size || !memcmp(plain, data, size)));
	envelope_free(plain, plain_len);
	envelope_free(bytes, len);
}

static void there_and_back(const uint8_t *data, size_t size)
{
	struct secret_key other = { { 4, 5, 6 } };
	uint8_t own_public[KEY_LEN], other_public[KEY_LEN], from[KEY_LEN], *bytes, *plain;
	size_t len, plain_len;

	key_public(&own, own_public);
	key_public(&other, other_public);
	if (envelope_pack_signal(&own, other_public, data, size, &bytes, &len) < 0)
		return;
	assert(envelope_unpack_signal(&other, bytes, len, from, &plain, &plain_len) == 0);
	assert(plain_len == size && (!size || memcmp(plain, data, size) == 0) &&
		memcmp(from, own_public, KEY_LEN) == 0);
	envelope_free(plain, plain_len);
	bytes[len - 1] ^= 1;
	assert(envelope_unpack_signal(&other, bytes, len, from, &plain, &plain_len) == -EBADMSG);
	envelope_free(bytes, len);
	assert(envelope_pack_management(&own, other_public, data, size, &bytes, &len) == 0);
	assert(envelope_unpack_management(&other, own_public, bytes, len, &plain, &plain_len) == 0);
	assert(plain_len == size && (!size || memcmp(plain, data, size) == 0));
	envelope_free(plain, plain_len);
	envelope_free(bytes, len);
}

/* What we answer to a job names the job, and says in our terms what came of it. */
static void answer_job(const uint8_t *data, size_t size, bool has_succeeded)
{
	Management__JobResponse *response;
	struct message_job job;
	uint8_t *answer;
	size_t len;

	if (message_parse_job(data, size, &job))
		return;
	assert(job.id_len && job.id_len <= sizeof(job.id));
	assert(!job.is_bundle || (job.log_files >= 1 && job.log_files <= 100 && job.wait_minutes <= 60));
	assert(job.is_bundle || !(job.anonymizes || job.is_strict || job.log_files || job.wait_minutes));
	assert(message_pack_job_answer(&job, has_succeeded, "text", &answer, &len) == 0);
	response = management__job_response__unpack(NULL, len, answer);
	assert(response && response->id.len == job.id_len && !memcmp(response->id.data, job.id, job.id_len));
	assert((response->status == MANAGEMENT__JOB_STATUS__succeeded) == has_succeeded);
	assert((response->status == MANAGEMENT__JOB_STATUS__failed) == !has_succeeded);
	management__job_response__free_unpacked(response, NULL);
	free(answer);
}

static void read_all(const uint8_t *data, size_t size)
{
	uint8_t *plain, from[KEY_LEN], server[KEY_LEN] = { 9 };
	size_t len;

	if (envelope_unpack_management(&own, server, data, size, &plain, &len) == 0)
		envelope_free(plain, len);
	if (envelope_unpack_signal(&own, data, size, from, &plain, &len) == 0)
		envelope_free(plain, len);
	message_parse_server_key(data, size, from);
	answer_job(data, size, true);
	answer_job(data, size, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size + !size);

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	read_all(bytes, size);
	if (size < 200 && size % 8 == 0)	/* scalar multiplications are slow */
		there_and_back(bytes, size);
	free(bytes);
	return 0;
}
