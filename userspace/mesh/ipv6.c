// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// IPv6 inside the tunnel: whether management is told that this host carries it.
#include "log/log.h"
#include "mesh/internal.h"

/*
 * A host that refuses the address says so only once it has got one. It is taken back then, and so is the
 * reason: to promise IPv6 again at once would go round in circles, with a map for every peer each time.
 */
#define AGAIN_FIRST_NS	(5 * LOOP_SECOND)
#define AGAIN_MOST_NS	(3600 * LOOP_SECOND)
#define CALM_NS		(600 * LOOP_SECOND)	/* what was carried this long did not go round */

static void look_again(void *ctx)
{
	mesh_check_ipv6(ctx);
}

void mesh_ipv6_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->ipv6.timer, look_again, mesh);
	mesh->ipv6.backoff = (struct backoff){ .first_ns = AGAIN_FIRST_NS, .most_ns = AGAIN_MOST_NS,
		.tenths = 20 };
}

void mesh_ipv6_begin(struct mesh *mesh)
{
	mesh->ipv6.is_told = !mesh->config->mesh.disable_ipv6 && !*plane_why_no_ipv6(mesh->plane);
	mesh->ipv6.since_ns = loop_now(mesh->loop);
}

static void tell(struct mesh *mesh, bool carries, const char *why)
{
	struct mesh_ipv6 *ipv6 = &mesh->ipv6;
	const uint64_t now = loop_now(mesh->loop);

	if (carries) {
		log_info("management is told that the tunnel carries IPv6");
	} else {
		if (now - ipv6->since_ns >= CALM_NS)
			backoff_reset(&ipv6->backoff);
		ipv6->again_ns = now + backoff_next(&ipv6->backoff);
		log_warn("management is told that the tunnel carries no IPv6: %s", why);
	}
	ipv6->is_told = carries;
	ipv6->since_ns = now;
	if (mesh->management)
		management_set_ipv6(mesh->management, carries);
}

void mesh_check_ipv6(struct mesh *mesh)
{
	const bool is_forbidden = mesh->config->mesh.disable_ipv6;
	const char *why = is_forbidden ? "" : plane_why_no_ipv6(mesh->plane);
	const bool carries = !is_forbidden && !*why;

	if (carries == mesh->ipv6.is_told)
		return;
	if (carries && loop_now(mesh->loop) < mesh->ipv6.again_ns)
		loop_timer_set(mesh->loop, &mesh->ipv6.timer, mesh->ipv6.again_ns);
	else
		tell(mesh, carries, why);
}
