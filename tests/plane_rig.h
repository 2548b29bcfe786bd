/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The plane of a mesh in this process, on a veth in a namespace and a bpffs of its own, without any mesh:
 * the caller is the mesh.
 */
#ifndef TALON_TESTS_PLANE_RIG_H
#define TALON_TESTS_PLANE_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <sodium.h>

#include "plane/internal.h"
#include "log/log.h"

#define PLANE_RIG_PORT 51820

struct plane_rig {
	struct config config;
	struct plane *c;
};

static inline int plane_rig_isolate(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		return -errno;
	log_bridge_libbpf();
	log_set_level(LOG_LEVEL_ERROR);
	return system("ip link set lo up && ip link add u0 type veth peer name u1 && ip link set u0 up && ip "
		"link set u1 up && ip addr add 192.0.2.1/24 dev u0 && ip route add default via 192.0.2.254");
}

static inline void plane_rig_config(struct plane_rig *rig, const uint8_t seed[static KEY_LEN], uint32_t peers)
{
	struct config *config = &rig->config;

	config_init(config);
	memcpy(config->private_key, seed, KEY_LEN);
	crypto_scalarmult_base(config->public_key, config->private_key);
	config->mesh.enabled = true;
	config->host_address = true;
	config->max_peers = peers;
	config->max_flows = 4096;
	config->keystream_memory = 0;
	config->listen_port = PLANE_RIG_PORT;
	config->port_first = CONFIG_NODE_PORT_FIRST;
	config->port_last = CONFIG_NODE_PORT_LAST;
	strcpy(config->uplinks[0], "u0");
	config->uplink_count = 1;
}

/* Returns 0 or a negative errno with one line on standard error. */
static inline int plane_rig_start(struct plane_rig *rig)
{
	char err[512] = "";
	int ret = -ENOMEM;

	rig->c = plane_new(&rig->config);
	if (rig->c)
		ret = plane_choose(rig->c, err, sizeof(err));
	if (!ret)
		ret = plane_load(rig->c, err, sizeof(err));
	if (!ret)
		ret = plane_open(rig->c, err, sizeof(err));
	if (!ret)
		ret = plane_start(rig->c, err, sizeof(err));
	if (!ret)
		ret = plane_attach(rig->c, err, sizeof(err));
	if (ret)
		fprintf(stderr, "start: %s (%s)\n", err, strerror(-ret));
	return ret;
}

/* The datapath goes on. */
static inline void plane_rig_stop(struct plane_rig *rig)
{
	plane_free(rig->c);
	rig->c = NULL;
}

static inline int plane_rig_down(struct plane_rig *rig)
{
	char err[512] = "";
	int ret;

	plane_rig_stop(rig);
	ret = datapath_down(rig->config.pin_dir, err, sizeof(err));
	config_free(&rig->config);
	return ret;
}

/* Lets the loop run for @ms or until @done says so. */
static inline bool plane_rig_run(struct plane_rig *rig, unsigned ms, bool (*done)(void *ctx), void *ctx)
{
	const uint64_t until = clock_boot_ns() + ms * LOOP_MS;

	while (clock_boot_ns() < until) {
		if (done && done(ctx))
			return true;
		loop_turn(rig->c->loop, 10 * LOOP_MS);
	}
	return done && done(ctx);
}

/* Peer number @i of many: 100.64.1.0 and up, a key that is a point nobody knows the secret of. */
static inline void plane_rig_peer(struct plane_peer *peer, struct cidr *allowed, unsigned i)
{
	memset(peer, 0, sizeof(*peer));
	crypto_generichash(peer->public_key, KEY_LEN, (const uint8_t *)&i, sizeof(i), NULL, 0);
	peer->public_key[KEY_LEN - 1] &= 0x7f;
	snprintf(peer->name, sizeof(peer->name), "peer-%u.example", i);
	peer->keepalive_s = 0;
	*allowed = (struct cidr){ .family = AF_INET, .prefixlen = 32, .addr.word[0] = htonl(0x64400100 + i) };
	peer->allowed = allowed;
	peer->allowed_count = 1;
}

/* Network number @i of many: 10.0.0.0/24 and up. */
static inline struct cidr plane_rig_network(unsigned i)
{
	return (struct cidr){ .family = AF_INET, .prefixlen = 24,
		.addr.word[0] = htonl(0x0a000000 + (i << 8)) };
}

#endif
