// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Options that are kept for later starts, and what the profile of NetBird's client asks for.
#include <string.h>

#include <sodium.h>

#include "netbird/profile_keys.h"
#include "log/log.h"
#include "mesh/internal.h"

uint16_t mesh_forwarder_port(const struct mesh *mesh, const struct netmap *map)
{
	if (mesh->config->mesh.dns_forwarder_port)
		return mesh->config->mesh.dns_forwarder_port;
	/* Accounts with old peers name the old port, which is served in any case. */
	return map->dns_forwarder_port && map->dns_forwarder_port != FORWARDER_PORT_OLD
		? map->dns_forwarder_port : MESH_FORWARDER_PORT;
}

void mesh_take_settings(struct mesh *mesh)
{
	const struct sysinfo_flags flags = mesh_flags(mesh);

	management_set_flags(mesh->management, &flags);
	mesh_look_again(mesh);
	if (mesh->plane_is_ready)
		mesh_apply(mesh);
}

static void say_no_effect(void *ctx, const char *names, const char *meaning)
{
	log_warn("%s: %s: no effect: %s", (const char *)ctx, names, meaning);
}

int mesh_judge_profile(const struct config *config, const struct identity *identity, char *why, size_t size)
{
	const struct config_mesh *mesh = &config->mesh;
	char reason[200];
	int ret = profile_judge(identity->json, mesh->given & CONFIG_GIVEN_ROSENPASS, say_no_effect,
		mesh->identity_path, reason, sizeof(reason));

	if (ret)
		snprintf(why, size, "%s: %s", mesh->identity_path, reason);
	return ret;
}

void mesh_keep_url(const char *path, struct identity *identity, const char *url)
{
	char why[300];

	if (identity_set_url(path, identity, url, why, sizeof(why)))
		log_warn("%s; the next start needs the management URL %s again", why, url);
}

void mesh_keep_ipv6(const struct config *config, struct identity *identity)
{
	const struct config_mesh *mesh = &config->mesh;
	char why[300];

	if (mesh->given & CONFIG_GIVEN_IPV6 &&
		identity_set_disable_ipv6(mesh->identity_path, identity, mesh->disable_ipv6, why,
		sizeof(why)))
		log_warn("%s; the next start needs NB_DISABLE_IPV6=%s again", why, mesh->disable_ipv6 ? "true"
			: "false");
}

void mesh_warn_cleartext(const char *url, const char *setup_key, const char *token)
{
	const char *what = token && *token ? "token" : "setup key";

	if (((setup_key && *setup_key) || (token && *token)) && config_is_cleartext_url(url))
		log_warn("management: the %s goes to %s without TLS: anybody on the path can impersonate the "
			"server and read it; use https://", what, url);
}

/* @config is const, the text that it points to is not. */
void mesh_forget_setup_key(const struct config *config)
{
	char *key = config->mesh.setup_key;

	if (key)
		sodium_memzero(key, strlen(key));
}
