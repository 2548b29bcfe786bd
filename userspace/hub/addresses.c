// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Addresses and names of peers: the same for the same key while nobody else has them.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "hub/internal.h"

#define BITS_MOST	16	/* of the host part: one /16, as NetBird has it */
#define LABEL_OWN	59	/* characters of a label without the end of the address */

static size_t host_bits(const struct hub *hub)
{
	return 32 - hub->network.prefixlen;
}

static uint32_t base_of(const struct hub *hub)
{
	return ntohl(hub->network.addr.word[0]);
}

/* The network that was chosen at an earlier start, if it is still in what the file allows. */
static int network_kept(struct hub *hub, const char *name, const struct cidr *within,
	struct cidr *ret_network)
{
	struct cidr network;
	char *text;
	int ret = hubstore_get(hub->store, name, &text);

	if (ret)
		return ret;
	ret = cidr_parse(slice_from(text), false, &network);
	free(text);
	if (ret || network.family != within->family || !cidr_holds(within, &network.addr))
		return -ENOENT;
	*ret_network = network;
	return 0;
}

static int network_keep(struct hub *hub, const char *name, const struct cidr *network)
{
	char text[CIDR_TEXT_LEN];

	cidr_format(network, text, sizeof(text));
	return hubstore_set(hub->store, name, text);
}

static int choose4(struct hub *hub)
{
	const struct cidr *within = &hub->file->network;
	uint32_t more = randombytes_random();

	hub->network = *within;
	if (within->prefixlen >= 32 - BITS_MOST)
		return 0;
	if (!network_kept(hub, "network", within, &hub->network))
		return 0;
	hub->network.prefixlen = 32 - BITS_MOST;
	more &= ~(0xffffffffU << (32 - within->prefixlen)) & 0xffff0000U;
	hub->network.addr.word[0] = htonl(ntohl(within->addr.word[0]) | more);
	return network_keep(hub, "network", &hub->network);
}

/* A random /64 of fd00::/8 (RFC 4193 section 3.2). */
static int choose6(struct hub *hub)
{
	static const struct cidr any_local = { .family = AF_INET6, .prefixlen = 8,
		.addr.word[0] = __builtin_bswap32(0xfd000000) };
	struct cidr made = { .family = AF_INET6, .prefixlen = 64 };
	uint8_t *bytes = (uint8_t *)&made.addr;

	hub->network6 = hub->file->network6;
	if (hub->network6.family) {
		if (!hub->network6.prefixlen)
			hub->network6 = (struct cidr){};
		return 0;
	}
	if (!network_kept(hub, "network6", &any_local, &hub->network6))
		return 0;
	randombytes_buf(bytes, 8);
	bytes[0] = 0xfd;
	hub->network6 = made;
	return network_keep(hub, "network6", &made);
}

