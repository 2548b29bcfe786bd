// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The options of a mesh: NetBird's flags and NB_* variables, how each is set, and which have no effect.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <sodium.h>

#include "base/setup_key.h"
#include "config/config_internal.h"
#include "config/value.h"

#define KEY_FILE_MAX	4096
#define ENV_LEN		64
#define NAMES_LEN	400

#define FORM_BOOL	"true or false"
#define FORM_URL	CONFIG_URL_FORM
#define FORM_DURATION	"a duration such as 90s, 15m or 1h30m; a bare number is minutes"
#define FORM_SETUP_KEY	"the UUID that the dashboard shows once, such as 5F1C2B7A-0000-4000-8000-1234567890AB"

#define MESH_ID(id, ...) MESH_##id,
enum mesh_option {
	CONFIG_MESH_OPTION_ROWS(MESH_ID)
	MESH_IDLE,			/* options from here on have no effect */
};

/* Wipes and frees the string at @place. */
static void forget(char **place)
{
	if (*place)
		sodium_memzero(*place, strlen(*place));
	free(*place);
	*place = NULL;
}

/* Stores a copy of @value at @place; refuses control characters. */
static int keep(char **place, struct slice value, size_t max)
{
	char *text;

	if (!value.len || value.len > max)
		return -EINVAL;
	for (size_t i = 0; i < value.len; i++) {
		if (iscntrl((unsigned char)value.at[i]))
			return -EINVAL;
	}
	text = strndup(value.at, value.len);
	if (!text)
		return -ENOMEM;
	forget(place);
	*place = text;
	return 0;
}

/* Accepts what Go's strconv.ParseBool does, and yes, no, on, off. */
static int value_switch(struct slice value, bool *ret_value)
{
	if (slice_is(value, "t") || slice_is(value, "f")) {
		*ret_value = slice_is(value, "t");
		return 0;
	}
	return value_bool(value, ret_value);
}

static int set_given(struct config *config, struct slice value, bool *ret_value, enum config_mesh_given bit)
{
	config->mesh.given |= bit;
	return value_switch(value, ret_value);
}

static int set_management_url(struct config *config, struct slice value, struct problem *problem)
{
	char *url;
	int ret = management_url_parse(value, &url);

	if (ret)
		return ret;
	forget(&config->mesh.management_url);
	config->mesh.management_url = url;
	return 0;
}

static int set_setup_key(struct config *config, struct slice value, struct problem *problem)
{
	char key[SETUP_KEY_LEN + 1];
	int ret;

	ret = setup_key_parse(value, key);
	if (!ret)
		ret = keep(&config->mesh.setup_key, slice_from(key), SETUP_KEY_LEN);
	sodium_memzero(key, sizeof(key));
	return ret;
}

static int set_setup_key_file(struct config *config, struct slice value, struct problem *problem)
{
	return keep(&config->setup_key_file, value, PATH_MAX - 1);
}

static int set_hostname(struct config *config, struct slice value, struct problem *problem)
{
	return memchr(value.at, ' ', value.len) ? -EINVAL : keep(&config->mesh.hostname, value, 253);
}

static int set_config(struct config *config, struct slice value, struct problem *problem)
{
	return keep(&config->mesh.identity_path, value, PATH_MAX - 1);
}

static int set_state_dir(struct config *config, struct slice value, struct problem *problem)
{
	while (value.len > 1 && value.at[value.len - 1] == '/')
		value.len--;
	return value.len && value.at[0] == '/' ? keep(&config->mesh.state_dir, value, PATH_MAX - 64)
		: -EINVAL;
}

