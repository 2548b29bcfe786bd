// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who we are: the profile file that NetBird's client writes, read and written so that either program
// can take over.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>

#include "config/config.h"
#include "netbird/identity.h"
#include "base/store.h"

#define IDENTITY_FILE_MAX	(1U << 20)
#define STATE_FILE_MAX		(16U << 20)
#define LOCK_NAME		"talon.lock"
#define DEFAULT_HOST		"api.netbird.io:443"
#define DEFAULT_ADMIN_HOST	"app.netbird.io:443"
#define DEFAULT_DNS_INTERVAL	60000000000LL
#define SSH_TYPE		"ssh-ed25519"
#define DNS_LABELS_MAX		32

__attribute__((format(printf, 3, 4)))
static void say(char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
}

/* jansson copies keys about while it reads and writes: what it gives back is wiped. */
static void wipe_and_free(void *bytes)
{
	if (bytes)
		sodium_memzero(bytes, malloc_usable_size(bytes));
	free(bytes);
}

static void wipe_json_memory(void)
{
	static bool is_done;

	if (!is_done)
		json_set_alloc_funcs(malloc, wipe_and_free);
	is_done = true;
}

/* One field in, as text; NULL for what is not there, null, or no text. */
static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static bool truth_of(const json_t *json, const char *key)
{
	return json_is_true(json_object_get(json, key));
}

static uint16_t number_of(const json_t *json, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(json, key));

	return value > 0 && value <= UINT16_MAX ? value : 0;
}

/* SSH */

static char *ssh_line(const uint8_t key[static 32])
{
	uint8_t blob[4 + sizeof(SSH_TYPE) - 1 + 4 + 32] = { 0, 0, 0, sizeof(SSH_TYPE) - 1 };
	char text[sodium_base64_ENCODED_LEN(sizeof(blob), sodium_base64_VARIANT_ORIGINAL)];
	char *line;

	memcpy(blob + 4, SSH_TYPE, sizeof(SSH_TYPE) - 1);
	blob[4 + sizeof(SSH_TYPE) - 1 + 3] = 32;
	memcpy(blob + sizeof(blob) - 32, key, 32);
	sodium_bin2base64(text, sizeof(text), blob, sizeof(blob), sodium_base64_VARIANT_ORIGINAL);
	return asprintf(&line, "%s %s", SSH_TYPE, text) < 0 ? NULL : line;
}

static char *ssh_line_of_pem(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
	uint8_t public[32];
	size_t len = sizeof(public);
	bool ok = key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 && EVP_PKEY_get_raw_public_key(key, public,
		&len) == 1 && len == sizeof(public);

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok ? ssh_line(public) : strdup("");
}

/* A new key as PKCS#8 PEM, or NULL. */
static json_t *new_ssh_key(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem());
	json_t *json = NULL;
	char *pem;
	long len;

	if (key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(bio, &pem);
		json = json_stringn(pem, len);
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
	return json;
}

/* URLs: objects with the fields of a parsed one. */

static json_t *url_object(const char *scheme, const char *host, const char *path)
{
	return json_pack("{s:s, s:s, s:n, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "Scheme", scheme,
		"Opaque", "", "User", "Host", host, "Path", path, "Fragment", "", "RawQuery", "", "RawPath",
		"", "RawFragment", "", "ForceQuery", 0, "OmitHost", 0);
}

/* NULL where there is none, or no memory. */
static char *url_text(const json_t *json)
{
	const char *scheme = text_of(json, "Scheme"), *host = text_of(json, "Host"),
		*path = text_of(json, "Path");
	char *text;

	if (json_is_string(json) && json_string_length(json))
		return strdup(json_string_value(json));
	if (!scheme || !*scheme || !host || !*host)
		return NULL;
	if (!path || strcmp(path, "/") == 0)
		path = "";
	return asprintf(&text, "%s://%s%s", scheme, host, path) < 0 ? NULL : text;
}

/*
 * "https://host[:port][/path]" into an object; a missing port is added. NULL where @url is not of that form.
 */
static json_t *url_json(const char *url)
{
	const char *host = strstr(url, "://");
	char scheme[16], name[300], with_port[320];
	size_t len;
	bool has_port;

	if (!host || (size_t)(host - url) >= sizeof(scheme))
		return NULL;
	snprintf(scheme, sizeof(scheme), "%.*s", (int)(host - url), url);
	host += 3;
	len = strcspn(host, "/?#");
	if (!len || len >= sizeof(name))
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)len, host);
	has_port = strchr(name[0] == '[' ? strchr(name, ']') ?: name : name, ':');
	snprintf(with_port, sizeof(with_port), "%s%s", name, has_port ? "" : strcmp(scheme, "http") == 0
		? ":80" : ":443");
	return url_object(scheme, with_port, strcmp(host + len, "/") == 0 ? "" : host + len);
}

