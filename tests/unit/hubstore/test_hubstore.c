// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the hub keeps is there when it is opened again, what is refused leaves no trace, and each refusal is
// one line.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "unit/hubstore/store_world.h"

static void keeps(struct hubstore **store, const char *want)
{
	assert_string_equal(show(*store), want);
	hubstore_close(*store);
	*store = open_at(folder);
	assert_string_equal(show(*store), want);
}

#define NO_USES	"uses 0\nuses 0\nuses 0\n"

#define ONE "peer 0101 peer-1|Ann's laptop|ssh-ed25519 AAAA|linux|0.77.1|64400001|" \
	"fd000000000000000000000000000001|80000005|10|1700000000 1700000001 1700000002||home|All,homes\n"
#define TWO "peer 0202 peer-2|Ann's laptop|ssh-ed25519 AAAA|linux|0.77.1|64400002|" \
	"fd000000000000000000000000000002|80000005|10|1700000000 1700000001 1700000002||home|All,homes\n"

static void an_empty_store_has_nothing_and_files_of_its_owner_alone(void **state)
{
	struct hubstore *store = open_at(folder);
	struct stat st;
	char path[96];

	keeps(&store, NO_USES);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder,
			(const char *[]){ "hub.db", "hub.db-wal", "hub.lock" }[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	hubstore_close(store);
}

static void the_folder_is_made_with_those_above_it(void **state)
{
	struct hubstore *store;
	struct stat st;
	char dir[96];

	snprintf(dir, sizeof(dir), "%s/a/b", folder);
	store = open_at(dir);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	hubstore_close(store);
}

static void peers_come_back_as_they_joined_in_that_order(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer two = sample(2), one;

	assert_int_equal(hubstore_join(store, &two, hash_of(1), 0), 0);
	one = sample(1);
	assert_int_equal(hubstore_join(store, &one, NULL, 0), 0);
	keeps(&store, TWO ONE "uses 1\nuses 0\nuses 0\n");
	hubstore_close(store);
}

static void texts_that_are_not_there_are_empty_and_addresses_of_six_none(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = { .name = "x", .address = htonl(1), .key = { 7 }, .is_login_expiring =
		true };

	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	peer.key[0] = 8;
	peer.name = "y";
	peer.address = htonl(2);
	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	keeps(&store, "peer 0700 x|||||00000001|00000000000000000000000000000000|0|01|0 0 0|||\n"
		"peer 0800 y|||||00000002|00000000000000000000000000000000|0|01|0 0 0|||\n" NO_USES);
	hubstore_close(store);
}

static void key_name_and_addresses_are_of_one_peer(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);

	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	for (int same = 0; same < 4; same++) {
		static const char *const lines[] = {
			"already there: peer.key", "already there: peer.name", "already there: peer.address",
			"already there: peer.address6",
		};
		struct hubstore_peer other = sample(2);

		if (same == 0)
			memcpy(other.key, peer.key, KEY_LEN);
		if (same == 1)
			other.name = "peer-1";
		if (same == 2)
			other.address = peer.address;
		if (same == 3)
			other.address6 = peer.address6;
		assert_int_equal(hubstore_join(store, &other, hash_of(1), 1), -EEXIST);
		assert_string_equal(hubstore_why(store), lines[same]);
	}
	sample(1);
	keeps(&store, ONE NO_USES);
	hubstore_close(store);
}

static void a_setup_key_is_used_as_often_as_it_may(void **state)
{
	struct hubstore *store = open_at(folder);

	for (uint8_t n = 1; n <= 5; n++) {
		struct hubstore_peer peer = sample(n);
		int ret = hubstore_join(store, &peer, hash_of(1), 3);

		assert_int_equal(ret, n <= 3 ? 0 : -EDQUOT);
		if (ret)
			assert_string_equal(hubstore_why(store), "the setup key is used up: 3 of 3");
		peer = sample(n + 10);
		assert_int_equal(hubstore_join(store, &peer, hash_of(2), 0), 0);
	}
	assert_non_null(strstr(show(store), "uses 3\nuses 5\nuses 0\n"));
	assert_null(strstr(shown, "peer-4"));
	assert_null(strstr(shown, "peer-5"));
	/* the file may raise the number later */
	struct hubstore_peer peer = sample(4);
	assert_int_equal(hubstore_join(store, &peer, hash_of(1), 4), 0);
	hubstore_close(store);
}

