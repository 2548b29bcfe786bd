// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One POST, by libcurl.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "lazy/libcurl.h"
#include "login/internal.h"

int web_check_url(const char *name, const char *url, const struct server_url *management, char *why,
	size_t size)
{
	struct server_url parsed;

	if (server_url_parse_web(url, &parsed)) {
		snprintf(why, size, "%s %.200s: expected https://HOST[:PORT]/PATH", name, url);
		return -EPROTONOSUPPORT;
	}
	if (parsed.scheme == SERVER_HTTPS || server_url_is_loopback(&parsed))
		return 0;
	if (management->scheme == SERVER_HTTP && !strcasecmp(parsed.host, management->host))
		return 0;
	snprintf(why, size, "%s %.200s: expected https://; a token is not sent without TLS", name, url);
	return -EPROTONOSUPPORT;
}

/* --- the POST --- */

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct web_answer *answer = ctx;
	size_t len = size * count;

	if (answer->len + len > WEB_BODY_MAX)
		return 0;
	memcpy(answer->body + answer->len, bytes, len);
	answer->len += len;
	answer->body[answer->len] = '\0';
	return len;
}

static void set_trust(const struct libcurl *lib, CURL *curl)
{
	const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

	if (file && *file)
		lib->setopt(curl, CURLOPT_CAINFO, file);
	if (dir && *dir)
		lib->setopt(curl, CURLOPT_CAPATH, dir);
}

static void set_certificate(const struct libcurl *lib, CURL *curl, const struct web_certificate *own)
{
	if (!own || !own->certificate)
		return;
	lib->setopt(curl, CURLOPT_SSLCERT, own->certificate);
	lib->setopt(curl, CURLOPT_SSLKEY, own->key ? own->key : own->certificate);
}

static void set_options(const struct libcurl *lib, CURL *curl, const char *url, const struct form *form,
	struct web_answer *answer)
{
	struct server_url parsed = {};
	bool is_tls;

	server_url_parse(url, SERVER_SCHEMES_WEB, &parsed);
	is_tls = parsed.scheme == SERVER_HTTPS;
	lib->setopt(curl, CURLOPT_URL, url);
	lib->setopt(curl, CURLOPT_PROTOCOLS_STR, is_tls ? "https" : "http");
	lib->setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	lib->setopt(curl, CURLOPT_POST, 1L);
	lib->setopt(curl, CURLOPT_POSTFIELDS, form->text);
	lib->setopt(curl, CURLOPT_POSTFIELDSIZE, (long)form->len);
	lib->setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	lib->setopt(curl, CURLOPT_WRITEDATA, answer);
	lib->setopt(curl, CURLOPT_TIMEOUT_MS, WEB_TIMEOUT_MS);
	/* Without CURLOPT_NOSIGNAL, with which libcurl would let SIGPIPE end this process. */
	lib->setopt(curl, CURLOPT_USERAGENT, "talon/" TALON_VERSION);
	if (server_url_is_loopback(&parsed))
		lib->setopt(curl, CURLOPT_NOPROXY, "*");
	set_trust(lib, curl);
}

static int perform(const struct libcurl *lib, CURL *curl, const char *url, struct web_answer *answer,
	char *why, size_t size)
{
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode code;

	lib->setopt(curl, CURLOPT_ERRORBUFFER, detail);
	code = lib->perform(curl);
	if (code == CURLE_WRITE_ERROR) {
		snprintf(why, size, "%.200s: the answer is longer than %u bytes", url, WEB_BODY_MAX);
		return -EMSGSIZE;
	}
	if (code) {
		snprintf(why, size, "%.200s: %s", url, *detail ? detail : lib->error_text(code));
		return code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EHOSTUNREACH;
	}
	lib->getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	return 0;
}

int web_post(const char *url, const struct form *form, const struct web_certificate *own,
	struct web_answer *ret_answer, char *why, size_t size)
{
	const struct libcurl *lib = libcurl_load(why, size);
	struct web_answer answer = {};
	CURL *curl;
	int ret;

	if (!lib)
		return -ELIBACC;
	curl = lib->init();
	answer.body = calloc(1, WEB_BODY_MAX + 1);
	if (!curl || !answer.body || form->is_out_of_memory) {
		snprintf(why, size, "out of memory");
		ret = -ENOMEM;
	} else {
		set_options(lib, curl, url, form, &answer);
		set_certificate(lib, curl, own);
		ret = perform(lib, curl, url, &answer, why, size);
	}
	if (curl)
		lib->cleanup(curl);
	if (ret)
		web_answer_done(&answer);
	else
		*ret_answer = answer;
	return ret;
}

void web_answer_done(struct web_answer *answer)
{
	if (answer->body)
		sodium_memzero(answer->body, WEB_BODY_MAX + 1);
	free(answer->body);
	memset(answer, 0, sizeof(*answer));
}
