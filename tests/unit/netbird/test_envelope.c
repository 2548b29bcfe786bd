// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Boxes around messages: known answers, what was recorded, and everything that must not open.
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "netbird/envelope.c"
#include "management.pb-c.h"
#include "unit/netbird.h"
#include "signalexchange.pb-c.h"

#define CLIENT_PRIVATE	"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define CLIENT_PUBLIC	"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
#define OTHER_PRIVATE	"ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="
#define OTHER_PUBLIC	"WGmv9FBUlzLLqu1eXfmzCm2jHLDldCutWtShp2jxpns="

static const struct {
	const char *plain, *body;
} answers[] = {
	{ "", "404142434445464748494a4b4c4d4e4f5051525354555657" "b6dc6b36ecb69499bf8b4ec816e69320" },
	{ "0a0454455354120b0a026e3112056c696e7578",
	  "404142434445464748494a4b4c4d4e4f5051525354555657"
	  "d1ba1de065f4f6bbbeef6bc1514af50dc1fbd901e1dced2ecfa1122e1dec43a1b0231e" },
};

static size_t hex(const char *text, uint8_t *bytes, size_t size)
{
	size_t len;

	assert_int_equal(sodium_hex2bin(bytes, size, text, strlen(text), NULL, &len, NULL), 0);
	return len;
}

static void both_known_answers_are_given(void **state)
{
	struct secret_key client = netbird_secret(CLIENT_PRIVATE), server = netbird_secret(OTHER_PRIVATE);
	uint8_t client_public[KEY_LEN], server_public[KEY_LEN];

	netbird_key(CLIENT_PUBLIC, client_public);
	netbird_key(OTHER_PUBLIC, server_public);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		uint8_t plain[64], want[128], got[128], nonce[crypto_box_NONCEBYTES];
		size_t len = hex(answers[i].plain, plain, sizeof(plain));
		size_t body_len = hex(answers[i].body, want, sizeof(want));

		for (uint8_t n = 0; n < crypto_box_NONCEBYTES; n++)
			nonce[n] = 0x40 + n;
		assert_int_equal(body_len, len + ENVELOPE_OVERHEAD);
		assert_int_equal(seal_with(&client, server_public, nonce, plain, len, got), 0);
		assert_memory_equal(got, want, body_len);
		memset(got, 0, sizeof(got));
		assert_int_equal(envelope_open(&server, client_public, want, body_len, got), 0);
		assert_memory_equal(got, plain, len);
	}
}

/* "node-..." opens with the node's key; boxes work both ways, so it does not matter who sent it. */
static void open_recorded(const char *name)
{
	struct secret_key own = netbird_secret(name[0] == 'n' ? NODE_PRIVATE : LAP_PRIVATE);
	char box[300], bin[300];
	uint8_t server[KEY_LEN], *body, *plain, *want;
	size_t len, want_len;

	snprintf(box, sizeof(box), "management/%s", name);
	snprintf(bin, sizeof(bin), "management/%.*s.bin", (int)strlen(name) - 4, name);
	netbird_key(SERVER_PUBLIC, server);
	body = netbird_read(box, &len);
	want = netbird_read(bin, &want_len);
	assert_int_equal(len, want_len + ENVELOPE_OVERHEAD);
	plain = malloc(want_len);
	assert_int_equal(envelope_open(&own, server, body, len, plain), 0);
	assert_memory_equal(plain, want, want_len);
	free(plain);
	free(body);
	free(want);
}

static void every_recorded_box_opens(void **state)
{
	char dir_name[PATH_MAX];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	snprintf(dir_name, sizeof(dir_name), "%s", netbird_path("management"));
	dir = opendir(dir_name);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len < 5 || strcmp(entry->d_name + len - 4, ".box") != 0)
			continue;
		open_recorded(entry->d_name);
		count++;
	}
	closedir(dir);
	assert_int_equal(count, 17);
}

