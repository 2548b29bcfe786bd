// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Services that the reverse proxy publishes: from the control socket to expose/, and from there
// to management.
#include <errno.h>
#include <stdlib.h>

#include "mesh/internal.h"

#define CALL_NS		(10 * LOOP_SECOND)

/* A call on its way: management's handle, and whom to tell. */
struct service_call {
	struct management_side *side;
	expose_answer_fn fn;
	void *ctx;
};

static void answered(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct service_call call = *(struct service_call *)ctx;

	free(ctx);
	call.fn(call.ctx, end, answer, len);
}

static int op_call(void *ctx, const char *method, const uint8_t *bytes, size_t len, expose_answer_fn fn,
	void *fn_ctx, void **ret_call)
{
	struct mesh *mesh = ctx;
	struct service_call *call = malloc(sizeof(*call));
	int ret;

	if (!call)
		return -ENOMEM;
	*call = (struct service_call){ .fn = fn, .ctx = fn_ctx };
	ret = management_side_start(mesh->management, method, bytes, len, CALL_NS, answered, call,
		&call->side);
	if (ret)
		free(call);
	else
		*ret_call = call;
	return ret;
}

static void op_cancel(void *ctx, void *call)
{
	struct service_call *service_call = call;

	management_side_cancel(service_call->side);
	free(service_call);
}

int mesh_services_start(struct mesh *mesh)
{
	static const struct expose_ops ops = { .call = op_call, .cancel = op_cancel };

	return expose_new(mesh->loop, &ops, mesh, &mesh->expose);
}

void mesh_on_expose(void *ctx, const struct control_expose *request, struct control_stay *stay)
{
	struct mesh *mesh = ctx;

	if (!mesh->management_link.is_connected || mesh->ends)
		control_stay_end(stay, -ENOTCONN, "client is not running, run 'netbird up' first");
	else if (mesh->config->mesh.block_inbound)
		control_stay_end(stay, -EPERM, "a published service needs connections from the proxy, which "
			"--block-inbound refuses; start without it");
	else
		expose_add(mesh->expose, request, stay);
}

void mesh_on_expose_left(void *ctx, struct control_stay *stay)
{
	struct mesh *mesh = ctx;

	expose_leave(mesh->expose, stay);
}
