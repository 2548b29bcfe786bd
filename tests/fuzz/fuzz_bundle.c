// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a debug bundle reads from outside: a job of management (J), a map to show (M), an upload
// service's answer (U).
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/base/json_out.c"
#include "../../userspace/base/text.c"
#include "../../userspace/bundle/upload.c"
#include "../../userspace/crypto/key.c"
#include "../../userspace/lazy/libcurl.c"
#include "../../userspace/netbird/expiry.c"
#include "../../userspace/netbird/management_message.c"
#include "../../userspace/netmap/netmap_show.c"
#include "../../userspace/netbird/wire.c"
#include "management.pb-c.c"

static void as_job(const uint8_t *data, size_t size)
{
	struct message_job job;
	uint8_t *bytes;
	size_t len;

	if (message_parse_job(data, size, &job))
		return;
	assert(job.id_len && job.id_len <= sizeof(job.id));
	assert(!job.is_bundle || (job.log_files >= 1 && job.log_files <= 100 && job.wait_minutes <= 60));
	assert(!job.is_strict || job.anonymizes);
	if (!message_pack_job_answer(&job, size % 2, "text", &bytes, &len))
		free(bytes);
}

static void as_map(const uint8_t *data, size_t size)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int ret = netmap_show(data, size, out);
	json_t *json;

	fclose(out);
	if (!ret) {
		json = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
		assert(json_is_object(json));
		json_decref(json);
	}
	free(text);
}

static void as_answer(const uint8_t *data, size_t size)
{
	char url[UPLOAD_URL_LEN], key[BUNDLE_KEY_LEN], *text = strndup((const char *)data, size);

	if (!upload_parse(text, url, key))
		assert(url[0] && key[0] && !strpbrk(key, " \n\r"));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0]) {
	case 'J':
		as_job(data + 1, size - 1);
		break;
	case 'M':
		as_map(data + 1, size - 1);
		break;
	case 'U':
		as_answer(data + 1, size - 1);
		break;
	}
	return 0;
}
