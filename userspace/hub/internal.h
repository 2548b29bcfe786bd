/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the hub share: its struct, its peers, its calls. */
#ifndef TALON_HUB_INTERNAL_H
#define TALON_HUB_INTERNAL_H

#include <stdio.h>

#include "base/cidr.h"
#include "base/endpoint.h"
#include "base/rate.h"
#include "base/server_url.h"
#include "crypto/key.h"
#include "grpc/grpc.h"
#include "hub/hub.h"
#include "hubfile/hubfile.h"
#include "hubmap/hubmap.h"
#include "hubrelay/hubrelay.h"
#include "hubstore/hubstore.h"
#include "log/log.h"
#include "management.pb-c.h"
#include "netbird/envelope.h"
#include "oidc/oidc.h"
#include "server/server.h"

#define HUB_FORWARDER_PORT	22054	/* of the DNS forwarder on routing peers; all clients know it */
#define HUB_CAPABILITY(number)	(1U << (number))

/* ---- how often a source may do something ---- */

#define HUB_SOURCE_SETS	512
#define HUB_SOURCE_WAYS	4
/* A bucket for each address of IPv4, each /64 of IPv6, and eight times as much for each /48. */
struct hub_sources {
	uint8_t seed[16];
	struct hub_source {
		uint64_t source;
		uint64_t bits;		/* of it that count; 0: nobody's */
		struct rate rate;
	} of[HUB_SOURCE_SETS][HUB_SOURCE_WAYS];
};
struct hub_pace {
	uint64_t each_ns;		/* one of burst comes back */
	unsigned int burst;
};
/* Takes one for @remote. False: none is left. */
bool hub_sources_take(struct hub_sources *sources, const struct endpoint *remote, uint64_t now_ns,
	const struct hub_pace *pace);
bool hub_sources_is_empty(struct hub_sources *sources, const struct endpoint *remote, uint64_t now_ns,
	const struct hub_pace *pace);

/* ---- peers ---- */

struct hub_peer;
struct hub_call;

struct hub_name {			/* of a peer, in the roster's chains */
	struct hub_name *next;
	struct hub_peer *peer;
	const char *text;		/* the peer's */
};

struct hub_peer {
	struct hubstore_peer kept;	/* hostname: the label that it got when it joined */
	struct hub_peer *next;		/* in the roster's chains, by key */
	struct hub_name name, hostname;
	size_t place;			/* in the roster's list */
	struct hub_call *sync, *signal;	/* newest stream of each; NULL: none */
	struct hub_peer *next_stale;	/* those whose map has to go out */
	struct rate rate;		/* of calls that cost something */
	const struct hubfile_peer *override;	/* of the file in force; NULL: none */
	uint64_t gone_ns;		/* loop's time when its last Sync ended, or the hub began */
	bool is_stale;			/* ... it is among them */
	bool is_expired;
	bool is_in_map;
};

struct hub_roster {
	uint8_t seed[16];
	struct hub_peer **of;		/* in no order */
	size_t count, room;
	struct hub_peer **by_key;	/* chains; a power of two of them */
	struct hub_name **by_name;
	size_t chains;
};

int hub_roster_init(struct hub_roster *roster);
void hub_roster_done(struct hub_roster *roster);
struct hub_peer *hub_roster_find(const struct hub_roster *roster, const uint8_t key[static KEY_LEN]);
/* By the name that it has, or had when it joined. */
struct hub_peer *hub_roster_find_name(const struct hub_roster *roster, const char *name);
/* Takes what @kept points to only on success. NULL: out of memory. */
struct hub_peer *hub_roster_add(struct hub_roster *roster, struct hubstore_peer *kept);
/* Out of the roster, and freed. */
void hub_roster_remove(struct hub_roster *roster, struct hub_peer *peer);
/* @name: from malloc(), taken. */
void hub_roster_rename(struct hub_roster *roster, struct hub_peer *peer, char *name);

void hub_kept_done(struct hubstore_peer *kept);
/* Copies of all texts. Returns 0 or -ENOMEM. */
int hub_kept_copy(const struct hubstore_peer *from, struct hubstore_peer *ret_kept);

/* ---- settings ---- */

