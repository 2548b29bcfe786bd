// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Facts about this host: collected for login and Sync, reported by SyncMeta when they change in between.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/management_internal.h"
#include "netbird/envelope.h"
#include "netbird/management_message.h"

#define META_FRESH_NS		(5 * LOOP_SECOND)
#define REPORT_TIMEOUT_NS	(10 * LOOP_SECOND)
#define REPORT_EACH_NS		(30 * LOOP_SECOND)	/* after each the server sends maps to everybody */
#define REPORT_FAILURES		3

int management_pack_meta(struct management *m)
{
	uint8_t *meta;
	size_t len;
	int ret = sysinfo_pack(m->hostname, &m->flags, m->files, m->file_count, &meta, &len);

	if (ret < 0)
		return ret;
	free(m->meta);
	m->meta = meta;
	m->meta_len = len;
	m->meta_ns = loop_now(m->loop);
	return 0;
}

int management_refresh_meta(struct management *m)
{
	if (m->meta && loop_now(m->loop) - m->meta_ns < META_FRESH_NS)
		return 0;
	return management_pack_meta(m);
}

void management_note_meta(struct management *m, const uint8_t *meta, size_t len)
{
	crypto_generichash(m->meta_sum, sizeof(m->meta_sum), meta, len, NULL, 0);
}

bool management_is_meta_news(const struct management *m)
{
	uint8_t sum[sizeof(m->meta_sum)];

	crypto_generichash(sum, sizeof(sum), m->meta, m->meta_len, NULL, 0);
	return memcmp(sum, m->meta_sum, sizeof(sum)) != 0;
}

static void forget_report(struct management *m)
{
	envelope_free(m->report.meta, m->report.len);
	m->report.meta = NULL;
	m->report.len = 0;
}

static void no_message(void *ctx, const uint8_t *bytes, size_t len)
{
}

static void report_done(void *ctx, const struct grpc_end *end)
{
	struct management *m = ctx;

	m->report.call = NULL;
	if (end->status == GRPC_OK) {
		m->report.failures = 0;
		management_note_meta(m, m->report.meta, m->report.len);
	} else if (++m->report.failures < REPORT_FAILURES) {
		m->report.is_wanted = true;
	}
	forget_report(m);
	if (m->report.is_wanted)
		loop_timer_after(m->loop, &m->report.timer, REPORT_EACH_NS);
}

static int send_report(struct management *m)
{
	static const struct grpc_call_events events = { .message = no_message, .done = report_done };
	const struct grpc_call_options options = { .path = MANAGEMENT_SERVICE "SyncMeta",
		.timeout_ns = REPORT_TIMEOUT_NS, .is_unary = true };
	uint8_t *bytes;
	size_t len;
	int ret = message_pack_sync(m->meta, m->meta_len, &bytes, &len);

	if (ret < 0)
		return ret;
	m->report.meta = malloc(m->meta_len + 1);
	ret = m->report.meta ? management_ask(m, m->server_key, &options, bytes, len, &events, m,
		&m->report.call) : -ENOMEM;
	envelope_free(bytes, len);
	if (ret < 0) {
		forget_report(m);
		return ret;
	}
	memcpy(m->report.meta, m->meta, m->meta_len);
	m->report.len = m->meta_len;
	m->report.sent_ns = loop_now(m->loop);
	return 0;
}

static void run_report(void *ctx)
{
	struct management *m = ctx;

	if (!m->report.is_wanted || m->report.call)
		return;
	m->report.is_wanted = false;
	if (management_refresh_meta(m) == 0 && management_is_meta_news(m))
		send_report(m);
}

void management_report_init(struct management *m)
{
	loop_timer_init(&m->report.timer, run_report, m);
}

void management_report_start(struct management *m)
{
	uint64_t now = loop_now(m->loop);
	uint64_t next = m->report.sent_ns ? m->report.sent_ns + REPORT_EACH_NS : now;

	m->report.failures = 0;
	if (!m->has_synced || !m->call)
		return;		/* the next Sync reports everything */
	m->report.is_wanted = true;
	if (!m->report.call)
		loop_timer_set(m->loop, &m->report.timer, next > now ? next : now);
}

void management_report_stop(struct management *m)
{
	loop_timer_cancel(m->loop, &m->report.timer);
	grpc_call_cancel(m->report.call);
	m->report.call = NULL;
	m->report.is_wanted = false;
	forget_report(m);
}

static bool has_files(const struct management *m, char *const *files, size_t count)
{
	if (count != m->file_count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(files[i], m->files[i]) != 0)
			return false;
	return true;
}

void management_sync_meta(struct management *m, char *const *files, size_t count)
{
	bool ok = true;
	char **copy;

	if (has_files(m, files, count))
		return;
	copy = management_copy_list(files, count, &ok);
	if (!ok) {
		management_free_list(copy, count);
		return;
	}
	management_free_list(m->files, m->file_count);
	m->files = copy;
	m->file_count = count;
	free(m->meta);		/* it lists the other files */
	m->meta = NULL;
	management_report_start(m);
}

void management_set_ipv6(struct management *m, bool carries_ipv6)
{
	if (m->flags.carries_ipv6 == carries_ipv6)
		return;
	m->flags.carries_ipv6 = carries_ipv6;
	free(m->meta);		/* outdated */
	m->meta = NULL;
	loop_timer_after(m->loop, &m->anew, 0);		/* not from a callback of the call */
}

void management_sync_facts(struct management *m)
{
	free(m->meta);		/* outdated */
	m->meta = NULL;
	management_report_start(m);
}

void management_set_flags(struct management *m, const struct sysinfo_flags *flags)
{
	m->flags = *flags;
}
