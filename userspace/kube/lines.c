// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A stream of JSON objects, one a line, that comes in pieces of any size.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/internal.h"

static int keep(struct kube_lines *lines, const char *bytes, size_t len)
{
	size_t need = lines->len + len, room = lines->room ? lines->room : 4096;
	char *larger;

	if (need > KUBE_LINE_MAX)
		return -EMSGSIZE;
	while (room < need)
		room *= 2;
	if (room != lines->room) {
		larger = realloc(lines->bytes, room);
		if (!larger)
			return -ENOMEM;
		lines->bytes = larger;
		lines->room = room;
	}
	if (len)
		memcpy(lines->bytes + lines->len, bytes, len);
	lines->len = need;
	return 0;
}

int kube_lines_end(struct kube_lines *lines, kube_line_fn fn, void *ctx)
{
	size_t len = lines->len;

	lines->len = 0;
	return len ? fn(ctx, lines->bytes, len) : 0;
}

int kube_lines_feed(struct kube_lines *lines, const char *bytes, size_t len, kube_line_fn fn, void *ctx)
{
	const char *end;
	int ret = 0;

	while (len && !ret) {
		size_t part;

		end = memchr(bytes, '\n', len);
		part = end ? (size_t)(end - bytes) : len;
		ret = keep(lines, bytes, part);
		if (!ret && end)
			ret = kube_lines_end(lines, fn, ctx);
		part += end != NULL;
		bytes += part;
		len -= part;
	}
	return ret;
}

void kube_lines_done(struct kube_lines *lines)
{
	free(lines->bytes);
	*lines = (struct kube_lines){};
}
