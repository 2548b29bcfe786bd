// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The keys of [Peer].
#include <errno.h>
#include <stdlib.h>

#include "config/config_internal.h"
#include "config/value.h"

static int set_public_key(struct config_peer *peer, struct slice value, struct problem *problem)
{
	int ret = value_key(value, peer->public_key);

	if (!ret && config_key_is_zero(peer->public_key)) {
		problem->is = "is all zeros";
		ret = -EINVAL;
	}
	return ret;
}

/* All zeros means none, as for wg(8). */
static int set_preshared_key(struct config_peer *peer, struct slice value, struct problem *problem)
{
	int ret = value_key(value, peer->preshared_key);

	if (!ret)
		peer->has_preshared_key = !config_key_is_zero(peer->preshared_key);
	return ret;
}

static int set_allowed_ips(struct config_peer *peer, struct slice value, struct problem *problem)
{
	struct cidr cidr, *place;

	while (slice_next(&value, ",", &problem->item)) {
		if (cidr_parse(problem->item, false, &cidr))
			return -EINVAL;
		place = config_grow(&peer->allowed, &peer->allowed_count, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = cidr;
	}
	return 0;
}

static int set_endpoint(struct config_peer *peer, struct slice value, struct problem *problem)
{
	struct config_endpoint endpoint;
	int ret = value_endpoint(value, &endpoint);

	if (ret)
		return ret;
	free(peer->endpoint.host);
	peer->endpoint = endpoint;
	return 0;
}

static int set_keepalive(struct config_peer *peer, struct slice value, struct problem *problem)
{
	if (slice_is(value, "off")) {
		peer->keepalive_s = 0;
		return 0;
	}
	return value_u16(value, 0, 65535, &peer->keepalive_s);
}

static int set_name(struct config_peer *peer, struct slice value, struct problem *problem)
{
	for (size_t i = 0; i < value.len; i++) {
		if ((unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f)
			return -EINVAL;
	}
	return value.len && slice_copy(value, peer->name, sizeof(peer->name)) ? 0 : -EINVAL;
}

const struct peer_key config_peer_keys[] = {
	{ "PublicKey", set_public_key, "is not a key", FORM_PUBLIC_KEY, false },
	{ "PresharedKey", set_preshared_key, "is not a key", FORM_KEY, true },
	{ "AllowedIPs", set_allowed_ips, "is not a CIDR", FORM_CIDR, false },
	{ "Endpoint", set_endpoint, "is not an endpoint", "ADDRESS:PORT, [IPV6-ADDRESS]:PORT or NAME:PORT",
		false },
	{ "PersistentKeepalive", set_keepalive, "is not an interval", "1-65535 (seconds) or off", false },
	{ "Name", set_name, "is not a name", "1-39 characters", false },
	{}
};