/* A new file: what NetBird's client would write. */

static json_t *blacklist(void)
{
	static const char *const prefixes[] = {
		"wt0", "wt", "utun", "tun0", "zt", "ZeroTier", "wg", "ts", "Tailscale", "tailscale", "docker",
		"veth", "br-", "lo",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		json_array_append_new(list, json_string(prefixes[i]));
	return list;
}

static json_t *key_json(const struct secret_key *key)
{
	char text[KEY_BASE64_LEN + 1];
	json_t *json;

	key_to_base64(key->bytes, text);
	json = json_string(text);
	sodium_memzero(text, sizeof(text));
	return json;
}

static void new_private_key(struct secret_key *ret_key)
{
	randombytes_buf(ret_key->bytes, KEY_LEN);
	secret_key_clamp(ret_key);
}

static json_t *new_private_key_json(void)
{
	struct secret_key key;
	json_t *json;

	new_private_key(&key);
	json = key_json(&key);
	secret_key_wipe(&key);
	return json;
}

static void add_nulls(json_t *json, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(json, *keys, json_null());
}

static void add_falses(json_t *json, const char *const *keys)
{
	for (; *keys; keys++)
		json_object_set_new(json, *keys, json_false());
}

#define KEYS(...) ((const char *const []){ __VA_ARGS__, NULL })

/* In the order in which NetBird's client has them. */
static json_t *new_profile(void)
{
	json_t *json = json_object();

	json_object_set_new(json, "PrivateKey", new_private_key_json());
	json_object_set_new(json, "PreSharedKey", json_string(""));
	json_object_set_new(json, "ManagementURL", url_object("https", DEFAULT_HOST, ""));
	json_object_set_new(json, "AdminURL", url_object("https", DEFAULT_ADMIN_HOST, ""));
	json_object_set_new(json, "WgIface", json_string(CONFIG_TUNNEL));
	json_object_set_new(json, "WgPort", json_integer(CONFIG_LISTEN_PORT));
	add_nulls(json, KEYS("NetworkMonitor"));
	json_object_set_new(json, "IFaceBlackList", blacklist());
	add_falses(json, KEYS("DisableIPv6Discovery", "RosenpassEnabled", "RosenpassPermissive",
		"ServerSSHAllowed"));
	add_nulls(json, KEYS("EnableSSHRoot", "EnableSSHSFTP", "EnableSSHLocalPortForwarding",
		"EnableSSHRemotePortForwarding", "DisableSSHAuth", "SSHJWTCacheTTL"));
	add_falses(json, KEYS("DisableClientRoutes", "DisableServerRoutes", "DisableDNS", "DisableFirewall",
		"BlockLANAccess", "BlockInbound"));
	json_object_set_new(json, "DisableNotifications", json_true());
	add_nulls(json, KEYS("DNSLabels"));
	json_object_set_new(json, "SSHKey", new_ssh_key());
	add_nulls(json, KEYS("NATExternalIPs"));
	json_object_set_new(json, "CustomDNSAddress", json_string(""));
	add_falses(json, KEYS("DisableAutoConnect"));
	json_object_set_new(json, "DNSRouteInterval", json_integer(DEFAULT_DNS_INTERVAL));
	json_object_set_new(json, "ClientCertPath", json_string(""));
	json_object_set_new(json, "ClientCertKeyPath", json_string(""));
	add_falses(json, KEYS("LazyConnectionEnabled"));
	json_object_set_new(json, "MTU", json_integer(CONFIG_MTU));
	return json;
}

/* Reading */

static int read_key(const json_t *json, const char *name, struct secret_key *ret_key, const char *path,
	char *why, size_t size)
{
	const json_t *value = json_object_get(json, name);

	if (!value || json_is_null(value) || (json_is_string(value) && !json_string_length(value)))
		return 0;
	if (json_is_string(value) && !secret_key_from_base64(json_string_value(value), ret_key))
		return 0;
	say(why, size, "%s: %s is damaged: expected a key of 44 base64 characters", path, name);
	return -EBADMSG;
}

static int read_labels(const json_t *json, struct identity *identity)
{
	const json_t *list = json_object_get(json, "DNSLabels"), *item;
	size_t i;

	identity->dns_labels = calloc(DNS_LABELS_MAX, sizeof(*identity->dns_labels));
	if (!identity->dns_labels)
		return -ENOMEM;
	json_array_foreach((json_t *)list, i, item) {
		if (!json_is_string(item) || !json_string_length(item) ||
			identity->dns_label_count == DNS_LABELS_MAX)
			continue;
		identity->dns_labels[identity->dns_label_count] = strdup(json_string_value(item));
		if (!identity->dns_labels[identity->dns_label_count])
			return -ENOMEM;
		identity->dns_label_count++;
	}
	return 0;
}

static int read_texts(const json_t *json, struct identity *identity)
{
	const char *interface = text_of(json, "WgIface"), *ssh_key = text_of(json, "SSHKey");

	identity->ssh_public_key = ssh_key ? ssh_line_of_pem(ssh_key) : strdup("");
	identity->interface = interface && *interface ? strdup(interface) : NULL;
	if (!identity->ssh_public_key || (interface && *interface && !identity->interface))
		return -ENOMEM;
	return read_labels(json, identity);
}

/*
 * Nothing there is what a file made by hand may have. What is there and cannot be read must not send this
 * host to another server.
 */
static int read_url(const json_t *json, struct identity *identity, const char *path, char *why, size_t size)
{
	const json_t *value = json_object_get(json, "ManagementURL");

	identity->management_url = url_text(value);
	if (identity->management_url || !value || json_is_null(value) ||
		(json_is_string(value) && !json_string_length(value)))
		return 0;
	say(why, size, "%s: ManagementURL is damaged: expected an object with Scheme (http or https) and "
		"Host (HOST:PORT), or one text", path);
	return -EBADMSG;
}

/* Takes @json over. */
static int read_profile(json_t *json, struct identity *identity, const char *path, char *why, size_t size)
{
	int ret;

	identity->json = json;
	identity->wg_port = number_of(json, "WgPort");
	identity->mtu = number_of(json, "MTU");
	identity->disable_client_routes = truth_of(json, "DisableClientRoutes");
	identity->disable_server_routes = truth_of(json, "DisableServerRoutes");
	identity->disable_firewall = truth_of(json, "DisableFirewall");
	identity->block_lan_access = truth_of(json, "BlockLANAccess");
	identity->block_inbound = truth_of(json, "BlockInbound");
	identity->lazy_connection = truth_of(json, "LazyConnectionEnabled");
	ret = read_key(json, "PrivateKey", &identity->private_key, path, why, size);
	if (!ret)
		ret = read_key(json, "PreSharedKey", &identity->preshared_key, path, why, size);
	if (!ret)
		ret = read_url(json, identity, path, why, size);
	if (ret)
		return ret;
	ret = read_texts(json, identity);
	if (ret)
		say(why, size, "%s: out of memory", path);
	return ret;
}

static json_t *parse_object(const uint8_t *bytes, size_t len, json_error_t *ret_error)
{
	json_t *json = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, ret_error);

	if (json && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
		*ret_error = (json_error_t){ .line = 1, .text = "it is no object" };
	}
	return json;
}