static void an_update_changes_all_but_when_it_joined(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);

	assert_int_equal(hubstore_update(store, &peer), -ENOENT);
	assert_string_equal(hubstore_why(store), "no such peer");
	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	peer.name = "Renamed";
	peer.hostname = peer.ssh_key = peer.os = peer.version = "new";
	peer.address = htonl(5);
	memset(&peer.address6, 0, sizeof(peer.address6));
	peer.capabilities = 1;
	peer.is_ephemeral = false;
	peer.is_login_expiring = true;
	peer.joined_s = peer.seen_s = peer.login_s = 9;
	peer.user = "ann";
	peer.setup_key = NULL;
	peer.groups = (char *[]){ "x", "y", "All" };
	peer.group_count = 3;
	assert_int_equal(hubstore_update(store, &peer), 0);
	keeps(&store, "peer 0101 Renamed|new|new|new|new|00000005|00000000000000000000000000000000|1|01|"
		"1700000000 9 9|ann||x,y,All\n" NO_USES);
	peer.group_count = 0;
	assert_int_equal(hubstore_update(store, &peer), 0);
	assert_non_null(strstr(show(store), "|ann||\n"));
	hubstore_close(store);
}

static void an_update_to_anothers_name_leaves_both(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);

	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	peer = sample(2);
	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	peer.name = "peer-1";
	peer.group_count = 0;
	assert_int_equal(hubstore_update(store, &peer), -EEXIST);
	keeps(&store, ONE TWO NO_USES);
	hubstore_close(store);
}

static void a_removed_peer_leaves_its_name_and_groups(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);

	assert_int_equal(hubstore_join(store, &peer, hash_of(1), 1), 0);
	assert_int_equal(hubstore_remove(store, peer.key), 0);
	assert_int_equal(hubstore_remove(store, peer.key), -ENOENT);
	keeps(&store, "uses 1\nuses 0\nuses 0\n");
	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	assert_non_null(strstr(show(store), "|All,homes\n"));
	hubstore_close(store);
}

/* What would be there if the hub were killed now. */
static const char *show_after_kill(void)
{
	struct hubstore *store;
	char copy[96];

	snprintf(copy, sizeof(copy), "%s/copy", folder);
	sh("rm -rf %s && mkdir -m 700 %s", copy, copy);
	sh("cp %s/hub.db* %s", folder, copy);
	store = open_at(copy);
	show(store);
	hubstore_close(store);
	return shown;
}

#define SEEN(s) "|1700000000 " #s " 1700000002|"

static void when_a_peer_was_seen_is_known_at_once_and_written_with_the_next_change(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);

	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	assert_int_equal(hubstore_seen(store, peer.key, 1700000050), 0);
	assert_int_equal(hubstore_seen(store, (const uint8_t[KEY_LEN]){ 99 }, 1700000051), 0);
	assert_non_null(strstr(show(store), SEEN(1700000050)));
	assert_non_null(strstr(show_after_kill(), SEEN(1700000001)));
	assert_int_equal(hubstore_set(store, "serial", "1"), 0);
	assert_non_null(strstr(show_after_kill(), SEEN(1700000050)));
	/* never back in time */
	assert_int_equal(hubstore_seen(store, peer.key, 1700000040), 0);
	assert_int_equal(hubstore_set(store, "serial", "2"), 0);
	assert_non_null(strstr(show(store), SEEN(1700000050)));
	hubstore_close(store);
}

