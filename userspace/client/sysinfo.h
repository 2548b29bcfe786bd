/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The facts about this host that management is told: PeerSystemMeta. */
#ifndef TALON_SYSINFO_H
#define TALON_SYSINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Our NetBird version; its three numbers tell servers and peers which features to expect. What follows
 * has to be build metadata ("+"): servers take anything after a "-" for a pre-release, which no rule of
 * theirs accepts.
 */
#define SYSINFO_NETBIRD_VERSION "0.77.1+talon"

struct sysinfo_flags {
	bool disable_client_routes, disable_server_routes, disable_firewall, block_lan_access, block_inbound,
		disable_ipv6;
	/*
	 * The tunnel can carry IPv6. Said only when it is true: peers prefer the IPv6 address that the server
	 * then gives them. Not said with disable_ipv6.
	 */
	bool carries_ipv6;
};

/*
 * Serializes PeerSystemMeta of this host. @hostname NULL: gethostname(). @files: paths that posture checks
 * ask for. Addresses of devices that come and go with pods are left out, as are link-local ones. The caller
 * frees @ret_bytes. Returns 0 or a negative errno.
 */
int sysinfo_pack(const char *hostname, const struct sysinfo_flags *flags, char *const *files,
	size_t file_count, uint8_t **ret_bytes, size_t *ret_len);

#endif
