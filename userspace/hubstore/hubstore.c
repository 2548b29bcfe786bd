// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The store's folder, its lock, secrets and texts.
#include "hubstore/hubstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/store.h"
#include "crypto/aead.h"
#include "hubstore/internal.h"

#define DATABASE	"hub.db"
#define LOCK		"hub.lock"
#define SECRET_MAX	256
#define SECRET_MORE	(AEAD_XNONCE_LEN + AEAD_TAG_LEN)	/* nonce, sealed, tag */
#define CHECK_NAME	"check"
#define CHECK_LEN	16

/* A path below @dir that SQLite does not take for an URI. */
static char *path_of(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s/%s", *dir == '/' ? "" : "./", dir, name) < 0 ? NULL : path;
}

int hubstore_make_folder(const char *dir, char why[static HUBSTORE_WHY_LEN])
{
	char *path = path_of(dir, DATABASE);
	struct stat st;
	int ret = path ? store_make_directory(path) : -ENOMEM;

	free(path);
	if (!ret && stat(dir, &st))
		ret = -errno;
	if (ret) {
		snprintf(why, HUBSTORE_WHY_LEN, "%s: cannot be made: %s", dir, strerror(-ret));
	} else if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		ret = -EPERM;
		snprintf(why, HUBSTORE_WHY_LEN, "%s: others may write here (mode %o): expected mode 700", dir,
			st.st_mode & 07777);
	}
	return ret;
}

/* Ours alone (0600), and no link to elsewhere. */
static int open_file(struct hubstore *store, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0)
		return db_refuse(store, -errno, "%s: cannot be opened: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return db_refuse(store, -EINVAL, "%s: expected a regular file", path);
	}
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600)) {
		int error = errno;

		close(fd);
		return db_refuse(store, -error, "%s: its mode is %o, expected 600: %s", path, st.st_mode &
			07777, strerror(error));
	}
	return fd;
}

static int take_lock(struct hubstore *store, const char *dir)
{
	char *path = path_of(dir, LOCK);

	if (!path)
		return db_refuse(store, -ENOMEM, "out of memory");
	store->lock_fd = open_file(store, path);
	free(path);
	if (store->lock_fd < 0)
		return store->lock_fd;
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB))
		return db_refuse(store, -EBUSY, "%s: another talon hub is running here", dir);
	return 0;
}

static void flush_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static int open_store(struct hubstore *store, const char *dir)
{
	int fd, ret;

	store->path = path_of(dir, DATABASE);
	if (!store->path)
		return db_refuse(store, -ENOMEM, "out of memory");
	ret = hubstore_make_folder(dir, store->why);
	if (!ret)
		ret = take_lock(store, dir);
	if (ret)
		return ret;
	/* SQLite's other files get this one's mode */
	fd = open_file(store, store->path);
	if (fd < 0)
		return fd;
	close(fd);
	flush_folder(dir);
	return db_open(store);
}

int hubstore_open(const char *dir, const uint8_t master[static HUBSTORE_MASTER_LEN],
	struct hubstore **ret_store,
	char why[static HUBSTORE_WHY_LEN])
{
	const struct libsqlite *lib = libsqlite_load(why, HUBSTORE_WHY_LEN);
	struct hubstore *store;
	int ret;

	*ret_store = NULL;
	if (!lib)
		return -ENOPKG;
	store = calloc(1, sizeof(*store));
	if (!store) {
		snprintf(why, HUBSTORE_WHY_LEN, "out of memory");
		return -ENOMEM;
	}
	store->lib = lib;
	store->lock_fd = -1;
	store->seen_keys.item_size = KEY_LEN;
	memcpy(store->master.bytes, master, sizeof(store->master.bytes));
	ret = open_store(store, dir);
	if (ret) {
		memcpy(why, store->why, HUBSTORE_WHY_LEN);
		hubstore_close(store);
		return ret;
	}
	*ret_store = store;
	return 0;
}

