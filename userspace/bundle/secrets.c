// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What must not be in a bundle at any level, looked up where it is kept.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "base/store.h"
#include "bundle/internal.h"
#include "crypto/key.h"
#include "netbird/json_file.h"

#define IDENTITY_MAX	(1U << 20)
#define KEY_FILE_MAX	4096
#define LINE_MIN	16		/* of a key of several lines */

bool bundle_is_secret_name(const char *name)
{
	static const char *const words[] = { "key", "secret", "password", "passwd", "token", "psk",
		"credential" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasestr(name, words[i]))
			return true;
	}
	return false;
}

static int hide(struct anon *anon, const char *text)
{
	int ret = anon_hide(anon, text);

	return ret == -EINVAL ? 0 : ret;	/* too short to be told from other text */
}

/* A key in PEM form: each line, since a log could have one. */
static int hide_lines(struct anon *anon, const char *text)
{
	char line[256];
	int ret = 0;

	while (*text && !ret) {
		size_t len = strcspn(text, "\r\n");

		if (len >= LINE_MIN && len < sizeof(line) && strncmp(text, "-----", 5)) {
			memcpy(line, text, len);
			line[len] = '\0';
			ret = hide(anon, line);
		}
		text += len + (text[len] != '\0');
	}
	return ret;
}

int bundle_hide_identity(struct anon *anon, const char *path)
{
	json_error_t error;
	const char *key;
	json_t *json, *value;
	uint8_t *bytes;
	size_t len;
	int ret = store_read(path, IDENTITY_MAX, &bytes, &len);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	json = json_file_parse(bytes, len, &error);
	store_free(bytes, len);
	if (!json)
		return -EBADMSG;
	json_object_foreach(json, key, value) {
		const char *text = json_string_value(value);

		if (text && *text && bundle_is_secret_name(key) && !ret)
			ret = strchr(text, '\n') ? hide_lines(anon, text) : hide(anon, text);
	}
	json_decref(json);
	return ret;
}

static int hide_file(struct anon *anon, const char *path)
{
	uint8_t *bytes;
	size_t len;
	int ret = store_read(path, KEY_FILE_MAX, &bytes, &len);

	if (ret)
		return 0;
	bytes[strcspn((char *)bytes, "\r\n")] = '\0';
	ret = hide(anon, (char *)bytes);
	store_free(bytes, len);
	return ret;
}

int bundle_hide_env(struct anon *anon, char *const *env)
{
	int ret = 0;

	for (; *env && !ret; env++) {
		const char *value = strchr(*env, '=');
		char name[128];

		if (!value || (size_t)(value - *env) >= sizeof(name) || !value[1])
			continue;
		memcpy(name, *env, value - *env);
		name[value - *env] = '\0';
		if (!bundle_is_secret_name(name))
			continue;
		ret = value[1] == '/' && strstr(name, "FILE") ? hide_file(anon, value + 1) : hide(anon,
			value + 1);
	}
	return ret;
}

static int hide_key(struct anon *anon, const uint8_t key[static KEY_LEN])
{
	char text[KEY_BASE64_LEN + 1];
	int ret = 0;

	key_to_base64(key, text);
	if (!sodium_is_zero(key, KEY_LEN))
		ret = hide(anon, text);
	sodium_memzero(text, sizeof(text));
	return ret;
}

int bundle_hide_config(struct anon *anon, const struct config *config)
{
	int ret = hide_key(anon, config->private_key);

	for (size_t i = 0; i < config->peer_count && !ret; i++)
		ret = hide_key(anon, config->peers[i].preshared_key);
	return ret;
}

void bundle_mask_service(json_t *service)
{
	json_t *variables = json_object_get(service, "service_env_vars"), *value;
	const char *name;
	void *next;

	json_object_foreach_safe(variables, next, name, value)
		json_object_set_new(variables, name, json_string(ANON_HIDDEN));
	json_object_foreach_safe(service, next, name, value) {
		if (bundle_is_secret_name(name) && json_is_string(value))
			json_object_set_new(service, name, json_string(ANON_HIDDEN));
	}
}
