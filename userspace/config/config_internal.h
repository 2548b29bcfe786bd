/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of config/ only. */
#ifndef TALON_CONFIG_INTERNAL_H
#define TALON_CONFIG_INTERNAL_H

#include "config/config.h"
#include "config/option_rows.h"

#define OPTION_ID(id, ...) OPTION_##id,
enum option {
	CONFIG_OPTION_ROWS(OPTION_ID)
	OPTION_COUNT,
};
_Static_assert(OPTION_COUNT <= CONFIG_OPTIONS_MAX, "config.origins has a place for each");

/* Keys of wg-quick that are accepted and have no effect: bits of config.ignored. */
#define CONFIG_IGNORED(X)	\
	X(DNS, "DNS")		\
	X(FWMARK, "FwMark")	\
	X(TABLE, "Table")	\
	X(PREUP, "PreUp")	\
	X(POSTUP, "PostUp")	\
	X(PREDOWN, "PreDown")	\
	X(POSTDOWN, "PostDown")	\
	X(SAVECONFIG, "SaveConfig")
#define CONFIG_IGNORED_ID(id, name) IGNORED_##id,
enum ignored { CONFIG_IGNORED(CONFIG_IGNORED_ID) IGNORED_COUNT };
#define CONFIG_IGNORED_NAME(id, name) name,

/* What is wrong with a value. A setter may replace the words of its row by more precise ones. */
struct problem {
	struct slice item;		/* the wrong part of the value */
	const char *is;			/* "is not a CIDR" */
	const char *form;		/* the accepted form */
};

/* How an option of [Interface] is set: options.c. Setters return 0, -EINVAL with @problem, -ENOMEM. */
struct setting {
	int (*set)(struct config *config, struct slice value, struct problem *problem);
	void (*clear)(struct config *config);	/* empties a list that a weaker source set */
	const char *is;
	bool secret;			/* the value is never quoted */
};
/* What the kinds of option_rows.h mean for a setting. */
#define CLEAR_ONE(name)		NULL
#define CLEAR_SECRET(name)	NULL
#define CLEAR_LIST(name)	clear_##name
#define IS_SECRET_ONE		false
#define IS_SECRET_LIST		false
#define IS_SECRET_SECRET	true

extern const struct setting config_settings[OPTION_COUNT];
extern const struct config_option config_option_table[OPTION_COUNT + 1];

/* The keys of [Peer], in peer_keys.c; an entry without key ends them. */
struct peer_key {
	const char *key;
	int (*set)(struct config_peer *peer, struct slice value, struct problem *problem);
	const char *is;
	const char *form;
	bool secret;
};
extern const struct peer_key config_peer_keys[];

#define FORM_KEY	"44 characters of base64, as `talon genkey` prints them"
#define FORM_PUBLIC_KEY	"44 characters of base64, as `talon pubkey` prints them"
#define FORM_SNAT	"node or one spare IPv4 address of the LAN"
#define FORM_CIDR	"ADDRESS/0-32 (IPv4) or ADDRESS/0-128 (IPv6)"

/*
 * Appends a zeroed element of @size bytes to *@array. The array grows by doubling; the old memory, which may
 * hold keys, is wiped. Returns the element, or NULL when memory is short.
 */
void *config_grow(void *array, size_t *count, size_t size);

int config_note(struct config *config, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * "FILE:7: Interface.MTU", "--mtu", "TALON_MTU": where an option was given; "FILE:
 * Interface.MTU" for a default.
 */
void config_place(const struct config *config, const char *file, enum option option, char *text, size_t size);

/* Sets @option from @origin; @place begins the error line. Returns 0, -EINVAL with @why, -ENOMEM. */
int config_assign(struct config *config, enum option option, const struct config_origin *origin,
	const char *place, struct slice value, char *why, size_t size);
/* One line about @problem into @why; always -EINVAL. */
int config_explain(const char *place, const struct problem *problem, bool is_secret, char *why, size_t size);
/* mesh_options.c: the number of the option that @flag, a name or a letter, denotes, or -ENOENT. */
int config_mesh_find(const char *flag);
int config_mesh_assign(struct config *config, int number, const struct config_origin *origin,
	const char *place, struct slice value, char *why, size_t size);
/* Reads the variables of a mesh; notes which NB_* of @env have no effect or are unknown. */
int config_mesh_read_env(struct config *config, char *const *env, char *why, size_t size);
/* The value of the variable @name, or NULL if it is unset or empty. */
const char *config_env_value(char *const *env, const char *name);
/* Reads the setup key's file, fills in defaults, notes options without effect. Part of config_finish(). */
int config_mesh_finish(struct config *config, char *why, size_t size);
void config_mesh_free(struct config *config);
/* "--FLAG" or the variable. */
const char *config_mesh_place(const struct config_origin *origin, char *text, size_t size);

/* management_url.c: writes scheme, host and port to @ret_url, to be freed. Returns 0, -EINVAL or -ENOMEM. */
#define CONFIG_URL_FORM "https://HOST or https://HOST:PORT (http:// too)"
int management_url_parse(struct slice value, char **ret_url);

/* Always -ENOMEM. */
int config_no_memory(char *why, size_t size);

bool config_key_is_zero(const __u8 key[static WG_KEY_LEN]);

#endif
