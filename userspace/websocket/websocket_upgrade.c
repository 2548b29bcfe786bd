// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The WebSocket opening handshake: one request, one answer, no redirects, no extensions, no subprotocols.
#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "websocket/websocket_upgrade.h"

#define GUID		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"	/* section 1.3 */
#define SHA1_LEN	20
#define VERSION_TEXT	"HTTP/1.1 "
#define VERSION_LEN	9
#define STATUS_LEN	3
#define PHRASE_MAX	60

/* A part of the head: not terminated. */
struct text {
	const char *at;
	size_t len;
};

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

static bool equals(struct text text, const char *word)
{
	return text.len == strlen(word) && !strncasecmp(text.at, word, text.len);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct text trim(struct text text)
{
	for (; text.len && is_blank(text.at[0]); text.len--)
		text.at++;
	while (text.len && is_blank(text.at[text.len - 1]))
		text.len--;
	return text;
}

/* The part up to @c, which is skipped; all of it if there is none. */
static struct text cut(struct text *rest, char c)
{
	const char *end = memchr(rest->at, c, rest->len);
	struct text part = { rest->at, end ? (size_t)(end - rest->at) : rest->len };
	size_t taken = part.len + (end ? 1 : 0);

	rest->at += taken;
	rest->len -= taken;
	return part;
}

static bool has_word(struct text list, const char *word)
{
	while (list.len) {
		if (equals(trim(cut(&list, ',')), word))
			return true;
	}
	return false;
}

/* RFC 9110, section 5.6.2 */
static bool is_token(struct text text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!isalnum((unsigned char)text.at[i]) && !memchr("!#$%&'*+-.^_`|~", text.at[i], 15))
			return false;
	}
	return text.len > 0;
}

/*
 * No controls but the line ends: nothing that could be read as something else by whoever stood between us
 * and the server.
 */
static bool is_clean(struct text head)
{
	for (size_t i = 0; i < head.len; i++) {
		unsigned char c = head.at[i];

		if (c == '\r' ? i + 1 == head.len || head.at[i + 1] != '\n' : c == '\n' ? i == 0 ||
			head.at[i - 1] != '\r' : (c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int check_status(struct text line, char *why, size_t why_len)
{
	char phrase[PHRASE_MAX + 1] = "";
	size_t n = 0;

	for (unsigned i = 0; i < STATUS_LEN; i++) {
		if (line.len < VERSION_LEN + STATUS_LEN || line.at[VERSION_LEN + i] < '0' ||
			line.at[VERSION_LEN + i] > '9')
			return refuse(why, why_len, "the answer's status line is malformed");
	}
	if (line.len > VERSION_LEN + STATUS_LEN && line.at[VERSION_LEN + STATUS_LEN] != ' ')
		return refuse(why, why_len, "the answer's status line is malformed");
	if (!memcmp(line.at + VERSION_LEN, "101", STATUS_LEN))
		return 0;
	for (size_t i = VERSION_LEN; i < line.len && n < PHRASE_MAX; i++, n++)
		phrase[n] = line.at[i] >= ' ' && line.at[i] < 0x7f ? line.at[i] : '?';
	snprintf(why, why_len, "the upgrade to WebSocket was answered with HTTP status %s", phrase);
	return -EPROTO;
}

static int check_field(struct text line, const char *accept, struct seen *seen, char *why, size_t why_len)
{
	struct text value = line, name;

	if (!memchr(line.at, ':', line.len))
		return refuse(why, why_len, "the answer has a line that is no header field");
	name = cut(&value, ':');
	value = trim(value);
	if (!is_token(name))
		return refuse(why, why_len, "the answer has a header field without a proper name");
	if (equals(name, "upgrade")) {
		if (seen->upgrade++ || !equals(value, "websocket"))
			return refuse(why, why_len, "the server upgrades to something else than WebSocket");
	} else if (equals(name, "connection")) {
		seen->connection |= has_word(value, "upgrade");
	} else if (equals(name, "sec-websocket-accept")) {
		if (seen->accept++ || value.len != WEBSOCKET_ACCEPT_LEN ||
			memcmp(value.at, accept, value.len))
			return refuse(why, why_len, "the server's Sec-WebSocket-Accept does not fit our key");
	} else if (equals(name, "sec-websocket-extensions") || equals(name, "sec-websocket-protocol")) {
		return refuse(why, why_len,
			"the server chose a WebSocket extension or subprotocol that was not offered");
	}
	return 0;
}

static int check_head(struct text head, const char *accept, char *why, size_t why_len)
{
	struct seen seen = {};
	struct text line;
	int ret;

	if (!is_clean(head))
		return refuse(why, why_len, "the answer has control characters in its head");
	line = cut(&head, '\n');
	line.len--;	/* of the CR LF that is_clean() saw to */
	ret = check_status(line, why, why_len);
	while (!ret && head.len) {
		line = cut(&head, '\n');
		line.len--;
		ret = check_field(line, accept, &seen, why, why_len);
	}
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
	ret = check_head((struct text){ bytes, end + 2 - bytes }, accept, why, why_len);
	return ret ? ret : end + 4 - bytes;
}
