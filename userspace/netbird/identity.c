// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who we are: the profile file of NetBird's client, read and written so that either program can take over.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/store.h"
#include "netbird/identity_internal.h"
#include "netbird/json_file.h"

#define IDENTITY_FILE_MAX	(1U << 20)
#define DNS_LABELS_MAX		32

void identity_say(char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
}

static uint16_t number_of(const json_t *json, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(json, key));

	return value > 0 && value <= UINT16_MAX ? value : 0;
}

static int read_key(const json_t *json, const char *name, struct secret_key *ret_key, const char *path,
	char *why, size_t size)
{
	const json_t *value = json_object_get(json, name);

	if (!value || json_is_null(value) || (json_is_string(value) && !json_string_length(value)))
		return 0;
	if (json_is_string(value) && !secret_key_from_base64(json_string_value(value), ret_key))
		return 0;
	identity_say(why, size, "%s: %s is damaged: expected a key of 44 base64 characters", path, name);
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

/* A copy of @text without control characters, or NULL. */
static char *printable(const char *text)
{
	char *copy = strdup(text ? text : ""), *to = copy;

	for (const char *from = copy; from && *from; from++) {
		if ((unsigned char)*from >= ' ' && *from != 0x7f)
			*to++ = *from;
	}
	if (copy)
		*to = '\0';
	return copy;
}

static int read_texts(const json_t *json, struct identity *identity)
{
	const char *interface = json_file_text(json, "WgIface"), *ssh_key = json_file_text(json, "SSHKey");

	identity->ssh_public_key = ssh_key ? identity_ssh_line(ssh_key) : strdup("");
	identity->interface = interface && *interface ? strdup(interface) : NULL;
	identity->name = printable(json_file_text(json, "Name"));
	if (!identity->ssh_public_key || !identity->name || (interface && *interface && !identity->interface))
		return -ENOMEM;
	return read_labels(json, identity);
}

/*
 * A file made by hand may lack the URL. A damaged URL is an error, lest this host goes to the default server
 * instead.
 */
static int read_url(const json_t *json, struct identity *identity, const char *path, char *why, size_t size)
{
	const json_t *value = json_object_get(json, "ManagementURL");

	identity->management_url = identity_url_text(value);
	if (identity->management_url || !value || json_is_null(value) ||
		(json_is_string(value) && !json_string_length(value)))
		return 0;
	identity_say(why, size, "%s: ManagementURL is damaged: expected an object with Scheme (http or "
		"https) and Host (HOST:PORT), or one text", path);
	return -EBADMSG;
}

/* @identity owns @json from now on. */
static int read_profile(json_t *json, struct identity *identity, const char *path, char *why, size_t size)
{
	int ret;

	identity->json = json;
	identity->wg_port = number_of(json, "WgPort");
	identity->mtu = number_of(json, "MTU");
	identity->disable_client_routes = json_file_is_true(json, "DisableClientRoutes");
	identity->disable_server_routes = json_file_is_true(json, "DisableServerRoutes");
	identity->disable_firewall = json_file_is_true(json, "DisableFirewall");
	identity->block_lan_access = json_file_is_true(json, "BlockLANAccess");
	identity->block_inbound = json_file_is_true(json, "BlockInbound");
	identity->disable_ipv6 = json_file_is_true(json, "DisableIPv6");
	ret = read_key(json, "PrivateKey", &identity->private_key, path, why, size);
	if (!ret)
		ret = read_key(json, "PreSharedKey", &identity->preshared_key, path, why, size);
	if (!ret)
		ret = read_url(json, identity, path, why, size);
	if (ret)
		return ret;
	ret = read_texts(json, identity);
	if (ret)
		identity_say(why, size, "%s: out of memory", path);
	return ret;
}

static int write_profile(const char *path, const json_t *json, char *why, size_t size)
{
	int ret = json_file_write(path, json, JSON_INDENT(4));

	if (ret)
		identity_say(why, size, "%s: cannot be written: %s", path, strerror(-ret));
	return ret;
}

/* Reads @path; *@ret_json is NULL if it does not exist. */
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
		identity_say(why, size, "%s: cannot be read: %s", path, strerror(-ret));
		return ret;
	}
	*ret_json = json_file_parse(bytes, len, &error);
	store_free(bytes, len);
	if (*ret_json)
		return 0;
	identity_say(why, size, "%s:%d: the identity file is damaged (%s); restore it, or remove it to join "
		"as a new peer", path, error.line, error.text);
	return -EBADMSG;
}

/* A file made by hand may have settings but no key: NetBird's client makes one then, and so do we. */
static int make_key(struct identity *identity)
{
	if (!secret_key_is_zero(&identity->private_key))
		return 0;
	identity_new_private_key(&identity->private_key);
	identity->is_new = true;
	return json_object_set_new(identity->json, "PrivateKey", identity_key_json(&identity->private_key))
		? -ENOMEM : 0;
}

int identity_load(const char *path, struct identity *ret_identity, char *why, size_t size)
{
	struct identity identity = {};
	json_t *json;
	int ret;

	json_file_init();
	ret = read_file(path, &json, why, size);
	if (ret)
		return ret;
	if (!json) {
		identity.is_new = true;
		json = identity_new_profile();
	}
	ret = read_profile(json, &identity, path, why, size);
	if (!ret && make_key(&identity)) {
		identity_say(why, size, "%s: out of memory", path);
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
	ret = identity_load(old, &identity, why, size);		/* a damaged one is not copied */
	if (ret)
		return ret;
	identity_done(&identity);
	ret = store_read(old, IDENTITY_FILE_MAX, &bytes, &len);
	if (!ret) {
		ret = store_write(path, bytes, len);
		store_free(bytes, len);
	}
	if (ret)
		identity_say(why, size, "%s: cannot be copied to %s: %s", old, path, strerror(-ret));
	return ret ? ret : 1;
}

/* True if that changes the profile. */
static bool set_url(json_t *json, const char *url)
{
	char *was = identity_url_text(json_object_get(json, "ManagementURL"));
	json_t *object = identity_url_json(url);
	char *is = identity_url_text(object);
	bool changed = is && (!was || strcmp(was, is) != 0);

	if (changed)
		json_object_set(json, "ManagementURL", object);
	json_decref(object);
	free(was);
	free(is);
	return changed;
}

int identity_set_url(const char *path, struct identity *identity, const char *url, char *why, size_t size)
{
	char *copy;

	if (identity->management_url && !strcmp(identity->management_url, url))
		return 0;
	copy = strdup(url);
	if (!copy) {
		identity_say(why, size, "%s: out of memory", path);
		return -ENOMEM;
	}
	free(identity->management_url);
	identity->management_url = copy;
	return set_url(identity->json, url) ? write_profile(path, identity->json, why, size) : 0;
}

int identity_set_disable_ipv6(const char *path, struct identity *identity, bool disable, char *why,
	size_t size)
{
	if (identity->disable_ipv6 == disable)
		return 0;
	identity->disable_ipv6 = disable;
	if (json_object_set_new(identity->json, "DisableIPv6", json_boolean(disable))) {
		identity_say(why, size, "%s: out of memory", path);
		return -ENOMEM;
	}
	return write_profile(path, identity->json, why, size);
}

void identity_done(struct identity *identity)
{
	for (size_t i = 0; i < identity->dns_label_count; i++)
		free(identity->dns_labels[i]);
	free(identity->dns_labels);
	free(identity->ssh_public_key);
	free(identity->management_url);
	free(identity->interface);
	free(identity->name);
	json_decref(identity->json);
	sodium_memzero(identity, sizeof(*identity));
}
