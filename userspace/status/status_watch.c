// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who watches packets now (talon/watch_types.h), and how many packets were shown: read and rendered.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/json_out.h"
#include "crypto/key.h"
#include "status/read_internal.h"
#include "status/show.h"

static int read_leases(const struct reading *r)
{
	__u32 entries;
	int fd, ret = 0;

	fd = read_open(r, "watches", sizeof(struct talon_watch), &entries);
	if (fd < 0)
		return fd;
	for (__u32 i = 0; i < TALON_WATCHES && i < entries && !ret; i++) {
		if (bpf_map_lookup_elem(fd, &i, &r->status->watches[i]))
			ret = read_fail(r, "watches", -errno);
	}
	close(fd);
	return ret;
}

int read_watches(struct reading *r)
{
	int cpus = libbpf_num_possible_cpus(), fd, ret = read_leases(r);
	__u32 entries;
	__u64 *values;

	if (ret)
		return ret;
	if (cpus < 0)
		return cpus;
	fd = read_open(r, "watch_counts", sizeof(__u64), &entries);
	if (fd < 0)
		return fd;
	values = calloc(cpus, sizeof(*values));
	if (!values)
		ret = -ENOMEM;
	for (__u32 i = 0; i < TALON_WATCH_COUNT_COUNT && i < entries && !ret; i++) {
		if (bpf_map_lookup_elem(fd, &i, values))
			ret = read_fail(r, "watch_counts", -errno);
		for (int cpu = 0; cpu < cpus && !ret; cpu++)
			r->status->watch_counts[i] += values[cpu];
	}
	free(values);
	close(fd);
	return ret;
}

bool status_is_watched(const struct status *status, enum talon_watch_id id)
{
	return status->watches[id].until_ns > status->now_ns;
}

static const struct status_peer *peer_of(const struct status *status, __u32 id)
{
	for (size_t i = 0; i < status->peer_count; i++) {
		if (status->peers[i].id == id)
			return &status->peers[i];
	}
	return NULL;
}

static void print_by(FILE *out, const struct status *status, const struct talon_watch *watch)
{
	char age[SHOW_AGE_LEN];

	show_duration(show_seconds_since(status, watch->since_ns), age, sizeof(age));
	fprintf(out, "by pid %u, for %s\n", watch->pid, age);
}

void show_watches(FILE *out, const struct status *status)
{
	const struct talon_watch *capture = &status->watches[TALON_WATCH_PACKETS];
	const struct status_peer *peer = peer_of(status, capture->peer);
	char key[KEY_BASE64_LEN + 1] = "-";

	if (status_is_watched(status, TALON_WATCH_PACKETS)) {
		fprintf(out, "Capture: peer ");
		if (peer && peer->info.name[0]) {
			text_print(out, peer->info.name, sizeof(peer->info.name));
		} else {
			if (peer)
				key_to_base64(peer->info.public_key, key);
			fputs(key, out);
		}
		fputc(' ', out);
		print_by(out, status, capture);
	}
	if (status_is_watched(status, TALON_WATCH_DROPS)) {
		fprintf(out, "Drops followed: ");
		print_by(out, status, &status->watches[TALON_WATCH_DROPS]);
	}
}

static void put_lease(struct json_out *json, const char *name, const struct status *status,
	enum talon_watch_id id)
{
	const struct talon_watch *watch = &status->watches[id];
	const struct status_peer *peer = peer_of(status, watch->peer);
	char key[KEY_BASE64_LEN + 1];

	if (!status_is_watched(status, id)) {
		json_out_null(json, name);
		return;
	}
	json_out_begin(json, name, '{');
	json_out_number(json, "pid", watch->pid);
	json_out_number(json, "ageSeconds", show_seconds_since(status, watch->since_ns));
	if (peer) {
		key_to_base64(peer->info.public_key, key);
		json_out_text(json, "peer", key);
	} else {
		json_out_null(json, "peer");
	}
	json_out_end(json, '}');
}

void show_watches_json(struct json_out *json, const struct status *status)
{
#define LABEL(id, label, help) [TALON_WATCH_##id] = label,
	static const char *const labels[] = { TALON_WATCH_COUNTS(LABEL) };

	json_out_begin(json, "watching", '{');
	put_lease(json, "capture", status, TALON_WATCH_PACKETS);
	put_lease(json, "drops", status, TALON_WATCH_DROPS);
	for (unsigned int i = 0; i < TALON_WATCH_COUNT_COUNT; i++)
		json_out_number(json, labels[i], status->watch_counts[i]);
	json_out_end(json, '}');
}
