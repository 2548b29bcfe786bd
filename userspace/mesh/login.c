// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// `talon login`: logs in or registers, without a datapath.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "netbird/identity.h"
#include "client/management.h"
#include "base/store.h"
#include "mesh/internal.h"
#include "mesh/mesh.h"
#include "stream/stream.h"
#include "stream/resolver.h"

#define LOGIN_LIMIT_NS (120 * LOOP_SECOND)

struct login {
	struct loop *loop;
	struct loop_timer limit;
	int result;
	char last[200];			/* the last error before a retry */
	char *why;
	size_t size;
};

static void end(struct login *login, int result, const char *why)
{
	login->result = result;
	if (result)
		snprintf(login->why, login->size, "%s", why);
	loop_stop(login->loop);
}

static void on_state(void *ctx, enum management_state state, const char *why)
{
	struct login *login = ctx;

	if (*why)
		snprintf(login->last, sizeof(login->last), "%s", why);
}

static void on_login(void *ctx, const struct netmap_update *update)
{
	end(ctx, 0, "");
}

static void on_sync(void *ctx, const struct netmap_update *update, bool first, const uint8_t *bytes,
	size_t len)
{
}

static void on_deleted(void *ctx)
{
	end(ctx, -EACCES, "this peer was deleted in management");
}

static void on_verdict(void *ctx, int error, const char *why)
{
	end(ctx, error, why);
}

static void too_long(void *ctx)
{
	struct login *login = ctx;

	end(login, -ETIMEDOUT, *login->last ? login->last : "management does not answer");
}

static int run(struct login *login, const struct config *config, const struct identity *identity,
	const char *token)
{
	static const struct management_events events = {
		.state = on_state, .login = on_login, .sync = on_sync, .deleted = on_deleted,
		.verdict = on_verdict,
	};
	struct management_config mc = {
		.url = config->mesh.management_url,
		.private_key = identity->private_key,
		.setup_key = config->mesh.setup_key,
		.token = token,
		.ssh_public_key = identity->ssh_public_key,
		.dns_labels = config->mesh.dns_labels,
		.dns_label_count = config->mesh.dns_label_count,
		.hostname = config->mesh.hostname,
		.once = true,
	};
	struct management *management;
	int ret = management_new(login->loop, &mc, &events, login, &management);

	mesh_warn_cleartext(mc.url, mc.setup_key, mc.token);
	secret_key_wipe(&mc.private_key);
	if (ret)
		return ret;
	loop_timer_init(&login->limit, too_long, login);
	loop_timer_after(login->loop, &login->limit, LOGIN_LIMIT_NS);
	management_start(management);
	ret = loop_run(login->loop);
	loop_timer_cancel(login->loop, &login->limit);
	management_free(management);
	return ret ? ret : login->result;
}

int mesh_login(struct config *config, const char *token, char *why, size_t size)
{
	struct login login = { .why = why, .size = size };
	struct identity identity;
	int lock, ret;

	*why = 0;
	ret = mesh_prepare(config, why, size);
	if (ret)
		return ret;
	lock = identity_lock(config->mesh.state_dir, why, size);
	if (lock < 0)
		return lock;
	ret = identity_load(config->mesh.identity_path, &identity, why, size);
	if (!ret) {
		store_sweep(config->mesh.identity_path);
		mesh_keep_url(config->mesh.identity_path, &identity, config->mesh.management_url);
		ret = loop_new(&login.loop);
		if (!ret)
			ret = run(&login, config, &identity, token);
		resolver_global_done();
		stream_global_done();
		loop_free(login.loop);
		identity_done(&identity);
	}
	close(lock);
	if (ret && !*why)
		snprintf(why, size, "cannot log in: %s", strerror(-ret));
	return ret;
}
