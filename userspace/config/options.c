// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The options of [Interface]: their names, what they accept, and how each is set.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_internal.h"
#include "config/value.h"

static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const netbird_log_levels[] = { "panic", "fatal", "warning", "trace", NULL };
static const char *const datapaths[] = { "auto", "xdp", "xdp-generic", "tcx", "clsact", NULL };
static const char *const dispatchers[] = { "auto", "always", "never", NULL };
static const char *const hand_ups[] = { "auto", "pass", "tunnel", NULL };
static const char *const uplink_threads[] = { "auto", "on", "off", NULL };

static int set_private_key(struct config *config, struct slice value, struct problem *problem)
{
	int ret = value_key(value, config->private_key);

	if (!ret && config_key_is_zero(config->private_key)) {
		problem->is = "is all zeros";
		ret = -EINVAL;
	}
	return ret;
}

static int set_listen_port(struct config *config, struct slice value, struct problem *problem)
{
	return value_u16(value, 1, 65535, &config->listen_port);
}

static int set_mtu(struct config *config, struct slice value, struct problem *problem)
{
	return value_u16(value, CONFIG_MTU_MIN, CONFIG_MTU_MAX, &config->mtu);
}

/* wg-quick splits Address at spaces too. */
static int set_address(struct config *config, struct slice value, struct problem *problem)
{
	struct cidr cidr, *place;

	while (slice_next(&value, ", \t", &problem->item)) {
		if (cidr_parse(problem->item, true, &cidr))
			return -EINVAL;
		place = config_grow(&config->addresses, &config->address_count, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = cidr;
	}
	return 0;
}

static void clear_address(struct config *config)
{
	config->address_count = 0;
	free(config->addresses);
	config->addresses = NULL;
}

static int set_uplink(struct config *config, struct slice value, struct problem *problem)
{
	char name[IF_NAMESIZE];

	while (slice_next(&value, ", \t", &problem->item)) {
		if (value_device(problem->item, name))
			return -EINVAL;
		for (size_t i = 0; i < config->uplink_count; i++) {
			if (!strcmp(config->uplinks[i], name)) {
				problem->is = "is there twice";
				return -EINVAL;
			}
		}
		if (config->uplink_count == TALON_UPLINKS_MAX) {
			problem->is = "is one uplink too many";
			return -EINVAL;
		}
		memcpy(config->uplinks[config->uplink_count++], name, sizeof(name));
	}
	return 0;
}

static void clear_uplink(struct config *config)
{
	config->uplink_count = 0;
}

/* CIDR, then perhaps one word. */
static int parse_route(struct slice item, struct config_route *ret_route, struct problem *problem)
{
	static const char *const words[] = { "nomasquerade", "masquerade", NULL };
	struct config_route route = { .masquerade = true };
	struct slice word, excess;
	unsigned int index;

	if (!slice_next(&item, " \t", &word) || cidr_parse(word, false, &route.dst))
		return -EINVAL;
	if (route.dst.family != AF_INET) {
		problem->is = "is IPv6, which is not carried inside the tunnel yet";
		return -EINVAL;
	}
	if (slice_next(&item, " \t", &word)) {
		if (value_word(word, words, &index) || slice_next(&item, " \t", &excess))
			return -EINVAL;
		route.masquerade = index;
	}
	*ret_route = route;
	return 0;
}

static int set_route(struct config *config, struct slice value, struct problem *problem)
{
	struct config_route route, *place;

	while (slice_next(&value, ",", &problem->item)) {
		if (parse_route(problem->item, &route, problem))
			return -EINVAL;
		place = config_grow(&config->routes, &config->route_count, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = route;
	}
	return 0;
}

static void clear_route(struct config *config)
{
	config->route_count = 0;
	free(config->routes);
	config->routes = NULL;
}

static int set_snat(struct config *config, struct slice value, struct problem *problem)
{
	__be32 addr = 0;

	if (!slice_is(value, "node") && value_host4(value, &addr))
		return -EINVAL;
	config->snat_addr = addr;
	return 0;
}

static int set_snat_ports(struct config *config, struct slice value, struct problem *problem)
{
	int ret = value_port_range(value, &config->port_first, &config->port_last);

	if (ret == -ERANGE)
		problem->is = "has its larger port first";
	return ret ? -EINVAL : 0;
}

static int set_datapath(struct config *config, struct slice value, struct problem *problem)
{
	return value_word(value, datapaths, &config->datapath);
}

static int set_xdp_dispatcher(struct config *config, struct slice value, struct problem *problem)
{
	return value_word(value, dispatchers, &config->dispatcher);
}

static int set_xdp_priority(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, 1, 65535, &config->xdp_priority);
}

static int set_host_address(struct config *config, struct slice value, struct problem *problem)
{
	return value_bool(value, &config->host_address);
}

static int set_local(struct config *config, struct slice value, struct problem *problem)
{
	struct cidr cidr, *place;

	while (slice_next(&value, ", \t", &problem->item)) {
		if (cidr_parse(problem->item, false, &cidr))
			return -EINVAL;
		if (cidr.family != AF_INET) {
			problem->is = "is IPv6, which is not carried inside the tunnel yet";
			return -EINVAL;
		}
		place = config_grow(&config->local, &config->local_count, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = cidr;
	}
	return 0;
}

static void clear_local(struct config *config)
{
	config->local_count = 0;
	free(config->local);
	config->local = NULL;
}

static int set_hand_up(struct config *config, struct slice value, struct problem *problem)
{
	return value_word(value, hand_ups, &config->hand_up);
}

static int set_uplink_threads(struct config *config, struct slice value, struct problem *problem)
{
	return value_word(value, uplink_threads, &config->uplink_threads);
}

static int set_tunnel(struct config *config, struct slice value, struct problem *problem)
{
	return value_device(value, config->tunnel);
}

static int set_max_peers(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, 1, CONFIG_MAX_PEERS_LIMIT, &config->max_peers);
}

static int set_max_flows(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, CONFIG_MAX_FLOWS_MIN, CONFIG_MAX_FLOWS_LIMIT, &config->max_flows);
}

