// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The sources of settings, their precedence, and the error line for a wrong value.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "config/config_internal.h"

void *config_grow(void *array, size_t *count, size_t size)
{
	void **at = array;
	bool is_full = !(*count & (*count - 1));	/* 0 or a power of two */
	char *larger, *element;

	if (is_full) {
		larger = malloc((*count ? *count * 2 : 1) * size);
		if (!larger)
			return NULL;
		if (*count) {
			memcpy(larger, *at, *count * size);
			sodium_memzero(*at, *count * size);
		}
		free(*at);
		*at = larger;
	}
	element = (char *)*at + *count * size;
	memset(element, 0, size);
	*count += 1;
	return element;
}

int config_note(struct config *config, enum log_level level, const char *fmt, ...)
{
	struct config_note *note;
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		return -ENOMEM;
	note = config_grow(&config->notes, &config->note_count, sizeof(*note));
	if (!note) {
		free(text);
		return -ENOMEM;
	}
	*note = (struct config_note){ level, text };
	return 0;
}

bool config_key_is_zero(const __u8 key[static WG_KEY_LEN])
{
	return sodium_is_zero(key, WG_KEY_LEN);
}

/* Writes @value for an error line: printable, cut off where it does not fit. */
static void quote(struct slice value, char *text, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < value.len && len + 4 < size; i++)
		text[len++] = value.at[i] >= ' ' && value.at[i] <= '~' ? value.at[i] : '?';
	if (len < value.len)
		len += snprintf(text + len, size - len, "...");
	text[len] = '\0';
}

/* A UUID (RFC 9562 section 4): a setup key. */
static bool is_setup_key(struct slice run)
{
	if (run.len != 36)
		return false;
	for (size_t i = 0; i < run.len; i++) {
		const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? run.at[i] != '-' : !isxdigit((unsigned char)run.at[i]))
			return false;
	}
	return true;
}

/* A key may stand where another value belongs: most of a text of 44 characters of base64, or a setup key. */
static bool may_be_secret(struct slice value)
{
	static const size_t key_len = 43;	/* without the "=" at the end */
	struct slice run = { 0 };

	for (size_t i = 0; i < value.len; i++) {
		if (!isalnum((unsigned char)value.at[i]) && !memchr("+/=-", value.at[i], 4)) {
			run.len = 0;
			continue;
		}
		if (!run.len++)
			run.at = value.at + i;
		if (run.len >= key_len && !memchr(run.at, '-', run.len))
			return true;
		if (is_setup_key(run))
			return true;
	}
	return false;
}

int config_explain(const char *place, const struct problem *problem, bool is_secret, char *why, size_t size)
{
	char text[64];

	if (is_secret || may_be_secret(problem->item)) {
		snprintf(why, size, "%s: the value %s; expected %s", place, problem->is, problem->form);
		return -EINVAL;
	}
	quote(problem->item, text, sizeof(text));
	snprintf(why, size, "%s: '%s' %s; expected %s", place, text, problem->is, problem->form);
	return -EINVAL;
}

int config_no_memory(char *why, size_t size)
{
	snprintf(why, size, "out of memory");
	return -ENOMEM;
}

/* Validates a value that a stronger source overrides: a wrong value is refused wherever it is given. */
static int check_only(enum option option, struct slice value, struct problem *problem)
{
	struct config scratch;
	int ret;

	config_init(&scratch);
	ret = config_settings[option].set(&scratch, value, problem);
	config_free(&scratch);
	return ret;
}

int config_assign(struct config *config, enum option option, const struct config_origin *origin,
	const char *place, struct slice value, char *why, size_t size)
{
	const struct setting *setting = &config_settings[option];
	struct problem problem = { value, setting->is, config_option_table[option].form };
	enum config_source given = config->origins[option].source;
	int ret;

	if (origin->source < given) {
		ret = check_only(option, value, &problem);
	} else {
		if (origin->source > given && setting->clear)
			setting->clear(config);
		config->origins[option] = *origin;
		ret = setting->set(config, value, &problem);
	}
	if (ret == -ENOMEM)
		return config_no_memory(why, size);
	return ret ? config_explain(place, &problem, setting->secret, why, size) : 0;
}

void config_init(struct config *config)
{
	*config = (struct config){
		.listen_port = CONFIG_LISTEN_PORT,
		.mtu = CONFIG_MTU,
		.tunnel = CONFIG_TUNNEL,
		.xdp_priority = CONFIG_XDP_PRIORITY,
		.max_peers = CONFIG_MAX_PEERS,
		.max_flows = CONFIG_MAX_FLOWS,
		.keystream_memory = CONFIG_KEYSTREAM_MEMORY,
		.capture = true,
		.metrics = { .family = AF_INET, .port = htons(CONFIG_METRICS_PORT),
			.addr.word[0] = htonl(INADDR_LOOPBACK) },
		.pin_dir = CONFIG_PIN_DIR,
		.log_level = LOG_LEVEL_INFO,
		.log_max_size = CONFIG_LOG_MAX_SIZE,
	};
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		free(config->peers[i].allowed);
		free(config->peers[i].endpoint.host);
	}
	if (config->peer_count)
		sodium_memzero(config->peers, config->peer_count * sizeof(*config->peers));
	free(config->peers);
	for (size_t i = 0; i < config->note_count; i++)
		free(config->notes[i].text);
	free(config->notes);
	for (enum option i = 0; i < OPTION_COUNT; i++) {
		if (config_settings[i].clear)
			config_settings[i].clear(config);
	}
	config_mesh_free(config);
	sodium_memzero(config, sizeof(*config));
}