static int set_daemon_addr(struct config *config, struct slice value, struct problem *problem)
{
	static const char scheme[] = "unix://";
	size_t len = sizeof(scheme) - 1;

	if (value.len <= len + 1 || strncmp(value.at, scheme, len) || value.at[len] != '/')
		return -EINVAL;
	value = (struct slice){ value.at + len, value.len - len };
	return keep(&config->mesh.control_socket, value, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
}

static int set_mesh_psk(struct config *config, struct slice value, struct problem *problem)
{
	__u8 key[WG_KEY_LEN];
	int ret = value_key(value, key);

	sodium_memzero(key, sizeof(key));
	return ret ? ret : keep(&config->mesh.preshared_key, value, value.len);
}

static int set_client_routes(struct config *config, struct slice value, struct problem *problem)
{
	return set_given(config, value, &config->mesh.disable_client_routes, CONFIG_GIVEN_CLIENT_ROUTES);
}

static int set_server_routes(struct config *config, struct slice value, struct problem *problem)
{
	return set_given(config, value, &config->mesh.disable_server_routes, CONFIG_GIVEN_SERVER_ROUTES);
}

static int set_firewall(struct config *config, struct slice value, struct problem *problem)
{
	return set_given(config, value, &config->mesh.disable_firewall, CONFIG_GIVEN_FIREWALL);
}

static int set_lan_access(struct config *config, struct slice value, struct problem *problem)
{
	return set_given(config, value, &config->mesh.block_lan_access, CONFIG_GIVEN_LAN_ACCESS);
}

static int set_inbound(struct config *config, struct slice value, struct problem *problem)
{
	return set_given(config, value, &config->mesh.block_inbound, CONFIG_GIVEN_INBOUND);
}

static int set_anonymize(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->mesh.anonymize);
}

static int set_anonymize_level(struct config *config, struct slice value, struct problem *problem)
{
	static const char *const levels[] = { "default", "strict", NULL };
	unsigned int level;

	if (value_word(value, levels, &level))
		return -EINVAL;
	strcpy(config->mesh.anonymize_level, levels[level]);
	return 0;
}

static int set_on_stop(struct config *config, struct slice value, struct problem *problem)
{
	static const char *const choices[] = { "quiet", "tell", NULL };

	return value_word(value, choices, &config->mesh.on_stop);
}

static int set_ipv6(struct config *config, struct slice value, struct problem *problem)
{
	return set_given(config, value, &config->mesh.disable_ipv6, CONFIG_GIVEN_IPV6);
}

/* Overrides the account's setting in either direction. */
static int set_lazy_conn(struct config *config, struct slice value, struct problem *problem)
{
	config->mesh.given |= CONFIG_GIVEN_LAZY_CONN;
	return value_bool(value, &config->mesh.lazy_conn) ? value_switch(value, &config->mesh.lazy_conn) : 0;
}

static int set_force_relay(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->mesh.force_relay);
}

static int set_qr(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->mesh.qr);
}

/*
 * Relays are reached by WebSocket alone. Who insists on QUIC would get no relay at all, and is told so; where
 * it is only preferred, WebSocket is what the stock client falls back to as well.
 */
static int set_relay_transport(struct config *config, struct slice value, struct problem *problem)
{
	if (slice_is(value, "quic"))
		problem->is = "is not supported: Talon reaches relays by WebSocket";
	return slice_is(value, "auto") || slice_is(value, "ws") || slice_is(value, "prefer-ws") ||
		slice_is(value, "prefer-quic") ? 0 : -EINVAL;
}

static void clear_home_relays(struct config *config)
{
	free(config->mesh.home_relays);
	config->mesh.home_relays = NULL;
	config->mesh.home_relay_count = 0;
}

static int set_home_relays(struct config *config, struct slice value, struct problem *problem)
{
	struct config_mesh *mesh = &config->mesh;
	struct server_url url, *place;
	char text[SERVER_URL_LEN];

	while (slice_next(&value, ", \t", &problem->item)) {
		if (!slice_copy(problem->item, text, sizeof(text)) ||
			server_url_parse(text, SERVER_SCHEMES_RELAY, &url))
			return -EINVAL;
		if (mesh->home_relay_count == CONFIG_HOME_RELAYS_MAX) {
			problem->is = "is one relay too many";
			return -EINVAL;
		}
		place = config_grow(&mesh->home_relays, &mesh->home_relay_count, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = url;
	}
	return 0;
}

static int set_networks(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->mesh.disable_networks);
}

static int set_foreground(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->mesh.foreground);
}

static int set_agent(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->mesh.agent);
}