static int set_keystream_memory(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, 0, CONFIG_KEYSTREAM_MEMORY_MAX, &config->keystream_memory);
}

static int set_pin_dir(struct config *config, struct slice value, struct problem *problem)
{
	while (value.len > 1 && value.at[value.len - 1] == '/')
		value.len--;
	if (value.len < 2 || value.at[0] != '/')
		return -EINVAL;
	return slice_copy(value, config->pin_dir, sizeof(config->pin_dir)) ? 0 : -EINVAL;
}

static int set_log_level(struct config *config, struct slice value, struct problem *problem)
{
	static const enum log_level netbird[] = { LOG_LEVEL_ERROR, LOG_LEVEL_ERROR, LOG_LEVEL_WARN,
		LOG_LEVEL_DEBUG };
	unsigned int index;

	if (!value_word(value, log_levels, &index))
		config->log_level = index;
	else if (!value_word(value, netbird_log_levels, &index))
		config->log_level = netbird[index];
	else
		return -EINVAL;
	return 0;
}

static int set_log_format(struct config *config, struct slice value, struct problem *problem)
{
	static const char *const formats[] = { "text", "json", "syslog", NULL };
	unsigned int index;

	if (value_word(value, formats, &index))
		return -EINVAL;
	config->log_json = index == 1;	/* "syslog" is NetBird's name for lines without colours */
	return 0;
}

