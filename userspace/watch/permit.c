// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Switches captures on and off, and logs them.
#include <bpf/bpf.h>

#include "base/clock.h"
#include "crypto/key.h"
#include "datapath/datapath.h"
#include "log/log.h"
#include "talon/peer_types.h"
#include "talon/watch_types.h"
#include "watch/permit.h"

#define CAPTURE_FLAGS (TALON_F_CAPTURE | TALON_F_NO_CAPTURE)

static void say_began(const struct datapath *dp, const struct talon_watch *watch)
{
	char key[KEY_BASE64_LEN + 1] = "-";
	struct talon_peer_info info = {};

	/* of a capture that is over already, the peer may be gone */
	if (!bpf_map_lookup_elem(datapath_map_fd(dp, DATAPATH_MAP_PEER_INFO), &watch->peer, &info) &&
		info.present)
		key_to_base64(info.public_key, key);
	log_warn("capture: process %u copies what peer %s%s%.*s sends and gets, decrypted", watch->pid, key,
		info.name[0] ? " " : "", (int)sizeof(info.name), info.name);
}

bool watch_permit(struct watch_permit *permit, const struct datapath *dp, bool is_allowed, uint32_t *flags)
{
	const uint32_t which = TALON_WATCH_PACKETS;
	uint32_t fresh = *flags & ~CAPTURE_FLAGS;
	struct talon_watch watch;
	bool is_live;

	if (bpf_map_lookup_elem(datapath_map_fd(dp, DATAPATH_MAP_WATCHES), &which, &watch))
		return false;
	is_live = is_allowed && watch.until_ns > clock_boot_ns();
	if ((*flags & TALON_F_CAPTURE) && !is_live)
		log_warn("capture: ended");
	/*
	 * Also one that is over again, by the flag that the one before had left. What an earlier controller
	 * has seen the end of is no news.
	 */
	if (is_allowed && watch.since_ns != permit->since_ns && (permit->has_looked || is_live))
		say_began(dp, &watch);
	*permit = (struct watch_permit){ .has_looked = true, .since_ns = watch.since_ns };
	fresh |= !is_allowed ? TALON_F_NO_CAPTURE : is_live ? TALON_F_CAPTURE : 0;
	if (fresh == *flags)
		return false;
	*flags = fresh;
	return true;
}
