/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration: defaults, static file, environment and command line, parsed and validated into one
 * struct. Except for config_resolve(), nothing here inspects the host; preflight/preflight.h does.
 *
 * Every function that can fail writes one line into @why: the place (FILE:LINE, --flag or VARIABLE), the
 * field, the problem and the accepted form. A secret is never quoted.
 */
#ifndef TALON_CONFIG_H
#define TALON_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cidr.h"
#include "base/server_url.h"
#include "config/ini.h"
#include "log/log.h"
#include "talon/config_types.h"
#include "talon/nat_types.h"
#include "talon/peer_types.h"

#define CONFIG_WHY_LEN		512
#define CONFIG_OPTIONS_MAX	48
#define CONFIG_MESH_OPTIONS_MAX	64
#define CONFIG_PIN_DIR_LEN	200
#define CONFIG_FILE_MAX		(16U << 20)	/* bytes of a static file */

#define CONFIG_LISTEN_PORT	51820
#define CONFIG_MTU		1280
#define CONFIG_MTU_MIN		576
/* the largest packet that the datapath encrypts, decrypts and queues */
#define CONFIG_MTU_MAX		1600
#define CONFIG_TUNNEL		"wt0"
#define CONFIG_PIN_DIR		"/sys/fs/bpf/talon"
#define CONFIG_NODE_PORT_FIRST	12288		/* below Calico's, NodePort's and Cilium's ranges */
#define CONFIG_NODE_PORT_LAST	19999
#define CONFIG_OWN_PORT_FIRST	1024
#define CONFIG_OWN_PORT_LAST	65535
#define CONFIG_MAX_PEERS	1024
#define CONFIG_MESH_MAX_PEERS	2048		/* in a mesh, which grows by itself */
#define CONFIG_MAX_PEERS_LIMIT	65536
_Static_assert(CONFIG_MAX_PEERS_LIMIT - 1 <= UINT16_MAX, "talon_flow.payer holds any peer");
#define CONFIG_MAX_FLOWS	262144
#define CONFIG_MAX_FLOWS_MIN	1024
#define CONFIG_MAX_FLOWS_LIMIT	TALON_FLOWS_MAX
#define CONFIG_KEYSTREAM_MEMORY	32		/* MiB */
#define CONFIG_KEYSTREAM_MEMORY_MAX 1024
#define CONFIG_LOG_MAX_SIZE	15		/* MiB, as NetBird's client */
#define CONFIG_METRICS		"127.0.0.1:9567"
#define CONFIG_METRICS_PORT	9567
#define CONFIG_METRICS_PEERS_MOST 1000
/* libxdp's default; always passed on, so that the datapath's own default does not apply */
#define CONFIG_XDP_PRIORITY	50

enum config_source {			/* a later one wins */
	CONFIG_FROM_DEFAULT,
	CONFIG_FROM_FILE,
	CONFIG_FROM_ENVIRONMENT,
	CONFIG_FROM_FLAG,
	/* NB_* in a mesh: they win over flags, as in NetBird's client */
	CONFIG_FROM_NETBIRD,
};

enum config_datapath {
	CONFIG_DATAPATH_AUTO,
	CONFIG_DATAPATH_XDP,
	CONFIG_DATAPATH_XDP_GENERIC,
	CONFIG_DATAPATH_TCX,
	CONFIG_DATAPATH_CLSACT,
};

enum config_dispatcher {
	CONFIG_DISPATCHER_AUTO,
	CONFIG_DISPATCHER_ALWAYS,
	CONFIG_DISPATCHER_NEVER,
};

enum config_hand_up {
	CONFIG_HAND_UP_AUTO,
	CONFIG_HAND_UP_PASS,		/* XDP_PASS */
	CONFIG_HAND_UP_TUNNEL,		/* through the tunnel device, our veth */
};

enum config_uplink_threads {
	CONFIG_UPLINK_THREADS_AUTO,	/* on for a veth, whose sender would do our work otherwise */
	CONFIG_UPLINK_THREADS_ON,
	CONFIG_UPLINK_THREADS_OFF,
};

enum config_vip_source {
	CONFIG_VIP_OFF,
	CONFIG_VIP_AUTO,		/* whichever of these has an object for the service */
	CONFIG_VIP_CILIUM,		/* Leases of L2 announcements */
	CONFIG_VIP_METALLB,		/* ServiceL2Status */
	CONFIG_VIP_KUBE_VIP,		/* Leases, and an annotation of services */
	CONFIG_VIP_ARP,			/* whoever answers for them on the LAN */
};