static void when_peers_were_seen_is_written_after_a_minute_and_at_the_end(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);

	assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	assert_int_equal(hubstore_seen(store, peer.key, 1700000100), 0);
	assert_int_equal(hubstore_seen(store, peer.key, 1700000159), 0);
	assert_non_null(strstr(show_after_kill(), SEEN(1700000001)));
	assert_int_equal(hubstore_seen(store, peer.key, 1700000160), 0);
	assert_non_null(strstr(show_after_kill(), SEEN(1700000160)));
	assert_int_equal(hubstore_seen(store, peer.key, 1700000161), 0);
	hubstore_close(store);
	assert_non_null(strstr(show_after_kill(), SEEN(1700000161)));
}

static void setup_keys_come_back_with_their_uses(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_key key = { .name = "home", .expires_s = 1800000000, .uses_max = 2, .is_ephemeral =
		true,
		NAMES("homes", "All") };
	struct hubstore_key more = { .name = "any", .groups = NULL };
	struct hubstore_peer peer = sample(1);

	memcpy(key.hash, hash_of(2), sizeof(key.hash));
	memcpy(more.hash, hash_of(3), sizeof(more.hash));
	assert_int_equal(hubstore_add_key(store, &key), 0);
	assert_int_equal(hubstore_add_key(store, &more), 0);
	assert_int_equal(hubstore_join(store, &peer, key.hash, key.uses_max), 0);
	keeps(&store, ONE "key home|0202|1800000000|1 of 2|10|homes,All\nkey any|0303|0|0 of 0|00|\n"
		"uses 0\nuses 1\nuses 0\n");
	assert_int_equal(hubstore_revoke_key(store, "home"), 0);
	assert_int_equal(hubstore_revoke_key(store, "nobody"), -ENOENT);
	assert_string_equal(hubstore_why(store), "setup key nobody: not there");
	keeps(&store, ONE "key home|0202|1800000000|1 of 2|11|homes,All\nkey any|0303|0|0 of 0|00|\n"
		"uses 0\nuses 1\nuses 0\n");
	key.name = "other";
	assert_int_equal(hubstore_add_key(store, &key), -EEXIST);
	more.name = "home";
	memcpy(more.hash, hash_of(9), sizeof(more.hash));
	assert_int_equal(hubstore_add_key(store, &more), -EEXIST);
	hubstore_close(store);
}

static void a_token_is_good_for_once_and_forgotten_when_it_expired(void **state)
{
	struct hubstore *store = open_at(folder);

	assert_int_equal(hubstore_use_token(store, hash_of(1), 1000, 900), 0);
	assert_int_equal(hubstore_use_token(store, hash_of(1), 1000, 1000), -EEXIST);
	hubstore_close(store);
	store = open_at(folder);
	assert_int_equal(hubstore_use_token(store, hash_of(1), 1000, 1000), -EEXIST);
	assert_int_equal(hubstore_use_token(store, hash_of(2), 2000, 1001), 0);
	assert_int_equal(hubstore_use_token(store, hash_of(1), 2000, 1001), 0);
	hubstore_close(store);
}

static void texts_are_kept_replaced_and_forgotten(void **state)
{
	struct hubstore *store = open_at(folder);
	char *text = "unset";

	assert_int_equal(hubstore_get(store, "serial", &text), -ENOENT);
	assert_null(text);
	assert_int_equal(hubstore_set(store, "serial", "1"), 0);
	assert_int_equal(hubstore_set(store, "serial", "2"), 0);
	keeps(&store, NO_USES "serial 2\n");
	assert_int_equal(hubstore_set(store, "serial", NULL), 0);
	assert_int_equal(hubstore_set(store, "serial", NULL), 0);
	keeps(&store, NO_USES);
	hubstore_close(store);
}

static bool is_in_files(const void *bytes, size_t len)
{
	static uint8_t content[1 << 20];
	char path[96];

	for (size_t i = 0; i < 2; i++) {
		FILE *file;
		size_t got;

		snprintf(path, sizeof(path), "%s/%s", folder, (const char *[]){ "hub.db", "hub.db-wal" }[i]);
		file = fopen(path, "r");
		if (!file)
			continue;
		got = fread(content, 1, sizeof(content), file);
		fclose(file);
		if (memmem(content, got, bytes, len))
			return true;
	}
	return false;
}

