// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Addresses as text: what is accepted is written in a form that is accepted again and means the same.
#include "base/cidr.c"
#include "base/host_port.c"
#include "base/server_url.c"
#include "base/setup_key.c"
#include "base/slice.c"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_host_port(struct slice text, unsigned int flags)
{
	struct host_port first, again;
	char host[HOST_LEN], written[HOST_PORT_LEN];

	if (host_port_parse(text, flags, flags & 4 ? 80 : 0, &first))
		return;
	check(slice_copy(first.host, host, sizeof(host)));
	host_port_format(host, first.port, written);
	check(!host_port_parse(slice_from(written), flags, 0, &again));
	check(again.port == first.port && again.host.len == first.host.len &&
		again.is_literal6 == first.is_literal6);
}

static void fuzz_url(const char *text, unsigned int schemes)
{
	struct server_url first, again;
	char written[SERVER_URL_LEN];

	if (server_url_parse(text, schemes, &first))
		return;
	server_url_format(&first, written);
	check(!server_url_parse(written, schemes, &again) && server_url_is_equal(&first, &again));
}

static void fuzz_cidr(struct slice text)
{
	struct cidr first, again;
	char written[CIDR_TEXT_LEN];

	if (cidr_parse(text, false, &first))
		return;
	cidr_format(&first, written, sizeof(written));
	check(!cidr_parse(slice_from(written), false, &again) && first.prefixlen == again.prefixlen);
	check(!memcmp(&first.addr, &again.addr, sizeof(first.addr)));
}

static void fuzz_setup_key(struct slice text)
{
	char first[SETUP_KEY_LEN + 1], again[SETUP_KEY_LEN + 1];

	if (!setup_key_parse(text, first))
		check(!setup_key_parse(slice_from(first), again) && !strcmp(first, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;
	char *copy;

	if (!size)
		return 0;
	copy = malloc(size);
	memcpy(copy, data + 1, size - 1);
	copy[size - 1] = '\0';
	text = (struct slice){ copy, size - 1 };
	fuzz_host_port(text, data[0] & 7);
	fuzz_url(copy, data[0]);
	fuzz_cidr(text);
	fuzz_setup_key(text);
	free(copy);
	return 0;
}
