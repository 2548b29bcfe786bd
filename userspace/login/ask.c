// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Asking management for the provider. The key of the call is one of its own: the peer need not be known.
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "client/management.h"
#include "login/internal.h"
#include "stream/resolver.h"
#include "stream/stream.h"

struct question {
	struct loop *loop;
	struct management *management;
	enum provider_flow flow;
	struct provider *provider;
	int ret;
	char *why;
	size_t size;
};

static void explain(struct question *q, const struct grpc_end *end)
{
	const char *url = management_url(q->management);

	if (end->from_server && end->status == GRPC_NOT_FOUND) {
		snprintf(q->why, q->size, "management %s has no identity provider to sign in at%s: register "
			"with a setup key", url, q->flow == PROVIDER_DEVICE ? " by a device code" : "");
		q->ret = -ENOENT;
	} else if (end->from_server && end->status == GRPC_UNIMPLEMENTED) {
		snprintf(q->why, q->size,
			"management %s is too old for signing in: register with a setup key", url);
		q->ret = -EOPNOTSUPP;
	} else {
		management_format_end(q->management, end, q->why, q->size);
		q->ret = -EHOSTUNREACH;
	}
}

static void answered(void *ctx, const struct grpc_end *end, const uint8_t *answer, size_t len)
{
	struct question *q = ctx;

	if (end->status != GRPC_OK) {
		explain(q, end);
	} else if (!answer) {
		snprintf(q->why, q->size, "management's answer about signing in cannot be opened");
		q->ret = -EBADMSG;
	} else {
		q->ret = provider_parse(q->flow, answer, len, q->provider, q->why, q->size);
	}
	loop_stop(q->loop);
}

static int ask(struct question *q)
{
	static const char *const paths[] = {
		[PROVIDER_DEVICE] = MANAGEMENT_SERVICE "GetDeviceAuthorizationFlow",
		[PROVIDER_PKCE] = MANAGEMENT_SERVICE "GetPKCEAuthorizationFlow",
	};
	int ret = management_call(q->management, paths[q->flow], false, "", 0, answered, q);

	if (!ret)
		ret = loop_run(q->loop);
	return ret ? ret : q->ret;
}

int ask_provider(const char *url, enum provider_flow flow, struct provider *ret_provider, char *why,
	size_t size)
{
	static const struct management_events nothing;
	struct question q = { .flow = flow, .provider = ret_provider, .why = why, .size = size };
	struct management_config config = { .url = url, .ssh_public_key = "" };
	int ret = loop_new(&q.loop);

	*why = 0;
	if (ret)
		return ret;
	randombytes_buf(config.private_key.bytes, KEY_LEN);
	ret = management_new(q.loop, &config, &nothing, NULL, &q.management);
	secret_key_wipe(&config.private_key);
	if (!ret) {
		ret = ask(&q);
		management_free(q.management);
	}
	resolver_global_done();
	stream_global_done();
	loop_free(q.loop);
	if (ret && !*why)
		snprintf(why, size, "cannot ask management for its identity provider: %s", strerror(-ret));
	return ret;
}