static void secrets_are_made_once_and_not_readable_in_the_file(void **state)
{
	struct hubstore *store = open_at(folder);
	uint8_t box[32], again[32], relay[48], none[300];

	assert_int_equal(hubstore_secret(store, "box", box, sizeof(box)), 0);
	assert_int_equal(hubstore_secret(store, "relay", relay, sizeof(relay)), 0);
	assert_memory_not_equal(box, relay, sizeof(box));
	assert_int_equal(hubstore_set(store, "serial", "it is looked for rightly"), 0);
	assert_true(is_in_files("it is looked for rightly", 24));
	assert_false(is_in_files(box, 16));
	assert_false(is_in_files(relay, 16));
	assert_false(is_in_files(master, 16));
	hubstore_close(store);
	assert_false(is_in_files(box, 16));
	store = open_at(folder);
	assert_int_equal(hubstore_secret(store, "box", again, sizeof(again)), 0);
	assert_memory_equal(box, again, sizeof(box));
	assert_int_equal(hubstore_secret(store, "box", again, 16), -EUCLEAN);
	assert_int_equal(hubstore_secret(store, "big", none, sizeof(none)), -EINVAL);
	hubstore_close(store);
}

static void refused_by_open(int want, const char *line)
{
	struct hubstore *store;
	char text[HUBSTORE_WHY_LEN];

	assert_int_equal(hubstore_open(folder, master, &store, why), want);
	assert_null(store);
	snprintf(text, sizeof(text), line, folder);
	assert_string_equal(why, text);
}

static void another_master_is_refused_and_harms_nothing(void **state)
{
	uint8_t other[HUBSTORE_MASTER_LEN] = { 1 }, box[32], again[32];
	struct hubstore *store = open_at(folder);

	assert_int_equal(hubstore_secret(store, "box", box, sizeof(box)), 0);
	hubstore_close(store);
	assert_int_equal(hubstore_open(folder, other, &store, why), -EKEYREJECTED);
	assert_non_null(strstr(why, "/hub.db: the master key is not the one of its first start"));
	store = open_at(folder);
	assert_int_equal(hubstore_secret(store, "box", again, sizeof(again)), 0);
	assert_memory_equal(box, again, sizeof(box));
	hubstore_close(store);
}

/* Sealed under one name, a secret is not another's. */
static void a_secret_moved_to_another_name_is_refused(void **state)
{
	struct hubstore *store = open_at(folder);
	uint8_t box[32];

	assert_int_equal(hubstore_secret(store, "box", box, sizeof(box)), 0);
	hubstore_close(store);
	sh("sqlite3 %s/hub.db \"UPDATE secret SET name = 'relay' WHERE name = 'box'\"", folder, NULL);
	store = open_at(folder);
	assert_int_equal(hubstore_secret(store, "relay", box, sizeof(box)), -EKEYREJECTED);
	hubstore_close(store);
}

static void a_second_hub_is_refused_while_the_first_runs(void **state)
{
	struct hubstore *store = open_at(folder);

	refused_by_open(-EBUSY, "%s: another talon hub is running here");
	/* nor may another program write to it */
	sh("! sqlite3 %s/hub.db 'DELETE FROM secret' 2>/dev/null", folder, NULL);
	hubstore_close(store);
	hubstore_close(open_at(folder));
}

/* Each process opens, joins, closes, as soon as it can. */
static int join_once(uint8_t n)
{
	struct hubstore_peer peer = sample(n);
	struct hubstore *store;
	int ret;

	do
		ret = hubstore_open(folder, master, &store, why);
	while (ret == -EBUSY);
	if (ret)
		return 2;
	ret = hubstore_join(store, &peer, hash_of(1), 1);
	hubstore_close(store);
	return !ret ? 0 : ret == -EDQUOT ? 1 : 2;
}