void config_use_mesh(struct config *config)
{
	config->mesh.enabled = true;
	config->max_peers = CONFIG_MESH_MAX_PEERS;
	config->host_address = true;
}

#define ALIAS_ROW(flag, id) { flag, OPTION_##id },
static const struct {
	const char *flag;
	enum option option;
} aliases[] = {
	CONFIG_ALIAS_ROWS(ALIAS_ROW)
	CONFIG_SWITCH_ALIAS_ROWS(ALIAS_ROW)
	{ "l", OPTION_LOG_LEVEL },
};

static int find_flag(const char *flag, const char **ret_name)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		*ret_name = config_option_table[i].flag;
		if (*ret_name && !strcmp(*ret_name, flag))
			return i;
	}
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		*ret_name = aliases[i].flag[1] ? aliases[i].flag
			: config_option_table[aliases[i].option].flag;
		if (!strcmp(aliases[i].flag, flag))
			return aliases[i].option;
	}
	return -ENOENT;
}

bool config_has_flag(const char *flag)
{
	const char *name;

	return find_flag(flag, &name) >= 0 || config_mesh_find(flag) >= 0;
}

bool config_flag_is_switch(const char *flag)
{
#define SWITCH_NAME(flag, id) flag,
	static const char *const switches[] = { CONFIG_SWITCH_ALIAS_ROWS(SWITCH_NAME) };
	int number = config_mesh_find(flag);

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (!strcmp(switches[i], flag))
			return true;
	}
	return number >= 0 && !config_mesh_options()[number].argument;
}

int config_set_flag(struct config *config, const char *flag, const char *value, char *why, size_t size)
{
	struct config_origin origin = { .source = CONFIG_FROM_FLAG };
	int option = find_flag(flag, &origin.name), number;
	char place[64];

	if (option >= 0) {
		snprintf(place, sizeof(place), "--%s", origin.name);
		return config_assign(config, option, &origin, place, slice_trim(slice_from(value)),
			why, size);
	}
	number = config_mesh_find(flag);
	if (number < 0)
		return number;
	origin.name = config_mesh_options()[number].flag;
	snprintf(place, sizeof(place), "--%s", origin.name);
	return config_mesh_assign(config, number, &origin, place, slice_trim(slice_from(value)), why, size);
}

const char *config_env_value(char *const *env, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	for (; len && *env; env++) {
		if (!strncmp(*env, name, len) && (*env)[len] == '=' && (*env)[len + 1])
			return *env + len + 1;
	}
	return NULL;
}

/* The value of @name, NB_..., or of what NetBird's client called it formerly, WT_...; *@ret_name is which. */
static const char *netbird_value(char *const *env, enum option option, const char *name,
	const char **ret_name)
{
	static char former[OPTION_COUNT][40];	/* lasting, since config_origin does not own its name */
	const char *value = config_env_value(env, name);

	*ret_name = name;
	if (value || !name)
		return value;
	snprintf(former[option], sizeof(former[option]), "WT_%s", name + strlen("NB_"));
	*ret_name = former[option];
	return config_env_value(env, former[option]);
}

int config_read_env(struct config *config, char *const *env, char *why, size_t size)
{
	for (enum option i = 0; i < OPTION_COUNT; i++) {
		struct config_origin origin = { CONFIG_FROM_ENVIRONMENT, config_option_table[i].env, 0 };
		const char *value = config_env_value(env, config_option_table[i].env);
		int ret;

		if (!value) {
			value = netbird_value(env, i, config_option_table[i].netbird_env, &origin.name);
			origin.source = config->mesh.enabled ? CONFIG_FROM_NETBIRD : CONFIG_FROM_ENVIRONMENT;
		}
		if (!value)
			continue;
		ret = config_assign(config, i, &origin, origin.name, slice_trim(slice_from(value)),
			why, size);
		if (ret)
			return ret;
	}
	return config->mesh.enabled ? config_mesh_read_env(config, env, why, size) : 0;
}

void config_place(const struct config *config, const char *file, enum option option, char *text, size_t size)
{
	const struct config_origin *origin = &config->origins[option];

	switch (origin->source) {
	case CONFIG_FROM_FLAG:
		snprintf(text, size, "--%s", origin->name);
		break;
	case CONFIG_FROM_ENVIRONMENT:
	case CONFIG_FROM_NETBIRD:
		snprintf(text, size, "%s", origin->name);
		break;
	case CONFIG_FROM_FILE:
		snprintf(text, size, "%s:%u: Interface.%s", file, origin->line,
			config_option_table[option].key);
		break;
	case CONFIG_FROM_DEFAULT:
		if (config->mesh.enabled)
			snprintf(text, size, "--%s", config_option_table[option].flag);
		else
			snprintf(text, size, "%s: Interface.%s", file, config_option_table[option].key);
		break;
	}
}
