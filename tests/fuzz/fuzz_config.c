// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any bytes as a static file, or as the variables of a mesh: either a configuration that keeps its
// invariants, or one line with the error.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../userspace/base/cidr.c"
#include "../../userspace/base/host_port.c"
#include "../../userspace/base/server_url.c"
#include "../../userspace/base/setup_key.c"
#include "../../userspace/base/slice.c"
#include "../../userspace/config/config.c"
#include "../../userspace/config/config_check.c"
#include "../../userspace/config/config_file.c"
#include "../../userspace/config/ini.c"
#include "../../userspace/config/management_url.c"
#include "../../userspace/config/mesh_options.c"
#include "../../userspace/config/options.c"
#include "../../userspace/config/peer_keys.c"
#include "../../userspace/config/value.c"
#include "../../userspace/crypto/key.c"

void log_write(enum log_level level, const char *fmt, ...)
{
}

static void check_cidr(const struct cidr *cidr)
{
	assert(cidr->family == AF_INET ? cidr->prefixlen <= 32 : cidr->family == AF_INET6 &&
		cidr->prefixlen <= 128);
}

static void check_promises(const struct config *config)
{
	assert(!config_key_is_zero(config->private_key) && !config_key_is_zero(config->public_key));
	assert(config->listen_port && config->mtu >= CONFIG_MTU_MIN && config->mtu <= CONFIG_MTU_MAX);
	assert(config->port_first >= CONFIG_OWN_PORT_FIRST && config->port_first <= config->port_last);
	assert(config->uplink_count <= TALON_UPLINKS_MAX && config->peer_count <= config->max_peers);
	assert(config->max_flows >= CONFIG_MAX_FLOWS_MIN && config->max_flows <= CONFIG_MAX_FLOWS_LIMIT);
	assert(config->keystream_memory <= CONFIG_KEYSTREAM_MEMORY_MAX);
	assert(!config->host_address || config->mesh_addr || config->mesh_addr6.word[0] ||
		config->mesh_addr6.word[1] || config->mesh_addr6.word[2] || config->mesh_addr6.word[3]);
	for (size_t i = 0; i < config->route_count; i++)
		check_cidr(&config->routes[i].dst);
	for (size_t i = 0; i < config->local_count; i++)
		check_cidr(&config->local[i]);
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct config_peer *peer = &config->peers[i];

		assert(!config_key_is_zero(peer->public_key));
		assert(memcmp(peer->public_key, config->public_key, WG_KEY_LEN));
		assert(memchr(peer->name, '\0', sizeof(peer->name)));
		for (size_t j = 0; j < peer->allowed_count; j++)
			check_cidr(&peer->allowed[j]);
	}
}

static void check_line(const char *why)
{
	assert(why[0]);
	for (; *why; why++)
		assert((unsigned char)*why >= ' ' && (unsigned char)*why <= '~');
}

/* Lines as variables of a mesh; none that opens a file. */
static void as_mesh(const uint8_t *data, size_t size)
{
	char *env[65] = {}, *text = strndup((const char *)data, size), *save, why[CONFIG_WHY_LEN] = "";
	struct config config;
	size_t count = 0;
	int ret;

	for (char *line = strtok_r(text, "\n", &save); line && count < 64;
		line = strtok_r(NULL, "\n", &save)) {
		if (!strstr(line, "KEY_FILE"))
			env[count++] = line;
	}
	config_init(&config);
	config_use_mesh(&config);
	ret = config_read_env(&config, env, why, sizeof(why));
	if (!ret)
		ret = config_finish(&config, NULL, why, sizeof(why));
	if (ret) {
		check_line(why);
	} else {
		assert(config.mesh.state_dir[0] == '/' && config.mesh.control_socket[0] == '/' &&
			config.mesh.identity_path[0]);
		assert(!config.mesh.setup_key || strlen(config.mesh.setup_key) == SETUP_KEY_LEN);
		assert(!config.mesh.management_url || !strncmp(config.mesh.management_url, "http", 4));
		assert(config.mesh.dns_label_count <= CONFIG_DNS_LABELS_MAX);
	}
	config_free(&config);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config;
	char why[CONFIG_WHY_LEN] = "";
	int ret;

	if (sodium_init() < 0)
		return 0;
	if (size > 3 && !memcmp(data, "NB_", 3)) {
		as_mesh(data, size);
		return 0;
	}
	config_init(&config);
	ret = config_read_text(&config, "f", (const char *)data, size, why, sizeof(why));
	if (!ret)
		ret = config_finish(&config, "f", why, sizeof(why));
	if (ret)
		check_line(why);
	else
		check_promises(&config);
	config_free(&config);
	return 0;
}