struct config_route {
	struct cidr dst;		/* AF_INET */
	bool masquerade;
};

struct config_endpoint {
	__u8 family;			/* AF_INET, AF_INET6; 0: none, or @host is not resolved */
	__be16 port;
	struct talon_addr addr;
	char zone[IF_NAMESIZE];		/* device of a link-local address; else empty */
	char *host;			/* the name, or NULL for an address */
};

struct config_peer {
	char name[40];			/* for display; may be empty */
	__u8 public_key[WG_KEY_LEN];
	__u8 preshared_key[WG_KEY_LEN];	/* zeros: none (the handshake then uses the zeros) */
	bool has_preshared_key;
	__u16 keepalive_s;		/* 0: off */
	struct config_endpoint endpoint;
	struct cidr *allowed;		/* each network once among all peers */
	size_t allowed_count;
	unsigned int line;		/* of its [Peer] */
	/* a reload gave it another endpoint, which wins over where it was seen */
	bool is_moved;
};

/* Where metrics and health are served. */
struct config_metrics {
	__u8 family;			/* AF_INET, AF_INET6, AF_UNIX; 0: nowhere */
	bool is_given;			/* not the default, which may be missed: somebody relies on it */
	__be16 port;
	struct talon_addr addr;		/* may be the wildcard */
	char path[108];			/* of a Unix socket, absolute */
	__u32 peers;			/* that have series of their own */
	bool aliases;			/* names of other exporters, too */
};

/* The source of an option, for precedence and error lines. */
struct config_origin {
	enum config_source source;
	const char *name;		/* of the flag or variable; borrowed */
	unsigned int line;		/* in the static file */
};

/* A warning or remark on an accepted configuration, for the caller to log. */
struct config_note {
	enum log_level level;
	char *text;
};

#define CONFIG_MANAGEMENT_URL	"https://api.netbird.io:443"
#define CONFIG_STATE_DIR	"/var/lib/netbird"
#define CONFIG_CONTROL_SOCKET	"/var/run/talon.sock"
#define CONFIG_DNS_LABELS_MAX	32
#define CONFIG_HOME_RELAYS_MAX	16

/* Options that were given; they win over the identity file. Others keep the file's value. */
enum config_mesh_given {
	CONFIG_GIVEN_PORT = 1 << 0,			/* config.listen_port */
	CONFIG_GIVEN_MTU = 1 << 1,			/* config.mtu */
	CONFIG_GIVEN_TUNNEL = 1 << 2,			/* config.tunnel */
	CONFIG_GIVEN_CLIENT_ROUTES = 1 << 3,		/* config.mesh.disable_client_routes, and so on */
	CONFIG_GIVEN_SERVER_ROUTES = 1 << 4,
	CONFIG_GIVEN_FIREWALL = 1 << 5,
	CONFIG_GIVEN_LAN_ACCESS = 1 << 6,
	CONFIG_GIVEN_INBOUND = 1 << 7,
	CONFIG_GIVEN_IPV6 = 1 << 8,
	CONFIG_GIVEN_DNS_LABELS = 1 << 9,
	CONFIG_GIVEN_LAZY_CONN = 1 << 10,
	CONFIG_GIVEN_ROSENPASS = 1 << 11,		/* always false then */
};

/* At SIGTERM; `down` tells the peers in any case. */
enum config_on_stop {
	CONFIG_ON_STOP_QUIET,		/* nobody for a few seconds, in which another process may take over */
	CONFIG_ON_STOP_TELL,		/* the relays, and by them all peers, that we leave */
};

/*
 * Joining a NetBird mesh: `talon up` without a static file. Names and defaults are those of NetBird's client
 * where it has them.
 */
