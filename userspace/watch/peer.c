// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Finds the peer that somebody means by a key, an address or a name.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "crypto/key.h"
#include "watch/peer.h"

static const struct status_peer *by_key(const struct status *status, const uint8_t key[static KEY_LEN])
{
	for (size_t i = 0; i < status->peer_count; i++) {
		if (key_is_equal(status->peers[i].info.public_key, key))
			return &status->peers[i];
	}
	return NULL;
}

static const struct status_peer *by_address(const struct status *status, __u8 family,
	const struct talon_addr *addr)
{
	const struct status_peer *best = NULL;
	__u32 longest = 0;

	for (size_t i = 0; i < status->peer_count; i++) {
		const struct status_peer *peer = &status->peers[i];

		for (size_t j = 0; j < peer->allowed_count; j++) {
			if (peer->allowed[j].family != family || !cidr_holds(&peer->allowed[j], addr) ||
				(best && peer->allowed[j].prefixlen <= longest))
				continue;
			best = peer;
			longest = peer->allowed[j].prefixlen;
		}
	}
	return best;
}

/* @len: how much of the peer's name has to be @text. */
static bool is_named(const struct status_peer *peer, const char *text, size_t len)
{
	return len && strlen(text) == len && !strncasecmp(peer->info.name, text, len);
}

static const struct status_peer *by_name(const struct status *status, const char *text, bool whole,
	size_t *ret_count)
{
	const struct status_peer *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < status->peer_count; i++) {
		const char *name = status->peers[i].info.name;
		size_t len = strnlen(name, sizeof(status->peers[i].info.name));
		const char *dot = memchr(name, '.', len);

		if (!is_named(&status->peers[i], text, whole || !dot ? len : (size_t)(dot - name)))
			continue;
		found = &status->peers[i];
		++*ret_count;
	}
	return found;
}

int watch_find_peer(const struct status *status, const char *text, const struct status_peer **ret_peer,
	char *why, size_t size)
{
	const struct status_peer *found;
	uint8_t key[KEY_LEN];
	size_t count = 1;
	const __u8 family = strchr(text, ':') ? AF_INET6 : AF_INET;
	struct talon_addr addr = {};

	if (!key_from_base64(text, key)) {
		found = by_key(status, key);
	} else if (inet_pton(family, text, &addr) == 1) {
		found = by_address(status, family, &addr);
	} else {
		found = by_name(status, text, true, &count);
		if (!found)
			found = by_name(status, text, false, &count);
	}
	if (found && count == 1) {
		*ret_peer = found;
		return 0;
	}
	if (found)
		snprintf(why, size, "'%.60s' is the name of %zu peers; write the key of one", text, count);
	else
		snprintf(why, size, "'%.60s' is no peer; expected a public key, a name or an address in the "
			"mesh, as talon status -d shows them", text);
	return -EINVAL;
}

void watch_peer_name(const struct talon_peer_info *info, char ret_name[static WATCH_PEER_NAME_LEN])
{
	if (info->name[0])
		snprintf(ret_name, WATCH_PEER_NAME_LEN, "%.*s", (int)sizeof(info->name), info->name);
	else
		key_to_base64(info->public_key, ret_name);
}
