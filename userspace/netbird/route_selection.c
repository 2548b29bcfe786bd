// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which networks the user selected, in NetBird's state.json.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/store.h"
#include "netbird/json_file.h"
#include "netbird/route_selection.h"

#define STATE_FILE_MAX	(16U << 20)
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

/* *@ret_json is an empty object if the file does not exist. */
static int read_state(const char *path, json_t **ret_json)
{
	json_error_t error;
	uint8_t *bytes;
	size_t len;
	int ret;

	json_file_init();
	ret = store_read(path, STATE_FILE_MAX, &bytes, &len);
	if (ret == -ENOENT) {
		*ret_json = json_object();
		return *ret_json ? 0 : -ENOMEM;
	}
	if (ret)
		return ret;
	*ret_json = json_file_parse(bytes, len, &error);
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
	selection->deselect_all = json_file_is_true(json, "deselect_all");
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
	ret = json_object_set_new(json, SELECTION, state) ? -ENOMEM
		: json_file_write(path, json, JSON_COMPACT);
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