/* RFC 1035 section 2.3.1, plus underscores and a leading asterisk, which management allows. */
static bool is_dns_label(struct slice label)
{
	size_t at = 0;

	if (!label.len || label.len > 63)
		return false;
	for (size_t i = 0; i < label.len; i++, at++) {
		char c = label.at[i];

		if (c == '.' ? !at || i + 1 == label.len : !isalnum((unsigned char)c) && c != '-' &&
			c != '_' && !(c == '*' && !i))
			return false;
		if (c == '.')
			at = -1;
	}
	return true;
}

static void clear_dns_labels(struct config *config)
{
	for (size_t i = 0; i < config->mesh.dns_label_count; i++)
		free(config->mesh.dns_labels[i]);
	free(config->mesh.dns_labels);
	config->mesh.dns_labels = NULL;
	config->mesh.dns_label_count = 0;
}

static int set_dns_labels(struct config *config, struct slice value, struct problem *problem)
{
	struct config_mesh *mesh = &config->mesh;
	char **place, *label;

	mesh->given |= CONFIG_GIVEN_DNS_LABELS;
	while (slice_next(&value, ", \t", &problem->item)) {
		if (!is_dns_label(problem->item))
			return -EINVAL;
		if (mesh->dns_label_count == CONFIG_DNS_LABELS_MAX) {
			problem->is = "is one label too many";
			return -EINVAL;
		}
		label = strndup(problem->item.at, problem->item.len);
		place = label ? config_grow(&mesh->dns_labels, &mesh->dns_label_count, sizeof(*place)) : NULL;
		if (!place) {
			free(label);
			return -ENOMEM;
		}
		for (char *c = label; *c; c++)
			*c = tolower((unsigned char)*c);
		*place = label;
	}
	return 0;
}

static int set_dns_port(struct config *config, struct slice value, struct problem *problem)
{
	return value_u16(value, 1, 65535, &config->mesh.dns_forwarder_port);
}

/* Only TLS: a bundle tells a lot about a host. */
static int set_debug_upload_url(struct config *config, struct slice value, struct problem *problem)
{
	static const char scheme[] = "https://";
	size_t len = sizeof(scheme) - 1;

	if (value.len <= len || strncasecmp(value.at, scheme, len) || value.at[len] == '/')
		return -EINVAL;
	for (size_t i = 0; i < value.len; i++) {
		if (!isgraph((unsigned char)value.at[i]) || value.at[i] == '@')
			return -EINVAL;
	}
	return keep(&config->mesh.debug_upload_url, value, 1023);
}

static int set_log_rotation(struct config *config, struct slice value, struct problem *problem)
{
	return value_switch(value, &config->log_any_size);
}

static int set_profile(struct config *config, struct slice value, struct problem *problem)
{
	return slice_is(value, "default") ? 0 : -EINVAL;
}

/* Refused rather than ignored: a user who turns it on relies on it. */
static int set_rosenpass(struct config *config, struct slice value, struct problem *problem)
{
	bool wanted;

	if (set_given(config, value, &wanted, CONFIG_GIVEN_ROSENPASS))
		return -EINVAL;
	problem->is = "is not supported: Talon does not speak Rosenpass";
	problem->form = "false";
	return wanted ? -EINVAL : 0;
}

static int set_switch(struct config *config, struct slice value, struct problem *problem)
{
	bool ignored;

	return value_switch(value, &ignored);
}

static int set_duration(struct config *config, struct slice value, struct problem *problem)
{
	return value_duration(value);
}

static int set_anything(struct config *config, struct slice value, struct problem *problem)
{
	return 0;
}

#define NO_SSH		"Talon runs no SSH server"
#define NO_LAZY		"the account decides, and NB_LAZY_CONN over it"
#define NO_JSON_SOCKET	"the control socket speaks JSON, and there is no other"

