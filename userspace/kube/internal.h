/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of this room. */
#ifndef TALON_KUBE_INTERNAL_H
#define TALON_KUBE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"
#include "config/config.h"
#include "loop/loop.h"
#include "talon/types.h"
#include "talon/vip_types.h"

#define KUBE_LINE_MAX		(8U << 20)	/* bytes of a page of a list, or of an event */
#define KUBE_PAGE		"200"		/* objects of a page */
#define KUBE_OBJECTS_MAX	16384		/* of a kind; more are left out */
#define KUBE_ADDRESSES_MAX	8		/* of a service; more are left out */
#define KUBE_NAME_LEN		254
#define KUBE_VERSION_LEN	64
#define KUBE_CONTINUE_LEN	2048
#define KUBE_WHY_LEN		224

/* --- lines.c: a body that comes in pieces --- */

struct kube_lines {
	char *bytes;
	size_t len, room;
};

/* Returns 0 or a negative errno, which ends the body. */
typedef int (*kube_line_fn)(void *ctx, const char *line, size_t len);
/* Calls @fn for each line that is complete now. Returns 0, -EMSGSIZE, -ENOMEM, or what @fn returned. */
int kube_lines_feed(struct kube_lines *lines, const char *bytes, size_t len, kube_line_fn fn, void *ctx);
/* The body is over: the rest is a line, too. */
int kube_lines_end(struct kube_lines *lines, kube_line_fn fn, void *ctx);
void kube_lines_done(struct kube_lines *lines);

/* --- objects.c: what of the objects matters --- */

enum kube_kind { KUBE_SERVICES, KUBE_LEASES, KUBE_L2_STATUSES, KUBE_KINDS };

struct kube_object {
	char namespace[KUBE_NAME_LEN], name[KUBE_NAME_LEN];
	/*
	 * the Lease's holder, the status's node, or the service's annotation kube-vip.io/vipHost; "": nobody
	 */
	char holder[TALON_VIP_HOLDER_LEN];
	/* of a status: the service that it is about */
	char service_namespace[KUBE_NAME_LEN], service[KUBE_NAME_LEN];
	struct talon_addr addresses[KUBE_ADDRESSES_MAX];	/* of a service */
	size_t address_count;
	bool is_seen;			/* by the list under way */
};

struct kube_objects {
	struct kube_object *list;
	size_t count, room;
};

struct kube_page {
	char version[KUBE_VERSION_LEN];		/* resourceVersion; "": none was named */
	char more[KUBE_CONTINUE_LEN];		/* token of the next page; "": this is the last */
};

/*
 * Takes a page of a list into @objects. Returns 0, -ENOMEM, or -EBADMSG for what is no list. Objects without
 * a name are left out.
 */
int kube_read_page(enum kube_kind kind, const char *text, size_t len, struct kube_objects *objects,
	struct kube_page *ret_page);
/*
 * Takes an event of a watch. Returns 0, -ENOMEM, -ESTALE if the watch has to begin with a new list, or
 * -EBADMSG. @version: the last resourceVersion, written if there is a new one.
 */
int kube_read_event(enum kube_kind kind, const char *text, size_t len, struct kube_objects *objects,
	char version[static KUBE_VERSION_LEN]);
void kube_objects_begin(struct kube_objects *objects);
/* What the list did not name is gone. */
void kube_objects_sweep(struct kube_objects *objects);
void kube_objects_done(struct kube_objects *objects);

/* --- holders.c: who has which address --- */

struct kube_vip {
	struct talon_addr address;
	char holder[TALON_VIP_HOLDER_LEN];
	char service[TALON_VIP_HOLDER_LEN];
	bool is_here;
};

/*
 * Writes at most @room of them, each address once, and returns their number. @source says whose objects are
 * believed. @node: the name of this one.
 */
size_t kube_list_vips(enum config_vip_source source, const char *node,
	const struct kube_objects objects[static KUBE_KINDS], struct kube_vip *list, size_t room);
struct kube_arp;
/*
 * The same by the LAN: addresses of @services that somebody was found for. Another holder's name is its MAC.
 */
size_t kube_list_vips_by_arp(const struct kube_arp *arp, const char *node,
	const struct kube_objects *services, struct kube_vip *list, size_t room);
/* Their IPv4 addresses, each once, at most @room. */
size_t kube_list_addresses(const struct kube_objects *services, __be32 *list, size_t room);

/* --- arp.c: who answers for an address on the LAN (RFC 826) --- */

#define KUBE_ARP_LEN	28		/* bytes of a message for Ethernet and IPv4 */

struct kube_arp_message {
	__be32 sender, target;
	uint8_t mac[6];			/* the sender's */
};

/* False: no request or reply for Ethernet and IPv4, or one whose sender has no address of its own. */
bool kube_arp_read(const uint8_t *bytes, size_t len, struct kube_arp_message *ret_message);
void kube_arp_write_request(uint8_t bytes[static KUBE_ARP_LEN], const uint8_t mac[static 6], __be32 own,
	__be32 target);

