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
	char path[PATH_MAX + 16];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/maps/facts", root);
	fd = bpf_obj_get_opts(path, &opts);
	if (fd < 0) {
		ret = -errno;
		snprintf(why, size, "cannot read map facts: %s", strerror(-ret));
		return ret;
	}
	for (__u32 i = 0; i < TALON_FACTS_ENTRIES; i++) {
		if (bpf_map_lookup_elem(fd, &i, &data->facts[i]))
			data->facts[i] = 0;	/* an earlier version's map may have fewer */
	}
	close(fd);
	return 0;
}

int metrics_collect(const struct metrics_options *options, struct metrics_data *ret_data, char *why,
	size_t size)
{
	struct metrics_data *data = ret_data;
	char root[PATH_MAX];
	int ret;

	*data = (struct metrics_data){};
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

/* CLOCK_BOOTTIME as Unix time. */
static uint64_t unix_of(uint64_t boot_ns)
{
	uint64_t now = clock_boot_ns();

	return boot_ns && boot_ns <= now ? clock_unix_ns() - (now - boot_ns) : 0;
}

int metrics_render(const struct metrics_options *options, char **ret_text, size_t *ret_len, char *why,
	size_t size)
{
	struct metrics_data *data = malloc(sizeof(*data));
	struct metrics_text text = { .format = options->format };
	int ret;

	if (!data) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	ret = metrics_collect(options, data, why, size);
	if (!ret) {
		*ret_text = NULL;
		text.out = open_memstream(ret_text, ret_len);
		ret = text.out ? 0 : -errno;
	}
	if (!ret) {
		text.created_unix_ns = unix_of(data->status.info.datapath_since_ns);
		metrics_write(&text, data);
		metrics_write_peers(&text, data, options->peers);
		metrics_write_mesh(&text, data);
		if (options->aliases)
			metrics_write_aliases(&text, data);
		metrics_end(&text);
		if (fclose(text.out)) {
			ret = -ENOMEM;
			free(*ret_text);
			snprintf(why, size, "out of memory");
		}
	}
	metrics_data_done(data);
	free(data);
	return ret;
}
