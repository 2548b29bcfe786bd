// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// `talon login --extend`: a person signed in again, and the login of this peer goes on; the tunnel stays.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "mesh/internal.h"
#include "netbird/management_message.h"

/* What management has yet to answer. */
struct extension {
	struct mesh *mesh;
	control_done_fn done;
	void *arg;
};

static const char *reason(const struct grpc_end *end)
{
	switch (end->status) {
	case GRPC_INVALID_ARGUMENT:
		return "management does not accept the token of this provider";
	case GRPC_UNAUTHENTICATED:
		return "the token was used already, or has expired: sign in again";
	case GRPC_PERMISSION_DENIED:
		return "this peer belongs to another user: sign in as the one who added it";
	case GRPC_FAILED_PRECONDITION:
		return "the login of this peer does not expire: it came by a setup key, or expiry is "
			"switched off";
	case GRPC_NOT_FOUND:
		return "management does not know this peer: run talon login";
	case GRPC_UNIMPLEMENTED:
		return "management is too old to extend a login (before 0.72): run talon login once it has "
			"expired";
	}
	return NULL;
}

/* Writes one line. */
static void explain(struct mesh *mesh, const struct grpc_end *end, char *why, size_t size)
{
	const char *known = end->from_server ? reason(end) : NULL;
	char said[400];

	if (end->from_server && known) {
		snprintf(why, size, "%s (%s)", known, grpc_status_name(end->status));
		return;
	}
	management_format_end(mesh->management, end, said, sizeof(said));
	snprintf(why, size, "%s; the token may be used up: sign in again", said);
}

static void extended(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct extension *e = ctx;
	struct expiry_said said;
	char why[500] = "";
	int ret = 0;

	if (end->status != GRPC_OK) {
		explain(e->mesh, end, why, sizeof(why));
		ret = end->status == GRPC_CANCELLED && !end->from_server ? -ECANCELED : -EACCES;
	} else if (!answer || message_parse_extend(answer, len, &said)) {
		snprintf(why, sizeof(why), "management's answer cannot be read; talon status has the new end "
			"of the login if it took the token");
		ret = -EBADMSG;
	} else {
		log_info("the login of this peer was extended");
		mesh_take_expiry(e->mesh, &said);
	}
	e->done(e->arg, ret, why);
	free(e);
}

void mesh_extend(void *ctx, const char *token, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	struct extension *e;
	int ret;

	if (!mesh->management_link.is_connected) {
		done(arg, -ENOTCONN, "not connected to management; talon login signs in anew");
		return;
	}
	e = malloc(sizeof(*e));
	if (!e) {
		done(arg, -ENOMEM, NULL);
		return;
	}
	*e = (struct extension){ mesh, done, arg };
	ret = management_extend(mesh->management, token, extended, e);
	if (!ret)
		return;
	free(e);
	done(arg, ret, NULL);
}
