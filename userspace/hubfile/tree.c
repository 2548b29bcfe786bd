// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// YAML as a tree of mappings, lists and texts. What an admin does not need and an attacker likes is refused:
// anchors and aliases, tags, several documents, control characters, deep nesting.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/setup_key.h"
#include "base/text.h"
#include "hubfile/internal.h"
#include "lazy/libyaml.h"

struct builder {
	struct reading *r;
	struct node *root;
	struct node *open[DEPTH_MAX];	/* containers, the innermost last */
	const char *keys[DEPTH_MAX];	/* of mappings, that wait for their value */
	unsigned int key_lines[DEPTH_MAX];
	size_t depth, count;
	bool has_ended;
};

void node_quote(const char *text, char *ret_text, size_t size)
{
	char key[SETUP_KEY_LEN + 1];

	snprintf(ret_text, size, "this");
	if (!text[0] || strlen(text) > 48 || !setup_key_parse(slice_from(text), key))
		return;
	for (const char *at = text; *at; at++) {
		if (!isalnum((unsigned char)*at) && !strchr("-_. */:+=", *at))
			return;
	}
	snprintf(ret_text, size, "'%s'", text);
}

const struct node *node_find(const struct node *map, const char *key)
{
	for (const struct node *n = map->first; n; n = n->next) {
		if (n->key && !strcmp(n->key, key))
			return n;
	}
	return NULL;
}

static bool fail(struct builder *b, unsigned int line, const char *text)
{
	reading_fault_line(b->r, line, text);
	return false;
}

static bool put_node(struct builder *b, enum node_type type, const yaml_mark_t *mark, struct node **ret_node)
{
	struct node *parent = b->depth ? b->open[b->depth - 1] : NULL;
	struct node *node;

	if (++b->count > NODES_MAX || (parent && ++parent->count > ITEMS_MAX))
		return fail(b, mark->line + 1, "expected fewer entries: this file is no hub's");
	node = reading_scratch(b->r, 1, sizeof(*node));
	if (!node)
		return false;
	node->type = type;
	node->line = mark->line + 1;
	node->parent = parent;
	*ret_node = node;
	if (!parent) {
		b->root = node;
		return true;
	}
	if (parent->type == NODE_MAP) {
		if (!b->keys[b->depth - 1])
			return fail(b, node->line, "expected a name and a colon");
		node->key = b->keys[b->depth - 1];
		node->line = b->key_lines[b->depth - 1];
		b->keys[b->depth - 1] = NULL;
	}
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	return true;
}

static bool open_node(struct builder *b, enum node_type type, const yaml_mark_t *mark)
{
	struct node *node;

	if (b->depth == DEPTH_MAX)
		return fail(b, mark->line + 1, "expected lists and mappings less deep in each other");
	if (!put_node(b, type, mark, &node))
		return false;
	b->keys[b->depth] = NULL;
	b->open[b->depth++] = node;
	return true;
}

/* Texts come from UTF-8, so a C1 control is 0xc2 and a byte below 0xa0. */
static bool has_control(const unsigned char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] == 0x7f)
			return true;
		if (text[i] == 0xc2 && i + 1 < len && text[i + 1] < 0xa0)
			return true;
	}
	return false;
}

static bool put_text(struct builder *b, const yaml_event_t *event)
{
	const unsigned char *text = event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct node *parent = b->depth ? b->open[b->depth - 1] : NULL, *node;
	unsigned int line = event->start_mark.line + 1;
	char *copy;

	if (has_control(text, len))
		return fail(b, line, "expected text of one line, without control characters");
	copy = reading_scratch(b->r, len + 1, 1);
	if (!copy)
		return false;
	memcpy(copy, text, len);
	if (parent && parent->type == NODE_MAP && !b->keys[b->depth - 1]) {
		b->keys[b->depth - 1] = copy;
		b->key_lines[b->depth - 1] = line;
		return true;
	}
	if (!put_node(b, NODE_TEXT, &event->start_mark, &node))
		return false;
	node->text = copy;
	node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return true;
}

