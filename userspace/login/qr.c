// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A page's address as a QR code on a terminal, by libqrencode, which is loaded when somebody asks for it.
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#include <qrencode.h>

#include "login/internal.h"

#define LIBRARY	"libqrencode.so.4"
#define QUIET	2		/* modules around it; four on paper, and terminals are dark outside */

static struct {
	typeof(QRcode_encodeString) *encode;
	typeof(QRcode_free) *free;
} lib;

static bool load(void)
{
	void *handle = lib.encode ? NULL : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (handle) {
		lib.free = dlsym(handle, "QRcode_free");
		lib.encode = lib.free ? dlsym(handle, "QRcode_encodeString") : NULL;
	}
	return lib.encode;
}

int login_can_draw(FILE *out, char *why, size_t size)
{
	if (!isatty(fileno(out))) {
		snprintf(why, size, "--qr: expected a terminal to draw on");
		return -ENOTTY;
	}
	if (!load()) {
		snprintf(why, size, "--qr: needs " LIBRARY ", which cannot be loaded: install libqrencode4");
		return -ELIBACC;
	}
	return 0;
}

static bool is_dark(const QRcode *code, int x, int y)
{
	return x >= 0 && y >= 0 && x < code->width && y < code->width && code->data[y * code->width + x] & 1;
}

/* Two rows of modules to a line of text, light ones drawn: most terminals are dark. */
static void draw_line(FILE *out, const QRcode *code, int y)
{
	static const char *const blocks[] = { "\xe2\x96\x88", "\xe2\x96\x80", "\xe2\x96\x84", " " };

	for (int x = -QUIET; x < code->width + QUIET; x++)
		fputs(blocks[is_dark(code, x, y) << 1 | is_dark(code, x, y + 1)], out);
	fputc('\n', out);
}

int qr_draw(FILE *out, const char *text)
{
	QRcode *code = load() ? lib.encode(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1) : NULL;

	if (!code)
		return -EINVAL;
	for (int y = -QUIET; y < code->width + QUIET; y += 2)
		draw_line(out, code, y);
	fputc('\n', out);
	lib.free(code);
	return 0;
}
