// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Joining: the connection to management, and what it says of this peer.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/server_url.h"
#include "log/log.h"
#include "mesh/internal.h"

static void on_sync(void *ctx, const struct netmap_update *update, bool first, const uint8_t *bytes,
	size_t len)
{
	mesh_sync(ctx, update, first, bytes, len);
}

static void on_login(void *ctx, const struct netmap_update *login)
{
	struct mesh *mesh = ctx;

	mesh_forget_setup_key(mesh->config);
	mesh_use_servers(mesh, &login->servers);
	mesh_take_self(mesh, &login->map.self);
	mesh_take_expiry(mesh, &login->expiry);
}

static void connected(struct mesh *mesh)
{
	log_info("management: connected to %s", management_url(mesh->management));
	mesh_event(mesh, "INFO", "CONNECTIVITY", "connected to management");
	mesh_finish_up(mesh, 0, NULL);
}

/*
 * Management does not know this peer. If that happened while this host was off, the map of the last run ends
 * here; if it happens now, on_deleted() ends it.
 */
static void refused(struct mesh *mesh, const char *why)
{
	if (!mesh->has_no_verdict)	/* else on_verdict() logs it */
		log_warn("management: %s", why);
	mesh_finish_up(mesh, -EACCES, why);
	mesh_event(mesh, "ERROR", "AUTHENTICATION", "%s", why);
	if (!mesh->map_is_old)
		return;
	log_err("management does not know this peer any more: the ways of its last run are closed");
	mesh_leave(mesh);
}

/*
 * The login of the person behind this peer has ended, and others do not let us in any more. Once that person
 * has signed in again, a map brings everything back.
 */
static void expired(struct mesh *mesh, const char *why)
{
	if (!mesh->has_no_verdict)
		log_warn("management: %s", why);
	mesh_finish_up(mesh, -EKEYEXPIRED, why);
	mesh_event(mesh, "CRITICAL", "AUTHENTICATION", "%s", why);
	if (!mesh->has_map || mesh->map_is_void)
		return;
	log_warn("the ways of this peer are closed until then");
	mesh_leave(mesh);
}

static void disconnected(struct mesh *mesh, const char *why)
{
	log_warn("management: %s", why);
	mesh_event(mesh, "WARNING", "CONNECTIVITY", "%s", why);
}

static void on_state(void *ctx, enum management_state state, const char *why)
{
	struct mesh *mesh = ctx;
	bool is_connected = state == MANAGEMENT_CONNECTED;

	mesh->state = state;
	if (!mesh_link_set(&mesh->management_link, is_connected, why) || (!is_connected && !*why))
		return;
	if (is_connected)
		connected(mesh);
	else if (state == MANAGEMENT_NEEDS_LOGIN)
		refused(mesh, why);
	else if (state == MANAGEMENT_EXPIRED)
		expired(mesh, why);
	else
		disconnected(mesh, why);
}

static void on_deleted(void *ctx)
{
	struct mesh *mesh = ctx;

	log_err("this peer was deleted in management: all its ways are closed. To join again, start with a "
		"valid setup key");
	mesh_event(mesh, "CRITICAL", "AUTHENTICATION", "this peer was deleted in management");
	mesh_leave(mesh);
}

static void on_verdict(void *ctx, int error, const char *why)
{
	struct mesh *mesh = ctx;

	mesh->has_no_verdict = false;
	if (!error || mesh->ends)
		return;
	log_err("%s", why);
	mesh->result = error;
	mesh->ends = true;
	mesh->stop(mesh->stop_ctx);
}

void mesh_name_server(struct mesh *mesh, const char *url)
{
	char server[sizeof(mesh->server)];
	struct server_url parsed;

	if (!url || server_url_parse(url, SERVER_SCHEMES_WEB, &parsed))
		snprintf(server, sizeof(server), "%s", url ? url : "");
	else	/* without brackets: the hash of it is in the files of the last map */
		snprintf(server, sizeof(server), "%s://%s:%u", server_url_is_tls(&parsed) ? "https" : "http",
			parsed.host, parsed.port);
	if (!strcmp(server, mesh->server))
		return;
	if (*mesh->server && mesh->has_map)
		mesh->map_is_old = true;
	mesh_forget_expiry(mesh);
	memcpy(mesh->server, server, sizeof(server));
}

struct sysinfo_flags mesh_flags(const struct mesh *mesh)
{
	const struct config_mesh *from = &mesh->config->mesh;

	return (struct sysinfo_flags){
		.disable_client_routes = from->disable_client_routes,
		.disable_server_routes = from->disable_server_routes,
		.disable_firewall = from->disable_firewall,
		.block_lan_access = from->block_lan_access,
		.block_inbound = from->block_inbound,
		.disable_ipv6 = from->disable_ipv6,
		.carries_ipv6 = mesh->ipv6.is_told,
	};
}

/* What management is told of this peer. Options that were not given keep the identity file's value. */
static struct management_config describe(const struct mesh *mesh)
{
	const struct config_mesh *from = &mesh->config->mesh;
	const struct identity *identity = &mesh->identity;
	const bool has_labels = from->given & CONFIG_GIVEN_DNS_LABELS;

	return (struct management_config){
		.url = identity->management_url,
		.setup_key = from->setup_key,
		.ssh_public_key = identity->ssh_public_key,
		.dns_labels = has_labels ? from->dns_labels : identity->dns_labels,
		.dns_label_count = has_labels ? from->dns_label_count : identity->dns_label_count,
		.hostname = from->hostname,
		.flags = mesh_flags(mesh),
		/*
		 * A peer that has a map keeps working by it and may wait for management. One that has none
		 * gets one try, unless it runs as a service.
		 */
		.once = !mesh->has_map && !from->is_service,
	};
}

static void take_request(struct management_config *config, const struct control_up *up)
{
	if (up->management_url)
		config->url = up->management_url;
	if (up->setup_key)
		config->setup_key = up->setup_key;
	if (up->hostname)
		config->hostname = up->hostname;
	config->token = up->token;
}

int mesh_join(struct mesh *mesh, const struct control_up *up)
{
	static const struct management_events events = {
		.state = on_state, .login = on_login, .sync = on_sync, .deleted = on_deleted,
		.verdict = on_verdict, .job = mesh_on_job,
	};
	struct management_config config = describe(mesh);
	struct management *management;
	int ret;

	if (up)
		take_request(&config, up);
	config.private_key = mesh->identity.private_key;
	ret = management_new(mesh->loop, &config, &events, mesh, &management);
	secret_key_wipe(&config.private_key);
	if (ret)
		return ret;
	mesh_warn_cleartext(config.url, config.setup_key, config.token);
	management_free(mesh->management);
	mesh->management = management;
	mesh->has_no_verdict = config.once;
	mesh_name_server(mesh, config.url);
	management_start(management);
	return 0;
}