#define MESH_ROW(id, name, kind, flag, letter, env, argument, form, is, values, help) \
	[MESH_##id] = { flag, env, argument, form, values, help, NULL, letter },
#define IDLE_ROW(flag, letter, argument, form, why) { flag, NULL, argument, form, NULL, NULL, why, letter },
static const struct config_mesh_option mesh_table[CONFIG_MESH_OPTIONS_MAX] = {
	CONFIG_MESH_OPTION_ROWS(MESH_ROW)
	CONFIG_IDLE_OPTION_ROWS(IDLE_ROW)
};

#define MESH_SETTING_ROW(id, name, kind, flag, letter, env, argument, form, is, values, help) \
	[MESH_##id] = { set_##name, CLEAR_##kind(name), is, IS_SECRET_##kind },
static const struct setting mesh_settings[MESH_IDLE] = { CONFIG_MESH_OPTION_ROWS(MESH_SETTING_ROW) };

static const struct setting idle_switch = { set_switch, NULL, "is not a choice", false };
static const struct setting idle_value = { set_anything, NULL, "is not a value", false };
static const struct setting idle_duration = { set_duration, NULL, "is not a duration", false };

/*
 * Variables of NetBird's client that are not flags and have no effect: they configure parts that Talon does
 * not have, or does not let users tune.
 */
static const char *const idle_variables[] = {
	"NB_DNS_STATE_FILE", "NB_UNCLEAN_SHUTDOWN_RESOLV_FILE", "NB_WG_KERNEL_DISABLED",
	"NB_USE_NETSTACK_MODE",
	"NB_SOCKS5_LISTENER_ADDRESS", "NB_SOCKS5_LISTENER_PORT", "NB_NETSTACK_SKIP_PROXY",
	"NB_ENABLE_NETSTACK_LOCAL_FORWARDING", "NB_ENABLE_LOCAL_FORWARDING", "NB_FORCE_USERSPACE_ROUTER",
	"NB_DISABLE_USERSPACE_ROUTING", "NB_DISABLE_CONNTRACK", "NB_DISABLE_MSS_CLAMPING",
	"NB_USPFILTER_LOG_BUFFER", "NB_USE_LEGACY_ROUTING", "NB_SKIP_SOCKET_MARK",
	"NB_DISABLE_CUSTOM_ROUTING", "NB_SKIP_NFTABLES_CHECK", "NB_NFTABLES_TABLE",
	"NB_DISABLE_EBPF_WG_PROXY", "NB_ICE_KEEP_ALIVE_INTERVAL_SEC", "NB_ICE_DISCONNECTED_TIMEOUT_SEC",
	"NB_ICE_FAILED_TIMEOUT_SEC", "NB_ICE_RELAY_ACCEPTANCE_MIN_WAIT_SEC", "NB_ICE_FORCE_RELAY_CONN",
	"NB_ICE_MONITOR_PERIOD", "NB_RELAY_HC_ATTEMPT_THRESHOLD", "NB_CONN_RETRY_INTERVAL_TIME",
	"NB_CONN_MAX_RETRY_INTERVAL_TIME", "NB_CONN_MAX_RETRY_TIME_TIME", "NB_CONN_RETRY_MULTIPLIER",
	"NB_ROSENPASS_LOG_LEVEL", "NB_WG_DEBUG", "NB_PPROF_ADDR", "NB_DISABLE_SSH_CONFIG",
	"NB_FORCE_SSH_CONFIG", "NB_FORCE_USERSPACE_FIREWALL", "NB_FORCE_TCP_RACK", "NB_CONNTRACK_TCP_MAX",
	"NB_CONNTRACK_UDP_MAX", "NB_CONNTRACK_ICMP_MAX", "NB_CONNTRACK_TCP_FIN_WAIT_TIMEOUT",
	"NB_CONNTRACK_TCP_CLOSE_WAIT_TIMEOUT", "NB_CONNTRACK_TCP_LAST_ACK_TIMEOUT", "NB_FRAGMENT_MAX_ENTRIES",
	"NB_MANAGEMENT_GRPC_MAX_MSG_SIZE",
	"NB_DISABLE_NAT_MAPPER", "NB_DISABLE_PCP_HEALTH_CHECK", "NB_DNS_LAZY_WARMUP_TIMEOUT",
	"NB_DNS_HEALTH_WARNING_DELAY", "NB_MGMT_CACHE_TTL", "NB_METRICS_PUSH_ENABLED", "NB_METRICS_INTERVAL",
	"NB_METRICS_SERVER_URL", "NB_METRICS_CONFIG_URL", "NB_METRICS_FORCE_SENDING",
	"NB_DISABLE_SLEEP_DETECTOR", "NB_ROUTE_PROTO_FLAG",
	"NB_AUTO_UPDATE_DRY_RUN", "NB_DISABLE_ROUTE_CACHE", "NB_LISTEN_DEBUG_EVENT", NULL,
};

/* Variables that NetBird's client once had. */
static const char *const removed_variables[] = { "NB_ENABLE_EXPERIMENTAL_LAZY_CONN", "NB_SKIP_DNS_PROBE",
	NULL };

/* For the start script of NetBird's container image: ignored without a note. */
static const char *const quiet_variables[] = { "NB_ENTRYPOINT_SERVICE_TIMEOUT",
	"NB_ENTRYPOINT_LOGIN_TIMEOUT", NULL };

const struct config_mesh_option *config_mesh_options(void)
{
	return mesh_table;
}

int config_mesh_find(const char *flag)
{
	for (int i = 0; mesh_table[i].flag; i++) {
		if (!strcmp(mesh_table[i].flag, flag) ||
			(mesh_table[i].letter && mesh_table[i].letter == flag[0] && !flag[1]))
			return i;
	}
	return -ENOENT;
}

static const struct setting *setting_of(int number)
{
	const struct config_mesh_option *option = &mesh_table[number];

	if (number < MESH_IDLE)
		return &mesh_settings[number];
	if (!option->argument)
		return &idle_switch;
	if (!strcmp(option->form, FORM_DURATION))
		return &idle_duration;
	return &idle_value;
}

static int try_only(const struct setting *setting, struct slice value, struct problem *problem)
{
	struct config scratch;
	int ret;

	config_init(&scratch);
	ret = setting->set(&scratch, value, problem);
	config_free(&scratch);
	return ret;
}

/* FNV-1a: tells one value from another, no more. */
static void add_digest(__u64 *digest, struct slice value)
{
	*digest = *digest ?: 0xcbf29ce484222325;
	for (size_t i = 0; i < value.len; i++)
		*digest = (*digest ^ (unsigned char)value.at[i]) * 0x100000001b3;
}

void config_forget_setup_key(struct config *fresh)
{
	forget(&fresh->mesh.setup_key);
	forget(&fresh->setup_key_file);
	fresh->mesh_origins[MESH_SETUP_KEY] = fresh->mesh_origins[MESH_SETUP_KEY_FILE] =
		(struct config_origin){};
}

int config_mesh_assign(struct config *config, int number, const struct config_origin *origin,
	const char *place, struct slice value, char *why, size_t size)
{
	const struct setting *setting = setting_of(number);
	struct problem problem = { value, setting->is, mesh_table[number].form };
	enum config_source given = config->mesh_origins[number].source;
	int ret;

	if (origin->source < given) {
		ret = try_only(setting, value, &problem);
	} else {
		if (origin->source > given && setting->clear)
			setting->clear(config);
		if (origin->source > given)
			config->mesh_digests[number] = 0;
		config->mesh_origins[number] = *origin;
		ret = setting->set(config, value, &problem);
		add_digest(&config->mesh_digests[number], value);
	}
	if (ret == -ENOMEM)
		return config_no_memory(why, size);
	return ret ? config_explain(place, &problem, setting->secret, why, size) : 0;
}

/* "NB_SETUP_KEY" */
static void name_variable(const char *prefix, const char *flag, char text[static ENV_LEN])
{
	size_t len = snprintf(text, ENV_LEN, "%s%s", prefix, flag);

	for (size_t i = strlen(prefix); i < len && i < ENV_LEN; i++)
		text[i] = text[i] == '-' ? '_' : toupper((unsigned char)text[i]);
}

/*
 * The value in @env of the variable that sets option @number, or NULL. Writes the variable's name to @name.
 */
static const char *find_variable(char *const *env, int number, char name[static ENV_LEN])
{
	static const char *const prefixes[] = { "NB_", "WT_" };	/* NetBird's current and former prefix */
	const char *value;

	for (size_t i = 0; i < 2; i++) {
		name_variable(prefixes[i], mesh_table[number].flag, name);
		value = number == MESH_AGENT ? NULL : config_env_value(env, name);
		if (value)
			return value;
	}
	snprintf(name, ENV_LEN, "%s", mesh_table[number].env ? mesh_table[number].env : "");
	return config_env_value(env, name);
}

/* A lasting copy of @name, since config_origin does not own its name. */
static const char *variable_name(int number, const char *name)
{
	static char names[CONFIG_MESH_OPTIONS_MAX][ENV_LEN];

	memcpy(names[number], name, ENV_LEN);
	return names[number];
}

static bool is_one_of(const char *const *list, const char *name, size_t len)
{
	for (; *list; list++) {
		if (!strncmp(*list, name, len) && !(*list)[len])
			return true;
	}
	return false;
}

static bool is_option_variable(const char *entry, size_t len)
{
	char name[ENV_LEN];

	for (int i = 0; mesh_table[i].flag; i++) {
		name_variable("NB_", mesh_table[i].flag, name);
		if ((!strncmp(name, entry, len) && !name[len]) ||
		    (mesh_table[i].env && !strncmp(mesh_table[i].env, entry, len) && !mesh_table[i].env[len]))
			return true;
	}
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		if (o->netbird_env && !strncmp(o->netbird_env, entry, len) && !o->netbird_env[len])
			return true;
	}
	return false;
}

static void list_name(char names[static NAMES_LEN], const char *name, size_t len)
{
	size_t used = strlen(names);

	if (used + len + 8 < NAMES_LEN)
		snprintf(names + used, NAMES_LEN - used, "%s%.*s", used ? ", " : "", (int)len, name);
	else if (used + 6 < NAMES_LEN && strcmp(names + used - 3, "..."))
		strcat(names, ", ...");
}

/*
 * Notes on one line the NB_* that have no effect, on another those that NetBird's client had once, on a third
 * the unknown ones, which may be typos.
 */
static int note_variables(struct config *config, char *const *env)
{
	char idle[NAMES_LEN] = "", removed[NAMES_LEN] = "", unknown[NAMES_LEN] = "";

	for (; *env; env++) {
		size_t len = strcspn(*env, "=");

		if (strncmp(*env, "NB_", 3) || len >= ENV_LEN || !(*env)[len] || !(*env)[len + 1] ||
			is_option_variable(*env, len) || is_one_of(quiet_variables, *env, len))
			continue;
		list_name(is_one_of(idle_variables, *env, len) ? idle
			: is_one_of(removed_variables, *env, len) ? removed : unknown, *env, len);
	}
	if (idle[0] && config_note(config, LOG_LEVEL_INFO,
		"no effect: %s (of parts of NetBird's client that Talon does not have)", idle))
		return -ENOMEM;
	if (removed[0] && config_note(config, LOG_LEVEL_INFO,
		"no effect: %s (NetBird's client no longer has them; NB_LAZY_CONN is there for lazy "
		"connections)", removed))
		return -ENOMEM;
	if (unknown[0] && config_note(config, LOG_LEVEL_WARN,
		"no effect: %s (not known; see talon up --help)", unknown))
		return -ENOMEM;
	return 0;
}

int config_mesh_read_env(struct config *config, char *const *env, char *why, size_t size)
{
	char name[ENV_LEN];

	for (int i = 0; mesh_table[i].flag; i++) {
		const char *value = find_variable(env, i, name);
		struct config_origin origin = { CONFIG_FROM_NETBIRD, NULL, 0 };
		int ret;

		if (!value)
			continue;
		origin.name = variable_name(i, name);
		if (!strncmp(name, "TALON_", 6))
			origin.source = CONFIG_FROM_ENVIRONMENT;
		ret = config_mesh_assign(config, i, &origin, origin.name, slice_trim(slice_from(value)),
			why, size);
		if (ret)
			return ret;
	}
	return note_variables(config, env) ? config_no_memory(why, size) : 0;
}

const char *config_mesh_place(const struct config_origin *origin, char *text, size_t size)
{
	snprintf(text, size, "%s%s", origin->source == CONFIG_FROM_FLAG ? "--" : "", origin->name);
	return text;
}

const char *config_mesh_flag_given(const struct config *config)
{
	for (int i = 0; mesh_table[i].flag; i++) {
		if (config->mesh_origins[i].source == CONFIG_FROM_FLAG)
			return mesh_table[i].flag;
	}
	return NULL;
}

/* Reads a small file into @text. Returns its length, -EFBIG if it fills @text, or a negative errno. */
static ssize_t read_small(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size && (n = read(fd, text + len, size - len)) > 0)
		len += n;
	n = n < 0 ? -errno : len == size ? -EFBIG : (ssize_t)len;
	close(fd);
	return n;
}

