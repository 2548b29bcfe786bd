// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Takes captured packets from the ring into the file, up to the limits.
#include <linux/if_ether.h>
#include <string.h>

#include "talon/watch_types.h"
#include "watch/capture.h"

int capture_begin(struct capture *capture, FILE *out, const char *description, uint32_t size)
{
	capture->error = pcapng_begin(&capture->file, out, description, size);
	return capture->error;
}

void capture_take(struct capture *capture, const void *record, size_t size)
{
	struct talon_packet_head head;

	if (capture->is_full || capture->error || size < sizeof(head))
		return;
	memcpy(&head, record, sizeof(head));
	if (head.peer != capture->peer || head.size > head.len || size - sizeof(head) < ETH_HLEN ||
		head.size > size - sizeof(head) - ETH_HLEN)
		return;
	capture->error = pcapng_packet(&capture->file, head.time_ns + capture->unix_minus_boot_ns,
		head.dir == TALON_DIR_IN, (const uint8_t *)record + sizeof(head) + ETH_HLEN, head.size,
		head.len);
	if (capture->error)
		return;
	capture->packets++;
	capture->plain_bytes += head.size;
	capture->is_full = capture->packets >= capture->limits.packets ||
		capture->file.bytes >= capture->limits.bytes;
}

int capture_end(struct capture *capture, uint64_t unix_ns, uint64_t lost)
{
	if (!capture->error)
		capture->error = pcapng_end(&capture->file, unix_ns, capture->packets + lost, lost);
	return capture->error;
}
