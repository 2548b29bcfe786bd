// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Names: of things, peers, domains, groups; and lists of them.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/setup_key.h"
#include "hubfile/internal.h"

#define LABEL_MAX	63		/* RFC 1035 section 2.3.4 */
#define DOMAIN_MAX	253
#define FORM_LABEL	"a name of small letters, digits and dashes inside, of at most 63"
#define FORM_PEER	"the name of a peer (small letters, digits, dashes), or its public key"

static void read_name(struct reading *r, const struct node *node, size_t max, char **ret)
{
	const char *text = node_text(r, node, "a name");
	char key[SETUP_KEY_LEN + 1];
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return;
	if (len > max || text[0] == ' ' || text[len - 1] == ' ')
		reading_fault(r, node, "expected a name of at most %zu bytes, without blanks around it", max);
	else if (!setup_key_parse(slice_from(text), key))
		reading_fault(r, node, "expected a name; this looks like a setup key");
	else
		*ret = reading_keep_text(r, text);
}

void entry_name(struct reading *r, const struct node *node, void *at)
{
	read_name(r, node, NAME_MAX_LEN, at);
}

void entry_route_name(struct reading *r, const struct node *node, void *at)
{
	read_name(r, node, 40, at);	/* what stock clients and servers take as a NetID */
}

/* @len bytes of letters, digits and dashes inside. */
static bool is_label(const char *text, size_t len, bool is_small)
{
	if (!len || len > LABEL_MAX || text[0] == '-' || text[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
		if (is_small && isupper((unsigned char)text[i]))
			return false;
	}
	return true;
}

void entry_label(struct reading *r, const struct node *node, void *at)
{
	const char *text = node_text(r, node, FORM_LABEL);

	if (!text)
		return;
	if (!is_label(text, strlen(text), true))
		reading_fault(r, node, "expected " FORM_LABEL);
	else
		*(char **)at = reading_keep_text(r, text);
}

static bool is_domain(const char *text)
{
	if (strlen(text) > DOMAIN_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(text, ".");

		/* service names have an underscore first (RFC 2782) */
		if (!is_label(text + (text[0] == '_'), len - (text[0] == '_'), false))
			return false;
		if (!text[len])
			return true;
		text += len + 1;
	}
}

static void keep_small(struct reading *r, const char *text, char **ret)
{
	*ret = reading_keep_text(r, text);
	for (char *at = *ret; at && *at; at++)
		*at = tolower((unsigned char)*at);
}

void entry_domain(struct reading *r, const struct node *node, void *at)
{
	static const char form[] = "a domain such as example.com, in ASCII (xn--...)";
	const char *text = node_text(r, node, form);

	if (!text)
		return;
	if (!is_domain(text))
		reading_fault(r, node, "expected %s", form);
	else
		keep_small(r, text, at);
}

void entry_route_domain(struct reading *r, const struct node *node, void *at)
{
	static const char form[] = "a domain such as example.com or \"*.example.com\", in ASCII (xn--...)";
	const char *text = node_text(r, node, form);

	if (!text)
		return;
	if (!is_domain(strncmp(text, "*.", 2) ? text : text + 2))
		reading_fault(r, node, "expected %s", form);
	else
		keep_small(r, text, at);
}

static bool is_peer(struct reading *r, const struct node *node, const char *text)
{
	uint8_t key[KEY_LEN];
	char setup_key[SETUP_KEY_LEN + 1];

	if (text[0] && (!key_from_base64(text, key) ||
		(is_label(text, strlen(text), true) && setup_key_parse(slice_from(text), setup_key))))
		return true;
	reading_fault(r, node, "expected " FORM_PEER);
	return false;
}

bool entry_is_peer(struct reading *r, const struct node *node)
{
	return is_peer(r, node, node->key);
}

void entry_peer(struct reading *r, const struct node *node, void *at)
{
	const char *text = node_text(r, node, FORM_PEER);

	if (text && is_peer(r, node, text))
		*(char **)at = reading_keep_text(r, text);
}

void entry_texts(struct reading *r, const struct node *node, const char *form, size_t max, field_fn *each,
	char ***ret_texts, size_t *ret_count)
{
	const struct node *list = node_list(r, node, form);
	struct mark *marks;
	char **texts;
	size_t count = 0;

	if (!list)
		return;
	if (list->count > max) {
		reading_fault(r, node, "expected at most %zu entries", max);
		return;
	}
	texts = reading_keep(r, list->count, sizeof(*texts));
	marks = reading_scratch(r, list->count, sizeof(*marks));
	if (!texts || !marks)
		return;
	for (const struct node *n = list->first; n; n = n->next) {
		each(r, n, &texts[count]);
		if (!texts[count])
			continue;
		marks[count] = (struct mark){ texts[count], strlen(texts[count]), n };
		count++;
	}
	marks_check(r, marks, count, "this entry");
	*ret_texts = texts;
	*ret_count = count;
}

int group_name_compare(const void *a, const void *b)
{
	return strcmp(((const struct group_name *)a)->name, ((const struct group_name *)b)->name);
}

static int compare_indexes(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static bool find_group(struct reading *r, const struct node *node, uint16_t *ret_index)
{
	const char *text = node_text(r, node, "the name of a group");
	struct group_name wanted = { text, 0 }, *found;
	char quoted[64];

	if (!text)
		return false;
	found = bsearch(&wanted, r->group_names, r->group_name_count, sizeof(wanted), group_name_compare);
	if (found) {
		*ret_index = found->index;
		return true;
	}
	node_quote(text, quoted, sizeof(quoted));
	reading_fault(r, node, "%s is no group; expected All or a name below groups", quoted);
	return false;
}

void entry_groups(struct reading *r, const struct node *node, void *at)
{
	const struct node *list = node_list(r, node, "a list of groups");
	struct hubfile_groups *groups = at;

	if (!list)
		return;
	groups->count = 0;
	groups->of = reading_keep(r, list->count, sizeof(*groups->of));
	for (const struct node *n = list->first; n && groups->of; n = n->next) {
		if (find_group(r, n, &groups->of[groups->count]))
			groups->count++;
	}
	if (!groups->of)
		return;
	qsort(groups->of, groups->count, sizeof(*groups->of), compare_indexes);
	for (size_t i = 1; i < groups->count; i++) {
		if (groups->of[i] == groups->of[i - 1]) {
			reading_fault(r, node, "a group is there twice; expected each once");
			return;
		}
	}
}

void entry_some_groups(struct reading *r, const struct node *node, void *at)
{
	if (node->type == NODE_LIST && !node->count)
		reading_fault(r, node, "expected one group at least");
	else
		entry_groups(r, node, at);
}
