// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Starting a plane: memory for its peers, the WireGuard device, what an earlier process left, the maps.
// No program is attached by this.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sodium.h>

#include "plane/internal.h"
#include "log/log.h"

static int make_device(struct plane *p)
{
	struct device_config dc = { .peers_max = p->peers_max, .slots = p->slots };
	int ret;

	memcpy(dc.private_key.bytes, p->config->private_key, KEY_LEN);
	ret = device_new(&p->device, &dc, &plane_device_ops, p);
	secret_key_wipe(&dc.private_key);
	return ret;
}

static void describe(struct plane *p)
{
	struct talon_info old = {}, *info = &p->info;

	map_read(p, DATAPATH_MAP_INFO, 0, &old);
	memset(info, 0, offsetof(struct talon_info, metrics));	/* those are served by now */
	info->layout = TALON_LAYOUT_VERSION;
	info->pid = getpid();
	info->started_ns = clock_boot_ns();
	info->heartbeat_ns = info->started_ns;
	info->datapath_since_ns = old.datapath_since_ns ? old.datapath_since_ns : info->started_ns;
	info->adoptions = old.layout ? old.adoptions + 1 : 0;
	snprintf(info->version, sizeof(info->version), "%s", TALON_VERSION);
	snprintf(info->tunnel, sizeof(info->tunnel), "%s", datapath_get_tunnel(p->dp)->name);
	memcpy(info->public_key, p->config->public_key, sizeof(info->public_key));
	uplinks_describe(p);
	info->threaded = old.layout ? old.threaded : 0;
	snprintf(info->address, sizeof(info->address), "%s", old.address);
	snprintf(info->routes, sizeof(info->routes), "%s", old.routes);
}

static int make_room(struct plane *p)
{
	const struct datapath_sizes *sizes = datapath_get_sizes(p->dp);

	p->peers_max = sizes->peers;
	p->slots = sizes->sessions;
	p->infos = calloc(p->peers_max, sizeof(*p->infos));
	p->slots_of = calloc(p->peers_max, sizeof(*p->slots_of));
	p->percpu = calloc(p->cpus, sizeof(*p->percpu));
	p->neighs = calloc(SEEN_NEIGHS_MAX, sizeof(*p->neighs));
	p->polled = calloc(p->peers_max, sizeof(*p->polled));
	p->notices.peers = calloc(p->peers_max, sizeof(*p->notices.peers));
	return p->infos && p->slots_of && p->percpu && p->neighs && p->polled &&
		p->notices.peers ? 0 : -ENOMEM;
}

int start_fill(struct plane *p, char *err, size_t errlen)
{
	int ret = make_room(p), adopted;

	if (!ret)
		ret = make_device(p);
	if (ret) {
		snprintf(err, errlen, "peers: %s", strerror(-ret));
		return ret;
	}
	/* which side devices an earlier process used depends on its networks */
	ret = apply_read_tables(p);
	if (ret) {
		snprintf(err, errlen, "maps: %s", strerror(-ret));
		return ret;
	}
	ret = map_config_fill(p, err, errlen);
	if (ret)
		return ret;
	if (p->was_adopted)
		adopt_peers(p);
	adopted = adopt_sessions(p);
	if (adopted)
		log_info("took over %d sessions of an earlier process", adopted);
	local_addrs_read(&p->local_addrs);
	locals_start(p);
	describe(p);
	ret = map_write_config(p);
	if (ret)
		snprintf(err, errlen, "maps: %s", strerror(-ret));
	map_write_info(p);
	return ret;
}
