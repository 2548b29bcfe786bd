/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A folder for a store, peers and keys to put there, and all that is in it as text. */
#ifndef TALON_STORE_WORLD_H
#define TALON_STORE_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hubstore/hubstore.h"

static const uint8_t master[HUBSTORE_MASTER_LEN] = "a key of exactly 32 bytes, yes!";
static char folder[64];
static char why[HUBSTORE_WHY_LEN];

static inline void sh(const char *fmt, const char *a, const char *b)
{
	char command[512];

	snprintf(command, sizeof(command), fmt, a, b);
	assert_int_equal(system(command), 0);
}

static inline int make_folder(void **state)
{
	/* in memory where that is to be had: flushing takes no time there */
	snprintf(folder, sizeof(folder), "%s/talon-hubstore-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" :
		"/dev/shm");
	assert_non_null(mkdtemp(folder));
	return 0;
}

static inline int remove_folder(void **state)
{
	sh("rm -rf %s", folder, NULL);
	return 0;
}

static inline struct hubstore *open_at(const char *dir)
{
	struct hubstore *store;
	int ret = hubstore_open(dir, master, &store, why);

	if (ret)
		print_message("%d: %s\n", ret, why);
	assert_int_equal(ret, 0);
	return store;
}

static inline const uint8_t *hash_of(uint8_t number)
{
	static uint8_t hash[HUBSTORE_HASH_LEN];

	memset(hash, number, sizeof(hash));
	return hash;
}

#define NAMES(...) \
	.groups = (char *[]){ __VA_ARGS__ }, .group_count = sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)

static char sample_name[16];

/* Number @n, in two groups; only one of them has texts. */
static inline struct hubstore_peer sample(uint8_t n)
{
	static char *groups[] = { "All", "homes" };
	struct hubstore_peer peer = {
		.name = sample_name, .hostname = "Ann's laptop", .ssh_key = "ssh-ed25519 AAAA", .os = "linux",
		.version = "0.77.1", .address = htonl(0x64400000 + n), .capabilities = 0x80000005,
		.is_ephemeral = true, .joined_s = 1700000000, .seen_s = 1700000001, .login_s = 1700000002,
		.setup_key = "home", .groups = groups, .group_count = 2,
	};

	snprintf(sample_name, sizeof(sample_name), "peer-%u", n);
	memset(peer.key, n, sizeof(peer.key));
	peer.address6.word[0] = htonl(0xfd000000);
	peer.address6.word[3] = htonl(n);
	return peer;
}

static inline int show_peer(void *ctx, const struct hubstore_peer *peer)
{
	FILE *out = ctx;

	fprintf(out, "peer %02x%02x %s|%s|%s|%s|%s|%08x|%08x%08x%08x%08x|%x|%d%d|%llu %llu %llu|%s|%s|",
		peer->key[0], peer->key[31], peer->name, peer->hostname, peer->ssh_key, peer->os,
		peer->version,
		ntohl(peer->address), ntohl(peer->address6.word[0]), ntohl(peer->address6.word[1]),
		ntohl(peer->address6.word[2]), ntohl(peer->address6.word[3]), peer->capabilities,
		peer->is_ephemeral, peer->is_login_expiring, (unsigned long long)peer->joined_s,
		(unsigned long long)peer->seen_s, (unsigned long long)peer->login_s, peer->user,
		peer->setup_key);
	for (size_t i = 0; i < peer->group_count; i++)
		fprintf(out, "%s%s", i ? "," : "", peer->groups[i]);
	fputc('\n', out);
	return 0;
}

static inline int show_key(void *ctx, const struct hubstore_key *key, uint32_t uses)
{
	FILE *out = ctx;

	fprintf(out, "key %s|%02x%02x|%llu|%u of %u|%d%d|", key->name, key->hash[0], key->hash[31],
		(unsigned long long)key->expires_s, uses, key->uses_max, key->is_ephemeral, key->is_revoked);
	for (size_t i = 0; i < key->group_count; i++)
		fprintf(out, "%s%s", i ? "," : "", key->groups[i]);
	fputc('\n', out);
	return 0;
}

/* hub.db as version 1 had it, recorded; the tests run at the top of the tree. */
static inline void put_version1(void)
{
	sh("chmod 700 %s && sqlite3 %s/hub.db <tests/unit/vectors/hubstore/version1.sql", folder, folder);
}

#define VERSION1 \
	"peer 0202 peer-2|Ann's laptop|ssh-ed25519 AAAA|linux|0.77.1|64400002|" \
	"fd000000000000000000000000000002|80000005|10|1700000000 1700000001 1700000002||home|All,homes\n" \
	"peer 0101 peer-1|Ann's laptop|ssh-ed25519 AAAA|linux|0.77.1|64400001|" \
	"00000000000000000000000000000000|80000005|11|1700000000 1700000001 1700000002|ann@example.com||" \
	"All,homes\n" \
	"key guests|0200|1800000000|0 of 5|10|laptops,visitors\nkey old|0900|0|0 of 0|01|\n" \
	"uses 1\nuses 1\nuses 0\nserial 4711\n"

static char shown[1 << 16];

/* All that is there: peers, keys, uses of the hashes 1 to 3, the text "serial". */
static inline const char *show(struct hubstore *store)
{
	FILE *out = fmemopen(shown, sizeof(shown), "w");
	char *text;

	assert_int_equal(hubstore_each_peer(store, show_peer, out), 0);
	assert_int_equal(hubstore_each_key(store, NULL, show_key, out), 0);
	for (uint8_t n = 1; n <= 3; n++) {
		uint32_t uses;

		assert_int_equal(hubstore_key_uses(store, hash_of(n), &uses), 0);
		fprintf(out, "uses %u\n", uses);
	}
	if (!hubstore_get(store, "serial", &text)) {
		fprintf(out, "serial %s\n", text);
		free(text);
	}
	fclose(out);
	return shown;
}

#endif
