// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults with their lines and paths, memory, and mappings by tables of fields.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "hubfile/internal.h"

void *reading_scratch(struct reading *r, size_t count, size_t size)
{
	void *at = arena_array(&r->scratch, count ? count : 1, size);

	r->is_out_of_memory |= !at;
	return at;
}

void *reading_keep(struct reading *r, size_t count, size_t size)
{
	void *at = arena_array(r->kept, count ? count : 1, size);

	r->is_out_of_memory |= !at;
	return at;
}

char *reading_keep_text(struct reading *r, const char *text)
{
	char *at = arena_text(r->kept, text, strlen(text));

	r->is_out_of_memory |= !at;
	return at;
}

static void put_path(const struct node *node, char *path, size_t size)
{
	const struct node *name;
	char quoted[64];

	if (!node->parent)
		return;
	put_path(node->parent, path, size);
	if (node->key) {
		node_quote(node->key, quoted, sizeof(quoted));
		if (quoted[0] == '\'')
			text_append(path, size, "%s%.*s", path[0] ? "." : "", (int)strlen(quoted) - 2,
				quoted + 1);
		else
			text_append(path, size, "%s(name)", path[0] ? "." : "");
		return;
	}
	name = node->type == NODE_MAP ? node_find(node, "name") : NULL;
	if (name && name->type == NODE_TEXT) {
		node_quote(name->text, quoted, sizeof(quoted));
		if (quoted[0] == '\'')
			text_append(path, size, ".%.*s", (int)strlen(quoted) - 2, quoted + 1);
	}
}

static struct hubfile_fault *add_fault(struct reading *r, unsigned int line)
{
	if (r->fault_count == HUBFILE_FAULTS_MAX)
		return NULL;
	r->faults[r->fault_count].line = line;
	r->faults[r->fault_count].text[0] = '\0';
	return &r->faults[r->fault_count++];
}

void reading_fault_line(struct reading *r, unsigned int line, const char *text)
{
	struct hubfile_fault *fault = add_fault(r, line);

	if (fault)
		text_append(fault->text, sizeof(fault->text), "%s", text);
}

void reading_fault(struct reading *r, const struct node *node, const char *fmt, ...)
{
	struct hubfile_fault *fault = add_fault(r, node->line);
	size_t len;
	va_list args;

	if (!fault)
		return;
	put_path(node, fault->text, sizeof(fault->text) / 2);
	if (fault->text[0])
		text_append(fault->text, sizeof(fault->text), ": ");
	len = strlen(fault->text);
	va_start(args, fmt);
	vsnprintf(fault->text + len, sizeof(fault->text) - len, fmt, args);
	va_end(args);
}

static int compare_marks(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	int order = x->len == y->len ? memcmp(x->bytes, y->bytes, x->len) : x->len < y->len ? -1 : 1;

	return order ? order : (x->node->line > y->node->line) - (x->node->line < y->node->line);
}

void marks_check(struct reading *r, struct mark *marks, size_t count, const char *what)
{
	qsort(marks, count, sizeof(*marks), compare_marks);
	for (size_t i = 1; i < count; i++) {
		const struct mark *a = &marks[i - 1], *b = &marks[i];

		if (a->len == b->len && !memcmp(a->bytes, b->bytes, a->len))
			reading_fault(r, b->node, "%s is there twice, in line %u already; expected it once",
				what, a->node->line);
	}
}

bool node_is_map(struct reading *r, const struct node *node, const char *form)
{
	if (node->type == NODE_MAP)
		return true;
	reading_fault(r, node, "expected %s", form);
	return false;
}

static bool is_null(const struct node *node)
{
	return node->is_plain &&
		(!node->text[0] || !strcmp(node->text, "~") || !strcasecmp(node->text, "null"));
}

const char *node_text(struct reading *r, const struct node *node, const char *form)
{
	if (node->type == NODE_TEXT && node->text[0] && !is_null(node))
		return node->text;
	reading_fault(r, node, "expected %s", form);
	return NULL;
}

const struct node *node_list(struct reading *r, const struct node *node, const char *form)
{
	struct node *list, *item;

	if (node->type == NODE_LIST)
		return node;
	if (node->type != NODE_TEXT || is_null(node) || !node->text[0]) {
		reading_fault(r, node, "expected %s; [] for none", form);
		return NULL;
	}
	list = reading_scratch(r, 1, sizeof(*list));
	item = reading_scratch(r, 1, sizeof(*item));
	if (!list || !item)
		return NULL;
	*list = *node;
	*item = *node;
	list->type = NODE_LIST;
	list->first = list->last = item;
	list->count = 1;
	item->parent = list;
	item->key = NULL;
	item->next = NULL;
	return list;
}

static const struct field *find_field(const struct field *fields, const char *name)
{
	for (; fields->name; fields++) {
		if (!strcmp(fields->name, name))
			return fields;
	}
	return NULL;
}

static void unknown_field(struct reading *r, const struct node *node, const struct field *fields)
{
	char list[256] = "";

	for (const struct field *f = fields; f->name; f++) {
		if (f->set != entry_secret_refused)
			text_append(list, sizeof(list), "%s%s", list[0] ? ", " : "", f->name);
	}
	reading_fault(r, node, "no such key; expected one of %s", list);
}

void read_fields(struct reading *r, const struct node *node, const struct field *fields, void *object)
{
	for (const struct node *n = node->first; n; n = n->next) {
		if (!find_field(fields, n->key))
			unknown_field(r, n, fields);
	}
	for (const struct field *f = fields; f->name; f++) {
		const struct node *n = node_find(node, f->name);

		if (n)
			f->set(r, n, (char *)object + f->offset);
		else if (f->is_required)
			reading_fault(r, node, "expected '%s' too", f->name);
	}
}
