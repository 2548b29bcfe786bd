// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Messages on the WireGuard port that no device takes.
#include <stdlib.h>
#include <string.h>

#include "packets/port_messages.h"
#include "talon/wg_wire.h"

#define EARLY_MAX	64
#define STUN_HEADER_LEN	20

struct port_early {
	unsigned count;
	struct {
		struct endpoint from;
		size_t len;
		uint8_t bytes[WG_INITIATION_LEN];
	} list[EARLY_MAX];
};

void port_early_keep(struct port_early **at, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	struct port_early *early = *at;

	if (!early)
		*at = early = calloc(1, sizeof(*early));
	if (!early || early->count == EARLY_MAX || len > sizeof(early->list[0].bytes))
		return;
	early->list[early->count].from = *from;
	early->list[early->count].len = len;
	memcpy(early->list[early->count++].bytes, bytes, len);
}

void port_early_replay(struct port_early **at, port_early_fn take, void *ctx)
{
	struct port_early *early = *at;

	*at = NULL;
	for (unsigned i = 0; early && i < early->count; i++)
		take(ctx, &early->list[i].from, early->list[i].bytes, early->list[i].len);
	free(early);
}

/* WireGuard's messages have zeros for a length, and more than a header. */
bool port_is_stun(const uint8_t *bytes, size_t len)
{
	static const uint8_t cookie[] = { 0x21, 0x12, 0xa4, 0x42 };

	return len >= STUN_HEADER_LEN && !(bytes[0] & 0xc0) && !memcmp(bytes + 4, cookie, sizeof(cookie)) &&
	       (size_t)(bytes[2] << 8 | bytes[3]) + STUN_HEADER_LEN == len;
}

bool port_is_punch(const uint8_t *bytes, size_t len)
{
	return len == 2 && bytes[0] == 'n' && bytes[1] == 'b';
}