static int write_json(const char *path, const json_t *json, size_t flags)
{
	char *text = json_dumps(json, flags);
	int ret;

	if (!text)
		return -ENOMEM;
	ret = store_write(path, text, strlen(text));
	wipe_and_free(text);
	return ret;
}

static int write_profile(const char *path, const json_t *json, char *why, size_t size)
{
	int ret = write_json(path, json, JSON_INDENT(4));

	if (ret)
		say(why, size, "%s: cannot be written: %s", path, strerror(-ret));
	return ret;
}

/* Reads @path; one that does not exist is an empty one, which has everything to be made up for. */
static int read_file(const char *path, json_t **ret_json, char *why, size_t size)
{
	json_error_t error;
	uint8_t *bytes;
	size_t len;
	int ret = store_read(path, IDENTITY_FILE_MAX, &bytes, &len);

	if (ret == -ENOENT) {
		*ret_json = NULL;
		return 0;
	}
	if (ret) {
		say(why, size, "%s: cannot be read: %s", path, strerror(-ret));
		return ret;
	}
	*ret_json = parse_object(bytes, len, &error);
	store_free(bytes, len);
	if (*ret_json)
		return 0;
	say(why, size, "%s:%d: the identity file is damaged (%s); restore it, or remove it to join as a new "
		"peer", path, error.line, error.text);
	return -EBADMSG;
}

