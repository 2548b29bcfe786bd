/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who we are: the profile file that NetBird's client writes (default.json), read and written so that either
 * program can take over from the other. Keys that we do not know are kept as they were.
 */
#ifndef TALON_IDENTITY_H
#define TALON_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"

struct identity {
	struct secret_key private_key;
	uint8_t public_key[KEY_LEN];
	struct secret_key preshared_key;	/* zeros: none */
	/* one authorized_keys line made from SSHKey; never NULL, may be empty */
	char *ssh_public_key;
	char *management_url;		/* "https://host:port"; NULL: not in the file */
	char *interface;		/* WgIface; NULL */
	uint16_t wg_port;		/* 0: not in the file */
	uint16_t mtu;
	bool disable_client_routes, disable_server_routes, disable_firewall, block_lan_access, block_inbound,
		lazy_connection;
	char **dns_labels;
	size_t dns_label_count;
	bool is_new;			/* made now, not read */
	void *json;			/* the whole file, to be written back */
};

/*
 * Reads @path; where there is none, makes a new identity and writes it (0600, temporary file and rename),
 * before anybody hears of the key. Returns 0 or a negative errno with one line in @why; a damaged file is an
 * error, never a reason to make a new key.
 */
int identity_load(const char *path, struct identity *ret_identity, char *why, size_t size);
/*
 * Older NetBird clients had their profile elsewhere (/etc/netbird/config.json): where @path is missing and
 * @old is there, copies it. Returns 1 if it did, 0, or a negative errno with one line in @why.
 */
int identity_adopt(const char *old, const char *path, char *why, size_t size);
/*
 * Writes back with the management URL, interface and port as they are now in the struct; only if
 * something changed.
 */
int identity_save(const char *path, struct identity *identity, char *why, size_t size);
/* The server that counts from now on, kept for starts that name none: identity_save() with @url. */
int identity_set_url(const char *path, struct identity *identity, const char *url, char *why, size_t size);
void identity_done(struct identity *identity);

/*
 * Holds a lock on the state directory for this process, so that no second one uses the same identity on this
 * host; also where the directory cannot be written. Returns a descriptor, or -EBUSY with the holder's pid in
 * @why, or another negative errno.
 */
int identity_lock(const char *state_dir, char *why, size_t size);

/*
 * state.json's routeselector_state: what the user selected. Other keys of the file are kept. A file that is
 * not there says nothing; -EBADMSG for a damaged one, which is not written over.
 */
struct route_selection {
	char **selected;		/* network ids */
	size_t selected_count;
	char **deselected;
	size_t deselected_count;
	bool deselect_all;
};
int route_selection_load(const char *path, struct route_selection *ret_selection);
int route_selection_save(const char *path, const struct route_selection *selection);
void route_selection_done(struct route_selection *selection);

#endif
