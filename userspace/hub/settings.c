// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Options and the file's words as settings; the master key.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/store.h"
#include "hub/internal.h"

#define MASTER_HEX	(2 * HUBSTORE_MASTER_LEN)
#define MASTER_MOST	256	/* bytes of a file that holds one, with blanks */

static int say(char *why, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int say(char *why, int ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, HUB_WHY_LEN, fmt, args);
	va_end(args);
	return ret;
}

/* ADDRESS:PORT; @can_be_off: or "off", which leaves it zero. */
static int parse_place(const char *name, const char *text, bool can_be_off, struct endpoint *ret_place,
	char *why)
{
	struct endpoint place = {};
	struct host_port parsed;
	char host[HOST_LEN];

	if (can_be_off && !strcmp(text, "off")) {
		*ret_place = place;
		return 0;
	}
	if (host_port_parse(slice_from(text), 0, 0, &parsed) || !slice_copy(parsed.host, host, sizeof(host)))
		goto bad;
	place.family = parsed.is_literal6 ? AF_INET6 : AF_INET;
	place.port = htons(parsed.port);
	if (inet_pton(place.family, host, &place.remote) != 1)
		goto bad;
	*ret_place = place;
	return 0;
bad:
	return say(why, -EINVAL, "%s: '%.100s': expected ADDRESS:PORT%s, such as 0.0.0.0:443 or [::]:443",
		name, text, can_be_off ? " or off" : "");
}

/* The address that others most likely reach this host at. */
static void guess_host(const struct endpoint *listen, char *host, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) }, own;
	socklen_t len = sizeof(own);
	int fd;

	snprintf(host, size, "127.0.0.1");
	if (listen->family == AF_INET6 ? !addr6_is_zero(&listen->remote) : listen->remote.word[0] != 0) {
		inet_ntop(listen->family, &listen->remote, host, size);
		return;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* nothing is sent; documentation's, so it goes by default */
	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
		!getsockname(fd, (struct sockaddr *)&own, &len))
		inet_ntop(AF_INET, &own.sin_addr, host, size);
	if (fd >= 0)
		close(fd);
}

static int make_url(const char *given, struct hub_settings *s, char *why)
{
	char host[HOST_LEN];

	if (given) {
		if (server_url_parse(given, SERVER_SCHEMES_WEB, &s->public_url))
			return say(why, -EINVAL, "public-url: '%.100s': expected http://HOST[:PORT] or "
				"https://HOST[:PORT]", given);
		return 0;
	}
	s->public_url = (struct server_url){ .scheme = s->certificate ? SERVER_HTTPS : SERVER_HTTP,
		.port = ntohs(s->listen.port), .has_port = true };
	guess_host(&s->listen, host, sizeof(host));
	memcpy(s->public_url.host, host, sizeof(host));
	return 0;
}

static const char *first(const char *a, const char *b, const char *otherwise)
{
	return a ? a : b ? b : otherwise;
}

int hub_settings_make(const struct hub_options *options, const struct hubfile *file,
	struct hub_settings *ret_settings, char why[static HUB_WHY_LEN])
{
	struct hub_settings s = { .certificate = first(options->certificate, file->certificate, NULL),
		.key = first(options->key, file->key, NULL), .master_key_file = options->master_key_file };
	const char *dir = first(options->data_dir, file->data_dir, HUB_DATA_DIR);
	const char *listen = first(options->listen, file->listen, s.certificate ? "[::]:443" : "[::]:80");

	if (!s.certificate != !s.key)
		return say(why, -EINVAL, "tls: %s is given alone: expected both certificate and key",
			s.key ? "a key" : "a certificate");
	if (*dir != '/' || strlen(dir) >= sizeof(s.data_dir) - 16)
		return say(why, -EINVAL, "data-dir: '%.100s': expected an absolute path of at most %zu "
			"characters", dir, sizeof(s.data_dir) - 17);
	snprintf(s.data_dir, sizeof(s.data_dir), "%s", dir);
	if (parse_place("listen", listen, false, &s.listen, why) ||
		parse_place("stun", first(options->stun, file->stun_listen, HUB_STUN), true, &s.stun, why) ||
		parse_place("page", first(options->page, file->page_listen, HUB_PAGE), true, &s.page, why))
		return -EINVAL;
	if (make_url(first(options->public_url, file->public_url, NULL), &s, why))
		return -EINVAL;
	*ret_settings = s;
	return 0;
}

