// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Answers of a SOCKS5 proxy: parsed whole and byte by byte they give the same result, and no byte too many is
// consumed.
#include <stdlib.h>

#include "stream/socks.c"

struct outcome {
	int ret;
	size_t used, sent;
};

static struct outcome talk(const struct proxy *proxy, const uint8_t *bytes, size_t len, size_t most)
{
	uint8_t out[SOCKS_OUT_MAX];
	struct socks socks;
	struct outcome o = { .ret = -EAGAIN, .sent = socks_begin(&socks, proxy, out) };

	while (o.ret == -EAGAIN && o.used < len) {
		size_t take = socks.want - socks.have, more;

		if (!take || socks.want > SOCKS_IN_MAX)
			abort();
		take = take > most ? most : take;
		take = take > len - o.used ? len - o.used : take;
		o.ret = socks_take(&socks, proxy, "mesh.test", 443, bytes + o.used, take, out, &more);
		o.used += take;
		o.sent += more;
		if (o.ret && o.ret != -EAGAIN && !socks.why)
			abort();
	}
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proxy proxy = { .is_socks = true };
	struct outcome whole, parts;

	if (!len)
		return 0;
	if (data[0] & 1) {
		proxy.user = (char *)"me";
		proxy.password = (char *)"secret";
	}
	whole = talk(&proxy, data + 1, len - 1, SOCKS_IN_MAX);
	parts = talk(&proxy, data + 1, len - 1, 1);
	if (whole.ret != parts.ret || whole.used != parts.used || whole.sent != parts.sent)
		abort();
	return 0;
}