static void of_processes_that_race_for_a_one_off_key_one_gets_it(void **state)
{
	int status, count[3] = { 0 };
	struct hubstore *store;

	for (uint8_t n = 1; n <= 8; n++) {
		if (!fork())
			_exit(join_once(n));
	}
	while (wait(&status) > 0) {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 3);
		count[WEXITSTATUS(status)]++;
	}
	assert_int_equal(count[0], 1);
	assert_int_equal(count[1], 7);
	store = open_at(folder);
	assert_non_null(strstr(show(store), "uses 1\n"));
	assert_null(strstr(strstr(shown, "peer ") + 1, "peer "));
	hubstore_close(store);
}

static void *content_of(const char *path, size_t *ret_len)
{
	FILE *file = fopen(path, "r");
	void *content = malloc(1 << 20);

	assert_non_null(file);
	*ret_len = fread(content, 1, 1 << 20, file);
	fclose(file);
	return content;
}

/* Refused with one line, and not a byte of it changed. */
static void refused_and_left(int want, const char *line)
{
	char path[96];
	size_t was_len, is_len;
	void *was, *is;

	snprintf(path, sizeof(path), "%s/hub.db", folder);
	was = content_of(path, &was_len);
	refused_by_open(want, line);
	is = content_of(path, &is_len);
	assert_int_equal(was_len, is_len);
	assert_memory_equal(was, is, was_len);
	free(was);
	free(is);
}

static void a_file_that_is_no_database_is_left_as_it_is(void **state)
{
	sh("seq 2000 >%s/hub.db", folder, NULL);
	refused_and_left(-EUCLEAN, "%s/hub.db: damaged (file is not a database) and left as it is: "
		"put a copy back, or move it away to begin anew");
}

static void another_programs_database_is_left_as_it_is(void **state)
{
	sh("sqlite3 %s/hub.db 'CREATE TABLE theirs (x)'", folder, NULL);
	refused_and_left(-EUCLEAN, "%s/hub.db: the database of another program, left as it is: "
		"expected one of talon hub");
}

static void that_of_a_newer_talon_is_left_as_it_is(void **state)
{
	hubstore_close(open_at(folder));
	sh("sqlite3 %s/hub.db 'PRAGMA user_version = 2'", folder, NULL);
	refused_and_left(-EPROTONOSUPPORT,
		"%s/hub.db: written by a newer talon (version 2): expected up to 1");
}

/* Whatever later versions need: what the first one kept is there, secrets too. */
static void a_file_of_version_1_is_taken_over(void **state)
{
	static const uint8_t box[] = { 0x09, 0x02, 0x23, 0x91, 0xdc, 0x0c, 0x4a, 0x4d, 0x09, 0x6c, 0x28, 0x79,
		0xf6, 0x86, 0x78, 0x94, 0x0f, 0xa1, 0x42, 0x20, 0xcd, 0x14, 0x66, 0x88, 0x26, 0xbf, 0x70,
		0x0c, 0x19, 0x83, 0xb3, 0x2a };
	struct hubstore_peer three = sample(3);
	uint8_t secret[sizeof(box)];
	struct hubstore *store;

	put_version1();
	store = open_at(folder);
	assert_string_equal(show(store), VERSION1);
	assert_int_equal(hubstore_secret(store, "box", secret, sizeof(secret)), 0);
	assert_memory_equal(secret, box, sizeof(box));
	assert_int_equal(hubstore_use_token(store, hash_of(7), 4000000000, 1700000000), -EEXIST);
	assert_int_equal(hubstore_join(store, &three, hash_of(3), 1), 0);
	hubstore_close(store);
	store = open_at(folder);
	assert_non_null(strstr(show(store), "\npeer 0303 peer-3|"));
	hubstore_close(store);
}