/* The file */

int hub_file_read(const char *path, struct hubfile **ret_file, char why[static HUB_WHY_LEN])
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	size_t count = 0;
	int ret;

	if (!path) {
		*ret_file = hubfile_default();
		return *ret_file ? 0 : say(why, -ENOMEM, "out of memory");
	}
	ret = hubfile_read(path, ret_file, faults, &count);
	if (!ret)
		return 0;
	for (size_t i = 1; i < count; i++)
		log_err("%s:%u: %s", path, faults[i].line, faults[i].text);
	if (!count)
		return say(why, ret, "%.200s: %s", path, strerror(-ret));
	if (!faults[0].line)
		return say(why, ret, "%.200s: %s", path, faults[0].text);
	return say(why, ret, "%.200s:%u: %s", path, faults[0].line, faults[0].text);
}

/* The master key */

static int parse_master(const char *path, const uint8_t *bytes, size_t len, uint8_t *ret_master, char *why)
{
	struct slice text = slice_trim((struct slice){ (const char *)bytes, len });
	size_t parsed;

	if (text.len != MASTER_HEX || sodium_hex2bin(ret_master, HUBSTORE_MASTER_LEN, text.at, text.len, NULL,
		&parsed, NULL) || parsed != HUBSTORE_MASTER_LEN)
		return say(why, -EINVAL, "%.200s: expected a master key of %d hexadecimal digits", path,
			MASTER_HEX);
	return 0;
}

static int make_master(const char *path, uint8_t *ret_master, char *why)
{
	char text[MASTER_HEX + 2];
	int ret;

	randombytes_buf(ret_master, HUBSTORE_MASTER_LEN);
	sodium_bin2hex(text, MASTER_HEX + 1, ret_master, HUBSTORE_MASTER_LEN);
	text[MASTER_HEX] = '\n';
	ret = store_write(path, text, MASTER_HEX + 1);
	sodium_memzero(text, sizeof(text));
	if (ret)
		return say(why, ret, "%.200s: cannot keep a new master key: %s", path, strerror(-ret));
	log_info("%s: a master key was made, which seals the secrets in the store beside it; a backup needs "
		"both", path);
	return 0;
}

/* Not refused: Kubernetes mounts secrets so. */
static void warn_of_readers(const char *path)
{
	struct stat st;

	if (!stat(path, &st) && (st.st_mode & (S_IRGRP | S_IROTH)))
		log_warn("%s: others may read the master key (mode %o): chmod 600 %s", path,
			st.st_mode & 07777, path);
}

int hub_master_read(const struct hub_settings *settings, uint8_t ret_master[static HUBSTORE_MASTER_LEN],
	char why[static HUB_WHY_LEN])
{
	char path[sizeof(settings->data_dir) + 16];
	const char *name = settings->master_key_file;
	char text[HUBSTORE_WHY_LEN] = "";
	uint8_t *bytes;
	size_t len;
	int ret;

	/* before a secret is put there */
	ret = hubstore_make_folder(settings->data_dir, text);
	if (ret)
		return say(why, ret, "data-dir: %s", text);
	snprintf(path, sizeof(path), "%s/master.key", settings->data_dir);
	if (!name)
		name = path;
	ret = store_read(name, MASTER_MOST, &bytes, &len);
	if (ret == -ENOENT && name == path)
		return make_master(path, ret_master, why);
	if (ret)
		return say(why, ret, "%.200s: the master key cannot be read: %s", name, strerror(-ret));
	ret = parse_master(name, bytes, len, ret_master, why);
	store_free(bytes, len);
	if (!ret)
		warn_of_readers(name);
	return ret;
}