/* A file made by hand may have settings but no key yet: NetBird's client makes one then, and so do we. */
static int make_key(struct identity *identity)
{
	if (!secret_key_is_zero(&identity->private_key))
		return 0;
	new_private_key(&identity->private_key);
	identity->is_new = true;
	return json_object_set_new(identity->json, "PrivateKey", key_json(&identity->private_key))
		? -ENOMEM : 0;
}

int identity_load(const char *path, struct identity *ret_identity, char *why, size_t size)
{
	struct identity identity = {};
	json_t *json;
	int ret;

	wipe_json_memory();
	ret = read_file(path, &json, why, size);
	if (ret)
		return ret;
	if (!json) {
		identity.is_new = true;
		json = new_profile();
	}
	ret = read_profile(json, &identity, path, why, size);
	if (!ret && make_key(&identity)) {
		say(why, size, "%s: out of memory", path);
		ret = -ENOMEM;
	}
	if (!ret && identity.is_new)
		ret = write_profile(path, json, why, size);
	if (ret) {
		identity_done(&identity);
		return ret;
	}
	key_public(&identity.private_key, identity.public_key);
	*ret_identity = identity;
	return 0;
}

int identity_adopt(const char *old, const char *path, char *why, size_t size)
{
	struct identity identity;
	uint8_t *bytes;
	size_t len;
	int ret;

	if (access(path, F_OK) == 0 || access(old, F_OK))
		return 0;
	ret = identity_load(old, &identity, why, size);		/* a damaged one is not spread */
	if (ret)
		return ret;
	identity_done(&identity);
	ret = store_read(old, IDENTITY_FILE_MAX, &bytes, &len);
	if (!ret) {
		ret = store_write(path, bytes, len);
		store_free(bytes, len);
	}
	if (ret)
		say(why, size, "%s: cannot be copied to %s: %s", old, path, strerror(-ret));
	return ret ? ret : 1;
}

/* Writing back */

static bool set_url(json_t *json, const char *url)
{
	char *was = url_text(json_object_get(json, "ManagementURL"));
	json_t *object = url ? url_json(url) : NULL;
	char *is = url_text(object);
	bool changed = is && (!was || strcmp(was, is) != 0);

	if (changed)
		json_object_set(json, "ManagementURL", object);
	json_decref(object);
	free(was);
	free(is);
	return changed;
}

static bool set_value(json_t *json, const char *key, json_t *value)
{
	bool changed = value && !json_equal(json_object_get(json, key), value);

	if (changed)
		json_object_set(json, key, value);
	json_decref(value);
	return changed;
}

int identity_save(const char *path, struct identity *identity, char *why, size_t size)
{
	json_t *json = identity->json;
	bool changed = set_url(json, identity->management_url);

	changed |= set_value(json, "WgIface", identity->interface ? json_string(identity->interface) : NULL);
	changed |= set_value(json, "WgPort", identity->wg_port ? json_integer(identity->wg_port) : NULL);
	return changed ? write_profile(path, json, why, size) : 0;
}

int identity_set_url(const char *path, struct identity *identity, const char *url, char *why, size_t size)
{
	char *copy;

	if (identity->management_url && !strcmp(identity->management_url, url))
		return 0;
	copy = strdup(url);
	if (!copy) {
		say(why, size, "%s: out of memory", path);
		return -ENOMEM;
	}
	free(identity->management_url);
	identity->management_url = copy;
	return identity_save(path, identity, why, size);
}

void identity_done(struct identity *identity)
{
	for (size_t i = 0; i < identity->dns_label_count; i++)
		free(identity->dns_labels[i]);
	free(identity->dns_labels);
	free(identity->ssh_public_key);
	free(identity->management_url);
	free(identity->interface);
	json_decref(identity->json);
	sodium_memzero(identity, sizeof(*identity));
}

/* One process for each state directory */