/* Where an address is on link. */
struct kube_arp_link {
	int ifindex;
	uint8_t mac[6];			/* ours there */
	__be32 own;			/* our address there */
	bool is_own;			/* the address is one of this host's */
};

struct kube_arp_ops {
	/* Returns 0, or a negative errno where @addr is not on any link. */
	int (*find)(void *ctx, __be32 addr, struct kube_arp_link *ret_link);
	/* @to: a MAC; NULL: all hosts */
	void (*ask)(void *ctx, const struct kube_arp_link *link, const uint8_t *to, __be32 addr);
	void (*changed)(void *ctx);	/* the holder of one or more addresses */
};

struct kube_arp;
enum kube_arp_state {
	KUBE_ARP_UNKNOWN,		/* not on link, or asked for just now */
	KUBE_ARP_HERE,			/* nobody else answers */
	KUBE_ARP_ELSEWHERE,
};

/* Returns 0 or -ENOMEM. The ops are copied. */
int kube_arp_new(struct loop *loop, const struct kube_arp_ops *ops, void *ctx, struct kube_arp **ret_arp);
void kube_arp_free(struct kube_arp *arp);	/* NULL is allowed */
/*
 * The IPv4 addresses to ask for, network order, each once; what is known of those that stay, stays. Returns 0
 * or -ENOMEM.
 */
int kube_arp_set(struct kube_arp *arp, const __be32 *list, size_t count);
/* A message came by @ifindex. */
void kube_arp_hear(struct kube_arp *arp, int ifindex, const struct kube_arp_message *message);
/* @ret_mac: of the holder, if that is elsewhere. */
enum kube_arp_state kube_arp_holder(const struct kube_arp *arp, __be32 addr, uint8_t ret_mac[static 6]);

/* --- arp_socket.c: the same on this host's links --- */

struct kube_arp_socket;

/*
 * @changed as above. Returns 0, or a negative errno with one line in @why: CAP_NET_RAW is needed. The socket
 * has its struct kube_arp.
 */
int kube_arp_open(struct loop *loop, void (*changed)(void *ctx), void *ctx,
	struct kube_arp_socket **ret_socket, char *why, size_t size);
struct kube_arp *kube_arp_of(struct kube_arp_socket *socket);
void kube_arp_close(struct kube_arp_socket *socket);	/* NULL is allowed */

/* --- api.c: requests to the API server --- */

struct kube_api;
struct kube_request;

struct kube_answer {
	long status;			/* of HTTP; 0: there was no answer */
	const char *why;		/* then: one line */
};

struct kube_events {
	/* The server said 200, and goes on. */
	void (*opened)(void *ctx);
	int (*line)(void *ctx, const char *line, size_t len);
	/* Once, at the end; the request is gone. @error: 0, or what line() or the limits returned. */
	void (*done)(void *ctx, const struct kube_answer *answer, int error);
};

/*
 * @url: "https://HOST:PORT"; @dir holds ca.crt and token, which are read anew for each request. Returns 0 or
 * a negative errno with one line in @why.
 */
int kube_api_new(struct loop *loop, const char *url, const char *dir, struct kube_api **ret_api, char *why,
	size_t size);
void kube_api_free(struct kube_api *api);
/* @timeout_s: for all of it. Never calls back before it returned. Returns 0 or a negative errno with @why. */
int kube_api_get(struct kube_api *api, const char *path, unsigned int timeout_s,
	const struct kube_events *events, void *ctx, struct kube_request **ret_request, char *why,
	size_t size);
/* No callback comes after it. */
void kube_request_cancel(struct kube_request *request);

/* --- watch.c: a list, then what changes --- */

struct kube_watch {
	struct kube_api *api;
	struct loop *loop;
	enum kube_kind kind;
	char path[320];			/* without a query */
	bool may_lack;			/* a cluster that does not serve the kind has no objects of it */
	void (*changed)(void *ctx);	/* objects, or whether it is synced */
	void *ctx;
	struct kube_objects objects;
	struct kube_request *request;
	struct loop_timer again;
	struct backoff backoff;
	uint64_t began_ns;		/* the request under way */
	bool is_watching;		/* what is under way, or comes next */
	bool is_synced;			/* a list was complete, and the watch is not in trouble */
	bool has_listed;
	bool is_bare;			/* the server knows no selector of services by their type */
	int trouble;
	char version[KUBE_VERSION_LEN], more[KUBE_CONTINUE_LEN];
	char why[KUBE_WHY_LEN];		/* why it is not synced */
	uint64_t errors, restarts;	/* failed requests; lists after the first */
};

/* The fields up to ctx are set. */
void kube_watch_start(struct kube_watch *watch);
void kube_watch_stop(struct kube_watch *watch);

#endif