struct hub_settings {
	struct endpoint listen, stun, page;	/* family 0: off */
	struct server_url public_url;
	char data_dir[256];
	const char *certificate, *key;		/* NULL: cleartext */
	const char *master_key_file;		/* NULL: in data_dir */
};

/* @file's words where @options are silent. Returns 0, or -EINVAL with the option's name in @why. */
int hub_settings_make(const struct hub_options *options, const struct hubfile *file,
	struct hub_settings *ret_settings, char why[static HUB_WHY_LEN]);
/* The key that seals secrets in the store, made at the first start. */
int hub_master_read(const struct hub_settings *settings, uint8_t ret_master[static HUBSTORE_MASTER_LEN],
	char why[static HUB_WHY_LEN]);
/* The file, or what counts without one. All its faults are logged but the first, which is in @why. */
int hub_file_read(const char *path, struct hubfile **ret_file, char why[static HUB_WHY_LEN]);

/* ---- counts: X(member, name of the metric, its labels, help) ---- */

#define HUB_COUNTS(X)										\
	X(joins_key, "joins", "result=\"key\"", "Peers that asked to join, by what came of it")	\
	X(joins_sign_in, "joins", "result=\"sign_in\"", "")					\
	X(joins_key_refused, "joins", "result=\"key_refused\"", "")				\
	X(joins_token_refused, "joins", "result=\"token_refused\"", "")				\
	X(joins_no_method, "joins", "result=\"no_key\"", "")					\
	X(joins_limited, "joins", "result=\"limited\"", "")					\
	X(joins_failed, "joins", "result=\"failed\"", "")					\
	X(logins, "logins", "result=\"ok\"", "Logins of peers that are known")			\
	X(logins_expired, "logins", "result=\"expired\"", "")					\
	X(logins_blocked, "logins", "result=\"blocked\"", "")					\
	X(maps_pushed, "maps_pushed", "", "Network maps sent")					\
	X(maps_put_off, "maps_put_off", "", "Network maps that waited for a slow reader")	\
	X(tokens_pushed, "tokens_pushed", "", "Relay tokens renewed on open streams")		\
	X(signal_passed, "signal_messages", "result=\"passed\"", "Messages from peer to peer")	\
	X(signal_away, "signal_messages", "result=\"away\"", "")				\
	X(signal_denied, "signal_messages", "result=\"denied\"", "")				\
	X(signal_slow, "signal_messages", "result=\"slow\"", "")				\
	X(signal_limited, "signal_messages", "result=\"limited\"", "")				\
	X(boxes_refused, "requests_refused", "reason=\"box\"", "Requests that were not served")	\
	X(malformed, "requests_refused", "reason=\"malformed\"", "")				\
	X(unknown_peer, "requests_refused", "reason=\"unknown_peer\"", "")			\
	X(rate_limited, "requests_refused", "reason=\"rate\"", "")				\
	X(store_failed, "store_failed", "", "Changes that the store could not keep")		\
	X(ephemeral_removed, "peers_removed", "reason=\"ephemeral\"", "Peers removed")		\
	X(logged_out, "peers_removed", "reason=\"logout\"", "")					\
	X(removed, "peers_removed", "reason=\"command\"", "")

struct hub_counts {
#define HUB_COUNT_MEMBER(member, name, labels, help) uint64_t member;
	HUB_COUNTS(HUB_COUNT_MEMBER)
#undef HUB_COUNT_MEMBER
};

/* ---- the hub ---- */

struct hub_waves {			/* of changes on their way to peers */
	struct loop_timer timer;
	struct hub_peer *stale;		/* last come, first served */
	bool is_due;			/* marked ones have not been asked for yet */
};