static void damage_of_any_page_is_seen_when_it_is_opened(void **state)
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer;
	static uint8_t noise[400];
	char path[96];
	struct stat st;
	int fd;

	for (uint8_t n = 1; n <= 60; n++) {
		peer = sample(n);
		assert_int_equal(hubstore_join(store, &peer, hash_of(n), 0), 0);
	}
	hubstore_close(store);
	memset(noise, 0xa5, sizeof(noise));
	snprintf(path, sizeof(path), "%s/hub.db", folder);
	assert_int_equal(stat(path, &st), 0);
	sh("cp %s %s.was", path, path);
	assert_true(st.st_size >= 10 * 4096);
	for (off_t page = 0; page < st.st_size / 4096; page++) {
		sh("cp %s.was %s", path, path);
		fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 4096), sizeof(noise));
		close(fd);
		assert_int_equal(hubstore_open(folder, master, &store, why), -EUCLEAN);
		assert_non_null(strstr(why, "/hub.db: damaged ("));
		assert_null(strchr(why, '\n'));
	}
	sh("cp %s.was %s", path, path);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	assert_int_equal(hubstore_open(folder, master, &store, why), -EUCLEAN);
	sh("cp %s.was %s", path, path);
	store = open_at(folder);
	assert_non_null(strstr(show(store), "peer-60"));
	hubstore_close(store);
}

static void a_folder_that_others_may_write_to_is_refused(void **state)
{
	assert_int_equal(chmod(folder, 0770), 0);
	refused_by_open(-EPERM, "%s: others may write here (mode 770): expected mode 700");
}

static void a_link_in_place_of_the_file_is_refused(void **state)
{
	sh("ln -s /tmp/elsewhere %s/hub.db", folder, NULL);
	refused_by_open(-ELOOP, "%s/hub.db: cannot be opened: Too many levels of symbolic links");
	sh("rm %s/hub.db && mkdir %s/hub.db", folder, folder);
	refused_by_open(-EISDIR, "%s/hub.db: cannot be opened: Is a directory");
	sh("rmdir %s/hub.db && mkfifo %s/hub.db", folder, folder);
	refused_by_open(-EINVAL, "%s/hub.db: expected a regular file");
}

static void a_file_with_a_wide_mode_is_made_narrow(void **state)
{
	struct stat st;
	char path[96];

	hubstore_close(open_at(folder));
	snprintf(path, sizeof(path), "%s/hub.db", folder);
	assert_int_equal(chmod(path, 0644), 0);
	hubstore_close(open_at(folder));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Joins until it is refused; then all that joined is there, and reading, a restart and a later join work. */
static void fill_up(int (*more_room)(void))
{
	struct hubstore *store = open_at(folder);
	struct hubstore_peer peer = sample(1);
	static char large[4000], before[sizeof(shown)];
	uint32_t uses;
	uint8_t box[32];
	unsigned n = 0;
	int ret;

	assert_int_equal(hubstore_secret(store, "box", box, sizeof(box)), 0);
	memset(large, 'x', sizeof(large) - 1);
	do {
		peer = sample(++n);
		peer.hostname = n < 10 ? "small" : large;
		ret = hubstore_join(store, &peer, hash_of(1), 0);
		assert_true(n < 200);
	} while (!ret);
	assert_int_equal(ret, -ENOSPC);
	assert_non_null(strstr(hubstore_why(store),
		"/hub.db: no room on its disk: changes are refused until there is, what is kept stays"));
	strcpy(before, show(store));
	assert_int_equal(hubstore_key_uses(store, hash_of(1), &uses), 0);
	assert_int_equal(uses, n - 1);
	assert_null(strstr(before, peer.name));
	assert_int_equal(hubstore_join(store, &peer, hash_of(1), 0), -ENOSPC);
	assert_string_equal(show(store), before);
	hubstore_close(store);
	store = open_at(folder);	/* the hub is started again, the disk still full */
	assert_string_equal(show(store), before);
	assert_int_equal(more_room(), 0);
	assert_int_equal(hubstore_join(store, &peer, hash_of(1), 0), 0);
	assert_non_null(strstr(show(store), peer.name));
	hubstore_close(store);
}

/* In a child, which a failed assertion aborts. */
static void in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int set_limit(rlim_t size)
{
	struct rlimit limit = { size, RLIM_INFINITY };

	return setrlimit(RLIMIT_FSIZE, &limit);
}

static int unlimited(void)
{
	return set_limit(RLIM_INFINITY);
}

static void with_a_limit(void)
{
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(set_limit(300000), 0);
	fill_up(unlimited);
}

static void a_limit_of_file_size_refuses_peers_and_keeps_serving(void **state)
{
	in_child(with_a_limit);
}

static char ballast[96];

static int remove_ballast(void)
{
	return unlink(ballast);
}

static void on_a_small_disk(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(77);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", folder, "tmpfs", 0,
		"size=1m,mode=700"))
		_exit(77);
	snprintf(ballast, sizeof(ballast), "%s/ballast", folder);
	fd = open(ballast, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 600000), 0);
	close(fd);
	fill_up(remove_ballast);
}

