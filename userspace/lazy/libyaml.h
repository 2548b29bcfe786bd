/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libyaml, loaded by `talon hub` when it reads its file: no other command of ours has YAML to read. */
#ifndef TALON_LAZY_LIBYAML_H
#define TALON_LAZY_LIBYAML_H

#include <stddef.h>

#include <yaml.h>

/* X(name of the member, libyaml's function) */
#define LIBYAML_CALLS(X) \
	X(init, yaml_parser_initialize) \
	X(set_input, yaml_parser_set_input_string) \
	X(set_encoding, yaml_parser_set_encoding) \
	X(parse, yaml_parser_parse) \
	X(delete_event, yaml_event_delete) \
	X(delete, yaml_parser_delete)

struct libyaml {
#define LIBYAML_MEMBER(member, name) typeof(name) *member;
	LIBYAML_CALLS(LIBYAML_MEMBER)
#undef LIBYAML_MEMBER
};

/* Loaded once. NULL: it cannot be loaded, which one line in @why says. Not from two threads at once. */
const struct libyaml *libyaml_load(char *why, size_t size);

#endif