struct config_mesh {
	bool enabled;
	char *management_url;		/* NULL: from the identity file, else https://api.netbird.io:443 */
	char *setup_key;		/* NULL: none; wiped by config_free() */
	char *hostname;			/* NULL: the host's */
	char *state_dir;		/* "/var/lib/netbird" */
	char *identity_path;		/* STATE_DIR/default.json */
	char *control_socket;		/* path of the control socket */
	char *preshared_key;		/* base64; NULL: none */
	bool disable_client_routes, disable_server_routes, disable_firewall, block_lan_access, block_inbound;
	bool force_relay;
	struct server_url *home_relays;	/* instead of management's; none: management's */
	size_t home_relay_count;
	bool disable_networks;		/* the selection of networks is closed to commands */
	bool disable_ipv6;		/* no IPv6 inside the mesh */
	bool anonymize;			/* what status shows */
	char anonymize_level[8];	/* "default", "strict"; "": not given. It implies @anonymize */
	bool lazy_conn;			/* if given, overrides the account's setting in both directions */
	bool foreground;		/* serve in this process even if a daemon runs */
	bool qr;			/* the page where a person signs in is drawn as a QR code too */
	char **dns_labels;
	size_t dns_label_count;
	uint16_t dns_forwarder_port;	/* host order; 0: the port that management announces */
	/* not a cluster node: installs received routes, serves none */
	bool agent;
	enum config_on_stop on_stop;
	/* `service run`: without identity and setup key, waits for `up` instead of ending */
	bool is_service;
	/* where debug bundles that management asks for are uploaded; NULL: nowhere, they are declined */
	char *debug_upload_url;
	unsigned int given;		/* enum config_mesh_given */
};

struct config {
	__u8 private_key[WG_KEY_LEN];
	__u8 public_key[WG_KEY_LEN];	/* belongs to private_key */
	__u16 listen_port;		/* host order */
	__u16 mtu;			/* largest inner packet */
	struct cidr *addresses;		/* of Address, both families, host bits kept */
	size_t address_count;
	__be32 mesh_addr;		/* the first IPv4 address; 0: none */
	__be32 mesh_mask;
	struct talon_addr mesh_addr6;	/* the first IPv6 address; zero: none, and the tunnel carries IPv4 */
	__u8 mesh_len6;
	bool host_address;		/* put these on the tunnel device */
	char tunnel[IF_NAMESIZE];

	char uplinks[TALON_UPLINKS_MAX][IF_NAMESIZE];
	size_t uplink_count;		/* 0: the device with the default route */
	struct config_route *routes;	/* each network once */
	size_t route_count;
	struct cidr *local;		/* AF_INET; destinations served by this host */
	size_t local_count;
	enum config_vip_source vip_source;
	char vip_namespace[64];		/* "": the source's usual one */
	char node_name[64];		/* "": the name in the mesh, or the host's */
	char kube_api[200];		/* "": of the environment */
	char kube_dir[200];		/* "": the pod's ServiceAccount */

	__be32 snat_addr;		/* 0: the node's own address */
	__u16 port_first;		/* SNAT ports, both ends included, host order */
	__u16 port_last;

	enum config_datapath datapath;
	enum config_dispatcher dispatcher;
	unsigned int xdp_priority;	/* in libxdp's dispatcher; lower runs earlier */
	enum config_hand_up hand_up;
	enum config_uplink_threads uplink_threads;

	__u32 max_peers;
	__u32 max_flows;		/* records, one of which is never used */
	__u32 keystream_memory;		/* MiB for keystream made ahead; 0: none */
	bool capture;			/* root may capture a peer's decrypted packets */

	struct config_metrics metrics;
	char pin_dir[CONFIG_PIN_DIR_LEN];
	bool take_over;			/* from a controller that runs on these pins */
	enum log_level log_level;
	bool log_json;
	__u32 log_max_size;		/* MiB of a file; 0: any */
	bool log_any_size;		/* whatever log_max_size says */
	char log_file[LOG_TARGETS_LEN];	/* as log_set_targets() takes it; "": the console */

	struct config_peer *peers;
	size_t peer_count;
	struct config_mesh mesh;

	struct config_note *notes;
	size_t note_count;
	/* keys of wg-quick that were given and have no effect: bits by enum ignored */
	__u32 ignored;
	struct config_origin origins[CONFIG_OPTIONS_MAX];
	struct config_origin mesh_origins[CONFIG_MESH_OPTIONS_MAX];
	/* of the values as they were given, for a reload; 0: not given */
	__u64 mesh_digests[CONFIG_MESH_OPTIONS_MAX];
	char *setup_key_file;		/* read by config_finish() */
};

/* One option of [Interface]. */
struct config_option {
	const char *key;		/* in [Interface]; NULL: not in a file */
	const char *flag;		/* --FLAG VALUE of `talon up`; NULL: none */
	const char *env;		/* TALON_...; NULL: none */
	/* NB_* with the same meaning, read if @env is not set; or NULL */
	const char *netbird_env;
	const char *form;		/* the accepted form, as error lines say it */
	/* for the completion: words, <file>, <directory>, <device>; or NULL */
	const char *values;
	const char *help;
};