void hubstore_close(struct hubstore *store)
{
	if (!store)
		return;
	if (store->db && store->seen_keys.count && !db_begin(store))
		db_end(store, 0);
	db_close(store);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	seen_forget(store);
	secret_key_wipe(&store->master);
	free(store->path);
	free(store);
}

const char *hubstore_why(const struct hubstore *store)
{
	return store->why;
}

static int secret_put(struct hubstore *store, const char *name, const uint8_t *secret, size_t len)
{
	uint8_t sealed[SECRET_MAX + SECRET_MORE];

	randombytes_buf(sealed, AEAD_XNONCE_LEN);
	aead_xseal(&store->master, sealed, secret, len, name, strlen(name), sealed + AEAD_XNONCE_LEN);
	return db_run(store, STATEMENT_SECRET_PUT, "tb", name, sealed, len + SECRET_MORE);
}

/* -ENOENT: not there. */
static int secret_get(struct hubstore *store, const char *name, uint8_t *ret_secret, size_t len)
{
	uint8_t sealed[SECRET_MAX + SECRET_MORE];
	int ret = db_query(store, STATEMENT_SECRET_GET, "t", name);

	if (ret <= 0)
		return ret ? ret : -ENOENT;
	ret = db_bytes(store, store->statements[STATEMENT_SECRET_GET], 0, sealed, len + SECRET_MORE);
	db_done(store, STATEMENT_SECRET_GET);
	if (ret)
		return ret;
	if (aead_xopen(&store->master, sealed, sealed + AEAD_XNONCE_LEN, len + AEAD_TAG_LEN, name,
		strlen(name), ret_secret))
		return db_refuse(store, -EKEYREJECTED,
			"%s: the master key is not the one of its first start", store->path);
	return 0;
}

int secret_check(struct hubstore *store, bool is_new)
{
	uint8_t check[CHECK_LEN] = { 0 };
	int ret;

	if (is_new)
		return secret_put(store, CHECK_NAME, check, sizeof(check));
	ret = secret_get(store, CHECK_NAME, check, sizeof(check));
	return ret == -ENOENT ? db_refuse(store, -EUCLEAN, "%s: damaged: its secrets are gone",
		store->path) : ret;
}

int hubstore_secret(struct hubstore *store, const char *name, uint8_t *ret_secret, size_t len)
{
	int ret;

	if (!len || len > SECRET_MAX)
		return db_refuse(store, -EINVAL, "secret %s: %zu bytes: expected 1 to %d", name, len,
			SECRET_MAX);
	ret = secret_get(store, name, ret_secret, len);
	if (ret != -ENOENT)
		return ret;
	ret = db_begin(store);
	if (ret)
		return ret;
	randombytes_buf(ret_secret, len);
	ret = db_end(store, secret_put(store, name, ret_secret, len));
	if (ret)
		sodium_memzero(ret_secret, len);
	return ret;
}

int hubstore_set(struct hubstore *store, const char *name, const char *value)
{
	int ret = db_begin(store);

	if (ret)
		return ret;
	if (value)
		ret = db_run(store, STATEMENT_TEXT_SET, "tt", name, value);
	else
		ret = db_run(store, STATEMENT_TEXT_DELETE, "t", name);
	return db_end(store, ret);
}

int hubstore_get(struct hubstore *store, const char *name, char **ret_value)
{
	int ret = db_query(store, STATEMENT_TEXT_GET, "t", name);

	*ret_value = NULL;
	if (ret <= 0)
		return ret ? ret : db_refuse(store, -ENOENT, "%s: nothing is kept", name);
	*ret_value = strdup(db_text(store, store->statements[STATEMENT_TEXT_GET], 0));
	db_done(store, STATEMENT_TEXT_GET);
	return *ret_value ? 0 : db_refuse(store, -ENOMEM, "out of memory");
}
