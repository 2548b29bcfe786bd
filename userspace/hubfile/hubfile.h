/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hub's declarative file (YAML): who may join, groups, what reaches what, routes, networks, overrides,
 * sign-in. Read and checked as a whole: either everything of it is valid, or nothing of it is used and each
 * fault has its line.
 */
#ifndef TALON_HUBFILE_H
#define TALON_HUBFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "crypto/key.h"

#define HUBFILE_ALL		0	/* index of the group All, which every peer is in */
#define HUBFILE_HASH_LEN	32	/* SHA-256 of a setup key in capitals */

/* Indexes into hubfile.groups, ascending, each once. */
struct hubfile_groups {
	uint16_t *of;
	size_t count;
};

struct hubfile_group {
	char *name;
	char **peers;			/* by name or public key; beside who joined with a key of it */
	size_t peer_count;
	char **claims;			/* groups of the sign-in's token that count as this one */
	size_t claim_count;
};

struct hubfile_key {
	char *name;
	uint8_t hash[HUBFILE_HASH_LEN];
	uint64_t expires_s;		/* Unix; 0: never */
	uint32_t uses_max;		/* 0: as many as come; 1: one-off */
	bool is_ephemeral;
	struct hubfile_groups groups;
};

enum hubfile_protocol { HUBFILE_ANY, HUBFILE_TCP, HUBFILE_UDP, HUBFILE_ICMP };
struct hubfile_ports {
	uint16_t first, last;		/* host order */
};

struct hubfile_policy {
	char *name;
	unsigned int line;
	bool is_drop;
	bool is_both_ways;
	enum hubfile_protocol protocol;
	struct hubfile_ports *ports;	/* none: all; only for TCP and UDP */
	size_t port_count;
	struct hubfile_groups from, to;	/* groups of peers; of to also those of resources */
};

/* Who routes: peers by name or key, or all of the groups. */
struct hubfile_routers {
	char **peers;
	size_t peer_count;
	struct hubfile_groups groups;
};

struct hubfile_route {
	/* at most 40 bytes: the NetID, the same for routers that stand in for each other */
	char *name;
	unsigned int line;
	struct cidr network;		/* family 0: by domains */
	char **domains;			/* "example.com", "*.example.com" */
	size_t domain_count;
	struct hubfile_routers routers;
	struct hubfile_groups to;	/* who gets the route */
	struct hubfile_groups access;	/* who may use it, by policies; none: whoever gets it */
	uint16_t metric;		/* 1..9999, 9999 if not given */
	bool is_masqueraded;		/* true if not given */
	bool is_kept;			/* domains: earlier addresses stay */
	bool is_by_choice;		/* an exit node: in use where somebody selects it */
};

struct hubfile_resource {
	char *name;
	unsigned int line;
	struct cidr network;		/* family 0: a domain */
	char *domain;
	struct hubfile_groups groups;	/* that policies name as to */
};

struct hubfile_network {
	char *name;
	struct hubfile_routers routers;
	uint16_t metric;
	bool is_masqueraded;
	struct hubfile_resource *resources;
	size_t resource_count;
};

/* What the file says of a peer, whatever the peer says. */
struct hubfile_peer {
	char *match;			/* public key, or the name that it joined with */
	char *name;			/* DNS label; NULL: as it says */
	struct cidr address, address6;	/* family 0: any that is free */
	struct hubfile_groups groups;
	bool is_blocked;		/* known, and let in by nobody */
};

struct hubfile_nameservers {		/* of the mesh's DNS configuration */
	char *name;
	struct hubfile_address { struct cidr address; uint16_t port; } *servers;
	size_t server_count;
	char **domains;			/* none: primary */
	size_t domain_count;
	bool is_search;
	struct hubfile_groups to;
};

struct hubfile_oidc {
	char *issuer;			/* NULL: no sign-in */
	char *client_id, *client_secret;	/* the secret from a file; NULL: public client */
	char *audience;			/* NULL: client_id */
	char *scope;			/* "openid profile email offline_access" if not given */
	char *groups_claim;		/* "groups" */
	char *user_claim;		/* "sub" */
	char *device_endpoint, *token_endpoint, *authorization_endpoint;	/* NULL: as discovered */
	char **redirect_urls;		/* none: the two of NetBird's client */
	size_t redirect_count;
	char *ca_file;			/* NULL: the system's */
	struct hubfile_groups groups;	/* of everybody who signs in */
	uint64_t login_expires_s;	/* seconds that a login is good for; 0: for ever */
	bool use_id_token;
};

struct hubfile {
	/* NULL where the file says nothing: flags, environment or defaults decide */
	char *listen, *public_url, *certificate, *key, *data_dir;
	char *stun_listen, *page_listen;	/* or "off" */
	struct cidr *proxies;
	size_t proxy_count;
	char *domain;			/* "netbird.selfhosted" if not given */
	struct cidr network;		/* 100.64.0.0/10: a /16 of it is taken; or exactly what is given */
	struct cidr network6;		/* family 0: made at random once, a ULA /64; prefixlen 0: no IPv6 */
	uint64_t ephemeral_s;		/* without a word, then gone; 600 if not given */
	struct hubfile_group *groups;	/* [HUBFILE_ALL] is All */
	size_t group_count;
	struct hubfile_key *keys;
	size_t key_count;
	struct hubfile_policy *policies;
	size_t policy_count;
	struct hubfile_route *routes;
	size_t route_count;
	struct hubfile_network *networks;
	size_t network_count;
	struct hubfile_peer *peers;
	size_t peer_count;
	struct hubfile_nameservers *nameservers;
	size_t nameserver_count;
	struct hubfile_oidc oidc;
};

struct hubfile_fault {
	unsigned int line;		/* from 1; 0: of no line */
	char text[320];			/* names the field and the accepted form */
};
#define HUBFILE_FAULTS_MAX 32

/*
 * Reads @len bytes of YAML. Returns 0, or a negative errno with at least one of @faults (*@ret_fault_count);
 * files that it names are relative to @dir (NULL: the working directory). To be freed with hubfile_free().
 */
int hubfile_parse(const char *text, size_t len, const char *dir, struct hubfile **ret_file,
	struct hubfile_fault faults[static HUBFILE_FAULTS_MAX], size_t *ret_fault_count);
int hubfile_read(const char *path, struct hubfile **ret_file,
	struct hubfile_fault faults[static HUBFILE_FAULTS_MAX], size_t *ret_fault_count);
/*
 * The data directory that the file names, whatever else is wrong in it; *@ret_dir NULL: none. Returns 0, or a
 * negative errno with @ret_fault: it cannot be read, is no YAML, or this is no path. *@ret_dir: free().
 */
int hubfile_read_data(const char *path, char **ret_dir, struct hubfile_fault *ret_fault);
/* What counts without a file: one group, one policy: all reach all. No keys. NULL: out of memory. */
struct hubfile *hubfile_default(void);
void hubfile_free(struct hubfile *file);
/* Index of the group, or -ENOENT. */
int hubfile_group(const struct hubfile *file, const char *name);
/* The hash by which keys are compared, of a setup key in any form. Returns 0 or -EINVAL. */
int hubfile_key_hash(const char *setup_key, uint8_t ret_hash[static HUBFILE_HASH_LEN]);

#endif