/* All of them; an entry without key and flag ends them. */
const struct config_option *config_options(void);

/* One option of a mesh. Its variable is NB_ and the flag in upper case, with '_' for '-'. */
struct config_mesh_option {
	const char *flag;
	/* another variable, read as well (of --agent: instead); or NULL */
	const char *env;
	const char *argument;		/* its name in the manual; NULL: a switch, which needs no value */
	const char *form;		/* the accepted form, as error lines say it */
	const char *values;		/* as above */
	const char *help;		/* NULL: accepted without effect, see @no_effect */
	const char *no_effect;		/* why it has no effect, for the log; NULL: not logged */
	char letter;			/* -L means the same; or 0 */
};

/* All of them; an entry without flag ends them. */
const struct config_mesh_option *config_mesh_options(void);

/* Whether config_set_flag() knows @flag, a name or a letter. */
bool config_has_flag(const char *flag);
bool config_flag_is_switch(const char *flag);
/* The first option of a mesh that the command line gave, or NULL. */
const char *config_mesh_flag_given(const struct config *config);

/* Sets the defaults; allocates nothing. */
void config_init(struct config *config);
/* Frees what config holds and wipes all of it. */
void config_free(struct config *config);

/*
 * Sets what @flag (without dashes) names, from the command line.
 * Returns 0; -ENOENT: unknown flag; -EINVAL with @why; -ENOMEM.
 */
int config_set_flag(struct config *config, const char *flag, const char *value, char *why, size_t size);
/*
 * Makes @config that of a mesh: NB_* win over flags. TALON_* still lose against flags; where a setting's
 * TALON_* is set, its NB_* is not read. Call it before any source is read. config_finish() then ignores
 * its @name.
 */
void config_use_mesh(struct config *config);
/*
 * Reads TALON_* and NB_* of @env ("NAME=value", NULL at the end). Empty variables count as unset. In a mesh,
 * notes unknown NB_* and those without effect.
 */
int config_read_env(struct config *config, char *const *env, char *why, size_t size);
/* Reads a static file from memory; error lines call it @name. Returns 0, -EINVAL with @why, -ENOMEM. */
int config_read_text(struct config *config, const char *name, const char *text, size_t len, char *why,
	size_t size);
/*
 * Reads a static file. A private key that others can read is a warning. Returns 0 or negative
 * errno with @why.
 */
int config_read_file(struct config *config, const char *path, char *why, size_t size);
/*
 * Checks the configuration as a whole, derives the public key, mesh address and port range, and drops entries
 * that later ones replace. @name is the static file's, for error lines. Call it once, after every source.
 */
int config_finish(struct config *config, const char *name, char *why, size_t size);

/*
 * For a reload, with @fresh made as @now was. A setup key is needed at most once: @fresh is finished without.
 */
void config_forget_setup_key(struct config *fresh);
/*
 * Writes the names of settings that differ but only take effect at the next start, with commas. Returns their
 * number.
 */
size_t config_list_fixed(const struct config *now, const struct config *fresh, char *names, size_t size);
/*
 * Writes a line for each other thing that differs, with a newline; "" if nothing does. Returns 0 or -ENOMEM.
 */
int config_tell_changes(const struct config *now, const struct config *fresh, char *lines, size_t size);
/* Gives @now what can change while it runs: swaps peers and routes, copies the rest. */
void config_take_changes(struct config *now, struct config *fresh);

/*
 * Parses "https://HOST[:PORT][/...]" (http:// too) to the form of config_mesh.management_url: with a port,
 * without a path. The caller frees @ret_url. Returns 0, -EINVAL with one line in @why, -ENOMEM.
 */
int config_parse_management_url(const char *text, char **ret_url, char *why, size_t size);
/* Whether traffic to @url is unencrypted on a network: http:// to a host other than this one. */
bool config_is_cleartext_url(const char *url);

/*
 * Writes the settings, and the log's level, as one JSON object without line breaks; secrets are hidden.
 */
void config_show(const struct config *config, FILE *out);

/*
 * Resolves the names of endpoints; the only function here that may block. A name that cannot be resolved
 * leaves endpoint.family 0 and adds a warning. Returns the number of unresolved names, or -ENOMEM.
 */
int config_resolve(struct config *config);

#endif