static int hold(int fd, const char *path, bool is_writable, char *why, size_t size)
{
	char pid[24] = "";

	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK) {
			say(why, size, "%s: cannot be locked: %s", path, strerror(errno));
			return -errno;
		}
		if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
			pid[0] = 0;
		pid[strspn(pid, "0123456789")] = 0;
		say(why, size, "%s: another process (%s) uses this identity", path, pid[0] ? pid : "unknown");
		return -EBUSY;
	}
	if (!is_writable)
		return 0;
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0) {
		say(why, size, "%s: cannot be written: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

static bool is_read_only(int ret)
{
	return ret == -EROFS || ret == -EACCES || ret == -EPERM;
}

/*
 * What cannot be written can still be locked: the file that an earlier run left, or the directory itself. Two
 * processes agree on which of them it is, for neither can make the file.
 */
static int open_lock(const char *state_dir, const char *path, bool *ret_writable)
{
	int fd, ret = store_make_directory(path);

	if (ret && !is_read_only(ret))
		return ret;
	*ret_writable = true;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 || !is_read_only(-errno))
		return fd < 0 ? -errno : fd;
	*ret_writable = false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int identity_lock(const char *state_dir, char *why, size_t size)
{
	char path[PATH_MAX];
	bool is_writable = false;
	int fd, ret;

	if (snprintf(path, sizeof(path), "%s/" LOCK_NAME, state_dir) >= (int)sizeof(path)) {
		say(why, size, "%s: the path is too long", state_dir);
		return -ENAMETOOLONG;
	}
	fd = open_lock(state_dir, path, &is_writable);
	if (fd < 0) {
		say(why, size, "%s: cannot be opened: %s", path, strerror(-fd));
		return fd;
	}
	ret = hold(fd, path, is_writable, why, size);
	if (ret < 0)
		close(fd);
	return ret < 0 ? ret : fd;
}

/* state.json */

#define SELECTION	"routeselector_state"

static int read_ids(const json_t *object, char ***ret_ids, size_t *ret_count)
{
	const char *key;
	json_t *value;

	if (!json_object_size(object))
		return 0;
	*ret_ids = calloc(json_object_size(object), sizeof(**ret_ids));
	if (!*ret_ids)
		return -ENOMEM;
	json_object_foreach((json_t *)object, key, value) {
		(*ret_ids)[*ret_count] = strdup(key);
		if (!(*ret_ids)[*ret_count])
			return -ENOMEM;
		(*ret_count)++;
	}
	return 0;
}

/* *@ret_json is an object also where there is no file. */
static int read_state(const char *path, json_t **ret_json)
{
	json_error_t error;
	uint8_t *bytes;
	size_t len;
	int ret;

	wipe_json_memory();
	ret = store_read(path, STATE_FILE_MAX, &bytes, &len);
	if (ret == -ENOENT) {
		*ret_json = json_object();
		return *ret_json ? 0 : -ENOMEM;
	}
	if (ret)
		return ret;
	*ret_json = parse_object(bytes, len, &error);
	store_free(bytes, len);
	return *ret_json ? 0 : -EBADMSG;
}

static int read_selection(const json_t *json, struct route_selection *selection)
{
	int ret = read_ids(json_object_get(json, "selected_routes"), &selection->selected,
		&selection->selected_count);

	if (!ret)
		ret = read_ids(json_object_get(json, "deselected_routes"), &selection->deselected,
			&selection->deselected_count);
	selection->deselect_all = truth_of(json, "deselect_all");
	return ret;
}

int route_selection_load(const char *path, struct route_selection *ret_selection)
{
	struct route_selection selection = {};
	json_t *json;
	int ret = read_state(path, &json);

	if (ret)
		return ret;
	ret = read_selection(json_object_get(json, SELECTION), &selection);
	json_decref(json);
	if (ret)
		route_selection_done(&selection);
	else
		*ret_selection = selection;
	return ret;
}

static json_t *ids_object(char *const *ids, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++)
		json_object_set_new(object, ids[i], json_object());
	return object;
}

int route_selection_save(const char *path, const struct route_selection *selection)
{
	json_t *json, *state;
	int ret = read_state(path, &json);

	if (ret)
		return ret;
	state = json_pack("{s:o, s:o, s:b}", "selected_routes",
		ids_object(selection->selected, selection->selected_count), "deselected_routes",
		ids_object(selection->deselected, selection->deselected_count), "deselect_all",
		selection->deselect_all);
	ret = json_object_set_new(json, SELECTION, state) ? -ENOMEM : write_json(path, json, JSON_COMPACT);
	json_decref(json);
	return ret;
}

static void free_ids(char **ids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(ids[i]);
	free(ids);
}

void route_selection_done(struct route_selection *selection)
{
	free_ids(selection->selected, selection->selected_count);
	free_ids(selection->deselected, selection->deselected_count);
	*selection = (struct route_selection){};
}
