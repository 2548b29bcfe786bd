// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Captures of a peer's packets (talon/watch_types.h): lets the programs copy while one runs, unless that is
// forbidden, and
// sees to it that none happens in silence.
#include "crypto/key.h"
#include "log/log.h"
#include "plane/internal.h"
#include "talon/watch_types.h"

#define CAPTURE_FLAGS (TALON_F_CAPTURE | TALON_F_NO_CAPTURE)

/* The key of @peer, or "-". Of a capture that is over, the peer may be gone. */
static const char *key_of(const struct plane *p, uint32_t peer, char text[static KEY_BASE64_LEN + 1])
{
	if (peer >= p->peers_max || !p->infos[peer].present)
		return "-";
	key_to_base64(p->infos[peer].public_key, text);
	return text;
}

static uint32_t name_len(const struct plane *p, uint32_t peer)
{
	return peer < p->peers_max ? strnlen(p->infos[peer].name, sizeof(p->infos[peer].name)) : 0;
}

static void say_began(const struct plane *p, const struct talon_watch *watch)
{
	char key[KEY_BASE64_LEN + 1];

	log_warn("capture: process %u copies what peer %s%s%.*s sends and gets, decrypted", watch->pid,
		key_of(p, watch->peer, key), name_len(p, watch->peer) ? " " : "",
		(int)name_len(p, watch->peer),
		watch->peer < p->peers_max ? p->infos[watch->peer].name : "");
}

void captures_start(struct plane *p)
{
	struct talon_watch watch;

	/* one that a process before us reported is none of ours, unless it goes on */
	if (!map_read(p, DATAPATH_MAP_WATCHES, TALON_WATCH_PACKETS, &watch) &&
		watch.until_ns <= clock_boot_ns())
		p->capture_since_ns = watch.since_ns;
}

void captures_tick(struct plane *p, uint64_t now)
{
	uint32_t flags = p->config->capture ? 0 : TALON_F_NO_CAPTURE;
	struct talon_watch watch;

	if (map_read(p, DATAPATH_MAP_WATCHES, TALON_WATCH_PACKETS, &watch))
		return;
	if (p->config->capture && watch.until_ns > now)
		flags |= TALON_F_CAPTURE;
	if ((p->map_config.flags & TALON_F_CAPTURE) && !(flags & TALON_F_CAPTURE))
		log_warn("capture: ended");
	/* also one that was over before this second came, by the leave that the last one left behind */
	if (p->config->capture && watch.since_ns != p->capture_since_ns) {
		say_began(p, &watch);
		p->capture_since_ns = watch.since_ns;
	}
	if ((p->map_config.flags & CAPTURE_FLAGS) == flags)
		return;
	p->map_config.flags = (p->map_config.flags & ~CAPTURE_FLAGS) | flags;
	map_write_config(p);
}
