// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Uploads a bundle as NetBird's client does: a service says where to, and that place takes it by PUT.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>
#include <sodium.h>

#include "bundle/bundle.h"
#include "bundle/upload_internal.h"
#include "lazy/libcurl.h"

#define CONNECT_S	30L
#define TOTAL_S		300L
#define ANSWER_MOST	65536U

struct answer {
	char text[ANSWER_MOST];
	size_t len;
};

static size_t take(char *bytes, size_t size, size_t count, void *user)
{
	struct answer *answer = user;

	size *= count;
	if (size >= sizeof(answer->text) - answer->len)
		return 0;		/* curl ends with CURLE_WRITE_ERROR */
	memcpy(answer->text + answer->len, bytes, size);
	answer->len += size;
	answer->text[answer->len] = '\0';
	return size;
}

static void set_common(const struct libcurl *lib, CURL *curl, const struct bundle_upload *upload,
	struct answer *answer, char *error)
{
	const char *schemes = upload->is_insecure ? "https,http" : "https";

	lib->setopt(curl, CURLOPT_PROTOCOLS_STR, schemes);
	lib->setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
	lib->setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	lib->setopt(curl, CURLOPT_MAXREDIRS, 10L);
	lib->setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	lib->setopt(curl, CURLOPT_TIMEOUT, TOTAL_S);
	/* Without CURLOPT_NOSIGNAL, with which libcurl would let SIGPIPE end this process. */
	lib->setopt(curl, CURLOPT_ERRORBUFFER, error);
	lib->setopt(curl, CURLOPT_WRITEFUNCTION, take);
	lib->setopt(curl, CURLOPT_WRITEDATA, answer);
	lib->setopt(curl, CURLOPT_USERAGENT, "talon/" TALON_VERSION);
	/* as everything else here does; curl itself only knows the path it was built with */
	if (getenv("SSL_CERT_FILE"))
		lib->setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
	if (getenv("SSL_CERT_DIR"))
		lib->setopt(curl, CURLOPT_CAPATH, getenv("SSL_CERT_DIR"));
	if (upload->is_insecure) {
		lib->setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		lib->setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

/* Runs the request and expects 200. @what names it. */
static int perform(const struct libcurl *lib, CURL *curl, const char *what, const char *error, char *why,
	size_t size)
{
	CURLcode ret = lib->perform(curl);
	long status = 0;

	if (ret == CURLE_UNSUPPORTED_PROTOCOL) {
		snprintf(why, size, "%s: only https is accepted", what);
		return -EPROTONOSUPPORT;
	}
	if (ret) {
		snprintf(why, size, "%s: %.200s", what, error[0] ? error : lib->error_text(ret));
		return -EIO;
	}
	lib->getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		snprintf(why, size, "%s: HTTP status %ld", what, status);
		return -EIO;
	}
	return 0;
}

void upload_identify(const char *management_url, char ret_id[static UPLOAD_ID_LEN])
{
	uint8_t sum[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(sum, (const uint8_t *)management_url, strlen(management_url));
	sodium_bin2hex(ret_id, UPLOAD_ID_LEN, sum, sizeof(sum));
}

static bool is_plain(const char *text, size_t most)
{
	size_t len = text ? strlen(text) : 0;

	if (!len || len >= most)
		return false;
	for (; *text; text++) {
		if (*text <= ' ' || *text > '~')
			return false;
	}
	return true;
}

int upload_parse(const char *text, char ret_url[static UPLOAD_URL_LEN], char ret_key[static BUNDLE_KEY_LEN])
{
	json_t *json = json_loads(text, 0, NULL);
	const char *url = json_string_value(json_object_get(json, "URL")),
		*key = json_string_value(json_object_get(json, "Key"));
	int ret = is_plain(url, UPLOAD_URL_LEN) && is_plain(key, BUNDLE_KEY_LEN) ? 0 : -EBADMSG;

	if (!ret) {
		strcpy(ret_url, url);
		strcpy(ret_key, key);
	}
	json_decref(json);
	return ret;
}

static int ask(const struct libcurl *lib, const struct bundle_upload *upload, struct answer *answer,
	char *ret_url, char *ret_key, char *why, size_t size)
{
	char url[UPLOAD_URL_LEN], id[UPLOAD_ID_LEN], error[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = lib->slist_append(NULL, "x-nb-client: netbird");
	CURL *curl = lib->init();
	int ret = -ENOMEM;

	upload_identify(upload->management_url, id);
	if (snprintf(url, sizeof(url), "%s%cid=%s", upload->service, strchr(upload->service, '?') ? '&' : '?',
		id) >= (int)sizeof(url)) {
		snprintf(why, size, "the URL of the upload service is too long");
		ret = -ENAMETOOLONG;
	} else if (curl && headers) {
		set_common(lib, curl, upload, answer, error);
		lib->setopt(curl, CURLOPT_URL, url);
		lib->setopt(curl, CURLOPT_HTTPHEADER, headers);
		ret = perform(lib, curl, "the upload service", error, why, size);
	}
	lib->slist_free(headers);
	lib->cleanup(curl);
	if (ret)
		return ret;
	ret = upload_parse(answer->text, ret_url, ret_key);
	if (ret)
		snprintf(why, size, "the upload service: its answer has no URL and Key");
	return ret;
}

static int put(const struct libcurl *lib, const struct bundle_upload *upload, struct answer *answer,
	const char *url, FILE *file, size_t len, char *why, size_t size)
{
	struct curl_slist *headers = lib->slist_append(NULL, "Content-Type: application/octet-stream");
	char error[CURL_ERROR_SIZE] = "";
	CURL *curl = lib->init();
	int ret = -ENOMEM;

	if (curl && headers) {
		set_common(lib, curl, upload, answer, error);
		lib->setopt(curl, CURLOPT_URL, url);
		lib->setopt(curl, CURLOPT_HTTPHEADER, headers);
		lib->setopt(curl, CURLOPT_UPLOAD, 1L);
		lib->setopt(curl, CURLOPT_READDATA, file);
		lib->setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)len);
		ret = perform(lib, curl, "the upload", error, why, size);
	}
	lib->slist_free(headers);
	lib->cleanup(curl);
	return ret;
}

static int send_file(const struct libcurl *lib, const struct bundle_upload *upload, FILE *file, size_t len,
	char *ret_key, char *why, size_t size)
{
	struct answer *answer = calloc(1, sizeof(*answer));
	char url[UPLOAD_URL_LEN], key[BUNDLE_KEY_LEN];
	int ret = answer ? ask(lib, upload, answer, url, key, why, size) : -ENOMEM;

	if (!ret) {
		answer->len = 0;
		ret = put(lib, upload, answer, url, file, len, why, size);
	}
	if (!ret)
		strcpy(ret_key, key);
	free(answer);
	return ret;
}

int bundle_upload(const struct bundle_upload *upload, char ret_key[static BUNDLE_KEY_LEN], char *why,
	size_t size)
{
	const struct libcurl *lib = libcurl_load(why, size);
	struct stat st;
	FILE *file;
	int ret;

	if (!lib)
		return -ELIBACC;
	file = fopen(upload->path, "re");
	snprintf(why, size, "out of memory");
	if (!file || fstat(fileno(file), &st)) {
		ret = -errno;
		snprintf(why, size, "%s: %s", upload->path, strerror(errno));
	} else if (st.st_size > BUNDLE_UPLOAD_MAX) {
		ret = -EFBIG;
		snprintf(why, size, "%s has more than %u MiB, which the service does not take", upload->path,
			BUNDLE_UPLOAD_MAX >> 20);
	} else {
		ret = send_file(lib, upload, file, st.st_size, ret_key, why, size);
	}
	if (file)
		fclose(file);
	return ret;
}