/* The second of two equal keys. */
static void check_keys(struct builder *b, const struct node *map)
{
	struct mark *marks = reading_scratch(b->r, map->count, sizeof(*marks));
	size_t count = 0;

	if (!marks)
		return;
	for (const struct node *n = map->first; n; n = n->next)
		marks[count++] = (struct mark){ n->key, strlen(n->key), n };
	marks_check(b->r, marks, count, "this name");
}

static bool put_event(struct builder *b, const yaml_event_t *event)
{
	const unsigned int line = event->start_mark.line + 1;

	switch (event->type) {
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return true;
	case YAML_STREAM_END_EVENT:
		b->has_ended = true;
		return true;
	case YAML_DOCUMENT_START_EVENT:
		if (b->root)
			return fail(b, line, "expected one document: no second one after ---");
		if (event->data.document_start.version_directive ||
			event->data.document_start.tag_directives.start !=
			event->data.document_start.tag_directives.end)
			return fail(b, line, "expected YAML without % directives");
		return true;
	case YAML_ALIAS_EVENT:
		return fail(b, line, "expected no alias (*name): write the value out, or quote the text");
	case YAML_SCALAR_EVENT:
		if (event->data.scalar.anchor || event->data.scalar.tag)
			return fail(b, line, "expected no anchor (&name) and no tag (!name): quote the text");
		return put_text(b, event);
	case YAML_SEQUENCE_START_EVENT:
		if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
			return fail(b, line, "expected no anchor (&name) and no tag (!name)");
		return open_node(b, NODE_LIST, &event->start_mark);
	case YAML_MAPPING_START_EVENT:
		if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
			return fail(b, line, "expected no anchor (&name) and no tag (!name)");
		return open_node(b, NODE_MAP, &event->start_mark);
	case YAML_MAPPING_END_EVENT:
		check_keys(b, b->open[b->depth - 1]);
		/* fall through */
	case YAML_SEQUENCE_END_EVENT:
		b->depth--;
		return true;
	case YAML_NO_EVENT:
		return true;
	}
	return true;
}

static unsigned int line_at(const char *text, size_t len, size_t offset)
{
	unsigned int line = 1;

	for (size_t i = 0; i < offset && i < len; i++)
		line += text[i] == '\n';
	return line;
}

static void syntax_fault(struct builder *b, const yaml_parser_t *parser, const char *text, size_t len)
{
	unsigned int line = parser->problem_mark.line + 1;
	const char *problem = parser->problem ? parser->problem : "not understood";
	char what[200];

	if (parser->error == YAML_MEMORY_ERROR) {
		b->r->is_out_of_memory = true;
		return;
	}
	if (parser->error == YAML_READER_ERROR)
		line = line_at(text, len, parser->problem_offset);
	snprintf(what, sizeof(what), "expected YAML: %s%s%s", problem, parser->context ? ", " : "",
		parser->context ? parser->context : "");
	fail(b, line, what);
}

static bool build(struct builder *b, const struct libyaml *yaml, yaml_parser_t *parser, const char *text,
	size_t len)
{
	yaml_event_t event;
	bool is_good = true;

	while (is_good && !b->has_ended) {
		if (!yaml->parse(parser, &event)) {
			syntax_fault(b, parser, text, len);
			return false;
		}
		is_good = put_event(b, &event);
		yaml->delete_event(&event);
	}
	return is_good;
}

struct node *tree_read(struct reading *r, const char *text, size_t len)
{
	struct builder b = { .r = r };
	const struct libyaml *yaml;
	yaml_parser_t parser;
	const char *nul = memchr(text, '\0', len);
	char why[128];
	bool is_good;

	if (nul) {
		reading_fault_line(r, line_at(text, len, nul - text), "expected text, without NUL bytes");
		return NULL;
	}
	yaml = libyaml_load(why, sizeof(why));
	if (!yaml) {
		reading_fault_line(r, 0, why);
		return NULL;
	}
	if (!yaml->init(&parser)) {
		r->is_out_of_memory = true;
		return NULL;
	}
	yaml->set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml->set_input(&parser, (const unsigned char *)text, len);
	is_good = build(&b, yaml, &parser, text, len);
	yaml->delete(&parser);
	if (is_good && !b.root)
		reading_fault_line(r, 0, "expected a mapping, such as \"policies: []\"; this file is empty");
	return is_good ? b.root : NULL;
}