static void what_was_changed_does_not_open(void **state)
{
	struct secret_key own = netbird_secret(CLIENT_PRIVATE), other = netbird_secret(OTHER_PRIVATE);
	uint8_t own_public[KEY_LEN], other_public[KEY_LEN], body[ENVELOPE_OVERHEAD + 5], plain[5];

	netbird_key(CLIENT_PUBLIC, own_public);
	netbird_key(OTHER_PUBLIC, other_public);
	assert_int_equal(envelope_seal(&own, other_public, "hello", 5, body), 0);
	assert_int_equal(envelope_open(&other, own_public, body, sizeof(body), plain), 0);
	for (size_t i = 0; i < sizeof(body); i++) {
		body[i] ^= 1;
		assert_int_equal(envelope_open(&other, own_public, body, sizeof(body), plain), -EBADMSG);
		body[i] ^= 1;
	}
	for (size_t len = 0; len < sizeof(body); len++)
		assert_int_equal(envelope_open(&other, own_public, body, len, plain), -EBADMSG);
	assert_int_equal(envelope_open(&own, own_public, body, sizeof(body), plain), -EBADMSG);
}

static void two_seals_differ(void **state)
{
	struct secret_key own = netbird_secret(CLIENT_PRIVATE);
	uint8_t other[KEY_LEN], a[ENVELOPE_OVERHEAD], b[ENVELOPE_OVERHEAD];

	netbird_key(OTHER_PUBLIC, other);
	assert_int_equal(envelope_seal(&own, other, NULL, 0, a), 0);
	assert_int_equal(envelope_seal(&own, other, NULL, 0, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void a_key_of_low_order_is_refused(void **state)
{
	struct secret_key own = netbird_secret(CLIENT_PRIVATE);
	uint8_t zero[KEY_LEN] = {}, body[ENVELOPE_OVERHEAD];

	assert_int_equal(envelope_seal(&own, zero, NULL, 0, body), -EKEYREJECTED);
}

static void messages_to_management_are_what_its_schema_says(void **state)
{
	struct secret_key own = netbird_secret(CLIENT_PRIVATE), server = netbird_secret(OTHER_PRIVATE);
	uint8_t own_public[KEY_LEN], server_public[KEY_LEN], *bytes, *plain;
	Management__EncryptedMessage *message;
	size_t len, plain_len;

	netbird_key(CLIENT_PUBLIC, own_public);
	netbird_key(OTHER_PUBLIC, server_public);
	assert_int_equal(envelope_pack_management(&own, server_public, "hello", 5, &bytes, &len), 0);
	message = management__encrypted_message__unpack(NULL, len, bytes);
	assert_non_null(message);
	assert_string_equal(message->wg_pub_key, CLIENT_PUBLIC);
	assert_int_equal(message->body.len, 45);
	management__encrypted_message__free_unpacked(message, NULL);
	assert_int_equal(envelope_unpack_management(&server, own_public, bytes, len, &plain, &plain_len), 0);
	assert_int_equal(plain_len, 5);
	assert_memory_equal(plain, "hello", 5);
	envelope_free(plain, plain_len);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(envelope_unpack_management(&server, own_public, bytes, cut, &plain,
			&plain_len), -EBADMSG);
	envelope_free(bytes, len);
	assert_int_equal(envelope_pack_management(&own, server_public, NULL, 0, &bytes, &len), 0);
	assert_int_equal(envelope_unpack_management(&server, own_public, bytes, len, &plain, &plain_len), 0);
	assert_int_equal(plain_len, 0);
	envelope_free(plain, plain_len);
	envelope_free(bytes, len);
}

static void messages_to_peers_name_both_and_prove_the_sender(void **state)
{
	struct secret_key own = netbird_secret(CLIENT_PRIVATE), other = netbird_secret(OTHER_PRIVATE);
	uint8_t own_public[KEY_LEN], other_public[KEY_LEN], from[KEY_LEN], *bytes, *plain;
	Signalexchange__EncryptedMessage *message;
	size_t len, plain_len;

	netbird_key(CLIENT_PUBLIC, own_public);
	netbird_key(OTHER_PUBLIC, other_public);
	assert_int_equal(envelope_pack_signal(&own, other_public, "offer", 5, &bytes, &len), 0);
	message = signalexchange__encrypted_message__unpack(NULL, len, bytes);
	assert_non_null(message);
	assert_string_equal(message->key, CLIENT_PUBLIC);
	assert_string_equal(message->remote_key, OTHER_PUBLIC);
	assert_int_equal(envelope_unpack_signal(&other, bytes, len, from, &plain, &plain_len), 0);
	assert_memory_equal(from, own_public, KEY_LEN);
	assert_int_equal(plain_len, 5);
	assert_memory_equal(plain, "offer", 5);
	envelope_free(plain, plain_len);
	envelope_free(bytes, len);

	/* The same box under another's name. */
	strcpy(message->key, LAP_PUBLIC);
	len = signalexchange__encrypted_message__get_packed_size(message);
	bytes = malloc(len);
	signalexchange__encrypted_message__pack(message, bytes);
	assert_int_equal(envelope_unpack_signal(&other, bytes, len, from, &plain, &plain_len), -EBADMSG);
	signalexchange__encrypted_message__free_unpacked(message, NULL);
	free(bytes);
}

static void a_server_opens_requests_of_whoever_made_them_and_answers_them(void **state)
{
	struct secret_key client = netbird_secret(CLIENT_PRIVATE), server = netbird_secret(OTHER_PRIVATE);
	uint8_t client_public[KEY_LEN], server_public[KEY_LEN], *bytes, *plain, *answer;
	size_t len, plain_len, answer_len;
	struct envelope_pair pair;

	netbird_key(CLIENT_PUBLIC, client_public);
	netbird_key(OTHER_PUBLIC, server_public);
	assert_int_equal(envelope_pack_management(&client, server_public, "login", 5, &bytes, &len), 0);
	assert_int_equal(envelope_unpack_request(&server, server_public, bytes, len, &pair, &plain,
		&plain_len), 0);
	assert_int_equal(plain_len, 5);
	assert_memory_equal(plain, "login", 5);
	assert_memory_equal(pair.peer, client_public, KEY_LEN);
	envelope_free(plain, plain_len);
	assert_int_equal(envelope_pack_answer(&pair, "welcome", 7, &answer, &answer_len), 0);
	assert_int_equal(envelope_unpack_management(&client, server_public, answer, answer_len, &plain,
		&plain_len), 0);
	assert_int_equal(plain_len, 7);
	assert_memory_equal(plain, "welcome", 7);
	envelope_free(plain, plain_len);
	envelope_free(answer, answer_len);
	/* cut, changed, or by another than it names */
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(envelope_unpack_request(&server, server_public, bytes, cut, &pair, &plain,
			&plain_len), -EBADMSG);
	bytes[len - 1] ^= 1;
	assert_int_equal(envelope_unpack_request(&server, server_public, bytes, len, &pair, &plain,
		&plain_len), -EBADMSG);
	bytes[len - 1] ^= 1;
	memcpy(bytes + 2, LAP_PUBLIC, KEY_BASE64_LEN);
	assert_int_equal(envelope_unpack_request(&server, server_public, bytes, len, &pair, &plain,
		&plain_len), -EBADMSG);
	memcpy(bytes + 2, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", KEY_BASE64_LEN);
	assert_int_equal(envelope_unpack_request(&server, server_public, bytes, len, &pair, &plain,
		&plain_len), -EKEYREJECTED);
	envelope_free(bytes, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_known_answers_are_given),
		cmocka_unit_test(every_recorded_box_opens),
		cmocka_unit_test(what_was_changed_does_not_open),
		cmocka_unit_test(two_seals_differ),
		cmocka_unit_test(a_key_of_low_order_is_refused),
		cmocka_unit_test(messages_to_management_are_what_its_schema_says),
		cmocka_unit_test(messages_to_peers_name_both_and_prove_the_sender),
		cmocka_unit_test(a_server_opens_requests_of_whoever_made_them_and_answers_them),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