const struct config_option config_option_table[OPTION_COUNT + 1] = {
	[OPTION_PRIVATE_KEY] = {
		"PrivateKey", NULL, NULL, NULL,
		FORM_KEY,
		"this node's private key",
	},
	[OPTION_LISTEN_PORT] = {
		"ListenPort", "listen-port", "TALON_LISTEN_PORT", "NB_WIREGUARD_PORT",
		"1-65535",
		"UDP port of WireGuard (51820)",
	},
	[OPTION_ADDRESS] = {
		"Address", "address", "TALON_ADDRESS", NULL,
		FORM_CIDR,
		"this node's mesh address",
	},
	[OPTION_MTU] = {
		"MTU", "mtu", "TALON_MTU", "NB_MTU",
		"576-1600",
		"largest packet in the tunnel (1280)",
	},
	[OPTION_UPLINK] = {
		"Uplink", "uplink", "TALON_UPLINK", NULL,
		"up to four device names, such as eth0",
		"devices with programs (the one with the default route)",
	},
	[OPTION_ROUTE] = {
		"Route", "route", "TALON_ROUTE", NULL,
		FORM_CIDR4 ", then masquerade or nomasquerade",
		"networks that peers reach through this node",
	},
	[OPTION_SNAT] = {
		"SNAT", "snat", "TALON_SNAT", NULL,
		FORM_SNAT,
		"what the network sees instead of a peer (node)",
	},
	[OPTION_SNAT_PORTS] = {
		"SNATPorts", "snat-ports", "TALON_SNAT_PORTS", NULL,
		"FIRST-LAST within 1024-65535",
		"ports of SNAT (12288-19999; 1024-65535 of a spare address)",
	},
	[OPTION_DATAPATH] = {
		"Datapath", "datapath", "TALON_DATAPATH", NULL,
		"auto, xdp, xdp-generic, tcx or clsact",
		"where the programs attach (auto)",
	},
	[OPTION_XDP_DISPATCHER] = {
		"XDPDispatcher", "xdp-dispatcher", "TALON_XDP_DISPATCHER", NULL,
		"auto, always or never",
		"share XDP through libxdp's dispatcher (auto)",
	},
	[OPTION_XDP_PRIORITY] = {
		"XDPPriority", "xdp-priority", "TALON_XDP_PRIORITY", NULL,
		"1-65535",
		"place in that dispatcher, lower runs earlier (50)",
	},
	[OPTION_HOST_ADDRESS] = {
		"HostAddress", "host-address", "TALON_HOST_ADDRESS", NULL,
		"yes or no",
		"put the mesh address on the tunnel device (yes)",
	},
	[OPTION_LOCAL] = {
		"Local", "local", "TALON_LOCAL", NULL,
		FORM_CIDR4,
		"destinations that this host serves itself",
	},
	[OPTION_HAND_UP] = {
		"HandUp", "hand-up", "TALON_HAND_UP", NULL,
		"auto, pass or tunnel",
		"how packets for this host reach its stack (auto)",
	},
	[OPTION_UPLINK_THREADS] = {
		"UplinkThreads", "uplink-threads", "TALON_UPLINK_THREADS", NULL,
		"auto, on or off",
		"receive by a kernel thread of each uplink's own; auto: on a veth (auto)",
	},
	[OPTION_TUNNEL] = {
		"Tunnel", "tunnel", "TALON_TUNNEL", "NB_INTERFACE_NAME",
		"a device name of 1-15 characters, such as wt0",
		"name of the tunnel device (wt0)",
	},
	[OPTION_MAX_PEERS] = {
		"MaxPeers", "max-peers", "TALON_MAX_PEERS", NULL,
		"1-65536",
		"room for peers (1024; in a mesh 2048)",
	},
	[OPTION_MAX_FLOWS] = {
		"MaxFlows", "max-flows", "TALON_MAX_FLOWS", NULL,
		"1024-1048576",
		"room for translated flows (262144)",
	},
	[OPTION_KEYSTREAM_MEMORY] = {
		"KeystreamMemory", "keystream-memory", "TALON_KEYSTREAM_MEMORY", NULL,
		"0-1024",
		"MiB for keystream made before its packets come, 0: none (32)",
	},
	[OPTION_PIN_DIR] = {
		NULL, "pin-dir", "TALON_PIN_DIR", NULL,
		"an absolute path on a bpf file system",
		"where programs and maps are kept (" CONFIG_PIN_DIR ")",
	},
	[OPTION_LOG_LEVEL] = {
		NULL, "log-level", "TALON_LOG_LEVEL", "NB_LOG_LEVEL",
		"error, warn, info or debug",
		"what is logged to standard error (info)",
	},
	[OPTION_LOG_FORMAT] = {
		NULL, "log-format", "TALON_LOG_FORMAT", "NB_LOG_FORMAT",
		"text or json",
		"form of log lines (text)",
	},
};

const struct setting config_settings[OPTION_COUNT] = {
	[OPTION_PRIVATE_KEY]	= { set_private_key, NULL, "is not a key", true },
	[OPTION_LISTEN_PORT]	= { set_listen_port, NULL, "is not a port", false },
	[OPTION_ADDRESS]	= { set_address, clear_address, "is not an address", false },
	[OPTION_MTU]		= { set_mtu, NULL, "is not an MTU", false },
	[OPTION_UPLINK]		= { set_uplink, clear_uplink, "is not a device name", false },
	[OPTION_ROUTE]		= { set_route, clear_route, "is not a route", false },
	[OPTION_SNAT]		= { set_snat, NULL, "is not an address for SNAT", false },
	[OPTION_SNAT_PORTS]	= { set_snat_ports, NULL, "is not a port range", false },
	[OPTION_DATAPATH]	= { set_datapath, NULL, "is not a datapath", false },
	[OPTION_XDP_DISPATCHER]	= { set_xdp_dispatcher, NULL, "is not a choice", false },
	[OPTION_XDP_PRIORITY]	= { set_xdp_priority, NULL, "is not a priority", false },
	[OPTION_HOST_ADDRESS]	= { set_host_address, NULL, "is not a choice", false },
	[OPTION_LOCAL]		= { set_local, clear_local, "is not a CIDR", false },
	[OPTION_HAND_UP]	= { set_hand_up, NULL, "is not a choice", false },
	[OPTION_UPLINK_THREADS]	= { set_uplink_threads, NULL, "is not a choice", false },
	[OPTION_TUNNEL]		= { set_tunnel, NULL, "is not a device name", false },
	[OPTION_MAX_PEERS]	= { set_max_peers, NULL, "is not a number of peers", false },
	[OPTION_MAX_FLOWS]	= { set_max_flows, NULL, "is not a number of flows", false },
	[OPTION_KEYSTREAM_MEMORY] = { set_keystream_memory, NULL, "is not a number of MiB", false },
	[OPTION_PIN_DIR]	= { set_pin_dir, NULL, "is not a directory for pins", false },
	[OPTION_LOG_LEVEL]	= { set_log_level, NULL, "is not a level", false },
	[OPTION_LOG_FORMAT]	= { set_log_format, NULL, "is not a form of log lines", false },
};

const struct config_option *config_options(void)
{
	return config_option_table;
}
