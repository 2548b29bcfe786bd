/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A unit of systemd that `talon service install` makes: its text, what is saved of its settings
 * (service.json, NetBird's file), and systemctl.
 */
#ifndef TALON_SERVICE_H
#define TALON_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#define SERVICE_UNITS		"/etc/systemd/system"
#define SERVICE_MARK		"# Made by talon service install; talon service reconfigure makes it anew.\n"
#define SERVICE_NAME_MAX	64

/* The settings that are saved: X(flag, key in service.json, kind). */
#define SERVICE_PARAMS(X)						\
	X("log-level",			"log_level",			SERVICE_TEXT)	\
	X("daemon-addr",		"daemon_addr",			SERVICE_TEXT)	\
	X("json-socket",		"json_socket",			SERVICE_TEXT)	\
	X("management-url",		"management_url",		SERVICE_TEXT)	\
	X("config",			"config_path",			SERVICE_TEXT)	\
	X("log-file",			"log_files",			SERVICE_LIST)	\
	X("disable-profiles",		"disable_profiles",		SERVICE_SWITCH)	\
	X("disable-update-settings",	"disable_update_settings",	SERVICE_SWITCH)	\
	X("enable-capture",		"enable_capture",		SERVICE_SWITCH)	\
	X("disable-networks",		"disable_networks",		SERVICE_SWITCH)	\
	X("enable-json-socket",		"enable_json_socket",		SERVICE_SWITCH)

enum service_kind { SERVICE_TEXT, SERVICE_LIST, SERVICE_SWITCH };

struct service_param {
	const char *flag;		/* without dashes */
	const char *key;
	enum service_kind kind;
};

/* All of them; one without flag ends them. */
extern const struct service_param service_params[];
/* By flag; NULL: not saved. */
const struct service_param *service_find_param(const char *flag);

/*
 * What an earlier install saved at @path; an empty object if there is no file. The caller frees @ret_saved by
 * json_decref(). Returns 0, or a negative errno with one line in @why.
 */
int service_load(const char *path, json_t **ret_saved, char *why, size_t size);
/* Writes it, mode 0600, with NetBird's keys in its order; others stay. Returns 0 or a negative errno. */
int service_save(const char *path, const json_t *saved);
/*
 * Sets one; of a list, @is_first empties what was saved. An empty text or list counts as not set. Returns 0,
 * -EINVAL with one line in @why, or -ENOMEM.
 */
int service_set(json_t *saved, const struct service_param *param, const char *value, bool is_first, char *why,
	size_t size);
/* "NAME=value,NAME=value": joins those that are saved; "" empties them. Returns as service_set(). */
int service_set_env(json_t *saved, const char *list, char *why, size_t size);

/* What a unit's text depends on. */
struct service_unit {
	const char *name;		/* without ".service" */
	const char *program;		/* absolute */
	const char *state_dir;
	const json_t *saved;
	/* whether `service run` knows a flag; those that it does not know are saved only */
	bool (*knows)(const char *flag);
};

/* The unit's text: that of the packages, with this program and these settings. */
void service_write_unit(FILE *out, const struct service_unit *unit);
/* The variables as a file of EnvironmentFile=; apart from the unit, which everybody may read. */
void service_write_env(FILE *out, const json_t *saved);
/* Whether @path is a unit that service_write_unit() wrote. */
bool service_is_ours(const char *path);
bool service_is_name(const char *name);

#define SERVICE_PATH_LEN	4096

struct service {
	const char *name;		/* of the unit; borrowed, as the next */
	const char *state_dir;
	char unit[SERVICE_NAME_MAX + sizeof(".service")];
	char unit_path[SERVICE_NAME_MAX + sizeof(SERVICE_UNITS) + sizeof("/.service")];
	char saved_path[SERVICE_PATH_LEN];
	char env_path[SERVICE_PATH_LEN];
	json_t *saved;			/* for service_install() and service_reconfigure() */
	bool (*knows)(const char *flag);	/* as above */
	char why[512];
};

/* Each returns 0, or a negative errno with one line in @service->why. */
/* Names all paths; @service is zeroed before. */
int service_init(struct service *service, const char *name, const char *state_dir);
/* Writes the unit and what is saved, and enables it; refuses where there is a unit already. */
int service_install(struct service *service);
/* Stops, disables and removes a unit of ours. */
int service_uninstall(struct service *service);
/* Writes a unit of ours anew, and restarts one that runs. */
int service_reconfigure(struct service *service, bool *ret_was_running);
/* start, stop, restart */
int service_control(struct service *service, const char *verb);
/* "Running", "Stopped" or "Unknown" */
int service_state(struct service *service, const char **ret_state);

/*
 * Runs systemctl with @args, NULL at the end, and waits. What it prints goes to @out, cut where that is full;
 * NULL: nowhere. Returns its exit status, or a negative errno.
 */
int service_systemctl(const char *const *args, char *out, size_t size);
/* Whether systemd is what runs services here. */
bool service_has_systemd(void);

#endif
