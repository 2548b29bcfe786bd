// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The options of [Interface]: how each is set.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
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

static const char *const vip_sources[] = { "off", "auto", "cilium", "metallb", "kube-vip", "arp", NULL };

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

/* Like wg-quick, splits at blanks as well as commas. */
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
				problem->is = "is given twice";
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

/* CIDR [masquerade | nomasquerade] */
static int parse_route(struct slice item, struct config_route *ret_route)
{
	static const char *const words[] = { "nomasquerade", "masquerade", NULL };
	struct config_route route = { .masquerade = true };
	struct slice word, excess;
	unsigned int index;

	if (!slice_next(&item, " \t", &word) || cidr_parse(word, false, &route.dst))
		return -EINVAL;
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
		if (parse_route(problem->item, &route))
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

static int set_capture(struct config *config, struct slice value, struct problem *problem)
{
	return value_bool(value, &config->capture);
}

static int set_keystream_memory(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, 0, CONFIG_KEYSTREAM_MEMORY_MAX, &config->keystream_memory);
}

static int set_metrics(struct config *config, struct slice value, struct problem *problem)
{
	struct config_metrics place = { .is_given = true, .peers = config->metrics.peers,
		.aliases = config->metrics.aliases };

	if (!slice_is(value, "off") && value_listen(value, &place))
		return -EINVAL;
	config->metrics = place;
	return 0;
}

static int set_metrics_peers(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, 0, CONFIG_METRICS_PEERS_MOST, &config->metrics.peers);
}

static int set_metrics_aliases(struct config *config, struct slice value, struct problem *problem)
{
	return value_bool(value, &config->metrics.aliases);
}

static int set_vip_source(struct config *config, struct slice value, struct problem *problem)
{
	return value_word(value, vip_sources, &config->vip_source);
}

/* As the API names objects (RFC 1123): it becomes part of a path, or is compared with a name. */
static int copy_name(struct slice value, char *name, size_t size)
{
	for (size_t i = 0; i < value.len; i++) {
		if (!islower((unsigned char)value.at[i]) && !isdigit((unsigned char)value.at[i]) &&
			value.at[i] != '-' && value.at[i] != '.')
			return -EINVAL;
	}
	return value.len && slice_copy(value, name, size) ? 0 : -EINVAL;
}

static int set_vip_namespace(struct config *config, struct slice value, struct problem *problem)
{
	return copy_name(value, config->vip_namespace, sizeof(config->vip_namespace));
}

static int set_node_name(struct config *config, struct slice value, struct problem *problem)
{
	return copy_name(value, config->node_name, sizeof(config->node_name));
}

static int set_kube_api(struct config *config, struct slice value, struct problem *problem)
{
	char *url = NULL;
	int ret = management_url_parse(value, &url);

	if (ret)
		return ret;
	if (strncmp(url, "https://", 8)) {
		problem->is = "has no TLS; a token is not sent without it";
		ret = -EINVAL;
	} else if (strlen(url) >= sizeof(config->kube_api)) {
		ret = -EINVAL;
	} else {
		strcpy(config->kube_api, url);
	}
	free(url);
	return ret;
}

static int set_kube_dir(struct config *config, struct slice value, struct problem *problem)
{
	return value.len > 1 && value.at[0] == '/' && slice_copy(value, config->kube_dir,
		sizeof(config->kube_dir)) ? 0 : -EINVAL;
}

static int set_pin_dir(struct config *config, struct slice value, struct problem *problem)
{
	while (value.len > 1 && value.at[value.len - 1] == '/')
		value.len--;
	if (value.len < 2 || value.at[0] != '/')
		return -EINVAL;
	return slice_copy(value, config->pin_dir, sizeof(config->pin_dir)) ? 0 : -EINVAL;
}

static int set_take_over(struct config *config, struct slice value, struct problem *problem)
{
	return value_bool(value, &config->take_over);
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
	config->log_json = index == 1;	/* NetBird accepts "syslog" too: text without colours */
	return 0;
}

/* To the letter: what follows takes the words as they are. */
static bool is_word(struct slice item, const char *word)
{
	return item.len == strlen(word) && !memcmp(item.at, word, item.len);
}

static bool is_log(struct slice item)
{
	for (size_t i = 0; i < item.len; i++) {
		if (iscntrl((unsigned char)item.at[i]))
			return false;
	}
	return is_word(item, "console") || is_word(item, "syslog") || (item.len > 1 && item.at[0] == '/');
}

/* The list as log_set_targets() takes it: one that was given before goes on, and none is named twice. */
static int set_log_file(struct config *config, struct slice value, struct problem *problem)
{
	char *list = config->log_file;

	while (slice_next(&value, ",", &problem->item)) {
		struct slice before = slice_from(list), item;
		bool is_there = false;
		size_t len = strlen(list);

		if (!is_log(problem->item))
			return -EINVAL;
		while (slice_next(&before, ",", &item))
			is_there |= item.len == problem->item.len &&
				!memcmp(item.at, problem->item.at, item.len);
		if (is_there)
			continue;
		if (len + problem->item.len + 2 > sizeof(config->log_file)) {
			problem->is = "makes the list too long";
			return -EINVAL;
		}
		snprintf(list + len, sizeof(config->log_file) - len, "%s%.*s", len ? "," : "",
			(int)problem->item.len, problem->item.at);
	}
	return 0;
}

static int set_log_max_size(struct config *config, struct slice value, struct problem *problem)
{
	return value_number(value, 0, 4096, &config->log_max_size);
}

static void clear_log_file(struct config *config)
{
	config->log_file[0] = '\0';
}

#define OPTION_ROW(id, name, kind, key, flag, env, netbird, form, is, values, help) \
	[OPTION_##id] = { key, flag, env, netbird, form, values, help },
const struct config_option config_option_table[OPTION_COUNT + 1] = { CONFIG_OPTION_ROWS(OPTION_ROW) };

#define SETTING_ROW(id, name, kind, key, flag, env, netbird, form, is, values, help) \
	[OPTION_##id] = { set_##name, CLEAR_##kind(name), is, IS_SECRET_##kind },
const struct setting config_settings[OPTION_COUNT] = { CONFIG_OPTION_ROWS(SETTING_ROW) };

const struct config_option *config_options(void)
{
	return config_option_table;
}