/* Also trims line feeds: a file may end in one that is not part of the value. */
static struct slice trim_lines(struct slice s)
{
	while (s.len && isspace((unsigned char)s.at[0]))
		s = (struct slice){ s.at + 1, s.len - 1 };
	while (s.len && isspace((unsigned char)s.at[s.len - 1]))
		s.len--;
	return s;
}

static int read_setup_key_file(struct config *config, char *why, size_t size)
{
	struct config_origin *file = &config->mesh_origins[MESH_SETUP_KEY_FILE],
		*key = &config->mesh_origins[MESH_SETUP_KEY];
	char text[KEY_FILE_MAX], place[ENV_LEN + 2], other[ENV_LEN + 2];
	struct problem problem = {};
	struct slice value;
	ssize_t len;
	int ret = -EINVAL;

	config_mesh_place(file, place, sizeof(place));
	if (key->source) {
		snprintf(why, size, "%s: %s is given too; give only one of them", place,
			config_mesh_place(key, other, sizeof(other)));
		return -EINVAL;
	}
	len = read_small(config->setup_key_file, text, sizeof(text));
	value = trim_lines((struct slice){ text, len > 0 ? len : 0 });
	if (len < 0)
		snprintf(why, size, "%s: cannot read %.200s: %s; expected %s", place, config->setup_key_file,
			strerror(-len), mesh_table[MESH_SETUP_KEY_FILE].form);
	else if (!value.len)
		snprintf(why, size, "%s: %.200s is empty; expected %s in it", place, config->setup_key_file,
			FORM_SETUP_KEY);
	else
		ret = set_setup_key(config, value, &problem);
	if (ret && value.len)
		snprintf(why, size, "%s: what %.200s holds is not a setup key; expected %s", place,
			config->setup_key_file, FORM_SETUP_KEY);
	sodium_memzero(text, sizeof(text));
	return ret;
}

