// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Between the metrics server's thread and the plane: a beat and what is wrong one way, two counts the other.
#include <stdio.h>

#include "base/clock.h"
#include "daemon/serving.h"
#include "log/log.h"
#include "mesh/mesh.h"
#include "metrics/listen.h"
#include "metrics/server.h"
#include "plane/run.h"

#define AGAIN_NS (5 * LOOP_SECOND)

_Static_assert(CONFIG_METRICS_PEERS_MOST == METRICS_PEERS_MOST, "what may be configured can be shown");

static int try(struct serving *serving)
{
	const struct metrics_server_options options = { .place = serving->config->metrics,
		.pin_dir = serving->config->pin_dir };

	serving->again_ns = clock_boot_ns() + AGAIN_NS;
	return metrics_server_start(&serving->server, &options, serving->why, sizeof(serving->why));
}

static void tell(struct serving *serving)
{
	struct metrics_server_counts counts;

	metrics_server_beat(serving->server, *serving->mesh ? mesh_why_not_ready(*serving->mesh) : "");
	metrics_server_count(serving->server, &counts);
	plane_set_fact(serving->plane, TALON_FACT_SCRAPES, counts.answered);
	plane_set_fact(serving->plane, TALON_FACT_SCRAPES_REFUSED, counts.refused);
}

static void tell_where(struct serving *serving)
{
	char name[METRICS_PLACE_LEN], text[METRICS_PLACE_LEN + 16];

	metrics_place_name(&serving->config->metrics, name);
	snprintf(text, sizeof(text), "%s%s", name,
		serving->server || !serving->config->metrics.family ? "" : " (not served)");
	plane_set_served(serving->plane, text);
}

/* Said once the start has succeeded: one that fails has one line, the reason. */
static void say(struct serving *serving)
{
	char name[METRICS_PLACE_LEN];

	if (serving->is_said || !plane_is_ready(serving->plane))
		return;
	serving->is_said = true;
	metrics_place_name(&serving->config->metrics, name);
	if (serving->server)
		log_info("metrics are served on %s", name);
	else
		log_warn("metrics are not served: %s", serving->why);
}

static void each_second(void *ctx)
{
	struct serving *serving = ctx;

	loop_timer_after(plane_loop(serving->plane), &serving->second, LOOP_SECOND);
	say(serving);
	if (!serving->server && clock_boot_ns() >= serving->again_ns && !try(serving)) {
		serving->is_said = false;
		tell_where(serving);
	}
	if (serving->server)
		tell(serving);
}

int serving_start(struct serving *serving, struct plane *plane, struct mesh *const *mesh,
	const struct config *config, char *err, size_t errlen)
{
	int ret;

	*serving = (struct serving){ .config = config, .plane = plane, .mesh = mesh };
	loop_timer_init(&serving->second, each_second, serving);
	tell_where(serving);
	if (!config->metrics.family)
		return 0;
	ret = try(serving);
	if (ret && config->metrics.is_given) {
		snprintf(err, errlen, "metrics: %s", serving->why);
		return ret;
	}
	tell_where(serving);
	loop_timer_after(plane_loop(plane), &serving->second, 0);
	return 0;
}

void serving_stop(struct serving *serving)
{
	loop_timer_cancel(plane_loop(serving->plane), &serving->second);
	metrics_server_stop(serving->server);
	serving->server = NULL;
}
