/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What we tell management about this host: PeerSystemMeta. */
#ifndef TALON_SYSINFO_H
#define TALON_SYSINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What we say instead of a NetBird version: its semantic part decides what servers and peers think we can do.
 */
#define SYSINFO_NETBIRD_VERSION "0.66.4+talon"

struct sysinfo_flags {
	bool disable_client_routes, disable_server_routes, disable_firewall, block_lan_access, block_inbound,
		lazy_connection;
};

/*
 * Serializes PeerSystemMeta of this host. @hostname NULL: gethostname(). @files: posture check paths to
 * answer. Addresses are only those of devices that do not come and go with pods. The caller frees @ret_bytes.
 * Returns 0 or a negative errno.
 */
int sysinfo_pack(const char *hostname, const struct sysinfo_flags *flags, char *const *files,
	size_t file_count, uint8_t **ret_bytes, size_t *ret_len);

#endif
