// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What Talon does with each key of default.json.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "netbird/profile_keys.h"

#define UNKNOWN_LEN	400
#define NO_SSH		"Talon runs no SSH server"
#define FOR_PKCE	"shown to the identity provider when a browser signs in"

static const struct profile_key table[] = {
	{ "Name", PROFILE_KEPT, "the profile's name on screens" },
	{ "PrivateKey", PROFILE_HONOURED, "who this peer is" },
	{ "PreSharedKey", PROFILE_HONOURED, "WireGuard's, of all peers" },
	{ "ManagementURL", PROFILE_HONOURED,
		"the server, until another one is given; then that is written here" },
	{ "AdminURL", PROFILE_KEPT, "the dashboard's address, which Talon does not need" },
	{ "WgIface", PROFILE_HONOURED, "the tunnel device" },
	{ "WgPort", PROFILE_HONOURED, "WireGuard's UDP port" },
	{ "NetworkMonitor", PROFILE_KEPT, "Talon always follows the host's devices and routes" },
	{ "IFaceBlackList", PROFILE_SAID, "Talon offers the addresses of its uplinks and no others; entries "
		"beyond NetBird's own are named" },
	{ "DisableIPv6Discovery", PROFILE_SAID, "IPv6 addresses of the uplinks are offered to peers" },
	{ "RosenpassEnabled", PROFILE_REFUSED,
		"Talon does not speak Rosenpass; only said where RosenpassPermissive is true too" },
	{ "RosenpassPermissive", PROFILE_KEPT, "Talon does not speak Rosenpass" },
	{ "ServerSSHAllowed", PROFILE_SAID, NO_SSH },
	{ "EnableSSHRoot", PROFILE_SAID, NO_SSH },
	{ "EnableSSHSFTP", PROFILE_SAID, NO_SSH },
	{ "EnableSSHLocalPortForwarding", PROFILE_SAID, NO_SSH },
	{ "EnableSSHRemotePortForwarding", PROFILE_SAID, NO_SSH },
	{ "DisableSSHAuth", PROFILE_SAID, NO_SSH },
	{ "SSHJWTCacheTTL", PROFILE_SAID, NO_SSH },
	{ "DisableClientRoutes", PROFILE_HONOURED, "use no networks of others" },
	{ "DisableServerRoutes", PROFILE_HONOURED, "serve no networks" },
	{ "DisableDNS", PROFILE_KEPT, "Talon never touches the host's resolver" },
	{ "DisableFirewall", PROFILE_HONOURED, "enforce no access rules" },
	{ "BlockLANAccess", PROFILE_HONOURED, "keep peers out of the networks this host is in" },
	{ "BlockInbound", PROFILE_HONOURED, "let no peer open a connection" },
	{ "DisableIPv6", PROFILE_HONOURED, "no IPv6 inside the mesh" },
	{ "SyncMessageVersion", PROFILE_SAID, "Talon asks for classic maps, which is version 0" },
	{ "DisableNotifications", PROFILE_KEPT, "Talon has no desktop" },
	{ "DNSLabels", PROFILE_HONOURED, "more names for this peer" },
	{ "SSHKey", PROFILE_HONOURED, "its public half is told to management, as the client does" },
	{ "NATExternalIPs", PROFILE_SAID, "Talon learns its outer addresses from STUN" },
	{ "CustomDNSAddress", PROFILE_SAID, "Talon leaves the host's resolver alone" },
	{ "DisableAutoConnect", PROFILE_SAID, "Talon connects when it is started" },
	{ "DNSRouteInterval", PROFILE_SAID,
		"Talon follows the time to live of the answers; 60 s, the default, is not named" },
	{ "ClientCertPath", PROFILE_HONOURED, FOR_PKCE },
	{ "ClientCertKeyPath", PROFILE_HONOURED, FOR_PKCE },
	{ "LazyConnectionEnabled", PROFILE_SAID, "the account decides, and NB_LAZY_CONN over it" },
	{ "MTU", PROFILE_HONOURED, "the largest packet inside" },
	{},
};

const struct profile_key *profile_keys(void)
{
	return table;
}

const char *profile_verdict_name(enum profile_verdict verdict)
{
	static const char *const names[] = { "honoured", "refused", "said", "kept" };

	return names[verdict];
}

/* What NetBird's client writes by default. */
static bool is_default_prefix(const char *prefix)
{
	static const char *const defaults[] = {
		"wt0", "wt", "utun", "tun0", "zt", "ZeroTier", "wg", "ts", "Tailscale", "tailscale", "docker",
		"veth", "br-", "lo",
	};

	for (size_t i = 0; prefix && i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		if (!strcmp(defaults[i], prefix))
			return true;
	}
	return false;
}

static bool has_own_prefix(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		if (!is_default_prefix(json_string_value(item)))
			return true;
	}
	return false;
}

/* True if the value is not a default, so that somebody chose it. */
static bool asks(const char *name, const json_t *value)
{
	if (!strcmp(name, "IFaceBlackList"))
		return has_own_prefix(value);
	if (!strcmp(name, "DNSRouteInterval") && json_integer_value(value) == 60000000000LL)
		return false;
	switch (json_typeof(value)) {
	case JSON_TRUE:
		return true;
	case JSON_STRING:
		return json_string_length(value);
	case JSON_INTEGER:
		return json_integer_value(value);
	case JSON_REAL:
		return json_real_value(value) != 0;
	case JSON_ARRAY:
		return json_array_size(value);
	case JSON_OBJECT:
		return json_object_size(value);
	default:
		return false;
	}
}

static const struct profile_key *find(const char *name)
{
	for (const struct profile_key *key = table; key->name; key++) {
		if (!strcmp(key->name, name))
			return key;
	}
	return NULL;
}

static void list_unknown(char names[static UNKNOWN_LEN], const char *name)
{
	size_t used = strlen(names);

	if (used + strlen(name) + 3 < UNKNOWN_LEN)
		snprintf(names + used, UNKNOWN_LEN - used, "%s%s", used ? ", " : "", name);
}

static bool is_permissive(const json_t *json)
{
	return json_is_true(json_object_get(json, "RosenpassPermissive"));
}

int profile_judge(const void *json, bool no_rosenpass, profile_say_fn say, void *ctx, char *why, size_t size)
{
	char unknown[UNKNOWN_LEN] = "";
	const struct profile_key *key;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)json, name, value) {
		key = find(name);
		if (!key) {
			list_unknown(unknown, name);
			continue;
		}
		if ((key->verdict != PROFILE_SAID && key->verdict != PROFILE_REFUSED) || !asks(name, value))
			continue;
		if (key->verdict == PROFILE_REFUSED && no_rosenpass)
			continue;
		if (key->verdict == PROFILE_REFUSED && !is_permissive(json)) {
			snprintf(why, size,
				"%s is true, and Talon does not speak Rosenpass: write false there, or "
				"NB_ENABLE_ROSENPASS=false", name);
			return -EOPNOTSUPP;
		}
		say(ctx, name, key->meaning);
	}
	if (unknown[0])
		say(ctx, unknown, "not known; kept as it is");
	return 0;
}
