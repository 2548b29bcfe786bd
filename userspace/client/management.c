// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The management client: its configuration, its life, and what the rest of the program asks of it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/server_url.h"
#include "client/management_internal.h"

/*
 * A server that blocks agents by key counts 30 Syncs in 5 minutes. These allow at most 8 + 20 in any 5
 * minutes.
 */
#define SYNCS_AT_ONCE		8
#define SYNC_EACH_NS		(15 * LOOP_SECOND)

static char *copy_text(const char *text, bool *ok)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*ok = false;
	return copy;
}

void management_free_list(char **list, size_t count)
{
	for (size_t i = 0; list && i < count; i++)
		free(list[i]);
	free(list);
}

char **management_copy_list(char *const *list, size_t count, bool *ok)
{
	char **copy = calloc(count + 1, sizeof(*copy));

	if (!copy)
		*ok = false;
	for (size_t i = 0; copy && i < count; i++)
		copy[i] = copy_text(list[i], ok);
	return copy;
}

static bool copy_config(struct management *m, const struct management_config *config)
{
	bool ok = true;

	m->url = copy_text(config->url, &ok);
	m->hostname = copy_text(config->hostname, &ok);
	m->ssh_public_key = copy_text(config->ssh_public_key, &ok);
	m->setup_key = config->setup_key && *config->setup_key ? copy_text(config->setup_key, &ok) : NULL;
	m->token = config->token && *config->token ? copy_text(config->token, &ok) : NULL;
	m->dns_labels = management_copy_list(config->dns_labels, config->dns_label_count, &ok);
	m->dns_label_count = m->dns_labels ? config->dns_label_count : 0;
	m->private_key = config->private_key;
	key_public(&m->private_key, m->public_key);
	m->flags = config->flags;
	m->once = config->once;
	m->facts.has_setup_key = m->setup_key;
	m->facts.has_token = m->token;
	return ok;
}

static int open_channel(struct management *m)
{
	struct grpc_channel_options options = {};
	struct server_url url;

	if (!m->url || server_url_parse(m->url, SERVER_SCHEMES_WEB, &url))
		return -EINVAL;
	options.host = url.host;
	options.port = url.port;
	options.tls = server_url_is_tls(&url);
	return grpc_channel_new(m->loop, &options, &m->channel);
}

static void init_waits(struct management *m)
{
	m->login_backoff = (struct backoff){ .first_ns = 800 * LOOP_MS, .most_ns = 15 * LOOP_SECOND,
		.tenths = 17 };
	m->sync_backoff = (struct backoff){ .first_ns = 800 * LOOP_MS, .most_ns = 10 * LOOP_SECOND,
		.tenths = 17 };
	m->slow_backoff = (struct backoff){ .first_ns = 60 * LOOP_SECOND, .most_ns = 1800 * LOOP_SECOND,
		.tenths = 17 };
	m->syncs = (struct allowance){ .most = SYNCS_AT_ONCE, .left = SYNCS_AT_ONCE, .each_ns = SYNC_EACH_NS,
		.since_ns = loop_now(m->loop) };
	loop_timer_init(&m->timer, management_run_timer, m);
	loop_timer_init(&m->patience, management_lose_patience, m);
	loop_timer_init(&m->anew, management_sync_anew, m);
	management_job_init(m);
	management_report_init(m);
}

int management_new(struct loop *loop, const struct management_config *config,
	const struct management_events *events, void *ctx, struct management **ret_management)
{
	struct management *m = calloc(1, sizeof(*m));
	int ret = 0;

	if (!m)
		return -ENOMEM;
	m->loop = loop;
	m->events = events;
	m->ctx = ctx;
	init_waits(m);
	if (!copy_config(m, config))
		ret = -ENOMEM;
	if (!ret)
		ret = open_channel(m);
	if (ret < 0)
		management_free(m);
	else
		*ret_management = m;
	return ret;
}

void management_start(struct management *m)
{
	management_set_state(m, MANAGEMENT_CONNECTING, "");
	if (m->once)
		loop_timer_after(m->loop, &m->patience, MANAGEMENT_ONCE_NS);
	grpc_channel_connect(m->channel);
	management_begin(m, STEP_LOGIN);
	management_pack_meta(m);	/* while the connection is made; the login reports an error */
}

void management_network_changed(struct management *m)
{
	if (m->is_over || m->call || m->state != MANAGEMENT_CONNECTING || !loop_timer_is_set(&m->timer))
		return;
	backoff_reset(&m->sync_backoff);
	backoff_reset(&m->login_backoff);
	loop_timer_after(m->loop, &m->timer, 0);
}

static void stop(struct management *m)
{
	loop_timer_cancel(m->loop, &m->timer);
	loop_timer_cancel(m->loop, &m->patience);
	loop_timer_cancel(m->loop, &m->anew);
	grpc_call_cancel(m->call);
	m->call = NULL;
	management_job_stop(m);
	management_report_stop(m);
	management_health_stop(m);
}

void management_end(struct management *m, const char *why)
{
	stop(m);
	m->is_over = true;
	management_drop_credentials(m);
	management_set_state(m, MANAGEMENT_NEEDS_LOGIN, why);
}

void management_free(struct management *m)
{
	if (!m)
		return;
	stop(m);
	management_side_stop(m);
	management_job_done(m);
	grpc_channel_free(m->channel);
	management_forget_answer(m);
	management_drop_credentials(m);
	management_free_list(m->dns_labels, m->dns_label_count);
	management_free_list(m->files, m->file_count);
	free(m->meta);
	free(m->url);
	free(m->hostname);
	free(m->ssh_public_key);
	secret_key_wipe(&m->private_key);
	free(m);
}

const char *management_url(const struct management *m)
{
	return m->url;
}
