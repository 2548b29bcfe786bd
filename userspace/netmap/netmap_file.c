// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The last good network map on disk.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "grpc/grpc.h"
#include "netmap/netmap.h"
#include "base/store.h"

#define MAP_MAGIC	"TALONMAP"
#define MAP_VERSION	2U		/* 1 did not name the server */
#define MAP_SUM_LEN	32

/* Little endian. The sum is BLAKE2b of the preceding members and of the map. */
struct head {
	char magic[8];
	uint32_t version;
	uint32_t len;			/* of the map */
	uint8_t owner[KEY_LEN];
	uint8_t server[MAP_SUM_LEN];	/* BLAKE2b of its URL */
	uint8_t sum[MAP_SUM_LEN];
};

_Static_assert(sizeof(struct head) == 112, "a file's layout");

static void sum_up(const struct head *head, const uint8_t *bytes, size_t len, uint8_t ret_sum[MAP_SUM_LEN])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, MAP_SUM_LEN);
	crypto_generichash_update(&state, (const uint8_t *)head, offsetof(struct head, sum));
	crypto_generichash_update(&state, bytes, len);
	crypto_generichash_final(&state, ret_sum, MAP_SUM_LEN);
}

static void name_source(struct head *head, const uint8_t *own, const char *server)
{
	memcpy(head->owner, own, KEY_LEN);
	crypto_generichash(head->server, sizeof(head->server), (const uint8_t *)server, strlen(server),
		NULL, 0);
}

int netmap_save(const char *path, const uint8_t own[static KEY_LEN], const char *server, const uint8_t *bytes,
	size_t len)
{
	struct head head = { .magic = MAP_MAGIC, .version = htole32(MAP_VERSION), .len = htole32(len) };
	uint8_t *file;
	int ret;

	if (len > GRPC_MESSAGE_MAX)
		return -EFBIG;
	file = malloc(sizeof(head) + len);
	if (!file)
		return -ENOMEM;
	name_source(&head, own, server);
	sum_up(&head, bytes, len, head.sum);
	memcpy(file, &head, sizeof(head));
	if (len)
		memcpy(file + sizeof(head), bytes, len);
	ret = store_write(path, file, sizeof(head) + len);
	store_free(file, sizeof(head) + len);
	return ret;
}

/* @own NULL: whosever it is. */
static int check(const uint8_t *file, size_t size, const uint8_t *own, const char *server)
{
	uint8_t sum[MAP_SUM_LEN];
	struct head head, ours;

	if (size < sizeof(head))
		return -EBADMSG;
	memcpy(&head, file, sizeof(head));
	if (memcmp(head.magic, MAP_MAGIC, sizeof(head.magic)) != 0 || le32toh(head.version) != MAP_VERSION ||
		le32toh(head.len) != size - sizeof(head))
		return -EBADMSG;
	sum_up(&head, file + sizeof(head), size - sizeof(head), sum);
	if (memcmp(sum, head.sum, sizeof(sum)) != 0)
		return -EBADMSG;
	if (!own)
		return 0;
	name_source(&ours, own, server);
	return key_is_equal(head.owner, ours.owner) && !memcmp(head.server, ours.server, sizeof(head.server))
		? 0 : -ESTALE;
}

static int load(const char *path, const uint8_t *own, const char *server, uint8_t **ret_bytes,
	size_t *ret_len)
{
	uint8_t *file;
	size_t size;
	int ret = store_read(path, sizeof(struct head) + GRPC_MESSAGE_MAX, &file, &size);

	if (ret == -EFBIG)
		return -EBADMSG;
	if (ret < 0)
		return ret;
	ret = check(file, size, own, server);
	if (ret) {
		store_free(file, size);
		return ret;
	}
	memmove(file, file + sizeof(struct head), size - sizeof(struct head));
	*ret_bytes = file;
	*ret_len = size - sizeof(struct head);
	return 0;
}

int netmap_load(const char *path, const uint8_t own[static KEY_LEN], const char *server, uint8_t **ret_bytes,
	size_t *ret_len)
{
	return load(path, own, server, ret_bytes, ret_len);
}

int netmap_load_any(const char *path, uint8_t **ret_bytes, size_t *ret_len)
{
	return load(path, NULL, NULL, ret_bytes, ret_len);
}
