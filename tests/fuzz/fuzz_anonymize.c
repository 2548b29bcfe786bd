// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Any text through the anonymizer at each level: a secret never comes out, and without anything to hide or to
// replace the text is as it was.
#include <assert.h>
#include <stdint.h>

#include "../../userspace/base/interner.c"
#include "../../userspace/bundle/match.c"
#include "../../userspace/bundle/anonymize.c"

#define SECRET "hunter22"
#define TEXT_MAX 400

static void at_level(enum anon_level level, const char *text, size_t size)
{
	struct anon *anon;
	char *first = NULL, *second = NULL;
	size_t len, second_len;
	FILE *out;

	if (anon_new(level, &anon))
		return;
	anon_hide(anon, SECRET);
	anon_name(anon, "laptop.example.com");
	out = open_memstream(&first, &len);
	assert(!anon_write(anon, text, size, out));
	fclose(out);
	assert(!memmem(first, len, SECRET, strlen(SECRET)));
	/* One original has one placeholder, also the second time. */
	out = open_memstream(&second, &second_len);
	assert(!anon_write(anon, text, size, out));
	fclose(out);
	assert(len == second_len && !memcmp(first, second, len));
	if (level == ANON_NONE && !memmem(first, len, ANON_HIDDEN, strlen(ANON_HIDDEN)))
		assert(len == size && !memcmp(first, text, len));
	free(first);
	free(second);
	anon_free(anon);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > TEXT_MAX)
		size = TEXT_MAX;
	for (enum anon_level level = ANON_NONE; level <= ANON_STRICT; level++)
		at_level(level, (const char *)data, size);
	return 0;
}
