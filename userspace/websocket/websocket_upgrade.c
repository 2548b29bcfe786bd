// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The WebSocket opening handshake: one request, one answer, no redirects, no extensions, no subprotocols.
#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "http/head.h"
#include "websocket/websocket_upgrade.h"

#define GUID		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"	/* section 1.3 */
#define SHA1_LEN	20
#define VERSION_TEXT	"HTTP/1.1 "
#define VERSION_LEN	9
#define SWITCHING_PROTOCOLS 101	/* RFC 9110 section 15.2.2 */
#define PHRASE_MAX	60

struct seen {
	unsigned upgrade, accept;
	bool connection;
};

void websocket_key_make(char ret_key[static WEBSOCKET_KEY_LEN + 1])
{
	uint8_t bytes[16];

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(ret_key, WEBSOCKET_KEY_LEN + 1, bytes, sizeof(bytes),
		sodium_base64_VARIANT_ORIGINAL);
}

void websocket_key_accept(const char *key, char ret_accept[static WEBSOCKET_ACCEPT_LEN + 1])
{
	char text[WEBSOCKET_KEY_LEN + sizeof(GUID)];
	uint8_t hash[EVP_MAX_MD_SIZE];
	int len = snprintf(text, sizeof(text), "%.*s" GUID, WEBSOCKET_KEY_LEN, key);

	EVP_Digest(text, len, hash, NULL, EVP_sha1(), NULL);
	sodium_bin2base64(ret_accept, WEBSOCKET_ACCEPT_LEN + 1, hash, SHA1_LEN,
		sodium_base64_VARIANT_ORIGINAL);
}

int websocket_request_write(const char *host, const char *path, const char *key, char *buf, size_t room)
{
	int len = snprintf(buf, room,
		"GET %s HTTP/1.1\r\n"
		"Host: %s\r\n"
		"User-Agent: talon/" TALON_VERSION "\r\n"
		"Connection: Upgrade\r\n"
		"Upgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: %s\r\n"
		"\r\n", path, host, key);

	return len < 0 || (size_t)len >= room ? -ENOSPC : len;
}

static int refuse(char *why, size_t why_len, const char *text)
{
	snprintf(why, why_len, "%s", text);
	return -EPROTO;
}

static int check_status(struct slice line, char *why, size_t why_len)
{
	char phrase[PHRASE_MAX + 1] = "";
	struct http_status status;
	size_t n = 0;

	if (http_status_parse(line, &status))
		return refuse(why, why_len, "the answer's status line is malformed");
	if (status.code == SWITCHING_PROTOCOLS)
		return 0;
	for (size_t i = 0; i < status.text.len && n < PHRASE_MAX; i++, n++)
		phrase[n] = status.text.at[i] >= ' ' && status.text.at[i] < 0x7f ? status.text.at[i] : '?';
	snprintf(why, why_len, "the upgrade to WebSocket was answered with HTTP status %s", phrase);
	return -EPROTO;
}

static int check_field(struct slice line, const char *accept, struct seen *seen, char *why, size_t why_len)
{
	struct http_field field;
	int ret = http_field_parse(line, &field);

	if (ret == -EPROTO)
		return refuse(why, why_len, "the answer has a line that is not a header field");
	if (ret)
		return refuse(why, why_len, "the answer has a header field without a proper name");
	if (slice_is(field.name, "upgrade")) {
		if (seen->upgrade++ || !slice_is(field.value, "websocket"))
			return refuse(why, why_len, "the server upgrades to something other than WebSocket");
	} else if (slice_is(field.name, "connection")) {
		seen->connection |= http_list_has(field.value, "upgrade");
	} else if (slice_is(field.name, "sec-websocket-accept")) {
		if (seen->accept++ || field.value.len != WEBSOCKET_ACCEPT_LEN ||
			memcmp(field.value.at, accept, field.value.len))
			return refuse(why, why_len,
			"the server's Sec-WebSocket-Accept does not match our key");
	} else if (slice_is(field.name, "sec-websocket-extensions") ||
		slice_is(field.name, "sec-websocket-protocol")) {
		return refuse(why, why_len,
			"the server chose a WebSocket extension or subprotocol that was not offered");
	}
	return 0;
}

static int check_head(struct slice head, const char *accept, char *why, size_t why_len)
{
	struct seen seen = {};
	int ret;

	if (!http_head_is_clean(head))
		return refuse(why, why_len, "the answer has control characters in its head");
	ret = check_status(http_head_next_line(&head), why, why_len);
	while (!ret && head.len)
		ret = check_field(http_head_next_line(&head), accept, &seen, why, why_len);
	if (ret)
		return ret;
	if (!seen.upgrade || !seen.connection || !seen.accept)
		return refuse(why, why_len, "the answer lacks Upgrade, Connection or Sec-WebSocket-Accept");
	return 0;
}

int websocket_answer_parse(const char *bytes, size_t len, const char *accept, char *why, size_t why_len)
{
	size_t known = len < VERSION_LEN ? len : VERSION_LEN;
	size_t most = len < WEBSOCKET_ANSWER_MAX ? len : WEBSOCKET_ANSWER_MAX;
	const char *end;
	int ret;

	if (memcmp(bytes, VERSION_TEXT, known))
		return refuse(why, why_len, "the answer is not HTTP/1.1");
	end = memmem(bytes, most, "\r\n\r\n", 4);
	if (!end)
		return most < WEBSOCKET_ANSWER_MAX ? 0 : refuse(why, why_len,
			"the answer's head is too long");
	ret = check_head((struct slice){ bytes, end + 2 - bytes }, accept, why, why_len);
	return ret ? ret : end + 4 - bytes;
}