static int default_text(char **place, const char *fmt, const char *part)
{
	if (!*place && asprintf(place, fmt, part) < 0) {
		*place = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Notes each option that was given and has no effect. */
static int note_idle(struct config *config)
{
	char place[ENV_LEN + 2];

	for (int i = MESH_IDLE; mesh_table[i].flag; i++) {
		if (!config->mesh_origins[i].source || !mesh_table[i].no_effect)
			continue;
		if (config_note(config, LOG_LEVEL_INFO, "%s: no effect: %s",
			    config_mesh_place(&config->mesh_origins[i], place, sizeof(place)),
			    mesh_table[i].no_effect))
			return -ENOMEM;
	}
	return 0;
}

int config_mesh_finish(struct config *config, char *why, size_t size)
{
	struct config_mesh *mesh = &config->mesh;

	if (config->setup_key_file) {
		int ret = read_setup_key_file(config, why, size);

		if (ret)
			return ret;
	}
	if (default_text(&mesh->state_dir, "%s", CONFIG_STATE_DIR) ||
		default_text(&mesh->identity_path, "%s/default.json", mesh->state_dir) ||
		default_text(&mesh->control_socket, "%s", CONFIG_CONTROL_SOCKET) || note_idle(config))
		return config_no_memory(why, size);
	return 0;
}

void config_mesh_free(struct config *config)
{
	struct config_mesh *mesh = &config->mesh;
	char **texts[] = {
		&mesh->management_url, &mesh->setup_key, &mesh->hostname, &mesh->state_dir,
		&mesh->identity_path, &mesh->control_socket,
		&mesh->preshared_key, &mesh->debug_upload_url, &config->setup_key_file,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		forget(texts[i]);
	clear_dns_labels(config);
	clear_home_relays(config);
}
