// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Gathers what an exposition shows, and makes one.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "metrics/internal.h"

static int read_facts(struct metrics_data *data, const char *root, char *why, size_t size)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	LIBBPF_OPTS(bpf_map_batch_opts, batch);
	__u32 keys[TALON_FACTS_ENTRIES], count = TALON_FACTS_ENTRIES, next;
	char path[PATH_MAX + 16];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/maps/facts", root);
	fd = bpf_obj_get_opts(path, &opts);
	if (fd < 0 || (bpf_map_lookup_batch(fd, NULL, &next, keys, data->facts, &count, &batch) &&
		errno != ENOENT)) {
		ret = -errno;
		snprintf(why, size, "cannot read map facts: %s", strerror(-ret));
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

/*
 * The same value in each scrape as long as nobody sets the clock: a wait between the two readings would move
 * it, so the closest pair of a few counts.
 */
static void read_clocks(struct metrics_data *data)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_boot_ns(), now = clock_unix_ns(), after = clock_boot_ns();

		if (after - before >= best)
			continue;
		best = after - before;
		data->unix_ns = now;
		data->boot_unix_ns = now - before - best / 2;
	}
}

uint64_t metrics_since_unix_ns(const struct metrics_data *data, uint64_t boot_ns)
{
	const uint64_t second = TALON_NSEC_PER_SEC;

	return boot_ns ? (data->boot_unix_ns + boot_ns + second / 2) / second * second : 0;
}

int metrics_collect(const struct metrics_options *options, struct metrics_data *ret_data, char *why,
	size_t size)
{
	struct metrics_data *data = ret_data;
	char root[PATH_MAX];
	int ret;

	memset(data, 0, sizeof(*data));
	read_clocks(data);
	ret = status_read_node(&data->status, options->pin_dir, data->why, sizeof(data->why));
	if (ret == -ENOENT)
		return 0;
	if (ret) {
		snprintf(why, size, "%s", data->why);
		return ret;
	}
	data->has_datapath = true;
	data->is_fresh = status_controller(&data->status) == STATUS_RUNNING;
	snprintf(root, sizeof(root), "%s/%s", options->pin_dir, TALON_LAYOUT_NAME);
	ret = read_facts(data, root, why, size);
	if (ret)
		return ret;
	metrics_read_maps(data, root);
	ret = metrics_read_peers(data, root, options->peers);
	if (ret)
		snprintf(why, size, "cannot read the peers' maps: %s", strerror(-ret));
	return ret;
}

void metrics_data_done(struct metrics_data *data)
{
	status_free(&data->status);
	free(data->peers.top);
	data->peers.top = NULL;
}

int metrics_print(const struct metrics_data *data, const struct metrics_options *options, char **ret_text,
	size_t *ret_len)
{
	struct metrics_text text = { .format = options->format };
	char *to = NULL;

	text.out = open_memstream(&to, ret_len);
	if (!text.out)
		return -ENOMEM;
	text.created_unix_ns = metrics_since_unix_ns(data, data->status.info.datapath_since_ns);
	metrics_write(&text, data);
	metrics_write_peers(&text, data, options->peers);
	metrics_write_mesh(&text, data);
	if (options->aliases)
		metrics_write_aliases(&text, data);
	metrics_end(&text);
	if (fclose(text.out)) {
		free(to);
		return -ENOMEM;
	}
	*ret_text = to;
	return 0;
}

int metrics_render(const struct metrics_options *options, char **ret_text, size_t *ret_len, char *why,
	size_t size)
{
	struct metrics_data *data = malloc(sizeof(*data));
	int ret;

	if (!data) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	ret = metrics_collect(options, data, why, size);
	if (!ret) {
		ret = metrics_print(data, options, ret_text, ret_len);
		if (ret)
			snprintf(why, size, "out of memory");
	}
	metrics_data_done(data);
	free(data);
	return ret;
}
