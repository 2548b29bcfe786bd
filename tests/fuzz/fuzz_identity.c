// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// default.json and state.json with any content.
#include "base/host_port.c"
#include "base/server_url.c"
#include "base/slice.c"
#include "crypto/key.c"
#include "netbird/identity.c"
#include "netbird/identity_new.c"
#include "netbird/json_file.c"
#include "netbird/route_selection.c"

#include <assert.h>

/* No disk: one file in memory, whatever path is read. */
static const uint8_t *file;
static size_t file_len;
static uint8_t *written;
static size_t written_len;

int store_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *bytes = malloc(file_len + 1);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, file, file_len);
	bytes[file_len] = 0;
	*ret_bytes = bytes;
	*ret_len = file_len;
	return 0;
}

int store_write(const char *path, const void *bytes, size_t len)
{
	free(written);
	written = malloc(len + 1);
	if (!written)
		return -ENOMEM;
	memcpy(written, bytes, len);
	written_len = len;
	return 0;
}

void store_free(uint8_t *bytes, size_t len)
{
	free(bytes);
}

int store_make_directory(const char *path)
{
	return 0;
}

static void use(const uint8_t *data, size_t size)
{
	file = data;
	file_len = size;
}

static void try_identity(const uint8_t *data, size_t size)
{
	struct identity identity, again;
	char why[300] = "";

	use(data, size);
	if (identity_load("f", &identity, why, sizeof(why)) < 0) {
		assert(why[0] && strlen(why) < sizeof(why));
		return;
	}
	assert(!secret_key_is_zero(&identity.private_key) && identity.ssh_public_key &&
		identity.dns_label_count <= DNS_LABELS_MAX);
	assert(identity_set_url("f", &identity, "https://a.example", why, sizeof(why)) == 0);
	if (written) {		/* unless it had that URL */
		use(written, written_len);
		assert(identity_load("f", &again, why, sizeof(why)) == 0);
		assert(memcmp(again.public_key, identity.public_key, KEY_LEN) == 0 && !again.is_new);
		identity_done(&again);
	}
	identity_done(&identity);
}

static void try_selection(const uint8_t *data, size_t size)
{
	struct route_selection selection, again;

	use(data, size);
	if (route_selection_load("f", &selection) < 0)
		return;
	assert(route_selection_save("f", &selection) == 0);
	use(written, written_len);
	assert(route_selection_load("f", &again) == 0);
	assert(again.selected_count == selection.selected_count &&
		again.deselected_count == selection.deselected_count);
	assert(again.deselect_all == selection.deselect_all);
	route_selection_done(&again);
	route_selection_done(&selection);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	written = NULL;
	try_identity(data, size);
	free(written);
	written = NULL;
	try_selection(data, size);
	free(written);
	written = NULL;
	return 0;
}
