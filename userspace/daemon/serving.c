// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Between the metrics server's thread and the plane: a beat one way, two counts the other.
#include <stdio.h>

#include "daemon/serving.h"
#include "log/log.h"
#include "metrics/listen.h"
#include "metrics/server.h"
#include "plane/run.h"

_Static_assert(CONFIG_METRICS_PEERS_MOST == METRICS_PEERS_MOST, "what may be configured can be shown");

/* Not before: a start that is refused has one line to say. */
static void say_where(struct serving *serving)
{
	char name[METRICS_PLACE_LEN];

	if (serving->has_said || !plane_is_ready(serving->plane))
		return;
	serving->has_said = true;
	metrics_place_name(serving->place, name);
	if (serving->server)
		log_info("metrics are served on %s", name);
	else
		log_warn("metrics are not served: %s", serving->why);
}

static void each_second(void *ctx)
{
	struct serving *serving = ctx;
	struct metrics_server_counts counts;

	say_where(serving);
	if (!serving->server && serving->has_said)
		return;
	loop_timer_after(plane_loop(serving->plane), &serving->second, LOOP_SECOND);
	if (!serving->server)
		return;
	metrics_server_beat(serving->server);
	metrics_server_count(serving->server, &counts);
	plane_set_fact(serving->plane, TALON_FACT_SCRAPES, counts.answered);
	plane_set_fact(serving->plane, TALON_FACT_SCRAPES_REFUSED, counts.refused);
}

int serving_start(struct serving *serving, struct plane *plane, const struct config *config, char *err,
	size_t errlen)
{
	const struct metrics_server_options options = { .place = config->metrics,
		.pin_dir = config->pin_dir };
	int ret;

	*serving = (struct serving){ .plane = plane, .place = &config->metrics };
	if (!config->metrics.family)
		return 0;
	ret = metrics_server_start(&serving->server, &options, serving->why, sizeof(serving->why));
	if (ret && config->metrics.is_given) {
		snprintf(err, errlen, "metrics: %s", serving->why);
		return ret;
	}
	loop_timer_init(&serving->second, each_second, serving);
	loop_timer_after(plane_loop(plane), &serving->second, 0);
	return 0;
}

void serving_stop(struct serving *serving)
{
	loop_timer_cancel(plane_loop(serving->plane), &serving->second);
	metrics_server_stop(serving->server);
	serving->server = NULL;
}