struct hub {
	struct loop *loop;
	struct hub_options options;
	struct hub_settings settings;
	struct hubfile *file;
	struct hubstore *store;
	struct hubmap *map;
	struct hubrelay *relay;
	struct hubstun *stun;
	struct oidc *oidc;
	struct server *server, *page;
	struct control *control;
	struct hub_roster roster;
	struct secret_key box;
	uint8_t box_public[KEY_LEN];
	uint8_t relay_secret[HUBRELAY_SECRET_LEN];
	char relay_url[SERVER_URL_LEN], signal_at[HOST_PORT_LEN], stun_url[SERVER_URL_LEN];
	struct cidr network, network6;	/* of the overlay; network6.family 0: no IPv6 */
	uint8_t *taken;			/* a bit for each IPv4 address of the network */
	uint64_t serial, serial_kept;	/* in use, and what the store has: never less than the first */
	struct hub_waves waves;
	struct loop_timer housekeeping;
	struct hub_sources failures, joins, senders;
	struct log_limit log_refused, log_store, log_signal;
	struct hub_counts counts;
	size_t syncs, signals;		/* streams that are open */
	char *first_key;
	char *page_text;			/* that was answered last */
	uint64_t started_ns;
	bool is_ending;
};

uint64_t hub_unix_s(void);
/* Something changed that maps show: who is touched hears of it soon. */
void hub_changed(struct hub *hub);
/* What is known of @peer goes to the map, as the file in force has it. */
int hub_put(struct hub *hub, struct hub_peer *peer);
/* @peer as it is now goes to the store; a failure is counted and logged. Returns 0 or a negative errno. */
int hub_keep(struct hub *hub, const struct hub_peer *peer);
/*
 * Removes it everywhere; its streams end as the protocol wants it. Returns 0 or a negative errno: it stays.
 */
int hub_remove(struct hub *hub, struct hub_peer *peer);
/* Name, address and groups that the file gives @peer over its own, after a change of the file. */
void hub_override(struct hub *hub, struct hub_peer *peer);
bool hub_peer_is_blocked(const struct hub_peer *peer);
/* The file blocks whoever has @key, also before it ever joined. */
bool hub_key_is_blocked(const struct hub *hub, const uint8_t key[static KEY_LEN]);

/* Addresses: -EADDRNOTAVAIL if there is none left. */
int hub_addresses_init(struct hub *hub, char why[static HUB_WHY_LEN]);
void hub_address_take(struct hub *hub, __be32 address, bool is_taken);
bool hub_address_is_free(const struct hub *hub, __be32 address);
/* What the file gives this peer, if it is free; else any that the file gives nobody. */
int hub_address_pick(struct hub *hub, const uint8_t key[static KEY_LEN], const char *hostname,
	__be32 *ret_address);
/* Zero if the mesh has no IPv6. */
void hub_address6_pick(const struct hub *hub, const uint8_t key[static KEY_LEN],
	struct talon_addr *ret_address);

#define HUB_LABEL_MAX	63
/*
 * The DNS label of a host's name (RFC 1035 section 2.3.1): its first part, in lower case, at most 59
 * characters.
 */
void hub_label_make(const char *hostname, char ret_label[static HUB_LABEL_MAX + 1]);
/* A label that no other peer has or had: @hostname's, or with the end of the address behind it. */
void hub_label_pick(const struct hub *hub, const char *hostname, __be32 address, bool with_address,
	char ret_label[static HUB_LABEL_MAX + 1]);

/* ---- calls of management ---- */

enum hub_method { HUB_SERVER_KEY, HUB_HEALTHY, HUB_LOGIN, HUB_SYNC, HUB_SYNC_META, HUB_LOGOUT, HUB_JOB,
	HUB_DEVICE_FLOW, HUB_PKCE_FLOW, HUB_EXTEND, HUB_SEND, HUB_CONNECT_STREAM };

struct hub_call {
	struct hub *hub;
	struct server_call *call;
	enum hub_method method;
	bool has_pair;			/* its request was opened */
	bool is_over;			/* it has its trailers, or will get them without us */
	struct envelope_pair pair;
	struct hub_peer *peer;		/* of a stream that is the newest of its peer's */
	struct oidc_check *check;
	Management__LoginRequest *login;	/* while a token is checked */
	Management__ExtendAuthSessionRequest *extend;
	uint64_t token_ns, token_s;	/* when the relay's token was sent last: loop's time, Unix */
	bool is_behind;			/* a newer map waits until this one has gone out */
};

