// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Values of a request: of the right type, bounded, and without control characters.
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "snapshot/control.h"
#include "snapshot/control_internal.h"

static bool is_plain(const char *text, size_t max)
{
	if (!*text || strlen(text) > max)
		return false;
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

int control_read_text(const json_t *request, const char *key, size_t max, const char **ret_value)
{
	const json_t *value = json_object_get(request, key);

	if (value && (!json_is_string(value) || !is_plain(json_string_value(value), max)))
		return -EINVAL;
	*ret_value = json_string_value(value);
	return 0;
}

int control_read_port(const json_t *request, const char *key, uint16_t *ret_port)
{
	const json_t *value = json_object_get(request, key);
	json_int_t number = json_integer_value(value);

	if (value && (!json_is_integer(value) || number < 0 || number > UINT16_MAX))
		return -EINVAL;
	*ret_port = number;
	return 0;
}

int control_read_ids(const json_t *list, char *ids[static CONTROL_IDS_MAX])
{
	size_t count = json_array_size(list);

	if ((list && !json_is_array(list)) || count > CONTROL_IDS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		const char *id = json_string_value(json_array_get(list, i));

		if (!id || !is_plain(id, ID_MAX))
			return -EINVAL;
		ids[i] = (char *)id;
	}
	return count;
}

static bool is_setting(const char *text)
{
	return strchr(text, '=') && (!strncmp(text, "TALON_", 6) || !strncmp(text, "NB_", 3) ||
		!strncmp(text, "WT_", 3));
}

int control_read_environment(const json_t *list, char *env[static CONTROL_ENV_MAX + 1])
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > CONTROL_ENV_MAX)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || !is_plain(text, CONTROL_REQUEST_MAX) || !is_setting(text))
			return -EINVAL;
		env[i] = (char *)text;
	}
	env[count] = NULL;
	return 0;
}
