/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services of this host that NetBird's reverse proxy publishes (talon expose): asked for at management,
 * renewed while the command that wants them stays, and stopped when it leaves. Packets are not touched here:
 * management adds the proxy's peers and the rules that let them in to the network map.
 */
#ifndef TALON_EXPOSE_H
#define TALON_EXPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grpc/grpc.h"
#include "loop/loop.h"
#include "snapshot/control.h"

#define EXPOSE_PROTOCOLS	"http, https, tcp, udp or tls"

/* Whether the proxy passes @protocol on byte by byte: it has a port there, and no pin, password or groups. */
bool expose_is_plain(const char *protocol);
/*
 * Checks what a command line or a client of the socket asks for. Returns 0, or -EINVAL with one line in @why.
 */
int expose_check(const struct control_expose *expose, char *why, size_t size);

/* How a call of management ended; @answer is valid during the call. */
typedef void (*expose_answer_fn)(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len);

struct expose_ops {
	/*
	 * Calls @method of the management service; @fn comes once, later. @bytes are copied. Returns 0 or a
	 * negative errno.
	 */
	int (*call)(void *ctx, const char *method, const uint8_t *bytes, size_t len, expose_answer_fn fn,
		void *fn_ctx, void **ret_call);
	/* Then @fn does not come. */
	void (*cancel)(void *ctx, void *call);
};

struct expose;

int expose_new(struct loop *loop, const struct expose_ops *ops, void *ctx, struct expose **ret_expose);
/* Ends all services without asking management. NULL is allowed. */
void expose_free(struct expose *expose);
/* Publishes a service for the client that @stay is. */
void expose_add(struct expose *expose, const struct control_expose *request, struct control_stay *stay);
/* That client left. */
void expose_leave(struct expose *expose, struct control_stay *stay);
/* Stops all services; their clients are told why at once. */
void expose_stop_all(struct expose *expose, const char *why);
/* Services that management may still have. */
size_t expose_count(const struct expose *expose);

#endif