int hub_addresses_init(struct hub *hub, char why[static HUB_WHY_LEN])
{
	int ret = choose4(hub);

	if (!ret)
		ret = choose6(hub);
	if (ret) {
		snprintf(why, HUB_WHY_LEN, "the mesh's network cannot be kept: %.200s",
			hubstore_why(hub->store));
		return ret;
	}
	hub->taken = calloc((1UL << host_bits(hub)) / 8 + 1, 1);
	if (!hub->taken) {
		snprintf(why, HUB_WHY_LEN, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

static bool is_within(const struct hub *hub, __be32 address, uint32_t *ret_host)
{
	*ret_host = ntohl(address) - base_of(hub);
	return *ret_host < 1UL << host_bits(hub);
}

void hub_address_take(struct hub *hub, __be32 address, bool is_taken)
{
	uint32_t host;

	if (!is_within(hub, address, &host))
		return;
	if (is_taken)
		hub->taken[host / 8] |= 1 << host % 8;
	else
		hub->taken[host / 8] &= ~(1 << host % 8);
}

bool hub_address_is_free(const struct hub *hub, __be32 address)
{
	uint32_t host;

	return is_within(hub, address, &host) && !(hub->taken[host / 8] & 1 << host % 8);
}

/* Where the search begins: known to nobody who does not know the hub's box key, the same each time. */
static void spread(const struct hub *hub, const uint8_t *key, uint8_t ret_bytes[16])
{
	crypto_generichash(ret_bytes, 16, key, KEY_LEN, hub->box.bytes, sizeof(hub->box.bytes));
}

/* The file keeps it for one peer, who may come later. */
static bool is_promised(const struct hub *hub, __be32 address)
{
	for (size_t i = 0; i < hub->file->peer_count; i++) {
		const struct cidr *own = &hub->file->peers[i].address;

		if (own->family && own->addr.word[0] == address)
			return true;
	}
	return false;
}

static bool take_promised(const struct hub *hub, const uint8_t *key, const char *hostname,
	__be32 *ret_address)
{
	char text[KEY_BASE64_LEN + 1], label[HUB_LABEL_MAX + 1];

	key_to_base64(key, text);
	hub_label_make(hostname, label);
	for (size_t i = 0; i < hub->file->peer_count; i++) {
		const struct hubfile_peer *peer = &hub->file->peers[i];

		if (peer->address.family && (!strcmp(peer->match, text) || !strcmp(peer->match, label)) &&
			hub_address_is_free(hub, peer->address.addr.word[0])) {
			*ret_address = peer->address.addr.word[0];
			return true;
		}
	}
	return false;
}

int hub_address_pick(struct hub *hub, const uint8_t key[static KEY_LEN], const char *hostname,
	__be32 *ret_address)
{
	const uint32_t hosts = 1UL << host_bits(hub);
	uint32_t start, host;
	uint8_t bytes[16];
	__be32 address;

	if (take_promised(hub, key, hostname, ret_address))
		return 0;
	spread(hub, key, bytes);
	memcpy(&start, bytes, sizeof(start));
	for (uint32_t i = 0; i < hosts; i++) {
		host = (start + i) % hosts;
		/* neither the network's own address nor its broadcast, nor one that looks like it */
		if (host == 0 || host == hosts - 1 || (host & 0xff) == 0 || (host & 0xff) == 0xff)
			continue;
		address = htonl(base_of(hub) + host);
		if (hub_address_is_free(hub, address) && !is_promised(hub, address)) {
			*ret_address = address;
			return 0;
		}
	}
	return -EADDRNOTAVAIL;
}

void hub_address6_pick(const struct hub *hub, const uint8_t key[static KEY_LEN],
	struct talon_addr *ret_address)
{
	uint8_t bytes[16], *to = (uint8_t *)ret_address;
	size_t own = (hub->network6.prefixlen + 7) / 8;

	*ret_address = hub->network6.addr;
	if (!hub->network6.family)
		return;
	spread(hub, key, bytes);
	memcpy(to + own, bytes, sizeof(bytes) - own);
	to[15] |= 1;	/* never the address of all routers (RFC 4291 section 2.6.1) */
}

/* Names */

void hub_label_make(const char *hostname, char ret_label[static HUB_LABEL_MAX + 1])
{
	size_t len = 0;

	for (; *hostname && *hostname != '.' && len < LABEL_OWN; hostname++) {
		unsigned char c = *hostname;

		if ((c & 0xc0) == 0x80)
			continue;	/* one dash for each character, whatever its length */
		c = isascii(c) && isalnum(c) ? tolower(c) : '-';
		if (len || c != '-')
			ret_label[len++] = c;
	}
	while (len && ret_label[len - 1] == '-')
		len--;
	ret_label[len] = '\0';
	if (!len)
		strcpy(ret_label, "peer");
}

/* Somebody has it or had it, or the file gives it to another than who joins with it. */
static bool is_label_taken(const struct hub *hub, const char *label)
{
	for (size_t i = 0; i < hub->file->peer_count; i++) {
		const struct hubfile_peer *peer = &hub->file->peers[i];

		if (peer->name && !strcmp(peer->name, label) && strcmp(peer->match, label))
			return true;
	}
	return hub_roster_find_name(&hub->roster, label);
}

void hub_label_pick(const struct hub *hub, const char *hostname, __be32 address, bool with_address,
	char ret_label[static HUB_LABEL_MAX + 1])
{
	const uint8_t *bytes = (const uint8_t *)&address;
	size_t len;

	hub_label_make(hostname, ret_label);
	if (!with_address && !is_label_taken(hub, ret_label))
		return;
	len = strnlen(ret_label, HUB_LABEL_MAX - 8);
	snprintf(ret_label + len, HUB_LABEL_MAX + 1 - len, "-%u-%u", bytes[2], bytes[3]);
	for (unsigned int i = 2; is_label_taken(hub, ret_label); i++)
		snprintf(ret_label + len, HUB_LABEL_MAX + 1 - len, "-%u-%x", bytes[3] % 256, i);
}
