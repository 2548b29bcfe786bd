// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Bodies of signal messages: what was read can be written and read back unchanged. */
#include "base/endpoint.c"
#include "netbird/signal_body.c"
#include "netbird/wire.c"
#include "signalexchange.pb-c.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct signal_body body, again;
	uint8_t bytes[SIGNAL_BODY_MAX];
	uint8_t *exact = malloc(size ? size : 1);
	int len;

	if (size)
		memcpy(exact, data, size);
	if (!signal_body_parse(exact, size, &body)) {
		len = signal_body_encode(&body, bytes, sizeof(bytes));
		if (len < 0 || signal_body_parse(bytes, len, &again) || again.type != body.type ||
			strcmp(again.pwd, body.pwd) || strcmp(again.candidate, body.candidate))
			abort();
		if (is_description(body.type) &&
			(again.wg_port != body.wg_port || strcmp(again.relay, body.relay) ||
			!endpoint_is_equal(&again.relay_at, &body.relay_at)))
			abort();
	}
	free(exact);
	return 0;
}
