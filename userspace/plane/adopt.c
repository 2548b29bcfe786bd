// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What an earlier process left goes on: peers with their endpoints, and sessions under our key.
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "plane/internal.h"

static void take_way(struct plane *p, uint32_t id, const struct talon_endpoint *at,
	struct device_peer_config *pc)
{
	struct plane_slot *slot = &p->slots_of[id];

	slot->roams = plane_is_pinned(p) && !(at->flags & TALON_ENDPOINT_PINNED);
	slot->way = slot->roams ? PLANE_NOWHERE
		: at->flags & TALON_ENDPOINT_RELAY ? PLANE_RELAY : PLANE_DIRECT;
	pc->is_pinned &= !slot->roams;
}

/*
 * Takes over a peer that an earlier process left, with its endpoint, so that its sessions continue.
 * Preshared keys come with the first desired state: until then the peer makes no handshakes, and if
 * that state does not name it, it is removed.
 */
static int adopt_peer(struct plane *p, uint64_t now, uint32_t id)
{
	const struct talon_peer_info *info = &p->infos[id];
	struct device_peer_config pc = { .keepalive_s = info->keepalive_s, .is_pinned = plane_is_pinned(p),
		.is_unconfirmed = true };
	struct talon_endpoint at;

	memcpy(pc.public_key, info->public_key, KEY_LEN);
	memcpy(pc.timestamp, info->timestamp, sizeof(pc.timestamp));
	pc.stats = (struct device_peer_stats){
		.handshakes = info->handshakes,
		.handshake_ns = info->handshake_ns,
		.handshake_unix_s = info->handshake_unix_s,
		.rx_bytes = info->handshake_rx_bytes,
		.tx_bytes = info->handshake_tx_bytes,
	};
	if (!endpoints_read(&p->endpoints, id, &at) && at.family)
		endpoints_from_map(&at, &pc.endpoint);
	if (pc.endpoint.family)
		take_way(p, id, &at, &pc);
	p->slots_of[id].was_used = true;
	return device_add_peer(p->device, now, id, &pc);
}

/* Frees slots that hold something we cannot have written. */
void adopt_peers(struct plane *p)
{
	uint64_t now = clock_boot_ns();

	for (uint32_t i = 0; i < p->peers_max; i++) {
		if (!map_read(p, DATAPATH_MAP_PEER_INFO, i, &p->infos[i]) && p->infos[i].present &&
			!adopt_peer(p, now, i))
			continue;
		p->slots_of[i].was_used = true;
		if (!p->infos[i].present)
			continue;
		memset(&p->infos[i], 0, sizeof(p->infos[i]));
		map_write(p, DATAPATH_MAP_PEER_INFO, i, &p->infos[i], BPF_ANY);
	}
}

/* Takes over one slot of the session array. Returns whether a session continues in it. */
static bool adopt_slot(struct plane *p, uint64_t now, uint32_t slot, const struct talon_session *session,
	bool same_key)
{
	static const uint8_t zeros[sizeof(session->recv_key)];
	struct talon_replay window;
	struct talon_peer_tx tx;
	int ret = -EINVAL;

	if (session->index && same_key && session->peer < p->peers_max && p->infos[session->peer].present &&
	    !map_read(p, DATAPATH_MAP_REPLAY, slot, &window) &&
	    !map_read(p, DATAPATH_MAP_PEER_TX, session->peer, &tx))
		ret = device_adopt_session(p->device, now, session, window.state, tx.index == session->index);
	if (ret && ret != -ESTALE && ret != -EEXIST &&
	    (session->index || memcmp(session->recv_key, zeros, sizeof(zeros)) ||
	    memcmp(session->send_key, zeros, sizeof(zeros))))
		device_adopt_retired(p->device, now, slot);
	return !ret;
}

/*
 * Sessions of an earlier process continue if they were made with our key; others end before anything
 * else changes. Slots that hold nothing but old keys are overwritten.
 */
int adopt_sessions(struct plane *p)
{
	uint64_t now = clock_boot_ns();
	struct talon_session session;
	struct talon_info old;
	bool same_key;
	int adopted = 0;

	if (!p->was_adopted || map_read(p, DATAPATH_MAP_INFO, 0, &old))
		return 0;
	same_key = !memcmp(old.public_key, p->config->public_key, KEY_LEN);
	for (uint32_t slot = 0; slot < p->slots; slot++) {
		if (!map_read(p, DATAPATH_MAP_SESSIONS, slot, &session))
			adopted += adopt_slot(p, now, slot, &session, same_key);
	}
	sodium_memzero(&session, sizeof(session));
	return adopted;
}