bool hub_take_call(struct hub *hub, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx);
/* Trailers; @call may be gone when it returns. */
void hub_call_end(struct hub_call *call, int status, const char *text);
/* Seals and sends @plain. Returns 0 or a negative errno. */
int hub_call_send(struct hub_call *call, const void *plain, size_t len);
/* The same as the only answer; the call is over. */
void hub_call_answer(struct hub_call *call, const void *plain, size_t len);
void hub_call_answer_message(struct hub_call *call, const ProtobufCMessage *message);

/* ---- each part's entries ---- */

void hub_login(struct hub_call *call, const uint8_t *plain, size_t len);
/*
 * What a peer says of itself; @keys NULL: nothing. True if something changed, which was kept and goes to
 * others.
 */
bool hub_take_meta(struct hub *hub, struct hub_peer *peer, const Management__PeerSystemMeta *meta,
	const Management__PeerKeys *keys);
/* Joins with what @hash or @user vouches for. Returns 0 with the peer, or a negative errno. */
struct hub_joining {
	const Management__LoginRequest *request;
	const uint8_t *key;		/* of WireGuard */
	const uint8_t *hash;		/* of the setup key; NULL: by sign-in */
	uint32_t uses_max;
	bool is_ephemeral;
	const char *setup_key, *user;	/* "": none */
	char **groups;			/* copied */
	size_t group_count;
};
int hub_join(struct hub *hub, const struct hub_joining *joining, struct hub_peer **ret_peer);
void hub_login_answer(struct hub_call *call, struct hub_peer *peer);
/* A join or login that failed counts against where it came from. */
void hub_login_failed(struct hub_call *call);
bool hub_login_is_limited(struct hub_call *call);
/* @peer has had its share of what costs a write to the disk: Login, SyncMeta. The call is ended then. */
bool hub_peer_is_limited(struct hub_call *call, struct hub_peer *peer);

void hub_sign_in(struct hub_call *call, struct hub_peer *peer);
void hub_sign_in_drop(struct hub_call *call);
void hub_extend(struct hub_call *call, const uint8_t *plain, size_t len);
void hub_flow(struct hub_call *call);
/* Begins, changes or ends use of the issuer that the file names. */
int hub_sign_in_use(struct hub *hub, const struct hubfile *file, char why[static HUB_WHY_LEN]);
/* When the login of @peer ends, Unix seconds; 0: never. */
uint64_t hub_login_ends(const struct hub *hub, const struct hub_peer *peer);

void hub_sync(struct hub_call *call, const uint8_t *plain, size_t len);
void hub_sync_drained(struct hub_call *call);
void hub_sync_closed(struct hub_call *call);
/* The stream of @peer ends with OK; @is_removed: after an empty map. */
void hub_sync_end(struct hub *hub, struct hub_peer *peer, bool is_removed);
void hub_waves_init(struct hub *hub);
void hub_waves_forget(struct hub *hub, struct hub_peer *peer);
void hub_sync_renew_token(struct hub_call *call);

void hub_signal_connect(struct hub_call *call, const struct server_request *request);
void hub_signal_send(struct hub_call *call, const uint8_t *bytes, size_t len);
void hub_signal_closed(struct hub_call *call);
void hub_signal_end(struct hub *hub, struct hub_peer *peer, int status, const char *text);

/* Answers; each is from malloc() and holds secrets: envelope_free(). Returns 0 or -ENOMEM. */
int hub_pack_login(struct hub *hub, struct hub_peer *peer, uint8_t **ret_bytes, size_t *ret_len);
int hub_pack_sync(struct hub *hub, struct hub_peer *peer, bool is_first, uint8_t **ret_bytes,
	size_t *ret_len);
int hub_pack_token(struct hub *hub, struct hub_peer *peer, uint8_t **ret_bytes, size_t *ret_len);
int hub_pack_farewell(struct hub *hub, uint8_t **ret_bytes, size_t *ret_len);

/* "connected", "away" ..., for people. */
const char *hub_peer_state(const struct hub_peer *peer);
struct json_t;
/* What a command asks: writes the result as JSON and returns 0, or a negative errno with one line in @err. */
int hub_asked(struct hub *hub, const struct json_t *request, FILE *out, char *err, size_t size);

void hub_page(void *ctx, const struct server_request *request, struct server_answer *ret_answer);
void hub_print_metrics(const struct hub *hub, FILE *out);

#endif
