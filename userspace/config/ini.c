// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Lines of a wg(8) configuration file. Nothing is copied: private keys stay in the caller's buffer.
#include <string.h>

#include "config/ini.h"

void ini_start(struct ini *ini, const char *text, size_t len)
{
	static const char bom[] = "\xef\xbb\xbf";

	ini->rest = (struct slice){ text, len };
	ini->line = 0;
	if (len >= 3 && !memcmp(text, bom, 3)) {
		ini->rest.at += 3;
		ini->rest.len -= 3;
	}
}

static struct ini_item broken(unsigned int line, const char *problem)
{
	return (struct ini_item){ .kind = INI_BROKEN, .line = line, .problem = problem };
}

static struct ini_item section(struct slice text, unsigned int line)
{
	if (text.len < 2 || text.at[text.len - 1] != ']')
		return broken(line, "a section has no ']'; expected [Interface] or [Peer]");
	text.at++;
	text.len -= 2;
	return (struct ini_item){ .kind = INI_SECTION, .line = line, .name = slice_trim(text) };
}

static struct ini_item pair(struct slice text, unsigned int line)
{
	const char *equals = memchr(text.at, '=', text.len);
	struct slice name, value;

	if (!equals)
		return broken(line, "a line has no '='; expected KEY = VALUE");
	name = (struct slice){ text.at, equals - text.at };
	value = (struct slice){ equals + 1, text.len - name.len - 1 };
	return (struct ini_item){ INI_PAIR, line, slice_trim(name), slice_trim(value), NULL };
}

struct ini_item ini_next(struct ini *ini)
{
	while (ini->rest.len) {
		struct slice line = slice_cut(&ini->rest, "\n"), text;

		ini->line++;
		if (memchr(line.at, '\0', line.len))
			return broken(ini->line, "a line holds a NUL byte; expected plain text");
		text = slice_trim(slice_cut(&line, "#"));
		if (!text.len)
			continue;
		return text.at[0] == '[' ? section(text, ini->line) : pair(text, ini->line);
	}
	return (struct ini_item){ .kind = INI_END, .line = ini->line };
}
