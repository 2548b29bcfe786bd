// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// service.json: what an install was told, for the next one.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/store.h"
#include "netbird/json_file.h"
#include "service/service.h"

#define FILE_MAX	(1U << 20)
#define ENV_KEY		"service_env_vars"
#define INDENT		4		/* as NetBird's client writes it */

#define PARAM(flag, key, kind) { flag, key, kind },
const struct service_param service_params[] = { SERVICE_PARAMS(PARAM) {} };

const struct service_param *service_find_param(const char *flag)
{
	for (const struct service_param *p = service_params; p->flag; p++) {
		if (!strcmp(p->flag, flag))
			return p;
	}
	return NULL;
}

static bool is_param(const char *key)
{
	for (const struct service_param *p = service_params; p->flag; p++) {
		if (!strcmp(p->key, key))
			return true;
	}
	return false;
}

int service_load(const char *path, json_t **ret_saved, char *why, size_t size)
{
	uint8_t *bytes = NULL;
	json_error_t error;
	size_t len = 0;
	int ret;

	json_file_init();
	ret = store_read(path, FILE_MAX, &bytes, &len);
	if (ret == -ENOENT) {
		*ret_saved = json_object();
		return *ret_saved ? 0 : -ENOMEM;
	}
	if (ret) {
		snprintf(why, size, "cannot read %s: %s", path, strerror(-ret));
		return ret;
	}
	*ret_saved = json_file_parse(bytes, len, &error);
	store_free(bytes, len);
	if (*ret_saved)
		return 0;
	snprintf(why, size, "%s:%d: %.100s; remove it: talon service reset-params", path, error.line,
		error.text);
	return -EBADMSG;
}

int service_save(const char *path, const json_t *saved)
{
	json_t *ordered = json_object();
	const char *key;
	json_t *value;
	int ret = ordered ? 0 : -ENOMEM;

	for (const struct service_param *p = service_params; !ret && p->flag; p++) {
		value = json_object_get(saved, p->key);
		if (value && !json_is_false(value))
			ret = json_object_set(ordered, p->key, value) ? -ENOMEM : 0;
	}
	value = json_object_get(saved, ENV_KEY);
	if (!ret && value)
		ret = json_object_set(ordered, ENV_KEY, value) ? -ENOMEM : 0;
	json_object_foreach((json_t *)saved, key, value) {
		if (!ret && !is_param(key) && !json_object_get(ordered, key))
			ret = json_object_set(ordered, key, value) ? -ENOMEM : 0;
	}
	if (!ret)
		ret = json_file_write(path, ordered, JSON_INDENT(INDENT));
	json_decref(ordered);
	return ret;
}

static int set_list(json_t *saved, const struct service_param *param, const char *value, bool is_first)
{
	json_t *list = json_object_get(saved, param->key);

	if (is_first || !json_is_array(list)) {
		list = json_array();
		if (json_object_set_new(saved, param->key, list))
			return -ENOMEM;
	}
	while (*value) {
		size_t len = strcspn(value, ",");

		if (len && json_array_append_new(list, json_stringn(value, len)))
			return -ENOMEM;
		value += len + (value[len] == ',');
	}
	if (!json_array_size(list))
		json_object_del(saved, param->key);
	return 0;
}

static int set_switch(json_t *saved, const struct service_param *param, const char *value, char *why,
	size_t size)
{
	static const char *const yes[] = { "true", "t", "1", "True", "TRUE", "T", "yes", "on" },
		*const no[] = { "false", "f", "0", "False", "FALSE", "F", "no", "off" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcmp(value, yes[i]) || !strcmp(value, no[i]))
			return json_object_set_new(saved, param->key, json_boolean(!strcmp(value, yes[i])))
				? -ENOMEM : 0;
	}
	snprintf(why, size, "--%s: '%.40s' is not a choice; expected true or false", param->flag, value);
	return -EINVAL;
}

int service_set(json_t *saved, const struct service_param *param, const char *value, bool is_first, char *why,
	size_t size)
{
	for (const char *c = value; *c; c++) {
		if (iscntrl((unsigned char)*c)) {
			snprintf(why, size, "--%s: the value has control characters; expected plain text",
				param->flag);
			return -EINVAL;
		}
	}
	if (param->kind == SERVICE_LIST)
		return set_list(saved, param, value, is_first);
	if (param->kind == SERVICE_SWITCH)
		return set_switch(saved, param, value, why, size);
	if (*value)
		return json_object_set_new(saved, param->key, json_string(value)) ? -ENOMEM : 0;
	json_object_del(saved, param->key);
	return 0;
}

/* "NAME=value" with a name that a shell would take. */
static bool is_variable(const char *text, size_t len)
{
	size_t name = 0;

	while (name < len && (isalnum((unsigned char)text[name]) || text[name] == '_'))
		name++;
	if (!name || name == len || text[name] != '=' || isdigit((unsigned char)text[0]))
		return false;
	for (size_t i = name; i < len; i++) {
		if (iscntrl((unsigned char)text[i]))
			return false;
	}
	return true;
}

int service_set_env(json_t *saved, const char *list, char *why, size_t size)
{
	json_t *env = json_object_get(saved, ENV_KEY);
	bool is_empty = true;

	if (!json_is_object(env)) {
		env = json_object();
		if (json_object_set_new(saved, ENV_KEY, env))
			return -ENOMEM;
	}
	while (*list) {
		size_t len = strcspn(list, ","), name = strcspn(list, "=");
		char key[256];

		if (len && (!is_variable(list, len) || name >= sizeof(key))) {
			/* what is on the other side of the sign may be a secret */
			snprintf(why, size,
				"--service-env: '%.*s' is not a variable; expected NAME=value, with commas "
				"between several", (int)(name < len ? name : len < 40 ? len : 40), list);
			return -EINVAL;
		}
		if (len) {
			snprintf(key, sizeof(key), "%.*s", (int)name, list);
			if (json_object_set_new(env, key, json_stringn(list + name + 1, len - name - 1)))
				return -ENOMEM;
			is_empty = false;
		}
		list += len + (list[len] == ',');
	}
	if (is_empty)
		json_object_clear(env);
	if (!json_object_size(env))
		json_object_del(saved, ENV_KEY);
	return 0;
}
