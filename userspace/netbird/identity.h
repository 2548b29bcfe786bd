/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who we are: the profile file that NetBird's client writes (default.json), read and written so that either
 * program can take over from the other. Unknown keys are kept as they were.
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
	/* SSHKey's public half as a line of authorized_keys; never NULL, may be empty */
	char *ssh_public_key;
	char *management_url;		/* "https://host:port"; NULL: not in the file */
	char *interface;		/* WgIface; NULL */
	/* Name, for people, without control characters; never NULL, may be empty */
	char *name;
	uint16_t wg_port;		/* 0: not in the file */
	uint16_t mtu;
	bool disable_client_routes, disable_server_routes, disable_firewall, block_lan_access, block_inbound,
		disable_ipv6;
	char **dns_labels;
	size_t dns_label_count;
	bool is_new;			/* made now, not read */
	void *json;			/* the whole file, to be written back */
};

/*
 * Reads @path. If it does not exist, makes a new identity and writes it (0600, temporary file and rename)
 * before its key is used. Returns 0 or a negative errno with one line in @why; a damaged file is an error,
 * never a reason to make a new key.
 */
int identity_load(const char *path, struct identity *ret_identity, char *why, size_t size);
/*
 * Copies @old, where older NetBird clients had their profile (/etc/netbird/config.json), to @path, unless
 * that exists. Returns 1 if it copied, 0 if not, or a negative errno with one line in @why.
 */
int identity_adopt(const char *old, const char *path, char *why, size_t size);
/*
 * Keeps @url, the management server to use from now on, for starts that name none: in the struct, and in
 * the file if it differs. Returns 0 or a negative errno with one line in @why.
 */
int identity_set_url(const char *path, struct identity *identity, const char *url, char *why, size_t size);
/* The same for DisableIPv6: whether this peer wants no IPv6 address in the mesh. */
int identity_set_disable_ipv6(const char *path, struct identity *identity, bool disable, char *why,
	size_t size);
void identity_done(struct identity *identity);

/*
 * Locks the state directory, even a read-only one, so that no second process on this host uses the same
 * identity. Returns a descriptor that holds the lock until it is closed; -EBUSY with the holder's pid in
 * @why; or another negative errno.
 */
int identity_lock(const char *state_dir, char *why, size_t size);

#endif
