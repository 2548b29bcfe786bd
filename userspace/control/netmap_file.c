// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The last good network map on disk.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "control/grpc.h"
#include "control/netmap.h"
#include "control/store.h"

#define MAP_MAGIC	"TALONMAP"
#define MAP_VERSION	1U
#define MAP_SUM_LEN	32

/* Little endian. The sum is BLAKE2b of what stands before it and of the map. */
struct head {
	char magic[8];
	uint32_t version;
	uint32_t len;			/* of the map */
	uint8_t owner[KEY_LEN];
	uint8_t sum[MAP_SUM_LEN];
};

_Static_assert(sizeof(struct head) == 80, "a file's layout");

static void sum_up(const struct head *head, const uint8_t *bytes, size_t len, uint8_t ret_sum[MAP_SUM_LEN])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, MAP_SUM_LEN);
	crypto_generichash_update(&state, (const uint8_t *)head, offsetof(struct head, sum));
	crypto_generichash_update(&state, bytes, len);
	crypto_generichash_final(&state, ret_sum, MAP_SUM_LEN);
}

int netmap_save(const char *path, const uint8_t own[static KEY_LEN], const uint8_t *bytes, size_t len)
{
	struct head head = { .magic = MAP_MAGIC, .version = htole32(MAP_VERSION), .len = htole32(len) };
	uint8_t *file;
	int ret;

	if (len > GRPC_MESSAGE_MAX)
		return -EFBIG;
	file = malloc(sizeof(head) + len);
	if (!file)
		return -ENOMEM;
	memcpy(head.owner, own, KEY_LEN);
	sum_up(&head, bytes, len, head.sum);
	memcpy(file, &head, sizeof(head));
	if (len)
		memcpy(file + sizeof(head), bytes, len);
	ret = store_write(path, file, sizeof(head) + len);
	store_free(file, sizeof(head) + len);
	return ret;
}

static bool is_ours(const uint8_t *file, size_t size, const uint8_t *own)
{
	uint8_t sum[MAP_SUM_LEN];
	struct head head;

	if (size < sizeof(head))
		return false;
	memcpy(&head, file, sizeof(head));
	if (memcmp(head.magic, MAP_MAGIC, sizeof(head.magic)) != 0 || le32toh(head.version) != MAP_VERSION ||
	    le32toh(head.len) != size - sizeof(head) || !key_is_equal(head.owner, own))
		return false;
	sum_up(&head, file + sizeof(head), size - sizeof(head), sum);
	return memcmp(sum, head.sum, sizeof(sum)) == 0;
}

int netmap_load(const char *path, const uint8_t own[static KEY_LEN], uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *file;
	size_t size;
	int ret = store_read(path, sizeof(struct head) + GRPC_MESSAGE_MAX, &file, &size);

	if (ret == -EFBIG)
		return -EBADMSG;
	if (ret < 0)
		return ret;
	if (!is_ours(file, size, own)) {
		store_free(file, size);
		return -EBADMSG;
	}
	memmove(file, file + sizeof(struct head), size - sizeof(struct head));
	*ret_bytes = file;
	*ret_len = size - sizeof(struct head);
	return 0;
}
