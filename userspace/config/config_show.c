// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The settings in force as JSON, for `talon debug config`: names of NetBird's client first, then
// ours. No secrets.
#include <arpa/inet.h>
#include <stdio.h>

#include "base/json_out.h"
#include "config/config_internal.h"
#include "config/config.h"

#define HIDDEN	"**********"	/* as NetBird's client shows a secret that is set */

static const char *const levels[] = { "error", "warn", "info", "debug" };
static const char *const on_stops[] = { "quiet", "tell" };
static const char *const datapaths[] = { "auto", "xdp", "xdp-generic", "tcx", "clsact" };
static const char *const dispatchers[] = { "auto", "always", "never" };
static const char *const hand_ups[] = { "auto", "pass", "tunnel" };
static const char *const threads[] = { "auto", "on", "off" };

/* NetBird's JSON has 64-bit numbers as strings. */
static void put_long(struct json_out *json, const char *key, unsigned int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	json_out_text(json, key, text);
}

static void put_secret(struct json_out *json, const char *key, bool is_set)
{
	json_out_text(json, key, is_set ? HIDDEN : "");
}

static void put_netbird(struct json_out *json, const struct config *config)
{
	const struct config_mesh *mesh = &config->mesh;

	json_out_text(json, "managementUrl", mesh->management_url);
	json_out_text(json, "configFile", mesh->identity_path);
	json_out_text(json, "logFile", config->log_file);
	put_secret(json, "preSharedKey", mesh->preshared_key != NULL);
	json_out_text(json, "interfaceName", config->tunnel);
	put_long(json, "wireguardPort", config->listen_port);
	put_long(json, "mtu", config->mtu);
	json_out_bool(json, "lazyConnectionEnabled", (mesh->given & CONFIG_GIVEN_LAZY_CONN) &&
		mesh->lazy_conn);
	json_out_bool(json, "blockInbound", mesh->block_inbound);
	json_out_bool(json, "disableClientRoutes", mesh->disable_client_routes);
	json_out_bool(json, "disableServerRoutes", mesh->disable_server_routes);
	json_out_bool(json, "blockLanAccess", mesh->block_lan_access);
	json_out_bool(json, "disableIpv6", mesh->disable_ipv6);
}

static void put_mesh(struct json_out *json, const struct config_mesh *mesh)
{
	json_out_text(json, "hostname", mesh->hostname);
	json_out_text(json, "stateDir", mesh->state_dir);
	json_out_text(json, "controlSocket", mesh->control_socket);
	put_secret(json, "setupKey", mesh->setup_key != NULL);
	json_out_bool(json, "disableFirewall", mesh->disable_firewall);
	json_out_bool(json, "disableNetworks", mesh->disable_networks);
	json_out_bool(json, "forceRelay", mesh->force_relay);
	json_out_bool(json, "agent", mesh->agent);
	json_out_text(json, "onStop", on_stops[mesh->on_stop]);
	json_out_texts(json, "extraDnsLabels", mesh->dns_labels, mesh->dns_label_count, false);
	json_out_number(json, "dnsForwarderPort", mesh->dns_forwarder_port);
	json_out_text(json, "debugUploadUrl", mesh->debug_upload_url);
}

static void put_addresses(struct json_out *json, const char *key, const struct cidr *list, size_t count)
{
	char text[CIDR_TEXT_LEN];

	json_out_begin(json, key, '[');
	for (size_t i = 0; i < count; i++) {
		cidr_format(&list[i], text, sizeof(text));
		json_out_text(json, NULL, text);
	}
	json_out_end(json, ']');
}

static void put_routes(struct json_out *json, const struct config *config)
{
	char text[CIDR_TEXT_LEN];

	json_out_begin(json, "routes", '[');
	for (size_t i = 0; i < config->route_count; i++) {
		cidr_format(&config->routes[i].dst, text, sizeof(text));
		json_out_begin(json, NULL, '{');
		json_out_text(json, "network", text);
		json_out_bool(json, "masquerade", config->routes[i].masquerade);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void put_metrics(struct json_out *json, const struct config_metrics *metrics)
{
	char address[INET6_ADDRSTRLEN] = "", text[160] = "off";

	if (metrics->family == AF_UNIX)
		snprintf(text, sizeof(text), "unix:%s", metrics->path);
	else if (metrics->family && inet_ntop(metrics->family, &metrics->addr, address, sizeof(address)))
		snprintf(text, sizeof(text), metrics->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address,
			ntohs(metrics->port));
	json_out_text(json, "metrics", text);
	json_out_number(json, "metricsPeers", metrics->peers);
	json_out_bool(json, "metricsAliases", metrics->aliases);
}

static void put_datapath(struct json_out *json, const struct config *config)
{
	char snat[INET_ADDRSTRLEN] = "node";

	json_out_begin(json, "uplinks", '[');
	for (size_t i = 0; i < config->uplink_count; i++)
		json_out_text(json, NULL, config->uplinks[i]);
	json_out_end(json, ']');
	put_addresses(json, "addresses", config->addresses, config->address_count);
	put_addresses(json, "local", config->local, config->local_count);
	put_routes(json, config);
	if (config->snat_addr)
		inet_ntop(AF_INET, &config->snat_addr, snat, sizeof(snat));
	json_out_text(json, "snat", snat);
	json_out_number(json, "snatPortFirst", config->port_first);
	json_out_number(json, "snatPortLast", config->port_last);
	json_out_text(json, "datapath", datapaths[config->datapath]);
	json_out_text(json, "xdpDispatcher", dispatchers[config->dispatcher]);
	json_out_number(json, "xdpPriority", config->xdp_priority);
	json_out_text(json, "handUp", hand_ups[config->hand_up]);
	json_out_text(json, "uplinkThreads", threads[config->uplink_threads]);
	json_out_bool(json, "hostAddress", config->host_address);
	json_out_number(json, "maxPeers", config->max_peers);
	json_out_number(json, "maxFlows", config->max_flows);
	json_out_number(json, "keystreamMemory", config->keystream_memory);
	json_out_bool(json, "capture", config->capture);
	json_out_text(json, "pinDir", config->pin_dir);
	json_out_bool(json, "takeOver", config->take_over);
}

void config_show(const struct config *config, FILE *out)
{
	struct json_out json = { .out = out, .first = true };

	json_out_begin(&json, NULL, '{');
	put_netbird(&json, config);
	json_out_begin(&json, "talon", '{');
	json_out_text(&json, "version", TALON_VERSION);
	json_out_text(&json, "logLevel", levels[log_get_level()]);
	put_mesh(&json, &config->mesh);
	put_datapath(&json, config);
	put_metrics(&json, &config->metrics);
	json_out_end(&json, '}');
	json_out_end(&json, '}');
}