static void a_full_disk_refuses_peers_and_keeps_serving(void **state)
{
	in_child(on_a_small_disk);
}

static int remove_it(void *ctx, const struct hubstore_peer *peer)
{
	return hubstore_remove(ctx, peer->key);
}

static int enough(void *ctx, const struct hubstore_peer *peer)
{
	return ++*(int *)ctx == 2 ? 42 : 0;
}

static void a_walk_may_remove_its_peer_and_may_end_early(void **state)
{
	struct hubstore *store = open_at(folder);
	int count = 0;

	for (uint8_t n = 1; n <= 5; n++) {
		struct hubstore_peer peer = sample(n);

		assert_int_equal(hubstore_join(store, &peer, NULL, 0), 0);
	}
	assert_int_equal(hubstore_each_peer(store, enough, &count), 42);
	assert_int_equal(count, 2);
	assert_int_equal(hubstore_each_peer(store, remove_it, store), 0);
	keeps(&store, NO_USES);
	hubstore_close(store);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_empty_store_has_nothing_and_files_of_its_owner_alone),
		CASE(the_folder_is_made_with_those_above_it),
		CASE(peers_come_back_as_they_joined_in_that_order),
		CASE(texts_that_are_not_there_are_empty_and_addresses_of_six_none),
		CASE(key_name_and_addresses_are_of_one_peer),
		CASE(a_setup_key_is_used_as_often_as_it_may),
		CASE(an_update_changes_all_but_when_it_joined),
		CASE(an_update_to_anothers_name_leaves_both),
		CASE(a_removed_peer_leaves_its_name_and_groups),
		CASE(when_a_peer_was_seen_is_known_at_once_and_written_with_the_next_change),
		CASE(when_peers_were_seen_is_written_after_a_minute_and_at_the_end),
		CASE(setup_keys_come_back_with_their_uses),
		CASE(a_token_is_good_for_once_and_forgotten_when_it_expired),
		CASE(texts_are_kept_replaced_and_forgotten),
		CASE(secrets_are_made_once_and_not_readable_in_the_file),
		CASE(another_master_is_refused_and_harms_nothing),
		CASE(a_secret_moved_to_another_name_is_refused),
		CASE(a_second_hub_is_refused_while_the_first_runs),
		CASE(of_processes_that_race_for_a_one_off_key_one_gets_it),
		CASE(a_file_that_is_no_database_is_left_as_it_is),
		CASE(another_programs_database_is_left_as_it_is),
		CASE(that_of_a_newer_talon_is_left_as_it_is),
		CASE(a_file_of_version_1_is_taken_over),
		CASE(damage_of_any_page_is_seen_when_it_is_opened),
		CASE(a_folder_that_others_may_write_to_is_refused),
		CASE(a_link_in_place_of_the_file_is_refused),
		CASE(a_file_with_a_wide_mode_is_made_narrow),
		CASE(a_limit_of_file_size_refuses_peers_and_keeps_serving),
		CASE(a_full_disk_refuses_peers_and_keeps_serving),
		CASE(a_walk_may_remove_its_peer_and_may_end_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
