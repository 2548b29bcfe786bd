// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Letters in one argument, as NetBird's client takes them: `status -dA` is `status -d -A`, and `-ldebug` is
// `-l debug`.
#include <stdlib.h>
#include <string.h>

#include "cli/short_flags.h"

/* Letters of all commands, and those that some have beside them. */
#define SWITCHES	"A"
#define VALUES		"mlknsc"

static const struct letters {
	const char *command, *switches, *values;
} commands[] = {
	{ "status", "djy46", "INSTC" }, { "up", "FN", "" }, { "login", "", "" }, { "service", "FN", "" },
	{ "networks", "a", "" }, { "down", "", "" }, { "logout", "", "" }, { "forwarding", "", "" },
	{ "profile", "", "" }, { "version", "", "" }, { "expose", "", "" }, { "debug", "SU", "C" },
};

static const struct letters *find(const char *command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].command, command))
			return &commands[i];
	}
	return NULL;
}

static bool is_switch(const struct letters *l, char c)
{
	return strchr(SWITCHES, c) || strchr(l->switches, c);
}

/*
 * How many leading letters of @text are switches, if what follows them is the end or, with @values, a letter
 * with its value; else 0.
 */
static size_t count(const struct letters *l, const char *text, bool values)
{
	size_t n = 0;

	while (text[n] && is_switch(l, text[n]))
		n++;
	if (!text[n])
		return n;
	return values && (strchr(VALUES, text[n]) || strchr(l->values, text[n])) ? n + 1 : 0;
}

/* Writes the arguments that @arg stands for to @out, their letters to @room. Returns their number. */
static size_t split(char *arg, size_t letters, char **out, char *room)
{
	const char *rest = arg + 1 + letters;

	for (size_t i = 0; i < letters; i++, room += 3) {
		memcpy(room, (const char[]){ '-', arg[1 + i], '\0' }, 3);
		out[i] = room;
	}
	if (!*rest)
		return letters;
	out[letters] = (char *)rest + (*rest == '=');	/* the value stays where it was, to be wiped there */
	return letters + 1;
}

int short_flags_split(const char *command, int argc, char **argv, bool values, struct short_flags *ret_flags)
{
	const struct letters *l = find(command);
	size_t most = 1, room = 0;

	*ret_flags = (struct short_flags){};
	for (int i = 0; i < argc; i++)
		most += strlen(argv[i]) + 1;
	ret_flags->argv = calloc(most, sizeof(*ret_flags->argv));
	ret_flags->letters = calloc(most, 3);
	if (!ret_flags->argv || !ret_flags->letters)
		return -1;
	for (int i = 0; i < argc; i++) {
		char *arg = argv[i];
		bool is_group = l && arg[0] == '-' && arg[1] && arg[1] != '-' && arg[2] && arg[2] != '=';
		size_t letters = is_group ? count(l, arg + 1, values) : 0;

		if (letters)
			ret_flags->argc += split(arg, letters, ret_flags->argv + ret_flags->argc,
				ret_flags->letters + 3 * room);
		else
			ret_flags->argv[ret_flags->argc++] = arg;
		room += letters;
	}
	return 0;
}

void short_flags_done(struct short_flags *flags)
{
	free(flags->argv);
	free(flags->letters);
}
