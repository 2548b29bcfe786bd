// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What one controller leaves for the next, in two pinned maps.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datapath/datapath.h"
#include "handover/handover.h"
#include "handover/internal.h"
#include "log/log.h"

struct handover {
	int quiet, relayed;
};

void handover_close(struct handover *handover)
{
	if (!handover)
		return;
	if (handover->quiet >= 0)
		close(handover->quiet);
	if (handover->relayed >= 0)
		close(handover->relayed);
	free(handover);
}

int handover_open(const char *pin_dir, struct handover **ret_handover)
{
	struct handover *handover = calloc(1, sizeof(*handover));
	int ret;

	if (!handover)
		return -ENOMEM;
	handover->quiet = datapath_map_open(pin_dir, DATAPATH_MAP_QUIET);
	handover->relayed = datapath_map_open(pin_dir, DATAPATH_MAP_RELAYED);
	if (handover->quiet >= 0 && handover->relayed >= 0) {
		*ret_handover = handover;
		return 0;
	}
	ret = handover->quiet < 0 ? handover->quiet : handover->relayed;
	handover_close(handover);
	return ret;
}

int handover_leave_peer(struct handover *handover, uint32_t id, const uint8_t public_key[static 32],
	const char *relay, uint64_t until_ns)
{
	struct talon_relayed was = { .until_ns = until_ns };
	int len = snprintf(was.relay, sizeof(was.relay), "%s", relay);

	if (len < 0 || (size_t)len >= sizeof(was.relay))
		return -ENAMETOOLONG;
	memcpy(was.public_key, public_key, sizeof(was.public_key));
	return bpf_map_update_elem(handover->relayed, &id, &was, BPF_ANY) ? -errno : 0;
}

int handover_leave_connection(struct handover *handover, const struct talon_quiet *connection,
	uint64_t until_ns)
{
	const __u64 until = until_ns;

	return bpf_map_update_elem(handover->quiet, connection, &until, BPF_ANY) ? -errno : 0;
}

/* A map is as good as whoever wrote it: an id or a name that cannot be is left out. */
static bool is_good(const struct handover_peer *peer, uint64_t now_ns)
{
	const struct talon_relayed *was = &peer->was;

	return was->until_ns > now_ns && was->until_ns - now_ns <= HANDOVER_NS && was->relay[0] &&
		memchr(was->relay, 0, sizeof(was->relay));
}

int handover_take_peers(struct handover *handover, uint64_t now_ns, struct handover_peer **ret_peers)
{
	struct handover_peer *peers = calloc(TALON_RELAYED_MAX, sizeof(*peers));
	uint32_t id, *last = NULL;
	int count = 0;

	if (!peers)
		return -ENOMEM;
	while (count < TALON_RELAYED_MAX && !bpf_map_get_next_key(handover->relayed, last, &id)) {
		struct handover_peer *peer = &peers[count];

		peer->id = id;
		last = &peer->id;
		if (!bpf_map_lookup_elem(handover->relayed, &id, &peer->was) && is_good(peer, now_ns)) {
			count++;
			continue;
		}
		if (bpf_map_delete_elem(handover->relayed, &id))
			break;
		last = count ? &peers[count - 1].id : NULL;
	}
	*ret_peers = peers;
	return count;
}

static void empty(int map, void *key)
{
	while (!bpf_map_get_next_key(map, NULL, key)) {
		if (bpf_map_delete_elem(map, key))
			return;
	}
}

/*
 * One that cannot be provoked is reset when the other side next sends: it is kept quiet no more in any case.
 */
void handover_reset(struct handover *handover)
{
	struct talon_quiet connection;
	int ret;

	while (!bpf_map_get_next_key(handover->quiet, NULL, &connection)) {
		/* not there: another process was faster */
		if (bpf_map_delete_elem(handover->quiet, &connection) && errno != ENOENT)
			return;
		ret = provoke(&connection);
		if (ret)
			log_debug("the relay's old connection: %s", strerror(-ret));
	}
}

void handover_forget(struct handover *handover)
{
	struct talon_quiet connection;
	uint32_t id;

	empty(handover->quiet, &connection);
	empty(handover->relayed, &id);
}
